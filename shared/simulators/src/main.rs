//! `simulators --state-dir DIR --<provider>-port P …`: the providers on this machine, until Ctrl-C or SIGTERM.
use clap::{Arg, ArgMatches, Command, value_parser};
use futures::FutureExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tandem_simulators::{Order, PROVIDERS, SimulatorError};

/// One option a provider: those whose port is given are served.
fn command() -> Command {
    let state = Arg::new("state-dir").long("state-dir").required(true).value_parser(value_parser!(PathBuf));
    let latency = Arg::new("latency-ms").long("latency-ms").value_parser(value_parser!(u64));
    let ports = PROVIDERS.iter().map(|provider| {
        let option: &'static str = format!("{}-port", provider.name).leak();
        let help = "Serves this provider on 127.0.0.1 at this port; 0 takes a free one";
        Arg::new(provider.name).long(option).help(help).value_parser(value_parser!(u16))
    });
    Command::new("simulators")
        .about("The providers' simulators, on 127.0.0.1 only")
        .arg(state.help("Where the state is kept"))
        .arg(latency.help("How long every answer takes, in milliseconds. Left out: as the stored state says"))
        .args(ports)
}

async fn serve(asked: &ArgMatches) -> Result<(), SimulatorError> {
    let stop = stopped().boxed().shared();
    let dir = asked.get_one::<PathBuf>("state-dir").expect("clap demands it");
    let latency = asked.get_one::<u64>("latency-ms").copied().map(Duration::from_millis);
    let wanted = PROVIDERS.iter().filter_map(|provider| {
        let port = *asked.get_one::<u16>(provider.name)?;
        Some((provider.run)(Order { dir: dir.clone(), port, latency, stop: stop.clone().boxed() }))
    });
    futures::future::try_join_all(wanted).await.map(|_| ())
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(&command().get_matches()).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_its_port_and_an_unknown_one_is_refused() {
        command().debug_assert();
        let asked = |more: &str| command().try_get_matches_from(["simulators", "--state-dir", "d", more]);
        for provider in PROVIDERS {
            let matches = asked(&format!("--{}-port=7", provider.name)).unwrap();
            assert_eq!(matches.get_one::<u16>(provider.name), Some(&7));
        }
        assert!(asked("--fax-port=7").is_err());
    }
}
