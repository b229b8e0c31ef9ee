//! Webhooks: registered by the API below an address of ours, whose last part is the secret.
mod facts;

use bytes::Bytes;
use facts::Recorder;
use http::Request;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tandem_core::calendar::Activity;
use tandem_ports::error::ErrorKind;
use tandem_ports::infra::Clock;
use tandem_ports::push::{Order, Push};
use tandem_teamleader::fake::{Edit, FakeTeamleader, Fault};
use tandem_teamleader::push::{OF_CONTACTS, of_calendar};
use tandem_teamleader::{TeamleaderConfig, TeamleaderPush};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";
const HOOK: &str = "https://tandem.example/webhooks/teamleader";
const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

struct World {
    fake: Arc<FakeTeamleader>,
    clock: Arc<ManualClock>,
    recorder: Arc<Recorder>,
    push: TeamleaderPush,
}

fn world(types: &[&'static str]) -> World {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeTeamleader::new(clock.clone()).shared();
    let recorder = Arc::new(Recorder { inner: fake.authorised(ACCOUNT), seen: Mutex::default() });
    let (config, hook) = (TeamleaderConfig::default(), HOOK.to_owned());
    let push = TeamleaderPush::new(recorder.clone(), clock.clone(), config, types.to_vec(), hook);
    World { fake, clock, recorder, push }
}

impl World {
    async fn open(&self, id: &str) {
        let order = Order { id, token: TOKEN, until: self.clock.now() };
        let opened = self.push.open(&self.push.targets()[0], &order).await.expect("registered");
        assert_eq!((opened.resource.as_str(), opened.until), ("", None), "it has no id and no end");
    }
    async fn others_register(&self, url: &str) {
        let body = json!({"url": url, "types": ["contact.added"]}).to_string();
        let request = Request::post("https://api.focus.teamleader.eu/webhooks.register").body(Bytes::from(body));
        let answer = self.fake.authorised(ACCOUNT).send(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 204);
    }
    fn urls(&self) -> Vec<String> {
        let all = self.fake.webhooks(ACCOUNT);
        let url = |one: &Value| one["url"].as_str().expect("an address").to_owned();
        all.as_array().expect("a list").iter().map(url).collect()
    }
}

#[tokio::test]
async fn what_is_asked_is_in_the_specification_for_every_kind() {
    for types in [OF_CONTACTS.to_vec(), of_calendar(&Activity::ALL)] {
        let world = world(&types);
        world.open("123456789012345678").await;
        assert_eq!(world.urls(), [format!("{HOOK}/123456789012345678-{TOKEN}")]);
        assert_eq!(world.fake.webhooks(ACCOUNT)[0]["types"], json!(types));
        world.push.close("account", "123456789012345678", "").await.unwrap();
        let asked = facts::in_the_list(&world.recorder.seen.lock().unwrap());
        assert_eq!(Vec::from_iter(asked), ["webhooks.list", "webhooks.register", "webhooks.unregister"]);
    }
}

#[tokio::test]
async fn only_our_own_webhook_is_taken_back() {
    let world = world(OF_CONTACTS);
    for others in ["https://other.example/hook", &format!("{HOOK}/1234567890123456789-x"), HOOK] {
        world.others_register(others).await;
    }
    let before = world.urls();
    world.open("123456789012345678").await;
    world.open("876543210987654321").await;
    world.push.close("account", "123456789012345678", "").await.unwrap();
    assert_eq!(world.urls().len(), before.len() + 1, "the other one of ours stays, too");
    world.push.close("account", "876543210987654321", "").await.unwrap();
    assert_eq!(world.urls(), before);
    world.push.close("account", "876543210987654321", "").await.unwrap();
    assert_eq!(world.urls(), before, "one that is gone has ended");
}

#[tokio::test]
async fn what_the_user_does_is_told_to_those_who_asked_for_it() {
    let world = world(OF_CONTACTS);
    let fields = json!({"last_name": "Peeters"}).as_object().cloned().unwrap();
    world.fake.user_creates(ACCOUNT, Edit { fields: fields.clone(), ..Edit::default() });
    assert!(world.fake.take_notifications().is_empty(), "nobody asked");
    world.open("123456789012345678").await;
    let id = world.fake.user_creates(ACCOUNT, Edit { fields: fields.clone(), ..Edit::default() });
    world.fake.user_edits(ACCOUNT, &id, Edit { fields, ..Edit::default() });
    let company = world.fake.user_creates_company(ACCOUNT, json!({"name": "Acme"}).as_object().unwrap());
    world.fake.user_edits_company(ACCOUNT, &company, json!({"name": "Acme 2"}).as_object().unwrap());
    world.fake.user_schedules(
        ACCOUNT,
        json!({"title": "Lunch", "starts_at": "2026-02-01T12:00:00+01:00",
        "ends_at": "2026-02-01T13:00:00+01:00"})
        .as_object()
        .unwrap(),
    );
    world.fake.user_deletes(ACCOUNT, &id);
    let told = world.fake.take_notifications();
    let said: Vec<Value> = told.iter().map(|one| serde_json::from_str(&one.body).unwrap()).collect();
    let types: Vec<&str> = said.iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["contact.added", "contact.updated", "company.updated", "contact.deleted"]);
    assert_eq!(said[0]["subject"], json!({"type": "contact", "id": id}));
    assert!(told.iter().all(|one| one.url.ends_with(TOKEN)));
}

#[tokio::test]
async fn a_refusal_is_said_as_what_it_is() {
    let world = world(OF_CONTACTS);
    let order = Order { id: "1", token: TOKEN, until: world.clock.now() };
    for (fault, kind) in [(Fault::Forbidden, ErrorKind::Forbidden), (Fault::ServerError, ErrorKind::Retryable)] {
        world.fake.inject(&[fault]);
        let refused = world.push.open(&world.push.targets()[0], &order).await.unwrap_err();
        assert_eq!(refused.kind, kind);
        assert!(!format!("{refused} {refused:?}").contains(TOKEN), "an error tells no secret");
    }
    world.fake.revoke(ACCOUNT);
    let refused = world.push.open(&world.push.targets()[0], &order).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::AuthRevoked);
}
