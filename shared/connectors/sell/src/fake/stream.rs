//! The Firehose of appointments, and the appointments behind it: nobody lists them, reads one or writes one by an API.
//!
//! The stream is the account's. It keeps 72 hours, tells what is behind a position oldest first, repeats itself if told to,
//! and may come empty before its top.
use super::state::{Appointment, Event, Forgotten, Settings, Shown, State, Who};
use super::{Answer, Asked, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde_json::{Map, Value as Json, json};

const KEPT_MS: i64 = 72 * 3_600_000;
/// As the positions in Zendesk's examples read.
const TOPIC: &str = "firehose.appointment.by_account,0,";
/// What people can say of an appointment in Sell.
const ATTRIBUTES: [&str; 11] = [
    "user_id",
    "name",
    "all_day",
    "location",
    "send_updates",
    "reminder_offset",
    "description",
    "start_at",
    "end_at",
    "invitations",
    "contexts",
];

fn position(place: u64) -> String {
    BASE64.encode(format!("{TOPIC}{place}"))
}

fn place(text: &str) -> Option<u64> {
    String::from_utf8(BASE64.decode(text).ok()?).ok()?.strip_prefix(TOPIC)?.parse().ok()
}

pub(super) fn read(state: &mut State, who: &Who, asked: &Asked) -> Answer {
    let limit = match asked.one("limit").map(str::parse::<usize>) {
        None => 25,
        Some(Ok(limit)) if (1..=100).contains(&limit) => limit,
        Some(_) => return Err(Refusal::of_parameter("limit")),
    };
    let (settings, now) = (state.settings.clone(), state.now_ms);
    let held = state.account(&who.account);
    let old = held.stream.iter().take_while(|event| event.at_ms < now - KEPT_MS).count();
    held.stream.drain(..old);
    held.forgotten += old as u64;
    let (first, top) = (held.forgotten, held.forgotten + held.stream.len() as u64);
    let from = match asked.one("position").ok_or_else(|| Refusal::of_parameter("position"))? {
        "tail" => first,
        "top" => top,
        other => match place(other).filter(|place| *place <= top) {
            Some(place) if place >= first => place,
            Some(_) if settings.forgotten == Forgotten::Skipped => first,
            Some(_) | None => return Err(Refusal::of_parameter("position")),
        },
    };
    let (from, limit) = if settings.empty_stream_pages > 0 && from < top { (from, 0) } else { (from, limit) };
    let at = usize::try_from(from - first).unwrap_or(usize::MAX);
    let (told, rest) = held.stream.split_at(at.min(held.stream.len()));
    let taken = &rest[..rest.len().min(limit)];
    let again = told.iter().rev().take(if taken.is_empty() { 0 } else { settings.stream_repeats });
    // In order for each appointment, and in no other.
    let mut items: Vec<Json> = taken.iter().map(|event| event.item.clone()).collect();
    items.sort_by_key(|item| std::cmp::Reverse(item["data"]["id"].as_u64()));
    items.extend(again.map(|event| event.item.clone()));
    let next = from + taken.len() as u64;
    if limit == 0 {
        state.settings.empty_stream_pages -= 1;
    }
    let link = format!("{}/v3/appointments/stream?position={}", asked.host, position(next));
    Ok((
        200,
        json!({"items": items, "meta": {"links": {"next": link}, "position": position(next), "top": next == top}}),
    ))
}

/// People make, change and delete appointments on Sell's own pages.
pub(super) fn order(state: &mut State, who: &Who, method: &str, body: &Json) -> Answer {
    let given = body["data"].as_object().cloned().unwrap_or_default();
    if let Some(name) = given.keys().find(|name| !ATTRIBUTES.contains(&name.as_str())) {
        return Err(Refusal::of_field("appointment", name, "unknown"));
    }
    let (now, settings) = (state.now(), state.settings.clone());
    let known = body["id"].as_u64();
    let before = known.and_then(|id| state.account(&who.account).appointments.get(&id).cloned());
    let (id, before, event) = match (method, known, before) {
        ("POST", None, _) => (1_000_000 + state.next(), None, "created"),
        ("PATCH", Some(id), Some(before)) => (id, Some(before), "updated"),
        ("DELETE", Some(id), Some(before)) => (id, Some(before), "deleted"),
        _ => return Err(Refusal::missing()),
    };
    let fresh = || {
        json!({"id": id, "creator_id": who.user, "user_id": who.user, "name": null, "all_day": false, "location": null,
            "send_updates": false, "reminder_offset": null, "description": null, "start_at": null, "end_at": null,
            "invitations": [], "contexts": [], "created_at": now})
    };
    let previous = before.as_ref().map(|before| before.data.clone());
    let mut data = previous.clone().unwrap_or_else(|| fresh().as_object().cloned().unwrap_or_default());
    data.extend(given);
    judge(&data)?;
    let sequence = before.map_or(0, |before| before.sequence) + 1;
    let told = told(&data, event, &settings);
    let meta = json!({"event_id": format!("event-{}", state.next()), "event_type": event, "event_cause": "interaction",
        "event_time": now, "type": "appointment", "sequence": sequence,
        "previous": if event == "updated" { json!(previous) } else { json!({}) }});
    let at_ms = state.now_ms;
    let held = state.account(&who.account);
    held.stream.push(Event { at_ms, item: json!({"data": told, "meta": meta}) });
    match event {
        "deleted" => drop(held.appointments.remove(&id)),
        _ => drop(held.appointments.insert(id, Appointment { data: data.clone(), sequence })),
    }
    Ok((200, json!({"data": data})))
}

fn told(data: &Map<String, Json>, event: &str, settings: &Settings) -> Json {
    match (event, settings.deleted_shown) {
        ("deleted", Shown::Id) => json!({"id": data["id"]}),
        _ => json!(data),
    }
}

fn judge(data: &Map<String, Json>) -> Result<(), Refusal> {
    for name in ["start_at", "end_at"] {
        if data[name].as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_err()) {
            return Err(Refusal::of_field("appointment", name, "incorrect_value"));
        }
    }
    Ok(())
}
