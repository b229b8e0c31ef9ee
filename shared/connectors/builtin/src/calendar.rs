//! The appointments of one user of the built-in CRM as one side of a calendar sync.
//!
//! What the other side makes becomes a meeting or a block, by the calendar that it is in; converted, a block is a meeting
//! with the same id. An appointment is one record in however many users' calendars it is: each user's sync sees and changes it as that user's calendar has it, and a
//! deletion takes only that user out of it, until nobody is left.
mod write;

use crate::appointment;
use crate::batch::in_transactions;
use crate::error::{CrmError, PROVIDER, classify};
use crate::ledger::Ledger;
use crate::record::{Body, Record, text};
use crate::schema::{FieldDefinition, Kind, Shape};
use crate::side::{self, Seen};
use crate::users::{Action, User};
use async_trait::async_trait;
use futures::future::FutureExt;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use tandem_core::event::{self, field};
use tandem_core::record::{ContainerId, Fields, Marker, RemoteId, Scope, Value as Said, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::Result;
use tandem_ports::infra::Clock;
use tandem_ports::table::Table;

/// What came from a calendar, or is a colleague's: see [`Connector::only_shows`].
const SHOWN: &str = "shown";
/// Most records of one batch call.
const BATCH: usize = 100;

/// The appointments that one user of an account has, meetings and blocks.
pub struct BuiltinCalendar {
    ledger: Ledger,
    actor: User,
    /// The calendars whose appointments become meetings.
    meetings_of: HashSet<String>,
}

impl BuiltinCalendar {
    /// Opens the appointments of a user. One request. A user who is gone is `AuthRevoked`.
    pub async fn open(
        table: Arc<dyn Table>,
        clock: Arc<dyn Clock>,
        account: &str,
        user: &str,
    ) -> Result<BuiltinCalendar> {
        let (ledger, actor) = side::open("calendar.open", (table, clock), (account, user)).await?;
        Ok(BuiltinCalendar { ledger, actor, meetings_of: HashSet::new() })
    }

    /// What comes from these calendars becomes a meeting, which people may change here; what comes from others is a block.
    #[must_use]
    pub fn making_meetings_of(self, calendars: impl IntoIterator<Item = String>) -> BuiltinCalendar {
        BuiltinCalendar { meetings_of: calendars.into_iter().collect(), ..self }
    }

    /// Whatever leaves the CRM through a sync needs the right to view and the right to export.
    fn may_read(&self) -> std::result::Result<(), CrmError> {
        self.actor.require_export()?;
        self.actor.require(Kind::Meeting, Action::View)
    }

    fn holds(&self, record: &Record) -> bool {
        record.kind.is_appointment() && appointment::holds(&record.body, &self.actor.id)
    }

    fn seen(&self, record: &Record) -> Seen {
        if self.holds(record) {
            Seen::There(Box::new(self.fetched(record)))
        } else if appointment::was_left(&record.body, &self.actor.id) {
            // Others still have it; for this user's calendar it is gone.
            Seen::Gone
        } else {
            Seen::Never
        }
    }

    /// Reads this user's appointments by id in that order; somebody else's are none of them.
    async fn read<S: AsRef<str> + Sync>(&self, ids: &[S]) -> std::result::Result<Vec<Option<Fetched>>, CrmError> {
        let records = self.ledger.records(ids).await?.into_iter();
        Ok(records.map(|found| found.filter(|record| self.holds(record)).map(|one| self.fetched(&one))).collect())
    }

    /// A meeting of this user's.
    fn is_own(&self, record: &Record) -> bool {
        record.kind == Kind::Meeting && text(&record.body, "owner") == self.actor.id
    }

    fn fetched(&self, record: &Record) -> Fetched {
        Fetched {
            id: RemoteId::new(&record.id),
            version: version(record),
            scope: Scope::Inside,
            marker: appointment::marker_of(&record.body, &self.actor.id).map(Marker::new),
            fields: self.fields(record),
            modified_at: Some(record.updated_at),
            // Writes read the record again; but whose it is, nothing else says.
            raw: Value::from(if self.is_own(record) { "own" } else { SHOWN }),
        }
    }

    /// The appointment as this user's calendar has it.
    fn fields(&self, record: &Record) -> Fields {
        let shown = self.body(record);
        let mut fields = appointment::fields(&shown);
        fields.set(field::CALENDAR, Said::Text(text(&shown, "calendar").to_owned()));
        fields.set(field::UID, Said::Text(appointment::uid(&self.ledger.account, record).unwrap_or_default()));
        fields
    }

    fn body(&self, record: &Record) -> Body {
        appointment::for_user(&record.body, &self.actor.id)
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
        let read = async {
            self.may_read()?;
            side::page(&self.ledger, from, Kind::is_appointment, |record, _| self.seen(record)).await
        };
        read.await.map_err(|error| classify("calendar.changes", error))
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
        self.actor.require(Kind::Block, Action::Create).map_err(|error| classify(OPERATION, error))?;
        in_transactions(OPERATION, drafts, |some| self.create_some(some).boxed()).await
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        const OPERATION: &str = "calendar.update";
        self.actor.require(Kind::Meeting, Action::Edit).map_err(|error| classify(OPERATION, error))?;
        in_transactions(OPERATION, patches, |some| self.update_some(some).boxed()).await
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        const OPERATION: &str = "calendar.delete";
        self.actor.require(Kind::Meeting, Action::Delete).map_err(|error| classify(OPERATION, error))?;
        in_transactions(OPERATION, deletions, |some| self.delete_some(some).boxed()).await
    }

    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let find = async {
            self.may_read()?;
            let texts: Vec<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
            let made = self.made(&texts).await?;
            let found = |record: &Record| {
                let fetched = self.fetched(record);
                Some((fetched.marker.clone()?, fetched))
            };
            Ok(made.values().filter_map(found).collect())
        };
        find.await.map_err(|error: CrmError| classify("calendar.find_made", error))
    }

    /// All appointments of the user; there is no part of them to choose.
    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        self.actor.require(Kind::Meeting, Action::View).map_err(|error| classify("calendar.schema", error))?;
        let limited = |known: FieldSchema| match Kind::Block.definition().field(known.name.as_str()) {
            Some(FieldDefinition { shape: Shape::Line(most) | Shape::Lines(most), .. }) => {
                FieldSchema { max_length: Some(*most), ..known }
            }
            Some(_) | None => known,
        };
        let uid = event::schema(&[field::UID, field::CALENDAR]);
        Ok(event::schema(&field::ALL).into_iter().chain(uid).map(limited).collect())
    }

    fn keeps_blocks(&self) -> bool {
        true
    }

    fn only_shows(&self, copy: &Fetched) -> bool {
        copy.raw == SHOWN
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}
