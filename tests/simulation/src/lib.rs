//! A world in memory for the whole engine: two providers, table, queue, clock, and faults at any call of any of them.
//!
//! Everything follows from a seed; a failure prints it.
pub mod calendar;
pub mod files;
pub mod large;
pub mod machine;
pub mod provider;
pub mod world;
