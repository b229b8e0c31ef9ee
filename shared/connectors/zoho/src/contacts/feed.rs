//! The change feed: a listing, then what was changed since (`If-Modified-Since`), then what was deleted since.
//!
//! Times are Zoho's own (`Date`). Each step looks back a little further than the last one ended, since Zoho's times are
//! whole seconds and its servers many; what it meets again is known by id and version and left out.
use super::ZohoContacts;
use crate::api::records::{self, At, Of};
use crate::error;
use crate::layout::Layout;
use crate::rights::Right;
use crate::wire::{Deleted, DeletedRecords, Record, Records};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tandem_core::record::{RemoteId, Scope};
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};
use tandem_ports::error::Result;

/// Raised when a stored cursor would be misread.
const FORM: u8 = 1;
/// How far each step looks back, in seconds.
pub(crate) const OVERLAP: i64 = 30;
/// Zoho's times are whole seconds; what happened within this many of a moment may be on either side of it.
pub(crate) const TICK: i64 = 2;
/// Most records remembered across the overlap. Beyond it a change may be reported twice, which does no harm.
pub(crate) const MOST_KNOWN: usize = 200;
/// A list view is listed anew this often: who enters or leaves it by time alone is seen nowhere else.
const SWEEP_EVERY: i64 = 24 * 3600;
/// Deletions are told for as long as the recycle bin keeps them (60 days); half of it is surely told.
pub(crate) const GOOD_FOR: i64 = 30 * 24 * 3600;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Listing,
    #[default]
    Changed,
    Deleted,
}

/// Our cursor. Times are Unix seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Position {
    form: u8,
    phase: Phase,
    layout: Layout,
    /// From where changes are asked for; 0 in a listing.
    #[serde(default)]
    since: i64,
    /// When this listing or delta began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<i64>,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    page: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// (id, version) met before and still within the overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    known: Vec<(String, String)>,
    /// (id, version) met in this listing or delta.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fresh: Vec<(String, String)>,
    /// When the last complete listing began.
    #[serde(default)]
    listed: i64,
    /// When pages were turned: a deletion then may have moved a record over the edge of a page, unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turned: Option<(i64, i64)>,
    /// Something happened after the last listing began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    moved: bool,
}

fn first() -> u32 {
    1
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_first(page: &u32) -> bool {
    *page == 1
}

pub(crate) fn second(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().map_or(0, |time| time.as_second())
}

pub(crate) fn iso(second: i64) -> String {
    let time = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// The latest of them, as many as are remembered, from `since` on.
pub(crate) fn remembered(mut all: Vec<(String, String)>, since: i64) -> Vec<(String, String)> {
    all.retain(|(_, time)| second(time) >= since);
    all.sort_by_cached_key(|(_, time)| std::cmp::Reverse(second(time)));
    all.truncate(MOST_KNOWN);
    all
}

impl Position {
    fn cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("numbers and strings are JSON"))
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

    fn turned(&mut self, began: i64, now: i64) {
        self.turned = Some((began, now));
    }

    fn meet(&mut self, id: &str, version: &str, since: i64) {
        self.fresh.push((id.to_owned(), version.to_owned()));
        if self.fresh.len() > 2 * MOST_KNOWN {
            self.fresh = remembered(std::mem::take(&mut self.fresh), since);
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
}

impl ZohoContacts {
    pub(super) async fn feed(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let Some(cursor) = from else {
            let opened = self.open().await?;
            opened.rights.allow(Right::View, records::LIST)?;
            return self.listing(fresh_position(Layout::clone(&opened.layout))).await;
        };
        let stored = serde_json::from_str::<Position>(&cursor.0).ok().filter(|position| position.form == FORM);
        let Some(position) = stored else {
            return Err(error::cursor_expired(records::LIST, "the stored position is of another release"));
        };
        match position.phase {
            Phase::Listing => self.listing(position).await,
            Phase::Changed => self.changed(position).await,
            Phase::Deleted => self.deleted(position, Vec::new()).await,
        }
    }

    /// One page of the listing, with the fields that it began with.
    async fn listing(&self, mut position: Position) -> Result<ChangePage> {
        let of = self.view_id().map_or(Of::All, Of::View);
        let at = position.at();
        let names = position.layout.names();
        let call = records::list(&self.client.origin, (of, &names), (&at, self.page_size), None)?;
        let asked = self.client.ask_dated::<Records>(call).await;
        let (answer, now) = match position.token {
            Some(_) => asked.map_err(error::token_refused)?,
            None => asked?,
        };
        let began = *position.began.get_or_insert(now);
        let mut answer = answer.unwrap_or_default();
        self.add_company_phones(&mut answer.data).await?;
        for record in answer.data.iter().filter(|record| second(record.modified()) >= began - OVERLAP) {
            position.meet(record.id(), record.modified(), began - OVERLAP);
        }
        let layout = position.layout.clone();
        let changes = answer.data.into_iter().map(|record| self.change(record, &layout, Scope::Inside)).collect();
        let next = match records::page_after(self.page_size, &at, &answer.info)? {
            Some(at) => {
                position.turned(began, now);
                position.turn_to(at);
                Next::More(position.cursor())
            }
            None => {
                let turned = position.turned.map(|(from, _)| (from, now));
                let known = remembered(position.fresh, began - OVERLAP);
                let done = Position { known, turned, listed: began, since: began - OVERLAP, ..fresh_position(layout) };
                Next::CaughtUp(Position { phase: Phase::Changed, ..done }.cursor())
            }
        };
        Ok(ChangePage { changes, next, total: None })
    }

    /// One page of what was changed; the last one goes on with what was deleted.
    async fn changed(&self, mut position: Position) -> Result<ChangePage> {
        if self.client.clock.now().as_second() - position.since > GOOD_FOR {
            return Err(error::cursor_expired(records::LIST, "the last reading is too long ago to know all deletions"));
        }
        let known = self.known_layout();
        let mut layout = known.clone().unwrap_or_else(|| Arc::new(position.layout.clone()));
        let at = position.at();
        let (mut answer, now) = self.changed_since(&position, &layout).await?;
        if known.is_none() && !answer.data.is_empty() {
            // There is something to read: with the fields of today, as one that is left out would seem to be empty.
            let fresh = self.layout().await?;
            if fresh != layout {
                answer = self.changed_since(&position, &fresh).await?.0;
            }
            layout = fresh;
        }
        position.layout = Layout::clone(&layout);
        let began = *position.began.get_or_insert(now);
        let changes = self.changes_of(answer.data, &mut position, &layout).await?;
        if let Some(at) = records::page_after(self.page_size, &at, &answer.info)? {
            position.turned(began, now);
            position.turn_to(at);
            return Ok(ChangePage { changes, next: Next::More(position.cursor()), total: None });
        }
        position.turn_to(At::Page(1));
        position.phase = Phase::Deleted;
        self.deleted(position, changes).await
    }

    async fn changed_since(&self, position: &Position, layout: &Layout) -> Result<(Records, i64)> {
        let (names, since) = (layout.names(), iso(position.since));
        let at = (&position.at(), self.page_size);
        let call = records::list(&self.client.origin, (Of::All, &names), at, Some(&since))?;
        let asked = self.client.ask_dated::<Records>(call).await;
        let (answer, now) = match position.token {
            Some(_) => asked.map_err(error::token_refused)?,
            None => asked?,
        };
        Ok((answer.unwrap_or_default(), now))
    }

    async fn changes_of(&self, data: Vec<Record>, position: &mut Position, layout: &Layout) -> Result<Vec<Change>> {
        let mut news: Vec<Record> = Vec::new();
        for record in data {
            position.meet(record.id(), record.modified(), position.since);
            if !position.knows(record.id(), record.modified()) {
                position.moved |= second(record.modified()) + TICK >= position.listed;
                news.push(record);
            }
        }
        self.add_company_phones(&mut news).await?;
        let scopes = self.scopes(&news).await?;
        Ok(news.into_iter().zip(scopes).map(|(record, scope)| self.change(record, layout, scope)).collect())
    }

    /// One page of what was deleted, behind the changes of this call.
    async fn deleted(&self, mut position: Position, mut changes: Vec<Change>) -> Result<ChangePage> {
        let call = records::deleted(&self.client.origin, position.page, &iso(position.since))?;
        let (answer, now) = self.client.ask_dated::<DeletedRecords>(call).await?;
        let began = *position.began.get_or_insert(now);
        let answer = answer.unwrap_or_default();
        let mut slipped = false;
        for deleted in answer.data {
            let at = second(&deleted.deleted_time);
            slipped |= position.turned.is_some_and(|(from, to)| at + TICK >= from && at <= to + TICK);
            // A record may be both changed and deleted at one moment, so its deletion is remembered under a mark of its own.
            let mark = format!("-{}", deleted.id);
            let known = position.knows(&mark, &deleted.deleted_time);
            position.meet(&mark, &deleted.deleted_time, position.since);
            if !known && !position.lives_on(&deleted) {
                position.moved |= at + TICK >= position.listed;
                changes.push(Change::Tombstone { id: RemoteId::new(deleted.id) });
            }
        }
        if slipped {
            // Only a listing shows what the turned pages may have left out.
            return Ok(ChangePage { changes, next: Next::Relist, total: None });
        }
        if answer.info.more_records {
            position.page += 1;
            return Ok(ChangePage { changes, next: Next::More(position.cursor()), total: None });
        }
        let next = match self.view_id() {
            Some(_) if position.moved || now - position.listed >= SWEEP_EVERY => Next::Relist,
            Some(_) | None => Next::CaughtUp(caught_up(position, began).cursor()),
        };
        Ok(ChangePage { changes, next, total: None })
    }
}

fn fresh_position(layout: Layout) -> Position {
    Position {
        form: FORM,
        phase: Phase::Listing,
        layout,
        since: 0,
        began: None,
        page: 1,
        token: None,
        known: Vec::new(),
        fresh: Vec::new(),
        listed: 0,
        turned: None,
        moved: false,
    }
}

fn caught_up(mut position: Position, began: i64) -> Position {
    // Never back: a server whose clock is behind must not make us read twice what is known.
    let since = (began - OVERLAP).max(position.since);
    let mut met = std::mem::take(&mut position.fresh);
    met.append(&mut position.known);
    met.sort();
    met.dedup();
    let known = remembered(met, since);
    let (listed, layout) = (position.listed, position.layout);
    Position { phase: Phase::Changed, since, known, listed, ..fresh_position(layout) }
}
