//! A provider in memory as strict as the worst real ones: creates that it cannot deduplicate, deltas that lag, cursors
//! that expire, versions that it checks.
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::record::{ContainerId, Fields, Marker, RemoteId, Scope, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Next, Outcomes, Patch,
    Written,
};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::Clock;
use tandem_testkit::fault::{Faults, Verdict};

/// What kind of provider it plays.
#[derive(Clone, Copy, Debug)]
pub struct Character {
    /// As the connector's.
    pub capabilities: Capabilities,
    /// How long a change takes to show in the feed.
    pub lag: Duration,
    /// Records a page.
    pub page: usize,
    /// Whether records live in a container that must be made first.
    pub has_container: bool,
    /// What its listing and feed show.
    pub shows: Shows,
}

/// What a listing and a feed show of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// All of it.
    Records,
    /// That it is there, in which version.
    Stubs,
}

/// Like the built-in CRM.
pub fn like_a_crm() -> Character {
    Character {
        capabilities: Capabilities {
            writable: true,
            reports_tombstones: true,
            conditional_updates: true,
            conditional_deletes: true,
            idempotent_creates: true,
            keeps_markers: true,
            cursors_expire: false,
            delta_lags: false,
            sequential_writes: false,
            get_batch: 100,
            create_batch: 100,
            update_batch: 100,
            delete_batch: 100,
        },
        lag: Duration::ZERO,
        page: 7,
        has_container: false,
        shows: Shows::Records,
    }
}

/// Like a CRM that keeps no marker, checks no version, says nothing of deletions and shows little in its listing.
pub fn like_a_plain_crm() -> Character {
    let crm = like_a_crm();
    let capabilities = Capabilities {
        reports_tombstones: false,
        conditional_updates: false,
        conditional_deletes: false,
        idempotent_creates: false,
        keeps_markers: false,
        get_batch: 5,
        create_batch: 3,
        update_batch: 3,
        delete_batch: 3,
        ..crm.capabilities
    };
    Character { capabilities, shows: Shows::Stubs, ..crm }
}

/// Like Google's People API.
pub fn like_people() -> Character {
    Character {
        capabilities: Capabilities {
            writable: true,
            reports_tombstones: true,
            conditional_updates: true,
            conditional_deletes: false,
            idempotent_creates: false,
            keeps_markers: true,
            cursors_expire: true,
            delta_lags: true,
            sequential_writes: true,
            get_batch: 20,
            create_batch: 10,
            update_batch: 10,
            delete_batch: 20,
        },
        lag: Duration::from_secs(180),
        page: 9,
        has_container: true,
        shows: Shows::Records,
    }
}

/// The built-in CRM at its true sizes.
pub fn crm_at_scale() -> Character {
    Character { page: 200, ..like_a_crm() }
}

/// People at its true sizes.
pub fn people_at_scale() -> Character {
    let small = like_people();
    let capabilities =
        Capabilities { get_batch: 200, create_batch: 200, update_batch: 200, delete_batch: 500, ..small.capabilities };
    Character { capabilities, page: 1000, ..small }
}

/// A record there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub fields: Fields,
    /// Changes with every write.
    pub version: u64,
    /// Our mark on it.
    pub marker: Option<Marker>,
    /// The container it is in.
    pub container: Option<String>,
    /// When it was changed.
    pub at: jiff::Timestamp,
    /// Deleted, but still in the feed.
    pub deleted: bool,
    /// What the canonical form cannot say; must survive every write.
    pub photo: u64,
}

#[derive(Default)]
struct State {
    records: BTreeMap<String, Record>,
    history: Vec<(jiff::Timestamp, String)>,
    containers: BTreeMap<String, String>,
    next: u64,
    oldest_cursor: usize,
    writes: u64,
    creates: u64,
    read_only: bool,
    revoked: bool,
    throttled: Option<Duration>,
    poison: Option<String>,
    calls: BTreeMap<&'static str, u64>,
}

/// A provider in memory.
pub struct Provider {
    name: &'static str,
    character: Character,
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    faults: Arc<Faults>,
    latency: Option<Duration>,
}

impl Provider {
    /// An empty provider.
    pub fn new(name: &'static str, character: Character, clock: Arc<dyn Clock>, faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { name, character, state: Mutex::default(), clock, faults, latency: None })
    }
    /// An empty provider whose calls take real time.
    pub fn slow(name: &'static str, character: Character, clock: Arc<dyn Clock>, latency: Duration) -> Arc<Self> {
        let faults = Arc::default();
        Arc::new(Self { name, character, state: Mutex::default(), clock, faults, latency: Some(latency) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// A person makes a record in the browser.
    pub fn person_creates(&self, fields: Fields, container: Option<&str>) -> RemoteId {
        let mut state = self.lock();
        let id = state.fresh_id(self.name);
        let container = container.map(str::to_owned);
        let photo = state.next;
        self.put(&mut state, &id, fields, None, container, photo);
        RemoteId::new(id)
    }
    /// A person edits it.
    pub fn person_edits(&self, id: &RemoteId, edit: impl FnOnce(&mut Fields)) {
        let mut state = self.lock();
        let Some(record) = state.records.get(id.as_str()).filter(|record| !record.deleted).cloned() else { return };
        let mut fields = record.fields;
        edit(&mut fields);
        self.put(&mut state, id.as_str(), fields, record.marker, record.container, record.photo);
    }
    /// A person moves it into or out of a container.
    pub fn person_moves(&self, id: &RemoteId, container: Option<&str>) {
        let mut state = self.lock();
        let Some(record) = state.records.get(id.as_str()).filter(|record| !record.deleted).cloned() else { return };
        let container = container.map(str::to_owned);
        self.put(&mut state, id.as_str(), record.fields, record.marker, container, record.photo);
    }
    /// A person deletes it.
    pub fn person_deletes(&self, id: &RemoteId) {
        let mut state = self.lock();
        self.remove(&mut state, id.as_str());
    }
    /// The record as it is, deleted ones too.
    pub fn record(&self, id: &RemoteId) -> Option<Record> {
        self.lock().records.get(id.as_str()).cloned()
    }
    /// All live records.
    pub fn live(&self) -> BTreeMap<String, Record> {
        let state = self.lock();
        let live = state.records.iter().filter(|(_, record)| !record.deleted);
        live.map(|(id, record)| (id.clone(), record.clone())).collect()
    }
    /// Writes that took effect through the connector.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }
    /// Records ever created through the connector.
    pub fn creates(&self) -> u64 {
        self.lock().creates
    }
    /// Calls by name since the last time this was asked.
    pub fn take_calls(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.lock().calls)
    }
    /// The one container it has made, if any.
    pub fn container(&self) -> Option<String> {
        self.lock().containers.keys().next().cloned()
    }
    /// A person deletes the container; its records stay.
    pub fn person_makes_container(&self, name: &str) -> String {
        let mut state = self.lock();
        let id = state.fresh_id("group");
        state.containers.insert(id.clone(), name.to_owned());
        id
    }
    /// A person deletes a container, and not what is in it.
    pub fn person_deletes_container(&self, id: &str) {
        let mut state = self.lock();
        state.containers.remove(id);
        let members: Vec<String> = state
            .records
            .iter()
            .filter(|(_, record)| record.container.as_deref() == Some(id) && !record.deleted)
            .map(|(id, _)| id.clone())
            .collect();
        for member in members {
            let Record { fields, marker, photo, .. } = state.records[&member].clone();
            self.put(&mut state, &member, fields, marker, None, photo);
        }
    }
    /// Every cursor handed out so far is dead.
    pub fn expire_cursors(&self) {
        let mut state = self.lock();
        state.oldest_cursor = state.history.len() + 1;
        let at = self.clock.now();
        state.history.push((at, String::new()));
    }
    /// From now on (or no more) every call is refused for lack of a grant.
    pub fn revoke(&self, revoked: bool) {
        self.lock().revoked = revoked;
    }
    /// From now on (or no more) writes are refused for lack of a right.
    pub fn read_only(&self, read_only: bool) {
        self.lock().read_only = read_only;
    }
    /// The next call is refused with this wait.
    pub fn throttle_once(&self, retry_after: Duration) {
        self.lock().throttled = Some(retry_after);
    }
    /// Refuses every record whose last name is this.
    pub fn poison(&self, last_name: Option<&str>) {
        self.lock().poison = last_name.map(str::to_owned);
    }

    fn put(
        &self,
        state: &mut State,
        id: &str,
        fields: Fields,
        marker: Option<Marker>,
        container: Option<String>,
        photo: u64,
    ) {
        state.next += 1;
        let (version, at) = (state.next, self.clock.now());
        let record = Record { fields, version, marker, container, at, deleted: false, photo };
        state.records.insert(id.to_owned(), record);
        state.history.push((at, id.to_owned()));
    }

    fn remove(&self, state: &mut State, id: &str) {
        let at = self.clock.now();
        if let Some(record) = state.records.get_mut(id).filter(|record| !record.deleted) {
            record.deleted = true;
            record.at = at;
            state.history.push((at, id.to_owned()));
        }
    }

    fn fetched(&self, id: &str, record: &Record, container: Option<&ContainerId>) -> Fetched {
        let inside = !self.character.has_container || record.container.as_deref() == container.map(ContainerId::as_str);
        Fetched {
            id: RemoteId::new(id),
            version: Version::new(record.version.to_string()),
            scope: if inside { Scope::Inside } else { Scope::Outside },
            marker: record.marker.clone().filter(|_| self.character.capabilities.keeps_markers),
            fields: record.fields.clone(),
            modified_at: Some(record.at),
            raw: serde_json::json!({ "photo": record.photo }),
        }
    }

    fn shown(&self, id: &str, record: &Record, container: Option<&ContainerId>) -> Change {
        match self.character.shows {
            Shows::Records => Change::Upsert(Box::new(self.fetched(id, record, container))),
            Shows::Stubs => Change::Seen { id: RemoteId::new(id), version: Version::new(record.version.to_string()) },
        }
    }

    fn fail<T>(&self, kind: ErrorKind, detail: &str) -> Result<T> {
        Err(ConnectorError::new(self.name, "call", kind, detail))
    }
}

impl State {
    fn marked(&self, marker: &Marker) -> Option<String> {
        let marked = |(_, record): &(&String, &Record)| !record.deleted && record.marker.as_ref() == Some(marker);
        self.records.iter().find(marked).map(|(id, _)| id.clone())
    }
    fn fresh_id(&mut self, name: &str) -> String {
        self.next += 1;
        format!("{name}-{:05}", self.next)
    }
}

/// A provider opened for one account and container.
pub struct Opened {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The container it is bounded by.
    pub container: Option<ContainerId>,
}

impl Opened {
    async fn enter(&self, call: &'static str, write: bool) -> Result<bool> {
        *self.provider.lock().calls.entry(call).or_default() += 1;
        if let Some(latency) = self.provider.latency {
            tokio::time::sleep(latency).await;
        }
        let verdict = self.provider.faults.strike();
        if verdict == Verdict::Refuse {
            return self.provider.fail(ErrorKind::Retryable, "no answer");
        }
        let mut state = self.provider.lock();
        if state.revoked {
            return self.provider.fail(ErrorKind::AuthRevoked, "the grant is gone");
        }
        if let Some(retry_after) = state.throttled.take() {
            return self.provider.fail(ErrorKind::Throttled { retry_after: Some(retry_after) }, "too many requests");
        }
        if write && state.read_only {
            return self.provider.fail(ErrorKind::Forbidden, "the right to write is missing");
        }
        Ok(verdict == Verdict::DoAndLose)
    }

    fn leave<T>(&self, lose: bool, done: T) -> Result<T> {
        if lose { self.provider.fail(ErrorKind::Retryable, "the answer was lost") } else { Ok(done) }
    }

    fn refuses(&self, state: &State, fields: &Fields) -> bool {
        let last_name = fields.text(&tandem_core::contact::field::LAST_NAME);
        state.poison.as_deref().is_some_and(|poison| poison == last_name)
    }
}

/// Listing: `L<after id>@<feed position when it began>`; delta: `D<position>`.
enum Position {
    Listing { after: String, feed: usize },
    Delta(usize),
}

fn position(cursor: &Cursor) -> Option<Position> {
    let text = &cursor.0;
    match text.split_at_checked(1)? {
        ("L", rest) => {
            let (after, feed) = rest.rsplit_once('@')?;
            Some(Position::Listing { after: after.to_owned(), feed: feed.parse().ok()? })
        }
        ("D", rest) => Some(Position::Delta(rest.parse().ok()?)),
        _ => None,
    }
}

#[async_trait]
impl Connector for Opened {
    fn provider(&self) -> &'static str {
        self.provider.name
    }
    fn capabilities(&self) -> Capabilities {
        self.provider.character.capabilities
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let lose = self.enter("changes", false).await?;
        let state = self.provider.lock();
        let container = self.container.as_ref();
        let size = self.provider.character.page;
        let start = match from {
            None => Position::Listing { after: String::new(), feed: state.history.len() },
            Some(cursor) => position(cursor).expect("a cursor of ours"),
        };
        let feed = match &start {
            Position::Listing { feed, .. } | Position::Delta(feed) => *feed,
        };
        if feed < state.oldest_cursor && from.is_some() {
            return self.provider.fail(ErrorKind::CursorExpired, "the cursor has expired");
        }
        let page = match start {
            Position::Listing { after, feed } => {
                let mut rest = state.records.iter().filter(|(id, record)| **id > after && !record.deleted);
                let some: Vec<_> = rest.by_ref().take(size).collect();
                let more = rest.next().is_some();
                let last = some.last().map(|(id, _)| (*id).clone()).unwrap_or_default();
                let upsert = |(id, record): &(&String, &Record)| self.provider.shown(id, record, container);
                let next = if more {
                    Next::More(Cursor(format!("L{last}@{feed}")))
                } else {
                    Next::CaughtUp(Cursor(format!("D{feed}")))
                };
                let count = || state.records.values().filter(|record| !record.deleted).count() as u64;
                let total = from.is_none().then(count);
                ChangePage { changes: some.iter().map(upsert).collect(), next, total }
            }
            Position::Delta(feed) => {
                let visible = self.provider.clock.now() - self.provider.character.lag;
                let end = state.history.iter().skip(feed).take_while(|(at, _)| *at <= visible).count() + feed;
                let upto = end.min(feed + size);
                let ids = state.history[feed..upto].iter().map(|(_, id)| id).filter(|id| !id.is_empty());
                let change = |id: &String| match &state.records[id] {
                    record if record.deleted => Change::Tombstone { id: RemoteId::new(id.clone()) },
                    record => self.provider.shown(id, record, container),
                };
                let mut changes: Vec<Change> = ids.map(change).collect();
                let cursor = Cursor(format!("D{upto}"));
                let mut next = if upto < end { Next::More(cursor) } else { Next::CaughtUp(cursor) };
                if !self.provider.character.capabilities.reports_tombstones {
                    let before = changes.len();
                    changes.retain(|change| !matches!(change, Change::Tombstone { .. }));
                    if changes.len() < before {
                        next = Next::Relist;
                    }
                }
                ChangePage { changes, next, total: None }
            }
        };
        drop(state);
        self.leave(lose, page)
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        assert!(ids.len() <= self.capabilities().get_batch);
        let lose = self.enter("get", false).await?;
        let state = self.provider.lock();
        let one = |id: &RemoteId| {
            let record = state.records.get(id.as_str()).filter(|record| !record.deleted)?;
            Some(self.provider.fetched(id.as_str(), record, self.container.as_ref()))
        };
        let found = ids.iter().map(one).collect();
        drop(state);
        self.leave(lose, found)
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        assert!(drafts.len() <= self.capabilities().create_batch);
        let lose = self.enter("create", true).await?;
        let mut state = self.provider.lock();
        if self.provider.character.has_container {
            let container = self.container.as_ref().map(ContainerId::as_str).unwrap_or_default();
            if !state.containers.contains_key(container) {
                return self.provider.fail(ErrorKind::Permanent, "there is no such container");
            }
        }
        // Like a batch of People: one bad record refuses the whole call.
        if drafts.iter().any(|draft| self.refuses(&state, &draft.fields)) {
            return self.provider.fail(ErrorKind::Permanent, "a record is not acceptable");
        }
        let mut written = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let known = match self.capabilities().idempotent_creates {
                true => state.marked(&draft.marker),
                false => None,
            };
            let id = match known {
                Some(id) => id,
                None => {
                    let id = state.fresh_id(self.provider.name);
                    let container = self.container.as_ref().map(ToString::to_string);
                    let (fields, marker) = (draft.fields.clone(), Some(draft.marker.clone()));
                    let photo = state.next;
                    self.provider.put(&mut state, &id, fields, marker, container, photo);
                    state.writes += 1;
                    state.creates += 1;
                    id
                }
            };
            let version = Version::new(state.records[&id].version.to_string());
            written.push(Ok(Written { id: RemoteId::new(id), version, shown: None }));
        }
        drop(state);
        self.leave(lose, written)
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        assert!(patches.len() <= self.capabilities().update_batch);
        let lose = self.enter("update", true).await?;
        let mut state = self.provider.lock();
        let mut written = Vec::with_capacity(patches.len());
        for patch in patches {
            let id = patch.id.as_str();
            let Some(record) = state.records.get(id).filter(|record| !record.deleted).cloned() else {
                written.push(self.provider.fail(ErrorKind::NotFound, "no such record"));
                continue;
            };
            if record.version.to_string() != patch.expect.as_str() {
                written.push(self.provider.fail(ErrorKind::Conflict, "the record has changed"));
                continue;
            }
            if self.refuses(&state, &patch.fields) {
                written.push(self.provider.fail(ErrorKind::Permanent, "the record is not acceptable"));
                continue;
            }
            let mut fields = record.fields.clone();
            for field in &patch.changed {
                fields.put(field.clone(), patch.fields.get(field).cloned());
            }
            let container = match patch.scope {
                Some(Scope::Inside) => self.container.as_ref().map(ToString::to_string),
                Some(Scope::Outside) => None,
                None => record.container.clone(),
            };
            let marker = patch.marker.clone().or(record.marker.clone());
            self.provider.put(&mut state, id, fields, marker, container, record.photo);
            state.writes += 1;
            let version = Version::new(state.records[id].version.to_string());
            written.push(Ok(Written { id: patch.id.clone(), version, shown: None }));
        }
        drop(state);
        self.leave(lose, written)
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        assert!(deletions.len() <= self.capabilities().delete_batch);
        let lose = self.enter("delete", true).await?;
        let mut state = self.provider.lock();
        let mut done = Vec::with_capacity(deletions.len());
        for deletion in deletions {
            let id = deletion.id.as_str();
            let live = state.records.get(id).filter(|record| !record.deleted).map(|record| record.version);
            let stale = live.is_some_and(|version| version.to_string() != deletion.expect.as_str());
            if stale && self.capabilities().conditional_deletes {
                done.push(self.provider.fail(ErrorKind::Conflict, "the record has changed"));
                continue;
            }
            if live.is_some() {
                self.provider.remove(&mut state, id);
                state.writes += 1;
            }
            done.push(Ok(()));
        }
        drop(state);
        self.leave(lose, done)
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let lose = self.enter("find_made", false).await?;
        let state = self.provider.lock();
        let by_marker = self.provider.character.capabilities.keeps_markers;
        let made = |record: &Record, draft: &Draft| match by_marker {
            true => record.marker.as_ref() == Some(&draft.marker),
            false => record.fields == draft.fields,
        };
        let mut found = Vec::new();
        for (id, record) in state.records.iter().filter(|(_, record)| !record.deleted) {
            if let Some(draft) = drafts.iter().find(|draft| made(record, draft)) {
                found.push((draft.marker.clone(), self.provider.fetched(id, record, self.container.as_ref())));
            }
        }
        drop(state);
        self.leave(lose, found)
    }

    async fn ensure_container(&self, id: Option<&ContainerId>, names: &[&str]) -> Result<Option<ContainerId>> {
        if !self.provider.character.has_container {
            return Ok(None);
        }
        let lose = self.enter("ensure_container", true).await?;
        let mut state = self.provider.lock();
        if let Some(known) = id.filter(|id| state.containers.contains_key(id.as_str())) {
            let known = known.clone();
            drop(state);
            return self.leave(lose, Some(known));
        }
        let adopted =
            state.containers.iter().find(|(_, name)| names.contains(&name.as_str())).map(|(id, _)| id.clone());
        let id = match adopted {
            Some(id) => id,
            None => {
                let id = state.fresh_id("group");
                state.containers.insert(id.clone(), names.first().copied().unwrap_or_default().to_owned());
                id
            }
        };
        drop(state);
        self.leave(lose, Some(ContainerId::new(id)))
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        Ok(tandem_core::contact::schema(&tandem_core::contact::field::ALL))
    }
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let state = self.provider.lock();
        let choice = |(id, name): (&String, &String)| Choice { id: id.clone(), name: name.clone() };
        Ok(vec![("remote_group", state.containers.iter().map(choice).collect())])
    }
}
