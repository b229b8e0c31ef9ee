//! `zoho-google-calendar` on Zoho CRM itself: seed 001's sister.
use scenarios::{GOOGLE, Story, VENDOR};
use serde_json::{Value, json};
use tandem_store::run::RunState;

async fn story(settings: Value) -> Story {
    Story::begins_on("zoho", "zoho-google-calendar", settings).await
}

fn in_zoho(story: &Story) -> Vec<Value> {
    story.zoho.state("Events")["records"].as_array().cloned().unwrap_or_default()
}

fn zoho_event(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = in_zoho(story).into_iter().filter(|event| event["Event_Title"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Zoho {} times", found.len());
    found[0].clone()
}

fn in_google(story: &Story) -> Vec<Value> {
    story.google.events(GOOGLE, "primary").into_iter().filter(|event| event["status"] != "cancelled").collect()
}

fn google_event(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = in_google(story).into_iter().filter(|event| event["summary"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Google {} times", found.len());
    found[0].clone()
}

fn instant(text: &Value) -> jiff::Timestamp {
    text.as_str().expect("a time").parse().expect("a time")
}

fn in_app(story: &Story, what: &str, body: Value) {
    story.google.user_does(GOOGLE, what, &body);
}

fn written(story: &Story) -> usize {
    story.zoho.calls().iter().chain(&story.google.calls()).map(|(_, _, writes)| writes).sum()
}

async fn three_quiet_rounds(story: &Story) {
    let before = (written(story), in_zoho(story).len(), in_google(story).len());
    for _ in 0..3 {
        let run = story.run().await;
        assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    }
    let after = (written(story), in_zoho(story).len(), in_google(story).len());
    assert_eq!(after, before, "three rounds without growth");
}

fn visit() -> Value {
    json!({ "Event_Title": "Visit", "Start_DateTime": "2026-12-01T10:00:00+01:00", "Venue": "Gent",
        "End_DateTime": "2026-12-01T11:00:00+01:00", "Description": "Bring bread", "$send_notification": false,
        "Participants": [{ "type": "email", "participant": "an@example.com" }] })
}

fn lunch() -> Value {
    json!({ "summary": "Lunch", "location": "Aalst",
        "start": { "dateTime": "2026-12-02T11:00:00Z", "timeZone": "Europe/Brussels" },
        "end": { "dateTime": "2026-12-02T12:00:00Z", "timeZone": "Europe/Brussels" } })
}

async fn in_step(settings: Value) -> (Story, String) {
    let story = story(settings).await;
    let id = story.zoho.user_creates(VENDOR, "Events", visit());
    in_app(&story, "insert", json!({ "event": lunch() }));
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created, run.counts.remote.created), (RunState::Done, 1, 1), "{run:?}");
    (story, id)
}

#[tokio::test]
async fn appointments_go_both_ways_nobody_gets_mail_and_nothing_grows() {
    let (story, _) = in_step(json!({})).await;
    let there = google_event(&story, "Visit");
    assert_eq!((&there["location"], &there["description"]), (&json!("Gent"), &json!("Bring bread")));
    assert_eq!(instant(&there["start"]["dateTime"]), instant(&json!("2026-12-01T09:00:00Z")));
    assert_eq!(there["attendees"][0]["email"], "an@example.com");
    let here = zoho_event(&story, "Lunch");
    assert_eq!(instant(&here["Start_DateTime"]), instant(&json!("2026-12-02T11:00:00Z")));
    assert_eq!(here["Venue"], "Aalst");
    assert_eq!(story.zoho.mails(), 0);
    three_quiet_rounds(&story).await;
}

#[tokio::test]
async fn edits_travel_both_ways() {
    let (story, id) = in_step(json!({})).await;
    story.zoho.user_edits_in(VENDOR, "Events", &id, json!({ "Venue": "Brugge", "$send_notification": false }));
    let lunch = google_event(&story, "Lunch")["id"].clone();
    in_app(&story, "patch", json!({ "id": lunch, "event": { "summary": "Late lunch" } }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (1, 1), "{run:?}");
    assert_eq!(google_event(&story, "Visit")["location"], "Brugge");
    zoho_event(&story, "Late lunch");
    three_quiet_rounds(&story).await;
}

#[tokio::test]
async fn deletions_travel_both_ways() {
    let (story, id) = in_step(json!({ "max_delete_percent": 100 })).await;
    assert!(story.zoho.user_deletes_from(VENDOR, "Events", &id));
    let lunch = google_event(&story, "Lunch")["id"].clone();
    in_app(&story, "delete", json!({ "id": lunch }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.deleted), (1, 1), "{run:?}");
    assert_eq!((in_zoho(&story).len(), in_google(&story).len()), (0, 0));
    three_quiet_rounds(&story).await;
}

#[tokio::test]
async fn while_the_default_calendar_is_the_crms_nothing_is_written_at_google() {
    let story = story(json!({ "default_calendar": "crm" })).await;
    story.zoho.user_creates(VENDOR, "Events", visit());
    in_app(&story, "insert", json!({ "event": lunch() }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (1, 0), "{run:?}");
    assert_eq!(in_google(&story).len(), 1);
    three_quiet_rounds(&story).await;
}
