//! The providers' own published clients drive our simulators: the proof that the fakes are like them. Published
//! programs stand beside our own calculations in the same way.
use crate::PlaceOptions;
use crate::build::{cargo, programs, target};
use crate::fault::{Fault, OrFault as _, Result};
use crate::place::{Place, Port, root};
use crate::simulators;
use crate::stop::Stop;
use crate::tools::{node_modules, venv};
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// A published program and what it is held against. A folder with `requirements.txt` holds `run.py`, one with
/// `package-lock.json` holds `run.mjs`; either ends with `N passed, 0 failed`.
struct Suite {
    /// As people call it.
    name: &'static str,
    /// Under tests/clients/.
    folder: &'static str,
    against: Against,
}

/// What a suite is given as its arguments.
enum Against {
    /// The address of this provider's simulator.
    Simulator(&'static str),
    /// The addresses of these providers' simulators, in this order.
    Simulators(&'static [&'static str]),
    /// The path of this example of shared/core, built, and the address of this provider's simulator.
    Example(&'static str, &'static str),
}

use Against::{Example, Simulator, Simulators};

/// Every suite.
const SUITES: &[Suite] = &[
    Suite { name: "Google's client for Python, People", folder: "google_people", against: Simulator("google") },
    Suite { name: "Google's client for Python, Calendar", folder: "google_calendar", against: Simulator("google") },
    Suite { name: "gcalcli", folder: "gcalcli", against: Simulator("google") },
    Suite { name: "Teamleader's client for Node.js", folder: "teamleader", against: Simulator("teamleader") },
    Suite { name: "Zoho's SDK for Python", folder: "zoho", against: Simulator("zoho") },
    Suite { name: "Zendesk's client for Python", folder: "sell", against: Simulator("sell") },
    Suite { name: "Python's dateutil", folder: "recurrence", against: Example("expand", "google") },
    Suite { name: "Google's client for Python, Gmail", folder: "google_gmail", against: Simulator("google") },
    Suite { name: "Google's client for Python, Drive", folder: "google_drive", against: Simulator("google") },
    Suite { name: "Dropbox's client for Python", folder: "dropbox", against: Simulator("dropbox") },
    Suite { name: "rclone", folder: "rclone", against: Simulators(&["google", "dropbox"]) },
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
        let arguments = arguments(&place, &suite.against)?;
        let mut command = command(&place, &root().join("tests/clients").join(suite.folder), stop)?;
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
        commands.push((suite, command));
    }
    examples(&place, stop)?;
    let simulators = simulators::start(&place, &programs(&place, stop)?, stop)?;
    for (suite, mut command) in commands {
        eprintln!("-- {}", suite.name);
        stop.check()?;
        let output = command.output().or_fault(|| format!("{} does not start", suite.name))?;
        let said = String::from_utf8_lossy(&output.stdout);
        eprint!("{said}");
        if !(output.status.success() && all_passed(&said)) {
            return Err(Fault::new(format!("{} and we disagree; see above", suite.name)));
        }
    }
    drop(simulators);
    Ok(())
}

fn arguments(place: &Place, against: &Against) -> Result<Vec<OsString>> {
    match against {
        Example(name, provider) => {
            Ok(vec![target(place).join("debug/examples").join(name).into(), address(place, provider)?])
        }
        Simulator(provider) => Ok(vec![address(place, provider)?]),
        Simulators(providers) => providers.iter().map(|provider| address(place, provider)).collect(),
    }
}

fn address(place: &Place, provider: &str) -> Result<OsString> {
    let variables = format!("a TANDEM_{}_*_URL is set", provider.to_uppercase());
    let said = || Fault::new(format!("{variables}; the clients are only let loose on the simulator"));
    simulators::origin(place, provider).map(OsString::from).ok_or_else(said)
}

/// Builds what suites are held against beside simulators. The whole workspace's features, as for the programs.
fn examples(place: &Place, stop: &Stop) -> Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--locked", "--workspace"]).current_dir(&place.root);
    for suite in SUITES {
        if let Example(name, _) = suite.against {
            cargo.args(["--example", name]);
        }
    }
    if !stop.run(&mut cargo)?.success() {
        return Err(Fault::new("the examples do not build; cargo says why above"));
    }
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
pub(crate) fn all_passed(said: &str) -> bool {
    let passed = said.lines().last().and_then(|line| line.strip_suffix(" passed, 0 failed"));
    passed.and_then(|passed| passed.parse::<u32>().ok()).is_some_and(|passed| passed > 0)
}

/// A place whose ports are free: those of the simulators, of the page and of the local AWS.
pub(crate) fn free() -> Result<Place> {
    for _ in 0..100 {
        let chosen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port_base = chosen.or_fault(|| "no port is to be had".to_owned())?.port();
        if port_base < u16::MAX - 20 {
            let place = Place::new(&PlaceOptions { dir: "target".into(), port_base })?;
            let others = [Port::Web, Port::Aws].into_iter().try_for_each(|port| place.check_free(port));
            if others.and_then(|()| simulators::check_ports(&place)).is_ok() {
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
            if let Example(name, _) = suite.against {
                assert!(root().join("shared/core/examples").join(name).with_extension("rs").is_file(), "{name}");
            }
        }
    }
}
