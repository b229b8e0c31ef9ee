//! `cargo xtask test`: everything that must hold before a change lands, cheapest first.
use crate::build::{BUILT, cargo};
use crate::fault::{Fault, Result};
use crate::place::root;
use crate::stop::Stop;
use crate::{browser, clients};
use std::process::ExitCode;
use std::thread;

/// A step: its name, and what cargo is asked. All of the same workspace with the same features, so nothing is compiled
/// twice.
type Step = (&'static str, &'static [&'static str]);

const FIRST: [Step; 3] = [
    ("formatting", &["fmt", "--all", "--check"]),
    ("programs", &["build", "--locked", "--workspace", "--bins"]),
    (
        "tests are built",
        &["test", "--locked", "--workspace", "--no-run", "--lib", "--bins", "--tests", "--test", "kill"],
    ),
];
/// Waits for dead workers' leases for most of its minutes …
const WAITING: Step = ("workers that are killed", &["test", "--locked", "--workspace", "--test", "kill"]);
/// … while these use the machine, where no clock is asked.
const MEANWHILE: [Step; 2] = [
    ("lints", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("examples in the documentation", &["test", "--locked", "--workspace", "--doc"]),
];
const TESTS: Step =
    ("tests, with those end to end", &["test", "--locked", "--workspace", "--lib", "--bins", "--tests"]);

pub(crate) fn check() -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    FIRST.iter().try_for_each(|step| run(step, &stop))?;
    thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&WAITING, &stop));
        let meanwhile = MEANWHILE.iter().try_for_each(|step| run(step, &stop));
        let waited = waiting.join().unwrap_or_else(|_| Err(Fault::new(format!("{}: panicked", WAITING.0))));
        meanwhile.and(waited)
    })?;
    run(&TESTS, &stop)?;
    eprintln!("== the page in a real browser");
    browser::check(&stop)?;
    eprintln!("== the providers' own clients against the simulators");
    clients::check(&stop)?;
    eprintln!("== everything passed");
    Ok(ExitCode::SUCCESS)
}

fn run((name, arguments): &Step, stop: &Stop) -> Result<()> {
    eprintln!("== {name}");
    let mut cargo = cargo();
    // The second step has built the programs; a world that asked cargo would wait for the lints.
    cargo.args(*arguments).current_dir(root()).env(BUILT, "1");
    if stop.run(&mut cargo)?.success() {
        return Ok(());
    }
    Err(Fault::new(format!("{name}: not in order (cargo {})", arguments.join(" "))))
}
