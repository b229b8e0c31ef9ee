//! Notifications as stories: lost, late, doubled, out of order, forged; and the life of what they come over.
mod crms;
mod life;
mod proofs;
mod world;
mod zoho;

use serde_json::json;
use std::time::Duration;
use tandem_core::record::SyncId;
use tandem_ports::infra::{Job, Trigger};
use tandem_store::run::RunState;
use world::{ACCOUNT, Letter, World};

async fn drive() -> World {
    let world = World::begins("teamleader-google-drive", json!({})).await;
    world.run().await;
    assert_eq!(world.post().await, [200], "the channel's greeting");
    assert!(world.queue.is_empty(), "a greeting tells of no change");
    world
}

async fn dropbox() -> World {
    let world = World::begins("teamleader-dropbox", json!({})).await;
    world.run().await;
    drop(world.letters());
    world
}

/// Bursts, and what is a run of its own: the next letters are about one change.
async fn changed(world: &World, name: &str) -> Letter {
    world.remote_saves(name, "bytes");
    let mut letters = world.letters();
    assert_eq!(letters.len(), 1);
    letters.remove(0)
}

#[tokio::test]
async fn a_file_put_into_drive_is_at_the_crm_record_by_one_push_and_one_job() {
    let world = drive().await;
    let letter = changed(&world, "offer.txt").await;
    assert_eq!(world.send(&letter).await, 200);
    assert_eq!(world.queue.len(), 1);
    let run = world.settle().await;
    assert_eq!((run.trigger, run.state), (Trigger::Push, RunState::Done));
    assert_eq!(world.crm_files().await, ["offer.txt"]);
}

#[tokio::test]
async fn a_file_put_into_dropbox_is_at_the_crm_record_by_one_push_and_one_job() {
    let world = dropbox().await;
    world.remote_saves("offer.txt", "bytes");
    assert_eq!(world.post().await, [200]);
    assert_eq!(world.queue.len(), 1);
    assert_eq!(world.settle().await.trigger, Trigger::Push);
    assert_eq!(world.crm_files().await, ["offer.txt"]);
}

#[tokio::test]
async fn a_mail_is_tracked_by_one_push_and_a_redelivered_one_is_nothing_new() {
    let world = World::begins("teamleader-gmail", json!({"track": "all_known"})).await;
    world.crm_contact("Peeters", "jan@x.example").await;
    world.run().await;
    let mail = b"Message-ID: <1@x>\r\nFrom: jan@x.example\r\nTo: jan@example.com\r\nSubject: Offer?\r\n\r\nHello\r\n";
    world.google.mail_arrives(ACCOUNT, mail, &["INBOX"]);
    let letter = world.mail_letter("1001");
    assert_eq!(world.send(&letter).await, 200);
    assert_eq!(world.queue.len(), 1);
    assert_eq!(world.settle().await.trigger, Trigger::Push);
    assert_eq!(world.crm_mails().await, ["Offer?"]);
    for _ in 0..3 {
        assert_eq!(world.send(&letter).await, 200);
    }
    assert!(world.queue.is_empty(), "the message was worked on");
    assert_eq!(world.send(&world.mail_letter("1002")).await, 200);
    assert_eq!(world.queue.len(), 1, "another message is another one");
}

#[tokio::test]
async fn the_history_id_of_a_mail_push_does_not_move_where_the_delta_begins() {
    let world = World::begins("teamleader-gmail", json!({"track": "all_known"})).await;
    world.crm_contact("Peeters", "jan@x.example").await;
    world.run().await;
    let mail = |id: u32| {
        format!("Message-ID: <{id}@x>\r\nFrom: jan@x.example\r\nTo: {ACCOUNT}\r\nSubject: M{id}\r\n\r\nHello\r\n")
    };
    // The first push gets lost; the second one tells a history id after both.
    for id in [1, 2] {
        world.google.mail_arrives(ACCOUNT, mail(id).as_bytes(), &["INBOX"]);
        world.clock.advance(Duration::from_secs(2));
    }
    assert_eq!(world.send(&world.mail_letter("2")).await, 200);
    world.settle().await;
    let mut mails = world.crm_mails().await;
    mails.sort();
    assert_eq!(mails, ["M1", "M2"]);
}

#[tokio::test]
async fn a_burst_is_one_job_however_it_is_doubled_and_reordered() {
    for world in [drive().await, dropbox().await] {
        let mut letters = Vec::new();
        for number in 0..5 {
            letters.push(changed(&world, &format!("{number}.txt")).await);
        }
        letters.reverse();
        for letter in letters.iter().chain(&letters) {
            assert_eq!(world.send(letter).await, 200);
        }
        assert_eq!(world.queue.len(), 1);
        world.settle().await;
        assert_eq!(world.crm_files().await.len(), 5);
        let before = world.looks();
        // One that is late finds nothing, and harms nothing.
        assert_eq!(world.send(&letters[0]).await, 200);
        let run = world.settle().await;
        assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0));
        assert!(world.looks() > before, "it was looked at");
    }
}

#[tokio::test]
async fn notifications_at_the_same_moment_begin_one_run() {
    for world in [drive().await, dropbox().await] {
        let letter = changed(&world, "offer.txt").await;
        let (a, b, c) = tokio::join!(world.send(&letter), world.send(&letter), world.send(&letter));
        assert_eq!((a, b, c), (200, 200, 200));
        assert_eq!(world.queue.len(), 1);
    }
}

#[tokio::test]
async fn what_is_told_during_a_run_is_looked_at_exactly_once_more() {
    for world in [drive().await, dropbox().await] {
        world.remote_saves("before.txt", "bytes");
        let letter = world.letters().remove(0);
        let looks = async |times: usize, midway: Option<&Letter>| {
            let before = world.looks();
            for _ in 0..times {
                world.send(&letter).await;
            }
            if let Some(letter) = midway {
                world.comes_midway(letter);
            }
            let run = world.settle().await;
            assert_eq!((run.state, world.queue.is_empty()), (RunState::Done, true));
            world.looks() - before
        };
        // What a run with nothing midway asks.
        looks(1, None).await;
        let once = looks(1, None).await;
        assert_eq!(looks(1, Some(&letter)).await, 2 * once, "one look, and one more");
        // The same for many at once.
        assert_eq!(looks(5, Some(&letter)).await, 2 * once);
    }
}

#[tokio::test]
async fn what_is_told_while_a_run_waits_is_read_by_its_next_job() {
    let world = drive().await;
    let sync = SyncId::new("sync-1");
    world.remote_saves("early.txt", "bytes");
    let letter = world.letters().remove(0);
    world.send(&letter).await;
    // The provider asks the run to wait: its job is put back, and nobody holds the lease.
    world.google.inject(&[tandem_google::fake::Fault::Throttle { retry_after: Some(120) }]);
    assert!(world.work_once().await);
    let waiting = world.sync().await;
    assert!(waiting.current_run.is_some());
    let before = world.queue.len();
    let late = changed(&world, "late.txt").await;
    assert_eq!(world.send(&late).await, 200);
    assert_eq!(world.queue.len(), before, "the waiting run takes it along");
    assert_eq!(world.store.open_run(&sync).await.unwrap().unwrap().heard, 1);
    let run = world.settle().await;
    assert_eq!(Some(run.id), waiting.current_run);
    assert_eq!(world.crm_files().await, ["early.txt", "late.txt"]);
}

#[tokio::test]
async fn a_lost_notification_costs_time_and_no_change() {
    let world = drive().await;
    drop(changed(&world, "offer.txt").await);
    assert!(world.crm_files().await.is_empty());
    assert_eq!(world.run().await.trigger, Trigger::Schedule);
    assert_eq!(world.crm_files().await, ["offer.txt"]);
}

#[tokio::test]
async fn a_sync_that_is_off_or_waits_for_a_person_or_keeps_the_vendors_times_does_not_listen() {
    let world = drive().await;
    let letter = changed(&world, "offer.txt").await;
    world.configures(|sync| sync.enabled = false).await;
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 0));
    world.configures(|sync| (sync.enabled, sync.state) = (true, tandem_store::sync::SyncState::Paused)).await;
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 0));
    let vendor = |sync: &mut tandem_store::sync::Sync| {
        sync.state = tandem_store::sync::SyncState::Idle;
        sync.settings.insert("limits".to_owned(), json!("vendor"));
    };
    world.configures(vendor).await;
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 0));
    world.configures(|sync| drop(sync.settings.remove("limits"))).await;
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 1));
}

#[tokio::test]
async fn a_notification_costs_four_requests_of_the_table_one_job_and_none_at_the_provider() {
    let world = drive().await;
    let letter = changed(&world, "offer.txt").await;
    let (table, google) = (world.table.requests(), world.google.calls().len());
    world.send(&letter).await;
    let first = world.table.requests() - table;
    world.send(&letter).await;
    let joined = world.table.requests() - table - first;
    assert_eq!((first, joined), (4, 4), "a first one, and one that joins");
    assert_eq!(world.google.calls().len(), google);
    let Some(Job::Sync { trigger, run, .. }) = world.queue.take(0) else { panic!("one job") };
    assert_eq!((trigger, run.is_some()), (Trigger::Push, true));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "its own time is what is asked")]
async fn a_calendars_notification_is_answered_within_50_ms_of_our_own_time() {
    let world = World::begins("teamleader-google-calendar", json!({})).await;
    world.start().await;
    drop(world.letters());
    let mut times: Vec<Duration> = Vec::new();
    for number in 0..200 {
        let day =
            json!({"summary": format!("Day {number}"), "start": {"date": "2026-02-01"}, "end": {"date": "2026-02-02"}});
        world.google.user_does(ACCOUNT, "insert", &json!({"event": day}));
        for letter in world.letters() {
            let begun = std::time::Instant::now();
            assert_eq!(world.send(&letter).await, 200);
            times.push(begun.elapsed());
        }
    }
    times.sort();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    println!("{} notifications: p50 {:?}, p95 {:?}, slowest {:?}", times.len(), at(50), at(95), at(100));
    assert!(times.len() == 200 && at(95) < Duration::from_millis(50), "p95 is {:?}", at(95));
}
