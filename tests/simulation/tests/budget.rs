//! What runs cost, in calls and requests: exact numbers.
use serde_json::json;
use simulation::provider::{crm_at_scale, people_at_scale};
use simulation::world::{World, person};
use std::collections::BTreeMap;
use tandem_core::contact::field;
use tandem_core::record::{RemoteId, Value};
use tandem_store::run::RunState;

async fn world_of(n: u64) -> (World, Vec<RemoteId>) {
    let sides = (crm_at_scale(), people_at_scale());
    let world = World::with("teamleader-google-contacts", json!({}), sides, None).await;
    let ids = (0..n).map(|n| world.crm.person_creates(person(n), None)).collect();
    (world, ids)
}

#[tokio::test]
async fn n_contacts_cost_one_write_per_two_hundred_and_a_quiet_run_one_delta_a_side() {
    let (world, ids) = world_of(10_010).await;
    let run = world.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 10_010), "{run:?}");
    let calls = world.remote.take_calls();
    assert_eq!(calls.get("create"), Some(&51), "{calls:?}");
    assert_eq!(calls.get("update"), None, "{calls:?}");
    assert_eq!(calls.get("get"), None, "nothing is read back: {calls:?}");
    assert_eq!(calls.get("changes"), Some(&1), "{calls:?}");
    let calls = world.crm.take_calls();
    assert_eq!(calls, BTreeMap::from([("changes", 51)]), "a page a call, and not one more");

    // The first quiet run sees its own echoes: eleven pages of them, and nothing else.
    world.run().await;
    let calls = world.remote.take_calls();
    assert_eq!(calls, BTreeMap::from([("changes", 11)]));
    world.crm.take_calls();

    let before = world.table.requests();
    let quiet = world.run_by_hand().await;
    assert_eq!((quiet.state, quiet.counts.writes()), (RunState::Done, 0));
    assert_eq!(world.remote.take_calls(), BTreeMap::from([("changes", 1)]));
    assert_eq!(world.crm.take_calls(), BTreeMap::from([("changes", 1)]));
    // By the API whether both accounts are there (2), the promise and its run (2); our own looking (3), and the job itself:
    // lease, two reads, commit.
    let requests = world.table.requests() - before;
    assert!(requests <= 4 + 4 + 4, "{requests} requests");

    for id in &ids[..50] {
        world.crm.person_edits(id, |fields| fields.set(field::POSITION, Value::Text("CEO".into())));
    }
    let run = world.run().await;
    assert_eq!(run.counts.remote.updated, 50, "{run:?}");
    let calls = world.remote.take_calls();
    assert_eq!((calls.get("update"), calls.get("get")), (Some(&1), Some(&1)), "{calls:?}");
}

#[tokio::test]
async fn a_job_with_nothing_to_do_makes_at_most_six_store_requests() {
    let (world, _) = world_of(300).await;
    world.run().await;
    world.run().await;
    let sync = world.sync_now().await;
    world.clock.advance(std::time::Duration::from_secs(400));
    world.engine.start_run(&sync, tandem_ports::infra::Trigger::Manual).await.unwrap();
    let before = world.table.requests();
    assert!(world.deliver(0).await);
    let requests = world.table.requests() - before;
    assert!(requests <= 5, "{requests} requests, and the built-in CRM's own delta makes one more");
    assert_eq!(world.last_run().await.counts.writes(), 0);
}
