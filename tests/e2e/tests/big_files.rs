//! A large file from the CRM to Dropbox and to Drive, and one from each of them back, all at once through workers of 256 MB.
//!
//! `TANDEM_BIG_FILE_MB=2048 cargo test --test big_files` has files of that size, and kills the workers twice on the way: it
//! then takes twelve minutes, as the lease of a killed worker must run out each time, and 16 GB on the disk. The local AWS
//! answers a range of an object the slower the larger the object is.
use bytes::Bytes;
use e2e::{Setup, World, kill, peak_kilobytes};
use serde_json::{Value, json};
use std::io::{Read, Result};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tandem_core::files::entry::{HashKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_ports::files::CHUNK;
use tandem_testkit::files::Content;
use ureq::SendBody;

/// The size where nobody asks for another one.
const USUAL_MB: u64 = 96;
/// Memory of a worker.
const MOST_KILOBYTES: u64 = 256 * 1024;
/// Most that is under way at once to Dropbox: a killed worker's successor sends it again.
const UNDER_WAY: u64 = 3 * CHUNK;
const MOST: Duration = Duration::from_secs(3_000);
const LOOK: Duration = Duration::from_millis(250);
/// How often the runs are asked to go on; by themselves they would at the schedule's next look.
const NUDGE: Duration = Duration::from_secs(5);
const PROVIDERS: [(&str, &str, &str); 2] =
    [("dropbox", "teamleader-dropbox", ""), ("google", "teamleader-google-drive", "Teamleader/")];

/// One provider's sync, with the company whose files it is about.
struct Way {
    provider: &'static str,
    account: String,
    sync: String,
    company: String,
    /// The company's folder at the provider.
    folder: String,
}

/// What was asked for.
struct Order {
    size: u64,
    kills: usize,
}

#[test]
fn large_files_pass_through_small_workers_both_ways_and_arrive_whole() {
    let order = order();
    let world = Setup::named("big-files").start(&["--seed", "empty", "--fresh"]);
    let crm = id(&world.must("POST", "/v1/connections", &json!({"provider": "builtin"})));
    let ways = PROVIDERS.map(|one| way(&world, &crm, one));
    let sent = ways.each_ref().map(|way| put_in_crm(&world, way, order.size));
    ways.iter().for_each(|way| put_at_provider(&world, way, order.size));
    let seen = follow(&world, &ways, &order);
    eprintln!(
        "4 × {} MB with {} kills: {:.0} s, worker at most {} kB",
        order.size >> 20,
        seen.kills,
        seen.took.as_secs_f32(),
        seen.kilobytes
    );
    assert_eq!(seen.kills, order.kills, "everything was there before every kill");
    assert!(seen.kilobytes > 0 && seen.kilobytes < MOST_KILOBYTES, "a worker took {} kB", seen.kilobytes);
    for (way, sent) in ways.iter().zip(&sent) {
        let received = received(&world, way);
        let again = received - order.size;
        assert!(again <= order.kills as u64 * UNDER_WAY, "{}: {again} bytes were sent twice", way.provider);
        let (file, hash) = at_provider(&world, way, "to remote.bin").expect("it is there");
        assert_eq!(hash, whole(way, sent), "{}: {file}", way.provider);
        let (_, theirs) = at_provider(&world, way, "from remote.bin").expect("it is there");
        assert_eq!(whole(way, &downloaded(&world, way)), theirs, "{} to the CRM", way.provider);
    }
}

#[expect(clippy::disallowed_methods, reason = "how large the files are is chosen by whoever runs this")]
fn order() -> Order {
    let asked = std::env::var("TANDEM_BIG_FILE_MB").ok().map(|text| text.parse::<u64>().expect("a number of MB"));
    // The last piece is not a whole one.
    let size = (asked.unwrap_or(USUAL_MB) << 20) + 17;
    Order { size, kills: if asked.is_some() { 2 } else { 0 } }
}

fn id(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_owned()
}

/// A company whose files are kept in step with the provider's account, nothing there yet.
fn way(world: &World, crm: &str, (provider, profile, root): (&'static str, &str, &str)) -> Way {
    let company = world.must("POST", "/crm/v1/companies", &json!({"name": "Big"}));
    let begun = world.must("POST", "/v1/connections", &json!({"provider": provider}));
    let consent = begun["authorize_url"].as_str().expect("an address to consent at");
    assert_eq!(ureq::get(consent).call().expect("the consent page").status(), 200);
    let settings = json!({"modules": ["companies"], "records": [{"type": "company", "id": company["id"]}]});
    let wanted = json!({"profile": profile, "crm": crm, "remote": id(&begun), "settings": settings, "enabled": true});
    let sync = id(&world.must("POST", "/v1/syncs", &wanted));
    let accounts = world.simulator(provider, "accounts", None);
    let way = Way {
        provider,
        account: accounts["accounts"][0].as_str().expect("an account").to_owned(),
        sync,
        company: id(&company),
        folder: format!("{root}Companies/Big ({})", company["number"]),
    };
    run(world, &way);
    while world.must("GET", &format!("/v1/syncs/{}", way.sync), &json!({}))["last_run"]["state"] != "done" {
        sleep(LOOK);
    }
    way
}

fn run(world: &World, way: &Way) {
    ask(world, "POST", &format!("/v1/syncs/{}/runs", way.sync));
}

/// Asks again where no answer comes in time: the local AWS does one thing at once, and putting a large object together is
/// a long one.
fn ask(world: &World, method: &str, path: &str) -> Value {
    let body = if method == "GET" { "" } else { "{}" };
    for _ in 0..10 {
        let (status, answer) = world.send(method, path, "application/json", body.to_owned());
        match status {
            200..300 => return answer,
            502..505 => sleep(LOOK),
            _ => panic!("{method} {path}: {status} {answer}"),
        }
    }
    panic!("{method} {path}: no answer");
}

/// The bytes of a made-up file, as a stream.
struct Stream {
    content: Content,
    /// What is made, and not given yet.
    made: Bytes,
    digests: Digests,
}

impl Stream {
    fn of(size: u64) -> Stream {
        Stream { content: Content::Pattern { size }, made: Bytes::new(), digests: Digests::default() }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.made.is_empty() {
            let at = self.digests.len();
            self.made = self.content.read(at..(at + CHUNK).min(self.content.size()));
            self.digests.update(&self.made);
        }
        let some = self.made.split_to(self.made.len().min(buffer.len()));
        buffer[..some.len()].copy_from_slice(&some);
        Ok(some.len())
    }
}

/// A file is saved at the provider, which from now on keeps no bytes but those it made up.
fn put_at_provider(world: &World, way: &Way, size: u64) {
    let (account, path) = (&way.account, format!("{}/from remote.bin", way.folder));
    match way.provider {
        "dropbox" => {
            world.simulator("dropbox", "settings", Some(&json!({"keep_bytes": 0})));
            let files = json!([{"path": format!("/{path}"), "generate": size}]);
            world.simulator("dropbox", "files", Some(&json!({"account": account, "files": files})));
        }
        _ => {
            world.simulator("google", "drive/settings", Some(&json!({"account": account, "keep_bytes": 0})));
            let files = json!([{"path": path, "generate": size}]);
            world.simulator("google", "drive/files", Some(&json!({"account": account, "files": files})));
        }
    }
}

/// A file is saved in the CRM; what it hashes to.
fn put_in_crm(world: &World, way: &Way, size: u64) -> Hashes {
    let file = json!({"subject": {"type": "company", "id": way.company}, "folder": "", "name": "to remote.bin"});
    let begun = world.must("POST", "/crm/v1/files", &file);
    let address = begun["upload"]["url"].as_str().expect("an address");
    let mut request = ureq::put(address).header("content-length", size.to_string());
    for (name, value) in begun["upload"]["headers"].as_object().into_iter().flatten() {
        request = request.header(name, value.as_str().expect("a text"));
    }
    let mut stream = Stream::of(size);
    let answer = request.send(SendBody::from_reader(&mut stream)).expect("the bytes are taken");
    assert_eq!((answer.status().as_u16(), stream.digests.len()), (200, size));
    stream.digests.hashes()
}

struct Seen {
    kills: usize,
    took: Duration,
    /// The most memory that any worker was seen to hold.
    kilobytes: u64,
}

/// Looks on until all four files are where they should be, and kills on the way.
#[expect(clippy::disallowed_methods, reason = "a real world on a real clock: how long it took is what is asked")]
fn follow(world: &World, ways: &[Way], order: &Order) -> Seen {
    let begun = Instant::now();
    let mut asked: Option<Instant> = None;
    let mut seen = Seen { kills: 0, took: Duration::ZERO, kilobytes: 0 };
    loop {
        let workers = world.processes("worker-files");
        seen.kilobytes = workers.iter().map(|pid| peak_kilobytes(*pid)).fold(seen.kilobytes, u64::max);
        seen.took = begun.elapsed();
        if ways.iter().all(|way| is_there(world, way, order.size)) {
            return seen;
        }
        assert!(seen.took < MOST, "not there after {MOST:?}: {}", world.must("GET", "/v1/syncs", &json!({})));
        let moved: u64 = ways.iter().map(|way| received(world, way) + read(world, way)).sum();
        let thirds = seen.kills as u64 + 1;
        if seen.kills < order.kills && !workers.is_empty() && moved > 4 * order.size / 3 * thirds {
            workers.iter().for_each(|pid| kill(*pid));
            eprintln!("{:.0} s: killed {} at {} MB", seen.took.as_secs_f32(), workers.len(), moved >> 20);
            seen.kills += 1;
        }
        if asked.is_none_or(|at| at.elapsed() > NUDGE) {
            asked = Some(Instant::now());
            ways.iter().for_each(|way| run(world, way));
        }
        sleep(LOOK);
    }
}

fn is_there(world: &World, way: &Way, size: u64) -> bool {
    let in_crm = in_crm(world, way, "from remote.bin").is_some_and(|file| file["size"] == size);
    in_crm && at_provider(world, way, "to remote.bin").is_some()
}

fn in_crm(world: &World, way: &Way, name: &str) -> Option<Value> {
    let page = ask(world, "GET", &format!("/crm/v1/files?subject={}&folder=", way.company));
    page["items"].as_array().expect("files").iter().find(|file| file["name"] == name).cloned()
}

/// A file at the provider, and the hash that it says it has.
fn at_provider(world: &World, way: &Way, name: &str) -> Option<(Value, String)> {
    let (list, field, hash) = match way.provider {
        "dropbox" => ("entries", "name", "content_hash"),
        _ => ("files", "name", "sha256Checksum"),
    };
    let all = match way.provider {
        "dropbox" => world.simulator("dropbox", &format!("state?account={}", way.account), None),
        _ => world.simulator("google", "drive/state", Some(&json!({"account": way.account}))),
    };
    let file = all[list].as_array().expect("files").iter().find(|file| file[field] == name)?.clone();
    let hash = file[hash].as_str().expect("a hash").to_owned();
    Some((file, hash))
}

/// The hash in the provider's own manner.
fn whole(way: &Way, hashes: &Hashes) -> String {
    let kind = if way.provider == "dropbox" { HashKind::BlockSha256 } else { HashKind::Sha256 };
    hashes.get(kind).expect("both are computed").to_owned()
}

/// Calls at the provider whose path has this in it.
fn calls(world: &World, way: &Way, part: &str) -> Vec<Value> {
    let calls = world.simulator(way.provider, "calls", None)["calls"].take();
    let Value::Array(calls) = calls else { panic!("no calls") };
    calls.into_iter().filter(|call| call["path"].as_str().is_some_and(|path| path.contains(part))).collect()
}

/// Bytes that the provider was sent.
fn received(world: &World, way: &Way) -> u64 {
    let (part, bytes) = match way.provider {
        "dropbox" => ("/upload_session/", "bytes"),
        _ => ("/upload/drive/", "writes"),
    };
    let bytes = |call: &Value| if call["method"] == "POST" { 0 } else { call[bytes].as_u64().expect("a count") };
    calls(world, way, part).iter().map(bytes).sum()
}

/// Bytes that the provider was asked for, more or less.
fn read(world: &World, way: &Way) -> u64 {
    let part = if way.provider == "dropbox" { "/files/download" } else { "/revisions/" };
    calls(world, way, part).len() as u64 * CHUNK
}

/// What the file that came to the CRM hashes to.
fn downloaded(world: &World, way: &Way) -> Hashes {
    let file = in_crm(world, way, "from remote.bin").expect("it is there");
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let address = format!("{}/crm/v1/files/{}/content", world.api(), id(&file));
    let answer = agent.get(address).header("authorization", format!("Bearer {}", world.token(0))).call();
    let leads = answer.expect("an answer");
    let location = leads.headers()["location"].to_str().expect("an address");
    let mut body = ureq::get(location).call().expect("the bytes").into_body().into_reader();
    let (mut digests, mut buffer) = (Digests::default(), vec![0; 1 << 20]);
    loop {
        let some = body.read(&mut buffer).expect("bytes");
        if some == 0 {
            return digests.hashes();
        }
        digests.update(&buffer[..some]);
    }
}
