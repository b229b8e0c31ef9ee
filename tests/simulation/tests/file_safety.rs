//! What nobody deleted stays, and what was told is not forgotten: refusals and other people's work in the middle of a run.
use serde_json::json;
use simulation::files::{FilesWorld, REMOTES, has, in_sync};
use tandem_core::record::Side;
use tandem_ports::error::ErrorKind;
use tandem_store::link::RowState;
use tandem_store::run::RunState;
use tandem_testkit::files::like_drive;

#[tokio::test]
async fn a_page_of_the_feed_is_not_lost_when_the_folders_that_it_told_cannot_be_read_at_once() {
    let throttled = ErrorKind::Throttled { retry_after: Some(std::time::Duration::from_secs(60)) };
    for kind in [throttled, ErrorKind::Retryable] {
        for side in [Side::Left, Side::Right] {
            let (world, acme) = in_sync(like_drive(), json!({})).await;
            let folder = world.id(&world.remote, "Companies/Acme (17)");
            let (here, place) = match side {
                Side::Left => (&world.crm, acme),
                Side::Right => (&world.remote, folder),
            };
            here.as_person(|state| {
                state.file(&place, "told.txt", b"told");
                let made = state.folder(Some(&place), "Made");
                state.file(&made, "within.txt", b"within");
            });
            (0..3).for_each(|n| here.refuse("children", n, kind));
            world.run().await;
            for (paths, above) in [(world.crm_paths(), "Acme"), (world.remote_paths(), "Companies/Acme (17)")] {
                has(&paths, &format!("{above}/told.txt"), "told");
                has(&paths, &format!("{above}/Made/within.txt"), "within");
            }
        }
    }
}

#[tokio::test]
async fn a_conflict_at_a_records_folder_does_not_take_the_record_out_of_the_sync() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        world.in_crm(|crm| crm.rename(&acme, "Acme & Sons"));
        world.remote.refuse("relocate", 0, ErrorKind::Conflict);
        let run = world.run().await;
        assert_eq!(run.state, RunState::Done, "{:?}", run.error);
        world.in_crm(|crm| crm.file(&acme, "after.txt", b"after"));
        world.run().await;
        has(&world.remote_paths(), "Companies/Acme & Sons (17)/after.txt", "after");
        let rows = world.store.file_rows(&world.sync).await.unwrap();
        assert!(rows.iter().all(|row| row.let_go.is_none()));
    }
}

#[tokio::test]
async fn what_comes_into_a_folder_just_before_it_is_removed_stays() {
    for remote in REMOTES {
        for from in [Side::Left, Side::Right] {
            let (world, _) =
                in_sync(remote(), json!({"on_remote_delete": "propagate", "max_delete_percent": 100})).await;
            let (here, there) =
                (world.id(&world.crm, "Acme/Plans"), world.id(&world.remote, "Companies/Acme (17)/Plans"));
            let (side, gone, other, stays) = match from {
                Side::Left => (&world.crm, here, &world.remote, there),
                Side::Right => (&world.remote, there, &world.crm, here),
            };
            side.as_person(|state| state.delete(&gone));
            // The file goes first, then the folder: it is at the second removal that somebody puts something in.
            other.before("remove", {
                let (other, stays) = (other.clone(), stays.clone());
                move |_| other.before("remove", move |state| drop(state.file(&stays, "late.txt", b"late")))
            });
            world.run().await;
            world.run().await;
            for (paths, above) in [(world.crm_paths(), "Acme"), (world.remote_paths(), "Companies/Acme (17)")] {
                has(&paths, &format!("{above}/Plans/late.txt"), "late");
                assert!(!paths.contains_key(&format!("{above}/Plans/plan.txt")), "{paths:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_folder_of_the_same_number_is_another_customers_unless_its_name_or_its_root_says_whose_it_is() {
    for remote in REMOTES {
        let world = FilesWorld::new(remote(), json!({})).await;
        world.in_crm(|crm| {
            let acme = crm.record("companies", "17", "Acme");
            crm.file(&acme, "offer.txt", b"offer to Acme");
            crm.record("companies", "18", "Bolt");
        });
        // What a sync of before has left: it may have been another CRM account's, whose numbers are the same.
        world.at_remote(|remote| {
            let companies = remote.folder(None, "Companies");
            let other = remote.folder(Some(&companies), "Somebody else (17)");
            remote.file(&other, "secret.txt", b"of somebody else");
            let bolt = remote.folder(Some(&companies), "BOLT (18)");
            remote.file(&bolt, "plan.txt", b"plan of Bolt");
        });
        world.run().await;
        let (crm, there) = (world.crm_paths(), world.remote_paths());
        has(&crm, "Bolt/plan.txt", "plan of Bolt");
        has(&there, "Companies/Somebody else (17)/secret.txt", "of somebody else");
        // Drive's root is marked as one CRM account's, so there it is Acme's folder, by an earlier name.
        if remote().can.keeps_markers {
            has(&crm, "Acme/secret.txt", "of somebody else");
            has(&there, "Companies/Somebody else (17)/offer.txt", "offer to Acme");
        } else {
            assert!(!crm.contains_key("Acme/secret.txt"), "{crm:?}");
            has(&there, "Companies/Acme (17)/offer.txt", "offer to Acme");
            assert!(!there.contains_key("Companies/Somebody else (17)/offer.txt"), "{there:?}");
        }
        assert_eq!(world.run().await.counts.writes(), 0);
    }
}

#[tokio::test]
async fn a_full_side_is_found_full_once_the_other_direction_goes_on_and_later_all_arrives() {
    for remote in REMOTES {
        let (world, acme) = in_sync(remote(), json!({})).await;
        let folder = world.id(&world.remote, "Companies/Acme (17)");
        world.in_crm(|crm| {
            (0..40).for_each(|n| drop(crm.file(&acme, &format!("{n}.txt"), b"no room for this")));
            drop(crm.content(&acme, "large.bin", tandem_testkit::files::Content::Pattern { size: 30 * 1024 * 1024 }));
        });
        world.at_remote(|remote| {
            remote.file(&folder, "theirs.txt", b"theirs");
            remote.room = Some(remote.used());
        });
        let run = world.run().await;
        let error = run.error.expect("the run says it");
        assert_eq!((run.state, error.code.as_str()), (RunState::Done, "storage_full"), "{error:?}");
        assert!(error.message.contains("this account is full"), "{error:?}");
        assert_eq!((run.counts.remote.failing, run.counts.remote.created, run.counts.crm.created), (0, 0, 1));
        has(&world.crm_paths(), "Acme/theirs.txt", "theirs");
        let (rows, _) = world.store.file_page(&world.sync, Some(RowState::Excluded), None, 100).await.unwrap();
        let waiting = rows.iter().filter(|row| row.excluded.as_ref().is_some_and(|why| why.code == "storage_full"));
        assert_eq!(waiting.count(), 41, "each one says why it waits");
        // As long as it is full, one batch tries; sooner than the time that was said, none does.
        let tries = |world: &FilesWorld| world.take_calls().1.get("put").copied().unwrap_or(0);
        tries(&world);
        let mut tried = 0;
        for _ in 0..12 {
            world.run().await;
            tried += tries(&world);
        }
        assert!((1..=4).contains(&tried), "a day of runs every two hours: {tried} tries");
        // A person has made room, and says so by starting a run.
        world.at_remote(|remote| remote.room = None);
        let run = world.run_by_hand().await;
        assert_eq!((run.state, run.error, run.counts.remote.created), (RunState::Done, None, 41));
        assert_eq!(world.crm_paths().len() + 1, world.remote_paths().len(), "but for the module's folder");
        assert_eq!(world.run().await.counts.writes(), 0);
        // It also goes on by itself.
        world.in_crm(|crm| drop(crm.file(&acme, "more.txt", b"more")));
        world.at_remote(|remote| remote.room = Some(remote.used()));
        assert!(world.run().await.error.is_some());
        world.at_remote(|remote| remote.room = None);
        world.clock.advance(std::time::Duration::from_secs(86_400));
        assert_eq!(world.run().await.error, None);
        has(&world.remote_paths(), "Companies/Acme (17)/more.txt", "more");
    }
}
