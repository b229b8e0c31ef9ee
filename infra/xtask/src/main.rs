//! `cargo xtask …`: everything that is done with this repository on one machine.
mod api;
mod aws;
mod bench;
mod browser;
mod build;
mod check;
mod clients;
mod demo;
mod deploy;
mod emulator;
mod fault;
mod import;
mod office;
mod once;
mod package;
mod place;
mod proxy;
mod seed;
mod simulators;
mod stop;
mod supervise;
mod tools;
mod up;
mod users;
mod vendors;
mod watch;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Tandem on one machine.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The whole service on this machine, until Ctrl-C.
    Up(UpOptions),
    /// Formatting, lints and every test.
    Test,
    /// Of the tests, only the providers' own clients against the simulators.
    #[command(hide = true)]
    Clients,
    /// Of the tests, only the page in a browser.
    #[command(hide = true)]
    Browser,
    /// Only the provider simulators, in the foreground.
    Simulators(PlaceOptions),
    /// The functions, rebuilt as they change, against the emulator and simulators that already run.
    Watch(PlaceOptions),
    /// The benchmarks; results under target/bench/.
    Bench,
    /// Imports a CSV or vCard file of contacts into the built-in CRM.
    Import(ImportOptions),
    /// Runs a program that must not outlive us: it ends when standard input does.
    #[command(hide = true)]
    Supervise { program: PathBuf, arguments: Vec<String> },
}

/// Where state and ports are.
#[derive(Args, Clone)]
struct PlaceOptions {
    /// Keeps all state and ready.json.
    #[arg(long, default_value = ".local")]
    dir: PathBuf,
    /// The first of the ports.
    #[arg(long, default_value_t = 4560)]
    port_base: u16,
}

#[derive(Args, Clone)]
struct UpOptions {
    #[command(flatten)]
    place: PlaceOptions,
    /// What the world holds at first.
    #[arg(long, value_enum, default_value_t = Seed::Demo)]
    seed: Seed,
    /// Leaves as soon as every demo sync has come to rest; exit 0 when all are in sync, 1 when not.
    #[arg(long)]
    once: bool,
    /// With --once: the result as JSON on standard output.
    #[arg(long, requires = "once")]
    json: bool,
    /// Forgets all state first.
    #[arg(long)]
    fresh: bool,
    /// An AWS-compatible endpoint that already runs, instead of the emulator.
    #[arg(long, value_name = "URL")]
    aws: Option<String>,
    /// Where the emulator is installed; DIR/tools by default.
    #[arg(long, hide = true)]
    tools: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Seed {
    /// Users, and nothing else.
    Empty,
    /// 1,200 contacts, a Google account and a sync.
    Demo,
}

#[derive(Args)]
struct ImportOptions {
    /// A CSV or vCard file.
    file: PathBuf,
    /// The service; that of the running `up` by default.
    #[arg(long)]
    api: Option<String>,
    /// A bearer token; that of the first user of the running `up` by default.
    #[arg(long)]
    token: Option<String>,
    #[command(flatten)]
    place: PlaceOptions,
}

fn main() -> ExitCode {
    let done = match Command::parse().task {
        Task::Up(options) => up::up(&options),
        Task::Test => check::check(),
        Task::Clients => clients::alone(),
        Task::Browser => browser::alone(),
        Task::Simulators(options) => simulators::foreground(&options),
        Task::Watch(options) => watch::watch(&options),
        Task::Bench => bench::bench(),
        Task::Import(options) => import::import(&options),
        Task::Supervise { program, arguments } => supervise::supervise(&program, &arguments),
    };
    match done {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}
