//! Dropbox: the files of an app folder.
//!
//! Bytes leave only through [`HttpTransport`](tandem_ports::infra::HttpTransport); the transport adds the access token.
//! README.md beside this crate has the capability table, the scopes, the limits and the quirks.
mod api;
pub mod auth;
pub mod config;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod files;
mod map;
pub mod push;
pub mod webhook;
mod wire;

pub use config::DropboxConfig;
pub use files::{DropboxFiles, Sessions};
