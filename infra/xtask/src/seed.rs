//! The demo world, made through the public API as a user would.
use crate::api::Api;
use crate::demo;
use crate::fault::{Fault, Result};
use crate::office::{self, Office};
use crate::place::Place;
use crate::simulators;
use crate::stop::Stop;
use crate::vendors::Simulated;
use serde_json::{Value, json};

/// A row of the demo world: a profile between a CRM and Google. Each row has a Google account of its own.
struct Demo {
    profile: &'static str,
    /// The CRM's provider.
    crm: &'static str,
    /// Whose accounts these are, at the CRM and at Google.
    account: &'static str,
    /// The Google group that the profile keeps.
    group: &'static str,
}

const DEMOS: [Demo; 4] = [
    // The first account by name is the one that Google's simulator takes where none is chosen.
    Demo {
        profile: "teamleader-google-contacts",
        crm: BUILTIN,
        account: "demo@example.com",
        group: "Teamleader Focus",
    },
    Demo {
        profile: "teamleader-google-contacts",
        crm: "teamleader",
        account: "teamleader@example.com",
        group: "Teamleader Focus",
    },
    Demo { profile: "zoho-google-contacts", crm: "zoho", account: "zoho@example.com", group: "Zoho CRM" },
    Demo { profile: "sell-google-contacts", crm: "sell", account: "sell@example.com", group: "Base CRM" },
];

const BUILTIN: &str = "builtin";

/// A sync of the demo world, and whether it has run before.
pub(crate) struct DemoSync {
    pub(crate) id: String,
    pub(crate) profile: String,
    /// The CRM's provider.
    pub(crate) crm: String,
    pub(crate) ran_before: bool,
}

/// The syncs of the world, made where there are none yet.
pub(crate) fn seed(api: &Api, place: &Place, say: &dyn Fn(&str)) -> Result<Vec<DemoSync>> {
    let found = syncs(api)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let (crms, google) = (|demo: &Demo| simulators::origin(place, demo.crm), simulators::origin(place, "google"));
    let mut orders = Vec::new();
    for demo in &DEMOS {
        let (crm, remote) = match (demo.crm, crms(demo), &google) {
            (BUILTIN, _, google) => builtin(api, demo, google.as_deref(), say)?,
            (_, Some(crm), Some(google)) => vendor(api, demo, &crm, google, say)?,
            // A provider that somebody set by hand holds their own people.
            (_, _, _) => continue,
        };
        orders.push(json!({"profile": demo.profile, "crm": crm, "remote": remote, "settings": {}, "enabled": true}));
        if let (BUILTIN, Some(origin)) = (demo.crm, &google) {
            let google = Simulated::account(origin, "google", demo.account)?;
            orders.extend(office(api, place, (&crm, &remote), &google, say)?);
        }
    }
    // Last of all: a world with a sync counts as seeded.
    orders.iter().try_for_each(|order| api.post("/v1/syncs", order).map(drop))?;
    syncs(api)
}

/// The built-in CRM's connection and Google's.
fn builtin(api: &Api, demo: &Demo, google: Option<&str>, say: &dyn Fn(&str)) -> Result<(String, String)> {
    say("importing 1,200 contacts into the built-in CRM");
    // In parts, as one request has seconds and not minutes.
    for part in demo::parts(300) {
        let answer = api.must("POST", "/crm/v1/import", "text/csv", part.into_bytes())?;
        if let Some(error) = answer["errors"].as_array().and_then(|errors| errors.first()) {
            return Err(Fault::new(format!("the demo contacts were not all taken: {error}")));
        }
    }
    say("connecting the built-in CRM and Google");
    let crm = connect(api, &json!({"provider": BUILTIN}), None)?;
    // At a Google that is set by hand, its own page says who it is.
    Ok((crm, connect(api, &json!({"provider": "google"}), google.map(|_| demo.account))?))
}

/// The first user's other syncs: calendar, files and mail. `both` is the connection to the CRM and to Google.
fn office(
    api: &Api,
    place: &Place,
    (crm, remote): (&str, &str),
    google: &Simulated,
    say: &dyn Fn(&str),
) -> Result<Vec<Value>> {
    say("adding meetings, files and mail");
    let dropbox = match simulators::origin(place, "dropbox") {
        Some(origin) => {
            Simulated::account(&origin, "dropbox", google.account)?;
            Some(connect(api, &json!({"provider": "dropbox"}), Some(google.account))?)
        }
        None => None,
    };
    office::fill_google(api, google)?;
    let order = |Office { profile, remote: at, settings }| {
        let remote = dropbox.as_deref().filter(|_| at == "dropbox").unwrap_or(remote);
        json!({"profile": profile, "crm": crm, "remote": remote, "settings": settings, "enabled": true})
    };
    Ok(office::fill_crm(api, dropbox.as_deref())?.into_iter().map(order).collect())
}

/// A vendor's connection and Google's, with people on both sides.
fn vendor(api: &Api, demo: &Demo, crm: &str, google: &str, say: &dyn Fn(&str)) -> Result<(String, String)> {
    say(&format!("connecting {} and Google", demo.crm));
    let crm = Simulated::account(crm, demo.crm, demo.account)?;
    crm.fill_crm()?;
    Simulated::account(google, "google", demo.account)?.fill_google(demo.group)?;
    let order = match demo.crm {
        // Its users paste a personal token.
        "sell" => json!({"provider": demo.crm, "access_token": crm.token}),
        provider => json!({"provider": provider}),
    };
    let crm = connect(api, &order, Some(demo.account))?;
    Ok((crm, connect(api, &json!({"provider": "google"}), Some(demo.account))?))
}

/// Makes a connection and goes where it sends the browser; `account` is whose button is pressed on a simulator's page.
fn connect(api: &Api, order: &Value, account: Option<&str>) -> Result<String> {
    let begun = api.post("/v1/connections", order)?;
    let id = id_of(&begun)?;
    if let Some(consent) = begun["authorize_url"].as_str() {
        let pressed = account.map(|account| format!("&sim_account={account}")).unwrap_or_default();
        api.browse(&format!("{consent}{pressed}"))?;
    }
    match api.get(&format!("/v1/connections/{id}"))?["state"].as_str() {
        Some("connected") => Ok(id),
        _ => Err(Fault::new(format!("the account at {} did not connect", order["provider"]))),
    }
}

fn syncs(api: &Api) -> Result<Vec<DemoSync>> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let items = |list: Value| list["items"].as_array().cloned().unwrap_or_default();
    let connections = items(api.get("/v1/connections")?);
    let provider = |id: &Value| connections.iter().find(|connection| connection["id"] == *id);
    let sync = |item: &Value| DemoSync {
        id: text(item, "id"),
        profile: text(item, "profile"),
        crm: provider(&item["crm"]).map(|connection| text(connection, "provider")).unwrap_or_default(),
        ran_before: !item["last_run"].is_null(),
    };
    Ok(items(api.get("/v1/syncs")?).iter().map(sync).collect())
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
