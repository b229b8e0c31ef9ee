//! `teamleader-google-calendar` on Teamleader Focus itself: rows S2-15 to S2-22 of the source documents.
use scenarios::{GOOGLE, Story, VENDOR, object};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_engine::RecordView;
use tandem_store::run::{Run, RunState};
use tandem_teamleader::fake::{Edit, Fault};

const PROFILE: &str = "teamleader-google-calendar";
const BO: &str = "bo@acme.example";

async fn story(settings: Value) -> Story {
    Story::begins_on("teamleader", PROFILE, settings).await
}

/// What the calendar brings becomes meetings by itself.
async fn both_ways() -> Story {
    story(json!({ "imported_as": "meeting" })).await
}

fn meetings(story: &Story) -> Vec<Value> {
    story.teamleader.meetings(VENDOR)
}

fn meeting(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = meetings(story).into_iter().filter(|one| one["title"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Teamleader {} times", found.len());
    found[0].clone()
}

fn events(story: &Story) -> Vec<Value> {
    story.google.events(GOOGLE, "primary").into_iter().filter(|event| event["status"] != "cancelled").collect()
}

fn event(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = events(story).into_iter().filter(|event| event["summary"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Google {} times", found.len());
    found[0].clone()
}

fn instant(text: &Value) -> jiff::Timestamp {
    text.as_str().expect("a time").parse().expect("a time")
}

fn in_app(story: &Story, what: &str, body: Value) -> Value {
    story.google.user_does(GOOGLE, what, &body)
}

/// The day of the story plus so many.
fn day(story: &Story, after: i64) -> jiff::civil::Date {
    use tandem_ports::infra::Clock;
    let today = jiff::tz::TimeZone::UTC.to_datetime(story.clock.now()).date();
    today.saturating_add(jiff::Span::new().days(after))
}

fn timed(title: &str, day: jiff::civil::Date) -> Value {
    let at = |hour: u8| json!({ "dateTime": format!("{day}T{hour:02}:00:00Z"), "timeZone": "Europe/Brussels" });
    json!({ "summary": title, "start": at(9), "end": at(10) })
}

fn insert(story: &Story, event: Value) -> String {
    let made = in_app(story, "insert", json!({ "event": event }));
    made["id"].as_str().expect("an id").to_owned()
}

fn schedule(story: &Story, title: &str, day: jiff::civil::Date, more: Value) -> String {
    let mut new = object(json!({ "title": title, "starts_at": format!("{day}T13:00:00Z"),
        "ends_at": format!("{day}T14:30:00Z"), "description": "Bring bread" }));
    new.extend(object(more));
    story.teamleader.user_schedules(VENDOR, &new)
}

fn id(record: &Value) -> &str {
    record["id"].as_str().expect("an id")
}

async fn done(story: &Story) -> Run {
    let run = story.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    run
}

/// Three further runs write nothing anywhere.
async fn quiet(story: &Story) {
    let before = (meetings(story), events(story));
    for round in 1..=3 {
        let run = done(story).await;
        assert_eq!(run.counts.writes(), 0, "round {round}: {:?}", story.changes(&run).await);
    }
    assert!((meetings(story), events(story)) == before, "three rounds without growth");
}

async fn blocks(story: &Story) -> Vec<RecordView> {
    let all = story.records("excluded").await;
    all.into_iter().filter(|one| one.reason.as_ref().is_some_and(|reason| reason.code == "grey_block")).collect()
}

async fn convert(story: &Story, block: &RecordView) {
    story.engine.convert_block(&story.sync().await, &block.id).await.expect("a block");
    story.settle().await;
}

fn no_mails(story: &Story) {
    let mails = serde_json::to_value(story.google.mails()).expect("counts");
    assert!(mails.as_object().expect("counts").values().all(|count| *count == 0), "{mails}");
}

#[tokio::test]
async fn s2_15_and_20_appointments_go_both_ways_with_their_edits_and_deletions() {
    let story = both_ways().await;
    let visit = schedule(&story, "Visit", day(&story, 5), json!({}));
    let lunch = insert(&story, timed("Lunch", day(&story, 6)));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (1, 1), "{run:?}");
    let there = event(&story, "Visit");
    assert_eq!(instant(&there["start"]["dateTime"]), instant(&json!(format!("{}T13:00:00Z", day(&story, 5)))));
    assert_eq!(there["description"], "Bring bread");
    assert_eq!(meeting(&story, "Lunch")["duration"]["value"], 60);
    quiet(&story).await;
    story.teamleader.user_reschedules(VENDOR, &visit, &object(json!({ "title": "Long visit" })));
    in_app(&story, "patch", json!({ "id": lunch, "event": { "summary": "Late lunch", "description": "Soup" } }));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (1, 1), "{run:?}");
    event(&story, "Long visit");
    assert_eq!(meeting(&story, "Late lunch")["description"], "Soup");
    quiet(&story).await;
    for after in 7..12 {
        schedule(&story, "Other", day(&story, after), json!({}));
    }
    done(&story).await;
    assert!(story.teamleader.user_cancels(VENDOR, &visit));
    in_app(&story, "delete", json!({ "id": lunch }));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.deleted), (1, 1), "{run:?}");
    assert_eq!((meetings(&story).len(), events(&story).len()), (5, 5));
    quiet(&story).await;
    no_mails(&story);
}

#[tokio::test]
async fn s2_18_and_19_what_google_has_is_a_grey_block_until_it_is_made_a_meeting() {
    let story = story(json!({})).await;
    let lunch = insert(&story, timed("Lunch", day(&story, 6)));
    insert(&story, timed("Doctor", day(&story, 7)));
    let run = done(&story).await;
    assert_eq!(run.counts.writes(), 0, "{run:?}");
    assert!(meetings(&story).is_empty());
    assert_eq!(blocks(&story).await.len(), 2);
    quiet(&story).await;
    assert_eq!(blocks(&story).await.len(), 2);
    let block = blocks(&story)
        .await
        .into_iter()
        .find(|one| one.remote.as_ref().is_some_and(|copy| copy.id.as_str().ends_with(&lunch)));
    let block = block.expect("the lunch is shown");
    convert(&story, &block).await;
    assert_eq!(meetings(&story).len(), 1);
    assert_eq!(blocks(&story).await.len(), 1);
    quiet(&story).await;
    // From then on both ways.
    let id = id(&meeting(&story, "Lunch")).to_owned();
    story.teamleader.user_reschedules(VENDOR, &id, &object(json!({ "title": "Lunch with An" })));
    done(&story).await;
    assert_eq!(event(&story, "Lunch with An")["id"], json!(lunch));
    in_app(&story, "patch", json!({ "id": lunch, "event": { "summary": "Dinner" } }));
    done(&story).await;
    assert_eq!(meeting(&story, "Dinner")["id"], json!(id));
    quiet(&story).await;
    let gone = story.engine.convert_block(&story.sync().await, &block.id).await;
    assert!(gone.is_err(), "it is no block any more");
}

#[tokio::test]
async fn a_block_that_changes_or_goes_in_google_does_so_here_and_no_deletion_comes_back() {
    let story = story(json!({})).await;
    let lunch = insert(&story, timed("Lunch", day(&story, 6)));
    done(&story).await;
    in_app(&story, "patch", json!({ "id": lunch, "event": { "summary": "Late lunch" } }));
    done(&story).await;
    assert_eq!(blocks(&story).await.len(), 1);
    in_app(&story, "delete", json!({ "id": lunch }));
    let run = done(&story).await;
    assert_eq!(run.counts.writes(), 0, "{run:?}");
    assert!(blocks(&story).await.is_empty() && meetings(&story).is_empty());
}

#[tokio::test]
async fn blocks_become_meetings_when_the_setting_says_so() {
    let story = story(json!({})).await;
    insert(&story, timed("Lunch", day(&story, 6)));
    done(&story).await;
    story.set("imported_as", json!("meeting")).await;
    let run = done(&story).await;
    assert_eq!(run.counts.crm.created, 1, "{run:?}");
    meeting(&story, "Lunch");
    quiet(&story).await;
}

#[tokio::test]
async fn what_was_over_before_the_window_is_not_carried_to_teamleader() {
    let story = both_ways().await;
    let old = insert(&story, timed("Old", day(&story, -40)));
    insert(&story, timed("Lately", day(&story, -10)));
    let run = done(&story).await;
    assert_eq!(run.counts.crm.created, 1, "{run:?}");
    meeting(&story, "Lately");
    let left = story.records("excluded").await;
    assert_eq!(left[0].reason.as_ref().map(|reason| reason.code.as_str()), Some("before_window"));
    quiet(&story).await;
    // It is planned anew for next week.
    let moved = timed("Old", day(&story, 7));
    in_app(&story, "patch", json!({ "id": old, "event": { "start": moved["start"], "end": moved["end"] } }));
    done(&story).await;
    meeting(&story, "Old");
    quiet(&story).await;
}

#[tokio::test]
async fn what_teamleader_cannot_hold_is_spared_in_google() {
    let story = both_ways().await;
    let mut lunch = timed("Lunch", day(&story, 6));
    lunch["location"] = json!("Room 3");
    lunch["visibility"] = json!("private");
    lunch["reminders"] = json!({ "useDefault": false, "overrides": [{ "method": "popup", "minutes": 15 }] });
    lunch["attendees"] = json!([{ "email": "stranger@example.com", "responseStatus": "accepted" }]);
    let lunch = insert(&story, lunch);
    done(&story).await;
    let made = meeting(&story, "Lunch");
    assert_eq!(made["attendees"].as_array().map(Vec::len), Some(1), "nobody in Teamleader has that address");
    quiet(&story).await;
    story.teamleader.user_reschedules(
        VENDOR,
        id(&made),
        &object(json!({ "title": "Lunch II", "description": "Soup" })),
    );
    done(&story).await;
    let now = event(&story, "Lunch II");
    assert_eq!(now["id"], json!(lunch));
    assert_eq!((&now["location"], &now["visibility"]), (&json!("Room 3"), &json!("private")));
    assert_eq!(now["reminders"]["overrides"][0]["minutes"], 15);
    assert_eq!(now["attendees"][0]["email"], "stranger@example.com");
    assert_eq!(now["attendees"][0]["responseStatus"], "accepted");
    quiet(&story).await;
}

#[tokio::test]
async fn guests_are_matched_by_address_and_are_on_the_card_of_each_contact() {
    let story = both_ways().await;
    let contact = |name: &str, email: &str| {
        let fields = json!({ "last_name": name, "emails": [{ "type": "primary", "email": email }] });
        story.teamleader.user_creates(VENDOR, Edit { fields: object(fields), ..Edit::default() })
    };
    let an = contact("An", "an@example.com");
    let (one, two) = (contact("One", "office@example.com"), contact("Two", "office@example.com"));
    let mut lunch = timed("Lunch", day(&story, 6));
    lunch["attendees"] = json!([{ "email": "AN@example.com" }, { "email": "office@example.com" }]);
    let lunch = insert(&story, lunch);
    done(&story).await;
    let at = |title: &str| {
        let made = meeting(&story, title);
        let all = made["attendees"].as_array().cloned().unwrap_or_default();
        let mut ids: Vec<String> =
            all.iter().filter(|one| one["type"] == "contact").map(|one| id(one).to_owned()).collect();
        ids.sort();
        ids
    };
    let mut wanted = vec![an.clone(), one.clone(), two.clone()];
    wanted.sort();
    assert_eq!(at("Lunch"), wanted);
    quiet(&story).await;
    // Teamleader's guests go to Google, and who is taken off there goes here.
    in_app(&story, "patch", json!({ "id": lunch, "event": { "attendees": [{ "email": "an@example.com" }] } }));
    done(&story).await;
    assert_eq!(at("Lunch"), [an]);
    let me = story.teamleader.user_of(VENDOR);
    let guests = json!([{ "type": "user", "id": me }, { "type": "contact", "id": one }]);
    schedule(&story, "Visit", day(&story, 7), json!({ "attendees": guests }));
    done(&story).await;
    assert_eq!(event(&story, "Visit")["attendees"].as_array().map(Vec::len), Some(1));
    assert_eq!(event(&story, "Visit")["attendees"][0]["email"], "office@example.com");
    quiet(&story).await;
}

fn weekly(story: &Story, title: &str, count: u8) -> Value {
    let mut series = timed(title, day(story, 3));
    series["recurrence"] = json!([format!("RRULE:FREQ=WEEKLY;COUNT={count}")]);
    series
}

fn starts(story: &Story) -> Vec<String> {
    meetings(story).iter().map(|one| one["scheduled_at"].as_str().expect("a time").to_owned()).collect()
}

#[tokio::test]
async fn a_series_of_googles_is_its_occurrences_and_a_moved_one_stays_one() {
    let story = both_ways().await;
    let (first, second, third) = (day(&story, 3), day(&story, 10), day(&story, 17));
    let series = insert(&story, weekly(&story, "Standup", 3));
    done(&story).await;
    let at = |day: jiff::civil::Date, hour: u8| format!("{day}T{hour:02}:00:00+00:00");
    assert_eq!(starts(&story), [at(first, 9), at(second, 9), at(third, 9)]);
    let ids: Vec<String> = meetings(&story).iter().map(|one| id(one).to_owned()).collect();
    quiet(&story).await;
    // One is moved in Google, another one renamed in Teamleader.
    let one = format!("{series}_{}T090000Z", second.strftime("%Y%m%d"));
    let moved = |hour: u8| json!({ "dateTime": format!("{second}T{hour:02}:00:00Z") });
    in_app(&story, "patch", json!({ "id": one, "event": { "start": moved(15), "end": moved(16) } }));
    story.teamleader.user_reschedules(VENDOR, &ids[2], &object(json!({ "title": "Retro" })));
    done(&story).await;
    assert_eq!(starts(&story), [at(first, 9), at(second, 15), at(third, 9)]);
    assert_eq!(meetings(&story).iter().map(|one| id(one).to_owned()).collect::<Vec<_>>(), ids, "still the same three");
    let renamed = event(&story, "Retro");
    assert_eq!(renamed["recurringEventId"], json!(series));
    quiet(&story).await;
    // The rule moves all of them to eleven.
    let all = |hour: u8| json!({ "dateTime": format!("{first}T{hour:02}:00:00Z"), "timeZone": "Europe/Brussels" });
    in_app(&story, "patch", json!({ "id": series, "event": { "start": all(11), "end": all(12) } }));
    done(&story).await;
    assert_eq!(starts(&story), [at(first, 11), at(second, 11), at(third, 11)]);
    quiet(&story).await;
    in_app(&story, "delete", json!({ "id": series }));
    story.set("max_delete_percent", json!(100)).await;
    done(&story).await;
    assert!(meetings(&story).is_empty());
}

#[tokio::test]
async fn the_window_slides_forward_and_adds_each_occurrence_once() {
    let story = story(json!({ "imported_as": "meeting", "window_past_days": 3, "window_future_days": 20 })).await;
    let mut series = timed("Standup", day(&story, 1));
    series["recurrence"] = json!(["RRULE:FREQ=WEEKLY"]);
    insert(&story, series);
    done(&story).await;
    assert_eq!(meetings(&story).len(), 3);
    for week in 1..=3 {
        story.clock.advance(std::time::Duration::from_secs(7 * 86_400));
        done(&story).await;
        assert_eq!(meetings(&story).len(), 3 + week, "one more a week");
        quiet(&story).await;
    }
    let mut all = starts(&story);
    all.dedup();
    assert_eq!(all.len(), 6, "each once");
}

#[tokio::test]
async fn e27_a_first_run_invites_nobody_and_a_fresh_edit_tells_the_guests_once() {
    let story = both_ways().await;
    let fields = json!({ "last_name": "An", "emails": [{ "type": "primary", "email": "an@example.com" }] });
    let an = story.teamleader.user_creates(VENDOR, Edit { fields: object(fields), ..Edit::default() });
    let me = story.teamleader.user_of(VENDOR);
    let guests = json!([{ "type": "user", "id": me }, { "type": "contact", "id": an }]);
    let ids: Vec<String> = (0..40)
        .map(|n| schedule(&story, &format!("Visit {n}"), day(&story, 1 + n), json!({ "attendees": guests })))
        .collect();
    let run = done(&story).await;
    assert_eq!(run.counts.remote.created, 40);
    no_mails(&story);
    story.teamleader.user_reschedules(VENDOR, &ids[3], &object(json!({ "title": "Moved" })));
    done(&story).await;
    let mails = serde_json::to_value(story.google.mails()).expect("counts");
    let told: u64 = mails.as_object().expect("counts").values().filter_map(Value::as_u64).sum();
    assert_eq!(told, 1, "{mails}");
    quiet(&story).await;
    // What waited while the sync was off is no news any more, though Teamleader does not say when it was.
    story.switch_off().await;
    story.teamleader.user_reschedules(VENDOR, &ids[5], &object(json!({ "title": "Moved long ago" })));
    story.clock.advance(Duration::from_secs(3 * 86_400));
    story.switch_on().await;
    let run = done(&story).await;
    assert!(run.counts.remote.updated >= 1, "{run:?}");
    assert_eq!(serde_json::to_value(story.google.mails()).expect("counts"), mails);
}

/// Google puts the organiser's event into the guest's calendar.
fn invited(story: &Story, id: &str, event: &Value) {
    if story.google.events(BO, "primary").is_empty() {
        story.google.user_does(BO, "invite", &json!({ "id": id, "organizer": GOOGLE, "event": event }));
    }
}

#[tokio::test]
async fn a_meeting_that_two_users_are_at_is_one_event_in_each_calendar() {
    let jan = both_ways().await;
    let bo = jan.colleague(BO, PROFILE, json!({ "imported_as": "meeting" })).await;
    let me = jan.teamleader.user_of(VENDOR);
    let colleague = bo.teamleader.hired(VENDOR, BO);
    let users = json!([{ "type": "user", "id": me }, { "type": "user", "id": colleague }]);
    schedule(&jan, "Plan", day(&jan, 5), json!({ "attendees": users }));
    done(&jan).await;
    assert_eq!(event(&jan, "Plan")["attendees"], json!([]), "he has it in his own agenda");
    for _ in 0..3 {
        done(&bo).await;
        done(&jan).await;
        assert_eq!((meetings(&jan).len(), events(&jan).len(), jan.google.events(BO, "primary").len()), (1, 1, 1));
    }
    // He takes it out of his calendar: she stays at the meeting.
    let his = jan.google.events(BO, "primary")[0]["id"].clone();
    jan.google.user_does(BO, "delete", &json!({ "id": his }));
    bo.set("max_delete_percent", json!(100)).await;
    done(&bo).await;
    done(&jan).await;
    assert_eq!(meeting(&jan, "Plan")["attendees"], json!([{ "type": "user", "id": me }]));
}

#[tokio::test]
async fn e28_one_meeting_in_two_colleagues_calendars_is_one_meeting() {
    for bo_first in [false, true] {
        let jan = both_ways().await;
        let bo = jan.colleague(BO, PROFILE, json!({ "imported_as": "meeting" })).await;
        let mut shared = timed("Shared", day(&jan, 6));
        shared["attendees"] = json!([{ "email": BO }]);
        let id = insert(&jan, shared.clone());
        invited(&jan, &id, &shared);
        for _ in 0..3 {
            for who in if bo_first { [&bo, &jan] } else { [&jan, &bo] } {
                done(who).await;
            }
            let one = meeting(&jan, "Shared");
            assert_eq!(one["attendees"].as_array().map(Vec::len), Some(2), "{one}");
            event(&jan, "Shared");
            assert_eq!(jan.google.events(BO, "primary").len(), 1);
        }
    }
}

#[tokio::test]
async fn a_day_in_google_is_from_midnight_to_midnight_and_stays_that_day() {
    let story = both_ways().await;
    let (from, to) = (day(&story, 6), day(&story, 7));
    let fair = insert(
        &story,
        json!({ "summary": "Fair", "start": { "date": from.to_string() }, "end": { "date": to.to_string() } }),
    );
    done(&story).await;
    let made = meeting(&story, "Fair");
    assert_eq!(made["duration"]["value"], 24 * 60);
    quiet(&story).await;
    let times = json!({ "starts_at": format!("{from}T08:00:00Z"), "ends_at": format!("{from}T09:00:00Z") });
    story.teamleader.user_reschedules(VENDOR, id(&made), &object(times));
    done(&story).await;
    let now = event(&story, "Fair");
    assert_eq!((&now["id"], &now["start"]["date"]), (&json!(fair), &Value::Null));
    assert_eq!(instant(&now["start"]["dateTime"]), instant(&json!(format!("{from}T08:00:00Z"))));
    quiet(&story).await;
}

#[tokio::test]
async fn what_was_edited_while_the_sync_was_off_flows_once_when_it_is_on_again() {
    let story = both_ways().await;
    let fields = json!({ "last_name": "An", "emails": [{ "type": "primary", "email": "an@example.com" }] });
    let an = story.teamleader.user_creates(VENDOR, Edit { fields: object(fields), ..Edit::default() });
    let me = story.teamleader.user_of(VENDOR);
    let guests = json!([{ "type": "user", "id": me }, { "type": "contact", "id": an }]);
    let visit = schedule(&story, "Visit", day(&story, 9), json!({ "attendees": guests }));
    let lunch = insert(&story, timed("Lunch", day(&story, 6)));
    done(&story).await;
    let mut sync = story.sync().await;
    sync.enabled = false;
    story.store.configure_sync(&sync, None).await.expect("nobody else configures it");
    story.teamleader.user_reschedules(VENDOR, &visit, &object(json!({ "title": "Visit II" })));
    in_app(&story, "patch", json!({ "id": lunch, "event": { "summary": "Lunch II" } }));
    story.clock.advance(std::time::Duration::from_secs(3 * 86_400));
    story.engine.fan_out_shards(sync.kind).await.expect("the queue takes it");
    story.settle().await;
    event(&story, "Visit");
    meeting(&story, "Lunch");
    let mut sync = story.sync().await;
    sync.enabled = true;
    use tandem_ports::infra::Clock;
    story.store.configure_sync(&sync, Some(story.clock.now())).await.expect("nobody else configures it");
    let run = done(&story).await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (1, 1), "{run:?}");
    no_mails(&story);
    quiet(&story).await;
}

#[tokio::test]
async fn a_lost_answer_and_a_lost_history_make_nothing_twice() {
    let story = both_ways().await;
    insert(&story, timed("Lunch", day(&story, 6)));
    story.teamleader.inject_on(Fault::LoseAnswer, &["meetings.schedule"]);
    done(&story).await;
    meeting(&story, "Lunch");
    schedule(&story, "Visit", day(&story, 7), json!({}));
    done(&story).await;
    quiet(&story).await;
    story.starts_over(json!({ "imported_as": "meeting" })).await;
    done(&story).await;
    assert_eq!((meetings(&story).len(), events(&story).len()), (2, 2));
    quiet(&story).await;
}

#[tokio::test]
async fn a_fault_at_any_kind_of_call_makes_nothing_twice_and_loses_nothing() {
    let methods = ["users.me", "users.list", "contacts.list", "meetings.list", "meetings.info", "meetings.schedule"];
    for fault in [Fault::ServerError, Fault::LoseRequest, Fault::LoseAnswer] {
        for method in methods {
            let story = both_ways().await;
            let mut lunch = timed("Lunch", day(&story, 6));
            lunch["attendees"] = json!([{ "email": "an@example.com" }]);
            insert(&story, lunch);
            insert(&story, timed("Dinner", day(&story, 7)));
            schedule(&story, "Visit", day(&story, 5), json!({}));
            // The first try, its quick repeats, and the next job's.
            for _ in 0..4 {
                story.teamleader.inject_on(fault, &[method]);
            }
            done(&story).await;
            for title in ["Lunch", "Dinner", "Visit"] {
                meeting(&story, title);
                event(&story, title);
            }
            // What a lost answer had made is found, and brought into step in the next run.
            done(&story).await;
            assert_eq!((meetings(&story).len(), events(&story).len()), (3, 3), "{fault:?} at {method}");
            quiet(&story).await;
        }
    }
}

#[tokio::test]
async fn what_both_sides_have_already_is_paired_by_title_and_start() {
    for settings in [json!({}), json!({ "imported_as": "meeting" })] {
        let story = story(settings).await;
        let on = day(&story, 5);
        let visit = schedule(&story, "Visit", on, json!({}));
        let at = |time: &str| json!({ "dateTime": format!("{on}T{time}:00Z"), "timeZone": "Europe/Brussels" });
        let there = insert(&story, json!({ "summary": "Visit", "start": at("13:00"), "end": at("14:30") }));
        let run = done(&story).await;
        assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 0), "{run:?}");
        assert_eq!(event(&story, "Visit")["description"], "Bring bread");
        quiet(&story).await;
        story.teamleader.user_reschedules(VENDOR, &visit, &object(json!({ "title": "Visit II" })));
        done(&story).await;
        assert_eq!(event(&story, "Visit II")["id"], json!(there));
    }
}

#[tokio::test]
async fn a_used_up_quota_is_waited_for_and_nothing_is_lost() {
    let story = both_ways().await;
    for after in 1..6 {
        insert(&story, timed(&format!("Lunch {after}"), day(&story, after)));
    }
    story.teamleader.inject_on(Fault::Throttle { seconds: 600 }, &["meetings.schedule"]);
    done(&story).await;
    assert_eq!(meetings(&story).len(), 5);
    quiet(&story).await;
}

#[tokio::test]
async fn a_quiet_run_asks_teamleader_for_one_list() {
    let story = both_ways().await;
    for after in 1..6 {
        schedule(&story, &format!("Visit {after}"), day(&story, after), json!({}));
    }
    done(&story).await;
    done(&story).await;
    story.teamleader.forget_calls();
    done(&story).await;
    let calls: Vec<String> = story.teamleader.calls().into_iter().map(|(method, _)| method).collect();
    assert_eq!(calls, ["users.me", "meetings.list"]);
}
