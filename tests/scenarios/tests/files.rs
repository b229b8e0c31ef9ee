//! Files between the built-in CRM and Dropbox or Drive, with the connectors themselves against the providers in memory.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use async_trait::async_trait;
use bytes::Bytes;
use scenarios::object;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_builtin::files::{BuiltinFiles, FileOptions};
use tandem_builtin::users::{NewUser, Role, User, Users};
use tandem_builtin::{Crm, Files, Kind as CrmKind};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, Side, SyncId, UserId};
use tandem_dropbox::fake::{FakeDropbox, UserFile};
use tandem_dropbox::{DropboxConfig, DropboxFiles};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening};
use tandem_google::fake::FakePeople;
use tandem_google::{GoogleConfig, GoogleDrive};
use tandem_ports::blobs::{BlobKey, BlobStore};
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::FileSide;
use tandem_ports::infra::{Clock, Kind};
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

/// What opens both sides.
struct Opened {
    table: Arc<MemoryTable>,
    clock: Arc<ManualClock>,
    blobs: Arc<MemoryBlobs>,
    dropbox: Arc<FakeDropbox>,
    google: Arc<FakePeople>,
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
        Ok(match ask.connection.provider.as_str() {
            "dropbox" => Arc::new(DropboxFiles::new(self.dropbox.authorised(ACCOUNT), DropboxConfig::default())),
            _ => Arc::new(GoogleDrive::new(self.google.authorised(ACCOUNT), GoogleConfig::default())),
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
        let subject = json!({"type": "company", "id": self.company});
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
        let (items, _) = self.files.list(&self.admin, &self.company, None).await.unwrap();
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
        let path = format!("Companies/Acme (1)/{path}");
        let bytes = match self.remote {
            "dropbox" => self.opened.dropbox.bytes(ACCOUNT, &format!("/{path}")),
            _ => self.opened.google.drive_bytes(ACCOUNT, &format!("Teamleader/{path}")),
        };
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
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
    let save = |path: &str, text: &str| {
        let file =
            UserFile { path: format!("/Companies/Acme (1)/{path}"), text: text.to_owned(), ..UserFile::default() };
        dropbox.user_saves(ACCOUNT, &file);
    };
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
