//! Calendars: one CRM, Google as it is simulated, a sync for each person, and calls that may be lost at any moment.
pub mod machine;

use crate::world::below;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tandem_builtin::users::{NewUser, Role, User, Users};
use tandem_builtin::{BuiltinCalendar, Crm};
use tandem_core::event::{Event, Moment, field};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, Fields, RemoteId, Side, SyncId, UserId};
use tandem_core::recurrence::{Window, expand};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening};
use tandem_google::fake::FakeGoogle;
use tandem_google::{ChosenCalendars, GoogleCalendars, GoogleConfig};
use tandem_ports::connector::{Change, Connector, Next};
use tandem_ports::error::ConnectorError;
use tandem_ports::infra::{Clock, HttpTransport, Job, Kind, TransportError, Trigger};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::sync::{Sync, SyncState};
use tandem_testkit::calendar::{MemoryCalendar, Recurrence};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::{Faults, Verdict};
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;

/// The people, by their Google accounts.
pub const PEOPLE: [&str; 2] = ["jan@example.com", "eva@example.com"];
const ACCOUNT: &str = "acme";
const PROFILE: &str = "teamleader-google-calendar";
/// Time of one job.
const JOB: Duration = Duration::from_secs(50);

/// Occurrences as people see them, in order: start, end, place, guests with their answers. Two may look alike.
pub type Seen = Vec<(String, String, String, String)>;

/// The CRM.
pub enum Left {
    /// The built-in one, which keeps recurrence, and its users.
    Builtin(Box<Crm>, Vec<User>),
    /// One that knows no recurrence.
    Plain(Arc<MemoryCalendar>),
}

/// A whole world.
pub struct CalendarWorld {
    /// The time.
    pub clock: Arc<ManualClock>,
    /// Google.
    pub google: Arc<FakeGoogle>,
    /// The CRM.
    pub crm: Left,
    /// What strikes.
    pub faults: Arc<Faults>,
    /// The durable state.
    pub store: Store,
    table: Arc<MemoryTable>,
    queue: Arc<MemoryQueue>,
    engine: Engine,
}

struct Open {
    latency: Duration,
    google: Arc<FakeGoogle>,
    plain: Option<Arc<MemoryCalendar>>,
    table: Arc<MemoryTable>,
    clock: Arc<ManualClock>,
    faults: Arc<Faults>,
}

/// A network that loses requests and answers, and the calls of a dead process.
struct Shaky {
    latency: Duration,
    inner: Arc<dyn HttpTransport>,
    faults: Arc<Faults>,
}

#[async_trait]
impl HttpTransport for Shaky {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let lost = || TransportError::Lost { host: "www.googleapis.com".to_owned(), source: None };
        match self.faults.strike() {
            Verdict::Go => self.inner.send(request).await,
            Verdict::Refuse => Err(lost()),
            Verdict::DoAndLose => {
                drop(self.inner.send(request).await);
                Err(lost())
            }
        }
    }
}

#[async_trait]
impl Connectors for Open {
    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        if ask.side == Side::Right {
            let account = &ask.connection.account.id;
            let chosen = ChosenCalendars::chosen(ask.settings.calendar.as_ref().expect("a calendar sync"), account);
            let (inner, faults) = (self.google.authorised(account), Arc::clone(&self.faults));
            let shaky = Shaky { latency: self.latency, inner, faults };
            let google = GoogleCalendars::new(Arc::new(shaky), GoogleConfig::default(), &chosen);
            return Ok(Arc::new(if self.latency.is_zero() { google.with_page_size(7) } else { google }));
        }
        if let Some(plain) = &self.plain {
            return Ok(plain.clone());
        }
        let user = ask.connection.user.as_str();
        Ok(Arc::new(BuiltinCalendar::open(self.table.clone(), self.clock.clone(), ACCOUNT, user).await?))
    }
}

fn sync_of(person: &str) -> SyncId {
    SyncId::new(format!("sync of {person}"))
}

impl CalendarWorld {
    /// The built-in CRM with two people in it, or one person with a CRM that knows no recurrence.
    pub async fn begins(recurrence: Recurrence, settings: &Value) -> CalendarWorld {
        let plain = (recurrence == Recurrence::Unknown).then(|| MemoryCalendar::new(20, recurrence));
        Self::with(plain, settings, [Duration::ZERO; 2]).await
    }

    /// With this CRM (none: the built-in one), and with real latency of every call at Google and of every table request.
    pub async fn with(
        plain: Option<MemoryCalendar>,
        settings: &Value,
        [google_latency, table_latency]: [Duration; 2],
    ) -> CalendarWorld {
        let clock = Arc::new(ManualClock::default());
        let faults = Arc::new(Faults::default());
        let table = MemoryTable::with_faults(Arc::clone(&faults));
        let table = Arc::new(if table_latency.is_zero() { table } else { table.with_latency(table_latency) });
        let google = FakeGoogle::new(clock.clone()).shared();
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::clone(&faults)));
        let store = Store::new(table.clone());
        let plain = plain.map(Arc::new);
        let open = Open {
            latency: google_latency,
            google: google.clone(),
            plain: plain.clone(),
            table: table.clone(),
            clock: clock.clone(),
            faults: Arc::clone(&faults),
        };
        let engine = Engine::new(
            store.clone(),
            queue.clone(),
            clock.clone(),
            Arc::new(MemorySecrets),
            Arc::new(open),
            EngineConfig::default(),
        );
        let crm = match plain {
            Some(plain) => Left::Plain(plain),
            None => Left::Builtin(Box::new(Crm::new(table.clone(), clock.clone())), Vec::new()),
        };
        let mut world = CalendarWorld { clock, google, crm, faults, store, table, queue, engine };
        world.seed(settings).await;
        world
    }

    async fn seed(&mut self, settings: &Value) {
        let users = Users::new(self.table.clone(), self.clock.clone());
        for person in self.people() {
            let new = NewUser { account: ACCOUNT, email: person, name: person, role: Role::Administrator };
            let user = users.create(new).await.expect("a new user");
            for (provider, account) in [("builtin", ACCOUNT), ("google", person)] {
                let id = ConnectionId::new(format!("{provider} of {person}"));
                let connection = Connection {
                    account: Account { id: account.to_owned(), name: String::new(), email: account.to_owned() },
                    state: ConnectionState::Connected,
                    ..Connection::new(id, UserId::new(&user.id), provider, self.clock.now())
                };
                self.store.create_connection(&connection).await.expect("a quiet table");
            }
            self.google.user_does(person, "events", &json!({}));
            self.make_sync(person, &user, settings).await;
            if let Left::Builtin(_, users) = &mut self.crm {
                users.push(user);
            }
        }
    }

    /// Who has a sync here.
    pub fn people(&self) -> &'static [&'static str] {
        if matches!(self.crm, Left::Plain(_)) { &PEOPLE[..1] } else { &PEOPLE }
    }

    async fn make_sync(&self, person: &str, user: &User, settings: &Value) {
        let sync = Sync {
            id: sync_of(person),
            user: UserId::new(&user.id),
            profile: PROFILE.to_owned(),
            kind: Kind::Calendar,
            crm: ConnectionId::new(format!("builtin of {person}")),
            remote: ConnectionId::new(format!("google of {person}")),
            settings: settings.as_object().cloned().unwrap_or_default(),
            enabled: true,
            state: SyncState::Idle,
            reason: None,
            current_run: None,
            last_run: None,
            next_due_at: Some(self.clock.now()),
            fingerprint_key: FingerprintKey::new("a key for the simulation, 32 bytes"),
            created_at: self.clock.now(),
            settings_version: 0,
        };
        self.store.create_sync(&sync).await.expect("a quiet table");
    }

    /// The sync of a person as it is stored.
    pub async fn sync(&self, person: &str) -> Sync {
        self.store.sync(&sync_of(person)).await.expect("a quiet table").expect("it is there")
    }

    /// Removes every sync, and makes it anew.
    pub async fn start_over(&self) {
        for person in self.people() {
            let sync = self.sync(person).await;
            self.store.delete_sync(&sync).await.expect("a quiet table");
            let anew = Sync {
                state: SyncState::Idle,
                current_run: None,
                last_run: None,
                next_due_at: Some(self.clock.now()),
                created_at: self.clock.now(),
                settings_version: 0,
                ..sync
            };
            self.store.create_sync(&anew).await.expect("a quiet table");
        }
    }

    /// A job more of somebody's, as SQS may deliver one twice and a notification may come late.
    pub fn duplicate(&self, person: &str) {
        let (sync, kind, trigger) = (sync_of(person), Kind::Calendar, Trigger::Push);
        let job = Job::Sync { sync, kind, trigger, run: None, continuation: 0 };
        self.queue.redeliver(job, Duration::ZERO);
    }

    /// The rule fires an hour later, and jobs are worked on until every sync is at rest. `dice` choose which job is next.
    pub async fn run(&self, dice: &mut StdRng) {
        self.clock.advance(Duration::from_secs(3_700));
        self.fire().await;
        let mut jobs = 0;
        for _ in 0..400 {
            while let Some(job) = self.queue.take(below(dice, self.queue.len())) {
                let clock: Arc<dyn Clock> = self.clock.clone();
                let done = self.engine.work(&job, &Budget::of(clock, JOB)).await;
                self.clock.advance(Duration::from_secs(1));
                if done.is_err() || self.faults.crashed() {
                    self.queue.redeliver(job, Duration::from_secs(720));
                }
                self.faults.restart();
                jobs += 1;
                assert!(jobs < 2_000, "it never comes to rest");
            }
            if self.queue.is_empty() && self.is_at_rest().await {
                return;
            }
            let next = self.queue.next_at().unwrap_or_else(|| self.clock.now() + Duration::from_secs(60));
            let wait = Duration::try_from(next.duration_since(self.clock.now())).unwrap_or_default();
            self.clock.advance(wait.max(Duration::from_secs(30)));
            if self.queue.is_empty() {
                self.fire().await;
            }
        }
        panic!("it never comes to rest");
    }

    async fn fire(&self) {
        // What a rule invokes may fail; it fires again.
        drop(self.engine.fan_out_shards(Kind::Calendar).await);
        self.faults.restart();
    }

    async fn is_at_rest(&self) -> bool {
        for person in self.people() {
            match self.store.sync(&sync_of(person)).await {
                Ok(Some(sync)) if sync.current_run.is_none() => {}
                Ok(_) | Err(_) => {
                    self.faults.restart();
                    return false;
                }
            }
        }
        true
    }

    /// Everything that was ever written, on either side.
    pub async fn writes(&self) -> (usize, Value) {
        let google = self.google.calls().iter().map(|(_, _, writes)| writes).sum();
        let left = match &self.crm {
            Left::Plain(plain) => {
                let tally = plain.tally();
                json!([tally.created, tally.updated, tally.deleted])
            }
            Left::Builtin(..) => {
                let mut versions = BTreeMap::new();
                for person in self.people() {
                    versions.extend(self.held(person).await.into_iter().map(|(id, (version, _))| (id, version)));
                }
                json!(versions)
            }
        };
        (google, left)
    }

    /// The CRM's appointments of a person by id: version and fields.
    pub async fn held(&self, person: &str) -> BTreeMap<String, (String, Fields)> {
        let user = match &self.crm {
            Left::Plain(plain) => {
                let all = plain.all().into_iter();
                return all.map(|(id, fields)| (id.to_string(), (String::new(), fields))).collect();
            }
            Left::Builtin(_, users) => &users[PEOPLE.iter().position(|one| *one == person).expect("one of them")],
        };
        let opened = BuiltinCalendar::open(self.table.clone(), self.clock.clone(), ACCOUNT, &user.id).await;
        let connector = opened.expect("a quiet table");
        let (mut all, mut at) = (BTreeMap::new(), None);
        loop {
            let page = connector.changes(at.as_ref()).await.expect("a quiet table");
            for change in page.changes {
                match change {
                    Change::Upsert(one) => {
                        all.insert(one.id.to_string(), (one.version.to_string(), one.fields));
                    }
                    Change::Tombstone { id } => {
                        all.remove(id.as_str());
                    }
                    Change::Seen { .. } | Change::Unreadable { .. } => panic!("{change:?}"),
                }
            }
            match page.next {
                Next::More(cursor) => at = Some(cursor),
                Next::CaughtUp(_) | Next::Relist => return all,
            }
        }
    }

    /// What the CRM shows a person of the appointments, by title.
    pub async fn seen_in_crm(&self, person: &str, window: Window) -> BTreeMap<String, Seen> {
        let mut all: BTreeMap<String, Seen> = BTreeMap::new();
        for (id, (_, fields)) in self.held(person).await {
            let event = Event::from_fields(&fields).unwrap_or_else(|wrong| panic!("{id}: {wrong}"));
            let seen = all.entry(event.title.clone()).or_default();
            for one in expand(&event, window, 10_000).expect("a rule") {
                let shown = event.occurrence(&one.original).expect("it takes place").to_fields();
                seen.push((
                    shown.text(&field::START).to_owned(),
                    shown.text(&field::END).to_owned(),
                    shown.text(&field::LOCATION).to_owned(),
                    guests_of(&shown),
                ));
            }
        }
        all.values_mut().for_each(|seen| seen.sort());
        all
    }

    /// What Google shows a person, by title: worked out by Google's simulator itself (`singleEvents`).
    pub async fn seen_in_google(&self, person: &str, window: Window) -> BTreeMap<String, Seen> {
        let mut all: BTreeMap<String, Seen> = BTreeMap::new();
        for one in self.instances(person, window).await {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            let guests = one["attendees"].as_array().into_iter().flatten();
            let guests: BTreeSet<String> = guests
                .map(|guest| {
                    let status =
                        guest["responseStatus"].as_str().unwrap_or_default().replace("needsAction", "needs_action");
                    format!("{}:{status}", guest["email"].as_str().unwrap_or_default())
                })
                .collect();
            let guests = guests.into_iter().collect::<Vec<_>>().join(" ");
            let seen = all.entry(text("summary")).or_default();
            seen.push((moment(&one["start"]), moment(&one["end"]), text("location"), guests));
        }
        all.values_mut().for_each(|seen| seen.sort());
        all
    }

    /// Occurrences as Google's items.
    pub async fn instances(&self, person: &str, window: Window) -> Vec<Value> {
        let url = format!(
            "https://www.googleapis.com/calendar/v3/calendars/primary/events?singleEvents=true&maxResults=2500&timeMin={}&timeMax={}",
            window.from, window.until
        );
        let request = Request::get(url).body(Bytes::new()).expect("a request");
        let answer = self.google.authorised(person).send(request).await.expect("an answer");
        let page: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert!(page["items"].is_array() && page["nextPageToken"].is_null(), "{page}");
        page["items"].as_array().cloned().unwrap_or_default()
    }
}

/// A time of Google's, as the canonical form has it.
pub fn moment(time: &Value) -> String {
    match (time["date"].as_str(), time["dateTime"].as_str()) {
        (Some(day), _) => day.to_owned(),
        (None, Some(text)) => Moment::at(text.parse().expect("a time with an offset")).to_string(),
        (None, None) => panic!("{time} is no time"),
    }
}

fn guests_of(fields: &Fields) -> String {
    let guests = fields.items(&field::ATTENDEES).iter();
    let guests: BTreeSet<String> = guests.map(|one| format!("{}:{}", one.part("email"), one.part("status"))).collect();
    guests.into_iter().collect::<Vec<_>>().join(" ")
}

/// An id of the CRM's.
pub fn id_of(text: &str) -> RemoteId {
    RemoteId::new(text)
}
