//! `cargo xtask bench`: a table for people, and the same as JSON in target/bench/bench.json.
//!
//! Counts are proved by tests; here is only what needs a clock. Ratios are the figures to quote: the machine is noisy.
use crate::build::{FUNCTIONS, cargo, target};
use crate::fault::{Fault, OrFault as _, Result};
use crate::place::Place;
use crate::stop::Stop;
use crate::{PlaceOptions, build};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Runs of the overlap benchmark; their median is quoted.
const RUNS: usize = 5;

/// The large file in bytes; the example has 20 GB where it is not told.
const LARGE: &str = "2000000000";

pub(crate) fn bench() -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let place = Place::new(&PlaceOptions { dir: "target/bench/world".into(), port_base: 4_960 })?;
    let folder = target(&place).join("bench");
    std::fs::create_dir_all(&folder).or_fault(|| format!("{} cannot be made", folder.display()))?;
    let overlap = self::overlap(&place, "overlap", &[])?;
    let both_ways = self::overlap(&place, "overlap", &["10000", "50", "5", "both"])?;
    let calendar = self::overlap(&place, "overlap_calendar", &[])?;
    let small = example(&place, ("tandem-dropbox", "small_files"), &[])?;
    let large = example(&place, ("simulation", "large"), &[LARGE])?;
    let sizes = sizes(&place, &stop)?;
    let emulator = emulator(&place)?;
    print([&overlap, &both_ways, &calendar], &sizes, &emulator);
    print_files(&small, &large);
    let all = json!({ "overlap": overlap, "both_ways": both_ways, "calendar": calendar,
        "small_files": small, "large_files": large, "function_bytes": sizes, "emulator": emulator });
    let file = folder.join("bench.json");
    std::fs::write(&file, all.to_string()).or_fault(|| format!("{} cannot be written", file.display()))?;
    eprintln!("also in {}", file.display());
    Ok(ExitCode::SUCCESS)
}

/// A first run (of 10,000 contacts, of 2,000 appointments) at 50 ms a provider call and 5 ms a table request, against the
/// writes alone.
fn overlap(place: &Place, name: &str, arguments: &[&str]) -> Result<Value> {
    let mut runs: Vec<Value> = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        runs.push(example(place, ("simulation", name), arguments)?);
    }
    runs.sort_by(|a, b| a["ratio"].as_f64().unwrap_or(0.0).total_cmp(&b["ratio"].as_f64().unwrap_or(0.0)));
    let at = |index: usize| runs[index]["ratio"].clone();
    Ok(json!({ "runs": RUNS, "min": at(0), "median": at(RUNS / 2), "max": at(RUNS - 1), "middle_run": runs[RUNS / 2] }))
}

/// What an example measures.
fn example(place: &Place, (package, name): (&str, &str), arguments: &[&str]) -> Result<Value> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--package", package, "--example", name, "--"]);
    command.args(arguments);
    let output = command.current_dir(&place.root).output().or_fault(|| "cargo does not start".to_owned())?;
    if !output.status.success() {
        return Err(Fault::new(format!("the benchmark {name} fails")));
    }
    serde_json::from_slice(&output.stdout).or_fault(|| format!("the answer of the benchmark {name}"))
}

/// The functions' programs as the local stack runs them.
fn sizes(place: &Place, stop: &Stop) -> Result<Value> {
    let programs = build::programs(place, stop)?;
    let mut sizes = serde_json::Map::new();
    for function in FUNCTIONS {
        let path = programs.join(function);
        let size = std::fs::metadata(&path).or_fault(|| format!("{} is missing", path.display()))?.len();
        sizes.insert(function.to_owned(), json!(size));
    }
    Ok(Value::Object(sizes))
}

/// The demo world's first sync on the emulator, which is slower than DynamoDB.
fn emulator(place: &Place) -> Result<Value> {
    // Not by our own path: what was built on the way may have replaced this program.
    let mut command = cargo();
    command.args(["xtask", "up", "--once", "--json", "--fresh", "--port-base", "4960", "--dir"]).arg(&place.dir);
    let output = command.current_dir(&place.root).output().or_fault(|| "the demo world does not start".to_owned())?;
    if !output.status.success() {
        return Err(Fault::new(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let answer: Value = serde_json::from_slice(&output.stdout).or_fault(|| "the demo world's answer".to_owned())?;
    Ok(answer["syncs"][0]["run"].clone())
}

fn print([overlap, both_ways, calendar]: [&Value; 3], sizes: &Value, emulator: &Value) {
    println!("{:<58}{:>12}", "figure", "value");
    let row = |name: &str, value: String| println!("{name:<58}{value:>12}");
    let runs = [
        ("first run of 10,000 / its sequential writes", overlap),
        ("both ways, half of 10,000 on both", both_ways),
        ("2,000 appointments, 200 series / 44 write calls", calendar),
    ];
    for (name, of) in runs {
        let ratio = |name: &str| format!("{:.3}", of[name].as_f64().unwrap_or(f64::NAN));
        row(&format!("{name}: median"), ratio("median"));
        row("  least and most of the runs", format!("{} {}", ratio("min"), ratio("max")));
        row("  seconds of the middle run", format!("{:.2}", of["middle_run"]["seconds"].as_f64().unwrap_or(f64::NAN)));
    }
    for (function, bytes) in sizes.as_object().into_iter().flatten() {
        row(&format!("{function}, MB"), format!("{:.1}", bytes.as_f64().unwrap_or(0.0) / 1e6));
    }
    let (created, began, ended) =
        (&emulator["counts"]["remote"]["created"], &emulator["started_at"], &emulator["ended_at"]);
    row("demo world on the emulator: contacts created", created.to_string());
    row("  began", began.as_str().unwrap_or("?").to_owned());
    row("  ended", ended.as_str().unwrap_or("?").to_owned());
}

fn print_files(small: &Value, large: &Value) {
    let row = |name: &str, value: String| println!("{name:<58}{value:>12}");
    let number = |of: &Value| of.as_f64().unwrap_or(f64::NAN);
    row("1,000 files of 4 KiB to Dropbox at 50 ms: calls", small["calls"].to_string());
    row("  seconds", format!("{:.2}", number(&small["seconds"])));
    row("  of the calls one after the other", format!("{:.3}", number(&small["ratio"])));
    row("a large file through memory, killed twice: GB", format!("{:.1}", number(&large["bytes"]) / 1e9));
    row("  MB of buffers", format!("{:.0}", number(&large["buffers"]) / 1e6));
    for (way, of) in large["ways"].as_object().into_iter().flatten() {
        row(&format!("  {way}: MB a second"), format!("{:.0}", number(&large["bytes"]) / 1e6 / number(&of["seconds"])));
        row("    MB sent twice", format!("{:.1}", number(&of["sent_twice"]) / 1e6));
    }
}
