//! The persons of a Sell account as a [`Connector`].
mod feed;
mod find;
mod writes;

use crate::api::{self, Call, PAGE, is_last};
use crate::client::{Client, number};
use crate::config::SellConfig;
use crate::error::{self, PROVIDER};
use crate::map::{self, Organisation, Rules};
use crate::me::Whose;
use crate::wire::{Contact, CustomField, Many, One, Tag};
use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tandem_core::contact::Carry;
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Marker, RemoteId, Scope};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::infra::{Clock, HttpTransport};

/// One request an item, so a batch is small enough for a job's budget.
const WRITES: usize = 10;
/// A list longer than this is not ours to read in one call.
const MOST_PAGES: usize = 100;

/// What a sync chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// `tag:<name>`; `None` means all persons.
    pub container: Option<ContainerId>,
    /// What comes along from the organisation.
    pub carry: Carry,
    /// Where phone numbers without a country code are dialled.
    pub region: Region,
    /// A UUID that stays the same for the life of the sync, and is no other sync's: Sell keeps a feed for each.
    pub device: String,
}

/// The persons of one Sell account, opened for one sync.
pub struct SellContacts {
    client: Client,
    clock: Arc<dyn Clock>,
    options: Options,
    page_size: usize,
    /// Organisations that the listing under way met; read anew by everything else.
    known: Mutex<BTreeMap<u64, Organisation>>,
    custom: Mutex<Option<Arc<Vec<CustomField>>>>,
    /// Whose token this is: the creator of what we make.
    whose: Whose,
}

impl SellContacts {
    /// `transport` adds the access token; `clock` paces the requests.
    pub fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, config: SellConfig, options: Options) -> Self {
        let (known, custom, whose) = (Mutex::default(), Mutex::default(), Whose::default());
        let client = Client::new(transport, Arc::clone(&clock), config);
        Self { client, clock, options, page_size: PAGE, known, custom, whose }
    }

    /// Lists smaller pages (1 to 100). For tests.
    pub fn with_page_size(mut self, size: usize) -> Self {
        self.page_size = size.clamp(1, PAGE);
        self
    }

    fn rules(&self) -> Rules {
        Rules { carry: self.options.carry, region: self.options.region }
    }

    async fn send(&self, call: Call) -> Result<Response<Bytes>> {
        self.client.send(call).await
    }

    async fn list(&self, query: Vec<(&'static str, String)>) -> Result<Many<Contact>> {
        let call = Call::list(query);
        let operation = call.operation;
        api::parse(operation, &self.send(call).await?)
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

    /// Every person of an organisation; `None` where more pages than these would have to be read, which are used up.
    async fn persons_of(&self, organisation: u64, pages_left: &mut usize) -> Result<Option<Vec<Contact>>> {
        let mut persons = Vec::new();
        for page in 1.. {
            if *pages_left == 0 {
                break;
            }
            *pages_left -= 1;
            let query = vec![
                ("contact_id", organisation.to_string()),
                ("sort_by", "id".to_owned()),
                ("page", page.to_string()),
                ("per_page", PAGE.to_string()),
            ];
            let answer = self.list(query).await?;
            let last = is_last(&answer, PAGE);
            let theirs = answer.items.into_iter().map(|one| one.data);
            // Checked here too: a filter that is not understood must not bring strangers.
            persons.extend(theirs.filter(|c| !c.is_organization() && c.organisation() == Some(organisation)));
            if last {
                return Ok(Some(persons));
            }
        }
        Ok(None)
    }

    /// The organisations of these persons that are not known yet, by one call a hundred.
    async fn organisations(
        &self,
        persons: &[Contact],
        mut known: BTreeMap<u64, Organisation>,
    ) -> Result<BTreeMap<u64, Organisation>> {
        let wanted: BTreeSet<u64> =
            persons.iter().filter_map(Contact::organisation).filter(|id| !known.contains_key(id)).collect();
        if !wanted.is_empty() {
            let read = self.by_ids(&wanted).await?;
            known.extend(read.iter().filter_map(|(id, wire)| Some((*id, Organisation::of(wire)?))));
        }
        Ok(known)
    }

    fn tag(&self) -> Option<&str> {
        self.options.container.as_ref().and_then(|id| id.as_str().strip_prefix("tag:"))
    }

    fn scope(&self, person: &Contact) -> Scope {
        match self.tag() {
            Some(tag) if !person.tags().any(|name| name == tag) => Scope::Outside,
            Some(_) | None => Scope::Inside,
        }
    }

    /// `None` for an answer without an id, and for an organisation.
    fn fetched(&self, person: Contact, organisations: &BTreeMap<u64, Organisation>) -> Option<Fetched> {
        let id = person.id().filter(|_| !person.is_organization())?;
        let organisation = person.organisation().and_then(|id| organisations.get(&id));
        let fields = map::fields(&person, organisation, self.rules());
        let scope = self.scope(&person);
        Some(Fetched {
            id: RemoteId::new(id.to_string()),
            version: map::version(&person, &fields, if scope == Scope::Inside { "in" } else { "out" }),
            scope,
            marker: None,
            fields,
            modified_at: person.time("updated_at"),
            raw: serde_json::Value::Object(person.0),
        })
    }

    async fn custom_fields(&self) -> Result<Arc<Vec<CustomField>>> {
        let held = || self.custom.lock().expect("no code panics while it holds this lock");
        if let Some(known) = held().clone() {
            return Ok(known);
        }
        let call = Call::custom_fields();
        let operation = call.operation;
        let answer: Many<CustomField> = api::parse(operation, &self.send(call).await?)?;
        let read = Arc::new(answer.items.into_iter().map(|one| one.data).collect::<Vec<_>>());
        *held() = Some(Arc::clone(&read));
        Ok(read)
    }

    /// `None` is proof: Sell itself says 404 of that id (or says that it is an organisation).
    async fn read_one(&self, id: u64) -> Result<Option<Contact>> {
        match self.send(Call::get(id)).await {
            Ok(response) => api::parse::<One<Contact>>("contacts.get", &response).map(|one| Some(one.data)),
            Err(refused) if refused.kind == ErrorKind::NotFound => Ok(None),
            Err(other) => Err(other),
        }
    }
}

#[async_trait]
impl Connector for SellContacts {
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

    /// One call for all, one for their organisations, and one more for each that is missing: leaving an id out of a list
    /// proves nothing.
    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        if ids.len() > PAGE {
            return Err(error::refused("contacts.list", "too many contacts at once"));
        }
        let numbers = ids.iter().map(|id| number("contacts.get", id)).collect::<Result<Vec<u64>>>()?;
        let wanted: BTreeSet<u64> = numbers.iter().copied().collect();
        let mut read = self.by_ids(&wanted).await?;
        for id in wanted {
            if !read.contains_key(&id)
                && let Some(person) = self.read_one(id).await?
            {
                read.insert(id, person);
            }
        }
        let persons: Vec<Contact> = read.values().cloned().collect();
        let organisations = self.organisations(&persons, BTreeMap::new()).await?;
        Ok(numbers.iter().map(|id| self.fetched(read.get(id)?.clone(), &organisations)).collect())
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
        self.find_lately_made(drafts).await
    }

    /// A tag needs no making: it exists once a contact has it.
    async fn ensure_container(&self, id: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(id.cloned())
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        Ok(map::schema(&self.custom_fields().await?))
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let mut tags = Vec::new();
        for page in 1..=MOST_PAGES {
            let call = Call::tags(page);
            let operation = call.operation;
            let answer: Many<Tag> = api::parse(operation, &self.send(call).await?)?;
            let last = is_last(&answer, PAGE);
            let choice = |tag: Tag| Choice { id: format!("tag:{}", tag.name), name: tag.name };
            tags.extend(answer.items.into_iter().map(|one| choice(one.data)));
            if last {
                break;
            }
        }
        Ok(vec![("crm_list", tags)])
    }
}
