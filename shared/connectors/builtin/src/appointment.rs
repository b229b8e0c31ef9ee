//! Meetings and blocks, pure: what may be typed, the canonical appointment and back, whose they are and who finds them.
//!
//! One appointment is one record, in however many users' calendars it is. Beside the fields of its type a body holds, not
//! shown by the API: `shares` (by user: the mark of that user's sync, the calendar it came from, and the reminder and
//! visibility of a participant who is not the owner), `uids` (the names that lead to it) and `left` (users in whose
//! calendars it was).
mod input;
mod names;
mod people;

pub(crate) use input::{attendees, exceptions, time_zone, when};
pub(crate) use names::{add_uid, is_named, marks_of_uid, own_uid, record_of_uid, uid};
pub(crate) use people::{
    copy_mark, for_user, from_user, hand_over, holders, holds, join, leave, marker_of, set_marker, was_left,
};

use crate::error::CrmError;
use crate::keys;
use crate::record::{Body, Record, text};
use crate::schema::Kind;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::error::Invalid;
use tandem_core::event::{Event, Moment, field, zone};
use tandem_core::mail::Address;
use tandem_core::record::{Field, Fields, Item, Value as Said};
use tandem_core::recurrence::among;

/// What a meeting is called that came without a title: a meeting cannot be without one.
pub(crate) const UNTITLED: &str = "(no title)";
/// Whom and what one appointment is found by. A change of all of them must fit a transaction with everything else.
const INDEXED: usize = 40;

fn list<'a>(body: &'a Body, name: &str) -> &'a [Value] {
    body.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn part<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl From<Invalid> for CrmError {
    fn from(wrong: Invalid) -> Self {
        CrmError::invalid(wrong.field, wrong.message)
    }
}

/// Makes the body of an appointment one that every calendar can say: instants in UTC, rules in normal form, dates that
/// the rules leave out as exceptions. `input` is what was typed: exceptions that were typed must occur, others that no
/// longer do are dropped.
pub(crate) fn settle(body: &mut Body, input: &Map<String, Value>) -> Result<(), CrmError> {
    let lasts_all_day = body.get("all_day") == Some(&json!(true));
    for name in ["start", "end"] {
        let is_day = text(body, name).len() == 10;
        match (lasts_all_day, is_day) {
            (true, true) | (false, false) => {}
            (true, false) => return Err(CrmError::invalid(name, "with “all_day” this is a day: 2026-01-31")),
            (false, true) => {
                return Err(CrmError::invalid(name, "without “all_day” this is a time: 2026-01-31T08:00:00Z"));
            }
        }
    }
    let typed = input.get("exceptions").is_some_and(|typed| !typed.is_null());
    occurring(body, typed)?;
    let event = Event::from_fields(&fields(body))?;
    let settled = to_body(&event.to_fields(), &field::ALL);
    for (name, value) in settled {
        // What stands for no title is none in the canonical form, and a meeting cannot be without one.
        if name == "title" && text(body, "title") == UNTITLED {
            continue;
        }
        if value.is_null() {
            body.remove(&name);
        } else {
            body.insert(name, value);
        }
    }
    for (name, usual) in [("visibility", "default"), ("status", "open")] {
        body.entry(name).or_insert_with(|| json!(usual));
    }
    Ok(())
}

/// Leaves out exceptions of occurrences that there are not; those that were typed are refused.
fn occurring(body: &mut Body, typed: bool) -> Result<(), CrmError> {
    let all = list(body, "exceptions").to_vec();
    if all.is_empty() {
        return Ok(());
    }
    let alone: Body =
        body.iter().filter(|(name, _)| *name != "exceptions").map(|(n, v)| (n.clone(), v.clone())).collect();
    let series = Event::from_fields(&fields(&alone))?;
    if typed && !series.is_series() {
        return Err(CrmError::invalid("exceptions", "only a series has exceptions; say its “recurrence” too"));
    }
    let tz = zone(&series.time_zone)?;
    let original = |one: &Value| Moment::parse(part(one, "original_start"), &tz);
    let originals: Vec<Moment> = all.iter().filter_map(original).collect();
    let known: BTreeSet<Moment> = among(&series, &originals)?.into_iter().collect();
    let occurs = |one: &Value| original(one).is_some_and(|at| known.contains(&at));
    if let Some(at) = all.iter().position(|one| !occurs(one)).filter(|_| typed) {
        let message = "the rule gives no occurrence this start";
        return Err(CrmError::invalid(format!("exceptions[{at}].original_start"), message));
    }
    let kept: Vec<Value> = all.into_iter().filter(occurs).collect();
    body.insert("exceptions".to_owned(), Value::Array(kept));
    Ok(())
}

/// Leaves out of what a calendar says the exceptions of occurrences that there are not: a calendar may keep them after
/// the rule has changed, and nobody is there to mend it.
pub(crate) fn only_occurring(before: &Body, input: &mut Map<String, Value>) -> Result<(), CrmError> {
    if !input.get("exceptions").is_some_and(Value::is_array) {
        return Ok(());
    }
    let mut whole = before.clone();
    whole.extend(input.iter().map(pair));
    whole.retain(|_, value| !value.is_null());
    if !whole.contains_key("recurrence") {
        input.insert("exceptions".to_owned(), Value::Null);
        return Ok(());
    }
    occurring(&mut whole, false)?;
    input.insert("exceptions".to_owned(), whole.remove("exceptions").unwrap_or(Value::Null));
    Ok(())
}

/// The canonical fields of a body.
pub(crate) fn fields(body: &Body) -> Fields {
    let mut fields = Fields::new();
    for name in &field::ALL {
        let Some(value) = body.get(name.as_str()) else { continue };
        let said = match (name.as_str(), value) {
            ("title", Value::String(title)) if title == UNTITLED => continue,
            ("visibility", Value::String(usual)) if usual == "default" => continue,
            ("status", Value::String(usual)) if usual == "open" => continue,
            ("recurrence", Value::Array(lines)) => {
                let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
                Said::Text(lines.join("\n"))
            }
            (_, Value::Array(items)) => Said::Items(items.iter().filter_map(item).collect()),
            (_, Value::String(text)) => Said::Text(text.clone()),
            (_, Value::Bool(false)) => continue,
            (_, scalar) => Said::Text(scalar.to_string()),
        };
        fields.set(name.clone(), said);
    }
    fields
}

/// A guest, or an exception: its guests are JSON within it, as the canonical form has them.
fn item(value: &Value) -> Option<Item> {
    let parts = value.as_object()?.iter().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), text)
    });
    Some(Item { label: String::new(), parts: parts.collect() })
}

/// These fields as the API says them; `null` where one is empty.
pub(crate) fn to_body(fields: &Fields, names: &[Field]) -> Map<String, Value> {
    let value = |name: &Field| {
        let said = fields.text(name);
        match name.as_str() {
            "recurrence" if !said.is_empty() => json!(said.lines().collect::<Vec<_>>()),
            "all_day" if said == "true" => json!(true),
            "reminder_minutes" => said.parse::<u64>().map_or(Value::Null, |minutes| json!(minutes)),
            "attendees" | "exceptions" => {
                let items = fields.items(name);
                if items.is_empty() { Value::Null } else { items.iter().map(object).collect() }
            }
            _ if said.is_empty() => Value::Null,
            _ => json!(said),
        }
    };
    names.iter().map(|name| (name.as_str().to_owned(), value(name))).collect()
}

fn object(item: &Item) -> Value {
    let value = |(name, text): (&String, &String)| {
        let value = match name.as_str() {
            "cancelled" => json!(text == "true"),
            "attendees" => serde_json::from_str(text).unwrap_or_else(|_| json!([])),
            _ => json!(text),
        };
        (name.clone(), value)
    };
    Value::Object(item.parts.iter().map(value).collect())
}

/// Marks that lead to a record that says this.
pub(crate) fn marks(kind: Kind, body: &Body) -> BTreeSet<String> {
    if !kind.is_appointment() {
        return BTreeSet::new();
    }
    names::marks(body).chain(people::markers(body)).collect()
}

/// Addresses of the guests, those of single occurrences too, each with how it is written in the body.
pub(crate) fn addresses(body: &Body) -> BTreeMap<String, Address> {
    let exceptions = list(body, "exceptions").iter();
    let others = exceptions.flat_map(|one| one.get("attendees").and_then(Value::as_array).into_iter().flatten());
    let guests = list(body, "attendees").iter().chain(others);
    guests.filter_map(|guest| Some((part(guest, "email").to_owned(), Address::read(part(guest, "email"))?))).collect()
}

/// The records and addresses by which an appointment that says this is found.
pub(crate) fn abouts(kind: Kind, body: &Body) -> BTreeSet<String> {
    if !kind.is_appointment() {
        return BTreeSet::new();
    }
    let links = list(body, "links").iter().map(|link| part(link, "id").to_owned());
    let guests = addresses(body).into_values().map(|address| keys::digest(address.as_str()));
    links.chain(guests).take(INDEXED).collect()
}

/// Operations that a new record like this takes beside the usual ones.
pub(crate) fn weight(kind: Kind, body: &Body) -> usize {
    usize::from(kind.is_appointment()) + marks(kind, body).len() + abouts(kind, body).len()
}

/// Operations that this change takes beside the usual ones.
pub(crate) fn weight_between(before: &Record, body: &Body) -> usize {
    let kind = before.kind;
    let abouts = abouts(kind, &before.body).symmetric_difference(&abouts(kind, body)).count();
    abouts + marks(kind, body).difference(&marks(kind, &before.body)).count()
}

/// The record as this user may see it: somebody else's block shows its times alone.
pub(crate) fn seen_by(user: &str, record: Record) -> Record {
    if !record.kind.is_appointment() {
        return record;
    }
    if is_hidden_from(user, &record) {
        let body = times(&record.body);
        return Record { body, ..record };
    }
    let body = for_user(&record.body, user);
    Record { body, ..record }
}

/// Whether this user sees its times alone.
pub(crate) fn is_hidden_from(user: &str, record: &Record) -> bool {
    record.kind == Kind::Block && !holds(&record.body, user)
}

fn times(body: &Body) -> Body {
    const TIMES: [&str; 6] = ["start", "end", "time_zone", "all_day", "recurrence", "owner"];
    let mut shown: Body = body.iter().filter(|(name, _)| TIMES.contains(&name.as_str())).map(pair).collect();
    let exception = |one: &Value| {
        const PARTS: [&str; 4] = ["original_start", "cancelled", "start", "end"];
        let parts = one.as_object().into_iter().flatten().filter(|(name, _)| PARTS.contains(&name.as_str()));
        let parts: Map<String, Value> = parts.map(pair).collect();
        // One that is at its time says nothing about times.
        (parts.len() > 1).then_some(Value::Object(parts))
    };
    let exceptions: Vec<Value> = list(body, "exceptions").iter().filter_map(exception).collect();
    shown.insert("exceptions".to_owned(), Value::Array(exceptions));
    shown
}

fn pair((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}
