//! The built-in CRM: contacts, companies, segments, list views and users of an account, with a change feed, versions
//! and import; and its [`Connector`](tandem_ports::connector::Connector) for the left side of a sync.
//!
//! Read [`schema`] for what a record holds, [`ledger`](mod@ledger) for how it is kept, [`Crm`] for what one can do.
mod appointment;
mod batch;
mod calendar;
mod companies;
pub mod contacts;
mod crm;
pub mod error;
pub mod files;
mod filter;
pub mod import;
mod keys;
mod ledger;
pub mod mail;
mod map;
mod meetings;
mod record;
pub mod schema;
mod side;
mod tasks;
pub mod users;
mod validate;

pub use calendar::BuiltinCalendar;
pub use crm::{ChangeItem, ChangeList, Crm, Listing, Query};
pub use error::CrmError;
pub use files::Files;
pub use mail::BuiltinMail;
pub use record::Record;
pub use schema::Kind;
pub use tasks::BuiltinTasks;
