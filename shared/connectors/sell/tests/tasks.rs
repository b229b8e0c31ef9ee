//! The tasks connector keeps every promise of the suite, its budget, and what is a task's own.
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tandem_core::event::Status;
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope};
use tandem_core::task::{Task, field};
use tandem_ports::connector::{Change, Connector, Cursor, Draft, Fetched, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_sell::fake::{FakeSell, Fault as Wire};
use tandem_sell::{SellConfig, SellTasks};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";

struct Tasks {
    fake: Arc<FakeSell>,
    connector: SellTasks,
}

fn tasks(page: usize) -> Tasks {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeSell::new(Arc::clone(&clock) as Arc<_>).shared();
    let device = "0b1f2ee4-8d0b-4b9e-8f5f-3a8a7cb9b0a1".to_owned();
    let connector = SellTasks::new(fake.authorised(ACCOUNT), clock, SellConfig::default(), device).with_page_size(page);
    Tasks { fake, connector }
}

fn sample(n: u32) -> Task {
    let due = jiff::civil::date(2026, 1, 1).saturating_add(jiff::Span::new().days(i64::from(n % 300)));
    Task { title: format!("Call {n}"), notes: format!("line 1\nline {n}"), due: Some(due), ..Task::default() }
}

/// The user's typing, made without the connector's own mapping: late in the evening, where the user is.
fn typed(fields: &Fields) -> Json {
    let text = |name: &Field| fields.text(name).to_owned();
    let due = format!("{}T23:30:00+01:00", text(&field::DUE));
    json!({"content": format!("{}\n{}", text(&field::TITLE), text(&field::NOTES)), "due_date": due})
}

impl Tasks {
    fn order(&self, method: &str, id: Option<u64>, data: Json) -> Json {
        self.fake.order(method, "tasks", &json!({"account": ACCOUNT, "id": id, "data": data}))
    }
    fn make(&self, data: Json) -> u64 {
        self.order("POST", None, data)["data"]["id"].as_u64().expect("an id")
    }
    fn all(&self) -> Vec<Json> {
        let state = self.fake.order("GET", &format!("state?account={ACCOUNT}"), &json!({}));
        let others = state["others"].as_array().expect("a list").iter();
        others.filter(|one| one["kind"] == "task").map(|one| one["data"].clone()).collect()
    }
    fn held(&self, id: u64) -> Json {
        self.all().into_iter().find(|task| task["id"] == id).expect("it exists")
    }
    async fn drain(&self, from: Option<&Cursor>) -> (Vec<Change>, Cursor) {
        let (mut seen, mut at) = (Vec::new(), from.cloned());
        loop {
            let page = self.connector.changes(at.as_ref()).await.expect("the feed is read");
            seen.extend(page.changes);
            match page.next {
                Next::More(cursor) => at = Some(cursor),
                Next::CaughtUp(cursor) => return (seen, cursor),
                Next::Relist => panic!("this feed tells everything"),
            }
        }
    }
    fn asked(&self) -> Vec<String> {
        let calls = self.fake.calls().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        self.fake.order("DELETE", "calls", &json!({}));
        calls
    }
    async fn read(&self, id: u64) -> Fetched {
        self.connector.get(&[RemoteId::new(id.to_string())]).await.expect("read").remove(0).expect("there")
    }
}

fn number(id: &RemoteId) -> Option<u64> {
    id.as_str().parse().ok()
}

fn patch(read: Fetched, changed: Vec<Field>, wanted: &Task) -> Patch {
    let (id, expect, raw) = (read.id, read.version, read.raw);
    Patch { id, expect, changed, fields: wanted.to_fields(), scope: None, marker: None, raw }
}

impl Harness for Tasks {
    async fn start() -> Self {
        tasks(3)
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        sample(n).to_fields()
    }
    fn text_field(&self) -> Field {
        field::NOTES
    }
    fn more_than_two_pages(&self) -> u32 {
        8
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        RemoteId::new(self.make(typed(fields)).to_string())
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.order("PATCH", number(id), typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.order("DELETE", number(id), json!({}));
    }
    /// There is no list: whose task it is, is nobody's to move but a person's.
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        self.order("PATCH", number(id), json!({"remind_at": "2026-01-01T08:00:00Z"}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        self.held(number(id).expect("a number"))["remind_at"].clone()
    }
    fn records(&self) -> usize {
        self.all().len()
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
            Fault::ExpireCursors => drop(self.fake.order("POST", "expire-sessions", &json!({"account": ACCOUNT}))),
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {}
}

tandem_testkit::connector_conformance!(Tasks);

#[tokio::test]
async fn a_thousand_tasks_take_ten_lists_and_quiet_takes_one_call() {
    let t = tasks(100);
    for n in 0..999 {
        t.make(typed(&sample(n).to_fields()));
    }
    let (seen, cursor) = t.drain(None).await;
    assert_eq!(seen.len(), 999);
    let asked = t.asked();
    assert_eq!(asked.iter().filter(|call| *call == "GET /v2/tasks").count(), 10);
    assert_eq!(asked.iter().filter(|call| *call == "GET /v2/users/self").count(), 1);
    let (seen, _) = t.drain(Some(&cursor)).await;
    assert_eq!((seen.len(), t.asked()), (0, vec!["POST /v2/sync/start".to_owned()]));
}

#[tokio::test]
async fn other_kinds_and_a_colleagues_tasks_are_not_ours_and_one_that_is_given_away_is_outside() {
    let t = tasks(100);
    t.make(json!({"content": "Theirs", "owner_id": 1}));
    t.fake.order("POST", "contacts", &json!({"account": ACCOUNT, "data": {"last_name": "Peeters"}}));
    let ours = t.make(json!({"content": "Ours"}));
    let (seen, cursor) = t.drain(None).await;
    let [Change::Upsert(task)] = seen.as_slice() else { panic!("one task: {seen:?}") };
    assert_eq!((task.id.as_str(), task.scope), (ours.to_string().as_str(), Scope::Inside));
    t.fake.order("POST", "contacts", &json!({"account": ACCOUNT, "data": {"last_name": "Claes"}}));
    t.order("PATCH", Some(ours), json!({"owner_id": 1}));
    let (seen, _) = t.drain(Some(&cursor)).await;
    let [Change::Upsert(task)] = seen.as_slice() else { panic!("one task: {seen:?}") };
    assert_eq!(task.scope, Scope::Outside);
}

#[tokio::test]
async fn a_task_is_done_and_opened_again_and_its_hour_and_its_contact_stay() {
    let t = tasks(100);
    let contact = t.fake.order("POST", "contacts", &json!({"account": ACCOUNT, "data": {"last_name": "Peeters"}}));
    let on = contact["data"]["id"].clone();
    let due = "2026-03-01T14:45:00Z";
    let id = t.make(json!({"content": "Call", "due_date": due, "resource_type": "contact", "resource_id": on}));
    let moved = Task { title: "Call".into(), due: Some(jiff::civil::date(2026, 3, 5)), ..Task::default() };
    for (changed, wanted) in [
        (field::STATUS, Task { status: Status::Done, ..moved.clone() }),
        (field::STATUS, moved.clone()),
        (field::DUE, moved.clone()),
    ] {
        let patch = patch(t.read(id).await, vec![changed.clone()], &wanted);
        let written = t.connector.update(&[patch]).await.expect("answered").remove(0).expect("updated");
        let after = t.read(id).await;
        assert_eq!((written.shown.as_ref(), &written.version), (Some(&after.fields), &after.version));
        assert_eq!(after.fields.text(&changed), wanted.to_fields().text(&changed));
        let done = !after.fields.text(&field::COMPLETED_AT).is_empty();
        assert_eq!(done, wanted.status == Status::Done);
    }
    let held = t.held(id);
    assert_eq!((held["due_date"].as_str(), &held["resource_id"]), (Some("2026-03-05T14:45:00Z"), &on));
}

#[tokio::test]
async fn a_task_without_a_title_is_refused_alone_and_nothing_is_asked_for_it() {
    let t = tasks(100);
    let draft = |n: u32, task: Task| Draft { marker: Marker::new(format!("m{n}")), fields: task.to_fields() };
    let nameless = Task { notes: "only notes".into(), ..Task::default() };
    let made = t.connector.create(&[draft(1, nameless), draft(2, sample(2))]).await.expect("answered");
    let refusal = made[0].as_ref().expect_err("refused");
    assert!(refusal.kind == ErrorKind::Permanent && refusal.detail.contains("title"), "{}", refusal.detail);
    assert!(made[1].is_ok());
    assert_eq!(t.asked(), ["GET /v2/users/self", "POST /v2/tasks"]);
}

#[tokio::test]
async fn two_that_look_alike_are_both_found_and_a_strangers_third_makes_none_ours() {
    let t = tasks(100);
    let drafts: Vec<Draft> =
        (0..2).map(|n| Draft { marker: Marker::new(format!("m{n}")), fields: sample(1).to_fields() }).collect();
    t.connector.create(&drafts).await.expect("answered");
    let found = t.connector.find_made(&drafts).await.expect("found");
    assert_eq!(found.iter().map(|(_, task)| &task.id).collect::<std::collections::BTreeSet<_>>().len(), 2);
    t.make(typed(&sample(1).to_fields()));
    assert!(t.connector.find_made(&drafts).await.expect("searched").is_empty());
}

#[tokio::test]
async fn what_is_sent_is_what_sell_describes_and_the_fake_refuses_the_rest() {
    let facts: Json = serde_json::from_str(include_str!("../facts/sell.json")).expect("a committed file");
    let t = tasks(100);
    let id = t.make(typed(&sample(1).to_fields()));
    let held = t.held(id);
    for (name, kind) in facts["task"].as_object().expect("types") {
        let value = &held[name];
        let fits = match kind.as_str() {
            Some("boolean") => value.is_boolean(),
            Some("number" | "integer") => value.is_number(),
            _ => value.is_string(),
        };
        assert!(value.is_null() || fits, "{name}: {value}");
        assert!(held.as_object().expect("an object").contains_key(name), "{name}");
    }
    let token = t.fake.order("POST", "accounts", &json!({"account": ACCOUNT}))["token"].clone();
    for wrong in [
        json!({}),
        json!({"content": " "}),
        json!({"content": "a", "due_date": "tomorrow"}),
        json!({"content": "a", "completed": "yes"}),
        json!({"content": "a", "completed_at": "2026-01-01T08:00:00Z"}),
        json!({"content": "a", "resource_type": "shoe", "resource_id": 1}),
        json!({"content": "a", "resource_type": "contact", "resource_id": 1}),
    ] {
        let request = http::Request::post("/v2/tasks").header("user-agent", "test");
        let request = request.header("authorization", format!("Bearer {}", token.as_str().expect("a token")));
        let body = json!({"data": wrong}).to_string();
        let answer = t.fake.handle(request.body(body.into()).expect("a request")).expect("an answer");
        assert_eq!(answer.status(), 422, "{wrong}");
    }
}
