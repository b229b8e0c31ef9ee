//! `sell-google-calendar` on Zendesk Sell itself: rows S3-1 to S3-23 as far as Sell's API lets them be.
use scenarios::{GOOGLE, Story, VENDOR, object};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_engine::Budget;
use tandem_store::run::{Run, RunState};
use tandem_store::sync::SyncState;

const DAY: u64 = 86_400;

async fn story(settings: Value) -> Story {
    let mut all = json!({"default_calendar": "primary", "max_delete_percent": 100});
    all.as_object_mut().expect("an object").extend(object(settings));
    Story::begins_on("sell", "sell-google-calendar", all).await
}

fn order(story: &Story, method: &str, id: &Value, data: Value) -> Value {
    story.sell.order(method, "appointments", &json!({ "account": VENDOR, "id": id, "data": data }))
}

fn visit(title: &str, day: u32) -> Value {
    let at = |hour: u32| format!("2026-12-{day:02}T{hour:02}:00:00Z");
    json!({"name": title, "start_at": at(8), "end_at": at(9), "location": "Ghent", "reminder_offset": 20})
}

fn made(story: &Story, title: &str, day: u32) -> Value {
    order(story, "POST", &Value::Null, visit(title, day))["data"]["id"].clone()
}

fn google_event(title: &str, day: u32) -> Value {
    let time = |hour: u32| json!({"dateTime": format!("2026-12-{day:02}T{hour:02}:00:00Z")});
    json!({"summary": title, "start": time(9), "end": time(10)})
}

fn google(story: &Story, event: Value) -> String {
    let made = story.google.user_does(GOOGLE, "insert", &json!({"event": event}));
    made["id"].as_str().expect("events have ids").to_owned()
}

fn held(story: &Story) -> Vec<Value> {
    story.google.events(GOOGLE, "primary")
}

fn titles(story: &Story) -> Vec<String> {
    let mut titles: Vec<String> =
        held(story).iter().map(|event| event["summary"].as_str().unwrap_or_default().to_owned()).collect();
    titles.sort();
    titles
}

fn copy(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = held(story).into_iter().filter(|event| event["summary"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Google {} times", found.len());
    found[0].clone()
}

async fn done(story: &Story) -> Run {
    let run = story.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    run
}

fn said(run: &Run) -> String {
    run.error.as_ref().map(|error| format!("{}: {}", error.code, error.message)).unwrap_or_default()
}

async fn quiet(story: &Story) {
    let before = (held(story), story.sell.calls().len());
    for _ in 0..3 {
        let run = done(story).await;
        assert_eq!(run.counts.writes(), 0, "{run:?}");
    }
    assert_eq!(held(story), before.0, "three rounds without growth");
    assert_eq!(story.sell.calls().len() - before.1, 3, "one call of Sell's each");
}

#[tokio::test]
async fn s3_16_what_is_made_edited_and_deleted_in_sell_is_so_in_google() {
    let story = story(json!({})).await;
    let (kept, gone) = (made(&story, "Visit", 1), made(&story, "Gone", 2));
    let run = done(&story).await;
    assert_eq!((run.counts.remote.created, run.counts.crm.read), (2, 2), "{run:?}");
    let there = copy(&story, "Visit");
    assert_eq!(
        (&there["location"], &there["start"]["dateTime"]),
        (&json!("Ghent"), &json!("2026-12-01T09:00:00+01:00"))
    );
    assert_eq!(there["reminders"]["overrides"][0]["minutes"], json!(20));
    quiet(&story).await;
    order(&story, "PATCH", &kept, json!({"name": "Moved", "start_at": "2026-12-01T08:30:00Z"}));
    order(&story, "DELETE", &gone, json!({}));
    let run = done(&story).await;
    assert_eq!((run.counts.remote.updated, run.counts.remote.deleted), (1, 1), "{run:?}");
    assert_eq!(titles(&story), ["Moved"]);
    quiet(&story).await;
}

#[tokio::test]
async fn an_appointment_that_lasts_all_day_is_that_day() {
    let story = story(json!({})).await;
    let day =
        json!({"name": "Fair", "all_day": true, "start_at": "2027-01-14T23:00:00Z", "end_at": "2027-01-15T23:00:00Z"});
    order(&story, "POST", &Value::Null, day);
    done(&story).await;
    let fair = copy(&story, "Fair");
    assert_eq!((&fair["start"]["date"], &fair["end"]["date"]), (&json!("2027-01-15"), &json!("2027-01-16")));
    quiet(&story).await;
}

#[tokio::test]
async fn s3_11_while_the_default_calendar_is_sells_nothing_is_carried_and_that_is_said() {
    let story = story(json!({"default_calendar": "crm"})).await;
    made(&story, "Visit", 1);
    google(&story, google_event("Theirs", 2));
    let before = held(&story);
    let budget = Budget::of(story.clock.clone(), Duration::from_secs(20));
    let preview = story.engine.preview(&story.sync().await, &budget).await.expect("a look");
    let note = preview.note.as_deref().unwrap_or_default();
    assert!(note.contains("default_calendar") && preview.excluded.is_empty(), "{preview:?}");
    let run = done(&story).await;
    assert!(said(&run).starts_with("nothing_to_carry: ") && said(&run).contains("default_calendar"), "{run:?}");
    let sync = story.sync().await;
    assert!(sync.state == SyncState::Idle && sync.reason.as_deref() == Some(note), "{:?}", sync.reason);
    assert!(held(&story) == before && run.counts.writes() == 0);
    story.set("default_calendar", json!("primary")).await;
    done(&story).await;
    assert_eq!(titles(&story), ["Theirs", "Visit"]);
}

#[tokio::test]
async fn s3_13_what_is_in_google_stays_there_as_sell_takes_no_appointments() {
    let story = story(json!({})).await;
    google(&story, google_event("Theirs", 2));
    let before = held(&story);
    let run = done(&story).await;
    assert_eq!((run.counts.crm.created, run.counts.crm.failing, run.counts.remote.failing), (0, 0, 0), "{run:?}");
    assert_eq!(held(&story), before);
    quiet(&story).await;
}

#[tokio::test]
async fn a_first_run_says_that_older_appointments_are_not_told_and_then_it_is_said_no_more() {
    let story = story(json!({})).await;
    made(&story, "Old", 1);
    story.clock.advance(Duration::from_secs(4 * DAY));
    made(&story, "New", 5);
    let run = done(&story).await;
    assert!(said(&run).starts_with("changes_missed: Zendesk Sell tells"), "{}", said(&run));
    assert_eq!(titles(&story), ["New"]);
    assert_eq!(said(&done(&story).await), "");
}

#[tokio::test]
async fn a_gap_of_more_than_three_days_is_said_until_a_person_has_seen_it_and_deletes_nothing() {
    let story = story(json!({})).await;
    let (lost, deleted, kept) = (made(&story, "Lost", 1), made(&story, "Deleted", 2), made(&story, "Kept", 3));
    done(&story).await;
    done(&story).await;
    order(&story, "PATCH", &lost, json!({"name": "Edited in the gap"}));
    order(&story, "DELETE", &deleted, json!({}));
    story.clock.advance(Duration::from_secs(4 * DAY));
    order(&story, "PATCH", &kept, json!({"name": "Kept on"}));
    let run = done(&story).await;
    assert!(said(&run).starts_with("changes_missed: ") && said(&run).contains("may be missing"), "{}", said(&run));
    assert_eq!(titles(&story), ["Deleted", "Kept on", "Lost"], "absence proves nothing");
    assert!(story.sync().await.reason.unwrap_or_default().contains("72 hours"));
    let run = done(&story).await;
    assert!(said(&run).contains("may be missing") && run.counts.writes() == 0, "{run:?}");
    // What is saved again is in step again.
    order(&story, "PATCH", &lost, json!({"name": "Found"}));
    done(&story).await;
    assert_eq!(titles(&story), ["Deleted", "Found", "Kept on"]);
    story.start().await.unwrap();
    assert_eq!(said(&done(&story).await), "", "a run by hand takes the notice away");
}

#[tokio::test]
async fn made_anew_the_sync_knows_its_copies_by_their_mark_and_deletes_none() {
    let story = story(json!({})).await;
    let (old, new) = (made(&story, "Old", 1), made(&story, "New", 2));
    done(&story).await;
    story.clock.advance(Duration::from_secs(4 * DAY));
    order(&story, "PATCH", &new, json!({"location": "Antwerp"}));
    story.starts_over(json!({"default_calendar": "primary"})).await;
    let run = done(&story).await;
    assert_eq!((run.counts.remote.created, run.counts.remote.deleted), (0, 0), "{run:?}");
    assert_eq!(
        (titles(&story), copy(&story, "New")["location"].clone()),
        (vec!["New".into(), "Old".into()], json!("Antwerp"))
    );
    // The other one is known again as soon as Sell tells of it.
    order(&story, "PATCH", &old, json!({"name": "Older"}));
    done(&story).await;
    assert_eq!(titles(&story), ["New", "Older"]);
    order(&story, "DELETE", &old, json!({}));
    done(&story).await;
    assert_eq!(titles(&story), ["New"]);
    quiet(&story).await;
}

#[tokio::test]
async fn an_edit_of_a_copy_is_put_back_while_sell_tells_what_it_was_and_stays_after_that() {
    let story = story(json!({})).await;
    let id = made(&story, "Visit", 1);
    done(&story).await;
    let edit = |event: Value| {
        let there = held(&story)[0]["id"].clone();
        story.google.user_does(GOOGLE, "patch", &json!({"id": there, "event": event}));
    };
    edit(json!({"summary": "By hand"}));
    done(&story).await;
    assert_eq!(titles(&story), ["Visit"]);
    for _ in 0..4 {
        story.clock.advance(Duration::from_secs(DAY));
        done(&story).await;
    }
    edit(json!({"summary": "By hand, later"}));
    let run = done(&story).await;
    assert_eq!((titles(&story), run.counts.writes()), (vec!["By hand, later".to_owned()], 0));
    order(&story, "PATCH", &id, json!({"name": "Visit again"}));
    done(&story).await;
    assert_eq!(titles(&story), ["Visit again"]);
    quiet(&story).await;
}

#[tokio::test]
async fn s3_17_a_copy_that_is_deleted_in_google_stays_deleted_and_sell_keeps_its_own() {
    for days in [0, 4] {
        let story = story(json!({})).await;
        let id = made(&story, "Visit", 1);
        made(&story, "Other", 2);
        done(&story).await;
        for _ in 0..days {
            story.clock.advance(Duration::from_secs(DAY));
            done(&story).await;
        }
        let there = copy(&story, "Visit")["id"].clone();
        story.google.user_does(GOOGLE, "delete", &json!({"id": there}));
        done(&story).await;
        order(&story, "PATCH", &id, json!({"name": "Visit, changed"}));
        let run = done(&story).await;
        assert_eq!((run.counts.remote.created, titles(&story)), (0, vec!["Other".to_owned()]), "after {days} days");
        quiet(&story).await;
    }
}

#[tokio::test]
async fn deletions_above_the_limit_are_held_and_carried_out_when_confirmed_days_later() {
    let story = story(json!({"max_delete_percent": 10})).await;
    let ids: Vec<Value> = (1..21).map(|day| made(&story, "Visit", day)).collect();
    done(&story).await;
    ids.iter().take(15).for_each(|id| drop(order(&story, "DELETE", id, json!({}))));
    let run = story.run().await;
    assert_eq!((run.state, held(&story).len()), (RunState::Held, 20), "{run:?}");
    // When a person confirms, the stream tells of these deletions no more.
    story.clock.advance(Duration::from_secs(5 * DAY));
    story.engine.confirm(&story.sync().await).await.unwrap();
    story.settle().await;
    assert_eq!(held(&story).len(), 5);
}

#[tokio::test]
async fn s3_20_a_calendar_for_display_is_never_written_also_where_our_copies_are_in_it() {
    let story = story(json!({})).await;
    let id = made(&story, "Visit", 1);
    done(&story).await;
    let team = story.google.user_does(GOOGLE, "calendar", &json!({"calendar": {"summary": "Team"}}));
    let team = team["id"].as_str().unwrap().to_owned();
    story.set("default_calendar", json!(team)).await;
    order(&story, "PATCH", &id, json!({"name": "Visit, changed"}));
    made(&story, "New", 2);
    done(&story).await;
    let there: Vec<Value> = story.google.events(GOOGLE, &team).iter().map(|event| event["summary"].clone()).collect();
    assert_eq!((titles(&story), there), (vec!["Visit".to_owned()], vec![json!("New")]));
}

#[tokio::test]
async fn guests_that_are_contacts_or_leads_go_along_and_google_mails_nobody_as_sell_does() {
    let story = story(json!({})).await;
    let person = |kind: &str, email: &str| {
        let data = json!({"last_name": "Peeters", "email": email});
        story.sell.order("POST", kind, &json!({"account": VENDOR, "data": data}))["data"]["id"].clone()
    };
    let (an, bo) = (person("contacts", "an@example.com"), person("leads", "bo@example.com"));
    let invite = |kind: &str, id: &Value| json!({"id": 1, "invitable_type": kind, "invitable_id": id});
    let id = made(&story, "Visit", 1);
    done(&story).await;
    order(&story, "PATCH", &id, json!({"invitations": [invite("Contact", &an), invite("Lead", &bo)]}));
    done(&story).await;
    let there = copy(&story, "Visit");
    let emails: Vec<&Value> = there["attendees"].as_array().unwrap().iter().map(|guest| &guest["email"]).collect();
    assert_eq!(emails, [&json!("an@example.com"), &json!("bo@example.com")]);
    let mails = story.google.mails();
    assert_eq!(mails.invitations + mails.updates + mails.cancellations, 0);
    quiet(&story).await;
}

async fn with_tasks(settings: Value) -> Story {
    let mut all = json!({"remote_events": "tasks"});
    all.as_object_mut().expect("an object").extend(object(settings));
    story(all).await
}

fn person(story: &Story, kind: &str, name: &str, email: &str) -> Value {
    let data = json!({"last_name": name, "email": email});
    story.sell.order("POST", kind, &json!({"account": VENDOR, "data": data}))["data"]["id"].clone()
}

fn with_guests(title: &str, day: u32, emails: &[&str]) -> Value {
    let mut event = google_event(title, day);
    event["attendees"] = emails.iter().map(|email| json!({"email": email})).collect();
    event
}

fn tasks(story: &Story) -> Vec<Value> {
    let state = story.sell.order("GET", &format!("state?account={VENDOR}"), &json!({}));
    let others = state["others"].as_array().expect("a list").iter();
    others.filter(|one| one["kind"] == "task").map(|one| one["data"].clone()).collect()
}

fn on(tasks: &[Value]) -> Vec<(String, Value)> {
    let mut on: Vec<(String, Value)> = tasks
        .iter()
        .map(|task| (task["resource_type"].as_str().unwrap_or_default().to_owned(), task["resource_id"].clone()))
        .collect();
    on.sort_by_key(|(kind, id)| (kind.clone(), id.as_u64()));
    on
}

async fn resting(story: &Story) {
    let before = (held(story), tasks(story));
    for _ in 0..3 {
        let run = done(story).await;
        assert_eq!((run.counts.writes(), run.counts.crm.failing), (0, 0), "{run:?}");
    }
    assert!((held(story), tasks(story)) == before, "three rounds without growth");
}

#[tokio::test]
async fn s3_13_s3_14_each_lead_and_contact_who_is_invited_gets_a_task_and_the_event_is_not_touched() {
    let story = with_tasks(json!({})).await;
    let (lead, contact) =
        (person(&story, "leads", "Lead", "An@Example.com"), person(&story, "contacts", "Peeters", "an@example.com"));
    let bo = person(&story, "contacts", "Claes", "bo@example.com");
    let mut visit = with_guests("Visit", 1, &["AN@example.com", "bo@example.com", "nobody@example.com"]);
    visit["location"] = json!("Ghent");
    visit["reminders"] = json!({"useDefault": false, "overrides": [{"method": "popup", "minutes": 30}]});
    google(&story, visit);
    google(&story, with_guests("Internal", 2, &["colleague@example.com"]));
    google(&story, google_event("Alone", 3));
    let before = held(&story);
    let run = done(&story).await;
    assert_eq!((run.counts.crm.created, run.counts.crm.failing), (1, 0), "{run:?}");
    let made = tasks(&story);
    assert_eq!(on(&made), [("contact".to_owned(), contact), ("contact".to_owned(), bo), ("lead".to_owned(), lead)]);
    for task in &made {
        let text = task["content"].as_str().unwrap();
        assert!(text.starts_with("📅 Visit, Ghent, 2026-12-01 10:00\n"), "{text}");
        assert_eq!(
            (&task["due_date"], &task["remind_at"]),
            (&json!("2026-12-01T09:00:00Z"), &json!("2026-12-01T08:30:00Z"))
        );
    }
    assert_eq!(held(&story), before);
    let named: Vec<_> = story.records("in_sync").await.into_iter().filter_map(|one| one.crm?.title).collect();
    assert_eq!(named, ["📅 Visit, Ghent, 2026-12-01 10:00"], "a task is called what stands in it");
    let logged = story.changes(&run).await;
    assert!(
        !logged.is_empty()
            && logged.iter().all(|change| change["title"].as_str().is_some_and(|title| title.contains("Visit"))),
        "{logged:?}"
    );
    resting(&story).await;
}

#[tokio::test]
async fn s3_16_s3_17_a_task_follows_its_event_and_goes_with_it_and_what_people_do_to_it_stays() {
    let story = with_tasks(json!({})).await;
    let (an, bo) =
        (person(&story, "contacts", "An", "an@example.com"), person(&story, "leads", "Bo", "bo@example.com"));
    let event = google(&story, with_guests("Visit", 1, &["an@example.com"]));
    done(&story).await;
    let task = tasks(&story)[0].clone();
    let edit =
        |data: Value| story.sell.order("PATCH", "tasks", &json!({"account": VENDOR, "id": task["id"], "data": data}));
    edit(json!({"completed": true}));
    resting(&story).await;
    let moved = with_guests("Moved", 4, &["an@example.com", "bo@example.com"]);
    story.google.user_does(GOOGLE, "patch", &json!({"id": event, "event": moved}));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.updated, run.counts.crm.created, run.counts.remote.updated), (1, 0, 0), "{run:?}");
    let now = tasks(&story);
    assert_eq!(on(&now), [("contact".to_owned(), an), ("lead".to_owned(), bo.clone())]);
    assert!(now.iter().all(|task| task["content"].as_str().unwrap().starts_with("📅 Moved, 2026-12-04 10:00\n")));
    let kept = now.iter().find(|one| one["id"] == task["id"]).unwrap();
    assert_eq!(kept["completed"], json!(true));
    resting(&story).await;
    story.google.user_does(
        GOOGLE,
        "patch",
        &json!({"id": event, "event": with_guests("Moved", 4, &["bo@example.com"])}),
    );
    done(&story).await;
    assert_eq!(on(&tasks(&story)), [("lead".to_owned(), bo)], "who is no guest any more");
    story.google.user_does(GOOGLE, "delete", &json!({"id": event}));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.deleted, tasks(&story).len()), (1, 0), "{run:?}");
    resting(&story).await;
}

#[tokio::test]
async fn appointments_go_one_way_and_events_the_other_and_neither_comes_back() {
    let story = with_tasks(json!({})).await;
    let an = person(&story, "contacts", "An", "an@example.com");
    let id = made(&story, "From Sell", 1);
    let invited = json!([{"id": 1, "invitable_type": "Contact", "invitable_id": an}]);
    order(&story, "PATCH", &id, json!({"invitations": invited}));
    google(&story, with_guests("From Google", 2, &["an@example.com"]));
    done(&story).await;
    let texts: Vec<Value> = tasks(&story).iter().map(|task| task["content"].clone()).collect();
    assert_eq!((texts.len(), titles(&story)), (1, vec!["From Google".to_owned(), "From Sell".to_owned()]), "{texts:?}");
    resting(&story).await;
    // Made anew, when Sell tells nothing of its appointment any more: the copy becomes no task, and no task is doubled.
    story.clock.advance(Duration::from_secs(4 * DAY));
    let before = (held(&story), tasks(&story).len());
    story.starts_over(json!({"default_calendar": "primary", "remote_events": "tasks"})).await;
    let run = done(&story).await;
    assert_eq!((held(&story), tasks(&story).len()), before, "{run:?}");
    resting(&story).await;
}

#[tokio::test]
async fn each_occurrence_of_a_series_is_a_task_and_nothing_is_written_with_the_default_calendar_in_sell() {
    let story = with_tasks(json!({"default_calendar": "crm"})).await;
    person(&story, "contacts", "An", "an@example.com");
    made(&story, "From Sell", 1);
    let mut weekly = with_guests("Standup", 1, &["an@example.com"]);
    let zoned =
        |hour: u32| json!({"dateTime": format!("2026-12-01T{hour:02}:00:00+01:00"), "timeZone": "Europe/Brussels"});
    weekly["start"] = zoned(9);
    weekly["end"] = zoned(10);
    weekly["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=3"]);
    google(&story, weekly);
    let before = held(&story);
    let run = done(&story).await;
    let mut days: Vec<Value> = tasks(&story).iter().map(|task| task["due_date"].clone()).collect();
    days.sort_by_key(Value::to_string);
    assert_eq!(
        days,
        [json!("2026-12-01T08:00:00Z"), json!("2026-12-08T08:00:00Z"), json!("2026-12-15T08:00:00Z")],
        "{run:?}"
    );
    assert_eq!((held(&story), run.counts.remote.created), (before, 0));
    resting(&story).await;
}

#[tokio::test]
async fn switched_on_later_what_is_in_google_already_is_looked_at_again() {
    let story = story(json!({})).await;
    person(&story, "contacts", "An", "an@example.com");
    google(&story, with_guests("Visit", 1, &["an@example.com"]));
    done(&story).await;
    assert!(tasks(&story).is_empty());
    story.set("remote_events", json!("tasks")).await;
    done(&story).await;
    assert_eq!(tasks(&story).len(), 1);
    resting(&story).await;
}

#[tokio::test]
async fn s3_21_an_emptied_default_calendar_leaves_sell_as_it_is_and_its_tasks_are_asked_for_first() {
    let story = with_tasks(json!({"max_delete_percent": 20})).await;
    person(&story, "contacts", "An", "an@example.com");
    let events: Vec<String> =
        (1..13).map(|day| google(&story, with_guests("Visit", day, &["an@example.com"]))).collect();
    let appointments: Vec<Value> = (1..13).map(|day| made(&story, "From Sell", day)).collect();
    done(&story).await;
    assert_eq!((tasks(&story).len(), held(&story).len()), (12, 24));
    for event in held(&story) {
        story.google.user_does(GOOGLE, "delete", &json!({"id": event["id"]}));
    }
    let run = story.run().await;
    assert_eq!((run.state, tasks(&story).len()), (RunState::Held, 12), "{run:?}");
    story.engine.confirm(&story.sync().await).await.unwrap();
    story.settle().await;
    assert_eq!((tasks(&story).len(), held(&story).len(), events.len(), appointments.len()), (0, 0, 12, 12));
    resting(&story).await;
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_task() {
    let story = with_tasks(json!({})).await;
    for name in ["an", "bo", "cas"] {
        person(&story, "contacts", name, &format!("{name}@example.com"));
    }
    story.sell.inject(&[tandem_sell::fake::Fault::LoseAnswer]);
    google(&story, with_guests("Visit", 1, &["an@example.com", "bo@example.com", "cas@example.com"]));
    done(&story).await;
    assert_eq!(tasks(&story).len(), 3);
    let sent = |method: &str| {
        story.sell.calls().iter().filter(|(m, path, _)| m == method && path.starts_with("/v2/tasks")).count()
    };
    assert_eq!((sent("POST"), sent("PUT") > 0), (3, true), "what was made before the answer was lost is found again");
    resting(&story).await;
}
