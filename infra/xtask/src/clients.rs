//! The providers' own published clients drive our simulators: the proof that the fakes are like them.
use crate::PlaceOptions;
use crate::build::{programs, target};
use crate::fault::{Fault, OrFault as _, Result};
use crate::place::{Place, root};
use crate::simulators;
use crate::stop::Stop;
use crate::tools::{node_modules, venv};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// A published client and what it does with a simulator. A folder with `requirements.txt` holds `run.py`, one with
/// `package-lock.json` holds `run.mjs`; either takes the simulator's address and ends with `N passed, 0 failed`.
struct Suite {
    /// As people call it.
    name: &'static str,
    /// Under tests/clients/.
    folder: &'static str,
    /// Whose simulator it drives.
    provider: &'static str,
}

/// Every suite.
const SUITES: &[Suite] = &[
    Suite { name: "Google's client for Python, People", folder: "google_people", provider: "google" },
    Suite { name: "Google's client for Python, Gmail", folder: "google_gmail", provider: "google" },
];

/// `cargo xtask clients`.
pub(crate) fn alone() -> Result<ExitCode> {
    check(&Stop::on_signals()?).map(|()| ExitCode::SUCCESS)
}

/// Each client against its simulator, with ports and a state of their own.
pub(crate) fn check(stop: &Stop) -> Result<()> {
    let mut place = free()?;
    place.dir = target(&place).join("test/clients");
    // Found out before anything is built: which of them cannot be let loose, and which lacks its tools.
    let mut commands = Vec::with_capacity(SUITES.len());
    for suite in SUITES {
        let Some(origin) = simulators::origin(&place, suite.provider) else {
            let provider = suite.provider.to_uppercase();
            let said = format!("a TANDEM_{provider}_*_URL is set; the clients are only let loose on the simulator");
            return Err(Fault::new(said));
        };
        let mut command = command(&place, &root().join("tests/clients").join(suite.folder), stop)?;
        command.arg(origin).stdin(Stdio::null()).stderr(Stdio::inherit());
        commands.push((suite, command));
    }
    let simulators = simulators::start(&place, &programs(&place, stop)?, stop)?;
    for (suite, mut command) in commands {
        eprintln!("-- {}", suite.name);
        stop.check()?;
        let output = command.output().or_fault(|| format!("{} does not start", suite.name))?;
        let said = String::from_utf8_lossy(&output.stdout);
        eprint!("{said}");
        if !(output.status.success() && all_passed(&said)) {
            return Err(Fault::new(format!("{} and the simulator disagree; see above", suite.name)));
        }
    }
    drop(simulators);
    Ok(())
}

/// The suite's program, with exactly the packages that its pins name.
fn command(place: &Place, suite: &Path, stop: &Stop) -> Result<Command> {
    let name = suite.file_name().unwrap_or_default().to_string_lossy();
    let folder = place.folder(&name)?;
    if suite.join("package-lock.json").exists() {
        let mut command = Command::new("node");
        command.arg(node_modules(&folder, suite, stop)?.join("run.mjs"));
        return Ok(command);
    }
    let requirements = suite.join("requirements.txt");
    let pins = fs::read_to_string(&requirements).or_fault(|| format!("{} is missing", requirements.display()))?;
    let mut command = Command::new(venv(&folder, &requirements, &pins, stop)?.join("bin/python"));
    command.arg(suite.join("run.py"));
    Ok(command)
}

/// The last line is `N passed, 0 failed`, and N is not nothing.
fn all_passed(said: &str) -> bool {
    let passed = said.lines().last().and_then(|line| line.strip_suffix(" passed, 0 failed"));
    passed.and_then(|passed| passed.parse::<u32>().ok()).is_some_and(|passed| passed > 0)
}

/// A place whose simulators' ports are free.
fn free() -> Result<Place> {
    for _ in 0..100 {
        let chosen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port_base = chosen.or_fault(|| "no port is to be had".to_owned())?.port();
        if port_base < u16::MAX - 20 {
            let place = Place::new(&PlaceOptions { dir: "target".into(), port_base })?;
            if simulators::check_ports(&place).is_ok() {
                return Ok(place);
            }
        }
    }
    Err(Fault::new("there are no free ports below 65515"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_checks_that_ran_and_all_passed_count() {
        assert!(all_passed("ok     a\n21 passed, 0 failed\n"));
        for said in ["", "0 passed, 0 failed\n", "20 passed, 1 failed\n", "21 passed, 0 failed\nTraceback\n"] {
            assert!(!all_passed(said), "{said}");
        }
    }

    #[test]
    fn every_suite_is_pinned_and_has_its_program() {
        for suite in SUITES {
            let folder = root().join("tests/clients").join(suite.folder);
            let has = |name: &str| folder.join(name).is_file();
            let python = has("requirements.txt") && has("run.py");
            let node = has("package-lock.json") && has("package.json") && has("run.mjs");
            assert!(python != node, "{}", suite.folder);
        }
    }
}
