//! Sell's Core and Sync API and its OAuth server in memory, over the real HTTP surface. No wall clock, no randomness.
mod control;
mod core;
mod oauth;
mod state;
mod sync;

pub use state::{Fault, Settings};

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
    field: Option<String>,
    retry_after: Option<u64>,
}

type Answer = Result<(u16, Json), Refusal>;

impl Refusal {
    fn new(status: u16, code: &'static str) -> Self {
        Self { status, code, field: None, retry_after: None }
    }
    fn of_field(field: &str, code: &'static str) -> Self {
        Self { field: Some(format!("/{field}")), ..Self::new(422, code) }
    }
    fn missing() -> Self {
        Self::new(404, "not_found")
    }
    fn into_response(self) -> Response<Bytes> {
        let mut error = json!({"code": self.code, "message": self.code.replace('_', " "), "details": self.code});
        if let Some(field) = self.field {
            error["field"] = json!(field);
            error["resource"] = json!("contact");
        }
        let meta = json!({"type": "errors", "http_status": self.status.to_string(), "links": {}});
        let body = json!({"errors": [{"error": error, "meta": {"type": "error", "links": {}}}], "meta": meta});
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
        if let Some(rest) = asked.path.strip_prefix("/_sim/sell/") {
            return Some(respond(control::answer(&mut state, &asked, rest)));
        }
        if let Some(response) = oauth::answer(&mut state, &asked) {
            return Some(response);
        }
        state.log(Call { method: asked.method.to_string(), path: asked.path.clone(), writes: 0 });
        match state.take_fault(&asked) {
            Some(Fault::LoseRequest) => return None,
            Some(Fault::LoseAnswer) => {
                drop(api(&mut state, &asked));
                return None;
            }
            Some(Fault::ServerError) => return Some(Refusal::new(500, "server_error").into_response()),
            Some(Fault::Forbidden) => return Some(Refusal::new(403, "insufficient_scope").into_response()),
            Some(Fault::Throttle { retry_after }) => {
                return Some(Refusal { retry_after, ..Refusal::new(429, "rate_limit_exceeded") }.into_response());
            }
            None => {}
        }
        Some(respond(api(&mut state, &asked)))
    }

    /// A transport that is already authorised for this account, as the engine's is.
    pub fn authorised(self: &Arc<Self>, account: &str) -> Arc<dyn HttpTransport> {
        let token = self.locked().mint(account);
        Arc::new(Authorised { fake: Arc::clone(self), token })
    }
}

fn respond(answer: Answer) -> Response<Bytes> {
    match answer {
        Ok((status, body)) => json_response(status, &body),
        Err(refusal) => refusal.into_response(),
    }
}

/// The API proper.
fn api(state: &mut State, asked: &Asked) -> Answer {
    if asked.header("user-agent").is_none() {
        return Err(Refusal::new(400, "invalid_user_agent"));
    }
    let account = state.authorise(asked)?;
    let path = asked.path.strip_prefix("/v2/").ok_or_else(|| Refusal::new(404, "incorrect_path"))?;
    let parts: Vec<&str> = path.split('/').collect();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["contacts"]) => core::list(state, &account, asked),
        ("POST", ["contacts"]) => core::create(state, &account, &asked.json()?),
        ("GET", ["contacts", id]) => core::get(state, &account, id),
        ("PUT", ["contacts", id]) => core::update(state, &account, id, &asked.json()?),
        ("DELETE", ["contacts", id]) => core::delete(state, &account, id),
        ("GET", ["contact", "custom_fields"]) => core::custom_fields(state, &account),
        ("GET", ["tags"]) => core::tags(state, &account, asked),
        ("GET", ["users", "self"]) => core::user(state, &account),
        ("GET", ["accounts", "self"]) => core::account(state, &account),
        ("POST", ["sync", "start"]) => sync::start(state, &account, asked),
        ("GET", ["sync", session, "queues", "main"]) => sync::fetch(state, &account, asked, session),
        ("POST", ["sync", "ack"]) => sync::ack(state, &account, asked),
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
