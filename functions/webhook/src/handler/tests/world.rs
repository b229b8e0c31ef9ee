//! A company, its accounts at Google and Dropbox in memory, the real engine and connectors, and the routes.
use super::super::routes;
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use base64::Engine as _;
use lambda_http::tower::ServiceExt as _;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tandem_builtin::files::{BuiltinFiles, FileOptions};
use tandem_builtin::users::{NewUser, Role, User, Users};
use tandem_builtin::{BuiltinMail, Crm, Files, Kind as CrmKind, Query, Record};
use tandem_core::contact::Carry;
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::normalise::Region;
use tandem_core::record::{ConnectionId, Side, SyncId, UserId};
use tandem_dropbox::fake::{FakeDropbox, UserFile};
use tandem_dropbox::push::DropboxPush;
use tandem_dropbox::{DropboxConfig, DropboxFiles};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, MailPorts, Opening, PushView};
use tandem_google::drive::DrivePush;
use tandem_google::fake::FakePeople;
use tandem_google::push::{CalendarPush, MailPush};
use tandem_google::{ChosenCalendars, GoogleConfig, GoogleContacts, GoogleDrive, GoogleMail};
use tandem_http::Oidc;
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::FileSide;
use tandem_ports::infra::{Clock, HttpTransport, Kind, TransportError};
use tandem_ports::push::Push;
use tandem_runtime::{GmailPush, Hooks};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::run::Run;
use tandem_store::sync::{Sync, SyncState};
use tandem_teamleader::fake::FakeTeamleader;
use tandem_teamleader::push::{self as teamleader, TeamleaderPush};
use tandem_teamleader::{TeamleaderConfig, TeamleaderContacts};
use tandem_testkit::blobs::MemoryBlobs;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;
use tandem_zoho::ZohoContacts;
use tandem_zoho::fake::FakeZoho;
use tandem_zoho::push::{self as zoho, ZohoPush};

pub(super) const ACCOUNT: &str = "jan@example.com";
pub(super) const SECRET: &str = "the secret of the Dropbox app";
pub(super) const TOPIC: &str = "projects/tandem/topics/mail";
pub(super) const PUSHER: &str = "push@tandem.iam.gserviceaccount.com";
pub(super) const AUDIENCE: &str = "https://tandem.example/webhooks/google/gmail";
const ZOHO: &str = "https://www.zohoapis.eu";
const PUBLIC: &str = "https://tandem.example";

/// What opens connectors, as the runtime does, on providers in memory.
pub(super) struct Opened {
    table: Arc<MemoryTable>,
    clock: Arc<ManualClock>,
    blobs: Arc<MemoryBlobs>,
    dropbox: Arc<FakeDropbox>,
    google: Arc<FakePeople>,
    teamleader: Arc<FakeTeamleader>,
    zoho: Arc<FakeZoho>,
    /// Where notifications are wanted.
    pub(super) public: Mutex<String>,
    pub(super) midway: Arc<Midway>,
}

/// What comes in while a run is at work.
#[derive(Default)]
pub(super) struct Midway {
    letter: Mutex<Option<Letter>>,
    app: OnceLock<Router>,
}

impl Midway {
    async fn comes(&self) {
        let letter = self.letter.lock().unwrap().take();
        if let Some(letter) = letter {
            let answer = self.app.get().unwrap().clone().oneshot(letter.request()).await.unwrap();
            assert_eq!(answer.status(), 200, "midway");
        }
    }
}

/// Where it comes in once this path was answered.
struct After {
    midway: Arc<Midway>,
    path: &'static str,
    inner: Arc<dyn HttpTransport>,
}

#[async_trait]
impl HttpTransport for After {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let asked = request.uri().path() == self.path;
        let answer = self.inner.send(request).await;
        if asked {
            self.midway.comes().await;
        }
        answer
    }
}

impl Opened {
    fn hook(&self, path: &str) -> String {
        format!("{}/webhooks/{path}", self.public.lock().unwrap())
    }

    fn interrupted(&self, path: &'static str, inner: Arc<dyn HttpTransport>) -> Arc<dyn HttpTransport> {
        Arc::new(After { midway: self.midway.clone(), path, inner })
    }
}

#[async_trait]
impl Connectors for Opened {
    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let container = ask.container.cloned();
        let (account, clock) = (ask.connection.account.email.as_str(), self.clock.clone());
        if ask.settings.calendar.is_some() || ask.connection.provider == "builtin" {
            // A CRM that does not answer: enough for channels, which are opened before anything is read.
            return Err(ConnectorError::new("story", "open", ErrorKind::Retryable, "the CRM does not answer"));
        }
        if ask.side == Side::Right {
            let transport = self.google.authorised(account);
            return Ok(Arc::new(GoogleContacts::new(transport, GoogleConfig::default(), container, Region::none())));
        }
        let (carry, region) = (Carry::NameAndPhone, Region::none());
        if ask.connection.provider == "zoho" {
            let options = tandem_zoho::Options { container, carry, region };
            let transport = self.interrupted("/crm/v8/Contacts", self.zoho.authorised(account));
            return Ok(Arc::new(ZohoContacts::new(transport, clock, ZOHO.to_owned(), options)));
        }
        let options = tandem_teamleader::Options { container, carry, region };
        let transport = self.interrupted("/contacts.list", self.teamleader.authorised(account));
        let config = TeamleaderConfig::default();
        Ok(Arc::new(TeamleaderContacts::new(transport, clock, config, options)))
    }

    async fn open_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        if ask.side == Side::Left {
            self.midway.comes().await;
            let files = ask.settings.files.as_ref().unwrap();
            let options = FileOptions { modules: files.modules.clone(), records: files.records.clone() };
            let who = (ask.connection.account.id.as_str(), ask.connection.user.as_str());
            let (table, clock, blobs) = (self.table.clone(), self.clock.clone(), self.blobs.clone());
            return Ok(Arc::new(BuiltinFiles::open(table, clock, blobs, who, options).await?));
        }
        let account = &ask.connection.account.email;
        Ok(match ask.connection.provider.as_str() {
            "dropbox" => Arc::new(DropboxFiles::new(self.dropbox.authorised(account), DropboxConfig::default())),
            _ => Arc::new(GoogleDrive::new(self.google.authorised(account), GoogleConfig::default())),
        })
    }

    async fn open_mail(&self, crm: Opening<'_>, remote: Opening<'_>) -> Result<MailPorts, ConnectorError> {
        let account = &remote.connection.account.id;
        let source = GoogleMail::new(self.google.authorised(account), GoogleConfig::default(), account);
        let (account, user) = (&crm.connection.account.id, crm.connection.user.as_str());
        let desk = BuiltinMail::open(self.table.clone(), self.clock.clone(), account, user).await?;
        Ok(MailPorts { desk: Arc::new(desk), source: Arc::new(source) })
    }

    async fn open_push(&self, ask: Opening<'_>) -> Result<Option<Arc<dyn Push>>, ConnectorError> {
        let (config, account) = (GoogleConfig::default(), ask.connection.account.id.as_str());
        let google = || self.google.authorised(account);
        Ok(Some(match (ask.connection.provider.as_str(), ask.profile.kind) {
            ("builtin", _) | ("google", "contacts") => return Ok(None),
            ("teamleader", kind) => {
                let carried = ask.settings.calendar.as_ref().map_or(&[][..], |calendar| &calendar.activities);
                let calendar = || teamleader::of_calendar(carried);
                let types = if kind == "contacts" { teamleader::OF_CONTACTS.to_vec() } else { calendar() };
                let transport = self.teamleader.authorised(&ask.connection.account.email);
                let (clock, config) = (self.clock.clone(), TeamleaderConfig::default());
                Arc::new(TeamleaderPush::new(transport, clock, config, types, self.hook("teamleader")))
            }
            ("zoho", kind) => {
                let carried = ask.settings.calendar.as_ref().map_or(&[][..], |calendar| &calendar.activities);
                let calendar = || zoho::of_calendar(carried);
                let events = if kind == "contacts" { zoho::OF_CONTACTS.to_vec() } else { calendar() };
                let transport = self.zoho.authorised(&ask.connection.account.email);
                let (clock, origin) = (self.clock.clone(), ZOHO.to_owned());
                Arc::new(ZohoPush::new(transport, clock, origin, events, self.hook("zoho")))
            }
            ("dropbox", _) => Arc::new(DropboxPush::new(account)),
            (_, "files") => Arc::new(DrivePush::new(google(), config, self.hook("google/drive"))),
            (_, "mail") => Arc::new(MailPush::new(google(), config, account, TOPIC)),
            _ => {
                let chosen = ChosenCalendars::chosen(ask.settings.calendar.as_ref().unwrap(), account);
                Arc::new(CalendarPush::new(google(), config, chosen, self.hook("google/calendar")))
            }
        }))
    }
}

pub(super) struct World {
    pub(super) opened: Arc<Opened>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) table: Arc<MemoryTable>,
    pub(super) queue: Arc<MemoryQueue>,
    pub(super) google: Arc<FakePeople>,
    pub(super) dropbox: Arc<FakeDropbox>,
    pub(super) teamleader: Arc<FakeTeamleader>,
    pub(super) zoho: Arc<FakeZoho>,
    pub(super) engine: Engine,
    pub(super) store: Store,
    pub(super) crm: Crm,
    pub(super) user: User,
    files: Files,
    company: String,
    app: Router,
    remote: &'static str,
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

/// A notification on its way.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Letter {
    pub(super) fn new(path: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { path: path.to_owned(), headers, body: body.to_owned() }
    }
    /// The same with another header, or without it.
    pub(super) fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(known, _)| known != name);
        other.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        other
    }
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
    fn request(self) -> Request<Body> {
        let mut request = Request::post(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body)).unwrap()
    }
}

/// Status, headers and body.
pub(super) type Answered = (u16, HeaderMap, String);

impl World {
    /// With the built-in CRM.
    pub(super) async fn begins(profile: &str, settings: Value) -> World {
        World::begins_on("builtin", profile, settings).await
    }

    pub(super) async fn begins_on(crm: &str, profile: &str, settings: Value) -> World {
        let (clock, table) = (Arc::new(ManualClock::default()), Arc::new(MemoryTable::default()));
        let new = NewUser { account: "acme", email: "an@acme.test", name: "An", role: Role::Administrator };
        let user = Users::new(table.clone(), clock.clone()).create(new).await.unwrap();
        let (records, blobs) = (Crm::new(table.clone(), clock.clone()), Arc::new(MemoryBlobs::default()));
        let (dropbox, google) = (FakeDropbox::new(clock.clone()).shared(), FakePeople::new(clock.clone()).shared());
        let teamleader = FakeTeamleader::new(clock.clone()).shared();
        let zoho = FakeZoho::new(clock.clone()).shared();
        let opened = Arc::new(Opened {
            teamleader: teamleader.clone(),
            zoho: zoho.clone(),
            dropbox: dropbox.clone(),
            google: google.clone(),
            table: table.clone(),
            clock: clock.clone(),
            blobs: blobs.clone(),
            public: Mutex::new(PUBLIC.to_owned()),
            midway: Arc::default(),
        });
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
        let (store, secrets) = (Store::new(table.clone()), Arc::new(MemorySecrets));
        let config = EngineConfig::default();
        let engine = Engine::new(store.clone(), queue.clone(), clock.clone(), secrets, opened.clone(), config);
        let oidc = Oidc::new(google.clone(), clock.clone(), "https://www.googleapis.com");
        let (topic, service_account, audience) = (TOPIC.to_owned(), PUSHER.to_owned(), AUDIENCE.to_owned());
        let gmail = GmailPush { topic, service_account, audience };
        let hooks = Hooks::new(engine.clone(), oidc, Some(SECRET.to_owned()), Some(gmail));
        let app = routes(Arc::new(hooks));
        opened.midway.app.set(app.clone()).unwrap();
        let company = records.create(&user, CrmKind::Company, &object(json!({"name": "Acme"}))).await.unwrap().id;
        let files = Files::new(records.clone(), blobs);
        let remote = if profile == "teamleader-dropbox" { "dropbox" } else { "google" };
        let world = World {
            opened,
            clock,
            table,
            queue,
            google,
            dropbox,
            teamleader,
            zoho,
            engine,
            store,
            crm: records,
            user,
            files,
            company,
            app,
            remote,
        };
        world.connect(crm, remote).await;
        world.adds_sync("sync-1", profile, settings).await;
        world
    }

    async fn connect(&self, crm: &str, remote: &str) {
        let whose = if crm == "builtin" { "acme" } else { ACCOUNT };
        for (id, provider, account) in [("crm", crm, whose), ("remote", remote, ACCOUNT)] {
            let (id, user) = (ConnectionId::new(id), UserId::new(&self.user.id));
            let name = if provider == "dropbox" { self.dropbox.account_id(account) } else { account.to_owned() };
            let connection = Connection {
                account: Account { id: name, name: String::new(), email: account.to_owned() },
                state: ConnectionState::Connected,
                ..Connection::new(id, user, provider, self.clock.now())
            };
            self.store.create_connection(&connection).await.unwrap();
        }
    }

    pub(super) async fn adds_sync(&self, id: &str, profile: &str, settings: Value) {
        let kind = tandem_core::profile::profile(profile).unwrap().kind;
        let kinds = [Kind::Contacts, Kind::Calendar, Kind::Files, Kind::Mail];
        let now = self.clock.now();
        let sync = Sync {
            id: SyncId::new(id),
            user: UserId::new(&self.user.id),
            profile: profile.to_owned(),
            kind: kinds.into_iter().find(|known| known.word() == kind).unwrap(),
            crm: ConnectionId::new("crm"),
            remote: ConnectionId::new("remote"),
            settings: object(settings),
            enabled: true,
            state: SyncState::Idle,
            reason: None,
            current_run: None,
            last_run: None,
            next_due_at: Some(now),
            fingerprint_key: FingerprintKey::new("a key for the stories, 32 bytes!"),
            created_at: now,
            settings_version: 0,
        };
        self.store.create_sync(&sync).await.unwrap();
    }

    pub(super) async fn sync(&self) -> Sync {
        self.store.sync(&SyncId::new("sync-1")).await.unwrap().unwrap()
    }

    /// What people are shown of its notifications.
    pub(super) async fn push(&self) -> Option<PushView> {
        self.engine.pushes(&[SyncId::new("sync-1")]).await.unwrap().remove(0)
    }

    /// The rule fires, and everything it sets off comes to rest.
    pub(super) async fn run(&self) -> Run {
        self.clock.advance(Duration::from_secs(3_700));
        self.engine.fan_out_shards(self.sync().await.kind).await.unwrap();
        self.settle().await
    }

    /// The rule fires, and its jobs are worked on once.
    pub(super) async fn start(&self) {
        self.clock.advance(Duration::from_secs(3_700));
        self.engine.fan_out_shards(self.sync().await.kind).await.unwrap();
        while self.work_once().await {}
    }

    /// Works on what waits until all is at rest.
    pub(super) async fn settle(&self) -> Run {
        for _ in 0..200 {
            while self.work_once().await {}
            let sync = self.sync().await;
            if sync.current_run.is_none() && self.queue.is_empty() {
                return self.store.run(&sync.last_run.unwrap()).await.unwrap().unwrap();
            }
            self.clock.advance(Duration::from_secs(60));
        }
        panic!("the sync never comes to rest");
    }

    pub(super) async fn work_once(&self) -> bool {
        let Some(job) = self.queue.take(0) else { return false };
        self.engine.work(&job, &Budget::of(self.clock.clone(), Duration::from_secs(50))).await.unwrap();
        true
    }

    pub(super) async fn send(&self, letter: &Letter) -> u16 {
        self.ask(letter.clone().request()).await.0
    }

    pub(super) async fn ask(&self, request: Request<Body>) -> Answered {
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = to_bytes(answer.into_body(), 100_000).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Comes in while the next run is at work.
    pub(super) fn comes_midway(&self, letter: &Letter) {
        *self.opened.midway.letter.lock().unwrap() = Some(letter.clone());
    }

    /// What the providers have to tell, in order.
    pub(super) fn letters(&self) -> Vec<Letter> {
        let path = |address: &str| address.strip_prefix(PUBLIC).unwrap_or_default().to_owned();
        let mut letters = Vec::new();
        for told in self.google.take_notifications() {
            letters.push(Letter { path: path(&told.address), headers: told.headers, body: String::new() });
        }
        for told in self.google.take_drive_notifications() {
            let headers = told.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            letters.push(Letter { path: path(&told.address), headers, body: String::new() });
        }
        if let Some(told) = self.dropbox.take_notification(SECRET.as_bytes()) {
            letters.push(Letter::new("/webhooks/dropbox", &[("x-dropbox-signature", &told.signature)], &told.body));
        }
        for told in self.teamleader.take_notifications() {
            letters.push(Letter::new(&path(&told.url), &[("content-type", "application/json")], &told.body));
        }
        for told in self.zoho.take_notifications() {
            letters.push(Letter::new(&path(&told.url), &[("content-type", "application/json")], &told.body));
        }
        letters
    }

    /// The providers' letters arrive; answers their statuses.
    pub(super) async fn post(&self) -> Vec<u16> {
        let mut statuses = Vec::new();
        for letter in self.letters() {
            statuses.push(self.send(&letter).await);
        }
        statuses
    }

    /// A push of Pub/Sub's for the newest of the mailbox's notifications.
    pub(super) fn mail_letter(&self, message: &str) -> Letter {
        let told = self.google.mail_notifications().pop().expect("Gmail has told");
        assert_eq!(told["topic"], TOPIC);
        let data = json!({"emailAddress": told["emailAddress"], "historyId": told["historyId"]}).to_string();
        let data = base64::engine::general_purpose::STANDARD.encode(data);
        let message = json!({"data": data, "messageId": message, "publishTime": "2026-01-05T08:00:00Z"});
        let body = json!({"message": message, "subscription": "projects/tandem/subscriptions/mail"}).to_string();
        let bearer = format!("Bearer {}", self.google.id_token(AUDIENCE, PUSHER));
        Letter::new("/webhooks/google/gmail", &[("authorization", &bearer)], &body)
    }

    /// Somebody puts a file into the company's folder at the remote.
    pub(super) fn remote_saves(&self, name: &str, text: &str) {
        let path = format!("Companies/Acme (1)/{name}");
        if self.remote == "dropbox" {
            let file = UserFile { path: format!("/{path}"), text: text.to_owned(), ..UserFile::default() };
            return self.dropbox.user_saves(ACCOUNT, &file);
        }
        let file = json!({"path": format!("Teamleader/{path}"), "text": text});
        self.google.drive_does("files", &json!({"account": ACCOUNT, "files": [file]}));
    }

    /// The names of the company's files in the CRM.
    pub(super) async fn crm_files(&self) -> Vec<String> {
        let (items, _) = self.files.list(&self.user, &self.company, None).await.unwrap();
        let mut names: Vec<String> =
            items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect();
        names.sort();
        names
    }

    /// The subjects of the CRM's e-mails.
    pub(super) async fn crm_mails(&self) -> Vec<String> {
        let page = self.crm.list(&self.user, CrmKind::Email, &Query::default()).await.unwrap();
        page.items
            .iter()
            .map(Record::to_json)
            .map(|mail| mail["subject"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    pub(super) async fn crm_contact(&self, last_name: &str, email: &str) {
        let contact = json!({"last_name": last_name, "emails": [{"type": "work", "value": email}]});
        self.crm.create(&self.user, CrmKind::Contact, &object(contact)).await.unwrap();
    }

    /// Calls to Google whose path ends so.
    pub(super) fn google_calls(&self, end: &str) -> usize {
        self.google.calls().iter().filter(|(_, path, _)| path.ends_with(end)).count()
    }

    /// How often the files feed at the remote was asked.
    pub(super) fn looks(&self) -> usize {
        match self.remote {
            "dropbox" => self.dropbox.calls().iter().filter(|(path, _)| path.contains("list_folder")).count(),
            _ => self.google_calls("/changes"),
        }
    }

    /// Changes the sync as the page does.
    pub(super) async fn configures(&self, change: impl FnOnce(&mut Sync)) {
        let mut sync = self.sync().await;
        change(&mut sync);
        self.store.configure_sync(&sync, None).await.unwrap();
    }
}
