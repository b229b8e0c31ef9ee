//! The meetings of one user of a Teamleader account as a [`Connector`].
mod feed;
mod map;
mod people;
mod writes;

use crate::api::meetings::{self as requests, INFO};
use crate::api::requests::about;
use crate::api::{Api, pace};
use crate::config::TeamleaderConfig;
use crate::error::{self, PROVIDER};
use crate::wire::{Data, text};
use async_trait::async_trait;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use people::{Me, Met, People};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tandem_core::event::{self, field};
use tandem_core::record::{ContainerId, Field, Marker, RemoteId, Scope, Value as Said, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::Result;
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

/// How one sync sees a user's meetings.
#[derive(Clone)]
pub struct MeetingOptions {
    /// How far back meetings are looked at, in days.
    pub past_days: u32,
    /// How far ahead.
    pub future_days: u32,
    /// Under which names calendars know the meetings of this account.
    pub names: Arc<dyn Names>,
}

/// The meetings of one Teamleader user, opened for one sync.
pub struct TeamleaderMeetings {
    api: Api,
    clock: Arc<dyn Clock>,
    options: MeetingOptions,
    page_size: u64,
    me: Mutex<Option<Me>>,
    met: Mutex<Met>,
    /// What the delta tells was changed after this.
    edited_since: Mutex<Option<Timestamp>>,
}

impl TeamleaderMeetings {
    /// `transport` adds the user's access token.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: TeamleaderConfig,
        options: MeetingOptions,
    ) -> Self {
        let api = Api::new(transport, Arc::clone(&clock), config.api_url);
        let (me, met, edited_since) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { api, clock, options, page_size: PAGE_SIZE, me, met, edited_since }
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

    /// One `meetings.info`; `None` where there is no such meeting, or the user is not at it (any more).
    async fn info(&self, id: &str, me: &Me) -> Result<Option<Map<String, Value>>> {
        match self.api.read::<Data<Map<String, Value>>>(about(INFO, id, Map::new())).await {
            Ok(answer) => Ok(Some(answer.body.data).filter(|meeting| is_at(meeting, me))),
            Err(refusal) if error::is_gone(&refusal) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Reads meetings: one call each, and one for the contacts at all of them.
    async fn read(&self, ids: &[&str]) -> Result<Vec<Option<Fetched>>> {
        let me = self.me().await?;
        let mut calls = Vec::with_capacity(ids.len());
        for id in ids {
            calls.push(self.info(id, &me));
        }
        let mut infos = futures::stream::iter(calls).buffered(AT_ONCE);
        let mut meetings = Vec::with_capacity(ids.len());
        while let Some(info) = infos.next().await {
            meetings.push(info?);
        }
        let there: Vec<&Map<String, Value>> = meetings.iter().flatten().collect();
        let people = self.people(&there).await?;
        let names = self.names(&there).await?;
        let mut read = Vec::with_capacity(meetings.len());
        for meeting in &meetings {
            let Some(meeting) = meeting else {
                read.push(None);
                continue;
            };
            let name = names.get(text(meeting.get("id"))).map_or("", String::as_str);
            read.push(Some(Fetched { modified_at: self.edited_long_ago(), ..fetched(meeting, &people, name)? }));
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

/// Whether the user is at a meeting.
fn is_at(meeting: &Map<String, Value>, me: &Me) -> bool {
    map::guests(meeting).any(|(kind, id)| kind == "user" && id == me.id)
}

fn fetched(meeting: &Map<String, Value>, people: &People, name: &str) -> Result<Fetched> {
    let said = map::event(meeting, people).map_err(|invalid| error::refused(INFO, &invalid.to_string()))?;
    let mut fields = said.to_fields();
    if !name.is_empty() {
        fields.set(field::UID, Said::Text(name.to_owned()));
    }
    Ok(Fetched {
        id: RemoteId::new(text(meeting.get("id"))),
        version: Version::new(map::digest(meeting)),
        scope: Scope::Inside,
        marker: None,
        fields,
        modified_at: None,
        raw: serde_json::to_value(people.known(meeting)).expect("string keys and plain values are JSON"),
    })
}

#[async_trait]
impl Connector for TeamleaderMeetings {
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

    /// All meetings that the user is at: there is no part of them to choose.
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
