//! A file of any size from one side to the other, through doubles that keep nothing of it but its hash, with a worker that
//! dies on the way.
use crate::files::FilesWorld;
use serde_json::json;
use std::time::Duration;
use tandem_core::files::entry::{HashKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::record::Side;
use tandem_ports::files::CHUNK;
use tandem_store::run::RunState;
use tandem_testkit::fault::Fault;
use tandem_testkit::files::{Content, FilesCharacter, MemoryFiles, NodeKind};

/// Times that the worker dies on the way.
pub const KILLS: u64 = 2;
/// How long a piece is on its way, by the world's clock: a job carries some 200 MB.
const APPEND_TAKES: Duration = Duration::from_secs(2);
/// Calls that a job has made before it dies: it is in the midst of things then.
const INTO_A_JOB: u64 = 23;

/// How a file came through.
pub struct Passed {
    /// Bytes that were received twice.
    pub again: u64,
    /// Jobs that it took.
    pub jobs: usize,
    /// Times that the worker died.
    pub kills: u64,
    /// What arrived.
    pub arrived: Hashes,
}

/// What a generated file of this size hashes to.
pub fn expected(size: u64) -> Hashes {
    let mut digests = Digests::default();
    while digests.len() < size {
        let at = digests.len();
        digests.update(&Content::Pattern { size }.read(at..(at + CHUNK).min(size)));
    }
    digests.hashes()
}

/// Whether both are the hashes of the same bytes.
pub fn same(one: &Hashes, other: &Hashes) -> bool {
    one.get(HashKind::Sha256).is_some() && one.get(HashKind::Sha256) == other.get(HashKind::Sha256)
}

/// Sends a generated file to a side, and kills the worker after each third of it.
pub async fn pass(remote: FilesCharacter, to: Side, size: u64) -> Passed {
    let world = FilesWorld::new(remote, json!({})).await;
    let acme = world.in_crm(|crm| crm.record("companies", "17", "Acme"));
    world.run().await;
    let folder = "Companies/Acme (17)";
    let content = Content::Pattern { size };
    let (target, path) = match to {
        Side::Right => {
            world.in_crm(|crm| crm.content(&acme, "large.bin", content));
            (&world.remote, format!("{folder}/large.bin"))
        }
        Side::Left => {
            let folder = world.id(&world.remote, folder);
            world.at_remote(|remote| remote.content(&folder, "large.bin", content));
            (&world.crm, "Acme/large.bin".to_owned())
        }
    };
    target.as_person(|state| state.append_takes = APPEND_TAKES);
    world.clock.advance(Duration::from_secs(7_300));
    world.rule().await;
    let received = |target: &MemoryFiles| target.as_person(|state| state.received);
    let mut kills = 0;
    let jobs = world
        .settle_watched(|world| {
            if kills < KILLS && received(target) >= size / (KILLS + 1) * (kills + 1) {
                world.faults.ahead(INTO_A_JOB, Fault::CrashAfter);
                kills += 1;
            }
        })
        .await;
    let run = world.last_run().await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.error);
    let id = world.id(target, &path);
    let arrived = target.as_person(|state| {
        let NodeKind::File(content) = &state.nodes[&id].kind else { panic!("{:?}", state.nodes[&id].kind) };
        assert_eq!(content.size(), size);
        content.hashes()
    });
    Passed { again: received(target) - size, jobs, kills, arrived }
}

/// A figure of this process's memory in bytes: `VmRSS` now, `VmHWM` at most so far.
pub fn memory(figure: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).expect("a figure of /proc/self/status");
    let kilobytes: u64 = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("kB");
    kilobytes * 1024
}
