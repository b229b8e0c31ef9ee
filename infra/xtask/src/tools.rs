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

/// A copy of an npm suite in `folder`, with exactly what its `package-lock.json` pins beside it. Packages run no
/// scripts of their own while they are installed.
pub(crate) fn node_modules(folder: &Path, suite: &Path, stop: &Stop) -> Result<PathBuf> {
    for tool in ["node", "npm"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return Err(Fault::new(format!("{tool} is missing; install Node.js 20 or later with npm")));
        }
    }
    let unreadable = || format!("{} cannot be read", suite.display());
    let pins = fs::read_to_string(suite.join("package-lock.json")).or_fault(unreadable)?;
    for entry in fs::read_dir(suite).or_fault(unreadable)? {
        let path = entry.or_fault(unreadable)?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, folder.join(name)).or_fault(unreadable)?;
        }
    }
    let mark = folder.join("installed.txt");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == pins) {
        return Ok(folder.to_owned());
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
    if !stop.run(&mut install)?.success() {
        return Err(Fault::new(format!("npm could not install {}; is the registry reachable?", suite.display())));
    }
    write_whole(&mark, &pins)?;
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_without_its_pins_is_a_fault_and_nothing_is_installed() {
        let folder = std::env::temp_dir().join(format!("tandem-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let fault = node_modules(&folder, &folder.join("nowhere"), &Stop::on_signals().unwrap()).unwrap_err();
        assert!(fault.to_string().contains("cannot be read") || fault.to_string().contains("Node.js"), "{fault}");
        assert!(!folder.join("installed.txt").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
