//! Zoho's notifications: the token in the body proves them, and their channels end after a week.
use super::crms::zoho_person;
use super::world::{ACCOUNT, Letter, World};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_ports::infra::Trigger;
use tandem_store::channel::{ChannelState, PushState};
use tandem_zoho::fake::Fault;

const WATCH: &str = "/crm/v8/actions/watch";
const DAY: u64 = 86_400;

async fn contacts() -> World {
    let world = World::begins_on("zoho", "zoho-google-contacts", json!({})).await;
    world.run().await;
    world
}

impl World {
    fn zoho_makes(&self, last: &str) -> Letter {
        self.zoho.user_creates(ACCOUNT, "Contacts", zoho_person(last));
        self.letters().remove(0)
    }

    fn watches(&self, method: &str) -> usize {
        self.zoho.calls().iter().filter(|(by, path, _)| by == method && path == WATCH).count()
    }
}

impl Letter {
    /// The same with another member of its body.
    fn but(&self, member: &str, value: Value) -> Self {
        let mut body: Value = serde_json::from_str(&self.body).unwrap();
        body[member] = value;
        Self { body: body.to_string(), ..self.clone() }
    }
    fn member(&self, member: &str) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body[member].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_edit_and_a_deletion_in_zoho_are_in_google_by_a_push_each() {
    let world = contacts().await;
    let id = world.zoho.user_creates(ACCOUNT, "Contacts", zoho_person("Peeters"));
    world.zoho.user_creates(ACCOUNT, "Contacts", zoho_person("Other"));
    world.post().await;
    world.settle().await;
    world.clock.advance(Duration::from_secs(120));
    world.zoho.user_edits(ACCOUNT, &id, json!({"Last_Name": "Claes"}));
    assert_eq!((world.post().await, world.queue.len()), (vec![200], 1));
    assert_eq!(world.settle().await.trigger, Trigger::Push);
    assert_eq!(world.google_people(), ["Claes", "Other"]);
    world.clock.advance(Duration::from_secs(120));
    world.zoho.user_deletes(ACCOUNT, &id);
    assert_eq!((world.post().await, world.queue.len()), (vec![200], 1));
    world.settle().await;
    assert_eq!(world.google_people(), ["Other"]);
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_an_unknown_channel_is_ignored() {
    let world = contacts().await;
    let letter = world.zoho_makes("Peeters");
    let token = letter.member("token");
    assert!(token.len() <= 50 && letter.member("channel_id").parse::<i64>().is_ok(), "as Zoho takes them");
    let mut almost = token.clone();
    almost.replace_range(47.., if token.ends_with('0') { "1" } else { "0" });
    let before = world.table.requests();
    for wrong in ["", "guess", &almost, &token.to_uppercase()] {
        assert_eq!(world.send(&letter.but("token", json!(wrong))).await, 403, "{wrong}");
    }
    assert_eq!(world.table.requests() - before, 4, "one look each, and nothing else");
    for unknown in
        [json!("1105420521999070702"), json!(1_105_420_521_999_070_702_u64), json!(""), json!("x".repeat(4_000))]
    {
        assert_eq!(world.send(&letter.but("channel_id", unknown)).await, 200);
    }
    assert!(world.queue.is_empty() && world.sync().await.current_run.is_none());
    let number: u64 = letter.member("channel_id").parse().unwrap();
    assert_eq!((world.send(&letter.but("channel_id", json!(number))).await, world.queue.len()), (200, 1));
}

#[tokio::test]
async fn a_body_of_zohos_that_is_no_notification_or_too_large_is_refused_without_a_look() {
    let world = contacts().await;
    let letter = world.zoho_makes("Peeters");
    let before = world.table.requests();
    for wrong in ["", "{", "[]", "null", "{}", r#"{"channel_id":"1"}"#, r#"{"token":"t"}"#, "\u{0}"] {
        assert_eq!(world.send(&Letter { body: wrong.to_owned(), ..letter.clone() }).await, 400, "{wrong}");
    }
    assert_eq!(world.send(&letter.but("affected_values", json!("x".repeat(300_000)))).await, 413);
    assert_eq!((world.table.requests(), world.queue.is_empty()), (before, true));
}

#[tokio::test]
async fn no_token_of_zohos_is_in_the_table() {
    let world = contacts().await;
    let letter = world.zoho_makes("Peeters");
    let stored: Vec<String> = world.table.dump().iter().map(|item| format!("{item:?}")).collect();
    assert!(stored.iter().any(|item| item.contains(&letter.member("channel_id"))));
    assert!(stored.iter().all(|item| !item.contains(&letter.member("token"))));
}

#[tokio::test]
async fn a_channel_lives_a_week_and_is_replaced_before_its_end_the_new_one_first() {
    let world = contacts().await;
    let left = world.push().await.unwrap().until.unwrap().as_second()
        - tandem_ports::infra::Clock::now(&*world.clock).as_second();
    assert!((600_000..=601_200).contains(&left), "a week less an hour: {left}");
    world.run().await;
    assert_eq!(world.watches("POST"), 1);
    let old = world.zoho_makes("Peeters");
    world.clock.advance(Duration::from_secs(6 * DAY));
    world.run().await;
    let order: Vec<String> =
        world.zoho.calls().into_iter().filter(|(_, path, _)| path == WATCH).map(|(method, _, _)| method).collect();
    assert_eq!(order, ["POST", "POST", "DELETE"]);
    let new = world.zoho_makes("Claes");
    assert_ne!((old.member("channel_id"), old.member("token")), (new.member("channel_id"), new.member("token")));
    assert_eq!((world.send(&old).await, world.queue.len()), (200, 0), "the old one is nothing to us any more");
    let row = world.store.channel(&old.member("channel_id")).await.unwrap().unwrap();
    assert_eq!(row.state, ChannelState::Haunting);
    assert_eq!((world.send(&new).await, world.queue.len()), (200, 1));
    world.settle().await;
    world.engine.stop_push(&world.sync().await).await.unwrap();
    assert_eq!((world.zoho.channels(), world.push().await.unwrap().state), (0, PushState::Off));
}

#[tokio::test]
async fn without_the_scope_or_after_the_end_the_schedule_covers_and_it_is_said() {
    let world = World::begins_on("zoho", "zoho-google-contacts", json!({})).await;
    world.zoho.inject(&[Fault::ScopeMismatch]);
    world.zoho.user_creates(ACCOUNT, "Contacts", zoho_person("Peeters"));
    world.run().await;
    let push = world.push().await.unwrap();
    let reason = push.reason.unwrap();
    assert_eq!(push.state, PushState::Lapsed);
    assert!(reason.starts_with("Zoho CRM does not notify us: ") && reason.contains("notifications"), "{reason}");
    assert_eq!(world.google_people(), ["Peeters"]);
    world.clock.advance(Duration::from_secs(6 * 3_600));
    world.run().await;
    assert_eq!(world.push().await.unwrap().state, PushState::On);
    world.clock.advance(Duration::from_secs(8 * DAY));
    assert_eq!(world.push().await.unwrap().state, PushState::Lapsed, "nobody has renewed it");
    world.zoho.user_creates(ACCOUNT, "Contacts", zoho_person("Late"));
    assert!(world.letters().is_empty(), "it has ended");
    world.run().await;
    assert_eq!(
        (world.google_people(), world.push().await.unwrap().state),
        (vec!["Late".into(), "Peeters".into()], PushState::On)
    );
}

#[tokio::test]
async fn an_event_in_zoho_is_told_to_its_sync_and_a_contact_is_not() {
    let world = World::begins_on("zoho", "zoho-google-calendar", json!({})).await;
    world.start().await;
    drop(world.letters());
    world.zoho.user_creates(ACCOUNT, "Contacts", zoho_person("Peeters"));
    assert!(world.letters().is_empty(), "it has not asked for contacts");
    let event = json!({"Event_Title": "Lunch", "Start_DateTime": "2026-02-01T12:00:00+01:00",
        "End_DateTime": "2026-02-01T13:00:00+01:00"});
    world.zoho.user_creates(ACCOUNT, "Events", event);
    assert_eq!(world.post().await, [200]);
}
