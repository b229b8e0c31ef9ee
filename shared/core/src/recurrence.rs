//! Recurrence: rules in one normal form, and the occurrences that a series has in a window.
//!
//! Rules are worked out by the wall clock (crate `rrule`, without a zone) and only then become instants in the series'
//! zone (`jiff`): nine o'clock stays nine o'clock over a change to summer time.
mod expand;

pub use expand::{Occurrence, Window, among, expand};

use crate::error::Invalid;
use crate::event::{Moment, Span};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// Parts of a rule, in the order of its normal form.
const PARTS: [&str; 14] = [
    "FREQ",
    "INTERVAL",
    "UNTIL",
    "COUNT",
    "BYMONTH",
    "BYWEEKNO",
    "BYYEARDAY",
    "BYMONTHDAY",
    "BYDAY",
    "BYHOUR",
    "BYMINUTE",
    "BYSECOND",
    "BYSETPOS",
    "WKST",
];
const DAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// What recurrence lines say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `RRULE:` lines, then at most one `RDATE:` line, in normal form.
    pub(crate) lines: Vec<String>,
    /// What `EXDATE` takes out.
    pub(crate) excluded: Vec<Moment>,
}

fn wrong(what: &str) -> Invalid {
    Invalid::new("recurrence", what)
}

/// Reads `RRULE`, `RDATE` and `EXDATE` lines in any order (a bare rule is a rule). The zone reads times without one.
///
/// Normal form: parts in one order and upper case, lists sorted, `INTERVAL=1` and `WKST=MO` left out, `UNTIL` in UTC
/// with one `Z` (a date where the series lasts all day; a bare date of a timed series is the end of that day).
pub(crate) fn read(lines: &[String], span: &Span, zone: &TimeZone) -> Result<Rules, Invalid> {
    let mut rules = Rules::default();
    let mut added: Vec<Moment> = Vec::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        let upper = line.to_ascii_uppercase();
        let (head, value) = match line.split_once(':') {
            Some((head, value)) => (head, value),
            None if upper.starts_with("FREQ=") => ("RRULE", line),
            None => return Err(wrong("has a line that is no rule.")),
        };
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        match name.to_ascii_uppercase().as_str() {
            "RRULE" => rules.lines.push(rule(value, span, zone)?),
            "RDATE" => added.extend(moments(value, parameters, span, zone)?),
            "EXDATE" => rules.excluded.extend(moments(value, parameters, span, zone)?),
            "EXRULE" => return Err(wrong("has an EXRULE, which calendars no longer know.")),
            _ => return Err(wrong("has a line that is no rule.")),
        }
    }
    rules.lines.sort();
    if !added.is_empty() {
        added.sort();
        added.dedup();
        let added: Vec<String> = added.iter().map(basic).collect();
        rules.lines.push(format!("RDATE:{}", added.join(",")));
    }
    rules.excluded.sort();
    rules.excluded.dedup();
    // What cannot be worked out is no rule.
    expand::check(&rules.lines, span, zone)?;
    Ok(rules)
}

/// `20261125T090000Z`, or `20261125`: as in rules and in Google's instance ids.
pub fn basic(moment: &Moment) -> String {
    match moment {
        Moment::Day(day) => day.strftime("%Y%m%d").to_string(),
        Moment::At(instant) => TimeZone::UTC.to_datetime(*instant).strftime("%Y%m%dT%H%M%SZ").to_string(),
    }
}

fn rule(text: &str, span: &Span, zone: &TimeZone) -> Result<String, Invalid> {
    let mut parts: Vec<(usize, String)> = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| wrong("has a part without a value."))?;
        let (name, value) = (name.trim().to_ascii_uppercase(), value.trim().to_ascii_uppercase());
        let at = PARTS.iter().position(|known| *known == name).ok_or_else(|| wrong("has an unknown part."))?;
        if parts.iter().any(|(other, _)| *other == at) {
            return Err(wrong("names one part twice."));
        }
        let value = match name.as_str() {
            "UNTIL" => until(&value, span, zone)?,
            "BYDAY" => days(&value),
            list if list.starts_with("BY") => numbers(&value)?,
            _ => value,
        };
        let implied = (name == "INTERVAL" && value == "1") || (name == "WKST" && value == "MO");
        if !implied {
            parts.push((at, format!("{name}={value}")));
        }
    }
    parts.sort();
    match parts.first() {
        Some((0, _)) => Ok(format!("RRULE:{}", parts.into_iter().map(|(_, p)| p).collect::<Vec<_>>().join(";"))),
        Some(_) | None => Err(wrong("does not say how often.")),
    }
}

/// Sides write `…ZZ`, or forget the `Z`: one `Z` for an instant, none for a day.
fn until(text: &str, span: &Span, zone: &TimeZone) -> Result<String, Invalid> {
    let unread = || wrong("has an UNTIL that is no time.");
    let digits = text.trim_end_matches('Z');
    let is_utc = digits.len() < text.len();
    let day = Date::strptime("%Y%m%d", digits.get(..8).ok_or_else(unread)?).map_err(|_| unread())?;
    let clock = match digits.len() {
        8 => None,
        _ => Some(DateTime::strptime("%Y%m%dT%H%M%S", digits).map_err(|_| unread())?),
    };
    if span.is_all_day() {
        return Ok(basic(&Moment::Day(day)));
    }
    let utc = TimeZone::UTC;
    let zone = if is_utc && clock.is_some() { &utc } else { zone };
    let clock = clock.unwrap_or_else(|| day.to_datetime(Time::constant(23, 59, 59, 0)));
    Moment::of_clock(clock, zone).map(|moment| basic(&moment)).ok_or_else(unread)
}

fn days(text: &str) -> String {
    let rank = |day: &&str| {
        let name = day.get(day.len().saturating_sub(2)..).unwrap_or_default();
        (DAYS.iter().position(|known| *known == name), (*day).to_owned())
    };
    let mut days: Vec<&str> = text.split(',').map(|day| day.trim().trim_start_matches('+')).collect();
    days.sort_by_key(rank);
    days.dedup();
    days.join(",")
}

fn numbers(text: &str) -> Result<String, Invalid> {
    let number = |n: &str| n.trim().parse::<i32>().map_err(|_| wrong("has a list with something that is no number."));
    let mut numbers = text.split(',').map(number).collect::<Result<Vec<i32>, Invalid>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(","))
}

fn moments(text: &str, parameters: &str, span: &Span, zone: &TimeZone) -> Result<Vec<Moment>, Invalid> {
    let named = parameters.split(';').find_map(|p| p.strip_prefix("TZID=").or_else(|| p.strip_prefix("tzid=")));
    let zone = &match named {
        Some(name) => crate::event::zone(name.trim_matches('"'))?,
        None => zone.clone(),
    };
    let unread = || wrong("has a date that is none.");
    let utc = TimeZone::UTC;
    let one = |text: &str| {
        let digits = text.trim().trim_end_matches(['Z', 'z']);
        let is_utc = digits.len() < text.trim().len();
        let day = Date::strptime("%Y%m%d", digits.get(..8).ok_or_else(unread)?).map_err(|_| unread())?;
        if span.is_all_day() {
            return Ok(Moment::Day(day));
        }
        // A bare day of a timed series means its occurrence on that day.
        let clock = match digits.len() {
            8 => day.to_datetime(span.start().clock(zone).time()),
            _ => DateTime::strptime("%Y%m%dT%H%M%S", digits).map_err(|_| unread())?,
        };
        let zone = if is_utc { &utc } else { zone };
        Moment::of_clock(clock, zone).ok_or_else(unread)
    };
    text.split(',').filter(|text| !text.trim().is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests;
