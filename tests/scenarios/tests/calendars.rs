//! Calendars: the meetings and blocks of the built-in CRM and a Google account, both ways.
use scenarios::calendar::{all, convert, event, events, insert, only, patch, quiet};
use scenarios::{GOOGLE, Story, object};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tandem_builtin::{Kind, Query};
use tandem_store::run::{Run, RunState};

const PROFILE: &str = "teamleader-google-calendar";
const EVA: &str = "eva@example.com";

async fn story(settings: Value) -> Story {
    Story::begins(PROFILE, settings).await
}

fn at(summary: &str, hour: u8) -> Value {
    json!({"summary": summary, "start": {"dateTime": format!("2026-02-02T{hour:02}:00:00+01:00"), "timeZone": "Europe/Brussels"},
        "end": {"dateTime": format!("2026-02-02T{:02}:00:00+01:00", hour + 1), "timeZone": "Europe/Brussels"}})
}

fn meeting(title: &str, hour: u8) -> Value {
    json!({"title": title, "start": format!("2026-02-02T{hour:02}:00:00Z"), "end": format!("2026-02-02T{:02}:00:00Z", hour + 1),
        "time_zone": "Europe/Brussels"})
}

fn writes(run: &Run) -> u64 {
    assert_eq!(run.state, RunState::Done, "{run:?}");
    run.counts.writes()
}

#[tokio::test]
async fn e01_e30_what_google_has_comes_as_grey_blocks_and_nothing_goes_back() {
    let story = story(json!({})).await;
    let mut lunch = at("Lunch", 12);
    lunch["attendees"] = json!([{"email": "Ann@X.example", "responseStatus": "needsAction"}]);
    insert(&story, lunch);
    let before = events(&story);
    assert_eq!(story.run().await.counts.crm.created, 1);
    let block = only(&story, Kind::Block).await;
    assert_eq!((&block["title"], &block["start"]), (&json!("Lunch"), &json!("2026-02-02T11:00:00Z")));
    assert_eq!(block["attendees"][0]["email"], "ann@x.example");
    assert_eq!(block["attendees"][0]["status"], "needs_action");
    assert_eq!(block["calendar"], "primary");
    assert_eq!(events(&story), before, "nothing was written to Google");
    quiet(&story).await;
}

#[tokio::test]
async fn a_block_shows_colleagues_its_times_alone() {
    let story = story(json!({})).await;
    insert(&story, at("Doctor", 9));
    story.run().await;
    let eva = story.colleague(EVA, PROFILE, json!({})).await;
    let seen = only(&eva, Kind::Block).await;
    assert_eq!((&seen["title"], &seen["attendees"]), (&Value::Null, &json!([])), "{seen}");
    assert_eq!(seen["start"], "2026-02-02T08:00:00Z");
}

#[tokio::test]
async fn a_converted_block_is_linked_both_ways() {
    let story = story(json!({})).await;
    let id = insert(&story, at("Offer", 9));
    story.run().await;
    let meeting = convert(&story, &only(&story, Kind::Block).await).await;
    quiet(&story).await;
    story.crm_edit(Kind::Meeting, &meeting, json!({"title": "Offer II", "location": "Gent"})).await;
    story.run().await;
    let shown = event(&story, "Offer II");
    assert_eq!((&shown["id"], &shown["location"]), (&json!(id), &json!("Gent")));
    patch(&story, &id, json!({"summary": "Offer III"}));
    story.run().await;
    assert_eq!(only(&story, Kind::Meeting).await["title"], "Offer III");
    assert!(all(&story, Kind::Block).await.is_empty());
    quiet(&story).await;
}

#[tokio::test]
async fn e02_e06_a_meeting_goes_to_google_with_guests_reminder_zone_and_marker_and_its_deletion_too() {
    let story = story(json!({})).await;
    let mut new = meeting("Plan", 9);
    new["attendees"] = json!([{"email": "ann@x.example", "name": "Ann"}]);
    new["reminder_minutes"] = json!(15);
    new["visibility"] = json!("private");
    let id = story.crm_record(Kind::Meeting, new).await;
    story.run().await;
    let made = event(&story, "Plan");
    assert_eq!(made["start"], json!({"dateTime": "2026-02-02T10:00:00+01:00", "timeZone": "Europe/Brussels"}));
    assert_eq!((&made["visibility"], &made["attendees"][0]["email"]), (&json!("private"), &json!("ann@x.example")));
    assert_eq!(made["reminders"]["overrides"][0]["minutes"], 15);
    assert!(made["extendedProperties"]["private"].to_string().contains(&id), "{made}");
    quiet(&story).await;
    story.crm_delete(Kind::Meeting, &id).await;
    let run = story.run().await;
    assert_eq!(run.counts.remote.deleted, 1);
    assert!(events(&story).is_empty());
    quiet(&story).await;
}

#[tokio::test]
async fn e03_a_day_is_the_same_day_wherever_one_is() {
    for zone in ["Pacific/Pago_Pago", "Pacific/Tongatapu"] {
        let story = story(json!({})).await;
        let day = json!({"title": "Fair", "all_day": true, "start": "2026-01-15", "end": "2026-01-16"});
        let id = story.crm_record(Kind::Meeting, day).await;
        story.run().await;
        let made = event(&story, "Fair");
        assert_eq!((&made["start"], &made["end"]), (&json!({"date": "2026-01-15"}), &json!({"date": "2026-01-16"})));
        patch(&story, made["id"].as_str().expect("an id"), json!({"location": zone}));
        story.run().await;
        let back = only(&story, Kind::Meeting).await;
        assert_eq!(
            (&back["id"], &back["start"], &back["end"]),
            (&json!(id), &json!("2026-01-15"), &json!("2026-01-16"))
        );
        assert_eq!(back["location"], zone);
    }
}

#[tokio::test]
async fn e04_what_is_cancelled_in_google_goes_and_no_deletion_comes_back() {
    let story = story(json!({})).await;
    let id = insert(&story, at("Call", 15));
    story.run().await;
    story.google.user_does(GOOGLE, "delete", &json!({"id": id}));
    let run = story.run().await;
    assert_eq!((run.counts.crm.deleted, writes(&run)), (1, 1), "no deletion comes back");
    assert!(all(&story, Kind::Block).await.is_empty());
    quiet(&story).await;
}

fn weekly(count: u8) -> Value {
    let mut series = at("Standup", 9);
    series["recurrence"] = json!([format!("RRULE:FREQ=WEEKLY;COUNT={count}")]);
    series
}

#[tokio::test]
async fn e08_to_e15_a_series_is_one_record_with_its_exceptions_through_every_change() {
    let story = story(json!({})).await;
    let id = insert(&story, weekly(4));
    story.run().await;
    let series = only(&story, Kind::Block).await;
    assert_eq!(series["recurrence"], json!(["RRULE:FREQ=WEEKLY;COUNT=4"]));
    // One is cancelled, another is moved to the next day.
    let one = |day: u8| format!("{id}_202602{day:02}T080000Z");
    story.google.user_does(GOOGLE, "delete", &json!({"id": one(9)}));
    let moved =
        json!({"start": {"dateTime": "2026-02-17T10:00:00+01:00"}, "end": {"dateTime": "2026-02-17T11:00:00+01:00"}});
    patch(&story, &one(16), moved);
    story.run().await;
    let now = only(&story, Kind::Block).await;
    let exceptions = now["exceptions"].as_array().expect("exceptions");
    assert_eq!(exceptions.len(), 2, "{exceptions:?}");
    assert_eq!(
        (&exceptions[0]["original_start"], &exceptions[0]["cancelled"]),
        (&json!("2026-02-09T08:00:00Z"), &json!(true))
    );
    assert_eq!(exceptions[1]["original_start"], "2026-02-16T08:00:00Z");
    assert_eq!(exceptions[1]["start"], "2026-02-17T09:00:00Z");
    quiet(&story).await;
    // The whole series moves to eleven and has one more.
    let mut later = at("Standup", 11);
    later["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=5"]);
    patch(&story, &id, later);
    story.run().await;
    let now = only(&story, Kind::Block).await;
    assert_eq!(
        (&now["start"], &now["recurrence"][0]),
        (&json!("2026-02-02T10:00:00Z"), &json!("RRULE:FREQ=WEEKLY;COUNT=5"))
    );
    quiet(&story).await;
    story.google.user_does(GOOGLE, "delete", &json!({"id": id}));
    story.run().await;
    assert!(all(&story, Kind::Block).await.is_empty());
}

#[tokio::test]
async fn a_series_made_and_changed_in_the_crm_is_one_event_with_its_exceptions() {
    let story = story(json!({})).await;
    let mut new = meeting("Review", 9);
    new["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=4"]);
    let id = story.crm_record(Kind::Meeting, new).await;
    story.run().await;
    assert_eq!(event(&story, "Review")["recurrence"], json!(["RRULE:FREQ=WEEKLY;COUNT=4"]));
    let exceptions = json!([{"original_start": "2026-02-09T09:00:00Z", "cancelled": true},
        {"original_start": "2026-02-16T09:00:00Z", "title": "Review at Acme"}]);
    story.crm_edit(Kind::Meeting, &id, json!({"exceptions": exceptions})).await;
    story.run().await;
    let series = event(&story, "Review");
    assert_eq!(series["recurrence"], json!(["RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE:20260209T090000Z"]));
    let renamed = event(&story, "Review at Acme");
    assert_eq!(renamed["originalStartTime"]["dateTime"], "2026-02-16T10:00:00+01:00");
    quiet(&story).await;
}

#[tokio::test]
async fn e27_a_first_run_with_two_hundred_future_events_with_guests_invites_nobody() {
    let story = story(json!({})).await;
    for number in 0..200 {
        let mut new = meeting(&format!("Meeting {number}"), 9);
        new["attendees"] = json!([{"email": format!("guest{number}@x.example")}]);
        story.crm_record(Kind::Meeting, new).await;
    }
    let run = story.run().await;
    assert_eq!(run.counts.remote.created, 200);
    let mails = serde_json::to_value(story.google.mails()).expect("counts");
    assert!(mails.as_object().expect("counts").values().all(|count| *count == 0), "{mails}");
    let (batches, singles): (Vec<_>, Vec<_>) = story
        .google
        .calls()
        .into_iter()
        .filter(|(method, path, _)| method != "GET" && path.contains("calendar"))
        .partition(|(_, path, _)| path.starts_with("/batch"));
    assert_eq!((batches.len(), singles.len()), (4, 0), "fifty a call");
    quiet(&story).await;
}

#[tokio::test]
async fn e28_one_meeting_in_two_colleagues_calendars_is_one_appointment_whoever_comes_first() {
    for eva_first in [false, true] {
        let jan = story(json!({})).await;
        let eva = jan.colleague(EVA, PROFILE, json!({})).await;
        let mut shared = at("Shared", 9);
        shared["attendees"] = json!([{"email": EVA}]);
        let id = insert(&jan, shared);
        for _ in 0..3 {
            if eva_first {
                eva.run().await;
                jan.run().await;
            } else {
                jan.run().await;
                eva.run().await;
            }
            let one = only(&jan, Kind::Block).await;
            assert_eq!(one, only(&eva, Kind::Block).await);
            assert_eq!(one["participants"].as_array().map(Vec::len), Some(2), "{one}");
        }
        // She takes it out of hers: it stays in his.
        let hers = jan.google.events(EVA, EVA)[0]["id"].clone();
        jan.google.user_does(EVA, "delete", &json!({"id": hers}));
        eva.run().await;
        jan.run().await;
        let left = only(&jan, Kind::Block).await;
        assert_eq!(left["participants"].as_array().map(Vec::len), Some(1), "{left}");
        assert_eq!(event(&jan, "Shared")["id"], json!(id));
        quiet(&jan).await;
        quiet(&eva).await;
    }
}

#[tokio::test]
async fn e28_our_own_copy_in_a_colleagues_calendar_is_no_stranger() {
    let jan = story(json!({})).await;
    let eva = jan.colleague(EVA, PROFILE, json!({})).await;
    let mut new = meeting("Kick-off", 9);
    new["attendees"] = json!([{"email": EVA}]);
    let id = jan.crm_record(Kind::Meeting, new).await;
    jan.run().await;
    for _ in 0..3 {
        eva.run().await;
        jan.run().await;
    }
    assert_eq!(only(&eva, Kind::Meeting).await["id"], json!(id));
    assert!(all(&eva, Kind::Block).await.is_empty());
    assert_eq!(jan.google.events(EVA, EVA).len(), 1);
    quiet(&jan).await;
    quiet(&eva).await;
}

#[tokio::test]
async fn with_the_crm_as_default_calendar_nothing_is_written_to_google() {
    let story = story(json!({"default_calendar": "crm"})).await;
    let id = insert(&story, at("Theirs", 9));
    story.crm_record(Kind::Meeting, meeting("Ours", 11)).await;
    story.run().await;
    let block = only(&story, Kind::Block).await;
    assert_eq!(events(&story).len(), 1);
    let meeting = convert(&story, &block).await;
    story.crm_edit(Kind::Meeting, &meeting, json!({"title": "Edited"})).await;
    story.run().await;
    assert_eq!(event(&story, "Theirs")["id"], json!(id));
}

fn team(story: &Story) -> String {
    let team = story.google.user_does(GOOGLE, "calendar", &json!({"calendar": {"summary": "Team"}}));
    team["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn e33_a_deleted_secondary_calendar_leaves_its_copies() {
    let story = story(json!({})).await;
    let team = team(&story);
    story.set("source_calendars", json!(["primary", team])).await;
    story.google.user_does(GOOGLE, "insert", &json!({"calendar": team, "event": at("Retreat", 9)}));
    story.run().await;
    assert_eq!(only(&story, Kind::Block).await["calendar"], json!(team));
    let path = format!("https://www.googleapis.com/calendar/v3/calendars/{team}");
    let gone = http::Request::delete(path).body(Vec::new().into()).expect("a request");
    story.google.authorised(GOOGLE).send(gone).await.expect("an answer");
    for _ in 0..3 {
        story.run().await;
        assert_eq!(only(&story, Kind::Block).await["title"], "Retreat");
    }
}

#[tokio::test]
async fn e34_an_emptied_calendar_is_held_until_it_is_confirmed() {
    let story = story(json!({})).await;
    let ids: Vec<String> = (0..20).map(|number| insert(&story, at(&format!("Event {number}"), 9))).collect();
    story.run().await;
    for id in &ids {
        story.google.user_does(GOOGLE, "delete", &json!({"id": id}));
    }
    let run = story.run().await;
    assert_eq!(run.state, RunState::Held);
    assert_eq!(all(&story, Kind::Block).await.len(), 20);
}

#[tokio::test]
async fn another_default_calendar_copies_and_removes_nothing() {
    let story = story(json!({})).await;
    let team = team(&story);
    story.crm_record(Kind::Meeting, meeting("Early", 9)).await;
    insert(&story, at("Theirs", 12));
    story.run().await;
    story.set("default_calendar", json!(team)).await;
    let run = story.run().await;
    assert_eq!(writes(&run), 0, "{:?}", story.changes(&run).await);
    story.crm_record(Kind::Meeting, meeting("Late", 11)).await;
    story.run().await;
    let in_team = story.google.events(GOOGLE, &team);
    assert_eq!(in_team.iter().map(|event| &event["summary"]).collect::<Vec<_>>(), ["Late"]);
    let names: BTreeSet<String> = events(&story).iter().map(|event| event["summary"].to_string()).collect();
    assert_eq!(names, ["\"Early\"", "\"Theirs\""].map(str::to_owned).into());
    quiet(&story).await;
}

#[tokio::test]
async fn removed_and_made_anew_a_sync_makes_no_double() {
    let story = story(json!({})).await;
    insert(&story, at("Lunch", 12));
    story.crm_record(Kind::Meeting, meeting("Plan", 9)).await;
    story.run().await;
    story.starts_over(json!({})).await;
    story.run().await;
    assert_eq!((all(&story, Kind::Block).await.len(), all(&story, Kind::Meeting).await.len()), (1, 1));
    assert_eq!(events(&story).len(), 2);
    quiet(&story).await;
}

#[tokio::test]
async fn s2_20_an_appointment_is_on_the_cards_of_all_who_have_a_guests_address() {
    let story = story(json!({})).await;
    let ann = json!({"last_name": "Peeters", "emails": [{"type": "work", "value": "Ann@X.example"}]});
    let ann = story.crm_record(Kind::Contact, ann).await;
    let mut lunch = at("Lunch", 12);
    lunch["attendees"] = json!([{"email": "ANN@x.example"}]);
    insert(&story, lunch);
    story.run().await;
    let link = Query { link: Some(format!("contact:{ann}")), ..Query::default() };
    let card = story.crm.list(&story.user, Kind::Block, &link).await.expect("readable");
    assert_eq!(card.items.len(), 1);
    assert_eq!(card.items[0].to_json()["links"], json!([{"type": "contact", "id": ann}]));
}

#[tokio::test]
async fn e22_a_guests_answer_is_mirrored() {
    let story = story(json!({})).await;
    let mut lunch = at("Lunch", 12);
    lunch["attendees"] = json!([{"email": "ann@x.example"}]);
    let id = insert(&story, lunch);
    story.run().await;
    let meeting = convert(&story, &only(&story, Kind::Block).await).await;
    patch(&story, &id, json!({"attendees": [{"email": "ann@x.example", "responseStatus": "declined"}]}));
    story.run().await;
    assert_eq!(only(&story, Kind::Meeting).await["attendees"][0]["status"], "declined");
    assert!(object(only(&story, Kind::Meeting).await)["id"] == json!(meeting));
    quiet(&story).await;
}
