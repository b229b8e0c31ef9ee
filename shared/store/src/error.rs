//! How the store may fail.
use tandem_ports::table::TableError;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster, or the lease is lost: read again.
    #[error("the stored state has changed meanwhile")]
    Stale,
    /// Whether it was done is unknown.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An item that this release cannot read.
    #[error("the stored item {what} cannot be read")]
    Unreadable {
        /// Which kind of item.
        what: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

impl From<TableError> for StoreError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Condition(_) | TableError::Contention => StoreError::Stale,
            TableError::Unavailable(source) => StoreError::Unavailable(source),
        }
    }
}
