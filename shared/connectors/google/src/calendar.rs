//! The appointments of one Google calendar as a [`Connector`].
//!
//! A record is an appointment, or a series with all of its exceptions. Google lists the master and each exception as an
//! item of its own, in any order and, in a delta, only those that changed; `assemble` makes records of them.
mod assemble;
mod many;
mod map;
mod wire;
mod writes;

pub use crate::api::calendar::Notify;
pub use many::{Calendars as ChosenCalendars, GoogleCalendars};

use crate::api::batch::{self, Part};
use crate::api::{self, calendar};
use crate::config::GoogleConfig;
use crate::error::{self, PROVIDER};
use assemble::Feed;
use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tandem_core::event::{self, field};
use tandem_core::record::{ContainerId, Field, Marker, RemoteId};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Next, Outcomes, Patch, Written,
};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::infra::HttpTransport;
use wire::{Calendars, Events, Item, Watched};

/// Records a page of the listing: each may be a series that has to be read by itself, fifty of them a call.
const PAGE_SIZE: u16 = 250;
/// Part of every cursor: raised when the parameters of the listing change, as Google's tokens are bound to them.
const CURSOR_FORM: u8 = 1;
/// Most records a write takes at once: ten batches of fifty. Exceptions are written after all of their series, fifty a
/// call, so that a few series among many appointments cost a few calls more and not one each.
const WRITE_BATCH: usize = 500;
/// Most pages of calendars; an account has a few dozen.
const MOST_PAGES: usize = 40;
/// Most pages of one series, each of [`calendar::MOST_RESULTS`] exceptions at most.
const MOST_TURNS: usize = 20;
/// The status of a call whose token has ended.
const UNHEARD: http::StatusCode = http::StatusCode::UNAUTHORIZED;
const LIST: &str = "events.list";

/// The fields of an appointment that Google can say.
const FIELDS: [Field; 13] = [
    field::TITLE,
    field::START,
    field::END,
    field::ALL_DAY,
    field::TIME_ZONE,
    field::DESCRIPTION,
    field::LOCATION,
    field::RECURRENCE,
    field::EXCEPTIONS,
    field::ATTENDEES,
    field::REMINDER_MINUTES,
    field::VISIBILITY,
    field::CONFERENCE,
];

/// One calendar of one Google account.
pub struct GoogleCalendar {
    transport: Arc<dyn HttpTransport>,
    config: GoogleConfig,
    calendar: ContainerId,
    notify: Notify,
    page_size: u16,
}

/// A channel to ask Google for: notifications about one calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Ours, new for each channel; at most 64 characters.
    pub id: String,
    /// The secret that each notification repeats; at most 256 characters.
    pub token: String,
    /// `https://…` where notifications go.
    pub address: String,
    /// When it should end; Google may end it earlier.
    pub expires: jiff::Timestamp,
}

/// A channel that Google opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenChannel {
    /// As asked for.
    pub id: String,
    /// Google's name of what is watched: needed to stop it, and repeated by each notification.
    pub resource: String,
    /// When it ends.
    pub expires: jiff::Timestamp,
}

/// Our cursor. Without a sync token it is a full listing.
#[derive(Serialize, Deserialize)]
struct Position {
    form: u8,
    size: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sync: Option<String>,
}

impl GoogleCalendar {
    /// `transport` adds the account's access token. `calendar` is the id of the calendar (`primary` is the account's own).
    pub fn new(transport: Arc<dyn HttpTransport>, config: GoogleConfig, calendar: ContainerId) -> Self {
        Self { transport, config, calendar, notify: Notify::Nobody, page_size: PAGE_SIZE }
    }

    /// Whom its writes tell by mail. Nobody, unless said.
    pub fn telling(self, notify: Notify) -> Self {
        Self { notify, ..self }
    }

    /// Reads smaller pages (1 to 2500). For tests, and for accounts whose pages are too large.
    pub fn with_page_size(mut self, size: u16) -> Self {
        self.page_size = size.clamp(1, calendar::MOST_RESULTS);
        self
    }

    /// Asks for notifications (the first one may come before this answers).
    pub async fn watch(&self, channel: &Channel) -> Result<OpenChannel> {
        const OPERATION: &str = "events.watch";
        let answer: Watched = self.call(OPERATION, &calendar::watch(self.calendar.as_str(), channel)).await?;
        let expires = answer.expiration.parse().ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        Ok(OpenChannel { id: answer.id, resource: answer.resource_id, expires: expires.unwrap_or(channel.expires) })
    }

    /// Ends a channel; one that is gone has ended. The account and the OAuth client must be those that opened it.
    pub async fn stop(&self, channel: &OpenChannel) -> Result<()> {
        const OPERATION: &str = "channels.stop";
        let stopped = self.send(OPERATION, &calendar::stop(&channel.id, &channel.resource)).await?;
        if stopped.status().is_success() || stopped.status() == http::StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(error::classify(OPERATION, &stopped))
    }

    async fn send(&self, operation: &'static str, part: &Part) -> Result<Response<Bytes>> {
        let call = batch::single(operation, &self.config.calendar_url, part)?;
        self.transport.send(call.request).await.map_err(|lost| error::from_transport(operation, lost))
    }

    async fn call<T: DeserializeOwned>(&self, operation: &'static str, part: &Part) -> Result<T> {
        api::parse(operation, &self.send(operation, part).await?)
    }

    /// One answer a part, fifty parts a request. A request that fails as a whole fails its parts; one that only the
    /// account can mend fails all that follow without trying them.
    async fn send_all(&self, operation: &'static str, parts: &[Part]) -> Vec<Result<Response<Bytes>>> {
        let mut answers = Vec::with_capacity(parts.len());
        for chunk in parts.chunks(batch::MOST) {
            match self.send_chunk(operation, chunk).await {
                Ok(found) => {
                    answers.extend(found.into_iter().map(|one| one.ok_or_else(|| error::no_answer(operation))));
                }
                Err(failed) if answers.len() + chunk.len() == parts.len() || failed.kind == ErrorKind::Retryable => {
                    answers.extend(chunk.iter().map(|_| Err(failed.repeated())));
                }
                Err(failed) => {
                    answers.extend(parts[answers.len()..].iter().map(|_| Err(failed.repeated())));
                    break;
                }
            }
        }
        answers
    }

    /// All items of several listings, a page of fifty of them a request: a page may be empty although more follow. `None`
    /// where one does not end within [`MOST_TURNS`] pages.
    async fn listed(
        &self,
        operation: &'static str,
        count: usize,
        part: impl Fn(usize, Option<&str>) -> Part + Send + Sync,
    ) -> Vec<Result<Option<Vec<Item>>>> {
        let mut all: Vec<Result<Option<Vec<Item>>>> = (0..count).map(|_| Ok(Some(Vec::new()))).collect();
        let mut open: Vec<(usize, Option<String>)> = (0..count).map(|at| (at, None)).collect();
        for _ in 0..MOST_TURNS {
            let parts: Vec<Part> = open.iter().map(|(at, page)| part(*at, page.as_deref())).collect();
            let mut more = Vec::new();
            for ((at, _), answer) in open.into_iter().zip(self.send_all(operation, &parts).await) {
                match (answer.and_then(|answer| api::parse::<Events>(operation, &answer)), &mut all[at]) {
                    (Ok(page), Ok(Some(items))) => {
                        more.extend(page.next_page_token.clone().map(|token| (at, Some(token))));
                        items.extend(page.into_items());
                    }
                    (Err(failed), slot) => *slot = Err(failed),
                    (Ok(_), Ok(None) | Err(_)) => {}
                }
            }
            open = more;
        }
        for (at, _) in open {
            all[at] = Ok(None);
        }
        all
    }

    async fn send_chunk(&self, operation: &'static str, parts: &[Part]) -> Result<Vec<Option<Response<Bytes>>>> {
        if let [only] = parts {
            return Ok(vec![Some(self.send(operation, only).await?)]);
        }
        let mut answers = self.send_together(operation, parts).await?;
        let unheard = |answer: &Option<Response<Bytes>>| answer.as_ref().is_some_and(|one| one.status() == UNHEARD);
        let refused: Vec<usize> = (0..parts.len()).filter(|at| unheard(&answers[*at])).collect();
        let Some((first, rest)) = refused.split_first() else { return Ok(answers) };
        // A token that has ended is told to each part, in a batch that is answered well: the transport renews it for one
        // that goes alone. What was refused so was not done.
        answers[*first] = Some(self.send(operation, &parts[*first]).await?);
        if !rest.is_empty() && !unheard(&answers[*first]) {
            let again: Vec<Part> = rest.iter().map(|at| parts[*at].clone()).collect();
            for (at, answer) in rest.iter().zip(self.send_together(operation, &again).await?) {
                answers[*at] = answer;
            }
        }
        Ok(answers)
    }

    async fn send_together(&self, operation: &'static str, parts: &[Part]) -> Result<Vec<Option<Response<Bytes>>>> {
        let call = batch::together(operation, &self.config.calendar_url, calendar::BATCH_PATH, parts)?;
        let sent = self.transport.send(call.request).await;
        let response = sent.map_err(|lost| error::from_transport(operation, lost))?;
        if batch::is_missing(&response) {
            let mut answers = Vec::with_capacity(parts.len());
            for part in parts {
                answers.push(Some(self.send(operation, part).await?));
            }
            return Ok(answers);
        }
        batch::answers(operation, &response, parts.len())
    }

    fn position(&self, from: Option<&Cursor>) -> Result<Position> {
        let fresh = Position { form: CURSOR_FORM, size: self.page_size, page: None, sync: None };
        let Some(cursor) = from else { return Ok(fresh) };
        match serde_json::from_str::<Position>(&cursor.0) {
            Ok(position) if position.form == CURSOR_FORM => Ok(position),
            Ok(_) | Err(_) => Err(error::cursor_of_another_release(LIST)),
        }
    }

    /// A 404 may mean the record or the whole calendar, and Google's answer is the same: only the calendar itself tells.
    async fn prove_calendar(&self) -> Result<()> {
        // Not its entry in the list of calendars: one may read a calendar without having it there.
        let answer = self.send(LIST, &calendar::list(self.calendar.as_str(), 1, None, None)).await?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            404 => Err(error::calendar_gone(LIST)),
            _ => Err(error::classify(LIST, &answer)),
        }
    }
}

fn unnamed(outcomes: Outcomes<(Written, String)>) -> Outcomes<Written> {
    outcomes.into_iter().map(|one| one.map(|(written, _)| written)).collect()
}

#[async_trait]
impl Connector for GoogleCalendar {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            writable: true,
            reports_tombstones: true,
            conditional_updates: true,
            conditional_deletes: true,
            idempotent_creates: true,
            keeps_markers: true,
            cursors_expire: true,
            delta_lags: false,
            sequential_writes: true,
            get_batch: batch::MOST,
            create_batch: WRITE_BATCH,
            update_batch: WRITE_BATCH,
            delete_batch: WRITE_BATCH,
        }
    }

    /// A calendar that is gone (deleted, or no longer shared) answers `NotFound`, never an empty page: an emptied
    /// calendar shows a tombstone for each appointment.
    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let position = self.position(from)?;
        let (page, sync) = (position.page.as_deref(), position.sync.as_deref());
        let with_token = page.is_some() || sync.is_some();
        let refused = |e: tandem_ports::error::ConnectorError| {
            if e.kind == ErrorKind::NotFound {
                return error::calendar_gone(LIST);
            }
            if with_token { error::token_refused(e) } else { e }
        };
        let part = calendar::list(self.calendar.as_str(), position.size, page, sync);
        let answer: Events = self.call(LIST, &part).await.map_err(refused)?;
        let feed = if position.sync.is_some() { Feed::Delta } else { Feed::Listing };
        let next = match (answer.next_page_token.clone(), answer.next_sync_token.clone()) {
            (Some(page), _) => Next::More(Position { page: Some(page), ..position }.into_cursor()),
            (None, Some(sync)) => Next::CaughtUp(Position { page: None, sync: Some(sync), ..position }.into_cursor()),
            (None, None) => return Err(error::no_end(LIST)),
        };
        Ok(ChangePage { changes: self.assemble(feed, answer.into_items()).await?, next, total: None })
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        if ids.len() > batch::MOST {
            return Err(error::refused("events.get", "too many appointments at once"));
        }
        self.read(ids).await
    }

    async fn titles(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        self.names(ids).await
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        self.create_all(drafts).await.map(unnamed)
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        self.update_all(patches).await.map(unnamed)
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        self.delete_all(deletions).await
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let mut found = Vec::new();
        for chunk in drafts.chunks(batch::MOST) {
            let ids: Vec<RemoteId> = chunk.iter().map(|draft| RemoteId::new(map::id_of(&draft.marker))).collect();
            let read = self.read(&ids).await?;
            found.extend(read.into_iter().flatten().filter_map(|fetched| Some((fetched.marker.clone()?, fetched))));
        }
        Ok(found)
    }

    /// A person chooses among their calendars; we make none.
    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let schema = event::schema(&FIELDS).into_iter();
        Ok(schema.map(|one| if one.name == field::CONFERENCE { one.locked() } else { one }).collect())
    }

    /// `remote_calendars`: what can be read. `remote_calendar`: what can be written to as well (roles `writer` and
    /// `owner`).
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        const OPERATION: &str = "calendarList.list";
        let (mut readable, mut writable) = (Vec::new(), Vec::new());
        let mut page: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let answer: Calendars = self.call(OPERATION, &calendar::calendars(page.as_deref())).await?;
            for entry in answer.items {
                let choice = Choice { id: entry.id.clone(), name: entry.name().to_owned() };
                match entry.access_role.as_str() {
                    "owner" | "writer" => {
                        writable.push(choice.clone());
                        readable.push(choice);
                    }
                    "reader" => readable.push(choice),
                    // freeBusyReader: times without anything else.
                    _ => {}
                }
            }
            page = answer.next_page_token;
            if page.is_none() {
                return Ok(vec![("remote_calendars", readable), ("remote_calendar", writable)]);
            }
        }
        Err(error::refused(OPERATION, "the list of calendars has no end"))
    }
}

impl Position {
    fn into_cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("numbers and strings are JSON"))
    }
}
