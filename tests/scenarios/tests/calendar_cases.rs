//! Stories of calendars on the built-in CRM: what is set aside, what is gone, who hears of it.
use scenarios::Story;
use scenarios::calendar::{all, delete, done, events, insert, quiet};
use serde_json::{Value, json};
use tandem_builtin::Kind;

const PROFILE: &str = "teamleader-google-calendar";

async fn story(settings: Value) -> Story {
    Story::begins(PROFILE, settings).await
}

fn at(summary: &str, hour: u8) -> Value {
    let time =
        |hour: u8| json!({"dateTime": format!("2026-02-02T{hour:02}:00:00+01:00"), "timeZone": "Europe/Brussels"});
    json!({"summary": summary, "start": time(hour), "end": time(hour + 1)})
}

fn gets(story: &Story) -> usize {
    story.google.calls().iter().filter(|(method, _, _)| method == "GET").count()
}

#[tokio::test]
async fn what_google_keeps_for_itself_becomes_no_block_and_costs_nothing_later() {
    let story = story(json!({})).await;
    let day = |day: &str| json!({"date": day});
    let birthday = json!({"summary": "Ann's birthday", "eventType": "birthday", "recurrence": ["RRULE:FREQ=YEARLY"],
        "start": day("2026-02-01"), "end": day("2026-02-02")});
    insert(&story, birthday);
    let mut focus = at("Focus", 14);
    focus["eventType"] = json!("focusTime");
    insert(&story, focus);
    insert(&story, at("Lunch", 12));
    let run = done(&story).await;
    assert_eq!(run.counts.crm.created, 1, "{run:?}");
    let names = async || -> Vec<Value> { all(&story, Kind::Block).await.iter().map(|b| b["title"].clone()).collect() };
    assert_eq!(names().await, ["Lunch"]);
    let reasons: Vec<String> =
        story.records("excluded").await.into_iter().filter_map(|r| Some(r.reason?.message)).collect();
    assert!(
        reasons.len() == 2 && reasons.iter().all(|why| why.contains("Google keeps this for itself")),
        "{reasons:?}"
    );
    quiet(&story).await;
    // They are no candidates: nobody reads them again because something else is new.
    let before = gets(&story);
    insert(&story, at("Dinner", 19));
    done(&story).await;
    assert_eq!(names().await.len(), 2);
    assert!(gets(&story) - before <= 3, "{:?}", &story.google.calls()[before..]);
    quiet(&story).await;
}

fn with_guest(title: &str) -> Value {
    json!({"title": title, "start": "2026-02-02T08:00:00Z", "end": "2026-02-02T09:00:00Z", "time_zone": "Europe/Brussels",
        "attendees": [{"email": "ann@x.example"}]})
}

fn cancellations(story: &Story) -> usize {
    story.google.mails().cancellations
}

#[tokio::test]
async fn guests_hear_once_of_a_meeting_that_a_person_deletes_and_never_by_catching_up() {
    let story = story(json!({})).await;
    let mut ids = Vec::new();
    for title in ["Fresh", "Paused", "Listed", "Kept", "Kept too", "Kept as well", "And this", "And that"] {
        ids.push(story.crm_record(Kind::Meeting, with_guest(title)).await);
    }
    done(&story).await;
    story.crm_delete(Kind::Meeting, &ids[0]).await;
    let run = done(&story).await;
    assert_eq!((run.counts.remote.deleted, cancellations(&story)), (1, 1), "{run:?}");
    quiet(&story).await;
    assert_eq!(cancellations(&story), 1);
    // While the sync is off for days, a deletion grows old.
    story.switch_off().await;
    story.crm_delete(Kind::Meeting, &ids[1]).await;
    story.clock.advance(std::time::Duration::from_secs(3 * 86_400));
    story.switch_on().await;
    let run = done(&story).await;
    assert_eq!((run.counts.remote.deleted, cancellations(&story)), (1, 1), "{run:?}");
    // What comes from Google is no news to its guests.
    let there = events(&story).into_iter().find(|event| event["summary"] == "Listed").expect("there");
    delete(&story, there["id"].as_str().expect("an id"));
    let before = cancellations(&story);
    done(&story).await;
    quiet(&story).await;
    assert_eq!(cancellations(&story), before);
}
