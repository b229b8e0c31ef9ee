//! The providers on this machine.
use crate::PlaceOptions;
use crate::api::Api;
use crate::build::programs;
use crate::fault::{Fault, Result};
use crate::place::{Place, Port, env};
use crate::stop::Stop;
use crate::supervise::Supervised;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Command, ExitCode};

/// A provider's place: its variables, and its port while it is simulated.
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    variables: &'static [&'static str],
    port: Port,
}

const fn provider(name: &'static str, port: Port, variables: &'static [&'static str]) -> Provider {
    Provider { name, variables, port }
}

/// Every provider.
const PROVIDERS: [Provider; 5] = [
    provider(
        "google",
        Port::Google,
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
    provider(
        "dropbox",
        Port::Dropbox,
        &["TANDEM_DROPBOX_WWW_URL", "TANDEM_DROPBOX_API_URL", "TANDEM_DROPBOX_CONTENT_URL"],
    ),
    provider("teamleader", Port::Teamleader, &["TANDEM_TEAMLEADER_AUTH_URL", "TANDEM_TEAMLEADER_API_URL"]),
    provider("zoho", Port::Zoho, &["TANDEM_ZOHO_ACCOUNTS_URL"]),
    provider("sell", Port::Sell, &["TANDEM_SELL_API_URL"]),
];

/// Those that `shared/simulators` has a fake of.
const FAKES: &[&str] = &["google", "dropbox", "teamleader", "zoho", "sell"];

/// Half a minute; it takes a moment.
const STEPS: u32 = 600;

/// The simulators that run, and where.
pub(crate) struct Simulators {
    pub(crate) process: Option<Supervised>,
    pub(crate) addresses: Map<String, Value>,
}

impl Provider {
    /// Whether it is simulated here: there is a fake, and none of its variables is set.
    fn is_simulated(&self) -> bool {
        FAKES.contains(&self.name) && self.variables.iter().all(|variable| env(variable).is_none())
    }
}

/// The providers that are simulated here.
pub(crate) fn simulated() -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().filter(|provider| provider.is_simulated())
}

/// The address of a provider's simulator, where it is simulated.
pub(crate) fn origin(place: &Place, name: &str) -> Option<String> {
    simulated().find(|provider| provider.name == name).map(|provider| place.origin(provider.port))
}

/// Says which simulator's port is taken before any is started.
pub(crate) fn check_ports(place: &Place) -> Result<()> {
    simulated().try_for_each(|provider| place.check_free(provider.port))
}

/// The template's parameters with the providers' places. Unset variables of a simulated provider lead to its simulator.
pub(crate) fn parameters(place: &Place) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for provider in &PROVIDERS {
        for variable in provider.variables {
            if let Some(value) = env(variable).or_else(|| origin(place, provider.name)) {
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
    for provider in simulated() {
        command.arg(format!("--{}-port", provider.name)).arg(place.port(provider.port).to_string());
    }
    command.arg("--state-dir").arg(place.folder("simulators")?);
    command.env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
    Ok(command)
}

/// Starts those that are wanted and waits until they answer.
pub(crate) fn start(place: &Place, built: &Path, stop: &Stop) -> Result<Simulators> {
    let addresses: Map<String, Value> =
        simulated().map(|provider| (provider.name.to_owned(), json!(place.origin(provider.port)))).collect();
    if addresses.is_empty() {
        return Ok(Simulators { process: None, addresses });
    }
    let mut process = Supervised::start("the simulators", &command(place, built)?, &place.file("simulators.log"))?;
    for provider in simulated() {
        let health = format!("{}/_sim/healthz", place.origin(provider.port));
        let answered = stop.poll(STEPS, || {
            process.check()?;
            Ok(ureq::get(&health).call().is_ok().then_some(()))
        })?;
        answered.ok_or_else(|| Fault::new(format!("{} does not answer; see simulators.log", provider.name)))?;
    }
    Ok(Simulators { process: Some(process), addresses })
}

/// Whose token the simulated Pub/Sub shows.
pub(crate) const PUSHES_AS: &str = "gmail-push@local.iam.gserviceaccount.com";

/// What the owner of an app enters at the providers' consoles: where they send what no request asked them to.
pub(crate) fn enter_webhooks(place: &Place, public_url: &str, dropbox_secret: &str) -> Result<()> {
    if let Some(dropbox) = origin(place, "dropbox") {
        let webhook = json!({"url": format!("{public_url}/webhooks/dropbox"), "secret": dropbox_secret});
        Api::new(&dropbox, "none").post("/_sim/dropbox/settings", &json!({"webhook": webhook}))?;
    }
    if let Some(google) = origin(place, "google") {
        let endpoint = format!("{public_url}/webhooks/google/gmail");
        let said =
            |part: &str, local: &str| env(&format!("TANDEM_GMAIL_PUBSUB_{part}")).unwrap_or_else(|| local.to_owned());
        let push = json!({"endpoint": endpoint, "audience": said("AUDIENCE", &endpoint),
            "service_account": said("SERVICE_ACCOUNT", PUSHES_AS)});
        Api::new(&google, "none").post("/_sim/google/gmail/settings", &json!({"subscription": push}))?;
    }
    Ok(())
}

/// `cargo xtask simulators`.
pub(crate) fn foreground(options: &PlaceOptions) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let place = Place::new(options)?;
    check_ports(&place)?;
    let built = programs(&place, &stop)?;
    let mut simulators = start(&place, &built, &stop)?;
    for (name, address) in &simulators.addresses {
        println!("{name:<12}{}", address.as_str().unwrap_or_default());
    }
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
        for variable in PROVIDERS.iter().flat_map(|provider| provider.variables) {
            let line = format!("{variable}: !Ref {}\n", parameter(variable));
            assert!(template.contains(&line), "{line}");
        }
    }

    #[test]
    fn every_fake_is_served_and_every_served_provider_is_known() {
        let served = include_str!("../../../shared/simulators/src/lib.rs");
        let names: Vec<&str> = served.split("\nprovider!(").skip(1).filter_map(|rest| rest.split('"').nth(1)).collect();
        assert_eq!(names, FAKES);
        for name in FAKES {
            assert!(PROVIDERS.iter().any(|provider| provider.name == *name), "{name}");
        }
    }
}
