//! The providers' own published clients drive our simulators: the proof that the fakes are like them.
use crate::PlaceOptions;
use crate::build::{programs, target};
use crate::fault::{Fault, OrFault as _, Result};
use crate::place::{Place, Port, root};
use crate::simulators;
use crate::stop::Stop;
use crate::tools::venv;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// `cargo xtask clients`.
pub(crate) fn alone() -> Result<ExitCode> {
    check(&Stop::on_signals()?).map(|()| ExitCode::SUCCESS)
}

/// Google's Python client against a simulator with a port and state of its own.
pub(crate) fn check(stop: &Stop) -> Result<()> {
    let mut place = Place::new(&PlaceOptions { dir: "target".into(), port_base: free()? })?;
    place.dir = target(&place).join("test/clients");
    if !simulators::google_is_simulated() {
        return Err(Fault::new("a TANDEM_GOOGLE_* variable is set; the clients are only let loose on the simulator"));
    }
    let suite = root().join("tests/clients/google_people");
    let python = python(&place, &suite, stop)?;
    let simulators = simulators::start(&place, &programs(&place, stop)?, stop)?;
    let mut command = Command::new(python);
    command.arg(suite.join("run.py")).arg(place.origin(Port::Google)).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().or_fault(|| "Google's client does not start".to_owned())?;
    drop(simulators);
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{said}");
    if output.status.success() && all_passed(&said) {
        return Ok(());
    }
    Err(Fault::new("Google's own client and the simulator disagree; see above"))
}

fn python(place: &Place, suite: &Path, stop: &Stop) -> Result<PathBuf> {
    let requirements = suite.join("requirements.txt");
    let pins = fs::read_to_string(&requirements).or_fault(|| format!("{} is missing", requirements.display()))?;
    Ok(venv(&place.folder("google_people")?, &requirements, &pins, stop)?.join("bin/python"))
}

/// The last line is `N passed, 0 failed`, and N is not nothing.
fn all_passed(said: &str) -> bool {
    let passed = said.lines().last().and_then(|line| line.strip_suffix(" passed, 0 failed"));
    passed.and_then(|passed| passed.parse::<u32>().ok()).is_some_and(|passed| passed > 0)
}

/// A port base under which Google's port is free.
fn free() -> Result<u16> {
    for _ in 0..100 {
        let chosen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = chosen.or_fault(|| "no port is to be had".to_owned())?.port();
        if port < u16::MAX - 20 {
            return Ok(port - Port::Google as u16);
        }
    }
    Err(Fault::new("there is no free port below 65515"))
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
}
