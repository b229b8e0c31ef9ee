//! What went wrong, as one line for people. Every fault ends the command with exit 2.
use std::fmt;

/// One clear line.
#[derive(Debug)]
pub(crate) struct Fault(String);

/// The result of a task.
pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self(line.into().split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was attempted when it fails.
pub(crate) trait OrFault<T> {
    fn or_fault(self, attempted: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> OrFault<T> for std::result::Result<T, E> {
    fn or_fault(self, attempted: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Fault::new(format!("{}: {error}", attempted())))
    }
}
