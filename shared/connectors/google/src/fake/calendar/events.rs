//! `events.*` and `calendars.*` that change something, and `events.get`.
use super::guests;
use super::shape::{self, given};
use super::world::{Event, World};
use super::{Answered, Refused, Request};
use crate::fake::state::{EventLists, Fallen, State};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::event::Moment;
use tandem_core::recurrence::{self, Window, basic};

/// What a guest may change of an appointment that is another's.
const A_GUESTS_OWN: [&str; 6] =
    ["attendees", "reminders", "extendedProperties", "colorId", "transparency", "visibility"];

/// What a mail would be about.
#[derive(Clone, Copy)]
enum Mail {
    Invitation,
    Update,
    Cancellation,
}

pub(super) fn insert_calendar(state: &mut State, account: &str, request: &Request<'_>) -> Answered {
    let text = |name: &str| request.body[name].as_str().unwrap_or_default().to_owned();
    if text("summary").is_empty() {
        return Err(Refused::required("Missing title."));
    }
    let id = format!("c{}@group.calendar.google.com", state.next());
    let zone = Some(text("timeZone")).filter(|zone| !zone.is_empty()).unwrap_or_else(|| "UTC".to_owned());
    let calendar = super::world::Calendar {
        summary: text("summary"),
        time_zone: zone,
        roles: BTreeMap::from([(account.to_owned(), "owner".to_owned())]),
        ..Default::default()
    };
    state.calendars.calendars.insert(id.clone(), calendar);
    state.calendars.calendar(account, &id)
}

pub(super) fn delete_calendar(state: &mut State, account: &str, id: &str) -> Answered {
    let calendar = state.calendars.writable(account, id)?;
    if calendar.primary_of.is_some() {
        return Err(Refused::new(403, "calendar", "cannotDeletePrimaryCalendar", "Cannot delete primary calendar."));
    }
    state.calendars.calendars.remove(id);
    state.next();
    Ok(Value::Null)
}

/// Deletes every event, of the primary calendar only.
pub(super) fn clear_calendar(state: &mut State, account: &str, id: &str) -> Answered {
    if state.calendars.writable(account, id)?.primary_of.as_deref() != Some(account) {
        return Err(Refused::invalid("Only the primary calendar can be cleared."));
    }
    let live = |event: &&Event| !event.is_cancelled();
    let ids: Vec<String> =
        state.calendars.of(account, id)?.events.values().filter(live).map(|e| e.id.clone()).collect();
    for event in ids {
        cancel(state, account, id, &event)?;
    }
    Ok(Value::Null)
}

pub(super) fn get(state: &mut State, account: &str, calendar: &str, id: &str, request: &Request<'_>) -> Answered {
    let held = state.calendars.readable(account, calendar)?;
    let event = find(&held.events, id, &held.time_zone)?;
    if request.if_none_match.as_deref() == Some(event.etag().as_str()) {
        return Err(Refused::new(304, "global", "notModified", ""));
    }
    Ok(shape::shown(&event, account, &held.time_zone))
}

/// The event, or the occurrence of a series that is no exception yet.
pub(super) fn find(events: &BTreeMap<String, Event>, id: &str, zone: &str) -> Result<Event, Refused> {
    if let Some(event) = events.get(id) {
        return Ok(event.clone());
    }
    let (master, _) = id.rsplit_once('_').ok_or_else(Refused::missing)?;
    let master = events.get(master).filter(|m| m.is_series() && !m.is_cancelled()).ok_or_else(Refused::missing)?;
    let series = shape::series(&master.data, zone)?;
    let digits = id.rsplit('_').next().unwrap_or_default();
    let original = match digits.len() {
        8 => jiff::civil::Date::strptime("%Y%m%d", digits).ok().map(Moment::Day),
        _ => jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", digits)
            .ok()
            .and_then(|clock| Moment::of_clock(clock, &jiff::tz::TimeZone::UTC)),
    };
    let original = original.ok_or_else(Refused::missing)?;
    if !occurs(&series, &original)? {
        return Err(Refused::missing());
    }
    Ok(occurrence(master, &series, &original))
}

fn occurs(series: &tandem_core::event::Event, original: &Moment) -> Result<bool, Refused> {
    let span = series.span.moved_to(original);
    let day = jiff::SignedDuration::from_hours(24);
    let (instant, _) = span.instants();
    let window = Window {
        from: instant.saturating_sub(day).unwrap_or(instant),
        until: instant.saturating_add(day).unwrap_or(instant),
    };
    let found = recurrence::expand(series, window, 100).map_err(|_| Refused::invalid("Invalid recurrence rule."))?;
    Ok(found.iter().any(|one| one.original == *original))
}

/// An occurrence as Google shows it before anybody changed it.
pub(super) fn occurrence(master: &Event, series: &tandem_core::event::Event, original: &Moment) -> Event {
    let mut data = master.data.clone();
    data.remove("recurrence");
    data.extend(shape::times(&series.span.moved_to(original), &master.data));
    data.insert("originalStartTime".to_owned(), data["start"].clone());
    Event { id: format!("{}_{}", master.id, basic(original)), series: Some(master.id.clone()), data, ..master.clone() }
}

pub(super) fn insert(state: &mut State, account: &str, calendar: &str, request: &Request<'_>) -> Answered {
    let zone = state.calendars.writable(account, calendar)?.time_zone.clone();
    let body = request.object();
    let mut data = Map::new();
    shape::merge(&mut data, &given(&body));
    shape::check(&data, &zone)?;
    if data.get("eventType").is_some_and(|kind| kind == "fromGmail") {
        return Err(Refused::invalid("Events of this type cannot be created."));
    }
    let wanted = body.get("id").and_then(Value::as_str);
    if let Some(id) = wanted {
        let fits = (5..=1024).contains(&id.len()) && id.chars().all(|c| matches!(c, 'a'..='v' | '0'..='9'));
        // The app's own ids of occurrences and of split series have more letters.
        if !fits && !request.path.is_empty() {
            return Err(Refused::invalid("Invalid resource id value."));
        }
        if body.contains_key("iCalUID") {
            return Err(Refused::invalid("Only one of id and iCalUID may be given."));
        }
        if state.calendars.of(account, calendar)?.events.contains_key(id) {
            let text = "The requested identifier already exists.";
            return Err(Refused::new(409, "global", "duplicate", text));
        }
    }
    let id = wanted.map_or_else(|| format!("g{}", state.next()), str::to_owned);
    // Of which form it is, the reference does not say.
    let made = match state.settings.event_lists {
        EventLists::Full => format!("{id}@google.com"),
        EventLists::Sparse => format!("u{}@google.com", state.next()),
    };
    let uid = body.get("iCalUID").and_then(Value::as_str).map_or(made, str::to_owned);
    let shown =
        put(state, account, calendar, fresh(id.clone(), uid, account, data), Some((request, Mail::Invitation)))?;
    guests::carry(state, World::name(account, calendar), &id, &BTreeSet::new());
    Ok(shown)
}

/// A private copy of an event that exists elsewhere; no mail is ever sent.
pub(super) fn import(state: &mut State, account: &str, calendar: &str, request: &Request<'_>) -> Answered {
    let zone = state.calendars.writable(account, calendar)?.time_zone.clone();
    let body = request.object();
    let uid = body.get("iCalUID").and_then(Value::as_str).ok_or_else(|| Refused::required("Missing iCalUID."))?;
    let mut data = Map::new();
    shape::merge(&mut data, &given(&body));
    shape::check(&data, &zone)?;
    let there = state.calendars.of(account, calendar)?.events.values().find(|e| e.uid == uid && e.series.is_none());
    let id = there.map(|event| event.id.clone()).unwrap_or_default();
    let id = if id.is_empty() { format!("i{}", state.next()) } else { id };
    let organizer = body.get("organizer").and_then(|o| o.get("email")).and_then(Value::as_str).unwrap_or(account);
    put(state, account, calendar, fresh(id, uid.to_owned(), organizer, data), None)
}

/// What Google itself puts into a calendar, unchecked: another's appointment (`organizer`), one with a rule that only
/// Google understands, one with a shortened list of guests. With `series` it is an occurrence of a series whose master
/// is in no calendar of this account.
pub(super) fn invite(state: &mut State, account: &str, calendar: &str, body: &Value) -> Answered {
    let zone = state.calendars.of(account, calendar)?.time_zone.clone();
    let mut data = body["event"].as_object().cloned().unwrap_or_default();
    let organizer = body["organizer"].as_str().unwrap_or(account);
    let Some(series) = body["series"].as_str() else {
        // A guest's copy has the id of the organiser's.
        let id = body["id"].as_str().map_or_else(|| format!("g{}", state.next()), str::to_owned);
        let uid = format!("{id}@google.com");
        return put(state, account, calendar, fresh(id, uid, organizer, data), None);
    };
    let original = shape::moment(data.get("start"), &shape::zone_of(&data, &zone));
    let original = original.ok_or_else(|| Refused::required("Missing start time."))?;
    data.insert("originalStartTime".to_owned(), data["start"].clone());
    let id = format!("{series}_{}", basic(&original));
    let alone = fresh(id, format!("{series}@google.com"), organizer, data);
    put(state, account, calendar, Event { series: Some(series.to_owned()), ..alone }, None)
}

fn fresh(id: String, uid: String, organizer: &str, data: Map<String, Value>) -> Event {
    let organizer = organizer.to_owned();
    Event { id, uid, seq: 0, created_ms: 0, updated_ms: 0, sequence: 0, organizer, series: None, data }
}

pub(super) fn change(state: &mut State, account: &str, calendar: &str, id: &str, request: &Request<'_>) -> Answered {
    let held = state.calendars.writable(account, calendar)?;
    let (zone, before) = (held.time_zone.clone(), find(&held.events, id, &held.time_zone)?);
    if request.if_match.as_ref().is_some_and(|etag| *etag != before.etag()) {
        return Err(Refused::new(412, "global", "conditionNotMet", "Precondition Failed").at("header", "If-Match"));
    }
    let patch = given(&request.object());
    if patch.get("status").is_some_and(|status| status == "cancelled") {
        count_mails(state, account, &before, Some((request, Mail::Cancellation)));
        cancel(state, account, calendar, id)?;
        return get(state, account, calendar, id, request);
    }
    if before.data.get("eventType").is_some_and(|kind| kind != "default") {
        return Err(Refused::new(400, "calendar", "eventTypeRestriction", "This type of event cannot be changed."));
    }
    let mut after = before.clone();
    if request.method == "PUT" {
        after.data.retain(|name, _| name == "originalStartTime");
        // What is omitted is reset.
        shape::merge(&mut after.data, &patch);
    } else {
        shape::merge(&mut after.data, &patch);
    }
    if before.organizer != account && before.data.get("guestsCanModify") != Some(&json!(true)) {
        let other =
            |name: &String| after.data.get(name) != before.data.get(name) && !A_GUESTS_OWN.contains(&name.as_str());
        if after.data.keys().chain(before.data.keys()).any(other) {
            let text = "Shared properties can only be changed by the organizer of the event.";
            return Err(Refused::new(403, "calendar", "forbiddenForNonOrganizer", text));
        }
    }
    if after.is_cancelled() && !patch.contains_key("status") {
        return Err(Refused::new(400, "global", "invalid", "The event is deleted."));
    }
    shape::check(&after.data, &zone)?;
    let retimed = ["start", "end", "recurrence"].iter().any(|name| after.data.get(*name) != before.data.get(*name));
    after.sequence += u64::from(retimed);
    let shown = put(state, account, calendar, after, Some((request, Mail::Update)))?;
    guests::carry(state, World::name(account, calendar), id, &guests::of(&before));
    if retimed && state.settings.fallen == Fallen::Cancelled {
        drop_fallen(state, account, calendar, id)?;
    }
    Ok(shown)
}

/// Exceptions of occurrences that the changed rule no longer has.
fn drop_fallen(state: &mut State, account: &str, calendar: &str, master: &str) -> Result<(), Refused> {
    let held = state.calendars.of(account, calendar)?;
    let zone = held.time_zone.clone();
    let Some(series) = held.events.get(master).filter(|event| event.is_series()) else { return Ok(()) };
    let rule = shape::series(&series.data, &zone)?;
    let exceptions = held.events.values().filter(|e| e.series.as_deref() == Some(master) && !e.is_cancelled());
    let mut fallen = Vec::new();
    for event in exceptions {
        let original = shape::moment(event.data.get("originalStartTime"), &shape::zone_of(&event.data, &zone));
        if !original.map_or(Ok(false), |original| occurs(&rule, &original))? {
            fallen.push(event.id.clone());
        }
    }
    for id in fallen {
        cancel(state, account, calendar, &id)?;
    }
    Ok(())
}

pub(super) fn delete(state: &mut State, account: &str, calendar: &str, id: &str, request: &Request<'_>) -> Answered {
    let held = state.calendars.writable(account, calendar)?;
    let before = find(&held.events, id, &held.time_zone)?;
    if before.is_cancelled() {
        return Err(Refused::new(410, "global", "deleted", "Resource has been deleted"));
    }
    if request.if_match.as_ref().is_some_and(|etag| *etag != before.etag()) {
        return Err(Refused::new(412, "global", "conditionNotMet", "Precondition Failed").at("header", "If-Match"));
    }
    count_mails(state, account, &before, Some((request, Mail::Cancellation)));
    cancel(state, account, calendar, id)?;
    Ok(Value::Null)
}

/// Tombstones: of the event, and of the exceptions of a series. A cancelled occurrence is an exception of its series.
fn cancel(state: &mut State, account: &str, calendar: &str, id: &str) -> Result<(), Refused> {
    let held = state.calendars.of(account, calendar)?;
    let event = find(&held.events, id, &held.time_zone)?;
    let exceptions = held.events.values().filter(|e| e.series.as_deref() == Some(id) && !e.is_cancelled());
    let all: Vec<Event> = std::iter::once(event).chain(exceptions.cloned()).collect();
    for event in all {
        let (id, before) = (event.id.clone(), guests::of(&event));
        put(state, account, calendar, tombstone(event), None)?;
        guests::carry(state, World::name(account, calendar), &id, &before);
    }
    Ok(())
}

/// What is left of it once it is deleted.
pub(super) fn tombstone(mut event: Event) -> Event {
    event.data.retain(|name, _| ["originalStartTime", "start", "end", "summary"].contains(&name.as_str()));
    event.data.insert("status".to_owned(), json!("cancelled"));
    event
}

fn put(
    state: &mut State,
    account: &str,
    calendar: &str,
    mut event: Event,
    mail: Option<(&Request<'_>, Mail)>,
) -> Answered {
    count_mails(state, account, &event, mail);
    event.seq = state.next();
    event.updated_ms = state.now_ms;
    if event.created_ms == 0 {
        event.created_ms = state.now_ms;
    }
    state.wrote(1);
    let (name, now) = (World::name(account, calendar).to_owned(), state.now_ms);
    let held = state.calendars.writable(account, calendar)?;
    let shown = shape::shown(&event, account, &held.time_zone);
    held.events.insert(event.id.clone(), event);
    state.calendars.notify(&name, now);
    Ok(shown)
}

fn count_mails(state: &mut State, account: &str, event: &Event, mail: Option<(&Request<'_>, Mail)>) {
    let Some((request, mail)) = mail else { return };
    let asked = ["all", "externalOnly"].iter().any(|word| request.one("sendUpdates") == Some(word));
    if !asked && !request.is("sendNotifications") {
        return;
    }
    let all = event.data.get("attendees").and_then(Value::as_array).into_iter().flatten();
    let guests = all.filter(|guest| guest.get("email").is_some_and(|email| email != account)).count();
    let mails = &mut state.calendars.mails;
    match mail {
        Mail::Invitation => mails.invitations += guests,
        Mail::Update => mails.updates += guests,
        Mail::Cancellation => mails.cancellations += guests,
    }
}
