//! `zoho-google-calendar` on Zoho CRM itself: its tasks, on the day that they are due, beside its events.
use scenarios::{GOOGLE, Story, VENDOR};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tandem_store::run::{Run, RunState};
use tandem_zoho::fake::Fault;

const PROFILE: &str = "zoho-google-calendar";

/// A world with an event and two tasks: the ids of the tasks at Zoho.
struct World {
    story: Story,
    offer: String,
    invoice: String,
}

impl World {
    async fn begins() -> World {
        let settings = json!({ "activities": ["meetings", "tasks"], "max_delete_percent": 100 });
        let story = Story::begins_on("zoho", PROFILE, settings).await;
        let visit = json!({ "Event_Title": "Visit", "Start_DateTime": "2026-12-01T10:00:00+01:00",
            "End_DateTime": "2026-12-01T11:00:00+01:00", "$send_notification": false });
        story.zoho.user_creates(VENDOR, "Events", visit);
        let offer = task(&story, json!({ "Subject": "Offer", "Due_Date": "2026-12-04", "Description": "Two pages" }));
        let invoice = task(&story, json!({ "Subject": "Invoice", "Due_Date": "2026-12-05" }));
        World { story, offer, invoice }
    }
}

fn task(story: &Story, task: Value) -> String {
    story.zoho.user_creates(VENDOR, "Tasks", task)
}

fn edit(story: &Story, id: &str, fields: Value) {
    story.zoho.user_edits_in(VENDOR, "Tasks", id, fields);
}

fn all(story: &Story, module: &str) -> Vec<Value> {
    story.zoho.state(module)["records"].as_array().cloned().unwrap_or_default()
}

fn held(story: &Story, id: &str) -> Value {
    all(story, "Tasks").into_iter().find(|task| task["id"] == id).unwrap_or_default()
}

fn entries(story: &Story) -> Vec<Value> {
    story.google.events(GOOGLE, "primary").into_iter().filter(|event| event["status"] != "cancelled").collect()
}

fn titles(story: &Story) -> Vec<String> {
    let title = |entry: &Value| entry["summary"].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<String> = entries(story).iter().map(title).collect();
    all.sort();
    all
}

fn entry(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = entries(story).into_iter().filter(|event| event["summary"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Google {} times", found.len());
    found[0].clone()
}

fn in_app(story: &Story, what: &str, body: Value) {
    story.google.user_does(GOOGLE, what, &body);
}

fn patch(story: &Story, title: &str, event: Value) {
    in_app(story, "patch", json!({ "id": entry(story, title)["id"], "event": event }));
}

fn on(day: &str, end: &str) -> Value {
    let at = |day: &str| json!({ "date": day, "dateTime": null, "timeZone": null });
    json!({ "start": at(day), "end": at(end) })
}

async fn done(story: &Story) -> Run {
    let run = story.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    run
}

/// Everything on both sides.
fn both(story: &Story) -> Value {
    json!([entries(story), all(story, "Events"), all(story, "Tasks")])
}

fn written(story: &Story) -> usize {
    story.zoho.calls().iter().chain(&story.google.calls()).map(|(_, _, writes)| writes).sum()
}

/// Three further runs write nothing anywhere, and nobody was sent a mail.
async fn quiet(story: &Story) {
    let before = (both(story), written(story));
    for round in 1..=3 {
        let run = done(story).await;
        assert_eq!(run.counts.writes(), 0, "round {round}: {:?}", story.changes(&run).await);
    }
    assert!((both(story), written(story)) == before, "three rounds without growth");
    assert_eq!(story.zoho.mails(), 0);
}

#[tokio::test]
async fn tasks_are_in_google_on_the_day_that_they_are_due_and_by_itself_the_profile_carries_events_alone() {
    let World { story, .. } = World::begins().await;
    task(&story, json!({ "Subject": "Some day" }));
    task(&story, json!({ "Subject": "Done", "Due_Date": "2026-12-04", "Status": "Completed" }));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 3), "{run:?}");
    assert_eq!(titles(&story), ["Invoice", "Offer", "Visit"]);
    let there = entry(&story, "Offer");
    assert_eq!((&there["start"]["date"], &there["end"]["date"]), (&json!("2026-12-04"), &json!("2026-12-05")));
    assert_eq!(there["description"], "Two pages");
    quiet(&story).await;
    let story = Story::begins_on("zoho", PROFILE, json!({})).await;
    task(&story, json!({ "Subject": "Offer", "Due_Date": "2026-12-04" }));
    done(&story).await;
    assert!(titles(&story).is_empty());
    assert!(story.zoho.calls().iter().all(|(_, path, _)| !path.contains("Tasks")), "nothing is even asked");
}

#[tokio::test]
async fn edits_of_tasks_travel_both_ways_as_far_as_a_task_can_say_them() {
    let World { story, offer, invoice } = World::begins().await;
    done(&story).await;
    edit(&story, &offer, json!({ "Subject": "New offer", "Due_Date": "2026-12-08", "Priority": "High" }));
    let mut moved = on("2026-12-09", "2026-12-10");
    moved["summary"] = json!("Invoice 12");
    moved["description"] = json!("By post");
    patch(&story, "Invoice", moved);
    let run = done(&story).await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (1, 1), "{run:?}");
    assert_eq!(entry(&story, "New offer")["start"]["date"], "2026-12-08");
    let now = held(&story, &invoice);
    assert_eq!(
        (&now["Subject"], &now["Due_Date"], &now["Description"]),
        (&json!("Invoice 12"), &json!("2026-12-09"), &json!("By post"))
    );
    quiet(&story).await;
    // What a task has no place for stays in Google: an hour, several days, a place.
    let hour = |hour: u8| json!({ "date": null, "dateTime": format!("2026-12-11T{hour}:00:00Z"), "timeZone": "UTC" });
    patch(&story, "New offer", json!({ "start": hour(10), "end": hour(12), "location": "Gent" }));
    patch(&story, "Invoice 12", on("2026-12-14", "2026-12-17"));
    done(&story).await;
    let days = (held(&story, &offer)["Due_Date"].clone(), held(&story, &invoice)["Due_Date"].clone());
    assert_eq!(days, (json!("2026-12-11"), json!("2026-12-14")));
    assert_eq!(entry(&story, "New offer")["location"], "Gent");
    assert!(entry(&story, "New offer")["start"]["dateTime"].is_string());
    assert_eq!(entry(&story, "Invoice 12")["end"]["date"], "2026-12-17");
    quiet(&story).await;
    // And a later edit in Zoho moves it all the same.
    edit(&story, &offer, json!({ "Due_Date": "2026-12-18" }));
    done(&story).await;
    assert_eq!(entry(&story, "New offer")["start"]["date"], "2026-12-18");
    quiet(&story).await;
}

#[tokio::test]
async fn deletions_of_tasks_travel_both_ways_and_what_google_makes_is_an_event() {
    let World { story, offer, invoice } = World::begins().await;
    done(&story).await;
    assert!(story.zoho.user_deletes_from(VENDOR, "Tasks", &offer));
    in_app(&story, "delete", json!({ "id": entry(&story, "Invoice")["id"] }));
    let mut party = on("2026-12-20", "2026-12-21");
    party["summary"] = json!("Party");
    in_app(&story, "insert", json!({ "event": party }));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.deleted, run.counts.crm.created), (1, 1, 1), "{run:?}");
    assert!(held(&story, &invoice).is_null() && all(&story, "Tasks").is_empty());
    assert_eq!((titles(&story), all(&story, "Events").len()), (vec!["Party".to_owned(), "Visit".to_owned()], 2));
    quiet(&story).await;
}

#[tokio::test]
async fn a_task_that_is_done_or_loses_its_day_keeps_its_copy_and_goes_on_once_it_is_open_on_a_day_again() {
    let World { story, offer, invoice } = World::begins().await;
    done(&story).await;
    edit(&story, &offer, json!({ "Status": "Completed" }));
    edit(&story, &invoice, json!({ "Due_Date": null }));
    let run = done(&story).await;
    assert_eq!(run.counts.writes(), 0, "{run:?}");
    assert_eq!(titles(&story), ["Invoice", "Offer", "Visit"], "the copies stay");
    patch(&story, "Offer", json!({ "summary": "Offer sent" }));
    patch(&story, "Invoice", on("2026-12-09", "2026-12-10"));
    done(&story).await;
    assert_eq!(held(&story, &offer)["Subject"], "Offer", "what is done is not written any more");
    assert!(held(&story, &invoice)["Due_Date"].is_null(), "nor what has no day");
    quiet(&story).await;
    edit(&story, &offer, json!({ "Status": "In Progress" }));
    edit(&story, &invoice, json!({ "Due_Date": "2026-12-10", "Description": "Again" }));
    done(&story).await;
    assert_eq!(held(&story, &offer)["Subject"], "Offer sent");
    assert_eq!(entry(&story, "Invoice")["description"], "Again");
    assert_eq!(titles(&story).len(), 3);
    quiet(&story).await;
}

#[tokio::test]
async fn tasks_that_are_switched_off_keep_their_links_and_copies_and_go_on_when_they_are_on_again() {
    let World { story, offer, invoice } = World::begins().await;
    let third = task(&story, json!({ "Subject": "Third", "Due_Date": "2026-12-07" }));
    done(&story).await;
    let before = both(&story);
    story.set("activities", json!(["meetings"])).await;
    let run = done(&story).await;
    assert_eq!(run.counts.writes(), 0, "neither deleted nor held: {run:?}");
    assert!(both(&story) == before);
    quiet(&story).await;
    edit(&story, &offer, json!({ "Description": "Later" }));
    patch(&story, "Invoice", json!({ "description": "In Google" }));
    assert!(story.zoho.user_deletes_from(VENDOR, "Tasks", &third));
    done(&story).await;
    assert_eq!(entry(&story, "Offer")["description"], "Two pages");
    assert!(held(&story, &invoice)["Description"].is_null());
    entry(&story, "Third");
    quiet(&story).await;
    story.set("activities", json!(["meetings", "tasks"])).await;
    done(&story).await;
    assert_eq!(entry(&story, "Offer")["description"], "Later");
    assert_eq!(held(&story, &invoice)["Description"], "In Google");
    assert_eq!(titles(&story), ["Invoice", "Offer", "Visit"], "and what was deleted meanwhile has gone");
    quiet(&story).await;
}

#[tokio::test]
async fn a_right_that_is_missing_to_tasks_stops_no_event_and_deletes_nothing() {
    let World { story, offer, .. } = World::begins().await;
    done(&story).await;
    let weak = story.zoho.profile("Weak", &["Crm_Implied_View_Tasks"]);
    story.zoho.user(VENDOR, "CEO", Some(&weak));
    edit(&story, &offer, json!({ "Description": "Later" }));
    patch(&story, "Offer", json!({ "summary": "Big offer" }));
    patch(&story, "Visit", json!({ "location": "Gent" }));
    done(&story).await;
    assert_eq!(titles(&story), ["Big offer", "Invoice", "Visit"]);
    assert_eq!(all(&story, "Events")[0]["Venue"], "Gent", "events go on");
    let excluded = story.records("excluded").await;
    let said = |words: &str| {
        excluded.iter().any(|one| one.reason.as_ref().is_some_and(|reason| reason.message.contains(words)))
    };
    assert!(said("Tasks are not carried for now") && said("Crm_Implied_View_Tasks"), "{excluded:?}");
    quiet(&story).await;
    let full = story.zoho.profile("Full", &[]);
    story.zoho.user(VENDOR, "CEO", Some(&full));
    done(&story).await;
    assert_eq!(entry(&story, "Big offer")["description"], "Later");
    assert_eq!(held(&story, &offer)["Subject"], "Big offer");
    let excluded = story.records("excluded").await;
    assert!(excluded.is_empty(), "{excluded:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn a_quiet_run_asks_zoho_four_times() {
    let World { story, .. } = World::begins().await;
    done(&story).await;
    done(&story).await;
    let mark = story.zoho.calls().len();
    done(&story).await;
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for (method, path, _) in story.zoho.calls().into_iter().skip(mark) {
        *asked.entry(format!("{method} {}", path.trim_start_matches("/crm/v8/"))).or_default() += 1;
    }
    let four = ["GET Events", "GET Events/deleted", "GET Tasks", "GET Tasks/deleted"].map(|call| (call.to_owned(), 1));
    assert_eq!(asked, BTreeMap::from(four));
}

#[tokio::test]
async fn a_lost_answer_to_a_write_of_a_task_writes_it_once_and_loses_nothing() {
    for fault in [Fault::LoseWrite, Fault::LoseAnswer, Fault::LoseRequest, Fault::ServerError] {
        let World { story, invoice, .. } = World::begins().await;
        done(&story).await;
        patch(&story, "Invoice", json!({ "summary": "Invoice 12" }));
        story.zoho.inject(&[fault]);
        for _ in 0..3 {
            story.run().await;
        }
        assert_eq!(held(&story, &invoice)["Subject"], "Invoice 12", "{fault:?}");
        assert_eq!((all(&story, "Tasks").len(), all(&story, "Events").len(), entries(&story).len()), (2, 1, 3));
        quiet(&story).await;
    }
}
