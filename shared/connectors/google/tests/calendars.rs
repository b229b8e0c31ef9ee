//! Several calendars of one account as one side.
use serde_json::json;
use std::sync::Arc;
use tandem_core::calendar::CalendarSettings;
use tandem_core::event::{Attendee, Event, Moment, Span, field};
use tandem_core::profile;
use tandem_core::record::{Marker, RemoteId, Scope};
use tandem_google::fake::{EventLists, FakeGoogle};
use tandem_google::{ChosenCalendars, GoogleCalendars, GoogleConfig};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

fn settings(profile: &str, given: serde_json::Value) -> CalendarSettings {
    let given = given.as_object().expect("an object");
    profile::profile(profile).expect("known").settings(given).expect("good").calendar.expect("a calendar's")
}

fn open(fake: &Arc<FakeGoogle>, given: serde_json::Value) -> GoogleCalendars {
    let chosen = ChosenCalendars::chosen(&settings("teamleader-google-calendar", given), ACCOUNT);
    GoogleCalendars::new(fake.authorised(ACCOUNT), GoogleConfig::default(), &chosen)
}

fn fake() -> Arc<FakeGoogle> {
    FakeGoogle::new(Arc::new(ManualClock::default())).shared()
}

fn event(title: &str) -> Event {
    let at = |text: &str| Moment::parse(text, &jiff::tz::TimeZone::UTC).expect("a time");
    let span = Span::new(at("2026-12-01T09:00:00Z"), at("2026-12-01T10:00:00Z")).expect("in order");
    let guest = Attendee { email: "an@example.com".into(), ..Attendee::default() };
    Event { title: title.into(), attendees: vec![guest], ..Event::at(span) }
}

fn draft(title: &str) -> Draft {
    Draft { marker: Marker::new(format!("builtin:acme:{title}")), fields: event(title).to_fields() }
}

async fn drain(side: &dyn Connector, from: Option<Cursor>) -> (Vec<Change>, Next) {
    let (mut at, mut all) = (from, Vec::new());
    loop {
        let page = side.changes(at.as_ref()).await.expect("a page");
        all.extend(page.changes);
        let Next::More(cursor) = page.next else { return (all, page.next) };
        at = Some(cursor);
    }
}

async fn caught_up(side: &dyn Connector, from: Option<Cursor>) -> (Vec<String>, Cursor) {
    match drain(side, from).await {
        (changes, Next::CaughtUp(cursor)) => (changes.iter().map(id_of).collect(), cursor),
        (_, end) => panic!("it ends with {end:?}"),
    }
}

fn id_of(change: &Change) -> String {
    match change {
        Change::Upsert(fetched) => fetched.id.to_string(),
        Change::Tombstone { id } => format!("-{id}"),
        Change::Seen { id, .. } | Change::Unreadable { id, .. } => format!("?{id}"),
    }
}

async fn made(side: &dyn Connector, title: &str) -> RemoteId {
    side.create(&[draft(title)]).await.expect("a batch").remove(0).expect("made").id
}

#[tokio::test]
async fn the_accounts_own_calendar_is_one_calendar_however_it_is_called() {
    let given = json!({"source_calendars": ["primary", "Jan@Example.com"], "default_calendar": "jan@example.com"});
    let fake = fake();
    let side = open(&fake, given);
    let id = made(&side, "lunch").await;
    assert!(id.as_str().starts_with("primary/"), "{id}");
    assert_eq!(caught_up(&side, None).await.0, [id.to_string()]);
}

#[tokio::test]
async fn nothing_new_is_one_call() {
    let fake = fake();
    let side = open(&fake, json!({}));
    let (_, cursor) = caught_up(&side, None).await;
    let before = fake.calls().len();
    let (changes, _) = caught_up(&side, Some(cursor)).await;
    assert_eq!((changes.len(), fake.calls().len() - before), (0, 1));
}

#[tokio::test]
async fn a_calendar_that_is_not_chosen_any_more_leaves_its_records_and_loses_none() {
    let fake = fake();
    let id = made(&open(&fake, json!({})), "lunch").await;
    let other = open(&fake, json!({"source_calendars": ["team"], "default_calendar": "crm"}));
    let read = other.get(std::slice::from_ref(&id)).await.expect("an answer").remove(0).expect("not proved gone");
    assert_eq!(read.scope, Scope::Outside);
    assert!(!other.takes_writes_to(&id));
    let deletion = Deletion { id: id.clone(), expect: read.version };
    let refused = other.delete(&[deletion]).await.expect("an answer").remove(0).expect_err("it is refused");
    assert_eq!(refused.kind, ErrorKind::Permanent);
    let created = other.create(&[draft("dinner")]).await.expect_err("nothing may be written");
    assert_eq!(created.kind, ErrorKind::Forbidden);
    assert_eq!(fake.events(ACCOUNT, "primary").len(), 1);
}

#[tokio::test]
async fn a_source_that_is_gone_asks_for_a_look_once_and_its_records_are_out_of_reach() {
    let fake = fake();
    let both = json!({"source_calendars": ["primary", "gone@group.calendar.google.com"]});
    let side = open(&fake, both);
    // Never seen: nothing can have left.
    let (_, cursor) = caught_up(&side, None).await;
    let (_, cursor) = caught_up(&side, Some(cursor)).await;
    // Once read, now gone.
    let mut known: serde_json::Value = serde_json::from_str(&cursor.0).expect("JSON");
    known["calendars"]["gone@group.calendar.google.com"] = known["calendars"]["primary"].clone();
    let (_, end) = drain(&side, Some(Cursor(known.to_string()))).await;
    assert_eq!(end, Next::Relist);
    let id = RemoteId::new("gone@group.calendar.google.com/abcde");
    let read = side.get(std::slice::from_ref(&id)).await.expect("an answer").remove(0).expect("not proved gone");
    assert_eq!(read.scope, Scope::Outside);
    assert!(!side.takes_writes_to(&id));
}

#[tokio::test]
async fn a_target_that_is_gone_is_said_by_what_is_made_and_the_sources_go_on() {
    let fake = fake();
    let given = json!({"source_calendars": ["primary"], "default_calendar": "gone@group.calendar.google.com"});
    let side = open(&fake, given.clone());
    made(&open(&fake, json!({})), "lunch").await;
    assert_eq!(caught_up(&side, None).await.0.len(), 1, "what is read still comes");
    // Also one that has not looked yet, such as the next job's.
    for side in [side, open(&fake, given)] {
        let failed = side.create(&[draft("dinner")]).await.expect_err("there is no place for it");
        assert!(failed.kind == ErrorKind::Forbidden && failed.detail.contains("choose another"), "{failed}");
    }
}

#[tokio::test]
async fn a_new_copy_is_known_by_the_name_that_google_gave_it() {
    let fake = fake();
    fake.set(|settings| settings.event_lists = EventLists::Sparse);
    let side = open(&fake, json!({}));
    let written = side.create(&[draft("lunch")]).await.expect("a batch").remove(0).expect("made");
    let read = side.get(std::slice::from_ref(&written.id)).await.expect("an answer").remove(0).expect("there");
    let shown = written.shown.expect("Google answers what it holds");
    assert!(!read.fields.text(&field::UID).is_empty());
    assert_eq!(shown.text(&field::UID), read.fields.text(&field::UID));
}

#[tokio::test]
async fn a_right_that_is_missing_for_one_of_two_calendars_is_no_matter_of_the_other() {
    let fake = fake();
    let other = "an@example.com";
    let both = open(&fake, json!({"source_calendars": ["primary", other]}));
    fake.user_does(other, "share", &json!({"calendar": other, "with": ACCOUNT, "role": "reader"}));
    let day = json!({"date": "2026-12-02"});
    let theirs = json!({"event": {"summary": "Theirs", "start": day, "end": {"date": "2026-12-03"}}});
    let id = fake.user_does(other, "insert", &theirs)["id"].as_str().expect("an id").to_owned();
    let id = RemoteId::new(format!("{other}/{id}"));
    let read = both.get(std::slice::from_ref(&id)).await.expect("an answer").remove(0).expect("there");
    let deletion = Deletion { id, expect: read.version };
    let refused = both.delete(&[deletion]).await.expect("by itself").remove(0).expect_err("it is for display");
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    made(&both, "lunch").await;
}

#[tokio::test]
async fn guests_are_told_only_by_the_handle_that_tells() {
    let fake = fake();
    let side = open(&fake, json!({}));
    let id = made(&side, "quiet").await;
    let quiet = format!("{:?}", fake.mails());
    made(side.notifying().expect("Google tells guests"), "loud").await;
    assert_ne!(format!("{:?}", fake.mails()), quiet);
    let read = side.get(std::slice::from_ref(&id)).await.expect("an answer").remove(0).expect("there");
    assert!(!read.fields.text(&field::UID).is_empty());
    let told = format!("{:?}", fake.mails());
    let fields = event("renamed").to_fields();
    let patch = Patch {
        id,
        expect: read.version,
        changed: vec![field::TITLE],
        fields,
        scope: None,
        marker: None,
        raw: read.raw,
    };
    side.update(&[patch]).await.expect("an answer").remove(0).expect("changed");
    assert_eq!(format!("{:?}", fake.mails()), told);
}
