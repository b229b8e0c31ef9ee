//! `cargo xtask test`: formatting, lints and every test, in the order that fails soonest.
use crate::build::cargo;
use crate::clients;
use crate::fault::{Fault, Result};
use crate::place::root;
use crate::stop::Stop;
use std::process::ExitCode;

/// The steps of cargo. The programs come before the tests: the end-to-end worlds then find nothing left to build.
const STEPS: [(&str, &[&str]); 5] = [
    ("formatting", &["fmt", "--all", "--check"]),
    ("programs", &["build", "--locked", "--workspace", "--bins"]),
    ("tests, with those end to end", &["test", "--locked", "--workspace", "--lib", "--bins", "--tests"]),
    ("examples in the documentation", &["test", "--locked", "--workspace", "--doc"]),
    ("lints", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
];

pub(crate) fn check() -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    for (name, arguments) in STEPS {
        eprintln!("== {name}");
        let mut cargo = cargo();
        cargo.args(arguments).current_dir(root());
        if !stop.run(&mut cargo)?.success() {
            return Err(Fault::new(format!("{name}: not in order (cargo {})", arguments.join(" "))));
        }
    }
    eprintln!("== the providers' own clients against the simulators");
    clients::check(&stop)?;
    eprintln!("== everything passed");
    Ok(ExitCode::SUCCESS)
}
