//! The life of channels: opened by the first run, renewed in time, lapsed when they cannot be, closed with their sync.
use super::world::World;
use super::{changed, drive};
use serde_json::json;
use std::time::Duration;
use tandem_core::record::SyncId;
use tandem_engine::PushView;
use tandem_google::fake::Fault;
use tandem_store::channel::{ChannelState, PushState};

const DAY: u64 = 86_400;
const WATCH: &str = "/changes/watch";
const STOP: &str = "/channels/stop";

async fn state(world: &World) -> Option<PushState> {
    world.push().await.map(|push| push.state)
}

#[tokio::test]
async fn a_first_run_opens_a_channel_for_a_week_and_further_ones_leave_it_alone() {
    let world = World::begins("teamleader-google-drive", json!({})).await;
    assert_eq!(world.push().await, None, "nothing was tried yet");
    world.run().await;
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.reason), (PushState::On, None));
    let left = push.until.unwrap().as_second() - tandem_ports::infra::Clock::now(&*world.clock).as_second();
    assert!((604_000..=604_800).contains(&left), "{left}");
    for _ in 0..3 {
        world.run().await;
    }
    assert_eq!((world.google_calls(WATCH), world.google_calls(STOP)), (1, 0));
}

#[tokio::test]
async fn at_80_percent_of_its_life_a_channel_is_replaced_before_the_old_one_is_closed() {
    let world = drive().await;
    let old = changed(&world, "one.txt").await;
    world.clock.advance(Duration::from_secs(5 * DAY));
    world.run().await;
    assert_eq!(world.google_calls(WATCH), 1, "not yet");
    world.clock.advance(Duration::from_secs(DAY));
    world.google.forget_calls();
    world.run().await;
    let order: Vec<String> = world.google.calls().into_iter().map(|(_, path, _)| path).collect();
    let at = |end: &str| order.iter().position(|path| path.ends_with(end)).unwrap();
    assert!(at(WATCH) < at(STOP), "{order:?}");
    assert_eq!(world.post().await, [200], "the new one's greeting");
    let new = changed(&world, "two.txt").await;
    for secret in ["x-goog-channel-id", "x-goog-channel-token"] {
        assert_ne!(old.header(secret), new.header(secret));
    }
    assert_eq!((world.send(&old).await, world.queue.len()), (200, 0), "the old one is nothing to us any more");
    assert_eq!((world.send(&new).await, world.queue.len()), (200, 1));
    assert_eq!(state(&world).await, Some(PushState::On));
}

#[tokio::test]
async fn a_closed_channel_that_goes_on_telling_is_ignored_and_closed_once_more() {
    let world = drive().await;
    let old = changed(&world, "one.txt").await;
    world.clock.advance(Duration::from_secs(6 * DAY));
    world.run().await;
    world.google.forget_calls();
    world.run().await;
    assert_eq!(world.google_calls(STOP), 0, "it is quiet");
    for _ in 0..3 {
        assert_eq!((world.send(&old).await, world.queue.len()), (200, 0));
    }
    let row = world.store.channel(old.header("x-goog-channel-id")).await.unwrap().unwrap();
    assert_eq!(row.state, ChannelState::Haunting);
    world.run().await;
    world.run().await;
    assert_eq!(world.google_calls(STOP), 1);
}

#[tokio::test]
async fn a_channel_that_cannot_be_opened_is_said_and_tried_again_and_the_schedule_covers() {
    let world = World::begins("teamleader-google-drive", json!({})).await;
    *world.opened.public.lock().unwrap() = "http://tandem.example".to_owned();
    world.run().await;
    let PushView { state, until, reason, .. } = world.push().await.unwrap();
    assert_eq!((state, until), (PushState::Lapsed, None));
    let reason = reason.unwrap();
    assert!(reason.starts_with("Google Drive does not notify us: ") && reason.contains("schedule"), "{reason}");
    world.remote_saves("offer.txt", "bytes");
    world.run().await;
    assert_eq!(world.crm_files().await, ["offer.txt"]);
    *world.opened.public.lock().unwrap() = "https://tandem.example".to_owned();
    world.clock.advance(Duration::from_secs(6 * 3_600));
    world.run().await;
    assert_eq!(super::life::state(&world).await, Some(PushState::On));
    assert_eq!(world.push().await.unwrap().reason, None);
}

#[tokio::test]
async fn after_a_failure_the_next_try_waits() {
    let world = World::begins("teamleader-google-drive", json!({})).await;
    *world.opened.public.lock().unwrap() = "http://tandem.example".to_owned();
    for _ in 0..12 {
        world.run().await;
    }
    let tries = world.google_calls(WATCH);
    assert!((2..=9).contains(&tries), "{tries} tries in twelve hours");
}

#[tokio::test]
async fn r07_a_renewal_that_fails_twice_is_made_up_for_before_the_channel_ends() {
    let world = drive().await;
    let until = world.push().await.unwrap().until;
    world.clock.advance(Duration::from_secs(6 * DAY));
    *world.opened.public.lock().unwrap() = "http://tandem.example".to_owned();
    world.run().await;
    world.run().await;
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.until), (PushState::On, until), "the old one still tells");
    let letter = changed(&world, "offer.txt").await;
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 1));
    *world.opened.public.lock().unwrap() = "https://tandem.example".to_owned();
    world.settle().await;
    world.run().await;
    world.run().await;
    let renewed = world.push().await.unwrap();
    assert!(renewed.state == PushState::On && renewed.until > until, "{renewed:?}");
}

#[tokio::test]
async fn a_channel_that_ended_while_nothing_ran_shows_as_lapsed_and_the_next_run_opens_another() {
    let world = drive().await;
    world.clock.advance(Duration::from_secs(8 * DAY));
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.until), (PushState::Lapsed, None));
    assert!(push.reason.is_some());
    world.run().await;
    assert_eq!(state(&world).await, Some(PushState::On));
    assert_eq!(world.google_calls(STOP), 0, "what has ended needs no closing");
}

#[tokio::test]
async fn with_the_vendors_limits_there_is_no_channel_and_turning_them_on_closes_it() {
    let world = drive().await;
    world.configures(|sync| drop(sync.settings.insert("limits".to_owned(), json!("vendor")))).await;
    world.run().await;
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.until), (PushState::Off, None));
    assert!(push.reason.unwrap().contains("vendor"));
    assert_eq!((world.google_calls(WATCH), world.google_calls(STOP)), (1, 1));
}

#[tokio::test]
async fn a_sync_that_goes_closes_its_channels_and_is_not_heard_of_again() {
    let world = drive().await;
    let letter = changed(&world, "offer.txt").await;
    world.engine.stop_push(&world.sync().await).await.unwrap();
    assert_eq!(world.google_calls(STOP), 1);
    assert_eq!(state(&world).await, Some(PushState::Off));
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 0));
    assert!(world.letters().is_empty(), "Google has stopped");
    world.store.delete_sync(&world.sync().await).await.unwrap();
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 0));
    assert_eq!(world.push().await, None);
}

#[tokio::test]
async fn a_sync_whose_grant_is_gone_stops_listening_all_the_same() {
    let world = drive().await;
    let letter = changed(&world, "offer.txt").await;
    let sync = world.sync().await;
    let connection = world.store.connection(&sync.remote).await.unwrap().unwrap();
    world.store.delete_connection(&connection).await.unwrap();
    world.engine.stop_push(&sync).await.unwrap();
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 0));
}

#[tokio::test]
async fn a_sync_that_was_switched_off_is_told_again_once_it_runs() {
    let world = drive().await;
    world.configures(|sync| sync.enabled = false).await;
    world.engine.stop_push(&world.sync().await).await.unwrap();
    let now = tandem_ports::infra::Clock::now(&*world.clock);
    let mut sync = world.sync().await;
    sync.enabled = true;
    world.store.configure_sync(&sync, Some(now)).await.unwrap();
    world.run().await;
    assert_eq!((state(&world).await, world.google_calls(WATCH)), (Some(PushState::On), 2));
}

#[tokio::test]
async fn every_calendar_of_a_sync_has_a_channel_and_one_that_is_not_chosen_any_more_loses_it() {
    let world = World::begins("teamleader-google-calendar", json!({})).await;
    let team = world.google.user_does(super::ACCOUNT, "calendar", &json!({"calendar": {"summary": "Team"}}));
    let chosen = json!(["primary", team["id"]]);
    world.configures(|sync| drop(sync.settings.insert("source_calendars".to_owned(), chosen))).await;
    world.start().await;
    assert_eq!(world.post().await, [200, 200], "two greetings");
    assert_eq!((state(&world).await, world.google_calls("/watch")), (Some(PushState::On), 2));
    world.configures(|sync| drop(sync.settings.insert("source_calendars".to_owned(), json!(["primary"])))).await;
    world.clock.advance(Duration::from_secs(3_700));
    while world.work_once().await {}
    assert_eq!((world.google_calls("/watch"), world.google_calls(STOP)), (2, 1));
}

#[tokio::test]
async fn a_calendar_that_cannot_be_watched_silences_no_other_and_is_asked_for_once_a_day() {
    let world = World::begins("teamleader-google-calendar", json!({})).await;
    let chosen = json!(["gone@group.calendar.google.com", "primary"]);
    world.configures(|sync| drop(sync.settings.insert("source_calendars".to_owned(), chosen))).await;
    world.start().await;
    assert_eq!(world.post().await, [200], "the greeting of the one that is there");
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.reason), (PushState::On, None));
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(3_700));
        while world.work_once().await {}
    }
    assert_eq!(world.google_calls("/watch"), 2, "one each");
    world.clock.advance(Duration::from_secs(DAY));
    while world.work_once().await {}
    assert_eq!((world.google_calls("/watch"), state(&world).await), (3, Some(PushState::On)));
}

#[tokio::test]
async fn a_change_in_a_calendar_is_told_to_the_run_that_waits_for_the_crm() {
    let world = World::begins("teamleader-google-calendar", json!({})).await;
    world.start().await;
    drop(world.letters());
    let event = json!({"event": {"summary": "Lunch", "start": {"date": "2026-02-01"}, "end": {"date": "2026-02-02"}}});
    world.google.user_does(super::ACCOUNT, "insert", &event);
    let before = world.queue.len();
    assert_eq!(world.post().await, [200]);
    assert_eq!(world.queue.len(), before);
    assert_eq!(world.store.open_run(&SyncId::new("sync-1")).await.unwrap().unwrap().heard, 1);
}

#[tokio::test]
async fn a_mailbox_is_watched_again_every_day_and_left_alone_only_when_nobody_listens() {
    let world = World::begins("teamleader-gmail", json!({})).await;
    world.run().await;
    assert_eq!(world.google_calls("/watch"), 1);
    world.run().await;
    assert_eq!(world.google_calls("/watch"), 1);
    world.clock.advance(Duration::from_secs(DAY));
    world.run().await;
    assert_eq!(world.google_calls("/watch"), 2);
    let other = SyncId::new("sync-2");
    world.store.listen("gmail", super::ACCOUNT, &other).await.unwrap();
    world.engine.stop_push(&world.sync().await).await.unwrap();
    assert_eq!(world.google_calls("/users/me/stop"), 0, "somebody else listens to this mailbox");
    world.run().await;
    world.store.turn_away("gmail", super::ACCOUNT, &other).await.unwrap();
    world.engine.stop_push(&world.sync().await).await.unwrap();
    assert_eq!(world.google_calls("/users/me/stop"), 1);
}

#[tokio::test]
async fn a_mailbox_that_does_not_tell_any_more_is_said_on_the_page_and_the_schedule_covers() {
    let world = World::begins("teamleader-gmail", json!({"track": "all_known"})).await;
    world.run().await;
    assert_eq!(world.push().await.unwrap().state, PushState::On);
    // It cannot be renewed, and at last it ends; the schedule finds what came.
    for (days, state) in [(6, PushState::On), (1, PushState::Lapsed)] {
        world.clock.advance(Duration::from_secs(days * DAY));
        world.google.mail_arrives("jan@example.com", b"From: a@b.example\r\n\r\nx\r\n", &["INBOX"]);
        world.google.inject(&[Fault::Forbidden]);
        assert_eq!(world.run().await.counts.remote.read, 1);
        assert_eq!(world.push().await.unwrap().state, state);
    }
    let push = world.push().await.unwrap();
    let reason = push.reason.unwrap();
    assert!(reason.starts_with("Gmail does not notify us: ") && reason.contains("schedule"), "{reason}");
    world.clock.advance(Duration::from_secs(6 * 3_600));
    world.run().await;
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.reason), (PushState::On, None));
}

#[tokio::test]
async fn dropbox_needs_no_channel_and_is_on_without_end() {
    let world = World::begins("teamleader-dropbox", json!({})).await;
    world.run().await;
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.until), (PushState::On, None));
    world.engine.stop_push(&world.sync().await).await.unwrap();
    world.remote_saves("offer.txt", "bytes");
    assert_eq!(world.post().await, [200]);
    assert!(world.queue.is_empty());
}
