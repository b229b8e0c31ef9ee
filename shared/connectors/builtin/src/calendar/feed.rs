//! Reading the change feed page by page.
use super::BuiltinCalendar;
use crate::appointment::was_left;
use crate::error::CrmError;
use crate::record::Record;
use crate::schema::Kind;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tandem_core::record::RemoteId;
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};

/// Feed entries looked at in one request; those of other types are passed over.
const ENTRIES: usize = 1_000;
/// Appointments of one page: two batches of a hundred.
const PAGE: usize = 200;

/// What is inside our cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// Every entry up to here is done.
    seq: u64,
    /// Where the feed ended when this listing began: what was gone by then is no news.
    #[serde(default)]
    skip: u64,
    /// How many appointments the account had when this listing began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl Position {
    fn read(cursor: &Cursor) -> Result<Position, CrmError> {
        serde_json::from_str(&cursor.0).map_err(|_| CrmError::UnknownCursor)
    }
    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("numbers serialise"))
    }
}

/// An entry about an appointment.
struct Told {
    id: String,
    gone: bool,
    is_news: bool,
}

impl BuiltinCalendar {
    /// One page of changes. Without a change that is one request.
    pub(super) async fn page(&self, from: Option<&Cursor>) -> Result<ChangePage, CrmError> {
        self.may_read()?;
        let at = match from {
            Some(cursor) => Position::read(cursor)?,
            None => {
                let head = self.ledger.head().await?;
                let total = head.live(Kind::Meeting) + head.live(Kind::Block);
                Position { skip: head.seq, total: Some(total), ..Position::default() }
            }
        };
        let (entries, mut more) = self.ledger.feed(at.seq, ENTRIES).await?;
        let (mut reached, mut told) = (at.clone(), Vec::new());
        for entry in entries {
            if told.len() == PAGE {
                more = true;
                break;
            }
            reached.seq = entry.seq;
            // A block that became a meeting is told by the meeting's own entry.
            if entry.kind.is_appointment() && !entry.became {
                told.push(Told { id: entry.id, gone: entry.deleted, is_news: entry.seq > at.skip });
            }
        }
        let changes = self.report(told).await?;
        let next = if more {
            Next::More(reached.cursor())
        } else {
            // The listing is over: its total is history.
            Next::CaughtUp(Position { total: None, ..reached }.cursor())
        };
        Ok(ChangePage { changes, next, total: at.total })
    }

    async fn report(&self, told: Vec<Told>) -> Result<Vec<Change>, CrmError> {
        let live: Vec<&str> = told.iter().filter(|told| !told.gone).map(|told| told.id.as_str()).collect();
        let found = if live.is_empty() { Vec::new() } else { self.ledger.records(&live).await? };
        let found: HashMap<String, Record> =
            found.into_iter().flatten().map(|record| (record.id.clone(), record)).collect();
        let change = |told: &Told| match found.get(&told.id) {
            Some(record) if self.has(record) => Some(Change::Upsert(Box::new(self.fetched(record)))),
            // It lives on in the calendars of others.
            Some(record) if told.is_news && was_left(&record.body, &self.actor.id) => Some(gone(&told.id)),
            Some(_) => None,
            None if told.gone && told.is_news => Some(gone(&told.id)),
            // Gone since the entry was read: its tombstone comes later in the feed.
            None => None,
        };
        Ok(told.iter().filter_map(change).collect())
    }
}

fn gone(id: &str) -> Change {
    Change::Tombstone { id: RemoteId::new(id) }
}
