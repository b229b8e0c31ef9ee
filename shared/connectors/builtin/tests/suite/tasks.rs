//! The promises of every connector, kept by a user's tasks over the table in memory, and what is a task's own.
//!
//! Left out, as for contacts: `faults_are_named` and `a_revoked_grant_is_named`.
use crate::common::{World, object};
use crate::conformance::{Struck, at_once};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tandem_builtin::users::{NewUser, Role};
use tandem_builtin::{BuiltinTasks, Kind, Query};
use tandem_core::record::{ContainerId, Field, Fields, RemoteId, Scope};
use tandem_core::task::{Task, field};
use tandem_ports::connector::{Change, Connector, Next};
use tandem_ports::error::ErrorKind;
use tandem_testkit::conformance::{Fault, Harness};

struct Tasks {
    world: World,
    struck: Arc<Struck>,
    side: BuiltinTasks,
}

impl Tasks {
    async fn open() -> Tasks {
        let world = World::new().await;
        let struck = Arc::new(Struck::new(world.table.clone()));
        let (account, user) = (&world.admin.account, &world.admin.id);
        let side = BuiltinTasks::open(struck.clone(), world.clock.clone(), account, user).await.unwrap();
        Tasks { world, struck, side }
    }
    fn change(&self, id: &RemoteId, input: Json) {
        let input = object(input);
        at_once(self.world.crm.update(&self.world.admin, Kind::Task, id.as_str(), None, &input)).unwrap();
    }
    fn stored(&self, id: &RemoteId) -> Json {
        at_once(self.world.crm.get(&self.world.admin, Kind::Task, id.as_str())).unwrap().to_json()
    }
}

/// What a person would type for these fields.
fn typed(fields: &Fields) -> Json {
    let text = |name: &Field| Some(fields.text(name)).filter(|text| !text.is_empty());
    json!({"title": text(&field::TITLE), "description": text(&field::NOTES), "due_on": text(&field::DUE),
        "done": fields.text(&field::STATUS) == "done"})
}

impl Harness for Tasks {
    async fn start() -> Self {
        Tasks::open().await
    }
    fn connector(&self) -> &dyn Connector {
        &self.side
    }
    fn sample(&self, n: u32) -> Fields {
        let due = jiff::civil::date(2026, 1, 1).saturating_add(jiff::Span::new().days(i64::from(n % 300)));
        let notes = format!("line 1\nline {n}");
        Task { title: format!("Call {n}"), notes, due: Some(due), ..Task::default() }.to_fields()
    }
    fn text_field(&self) -> Field {
        field::NOTES
    }
    fn more_than_two_pages(&self) -> u32 {
        450
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        RemoteId::new(at_once(self.world.make(Kind::Task, typed(fields))).id)
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.change(id, typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        at_once(self.world.crm.delete(&self.world.admin, Kind::Task, id.as_str(), None)).unwrap();
    }
    /// There is no list: whose task it is, is nobody's to move but a person's.
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        self.change(id, json!({"tags": ["vip"], "custom": {"floor": 3}}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let stored = self.stored(id);
        json!([stored["tags"], stored["custom"]])
    }
    fn records(&self) -> usize {
        at_once(self.world.crm.list(&self.world.admin, Kind::Task, &Query::default())).unwrap().items.len()
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        self.struck.strike(fault);
    }
    fn writes(&self) -> usize {
        self.struck.writes()
    }
    fn settle(&self) {}
}

tandem_testkit::connector_conformance!(@each Tasks:
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

#[tokio::test]
async fn a_colleagues_task_is_not_ours_one_that_nobody_has_is_and_one_given_away_is_outside() {
    let t = Tasks::open().await;
    let new = NewUser { account: "acme", email: "bo@acme.test", name: "Bo", role: Role::Member };
    let bo = t.world.users.create(new).await.unwrap();
    t.world.make(Kind::Task, json!({"title": "Theirs", "owner": bo.id})).await;
    let ours = t.world.make(Kind::Task, json!({"title": "Ours", "owner": t.world.admin.id})).await;
    let nobodys = t.world.make(Kind::Task, json!({"title": "Nobody's"})).await;
    let page = t.side.changes(None).await.unwrap();
    let mut ids: Vec<String> = Vec::new();
    for change in &page.changes {
        let Change::Upsert(copy) = change else { panic!("{change:?}") };
        assert_eq!(copy.scope, Scope::Inside);
        ids.push(copy.id.to_string());
    }
    assert_eq!(ids, [ours.id.clone(), nobodys.id]);
    let Next::CaughtUp(cursor) = page.next else { panic!("one page") };
    t.world.make(Kind::Task, json!({"title": "Theirs, too", "owner": bo.id})).await;
    t.change(&RemoteId::new(&ours.id), json!({"owner": bo.id}));
    let page = t.side.changes(Some(&cursor)).await.unwrap();
    let [Change::Upsert(copy)] = page.changes.as_slice() else { panic!("{:?}", page.changes) };
    assert_eq!((copy.id.as_str(), copy.scope), (ours.id.as_str(), Scope::Outside));
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let t = Tasks::open().await;
    for (rights, verb) in
        [(json!({"export": false}), "export"), (json!({"modules": {"tasks": {"view": false}}}), "tasks.view")]
    {
        let user = t.world.admin.id.clone();
        let input = object(json!({"rights": rights}));
        t.world.crm.update(&t.world.admin, Kind::User, &user, None, &input).await.unwrap();
        let side = BuiltinTasks::open(t.world.table.clone(), t.world.clock.clone(), "acme", &user).await.unwrap();
        let refused = side.changes(None).await.unwrap_err();
        assert!(refused.kind == ErrorKind::Forbidden && refused.detail.contains(verb), "{}", refused.detail);
        let input = object(json!({"rights": {"export": true, "modules": {"tasks": {"view": true}}}}));
        t.world.crm.update(&t.world.admin, Kind::User, &user, None, &input).await.unwrap();
    }
}
