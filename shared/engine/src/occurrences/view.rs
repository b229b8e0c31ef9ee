//! A series and its occurrences as records. Pure.
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use tandem_core::error::Invalid;
use tandem_core::event::{Deviation, Event, Moment, field};
use tandem_core::record::{Fields, RemoteId, Value, Version};
use tandem_core::recurrence::{self, Window};
use tandem_ports::connector::Fetched;

/// Between the id of a series and the original start of an occurrence.
const MARK: char = '#';
/// More occurrences than any rule of a calendar's has in twenty years.
const MOST: usize = 20_000;
/// The version of an occurrence that is out of the window; no version looks like it.
const BEHIND: &str = "behind the window";

/// The id of an occurrence.
pub(super) fn id_of(series: &RemoteId, original: &Moment) -> RemoteId {
    RemoteId::new(format!("{series}{MARK}{original}"))
}

/// What the ids of all occurrences of a series begin with.
pub(super) fn prefix(series: &RemoteId) -> String {
    format!("{series}{MARK}")
}

/// After the ids of all occurrences of a series.
pub(super) fn end(series: &RemoteId) -> RemoteId {
    RemoteId::new(format!("{series}{MARK}~"))
}

/// After the ids of all occurrences of a series before this day, and before those on it.
pub(super) fn before(series: &RemoteId, day: Date) -> RemoteId {
    RemoteId::new(format!("{series}{MARK}{}~", day.saturating_sub(1.day())))
}

/// The series of an occurrence, and its original start; `None`: the id is of a record by itself. Ids of calendars may
/// have the mark in them, too.
pub(super) fn split(id: &RemoteId) -> Option<(RemoteId, Moment)> {
    let (series, original) = id.as_str().rsplit_once(MARK)?;
    Some((RemoteId::new(series), Moment::parse(original, &TimeZone::UTC)?))
}

/// How far the window reaches from the day that it is seen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Days back.
    pub past: u32,
    /// Days ahead.
    pub future: u32,
}

impl Reach {
    /// The first day in the window of this day.
    pub(super) fn first(self, today: Date) -> Date {
        today.saturating_sub(i64::from(self.past).days())
    }

    /// Whole days by UTC.
    pub(super) fn window(self, today: Date) -> Window {
        let midnight = |day: Date| {
            let start = day.to_datetime(jiff::civil::Time::midnight());
            TimeZone::UTC.to_timestamp(start).unwrap_or(Timestamp::MAX)
        };
        let last = today.saturating_add((i64::from(self.future) + 1).days());
        Window { from: midnight(self.first(today)), until: midnight(last) }
    }
}

/// A record of the calendar's.
pub(super) enum Kind {
    /// It does not repeat.
    Single(Box<Fetched>),
    /// It does.
    Series(Box<Series>),
    /// It does, and cannot be worked out.
    Unreadable(String),
}

/// A series as it is now.
#[derive(Debug)]
pub(super) struct Series {
    pub fetched: Fetched,
    pub event: Event,
}

/// What kind of record it is.
pub(super) fn kind(fetched: Fetched) -> Kind {
    if fetched.fields.text(&field::RECURRENCE).is_empty() {
        return Kind::Single(Box::new(fetched));
    }
    match Event::from_fields(&fetched.fields) {
        Ok(event) => Kind::Series(Box::new(Series { fetched, event })),
        Err(wrong) => Kind::Unreadable(wrong.to_string()),
    }
}

impl Series {
    /// The original starts of the occurrences whose original or actual time is in the window: one that is moved out of it
    /// stays, and one that is moved into it comes.
    ///
    /// # Errors
    /// A rule that cannot be worked out.
    pub(super) fn originals(&self, window: Window) -> Result<Vec<Moment>, Invalid> {
        let mut unmoved = self.event.clone();
        unmoved.exceptions.retain(|_, deviation| *deviation == Deviation::Cancelled);
        let mut all: BTreeSet<Moment> = BTreeSet::new();
        for event in [&unmoved, &self.event] {
            all.extend(recurrence::expand(event, window, MOST)?.into_iter().map(|one| one.original));
        }
        Ok(all.into_iter().collect())
    }

    /// The occurrence at this original start as a record of its own; `None` where it is cancelled. Whether the rule gives
    /// one there is not looked at.
    pub(super) fn occurrence(&self, original: &Moment) -> Option<Fetched> {
        let mut fields = self.event.occurrence(original)?.to_fields();
        let uid = self.fetched.fields.text(&field::UID);
        if !uid.is_empty() {
            // The same meeting in a colleague's calendar has the same name and the same original start.
            fields.set(field::UID, Value::Text(format!("{uid}{MARK}{original}")));
        }
        Some(Fetched {
            id: id_of(&self.fetched.id, original),
            version: version(&fields),
            scope: self.fetched.scope,
            marker: None,
            fields,
            modified_at: self.fetched.modified_at,
            raw: serde_json::Value::Null,
        })
    }

    /// As a read by id shows it. What is behind the window stays as it is on both sides: it is outside.
    pub(super) fn looked_up(&self, original: &Moment, given: &[Moment], window: Window) -> Option<Fetched> {
        let there = given.contains(original).then(|| self.occurrence(original)).flatten();
        let is_behind = |span: &tandem_core::event::Span| {
            let (start, end) = span.instants();
            start < window.from && end <= window.from
        };
        let moved = match self.event.exceptions.get(original) {
            Some(Deviation::Changed(other)) => other.span.as_ref().filter(|_| there.is_some()),
            Some(Deviation::Cancelled) | None => None,
        };
        if is_behind(&self.event.span.moved_to(original)) && moved.is_none_or(is_behind) {
            return Some(outside(id_of(&self.fetched.id, original)));
        }
        there
    }

    /// What the occurrence at `original` says otherwise than the series once it looks like `one`.
    pub(super) fn set(&mut self, original: &Moment, one: &Event) {
        match self.event.deviation(original, one) {
            Some(deviation) => self.event.exceptions.insert(*original, deviation),
            None => self.event.exceptions.remove(original),
        };
    }
}

/// There, for all we know, but not in reach.
pub(super) fn outside(id: RemoteId) -> Fetched {
    Fetched::out_of_reach(id, Version::new(BEHIND))
}

/// An occurrence's version is what it says: an edit of another one leaves it alone.
fn version(fields: &Fields) -> Version {
    let text = serde_json::to_vec(fields).expect("fields serialise");
    Version::new(hex::encode(&Sha256::digest(text)[..16]))
}
