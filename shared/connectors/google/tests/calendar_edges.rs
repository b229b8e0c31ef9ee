//! What Google Calendar does beside plain appointments: strays, shortened lists of guests, others' appointments, rules
//! that nobody can work out, channels, long lists.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use std::sync::{Arc, Mutex};
use tandem_core::event::{Attendee, Deviation, Event, Moment, Overrides, Span, field};
use tandem_core::record::{ContainerId, Field, Marker, RemoteId, Scope};
use tandem_google::fake::{EventLists, FakeGoogle, Fault};
use tandem_google::{Channel, GoogleCalendar, GoogleConfig};
use tandem_ports::connector::{Change, Connector, Cursor, Draft, Fetched, Next, Outcomes, Patch, Written};
use tandem_ports::error::ErrorKind;
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";
const OTHER: &str = "an@example.com";

struct Calendar {
    fake: Arc<FakeGoogle>,
    connector: GoogleCalendar,
}

fn calendar() -> Calendar {
    let fake = FakeGoogle::new(Arc::new(ManualClock::default())).shared();
    let transport = fake.authorised(ACCOUNT);
    let connector = GoogleCalendar::new(transport, GoogleConfig::default(), ContainerId::new("primary"));
    Calendar { fake, connector }
}

/// An hour of the user's typing that begins at this UTC time.
fn typed(title: &str, start: &str, more: Json) -> Json {
    let start: jiff::Timestamp = start.parse().expect("a time");
    let end = start + jiff::SignedDuration::from_hours(1);
    let mut event = json!({"summary": title, "start": {"dateTime": start.to_string(), "timeZone": "Europe/Brussels"},
                           "end": {"dateTime": end.to_string(), "timeZone": "Europe/Brussels"}});
    event.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
    event
}

fn plain(title: &str) -> Event {
    let at = |text: &str| Moment::parse(text, &TimeZone::UTC).expect("a time");
    let span = Span::new(at("2026-03-23T08:00:00Z"), at("2026-03-23T09:00:00Z")).expect("in order");
    Event { title: title.into(), ..Event::at(span) }
}

impl Calendar {
    fn does(&self, what: &str, body: Json) -> RemoteId {
        let done = self.fake.user_does(ACCOUNT, what, &body);
        RemoteId::new(done["id"].as_str().unwrap_or_default())
    }
    async fn drain(&self, from: Option<Cursor>) -> (Vec<Change>, Cursor) {
        let (mut at, mut all) = (from, Vec::new());
        loop {
            let page = self.connector.changes(at.as_ref()).await.expect("a page");
            all.extend(page.changes);
            match page.next {
                Next::More(cursor) => at = Some(cursor),
                Next::CaughtUp(cursor) => return (all, cursor),
                Next::Relist => panic!("this feed tells everything"),
            }
        }
    }
    async fn read(&self, id: &RemoteId) -> Fetched {
        let read = self.connector.get(std::slice::from_ref(id)).await.expect("read");
        read.into_iter().next().expect("one").expect("there")
    }
    async fn update(&self, ids: &[RemoteId], changed: &Field, edit: impl Fn(&mut Event)) -> Outcomes<Written> {
        let mut patches = Vec::new();
        for id in ids {
            let read = self.read(id).await;
            let mut event = Event::from_fields(&read.fields).expect("readable");
            edit(&mut event);
            let (expect, fields) = (read.version, event.to_fields());
            let changed = vec![changed.clone()];
            patches.push(Patch { id: id.clone(), expect, changed, fields, scope: None, marker: None, raw: read.raw });
        }
        self.connector.update(&patches).await.expect("the batch succeeds")
    }
}

/// As the engine's transport: a call that is refused for its token goes once more with a new one.
struct Renewing {
    fake: Arc<FakeGoogle>,
    now: Mutex<Arc<dyn HttpTransport>>,
}

#[async_trait]
impl HttpTransport for Renewing {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let now = Arc::clone(&self.now.lock().expect("not poisoned"));
        let answer = now.send(request.clone()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let renewed = self.fake.authorised(ACCOUNT);
        *self.now.lock().expect("not poisoned") = Arc::clone(&renewed);
        renewed.send(request).await
    }
}

/// What stands in for Google on the way, and knows no batches.
struct Batchless(Arc<dyn HttpTransport>);

#[async_trait]
impl HttpTransport for Batchless {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        if request.uri().path().starts_with("/batch") {
            return Ok(Response::builder().status(404).body(Bytes::new()).expect("an answer"));
        }
        self.0.send(request).await
    }
}

#[tokio::test]
async fn without_a_batch_endpoint_calls_go_one_by_one() {
    let mut c = calendar();
    let batchless = Arc::new(Batchless(c.fake.authorised(ACCOUNT)));
    c.connector = GoogleCalendar::new(batchless, GoogleConfig::default(), ContainerId::new("primary"));
    let drafts = ["One", "Two"]
        .map(|title| Draft { fields: plain(title).to_fields(), marker: Marker::new(format!("batchless {title}")) });
    let made = c.connector.create(&drafts).await.expect("each by itself");
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let (changes, _) = c.drain(None).await;
    assert_eq!(titles(&changes), ["One", "Two"]);
}

fn titles(changes: &[Change]) -> Vec<String> {
    let upsert = |change: &Change| {
        let Change::Upsert(fetched) = change else { return None };
        Some(fetched.fields.text(&field::TITLE).to_owned())
    };
    changes.iter().filter_map(upsert).collect()
}

#[tokio::test]
async fn a_guest_of_some_occurrences_alone_has_a_record_for_each() {
    let c = calendar();
    let stray = |day: u8| {
        let event = typed("Review", &format!("2026-03-{day}T08:00:00Z"), json!({}));
        json!({"event": event, "series": "theirs0", "organizer": OTHER})
    };
    let first = c.does("invite", stray(23));
    let second = c.does("invite", stray(30));
    let (changes, cursor) = c.drain(None).await;
    assert_eq!(titles(&changes), ["Review", "Review"]);
    let read = c.read(&second).await;
    let event = Event::from_fields(&read.fields).expect("readable");
    assert!(!event.is_series() && event.span.start().to_string() == "2026-03-30T08:00:00Z");
    // Of what is cancelled Google shows the series, which is nowhere: the master must not be looked for for ever.
    c.does("delete", json!({"id": first.as_str()}));
    let (changes, _) = c.drain(Some(cursor)).await;
    let [Change::Tombstone { id }] = changes.as_slice() else { panic!("one tombstone: {changes:?}") };
    assert!(*id == first);
    assert!(c.connector.get(&[first]).await.expect("read")[0].is_none());
}

#[tokio::test]
async fn a_shortened_list_of_guests_is_read_and_never_written() {
    let c = calendar();
    let guests: Vec<Json> = (0..300).map(|n| json!({"email": format!("g{n}@example.com")})).collect();
    let event = typed("All hands", "2026-03-23T08:00:00Z", json!({"attendees": guests, "attendeesOmitted": true}));
    let id = c.does("invite", json!({"event": event}));
    let held = || c.fake.calls().iter().map(|(_, _, writes)| writes).sum::<usize>();
    let before = held();
    let add = |event: &mut Event| event.attendees.push(Attendee { email: OTHER.into(), ..Attendee::default() });
    let refused = c.update(std::slice::from_ref(&id), &field::ATTENDEES, add).await.remove(0).expect_err("shortened");
    assert_eq!(refused.kind, ErrorKind::Permanent);
    assert!(refused.detail.contains("more guests than Google shows"), "{refused}");
    assert_eq!(held(), before, "nothing is written");
    // Everything else of it can be changed, and the guests stay.
    let renamed = c.update(std::slice::from_ref(&id), &field::LOCATION, |event| event.location = "Hall".into()).await;
    renamed.into_iter().next().expect("one").expect("changed");
    assert!(c.fake.save().contains("g299@example.com"));
}

#[tokio::test]
async fn one_unreadable_rule_among_three_hundred_is_set_aside_by_name_and_the_rest_comes() {
    let c = calendar();
    for n in 0..299 {
        c.does("insert", json!({"event": typed(&format!("E{n}"), "2026-03-23T08:00:00Z", json!({}))}));
    }
    let rule = json!({"recurrence": ["RRULE:FREQ=SOMETIMES"]});
    let bad = c.does("invite", json!({"event": typed("Broken", "2026-03-24T08:00:00Z", rule)}));
    let (changes, cursor) = c.drain(None).await;
    assert_eq!((changes.len(), titles(&changes).len()), (300, 299));
    let found = changes.iter().find_map(|change| {
        let Change::Unreadable { id, reason } = change else { return None };
        Some((id, reason))
    });
    let (id, reason) = found.expect("the bad one");
    assert!(*id == bad && reason.contains("recurrence"), "{reason}");
    // By itself it is there and out of reach, and it has its name; the others of a call are none the worse for it.
    let good = changes.iter().find_map(|change| match change {
        Change::Upsert(fetched) => Some(fetched.id.clone()),
        Change::Tombstone { .. } | Change::Seen { .. } | Change::Unreadable { .. } => None,
    });
    let both = [bad, good.expect("a good one")];
    let scopes: Vec<Option<Scope>> =
        c.connector.get(&both).await.expect("read").into_iter().map(|found| found.map(|one| one.scope)).collect();
    assert_eq!(scopes, [Some(Scope::Outside), Some(Scope::Inside)]);
    let named = c.connector.titles(&both).await.expect("read");
    assert_eq!(named[0].as_deref(), Some("Broken, 2026-03-24"));
    assert!(c.drain(Some(cursor)).await.0.is_empty(), "it is not asked for again");
}

#[tokio::test]
async fn the_rule_is_found_behind_dates_that_are_left_out() {
    let c = calendar();
    let lines = json!({"recurrence": ["EXDATE;TZID=Europe/Brussels:20260330T090000", "RRULE:FREQ=WEEKLY;COUNT=3"]});
    let id = c.does("insert", json!({"event": typed("Stand-up", "2026-03-23T08:00:00Z", lines)}));
    let event = Event::from_fields(&c.read(&id).await.fields).expect("readable");
    assert_eq!(event.recurrence, ["RRULE:FREQ=WEEKLY;COUNT=3"]);
    assert_eq!(event.exceptions.len(), 1);
}

#[tokio::test]
async fn anothers_appointment_is_refused_by_itself_and_says_why() {
    let c = calendar();
    let theirs = json!({"event": typed("Theirs", "2026-03-23T08:00:00Z", json!({})), "organizer": OTHER});
    let theirs = c.does("invite", theirs);
    let mine = c.does("insert", json!({"event": typed("Mine", "2026-03-24T08:00:00Z", json!({}))}));
    let ids = [theirs.clone(), mine.clone()];
    let mut written = c.update(&ids, &field::LOCATION, |event| event.location = "Hall".into()).await;
    written.remove(1).expect("mine is changed");
    let refused = written.remove(0).expect_err("theirs is not");
    assert_eq!(refused.kind, ErrorKind::Permanent, "not the account's fault: no direction pauses");
    assert!(refused.detail.contains("only the organiser"), "{refused}");
    assert_eq!(c.read(&theirs).await.fields.text(&field::LOCATION), "");
    // What is one's own of it can be written.
    let hour = |event: &mut Event| event.reminder_minutes = Some(60);
    c.update(&[theirs], &field::REMINDER_MINUTES, hour).await.remove(0).expect("a reminder is one's own");
}

#[tokio::test]
async fn a_channel_tells_of_changes_until_it_is_stopped() {
    let c = calendar();
    let channel = Channel {
        id: "channel-1".into(),
        token: "secret".into(),
        address: "https://tandem.example/hook".into(),
        expires: "2100-01-01T00:00:00Z".parse().expect("a time"),
    };
    let open = c.connector.watch(&channel).await.expect("opened");
    assert!(open.id == channel.id && open.expires < channel.expires, "Google ends it within a week");
    c.does("insert", json!({"event": typed("New", "2026-03-23T08:00:00Z", json!({}))}));
    let told = c.fake.take_notifications();
    let header = |n: usize, name: &str| told[n].headers.iter().find(|(key, _)| key == name).map(|(_, v)| v.clone());
    assert_eq!(told.len(), 2);
    assert_eq!(header(0, "x-goog-resource-state").as_deref(), Some("sync"));
    assert_eq!(header(1, "x-goog-resource-state").as_deref(), Some("exists"));
    assert_eq!(header(1, "x-goog-channel-token").as_deref(), Some("secret"));
    assert_eq!(header(1, "x-goog-resource-id"), Some(open.resource.clone()));
    assert_eq!(c.connector.watch(&channel).await.expect_err("its id is taken").kind, ErrorKind::Permanent);
    c.connector.stop(&open).await.expect("stopped");
    c.connector.stop(&open).await.expect("what has ended has ended");
    c.does("insert", json!({"event": typed("Newer", "2026-03-23T08:00:00Z", json!({}))}));
    assert!(c.fake.take_notifications().is_empty());
    c.fake.inject(&[Fault::ServerError]);
    assert_eq!(c.connector.stop(&open).await.expect_err("unknown").kind, ErrorKind::Retryable);
}

#[tokio::test]
async fn a_channel_needs_an_https_address_and_a_calendar_that_can_be_read() {
    let c = calendar();
    let channel = |address: &str| Channel {
        id: "channel-1".into(),
        token: String::new(),
        address: address.into(),
        expires: "2026-01-01T00:00:00Z".parse().expect("a time"),
    };
    let refused = c.connector.watch(&channel("http://tandem.example/hook")).await.expect_err("no certificate");
    assert_eq!(refused.kind, ErrorKind::Permanent);
    let transport = c.fake.authorised(ACCOUNT);
    let theirs = GoogleCalendar::new(transport, GoogleConfig::default(), ContainerId::new(OTHER));
    let refused = theirs.watch(&channel("https://tandem.example/hook")).await.expect_err("not shared");
    assert_eq!(refused.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn three_hundred_calendars_are_all_choices() {
    let c = calendar();
    for n in 0..299 {
        c.does("calendar", json!({"calendar": {"summary": format!("C{n}")}}));
    }
    let choices = c.connector.choices().await.expect("listed");
    assert_eq!(choices[1].1.len(), 300);
    let before = c.fake.calls().len();
    c.connector.choices().await.expect("listed");
    assert_eq!(c.fake.calls().len() - before, 2, "250 a page");
}

#[tokio::test]
async fn without_the_scope_nothing_is_done_and_the_right_is_named() {
    let c = calendar();
    c.fake.inject(&[Fault::Forbidden]);
    let draft = Draft { marker: Marker::new("m"), fields: plain("One").to_fields() };
    let refused = c.connector.create(&[draft]).await.expect_err("no right, whatever is written");
    assert!(refused.kind == ErrorKind::Forbidden && refused.detail.contains("right"), "{refused}");
    assert!(c.fake.events(ACCOUNT, "primary").is_empty());
}

#[tokio::test]
async fn pages_that_show_less_than_was_asked_for_hide_no_exception_and_no_occurrence() {
    let c = calendar();
    c.fake.set(|settings| settings.event_lists = EventLists::Sparse);
    let rule = json!({"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=6"]});
    let id = c.does("insert", json!({"event": typed("Stand-up", "2026-03-23T08:00:00Z", rule)}));
    for day in ["20260330T070000Z", "20260406T070000Z", "20260413T070000Z"] {
        c.does("patch", json!({"id": format!("{id}_{day}"), "event": {"location": day}}));
    }
    let event = Event::from_fields(&c.read(&id).await.fields).expect("readable");
    assert_eq!(event.exceptions.len(), 3);
    let (changes, _) = c.drain(None).await;
    // Each of the pages shows the series by one of its items.
    assert!(changes.iter().all(|change| matches!(change, Change::Upsert(fetched) if fetched.id == id)), "{changes:?}");
    // And an occurrence that is none of them yet is found.
    let fourth = Moment::parse("2026-04-20T07:00:00Z", &TimeZone::UTC).expect("a time");
    let renamed = Overrides { title: Some("Retro".into()), ..Overrides::default() };
    let edit = |event: &mut Event| drop(event.exceptions.insert(fourth, Deviation::Changed(Box::new(renamed.clone()))));
    c.update(std::slice::from_ref(&id), &field::EXCEPTIONS, edit).await.remove(0).expect("changed");
    assert_eq!(Event::from_fields(&c.read(&id).await.fields).expect("readable").exceptions.len(), 4);
}

#[tokio::test]
async fn a_token_that_ends_before_a_batch_is_renewed_and_every_part_is_done_once() {
    let fake = calendar().fake;
    let now = Mutex::new(fake.authorised(ACCOUNT));
    let transport = Arc::new(Renewing { fake: Arc::clone(&fake), now });
    let connector = GoogleCalendar::new(transport, GoogleConfig::default(), ContainerId::new("primary"));
    fake.revoke(ACCOUNT);
    let draft = |n: u32| Draft { marker: Marker::new(format!("m{n}")), fields: plain(&format!("E{n}")).to_fields() };
    let drafts: Vec<Draft> = (0..60).map(draft).collect();
    let made = connector.create(&drafts).await.expect("the account is as good as before");
    assert!(made.iter().all(Result::is_ok), "{:?}", made.into_iter().find_map(Result::err));
    assert_eq!(fake.events(ACCOUNT, "primary").len(), 60);
}

#[tokio::test]
async fn a_cancelled_occurrence_of_which_google_says_the_least_is_known_by_its_series() {
    let c = calendar();
    let rule = json!({"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"]});
    let id = c.does("insert", json!({"event": typed("Stand-up", "2026-03-23T08:00:00Z", rule)}));
    let (_, cursor) = c.drain(None).await;
    c.fake.set(|settings| settings.event_lists = EventLists::Sparse);
    c.does("delete", json!({"id": format!("{id}_20260330T070000Z")}));
    let (changes, _) = c.drain(Some(cursor)).await;
    let Some(Change::Upsert(series)) = changes.last() else { panic!("the series: {changes:?}") };
    let event = Event::from_fields(&series.fields).expect("readable");
    let cancelled = Moment::parse("2026-03-30T07:00:00Z", &TimeZone::UTC).expect("a time");
    assert!(event.exceptions.get(&cancelled) == Some(&Deviation::Cancelled));
}

#[tokio::test]
async fn a_series_that_names_no_zone_repeats_by_the_calendars_clock() {
    let c = calendar();
    let time = |hour: u8| json!({"dateTime": format!("2026-03-23T{hour:02}:00:00+01:00")});
    let event =
        json!({"summary": "Stand-up", "start": time(9), "end": time(10), "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=2"]});
    let id = c.does("invite", json!({"event": event}));
    let read = c.read(&id).await;
    assert_eq!(read.fields.text(&field::TIME_ZONE), "Europe/Brussels");
    let (changes, _) = c.drain(None).await;
    let [Change::Upsert(listed)] = changes.as_slice() else { panic!("one record: {changes:?}") };
    assert!(listed.fields == read.fields);
}

#[tokio::test]
async fn occurrences_whose_series_comes_into_the_calendar_become_a_part_of_it() {
    let c = calendar();
    let stray = typed("Review", "2026-03-30T07:00:00Z", json!({}));
    let stray = c.does("invite", json!({"event": stray, "series": "theirs0", "organizer": OTHER}));
    let (changes, cursor) = c.drain(None).await;
    assert_eq!(titles(&changes), ["Review"]);
    let rule = json!({"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"]});
    let series = typed("Review", "2026-03-23T08:00:00Z", rule);
    c.does("invite", json!({"id": "theirs0", "event": series, "organizer": OTHER}));
    let (changes, _) = c.drain(Some(cursor)).await;
    let gone = |change: &Change| matches!(change, Change::Tombstone { id } if *id == stray);
    assert!(changes.iter().any(gone) && titles(&changes) == ["Review"], "{changes:?}");
    // A listing does not show it, and a look at it proves that it is no record any more.
    assert!(c.connector.get(&[stray]).await.expect("read")[0].is_none());
}
