//! Documents beyond the suite: what is asked for, addresses that end, records that are not shown, and what the fake refuses.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::files::entry::EntryKind;
use tandem_core::files::settings::{RecordRef, Records};
use tandem_core::record::{RemoteId, Version};
use tandem_ports::files::{CHUNK, Entry, EntryRef, FileChange, FileNext, FileSide, FolderRef, Name};
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_sell::fake::FakeSell;
use tandem_sell::{FileOptions, SellConfig, SellDocuments};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

struct Recorder {
    inner: Arc<dyn HttpTransport>,
    seen: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.seen.lock().expect("not poisoned").push(request.clone());
        self.inner.send(request).await
    }
}

struct World {
    clock: Arc<ManualClock>,
    fake: Arc<FakeSell>,
    company: u64,
}

impl World {
    fn new() -> World {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeSell::new(clock.clone()).shared();
        // Several connectors of one token do not see each other's pace.
        fake.set(|settings| settings.per_second = 0);
        let world = World { clock, fake, company: 0 };
        let company = world.makes("contacts", &json!({"name": "Acme", "is_organization": true, "tags": ["klant"]}));
        World { company, ..world }
    }
    fn makes(&self, path: &str, data: &Value) -> u64 {
        let body = json!({"account": ACCOUNT, "data": data});
        self.fake.order("POST", path, &body)["data"]["id"].as_u64().expect("an id")
    }
    fn open(&self, records: Records, api: Arc<dyn HttpTransport>, bare: Arc<dyn HttpTransport>) -> SellDocuments {
        let modules = ["contacts", "companies", "leads", "deals"].map(str::to_owned).to_vec();
        let options = FileOptions { modules, records };
        SellDocuments::new(api, bare, self.clock.clone(), SellConfig::default(), options)
    }
    fn side(&self) -> SellDocuments {
        self.open(Records::All, self.fake.authorised(ACCOUNT), self.fake.clone())
    }
    fn record(&self) -> FolderRef {
        FolderRef { id: RemoteId::new(format!("contact:{}", self.company)), path: "Acme".to_owned() }
    }
    async fn entries(&self, side: &SellDocuments) -> Vec<Entry> {
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

async fn round(side: &SellDocuments) -> Vec<FileChange> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = side.changes(from.as_ref()).await.expect("a page");
        all.extend(page.changes);
        match page.next {
            FileNext::More(cursor) => from = Some(cursor),
            FileNext::CaughtUp(_) | FileNext::Paused(_) => return all,
        }
    }
}

#[tokio::test]
async fn sell_is_only_read_and_the_addresses_of_bytes_get_no_token() {
    /// The parameters that Zendesk's page on documents names, and those of its lists.
    const KNOWN: [&str; 7] = ["resource_type", "resource_id", "page", "per_page", "sort_by", "ids", "is_organization"];
    let world = World::new();
    world.makes("leads", &json!({"last_name": "Maes", "tags": ["klant"]}));
    world.fake.user_uploads(ACCOUNT, ("contact", world.company), "a.txt", b"text");
    let recorder = |inner: Arc<dyn HttpTransport>| Arc::new(Recorder { inner, seen: Mutex::default() });
    let (api, bare) = (recorder(world.fake.authorised(ACCOUNT)), recorder(world.fake.clone()));
    let some = vec![RecordRef { kind: "company".to_owned(), id: world.company.to_string() }];
    for (records, told) in [(Records::All, 2), (Records::Segment("tag:klant".to_owned()), 2), (Records::Some(some), 1)]
    {
        assert_eq!(round(&world.open(records, api.clone(), bare.clone())).await.len(), told);
    }
    let side = world.open(Records::All, api.clone(), bare.clone());
    let gone = RemoteId::new("deal:7");
    let became = side.records(&[world.record().id, gone.clone()]).await.expect("asked");
    assert!(matches!(&became[0], FileChange::Upsert(entry) if entry.name == "Acme"));
    assert!(matches!(&became[1], FileChange::Outside { id } if *id == gone), "whether it was deleted is not said");
    let entry = world.entries(&side).await.remove(0);
    let read = side.read(&world.reference(&entry), &content(&entry), 1..4).await.expect("read");
    assert_eq!(read.as_ref(), b"ext");
    let seen = api.seen.lock().expect("not poisoned");
    for request in seen.iter() {
        assert_eq!(request.method(), "GET");
        for (name, _) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            assert!(KNOWN.contains(&name.as_ref()), "{name} in {}", request.uri());
        }
    }
    let bare = bare.seen.lock().expect("not poisoned");
    assert!(bare.len() == 1 && bare[0].headers().get("authorization").is_none());
}

#[tokio::test]
async fn an_address_that_ended_is_asked_for_anew_and_reading_goes_on_where_it_may() {
    for ranges in [false, true] {
        let world = World::new();
        world.fake.set(|settings| settings.ranges = ranges);
        let bytes: Vec<u8> = (0..2 * CHUNK + 7).map(|at| u8::try_from(at % 251).expect("small")).collect();
        world.fake.user_uploads(ACCOUNT, ("contact", world.company), "large.bin", &bytes);
        let bare = Arc::new(Recorder { inner: world.fake.clone(), seen: Mutex::default() });
        let open = || world.open(Records::All, world.fake.authorised(ACCOUNT), bare.clone());
        let side = open();
        let entry = world.entries(&side).await.remove(0);
        let (reference, content) = (world.reference(&entry), content(&entry));
        let half = usize::try_from(CHUNK).expect("fits");
        assert!(side.read(&reference, &content, 0..CHUNK).await.expect("read").as_ref() == &bytes[..half]);
        world.clock.advance(Duration::from_secs(91 * 60));
        let side = open();
        let rest = side.read(&reference, &content, CHUNK..2 * CHUNK).await.expect("read");
        assert!(rest.as_ref() == &bytes[half..2 * half], "ranges {ranges}");
        let rest = side.read(&reference, &content, 2 * CHUNK..2 * CHUNK + 7).await.expect("read");
        assert!(rest.as_ref() == &bytes[2 * half..]);
        let addresses: Vec<String> =
            bare.seen.lock().expect("not poisoned").iter().map(|request| request.uri().path().to_owned()).collect();
        assert!(addresses.len() == 2 && addresses[0] != addresses[1], "{addresses:?}");
    }
}

#[tokio::test]
async fn one_record_that_is_not_shown_stops_no_other_of_its_call() {
    let world = World::new();
    let other = world.makes("contacts", &json!({"last_name": "Peeters"}));
    for id in [world.company, other] {
        world.fake.user_uploads(ACCOUNT, ("contact", id), &format!("{id}.txt"), b"text");
    }
    let folder = |id: u64| FolderRef { id: RemoteId::new(format!("contact:{id}")), path: String::new() };
    let folders = [folder(world.company), folder(7), folder(other)];
    let page = world.side().children(&folders, None).await.expect("read");
    let names: Vec<String> = page.entries.iter().map(|entry| entry.name.clone()).collect();
    assert_eq!(names, [format!("{}.txt", world.company), format!("{other}.txt")]);
}

#[tokio::test]
async fn more_documents_than_a_page_are_read() {
    let world = World::new();
    for n in 0..230 {
        world.fake.user_uploads(ACCOUNT, ("contact", world.company), &format!("{n}.txt"), b"text");
    }
    assert_eq!(world.entries(&world.side()).await.len(), 230);
}

#[tokio::test]
async fn the_fake_refuses_what_sell_refuses() {
    let world = World::new();
    let sell = world.fake.authorised(ACCOUNT);
    let asked = [
        ("GET", "/v2/documents".to_owned(), 400),
        ("GET", "/v2/documents?resource_type=contact".to_owned(), 400),
        ("GET", format!("/v2/documents?resource_type=shoe&resource_id={}", world.company), 400),
        ("GET", format!("/v2/documents?resource_type=contact&resource_id={}&per_page=101", world.company), 400),
        ("GET", format!("/v2/documents?resource_type=contact&resource_id={}", world.company), 200),
        ("GET", "/v2/documents/7".to_owned(), 404),
        ("POST", "/v2/documents".to_owned(), 404),
        ("DELETE", "/v2/documents/7".to_owned(), 404),
    ];
    for (method, path, status) in asked {
        let uri = format!("https://api.getbase.com{path}");
        let request = Request::builder().method(method).uri(uri).header("user-agent", "test");
        let answer = sell.send(request.body(Bytes::new()).expect("a request")).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
    }
}
