//! The appointments of one user of a Sell account as a [`Connector`] that is only read; if people want it, the other
//! side's appointments become tasks.
//!
//! Sell has no list of appointments, shows none by its id and takes none: all there is is a stream of what happened in the
//! last 72 hours. Tandem keeps none of it, so what the stream tells no more is not known, and never taken for deleted.
mod events;
mod map;
mod stream;

use crate::api::{self, Call, PAGE};
use crate::client::{Client, few_at_once, number};
use crate::config::SellConfig;
use crate::error::{self, PROVIDER};
use crate::me::{Me, Whose};
use crate::pace::PACE;
use crate::wire::{Contact, Many};
use async_trait::async_trait;
use events::Resource;
use futures::future::FutureExt;
use map::{Addresses, Guest};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stream::{AllTold, PAGES, State, Told};
use tandem_core::calendar::RemoteEvents;
use tandem_core::event::{self, Attendee};
use tandem_core::normalise;
use tandem_core::record::{ContainerId, Fields, Marker, RemoteId, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Known, Outcomes, Patch,
    Written,
};
use tandem_ports::error::Result;
use tandem_ports::infra::{Clock, HttpTransport};

/// The appointments of one Sell user, opened for one sync.
pub struct SellAppointments {
    client: Client,
    clock: Arc<dyn Clock>,
    whose: Whose,
    held: Mutex<Held>,
    page: PageSize,
    remote_events: RemoteEvents,
}

/// The other side's appointments of one batch: each is a few requests.
const WRITES: usize = 5;

/// How much is read at once.
#[derive(Clone, Copy)]
struct PageSize {
    /// Events of a page of the stream.
    events: usize,
    /// Pages of the stream in one of ours.
    pages: usize,
}

/// What the stream has told this sync since it was opened.
#[derive(Default)]
struct Held {
    told: AllTold,
    /// Whether it was looked through from its oldest event.
    looked_through: bool,
    addresses: Addresses,
    /// Guests that were asked for, also those without an address.
    asked: BTreeSet<Guest>,
    /// The leads and contacts with an address.
    with_address: HashMap<String, Vec<Resource>>,
}

impl SellAppointments {
    /// `transport` adds the access token; `clock` paces the requests and tells whether the stream still reaches back;
    /// `remote_events` says whether the other side's appointments become tasks.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: SellConfig,
        remote_events: RemoteEvents,
    ) -> Self {
        let client = Client::new(transport, Arc::clone(&clock), config);
        Self {
            client,
            clock,
            whose: Whose::default(),
            held: Mutex::default(),
            page: PageSize { events: PAGE, pages: PAGES },
            remote_events,
        }
    }

    /// Reads this many events (1 to 100) a page, one page of the stream in each of ours. For tests.
    pub fn with_page_size(mut self, events: usize) -> Self {
        self.page = PageSize { events: events.clamp(1, PAGE), pages: 1 };
        self
    }

    async fn me(&self) -> Result<Me> {
        self.whose.me(&self.client).await
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().expect("no code panics while it holds this lock")
    }

    fn remember(&self, told: AllTold) {
        let held = &mut self.held().told;
        told.into_iter().for_each(|(id, one)| stream::newest(held, id, one));
    }

    async fn changes_of(&self, told: &AllTold) -> Result<Vec<Change>> {
        let mut changes = Vec::with_capacity(told.len());
        self.ask_guests(told.values()).await?;
        for (id, one) in told {
            let id = RemoteId::new(id.to_string());
            changes.push(match self.read(&id, one).await? {
                Some(Ok(copy)) => Change::Upsert(Box::new(copy)),
                Some(Err(reason)) => Change::Unreadable { id, reason },
                None => Change::Tombstone { id },
            });
        }
        Ok(changes)
    }

    /// What is told of an appointment in canonical form; `None`: that it is gone.
    async fn read(&self, id: &RemoteId, told: &Told) -> Result<Option<std::result::Result<Fetched, String>>> {
        let State::There(appointment, scope) = &told.state else { return Ok(None) };
        let offset = self.me().await?.offset;
        let said = match map::event(appointment, offset, &self.held().addresses) {
            Ok(said) => said,
            Err(invalid) => return Ok(Some(Err(invalid.to_string()))),
        };
        Ok(Some(Ok(Fetched {
            id: id.clone(),
            version: Version::new(told.sequence.to_string()),
            scope: *scope,
            marker: None,
            fields: said.to_fields(),
            modified_at: told.at,
            raw: serde_json::Value::Null,
        })))
    }

    /// Reads the addresses of contacts and leads that are invited, a hundred in a call. Colleagues have a calendar of
    /// their own.
    async fn ask_guests(&self, told: impl Iterator<Item = &Told>) -> Result<()> {
        let invited = told.filter_map(|one| match &one.state {
            State::There(appointment, _) => Some(map::guests(appointment)),
            State::Gone => None,
        });
        let mut unknown: BTreeSet<Guest> = invited.flatten().collect();
        unknown.retain(|guest| !self.held().asked.contains(guest));
        let ids = |of: fn(&Guest) -> Option<u64>| unknown.iter().filter_map(of).collect::<Vec<u64>>();
        let contact = |guest: &Guest| if let Guest::Contact(id) = guest { Some(*id) } else { None };
        let lead = |guest: &Guest| if let Guest::Lead(id) = guest { Some(*id) } else { None };
        self.read_guests(ids(contact), Call::list, Guest::Contact).await?;
        self.read_guests(ids(lead), Call::leads, Guest::Lead).await?;
        self.held().asked.extend(unknown);
        Ok(())
    }

    async fn read_guests(
        &self,
        ids: Vec<u64>,
        call: fn(Vec<(&'static str, String)>) -> Call,
        guest: fn(u64) -> Guest,
    ) -> Result<()> {
        for some in ids.chunks(PAGE) {
            let ids: Vec<String> = some.iter().map(u64::to_string).collect();
            let call = call(vec![("ids", ids.join(",")), ("per_page", PAGE.to_string())]);
            let operation = call.operation;
            let read: Many<Contact> = api::parse(operation, &self.client.send(call).await?)?;
            let address = |person: &Contact| {
                let email = normalise::email(person.text("email"));
                let name = [person.text("first_name"), person.text("last_name")].join(" ");
                let name = normalise::text(if name.trim().is_empty() { person.text("name") } else { &name });
                (!email.is_empty()).then(|| Attendee { email, name, ..Attendee::default() })
            };
            let found = read.items.iter().filter_map(|one| Some((guest(one.data.id()?), address(&one.data)?)));
            self.held().addresses.extend(found);
        }
        Ok(())
    }
}

#[async_trait]
impl Connector for SellAppointments {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> Capabilities {
        // What is written are tasks, found again by the mark in their text.
        let writable = self.remote_events == RemoteEvents::Tasks;
        Capabilities {
            writable,
            reports_tombstones: true,
            conditional_updates: false,
            conditional_deletes: false,
            idempotent_creates: writable,
            keeps_markers: writable,
            cursors_expire: true,
            delta_lags: false,
            sequential_writes: false,
            get_batch: PAGE,
            create_batch: WRITES,
            update_batch: WRITES,
            delete_batch: WRITES,
        }
    }

    /// Of the other side's series each occurrence becomes a task; where none does, a series is one record.
    fn keeps_recurrence(&self) -> bool {
        self.remote_events == RemoteEvents::Off
    }

    fn takes_writes_to(&self, id: &RemoteId) -> bool {
        events::is_one(id)
    }

    /// What people do to the tasks is theirs.
    fn gives_changes_of(&self, id: &RemoteId) -> bool {
        !events::is_one(id)
    }

    async fn refuses(&self, fields: &[Fields]) -> Result<Vec<Option<String>>> {
        self.without_guests_in_sell(fields).await
    }

    fn longest_pause(&self) -> Duration {
        PACE * u32::try_from(PAGES).unwrap_or(u32::MAX)
    }

    fn tells_only_changes(&self) -> Option<&'static str> {
        Some(
            "Zendesk Sell tells of appointments only when they change, and for 72 hours: those that were last saved before \
             that are carried across when somebody saves them again.",
        )
    }

    fn invites_guests(&self) -> bool {
        true
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        self.page(from).await
    }

    /// An appointment that the stream does not tell of any more is an error: it may be there or not.
    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        let known = self.look_up(ids).await?.into_iter().map(|one| match one {
            Known::There(copy) => Ok(Some(*copy)),
            Known::Gone => Ok(None),
            Known::Untold => Err(error::refused("appointments.get", "Sell tells nothing of this appointment any more")),
        });
        known.collect()
    }

    /// From what was told since this was opened, else from the whole stream, which is looked through once.
    async fn look_up(&self, ids: &[RemoteId]) -> Result<Vec<Known>> {
        let mut tasks = self.look_up_tasks(ids.iter().filter(|id| events::is_one(id))).await?.into_iter();
        let own: Vec<RemoteId> = ids.iter().filter(|id| !events::is_one(id)).cloned().collect();
        let mut own = self.look_up_appointments(&own).await?.into_iter();
        let known = ids.iter().map(|id| if events::is_one(id) { tasks.next() } else { own.next() });
        Ok(known.map(|one| one.unwrap_or(Known::Untold)).collect())
    }

    /// Those of tasks are what stands in them.
    async fn titles(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        let title = |copy: Fetched| events::title(&copy).or_else(|| event::title(&copy.fields));
        Ok(self.look_up(ids).await?.into_iter().map(|known| known.copy().and_then(title)).collect())
    }

    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        self.check_write("appointments.create", drafts.len())?;
        Ok(few_at_once(drafts.iter().map(|draft| self.make_tasks(draft).boxed()).collect()).await)
    }

    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        self.check_write("appointments.update", patches.len())?;
        Ok(few_at_once(patches.iter().map(|patch| self.change_tasks(patch).boxed()).collect()).await)
    }

    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        self.check_write("appointments.delete", deletions.len())?;
        Ok(few_at_once(deletions.iter().map(|deletion| self.delete_tasks(&deletion.id).boxed()).collect()).await)
    }

    /// A repeated create finds what was made by itself.
    async fn find_made(&self, _: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        Ok(Vec::new())
    }

    /// All appointments of the user: there is no part of them to choose.
    async fn ensure_container(&self, _: Option<&ContainerId>, _: &[&str]) -> Result<Option<ContainerId>> {
        Ok(None)
    }

    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        let fields = event::schema(&map::FIELDS).into_iter();
        Ok(fields.map(FieldSchema::locked).collect())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}

impl SellAppointments {
    fn check_write(&self, operation: &'static str, items: usize) -> Result<()> {
        match self.remote_events {
            RemoteEvents::Off if items > 0 => Err(error::read_only(operation)),
            RemoteEvents::Tasks if items > WRITES => Err(error::refused(operation, "too many appointments at once")),
            RemoteEvents::Off | RemoteEvents::Tasks => Ok(()),
        }
    }

    async fn look_up_appointments(&self, ids: &[RemoteId]) -> Result<Vec<Known>> {
        let numbers = ids.iter().map(|id| number("appointments.get", id)).collect::<Result<Vec<u64>>>()?;
        let is_known = |held: &Held| held.looked_through || numbers.iter().all(|id| held.told.contains_key(id));
        if !is_known(&self.held()) {
            let told = self.look_through().await?;
            self.remember(told);
            self.held().looked_through = true;
        }
        let told: Vec<Option<Told>> = numbers.iter().map(|id| self.held().told.get(id).cloned()).collect();
        self.ask_guests(told.iter().flatten()).await?;
        let mut known = Vec::with_capacity(ids.len());
        for (id, one) in ids.iter().zip(&told) {
            let Some(one) = one else {
                known.push(Known::Untold);
                continue;
            };
            known.push(match self.read(id, one).await? {
                Some(Ok(copy)) => Known::There(Box::new(copy)),
                // There, and in no form to go by.
                Some(Err(_)) => Known::Untold,
                None => Known::Gone,
            });
        }
        Ok(known)
    }
}
