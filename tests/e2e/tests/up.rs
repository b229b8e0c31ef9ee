//! `cargo xtask up` itself: what it promises to those who start it.
use e2e::Setup;
use std::net::TcpListener;

#[test]
fn the_demo_world_comes_to_rest_and_keeps_its_state() {
    let setup = Setup::named("demo");
    let first = setup.run(&["--fresh", "--once", "--json"]);
    let said = String::from_utf8_lossy(&first.stderr);
    assert!(first.status.success(), "{said}");
    let result: serde_json::Value = serde_json::from_slice(&first.stdout).expect("JSON and nothing else");
    let run = &result["syncs"][0]["run"];
    // Nobody started it: the rule did, through the fan-out, the queue and the worker.
    assert_eq!((run["state"].as_str(), run["trigger"].as_str()), (Some("done"), Some("schedule")));
    assert!(run["counts"]["remote"]["created"].as_u64().is_some_and(|created| created > 1_000), "{run}");
    assert_eq!(run["counts"]["remote"]["failing"], 0);

    let second = setup.run(&["--once", "--json"]);
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let result: serde_json::Value = serde_json::from_slice(&second.stdout).expect("JSON and nothing else");
    let run = &result["syncs"][0]["run"];
    assert_eq!((run["state"].as_str(), run["trigger"].as_str()), (Some("done"), Some("manual")));
    for side in ["crm", "remote"] {
        for count in ["created", "updated", "deleted"] {
            assert_eq!(run["counts"][side][count], 0, "a second run without edits writes nothing: {run}");
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
