//! Files, purely: entries, names, layout, the three trees and what follows from them.
pub mod entry;
