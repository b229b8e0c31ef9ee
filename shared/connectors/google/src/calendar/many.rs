//! The calendars of one account that a sync goes by, as one [`Connector`].
//!
//! A record's id is `<calendar>/<event>`, so that a record keeps its calendar whatever is chosen later: changing the
//! calendar that new appointments go to moves, copies and removes nothing. A calendar that is gone, no longer shared or
//! no longer chosen does not delete its appointments: they are outside, and their copies stay (S3-18). Where it is the one
//! that new appointments go to, making some is refused and says so; what the others tell still comes.
use super::{GoogleCalendar, Notify};
use crate::config::GoogleConfig;
use crate::error::{self, PROVIDER};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tandem_core::calendar::{Access, CalendarSettings, PRIMARY};
use tandem_core::event::{self, field};
use tandem_core::normalise;
use tandem_core::record::{ContainerId, Fields, Marker, RemoteId, Scope, Value as FieldValue, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Next, Outcomes, Patch,
    Written,
};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::infra::HttpTransport;

/// Part of every cursor.
const CURSOR_FORM: u8 = 1;
const LIST: &str = "events.list";
const CREATE: &str = "events.insert";
const WRITE: &str = "events.patch";
/// Why nothing can be made, while all that is read goes on.
const TARGET_GONE: &str = "the calendar that appointments are written to is gone; choose another one";
/// The version of what cannot be read any more; no etag looks like it.
const OUT_OF_REACH: &str = "out of reach";

/// Which calendars of an account a sync goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendars {
    sources: Vec<(String, Access)>,
    target: Option<String>,
    /// The setting that names each of them.
    settings: BTreeMap<String, &'static str>,
}

impl Calendars {
    /// As the settings say. `account` is the account's address: the id by which Google lists its own calendar, too.
    pub fn chosen(settings: &CalendarSettings, account: &str) -> Self {
        let own = normalise::email(account);
        let name = |id: &str| if !own.is_empty() && normalise::email(id) == own { PRIMARY } else { id }.to_owned();
        let ids = settings.sources().map(|(id, _)| id).chain(settings.target());
        let named = ids.map(|id| (name(id), settings.setting_of(id))).collect();
        let mut sources: Vec<(String, Access)> = Vec::new();
        for (id, access) in settings.sources() {
            match sources.iter_mut().find(|(known, _)| *known == name(id)) {
                Some((_, known)) if access == Access::ReadOnly => *known = access,
                Some(_) => {}
                None => sources.push((name(id), access)),
            }
        }
        Calendars { sources, target: settings.target().map(name), settings: named }
    }
}

impl Calendars {
    /// Every calendar that something is read from.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.sources.iter().map(|(name, _)| name.clone()).collect();
        names.extend(self.target.iter().filter(|target| self.sources.iter().all(|(name, _)| name != *target)).cloned());
        names
    }
}

/// How a calendar takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Everything in it.
    Source(Access),
    /// What we put into it.
    Target,
}

struct One {
    name: String,
    setting: &'static str,
    role: Role,
    connector: GoogleCalendar,
}

/// The chosen calendars of one Google account.
pub struct GoogleCalendars {
    all: Vec<One>,
    target: Option<String>,
    account: GoogleCalendar,
    /// Calendars that answered that they are gone since this was opened.
    gone: Mutex<BTreeSet<String>>,
    loud: Option<Box<GoogleCalendars>>,
}

/// Our cursor: how far each calendar is read, and whose turn it is.
#[derive(Default, Serialize, Deserialize)]
struct Position {
    form: u8,
    #[serde(default)]
    turn: usize,
    calendars: BTreeMap<String, Place>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    At(Cursor),
    Gone,
}

impl GoogleCalendars {
    /// `transport` adds the account's access token.
    pub fn new(transport: Arc<dyn HttpTransport>, config: GoogleConfig, chosen: &Calendars) -> Self {
        let quiet = Self::telling(&transport, &config, chosen, Notify::Nobody);
        let loud = Self::telling(&transport, &config, chosen, Notify::Guests);
        Self { loud: Some(Box::new(loud)), ..quiet }
    }

    fn telling(transport: &Arc<dyn HttpTransport>, config: &GoogleConfig, chosen: &Calendars, notify: Notify) -> Self {
        let open = |name: &str| {
            GoogleCalendar::new(Arc::clone(transport), config.clone(), ContainerId::new(name)).telling(notify)
        };
        let setting = |name: &String| chosen.settings.get(name).copied().unwrap_or("source_calendars");
        let one = |name: &String, role| One { name: name.clone(), setting: setting(name), role, connector: open(name) };
        let mut all: Vec<One> = chosen.sources.iter().map(|(name, access)| one(name, Role::Source(*access))).collect();
        if let Some(target) = chosen.target.as_ref().filter(|target| all.iter().all(|one| one.name != **target)) {
            all.push(one(target, Role::Target));
        }
        let (target, account) = (chosen.target.clone(), open(PRIMARY));
        Self { all, target, account, gone: Mutex::default(), loud: None }
    }

    /// Reads smaller pages. For tests.
    pub fn with_page_size(mut self, size: u16) -> Self {
        self.all =
            self.all.into_iter().map(|one| One { connector: one.connector.with_page_size(size), ..one }).collect();
        self
    }

    fn calendar(&self, name: &str) -> Option<&One> {
        self.all.iter().find(|one| one.name == name)
    }

    /// The calendar of a record, and the event in it; `None` where it is not among the chosen ones.
    fn place<'a>(&self, id: &'a RemoteId) -> Option<(&One, &'a str)> {
        let (calendar, event) = id.as_str().rsplit_once('/')?;
        Some((self.calendar(calendar)?, event))
    }

    /// These records by calendar: their places, and their names there. Those of no chosen calendar are left out.
    fn groups(&self, ids: &[RemoteId]) -> Vec<(&One, Vec<usize>, Vec<RemoteId>)> {
        let mut groups: BTreeMap<&str, (&One, Vec<usize>, Vec<RemoteId>)> = BTreeMap::new();
        for (at, id) in ids.iter().enumerate() {
            let Some((one, event)) = self.place(id) else { continue };
            let (_, places, events) = groups.entry(&one.name).or_insert((one, Vec::new(), Vec::new()));
            places.push(at);
            events.push(RemoteId::new(event));
        }
        groups.into_values().collect()
    }

    fn position(&self, from: Option<&Cursor>) -> Result<Position> {
        let fresh = Position { form: CURSOR_FORM, ..Position::default() };
        let Some(cursor) = from else { return Ok(fresh) };
        match serde_json::from_str::<Position>(&cursor.0) {
            Ok(position) if position.form == CURSOR_FORM => Ok(position),
            Ok(_) | Err(_) => Err(error::cursor_of_another_release(LIST)),
        }
    }

    /// Where several calendars are written to, a right that is missing for one is a matter of its appointments, and of no
    /// other's.
    fn of_this_calendar<T>(&self, answers: Result<Outcomes<T>>, count: usize) -> Result<Outcomes<T>> {
        match answers {
            Err(failed) if failed.kind == ErrorKind::Forbidden && self.all.len() > 1 => {
                Ok((0..count).map(|_| Err(failed.repeated())).collect())
            }
            answers => answers,
        }
    }

    fn is_lost(&self, one: &One) -> bool {
        self.gone.lock().expect("not poisoned").contains(&one.name)
    }

    fn lose(&self, one: &One) {
        self.gone.lock().expect("not poisoned").insert(one.name.clone());
    }

    /// Which items go to which calendar, under the names that they have there.
    fn shared_out<'a, T>(
        &'a self,
        items: &[T],
        of: impl Fn(&T) -> &RemoteId,
        named: impl Fn(&T, RemoteId) -> T,
    ) -> Shares<'a, T> {
        let mut shares: Shares<'a, T> = Vec::new();
        for (at, item) in items.iter().enumerate().filter(|(_, item)| self.takes_writes_to(of(item))) {
            let Some((one, event)) = self.place(of(item)) else { continue };
            let share = match shares.iter_mut().find(|share| share.one.name == one.name) {
                Some(share) => share,
                None => {
                    shares.push(Share { one, places: Vec::new(), items: Vec::new() });
                    shares.last_mut().expect("it was just put there")
                }
            };
            share.places.push(at);
            share.items.push(named(item, RemoteId::new(event)));
        }
        shares
    }
}

/// The items of one calendar, and their places among all.
struct Share<'a, T> {
    one: &'a One,
    places: Vec<usize>,
    items: Vec<T>,
}

type Shares<'a, T> = Vec<Share<'a, T>>;

/// One answer an item, in order. What failed as a whole does so where it was all there was.
struct Gathered<O>(Vec<Result<O>>);

impl<O> Gathered<O> {
    fn of(items: usize) -> Self {
        let refused = || Err(error::refused(WRITE, "its calendar is for display, or not chosen any more"));
        Self((0..items).map(|_| refused()).collect())
    }

    fn take(&mut self, places: Vec<usize>, answers: Result<Outcomes<O>>) -> Result<()> {
        match answers {
            Ok(answers) => places.into_iter().zip(answers).for_each(|(at, answer)| self.0[at] = answer),
            Err(failed) if places.len() == self.0.len() => return Err(failed),
            Err(failed) => places.into_iter().for_each(|at| self.0[at] = Err(failed.repeated())),
        }
        Ok(())
    }
}

/// The record under its name in the whole account; from a calendar that is only written to, what is not ours is outside.
fn whole(one: &One, fetched: Fetched) -> Fetched {
    let outside = one.role == Role::Target && fetched.marker.is_none();
    let scope = if outside { Scope::Outside } else { fetched.scope };
    let uid = fetched.raw.get("master").and_then(|master| master.get("iCalUID")).and_then(Value::as_str);
    let fields = with_place(fetched.fields, one, uid.unwrap_or_default());
    Fetched { id: whole_id(one, &fetched.id), scope, fields, ..fetched }
}

/// With the name that it has in every calendar, by which one appointment is known in two, and with the one it is in.
fn with_place(mut fields: Fields, one: &One, uid: &str) -> Fields {
    fields.set(field::CALENDAR, FieldValue::Text(one.name.clone()));
    fields.set(field::UID, FieldValue::Text(uid.to_owned()));
    fields
}

/// What was written, as [`whole`] has what is read.
fn named(one: &One, (written, uid): (Written, String)) -> Written {
    let shown = written.shown.map(|shown| with_place(shown, one, &uid));
    Written { id: whole_id(one, &written.id), shown, ..written }
}

fn whole_id(one: &One, event: &RemoteId) -> RemoteId {
    RemoteId::new(format!("{}/{event}", one.name))
}

fn whole_change(one: &One, change: Change) -> Change {
    match change {
        Change::Upsert(fetched) => Change::Upsert(Box::new(whole(one, *fetched))),
        Change::Seen { id, version } => Change::Seen { id: whole_id(one, &id), version },
        Change::Tombstone { id } => Change::Tombstone { id: whole_id(one, &id) },
        Change::Unreadable { id, reason } => Change::Unreadable { id: whole_id(one, &id), reason },
    }
}

#[async_trait]
impl Connector for GoogleCalendars {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        self.account.capabilities()
    }

    /// A calendar after the other, a page a call; those without news share one. Without news this is one call a calendar.
    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let mut position = self.position(from)?;
        let mut changes = Vec::new();
        while let Some(one) = self.all.get(position.turn) {
            let known = match position.calendars.get(&one.name) {
                Some(Place::At(cursor)) => Some(cursor.clone()),
                Some(Place::Gone) | None => None,
            };
            match one.connector.changes(known.as_ref()).await {
                Ok(page) => {
                    changes.extend(page.changes.into_iter().map(|change| whole_change(one, change)));
                    let (cursor, is_done) = match page.next {
                        Next::More(cursor) => (cursor, false),
                        Next::CaughtUp(cursor) => (cursor, true),
                        Next::Relist => return Ok(ChangePage { changes, next: Next::Relist, total: None }),
                    };
                    position.calendars.insert(one.name.clone(), Place::At(cursor));
                    position.turn += usize::from(is_done);
                    if !is_done || (!changes.is_empty() && position.turn < self.all.len()) {
                        return Ok(ChangePage { changes, next: Next::More(position.into_cursor()), total: None });
                    }
                }
                Err(gone) if gone.kind == ErrorKind::NotFound => {
                    self.lose(one);
                    position.calendars.insert(one.name.clone(), Place::Gone);
                    position.turn += 1;
                    if known.is_some() {
                        // It was there: whatever came from it is looked up, and is out of reach then.
                        return Ok(ChangePage { changes, next: Next::Relist, total: None });
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
        let kept = |name: &String| self.calendar(name).is_some();
        position.calendars.retain(|name, _| kept(name));
        position.turn = 0;
        Ok(ChangePage { changes, next: Next::CaughtUp(position.into_cursor()), total: None })
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        let out_of_reach = |id: &RemoteId| Some(Fetched::out_of_reach(id.clone(), Version::new(OUT_OF_REACH)));
        let mut found: Vec<Option<Fetched>> = ids.iter().map(out_of_reach).collect();
        for (one, places, events) in self.groups(ids) {
            match one.connector.get(&events).await {
                Ok(read) => {
                    places.into_iter().zip(read).for_each(|(at, read)| found[at] = read.map(|read| whole(one, read)))
                }
                Err(gone) if gone.kind == ErrorKind::NotFound => self.lose(one),
                Err(failed) => return Err(failed),
            }
        }
        Ok(found)
    }

    async fn titles(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        let mut titles = vec![None; ids.len()];
        for (one, places, events) in self.groups(ids) {
            let found = one.connector.titles(&events).await?;
            places.into_iter().zip(found).for_each(|(at, title)| titles[at] = title);
        }
        Ok(titles)
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        let Some(one) = self.target.as_deref().and_then(|target| self.calendar(target)) else {
            return Err(error::forbidden(CREATE, "no calendar is chosen that appointments may be written to"));
        };
        if self.is_lost(one) {
            return Err(error::forbidden(CREATE, TARGET_GONE));
        }
        let outcomes = one.connector.create_all(drafts).await?;
        let missing = |outcome: &Result<_>| outcome.as_ref().is_err_and(|failed| failed.kind == ErrorKind::NotFound);
        if !outcomes.is_empty() && outcomes.iter().all(missing) {
            // There is nothing else that could be missing.
            self.lose(one);
            return Err(error::forbidden(CREATE, TARGET_GONE));
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.map(|written| named(one, written))).collect())
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        let mut gathered = Gathered::of(patches.len());
        for share in self.shared_out(patches, |patch| &patch.id, |patch, id| Patch { id, ..patch.clone() }) {
            let answers = share.one.connector.update_all(&share.items).await;
            let whole = |outcome: Result<_>| outcome.map(|written| named(share.one, written));
            let answers = answers.map(|some| some.into_iter().map(whole).collect());
            gathered.take(share.places, self.of_this_calendar(answers, share.items.len()))?;
        }
        Ok(gathered.0)
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        let mut gathered = Gathered::of(deletions.len());
        for share in self.shared_out(deletions, |one| &one.id, |one, id| Deletion { id, ..one.clone() }) {
            let answers = share.one.connector.delete(&share.items).await;
            gathered.take(share.places, self.of_this_calendar(answers, share.items.len()))?;
        }
        Ok(gathered.0)
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let Some(one) = self.target.as_deref().and_then(|target| self.calendar(target)) else { return Ok(Vec::new()) };
        let found = one.connector.find_made(drafts).await?;
        Ok(found.into_iter().map(|(marker, fetched)| (marker, whole(one, fetched))).collect())
    }

    /// A person chooses among their calendars; we make none.
    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let uid = event::schema(&[field::UID, field::CALENDAR]).into_iter().map(FieldSchema::locked);
        Ok(self.account.schema().await?.into_iter().chain(uid).collect())
    }

    fn out_of_reach(&self, at: &Cursor) -> Option<String> {
        let at = self.position(Some(at)).ok()?;
        let is_gone = |one: &&One| matches!(at.calendars.get(&one.name), Some(Place::Gone));
        let gone: Vec<String> =
            self.all.iter().filter(is_gone).map(|one| format!("`{}` (`{}`)", one.name, one.setting)).collect();
        if gone.is_empty() {
            return None;
        }
        Some(format!(
            "Not among the calendars of the connected account, or no longer: {}. Nothing is read from or written to it; \
             choose another one.",
            gone.join(", ")
        ))
    }

    fn takes_writes_to(&self, id: &RemoteId) -> bool {
        let Some((one, _)) = self.place(id) else { return false };
        let may_be = match one.role {
            Role::Source(Access::Both) | Role::Target => true,
            Role::Source(Access::ReadOnly) => false,
        };
        may_be && !self.is_lost(one)
    }

    fn notifying(&self) -> Option<&dyn Connector> {
        self.loud.as_deref().map(|loud| loud as &dyn Connector)
    }

    /// By setting: what can be read for the sources, what can be written to for the target.
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let mut choices = Vec::new();
        for (setting, some) in self.account.choices().await? {
            if setting == "remote_calendars" {
                choices.extend([("source_calendars", some.clone()), ("read_only_calendars", some)]);
            } else {
                let crm =
                    Choice { id: tandem_core::calendar::CRM.to_owned(), name: "The CRM's own calendar".to_owned() };
                let defaults = std::iter::once(crm).chain(some.iter().cloned()).collect();
                choices.extend([("target_calendar", some), ("default_calendar", defaults)]);
            }
        }
        Ok(choices)
    }
}

impl Position {
    fn into_cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("text is JSON"))
    }
}
