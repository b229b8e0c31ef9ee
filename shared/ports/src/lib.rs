//! The doors of the engine: what it needs from the outside, and how the outside may fail.
pub mod blobs;
pub mod connector;
pub mod error;
pub mod files;
pub mod infra;
pub mod mail;
pub mod names;
pub mod oauth;
pub mod pieces;
pub mod push;
pub mod round;
pub mod table;
