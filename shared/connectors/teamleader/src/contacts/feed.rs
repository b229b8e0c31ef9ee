//! The change feed, made of lists: windows over everything (sorted by `added_at`), then what was changed since (sorted by
//! `updated_at`), then whether anything has left, and what changed in the companies.
//!
//! Windows are counted by number, and a deletion moves every later row one place forward. So each window starts at the
//! last row of the one before, whatever its size; where that row is not in it, the listing steps back.
use super::TeamleaderContacts;
use crate::api::requests::{self, Page, Sort};
use crate::error;
use crate::wire::{Row, sent, stamp, time, whole_second};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};
use tandem_ports::error::Result;

const LIST: &str = "contacts.list";
/// Part of every cursor: raised when its form changes.
const FORM: u8 = 1;
/// Times are whole seconds: a second is over, and its rows are final, once this has passed.
const SETTLED: SignedDuration = SignedDuration::from_secs(2);

#[derive(Clone, Serialize, Deserialize)]
struct Position {
    form: u8,
    /// The container that it was made for.
    within: Option<String>,
    /// What was changed up to here is told.
    known: Mark,
    /// Contacts added up to here are in `count`.
    added: Mark,
    /// How many contacts the list has, as far as it was told.
    count: u64,
    /// When the companies were last looked at (Teamleader's time).
    companies: String,
    step: Step,
}

/// A second, and the records of that second which are told already.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Mark {
    at: String,
    ids: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// Listing everything: this many rows are behind us, `added` marks the last of them.
    Listing { passed: u64 },
    /// Reading what was changed: the window to read next, and what was added so far in this round.
    Changed { number: u64, fresh: u64, latest: Mark },
    /// Changed companies whose contacts are to be told, from this window on; caught up after them.
    Companies { queue: Vec<String>, number: u64 },
}

impl Mark {
    /// Takes a record of this second or a later one.
    fn take(&mut self, at: &str, id: &str) {
        if at > self.at.as_str() {
            *self = Mark { at: at.to_owned(), ids: Vec::new() };
        }
        if at == self.at && !self.has(at, id) {
            self.ids.push(id.to_owned());
        }
    }
    fn has(&self, at: &str, id: &str) -> bool {
        at < self.at.as_str() || (at == self.at && self.ids.iter().any(|known| known == id))
    }
}

impl Position {
    fn cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("numbers and strings are JSON"))
    }
}

fn seen(row: &Row) -> Change {
    Change::Seen { id: RemoteId::new(row.id.clone()), version: Version::new(stamp(&row.updated_at)) }
}

/// The largest new stretch that one window from row `passed` on can show: windows start at multiples of their size, and
/// this one must show the row before `passed` too.
fn window_after(passed: u64, most: u64) -> Page {
    let Some(from) = passed.checked_sub(1) else { return Page { size: most, number: 1 } };
    let page = |size: u64| Page { size, number: from / size + 1 };
    let reach = |page: &Page| page.size * page.number;
    let best = (most.div_ceil(2)..=most).map(page).max_by_key(reach).filter(|best| reach(best) > passed);
    // Small windows (of tests) may all end at this very row: a little more is needed then.
    best.unwrap_or_else(|| page((most..).find(|size| !passed.is_multiple_of(*size)).unwrap_or(passed + 1)))
}

/// The window whose rows end short exactly if the list has `count` rows: a count without `meta`.
fn window_at(count: u64) -> Page {
    if count == 0 {
        return Page { size: 1, number: 1 };
    }
    let size = (2..=count + 1).find(|size| !count.is_multiple_of(*size)).unwrap_or(count + 1);
    Page { size, number: count / size + 1 }
}

impl TeamleaderContacts {
    pub(super) async fn feed(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let position = match from {
            None => self.start().await?,
            Some(cursor) => self.position(cursor)?,
        };
        match position.step.clone() {
            Step::Listing { passed } => self.listing(position, passed).await,
            Step::Changed { number, fresh, latest } => self.changed(position, number, fresh, latest).await,
            Step::Companies { queue, number } => self.company_contacts(position, queue, number, Vec::new()).await,
        }
    }

    fn position(&self, cursor: &Cursor) -> Result<Position> {
        let read = serde_json::from_str::<Position>(&cursor.0).ok();
        let within = self.options.container.as_ref().map(|id| id.as_str());
        read.filter(|position| position.form == FORM && position.within.as_deref() == within)
            .ok_or_else(|| error::cursor_of_another_release(LIST))
    }

    /// The latest change there is: what comes after it is the delta's.
    async fn start(&self) -> Result<Position> {
        let latest = Page { size: self.page_size, number: 1 };
        let answer = self.list::<Row>(requests::contacts(Map::new(), Sort::LatestUpdate, latest)).await?;
        let mut known = Mark::default();
        for row in &answer.body.data {
            let at = stamp(&row.updated_at);
            if known.at.is_empty() || at == known.at {
                known.take(&at, &row.id);
            }
        }
        let mut position = Position {
            form: FORM,
            within: self.options.container.as_ref().map(|id| id.as_str().to_owned()),
            known,
            added: Mark::default(),
            count: 0,
            companies: whole_second(answer.at),
            step: Step::Listing { passed: 0 },
        };
        unsettle(&mut position.known, answer.at);
        Ok(position)
    }

    /// The filter of the container; the delta has none, so that it shows who leaves it.
    fn within(&self) -> Map<String, Value> {
        self.tag().map_or_else(Map::new, |tag| requests::one("tags", json!([tag])))
    }

    async fn listing(&self, mut position: Position, passed: u64) -> Result<ChangePage> {
        let page = window_after(passed, self.page_size);
        let answer = self.list::<Row>(requests::contacts(self.within(), Sort::Added, page)).await?;
        let total = answer.body.meta.and_then(|meta| meta.matches);
        let rows = answer.body.data;
        let overlaps = passed == 0
            || rows.iter().any(|row| position.added.ids.contains(&row.id))
            || rows.first().is_some_and(|row| stamp(&row.added_at) < position.added.at);
        if !overlaps {
            // Rows moved forward: those between are in an earlier window.
            position.step = Step::Listing { passed: passed.saturating_sub(self.page_size) };
            return Ok(ChangePage { changes: Vec::new(), next: Next::More(position.cursor()), total });
        }
        for row in &rows {
            position.added.take(&stamp(&row.added_at), &row.id);
        }
        let changes = rows.iter().map(seen).collect();
        let reached = page.size * (page.number - 1) + rows.len() as u64;
        if (rows.len() as u64) < page.size {
            position.count = reached;
            position.step = Step::Changed { number: 1, fresh: 0, latest: position.added.clone() };
            return Ok(ChangePage { changes, next: Next::CaughtUp(position.cursor()), total });
        }
        position.step = Step::Listing { passed: reached };
        Ok(ChangePage { changes, next: Next::More(position.cursor()), total })
    }

    async fn changed(
        &self,
        mut position: Position,
        number: u64,
        mut fresh: u64,
        mut latest: Mark,
    ) -> Result<ChangePage> {
        let page = Page { size: self.page_size, number };
        let filter = match position.known.at.as_str() {
            "" => Map::new(),
            since => requests::one("updated_since", json!(sent(since))),
        };
        let answer = self.list::<Value>(requests::contacts(filter, Sort::Updated, page)).await?;
        let values = answer.body.data;
        let mut known = position.known.clone();
        let mut changes = Vec::new();
        let full = values.len() as u64 >= page.size;
        for value in values {
            let inside =
                self.tag().is_none_or(|tag| value["tags"].as_array().is_some_and(|t| t.iter().any(|t| t == tag)));
            let row: Row = serde_json::from_value(value).map_err(|cause| error::unreadable(LIST, &cause))?;
            let (updated, added) = (stamp(&row.updated_at), stamp(&row.added_at));
            if !position.known.has(&updated, &row.id) {
                changes.push(seen(&row));
                if inside && !position.added.has(&added, &row.id) {
                    fresh += 1;
                    latest.take(&added, &row.id);
                }
            }
            known.take(&updated, &row.id);
        }
        let moved_on = known.at > position.known.at;
        let at = answer.at;
        position.known = known;
        unsettle(&mut position.known, at);
        if full {
            // From the last second on, as rows that were changed meanwhile moved to the end; within one second by number.
            let number = if moved_on { 1 } else { number + 1 };
            position.step = Step::Changed { number, fresh, latest };
            return Ok(ChangePage { changes, next: Next::More(position.cursor()), total: None });
        }
        position.count += fresh;
        position.added = latest;
        self.close(position, changes, at).await
    }

    /// Nothing more was changed: has anything left without a word, and which companies were changed?
    async fn close(&self, mut position: Position, changes: Vec<Change>, at: Timestamp) -> Result<ChangePage> {
        let page = window_at(position.count);
        let answer = self.list::<Row>(requests::contacts(self.within(), Sort::Added, page)).await?;
        let expected = position.count - page.size * (page.number - 1);
        if answer.body.data.len() as u64 != expected {
            return Ok(ChangePage { changes, next: Next::Relist, total: None });
        }
        let since = position.companies.clone();
        let page = Page { size: self.page_size, number: 1 };
        let answer = self.list::<Row>(requests::companies_since(&sent(&since), page)).await?;
        // More than a window of changed companies goes on from the last of them, next time.
        let full = answer.body.data.len() as u64 >= page.size;
        let last = answer.body.data.last().map(|row| stamp(&row.updated_at)).filter(|last| full && *last > since);
        position.companies = last.unwrap_or_else(|| whole_second(at));
        let queue = answer.body.data.into_iter().map(|row| row.id).collect();
        self.after_companies(position, queue, changes)
    }

    fn after_companies(&self, mut position: Position, queue: Vec<String>, changes: Vec<Change>) -> Result<ChangePage> {
        if queue.is_empty() {
            return Ok(caught_up(position, changes));
        }
        position.step = Step::Companies { queue, number: 1 };
        Ok(ChangePage { changes, next: Next::More(position.cursor()), total: None })
    }

    /// A company's change is no change of its contacts at Teamleader, but it is one of what they take along.
    async fn company_contacts(
        &self,
        mut position: Position,
        mut queue: Vec<String>,
        number: u64,
        mut changes: Vec<Change>,
    ) -> Result<ChangePage> {
        let Some(company) = queue.first() else { return Ok(caught_up(position, changes)) };
        let filter = requests::one("company_id", json!(company));
        let page = Page { size: self.page_size, number };
        let rows = self.list::<Row>(requests::contacts(filter, Sort::Added, page)).await?.body.data;
        // Their own version is the one that was read before, so they are read here and told whole.
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        changes.extend(self.read(&ids).await?.into_iter().flatten().map(|held| Change::Upsert(Box::new(held))));
        if (rows.len() as u64) < page.size {
            queue.remove(0);
            return self.after_companies(position, queue, changes);
        }
        position.step = Step::Companies { queue, number: number + 1 };
        Ok(ChangePage { changes, next: Next::More(position.cursor()), total: None })
    }
}

fn caught_up(mut position: Position, changes: Vec<Change>) -> ChangePage {
    position.step = Step::Changed { number: 1, fresh: 0, latest: position.added.clone() };
    ChangePage { changes, next: Next::CaughtUp(position.cursor()), total: None }
}

/// In a second that is not over, a record may still change without its time changing: it is told again.
fn unsettle(mark: &mut Mark, now: Timestamp) {
    if time(&mark.at).is_some_and(|at| now.duration_since(at) < SETTLED) {
        mark.ids.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_shows_the_last_row_of_the_one_before_and_is_worth_its_call() {
        let (mut passed, mut calls) = (0, 0);
        while passed < 10_000 {
            let page = window_after(passed, super::super::PAGE_SIZE);
            let from = page.size * (page.number - 1);
            assert!(passed == 0 || from < passed, "starts before row {passed}");
            assert!(page.size * page.number > passed, "goes on after row {passed}");
            passed = page.size * page.number;
            calls += 1;
        }
        assert!(calls <= 200, "{calls} calls");
        for most in 2..20 {
            for passed in 0..200 {
                assert!(window_after(passed, most).size * window_after(passed, most).number > passed);
            }
        }
    }

    #[test]
    fn one_window_tells_a_count_from_every_other() {
        for count in 0..500_u64 {
            let page = window_at(count);
            let rows = |there: u64| there.saturating_sub(page.size * (page.number - 1)).min(page.size);
            for other in 0..520 {
                assert_eq!(
                    rows(other) == rows(count),
                    other == count || (rows(count) == 0 && other == 0),
                    "{count} {other}"
                );
            }
            assert!(page.size <= 12);
        }
    }
}
