//! What a calendar costs, counted: calls, not time.
use scenarios::calendar::{done, events};
use scenarios::{GOOGLE, Story};
use serde_json::{Value, json};
use tandem_builtin::Kind;

const PROFILE: &str = "teamleader-google-calendar";

/// A meeting in March; every tenth is a series of four weeks, of which the second is elsewhere.
fn meeting(number: usize) -> Value {
    let (day, hour) = (1 + number % 28, 7 + number % 9);
    let time = |hour: usize| format!("2026-03-{day:02}T{hour:02}:00:00Z");
    let mut made = json!({"title": format!("Meeting {number}"), "start": time(hour), "end": time(hour + 1)});
    if number.is_multiple_of(10) {
        let first: jiff::Timestamp = time(hour).parse().expect("a time");
        let second = first + jiff::SignedDuration::from_hours(7 * 24);
        made["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=4"]);
        made["exceptions"] = json!([{"original_start": second.to_string(), "location": "Ghent"}]);
    }
    made
}

/// Calls at Google since the log was emptied: batches that write, batches that read, other calls.
fn calls(story: &Story) -> (usize, usize, Vec<(String, String, usize)>) {
    let all = story.google.calls();
    let batch =
        |writes: bool| all.iter().filter(|(_, path, n)| path.starts_with("/batch/") && (*n > 0) == writes).count();
    let (writing, reading) = (batch(true), batch(false));
    (writing, reading, all.into_iter().filter(|(_, path, _)| !path.starts_with("/batch/")).collect())
}

#[tokio::test]
async fn two_thousand_events_with_two_hundred_series_are_44_write_calls_and_a_quiet_run_is_one_a_calendar() {
    let story = Story::begins(PROFILE, json!({})).await;
    for number in 0..2_000 {
        story.crm_record(Kind::Meeting, meeting(number)).await;
    }
    story.google.forget_calls();
    let run = done(&story).await;
    assert_eq!(run.counts.remote.created, 2_000, "{run:?}");
    let (writing, reading, others) = calls(&story);
    println!(
        "2,000 events with 200 series: {writing} batches that write, {reading} that read, {} other calls",
        others.len()
    );
    assert!(writing <= 44, "{writing} batches that write");
    assert!(others.iter().all(|(method, _, writes)| method == "GET" && *writes == 0), "{others:?}");
    // 1,800 single ones, 200 series and an exception of each.
    assert_eq!(events(&story).len(), 2_200);
    // Their echoes, and then nothing.
    done(&story).await;
    let team = story.google.user_does(GOOGLE, "calendar", &json!({"calendar": {"summary": "Team"}}));
    story.set("source_calendars", json!(["primary", team["id"]])).await;
    done(&story).await;
    story.google.forget_calls();
    let table = story.table.requests();
    let run = done(&story).await;
    assert_eq!(run.counts.writes(), 0, "{run:?}");
    let (writing, reading, others) = calls(&story);
    assert_eq!((writing, reading, others.len()), (0, 0, 2), "one delta for each of the two calendars: {others:?}");
    let requests = story.table.requests() - table;
    println!("a quiet run of two calendars: 2 calls at Google, {requests} requests of the table with the rule's own");
}
