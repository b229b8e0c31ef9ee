//! The F rows of the scenarios, on both sorts of remote, with doubles in memory.
use serde_json::json;
use simulation::files::{FilesWorld, REMOTES, has, in_sync};
use std::time::Duration;
use tandem_ports::infra::Trigger;
use tandem_store::run::RunState;
use tandem_testkit::files::{
    Content, FilesCharacter, NodeKind, SaysHashes, like_a_crm_with_files, like_drive, like_dropbox,
};

#[tokio::test]
async fn f01_a_record_without_files_has_an_empty_folder_with_its_number() {
    for remote in REMOTES {
        let world = FilesWorld::new(remote(), json!({})).await;
        world.in_crm(|crm| crm.record("companies", "17", "Acme / Sons"));
        // Two triggers at once, and each of their jobs delivered.
        world.rule().await;
        world.engine.start_run(&world.sync_now().await, Trigger::Manual).await.expect("may be started");
        world.settle().await;
        has(&world.remote_paths(), "Companies/Acme ／ Sons (17)", "/");
        assert_eq!(world.remote_paths().len(), 2);
        world.run().await;
        assert_eq!(world.remote_paths().len(), 2);
    }
}

#[tokio::test]
async fn f02_new_files_and_folders_travel_both_ways() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        has(&world.remote_paths(), "Companies/Acme (17)/offer.txt", "offer");
        has(&world.remote_paths(), "Companies/Acme (17)/Plans/plan.txt", "plan");
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        world.at_remote(|remote| {
            remote.file(&folder, "from remote.txt", b"hello");
            let sub = remote.folder(Some(&folder), "Empty");
            remote.folder(Some(&sub), "Nested");
        });
        world.run().await;
        has(&world.crm_paths(), "Acme/from remote.txt", "hello");
        has(&world.crm_paths(), "Acme/Empty/Nested", "/");
    }
}

#[tokio::test]
async fn a_run_with_nothing_to_do_is_one_call_a_side_and_reads_no_rows() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        // Our own writes come back once.
        world.run().await;
        world.take_calls();
        let before = world.table.requests();
        world.run().await;
        let (crm, remote) = world.take_calls();
        assert_eq!((crm.values().sum::<u64>(), remote.values().sum::<u64>()), (1, 1), "{crm:?} {remote:?}");
        assert!(world.table.requests() - before < 40, "{}", world.table.requests() - before);
    }
}

#[tokio::test]
async fn f03_an_edit_travels_and_keeps_the_ids() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        let (here, there) =
            (world.id(&world.crm, "Acme/offer.txt"), world.id(&world.remote, "Companies/Acme (17)/offer.txt"));
        world.in_crm(|crm| crm.edit(&here, b"offer 2"));
        world.run().await;
        has(&world.remote_paths(), "Companies/Acme (17)/offer.txt", "offer 2");
        world.at_remote(|remote| remote.edit(&there, b"offer 3"));
        world.run().await;
        has(&world.crm_paths(), "Acme/offer.txt", "offer 3");
        assert_eq!(world.id(&world.crm, "Acme/offer.txt"), here);
        assert_eq!(world.id(&world.remote, "Companies/Acme (17)/offer.txt"), there);
    }
}

#[tokio::test]
async fn f04_a_deletion_in_the_crm_travels_and_one_at_the_remote_does_not() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        let here = world.id(&world.crm, "Acme/offer.txt");
        world.in_crm(|crm| crm.delete(&here));
        let run = world.run().await;
        assert_eq!((run.state, run.counts.remote.deleted), (RunState::Done, 1));
        assert!(!world.remote_paths().contains_key("Companies/Acme (17)/offer.txt"));
        let there = world.id(&world.remote, "Companies/Acme (17)/Plans/plan.txt");
        world.at_remote(|remote| remote.delete(&there));
        for _ in 0..3 {
            let run = world.run().await;
            assert_eq!((run.counts.crm.deleted, run.counts.remote.created), (0, 0));
        }
        has(&world.crm_paths(), "Acme/Plans/plan.txt", "plan");
        assert!(!world.remote_paths().contains_key("Companies/Acme (17)/Plans/plan.txt"));
    }
}

#[tokio::test]
async fn f04_mirrored_deletions_and_restored_ones_by_setting() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({"on_remote_delete": "propagate"})).await;
        let there = world.id(&world.remote, "Companies/Acme (17)/offer.txt");
        world.at_remote(|remote| remote.delete(&there));
        world.run().await;
        assert!(!world.crm_paths().contains_key("Acme/offer.txt"));
        let (world, _) = in_sync(remote(), json!({"on_remote_delete": "restore"})).await;
        let there = world.id(&world.remote, "Companies/Acme (17)/offer.txt");
        world.at_remote(|remote| remote.delete(&there));
        world.run().await;
        has(&world.remote_paths(), "Companies/Acme (17)/offer.txt", "offer");
    }
}

#[tokio::test]
async fn f05_a_deletion_on_both_sides_cleans_the_row_without_a_write() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        let (here, there) =
            (world.id(&world.crm, "Acme/offer.txt"), world.id(&world.remote, "Companies/Acme (17)/offer.txt"));
        world.in_crm(|crm| crm.delete(&here));
        world.at_remote(|remote| remote.delete(&there));
        let run = world.run().await;
        assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0));
        let rows = world.store.file_rows(&world.sync).await.unwrap();
        assert!(rows.iter().all(|row| row.id(tandem_core::record::Side::Left).is_none_or(|id| id.as_str() != here)));
    }
}

#[tokio::test]
async fn f06_different_edits_are_both_kept_on_both_sides() {
    // Under `newest_wins` the last of these two edits is the remote's.
    for (conflict, winner, loser) in [
        ("crm_wins", "from crm", "remote"),
        ("remote_wins", "from remote", "crm"),
        ("newest_wins", "from remote", "crm"),
    ] {
        for remote in REMOTES {
            let (world, _) = in_sync(remote(), json!({"conflict": conflict})).await;
            let (here, there) =
                (world.id(&world.crm, "Acme/offer.txt"), world.id(&world.remote, "Companies/Acme (17)/offer.txt"));
            world.in_crm(|crm| crm.edit(&here, b"from crm"));
            world.clock.advance(Duration::from_secs(60));
            world.at_remote(|remote| remote.edit(&there, b"from remote"));
            let run = world.run().await;
            assert_eq!(run.state, RunState::Done);
            let date = jiff::tz::Offset::UTC.to_datetime(run.started_at).date();
            let copy = format!("offer (conflict {loser} {date}).txt");
            let other = if winner == "from crm" { "from remote" } else { "from crm" };
            for (paths, folder) in [(world.crm_paths(), "Acme"), (world.remote_paths(), "Companies/Acme (17)")] {
                has(&paths, &format!("{folder}/offer.txt"), winner);
                has(&paths, &format!("{folder}/{copy}"), other);
            }
            assert_eq!(world.run().await.counts.writes(), 0);
        }
    }
}

#[tokio::test]
async fn f07_the_same_new_bytes_on_both_sides_never_travel() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        let (here, there) =
            (world.id(&world.crm, "Acme/offer.txt"), world.id(&world.remote, "Companies/Acme (17)/offer.txt"));
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        world.in_crm(|crm| {
            crm.edit(&here, b"the same");
            crm.file(&acme, "new.txt", b"new on both");
        });
        world.at_remote(|remote| {
            remote.edit(&there, b"the same");
            remote.file(&folder, "new.txt", b"new on both");
        });
        let run = world.run().await;
        assert_eq!((run.counts.writes(), run.counts.remote.paired), (0, 1));
        let (crm, remote) = world.take_calls();
        assert!(!crm.contains_key("read") && !remote.contains_key("read"), "{crm:?} {remote:?}");
    }
}

#[tokio::test]
async fn f07_where_a_side_tells_no_hashes_bytes_are_read_and_not_sent() {
    let silent = FilesCharacter { hashes: SaysHashes::No, ..like_a_crm_with_files() };
    let world = FilesWorld::with(silent, like_dropbox(), json!({})).await;
    let acme = world.in_crm(|crm| crm.record("companies", "17", "Acme"));
    world.run().await;
    let folder = world.id(&world.remote, "Companies/Acme (17)");
    world.in_crm(|crm| crm.file(&acme, "same.txt", b"same"));
    world.at_remote(|remote| remote.file(&folder, "same.txt", b"same"));
    assert_eq!(world.run().await.counts.writes(), 0);
    assert_eq!(world.remote_paths().len(), 3);
}

#[tokio::test]
async fn f09_a_rename_at_the_remote_renames_without_bytes() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        let here = world.id(&world.crm, "Acme/offer.txt");
        let there = world.id(&world.remote, "Companies/Acme (17)/offer.txt");
        world.at_remote(|remote| assert!(remote.rename(&there, "final offer.txt")));
        world.run().await;
        assert_eq!(world.id(&world.crm, "Acme/final offer.txt"), here);
        let (crm, remote) = world.take_calls();
        assert_eq!((crm.get("relocate"), crm.get("put"), remote.get("read")), (Some(&1), None, None));
    }
}

#[tokio::test]
async fn f09_with_copy_the_old_file_stays_in_the_crm_and_is_not_fetched_back() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({"on_remote_rename": "copy"})).await;
        let there = world.id(&world.remote, "Companies/Acme (17)/offer.txt");
        let folder = world.id(&world.remote, "Companies/Acme (17)/Plans");
        world.at_remote(|remote| {
            remote.rename(&there, "final offer.txt");
            remote.rename(&folder, "Old plans");
        });
        for _ in 0..2 {
            world.run().await;
            let crm = world.crm_paths();
            has(&crm, "Acme/offer.txt", "offer");
            has(&crm, "Acme/final offer.txt", "offer");
            has(&crm, "Acme/Plans/plan.txt", "plan");
            has(&crm, "Acme/Old plans/plan.txt", "plan");
            assert!(!world.remote_paths().contains_key("Companies/Acme (17)/offer.txt"));
            assert!(!world.remote_paths().contains_key("Companies/Acme (17)/Plans"));
        }
    }
}

#[tokio::test]
async fn f10_a_folder_with_200_files_moves_in_one_call_and_no_bytes() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        let folder = world.id(&world.crm, "Acme/Plans");
        world.in_crm(|crm| {
            for n in 0..200 {
                crm.file(&folder, &format!("{n}.txt"), n.to_string().as_bytes());
            }
        });
        world.run().await;
        world.run().await;
        world.take_calls();
        let archive = world.in_crm(|crm| crm.folder(Some(&acme), "Archive"));
        world.in_crm(|crm| assert!(crm.relocate(&folder, Some(&archive), "Plans of last year")));
        let run = world.run().await;
        has(&world.remote_paths(), "Companies/Acme (17)/Archive/Plans of last year/199.txt", "199");
        assert_eq!(run.counts.remote.updated, 1);
        let (_, remote) = world.take_calls();
        assert_eq!((remote.get("relocate"), remote.get("put")), (Some(&1), None));
        // And the other way.
        let there = world.id(&world.remote, "Companies/Acme (17)/Archive/Plans of last year");
        world.at_remote(|remote| assert!(remote.rename(&there, "Very old")));
        world.run().await;
        has(&world.crm_paths(), "Acme/Archive/Very old/0.txt", "0");
        assert_eq!(world.take_calls().0.get("relocate"), Some(&1));
    }
}

#[tokio::test]
async fn f12_other_times_and_versions_with_the_same_bytes_are_nothing() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        let all: Vec<String> = world.remote_paths().into_keys().collect();
        for path in all {
            let id = world.id(&world.remote, &path);
            world.at_remote(|remote| remote.touch(&id));
        }
        assert_eq!(world.run().await.counts.writes(), 0);
    }
}

#[tokio::test]
async fn f12_when_every_file_changes_at_once_a_person_is_asked() {
    let (world, acme) = in_sync(like_dropbox(), json!({})).await;
    world.in_crm(|crm| {
        for n in 0..30 {
            crm.file(&acme, &format!("{n}.txt"), n.to_string().as_bytes());
        }
    });
    world.run().await;
    let files: Vec<String> = world.at_remote(|remote| {
        let file = |node: &tandem_testkit::files::Node| matches!(node.kind, NodeKind::File(_));
        remote.nodes.iter().filter(|(_, node)| file(node)).map(|(id, _)| id.clone()).collect()
    });
    world.at_remote(|remote| {
        for id in &files {
            remote.edit(id, format!("encrypted {id}").as_bytes());
        }
        let plans = remote.nodes.iter().find(|(_, node)| node.name == "Plans").map(|(id, _)| id.clone()).unwrap();
        remote.delete(&plans);
    });
    let run = world.run().await;
    assert_eq!((run.state, run.counts.crm.updated), (RunState::Held, 0));
    let sync = world.sync_now().await;
    world.engine.confirm(&sync).await.unwrap();
    world.settle().await;
    assert_eq!(world.last_run().await.state, RunState::Done);
    assert!(world.crm_paths()["Acme/3.txt"].starts_with("encrypted"));
}

#[tokio::test]
async fn f13_a_root_that_is_gone_stops_everything_before_a_deletion() {
    let (world, _) = in_sync(like_drive(), json!({"on_remote_delete": "propagate"})).await;
    let all: Vec<String> = world.at_remote(|remote| remote.nodes.keys().cloned().collect());
    world.at_remote(|remote| {
        remote.root_gone = true;
        for id in &all {
            remote.delete(id);
        }
    });
    let run = world.run().await;
    assert!(matches!(run.state, RunState::Failed | RunState::Held), "{:?}", run.state);
    assert_eq!(run.counts.crm.deleted, 0);
    has(&world.crm_paths(), "Acme/offer.txt", "offer");
}

#[tokio::test]
async fn f14_an_emptied_folder_stays() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        let here = world.id(&world.crm, "Acme/Plans/plan.txt");
        world.in_crm(|crm| crm.delete(&here));
        world.run().await;
        has(&world.remote_paths(), "Companies/Acme (17)/Plans", "/");
    }
}

#[tokio::test]
async fn f15_a_record_that_leaves_the_selection_loses_nothing() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        let before = (world.crm_paths(), world.remote_paths());
        world.in_crm(|crm| crm.leave_selection(&acme));
        let run = world.run().await;
        assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0));
        assert_eq!((world.crm_paths(), world.remote_paths()), before);
        world.in_crm(|crm| crm.touch(&acme));
        let here = world.id(&world.crm, "Acme/offer.txt");
        world.in_crm(|crm| crm.edit(&here, b"selected again"));
        world.run().await;
        has(&world.remote_paths(), "Companies/Acme (17)/offer.txt", "selected again");
    }
}

#[tokio::test]
async fn f24_sizes_around_the_limit_and_the_empty_file() {
    for remote in REMOTES {
        let world = FilesWorld::new(remote(), json!({"limits": "vendor"})).await;
        let most = 50 * 1024 * 1024;
        world.in_crm(|crm| {
            let acme = crm.record("companies", "17", "Acme");
            crm.file(&acme, "empty", b"");
            for (name, size) in [("below", most - 1), ("at", most), ("above", most + 1)] {
                crm.content(&acme, name, Content::Bytes(vec![3u8; size].into()));
            }
        });
        let run = world.run().await;
        assert_eq!((run.state, run.counts.crm.excluded), (RunState::Done, 1));
        let paths = world.remote_paths();
        has(&paths, "Companies/Acme (17)/empty", "");
        assert!(paths.contains_key("Companies/Acme (17)/below") && paths.contains_key("Companies/Acme (17)/at"));
        assert!(!paths.contains_key("Companies/Acme (17)/above"));
        let rows = world.store.file_rows(&world.sync).await.unwrap();
        assert!(rows.iter().filter_map(|row| row.excluded.as_ref()).any(|reason| reason.code == "too_large"));
    }
}

#[tokio::test]
async fn f25_native_documents_are_skipped_or_come_as_pdf_once_a_revision() {
    for (setting, expected) in [("skip", None), ("pdf", Some("pdf of state 1"))] {
        let (world, _) = in_sync(like_drive(), json!({"google_native": setting})).await;
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        let doc = world.at_remote(|remote| {
            remote.special(&folder, "link", NodeKind::Shortcut);
            remote.special(&folder, "Notes", NodeKind::Native)
        });
        world.run().await;
        assert_eq!(world.crm_paths().get("Acme/Notes.pdf").map(String::as_str), expected);
        assert!(!world.crm_paths().contains_key("Acme/link"));
        world.take_calls();
        assert_eq!(world.run().await.counts.writes(), 0);
        assert_eq!(world.take_calls().1.get("export_pdf"), None);
        world.at_remote(|remote| remote.edit(&doc, b""));
        world.run().await;
        let second = expected.map(|_| "pdf of state 2");
        assert_eq!(world.crm_paths().get("Acme/Notes.pdf").map(String::as_str), second);
    }
}

#[tokio::test]
async fn f27_a_deleted_folder_is_seen_after_a_lost_cursor_too() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({"on_remote_delete": "propagate"})).await;
        world.in_crm(|crm| (0..5).for_each(|n| drop(crm.file(&acme, &n.to_string(), b"more"))));
        world.run().await;
        let folder = world.id(&world.remote, "Companies/Acme (17)/Plans");
        world.at_remote(|remote| {
            remote.delete(&folder);
            remote.expire = true;
        });
        let run = world.run().await;
        assert_eq!(run.state, RunState::Done);
        assert!(!world.crm_paths().contains_key("Acme/Plans"));
        assert_eq!(run.counts.crm.deleted, 2);
    }
}

#[tokio::test]
async fn a_renamed_record_renames_its_folder_and_a_renamed_folder_keeps_its_record() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        world.in_crm(|crm| assert!(crm.rename(&acme, "Acme Holding")));
        world.run().await;
        has(&world.remote_paths(), "Companies/Acme Holding (17)/offer.txt", "offer");
        let folder = world.id(&world.remote, "Companies/Acme Holding (17)");
        world.at_remote(|remote| assert!(remote.rename(&folder, "our best customer")));
        world.run().await;
        has(&world.crm_paths(), "Acme Holding/offer.txt", "offer");
        world.at_remote(|remote| drop(remote.file(&folder, "new.txt", b"new")));
        world.run().await;
        has(&world.crm_paths(), "Acme Holding/new.txt", "new");
        has(&world.remote_paths(), "Companies/our best customer/new.txt", "new");
    }
}

#[tokio::test]
async fn a_new_file_in_a_folder_that_was_deleted_at_the_remote_brings_the_folder_back_and_nothing_else() {
    for remote in REMOTES {
        for deleted in ["Companies/Acme (17)/Plans", "Companies/Acme (17)", "Companies"] {
            let (world, _) = in_sync(remote(), json!({})).await;
            let folder = world.id(&world.remote, deleted);
            world.at_remote(|remote| remote.delete(&folder));
            world.run().await;
            assert!(!world.remote_paths().contains_key(deleted));
            let plans = world.id(&world.crm, "Acme/Plans");
            world.in_crm(|crm| drop(crm.file(&plans, "later.txt", b"later")));
            for _ in 0..2 {
                world.run().await;
                has(&world.remote_paths(), "Companies/Acme (17)/Plans/later.txt", "later");
                assert!(!world.remote_paths().contains_key("Companies/Acme (17)/Plans/plan.txt"), "after {deleted}");
                has(&world.crm_paths(), "Acme/Plans/plan.txt", "plan");
            }
            let run = world.run().await;
            let written = [run.counts.crm, run.counts.remote].map(|side| side.created + side.updated + side.deleted);
            assert_eq!(written, [0, 0]);
            let plan = world.id(&world.crm, "Acme/Plans/plan.txt");
            world.in_crm(|crm| crm.edit(&plan, b"plan 2"));
            world.run().await;
            has(&world.remote_paths(), "Companies/Acme (17)/Plans/plan.txt", "plan 2");
            assert_eq!(world.remote_paths().contains_key("Companies/Acme (17)/offer.txt"), deleted.ends_with("Plans"));
        }
    }
}

#[tokio::test]
async fn names_that_change_hands_at_the_remote_do_so_in_the_crm_and_no_number_is_left() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        world.in_crm(|crm| ["a", "b", "c"].map(|name| drop(crm.file(&acme, &format!("{name}.txt"), name.as_bytes()))));
        world.run().await;
        let [a, b, c] = ["a", "b", "c"].map(|name| world.id(&world.remote, &format!("Companies/Acme (17)/{name}.txt")));
        let name = |id: &_, name: &str| world.at_remote(|remote| assert!(remote.rename(id, name)));
        // Two swap, with a third name in between that nobody sees.
        name(&a, "tmp");
        name(&b, "a.txt");
        name(&a, "b.txt");
        for _ in 0..2 {
            world.run().await;
            for paths in [world.crm_paths(), world.remote_paths()] {
                let bytes =
                    |name: &str| paths.iter().find(|(path, _)| path.ends_with(name)).map(|(_, bytes)| bytes.as_str());
                assert_eq!(["/a.txt", "/b.txt", "/c.txt"].map(bytes), [Some("b"), Some("a"), Some("c")], "{paths:?}");
                assert!(!paths.keys().any(|path| path.contains("(2)")), "{paths:?}");
            }
        }
        // All three go round, and a new one is saved under the name of one that was put aside.
        name(&a, "tmp");
        name(&b, "b.txt");
        name(&c, "a.txt");
        name(&a, "c.txt");
        world.run().await;
        let paths = world.crm_paths();
        let bytes = |name: &str| paths.get(&format!("Acme/{name}.txt")).map(String::as_str);
        assert_eq!(["a", "b", "c"].map(bytes), [Some("c"), Some("b"), Some("a")], "{paths:?}");
        name(&a, "c old.txt");
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        world.at_remote(|remote| drop(remote.file(&folder, "c.txt", b"new")));
        world.run().await;
        has(&world.crm_paths(), "Acme/c old.txt", "a");
        has(&world.crm_paths(), "Acme/c.txt", "new");
    }
}

#[tokio::test]
async fn an_edited_file_is_never_deleted() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({"on_remote_delete": "propagate"})).await;
        let (here, there) =
            (world.id(&world.crm, "Acme/offer.txt"), world.id(&world.remote, "Companies/Acme (17)/offer.txt"));
        world.in_crm(|crm| crm.delete(&here));
        world.at_remote(|remote| remote.edit(&there, b"worked on"));
        world.run().await;
        has(&world.crm_paths(), "Acme/offer.txt", "worked on");
        let folder = world.id(&world.crm, "Acme/Plans");
        let plan = world.id(&world.remote, "Companies/Acme (17)/Plans/plan.txt");
        world.in_crm(|crm| crm.delete(&folder));
        world.at_remote(|remote| remote.edit(&plan, b"new plan"));
        world.run().await;
        has(&world.crm_paths(), "Acme/Plans/plan.txt", "new plan");
    }
}

#[tokio::test]
async fn a_missing_right_stops_one_direction_of_one_record_with_the_reason() {
    for remote in REMOTES {
        let (world, _) = in_sync(remote(), json!({})).await;
        let project = world.in_crm(|crm| {
            let project = crm.record("projects", "3", "Bridge");
            let reason = "Only the owners of this project may edit it.".to_owned();
            crm.nodes.get_mut(&project).unwrap().access = tandem_core::files::entry::Access::Read { reason };
            crm.file(&project, "drawing.txt", b"drawing");
            project
        });
        world.run().await;
        has(&world.remote_paths(), "Projects/Bridge (3)/drawing.txt", "drawing");
        let folder = world.id(&world.remote, "Projects/Bridge (3)");
        let drawing = world.id(&world.remote, "Projects/Bridge (3)/drawing.txt");
        world.at_remote(|remote| {
            remote.file(&folder, "mine.txt", b"mine");
            remote.edit(&drawing, b"changed");
        });
        let run = world.run().await;
        assert_eq!((run.state, run.counts.crm.created, run.counts.crm.updated), (RunState::Done, 0, 0));
        let rows = world.store.file_rows(&world.sync).await.unwrap();
        let reasons =
            rows.iter().filter_map(|row| row.excluded.as_ref()).filter(|reason| reason.code == "missing_right");
        assert_eq!(reasons.count(), 2);
        world.in_crm(|crm| {
            crm.nodes.get_mut(&project).unwrap().access = tandem_core::files::entry::Access::Write;
            crm.touch(&project);
        });
        world.run().await;
        has(&world.crm_paths(), "Bridge/mine.txt", "mine");
        has(&world.crm_paths(), "Bridge/drawing.txt", "changed");
    }
}

#[tokio::test]
async fn what_arrives_broken_leaves_no_file_and_fails_that_record_alone() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        world.at_remote(|remote| remote.garbles = true);
        world.in_crm(|crm| drop(crm.file(&acme, "new.txt", b"new")));
        let run = world.run().await;
        assert_eq!((run.state, run.counts.remote.failing), (RunState::Done, 1));
        assert!(!world.remote_paths().contains_key("Companies/Acme (17)/new.txt"));
        world.at_remote(|remote| remote.garbles = false);
        // A reserved id that was used up is in the way of no other try.
        world.run().await;
        has(&world.remote_paths(), "Companies/Acme (17)/new.txt", "new");
    }
}

#[tokio::test]
async fn case_and_unicode_twins_live_side_by_side() {
    let (world, acme) = in_sync(like_dropbox(), json!({})).await;
    world.in_crm(|crm| {
        for name in ["Read me.txt", "read me.txt", "Caf\u{e9}.txt", "Cafe\u{301}.txt"] {
            crm.file(&acme, name, name.as_bytes());
        }
    });
    world.run().await;
    let remote = world.remote_paths();
    assert_eq!(remote.keys().filter(|path| path.starts_with("Companies/Acme (17)/")).count(), 7, "{remote:?}");
    assert_eq!(world.run().await.counts.writes(), 0);
    assert_eq!(world.crm_paths().len(), 8);
}
