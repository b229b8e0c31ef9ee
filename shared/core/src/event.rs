//! The canonical appointment: which fields it has, and how it becomes [`Fields`] and back.
//!
//! A series with its exceptions is one record. Instants are in UTC to the second, so that one appointment reads the same
//! on a side that keeps zones and on one that does not; the zone is a field beside them. All-day appointments are dates
//! with an exclusive end.
mod fields;
mod time;

pub use time::{Moment, Span, zone};

use crate::error::Invalid;
use crate::record::{Field, Fields, Marker};
use crate::schema::{FieldSchema, FieldType};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Canonical field names of an appointment. They are the built-in CRM's names of a `meeting` too.
pub mod field {
    use crate::record::Field;
    /// What it is called.
    pub const TITLE: Field = Field::known("title");
    /// `2026-11-25T09:00:00Z`, or `2026-11-25` where it lasts all day.
    pub const START: Field = Field::known("start");
    /// As [`START`]; exclusive.
    pub const END: Field = Field::known("end");
    /// `true`, or absent.
    pub const ALL_DAY: Field = Field::known("all_day");
    /// IANA name of the zone whose wall clock it keeps; absent where it lasts all day.
    pub const TIME_ZONE: Field = Field::known("time_zone");
    /// Free text.
    pub const DESCRIPTION: Field = Field::known("description");
    /// Free text.
    pub const LOCATION: Field = Field::known("location");
    /// `RRULE` and `RDATE` lines in normal form (see [`crate::recurrence`]). What `EXDATE` says is in [`EXCEPTIONS`].
    pub const RECURRENCE: Field = Field::known("recurrence");
    /// Items: part `original_start`, then `cancelled` = `true`, or the changed `title`, `start`, `end`, `description`,
    /// `location`, `attendees` (JSON); a part that is there and empty was emptied.
    pub const EXCEPTIONS: Field = Field::known("exceptions");
    /// Items: parts `email`, `name`, `status` (`needs_action`, `accepted`, `declined`, `tentative`).
    pub const ATTENDEES: Field = Field::known("attendees");
    /// Minutes before the start; absent = as the side does by default.
    pub const REMINDER_MINUTES: Field = Field::known("reminder_minutes");
    /// `private`; absent = as the calendar does by default.
    pub const VISIBILITY: Field = Field::known("visibility");
    /// `done`; absent = open.
    pub const STATUS: Field = Field::known("status");
    /// Address of the video conference.
    pub const CONFERENCE: Field = Field::known("conference");
    /// The name that it has in every calendar that it is in (iCalUID): the calendar's, and not among [`ALL`], which is what
    /// people say about an appointment.
    pub const UID: Field = Field::known("ical_uid");

    /// The calendar that it is in, by its id there. Not among [`ALL`], as [`UID`].
    pub const CALENDAR: Field = Field::known("calendar");

    /// Every field of an appointment.
    pub const ALL: [Field; 14] = [
        TITLE,
        START,
        END,
        ALL_DAY,
        TIME_ZONE,
        DESCRIPTION,
        LOCATION,
        RECURRENCE,
        EXCEPTIONS,
        ATTENDEES,
        REMINDER_MINUTES,
        VISIBILITY,
        STATUS,
        CONFERENCE,
    ];
}

/// What a guest answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Nothing yet.
    #[default]
    NeedsAction,
    /// Yes.
    Accepted,
    /// No.
    Declined,
    /// Perhaps.
    Tentative,
}

impl Answer {
    /// As in the field.
    pub fn word(self) -> &'static str {
        match self {
            Answer::NeedsAction => "needs_action",
            Answer::Accepted => "accepted",
            Answer::Declined => "declined",
            Answer::Tentative => "tentative",
        }
    }
    /// From the field; anything else is "nothing yet".
    pub fn of(word: &str) -> Answer {
        match word {
            "accepted" => Answer::Accepted,
            "declined" => Answer::Declined,
            "tentative" => Answer::Tentative,
            _ => Answer::NeedsAction,
        }
    }
}

/// A guest.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attendee {
    /// The address; letter case does not count.
    pub email: String,
    /// The name, where one is known.
    pub name: String,
    /// The answer.
    pub answer: Answer,
}

/// Who may see the details.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// As the calendar does by default.
    #[default]
    Default,
    /// The guests alone.
    Private,
}

/// Whether it is dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Not yet.
    #[default]
    Open,
    /// It is.
    Done,
}

/// What one occurrence of a series says otherwise; `None` = as the series.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Its own title.
    pub title: Option<String>,
    /// Its own time.
    pub span: Option<Span>,
    /// Its own description.
    pub description: Option<String>,
    /// Its own place.
    pub location: Option<String>,
    /// Its own guests, all of them.
    pub attendees: Option<Vec<Attendee>>,
}

/// How an occurrence differs.
#[derive(Clone, PartialEq, Eq)]
pub enum Deviation {
    /// It does not take place.
    Cancelled,
    /// It says something else.
    Changed(Box<Overrides>),
}

/// An appointment as both sides can say it. Empty text means "has none".
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is called.
    pub title: String,
    /// When it is (a series: its first occurrence).
    pub span: Span,
    /// IANA name of its zone; empty where it lasts all day.
    pub time_zone: String,
    /// Free text.
    pub description: String,
    /// Free text.
    pub location: String,
    /// `RRULE` and `RDATE` lines in normal form; none for a single appointment.
    pub recurrence: Vec<String>,
    /// The occurrences that differ, by the start that the rule gives them: their identity.
    pub exceptions: BTreeMap<Moment, Deviation>,
    /// The guests.
    pub attendees: Vec<Attendee>,
    /// Minutes before the start; `None` = as the side does by default.
    pub reminder_minutes: Option<u32>,
    /// Who may see the details.
    pub visibility: Visibility,
    /// Whether it is dealt with.
    pub status: Status,
    /// Address of the video conference.
    pub conference: String,
}

/// An appointment is personal data: `Debug` shows its shape only.
impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("rules", &self.recurrence.len())
            .field("exceptions", &self.exceptions.len())
            .field("attendees", &self.attendees.len())
            .finish_non_exhaustive()
    }
}

impl Event {
    /// A single appointment without anything but a time.
    pub fn at(span: Span) -> Event {
        Event {
            title: String::new(),
            span,
            time_zone: String::new(),
            description: String::new(),
            location: String::new(),
            recurrence: Vec::new(),
            exceptions: BTreeMap::new(),
            attendees: Vec::new(),
            reminder_minutes: None,
            visibility: Visibility::Default,
            status: Status::Open,
            conference: String::new(),
        }
    }

    /// Whether it repeats.
    pub fn is_series(&self) -> bool {
        !self.recurrence.is_empty()
    }

    /// Takes the recurrence as a side says it: normalises the rules, and turns `EXDATE` into cancelled exceptions.
    /// An exception that says something else than "cancelled" counts more than an `EXDATE`, and needs no order.
    ///
    /// # Errors
    /// A rule that cannot be read, by what is wrong with it.
    pub fn repeat(&mut self, lines: &[String]) -> Result<(), Invalid> {
        let rules = crate::recurrence::read(lines, &self.span, &zone(&self.time_zone)?)?;
        self.recurrence = rules.lines;
        for original in rules.excluded {
            self.exceptions.entry(original).or_insert(Deviation::Cancelled);
        }
        // Cancelling what does not occur says nothing.
        let cancelled = |deviation: &Deviation| *deviation == Deviation::Cancelled;
        let originals = self.exceptions.iter().filter(|(_, deviation)| cancelled(deviation)).map(|(at, _)| *at);
        let known = crate::recurrence::among(self, &originals.collect::<Vec<Moment>>())?;
        self.exceptions.retain(|at, deviation| !cancelled(deviation) || known.contains(at));
        Ok(())
    }

    /// The occurrence that the rule puts at `original`, as an appointment of its own; `None` where it is cancelled.
    pub fn occurrence(&self, original: &Moment) -> Option<Event> {
        let mut one = Event { recurrence: Vec::new(), exceptions: BTreeMap::new(), ..self.clone() };
        one.span = self.span.moved_to(original);
        match self.exceptions.get(original) {
            None => Some(one),
            Some(Deviation::Cancelled) => None,
            Some(Deviation::Changed(other)) => {
                let other = (**other).clone();
                one.title = other.title.unwrap_or(one.title);
                one.span = other.span.unwrap_or(one.span);
                one.description = other.description.unwrap_or(one.description);
                one.location = other.location.unwrap_or(one.location);
                one.attendees = other.attendees.unwrap_or(one.attendees);
                Some(one)
            }
        }
    }

    /// What an occurrence at `original` that looks like `one` says otherwise than the series; `None` = nothing.
    pub fn deviation(&self, original: &Moment, one: &Event) -> Option<Deviation> {
        let differs = |a: &String, b: &String| (a != b).then(|| b.clone());
        let other = Overrides {
            title: differs(&self.title, &one.title),
            span: (self.span.moved_to(original) != one.span).then(|| one.span.clone()),
            description: differs(&self.description, &one.description),
            location: differs(&self.location, &one.location),
            attendees: (fields::sorted(&self.attendees) != fields::sorted(&one.attendees))
                .then(|| one.attendees.clone()),
        };
        (other != Overrides::default()).then(|| Deviation::Changed(Box::new(other)))
    }
}

/// The name of the copy that a sync makes of the record with this marker, where a calendar lets us choose it: letters and
/// digits, from which the record cannot be told. Calendars make the copy's iCalUID of it, so that a CRM knows an
/// appointment of its own in a colleague's calendar.
pub fn copy_name(marker: &Marker) -> String {
    Sha256::digest(marker.as_str().as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What people call an appointment (or a task): its title and its day; `None`: the fields are of something else.
pub fn title(fields: &Fields) -> Option<String> {
    let (title, start) = (fields.text(&field::TITLE), fields.text(&field::START));
    if title.is_empty() && start.is_empty() {
        return None;
    }
    Some(titled(title, start))
}

/// The same of a title and a start as they are written: `2026-02-02`, or a time of that day.
pub fn titled(title: &str, start: &str) -> String {
    let title = if title.is_empty() { "(no title)" } else { title };
    let day = start.get(..10).unwrap_or(start);
    if day.is_empty() { title.to_owned() } else { format!("{title}, {day}") }
}

/// These fields as a side that sets no limits has them.
pub fn schema(fields: &[Field]) -> Vec<FieldSchema> {
    fields.iter().map(|name| describe(name.clone())).collect()
}

fn describe(name: Field) -> FieldSchema {
    let (label, holds) = match name.as_str() {
        "title" => ("Title", FieldType::Text),
        "start" => ("Start", FieldType::Text),
        "end" => ("End", FieldType::Text),
        "all_day" => ("All day", FieldType::Boolean),
        "time_zone" => ("Time zone", FieldType::Text),
        "description" => ("Description", FieldType::Text),
        "location" => ("Location", FieldType::Text),
        "recurrence" => ("Repeats", FieldType::Text),
        "exceptions" => ("Exceptions", FieldType::List),
        "attendees" => ("Attendees", FieldType::List),
        "reminder_minutes" => ("Reminder (minutes)", FieldType::Number),
        "visibility" => ("Visibility", FieldType::Picklist { values: vec!["private".to_owned()], several: false }),
        "status" => ("Status", FieldType::Picklist { values: vec!["done".to_owned()], several: false }),
        "conference" => ("Video conference", FieldType::Text),
        "ical_uid" => ("iCalUID", FieldType::Text),
        "calendar" => ("Calendar", FieldType::Text),
        other => (other, FieldType::Text),
    };
    let label = label.to_owned();
    let needed = [field::START, field::END].contains(&name);
    let schema = FieldSchema::new(name, label, holds);
    if needed { schema.required() } else { schema }
}

#[cfg(test)]
mod tests;
