//! The outside world in memory: table, queue, clock and secrets with faults on demand, and the suites that hold every
//! back-end and every connector to the same promises.

pub mod blob_suite;
pub mod blobs;
pub mod calendar;
pub mod clock;
pub mod conformance;
pub mod fault;
pub mod files;
pub mod files_conformance;
pub mod memory;
pub mod queue;
pub mod secrets;
pub mod table_suite;
pub mod within;
