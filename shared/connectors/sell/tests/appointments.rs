//! The appointments connector keeps the promises of a side that is only read, its budget, and what is the stream's own.
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::calendar::RemoteEvents;
use tandem_core::event::{Event, Moment, Span, field};
use tandem_core::record::{ContainerId, Field, Fields, RemoteId, Scope};
use tandem_ports::connector::{Change, Connector, Cursor, Known, Next};
use tandem_ports::error::ErrorKind;
use tandem_sell::fake::{FakeSell, Fault as Wire, Forgotten, Shown};
use tandem_sell::{SellAppointments, SellConfig};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";
const HOURS: u64 = 3_600;

struct Appointments {
    fake: Arc<FakeSell>,
    clock: Arc<ManualClock>,
    connector: SellAppointments,
}

fn opened(fake: &Arc<FakeSell>, clock: &Arc<ManualClock>) -> SellAppointments {
    SellAppointments::new(
        fake.authorised(ACCOUNT),
        Arc::clone(clock) as Arc<_>,
        SellConfig::default(),
        RemoteEvents::Off,
    )
}

fn appointments() -> Appointments {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeSell::new(Arc::clone(&clock) as Arc<_>).shared();
    let connector = opened(&fake, &clock);
    Appointments { fake, clock, connector }
}

fn sample(n: u32) -> Event {
    let at = |hour: u32| format!("2026-12-{:02}T{hour:02}:00:00Z", n % 28 + 1).parse().map(Moment::at).expect("a time");
    Event {
        title: format!("Visit {n}"),
        description: format!("line 1\nline {n}"),
        location: "Ghent".to_owned(),
        reminder_minutes: Some(15),
        ..Event::at(Span::new(at(9), at(10)).expect("in order"))
    }
}

/// The user's typing, made without the connector's own mapping.
fn typed(fields: &Fields) -> Json {
    let text = |name: &Field| fields.text(name).to_owned();
    let minutes: u64 = text(&field::REMINDER_MINUTES).parse().expect("a number");
    json!({"name": text(&field::TITLE), "description": text(&field::DESCRIPTION), "location": text(&field::LOCATION),
        "start_at": text(&field::START), "end_at": text(&field::END), "reminder_offset": minutes})
}

impl Appointments {
    fn order(&self, method: &str, id: Option<u64>, data: Json) -> Json {
        self.fake.order(method, "appointments", &json!({"account": ACCOUNT, "id": id, "data": data}))
    }
    fn make(&self, data: Json) -> u64 {
        self.order("POST", None, data)["data"]["id"].as_u64().expect("an id")
    }
    fn visit(&self, n: u32) -> u64 {
        self.make(typed(&sample(n).to_fields()))
    }
    fn with_guests(&self, guests: &[(&str, u64)]) -> u64 {
        let mut data = typed(&sample(1).to_fields());
        let guest = |(kind, id): &(&str, u64)| json!({"id": 1, "invitable_type": kind, "invitable_id": id});
        data["invitations"] = guests.iter().map(guest).collect();
        self.make(data)
    }
    async fn drain(&self, from: Option<&Cursor>) -> (Vec<Change>, Cursor) {
        let (mut seen, mut at) = (Vec::new(), from.cloned());
        loop {
            let page = self.connector.changes(at.as_ref()).await.expect("the stream is read");
            seen.extend(page.changes);
            match page.next {
                Next::More(cursor) => at = Some(cursor),
                Next::CaughtUp(cursor) => return (seen, cursor),
                Next::Relist => panic!("a listing of these shows no more than the stream"),
            }
        }
    }
    fn asked(&self) -> Vec<String> {
        let calls = self.fake.calls().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        self.fake.order("DELETE", "calls", &json!({}));
        calls
    }
}

fn id(id: u64) -> RemoteId {
    RemoteId::new(id.to_string())
}

fn title(change: &Change) -> (&str, String) {
    match change {
        Change::Upsert(copy) => (copy.id.as_str(), copy.fields.text(&field::TITLE).to_owned()),
        Change::Tombstone { id } => (id.as_str(), "gone".to_owned()),
        Change::Seen { id, .. } | Change::Unreadable { id, .. } => (id.as_str(), "unread".to_owned()),
    }
}

impl Harness for Appointments {
    async fn start() -> Self {
        let made = appointments();
        Appointments { connector: opened(&made.fake, &made.clock).with_page_size(3), ..made }
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
        id(self.make(typed(fields)))
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.order("PATCH", id.as_str().parse().ok(), typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.order("DELETE", id.as_str().parse().ok(), json!({}));
    }
    /// It becomes a colleague's.
    fn user_moves_out(&self, id: &RemoteId) -> bool {
        self.order("PATCH", id.as_str().parse().ok(), json!({"user_id": 1}));
        true
    }
    fn user_adds_unmapped(&self, _: &RemoteId) {}
    fn unmapped(&self, _: &RemoteId) -> Json {
        Json::Null
    }
    fn records(&self) -> usize {
        let state = self.fake.order("GET", &format!("state?account={ACCOUNT}"), &json!({}));
        state["appointments"].as_array().map_or(0, Vec::len)
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
            Fault::LoseAnswer => self.fake.inject(&[Wire::LoseAnswer]),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => drop(self.fake.order("POST", "revoke", &json!({"account": ACCOUNT}))),
            Fault::ExpireCursors => drop(self.fake.order("POST", "renumber-stream", &json!({"account": ACCOUNT}))),
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {}
}

tandem_testkit::connector_conformance!(only_read Appointments);

#[tokio::test]
async fn a_thousand_take_ten_calls_and_quiet_takes_one_and_so_do_a_hundred_changes() {
    let a = appointments();
    let ids: Vec<u64> = (0..1_000).map(|n| a.visit(n)).collect();
    let (seen, cursor) = a.drain(None).await;
    assert_eq!(seen.len(), 1_000);
    let asked = a.asked();
    let streamed = |asked: &[String]| asked.iter().filter(|call| *call == "GET /v3/appointments/stream").count();
    assert_eq!((streamed(&asked), asked.len()), (10, 11), "and one for who we are");
    let (seen, cursor) = a.drain(Some(&cursor)).await;
    assert_eq!((seen.len(), a.asked()), (0, vec!["GET /v3/appointments/stream".to_owned()]));
    for id in &ids[..100] {
        a.order("PATCH", Some(*id), json!({"location": "Antwerp"}));
    }
    let (seen, _) = a.drain(Some(&cursor)).await;
    assert_eq!((seen.len(), a.asked().len()), (100, 1));
}

#[tokio::test]
async fn what_comes_twice_or_out_of_order_is_told_once_and_never_taken_back() {
    let a = appointments();
    a.fake.set(|settings| settings.stream_repeats = 50);
    let (kept, gone) = (a.visit(1), a.visit(2));
    let (_, cursor) = a.drain(None).await;
    a.order("PATCH", Some(kept), json!({"name": "First"}));
    a.order("PATCH", Some(kept), json!({"name": "Second"}));
    a.order("DELETE", Some(gone), json!({}));
    let (seen, cursor) = a.drain(Some(&cursor)).await;
    let told: BTreeSet<String> = seen.iter().map(|change| title(change).1).collect();
    assert_eq!((seen.len(), told), (2, BTreeSet::from(["Second".to_owned(), "gone".to_owned()])));
    // Everything comes once more, with one that is new.
    let fresh = a.visit(3);
    let (seen, _) = a.drain(Some(&cursor)).await;
    let [only] = seen.as_slice() else { panic!("one is new: {seen:?}") };
    assert_eq!(title(only), (fresh.to_string().as_str(), "Visit 3".to_owned()));
}

#[tokio::test]
async fn an_empty_page_is_not_the_top() {
    let a = appointments();
    a.visit(1);
    a.fake.set(|settings| settings.empty_stream_pages = 1);
    let first = a.connector.changes(None).await.expect("read");
    assert!(matches!(first.next, Next::CaughtUp(_)) && first.changes.len() == 1);
}

#[tokio::test]
async fn a_stream_that_has_forgotten_where_we_were_says_so_however_sell_takes_it() {
    for forgotten in [Forgotten::Refused, Forgotten::Skipped] {
        let a = appointments();
        a.fake.set(|settings| settings.forgotten = forgotten);
        a.visit(1);
        let (_, cursor) = a.drain(None).await;
        a.clock.advance(Duration::from_secs(71 * HOURS));
        a.visit(2);
        assert_eq!(a.drain(Some(&cursor)).await.0.len(), 1, "within 72 hours nothing is lost");
        a.clock.advance(Duration::from_secs(2 * HOURS));
        let lost = a.connector.changes(Some(&cursor)).await.expect_err("a gap");
        assert_eq!(lost.kind, ErrorKind::CursorExpired);
        assert!(lost.detail.contains("72 hours") && lost.detail.contains("may be missing"), "{}", lost.detail);
    }
}

#[tokio::test]
async fn what_the_stream_tells_no_more_is_not_known_and_never_gone() {
    let a = appointments();
    let old = a.visit(1);
    a.clock.advance(Duration::from_secs(80 * HOURS));
    let (there, gone) = (a.visit(2), a.visit(3));
    a.order("DELETE", Some(gone), json!({}));
    let ids = [old, there, gone, 77].map(id);
    let known = a.connector.look_up(&ids).await.expect("answered");
    let [Known::Untold, Known::There(copy), Known::Gone, Known::Untold] = known.as_slice() else { panic!("{known:?}") };
    assert_eq!(copy.id, ids[1]);
    assert_eq!(a.connector.get(&ids[..1]).await.expect_err("no proof").kind, ErrorKind::Permanent);
    a.connector.look_up(&ids).await.expect("answered");
    assert_eq!(a.asked().len(), 2, "the stream is looked through once");
}

#[tokio::test]
async fn a_colleagues_appointment_is_none_of_ours_but_where_one_is_invited() {
    let a = appointments();
    let me = a.fake.order("POST", "accounts", &json!({"account": ACCOUNT}))["user"].as_u64().expect("an id");
    let theirs = a.visit(1);
    a.order("PATCH", Some(theirs), json!({"user_id": 1}));
    let (_, cursor) = a.drain(None).await;
    a.order("PATCH", Some(theirs), json!({"location": "Antwerp"}));
    let (seen, cursor) = a.drain(Some(&cursor)).await;
    assert!(seen.is_empty(), "{seen:?}");
    let invited = json!([{"id": 1, "invitable_type": "User", "invitable_id": me}]);
    a.order("PATCH", Some(theirs), json!({"invitations": invited}));
    let (seen, _) = a.drain(Some(&cursor)).await;
    let [Change::Upsert(copy)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((copy.id.clone(), copy.scope), (id(theirs), Scope::Inside));
}

#[tokio::test]
async fn guests_are_the_contacts_and_leads_that_have_an_address() {
    let a = appointments();
    let person = |kind: &str, data: Json| {
        let made = a.fake.order("POST", kind, &json!({"account": ACCOUNT, "data": data}));
        made["data"]["id"].as_u64().expect("an id")
    };
    let an = person("contacts", json!({"first_name": "An", "last_name": "Peeters", "email": "An@Example.com"}));
    let bo = person("leads", json!({"last_name": "Claes", "email": "bo@example.com"}));
    let mute = person("contacts", json!({"last_name": "Mute"}));
    a.with_guests(&[("Contact", an), ("Lead", bo), ("Contact", mute), ("Contact", 5)]);
    a.with_guests(&[("Contact", an)]);
    let (seen, _) = a.drain(None).await;
    let [Change::Upsert(first), Change::Upsert(_)] = seen.as_slice() else { panic!("{seen:?}") };
    let guests = first.fields.items(&field::ATTENDEES);
    let emails: Vec<&str> = guests.iter().map(|guest| guest.part("email")).collect();
    assert_eq!(emails, ["an@example.com", "bo@example.com"]);
    assert_eq!(a.asked().iter().filter(|call| call.starts_with("GET /v2/")).count(), 3, "who we are, contacts, leads");
}

#[tokio::test]
async fn a_deletion_is_told_whatever_is_left_of_it_and_a_broken_time_is_set_aside() {
    for shown in [Shown::Id, Shown::All] {
        let a = appointments();
        a.fake.set(|settings| settings.deleted_shown = shown);
        let visit = a.visit(1);
        a.make(json!({"name": "Back", "start_at": "2026-12-02T10:00:00Z", "end_at": "2026-12-02T09:00:00Z"}));
        let (seen, cursor) = a.drain(None).await;
        assert!(seen.iter().any(|change| matches!(change, Change::Unreadable { .. })) && seen.len() == 2, "{seen:?}");
        a.order("DELETE", Some(visit), json!({}));
        let (seen, _) = a.drain(Some(&cursor)).await;
        let [Change::Tombstone { id: gone }] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!(*gone, id(visit));
    }
}
