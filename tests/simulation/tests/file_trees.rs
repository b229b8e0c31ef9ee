//! Random trees on both sides, perturbed on both sides before runs and within them, with crashes, lost answers and refusals: it
//! ends, both sides have the same, and nothing that nobody deleted is lost. A failure names its seed.
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use simulation::files::FilesWorld;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tandem_ports::error::ErrorKind;
use tandem_testkit::fault::Fault;
use tandem_testkit::files::{Content, MemoryFiles, NodeKind, State, like_drive, like_dropbox};

/// Names that meet: case and Unicode twins, and one that Windows refuses.
const NAMES: [&str; 8] = ["a", "A", "b.txt", "B.txt", "caf\u{e9}", "cafe\u{301}", "x?y", "con"];
const SEEDS: u64 = 500;

/// Refusals that mean no mistake of ours: each is to be got over.
const REFUSALS: [(&str, ErrorKind); 6] = [
    ("children", ErrorKind::Throttled { retry_after: None }),
    ("changes", ErrorKind::Throttled { retry_after: None }),
    ("get", ErrorKind::Throttled { retry_after: None }),
    ("put", ErrorKind::Throttled { retry_after: None }),
    ("remove", ErrorKind::Throttled { retry_after: None }),
    ("relocate", ErrorKind::Conflict),
];

struct Person {
    dice: StdRng,
    written: u64,
    /// What no person has deleted or written over: it must be there in the end.
    must: BTreeSet<String>,
}

impl Person {
    fn name(&mut self) -> &'static str {
        NAMES[self.dice.random_range(0..NAMES.len())]
    }

    fn pick(&mut self, from: &[String]) -> Option<String> {
        (!from.is_empty()).then(|| from[self.dice.random_range(0..from.len())].clone())
    }

    /// Folders that things can be put into, and things that can be changed: what is within records.
    fn places(state: &State, remote: bool) -> (Vec<String>, Vec<String>) {
        let depth = |id: &String| {
            let (mut at, mut depth) = (Some(id.clone()), 0);
            while let Some(node) = at.as_ref().and_then(|id| state.nodes.get(id)) {
                depth += 1;
                at.clone_from(&node.parent);
            }
            depth
        };
        let least = if remote { 2 } else { 1 };
        let holds = |kind: &NodeKind| matches!(kind, NodeKind::Folder | NodeKind::Record { .. });
        let folders = state.nodes.iter().filter(|(id, node)| holds(&node.kind) && depth(id) >= least);
        // A record's folder at the remote is not a person's to change; a record has a new name now and then.
        let things = state.nodes.keys().filter(|id| depth(id) > if remote { least } else { 0 });
        (folders.map(|(id, _)| id.clone()).collect(), things.cloned().collect())
    }

    /// One thing that a person does, with what becomes of the bytes that must stay.
    fn act(&mut self, state: &mut State, remote: bool) {
        let before = bytes_of(state);
        self.act_at(state, remote);
        let after = bytes_of(state);
        self.must.retain(|bytes| after.contains(bytes) || !before.contains(bytes));
        self.must.extend(after.difference(&before).cloned());
    }

    fn act_at(&mut self, state: &mut State, remote: bool) {
        let (folders, things) = Self::places(state, remote);
        let (name, what) = (self.name(), self.dice.random_range(0..10));
        let (Some(folder), thing) = (self.pick(&folders), self.pick(&things)) else { return };
        self.written += 1;
        let bytes = format!("{} {}", if remote { "remote" } else { "crm" }, self.written);
        match (what, thing) {
            (0..=2, _) | (_, None) => {
                let free = state.is_free(Some(&folder), name, "") && state.named(Some(&folder), name).is_none();
                if free {
                    state.file(&folder, name, bytes.as_bytes());
                }
            }
            (3, _) if state.named(Some(&folder), name).is_none() => drop(state.folder(Some(&folder), name)),
            (3 | 4, Some(thing)) => drop(state.rename(&thing, name)),
            (5..=7, Some(thing)) if matches!(state.nodes[&thing].kind, NodeKind::Record { .. }) => {}
            (5 | 6, Some(thing)) => {
                let own = state.nodes[&thing].name.clone();
                state.relocate(&thing, Some(&folder), &own);
            }
            (7, Some(thing)) => state.delete(&thing),
            (_, Some(thing)) if matches!(state.nodes[&thing].kind, NodeKind::File(_)) => {
                state.edit(&thing, bytes.as_bytes())
            }
            (_, Some(_)) => {}
        }
    }
}

/// The bytes of all files.
fn all_bytes(state: &State) -> impl Iterator<Item = String> {
    state.nodes.values().filter_map(|node| {
        let NodeKind::File(Content::Bytes(bytes)) = &node.kind else { return None };
        Some(String::from_utf8_lossy(bytes).into_owned())
    })
}

fn bytes_of(state: &State) -> BTreeSet<String> {
    all_bytes(state).collect()
}

/// The bytes of all files of a side, in order, each as often as it is there.
fn contents(side: &MemoryFiles) -> Vec<String> {
    side.as_person(|state| {
        let mut all: Vec<String> = all_bytes(state).collect();
        all.sort();
        all
    })
}

fn folders(side: &MemoryFiles, without: usize) -> usize {
    side.as_person(|state| state.nodes.values().filter(|node| matches!(node.kind, NodeKind::Folder)).count()) - without
}

/// Crashes, lost answers and refusals to come, and people who work while a run is under way.
fn trouble(world: &FilesWorld, person: &Arc<Mutex<Person>>) {
    let mut now = person.lock().expect("not poisoned");
    let dice = &mut now.dice;
    for _ in 0..dice.random_range(0..3) {
        let fault = [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer][dice.random_range(0..4)];
        world.faults.ahead(dice.random_range(1..120), fault);
    }
    for _ in 0..dice.random_range(0..3) {
        let (call, kind) = REFUSALS[dice.random_range(0..REFUSALS.len())];
        let side = if dice.random() { &world.crm } else { &world.remote };
        side.refuse(call, dice.random_range(0..4), kind);
    }
    for _ in 0..dice.random_range(0..4) {
        let remote = dice.random();
        let side = if remote { &world.remote } else { &world.crm };
        let person = Arc::clone(person);
        side.meanwhile(dice.random_range(0..40), move |state| person.lock().expect("not poisoned").act(state, remote));
    }
    if dice.random_ratio(1, 5) {
        world.at_remote(|remote| remote.expire = true);
    }
}

async fn one(seed: u64) {
    let person = Person { dice: StdRng::seed_from_u64(seed), written: 0, must: BTreeSet::new() };
    let person = Arc::new(Mutex::new(person));
    let remote = if seed.is_multiple_of(2) { like_dropbox() } else { like_drive() };
    let settings = json!({"on_remote_delete": "propagate", "max_delete_percent": 100});
    let world = FilesWorld::new(remote, settings).await;
    world.in_crm(|crm| {
        crm.record("companies", "1", "Acme");
        crm.record("contacts", "2", "Ann");
    });
    let some = |least, most| person.lock().expect("not poisoned").dice.random_range(least..most);
    for _ in 0..some(1, 12) {
        world.in_crm(|crm| person.lock().expect("not poisoned").act(crm, false));
    }
    world.run().await;
    for round in 0..2 {
        for _ in 0..some(1, 10) {
            let mut person = person.lock().expect("not poisoned");
            if person.dice.random() {
                world.in_crm(|crm| person.act(crm, false));
            } else {
                world.at_remote(|remote| person.act(remote, true));
            }
        }
        trouble(&world, &person);
        world.run().await;
        world.faults.clear();
        world.crm.await_nothing();
        world.remote.await_nothing();
        for _ in 0..3 {
            world.run().await;
        }
        let (crm, remote) = (contents(&world.crm), contents(&world.remote));
        assert_eq!(crm, remote, "seed {seed}, round {round}:\n{:#?}\n{:#?}", world.crm_paths(), world.remote_paths());
        for bytes in &person.lock().expect("not poisoned").must {
            assert!(crm.contains(bytes), "seed {seed}, round {round}: `{bytes}` is lost: {crm:?}");
        }
        let modules = world.at_remote(|remote| remote.nodes.values().filter(|node| node.parent.is_none()).count());
        assert_eq!(
            folders(&world.crm, 0),
            folders(&world.remote, modules + 2),
            "seed {seed}, round {round}:\n{:#?}\n{:#?}",
            world.crm_paths(),
            world.remote_paths()
        );
        assert_eq!(world.run().await.counts.writes(), 0, "seed {seed}, round {round}: it does not come to rest");
    }
}

#[tokio::test]
async fn random_trees_converge_and_lose_nothing_part_one() {
    for seed in 0..SEEDS {
        one(seed).await;
    }
}

#[tokio::test]
async fn random_trees_converge_and_lose_nothing_part_two() {
    for seed in SEEDS..2 * SEEDS {
        one(seed).await;
    }
}
