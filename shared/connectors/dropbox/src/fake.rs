//! Dropbox in memory, over the real HTTP surface: the same requests, answers, pages, cursors, revs and refusals. As strict
//! as Dropbox or stricter, never kinder. No wall clock, no randomness.
mod blob;
mod control;
mod oauth;
mod routes;
mod sessions;
mod state;
mod tree;

pub use control::{Notification, UserFile};
pub use state::{Fault, Settings, Switch};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use state::{Call, State};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tandem_ports::infra::{Clock, HttpTransport, TransportError};

/// The provider. Send it requests by [`FakeDropbox::handle`] or as an [`HttpTransport`].
pub struct FakeDropbox {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

/// A refusal in Dropbox's form.
#[derive(Debug)]
enum Refusal {
    /// 400, plain text: the request is none.
    Bad(String),
    /// 401 with a tag of `AuthError`.
    Auth(Value),
    /// 409: the endpoint's own error.
    Endpoint(Value),
    /// 429 with `RateLimitError`.
    Limit { reason: &'static str, retry_after: Option<u64> },
    /// 5xx.
    Broken(u16),
    /// 404: no such route.
    NoRoute,
}

type Answer = Result<Value, Refusal>;

/// `{".tag": a, a: {".tag": b, b: …}}`; the innermost may be an object.
fn tagged(path: &[&str]) -> Value {
    match path {
        [] => Value::Null,
        [last] => json!({".tag": last}),
        [first, rest @ ..] => json!({".tag": first, *first: tagged(rest)}),
    }
}

impl Refusal {
    fn endpoint(path: &[&str]) -> Self {
        Refusal::Endpoint(tagged(path))
    }
    fn bad(what: impl Into<String>) -> Self {
        Refusal::Bad(what.into())
    }
    fn into_response(self) -> Response<Bytes> {
        match self {
            Refusal::Bad(what) => text_response(400, what),
            Refusal::NoRoute => text_response(404, "Not found".to_owned()),
            Refusal::Broken(status) => text_response(status, "Internal Server Error".to_owned()),
            Refusal::Auth(error) => error_response(401, &error),
            Refusal::Endpoint(error) => error_response(409, &error),
            Refusal::Limit { reason, retry_after } => {
                let mut error = json!({"reason": {".tag": reason}});
                if let Some(seconds) = retry_after {
                    error["retry_after"] = json!(seconds);
                }
                let body = json!({"error_summary": format!("{reason}/..."), "error": error});
                let mut response = json_response(429, &body);
                if let Some(seconds) = retry_after {
                    response.headers_mut().insert("retry-after", seconds.into());
                }
                response
            }
        }
    }
}

/// The summary has the tags, and dots so that nobody compares it as a whole.
fn error_response(status: u16, error: &Value) -> Response<Bytes> {
    let summary = format!("{}/...", crate::error::tags(error).join("/"));
    json_response(status, &json!({"error_summary": summary, "error": error}))
}

fn json_response(status: u16, body: &Value) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()))
        .expect("fixed header names and a status in range")
}

fn text_response(status: u16, text: String) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header("content-type", "text/plain; charset=utf-8")
        .body(Bytes::from(text))
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
        Self { method: parts.method, path: parts.uri.path().to_owned(), query, headers: parts.headers, body }
    }
    fn one(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
    /// The JSON argument of an RPC route.
    fn json(&self) -> Answer {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| Refusal::bad("Error in call to API function: request body: could not decode input as JSON"))
    }
    /// The JSON argument of a route with bytes: a header, or the query's `arg`.
    fn argument(&self) -> Answer {
        let text = self.header("dropbox-api-arg").or(self.one("arg"));
        let text = text.ok_or_else(|| Refusal::bad("Must provide HTTP header \"Dropbox-API-Arg\""))?;
        serde_json::from_str(text).map_err(|_| Refusal::bad("Dropbox-API-Arg: could not decode input as JSON"))
    }
    fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

impl FakeDropbox {
    /// An empty provider, whose time comes from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::new(State::default()), clock }
    }

    /// What [`FakeDropbox::save`] gave.
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

    fn now(&self) -> MutexGuard<'_, State> {
        let mut state = self.locked();
        state.now_ms = self.clock.now().as_millisecond() + state.settings.clock_offset_ms;
        state
    }

    /// Answers a request; `None` means that the connection broke before an answer came.
    pub fn handle(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let asked = Asked::of(request);
        let mut state = self.now();
        if let Some(rest) = asked.path.strip_prefix("/_sim/dropbox/") {
            return Some(control::answer(&mut state, &asked, rest));
        }
        if let Some(response) = oauth::answer(&mut state, &asked) {
            return Some(response);
        }
        state.log(Call { path: asked.path.clone(), bytes: asked.body.len() });
        match state.take_fault() {
            Some(Fault::LoseRequest) => None,
            Some(Fault::LoseAnswer) => {
                drop(routes::answer(&mut state, &asked));
                None
            }
            Some(
                fault @ (Fault::ServerError
                | Fault::Unavailable
                | Fault::Throttle { .. }
                | Fault::TooManyWrites { .. }
                | Fault::Expired
                | Fault::MissingScope),
            ) => Some(fault.refusal().into_response()),
            Some(Fault::Pass) | None => Some(routes::answer(&mut state, &asked).unwrap_or_else(Refusal::into_response)),
        }
    }

    /// A transport that is already authorised for this account, as the engine's is.
    pub fn authorised(self: &Arc<Self>, account: &str) -> Arc<dyn HttpTransport> {
        let token = self.now().mint(account);
        Arc::new(Authorised { fake: Arc::clone(self), token })
    }

    /// Shares the fake with whoever opens accounts on it.
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

impl Fault {
    fn refusal(self) -> Refusal {
        match self {
            Fault::ServerError => Refusal::Broken(500),
            Fault::Unavailable => Refusal::Broken(503),
            Fault::Throttle { retry_after } => Refusal::Limit { reason: "too_many_requests", retry_after },
            Fault::TooManyWrites { retry_after } => Refusal::Limit { reason: "too_many_write_operations", retry_after },
            Fault::Expired => Refusal::Auth(tagged(&["expired_access_token"])),
            Fault::MissingScope => {
                Refusal::Auth(json!({".tag": "missing_scope", "required_scope": "files.content.write"}))
            }
            Fault::Pass | Fault::LoseAnswer | Fault::LoseRequest => Refusal::Broken(500),
        }
    }
}

#[async_trait]
impl HttpTransport for FakeDropbox {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.handle(request).ok_or(TransportError::Lost { host, source: None })
    }
}

struct Authorised {
    fake: Arc<FakeDropbox>,
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
