//! The CRMs' own notifications: the left side of a sync tells as the right one does.
use super::world::{ACCOUNT, Letter, World};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tandem_core::record::{Side, SyncId};
use tandem_ports::infra::{Job, Trigger};
use tandem_store::channel::PushState;
use tandem_store::run::RunState;
use tandem_teamleader::fake::{Edit, Fault};

/// A contacts sync that has run once and listens; nothing waits to be told.
async fn contacts_of(crm: &str) -> World {
    let world = World::begins_on(crm, &format!("{crm}-google-contacts"), json!({})).await;
    world.run().await;
    assert_eq!(world.letters().len(), 0);
    world
}

async fn contacts() -> World {
    contacts_of("teamleader").await
}

async fn both() -> [World; 2] {
    [contacts_of("teamleader").await, contacts_of("zoho").await]
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn person(last: &str) -> Edit {
    let email = format!("{}@example.com", last.to_lowercase());
    let fields = json!({"first_name": "An", "last_name": last, "emails": [{"type": "primary", "email": email}]});
    Edit { fields: object(fields), ..Edit::default() }
}

pub(super) fn zoho_person(last: &str) -> Value {
    json!({"First_Name": "An", "Last_Name": last, "Email": format!("{}@example.com", last.to_lowercase())})
}

impl World {
    /// Somebody makes a contact in the CRM; what the CRM tells of it.
    fn crm_makes(&self, last: &str) -> (String, Letter) {
        let id = match self.zoho.channels() {
            0 => self.teamleader.user_creates(ACCOUNT, person(last)),
            _ => self.zoho.user_creates(ACCOUNT, "Contacts", zoho_person(last)),
        };
        let mut letters = self.letters();
        assert_eq!(letters.len(), 1, "one webhook, one notification");
        (id, letters.remove(0))
    }

    /// The last names of the people in Google.
    pub(super) fn google_people(&self) -> Vec<String> {
        let state = self.google.state(ACCOUNT);
        let people = state["people"].as_array().unwrap().iter();
        let mut names: Vec<String> =
            people.map(|one| one["names"][0]["familyName"].as_str().unwrap_or_default().to_owned()).collect();
        names.sort();
        names
    }

    fn registered(&self) -> usize {
        self.teamleader.webhooks(ACCOUNT).as_array().unwrap().len()
    }

    fn calls_of(&self, method: &str) -> usize {
        self.teamleader.calls().iter().filter(|(called, _)| called == method).count()
    }

    /// How often the CRM's lists were asked.
    fn crm_looks(&self) -> usize {
        let of_zoho = self.zoho.calls().into_iter().filter(|(_, path, _)| path.starts_with("/crm/v8/Contacts"));
        self.calls_of("contacts.list") + of_zoho.count()
    }
}

impl Letter {
    fn to(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }
    fn saying(&self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self.clone() }
    }
}

#[tokio::test]
async fn a_contact_made_in_the_crm_is_in_google_by_one_push_and_one_job() {
    for world in both().await {
        let (_, letter) = world.crm_makes("Peeters");
        assert_eq!(world.send(&letter).await, 200);
        assert_eq!(world.queue.len(), 1);
        let run = world.settle().await;
        assert_eq!((run.trigger, run.state), (Trigger::Push, RunState::Done));
        assert_eq!(world.google_people(), ["Peeters"], "{run:?}");
        let push = world.push().await.unwrap();
        assert_eq!((push.state, push.reason, push.sides), (PushState::On, None, vec![Side::Left]));
    }
}

#[tokio::test]
async fn an_edit_and_a_deletion_in_the_crm_are_told_and_the_deletion_is_proved_by_the_lists() {
    let world = contacts().await;
    let (id, letter) = world.crm_makes("Peeters");
    world.send(&letter).await;
    world.settle().await;
    world.clock.advance(Duration::from_secs(60));
    let edit = Edit { fields: object(json!({"last_name": "Claes"})), ..Edit::default() };
    world.teamleader.user_edits(ACCOUNT, &id, edit);
    assert_eq!((world.post().await, world.queue.len()), (vec![200], 1));
    world.settle().await;
    assert_eq!(world.google_people(), ["Claes"]);
    world.crm_makes("Other");
    world.clock.advance(Duration::from_secs(60));
    world.run().await;
    world.teamleader.user_deletes(ACCOUNT, &id);
    let letters = world.letters();
    assert!(letters[0].body.contains("contact.deleted"), "{letters:?}");
    assert_eq!((world.send(&letters[0]).await, world.queue.len()), (200, 1));
    assert_eq!(world.settle().await.trigger, Trigger::Push);
    assert_eq!(world.google_people(), ["Other"]);
}

#[tokio::test]
async fn a_companys_change_in_teamleader_is_at_its_contacts_in_google_by_a_push() {
    let world = contacts().await;
    let company = world.teamleader.user_creates_company(ACCOUNT, &object(json!({"name": "Old"})));
    let links = Some(json!([{"position": "Buyer", "company": {"type": "company", "id": company}}]));
    world.teamleader.user_creates(ACCOUNT, Edit { companies: links, ..person("Peeters") });
    world.post().await;
    world.settle().await;
    world.clock.advance(Duration::from_secs(5));
    world.teamleader.user_edits_company(ACCOUNT, &company, &object(json!({"name": "New"})));
    assert_eq!((world.post().await, world.queue.len()), (vec![200], 1));
    assert_eq!(world.settle().await.trigger, Trigger::Push);
    let people = &world.google.state(ACCOUNT)["people"];
    assert_eq!(people[0]["organizations"][0]["name"], "New");
}

#[tokio::test]
async fn our_own_writes_to_the_crm_set_off_one_quiet_run_at_most_and_then_silence() {
    let world = contacts_of("zoho").await;
    for last in ["Peeters", "Claes", "Maes"] {
        world.send(&world.crm_makes(last).1).await;
    }
    world.settle().await;
    for person in world.google.state(ACCOUNT)["people"].as_array().unwrap() {
        let fields = object(json!({"phoneNumbers": [{"type": "work", "value": "+32 9 298 06 15"}]}));
        let edit = tandem_google::fake::Edit { fields, ..Default::default() };
        world.google.user_edits(ACCOUNT, person["resourceName"].as_str().unwrap(), edit);
    }
    let run = world.run().await;
    let letters = world.letters();
    assert_eq!((run.counts.crm.updated, letters.len()), (3, 3), "each write is told: {run:?}");
    for letter in letters.iter().chain(&letters) {
        assert_eq!(world.send(letter).await, 200);
    }
    assert_eq!(world.queue.len(), 1, "the budget: one more run for all of them");
    let run = world.settle().await;
    assert_eq!((run.trigger, run.state, run.counts.writes()), (Trigger::Push, RunState::Done, 0));
    assert!(world.letters().is_empty() && world.queue.is_empty(), "a quiet run tells nobody");
}

#[tokio::test]
async fn a_burst_of_the_crms_is_one_job_however_it_is_doubled_and_reordered() {
    for world in both().await {
        let mut letters: Vec<Letter> = ["A", "B", "C", "D"].iter().map(|last| world.crm_makes(last).1).collect();
        letters.reverse();
        let (a, b) = tokio::join!(world.send(&letters[0]), world.send(&letters[1]));
        assert_eq!((a, b, world.queue.len()), (200, 200, 1));
        for letter in letters.iter().chain(&letters) {
            assert_eq!(world.send(letter).await, 200);
        }
        assert_eq!(world.queue.len(), 1);
        world.settle().await;
        assert_eq!(world.google_people(), ["A", "B", "C", "D"]);
    }
}

#[tokio::test]
async fn what_the_crm_tells_during_a_run_is_looked_at_exactly_once_more() {
    for world in both().await {
        looked_at_once_more(&world).await;
    }
}

async fn looked_at_once_more(world: &World) {
    let (_, letter) = world.crm_makes("Peeters");
    let looks = async |midway: Option<&Letter>| {
        world.clock.advance(Duration::from_secs(60));
        let before = world.crm_looks();
        assert_eq!(world.send(&letter).await, 200);
        if let Some(letter) = midway {
            world.comes_midway(letter);
        }
        let run = world.settle().await;
        assert_eq!((run.state, world.queue.is_empty()), (RunState::Done, true));
        world.crm_looks() - before
    };
    looks(None).await;
    let once = looks(None).await;
    assert_eq!(looks(Some(&letter)).await, 2 * once, "one look, and one more");
}

#[tokio::test]
async fn a_secret_that_is_wrong_is_refused_and_one_of_nobody_is_ignored_both_without_work() {
    let world = contacts().await;
    let (_, letter) = world.crm_makes("Peeters");
    let (channel, token) = letter.path.rsplit_once('/').unwrap().1.split_once('-').unwrap();
    assert!(channel.len() == 18 && channel.bytes().all(|digit| digit.is_ascii_digit()) && token.len() == 48);
    let mut almost = token.to_owned();
    almost.replace_range(47.., if almost.ends_with('0') { "1" } else { "0" });
    let before = world.table.requests();
    for wrong in [almost.as_str(), "guess", &token.to_uppercase(), &format!("{token}0")] {
        assert_eq!(world.send(&letter.to(&format!("/webhooks/teamleader/{channel}-{wrong}"))).await, 403, "{wrong}");
    }
    assert_eq!(world.table.requests() - before, 4, "one look each, and nothing else");
    let before = world.table.requests();
    for nobodys in ["guess", channel, &format!("{channel}-"), &format!("-{token}")] {
        assert_eq!(world.send(&letter.to(&format!("/webhooks/teamleader/{nobodys}"))).await, 200, "{nobodys}");
    }
    assert_eq!(world.table.requests(), before, "what is not even of our form is not looked for");
    assert_eq!(world.send(&letter.to(&format!("/webhooks/teamleader/100000000000000000-{token}"))).await, 200);
    assert!(world.queue.is_empty() && world.sync().await.current_run.is_none());
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 1));
}

#[tokio::test]
async fn a_body_of_the_crms_that_is_no_notification_or_too_large_is_refused_without_a_look() {
    let world = contacts().await;
    let (_, letter) = world.crm_makes("Peeters");
    let before = world.table.requests();
    for wrong in ["", "{", "[]", "null", "\"contact.added\"", "{}", r#"{"type":null}"#, "\u{0}\u{1}"] {
        assert_eq!(world.send(&letter.saying(wrong)).await, 400, "{wrong}");
    }
    let huge = format!(r#"{{"type":"contact.added","more":"{}"}}"#, "x".repeat(300_000));
    assert_eq!(world.send(&letter.saying(&huge)).await, 413);
    let request = Request::get(&letter.path).body(Body::empty()).unwrap();
    assert_eq!(world.ask(request).await.0, 404, "it is told, not asked");
    assert_eq!((world.table.requests(), world.queue.is_empty()), (before, true));
}

#[tokio::test]
async fn no_secret_of_an_address_is_in_the_table() {
    let world = contacts().await;
    let (_, letter) = world.crm_makes("Peeters");
    let (channel, token) = letter.path.rsplit_once('/').unwrap().1.split_once('-').unwrap();
    let stored: Vec<String> = world.table.dump().iter().map(|item| format!("{item:?}")).collect();
    assert!(stored.iter().any(|item| item.contains(channel)));
    assert!(stored.iter().all(|item| !item.contains(token)));
}

#[tokio::test]
async fn a_crm_that_was_disconnected_or_waits_for_a_person_sets_off_nothing() {
    let world = contacts().await;
    let (_, letter) = world.crm_makes("Peeters");
    world.teamleader.revoke(ACCOUNT);
    world.configures(|sync| sync.state = tandem_store::sync::SyncState::Paused).await;
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 0));
    let sync = world.sync().await;
    let crm = world.store.connection(&sync.crm).await.unwrap().unwrap();
    world.store.delete_connection(&crm).await.unwrap();
    world.engine.stop_push(&sync).await.unwrap();
    world.configures(|sync| sync.state = tandem_store::sync::SyncState::Idle).await;
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 0), "nobody listens to it any more");
}

#[tokio::test]
async fn the_webhook_of_a_sync_is_another_one_each_day_and_goes_with_it_and_those_of_others_stay() {
    let world = contacts().await;
    let theirs = json!({"url": "https://other.example/hook", "types": ["contact.added"]});
    let ask = Request::post("https://api.focus.teamleader.eu/webhooks.register").body(theirs.to_string().into());
    let done = world.teamleader.authorised(ACCOUNT).send(ask.unwrap()).await.unwrap();
    assert_eq!((done.status().as_u16(), world.registered()), (204, 2));
    world.run().await;
    assert_eq!(world.calls_of("webhooks.register"), 2, "ours, once, and theirs");
    let (_, old) = {
        let id = world.teamleader.user_creates(ACCOUNT, person("Peeters"));
        (id, world.letters().into_iter().find(|letter| letter.path.starts_with("/webhooks/")).unwrap())
    };
    world.clock.advance(Duration::from_secs(86_400));
    world.run().await;
    assert_eq!((world.registered(), world.calls_of("webhooks.register")), (2, 3));
    assert_eq!((world.send(&old).await, world.queue.len()), (200, 0), "the old one is nothing to us any more");
    world.engine.stop_push(&world.sync().await).await.unwrap();
    assert_eq!(world.teamleader.webhooks(ACCOUNT), json!([theirs]));
    assert_eq!(world.push().await.unwrap().state, PushState::Off);
}

#[tokio::test]
async fn a_registration_whose_answer_is_lost_leaves_no_webhook_behind() {
    let world = World::begins_on("teamleader", "teamleader-google-contacts", json!({})).await;
    world.teamleader.inject_on(Fault::LoseAnswer, &["webhooks.register"]);
    world.run().await;
    assert_eq!((world.push().await.unwrap().state, world.registered()), (PushState::Lapsed, 0), "taken back at once");
    world.clock.advance(Duration::from_secs(6 * 3_600));
    // The taking back fails, too.
    world.teamleader.inject_on(Fault::LoseAnswer, &["webhooks.register"]);
    world.teamleader.inject_on(Fault::Unavailable, &["webhooks.list"]);
    world.run().await;
    assert_eq!((world.push().await.unwrap().state, world.registered()), (PushState::Lapsed, 1));
    world.clock.advance(Duration::from_secs(6 * 3_600));
    world.run().await;
    assert_eq!((world.push().await.unwrap().state, world.registered()), (PushState::On, 1), "ours, and no other");
    let (_, letter) = world.crm_makes("Peeters");
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 1), "the one that is left is the one that tells");
}

#[tokio::test]
async fn a_webhook_that_could_not_be_taken_back_goes_with_the_next_days_look_of_another_sync_and_those_of_others_stay()
{
    let world = contacts().await;
    let others = ["https://other.example/hook", "https://tandem.example/webhooks/teamleader/of-somebody"];
    for url in others {
        let theirs = json!({"url": url, "types": ["contact.added"]}).to_string();
        let ask = Request::post("https://api.focus.teamleader.eu/webhooks.register").body(theirs.into()).unwrap();
        assert_eq!(world.teamleader.authorised(ACCOUNT).send(ask).await.unwrap().status().as_u16(), 204);
    }
    world.adds_sync("other", "teamleader-google-contacts", json!({})).await;
    world.run().await;
    assert_eq!(world.registered(), 4, "one for each sync, and those of others");
    world.teamleader.inject_on(Fault::Throttle { seconds: 600 }, &["webhooks.list"]);
    let mut other = world.store.sync(&SyncId::new("other")).await.unwrap().unwrap();
    other.enabled = false;
    world.store.configure_sync(&other, None).await.unwrap();
    world.engine.stop_push(&other).await.unwrap();
    assert_eq!(world.registered(), 4, "Teamleader had no time");
    world.run().await;
    assert_eq!(world.registered(), 4, "no look before its day");
    world.clock.advance(Duration::from_secs(86_400));
    world.run().await;
    let left = world.teamleader.webhooks(ACCOUNT);
    let left: Vec<&str> = left.as_array().unwrap().iter().map(|one| one["url"].as_str().unwrap()).collect();
    assert!(left.len() == 3 && others.iter().all(|url| left.contains(url)), "{left:?}");
    world.teamleader.user_creates(ACCOUNT, person("Peeters"));
    for letter in world.letters().into_iter().filter(|letter| letter.path.starts_with("/webhooks/")) {
        world.send(&letter).await;
    }
    assert_eq!(world.queue.len(), 1, "and the first sync's own, which tells");
}

#[tokio::test]
async fn webhooks_that_were_taken_back_cost_a_job_one_look_and_are_forgotten_after_a_week() {
    let world = contacts().await;
    let sync = world.sync().await.id;
    let quiet = async || {
        world.run().await;
        let before = world.table.requests();
        world.run().await;
        world.table.requests() - before
    };
    let none = quiet().await;
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(86_400));
        world.run().await;
    }
    let book = world.store.push_book(&sync, Side::Left).await.unwrap().unwrap();
    assert_eq!((book.channels.len(), book.closed.len()), (1, 5));
    assert_eq!(quiet().await, none + 2, "one look for all five in each of a run's two jobs");
    for _ in 0..15 {
        world.clock.advance(Duration::from_secs(86_400));
        world.run().await;
    }
    let closed = world.store.push_book(&sync, Side::Left).await.unwrap().unwrap().closed;
    assert!((5..=8).contains(&closed.len()), "{}", closed.len());
}

#[tokio::test]
async fn a_webhook_that_cannot_be_registered_is_said_and_the_schedule_covers() {
    let world = World::begins_on("teamleader", "teamleader-google-contacts", json!({})).await;
    world.teamleader.inject_on(Fault::Forbidden, &["webhooks.register"]);
    world.teamleader.user_creates(ACCOUNT, person("Peeters"));
    world.run().await;
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.sides.len()), (PushState::Lapsed, 0));
    assert!(push.reason.unwrap().starts_with("Teamleader does not notify us: "));
    assert_eq!(world.google_people(), ["Peeters"]);
    world.clock.advance(Duration::from_secs(6 * 3_600));
    world.run().await;
    assert_eq!(world.push().await.unwrap().state, PushState::On);
}

#[tokio::test]
async fn a_calendar_sync_is_told_by_both_sides_and_shows_the_worse_of_them() {
    let world = World::begins_on("teamleader", "teamleader-google-calendar", json!({})).await;
    world.start().await;
    let push = world.push().await.unwrap();
    assert_eq!((push.state, push.sides), (PushState::On, vec![Side::Left, Side::Right]));
    assert!(push.until.is_some(), "until Google's ends");
    assert_eq!(world.teamleader.webhooks(ACCOUNT)[0]["types"][0], "meeting.created");
    world.clock.advance(Duration::from_secs(8 * 86_400));
    assert_eq!(world.push().await.unwrap().state, PushState::Lapsed, "Google's has ended");
    world.engine.stop_push(&world.sync().await).await.unwrap();
    assert_eq!((world.registered(), world.push().await.unwrap().state), (0, PushState::Off));
}

#[tokio::test]
async fn a_calendar_that_carries_other_activities_is_told_of_them_from_its_next_run_on() {
    let world = World::begins_on("teamleader", "teamleader-google-calendar", json!({})).await;
    world.start().await;
    let has = |what: &str| world.teamleader.webhooks(ACCOUNT)[0]["types"].as_array().unwrap().contains(&json!(what));
    assert!(has("meeting.created") && !has("task.created"));
    let chosen = json!(["meetings", "calls", "tasks"]);
    world.configures(|sync| drop(sync.settings.insert("activities".to_owned(), chosen))).await;
    world.start().await;
    assert!(has("meeting.created") && has("task.created") && !has("call.added"));
    assert_eq!(world.registered(), 1, "the one before is taken back");
}

#[tokio::test]
async fn with_the_vendors_limits_the_crm_is_not_asked_to_tell() {
    let world = World::begins_on("teamleader", "teamleader-google-contacts", json!({"limits": "vendor"})).await;
    world.run().await;
    assert_eq!((world.calls_of("webhooks.register"), world.push().await.unwrap().state), (0, PushState::Off));
}

#[tokio::test]
async fn a_notification_of_the_crms_costs_four_requests_of_the_table_one_job_and_none_at_the_crm() {
    for world in both().await {
        let (_, letter) = world.crm_makes("Peeters");
        let calls = || world.teamleader.calls().len() + world.zoho.calls().len();
        let (table, before) = (world.table.requests(), calls());
        world.send(&letter).await;
        let first = world.table.requests() - table;
        world.send(&letter).await;
        assert_eq!((first, world.table.requests() - table - first), (4, 4), "a first one, and one that joins");
        assert_eq!(calls(), before);
        let Some(Job::Sync { trigger, run, .. }) = world.queue.take(0) else { panic!("one job") };
        assert_eq!((trigger, run.is_some()), (Trigger::Push, true));
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "its own time is what is asked")]
async fn a_crms_notification_is_answered_within_50_ms_of_our_own_time() {
    for world in both().await {
        let mut times: Vec<Duration> = Vec::new();
        for number in 0..200 {
            let (_, letter) = world.crm_makes(&format!("P{number}"));
            let begun = std::time::Instant::now();
            assert_eq!(world.send(&letter).await, 200);
            times.push(begun.elapsed());
        }
        times.sort();
        println!("{} notifications: p95 {:?}, slowest {:?}", times.len(), times[189], times[199]);
        assert!(times[189] < Duration::from_millis(50), "p95 is {:?}", times[189]);
    }
}
