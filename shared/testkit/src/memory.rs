//! The table in memory: the same promises as DynamoDB's, with its limits, counted requests, latency and faults.
use crate::fault::{Faults, Verdict};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_ports::table::{
    Condition, GET_BATCH, Index, Item, Key, Op, Page, Query, TRANSACT_LIMIT, Table, TableError, Update, WRITE_BATCH,
    Write,
};

type Rows = BTreeMap<Key, Map<String, Value>>;

/// DynamoDB's limit on one item.
const ITEM_BYTES: usize = 400 * 1024;
/// DynamoDB's limit on one page of a query.
const PAGE_BYTES: usize = 1024 * 1024;

/// A table in memory.
#[derive(Default)]
pub struct MemoryTable {
    rows: Mutex<Rows>,
    requests: AtomicU64,
    read: AtomicU64,
    latency: Option<Duration>,
    turns: bool,
    faults: Arc<Faults>,
}

impl MemoryTable {
    /// An empty table whose calls the faults may strike.
    pub fn with_faults(faults: Arc<Faults>) -> Self {
        Self { faults, ..Self::default() }
    }
    /// Every request takes this long in real time.
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }
    /// Every request lets the other tasks have their turn first.
    pub fn with_turns(mut self) -> Self {
        self.turns = true;
        self
    }
    /// How many requests DynamoDB would have seen (split as its limits demand).
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
    /// How many items `get` and `query` have given back.
    pub fn items_read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }
    /// Everything in it, for comparing worlds.
    pub fn dump(&self) -> Vec<Item> {
        let rows = self.rows.lock().expect("not poisoned");
        rows.iter().map(|(key, attributes)| Item { key: key.clone(), attributes: attributes.clone() }).collect()
    }

    async fn enter(&self, requests: usize) -> Result<Verdict, TableError> {
        self.requests.fetch_add(requests as u64, Ordering::SeqCst);
        if let Some(latency) = self.latency {
            tokio::time::sleep(latency).await;
        }
        if self.turns {
            tokio::task::yield_now().await;
        }
        match self.faults.strike() {
            Verdict::Refuse => Err(unavailable()),
            verdict @ (Verdict::Go | Verdict::DoAndLose) => Ok(verdict),
        }
    }
}

fn unavailable() -> TableError {
    TableError::Unavailable("the table did not answer".into())
}

fn leave<T>(verdict: Verdict, done: T) -> Result<T, TableError> {
    if verdict == Verdict::Go { Ok(done) } else { Err(unavailable()) }
}

#[async_trait]
impl Table for MemoryTable {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, TableError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "DynamoDB refuses a key twice in one batch");
        let verdict = self.enter(keys.len().div_ceil(GET_BATCH)).await?;
        let rows = self.rows.lock().expect("not poisoned");
        let item = |key: &Key| rows.get(key).map(|a| Item { key: key.clone(), attributes: a.clone() });
        let found: Vec<Option<Item>> = keys.iter().map(item).collect();
        self.read.fetch_add(found.iter().flatten().count() as u64, Ordering::SeqCst);
        leave(verdict, found)
    }

    async fn query(&self, query: &Query) -> Result<Page, TableError> {
        let verdict = self.enter(1).await?;
        let rows = self.rows.lock().expect("not poisoned");
        let page = page(&rows, query);
        self.read.fetch_add(page.items.len() as u64, Ordering::SeqCst);
        leave(verdict, page)
    }

    async fn write(&self, writes: &[Write]) -> Result<(), TableError> {
        // Not atomic: each batch is its own request, and a crash may leave the later ones undone.
        assert_distinct(writes.iter().map(|write| match write {
            Write::Put(item) => &item.key,
            Write::Delete(key) => key,
        }));
        for batch in writes.chunks(WRITE_BATCH) {
            let verdict = self.enter(1).await?;
            let mut rows = self.rows.lock().expect("not poisoned");
            for write in batch {
                match write {
                    Write::Put(item) => put(&mut rows, item),
                    Write::Delete(key) => {
                        rows.remove(key);
                    }
                }
            }
            drop(rows);
            leave(verdict, ())?;
        }
        Ok(())
    }

    async fn transact(&self, ops: &[Op]) -> Result<(), TableError> {
        assert!(ops.len() <= TRANSACT_LIMIT, "DynamoDB takes at most {TRANSACT_LIMIT} operations in a transaction");
        assert_distinct(ops.iter().map(key_of));
        let verdict = self.enter(1).await?;
        let mut rows = self.rows.lock().expect("not poisoned");
        for (index, op) in ops.iter().enumerate() {
            if !conditions_of(op).iter().all(|condition| holds(rows.get(key_of(op)), condition)) {
                return Err(TableError::Condition(index));
            }
        }
        for op in ops {
            match op {
                Op::Put(item, _) => put(&mut rows, item),
                Op::Update(key, update, _) => change(&mut rows, key, update),
                Op::Delete(key, _) => {
                    rows.remove(key);
                }
                Op::Check(_, _) => {}
            }
        }
        leave(verdict, ())
    }

    async fn update(&self, key: &Key, update: &Update, conditions: &[Condition]) -> Result<Item, TableError> {
        let verdict = self.enter(1).await?;
        let mut rows = self.rows.lock().expect("not poisoned");
        if !conditions.iter().all(|condition| holds(rows.get(key), condition)) {
            return Err(TableError::Condition(0));
        }
        change(&mut rows, key, update);
        leave(verdict, Item { key: key.clone(), attributes: rows[key].clone() })
    }
}

fn assert_distinct<'a>(keys: impl Iterator<Item = &'a Key>) {
    let mut seen = HashSet::new();
    for key in keys {
        assert!(seen.insert(key), "DynamoDB refuses a key twice in one request: {key:?}");
    }
}

fn key_of(op: &Op) -> &Key {
    match op {
        Op::Put(item, _) => &item.key,
        Op::Update(key, _, _) | Op::Delete(key, _) | Op::Check(key, _) => key,
    }
}

fn conditions_of(op: &Op) -> &[Condition] {
    match op {
        Op::Put(_, conditions)
        | Op::Update(_, _, conditions)
        | Op::Delete(_, conditions)
        | Op::Check(_, conditions) => conditions,
    }
}

fn holds(item: Option<&Map<String, Value>>, condition: &Condition) -> bool {
    let attribute = |name: &str| item.and_then(|attributes| attributes.get(name));
    match condition {
        Condition::Absent => item.is_none(),
        Condition::Present => item.is_some(),
        Condition::Equals(name, value) => attribute(name) == Some(value),
        Condition::AbsentOrAtMost(name, limit) => {
            attribute(name).is_none_or(|value| value.as_i64().is_some_and(|number| number <= *limit))
        }
        Condition::GreaterThan(name, limit) => {
            attribute(name).and_then(Value::as_i64).is_some_and(|number| number > *limit)
        }
        Condition::AttributeAbsent(name) => attribute(name).is_none(),
    }
}

fn put(rows: &mut Rows, item: &Item) {
    let bytes = size(&item.attributes);
    assert!(bytes <= ITEM_BYTES, "DynamoDB refuses an item over 400 KB: {:?} has {bytes}", item.key);
    let mut attributes = item.attributes.clone();
    attributes.retain(|_, value| !value.is_null());
    rows.insert(item.key.clone(), attributes);
}

/// About what DynamoDB counts: names, texts, and a few bytes for everything else.
fn size(attributes: &Map<String, Value>) -> usize {
    attributes.iter().map(|(name, value)| name.len() + 3 + size_of_value(value)).sum()
}

fn size_of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| 1 + size_of_value(value)).sum(),
        Value::Object(map) => size(map),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

fn change(rows: &mut Rows, key: &Key, update: &Update) {
    let attributes = rows.entry(key.clone()).or_default();
    for (name, value) in &update.set {
        if value.is_null() {
            attributes.remove(name);
        } else {
            attributes.insert(name.clone(), value.clone());
        }
    }
    for (name, by) in &update.add {
        let before = attributes.get(*name).and_then(Value::as_i64).unwrap_or(0);
        attributes.insert((*name).to_owned(), Value::from(before + by));
    }
}

fn page(rows: &Rows, query: &Query) -> Page {
    let due = |a: &Map<String, Value>, name: &str| a.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut found: Vec<(String, Item)> = match query.index {
        Index::Main => {
            let from = query.after.clone().filter(|after| !query.descending && *after > query.prefix);
            let low = Key::new(query.pk.clone(), from.unwrap_or_else(|| query.prefix.clone()));
            let mine = rows.range(low..).take_while(|(key, _)| key.pk == query.pk && key.sk.starts_with(&query.prefix));
            // The first may be `after` itself; one more than asked for tells whether more follow.
            let enough = if query.descending { usize::MAX } else { query.limit.saturating_add(2) };
            let copy = |(key, a): (&Key, &Map<String, Value>)| Item { key: key.clone(), attributes: a.clone() };
            mine.take(enough).map(copy).map(|item| (item.key.sk.clone(), item)).collect()
        }
        Index::Due => rows
            .iter()
            .filter(|(_, a)| due(a, "due_pk").as_deref() == Some(&query.pk))
            .filter_map(|(key, a)| Some((due(a, "due_sk")?, Item { key: key.clone(), attributes: a.clone() })))
            .filter(|(sk, _)| sk.starts_with(&query.prefix))
            .collect(),
    };
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    if query.descending {
        found.reverse();
    }
    let past = |sk: &String| match (&query.after, query.descending) {
        (None, _) => true,
        (Some(after), false) => sk > after,
        (Some(after), true) => sk < after,
    };
    let within = |sk: &String| query.up_to.as_ref().is_none_or(|limit| sk <= limit);
    found.retain(|(sk, _)| past(sk) && within(sk));
    let (mut bytes, mut take) = (0, 0);
    for (_, item) in &found {
        if take == query.limit || bytes > PAGE_BYTES {
            break;
        }
        bytes += size(&item.attributes);
        take += 1;
    }
    let more = found.len() > take;
    Page { items: found.into_iter().take(take).map(|(_, item)| item).collect(), more }
}
