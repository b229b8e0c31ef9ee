//! Reading the change feed page by page.
use super::{BuiltinContacts, container_gone};
use crate::error::CrmError;
use crate::ledger::Entry;
use crate::schema::Kind;
use serde::{Deserialize, Serialize};
use tandem_core::record::RemoteId;
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};

/// Feed entries and contacts of one page. With the container it makes two batches of a hundred.
const PAGE: usize = 199;

/// What is inside our cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// Every entry up to here is done.
    seq: u64,
    /// Where the feed ended when this listing began. Up to here tombstones are old news, and companies need not be
    /// followed to their contacts: the listing itself reads every contact that lives.
    #[serde(default)]
    skip: u64,
    /// Within a company's entry: its sequence number, and the last contact that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inner: Option<(u64, String)>,
    /// How many contacts lived when this listing began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl Position {
    fn read(cursor: &Cursor) -> Result<Position, CrmError> {
        serde_json::from_str(&cursor.0).map_err(|_| CrmError::UnknownCursor)
    }
    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("numbers and texts serialise"))
    }
}

/// What a walk over feed entries saw.
struct Walk {
    seen: Vec<Seen>,
    reached: Position,
    more: bool,
}

enum Seen {
    /// Changed, or to be reported because of its company.
    Live(String),
    Gone(String),
}

impl BuiltinContacts {
    /// One page of changes. Without a change that is one request.
    pub(super) async fn page(&self, from: Option<&Cursor>) -> Result<ChangePage, CrmError> {
        self.may_read()?;
        let at = match from {
            Some(cursor) => Position::read(cursor)?,
            None => {
                let head = self.ledger.head().await?;
                Position { skip: head.seq, total: Some(head.live(Kind::Contact)), ..Position::default() }
            }
        };
        let (entries, more) = self.ledger.feed(at.seq, PAGE).await?;
        let walk = self.walk(&at, entries, more).await?;
        let changes = self.report(walk.seen).await?;
        let next = if walk.more {
            Next::More(walk.reached.cursor())
        } else {
            // The listing is over: its total is history.
            Next::CaughtUp(Position { total: None, ..walk.reached }.cursor())
        };
        Ok(ChangePage { changes, next, total: at.total })
    }

    async fn walk(&self, at: &Position, entries: Vec<Entry>, more: bool) -> Result<Walk, CrmError> {
        let mut walk = Walk { seen: Vec::new(), reached: Position { inner: None, ..at.clone() }, more };
        for entry in entries {
            let is_news = entry.seq > at.skip;
            if walk.seen.len() == PAGE {
                return Ok(Walk { more: true, ..walk });
            }
            match entry.kind {
                Kind::Contact if entry.deleted && is_news => walk.seen.push(Seen::Gone(entry.id)),
                Kind::Contact if entry.deleted => {}
                Kind::Contact => walk.seen.push(Seen::Live(entry.id)),
                // A new company has no contacts yet: they come with their own change.
                Kind::Company if is_news && !entry.deleted && entry.version > 1 => {
                    let done = at.inner.as_ref().filter(|(seq, _)| *seq == entry.seq).map(|(_, last)| last.as_str());
                    let room = PAGE - walk.seen.len();
                    let (staff, rest) = self.ledger.staff(&entry.id, done, room).await?;
                    let last = staff.last().cloned();
                    walk.seen.extend(staff.into_iter().map(Seen::Live));
                    if let (true, Some(last)) = (rest, last) {
                        walk.reached.inner = Some((entry.seq, last));
                        return Ok(Walk { more: true, ..walk });
                    }
                }
                Kind::Segment | Kind::ListView if is_news && self.container() == Some(entry.id.as_str()) => {
                    if entry.deleted {
                        return Err(container_gone());
                    }
                    // Another filter: any contact may have come in or gone out, without a change of its own. Go
                    // through all of them again; tombstones up to here have been reported.
                    walk.reached = Position { skip: entry.seq, ..Position::default() };
                    return Ok(Walk { more: true, ..walk });
                }
                Kind::Company
                | Kind::Lead
                | Kind::Deal
                | Kind::Project
                | Kind::Product
                | Kind::File
                | Kind::Folder
                | Kind::Task
                | Kind::Email
                | Kind::Meeting
                | Kind::Block
                | Kind::Segment
                | Kind::ListView
                | Kind::User => {}
            }
            walk.reached.seq = entry.seq;
        }
        Ok(walk)
    }

    async fn report(&self, seen: Vec<Seen>) -> Result<Vec<Change>, CrmError> {
        let live: Vec<&str> = seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Live(id) => Some(id.as_str()),
                Seen::Gone(_) => None,
            })
            .collect();
        let mut records = if live.is_empty() { Vec::new() } else { self.read(&live).await? }.into_iter();
        let change = |seen: &Seen| match seen {
            Seen::Gone(id) => Some(Change::Tombstone { id: RemoteId::new(id) }),
            // Gone since the entry was read: its tombstone comes later in the feed.
            Seen::Live(_) => records.next().flatten().map(|fetched| Change::Upsert(Box::new(fetched))),
        };
        Ok(seen.iter().filter_map(change).collect())
    }
}
