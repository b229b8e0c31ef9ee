//! A worker that is killed in the middle of a first run: what the next one makes of it.
use e2e::{Setup, World, kill, peak_kilobytes};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

const CONTACTS: usize = 10_000;
/// What one import request carries.
const PART: usize = 500;
/// The worker is killed as soon as the run has got beyond these.
const KILLS: [u64; 2] = [2_000, 6_000];
/// How long the run may take: two leases of dead holders to wait for, of two minutes each, and a slow machine.
const MOST: Duration = Duration::from_secs(900);
const LOOK: Duration = Duration::from_millis(100);
/// How often the run is asked to go on; by itself it would when the schedule finds it due, five minutes later at most.
const NUDGE: Duration = Duration::from_secs(5);
const MOST_KILOBYTES: u64 = 128 * 1024;

#[test]
fn a_worker_killed_twice_in_a_first_run_of_ten_thousand_loses_and_doubles_nobody() {
    let world = Setup::named("kill").start(&["--seed", "empty", "--fresh"]);
    import(&world);
    let (sync, account) = connect(&world);
    let first = world.must("POST", &format!("/v1/syncs/{sync}/runs"), &json!({}));
    let run = first["run"].as_str().expect("a run").to_owned();
    let seen = follow(&world, &sync, &run);
    eprintln!(
        "{CONTACTS} contacts with {} kills: {:.0} s, worker at most {} kB",
        seen.kills,
        seen.took.as_secs_f32(),
        seen.kilobytes
    );
    assert_eq!(seen.kills, KILLS.len(), "the run was done before every kill");
    assert!(seen.kilobytes > 0 && seen.kilobytes < MOST_KILOBYTES, "the worker took {} kB", seen.kilobytes);
    everybody_is_there_once(&world, &account);
    assert_eq!(
        created(&world, &sync),
        CONTACTS as u64,
        "over all runs: {}",
        world.must("GET", &runs(&sync), &json!({}))
    );
    a_further_run_writes_nothing(&world, &sync);
    everybody_is_there_once(&world, &account);
}

fn runs(sync: &str) -> String {
    format!("/v1/syncs/{sync}/runs")
}

/// Complete people whose family name is theirs alone.
fn import(world: &World) {
    for part in (0..CONTACTS).collect::<Vec<_>>().chunks(PART) {
        let row = |n: &usize| format!("Vera,Number{n:05},Work,vera{n:05}@example.com\r\n");
        let rows: String = part.iter().map(row).collect();
        let file = format!("First Name,Last Name,E-mail 1 - Label,E-mail 1 - Value\r\n{rows}");
        let mut made = 0;
        let mut path = "/crm/v1/import".to_owned();
        loop {
            let (status, answer) = world.send("POST", &path, "text/csv", file.clone());
            assert!(status == 200 && answer["errors"].as_array().is_some_and(Vec::is_empty), "{status}: {answer}");
            made += answer["created"].as_u64().expect("a count");
            // A request that runs out of time says where the next one goes on.
            let Some(next) = answer["next"].as_u64() else { break };
            path = format!("/crm/v1/import?offset={next}");
        }
        assert_eq!(made, part.len() as u64);
    }
}

/// Both accounts and the sync, as a user makes them; the sync and the Google account.
fn connect(world: &World) -> (String, String) {
    let id = |answer: &Value| answer["id"].as_str().expect("an id").to_owned();
    let crm = id(&world.must("POST", "/v1/connections", &json!({"provider": "builtin"})));
    let google = world.must("POST", "/v1/connections", &json!({"provider": "google"}));
    let consent = google["authorize_url"].as_str().expect("an address to consent at");
    // The simulator consents by itself; the redirects end at the page.
    let page = ureq::get(consent).call().expect("the consent page");
    assert_eq!(page.status(), 200);
    let connected = world.must("GET", &format!("/v1/connections/{}", id(&google)), &json!({}));
    assert_eq!(connected["state"], "connected", "{connected}");
    let wanted = json!({"profile": "teamleader-google-contacts", "crm": crm, "remote": id(&google), "settings": {},
        "enabled": true});
    let sync = world.must("POST", "/v1/syncs", &wanted);
    let accounts = world.simulator("google", "accounts", None);
    (id(&sync), accounts["accounts"][0].as_str().expect("the account that consented").to_owned())
}

struct Seen {
    kills: usize,
    took: Duration,
    /// The most memory that any worker was seen to hold.
    kilobytes: u64,
}

/// Looks at the run until it is done, and kills on the way.
#[expect(clippy::disallowed_methods, reason = "a real world on a real clock: how long it took is what is asked")]
fn follow(world: &World, sync: &str, run: &str) -> Seen {
    let begun = Instant::now();
    let mut asked = begun;
    let mut seen = Seen { kills: 0, took: Duration::ZERO, kilobytes: 0 };
    loop {
        let now = world.must("GET", &format!("/v1/runs/{run}"), &json!({}));
        let workers = world.processes("worker-contacts");
        seen.kilobytes = workers.iter().map(|pid| peak_kilobytes(*pid)).fold(seen.kilobytes, u64::max);
        seen.took = begun.elapsed();
        match now["state"].as_str() {
            Some("done") => return seen,
            Some("queued" | "running" | "waiting") => {}
            Some(_) | None => panic!("after {} kills the run ended as {now}", seen.kills),
        }
        assert!(seen.took < MOST, "not done after {MOST:?} and {} kills: {now}", seen.kills);
        let done = now["progress"]["done"].as_u64().unwrap_or(0);
        if let (Some(mark), false) = (KILLS.get(seen.kills), workers.is_empty())
            && done > *mark
        {
            workers.iter().for_each(|pid| kill(*pid));
            eprintln!("{:.0} s: killed the worker at {done}", seen.took.as_secs_f32());
            seen.kills += 1;
        }
        if asked.elapsed() > NUDGE {
            asked = Instant::now();
            let joined = world.must("POST", &runs(sync), &json!({}));
            // A run under way is joined; it may have ended since we looked.
            let now = world.must("GET", &format!("/v1/runs/{run}"), &json!({}));
            assert!(joined["run"] == run || now["state"] == "done", "another run beside {now}: {joined}");
        }
        sleep(LOOK);
    }
}

fn everybody_is_there_once(world: &World, account: &str) {
    let state = world.simulator("google", &format!("state?account={account}"), None);
    let people = state["people"].as_array().expect("people");
    let names: BTreeSet<&str> =
        people.iter().map(|person| person["names"][0]["familyName"].as_str().expect("a family name")).collect();
    let markers: BTreeSet<String> = people.iter().map(|person| person["clientData"].to_string()).collect();
    assert_eq!((people.len(), names.len(), markers.len()), (CONTACTS, CONTACTS, CONTACTS), "people, names, markers");
}

fn created(world: &World, sync: &str) -> u64 {
    let all = world.must("GET", &runs(sync), &json!({}));
    let items = all["items"].as_array().expect("runs");
    items.iter().map(|run| run["counts"]["remote"]["created"].as_u64().expect("a count")).sum()
}

fn a_further_run_writes_nothing(world: &World, sync: &str) {
    let run = world.must("POST", &runs(sync), &json!({}))["run"].as_str().expect("a run").to_owned();
    for _ in 0..1_200 {
        let now = world.must("GET", &format!("/v1/runs/{run}"), &json!({}));
        if now["state"] == "done" {
            for side in ["crm", "remote"] {
                for count in ["created", "updated", "deleted"] {
                    assert_eq!(now["counts"][side][count], 0, "{now}");
                }
            }
            return;
        }
        sleep(LOOK);
    }
    panic!("a run without edits did not come to rest in two minutes");
}
