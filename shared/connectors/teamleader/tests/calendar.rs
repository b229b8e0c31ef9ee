//! Meetings: every promise of the suite, what they cost in calls, and who is at them.
mod noted;

use noted::Noted;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::calendar::Activity;
use tandem_core::event::{Attendee, Event, Moment, Span, field};
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope, Value};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Fetched, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_teamleader::fake::{Edit, FakeTeamleader, Fault as Wire, Strictness};
use tandem_teamleader::{CalendarOptions, TeamleaderCalendar, TeamleaderConfig};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";
/// The day of the manual clock.
const TODAY: &str = "2026-01-01";

fn object(value: Json) -> Map<String, Json> {
    value.as_object().cloned().expect("an object")
}

fn instant(text: &str) -> Moment {
    Moment::parse(text, &jiff::tz::TimeZone::UTC).expect("a time")
}

struct Agenda {
    clock: Arc<ManualClock>,
    fake: Arc<FakeTeamleader>,
    connector: TeamleaderCalendar,
}

impl Agenda {
    fn of(page_size: u64) -> Self {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeTeamleader::new(Arc::clone(&clock) as Arc<_>).shared();
        fake.set(|settings| settings.strictness = Strictness::Refuse);
        let options = CalendarOptions {
            past_days: 30,
            future_days: 365,
            names: Arc::new(Noted::default()),
            activities: vec![Activity::Meetings],
        };
        let (transport, clocked) = (fake.authorised(ACCOUNT), Arc::clone(&clock) as Arc<_>);
        let connector =
            TeamleaderCalendar::new(transport, clocked, TeamleaderConfig::default(), options).with_page_size(page_size);
        Agenda { clock, fake, connector }
    }
    fn contact(&self, name: &str, email: &str) -> String {
        let fields = json!({"last_name": name, "emails": [{"type": "primary", "email": email}]});
        self.fake.user_creates(ACCOUNT, Edit { fields: object(fields), ..Edit::default() })
    }
    fn meeting(&self, n: u32) -> String {
        self.fake.user_schedules(ACCOUNT, &object(slot(n)))
    }
    fn calls(&self) -> Vec<String> {
        let calls = self.fake.calls().into_iter().map(|(method, _)| method).collect();
        self.fake.forget_calls();
        calls
    }
    fn held(&self, id: &str) -> Json {
        self.fake.meetings(ACCOUNT).into_iter().find(|meeting| meeting["id"] == id).expect("it exists")
    }
}

fn slot(n: u32) -> Json {
    let day = n % 28 + 1;
    json!({"title": format!("Visit {n}"), "starts_at": format!("2026-02-{day:02}T09:00:00Z"),
        "ends_at": format!("2026-02-{day:02}T10:00:00Z"), "description": format!("first line\nline {n}")})
}

fn sample(n: u32, guest: Option<&str>) -> Fields {
    let day = n % 28 + 1;
    let at = |hour: u32| instant(&format!("2026-02-{day:02}T{hour:02}:00:00Z"));
    let guests = guest.map(|email| Attendee { email: email.to_owned(), ..Attendee::default() });
    let event = Event {
        title: format!("Visit {n}"),
        description: format!("first line\nline {n}"),
        attendees: guests.into_iter().collect(),
        ..Event::at(Span::new(at(9), at(10)).expect("a span"))
    };
    event.to_fields()
}

/// What a person would do in Teamleader for these fields.
fn typed(fields: &Fields, fake: &FakeTeamleader) -> Map<String, Json> {
    let state = fake.state(ACCOUNT);
    let contacts = state["contacts"].as_array().cloned().unwrap_or_default();
    let mut guests = vec![json!({"type": "user", "id": fake.user_of(ACCOUNT)})];
    for guest in fields.items(&field::ATTENDEES) {
        let found = contacts.iter().find(|contact| contact["emails"][0]["email"] == guest.part("email"));
        guests.push(json!({"type": "contact", "id": found.expect("a contact")["id"]}));
    }
    object(json!({"title": fields.text(&field::TITLE), "starts_at": fields.text(&field::START),
        "ends_at": fields.text(&field::END), "description": fields.text(&field::DESCRIPTION), "attendees": guests}))
}

impl Harness for Agenda {
    async fn start() -> Self {
        let agenda = Agenda::of(3);
        agenda.fake.set(|settings| settings.call_ms = 1_000);
        agenda.contact("Guest", "guest@example.com");
        agenda.fake.forget_calls();
        agenda
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        sample(n, Some("guest@example.com"))
    }
    fn text_field(&self) -> Field {
        field::DESCRIPTION
    }
    fn more_than_two_pages(&self) -> u32 {
        9
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        RemoteId::new(self.fake.user_schedules(ACCOUNT, &typed(fields, &self.fake)))
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.fake.user_reschedules(ACCOUNT, id.as_str(), &typed(fields, &self.fake));
    }
    fn user_deletes(&self, id: &RemoteId) {
        assert!(self.fake.user_cancels(ACCOUNT, id.as_str()));
    }
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        let address = json!({"line_1": "Dok 1", "postal_code": "9000", "city": "Gent", "country": "BE"});
        let company = self.fake.user_creates_company(ACCOUNT, &object(json!({"name": "Acme"})));
        let change = json!({
            "deal_id": "11111111-0000-4000-a000-000000000001", "customer": {"type": "company", "id": company},
            "location": {"type": "address", "address": address},
            "custom_fields": [{"id": "22222222-0000-4000-a000-000000000002", "value": 7}],
        });
        self.fake.user_reschedules(ACCOUNT, id.as_str(), &object(change));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let held = self.held(id.as_str());
        json!([held["deal"], held["customer"], held["location"], held["custom_fields"]])
    }
    fn records(&self) -> usize {
        self.fake.meetings(ACCOUNT).len()
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        match fault {
            Fault::ServerError => self.fake.inject(&[Wire::ServerError]),
            Fault::Throttle(seconds) => self.fake.inject(&[Wire::Throttle { seconds: seconds as i64 }]),
            Fault::Forbidden => self.fake.inject(&[Wire::Forbidden]),
            Fault::LoseAnswer => self.fake.inject_on(Wire::LoseAnswer, &["meetings.schedule", "meetings.update"]),
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

tandem_testkit::connector_conformance!(Agenda);

/// Reads until the feed is caught up; what it told, read as the engine reads it.
async fn drain(agenda: &Agenda, from: Option<&Cursor>) -> (BTreeMap<RemoteId, Option<Fetched>>, Cursor) {
    let (mut at, mut seen) = (from.cloned(), BTreeMap::new());
    loop {
        let page = agenda.connector.changes(at.as_ref()).await.expect("a page");
        let told = |change| match change {
            Change::Seen { id, .. } => id,
            Change::Upsert(_) | Change::Tombstone { .. } | Change::Unreadable { .. } => panic!("told by id alone"),
        };
        let ids: Vec<RemoteId> = page.changes.into_iter().map(told).collect();
        for some in ids.chunks(20) {
            seen.extend(some.iter().cloned().zip(agenda.connector.get(some).await.expect("read")));
        }
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            Next::CaughtUp(cursor) => return (seen, cursor),
            Next::Relist => panic!("a deletion is proved by reading"),
        }
    }
}

async fn live(agenda: &Agenda, id: &str) -> Fetched {
    let read = agenda.connector.get(&[RemoteId::new(id)]).await.expect("read").remove(0);
    read.expect("it is there")
}

fn patch(read: &Fetched, changed: &[Field], fields: Fields) -> Patch {
    let (id, expect, raw) = (read.id.clone(), read.version.clone(), read.raw.clone());
    Patch { id, expect, changed: changed.to_vec(), fields, scope: None, marker: None, raw }
}

fn guests_of(meeting: &Json) -> Vec<String> {
    let of = |guest: &Json| guest["type"].as_str().expect("a type").to_owned();
    meeting["attendees"].as_array().expect("a list").iter().map(of).collect()
}

#[tokio::test]
async fn a_quiet_look_costs_a_call_for_a_hundred_meetings_and_each_change_one_more() {
    let agenda = Agenda::of(100);
    let ids: Vec<String> = (0..230).map(|n| agenda.meeting(n)).collect();
    agenda.clock.advance(Duration::from_secs(300));
    let (seen, cursor) = drain(&agenda, None).await;
    assert_eq!(seen.len(), 230);
    agenda.clock.advance(Duration::from_secs(300));
    agenda.calls();
    let (seen, cursor) = drain(&agenda, Some(&cursor)).await;
    assert!(seen.is_empty());
    assert_eq!(agenda.calls(), ["meetings.list"; 3], "230 meetings, and nothing else");
    for id in &ids[..7] {
        agenda.fake.user_reschedules(ACCOUNT, id, &object(json!({"title": "Moved"})));
    }
    assert!(agenda.fake.user_cancels(ACCOUNT, &ids[9]));
    let (seen, _) = drain(&agenda, Some(&cursor)).await;
    assert_eq!(seen.len(), 8);
    assert!(seen[&RemoteId::new(&ids[9])].is_none(), "read by itself, and gone");
    let calls = agenda.calls();
    let infos = calls.iter().filter(|method| *method == "meetings.info").count();
    assert_eq!((infos, calls.len()), (8, 8 + 3));
}

#[tokio::test]
async fn more_changes_than_a_page_holds_are_all_told_and_none_twice() {
    let agenda = Agenda::of(100);
    let (_, cursor) = drain(&agenda, None).await;
    for n in 0..95 {
        agenda.meeting(n);
    }
    let (mut told, mut at) = (Vec::new(), cursor);
    loop {
        let page = agenda.connector.changes(Some(&at)).await.expect("a page");
        told.extend(page.changes.into_iter().map(|change| match change {
            Change::Seen { id, .. } => id,
            Change::Upsert(_) | Change::Tombstone { .. } | Change::Unreadable { .. } => panic!("told by id alone"),
        }));
        match page.next {
            Next::More(cursor) => at = cursor,
            Next::CaughtUp(_) => break,
            Next::Relist => panic!("a deletion is proved by reading"),
        }
    }
    let mut distinct = told.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!((told.len(), distinct.len()), (95, 95));
}

#[tokio::test]
async fn a_partial_listing_proves_no_deletion() {
    let agenda = Agenda::of(3);
    let ids: Vec<String> = (0..9).map(|n| agenda.meeting(n)).collect();
    let (_, cursor) = drain(&agenda, None).await;
    // The first of the list goes between two pages: the fourth moves to a page that was read.
    agenda.fake.inject_on(Wire::ServerError, &["meetings.list"]);
    assert_eq!(agenda.connector.changes(Some(&cursor)).await.expect_err("refused").kind, ErrorKind::Retryable);
    assert!(agenda.fake.user_cancels(ACCOUNT, &ids[0]));
    let (seen, _) = drain(&agenda, Some(&cursor)).await;
    let gone: Vec<&RemoteId> = seen.iter().filter(|(_, found)| found.is_none()).map(|(id, _)| id).collect();
    assert_eq!(gone, [&RemoteId::new(&ids[0])]);
}

#[tokio::test]
async fn the_window_slides_and_what_it_leaves_behind_is_not_said_to_be_gone() {
    let agenda = Agenda::of(100);
    assert!(TODAY < "2026-02-01");
    let old = agenda.meeting(0);
    let later =
        object(json!({"title": "Later", "starts_at": "2027-01-20T09:00:00Z", "ends_at": "2027-01-20T10:00:00Z"}));
    let later = agenda.fake.user_schedules(ACCOUNT, &later);
    let (seen, cursor) = drain(&agenda, None).await;
    assert_eq!(seen.keys().map(RemoteId::as_str).collect::<Vec<_>>(), [old.as_str()], "a year ahead at most");
    // 80 days on, the first of February is out of reach, and the other one in it.
    agenda.clock.advance(Duration::from_secs(80 * 86_400));
    let (seen, cursor) = drain(&agenda, Some(&cursor)).await;
    assert_eq!(seen.keys().map(RemoteId::as_str).collect::<Vec<_>>(), [later.as_str()]);
    assert!(drain(&agenda, Some(&cursor)).await.0.is_empty());
    assert_eq!(live(&agenda, &old).await.fields.text(&field::TITLE), "Visit 0", "still read by id");
}

#[tokio::test]
async fn guests_are_matched_by_address_and_who_is_nobody_here_is_left_to_the_other_side() {
    let agenda = Agenda::of(100);
    let bo = agenda.fake.hire(ACCOUNT, "bo@acme.example");
    let (an, twin) = (agenda.contact("An", "an@example.com"), agenda.contact("Twin", "AN@example.com"));
    let mut fields = sample(1, None);
    let guest = |email: &str| Attendee { email: email.to_owned(), ..Attendee::default() };
    let all = ["AN@Example.com", "bo@acme.example", "stranger@example.com", ACCOUNT].map(guest).to_vec();
    let mut event = Event::from_fields(&fields).expect("an event");
    event.attendees = all;
    fields = event.to_fields();
    let draft = Draft { marker: Marker::new("m"), fields };
    let written = agenda.connector.create(&[draft]).await.expect("a batch").remove(0).expect("created");
    let held = agenda.held(written.id.as_str());
    let mut ids: Vec<&str> = held["attendees"].as_array().unwrap().iter().map(|g| g["id"].as_str().unwrap()).collect();
    let me = agenda.fake.user_of(ACCOUNT);
    let mut wanted = [an.as_str(), twin.as_str(), bo.as_str(), me.as_str()];
    ids.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(ids, wanted, "both contacts of one address, the colleague and the user");
    let shown = written.shown.expect("shown");
    let shown: Vec<&str> = shown.items(&field::ATTENDEES).iter().map(|guest| guest.part("email")).collect();
    assert_eq!(shown, ["an@example.com"], "colleagues have it in their own agendas");
    // An answer of a guest changes nothing here, and takes no write.
    let read = live(&agenda, written.id.as_str()).await;
    let mut event = Event::from_fields(&read.fields).expect("an event");
    event.attendees[0].answer = tandem_core::event::Answer::Declined;
    agenda.calls();
    agenda.connector.update(&[patch(&read, &[field::ATTENDEES], event.to_fields())]).await.unwrap().remove(0).unwrap();
    assert!(!agenda.calls().contains(&"meetings.update".to_owned()));
    // Contacts who are taken off go, users stay.
    event.attendees.clear();
    agenda.connector.update(&[patch(&read, &[field::ATTENDEES], event.to_fields())]).await.unwrap().remove(0).unwrap();
    assert_eq!(guests_of(&agenda.held(written.id.as_str())), ["user", "user"]);
}

#[tokio::test]
async fn in_another_users_calendar_the_contacts_are_no_guests_and_stay_at_the_meeting() {
    let agenda = Agenda::of(100);
    let (me, bo) = (agenda.fake.user_of(ACCOUNT), agenda.fake.hire(ACCOUNT, "bo@acme.example"));
    let (an, _) = (agenda.contact("An", "an@example.com"), agenda.contact("Cy", "cy@example.com"));
    let mut meeting = slot(1);
    meeting["attendees"] =
        json!([{"type": "user", "id": bo}, {"type": "user", "id": me}, {"type": "contact", "id": an}]);
    let id = agenda.fake.user_schedules(ACCOUNT, &object(meeting));
    let read = live(&agenda, &id).await;
    assert!(read.fields.items(&field::ATTENDEES).is_empty());
    let fields = sample(1, Some("cy@example.com"));
    agenda.connector.update(&[patch(&read, &[field::ATTENDEES], fields)]).await.unwrap().remove(0).unwrap();
    assert_eq!(guests_of(&agenda.held(&id)), ["user", "user", "contact", "contact"]);
}

#[tokio::test]
async fn a_meeting_that_cannot_be_read_stops_no_other() {
    let agenda = Agenda::of(100);
    let ids: Vec<RemoteId> = (0..2).map(|n| RemoteId::new(agenda.meeting(n))).collect();
    agenda.fake.spoil(ACCOUNT, ids[0].as_str());
    let read = agenda.connector.get(&ids).await.expect("read");
    let scopes: Vec<Scope> = read.into_iter().map(|found| found.expect("there").scope).collect();
    assert_eq!(scopes, [Scope::Outside, Scope::Inside]);
}

#[tokio::test]
async fn one_contact_among_the_guests_is_the_customer() {
    let agenda = Agenda::of(100);
    let an = agenda.contact("An", "an@example.com");
    let draft = Draft { marker: Marker::new("m"), fields: sample(1, Some("an@example.com")) };
    let written = agenda.connector.create(&[draft]).await.expect("a batch").remove(0).expect("created");
    assert_eq!(agenda.held(written.id.as_str())["customer"], json!({"type": "contact", "id": an}));
}

#[tokio::test]
async fn a_contact_without_an_address_keeps_its_place() {
    let agenda = Agenda::of(100);
    let fields = object(json!({"last_name": "Silent"}));
    let silent = agenda.fake.user_creates(ACCOUNT, Edit { fields, ..Edit::default() });
    let me = agenda.fake.user_of(ACCOUNT);
    let mut meeting = slot(1);
    meeting["attendees"] = json!([{"type": "user", "id": me}, {"type": "contact", "id": silent}]);
    let id = agenda.fake.user_schedules(ACCOUNT, &object(meeting));
    let read = live(&agenda, &id).await;
    assert!(read.fields.items(&field::ATTENDEES).is_empty());
    agenda.contact("An", "an@example.com");
    let fields = sample(1, Some("an@example.com"));
    agenda.connector.update(&[patch(&read, &[field::ATTENDEES], fields)]).await.unwrap().remove(0).unwrap();
    assert_eq!(guests_of(&agenda.held(&id)), ["user", "contact", "contact"]);
}

#[tokio::test]
async fn who_deletes_a_meeting_with_colleagues_only_leaves_it() {
    let agenda = Agenda::of(100);
    let (me, bo) = (agenda.fake.user_of(ACCOUNT), agenda.fake.hire(ACCOUNT, "bo@acme.example"));
    let mut meeting = slot(1);
    meeting["attendees"] = json!([{"type": "user", "id": me}, {"type": "user", "id": bo}]);
    let id = agenda.fake.user_schedules(ACCOUNT, &object(meeting));
    let (_, cursor) = drain(&agenda, None).await;
    let read = live(&agenda, &id).await;
    let deletion = Deletion { id: read.id, expect: read.version };
    agenda.connector.delete(&[deletion]).await.expect("a batch").remove(0).expect("left");
    assert_eq!(agenda.held(&id)["attendees"], json!([{"type": "user", "id": bo}]));
    let (seen, _) = drain(&agenda, Some(&cursor)).await;
    assert!(seen[&RemoteId::new(&id)].is_none(), "of this user's calendar it is gone");
}

#[tokio::test]
async fn a_name_that_a_colleagues_calendar_brought_leads_to_the_same_meeting() {
    let agenda = Agenda::of(100);
    let draft = || {
        let mut fields = sample(1, None);
        fields.set(field::UID, Value::Text("abc@google.com".to_owned()));
        Draft { marker: Marker::new("m"), fields }
    };
    let first = agenda.connector.create(&[draft()]).await.expect("a batch").remove(0).expect("created");
    // The user has left it meanwhile; the calendar brings it again.
    let bo = agenda.fake.hire(ACCOUNT, "bo@acme.example");
    let only_bo = object(json!({"attendees": [{"type": "user", "id": bo}]}));
    agenda.fake.user_reschedules(ACCOUNT, first.id.as_str(), &only_bo);
    let again = agenda.connector.create(&[draft()]).await.expect("a batch").remove(0).expect("joined");
    assert_eq!(again.id, first.id);
    assert_eq!(guests_of(&agenda.held(first.id.as_str())), ["user", "user"]);
    assert_eq!(again.shown.expect("shown").text(&field::UID), "abc@google.com");
    assert!(agenda.fake.user_cancels(ACCOUNT, first.id.as_str()));
    let anew = agenda.connector.create(&[draft()]).await.expect("a batch").remove(0).expect("made anew");
    assert_ne!(anew.id, first.id);
}

#[tokio::test]
async fn a_whole_day_is_from_midnight_to_midnight_of_the_user() {
    let agenda = Agenda::of(100);
    let day = |text: &str| Moment::Day(text.parse().expect("a day"));
    let event =
        Event { title: "Fair".into(), ..Event::at(Span::new(day("2026-03-29"), day("2026-03-30")).expect("a span")) };
    let draft = Draft { marker: Marker::new("m"), fields: event.to_fields() };
    let written = agenda.connector.create(&[draft]).await.expect("a batch").remove(0).expect("created");
    let held = agenda.held(written.id.as_str());
    assert_eq!(
        (&held["scheduled_at"], &held["duration"]["value"]),
        (&json!("2026-03-28T23:00:00+00:00"), &json!(1380))
    );
    assert!(written.shown.is_some_and(|shown| shown == event.to_fields()));
    assert_eq!(live(&agenda, written.id.as_str()).await.fields.text(&field::START), "2026-03-29");
}
