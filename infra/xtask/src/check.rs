//! `cargo xtask test`: formatting, lints and every test, in the order that fails soonest.
use crate::PlaceOptions;
use crate::build::{FUNCTIONS, programs};
use crate::fault::{Fault, Result};
use crate::place::{Place, env};
use crate::stop::Stop;
use std::process::{Command, ExitCode};

/// The steps of cargo. The end-to-end tests are the package `e2e`, which starts worlds of its own.
const STEPS: [(&str, &[&str]); 5] = [
    ("formatting", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("tests", &["test", "--locked", "--workspace", "--exclude", "e2e", "--lib", "--bins", "--tests"]),
    ("examples in the documentation", &["test", "--locked", "--workspace", "--doc"]),
    ("end to end", &["test", "--locked", "--package", "e2e"]),
];

pub(crate) fn check() -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let place = Place::new(&PlaceOptions { dir: "target/test".into(), port_base: 4560 })?;
    for (name, arguments) in STEPS {
        if name == "end to end" {
            // Built before, so that the worlds' own builds find nothing left to do.
            let packages: Vec<&str> = FUNCTIONS.into_iter().chain(["tandem-simulators"]).collect();
            programs(&place, &packages, &stop)?;
        }
        eprintln!("== {name}");
        let mut cargo = Command::new(env("CARGO").unwrap_or_else(|| "cargo".to_owned()));
        cargo.args(arguments).current_dir(&place.root);
        if !stop.run(&mut cargo)?.success() {
            return Err(Fault::new(format!("{name}: not in order (cargo {})", arguments.join(" "))));
        }
    }
    eprintln!("== everything passed");
    Ok(ExitCode::SUCCESS)
}
