//! Calendar API v3: calendars, events, series with exceptions, sync tokens, batches, channels, invitation mails.
//!
//! Beyond the reference this fake holds what is widely seen: the ids of occurrences (`<series>_<UTC basic time>`), a
//! deleted id that stays taken, exceptions that fall out of a changed rule being cancelled.
mod batch;
mod events;
mod guests;
mod listing;
mod shape;
mod watch;
mod world;

pub use watch::Notification;
pub(super) use world::World;

use super::state::{Call, Fault, State};
use super::{Asked, Refusal, json_response, schema};
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Mails that writes made Google send, by guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mails {
    /// For new appointments.
    pub invitations: usize,
    /// For changed ones.
    pub updates: usize,
    /// For deleted ones.
    pub cancellations: usize,
}

/// A refusal in Calendar's form.
struct Refused {
    code: u16,
    domain: &'static str,
    reason: &'static str,
    message: String,
    location: Option<(&'static str, &'static str)>,
    retry_after: Option<u64>,
}

type Answered = Result<Value, Refused>;

impl Refused {
    fn new(code: u16, domain: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, domain, reason, message: message.into(), location: None, retry_after: None }
    }
    fn at(self, kind: &'static str, name: &'static str) -> Self {
        Self { location: Some((kind, name)), ..self }
    }
    fn missing() -> Self {
        Self::new(404, "global", "notFound", "Not Found")
    }
    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "global", "invalid", message)
    }
    fn required(message: impl Into<String>) -> Self {
        Self::new(400, "global", "required", message)
    }
    fn into_response(self) -> Response<Bytes> {
        let mut error = json!({"domain": self.domain, "reason": self.reason, "message": self.message});
        if let Some((kind, name)) = self.location {
            error["locationType"] = json!(kind);
            error["location"] = json!(name);
        }
        let body = json!({"error": {"errors": [error], "code": self.code, "message": self.message}});
        let mut response = json_response(self.code, &body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        response
    }
}

fn fault(fault: Fault) -> Refused {
    match fault {
        Fault::Pass | Fault::ServerError | Fault::LoseAnswer | Fault::LoseRequest => {
            Refused::new(500, "global", "backendError", "Backend Error")
        }
        Fault::Unavailable => Refused::new(503, "global", "backendError", "Backend Error"),
        Fault::Throttle { retry_after } => {
            Refused { retry_after, ..Refused::new(403, "usageLimits", "rateLimitExceeded", "Rate Limit Exceeded") }
        }
        Fault::Forbidden => {
            let text = "Request had insufficient authentication scopes.";
            Refused::new(403, "global", "insufficientPermissions", text)
        }
    }
}

/// One call of the API, alone or in a batch.
struct Request<'a> {
    method: &'a str,
    /// Segments after `/calendar/v3/`, decoded.
    path: Vec<String>,
    query: &'a [(String, String)],
    if_match: Option<String>,
    if_none_match: Option<String>,
    body: Value,
}

impl Request<'_> {
    fn one(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }
    fn is(&self, name: &str) -> bool {
        self.one(name) == Some("true")
    }
    fn object(&self) -> Map<String, Value> {
        self.body.as_object().cloned().unwrap_or_default()
    }
}

pub(super) fn is_asked(asked: &Asked) -> bool {
    asked.path.starts_with("/calendar/v3/") || asked.path == "/batch/calendar/v3"
}

fn segments(path: &str) -> Vec<String> {
    let decode = |segment: &str| {
        let query = format!("s={}", segment.replace('+', "%2B").replace('&', "%26"));
        url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    path.trim_start_matches("/calendar/v3/").split('/').map(decode).collect()
}

/// `None`: the connection broke.
pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    state.log(Call { method: asked.method.to_string(), path: asked.path.clone(), writes: 0 });
    match state.take_fault() {
        Some(Fault::LoseRequest) => return None,
        Some(Fault::LoseAnswer) => {
            drop(handled(state, asked));
            return None;
        }
        Some(Fault::Pass) | None => {}
        Some(other) => return Some(fault(other).into_response()),
    }
    Some(handled(state, asked))
}

fn handled(state: &mut State, asked: &Asked) -> Response<Bytes> {
    if asked.path == "/batch/calendar/v3" {
        return batch::answer(state, asked);
    }
    let Ok(body) = asked.json() else { return Refused::invalid("Parse Error").into_response() };
    let header = |name: &str| asked.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let request = Request {
        method: asked.method.as_str(),
        path: segments(&asked.path),
        query: &asked.query,
        if_match: header("if-match"),
        if_none_match: header("if-none-match"),
        body,
    };
    one(state, asked.bearer(), &request)
}

fn one(state: &mut State, bearer: Option<&str>, request: &Request<'_>) -> Response<Bytes> {
    match authorise(state, bearer, request).and_then(|account| route(state, &account, request)) {
        Ok(Value::Null) => Response::builder().status(204).body(Bytes::new()).expect("a status in range"),
        Ok(body) => json_response(200, &body),
        Err(Refused { code: 304, .. }) => {
            Response::builder().status(304).body(Bytes::new()).expect("a status in range")
        }
        Err(refused) => refused.into_response(),
    }
}

/// The token, the method, its scopes, its parameters, its body: in this order.
fn authorise(state: &mut State, bearer: Option<&str>, request: &Request<'_>) -> Result<String, Refused> {
    let grant = state
        .grant(bearer)
        .map_err(|_| Refused::new(401, "global", "authError", "Invalid Credentials").at("header", "Authorization"))?;
    let method = schema::calendar_method(request.method, &request.path).ok_or_else(Refused::missing)?;
    if !method.allows(&grant.scopes) {
        return Err(fault(Fault::Forbidden));
    }
    let account = grant.account.clone();
    let checked = method.check_query(request.query).and_then(|()| method.check_body(&request.body));
    checked.map_err(|refusal| Refused::invalid(refusal.message))?;
    state.calendars.ensure(&account);
    Ok(account)
}

fn route(state: &mut State, account: &str, request: &Request<'_>) -> Answered {
    let limit = if request.method == "GET" { 0 } else { state.settings.writes_per_minute };
    if state.count(account, "calendar", limit).is_err() {
        return Err(Refused::new(403, "usageLimits", "userRateLimitExceeded", "User Rate Limit Exceeded"));
    }
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    match (request.method, path.as_slice()) {
        ("GET", ["users", "me", "calendarList"]) => state.calendars.calendar_list(account, request),
        ("GET", ["users", "me", "calendarList", id]) => state.calendars.calendar_entry(account, id),
        ("POST", ["calendars"]) => events::insert_calendar(state, account, request),
        ("GET", ["calendars", id]) => state.calendars.calendar(account, id),
        ("DELETE", ["calendars", id]) => events::delete_calendar(state, account, id),
        ("POST", ["calendars", id, "clear"]) => events::clear_calendar(state, account, id),
        ("GET", ["calendars", id, "events"]) => listing::list(state, account, id, request),
        ("POST", ["calendars", id, "events"]) => events::insert(state, account, id, request),
        ("POST", ["calendars", id, "events", "import"]) => events::import(state, account, id, request),
        ("POST", ["calendars", id, "events", "watch"]) => watch::open(state, account, id, request),
        ("GET", ["calendars", id, "events", event]) => events::get(state, account, id, event, request),
        ("GET", ["calendars", id, "events", event, "instances"]) => {
            listing::instances(state, account, id, event, request)
        }
        ("PUT" | "PATCH", ["calendars", id, "events", event]) => events::change(state, account, id, event, request),
        ("DELETE", ["calendars", id, "events", event]) => events::delete(state, account, id, event, request),
        ("POST", ["channels", "stop"]) => watch::stop(state, account, request),
        _ => Err(Refused::missing()),
    }
}

/// What a person does in the calendar app, or to the calendars: nothing of it is checked against a scope or counted.
pub(super) fn control(state: &mut State, account: &str, what: &str, body: &Value) -> super::Answer {
    state.account(account);
    state.calendars.ensure(account);
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let calendar = Some(text("calendar")).filter(|id| !id.is_empty()).unwrap_or_else(|| account.to_owned());
    let request = |method: &'static str, body: Value| Request {
        method,
        path: Vec::new(),
        query: &[],
        if_match: None,
        if_none_match: None,
        body,
    };
    schema::calendar().check(&body["event"], "Event", "event")?;
    let done = match what {
        "insert" => events::insert(state, account, &calendar, &request("POST", body["event"].clone())),
        "patch" => events::change(state, account, &calendar, &text("id"), &request("PATCH", body["event"].clone())),
        "delete" => events::delete(state, account, &calendar, &text("id"), &request("DELETE", Value::Null)),
        "invite" => events::invite(state, account, &calendar, body),
        "calendar" => events::insert_calendar(state, account, &request("POST", body["calendar"].clone())),
        "share" => state.calendars.share(&calendar, &text("with"), &text("role")),
        "unshare" => state.calendars.share(&calendar, &text("with"), ""),
        "unlist" => state.calendars.unlist(account, &calendar),
        "events" => Ok(json!({"items": held(state, account, &calendar)})),
        "mails" => Ok(json!(state.calendars.mails())),
        "notifications" => Ok(json!({"waiting": state.calendars.notifications()})),
        _ => Err(Refused::missing()),
    };
    state.next();
    done.map_err(|refused| Refusal::new(refused.code, "INVALID_ARGUMENT", refused.message))
}

/// The events of a calendar that are not deleted, and the cancelled occurrences of its series.
pub(super) fn held(state: &mut State, account: &str, calendar: &str) -> Vec<Value> {
    state.calendars.ensure(account);
    let Ok(calendar) = state.calendars.of(account, calendar) else { return Vec::new() };
    let zone = calendar.time_zone.clone();
    let shown = calendar.events.values().filter(|event| event.is_listed(&calendar.events));
    shown.map(|event| shape::shown(event, account, &zone)).collect()
}
