//! `teamleader-google-calendar` on Teamleader Focus itself: its calls, tasks and older events (S2-15).
use scenarios::{GOOGLE, Story, VENDOR, object};
use serde_json::{Value, json};
use tandem_store::run::{Run, RunState};
use tandem_teamleader::fake::{Edit, Fault, Right};

const PROFILE: &str = "teamleader-google-calendar";
const PEETERS: &str = "\u{260e} An Peeters";
const ALL: [&str; 4] = ["meetings", "calls", "tasks", "events"];

async fn story(activities: &[&str]) -> Story {
    let settings = json!({ "imported_as": "meeting", "activities": activities });
    Story::begins_on("teamleader", PROFILE, settings).await
}

/// A world with one of each: their ids at Teamleader.
struct World {
    story: Story,
    call: String,
    task: String,
    event: String,
}

impl World {
    async fn begins() -> World {
        let story = story(&ALL).await;
        let (call, task) = (call(&story, day(&story, 3)), task(&story, "Offer", day(&story, 4)));
        let kind = story.teamleader.user_names_type(VENDOR, "Beurs");
        let fair = json!({ "title": "Fair", "activity_type_id": kind, "attendees": [me(&story)], "location": "Hall 5",
            "starts_at": at(day(&story, 5), 9), "ends_at": at(day(&story, 5), 17) });
        let event = plans(&story, "event", fair);
        World { story, call, task, event }
    }
}

fn at(day: jiff::civil::Date, hour: u8) -> String {
    format!("{day}T{hour:02}:00:00Z")
}

fn me(story: &Story) -> Value {
    json!({ "type": "user", "id": story.teamleader.user_of(VENDOR) })
}

fn plans(story: &Story, kind: &str, activity: Value) -> String {
    story.teamleader.user_plans(VENDOR, "POST", kind, "", &object(activity))
}

fn does(story: &Story, method: &str, kind: &str, id: &str, activity: Value) {
    story.teamleader.user_plans(VENDOR, method, kind, id, &object(activity));
}

fn call(story: &Story, day: jiff::civil::Date) -> String {
    let fields = object(json!({ "first_name": "An", "last_name": "Peeters",
        "emails": [{ "type": "primary", "email": "an@example.com" }] }));
    let an = story.teamleader.user_creates(VENDOR, Edit { fields, ..Edit::default() });
    let with = json!({ "customer": { "type": "contact", "id": an } });
    plans(
        story,
        "call",
        json!({ "due_at": at(day, 13), "participant": with, "assignee": me(story), "description": "About the offer" }),
    )
}

fn task(story: &Story, title: &str, due: jiff::civil::Date) -> String {
    plans(story, "task", json!({ "title": title, "due_on": due.to_string(), "assignee": me(story) }))
}

/// What Teamleader holds of a kind.
fn all(story: &Story, kind: &str) -> Vec<Value> {
    story.teamleader.state(VENDOR)[format!("{kind}s")].as_array().cloned().expect("a list")
}

fn held(story: &Story, kind: &str, id: &str) -> Value {
    all(story, kind).into_iter().find(|one| one["id"] == id).unwrap_or_default()
}

fn entries(story: &Story) -> Vec<Value> {
    story.google.events(GOOGLE, "primary").into_iter().filter(|event| event["status"] != "cancelled").collect()
}

fn titles(story: &Story) -> Vec<String> {
    let mut all: Vec<String> =
        entries(story).iter().map(|event| event["summary"].as_str().unwrap_or_default().to_owned()).collect();
    all.sort();
    all
}

fn entry(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = entries(story).into_iter().filter(|event| event["summary"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Google {} times", found.len());
    found[0].clone()
}

fn instant(text: &Value) -> jiff::Timestamp {
    text.as_str().expect("a time").parse().expect("a time")
}

fn in_app(story: &Story, what: &str, body: Value) -> Value {
    story.google.user_does(GOOGLE, what, &body)
}

fn patch(story: &Story, title: &str, event: Value) {
    in_app(story, "patch", json!({ "id": entry(story, title)["id"], "event": event }));
}

fn day(story: &Story, after: i64) -> jiff::civil::Date {
    use tandem_ports::infra::Clock;
    let today = jiff::tz::TimeZone::UTC.to_datetime(story.clock.now()).date();
    today.saturating_add(jiff::Span::new().days(after))
}

async fn done(story: &Story) -> Run {
    let run = story.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    run
}

/// Everything on both sides.
fn both(story: &Story) -> Value {
    let held = ["meeting", "call", "task", "event"].map(|kind| all(story, kind));
    json!([entries(story), held])
}

/// Three further runs write nothing anywhere.
async fn quiet(story: &Story) {
    let before = both(story);
    for round in 1..=3 {
        let run = done(story).await;
        assert_eq!(run.counts.writes(), 0, "round {round}: {:?}", story.changes(&run).await);
    }
    assert!(both(story) == before, "three rounds without growth");
}

fn no_mails(story: &Story) {
    let mails = serde_json::to_value(story.google.mails()).expect("counts");
    assert!(mails.as_object().expect("counts").values().all(|count| *count == 0), "{mails}");
}

#[tokio::test]
async fn s2_15_calls_tasks_and_events_are_in_google_once_each_as_what_they_are() {
    let World { story, .. } = World::begins().await;
    let run = done(&story).await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 3), "{run:?}");
    let there = entry(&story, PEETERS);
    assert_eq!(instant(&there["start"]["dateTime"]), instant(&json!(at(day(&story, 3), 13))));
    assert_eq!(there["description"], "About the offer");
    assert!(there["attendees"].as_array().is_none_or(Vec::is_empty), "whom a call is with is not invited");
    let there = entry(&story, "Offer");
    assert_eq!(
        (&there["start"]["date"], &there["end"]["date"]),
        (&json!(day(&story, 4).to_string()), &json!(day(&story, 5).to_string()))
    );
    assert_eq!(entry(&story, "Fair")["location"], "Hall 5");
    quiet(&story).await;
    no_mails(&story);
}

#[tokio::test]
async fn s2_15_by_itself_the_profile_carries_meetings_alone_and_calls_where_they_are_chosen() {
    let story = Story::begins_on("teamleader", PROFILE, json!({})).await;
    call(&story, day(&story, 3));
    task(&story, "Offer", day(&story, 4));
    done(&story).await;
    assert!(titles(&story).is_empty());
    story.set("activities", json!(["meetings", "calls"])).await;
    done(&story).await;
    assert_eq!(titles(&story), [PEETERS]);
    story.teamleader.forget_calls();
    done(&story).await;
    let calls: Vec<String> = story.teamleader.calls().into_iter().map(|(method, _)| method).collect();
    assert_eq!(calls, ["users.me", "meetings.list", "calls.list"], "a quiet run");
}

#[tokio::test]
async fn s2_15_edits_in_teamleader_reach_google() {
    let World { story, call, task, event } = World::begins().await;
    done(&story).await;
    let later = day(&story, 8);
    does(&story, "PATCH", "call", &call, json!({ "due_at": at(later, 10), "description": "Again" }));
    does(&story, "PATCH", "task", &task, json!({ "title": "New offer", "due_on": later.to_string() }));
    let times =
        json!({ "title": "Big fair", "starts_at": at(later, 9), "ends_at": at(later, 18), "location": "Hall 6" });
    does(&story, "PATCH", "event", &event, times);
    let run = done(&story).await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (0, 3), "{run:?}");
    let there = entry(&story, PEETERS);
    assert_eq!(instant(&there["start"]["dateTime"]), instant(&json!(at(later, 10))));
    assert_eq!(
        instant(&there["end"]["dateTime"]).duration_since(instant(&there["start"]["dateTime"])),
        jiff::SignedDuration::from_mins(30)
    );
    assert_eq!(there["description"], "Again");
    assert_eq!(entry(&story, "New offer")["start"]["date"], later.to_string());
    assert_eq!(entry(&story, "Big fair")["location"], "Hall 6");
    quiet(&story).await;
    no_mails(&story);
}

#[tokio::test]
async fn s2_15_edits_in_google_reach_teamleader_as_far_as_each_can_say_them() {
    let World { story, call, task, event } = World::begins().await;
    done(&story).await;
    let later = day(&story, 8);
    let timed = |from: u8, to: u8| {
        let at = |hour| json!({ "date": null, "dateTime": at(later, hour), "timeZone": "Europe/Brussels" });
        json!({ "start": at(from), "end": at(to) })
    };
    let mut moved = timed(15, 17);
    moved["summary"] = json!("Ring An");
    moved["description"] = json!("Ask twice");
    moved["attendees"] = json!([{ "email": "stranger@example.com" }]);
    patch(&story, PEETERS, moved);
    patch(&story, "Offer", timed(9, 10));
    let mut fair = timed(8, 12);
    fair["summary"] = json!("Big fair");
    fair["recurrence"] = json!(null);
    patch(&story, "Fair", fair);
    done(&story).await;
    let held_call = held(&story, "call", &call);
    assert_eq!(
        (&held_call["scheduled_at"], &held_call["description"]),
        (&json!(format!("{later}T15:00:00+00:00")), &json!("Ask twice"))
    );
    assert_eq!(held(&story, "task", &task)["due_on"], later.to_string());
    let held_event = held(&story, "event", &event);
    assert_eq!(
        (&held_event["title"], &held_event["ends_at"]),
        (&json!("Big fair"), &json!(format!("{later}T12:00:00+00:00")))
    );
    // What Teamleader has no place for stays in Google: a title and a length of a call, the hour of a task.
    let there = entry(&story, "Ring An");
    assert_eq!(instant(&there["end"]["dateTime"]), instant(&json!(at(later, 17))));
    assert!(entry(&story, "Offer")["start"]["dateTime"].is_string());
    quiet(&story).await;
    // And a later edit in Teamleader moves it all the same.
    let last = day(&story, 9);
    does(&story, "PATCH", "call", &call, json!({ "due_at": at(last, 10) }));
    does(&story, "PATCH", "task", &task, json!({ "due_on": last.to_string() }));
    done(&story).await;
    assert_eq!(instant(&entry(&story, "Ring An")["start"]["dateTime"]), instant(&json!(at(last, 10))));
    assert_eq!(entry(&story, "Offer")["start"]["date"], last.to_string());
    quiet(&story).await;
}

#[tokio::test]
async fn s2_15_whole_days_a_reminder_and_a_series_of_googles_never_become_a_loop() {
    let World { story, call, .. } = World::begins().await;
    done(&story).await;
    let on = |after| json!({ "date": day(&story, after).to_string(), "dateTime": null, "timeZone": null });
    let pop = json!({ "useDefault": false, "overrides": [{ "method": "popup", "minutes": 15 }] });
    patch(&story, PEETERS, json!({ "start": on(6), "end": on(7), "reminders": pop, "visibility": "private" }));
    let three = json!({ "start": on(6), "end": on(9) });
    patch(&story, "Offer", three);
    done(&story).await;
    let moved = held(&story, "call", &call);
    assert_eq!(instant(&moved["scheduled_at"]), instant(&json!(at(day(&story, 6), 13))), "that day at its own time");
    assert_eq!(entry(&story, PEETERS)["visibility"], "private");
    assert_eq!(entry(&story, "Offer")["end"]["date"], day(&story, 9).to_string());
    quiet(&story).await;
    patch(&story, PEETERS, json!({ "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"] }));
    done(&story).await;
    assert_eq!((all(&story, "call").len(), all(&story, "meeting").len()), (1, 2), "what Google made is a meeting");
    quiet(&story).await;
}

#[tokio::test]
async fn s2_15_deletions_go_both_ways() {
    for in_google in [false, true] {
        let World { story, call, task, event } = World::begins().await;
        for after in 10..15 {
            task_of(&story, after);
        }
        done(&story).await;
        let ids = [("call", call, PEETERS), ("task", task, "Offer"), ("event", event, "Fair")];
        for (kind, id, title) in &ids {
            if in_google {
                in_app(&story, "delete", json!({ "id": entry(&story, title)["id"] }));
            } else {
                does(&story, "DELETE", kind, id, json!({}));
            }
        }
        let run = done(&story).await;
        let deleted = if in_google { run.counts.crm.deleted } else { run.counts.remote.deleted };
        assert_eq!(deleted, 3, "{run:?}");
        assert!(ids.iter().all(|(kind, id, _)| held(&story, kind, id).is_null()));
        assert_eq!(entries(&story).len(), 5);
        quiet(&story).await;
    }
}

fn task_of(story: &Story, after: i64) -> String {
    task(story, &format!("Task {after}"), day(story, after))
}

#[tokio::test]
async fn what_is_made_in_google_becomes_a_meeting() {
    let story = story(&ALL).await;
    let at = |hour| json!({ "dateTime": at(day(&story, 5), hour), "timeZone": "Europe/Brussels" });
    let whole = json!({ "summary": "Fair", "start": { "date": day(&story, 6).to_string() },
        "end": { "date": day(&story, 7).to_string() } });
    for event in [json!({ "summary": "Ring An", "start": at(9), "end": at(10) }), whole] {
        in_app(&story, "insert", json!({ "event": event }));
    }
    done(&story).await;
    let count = |kind| all(&story, kind).len();
    assert_eq!((count("meeting"), count("call"), count("task"), count("event")), (2, 0, 0, 0));
    quiet(&story).await;
}

#[tokio::test]
async fn a_task_that_is_done_keeps_its_copy_and_gets_no_new_one() {
    let World { story, task, call, .. } = World::begins().await;
    let old = task_of(&story, 6);
    does(&story, "PUT", "task", &old, json!({}));
    done(&story).await;
    assert_eq!(titles(&story), ["Fair", "Offer", PEETERS], "what was done before is not carried");
    does(&story, "PUT", "task", &task, json!({}));
    does(&story, "PUT", "call", &call, json!({ "outcome_summary": "Not in" }));
    done(&story).await;
    assert_eq!(titles(&story), ["Fair", "Offer", PEETERS], "what is done stays");
    quiet(&story).await;
    patch(&story, "Offer", json!({ "summary": "Offer sent" }));
    done(&story).await;
    assert_eq!(held(&story, "task", &task)["title"], "Offer", "and is not written any more");
    quiet(&story).await;
}

#[tokio::test]
async fn an_activity_that_is_switched_off_keeps_its_links_and_copies_and_goes_on_when_it_is_on_again() {
    let World { story, call, task, .. } = World::begins().await;
    for after in 10..15 {
        task_of(&story, after);
    }
    done(&story).await;
    let before = both(&story);
    story.set("activities", json!(["meetings", "events"])).await;
    let run = done(&story).await;
    assert_eq!(run.counts.writes(), 0, "neither deleted nor held: {run:?}");
    assert!(both(&story) == before);
    quiet(&story).await;
    // Meanwhile both sides go their own way, also where people look at the copies.
    does(&story, "PATCH", "call", &call, json!({ "description": "Later" }));
    patch(&story, "Offer", json!({ "description": "In Google" }));
    in_app(&story, "delete", json!({ "id": entry(&story, "Task 10")["id"] }));
    done(&story).await;
    assert_eq!((all(&story, "task").len(), all(&story, "call").len()), (6, 1), "nothing is deleted here");
    assert_eq!(entry(&story, PEETERS)["description"], "About the offer");
    assert_ne!(held(&story, "task", &task)["description"], "In Google");
    quiet(&story).await;
    story.set("activities", json!(ALL)).await;
    done(&story).await;
    assert_eq!(entry(&story, PEETERS)["description"], "Later");
    assert_eq!(held(&story, "task", &task)["description"], "In Google");
    for title in ["Offer", "Fair", PEETERS, "Task 11", "Task 14"] {
        entry(&story, title);
    }
    quiet(&story).await;
}

#[tokio::test]
async fn a_right_that_is_missing_to_calls_stops_neither_meetings_nor_tasks_and_deletes_nothing() {
    let World { story, call, .. } = World::begins().await;
    done(&story).await;
    story.teamleader.allow(VENDOR, Right::NoCalls);
    does(&story, "PATCH", "call", &call, json!({ "description": "Later" }));
    patch(&story, PEETERS, json!({ "summary": "Ring An" }));
    task(&story, "Invoice", day(&story, 7));
    done(&story).await;
    assert_eq!(titles(&story), ["Fair", "Invoice", "Offer", "Ring An"]);
    let excluded = story.records("excluded").await;
    let said =
        |words: &str| excluded.iter().any(|one| one.reason.as_ref().is_some_and(|one| one.message.contains(words)));
    assert!(said("Calls are not carried for now") && said("the right to calls"), "{excluded:?}");
    quiet(&story).await;
    story.teamleader.allow(VENDOR, Right::All);
    done(&story).await;
    assert_eq!(entry(&story, "Ring An")["description"], "Later");
    let excluded = story.records("excluded").await;
    assert!(excluded.is_empty(), "{excluded:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn calls_that_the_api_does_not_delete_stay_and_say_why() {
    let World { story, call, .. } = World::begins().await;
    for after in 10..15 {
        task_of(&story, after);
    }
    done(&story).await;
    story.teamleader.set(|settings| settings.lacks = vec!["calls.delete".into()]);
    in_app(&story, "delete", json!({ "id": entry(&story, PEETERS)["id"] }));
    done(&story).await;
    assert!(!held(&story, "call", &call).is_null());
    let failing = story.records("failing").await;
    assert_eq!(failing.len(), 1, "{failing:?}");
    for _ in 0..3 {
        done(&story).await;
    }
    assert!(!titles(&story).contains(&PEETERS.to_owned()), "it is not made anew");
    assert!(!held(&story, "call", &call).is_null());
}

#[tokio::test]
async fn a_fault_at_any_call_about_activities_makes_nothing_twice_and_loses_nothing() {
    let methods =
        ["calls.list", "calls.info", "tasks.list", "tasks.info", "events.list", "events.info", "companies.list"];
    for fault in [Fault::ServerError, Fault::LoseRequest] {
        for method in
            methods.into_iter().chain(["migrate.activityType", "calls.update", "tasks.update", "events.update"])
        {
            let World { story, call, task, event } = World::begins().await;
            let faulty = || (0..4).for_each(|_| story.teamleader.inject_on(fault, &[method]));
            faulty();
            done(&story).await;
            faulty();
            for title in [PEETERS, "Offer", "Fair"] {
                patch(&story, title, json!({ "description": "Changed" }));
            }
            done(&story).await;
            done(&story).await;
            assert_eq!(titles(&story), ["Fair", "Offer", PEETERS], "{fault:?} at {method}");
            for (kind, id) in [("call", &call), ("task", &task), ("event", &event)] {
                assert_eq!(held(&story, kind, id)["description"], "Changed", "{fault:?} at {method}");
            }
            done(&story).await;
            done(&story).await;
        }
    }
}

#[tokio::test]
async fn a_lost_history_makes_nothing_twice() {
    let World { story, .. } = World::begins().await;
    done(&story).await;
    story.starts_over(json!({ "imported_as": "meeting", "activities": ALL })).await;
    done(&story).await;
    assert_eq!(titles(&story), ["Fair", "Offer", PEETERS]);
    assert!(all(&story, "meeting").is_empty());
    quiet(&story).await;
}

#[tokio::test]
async fn links_that_an_earlier_release_made_stay_valid_when_calls_come_to_them() {
    let story = story(&["meetings"]).await;
    let visit =
        object(json!({ "title": "Visit", "starts_at": at(day(&story, 5), 9), "ends_at": at(day(&story, 5), 10) }));
    let visit = story.teamleader.user_schedules(VENDOR, &visit);
    done(&story).await;
    let there = entry(&story, "Visit")["id"].clone();
    call(&story, day(&story, 3));
    story.set("activities", json!(["meetings", "calls"])).await;
    story.teamleader.user_reschedules(VENDOR, &visit, &object(json!({ "title": "Long visit" })));
    let run = done(&story).await;
    assert_eq!((run.counts.remote.created, run.counts.remote.updated, run.counts.crm.created), (1, 1, 0), "{run:?}");
    assert_eq!(entry(&story, "Long visit")["id"], there);
    quiet(&story).await;
}
