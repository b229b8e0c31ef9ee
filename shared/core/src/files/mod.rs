//! Files, purely: entries, names, layout, the three trees and what follows from them.
//!
//! [`tree::Tree`] holds what was observed on each side and what both last agreed on; [`plan`](mod@plan) compares the three
//! and says what shall be done. Nothing here reads a byte or a clock.
pub mod entry;
pub mod hash;
pub mod name;
mod place;
pub mod plan;
pub mod row;
pub mod settings;
mod step;
pub mod tree;
