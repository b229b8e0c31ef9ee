//! The change feed. Teamleader has no `updated_since` for meetings and no `updated_at` on them, so a delta is a full
//! comparison of the days that the sync looks at: a hundred meetings a call. The cursor holds what each looked like; a
//! meeting that is not listed any more is told as seen, so that it is read by itself: only that proves that it is gone.
use super::{TeamleaderMeetings, is_at, map};
use crate::api::meetings::{LIST, of_user};
use crate::api::requests::Page;
use crate::contacts::SMALLEST_PAGE;
use crate::error;
use crate::wire::{Data, text};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};
use tandem_ports::error::Result;

/// Raised when a stored cursor would be misread.
const FORM: u8 = 1;
/// Most meetings that a sync can look at: a dozen a day for a year. The cursor holds each of them (some 60 bytes).
const MOST_KNOWN: usize = 4_000;
/// Most changes of a page: each is read by a call of its own.
const MOST_TOLD: usize = 40;
/// Rows of a listing's page, for the same reason.
const LISTED: u64 = 40;

/// What a meeting looked like: its digest, and the day that it starts.
type Known = BTreeMap<String, (String, Date)>;

/// Our cursor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    form: u8,
    /// The page of the listing that is next; none once it is through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<u64>,
    /// When the feed was last read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked_at: Option<Timestamp>,
    known: Known,
}

/// A meeting of a list.
struct Row {
    id: String,
    digest: String,
    day: Date,
}

impl Position {
    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("numbers and strings are JSON"))
    }

    fn know(&mut self, row: &Row) {
        self.known.insert(row.id.clone(), (row.digest.clone(), row.day));
    }
}

/// By UTC, so that no zone's border matters.
fn day_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

impl TeamleaderMeetings {
    pub(super) async fn feed(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let Some(cursor) = from else {
            return self.listing(Position { form: FORM, page: Some(1), ..Position::default() }).await;
        };
        let stored = serde_json::from_str::<Position>(&cursor.0).ok().filter(|position| position.form == FORM);
        let Some(position) = stored else { return Err(error::cursor_of_another_release(LIST)) };
        match position.page {
            Some(_) => self.listing(position).await,
            None => self.delta(position).await,
        }
    }

    /// The first and the last day that the sync looks at.
    fn window(&self) -> (Date, Date) {
        let today = day_of(self.clock.now());
        let days = |days: u32| i64::from(days).days();
        (today.saturating_sub(days(self.options.past_days)), today.saturating_add(days(self.options.future_days)))
    }

    /// One page of the user's meetings, and how many rows it had.
    async fn page(&self, page: Page) -> Result<(Vec<Row>, usize)> {
        let me = self.me().await?;
        let (first, last) = self.window();
        // In whose zone Teamleader counts the days is documented nowhere: a day more on each side, and judged here.
        let days = (first.saturating_sub(1.day()), last.saturating_add(1.day()));
        let answer = self.api.read::<Data<Vec<Map<String, Value>>>>(of_user(&me.id, days, page)).await?;
        let meetings = answer.body.data;
        let row = |meeting: &Map<String, Value>| {
            // A time that cannot be read is told of once the meeting is read.
            let day = map::start(meeting).map_or(first, day_of);
            let ours = is_at(meeting, &me) && (first..=last).contains(&day);
            ours.then(|| Row { id: text(meeting.get("id")).to_owned(), digest: map::digest(meeting), day })
        };
        Ok((meetings.iter().filter_map(row).collect(), meetings.len()))
    }

    /// One page of the listing. A meeting that pages hide, as another one is deleted meanwhile, is new to the delta.
    async fn listing(&self, mut position: Position) -> Result<ChangePage> {
        let number = position.page.unwrap_or(1);
        let size = self.page_size.min(LISTED);
        let (rows, many) = self.page(Page { size, number }).await?;
        let more = many >= smallest_full(size);
        for row in &rows {
            position.know(row);
        }
        check_size(&position)?;
        let changes = rows.iter().map(seen).collect();
        position.page = more.then_some(number + 1);
        Ok(ChangePage { changes, next: self.next(position, more), total: None })
    }

    fn next(&self, mut position: Position, more: bool) -> Next {
        if more {
            return Next::More(position.cursor());
        }
        position.looked_at = Some(self.clock.now());
        Next::CaughtUp(position.cursor())
    }

    /// What is not as the cursor has it, some of it at a time.
    async fn delta(&self, mut position: Position) -> Result<ChangePage> {
        *self.edited_since.lock().expect("no code panics while it holds this lock") = position.looked_at;
        let mut live = BTreeMap::new();
        // The first page shows how many rows Teamleader gives at most.
        let mut full = smallest_full(self.page_size);
        for number in 1.. {
            let (rows, many) = self.page(Page { size: self.page_size, number }).await?;
            live.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
            if many < full {
                break;
            }
            full = many;
            if live.len() > MOST_KNOWN {
                return Err(too_many());
            }
        }
        // What the window has left behind is not looked at any more; it stays linked.
        let (first, _) = self.window();
        position.known.retain(|id, (_, day)| *day >= first || live.contains_key(id));
        let is_known = |row: &Row| position.known.get(&row.id).is_some_and(|(digest, _)| *digest == row.digest);
        let changed: Vec<&Row> = live.values().filter(|row| !is_known(row)).collect();
        let unlisted: Vec<String> = position.known.keys().filter(|id| !live.contains_key(*id)).cloned().collect();
        let more = changed.len() + unlisted.len() > MOST_TOLD;
        let mut changes = Vec::new();
        for row in changed.into_iter().take(MOST_TOLD) {
            position.know(row);
            changes.push(seen(row));
        }
        for id in unlisted.into_iter().take(MOST_TOLD - changes.len()) {
            position.known.remove(&id);
            changes.push(Change::Seen { id: RemoteId::new(id), version: Version::new(UNLISTED) });
        }
        check_size(&position)?;
        Ok(ChangePage { changes, next: self.next(position, more), total: None })
    }
}

/// Fewer rows than this, and a page is the last one, whatever most Teamleader gives.
fn smallest_full(size: u64) -> usize {
    SMALLEST_PAGE.min(usize::try_from(size).unwrap_or(SMALLEST_PAGE))
}

/// The version of a meeting that is not listed any more; no digest looks like it.
const UNLISTED: &str = "not listed";

fn seen(row: &Row) -> Change {
    Change::Seen { id: RemoteId::new(&row.id), version: Version::new(&row.digest) }
}

fn check_size(position: &Position) -> Result<()> {
    if position.known.len() > MOST_KNOWN { Err(too_many()) } else { Ok(()) }
}

fn too_many() -> tandem_ports::error::ConnectorError {
    let detail = "the window of days holds more than 4,000 of the user's meetings; choose fewer days";
    error::forbidden(LIST, detail)
}
