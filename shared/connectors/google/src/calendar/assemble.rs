//! From items to records.
//!
//! Google's listing has masters, exceptions and single appointments as items of their own. A record that repeats is read
//! whole: its master and exceptions share an iCalUID, so one `events.list` a series shows all of them, fifty series a
//! request. Where only a cancelled exception is known (Google promises its id, its series and its original start), the
//! master is read first for its iCalUID. So a page costs at most one request a fifty series, twice.
use super::wire::{Item, ORDINARY, Record};
use super::{GoogleCalendar, LIST, map};
use crate::api;
use crate::api::calendar;
use bytes::Bytes;
use http::Response;
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::event::titled;
use tandem_core::record::{Marker, RemoteId, Scope, Version};
use tandem_ports::connector::{Change, Fetched};
use tandem_ports::error::Result;

const GET: &str = "events.get";

/// What a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    /// All that there is.
    Listing,
    /// What has changed.
    Delta,
}

/// What a page says about one series.
#[derive(Default)]
struct Glimpse {
    uid: String,
    /// Its master, where that was read.
    master: Option<Item>,
    exceptions: Vec<Item>,
}

/// What became of a series.
enum Found {
    /// It is there, with these exceptions.
    Whole(Box<Record>),
    /// Its master is deleted.
    Deleted,
    /// This calendar has no master: the user is a guest of these occurrences alone, each of which is a record.
    Strays(Vec<Item>),
    /// More exceptions than twenty pages of Google's hold.
    TooLarge,
}

impl GoogleCalendar {
    /// The changes that these items of a page of this feed mean.
    pub(super) async fn assemble(&self, feed: Feed, items: Vec<Item>) -> Result<Vec<Change>> {
        let mut changes = Vec::with_capacity(items.len());
        let mut series: BTreeMap<String, Glimpse> = BTreeMap::new();
        let (mut deleted, mut masters): (BTreeSet<String>, BTreeSet<String>) = Default::default();
        for item in items {
            match item.series().map(str::to_owned) {
                Some(master) => series.entry(master).or_default().see(item),
                None if item.is_cancelled() => {
                    deleted.insert(item.id().to_owned());
                }
                None if item.is_repeating() && item.event_type() == ORDINARY => {
                    masters.insert(item.id().to_owned());
                    series.entry(item.id().to_owned()).or_default().know(item);
                }
                None => changes.push(change(Record { master: item, exceptions: Vec::new() })),
            }
        }
        series.retain(|master, _| !deleted.contains(master));
        changes.extend(deleted.into_iter().map(|id| Change::Tombstone { id: RemoteId::new(id) }));
        for (id, found) in self.find_series(series).await? {
            match found {
                Found::Whole(record) => {
                    // Until its master came into this calendar each of these was a record.
                    let parts = record.exceptions.iter().filter(|_| feed == Feed::Delta && masters.contains(&id));
                    changes.extend(parts.map(|part| Change::Tombstone { id: RemoteId::new(part.id()) }));
                    changes.push(change(*record));
                }
                Found::Deleted => changes.push(Change::Tombstone { id: RemoteId::new(id) }),
                Found::Strays(items) => changes.extend(items.into_iter().map(stray)),
                Found::TooLarge => changes.push(unreadable(&id, "it has too many exceptions".to_owned())),
            }
        }
        Ok(changes)
    }

    async fn find_series(&self, mut series: BTreeMap<String, Glimpse>) -> Result<Vec<(String, Found)>> {
        let mut found = Vec::new();
        let nameless: Vec<String> = series.iter().filter(|(_, g)| g.uid.is_empty()).map(|(id, _)| id.clone()).collect();
        let parts: Vec<_> = nameless.iter().map(|id| calendar::get(self.calendar.as_str(), id)).collect();
        for (id, answer) in nameless.into_iter().zip(self.send_all(GET, &parts).await) {
            let glimpse = series.get_mut(&id).expect("its id came from here");
            match item_of(GET, &answer?)? {
                Some(master) if !master.is_cancelled() => glimpse.know(master),
                Some(_) => {
                    series.remove(&id);
                    found.push((id, Found::Deleted));
                }
                None => {
                    let strays = std::mem::take(&mut glimpse.exceptions);
                    series.remove(&id);
                    found.push((id, Found::Strays(strays)));
                }
            }
        }
        // A search for no name would show the whole calendar.
        let (series, unnamed): (Vec<_>, Vec<_>) = series.into_iter().partition(|(_, glimpse)| !glimpse.uid.is_empty());
        found.extend(unnamed.into_iter().map(|(id, glimpse)| {
            let Glimpse { master, exceptions, .. } = glimpse;
            let alone = |master| Found::Whole(Box::new(Record { master, exceptions: exceptions.clone() }));
            (id, master.map_or_else(|| Found::Strays(exceptions.clone()), alone))
        }));
        let part = |at: usize, page: Option<&str>| calendar::series(self.calendar.as_str(), &series[at].1.uid, page);
        let listed = self.listed(LIST, series.len(), part).await;
        for ((id, glimpse), items) in series.into_iter().zip(listed) {
            let series = items?.map_or(Found::TooLarge, |items| whole(&id, items, glimpse.exceptions));
            found.push((id, series));
        }
        Ok(found)
    }

    /// What these events are called, whether or not the rest of them can be read.
    pub(super) async fn names(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        let parts: Vec<_> = ids.iter().map(|id| calendar::get(self.calendar.as_str(), id.as_str())).collect();
        let named = |item: Item| (!item.is_cancelled()).then(|| titled(item.text("summary"), item.day()));
        let answers = self.send_all(GET, &parts).await;
        answers.into_iter().map(|answer| Ok(item_of(GET, &answer?)?.and_then(named))).collect()
    }

    /// Records by id, in order; `None` for what is not there or deleted. What cannot be read is there, for all we know, and
    /// out of reach: it must not stop the others.
    pub(super) async fn read(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        let parts: Vec<_> = ids.iter().map(|id| calendar::get(self.calendar.as_str(), id.as_str())).collect();
        let mut items = Vec::with_capacity(ids.len());
        let mut is_missing = false;
        for answer in self.send_all(GET, &parts).await {
            let item = item_of(GET, &answer?)?;
            is_missing |= item.is_none();
            items.push(item.filter(|item| !item.is_cancelled()));
        }
        if is_missing {
            self.prove_calendar().await?;
        }
        self.leave_out_parts(&mut items).await?;
        let repeating = items.iter().flatten().filter(|item| item.is_repeating() && item.event_type() == ORDINARY);
        let glimpses = repeating.map(|item| {
            let mut glimpse = Glimpse::default();
            glimpse.know(item.clone());
            (item.id().to_owned(), glimpse)
        });
        let mut series: BTreeMap<String, Found> = self.find_series(glimpses.collect()).await?.into_iter().collect();
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let Some(item) = item else {
                answers.push(None);
                continue;
            };
            let record = match series.get(item.id()) {
                None => Record { master: item, exceptions: Vec::new() },
                Some(Found::Whole(record)) => (**record).clone(),
                // Deleted between the two reads.
                Some(Found::Deleted | Found::Strays(_)) => {
                    answers.push(None);
                    continue;
                }
                Some(Found::TooLarge) => {
                    answers.push(Some(out_of_reach(&Record { master: item, exceptions: Vec::new() })));
                    continue;
                }
            };
            let beyond = out_of_reach(&record);
            answers.push(Some(fetched(record).unwrap_or(beyond)));
        }
        series.clear();
        Ok(answers)
    }
}

impl GoogleCalendar {
    /// An exception whose series is in this calendar is a part of that, and no record.
    async fn leave_out_parts(&self, items: &mut [Option<Item>]) -> Result<()> {
        let masters: BTreeSet<String> = items.iter().flatten().filter_map(Item::series).map(str::to_owned).collect();
        let parts: Vec<_> = masters.iter().map(|id| calendar::get(self.calendar.as_str(), id)).collect();
        let mut live = BTreeSet::new();
        for (id, answer) in masters.iter().zip(self.send_all(GET, &parts).await) {
            live.extend(item_of(GET, &answer?)?.filter(|master| !master.is_cancelled()).map(|_| id.as_str()));
        }
        for item in items {
            item.take_if(|item| item.series().is_some_and(|series| live.contains(series)));
        }
        Ok(())
    }
}

impl Glimpse {
    fn know(&mut self, master: Item) {
        self.uid = master.text("iCalUID").to_owned();
        self.master = Some(master);
    }

    fn see(&mut self, exception: Item) {
        if self.uid.is_empty() {
            self.uid = exception.text("iCalUID").to_owned();
        }
        self.exceptions.push(exception);
    }
}

/// `None`: not there.
pub(super) fn item_of(operation: &'static str, answer: &Response<Bytes>) -> Result<Option<Item>> {
    match answer.status().as_u16() {
        404 => Ok(None),
        _ => api::parse(operation, answer).map(Some),
    }
}

fn whole(id: &str, items: Vec<Item>, seen: Vec<Item>) -> Found {
    let mut record = Record::default();
    let mut master = None;
    for item in items {
        match item.series() {
            Some(series) if series == id => record.exceptions.push(item),
            Some(_) => {}
            None if item.id() == id => master = Some(item),
            None => {}
        }
    }
    // Of a cancelled exception Google promises no iCalUID, so that the list may leave it out. What is live on the page and
    // not in the list is gone by now.
    let known: BTreeSet<String> = record.exceptions.iter().map(|item| item.id().to_owned()).collect();
    record.exceptions.extend(seen.into_iter().filter(|item| item.is_cancelled() && !known.contains(item.id())));
    match master {
        Some(master) if master.is_cancelled() => Found::Deleted,
        Some(master) => {
            record.master = master;
            Found::Whole(Box::new(record))
        }
        None => Found::Strays(record.exceptions),
    }
}

fn change(record: Record) -> Change {
    let id = record.master.id().to_owned();
    match fetched(record) {
        Ok(fetched) => Change::Upsert(Box::new(fetched)),
        Err(reason) => unreadable(&id, reason),
    }
}

fn stray(item: Item) -> Change {
    match item.is_cancelled() {
        true => Change::Tombstone { id: RemoteId::new(item.id()) },
        false => change(Record { master: item, exceptions: Vec::new() }),
    }
}

fn unreadable(id: &str, reason: String) -> Change {
    Change::Unreadable { id: RemoteId::new(id), reason }
}

/// It is there, and what it says cannot be said, or is not for us.
fn out_of_reach(record: &Record) -> Fetched {
    Fetched::out_of_reach(RemoteId::new(record.master.id()), Version::new(record.version()))
}

/// The record in canonical form, or why it has none.
pub(super) fn fetched(record: Record) -> Result<Fetched, String> {
    let kind = record.master.event_type();
    if kind != ORDINARY {
        return Err(format!("Google keeps this for itself ({kind})"));
    }
    let event = map::event(&record).map_err(|wrong| wrong.to_string())?;
    let all = || std::iter::once(&record.master).chain(&record.exceptions);
    Ok(Fetched {
        id: RemoteId::new(record.master.id()),
        version: Version::new(record.version()),
        scope: Scope::Inside,
        marker: record.master.marker().map(Marker::new),
        fields: event.to_fields(),
        modified_at: all().filter_map(Item::updated_at).max(),
        raw: serde_json::to_value(&record).expect("what came as JSON goes as JSON"),
    })
}
