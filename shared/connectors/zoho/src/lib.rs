//! Zoho CRM: contacts with their accounts, events, and attachments, by the CRM API v8.
//!
//! Bytes leave only through [`HttpTransport`](tandem_ports::infra::HttpTransport); the transport adds the access token.
//! README.md beside this crate has the capability table, the scopes, the quotas and the quirks.
mod api;
pub mod auth;
mod client;
pub mod config;
mod contacts;
mod error;
mod events;
#[cfg(feature = "fake")]
pub mod fake;
mod files;
mod layout;
mod map;
pub mod push;
mod rights;
mod wire;

pub use config::ZohoConfig;
pub use contacts::{Options, ZohoContacts};
pub use events::ZohoEvents;
pub use files::{FileOptions, ZohoFiles};
pub use push::ZohoPush;
