//! Calls, tasks and events of the older calendar: every promise of the suite for each, and what is peculiar to them.
mod noted;

use noted::Noted;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::calendar::Activity;
use tandem_core::event::{Event, Moment, Span, field};
use tandem_core::record::{ContainerId, Field, Fields, RemoteId, Scope, Value};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Fetched, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_teamleader::fake::{Edit, FakeTeamleader, Fault as Wire, Right, Strictness};
use tandem_teamleader::{CalendarOptions, TeamleaderCalendar, TeamleaderConfig};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";
const HANDSET: &str = "\u{260e} ";
const DEAL: &str = "11111111-0000-4000-a000-000000000001";

const CALLS: usize = 1;
const TASKS: usize = 2;
const EVENTS: usize = 3;
const KINDS: [&str; 4] = ["meeting", "call", "task", "event"];

fn object(value: Json) -> Map<String, Json> {
    value.as_object().cloned().expect("an object")
}

/// A user's calendar in which besides meetings the activity of this number is carried, or all.
struct Calendar<const KIND: usize> {
    clock: Arc<ManualClock>,
    fake: Arc<FakeTeamleader>,
    connector: TeamleaderCalendar,
    fair: String,
}

const ALL: usize = 0;

impl<const KIND: usize> Calendar<KIND> {
    fn of(page_size: u64) -> Self {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeTeamleader::new(Arc::clone(&clock) as Arc<_>).shared();
        fake.set(|settings| settings.strictness = Strictness::Refuse);
        fake.authorised(ACCOUNT);
        let fair = fake.user_names_type(ACCOUNT, "Beurs");
        let activities = match KIND {
            ALL => Activity::ALL.to_vec(),
            kind => vec![Activity::Meetings, Activity::ALL[kind]],
        };
        let connector = opened(&clock, &fake, activities).with_page_size(page_size);
        Calendar { clock, fake, connector, fair }
    }
    fn me(&self) -> Json {
        json!({"type": "user", "id": self.fake.user_of(ACCOUNT)})
    }
    fn plans(&self, kind: usize, activity: Json) -> RemoteId {
        let id = self.fake.user_plans(ACCOUNT, "POST", KINDS[kind], "", &object(activity));
        RemoteId::new(format!("{}:{id}", KINDS[kind]))
    }
    fn changes(&self, method: &str, id: &RemoteId, activity: Json) {
        let (kind, theirs) = id.as_str().split_once(':').expect("a kind");
        self.fake.user_plans(ACCOUNT, method, kind, theirs, &object(activity));
    }
    fn contact(&self, first: &str, last: &str) -> Json {
        let state = self.fake.state(ACCOUNT);
        let named = |one: &&Json| one["last_name"] == last && one["first_name"] == first;
        let found = state["contacts"].as_array().and_then(|all| all.iter().find(named)).map(|one| one["id"].clone());
        let id = found.unwrap_or_else(|| {
            let fields = object(json!({"first_name": first, "last_name": last}));
            json!(self.fake.user_creates(ACCOUNT, Edit { fields, ..Edit::default() }))
        });
        json!({"customer": {"type": "contact", "id": id}})
    }
    fn call(&self, at: &str) -> RemoteId {
        let with = self.contact("An", "Peeters");
        let assignee = self.me();
        self.plans(CALLS, json!({"due_at": at, "participant": with, "assignee": assignee, "description": "offer"}))
    }
    fn task(&self, due: &str) -> RemoteId {
        self.plans(TASKS, json!({"title": "Offer", "due_on": due, "assignee": self.me()}))
    }
    fn event(&self, day: u32, more: Json) -> RemoteId {
        let at = |hour: u32| format!("2026-02-{day:02}T{hour:02}:00:00Z");
        let mut event = object(json!({"title": "Fair", "activity_type_id": self.fair, "starts_at": at(9),
            "ends_at": at(11), "attendees": [self.me()]}));
        event.extend(object(more));
        self.plans(EVENTS, Json::Object(event))
    }
    /// What Teamleader holds.
    fn held(&self, id: &RemoteId) -> Json {
        let (kind, theirs) = id.as_str().split_once(':').unwrap_or(("meeting", id.as_str()));
        let state = self.fake.state(ACCOUNT);
        let all = state[format!("{kind}s")].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["id"] == theirs).unwrap_or_default()
    }
    fn asked(&self) -> Vec<String> {
        let calls = self.fake.calls().into_iter().map(|(method, _)| method).collect();
        self.fake.forget_calls();
        calls
    }
    async fn live(&self, id: &RemoteId) -> Fetched {
        let read = self.connector.get(std::slice::from_ref(id)).await.expect("read").remove(0);
        read.expect("it is there")
    }
    /// Changes some fields of a record as the engine does.
    async fn edit(&self, id: &RemoteId, edits: &[(Field, &str)]) {
        let read = self.live(id).await;
        let mut fields = read.fields.clone();
        for (name, text) in edits {
            fields.set(name.clone(), Value::Text((*text).to_owned()));
        }
        let changed = edits.iter().map(|(name, _)| name.clone()).collect();
        let patch =
            Patch { id: read.id, expect: read.version, changed, fields, scope: None, marker: None, raw: read.raw };
        self.connector.update(&[patch]).await.expect("a batch").remove(0).expect("updated");
    }
    async fn delete(&self, id: &RemoteId) -> tandem_ports::error::Result<()> {
        let read = self.live(id).await;
        let deletion = Deletion { id: read.id, expect: read.version };
        self.connector.delete(&[deletion]).await.expect("a batch").remove(0)
    }
}

fn opened(clock: &Arc<ManualClock>, fake: &Arc<FakeTeamleader>, activities: Vec<Activity>) -> TeamleaderCalendar {
    opened_on(30, clock, fake, activities)
}

fn opened_on(
    past_days: u32,
    clock: &Arc<ManualClock>,
    fake: &Arc<FakeTeamleader>,
    activities: Vec<Activity>,
) -> TeamleaderCalendar {
    let names = Arc::new(Noted::default());
    let options = CalendarOptions { past_days, future_days: 365, names, activities };
    let (transport, clock) = (fake.authorised(ACCOUNT), Arc::clone(clock) as Arc<_>);
    TeamleaderCalendar::new(transport, clock, TeamleaderConfig::default(), options)
}

impl<const KIND: usize> Calendar<KIND> {
    /// What a person would do in Teamleader for these fields.
    fn typed(&self, fields: &Fields) -> Json {
        let text = |name: &Field| fields.text(name).to_owned();
        let (title, description, start) = (text(&field::TITLE), text(&field::DESCRIPTION), text(&field::START));
        match KIND {
            CALLS => {
                let with = self.contact("", title.trim_start_matches(HANDSET));
                json!({"description": description, "due_at": start, "participant": with, "assignee": self.me()})
            }
            TASKS => json!({"title": title, "description": description, "due_on": start, "assignee": self.me()}),
            _ => json!({"title": title, "description": description, "starts_at": start,
                "ends_at": text(&field::END), "attendees": [self.me()]}),
        }
    }
}

impl<const KIND: usize> Harness for Calendar<KIND> {
    async fn start() -> Self {
        let calendar = Self::of(3);
        calendar.fake.set(|settings| settings.call_ms = 1_000);
        calendar.fake.forget_calls();
        calendar
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        let day = format!("2026-02-{:02}", n % 28 + 1);
        let moment = |text: String| Moment::parse(&text, &jiff::tz::TimeZone::UTC).expect("a time");
        let at = |time: &str| moment(format!("{day}T{time}:00Z"));
        let next = || day.parse::<jiff::civil::Date>().expect("a day").tomorrow().expect("not the last one");
        let whole = || (moment(day.clone()), moment(next().to_string()));
        let (title, (start, end)) = match KIND {
            // With one person: a call has no title that could be written.
            CALLS => (format!("{HANDSET}Peeters"), (at("09:00"), at("09:30"))),
            TASKS => (format!("Visit {n}"), whole()),
            _ => (format!("Visit {n}"), (at("09:00"), at("11:00"))),
        };
        let span = Span::new(start, end).expect("a span");
        Event { title, description: format!("first line\nline {n}"), ..Event::at(span) }.to_fields()
    }
    fn text_field(&self) -> Field {
        field::DESCRIPTION
    }
    fn more_than_two_pages(&self) -> u32 {
        9
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        let mut new = self.typed(fields);
        if KIND == EVENTS {
            new["activity_type_id"] = json!(self.fair);
        }
        self.plans(KIND, new)
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.changes("PATCH", id, self.typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.changes("DELETE", id, json!({}));
    }
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        let fields = json!([{"id": "22222222-0000-4000-a000-000000000002", "value": 7}]);
        let length = json!({"unit": "min", "value": 90});
        let company = self.fake.user_creates_company(ACCOUNT, &object(json!({"name": "Acme"})));
        let more = match KIND {
            CALLS => json!({"deal_id": DEAL, "custom_fields": fields}),
            TASKS => json!({"deal_id": DEAL, "custom_fields": fields, "estimated_duration": length}),
            _ => json!({"links": [{"type": "company", "id": company}, {"type": "deal", "id": DEAL}]}),
        };
        self.changes("PATCH", id, more);
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let held = self.held(id);
        json!(
            ["deal", "custom_fields", "estimated_duration", "participant", "assignee", "creator", "links"]
                .map(|name| held[name].clone())
        )
    }
    fn records(&self) -> usize {
        let state = self.fake.state(ACCOUNT);
        let of = |kind: &str| state[format!("{kind}s")].as_array().map_or(0, Vec::len);
        KINDS.iter().map(|kind| of(kind)).sum()
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        let writes = ["meetings.schedule", "calls.update", "tasks.update", "events.update"];
        match fault {
            Fault::ServerError => self.fake.inject(&[Wire::ServerError]),
            Fault::Throttle(seconds) => self.fake.inject(&[Wire::Throttle { seconds: seconds as i64 }]),
            Fault::Forbidden => self.fake.inject(&[Wire::Forbidden]),
            Fault::LoseAnswer => self.fake.inject_on(Wire::LoseAnswer, &writes),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => self.fake.revoke(ACCOUNT),
            Fault::ExpireCursors => {}
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, writes)| writes).sum()
    }
    fn settle(&self) {
        self.clock.advance(Duration::from_secs(10));
    }
}

/// All of the suite but for `faults_are_named`: a right that is missing to one activity is no fault of the others, which the
/// tests below are about.
macro_rules! conformance {
    ($name:ident, $kind:expr) => {
        mod $name {
            tandem_testkit::connector_conformance!(@each super::Calendar<{ $kind }>:
                a_full_listing_is_complete, an_empty_listing_ends, a_cursor_yields_only_later_changes,
                a_cursor_can_be_replayed, nothing_falls_between_listing_and_delta, a_deletion_is_reported,
                an_expired_cursor_is_named, a_cursor_of_another_release_is_expired, a_read_by_id_proves_absence,
                a_created_record_reads_back, batches_up_to_the_limit_are_answered_in_order,
                a_create_with_a_lost_answer_is_found, a_create_that_never_arrived_is_not_found,
                an_update_changes_what_it_names, an_emptied_field_is_empty, unmapped_fields_survive_an_update,
                a_stale_version_is_a_conflict_for_that_record_alone, an_update_of_a_gone_record_says_so,
                a_replayed_update_is_a_conflict, deleting_twice_succeeds, a_revoked_grant_is_named,
                an_empty_batch_asks_for_nothing, the_schema_says_what_it_takes
            );
        }
    };
}

conformance!(calls, super::CALLS);
conformance!(tasks, super::TASKS);
conformance!(events, super::EVENTS);

/// What a feed told, read as the engine reads it; `None` for what is gone. Notices by their reason.
struct Told {
    records: BTreeMap<RemoteId, Option<Fetched>>,
    notices: Vec<String>,
    cursor: Cursor,
}

async fn drain(connector: &TeamleaderCalendar, from: Option<&Cursor>) -> Told {
    let (mut at, mut records, mut notices) = (from.cloned(), BTreeMap::new(), Vec::new());
    loop {
        let page = connector.changes(at.as_ref()).await.expect("a page");
        let mut ids = Vec::new();
        for change in page.changes {
            match change {
                Change::Seen { id, .. } => ids.push(id),
                Change::Unreadable { reason, .. } => notices.push(reason),
                Change::Tombstone { id } => notices.push(format!("over: {}", id.as_str())),
                Change::Upsert(_) => panic!("told by id alone"),
            }
        }
        for some in ids.chunks(20) {
            records.extend(some.iter().cloned().zip(connector.get(some).await.expect("read")));
        }
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            Next::CaughtUp(cursor) => return Told { records, notices, cursor },
            Next::Relist => panic!("a deletion is proved by reading"),
        }
    }
}

fn when(read: &Fetched) -> (&str, &str) {
    (read.fields.text(&field::START), read.fields.text(&field::END))
}

#[tokio::test]
async fn a_quiet_look_costs_one_list_for_each_activity() {
    let calendar = Calendar::<ALL>::of(100);
    for day in 1..9 {
        calendar.call(&format!("2026-02-{day:02}T09:00:00Z"));
        calendar.task(&format!("2026-02-{day:02}"));
        calendar.event(day, json!({}));
    }
    let told = drain(&calendar.connector, None).await;
    assert_eq!(told.records.len(), 24);
    calendar.asked();
    // As the next job opens it.
    let anew = opened(&calendar.clock, &calendar.fake, Activity::ALL.to_vec());
    let told = drain(&anew, Some(&told.cursor)).await;
    assert!(told.records.is_empty() && told.notices.is_empty());
    assert_eq!(calendar.asked(), ["users.me", "meetings.list", "calls.list", "tasks.list", "events.list"]);
}

#[tokio::test]
async fn of_each_activity_only_the_users_own_is_carried() {
    let calendar = Calendar::<ALL>::of(100);
    let bo = json!({"type": "user", "id": calendar.fake.hire(ACCOUNT, "bo@acme.example")});
    let call = calendar.call("2026-02-02T09:00:00Z");
    let others = calendar.call("2026-02-03T09:00:00Z");
    calendar.changes("PATCH", &others, json!({"assignee": bo}));
    let task = calendar.task("2026-02-02");
    for assignee in [bo.clone(), json!({"type": "team", "id": "team-1"}), Json::Null] {
        calendar.plans(TASKS, json!({"title": "Not mine", "due_on": "2026-02-02", "assignee": assignee}));
    }
    let (event, made) = (calendar.event(2, json!({})), calendar.event(3, json!({"attendees": []})));
    calendar.event(4, json!({"attendees": [bo]}));
    let told = drain(&calendar.connector, None).await;
    let mut wanted = [call.clone(), task, event, made];
    wanted.sort();
    assert!(told.records.keys().eq(&wanted), "{:?}", told.records.keys());
    // Given to a colleague, it is no more of this calendar.
    calendar.changes("PATCH", &call, json!({"assignee": bo}));
    let told = drain(&calendar.connector, Some(&told.cursor)).await;
    assert!(told.records[&call].is_none());
}

#[tokio::test]
async fn the_faces_of_meetings_calls_and_planned_tasks_are_no_events() {
    let calendar = Calendar::<EVENTS>::of(100);
    let meeting =
        object(json!({"title": "Visit", "starts_at": "2026-02-02T09:00:00Z", "ends_at": "2026-02-02T10:00:00Z"}));
    let meeting = calendar.fake.user_schedules(ACCOUNT, &meeting);
    calendar.call("2026-02-02T09:00:00Z");
    let task = calendar.task("2026-02-02");
    let event = calendar.event(2, json!({}));
    let times = json!({"id": task.as_str().trim_start_matches("task:"), "starts_at": "2026-02-02T14:00:00Z",
        "ends_at": "2026-02-02T15:00:00Z"});
    let request = http::Request::post("http://tl/tasks.schedule").body(times.to_string().into()).expect("a request");
    let answer = calendar.fake.authorised(ACCOUNT).send(request).await.expect("an answer");
    assert_eq!(answer.status(), 201);
    let told = drain(&calendar.connector, None).await;
    assert!(told.records.keys().eq(&[RemoteId::new(meeting), event]), "{:?}", told.records.keys());
}

#[tokio::test]
async fn an_activity_that_is_missing_to_the_user_stops_no_other_and_nothing_of_it_is_gone() {
    for missing in ["right", "endpoint"] {
        let calendar = Calendar::<ALL>::of(100);
        let (call, lost) = (calendar.call("2026-02-02T09:00:00Z"), calendar.call("2026-02-03T09:00:00Z"));
        let told = drain(&calendar.connector, None).await;
        let gate = |closed: bool| match missing {
            "right" => calendar.fake.allow(ACCOUNT, if closed { Right::NoCalls } else { Right::All }),
            _ => calendar.fake.set(|settings| {
                settings.lacks = if closed { vec!["calls.list".into(), "calls.info".into()] } else { Vec::new() };
            }),
        };
        gate(true);
        // Asked for before the feed was looked at, by a job of its own.
        let anew = opened(&calendar.clock, &calendar.fake, Activity::ALL.to_vec());
        let read = anew.get(std::slice::from_ref(&call)).await.expect("read").remove(0).expect("not gone");
        assert_eq!(read.scope, Scope::Outside, "{missing}");
        calendar.changes("DELETE", &lost, json!({}));
        let task = calendar.task("2026-02-02");
        let told = drain(&anew, Some(&told.cursor)).await;
        assert!(told.records.keys().eq(std::slice::from_ref(&task)), "the others go on");
        assert_eq!(told.notices.len(), 1, "{:?}", told.notices);
        assert!(told.notices[0].starts_with("Calls are not carried for now"), "{:?}", told.notices);
        let told = drain(&anew, Some(&told.cursor)).await;
        assert!(told.records.is_empty() && told.notices.is_empty(), "said once");
        gate(false);
        let again = opened(&calendar.clock, &calendar.fake, Activity::ALL.to_vec());
        let told = drain(&again, Some(&told.cursor)).await;
        assert_eq!(told.notices, ["over: barred:Calls"]);
        assert!(told.records[&call].as_ref().is_some_and(|read| read.scope == Scope::Inside), "looked at again");
        assert!(told.records[&lost].is_none(), "what went meanwhile is noticed");
    }
}

#[tokio::test]
async fn a_first_listing_says_what_is_missing_and_where_nothing_is_left_it_is_an_error() {
    let calendar = Calendar::<CALLS>::of(100);
    calendar.fake.allow(ACCOUNT, Right::NoCalls);
    let told = drain(&calendar.connector, None).await;
    assert_eq!(told.notices.len(), 1);
    calendar.fake.set(|settings| settings.lacks = vec!["meetings.list".into()]);
    assert_eq!(calendar.connector.changes(Some(&told.cursor)).await.expect_err("nothing").kind, ErrorKind::Forbidden);
}

#[tokio::test]
async fn calls_that_are_too_many_are_asked_for_again_once_a_day_or_with_fewer_days_and_stop_no_other() {
    let calendar = Calendar::<CALLS>::of(100);
    let carried = vec![Activity::Meetings, Activity::Calls];
    let mine = calendar.call("2026-02-02T09:00:00Z");
    let told = drain(&calendar.connector, None).await;
    let bo = json!({"type": "user", "id": calendar.fake.hire(ACCOUNT, "bo@acme.example")});
    let with = calendar.contact("An", "Peeters");
    let call = |_| {
        let call = json!({"due_at": "2026-02-03T09:00:00Z", "participant": with, "assignee": bo});
        calendar.plans(CALLS, call)
    };
    let theirs: Vec<RemoteId> = (0..400).map(call).collect();
    // Each look is another job's; pages of two make 400 calls too many.
    let looks = async |connector: TeamleaderCalendar, from: &Cursor| {
        calendar.asked();
        let told = drain(&connector.with_page_size(2), Some(from)).await;
        let lists = calendar.asked().iter().filter(|method| *method == "calls.list").count();
        (told, lists)
    };
    let anew = || opened(&calendar.clock, &calendar.fake, carried.clone());
    let (told, lists) = looks(anew(), &told.cursor).await;
    assert!(lists == 200 && told.notices.len() == 1 && told.notices[0].contains("choose fewer days"), "{lists}");
    let meeting = json!({"title": "Visit", "starts_at": "2026-02-02T09:00:00Z", "ends_at": "2026-02-02T10:00:00Z"});
    let meeting = RemoteId::new(calendar.fake.user_schedules(ACCOUNT, &object(meeting)));
    let (told, lists) = looks(anew(), &told.cursor).await;
    assert!(told.records.keys().eq([&meeting]) && told.notices.is_empty(), "the meetings go on");
    assert_eq!(lists, 0, "known to be too many");
    let fewer = opened_on(29, &calendar.clock, &calendar.fake, carried.clone());
    let (_, lists) = looks(fewer, &told.cursor).await;
    assert!(lists > 0, "other days are another question");
    calendar.clock.advance(Duration::from_secs(23 * 3_600));
    let (told, lists) = looks(anew(), &told.cursor).await;
    assert_eq!(lists, 0);
    calendar.clock.advance(Duration::from_secs(3_600));
    let (told, lists) = looks(anew(), &told.cursor).await;
    assert_eq!((lists, told.notices.len()), (200, 0), "asked again, and still too many, which was said");
    for call in &theirs {
        calendar.changes("DELETE", call, json!({}));
    }
    calendar.clock.advance(Duration::from_secs(24 * 3_600));
    let (told, lists) = looks(anew(), &told.cursor).await;
    assert_eq!((lists, told.notices), (1, vec!["over: barred:Calls".to_owned()]));
    assert!(told.records[&mine].is_some());
}

#[tokio::test]
async fn what_the_sync_carries_no_more_is_out_of_reach_and_looked_at_again_once_it_is_carried_again() {
    let calendar = Calendar::<CALLS>::of(100);
    let (call, lost) = (calendar.call("2026-02-02T09:00:00Z"), calendar.call("2026-02-03T09:00:00Z"));
    let told = drain(&calendar.connector, None).await;
    let without = opened(&calendar.clock, &calendar.fake, vec![Activity::Meetings]);
    calendar.changes("DELETE", &lost, json!({}));
    calendar.asked();
    let told = drain(&without, Some(&told.cursor)).await;
    assert!(told.records.is_empty());
    let read = without.get(std::slice::from_ref(&call)).await.expect("read").remove(0).expect("not gone");
    assert_eq!(read.scope, Scope::Outside);
    assert!(!without.takes_writes_to(&call) && calendar.connector.takes_writes_to(&call));
    assert!(calendar.asked().iter().all(|method| !method.starts_with("calls.")));
    let told = drain(&calendar.connector, Some(&told.cursor)).await;
    assert!(told.records[&call].is_some() && told.records[&lost].is_none());
}

#[tokio::test]
async fn a_call_is_half_an_hour_and_says_whom_it_is_with() {
    let calendar = Calendar::<CALLS>::of(100);
    let call = calendar.call("2026-02-02T09:00:00Z");
    let read = calendar.live(&call).await;
    assert_eq!(when(&read), ("2026-02-02T09:00:00Z", "2026-02-02T09:30:00Z"));
    assert_eq!(read.fields.text(&field::TITLE), format!("{HANDSET}An Peeters"));
    assert!(read.fields.items(&field::ATTENDEES).is_empty(), "whom it is with is not invited");
    let acme = calendar.fake.user_creates_company(ACCOUNT, &object(json!({"name": "Acme"})));
    calendar.changes("PATCH", &call, json!({"participant": {"customer": {"type": "company", "id": acme}}}));
    assert_eq!(calendar.live(&call).await.fields.text(&field::TITLE), format!("{HANDSET}Acme"));
    // Who may not see companies is shown the rest.
    let blind = opened(&calendar.clock, &calendar.fake, vec![Activity::Meetings, Activity::Calls]);
    calendar.fake.allow(ACCOUNT, Right::NoCompanies);
    let read = blind.get(&[call]).await.expect("read").remove(0).expect("there");
    assert_eq!(read.fields.text(&field::TITLE), HANDSET.trim());
}

#[tokio::test]
async fn a_call_takes_its_time_and_text_and_nothing_else() {
    let calendar = Calendar::<CALLS>::of(100);
    let call = calendar.call("2026-02-02T09:00:00Z");
    calendar.live(&call).await;
    calendar.asked();
    calendar.edit(&call, &[(field::TITLE, "Ring An"), (field::END, "2026-02-02T11:00:00Z")]).await;
    assert!(!calendar.asked().contains(&"calls.update".to_owned()), "it has neither a title nor an end");
    calendar.edit(&call, &[(field::START, "2026-02-03T15:00:00Z"), (field::DESCRIPTION, "")]).await;
    let held = calendar.held(&call);
    assert_eq!((&held["scheduled_at"], &held["description"]), (&json!("2026-02-03T15:00:00+00:00"), &json!("")));
    // A whole day of the calendar's: that day, at its own time.
    let day = [(field::START, "2026-04-02"), (field::END, "2026-04-03"), (field::ALL_DAY, "true")];
    calendar.edit(&call, &day).await;
    assert_eq!(calendar.held(&call)["scheduled_at"], "2026-04-02T14:00:00+00:00", "16 o'clock in Brussels, as before");
}

#[tokio::test]
async fn a_task_is_the_day_that_it_is_due_by_the_users_clock() {
    let calendar = Calendar::<TASKS>::of(100);
    let task = calendar.task("2026-03-29");
    let read = calendar.live(&task).await;
    assert_eq!((when(&read), read.fields.text(&field::ALL_DAY)), (("2026-03-29", "2026-03-30"), "true"));
    calendar.edit(&task, &[(field::START, "2026-04-01T22:30:00Z"), (field::ALL_DAY, "")]).await;
    assert_eq!(calendar.held(&task)["due_on"], "2026-04-02", "half past midnight in Brussels");
    calendar.edit(&task, &[(field::TITLE, "")]).await;
    assert_eq!(calendar.held(&task)["title"], "(no title)");
}

#[tokio::test]
async fn a_task_that_is_done_is_out_of_reach_and_a_call_that_was_made_stays() {
    let calendar = Calendar::<ALL>::of(100);
    let (task, call) = (calendar.task("2026-02-02"), calendar.call("2026-02-02T09:00:00Z"));
    let told = drain(&calendar.connector, None).await;
    calendar.changes("PUT", &task, json!({}));
    calendar.changes("PUT", &call, json!({}));
    let told = drain(&calendar.connector, Some(&told.cursor)).await;
    let scope = |id: &RemoteId| told.records[id].as_ref().expect("there").scope;
    assert_eq!((scope(&task), scope(&call)), (Scope::Outside, Scope::Inside));
}

#[tokio::test]
async fn an_event_shows_its_place_and_keeps_its_links_to_deals() {
    let calendar = Calendar::<EVENTS>::of(100);
    let links = json!([{"type": "deal", "id": DEAL}]);
    let event = calendar.event(2, json!({"location": "Hall 5", "links": links}));
    assert_eq!(calendar.live(&event).await.fields.text(&field::LOCATION), "Hall 5");
    calendar.edit(&event, &[(field::TITLE, "Big fair")]).await;
    let held = calendar.held(&event);
    assert_eq!((&held["title"], &held["links"]), (&json!("Big fair"), &links));
    let bo = json!({"type": "user", "id": calendar.fake.hire(ACCOUNT, "bo@acme.example")});
    calendar.changes("PATCH", &event, json!({"attendees": [calendar.me(), bo], "links": links}));
    calendar.delete(&event).await.expect("left");
    let held = calendar.held(&event);
    assert_eq!((&held["attendees"], &held["links"]), (&json!([bo]), &links), "nobody else's agenda loses it");
    let alone = calendar.event(3, json!({}));
    calendar.delete(&alone).await.expect("cancelled");
    assert!(calendar.held(&alone).is_null());
}

#[tokio::test]
async fn a_call_is_deleted_where_the_api_can_and_else_it_is_said() {
    let calendar = Calendar::<CALLS>::of(100);
    let call = calendar.call("2026-02-02T09:00:00Z");
    calendar.fake.set(|settings| settings.lacks = vec!["calls.delete".into()]);
    let refused = calendar.delete(&call).await.expect_err("refused");
    assert_eq!((refused.kind, refused.operation), (ErrorKind::Permanent, "calls.delete"));
    assert!(!calendar.held(&call).is_null());
    calendar.fake.set(|settings| settings.lacks.clear());
    calendar.delete(&call).await.expect("deleted");
    assert!(calendar.held(&call).is_null());
}
