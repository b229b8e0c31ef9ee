//! The durable store as one key-value table with conditional writes: what DynamoDB gives, and no more.
//!
//! `tandem-store` builds everything durable on this door; the back-ends (DynamoDB, memory) stay thin and run one suite.
use async_trait::async_trait;
use serde_json::{Map, Value};

/// The most keys one [`Table::get`] request carries, the most puts one [`Table::write`] request carries, and the most
/// operations one [`Table::transact`] carries. DynamoDB's own limits; larger `get` and `write` calls are split.
pub const GET_BATCH: usize = 100;
/// See [`GET_BATCH`].
pub const WRITE_BATCH: usize = 25;
/// See [`GET_BATCH`].
pub const TRANSACT_LIMIT: usize = 100;

/// Partition and sort key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Partition: what is read together.
    pub pk: String,
    /// Sort key within it.
    pub sk: String,
}

impl Key {
    /// A key.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
}

/// An item: its key and its attributes (JSON; numbers are integers). The key's parts are not attributes.
///
/// Attributes with a meaning to the table: `due_pk` + `due_sk` (strings: the item is in the due index),
/// `expires_at` (seconds since 1970: the table may drop the item after that; readers check it themselves).
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Where.
    pub key: Key,
    /// What.
    pub attributes: Map<String, Value>,
}

/// A condition on the item as it is before the write.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// There is no such item.
    Absent,
    /// There is one.
    Present,
    /// The attribute equals this.
    Equals(&'static str, Value),
    /// The attribute is absent (or the item is), or a number not greater than this.
    AbsentOrAtMost(&'static str, i64),
    /// The attribute is a number greater than this.
    GreaterThan(&'static str, i64),
    /// The attribute is absent (or the item is).
    AttributeAbsent(&'static str),
}

/// A change to attributes of one item, which is made where it is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// Attributes to set; `null` removes the attribute.
    pub set: Map<String, Value>,
    /// Numbers to add; an absent attribute counts as 0.
    pub add: Vec<(&'static str, i64)>,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Replace the whole item.
    Put(Item, Vec<Condition>),
    /// Change some attributes.
    Update(Key, Update, Vec<Condition>),
    /// Remove the item.
    Delete(Key, Vec<Condition>),
    /// Only check.
    Check(Key, Vec<Condition>),
}

/// An unconditional write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Replace the whole item.
    Put(Item),
    /// Remove the item.
    Delete(Key),
}

/// A range of one partition, in the order of the sort key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The partition, or the due index's partition.
    pub pk: String,
    /// Which keys.
    pub index: Index,
    /// Only sort keys that start with this.
    pub prefix: String,
    /// Only sort keys after this one (exclusive); the last key of the page before.
    pub after: Option<String>,
    /// Only sort keys not above this.
    pub up_to: Option<String>,
    /// Backwards.
    pub descending: bool,
    /// At most this many items in this page (a page also ends at 1 MB).
    pub limit: usize,
}

/// Which keys a query goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// The table's own keys, strongly consistent.
    Main,
    /// `due_pk` and `due_sk`, eventually consistent.
    Due,
}

/// A page of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Whether more may follow; go on with `after` = the last item's sort key (its `due_sk` in the due index).
    pub more: bool,
}

/// Why the table did not do it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A condition failed; the index says which operation of the transaction (0 for a single one).
    /// Nothing of the transaction was done.
    #[error("a condition on the item failed")]
    Condition(usize),
    /// Two transactions met on an item; nothing was done, and it may be tried again.
    #[error("another write was under way")]
    Contention,
    /// No answer; whether it was done is unknown.
    #[error("the table is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A table. Every method is one request, save that `get` and `write` split what is larger than one request carries.
#[async_trait]
pub trait Table: Send + Sync {
    /// Reads items (strongly consistent); the answers are in the keys' order.
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, TableError>;
    /// Reads a range.
    async fn query(&self, query: &Query) -> Result<Page, TableError>;
    /// Writes without conditions and without atomicity: after an error some may be done. No key twice.
    async fn write(&self, writes: &[Write]) -> Result<(), TableError>;
    /// Writes all or nothing, each under its conditions. At most [`TRANSACT_LIMIT`]. No key twice.
    async fn transact(&self, ops: &[Op]) -> Result<(), TableError>;
    /// Changes one item under conditions and answers all its attributes after the change.
    async fn update(&self, key: &Key, update: &Update, conditions: &[Condition]) -> Result<Item, TableError>;
}
