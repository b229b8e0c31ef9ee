//! What may go wrong at a provider, named by what the engine *does* about it.
use std::time::Duration;

/// Only a connector's `classify()` names one of these. DESIGN: "Error kinds: what the engine does".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Time-out, 5xx, reset: the same request may succeed later. Whether it took effect is unknown.
    Retryable,
    /// The provider asks us to slow down. The request took no effect.
    Throttled {
        /// How long it asks us to wait, where it says.
        retry_after: Option<Duration>,
    },
    /// The grant is gone. Only the user can repair it.
    AuthRevoked,
    /// The stored cursor is no longer accepted: a full listing is needed.
    CursorExpired,
    /// The precondition failed: somebody changed the record after we read it.
    Conflict,
    /// The record is not there.
    NotFound,
    /// A right or a scope is missing; `detail` says which.
    Forbidden,
    /// The provider refuses this request; repeating it cannot help.
    Permanent,
}

/// A failure at a provider. Holds no token, no record and no raw body: it may be logged and shown.
#[derive(Debug, thiserror::Error)]
#[error("{provider}: {operation}: {detail}")]
pub struct ConnectorError {
    /// `google`, `builtin`, …
    pub provider: &'static str,
    /// What was attempted, e.g. `people.batchCreateContacts`.
    pub operation: &'static str,
    /// What to do about it.
    pub kind: ErrorKind,
    /// One sentence for people, free of personal data.
    pub detail: String,
    /// The cause, for the log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ConnectorError {
    /// An error without a further cause.
    pub fn new(
        provider: &'static str,
        operation: &'static str,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> ConnectorError {
        ConnectorError { provider, operation, kind, detail: detail.into(), source: None }
    }

    /// The same error said of another item of the batch (the cause stays with the first).
    pub fn repeated(&self) -> ConnectorError {
        ConnectorError::new(self.provider, self.operation, self.kind, self.detail.clone())
    }
}

/// The result of a provider call.
pub type Result<T, E = ConnectorError> = std::result::Result<T, E>;
