//! How far a sync is: cursors, stages, intents, and what a full listing has shown.
use crate::channel::heard;
use crate::convert::{item, read, with};
use crate::lease::{Lease, held, release, renew};
use crate::run::Run;
use crate::sync::{Sync, SyncChange};
use crate::{Store, StoreError, connection::Connection, keys};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use tandem_core::record::{ContainerId, Marker, RemoteId, RowKey, Side, SyncId};
use tandem_ports::connector::Cursor;
use tandem_ports::infra::Sealed;
use tandem_ports::mail::LabelId;
use tandem_ports::table::{Condition, Index, Op, Query, TRANSACT_LIMIT, TableError, Update, Write};

/// How far one side is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Listing everything; `page` is where to go on.
    Listing {
        /// The page, `None` at the beginning.
        #[serde(default)]
        page: Option<Cursor>,
    },
    /// The listing is complete; rows that it did not show are looked up one by one.
    Sweeping {
        /// Row to go on after.
        #[serde(default)]
        after: Option<RowKey>,
        /// The delta's cursor once this is done.
        then: Cursor,
    },
    /// Following the change feed.
    Following {
        /// The feed's cursor.
        cursor: Cursor,
    },
}

/// One side's progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideProgress {
    /// How far it is.
    pub stage: Stage,
    /// Counts the full listings, so that what an earlier one has shown is not taken for this one's.
    #[serde(default)]
    pub generation: u64,
    /// Parts of the seen-set written in this listing.
    #[serde(default)]
    pub seen_parts: u64,
    /// Why nothing may be written on this side in the run under way: the right that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<String>,
    /// Since this side had no room for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Full>,
    /// Whether the feed was read to its end in the run under way.
    #[serde(default)]
    pub caught_up: bool,
    /// Rounds that have ended, where the feed tells records alone; a new listing begins another one.
    #[serde(default)]
    pub rounds: u64,
    /// What the listing is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// The settings that bound this side when the listing began: other settings mean a new listing.
    #[serde(default)]
    pub bounds: String,
}

impl Default for SideProgress {
    fn default() -> Self {
        Self {
            stage: Stage::Listing { page: None },
            generation: 0,
            seen_parts: 0,
            barred: None,
            full: None,
            caught_up: false,
            rounds: 0,
            purpose: Purpose::Read,
            bounds: String::new(),
        }
    }
}

/// A side without room: what is to be written there waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Full {
    /// In the connector's words.
    pub detail: String,
    /// How often it was found full, one time after the other.
    pub times: u32,
    /// From when on one file is tried again.
    pub until: Timestamp,
}

/// What a full listing is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Everything is looked at: a first run, other settings, a lost cursor.
    #[default]
    Read,
    /// As [`Read`](Purpose::Read), into a new container: who is outside it has not left it.
    Regroup,
    /// Only what has left counts; a record in the version we know is not read again.
    FindLosses,
}

impl SideProgress {
    /// Whether everybody is being put into a new container.
    pub fn regroups(&self) -> bool {
        self.purpose == Purpose::Regroup && !matches!(self.stage, Stage::Following { .. })
    }
    /// Starts listing everything again.
    pub fn list_again(&mut self, purpose: Purpose) {
        self.purpose = purpose;
        self.generation += 1;
        self.rounds += 1;
        self.seen_parts = 0;
        self.stage = Stage::Listing { page: None };
        self.caught_up = false;
    }
}

/// What a side that tells only changes did not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// For people.
    pub message: String,
    /// Whether it is said until a person starts a run, and not in one run alone.
    #[serde(default)]
    pub lasts: bool,
}

/// Our durable progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The fence it was written under.
    #[serde(default)]
    pub fence: i64,
    /// How often this sync was told of changes, when it last read from the start of its feeds' news.
    #[serde(default)]
    pub heard: i64,
    /// The CRM.
    pub left: SideProgress,
    /// The remote.
    pub right: SideProgress,
    /// Whether the first pass over both sides is complete.
    #[serde(default)]
    pub first_done: bool,
    /// Row to go on after while unpaired remote records are carried to the CRM.
    #[serde(default)]
    pub adopting: Option<Walk>,
    /// The container on the remote side, once made or found.
    #[serde(default)]
    pub container: Option<ContainerId>,
    /// Pages that were carried out and committed; numbers the effects noted on rows.
    #[serde(default)]
    pub pages: u64,
    /// Whether there may be unpaired remote records to match with.
    #[serde(default)]
    pub candidates: bool,
    /// Whether deletions wait for the end of the run.
    #[serde(default)]
    pub pending_deletes: bool,
    /// What a side did not tell us, to be said to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
    /// What the settings name and the remote side cannot read, to be said to people for as long as it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_reach: Option<String>,
    /// Creates since the first run began, for a first limit that makes a person choose less.
    #[serde(default)]
    pub created_first: u64,
    /// A person's word that up to this many deletions are right.
    #[serde(default)]
    pub confirmed: Option<u64>,
    /// Try the failing records again in the next run: a person asked, or tries are left.
    #[serde(default)]
    pub retry_failing: bool,
    /// The failing records are being tried again in the run under way; row to go on after.
    #[serde(default)]
    pub retrying: Option<Walk>,
    /// The waiting deletions are being carried out; row to go on after.
    #[serde(default)]
    pub retiring: Option<Walk>,
    /// Tries in a row that came to nothing, for the backoff.
    #[serde(default)]
    pub attempt: u32,
    /// How far a mail sync is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailProgress>,
    /// The run under way.
    #[serde(default)]
    pub run: Option<Run>,
    /// What a files sync keeps besides.
    #[serde(default, skip_serializing_if = "FileProgress::is_new")]
    pub files: FileProgress,
}

/// What a files sync keeps besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileProgress {
    /// The CRM side's root.
    #[serde(default)]
    pub left_root: Option<RemoteId>,
    /// The remote root.
    #[serde(default)]
    pub right_root: Option<RemoteId>,
    /// Whether something that was observed is not carried out yet. Otherwise the rows need not be read.
    #[serde(default)]
    pub unfinished: bool,
    /// What became of the records that a round did not tell is known of some of them only: what follows from it waits, so
    /// that a mass deletion is seen whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asking: bool,
}

impl FileProgress {
    fn is_new(&self) -> bool {
        *self == FileProgress::default()
    }
}

/// How far a mail sync is in its mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailProgress {
    /// Where the feed goes on. Always the start of the next delta, whatever a notification says.
    pub cursor: Option<Cursor>,
    /// The listing under way: which of the labels' listings, and the page in it.
    pub listing: Option<(usize, Option<Cursor>)>,
    /// The ids of the three labels.
    pub labels: Vec<LabelId>,
    /// A digest of the rules that the mailbox was last judged by; other rules mean another look.
    pub rules: String,
    /// The walk over what is filed, when a block list has grown; row to go on after.
    pub sweep: Option<Walk>,
    /// The walk over what waits for a person's word, once it is given.
    pub confirming: Option<Walk>,
}

/// How far a walk over rows of one state is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// Row to go on after.
    pub after: Option<RowKey>,
}

impl Checkpoint {
    /// One side's progress.
    pub fn side(&self, side: Side) -> &SideProgress {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
    /// One side's progress, to change it.
    pub fn side_mut(&mut self, side: Side) -> &mut SideProgress {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}

/// Creates about to be sent to a provider that cannot recognise a repeat. Written before, removed after the links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its number.
    pub number: u64,
    /// Where the records are made.
    pub side: Side,
    /// For each record: its marker and the row it belongs to.
    pub creates: Vec<(Marker, RowKey)>,
    /// What each says (a list of fields as JSON, sealed for the sync's owner), where the provider keeps no marker and a
    /// record is found again by what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drafts: Option<Sealed>,
}

/// Everything a run needs to begin, read in one request.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The sync.
    pub sync: Sync,
    /// How far it is.
    pub checkpoint: Checkpoint,
    /// The CRM connection, if it still exists.
    pub crm: Option<Connection>,
    /// The remote connection, if it still exists.
    pub remote: Option<Connection>,
    /// How often this sync was told of changes so far.
    pub heard: i64,
}

/// How a checkpoint leaves its sync.
#[derive(Clone, Debug)]
pub enum Hold {
    /// The run goes on; the lease lasts until then.
    Keep {
        /// The lease's new end.
        until: Timestamp,
        /// Intents whose links are durable; they are removed at the same stroke.
        settled: Vec<u64>,
    },
    /// The worker leaves, unless it was told of changes meanwhile.
    Release(SyncChange),
    /// The worker leaves, whatever it was told: as the checkpoint says, the next one reads both sides again.
    HandOver(SyncChange),
}

impl Store {
    /// Reads what a run needs. `None` when the sync is gone. The sync's connections are known to the job's caller only
    /// after the sync was read, so this takes two requests.
    pub async fn open_run(&self, id: &SyncId) -> Result<Option<Opening>, StoreError> {
        let mut found = self.table.get(&[keys::sync(id), keys::checkpoint(id), keys::lease(id)]).await?;
        let heard = heard(found.pop().flatten().as_ref());
        let checkpoint = found.pop().flatten().map(|item| read("checkpoint", item)).transpose()?.unwrap_or_default();
        let Some(sync) = found.pop().flatten() else { return Ok(None) };
        let sync: Sync = read("sync", sync)?;
        let mut keys = vec![keys::connection(&sync.crm)];
        if sync.remote != sync.crm {
            keys.push(keys::connection(&sync.remote));
        }
        let mut connections = self.table.get(&keys).await?.into_iter();
        let mut next = || connections.next().flatten().map(|item| read("connection", item)).transpose();
        let crm: Option<Connection> = next()?;
        let remote: Option<Connection> = if sync.remote == sync.crm { crm.clone() } else { next()? };
        Ok(Some(Opening { sync, checkpoint, crm, remote, heard }))
    }

    /// The checkpoint alone; for the API.
    pub async fn checkpoint(&self, id: &SyncId) -> Result<Checkpoint, StoreError> {
        let found = self.table.get(&[keys::checkpoint(id)]).await?.pop().flatten();
        Ok(found.map(|item| read("checkpoint", item)).transpose()?.unwrap_or_default())
    }

    /// Writes the checkpoint and its run under the lease's fence, and keeps or gives back the lease, all at one stroke.
    /// `Stale` when the lease is lost, or (on release) when it was marked dirty: then go round once more.
    pub async fn commit(
        &self,
        lease: &Lease,
        sync: &Sync,
        checkpoint: &Checkpoint,
        hold: &Hold,
    ) -> Result<(), StoreError> {
        let checkpoint = Checkpoint { fence: lease.fence, ..checkpoint.clone() };
        let mut ops = vec![Op::Put(item(keys::checkpoint(&lease.sync), &checkpoint), vec![])];
        if let Some(run) = &checkpoint.run {
            ops.push(Op::Put(run.item(), vec![]));
        }
        let lease_key = keys::lease(&lease.sync);
        match hold {
            Hold::Keep { until, settled } => {
                let open = -i64::try_from(settled.len()).unwrap_or(0);
                let update = Update { add: vec![("open_intents", open)], ..renew(*until) };
                ops.push(Op::Update(lease_key, update, vec![held(lease)]));
                ops.extend(settled.iter().map(|n| Op::Delete(keys::intent(&lease.sync, *n), vec![Condition::Present])));
            }
            Hold::Release(change) | Hold::HandOver(change) => {
                let clean = matches!(hold, Hold::Release(_)).then_some(Condition::AttributeAbsent("dirty"));
                ops.push(Op::Update(lease_key, release(), [held(lease)].into_iter().chain(clean).collect()));
                ops.push(Op::Update(keys::sync(&sync.id), change.update(sync), vec![Condition::Present]));
            }
        }
        Ok(self.transact(&ops).await?)
    }

    /// Gives a lease back and changes nothing else: after a failure that the next holder starts over from.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.update(&keys::lease(&lease.sync), &release(), &[held(lease)]).await?;
        Ok(())
    }

    /// Takes the dirty mark off a lease that is still ours; false when there was none.
    pub async fn clear_dirty(&self, lease: &Lease) -> Result<bool, StoreError> {
        let set = serde_json::Map::from_iter([("dirty".to_owned(), serde_json::Value::Null)]);
        let update = Update { set, add: vec![] };
        let dirty = [held(lease), Condition::Equals("dirty", true.into())];
        match self.update(&keys::lease(&lease.sync), &update, &dirty).await {
            Ok(_) => Ok(true),
            Err(TableError::Condition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A person's word on a sync that nobody works on: changes its checkpoint under a lease taken for just that.
    pub async fn amend_checkpoint(
        &self,
        lease: &Lease,
        sync: &Sync,
        change: impl FnOnce(&mut Checkpoint),
        then: SyncChange,
    ) -> Result<(), StoreError> {
        let mut checkpoint = self.checkpoint(&lease.sync).await?;
        change(&mut checkpoint);
        self.commit(lease, sync, &checkpoint, &Hold::Release(then)).await
    }

    /// Writes an intent, and counts it on the lease so that the next holder sees it without looking. It expires after
    /// seven days, when nobody would find the lost answer any more.
    pub async fn save_intent(&self, lease: &Lease, intent: &Intent, now: Timestamp) -> Result<(), StoreError> {
        let intent = item(keys::intent(&lease.sync, intent.number), intent);
        let intent = with(intent, "expires_at", now.as_second() + 7 * 86_400);
        let count = Update { set: serde_json::Map::new(), add: vec![("open_intents", 1)] };
        let ops =
            [Op::Put(intent, vec![Condition::Absent]), Op::Update(keys::lease(&lease.sync), count, vec![held(lease)])];
        Ok(self.transact(&ops).await?)
    }

    /// All open intents, oldest first.
    pub async fn intents(&self, sync: &SyncId) -> Result<Vec<Intent>, StoreError> {
        let page = self.table.query(&prefix(keys::sync_pk(sync), "intent:".into(), None)).await?;
        page.items.into_iter().map(|item| read("intent", item)).collect()
    }

    /// Removes intents whose links are written.
    pub async fn clear_intents(&self, lease: &Lease, numbers: &[u64]) -> Result<(), StoreError> {
        for some in numbers.chunks(TRANSACT_LIMIT - 1) {
            let open = -i64::try_from(some.len()).unwrap_or(0);
            let count = Update { set: serde_json::Map::new(), add: vec![("open_intents", open)] };
            let mut ops = vec![Op::Update(keys::lease(&lease.sync), count, vec![held(lease)])];
            ops.extend(some.iter().map(|n| Op::Delete(keys::intent(&lease.sync, *n), vec![Condition::Present])));
            self.transact(&ops).await?;
        }
        Ok(())
    }

    /// Adds to what a full listing has shown: the hashes of ids of one page.
    pub async fn save_seen(
        &self,
        sync: &SyncId,
        side: Side,
        at: (u64, u64),
        ids: &[RemoteId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (generation, part) = at;
        let hashes: Vec<i64> = ids.iter().map(seen_hash).collect();
        let seen = item(keys::seen(sync, side, generation, part), &serde_json::json!({ "ids": hashes }));
        Ok(self.table.write(&[Write::Put(with(seen, "expires_at", now.as_second() + 7 * 86_400))]).await?)
    }

    /// What a full listing has shown: 8 bytes an id, so a million records are 8 MB.
    pub async fn seen(&self, sync: &SyncId, side: Side, generation: u64) -> Result<HashSet<i64>, StoreError> {
        let mut query = prefix(keys::sync_pk(sync), keys::seen_prefix(side, generation), None);
        let mut seen = HashSet::new();
        loop {
            let page = self.table.query(&query).await?;
            query.after = page.items.last().map(|item| item.key.sk.clone());
            for item in page.items {
                let ids = item.attributes.get("ids").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
                seen.extend(ids.iter().filter_map(serde_json::Value::as_i64));
            }
            if !page.more {
                return Ok(seen);
            }
        }
    }

    /// Forgets what a full listing has shown.
    pub async fn clear_seen(&self, sync: &SyncId, side: Side, generation: u64, parts: u64) -> Result<(), StoreError> {
        let key = |part| Write::Delete(keys::seen(sync, side, generation, part));
        Ok(self.table.write(&(0..parts).map(key).collect::<Vec<_>>()).await?)
    }
}

/// The hash under which an id is in the seen-set.
pub fn seen_hash(id: &RemoteId) -> i64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(id.as_str().as_bytes());
    i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

fn prefix(pk: String, prefix: String, after: Option<String>) -> Query {
    Query { pk, index: Index::Main, prefix, after, up_to: None, descending: false, limit: 1000 }
}
