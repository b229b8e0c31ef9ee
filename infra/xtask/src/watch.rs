//! `cargo xtask watch`: the functions under `cargo lambda watch`, in the environment that their deployment gave them.
use crate::PlaceOptions;
use crate::aws::{Aws, REGION};
use crate::build::{FUNCTIONS, without_us};
use crate::fault::{Fault, Result};
use crate::place::{Place, Port, write_whole};
use crate::stop::Stop;
use crate::supervise::Supervised;
use crate::tools;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

pub(crate) fn watch(options: &PlaceOptions) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    match run(options, &stop) {
        Err(_) if stop.asked() => Ok(ExitCode::SUCCESS),
        done => done,
    }
}

fn run(options: &PlaceOptions, stop: &Stop) -> Result<ExitCode> {
    let place = Place::new(options)?;
    let variables = variables(&place)?;
    place.check_free(Port::Watch)?;
    let program = tools::cargo_lambda(&place, &place.folder("tools")?, stop)?;
    let settings = place.file("watch.env");
    let lines: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    write_whole(&settings, &lines)?;
    let mut command = without_us(Command::new(program));
    // On the loopback only; it compiles with the toolchain and into the target folder that everything here uses.
    command.args(["lambda", "watch", "--invoke-address", "127.0.0.1", "--invoke-port"]);
    command.arg(place.port(Port::Watch).to_string()).arg("--env-file").arg(&settings).current_dir(&place.root);
    // What Lambda itself adds to a function's environment.
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.env("AWS_REGION", REGION).env("AWS_DEFAULT_REGION", REGION);
    let mut watching = Supervised::start_in_sight("cargo lambda watch", &command)?;
    let address = format!("{}/2015-03-31/functions/NAME/invocations", place.origin(Port::Watch));
    println!("Invoke a function with a POST to {address}   (NAME: {}; Ctrl-C ends it)", FUNCTIONS.join(", "));
    while !stop.asked() {
        watching.check()?;
        sleep(Duration::from_millis(100));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the deployed functions have in their environment, all together: no two of them give one name two values.
fn variables(place: &Place) -> Result<BTreeMap<String, String>> {
    let ready = fs::read_to_string(place.file("ready.json")).ok();
    let ready: Option<Value> = ready.and_then(|text| serde_json::from_str(&text).ok());
    let none = || Fault::new(format!("nothing runs in {}; start `cargo xtask up` first", place.dir.display()));
    let ready = ready.ok_or_else(none)?;
    let text = |name: &str| ready[name].as_str().ok_or_else(none);
    let (aws, stack) = (Aws::at(text("aws_endpoint")?), text("stack")?);
    let mut all = BTreeMap::new();
    for function in FUNCTIONS {
        for (name, value) in aws.environment(&format!("{stack}-{function}"))? {
            if value.contains('\n') {
                return Err(Fault::new(format!("{name} of {function} has more than one line")));
            }
            let before = all.insert(name.clone(), value.clone());
            if before.is_some_and(|before| before != value) {
                return Err(Fault::new(format!("{name} differs between functions; watch gives all of them the same")));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_runs_watch_says_so_in_one_line() {
        let place = Place::new(&PlaceOptions { dir: "/nowhere/at/all".into(), port_base: 4_560 }).unwrap();
        let said = variables(&place).unwrap_err().to_string();
        assert_eq!(said, "nothing runs in /nowhere/at/all; start `cargo xtask up` first");
    }
}
