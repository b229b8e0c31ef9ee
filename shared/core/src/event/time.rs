//! Instants and days.
use crate::error::Invalid;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::fmt;

/// A point in time: a day without a zone, or an instant to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// A day, wherever one is.
    Day(Date),
    /// An instant.
    At(Timestamp),
}

impl Moment {
    /// An instant, without its fraction of a second.
    pub fn at(instant: Timestamp) -> Moment {
        let seconds = instant.as_nanosecond().div_euclid(1_000_000_000);
        let seconds = i64::try_from(seconds).expect("an instant of jiff's in seconds fits");
        Moment::At(Timestamp::from_second(seconds).unwrap_or(instant))
    }

    /// `2026-11-25`, or an RFC 3339 time; one without an offset is by the wall clock of `zone`.
    pub fn parse(text: &str, zone: &TimeZone) -> Option<Moment> {
        let text = text.trim();
        if text.len() <= 10 {
            return text.parse().ok().map(Moment::Day);
        }
        match text.parse::<Timestamp>() {
            Ok(instant) => Some(Moment::at(instant)),
            Err(_) => text.parse::<DateTime>().ok().and_then(|clock| Moment::of_clock(clock, zone)),
        }
    }

    /// What the wall clock of `zone` calls `clock`. A time that is skipped there is as much later as is skipped; of one
    /// that comes twice it is the first (RFC 5545, 3.3.5).
    pub fn of_clock(clock: DateTime, zone: &TimeZone) -> Option<Moment> {
        zone.to_ambiguous_timestamp(clock).compatible().ok().map(Moment::at)
    }

    /// As the wall clock of `zone` shows it; a day by its midnight.
    pub(crate) fn clock(&self, zone: &TimeZone) -> DateTime {
        match self {
            Moment::Day(day) => day.to_datetime(jiff::civil::Time::midnight()),
            Moment::At(instant) => zone.to_datetime(*instant),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Day(day) => write!(f, "{day}"),
            Moment::At(instant) => write!(f, "{instant}"),
        }
    }
}

/// From a start to an exclusive end, both days or both instants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    start: Moment,
    end: Moment,
}

impl Span {
    /// An all-day appointment that ends on the day it starts lasts that day.
    ///
    /// # Errors
    /// An end before the start, or a day with an instant.
    pub fn new(start: Moment, end: Moment) -> Result<Span, Invalid> {
        let end = match (start, end) {
            (Moment::Day(from), Moment::Day(to)) if from == to => Moment::Day(from.saturating_add(1.day())),
            (Moment::Day(_), Moment::Day(_)) | (Moment::At(_), Moment::At(_)) => end,
            (Moment::Day(_), Moment::At(_)) | (Moment::At(_), Moment::Day(_)) => {
                return Err(Invalid::new("end", "must be a date where the start is one, and a time where it is one."));
            }
        };
        if end < start {
            return Err(Invalid::new("end", "must not be before the start."));
        }
        Ok(Span { start, end })
    }

    /// When it starts.
    pub fn start(&self) -> &Moment {
        &self.start
    }
    /// When it is over; exclusive.
    pub fn end(&self) -> &Moment {
        &self.end
    }
    /// Whether it is made of days.
    pub fn is_all_day(&self) -> bool {
        matches!(self.start, Moment::Day(_))
    }

    /// The same length from another start of its kind. (A day given for a timed span, or the reverse, changes nothing.)
    pub fn moved_to(&self, start: &Moment) -> Span {
        let end = match (self.start, self.end, *start) {
            (Moment::Day(from), Moment::Day(to), Moment::Day(start)) => {
                Moment::Day(start.saturating_add(from.until(to).unwrap_or_else(|_| 1.day())))
            }
            (Moment::At(from), Moment::At(to), Moment::At(start)) => {
                let length: SignedDuration = from.duration_until(to);
                Moment::At(start.saturating_add(length).unwrap_or(start))
            }
            _ => return self.clone(),
        };
        Span { start: *start, end }
    }

    /// Both ends as instants; days count from midnight UTC.
    pub fn instants(&self) -> (Timestamp, Timestamp) {
        let instant = |moment: &Moment| match moment {
            Moment::At(instant) => *instant,
            Moment::Day(day) => {
                match Moment::of_clock(day.to_datetime(jiff::civil::Time::midnight()), &TimeZone::UTC) {
                    Some(Moment::At(instant)) => instant,
                    Some(Moment::Day(_)) | None => Timestamp::MAX,
                }
            }
        };
        (instant(&self.start), instant(&self.end))
    }
}

/// The zone of this IANA name, from the rules built into the program; none is UTC.
///
/// # Errors
/// A name that is no zone's.
pub fn zone(name: &str) -> Result<TimeZone, Invalid> {
    if name.is_empty() || name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| Invalid::new("time_zone", "must be a zone's name such as Europe/Brussels."))
}
