//! Stories of calendars on the built-in CRM: answers of guests, rules as people and apps write them, records that cannot be
//! read, pauses, and who gets mail.
use scenarios::calendar::{all, convert, delete, done, event, events, insert, insert_as, only, patch, quiet};
use scenarios::{GOOGLE, Story};
use serde_json::{Value, json};
use tandem_builtin::Kind;

const PROFILE: &str = "teamleader-google-calendar";
const EVA: &str = "eva@example.com";
const OTHER: &str = "jan.private@example.com";

async fn story(settings: Value) -> Story {
    Story::begins(PROFILE, settings).await
}

fn time(day: &str, hour: u8) -> Value {
    json!({"dateTime": format!("2026-02-{day}T{hour:02}:00:00+01:00"), "timeZone": "Europe/Brussels"})
}

/// On 2 February, a Monday, by the clock of Brussels.
fn at(summary: &str, hour: u8) -> Value {
    json!({"summary": summary, "start": time("02", hour), "end": time("02", hour + 1)})
}

fn weekly(summary: &str, rule: &str) -> Value {
    let mut event = at(summary, 9);
    event["recurrence"] = json!([rule]);
    event
}

fn meeting(title: &str) -> Value {
    json!({"title": title, "start": "2026-02-02T08:00:00Z", "end": "2026-02-02T09:00:00Z", "time_zone": "Europe/Brussels"})
}

fn mails(story: &Story) -> (usize, usize, usize) {
    let mails = story.google.mails();
    (mails.invitations, mails.updates, mails.cancellations)
}

fn writes_at_google(story: &Story) -> usize {
    story.google.calls().iter().map(|(_, _, writes)| writes).sum()
}

#[tokio::test]
async fn e07_what_is_gone_before_it_was_ever_synced_is_never_sent() {
    let story = story(json!({})).await;
    for _ in 0..2 {
        let id = story.crm_record(Kind::Meeting, meeting("Mistake")).await;
        story.crm_delete(Kind::Meeting, &id).await;
        let before = writes_at_google(&story);
        let run = done(&story).await;
        assert_eq!((run.counts.writes(), writes_at_google(&story) - before), (0, 0), "{run:?}");
    }
    assert!(events(&story).is_empty());
    quiet(&story).await;
}

#[tokio::test]
async fn e12_a_rule_that_becomes_wednesday_is_the_same_record_on_wednesdays() {
    let story = story(json!({})).await;
    let id = insert(&story, weekly("Stand-up", "RRULE:FREQ=WEEKLY;COUNT=4;BYDAY=MO"));
    done(&story).await;
    let before = only(&story, Kind::Block).await;
    let event =
        json!({"start": time("04", 9), "end": time("04", 10), "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4;BYDAY=WE"]});
    patch(&story, &id, event);
    let run = done(&story).await;
    assert_eq!((run.counts.crm.updated, run.counts.crm.created, run.counts.crm.deleted), (1, 0, 0), "{run:?}");
    let after = only(&story, Kind::Block).await;
    assert_eq!((&after["id"], &after["start"]), (&before["id"], &json!("2026-02-04T08:00:00Z")));
    assert_eq!(after["recurrence"], json!(["RRULE:FREQ=WEEKLY;COUNT=4;BYDAY=WE"]));
    quiet(&story).await;
}

#[tokio::test]
async fn e18_a_split_done_in_google_comes_as_two_series_with_the_edit_on_the_new_one() {
    let story = story(json!({})).await;
    let id = insert(&story, weekly("Stand-up", "RRULE:FREQ=WEEKLY;COUNT=6"));
    done(&story).await;
    // The app shortens the one and makes the other, which keeps the old one's name in its own.
    patch(&story, &id, json!({"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260215T225959Z"]}));
    let rest = format!("{id}_R20260216T080000");
    let mut later = weekly("Stand-up", "RRULE:FREQ=WEEKLY;COUNT=4");
    (later["id"], later["start"], later["end"]) = (json!(rest), time("16", 11), time("16", 12));
    insert(&story, later);
    patch(&story, &format!("{rest}_20260223T100000Z"), json!({"summary": "Retro"}));
    done(&story).await;
    let blocks = all(&story, Kind::Block).await;
    let rules: Vec<(&Value, &Value)> = blocks.iter().map(|block| (&block["start"], &block["recurrence"][0])).collect();
    let wanted = [
        (json!("2026-02-02T08:00:00Z"), json!("RRULE:FREQ=WEEKLY;UNTIL=20260215T225959Z")),
        (json!("2026-02-16T10:00:00Z"), json!("RRULE:FREQ=WEEKLY;COUNT=4")),
    ];
    assert!(rules.len() == 2 && wanted.iter().all(|(start, rule)| rules.contains(&(start, rule))), "{rules:?}");
    let exceptions: Vec<&Value> = blocks.iter().flat_map(|block| block["exceptions"].as_array()).flatten().collect();
    assert_eq!(exceptions, [&json!({"original_start": "2026-02-23T10:00:00Z", "title": "Retro"})]);
    quiet(&story).await;
}

#[tokio::test]
async fn e20_an_until_is_sent_in_utc_with_one_z_whichever_way_it_was_typed() {
    for (typed, sent) in [
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20260401T100000;BYDAY=MO", "UNTIL=20260401T080000Z"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20260401T080000Z;BYDAY=MO", "UNTIL=20260401T080000Z"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20260401T080000ZZ;BYDAY=MO", "UNTIL=20260401T080000Z"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20260401;BYDAY=MO", "UNTIL=20260401T215959Z"),
    ] {
        let story = story(json!({})).await;
        let mut new = meeting("Review");
        new["recurrence"] = json!([typed]);
        story.crm_record(Kind::Meeting, new).await;
        done(&story).await;
        let rule = event(&story, "Review")["recurrence"][0].as_str().expect("a rule").to_owned();
        let mut parts: Vec<&str> = rule.trim_start_matches("RRULE:").split(';').collect();
        parts.sort_unstable();
        assert_eq!(parts, ["BYDAY=MO", "FREQ=WEEKLY", "INTERVAL=2", sent], "{typed}");
        quiet(&story).await;
    }
}

#[tokio::test]
async fn e21_the_rule_is_found_wherever_it_stands_and_one_that_is_none_stops_nothing() {
    let story = story(json!({})).await;
    let mut first = at("Stand-up", 9);
    first["recurrence"] = json!(["EXDATE;TZID=Europe/Brussels:20260209T090000", "RRULE:FREQ=WEEKLY;COUNT=4"]);
    insert(&story, first);
    let broken = weekly("Odd", "RRULE:FREQ=SOMETIMES");
    story.google.user_does(GOOGLE, "invite", &json!({"id": "odd1", "event": broken}));
    insert(&story, at("Lunch", 12));
    let run = story.run().await;
    assert_eq!(run.counts.crm.created, 2, "{run:?}");
    let blocks = all(&story, Kind::Block).await;
    let standup = blocks.iter().find(|block| block["title"] == "Stand-up").expect("there");
    assert_eq!(standup["recurrence"], json!(["RRULE:FREQ=WEEKLY;COUNT=4"]));
    assert_eq!(standup["exceptions"], json!([{"original_start": "2026-02-09T08:00:00Z", "cancelled": true}]));
    assert!(blocks.iter().any(|block| block["title"] == "Lunch"), "{blocks:?}");
    let set_aside = story.records("excluded").await;
    let reasons: Vec<&str> = set_aside.iter().filter_map(|one| Some(one.reason.as_ref()?.code.as_str())).collect();
    assert_eq!(reasons, ["unreadable"]);
    quiet(&story).await;
}

/// Everybody's first answer is open; answers that a guest gives to occurrences of the series, by original start.
fn answers(block: &Value) -> Vec<(String, String)> {
    let mut all = vec![("all".to_owned(), block["attendees"][0]["status"].as_str().unwrap_or_default().to_owned())];
    for one in block["exceptions"].as_array().into_iter().flatten() {
        let status = one["attendees"][0]["status"].as_str().unwrap_or("cancelled");
        all.push((one["original_start"].as_str().expect("a start").to_owned(), status.to_owned()));
    }
    all
}

#[tokio::test]
async fn e23_a_guests_answer_to_one_or_all_or_the_following_is_the_same_whoever_is_synced_first() {
    let accepted = json!([{"email": EVA, "responseStatus": "accepted"}]);
    for eva_first in [false, true] {
        for option in ["this", "all", "following"] {
            let jan = story(json!({})).await;
            let eva = jan.colleague(EVA, PROFILE, json!({})).await;
            let mut daily = weekly("Daily", "RRULE:FREQ=DAILY;COUNT=5");
            daily["attendees"] = json!([{"email": EVA}]);
            let id = insert(&jan, daily);
            let both = async || {
                let (first, second) = if eva_first { (&eva, &jan) } else { (&jan, &eva) };
                done(first).await;
                done(second).await;
            };
            both().await;
            assert_eq!(answers(&only(&jan, Kind::Block).await), [("all".into(), "needs_action".into())]);
            let says = |id: &str| {
                let order = json!({"id": id, "event": {"attendees": accepted}});
                jan.google.user_does(EVA, "patch", &order);
            };
            match option {
                "this" => says(&format!("{id}_20260204T080000Z")),
                "all" => says(&id),
                _ => {
                    // The app splits the series: the rest is a new one, which she accepts.
                    patch(&jan, &id, json!({"recurrence": ["RRULE:FREQ=DAILY;COUNT=2"]}));
                    let mut rest = weekly("Daily", "RRULE:FREQ=DAILY;COUNT=3");
                    (rest["start"], rest["end"]) = (time("04", 9), time("04", 10));
                    (rest["id"], rest["attendees"]) =
                        (json!(format!("{id}_R20260204T080000")), json!([{"email": EVA}]));
                    says(&insert(&jan, rest));
                }
            }
            for _ in 0..3 {
                both().await;
            }
            let mut said: Vec<(String, Vec<(String, String)>)> = all(&jan, Kind::Block)
                .await
                .iter()
                .map(|block| (block["start"].as_str().expect("a start").to_owned(), answers(block)))
                .collect();
            said.sort();
            let all_of = |start: &str, word: &str| (start.to_owned(), vec![("all".to_owned(), word.to_owned())]);
            let wanted = match option {
                "this" => {
                    let mut series = all_of("2026-02-02T08:00:00Z", "needs_action");
                    series.1.push(("2026-02-04T08:00:00Z".to_owned(), "accepted".to_owned()));
                    vec![series]
                }
                "all" => vec![all_of("2026-02-02T08:00:00Z", "accepted")],
                _ => vec![all_of("2026-02-02T08:00:00Z", "needs_action"), all_of("2026-02-04T08:00:00Z", "accepted")],
            };
            assert_eq!(said, wanted, "{option}, eva first: {eva_first}");
            quiet(&jan).await;
            quiet(&eva).await;
            assert_eq!(mails(&jan), (0, 0, 0));
        }
    }
}

#[tokio::test]
async fn e25_a_link_of_the_crms_stays_until_google_has_a_real_one() {
    let story = story(json!({})).await;
    let mut new = meeting("Call");
    new["conference"] = json!("https://meet.acme.example/jan");
    story.crm_record(Kind::Meeting, new).await;
    done(&story).await;
    let made = event(&story, "Call");
    let id = made["id"].as_str().expect("an id");
    assert!(made.get("conferenceData").is_none() && made.get("hangoutLink").is_none(), "Google's are Google's: {made}");
    patch(&story, id, json!({"location": "Ghent"}));
    done(&story).await;
    let now = only(&story, Kind::Meeting).await;
    assert_eq!((&now["location"], &now["conference"]), (&json!("Ghent"), &json!("https://meet.acme.example/jan")));
    quiet(&story).await;
    let meet = json!({"conferenceData": {"entryPoints": [{"entryPointType": "video", "uri": "https://meet.google.com/abc-defg-hij"}]}});
    patch(&story, id, meet);
    done(&story).await;
    assert_eq!(only(&story, Kind::Meeting).await["conference"], "https://meet.google.com/abc-defg-hij");
    quiet(&story).await;
}

#[tokio::test]
async fn e26_what_only_the_organiser_may_change_is_said_and_not_tried_for_ever() {
    let story = story(json!({})).await;
    let mut theirs = at("Board", 9);
    theirs["attendees"] = json!([{"email": "boss@elsewhere.example"}, {"email": GOOGLE}]);
    theirs["guestsCanModify"] = json!(false);
    story.google.user_does(
        GOOGLE,
        "invite",
        &json!({"id": "board1", "organizer": "boss@elsewhere.example", "event": theirs}),
    );
    insert(&story, at("Lunch", 12));
    done(&story).await;
    let block = all(&story, Kind::Block).await.into_iter().find(|block| block["title"] == "Board").expect("there");
    let meeting = convert(&story, &block).await;
    quiet(&story).await;
    let before = writes_at_google(&story);
    story.crm_edit(Kind::Meeting, &meeting, json!({"title": "Board, by us"})).await;
    let run = story.run().await;
    assert_eq!(run.counts.remote.updated, 0, "{run:?}");
    let failing = story.records("failing").await;
    assert_eq!(failing.len(), 1, "{failing:?}");
    let reason = failing[0].reason.as_ref().expect("it is said");
    assert!(reason.message.contains("organiser"), "{reason:?}");
    assert_eq!(event(&story, "Board")["id"], "board1");
    // Three tries at most, and then none before it changes.
    for _ in 0..3 {
        story.run().await;
    }
    let tried = story.google.calls().len();
    story.run().await;
    let patches = story.google.calls()[tried..].iter().filter(|(method, _, _)| method != "GET").count();
    assert_eq!((patches, writes_at_google(&story)), (0, before), "no storm");
    // The others go on, and so does one's own answer.
    story.crm_record(Kind::Meeting, self::meeting("Ours")).await;
    story.run().await;
    event(&story, "Ours");
    story.crm_edit(Kind::Meeting, &meeting, json!({"title": "Board"})).await;
    let guests = json!([{"email": "boss@elsewhere.example"}, {"email": GOOGLE, "status": "accepted"}]);
    story.crm_edit(Kind::Meeting, &meeting, json!({"attendees": guests})).await;
    done(&story).await;
    let shown = event(&story, "Board");
    let mine = shown["attendees"].as_array().expect("guests").iter().find(|guest| guest["email"] == GOOGLE);
    assert_eq!(mine.expect("invited")["responseStatus"], "accepted");
    assert!(story.records("failing").await.is_empty());
}

#[tokio::test]
async fn e27_a_fresh_edit_by_a_person_notifies_once_and_what_comes_in_notifies_nobody() {
    let story = story(json!({})).await;
    let mut new = meeting("Before");
    new["attendees"] = json!([{"email": "ann@x.example"}]);
    story.crm_record(Kind::Meeting, new.clone()).await;
    let mut theirs = at("Theirs", 12);
    theirs["attendees"] = json!([{"email": "ann@x.example"}]);
    let foreign = insert(&story, theirs);
    done(&story).await;
    assert_eq!(mails(&story), (0, 0, 0), "a first run");
    // Made, edited and deleted in the CRM by a person: one mail each, however often it runs.
    new["title"] = json!("Fresh");
    let fresh = story.crm_record(Kind::Meeting, new).await;
    done(&story).await;
    assert_eq!(mails(&story), (1, 0, 0));
    quiet(&story).await;
    story.crm_edit(Kind::Meeting, &fresh, json!({"location": "Ghent"})).await;
    done(&story).await;
    quiet(&story).await;
    assert_eq!(mails(&story), (1, 1, 0));
    // What Google tells goes into the CRM, and from there to nobody.
    let copy = event(&story, "Fresh");
    patch(&story, copy["id"].as_str().expect("an id"), json!({"description": "Bring bread"}));
    patch(&story, &foreign, json!({"summary": "Theirs, later"}));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (2, 0), "{run:?}");
    quiet(&story).await;
    assert_eq!(mails(&story), (1, 1, 0));
    // Nor does a listing because a token has expired.
    story.google.expire_cursors();
    quiet(&story).await;
    assert_eq!(mails(&story), (1, 1, 0));
}

#[tokio::test]
async fn e31_a_change_goes_once_round_and_two_google_accounts_do_not_play_ping_pong() {
    let story = story(json!({})).await;
    let id = insert(&story, at("Visit", 9));
    done(&story).await;
    let meeting = convert(&story, &only(&story, Kind::Block).await).await;
    quiet(&story).await;
    patch(&story, &id, json!({"summary": "Visit at noon"}));
    let run = done(&story).await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (1, 0), "no write back: {run:?}");
    quiet(&story).await;
    // A second account of the same person, mirrored into the same CRM.
    story.google.user_does(OTHER, "events", &json!({}));
    let private = insert_as(&story, OTHER, &at("Dentist", 14));
    story.second_mailbox("private", OTHER, json!({})).await;
    story.settle().await;
    for _ in 0..3 {
        story.run().await;
    }
    let held = |account: &str| {
        let all = story.google.events(account, account);
        all.iter().map(|event| event["summary"].as_str().unwrap_or_default().to_owned()).collect::<Vec<String>>()
    };
    assert_eq!(only(&story, Kind::Block).await["title"], "Dentist", "a foreign event is a block");
    assert_eq!(held(GOOGLE), ["Visit at noon"], "and nobody's to hand on");
    let mut there = held(OTHER);
    there.sort();
    assert_eq!(there, ["Dentist", "Visit at noon"], "the CRM's own meetings go to both");
    let before = (held(GOOGLE), held(OTHER), writes_at_google(&story));
    for _ in 0..3 {
        let run = story.run().await;
        assert_eq!(run.counts.writes(), 0, "{run:?}");
    }
    assert_eq!((held(GOOGLE), held(OTHER), writes_at_google(&story)), before, "three rounds without growth");
    // An edit at one end arrives at the other once.
    story.google.user_does(OTHER, "patch", &json!({"id": private, "event": {"summary": "Dentist at two"}}));
    story.crm_edit(Kind::Meeting, &meeting, json!({"location": "Ghent"})).await;
    for _ in 0..3 {
        story.run().await;
    }
    assert_eq!(only(&story, Kind::Block).await["title"], "Dentist at two");
    assert_eq!(event(&story, "Visit at noon")["location"], "Ghent");
    assert_eq!(story.google.events(OTHER, OTHER).iter().filter(|event| event["location"] == "Ghent").count(), 1);
}

#[tokio::test]
async fn e32_while_it_is_off_nothing_is_sent_and_then_every_edit_once() {
    let story = story(json!({})).await;
    let id = insert(&story, at("Visit", 9));
    let kept = story.crm_record(Kind::Meeting, meeting("Offer")).await;
    let gone = story.crm_record(Kind::Meeting, meeting("Gone")).await;
    done(&story).await;
    quiet(&story).await;
    story.switch_off().await;
    patch(&story, &id, json!({"summary": "Visit II"}));
    insert(&story, at("New there", 15));
    story.crm_edit(Kind::Meeting, &kept, json!({"title": "Offer II"})).await;
    story.crm_record(Kind::Meeting, meeting("New here")).await;
    story.crm_delete(Kind::Meeting, &gone).await;
    let calls = story.google.calls().len();
    for _ in 0..3 {
        story.run().await;
    }
    assert_eq!(story.google.calls().len(), calls, "nothing is sent, nothing is asked");
    story.switch_on().await;
    let run = done(&story).await;
    let (crm, google) = (&run.counts.crm, &run.counts.remote);
    assert_eq!((crm.created, crm.updated, crm.deleted), (1, 1, 0), "{run:?}");
    assert_eq!((google.created, google.updated, google.deleted), (1, 1, 1), "{run:?}");
    let mut titles: Vec<String> = events(&story).iter().map(|event| event["summary"].to_string()).collect();
    titles.sort();
    assert_eq!(titles, ["\"New here\"", "\"New there\"", "\"Offer II\"", "\"Visit II\""]);
    quiet(&story).await;
}

#[tokio::test]
async fn a_calendar_that_the_account_does_not_have_is_named_with_its_setting_and_the_others_go_on() {
    let story = story(json!({"source_calendars": ["primary", "nowhere@example.com"]})).await;
    insert(&story, at("Lunch", 12));
    for _ in 0..2 {
        let run = done(&story).await;
        let error = run.error.expect("it is said in every run");
        assert_eq!(error.code, "calendar_gone");
        assert!(error.message.contains("`nowhere@example.com` (`source_calendars`)"), "{error:?}");
        assert_eq!(story.sync().await.reason, Some(error.message));
        assert_eq!(only(&story, Kind::Block).await["title"], "Lunch");
    }
    story.set("source_calendars", json!(["primary"])).await;
    assert_eq!(done(&story).await.error, None);
    assert_eq!(story.sync().await.reason, None);
}

#[tokio::test]
async fn what_a_calendar_that_is_not_chosen_any_more_leaves_is_not_said_to_have_left_a_group() {
    let story = story(json!({})).await;
    let team = story.google.user_does(GOOGLE, "calendar", &json!({"calendar": {"summary": "Team"}}));
    insert(&story, at("Lunch", 12));
    done(&story).await;
    story.set("source_calendars", json!([team["id"]])).await;
    story.set("target_calendar", team["id"].clone()).await;
    done(&story).await;
    let excluded = story.records("excluded").await;
    assert_eq!(excluded.len(), 1, "{excluded:?}");
    let reason = excluded[0].reason.as_ref().expect("why");
    assert_eq!(reason.code, "left_calendar");
    assert!(!reason.message.contains("group"), "{reason:?}");
    assert_eq!(only(&story, Kind::Block).await["title"], "Lunch");
}

#[tokio::test]
async fn e35_of_three_hundred_events_a_broken_one_is_named_and_the_others_are_there() {
    let story = story(json!({})).await;
    for number in 0..299 {
        insert(&story, at(&format!("Visit {number}"), 9));
    }
    let broken = weekly("Yoga", "RRULE:FREQ=WEEKLY;BYDAY=XX");
    story.google.user_does(GOOGLE, "invite", &json!({"id": "yoga1", "event": broken}));
    let run = story.run().await;
    assert_eq!(run.counts.crm.created, 299, "{run:?}");
    assert_eq!(all(&story, Kind::Block).await.len(), 299);
    let named = async || {
        let set_aside = story.records("excluded").await;
        assert_eq!(set_aside.len(), 1, "{set_aside:?}");
        let there = set_aside[0].remote.clone().expect("it is Google's");
        let title = there.title.expect("it can be named");
        assert!(title.contains("Yoga") && title.contains("2026-02-02"), "{title}");
        let reason = set_aside[0].reason.clone().expect("why");
        assert_eq!((reason.code.as_str(), reason.message.contains("rule")), ("unreadable", true), "{reason:?}");
    };
    named().await;
    // It stops nothing later either: a listing reads everything again, and nothing is lost or made twice.
    story.google.expire_cursors();
    quiet(&story).await;
    named().await;
    // Once it can be read it comes.
    patch(&story, "yoga1", json!({"recurrence": ["RRULE:FREQ=WEEKLY;BYDAY=MO"]}));
    done(&story).await;
    assert_eq!(all(&story, Kind::Block).await.len(), 300);
    // And a linked one that breaks stays as it was, on both sides.
    let mut again = weekly("Yoga", "RRULE:FREQ=WEEKLY;BYDAY=XX");
    again["description"] = json!("odd");
    story.google.user_does(GOOGLE, "invite", &json!({"id": "yoga1", "event": again}));
    story.run().await;
    story.google.expire_cursors();
    story.run().await;
    assert_eq!(all(&story, Kind::Block).await.len(), 300);
    delete(&story, "yoga1");
    done(&story).await;
    assert_eq!(all(&story, Kind::Block).await.len(), 299);
}
