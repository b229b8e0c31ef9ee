//! Zoho CRM's API v8 and its accounts server in memory, over the real HTTP surface: the same requests, answers, pages,
//! times and refusals. As strict as Zoho or stricter, never kinder. No wall clock, no randomness.
mod attachments;
mod control;
mod events;
mod filter;
mod oauth;
mod records;
mod settings;
mod state;
mod watch;
mod writes;

pub use attachments::AttachmentView;
pub use state::{Fault, LockRefusal, Settings, Sharing};
pub use watch::Notification;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use state::State;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tandem_ports::infra::{Clock, HttpTransport, TransportError};

/// The provider: one organisation. Send it requests by [`FakeZoho::handle`] or as an [`HttpTransport`].
pub struct FakeZoho {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

/// A refusal in Zoho's form.
struct Refusal {
    status: u16,
    code: &'static str,
    message: &'static str,
    details: Value,
    retry_after: Option<u64>,
}

/// Status and body; 204 and 304 have none.
type Answer = Result<(u16, Value), Refusal>;

impl Refusal {
    fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message, details: json!({}), retry_after: None }
    }
    fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
    fn parameter(name: &str) -> Self {
        Self::new(400, "INVALID_DATA", "invalid data").with(json!({"param_name": name}))
    }
    fn no_permission(name: &str) -> Self {
        Self::new(403, "NO_PERMISSION", "permission denied").with(json!({"permissions": [name]}))
    }
    fn no_such_address() -> Self {
        Self::new(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")
    }
    fn body(&self) -> Value {
        json!({"code": self.code, "details": self.details, "message": self.message, "status": "error"})
    }
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
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        if !parts.headers.contains_key("host")
            && let Some(host) = parts.uri.authority().and_then(|host| host.as_str().parse().ok())
        {
            parts.headers.insert("host", host);
        }
        Self { method: parts.method, path: parts.uri.path().to_owned(), query, headers: parts.headers, body }
    }
    fn one(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    fn token(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Zoho-oauthtoken ")
    }
    /// This server, as the client calls it.
    fn origin(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or("127.0.0.1"))
    }
    /// A time in a header, as milliseconds.
    fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.header(name) else { return Ok(None) };
        let time = text.parse::<jiff::Timestamp>().map_err(|_| Refusal::parameter(name_of(name)))?;
        Ok(Some(time.as_millisecond()))
    }
    fn json(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body).map_err(|_| Refusal::new(400, "INVALID_DATA", "body"))
    }
}

fn name_of(header: &str) -> &'static str {
    if header == "if-modified-since" { "If-Modified-Since" } else { "If-Unmodified-Since" }
}

impl FakeZoho {
    /// An empty organisation, whose time comes from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::new(State::default()), clock }
    }

    /// What [`FakeZoho::save`] gave.
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

    /// With the time of now.
    fn now(&self) -> MutexGuard<'_, State> {
        let mut state = self.locked();
        state.now_ms = self.clock.now().as_millisecond() + state.settings.clock_offset_ms;
        state
    }

    /// Answers a request; `None` means that the connection broke before an answer came.
    pub fn handle(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let asked = Asked::of(request);
        let mut state = self.now();
        if let Some(rest) = asked.path.strip_prefix("/_sim/zoho/") {
            let answer = control::answer(&mut state, &asked, rest);
            return Some(respond(&state, answer));
        }
        if let Some(response) = oauth::answer(&mut state, &asked) {
            return Some(response);
        }
        state.log(asked.method.as_str(), &asked.path);
        match state.take_fault(asked.method.as_str(), &asked.path) {
            Some(Fault::LoseRequest) => return None,
            Some(Fault::LoseAnswer | Fault::LoseWrite) => {
                drop(api(&mut state, &asked));
                return None;
            }
            Some(Fault::Pass) | None => {}
            Some(fault) => return Some(respond(&state, Err(fault.refusal()))),
        }
        if let Some(answer) = download(&mut state, &asked) {
            return Some(answer.unwrap_or_else(|refusal| respond(&state, Err(refusal))));
        }
        let answer = api(&mut state, &asked);
        Some(respond(&state, answer))
    }

    /// A transport that is already authorised for this user, as the engine's is.
    pub fn authorised(self: &Arc<Self>, account: &str) -> Arc<dyn HttpTransport> {
        let token = self.now().mint(account);
        Arc::new(Authorised { fake: Arc::clone(self), token })
    }

    /// Shares the fake with whoever opens accounts on it.
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

fn respond(state: &State, answer: Answer) -> Response<Bytes> {
    let (status, body, retry_after) = match answer {
        Ok((status, body)) => (status, body, None),
        Err(refusal) => (refusal.status, refusal.body(), refusal.retry_after),
    };
    let date = jiff::Timestamp::from_millisecond(state.now_ms).unwrap_or_default();
    let mut builder =
        Response::builder().status(status).header("date", date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(seconds) = retry_after {
        builder = builder.header("retry-after", seconds);
    }
    // Told only once half of the credits are used.
    let left = state.credits_left();
    if left * 2 <= state.settings.credits {
        builder = builder.header("x-api-credits-remaining", left);
    }
    let bytes = match status {
        204 | 304 => Bytes::new(),
        _ => {
            builder = builder.header("content-type", "application/json;charset=UTF-8");
            Bytes::from(body.to_string())
        }
    };
    builder.body(bytes).expect("fixed header names and a status in range")
}

/// The one call that answers bytes; `None`: it is another one.
fn download(state: &mut State, asked: &Asked) -> Option<Result<Response<Bytes>, Refusal>> {
    let parts: Vec<&str> = asked.path.strip_prefix("/crm/v8/")?.split('/').collect();
    let [module, record, "Attachments", id] = parts.as_slice() else { return None };
    (asked.method == Method::GET && RECORDS.contains(module)).then(|| {
        let user = enter(state, asked, &parts)?;
        attachments::download(state, &user, (module, record), (id, asked))
    })
}

/// Whose token it is, if it may ask this, and the call's credits are there.
fn enter(state: &mut State, asked: &Asked, parts: &[&str]) -> Result<String, Refusal> {
    let grant = state.authorise(asked.token())?;
    for scope in scopes_of(asked.method.as_str(), parts) {
        state::check_scope(&grant.scopes, &scope)?;
    }
    state.spend(cost_of(parts, asked))?;
    Ok(grant.account)
}

/// The modules that records are in, as far as they are here.
const RECORDS: [&str; 5] = settings::MODULES;

/// The CRM API proper.
fn api(state: &mut State, asked: &Asked) -> Answer {
    let path = asked.path.strip_prefix("/crm/v8/");
    state.authorise(asked.token())?;
    let parts: Vec<&str> = path.ok_or_else(Refusal::no_such_address)?.split('/').collect();
    let user = enter(state, asked, &parts)?;
    let user = user.as_str();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["users"]) => settings::users(state, user, asked),
        ("GET", ["org"]) => Ok((200, settings::org(state))),
        ("GET", ["settings", "fields"]) => settings::fields(state, asked),
        ("GET", ["settings", "modules"]) => Ok((200, settings::modules())),
        ("GET", ["settings", "modules", name]) => settings::module(name),
        ("GET", ["settings", "custom_views"]) => settings::views(state, asked, None),
        ("GET", ["settings", "custom_views", id]) => settings::views(state, asked, Some(id)),
        ("GET", ["settings", "profiles"]) => settings::profiles(state, user, None),
        ("GET", ["settings", "profiles", id]) => settings::profiles(state, user, Some(id)),
        (_, ["actions", "watch"]) => watch::answer(state, user, asked),
        ("POST", ["coql"]) => filter::coql(state, user, &asked.json()?),
        (_, [module, ..]) if RECORDS.contains(module) => of_records(state, user, asked, &parts),
        (_, [module]) if module.chars().next().is_some_and(char::is_uppercase) => {
            Err(Refusal::new(400, "INVALID_MODULE", "The module name given seems to be invalid"))
        }
        _ => Err(Refusal::no_such_address()),
    }
}

/// Records, and what is attached to them.
fn of_records(state: &mut State, user: &str, asked: &Asked, parts: &[&str]) -> Answer {
    let method = asked.method.as_str();
    match (method, parts) {
        (_, [module, record, "Attachments"]) => attachments::answer(state, user, (module, record), asked),
        ("DELETE", [module, record, "Attachments", id]) => attachments::delete(state, user, (module, record), id),
        ("GET", [module]) => records::list(state, user, module, asked),
        ("GET", [module, "deleted"]) => records::deleted(state, user, module, asked),
        ("GET", [module, id]) => records::one(state, user, module, id),
        ("POST", [module]) => writes::insert(state, user, module, asked),
        // Activities have no field to recognise them by.
        ("POST", [module, "upsert"]) if *module != "Events" => writes::upsert(state, user, module, asked),
        ("PUT", [module]) => writes::update(state, user, module, asked, None),
        ("PUT", [module, id]) => writes::update(state, user, module, asked, Some(id)),
        ("DELETE", [module]) => {
            let ids = asked.one("ids").map(str::to_owned);
            let ids = ids.ok_or_else(|| {
                Refusal::new(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing")
                    .with(json!({"param_name": "ids"}))
            })?;
            writes::delete(state, user, module, &ids)
        }
        ("DELETE", [module, id]) => writes::delete(state, user, module, id),
        _ => Err(Refusal::no_such_address()),
    }
}

/// The scopes that Zoho wants for a request: for attachments the module's, too. Which operation of it is not documented.
fn scopes_of(method: &str, parts: &[&str]) -> Vec<String> {
    match parts {
        [module, _, "Attachments", ..] => vec![scope_of("GET", &[module]), scope_of(method, &["attachments"])],
        _ => vec![scope_of(method, parts)],
    }
}

fn scope_of(method: &str, parts: &[&str]) -> String {
    let operation = match method {
        "GET" => "READ",
        "POST" => "CREATE",
        "PUT" | "PATCH" => "UPDATE",
        _ => "DELETE",
    };
    match parts {
        ["actions", "watch"] => format!("ZohoCRM.notifications.{operation}"),
        ["settings", group, ..] => format!("ZohoCRM.settings.{group}.{operation}"),
        ["coql"] => "ZohoCRM.coql.READ".to_owned(),
        [group @ ("users" | "org")] => format!("ZohoCRM.{group}.{operation}"),
        [module, ..] => format!("ZohoCRM.modules.{}.{operation}", module.to_lowercase()),
        [] => String::new(),
    }
}

/// Credits of a call: a write costs one for every ten records, a list view three, the deleted two.
fn cost_of(parts: &[&str], asked: &Asked) -> u64 {
    match (asked.method.as_str(), parts) {
        (_, [_, _, "Attachments", ..]) => 1,
        ("POST" | "PUT", [module, ..]) if *module != "coql" => {
            let count = asked.json().ok().and_then(|body| body["data"].as_array().map(Vec::len)).unwrap_or(1);
            count.div_ceil(10).max(1) as u64
        }
        ("GET", [_, "deleted"]) => 2,
        ("GET", _) if asked.one("cvid").is_some() => 3,
        _ => 1,
    }
}

#[async_trait]
impl HttpTransport for FakeZoho {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.handle(request).ok_or(TransportError::Lost { host, source: None })
    }
}

struct Authorised {
    fake: Arc<FakeZoho>,
    token: String,
}

#[async_trait]
impl HttpTransport for Authorised {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let value = format!("Zoho-oauthtoken {}", self.token).parse().expect("tokens of ours are plain ASCII");
        request.headers_mut().insert("authorization", value);
        self.fake.send(request).await
    }
}
