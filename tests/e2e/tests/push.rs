//! What happens at a provider is here moments later: its notification, the webhook function, the queue, the worker.
use e2e::{Setup, World};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How many changes are timed at each provider.
const CHANGES: usize = 50;
/// And at each CRM: Teamleader gives 200 calls a minute, and a change with its run takes six.
const CRM_CHANGES: usize = 20;
/// How long every answer of a provider takes.
const LATENCY_MS: u64 = 50;
/// The 95th percentile of the time from a change at the provider to the CRM must be below this.
const FILES_MOST: Duration = Duration::from_secs(3);
const APPOINTMENTS_MOST: Duration = Duration::from_secs(2);
const CONTACTS_MOST: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(10);
const NEVER: Duration = Duration::from_secs(30);

#[test]
fn what_happens_at_google_or_dropbox_is_in_the_crm_within_seconds() {
    let world = Setup::named("push").start(&["--seed", "empty", "--fresh"]);
    let crm = id(&world.must("POST", "/v1/connections", &json!({"provider": "builtin"})));
    files(&world, &crm);
    appointments(&world, &crm);
}

#[test]
fn a_contact_made_in_teamleader_or_zoho_is_in_google_within_seconds() {
    let world = Setup::named("push-crms").start(&["--seed", "empty", "--fresh"]);
    let (people, google) = connect(&world, "google");
    for crm in ["teamleader", "zoho"] {
        let (account, connection) = connect(&world, crm);
        let profile = format!("{crm}-google-contacts");
        let wanted = json!({"profile": profile, "crm": connection, "remote": google, "settings": {}, "enabled": true});
        listening(&world, crm, &wanted);
        let times: Vec<Duration> = (0..CRM_CHANGES)
            .map(|number| {
                let last = format!("{crm} {number}");
                make_contact(&world, crm, &account, &last, &format!("{crm}.{number}@example.com"));
                until(|| is_in_google(&world, &people, &last), &format!("{last} is not in Google"), &world)
            })
            .collect();
        report(&format!("{crm} contacts"), &times, CONTACTS_MOST);
        world.simulator(crm, "settings", Some(&json!({"latency_ms": 0})));
    }
}

/// Somebody makes a contact in the CRM.
fn make_contact(world: &World, crm: &str, account: &str, last: &str, email: &str) {
    let (what, order) = match crm {
        "zoho" => {
            let record = json!({"First_Name": "An", "Last_Name": last, "Email": email});
            ("records", json!({"account": account, "module": "Contacts", "records": [record]}))
        }
        _ => {
            let emails = json!([{"type": "primary", "email": email}]);
            let fields = json!({"first_name": "An", "last_name": last, "emails": emails});
            ("contacts", json!({"account": account, "contacts": [{"fields": fields}]}))
        }
    };
    world.simulator(crm, what, Some(&order));
}

fn is_in_google(world: &World, account: &str, last: &str) -> bool {
    let state = world.simulator("google", &format!("state?account={account}"), None);
    state["people"].as_array().is_some_and(|people| people.iter().any(|one| one["names"][0]["familyName"] == last))
}

/// A sync that runs, rests and listens; from then on the provider takes its time.
fn listening(world: &World, provider: &str, wanted: &Value) {
    let sync = id(&world.must("POST", "/v1/syncs", wanted));
    at_rest(world, &sync);
    let shown = world.must("GET", &format!("/v1/syncs/{sync}"), &json!({}));
    assert_eq!(shown["push"]["state"], "on", "{shown}");
    world.simulator(provider, "settings", Some(&json!({"latency_ms": LATENCY_MS})));
}

fn appointments(world: &World, crm: &str) {
    let (account, google) = connect(world, "google");
    let wanted = json!({"profile": "teamleader-google-calendar", "crm": crm, "remote": google, "settings": {},
        "enabled": true});
    listening(world, "google", &wanted);
    let times: Vec<Duration> = (0..CHANGES)
        .map(|number| {
            let title = format!("Meeting {number}");
            let (start, end) = ("2027-02-02T09:00:00Z", "2027-02-02T10:00:00Z");
            let event = json!({"summary": title, "start": {"dateTime": start}, "end": {"dateTime": end}});
            let order = json!({"account": account, "body": {"event": event}});
            world.simulator("google", "calendar/insert", Some(&order));
            arrives(world, "/crm/v1/blocks?", "title", &title)
        })
        .collect();
    report("google calendar", &times, APPOINTMENTS_MOST);
    world.simulator("google", "settings", Some(&json!({"latency_ms": 0})));
}

fn files(world: &World, crm: &str) {
    for (provider, profile, root) in
        [("dropbox", "teamleader-dropbox", ""), ("google", "teamleader-google-drive", "Teamleader/")]
    {
        let company = world.must("POST", "/crm/v1/companies", &json!({"name": format!("Acme {provider}")}));
        let account = connect(world, provider);
        let records = json!([{"type": "company", "id": company["id"]}]);
        let settings = json!({"modules": ["companies"], "records": records});
        let wanted =
            json!({"profile": profile, "crm": crm, "remote": account.1, "settings": settings, "enabled": true});
        listening(world, provider, &wanted);
        let record = id(&company);
        let folder = format!("{root}Companies/Acme {provider} ({})", company["number"]);
        let times: Vec<Duration> = (0..CHANGES)
            .map(|number| {
                let name = format!("note {number}.txt");
                put(world, provider, &account.0, &format!("{folder}/{name}"));
                arrives(world, &format!("/crm/v1/files?subject={record}&folder="), "name", &name)
            })
            .collect();
        report(provider, &times, FILES_MOST);
        world.simulator(provider, "settings", Some(&json!({"latency_ms": 0})));
    }
}

fn id(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_owned()
}

/// The account at the provider that consented, and the connection.
fn connect(world: &World, provider: &str) -> (String, String) {
    let begun = world.must("POST", "/v1/connections", &json!({"provider": provider}));
    let consent = begun["authorize_url"].as_str().expect("an address to consent at");
    assert_eq!(ureq::get(consent).call().expect("the consent page").status(), 200);
    // An account that is connected already stays one connection: the older one.
    let all = world.must("GET", "/v1/connections", &json!({}));
    let connection = all["items"].as_array().expect("connections").iter().find(|one| one["provider"] == provider);
    let connection = connection.expect("a connection").clone();
    assert_eq!(connection["state"], "connected", "{connection}");
    let accounts = world.simulator(provider, "accounts", None);
    (accounts["accounts"][0].as_str().expect("an account").to_owned(), id(&connection))
}

/// The user saves a small file.
fn put(world: &World, provider: &str, account: &str, path: &str) {
    let (what, path) =
        if provider == "dropbox" { ("files", format!("/{path}")) } else { ("drive/files", path.to_owned()) };
    world.simulator(provider, what, Some(&json!({"account": account, "files": [{"path": path, "text": path}]})));
}

/// Runs it, and waits until it has nothing more to do.
fn at_rest(world: &World, sync: &str) {
    let run = world.must("POST", &format!("/v1/syncs/{sync}/runs"), &json!({}));
    let run = run["run"].as_str().expect("a run").to_owned();
    for _ in 0..1_200 {
        let now = world.must("GET", &format!("/v1/runs/{run}"), &json!({}));
        match now["state"].as_str() {
            Some("done") => return,
            Some("queued" | "running" | "waiting") => sleep(Duration::from_millis(100)),
            Some(_) | None => panic!("{now}"),
        }
    }
    panic!("the run did not come to rest");
}

/// How long it takes until a list of the CRM has something with this name.
fn arrives(world: &World, path: &str, field: &str, name: &str) -> Duration {
    let is_there = || {
        let mut page = world.must("GET", path, &json!({}));
        loop {
            if page["items"].as_array().expect("a list").iter().any(|item| item[field] == name) {
                return true;
            }
            let Some(next) = page["next"].as_str() else { return false };
            page = world.must("GET", &format!("{path}&next={next}"), &json!({}));
        }
    };
    until(is_there, &format!("{name} did not arrive"), world)
}

/// How long it takes until this is so.
#[expect(clippy::disallowed_methods, reason = "a real world on a real clock: how long it took is what is asked")]
fn until(is_so: impl Fn() -> bool, otherwise: &str, world: &World) -> Duration {
    let begun = Instant::now();
    while begun.elapsed() < NEVER {
        if is_so() {
            return begun.elapsed();
        }
        sleep(LOOK);
    }
    panic!("{otherwise}: {}", world.must("GET", "/v1/syncs", &json!({})));
}

fn report(what: &str, times: &[Duration], most: Duration) {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100) - 1];
    eprintln!("{what}: {} changes, p50 {:?}, p95 {:?}, slowest {:?}", times.len(), at(50), at(95), at(100));
    assert!(at(95) < most, "{what}: p95 is {:?}", at(95));
}
