//! The change feed. Teamleader has no `updated_since` for meetings, calls, tasks and events and no `updated_at` on them, so a
//! delta is a full comparison of the days that the sync looks at: a hundred records a call. The cursor holds what each looked
//! like; one that is not listed any more is told as seen, so that it is read by itself: only that proves that it is gone.
//!
//! An activity that the user may not see, or that the account does not have, stops no other: it is *barred*. Nothing is told
//! of its records, and of all of them once it can be read again. So it is with one that the sync carries no more.
use super::activity::{self, Faces};
use super::{TeamleaderCalendar, is_at, map};
use crate::api::calendar::{LIST, listed};
use crate::api::requests::Page;
use crate::contacts::SMALLEST_PAGE;
use crate::error;
use crate::wire::{Data, text};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::calendar::Activity;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};
use tandem_ports::error::{ConnectorError, Result};

/// Raised when a stored cursor would be misread.
const FORM: u8 = 1;
/// Most records that a sync can look at: a dozen a day for a year. The cursor holds each of them (some 75 bytes).
const MOST_KNOWN: usize = 4_000;
/// Pages of one look: a minute's whole quota, also where Teamleader gives no more than its default of twenty rows.
const MOST_PAGES: u64 = 200;
/// Most changes of a page: each is read by a call of its own.
const MOST_TOLD: usize = 40;
/// An activity of which there were too many is asked for again after this.
const TOO_MANY_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Rows of a listing's page, for the same reason.
const LISTED: u64 = 40;

/// What a record looked like: its digest, and the day that it starts. Of what is not read for now the digest is forgotten, so
/// that it is new later, and still missed where it has gone.
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
    /// Whose page is next.
    #[serde(default)]
    of: Activity,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    barred: BTreeSet<Activity>,
    /// Of which there were too many.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    crowded: BTreeMap<Activity, Crowd>,
    /// See [`activity::Faces`].
    #[serde(default, skip_serializing_if = "Faces::is_empty")]
    faces: Faces,
}

/// Finding out that there are too many costs a minute's whole quota, so it is not done at every look.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Crowd {
    /// When they are asked for again.
    until: Timestamp,
    /// On how many days there were too many, back and ahead: of others nothing is known.
    days: (u32, u32),
}

/// What a delta found of all activities.
#[derive(Default)]
struct Swept {
    live: BTreeMap<String, Row>,
    barred: BTreeMap<Activity, ConnectorError>,
}

/// A record of a list.
pub(super) struct Row {
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

impl TeamleaderCalendar {
    pub(super) async fn feed(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let Some(cursor) = from else {
            return self.listing(Position { form: FORM, page: Some(1), ..Position::default() }).await;
        };
        let stored = serde_json::from_str::<Position>(&cursor.0).ok().filter(|position| position.form == FORM);
        let Some(position) = stored else { return Err(error::cursor_of_another_release(LIST)) };
        if !position.faces.is_empty() {
            *self.faces.lock().expect("no code panics while it holds this lock") = Some(position.faces.clone());
        }
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

    /// One page of what the user has of an activity, and how many rows it had.
    pub(super) async fn page(&self, activity: Activity, page: Page) -> Result<(Vec<Row>, usize)> {
        let read = self.rows(activity, page).await;
        match &read {
            Ok(_) => drop(self.answers().insert(activity, true)),
            Err(refusal) if self.bars(refusal) => drop(self.answers().insert(activity, false)),
            Err(_) => {}
        }
        read
    }

    async fn rows(&self, activity: Activity, page: Page) -> Result<(Vec<Row>, usize)> {
        let me = self.me().await?;
        let faces = self.faces(activity).await?;
        let (first, last) = self.window();
        // In whose zone Teamleader counts the days is documented nowhere: a day more on each side, and judged here.
        let days = (first.saturating_sub(1.day()), last.saturating_add(1.day()));
        let call = listed(activity, &me.id, days, page);
        let rows = self.api.read::<Data<Vec<Map<String, Value>>>>(call).await?.body.data;
        let row = |raw: &Map<String, Value>| {
            let seen = activity::seen(activity, raw, &me, &faces).filter(|seen| is_at(seen, &me))?;
            // A time that cannot be read is told of once the record is read.
            let day = map::start(&seen).map_or(first, day_of);
            let id = text(seen.get("id")).to_owned();
            (first..=last).contains(&day).then(|| Row { id, digest: map::digest(&seen), day })
        };
        Ok((rows.iter().filter_map(row).collect(), rows.len()))
    }

    /// The carried activity from this one on.
    fn from(&self, activity: Activity) -> Option<Activity> {
        Activity::ALL.into_iter().find(|one| *one >= activity && self.carries(*one))
    }

    /// One page of the listing. A record that pages hide, as another one is deleted meanwhile, is new to the delta.
    async fn listing(&self, mut position: Position) -> Result<ChangePage> {
        let number = position.page.unwrap_or(1);
        let size = self.page_size.min(LISTED);
        let activity = self.from(position.of).unwrap_or_default();
        let (changes, more) = match self.page(activity, Page { size, number }).await {
            Ok((rows, many)) => {
                for row in &rows {
                    position.know(row);
                }
                position.barred.remove(&activity);
                (rows.iter().map(seen).collect(), many >= smallest_full(size))
            }
            Err(refusal) if self.bars(&refusal) => {
                position.barred.insert(activity);
                if self.options.activities.iter().all(|one| position.barred.contains(one)) {
                    return Err(refusal);
                }
                (vec![barred(activity, &refusal)], false)
            }
            Err(refusal) => return Err(refusal),
        };
        check_size(&position)?;
        let after = Activity::ALL.into_iter().find(|one| *one > activity && self.carries(*one));
        position.of = if more { activity } else { after.unwrap_or_default() };
        position.page = if more { Some(number + 1) } else { after.map(|_| 1) };
        let more = position.page.is_some();
        Ok(ChangePage { changes, next: self.next(position, more), total: None })
    }

    fn next(&self, mut position: Position, more: bool) -> Next {
        if more {
            return Next::More(position.cursor());
        }
        position.looked_at = Some(self.clock.now());
        position.faces = self.known_faces().unwrap_or_default();
        Next::CaughtUp(position.cursor())
    }

    /// All rows of an activity.
    async fn sweep(&self, activity: Activity, live: &mut BTreeMap<String, Row>) -> Result<()> {
        // The first page shows how many rows Teamleader gives at most.
        let mut full = smallest_full(self.page_size);
        for number in 1.. {
            let (rows, many) = self.page(activity, Page { size: self.page_size, number }).await?;
            live.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
            if many < full {
                break;
            }
            full = many;
            if live.len() > MOST_KNOWN || number >= MOST_PAGES {
                return Err(too_many());
            }
        }
        Ok(())
    }

    /// All rows of all activities, but for those that are missing to the user or too many. Where nothing else is carried, that is an
    /// error.
    async fn swept(&self, crowded: &mut BTreeMap<Activity, Crowd>) -> Result<Swept> {
        let mut swept = Swept::default();
        let (now, days) = (self.clock.now(), (self.options.past_days, self.options.future_days));
        crowded.retain(|_, crowd| now < crowd.until && crowd.days == days);
        for activity in Activity::ALL.into_iter().filter(|one| self.carries(*one)) {
            let mut rows = BTreeMap::new();
            let read = match crowded.contains_key(&activity) {
                true => Err(too_many()),
                false => self.sweep(activity, &mut rows).await,
            };
            match read {
                Ok(()) => swept.live.extend(rows),
                Err(refusal) if !self.bars(&refusal) => return Err(refusal),
                Err(refusal) if swept.barred.len() + 1 == self.options.activities.len() => return Err(refusal),
                Err(refusal) => {
                    if is_too_many(&refusal) {
                        crowded.entry(activity).or_insert(Crowd { until: now + TOO_MANY_FOR, days });
                    }
                    self.answers().insert(activity, false);
                    swept.barred.insert(activity, refusal);
                }
            }
        }
        Ok(swept)
    }

    /// What is not as the cursor has it, some of it at a time.
    async fn delta(&self, mut position: Position) -> Result<ChangePage> {
        *self.edited_since.lock().expect("no code panics while it holds this lock") = position.looked_at;
        let Swept { live, barred: missing } = self.swept(&mut position.crowded).await?;
        let mut changes = notices(&position.barred, &missing);
        position.barred = missing.into_keys().collect();
        // What the window has left behind is not looked at any more; it stays linked.
        let (first, _) = self.window();
        position.known.retain(|id, (_, day)| *day >= first || live.contains_key(id));
        let barred = &position.barred;
        let is_read = |id: &String| {
            let (activity, _) = activity::taken_apart(id);
            self.carries(activity) && !barred.contains(&activity)
        };
        for (_, (digest, _)) in position.known.iter_mut().filter(|(id, _)| !is_read(id)) {
            digest.clear();
        }
        let is_known = |row: &Row| position.known.get(&row.id).is_some_and(|(digest, _)| *digest == row.digest);
        let changed: Vec<&Row> = live.values().filter(|row| !is_known(row)).collect();
        let is_unlisted = |id: &&String| !live.contains_key(*id) && is_read(id);
        let unlisted: Vec<String> = position.known.keys().filter(is_unlisted).cloned().collect();
        let more = changed.len() + unlisted.len() > MOST_TOLD;
        let told = changed.len().min(MOST_TOLD);
        for row in changed.into_iter().take(MOST_TOLD) {
            position.know(row);
            changes.push(seen(row));
        }
        for id in unlisted.into_iter().take(MOST_TOLD - told) {
            position.known.remove(&id);
            changes.push(Change::Seen { id: RemoteId::new(id), version: Version::new(UNLISTED) });
        }
        check_size(&position)?;
        Ok(ChangePage { changes, next: self.next(position, more), total: None })
    }
}

/// What people are told of an activity that cannot be read, among the excluded records.
fn barred(activity: Activity, refusal: &ConnectorError) -> Change {
    let words = activity::row(activity).words;
    let why = if error::is_gone(refusal) { "this account's API does not have them" } else { refusal.detail.as_str() };
    let reason = format!("{words} are not carried for now, and their copies stay as they are: {why}.");
    Change::Unreadable { id: activity::notice(activity), reason }
}

/// Which activities are barred since the last look, and which are not any more.
fn notices(before: &BTreeSet<Activity>, now: &BTreeMap<Activity, ConnectorError>) -> Vec<Change> {
    let new = now.iter().filter(|(activity, _)| !before.contains(activity));
    let over = before.iter().filter(|activity| !now.contains_key(activity));
    let told = new.map(|(activity, refusal)| barred(*activity, refusal));
    told.chain(over.map(|activity| Change::Tombstone { id: activity::notice(*activity) })).collect()
}

/// Fewer rows than this, and a page is the last one, whatever most Teamleader gives.
fn smallest_full(size: u64) -> usize {
    SMALLEST_PAGE.min(usize::try_from(size).unwrap_or(SMALLEST_PAGE))
}

/// The version of a record that is not listed any more; no digest looks like it.
const UNLISTED: &str = "not listed";

fn seen(row: &Row) -> Change {
    Change::Seen { id: RemoteId::new(&row.id), version: Version::new(&row.digest) }
}

fn check_size(position: &Position) -> Result<()> {
    if position.known.len() > MOST_KNOWN { Err(too_many()) } else { Ok(()) }
}

const TOO_MANY: &str =
    "the window of days holds more than 4,000 appointments of the user, or 20,000 of everybody; choose fewer days";

fn too_many() -> ConnectorError {
    error::forbidden(LIST, TOO_MANY)
}

fn is_too_many(refusal: &ConnectorError) -> bool {
    refusal.detail == TOO_MANY
}
