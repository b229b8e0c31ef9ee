//! The whole router over the ports in memory, with Google's fake as the provider.
mod api;
mod calendars;
mod described;
mod mapping;
mod people;
mod sync;

use crate::admin::{self, AdminRequest};
use crate::router::router;
use crate::state::AppState;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_builtin::BuiltinCalendar;
use tandem_builtin::contacts::{BuiltinContacts, Carry, Options};
use tandem_builtin::files::{BuiltinFiles, FileOptions};
use tandem_core::normalise::Region;
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening};
use tandem_google::auth::{SCOPE_CONTACTS, endpoints};
use tandem_google::fake::FakePeople;
use tandem_google::{ChosenCalendars, GoogleCalendars, GoogleConfig, GoogleContacts};
use tandem_http::{ApiOrigins, Authority, Connect, OAuthClient, OAuthProvider};
use tandem_ports::connector::Connector;
use tandem_ports::error::ConnectorError;
use tandem_ports::files::FileSide;
use tandem_ports::infra::{Clock, HttpTransport, JobQueue, Secrets, TransportError};
use tandem_ports::oauth::{Holders, Identity, OAuthEndpoints};
use tandem_ports::table::Table;
use tandem_store::Store;
use tandem_testkit::blobs::MemoryBlobs;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;
use tandem_zoho::ZohoContacts;
use tandem_zoho::fake::FakeZoho;
use tower::ServiceExt as _;

const PUBLIC_URL: &str = "https://tandem.test";
const GOOGLE: &str = "http://google.test";
const ZOHO_USER: &str = "jan@example.com";

struct World {
    state: AppState,
    router: Router,
    google: Arc<FakePeople>,
    zoho: Arc<FakeZoho>,
    queue: Arc<MemoryQueue>,
    clock: Arc<ManualClock>,
}

/// A user's bearer token.
#[derive(Clone)]
struct Token(String);

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn error(&self) -> (u16, &str, &str) {
        let text = |name: &str| self.body["error"][name].as_str().unwrap_or_default();
        (self.status.as_u16(), text("code"), text("field"))
    }
    fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

fn google(config: &GoogleConfig) -> OAuthProvider {
    OAuthProvider {
        name: "google".into(),
        title: "Google".into(),
        endpoints: endpoints(config, &["contacts", "calendar", "files", "mail"]),
        client: Some(OAuthClient { id: "client".into(), secret: "secret".into() }),
        api_origins: ApiOrigins::Configured,
        personal_token_length: None,
    }
}

/// A provider of personal tokens that this installation has no client for.
fn sell() -> OAuthProvider {
    let at_sell = OAuthEndpoints {
        api_url: "http://sell.test".into(),
        whoami: |at, _| http::Request::get(format!("{}/me", at.api_url)).body(bytes::Bytes::new()).unwrap(),
        identity: |body| Some(Identity { id: String::from_utf8(body.to_vec()).ok()?, ..Identity::default() }),
        ..endpoints(&GoogleConfig::at("http://sell.test"), &["contacts"])
    };
    OAuthProvider {
        name: "sell".into(),
        title: "Zendesk Sell".into(),
        endpoints: at_sell,
        client: None,
        personal_token_length: Some(64),
        ..google(&GoogleConfig::at(GOOGLE))
    }
}

/// A provider whose accounts have one folder for us, which this installation has no client for.
fn dropbox() -> OAuthProvider {
    let config = GoogleConfig::at("http://dropbox.test");
    OAuthProvider {
        name: "dropbox".into(),
        title: "Dropbox".into(),
        endpoints: OAuthEndpoints { holders: Holders::One, ..endpoints(&config, &["files"]) },
        client: None,
        ..google(&config)
    }
}

/// Google's fake, and a Sell that knows one token.
struct Providers(Arc<FakePeople>);

#[async_trait]
impl HttpTransport for Providers {
    async fn send(&self, request: http::Request<bytes::Bytes>) -> Result<http::Response<bytes::Bytes>, TransportError> {
        if request.uri().host() != Some("sell.test") {
            return self.0.send(request).await;
        }
        let good = request.headers()["authorization"] == format!("Bearer {}", "a".repeat(64)).as_str();
        let answer = http::Response::builder().status(if good { 200 } else { 401 });
        Ok(answer.body(bytes::Bytes::from("seller-1")).unwrap())
    }
}

struct Opened {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    authority: Authority,
    zoho: Arc<FakeZoho>,
}

#[async_trait]
impl Connectors for Opened {
    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let container = ask.container.cloned();
        if let Some(calendar) = &ask.settings.calendar {
            let (account, user) = (&ask.connection.account, ask.connection.user.as_str());
            if ask.connection.provider == "builtin" {
                let (table, clock) = (self.table.clone(), self.clock.clone());
                return Ok(Arc::new(BuiltinCalendar::open(table, clock, &account.id, user).await?));
            }
            let config = GoogleConfig::at(GOOGLE);
            let transport = self.authority.acting_for(&Arc::new(google(&config)), &ask.connection.id);
            let chosen = ChosenCalendars::chosen(calendar, &account.email);
            return Ok(Arc::new(GoogleCalendars::new(transport, config, &chosen)));
        }
        if ask.connection.provider == "google" {
            let config = GoogleConfig::at(GOOGLE);
            let transport = self.authority.acting_for(&Arc::new(google(&config)), &ask.connection.id);
            return Ok(Arc::new(GoogleContacts::new(transport, config, container, Region::none())));
        }
        if ask.connection.provider == "zoho" {
            let options =
                tandem_zoho::Options { container, carry: tandem_core::contact::Carry::Name, region: Region::none() };
            let (transport, api) = (self.zoho.authorised(ZOHO_USER), "https://www.zohoapis.eu".to_owned());
            return Ok(Arc::new(ZohoContacts::new(transport, self.clock.clone(), api, options)));
        }
        let options = Options { container, carry: Carry::NameAndPhone, region: Region::none() };
        let (account, user) = (&ask.connection.account.id, ask.connection.user.as_str());
        Ok(Arc::new(BuiltinContacts::open(self.table.clone(), self.clock.clone(), account, user, options).await?))
    }

    async fn open_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        let files = ask.settings.files.as_ref().unwrap();
        let options = FileOptions { modules: files.modules.clone(), records: files.records.clone() };
        let (table, clock, blobs) = (self.table.clone(), self.clock.clone(), Arc::new(MemoryBlobs::default()));
        let who = (ask.connection.account.id.as_str(), ask.connection.user.as_str());
        Ok(Arc::new(BuiltinFiles::open(table, clock, blobs, who, options).await?))
    }
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let table: Arc<dyn Table> = Arc::new(MemoryTable::default());
        let secrets: Arc<dyn Secrets> = Arc::new(MemorySecrets);
        let store = Store::new(table.clone());
        let google_fake = FakePeople::new(clock.clone()).shared();
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
        let transport: Arc<dyn HttpTransport> = Arc::new(Providers(google_fake.clone()));
        let authority = Authority::new(transport, store.clone(), secrets.clone(), clock.clone());
        let zoho = FakeZoho::new(clock.clone()).shared();
        let opened =
            Opened { table: table.clone(), clock: clock.clone(), authority: authority.clone(), zoho: zoho.clone() };
        let (jobs, connectors): (Arc<dyn JobQueue>, Arc<dyn Connectors>) = (queue.clone(), Arc::new(opened));
        let engine = Engine::new(store.clone(), jobs, clock.clone(), secrets, connectors, EngineConfig::default());
        let connect = Connect::new(authority, vec![google(&GoogleConfig::at(GOOGLE)), sell(), dropbox()], PUBLIC_URL);
        let state = AppState::new(store, engine, connect, table, clock.clone(), PUBLIC_URL);
        Self { router: router(state.clone()), state, google: google_fake, zoho, queue, clock }
    }

    async fn user(&self, email: &str) -> Token {
        let request = json!({"create_user": {"email": email, "name": "An", "admin": true}});
        let request: AdminRequest = serde_json::from_value(request).unwrap();
        let answer = serde_json::to_value(admin::answer(&self.state, request).await.unwrap()).unwrap();
        Token(answer["token"].as_str().unwrap().to_owned())
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, token: &Token, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.0));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.body(body).unwrap()).await
    }

    async fn get(&self, token: &Token, path: &str) -> Answer {
        self.call(token, "GET", path, Value::Null).await
    }

    /// What a browser does with an address of the provider: follows it, and is sent back.
    fn consent(&self, authorize_url: &str) -> String {
        let request = Request::get(authorize_url).body(bytes::Bytes::new()).unwrap();
        let answer = self.google.handle(request).unwrap();
        let back = answer.headers()["location"].to_str().unwrap();
        back.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("sent to {back}")).to_owned()
    }

    async fn browse(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Both connections of a user, as ids: CRM and Google.
    async fn connections(&self, token: &Token) -> (String, String) {
        let crm = self.call(token, "POST", "/v1/connections", json!({"provider": "builtin"})).await.text("id");
        let begun = self.call(token, "POST", "/v1/connections", json!({"provider": "google"})).await;
        let back = self.browse(&self.consent(&begun.text("authorize_url"))).await;
        assert_eq!((back.status, back.header("location")), (StatusCode::SEE_OTHER, "/?connected=google"));
        (crm, begun.text("id"))
    }

    async fn sync(&self, token: &Token) -> String {
        let (crm, remote) = self.connections(token).await;
        let body = json!({"profile": "teamleader-google-contacts", "crm": crm, "remote": remote});
        self.call(token, "POST", "/v1/syncs", body).await.text("id")
    }

    /// Does what waits in the queue, as the worker would.
    async fn work(&self) {
        for _ in 0..100 {
            if let Some(job) = self.queue.take(0) {
                let clock: Arc<dyn Clock> = self.clock.clone();
                let budget = Budget::of(clock, Duration::from_secs(60));
                self.state.engine.work(&job, &budget).await.unwrap();
            } else if let Some(at) = self.queue.next_at() {
                self.clock.set(at);
            } else {
                return;
            }
        }
        panic!("the queue does not come to rest");
    }
}
