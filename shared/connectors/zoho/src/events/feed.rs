//! The change feed, as that of the contacts: a listing, then what was changed since (`If-Modified-Since`), then what was
//! deleted since. Times are Zoho's own, in whole seconds; each step looks back a little further than the last one ended.
use super::ZohoEvents;
use crate::api::events::{self, Order};
use crate::api::records::{self, At};
use crate::contacts::feed::{GOOD_FOR, MOST_KNOWN, OVERLAP, TICK, iso, remembered, second};
use crate::error;
use crate::rights::Right;
use crate::wire::{Deleted, DeletedRecords, Records};
use serde::{Deserialize, Serialize};
use tandem_core::record::RemoteId;
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};
use tandem_ports::error::Result;

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

/// Our cursor. Times are Unix seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    form: u8,
    phase: Phase,
    /// From where changes are asked for; 0 in a listing.
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

impl ZohoEvents {
    pub(super) async fn feed(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let Some(cursor) = from else {
            self.open().await?.rights.allow(Right::View, events::LIST)?;
            return self.listing(Position::start(Phase::Listing)).await;
        };
        let stored = serde_json::from_str::<Position>(&cursor.0).ok().filter(|position| position.form == FORM);
        let Some(position) = stored else {
            return Err(error::cursor_expired(events::LIST, "the stored position is of another release"));
        };
        match position.phase {
            Phase::Listing => self.listing(position).await,
            Phase::Changed => self.changed(position).await,
            Phase::Deleted => self.deleted(position, Vec::new()).await,
        }
    }

    async fn page(&self, position: &Position, since: Option<&str>) -> Result<(Records, i64)> {
        let call = events::list(&self.client.origin, Order::Oldest, (&position.at(), self.page_size), since)?;
        let asked = self.client.ask_dated::<Records>(call).await;
        let (answer, now) = match position.token {
            Some(_) => asked.map_err(error::token_refused)?,
            None => asked?,
        };
        Ok((answer.unwrap_or_default(), now))
    }

    /// One page of the listing.
    async fn listing(&self, mut position: Position) -> Result<ChangePage> {
        let (answer, now) = self.page(&position, None).await?;
        let began = *position.began.get_or_insert(now);
        for record in answer.data.iter().filter(|record| second(record.modified()) >= began - OVERLAP) {
            position.meet(record.id(), record.modified());
        }
        let opened = self.open().await?;
        let changes = answer.data.into_iter().map(|record| Self::change(record, &opened)).collect();
        let next = match records::page_after(self.page_size, &position.at(), &answer.info)? {
            Some(at) => {
                position.turned = Some((began, now));
                position.turn_to(at);
                Next::More(position.cursor())
            }
            None => {
                let turned = position.turned.map(|(from, _)| (from, now));
                Next::CaughtUp(Position { turned, ..position.caught_up(began) }.cursor())
            }
        };
        Ok(ChangePage { changes, next, total: None })
    }

    /// One page of what was changed; the last one goes on with what was deleted.
    async fn changed(&self, mut position: Position) -> Result<ChangePage> {
        if self.client.clock.now().as_second() - position.since > GOOD_FOR {
            return Err(error::cursor_expired(events::LIST, "the last reading is too long ago to know all deletions"));
        }
        let (answer, now) = self.page(&position, Some(&iso(position.since))).await?;
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
            changes = news.into_iter().map(|record| Self::change(record, &opened)).collect();
        }
        if let Some(at) = records::page_after(self.page_size, &position.at(), &answer.info)? {
            position.turned = Some((began, now));
            position.turn_to(at);
            return Ok(ChangePage { changes, next: Next::More(position.cursor()), total: None });
        }
        position.turn_to(At::Page(1));
        position.phase = Phase::Deleted;
        self.deleted(position, changes).await
    }

    /// One page of what was deleted, behind the changes of this call.
    async fn deleted(&self, mut position: Position, mut changes: Vec<Change>) -> Result<ChangePage> {
        let call = events::deleted(&self.client.origin, position.page, &iso(position.since))?;
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
                changes.push(Change::Tombstone { id: RemoteId::new(deleted.id) });
            }
        }
        if slipped {
            // Only a listing shows what the turned pages may have left out.
            return Ok(ChangePage { changes, next: Next::Relist, total: None });
        }
        let next = match answer.info.more_records {
            true => {
                position.page += 1;
                Next::More(position.cursor())
            }
            false => Next::CaughtUp(position.caught_up(began).cursor()),
        };
        Ok(ChangePage { changes, next, total: None })
    }
}
