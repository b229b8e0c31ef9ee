//! The tasks of one Google task list as a [`Connector`].
//!
//! Tasks has no sync token and no push: a delta asks for what was updated since (`updatedMin`), deleted tasks included.
mod api;
mod map;

use crate::api::{Call, parse};
use crate::config::GoogleConfig;
use crate::error::{self, PROVIDER};
use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use map::{Item, Lists, Page};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Version};
use tandem_core::schema::FieldSchema;
use tandem_core::task::{self, Task, field};
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Next, Outcomes, Patch, Written,
};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::infra::{Clock, HttpTransport};

/// Raised when a stored cursor would be misread.
const CURSOR_FORM: u8 = 1;
/// One request a task.
const BATCH: usize = 10;
/// Pages of task lists (an account has 2,000 lists at most), and of what was made lately.
const MOST_PAGES: usize = 50;
/// How far a delta looks back beyond the last one, in seconds: Google's clocks are many.
const OVERLAP: i64 = 60;
/// Most tasks remembered across the overlap. Beyond it a change is told twice, which does no harm.
const MOST_KNOWN: usize = 200;
/// For how long deleted tasks are surely told is not documented; a longer pause leads to a full listing. In seconds.
const GOOD_FOR: i64 = 14 * 24 * 3600;
/// How long ago a lost create may have been. In seconds.
const LOOK_BACK: i64 = 25 * 3600;
/// The version of a task that Google shows without one; no etag looks like it.
const UNREADABLE: &str = "unreadable";

/// The fields of a task. Google sets the time of completion, and links, by itself.
const FIELDS: [Field; 6] = [field::TITLE, field::NOTES, field::DUE, field::STATUS, field::COMPLETED_AT, field::LINKS];

/// One task list of one Google account.
pub struct GoogleTasks {
    transport: Arc<dyn HttpTransport>,
    clock: Arc<dyn Clock>,
    config: GoogleConfig,
    list: ContainerId,
    page_size: u16,
}

/// Our cursor. Without `since` it is a full listing. Times are Unix seconds.
#[derive(Serialize, Deserialize)]
struct Position {
    form: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    /// When this listing or delta began.
    began: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    /// (id, etag) met before and still within the overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    known: Vec<(String, String)>,
    /// (id, etag) met in this listing or delta that the next one will meet again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fresh: Vec<(String, String)>,
}

impl Position {
    fn into_cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("numbers and strings are JSON"))
    }
}

impl GoogleTasks {
    /// `transport` adds the account's access token; `list` is the id of the task list (`@default` is the account's own).
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: GoogleConfig,
        list: ContainerId,
    ) -> GoogleTasks {
        GoogleTasks { transport, clock, config, list, page_size: api::MOST_RESULTS }
    }

    /// Reads smaller pages (1 to 100). For tests.
    pub fn with_page_size(mut self, size: u16) -> Self {
        self.page_size = size.clamp(1, api::MOST_RESULTS);
        self
    }

    fn at(&self) -> (&str, &str) {
        (&self.config.tasks_url, self.list.as_str())
    }

    async fn send(&self, call: Call) -> Result<Response<Bytes>> {
        let Call { operation, request } = call;
        self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let operation = call.operation;
        parse(operation, &self.send(call).await?)
    }

    /// A 404 may mean the task or the whole list; only the list itself tells.
    async fn prove_list(&self) -> Result<()> {
        match self.ask::<serde_json::Value>(api::list_of_tasks(self.at())?).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.kind == ErrorKind::NotFound => {
                Err(error::forbidden(api::LIST, "the chosen task list is gone; please choose another"))
            }
            Err(other) => Err(other),
        }
    }

    /// Deleted tasks can still be read for a while, and say so.
    async fn read_one(&self, id: &RemoteId) -> Result<Option<Item>> {
        match self.ask::<Item>(api::get(self.at(), id.as_str())?).await {
            Ok(item) => Ok(Some(item).filter(|item| !item.is_deleted())),
            Err(refused) if refused.kind == ErrorKind::NotFound => {
                self.prove_list().await?;
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    async fn create_one(&self, draft: &Draft) -> Result<Written> {
        let wanted = Task::from_fields(&draft.fields).map_err(|invalid| refused(api::INSERT, &invalid))?;
        let names: Vec<Field> = draft.fields.iter().map(|(name, _)| name.clone()).collect();
        let body = map::body(&wanted, &names);
        self.written(self.ask(api::insert(self.at(), &body)?).await?)
    }

    /// Read right before, as Tasks documents no precondition: an edit in the moment between is lost (README).
    async fn update_one(&self, patch: &Patch) -> Result<Written> {
        let wanted = Task::from_fields(&patch.fields).map_err(|invalid| refused(api::PATCH, &invalid))?;
        let now = self.read_one(&patch.id).await?.ok_or_else(|| error::gone(api::PATCH))?;
        if now.etag() != patch.expect.as_str() {
            return Err(error::changed_meanwhile(api::PATCH));
        }
        let body = map::body(&wanted, &patch.changed);
        if body.is_empty() {
            return self.written(now);
        }
        self.written(self.ask(api::patch(self.at(), (patch.id.as_str(), now.etag()), &body)?).await?)
    }

    fn written(&self, item: Item) -> Result<Written> {
        let read = map::fetched(item).map_err(|reason| error::refused(api::GET, &reason))?;
        Ok(Written { id: read.id, version: read.version, shown: Some(read.fields) })
    }

    async fn delete_one(&self, deletion: &Deletion) -> Result<()> {
        let answer = self.send(api::delete(self.at(), deletion.id.as_str())?).await?;
        match answer.status() {
            status if status.is_success() || status == http::StatusCode::NOT_FOUND => Ok(()),
            _ => Err(error::classify(api::DELETE, &answer)),
        }
    }

    fn position(&self, from: Option<&Cursor>) -> Result<Position> {
        let now = self.clock.now().as_second();
        let Some(cursor) = from else {
            let (known, fresh) = (Vec::new(), Vec::new());
            return Ok(Position { form: CURSOR_FORM, since: None, began: now, page: None, known, fresh });
        };
        let stored = serde_json::from_str::<Position>(&cursor.0).ok().filter(|at| at.form == CURSOR_FORM);
        let mut position = stored.ok_or_else(|| error::cursor_of_another_release(api::LIST))?;
        if position.page.is_none() {
            if position.since.is_some_and(|since| now - since > GOOD_FOR) {
                return Err(error::cursor_of_another_release(api::LIST));
            }
            position.began = now;
        }
        Ok(position)
    }
}

fn refused(operation: &'static str, invalid: &tandem_core::error::Invalid) -> tandem_ports::error::ConnectorError {
    error::refused(operation, &invalid.to_string())
}

/// Only the account can mend these: what follows in the batch is not tried.
fn stops_all(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Throttled { .. } | ErrorKind::AuthRevoked | ErrorKind::Forbidden => true,
        ErrorKind::Retryable
        | ErrorKind::CursorExpired
        | ErrorKind::Conflict
        | ErrorKind::NotFound
        | ErrorKind::Permanent => false,
    }
}

/// One after the other, until one fails that the others would fail of too.
macro_rules! in_turn {
    ($all:expr, $operation:expr, |$one:ident| $work:expr) => {{
        if $all.len() > BATCH {
            return Err(error::refused($operation, "too many tasks at once"));
        }
        let mut outcomes = Vec::with_capacity($all.len());
        for $one in $all {
            let outcome = $work.await;
            let stop = outcome.as_ref().err().is_some_and(|refused| stops_all(refused.kind));
            outcomes.push(outcome);
            if stop {
                break;
            }
        }
        outcomes.extend((outcomes.len()..$all.len()).map(|_| Err(error::not_tried($operation))));
        Ok(outcomes)
    }};
}

#[async_trait]
impl Connector for GoogleTasks {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            writable: true,
            reports_tombstones: true,
            conditional_updates: true,
            conditional_deletes: false,
            idempotent_creates: false,
            keeps_markers: false,
            cursors_expire: true,
            delta_lags: false,
            sequential_writes: true,
            get_batch: BATCH,
            create_batch: BATCH,
            update_batch: BATCH,
            delete_batch: BATCH,
        }
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let mut position = self.position(from)?;
        let with_token = position.page.is_some();
        let call = api::list(self.at(), self.page_size, position.since, position.page.as_deref())?;
        let answer: Page = match self.ask(call).await {
            Ok(page) => page,
            Err(gone) if gone.kind == ErrorKind::NotFound => {
                self.prove_list().await?;
                return Err(gone);
            }
            Err(other) => return Err(if with_token { error::token_refused(other) } else { other }),
        };
        let mut changes = Vec::new();
        for item in answer.items {
            let mark = (item.id().to_owned(), item.etag().to_owned());
            if item.updated_at().is_none_or(|at| at.as_second() >= position.began - OVERLAP)
                && position.fresh.len() < MOST_KNOWN
            {
                position.fresh.push(mark.clone());
            }
            if !position.known.contains(&mark) {
                changes.push(map::change(item));
            }
        }
        let next = match answer.next_page_token {
            Some(page) => Next::More(Position { page: Some(page), ..position }.into_cursor()),
            None => {
                let since = Some(position.began - OVERLAP);
                let known = std::mem::take(&mut position.fresh);
                Next::CaughtUp(Position { since, known, page: None, ..position }.into_cursor())
            }
        };
        Ok(ChangePage { changes, next, total: None })
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        if ids.len() > BATCH {
            return Err(error::refused(api::GET, "too many tasks at once"));
        }
        let mut read = Vec::new();
        for id in ids {
            let item = self.read_one(id).await?;
            // What cannot be read is there, and must not stop the others.
            let beyond = |_| Fetched::out_of_reach(id.clone(), Version::new(UNREADABLE));
            read.push(item.map(|item| map::fetched(item).unwrap_or_else(beyond)));
        }
        Ok(read)
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        in_turn!(drafts, api::INSERT, |draft| self.create_one(draft))
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        in_turn!(patches, api::PATCH, |patch| self.update_one(patch))
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        in_turn!(deletions, api::DELETE, |deletion| self.delete_one(deletion))
    }

    /// There is no place for a marker that people do not see, and no id of ours: what was made lately and says the same.
    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let since = self.clock.now().as_second() - LOOK_BACK;
        let mut waiting: Vec<(&Draft, Fields)> = drafts.iter().map(|draft| (draft, telling(&draft.fields))).collect();
        let (mut found, mut page) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            if waiting.is_empty() {
                break;
            }
            let call = api::list(self.at(), self.page_size, Some(since), page.as_deref())?;
            let answer: Page = self.ask(call).await?;
            for item in answer.items.into_iter().filter(|item| !item.is_deleted()) {
                let Ok(read) = map::fetched(item) else { continue };
                let said = telling(&read.fields);
                // Each draft takes one task, each task one draft.
                let Some(which) = waiting.iter().position(|(_, wanted)| *wanted == said) else { continue };
                let (draft, _) = waiting.remove(which);
                found.push((draft.marker.clone(), Fetched { marker: Some(draft.marker.clone()), ..read }));
            }
            page = answer.next_page_token;
            if page.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// A person chooses among their lists; we make none.
    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let limited = |one: FieldSchema| match one.name.as_str() {
            "title" => one.at_most(1_024),
            "notes" => one.at_most(8_192),
            "completed_at" | "links" => one.locked(),
            _ => one,
        };
        Ok(task::schema(&FIELDS).into_iter().map(limited).collect())
    }

    /// `remote_list`: the account's task lists.
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let (mut lists, mut page) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let answer: Lists = self.ask(api::lists(&self.config.tasks_url, page.as_deref())?).await?;
            lists.extend(answer.items.into_iter().map(|one| Choice { id: one.id, name: one.title }));
            page = answer.next_page_token;
            if page.is_none() {
                return Ok(vec![("remote_list", lists)]);
            }
        }
        Err(error::refused("tasklists.list", "the list of task lists has no end"))
    }
}

/// What is ours to say; Google adds when it was completed.
fn telling(fields: &Fields) -> Fields {
    let kept = fields.iter().filter(|(name, _)| ![field::COMPLETED_AT, field::LINKS].contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
