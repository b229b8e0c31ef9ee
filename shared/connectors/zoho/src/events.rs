//! The events (appointments) of one user of a Zoho CRM organisation, and the tasks where the sync carries them, as a
//! [`Connector`]. Zoho lists all that the user may see: those of colleagues, in which the user takes no part, are outside.
//! What is made here becomes an event.
mod feed;
mod kind;
mod map;
mod writes;

use crate::api::{events, records, settings};
use crate::client::Client;
use crate::error::{self, Operation, PROVIDER};
use crate::rights::{self, Standing};
use crate::wire::{Record, Records};
use async_trait::async_trait;
use kind::Kind;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tandem_core::calendar::Activity;
use tandem_core::event::{self, field};
use tandem_core::record::{ContainerId, Field, Marker, RemoteId, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::{ConnectorError, Result};
use tandem_ports::infra::{Clock, HttpTransport};

/// What Zoho has a place for. It keeps no visibility, no state and no conference of its own.
const FIELDS: [Field; 11] = [
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
];
/// The version of what is out of reach.
const OUT_OF_REACH: &str = "out of reach";

/// The events of one Zoho user, opened for one sync. Guests are never told of what we write (`$send_notification` is
/// false): the other side's own invitations do that.
pub struct ZohoEvents {
    client: Client,
    page_size: u16,
    carries_tasks: bool,
    opened: Mutex<Option<Arc<Standing>>>,
}

impl ZohoEvents {
    /// `transport` adds the user's access token, `api_origin` is the token answer's `api_domain`.
    pub fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, api_origin: String) -> ZohoEvents {
        ZohoEvents {
            client: Client::new(transport, clock, api_origin),
            page_size: records::PAGE,
            carries_tasks: false,
            opened: Mutex::default(),
        }
    }

    /// Reads smaller pages (1 to 200). For tests.
    pub fn with_page_size(mut self, size: u16) -> Self {
        self.page_size = size.clamp(1, records::PAGE);
        self
    }

    /// Tasks are carried beside the events where they are among these. Else they are out of reach: they stay linked, and
    /// nothing becomes of them.
    pub fn carrying(mut self, activities: &[Activity]) -> Self {
        self.carries_tasks = activities.contains(&Activity::Tasks);
        self
    }

    /// The user's zone and rights, asked once.
    async fn open(&self) -> Result<Arc<Standing>> {
        if let Some(opened) = self.opened.lock().expect("no code panics while it holds this lock").clone() {
            return Ok(opened);
        }
        let opened = Arc::new(rights::read(&self.client, &rights::EVENTS).await?);
        if opened.time_zone.is_empty() {
            // Without it a series would drift by an hour twice a year.
            return Err(error::forbidden(settings::USERS, "Zoho does not tell the time zone of the user"));
        }
        *self.opened.lock().expect("no code panics while it holds this lock") = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn change(kind: Kind, record: Record, standing: &Standing) -> Change {
        let id = kind.id(record.id());
        match fetched(kind, record, standing) {
            Ok(fetched) => Change::Upsert(Box::new(fetched)),
            Err(reason) => Change::Unreadable { id, reason },
        }
    }

    /// By Zoho's id; who is not there (any more), or not shown to this user, is left out.
    async fn read(&self, kind: Kind, ids: &[&str], fields: &str) -> Result<HashMap<String, Record>> {
        let call = events::by_ids(&self.client.origin, kind.module(), ids, fields)?;
        let answer: Option<Records> = self.client.ask(call).await?;
        let found = answer.unwrap_or_default().data.into_iter();
        Ok(found.map(|record| (record.id().to_owned(), record)).collect())
    }

    /// All of a kind among these; `None` where they are out of reach.
    async fn look(&self, kind: Kind, ids: &[RemoteId]) -> Result<Option<HashMap<String, Record>>> {
        let mut seen = HashSet::new();
        let of_kind = ids.iter().filter_map(Kind::of).filter(|(of, id)| *of == kind && seen.insert(*id));
        let unique: Vec<&str> = of_kind.map(|(_, id)| id).collect();
        if unique.is_empty() {
            return Ok(Some(HashMap::new()));
        }
        if kind == Kind::Task && !self.carries_tasks {
            return Ok(None);
        }
        match self.read(kind, &unique, kind.module().fields).await {
            Err(refusal) if bars(kind, &refusal) => Ok(None),
            read => read.map(Some),
        }
    }
}

/// A right that is missing to tasks stops no event.
fn bars(kind: Kind, refusal: &ConnectorError) -> bool {
    kind == Kind::Task && error::is_forbidden(refusal)
}

/// A record as read, or why it is none.
fn fetched(kind: Kind, record: Record, standing: &Standing) -> std::result::Result<Fetched, String> {
    if record.id().is_empty() || record.modified().is_empty() {
        return Err("Zoho shows no version of it".to_owned());
    }
    let fields = kind.fields(&record, &standing.time_zone).map_err(|invalid| invalid.to_string())?;
    Ok(Fetched {
        id: kind.id(record.id()),
        version: Version::new(record.modified()),
        scope: kind.scope(&record, &standing.user),
        marker: None,
        fields,
        modified_at: record.modified_at(),
        raw: serde_json::Value::Object(record.0),
    })
}

fn check_size(operation: Operation, size: usize) -> Result<()> {
    match size > records::BATCH {
        true => Err(error::refused(operation, "too many records at once")),
        false => Ok(()),
    }
}

#[async_trait]
impl Connector for ZohoEvents {
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
            sequential_writes: false,
            get_batch: records::BATCH,
            create_batch: records::BATCH,
            update_batch: records::BATCH,
            delete_batch: records::BATCH,
        }
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        self.feed(from).await
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        check_size(events::EVENTS.read, ids.len())?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open().await?;
        let mut found = HashMap::new();
        for kind in Kind::ALL {
            let Some(records) = self.look(kind, ids).await? else {
                let of_kind = ids.iter().filter(|id| Kind::of(id).is_some_and(|(of, _)| of == kind));
                let beyond = |id: &RemoteId| Fetched::out_of_reach(id.clone(), Version::new(OUT_OF_REACH));
                found.extend(of_kind.map(|id| (id.clone(), beyond(id))));
                continue;
            };
            for (theirs, record) in records {
                // What cannot be read is there, and must not stop the others.
                let (id, version) = (kind.id(&theirs), format!("unreadable {}", record.modified()));
                let read = fetched(kind, record, &opened);
                let beyond = |_| Fetched::out_of_reach(id.clone(), Version::new(version));
                found.insert(id.clone(), read.unwrap_or_else(beyond));
            }
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn titles(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        check_size(events::EVENTS.read, ids.len())?;
        let mut titles = HashMap::new();
        for kind in Kind::ALL {
            let (title, time) = kind.named_by();
            let titled = |record: &Record| event::titled(record.text(title), record.text(time));
            let records = self.look(kind, ids).await?.unwrap_or_default();
            titles.extend(records.into_iter().map(|(theirs, record)| (kind.id(&theirs), titled(&record))));
        }
        Ok(ids.iter().map(|id| titles.get(id).cloned()).collect())
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
        self.find_all_made(drafts).await
    }

    /// What the sync does not carry is not written either.
    fn takes_writes_to(&self, id: &RemoteId) -> bool {
        Kind::of(id).is_some_and(|(kind, _)| kind == Kind::Event || self.carries_tasks)
    }

    /// All that is the user's: there is nothing to make.
    async fn ensure_container(&self, _id: Option<&ContainerId>, _names: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        Ok(event::schema(&FIELDS).into_iter().map(kind::limited).collect())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}
