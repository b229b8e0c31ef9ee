//! Files between the built-in CRM and Dropbox or Drive, with the connectors themselves against the providers in memory.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use async_trait::async_trait;
use bytes::Bytes;
use scenarios::object;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_builtin::files::{BuiltinFiles, FileOptions};
use tandem_builtin::users::{NewUser, Role, User, Users};
use tandem_builtin::{Crm, Files, Kind as CrmKind};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, Side, SyncId, UserId};
use tandem_dropbox::fake::{FakeDropbox, Switch, UserFile};
use tandem_dropbox::{DropboxConfig, DropboxFiles};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening};
use tandem_google::fake::FakePeople;
use tandem_google::{GoogleConfig, GoogleDrive};
use tandem_ports::blobs::{BlobKey, BlobStore};
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::FileSide;
use tandem_ports::infra::{Clock, HttpTransport, Kind, TransportError};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::run::{Run, RunState};
use tandem_store::sync::{Sync, SyncState};
use tandem_testkit::blobs::MemoryBlobs;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;

const ACCOUNT: &str = "jan@example.com";

/// Everything that is asked of a provider, as text: addresses and bodies.
struct Listening {
    provider: Arc<dyn HttpTransport>,
    heard: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl HttpTransport for Listening {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let text = format!("{} {}", request.uri(), String::from_utf8_lossy(request.body()));
        self.heard.lock().unwrap().push(text);
        self.provider.send(request).await
    }
}

/// What opens both sides.
struct Opened {
    table: Arc<MemoryTable>,
    clock: Arc<ManualClock>,
    blobs: Arc<MemoryBlobs>,
    dropbox: Arc<FakeDropbox>,
    google: Arc<FakePeople>,
    /// What the user has granted at Google; all, where nothing is named.
    granted: Mutex<Vec<&'static str>>,
    heard: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Connectors for Opened {
    async fn open(&self, _ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        Err(ConnectorError::new("story", "open", ErrorKind::Forbidden, "there are only files here"))
    }
    async fn open_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        if ask.side == Side::Left {
            let files = ask.settings.files.as_ref().unwrap();
            let options = FileOptions { modules: files.modules.clone(), records: files.records.clone() };
            let who = (ask.connection.account.id.as_str(), ask.connection.user.as_str());
            let (table, clock, blobs) = (self.table.clone(), self.clock.clone(), self.blobs.clone());
            return Ok(Arc::new(BuiltinFiles::open(table, clock, blobs, who, options).await?));
        }
        let listening = |provider| Arc::new(Listening { provider, heard: Arc::clone(&self.heard) });
        Ok(match ask.connection.provider.as_str() {
            "dropbox" => {
                Arc::new(DropboxFiles::new(listening(self.dropbox.authorised(ACCOUNT)), DropboxConfig::default()))
            }
            _ => {
                let transport = self.google.authorised_for(ACCOUNT, &self.granted.lock().unwrap());
                Arc::new(GoogleDrive::new(listening(transport), GoogleConfig::default()))
            }
        })
    }
}

struct Story {
    opened: Arc<Opened>,
    queue: Arc<MemoryQueue>,
    engine: Engine,
    store: Store,
    crm: Crm,
    files: Files,
    admin: User,
    company: String,
    remote: &'static str,
}

impl Story {
    async fn begins(remote: &'static str, settings: Value) -> Story {
        let (clock, table) = (Arc::new(ManualClock::default()), Arc::new(MemoryTable::default()));
        let new = NewUser { account: "acme", email: "an@acme.test", name: "An", role: Role::Administrator };
        let admin = Users::new(table.clone(), clock.clone()).create(new).await.unwrap();
        let (crm, blobs) = (Crm::new(table.clone(), clock.clone()), Arc::new(MemoryBlobs::default()));
        let opened = Arc::new(Opened {
            dropbox: FakeDropbox::new(clock.clone()).shared(),
            google: FakePeople::new(clock.clone()).shared(),
            table: table.clone(),
            clock: clock.clone(),
            blobs: blobs.clone(),
            granted: Mutex::default(),
            heard: Arc::default(),
        });
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
        let store = Store::new(table);
        let config = EngineConfig::default();
        let secrets = Arc::new(MemorySecrets);
        let engine = Engine::new(store.clone(), queue.clone(), clock, secrets, opened.clone(), config);
        let company = crm.create(&admin, CrmKind::Company, &object(json!({"name": "Acme"}))).await.unwrap().id;
        let files = Files::new(crm.clone(), blobs);
        let story = Story { opened, queue, engine, store, crm, files, admin, company, remote };
        story.seed(settings).await;
        story
    }

    async fn seed(&self, settings: Value) {
        let (user, now) = (UserId::new(&self.admin.id), self.opened.clock.now());
        for (id, provider, account) in [("crm", "builtin", "acme"), ("remote", self.remote, ACCOUNT)] {
            let connection = Connection {
                account: Account { id: account.to_owned(), ..Account::default() },
                state: ConnectionState::Connected,
                ..Connection::new(ConnectionId::new(id), user.clone(), provider, now)
            };
            self.store.create_connection(&connection).await.unwrap();
        }
        let profile = if self.remote == "dropbox" { "teamleader-dropbox" } else { "teamleader-google-drive" };
        let sync = Sync {
            id: SyncId::new("sync-1"),
            user,
            profile: profile.to_owned(),
            kind: Kind::Files,
            crm: ConnectionId::new("crm"),
            remote: ConnectionId::new("remote"),
            settings: object(settings),
            enabled: true,
            state: SyncState::Idle,
            reason: None,
            current_run: None,
            last_run: None,
            next_due_at: Some(now),
            fingerprint_key: FingerprintKey::new("a key for the simulation, 32 bytes"),
            created_at: now,
            settings_version: 0,
        };
        self.store.create_sync(&sync).await.unwrap();
    }

    /// One run by schedule to its end.
    async fn run(&self) -> Run {
        let clock = &self.opened.clock;
        clock.advance(Duration::from_secs(7_300));
        self.engine.fan_out_shards(Kind::Files).await.unwrap();
        for _ in 0..100 {
            while let Some(job) = self.queue.take(0) {
                let budget = Budget::of(clock.clone(), Duration::from_secs(50));
                self.engine.work(&job, &budget).await.unwrap();
                clock.advance(Duration::from_secs(1));
            }
            let sync = self.store.sync(&SyncId::new("sync-1")).await.unwrap().unwrap();
            if sync.current_run.is_none() && self.queue.is_empty() {
                return self.store.run(&sync.last_run.unwrap()).await.unwrap().unwrap();
            }
            clock.advance(Duration::from_secs(60));
        }
        panic!("the sync never comes to rest");
    }

    async fn crm_saves(&self, folder: &str, name: &str, bytes: &'static [u8]) {
        self.crm_saves_at(("company", &self.company), folder, name, bytes).await;
    }

    async fn crm_saves_at(&self, (kind, id): (&str, &str), folder: &str, name: &str, bytes: &'static [u8]) {
        let subject = json!({"type": kind, "id": id});
        let input = object(json!({"subject": subject, "folder": folder, "name": name}));
        let begun = self.files.begin(&self.admin, &input).await.unwrap();
        self.arrive(&begun.address.url, bytes).await;
    }

    async fn arrive(&self, url: &str, bytes: &'static [u8]) {
        let key = BlobKey(url.trim_start_matches("memory://").to_owned());
        self.opened.blobs.put(&key, Bytes::from_static(bytes)).await.unwrap();
        self.files.settle(&self.admin).await.unwrap();
    }

    /// The company's files and folders by path: id and bytes.
    async fn crm(&self) -> BTreeMap<String, (String, String)> {
        self.crm_at(&self.company).await
    }

    /// A record's files and folders by path: id and bytes.
    async fn crm_at(&self, record: &str) -> BTreeMap<String, (String, String)> {
        let (items, _) = self.files.list(&self.admin, record, None).await.unwrap();
        let mut all = BTreeMap::new();
        for item in items {
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            let path = format!("{}/{}", text("folder"), text("name")).trim_start_matches('/').to_owned();
            let mut bytes = String::new();
            if let Ok(address) = self.files.content(&self.admin, &text("id")).await {
                let key = BlobKey(address.url.trim_start_matches("memory://").to_owned());
                let size = self.opened.blobs.size(&key).await.unwrap().unwrap();
                bytes = String::from_utf8(self.opened.blobs.get(&key, 0..size).await.unwrap().to_vec()).unwrap();
            }
            all.insert(path, (text("id"), bytes));
        }
        all
    }

    /// Bytes at the remote, by the path below the company's folder.
    fn remote(&self, path: &str) -> Option<String> {
        self.remote_at(&format!("Companies/Acme (1)/{path}"))
    }

    /// Bytes at the remote, by the path below the root.
    fn remote_at(&self, path: &str) -> Option<String> {
        let bytes = match self.remote {
            "dropbox" => self.opened.dropbox.bytes(ACCOUNT, &format!("/{path}")),
            _ => self.opened.google.drive_bytes(ACCOUNT, &format!("Teamleader/{path}")),
        };
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// A person saves a file at the remote.
    fn remote_saves(&self, path: &str, text: &str) {
        if self.remote == "dropbox" {
            let file = UserFile { path: format!("/{path}"), text: text.to_owned(), ..UserFile::default() };
            return self.opened.dropbox.user_saves(ACCOUNT, &file);
        }
        let files = json!([{"path": format!("Teamleader/{path}"), "text": text}]);
        self.opened.google.drive_does("files", &json!({"account": ACCOUNT, "files": files}));
    }

    /// A call of the remote's own API, as another program of the user makes it.
    async fn ask(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let transport = match self.remote {
            "dropbox" => self.opened.dropbox.authorised(ACCOUNT),
            _ => self.opened.google.authorised(ACCOUNT),
        };
        transport.send(request).await.unwrap()
    }

    /// A file of Drive's by its name, as Drive shows it.
    fn drive_file(&self, name: &str) -> Value {
        let all = self.opened.google.drive_state(ACCOUNT);
        all["files"].as_array().unwrap().iter().find(|file| file["name"] == name).unwrap().clone()
    }
}

#[tokio::test]
async fn f01_to_f07_files_travel_from_the_crm_with_their_edits_and_deletions() {
    for remote in ["dropbox", "google"] {
        let story = Story::begins(remote, json!({})).await;
        story.crm_saves("Plans", "plan.txt", b"plan").await;
        story.crm_saves("", "offer.txt", b"offer").await;
        let run = story.run().await;
        assert_eq!(run.state, RunState::Done, "{remote}: {run:?}");
        assert_eq!(story.remote("Plans/plan.txt").as_deref(), Some("plan"), "{remote}");
        assert_eq!(story.remote("offer.txt").as_deref(), Some("offer"), "{remote}");
        let quiet = story.run().await;
        assert_eq!((quiet.state, quiet.counts.writes()), (RunState::Done, 0), "{remote}");
        let before = story.crm().await;
        let again = story.files.begin_replacement(&story.admin, &before["offer.txt"].0).await.unwrap();
        story.arrive(&again.address.url, b"a better offer").await;
        story.files.remove(&story.admin, &before["Plans/plan.txt"].0, None).await.unwrap();
        story.run().await;
        assert_eq!(story.remote("offer.txt").as_deref(), Some("a better offer"), "{remote}");
        assert_eq!(story.remote("Plans/plan.txt"), None, "{remote}");
        assert_eq!(story.run().await.counts.writes(), 0, "{remote}");
        assert!(story.crm.get(&story.admin, CrmKind::Company, &story.company).await.is_ok());
    }
}

#[tokio::test]
async fn f02_to_f09_what_people_do_in_dropbox_reaches_the_crm_and_a_deletion_does_not() {
    let story = Story::begins("dropbox", json!({})).await;
    story.crm_saves("", "offer.txt", b"offer").await;
    story.run().await;
    let dropbox = &story.opened.dropbox;
    let save = |path: &str, text: &str| story.remote_saves(&format!("Companies/Acme (1)/{path}"), text);
    let id = story.crm().await["offer.txt"].0.clone();
    save("offer.txt", "as edited in Dropbox");
    save("New/note.txt", "note");
    story.run().await;
    let there = story.crm().await;
    assert_eq!(there["offer.txt"], (id.clone(), "as edited in Dropbox".to_owned()));
    assert_eq!(there["New/note.txt"].1, "note");
    dropbox.user_moves(ACCOUNT, "/Companies/Acme (1)/offer.txt", "/Companies/Acme (1)/signed.txt");
    story.run().await;
    let there = story.crm().await;
    assert_eq!(there.get("signed.txt").map(|(_, bytes)| bytes.as_str()), Some("as edited in Dropbox"), "{there:?}");
    assert!(dropbox.user_deletes(ACCOUNT, "/Companies/Acme (1)/New/note.txt"));
    story.run().await;
    assert_eq!(story.crm().await["New/note.txt"].1, "note", "it stays in the CRM");
    assert_eq!(story.remote("New/note.txt"), None, "and is not put back");
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn what_dropbox_tells_before_its_folder_is_told_comes_to_its_place_and_nothing_is_lost() {
    for page in [1, 2, 3, 2000] {
        let story = Story::begins("dropbox", json!({})).await;
        let dropbox = &story.opened.dropbox;
        dropbox.set(|settings| (settings.children_first, settings.page) = (Switch::Yes, page));
        let save = |path: &str, text: &str| story.remote_saves(&format!("Companies/Acme (1)/{path}"), text);
        let within = |path: &str| format!("/Companies/Acme (1)/{path}");
        let rests = async |expected: &[(&str, &str)]| {
            for _ in 0..2 {
                assert_eq!(story.run().await.state, RunState::Done);
            }
            let (crm, quiet) = (story.crm().await, story.run().await);
            let files: Vec<(&str, &str)> = crm
                .iter()
                .filter(|(_, (_, text))| !text.is_empty())
                .map(|(path, (_, text))| (&**path, &**text))
                .collect();
            assert_eq!((files, quiet.counts.writes()), (expected.to_vec(), 0), "pages of {page}: {quiet:?}");
            for (path, text) in expected {
                assert_eq!(story.remote(path).as_deref(), Some(*text), "pages of {page}");
            }
        };
        // The first listing finds what was there before the sync.
        save("Deep/Er/Deepest/a.txt", "a");
        save("Deep/b.txt", "b");
        story.crm_saves("Plans", "plan.txt", b"plan").await;
        rests(&[("Deep/Er/Deepest/a.txt", "a"), ("Deep/b.txt", "b"), ("Plans/plan.txt", "plan")]).await;
        // New folders, a folder that moves with all that is in it, and a file that goes into a folder told after it.
        save("New/Within/c.txt", "c");
        dropbox.user_moves(ACCOUNT, &within("Deep"), &within("New/Within/Moved"));
        dropbox.user_moves(ACCOUNT, &within("Plans/plan.txt"), &within("New/plan.txt"));
        story.crm_saves("Plans", "other.txt", b"other").await;
        let moved = [
            ("New/Within/Moved/Er/Deepest/a.txt", "a"),
            ("New/Within/Moved/b.txt", "b"),
            ("New/Within/c.txt", "c"),
            ("New/plan.txt", "plan"),
            ("Plans/other.txt", "other"),
        ];
        rests(&moved).await;
        // Everything is listed again.
        dropbox.expire_cursors();
        rests(&moved).await;
    }
}

#[tokio::test]
async fn a_full_dropbox_takes_nothing_more_and_the_run_says_so_once() {
    let story = Story::begins("dropbox", json!({})).await;
    story.crm_saves("", "offer.txt", b"offer").await;
    story.run().await;
    let dropbox = &story.opened.dropbox;
    story.crm_saves("", "new.txt", b"no room for this").await;
    let again = story.files.begin_replacement(&story.admin, &story.crm().await["offer.txt"].0).await.unwrap();
    story.arrive(&again.address.url, b"a longer offer").await;
    story.remote_saves("Companies/Acme (1)/theirs.txt", "theirs");
    dropbox.set(|settings| settings.space = 12);
    let run = story.run().await;
    let error = run.error.unwrap();
    assert_eq!((run.state, error.code.as_str(), run.counts.remote.failing), (RunState::Done, "storage_full", 0));
    assert!(error.message.contains("this Dropbox is full"), "{}", error.message);
    assert_eq!(story.crm().await["theirs.txt"].1, "theirs");
    assert_eq!((story.remote("new.txt"), story.remote("offer.txt")), (None, Some("offer".to_owned())));
    dropbox.set(|settings| settings.space = 1 << 40);
    story.opened.clock.advance(Duration::from_secs(3_600));
    assert_eq!(story.run().await.error, None);
    assert_eq!(story.remote("new.txt").as_deref(), Some("no room for this"));
    assert_eq!(story.remote("offer.txt").as_deref(), Some("a longer offer"));
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn files_from_the_crm_alone_need_no_more_of_drive_than_the_files_that_we_made() {
    let story = Story::begins("google", json!({"direction": "crm_to_remote"})).await;
    *story.opened.granted.lock().unwrap() = vec![tandem_google::auth::SCOPE_DRIVE_FILE];
    story.remote_saves("Companies/Acme (1)/theirs.txt", "theirs");
    story.crm_saves("Plans", "plan.txt", b"plan").await;
    story.crm_saves("", "offer.txt", b"offer").await;
    let run = story.run().await;
    assert_eq!((run.state, run.error.clone(), run.counts.remote.failing), (RunState::Done, None, 0), "{run:?}");
    let before = story.crm().await;
    let again = story.files.begin_replacement(&story.admin, &before["offer.txt"].0).await.unwrap();
    story.arrive(&again.address.url, b"a better offer").await;
    story.files.remove(&story.admin, &before["Plans/plan.txt"].0, None).await.unwrap();
    let run = story.run().await;
    assert_eq!((run.counts.remote.updated, run.counts.remote.deleted), (1, 1), "{run:?}");
    let named = |name: &str| {
        let all = story.opened.google.drive_state(ACCOUNT);
        let files = all["files"].as_array().unwrap().clone();
        files.into_iter().filter(|file| file["name"] == name && file["trashed"] != true).count()
    };
    assert_eq!((named("offer.txt"), named("plan.txt"), named("theirs.txt")), (1, 0, 1));
    // What we made is seen again in a full listing, and what others made is neither seen nor touched.
    story.opened.google.expire_cursors();
    assert_eq!(story.run().await.counts.writes(), 0);
    assert!(!story.crm().await.contains_key("theirs.txt"));
}

#[tokio::test]
async fn s2_30_every_module_has_its_folder_meetings_and_products_too_and_files_travel_both_ways() {
    for remote in ["dropbox", "google"] {
        let story = Story::begins(remote, json!({})).await;
        let times = ("2026-02-02T09:00:00Z", "2026-02-02T10:00:00Z");
        let records = [
            (CrmKind::Contact, json!({"first_name": "Ann", "last_name": "Peeters"}), "Contacts/Ann Peeters"),
            (CrmKind::Project, json!({"name": "Bridge", "edit_rights": "everyone"}), "Projects/Bridge"),
            (CrmKind::Meeting, json!({"title": "Kick-off", "start": times.0, "end": times.1}), "Meetings/Kick-off"),
            (CrmKind::Product, json!({"name": "Crane"}), "Products/Crane"),
        ];
        let mut made = Vec::new();
        for (kind, body, folder) in records {
            let record = story.crm.create(&story.admin, kind, &object(body)).await.unwrap();
            story.crm_saves_at((kind.word(), &record.id), "Plans", "plan.txt", b"plan").await;
            made.push((record.id, format!("{folder} ({})", record.number)));
        }
        let run = story.run().await;
        assert_eq!((run.state, run.counts.crm.excluded), (RunState::Done, 0), "{remote}: {run:?}");
        for (_, folder) in &made {
            assert_eq!(story.remote_at(&format!("{folder}/Plans/plan.txt")).as_deref(), Some("plan"), "{folder}");
            story.remote_saves(&format!("{folder}/Plans/answer.txt"), "answer");
        }
        story.run().await;
        for (id, folder) in &made {
            let there = story.crm_at(id).await;
            assert_eq!(there.get("Plans/answer.txt").map(|(_, bytes)| bytes.as_str()), Some("answer"), "{folder}");
        }
        // A meeting that is deleted takes its files along, and so its folder at the remote.
        story.crm.delete(&story.admin, CrmKind::Meeting, &made[2].0, None).await.unwrap();
        story.run().await;
        assert_eq!(story.remote_at(&format!("{}/Plans/plan.txt", made[2].1)), None, "{remote}");
        assert_eq!(story.remote_at(&format!("{}/Plans/plan.txt", made[3].1)).as_deref(), Some("plan"), "{remote}");
    }
}

#[tokio::test]
async fn s2_33_other_folders_of_drive_stay_untouched_and_no_request_names_them() {
    let story = Story::begins("google", json!({"on_remote_delete": "propagate"})).await;
    let google = &story.opened.google;
    // Also a folder that is called like ours, with what looks like a company's.
    let paths =
        ["diary.txt", "Private/letter.txt", "Teamleader/Companies/Acme (1)/mine.txt", "Companies/Acme (1)/x.txt"];
    let files: Vec<Value> = paths.iter().map(|path| json!({"path": path, "text": format!("{path} is mine")})).collect();
    google.drive_does("files", &json!({"account": ACCOUNT, "files": files}));
    let known = google.drive_state(ACCOUNT)["files"].as_array().unwrap().clone();
    story.crm_saves("Plans", "plan.txt", b"plan").await;
    story.run().await;
    let ours = story.drive_file("plan.txt");
    assert!(known.iter().all(|file| file["id"] != ours["id"]));
    // What happens there while we look on is none of our business either.
    google.drive_does("files", &json!({"account": ACCOUNT, "files": [{"path": "Private/letter.txt", "text": "Dear"}]}));
    google.drive_does("move", &json!({"account": ACCOUNT, "from": "diary.txt", "to": "Private/diary.txt"}));
    google.drive_does("trash", &json!({"account": ACCOUNT, "path": "Companies/Acme (1)/x.txt"}));
    let now = google.drive_state(ACCOUNT);
    let before: Vec<&Value> = now["files"].as_array().unwrap().iter().filter(|file| is_one(file, &known)).collect();
    let own = story.crm().await["Plans/plan.txt"].0.clone();
    story.files.remove(&story.admin, &own, None).await.unwrap();
    for _ in 0..3 {
        assert_eq!(story.run().await.state, RunState::Done);
    }
    let after = google.drive_state(ACCOUNT);
    let after: Vec<&Value> = after["files"].as_array().unwrap().iter().filter(|file| is_one(file, &known)).collect();
    assert_eq!(after, before, "as they were, to the version");
    assert_eq!(google.drive_bytes(ACCOUNT, "Private/letter.txt").unwrap(), b"Dear");
    assert_eq!(story.crm().await.keys().collect::<Vec<_>>(), ["Plans"], "nothing of theirs is in the CRM");
    let heard = story.opened.heard.lock().unwrap();
    assert!(heard.len() > 10);
    for file in &known {
        let id = file["id"].as_str().unwrap();
        let named = heard.iter().find(|request| request.contains(id));
        assert!(named.is_none() || file["parents"].is_null(), "{file}: {named:?}");
    }
}

fn is_one(file: &Value, known: &[Value]) -> bool {
    known.iter().any(|one| one["id"] == file["id"])
}

#[tokio::test]
async fn f22_what_is_written_over_or_removed_can_be_had_back_at_the_remote() {
    let crm_changes = async |story: &Story| {
        let there = story.crm().await;
        let again = story.files.begin_replacement(&story.admin, &there["offer.txt"].0).await.unwrap();
        story.arrive(&again.address.url, b"a worse offer").await;
        story.files.remove(&story.admin, &there["plan.txt"].0, None).await.unwrap();
        assert_eq!(story.run().await.counts.remote.deleted, 1);
        assert_eq!(story.remote("offer.txt").as_deref(), Some("a worse offer"));
        assert_eq!(story.remote("plan.txt"), None);
    };
    let begins = async |remote| {
        let story = Story::begins(remote, json!({})).await;
        story.crm_saves("", "offer.txt", b"offer").await;
        story.crm_saves("", "plan.txt", b"plan").await;
        story.run().await;
        story
    };
    // Drive: a revision, and the trash.
    let story = begins("google").await;
    let (offer, plan) = (story.drive_file("offer.txt"), story.drive_file("plan.txt"));
    crm_changes(&story).await;
    let bytes = |file: &Value| {
        let (id, revision) = (file["id"].as_str().unwrap(), file["headRevisionId"].as_str().unwrap());
        let address = format!("https://www.googleapis.com/drive/v3/files/{id}/revisions/{revision}?alt=media");
        story.ask(http::Request::get(address).body(Bytes::new()).unwrap())
    };
    assert_eq!(bytes(&offer).await.body().as_ref(), b"offer");
    assert_eq!(story.drive_file("plan.txt")["trashed"], true);
    assert_eq!(bytes(&plan).await.body().as_ref(), b"plan");
    // Dropbox: earlier revs, which can be restored.
    let story = begins("dropbox").await;
    let state = story.opened.dropbox.state(ACCOUNT);
    crm_changes(&story).await;
    for (name, text) in [("offer.txt", "offer"), ("plan.txt", "plan")] {
        let all = state["entries"].as_array().unwrap();
        let file = all.iter().find(|entry| entry["name"] == name).unwrap();
        let asked = json!({"path": file["path_display"], "rev": file["rev"]}).to_string();
        let request = http::Request::post("https://api.dropboxapi.com/2/files/restore");
        let request = request.header("content-type", "application/json").body(Bytes::from(asked)).unwrap();
        assert_eq!(story.ask(request).await.status(), 200);
        assert_eq!(story.remote(name).as_deref(), Some(text));
    }
}

#[tokio::test]
async fn a_thousand_small_files_cost_dropbox_a_call_each_a_quiet_run_one_and_a_renamed_folder_one() {
    let story = Story::begins("dropbox", json!({})).await;
    let dropbox = &story.opened.dropbox;
    story.run().await;
    let bytes: &'static [u8] = &[7; 4096];
    for n in 0..1_000 {
        // Two hundred of them in a folder of their own.
        let folder = if n < 200 { "Plans" } else { "" };
        let input = json!({"subject": {"type": "company", "id": story.company}, "folder": folder,
            "name": format!("{n}.bin")});
        let begun = story.files.begin(&story.admin, &object(input)).await.unwrap();
        let key = BlobKey(begun.address.url.trim_start_matches("memory://").to_owned());
        story.opened.blobs.put(&key, Bytes::from_static(bytes)).await.unwrap();
    }
    for _ in 0..10 {
        story.files.settle(&story.admin).await.unwrap();
    }
    dropbox.forget_calls();
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 1_001));
    let calls = dropbox.calls();
    let sent: usize = calls.iter().map(|(_, bytes)| bytes).sum();
    assert!(calls.len() <= 1_010, "{} calls", calls.len());
    assert!(sent < 1_000 * (4_096 + 1_024), "{sent} bytes");
    assert_eq!(story.remote("Plans/7.bin").map(|text| text.len()), Some(4_096));
    // Our own writes are told once; after that nothing is one call.
    story.run().await;
    dropbox.forget_calls();
    assert_eq!(story.run().await.counts.writes(), 0);
    assert_eq!(dropbox.calls().len(), 1, "{:?}", dropbox.calls());
    let plans = story.crm().await.len();
    assert!(plans >= 100);
    let folder = story
        .files
        .make_folder(
            &story.admin,
            &object(json!({"subject": {"type": "company",
        "id": story.company}, "path": "Plans"})),
        )
        .await
        .unwrap();
    let renamed = object(json!({"name": "Old plans"}));
    story.files.change(&story.admin, folder["id"].as_str().unwrap(), None, &renamed).await.unwrap();
    dropbox.forget_calls();
    assert_eq!(story.run().await.counts.remote.updated, 1);
    assert_eq!(story.remote("Old plans/7.bin").map(|text| text.len()), Some(4_096));
    let calls = dropbox.calls();
    let (moves, others): (Vec<_>, Vec<_>) = calls.iter().partition(|(path, _)| path.contains("move_v2"));
    assert_eq!(moves.len(), 1, "{calls:?}");
    assert!(others.iter().all(|(path, _)| path.contains("list_folder") || path.contains("get_metadata")), "{calls:?}");
}
