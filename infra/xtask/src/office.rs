//! What the demo world's first user has beside contacts: meetings, a customer's files, and mail.
use crate::api::Api;
use crate::fault::{Fault, OrFault as _, Result};
use crate::vendors::Simulated;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A sync of this user: a profile between the built-in CRM and the remote provider.
pub(crate) struct Office {
    pub(crate) profile: &'static str,
    pub(crate) remote: &'static str,
    pub(crate) settings: Value,
}

/// What the user's customer has told them by mail, as (who, subject). `None` is somebody whom the CRM does not know.
const MAILS: [(Option<usize>, &str); 3] = [(Some(0), "Angebot"), (Some(1), "Re: Termin"), (None, "Anfrage")];

/// The CRM's meetings and files, made once, and the syncs that carry them. Dropbox is left out where somebody set it by
/// hand.
pub(crate) fn fill_crm(api: &Api, dropbox: Option<&str>) -> Result<Vec<Office>> {
    let customer = first(api, "/crm/v1/companies")?;
    let known = addresses(api)?;
    if api.get("/crm/v1/meetings")?["items"].as_array().is_none_or(Vec::is_empty) {
        meetings(&known)?.iter().try_for_each(|meeting| api.post("/crm/v1/meetings", meeting).map(drop))?;
        for (folder, name, text) in
            [("", "Notizen.txt", "Ruft am liebsten vormittags an.\n"), ("Verträge", "Rahmenvertrag.txt", "§ 1 …\n")]
        {
            put_file(api, &customer, (folder, name), text)?;
        }
    }
    let files = || json!({"modules": ["companies"], "records": [{"type": "company", "id": customer["id"]}]});
    let sync = |profile, remote, settings| Office { profile, remote, settings };
    let mut syncs = vec![
        sync("teamleader-google-calendar", "google", json!({"default_calendar": "primary"})),
        sync("teamleader-google-drive", "google", files()),
        sync("teamleader-gmail", "google", json!({"track": "all_known"})),
    ];
    syncs.extend(dropbox.map(|_| sync("teamleader-dropbox", "dropbox", files())));
    Ok(syncs)
}

/// What the user's Google account holds already: two private appointments, and mail of two customers and a stranger.
pub(crate) fn fill_google(api: &Api, google: &Simulated) -> Result<()> {
    let known = addresses(api)?;
    for (title, days, hour) in [("Zahnarzt", 2, 8), ("Elternabend", 6, 19)] {
        let (start, end) = hours(days, hour)?;
        let event = json!({"summary": title, "start": {"dateTime": start, "timeZone": ZONE},
            "end": {"dateTime": end, "timeZone": ZONE}});
        google.order("calendar/insert", json!({"body": {"event": event}}))?;
    }
    for (number, (who, subject)) in MAILS.iter().enumerate() {
        let from = who.and_then(|at| known.get(at)).map_or("neu@example.net", String::as_str);
        let raw = format!(
            "Message-ID: <demo-{number}@example.net>\r\nFrom: <{from}>\r\nTo: <{}>\r\nSubject: {subject}\r\n\
             Content-Type: text/html\r\n\r\n<p>Guten Tag!</p>\r\n",
            google.account
        );
        google.order("gmail/messages", json!({"raw": base64(raw.as_bytes()), "labels": ["INBOX"]}))?;
    }
    Ok(())
}

const ZONE: &str = "Europe/Brussels";
/// In seconds.
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// One with a customer, a weekly series, and a whole day, all of them ahead.
fn meetings(known: &[String]) -> Result<[Value; 3]> {
    let ((start, end), (monday, later)) = (hours(3, 14)?, hours(1, 9)?);
    let day = |days| ahead(days, 0).map(|start| start.to_string().chars().take("2026-01-31".len()).collect::<String>());
    let guests: Vec<Value> = known.iter().take(1).map(|email| json!({"email": email})).collect();
    Ok([
        json!({"title": "Angebot besprechen", "start": start, "end": end, "time_zone": ZONE, "attendees": guests,
            "reminder_minutes": 15}),
        json!({"title": "Jour fixe", "start": monday, "end": later, "time_zone": ZONE,
            "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=12"]}),
        json!({"title": "Messe", "start": day(9)?, "end": day(11)?, "all_day": true}),
    ])
}

/// The start of the day that is so many days ahead, in UTC, and so many hours on.
fn ahead(days: i64, hours: i64) -> Result<Timestamp> {
    #[expect(clippy::disallowed_methods, reason = "a world for people to look at today")]
    let now = Timestamp::now().as_second();
    let start = now - now.rem_euclid(DAY) + days * DAY + hours * HOUR;
    Timestamp::from_second(start).or_fault(|| "the demo world's dates cannot be told".to_owned())
}

/// An hour of that day, from and to.
fn hours(days: i64, hour: i64) -> Result<(String, String)> {
    Ok((ahead(days, hour)?.to_string(), ahead(days, hour + 1)?.to_string()))
}

fn first(api: &Api, path: &str) -> Result<Value> {
    let mut page = api.get(path)?;
    let items = page["items"].as_array_mut().filter(|items| !items.is_empty());
    items.map(|items| items.remove(0)).ok_or_else(|| Fault::new(format!("{path} is empty")))
}

/// Of some contacts who have one.
fn addresses(api: &Api) -> Result<Vec<String>> {
    let page = api.get("/crm/v1/contacts")?;
    let of = |contact: &Value| contact["emails"][0]["value"].as_str().map(str::to_owned);
    Ok(page["items"].as_array().map(|items| items.iter().filter_map(of).collect()).unwrap_or_default())
}

/// Announces the file, and sends its bytes to the address that this answers.
fn put_file(api: &Api, company: &Value, (folder, name): (&str, &str), text: &str) -> Result<()> {
    let order = json!({"subject": {"type": "company", "id": company["id"]}, "folder": folder, "name": name});
    api.upload(&api.post("/crm/v1/files", &order)?["upload"], text.as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
