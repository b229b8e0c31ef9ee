//! The occurrences of a series in a window.
use super::wrong;
use crate::error::Invalid;
use crate::event::{Deviation, Event, Moment, Span, zone};
use chrono::TimeZone as _;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rrule::{Frequency, RRule, RRuleSet, Unvalidated};
use std::collections::BTreeMap;

/// Google ends a series here at the latest; a count above it would be no calendar's.
const MOST_COUNTED: u32 = 10_000;

/// From an instant to an exclusive one. Days count from midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first instant inside.
    pub from: Timestamp,
    /// The first instant outside again.
    pub until: Timestamp,
}

/// One occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The start that the rule gives it: its identity, however it is moved or renamed.
    pub original: Moment,
    /// When it is.
    pub span: Span,
}

/// The occurrences of a series (or the one of a single appointment) that touch the window, by their time.
/// The work grows with the window and not with the age of the series, but for rules with `COUNT` (at most 10,000 steps)
/// and monthly or yearly ones that begin on the 29th or later (a step a month or year).
///
/// # Errors
/// A rule that cannot be worked out, or more than `most` occurrences.
pub fn expand(event: &Event, window: Window, most: usize) -> Result<Vec<Occurrence>, Invalid> {
    let single = [*event.span.start()];
    let starts = if event.is_series() { starts(event, window, most)? } else { single.to_vec() };
    let mut found: BTreeMap<Moment, Occurrence> = BTreeMap::new();
    for original in starts {
        let span = match event.exceptions.get(&original) {
            Some(Deviation::Cancelled) => continue,
            Some(Deviation::Changed(other)) => other.span.clone(),
            None => None,
        };
        let span = span.unwrap_or_else(|| event.span.moved_to(&original));
        if touches(&span, window) {
            found.insert(original, Occurrence { original, span });
        }
    }
    // Moved into the window from outside it.
    for (original, deviation) in &event.exceptions {
        let Deviation::Changed(other) = deviation else { continue };
        let Some(span) = other.span.clone().filter(|span| touches(span, window)) else { continue };
        if !found.contains_key(original) && occurs(event, original)? {
            found.insert(*original, Occurrence { original: *original, span });
        }
    }
    if found.len() > most {
        return Err(wrong("repeats too often."));
    }
    let mut found: Vec<Occurrence> = found.into_values().collect();
    found.sort_by_key(|one| (one.span.instants(), one.original));
    Ok(found)
}

fn touches(span: &Span, window: Window) -> bool {
    let (start, end) = span.instants();
    start < window.until && (end > window.from || start >= window.from)
}

/// Whether the rule gives an occurrence this start.
fn occurs(event: &Event, original: &Moment) -> Result<bool, Invalid> {
    Ok(!among(event, std::slice::from_ref(original))?.is_empty())
}

/// Those of these starts that the rule gives an occurrence.
///
/// # Errors
/// A rule that cannot be worked out.
pub fn among(event: &Event, originals: &[Moment]) -> Result<Vec<Moment>, Invalid> {
    let instants = || originals.iter().map(|original| event.span.moved_to(original).instants().0);
    let (Some(from), Some(last)) = (instants().min(), instants().max()) else { return Ok(Vec::new()) };
    if !event.is_series() {
        return Ok(Vec::new());
    }
    let until = last.saturating_add(SignedDuration::from_secs(1)).unwrap_or(last);
    let starts = starts(event, Window { from, until }, usize::MAX)?;
    Ok(originals.iter().filter(|original| starts.binary_search(original).is_ok()).copied().collect())
}

fn starts(event: &Event, window: Window, most: usize) -> Result<Vec<Moment>, Invalid> {
    let zone = &zone(&event.time_zone)?;
    let (start, end) = event.span.instants();
    let length = start.duration_until(end);
    // A day more on either side: offsets between the wall clock and UTC.
    let day = SignedDuration::from_hours(25);
    let from = window.from.saturating_sub(length + day).unwrap_or(Timestamp::MIN);
    let until = window.until.saturating_add(day).unwrap_or(Timestamp::MAX);
    let clock = |instant: Timestamp| TimeZone::UTC.to_datetime(instant);
    let mut found = Vec::new();
    for line in &event.recurrence {
        match line.split_once(':') {
            Some(("RRULE", rule)) => found.extend(by_rule(rule, event, zone, (clock(from), clock(until)), most)?),
            Some((_, dates)) => found.extend(super::moments(dates, "", &event.span, zone)?),
            None => return Err(wrong("has a line that is no rule.")),
        }
    }
    // A series of dates alone has its own start too (RFC 5545, 3.8.5.2: DTSTART is the first of the set).
    if !event.recurrence.iter().any(|line| line.starts_with("RRULE")) {
        found.push(*event.span.start());
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// A rule taken apart, by the wall clock: `rrule` works in UTC here and knows of no zone.
struct Walk {
    rule: RRule<Unvalidated>,
    start: DateTime,
    is_counted: bool,
}

fn parsed(rule: &str, span: &Span, zone: &TimeZone) -> Result<Walk, Invalid> {
    let start = span.start().clock(zone);
    let mut text = Vec::new();
    let mut is_counted = false;
    for part in rule.split(';') {
        match part.split_once('=') {
            Some(("UNTIL", until)) => text.push(format!("UNTIL={}", wall(until, span, zone)?)),
            Some(("COUNT", count)) => {
                if count.parse::<u32>().map_or(true, |count| count == 0 || count > MOST_COUNTED) {
                    return Err(wrong("has a COUNT that is no number from 1 to 10,000."));
                }
                is_counted = true;
                text.push(part.to_owned());
            }
            Some(_) | None => text.push(part.to_owned()),
        }
    }
    let unread = |_| wrong("is no rule that can be worked out.");
    let rule: RRule<Unvalidated> = text.join(";").parse().map_err(unread)?;
    if [Frequency::Hourly, Frequency::Minutely, Frequency::Secondly].contains(&rule.get_freq()) {
        return Err(wrong("repeats within the day, which calendars do not take."));
    }
    Ok(Walk { rule, start, is_counted })
}

/// `UNTIL` by the wall clock, spelled as UTC.
fn wall(until: &str, span: &Span, zone: &TimeZone) -> Result<String, Invalid> {
    let digits = until.trim_end_matches('Z');
    if span.is_all_day() {
        return Ok(format!("{digits}T000000Z"));
    }
    let unread = || wrong("has an UNTIL that is no time.");
    let clock = DateTime::strptime("%Y%m%dT%H%M%S", digits).map_err(|_| unread())?;
    let moment = Moment::of_clock(clock, &TimeZone::UTC).ok_or_else(unread)?;
    Ok(moment.clock(zone).strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// Whether rules in normal form can be worked out at all.
pub(super) fn check(lines: &[String], span: &Span, zone: &TimeZone) -> Result<(), Invalid> {
    for rule in lines.iter().filter_map(|line| line.strip_prefix("RRULE:")) {
        let walk = parsed(rule, span, zone)?;
        set_of(&walk, walk.start)?;
    }
    Ok(())
}

/// `None`: it ends before it starts.
fn set_of(walk: &Walk, start: DateTime) -> Result<Option<RRuleSet>, Invalid> {
    let first = chrono_of(start).ok_or_else(|| wrong("starts outside of time."))?;
    if walk.rule.get_until().is_some_and(|until| *until < first) {
        return Ok(None);
    }
    let rule = walk.rule.clone().validate(first).map_err(|_| wrong("is no rule that can be worked out."))?;
    Ok(Some(RRuleSet::new(first).rrule(rule).limit()))
}

fn by_rule(
    rule: &str,
    event: &Event,
    zone: &TimeZone,
    (from, until): (DateTime, DateTime),
    most: usize,
) -> Result<Vec<Moment>, Invalid> {
    let walk = parsed(rule, &event.span, zone)?;
    let Some(set) = set_of(&walk, nearer(&walk, from))? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for date in &set {
        let clock = jiff_of(&date).ok_or_else(|| wrong("runs out of time."))?;
        if clock >= until {
            break;
        }
        if clock < from {
            continue;
        }
        if found.len() > most.saturating_add(2) {
            return Err(wrong("repeats too often."));
        }
        found.extend(match event.span.is_all_day() {
            true => Some(Moment::Day(clock.date())),
            false => Moment::of_clock(clock, zone),
        });
    }
    Ok(found)
}

/// A start of the same rhythm that is not long before `from`. What a rule takes from its start (time of day, weekday,
/// day of the month, month) is the same there; a count has to be counted from the true one.
fn nearer(walk: &Walk, from: DateTime) -> DateTime {
    if walk.is_counted || from <= walk.start {
        return walk.start;
    }
    let interval = i64::from(walk.rule.get_interval().max(1));
    let days = walk.start.duration_until(from).as_hours() / 24;
    // One step back: the first week (month, year) of a rule begins before its start.
    let in_steps_of = |step: i64, have: i64| ((have / step - 1) * step).max(0);
    let months = i64::from(from.year() - walk.start.year()) * 12 + i64::from(from.month() - walk.start.month());
    let span = match walk.rule.get_freq() {
        Frequency::Daily => in_steps_of(interval, days).days(),
        Frequency::Weekly => in_steps_of(7 * interval, days).days(),
        // Not every month has these days: such rules are walked from their start, a step a month or year.
        Frequency::Yearly | Frequency::Monthly if walk.start.day() > 28 => return walk.start,
        Frequency::Monthly => in_steps_of(interval, months).months(),
        Frequency::Yearly => in_steps_of(12 * interval, months).months(),
        Frequency::Hourly | Frequency::Minutely | Frequency::Secondly => return walk.start,
    };
    walk.start.saturating_add(span)
}

fn chrono_of(clock: DateTime) -> Option<chrono::DateTime<rrule::Tz>> {
    let date = chrono::NaiveDate::from_ymd_opt(
        i32::from(clock.year()),
        u32::try_from(clock.month()).ok()?,
        u32::try_from(clock.day()).ok()?,
    )?;
    let part = |n: i8| u32::try_from(n).ok();
    let time = date.and_hms_opt(part(clock.hour())?, part(clock.minute())?, part(clock.second())?)?;
    Some(rrule::Tz::UTC.from_utc_datetime(&time))
}

fn jiff_of(date: &chrono::DateTime<rrule::Tz>) -> Option<DateTime> {
    let instant = Timestamp::from_second(date.timestamp()).ok()?;
    Some(TimeZone::UTC.to_datetime(instant))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that the rule is walked for a window of so many days from 2026 on.
    fn steps(rule: &str, start: &str, days: i64) -> usize {
        let at = |text: &str| Moment::parse(text, &TimeZone::UTC).unwrap();
        let first = at(start);
        let span = Span::new(first, Moment::At(first_instant(&first) + SignedDuration::from_hours(1))).unwrap();
        let walk = parsed(rule, &span, &TimeZone::UTC).unwrap();
        let from: DateTime = "2026-01-01T00:00:00".parse().unwrap();
        let until = from + SignedDuration::from_hours(24 * days);
        let set = set_of(&walk, nearer(&walk, from)).unwrap().unwrap();
        set.into_iter().take_while(|date| jiff_of(date).unwrap() < until).count()
    }

    fn first_instant(moment: &Moment) -> Timestamp {
        match moment {
            Moment::At(instant) => *instant,
            Moment::Day(_) => panic!("a time"),
        }
    }

    #[test]
    fn the_work_grows_with_the_window() {
        for (rule, each) in [("FREQ=DAILY", 365), ("FREQ=WEEKLY;BYDAY=MO,WE,FR", 156), ("FREQ=MONTHLY", 12)] {
            let year = |years: i64| steps(rule, "1990-01-01T09:00:00Z", 365 * years);
            for years in [1, 2, 4] {
                let wanted = each * usize::try_from(years).unwrap();
                assert!(year(years).abs_diff(wanted) <= 12, "{rule}: {} steps in {years} years", year(years));
            }
        }
    }

    #[test]
    fn a_rule_of_1990_costs_no_more_than_one_of_last_year() {
        for rule in ["FREQ=DAILY", "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH"] {
            let (old, new) = (steps(rule, "1990-01-02T09:00:00Z", 90), steps(rule, "2025-01-02T09:00:00Z", 90));
            assert!(old.abs_diff(new) <= 4, "{rule}: {old} and {new} steps");
        }
        // Not every month has its day, so it is walked from its start: a step a month at most.
        assert!(steps("FREQ=MONTHLY", "1990-01-31T09:00:00Z", 90) <= 36 * 12 + 3);
        assert!(steps("FREQ=YEARLY", "1992-02-29T09:00:00Z", 90) <= 36);
        // The 30th of February never comes; the search for it ends.
        assert_eq!(steps("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "1990-01-01T09:00:00Z", 90), 0);
        // A count is counted from its start: 10,000 steps at most.
        assert!(steps("FREQ=DAILY;COUNT=10000", "1990-01-01T09:00:00Z", 90) <= 10_000);
    }
}
