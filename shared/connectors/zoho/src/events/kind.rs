//! What a Zoho user has in the calendar: events, and tasks where the sync carries them, each seen as an appointment.
//!
//! A task is the day that it is due, of the user who owns it. One that is closed, or that has no such day, is outside.
use super::map;
use crate::api::events::{EVENTS, Module, TASKS};
use crate::rights::{Rights, Standing};
use crate::wire::Record;
use serde_json::{Map, Value};
use tandem_core::error::Invalid;
use tandem_core::event::{Event, field};
use tandem_core::record::{Field, Fields, RemoteId, Scope};
use tandem_core::schema::FieldSchema;

/// A module that appointments are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Event,
    Task,
}

/// Before the id of a task. Events have none: they were linked before tasks were carried.
const PREFIX: &str = "task:";
/// In the place of a record, to say that tasks cannot be read.
const NOTICE: &str = "barred:Tasks";

impl Kind {
    pub(super) const ALL: [Kind; 2] = [Kind::Event, Kind::Task];

    /// Which one a record is of, and its id at Zoho; `None` for the notice that tasks cannot be read.
    pub(super) fn of(id: &RemoteId) -> Option<(Kind, &str)> {
        match id.as_str() {
            NOTICE => None,
            id => Some(id.strip_prefix(PREFIX).map_or((Kind::Event, id), |theirs| (Kind::Task, theirs))),
        }
    }

    pub(super) fn module(self) -> &'static Module {
        match self {
            Kind::Event => &EVENTS,
            Kind::Task => &TASKS,
        }
    }

    pub(super) fn id(self, theirs: &str) -> RemoteId {
        match self {
            Kind::Event => RemoteId::new(theirs),
            Kind::Task => RemoteId::new(format!("{PREFIX}{theirs}")),
        }
    }

    pub(super) fn rights(self, standing: &Standing) -> Rights {
        standing.rights_on(match self {
            Kind::Event => &crate::rights::EVENTS,
            Kind::Task => &crate::rights::TASKS,
        })
    }

    /// The fields of its title and its time, in Zoho's words.
    pub(super) fn named_by(self) -> (&'static str, &'static str) {
        match self {
            Kind::Event => ("Event_Title", "Start_DateTime"),
            Kind::Task => ("Subject", "Due_Date"),
        }
    }

    pub(super) fn scope(self, record: &Record, user: &str) -> Scope {
        let inside = match self {
            Kind::Event => map::is_of(record, user),
            Kind::Task => map::owner(record) == user && map::is_open(record) && !record.text("Due_Date").is_empty(),
        };
        if inside { Scope::Inside } else { Scope::Outside }
    }

    /// What a record says as an appointment.
    pub(super) fn fields(self, record: &Record, zone: &str) -> Result<Fields, Invalid> {
        Ok(match self {
            Kind::Event => map::event(record, zone)?.to_fields(),
            Kind::Task => map::task(record)?.map_or_else(Fields::new, |task| task.to_fields()),
        })
    }

    /// What changes of these fields put into a record.
    pub(super) fn body(
        self,
        (changed, fields): (&[Field], &Fields),
        raw: &Record,
        zone: &str,
    ) -> Result<Map<String, Value>, Invalid> {
        match self {
            Kind::Event => map::body((changed, &Event::from_fields(fields)?), raw, zone),
            Kind::Task => map::task_body((changed, fields), zone),
        }
    }
}

/// See [`NOTICE`].
pub(super) fn notice() -> RemoteId {
    RemoteId::new(NOTICE)
}

/// Most characters of a title, of a place and of a description.
const LONGEST: [(Field, usize); 3] = [(field::TITLE, 255), (field::LOCATION, 255), (field::DESCRIPTION, 32_000)];

/// The field with its most characters.
pub(super) fn limited(one: FieldSchema) -> FieldSchema {
    match LONGEST.iter().find(|(name, _)| *name == one.name) {
        Some((_, most)) => one.at_most(*most),
        None => one,
    }
}
