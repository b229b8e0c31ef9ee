//! How records are kept: every write of an account is one transaction that moves the account's sequence number.
//!
//! * The head item counts: a write is `{head: seq n → n + k, if it still is n}` with the records, their feed entries
//!   and their index rows. Whoever read the head, then the records, and commits on that head has seen nothing stale:
//!   the writes of one account are serial. Who comes second reads again ([`Tries`]).
//! * Each record has exactly one feed entry, at its latest sequence number; the feed from 0 is the complete listing.
//!   A sequence number never appears after a higher one, so a reader's cursor never misses a change.
//! * The entry of a deleted record stays, as its tombstone.
mod appointments;

use crate::appointment;
use crate::error::CrmError;
use crate::keys;
use crate::record::{self, Body, Record};
use crate::schema::Kind;
use futures::stream::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::infra::Clock;
use tandem_ports::table::{
    Condition, GET_BATCH, Index, Item, Key, Op, Page, Query, TRANSACT_LIMIT, Table, TableError, Update,
};

/// How often a write that met another one is tried again before it is [`CrmError::Busy`].
const TRIES: u32 = 12;
/// Rows read at once when an index is loaded; some 100 bytes each, so a page stays below the table's 1 MB.
const ROWS_PAGE: usize = 5_000;
/// Batched reads of one call that may be under way at the same time.
const PARALLEL_GETS: usize = 4;

/// The records of one account.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) table: Arc<dyn Table>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) account: String,
}

/// What the head item says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// The last sequence number given away.
    pub(crate) seq: u64,
    /// By type: the last number given away, and how many records live.
    counts: BTreeMap<&'static str, (u64, u64)>,
}

impl Head {
    /// How many records of this type there are.
    pub(crate) fn live(&self, kind: Kind) -> u64 {
        self.counts.get(kind.word()).map_or(0, |(_, live)| *live)
    }

    fn read(item: Option<&Item>) -> Result<Head, CrmError> {
        let Some(item) = item else { return Ok(Head::default()) };
        let number = |name: &str| item.attributes.get(name).map(|value| value.as_u64().ok_or(CrmError::Corrupt));
        let mut head = Head { seq: number("seq").ok_or(CrmError::Corrupt)??, counts: BTreeMap::new() };
        for kind in Kind::ALL {
            let last = number(&format!("last_{}", kind.word())).transpose()?;
            let live = number(&format!("live_{}", kind.word())).transpose()?;
            head.counts.insert(kind.word(), (last.unwrap_or(0), live.unwrap_or(0)));
        }
        Ok(head)
    }

    fn to_item(&self, account: &str) -> Item {
        let mut attributes = Map::new();
        attributes.insert("seq".into(), json!(self.seq));
        for (word, (last, live)) in &self.counts {
            attributes.insert(format!("last_{word}"), json!(last));
            attributes.insert(format!("live_{word}"), json!(live));
        }
        Item { key: keys::head(account), attributes }
    }
}

/// One change to one record. A record occurs at most once in a commit.
#[derive(Clone)]
pub(crate) enum Edit {
    /// A new record.
    Create {
        /// UUID, made by [`Ledger::new_id`].
        id: String,
        /// Its type.
        kind: Kind,
        /// What it says (checked).
        body: Body,
        /// A sync's mark.
        marker: Option<String>,
    },
    /// Another body or marker for a record.
    Change {
        /// As it was read after the head.
        before: Box<Record>,
        /// What it says from now on (checked).
        body: Body,
        /// Its mark from now on.
        marker: Option<String>,
    },
    /// A record of another type from now on, with its id. In the feed it is gone as what it was.
    Become {
        /// As it was read after the head.
        before: Box<Record>,
        /// Its type from now on.
        kind: Kind,
        /// What it says from now on (checked).
        body: Body,
    },
    /// The end of a record.
    Remove {
        /// As it was read after the head.
        before: Box<Record>,
    },
}

impl Edit {
    /// At most how many operations of a transaction it takes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Edit::Create { kind, body, marker, .. } => {
                let listed = body.contains_key("company") || body.contains_key("parent");
                let addresses = record::addresses(*kind, body).len();
                3 + usize::from(listed) + usize::from(marker.is_some()) + addresses + appointment::weight(*kind, body)
            }
            Edit::Change { before, body, .. } => {
                let addresses = before.addresses().symmetric_difference(&record::addresses(before.kind, body)).count();
                7 + addresses + appointment::weight_between(before, body)
            }
            Edit::Become { before, body, .. } => 7 + appointment::weight_between(before, body),
            Edit::Remove { before } => {
                5 + before.addresses().len() + appointment::abouts(before.kind, &before.body).len()
            }
        }
    }
}

/// How many operations the edits of one commit may take together; the head takes one more.
pub(crate) const COMMIT_WEIGHT: usize = TRANSACT_LIMIT - 1;

/// An entry of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) deleted: bool,
    /// It is gone as this type and lives on, with its id, as another: its own entry follows.
    pub(crate) became: bool,
}

/// A bounded number of tries, with growing and scattered pauses.
pub(crate) struct Tries {
    left: u32,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self { left: TRIES }
    }
    /// Waits a little before the next try.
    pub(crate) async fn again(&mut self, clock: &dyn Clock) -> Result<(), CrmError> {
        self.left = self.left.checked_sub(1).ok_or(CrmError::Busy)?;
        let most = 4_u64 << (TRIES - self.left).min(7);
        clock.sleep(Duration::from_millis(rand::random_range(most / 2..=most))).await;
        Ok(())
    }
}

impl Ledger {
    /// A new record id: a UUID that sorts by time.
    pub(crate) fn new_id(&self) -> String {
        let now = self.clock.now();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)).to_string()
    }

    /// The head. One request.
    pub(crate) async fn head(&self) -> Result<Head, CrmError> {
        let items = self.table.get(&[keys::head(&self.account)]).await?;
        Head::read(items.first().and_then(Option::as_ref))
    }

    /// Records by id, in that order. One request a hundred; the same id may occur twice.
    pub(crate) async fn records<S: AsRef<str>>(&self, ids: &[S]) -> Result<Vec<Option<Record>>, CrmError> {
        let mut distinct: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let keys: Vec<Key> = distinct.iter().map(|id| keys::record(&self.account, id)).collect();
        let batches: Vec<Vec<Key>> = keys.chunks(GET_BATCH).map(<[Key]>::to_vec).collect();
        let read = futures::stream::iter(batches).map(|batch| self.get_batch(batch)).buffered(PARALLEL_GETS);
        let items: Vec<Vec<Option<Item>>> = read.try_collect().await?;
        let mut found: HashMap<&str, Record> = HashMap::with_capacity(distinct.len());
        for (id, item) in distinct.into_iter().zip(items.into_iter().flatten()) {
            if let Some(item) = item {
                found.insert(id, Record::from_item(&item)?);
            }
        }
        Ok(ids.iter().map(|id| found.get(id.as_ref()).cloned()).collect())
    }

    async fn get_batch(&self, keys: Vec<Key>) -> Result<Vec<Option<Item>>, TableError> {
        self.table.get(&keys).await
    }

    /// One record.
    pub(crate) async fn record(&self, id: &str) -> Result<Option<Record>, CrmError> {
        Ok(self.records(&[id]).await?.pop().flatten())
    }

    /// Feed entries after a sequence number, and whether more may follow. One request.
    pub(crate) async fn feed(&self, after: u64, limit: usize) -> Result<(Vec<Entry>, bool), CrmError> {
        let mut query = main_query(keys::feed_partition(&self.account), limit);
        query.after = Some(keys::sequence(after));
        let page = self.table.query(&query).await?;
        let entries: Option<Vec<Entry>> = page.items.iter().map(read_entry).collect();
        Ok((entries.ok_or(CrmError::Corrupt)?, page.more))
    }

    /// Rows of a type after a number: number and id of each, and whether more may follow. One request.
    pub(crate) async fn rows(
        &self,
        kind: Kind,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<(u64, String, String)>, bool), CrmError> {
        let mut query = main_query(keys::rows_partition(&self.account, kind), limit);
        query.after = Some(keys::number(after));
        let page = self.table.query(&query).await?;
        let read = |item: &Item| {
            let text = |name: &str| item.attributes.get(name)?.as_str().map(str::to_owned);
            Some((item.key.sk.parse().ok()?, text("id")?, text("same")?))
        };
        let rows: Option<Vec<_>> = page.items.iter().map(read).collect();
        Ok((rows.ok_or(CrmError::Corrupt)?, page.more))
    }

    /// All records of a type by what makes them the same (see [`record::same`]); of two alike, the older.
    /// Some hundred bytes a record, one request for 5,000.
    pub(crate) async fn known(&self, kind: Kind) -> Result<HashMap<String, String>, CrmError> {
        let (mut known, mut after) = (HashMap::new(), 0);
        loop {
            let (rows, more) = self.rows(kind, after, ROWS_PAGE).await?;
            after = rows.last().map_or(after, |(number, _, _)| *number);
            for (_, id, same) in rows {
                known.entry(same).or_insert(id);
            }
            if !more {
                return Ok(known);
            }
        }
    }

    /// Ids of a company's contacts after one of them, and whether more may follow. One request.
    pub(crate) async fn staff(
        &self,
        company: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<String>, bool), CrmError> {
        let mut query = main_query(keys::staff_partition(&self.account, company), limit);
        query.after = after.map(str::to_owned);
        let page = self.table.query(&query).await?;
        Ok((page.items.into_iter().map(|item| item.key.sk).collect(), page.more))
    }

    /// Names and ids of what is in a folder or record, after one of the names, and whether more may follow. One request.
    pub(crate) async fn inside(
        &self,
        parent: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, String)>, bool), CrmError> {
        let mut query = main_query(keys::inside_partition(&self.account, parent), limit);
        query.after = after.map(str::to_owned);
        let page = self.table.query(&query).await?;
        let entry = |item: Item| {
            let id = item.attributes.get("id").and_then(Value::as_str)?.to_owned();
            Some((item.key.sk, id))
        };
        let entries: Option<Vec<_>> = page.items.into_iter().map(entry).collect();
        Ok((entries.ok_or(CrmError::Corrupt)?, page.more))
    }

    /// Ids of the appointments about one of these (a record's id, or [`keys::digest`] of an address), after an id, the
    /// oldest first, and whether more may follow. One request each, some at the same time.
    pub(crate) async fn about(
        &self,
        abouts: &[String],
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<String>, bool), CrmError> {
        let query = |about: &String| {
            let mut query = main_query(keys::about_partition(&self.account, about), limit);
            query.after = after.map(str::to_owned);
            query
        };
        let queries: Vec<Query> = abouts.iter().map(query).collect();
        let read = futures::stream::iter(queries).map(|query| self.query(query)).buffered(PARALLEL_GETS);
        let pages: Vec<Page> = read.try_collect().await?;
        let more = pages.iter().any(|page| page.more);
        let ids: BTreeSet<String> = pages.into_iter().flat_map(|page| page.items).map(|item| item.key.sk).collect();
        let cut = ids.len() > limit;
        Ok((ids.into_iter().take(limit).collect(), more || cut))
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        self.table.query(&query).await
    }

    /// The id of what has this name in a folder or record. One request.
    pub(crate) async fn named(&self, parent: &str, name: &str) -> Result<Option<String>, CrmError> {
        let found = self.table.get(&[keys::inside(&self.account, parent, name)]).await?.pop().flatten();
        Ok(found.and_then(|item| item.attributes.get("id").and_then(Value::as_str).map(str::to_owned)))
    }

    /// Ids of the records that carry these markers, in that order. One request a hundred.
    pub(crate) async fn marked<S: AsRef<str>>(&self, markers: &[S]) -> Result<Vec<Option<String>>, CrmError> {
        let mut keys: Vec<Key> = markers.iter().map(|marker| keys::mark(&self.account, marker.as_ref())).collect();
        keys.sort_unstable();
        keys.dedup();
        let items = self.table.get(&keys).await?;
        let id = |item: &Item| item.attributes.get("id").and_then(Value::as_str).map(str::to_owned);
        let found: HashMap<&Key, String> =
            keys.iter().zip(&items).filter_map(|(key, item)| Some((key, id(item.as_ref()?)?))).collect();
        Ok(markers.iter().map(|m| found.get(&keys::mark(&self.account, m.as_ref())).cloned()).collect())
    }

    /// Who has these addresses (in their one spelling), in that order: type and id. One request a hundred addresses,
    /// however many records there are.
    pub(crate) async fn addressed(&self, addresses: &[&str]) -> Result<Vec<Vec<(Kind, String)>>, CrmError> {
        let mut keys: Vec<Key> = addresses.iter().map(|address| keys::address(&self.account, address)).collect();
        keys.sort_unstable();
        keys.dedup();
        let items = self.table.get(&keys).await?;
        let holder = |name: &String| {
            let (word, id) = name.split_once(':')?;
            Some((Kind::of_word(word)?, id.to_owned()))
        };
        let holders = |item: &Item| item.attributes.keys().filter_map(holder).collect::<Vec<_>>();
        let found: HashMap<&Key, Vec<(Kind, String)>> =
            keys.iter().zip(&items).filter_map(|(key, item)| Some((key, holders(item.as_ref()?)))).collect();
        let of = |address: &&str| found.get(&keys::address(&self.account, address)).cloned().unwrap_or_default();
        Ok(addresses.iter().map(of).collect())
    }

    /// Commits edits on the head they were planned on, in one transaction; answers the records after it (removed ones
    /// as they were). `None`: somebody else wrote meanwhile; nothing was done, read again.
    pub(crate) async fn commit(&self, head: &Head, edits: Vec<Edit>) -> Result<Option<Vec<Record>>, CrmError> {
        if edits.is_empty() {
            return Ok(Some(Vec::new()));
        }
        self.commit_ending(head, edits, None).await
    }

    /// As [`Self::commit`], together with the end of the item of this key: without the item nothing is done.
    pub(crate) async fn commit_ending(
        &self,
        head: &Head,
        edits: Vec<Edit>,
        ended: Option<&Key>,
    ) -> Result<Option<Vec<Record>>, CrmError> {
        debug_assert!(edits.iter().map(Edit::weight).sum::<usize>() <= COMMIT_WEIGHT, "the edits fit a transaction");
        let mut draft = Transaction {
            account: &self.account,
            head: head.clone(),
            ops: Vec::new(),
            addresses: BTreeMap::new(),
            now: self.clock.now(),
        };
        let records: Vec<Record> = edits.into_iter().map(|edit| draft.apply(edit)).collect();
        draft.index();
        let unmoved = match head.seq {
            0 => Condition::Absent,
            seq => Condition::Equals("seq", json!(seq)),
        };
        let mut ops = vec![Op::Put(draft.head.to_item(&self.account), vec![unmoved])];
        ops.append(&mut draft.ops);
        ops.extend(ended.map(|key| Op::Delete(key.clone(), vec![Condition::Present])));
        match self.table.transact(&ops).await {
            Ok(()) => Ok(Some(records)),
            Err(TableError::Condition(_) | TableError::Contention) => Ok(None),
            Err(error @ TableError::Unavailable(_)) => Err(CrmError::Unavailable(error)),
        }
    }
}

/// How a record is entered in the feed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entered {
    Live,
    Gone,
    Became,
}

/// The operations of one commit as they are made.
struct Transaction<'a> {
    account: &'a str,
    head: Head,
    ops: Vec<Op>,
    /// What changes at each e-mail address: a transaction touches an item once, whoever shares the address.
    addresses: BTreeMap<String, Map<String, Value>>,
    now: Timestamp,
}

impl Transaction<'_> {
    fn apply(&mut self, edit: Edit) -> Record {
        self.head.seq += 1;
        match edit {
            Edit::Create { id, kind, body, marker } => self.create(id, kind, body, marker),
            Edit::Change { before, body, marker } => self.change(*before, body, marker),
            Edit::Become { before, kind, body } => self.become_another(*before, kind, body),
            Edit::Remove { before } => self.remove(*before),
        }
    }

    fn create(&mut self, id: String, kind: Kind, body: Body, marker: Option<String>) -> Record {
        let count = self.head.counts.entry(kind.word()).or_default();
        *count = (count.0 + 1, count.1 + 1);
        let (number, seq, now) = (count.0, self.head.seq, self.now);
        let record = Record { id, kind, number, version: 1, seq, created_at: now, updated_at: now, marker, body };
        self.ops.push(Op::Put(record.to_item(self.account), vec![Condition::Absent]));
        self.feed(&record, false);
        self.row(&record);
        self.staff(&record);
        self.inside(&record);
        self.mark(&record);
        self.address(&record, BTreeSet::new(), record.addresses());
        let made = appointment::copy_mark(self.account, &record);
        self.marks(&record, made.into_iter().chain(appointment::marks(kind, &record.body)));
        self.about(&record, &BTreeSet::new(), &appointment::abouts(kind, &record.body));
        record
    }

    fn change(&mut self, before: Record, body: Body, marker: Option<String>) -> Record {
        let (version, seq, updated_at) = (before.version + 1, self.head.seq, self.now);
        let record = Record { version, seq, updated_at, marker, body, ..before.clone() };
        self.ops.push(Op::Put(record.to_item(self.account), vec![same_version(&before)]));
        self.ops.push(Op::Delete(keys::feed(self.account, before.seq), Vec::new()));
        self.feed(&record, false);
        if record::same(before.kind, &before.body) != record::same(record.kind, &record.body) {
            self.row(&record);
        }
        if before.company() != record.company() {
            self.leave_company(&before);
            self.staff(&record);
        }
        if (before.inside(), before.text("name")) != (record.inside(), record.text("name")) {
            self.leave_folder(&before);
            self.inside(&record);
        }
        if before.marker != record.marker {
            self.mark(&record);
        }
        self.address(&record, before.addresses(), record.addresses());
        self.appointment(&before, &record);
        record
    }

    /// Two entries: readers of the old type see it go, readers of the new one see it come.
    fn become_another(&mut self, before: Record, kind: Kind, body: Body) -> Record {
        let was = self.head.counts.entry(before.kind.word()).or_default();
        was.1 = was.1.saturating_sub(1);
        let is = self.head.counts.entry(kind.word()).or_default();
        *is = (is.0 + 1, is.1 + 1);
        let number = is.0;
        let gone = Record { seq: self.head.seq, version: before.version + 1, ..before.clone() };
        self.entry(&gone, Entered::Became);
        self.head.seq += 1;
        let (version, seq, updated_at) = (before.version + 1, self.head.seq, self.now);
        let record = Record { kind, number, version, seq, updated_at, body, ..before.clone() };
        self.ops.push(Op::Put(record.to_item(self.account), vec![same_version(&before)]));
        self.ops.push(Op::Delete(keys::feed(self.account, before.seq), Vec::new()));
        self.feed(&record, false);
        self.ops.push(Op::Delete(keys::row(self.account, before.kind, before.number), Vec::new()));
        self.row(&record);
        self.appointment(&before, &record);
        record
    }

    fn remove(&mut self, before: Record) -> Record {
        let count = self.head.counts.entry(before.kind.word()).or_default();
        count.1 = count.1.saturating_sub(1);
        self.ops.push(Op::Delete(keys::record(self.account, &before.id), vec![same_version(&before)]));
        self.ops.push(Op::Delete(keys::feed(self.account, before.seq), Vec::new()));
        self.feed(&Record { seq: self.head.seq, version: before.version + 1, ..before.clone() }, true);
        self.ops.push(Op::Delete(keys::row(self.account, before.kind, before.number), Vec::new()));
        self.leave_company(&before);
        self.leave_folder(&before);
        self.address(&before, before.addresses(), BTreeSet::new());
        self.about(&before, &appointment::abouts(before.kind, &before.body), &BTreeSet::new());
        // The mark stays: it points to an id that no longer is, which readers take for "no such record".
        before
    }

    fn feed(&mut self, record: &Record, deleted: bool) {
        self.entry(record, if deleted { Entered::Gone } else { Entered::Live });
    }

    fn entry(&mut self, record: &Record, entered: Entered) {
        let mut attributes = Map::new();
        attributes.insert("kind".into(), json!(record.kind.word()));
        attributes.insert("id".into(), json!(record.id));
        attributes.insert("version".into(), json!(record.version));
        attributes.insert("deleted".into(), json!(entered != Entered::Live));
        if entered == Entered::Became {
            attributes.insert("became".into(), json!(true));
        }
        self.put(keys::feed(self.account, record.seq), attributes);
    }

    fn row(&mut self, record: &Record) {
        let mut attributes = Map::new();
        attributes.insert("id".into(), json!(record.id));
        attributes.insert("same".into(), json!(record::same(record.kind, &record.body)));
        self.put(keys::row(self.account, record.kind, record.number), attributes);
    }

    fn staff(&mut self, record: &Record) {
        if let Some(company) = record.company() {
            self.put(keys::staff(self.account, company, &record.id), Map::new());
        }
    }

    fn leave_company(&mut self, record: &Record) {
        if let Some(company) = record.company() {
            self.ops.push(Op::Delete(keys::staff(self.account, company, &record.id), Vec::new()));
        }
    }

    fn inside(&mut self, record: &Record) {
        if let Some(parent) = record.inside() {
            let attributes = Map::from_iter([("id".to_owned(), json!(record.id))]);
            self.put(keys::inside(self.account, parent, record.text("name")), attributes);
        }
    }

    fn leave_folder(&mut self, record: &Record) {
        if let Some(parent) = record.inside() {
            self.ops.push(Op::Delete(keys::inside(self.account, parent, record.text("name")), Vec::new()));
        }
    }

    /// A record has these addresses from now on.
    fn address(&mut self, record: &Record, before: BTreeSet<String>, after: BTreeSet<String>) {
        let name = format!("{}:{}", record.kind.word(), record.id);
        for gone in before.difference(&after) {
            self.addresses.entry(gone.clone()).or_default().insert(name.clone(), Value::Null);
        }
        for fresh in after.difference(&before) {
            self.addresses.entry(fresh.clone()).or_default().insert(name.clone(), json!(true));
        }
    }

    /// The index's part of the transaction.
    fn index(&mut self) {
        for (address, set) in std::mem::take(&mut self.addresses) {
            let update = Update { set, add: Vec::new() };
            self.ops.push(Op::Update(keys::address(self.account, &address), update, Vec::new()));
        }
    }

    fn mark(&mut self, record: &Record) {
        if let Some(marker) = &record.marker {
            let attributes = Map::from_iter([("id".to_owned(), json!(record.id))]);
            self.put(keys::mark(self.account, marker), attributes);
        }
    }

    fn put(&mut self, key: Key, attributes: Map<String, Value>) {
        self.ops.push(Op::Put(Item { key, attributes }, Vec::new()));
    }
}

fn same_version(record: &Record) -> Condition {
    Condition::Equals("version", json!(record.version))
}

fn read_entry(item: &Item) -> Option<Entry> {
    let get = |name: &str| item.attributes.get(name);
    Some(Entry {
        seq: item.key.sk.parse().ok()?,
        kind: Kind::of_word(get("kind")?.as_str()?)?,
        id: get("id")?.as_str()?.to_owned(),
        version: get("version")?.as_u64()?,
        deleted: get("deleted")?.as_bool()?,
        became: get("became").and_then(Value::as_bool).unwrap_or(false),
    })
}

fn main_query(pk: String, limit: usize) -> Query {
    Query { pk, index: Index::Main, prefix: String::new(), after: None, up_to: None, descending: false, limit }
}
