//! Builds the functions for this machine: the dev profile, the shared target folder, no target triple.
use crate::fault::{Fault, Result};
use crate::place::{Place, env};
use crate::stop::Stop;
use std::path::PathBuf;
use std::process::Command;

/// The functions: the crates under functions/ and the `Binary` entries of template.yaml.
pub(crate) const FUNCTIONS: [&str; 8] =
    ["app", "fanout", "gmail-addon", "webhook", "worker-calendar", "worker-contacts", "worker-files", "worker-mail"];

/// Where cargo puts what it builds.
pub(crate) fn target(place: &Place) -> PathBuf {
    let folder = env("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    place.root.join(folder)
}

/// What cargo tells the programs it runs about themselves. Some crates (`ring`) are compiled anew, and all that use
/// them, when one of these differs from the last build's.
const ABOUT_US: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// Cargo, as if started from a shell: with nothing about us in its environment.
pub(crate) fn cargo() -> Command {
    without_us(Command::new(env("CARGO").unwrap_or_else(|| "cargo".to_owned())))
}

/// The same for a command that runs cargo in its turn.
pub(crate) fn without_us(mut command: Command) -> Command {
    for variable in ABOUT_US {
        command.env_remove(variable);
    }
    command
}

/// Set where the programs have just been built: they are taken as they are, and cargo is not asked.
pub(crate) const BUILT: &str = "TANDEM_PROGRAMS_BUILT";

/// Builds all programs and answers the folder they are in.
///
/// Always the whole workspace's: cargo unites features over what is asked for, so asking for less would compile the SDK
/// a second time, with other features.
pub(crate) fn programs(place: &Place, stop: &Stop) -> Result<PathBuf> {
    let folder = target(place).join("debug");
    if env(BUILT).is_some() {
        return Ok(folder);
    }
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--locked", "--workspace", "--bins"]).current_dir(&place.root);
    if !stop.run(&mut cargo)?.success() {
        return Err(Fault::new("the functions do not build; cargo says why above"));
    }
    Ok(folder)
}
