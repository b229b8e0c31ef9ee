//! What runs of a files sync do under way: changes meanwhile, workers that die, answers that get lost; what a look does
//! not do; and what is left when a sync goes.
use serde_json::json;
use simulation::files::{FilesWorld, REMOTES, has, in_sync};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tandem_core::record::Side;
use tandem_engine::{Budget, EngineConfig};
use tandem_ports::files::FileCapabilities;
use tandem_ports::infra::Clock;
use tandem_store::link::RowState;
use tandem_store::run::RunState;
use tandem_testkit::fault::Fault;
use tandem_testkit::files::{
    Content, FilesCharacter, NodeKind, State, like_a_crm_with_files, like_drive, like_dropbox,
};

const MIB: u64 = 1024 * 1024;
/// Calls of a side that change it.
const WRITES: [&str; 7] = ["create_folders", "put", "begin", "append", "finish", "relocate", "remove"];

fn files(state: &State) -> usize {
    state.nodes.values().filter(|node| matches!(node.kind, NodeKind::File(_))).count()
}

fn wrote(calls: &BTreeMap<&'static str, u64>) -> bool {
    WRITES.iter().any(|call| calls.contains_key(call))
}

#[tokio::test]
async fn f17_a_file_that_changes_on_its_way_arrives_whole_and_what_appears_meanwhile_comes_after() {
    for remote in REMOTES {
        for to in [Side::Right, Side::Left] {
            let (world, acme) = in_sync(remote(), json!({})).await;
            let folder = world.id(&world.remote, "Companies/Acme (17)");
            let (source, target) = match to {
                Side::Right => (&world.crm, &world.remote),
                Side::Left => (&world.remote, &world.crm),
            };
            let place = if to == Side::Right { acme } else { folder };
            let size = 200 * MIB;
            let large = source.as_person(|state| state.content(&place, "large.bin", Content::Pattern { size }));
            target.as_person(|state| state.append_takes = Duration::from_secs(11));
            world.clock.advance(Duration::from_secs(7_300));
            world.rule().await;
            let mut changed = false;
            world
                .settle_watched(|_| {
                    let (received, there) = target.as_person(|state| (state.received, files(state)));
                    if !changed && received > 30 * MIB {
                        changed = true;
                        assert!(received < size && there == 2, "it is on its way: {received} bytes, {there} files");
                        source.as_person(|state| {
                            state.edit(&large, b"the new bytes");
                            (0..50).for_each(|n| drop(state.file(&place, &format!("{n}.txt"), b"meanwhile")));
                        });
                    }
                })
                .await;
            assert!(changed);
            world.run().await;
            for (paths, folder) in [(world.crm_paths(), "Acme"), (world.remote_paths(), "Companies/Acme (17)")] {
                has(&paths, &format!("{folder}/large.bin"), "the new bytes");
                (0..50).for_each(|n| has(&paths, &format!("{folder}/{n}.txt"), "meanwhile"));
                assert_eq!(paths.values().filter(|what| *what != "/").count(), 53, "{paths:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_job_that_is_told_of_changes_again_and_again_hands_over_to_the_next_and_nobody_waits() {
    for remote in REMOTES {
        for news in [3, 9, 10, 11, 40] {
            let (world, acme) = in_sync(remote(), json!({})).await;
            world.in_crm(|crm| {
                let folder = crm.folder(Some(&acme), "New");
                (0..3).for_each(|n| drop(crm.file(&folder, &format!("{n}.txt"), b"new")));
            });
            world.clock.advance(Duration::from_secs(7_300));
            world.rule().await;
            world.news.store(news, Ordering::SeqCst);
            let began = world.clock.now();
            world.settle().await;
            let took = Duration::try_from(world.clock.now().duration_since(began)).unwrap();
            assert!(took < Duration::from_secs(60), "{news} times told: it took {took:?}");
            assert_eq!(world.last_run().await.state, RunState::Done);
            has(&world.remote_paths(), "Companies/Acme (17)/New/2.txt", "new");
        }
    }
}

#[tokio::test]
async fn f18_a_worker_killed_at_40_percent_of_a_thousand_files_is_followed_by_one_that_sends_the_rest() {
    // Small batches, so that there is a 40 percent: Drive's are of one file.
    let dropbox = || FilesCharacter { can: FileCapabilities { put_batch: 50, ..like_dropbox().can }, ..like_dropbox() };
    for remote in [like_drive, dropbox] {
        let make = || async {
            let world = FilesWorld::new(remote(), json!({})).await;
            world.in_crm(|crm| {
                let acme = crm.record("companies", "17", "Acme");
                (0..1_000).for_each(|n| drop(crm.file(&acme, &format!("{n}.bin"), format!("{n:0100}").as_bytes())));
            });
            world
        };
        let whole = make().await;
        whole.run().await;
        let calls = whole.faults.calls();
        let world = make().await;
        // 40 percent of the sending, which is the later part of a first run.
        world.faults.at(calls / 10 * 7, Fault::CrashAfter);
        world.clock.advance(Duration::from_secs(7_300));
        world.rule().await;
        let mut before = Vec::new();
        world.settle_watched(|world| before.push(world.at_remote(|remote| files(remote)))).await;
        assert!(before.iter().any(|there| (100..1_000).contains(there)), "killed on the way: {before:?}");
        let run = world.last_run().await;
        assert_eq!((run.state, run.counts.remote.failing), (RunState::Done, 0));
        let (there, received) = world.at_remote(|remote| (files(remote), remote.received));
        let batch = 100 * remote().can.put_batch as u64;
        assert_eq!(there, 1_000, "none is missing and none is doubled");
        assert!(received <= 100_000 + batch, "{} bytes were sent twice", received - 100_000);
        assert_eq!(world.remote_paths(), whole.remote_paths());
        assert_eq!(world.run().await.counts.writes(), 0);
    }
}

#[tokio::test]
async fn f19_an_upload_whose_answer_is_lost_is_one_file_whichever_answer_it_was() {
    for remote in REMOTES {
        let make = || async {
            let (world, acme) = in_sync(remote(), json!({})).await;
            world.in_crm(|crm| {
                crm.file(&acme, "small.txt", b"small");
                crm.content(&acme, "large.bin", Content::Pattern { size: 8 * MIB + 1 });
            });
            world
        };
        let world = make().await;
        let first = world.faults.calls();
        world.run().await;
        let (expected, last) = (world.remote_paths(), world.faults.calls());
        assert_eq!(world.at_remote(|remote| files(remote)), 4);
        for call in first + 1..=last {
            let world = make().await;
            world.faults.at(call, Fault::LoseAnswer);
            world.run().await;
            world.run().await;
            assert_eq!(world.at_remote(|remote| files(remote)), 4, "answer {call}");
            assert!(world.remote_paths().keys().eq(expected.keys()), "answer {call}: {:?}", world.remote_paths());
            assert_eq!(world.at_remote(|remote| files(remote)), world.in_crm(|crm| files(crm)), "answer {call}");
        }
    }
}

#[tokio::test]
async fn f23_a_preview_lists_what_a_run_would_do_and_changes_nothing_anywhere() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({"on_remote_delete": "propagate", "limits": "vendor"})).await;
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        let (offer, plan) =
            (world.id(&world.crm, "Acme/offer.txt"), world.id(&world.remote, "Companies/Acme (17)/Plans/plan.txt"));
        world.in_crm(|crm| {
            crm.edit(&offer, b"a better offer");
            crm.file(&acme, "new.txt", b"new");
            crm.file(&acme, "same.txt", b"the same on both");
            crm.content(&acme, "huge.bin", Content::Pattern { size: 51 * MIB });
        });
        world.at_remote(|remote| {
            remote.file(&folder, "from remote.txt", b"hello");
            remote.file(&folder, "same.txt", b"the same on both");
            remote.delete(&plan);
        });
        let paths = (world.crm_paths(), world.remote_paths());
        let rows = world.store.file_rows(&world.sync).await.unwrap();
        let sync = world.sync_now().await;
        world.take_calls();
        let budget = Budget::of(world.clock.clone(), Duration::from_secs(20));
        let preview = world.engine.preview(&sync, &budget).await.unwrap();
        let (crm, remote) = world.take_calls();
        assert!(!wrote(&crm) && !wrote(&remote), "{crm:?} {remote:?}");
        assert!(preview.complete && !preview.would_be_held);
        assert_eq!((preview.remote.create, preview.remote.update, preview.remote.delete), (1, 1, 0));
        assert_eq!((preview.crm.create, preview.crm.delete, preview.remote.pair), (1, 1, 1));
        let reasons: Vec<(&str, u64)> = preview.excluded.iter().map(|one| (one.code.as_str(), one.count)).collect();
        assert_eq!(reasons, [("too_large", 1)]);
        assert_eq!((world.crm_paths(), world.remote_paths()), paths);
        assert_eq!(world.store.file_rows(&world.sync).await.unwrap(), rows, "what is known is as it was");
        assert_eq!(world.sync_now().await, sync);
        // A run does just that.
        let run = world.run().await;
        assert_eq!((run.counts.remote.created, run.counts.remote.updated, run.counts.remote.paired), (1, 1, 1));
        assert_eq!((run.counts.crm.created, run.counts.crm.deleted, run.counts.crm.excluded), (1, 1, 1));
    }
}

#[tokio::test]
async fn f26_a_sync_that_goes_leaves_every_file_on_both_sides() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        // Also with a run under way: its next job finds no sync.
        world.in_crm(|crm| drop(crm.file(&acme, "late.txt", b"late")));
        world.clock.advance(Duration::from_secs(7_300));
        world.rule().await;
        let before = (world.crm_paths(), world.remote_paths());
        world.take_calls();
        world.store.delete_sync(&world.sync_now().await).await.unwrap();
        while world.deliver(0).await {}
        let (crm, remote) = world.take_calls();
        assert!(!wrote(&crm) && !wrote(&remote), "{crm:?} {remote:?}");
        assert_eq!((world.crm_paths(), world.remote_paths()), before);
        assert!(world.store.file_rows(&world.sync).await.unwrap().is_empty(), "what was known is forgotten");
    }
}

#[tokio::test]
async fn max_file_bytes_leaves_out_what_is_larger_in_both_directions_with_the_reason() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({"max_file_bytes": 10})).await;
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        world.in_crm(|crm| {
            crm.file(&acme, "fits", b"ten bytes.");
            crm.file(&acme, "too large", b"eleven bytes")
        });
        world.at_remote(|remote| {
            remote.file(&folder, "fits as well", b"ten bytes.");
            remote.file(&folder, "too large as well", b"eleven bytes")
        });
        let run = world.run().await;
        assert_eq!((run.state, run.counts.crm.excluded + run.counts.remote.excluded), (RunState::Done, 2));
        has(&world.remote_paths(), "Companies/Acme (17)/fits", "ten bytes.");
        has(&world.crm_paths(), "Acme/fits as well", "ten bytes.");
        assert!(!world.remote_paths().contains_key("Companies/Acme (17)/too large"));
        assert!(!world.crm_paths().contains_key("Acme/too large as well"));
        let rows = world.store.file_rows(&world.sync).await.unwrap();
        let reasons: Vec<&str> =
            rows.iter().filter_map(|row| row.excluded.as_ref()).map(|reason| reason.message.as_str()).collect();
        assert_eq!(reasons, ["It has 12 bytes; at most 10 are synchronised."; 2]);
        // One that has grown past the limit stays as it was on the other side.
        let fits = world.id(&world.crm, "Acme/fits");
        world.in_crm(|crm| crm.edit(&fits, b"not ten bytes any more"));
        world.run().await;
        has(&world.remote_paths(), "Companies/Acme (17)/fits", "ten bytes.");
        has(&world.crm_paths(), "Acme/fits", "not ten bytes any more");
    }
}

#[tokio::test]
async fn a_plan_that_does_not_come_to_rest_is_a_failing_record_with_the_reason_and_stops_no_other() {
    for remote in REMOTES {
        // With no round at all nothing can be done quietly: what is the same on both sides is not recognised as one.
        let config = EngineConfig { quiet_rounds: 0, ..EngineConfig::default() };
        let world = FilesWorld::configured((like_a_crm_with_files(), remote()), json!({}), config).await;
        let acme = world.in_crm(|crm| crm.record("companies", "17", "Acme"));
        world.run().await;
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        world.in_crm(|crm| {
            crm.file(&acme, "twin.txt", b"the same");
            crm.file(&acme, "other.txt", b"another")
        });
        world.at_remote(|remote| remote.file(&folder, "twin.txt", b"the same"));
        let run = world.run().await;
        assert_eq!((run.state, run.counts.crm.failing > 0), (RunState::Done, true), "{run:?}");
        let (failing, _) = world.store.file_page(&world.sync, Some(RowState::Failing), None, 10).await.unwrap();
        let reasons: Vec<_> = failing.iter().filter_map(|row| row.failure.as_ref()).map(|one| &one.reason).collect();
        assert!(!reasons.is_empty());
        for reason in reasons {
            assert_eq!(reason.code, "unsettled");
            assert!(reason.message.contains("left as it is on both sides"), "{}", reason.message);
        }
        has(&world.crm_paths(), "Acme/twin.txt", "the same");
        has(&world.remote_paths(), "Companies/Acme (17)/twin.txt", "the same");
        has(&world.remote_paths(), "Companies/Acme (17)/other.txt", "another");
        assert_eq!(world.at_remote(|remote| files(remote)), 2, "and nothing is doubled");
    }
}

#[tokio::test]
async fn a_run_of_files_is_not_undone_and_the_answer_says_where_the_old_ones_are() {
    let (world, _) = in_sync(like_dropbox(), json!({})).await;
    let (sync, run) = (world.sync_now().await, world.last_run().await);
    let budget = Budget::of(world.clock.clone(), Duration::from_secs(20));
    let refused = world.engine.undo(&sync, &run, None, &budget).await.unwrap_err();
    assert!(refused.to_string().contains("earlier versions"), "{refused}");
}
