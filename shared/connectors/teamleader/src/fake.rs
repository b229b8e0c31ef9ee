//! Teamleader Focus in memory, over its real HTTP surface: OAuth with single-use refresh tokens, contacts, companies,
//! tags, custom fields, the quota and its headers. Never kinder than the specification: what it does not promise (a
//! count, deactivated contacts in a list without `status`) is not given. No wall clock, no randomness.
mod calls;
mod companies;
mod contacts;
mod control;
mod events;
mod files;
mod lists;
mod mail;
mod meetings;
mod oauth;
mod state;
mod tasks;
mod webhooks;

pub use control::Edit;
pub use files::{FileView, UserFile};
pub use state::{Fault, Right, Settings, Strictness, Switch};
pub use webhooks::Notification;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Map, Value, json};
use state::{Call, State};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tandem_ports::infra::{Clock, HttpTransport, TransportError};

/// The provider. Send it requests by [`FakeTeamleader::handle`] or as an [`HttpTransport`].
pub struct FakeTeamleader {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

/// A refusal: `{"errors":[{"title": …}]}`.
struct Refusal {
    status: u16,
    title: String,
}

impl Refusal {
    fn new(status: u16, title: impl Into<String>) -> Self {
        Self { status, title: title.into() }
    }
    fn invalid(title: impl Into<String>) -> Self {
        Self::new(400, title)
    }
    fn missing() -> Self {
        Self::new(404, "The requested resource could not be found.")
    }
    fn into_response(self) -> Response<Bytes> {
        json_response(self.status, &json!({"errors": [{"title": self.title}]}))
    }
}

/// What a call answers.
enum Reply {
    Data(Value),
    /// 201 with `type` and `id`.
    Made(&'static str, String),
    /// 204.
    Done,
}

type Answer = Result<Reply, Refusal>;

fn json_response(status: u16, body: &Value) -> Response<Bytes> {
    let builder = Response::builder().status(status).header("content-type", "application/json");
    builder.body(Bytes::from(body.to_string())).expect("fixed header names and a status in range")
}

/// A request taken apart.
struct Asked {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: http::HeaderMap,
    body: Bytes,
    /// Where it was sent to.
    origin: String,
}

impl Asked {
    fn of(request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let path = parts.uri.path().to_owned();
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
        let host = parts.uri.authority().map(http::uri::Authority::as_str).or(host).unwrap_or("localhost").to_owned();
        let origin = format!("{}://{host}", parts.uri.scheme_str().unwrap_or("http"));
        Self { method: parts.method.to_string(), path, query, headers: parts.headers, body, origin }
    }
    fn one(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
    fn json(&self) -> Result<Map<String, Value>, Refusal> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(&self.body).map_err(|_| Refusal::invalid("The body is not a JSON object."))
    }
}

impl FakeTeamleader {
    /// An empty provider, whose time comes from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::new(State::default()), clock }
    }

    /// What [`FakeTeamleader::save`] gave.
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

    /// Shares the fake with whoever opens accounts on it.
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
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
        if let Some(rest) = asked.path.strip_prefix("/_sim/teamleader/") {
            return Some(control::answer(&mut state, &asked, rest));
        }
        if let Some(response) = oauth::answer(&mut state, &asked) {
            return Some(response);
        }
        // Time goes on while a call is under way.
        state.settings.clock_offset_ms += state.settings.call_ms;
        state.now_ms += state.settings.call_ms;
        if let Some(name) = files::address(&asked.path) {
            return at_address(&mut state, name, &asked);
        }
        let method = asked.path.trim_start_matches('/').to_owned();
        state.log(Call { method: method.clone(), writes: 0 });
        let account = state.account_of(asked.header("authorization").strip_prefix("Bearer "));
        let fault = state.take_fault(&method);
        let response = match (&account, fault) {
            (_, Some(Fault::LoseRequest)) => return None,
            (Ok(account), Some(Fault::LoseAnswer)) => {
                drop(called(&mut state, account, &method, &asked));
                return None;
            }
            (_, Some(fault)) => fault.response(state.now_ms),
            (Err(refusal), None) => Refusal::new(refusal.status, refusal.title.clone()).into_response(),
            (Ok(account), None) => called(&mut state, account, &method, &asked),
        };
        Some(headed(&mut state, account.ok().as_deref(), response))
    }

    /// A transport that is already authorised for this account, as the engine's is. The account is made where it is new.
    pub fn authorised(self: &Arc<Self>, account: &str) -> Arc<dyn HttpTransport> {
        let token = self.now().mint(account);
        Arc::new(Authorised { fake: Arc::clone(self), token })
    }

    /// The same for one of its users ([`FakeTeamleader::hire`]).
    pub fn authorised_as(self: &Arc<Self>, account: &str, colleague: &str) -> Arc<dyn HttpTransport> {
        let token = self.now().mint_for(account, Some(colleague));
        Arc::new(Authorised { fake: Arc::clone(self), token })
    }
}

/// A request to an address that carries its own right: no token, and not counted to the quota.
fn at_address(state: &mut State, name: &'static str, asked: &Asked) -> Option<Response<Bytes>> {
    state.log(Call { method: name.to_owned(), writes: 0 });
    match state.take_fault(name) {
        Some(Fault::LoseRequest) => None,
        Some(Fault::LoseAnswer) => {
            drop(files::bytes(state, asked));
            None
        }
        Some(fault) => Some(fault.response(state.now_ms)),
        None => Some(files::bytes(state, asked)),
    }
}

/// The call within the quota.
fn called(state: &mut State, account: &str, method: &str, asked: &Asked) -> Response<Bytes> {
    let allowed = state.count(account);
    match allowed.and_then(|()| api(state, account, method, asked)) {
        Ok(Reply::Data(body)) => json_response(200, &body),
        Ok(Reply::Made(kind, id)) => json_response(201, &json!({"data": {"type": kind, "id": id}})),
        Ok(Reply::Done) => Response::builder().status(204).body(Bytes::new()).expect("a fixed status is one"),
        Err(refusal) => refusal.into_response(),
    }
}

/// What every answer carries.
fn headed(state: &mut State, account: Option<&str>, mut response: Response<Bytes>) -> Response<Bytes> {
    let (limit, remaining, reset) = state.quota(account);
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: String| {
        if !headers.contains_key(name) {
            headers.insert(name, value.parse().expect("digits and plain letters"));
        }
    };
    put("x-api-version", "2023-09-26".to_owned());
    put("x-ratelimit-limit", limit.to_string());
    put("x-ratelimit-remaining", remaining.to_string());
    put("x-ratelimit-reset", state::zoned(reset));
    put("date", state::http_date(state.now_ms));
    response
}

/// Who asks.
fn user_of(state: &mut State, account: &str, asked: &Asked) -> String {
    let bearer = asked.header("authorization").strip_prefix("Bearer ");
    let colleague = state.colleague_of(bearer).map(str::to_owned);
    colleague.unwrap_or_else(|| state.account(account).user_id.clone())
}

fn api(state: &mut State, account: &str, method: &str, asked: &Asked) -> Answer {
    // Clients in use send lists as GET too; the documentation says POST.
    if asked.method != "POST" {
        return Err(Refusal::new(405, "Method not allowed."));
    }
    if state.settings.lacks.iter().any(|lacking| lacking == method) {
        return Err(Refusal::missing());
    }
    let body = asked.json()?;
    lists::check_keys(state, method, &body)?;
    if method == "users.me" {
        let bearer = asked.header("authorization").strip_prefix("Bearer ");
        let colleague = state.colleague_of(bearer).map(str::to_owned);
        return Ok(Reply::Data(json!({"data": state.account(account).me(colleague.as_deref())})));
    }
    let (resource, action) = method.split_once('.').unwrap_or_default();
    state.account(account).right.check(resource, action)?;
    let reply = match resource {
        "contacts" => contacts::answer(state, account, action, &body),
        "companies" => companies::answer(state, account, action, &body),
        "meetings" => meetings::answer(state, account, action, &body),
        "users" => meetings::users(state, account, action, &body),
        "emailTracking" => mail::tracking(state, account, action, &body),
        "tasks" => tasks::answer(state, account, action, &body),
        "calls" => calls::answer(state, account, action, &body),
        "events" => {
            let user = user_of(state, account, asked);
            events::answer(state, (account, &user), action, &body)
        }
        "activityTypes" if action == "list" => events::types_list(state, account, &body),
        "migrate" if action == "activityType" => events::migrated(state, account, &body),
        "workTypes" if action == "list" => mail::types(state, account, &body),
        "files" => {
            let user = user_of(state, account, asked);
            files::answer(state, account, &user, action, &files::Ask { body: &body, origin: &asked.origin })
        }
        "products" => files::others(state, account, "product", action, &body),
        "projects" => files::others(state, account, "project", action, &body),
        "projects-v2/projects" => files::others(state, account, "nextgenProject", action, &body),
        "accounts" if action == "projects-v2-status" => Ok(Reply::Data(files::projects_status(state))),
        "tags" if action == "list" => lists::tags(state, account, &body),
        "customFieldDefinitions" if action == "list" => lists::definitions(state, account, &body),
        "webhooks" => webhooks::answer(state, account, action, &body),
        _ => Err(Refusal::missing()),
    }?;
    let made = if let Reply::Made(_, id) = &reply { Some(id.as_str()) } else { None };
    webhooks::tell_of(state, account, method, &body, made);
    Ok(reply)
}

#[async_trait]
impl HttpTransport for FakeTeamleader {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.handle(request).ok_or(TransportError::Lost { host, source: None })
    }
}

struct Authorised {
    fake: Arc<FakeTeamleader>,
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
