//! What an event may be, and how it is shown.
use super::Refused;
use super::world::Event;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use tandem_core::event::{self, Moment, Span};

/// What Google makes itself; it is ignored where it is sent.
const DERIVED: [&str; 14] = [
    "kind",
    "etag",
    "id",
    "htmlLink",
    "created",
    "updated",
    "creator",
    "organizer",
    "iCalUID",
    "sequence",
    "hangoutLink",
    "attendeesOmitted",
    "recurringEventId",
    "originalStartTime",
];

/// The body without what Google makes itself.
pub(super) fn given(body: &Map<String, Value>) -> Map<String, Value> {
    let mut given = body.clone();
    given.retain(|name, _| !DERIVED.contains(&name.as_str()));
    given
}

/// Patch semantics: `null` empties, objects are merged, lists are replaced whole.
pub(super) fn merge(into: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (value, into.get_mut(name)) {
            (Value::Null, _) => drop(into.remove(name)),
            (Value::Object(patch), Some(Value::Object(old))) => merge(old, patch),
            (Value::Object(patch), _) => {
                let mut fresh = Map::new();
                merge(&mut fresh, patch);
                into.insert(name.clone(), Value::Object(fresh));
            }
            (other, _) => drop(into.insert(name.clone(), other.clone())),
        }
    }
}

pub(super) fn zone_of(data: &Map<String, Value>, calendar: &str) -> TimeZone {
    let named = data.get("start").and_then(|start| start.get("timeZone")).and_then(Value::as_str);
    event::zone(named.unwrap_or(calendar)).unwrap_or(TimeZone::UTC)
}

pub(super) fn moment(time: Option<&Value>, zone: &TimeZone) -> Option<Moment> {
    let time = time?;
    let text = |name: &str| time.get(name).and_then(Value::as_str);
    match (text("date"), text("dateTime")) {
        (Some(day), None) => Moment::parse(day, zone).filter(|at| matches!(at, Moment::Day(_))),
        (None, Some(instant)) => Moment::parse(instant, zone).filter(|at| matches!(at, Moment::At(_))),
        _ => None,
    }
}

pub(super) fn span(data: &Map<String, Value>, calendar: &str) -> Result<Span, Refused> {
    let own = |name: &str| data.get(name).and_then(|time| time.get("timeZone")).and_then(Value::as_str);
    let zone = |name: &str| event::zone(own(name).unwrap_or(calendar));
    let unknown = |_| Refused::invalid("Invalid time zone definition.");
    let time = |name: &'static str, missing: &str| match data.get(name) {
        None => Err(Refused::required(missing)),
        Some(time) => {
            let zone = zone(name).map_err(unknown)?;
            moment(Some(time), &zone).ok_or_else(|| Refused::invalid(format!("Invalid {name} time.")))
        }
    };
    let start = time("start", "Missing start time.")?;
    let end = time("end", "Missing end time.")?;
    let mixed = matches!((start, end), (Moment::Day(_), Moment::At(_)) | (Moment::At(_), Moment::Day(_)));
    if mixed {
        return Err(Refused::invalid("Start and end times must either both be date or both be dateTime."));
    }
    Span::new(start, end)
        .map_err(|_| Refused::new(400, "calendar", "timeRangeEmpty", "The specified time range is empty."))
}

/// The rules of the reference for a whole event.
pub(super) fn check(data: &Map<String, Value>, calendar: &str) -> Result<(), Refused> {
    let span = span(data, calendar)?;
    let lines: Vec<String> = strings(data, "recurrence");
    if !lines.is_empty() {
        let zoned = ["start", "end"].iter().all(|name| data[*name].get("timeZone").is_some());
        if !span.is_all_day() && !zoned {
            return Err(Refused::required("Missing time zone definition for start time."));
        }
        series(data, calendar).map_err(|_| Refused::invalid("Invalid recurrence rule."))?;
    }
    let guests = data.get("attendees").and_then(Value::as_array).into_iter().flatten();
    for guest in guests {
        let email = guest.get("email").and_then(Value::as_str).unwrap_or_default();
        if !email.contains('@') {
            return Err(Refused::invalid("Invalid attendee email."));
        }
        let answer = guest.get("responseStatus").and_then(Value::as_str).unwrap_or("needsAction");
        if !["needsAction", "declined", "tentative", "accepted"].contains(&answer) {
            return Err(Refused::invalid("Invalid attendee response status."));
        }
    }
    check_reminders(data)?;
    check_properties(data)
}

fn check_reminders(data: &Map<String, Value>) -> Result<(), Refused> {
    let Some(reminders) = data.get("reminders") else { return Ok(()) };
    let overrides = reminders.get("overrides").and_then(Value::as_array).cloned().unwrap_or_default();
    let uses_default = reminders.get("useDefault").and_then(Value::as_bool) == Some(true);
    if uses_default && !overrides.is_empty() {
        let text = "Cannot specify both default reminders and overrides at the same time.";
        return Err(Refused::new(400, "calendar", "cannotUseDefaultRemindersAndSpecifyOverride", text));
    }
    let fits = |one: &Value| {
        let minutes = one.get("minutes").and_then(Value::as_u64);
        ["popup", "email"].iter().any(|m| one.get("method").is_some_and(|is| is == m))
            && minutes.is_some_and(|m| m <= 40_320)
    };
    if overrides.len() > 5 || !overrides.iter().all(fits) {
        return Err(Refused::invalid("Invalid reminder override."));
    }
    Ok(())
}

fn check_properties(data: &Map<String, Value>) -> Result<(), Refused> {
    for kind in ["private", "shared"] {
        let all = data.get("extendedProperties").and_then(|all| all.get(kind)).and_then(Value::as_object);
        for (key, value) in all.into_iter().flatten() {
            let Some(value) = value.as_str() else { return Err(Refused::invalid("Invalid extended property.")) };
            if key.len() > 44 || value.len() > 1024 {
                return Err(Refused::invalid("The extended property is too large."));
            }
        }
    }
    Ok(())
}

pub(super) fn strings(data: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = data.get(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The rule of a series, without its exceptions.
pub(super) fn series(data: &Map<String, Value>, calendar: &str) -> Result<event::Event, Refused> {
    let mut series = event::Event::at(span(data, calendar)?);
    if !series.span.is_all_day() {
        let named = data.get("start").and_then(|start| start.get("timeZone")).and_then(Value::as_str);
        series.time_zone = named.unwrap_or(calendar).to_owned();
    }
    series.repeat(&strings(data, "recurrence")).map_err(|_| Refused::invalid("Invalid recurrence rule."))?;
    Ok(series)
}

/// The times of an occurrence, in the form of its series' own.
pub(super) fn times(span: &Span, like: &Map<String, Value>) -> [(String, Value); 2] {
    let time = |moment: &Moment, name: &str| match moment {
        Moment::Day(day) => json!({"date": day.to_string()}),
        Moment::At(instant) => match like.get(name).and_then(|time| time.get("timeZone")) {
            Some(zone) => json!({"dateTime": instant.to_string(), "timeZone": zone}),
            None => json!({"dateTime": instant.to_string()}),
        },
    };
    [("start".to_owned(), time(span.start(), "start")), ("end".to_owned(), time(span.end(), "end"))]
}

/// As Google shows it to this account. Of what is deleted it promises little.
pub(super) fn shown(event: &Event, account: &str, calendar: &str) -> Value {
    let mut out = json!({"kind": "calendar#event", "etag": event.etag(), "id": event.id, "status": "confirmed"});
    if let Some(series) = &event.series {
        out["recurringEventId"] = json!(series);
        out["originalStartTime"] = event.data["originalStartTime"].clone();
    }
    if event.is_cancelled() {
        out["status"] = json!("cancelled");
        return out;
    }
    let stamp = |ms: i64| {
        jiff::Timestamp::from_millisecond(ms).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    };
    for (name, value) in &event.data {
        out[name] = value.clone();
    }
    let mine = event.organizer == account;
    out["htmlLink"] = json!(format!("https://www.google.com/calendar/event?eid={}", event.id));
    out["created"] = json!(stamp(event.created_ms));
    out["updated"] = json!(stamp(event.updated_ms));
    out["creator"] = json!({"email": event.organizer, "self": mine});
    out["organizer"] = json!({"email": event.organizer, "self": mine});
    out["iCalUID"] = json!(event.uid);
    out["sequence"] = json!(event.sequence);
    for (name, value) in [("reminders", json!({"useDefault": true})), ("eventType", json!("default"))] {
        if out.get(name).is_none() {
            out[name] = value;
        }
    }
    let mut names = vec!["start", "end"];
    names.extend(event.series.as_ref().map(|_| "originalStartTime"));
    for name in names {
        out[name] = shown_time(&out[name], calendar);
    }
    let is_shortened = out.get("attendeesOmitted") == Some(&json!(true));
    if let Some(guests) = out.get_mut("attendees").and_then(Value::as_array_mut) {
        guests.retain(|guest| !is_shortened || guest["email"] == account);
        guests.iter_mut().for_each(|guest| dress(guest, account, &event.organizer));
    }
    out
}

/// Google shows instants by the wall clock of their zone, else of the calendar's.
fn shown_time(time: &Value, calendar: &str) -> Value {
    let named = time.get("timeZone").and_then(Value::as_str);
    let zone = event::zone(named.unwrap_or(calendar)).unwrap_or(TimeZone::UTC);
    let Some(Moment::At(instant)) = moment(Some(time), &zone) else { return time.clone() };
    let minutes = zone.to_offset(instant).seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let clock = zone.to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%S");
    let mut out = json!({
        "dateTime": format!("{clock}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60),
    });
    if let Some(named) = named {
        out["timeZone"] = json!(named);
    }
    out
}

fn dress(guest: &mut Value, account: &str, organizer: &str) {
    if guest.get("responseStatus").is_none() {
        guest["responseStatus"] = json!("needsAction");
    }
    let email = guest["email"].as_str().unwrap_or_default().to_owned();
    for (name, whose) in [("self", account), ("organizer", organizer)] {
        if email.eq_ignore_ascii_case(whose) {
            guest[name] = json!(true);
        }
    }
}
