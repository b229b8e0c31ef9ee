//! A crash, a failure or a lost answer at every single call that leaves the process, and a thousand random worlds.
use rand::Rng;
use serde_json::json;
use simulation::world::{World, below, by_last_name, dice, person};
use std::time::Duration;
use tandem_core::contact::field;
use tandem_core::record::{RemoteId, Side, Value};
use tandem_store::link::RowState;
use tandem_testkit::fault::Fault;

const PROFILE: &str = "teamleader-google-contacts";
const FAULTS: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer];

/// Runs until a run has come to its end after the faults.
async fn run_to_rest(world: &World) {
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(3_700));
        world.rule().await;
        world.settle().await;
    }
}

async fn created_in_all_runs(world: &World, side: Side) -> u64 {
    let (runs, more) = world.store.runs_of(&world.sync, None, 1000).await.expect("a quiet table");
    assert!(!more);
    runs.into_iter().map(|mut run| run.counts.side(side).created).sum()
}

/// What must hold when everything has come to rest, whatever happened on the way.
async fn assert_in_step(world: &World, what: &str) {
    let crm = by_last_name(world.crm.live().into_values().map(|record| record.fields));
    let group = world.remote.container();
    let remote = world.remote.live();
    let copies = by_last_name(remote.values().filter(|r| r.container == group).map(|record| record.fields.clone()));
    for (name, copies) in &copies {
        assert_eq!(copies.len(), 1, "{what}: {name} is there {} times", copies.len());
        assert_eq!(crm.get(name), Some(copies), "{what}: {name} differs");
    }
    assert_eq!(copies.len(), crm.len(), "{what}: somebody is missing");
    for row in world.rows().await.iter().filter(|row| row.left.is_some()) {
        assert!(row.state == RowState::InSync && row.is_linked(), "{what}: {row:?}");
    }
    assert_eq!(world.store.intents(&world.sync).await.expect("a quiet table"), vec![], "{what}: intents left open");
    let writes = (world.crm.writes(), world.remote.writes());
    world.run().await;
    assert_eq!((world.crm.writes(), world.remote.writes()), writes, "{what}: a quiet run writes nothing");
    assert_eq!(world.crm.writes(), 0, "{what}: the CRM is never written");
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_first_run_leaves_nothing_double_and_nothing_uncounted() {
    let count = 23;
    let start = async || {
        let world = World::new(PROFILE, json!({})).await;
        for n in 0..count {
            world.crm.person_creates(person(n), None);
        }
        world
    };
    let clean = start().await;
    let before = clean.faults.calls();
    clean.run().await;
    let calls = clean.faults.calls() - before;
    assert!(calls > 40, "the run makes calls: {calls}");
    for ahead in 1..=calls {
        for fault in FAULTS {
            let world = start().await;
            world.faults.ahead(ahead, fault);
            run_to_rest(&world).await;
            let what = format!("{fault:?} at call {ahead} of {calls}");
            assert_eq!(world.remote.creates(), count, "{what}: each is created once");
            assert_eq!(created_in_all_runs(&world, Side::Right).await, count, "{what}: and counted once");
            assert_in_step(&world, &what).await;
        }
    }
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_run_with_changes_leaves_both_sides_in_step() {
    let start = async || {
        let world = World::new(PROFILE, json!({})).await;
        let ids: Vec<RemoteId> = (0..20).map(|n| world.crm.person_creates(person(n), None)).collect();
        world.run().await;
        for n in 20..28 {
            world.crm.person_creates(person(n), None);
        }
        for id in &ids[..4] {
            world.crm.person_edits(id, |fields| fields.set(field::POSITION, Value::Text("CEO".into())));
        }
        for id in &ids[4..7] {
            world.crm.person_deletes(id);
        }
        let copies: Vec<String> = world.remote.live().into_keys().collect();
        world.remote.person_deletes(&RemoteId::new(copies[10].clone()));
        world.remote.person_edits(&RemoteId::new(copies[12].clone()), |fields| {
            fields.set(field::COMPANY, Value::Text("Elsewhere".into()));
        });
        world.clock.advance(Duration::from_secs(3_700));
        world
    };
    let clean = start().await;
    let before = clean.faults.calls();
    clean.run().await;
    let calls = clean.faults.calls() - before;
    for ahead in 1..=calls {
        for fault in FAULTS {
            let world = start().await;
            world.faults.ahead(ahead, fault);
            run_to_rest(&world).await;
            let what = format!("{fault:?} at call {ahead} of {calls}");
            assert_eq!(world.remote.creates(), 29, "{what}: each is created once");
            assert_in_step(&world, &what).await;
        }
    }
}

#[tokio::test]
async fn a_thousand_random_worlds_come_into_step() {
    let first: u64 = 1;
    let seeds = 1_000;
    for seed in first..first + seeds {
        one_random_world(seed).await;
    }
}

async fn one_random_world(seed: u64) {
    let mut dice = dice(seed);
    let world = World::new(PROFILE, json!({ "max_delete_percent": 100 })).await;
    let mut next = 0;
    let mut ids: Vec<RemoteId> = Vec::new();
    for _ in 0..below(&mut dice, 25) {
        ids.push(world.crm.person_creates(person(next), None));
        next += 1;
    }
    for _ in 0..6 {
        for _ in 0..below(&mut dice, 3) {
            let fault = FAULTS[below(&mut dice, FAULTS.len())];
            world.faults.ahead(1 + below(&mut dice, 60) as u64, fault);
        }
        match below(&mut dice, 8) {
            0 => world.remote.expire_cursors(),
            1 => world.remote.throttle_once(Duration::from_secs(40 + below(&mut dice, 4_000) as u64)),
            2 => (0..3).for_each(|_| world.duplicate()),
            3 => world.clock.advance(Duration::from_secs(dice.random_range(0..20_000))),
            4 => {
                let back = world.now_minus(Duration::from_secs(below(&mut dice, 100) as u64));
                world.clock.set(back);
            }
            _ => {}
        }
        for _ in 0..below(&mut dice, 6) {
            random_edit(&world, &mut dice, &mut ids, &mut next);
        }
        if below(&mut dice, 2) == 0 {
            // Deliveries in any order, some of them in the middle of things.
            world.rule().await;
            for _ in 0..below(&mut dice, 12) {
                let pick = below(&mut dice, 100);
                world.deliver(pick).await;
            }
        } else {
            world.clock.advance(Duration::from_secs(3_700));
            world.rule().await;
            world.settle().await;
        }
    }
    world.faults.clear();
    run_to_rest(&world).await;
    assert_in_step(&world, &format!("seed {seed}")).await;
}

fn random_edit(world: &World, dice: &mut rand::rngs::StdRng, ids: &mut Vec<RemoteId>, next: &mut u64) {
    let pick = below(dice, ids.len().max(1));
    let copies: Vec<String> = world.remote.live().into_keys().collect();
    let copy = copies.get(below(dice, copies.len().max(1))).cloned().map(RemoteId::new);
    let word = Value::Text(format!("word {}", below(dice, 5)));
    match (below(dice, 6), ids.get(pick).cloned(), copy) {
        (0 | 1, _, _) => {
            ids.push(world.crm.person_creates(person(*next), None));
            *next += 1;
        }
        (2, Some(id), _) => world.crm.person_edits(&id, |fields| fields.set(field::POSITION, word)),
        (3, Some(id), _) => {
            // A contact whose copy somebody has edited keeps that copy outside the group: never two in it.
            world.crm.person_deletes(&id);
            ids.remove(pick);
        }
        (4, _, Some(copy)) => world.remote.person_edits(&copy, |fields| fields.set(field::COMPANY, word)),
        (5, _, Some(copy)) => world.remote.person_moves(&copy, None),
        _ => {}
    }
}
