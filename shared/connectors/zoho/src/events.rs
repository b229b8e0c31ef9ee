//! The events (appointments) of one user of a Zoho CRM organisation, as a [`Connector`]. Zoho lists all that the user may
//! see: those of colleagues, in which the user takes no part, are outside.
mod feed;
mod map;
mod writes;

use crate::api::{events, records, settings};
use crate::client::Client;
use crate::error::{self, Operation, PROVIDER};
use crate::rights::{self, Standing};
use crate::wire::{Record, Records};
use async_trait::async_trait;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tandem_core::event::{self, field};
use tandem_core::record::{ContainerId, Field, Marker, RemoteId, Scope, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::Result;
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
/// Most characters of a title, of a place and of a description.
const LONGEST: [(Field, usize); 3] = [(field::TITLE, 255), (field::LOCATION, 255), (field::DESCRIPTION, 32_000)];

/// The events of one Zoho user, opened for one sync. Guests are never told of what we write (`$send_notification` is
/// false): the other side's own invitations do that.
pub struct ZohoEvents {
    client: Client,
    page_size: u16,
    opened: Mutex<Option<Arc<Standing>>>,
}

impl ZohoEvents {
    /// `transport` adds the user's access token, `api_origin` is the token answer's `api_domain`.
    pub fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, api_origin: String) -> ZohoEvents {
        ZohoEvents {
            client: Client::new(transport, clock, api_origin),
            page_size: records::PAGE,
            opened: Mutex::default(),
        }
    }

    /// Reads smaller pages (1 to 200). For tests.
    pub fn with_page_size(mut self, size: u16) -> Self {
        self.page_size = size.clamp(1, records::PAGE);
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

    fn change(record: Record, standing: &Standing) -> Change {
        let id = RemoteId::new(record.id());
        match fetched(record, standing) {
            Ok(fetched) => Change::Upsert(Box::new(fetched)),
            Err(reason) => Change::Unreadable { id, reason },
        }
    }

    /// By id; who is not there (any more), or not shown to this user, is left out.
    async fn read(&self, ids: &[&str], fields: &str) -> Result<HashMap<String, Record>> {
        let answer: Option<Records> = self.client.ask(events::by_ids(&self.client.origin, ids, fields)?).await?;
        let found = answer.unwrap_or_default().data.into_iter();
        Ok(found.map(|record| (record.id().to_owned(), record)).collect())
    }
}

/// A record as read, or why it is none.
fn fetched(record: Record, standing: &Standing) -> std::result::Result<Fetched, String> {
    if record.id().is_empty() || record.modified().is_empty() {
        return Err("Zoho shows no version of this event".to_owned());
    }
    let scope = if map::is_of(&record, &standing.user) { Scope::Inside } else { Scope::Outside };
    let said = map::event(&record, &standing.time_zone).map_err(|invalid| invalid.to_string())?;
    Ok(Fetched {
        id: RemoteId::new(record.id()),
        version: Version::new(record.modified()),
        scope,
        marker: None,
        fields: said.to_fields(),
        modified_at: record.modified_at(),
        raw: serde_json::Value::Object(record.0),
    })
}

fn check_size(operation: Operation, size: usize) -> Result<()> {
    match size > records::BATCH {
        true => Err(error::refused(operation, "too many events at once")),
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
        check_size(events::READ, ids.len())?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open().await?;
        let mut seen = HashSet::new();
        let unique: Vec<&str> = ids.iter().map(RemoteId::as_str).filter(|id| seen.insert(*id)).collect();
        let found = self.read(&unique, events::FIELDS).await?;
        let read = |(id, record): (String, Record)| {
            // What cannot be read is there, and must not stop the others.
            let (there, version) = (RemoteId::new(id.as_str()), format!("unreadable {}", record.modified()));
            let beyond = |_| Fetched::out_of_reach(there, Version::new(version));
            (id, fetched(record, &opened).unwrap_or_else(beyond))
        };
        let by_id: HashMap<String, Fetched> = found.into_iter().map(read).collect();
        Ok(ids.iter().map(|id| by_id.get(id.as_str()).cloned()).collect())
    }

    async fn titles(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        check_size(events::READ, ids.len())?;
        let wanted: Vec<&str> = ids.iter().map(RemoteId::as_str).collect();
        let found = if ids.is_empty() { HashMap::new() } else { self.read(&wanted, events::FIELDS).await? };
        let title = |record: &Record| event::titled(record.text("Event_Title"), record.text("Start_DateTime"));
        Ok(ids.iter().map(|id| found.get(id.as_str()).map(title)).collect())
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

    /// All events of the user: there is nothing to make.
    async fn ensure_container(&self, _id: Option<&ContainerId>, _names: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let limited = |one: FieldSchema| match LONGEST.iter().find(|(name, _)| *name == one.name) {
            Some((_, most)) => one.at_most(*most),
            None => one,
        };
        Ok(event::schema(&FIELDS).into_iter().map(limited).collect())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}
