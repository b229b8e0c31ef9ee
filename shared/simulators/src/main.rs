//! `simulators --google-port P --state-dir DIR`: the providers on this machine, until Ctrl-C or SIGTERM.
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use tandem_simulators::GoogleSimulator;

/// The providers' simulators, on 127.0.0.1 only.
#[derive(Parser)]
struct Arguments {
    /// Port of the Google simulator; 0 takes a free one.
    #[arg(long)]
    google_port: u16,
    /// Where the state is kept.
    #[arg(long)]
    state_dir: PathBuf,
    /// How long every answer takes, in milliseconds. Left out: as the stored state says.
    #[arg(long)]
    latency_ms: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let google = GoogleSimulator::open(&arguments.state_dir);
    let served = match google {
        Ok(google) => {
            if let Some(latency) = arguments.latency_ms {
                google.fake().set(|settings| settings.latency_ms = latency);
            }
            google.serve(arguments.google_port, stopped()).await
        }
        Err(error) => Err(error),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("simulators: {error}{cause}");
            ExitCode::from(2)
        }
    }
}

async fn stopped() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
