//! Sell's Core, Sync and Firehose API and its OAuth server in memory, over the real HTTP surface. No wall clock, no randomness.
mod check;
mod control;
mod core;
mod documents;
mod oauth;
mod others;
mod state;
mod stream;
mod sync;

pub use state::{Client, Fault, Forgotten, Settings, Shown, Tombstones};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value as Json, json};
use state::{Call, State};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tandem_ports::infra::{Clock, HttpTransport, TransportError};

/// The provider. Send it requests by [`FakeSell::handle`] or as an [`HttpTransport`].
pub struct FakeSell {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

/// A refusal in Sell's envelope.
struct Refusal {
    status: u16,
    code: &'static str,
    /// The resource and the JSON pointer of its attribute.
    about: Option<(&'static str, String)>,
    details: String,
    retry_after: Option<u64>,
}

type Answer = Result<(u16, Json), Refusal>;

impl Refusal {
    fn new(status: u16, code: &'static str) -> Self {
        Self { status, code, about: None, details: code.replace('_', " "), retry_after: None }
    }
    fn of_field(resource: &'static str, field: &str, code: &'static str) -> Self {
        let details = format!("The attribute '/{field}' of the '{resource}' resource: {}.", code.replace('_', " "));
        Self { about: Some((resource, format!("/{field}"))), details, ..Self::new(422, code) }
    }
    fn of_parameter(name: &str) -> Self {
        let details = format!("The parameter '{name}' is malformed, missing or has an invalid value");
        Self { details, ..Self::new(400, "invalid_param") }
    }
    fn missing() -> Self {
        Self::new(404, "not_found")
    }
    fn into_response(self, request: &str) -> Response<Bytes> {
        let mut error = json!({"code": self.code, "message": self.code.replace('_', " "), "details": self.details});
        if let Some((resource, field)) = self.about {
            error["field"] = json!(field);
            error["resource"] = json!(resource);
        }
        let more = json!({"more_info": "https://developers.getbase.com/docs/rest/articles/errors"});
        let status = http::StatusCode::from_u16(self.status).map_or_else(|_| String::new(), |s| s.to_string());
        let meta = json!({"type": "errors", "http_status": status, "logref": request, "links": more});
        let body = json!({"errors": [{"error": error, "meta": {"type": "error", "links": more}}], "meta": meta});
        let mut response = json_response(self.status, &body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        response
    }
}

/// A `null` body is an empty one.
fn json_response(status: u16, body: &Json) -> Response<Bytes> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let mut builder = Response::builder().status(status);
    if !body.is_null() {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(Bytes::from(text)).expect("fixed header names and a status in range")
}

/// A request taken apart.
#[derive(Clone)]
struct Asked {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: http::HeaderMap,
    host: String,
    body: Bytes,
}

impl Asked {
    fn of(request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let host = header("host").map(|host| format!("http://{host}"));
        let host = host.unwrap_or_else(|| "https://api.getbase.com".to_owned());
        Self { method: parts.method, path: parts.uri.path().to_owned(), query, headers: parts.headers, host, body }
    }
    fn one(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
    }
    fn json(&self) -> Result<Json, Refusal> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body).map_err(|_| Refusal::new(400, "invalid_payload"))
    }
    fn form(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body).into_owned().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl FakeSell {
    /// An empty provider, whose time comes from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::new(State::default()), clock }
    }

    /// What [`FakeSell::save`] gave.
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

    /// For use as an [`HttpTransport`].
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().expect("no code panics while it holds this lock");
        state.now_ms = self.clock.now().as_millisecond() + state.settings.clock_offset_ms;
        state
    }

    /// Answers a request; `None` means that the connection broke before an answer came.
    pub fn handle(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let asked = Asked::of(request);
        let mut state = self.locked();
        state.answered += 1;
        let request_id = format!("sim-{:08}", state.answered);
        let mut response = answer(&mut state, &asked, &request_id)?;
        response.headers_mut().insert("x-request-id", request_id.parse().expect("plain ASCII"));
        Some(response)
    }

    /// A transport that is already authorised for this account, as the engine's is.
    pub fn authorised(self: &Arc<Self>, account: &str) -> Arc<dyn HttpTransport> {
        let token = self.locked().mint(account);
        Arc::new(Authorised { fake: Arc::clone(self), token })
    }
}

fn answer(state: &mut State, asked: &Asked, request: &str) -> Option<Response<Bytes>> {
    let respond = |answer: Answer| match answer {
        Ok((status, body)) => json_response(status, &body),
        Err(refusal) => refusal.into_response(request),
    };
    if let Some(rest) = asked.path.strip_prefix("/_sim/sell/") {
        return Some(respond(control::answer(state, asked, rest)));
    }
    if let Some(response) = oauth::answer(state, asked) {
        return Some(response);
    }
    if let Some(response) = documents::bytes(state, asked) {
        return Some(response);
    }
    state.log(Call { method: asked.method.to_string(), path: asked.path.clone(), writes: 0 });
    let outcome = match state.take_fault(asked) {
        Some(Fault::LoseRequest) => return None,
        Some(Fault::LoseAnswer) => {
            drop(api(state, asked));
            return None;
        }
        Some(Fault::ServerError) => Err(Refusal::new(500, "server_error")),
        Some(Fault::BadRequest) => Err(Refusal::of_parameter("session_id")),
        Some(Fault::Forbidden) => Err(Refusal::new(403, "insufficient_scope")),
        Some(Fault::Throttle { retry_after }) => {
            Err(Refusal { retry_after, ..Refusal::new(429, "rate_limit_exceeded") })
        }
        Some(Fault::Pass) | None => api(state, asked),
    };
    Some(respond(outcome))
}

/// The API proper.
fn api(state: &mut State, asked: &Asked) -> Answer {
    if asked.header("user-agent").is_none() {
        return Err(Refusal::new(400, "invalid_user_agent"));
    }
    if asked.path == "/v3/appointments/stream" {
        let who = state.authorise(asked, "read")?;
        return match asked.method == Method::GET {
            true => stream::read(state, &who, asked),
            false => Err(Refusal::new(404, "incorrect_path")),
        };
    }
    let path = asked.path.strip_prefix("/v2/").unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let scope = match (parts.as_slice(), asked.method.as_str()) {
        (["sync", ..], _) => "sync",
        (["users" | "accounts", "self"], _) => "profile",
        (_, "GET") => "read",
        _ => "write",
    };
    let who = state.authorise(asked, scope)?;
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["documents"]) => documents::list(state, &who, asked),
        ("GET", ["documents", id]) => documents::get(state, &who, asked, id),
        ("GET", ["contacts"]) => core::list(state, &who, asked),
        ("POST", ["contacts"]) => core::create(state, &who, &asked.json()?),
        ("POST", ["contacts", "upsert"]) => core::upsert(state, &who, asked),
        ("GET", ["contacts", id]) => core::get(state, &who, id),
        ("PUT", ["contacts", id]) => core::update(state, &who, id, &asked.json()?),
        ("DELETE", ["contacts", id]) => core::delete(state, &who, id),
        ("GET", ["contact", "custom_fields"]) => core::custom_fields(state, &who),
        ("GET", ["tags"]) => core::tags(state, &who, asked),
        ("GET", ["users", "self"]) => core::user(state, &who),
        ("GET", ["accounts", "self"]) => core::account(state, &who),
        ("POST", ["sync", "start"]) => sync::start(state, &who, asked),
        ("GET", ["sync", session, "queues", "main"]) => sync::fetch(state, &who, asked, session),
        ("POST", ["sync", "ack"]) => sync::ack(state, &who, asked),
        (_, [word]) | (_, [word, _]) => {
            let kind = others::kind(word).ok_or_else(|| Refusal::new(404, "incorrect_path"))?;
            others::answer(state, &who, asked, kind, parts.get(1).copied())
        }
        _ => Err(Refusal::new(404, "incorrect_path")),
    }
}

#[async_trait]
impl HttpTransport for FakeSell {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.handle(request).ok_or(TransportError::Lost { host, source: None })
    }
}

struct Authorised {
    fake: Arc<FakeSell>,
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
