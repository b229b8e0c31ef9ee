//! Google: contacts by the People API, appointments by the Calendar API, files by the Drive API, mail by the Gmail API,
//! tasks by the Tasks API.
//!
//! Bytes leave only through [`HttpTransport`](tandem_ports::infra::HttpTransport); the transport adds the access token.
//! README.md beside this crate has the capability table, the scopes, the quotas and the quirks.
mod api;
pub mod auth;
mod calendar;
pub mod config;
mod contacts;
pub mod drive;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod gmail;
mod map;
pub mod push;
mod tasks;
mod wire;

pub use calendar::{Channel, ChosenCalendars, GoogleCalendar, GoogleCalendars, Notify, OpenChannel};
pub use config::GoogleConfig;
pub use contacts::GoogleContacts;
pub use drive::GoogleDrive;
pub use gmail::GoogleMail;
pub use tasks::GoogleTasks;
