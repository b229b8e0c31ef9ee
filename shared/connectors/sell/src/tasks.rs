//! The tasks of one user of a Sell account as a [`Connector`]: those that are theirs to do. A colleague's task that they
//! may see is outside.
mod map;

use crate::api::{self, Call, PAGE, is_last};
use crate::client::{Client, few_at_once, number};
use crate::config::SellConfig;
use crate::error::{self, PROVIDER};
use crate::feed::{End, Read, Source, is_deleted, is_of};
use crate::me::{Me, Whose};
use crate::wire::{Contact, Many, One};
use async_trait::async_trait;
use futures::future::FutureExt;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope};
use tandem_core::schema::FieldSchema;
use tandem_core::task::{self, Task, field};
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::infra::{Clock, HttpTransport};

/// One request an item, so a batch is small enough for a job's budget.
const WRITES: usize = 10;
/// How far back a task may have been made and still be the one of a lost answer. Sell tells the time in whole seconds.
const LOOK_BACK: Duration = Duration::from_secs(3_600 + 1);
/// Pages of the newest tasks that are searched for them.
const NEWEST_PAGES: usize = 10;
/// What Sell has a place for. Title and notes share its one text; when a task was done, Sell sets by itself.
const FIELDS: [Field; 5] = [field::TITLE, field::NOTES, field::DUE, field::STATUS, field::COMPLETED_AT];

/// The tasks of one Sell user, opened for one sync.
pub struct SellTasks {
    client: Client,
    clock: Arc<dyn Clock>,
    device: String,
    page_size: usize,
    whose: Whose,
}

impl SellTasks {
    /// `transport` adds the access token; `clock` paces the requests. `device` is a UUID that stays the same for the life
    /// of the sync, and is no other sync's: Sell keeps a feed for each.
    pub fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, config: SellConfig, device: String) -> Self {
        let client = Client::new(transport, Arc::clone(&clock), config);
        Self { client, clock, device, page_size: PAGE, whose: Whose::default() }
    }

    /// Lists smaller pages (1 to 100). For tests.
    pub fn with_page_size(mut self, size: usize) -> Self {
        self.page_size = size.clamp(1, PAGE);
        self
    }

    async fn me(&self) -> Result<Me> {
        self.whose.me(&self.client).await
    }

    async fn list(&self, query: Vec<(&'static str, String)>) -> Result<Many<Contact>> {
        let call = Call::tasks(query);
        let operation = call.operation;
        api::parse(operation, &self.client.send(call).await?)
    }

    /// What there is of these ids, by id.
    async fn by_ids(&self, ids: &BTreeSet<u64>) -> Result<BTreeMap<u64, Contact>> {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        let mut found = BTreeMap::new();
        for chunk in ids.chunks(PAGE) {
            let answer = self.list(vec![("ids", chunk.join(",")), ("per_page", PAGE.to_string())]).await?;
            found.extend(answer.items.into_iter().filter_map(|one| Some((one.data.id()?, one.data))));
        }
        Ok(found)
    }

    /// `None` is proof: Sell itself says 404 of that id.
    async fn read_one(&self, id: u64) -> Result<Option<Contact>> {
        match self.client.send(Call::task(id)).await {
            Ok(response) => api::parse::<One<Contact>>("tasks.get", &response).map(|one| Some(one.data)),
            Err(refused) if refused.kind == ErrorKind::NotFound => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn create_one(&self, draft: &Draft, me: Me) -> Result<Written> {
        let names: Vec<Field> = draft.fields.iter().map(|(name, _)| name.clone()).collect();
        let mut data = map::attributes(&said("tasks.create", &draft.fields)?, &names, None, me.offset)
            .ok_or_else(|| nameless("tasks.create"))?;
        data.retain(|_, value| !value.is_null());
        let response = self.client.send(Call::create_task(Json::Object(data))).await?;
        written("tasks.create", api::parse::<One<Contact>>("tasks.create", &response)?.data, me)
    }

    async fn update_one(&self, patch: &Patch, me: Me) -> Result<Written> {
        let id = number("tasks.update", &patch.id)?;
        let wanted = said("tasks.update", &patch.fields)?;
        let data = map::attributes(&wanted, &patch.changed, Some(&patch.raw), me.offset)
            .ok_or_else(|| nameless("tasks.update"))?;
        let task = if data.is_empty() {
            self.read_one(id).await?.ok_or_else(|| error::gone("tasks.update"))?
        } else {
            let response = self.client.send(Call::update_task(id, Json::Object(data))).await?;
            api::parse::<One<Contact>>("tasks.update", &response)?.data
        };
        written("tasks.update", task, me)
    }

    async fn delete_one(&self, deletion: &Deletion) -> Result<()> {
        match self.client.send(Call::delete_task(number("tasks.delete", &deletion.id)?)).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.kind == ErrorKind::NotFound => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// What this user made within the last hour, newest first.
    async fn lately_made(&self, me: Me) -> Result<Vec<Fetched>> {
        let since = self.clock.now() - LOOK_BACK;
        let mut all = Vec::new();
        for page in 1..=NEWEST_PAGES {
            let query = vec![
                ("owner_id", me.id.to_string()),
                ("sort_by", "created_at:desc".to_owned()),
                ("page", page.to_string()),
                ("per_page", PAGE.to_string()),
            ];
            let answer = self.list(query).await?;
            let last = is_last(&answer, PAGE);
            let young = |task: &Contact| task.time("created_at").is_some_and(|at| at >= since);
            let old = answer.items.iter().any(|one| !young(&one.data));
            let made = answer.items.into_iter().map(|one| one.data).filter(young);
            all.extend(made.filter(|task| task.creator() == Some(me.id)).filter_map(|task| fetched(task, me)));
            if last || old {
                break;
            }
        }
        Ok(all)
    }
}

/// The task that these fields say.
fn said(operation: &'static str, fields: &Fields) -> Result<Task> {
    Task::from_fields(fields).map_err(|invalid| error::refused(operation, &invalid.to_string()))
}

fn nameless(operation: &'static str) -> tandem_ports::error::ConnectorError {
    error::refused(operation, "a task in Sell needs a title")
}

/// `None` for an answer without an id.
fn fetched(task: Contact, me: Me) -> Option<Fetched> {
    let id = task.id()?;
    let fields = map::task(&task, me.offset).to_fields();
    let scope = if map::owner(&task) == Some(me.id) { Scope::Inside } else { Scope::Outside };
    Some(Fetched {
        id: RemoteId::new(id.to_string()),
        version: crate::map::version(&task, &fields, if scope == Scope::Inside { "in" } else { "out" }),
        scope,
        marker: None,
        fields,
        modified_at: task.time("updated_at"),
        raw: Json::Object(task.0),
    })
}

fn written(operation: &'static str, task: Contact, me: Me) -> Result<Written> {
    let fetched = fetched(task, me).ok_or_else(|| error::unreadable(operation))?;
    Ok(Written { id: fetched.id, version: fetched.version, shown: Some(fetched.fields) })
}

/// What is ours to say; Sell adds when it was done.
fn telling(fields: &Fields) -> Fields {
    let kept = fields.iter().filter(|(name, _)| **name != field::COMPLETED_AT && FIELDS.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn limit(operation: &'static str, items: usize, most: usize) -> Result<()> {
    if items > most { Err(error::refused(operation, "too many tasks at once")) } else { Ok(()) }
}

#[async_trait]
impl Source for SellTasks {
    fn kind(&self) -> &'static str {
        "task"
    }
    fn device(&self) -> &str {
        &self.device
    }
    fn client(&self) -> &Client {
        &self.client
    }

    async fn page(&self, page: usize) -> Result<(Vec<Change>, End)> {
        let me = self.me().await?;
        let query = vec![
            ("owner_id", me.id.to_string()),
            ("sort_by", "id".to_owned()),
            ("page", page.to_string()),
            ("per_page", self.page_size.to_string()),
        ];
        let answer = self.list(query).await?;
        let end = if is_last(&answer, self.page_size) { End::Last } else { End::More };
        let tasks = answer.items.into_iter().filter_map(|one| fetched(one.data, me));
        Ok((tasks.map(|task| Change::Upsert(Box::new(task))).collect(), end))
    }

    async fn changed(&self, items: &[One<Contact>]) -> Result<Read> {
        let tasks = || items.iter().filter(|one| is_of(one, self.kind()));
        let wanted: BTreeSet<u64> = tasks().filter_map(|one| one.data.id()).collect();
        if wanted.is_empty() {
            return Ok(Read { changes: Vec::new(), left_out: false });
        }
        let now = self.by_ids(&wanted).await?;
        let me = if now.is_empty() { None } else { Some(self.me().await?) };
        let deleted: BTreeSet<u64> = tasks().filter(|one| is_deleted(one)).filter_map(|one| one.data.id()).collect();
        let gone = deleted.iter().filter(|id| !now.contains_key(id));
        let mut changes: Vec<Change> = gone.map(|id| Change::Tombstone { id: RemoteId::new(id.to_string()) }).collect();
        let there = now.into_values().filter_map(|task| fetched(task, me?));
        changes.extend(there.map(|task| Change::Upsert(Box::new(task))));
        Ok(Read { changes, left_out: false })
    }
}

#[async_trait]
impl Connector for SellTasks {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            writable: true,
            reports_tombstones: true,
            conditional_updates: false,
            conditional_deletes: false,
            idempotent_creates: false,
            keeps_markers: false,
            // Sell sends what was not acknowledged again, to every later session of the device.
            cursors_expire: false,
            delta_lags: true,
            sequential_writes: false,
            get_batch: PAGE,
            create_batch: WRITES,
            update_batch: WRITES,
            delete_batch: WRITES,
        }
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        crate::feed::read(self, from).await
    }

    /// One call for all, and one more for each that is missing: leaving an id out of a list proves nothing.
    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        limit("tasks.list", ids.len(), PAGE)?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let numbers = ids.iter().map(|id| number("tasks.get", id)).collect::<Result<Vec<u64>>>()?;
        let wanted: BTreeSet<u64> = numbers.iter().copied().collect();
        let mut read = self.by_ids(&wanted).await?;
        for id in wanted {
            if !read.contains_key(&id)
                && let Some(task) = self.read_one(id).await?
            {
                read.insert(id, task);
            }
        }
        let me = self.me().await?;
        Ok(numbers.iter().map(|id| fetched(read.get(id)?.clone(), me)).collect())
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        limit("tasks.create", drafts.len(), WRITES)?;
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let me = self.me().await?;
        Ok(few_at_once(drafts.iter().map(|draft| self.create_one(draft, me).boxed()).collect()).await)
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        limit("tasks.update", patches.len(), WRITES)?;
        if patches.is_empty() {
            return Ok(Vec::new());
        }
        let me = self.me().await?;
        Ok(few_at_once(patches.iter().map(|patch| self.update_one(patch, me).boxed()).collect()).await)
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        limit("tasks.delete", deletions.len(), WRITES)?;
        Ok(few_at_once(deletions.iter().map(|deletion| self.delete_one(deletion).boxed()).collect()).await)
    }

    /// A task is taken for ours only where nothing speaks against it: this user made it within the last hour, it says the
    /// same, and there are no more such tasks than drafts.
    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let made = self.lately_made(self.me().await?).await?;
        let wanted: Vec<Fields> = drafts.iter().map(|draft| telling(&draft.fields)).collect();
        let mut taken: BTreeSet<RemoteId> = BTreeSet::new();
        let mut found = Vec::new();
        for (draft, says) in drafts.iter().zip(&wanted) {
            let fitting: Vec<&Fetched> = made.iter().filter(|task| telling(&task.fields) == *says).collect();
            if fitting.len() > wanted.iter().filter(|other| *other == says).count() {
                continue;
            }
            if let Some(task) = fitting.into_iter().find(|task| !taken.contains(&task.id)) {
                taken.insert(task.id.clone());
                let marker = Some(draft.marker.clone());
                found.push((draft.marker.clone(), Fetched { marker, ..task.clone() }));
            }
        }
        Ok(found)
    }

    /// All tasks of the user: there is nothing to make.
    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let described = |one: FieldSchema| if one.name == field::COMPLETED_AT { one.locked() } else { one };
        Ok(task::schema(&FIELDS).into_iter().map(described).collect())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}
