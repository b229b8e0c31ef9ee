//! A calendar in memory that keeps recurrence as Google does: a series with its exceptions is one record with one version.
//! It can also play a CRM that keeps none.
use crate::conformance::Fault;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use tandem_core::event::{self, field};
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Next, Outcomes, Patch,
    Written,
};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};

/// Most records of a call.
const BATCH: usize = 50;

/// Whether it can say that an appointment repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// Like Google Calendar.
    Kept,
    /// Like Teamleader or Sell.
    Unknown,
}

#[derive(Clone)]
struct Held {
    fields: Fields,
    version: u64,
    gone: bool,
    marker: Option<Marker>,
    unmapped: Json,
}

/// What happened, for budgets and for "no write".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls of `changes`.
    pub pages: usize,
    /// Records that the connector created.
    pub created: usize,
    /// Records that it changed.
    pub updated: usize,
    /// Records that it deleted.
    pub deleted: usize,
}

#[derive(Default)]
struct State {
    records: BTreeMap<RemoteId, Held>,
    /// Ids in the order of their changes; a record's last place counts.
    log: Vec<RemoteId>,
    faults: VecDeque<Fault>,
    revoked: bool,
    epoch: u32,
    tally: Tally,
}

/// A calendar in memory.
pub struct MemoryCalendar {
    page: usize,
    recurrence: Recurrence,
    names: Names,
    state: Mutex<State>,
}

/// Whether what it is given to recognise a record by stays with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Our marker and the iCalUID.
    Kept,
    /// Neither.
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Position {
    epoch: u32,
    /// Where the feed goes on.
    log: usize,
    /// In a listing: the last record shown, if one is.
    #[serde(default)]
    listing: Option<Option<RemoteId>>,
}

enum Call {
    Read,
    Write,
}

impl MemoryCalendar {
    /// An empty one that shows so many records a page.
    pub fn new(page: usize, recurrence: Recurrence) -> MemoryCalendar {
        MemoryCalendar { page, recurrence, names: Names::Kept, state: Mutex::default() }
    }

    /// One that keeps neither our marker nor an iCalUID.
    pub fn without_names(self) -> MemoryCalendar {
        MemoryCalendar { names: Names::Unknown, ..self }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// A person writes a record under this id; it need not have been there.
    pub fn user_puts(&self, id: &str, fields: &Fields) -> RemoteId {
        let id = RemoteId::new(id);
        let mut state = self.state();
        let old = state.records.get(&id).filter(|held| !held.gone).cloned();
        let marker = old.as_ref().and_then(|held| held.marker.clone());
        let unmapped = old.map(|held| held.unmapped).unwrap_or_default();
        state.put(&id, Held { fields: fields.clone(), version: 0, gone: false, marker, unmapped });
        id
    }

    /// A person deletes it.
    pub fn user_deletes(&self, id: &RemoteId) {
        self.state().remove(id);
    }

    /// What a record says; `None` where it is not there.
    pub fn fields(&self, id: &RemoteId) -> Option<Fields> {
        self.state().records.get(id).filter(|held| !held.gone).map(|held| held.fields.clone())
    }

    /// All that is there, by id.
    pub fn all(&self) -> Vec<(RemoteId, Fields)> {
        let state = self.state();
        let live = state.records.iter().filter(|(_, held)| !held.gone);
        live.map(|(id, held)| (id.clone(), held.fields.clone())).collect()
    }

    /// A person puts something on it that the canonical form cannot say.
    pub fn user_adds_unmapped(&self, id: &RemoteId) {
        if let Some(held) = self.state().records.get_mut(id) {
            held.unmapped = Json::from("by hand");
        }
    }

    /// That something.
    pub fn unmapped(&self, id: &RemoteId) -> Json {
        self.state().records.get(id).map(|held| held.unmapped.clone()).unwrap_or_default()
    }

    /// What goes wrong next; a lost answer is one of a write.
    pub fn inject(&self, fault: Fault) {
        let mut state = self.state();
        match fault {
            Fault::RevokeGrant => state.revoked = true,
            Fault::ExpireCursors => state.epoch += 1,
            Fault::ServerError | Fault::Throttle(_) | Fault::Forbidden | Fault::LoseAnswer | Fault::LoseRequest => {
                state.faults.push_back(fault);
            }
        }
    }

    /// What it was asked so far.
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    /// The fault that strikes: before the work (an error now), or after it (`true`).
    fn strike(&self, call: Call) -> Result<bool> {
        let mut state = self.state();
        if state.revoked {
            return Err(failed(ErrorKind::AuthRevoked, "the grant is gone"));
        }
        let kind = match (state.faults.front(), call) {
            (None, _) | (Some(Fault::LoseAnswer), Call::Read) => return Ok(false),
            (Some(Fault::LoseAnswer), Call::Write) => None,
            (Some(Fault::Throttle(after)), _) => {
                Some(ErrorKind::Throttled { retry_after: Some(Duration::from_secs(*after)) })
            }
            (Some(Fault::Forbidden), _) => Some(ErrorKind::Forbidden),
            (Some(Fault::ServerError | Fault::LoseRequest | Fault::RevokeGrant | Fault::ExpireCursors), _) => {
                Some(ErrorKind::Retryable)
            }
        };
        state.faults.pop_front();
        kind.map_or(Ok(true), |kind| Err(failed(kind, "a fault")))
    }
}

fn failed(kind: ErrorKind, detail: &str) -> ConnectorError {
    ConnectorError::new("memory", "calendar", kind, detail)
}

fn answered<T>(lost: bool, outcomes: Outcomes<T>) -> Result<Outcomes<T>> {
    if lost { Err(failed(ErrorKind::Retryable, "the answer is lost")) } else { Ok(outcomes) }
}

impl State {
    fn put(&mut self, id: &RemoteId, mut held: Held) {
        held.version = self.records.get(id).map_or(1, |old| old.version + 1);
        self.records.insert(id.clone(), held);
        self.log.push(id.clone());
    }

    fn remove(&mut self, id: &RemoteId) {
        if let Some(held) = self.records.get(id).filter(|held| !held.gone).cloned() {
            self.put(id, Held { gone: true, marker: None, ..held });
        }
    }

    fn shown(&self, id: &RemoteId) -> Option<Fetched> {
        let held = self.records.get(id).filter(|held| !held.gone)?;
        Some(Fetched {
            id: id.clone(),
            version: Version::new(held.version.to_string()),
            scope: Scope::Inside,
            marker: held.marker.clone(),
            fields: held.fields.clone(),
            modified_at: None,
            raw: Json::Null,
        })
    }

    fn written(&self, id: &RemoteId) -> Result<Written> {
        let shown = self.shown(id).ok_or_else(|| failed(ErrorKind::NotFound, "it is gone"))?;
        Ok(Written { id: shown.id, version: shown.version, shown: Some(shown.fields) })
    }

    fn current(&self, id: &RemoteId, expect: &Version) -> Result<Held> {
        let held = self.records.get(id).filter(|held| !held.gone);
        let held = held.ok_or_else(|| failed(ErrorKind::NotFound, "it is gone"))?;
        if held.version.to_string() != expect.as_str() {
            return Err(failed(ErrorKind::Conflict, "it was changed meanwhile"));
        }
        Ok(held.clone())
    }
}

#[async_trait]
impl Connector for MemoryCalendar {
    fn provider(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            writable: true,
            reports_tombstones: true,
            conditional_updates: true,
            conditional_deletes: true,
            idempotent_creates: true,
            keeps_markers: self.names == Names::Kept,
            cursors_expire: true,
            delta_lags: false,
            sequential_writes: true,
            get_batch: BATCH,
            create_batch: BATCH,
            update_batch: BATCH,
            delete_batch: BATCH,
        }
    }

    fn keeps_recurrence(&self) -> bool {
        self.recurrence == Recurrence::Kept
    }

    /// What calendars bring is an appointment like any other here.
    fn keeps_blocks(&self) -> bool {
        true
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        self.strike(Call::Read)?;
        let mut state = self.state();
        state.tally.pages += 1;
        let epoch = state.epoch;
        let at = match from {
            None => Position { epoch, log: state.log.len(), listing: Some(None) },
            Some(cursor) => {
                let expired = || failed(ErrorKind::CursorExpired, "the cursor has expired");
                let at: Position = serde_json::from_str(&cursor.0).map_err(|_| expired())?;
                if at.epoch == epoch { at } else { return Err(expired()) }
            }
        };
        let cursor = |at: &Position| Cursor(serde_json::to_string(at).expect("it is JSON"));
        let Some(last) = at.listing else {
            let ids: Vec<RemoteId> = state.log[at.log..].iter().take(self.page).cloned().collect();
            let more = at.log + ids.len() < state.log.len();
            let next = Position { epoch, log: at.log + ids.len(), listing: None };
            let change = |id: RemoteId| match state.shown(&id) {
                Some(fetched) => Change::Upsert(Box::new(fetched)),
                None => Change::Tombstone { id },
            };
            let changes = ids.into_iter().map(change).collect();
            let next = if more { Next::More(cursor(&next)) } else { Next::CaughtUp(cursor(&next)) };
            return Ok(ChangePage { changes, next, total: None });
        };
        let rest = state.records.iter().filter(|(id, held)| !held.gone && last.as_ref().is_none_or(|last| *id > last));
        let ids: Vec<RemoteId> = rest.map(|(id, _)| id.clone()).take(self.page + 1).collect();
        let shown: Vec<Fetched> = ids.iter().take(self.page).filter_map(|id| state.shown(id)).collect();
        let next = match ids.len() > self.page {
            true => Next::More(cursor(&Position { listing: Some(shown.last().map(|f| f.id.clone())), ..at })),
            false => Next::CaughtUp(cursor(&Position { listing: None, ..at })),
        };
        let changes = shown.into_iter().map(|fetched| Change::Upsert(Box::new(fetched))).collect();
        Ok(ChangePage { changes, next, total: None })
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        assert!(ids.len() <= BATCH, "{} records in one read", ids.len());
        if !ids.is_empty() {
            self.strike(Call::Read)?;
        }
        let state = self.state();
        Ok(ids.iter().map(|id| state.shown(id)).collect())
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        assert!(drafts.len() <= BATCH, "{} drafts at once", drafts.len());
        let lost = !drafts.is_empty() && self.strike(Call::Write)?;
        let mut state = self.state();
        let made = drafts.iter().map(|draft| {
            let id = RemoteId::new(event::copy_name(&draft.marker));
            state.tally.created += 1;
            let marker = Some(draft.marker.clone()).filter(|_| self.names == Names::Kept);
            let fields = draft.fields.clone();
            state.put(&id, Held { fields, version: 0, gone: false, marker, unmapped: Json::Null });
            state.written(&id)
        });
        answered(lost, made.collect())
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        assert!(patches.len() <= BATCH, "{} patches at once", patches.len());
        let lost = !patches.is_empty() && self.strike(Call::Write)?;
        let mut state = self.state();
        let update = |patch: &Patch| {
            let mut held = state.current(&patch.id, &patch.expect)?;
            state.tally.updated += 1;
            for name in &patch.changed {
                held.fields.set(name.clone(), patch.fields.get(name).cloned().unwrap_or_else(|| empty(name)));
            }
            held.marker = patch.marker.clone().or(held.marker);
            state.put(&patch.id, held);
            state.written(&patch.id)
        };
        answered(lost, patches.iter().map(update).collect())
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        assert!(deletions.len() <= BATCH, "{} deletions at once", deletions.len());
        let lost = !deletions.is_empty() && self.strike(Call::Write)?;
        let mut state = self.state();
        let delete = |deletion: &Deletion| match state.current(&deletion.id, &deletion.expect) {
            Err(gone) if gone.kind == ErrorKind::NotFound => Ok(()),
            Err(changed) => Err(changed),
            Ok(_) => {
                state.tally.deleted += 1;
                state.remove(&deletion.id);
                Ok(())
            }
        };
        answered(lost, deletions.iter().map(delete).collect())
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let state = self.state();
        let found = |draft: &Draft| {
            let fetched = state.shown(&RemoteId::new(event::copy_name(&draft.marker)))?;
            Some((draft.marker.clone(), fetched))
        };
        Ok(drafts.iter().filter_map(found).collect())
    }

    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let repeats = [field::RECURRENCE, field::EXCEPTIONS];
        let kept = |name: &Field| self.keeps_recurrence() || !repeats.contains(name);
        let uid = field::UID;
        let uid = (self.names == Names::Kept).then_some(&uid);
        let names: Vec<Field> = field::ALL.iter().chain(uid).filter(|name| kept(name)).cloned().collect();
        Ok(event::schema(&names))
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}

fn empty(name: &Field) -> tandem_core::record::Value {
    use tandem_core::record::Value;
    let lists = [field::ATTENDEES, field::EXCEPTIONS];
    if lists.contains(name) { Value::Items(Vec::new()) } else { Value::Text(String::new()) }
}
