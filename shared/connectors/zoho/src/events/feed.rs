//! The change feed, as that of the contacts: a listing, then what was changed since (`If-Modified-Since`), then what was
//! deleted since. Times are Zoho's own, in whole seconds; each step looks back a little further than the last one ended.
//!
//! Events are read first, then tasks where they are carried, each from its own position. Tasks that the user may not read
//! stop no event: they are *barred*. Once they can be read again, or are carried again, all of them are told, and what was
//! deleted meanwhile.
use super::kind::{Kind, notice};
use super::{ZohoEvents, bars};
use crate::api::events::{self, Order};
use crate::api::records::{self, At};
use crate::contacts::feed::{GOOD_FOR, MOST_KNOWN, OVERLAP, TICK, iso, remembered, second};
use crate::error;
use crate::rights::Right;
use crate::wire::{Deleted, DeletedRecords, Records};
use serde::{Deserialize, Serialize};
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};
use tandem_ports::error::{ConnectorError, Result};

/// Raised when a stored cursor would be misread.
const FORM: u8 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    Listing,
    Changed,
    Deleted,
}

/// Our cursor.
#[derive(Serialize, Deserialize)]
struct Place {
    /// As earlier releases kept it.
    #[serde(flatten)]
    events: Position,
    /// None before tasks are carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tasks: Option<Position>,
    /// Tasks are read next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    at_tasks: bool,
    /// Tasks could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    barred: bool,
}

impl Place {
    fn start() -> Place {
        Place { events: Position::start(Phase::Listing), tasks: None, at_tasks: false, barred: false }
    }

    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("numbers and strings are JSON"))
    }
}

/// Where one module is read from. Times are Unix seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    form: u8,
    phase: Phase,
    /// From where changes are asked for; 0 in a first listing. A later listing goes on with what was deleted since.
    #[serde(default)]
    since: i64,
    /// When this listing or delta began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<i64>,
    page: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// (id, version) met before and still within the overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    known: Vec<(String, String)>,
    /// (id, version) met in this listing or delta.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fresh: Vec<(String, String)>,
    /// When pages were turned: a deletion then may have moved a record over the edge of a page, unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turned: Option<(i64, i64)>,
}

impl Position {
    fn start(phase: Phase) -> Position {
        Position { form: FORM, phase, page: 1, ..Position::default() }
    }

    /// All is told again, and what was deleted since.
    fn again(&self) -> Position {
        Position { since: self.since, ..Position::start(Phase::Listing) }
    }

    fn at(&self) -> At {
        self.token.clone().map_or(At::Page(self.page), At::Token)
    }

    fn turn_to(&mut self, at: At) {
        (self.page, self.token) = match at {
            At::Page(page) => (page, None),
            At::Token(token) => (self.page, Some(token)),
        };
    }

    fn meet(&mut self, id: &str, version: &str) {
        self.fresh.push((id.to_owned(), version.to_owned()));
        if self.fresh.len() > 2 * MOST_KNOWN {
            let from = self.began.unwrap_or_default() - OVERLAP;
            self.fresh = remembered(std::mem::take(&mut self.fresh), from);
        }
    }

    fn knows(&self, id: &str, version: &str) -> bool {
        self.known.iter().any(|(known, at)| known == id && at == version)
    }

    /// After a restore the record's version is later than its deletion.
    fn lives_on(&self, deleted: &Deleted) -> bool {
        let later =
            |(id, version): &(String, String)| *id == deleted.id && second(version) > second(&deleted.deleted_time);
        self.fresh.iter().chain(&self.known).any(later)
    }

    /// The position that the next delta starts from.
    fn caught_up(mut self, began: i64) -> Position {
        // Never back: a server whose clock is behind must not make us read twice what is known.
        let since = (began - OVERLAP).max(self.since);
        let mut met = std::mem::take(&mut self.fresh);
        met.append(&mut self.known);
        met.sort();
        met.dedup();
        Position { since, known: remembered(met, since), ..Position::start(Phase::Changed) }
    }
}

/// Where a module's reading stands after a call.
enum Stand {
    More(Position),
    CaughtUp(Position),
    Relist,
}

impl ZohoEvents {
    pub(super) async fn feed(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let mut place = match from {
            None => {
                self.open().await?.rights.allow(Right::View, events::EVENTS.list)?;
                Place::start()
            }
            Some(cursor) => {
                let stored = serde_json::from_str::<Place>(&cursor.0).ok().filter(|place| place.events.form == FORM);
                let other = || error::cursor_expired(events::EVENTS.list, "the stored position is of another release");
                stored.ok_or_else(other)?
            }
        };
        if !self.carries_tasks {
            place.tasks = place.tasks.map(|tasks| tasks.again());
            place.at_tasks = false;
        }
        if place.at_tasks {
            return self.tasks(place).await;
        }
        let (changes, stand) = self.step(Kind::Event, place.events).await?;
        let next = match stand {
            Stand::Relist => Next::Relist,
            Stand::More(events) => Next::More(Place { events, ..place }.cursor()),
            Stand::CaughtUp(events) if !self.carries_tasks => Next::CaughtUp(Place { events, ..place }.cursor()),
            Stand::CaughtUp(events) => {
                let place = Place { events, at_tasks: true, ..place };
                if changes.is_empty() {
                    return self.tasks(place).await;
                }
                Next::More(place.cursor())
            }
        };
        Ok(ChangePage { changes, next, total: None })
    }

    async fn tasks(&self, mut place: Place) -> Result<ChangePage> {
        let position = place.tasks.take().unwrap_or_else(|| Position::start(Phase::Listing));
        let again = position.again();
        let (mut changes, stand) = match self.step(Kind::Task, position).await {
            Ok(read) => read,
            Err(refusal) if bars(Kind::Task, &refusal) => {
                let changes = if place.barred { Vec::new() } else { vec![barred(&refusal)] };
                let place = Place { tasks: Some(again), at_tasks: false, barred: true, ..place };
                return Ok(ChangePage { changes, next: Next::CaughtUp(place.cursor()), total: None });
            }
            Err(refusal) => return Err(refusal),
        };
        if std::mem::take(&mut place.barred) {
            changes.push(Change::Tombstone { id: notice() });
        }
        let next = match stand {
            Stand::Relist => Next::Relist,
            Stand::More(tasks) => Next::More(Place { tasks: Some(tasks), ..place }.cursor()),
            Stand::CaughtUp(tasks) => Next::CaughtUp(Place { tasks: Some(tasks), at_tasks: false, ..place }.cursor()),
        };
        Ok(ChangePage { changes, next, total: None })
    }

    async fn step(&self, kind: Kind, position: Position) -> Result<(Vec<Change>, Stand)> {
        match position.phase {
            Phase::Listing => self.listing(kind, position).await,
            Phase::Changed => self.changed(kind, position).await,
            Phase::Deleted => self.deleted(kind, position, Vec::new()).await,
        }
    }

    /// Deletions are told for a while only.
    fn check_age(&self, kind: Kind, position: &Position) -> Result<()> {
        match self.client.clock.now().as_second() - position.since > GOOD_FOR {
            true => {
                let detail = "the last reading is too long ago to know all deletions";
                Err(error::cursor_expired(kind.module().list, detail))
            }
            false => Ok(()),
        }
    }

    async fn page(&self, kind: Kind, position: &Position, since: Option<&str>) -> Result<(Records, i64)> {
        let call =
            events::list(&self.client.origin, (kind.module(), Order::Oldest), (&position.at(), self.page_size), since)?;
        let asked = self.client.ask_dated::<Records>(call).await;
        let (answer, now) = match position.token {
            Some(_) => asked.map_err(error::token_refused)?,
            None => asked?,
        };
        Ok((answer.unwrap_or_default(), now))
    }

    /// One page of the listing; the last one of a later listing goes on with what was deleted.
    async fn listing(&self, kind: Kind, mut position: Position) -> Result<(Vec<Change>, Stand)> {
        let is_first = position.since == 0;
        if !is_first {
            self.check_age(kind, &position)?;
        }
        let (answer, now) = self.page(kind, &position, None).await?;
        let began = *position.began.get_or_insert(now);
        let lately = if is_first { began - OVERLAP } else { position.since.min(began - OVERLAP) };
        for record in answer.data.iter().filter(|record| second(record.modified()) >= lately) {
            position.meet(record.id(), record.modified());
        }
        let opened = self.open().await?;
        let changes = answer.data.into_iter().map(|record| Self::change(kind, record, &opened)).collect();
        if let Some(at) = records::page_after(self.page_size, &position.at(), &answer.info)? {
            position.turned = Some((began, now));
            position.turn_to(at);
            return Ok((changes, Stand::More(position)));
        }
        let turned = position.turned.map(|(from, _)| (from, now));
        if is_first {
            return Ok((changes, Stand::CaughtUp(Position { turned, ..position.caught_up(began) })));
        }
        position.turned = turned;
        position.turn_to(At::Page(1));
        position.phase = Phase::Deleted;
        self.deleted(kind, position, changes).await
    }

    /// One page of what was changed; the last one goes on with what was deleted.
    async fn changed(&self, kind: Kind, mut position: Position) -> Result<(Vec<Change>, Stand)> {
        self.check_age(kind, &position)?;
        let (answer, now) = self.page(kind, &position, Some(&iso(position.since))).await?;
        let began = *position.began.get_or_insert(now);
        let mut news = Vec::new();
        for record in answer.data {
            position.meet(record.id(), record.modified());
            if !position.knows(record.id(), record.modified()) {
                news.push(record);
            }
        }
        let mut changes = Vec::new();
        if !news.is_empty() {
            // The zone is asked for only where there is something to read.
            let opened = self.open().await?;
            changes = news.into_iter().map(|record| Self::change(kind, record, &opened)).collect();
        }
        if let Some(at) = records::page_after(self.page_size, &position.at(), &answer.info)? {
            position.turned = Some((began, now));
            position.turn_to(at);
            return Ok((changes, Stand::More(position)));
        }
        position.turn_to(At::Page(1));
        position.phase = Phase::Deleted;
        self.deleted(kind, position, changes).await
    }

    /// One page of what was deleted, behind the changes of this call.
    async fn deleted(
        &self,
        kind: Kind,
        mut position: Position,
        mut changes: Vec<Change>,
    ) -> Result<(Vec<Change>, Stand)> {
        let call = events::deleted(&self.client.origin, kind.module(), position.page, &iso(position.since))?;
        let (answer, now) = self.client.ask_dated::<DeletedRecords>(call).await?;
        let began = *position.began.get_or_insert(now);
        let answer = answer.unwrap_or_default();
        let mut slipped = false;
        for deleted in answer.data {
            let at = second(&deleted.deleted_time);
            slipped |= position.turned.is_some_and(|(from, to)| at + TICK >= from && at <= to + TICK);
            // A record may be both changed and deleted at one moment: its deletion is remembered under a mark of its own.
            let mark = format!("-{}", deleted.id);
            let known = position.knows(&mark, &deleted.deleted_time);
            position.meet(&mark, &deleted.deleted_time);
            if !known && !position.lives_on(&deleted) {
                changes.push(Change::Tombstone { id: kind.id(&deleted.id) });
            }
        }
        if slipped {
            // Only a listing shows what the turned pages may have left out.
            return Ok((changes, Stand::Relist));
        }
        let stand = match answer.info.more_records {
            true => {
                position.page += 1;
                Stand::More(position)
            }
            false => Stand::CaughtUp(position.caught_up(began)),
        };
        Ok((changes, stand))
    }
}

/// What people are told of tasks that cannot be read, among the excluded records.
fn barred(refusal: &ConnectorError) -> Change {
    let why = &refusal.detail;
    let reason = format!("Tasks are not carried for now, and their copies stay as they are: {why}.");
    Change::Unreadable { id: notice(), reason }
}
