//! The one-way contact profile: first run, quiet runs, drift, deletion, guard, faults one by one.
use serde_json::json;
use simulation::world::{World, person};
use tandem_core::contact::field;
use tandem_core::record::{Item, RemoteId, Value};
use tandem_store::link::RowState;
use tandem_store::run::RunState;

const PROFILE: &str = "teamleader-google-contacts";

async fn world_of(n: u64) -> (World, Vec<RemoteId>) {
    let world = World::new(PROFILE, json!({})).await;
    let ids = (0..n).map(|n| world.crm.person_creates(person(n), None)).collect();
    (world, ids)
}

#[tokio::test]
async fn a_first_run_carries_everybody_over_once_and_a_second_one_writes_nothing() {
    let (world, _) = world_of(53).await;
    let run = world.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    assert_eq!(run.counts.remote.created, 53);
    assert_eq!(run.counts.crm.read, 53);
    assert_eq!(world.remote.live().len(), 53);
    assert_eq!(world.crm.writes(), 0, "nothing is ever written to the CRM");
    for _ in 0..3 {
        let again = world.run().await;
        assert_eq!((again.state, again.counts.writes()), (RunState::Done, 0), "{again:?}");
    }
    assert_eq!(world.remote.creates(), 53);
    assert!(world.rows().await.iter().all(|row| row.state == RowState::InSync && row.is_linked()));
}

#[tokio::test]
async fn an_edit_in_the_crm_travels_and_only_the_changed_field_is_written() {
    let (world, ids) = world_of(12).await;
    world.run().await;
    let before = world.remote.live();
    world.crm.person_edits(&ids[3], |fields| fields.set(field::POSITION, Value::Text("CEO".into())));
    let run = world.run().await;
    assert_eq!((run.counts.remote.updated, run.counts.remote.created), (1, 0), "{run:?}");
    let after = world.remote.live();
    let changed: Vec<_> = after.iter().filter(|(id, record)| before[*id] != **record).collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].1.fields.text(&field::POSITION), "CEO");
    assert_eq!(changed[0].1.photo, before[changed[0].0].photo, "what is not mapped survives");
}

#[tokio::test]
async fn an_edit_at_the_remote_is_overwritten_and_never_reaches_the_crm() {
    let (world, _) = world_of(5).await;
    world.run().await;
    let id = RemoteId::new(world.remote.live().keys().next().unwrap().clone());
    world.remote.person_edits(&id, |fields| fields.set(field::FIRST_NAME, Value::Text("Edited".into())));
    let run = world.run().await;
    assert_eq!(run.counts.remote.updated, 1, "{run:?}");
    assert!(world.remote.record(&id).unwrap().fields.text(&field::FIRST_NAME).starts_with("First"));
    assert_eq!(world.crm.writes(), 0);
}

#[tokio::test]
async fn a_copy_deleted_at_the_remote_is_put_back() {
    let (world, _) = world_of(5).await;
    world.run().await;
    let id = RemoteId::new(world.remote.live().keys().next().unwrap().clone());
    world.remote.person_deletes(&id);
    let run = world.run().await;
    assert_eq!(run.counts.remote.created, 1, "{run:?}");
    assert_eq!(world.remote.live().len(), 5);
    assert_eq!(world.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn a_contact_deleted_in_the_crm_takes_our_unedited_copy_with_it() {
    let (world, ids) = world_of(5).await;
    world.run().await;
    world.crm.person_deletes(&ids[0]);
    let run = world.run().await;
    assert_eq!(run.counts.remote.deleted, 1, "{run:?}");
    assert_eq!(world.remote.live().len(), 4);
    assert_eq!(world.rows().await.len(), 4);
    assert_eq!(world.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn an_edited_copy_of_a_deleted_contact_only_leaves_the_group() {
    let (world, ids) = world_of(5).await;
    world.run().await;
    let (id, _) =
        world.remote.live().into_iter().find(|(_, record)| record.fields.text(&field::LAST_NAME) == "Last0").unwrap();
    let id = RemoteId::new(id);
    world.remote.person_edits(&id, |fields| {
        fields.set(field::EMAILS, Value::Items(vec![Item::value("work", "new@example.com")]));
    });
    world.crm.person_deletes(&ids[0]);
    let run = world.run().await;
    assert_eq!(run.counts.remote.deleted, 0, "{run:?}");
    let kept = world.remote.record(&id).unwrap();
    assert!(!kept.deleted && kept.container.is_none(), "{kept:?}");
    assert_eq!(world.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn deleting_most_of_the_crm_is_held_until_confirmed() {
    let (world, ids) = world_of(20).await;
    world.run().await;
    for id in &ids[..15] {
        world.crm.person_deletes(id);
    }
    world.crm.person_edits(&ids[19], |fields| fields.set(field::POSITION, Value::Text("CEO".into())));
    let run = world.run().await;
    assert_eq!(run.state, RunState::Held, "{run:?}");
    assert_eq!(run.error.as_ref().unwrap().code, "mass_delete");
    assert_eq!(world.remote.live().len(), 20, "nothing was deleted");
    let held = world.run().await;
    assert_eq!(held.state, RunState::Held, "{held:?} {:?} {:?}", world.checkpoint().await, world.rows().await);
    let sync = world.sync_now().await;
    assert_eq!(
        world.remote.live().values().filter(|r| r.fields.text(&field::POSITION) == "CEO").count(),
        0,
        "held whole"
    );
    assert!(held.error.unwrap().message.starts_with("15 records"), "all of it is counted");
    world.engine.confirm(&sync).await.unwrap();
    world.settle().await;
    assert_eq!(world.remote.live().len(), 5);
    assert_eq!(world.run().await.state, RunState::Done);
}

#[tokio::test]
async fn an_ineligible_contact_is_excluded_with_its_reason_until_it_is_complete() {
    let world = World::new(PROFILE, json!({})).await;
    let mut fields = person(1);
    fields.set(field::FIRST_NAME, Value::Text(String::new()));
    let id = world.crm.person_creates(fields, None);
    let run = world.run().await;
    assert_eq!((run.counts.crm.excluded, run.counts.remote.created), (1, 0), "{run:?}");
    let row = world.rows().await.pop().unwrap();
    assert_eq!(row.state, RowState::Excluded);
    assert!(row.reason.unwrap().message.contains("first name"));
    world.crm.person_edits(&id, |fields| fields.set(field::FIRST_NAME, Value::Text("Ann".into())));
    assert_eq!(world.run().await.counts.remote.created, 1);
    world.crm.person_edits(&id, |fields| fields.set(field::FIRST_NAME, Value::Text(String::new())));
    let run = world.run().await;
    assert_eq!((run.counts.crm.excluded, run.counts.writes()), (1, 0), "the exported copy stays: {run:?}");
    assert_eq!(world.remote.live().len(), 1);
}

#[tokio::test]
async fn one_poisoned_record_does_not_stop_the_others_and_is_tried_three_times() {
    let (world, _) = world_of(30).await;
    world.remote.poison(Some("Last17"));
    let run = world.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    assert_eq!((run.counts.remote.created, run.counts.remote.failing), (29, 1), "{run:?}");
    for _ in 0..4 {
        world.run().await;
    }
    let failing: Vec<_> = world.rows().await.into_iter().filter(|row| row.state == RowState::Failing).collect();
    assert_eq!((failing.len(), failing[0].attempts), (1, 3));
    world.remote.poison(None);
    assert_eq!(world.run().await.counts.writes(), 0, "it has no tries left");
    let sync = world.sync_now().await;
    world.engine.retry_failing(&sync).await.unwrap();
    world.settle().await;
    assert_eq!(world.remote.live().len(), 30);
}

#[tokio::test]
async fn an_expired_cursor_means_a_full_listing_and_no_writes() {
    let (world, ids) = world_of(25).await;
    world.run().await;
    world.run().await;
    world.remote.expire_cursors();
    let quiet = world.run().await;
    assert_eq!((quiet.state, quiet.counts.writes()), (RunState::Done, 0), "{quiet:?}");
    // A copy deleted while nobody could follow the feed is found by the sweep.
    let gone = RemoteId::new(world.remote.live().keys().next().unwrap().clone());
    world.remote.person_deletes(&gone);
    world.remote.expire_cursors();
    world.crm.person_edits(&ids[1], |fields| fields.set(field::POSITION, Value::Text("CTO".into())));
    let run = world.run().await;
    assert_eq!((run.counts.remote.created, run.counts.remote.updated), (1, 1), "{run:?}");
    assert_eq!(world.remote.live().len(), 25);
}

#[tokio::test]
async fn a_lost_link_table_creates_no_duplicate() {
    let (world, _) = world_of(25).await;
    world.run().await;
    // The sync is removed and made anew.
    let sync = world.sync_now().await;
    world.store.delete_sync(&sync).await.unwrap();
    let fresh = tandem_store::sync::Sync { current_run: None, last_run: None, ..sync };
    world.store.create_sync(&fresh).await.unwrap();
    let run = world.run().await;
    assert_eq!((run.state, run.counts.remote.paired, run.counts.remote.created), (RunState::Done, 25, 0), "{run:?}");
    assert_eq!(world.remote.live().len(), 25);
    assert_eq!(run.counts.writes(), 0);
}

#[tokio::test]
async fn a_deleted_group_is_made_again_with_everybody_in_it() {
    let (world, _) = world_of(15).await;
    world.run().await;
    let group = world.remote.container().unwrap();
    world.remote.person_deletes_container(&group);
    let run = world.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    let group = world.remote.container().expect("made again");
    assert!(world.remote.live().values().all(|record| record.container.as_ref() == Some(&group)));
    assert_eq!(world.remote.live().len(), 15);
    assert_eq!(world.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn a_run_that_is_started_twice_is_one_run() {
    let (world, _) = world_of(5).await;
    let sync = world.sync_now().await;
    let first = world.engine.start_run(&sync, tandem_ports::infra::Trigger::Manual).await.unwrap();
    let second = world.engine.start_run(&sync, tandem_ports::infra::Trigger::Manual).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(1));
    let sync = world.sync_now().await;
    let third = world.engine.start_run(&sync, tandem_ports::infra::Trigger::Manual).await.unwrap();
    assert_eq!((&first, &first), (&second, &third));
    world.settle().await;
    let (runs, _) = world.store.runs_of(&world.sync, None, 10).await.unwrap();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(world.remote.live().len(), 5);
}

#[tokio::test]
async fn a_throttled_account_waits_and_goes_on_by_itself() {
    let (world, _) = world_of(25).await;
    world.remote.throttle_once(std::time::Duration::from_secs(120));
    let run = world.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 25), "{run:?}");
}

#[tokio::test]
async fn a_revoked_grant_pauses_with_a_reason_and_a_missing_right_too() {
    let (world, _) = world_of(5).await;
    world.remote.read_only(true);
    let run = world.run().await;
    assert_eq!((run.state, run.error.unwrap().code.as_str()), (RunState::Failed, "missing_right"));
    world.remote.read_only(false);
    assert_eq!(world.run().await.state, RunState::Done);
    world.remote.revoke(true);
    let run = world.run().await;
    assert_eq!((run.state, run.error.unwrap().code.as_str()), (RunState::Failed, "reconnect_needed"));
}

#[tokio::test]
async fn the_vendors_first_run_stops_at_its_limit_and_says_so() {
    let world = World::new(PROFILE, json!({ "limits": "vendor" })).await;
    for n in 0..10_030 {
        world.crm.person_creates(person(n), None);
    }
    let run = world.run().await;
    assert_eq!(run.error.as_ref().map(|error| error.code.as_str()), Some("initial_limit_reached"), "{run:?}");
    assert_eq!((world.remote.live().len(), run.counts.remote.created), (10_000, 10_000));
    assert!(run.error.unwrap().message.contains("segment"));
    assert_eq!(world.run().await.counts.remote.created, 0);
}
