//! Random trees on both sides, perturbed on both sides, with crashes and lost answers: it ends, both sides have the same, and
//! nothing that nobody deleted is lost. A failure names its seed.
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use simulation::files::FilesWorld;
use std::collections::BTreeSet;
use tandem_testkit::fault::Fault;
use tandem_testkit::files::{Content, MemoryFiles, NodeKind, State, like_drive, like_dropbox};

/// Names that meet: case and Unicode twins, and one that Windows refuses.
const NAMES: [&str; 8] = ["a", "A", "b.txt", "B.txt", "caf\u{e9}", "cafe\u{301}", "x?y", "con"];
const SEEDS: u64 = 500;

struct Person {
    dice: StdRng,
    written: u64,
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
        let things = state.nodes.keys().filter(|id| depth(id) > least);
        (folders.map(|(id, _)| id.clone()).collect(), things.cloned().collect())
    }

    /// One thing that a person does.
    fn act(&mut self, state: &mut State, remote: bool) {
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

/// The bytes of all files within records.
fn contents(side: &MemoryFiles) -> Vec<String> {
    side.as_person(|state| {
        let mut all: Vec<String> = state
            .nodes
            .values()
            .filter_map(|node| {
                let NodeKind::File(Content::Bytes(bytes)) = &node.kind else { return None };
                Some(String::from_utf8_lossy(bytes).into_owned())
            })
            .collect();
        all.sort();
        all
    })
}

fn folders(side: &MemoryFiles, without: usize) -> usize {
    side.as_person(|state| state.nodes.values().filter(|node| matches!(node.kind, NodeKind::Folder)).count()) - without
}

async fn one(seed: u64) {
    let mut person = Person { dice: StdRng::seed_from_u64(seed), written: 0 };
    let remote = if seed.is_multiple_of(2) { like_dropbox() } else { like_drive() };
    let settings = json!({"on_remote_delete": "propagate", "max_delete_percent": 100});
    let world = FilesWorld::new(remote, settings).await;
    world.in_crm(|crm| {
        crm.record("companies", "1", "Acme");
        crm.record("contacts", "2", "Ann");
    });
    for _ in 0..person.dice.random_range(1..12) {
        world.in_crm(|crm| person.act(crm, false));
    }
    world.run().await;
    for round in 0..2 {
        let before: BTreeSet<String> = contents(&world.crm).into_iter().collect();
        for _ in 0..person.dice.random_range(1..10) {
            if person.dice.random() {
                world.in_crm(|crm| person.act(crm, false));
            } else {
                world.at_remote(|remote| person.act(remote, true));
            }
        }
        let (here, there): (BTreeSet<_>, BTreeSet<_>) =
            (contents(&world.crm).into_iter().collect(), contents(&world.remote).into_iter().collect());
        // What is new stays, and so does what is old and on both sides.
        let fresh = here.union(&there).filter(|bytes| !before.contains(*bytes));
        let must: BTreeSet<String> = fresh.chain(here.intersection(&there)).cloned().collect();
        for _ in 0..person.dice.random_range(0..3) {
            let fault =
                [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer][person.dice.random_range(0..4)];
            world.faults.ahead(person.dice.random_range(1..120), fault);
        }
        if person.dice.random_ratio(1, 5) {
            world.at_remote(|remote| remote.expire = true);
        }
        world.run().await;
        world.faults.clear();
        world.run().await;
        world.run().await;
        let (crm, remote) = (contents(&world.crm), contents(&world.remote));
        assert_eq!(crm, remote, "seed {seed}, round {round}:\n{:#?}\n{:#?}", world.crm_paths(), world.remote_paths());
        for bytes in &must {
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
