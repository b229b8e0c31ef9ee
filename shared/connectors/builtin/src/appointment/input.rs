//! What may be typed in the fields that only appointments have.
use super::UNTITLED;
use crate::error::CrmError;
use crate::validate::{bounded, email, part, parts};
use serde_json::{Map, Value, json};
use tandem_core::event::{Answer, Moment, zone};
use tandem_core::normalise;

/// The most guests: Google takes no more with an answer each.
const MOST_GUESTS: usize = 300;
/// The most exceptions of a series.
const MOST_EXCEPTIONS: usize = 500;
/// Parts of a guest. `matches` is shown and may come back; it is not kept.
const GUEST: [&str; 4] = ["email", "name", "status", "matches"];
/// Parts of an exception.
const EXCEPTION: [&str; 8] =
    ["original_start", "cancelled", "title", "start", "end", "description", "location", "attendees"];

/// A day, or an instant in UTC to the second.
pub(crate) fn when(field: &str, value: &Value) -> Result<Value, CrmError> {
    let text = value.as_str().unwrap_or_default().trim();
    let day = || (text.len() == 10).then(|| text.parse().ok().map(Moment::Day)).flatten();
    // A time without an offset is refused: whose wall clock it is by must not depend on another field.
    let instant = || text.parse::<jiff::Timestamp>().ok().map(Moment::at);
    let moment = day().or_else(instant);
    moment.map(|moment| json!(moment.to_string())).ok_or_else(|| {
        CrmError::invalid(field, "a time looks like 2026-01-31T08:00:00Z; with “all_day” it is a day: 2026-01-31")
    })
}

pub(crate) fn time_zone(field: &str, value: &Value) -> Result<Value, CrmError> {
    let name = value.as_str().ok_or_else(|| CrmError::invalid(field, "this is a text"))?.trim();
    zone(name).map_err(|_| CrmError::invalid(field, "this is the name of a zone, such as Europe/Brussels"))?;
    Ok(json!(name))
}

fn objects<'a>(field: &str, value: &'a Value, most: usize) -> Result<Vec<&'a Map<String, Value>>, CrmError> {
    let list = value.as_array().ok_or_else(|| CrmError::invalid(field, "this is a list"))?;
    if list.len() > most {
        return Err(CrmError::invalid(field, format!("at most {most} of them")));
    }
    let object = |(at, one): (usize, &'a Value)| {
        one.as_object().ok_or_else(|| CrmError::invalid(format!("{field}[{at}]"), "this is an object"))
    };
    list.iter().enumerate().map(object).collect()
}

pub(crate) fn attendees(field: &str, value: &Value) -> Result<Value, CrmError> {
    let read = |(at, guest): (usize, &Map<String, Value>)| attendee(&format!("{field}[{at}]"), guest);
    objects(field, value, MOST_GUESTS)?.into_iter().enumerate().map(read).collect()
}

fn attendee(at: &str, guest: &Map<String, Value>) -> Result<Value, CrmError> {
    parts(at, guest, &GUEST)?;
    let address = normalise::email(&part(at, guest, "email", 254)?);
    if address.is_empty() {
        return Err(CrmError::invalid(format!("{at}.email"), "this is empty"));
    }
    email(&format!("{at}.email"), json!(address))?;
    let status = match guest.get("status") {
        None | Some(Value::Null) => Answer::NeedsAction.word(),
        Some(status) => {
            const WORDS: [&str; 4] = ["needs_action", "accepted", "declined", "tentative"];
            let known = WORDS.into_iter().find(|word| status.as_str() == Some(word));
            let message = || format!("this is one of {}", WORDS.join(", "));
            known.ok_or_else(|| CrmError::invalid(format!("{at}.status"), message()))?
        }
    };
    let mut read = Map::from_iter([("email".to_owned(), json!(address)), ("status".to_owned(), json!(status))]);
    let name = part(at, guest, "name", 300)?;
    if !name.is_empty() {
        read.insert("name".to_owned(), json!(normalise::text(&name)));
    }
    Ok(Value::Object(read))
}

pub(crate) fn exceptions(field: &str, value: &Value) -> Result<Value, CrmError> {
    let read = |(at, one): (usize, &Map<String, Value>)| exception(&format!("{field}[{at}]"), one);
    objects(field, value, MOST_EXCEPTIONS)?.into_iter().enumerate().map(read).collect()
}

fn exception(at: &str, one: &Map<String, Value>) -> Result<Value, CrmError> {
    parts(at, one, &EXCEPTION)?;
    let named = |name: &str| (format!("{at}.{name}"), one.get(name).filter(|value| !value.is_null()));
    let (place, original) = named("original_start");
    let original = when(&place, original.unwrap_or(&Value::Null))?;
    let mut read = Map::from_iter([("original_start".to_owned(), original)]);
    match named("cancelled") {
        (_, Some(Value::Bool(true))) => {
            read.insert("cancelled".to_owned(), json!(true));
            return Ok(Value::Object(read));
        }
        (_, None | Some(Value::Bool(false))) => {}
        (place, Some(_)) => return Err(CrmError::invalid(place, "this is true or false")),
    }
    for (name, most) in [("title", 1_024), ("description", 30_000), ("location", 1_024)] {
        if let (place, Some(text)) = named(name) {
            let normal = if name == "title" { normalise::text } else { normalise::lines };
            read.insert(name.to_owned(), bounded(&place, text, most, normal)?);
        }
    }
    if read.get("title").is_some_and(|title| title == UNTITLED) {
        read.insert("title".to_owned(), json!(""));
    }
    for name in ["start", "end"] {
        if let (place, Some(time)) = named(name) {
            read.insert(name.to_owned(), when(&place, time)?);
        }
    }
    if let (place, Some(guests)) = named("attendees") {
        read.insert("attendees".to_owned(), attendees(&place, guests)?);
    }
    Ok(Value::Object(read))
}
