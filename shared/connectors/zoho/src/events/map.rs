//! Wire ↔ canonical, pure.
//!
//! Zoho shows times with the offset of the user's zone and names no zone. A series repeats by that zone's wall clock, so
//! it is the zone of every series read here.
use crate::wire::Record;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tandem_core::error::Invalid;
use tandem_core::event::{Answer, Attendee, Deviation, Event, Moment, Span, field, zone};
use tandem_core::normalise;
use tandem_core::record::{Field, Fields};

/// Zoho demands a title, and writes this itself where Google has none.
pub(super) const UNTITLED: &str = "Not Provided";
/// What Zoho's own form can say. https://help.zoho.com/portal/en/community/topic/kaizen-8 (RRULE).
const PARTS: [&str; 8] = ["FREQ", "INTERVAL", "UNTIL", "COUNT", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS"];
const EVERY: [&str; 4] = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"];

fn wrong(name: &Field, what: &str) -> Invalid {
    Invalid::new(name.as_str(), what)
}

/// The appointment that a record says. `user_zone` is the zone that Zoho shows this user's times in.
pub(super) fn event(record: &Record, user_zone: &str) -> Result<Event, Invalid> {
    let all_day = record.0.get("All_day").and_then(Value::as_bool).unwrap_or_default();
    let mut event = Event {
        title: record.text("Event_Title").to_owned(),
        description: record.text("Description").to_owned(),
        location: record.text("Venue").to_owned(),
        attendees: participants(record).iter().filter_map(attendee).collect(),
        reminder_minutes: reminder(record),
        ..Event::at(span(record, all_day)?)
    };
    let recurring = record.0.get("Recurring_Activity").cloned().unwrap_or_default();
    let Some(rule) = recurring["RRULE"].as_str().filter(|rule| !rule.is_empty()) else { return Ok(event) };
    if !all_day {
        event.time_zone = user_zone.to_owned();
    }
    for day in recurring["EXDATE"].as_str().unwrap_or_default().split(',').filter_map(day) {
        event.exceptions.insert(on_day(&event, day)?, Deviation::Cancelled);
    }
    event.repeat(&[read_rule(rule)])?;
    Ok(event)
}

/// All-day appointments: the days as Zoho shows them. An end at midnight is over by then, any other is within its day.
fn span(record: &Record, all_day: bool) -> Result<Span, Invalid> {
    let time = |name: &Field, wire: &str| {
        let text = record.text(wire);
        let read = match all_day {
            false => Moment::parse(text, &TimeZone::UTC),
            true => text.get(..19).and_then(|clock| clock.parse().ok()).map(|clock: DateTime| match wire {
                "End_DateTime" if clock.time() != Time::midnight() => {
                    Moment::Day(clock.date().tomorrow().unwrap_or(clock.date()))
                }
                _ => Moment::Day(clock.date()),
            }),
        };
        read.ok_or_else(|| wrong(name, "is missing, or no time that can be read."))
    };
    Span::new(time(&field::START, "Start_DateTime")?, time(&field::END, "End_DateTime")?)
}

/// Whether it is this user's: as its owner, or as one who takes part. One without an owner is everybody's.
pub(super) fn is_of(record: &Record, user: &str) -> bool {
    let owner = owner(record);
    let takes_part = |one: &Value| one["type"] == "user" && one["participant"] == user;
    owner.is_empty() || owner == user || participants(record).iter().any(takes_part)
}

pub(super) fn owner(record: &Record) -> &str {
    record.0.get("Owner").and_then(|owner| owner["id"].as_str()).unwrap_or_default()
}

/// Whether a task is still to be done. An organisation may have statuses of its own that close a task: the time tells.
pub(super) fn is_open(task: &Record) -> bool {
    task.text("Status") != "Completed" && task.text("Closed_Time").is_empty()
}

/// The appointment that a task is: the day that it is due. `None`: on no day.
pub(super) fn task(record: &Record) -> Result<Option<Event>, Invalid> {
    let due = record.text("Due_Date");
    if due.is_empty() {
        return Ok(None);
    }
    let day: Date = due.parse().map_err(|_| wrong(&field::START, "is no day that can be read."))?;
    let next = day.tomorrow().map_err(|_| wrong(&field::END, "is no day."))?;
    Ok(Some(Event {
        title: record.text("Subject").to_owned(),
        description: record.text("Description").to_owned(),
        ..Event::at(Span::new(Moment::Day(day), Moment::Day(next))?)
    }))
}

/// What of these fields goes into a task: it has a day, and neither an hour nor an end.
///
/// # Errors
/// A start that is no time.
pub(super) fn task_body(
    (changed, wanted): (&[Field], &Fields),
    user_zone: &str,
) -> Result<Map<String, Value>, Invalid> {
    let mut body = Map::new();
    if changed.contains(&field::TITLE) {
        body.insert("Subject".to_owned(), json!(title(wanted.text(&field::TITLE))));
    }
    if changed.contains(&field::DESCRIPTION) {
        body.insert("Description".to_owned(), text(normalise::lines(wanted.text(&field::DESCRIPTION))));
    }
    if changed.contains(&field::START) {
        let zone = zone(user_zone)?;
        let start = Moment::parse(wanted.text(&field::START), &zone);
        let start = start.ok_or_else(|| wrong(&field::START, "is no time."))?;
        body.insert("Due_Date".to_owned(), json!(date(&start, &zone).to_string()));
    }
    Ok(body)
}

/// A title, or what Zoho writes where there is none.
fn title(wanted: &str) -> String {
    let title = normalise::text(wanted);
    if title.is_empty() { UNTITLED.to_owned() } else { title }
}

/// Zoho empties a field by null.
fn text(text: String) -> Value {
    if text.is_empty() { Value::Null } else { Value::String(text) }
}

fn participants(record: &Record) -> Vec<Value> {
    record.0.get("Participants").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A participant is shown with its address; one that we have just written is known by it.
fn address(participant: &Value) -> String {
    let text = |name: &str| participant[name].as_str().unwrap_or_default();
    let written = if text("type") == "email" { text("participant") } else { "" };
    normalise::email(if text("Email").is_empty() { written } else { text("Email") })
}

fn attendee(participant: &Value) -> Option<Attendee> {
    let email = address(participant);
    let name = participant["name"].as_str().unwrap_or_default().to_owned();
    let answer = match participant["status"].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "accepted" => Answer::Accepted,
        "declined" => Answer::Declined,
        "tentative" | "maybe" => Answer::Tentative,
        _ => Answer::NeedsAction,
    };
    // Zoho shows the address as the name of who has none.
    let name = if normalise::email(&name) == email { String::new() } else { name };
    (!email.is_empty()).then_some(Attendee { email, name, answer })
}

/// Minutes before the start of a reminder: `{"unit": 15, "period": "minutes"}` (v8), else a time of its own (before v8).
fn minutes(record: &Record, one: &Value) -> Option<u32> {
    if let Some(at) = one.as_str() {
        let at: jiff::Timestamp = at.parse().ok()?;
        let start: jiff::Timestamp = record.text("Start_DateTime").parse().ok()?;
        return u32::try_from(at.duration_until(start).as_mins()).ok();
    }
    let unit = u32::try_from(one["unit"].as_u64()?).ok()?;
    let each = match one["period"].as_str()? {
        "minutes" => 1,
        "hours" => 60,
        // At an hour of that day, which is no number of minutes.
        _ if one["time"].is_string() => return None,
        "days" => 24 * 60,
        "weeks" => 7 * 24 * 60,
        _ => return None,
    };
    unit.checked_mul(each)
}

fn reminders(record: &Record) -> Vec<Value> {
    match record.0.get("Remind_At") {
        Some(Value::Array(all)) => all.clone(),
        Some(one @ Value::String(_)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// The one that people see last before the start.
fn reminder(record: &Record) -> Option<u32> {
    reminders(record).iter().filter_map(|one| minutes(record, one)).min()
}

fn day(text: &str) -> Option<Date> {
    let text = text.trim();
    let dashed = text.get(..10).filter(|day| day.contains('-')).and_then(|day| day.parse().ok());
    dashed.or_else(|| Date::strptime("%Y%m%d", text.get(..8)?).ok())
}

/// The occurrence on this day.
fn on_day(event: &Event, day: Date) -> Result<Moment, Invalid> {
    let Moment::At(start) = *event.span.start() else { return Ok(Moment::Day(day)) };
    let zone = zone(&event.time_zone)?;
    let clock = day.to_datetime(zone.to_datetime(start).time());
    Moment::of_clock(clock, &zone).ok_or_else(|| wrong(&field::EXCEPTIONS, "has a day that is none."))
}

/// Zoho writes `UNTIL` as a day with dashes and may add the start to the rule.
fn read_rule(rule: &str) -> String {
    let parts = rule.trim_start_matches("RRULE:").split(';').filter(|part| !part.trim().is_empty());
    let kept =
        parts.filter(|part| !part.to_ascii_uppercase().starts_with("DTSTART")).map(|part| match part.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("UNTIL") => {
                format!(
                    "UNTIL={}",
                    day(value).map_or_else(|| value.to_owned(), |day| day.strftime("%Y%m%d").to_string())
                )
            }
            Some(_) | None => part.to_owned(),
        });
    format!("RRULE:{}", kept.collect::<Vec<_>>().join(";"))
}

/// What changes of these fields put into a record; what is not named stays.
///
/// # Errors
/// What Zoho has no place for, by the field.
pub(super) fn body(
    (changed, wanted): (&[Field], &Event),
    raw: &Record,
    user_zone: &str,
) -> Result<Map<String, Value>, Invalid> {
    let mut body = Map::new();
    let any = |names: &[Field]| names.iter().any(|name| changed.contains(name));
    if any(&[field::TITLE]) {
        body.insert("Event_Title".to_owned(), json!(title(&wanted.title)));
    }
    if any(&[field::DESCRIPTION]) {
        body.insert("Description".to_owned(), text(normalise::lines(&wanted.description)));
    }
    if any(&[field::LOCATION]) {
        body.insert("Venue".to_owned(), text(normalise::lines(&wanted.location)));
    }
    if any(&[field::START, field::END, field::ALL_DAY]) {
        put_times(&mut body, &wanted.span, &zone(user_zone)?);
    }
    let timed = [field::START, field::ALL_DAY, field::TIME_ZONE];
    if any(&[field::RECURRENCE, field::EXCEPTIONS]) || (wanted.is_series() && any(&timed)) {
        body.insert("Recurring_Activity".to_owned(), recurring(wanted, user_zone)?);
    }
    if any(&[field::ATTENDEES]) {
        body.insert("Participants".to_owned(), guests(&wanted.attendees, raw));
    }
    if any(&[field::REMINDER_MINUTES]) {
        body.insert("Remind_At".to_owned(), reminding(wanted.reminder_minutes, raw));
    }
    Ok(body)
}

/// The record as it will be read after that write.
pub(super) fn after(raw: &Record, body: &Map<String, Value>) -> Record {
    let mut record = raw.clone();
    record.0.extend(body.clone());
    record
}

/// With the offset that the zone has then: `2026-03-29T23:59:00+02:00`. (Zoho takes no `Z`.)
fn spell(instant: jiff::Timestamp, zone: &TimeZone) -> String {
    let minutes = zone.to_offset(instant).seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let clock = zone.to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    format!("{clock}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

fn put_times(body: &mut Map<String, Value>, span: &Span, user: &TimeZone) {
    let spelled = |instant: jiff::Timestamp| spell(instant, user);
    let of_day = |day: Date, time: Time| match Moment::of_clock(day.to_datetime(time), user) {
        Some(Moment::At(instant)) => spelled(instant),
        Some(Moment::Day(_)) | None => String::new(),
    };
    let (start, end) = match (*span.start(), *span.end()) {
        (Moment::Day(from), Moment::Day(to)) => {
            let last = to.yesterday().unwrap_or(to).max(from);
            (of_day(from, Time::midnight()), of_day(last, Time::constant(23, 59, 0, 0)))
        }
        (Moment::At(from), Moment::At(to)) => (spelled(from), spelled(to)),
        // A span is of one kind.
        (Moment::Day(_), Moment::At(_)) | (Moment::At(_), Moment::Day(_)) => return,
    };
    body.insert("Start_DateTime".to_owned(), json!(start));
    body.insert("End_DateTime".to_owned(), json!(end));
    body.insert("All_day".to_owned(), json!(span.is_all_day()));
}

fn recurring(event: &Event, user_zone: &str) -> Result<Value, Invalid> {
    if !event.is_series() {
        return Ok(Value::Null);
    }
    let [rule] = event.recurrence.as_slice() else {
        return Err(wrong(&field::RECURRENCE, "must be one rule: Zoho has no place for several, or for extra dates."));
    };
    let Some(rule) = rule.strip_prefix("RRULE:") else {
        return Err(wrong(&field::RECURRENCE, "must be a rule: Zoho has no place for single dates."));
    };
    let local = zone(user_zone)?;
    if !event.span.is_all_day() && !keep_the_same_clock(&zone(&event.time_zone)?, &local, event) {
        return Err(wrong(&field::TIME_ZONE, "keeps another clock than the Zoho user's, by which Zoho repeats."));
    }
    let parts: Result<Vec<String>, Invalid> = rule.split(';').map(|part| written_part(part, event, &local)).collect();
    let mut excluded = Vec::new();
    for (original, deviation) in &event.exceptions {
        match deviation {
            Deviation::Cancelled => excluded.push(date(original, &local).to_string()),
            Deviation::Changed(_) => {
                return Err(wrong(
                    &field::EXCEPTIONS,
                    "has a changed occurrence, and Zoho can only leave occurrences out.",
                ));
            }
        }
    }
    let mut recurring = json!({"RRULE": parts?.join(";")});
    if !excluded.is_empty() {
        recurring["EXDATE"] = json!(excluded.join(","));
    }
    Ok(recurring)
}

fn date(moment: &Moment, zone: &TimeZone) -> Date {
    match moment {
        Moment::Day(day) => *day,
        Moment::At(instant) => zone.to_datetime(*instant).date(),
    }
}

fn written_part(part: &str, event: &Event, local: &TimeZone) -> Result<String, Invalid> {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    if !PARTS.contains(&name) || (name == "FREQ" && !EVERY.contains(&value)) {
        return Err(wrong(
            &field::RECURRENCE,
            "has a part that Zoho does not know: it repeats by day, week, month or year.",
        ));
    }
    if name != "UNTIL" {
        return Ok(part.to_owned());
    }
    let instant = |text: &str| {
        let clock = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
        TimeZone::UTC.to_timestamp(clock).ok()
    };
    let last = match (instant(value), *event.span.start()) {
        (Some(until), Moment::At(start)) => {
            let (until, start) = (local.to_datetime(until), local.to_datetime(start));
            // Zoho counts the whole day: one that ends before the hour of the series has no occurrence any more.
            if until.time() < start.time() { until.date().yesterday().unwrap_or(until.date()) } else { until.date() }
        }
        (Some(until), Moment::Day(_)) => TimeZone::UTC.to_datetime(until).date(),
        (None, _) => day(value).ok_or_else(|| wrong(&field::RECURRENCE, "ends on a day that is none."))?,
    };
    Ok(format!("UNTIL={last}"))
}

/// Whether both zones show the same time on every day of the series' next three years.
fn keep_the_same_clock(a: &TimeZone, b: &TimeZone, event: &Event) -> bool {
    let (start, _) = event.span.instants();
    (0..3 * 366).all(|day| {
        let at = start.saturating_add(jiff::SignedDuration::from_hours(24 * day)).unwrap_or(start);
        a.to_offset(at) == b.to_offset(at)
    })
}

/// Who is there keeps the entry (a contact, a lead, a user of the CRM); who is new comes by address.
fn guests(wanted: &[Attendee], raw: &Record) -> Value {
    let known: BTreeMap<String, Value> =
        participants(raw).into_iter().map(|participant| (address(&participant), participant)).collect();
    let mut seen = std::collections::BTreeSet::new();
    // Entries without an address (a contact that has none) are nobody's to remove.
    let silent = participants(raw).into_iter().filter(|participant| address(participant).is_empty());
    let named = wanted.iter().map(|guest| normalise::email(&guest.email)).filter(|email| !email.is_empty());
    let kept = named.filter(|email| seen.insert(email.clone())).map(|email| match known.get(&email) {
        Some(participant) => participant.clone(),
        None => json!({"type": "email", "participant": email}),
    });
    Value::Array(silent.chain(kept.collect::<Vec<_>>()).collect())
}

/// The one that is mapped; the others stay.
fn reminding(wanted: Option<u32>, raw: &Record) -> Value {
    let now = reminder(raw);
    let mut all = reminders(raw);
    all.retain(|one| one.is_object());
    match all.iter().position(|one| now.is_some() && minutes(raw, one) == now) {
        Some(at) => match wanted {
            Some(minutes) => all[at] = json!({"unit": minutes, "period": "minutes"}),
            None => drop(all.remove(at)),
        },
        None => all.extend(wanted.map(|minutes| json!({"unit": minutes, "period": "minutes"}))),
    }
    if all.is_empty() { Value::Null } else { Value::Array(all) }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
