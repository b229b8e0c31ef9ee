//! The pure heart of Tandem: data in, data out. No I/O, no clock, no environment, no log, no provider's name.
//!
//! Read [`record`] for the words, [`plan`](mod@plan) for what the engine decides, [`profile`] for the rules.
pub mod calendar;
pub mod contact;
pub mod error;
pub mod event;
pub mod files;
pub mod fingerprint;
pub mod guard;
pub mod mail;
pub mod matching;
pub mod merge;
pub mod normalise;
pub mod plan;
pub mod policy;
pub mod profile;
pub mod record;
pub mod recurrence;
pub mod reduce;
pub mod schedule;
pub mod schema;
pub mod task;
