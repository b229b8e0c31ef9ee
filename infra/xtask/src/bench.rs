//! `cargo xtask bench`.
use crate::fault::{Fault, Result};
use std::process::ExitCode;

pub(crate) fn bench() -> Result<ExitCode> {
    Err(Fault::new("this release has no benchmarks yet"))
}
