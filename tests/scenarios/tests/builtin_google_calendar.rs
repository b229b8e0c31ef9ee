//! `teamleader-google-calendar` on the built-in CRM: rows S2-15 to S2-22 of the source documents, E… of the stories.
use scenarios::calendar::{all, delete, done, events, insert, only, patch, quiet};
use scenarios::{GOOGLE, Story};
use serde_json::{Value, json};
use tandem_builtin::Kind;

const PROFILE: &str = "teamleader-google-calendar";
const BO: &str = "bo@example.com";

async fn story(settings: Value) -> Story {
    Story::begins(PROFILE, settings).await
}

fn timed(title: &str, day: u32) -> Value {
    let time = |hour: u32| json!({"dateTime": format!("2026-12-{day:02}T{hour:02}:00:00+01:00"), "timeZone": "Europe/Brussels"});
    json!({"summary": title, "start": time(9), "end": time(10)})
}

fn meeting(title: &str, day: u32) -> Value {
    let time = |hour: u32| format!("2026-12-{day:02}T{hour:02}:00:00Z");
    json!({"title": title, "start": time(8), "end": time(9), "time_zone": "Europe/Brussels"})
}

fn side_writes(side: &tandem_core::reduce::SideCounts) -> u64 {
    side.created + side.updated + side.deleted
}

#[tokio::test]
async fn e03_a_day_stays_that_day_both_ways() {
    let story = story(json!({})).await;
    let day = json!({"title": "Fair", "all_day": true, "start": "2027-01-15", "end": "2027-01-16"});
    story.crm_record(Kind::Meeting, day).await;
    insert(&story, json!({"summary": "Holiday", "start": {"date": "2027-03-28"}, "end": {"date": "2027-03-29"}}));
    done(&story).await;
    let block = only(&story, Kind::Block).await;
    assert_eq!((&block["start"], &block["end"]), (&json!("2027-03-28"), &json!("2027-03-29")));
    let fair = events(&story).into_iter().find(|event| event["summary"] == "Fair").unwrap();
    assert_eq!((&fair["start"]["date"], &fair["end"]["date"]), (&json!("2027-01-15"), &json!("2027-01-16")));
    quiet(&story).await;
}

#[tokio::test]
async fn e04_e06_what_is_edited_or_deleted_on_either_side_is_so_on_the_other() {
    let story = story(json!({})).await;
    let (kept, gone) = (
        story.crm_record(Kind::Meeting, meeting("Kept", 1)).await,
        story.crm_record(Kind::Meeting, meeting("Gone", 2)).await,
    );
    for day in 3..8 {
        story.crm_record(Kind::Meeting, meeting("Other", day)).await;
    }
    let foreign = insert(&story, timed("Foreign", 9));
    done(&story).await;
    quiet(&story).await;
    story.crm_edit(Kind::Meeting, &kept, json!({"title": "Renamed", "location": "Ghent"})).await;
    story.crm_delete(Kind::Meeting, &gone).await;
    patch(&story, &foreign, json!({"summary": "Moved"}));
    let run = done(&story).await;
    assert_eq!((run.counts.remote.updated, run.counts.remote.deleted), (1, 1), "{:?}", run.counts);
    let titles: Vec<Value> = events(&story).iter().map(|event| event["summary"].clone()).collect();
    assert!(titles.contains(&json!("Renamed")) && !titles.contains(&json!("Gone")), "{titles:?}");
    assert_eq!(only(&story, Kind::Block).await["title"], json!("Moved"));
    // And the other way: the copy is renamed and moved, the foreign one deleted.
    let copy = events(&story).into_iter().find(|event| event["summary"] == "Renamed").unwrap();
    patch(&story, copy["id"].as_str().unwrap(), json!({"summary": "By hand"}));
    delete(&story, &foreign);
    let run = done(&story).await;
    assert_eq!((run.counts.crm.deleted, side_writes(&run.counts.remote)), (1, 0), "{run:?}");
    let shown = story.crm.get(&story.user, Kind::Meeting, &kept).await.unwrap().to_json();
    assert_eq!((&shown["title"], &shown["location"]), (&json!("By hand"), &json!("Ghent")));
    assert!(all(&story, Kind::Block).await.is_empty());
    quiet(&story).await;
}

#[tokio::test]
async fn e17_this_and_following_in_the_crm_is_a_shorter_series_and_a_new_one() {
    let story = story(json!({})).await;
    let mut weekly = meeting("Standup", 1);
    weekly["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=6"]);
    let id = story.crm_record(Kind::Meeting, weekly).await;
    done(&story).await;
    story.crm_edit(Kind::Meeting, &id, json!({"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=2"]})).await;
    let mut rest = meeting("Standup, later", 15);
    rest["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=4"]);
    story.crm_record(Kind::Meeting, rest).await;
    let run = done(&story).await;
    assert_eq!((run.counts.remote.updated, run.counts.remote.created), (1, 1));
    let rules: Vec<Value> = events(&story).iter().map(|event| event["recurrence"][0].clone()).collect();
    assert!(rules.contains(&json!("RRULE:FREQ=WEEKLY;COUNT=2")) && rules.len() == 2, "{rules:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn a_weekly_meeting_keeps_its_wall_clock_when_summer_time_begins() {
    let story = story(json!({})).await;
    let time =
        |hour: u32| json!({"dateTime": format!("2027-03-22T{hour:02}:00:00+01:00"), "timeZone": "Europe/Brussels"});
    let recurrence = json!(["RRULE:FREQ=WEEKLY;COUNT=3"]);
    let id = insert(&story, json!({"summary": "S", "start": time(9), "end": time(10), "recurrence": recurrence}));
    // The occurrence after 28 March is at 07:00 in UTC.
    delete(&story, &format!("{id}_20270329T070000Z"));
    done(&story).await;
    let block = only(&story, Kind::Block).await;
    assert_eq!((&block["start"], &block["time_zone"]), (&json!("2027-03-22T08:00:00Z"), &json!("Europe/Brussels")));
    assert_eq!(block["exceptions"], json!([{"original_start": "2027-03-29T07:00:00Z", "cancelled": true}]));
    quiet(&story).await;
}

#[tokio::test]
async fn e28_a_meeting_in_two_users_calendars_is_one_appointment() {
    let story = story(json!({})).await;
    let invite = |account: &str| {
        let mut event = timed("Shared", 1);
        event["iCalUID"] = json!("shared@elsewhere.example");
        event["attendees"] = json!([{"email": GOOGLE}, {"email": BO}]);
        let path = "https://www.googleapis.com/calendar/v3/calendars/primary/events/import";
        let request = http::Request::post(path).header("content-type", "application/json");
        (story.google.authorised(account), request.body(event.to_string().into()).unwrap())
    };
    for account in [GOOGLE, BO] {
        let (transport, request) = invite(account);
        let answer = transport.send(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
    done(&story).await;
    let bo = story.colleague(BO, PROFILE, json!({})).await.user;
    for _ in 0..3 {
        done(&story).await;
    }
    let block = only(&story, Kind::Block).await;
    assert_eq!(block["participants"].as_array().map(Vec::len), Some(2), "{block}");
    assert_eq!((events(&story).len(), story.google.events(BO, "primary").len()), (1, 1));
    // Who takes it out of one's own calendar leaves it; the other one keeps it.
    let id = events(&story)[0]["id"].as_str().unwrap().to_owned();
    delete(&story, &id);
    done(&story).await;
    let left = story.crm.get(&bo, Kind::Block, block["id"].as_str().unwrap()).await.unwrap().to_json();
    assert_eq!((&left["title"], &left["participants"]), (&json!("Shared"), &json!([bo.id])));
    assert_eq!(story.google.events(BO, "primary").len(), 1);
}

#[tokio::test]
async fn e33_a_secondary_calendar_that_is_out_of_reach_leaves_its_copies() {
    let story = story(json!({})).await;
    let team = story.google.user_does(GOOGLE, "calendar", &json!({"calendar": {"summary": "Team"}}));
    let team = team["id"].as_str().unwrap().to_owned();
    story.set("read_only_calendars", json!([team])).await;
    story.google.user_does(GOOGLE, "insert", &json!({"calendar": team, "event": timed("Team day", 3)}));
    done(&story).await;
    assert_eq!(only(&story, Kind::Block).await["title"], json!("Team day"));
    story.google.user_does(GOOGLE, "unshare", &json!({"calendar": team, "with": GOOGLE}));
    done(&story).await;
    done(&story).await;
    assert_eq!(only(&story, Kind::Block).await["title"], json!("Team day"));
}

#[tokio::test]
async fn an_expired_sync_token_reads_everything_again_and_makes_nothing_twice() {
    let story = story(json!({})).await;
    insert(&story, timed("Visit", 1));
    story.crm_record(Kind::Meeting, meeting("Offer", 2)).await;
    done(&story).await;
    story.google.expire_cursors();
    insert(&story, timed("Later", 3));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.created, side_writes(&run.counts.remote)), (1, 0), "{run:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn s3_13_16_17_in_the_default_calendar_of_sell_an_appointment_is_a_meeting_and_is_changed_on_either_side() {
    for profile in ["sell-google-calendar", "zoho-google-calendar"] {
        let story = Story::begins(profile, json!({"default_calendar": "primary"})).await;
        let (id, gone) = (insert(&story, timed("Visit", 1)), insert(&story, timed("Gone", 2)));
        let untitled = insert(&story, timed("", 3));
        for day in 4..9 {
            insert(&story, timed("Other", day));
        }
        done(&story).await;
        assert_eq!((all(&story, Kind::Meeting).await.len(), all(&story, Kind::Block).await.len()), (8, 0), "{profile}");
        quiet(&story).await;
        let meeting = |meetings: &[Value], title: &str| {
            meetings.iter().find(|one| one["title"] == title).expect("it came")["id"].as_str().unwrap().to_owned()
        };
        let meetings = all(&story, Kind::Meeting).await;
        let visit = meeting(&meetings, "Visit");
        story.crm_edit(Kind::Meeting, &visit, json!({"title": "Signed"})).await;
        story.crm_edit(Kind::Meeting, &meeting(&meetings, "(no title)"), json!({"location": "Ghent"})).await;
        story.crm_delete(Kind::Meeting, &meeting(&meetings, "Gone")).await;
        let run = done(&story).await;
        assert_eq!((run.counts.remote.updated, run.counts.remote.deleted), (2, 1), "{run:?}");
        let shown = |id: &str| events(&story).into_iter().find(|event| event["id"] == id);
        assert_eq!(shown(&id).unwrap()["summary"], json!("Signed"));
        assert_eq!(shown(&untitled).unwrap()["summary"].as_str().unwrap_or_default(), "");
        assert!(shown(&gone).is_none());
        delete(&story, &id);
        done(&story).await;
        assert!(story.crm.get(&story.user, Kind::Meeting, &visit).await.is_err());
        quiet(&story).await;
    }
}

#[tokio::test]
async fn s3_19_what_a_calendar_for_display_has_is_a_block_whatever_the_profile() {
    let story = Story::begins("sell-google-calendar", json!({})).await;
    insert(&story, timed("Visit", 1));
    done(&story).await;
    assert_eq!(only(&story, Kind::Block).await["title"], json!("Visit"));
    let settings = json!({"target_calendar": "other", "source_calendars": [], "read_only_calendars": ["primary"]});
    let story = Story::begins("zoho-google-calendar", settings).await;
    insert(&story, timed("Visit", 1));
    story.run().await;
    assert_eq!(only(&story, Kind::Block).await["title"], json!("Visit"));
}
