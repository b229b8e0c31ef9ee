//! Attachments beyond the suite: a large file is never whole in memory, either way; pages, tokens and ranges as Zoho has
//! them or not; and the fake refuses in Zoho's words.
mod files;

use async_trait::async_trait;
use bytes::Bytes;
use files::{round, upload};
use futures::StreamExt as _;
use http::{Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tandem_core::files::entry::{EntryKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::files::settings::Records;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::Cursor;
use tandem_ports::error::ErrorKind;
use tandem_ports::files::{CHUNK, Entry, EntryRef, FileChange, FileNext, FilePage, FileSide, FolderRef, Name, Upload};
use tandem_ports::infra::{Arriving, HttpTransport, Pieces, TransportError};
use tandem_testkit::clock::ManualClock;
use tandem_zoho::fake::FakeZoho;
use tandem_zoho::{FileOptions, ZohoFiles};

const ACCOUNT: &str = "jan@example.com";

struct World {
    clock: Arc<ManualClock>,
    fake: Arc<FakeZoho>,
    company: String,
}

impl World {
    fn new() -> World {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeZoho::new(clock.clone()).shared();
        let company = fake.user_creates(ACCOUNT, "Accounts", json!({"Account_Name": "Acme"}));
        World { clock, fake, company }
    }
    fn open(&self, transport: Arc<dyn HttpTransport>) -> ZohoFiles {
        let modules = ["contacts", "companies", "leads", "deals"].map(str::to_owned).to_vec();
        let options = FileOptions { modules, records: Records::All };
        ZohoFiles::new(transport, self.clock.clone(), "https://www.zohoapis.eu".to_owned(), options)
    }
    fn side(&self) -> ZohoFiles {
        self.open(self.fake.authorised(ACCOUNT))
    }
    fn record(&self) -> FolderRef {
        FolderRef { id: RemoteId::new(format!("Accounts:{}", self.company)), path: "Acme".to_owned() }
    }
    fn attaches(&self, name: &str, bytes: &[u8]) -> String {
        self.fake.user_attaches(ACCOUNT, "Accounts", &self.company, name, bytes)
    }
    async fn entries(&self, side: &ZohoFiles) -> Vec<Entry> {
        side.children(&[self.record()], None).await.expect("read").entries
    }
    fn reference(&self, entry: &Entry) -> EntryRef {
        EntryRef { id: entry.id.clone(), parent: self.record(), name: Name(entry.name.clone()) }
    }
}

fn content(entry: &Entry) -> Version {
    let EntryKind::File { content, .. } = &entry.kind else { panic!("a file") };
    content.clone()
}

/// Passes pieces on as they come, and knows how many bytes were under way at once.
struct Streaming {
    inner: Arc<dyn HttpTransport>,
    taken: AtomicU64,
    given: Arc<AtomicU64>,
    downloads: AtomicUsize,
}

impl Streaming {
    fn over(inner: Arc<dyn HttpTransport>) -> Arc<Streaming> {
        let (taken, given, downloads) = (AtomicU64::new(0), Arc::default(), AtomicUsize::new(0));
        Arc::new(Streaming { inner, taken, given, downloads })
    }
}

#[async_trait]
impl HttpTransport for Streaming {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.inner.send(request).await
    }
    async fn send_pieces(&self, request: Request<Pieces>) -> Result<Response<Bytes>, TransportError> {
        let (parts, mut pieces) = request.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = pieces.next().await {
            self.taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
            body.extend_from_slice(&piece);
        }
        let said = parts.headers["content-length"].to_str().ok().and_then(|length| length.parse().ok());
        assert_eq!(said, Some(body.len()), "the head says what comes");
        self.inner.send(Request::from_parts(parts, body.into())).await
    }
    async fn receive(&self, request: Request<Bytes>) -> Result<Response<Arriving>, TransportError> {
        self.downloads.fetch_add(1, Ordering::Relaxed);
        let given = Arc::clone(&self.given);
        let answer = self.inner.send(request).await?;
        Ok(answer.map(|body| -> Arriving {
            let pieces: Vec<Bytes> =
                (0..body.len()).step_by(100_000).map(|at| body.slice(at..(at + 100_000).min(body.len()))).collect();
            Box::pin(futures::stream::iter(pieces).map(move |piece| {
                given.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Ok(piece)
            }))
        }))
    }
}

#[tokio::test]
async fn a_large_file_leaves_piece_by_piece_as_one_form() {
    let world = World::new();
    let streaming = Streaming::over(world.fake.authorised(ACCOUNT));
    let side = world.open(streaming.clone());
    let size = 2 * CHUNK + 3;
    let upload = Upload { size, hashes: Hashes::none(), ..upload(&world.record(), "large.bin", &Bytes::new()) };
    let session = side.begin(&upload).await.expect("begun");
    let (mut digests, mut at) = (Digests::default(), 0);
    let chunk = Bytes::from(vec![7; usize::try_from(CHUNK).expect("fits")]);
    while at + CHUNK <= size {
        digests.update(&chunk);
        side.append(&session, &upload, at, chunk.clone()).await.expect("taken");
        at += CHUNK;
        let sent = streaming.taken.load(Ordering::Relaxed);
        assert!((at..at + 1_000).contains(&sent), "each piece is gone before the next one is asked for: {sent}");
    }
    digests.update(b"end");
    let stored = side.finish(&session, &upload, at, Bytes::from_static(b"end"), &digests.hashes()).await;
    let stored = stored.expect("stored").entry;
    let held = world.fake.attachments().pop().expect("it is there");
    assert_eq!((held.bytes.len() as u64, held.id.as_str()), (size, stored.id.as_str()));
    assert_eq!(Digests::of(&held.bytes).same(&digests.hashes()), Some(true));
}

#[tokio::test]
async fn a_large_file_arrives_as_it_is_read_in_one_request_and_begins_anew_where_it_must() {
    for ranges in [false, true] {
        let world = World::new();
        world.fake.set(|settings| settings.ranges = ranges);
        let size = 3 * CHUNK + 7;
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("small")).collect();
        world.attaches("large.bin", &bytes);
        let streaming = Streaming::over(world.fake.authorised(ACCOUNT));
        let side = world.open(streaming.clone());
        let entry = world.entries(&side).await.remove(0);
        let (reference, content) = (world.reference(&entry), content(&entry));
        let slice =
            |from: u64, to: u64| &bytes[usize::try_from(from).expect("fits")..usize::try_from(to).expect("fits")];
        for at in [0, CHUNK] {
            let read = side.read(&reference, &content, at..at + CHUNK).await.expect("read");
            assert!(read.as_ref() == slice(at, at + CHUNK));
            let given = streaming.given.load(Ordering::Relaxed);
            assert!(given < at + CHUNK + 100_000, "no more than was asked for: {given}");
        }
        assert_eq!(streaming.downloads.load(Ordering::Relaxed), 1);
        // Another job goes on in the middle.
        let side = world.open(streaming.clone());
        streaming.given.store(0, Ordering::Relaxed);
        let read = side.read(&reference, &content, 2 * CHUNK..3 * CHUNK).await.expect("read");
        assert!(read.as_ref() == slice(2 * CHUNK, 3 * CHUNK));
        let passed = streaming.given.load(Ordering::Relaxed);
        let wanted = if ranges { CHUNK } else { 3 * CHUNK };
        assert!((wanted..wanted + 100_000).contains(&passed), "ranges {ranges}: {passed}");
        let read = side.read(&reference, &content, 3 * CHUNK..size).await.expect("read");
        assert!(read.as_ref() == slice(3 * CHUNK, size));
        assert_eq!(streaming.downloads.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn more_attachments_than_a_page_are_read_and_a_link_is_no_file() {
    let world = World::new();
    let mut ids: Vec<String> = (0..450).map(|n| world.attaches(&format!("{n}.txt"), b"text")).collect();
    ids.push(world.fake.user_links(ACCOUNT, "Accounts", &world.company, "Site", "https://acme.example"));
    ids.sort();
    let mut found = world.entries(&world.side()).await;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(found.iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>(), ids);
    let links: Vec<&Entry> = found.iter().filter(|entry| entry.kind == EntryKind::Shortcut).collect();
    assert!(links.len() == 1 && links[0].name == "Site");
}

#[tokio::test]
async fn a_page_token_that_expired_begins_its_modules_list_anew() {
    let world = World::new();
    for n in 0..2_150 {
        world.fake.user_creates(ACCOUNT, "Accounts", json!({"Account_Name": format!("Company {n}")}));
    }
    let side = world.side();
    let (mut from, mut told, mut expired) = (None, std::collections::BTreeSet::new(), 0);
    loop {
        let page = side.changes(from.as_ref()).await.expect("a page");
        for change in page.changes {
            let FileChange::Upsert(entry) = change else { panic!("a record") };
            told.insert(entry.id.to_string());
        }
        match page.next {
            FileNext::CaughtUp(_) => break,
            FileNext::More(cursor) | FileNext::Paused(cursor) => {
                if cursor.0.contains("\"token\"") && expired == 0 {
                    world.fake.expire_tokens();
                    expired += 1;
                }
                from = Some(cursor);
            }
        }
        world.clock.advance(std::time::Duration::from_secs(700));
    }
    assert_eq!((told.len(), expired), (2_151, 1));
}

#[tokio::test]
async fn a_page_token_that_is_refused_though_it_is_new_is_said_and_not_begun_anew_again_and_again() {
    let world = World::new();
    for n in 0..2_150 {
        world.fake.user_creates(ACCOUNT, "Accounts", json!({"Account_Name": format!("Company {n}")}));
    }
    let side = world.side();
    // Zoho takes no page token at all.
    let goes_on = async |mut from: Option<Cursor>| {
        let mut told = 0;
        for _ in 0..200 {
            world.fake.expire_tokens();
            match side.changes(from.as_ref()).await {
                Ok(FilePage { next: FileNext::More(cursor) | FileNext::Paused(cursor), changes }) => {
                    told += changes.len();
                    from = Some(cursor);
                }
                Ok(_) => panic!("it cannot come to an end"),
                Err(refusal) => return (refusal, told, from),
            }
            world.clock.advance(std::time::Duration::from_secs(700));
        }
        panic!("{told} records, and nothing said")
    };
    let (refusal, told, at) = goes_on(None).await;
    assert_eq!(refusal.kind, ErrorKind::Permanent, "{refusal}");
    // The round twice as far as it goes without a token, and as far what was changed since.
    assert!((4_000..6_400).contains(&told), "begun anew once: {told}");
    // A token is good for a day, so a day later it may have been its age.
    world.clock.advance(std::time::Duration::from_secs(86_400));
    let (refusal, told, _) = goes_on(at).await;
    assert_eq!(refusal.kind, ErrorKind::Permanent, "{refusal}");
    assert!((2_000..4_000).contains(&told), "begun anew once more: {told}");
}

#[tokio::test]
async fn a_users_missing_right_to_a_module_leaves_the_others() {
    let world = World::new();
    let profile = world.fake.profile("No contacts", &["Crm_Implied_View_Contacts"]);
    world.fake.user(ACCOUNT, "CEO", Some(&profile));
    assert_eq!(round(&world.side()).await.len(), 1, "the company");
}

#[tokio::test]
async fn a_read_of_what_is_gone_and_a_write_to_what_is_gone_say_so() {
    let world = World::new();
    let id = world.attaches("a.txt", b"a");
    let side = world.side();
    let entry = world.entries(&side).await.remove(0);
    assert!(world.fake.user_detaches(&id));
    let read = side.read(&world.reference(&entry), &content(&entry), 0..1).await;
    assert_eq!(read.expect_err("gone").kind, ErrorKind::NotFound);
    let nowhere = FolderRef { id: RemoteId::new("Accounts:1"), path: String::new() };
    let bytes = Bytes::from_static(b"x");
    let sent = side.put(&[(upload(&nowhere, "x.txt", &bytes), bytes)]).await.expect("asked").remove(0);
    assert_eq!(sent.expect_err("gone").kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn the_fake_refuses_attachments_in_zohos_words() {
    let world = World::new();
    world.fake.set(|settings| settings.attachment_bytes = 10);
    let zoho = world.fake.authorised(ACCOUNT);
    let at = format!("/crm/v8/Accounts/{}/Attachments", world.company);
    let form = |name: &str, field: &str, text: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n{text}\r\n--b--\r\n"
        )
    };
    let asked = [
        ("GET", at.clone(), String::new(), 400, "REQUIRED_PARAM_MISSING"),
        ("GET", format!("{at}?fields=id&per_page=201"), String::new(), 400, "INVALID_DATA"),
        ("GET", "/crm/v8/Accounts/1/Attachments?fields=id".to_owned(), String::new(), 400, "INVALID_DATA"),
        ("GET", "/crm/v8/Nothing/1/Attachments?fields=id".to_owned(), String::new(), 404, "INVALID_URL_PATTERN"),
        ("GET", format!("{at}/1"), String::new(), 400, "INVALID_DATA"),
        ("DELETE", format!("{at}/1"), String::new(), 400, "INVALID_DATA"),
        ("POST", at.clone(), "no form".to_owned(), 400, "INVALID_REQUEST"),
        ("POST", at.clone(), form("a.txt", "other", "x"), 400, "INVALID_REQUEST"),
        ("POST", at.clone(), form("a.exe", "file", "x"), 400, "INVALID_DATA"),
        ("POST", at.clone(), form("a.txt", "file", "eleven more"), 400, "FILE_SIZE_MORE_THAN_ALLOWED_SIZE"),
    ];
    for (method, path, body, status, code) in asked {
        let uri = format!("https://www.zohoapis.eu{path}");
        let request =
            Request::builder().method(method).uri(uri).header("content-type", "multipart/form-data; boundary=b");
        let answer = zoho.send(request.body(body.into()).expect("a request")).await.expect("an answer");
        let told: Value = serde_json::from_slice(answer.body()).expect("JSON");
        let told = told["code"].as_str().or(told["data"][0]["code"].as_str()).map(str::to_owned);
        assert_eq!((answer.status().as_u16(), told.as_deref()), (status, Some(code)), "{method} {path}");
    }
    let uri = format!("https://www.zohoapis.eu{at}?fields=id");
    let empty = zoho.send(Request::get(uri).body(Bytes::new()).expect("a request")).await.expect("an answer");
    assert_eq!(empty.status(), 204);
}
