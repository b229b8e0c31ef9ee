//! Ten thousand contacts on each side, half of them on both: what the preview says, what the run does and what it costs.
use serde_json::json;
use simulation::provider::{crm_at_scale, people_at_scale};
use simulation::world::{World, person};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::contact::field;
use tandem_core::record::{RemoteId, Value};
use tandem_engine::Budget;
use tandem_store::run::RunState;

const EACH: u64 = 10_000;

#[tokio::test]
async fn ten_thousand_on_each_side_half_of_them_on_both_come_into_step_in_full_batches() {
    let sides = (crm_at_scale(), people_at_scale());
    let world = World::with("zoho-google-contacts", json!({}), sides, None).await;
    let group = world.remote.person_makes_container("Zoho CRM");
    let here: Vec<RemoteId> = (0..EACH).map(|n| world.crm.person_creates(person(n), None)).collect();
    let there: Vec<RemoteId> =
        (EACH / 2..EACH + EACH / 2).map(|n| world.remote.person_creates(person(n), Some(&group))).collect();

    let budget = Budget::of(world.clock.clone() as Arc<_>, Duration::from_secs(3_600));
    let preview = world.engine.preview(&world.sync_now().await, &budget).await.expect("both sides answer");
    assert_eq!((preview.crm.create, preview.remote.create, preview.remote.pair), (5_000, 5_000, 5_000), "{preview:?}");
    assert!(preview.complete && preview.conflicts == 0 && preview.excluded.is_empty(), "{preview:?}");
    assert_eq!((world.crm.writes(), world.remote.writes()), (0, 0), "a look writes nothing");
    world.crm.take_calls();
    world.remote.take_calls();

    let run = world.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    let counts = (run.counts.crm.created, run.counts.remote.created, run.counts.remote.paired);
    assert_eq!(counts, (5_000, 5_000, 5_000), "the run does what the preview said: {run:?}");
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (0, 0), "{run:?}");
    let (crm, remote) = (world.crm.take_calls(), world.remote.take_calls());
    assert_eq!(remote.get("create"), Some(&25), "each People call is full: {remote:?}");
    assert_eq!(crm.get("create"), Some(&50), "a hundred a call: {crm:?}");
    assert_eq!(world.crm.live().len() as u64, EACH + EACH / 2);
    assert_eq!(world.remote.live().len() as u64, EACH + EACH / 2);

    // The echoes of our own writes pass by once.
    world.run().await;
    world.crm.take_calls();
    world.remote.take_calls();
    let quiet = world.run().await;
    assert_eq!(quiet.counts.writes(), 0, "{quiet:?}");
    assert_eq!(world.crm.take_calls(), BTreeMap::from([("changes", 1)]));
    assert_eq!(world.remote.take_calls(), BTreeMap::from([("changes", 1)]));

    for n in 0..50 {
        world.crm.person_edits(&here[n], |fields| fields.set(field::POSITION, Value::Text("CEO".into())));
        world.remote.person_edits(&there[9_000 + n], |fields| fields.set(field::POSITION, Value::Text("CFO".into())));
    }
    let run = world.run().await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (50, 50), "{run:?}");
    let (crm, remote) = (world.crm.take_calls(), world.remote.take_calls());
    assert_eq!((crm.get("update"), crm.get("changes")), (Some(&1), Some(&1)), "one delta and one batch: {crm:?}");
    assert_eq!((remote.get("update"), remote.get("changes")), (Some(&1), Some(&1)), "{remote:?}");
}
