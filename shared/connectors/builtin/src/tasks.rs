//! The tasks of one user of the built-in CRM as one side of a tasks sync: the user's own and those that nobody has. A
//! colleague's is outside.
use crate::batch::{Answers, Decision, LOOK_AHEAD, Plan, by_id, change_some, in_transactions};
use crate::error::{CrmError, PROVIDER, classify};
use crate::ledger::{Edit, Ledger, Tries};
use crate::record::{Body, Record, text};
use crate::schema::{FieldDefinition, Kind, Shape};
use crate::side::{self, Seen, Told};
use crate::users::{Action, User};
use crate::validate;
use async_trait::async_trait;
use futures::future::FutureExt;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tandem_core::event::Status;
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope, Version};
use tandem_core::schema::FieldSchema;
use tandem_core::task::{self, Task, field};
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::Result;
use tandem_ports::infra::Clock;
use tandem_ports::table::Table;

/// Most records of one batch call.
const BATCH: usize = 100;
/// What the CRM has a place for, under its own name. When a task was done it does not keep.
static FIELDS: [(Field, &str); 4] =
    [(field::TITLE, "title"), (field::NOTES, "description"), (field::DUE, "due_on"), (field::STATUS, "done")];

/// The tasks of one user of an account.
pub struct BuiltinTasks {
    ledger: Ledger,
    actor: User,
}

impl BuiltinTasks {
    /// Opens the tasks of a user. One request. A user who is gone is `AuthRevoked`.
    pub async fn open(table: Arc<dyn Table>, clock: Arc<dyn Clock>, account: &str, user: &str) -> Result<BuiltinTasks> {
        let (ledger, actor) = side::open("tasks.open", (table, clock), (account, user)).await?;
        Ok(BuiltinTasks { ledger, actor })
    }

    /// Whatever leaves the CRM through a sync needs the right to view and the right to export.
    fn may_read(&self) -> std::result::Result<(), CrmError> {
        self.actor.require_export()?;
        self.actor.require(Kind::Task, Action::View)
    }

    fn may(&self, operation: &'static str, action: Action) -> Result<()> {
        self.actor.require(Kind::Task, action).map_err(|error| classify(operation, error))
    }

    fn is_mine(&self, record: &Record) -> bool {
        ["", self.actor.id.as_str()].contains(&record.text("owner"))
    }

    /// In a listing a colleague's task is nobody's business here; later it may be one that was given away. One that was
    /// never changed was not.
    fn seen(&self, record: &Record, told: Told) -> Seen {
        let given_away = told == Told::News && record.version > 1;
        if self.is_mine(record) || given_away { Seen::There(Box::new(self.fetched(record))) } else { Seen::Never }
    }

    async fn read(&self, ids: &[RemoteId]) -> std::result::Result<Vec<Option<Fetched>>, CrmError> {
        self.may_read()?;
        let ids: Vec<&str> = ids.iter().map(RemoteId::as_str).collect();
        let records = self.ledger.records(&ids).await?.into_iter();
        let task = |found: Option<Record>| found.filter(|record| record.kind == Kind::Task);
        Ok(records.map(|found| task(found).map(|record| self.fetched(&record))).collect())
    }

    fn fetched(&self, record: &Record) -> Fetched {
        Fetched {
            id: RemoteId::new(&record.id),
            version: version(record),
            scope: if self.is_mine(record) { Scope::Inside } else { Scope::Outside },
            marker: record.marker.clone().map(Marker::new),
            fields: said(&record.body).to_fields(),
            modified_at: Some(record.updated_at),
            // Writes read the record again; nothing needs to travel with the engine.
            raw: Value::Null,
        }
    }

    /// The tasks that a sync marked with these, by marker.
    async fn made(&self, markers: &[&str]) -> std::result::Result<HashMap<String, Record>, CrmError> {
        let ids: Vec<String> = self.ledger.marked(markers).await?.into_iter().flatten().collect();
        let records = self.ledger.records(&ids).await?.into_iter().flatten();
        // A mark may outlive its record, or point to one that was marked anew.
        let marked = records.filter_map(|record| Some((record.marker.clone()?, record)));
        Ok(marked.filter(|(marker, _)| markers.contains(&marker.as_str())).collect())
    }

    /// Creates the first of these drafts, as many as fit one transaction.
    async fn create_some(&self, drafts: &[Draft]) -> Answers<Written> {
        let drafts = &drafts[..drafts.len().min(LOOK_AHEAD)];
        let markers: Vec<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let made = self.made(&markers).await?;
            let mut plan = Plan::new();
            let mut taken: HashSet<&str> = HashSet::new();
            for draft in drafts {
                let marker = draft.marker.as_str();
                // The same marker twice: the second finds the first in the next transaction.
                if !taken.insert(marker) {
                    break;
                }
                if let Some(record) = made.get(marker) {
                    plan.done(Ok(written(record)));
                    continue;
                }
                let mut input = input(&draft.fields, None);
                input.insert("owner".to_owned(), json!(self.actor.id));
                match validate::new_body(Kind::Task, &input) {
                    Ok(body) => {
                        let (id, marker) = (self.ledger.new_id(), Some(marker.to_owned()));
                        let edits = vec![Edit::Create { id: id.clone(), kind: Kind::Task, body, marker }];
                        if !plan.fits(&edits) {
                            break;
                        }
                        plan.write(id, edits);
                    }
                    Err(error) => plan.done(Err(error)),
                }
            }
            if let Some(records) = self.ledger.commit(&head, std::mem::take(&mut plan.edits)).await? {
                return Ok(plan.outcomes(&by_id(records), written));
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }

    async fn update_some(&self, patches: &[Patch]) -> Answers<Written> {
        let decide = |patch: &Patch, record: Option<Record>| {
            let before = record.filter(|record| record.kind == Kind::Task).ok_or(CrmError::NotFound)?;
            if version(&before) != patch.expect {
                return Err(CrmError::Stale);
            }
            let body = validate::changed_body(&before, &input(&patch.fields, Some(&patch.changed)))?;
            let marker = patch.marker.as_ref().map(Marker::as_str).or(before.marker.as_deref()).map(str::to_owned);
            if body == before.body && marker == before.marker {
                return Ok(Decision::Is(written(&before)));
            }
            Ok(Decision::Write(Edit::Change { before: Box::new(before), body, marker }))
        };
        change_some(&self.ledger, patches, decide, written).await
    }

    async fn delete_some(&self, deletions: &[Deletion]) -> Answers<()> {
        let task = |record: Option<Record>| record.filter(|record| record.kind == Kind::Task);
        let decide = |deletion: &Deletion, record: Option<Record>| match task(record) {
            None => Ok(Decision::Is(())),
            Some(before) if version(&before) != deletion.expect => Err(CrmError::Stale),
            Some(before) => Ok(Decision::Write(Edit::Remove { before: Box::new(before) })),
        };
        change_some(&self.ledger, deletions, decide, |_| ()).await
    }
}

fn version(record: &Record) -> Version {
    Version::new(record.version.to_string())
}

fn written(record: &Record) -> Written {
    let shown = Some(said(&record.body).to_fields());
    Written { id: RemoteId::new(&record.id), version: version(record), shown }
}

/// The task that a record says.
fn said(body: &Body) -> Task {
    Task {
        title: text(body, "title").to_owned(),
        notes: text(body, "description").to_owned(),
        due: text(body, "due_on").parse().ok(),
        status: if body.get("done") == Some(&json!(true)) { Status::Done } else { Status::Open },
        ..Task::default()
    }
}

/// The record's fields for these changed ones (`None`: for all); what is absent is emptied.
fn input(fields: &Fields, changed: Option<&[Field]>) -> Map<String, Value> {
    let named = FIELDS.iter().filter(|(name, _)| changed.is_none_or(|changed| changed.contains(name)));
    let value = |name: &Field| match fields.text(name) {
        said if *name == field::STATUS => json!(said == "done"),
        "" => Value::Null,
        said => json!(said),
    };
    named.map(|(name, own)| ((*own).to_owned(), value(name))).collect()
}

#[async_trait]
impl Connector for BuiltinTasks {
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
            cursors_expire: false,
            delta_lags: false,
            sequential_writes: false,
            get_batch: BATCH,
            create_batch: BATCH,
            update_batch: BATCH,
            delete_batch: BATCH,
        }
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let read = async {
            self.may_read()?;
            side::page(&self.ledger, from, |kind| kind == Kind::Task, |record, told| self.seen(record, told)).await
        };
        read.await.map_err(|error| classify("tasks.changes", error))
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        self.read(ids).await.map_err(|error| classify("tasks.get", error))
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        const OPERATION: &str = "tasks.create";
        self.may(OPERATION, Action::Create)?;
        in_transactions(OPERATION, drafts, |some| self.create_some(some).boxed()).await
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        const OPERATION: &str = "tasks.update";
        self.may(OPERATION, Action::Edit)?;
        in_transactions(OPERATION, patches, |some| self.update_some(some).boxed()).await
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        const OPERATION: &str = "tasks.delete";
        self.may(OPERATION, Action::Delete)?;
        in_transactions(OPERATION, deletions, |some| self.delete_some(some).boxed()).await
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let find = async {
            self.may_read()?;
            let texts: Vec<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
            let made = self.made(&texts).await?;
            Ok(made.into_iter().map(|(marker, record)| (Marker::new(marker), self.fetched(&record))).collect())
        };
        find.await.map_err(|error: CrmError| classify("tasks.find_made", error))
    }

    /// All tasks of the user; there is no part of them to choose.
    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        self.may("tasks.schema", Action::View)?;
        let limited = |(known, (_, own)): (FieldSchema, &(Field, &str))| match Kind::Task.definition().field(own) {
            Some(FieldDefinition { shape: Shape::Line(most) | Shape::Lines(most), mandatory, .. }) => {
                FieldSchema { max_length: Some(*most), mandatory: *mandatory, ..known }
            }
            Some(_) | None => known,
        };
        let names: Vec<Field> = FIELDS.iter().map(|(name, _)| name.clone()).collect();
        Ok(task::schema(&names).into_iter().zip(&FIELDS).map(limited).collect())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}
