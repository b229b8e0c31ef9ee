//! Teamleader Focus: contacts with their companies, files, meetings, tracked mail.
//!
//! Bytes leave only through [`HttpTransport`](tandem_ports::infra::HttpTransport); the transport adds the access token.
//! README.md beside this crate has the capability table, the scopes, the quotas and the quirks.
mod api;
pub mod auth;
mod calendar;
pub mod config;
mod contacts;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod files;
mod mail;
mod map;
pub mod push;
mod wire;

pub use calendar::{CalendarOptions, TeamleaderCalendar};
pub use config::TeamleaderConfig;
pub use contacts::{Options, TeamleaderContacts};
pub use files::{FileOptions, TeamleaderFiles};
pub use mail::TeamleaderMail;
pub use push::TeamleaderPush;
