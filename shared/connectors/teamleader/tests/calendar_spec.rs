//! Every method, body key, filter and sort field that the connector sends about meetings is in Teamleader's own list.
mod facts;

use async_trait::async_trait;
use facts::Recorder;
use serde_json::{Map, Value as Json, json};
use std::sync::{Arc, Mutex};
use tandem_core::event::{Attendee, Event, Moment, Span, Status, field};
use tandem_core::record::{Marker, RemoteId};
use tandem_ports::connector::{Connector, Deletion, Draft, Next, Patch};
use tandem_ports::error::Result;
use tandem_ports::names::Names;
use tandem_teamleader::fake::{Edit, FakeTeamleader};
use tandem_teamleader::{CalendarOptions, TeamleaderCalendar, TeamleaderConfig};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

/// Nothing has a name.
struct Nameless;

#[async_trait]
impl Names for Nameless {
    async fn of(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        Ok(ids.iter().map(|_| None).collect())
    }
    async fn named(&self, _: &str) -> Result<Option<RemoteId>> {
        Ok(None)
    }
    async fn note(&self, _: &RemoteId, _: &str) -> Result<()> {
        Ok(())
    }
}

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
    let names = Arc::new(Nameless);
    let options = CalendarOptions { past_days: 30, future_days: 365, names, activities };
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
