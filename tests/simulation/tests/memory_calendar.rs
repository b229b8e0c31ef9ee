//! A hundred thousand appointments pass through a worker. The doubles keep nothing, and the table forgets what grows: what is
//! measured is the engine's own. One test in this binary, so that the process's peak is its peak.
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tandem_core::event::{self, Event, Moment, Span};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, ContainerId, Marker, RemoteId, Scope, Side, SyncId, UserId, Version};
use tandem_core::schema::FieldSchema;
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening};
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Next, Outcomes, Patch,
    Written,
};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::{Kind, Trigger};
use tandem_ports::table::{Condition, Item, Key, Op, Page, Query, Table, TableError, Update, Write};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::run::RunState;
use tandem_store::sync::{Sync, SyncState};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;

const EVENTS: u64 = 100_000;
const LIMIT_MB: u64 = 256;

/// Appointments made up as they are read, every tenth a weekly series with an exception; written ones are counted and
/// forgotten.
struct MadeUp {
    side: Side,
    created: AtomicU64,
}

fn made_up(n: u64) -> Fetched {
    let start: jiff::Timestamp = "2026-01-05T08:00:00Z".parse().expect("a time");
    let start = start + jiff::SignedDuration::from_hours(i64::try_from(n % 2_000).expect("small"));
    let span = Span::new(Moment::At(start), Moment::At(start + jiff::SignedDuration::from_hours(1))).expect("in order");
    let mut event = Event::at(span);
    event.title = format!("Meeting {n}");
    event.time_zone = "Europe/Brussels".to_owned();
    event.description = "What there is to say about it, in a sentence or two, as people do.".to_owned();
    event.attendees = (0..3)
        .map(|guest| event::Attendee { email: format!("guest{guest}@example{n}.com"), ..event::Attendee::default() })
        .collect();
    if n.is_multiple_of(10) {
        event.repeat(&["RRULE:FREQ=WEEKLY;COUNT=40".to_owned()]).expect("a rule");
        event.exceptions.insert(*event.span.start(), event::Deviation::Cancelled);
    }
    Fetched {
        id: RemoteId::new(format!("{n:08}")),
        version: Version::new("1"),
        scope: Scope::Inside,
        marker: None,
        fields: event.to_fields(),
        modified_at: None,
        raw: Value::Null,
    }
}

#[async_trait]
impl Connector for MadeUp {
    fn provider(&self) -> &'static str {
        self.side.word()
    }
    fn capabilities(&self) -> Capabilities {
        let capabilities = simulation::provider::like_a_crm().capabilities;
        Capabilities { create_batch: 500, update_batch: 500, delete_batch: 500, ..capabilities }
    }
    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let start: u64 = from.and_then(|cursor| cursor.0.parse().ok()).unwrap_or(0);
        let end = if self.side == Side::Left { EVENTS.min(start + 200) } else { 0 };
        let changes = (start..end).map(|n| Change::Upsert(Box::new(made_up(n)))).collect();
        let cursor = Cursor(end.to_string());
        let more = self.side == Side::Left && end < EVENTS;
        Ok(ChangePage { changes, next: if more { Next::More(cursor) } else { Next::CaughtUp(cursor) }, total: None })
    }
    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        Ok(ids.iter().map(|id| id.as_str().parse().ok().map(made_up)).collect())
    }
    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        let written = |draft: &Draft| {
            let n = self.created.fetch_add(1, Ordering::SeqCst);
            let id = RemoteId::new(format!("primary/{n:08}"));
            Ok(Written { id, version: Version::new("1"), shown: Some(draft.fields.clone()) })
        };
        Ok(drafts.iter().map(written).collect())
    }
    async fn update(&self, _: &[Patch]) -> Result<Outcomes<Written>> {
        Err(ConnectorError::new("made up", "update", ErrorKind::Permanent, "nothing is updated here"))
    }
    async fn delete(&self, _: &[Deletion]) -> Result<Outcomes<()>> {
        Err(ConnectorError::new("made up", "delete", ErrorKind::Permanent, "nothing is deleted here"))
    }
    async fn find_made(&self, _: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        Ok(vec![])
    }
    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }
    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        Ok(event::schema(&event::field::ALL))
    }
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(vec![])
    }
}
struct Sides([Arc<MadeUp>; 2]);

#[async_trait]
impl Connectors for Sides {
    async fn open(&self, ask: Opening<'_>) -> std::result::Result<Arc<dyn Connector>, ConnectorError> {
        Ok(self.0[usize::from(ask.side == Side::Right)].clone())
    }
}

/// Forgets rows and change logs, which are what grows.
struct Forgetful(MemoryTable);

fn grows(key: &Key) -> bool {
    key.pk.starts_with("ROWS#") || key.sk.starts_with("change:")
}

#[async_trait]
impl Table for Forgetful {
    async fn get(&self, keys: &[Key]) -> std::result::Result<Vec<Option<Item>>, TableError> {
        self.0.get(keys).await
    }
    async fn query(&self, query: &Query) -> std::result::Result<Page, TableError> {
        self.0.query(query).await
    }
    async fn write(&self, writes: &[Write]) -> std::result::Result<(), TableError> {
        let kept: Vec<Write> =
            writes.iter().filter(|write| !matches!(write, Write::Put(item) if grows(&item.key))).cloned().collect();
        self.0.write(&kept).await
    }
    async fn transact(&self, ops: &[Op]) -> std::result::Result<(), TableError> {
        self.0.transact(ops).await
    }
    async fn update(&self, key: &Key, update: &Update, is: &[Condition]) -> std::result::Result<Item, TableError> {
        self.0.update(key, update, is).await
    }
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") / 1024
}

#[tokio::test]
async fn a_hundred_thousand_appointments_pass_through_one_job_of_256_mb() {
    let clock = Arc::new(ManualClock::default());
    let store = Store::new(Arc::new(Forgetful(MemoryTable::default())));
    let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
    let side = |side| Arc::new(MadeUp { side, created: AtomicU64::new(0) });
    let (left, right) = (side(Side::Left), side(Side::Right));
    let connectors = Arc::new(Sides([left, right.clone()]));
    let config = EngineConfig::default();
    let engine = Engine::new(store.clone(), queue.clone(), clock.clone(), Arc::new(MemorySecrets), connectors, config);
    for (id, provider) in [("crm", "builtin"), ("remote", "google")] {
        let begun = jiff::Timestamp::UNIX_EPOCH;
        let connection = Connection {
            account: Account { id: "account".into(), ..Account::default() },
            state: ConnectionState::Connected,
            ..Connection::new(ConnectionId::new(id), UserId::new("user"), provider, begun)
        };
        store.create_connection(&connection).await.expect("a quiet table");
    }
    let sync = Sync {
        id: SyncId::new("sync"),
        user: UserId::new("user"),
        profile: "teamleader-google-calendar".into(),
        kind: Kind::Calendar,
        crm: ConnectionId::new("crm"),
        remote: ConnectionId::new("remote"),
        settings: Map::new(),
        enabled: true,
        state: SyncState::Idle,
        reason: None,
        current_run: None,
        last_run: None,
        next_due_at: None,
        fingerprint_key: FingerprintKey::new("key"),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        settings_version: 0,
    };
    store.create_sync(&sync).await.expect("a quiet table");
    let run = engine.start_run(&sync, Trigger::Manual).await.expect("may be started");
    let mut jobs = 0;
    while let Some(job) = queue.take(0) {
        jobs += 1;
        let budget = Budget::of(clock.clone(), Duration::from_secs(3_600));
        engine.work(&job, &budget).await.expect("nothing breaks");
    }
    let run = store.run(&run).await.expect("a quiet table").expect("it is kept");
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, EVENTS), "{run:?}");
    assert_eq!(right.created.load(Ordering::SeqCst), EVENTS);
    let peak = peak_mb();
    assert_eq!(jobs, 1);
    println!("peak of the whole test process: {peak} MB for {EVENTS} appointments");
    assert!(peak < LIMIT_MB, "{peak} MB");
}
