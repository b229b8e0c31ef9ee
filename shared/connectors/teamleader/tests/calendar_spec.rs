//! Every method, body key, filter and sort field that the connector sends about meetings is in Teamleader's own list.
mod facts;
mod noted;

use facts::Recorder;
use noted::Noted;
use serde_json::{Map, Value as Json, json};
use std::sync::{Arc, Mutex};
use tandem_core::calendar::Activity;
use tandem_core::event::{Attendee, Event, Moment, Span, Status, field};
use tandem_core::record::{Field, Marker, RemoteId};
use tandem_ports::connector::{Connector, Deletion, Draft, Next, Patch};
use tandem_teamleader::fake::{Edit, FakeTeamleader};
use tandem_teamleader::{CalendarOptions, TeamleaderCalendar, TeamleaderConfig};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

fn object(value: Json) -> Map<String, Json> {
    value.as_object().cloned().expect("an object")
}

#[tokio::test]
async fn whatever_we_ask_about_meetings_is_in_teamleaders_own_list() {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeTeamleader::new(Arc::clone(&clock) as Arc<_>).shared();
    let fields = json!({"last_name": "An", "emails": [{"type": "primary", "email": "an@example.com"}]});
    fake.user_creates(ACCOUNT, Edit { fields: object(fields), ..Edit::default() });
    let bo = fake.hire(ACCOUNT, "bo@acme.example");
    let recorder = Arc::new(Recorder { inner: fake.authorised(ACCOUNT), seen: Mutex::default() });
    let names = Arc::new(Noted::default());
    let options = CalendarOptions { past_days: 30, future_days: 365, names, activities: vec![Activity::Meetings] };
    let (transport, time) = (Arc::clone(&recorder) as Arc<_>, Arc::clone(&clock) as Arc<_>);
    let focus = TeamleaderCalendar::new(transport, time, TeamleaderConfig::default(), options);
    let at = |text: &str| Moment::parse(text, &jiff::tz::TimeZone::UTC).expect("a time");
    let span = Span::new(at("2026-02-02T09:00:00Z"), at("2026-02-02T10:00:00Z")).expect("a span");
    let guest = |email: &str| Attendee { email: email.to_owned(), ..Attendee::default() };
    let mut event = Event {
        title: "Visit".into(),
        description: "text".into(),
        attendees: vec![guest("an@example.com"), guest("bo@acme.example")],
        ..Event::at(span)
    };
    let draft = Draft { marker: Marker::new("m"), fields: event.to_fields() };
    focus.create(std::slice::from_ref(&draft)).await.expect("a batch").remove(0).expect("created");
    let read = focus.find_made(&[draft]).await.expect("searched").remove(0).1;
    let Next::CaughtUp(cursor) = focus.changes(None).await.expect("listed").next else { panic!("one page is all") };
    focus.changes(Some(&cursor)).await.expect("a delta");
    (event.status, event.title) = (Status::Done, "Call".into());
    event.attendees.clear();
    let (id, expect, raw) = (read.id.clone(), read.version.clone(), read.raw.clone());
    let (changed, fields) = (field::ALL.to_vec(), event.to_fields());
    let patch = Patch { id, expect, changed, fields, scope: None, marker: None, raw };
    focus.update(&[patch]).await.expect("a batch").remove(0).expect("updated");
    let shared = json!({"attendees": [{"type": "user", "id": fake.user_of(ACCOUNT)}, {"type": "user", "id": bo}]});
    fake.user_reschedules(ACCOUNT, read.id.as_str(), &object(shared));
    let deletion = Deletion { id: read.id.clone(), expect: read.version.clone() };
    focus.delete(std::slice::from_ref(&deletion)).await.expect("a batch").remove(0).expect("left");
    let alone = json!({"attendees": [{"type": "user", "id": fake.user_of(ACCOUNT)}]});
    fake.user_reschedules(ACCOUNT, read.id.as_str(), &object(alone));
    focus.delete(&[deletion]).await.expect("a batch").remove(0).expect("deleted");
    let methods = facts::in_the_list(&recorder.seen.lock().expect("not poisoned"));
    let wanted = [
        "contacts.list",
        "meetings.complete",
        "meetings.delete",
        "meetings.info",
        "meetings.list",
        "meetings.schedule",
        "meetings.update",
        "users.list",
        "users.me",
    ];
    assert!(methods.iter().eq(wanted), "{methods:?}");
}

#[tokio::test]
async fn whatever_we_ask_about_calls_tasks_and_events_is_in_teamleaders_own_list() {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeTeamleader::new(Arc::clone(&clock) as Arc<_>).shared();
    let company = fake.user_creates_company(ACCOUNT, &object(json!({"name": "Acme"})));
    let me = json!({"type": "user", "id": fake.user_of(ACCOUNT)});
    let (customer, at) = (json!({"type": "company", "id": company}), "2026-02-02T09:00:00Z");
    let kind = fake.user_names_type(ACCOUNT, "Fair");
    let call = json!({"due_at": at, "participant": {"customer": customer}, "assignee": me});
    let task = json!({"title": "Offer", "due_on": "2026-02-02", "assignee": me});
    let event = json!({"title": "Fair", "activity_type_id": kind, "starts_at": at, "ends_at": "2026-02-02T11:00:00Z",
        "attendees": [me], "links": [customer]});
    let plan = |kind: &str, what| format!("{kind}:{}", fake.user_plans(ACCOUNT, "POST", kind, "", &object(what)));
    let ids = [plan("call", call), plan("task", task), plan("event", event)].map(RemoteId::new);
    let recorder = Arc::new(Recorder { inner: fake.authorised(ACCOUNT), seen: Mutex::default() });
    let names = Arc::new(Noted::default());
    let options = CalendarOptions { past_days: 30, future_days: 365, names, activities: Activity::ALL.to_vec() };
    let (transport, time) = (Arc::clone(&recorder) as Arc<_>, Arc::clone(&clock) as Arc<_>);
    let focus = TeamleaderCalendar::new(transport, time, TeamleaderConfig::default(), options);
    let mut at = None;
    while let Next::More(cursor) = focus.changes(at.as_ref()).await.expect("listed").next {
        at = Some(cursor);
    }
    let read = focus.get(&ids).await.expect("read");
    for read in read.into_iter().flatten() {
        let mut event = Event::from_fields(&read.fields).expect("an appointment");
        (event.title, event.description, event.status) = ("New".into(), "text".into(), Status::Done);
        let changed: Vec<Field> = field::ALL.to_vec();
        let (id, expect, raw) = (read.id.clone(), read.version.clone(), read.raw.clone());
        let patch = Patch { id, expect, changed, fields: event.to_fields(), scope: None, marker: None, raw };
        focus.update(&[patch]).await.expect("a batch").remove(0).expect("updated");
        let deletion = Deletion { id: read.id, expect: read.version };
        focus.delete(&[deletion]).await.expect("a batch").remove(0).expect("deleted");
    }
    let mut methods = facts::in_the_list(&recorder.seen.lock().expect("not poisoned"));
    methods.retain(|method| !method.starts_with("users."));
    let wanted = [
        "calls.complete",
        "calls.delete",
        "calls.info",
        "calls.list",
        "calls.update",
        "companies.list",
        "events.cancel",
        "events.info",
        "events.list",
        "events.update",
        "meetings.list",
        "migrate.activityType",
        "tasks.complete",
        "tasks.delete",
        "tasks.info",
        "tasks.list",
        "tasks.update",
    ];
    assert!(methods.iter().eq(wanted), "{methods:?}");
}
