//! Two providers, one sync, and workers that may die at any call.
use crate::provider::{Character, Opened, Provider, like_a_crm, like_people};
use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::contact::{Contact, Labelled};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::normalise::Region;
use tandem_core::record::{ConnectionId, ContainerId, Fields, Side, SyncId, UserId};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening};
use tandem_ports::connector::Connector;
use tandem_ports::error::ConnectorError;
use tandem_ports::infra::{Clock, Job, Kind, Trigger};
use tandem_store::Store;
use tandem_store::checkpoint::Checkpoint;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::link::Row;
use tandem_store::run::Run;
use tandem_store::sync::{Sync, SyncState};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;

/// A whole world.
pub struct World {
    /// The CRM.
    pub crm: Arc<Provider>,
    /// The remote.
    pub remote: Arc<Provider>,
    /// The time.
    pub clock: Arc<ManualClock>,
    /// The queue.
    pub queue: Arc<MemoryQueue>,
    /// The table.
    pub table: Arc<MemoryTable>,
    /// What strikes.
    pub faults: Arc<Faults>,
    /// The engine.
    pub engine: Engine,
    /// The durable state.
    pub store: Store,
    /// The sync's id.
    pub sync: SyncId,
}

struct Both {
    crm: Arc<Provider>,
    remote: Arc<Provider>,
}

#[async_trait]
impl Connectors for Both {
    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let provider = if ask.side == Side::Left { &self.crm } else { &self.remote };
        let container = ask.container.map(|id| ContainerId::new(id.as_str()));
        Ok(Arc::new(Opened { provider: Arc::clone(provider), container }))
    }
}

/// Times of one job in a simulated world.
const JOB: Duration = Duration::from_secs(50);

impl World {
    /// A world with an enabled sync of this profile and settings.
    pub async fn new(profile: &str, settings: Value) -> World {
        Self::with(profile, settings, (like_a_crm(), like_people()), None).await
    }

    /// A world with other characters, and with real latency where given: `(remote, table)`; the CRM, which lives in the
    /// table, answers as fast as that.
    pub async fn with(
        profile: &str,
        settings: Value,
        (left, right): (Character, Character),
        latency: Option<(Duration, Duration)>,
    ) -> World {
        let clock = Arc::new(ManualClock::default());
        let faults = Arc::new(Faults::default());
        let table = MemoryTable::with_faults(Arc::clone(&faults));
        let table = Arc::new(match latency {
            Some((_, table_latency)) => table.with_latency(table_latency),
            None => table,
        });
        let make = |name, character| match latency {
            Some((_, table)) if name == "crm" => Provider::slow(name, character, clock.clone(), table),
            Some((remote, _)) => Provider::slow(name, character, clock.clone(), remote),
            None => Provider::new(name, character, clock.clone(), Arc::clone(&faults)),
        };
        let (crm, remote) = (make("crm", left), make("remote", right));
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::clone(&faults)));
        let store = Store::new(table.clone());
        let connectors = Arc::new(Both { crm: crm.clone(), remote: remote.clone() });
        let engine = Engine::new(
            store.clone(),
            queue.clone(),
            clock.clone(),
            Arc::new(MemorySecrets),
            connectors,
            EngineConfig::default(),
        );
        let sync = SyncId::new("sync-1");
        let world = World { crm, remote, clock, queue, table, faults, engine, store, sync };
        world.seed(profile, settings).await;
        world
    }

    async fn seed(&self, profile: &str, settings: Value) {
        let user = UserId::new("user-1");
        for (id, provider) in [("conn-crm", "builtin"), ("conn-remote", "google")] {
            let connection = Connection {
                account: Account { id: format!("{provider}-account"), name: String::new(), email: String::new() },
                state: ConnectionState::Connected,
                ..Connection::new(ConnectionId::new(id), user.clone(), provider, self.clock.now())
            };
            self.store.create_connection(&connection).await.expect("a quiet table");
        }
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        self.store.create_sync(&self.new_sync(profile, settings, user)).await.expect("a quiet table");
    }

    fn new_sync(&self, profile: &str, settings: Map<String, Value>, user: UserId) -> Sync {
        Sync {
            id: self.sync.clone(),
            user,
            profile: profile.to_owned(),
            kind: Kind::Contacts,
            crm: ConnectionId::new("conn-crm"),
            remote: ConnectionId::new("conn-remote"),
            settings,
            enabled: true,
            state: SyncState::Idle,
            reason: None,
            current_run: None,
            last_run: None,
            next_due_at: Some(self.clock.now()),
            fingerprint_key: FingerprintKey::new("a key for the simulation, 32 bytes"),
            created_at: self.clock.now(),
            settings_version: 0,
        }
    }

    /// One delivery: takes a visible job, if there is one, and carries it out; a failed one is delivered again.
    pub async fn deliver(&self, pick: usize) -> bool {
        let Some(job) = self.queue.take(pick) else { return false };
        let clock: Arc<dyn Clock> = self.clock.clone();
        let budget = Budget::of(clock, JOB);
        let done = self.engine.work(&job, &budget).await;
        self.clock.advance(Duration::from_secs(1));
        if done.is_err() || self.faults.crashed() {
            self.queue.redeliver(job, Duration::from_secs(720));
        }
        self.faults.restart();
        true
    }

    /// The rule fires.
    pub async fn rule(&self) {
        // What a rule invokes may fail; it fires again.
        let fired = self.engine.fan_out_shards(Kind::Contacts).await;
        drop(fired);
        self.faults.restart();
    }

    /// Lets time pass and jobs run until the sync is at rest with nothing in the queue. Answers how many jobs it took.
    pub async fn settle(&self) -> usize {
        let mut jobs = 0;
        for _ in 0..400 {
            while self.deliver(0).await {
                jobs += 1;
                assert!(jobs < 3_000, "the sync never comes to rest");
            }
            let sync = self.sync_now().await;
            let at_rest = sync.current_run.is_none() && self.queue.is_empty();
            if at_rest {
                return jobs;
            }
            let next = self.queue.next_at().unwrap_or_else(|| self.clock.now() + Duration::from_secs(60));
            let wait = Duration::try_from(next.duration_since(self.clock.now())).unwrap_or_default();
            self.clock.advance(wait.max(Duration::from_secs(30)));
            if self.queue.is_empty() {
                self.rule().await;
            }
        }
        panic!("the sync never comes to rest");
    }

    /// One run by schedule to its end.
    pub async fn run(&self) -> Run {
        // Past the lag of any feed, and into the next slot.
        self.clock.advance(Duration::from_secs(3_700));
        self.rule().await;
        self.settle().await;
        self.last_run().await
    }

    /// One run started by hand, to its end.
    pub async fn run_by_hand(&self) -> Run {
        self.clock.advance(Duration::from_secs(400));
        let sync = self.sync_now().await;
        self.engine.start_run(&sync, Trigger::Manual).await.expect("may be started");
        self.settle().await;
        self.last_run().await
    }

    /// The sync as it is stored, read past the faults.
    pub async fn sync_now(&self) -> Sync {
        self.faults.restart();
        loop {
            if let Ok(sync) = self.store.sync(&self.sync).await {
                return sync.expect("the sync exists");
            }
            self.faults.restart();
        }
    }

    /// The last run.
    pub async fn last_run(&self) -> Run {
        let sync = self.sync_now().await;
        let id = sync.last_run.expect("a run has ended");
        self.store.run(&id).await.expect("a quiet table").expect("the run is kept")
    }

    /// The user connects the remote account again.
    pub async fn reconnects(&self) {
        self.faults.restart();
        let id = ConnectionId::new("conn-remote");
        let mut connection = self.store.connection(&id).await.expect("a quiet table").expect("it is there");
        connection.state = ConnectionState::Connected;
        self.store.save_connection(&mut connection).await.expect("nobody else saves it");
    }

    /// Removes the sync, and makes it anew.
    pub async fn starts_over(&self) {
        let sync = self.sync_now().await;
        self.store.delete_sync(&sync).await.expect("a quiet table");
        let anew = self.new_sync(&sync.profile, sync.settings.clone(), sync.user.clone());
        self.store.create_sync(&anew).await.expect("a quiet table");
    }

    /// The checkpoint.
    pub async fn checkpoint(&self) -> Checkpoint {
        self.store.checkpoint(&self.sync).await.expect("a quiet table")
    }

    /// All rows.
    pub async fn rows(&self) -> Vec<Row> {
        let (rows, more) = self.store.rows(&self.sync, None, 1_000_000).await.expect("a quiet table");
        assert!(!more || rows.len() > 1_000, "one page");
        rows
    }

    /// This long ago.
    pub fn now_minus(&self, ago: Duration) -> jiff::Timestamp {
        self.clock.now() - ago
    }

    /// Plain jobs, duplicated and out of order as SQS may deliver them.
    pub fn duplicate(&self) {
        let job = Job::Sync {
            sync: self.sync.clone(),
            kind: Kind::Contacts,
            trigger: Trigger::Push,
            run: None,
            continuation: 0,
        };
        self.queue.redeliver(job, Duration::ZERO);
    }
}

/// A contact with everything that eligibility asks for.
pub fn person(n: u64) -> Fields {
    let contact = Contact {
        first_name: format!("First{n}"),
        last_name: format!("Last{n}"),
        emails: vec![Labelled { label: "work".into(), value: format!("person{n}@example.com") }],
        phones: vec![Labelled { label: "mobile".into(), value: format!("+32470{n:06}") }],
        company: format!("Company {}", n % 7),
        ..Contact::default()
    };
    contact.to_fields(Region::none())
}

/// Randomness that follows from the seed.
pub fn dice(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// A number below `n`.
pub fn below(dice: &mut StdRng, n: usize) -> usize {
    dice.random_range(0..n.max(1))
}

/// The remote side's contacts in the container by last name, for comparing with the CRM's.
pub fn by_last_name(records: impl IntoIterator<Item = Fields>) -> BTreeMap<String, Vec<Fields>> {
    let mut all: BTreeMap<String, Vec<Fields>> = BTreeMap::new();
    for fields in records {
        let name = fields.text(&tandem_core::contact::field::LAST_NAME).to_owned();
        all.entry(name).or_default().push(fields);
    }
    all
}
