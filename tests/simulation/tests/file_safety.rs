//! What nobody deleted stays, and what was told is not forgotten: refusals and other people's work in the middle of a run.
use serde_json::json;
use simulation::files::{FilesWorld, REMOTES, has, in_sync};
use tandem_core::record::Side;
use tandem_ports::error::ErrorKind;
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
