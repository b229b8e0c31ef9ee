//! Wire ↔ canonical, pure.
//!
//! A meeting has a start and a length in minutes and no zone. One from midnight to midnight, by the user's own clock, is
//! all-day: Teamleader has no other way to say it.
use super::activity;
use super::people::People;
use crate::wire::{self, text};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_core::calendar::Activity;
use tandem_core::error::Invalid;
use tandem_core::event::{Attendee, Event, Moment, Span, Status, field};
use tandem_core::normalise;
use tandem_core::record::{Field, Fields};

/// Teamleader demands a title.
pub(super) const UNTITLED: &str = "(no title)";

fn wrong(name: &Field, what: &str) -> Invalid {
    Invalid::new(name.as_str(), what)
}

/// When a meeting starts.
pub(super) fn start(meeting: &Map<String, Value>) -> Option<Timestamp> {
    wire::time(text(meeting.get("scheduled_at")))
}

/// What tells whether a meeting is as it was: what a list shows of it. (A place is shown by `meetings.info` alone.)
pub(super) fn digest(meeting: &Map<String, Value>) -> String {
    let guests: BTreeSet<String> = guests(meeting).map(|(kind, id)| format!("{kind}:{id}")).collect();
    let mut shown = vec![
        json!(text(meeting.get("title"))),
        json!(text(meeting.get("description"))),
        json!(wire::stamp(text(meeting.get("scheduled_at")))),
        json!(minutes(meeting)),
        json!(text(meeting.get("status"))),
        json!(guests),
    ];
    // What lists of the other activities show besides; a meeting's place is no text.
    let with = activity::participants(meeting);
    shown.extend((!with.is_empty()).then(|| json!(with)));
    shown.extend(meeting.get("location").filter(|place| place.is_string()).cloned());
    hex(fnv(Value::Array(shown).to_string().as_bytes()))
}

/// FNV-1a, 64 bits: the same in every build, which `std`'s hasher does not promise. Nobody attacks it: a collision hides
/// one edit of one's own meeting.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn minutes(meeting: &Map<String, Value>) -> i64 {
    let length = meeting.get("duration").and_then(|duration| duration.get("value"));
    // "number" in the specification: a whole one in every example.
    length.and_then(|value| value.as_i64().or_else(|| value.as_f64().map(|value| value.round() as i64))).unwrap_or(0)
}

/// Who is at a meeting: `user` or `contact`, and the id.
pub(super) fn guests(meeting: &Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    let all = meeting.get("attendees").and_then(Value::as_array).into_iter().flatten();
    all.map(|guest| (text(guest.get("type")), text(guest.get("id"))))
}

/// The appointment that a meeting says, for the user that it is read for.
///
/// # Errors
/// A time that cannot be read.
pub(super) fn event(meeting: &Map<String, Value>, people: &People) -> Result<Event, Invalid> {
    let start = start(meeting).ok_or_else(|| wrong(&field::START, "is missing, or no time that can be read."))?;
    let length = SignedDuration::from_mins(minutes(meeting).max(0));
    let end = start.checked_add(length).map_err(|_| wrong(&field::END, "is no time."))?;
    let attendees = people.guests(meeting).map(|(_, email)| email.to_owned());
    Ok(Event {
        title: title(meeting, people),
        description: text(meeting.get("description")).to_owned(),
        location: place(meeting.get("location").unwrap_or(&Value::Null)),
        // Their answers and how their names are written are the calendar's.
        attendees: attendees.map(|email| Attendee { email, ..Attendee::default() }).collect(),
        status: if text(meeting.get("status")) == "done" { Status::Done } else { Status::Open },
        ..Event::at(span(start, end, people.zone())?)
    })
}

/// A call has no title: a handset and whom it is with, in any language.
fn title(meeting: &Map<String, Value>, people: &People) -> String {
    if !meeting.contains_key("participant") {
        return text(meeting.get("title")).to_owned();
    }
    let names: Vec<&str> =
        activity::participants(meeting).iter().filter_map(|(kind, id)| people.name(kind, id)).collect();
    match names[..] {
        [] => "\u{260e}".to_owned(),
        [who] => format!("\u{260e} {who}"),
        [who, of, ..] => format!("\u{260e} {who} ({of})"),
    }
}

fn span(start: Timestamp, end: Timestamp, zone: &TimeZone) -> Result<Span, Invalid> {
    let (from, to) = (zone.to_datetime(start), zone.to_datetime(end));
    let midnight = Time::midnight();
    if from.time() == midnight && to.time() == midnight && from < to {
        return Span::new(Moment::Day(from.date()), Moment::Day(to.date()));
    }
    Span::new(Moment::at(start), Moment::at(end))
}

/// The address of a place in one line, or what an event calls it; nothing for an online meeting or a room.
fn place(location: &Value) -> String {
    if let Some(place) = location.as_str() {
        return normalise::text(place);
    }
    let address = &location["address"];
    let part = |name: &str| normalise::text(text(address.get(name)));
    let town = [part("postal_code"), part("city")].join(" ");
    let parts = [part("line_1"), town.trim().to_owned()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// When it starts and ends, as instants: days from midnight to midnight by the user's clock.
fn instants(span: &Span, zone: &TimeZone) -> Result<(Timestamp, Timestamp), Invalid> {
    let instant = |moment: &Moment| match moment {
        Moment::At(instant) => Some(*instant),
        Moment::Day(day) => match Moment::of_clock(day.to_datetime(Time::midnight()), zone) {
            Some(Moment::At(instant)) => Some(instant),
            Some(Moment::Day(_)) | None => None,
        },
    };
    let both = instant(span.start()).zip(instant(span.end()));
    both.ok_or_else(|| wrong(&field::START, "is a day that the user's zone does not have."))
}

/// What of these fields goes into `meetings.schedule` and `meetings.update`, but for the guests. A place has none: only
/// addresses of customers and of the account are taken, and no text.
pub(super) fn body(changed: &[Field], wanted: &Event, zone: &TimeZone) -> Result<Map<String, Value>, Invalid> {
    let mut body = Map::new();
    let any = |names: &[Field]| names.iter().any(|name| changed.contains(name));
    if any(&[field::TITLE]) {
        let title = normalise::text(&wanted.title);
        body.insert("title".to_owned(), json!(if title.is_empty() { UNTITLED } else { &title }));
    }
    if any(&[field::START, field::END, field::ALL_DAY]) {
        let (start, end) = instants(&wanted.span, zone)?;
        body.insert("starts_at".to_owned(), json!(wire::sent(&start.to_string())));
        body.insert("ends_at".to_owned(), json!(wire::sent(&end.to_string())));
    }
    if any(&[field::DESCRIPTION]) {
        let lines = normalise::lines(&wanted.description);
        body.insert("description".to_owned(), if lines.is_empty() { Value::Null } else { json!(lines) });
    }
    Ok(body)
}

/// What of these fields goes into `calls.update` and `tasks.update`. A call has a beginning and a task a day, neither has an
/// end. `before`: as it was seen.
pub(super) fn plain_body(
    activity: Activity,
    (changed, wanted): (&[Field], &Fields),
    before: &Map<String, Value>,
    zone: &TimeZone,
) -> Result<Map<String, Value>, Invalid> {
    let mut body = Map::new();
    if changed.contains(&field::TITLE) && activity == Activity::Tasks {
        let title = normalise::text(wanted.text(&field::TITLE));
        body.insert("title".to_owned(), json!(if title.is_empty() { UNTITLED } else { &title }));
    }
    if changed.contains(&field::DESCRIPTION) {
        body.insert("description".to_owned(), json!(normalise::lines(wanted.text(&field::DESCRIPTION))));
    }
    if changed.contains(&field::START) {
        let moment = Moment::parse(wanted.text(&field::START), zone);
        let moment = moment.ok_or_else(|| wrong(&field::START, "is no time."))?;
        let (name, at) = match (activity, moment) {
            (Activity::Tasks, Moment::Day(day)) => ("due_on", day.to_string()),
            (Activity::Tasks, Moment::At(instant)) => ("due_on", zone.to_datetime(instant).date().to_string()),
            (_, Moment::At(instant)) => ("due_at", wire::sent(&instant.to_string())),
            // On another day, at its own time.
            (_, Moment::Day(day)) => {
                let time = start(before).map_or(Time::midnight(), |was| zone.to_datetime(was).time());
                let moment = Moment::of_clock(day.to_datetime(time), zone);
                let moment =
                    moment.ok_or_else(|| wrong(&field::START, "is a time that the user's zone does not have."))?;
                ("due_at", wire::sent(&moment.to_string()))
            }
        };
        body.insert(name.to_owned(), json!(at));
    }
    Ok(body)
}

/// Whether a meeting says what a draft wanted it to say.
pub(super) fn says(meeting: &Map<String, Value>, wanted: &Event, zone: &TimeZone) -> bool {
    let title = normalise::text(&wanted.title);
    let title = if title.is_empty() { UNTITLED } else { &title };
    let at = instants(&wanted.span, zone).ok();
    let shown = start(meeting).map(|start| (start, start + SignedDuration::from_mins(minutes(meeting).max(0))));
    // Lengths are in minutes.
    let alike = at.zip(shown).is_some_and(|((from, to), (start, end))| {
        from == start && to.duration_since(end).abs() < SignedDuration::from_mins(1)
    });
    alike && normalise::text(text(meeting.get("title"))) == title
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
