//! The providers on this machine.
use crate::PlaceOptions;
use crate::build::programs;
use crate::fault::{Fault, Result};
use crate::place::{Place, Port, env};
use crate::stop::Stop;
use crate::supervise::Supervised;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Every variable with a provider's place, by provider.
pub(crate) const ORIGINS: [(&str, &[&str]); 5] = [
    (
        "google",
        &[
            "TANDEM_GOOGLE_PEOPLE_URL",
            "TANDEM_GOOGLE_CALENDAR_URL",
            "TANDEM_GOOGLE_DRIVE_URL",
            "TANDEM_GOOGLE_GMAIL_URL",
            "TANDEM_GOOGLE_TASKS_URL",
            "TANDEM_GOOGLE_ACCOUNTS_URL",
            "TANDEM_GOOGLE_OAUTH_URL",
            "TANDEM_GOOGLE_CERTS_URL",
        ],
    ),
    ("dropbox", &["TANDEM_DROPBOX_WWW_URL", "TANDEM_DROPBOX_API_URL", "TANDEM_DROPBOX_CONTENT_URL"]),
    ("teamleader", &["TANDEM_TEAMLEADER_AUTH_URL", "TANDEM_TEAMLEADER_API_URL"]),
    ("zoho", &["TANDEM_ZOHO_ACCOUNTS_URL"]),
    ("sell", &["TANDEM_SELL_API_URL"]),
];

/// Half a minute; it takes a moment.
const STEPS: u32 = 600;

/// The simulators that run, and where.
pub(crate) struct Simulators {
    pub(crate) process: Option<Supervised>,
    pub(crate) addresses: Map<String, Value>,
}

fn set_by_hand(variables: &[&str]) -> bool {
    variables.iter().any(|variable| env(variable).is_some())
}

/// Whether Google is simulated here: none of its variables is set.
pub(crate) fn google_is_simulated() -> bool {
    !set_by_hand(ORIGINS[0].1)
}

/// The template's parameters with the providers' places. Unset variables of a simulated provider lead to its simulator.
pub(crate) fn parameters(place: &Place) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for (provider, variables) in ORIGINS {
        let simulator = (provider == "google" && google_is_simulated()).then(|| place.origin(Port::Google));
        for variable in variables {
            if let Some(value) = env(variable).or_else(|| simulator.clone()) {
                parameters.push((parameter(variable), value));
            }
        }
    }
    parameters
}

/// `TANDEM_GOOGLE_PEOPLE_URL` is the parameter `GooglePeopleUrl`.
fn parameter(variable: &str) -> String {
    let words = variable.trim_start_matches("TANDEM_").split('_');
    words.map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase())).collect()
}

fn command(place: &Place, built: &Path) -> Result<Command> {
    let mut command = Command::new(built.join("simulators"));
    command.arg("--google-port").arg(place.port(Port::Google).to_string());
    command.arg("--state-dir").arg(place.folder("simulators")?);
    command.env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
    Ok(command)
}

/// Starts those that are wanted and waits until they answer.
pub(crate) fn start(place: &Place, built: &Path, stop: &Stop) -> Result<Simulators> {
    if !google_is_simulated() {
        return Ok(Simulators { process: None, addresses: Map::new() });
    }
    let mut process = Supervised::start("the simulators", &command(place, built)?, &place.file("simulators.log"))?;
    let origin = place.origin(Port::Google);
    let health = format!("{origin}/_sim/healthz");
    let answered = stop.poll(STEPS, || {
        process.check()?;
        Ok(ureq::get(&health).call().is_ok().then_some(()))
    })?;
    answered.ok_or_else(|| Fault::new("the simulators do not answer; see simulators.log"))?;
    Ok(Simulators { process: Some(process), addresses: Map::from_iter([("google".to_owned(), json!(origin))]) })
}

/// `cargo xtask simulators`.
pub(crate) fn foreground(options: &PlaceOptions) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let place = Place::new(options)?;
    place.check_free(Port::Google)?;
    let built = programs(&place, &stop)?;
    let mut simulators = start(&place, &built, &stop)?;
    println!("google  {}", place.origin(Port::Google));
    loop {
        if stop.asked() {
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(process) = &mut simulators.process {
            process.check()?;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_has_its_parameter_in_the_template() {
        let template = include_str!("../../../template.yaml");
        assert_eq!(parameter("TANDEM_GOOGLE_PEOPLE_URL"), "GooglePeopleUrl");
        for variable in ORIGINS.iter().flat_map(|(_, variables)| variables.iter()) {
            let line = format!("{variable}: !Ref {}\n", parameter(variable));
            assert!(template.contains(&line), "{line}");
        }
    }
}
