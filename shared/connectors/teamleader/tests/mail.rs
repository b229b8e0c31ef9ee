//! Mail in Teamleader: filed once whatever gets lost, looked up, made a task of.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::mail::{
    Address, Attachment, Authentic, Body, Direction, Envelope, Mailbox, NewPerson, Subject, SubjectKind, TrackedMail,
    identity,
};
use tandem_core::record::RemoteId;
use tandem_ports::error::ErrorKind;
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_ports::mail::{FiledHow, MailDesk, MailTask};
use tandem_store::Store;
use tandem_store::filed::{FiledMail, KnownAddresses};
use tandem_teamleader::fake::{Edit, FakeTeamleader, Fault};
use tandem_teamleader::{TeamleaderConfig, TeamleaderMail};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::memory::MemoryTable;
use tokio::sync::Notify;

const ACCOUNT: &str = "jan@example.com";
const HOUR: Duration = Duration::from_secs(3_600);

struct World {
    fake: Arc<FakeTeamleader>,
    clock: Arc<ManualClock>,
    table: Arc<MemoryTable>,
}

impl World {
    fn new() -> World {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeTeamleader::new(clock.clone()).shared();
        World { fake, clock, table: Arc::default() }
    }
    /// As another run opens it.
    fn desk(&self) -> TeamleaderMail {
        self.desk_on(self.fake.authorised(ACCOUNT))
    }
    fn desk_on(&self, transport: Arc<dyn HttpTransport>) -> TeamleaderMail {
        let (store, clock) = (Store::new(self.table.clone()), self.clock.clone());
        let ledger = Arc::new(FiledMail::of(store.clone(), clock.clone(), "teamleader", "acme"));
        let book = Arc::new(KnownAddresses::of(store, clock.clone(), "teamleader", "acme"));
        TeamleaderMail::new(transport, self.fake.clone(), clock, TeamleaderConfig::default(), (ledger, book))
    }
    fn contact(&self, last: &str, email: &str) -> Subject {
        let fields = json!({"last_name": last, "emails": [{"type": "primary", "email": email}]});
        let fields = fields.as_object().cloned().unwrap();
        let id = self.fake.user_creates(ACCOUNT, Edit { fields, ..Edit::default() });
        Subject { kind: SubjectKind::Contact, id: RemoteId::new(id) }
    }
    fn company(&self, name: &str, email: &str) -> Subject {
        let body = json!({"name": name, "emails": [{"type": "primary", "email": email}]});
        let id = self.fake.user_creates_company(ACCOUNT, body.as_object().unwrap());
        Subject { kind: SubjectKind::Company, id: RemoteId::new(id) }
    }
}

fn address(raw: &str) -> Address {
    Address::read(raw).unwrap()
}

fn mail(id: &str, at: &[Subject], participant: &str) -> TrackedMail {
    let envelope = Envelope {
        message_id: Some(id.to_owned()),
        from: vec![Mailbox::read("Jan <b>", "jan@x.example").unwrap()],
        to: vec![Mailbox::read("", "me@acme.example").unwrap()],
        cc: Vec::new(),
        subject: "Offer".to_owned(),
        sent_at: Some("2026-01-05T08:00:00Z".parse().unwrap()),
        places: BTreeSet::new(),
        wishes: BTreeSet::new(),
        authentic: Authentic::Yes,
        bytes: 100,
    };
    TrackedMail {
        key: identity(&envelope),
        direction: Direction::In,
        envelope,
        body: Body { html: Some("<p>Hello</p>".to_owned()), text: "Hello".to_owned(), ..Body::default() },
        at: at.to_vec(),
        participant: address(participant),
        link: String::new(),
    }
}

#[tokio::test]
async fn a_message_is_filed_once_at_each_contact_and_company_from_whichever_mailbox() {
    let world = World::new();
    let at = [world.contact("One", "jan@x.example"), world.company("Firm", "info@x.example")];
    let first = world.desk().file(&mail("1@x", &at, "me@acme.example")).await.unwrap();
    assert_eq!(first.how, FiledHow::Made);
    let again = world.desk().file(&mail("1@x", &at, "you@acme.example")).await.unwrap();
    assert_eq!((again.how, &again.id), (FiledHow::Found, &first.id));
    world.desk().file(&mail("2@x", &at[..1], "me@acme.example")).await.unwrap();
    let (tracked, _) = world.fake.mail_of(ACCOUNT);
    assert_eq!(tracked.len(), 3);
    let content = tracked[0]["content"].as_str().unwrap();
    for said in
        ["From: Jan &lt;b&gt; &lt;jan@x.example&gt;", "To: me@acme.example", "2026-01-05T08:00:00Z", "<p>Hello</p>"]
    {
        assert!(content.contains(said), "{said} in {content}");
    }
    assert_eq!(
        world.desk().titles(&[first.id, RemoteId::new("gone")]).await.unwrap(),
        [Some("Offer".to_owned()), None]
    );
}

#[tokio::test]
async fn after_a_lost_answer_the_contacts_mail_is_looked_through_before_it_is_written_again() {
    for (fault, finds) in [(Fault::LoseAnswer, FiledHow::Found), (Fault::LoseRequest, FiledHow::Made)] {
        let world = World::new();
        let at = [world.contact("One", "jan@x.example")];
        for n in 0..130 {
            world.desk().file(&mail(&format!("old{n}@x"), &at, "me@acme.example")).await.unwrap();
        }
        world.fake.inject_on(fault, &["emailTracking.create"]);
        let message = mail("1@x", &at, "me@acme.example");
        assert_eq!(world.desk().file(&message).await.unwrap_err().kind, ErrorKind::Retryable);
        assert_eq!(world.desk().file(&message).await.unwrap().how, finds);
        assert_eq!(world.fake.mail_of(ACCOUNT).0.len(), 131);
    }
}

/// A message with two attachments.
fn with_attachments(id: &str, at: &[Subject]) -> TrackedMail {
    let attachment = |name: &str, bytes: &str| Attachment {
        name: name.to_owned(),
        media_type: "application/pdf".to_owned(),
        bytes: bytes.as_bytes().to_vec(),
    };
    let mut mail = mail(id, at, "me@acme.example");
    mail.body.attachments = vec![attachment("offer.pdf", "the offer"), attachment("terms.pdf", "the terms")];
    mail
}

#[tokio::test]
async fn s2_3_what_is_attached_becomes_files_of_the_first_record_each_once_whatever_gets_lost() {
    for (fault, on) in [
        (Fault::LoseAnswer, "files.upload"),
        (Fault::LoseAnswer, "files.list"),
        (Fault::LoseAnswer, "emailTracking.create"),
        (Fault::ServerError, "emailTracking.create"),
        (Fault::Throttle { seconds: 5 }, "files.upload"),
    ] {
        let world = World::new();
        let at = [world.contact("One", "jan@x.example"), world.company("Firm", "info@x.example")];
        world.fake.inject_on(fault, &[on]);
        let message = with_attachments("1@x", &at);
        world.desk().file(&message).await.unwrap_err();
        world.clock.advance(HOUR);
        world.desk().file(&message).await.unwrap();
        world.desk().file(&message).await.unwrap();
        let files = world.fake.files_of(ACCOUNT);
        let shown: Vec<_> = files.iter().map(|f| (f.folder.as_str(), f.name.as_str(), &f.bytes[..])).collect();
        let wanted: [(&str, &str, &[u8]); 2] =
            [("E-mail", "offer.pdf", b"the offer"), ("E-mail", "terms.pdf", b"the terms")];
        assert_eq!(shown, wanted, "{fault:?} on {on}");
        assert!(files.iter().all(|file| file.subject == ("contact".to_owned(), at[0].id.to_string())));
        let (tracked, _) = world.fake.mail_of(ACCOUNT);
        let mut ids: Vec<&Value> = tracked[0]["attachments"].as_array().unwrap().iter().map(|a| &a["id"]).collect();
        ids.sort_by_key(|id| id.to_string());
        let mut made: Vec<Value> = files.iter().map(|file| json!(file.id)).collect();
        made.sort_by_key(ToString::to_string);
        assert_eq!((tracked.len(), ids), (2, made.iter().collect::<Vec<_>>()));
        let says = |n: usize, said: &str| assert!(tracked[n]["content"].as_str().unwrap().contains(said), "{said}");
        says(0, "Attachments: offer.pdf, terms.pdf");
        says(1, "Attachments, at another record of this message: offer.pdf, terms.pdf");
    }
}

#[tokio::test]
async fn an_email_becomes_a_task_once_also_after_a_lost_answer() {
    let world = World::new();
    let at = [world.contact("One", "jan@x.example")];
    let filed = world.desk().file(&mail("1@x", &at, "me@acme.example")).await.unwrap();
    let task = MailTask {
        title: String::new(),
        link: "https://mail.google.com/x".to_owned(),
        due_on: jiff::civil::date(2026, 1, 6),
    };
    world.fake.inject_on(Fault::LoseAnswer, &["tasks.create"]);
    assert_eq!(world.desk().add_task(&filed.id, &task).await.unwrap_err().kind, ErrorKind::Retryable);
    let one = world.desk().add_task(&filed.id, &task).await.unwrap();
    assert_eq!(world.desk().add_task(&filed.id, &task).await.unwrap(), one);
    let (_, tasks) = world.fake.mail_of(ACCOUNT);
    assert_eq!((tasks.len(), &tasks[0]["title"]), (1, &json!("E-mail without a subject")));
    assert_eq!((&tasks[0]["due_on"], &tasks[0]["customer"]["id"]), (&json!("2026-01-06"), &json!(at[0].id)));
}

/// How often these lists were asked for since the last time.
fn lists(world: &World) -> usize {
    let calls = world.fake.calls();
    world.fake.forget_calls();
    calls.iter().filter(|(method, _)| method.ends_with(".list")).count()
}

#[tokio::test]
async fn an_address_is_asked_for_once_by_all_mailboxes_and_found_at_contacts_and_companies() {
    let world = World::new();
    let all = [world.contact("One", "Jan@X.example"), world.company("Firm", "jan@x.example")];
    world.contact("Other", "other@x.example");
    world.clock.advance(HOUR);
    world.fake.forget_calls();
    for asked in [4, 2, 2] {
        // Another mailbox, or another run.
        let desk = world.desk();
        for _ in 0..3 {
            let known = desk.known(&[address("jan@x.example"), address("nobody@x.example")]).await.unwrap();
            assert_eq!(known, BTreeMap::from([(address("jan@x.example"), all.to_vec())]));
        }
        assert_eq!(lists(&world), asked, "two lists an address at first; then two for what was changed");
        world.clock.advance(HOUR);
    }
    assert_eq!(world.desk().names(&all).await.unwrap(), [Some("One".to_owned()), Some("Firm".to_owned())]);
    let stored: String = world.table.dump().iter().map(|item| format!("{:?}{:?}", item.key, item.attributes)).collect();
    assert!(!stored.contains("x.example"), "{stored}");
}

#[tokio::test]
async fn who_has_an_address_follows_what_is_changed_in_teamleader() {
    let world = World::new();
    let [jan, els] = [address("jan@x.example"), address("els@x.example")];
    let one = world.contact("One", "jan@x.example");
    world.clock.advance(HOUR);
    let holders = async || world.desk().known(&[jan.clone(), els.clone()]).await.unwrap();
    assert_eq!(holders().await, BTreeMap::from([(jan.clone(), vec![one.clone()])]));
    // Somebody gets the address that nobody had.
    world.clock.advance(HOUR);
    let two = world.contact("Two", "els@x.example");
    assert_eq!(holders().await, BTreeMap::from([(jan.clone(), vec![one.clone()]), (els.clone(), vec![two.clone()])]));
    // One has another address now, and a company has Two's as well.
    world.clock.advance(HOUR);
    let moved = json!({"emails": [{"type": "primary", "email": "new@x.example"}]});
    let fields = moved.as_object().cloned().unwrap();
    world.fake.user_edits(ACCOUNT, one.id.as_str(), Edit { fields, ..Edit::default() });
    let firm = world.company("Firm", "els@x.example");
    assert_eq!(holders().await, BTreeMap::from([(els.clone(), vec![two.clone(), firm.clone()])]));
    // A deletion is told by nobody: the message that is refused there is asked about afresh.
    for _ in 0..2 {
        world.clock.advance(HOUR);
        holders().await;
    }
    assert!(world.fake.user_deletes(ACCOUNT, two.id.as_str()));
    let refused = world.desk();
    assert_eq!(refused.known(std::slice::from_ref(&els)).await.unwrap()[&els].len(), 2);
    let message = mail("1@x", &[two], "me@acme.example");
    assert_eq!(refused.file(&message).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(holders().await, BTreeMap::from([(els.clone(), vec![firm])]));
}

#[tokio::test]
async fn more_changes_than_are_read_make_every_address_asked_for_afresh() {
    let world = World::new();
    let one = world.contact("One", "jan@x.example");
    let jan = address("jan@x.example");
    world.clock.advance(HOUR);
    world.desk().known(std::slice::from_ref(&jan)).await.unwrap();
    world.clock.advance(HOUR);
    for n in 0..700 {
        world.contact("Imported", &format!("n{n}@y.example"));
    }
    world.fake.forget_calls();
    let known = world.desk().known(std::slice::from_ref(&jan)).await.unwrap();
    assert_eq!((&known[&jan], lists(&world)), (&vec![one], 5 + 1 + 2));
}

/// Holds a call of one method until it is let through.
struct Held {
    inner: Arc<dyn HttpTransport>,
    method: &'static str,
    arrived: Notify,
    go: Notify,
}

#[async_trait]
impl HttpTransport for Held {
    async fn send(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, TransportError> {
        if request.uri().path().ends_with(self.method) {
            self.arrived.notify_one();
            self.go.notified().await;
        }
        self.inner.send(request).await
    }
}

impl World {
    fn held(&self, method: &'static str) -> Arc<Held> {
        let (arrived, go) = (Notify::new(), Notify::new());
        Arc::new(Held { inner: self.fake.authorised(ACCOUNT), method, arrived, go })
    }
}

#[tokio::test]
async fn m09_of_two_mailboxes_that_file_one_message_at_the_same_moment_one_does_and_the_other_waits() {
    let world = World::new();
    let at = [world.contact("One", "jan@x.example")];
    let held = world.held("emailTracking.create");
    let (first, second) = (world.desk_on(held.clone()), world.desk());
    let (mine, yours) = (mail("1@x", &at, "me@acme.example"), mail("1@x", &at, "you@acme.example"));
    let meanwhile = async {
        held.arrived.notified().await;
        let refused = second.file(&yours).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Retryable, "it waits");
        held.go.notify_one();
    };
    let (filed, ()) = tokio::join!(first.file(&mine), meanwhile);
    let again = second.file(&yours).await.unwrap();
    assert_eq!((filed.unwrap().id, again.how), (again.id, FiledHow::Found));
    assert_eq!(world.fake.mail_of(ACCOUNT).0.len(), 1);
}

#[tokio::test]
async fn of_two_mailboxes_that_add_one_stranger_at_the_same_moment_one_does() {
    let world = World::new();
    let person = NewPerson::of(&Mailbox::read("Piet Jans", "piet@new.example").unwrap());
    let held = world.held("contacts.add");
    let (first, second) = (world.desk_on(held.clone()), world.desk());
    let meanwhile = async {
        held.arrived.notified().await;
        assert_eq!(second.add_person(&person).await.unwrap_err().kind, ErrorKind::Retryable, "it waits");
        held.go.notify_one();
    };
    let (added, ()) = tokio::join!(first.add_person(&person), meanwhile);
    assert_eq!(second.add_person(&person).await.unwrap(), added.unwrap());
    assert_eq!(world.fake.calls().iter().filter(|(method, _)| method == "contacts.add").count(), 1);
}

#[tokio::test]
async fn what_a_worker_left_behind_that_died_is_taken_over_after_five_minutes() {
    let world = World::new();
    let at = [world.contact("One", "jan@x.example")];
    let message = mail("1@x", &at, "me@acme.example");
    let held = world.held("emailTracking.create");
    let dies = world.desk_on(held.clone());
    {
        let mut write = Box::pin(dies.file(&message));
        tokio::select! {
            _ = &mut write => panic!("it is held"),
            () = held.arrived.notified() => {}
        }
    }
    assert_eq!(world.desk().file(&message).await.unwrap_err().kind, ErrorKind::Retryable);
    world.clock.advance(Duration::from_secs(301));
    assert_eq!(world.desk().file(&message).await.unwrap().how, FiledHow::Made);
    assert_eq!(world.fake.mail_of(ACCOUNT).0.len(), 1);
}

#[tokio::test]
async fn a_stranger_is_added_once_also_after_a_lost_answer() {
    let world = World::new();
    let person = NewPerson::of(&Mailbox::read("Piet Jans", "piet@new.example").unwrap());
    world.fake.inject_on(Fault::LoseAnswer, &["contacts.add"]);
    assert!(world.desk().add_person(&person).await.is_err());
    let desk = world.desk();
    assert_eq!(desk.known(std::slice::from_ref(&person.address)).await.unwrap().len(), 1);
    let one = desk.add_person(&person).await.unwrap();
    assert_eq!(world.desk().add_person(&person).await.unwrap(), one);
    assert_eq!(desk.names(&[one]).await.unwrap(), [Some("Piet Jans".to_owned())]);
}

#[tokio::test]
async fn what_teamleader_refuses_is_said() {
    let world = World::new();
    let gone = Subject { kind: SubjectKind::Contact, id: RemoteId::new("gone") };
    let refused = world.desk().file(&mail("1@x", &[gone], "me@acme.example")).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotFound);
    world.fake.inject_on(Fault::Forbidden, &["emailTracking.create"]);
    let at = [world.contact("One", "jan@x.example")];
    let refused = world.desk().file(&mail("1@x", &at, "me@acme.example")).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert!(refused.detail.contains("e-mail tracking"), "{}", refused.detail);
    let filed = world.desk().file(&mail("1@x", &at, "me@acme.example")).await.unwrap();
    let refused = world.desk().remove(&filed.id, &address("me@acme.example")).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permanent);
}

/// Passes requests on and holds each to `facts/api.json`.
struct Checked {
    inner: Arc<dyn HttpTransport>,
    seen: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl HttpTransport for Checked {
    async fn send(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, TransportError> {
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let facts: Value = serde_json::from_str(include_str!("../facts/api.json")).unwrap();
        check(&facts[&method], &serde_json::from_slice(request.body()).unwrap(), &method);
        self.seen.lock().unwrap().insert(method);
        self.inner.send(request).await
    }
}

/// Checks a value against `{"key": shape}`, `[shape]`, the words under `"enum"`, or a plain one.
fn check(shape: &Value, value: &Value, at: &str) {
    match (shape, value) {
        (Value::Object(shape), _) if shape.contains_key("enum") => {
            assert!(shape["enum"].as_array().unwrap().contains(value), "{at} may not be {value}");
        }
        (Value::Object(shape), Value::Object(members)) => {
            for (name, member) in members {
                let at = format!("{at}.{name}");
                check(shape.get(name).unwrap_or_else(|| panic!("{at} is not in the specification")), member, &at);
            }
        }
        (Value::Array(shape), Value::Array(items)) => items.iter().for_each(|item| check(&shape[0], item, at)),
        (Value::String(_), _) => {}
        _ => panic!("{at} has another shape: {value}"),
    }
}

#[tokio::test]
async fn whatever_we_ask_is_in_teamleaders_own_list() {
    let world = World::new();
    let checked = Arc::new(Checked { inner: world.fake.authorised(ACCOUNT), seen: Mutex::default() });
    let desk = world.desk_on(checked.clone());
    let one = desk.add_person(&NewPerson::of(&Mailbox::read("Piet Jans", "piet@new.example").unwrap())).await.unwrap();
    desk.names(std::slice::from_ref(&one)).await.unwrap();
    let message = mail("1@x", std::slice::from_ref(&one), "me@acme.example");
    let task = MailTask { title: "x".to_owned(), link: String::new(), due_on: jiff::civil::date(2026, 1, 6) };
    world.fake.inject_on(Fault::LoseAnswer, &["emailTracking.create"]);
    desk.file(&message).await.unwrap_err();
    let filed = desk.file(&message).await.unwrap();
    world.fake.inject_on(Fault::LoseAnswer, &["tasks.create"]);
    desk.add_task(&filed.id, &task).await.unwrap_err();
    desk.add_task(&filed.id, &task).await.unwrap();
    let asked = checked.seen.lock().unwrap().clone();
    let wanted = [
        "companies.list",
        "contacts.add",
        "contacts.list",
        "emailTracking.create",
        "emailTracking.list",
        "tasks.create",
        "tasks.list",
        "workTypes.list",
    ];
    assert!(asked.iter().eq(wanted), "{asked:?}");
}
