//! Stories: the real engine, the real built-in CRM and the real Google connector, against the provider in memory.
//! What the provider was asked is part of what is proved.
pub mod calendar;
mod messages;
pub mod vendor_files;

pub use messages::{mail, mail_with_files};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_builtin::contacts::{BuiltinContacts, Carry, Options};
use tandem_builtin::users::{NewUser, Role, User, Users};
use tandem_builtin::{BuiltinCalendar, BuiltinMail, BuiltinTasks, Crm, Kind as CrmKind};
use tandem_core::calendar::CalendarSettings;
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, ContainerId, Side, SyncId, UserId};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, MailPorts, Opening, RecordQuery, RecordView};
use tandem_google::fake::{Edit, FakePeople};
use tandem_google::{ChosenCalendars, GoogleCalendars, GoogleConfig, GoogleContacts, GoogleMail, GoogleTasks};
use tandem_ports::connector::Connector;
use tandem_ports::error::ConnectorError;
use tandem_ports::infra::{Clock, Kind, Trigger};
use tandem_ports::table::Table;
use tandem_sell::fake::FakeSell;
use tandem_sell::{SellAppointments, SellConfig, SellContacts, SellTasks};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::filed::{FiledMail, KnownAddresses};
use tandem_store::names::AppointmentNames;
use tandem_store::run::Run;
use tandem_store::sync::{Sync, SyncState};
use tandem_teamleader::fake::FakeTeamleader;
use tandem_teamleader::{CalendarOptions, TeamleaderCalendar, TeamleaderConfig, TeamleaderContacts, TeamleaderMail};
use tandem_testkit::blobs::MemoryBlobs;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;
use tandem_zoho::fake::FakeZoho;
use tandem_zoho::{ZohoContacts, ZohoEvents};

/// The Google account of every story.
pub const GOOGLE: &str = "jan@example.com";
const ACCOUNT: &str = "acme";
/// The user of the vendors' CRMs.
pub const VENDOR: &str = "sales@acme.example";

/// A company with a CRM, a salesperson with a Google account, and one sync between them.
pub struct Story {
    /// The time.
    pub clock: Arc<ManualClock>,
    /// Google.
    pub google: Arc<FakePeople>,
    /// The table.
    pub table: Arc<MemoryTable>,
    /// The CRM.
    pub crm: Crm,
    /// The salesperson.
    pub user: User,
    /// The engine.
    pub engine: Engine,
    /// The durable state.
    pub store: Store,
    /// Teamleader, for stories whose CRM it is.
    pub teamleader: Arc<FakeTeamleader>,
    /// Zoho, for stories whose CRM it is.
    pub zoho: Arc<FakeZoho>,
    /// Sell, for stories whose CRM it is.
    pub sell: Arc<FakeSell>,
    queue: Arc<MemoryQueue>,
    sync: SyncId,
    crm_provider: &'static str,
    google_account: &'static str,
}

struct Open {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    google: Arc<FakePeople>,
    teamleader: Arc<FakeTeamleader>,
    zoho: Arc<FakeZoho>,
    sell: Arc<FakeSell>,
    blobs: Arc<MemoryBlobs>,
}

#[async_trait]
impl Connectors for Open {
    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let container = ask.container.cloned();
        let region = ask.settings.region();
        if ask.profile.carries_tasks() {
            return self.open_tasks(ask).await;
        }
        if let Some(calendar) = &ask.settings.calendar {
            return self.open_calendar(ask, calendar).await;
        }
        if ask.side == Side::Right {
            let transport = self.google.authorised(&ask.connection.account.id);
            return Ok(Arc::new(GoogleContacts::new(transport, GoogleConfig::default(), container, region)));
        }
        let carry = if ask.profile.carry_company { Carry::NameAndPhone } else { Carry::Name };
        let clock = self.clock.clone();
        if ask.connection.provider == "teamleader" {
            let options = tandem_teamleader::Options { container, carry, region };
            let (transport, config) = (self.teamleader.authorised(VENDOR), TeamleaderConfig::default());
            return Ok(Arc::new(TeamleaderContacts::new(transport, clock, config, options)));
        }
        if ask.connection.provider == "zoho" {
            let options = tandem_zoho::Options { container, carry, region };
            let (transport, origin) = (self.zoho.authorised(VENDOR), "https://www.zohoapis.eu".to_owned());
            return Ok(Arc::new(ZohoContacts::new(transport, clock, origin, options)));
        }
        if ask.connection.provider == "sell" {
            let device = format!("device of {}", ask.sync);
            let options = tandem_sell::Options { container, carry, region, device };
            let (transport, config) = (self.sell.authorised(VENDOR), SellConfig::default());
            return Ok(Arc::new(SellContacts::new(transport, clock, config, options)));
        }
        let (account, user) = (&ask.connection.account.id, ask.connection.user.as_str());
        let options = Options { container, carry, region };
        let opened = BuiltinContacts::open(self.table.clone(), self.clock.clone(), account, user, options).await?;
        Ok(Arc::new(opened))
    }

    async fn open_mail(&self, crm: Opening<'_>, remote: Opening<'_>) -> Result<MailPorts, ConnectorError> {
        let account = &remote.connection.account.id;
        let source = Arc::new(GoogleMail::new(self.google.authorised(account), GoogleConfig::default(), account));
        if crm.connection.provider == "teamleader" {
            return Ok(MailPorts { desk: self.teamleader_mail(), source });
        }
        let (account, user) = (&crm.connection.account.id, crm.connection.user.as_str());
        let desk = BuiltinMail::open(self.table.clone(), self.clock.clone(), account, user).await?;
        Ok(MailPorts { desk: Arc::new(desk.with_files(self.blobs.clone())), source })
    }
}

impl Open {
    fn teamleader_mail(&self) -> Arc<TeamleaderMail> {
        let (store, clock) = (Store::new(self.table.clone()), self.clock.clone());
        let ledger = Arc::new(FiledMail::of(store.clone(), clock.clone(), "teamleader", ACCOUNT));
        let book = Arc::new(KnownAddresses::of(store, clock.clone(), "teamleader", ACCOUNT));
        let (transport, config) = (self.teamleader.authorised(VENDOR), TeamleaderConfig::default());
        Arc::new(TeamleaderMail::new(transport, self.teamleader.clone(), clock, config, (ledger, book)))
    }

    async fn open_tasks(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let clock = self.clock.clone();
        if ask.side == Side::Right {
            let list = ask.settings.remote_group.as_deref().unwrap_or(tandem_core::task::OWN_LIST);
            let transport = self.google.authorised(&ask.connection.account.id);
            return Ok(Arc::new(GoogleTasks::new(transport, clock, GoogleConfig::default(), ContainerId::new(list))));
        }
        if ask.connection.provider == "builtin" {
            let (account, user) = (&ask.connection.account.id, ask.connection.user.as_str());
            return Ok(Arc::new(BuiltinTasks::open(self.table.clone(), clock, account, user).await?));
        }
        let (transport, device) = (self.sell.authorised(VENDOR), format!("device of {}", ask.sync));
        Ok(Arc::new(SellTasks::new(transport, clock, SellConfig::default(), device)))
    }

    async fn open_calendar(
        &self,
        ask: Opening<'_>,
        calendar: &CalendarSettings,
    ) -> Result<Arc<dyn Connector>, ConnectorError> {
        let account = &ask.connection.account.id;
        if ask.side == Side::Right {
            let chosen = ChosenCalendars::chosen(calendar, account);
            let transport = self.google.authorised(account);
            return Ok(Arc::new(GoogleCalendars::new(transport, GoogleConfig::default(), &chosen)));
        }
        if ask.connection.provider == "teamleader" {
            return Ok(Arc::new(self.meetings(account, calendar)));
        }
        if ask.connection.provider == "zoho" {
            let (transport, origin) = (self.zoho.authorised(VENDOR), "https://www.zohoapis.eu".to_owned());
            return Ok(Arc::new(ZohoEvents::new(transport, self.clock.clone(), origin)));
        }
        if ask.connection.provider == "sell" {
            let transport = self.sell.authorised(VENDOR);
            return Ok(Arc::new(SellAppointments::new(
                transport,
                self.clock.clone(),
                SellConfig::default(),
                calendar.remote_events,
            )));
        }
        let user = ask.connection.user.as_str();
        let side = BuiltinCalendar::open(self.table.clone(), self.clock.clone(), account, user).await?;
        Ok(Arc::new(side.making_meetings_of(calendar.meetings_of())))
    }
}

impl Open {
    /// `account` is the user's; of `<account>/<user>` the user is one of Teamleader's colleagues.
    fn meetings(&self, account: &str, calendar: &CalendarSettings) -> TeamleaderCalendar {
        let transport = match account.split_once('/') {
            Some((_, colleague)) => self.teamleader.authorised_as(VENDOR, colleague),
            None => self.teamleader.authorised(VENDOR),
        };
        let names = AppointmentNames::of(Store::new(self.table.clone()), self.clock.clone(), "teamleader", VENDOR);
        let options = CalendarOptions {
            past_days: calendar.window_past_days,
            future_days: calendar.window_future_days,
            activities: calendar.activities.clone(),
            names: Arc::new(names),
        };
        TeamleaderCalendar::new(transport, self.clock.clone(), TeamleaderConfig::default(), options)
    }
}

fn kind_of(profile: &str) -> Kind {
    let kind = tandem_core::profile::profile(profile).map_or("", |profile| profile.kind);
    [Kind::Calendar, Kind::Files, Kind::Mail].into_iter().find(|known| known.word() == kind).unwrap_or(Kind::Contacts)
}

impl Story {
    /// Everybody signed up, the sync switched on, nothing run yet.
    pub async fn begins(profile: &str, settings: Value) -> Story {
        Self::begins_on("builtin", profile, settings).await
    }

    /// The same on another CRM.
    pub async fn begins_on(crm_provider: &'static str, profile: &str, settings: Value) -> Story {
        let clock = Arc::new(ManualClock::default());
        let table = Arc::new(MemoryTable::default());
        let google = FakePeople::new(clock.clone()).shared();
        let crm = Crm::new(table.clone(), clock.clone());
        let users = Users::new(table.clone(), clock.clone());
        let new = NewUser { account: ACCOUNT, email: "jan@acme.example", name: "Jan", role: Role::Administrator };
        let user = users.create(new).await.expect("a new account");
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
        let store = Store::new(table.clone());
        let teamleader = FakeTeamleader::new(clock.clone()).shared();
        let zoho = FakeZoho::new(clock.clone()).shared();
        let sell = FakeSell::new(clock.clone()).shared();
        let open = Open {
            table: table.clone(),
            clock: clock.clone(),
            google: google.clone(),
            teamleader: teamleader.clone(),
            zoho: zoho.clone(),
            sell: sell.clone(),
            blobs: Arc::default(),
        };
        let engine = Engine::new(
            store.clone(),
            queue.clone(),
            clock.clone(),
            Arc::new(MemorySecrets),
            Arc::new(open),
            EngineConfig::default(),
        );
        let sync = SyncId::new("sync-1");
        let story = Story {
            clock,
            google,
            table,
            crm,
            user,
            engine,
            store,
            teamleader,
            zoho,
            sell,
            queue,
            sync,
            crm_provider,
            google_account: GOOGLE,
        };
        story.connect(profile, settings).await;
        story
    }

    /// A colleague with a Google account and a sync of their own, in the same company and world. The rule runs both.
    pub async fn colleague(&self, google_account: &'static str, profile: &str, settings: Value) -> Story {
        let users = Users::new(self.table.clone(), self.clock.clone());
        let new = NewUser { account: ACCOUNT, email: google_account, name: "Eva", role: Role::Member };
        let user = users.create(new).await.expect("a new user");
        let story = Story {
            clock: self.clock.clone(),
            google: self.google.clone(),
            table: self.table.clone(),
            crm: self.crm.clone(),
            user,
            engine: self.engine.clone(),
            store: self.store.clone(),
            teamleader: self.teamleader.clone(),
            zoho: self.zoho.clone(),
            sell: self.sell.clone(),
            queue: self.queue.clone(),
            sync: SyncId::new(format!("sync of {google_account}")),
            crm_provider: self.crm_provider,
            google_account,
        };
        // Google's calendars are there before anybody looks into them.
        story.google.user_does(google_account, "events", &json!({}));
        story.connect(profile, settings).await;
        story
    }

    fn connection(&self, provider: &str) -> ConnectionId {
        ConnectionId::new(format!("{provider} of {}", self.google_account))
    }

    async fn connect(&self, profile: &str, settings: Value) {
        let account = match self.crm_provider {
            "builtin" => ACCOUNT.to_owned(),
            // A colleague is another user of the same account.
            "teamleader" if self.google_account != GOOGLE => {
                format!("{VENDOR}/{}", self.teamleader.hire(VENDOR, self.google_account))
            }
            _ => VENDOR.to_owned(),
        };
        for (provider, account) in [(self.crm_provider, account.as_str()), ("google", self.google_account)] {
            let (id, user) = (self.connection(provider), UserId::new(&self.user.id));
            let connection = Connection {
                account: Account { id: account.to_owned(), name: String::new(), email: String::new() },
                state: ConnectionState::Connected,
                ..Connection::new(id, user, provider, self.clock.now())
            };
            self.store.create_connection(&connection).await.expect("a new connection");
        }
        self.make_sync(profile, settings).await;
    }

    async fn make_sync(&self, profile: &str, settings: Value) {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        let sync = Sync {
            id: self.sync.clone(),
            user: UserId::new(&self.user.id),
            profile: profile.to_owned(),
            kind: kind_of(profile),
            crm: self.connection(self.crm_provider),
            remote: self.connection("google"),
            settings,
            enabled: true,
            state: SyncState::Idle,
            reason: None,
            current_run: None,
            last_run: None,
            next_due_at: Some(self.clock.now()),
            fingerprint_key: FingerprintKey::new(format!("a key of 32 bytes at {}", self.clock.now())),
            created_at: self.clock.now(),
            settings_version: 0,
        };
        self.store.create_sync(&sync).await.expect("a new sync");
    }

    /// The sync as it is.
    pub async fn sync(&self) -> Sync {
        self.store.sync(&self.sync).await.expect("a quiet table").expect("the sync is there")
    }

    /// Removes the sync and makes it anew.
    pub async fn starts_over(&self, settings: Value) {
        let sync = self.sync().await;
        self.store.delete_sync(&sync).await.expect("a quiet table");
        self.make_sync(&sync.profile, settings).await;
    }

    /// Changes settings as the page does.
    pub async fn set(&self, name: &str, value: Value) {
        let mut sync = self.sync().await;
        sync.settings.insert(name.to_owned(), value);
        self.store.configure_sync(&sync, None).await.expect("nobody else configures it");
    }

    /// A person switches the sync off.
    pub async fn switch_off(&self) {
        let sync = Sync { enabled: false, ..self.sync().await };
        self.store.configure_sync(&sync, None).await.expect("nobody else configures it");
    }

    /// A person switches it on again.
    pub async fn switch_on(&self) {
        let sync = Sync { enabled: true, ..self.sync().await };
        self.store.configure_sync(&sync, Some(self.clock.now())).await.expect("nobody else configures it");
    }

    /// The rule fires an hour later, and everything it sets off comes to rest.
    pub async fn run(&self) -> Run {
        self.clock.advance(Duration::from_secs(3_700));
        self.engine.fan_out_shards(self.sync().await.kind).await.expect("the queue takes it");
        self.settle().await;
        let last = self.sync().await.last_run.expect("a run has ended");
        self.store.run(&last).await.expect("a quiet table").expect("it is kept")
    }

    /// Jobs are worked on until none is left and the sync rests.
    pub async fn settle(&self) {
        for _ in 0..2_000 {
            let Some(job) = self.queue.take(0) else {
                if self.sync().await.current_run.is_none() {
                    return;
                }
                self.clock.advance(Duration::from_secs(60));
                if self.queue.is_empty() {
                    self.engine.fan_out_shards(self.sync().await.kind).await.expect("the queue takes it");
                }
                continue;
            };
            let budget = Budget::of(self.clock.clone(), Duration::from_secs(50));
            self.engine.work(&job, &budget).await.expect("nothing breaks in this story");
        }
        panic!("the sync never comes to rest");
    }

    /// A person starts a run.
    pub async fn start(&self) -> Result<(), tandem_engine::EngineError> {
        self.engine.start_run(&self.sync().await, Trigger::Manual).await?;
        self.settle().await;
        Ok(())
    }

    /// A colleague makes a contact in the CRM; answers its id.
    pub async fn crm_contact(&self, contact: Value) -> String {
        self.crm_record(CrmKind::Contact, contact).await
    }
    /// A colleague makes a record in the CRM; answers its id.
    pub async fn crm_record(&self, kind: CrmKind, record: Value) -> String {
        self.crm.create(&self.user, kind, &object(record)).await.expect("a good record").id
    }
    /// A colleague edits a record.
    pub async fn crm_edit(&self, kind: CrmKind, id: &str, change: Value) {
        self.crm.update(&self.user, kind, id, None, &object(change)).await.expect("a good change");
    }
    /// A colleague deletes a record.
    pub async fn crm_delete(&self, kind: CrmKind, id: &str) {
        self.crm.delete(&self.user, kind, id, None).await.expect("may be deleted");
    }

    /// The salesperson makes a group in Google; answers its resource name.
    pub async fn google_group(&self, name: &str) -> String {
        let body = json!({ "contactGroup": { "name": name } }).to_string();
        let request = http::Request::post("https://people.googleapis.com/v1/contactGroups").body(body.into());
        let answer = self.google.authorised(GOOGLE).send(request.expect("a request")).await.expect("an answer");
        let group: Value = serde_json::from_slice(answer.body()).expect("JSON");
        group["resourceName"].as_str().expect("it is made").to_owned()
    }
    /// The salesperson deletes a group in Google, and not the people in it.
    pub async fn google_deletes_group(&self, name: &str) {
        let request = http::Request::delete(format!("https://people.googleapis.com/v1/{name}")).body(Vec::new().into());
        let answer = self.google.authorised(GOOGLE).send(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    /// Works on one job.
    pub async fn work_once(&self) {
        let job = self.queue.take(0).expect("a job waits");
        let budget = Budget::of(self.clock.clone(), Duration::from_secs(50));
        self.engine.work(&job, &budget).await.expect("nothing breaks in this story");
    }
    /// Another sync between the same two accounts; its first job waits in the queue.
    pub async fn second_sync(&self, profile: &str, settings: Value) {
        let first = self.sync().await;
        let id = SyncId::new("sync-2");
        let (profile, settings) = (profile.to_owned(), object(settings));
        let second = Sync { id, profile, settings, current_run: None, last_run: None, ..first };
        self.store.create_sync(&second).await.expect("a new sync");
        self.engine.start_run(&second, Trigger::Push).await.expect("may be started");
    }
    /// Another Google account of the same user, with a sync of its own between it and the CRM; its first job waits in
    /// the queue.
    pub async fn second_mailbox(&self, connection: &str, account: &str, settings: Value) {
        let (id, user) = (ConnectionId::new(connection), UserId::new(&self.user.id));
        let connected = Connection {
            account: Account { id: account.to_owned(), name: String::new(), email: String::new() },
            state: ConnectionState::Connected,
            ..Connection::new(id.clone(), user, "google", self.clock.now())
        };
        self.store.create_connection(&connected).await.expect("a new connection");
        let first = self.sync().await;
        let second = Sync {
            id: SyncId::new(format!("sync of {connection}")),
            remote: id,
            settings: object(settings),
            current_run: None,
            last_run: None,
            ..first
        };
        self.store.create_sync(&second).await.expect("a new sync");
        self.engine.start_run(&second, Trigger::Push).await.expect("may be started");
    }
    /// An administrator changes what the salesperson may do with contacts.
    pub async fn crm_rights(&self, contacts: Value) {
        let rights = json!({ "rights": { "modules": { "contacts": contacts } } });
        self.crm_edit(CrmKind::User, &self.user.id, rights).await;
    }

    /// A contact of the CRM as its API shows it.
    pub async fn crm_get(&self, id: &str) -> Value {
        self.crm.get(&self.user, CrmKind::Contact, id).await.expect("it is there").to_json()
    }
    /// All contacts of the CRM, as its API shows them.
    pub async fn crm_contacts(&self) -> Vec<Value> {
        let (mut all, mut query) = (Vec::new(), tandem_builtin::Query::default());
        loop {
            let listed = self.crm.list(&self.user, CrmKind::Contact, &query).await.expect("readable");
            all.extend(listed.items.iter().map(tandem_builtin::Record::to_json));
            query.next = listed.next;
            if query.next.is_none() {
                return all;
            }
        }
    }
    /// Undoes the last run.
    pub async fn undo(&self, run: &Run) -> tandem_engine::Undone {
        let budget = Budget::of(self.clock.clone(), Duration::from_secs(20));
        self.engine.undo(&self.sync().await, run, None, &budget).await.expect("may be undone")
    }
    /// Every write of a run.
    pub async fn changes(&self, run: &Run) -> Vec<Value> {
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let (some, more) = self.engine.changes(&self.sync().await, &run.id, next.as_deref()).await.expect("kept");
            all.extend(some.iter().map(|change| serde_json::to_value(change).expect("it serialises")));
            next = more;
            if next.is_none() {
                return all;
            }
        }
    }
    /// The group that the sync made for itself, or was given.
    pub fn group(&self) -> String {
        let groups = self.groups();
        assert_eq!(groups.len(), 1, "one group");
        groups[0]["resourceName"].as_str().expect("groups have names").to_owned()
    }

    /// The people in Google, as Google shows them.
    pub fn people(&self) -> Vec<Value> {
        self.google.state(GOOGLE)["people"].as_array().cloned().unwrap_or_default()
    }
    /// The groups that people made.
    pub fn groups(&self) -> Vec<Value> {
        let groups = self.google.state(GOOGLE)["groups"].as_array().cloned().unwrap_or_default();
        groups.into_iter().filter(|group| group["system"] != json!(true)).collect()
    }
    /// The person with this family name.
    pub fn person(&self, family_name: &str) -> Value {
        let found: Vec<Value> =
            self.people().into_iter().filter(|person| person["names"][0]["familyName"] == family_name).collect();
        assert_eq!(found.len(), 1, "{family_name} is there {} times", found.len());
        found[0].clone()
    }
    /// The resource names of the groups a person is in.
    pub fn groups_of(person: &Value) -> Vec<String> {
        let memberships = person["memberships"].as_array().cloned().unwrap_or_default();
        let name = |m: &Value| m["contactGroupMembership"]["contactGroupResourceName"].as_str().map(str::to_owned);
        memberships.iter().filter_map(name).collect()
    }
    /// The salesperson edits a person in Google.
    pub fn google_edit(&self, person: &Value, fields: Value) {
        let name = person["resourceName"].as_str().expect("people have names");
        self.google.user_edits(GOOGLE, name, Edit { fields: object(fields), groups: None });
    }
    /// The salesperson makes a person in Google.
    pub fn google_person(&self, fields: Value, groups: &[&str]) -> String {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self.google.user_creates(GOOGLE, Edit { fields: object(fields), groups: Some(groups) })
    }
    /// The salesperson deletes a person in Google.
    pub fn google_delete(&self, person: &Value) {
        let name = person["resourceName"].as_str().expect("people have names");
        assert!(self.google.user_deletes(GOOGLE, name));
    }

    /// Writes that reached Google so far.
    pub fn google_writes(&self) -> usize {
        self.google.calls().iter().filter(|(method, path, _)| method != "GET" && path.starts_with("/v1/")).count()
    }

    /// What the page shows of a state.
    pub async fn records(&self, state: &str) -> Vec<RecordView> {
        let state = Some(tandem_engine::state_of(state).expect("a state"));
        let query = RecordQuery { state, limit: 100, ..RecordQuery::default() };
        let (mut all, mut next) = self.engine.records(&self.sync().await, &query).await.expect("readable");
        while next.is_some() {
            let query = RecordQuery { next, ..query.clone() };
            let (some, more) = self.engine.records(&self.sync().await, &query).await.expect("readable");
            all.extend(some);
            next = more;
        }
        all
    }
}

/// A JSON object.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            panic!("an object is needed")
        }
    }
}

/// A complete contact for the CRM.
pub fn contact(first: &str, last: &str, email: &str) -> Value {
    json!({ "first_name": first, "last_name": last, "emails": [{ "type": "work", "value": email }] })
}
