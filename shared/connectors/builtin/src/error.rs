//! What may go wrong in the CRM, and what the engine makes of it.
use tandem_ports::blobs::BlobError;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::table::TableError;

/// Why the CRM did not do it. Messages are for people and hold no record's data.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    /// A value is not acceptable.
    #[error("{field}: {message}")]
    Invalid {
        /// Where: a field's name, or a path such as `filter.all[0].op`.
        field: String,
        /// What is wrong with it, one sentence.
        message: String,
    },
    /// There is no such record, or it is another account's.
    #[error("there is no such record")]
    NotFound,
    /// The acting user lacks a right.
    #[error("the right “{right}” is missing")]
    Forbidden {
        /// `contacts.edit`, `export`, `admin`.
        right: String,
    },
    /// The record has another version than the caller expects.
    #[error("somebody changed the record meanwhile; read it again")]
    Stale,
    /// The record or the file is larger than the CRM takes.
    #[error("{message}")]
    TooLarge {
        /// What is too large, and what to do.
        message: String,
    },
    /// What is asked contradicts the state of things.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// Too many others write to this CRM at this moment; nothing was done.
    #[error("many changes are being made at this moment; try again in a few seconds")]
    Busy,
    /// The table did not answer; whether a write was done is unknown.
    #[error("the CRM is not available at this moment")]
    Unavailable(#[source] TableError),
    /// The object store with the files' bytes did not do it.
    #[error("the bytes of this file are not available at this moment")]
    Blobs(#[source] BlobError),
    /// The segment or list view that bounds a sync is gone, or picks something else.
    #[error("the segment or list view that this sync is limited to is gone; choose another one")]
    ContainerGone,
    /// A cursor that is none of ours.
    #[error("this is no mark of the built-in CRM")]
    UnknownCursor,
    /// A stored item cannot be read.
    #[error("a stored record cannot be read")]
    Corrupt,
}

impl CrmError {
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), message: message.into() }
    }
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into() }
    }
}

impl From<BlobError> for CrmError {
    fn from(error: BlobError) -> Self {
        Self::Blobs(error)
    }
}

impl From<TableError> for CrmError {
    fn from(error: TableError) -> Self {
        match error {
            // The ledger retries these itself; where one is left over, nothing was done.
            TableError::Condition(_) | TableError::Contention => Self::Busy,
            TableError::Unavailable(_) => Self::Unavailable(error),
        }
    }
}

/// Names the error kind for the engine: the only place of this connector that does.
pub(crate) fn classify(operation: &'static str, error: CrmError) -> ConnectorError {
    let kind = match &error {
        CrmError::Invalid { .. } | CrmError::TooLarge { .. } | CrmError::Refused { .. } | CrmError::Corrupt => {
            ErrorKind::Permanent
        }
        CrmError::NotFound => ErrorKind::NotFound,
        CrmError::UnknownCursor => ErrorKind::CursorExpired,
        // Only a person can repair it, and the other direction may go on.
        CrmError::Forbidden { .. } | CrmError::ContainerGone => ErrorKind::Forbidden,
        CrmError::Stale => ErrorKind::Conflict,
        CrmError::Busy => ErrorKind::Throttled { retry_after: None },
        CrmError::Blobs(BlobError::Missing) => ErrorKind::NotFound,
        CrmError::Unavailable(_) | CrmError::Blobs(BlobError::Unavailable(_)) => ErrorKind::Retryable,
    };
    let detail = match &error {
        CrmError::Forbidden { right } => format!("the {right} right is missing for this user in the built-in CRM"),
        CrmError::Invalid { .. }
        | CrmError::NotFound
        | CrmError::Stale
        | CrmError::TooLarge { .. }
        | CrmError::Refused { .. }
        | CrmError::Busy
        | CrmError::Unavailable(_)
        | CrmError::Blobs(_)
        | CrmError::ContainerGone
        | CrmError::UnknownCursor
        | CrmError::Corrupt => error.to_string(),
    };
    let source: Option<Box<dyn std::error::Error + Send + Sync>> = match error {
        CrmError::Unavailable(cause) => Some(Box::new(cause)),
        CrmError::Blobs(cause) => Some(Box::new(cause)),
        CrmError::Invalid { .. }
        | CrmError::NotFound
        | CrmError::Forbidden { .. }
        | CrmError::Stale
        | CrmError::TooLarge { .. }
        | CrmError::Refused { .. }
        | CrmError::Busy
        | CrmError::ContainerGone
        | CrmError::UnknownCursor
        | CrmError::Corrupt => None,
    };
    ConnectorError { provider: PROVIDER, operation, kind, detail, source }
}

/// This connector's name.
pub(crate) const PROVIDER: &str = "builtin";
