//! The contacts of the built-in CRM as one side of a sync.
mod feed;
mod write;

use crate::batch::in_transactions;
use crate::crm::read_filter;
use crate::error::{CrmError, PROVIDER, classify};
use crate::filter::Filter;
use crate::ledger::Ledger;
use crate::map;
use crate::record::Record;
use crate::schema::{FieldDefinition, Kind, Shape};
use crate::users::{Action, User};
use async_trait::async_trait;
use futures::future::FutureExt;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
pub use tandem_core::contact::Carry;
use tandem_core::contact::{self, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Field, Marker, RemoteId, Scope, Version};
use tandem_core::schema::{FieldSchema, FieldType};
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::Clock;
use tandem_ports::table::Table;

/// Most records of one batch call.
const BATCH: usize = 100;

/// How the contacts are opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Id of the segment or list view that bounds the sync; `None`: all contacts.
    pub container: Option<ContainerId>,
    /// What contacts take along from their company.
    pub carry: Carry,
    /// Where phone numbers without a country code are dialled from.
    pub region: Region,
}

/// The contacts of one account, as one of its users may see and change them.
pub struct BuiltinContacts {
    ledger: Ledger,
    actor: User,
    options: Options,
}

impl BuiltinContacts {
    /// Opens the contacts of an account for a user of it. One request. A user who is gone is `AuthRevoked`; a segment
    /// or list view that is gone, or picks something else than contacts, is `Forbidden` and says so.
    pub async fn open(
        table: Arc<dyn Table>,
        clock: Arc<dyn Clock>,
        account: &str,
        user: &str,
        options: Options,
    ) -> Result<BuiltinContacts> {
        const OPERATION: &str = "contacts.open";
        let ledger = Ledger { table, clock, account: account.to_owned() };
        let ids: Vec<&str> = std::iter::once(user).chain(options.container.as_ref().map(ContainerId::as_str)).collect();
        let mut found = ledger.records(&ids).await.map_err(|error| classify(OPERATION, error))?.into_iter();
        let Some(record) = found.next().flatten().filter(|record| record.kind == Kind::User) else {
            let detail = "this user of the built-in CRM is gone";
            return Err(ConnectorError::new(PROVIDER, OPERATION, ErrorKind::AuthRevoked, detail));
        };
        let actor = User::of(account, &record).map_err(|error| classify(OPERATION, error))?;
        let opened = BuiltinContacts { ledger, actor, options };
        opened.filter(found.next().flatten().as_ref()).map_err(|error| classify(OPERATION, error))?;
        Ok(opened)
    }

    fn container(&self) -> Option<&str> {
        self.options.container.as_ref().map(ContainerId::as_str)
    }

    /// The container's filter, given its record as it is now.
    fn filter(&self, container: Option<&Record>) -> Result<Filter, CrmError> {
        if self.options.container.is_none() {
            return Ok(Filter::default());
        }
        let container = container.filter(|record| matches!(record.kind, Kind::Segment | Kind::ListView));
        let filter = container.map(read_filter).transpose()?.and_then(|stored| stored.for_module(Kind::Contact));
        filter.ok_or_else(container_gone)
    }

    /// Reads contacts by id in that order (`None`: there is no such contact), with the companies they carry along.
    /// At most 199 ids: with the container that is two requests, and one or two more for the companies.
    async fn read<S: AsRef<str> + Sync>(&self, ids: &[S]) -> Result<Vec<Option<Fetched>>, CrmError> {
        let mut all: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        all.extend(self.container());
        let mut records = self.ledger.records(&all).await?;
        let container = self.container().and_then(|_| records.pop().flatten());
        let filter = self.filter(container.as_ref())?;
        let contact = |record: Option<Record>| record.filter(|record| record.kind == Kind::Contact);
        let contacts: Vec<Option<Record>> = records.into_iter().map(contact).collect();
        let companies = self.companies_of(contacts.iter().flatten()).await?;
        Ok(contacts
            .iter()
            .map(|found| found.as_ref().map(|record| self.fetched(record, &companies, &filter)))
            .collect())
    }

    /// The companies of these contacts by id.
    async fn companies_of(&self, contacts: impl Iterator<Item = &Record>) -> Result<HashMap<String, Record>, CrmError> {
        let ids: BTreeSet<&str> = contacts.filter_map(Record::company).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.ledger.records(&ids).await?.into_iter().flatten();
        Ok(found.map(|company| (company.id.clone(), company)).collect())
    }

    fn fetched(&self, record: &Record, companies: &HashMap<String, Record>, filter: &Filter) -> Fetched {
        let company = record.company().and_then(|id| companies.get(id));
        let contact = map::contact(record, company, self.options.carry, self.options.region);
        Fetched {
            id: RemoteId::new(&record.id),
            version: version(record, company),
            scope: if filter.passes(record) { Scope::Inside } else { Scope::Outside },
            marker: record.marker.clone().map(Marker::new),
            fields: contact.to_fields(self.options.region),
            modified_at: Some(record.updated_at),
            // Writes read the record again; nothing needs to travel with the engine.
            raw: Value::Null,
        }
    }

    /// Whatever leaves the CRM through a sync needs the right to view and the right to export.
    fn may_read(&self) -> Result<(), CrmError> {
        self.actor.require_export()?;
        self.actor.require(Kind::Contact, Action::View)
    }
}

/// A contact shows its company's name and phone, so its version has two parts: its own and its company's.
fn version(record: &Record, company: Option<&Record>) -> Version {
    Version::new(format!("{}.{}", record.version, company.map_or(0, |company| company.version)))
}

fn container_gone() -> CrmError {
    CrmError::ContainerGone
}

#[async_trait]
impl Connector for BuiltinContacts {
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
        self.page(from).await.map_err(|error| classify("contacts.changes", error))
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        let read = async {
            self.may_read()?;
            let ids: Vec<&str> = ids.iter().map(RemoteId::as_str).collect();
            self.read(&ids).await
        };
        read.await.map_err(|error| classify("contacts.get", error))
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        const OPERATION: &str = "contacts.create";
        self.actor.require(Kind::Contact, Action::Create).map_err(|error| classify(OPERATION, error))?;
        in_transactions(OPERATION, drafts, |some| self.create_some(some).boxed()).await
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        const OPERATION: &str = "contacts.update";
        self.actor.require(Kind::Contact, Action::Edit).map_err(|error| classify(OPERATION, error))?;
        in_transactions(OPERATION, patches, |some| self.update_some(some).boxed()).await
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        const OPERATION: &str = "contacts.delete";
        self.actor.require(Kind::Contact, Action::Delete).map_err(|error| classify(OPERATION, error))?;
        in_transactions(OPERATION, deletions, |some| self.delete_some(some).boxed()).await
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let find = async {
            self.may_read()?;
            let texts: Vec<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
            let ids: Vec<String> = self.ledger.marked(&texts).await?.into_iter().flatten().collect();
            let mut found = Vec::new();
            for batch in ids.chunks(BATCH) {
                found.extend(self.read(batch).await?.into_iter().flatten());
            }
            // A mark may outlive its record, or point to one that was marked anew.
            let marked = found.into_iter().filter_map(|fetched: Fetched| Some((fetched.marker.clone()?, fetched)));
            Ok(marked.filter(|(marker, _)| texts.contains(&marker.as_str())).collect())
        };
        find.await.map_err(|error: CrmError| classify("contacts.find_made", error))
    }

    async fn ensure_container(&self, id: Option<&ContainerId>, _names: &[&str]) -> Result<Option<ContainerId>> {
        // Segments and list views are filters that people define; the whole CRM needs none.
        let Some(id) = id else { return Ok(None) };
        let check = async {
            let record = self.ledger.record(id.as_str()).await?;
            let stored = record.filter(|record| matches!(record.kind, Kind::Segment | Kind::ListView));
            let filter = stored.as_ref().map(read_filter).transpose()?;
            filter.and_then(|filter| filter.for_module(Kind::Contact)).map(|_| id.clone()).ok_or_else(container_gone)
        };
        check.await.map(Some).map_err(|error| classify("contacts.ensure_container", error))
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let read = async {
            self.actor.require(Kind::Contact, Action::View)?;
            let standard = contact::schema(&field::ALL).into_iter().map(|known| {
                let (mandatory, max_length) = limit(&known.name);
                FieldSchema { mandatory, max_length, ..known }
            });
            Ok(standard.chain(self.free_fields().await?).collect())
        };
        read.await.map_err(|error| classify("contacts.schema", error))
    }

    fn makes_custom_fields(&self) -> bool {
        true
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let read = async {
            self.actor.require(Kind::Contact, Action::View)?;
            let mut lists = self.filters(Kind::Segment).await?;
            lists.extend(self.filters(Kind::ListView).await?);
            Ok(vec![("crm_list", lists)])
        };
        read.await.map_err(|error| classify("contacts.choices", error))
    }
}

/// Whether the CRM demands this field of a contact, and how much of it it takes.
fn limit(name: &Field) -> (bool, Option<usize>) {
    match Kind::Contact.definition().field(name.as_str()) {
        Some(FieldDefinition { shape: Shape::Line(most) | Shape::Lines(most), mandatory, .. }) => {
            (*mandatory, Some(*most))
        }
        Some(field) => (field.mandatory, None),
        None => (false, None),
    }
}

impl BuiltinContacts {
    /// The segments or list views that pick contacts; at most a thousand.
    async fn filters(&self, kind: Kind) -> Result<Vec<Choice>, CrmError> {
        let (rows, _) = self.ledger.rows(kind, 0, 1_000).await?;
        let ids: Vec<&str> = rows.iter().map(|(_, id, _)| id.as_str()).collect();
        let records = self.ledger.records(&ids).await?.into_iter().flatten();
        let of_contacts = records.filter(|record| record.text("module") == Kind::Contact.plural());
        Ok(of_contacts.map(|record| Choice { id: record.id.clone(), name: record.text("name").to_owned() }).collect())
    }

    /// The free fields that the oldest 200 contacts use.
    async fn free_fields(&self) -> Result<Vec<FieldSchema>, CrmError> {
        let (rows, _) = self.ledger.rows(Kind::Contact, 0, 200).await?;
        let ids: Vec<&str> = rows.iter().map(|(_, id, _)| id.as_str()).collect();
        let mut names = BTreeSet::new();
        for record in self.ledger.records(&ids).await?.into_iter().flatten() {
            let custom = record.body.get("custom").and_then(Value::as_object);
            names.extend(custom.into_iter().flat_map(|custom| custom.keys().cloned()));
        }
        let free = |name: String| FieldSchema::new(Field::named(format!("custom.{name}")), name, FieldType::Text);
        Ok(names.into_iter().map(free).collect())
    }
}
