//! The tasks connector keeps every promise of the suite, and what is Tasks' own: days, hidden and deleted tasks, cost.
mod facts;

use facts::{Facts, Recorder};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_core::event::Status;
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId};
use tandem_core::task::{Task, field};
use tandem_google::auth::SCOPES_FOR_TASKS;
use tandem_google::fake::{FakeGoogle, Fault as Wire};
use tandem_google::{GoogleConfig, GoogleTasks};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";
const TICK: Duration = Duration::from_secs(1);

struct Tasks {
    clock: Arc<ManualClock>,
    fake: Arc<FakeGoogle>,
    connector: GoogleTasks,
}

fn tasks() -> Tasks {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeGoogle::new(Arc::clone(&clock) as Arc<_>).shared();
    let connector = open(&fake, &clock, "@default").with_page_size(3);
    Tasks { clock, fake, connector }
}

fn open(fake: &Arc<FakeGoogle>, clock: &Arc<ManualClock>, list: &str) -> GoogleTasks {
    let clock = Arc::clone(clock) as Arc<_>;
    GoogleTasks::new(fake.authorised(ACCOUNT), clock, GoogleConfig::default(), ContainerId::new(list))
}

fn sample(n: u32) -> Task {
    let due = jiff::civil::date(2026, 1, 1).saturating_add(jiff::Span::new().days(i64::from(n % 300)));
    Task { title: format!("Call {n}"), notes: format!("line 1\nline {n}"), due: Some(due), ..Task::default() }
}

/// The user's typing, made without the connector's own mapping.
fn typed(fields: &Fields) -> Json {
    let text = |name: &Field| fields.text(name).to_owned();
    let due = format!("{}T09:30:00Z", text(&field::DUE));
    json!({"title": text(&field::TITLE), "notes": text(&field::NOTES), "due": due})
}

impl Tasks {
    fn held(&self, id: &RemoteId) -> Json {
        self.fake.tasks(ACCOUNT).into_iter().find(|task| task["id"] == id.as_str()).expect("it exists")
    }
    async fn drain(&self, connector: &GoogleTasks, from: Option<&Cursor>) -> (Vec<Change>, Cursor) {
        let (mut seen, mut at) = (Vec::new(), from.cloned());
        loop {
            let page = connector.changes(at.as_ref()).await.expect("the feed is read");
            seen.extend(page.changes);
            match page.next {
                Next::More(cursor) => at = Some(cursor),
                Next::CaughtUp(cursor) => return (seen, cursor),
                Next::Relist => panic!("this feed tells everything"),
            }
        }
    }
}

fn draft(n: u32) -> Draft {
    Draft { marker: Marker::new(format!("m{n}")), fields: sample(n).to_fields() }
}

impl Harness for Tasks {
    async fn start() -> Self {
        tasks()
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
        RemoteId::new(self.fake.user_makes_task(ACCOUNT, &typed(fields)))
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.fake.user_edits_task(ACCOUNT, id.as_str(), &typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.fake.user_deletes_task(ACCOUNT, id.as_str());
    }
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        let links = json!([{"type": "email", "link": "https://mail.google.com/1", "description": "A mail"}]);
        self.fake.user_edits_task(ACCOUNT, id.as_str(), &json!({"links": links}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let task = self.held(id);
        json!({"links": task["links"], "position": task["position"]})
    }
    fn records(&self) -> usize {
        self.fake.tasks(ACCOUNT).len()
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
            Fault::RevokeGrant => self.fake.revoke(ACCOUNT),
            // Deleted tasks are surely told for a while only.
            Fault::ExpireCursors => self.clock.advance(Duration::from_secs(15 * 24 * 3600)),
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {
        self.clock.advance(TICK);
    }
}

tandem_testkit::connector_conformance!(Tasks);

#[tokio::test]
async fn a_thousand_tasks_are_listed_in_ten_calls_and_a_quiet_run_takes_one() {
    let t = tasks();
    let connector = open(&t.fake, &t.clock, "@default");
    for n in 0..1_000 {
        t.fake.user_makes_task(ACCOUNT, &typed(&sample(n).to_fields()));
    }
    t.clock.advance(Duration::from_secs(3600));
    let (seen, cursor) = t.drain(&connector, None).await;
    assert_eq!((seen.len(), t.fake.calls().len()), (1_000, 10));
    t.clock.advance(Duration::from_secs(3600));
    let (seen, _) = t.drain(&connector, Some(&cursor)).await;
    assert_eq!((seen.len(), t.fake.calls().len()), (0, 11));
    for chunk in (0..1_000).map(draft).collect::<Vec<_>>().chunks(10) {
        connector.create(chunk).await.expect("made").into_iter().for_each(|one| drop(one.expect("made")));
    }
    assert_eq!(t.fake.calls().len(), 1_011, "one call a task: Tasks has no batch of ours");
}

#[tokio::test]
async fn a_task_completed_in_the_app_is_hidden_and_told_all_the_same() {
    let t = tasks();
    let id = t.user_creates(&sample(1).to_fields());
    let (_, cursor) = t.drain(&t.connector, None).await;
    t.clock.advance(TICK);
    t.fake.user_edits_task(ACCOUNT, id.as_str(), &json!({"status": "completed"}));
    assert_eq!(t.held(&id)["hidden"], true);
    for from in [Some(&cursor), None] {
        let (seen, _) = t.drain(&t.connector, from).await;
        let [Change::Upsert(task)] = seen.as_slice() else { panic!("one task: {seen:?}") };
        assert_eq!(task.fields.text(&field::STATUS), "done");
        assert!(!task.fields.text(&field::COMPLETED_AT).is_empty());
    }
}

#[tokio::test]
async fn a_task_is_completed_and_opened_again_and_loses_its_day() {
    let t = tasks();
    let id = t.user_creates(&sample(1).to_fields());
    for (changed, wanted) in [
        (field::STATUS, Task { status: Status::Done, ..sample(1) }),
        (field::STATUS, sample(1)),
        (field::DUE, Task { due: None, ..sample(1) }),
    ] {
        let read = t.connector.get(std::slice::from_ref(&id)).await.expect("read").remove(0).expect("there");
        let patch = Patch {
            id: read.id,
            expect: read.version,
            changed: vec![changed],
            fields: wanted.to_fields(),
            scope: None,
            marker: None,
            raw: read.raw,
        };
        let written = t.connector.update(&[patch]).await.expect("answered").remove(0).expect("updated");
        let after = t.connector.get(std::slice::from_ref(&id)).await.expect("read").remove(0).expect("there");
        assert_eq!(written.shown.as_ref(), Some(&after.fields));
        let said = Task::from_fields(&after.fields).expect("readable");
        assert!(said.status == wanted.status && said.due == wanted.due);
        assert_eq!(said.completed_at.is_some(), wanted.status == Status::Done);
    }
}

#[tokio::test]
async fn a_list_that_is_gone_is_said_and_is_no_deletion_of_its_tasks() {
    let t = tasks();
    let list = t.fake.user_makes_task_list(ACCOUNT, "Sell");
    let connector = open(&t.fake, &t.clock, &list);
    let (_, cursor) = t.drain(&connector, None).await;
    t.fake.user_deletes_task_list(ACCOUNT, &list);
    let refusal = connector.changes(Some(&cursor)).await.expect_err("gone");
    assert_eq!(refusal.kind, ErrorKind::Forbidden);
    let refusal = connector.get(&[RemoteId::new("a")]).await.expect_err("gone");
    assert!(refusal.detail.contains("choose another"), "{}", refusal.detail);
}

#[tokio::test]
async fn whatever_is_asked_and_answered_is_in_googles_own_list_and_in_our_scopes() {
    let t = tasks();
    let recorder = Recorder::of(t.fake.authorised(ACCOUNT));
    let clock = Arc::clone(&t.clock) as Arc<_>;
    let google =
        GoogleTasks::new(Arc::clone(&recorder) as Arc<_>, clock, GoogleConfig::default(), ContainerId::new("@default"))
            .with_page_size(1);
    google.choices().await.expect("listed");
    let made = google.create(&[draft(1), draft(2)]).await.expect("made");
    let ids: Vec<RemoteId> = made.into_iter().map(|one| one.expect("made").id).collect();
    let (_, cursor) = t.drain(&google, None).await;
    google.find_made(&[draft(1)]).await.expect("found");
    let read = google.get(&ids).await.expect("read").remove(0).expect("there");
    let patch = Patch {
        id: read.id,
        expect: read.version,
        changed: field::ALL.to_vec(),
        fields: sample(3).to_fields(),
        scope: None,
        marker: None,
        raw: read.raw,
    };
    let written = google.update(&[patch]).await.expect("answered").remove(0).expect("updated");
    google.delete(&[Deletion { id: written.id, expect: written.version }]).await.expect("answered");
    t.drain(&google, Some(&cursor)).await;
    assert!(google.get(&[RemoteId::new("missing")]).await.expect("read")[0].is_none());
    let facts = Facts::read(include_str!("../facts/tasks.json"));
    let mut methods = std::collections::BTreeSet::new();
    for exchange in recorder.take() {
        let id = facts.check(&exchange);
        let scopes = facts.0["methods"][id]["scopes"].as_array().expect("scopes");
        let ours = SCOPES_FOR_TASKS.map(|scope| scope.rsplit('/').next().expect("a name"));
        assert!(scopes.iter().any(|scope| ours.iter().any(|our| scope == our)), "{id}");
        methods.insert(id.trim_start_matches("tasks.").to_owned());
    }
    let wanted = ["delete", "get", "insert", "list", "patch", "tasklists.get", "tasklists.list"];
    assert!(methods.iter().eq(wanted), "{methods:?}");
}
