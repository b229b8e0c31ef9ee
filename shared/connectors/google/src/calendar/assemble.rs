//! From items to records.
//!
//! Google's listing has masters, exceptions and single appointments as items of their own. A record that repeats is read
//! whole: its master and exceptions share an iCalUID, so one `events.list` a series shows all of them, fifty series a
//! request. Where only a cancelled exception is known (Google promises its id, its series and its original start), the
//! master is read first for its iCalUID. So a page costs at most one request a fifty series, twice.
use super::wire::{Events, Item, Record};
use super::{GoogleCalendar, LIST, map};
use crate::api;
use crate::api::calendar;
use bytes::Bytes;
use http::Response;
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::event::titled;
use tandem_core::record::{Fields, Marker, RemoteId, Scope, Version};
use tandem_ports::connector::{Change, Fetched};
use tandem_ports::error::Result;

const GET: &str = "events.get";

/// What a page says about one series.
#[derive(Default)]
struct Glimpse {
    uid: String,
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
    /// More exceptions than a page of Google's holds.
    TooLarge,
}

impl GoogleCalendar {
    /// The changes that these items mean.
    pub(super) async fn assemble(&self, items: Vec<Item>) -> Result<Vec<Change>> {
        let mut changes = Vec::with_capacity(items.len());
        let mut series: BTreeMap<String, Glimpse> = BTreeMap::new();
        let mut deleted: BTreeSet<String> = BTreeSet::new();
        for item in items {
            match item.series().map(str::to_owned) {
                Some(master) => series.entry(master).or_default().see(item),
                None if item.is_cancelled() => {
                    deleted.insert(item.id().to_owned());
                }
                None if item.is_repeating() && item.event_type() == "default" => {
                    series.entry(item.id().to_owned()).or_default().uid = item.text("iCalUID").to_owned();
                }
                None => changes.push(change(Record { master: item, exceptions: Vec::new() })),
            }
        }
        series.retain(|master, _| !deleted.contains(master));
        changes.extend(deleted.into_iter().map(|id| Change::Tombstone { id: RemoteId::new(id) }));
        for (id, found) in self.find_series(series).await? {
            match found {
                Found::Whole(record) => changes.push(change(*record)),
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
                Some(master) if !master.is_cancelled() => glimpse.uid = master.text("iCalUID").to_owned(),
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
        let parts: Vec<_> = series.values().map(|g| calendar::series(self.calendar.as_str(), &g.uid)).collect();
        for ((id, glimpse), answer) in series.into_iter().zip(self.send_all(LIST, &parts).await) {
            let events: Events = api::parse(LIST, &answer?)?;
            found.push((id.clone(), whole(&id, events, glimpse.exceptions)));
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
        let repeating = items.iter().flatten().filter(|item| item.is_repeating());
        let glimpses = repeating.map(|item| {
            let glimpse = Glimpse { uid: item.text("iCalUID").to_owned(), exceptions: Vec::new() };
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

impl Glimpse {
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

fn whole(id: &str, events: Events, seen: Vec<Item>) -> Found {
    if events.next_page_token.is_some() {
        return Found::TooLarge;
    }
    let mut record = Record::default();
    let mut master = None;
    for item in events.items {
        match item.series() {
            Some(series) if series == id => record.exceptions.push(item),
            Some(_) => {}
            None if item.id() == id => master = Some(item),
            None => {}
        }
    }
    match master {
        Some(master) if master.is_cancelled() => Found::Deleted,
        Some(master) => {
            record.master = master;
            Found::Whole(Box::new(record))
        }
        None => {
            // What the page showed and the list does not is gone by now.
            let known: BTreeSet<String> = record.exceptions.iter().map(|item| item.id().to_owned()).collect();
            let rest = seen.into_iter().filter(|item| item.is_cancelled() && !known.contains(item.id()));
            Found::Strays(rest.chain(record.exceptions).collect())
        }
    }
}

fn change(record: Record) -> Change {
    let id = record.master.id().to_owned();
    match record.master.event_type() {
        "default" => {}
        kind => return unreadable(&id, format!("Google keeps this for itself ({kind})")),
    }
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

/// It is there, and what it says cannot be said.
fn out_of_reach(record: &Record) -> Fetched {
    Fetched {
        id: RemoteId::new(record.master.id()),
        version: Version::new(record.version()),
        scope: Scope::Outside,
        marker: None,
        fields: Fields::new(),
        modified_at: None,
        raw: serde_json::Value::Null,
    }
}

/// The record in canonical form, or why it has none.
pub(super) fn fetched(record: Record) -> Result<Fetched, String> {
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
