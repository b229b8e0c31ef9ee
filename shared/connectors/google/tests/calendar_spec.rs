//! Every method, parameter, field and enum that the calendar connector sends, and all that the fake answers, is in
//! Google's own list (`facts/calendar.json`); the scopes we ask for are enough for each method.
mod facts;

use facts::{Exchange, Facts, Recorder};
use jiff::tz::TimeZone;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_core::event::{Answer, Attendee, Deviation, Event, Moment, Overrides, Span, Visibility, field};
use tandem_core::record::{ContainerId, Marker, RemoteId};
use tandem_google::auth::SCOPES_FOR_CALENDARS;
use tandem_google::fake::FakeGoogle;
use tandem_google::{Channel, GoogleCalendar, GoogleConfig, Notify};
use tandem_ports::connector::{Connector, Deletion, Draft, Fetched, Next, Patch};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

fn at(text: &str) -> Moment {
    Moment::parse(text, &TimeZone::UTC).expect("a time")
}

fn full(title: &str) -> Event {
    let span = Span::new(at("2026-03-23T08:00:00Z"), at("2026-03-23T09:00:00Z")).expect("in order");
    let guest = Attendee { email: "an@example.com".into(), name: "An".into(), answer: Answer::Tentative };
    Event {
        title: title.into(),
        time_zone: "Europe/Brussels".into(),
        description: "text".into(),
        location: "Room 1".into(),
        attendees: vec![guest],
        reminder_minutes: Some(10),
        visibility: Visibility::Private,
        ..Event::at(span)
    }
}

fn series(title: &str) -> Event {
    let mut event = full(title);
    event.repeat(&["RRULE:FREQ=WEEKLY;COUNT=4".into()]).expect("a rule");
    let renamed = Overrides { title: Some("Retro".into()), ..Overrides::default() };
    event.exceptions.insert(at("2026-03-30T07:00:00Z"), Deviation::Changed(Box::new(renamed)));
    event.exceptions.insert(at("2026-04-06T07:00:00Z"), Deviation::Cancelled);
    event
}

/// A patch of every field that can be written.
fn everything_changed(read: Fetched) -> Patch {
    let mut event = Event::from_fields(&read.fields).expect("readable");
    let mut changed: Vec<_> = field::ALL.to_vec();
    changed.retain(|name| *name != field::CONFERENCE && *name != field::STATUS);
    event.description.clear();
    event.exceptions.clear();
    let marker = Some(Marker::new("n"));
    Patch { id: read.id, expect: read.version, changed, fields: event.to_fields(), scope: None, marker, raw: read.raw }
}

/// One of everything the connector can ask.
async fn everything_asked() -> Vec<Exchange> {
    let fake = FakeGoogle::new(Arc::new(ManualClock::default())).shared();
    let recorder = Recorder::of(fake.authorised(ACCOUNT));
    let google =
        GoogleCalendar::new(Arc::clone(&recorder) as Arc<_>, GoogleConfig::default(), ContainerId::new(ACCOUNT))
            .with_page_size(1)
            .telling(Notify::Guests);
    google.choices().await.expect("listed");
    let channel = Channel {
        id: "channel-1".into(),
        token: "secret".into(),
        address: "https://tandem.example/hook".into(),
        expires: "2026-03-01T00:00:00Z".parse().expect("a time"),
    };
    let open = google.watch(&channel).await.expect("opened");
    google.stop(&open).await.expect("ended");
    let days = Span::new(at("2026-01-15"), at("2026-01-16")).expect("in order");
    let draft = |marker: &str, event: &Event| Draft { marker: Marker::new(marker), fields: event.to_fields() };
    let drafts = [
        draft("a", &full("One")),
        draft("b", &series("Many")),
        draft("c", &Event { title: "Fair".into(), ..Event::at(days) }),
    ];
    for made in google.create(&drafts).await.expect("the batch succeeds") {
        made.expect("created");
    }
    // What others keep there comes back with everything that is ours.
    let conference =
        json!({"conferenceData": {"entryPoints": [{"entryPointType": "video", "uri": "https://meet.example/a"}]}});
    let held = fake.events(ACCOUNT, ACCOUNT);
    let one = held.iter().find(|event| event["summary"] == "One").expect("made");
    fake.user_does(ACCOUNT, "patch", &json!({"id": one["id"], "event": conference}));
    let mut next = google.changes(None).await.expect("a page").next;
    while let Next::More(cursor) = next {
        next = google.changes(Some(&cursor)).await.expect("a page").next;
    }
    let Next::CaughtUp(cursor) = next else { panic!("the loop ends caught up") };
    google.changes(Some(&cursor)).await.expect("a delta");
    let found = google.find_made(&drafts).await.expect("found");
    assert_eq!(found.len(), 3);
    let patches: Vec<Patch> = found.into_iter().map(|(_, read)| everything_changed(read)).collect();
    let written = google.update(&patches).await.expect("the batch succeeds");
    let deletion = |one: tandem_ports::error::Result<tandem_ports::connector::Written>| {
        let one = one.expect("updated");
        Deletion { id: one.id, expect: one.version }
    };
    let deletions: Vec<Deletion> = written.into_iter().map(deletion).collect();
    for gone in google.delete(&deletions).await.expect("the batch succeeds") {
        gone.expect("deleted");
    }
    google.changes(Some(&cursor)).await.expect("a delta with tombstones");
    assert!(google.get(&[RemoteId::new("missing0")]).await.expect("read")[0].is_none());
    recorder.take()
}

#[tokio::test]
async fn whatever_is_asked_and_answered_is_in_googles_own_list_and_in_our_scopes() {
    let facts = Facts::read(include_str!("../facts/calendar.json"));
    let mut methods = BTreeSet::new();
    for exchange in everything_asked().await {
        let id = facts.check(&exchange);
        let scopes = facts.0["methods"][id]["scopes"].as_array().expect("scopes");
        let ours = SCOPES_FOR_CALENDARS.map(|scope| scope.rsplit('/').next().expect("a name"));
        assert!(scopes.iter().any(|scope| ours.iter().any(|our| scope == our)), "{id}");
        methods.insert(id.trim_start_matches("calendar.").to_owned());
    }
    let wanted = [
        "calendarList.list",
        "channels.stop",
        "events.delete",
        "events.get",
        "events.insert",
        "events.instances",
        "events.list",
        "events.patch",
        "events.watch",
    ];
    assert!(methods.iter().eq(wanted), "{methods:?}");
}
