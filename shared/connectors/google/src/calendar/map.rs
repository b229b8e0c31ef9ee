//! Wire ↔ canonical, pure.
use super::wire::{Item, MARKER, Record};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tandem_core::error::Invalid;
use tandem_core::event::{Answer, Attendee, Deviation, Event, Moment, Span, Visibility, field, zone};
use tandem_core::normalise;
use tandem_core::record::{Field, Marker};
use tandem_core::recurrence::basic;

/// The id that we give what we create: Google takes 5 to 1024 characters of base32hex (`0`-`9`, `a`-`v`), and a replay
/// then answers 409. A hash, so that it tells nothing about the record that it comes from.
pub(crate) fn id_of(marker: &Marker) -> String {
    tandem_core::event::copy_name(marker)
}

/// The appointment that a record says.
pub(crate) fn event(record: &Record) -> Result<Event, Invalid> {
    let mut event = alone(&record.master)?;
    let lines: Vec<String> =
        record.master.list("recurrence").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if lines.is_empty() {
        return Ok(event);
    }
    for item in &record.exceptions {
        let original = original(item)?;
        let deviation = match item.is_cancelled() {
            true => Some(Deviation::Cancelled),
            false => event.deviation(&original, &alone(item)?),
        };
        event.exceptions.extend(deviation.map(|deviation| (original, deviation)));
    }
    event.repeat(&lines)?;
    Ok(event)
}

/// The start that the rule gives an exception.
pub(crate) fn original(item: &Item) -> Result<Moment, Invalid> {
    moment(item, "originalStartTime").ok_or_else(|| Invalid::new("original_start", "is missing from an exception."))
}

/// An item by itself.
pub(crate) fn alone(item: &Item) -> Result<Event, Invalid> {
    let time = |name: &'static str| {
        moment(item, name).ok_or_else(|| Invalid::new(name, "is missing, or no time that can be read."))
    };
    let time_zone = item.0.get("start").and_then(|start| start.get("timeZone")).and_then(Value::as_str);
    let time_zone = time_zone.unwrap_or_default().to_owned();
    zone(&time_zone)?;
    let mut event = Event {
        title: item.text("summary").to_owned(),
        description: item.text("description").to_owned(),
        location: item.text("location").to_owned(),
        attendees: item.list("attendees").iter().filter(|guest| !is_room(guest)).map(attendee).collect(),
        reminder_minutes: popup(item).and_then(|(_, minutes)| u32::try_from(minutes).ok()),
        visibility: match item.text("visibility") {
            // "confidential" is the older word for it.
            "private" | "confidential" => Visibility::Private,
            _ => Visibility::Default,
        },
        conference: conference(item),
        ..Event::at(Span::new(time("start")?, time("end")?)?)
    };
    if !event.span.is_all_day() {
        event.time_zone = time_zone;
    }
    Ok(event)
}

fn moment(item: &Item, name: &str) -> Option<Moment> {
    let time = item.0.get(name)?;
    if let Some(day) = time.get("date").and_then(Value::as_str) {
        return Moment::parse(day, &zone("").ok()?);
    }
    let zone = zone(time.get("timeZone").and_then(Value::as_str).unwrap_or_default()).ok()?;
    Moment::parse(time.get("dateTime").and_then(Value::as_str)?, &zone)
}

/// Rooms and equipment are guests to Google; nobody's CRM knows them.
fn is_room(guest: &Value) -> bool {
    guest.get("resource").and_then(Value::as_bool) == Some(true)
}

fn attendee(guest: &Value) -> Attendee {
    let text = |name: &str| guest.get(name).and_then(Value::as_str).unwrap_or_default();
    let answer = match text("responseStatus") {
        "accepted" => Answer::Accepted,
        "declined" => Answer::Declined,
        "tentative" => Answer::Tentative,
        _ => Answer::NeedsAction,
    };
    Attendee { email: text("email").to_owned(), name: text("displayName").to_owned(), answer }
}

/// Place and minutes of the reminder that people see first: the latest pop-up before the start.
fn popup(item: &Item) -> Option<(usize, u64)> {
    let overrides = item.0.get("reminders")?.get("overrides")?.as_array()?;
    let popups = overrides.iter().enumerate().filter(|(_, one)| one.get("method").is_some_and(|m| m == "popup"));
    popups.filter_map(|(at, one)| Some((at, one.get("minutes")?.as_u64()?))).min_by_key(|(_, minutes)| *minutes)
}

fn conference(item: &Item) -> String {
    let points = item.0.get("conferenceData").and_then(|data| data.get("entryPoints")).and_then(Value::as_array);
    let video =
        points.into_iter().flatten().find(|point| point.get("entryPointType").is_some_and(|kind| kind == "video"));
    let uri = video.and_then(|point| point.get("uri")).and_then(Value::as_str);
    uri.unwrap_or_else(|| item.text("hangoutLink")).to_owned()
}

/// The body that makes what is there say all of this, whatever it said; a deleted one is confirmed again.
pub(crate) fn whole_body(event: &Event, marker: &Marker, now: &Item) -> Map<String, Value> {
    let mut all: Vec<Field> = field::ALL.to_vec();
    all.retain(|name| *name != field::CONFERENCE && *name != field::STATUS);
    let mut body = changes(event, &all, &Record::default());
    body.insert("status".to_owned(), json!("confirmed"));
    mark(&mut body, marker, now);
    body
}

/// The body of a new appointment.
pub(crate) fn new_body(event: &Event, marker: &Marker) -> Map<String, Value> {
    let mut body = whole_body(event, marker, &Item::default());
    body.remove("status");
    for time in ["start", "end"] {
        if let Some(Value::Object(time)) = body.get_mut(time) {
            time.retain(|_, value| !value.is_null());
        }
    }
    body.retain(|_, value| !value.is_null());
    body.insert("id".to_owned(), json!(id_of(marker)));
    body
}

/// Puts the marker beside what others keep there.
pub(crate) fn mark(body: &mut Map<String, Value>, marker: &Marker, now: &Item) {
    let kept = now.0.get("extendedProperties").and_then(|all| all.get("private")).and_then(Value::as_object);
    let mut private = kept.cloned().unwrap_or_default();
    private.insert(MARKER.to_owned(), json!(marker.as_str()));
    body.insert("extendedProperties".to_owned(), json!({ "private": private }));
}

/// The body of a change of these fields, by patch semantics: what it does not name stays, `null` empties. Lists are
/// replaced whole, so they are made of what is there now.
pub(crate) fn changes(event: &Event, changed: &[Field], now: &Record) -> Map<String, Value> {
    let mut body = Map::new();
    let text = |text: String| if text.is_empty() { Value::Null } else { Value::String(text) };
    let any = |names: &[Field]| names.iter().any(|name| changed.contains(name));
    if any(&[field::TITLE]) {
        body.insert("summary".to_owned(), text(normalise::text(&event.title)));
    }
    if any(&[field::DESCRIPTION]) {
        body.insert("description".to_owned(), text(normalise::lines(&event.description)));
    }
    if any(&[field::LOCATION]) {
        body.insert("location".to_owned(), text(normalise::lines(&event.location)));
    }
    if any(&[field::START, field::END, field::ALL_DAY, field::TIME_ZONE]) {
        put_times(&mut body, &event.span, event);
    }
    if any(&[field::RECURRENCE, field::EXCEPTIONS, field::START, field::ALL_DAY]) {
        put_recurrence(&mut body, event, now);
    }
    if any(&[field::ATTENDEES]) {
        body.insert("attendees".to_owned(), guests(&event.attendees, &now.master));
    }
    if any(&[field::REMINDER_MINUTES]) {
        body.insert("reminders".to_owned(), reminders(event.reminder_minutes, &now.master));
    }
    if any(&[field::VISIBILITY]) {
        let word = if event.visibility == Visibility::Private { "private" } else { "default" };
        body.insert("visibility".to_owned(), json!(word));
    }
    body
}

/// The body that makes an exception say what `one` says.
pub(crate) fn exception(one: &Event, original: &Moment, now: Option<&Item>, series: &Record) -> Map<String, Value> {
    let mut body = Map::from_iter([("status".to_owned(), json!("confirmed"))]);
    let texts = [("summary", &one.title), ("description", &one.description), ("location", &one.location)];
    for (name, text) in texts {
        body.insert(name.to_owned(), if text.is_empty() { Value::Null } else { json!(text) });
    }
    put_times(&mut body, &one.span, one);
    let shown = now.unwrap_or(&series.master);
    let guests_now: Vec<Attendee> = shown.list("attendees").iter().filter(|g| !is_room(g)).map(attendee).collect();
    let wanted = Event { attendees: one.attendees.clone(), ..Event::at(one.span.clone()) };
    let having = Event { attendees: guests_now, ..Event::at(one.span.clone()) };
    if wanted.deviation(original, &Event { span: wanted.span.moved_to(original), ..having }).is_some() {
        body.insert("attendees".to_owned(), guests(&one.attendees, shown));
    }
    body
}

fn put_times(body: &mut Map<String, Value>, span: &Span, event: &Event) {
    for (name, moment) in [("start", span.start()), ("end", span.end())] {
        let zone = match event.time_zone.as_str() {
            // A series needs a zone to repeat in.
            "" if event.is_series() => json!("UTC"),
            "" => Value::Null,
            zone => json!(zone),
        };
        // Whichever kind it was before, it is one kind now.
        let time = match moment {
            Moment::Day(day) => json!({"date": day.to_string(), "dateTime": null, "timeZone": null}),
            Moment::At(instant) => json!({"date": null, "dateTime": instant.to_string(), "timeZone": zone}),
        };
        body.insert(name.to_owned(), time);
    }
}

/// Rules as they are, and the cancelled occurrences as `EXDATE`: no further call a cancellation. Those that Google holds
/// as exceptions of their own are cancelled there.
fn put_recurrence(body: &mut Map<String, Value>, event: &Event, now: &Record) {
    if !event.is_series() {
        body.insert("recurrence".to_owned(), Value::Null);
        return;
    }
    let is_day = event.span.is_all_day();
    let dated = |line: &String| match line.strip_prefix("RDATE:") {
        Some(days) if is_day => format!("RDATE;VALUE=DATE:{days}"),
        Some(_) | None => line.clone(),
    };
    let mut lines: Vec<String> = event.recurrence.iter().map(dated).collect();
    let held: Vec<Moment> = now.exceptions.iter().filter_map(|item| original(item).ok()).collect();
    let cancelled = event.exceptions.iter().filter(|(_, deviation)| **deviation == Deviation::Cancelled);
    let excluded: Vec<String> = cancelled.map(|(at, _)| at).filter(|at| !held.contains(at)).map(basic).collect();
    if !excluded.is_empty() {
        let kind = if is_day { "EXDATE;VALUE=DATE" } else { "EXDATE" };
        lines.push(format!("{kind}:{}", excluded.join(",")));
    }
    body.insert("recurrence".to_owned(), json!(lines));
}

/// The whole list: rooms stay, known guests keep what we do not map (comments, who is optional, who organises).
fn guests(wanted: &[Attendee], now: &Item) -> Value {
    let mut list: Vec<Value> = now.list("attendees").iter().filter(|guest| is_room(guest)).cloned().collect();
    let known: BTreeMap<String, &Value> = now
        .list("attendees")
        .iter()
        .map(|guest| (normalise::email(guest.get("email").and_then(Value::as_str).unwrap_or_default()), guest))
        .collect();
    for guest in wanted {
        let email = normalise::email(&guest.email);
        let mut entry = known.get(&email).map_or_else(|| json!({"email": email}), |guest| (*guest).clone());
        let status = match guest.answer {
            Answer::NeedsAction => "needsAction",
            Answer::Accepted => "accepted",
            Answer::Declined => "declined",
            Answer::Tentative => "tentative",
        };
        entry["responseStatus"] = json!(status);
        if !guest.name.is_empty() {
            entry["displayName"] = json!(guest.name);
        }
        list.push(entry);
    }
    Value::Array(list)
}

/// The one pop-up that is mapped; mails and further pop-ups stay.
fn reminders(minutes: Option<u32>, now: &Item) -> Value {
    let kept = now.0.get("reminders").and_then(|r| r.get("overrides")).and_then(Value::as_array);
    let mut overrides = kept.cloned().unwrap_or_default();
    match (popup(now), minutes) {
        (Some((at, _)), Some(minutes)) => overrides[at]["minutes"] = json!(minutes),
        (Some((at, _)), None) => drop(overrides.remove(at)),
        (None, Some(minutes)) => overrides.push(json!({"method": "popup", "minutes": minutes})),
        (None, None) => {}
    }
    json!({"useDefault": overrides.is_empty(), "overrides": overrides})
}
