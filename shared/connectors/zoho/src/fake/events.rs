//! What is particular to events: participants, recurrence, reminders, times in the user's zone, mails to participants.
use super::Refusal;
use super::state::State;
use super::writes::{is_email, named};
use serde_json::{Map, Value, json};
use tandem_core::event::zone;

/// The zone of every user here (`users` says so).
const ZONE: &str = "Europe/Brussels";
const EVERY: [&str; 4] = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
const PARTS: [&str; 9] =
    ["FREQ", "INTERVAL", "UNTIL", "COUNT", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "DTSTART"];

/// Whole seconds, with the offset that the user's zone has then.
pub(super) fn shown_time(stored: Option<&Value>) -> Value {
    let Some(time) = stored.and_then(Value::as_str).and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
        return Value::Null;
    };
    let zone = zone(ZONE).expect("a zone that is built in");
    let hours = zone.to_offset(time).seconds() / 3600;
    json!(format!("{}+{hours:02}:00", zone.to_datetime(time).strftime("%Y-%m-%dT%H:%M:%S")))
}

/// Whether a value is what the field takes, else what is wrong.
pub(super) fn fits(state: &State, user: &str, kind: &str, value: &Value) -> Result<(), Value> {
    match (kind, value) {
        ("participants", Value::Array(all)) => all.iter().try_for_each(|one| participant(state, user, one)),
        ("recurrence", Value::Object(_)) => rule(value["RRULE"].as_str().unwrap_or_default()),
        ("reminders", Value::Array(all)) => {
            let good = |one: &Value| {
                let period = one["period"].as_str().unwrap_or_default();
                one["unit"].as_u64().is_some() && ["minutes", "hours", "days", "weeks"].contains(&period)
            };
            if all.iter().all(good) { Ok(()) } else { Err(json!({"expected_data_type": "reminder"})) }
        }
        ("recurrence", _) => Err(json!({"expected_data_type": "jsonobject"})),
        _ => Err(json!({"expected_data_type": "jsonarray"})),
    }
}

fn participant(state: &State, user: &str, one: &Value) -> Result<(), Value> {
    let who = one["participant"].as_str().unwrap_or_default();
    let known = match one["type"].as_str().unwrap_or_default() {
        "email" => is_email(who),
        "contact" => state.live(user, "Contacts", who).is_some(),
        "lead" => state.live(user, "Leads", who).is_some(),
        "user" => state.users.values().any(|user| user.id == who),
        _ => false,
    };
    if known { Ok(()) } else { Err(json!({"parent_api_name": "Participants", "api_name": "participant"})) }
}

fn rule(text: &str) -> Result<(), Value> {
    let refused = || json!({"api_name": "RRULE", "parent_api_name": "Recurring_Activity"});
    let mut every = false;
    for part in text.split(';') {
        let (name, value) = part.split_once('=').ok_or_else(refused)?;
        let good = match name {
            "FREQ" => {
                every = true;
                EVERY.contains(&value)
            }
            // A day, with dashes; a time is not taken.
            "UNTIL" | "DTSTART" => value.len() == 10 && value.parse::<jiff::civil::Date>().is_ok(),
            name => PARTS.contains(&name) && !value.is_empty(),
        };
        if !good {
            return Err(refused());
        }
    }
    if every { Ok(()) } else { Err(refused()) }
}

/// Whether the participants are told: they are, unless `$send_notification` is false.
pub(super) fn notifies(module: &str, record: &Map<String, Value>) -> bool {
    module == "Events" && record.get("$send_notification") != Some(&Value::Bool(false))
}

/// Gives participants the form that they are shown in, and judges the event as a whole.
pub(super) fn settle(
    state: &mut State,
    module: &str,
    at: usize,
    data: &mut Map<String, Value>,
    notify: bool,
) -> Result<(), Refusal> {
    if module != "Events" {
        return Ok(());
    }
    let time = |name: &str| data.get(name).and_then(Value::as_str)?.parse::<jiff::Timestamp>().ok();
    if time("Start_DateTime") > time("End_DateTime") {
        return Err(named(400, "INVALID_DATA", "End time cannot be less than start time", at, "End_DateTime"));
    }
    let all = data.get("Participants").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut shown = Vec::new();
    for one in all {
        shown.push(as_shown(state, &one));
    }
    if notify {
        state.mails += shown.len();
    }
    if data.contains_key("Participants") {
        data.insert("Participants".to_owned(), Value::Array(shown));
    }
    Ok(())
}

fn as_shown(state: &mut State, one: &Value) -> Value {
    let who = one["participant"].as_str().unwrap_or_default();
    let contact = who.parse::<u64>().ok().and_then(|id| state.records.get("Contacts")?.get(&id));
    let text = |name: &str| contact.map_or(Value::Null, |contact| contact.data.get(name).cloned().unwrap_or_default());
    let (name, email) = match one["type"].as_str().unwrap_or_default() {
        "contact" => (text("Last_Name"), text("Email")),
        "user" => {
            let user = state.users.iter().find(|(_, user)| user.id == who);
            user.map_or((Value::Null, Value::Null), |(email, user)| (json!(user.name), json!(email)))
        }
        // Who is known by address alone is called by it.
        _ => (json!(who), json!(who)),
    };
    let id = one["id"].as_str().map_or_else(|| state.next_id().to_string(), str::to_owned);
    let status = one["status"].as_str().unwrap_or("not_known");
    json!({"type": one["type"], "participant": who, "id": id, "name": name, "Email": email,
           "invited": one["invited"].as_bool().unwrap_or(false), "status": status})
}
