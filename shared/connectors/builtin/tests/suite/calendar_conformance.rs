//! The promises of every connector, kept by a user's appointments over the table in memory.
//!
//! Left out, as for contacts: `faults_are_named` and `a_revoked_grant_is_named`.
use crate::common::{World, object};
use crate::conformance::{Struck, at_once};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tandem_builtin::{BuiltinCalendar, Kind, Query};
use tandem_core::event::{Attendee, Event, Moment, Span, field};
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{
    Capabilities, Change, ChangePage, Choice, Connector, Cursor, Deletion, Draft, Fetched, Outcomes, Patch, Written,
};
use tandem_ports::error::Result;
use tandem_testkit::conformance::{Fault, Harness};

struct Appointments {
    world: World,
    struck: Arc<Struck>,
    side: Unnamed,
}

/// Without the iCalUID: the CRM gives each meeting a new one, which no sample can know. It has tests of its own.
struct Unnamed(BuiltinCalendar);

fn unnamed(fetched: Fetched) -> Fetched {
    let mut fields = fetched.fields.clone();
    fields.put(field::UID, None);
    Fetched { fields, ..fetched }
}

fn unnamed_answers(outcomes: Outcomes<Written>) -> Outcomes<Written> {
    let strip = |written: Written| {
        let shown = written.shown.map(|mut shown| {
            shown.put(field::UID, None);
            shown
        });
        Written { shown, ..written }
    };
    outcomes.into_iter().map(|outcome| outcome.map(strip)).collect()
}

#[async_trait]
impl Connector for Unnamed {
    fn provider(&self) -> &'static str {
        self.0.provider()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage> {
        let page = self.0.changes(from).await?;
        let strip = |change| match change {
            Change::Upsert(fetched) => Change::Upsert(Box::new(unnamed(*fetched))),
            other @ (Change::Seen { .. } | Change::Tombstone { .. } | Change::Unreadable { .. }) => other,
        };
        Ok(ChangePage { changes: page.changes.into_iter().map(strip).collect(), ..page })
    }
    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>> {
        Ok(self.0.get(ids).await?.into_iter().map(|found| found.map(unnamed)).collect())
    }
    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        self.0.create(drafts).await.map(unnamed_answers)
    }
    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        self.0.update(patches).await.map(unnamed_answers)
    }
    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        self.0.delete(deletions).await
    }
    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        self.0.find_made(drafts).await
    }
    async fn ensure_container(&self, id: Option<&ContainerId>, names: &[&str]) -> Result<Option<ContainerId>> {
        self.0.ensure_container(id, names).await
    }
    async fn schema(&self) -> Result<Vec<FieldSchema>> {
        self.0.schema().await
    }
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        self.0.choices().await
    }
}

impl Appointments {
    fn change(&self, id: &RemoteId, input: Json) {
        let input = object(input);
        at_once(self.world.crm.update(&self.world.admin, Kind::Meeting, id.as_str(), None, &input)).unwrap();
    }
    fn count(&self, kind: Kind) -> usize {
        at_once(self.world.crm.list(&self.world.admin, kind, &Query::default())).unwrap().items.len()
    }
}

/// What a person would type for these fields.
fn typed(fields: &Fields) -> Json {
    let guest = |item: &tandem_core::record::Item| json!({"email": item.part("email"), "status": item.part("status")});
    let text = |name: &Field| Some(fields.text(name)).filter(|text| !text.is_empty());
    json!({
        "title": text(&field::TITLE), "start": text(&field::START), "end": text(&field::END),
        "time_zone": text(&field::TIME_ZONE), "description": text(&field::DESCRIPTION),
        "location": text(&field::LOCATION),
        "recurrence": text(&field::RECURRENCE).map(|lines| lines.lines().collect::<Vec<_>>()),
        "reminder_minutes": text(&field::REMINDER_MINUTES).map(|minutes| minutes.parse::<u64>().unwrap()),
        "visibility": text(&field::VISIBILITY),
        "attendees": fields.items(&field::ATTENDEES).iter().map(guest).collect::<Vec<_>>(),
    })
}

impl Harness for Appointments {
    async fn start() -> Self {
        let world = World::new().await;
        let struck = Arc::new(Struck::new(world.table.clone()));
        let (account, user) = (&world.admin.account, &world.admin.id);
        let side = BuiltinCalendar::open(struck.clone(), world.clock.clone(), account, user).await.unwrap();
        Appointments { world, struck, side: Unnamed(side) }
    }
    fn connector(&self) -> &dyn Connector {
        &self.side
    }
    fn sample(&self, n: u32) -> Fields {
        let at = |hour: u32| {
            let text = format!("2026-12-{:02}T{hour:02}:00:00Z", n % 28 + 1);
            Moment::parse(&text, &jiff::tz::TimeZone::UTC).unwrap()
        };
        let guest = Attendee { email: format!("guest{n}@example.test"), ..Attendee::default() };
        let mut event = Event {
            title: format!("Visit {n}"),
            time_zone: "Europe/Brussels".into(),
            description: format!("first line\nline {n}"),
            location: format!("Room {n}"),
            attendees: vec![guest],
            reminder_minutes: Some(n % 60 + 1),
            ..Event::at(Span::new(at(9), at(10)).unwrap())
        };
        if n.is_multiple_of(2) {
            event.repeat(&["RRULE:FREQ=WEEKLY;COUNT=4".to_owned()]).unwrap();
        }
        event.to_fields()
    }
    fn text_field(&self) -> Field {
        field::LOCATION
    }
    fn more_than_two_pages(&self) -> u32 {
        450
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        RemoteId::new(at_once(self.world.make(Kind::Meeting, typed(fields))).id)
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.change(id, typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        at_once(self.world.crm.delete(&self.world.admin, Kind::Meeting, id.as_str(), None)).unwrap();
    }
    fn user_moves_out(&self, _id: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        self.change(id, json!({"tags": ["vip"], "custom": {"floor": 3}}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let stored = at_once(self.world.crm.get(&self.world.admin, Kind::Meeting, id.as_str())).unwrap().to_json();
        json!([stored["tags"], stored["custom"]])
    }
    fn records(&self) -> usize {
        self.count(Kind::Meeting) + self.count(Kind::Block)
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

tandem_testkit::connector_conformance!(@each Appointments:
    a_full_listing_is_complete, an_empty_listing_ends, a_cursor_yields_only_later_changes,
    a_cursor_can_be_replayed, nothing_falls_between_listing_and_delta, a_deletion_is_reported,
    an_expired_cursor_is_named, a_cursor_of_another_release_is_expired, a_read_by_id_proves_absence,
    a_created_record_reads_back, batches_up_to_the_limit_are_answered_in_order,
    a_create_with_a_lost_answer_is_found, a_create_that_never_arrived_is_not_found,
    an_update_changes_what_it_names, an_emptied_field_is_empty, unmapped_fields_survive_an_update,
    a_stale_version_is_a_conflict_for_that_record_alone, an_update_of_a_gone_record_says_so,
    a_replayed_update_is_a_conflict, a_marker_can_be_put_on_a_record, deleting_twice_succeeds,
    a_conditional_delete_spares_an_edited_record, a_record_outside_the_container_is_outside,
    a_container_is_made_once, an_empty_batch_asks_for_nothing, the_schema_says_what_it_takes
);
