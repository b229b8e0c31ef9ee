//! What one user of a Teamleader account has in the calendar as a [`Connector`]: meetings, and calls, tasks and events of the
//! older calendar where the sync carries them. What is made here becomes a meeting.
mod activity;
mod feed;
mod map;
mod people;
mod writes;

use crate::api::calendar::{self as requests, INFO};
use crate::api::requests::{Page, about};
use crate::api::{Api, pace};
use crate::config::TeamleaderConfig;
use crate::error::{self, PROVIDER};
use crate::wire::{Data, Made, text};
use activity::Faces;
use async_trait::async_trait;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use people::{Me, Met, People};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tandem_core::calendar::Activity;
use tandem_core::event::{self, field};
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope, Value as Said, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::{ConnectorError, Result};
use tandem_ports::infra::{Clock, HttpTransport};
use tandem_ports::names::Names;

/// Rows a list call asks for: three clients in use take 100, and the specification of `calls.list` says so.
const PAGE_SIZE: u64 = 100;
/// Records that [`Connector::get`] takes at once.
const GET_BATCH: usize = 20;
/// Writes at once: each costs two calls or more, and a crash repeats at most these.
const WRITE_BATCH: usize = 5;
/// `meetings.info` calls under way at once.
const AT_ONCE: usize = 4;
/// A sync that looked at nothing for longer than this was paused.
const LONG_PAUSE: SignedDuration = SignedDuration::from_hours(24);
/// What Teamleader has a place for. Where a meeting is can be read and not written.
const FIELDS: [Field; 8] = [
    field::TITLE,
    field::START,
    field::END,
    field::ALL_DAY,
    field::DESCRIPTION,
    field::LOCATION,
    field::ATTENDEES,
    field::STATUS,
];

/// How one sync sees a user's calendar.
#[derive(Clone)]
pub struct CalendarOptions {
    /// How far back meetings are looked at, in days.
    pub past_days: u32,
    /// How far ahead.
    pub future_days: u32,
    /// Under which names calendars know the meetings of this account.
    pub names: Arc<dyn Names>,
    /// What is carried. Records of the others are out of reach: they stay linked, and nothing becomes of them.
    pub activities: Vec<Activity>,
}

/// The calendar of one Teamleader user, opened for one sync.
pub struct TeamleaderCalendar {
    api: Api,
    clock: Arc<dyn Clock>,
    options: CalendarOptions,
    page_size: u64,
    me: Mutex<Option<Me>>,
    met: Mutex<Met>,
    /// The activity types of events that are the faces of something else, once asked for.
    faces: Mutex<Option<Faces>>,
    /// Whether an activity's list was answered, where it was asked for.
    answers: Mutex<BTreeMap<Activity, bool>>,
    /// What the delta tells was changed after this.
    edited_since: Mutex<Option<Timestamp>>,
}

impl TeamleaderCalendar {
    /// `transport` adds the user's access token.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: TeamleaderConfig,
        options: CalendarOptions,
    ) -> Self {
        let api = Api::new(transport, Arc::clone(&clock), config.api_url);
        Self {
            api,
            clock,
            options,
            page_size: PAGE_SIZE,
            me: Mutex::default(),
            met: Mutex::default(),
            faces: Mutex::default(),
            answers: Mutex::default(),
            edited_since: Mutex::default(),
        }
    }

    /// Reads smaller pages (2 to 100 rows), for tests.
    pub fn with_page_size(mut self, size: u64) -> Self {
        self.page_size = size.clamp(2, PAGE_SIZE);
        self
    }

    /// The connected user, asked once.
    async fn me(&self) -> Result<Me> {
        if let Some(me) = self.me.lock().expect("no code panics while it holds this lock").clone() {
            return Ok(me);
        }
        let call = requests::me();
        let method = call.method;
        let shown = self.api.read::<Data<Map<String, Value>>>(call).await?.body.data;
        let zone = event::zone(text(shown.get("time_zone")));
        let zone = zone.map_err(|_| error::refused(method, "Teamleader shows a time zone that is none"))?;
        let me = Me { id: text(shown.get("id")).to_owned(), zone };
        *self.me.lock().expect("no code panics while it holds this lock") = Some(me.clone());
        Ok(me)
    }

    /// Whether the sync carries an activity.
    fn carries(&self, activity: Activity) -> bool {
        self.options.activities.contains(&activity)
    }

    /// One `info`, seen as a meeting; `None` where there is no such record, or it is not the user's (any more).
    async fn info(&self, id: &str, me: &Me) -> Result<Option<Map<String, Value>>> {
        let (activity, theirs) = activity::taken_apart(id);
        let faces = self.faces(activity).await?;
        let call = about(activity::row(activity).info, theirs, Map::new());
        let raw = self.api.read::<Data<Map<String, Value>>>(call).await?.body.data;
        Ok(activity::seen(activity, &raw, me, &faces).filter(|seen| is_at(seen, me)))
    }

    /// The same; what the sync does not carry, or what the user may not see, is out of reach. That it is gone is believed
    /// of an activity whose list is answered: else it is the whole activity that is missing.
    async fn look(&self, id: &str, me: &Me) -> Result<Look> {
        let (activity, _) = activity::taken_apart(id);
        if activity::is_notice(id) {
            return Ok(Look::Gone);
        }
        if !self.carries(activity) || self.answers().get(&activity) == Some(&false) {
            return Ok(Look::OutOfReach);
        }
        match self.info(id, me).await {
            Ok(found) => Ok(found.map_or(Look::Gone, Look::There)),
            Err(refusal) if self.bars(&refusal) && !self.is_answered(activity).await? => Ok(Look::OutOfReach),
            Err(refusal) if error::is_gone(&refusal) => Ok(Look::Gone),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether a refusal may be about an activity that is missing to the user, which stops none of the others.
    fn bars(&self, refusal: &ConnectorError) -> bool {
        self.options.activities.len() > 1 && error::is_missing(refusal)
    }

    /// Whether an activity can be read at all, asked once.
    async fn is_answered(&self, activity: Activity) -> Result<bool> {
        if let Some(answered) = self.answers().get(&activity) {
            return Ok(*answered);
        }
        match self.page(activity, Page { size: 2, number: 1 }).await {
            Ok(_) => Ok(true),
            Err(refusal) if self.bars(&refusal) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<Activity, bool>> {
        self.answers.lock().expect("no code panics while it holds this lock")
    }

    /// The activity types that meetings, calls and tasks have in the older calendar; three calls, once.
    async fn faces(&self, activity: Activity) -> Result<Faces> {
        if activity != Activity::Events {
            return Ok(Faces::new());
        }
        if let Some(faces) = self.known_faces() {
            return Ok(faces);
        }
        let mut faces = Faces::new();
        for kind in ["meeting", "call", "task"] {
            faces.push(self.api.read::<Data<Made>>(requests::activity_type(kind)).await?.body.data.id);
        }
        *self.faces.lock().expect("no code panics while it holds this lock") = Some(faces.clone());
        Ok(faces)
    }

    fn known_faces(&self) -> Option<Faces> {
        self.faces.lock().expect("no code panics while it holds this lock").clone()
    }

    /// Reads records: one call each, and one for the contacts at all of them.
    async fn read(&self, ids: &[&str]) -> Result<Vec<Option<Fetched>>> {
        let me = self.me().await?;
        let mut calls = Vec::with_capacity(ids.len());
        for id in ids {
            calls.push(self.look(id, &me));
        }
        let mut looks = futures::stream::iter(calls).buffered(AT_ONCE);
        let mut found = Vec::with_capacity(ids.len());
        while let Some(look) = looks.next().await {
            found.push(look?);
        }
        let there: Vec<&Map<String, Value>> = found.iter().filter_map(Look::there).collect();
        let people = self.people(&there).await?;
        let names = self.names(&there).await?;
        let mut read = Vec::with_capacity(found.len());
        for (id, look) in ids.iter().zip(&found) {
            read.push(match look {
                Look::Gone => None,
                Look::OutOfReach => Some(Fetched::out_of_reach(RemoteId::new(*id), Version::new(OUT_OF_REACH))),
                Look::There(meeting) => {
                    let name = names.get(text(meeting.get("id"))).map_or("", String::as_str);
                    Some(Fetched { modified_at: self.edited_long_ago(), ..fetched(meeting, &people, name) })
                }
            });
        }
        Ok(read)
    }

    /// Teamleader says when a meeting was made, and not when it was changed. What is told after a long pause may have been
    /// changed at its beginning, which is no news to the guests any more.
    fn edited_long_ago(&self) -> Option<Timestamp> {
        let since = *self.edited_since.lock().expect("no code panics while it holds this lock");
        since.filter(|since| self.clock.now().duration_since(*since) > LONG_PAUSE)
    }

    /// Under which names calendars know these meetings, where a calendar has brought them. One that was made here has none:
    /// the engine recognises it by its title and start.
    async fn names(&self, meetings: &[&Map<String, Value>]) -> Result<BTreeMap<String, String>> {
        if meetings.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids: Vec<RemoteId> = meetings.iter().map(|meeting| RemoteId::new(text(meeting.get("id")))).collect();
        let noted = self.options.names.of(&ids).await?;
        let named = ids.iter().zip(noted).filter_map(|(id, name)| Some((id.as_str().to_owned(), name?)));
        Ok(named.collect())
    }
}

/// What became of a look at one record.
enum Look {
    /// As it is, seen as a meeting.
    There(Map<String, Value>),
    /// It is proved not to be there, or not to be the user's.
    Gone,
    /// It may be there.
    OutOfReach,
}

impl Look {
    fn there(&self) -> Option<&Map<String, Value>> {
        match self {
            Look::There(meeting) => Some(meeting),
            Look::Gone | Look::OutOfReach => None,
        }
    }
}

/// The version of what is out of reach; no digest looks like it.
const OUT_OF_REACH: &str = "out of reach";

/// Whether the user is at a meeting.
fn is_at(meeting: &Map<String, Value>, me: &Me) -> bool {
    map::guests(meeting).any(|(kind, id)| kind == "user" && id == me.id)
}

/// One that cannot be read is there and out of reach: it stops no other. So is a task once it is done: its copy stays, and
/// none is made.
fn fetched(meeting: &Map<String, Value>, people: &People, name: &str) -> Fetched {
    let said = map::event(meeting, people);
    let done = meeting.get("completed").and_then(Value::as_bool) == Some(true);
    let scope = if said.is_ok() && !done { Scope::Inside } else { Scope::Outside };
    let mut fields = said.map_or_else(|_| Fields::new(), |said| said.to_fields());
    if !name.is_empty() {
        fields.set(field::UID, Said::Text(name.to_owned()));
    }
    Fetched {
        id: RemoteId::new(text(meeting.get("id"))),
        version: Version::new(map::digest(meeting)),
        scope,
        marker: None,
        fields,
        modified_at: None,
        raw: serde_json::to_value(people.known(meeting)).expect("string keys and plain values are JSON"),
    }
}

#[async_trait]
impl Connector for TeamleaderCalendar {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn longest_pause(&self) -> std::time::Duration {
        pace::LONGEST_WAIT
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            writable: true,
            reports_tombstones: true,
            conditional_updates: false,
            conditional_deletes: false,
            idempotent_creates: false,
            keeps_markers: false,
            cursors_expire: false,
            delta_lags: false,
            sequential_writes: true,
            get_batch: GET_BATCH,
            create_batch: WRITE_BATCH,
            update_batch: WRITE_BATCH,
            delete_batch: WRITE_BATCH,
        }
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        self.feed(from).await
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        if ids.len() > GET_BATCH {
            return Err(error::refused(INFO, "too many meetings at once"));
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let unique: Vec<&str> = ids.iter().map(RemoteId::as_str).collect::<BTreeSet<_>>().into_iter().collect();
        let read: BTreeMap<&str, Option<Fetched>> = unique.iter().copied().zip(self.read(&unique).await?).collect();
        Ok(ids.iter().map(|id| read.get(id.as_str()).cloned().flatten()).collect())
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        self.create_all(drafts).await
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        self.update_all(patches).await
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        self.delete_all(deletions).await
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        self.find_all(drafts).await
    }

    /// What the sync does not carry is not written either.
    fn takes_writes_to(&self, id: &RemoteId) -> bool {
        self.carries(activity::taken_apart(id.as_str()).0)
    }

    /// All that is the user's: there is no part of them to choose.
    async fn ensure_container(&self, _id: Option<&ContainerId>, _names: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let locked = |one: FieldSchema| if one.name == field::LOCATION { one.locked() } else { one };
        Ok(event::schema(&FIELDS).into_iter().map(locked).chain(event::schema(&[field::UID])).collect())
    }

    fn keeps_recurrence(&self) -> bool {
        false
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}
