//! A calendar's series as single occurrences, for a CRM that cannot say that an appointment repeats.
//!
//! [`Occurrences`] stands between the engine and the calendar. A series becomes the occurrences inside a window round
//! today, each a record of its own with the id `<series>#<original start>`, however it is moved or renamed; an edit of one
//! becomes an exception of that original start, a deletion cancels that one alone, and the series itself is never written.
//! The window slides with the day: once a day the calendar is gone through for what has entered. What has left at the back
//! stays as it is.
//!
//! Of a series that changed, all its occurrences in the window are told again, with the [`Span`] of ids that they fill:
//! what is linked in it and not told is looked up ([`unfold`]).
mod unfold;
mod view;
mod writes;

pub(crate) use unfold::{Heirs, inherited};
pub(crate) use view::Reach;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::event::{self, Moment, field};
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope};
use tandem_core::recurrence;
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Next, Outcomes, Patch,
    Written,
};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::Clock;
use view::{Kind, Series};

/// Part of every cursor.
const CURSOR_FORM: u8 = 1;
/// Most records of a page: a daily series fills two.
const MOST_TOLD: usize = 200;
/// The original starts that are to be told of each series of a page, worked out once.
type Originals = HashMap<RemoteId, Arc<Vec<Moment>>>;

/// Who hears of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    Nobody,
    Guests,
}

/// A connector whose series are shown as their occurrences.
pub(crate) struct Occurrences {
    inner: Arc<dyn Connector>,
    clock: Arc<dyn Clock>,
    reach: Reach,
    tells: Tells,
    loud: Option<Box<Occurrences>>,
    /// The page that is being told in parts.
    open: Mutex<Option<OpenPage>>,
}

#[derive(Clone)]
struct OpenPage {
    of: Option<Cursor>,
    read: Arc<InnerPage>,
    originals: Originals,
}

/// A page of the calendar's, by id, each record once.
struct InnerPage {
    changes: BTreeMap<RemoteId, Change>,
    next: Next,
}

/// What the occurrences of a series were told of: ids after the one, up to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub series: RemoteId,
    pub after: RemoteId,
    pub up_to: RemoteId,
}

/// A page, and what it tells completely.
#[derive(Debug)]
pub(crate) struct Told {
    pub page: ChangePage,
    pub spans: Vec<Span>,
}

/// Our cursor: the calendar's, the day that the window was seen from, and how much of the page is told.
#[derive(Clone, Serialize, Deserialize)]
struct Position {
    form: u8,
    day: Date,
    phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inner: Option<Cursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Place>,
}

/// A record of the page, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    id: RemoteId,
    /// The last occurrence told; none = the record is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// Everything is listed.
    Listing,
    /// Caught up.
    Rest,
    /// The feed is read.
    Delta,
    /// Everything is gone through for what has entered the window since that day; then the feed goes on.
    Slide { since: Date, then: Cursor },
}

impl Occurrences {
    /// Round a connector that keeps recurrence.
    pub(crate) fn round(inner: Arc<dyn Connector>, clock: Arc<dyn Clock>, reach: Reach) -> Occurrences {
        let of = |tells, loud| Occurrences {
            inner: Arc::clone(&inner),
            clock: Arc::clone(&clock),
            reach,
            tells,
            loud,
            open: Mutex::default(),
        };
        let loud = inner.notifying().is_some().then(|| Box::new(of(Tells::Guests, None)));
        of(Tells::Nobody, loud)
    }

    fn today(&self) -> Date {
        TimeZone::UTC.to_datetime(self.clock.now()).date()
    }

    fn writer(&self) -> &dyn Connector {
        let loud = self.inner.notifying().filter(|_| self.tells == Tells::Guests);
        loud.unwrap_or(self.inner.as_ref())
    }

    /// Whether an id is that of an occurrence.
    pub(crate) fn is_one(id: &RemoteId) -> bool {
        view::split(id).is_some()
    }

    /// Whether an id is that of an occurrence whose original start has left the window at the back.
    pub(crate) fn is_behind(&self, id: &RemoteId) -> bool {
        view::split(id).is_some_and(|(series, _)| *id <= view::before(&series, self.reach.first(self.today())))
    }

    /// Whether an appointment was over before the window begins.
    pub(crate) fn is_over(&self, fields: &Fields) -> bool {
        let moment = |name: &Field| Moment::parse(fields.text(name), &TimeZone::UTC);
        let (Some(start), Some(end)) = (moment(&field::START), moment(&field::END)) else { return false };
        let window = self.reach.window(self.today());
        tandem_core::event::Span::new(start, end).is_ok_and(|span| span.instants().1 <= window.from)
    }

    fn position(&self, from: Option<&Cursor>) -> Result<Position> {
        let today = self.today();
        let fresh = |phase| Position { form: CURSOR_FORM, day: today, phase, inner: None, told: None };
        let Some(cursor) = from else { return Ok(fresh(Phase::Listing)) };
        let foreign = || self.failed(ErrorKind::CursorExpired, "the cursor is of another release");
        let at: Position = serde_json::from_str(&cursor.0).map_err(|_| foreign())?;
        match (at.form, &at.phase, &at.inner) {
            (CURSOR_FORM, Phase::Rest, Some(then)) if at.day < today => {
                Ok(fresh(Phase::Slide { since: at.day, then: then.clone() }))
            }
            (CURSOR_FORM, Phase::Rest, _) => Ok(Position { phase: Phase::Delta, ..at }),
            (CURSOR_FORM, _, _) => Ok(at),
            _ => Err(foreign()),
        }
    }

    fn failed(&self, kind: ErrorKind, detail: impl Into<String>) -> ConnectorError {
        ConnectorError::new(self.inner.provider(), "occurrences", kind, detail)
    }

    /// The next page, and what is told in it completely. At most [`MOST_TOLD`] records.
    pub(crate) async fn page(&self, from: Option<&Cursor>) -> Result<Told> {
        let at = self.position(from)?;
        let OpenPage { read, mut originals, .. } = self.read(&at).await?;
        let mut told =
            Told { page: ChangePage { changes: Vec::new(), next: Next::Relist, total: None }, spans: vec![] };
        for (id, change) in &read.changes {
            let resumed = at.told.as_ref().filter(|place| place.id >= *id);
            let after = match resumed {
                Some(Place { id: of, original: Some(original) }) if of == id => Some(original.as_str()),
                Some(_) => continue,
                None => None,
            };
            let room = MOST_TOLD - told.page.changes.len();
            let cut =
                if room == 0 { Some(None) } else { self.tell(&at, change, (after, room), (&mut originals, &mut told)) };
            if let Some(last) = cut {
                let place = match last {
                    Some(original) => Some(Place { id: id.clone(), original: Some(original) }),
                    None => read
                        .changes
                        .range(..id)
                        .next_back()
                        .map(|(before, _)| Place { id: before.clone(), original: None }),
                };
                let open = OpenPage { of: at.inner.clone(), read: Arc::clone(&read), originals };
                *self.open.lock().expect("not poisoned") = Some(open);
                told.page.next = Next::More(Position { told: place, ..at }.into_cursor());
                return Ok(told);
            }
        }
        told.page.next = at.after(read.next.clone());
        Ok(told)
    }

    /// Tells a change. Answers the last occurrence told where there was no room for all.
    fn tell(
        &self,
        at: &Position,
        change: &Change,
        (after, room): (Option<&str>, usize),
        (originals, told): (&mut Originals, &mut Told),
    ) -> Option<Option<String>> {
        let slides = matches!(at.phase, Phase::Slide { .. });
        let fetched = match change {
            Change::Upsert(fetched) => (**fetched).clone(),
            Change::Tombstone { .. } | Change::Seen { .. } | Change::Unreadable { .. } if slides => return None,
            Change::Tombstone { id } => {
                told.spans.push(Span::whole(id));
                told.page.changes.push(change.clone());
                return None;
            }
            Change::Seen { .. } | Change::Unreadable { .. } => {
                told.page.changes.push(change.clone());
                return None;
            }
        };
        let id = fetched.id.clone();
        let series = match view::kind(fetched) {
            Kind::Single(_) if slides => return None,
            Kind::Single(single) => {
                // It may have been a series until now. In a listing, whatever is not shown is looked up at its end.
                told.spans.extend(matches!(at.phase, Phase::Delta).then(|| Span::whole(&id)));
                told.page.changes.push(Change::Upsert(single));
                return None;
            }
            Kind::Series(series) => series,
            Kind::Unreadable(_) if slides => return None,
            Kind::Unreadable(reason) => {
                told.page.changes.push(Change::Unreadable { id, reason });
                return None;
            }
        };
        let known = originals.get(&id).cloned().map_or_else(|| self.in_window(at, &series).map(Arc::new), Ok);
        let all = match known {
            Ok(all) => all,
            Err(reason) => {
                told.page.changes.extend((!slides).then_some(Change::Unreadable { id, reason }));
                return None;
            }
        };
        originals.insert(id.clone(), Arc::clone(&all));
        let after = after.and_then(|text| Moment::parse(text, &TimeZone::UTC));
        let mut rest = all.iter().filter(|original| after.is_none_or(|after| **original > after));
        let some: Vec<&Moment> = rest.by_ref().take(room).collect();
        let cut = rest.next().and(some.last()).map(|last| last.to_string());
        let told_now = some.into_iter().filter_map(|original| series.occurrence(original));
        told.page.changes.extend(told_now.map(|one| Change::Upsert(Box::new(one))));
        if !slides {
            let from =
                after.map_or_else(|| view::before(&id, self.reach.first(at.day)), |after| view::id_of(&id, &after));
            let up_to = match &cut {
                Some(last) => RemoteId::new(format!("{}{last}", view::prefix(&id))),
                None => view::end(&id),
            };
            told.spans.push(Span { series: id, after: from, up_to });
        }
        cut.map(Some)
    }

    /// The original starts that are to be told; what cannot be worked out, by its reason.
    fn in_window(&self, at: &Position, series: &Series) -> std::result::Result<Vec<Moment>, String> {
        let originals = |day| series.originals(self.reach.window(day)).map_err(|wrong| wrong.to_string());
        let mut all = originals(at.day)?;
        if let Phase::Slide { since, .. } = &at.phase {
            let known = originals(*since)?;
            all.retain(|original| known.binary_search(original).is_err());
        }
        Ok(all)
    }

    async fn read(&self, at: &Position) -> Result<OpenPage> {
        // Only a page that is told in part may be an old one: a feed is asked again from the same place.
        let open = self.open.lock().expect("not poisoned").take();
        if let Some(open) = open.filter(|open| at.told.is_some() && open.of == at.inner) {
            return Ok(open);
        }
        let page = self.inner.changes(at.inner.as_ref()).await?;
        let mut changes = BTreeMap::new();
        let mut unread = Vec::new();
        for change in page.changes {
            let id = match &change {
                Change::Upsert(fetched) => fetched.id.clone(),
                Change::Tombstone { id } | Change::Unreadable { id, .. } => id.clone(),
                Change::Seen { id, .. } => {
                    unread.push(id.clone());
                    id.clone()
                }
            };
            changes.insert(id, change);
        }
        for some in unread.chunks(self.inner.capabilities().get_batch.max(1)) {
            for (id, found) in some.iter().zip(self.inner.get(some).await?) {
                let change =
                    found.map_or_else(|| Change::Tombstone { id: id.clone() }, |f| Change::Upsert(Box::new(f)));
                changes.insert(id.clone(), change);
            }
        }
        let read = Arc::new(InnerPage { changes, next: page.next });
        Ok(OpenPage { of: at.inner.clone(), read, originals: Originals::new() })
    }

    /// The records that these ids are part of, by their own ids.
    async fn wholes(&self, ids: impl Iterator<Item = RemoteId>) -> Result<HashMap<RemoteId, Option<Fetched>>> {
        let mut distinct: Vec<RemoteId> = ids.collect();
        distinct.sort();
        distinct.dedup();
        let mut found = HashMap::with_capacity(distinct.len());
        for some in distinct.chunks(self.inner.capabilities().get_batch.max(1)) {
            found.extend(some.iter().cloned().zip(self.inner.get(some).await?));
        }
        Ok(found)
    }
}

impl Span {
    fn whole(series: &RemoteId) -> Span {
        let after = RemoteId::new(view::prefix(series));
        Span { series: series.clone(), after, up_to: view::end(series) }
    }
}

impl Position {
    fn into_cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("text is JSON"))
    }

    /// Where to go on after a page of the calendar's that ends so.
    fn after(self, next: Next) -> Next {
        let at = Position { told: None, ..self };
        match (next, &at.phase) {
            (Next::More(inner), _) => Next::More(Position { inner: Some(inner), ..at }.into_cursor()),
            (_, Phase::Slide { then, .. }) => {
                let inner = Some(then.clone());
                Next::More(Position { phase: Phase::Delta, inner, ..at }.into_cursor())
            }
            (Next::CaughtUp(inner), Phase::Listing | Phase::Rest | Phase::Delta) => {
                Next::CaughtUp(Position { phase: Phase::Rest, inner: Some(inner), ..at }.into_cursor())
            }
            (Next::Relist, Phase::Listing | Phase::Rest | Phase::Delta) => Next::Relist,
        }
    }
}

#[async_trait]
impl Connector for Occurrences {
    fn provider(&self) -> &'static str {
        self.inner.provider()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn longest_pause(&self) -> Duration {
        self.inner.longest_pause()
    }

    fn keeps_recurrence(&self) -> bool {
        false
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        Ok(self.page(from).await?.page)
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        let part = |id: &RemoteId| view::split(id);
        let of = |id: &RemoteId| part(id).map_or_else(|| id.clone(), |(series, _)| series);
        let found = self.wholes(ids.iter().map(of)).await?;
        let mut wanted: HashMap<RemoteId, Vec<Moment>> = HashMap::new();
        for (series, original) in ids.iter().filter_map(part) {
            wanted.entry(series).or_default().push(original);
        }
        let mut kinds: HashMap<RemoteId, (Kind, Vec<Moment>)> = HashMap::new();
        for (id, fetched) in found.into_iter().filter_map(|(id, fetched)| Some((id, fetched?))) {
            let kind = view::kind(fetched);
            let read = match (&kind, wanted.get(&id)) {
                (Kind::Series(series), Some(wanted)) => recurrence::among(&series.event, wanted),
                (Kind::Series(_) | Kind::Single(_) | Kind::Unreadable(_), _) => Ok(Vec::new()),
            };
            let read = match read {
                Ok(given) => (kind, given),
                Err(wrong) => (Kind::Unreadable(wrong.to_string()), Vec::new()),
            };
            kinds.insert(id, read);
        }
        let window = self.reach.window(self.today());
        let answer = |id: &RemoteId| match (kinds.get(&of(id)), part(id)) {
            (None, _) => None,
            (Some((Kind::Single(single), _)), None) => Some((**single).clone()),
            (Some((Kind::Single(single), _)), Some(_)) => {
                (single.scope == Scope::Outside).then(|| view::outside(id.clone()))
            }
            (Some((Kind::Series(series), given)), Some((_, original))) => series.looked_up(&original, given, window),
            (Some((Kind::Series(_), _)), None) => None,
            // It is there, and nobody can say what it says.
            (Some((Kind::Unreadable(_), _)), _) => Some(view::outside(id.clone())),
        };
        Ok(ids.iter().map(answer).collect())
    }

    async fn titles(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        let of = |copy: Option<Fetched>| copy.and_then(|copy| event::title(&copy.fields));
        let mut titles: Vec<Option<String>> = self.get(ids).await?.into_iter().map(of).collect();
        // A series that cannot be worked out has a name all the same.
        let nameless: Vec<usize> =
            (0..ids.len()).filter(|at| titles[*at].is_none() && !Self::is_one(&ids[*at])).collect();
        let some: Vec<RemoteId> = nameless.iter().map(|at| ids[*at].clone()).collect();
        if !some.is_empty() {
            nameless.into_iter().zip(self.inner.titles(&some).await?).for_each(|(at, title)| titles[at] = title);
        }
        Ok(titles)
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        self.writer().create(drafts).await
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        self.update_all(patches).await
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        self.delete_all(deletions).await
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        self.inner.find_made(drafts).await
    }

    async fn ensure_container(&self, id: Option<&ContainerId>, names: &[&str]) -> Result<Option<ContainerId>> {
        self.inner.ensure_container(id, names).await
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        self.inner.schema().await
    }

    fn makes_custom_fields(&self) -> bool {
        self.inner.makes_custom_fields()
    }

    fn takes_writes_to(&self, id: &RemoteId) -> bool {
        match view::split(id) {
            Some((series, _)) => self.inner.takes_writes_to(&series),
            None => self.inner.takes_writes_to(id),
        }
    }

    fn out_of_reach(&self, at: &Cursor) -> Option<String> {
        let at: Position = serde_json::from_str(&at.0).ok()?;
        self.inner.out_of_reach(&at.inner?)
    }

    fn notifying(&self) -> Option<&dyn Connector> {
        self.loud.as_deref().map(|loud| loud as &dyn Connector)
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        self.inner.choices().await
    }
}

#[cfg(test)]
mod tests;
