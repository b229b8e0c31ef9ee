//! The world of stories about files: a vendor's CRM on one side, Drive or Dropbox on the other, one company to work with.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, SyncId, UserId};
use tandem_dropbox::fake::{FakeDropbox, UserFile as DropboxFile};
use tandem_dropbox::{DropboxConfig, DropboxFiles};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening, RecordQuery, RecordView};
use tandem_google::fake::FakePeople;
use tandem_google::{GoogleConfig, GoogleDrive};
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::FileSide;
use tandem_ports::infra::{Clock, Kind};
use tandem_sell::fake::FakeSell;
use tandem_sell::{SellConfig, SellDocuments};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::run::{Run, RunState};
use tandem_store::sync::{Sync, SyncState};
use tandem_teamleader::fake::{FakeTeamleader, FileView, UserFile};
use tandem_teamleader::{FileOptions, TeamleaderConfig, TeamleaderFiles};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;
use tandem_zoho::ZohoFiles;
use tandem_zoho::fake::FakeZoho;

/// The account at the remote.
pub const REMOTE: &str = "jan@example.com";
const CRM: &str = crate::VENDOR;

/// What opens both sides.
struct Opened {
    clock: Arc<ManualClock>,
    teamleader: Arc<FakeTeamleader>,
    zoho: Arc<FakeZoho>,
    sell: Arc<FakeSell>,
    dropbox: Arc<FakeDropbox>,
    google: Arc<FakePeople>,
}

#[async_trait]
impl Connectors for Opened {
    async fn open(&self, _ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        Err(ConnectorError::new("story", "open", ErrorKind::Forbidden, "there are only files here"))
    }
    async fn open_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        let chosen = || {
            let files = ask.settings.files.as_ref().unwrap();
            (files.modules.clone(), files.records.clone())
        };
        let clock = self.clock.clone();
        Ok(match ask.connection.provider.as_str() {
            "teamleader" => {
                let (modules, records) = chosen();
                let options = FileOptions { modules, records };
                let (transport, bare) = (self.teamleader.authorised(CRM), self.teamleader.clone());
                Arc::new(TeamleaderFiles::new(transport, bare, clock, TeamleaderConfig::default(), options))
            }
            "sell" => {
                let (modules, records) = chosen();
                let options = tandem_sell::FileOptions { modules, records };
                let (transport, bare) = (self.sell.authorised(CRM), self.sell.clone());
                Arc::new(SellDocuments::new(transport, bare, clock, SellConfig::default(), options))
            }
            "zoho" => {
                let (modules, records) = chosen();
                let options = tandem_zoho::FileOptions { modules, records };
                let origin = "https://www.zohoapis.eu".to_owned();
                Arc::new(ZohoFiles::new(self.zoho.authorised(CRM), clock, origin, options))
            }
            "dropbox" => Arc::new(DropboxFiles::new(self.dropbox.authorised(REMOTE), DropboxConfig::default())),
            _ => Arc::new(GoogleDrive::new(self.google.authorised(REMOTE), GoogleConfig::default())),
        })
    }
}

/// The vendor whose CRM it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Teamleader Focus.
    Teamleader,
    /// Zoho CRM.
    Zoho,
    /// Zendesk Sell.
    Sell,
}

impl Vendor {
    fn word(self) -> &'static str {
        match self {
            Vendor::Teamleader => "teamleader",
            Vendor::Zoho => "zoho",
            Vendor::Sell => "sell",
        }
    }
    /// The root at Drive.
    fn root(self) -> &'static str {
        match self {
            Vendor::Teamleader => "Teamleader",
            Vendor::Zoho => "Zoho CRM",
            Vendor::Sell => "Zendesk Sell",
        }
    }
}

/// A user with a vendor's CRM and Drive or Dropbox, and one sync between them.
pub struct FileStory {
    /// The time.
    pub clock: Arc<ManualClock>,
    /// Teamleader, where it is the CRM.
    pub teamleader: Arc<FakeTeamleader>,
    /// Zoho, where it is the CRM.
    pub zoho: Arc<FakeZoho>,
    /// Sell, where it is the CRM.
    pub sell: Arc<FakeSell>,
    /// Dropbox, where it is the remote.
    pub dropbox: Arc<FakeDropbox>,
    /// Google, where it is the remote.
    pub google: Arc<FakePeople>,
    /// The durable state.
    pub store: Store,
    /// The engine.
    pub engine: Engine,
    /// The company that the stories are about: `Acme`.
    pub company: String,
    queue: Arc<MemoryQueue>,
    vendor: Vendor,
    remote: &'static str,
}

impl FileStory {
    /// With Teamleader: connected, the sync switched on, nothing run yet. `remote`: `dropbox` or `google`.
    pub async fn begins(remote: &'static str, settings: Value) -> FileStory {
        FileStory::begins_at(Vendor::Teamleader, remote, settings).await
    }

    /// The same with any vendor.
    pub async fn begins_at(vendor: Vendor, remote: &'static str, settings: Value) -> FileStory {
        let clock = Arc::new(ManualClock::default());
        let teamleader = FakeTeamleader::new(clock.clone()).shared();
        let dropbox = FakeDropbox::new(clock.clone()).shared();
        let google = FakePeople::new(clock.clone()).shared();
        let zoho = FakeZoho::new(clock.clone()).shared();
        let sell = FakeSell::new(clock.clone()).shared();
        let company = match vendor {
            Vendor::Sell => {
                let data = json!({"name": "Acme", "is_organization": true});
                sell.order("POST", "contacts", &json!({"account": CRM, "data": data}))["data"]["id"].to_string()
            }
            Vendor::Teamleader => teamleader.user_creates_company(CRM, &crate::object(json!({"name": "Acme"}))),
            Vendor::Zoho => zoho.user_creates(CRM, "Accounts", json!({"Account_Name": "Acme"})),
        };
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
        let store = Store::new(Arc::new(MemoryTable::default()));
        let opened = Opened {
            clock: clock.clone(),
            teamleader: teamleader.clone(),
            zoho: zoho.clone(),
            sell: sell.clone(),
            dropbox: dropbox.clone(),
            google: google.clone(),
        };
        let (secrets, config) = (Arc::new(MemorySecrets), EngineConfig::default());
        let engine = Engine::new(store.clone(), queue.clone(), clock.clone(), secrets, Arc::new(opened), config);
        let story =
            FileStory { clock, teamleader, zoho, sell, dropbox, google, store, engine, company, queue, vendor, remote };
        story.connects(settings).await;
        story
    }

    async fn connects(&self, settings: Value) {
        let (user, now) = (UserId::new("an"), self.clock.now());
        for (id, provider, account) in [("crm", self.vendor.word(), CRM), ("remote", self.remote, REMOTE)] {
            let connection = Connection {
                account: Account { id: account.to_owned(), name: String::new(), email: String::new() },
                state: ConnectionState::Connected,
                ..Connection::new(ConnectionId::new(id), user.clone(), provider, now)
            };
            self.store.create_connection(&connection).await.unwrap();
        }
        let remote = if self.remote == "dropbox" { "dropbox" } else { "google-drive" };
        let sync = Sync {
            id: SyncId::new("sync-1"),
            user,
            profile: format!("{}-{remote}", self.vendor.word()),
            kind: Kind::Files,
            crm: ConnectionId::new("crm"),
            remote: ConnectionId::new("remote"),
            settings: crate::object(settings),
            enabled: true,
            state: SyncState::Idle,
            reason: None,
            current_run: None,
            last_run: None,
            next_due_at: Some(now),
            fingerprint_key: FingerprintKey::new("a key for the stories, 32 bytes.."),
            created_at: now,
            settings_version: 0,
        };
        self.store.create_sync(&sync).await.unwrap();
    }

    /// The sync as it is.
    pub async fn sync(&self) -> Sync {
        self.store.sync(&SyncId::new("sync-1")).await.unwrap().unwrap()
    }

    /// Changes a setting as the page does.
    pub async fn set(&self, name: &str, value: Value) {
        let mut sync = self.sync().await;
        sync.settings.insert(name.to_owned(), value);
        self.store.configure_sync(&sync, None).await.unwrap();
    }

    /// One run by schedule to its end.
    pub async fn run(&self) -> Run {
        self.run_with(&[]).await
    }

    /// The same while the remote goes on telling of changes: each of its jobs reads both sides again.
    pub async fn run_with_pushes(&self) -> Run {
        self.run_with(&[SyncId::new("sync-1")]).await
    }

    async fn run_with(&self, told: &[SyncId]) -> Run {
        self.clock.advance(Duration::from_secs(7_300));
        self.engine.fan_out_shards(Kind::Files).await.unwrap();
        for _ in 0..200 {
            while let Some(job) = self.queue.take(0) {
                for sync in told {
                    self.store.note_heard(sync).await.unwrap();
                }
                let budget = Budget::of(self.clock.clone(), Duration::from_secs(50));
                self.engine.work(&job, &budget).await.unwrap();
                self.clock.advance(Duration::from_secs(1));
            }
            let sync = self.sync().await;
            if sync.current_run.is_none() && self.queue.is_empty() {
                return self.store.run(&sync.last_run.unwrap()).await.unwrap().unwrap();
            }
            self.clock.advance(Duration::from_secs(60));
        }
        panic!("the sync never comes to rest");
    }

    /// A run that ends well.
    pub async fn runs(&self) -> Run {
        let run = self.run().await;
        assert_eq!(run.state, RunState::Done, "{}: {run:?}", self.remote);
        run
    }

    /// Three runs that write nothing.
    pub async fn rests(&self) {
        for _ in 0..3 {
            let run = self.runs().await;
            assert_eq!(run.counts.writes(), 0, "{}: {run:?}", self.remote);
        }
    }

    /// A colleague saves a file at the company, over one of its name; its id.
    pub fn crm_saves(&self, folder: &str, name: &str, text: &str) -> String {
        self.crm_saves_at("company", &self.company, folder, name, text)
    }

    /// The same at any record.
    pub fn crm_saves_at(&self, kind: &str, record: &str, folder: &str, name: &str, text: &str) -> String {
        let [kind, record, folder, name, text] = [kind, record, folder, name, text].map(str::to_owned);
        self.teamleader.user_saves_file(CRM, &UserFile { kind, record, folder, name, text })
    }

    /// A colleague deletes a file.
    pub fn crm_deletes(&self, id: &str) {
        assert!(self.teamleader.user_deletes_file(CRM, id));
    }

    /// A colleague attaches a file to the company in Zoho, beside those of its name; its id.
    pub fn attaches(&self, name: &str, text: &str) -> String {
        self.zoho.user_attaches(CRM, "Accounts", &self.company, name, text.as_bytes())
    }

    /// What is attached in Zoho as text, by name; a name that is there twice has both texts.
    pub fn attached(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for one in self.zoho.attachments() {
            let text = String::from_utf8(one.bytes.to_vec()).unwrap();
            all.entry(one.name).and_modify(|both| *both = format!("{both} and {text}")).or_insert(text);
        }
        all
    }

    /// Calls to Zoho so far, by method and what is asked for.
    pub fn asked_zoho(&self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        for (method, path, _) in self.zoho.calls() {
            let parts: Vec<&str> = path.trim_start_matches("/crm/v8/").split('/').collect();
            let what = match parts.as_slice() {
                [_, _, "Attachments"] => "list",
                [_, _, "Attachments", _] => "one",
                [module, ..] => module,
                [] => "",
            };
            *all.entry(format!("{method} {what}")).or_insert(0) += 1;
        }
        all
    }

    /// All files in Teamleader, by folder and name.
    pub fn crm_files(&self) -> Vec<FileView> {
        self.teamleader.files_of(CRM)
    }

    /// The same as text, by folder (none for the account's own) and name; a name that is there twice has both texts.
    pub fn crm(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for file in self.crm_files() {
            let folder = if file.folder == "General" { String::new() } else { format!("{}/", file.folder) };
            let text = String::from_utf8(file.bytes.to_vec()).unwrap();
            let path = format!("{folder}{}", file.name);
            all.entry(path).and_modify(|both| *both = format!("{both} and {text}")).or_insert(text);
        }
        all
    }

    /// The company's folder at the remote, below the root.
    pub fn folder(&self) -> String {
        self.folder_of("Companies", "Acme", &self.company)
    }

    /// The same of any record.
    pub fn folder_of(&self, module: &str, title: &str, record: &str) -> String {
        let number = match self.vendor {
            Vendor::Teamleader => record[..8].to_owned(),
            Vendor::Sell => record.to_owned(),
            // What follows the organisation's part of the id.
            Vendor::Zoho => (record.parse::<u64>().unwrap() % 1_000_000_000_000).to_string(),
        };
        format!("{module}/{title} ({number})")
    }

    fn whole(&self, path: &str) -> String {
        match self.remote {
            "dropbox" => format!("/{path}"),
            _ => format!("{}/{path}", self.vendor.root()),
        }
    }

    fn inside(&self, path: &str) -> String {
        self.whole(&format!("{}/{path}", self.folder()))
    }

    /// Text at the remote, by the path below the company's folder.
    pub fn remote(&self, path: &str) -> Option<String> {
        self.remote_at(&format!("{}/{path}", self.folder()))
    }

    /// Text at the remote, by the path below the root.
    pub fn remote_at(&self, path: &str) -> Option<String> {
        let path = self.whole(path);
        let bytes = match self.remote {
            "dropbox" => self.dropbox.bytes(REMOTE, &path),
            _ => self.google.drive_bytes(REMOTE, &path),
        };
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// How many entries are at a path below the root.
    pub fn remote_count(&self, path: &str) -> usize {
        let path = self.whole(path);
        if self.remote == "google" {
            return self.google.drive_count(REMOTE, &path);
        }
        let state = self.dropbox.state(REMOTE);
        let all = state["entries"].as_array().unwrap();
        all.iter().filter(|entry| entry["path_lower"] == path.to_lowercase().as_str()).count()
    }

    /// Names of what is in the company's folder at the remote and below, files alone.
    pub fn remote_names(&self) -> Vec<String> {
        let (state, list) = match self.remote {
            "dropbox" => (self.dropbox.state(REMOTE), "entries"),
            _ => (self.google.drive_state(REMOTE), "files"),
        };
        let is_file = |entry: &&Value| entry[".tag"] == "file" || entry["md5Checksum"].is_string();
        let is_here = |entry: &&Value| entry["trashed"] != true;
        let all = state[list].as_array().unwrap().iter().filter(is_file).filter(is_here);
        let mut names: Vec<String> = all.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// The user saves a file in the company's folder.
    pub fn remote_saves(&self, path: &str, text: &str) {
        self.remote_saves_at(&format!("{}/{path}", self.folder()), text);
    }

    /// The user saves a file somewhere below the root.
    pub fn remote_saves_at(&self, path: &str, text: &str) {
        let path = self.whole(path);
        if self.remote == "dropbox" {
            let file = DropboxFile { path, text: text.to_owned(), ..DropboxFile::default() };
            return self.dropbox.user_saves(REMOTE, &file);
        }
        self.google.drive_does("files", &json!({"account": REMOTE, "files": [{"path": path, "text": text}]}));
    }

    /// The user moves or renames at the remote.
    pub fn remote_moves(&self, from: &str, to: &str) {
        let (from, to) = (self.inside(from), self.inside(to));
        if self.remote == "dropbox" {
            return self.dropbox.user_moves(REMOTE, &from, &to);
        }
        self.google.drive_does("move", &json!({"account": REMOTE, "from": from, "to": to}));
    }

    /// The user deletes at the remote.
    pub fn remote_deletes(&self, path: &str) {
        self.remote_deletes_at(&format!("{}/{path}", self.folder()));
    }

    /// The same anywhere, and a folder with all that is in it.
    pub fn remote_deletes_at(&self, path: &str) {
        let path = self.whole(path);
        if self.remote == "dropbox" {
            assert!(self.dropbox.user_deletes(REMOTE, &path));
            return;
        }
        self.google.drive_does("trash", &json!({"account": REMOTE, "path": path}));
    }

    /// Calls to Teamleader so far, by method.
    pub fn asked(&self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        for (method, _) in self.teamleader.calls() {
            *all.entry(method).or_insert(0) += 1;
        }
        all
    }

    /// What the page shows of a state.
    pub async fn records(&self, state: &str) -> Vec<RecordView> {
        let state = Some(tandem_engine::state_of(state).unwrap());
        let query = RecordQuery { state, limit: 100, ..RecordQuery::default() };
        self.engine.records(&self.sync().await, &query).await.unwrap().0
    }
}
