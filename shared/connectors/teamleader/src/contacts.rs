//! The contacts of a Teamleader account as a [`Connector`].
mod feed;
mod search;
pub(crate) mod writes;

use crate::api::requests::{self, Page};
use crate::api::{Answer, Api, Call};
use crate::config::TeamleaderConfig;
use crate::error::{self, PROVIDER};
use crate::map;
use crate::wire::{Company, Data, Definition, Held, Tag, stamp, text, time};
use async_trait::async_trait;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tandem_core::contact::{self, Carry, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Marker, RemoteId, Scope, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::Result;
use tandem_ports::infra::{Clock, HttpTransport};

/// Rows a list call asks for. The specification names a default (20) and no maximum; three clients in use take 100.
const PAGE_SIZE: u64 = 60;
/// Records that [`Connector::get`] takes at once.
const GET_BATCH: usize = 20;
/// Writes at once: each costs a call or several, and a crash repeats at most these.
const WRITE_BATCH: usize = 5;
/// `contacts.info` calls under way at once.
const AT_ONCE: usize = 4;
/// Pages of tags, custom fields or companies of one name that we read: more are none of a real account.
pub(crate) const MOST_PAGES: u64 = 50;
/// Rows a page of those.
pub(crate) const SIDE_PAGE: u64 = 100;
/// The default size of a page: a page with fewer rows is the last one, whatever most Teamleader gives.
pub(crate) const SMALLEST_PAGE: usize = 20;

/// How one sync sees an account.
#[derive(Clone, Debug)]
pub struct Options {
    /// `tag:<name>`: only contacts with this tag are inside. `None`: all active ones.
    pub container: Option<ContainerId>,
    /// What a contact takes along from its company.
    pub carry: Carry,
    /// Where phone numbers without a country code are dialled from, and the country of addresses that name none.
    pub region: Region,
}

/// The contacts of one Teamleader account, opened for one sync.
pub struct TeamleaderContacts {
    api: Api,
    options: Options,
    page_size: u64,
    definitions: Mutex<Option<Arc<Vec<Definition>>>>,
}

impl TeamleaderContacts {
    /// `transport` adds the account's access token.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: TeamleaderConfig,
        options: Options,
    ) -> Self {
        let api = Api::new(transport, clock, config.api_url);
        Self { api, options, page_size: PAGE_SIZE, definitions: Mutex::default() }
    }

    /// Reads smaller pages (2 to 60 rows), for tests.
    pub fn with_page_size(mut self, size: u64) -> Self {
        self.page_size = size.clamp(2, PAGE_SIZE);
        self
    }

    async fn list<T: DeserializeOwned>(&self, call: Call) -> Result<Answer<Data<Vec<T>>>> {
        self.api.read(call).await
    }

    /// The tag that bounds this sync.
    fn tag(&self) -> Option<&str> {
        self.options.container.as_ref().map(|id| tag_of(id).unwrap_or_default())
    }

    fn scope(&self, held: &Held) -> Scope {
        let tagged = self.tag().is_none_or(|tag| held.tags().any(|one| one == tag));
        if tagged && held.text("status") != "deactivated" { Scope::Inside } else { Scope::Outside }
    }

    /// One `contacts.info`; `None` where there is no such contact.
    async fn info(&self, id: &str) -> Result<Option<Map<String, Value>>> {
        let read = self.api.read::<Data<Map<String, Value>>>(requests::about("contacts.info", id, Map::new())).await;
        match read {
            Ok(answer) => Ok(Some(answer.body.data)),
            Err(refusal) if error::is_gone(&refusal) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The companies that these contacts take along, in one call.
    async fn companies(&self, ids: &BTreeSet<&str>) -> Result<BTreeMap<String, Company>> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids: Vec<&str> = ids.iter().copied().collect();
        let answer = self.list::<Company>(requests::companies_by_id(&ids)).await?;
        Ok(answer.body.data.into_iter().map(|company| (company.id.clone(), company)).collect())
    }

    fn fetched(&self, held: &Held) -> Fetched {
        let raw = serde_json::to_value(held).expect("string keys and plain values are JSON");
        Fetched {
            id: RemoteId::new(held.text("id")),
            version: Version::new(stamp(held.text("updated_at"))),
            scope: self.scope(held),
            marker: None,
            fields: map::fields(held, self.options.carry, self.options.region),
            modified_at: time(held.text("updated_at")),
            raw,
        }
    }

    /// Reads contacts with their companies: one call a contact and one for all companies.
    async fn read(&self, ids: &[&str]) -> Result<Vec<Option<Fetched>>> {
        let mut calls = Vec::with_capacity(ids.len());
        for id in ids {
            calls.push(self.info(id));
        }
        let mut infos = futures::stream::iter(calls).buffered(AT_ONCE);
        let mut contacts = Vec::with_capacity(ids.len());
        while let Some(info) = infos.next().await {
            contacts.push(info?.map(|contact| Held { contact, company: None }));
        }
        let linked: BTreeSet<&str> = contacts.iter().flatten().filter_map(Held::company_id).collect();
        let companies = self.companies(&linked).await?;
        let dress = |held: Held| {
            let company = held.company_id().and_then(|id| companies.get(id)).cloned();
            self.fetched(&Held { company, ..held })
        };
        Ok(contacts.into_iter().map(|held| held.map(dress)).collect())
    }

    /// Every row of a small list.
    async fn all<T: DeserializeOwned>(&self, ask: impl Fn(Page) -> Call) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        for number in 1..=MOST_PAGES {
            let page = self.list::<T>(ask(Page { size: SIDE_PAGE, number })).await?.body.data;
            let end = page.len() < SMALLEST_PAGE;
            rows.extend(page);
            if end {
                break;
            }
        }
        Ok(rows)
    }

    async fn definitions(&self) -> Result<Arc<Vec<Definition>>> {
        let known = self.definitions.lock().expect("no code panics while it holds this lock").clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let all: Vec<Definition> = self.all(requests::definitions).await?;
        // The filter would be ignored in silence if it were misspelt.
        let ours: Vec<Definition> = all.into_iter().filter(|d| d.context == "contact").collect();
        let read = Arc::new(ours);
        *self.definitions.lock().expect("no code panics while it holds this lock") = Some(Arc::clone(&read));
        Ok(read)
    }
}

/// The tag that a container stands for.
fn tag_of(container: &ContainerId) -> Option<&str> {
    container.as_str().strip_prefix("tag:").filter(|tag| !tag.is_empty())
}

#[async_trait]
impl Connector for TeamleaderContacts {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn longest_pause(&self) -> std::time::Duration {
        crate::api::pace::LONGEST_WAIT
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            writable: true,
            reports_tombstones: false,
            conditional_updates: false,
            conditional_deletes: false,
            idempotent_creates: false,
            keeps_markers: false,
            cursors_expire: false,
            delta_lags: false,
            sequential_writes: true,
            get_batch: GET_BATCH,
            create_batch: WRITE_BATCH,
            update_batch: WRITE_BATCH,
            delete_batch: WRITE_BATCH,
        }
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        self.feed(from).await
    }

    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        if ids.len() > GET_BATCH {
            return Err(error::refused("contacts.info", "too many contacts at once"));
        }
        let unique: Vec<&str> = ids.iter().map(RemoteId::as_str).collect::<BTreeSet<_>>().into_iter().collect();
        let read: BTreeMap<&str, Option<Fetched>> = unique.iter().copied().zip(self.read(&unique).await?).collect();
        Ok(ids.iter().map(|id| read.get(id.as_str()).cloned().flatten()).collect())
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
        self.find_all(drafts).await
    }

    /// A tag is made by putting it on a contact, so there is nothing to make: the chosen one must be there.
    async fn ensure_container(&self, id: Option<&ContainerId>, _names: &[&str]) -> Result<Option<ContainerId>> {
        let Some(id) = id else { return Ok(None) };
        let tags: Vec<Tag> = self.all(requests::tags).await?;
        match tag_of(id) {
            Some(tag) if tags.iter().any(|known| known.tag == tag) => Ok(Some(id.clone())),
            Some(_) | None => {
                Err(error::forbidden("tags.list", "the chosen tag is no longer in Teamleader; choose another"))
            }
        }
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let standard = contact::schema(&field::ALL).into_iter();
        let mandatory = |f: FieldSchema| if f.name == field::LAST_NAME { f.required() } else { f };
        let definitions = self.definitions().await?;
        Ok(standard.map(mandatory).chain(definitions.iter().map(map::schema_of)).collect())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let tags: Vec<Tag> = self.all(requests::tags).await?;
        let choice = |tag: Tag| Choice { id: format!("tag:{}", tag.tag), name: format!("Tag “{}”", tag.tag) };
        Ok(vec![("crm_list", tags.into_iter().map(choice).collect())])
    }
}

/// The text of a row's member, for comparing.
fn said<'a>(row: &'a Map<String, Value>, name: &str) -> &'a str {
    text(row.get(name))
}
