//! The promises of every connector, kept over the table in memory.
//!
//! Left out: `faults_are_named` and `a_revoked_grant_is_named`. The table neither throttles with a time nor revokes;
//! missing rights have a test of their own.
use crate::common::{World, object};
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tandem_builtin::contacts::{BuiltinContacts, Carry, Options};
use tandem_builtin::{Kind, Query as ListQuery};
use tandem_core::contact::{Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Field, Fields, RemoteId};
use tandem_ports::connector::Connector;
use tandem_ports::table::{Condition, Item, Key, Op, Page, Query, Table, TableError, Update, Write};
use tandem_testkit::conformance::{Fault, Harness};

/// A table that goes wrong once, at the next transaction.
pub struct Struck {
    table: Arc<dyn Table>,
    fault: Mutex<Option<Fault>>,
    writes: AtomicUsize,
}

impl Struck {
    pub fn new(table: Arc<dyn Table>) -> Struck {
        Struck { table, fault: Mutex::new(None), writes: AtomicUsize::new(0) }
    }
    pub fn strike(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Table for Struck {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, TableError> {
        self.table.get(keys).await
    }
    async fn query(&self, query: &Query) -> Result<Page, TableError> {
        self.table.query(query).await
    }
    async fn write(&self, writes: &[Write]) -> Result<(), TableError> {
        self.table.write(writes).await
    }
    async fn transact(&self, ops: &[Op]) -> Result<(), TableError> {
        let fault = self.fault.lock().unwrap().take();
        let lost = || Err(TableError::Unavailable("the answer is lost".into()));
        if fault == Some(Fault::LoseRequest) {
            return lost();
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.table.transact(ops).await?;
        if fault == Some(Fault::LoseAnswer) { lost() } else { Ok(()) }
    }
    async fn update(&self, key: &Key, update: &Update, conditions: &[Condition]) -> Result<Item, TableError> {
        self.table.update(key, update, conditions).await
    }
}

struct Builtin {
    world: World,
    struck: Arc<Struck>,
    side: BuiltinContacts,
}

/// The table in memory never waits.
pub fn at_once<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().unwrap()
}

impl Builtin {
    fn stored(&self, id: &RemoteId) -> Json {
        at_once(self.world.crm.get(&self.world.admin, Kind::Contact, id.as_str())).unwrap().to_json()
    }
    fn change(&self, id: &RemoteId, input: Json) {
        let input = object(input);
        at_once(self.world.crm.update(&self.world.admin, Kind::Contact, id.as_str(), None, &input)).unwrap();
    }
}

/// What a person would type for these fields.
fn typed(fields: &Fields) -> Json {
    let contact = Contact::from_fields(fields);
    let list = |list: &[Labelled]| -> Json {
        list.iter().map(|entry| json!({"type": entry.label, "value": entry.value})).collect()
    };
    json!({"first_name": contact.first_name, "last_name": contact.last_name, "position": contact.position,
        "emails": list(&contact.emails), "phones": list(&contact.phones), "remarks": contact.remarks,
        "birthday": contact.birthday})
}

impl Harness for Builtin {
    async fn start() -> Self {
        let world = World::new().await;
        let struck = Arc::new(Struck::new(world.table.clone()));
        let options = Options { container: None, carry: Carry::NameAndPhone, region: Region::of("BE") };
        let (account, user) = (&world.admin.account, &world.admin.id);
        let side = BuiltinContacts::open(struck.clone(), world.clock.clone(), account, user, options).await.unwrap();
        Builtin { world, struck, side }
    }
    fn connector(&self) -> &dyn Connector {
        &self.side
    }
    fn sample(&self, n: u32) -> Fields {
        let labelled = |label: &str, value: String| vec![Labelled { label: label.into(), value }];
        let contact = Contact {
            first_name: format!("Jan {n}"),
            last_name: format!("Peeters {n}"),
            position: format!("Buyer {n}"),
            emails: labelled("work", format!("jan{n}@example.test")),
            phones: labelled("mobile", format!("+32470{:06}", 100_000 + n)),
            birthday: "1980-02-29".into(),
            remarks: format!("first line\nline {n}"),
            ..Contact::default()
        };
        contact.to_fields(Region::of("BE"))
    }
    fn text_field(&self) -> Field {
        field::POSITION
    }
    fn more_than_two_pages(&self) -> u32 {
        450
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        RemoteId::new(at_once(self.world.make(Kind::Contact, typed(fields))).id)
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.change(id, typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        at_once(self.world.crm.delete(&self.world.admin, Kind::Contact, id.as_str(), None)).unwrap();
    }
    fn user_moves_out(&self, _id: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        self.change(id, json!({"tags": ["vip"], "owner": self.world.admin.id}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let stored = self.stored(id);
        json!([stored["tags"], stored["owner"]])
    }
    fn records(&self) -> usize {
        at_once(self.world.crm.list(&self.world.admin, Kind::Contact, &ListQuery::default())).unwrap().items.len()
    }
    fn user_renames_container(&self, _id: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _id: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        self.struck.strike(fault);
    }
    fn writes(&self) -> usize {
        self.struck.writes()
    }
    fn settle(&self) {}
}

tandem_testkit::connector_conformance!(@each Builtin:
    a_full_listing_is_complete, an_empty_listing_ends, a_cursor_yields_only_later_changes,
    a_cursor_can_be_replayed, nothing_falls_between_listing_and_delta, a_deletion_is_reported,
    an_expired_cursor_is_named, a_cursor_of_another_release_is_expired, a_read_by_id_proves_absence,
    a_created_record_reads_back, batches_up_to_the_limit_are_answered_in_order,
    a_create_with_a_lost_answer_is_found, a_create_that_never_arrived_is_not_found,
    an_update_changes_what_it_names, an_emptied_field_is_empty, unmapped_fields_survive_an_update,
    a_stale_version_is_a_conflict_for_that_record_alone, an_update_of_a_gone_record_says_so,
    a_replayed_update_is_a_conflict, a_marker_can_be_put_on_a_record, deleting_twice_succeeds,
    a_conditional_delete_spares_an_edited_record, a_record_outside_the_container_is_outside,
    a_container_is_made_once, a_renamed_container_stays_the_same, a_deleted_container_is_made_anew,
    a_container_with_a_lost_answer_is_found, an_empty_batch_asks_for_nothing
);
