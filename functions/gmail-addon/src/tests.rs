//! The bar under a mail, from Google's request to its answer: the real engine, the built-in CRM and Gmail in memory.
mod cards;
mod shape;
mod tokens;

use crate::access::Addon;
use crate::handler::routes;
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_builtin::users::{NewUser, Role, User, Users};
use tandem_builtin::{BuiltinMail, Crm, Kind as CrmKind, Query, Record};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::record::{ConnectionId, SyncId, UserId};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, MailPorts, Opening};
use tandem_google::fake::FakeGoogle;
use tandem_google::{GoogleConfig, GoogleMail};
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::infra::{Clock, Kind};
use tandem_ports::table::Table;
use tandem_runtime::{AddonConfig, Oidc};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::sync::{Sync, SyncState};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;
use tower::ServiceExt as _;

const PUBLIC: &str = "https://tandem.example";
const ROBOT: &str = "addon@gcp-sa-gsuiteaddons.iam.gserviceaccount.com";
const CLIENT: &str = "1234.apps.googleusercontent.com";
/// Whose mailbox it is, and Google's id of the account.
const JAN: &str = "jan@acme.example";
const JAN_ID: &str = "100000000000000000001";
/// A colleague on the same installation.
const AN: &str = "an@other.example";
const AN_ID: &str = "100000000000000000002";

struct Open {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    google: Arc<FakeGoogle>,
}

#[async_trait]
impl Connectors for Open {
    async fn open(&self, _ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        Err(ConnectorError::new("test", "open", ErrorKind::Forbidden, "only mail here"))
    }

    async fn open_mail(&self, crm: Opening<'_>, remote: Opening<'_>) -> Result<MailPorts, ConnectorError> {
        let address = &remote.connection.account.email;
        let source = GoogleMail::new(self.google.authorised(address), GoogleConfig::default(), address);
        let (account, user) = (&crm.connection.account.id, crm.connection.user.as_str());
        let desk = BuiltinMail::open(self.table.clone(), self.clock.clone(), account, user).await?;
        Ok(MailPorts { desk: Arc::new(desk), source: Arc::new(source) })
    }
}

/// An installation with two users, each with a CRM and a mailbox of their own.
struct World {
    clock: Arc<ManualClock>,
    google: Arc<FakeGoogle>,
    table: Arc<MemoryTable>,
    queue: Arc<MemoryQueue>,
    store: Store,
    crm: Crm,
    jan: User,
    an: User,
    engine: Engine,
    routes: Router,
}

async fn world() -> World {
    world_with(Some(AddonConfig { service_account: ROBOT.to_owned(), client_id: CLIENT.to_owned() })).await
}

async fn world_with(config: Option<AddonConfig>) -> World {
    let clock = Arc::new(ManualClock::default());
    let google = FakeGoogle::new(clock.clone()).shared();
    let table = Arc::new(MemoryTable::default());
    let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
    let store = Store::new(table.clone());
    let open = Open { table: table.clone(), clock: clock.clone(), google: google.clone() };
    let (secrets, settings) = (Arc::new(MemorySecrets), EngineConfig::default());
    let engine = Engine::new(store.clone(), queue.clone(), clock.clone(), secrets, Arc::new(open), settings);
    let tokens = Oidc::new(google.clone(), clock.clone(), "https://www.googleapis.com");
    let routes = routes(Arc::new(Addon::new(engine.clone(), tokens, config, PUBLIC)));
    let users = Users::new(table.clone(), clock.clone());
    let mut made = Vec::new();
    for (account, email) in [("acme", JAN), ("other", AN)] {
        let new = NewUser { account, email, name: "Somebody", role: Role::Administrator };
        made.push(users.create(new).await.unwrap());
    }
    let (an, jan) = (made.pop().unwrap(), made.pop().unwrap());
    let crm = Crm::new(table.clone(), clock.clone());
    let world = World { clock, google, table, queue, store, crm, jan, an, engine, routes };
    world.connect("jan", &world.jan, ("acme", JAN, JAN_ID)).await;
    world.connect("an", &world.an, ("other", AN, AN_ID)).await;
    world
}

impl World {
    async fn connect(&self, id: &str, user: &User, (crm, address, subject): (&str, &str, &str)) {
        let user = UserId::new(&user.id);
        let ids = [format!("crm-{id}"), format!("google-{id}")].map(ConnectionId::new);
        for (at, (provider, account, email)) in
            [("builtin", crm, ""), ("google", subject, address)].into_iter().enumerate()
        {
            let account = Account { id: account.to_owned(), name: String::new(), email: email.to_owned() };
            let new = Connection::new(ids[at].clone(), user.clone(), provider, self.clock.now());
            let connection = Connection { account, state: ConnectionState::Connected, ..new };
            self.store.create_connection(&connection).await.unwrap();
        }
        let [crm, remote] = ids;
        let sync = Sync {
            id: SyncId::new(id),
            user,
            profile: "teamleader-gmail".to_owned(),
            kind: Kind::Mail,
            crm,
            remote,
            settings: Map::new(),
            enabled: true,
            state: SyncState::Idle,
            reason: None,
            current_run: None,
            last_run: None,
            next_due_at: Some(self.clock.now()),
            fingerprint_key: FingerprintKey::new(format!("a key of 32 bytes, and it is {id}'s")),
            created_at: self.clock.now(),
            settings_version: 0,
        };
        self.store.create_sync(&sync).await.unwrap();
    }

    fn system_token(&self, endpoint: &str) -> String {
        self.google.id_token(&format!("{PUBLIC}/gmail-addon/{endpoint}"), ROBOT)
    }

    fn user_token(&self, subject: &str) -> String {
        self.google.id_token_with(CLIENT, JAN, &json!({ "sub": subject }))
    }

    /// Jan presses or opens something.
    async fn jan_asks(&self, endpoint: &str, event: Value) -> Value {
        let (status, answer) = self.asks(endpoint, &self.system_token(endpoint), JAN_ID, event).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    async fn asks(&self, endpoint: &str, system: &str, subject: &str, mut event: Value) -> (StatusCode, Value) {
        event["authorizationEventObject"] = json!({"userIdToken": self.user_token(subject)});
        self.sends(endpoint, system, event.to_string()).await
    }

    async fn sends(&self, endpoint: &str, system: &str, body: String) -> (StatusCode, Value) {
        let request = Request::post(format!("/gmail-addon/{endpoint}"));
        let request = request.header("authorization", format!("Bearer {system}")).body(Body::from(body)).unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// A mail comes to Jan; answers its id as the event has it.
    fn mail(&self, from: &str, to: &str, subject: &str, labels: &[&str]) -> Value {
        let raw =
            format!("Message-ID: <{subject}@x>\r\nFrom: {from}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHello\r\n");
        let id = self.google.mail_arrives(JAN, raw.as_bytes(), labels);
        let number = u64::from_str_radix(&id, 16).unwrap();
        json!({"gmail": {"messageId": format!("msg-f:{number}")}})
    }

    async fn contact(&self, user: &User, last: &str, email: &str) -> String {
        let contact = json!({"first_name": "Piet", "last_name": last, "emails": [{"type": "work", "value": email}]});
        let contact = contact.as_object().unwrap();
        self.crm.create(user, CrmKind::Contact, contact).await.unwrap().id
    }

    async fn all(&self, user: &User, kind: CrmKind) -> Vec<Value> {
        let page = self.crm.list(user, kind, &Query::default()).await.unwrap();
        page.items.iter().map(Record::to_json).collect()
    }

    /// The jobs that were started are worked on, as the worker does.
    async fn settle(&self) {
        for _ in 0..50 {
            while let Some(job) = self.queue.take(0) {
                let budget = Budget::of(self.clock.clone(), Duration::from_secs(50));
                self.engine.work(&job, &budget).await.unwrap();
            }
            self.clock.advance(Duration::from_secs(60));
        }
    }
}

/// The card of an answer, whichever way it is shown.
fn card_of(answer: &Value) -> &Value {
    let ways = ["/action/navigations/0/pushCard", "/renderActions/action/navigations/0/updateCard"];
    ways.iter().find_map(|way| answer.pointer(way)).unwrap_or_else(|| panic!("no card: {answer}"))
}

fn said(answer: &Value) -> &str {
    answer.pointer("/renderActions/action/notification/text").and_then(Value::as_str).unwrap_or_default()
}

/// Every button of a card: what it says, where it goes, whom it is about.
fn buttons(value: &Value) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    match value {
        Value::Object(map) => {
            if let Some(action) = map.get("onClick").and_then(|click| click.get("action")) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let whom = action["parameters"].pointer("/0/value").map(text).unwrap_or_default();
                found.push((text(&map["text"]), text(&action["function"]), whom));
            }
            found.extend(map.values().flat_map(buttons));
        }
        Value::Array(all) => found.extend(all.iter().flat_map(buttons)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

/// An event of the compose window.
fn draft(recipients: &[&str], whom: Option<&str>) -> Value {
    let mut event = json!({"gmail": {"toRecipients": recipients}});
    if let Some(whom) = whom {
        event["commonEventObject"] = json!({"parameters": {"whom": whom}});
    }
    event
}
