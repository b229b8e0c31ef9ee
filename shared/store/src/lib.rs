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
use std::sync::Arc;
use tandem_ports::table::Table;

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
}
