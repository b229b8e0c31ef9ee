//! Ten thousand contacts on each side, half of them on both, in the memory of a small function. The doubles keep nothing;
//! the table is in the process too, so that the true figure is below the one measured. One test in this binary, so that the
//! process's peak is its peak.
use async_trait::async_trait;
use serde_json::{Map, Value};
use simulation::world::person;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
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
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::run::RunState;
use tandem_store::sync::{Sync, SyncState};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;

/// On each side.
const CONTACTS: u64 = 10_000;
/// Of the remote side's contacts, the first one's number.
const FIRST_THERE: u64 = CONTACTS / 2;
const LIMIT_MB: u64 = 128;

/// Contacts made up as they are read; written ones are counted and forgotten.
struct MadeUp {
    side: Side,
    created: AtomicU64,
}

fn made_up(n: u64) -> Fetched {
    Fetched {
        id: RemoteId::new(format!("{n:08}")),
        version: Version::new("1"),
        scope: Scope::Inside,
        marker: None,
        fields: person(n),
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
        let mut capabilities = simulation::provider::people_at_scale().capabilities;
        capabilities.delta_lags = false;
        capabilities
    }
    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let first = if self.side == Side::Left { 0 } else { FIRST_THERE };
        let start: u64 = from.and_then(|cursor| cursor.0.parse().ok()).unwrap_or(first);
        let end = (first + CONTACTS).min(start + 200);
        let changes = (start..end).map(|n| Change::Upsert(Box::new(made_up(n)))).collect();
        let cursor = Cursor(end.to_string());
        let more = end < first + CONTACTS;
        Ok(ChangePage { changes, next: if more { Next::More(cursor) } else { Next::CaughtUp(cursor) }, total: None })
    }
    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        Ok(ids.iter().map(|id| id.as_str().parse().ok().map(made_up)).collect())
    }
    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        let written = |_: &Draft| {
            let n = self.created.fetch_add(1, Ordering::SeqCst);
            Ok(Written { id: RemoteId::new(format!("made/{n:08}")), version: Version::new("1"), shown: None })
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
        Ok(Some(ContainerId::new("group")))
    }
    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        Ok(tandem_core::contact::schema(&tandem_core::contact::field::ALL))
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

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") / 1024
}

#[tokio::test]
async fn ten_thousand_contacts_on_each_side_pass_through_a_worker_of_128_mb() {
    let clock = Arc::new(ManualClock::default());
    let store = Store::new(Arc::new(MemoryTable::default()));
    let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
    let side = |side| Arc::new(MadeUp { side, created: AtomicU64::new(0) });
    let (left, right) = (side(Side::Left), side(Side::Right));
    let connectors = Arc::new(Sides([left, right]));
    // The change log is the table's, not the worker's.
    let config = EngineConfig { change_log_days: 0, ..EngineConfig::default() };
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
        profile: "zoho-google-contacts".into(),
        kind: Kind::Contacts,
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
    while let Some(job) = queue.take(0) {
        let budget = Budget::of(clock.clone(), Duration::from_secs(3_600));
        engine.work(&job, &budget).await.expect("nothing breaks");
    }
    let run = store.run(&run).await.expect("a quiet table").expect("it is kept");
    let counts = (run.counts.crm.created, run.counts.remote.created, run.counts.remote.paired);
    assert_eq!((run.state, counts), (RunState::Done, (FIRST_THERE, FIRST_THERE, CONTACTS - FIRST_THERE)), "{run:?}");
    let peak = peak_mb();
    println!("peak of the whole test process: {peak} MB for {CONTACTS} contacts on each side");
    assert!(peak < LIMIT_MB, "{peak} MB");
}
