//! Tasks beside events: the same promises of the suite, and what is particular to them: on which day they are, whose they
//! are, when they are done, what they cost, and that a right that is missing to them stops no event.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::calendar::Activity;
use tandem_core::event::{Event, Moment, Span, field};
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope, Value};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Fetched, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};
use tandem_zoho::ZohoEvents;
use tandem_zoho::auth::{SCOPES_FOR_CONTACTS, SCOPES_FOR_EVENTS};
use tandem_zoho::fake::{FakeZoho, Fault as Wire};

const ACCOUNT: &str = "jan@example.com";
const BOTH: [Activity; 2] = [Activity::Meetings, Activity::Tasks];
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
    let connector = open(&clock, fake.authorised(ACCOUNT), &BOTH).with_page_size(3);
    Zoho { clock, fake, connector }
}

fn open(clock: &Arc<ManualClock>, transport: Arc<dyn HttpTransport>, activities: &[Activity]) -> ZohoEvents {
    ZohoEvents::new(transport, Arc::clone(clock) as Arc<_>, "https://www.zohoapis.eu".to_owned()).carrying(activities)
}

/// Zoho's id.
fn theirs(id: &RemoteId) -> &str {
    id.as_str().strip_prefix("task:").expect("a task's id")
}

/// The user's typing, made without the connector's own mapping.
fn typed(fields: &Fields) -> Json {
    json!({"Subject": fields.text(&field::TITLE), "Description": fields.text(&field::DESCRIPTION),
           "Due_Date": fields.text(&field::START)})
}

impl Zoho {
    fn task(&self, task: Json) -> RemoteId {
        let id = self.fake.user_creates(ACCOUNT, "Tasks", task);
        self.clock.advance(TICK);
        RemoteId::new(format!("task:{id}"))
    }
    fn event(&self, title: &str) -> RemoteId {
        let event = json!({"Event_Title": title, "Start_DateTime": "2026-02-01T10:00:00+01:00",
            "End_DateTime": "2026-02-01T11:00:00+01:00", "$send_notification": false});
        let id = self.fake.user_creates(ACCOUNT, "Events", event);
        self.clock.advance(TICK);
        RemoteId::new(id)
    }
    fn edit(&self, id: &RemoteId, fields: Json) {
        self.clock.advance(TICK);
        self.fake.user_edits_in(ACCOUNT, "Tasks", theirs(id), fields);
        self.clock.advance(TICK);
    }
    fn delete(&self, id: &RemoteId) {
        self.clock.advance(TICK);
        assert!(self.fake.user_deletes_from(ACCOUNT, "Tasks", theirs(id)));
        self.clock.advance(TICK);
    }
    fn all(&self, module: &str) -> Vec<Json> {
        self.fake.state(module)["records"].as_array().expect("a list").clone()
    }
    fn held(&self, id: &RemoteId) -> Json {
        self.all("Tasks").into_iter().find(|task| task["id"] == theirs(id)).expect("it exists")
    }
    /// How often each method and path was called since `from`.
    fn calls(&self, from: usize) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for (method, path, _) in self.fake.calls().into_iter().skip(from) {
            *counted.entry(format!("{method} {}", path.trim_start_matches("/crm/v8/"))).or_default() += 1;
        }
        counted
    }
    fn weak(&self, denied: &[&str]) {
        let profile = self.fake.profile("Weak", denied);
        self.fake.user(ACCOUNT, "CEO", Some(&profile));
    }
    async fn live(&self, id: &RemoteId) -> Fetched {
        self.connector.get(std::slice::from_ref(id)).await.expect("read").remove(0).expect("it is there")
    }
    async fn patch(&self, id: &RemoteId, name: Field, text: &str) -> Patch {
        let read = self.live(id).await;
        let mut fields = read.fields.clone();
        fields.set(name.clone(), Value::Text(text.to_owned()));
        let changed = vec![name];
        Patch { id: read.id, expect: read.version, changed, fields, scope: None, marker: None, raw: read.raw }
    }
}

/// What a feed told, and where it ended.
async fn drain(connector: &ZohoEvents, from: Option<&Cursor>) -> (Vec<Change>, Cursor) {
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

fn told(changes: &[Change]) -> Vec<String> {
    let mut told: Vec<String> = changes
        .iter()
        .map(|change| match change {
            Change::Upsert(fetched) => fetched.id.as_str().to_owned(),
            Change::Tombstone { id } => format!("gone {}", id.as_str()),
            Change::Unreadable { reason, .. } => reason.clone(),
            Change::Seen { .. } => panic!("told with all it has"),
        })
        .collect();
    told.sort();
    told
}

impl Harness for Zoho {
    async fn start() -> Self {
        zoho()
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        let day = jiff::civil::date(2026, 3, 1).saturating_add(jiff::Span::new().days(i64::from(n)));
        let span = Span::new(Moment::Day(day), Moment::Day(day.tomorrow().expect("in range"))).expect("in order");
        let description = format!("line 1\nline {n}");
        Event { title: format!("Offer {n}"), description, ..Event::at(span) }.to_fields()
    }
    fn text_field(&self) -> Field {
        field::DESCRIPTION
    }
    fn more_than_two_pages(&self) -> u32 {
        8
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        self.task(typed(fields))
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.edit(id, typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.delete(id);
    }
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        let an = self.fake.user_creates(ACCOUNT, "Contacts", json!({"Last_Name": "Peeters"}));
        let acme = self.fake.user_creates(ACCOUNT, "Accounts", json!({"Account_Name": "Acme"}));
        let alarm = json!({"ALARM": "FREQ=NONE;ACTION=EMAIL;TRIGGER=DATE-TIME:2026-03-01T09:00:00+01:00"});
        self.edit(
            id,
            json!({"Who_Id": {"id": an}, "What_Id": {"id": acme}, "$se_module": "Accounts", "Priority": "High",
                "Status": "In Progress", "Remind_At": alarm, "Recurring_Activity": {"RRULE": "FREQ=WEEKLY;INTERVAL=1"}}),
        );
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let held = self.held(id);
        let names = ["Who_Id", "What_Id", "Priority", "Status", "Remind_At", "Recurring_Activity", "Owner"];
        json!(names.map(|name| held[name].clone()))
    }
    fn records(&self) -> usize {
        self.all("Tasks").len() + self.all("Events").len()
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
            Fault::LoseAnswer => self.fake.inject(&[Wire::LoseWrite]),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => self.fake.revoke(ACCOUNT),
            Fault::ExpireCursors => self.clock.advance(Duration::from_secs(31 * 24 * 3600)),
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {
        self.clock.advance(TICK);
    }
}

// All of the suite but for `faults_are_named`: a right that is missing to tasks is no fault of the events, which the tests
// below are about.
tandem_testkit::connector_conformance!(@each Zoho:
    a_full_listing_is_complete, an_empty_listing_ends, a_cursor_yields_only_later_changes, a_cursor_can_be_replayed,
    nothing_falls_between_listing_and_delta, a_deletion_is_reported, an_expired_cursor_is_named,
    a_cursor_of_another_release_is_expired, a_read_by_id_proves_absence, a_created_record_reads_back,
    batches_up_to_the_limit_are_answered_in_order, a_create_with_a_lost_answer_is_found,
    a_create_that_never_arrived_is_not_found, an_update_changes_what_it_names, an_emptied_field_is_empty,
    unmapped_fields_survive_an_update, a_stale_version_is_a_conflict_for_that_record_alone,
    an_update_of_a_gone_record_says_so, a_replayed_update_is_a_conflict, deleting_twice_succeeds,
    a_revoked_grant_is_named, an_empty_batch_asks_for_nothing, the_schema_says_what_it_takes
);

#[tokio::test]
async fn a_quiet_look_at_events_and_tasks_takes_four_calls_and_without_tasks_two() {
    let z = zoho();
    for n in 0..450 {
        z.task(json!({"Subject": format!("Task {n}"), "Due_Date": "2026-03-01"}));
    }
    z.event("Visit");
    z.clock.advance(Duration::from_secs(3600));
    let listing = open(&z.clock, z.fake.authorised(ACCOUNT), &BOTH);
    let mark = z.fake.calls().len();
    let (seen, cursor) = drain(&listing, None).await;
    assert_eq!((seen.len(), z.calls(mark)["GET Tasks"], z.calls(mark)["GET Events"]), (451, 3, 1));
    z.clock.advance(Duration::from_secs(3600));
    let quiet = |activities: &[Activity]| open(&z.clock, z.fake.authorised(ACCOUNT), activities);
    let mark = z.fake.calls().len();
    assert!(drain(&quiet(&BOTH), Some(&cursor)).await.0.is_empty());
    let four = ["GET Events", "GET Events/deleted", "GET Tasks", "GET Tasks/deleted"].map(|call| (call.to_owned(), 1));
    assert_eq!(z.calls(mark), BTreeMap::from(four));
    let mark = z.fake.calls().len();
    assert!(drain(&quiet(&[Activity::Meetings]), Some(&cursor)).await.0.is_empty());
    let two = ["GET Events", "GET Events/deleted"].map(|call| (call.to_owned(), 1));
    assert_eq!(z.calls(mark), BTreeMap::from(two));
}

#[tokio::test]
async fn a_task_is_the_day_that_it_is_due_and_outside_without_one_once_closed_or_of_a_colleague() {
    const COLLEAGUE: &str = "an@example.com";
    let z = zoho();
    z.fake.user(COLLEAGUE, "Manager", None);
    let due = z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28", "Description": "Two pages"}));
    let undated = z.task(json!({"Subject": "Some day"}));
    let closed = z.task(json!({"Subject": "Done", "Due_Date": "2026-03-28", "Status": "Completed"}));
    let of_colleague = json!({"Subject": "Theirs", "Due_Date": "2026-03-28"});
    let colleague = RemoteId::new(format!("task:{}", z.fake.user_creates(COLLEAGUE, "Tasks", of_colleague)));
    let read = z.live(&due).await;
    let (start, end) = (read.fields.text(&field::START), read.fields.text(&field::END));
    assert_eq!((start, end, read.fields.text(&field::TITLE)), ("2026-03-28", "2026-03-29", "Offer"));
    assert_eq!((read.fields.text(&field::DESCRIPTION), read.scope), ("Two pages", Scope::Inside));
    for outside in [&undated, &closed, &colleague] {
        assert_eq!(z.live(outside).await.scope, Scope::Outside, "{outside:?}");
    }
    let titles = z.connector.titles(&[due.clone(), undated]).await.expect("read");
    assert_eq!(titles, [Some("Offer, 2026-03-28".to_owned()), Some("Some day".to_owned())]);
    z.edit(&due, json!({"Status": "Completed"}));
    assert_eq!(z.live(&due).await.scope, Scope::Outside);
    z.edit(&due, json!({"Status": "In Progress"}));
    assert_eq!(z.live(&due).await.scope, Scope::Inside);
}

#[tokio::test]
async fn a_time_in_google_is_its_day_here_and_a_task_without_a_title_gets_zohos_own_word() {
    let z = zoho();
    let id = z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"}));
    // Half an hour past midnight in Brussels.
    let patch = z.patch(&id, field::START, "2026-03-30T22:30:00Z").await;
    let written = z.connector.update(&[patch]).await.expect("a batch").remove(0).expect("updated");
    assert_eq!(z.held(&id)["Due_Date"], "2026-03-31");
    assert_eq!((&written.id, written.shown.expect("said").text(&field::START)), (&id, "2026-03-31"));
    let patch = z.patch(&id, field::TITLE, "").await;
    z.connector.update(&[patch]).await.expect("a batch").remove(0).expect("updated");
    assert_eq!(z.held(&id)["Subject"], "Not Provided");
    // A place has none in a task.
    let mark = z.fake.calls().len();
    let patch = z.patch(&id, field::LOCATION, "Gent").await;
    let written = z.connector.update(&[patch]).await.expect("a batch").remove(0).expect("answered");
    assert_eq!(written.shown.expect("said").text(&field::LOCATION), "");
    assert!(!z.calls(mark).contains_key("PUT Tasks"), "nothing to write");
}

#[tokio::test]
async fn events_and_tasks_of_one_batch_each_go_to_their_own_module() {
    let z = zoho();
    let (event, task) = (z.event("Visit"), z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"})));
    let mut patches = vec![z.patch(&task, field::TITLE, "A").await, z.patch(&event, field::TITLE, "B").await];
    patches.push(Patch { id: RemoteId::new("task:1"), ..z.patch(&task, field::TITLE, "C").await });
    let outcomes = z.connector.update(&patches).await.expect("a batch");
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok(), "{outcomes:?}");
    assert_eq!(outcomes[2].as_ref().expect_err("never there").kind, ErrorKind::NotFound);
    assert_eq!((&z.held(&task)["Subject"], &z.all("Events")[0]["Event_Title"]), (&json!("A"), &json!("B")));
    let deletion = |id: &RemoteId| Deletion { id: id.clone(), expect: tandem_core::record::Version::new("any") };
    let outcomes = z.connector.delete(&[deletion(&task), deletion(&event)]).await.expect("a batch");
    assert!(outcomes.iter().all(Result::is_ok) && z.records() == 0, "{outcomes:?}");
    let draft = Draft { marker: Marker::new("m"), fields: z.sample(1) };
    z.connector.create(&[draft]).await.expect("made").remove(0).expect("made");
    assert_eq!((z.all("Events").len(), z.all("Tasks").len()), (1, 0), "what is made here is an event");
}

#[tokio::test]
async fn a_right_that_is_missing_to_tasks_bars_them_alone_and_is_told_once() {
    let z = zoho();
    let (event, task) = (z.event("Visit"), z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"})));
    let gone = z.task(json!({"Subject": "Other", "Due_Date": "2026-03-29"}));
    let (_, cursor) = drain(&z.connector, None).await;
    z.clock.advance(Duration::from_secs(3600));
    z.weak(&["Crm_Implied_View_Tasks"]);
    z.fake.user_edits_in(ACCOUNT, "Events", event.as_str(), json!({"Venue": "Gent", "$send_notification": false}));
    let (changes, cursor) = drain(&z.connector, Some(&cursor)).await;
    let why = "Tasks are not carried for now, and their copies stay as they are: the Zoho user lacks a permission: \
               Crm_Implied_View_Tasks.";
    assert_eq!(told(&changes), [event.as_str(), why]);
    let read = z.connector.get(&[event.clone(), task.clone()]).await.expect("read");
    let scopes: Vec<Option<Scope>> = read.iter().map(|one| one.as_ref().map(|one| one.scope)).collect();
    assert_eq!(scopes, [Some(Scope::Inside), Some(Scope::Outside)], "and not gone");
    z.clock.advance(Duration::from_secs(3600));
    let mark = z.fake.calls().len();
    let (changes, cursor) = drain(&z.connector, Some(&cursor)).await;
    assert!(changes.is_empty() && z.calls(mark).len() == 3, "told once: {changes:?}");
    z.delete(&gone);
    z.weak(&[]);
    let (changes, cursor) = drain(&z.connector, Some(&cursor)).await;
    let all = [format!("gone {}", gone.as_str()), "gone barred:Tasks".to_owned(), task.as_str().to_owned()];
    assert_eq!(told(&changes), {
        let mut all = all.to_vec();
        all.sort();
        all
    });
    assert!(drain(&z.connector, Some(&cursor)).await.0.is_empty());
}

#[tokio::test]
async fn a_write_of_tasks_that_is_not_permitted_stops_no_event() {
    let z = zoho();
    let (event, task) = (z.event("Visit"), z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"})));
    z.weak(&["Crm_Implied_Edit_Tasks", "Crm_Implied_Delete_Tasks"]);
    let patches = [z.patch(&task, field::TITLE, "A").await, z.patch(&event, field::TITLE, "B").await];
    for some in [&patches[..1], &patches[..]] {
        let outcomes = z.connector.update(some).await.expect("a batch");
        let refusal = outcomes[0].as_ref().expect_err("not permitted");
        assert!(refusal.kind == ErrorKind::Forbidden && refusal.detail.contains("\"Edit\" for Tasks"), "{refusal:?}");
        assert!(outcomes.get(1).is_none_or(Result::is_ok));
    }
    let deletion = Deletion { id: task.clone(), expect: patches[0].expect.clone() };
    let refusal = z.connector.delete(&[deletion]).await.expect("a batch").remove(0).expect_err("not permitted");
    assert!(refusal.detail.contains("\"Delete\" for Tasks"), "{refusal:?}");
    assert_eq!(z.held(&task)["Subject"], "Offer");
}

#[tokio::test]
async fn a_connection_from_before_tasks_were_asked_for_goes_on_with_its_events() {
    let z = zoho();
    z.event("Visit");
    z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"}));
    let before: Vec<&str> = SCOPES_FOR_CONTACTS.into_iter().chain([SCOPES_FOR_EVENTS[0]]).collect();
    let (changes, _) = drain(&open(&z.clock, z.fake.authorised_for(ACCOUNT, &before), &BOTH), None).await;
    assert_eq!(changes.len(), 2, "{changes:?}");
    let notice = told(&changes).pop().expect("a notice");
    assert!(notice.contains("lacks the scope ZohoCRM.modules.tasks.READ; connect it again"), "{notice}");
    let now: Vec<&str> = before.iter().copied().chain(SCOPES_FOR_EVENTS).collect();
    let (changes, _) = drain(&open(&z.clock, z.fake.authorised_for(ACCOUNT, &now), &BOTH), None).await;
    assert!(changes.iter().all(|change| matches!(change, Change::Upsert(_))), "{changes:?}");
}

#[tokio::test]
async fn tasks_that_are_carried_no_more_are_out_of_reach_and_all_told_once_they_are_again() {
    let z = zoho();
    let (event, task) = (z.event("Visit"), z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"})));
    let gone = z.task(json!({"Subject": "Other", "Due_Date": "2026-03-29"}));
    let (_, cursor) = drain(&z.connector, None).await;
    let without = open(&z.clock, z.fake.authorised(ACCOUNT), &[Activity::Meetings]);
    z.clock.advance(Duration::from_secs(3600));
    z.delete(&gone);
    let (changes, cursor) = drain(&without, Some(&cursor)).await;
    assert!(changes.is_empty(), "{changes:?}");
    let read = without.get(&[task.clone(), event.clone()]).await.expect("read");
    assert_eq!(read[0].as_ref().expect("not gone").scope, Scope::Outside);
    assert!(!without.takes_writes_to(&task) && without.takes_writes_to(&event));
    assert!(z.connector.takes_writes_to(&task));
    let (changes, cursor) = drain(&z.connector, Some(&cursor)).await;
    assert_eq!(told(&changes), [format!("gone {}", gone.as_str()), task.as_str().to_owned()]);
    assert!(drain(&z.connector, Some(&cursor)).await.0.is_empty());
}

#[tokio::test]
async fn a_position_of_an_earlier_release_goes_on_and_tells_tasks_once_they_are_carried() {
    let z = zoho();
    let task = z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"}));
    // As kept before tasks were carried.
    let now = tandem_ports::infra::Clock::now(&*z.clock).as_second();
    let before = Cursor(json!({"form": 1, "phase": "changed", "since": now, "page": 1}).to_string());
    let without = open(&z.clock, z.fake.authorised(ACCOUNT), &[Activity::Meetings]);
    assert!(drain(&without, Some(&before)).await.0.is_empty());
    let (changes, _) = drain(&z.connector, Some(&before)).await;
    assert_eq!(told(&changes), [task.as_str()]);
}

/// Keeps what was asked.
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
async fn whatever_is_asked_of_tasks_is_in_zohos_own_list_and_sets_no_workflow_off() {
    let z = zoho();
    let recorder = Arc::new(Recorder { inner: z.fake.authorised(ACCOUNT), seen: Mutex::default() });
    let connector = open(&z.clock, Arc::clone(&recorder) as Arc<_>, &BOTH);
    let id = z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"}));
    let (_, cursor) = drain(&connector, None).await;
    drain(&connector, Some(&cursor)).await;
    let patch = z.patch(&id, field::TITLE, "New offer").await;
    let deletion = Deletion { id: id.clone(), expect: patch.expect.clone() };
    connector.update(&[patch]).await.expect("a batch").remove(0).expect("updated");
    connector.get(std::slice::from_ref(&id)).await.expect("read");
    connector.delete(&[deletion]).await.expect("a batch").remove(0).expect("deleted");
    let facts: Json = serde_json::from_str(include_str!("../facts/crm.json")).expect("a committed file");
    let seen = recorder.seen.lock().expect("not poisoned");
    let of_tasks: Vec<&Request<Bytes>> = seen.iter().filter(|one| one.uri().path().contains("/Tasks")).collect();
    let methods: Vec<&str> = of_tasks.iter().map(|request| request.method().as_str()).collect();
    assert_eq!(methods, ["GET", "GET", "GET", "PUT", "GET", "DELETE"]);
    for request in of_tasks {
        let path = request.uri().path().replace("/Tasks", "/{module_api_name}");
        let method = &facts["methods"][format!("{} {path}", request.method())];
        assert!(method.is_object(), "{} {path}", request.method());
        let known = method["query"].to_string().to_lowercase();
        for (key, _) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            assert!(known.contains(&format!("\"{}\"", key.to_lowercase())), "{path} has no parameter {key}");
        }
        match request.method().as_str() {
            "PUT" => {
                let body: Json = serde_json::from_slice(request.body()).expect("JSON");
                assert_eq!(body, json!({"data": [{"id": theirs(&id), "Subject": "New offer"}], "trigger": []}));
                assert!(request.headers().contains_key("if-unmodified-since"));
            }
            "DELETE" => assert!(request.uri().query().is_some_and(|query| query.contains("wf_trigger=false"))),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_channel_hears_of_tasks_where_they_are_carried() {
    use tandem_ports::push::{Order, Push};
    use tandem_zoho::push::of_calendar;
    let z = zoho();
    let now = tandem_ports::infra::Clock::now(&*z.clock);
    let push = |activities: &[Activity]| {
        let (transport, origin) = (z.fake.authorised(ACCOUNT), "https://www.zohoapis.eu".to_owned());
        let address = "http://127.0.0.1:1/hook".to_owned();
        tandem_zoho::ZohoPush::new(transport, Arc::clone(&z.clock) as Arc<_>, origin, of_calendar(activities), address)
    };
    for (activities, id, heard) in [(&BOTH[..1], "7", 0), (&BOTH[..], "8", 1)] {
        let push = push(activities);
        let target = push.targets().remove(0);
        let order = Order { id, token: "our token", until: now + jiff::SignedDuration::from_hours(1) };
        push.open(&target, &order).await.expect("opened");
        z.task(json!({"Subject": "Offer", "Due_Date": "2026-03-28"}));
        assert_eq!(z.fake.take_notifications().len(), heard, "{}", target.name);
    }
}
