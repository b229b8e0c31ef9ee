//! What the sides of a sync over this CRM share: whose they are, and how they read its feed.
use crate::error::{CrmError, PROVIDER, classify};
use crate::ledger::{Entry, Ledger};
use crate::record::Record;
use crate::schema::Kind;
use crate::users::User;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use tandem_core::record::RemoteId;
use tandem_ports::connector::{Change, ChangePage, Cursor, Fetched, Next};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::Clock;
use tandem_ports::table::Table;

/// Feed entries of one page: two batches of a hundred records.
const PAGE: usize = 200;

/// The records of an account and the user of it who reads and writes them. One request. A user who is gone is
/// `AuthRevoked`.
pub(crate) async fn open(
    operation: &'static str,
    (table, clock): (Arc<dyn Table>, Arc<dyn Clock>),
    (account, user): (&str, &str),
) -> Result<(Ledger, User)> {
    let ledger = Ledger { table, clock, account: account.to_owned() };
    let found = ledger.record(user).await.map_err(|error| classify(operation, error))?;
    let Some(record) = found.filter(|record| record.kind == Kind::User) else {
        let detail = "this user of the built-in CRM is gone";
        return Err(ConnectorError::new(PROVIDER, operation, ErrorKind::AuthRevoked, detail));
    };
    let actor = User::of(account, &record).map_err(|error| classify(operation, error))?;
    Ok((ledger, actor))
}

/// What is inside our cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// Every entry up to here is done.
    seq: u64,
    /// Where the feed ended when this listing began: up to here, what has gone is old news.
    #[serde(default)]
    skip: u64,
}

/// What a record of the feed is for a side.
pub(crate) enum Seen {
    There(Box<Fetched>),
    /// It was there and is not any more.
    Gone,
    /// It never was there, or that it left is old news.
    Never,
}

/// Whether a change is news, or a listing comes by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Listed,
    News,
}

/// One page of changes of the records that `is_ours` picks. Without a change that is one request.
pub(crate) async fn page(
    ledger: &Ledger,
    from: Option<&Cursor>,
    is_ours: fn(Kind) -> bool,
    seen: impl Fn(&Record, Told) -> Seen,
) -> std::result::Result<ChangePage, CrmError> {
    let at = match from {
        Some(cursor) => serde_json::from_str::<Position>(&cursor.0).map_err(|_| CrmError::UnknownCursor)?,
        None => Position { seq: 0, skip: ledger.head().await?.seq },
    };
    let (entries, more) = ledger.feed(at.seq, PAGE).await?;
    let reached = Position { seq: entries.last().map_or(at.seq, |entry| entry.seq), ..at };
    // What became a record of another type is not gone: its own entry follows.
    let ours: Vec<Entry> = entries.into_iter().filter(|entry| is_ours(entry.kind) && !entry.became).collect();
    let live: Vec<&str> = ours.iter().filter(|entry| !entry.deleted).map(|entry| entry.id.as_str()).collect();
    let records = if live.is_empty() { Vec::new() } else { ledger.records(&live).await? };
    let records: HashMap<&str, &Record> = records.iter().flatten().map(|record| (record.id.as_str(), record)).collect();
    let change = |entry: &Entry| {
        let told = if entry.seq > reached.skip { Told::News } else { Told::Listed };
        let gone = || (told == Told::News).then(|| Change::Tombstone { id: RemoteId::new(&entry.id) });
        if entry.deleted {
            return gone();
        }
        // Gone since the entry was read: its tombstone comes later in the feed.
        match seen(records.get(entry.id.as_str())?, told) {
            Seen::There(fetched) => Some(Change::Upsert(fetched)),
            Seen::Gone => gone(),
            Seen::Never => None,
        }
    };
    let changes = ours.iter().filter_map(change).collect();
    let cursor = Cursor(serde_json::to_string(&reached).expect("numbers serialise"));
    let next = if more { Next::More(cursor) } else { Next::CaughtUp(cursor) };
    // How many of the account's records are this user's is not counted.
    Ok(ChangePage { changes, next, total: None })
}
