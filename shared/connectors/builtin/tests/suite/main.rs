//! The CRM over the table in memory.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
mod calendar;
mod calendar_conformance;
mod common;
mod conformance;
mod connector;
mod files;
mod files_conformance;
mod imports;
mod mail;
mod meetings;
mod records;
mod tasks;
mod uploads;
