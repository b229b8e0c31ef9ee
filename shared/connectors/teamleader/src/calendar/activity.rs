//! The activities of Teamleader's calendar, a row each, and how each is seen as a meeting: what the rest of this module
//! reads has the shape of `meetings.info`, whatever it is.
//!
//! A call is seen as half an hour of the person who makes it, with whom it is made in `participant`; a task as the day that
//! it is due, of the person who has it; an event as it is, with what it is linked to in `links`.
use super::people::Me;
use crate::wire::{self, text};
use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Map, Value, json};
use tandem_core::calendar::Activity;
use tandem_core::event::Moment;
use tandem_core::record::RemoteId;

/// Teamleader says when a call begins and not how long it takes.
const CALL: SignedDuration = SignedDuration::from_mins(30);

/// What is called about an activity. No list of calls can be limited to a user, no call and no task has guests.
pub(super) struct Row {
    /// Before the id of a record. Meetings have none: they were linked before the others were carried.
    prefix: &'static str,
    pub(super) info: &'static str,
    pub(super) update: &'static str,
    pub(super) delete: &'static str,
    /// None is opened again.
    pub(super) complete: Option<&'static str>,
    /// What people call them.
    pub(super) words: &'static str,
}

pub(super) const fn row(activity: Activity) -> Row {
    match activity {
        Activity::Meetings => Row {
            prefix: "",
            info: "meetings.info",
            update: "meetings.update",
            delete: "meetings.delete",
            complete: Some("meetings.complete"),
            words: "Meetings",
        },
        Activity::Calls => Row {
            prefix: "call:",
            info: "calls.info",
            update: "calls.update",
            // Of specification 1.221; 1.112 has none.
            delete: "calls.delete",
            complete: Some("calls.complete"),
            words: "Calls",
        },
        Activity::Tasks => Row {
            prefix: "task:",
            info: "tasks.info",
            update: "tasks.update",
            delete: "tasks.delete",
            complete: Some("tasks.complete"),
            words: "Tasks",
        },
        Activity::Events => Row {
            prefix: "event:",
            info: "events.info",
            update: "events.update",
            delete: "events.cancel",
            complete: None,
            words: "Events of the older calendar",
        },
    }
}

/// Which activity a record is, and its id at Teamleader.
pub(super) fn taken_apart(id: &str) -> (Activity, &str) {
    let others = Activity::ALL.into_iter().filter(|one| !row(*one).prefix.is_empty());
    let mut own = others.filter_map(|one| Some((one, id.strip_prefix(row(one).prefix)?)));
    own.next().unwrap_or((Activity::Meetings, id))
}

/// In the place of a record, to say that an activity cannot be read.
pub(super) fn notice(activity: Activity) -> RemoteId {
    RemoteId::new(format!("{NOTICE}{}", row(activity).words))
}

/// Whether an id is one of [`notice`].
pub(super) fn is_notice(id: &str) -> bool {
    id.starts_with(NOTICE)
}

const NOTICE: &str = "barred:";

/// The activity types that an event has which is the calendar's face of a meeting, a call or a task.
pub(super) type Faces = Vec<String>;

/// A row of an activity's list, or its `info`, seen as a meeting; `None` for the face of something else.
pub(super) fn seen(activity: Activity, raw: &Map<String, Value>, me: &Me, faces: &Faces) -> Option<Map<String, Value>> {
    let mut seen = match activity {
        Activity::Meetings => raw.clone(),
        Activity::Calls => call(raw),
        Activity::Tasks => task(raw, me),
        Activity::Events => event(raw, me, faces)?,
    };
    let id = format!("{}{}", row(activity).prefix, text(raw.get("id")));
    seen.insert("id".to_owned(), json!(id));
    Some(seen)
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn minutes(length: SignedDuration) -> Value {
    json!({"unit": "min", "value": length.as_mins()})
}

/// Who has a call or a task: a user, a team or nobody.
fn assignee(raw: &Map<String, Value>) -> Vec<Value> {
    raw.get("assignee").filter(|one| one.is_object()).cloned().into_iter().collect()
}

fn call(raw: &Map<String, Value>) -> Map<String, Value> {
    object(json!({
        "description": raw.get("description"),
        "scheduled_at": raw.get("scheduled_at"),
        "duration": minutes(CALL),
        "attendees": assignee(raw),
        "status": if text(raw.get("status")) == "completed" { "done" } else { "open" },
        "participant": raw.get("participant").unwrap_or(&Value::Null),
    }))
}

/// The user's midnight, where a day has one.
fn midnight(day: Date, me: &Me) -> Option<Timestamp> {
    match Moment::of_clock(day.to_datetime(Time::midnight()), &me.zone) {
        Some(Moment::At(instant)) => Some(instant),
        Some(Moment::Day(_)) | None => None,
    }
}

fn task(raw: &Map<String, Value>, me: &Me) -> Map<String, Value> {
    let day: Option<Date> = text(raw.get("due_on")).parse().ok();
    let ends = |day: Date| Some((midnight(day, me)?, midnight(day.checked_add(1.day()).ok()?, me)?));
    let whole = day.and_then(ends);
    object(json!({
        "title": raw.get("title"),
        "description": raw.get("description"),
        "scheduled_at": whole.map(|(start, _)| wire::sent(&start.to_string())),
        "duration": minutes(whole.map(|(start, end)| end.duration_since(start)).unwrap_or_default()),
        "attendees": assignee(raw),
        "status": if raw.get("completed").and_then(Value::as_bool) == Some(true) { "done" } else { "open" },
        "completed": raw.get("completed"),
    }))
}

fn event(raw: &Map<String, Value>, me: &Me, faces: &Faces) -> Option<Map<String, Value>> {
    let kind = raw.get("activity_type").map_or("", |kind| text(kind.get("id")));
    let plans_a_task = raw.get("task").is_some_and(Value::is_object);
    if plans_a_task || faces.iter().any(|face| face == kind) {
        return None;
    }
    let at = |name: &str| wire::time(text(raw.get(name)));
    let length = at("starts_at").zip(at("ends_at")).map(|(start, end)| end.duration_since(start));
    let mut guests = raw.get("attendees").and_then(Value::as_array).cloned().unwrap_or_default();
    // Whoever made it without inviting a colleague is at it.
    if !guests.iter().any(|guest| text(guest.get("type")) == "user") {
        let creator = raw.get("creator").map_or("", |creator| text(creator.get("id")));
        guests.extend((creator == me.id).then(|| json!({"type": "user", "id": me.id})));
    }
    Some(object(json!({
        "title": raw.get("title"),
        "description": raw.get("description"),
        "scheduled_at": raw.get("starts_at"),
        "duration": minutes(length.unwrap_or_default()),
        "attendees": guests,
        "status": "open",
        "location": text(raw.get("location")),
        "links": raw.get("links").unwrap_or(&Value::Null),
    })))
}

/// Whom a call is with: the person, then the company or person that is the customer, each `(type, id)`.
pub(super) fn participants(seen: &Map<String, Value>) -> Vec<(&str, &str)> {
    let Some(with) = seen.get("participant") else { return Vec::new() };
    let of = |name: &str| with.get(name).map(|one| (text(one.get("type")), text(one.get("id"))));
    let mut both: Vec<(&str, &str)> = ["contact", "customer"].into_iter().filter_map(of).collect();
    both.retain(|(_, id)| !id.is_empty());
    both.dedup();
    both
}

/// What an event must be sent again with every change, else it loses it: its links, of the types that can be sent.
pub(super) fn links(seen: &Map<String, Value>) -> Vec<Value> {
    let all = seen.get("links").and_then(Value::as_array).into_iter().flatten();
    let known = |link: &&Value| ["contact", "company", "deal"].contains(&text(link.get("type")));
    all.filter(known).map(|link| json!({"type": link["type"], "id": link["id"]})).collect()
}

#[cfg(test)]
#[path = "activity_tests.rs"]
mod tests;
