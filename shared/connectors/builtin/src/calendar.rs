//! The meetings and blocks of one user of the built-in CRM as one side of a calendar sync.
//!
//! What a calendar brings becomes a block; a person makes a meeting of it, and as it keeps its id it stays linked. An
//! appointment that several users have in their calendars is one record: whose calendar shows it second joins it, and a
//! user in whose calendar it is no longer leaves it. It ends with the last of them.
mod feed;
mod write;

use crate::appointment::{self, for_user, holds};
use crate::batch::collect;
use crate::error::{CrmError, PROVIDER, classify};
use crate::ledger::Ledger;
use crate::record::{Record, text};
use crate::schema::{FieldDefinition, Kind, Shape};
use crate::users::{Action, User};
use async_trait::async_trait;
use serde_json::Value;
use std::sync::Arc;
use tandem_core::event::{self, field};
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope, Value as Said, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::Clock;
use tandem_ports::table::Table;

/// Most records of one batch call.
const BATCH: usize = 100;

/// The calendar of one user of an account.
pub struct BuiltinCalendar {
    ledger: Ledger,
    actor: User,
}

impl BuiltinCalendar {
    /// Opens the appointments of a user. One request. A user who is gone is `AuthRevoked`.
    pub async fn open(
        table: Arc<dyn Table>,
        clock: Arc<dyn Clock>,
        account: &str,
        user: &str,
    ) -> Result<BuiltinCalendar> {
        const OPERATION: &str = "calendar.open";
        let ledger = Ledger { table, clock, account: account.to_owned() };
        let found = ledger.record(user).await.map_err(|error| classify(OPERATION, error))?;
        let Some(record) = found.filter(|record| record.kind == Kind::User) else {
            let detail = "this user of the built-in CRM is gone";
            return Err(ConnectorError::new(PROVIDER, OPERATION, ErrorKind::AuthRevoked, detail));
        };
        let actor = User::of(account, &record).map_err(|error| classify(OPERATION, error))?;
        Ok(BuiltinCalendar { ledger, actor })
    }

    /// Whether it is in this user's calendar.
    fn has(&self, record: &Record) -> bool {
        record.kind.is_appointment() && holds(&record.body, &self.actor.id)
    }

    /// Everything that this user's calendar says of it.
    fn fields(&self, record: &Record) -> Fields {
        let shown = for_user(&record.body, &self.actor.id);
        let mut fields = appointment::fields(&shown);
        let uid = text(&shown, "ical_uid");
        let uid = if uid.is_empty() { appointment::own_uid(&record.id) } else { uid.to_owned() };
        fields.set(field::UID, Said::Text(uid));
        fields.set(field::CALENDAR, Said::Text(text(&shown, "calendar").to_owned()));
        fields
    }

    fn fetched(&self, record: &Record) -> Fetched {
        Fetched {
            id: RemoteId::new(&record.id),
            version: version(record),
            scope: Scope::Inside,
            marker: appointment::marker_of(&record.body, &self.actor.id).map(Marker::new),
            fields: self.fields(record),
            modified_at: Some(record.updated_at),
            // Writes read the record again; nothing needs to travel with the engine.
            raw: Value::Null,
        }
    }

    /// Reads appointments by id in that order; `None`: it is not in this user's calendar.
    async fn read<S: AsRef<str>>(&self, ids: &[S]) -> Result<Vec<Option<Fetched>>, CrmError> {
        let records = self.ledger.records(ids).await?;
        let own = |record: Option<Record>| record.filter(|record| self.has(record));
        Ok(records.into_iter().map(|record| own(record).map(|record| self.fetched(&record))).collect())
    }

    /// Whatever leaves the CRM through a sync needs the right to view and the right to export.
    fn may_read(&self) -> Result<(), CrmError> {
        self.actor.require_export()?;
        self.actor.require(Kind::Meeting, Action::View)
    }
}

fn version(record: &Record) -> Version {
    Version::new(record.version.to_string())
}

#[async_trait]
impl Connector for BuiltinCalendar {
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
        self.page(from).await.map_err(|error| classify("calendar.changes", error))
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        let read = async {
            self.may_read()?;
            let ids: Vec<&str> = ids.iter().map(RemoteId::as_str).collect();
            self.read(&ids).await
        };
        read.await.map_err(|error| classify("calendar.get", error))
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        const OPERATION: &str = "calendar.create";
        self.actor.require(Kind::Meeting, Action::Create).map_err(|error| classify(OPERATION, error))?;
        let mut outcomes = Vec::with_capacity(drafts.len());
        while outcomes.len() < drafts.len() {
            let done = self.create_some(&drafts[outcomes.len()..]).await;
            collect(OPERATION, drafts.len(), &mut outcomes, done)?;
        }
        Ok(outcomes)
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        const OPERATION: &str = "calendar.update";
        self.actor.require(Kind::Meeting, Action::Edit).map_err(|error| classify(OPERATION, error))?;
        let mut outcomes = Vec::with_capacity(patches.len());
        while outcomes.len() < patches.len() {
            let done = self.update_some(&patches[outcomes.len()..]).await;
            collect(OPERATION, patches.len(), &mut outcomes, done)?;
        }
        Ok(outcomes)
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        const OPERATION: &str = "calendar.delete";
        self.actor.require(Kind::Meeting, Action::Delete).map_err(|error| classify(OPERATION, error))?;
        let mut outcomes = Vec::with_capacity(deletions.len());
        while outcomes.len() < deletions.len() {
            let done = self.delete_some(&deletions[outcomes.len()..]).await;
            collect(OPERATION, deletions.len(), &mut outcomes, done)?;
        }
        Ok(outcomes)
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let find = async {
            self.may_read()?;
            let texts: Vec<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
            let made = self.made_before(&texts).await?;
            Ok(made.into_iter().map(|(marker, record)| (Marker::new(marker), self.fetched(&record))).collect())
        };
        find.await.map_err(|error: CrmError| classify("calendar.find_made", error))
    }

    async fn ensure_container(&self, _id: Option<&ContainerId>, _names: &[&str]) -> Result<Option<ContainerId>> {
        // A user has one calendar.
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        self.actor.require(Kind::Meeting, Action::View).map_err(|error| classify("calendar.schema", error))?;
        let all: Vec<Field> = field::ALL.into_iter().chain([field::UID, field::CALENDAR]).collect();
        let schema = event::schema(&all).into_iter();
        Ok(schema.map(|known| FieldSchema { max_length: longest(&known.name), ..known }).collect())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}

/// How much of a field the CRM takes.
fn longest(name: &Field) -> Option<usize> {
    match Kind::Meeting.definition().field(name.as_str()) {
        Some(FieldDefinition { shape: Shape::Line(most) | Shape::Lines(most), .. }) => Some(*most),
        Some(_) | None => None,
    }
}
