//! Files of Teamleader beyond the suite: what is asked for is in its own list, addresses get no token, a large file is never
//! whole in memory, pages and ranges that a provider may not have.
mod facts;

use async_trait::async_trait;
use bytes::Bytes;
use facts::Recorder;
use futures::StreamExt as _;
use http::{Request, Response};
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tandem_core::files::entry::{EntryKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::files::settings::{RecordRef, Records};
use tandem_core::record::{Marker, RemoteId};
use tandem_ports::files::{
    Attempt, CHUNK, EntryRef, FileChange, FileNext, FileSide, FolderOrFile, FolderRef, Name, Removal, Target, Upload,
};
use tandem_ports::infra::{HttpTransport, Pieces, TransportError};
use tandem_teamleader::fake::{FakeTeamleader, Strictness, Switch, UserFile};
use tandem_teamleader::{FileOptions, TeamleaderConfig, TeamleaderFiles};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

struct World {
    clock: Arc<ManualClock>,
    fake: Arc<FakeTeamleader>,
    company: String,
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

impl World {
    fn new() -> World {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeTeamleader::new(clock.clone()).shared();
        fake.set(|settings| settings.strictness = Strictness::Refuse);
        let company = fake.user_creates_company(ACCOUNT, &object(json!({"name": "Acme", "tags": ["klant"]})));
        World { clock, fake, company }
    }
    fn open(
        &self,
        records: Records,
        transport: Arc<dyn HttpTransport>,
        bare: Arc<dyn HttpTransport>,
    ) -> TeamleaderFiles {
        let modules = ["contacts", "companies", "projects", "meetings", "products"].map(str::to_owned).to_vec();
        let options = FileOptions { modules, records };
        TeamleaderFiles::new(transport, bare, self.clock.clone(), TeamleaderConfig::default(), options)
    }
    fn side(&self) -> TeamleaderFiles {
        self.open(Records::All, self.fake.authorised(ACCOUNT), self.fake.clone())
    }
    fn record(&self) -> FolderRef {
        FolderRef { id: RemoteId::new(format!("company:{}", self.company)), path: "Acme".to_owned() }
    }
    fn saves(&self, name: &str, text: &str) -> String {
        let (kind, record) = ("company".to_owned(), self.company.clone());
        let file = UserFile { kind, record, name: name.to_owned(), text: text.to_owned(), ..UserFile::default() };
        self.fake.user_saves_file(ACCOUNT, &file)
    }
}

fn upload(parent: &FolderRef, called: &str, size: u64) -> Upload {
    Upload {
        target: Target::New { id: None, parent: parent.clone(), name: Name(called.to_owned()) },
        size,
        hashes: Hashes::none(),
        content_type: "text/plain".to_owned(),
        modified_at: None,
        marker: Marker::new("row-1"),
        attempt: Attempt::First,
    }
}

async fn round(side: &TeamleaderFiles) -> Vec<FileChange> {
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
async fn whatever_we_ask_is_in_teamleaders_own_list_and_addresses_get_no_token() {
    let world = World::new();
    let product = world.fake.user_adds_record(ACCOUNT, "product", &object(json!({"name": "Crane"})));
    let project = world.fake.user_adds_record(ACCOUNT, "nextgenProject", &object(json!({"title": "Bridge"})));
    world.saves("a.txt", "a");
    let recorder = |inner: Arc<dyn HttpTransport>| Arc::new(Recorder { inner, seen: Mutex::default() });
    let (api, bare) = (recorder(world.fake.authorised(ACCOUNT)), recorder(world.fake.clone()));
    let one = |kind: &str, id: &str| RecordRef { kind: kind.to_owned(), id: id.to_owned() };
    let some = vec![one("company", &world.company), one("product", &product), one("project", &project)];
    let chosen = [Records::All, Records::Segment("tag:klant".to_owned()), Records::Some(some)];
    for (records, told) in chosen.into_iter().zip([3, 1, 3]) {
        let side = world.open(records, api.clone(), bare.clone());
        assert_eq!(round(&side).await.len(), told);
    }
    let side = world.open(Records::All, api.clone(), bare.clone());
    side.ensure_root(None, &tandem_testkit::files_conformance::new_root()).await.expect("there");
    side.choices().await.expect("listed");
    let gone = RemoteId::new("product:00000000-0000-4000-a000-000000000009");
    side.records(&[world.record().id, gone]).await.expect("asked");
    let bytes = Bytes::from_static(b"new");
    let file = Upload { hashes: Digests::of(&bytes), ..upload(&world.record(), "new.txt", 3) };
    let stored = side.put(&[(file, bytes)]).await.expect("sent").remove(0).expect("stored").entry;
    let EntryKind::File { content, .. } = &stored.kind else { panic!("a file") };
    let entry = EntryRef { id: stored.id.clone(), parent: world.record(), name: Name(stored.name.clone()) };
    assert_eq!(side.read(&entry, content, 0..3).await.expect("read").as_ref(), b"new");
    side.remove(&[Removal { entry, folder: FolderOrFile::File, expect: stored.version }]).await.expect("removed");
    let methods = facts::in_the_list(&api.seen.lock().expect("not poisoned"));
    let wanted = [
        "accounts.projects-v2-status",
        "companies.list",
        "contacts.list",
        "files.delete",
        "files.download",
        "files.info",
        "files.list",
        "files.upload",
        "meetings.list",
        "products.info",
        "products.list",
        "projects-v2/projects.list",
        "tags.list",
        "users.me",
    ];
    assert!(methods.iter().eq(wanted), "{methods:?}");
    let bare = bare.seen.lock().expect("not poisoned");
    assert_eq!(bare.iter().map(|request| request.method().as_str()).collect::<Vec<_>>(), ["POST", "GET"]);
    assert!(bare.iter().all(|request| request.headers().get("authorization").is_none()));
}

/// Takes pieces as they come and keeps none but the largest number that was waiting.
struct Streaming {
    fake: Arc<FakeTeamleader>,
    pieces: AtomicUsize,
    largest: AtomicUsize,
}

#[async_trait]
impl HttpTransport for Streaming {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.fake.send(request).await
    }
    async fn send_pieces(&self, request: Request<Pieces>) -> Result<Response<Bytes>, TransportError> {
        let (parts, mut pieces) = request.into_parts();
        let mut digests = Digests::default();
        while let Some(piece) = pieces.next().await {
            self.pieces.fetch_add(1, Ordering::Relaxed);
            self.largest.fetch_max(piece.len(), Ordering::Relaxed);
            digests.update(&piece);
        }
        assert_eq!(parts.headers["content-length"].to_str().ok(), Some(digests.len().to_string().as_str()));
        Ok(Response::builder().status(204).body(Bytes::new()).expect("a response"))
    }
}

#[tokio::test]
async fn a_large_file_leaves_piece_by_piece_in_one_request() {
    let world = World::new();
    let (pieces, largest) = (AtomicUsize::default(), AtomicUsize::default());
    let bare = Arc::new(Streaming { fake: world.fake.clone(), pieces, largest });
    let side = world.open(Records::All, world.fake.authorised(ACCOUNT), bare.clone());
    let size = 4 * CHUNK + 3;
    let upload = upload(&world.record(), "large.bin", size);
    let session = side.begin(&upload).await.expect("begun");
    let (mut digests, mut at) = (Digests::default(), 0);
    let chunk = Bytes::from(vec![7; usize::try_from(CHUNK).expect("fits")]);
    while at + CHUNK <= size {
        digests.update(&chunk);
        side.append(&session, &upload, at, chunk.clone()).await.expect("taken");
        at += CHUNK;
        let sent = bare.pieces.load(Ordering::Relaxed) as u64 * CHUNK;
        assert_eq!(sent, at, "each piece is gone before the next one is asked for");
    }
    digests.update(b"end");
    let end = side.finish(&session, &upload, at, Bytes::from_static(b"end"), &digests.hashes()).await;
    // This double keeps nothing, so the list never shows the file: which is said, and not taken for a success.
    assert_eq!(end.expect_err("not shown").kind, tandem_ports::error::ErrorKind::Retryable);
    assert_eq!((bare.pieces.load(Ordering::Relaxed), bare.largest.load(Ordering::Relaxed) as u64), (5, CHUNK));
}

#[tokio::test]
async fn more_files_than_a_page_are_read_whatever_most_a_page_has_and_parts_of_bytes_without_ranges() {
    let world = World::new();
    let mut ids: Vec<String> = (0..73).map(|n| world.saves(&format!("{n}.txt"), &format!("text {n}"))).collect();
    ids.sort();
    for most in [20, 25, 50, 100] {
        world.fake.set(|settings| settings.most_rows = most);
        let page = world.side().children(&[world.record()], None).await.expect("read");
        let mut found: Vec<String> = page.entries.iter().map(|entry| entry.id.to_string()).collect();
        found.sort();
        assert_eq!(found, ids, "{most} a page");
    }
    world.fake.set(|settings| settings.ranges = Switch::No);
    let side = world.side();
    let page = side.children(&[world.record()], None).await.expect("read");
    let entry = page.entries.iter().find(|entry| entry.name == "7.txt").expect("there");
    let EntryKind::File { content, .. } = &entry.kind else { panic!("a file") };
    let reference = EntryRef { id: entry.id.clone(), parent: world.record(), name: Name(entry.name.clone()) };
    assert_eq!(side.read(&reference, content, 2..6).await.expect("read").as_ref(), b"xt 7");
}

#[tokio::test]
async fn a_users_missing_right_to_a_module_leaves_the_others() {
    let world = World::new();
    world.fake.set(|settings| settings.projects = "legacy".to_owned());
    world.fake.allow(ACCOUNT, tandem_teamleader::fake::Right::NoContacts);
    let told = round(&world.side()).await;
    assert_eq!(told.len(), 1, "the company");
}
