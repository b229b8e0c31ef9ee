//! `cargo xtask watch`.
use crate::PlaceOptions;
use crate::fault::{Fault, Result};
use std::process::ExitCode;

pub(crate) fn watch(_options: &PlaceOptions) -> Result<ExitCode> {
    Err(Fault::new("this release has no watch yet; run `cargo xtask up` again, it redeploys what changed"))
}
