//! Everything durable of the service: users' connections, syncs, leases, checkpoints, links, runs, change logs.
//!
//! Built once on the [`Table`](tandem_ports::table::Table) door, so that memory and DynamoDB cannot disagree, and a
//! request counted in a test is a request that DynamoDB bills. The whole key schema is in [`keys`].
pub mod channel;
pub mod checkpoint;
pub mod connection;
pub mod convert;
pub mod error;
pub mod file;
pub mod filed;
pub mod keys;
pub mod lease;
pub mod link;
pub mod mail;
pub mod names;
pub mod run;
pub mod sync;

pub use error::StoreError;
use std::collections::HashMap;
use std::sync::Arc;
use tandem_ports::table::{Condition, Item, Key, Op, Table, TableError, Update};

/// Tries of a transaction that met another one. The other one is done in milliseconds, and so is a try.
const CONTENTION_TRIES: u32 = 8;

/// The durable state.
#[derive(Clone)]
pub struct Store {
    table: Arc<dyn Table>,
}

impl Store {
    /// On this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// All or nothing. Two transactions that meet on an item are tried again: nothing was done, and neither is wrong.
    pub(crate) async fn transact(&self, ops: &[Op]) -> Result<(), TableError> {
        for _ in 1..CONTENTION_TRIES {
            match self.table.transact(ops).await {
                Err(TableError::Contention) => {}
                other => return other,
            }
        }
        self.table.transact(ops).await
    }

    /// One item; contention as in [`Store::transact`].
    pub(crate) async fn update(
        &self,
        key: &Key,
        update: &Update,
        conditions: &[Condition],
    ) -> Result<Item, TableError> {
        for _ in 1..CONTENTION_TRIES {
            match self.table.update(key, update, conditions).await {
                Err(TableError::Contention) => {}
                other => return other,
            }
        }
        self.table.update(key, update, conditions).await
    }

    /// Reads items in the keys' order; a key may occur more than once, which the table itself refuses.
    pub(crate) async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        let mut distinct: Vec<Key> = keys.to_vec();
        distinct.sort();
        distinct.dedup();
        if distinct.len() == keys.len() {
            return Ok(self.table.get(keys).await?);
        }
        let found = self.table.get(&distinct).await?;
        let by_key: HashMap<Key, Option<Item>> = distinct.into_iter().zip(found).collect();
        Ok(keys.iter().map(|key| by_key.get(key).cloned().flatten()).collect())
    }
}
