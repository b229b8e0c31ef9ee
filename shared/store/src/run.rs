//! Runs, their counts, and their sealed change logs.
use crate::convert::{item, read, with};
use crate::{Store, StoreError, keys};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_core::record::{RunId, SyncId};
use tandem_core::reduce::Counts;
use tandem_ports::infra::{Sealed, Trigger};
use tandem_ports::table::{Condition, Index, Item, Op, Query, TableError, Write};

/// How long runs are kept.
pub const RUN_DAYS: i64 = 90;

/// How a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Promised; no worker has taken it up.
    Queued,
    /// Under way.
    Running,
    /// A provider asked us to wait; it goes on by itself.
    Waiting,
    /// Came to its end.
    Done,
    /// Its plan deletes too much; a person must confirm.
    Held,
    /// Could not come to its end; `error` says why.
    Failed,
}

impl RunState {
    /// Whether nothing more will happen in it.
    pub fn is_over(self) -> bool {
        matches!(self, RunState::Done | RunState::Held | RunState::Failed)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Records looked at.
    pub done: u64,
    /// Records to look at, as far as known; never less than `done`.
    pub total: u64,
}

/// Why a run failed, waits or is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// For programs: `reconnect_needed`, `missing_right`, `initial_limit_reached`, `mass_delete`, ….
    pub code: String,
    /// One sentence for people, free of personal data.
    pub message: String,
}

/// One run of a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Id; begins with the sync's.
    pub id: RunId,
    /// Which sync.
    pub sync: SyncId,
    /// Why it was started.
    pub trigger: Trigger,
    /// How it is.
    pub state: RunState,
    /// When it was promised or taken up.
    pub started_at: Timestamp,
    /// When it came to rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What it did on each side.
    pub counts: Counts,
    /// How far it is.
    pub progress: Progress,
    /// Why it failed, waits or is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// How many parts its change log has.
    #[serde(default)]
    pub change_parts: u64,
}

impl Run {
    /// A run that begins now. `unique` is any time-ordered text without dots.
    pub fn begin(sync: &SyncId, trigger: Trigger, state: RunState, now: Timestamp, unique: &str) -> Run {
        Run {
            id: RunId::new(format!("{sync}.{unique}")),
            sync: sync.clone(),
            trigger,
            state,
            started_at: now,
            ended_at: None,
            counts: Counts::default(),
            progress: Progress::default(),
            error: None,
            change_parts: 0,
        }
    }

    pub(crate) fn item(&self) -> Item {
        with(item(keys::run(&self.id), self), "expires_at", self.started_at.as_second() + RUN_DAYS * 86_400)
    }
}

/// A part of a change log: many changes, sealed for the sync's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePart {
    /// The changes as JSON, sealed.
    pub sealed: Sealed,
}

impl Store {
    /// Keeps a run that no checkpoint carries (an undo).
    pub async fn save_run(&self, run: &Run) -> Result<(), StoreError> {
        Ok(self.table.write(&[Write::Put(run.item())]).await?)
    }

    /// Saves a run when it is promised. A worker that was faster has saved more than a promise: that stays.
    pub async fn save_promise(&self, run: &Run) -> Result<(), StoreError> {
        match self.transact(&[Op::Put(run.item(), vec![Condition::Absent])]).await {
            Ok(()) | Err(TableError::Condition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A run by id.
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        let found = self.table.get(&[keys::run(id)]).await?.pop().flatten();
        found.map(|item| read("run", item)).transpose()
    }

    /// Several runs by id; those that are gone are left out.
    pub async fn runs(&self, ids: &[RunId]) -> Result<Vec<Run>, StoreError> {
        let keys: Vec<_> = ids.iter().map(keys::run).collect();
        let found = self.table.get(&keys).await?.into_iter().flatten();
        found.map(|item| read("run", item)).collect()
    }

    /// A page of a sync's runs, newest first; `after` is the last id of the page before.
    pub async fn runs_of(
        &self,
        sync: &SyncId,
        after: Option<&RunId>,
        limit: usize,
    ) -> Result<(Vec<Run>, bool), StoreError> {
        let query = Query {
            pk: keys::sync_pk(sync),
            index: Index::Main,
            prefix: "run:".into(),
            after: after.map(|id| keys::run(id).sk),
            up_to: None,
            descending: true,
            limit,
        };
        let page = self.table.query(&query).await?;
        let runs = page.items.into_iter().map(|item| read("run", item)).collect::<Result<_, _>>()?;
        Ok((runs, page.more))
    }

    /// Adds a part to a run's change log; it expires after `days`.
    pub async fn save_changes(&self, run: &Run, number: u64, sealed: Sealed, days: u32) -> Result<(), StoreError> {
        let part = item(keys::change(&run.id, number), &ChangePart { sealed });
        let until = run.started_at.as_second() + i64::from(days) * 86_400;
        Ok(self.table.write(&[Write::Put(with(part, "expires_at", until))]).await?)
    }

    /// The part of a run's change log after number `after`, with its number. Parts past their time are not answered.
    pub async fn changes_after(
        &self,
        run: &RunId,
        after: Option<u64>,
        now: Timestamp,
    ) -> Result<Option<(u64, Sealed)>, StoreError> {
        let query = Query {
            pk: keys::sync_pk(&keys::sync_of(run)),
            index: Index::Main,
            prefix: format!("change:{run}:"),
            after: after.map(|number| keys::change(run, number).sk),
            up_to: None,
            descending: false,
            limit: 1,
        };
        let Some(found) = self.table.query(&query).await?.items.pop() else { return Ok(None) };
        let number = found.key.sk.rsplit(':').next().and_then(|text| text.parse().ok()).unwrap_or_default();
        let expired = found.attributes.get("expires_at").and_then(serde_json::Value::as_i64);
        if expired.is_some_and(|at| at <= now.as_second()) {
            return Ok(None);
        }
        Ok(Some((number, read::<ChangePart>("change log", found)?.sealed)))
    }
}
