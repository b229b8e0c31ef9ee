//! Rows: what is known of each record of a sync.
use crate::convert::{item, read};
use crate::{Store, StoreError, keys};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use tandem_core::fingerprint::Base;
use tandem_core::plan::Reason;
use tandem_core::record::{Field, RemoteId, RowKey, RunId, Scope, Side, SyncId, Version};
use tandem_ports::table::{Index, Key, Op, Query, WRITE_BATCH, Write};

/// Write requests under way at once: a batch of 200 links is 16 requests, and must not take 16 round trips.
const CONCURRENT_WRITES: usize = 8;

/// Rows in one transaction: DynamoDB takes 100 items of 4 MB together.
const MOST_AT_ONCE: usize = 50;

/// How a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Linked, and both sides agree.
    InSync,
    /// Not carried across, for the reason given.
    Excluded,
    /// A provider refused it; tried again when it changes, at most three times as it is.
    Failing,
    /// Its deletion waits for the end of the run, or for a person's word.
    Held,
    /// Seen on the remote side only and not (yet) paired.
    Unpaired,
}

impl RowState {
    /// As in keys and the API.
    pub fn word(self) -> &'static str {
        match self {
            RowState::InSync => "in_sync",
            RowState::Excluded => "excluded",
            RowState::Failing => "failing",
            RowState::Held => "held",
            RowState::Unpaired => "unpaired",
        }
    }
}

/// What is known of one record: ids, fingerprints and state, never its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Identity of the row.
    pub key: RowKey,
    /// The record's id in the CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<RemoteId>,
    /// Its id at the remote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<RemoteId>,
    /// What both last agreed on; `None` = never linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The left version after our last look or write: our own echo has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_version: Option<Version>,
    /// The same on the right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_version: Option<Version>,
    /// The side whose record we created; only such a copy may be deleted by rule "the copy that we made".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_on: Option<Side>,
    /// How it is.
    pub state: RowState,
    /// Why it is excluded, failing or held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Refused tries since it last changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// What the refused record looked like (a digest): another one is worth a new try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether the right record was in the container when both last agreed.
    #[serde(default = "inside", skip_serializing_if = "is_inside")]
    pub right_scope: Scope,
    /// The match keys (hashes) it is listed under while it is on one side only and was never linked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_keys: Vec<String>,
    /// While its deletion waits: when a person's deletion in the CRM was first seen, of which guests are to hear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub news_at: Option<Timestamp>,
    /// When both sides last agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<Timestamp>,
    /// Fields that an undo put back on one side: the sides differ in them by agreement, until somebody edits one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put_back: Vec<Field>,
    /// A person made a meeting of this grey block: it is carried to the CRM.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub converted: bool,
    /// What was last written, so that a run which dies before it counted that counts it when it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// What a run wrote for a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The run.
    pub run: RunId,
    /// The page it belonged to ([`Checkpoint::pages`](crate::checkpoint::Checkpoint::pages) when that is committed).
    pub page: u64,
    /// Records created, by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub created: Vec<Side>,
    /// Records changed, by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updated: Vec<Side>,
    /// Whether it was paired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paired: bool,
}

fn inside() -> Scope {
    Scope::Inside
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_inside(scope: &Scope) -> bool {
    *scope == Scope::Inside
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Row {
    /// A row for a record first seen on this side.
    pub fn first_seen(side: Side, id: &RemoteId) -> Row {
        let (left, right) = match side {
            Side::Left => (Some(id.clone()), None),
            Side::Right => (None, Some(id.clone())),
        };
        Row {
            key: keys::row_key(side, id),
            left,
            right,
            base: None,
            left_version: None,
            right_version: None,
            made_on: None,
            state: RowState::InSync,
            reason: None,
            attempts: 0,
            refused: None,
            right_scope: Scope::Inside,
            match_keys: Vec::new(),
            synced_at: None,
            put_back: Vec::new(),
            converted: false,
            effect: None,
            news_at: None,
        }
    }

    /// The version that we last saw or wrote on a side.
    pub fn version(&self, side: Side) -> Option<&Version> {
        match side {
            Side::Left => self.left_version.as_ref(),
            Side::Right => self.right_version.as_ref(),
        }
    }
    /// Its id on a side.
    pub fn id(&self, side: Side) -> Option<&RemoteId> {
        match side {
            Side::Left => self.left.as_ref(),
            Side::Right => self.right.as_ref(),
        }
    }

    /// Whether both sides were joined by it.
    pub fn is_linked(&self) -> bool {
        self.left.is_some() && self.right.is_some() && self.base.is_some()
    }

    /// Everything the table holds for this row.
    fn writes(&self, sync: &SyncId) -> HashMap<tandem_ports::table::Key, Write> {
        let mut puts = vec![item(keys::row(sync, &self.key), self)];
        for (side, id) in [(Side::Left, &self.left), (Side::Right, &self.right)] {
            if let Some(id) = id.as_ref().filter(|id| keys::row_key(side, id) != self.key) {
                puts.push(item(keys::alias(sync, side, id), &json!({ "key": self.key })));
            }
        }
        if self.state != RowState::InSync {
            puts.push(item(keys::state(sync, self.state.word(), &self.key), &json!({})));
        }
        if let (None, None, Some(id)) | (None, Some(id), None) = (&self.base, &self.left, &self.right) {
            let listed = self.match_keys.iter().map(|hash| keys::candidate(sync, hash, id));
            puts.extend(listed.map(|key| item(key, &json!({ "key": self.key }))));
        }
        puts.into_iter().map(|put| (put.key.clone(), Write::Put(put))).collect()
    }
}

/// A row before and after: the writer removes what the old one had and the new one has not.
#[derive(Clone, Debug)]
pub struct RowChange {
    /// As it was read; `None` when it is new.
    pub before: Option<Row>,
    /// As it shall be; `None` forgets it.
    pub after: Option<Row>,
}

impl Store {
    /// The rows of records by their ids on one side, in that order.
    pub async fn rows_by_id(
        &self,
        sync: &SyncId,
        side: Side,
        ids: &[RemoteId],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        let own = ids.iter().map(|id| keys::row(sync, &keys::row_key(side, id)));
        let aliases = ids.iter().map(|id| keys::alias(sync, side, id));
        let wanted: Vec<_> = own.chain(aliases).collect();
        let mut found = self.get(&wanted).await?;
        let aliased = found.split_off(ids.len());
        let key_of = |item: tandem_ports::table::Item| -> Option<RowKey> {
            item.attributes.get("key").and_then(serde_json::Value::as_str).map(RowKey::new)
        };
        let keys: Vec<Option<RowKey>> = aliased.into_iter().map(|item| item.and_then(key_of)).collect();
        let mut distinct: Vec<RowKey> = keys.iter().flatten().cloned().collect();
        distinct.sort();
        distinct.dedup();
        let by_key: HashMap<RowKey, Row> =
            self.rows_by_key(sync, &distinct).await?.into_iter().flatten().map(|row| (row.key.clone(), row)).collect();
        let mut rows = Vec::with_capacity(ids.len());
        for ((own, key), id) in found.into_iter().zip(keys).zip(ids) {
            let own: Option<Row> = own.map(|item| read("row", item)).transpose()?;
            // An alias or a row left over from a crash may point at a row that has moved on.
            let theirs = key.and_then(|key| by_key.get(&key).cloned()).filter(|row| row.id(side) == Some(id));
            rows.push(theirs.or(own).filter(|row| row.id(side) == Some(id)));
        }
        Ok(rows)
    }

    /// The rows whose id on a side begins with `prefix`, comes after `after` and not after `up_to`, by that id.
    pub async fn rows_between(
        &self,
        sync: &SyncId,
        side: Side,
        prefix: &str,
        (after, up_to): (&RemoteId, &RemoteId),
    ) -> Result<Vec<Row>, StoreError> {
        let mut keys: Vec<RowKey> = Vec::new();
        for of in [keys::row_sort as fn(Side, &str) -> String, keys::alias_sort] {
            let mut query = range(sync, of(side, prefix), Some(of(side, after.as_str())), 1_000);
            query.up_to = Some(of(side, up_to.as_str()));
            loop {
                let page = self.table.query(&query).await?;
                query.after = page.items.last().map(|item| item.key.sk.clone());
                keys.extend(page.items.iter().filter_map(|item| {
                    item.attributes.get("key").and_then(serde_json::Value::as_str).map(RowKey::new)
                }));
                if !page.more {
                    break;
                }
            }
        }
        keys.sort();
        keys.dedup();
        let within =
            |row: &Row| row.id(side).is_some_and(|id| id.as_str().starts_with(prefix) && id > after && id <= up_to);
        let mut rows: Vec<Row> = self.rows_by_key(sync, &keys).await?.into_iter().flatten().filter(within).collect();
        rows.sort_by(|one, other| one.id(side).cmp(&other.id(side)));
        Ok(rows)
    }

    /// Rows by key, in that order.
    pub async fn rows_by_key(&self, sync: &SyncId, keys: &[RowKey]) -> Result<Vec<Option<Row>>, StoreError> {
        let keys: Vec<_> = keys.iter().map(|key| keys::row(sync, key)).collect();
        let found = self.get(&keys).await?;
        found.into_iter().map(|item| item.map(|item| read("row", item)).transpose()).collect()
    }

    /// A page of all rows, in the order of their keys.
    pub async fn rows(
        &self,
        sync: &SyncId,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<(Vec<Row>, bool), StoreError> {
        let query = range(sync, "row:".into(), after.map(|key| keys::row(sync, key).sk), limit);
        let page = self.table.query(&query).await?;
        let rows = page.items.into_iter().map(|item| read("row", item)).collect::<Result<_, _>>()?;
        Ok((rows, page.more))
    }

    /// A page of the rows in one state other than [`RowState::InSync`], in the order of their keys.
    pub async fn rows_in_state(
        &self,
        sync: &SyncId,
        state: RowState,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<(Vec<Row>, Option<RowKey>), StoreError> {
        let after = after.map(|key| keys::state(sync, state.word(), key).sk);
        let prefix = format!("state:{}:", state.word());
        let page = self.table.query(&range(sync, prefix.clone(), after, limit)).await?;
        let key = |item: &tandem_ports::table::Item| item.key.sk.strip_prefix(&prefix).map(RowKey::new);
        let keys: Vec<RowKey> = page.items.iter().filter_map(key).collect();
        let rows = self.rows_by_key(sync, &keys).await?.into_iter().flatten().filter(|row| row.state == state);
        let next = keys.last().cloned().filter(|_| page.more);
        Ok((rows.collect(), next))
    }

    /// How many rows are in a state other than [`RowState::InSync`], counting no further than `limit`.
    pub async fn count_in_state(&self, sync: &SyncId, state: RowState, limit: usize) -> Result<usize, StoreError> {
        let mut query = range(sync, format!("state:{}:", state.word()), None, 1000);
        let mut count = 0;
        loop {
            let page = self.table.query(&query).await?;
            count += page.items.len();
            query.after = page.items.last().map(|item| item.key.sk.clone());
            if !page.more || count >= limit {
                return Ok(count.min(limit));
            }
        }
    }

    /// A page of the records that are on one side only, by match key hash: `(hash, row)`, and where to go on.
    pub async fn candidates(
        &self,
        sync: &SyncId,
        after: Option<String>,
    ) -> Result<(Vec<(String, RowKey)>, Option<String>), StoreError> {
        let page = self.table.query(&range(sync, "match:".into(), after, 5_000)).await?;
        let next = page.items.last().map(|item| item.key.sk.clone()).filter(|_| page.more);
        let entry = |item: tandem_ports::table::Item| {
            let hash = item.key.sk.split(':').nth(1)?.to_owned();
            Some((hash, RowKey::new(item.attributes.get("key")?.as_str()?)))
        };
        Ok((page.items.into_iter().filter_map(entry).collect(), next))
    }

    /// Writes rows with everything that leads to them. Replaying it changes nothing; the last change of a row counts.
    pub async fn save_rows(&self, sync: &SyncId, changes: &[RowChange]) -> Result<(), StoreError> {
        let mut writes = HashMap::new();
        for change in changes {
            let before = change.before.iter().flat_map(|row| row.writes(sync));
            for (key, _) in before {
                writes.entry(key.clone()).or_insert(Write::Delete(key));
            }
        }
        for change in changes {
            for (key, put) in change.after.iter().flat_map(|row| row.writes(sync)) {
                writes.insert(key, put);
            }
        }
        // What leads to a row is there before the row, and goes after it: a crash in between leaves pointers that lead
        // nowhere, which are harmless, and never a row that nothing leads to, which would stay so.
        // A row that takes another's place does so in one transaction: beside the old one it would be a second row of the
        // same record, which by itself looks like a record that is still alone.
        let groups = replacing(sync, changes);
        let mut in_one: Vec<Vec<Op>> = Vec::new();
        for group in groups {
            let ops: Vec<Op> = group.iter().filter_map(|key| writes.remove(key)).map(op).collect();
            match in_one.last_mut().filter(|some| some.len() + ops.len() <= MOST_AT_ONCE) {
                Some(some) => some.extend(ops),
                None => in_one.push(ops),
            }
        }
        let mut ordered: Vec<_> = writes.into_iter().collect();
        ordered.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (rows, pointers): (Vec<_>, Vec<_>) = ordered.into_iter().partition(|(key, _)| key.sk.starts_with("row:"));
        let (puts, deletes): (Vec<_>, Vec<_>) =
            pointers.into_iter().partition(|(_, write)| matches!(write, Write::Put(_)));
        let plain = |wave: Vec<(Key, Write)>| wave.into_iter().map(|(_, write)| write).collect();
        self.write_wave(plain(puts)).await?;
        for ops in in_one {
            self.table.transact(&ops).await?;
        }
        self.write_wave(plain(rows)).await?;
        self.write_wave(plain(deletes)).await
    }

    /// Writes in requests of 25, several at once, in any order.
    pub(crate) async fn write_wave(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        // Collected first: a lazy map over borrowed chunks cannot be proved to be `Send` (rust-lang/rust#110338).
        let requests: Vec<_> = writes.chunks(WRITE_BATCH).map(|some| self.table.write(some)).collect();
        futures::stream::iter(requests).buffer_unordered(CONCURRENT_WRITES).try_collect::<()>().await?;
        Ok(())
    }
}

pub(crate) fn range(sync: &SyncId, prefix: String, after: Option<String>, limit: usize) -> Query {
    Query { pk: keys::rows_pk(sync), index: Index::Main, prefix, after, up_to: None, descending: false, limit }
}

/// Keys of rows that take the place of others (paired, or found under a new id), each with those it replaces: a row that
/// goes while another one comes to have one of its ids.
fn replacing(sync: &SyncId, changes: &[RowChange]) -> Vec<Vec<Key>> {
    let stays: HashSet<&RowKey> =
        changes.iter().filter_map(|change| change.after.as_ref()).map(|row| &row.key).collect();
    let gone = changes.iter().filter_map(|change| change.before.as_ref()).filter(|row| !stays.contains(&row.key));
    let ids = |row: &Row| [(Side::Left, row.left.clone()), (Side::Right, row.right.clone())];
    let held = |row: &Row| ids(row).into_iter().filter_map(|(side, id)| Some((side, id?))).collect::<Vec<_>>();
    let mut by_id: HashMap<(Side, RemoteId), Vec<&RowKey>> = HashMap::new();
    for row in gone {
        held(row).into_iter().for_each(|id| by_id.entry(id).or_default().push(&row.key));
    }
    let mut groups = Vec::new();
    for row in changes.iter().filter_map(|change| change.after.as_ref()) {
        let old: HashSet<&RowKey> = held(row).iter().filter_map(|id| by_id.get(id)).flatten().copied().collect();
        if !old.is_empty() {
            groups.push(std::iter::once(&row.key).chain(old).map(|key| keys::row(sync, key)).collect());
        }
    }
    groups
}

fn op(write: Write) -> Op {
    match write {
        Write::Put(item) => Op::Put(item, Vec::new()),
        Write::Delete(key) => Op::Delete(key, Vec::new()),
    }
}
