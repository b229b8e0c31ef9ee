//! The contacts of a Google account as a [`Connector`].
mod groups;
mod writes;

use crate::api::{self, Call, people};
use crate::config::GoogleConfig;
use crate::error::{self, PROVIDER};
use crate::map;
use crate::wire::{Connections, GetPeople, Person, PersonResponse};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use tandem_core::contact::{self, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Marker, RemoteId, Scope, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Next, Outcomes, Patch,
    Written,
};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::infra::HttpTransport;

/// Google's maximum for `pageSize` of `people.connections.list`.
const PAGE_SIZE: u16 = 1000;
/// Part of every cursor: raised when the parameters of the listing change, as Google's tokens are bound to them.
const CURSOR_FORM: u8 = 1;
/// A listing longer than this is not ours: 1,000 pages of 1,000 (an account holds 25,000 contacts).
const MOST_PAGES: usize = 1000;

/// The contacts of one Google account, opened for one sync.
pub struct GoogleContacts {
    transport: Arc<dyn HttpTransport>,
    config: GoogleConfig,
    group: Option<ContainerId>,
    region: Region,
    page_size: u16,
}

/// Our cursor. Without a sync token it is a full listing.
#[derive(Serialize, Deserialize)]
struct Position {
    form: u8,
    size: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sync: Option<String>,
}

impl GoogleContacts {
    /// `transport` adds the account's access token. `group` is the resource name of the group that bounds the sync
    /// (`contactGroups/…`); `None` means all contacts. `region` reads phone numbers without a country code.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        config: GoogleConfig,
        group: Option<ContainerId>,
        region: Region,
    ) -> Self {
        Self { transport, config, group, region, page_size: PAGE_SIZE }
    }

    /// Reads smaller pages (1 to 1000). For tests, and for accounts whose pages are too large.
    pub fn with_page_size(mut self, size: u16) -> Self {
        self.page_size = size.clamp(1, PAGE_SIZE);
        self
    }

    fn origin(&self) -> &str {
        &self.config.people_url
    }

    async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let Call { operation, request } = call;
        let response = self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))?;
        api::parse(operation, &response)
    }

    fn scope(&self, person: &Person) -> Scope {
        match &self.group {
            Some(group) if !person.groups().any(|name| name == group.as_str()) => Scope::Outside,
            Some(_) | None => Scope::Inside,
        }
    }

    /// `None` for a person without a contact: nothing the user keeps.
    fn fetched(&self, person: Person) -> Option<Fetched> {
        let version = Version::new(person.contact_etag()?);
        Some(Fetched {
            id: RemoteId::new(person.resource_name()),
            version,
            scope: self.scope(&person),
            marker: person.marker().map(Marker::new),
            fields: map::fields(&person, self.region),
            modified_at: person.updated_at(),
            raw: serde_json::Value::Object(person.0),
        })
    }

    fn change(&self, person: Person) -> Option<Change> {
        let id = RemoteId::new(person.resource_name());
        if person.is_deleted() {
            return Some(Change::Tombstone { id });
        }
        // A profile that is no contact is nobody's record; a contact without an etag could never be updated.
        person.contact_source()?;
        Some(match self.fetched(person) {
            Some(fetched) => Change::Upsert(Box::new(fetched)),
            None => Change::Unreadable { id, reason: "Google shows no version of this contact".to_owned() },
        })
    }

    fn position(&self, from: Option<&Cursor>) -> Result<Position> {
        let fresh = Position { form: CURSOR_FORM, size: self.page_size, page: None, sync: None };
        let Some(cursor) = from else { return Ok(fresh) };
        match serde_json::from_str::<Position>(&cursor.0) {
            Ok(position) if position.form == CURSOR_FORM => Ok(position),
            Ok(_) | Err(_) => Err(error::cursor_of_another_release("people.connections.list")),
        }
    }

    /// One answer a name, in order.
    async fn read(&self, names: &[&str]) -> Result<Vec<Option<Person>>> {
        const OPERATION: &str = "people.getBatchGet";
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut answer: GetPeople = self.call(people::batch_get(self.origin(), names)?).await?;
        names.iter().map(|name| found(OPERATION, name, &mut answer.responses)).collect()
    }
}

/// Takes the answer for this name out of the batch.
fn found(operation: &'static str, name: &str, responses: &mut Vec<PersonResponse>) -> Result<Option<Person>> {
    let at = responses.iter().position(|r| r.requested_resource_name == name);
    let response = responses.swap_remove(at.ok_or_else(|| error::no_answer(operation))?);
    match (response.http_status(), response.person) {
        (404, _) => Ok(None),
        (200..=299, Some(person)) => Ok((!person.is_deleted()).then_some(person)),
        // Neither a person nor a refusal: no proof of anything.
        (200..=299, None) => Err(error::no_answer(operation)),
        (status, _) => Err(error::classify_item(operation, status, &response.status.unwrap_or_default())),
    }
}

#[async_trait]
impl Connector for GoogleContacts {
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
            keeps_markers: true,
            cursors_expire: true,
            delta_lags: true,
            sequential_writes: true,
            get_batch: people::BATCH,
            create_batch: people::BATCH,
            update_batch: people::BATCH,
            delete_batch: people::DELETE_BATCH,
        }
    }

    /// A contact that Google renamed (`metadata.previousResourceNames`) is an `Upsert` under its new id with its marker
    /// still on it; its old id is never reported as gone, since the contact lives on.
    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let position = self.position(from)?;
        let (page, sync) = (position.page.as_deref(), position.sync.as_deref());
        let call = people::list(self.origin(), position.size, page, sync, true)?;
        let with_token = page.is_some() || sync.is_some();
        let refused = |e| if with_token { error::token_refused(e) } else { e };
        let answer: Connections = self.call(call).await.map_err(refused)?;
        let next = match (answer.next_page_token, answer.next_sync_token) {
            (Some(page), _) => Next::More(Position { page: Some(page), ..position }.into_cursor()),
            (None, Some(sync)) => {
                let caught_up = Position { form: CURSOR_FORM, size: self.page_size, page: None, sync: Some(sync) };
                // Tokens are bound to the page size that they were made with.
                Next::CaughtUp(Position { size: position.size, ..caught_up }.into_cursor())
            }
            (None, None) => return Err(error::no_end("people.connections.list")),
        };
        let changes = answer.connections.into_iter().filter_map(|person| self.change(person)).collect();
        Ok(ChangePage { changes, next, total: answer.total_items })
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        if ids.len() > people::BATCH {
            return Err(error::refused("people.getBatchGet", "too many contacts at once"));
        }
        let names: Vec<&str> = ids.iter().map(RemoteId::as_str).collect();
        // Google refuses a name that occurs twice.
        let mut seen = HashSet::new();
        let unique: Vec<&str> = names.iter().copied().filter(|name| seen.insert(*name)).collect();
        let people = self.read(&unique).await?;
        let answer = |name: &&str| {
            let at = unique.iter().position(|known| known == name)?;
            people[at].clone().and_then(|person| self.fetched(person))
        };
        Ok(names.iter().map(answer).collect())
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

    /// Reads the whole list anew: `people.searchContacts` finds no `clientData`, and the delta lags.
    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let wanted: HashSet<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
        let mut found = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let call = people::list(self.origin(), self.page_size, page.as_deref(), None, false)?;
            let answer: Connections = self.call(call).await?;
            let ours = answer.connections.into_iter().filter(|p| p.marker().is_some_and(|m| wanted.contains(m)));
            found.extend(ours.filter_map(|person| self.fetched(person)).filter_map(|f| Some((f.marker.clone()?, f))));
            page = answer.next_page_token;
            if page.is_none() {
                return Ok(found);
            }
        }
        Err(error::refused("people.connections.list", "the list of contacts has no end"))
    }

    async fn ensure_container(&self, id: Option<&ContainerId>, names: &[&str]) -> Result<Option<ContainerId>> {
        self.ensure_group(id, names).await.map(Some)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        // Google demands no field and states no limits; custom fields are made by naming them.
        Ok(contact::schema(&field::ALL))
    }

    fn makes_custom_fields(&self) -> bool {
        true
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(vec![("remote_group", self.group_choices().await?)])
    }
}

impl Position {
    fn into_cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("numbers and strings are JSON"))
    }
}

/// Whether a refused batch is worth taking apart: the refusal may be about one item of it.
fn is_about_an_item(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Permanent => true,
        ErrorKind::Retryable
        | ErrorKind::Throttled { .. }
        | ErrorKind::AuthRevoked
        | ErrorKind::CursorExpired
        | ErrorKind::Forbidden => false,
    }
}
