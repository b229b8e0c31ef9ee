//! Gmail in memory: messages, labels, a history that is forgotten after a week, batches, units, watches.
use super::state::{Call, Fault, State};
use super::{Asked, Refusal, json_response};
use crate::auth::{SCOPE_GMAIL_LABELS, SCOPE_GMAIL_READ};
use bytes::Bytes;
use http::{Method, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

mod batch;
mod control;
mod messages;

pub(super) use control::act;

/// How long history is kept. Google: at least a week, in rare cases only hours.
const HISTORY_MS: i64 = 7 * 24 * 3_600_000;
/// A watch ends after seven days.
const WATCH_MS: i64 = 7 * 24 * 3_600_000;
/// At most one notification a second and user; the rest are dropped.
const NOTIFY_MS: i64 = 1_000;
/// Scopes that open everything.
const SCOPE_ALL: &str = "https://mail.google.com/";
const SCOPE_MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
const SCOPE_INSERT: &str = "https://www.googleapis.com/auth/gmail.insert";
const SCOPE_METADATA: &str = "https://www.googleapis.com/auth/gmail.metadata";

/// Everything of Gmail.
#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(super) struct World {
    boxes: BTreeMap<String, Mailbox>,
    /// Units a minute and user; 0 is no limit.
    units_per_minute: u32,
    used: BTreeMap<String, u32>,
    minute: i64,
    /// Parts of one batch that are served at once; the rest answer 429 "too many concurrent requests".
    concurrent: usize,
    notifications: Vec<Value>,
    subscription: Option<Subscription>,
}

/// A push subscription of Pub/Sub to whatever topic Gmail publishes to.
#[derive(Clone, Serialize, Deserialize)]
struct Subscription {
    /// Where it pushes to.
    endpoint: String,
    /// The address of the service account whose token it shows.
    service_account: String,
    audience: String,
}

impl Default for World {
    fn default() -> Self {
        Self {
            boxes: BTreeMap::new(),
            units_per_minute: 6_000,
            used: BTreeMap::new(),
            minute: 0,
            concurrent: 50,
            notifications: Vec::new(),
            subscription: None,
        }
    }
}

impl World {
    /// Endpoint, audience and service account of the subscription.
    pub(super) fn pushes_to(&self) -> Option<(String, String, String)> {
        let to = self.subscription.clone()?;
        Some((to.endpoint, to.audience, to.service_account))
    }

    /// Takes what watchers are to be told.
    pub(super) fn take(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.notifications)
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Mailbox {
    messages: BTreeMap<String, Stored>,
    /// Labels that the user made: id and name.
    labels: BTreeMap<String, String>,
    history: Vec<Event>,
    /// What happened up to here is forgotten.
    floor: u64,
    now: u64,
    watch: Option<Watch>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    id: String,
    raw: String,
    labels: BTreeSet<String>,
    received_ms: i64,
    history: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Event {
    id: u64,
    at_ms: i64,
    kind: EventKind,
    message: String,
    labels: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum EventKind {
    Added,
    Deleted,
    LabelAdded,
    LabelRemoved,
}

#[derive(Clone, Serialize, Deserialize)]
struct Watch {
    topic: String,
    until_ms: i64,
    last_ms: i64,
}

const SYSTEM_LABELS: [&str; 10] =
    ["CHAT", "SENT", "INBOX", "IMPORTANT", "TRASH", "DRAFT", "SPAM", "STARRED", "UNREAD", "CATEGORY_PERSONAL"];

/// Whether this is Gmail's to answer.
pub(super) fn is_asked(asked: &Asked) -> bool {
    let path = asked.path.as_str();
    path.starts_with("/gmail/v1/")
        || path.starts_with("/upload/gmail/v1/")
        || path == "/batch"
        || path == "/batch/gmail/v1"
}

/// Answers a request; `None` means that the connection broke before an answer came.
pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    state.log(Call { method: asked.method.to_string(), path: asked.path.clone(), writes: 0 });
    let work = |state: &mut State| match asked.path.starts_with("/batch") {
        true => batch::answer(state, asked),
        false => single(state, asked),
    };
    match state.take_fault() {
        Some(Fault::LoseRequest) => None,
        Some(Fault::LoseAnswer) => {
            drop(work(state));
            None
        }
        Some(Fault::Pass) | None => Some(work(state)),
        Some(fault) => Some(refused(fault.refusal())),
    }
}

/// One request by itself or in a batch.
fn single(state: &mut State, asked: &Asked) -> Response<Bytes> {
    match serve(state, asked) {
        Ok(Value::Null) => Response::builder().status(204).body(Bytes::new()).expect("a fixed status"),
        Ok(body) => json_response(200, &body),
        Err(refusal) => refused(refusal),
    }
}

/// A refusal in the form that Gmail gives it.
fn refused(refusal: Refusal) -> Response<Bytes> {
    let reason = refusal.reason.unwrap_or(match refusal.code {
        401 => "authError",
        403 => "insufficientPermissions",
        404 => "notFound",
        409 => "aborted",
        429 => "rateLimitExceeded",
        500 => "backendError",
        _ => "invalidArgument",
    });
    let domain = if [403, 429].contains(&refusal.code) { "usageLimits" } else { "global" };
    let error = json!({
        "code": refusal.code, "message": refusal.message, "status": refusal.status,
        "errors": [{"message": refusal.message, "domain": domain, "reason": reason}],
    });
    let mut response = json_response(refusal.code, &json!({"error": error}));
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

fn serve(state: &mut State, asked: &Asked) -> super::Answer {
    let grant = state.grant(asked.bearer())?.clone();
    let path = asked.path.trim_start_matches("/upload").trim_start_matches("/gmail/v1/users/");
    let (user, rest) = path.split_once('/').ok_or_else(Refusal::missing)?;
    // Clients escape the @ of an address in a path.
    if user != "me" && user.replace("%40", "@") != grant.account {
        return Err(Refusal::new(403, "PERMISSION_DENIED", format!("Delegation denied for {}", grant.account)));
    }
    let parts: Vec<&str> = rest.split('/').collect();
    let (units, scopes) = price(&asked.method, &parts).ok_or_else(Refusal::missing)?;
    let has = |scope: &&str| {
        // Tokens that tests mint hold what a mail sync asks for, and no more.
        let minted = grant.client == "minted" && [SCOPE_GMAIL_READ, SCOPE_GMAIL_LABELS].contains(scope);
        *scope == SCOPE_ALL && grant.scopes.iter().any(|held| held == SCOPE_ALL)
            || minted
            || grant.scopes.iter().any(|held| held == *scope)
    };
    if !scopes.iter().chain([&SCOPE_ALL, &SCOPE_MODIFY]).any(has) {
        return Err(Fault::Forbidden.refusal());
    }
    charge(state, &grant.account, units)?;
    let body = if asked.path.starts_with("/upload/") { json!({}) } else { asked.json()? };
    let account = grant.account.as_str();
    let whole = |scope: &&str| *scope != SCOPE_METADATA && has(scope);
    let only_metadata = !scopes.iter().chain([&SCOPE_ALL, &SCOPE_MODIFY]).any(whole);
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["profile"]) => Ok(profile(state, account)),
        ("POST", ["watch"]) => watch(state, account, &body),
        ("POST", ["stop"]) => {
            mailbox(state, account).watch = None;
            Ok(Value::Null)
        }
        ("GET", ["labels"]) => Ok(json!({"labels": labels(mailbox(state, account))})),
        ("POST", ["labels"]) => create_label(state, account, &body),
        ("DELETE", ["labels", id]) => delete_label(state, account, id),
        ("GET", ["history"]) => history(state, account, asked),
        ("GET", ["messages"]) => messages::list(state, account, asked),
        ("GET", ["messages", id]) => messages::get(mailbox(state, account), id, asked, only_metadata),
        ("POST", ["messages"]) => messages::insert(state, account, asked, &body),
        ("POST", ["messages", id, "modify"]) => messages::modify(state, account, id, &body),
        _ => Err(Refusal::missing()),
    }
}

/// Quota units and the scopes that permit it (beside the two that permit everything here).
fn price(method: &Method, parts: &[&str]) -> Option<(u32, &'static [&'static str])> {
    const READ: &[&str] = &[SCOPE_GMAIL_READ, SCOPE_METADATA];
    Some(match (method.as_str(), parts) {
        ("GET", ["profile"]) => (1, READ),
        ("POST", ["watch"]) => (100, READ),
        ("POST", ["stop"]) => (50, READ),
        ("GET", ["labels"]) => (1, &[SCOPE_GMAIL_READ, SCOPE_METADATA, SCOPE_GMAIL_LABELS]),
        ("POST", ["labels"]) => (5, &[SCOPE_GMAIL_LABELS]),
        ("DELETE", ["labels", _]) => (5, &[SCOPE_GMAIL_LABELS]),
        ("GET", ["history"]) => (2, READ),
        ("GET", ["messages"]) => (5, READ),
        ("GET", ["messages", _]) => (20, READ),
        ("POST", ["messages"]) => (25, &[SCOPE_INSERT]),
        ("POST", ["messages", _, "modify"]) => (5, &[]),
        _ => return None,
    })
}

fn charge(state: &mut State, account: &str, units: u32) -> Result<(), Refusal> {
    let minute = state.now_ms.div_euclid(60_000);
    let world = &mut state.mail;
    if minute != world.minute {
        world.used.clear();
        world.minute = minute;
    }
    let used = world.used.entry(account.to_owned()).or_default();
    if world.units_per_minute > 0 && *used + units > world.units_per_minute {
        let message = "Quota exceeded for quota metric 'Queries' and limit 'Units per minute per user'.";
        return Err(Refusal::new(403, "PERMISSION_DENIED", message).because("userRateLimitExceeded"));
    }
    *used += units;
    Ok(())
}

fn mailbox<'s>(state: &'s mut State, account: &str) -> &'s mut Mailbox {
    if !state.mail.boxes.contains_key(account) {
        let now = state.next();
        state.mail.boxes.insert(account.to_owned(), Mailbox { now, floor: now, ..Mailbox::default() });
    }
    state.mail.boxes.get_mut(account).expect("just made")
}

/// Notes what happened, forgets what is too old, and tells whoever watches.
fn note(state: &mut State, account: &str, kind: EventKind, message: &str, labels: BTreeSet<String>) -> u64 {
    // A new mailbox begins before what happens in it.
    mailbox(state, account);
    let (id, at_ms) = (state.next(), state.now_ms);
    let held = mailbox(state, account);
    held.now = id;
    held.history.push(Event { id, at_ms, kind, message: message.to_owned(), labels });
    let mut told = None;
    if let Some(watch) =
        held.watch.as_mut().filter(|watch| watch.until_ms > at_ms && at_ms - watch.last_ms >= NOTIFY_MS)
    {
        watch.last_ms = at_ms;
        told = Some(json!({"emailAddress": account, "historyId": id, "topic": watch.topic}));
    }
    state.mail.notifications.extend(told);
    id
}

fn profile(state: &mut State, account: &str) -> Value {
    let held = mailbox(state, account);
    let count = held.messages.len();
    json!({"emailAddress": account, "messagesTotal": count, "threadsTotal": count, "historyId": held.now.to_string()})
}

fn watch(state: &mut State, account: &str, body: &Value) -> super::Answer {
    let topic = super::text(body, "topicName").to_owned();
    let parts: Vec<&str> = topic.split('/').collect();
    if !matches!(parts.as_slice(), ["projects", project, "topics", name] if !project.is_empty() && !name.is_empty()) {
        return Err(Refusal::invalid("Invalid topicName does not match projects/*/topics/*"));
    }
    let now = state.now_ms;
    let held = mailbox(state, account);
    held.watch = Some(Watch { topic, until_ms: now + WATCH_MS, last_ms: 0 });
    Ok(json!({"historyId": held.now.to_string(), "expiration": (now + WATCH_MS).to_string()}))
}

fn labels(held: &Mailbox) -> Vec<Value> {
    let system = SYSTEM_LABELS.iter().map(|id| json!({"id": id, "name": id, "type": "system"}));
    system.chain(held.labels.iter().map(|(id, name)| json!({"id": id, "name": name, "type": "user"}))).collect()
}

fn create_label(state: &mut State, account: &str, body: &Value) -> super::Answer {
    let name = super::text(body, "name").trim().to_owned();
    if name.is_empty() || name.chars().count() > 225 || name.starts_with('/') || name.ends_with('/') {
        return Err(Refusal::invalid("Invalid label name"));
    }
    let id = format!("Label_{}", state.next());
    let held = mailbox(state, account);
    let taken = |other: &str| other.to_lowercase() == name.to_lowercase();
    if held.labels.values().any(|other| taken(other)) || SYSTEM_LABELS.iter().any(|other| taken(other)) {
        return Err(Refusal::new(409, "ABORTED", "Label name exists or conflicts"));
    }
    held.labels.insert(id.clone(), name.clone());
    Ok(json!({"id": id, "name": name, "labelListVisibility": "labelShow", "messageListVisibility": "show"}))
}

fn delete_label(state: &mut State, account: &str, id: &str) -> super::Answer {
    let held = mailbox(state, account);
    held.labels.remove(id).ok_or_else(Refusal::missing)?;
    held.messages.values_mut().for_each(|message| message.labels.retain(|label| label != id));
    Ok(Value::Null)
}

fn history(state: &mut State, account: &str, asked: &Asked) -> super::Answer {
    let start =
        asked.one("startHistoryId").ok_or_else(|| Refusal::invalid("Missing required parameter: startHistoryId"))?;
    let start: u64 = start.parse().map_err(|_| Refusal::invalid("Invalid value for startHistoryId"))?;
    let most: usize =
        asked.one("maxResults").map_or(Ok(100), str::parse).map_err(|_| Refusal::invalid("maxResults"))?;
    let offset: usize =
        asked.one("pageToken").map_or(Ok(0), str::parse).map_err(|_| Refusal::invalid("Invalid pageToken"))?;
    let (types, label) = (asked.all("historyTypes"), asked.one("labelId"));
    let now = state.now_ms;
    let held = mailbox(state, account);
    let old = |event: &Event| event.at_ms < now - HISTORY_MS;
    held.floor = held.history.iter().rfind(|event| old(event)).map_or(held.floor, |event| event.id.max(held.floor));
    held.history.retain(|event| !old(event));
    if start < held.floor || start > held.now {
        return Err(Refusal::missing());
    }
    let word = |event: &Event| match event.kind {
        EventKind::Added => "messageAdded",
        EventKind::Deleted => "messageDeleted",
        EventKind::LabelAdded => "labelAdded",
        EventKind::LabelRemoved => "labelRemoved",
    };
    let wanted = |event: &&Event| {
        event.id > start
            && (types.is_empty() || types.iter().any(|kind| kind == word(event)))
            && label.is_none_or(|label| event.labels.contains(label))
    };
    let all: Vec<&Event> = held.history.iter().filter(wanted).collect();
    let most = most.clamp(1, 500);
    let page: Vec<Value> = all.iter().skip(offset).take(most).map(|event| record(held, event)).collect();
    let mut answer = json!({"historyId": held.now.to_string()});
    if !page.is_empty() {
        answer["history"] = json!(page);
    }
    if all.len() > offset + most {
        answer["nextPageToken"] = json!((offset + most).to_string());
    }
    Ok(answer)
}

fn record(held: &Mailbox, event: &Event) -> Value {
    let bare = json!({"id": event.message, "threadId": event.message});
    let mut message = bare.clone();
    if let Some(stored) = held.messages.get(&event.message) {
        message["labelIds"] = json!(stored.labels);
    }
    let (name, change) = match event.kind {
        EventKind::Added => ("messagesAdded", json!({"message": message})),
        EventKind::Deleted => ("messagesDeleted", json!({"message": message})),
        EventKind::LabelAdded => ("labelsAdded", json!({"message": message, "labelIds": event.labels})),
        EventKind::LabelRemoved => ("labelsRemoved", json!({"message": message, "labelIds": event.labels})),
    };
    json!({"id": event.id.to_string(), "messages": [bare], name: [change]})
}
