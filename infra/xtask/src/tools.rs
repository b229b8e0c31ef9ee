//! The local AWS and other tools from PyPI, installed once, pinned to the last digit.
use crate::fault::{Fault, OrFault as _, Result};
use crate::place::{Place, env, write_whole};
use crate::stop::Stop;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PINS: &str = include_str!("../requirements-emulator.txt");
const WATCH_PINS: &str = include_str!("../requirements-watch.txt");

/// The emulator's program, installed under `tools` where it is not there yet.
pub(crate) fn emulator(place: &Place, tools: &Path, stop: &Stop) -> Result<PathBuf> {
    let pins = place.root.join("infra/xtask/requirements-emulator.txt");
    Ok(venv(&tools.join("emulator"), &pins, PINS, stop)?.join("bin/ministack"))
}

/// cargo-lambda's program, installed under `tools` where it is not there yet.
pub(crate) fn cargo_lambda(place: &Place, tools: &Path, stop: &Stop) -> Result<PathBuf> {
    let pins = place.root.join("infra/xtask/requirements-watch.txt");
    Ok(venv(&tools.join("watch"), &pins, WATCH_PINS, stop)?.join("bin/cargo-lambda"))
}

/// A virtual environment that holds exactly what `requirements` pins.
pub(crate) fn venv(folder: &Path, requirements: &Path, pins: &str, stop: &Stop) -> Result<PathBuf> {
    let mark = folder.join("installed.txt");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == pins) {
        return Ok(folder.to_owned());
    }
    // What is half installed or of other versions is not mended but made anew.
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Fault::new(format!("{} cannot be removed: {error}", folder.display()))),
    }
    fs::create_dir_all(folder).or_fault(|| format!("{} cannot be made", folder.display()))?;
    let mut make = Command::new(env("TANDEM_PYTHON").unwrap_or_else(|| "python3".to_owned()));
    if !stop.run(make.args(["-m", "venv"]).arg(folder))?.success() {
        return Err(Fault::new("python3 cannot make a virtual environment; install Python 3.11 or later with venv"));
    }
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"]);
    if !stop.run(install.arg(requirements))?.success() {
        return Err(Fault::new(format!("pip could not install {}; is PyPI reachable?", requirements.display())));
    }
    write_whole(&mark, pins)?;
    Ok(folder.to_owned())
}
