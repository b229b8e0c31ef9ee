//! Builds the functions for this machine: the dev profile, the shared target folder, no target triple.
use crate::fault::{Fault, Result};
use crate::place::{Place, env};
use crate::stop::Stop;
use std::path::PathBuf;
use std::process::Command;

/// The functions: the crates under functions/ and the `Binary` entries of template.yaml.
pub(crate) const FUNCTIONS: [&str; 4] = ["app", "fanout", "webhook", "worker-contacts"];

/// Where cargo puts what it builds.
pub(crate) fn target(place: &Place) -> PathBuf {
    let folder = env("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    place.root.join(folder)
}

/// Builds all programs and answers the folder they are in.
///
/// Always the whole workspace's: cargo unites features over what is asked for, so asking for less would compile the SDK
/// a second time, with other features.
pub(crate) fn programs(place: &Place, stop: &Stop) -> Result<PathBuf> {
    let mut cargo = Command::new(env("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    cargo.args(["build", "--quiet", "--locked", "--workspace", "--bins"]).current_dir(&place.root);
    if !stop.run(&mut cargo)?.success() {
        return Err(Fault::new("the functions do not build; cargo says why above"));
    }
    Ok(target(place).join("debug"))
}
