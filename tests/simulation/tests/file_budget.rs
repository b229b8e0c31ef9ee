//! What files cost: calls, bytes sent twice, and how a large one survives whatever comes between.
use serde_json::json;
use simulation::files::FilesWorld;
use std::time::Duration;
use tandem_core::files::entry::HashKind;
use tandem_store::run::RunState;
use tandem_testkit::fault::Fault;
use tandem_testkit::files::{
    Content, FilesCharacter, NodeKind, SaysHashes, like_a_crm_with_files, like_drive, like_dropbox,
};

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn a_thousand_small_files_are_one_batch_a_thousand() {
    let world = FilesWorld::new(like_dropbox(), json!({})).await;
    world.in_crm(|crm| {
        let acme = crm.record("companies", "17", "Acme");
        for n in 0..1_000 {
            crm.file(&acme, &format!("{n}.bin"), format!("{n:4096}").as_bytes());
        }
    });
    let run = world.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 1_002));
    let (_, remote) = world.take_calls();
    // The connector makes a session of each file and commits them together: 1,000 + 1 calls for one `put`.
    assert_eq!(remote.get("put"), Some(&1), "{remote:?}");
    let others: u64 = remote.iter().filter(|(call, _)| **call != "put").map(|(_, n)| n).sum();
    assert!(others <= 9, "{remote:?}");
}

async fn large(remote: FilesCharacter, size: u64, faults: &[(u64, Fault)], job: Duration) -> (FilesWorld, u64) {
    let mut world = FilesWorld::new(remote, json!({})).await;
    world.job = job;
    world.in_crm(|crm| {
        let acme = crm.record("companies", "17", "Acme");
        crm.content(&acme, "large.bin", Content::Pattern { size });
    });
    for (at, fault) in faults {
        world.faults.at(*at, *fault);
    }
    world.run().await;
    let received = world.at_remote(|remote| remote.received);
    (world, received)
}

fn arrived(world: &FilesWorld, size: u64) {
    let expected = {
        let mut digests = tandem_core::files::hash::Digests::default();
        let mut at = 0;
        while at < size {
            digests.update(&Content::Pattern { size }.read(at..(at + 8 * MIB).min(size)));
            at += 8 * MIB;
        }
        digests.hashes()
    };
    let id = world.id(&world.remote, "Companies/Acme (17)/large.bin");
    world.at_remote(|remote| {
        let NodeKind::File(content) = &remote.nodes[&id].kind else { panic!("{:?}", remote.nodes[&id].kind) };
        assert_eq!(content.size(), size);
        assert_eq!(content.hashes().get(HashKind::Sha256), expected.get(HashKind::Sha256));
    });
}

#[tokio::test]
async fn a_large_file_goes_on_from_the_providers_offset_after_crashes_and_is_sent_once() {
    let size = 100 * MIB + 17;
    for remote in [like_drive(), like_dropbox()] {
        let (world, _) = large(remote, size, &[], Duration::from_secs(50)).await;
        arrived(&world, size);
        let calls = world.faults.calls();
        // Die at two places on the way.
        for (first, second) in [(calls / 3, calls / 2), (calls / 2, calls - 10), (calls - 6, calls - 3)] {
            let faults = [(first, Fault::CrashAfter), (second, Fault::CrashBefore)];
            let (world, received) = large(remote, size, &faults, Duration::from_secs(50)).await;
            arrived(&world, size);
            // In order: what was under way. In any order: what was not noted yet, four chunks, and a window.
            let again = if remote.can.concurrent_appends == 1 { 8 * MIB } else { 56 * MIB };
            assert!(received <= size + 2 * again, "{} bytes were sent twice", received - size);
        }
    }
}

#[tokio::test]
async fn a_file_larger_than_a_job_can_carry_goes_on_in_the_next() {
    let size = 200 * MIB;
    for remote in [like_drive(), like_dropbox()] {
        let world = FilesWorld::new(remote, json!({})).await;
        world.in_crm(|crm| {
            let acme = crm.record("companies", "17", "Acme");
            crm.content(&acme, "large.bin", Content::Pattern { size });
        });
        // A job has 50 s.
        world.at_remote(|remote| remote.append_takes = Duration::from_secs(11));
        world.clock.advance(Duration::from_secs(7_300));
        world.rule().await;
        let jobs = world.settle().await;
        assert!(jobs > 4, "{jobs}");
        arrived(&world, size);
        assert_eq!(world.at_remote(|remote| remote.received), size);
    }
}

#[tokio::test]
async fn copies_too_large_for_a_job_are_compared_over_several_and_each_byte_is_read_once() {
    let size = 200 * MIB;
    for (remote, both) in [(like_dropbox(), true), (like_drive(), false)] {
        // A CRM that says no hashes. The remote has them where somebody has computed them.
        let silent = FilesCharacter { hashes: SaysHashes::No, ..like_a_crm_with_files() };
        let world = FilesWorld::with(silent, remote, json!({})).await;
        let acme = world.in_crm(|crm| crm.record("companies", "17", "Acme"));
        world.run().await;
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        world.in_crm(|crm| drop(crm.content(&acme, "large.bin", Content::Pattern { size })));
        world.at_remote(|remote| {
            let id = remote.content(&folder, "large.bin", Content::Pattern { size });
            if !both {
                remote.nodes.get_mut(&id).unwrap().hashes = simulation::large::expected(size);
            }
        });
        for side in [&world.crm, &world.remote] {
            side.as_person(|state| state.read_takes = Duration::from_secs(11));
        }
        world.take_calls();
        world.clock.advance(Duration::from_secs(7_300));
        world.rule().await;
        let jobs = world.settle().await;
        let run = world.last_run().await;
        assert_eq!((run.state, run.counts.writes(), run.counts.remote.paired), (RunState::Done, 0, 1));
        assert!(jobs > 4, "{jobs}");
        let (crm, remote) = world.take_calls();
        let chunks = size / (8 * MIB);
        assert_eq!(crm.get("read"), Some(&chunks));
        assert_eq!(remote.get("read").copied().unwrap_or(0), if both { chunks } else { 0 });
    }
}

#[tokio::test]
async fn a_source_that_changes_under_way_arrives_whole_in_one_state() {
    for remote in [like_drive(), like_dropbox()] {
        let world = FilesWorld::new(remote, json!({})).await;
        let id = world.in_crm(|crm| {
            let acme = crm.record("companies", "17", "Acme");
            crm.content(&acme, "large.bin", Content::Pattern { size: 70 * MIB })
        });
        world.faults.at(40, Fault::CrashAfter);
        world.run().await;
        world.in_crm(|crm| crm.edit(&id, b"short now"));
        world.run().await;
        assert_eq!(world.remote_paths()["Companies/Acme (17)/large.bin"], "short now");
    }
}

#[tokio::test]
async fn a_crash_at_any_call_ends_in_the_same_trees() {
    for remote in [like_drive, like_dropbox] {
        let make = || async {
            let world = FilesWorld::new(remote(), json!({})).await;
            world.in_crm(|crm| {
                let acme = crm.record("companies", "17", "Acme");
                let plans = crm.folder(Some(&acme), "Plans");
                crm.file(&plans, "plan.txt", b"plan");
                crm.file(&acme, "offer.txt", b"offer");
            });
            world
        };
        let world = make().await;
        world.run().await;
        let (expected, calls) = (world.remote_paths(), world.faults.calls());
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer] {
            for call in 1..=calls {
                let world = make().await;
                world.faults.at(call, fault);
                world.run().await;
                world.faults.clear();
                world.run().await;
                assert_eq!(world.remote_paths(), expected, "{fault:?} at call {call}");
                assert_eq!(world.crm_paths().len(), 4, "{fault:?} at call {call}");
            }
        }
    }
}
