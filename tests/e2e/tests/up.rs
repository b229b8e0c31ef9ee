//! `cargo xtask up` itself: what it promises to those who start it.
use e2e::Setup;
use serde_json::{Value, json};
use std::net::TcpListener;

/// A side's counts of what was written, and of the pairs that were found: created, updated, deleted, paired.
type Written = [u64; 4];

/// The demo syncs, with what each writes in the CRM and at the other side. `None`: more than a thousand are created.
const DEMOS: [(&str, Written, Option<Written>); 8] = [
    ("teamleader-google-contacts", NOTHING, None),
    // Two private appointments become blocks; three meetings become events.
    ("teamleader-google-calendar", [2, 0, 0, 0], Some([3, 0, 0, 0])),
    // Two files, and the folders of the module, the company and its contracts.
    ("teamleader-google-drive", NOTHING, Some([5, 0, 0, 0])),
    // A mail each of two customers.
    ("teamleader-gmail", [2, 0, 0, 0], Some(NOTHING)),
    ("teamleader-dropbox", NOTHING, Some([5, 0, 0, 0])),
    // At each vendor 40 people, 12 of whom are in Google's group, too; 5 more are only there. One profile is one-way. A
    // contact that came from Google gets our mark there.
    ("teamleader-google-contacts", NOTHING, Some([28, 12, 0, 12])),
    ("zoho-google-contacts", [5, 0, 0, 0], Some([28, 12 + 5, 0, 12])),
    ("sell-google-contacts", [5, 0, 0, 0], Some([28, 12 + 5, 0, 12])),
];
const NOTHING: Written = [0; 4];

fn written(run: &Value, side: &str) -> Written {
    ["created", "updated", "deleted", "paired"].map(|count| run["counts"][side][count].as_u64().expect("a count"))
}

/// The demo syncs as (profile, run), in the order in which they were made; every one of them is done, and was begun by one
/// of these.
fn demo_syncs(setup: &Setup, more: &[&str], triggers: &[&str]) -> Vec<(String, Value)> {
    let output = setup.run(more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    let syncs = result["syncs"].as_array().expect("a list of syncs");
    for run in syncs.iter().map(|sync| &sync["run"]) {
        assert_eq!(run["state"], "done", "{run}");
        assert!(run["trigger"].as_str().is_some_and(|trigger| triggers.contains(&trigger)), "{run}");
        assert_eq!((&run["counts"]["crm"]["failing"], &run["counts"]["remote"]["failing"]), (&json!(0), &json!(0)));
    }
    syncs.iter().map(|sync| (sync["profile"].as_str().expect("a profile").to_owned(), sync["run"].clone())).collect()
}

#[test]
fn the_demo_world_comes_to_rest_and_keeps_its_state() {
    let setup = Setup::named("demo");
    // Nobody starts them: the rule does, through the fan-out, the queue and the worker.
    let first = demo_syncs(&setup, &["--fresh", "--once", "--json"], &["schedule"]);
    assert_eq!(first.len(), DEMOS.len());
    for ((profile, run), (wanted, crm, remote)) in first.iter().zip(DEMOS) {
        assert_eq!((profile.as_str(), written(run, "crm")), (wanted, crm), "{run}");
        match remote {
            Some(remote) => assert_eq!(written(run, "remote"), remote, "{profile}: {run}"),
            None => assert!(written(run, "remote")[0] > 1_000, "{profile}: {run}"),
        }
    }

    // A start by hand joins the run that a provider's late notification has set off.
    for (profile, run) in demo_syncs(&setup, &["--once", "--json"], &["manual", "push"]) {
        for side in ["crm", "remote"] {
            assert_eq!(written(&run, side), NOTHING, "{profile}: a second run without edits writes nothing: {run}");
        }
    }
    assert!(!setup.dir().join("ready.json").exists());
}

#[test]
fn a_taken_port_is_named_in_one_line() {
    let setup = Setup::named("taken");
    let taken = setup.port_base() + 6;
    let _held = TcpListener::bind(("127.0.0.1", taken)).expect("a free port");
    let output = setup.run(&["--seed", "empty"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("port {taken} is taken")) && said.trim().lines().count() == 1, "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn stopping_ends_everything_and_takes_the_note_away() {
    let setup = Setup::named("stopping");
    let world = setup.start(&["--seed", "empty"]);
    let token = world.token(0).to_owned();
    world.stop();
    assert!(!setup.dir().join("ready.json").exists());
    for port in setup.port_base()..setup.port_base() + 10 {
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "somebody still listens on {port}");
    }
    // The state survives: the same users, whose tokens still open the door.
    let again = setup.start(&["--seed", "empty"]);
    assert_eq!(again.token(0), token);
    assert_eq!(again.get("/v1/connections", Some(&token)).0, 200);
}
