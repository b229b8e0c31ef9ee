//! Reading the change feed page by page.
use super::BuiltinCalendar;
use crate::appointment;
use crate::error::CrmError;
use crate::ledger::Entry;
use crate::record::Record;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tandem_core::record::RemoteId;
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};

/// Feed entries of one page: two batches of a hundred records.
const PAGE: usize = 200;

/// What is inside our cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// Every entry up to here is done.
    seq: u64,
    /// Where the feed ended when this listing began: up to here, what has gone is old news.
    #[serde(default)]
    skip: u64,
}

impl Position {
    fn read(cursor: &Cursor) -> Result<Position, CrmError> {
        serde_json::from_str(&cursor.0).map_err(|_| CrmError::UnknownCursor)
    }
    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("numbers serialise"))
    }
}

impl BuiltinCalendar {
    /// One page of changes. Without a change that is one request.
    pub(super) async fn page(&self, from: Option<&Cursor>) -> Result<ChangePage, CrmError> {
        self.may_read()?;
        let at = match from {
            Some(cursor) => Position::read(cursor)?,
            None => Position { seq: 0, skip: self.ledger.head().await?.seq },
        };
        let (entries, more) = self.ledger.feed(at.seq, PAGE).await?;
        let reached = Position { seq: entries.last().map_or(at.seq, |entry| entry.seq), ..at };
        // A block that became a meeting is not gone: its own entry follows.
        let ours: Vec<Entry> =
            entries.into_iter().filter(|entry| entry.kind.is_appointment() && !entry.became).collect();
        let live: Vec<&str> = ours.iter().filter(|entry| !entry.deleted).map(|entry| entry.id.as_str()).collect();
        let records = if live.is_empty() { Vec::new() } else { self.ledger.records(&live).await? };
        let records: HashMap<&str, &Record> =
            records.iter().flatten().map(|record| (record.id.as_str(), record)).collect();
        let changes = ours.iter().filter_map(|entry| self.change(entry, &records, reached.skip)).collect();
        let next = if more { Next::More(reached.cursor()) } else { Next::CaughtUp(reached.cursor()) };
        // How many of the account's appointments are this user's is not counted.
        Ok(ChangePage { changes, next, total: None })
    }

    fn change(&self, entry: &Entry, records: &HashMap<&str, &Record>, skip: u64) -> Option<Change> {
        let is_news = entry.seq > skip;
        let gone = || is_news.then(|| Change::Tombstone { id: RemoteId::new(&entry.id) });
        if entry.deleted {
            return gone();
        }
        // Gone since the entry was read: its tombstone comes later in the feed.
        let record = records.get(entry.id.as_str())?;
        if self.holds(record) {
            return Some(Change::Upsert(Box::new(self.fetched(record))));
        }
        // Others still have it; for this user's calendar it is gone.
        if appointment::was_left(&record.body, &self.actor.id) { gone() } else { None }
    }
}
