//! Two trees of files, one sync, and workers that may die at any call.
use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, Side, SyncId, UserId};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening};
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::FileSide;
use tandem_ports::infra::{Clock, Kind, Trigger};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::run::{Run, RunState};
use tandem_store::sync::{Sync, SyncState};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::files::{FilesCharacter, MemoryFiles, State, like_a_crm_with_files, like_drive, like_dropbox};
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;

/// Both sorts of remote.
pub const REMOTES: [fn() -> FilesCharacter; 2] = [like_dropbox, like_drive];

/// A company with a file and a file in a folder, in sync; the company's id.
pub async fn in_sync(remote: FilesCharacter, settings: Value) -> (FilesWorld, String) {
    let world = FilesWorld::new(remote, settings).await;
    let acme = world.in_crm(|crm| {
        let acme = crm.record("companies", "17", "Acme");
        crm.file(&acme, "offer.txt", b"offer");
        let folder = crm.folder(Some(&acme), "Plans");
        crm.file(&folder, "plan.txt", b"plan");
        acme
    });
    let run = world.run().await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.error);
    world.take_calls();
    (world, acme)
}

/// There is this at this path.
pub fn has(paths: &BTreeMap<String, String>, path: &str, what: &str) {
    assert_eq!(paths.get(path).map(String::as_str), Some(what), "{path} in {paths:?}");
}

/// A world of files.
pub struct FilesWorld {
    /// The CRM.
    pub crm: Arc<MemoryFiles>,
    /// The remote.
    pub remote: Arc<MemoryFiles>,
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
    /// How long a job may take.
    pub job: Duration,
    /// So many more times a worker that opens the sides is told of changes while it works.
    pub news: Arc<AtomicU32>,
}

struct Both {
    crm: Arc<MemoryFiles>,
    remote: Arc<MemoryFiles>,
    news: Arc<AtomicU32>,
    store: Store,
}

#[async_trait]
impl Connectors for Both {
    async fn open(&self, _ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        Err(ConnectorError::new("memory", "open", ErrorKind::Forbidden, "there are only files here"))
    }
    async fn open_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        let one_less = |left: u32| left.checked_sub(1);
        if self.news.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            self.store.note_heard(ask.sync).await.expect("a quiet table");
        }
        let side: Arc<dyn FileSide> = if ask.side == Side::Left { self.crm.clone() } else { self.remote.clone() };
        Ok(side)
    }
}

impl FilesWorld {
    /// A world with an enabled sync.
    pub async fn new(remote: FilesCharacter, settings: Value) -> FilesWorld {
        Self::with(like_a_crm_with_files(), remote, settings).await
    }

    /// A world with another CRM.
    pub async fn with(crm: FilesCharacter, remote: FilesCharacter, settings: Value) -> FilesWorld {
        Self::configured((crm, remote), settings, EngineConfig::default()).await
    }

    /// A world with other limits of the engine.
    pub async fn configured(
        (crm, remote): (FilesCharacter, FilesCharacter),
        settings: Value,
        config: EngineConfig,
    ) -> FilesWorld {
        let clock = Arc::new(ManualClock::default());
        let faults = Arc::new(Faults::default());
        let table = Arc::new(MemoryTable::with_faults(Arc::clone(&faults)));
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::clone(&faults)));
        let store = Store::new(table.clone());
        let crm = MemoryFiles::new(crm, clock.clone(), Arc::clone(&faults));
        let remote = MemoryFiles::new(remote, clock.clone(), Arc::clone(&faults));
        let news = Arc::new(AtomicU32::new(0));
        let (left, right) = (crm.clone(), remote.clone());
        let connectors = Arc::new(Both { crm: left, remote: right, news: news.clone(), store: store.clone() });
        let secrets = Arc::new(MemorySecrets);
        let engine = Engine::new(store.clone(), queue.clone(), clock.clone(), secrets, connectors, config);
        let (sync, job) = (SyncId::new("sync-1"), Duration::from_secs(50));
        let world = FilesWorld { crm, remote, clock, queue, table, faults, engine, store, sync, job, news };
        world.seed(settings).await;
        world
    }

    async fn seed(&self, settings: Value) {
        let user = UserId::new("user-1");
        for (id, provider) in [("conn-crm", "builtin"), ("conn-remote", "dropbox")] {
            let connection = Connection {
                account: Account { id: format!("{provider}-account"), ..Account::default() },
                state: ConnectionState::Connected,
                ..Connection::new(ConnectionId::new(id), user.clone(), provider, self.clock.now())
            };
            self.store.create_connection(&connection).await.expect("a quiet table");
        }
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        let sync = Sync {
            id: self.sync.clone(),
            user,
            profile: "teamleader-dropbox".to_owned(),
            kind: Kind::Files,
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
        };
        self.store.create_sync(&sync).await.expect("a quiet table");
    }

    /// One delivery; a failed one is delivered again.
    pub async fn deliver(&self, pick: usize) -> bool {
        let Some(job) = self.queue.take(pick) else { return false };
        let clock: Arc<dyn Clock> = self.clock.clone();
        let budget = Budget::of(clock, self.job);
        let done = self.engine.work(&job, &budget).await;
        self.clock.advance(Duration::from_secs(1));
        if done.is_err() || self.faults.crashed() {
            self.queue.redeliver(job, Duration::from_secs(720));
        }
        self.faults.restart();
        true
    }

    /// The rule fires, and twice again when its function fails (Lambda repeats an asynchronous invocation so often).
    pub async fn rule(&self) {
        for _ in 0..3 {
            let fired = self.engine.fan_out_shards(Kind::Files).await;
            let died = self.faults.crashed();
            self.faults.restart();
            if fired.is_ok() && !died {
                return;
            }
        }
    }

    /// Lets time pass and jobs run until the sync is at rest.
    pub async fn settle(&self) -> usize {
        self.settle_watched(|_| {}).await
    }

    /// The same, with something done before each job.
    pub async fn settle_watched(&self, mut before: impl FnMut(&FilesWorld)) -> usize {
        let mut jobs = 0;
        for _ in 0..400 {
            loop {
                before(self);
                if !self.deliver(0).await {
                    break;
                }
                jobs += 1;
                assert!(jobs < 3_000, "the sync never comes to rest");
            }
            if self.sync_now().await.current_run.is_none() && self.queue.is_empty() {
                return jobs;
            }
            let next = self.queue.next_at().unwrap_or_else(|| self.clock.now() + Duration::from_secs(60));
            let wait = Duration::try_from(next.duration_since(self.clock.now())).unwrap_or_default();
            self.clock.advance(wait.max(Duration::from_secs(30)));
            if self.queue.is_empty() {
                self.rule().await;
            }
        }
        panic!("the sync never comes to rest: {:?}", self.sync_now().await);
    }

    /// One run by schedule to its end.
    pub async fn run(&self) -> Run {
        self.clock.advance(Duration::from_secs(7_300));
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
        loop {
            self.faults.restart();
            if let Ok(sync) = self.store.sync(&self.sync).await {
                return sync.expect("the sync exists");
            }
        }
    }

    /// The last run, read past the faults.
    pub async fn last_run(&self) -> Run {
        let id = self.sync_now().await.last_run.expect("a run has ended");
        loop {
            self.faults.restart();
            if let Ok(run) = self.store.run(&id).await {
                return run.expect("the run is kept");
            }
        }
    }

    /// What a person does in the CRM.
    pub fn in_crm<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.crm.as_person(act)
    }

    /// What a person does at the remote.
    pub fn at_remote<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.remote.as_person(act)
    }

    /// Everything in the CRM by path.
    pub fn crm_paths(&self) -> BTreeMap<String, String> {
        self.in_crm(|state| state.paths())
    }

    /// Everything at the remote by path.
    pub fn remote_paths(&self) -> BTreeMap<String, String> {
        self.at_remote(|state| state.paths())
    }

    /// The id of a path at a side.
    pub fn id(&self, side: &MemoryFiles, path: &str) -> String {
        side.as_person(|state| {
            let mut at: Option<String> = None;
            for name in path.split('/') {
                let children = state.nodes.iter().filter(|(_, node)| node.parent == at);
                let found = children.filter(|(_, node)| node.name == name).map(|(id, _)| id.clone()).next();
                at = Some(found.unwrap_or_else(|| panic!("there is no {path}; there are {:?}", state.paths().keys())));
            }
            at.expect("a path has a name")
        })
    }

    /// Calls at both sides since this was last asked: `(crm, remote)`.
    pub fn take_calls(&self) -> (BTreeMap<&'static str, u64>, BTreeMap<&'static str, u64>) {
        (self.crm.take_calls(), self.remote.take_calls())
    }
}
