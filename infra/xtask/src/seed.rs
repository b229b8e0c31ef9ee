//! The demo world, made through the public API as a user would.
use crate::api::Api;
use crate::demo;
use crate::fault::{Fault, Result};
use crate::stop::Stop;
use serde_json::{Value, json};

/// A sync of the demo world, and whether it has run before.
pub(crate) struct DemoSync {
    pub(crate) id: String,
    pub(crate) profile: String,
    pub(crate) ran_before: bool,
}

/// The syncs of the world, made where there are none yet.
pub(crate) fn seed(api: &Api, say: &dyn Fn(&str)) -> Result<Vec<DemoSync>> {
    let found = syncs(api)?;
    if !found.is_empty() {
        return Ok(found);
    }
    say("importing 1,200 contacts into the built-in CRM");
    // In parts, as one request has seconds and not minutes.
    for part in demo::parts(300) {
        let answer = api.must("POST", "/crm/v1/import", "text/csv", part.into_bytes())?;
        if let Some(error) = answer["errors"].as_array().and_then(|errors| errors.first()) {
            return Err(Fault::new(format!("the demo contacts were not all taken: {error}")));
        }
    }
    say("connecting the built-in CRM and Google");
    let crm = id_of(&api.post("/v1/connections", &json!({"provider": "builtin"}))?)?;
    let google = api.post("/v1/connections", &json!({"provider": "google"}))?;
    let remote = id_of(&google)?;
    let consent = google["authorize_url"].as_str().ok_or_else(|| Fault::new("no authorize_url was answered"))?;
    api.browse(consent)?;
    let connected = api.get(&format!("/v1/connections/{remote}"))?;
    if connected["state"] != "connected" {
        return Err(Fault::new("the Google account did not connect"));
    }
    let profile = "teamleader-google-contacts";
    api.post("/v1/syncs", &json!({"profile": profile, "crm": crm, "remote": remote, "settings": {}, "enabled": true}))?;
    syncs(api)
}

fn syncs(api: &Api) -> Result<Vec<DemoSync>> {
    let list = api.get("/v1/syncs")?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let sync = |item: &Value| DemoSync {
        id: text(item, "id"),
        profile: text(item, "profile"),
        ran_before: !item["last_run"].is_null(),
    };
    Ok(items.iter().map(sync).collect())
}

fn id_of(answer: &Value) -> Result<String> {
    answer["id"].as_str().map(str::to_owned).ok_or_else(|| Fault::new("an answer of the API lacks its id"))
}

/// Starts the syncs that have run before; the first time the schedule does that. Answers the runs to wait for.
pub(crate) fn begin(api: &Api, syncs: &[DemoSync], stop: &Stop) -> Result<Vec<Option<String>>> {
    let mut runs = Vec::new();
    for sync in syncs {
        stop.check()?;
        if sync.ran_before {
            let answer = api.post(&format!("/v1/syncs/{}/runs", sync.id), &json!({}))?;
            runs.push(answer["run"].as_str().map(str::to_owned));
        } else {
            runs.push(None);
        }
    }
    Ok(runs)
}
