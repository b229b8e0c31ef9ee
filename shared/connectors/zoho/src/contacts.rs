//! The contacts of a Zoho CRM organisation, as one user sees them, as a [`Connector`].
mod accounts;
pub(crate) mod feed;
mod made;
mod views;
pub(crate) mod writes;

use crate::api::{records, settings};
use crate::client::Client;
use crate::error::{self, PROVIDER};
use crate::layout::{self, Layout};
use crate::map::{self, Rules};
use crate::rights::{self, Rights};
use crate::wire::{self, Record, Records};
use async_trait::async_trait;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tandem_core::contact::Carry;
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Marker, RemoteId, Scope, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::Result;
use tandem_ports::infra::{Clock, HttpTransport};

/// How one sync sees the contacts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The list view (custom view id) that bounds the sync; `None` means all contacts that the user sees.
    pub container: Option<ContainerId>,
    /// What a contact takes along from its account.
    pub carry: Carry,
    /// Reads phone numbers without a country code.
    pub region: Region,
}

/// The contacts of one Zoho user, opened for one sync.
pub struct ZohoContacts {
    client: Client,
    options: Options,
    page_size: u16,
    opened: Mutex<Option<Arc<Opened>>>,
    view: Mutex<Option<Arc<views::Listed>>>,
}

/// What is asked once.
struct Opened {
    layout: Arc<Layout>,
    schema: Vec<FieldSchema>,
    rights: Rights,
}

impl ZohoContacts {
    /// `transport` adds the user's access token, `api_origin` is the token answer's `api_domain`.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        api_origin: String,
        options: Options,
    ) -> ZohoContacts {
        ZohoContacts {
            client: Client::new(transport, clock, api_origin),
            options,
            page_size: records::PAGE,
            opened: Mutex::default(),
            view: Mutex::default(),
        }
    }

    /// Reads smaller pages (1 to 200). For tests.
    pub fn with_page_size(mut self, size: u16) -> Self {
        self.page_size = size.clamp(1, records::PAGE);
        self
    }

    /// Fields and rights, asked once.
    async fn open(&self) -> Result<Arc<Opened>> {
        if let Some(opened) = self.opened.lock().expect("no code panics while it holds this lock").clone() {
            return Ok(opened);
        }
        let metas =
            self.client.ask::<wire::Fields>(settings::fields(&self.client.origin)?).await?.unwrap_or_default().fields;
        let rights = rights::read(&self.client, &rights::CONTACTS).await?.rights;
        let layout = Arc::new(Layout::of(&metas));
        let schema = layout::schema(&metas, &layout);
        let opened = Arc::new(Opened { layout, schema, rights });
        *self.opened.lock().expect("no code panics while it holds this lock") = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The fields to read, as the organisation has them now.
    async fn layout(&self) -> Result<Arc<Layout>> {
        Ok(Arc::clone(&self.open().await?.layout))
    }

    /// The same, where they were asked for already.
    fn known_layout(&self) -> Option<Arc<Layout>> {
        let opened = self.opened.lock().expect("no code panics while it holds this lock");
        opened.as_ref().map(|opened| Arc::clone(&opened.layout))
    }

    fn rules<'a>(&self, layout: &'a Layout) -> Rules<'a> {
        Rules { layout, region: self.options.region, carry: self.options.carry }
    }

    fn view_id(&self) -> Option<&str> {
        self.options.container.as_ref().map(ContainerId::as_str)
    }

    fn change(&self, record: Record, layout: &Layout, scope: Scope) -> Change {
        let id = RemoteId::new(record.id());
        match self.fetched(record, layout, scope) {
            Some(fetched) => Change::Upsert(Box::new(fetched)),
            None => Change::Unreadable { id, reason: "Zoho shows no version of this contact".to_owned() },
        }
    }

    fn fetched(&self, record: Record, layout: &Layout, scope: Scope) -> Option<Fetched> {
        if record.id().is_empty() || record.modified().is_empty() {
            return None;
        }
        Some(Fetched {
            id: RemoteId::new(record.id()),
            version: Version::new(record.modified()),
            scope,
            marker: None,
            fields: map::fields(&record, self.rules(layout)),
            modified_at: record.modified_at(),
            raw: serde_json::Value::Object(record.0),
        })
    }

    /// By id; who is not there (any more), or not shown to this user, is left out.
    async fn read(&self, ids: &[&str], fields: &str) -> Result<HashMap<String, Record>> {
        let answer: Option<Records> = self.client.ask(records::by_ids(&self.client.origin, ids, fields)?).await?;
        let found = answer.unwrap_or_default().data.into_iter();
        Ok(found.map(|record| (record.id().to_owned(), record)).collect())
    }
}

#[async_trait]
impl Connector for ZohoContacts {
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
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if ids.len() > records::BATCH {
            return Err(error::refused(records::READ, "too many contacts at once"));
        }
        let layout = self.layout().await?;
        let mut seen = HashSet::new();
        let unique: Vec<&str> = ids.iter().map(RemoteId::as_str).filter(|id| seen.insert(*id)).collect();
        let mut found: Vec<Record> = self.read(&unique, &layout.names()).await?.into_values().collect();
        self.add_company_phones(&mut found).await?;
        let scopes = self.scopes(&found).await?;
        let fetched = found.into_iter().zip(scopes).filter_map(|(record, scope)| self.fetched(record, &layout, scope));
        let by_id: HashMap<RemoteId, Fetched> = fetched.map(|fetched| (fetched.id.clone(), fetched)).collect();
        Ok(ids.iter().map(|id| by_id.get(id).cloned()).collect())
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

    /// A list view is the user's own: one that was chosen must be there, and none is made.
    async fn ensure_container(&self, id: Option<&ContainerId>, _names: &[&str]) -> Result<Option<ContainerId>> {
        self.ensure_view(id).await
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        Ok(self.open().await?.schema.clone())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(vec![("crm_list", self.view_choices().await?)])
    }
}
