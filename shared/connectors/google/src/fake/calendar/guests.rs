//! Guests. Google puts an organiser's appointment into the calendar of each guest who has one, under the same id and
//! iCalUID, keeps those copies in step, and carries a guest's answer back to the organiser and from there to everybody.
//! What a guest has for oneself (reminders, private properties) stays in the guest's copy.
//!
//! Only appointments in an organiser's own calendar are carried on; an import is a private copy and is not.
use super::events::{find, tombstone};
use super::world::Event;
use crate::fake::state::State;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What each has for oneself.
const OWN: [&str; 4] = ["reminders", "colorId", "transparency", "visibility"];

/// The guests of an appointment, by address.
pub(super) fn of(event: &Event) -> BTreeSet<String> {
    let all = event.data.get("attendees").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|guest| guest.get("email").and_then(Value::as_str)).map(str::to_lowercase).collect()
}

/// Carries on what happened to an appointment in this calendar. `before`: who was a guest until then.
pub(super) fn carry(state: &mut State, calendar: &str, id: &str, before: &BTreeSet<String>) {
    let held = state.calendars.calendars.get(calendar).filter(|held| held.primary_of.is_some());
    let Some(event) = held.and_then(|held| held.events.get(id)).cloned() else { return };
    if event.organizer == calendar {
        to_guests(state, &event, before);
    } else {
        to_organizer(state, calendar, &event);
    }
}

fn to_guests(state: &mut State, event: &Event, before: &BTreeSet<String>) {
    let now = if event.is_cancelled() { BTreeSet::new() } else { of(event) };
    for guest in before.union(&now).filter(|guest| **guest != event.organizer) {
        let Some(calendar) = state.calendars.calendars.get(guest).filter(|held| held.primary_of.is_some()) else {
            continue;
        };
        let there = calendar.events.get(&event.id);
        let has_series = event.series.as_ref().is_some_and(|id| calendar.events.contains_key(id));
        let copy = match now.contains(guest) {
            // Who took it out of the own calendar has declined, and is not shown it again.
            true if there.is_some_and(Event::is_cancelled) && answer(event, guest) == "declined" => continue,
            true => copied(event, there),
            false if there.is_some_and(|there| !there.is_cancelled()) || (there.is_none() && has_series) => {
                tombstone(copied(event, there))
            }
            false => continue,
        };
        if there.is_none_or(|there| there.data != copy.data) {
            store(state, &guest.clone(), copy);
        }
    }
}

/// A guest's answer; where guests may change it, the rest too.
fn to_organizer(state: &mut State, guest: &str, event: &Event) {
    let Some(calendar) = state.calendars.calendars.get(&event.organizer).filter(|held| held.primary_of.is_some())
    else {
        return;
    };
    let Ok(before) = find(&calendar.events, &event.id, &calendar.time_zone) else { return };
    if before.is_cancelled() || !of(&before).contains(guest) {
        return;
    }
    let may_modify = !event.is_cancelled() && event.data.get("guestsCanModify") == Some(&json!(true));
    let mut after = if may_modify { copied(event, Some(&before)) } else { before.clone() };
    let said = if event.is_cancelled() { "declined" } else { answer(event, guest) };
    for one in after.data.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        if one.get("email").and_then(Value::as_str).is_some_and(|email| email.eq_ignore_ascii_case(guest)) {
            one["responseStatus"] = json!(said);
        }
    }
    if after.data != before.data {
        let (organizer, guests) = (event.organizer.clone(), of(&before));
        store(state, &organizer, after);
        carry(state, &organizer, &event.id, &guests);
    }
}

fn answer<'a>(event: &'a Event, guest: &str) -> &'a str {
    let all = event.data.get("attendees").and_then(Value::as_array).into_iter().flatten();
    let mut mine = all
        .filter(|one| one.get("email").and_then(Value::as_str).is_some_and(|email| email.eq_ignore_ascii_case(guest)));
    mine.next().and_then(|one| one.get("responseStatus")).and_then(Value::as_str).unwrap_or("needsAction")
}

/// The appointment as it is in another's calendar that has `there` of it.
fn copied(event: &Event, there: Option<&Event>) -> Event {
    let mut copy = event.clone();
    let own = there.map(|there| there.data.clone()).unwrap_or_default();
    for name in OWN {
        put(&mut copy.data, name, own.get(name).cloned());
    }
    let part =
        |data: &Map<String, Value>, kind: &str| data.get("extendedProperties").and_then(|p| p.get(kind)).cloned();
    let kinds = [("private", part(&own, "private")), ("shared", part(&event.data, "shared"))];
    let properties: Map<String, Value> =
        kinds.into_iter().filter_map(|(kind, value)| Some((kind.to_owned(), value?))).collect();
    put(&mut copy.data, "extendedProperties", (!properties.is_empty()).then_some(Value::Object(properties)));
    copy.created_ms = there.map_or(0, |there| there.created_ms);
    copy
}

fn put(data: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => data.insert(name.to_owned(), value),
        None => data.remove(name),
    };
}

/// Google's own doing: it counts as nobody's write.
fn store(state: &mut State, calendar: &str, mut event: Event) {
    event.seq = state.next();
    event.updated_ms = state.now_ms;
    if event.created_ms == 0 {
        event.created_ms = state.now_ms;
    }
    let now = state.now_ms;
    if let Some(held) = state.calendars.calendars.get_mut(calendar) {
        held.events.insert(event.id.clone(), event);
        state.calendars.notify(calendar, now);
    }
}
