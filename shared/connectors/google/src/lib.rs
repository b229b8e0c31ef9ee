//! Google: contacts by the People API, files by the Drive API.
//!
//! Bytes leave only through [`HttpTransport`](tandem_ports::infra::HttpTransport); the transport adds the access token.
//! README.md beside this crate has the capability table, the scopes, the quotas and the quirks.
mod api;
pub mod auth;
pub mod config;
mod contacts;
pub mod drive;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod map;
mod wire;

pub use config::GoogleConfig;
pub use contacts::GoogleContacts;
pub use drive::GoogleDrive;
