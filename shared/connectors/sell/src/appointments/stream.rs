//! The Firehose: what happened to the account's appointments in the last 72 hours.
//!
//! Events come in order for each appointment by its own count (`meta.sequence`) and in no other, and some come twice. A
//! page may be empty though more follow (`meta.top`).
use super::SellAppointments;
use super::map;
use crate::api::{self, Call};
use crate::error;
use crate::wire::Contact;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use tandem_core::record::Scope;
use tandem_ports::connector::{ChangePage, Cursor, Next};
use tandem_ports::error::{ErrorKind, Result};

/// How long Sell keeps an event.
const KEPT: SignedDuration = SignedDuration::from_hours(72);
/// Pages of the stream in one of ours, so that of what changed often only the last state is told.
pub(super) const PAGES: usize = 40;
/// Pages of the stream that are looked through for a record: as many as Sell's pace allows in half a minute.
const MOST_PAGES: usize = 240;
/// Appointments whose count goes into a cursor: what comes twice is known by it. Forty bytes each.
const MOST_COUNTS: usize = 1_000;
/// The oldest event that there is.
const TAIL: &str = "tail";
/// Raised when the cursor's form changes.
const CURSOR_FORM: u8 = 1;

/// Our cursor.
#[derive(Serialize, Deserialize)]
struct Position {
    form: u8,
    /// Sell's own.
    at: String,
    /// When Sell was last asked, in seconds; behind it nothing is missing for [`KEPT`].
    read_at: i64,
    /// The count of each appointment's last event, and when that was.
    counts: BTreeMap<u64, (u64, i64)>,
}

/// The last that was told of an appointment.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) sequence: u64,
    pub(super) at: Option<Timestamp>,
    pub(super) state: State,
}

#[derive(Clone)]
pub(super) enum State {
    /// As it is, and whether it is this user's.
    There(Contact, Scope),
    Gone,
}

/// By the appointment's id.
pub(super) type AllTold = BTreeMap<u64, Told>;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    items: Vec<Json>,
    meta: PageMeta,
}

#[derive(Deserialize)]
struct PageMeta {
    position: String,
    #[serde(default)]
    top: bool,
}

#[derive(Deserialize)]
struct Event {
    data: Contact,
    meta: EventMeta,
}

#[derive(Deserialize)]
#[serde(default)]
struct EventMeta {
    event_type: String,
    sequence: u64,
    event_time: String,
    previous: Contact,
}

impl Default for EventMeta {
    fn default() -> Self {
        let (event_type, event_time) = (String::new(), String::new());
        Self { event_type, sequence: 0, event_time, previous: Contact(serde_json::Map::new()) }
    }
}

impl Position {
    fn read(cursor: &Cursor, now: Timestamp) -> Result<Position> {
        let read = serde_json::from_str::<Position>(&cursor.0).ok().filter(|at| at.form == CURSOR_FORM);
        let position = read.ok_or_else(error::cursor_expired)?;
        if now.duration_since(position.asked()) > KEPT {
            return Err(error::events_lost(position.loss(now)));
        }
        Ok(position)
    }

    fn asked(&self) -> Timestamp {
        Timestamp::from_second(self.read_at).unwrap_or(Timestamp::MIN)
    }

    /// What people miss.
    fn loss(&self, now: Timestamp) -> String {
        let from = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN).max(self.asked());
        format!(
            "Zendesk Sell tells what changed in the last 72 hours only. It was last asked at {:.0}, and what people changed \
             or deleted there until {from:.0} may be missing: those appointments stay on the other side as they were. Save \
             them in Sell once more, or remove them by hand; a run started by hand takes this notice away.",
            self.asked()
        )
    }

    fn note(&mut self, id: u64, told: &Told, now: Timestamp) {
        self.counts.insert(id, (told.sequence, told.at.unwrap_or(now).as_second()));
    }

    /// What Sell has forgotten cannot come twice.
    fn cursor(mut self, now: Timestamp) -> Cursor {
        let oldest = now.checked_sub(KEPT + SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN).as_second();
        self.counts.retain(|_, (_, at)| *at >= oldest);
        while self.counts.len() > MOST_COUNTS {
            let oldest = self.counts.iter().min_by_key(|(_, (_, at))| *at).map(|(id, _)| *id);
            self.counts.retain(|id, _| Some(*id) != oldest);
        }
        Cursor(serde_json::to_string(&self).expect("numbers and strings are JSON"))
    }
}

impl SellAppointments {
    /// One page of changes. Without a change that is one request.
    pub(super) async fn page(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let now = self.clock.now();
        let mut at = match from {
            Some(cursor) => Position::read(cursor, now)?,
            None => Position { form: CURSOR_FORM, at: TAIL.to_owned(), read_at: 0, counts: BTreeMap::new() },
        };
        let (mut told, mut ends) = (AllTold::new(), false);
        for _ in 0..self.page.pages {
            let page = self.ask(&at, now).await?;
            // Nothing and no further: whatever it is about to tell, it tells another time.
            ends = page.meta.top || (page.items.is_empty() && page.meta.position == at.at);
            for (id, one) in self.events(page.items).await? {
                if at.counts.get(&id).is_none_or(|(sequence, _)| *sequence < one.sequence) {
                    at.note(id, &one, now);
                    told.insert(id, one);
                }
            }
            at.at = page.meta.position;
            at.read_at = now.as_second();
            if ends {
                break;
            }
        }
        let changes = self.changes_of(&told).await?;
        self.remember(told);
        let cursor = at.cursor(now);
        let next = if ends { Next::CaughtUp(cursor) } else { Next::More(cursor) };
        Ok(ChangePage { changes, next, total: None })
    }

    /// Everything that Sell still tells, the newest state of each; nothing where that is too much, as what comes first may
    /// be old news then.
    pub(super) async fn look_through(&self) -> Result<AllTold> {
        let now = self.clock.now();
        let mut at = Position { form: CURSOR_FORM, at: TAIL.to_owned(), read_at: 0, counts: BTreeMap::new() };
        let mut told = AllTold::new();
        for _ in 0..MOST_PAGES {
            let page = self.ask(&at, now).await?;
            let ends = page.meta.top || (page.items.is_empty() && page.meta.position == at.at);
            for (id, one) in self.events(page.items).await? {
                newest(&mut told, id, one);
            }
            at.at = page.meta.position;
            if ends {
                return Ok(told);
            }
        }
        Ok(AllTold::new())
    }

    /// How Sell refuses a position that it does not know any more is not documented, so any refusal of one is taken for
    /// that: a stored position must not stop the feed for ever. Of `tail` it is an error.
    async fn ask(&self, at: &Position, now: Timestamp) -> Result<Page> {
        match self.client.send(Call::appointments(&at.at, self.page.events)).await {
            Ok(response) => api::parse("appointments.stream", &response),
            Err(refused) if at.at != TAIL && matches!(refused.kind, ErrorKind::NotFound | ErrorKind::Permanent) => {
                Err(error::events_lost(at.loss(now)))
            }
            Err(other) => Err(other),
        }
    }

    /// What these events tell that is this user's business. An item that is no event stops nothing.
    async fn events(&self, items: Vec<Json>) -> Result<Vec<(u64, Told)>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let me = self.me().await?.id;
        let events = items.into_iter().filter_map(|item| serde_json::from_value::<Event>(item).ok());
        let told = events.filter_map(|Event { data, meta }| {
            let (id, at) = (data.id()?, meta.event_time.parse().ok());
            let state = match meta.event_type.as_str() {
                "deleted" => State::Gone,
                _ if map::is_of(&data, me) => State::There(data, Scope::Inside),
                // Given away, or not invited any more.
                _ if map::is_of(&meta.previous, me) => State::There(data, Scope::Outside),
                _ => return None,
            };
            Some((id, Told { sequence: meta.sequence, at, state }))
        });
        Ok(told.collect())
    }
}

/// Keeps the later one of two events of an appointment.
pub(super) fn newest(told: &mut AllTold, id: u64, one: Told) {
    if told.get(&id).is_none_or(|known| known.sequence < one.sequence) {
        told.insert(id, one);
    }
}
