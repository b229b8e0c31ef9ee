//! The events connector keeps every promise of the suite, and what is particular to events: what it costs, whom it
//! disturbs, what it asks.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::event::{Attendee, Event, Moment, Span, field};
use tandem_core::record::{ContainerId, Field, Fields, Item, Marker, RemoteId, Scope};
use tandem_ports::connector::{Change, Connector, Cursor, Draft, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};
use tandem_zoho::ZohoEvents;
use tandem_zoho::fake::{FakeZoho, Fault as Wire, LockRefusal};

const ACCOUNT: &str = "jan@example.com";
/// Zoho's times are whole seconds.
const TICK: Duration = Duration::from_secs(1);

struct Zoho {
    clock: Arc<ManualClock>,
    fake: Arc<FakeZoho>,
    connector: ZohoEvents,
}

fn zoho() -> Zoho {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeZoho::new(Arc::clone(&clock) as Arc<_>).shared();
    let connector = open(&fake, &clock).with_page_size(3);
    Zoho { clock, fake, connector }
}

fn open(fake: &Arc<FakeZoho>, clock: &Arc<ManualClock>) -> ZohoEvents {
    ZohoEvents::new(fake.authorised(ACCOUNT), Arc::clone(clock) as Arc<_>, "https://www.zohoapis.eu".to_owned())
}

/// The user's typing, made without the connector's own mapping.
fn typed(fields: &Fields) -> Json {
    let text = |name: &Field| Some(fields.text(name).to_owned()).filter(|text| !text.is_empty());
    let time = |name: &Field| text(name).map(|time| time.replace('Z', "+00:00"));
    let guest = |item: &Item| json!({"type": "email", "participant": item.part("email").to_uppercase()});
    let rule = text(&field::RECURRENCE).map(|rule| json!({"RRULE": rule.trim_start_matches("RRULE:")}));
    let reminder = text(&field::REMINDER_MINUTES).and_then(|minutes| minutes.parse::<u32>().ok());
    json!({
        "Event_Title": text(&field::TITLE), "Description": text(&field::DESCRIPTION), "Venue": text(&field::LOCATION),
        "Start_DateTime": time(&field::START), "End_DateTime": time(&field::END), "All_day": false,
        "Participants": fields.items(&field::ATTENDEES).iter().map(guest).collect::<Vec<_>>(),
        "Recurring_Activity": rule,
        "Remind_At": reminder.map(|unit| json!([{"unit": unit, "period": "minutes"}])),
        "$send_notification": false,
    })
}

impl Zoho {
    fn edit(&self, id: &RemoteId, fields: Json) {
        self.clock.advance(TICK);
        self.fake.user_edits_in(ACCOUNT, "Events", id.as_str(), fields);
        self.clock.advance(TICK);
    }
    fn event(&self, id: &RemoteId) -> Json {
        let all = self.fake.state("Events")["records"].as_array().expect("a list").clone();
        all.into_iter().find(|record| record["id"] == id.as_str()).expect("it exists")
    }
    /// How often each method and path was called since `from`.
    fn calls(&self, from: usize) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for (method, path, _) in self.fake.calls().into_iter().skip(from) {
            *counted.entry(format!("{method} {}", path.trim_start_matches("/crm/v8/"))).or_default() += 1;
        }
        counted
    }
    async fn drain(&self, connector: &ZohoEvents, from: Option<&Cursor>) -> (Vec<Change>, Cursor) {
        let (mut seen, mut at) = (Vec::new(), from.cloned());
        loop {
            let page = connector.changes(at.as_ref()).await.expect("the feed is read");
            seen.extend(page.changes);
            match page.next {
                Next::More(cursor) => at = Some(cursor),
                Next::CaughtUp(cursor) => return (seen, cursor),
                Next::Relist => panic!("nothing was deleted while pages turned"),
            }
        }
    }
}

fn sample(n: u32) -> Event {
    let start = Moment::at(jiff::Timestamp::from_second(1_770_000_000 + i64::from(n) * 7_200).expect("in range"));
    let end = Moment::at(jiff::Timestamp::from_second(1_770_003_600 + i64::from(n) * 7_200).expect("in range"));
    let guest = |name: &str| Attendee { email: format!("{name}{n}@example.com"), ..Attendee::default() };
    let mut event = Event {
        title: format!("Meeting {n}"),
        description: format!("line 1\nline {n}"),
        location: format!("Room {n}"),
        attendees: vec![guest("an"), guest("bo")],
        reminder_minutes: Some(10 + n),
        ..Event::at(Span::new(start, end).expect("in order"))
    };
    // Every third one is a series; it repeats by the user's clock.
    if n % 3 == 1 {
        event.time_zone = "Europe/Brussels".into();
        event.repeat(&[format!("RRULE:FREQ=WEEKLY;COUNT={}", 3 + n)]).expect("a rule");
    }
    event
}

fn draft(n: u32, event: &Event) -> Draft {
    Draft { marker: Marker::new(format!("m{n}")), fields: event.to_fields() }
}

impl Harness for Zoho {
    async fn start() -> Self {
        zoho()
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        sample(n).to_fields()
    }
    fn text_field(&self) -> Field {
        field::LOCATION
    }
    fn more_than_two_pages(&self) -> u32 {
        8
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        let id = self.fake.user_creates(ACCOUNT, "Events", typed(fields));
        self.clock.advance(TICK);
        RemoteId::new(id)
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.edit(id, typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.clock.advance(TICK);
        assert!(self.fake.user_deletes_from(ACCOUNT, "Events", id.as_str()));
        self.clock.advance(TICK);
    }
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        let now = self.event(id);
        let silent = self.fake.user_creates(ACCOUNT, "Contacts", json!({"Last_Name": "Without address"}));
        let mut guests = now["Participants"].as_array().cloned().expect("guests");
        guests.push(json!({"type": "contact", "participant": silent}));
        let mut reminders = now["Remind_At"].as_array().cloned().expect("a reminder");
        reminders.insert(0, json!({"unit": 1, "period": "days", "time": "10.30"}));
        self.edit(id, json!({"Check_In_Comment": "here", "Participants": guests, "Remind_At": reminders}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let event = self.event(id);
        let silent =
            event["Participants"].as_array().into_iter().flatten().find(|one| one["type"] == "contact").cloned();
        let daily = event["Remind_At"].as_array().into_iter().flatten().find(|one| one["period"] == "days").cloned();
        json!({"comment": event["Check_In_Comment"], "silent": silent.expect("there"), "daily": daily.expect("there"),
               "owner": event["Owner"], "made": event["Created_Time"]})
    }
    fn records(&self) -> usize {
        self.fake.state("Events")["records"].as_array().map_or(0, Vec::len)
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        match fault {
            Fault::ServerError => self.fake.inject(&[Wire::ServerError]),
            Fault::Throttle(seconds) => self.fake.inject(&[Wire::Throttle { retry_after: Some(seconds) }]),
            Fault::Forbidden => self.fake.inject(&[Wire::Forbidden]),
            // The user's zone is asked for first; what matters is the answer to the write itself.
            Fault::LoseAnswer => self.fake.inject(&[Wire::LoseWrite]),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => self.fake.revoke(ACCOUNT),
            // Deletions are told for a while only.
            Fault::ExpireCursors => self.clock.advance(Duration::from_secs(31 * 24 * 3600)),
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().filter(|(_, path, _)| path.contains("/Events")).map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {
        self.clock.advance(TICK);
    }
}

tandem_testkit::connector_conformance!(Zoho);

#[tokio::test]
async fn a_thousand_events_are_made_in_ten_calls_and_listed_in_five_and_a_quiet_run_takes_two() {
    let z = zoho();
    let connector = open(&z.fake, &z.clock);
    let drafts: Vec<Draft> = (0..1_000).map(|n| draft(n, &Event { recurrence: Vec::new(), ..sample(n) })).collect();
    for chunk in drafts.chunks(100) {
        connector.create(chunk).await.expect("made").into_iter().for_each(|one| drop(one.expect("made")));
    }
    let opened = [("GET users".to_owned(), 1), ("GET settings/profiles/554023000000026011".to_owned(), 1)];
    let made = BTreeMap::from_iter(opened.into_iter().chain([("POST Events".to_owned(), 10)]));
    assert_eq!(z.calls(0), made);
    assert_eq!(z.fake.mails(), 0, "two thousand guests, and nobody is disturbed");
    z.clock.advance(Duration::from_secs(3600));
    let mark = z.fake.calls().len();
    let (seen, cursor) = z.drain(&connector, None).await;
    assert_eq!((seen.len(), z.calls(mark)), (1_000, BTreeMap::from([("GET Events".to_owned(), 5)])));
    // A new session, and nothing to read: the zone is not even asked for.
    z.clock.advance(Duration::from_secs(3600));
    let mark = z.fake.calls().len();
    let (seen, _) = z.drain(&open(&z.fake, &z.clock), Some(&cursor)).await;
    assert!(seen.is_empty());
    let quiet = [("GET Events".to_owned(), 1), ("GET Events/deleted".to_owned(), 1)];
    assert_eq!(z.calls(mark), BTreeMap::from(quiet));
}

#[tokio::test]
async fn no_write_of_ours_tells_the_participants_and_the_fake_would_notice() {
    let z = zoho();
    let event = sample(2);
    z.fake.user_creates(ACCOUNT, "Events", json!({"Event_Title": "Loud", "Start_DateTime": "2026-02-01T10:00:00+01:00",
        "End_DateTime": "2026-02-01T11:00:00+01:00", "Participants": [{"type": "email", "participant": "an@example.com"}]}));
    assert_eq!(z.fake.mails(), 1, "a person's own event invites");
    let made = z.connector.create(&[draft(1, &event)]).await.expect("made").remove(0).expect("made");
    let read = z.connector.get(std::slice::from_ref(&made.id)).await.expect("read").remove(0).expect("there");
    let fields =
        Event { attendees: vec![Attendee { email: "new@example.com".into(), ..Attendee::default() }], ..event };
    let patch = Patch {
        id: read.id,
        expect: read.version,
        changed: vec![field::ATTENDEES],
        fields: fields.to_fields(),
        scope: None,
        marker: None,
        raw: read.raw,
    };
    z.connector.update(&[patch]).await.expect("updated").remove(0).expect("updated");
    assert_eq!(z.fake.mails(), 1);
}

#[tokio::test]
async fn an_event_without_a_title_gets_zohos_own_word_and_the_answer_says_so() {
    let z = zoho();
    let made = z.connector.create(&[draft(1, &Event { title: String::new(), ..sample(2) })]).await.expect("answered");
    let shown = made.into_iter().next().expect("one").expect("made").shown.expect("said");
    assert_eq!(shown.text(&field::TITLE), "Not Provided");
}

#[tokio::test]
async fn all_day_events_keep_their_days_in_summer_and_winter() {
    let z = zoho();
    for (n, (from, to)) in [("2026-01-05", "2026-01-06"), ("2026-07-05", "2026-07-08"), ("2026-03-28", "2026-03-31")]
        .into_iter()
        .enumerate()
    {
        let day = |text: &str| Moment::parse(text, &jiff::tz::TimeZone::UTC).expect("a day");
        let event = Event { title: from.into(), ..Event::at(Span::new(day(from), day(to)).expect("in order")) };
        let made = z.connector.create(&[draft(n as u32, &event)]).await.expect("answered").remove(0).expect("made");
        let read = z.connector.get(&[made.id]).await.expect("read").remove(0).expect("there");
        assert!(read.fields == event.to_fields(), "{from}");
    }
}

#[tokio::test]
async fn an_event_that_zoho_cannot_hold_is_refused_alone() {
    let z = zoho();
    let mut elsewhere = sample(1);
    elsewhere.time_zone = "America/New_York".into();
    let made = z.connector.create(&[draft(1, &elsewhere), draft(2, &sample(2))]).await.expect("answered");
    let refusal = made[0].as_ref().expect_err("refused");
    assert_eq!(refusal.kind, ErrorKind::Permanent);
    assert!(refusal.detail.contains("clock"), "{}", refusal.detail);
    assert!(made[1].is_ok());
    assert_eq!(z.records(), 1);
}

#[tokio::test]
async fn a_stale_record_is_a_conflict_whether_zoho_refuses_the_call_or_the_record() {
    for refusal in [LockRefusal::Call, LockRefusal::Record] {
        let z = zoho();
        z.fake.set(|settings| settings.lock_refusal = refusal);
        let id = z.user_creates(&sample(2).to_fields());
        let read = z.connector.get(std::slice::from_ref(&id)).await.expect("read").remove(0).expect("there");
        z.user_edits(&id, &sample(3).to_fields());
        let patch = Patch {
            id: read.id,
            expect: read.version,
            changed: vec![field::LOCATION],
            fields: sample(5).to_fields(),
            scope: None,
            marker: None,
            raw: read.raw,
        };
        let outcome = z.connector.update(&[patch]).await.expect("answered").remove(0);
        assert_eq!(outcome.expect_err("stale").kind, ErrorKind::Conflict);
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_and_nothing_is_tried() {
    let z = zoho();
    let profile = z.fake.profile("Weak", &["Crm_Implied_Sync_Google_Calendar"]);
    z.fake.user(ACCOUNT, "CEO", Some(&profile));
    let refusal = z.connector.changes(None).await.expect_err("forbidden");
    assert_eq!(refusal.kind, ErrorKind::Forbidden);
    assert!(refusal.detail.contains("Sync with Google Calendar"), "{}", refusal.detail);
}

struct Recorder {
    inner: Arc<dyn HttpTransport>,
    seen: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.seen.lock().expect("not poisoned").push(request.clone());
        self.inner.send(request).await
    }
}

#[tokio::test]
async fn whatever_we_ask_is_in_zohos_own_list_and_sets_no_workflow_off() {
    let z = zoho();
    let recorder = Arc::new(Recorder { inner: z.fake.authorised(ACCOUNT), seen: Mutex::default() });
    let origin = "https://www.zohoapis.eu".to_owned();
    let connector = ZohoEvents::new(Arc::clone(&recorder) as Arc<_>, Arc::clone(&z.clock) as Arc<_>, origin);
    let made = connector.create(&[draft(1, &sample(1))]).await.expect("made").remove(0).expect("made");
    connector.find_made(&[draft(1, &sample(1))]).await.expect("found");
    let (_, cursor) = z.drain(&connector, None).await;
    z.drain(&connector, Some(&cursor)).await;
    connector.get(std::slice::from_ref(&made.id)).await.expect("read");
    let deletion = tandem_ports::connector::Deletion { id: made.id, expect: made.version };
    connector.delete(&[deletion]).await.expect("deleted");
    let facts: Json = serde_json::from_str(include_str!("../facts/crm.json")).expect("a committed file");
    let names = |list: &Json| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_lowercase())).collect()
    };
    for request in recorder.seen.lock().expect("not poisoned").iter() {
        let path = request.uri().path().replace("/Events", "/{module_api_name}").replace("554023000000026011", "{id}");
        let method = &facts["methods"][format!("{} {path}", request.method())];
        assert!(method.is_object(), "{} {path}", request.method());
        let query = request.uri().query().unwrap_or_default();
        for (key, _) in url::form_urlencoded::parse(query.as_bytes()) {
            assert!(names(&method["query"]).contains(&key.to_lowercase()), "{path} has no parameter {key}");
        }
        match request.method().as_str() {
            "POST" | "PUT" => {
                let body: Json = serde_json::from_slice(request.body()).expect("JSON");
                assert_eq!(body["trigger"], json!([]));
                assert!(
                    body["data"].as_array().is_some_and(|all| all.iter().all(|one| one["$send_notification"] == false))
                );
            }
            "DELETE" => assert!(query.contains("wf_trigger=false")),
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named_and_out_of_reach_and_stops_no_other() {
    let z = zoho();
    let mut odd = typed(&sample(1).to_fields());
    odd["Recurring_Activity"] = json!({"RRULE": "FREQ=WEEKLY;BYDAY=XX"});
    let odd = RemoteId::new(z.fake.user_creates(ACCOUNT, "Events", odd));
    let good = z.user_creates(&sample(2).to_fields());
    let (changes, _) = z.drain(&z.connector, None).await;
    let set_aside = |change: &Change| matches!(change, Change::Unreadable { id, .. } if *id == odd);
    assert!(changes.len() == 2 && changes.iter().any(set_aside), "{changes:?}");
    let both = [odd.clone(), good];
    let read = z.connector.get(&both).await.expect("read");
    let scopes: Vec<Option<Scope>> = read.iter().map(|one| one.as_ref().map(|one| one.scope)).collect();
    assert_eq!(scopes, [Some(Scope::Outside), Some(Scope::Inside)]);
    let titles = z.connector.titles(&both).await.expect("read");
    assert!(titles[0].as_ref().is_some_and(|title| title.starts_with("Meeting 1, 2026-02-02")), "{titles:?}");
}

#[tokio::test]
async fn a_colleagues_event_is_outside_unless_the_user_takes_part_or_is_given_it() {
    const COLLEAGUE: &str = "an@example.com";
    let z = zoho();
    // The user sees what people below do.
    z.fake.user(COLLEAGUE, "Manager", None);
    let mine = z.user_creates(&sample(2).to_fields());
    let theirs = RemoteId::new(z.fake.user_creates(COLLEAGUE, "Events", typed(&sample(3).to_fields())));
    let mut shared = typed(&sample(5).to_fields());
    let me = z.event(&mine)["Owner"]["id"].clone();
    shared["Participants"] = json!([{"type": "user", "participant": me}]);
    let shared = RemoteId::new(z.fake.user_creates(COLLEAGUE, "Events", shared));
    let ids = [mine, theirs.clone(), shared];
    let read = z.connector.get(&ids).await.expect("read");
    let scopes: Vec<Scope> = read.into_iter().map(|one| one.expect("the user sees it").scope).collect();
    assert_eq!(scopes, [Scope::Inside, Scope::Outside, Scope::Inside]);
    let (changes, _) = z.drain(&z.connector, None).await;
    let outside: Vec<&RemoteId> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Upsert(fetched) if fetched.scope == Scope::Outside => Some(&fetched.id),
            Change::Upsert(_) | Change::Tombstone { .. } | Change::Seen { .. } | Change::Unreadable { .. } => None,
        })
        .collect();
    assert_eq!(outside, [&theirs]);
}
