//! Zendesk Sell: contacts with their organisations, and tasks, by the Core API v2, changes by the Sync API; appointments by
//! the Firehose API v3; documents, read only.
//!
//! Bytes leave only through [`HttpTransport`](tandem_ports::infra::HttpTransport); the transport adds the access token.
//! README.md beside this crate has the capability table, the scopes, the quotas and the quirks.
mod api;
mod appointments;
pub mod auth;
mod client;
pub mod config;
mod contacts;
mod documents;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod feed;
mod map;
mod me;
mod pace;
mod tasks;
mod wire;

pub use appointments::SellAppointments;
pub use auth::is_personal_token;
pub use config::SellConfig;
pub use contacts::{Options, SellContacts};
pub use documents::{FileOptions, SellDocuments};
pub use tasks::SellTasks;
