//! Bad input, named by its field.
use serde::{Deserialize, Serialize};

/// What is wrong with a setting or a value, for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// Path of the field, e.g. `settings.direction`.
    pub field: String,
    /// One sentence that says what would be right.
    pub message: String,
}

impl Invalid {
    /// An error at this field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}
