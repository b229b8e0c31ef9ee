//! Google's APIs as far as Tandem asks them, and its OAuth server in memory, over the real HTTP surface: the same requests, answers, pages,
//! tokens, etags and refusals. As strict as Google or stricter, never kinder. No wall clock, no randomness.
mod calendar;
mod control;
mod drive;
mod gmail;
mod groups;
mod keys;
mod oauth;
mod outbox;
mod people;
mod schema;
mod state;
mod tasks;

pub use calendar::{Mails, Notification};
pub use control::Edit;
pub use drive::{DriveFile, DriveNotification};
pub use state::{BatchRefusal, EventLists, Fallen, Fault, Settings};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use state::{Call, State};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tandem_ports::infra::{Clock, HttpTransport, TransportError};

/// The provider. Send it requests by [`FakeGoogle::handle`] or as an [`HttpTransport`].
pub struct FakeGoogle {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

/// Its name from when it held people alone.
pub type FakePeople = FakeGoogle;

/// A refusal in Google's form.
struct Refusal {
    code: u16,
    status: &'static str,
    message: String,
    reason: Option<&'static str>,
    retry_after: Option<u64>,
}

type Answer = Result<Value, Refusal>;

impl Refusal {
    fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), reason: None, retry_after: None }
    }
    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }
    fn missing() -> Self {
        Self::new(404, "NOT_FOUND", "Requested entity was not found.")
    }
    fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }
    /// `google.rpc.Status` of one item of a batch.
    fn item_status(&self) -> Value {
        let code = match self.status {
            "INVALID_ARGUMENT" => 3,
            "NOT_FOUND" => 5,
            "FAILED_PRECONDITION" => 9,
            _ => 2,
        };
        json!({"code": code, "message": self.message})
    }
    fn into_response(self) -> Response<Bytes> {
        let mut error = json!({"code": self.code, "message": self.message, "status": self.status});
        if let Some(reason) = self.reason {
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "people.googleapis.com",
            }]);
        }
        let mut response = json_response(self.code, &json!({"error": error}));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        response
    }
}

fn json_response(status: u16, body: &Value) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=UTF-8")
        .body(Bytes::from(body.to_string()))
        .expect("fixed header names and a status in range")
}

/// A request taken apart.
struct Asked {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Asked {
    fn of(request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let path = parts.uri.path().replace("%2F", "/").replace("%3A", ":");
        Self { method: parts.method, path, query, headers: parts.headers, body }
    }
    fn copied(&self) -> Self {
        Self {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        }
    }
    fn one(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }
    fn all(&self, name: &str) -> Vec<String> {
        self.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }
    fn bearer(&self) -> Option<&str> {
        self.headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
    }
    fn json(&self) -> Answer {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body).map_err(|_| Refusal::invalid("Invalid JSON payload received."))
    }
    fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

impl FakeGoogle {
    /// An empty provider, whose time comes from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::new(State::default()), clock }
    }

    /// What [`FakeGoogle::save`] gave.
    pub fn load(clock: Arc<dyn Clock>, saved: &str) -> Result<Self, serde_json::Error> {
        Ok(Self { state: Mutex::new(serde_json::from_str(saved)?), clock })
    }

    /// Everything it holds, as JSON.
    pub fn save(&self) -> String {
        serde_json::to_string(&*self.locked()).expect("string keys and plain values are JSON")
    }

    /// Grows with every change of the state.
    pub fn revision(&self) -> u64 {
        self.locked().seq
    }

    /// How long an answer should be held back.
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.locked().settings.latency_ms)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }

    /// Answers a request; `None` means that the connection broke before an answer came.
    pub fn handle(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let asked = Asked::of(request);
        let mut state = self.locked();
        state.now_ms = self.clock.now().as_millisecond() + state.settings.clock_offset_ms;
        if let Some(rest) = asked.path.strip_prefix("/_sim/google/") {
            return Some(control::answer(&mut state, &asked, rest));
        }
        if let Some(response) = oauth::answer(&mut state, &asked) {
            return Some(response);
        }
        if calendar::is_asked(&asked) {
            return calendar::answer(&mut state, &asked);
        }
        if gmail::is_asked(&asked) {
            return gmail::answer(&mut state, &asked);
        }
        if tasks::is_asked(&asked) {
            return tasks::answer(&mut state, &asked);
        }
        if drive::is_asked(&asked) {
            return drive::handle(&mut state, &asked);
        }
        state.log(Call { method: asked.method.to_string(), path: asked.path.clone(), writes: 0 });
        let fault = state.take_fault();
        match fault {
            Some(Fault::LoseRequest) => return None,
            Some(Fault::LoseAnswer) => {
                drop(api(&mut state, &asked));
                return None;
            }
            Some(Fault::Pass) | None => {}
            Some(fault) => return Some(fault.refusal().into_response()),
        }
        Some(match api(&mut state, &asked) {
            Ok(body) => json_response(200, &body),
            Err(refusal) => refusal.into_response(),
        })
    }

    /// A transport that is already authorised for this account, as the engine's is.
    pub fn authorised(self: &Arc<Self>, account: &str) -> Arc<dyn HttpTransport> {
        self.authorised_for(account, &[])
    }

    /// The same with these scopes alone; without any, with all.
    pub fn authorised_for(self: &Arc<Self>, account: &str, scopes: &[&str]) -> Arc<dyn HttpTransport> {
        let token = self.locked().mint(account, scopes.iter().map(|scope| (*scope).to_owned()).collect());
        Arc::new(Authorised { fake: Arc::clone(self), token })
    }
}

impl Fault {
    fn refusal(self) -> Refusal {
        match self {
            Fault::ServerError => Refusal::new(500, "INTERNAL", "Internal error encountered."),
            Fault::Unavailable => Refusal::new(503, "UNAVAILABLE", "The service is currently unavailable."),
            Fault::Throttle { retry_after } => {
                Refusal { retry_after, ..state::over_quota("Critical read requests (Contact and Profile Reads)") }
            }
            Fault::Forbidden => {
                Refusal::new(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
                    .because("ACCESS_TOKEN_SCOPE_INSUFFICIENT")
            }
            Fault::Pass | Fault::LoseAnswer | Fault::LoseRequest => {
                Refusal::new(500, "INTERNAL", "The connection broke.")
            }
        }
    }
}

/// The People API proper.
fn api(state: &mut State, asked: &Asked) -> Answer {
    let account = state.authorise(asked.bearer())?;
    let method = schema::method_of(&asked.method, &asked.path).ok_or_else(Refusal::missing)?;
    method.check_query(&asked.query)?;
    let body = asked.json()?;
    method.check_body(&body)?;
    state.count_quota(&account, method.id)?;
    let id = |prefix: &str, suffix: &str| {
        let rest = asked.path.trim_start_matches("/v1/").strip_suffix(suffix).unwrap_or_default();
        if rest.starts_with(prefix) { rest.to_owned() } else { String::new() }
    };
    match method.id {
        "people.people.connections.list" => people::list(state, &account, asked),
        "people.people.get" => people::get(state, &account, asked, &id("people/", "")),
        "people.people.getBatchGet" => people::batch_get(state, &account, asked),
        "people.people.createContact" => people::create_one(state, &account, asked, &body),
        "people.people.updateContact" => {
            people::update_one(state, &account, asked, &id("people/", ":updateContact"), &body)
        }
        "people.people.deleteContact" => people::delete_one(state, &account, &id("people/", ":deleteContact")),
        "people.people.batchCreateContacts" => people::batch_create(state, &account, &body),
        "people.people.batchUpdateContacts" => people::batch_update(state, &account, &body),
        "people.people.batchDeleteContacts" => people::batch_delete(state, &account, &body),
        "people.contactGroups.list" => groups::list(state, &account, asked),
        "people.contactGroups.get" => groups::get(state, &account, asked, &id("contactGroups/", "")),
        "people.contactGroups.batchGet" => groups::batch_get(state, &account, asked),
        "people.contactGroups.create" => groups::create(state, &account, &body),
        "people.contactGroups.update" => groups::update(state, &account, &id("contactGroups/", ""), &body),
        "people.contactGroups.delete" => groups::delete(state, &account, asked, &id("contactGroups/", "")),
        "people.contactGroups.members.modify" => {
            groups::modify(state, &account, &id("contactGroups/", "/members:modify"), &body)
        }
        _ => Err(Refusal::missing()),
    }
}

/// The paths of a field mask, each of which must be one of `valid`.
fn mask_of(text: &str, valid: &[String], what: &str) -> Result<Vec<String>, Refusal> {
    let paths: Vec<String> = text.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect();
    match paths.iter().find(|path| !valid.contains(path)) {
        Some(path) => Err(Refusal::invalid(format!("Invalid {what} mask path: \"{path}\"."))),
        None => Ok(paths),
    }
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn text_of<'a>(object: &'a serde_json::Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[async_trait]
impl HttpTransport for FakeGoogle {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.handle(request).ok_or(TransportError::Lost { host, source: None })
    }
}

struct Authorised {
    fake: Arc<FakeGoogle>,
    token: String,
}

#[async_trait]
impl HttpTransport for Authorised {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let value = format!("Bearer {}", self.token).parse().expect("tokens of ours are plain ASCII");
        request.headers_mut().insert("authorization", value);
        self.fake.send(request).await
    }
}
