//! Syncs: what is kept in step with what, by which settings, and when it is due.
use crate::convert::{item, read, with};
use crate::{Store, StoreError, keys};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, RunId, SyncId, UserId};
use tandem_core::schedule;
use tandem_ports::infra::Kind;
use tandem_ports::table::{Condition, Index, Item, Op, Query, TableError, Update, Write};

/// How a sync is, between and during runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// At rest until its next slot.
    Idle,
    /// A run is under way (or queued).
    Running,
    /// A provider asked us to wait; it goes on by itself.
    Waiting,
    /// A plan deletes too much; a person must confirm.
    Held,
    /// A person must act: reconnect, grant a right, choose another setting.
    Paused,
}

/// A CRM connection and a remote connection kept in step by a profile's rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sync {
    /// Id.
    pub id: SyncId,
    /// Whose it is.
    pub user: UserId,
    /// Which profile.
    pub profile: String,
    /// What it carries.
    pub kind: Kind,
    /// The left side.
    pub crm: ConnectionId,
    /// The right side.
    pub remote: ConnectionId,
    /// What the user set; what is left out takes the profile's default.
    pub settings: Map<String, Value>,
    /// Whether it runs.
    pub enabled: bool,
    /// How it is.
    pub state: SyncState,
    /// Why it waits, is held or paused: one sentence for people, free of personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_run: Option<RunId>,
    /// The run before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunId>,
    /// When the schedule takes it up next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due_at: Option<Timestamp>,
    /// Keys its fingerprints.
    pub fingerprint_key: FingerprintKey,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with every change of its settings: the engine sees that they are new.
    #[serde(default)]
    pub settings_version: i64,
}

impl Sync {
    /// Its shard of the due index.
    pub fn shard(&self) -> u16 {
        schedule::shard(self.id.as_str(), keys::SHARDS)
    }
    fn item(&self) -> Item {
        let item = item(keys::sync(&self.id), self);
        match self.next_due_at.filter(|_| self.enabled) {
            Some(at) => {
                let item = with(item, "due_pk", keys::due_pk(self.kind, self.shard()));
                with(item, "due_sk", keys::due_sk(at, &self.id))
            }
            None => item,
        }
    }
}

/// What changes in a sync's item at one stroke.
#[derive(Clone, Debug, Default)]
pub struct SyncChange {
    /// New state and reason.
    pub state: Option<(SyncState, Option<String>)>,
    /// The run under way; `Some(None)` = none any more.
    pub current_run: Option<Option<RunId>>,
    /// The run that has ended.
    pub last_run: Option<RunId>,
    /// When it is due.
    pub due: Option<Timestamp>,
}

impl SyncChange {
    pub(crate) fn update(&self, sync: &Sync) -> Update {
        let mut set = Map::new();
        if let Some((state, reason)) = &self.state {
            set.insert("state".into(), json!(state));
            set.insert("reason".into(), json!(reason));
        }
        if let Some(run) = &self.current_run {
            set.insert("current_run".into(), json!(run));
        }
        if let Some(run) = &self.last_run {
            set.insert("last_run".into(), json!(run));
        }
        if let Some(due) = self.due {
            set.insert("next_due_at".into(), json!(due));
            set.insert("due_pk".into(), json!(keys::due_pk(sync.kind, sync.shard())));
            set.insert("due_sk".into(), json!(keys::due_sk(due, &sync.id)));
        }
        Update { set, add: vec![] }
    }
}

/// A sync as the due index shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The sync.
    pub sync: Sync,
    /// Its key in the index: the condition for taking it.
    pub due_sk: String,
}

impl Store {
    /// Saves a new sync.
    pub async fn create_sync(&self, sync: &Sync) -> Result<(), StoreError> {
        let pointer = item(keys::user_sync(&sync.user, &sync.id), &json!({}));
        let ops = [Op::Put(sync.item(), vec![Condition::Absent]), Op::Put(pointer, vec![])];
        Ok(self.transact(&ops).await?)
    }

    /// A sync by id. Whose it is, the caller checks.
    pub async fn sync(&self, id: &SyncId) -> Result<Option<Sync>, StoreError> {
        let found = self.table.get(&[keys::sync(id)]).await?.pop().flatten();
        found.map(|item| read("sync", item)).transpose()
    }

    /// All syncs of a user, oldest first.
    pub async fn syncs_of(&self, user: &UserId) -> Result<Vec<Sync>, StoreError> {
        let ids = self.pointers(keys::user_pk(user), "sync:").await?;
        let keys: Vec<_> = ids.iter().map(|id| keys::sync(&SyncId::new(id))).collect();
        let found = self.table.get(&keys).await?.into_iter().flatten();
        let mut all = found.map(|item| read("sync", item)).collect::<Result<Vec<Sync>, _>>()?;
        all.sort_by_key(|sync| sync.created_at);
        Ok(all)
    }

    /// A person's change of settings or of `enabled`. Leaves alone what a run may be writing meanwhile; `sync` is the
    /// new state, and `settings_version` the one that was read. Enabling makes it due at `due`.
    pub async fn configure_sync(&self, sync: &Sync, due: Option<Timestamp>) -> Result<Sync, StoreError> {
        let mut update = SyncChange { due: due.filter(|_| sync.enabled), ..SyncChange::default() }.update(sync);
        update.set.insert("settings".into(), json!(sync.settings));
        update.set.insert("enabled".into(), json!(sync.enabled));
        update.set.insert("state".into(), json!(sync.state));
        update.set.insert("reason".into(), json!(sync.reason));
        if !sync.enabled {
            update.set.extend([("due_pk".to_owned(), Value::Null), ("due_sk".to_owned(), Value::Null)]);
            update.set.insert("next_due_at".into(), Value::Null);
        }
        update.add.push(("settings_version", 1));
        let unchanged = [Condition::Equals("settings_version", sync.settings_version.into())];
        read("sync", self.update(&keys::sync(&sync.id), &update, &unchanged).await?)
    }

    /// Changes a sync's state outside a run. A sync that is gone stays gone.
    pub async fn change_sync(&self, sync: &Sync, change: &SyncChange) -> Result<(), StoreError> {
        self.update(&keys::sync(&sync.id), &change.update(sync), &[Condition::Present]).await?;
        Ok(())
    }

    /// Removes a sync: first from sight, then everything it knew. Records on both sides stay.
    pub async fn delete_sync(&self, sync: &Sync) -> Result<(), StoreError> {
        let ops = [Op::Delete(keys::sync(&sync.id), vec![]), Op::Delete(keys::user_sync(&sync.user, &sync.id), vec![])];
        self.transact(&ops).await?;
        for pk in [keys::sync_pk(&sync.id), keys::rows_pk(&sync.id)] {
            self.delete_partition(&pk).await?;
        }
        Ok(())
    }

    async fn delete_partition(&self, pk: &str) -> Result<(), StoreError> {
        loop {
            let query = Query {
                pk: pk.to_owned(),
                index: Index::Main,
                prefix: String::new(),
                after: None,
                up_to: None,
                descending: false,
                limit: 1000,
            };
            let page = self.table.query(&query).await?;
            let deletes: Vec<_> = page.items.into_iter().map(|item| Write::Delete(item.key)).collect();
            self.table.write(&deletes).await?;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Up to `limit` syncs of a shard that are due by `now`, the longest due first, and where to go on. An entry that this
    /// release cannot read is passed over: it must not stop the others.
    pub async fn due_syncs(
        &self,
        kind: Kind,
        shard: u16,
        now: Timestamp,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<Due>, Option<String>), StoreError> {
        let query = Query {
            pk: keys::due_pk(kind, shard),
            index: Index::Due,
            prefix: String::new(),
            after,
            up_to: Some(format!("{now:.0}#~")),
            descending: false,
            limit,
        };
        let page = self.table.query(&query).await?;
        let key = |found: &Item| found.attributes.get("due_sk").and_then(Value::as_str).unwrap_or_default().to_owned();
        let next = page.items.last().map(key).filter(|_| page.more);
        let entry = |found: Item| {
            let due_sk = key(&found);
            Some(Due { sync: read("sync", found).ok()?, due_sk })
        };
        Ok((page.items.into_iter().filter_map(entry).collect(), next))
    }

    /// Takes a sync that is switched off out of the due index, where a run that was under way has put it back.
    pub async fn drop_due(&self, due: &Due) -> Result<(), StoreError> {
        let gone = ["due_pk", "due_sk", "next_due_at"].map(|name| (name.to_owned(), Value::Null));
        let update = Update { set: Map::from_iter(gone), add: vec![] };
        let mine =
            [Condition::Equals("due_sk", due.due_sk.as_str().into()), Condition::Equals("enabled", false.into())];
        match self.update(&keys::sync(&due.sync.id), &update, &mine).await {
            Ok(_) | Err(TableError::Condition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a due sync for this round by moving it on to `until`, when it is looked at again should its job get lost, and
    /// promises `run` unless one is under way: whoever starts a run from now on joins it.
    /// False when another fan-out took it first.
    pub async fn take_due(&self, due: &Due, run: &RunId, until: Timestamp) -> Result<bool, StoreError> {
        let taken = SyncChange { due: Some(until), ..SyncChange::default() };
        if due.sync.current_run.is_none() {
            let current_run = Some(Some(run.clone()));
            let promise = SyncChange { current_run, state: Some((SyncState::Running, None)), ..taken.clone() };
            if self.take(due, &promise, &[Condition::AttributeAbsent("current_run")]).await? {
                return Ok(true);
            }
        }
        self.take(due, &taken, &[]).await
    }

    async fn take(&self, due: &Due, change: &SyncChange, more: &[Condition]) -> Result<bool, StoreError> {
        let update = change.update(&due.sync);
        let mut mine = vec![Condition::Equals("due_sk", due.due_sk.as_str().into())];
        mine.extend_from_slice(more);
        match self.update(&keys::sync(&due.sync.id), &update, &mine).await {
            Ok(_) => Ok(true),
            Err(TableError::Condition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Promises a run: sets `run` as the sync's run unless one is already under way, and makes the sync due at `due` so
    /// that the schedule takes it up should the job get lost. Answers the run that is under way now.
    pub async fn promise_run(&self, sync: &Sync, run: &RunId, due: Timestamp) -> Result<RunId, StoreError> {
        let change = SyncChange {
            current_run: Some(Some(run.clone())),
            state: Some((SyncState::Running, None)),
            due: Some(due),
            last_run: None,
        };
        let free = [Condition::Present, Condition::AttributeAbsent("current_run")];
        match self.update(&keys::sync(&sync.id), &change.update(sync), &free).await {
            Ok(_) => Ok(run.clone()),
            Err(TableError::Condition(_)) => {
                let now = self.sync(&sync.id).await?.ok_or(StoreError::Stale)?;
                now.current_run.ok_or(StoreError::Stale)
            }
            Err(error) => Err(error.into()),
        }
    }
}
