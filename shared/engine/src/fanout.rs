//! The schedule's second tier: one shard of the due index, in pages, one job per due sync.
use crate::job::promise;
use crate::{Budget, Engine, EngineError};
use futures::{StreamExt as _, TryStreamExt as _};
use std::time::Duration;
use tandem_ports::infra::{Job, Kind, Trigger};
use tandem_store::keys;
use tandem_store::sync::Due;

/// Due syncs read at once.
const PAGE: usize = 100;
/// Syncs taken at once.
const CONCURRENT: usize = 8;

impl Engine {
    /// The first tier: one job per shard of a kind.
    pub async fn fan_out_shards(&self, kind: Kind) -> Result<(), EngineError> {
        let jobs: Vec<_> = (0..keys::SHARDS).map(|shard| (Job::Shard { kind, shard }, Duration::ZERO)).collect();
        self.queue.send(&jobs).await.map_err(|error| EngineError::Unavailable(Box::new(error)))
    }

    /// Enqueues the due syncs of a shard. Each is moved on first, so that a repeat of this job finds only what is left;
    /// a job that gets lost is made up for when the sync is due again, after the watchdog's time.
    pub(crate) async fn fan_out(&self, kind: Kind, shard: u16, budget: &Budget) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            if budget.spent() {
                let rest = [(Job::Shard { kind, shard }, Duration::ZERO)];
                return self.queue.send(&rest).await.map_err(|error| EngineError::Unavailable(Box::new(error)));
            }
            let now = self.clock.now();
            let (due, next) = self.store.due_syncs(kind, shard, now, after, PAGE).await?;
            let until = now + self.config.watchdog;
            let found = due.len();
            let takes = due.into_iter().map(|due| self.take(due, until)).collect::<Vec<_>>();
            let taken: Vec<Option<Job>> =
                futures::stream::iter(takes).buffer_unordered(CONCURRENT).try_collect().await?;
            let jobs: Vec<_> = taken.into_iter().flatten().map(|job| (job, Duration::ZERO)).collect();
            if !jobs.is_empty() {
                self.queue.send(&jobs).await.map_err(|error| EngineError::Unavailable(Box::new(error)))?;
            }
            tracing::info!(kind = kind.word(), shard, found, enqueued = jobs.len(), "due");
            if next.is_none() {
                return Ok(());
            }
            after = next;
        }
    }

    /// Takes a due sync for this round; `None` when it is switched off or another fan-out came first.
    async fn take(&self, due: Due, until: jiff::Timestamp) -> Result<Option<Job>, EngineError> {
        if !due.sync.enabled {
            self.store.drop_due(&due).await?;
            return Ok(None);
        }
        let (_, run) = promise(&due.sync, Trigger::Schedule, self.clock.now(), "s");
        let taken = self.store.take_due(&due, &run, until).await?;
        let (sync, kind, trigger) = (due.sync.id, due.sync.kind, Trigger::Schedule);
        Ok(taken.then_some(Job::Sync { sync, kind, trigger, run: None, continuation: 0 }))
    }
}
