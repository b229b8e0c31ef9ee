//! Everything durable of the service: users' connections, syncs, leases, checkpoints, links, runs, change logs.
//!
//! Built once on the [`Table`](tandem_ports::table::Table) door, so that memory and DynamoDB cannot disagree, and a
//! request counted in a test is a request that DynamoDB bills. The whole key schema is in [`keys`].
pub mod checkpoint;
pub mod connection;
pub mod convert;
pub mod error;
pub mod keys;
pub mod lease;
pub mod link;
pub mod run;
pub mod sync;

pub use error::StoreError;
use std::collections::HashMap;
use std::sync::Arc;
use tandem_ports::table::{Item, Key, Table};

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
