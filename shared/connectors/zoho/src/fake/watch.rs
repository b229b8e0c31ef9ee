//! Channels for notifications (`actions/watch`), and what is told over them. A channel that has ended tells no more, and
//! one that should live longer than a week lives an hour.
use super::state::State;
use super::{Answer, Asked, FakeZoho, Refusal};
use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const WEEK_MS: i64 = 7 * 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const LONGEST_TOKEN: usize = 50;
/// Notifications that are kept when nobody takes them.
const MOST_WAITING: usize = 10_000;

/// A channel of one user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Channel {
    user: String,
    events: Vec<String>,
    until_ms: i64,
    #[serde(default)]
    token: Option<String>,
    notify_url: String,
    #[serde(default)]
    values: bool,
}

/// A notification on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// Where it goes.
    pub url: String,
    /// As Zoho sends it.
    pub body: String,
}

pub(super) fn answer(state: &mut State, user: &str, asked: &Asked) -> Answer {
    match asked.method.as_str() {
        "GET" => list(state, user, asked),
        "POST" => each(asked, 201, |one| open(state, user, one)),
        "PUT" => each(asked, 200, |one| replace(state, user, one)),
        "PATCH" => each(asked, 200, |one| disable(state, user, one)),
        "DELETE" => Ok(close(state, user, asked.one("channel_ids"))),
        _ => Err(Refusal::no_such_address()),
    }
}

fn missing(name: &str) -> Refusal {
    let details = json!({"api_name": name, "json_path": format!("$.watch[0].{name}")});
    Refusal::new(400, "MANDATORY_NOT_FOUND", "required field not found").with(details)
}

fn invalid(name: &str) -> Refusal {
    let details = json!({"api_name": name, "json_path": format!("$.watch[0].{name}")});
    Refusal::new(400, "INVALID_DATA", "invalid data").with(details)
}

fn not_subscribed(id: u64) -> Refusal {
    let details = json!({"channel_id": id.to_string()});
    Refusal::new(400, "NOT_SUBSCRIBED", "The given channel is not subscribed").with(details)
}

/// Refusals come in the list as well, with 202.
fn each(asked: &Asked, done: u16, mut act: impl FnMut(&Map<String, Value>) -> Result<Value, Refusal>) -> Answer {
    let body = asked.json()?;
    let wanted: Vec<&Map<String, Value>> =
        body["watch"].as_array().into_iter().flatten().filter_map(Value::as_object).collect();
    if wanted.is_empty() {
        return Err(missing("watch"));
    }
    let results: Vec<Result<Value, Refusal>> = wanted.into_iter().map(&mut act).collect();
    let status = if results.iter().all(Result::is_ok) { done } else { 202 };
    let watch: Vec<Value> = results.into_iter().map(|one| one.unwrap_or_else(|refusal| refusal.body())).collect();
    Ok((status, json!({"watch": watch})))
}

/// A long, which Zoho's SDK sends as a number.
fn id_of(wanted: &Map<String, Value>) -> Result<u64, Refusal> {
    match wanted.get("channel_id") {
        None | Some(Value::Null) => Err(missing("channel_id")),
        Some(Value::String(id)) => id.parse().map_err(|_| invalid("channel_id")),
        Some(id) => id.as_u64().filter(|id| i64::try_from(*id).is_ok()).ok_or_else(|| invalid("channel_id")),
    }
}

fn events_of(state: &State, wanted: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let listed = wanted.get("events").and_then(Value::as_array).ok_or_else(|| missing("events"))?;
    let known = |event: &str| {
        let (module, what) = event.split_once('.').unwrap_or_default();
        state.fields.contains_key(module) && ["create", "edit", "delete", "all"].contains(&what)
    };
    let events: Vec<String> = listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let fine = !events.is_empty() && events.len() == listed.len() && events.iter().all(|event| known(event));
    if fine { Ok(events) } else { Err(invalid("events")) }
}

fn channel_of(state: &State, user: &str, wanted: &Map<String, Value>) -> Result<Channel, Refusal> {
    let events = events_of(state, wanted)?;
    let notify_url = wanted.get("notify_url").and_then(Value::as_str).ok_or_else(|| missing("notify_url"))?;
    if notify_url.parse::<http::Uri>().ok().is_none_or(|url| url.scheme().is_none() || url.host().is_none()) {
        return Err(invalid("notify_url"));
    }
    let token = wanted.get("token").and_then(Value::as_str).map(str::to_owned);
    if token.as_ref().is_some_and(|token| token.chars().count() > LONGEST_TOKEN) {
        return Err(invalid("token"));
    }
    let asked = match wanted.get("channel_expiry").and_then(Value::as_str) {
        None => state.now_ms + HOUR_MS,
        Some(text) => text.parse::<Timestamp>().map_err(|_| invalid("channel_expiry"))?.as_millisecond(),
    };
    if asked <= state.now_ms {
        return Err(invalid("channel_expiry"));
    }
    let until_ms = if asked - state.now_ms > WEEK_MS { state.now_ms + HOUR_MS } else { asked };
    let values = wanted.get("return_affected_field_values") == Some(&Value::Bool(true));
    Ok(Channel { user: user.to_owned(), events, until_ms, token, notify_url: notify_url.to_owned(), values })
}

fn success(state: &State, id: u64, channel: &Channel, message: &str) -> Value {
    let event = |event: &String| {
        let module = event.split('.').next().unwrap_or_default();
        json!({"channel_expiry": state.time(channel.until_ms), "resource_uri": format!("https://www.zohoapis.eu/crm/v8/{module}"),
            "resource_id": module_id(state, module), "resource_name": module, "channel_id": id.to_string()})
    };
    let events: Vec<Value> = channel.events.iter().map(event).collect();
    json!({"code": "SUCCESS", "details": {"events": events}, "message": message, "status": "success"})
}

fn module_id(state: &State, module: &str) -> String {
    let at = state.fields.keys().position(|known| known == module).unwrap_or_default();
    format!("55402300000000{:04}", 2_000 + at)
}

fn open(state: &mut State, user: &str, wanted: &Map<String, Value>) -> Result<Value, Refusal> {
    let id = id_of(wanted)?;
    let channel = channel_of(state, user, wanted)?;
    // What a second subscription of one id does is documented nowhere.
    if state.channels.get(&id).is_some_and(|known| state.now_ms < known.until_ms) {
        return Err(invalid("channel_id"));
    }
    let said = success(state, id, &channel, "Successfully subscribed for actions-watch of the given module");
    state.channels.insert(id, channel);
    state.next();
    Ok(said)
}

fn own(state: &State, user: &str, id: u64) -> Result<Channel, Refusal> {
    let found = state.channels.get(&id).filter(|channel| channel.user == user && state.now_ms < channel.until_ms);
    found.cloned().ok_or_else(|| not_subscribed(id))
}

fn replace(state: &mut State, user: &str, wanted: &Map<String, Value>) -> Result<Value, Refusal> {
    let id = id_of(wanted)?;
    own(state, user, id)?;
    let channel = channel_of(state, user, wanted)?;
    let said = success(state, id, &channel, "Successfully updated the subscribe details");
    state.channels.insert(id, channel);
    state.next();
    Ok(said)
}

/// Takes events out of a channel (`_delete_events`).
fn disable(state: &mut State, user: &str, wanted: &Map<String, Value>) -> Result<Value, Refusal> {
    let id = id_of(wanted)?;
    let mut channel = own(state, user, id)?;
    let events = events_of(state, wanted)?;
    if wanted.get("_delete_events") != Some(&Value::Bool(true)) {
        return Err(missing("_delete_events"));
    }
    channel.events.retain(|event| !events.contains(event));
    let said = success(state, id, &channel, "Successfully removed the subscribe details");
    match channel.events.is_empty() {
        true => drop(state.channels.remove(&id)),
        false => drop(state.channels.insert(id, channel)),
    }
    state.next();
    Ok(said)
}

fn close(state: &mut State, user: &str, ids: Option<&str>) -> (u16, Value) {
    let mut watch = Vec::new();
    let mut status = 200;
    for id in ids.unwrap_or_default().split(',').map(|id| id.parse().unwrap_or_default()) {
        let done = own(state, user, id).map(|_| {
            state.channels.remove(&id);
            json!({"code": "SUCCESS", "details": {"channel_id": id.to_string()},
                "message": "Successfully un-subscribed from actions-watch", "status": "success"})
        });
        watch.push(done.unwrap_or_else(|refusal| {
            status = 202;
            refusal.body()
        }));
    }
    state.next();
    (status, json!({"watch": watch}))
}

fn list(state: &State, user: &str, asked: &Asked) -> Answer {
    let (id, module) = (asked.one("channel_id"), asked.one("module"));
    let mut rows = Vec::new();
    for (known, channel) in state.channels.iter().filter(|(_, one)| one.user == user && state.now_ms < one.until_ms) {
        for event in &channel.events {
            let of = event.split('.').next().unwrap_or_default();
            if id.is_none_or(|id| id == known.to_string()) && module.is_none_or(|module| module == of) {
                rows.push(json!({"notify_on_related_action": false, "channel_expiry": state.time(channel.until_ms),
                    "resource_uri": format!("https://www.zohoapis.eu/crm/v8/{of}"), "resource_id": module_id(state, of),
                    "notify_url": channel.notify_url, "resource_name": of, "channel_id": known.to_string(),
                    "events": [event], "token": channel.token}));
            }
        }
    }
    if rows.is_empty() {
        return Ok((204, Value::Null));
    }
    let info = json!({"per_page": 200, "count": rows.len(), "page": 1, "more_records": false});
    Ok((200, json!({"watch": rows, "info": info})))
}

/// Tells of a record that `insert`, `update` or `delete` has just met: each user who sees it and asked.
pub(super) fn tell(state: &mut State, module: &str, id: u64, operation: &str, fields: &Map<String, Value>) {
    let word = match operation {
        "insert" => "create",
        "update" => "edit",
        _ => "delete",
    };
    let wanted = [format!("{module}.{word}"), format!("{module}.all")];
    let Some(record) = state.records.get(module).and_then(|all| all.get(&id)) else { return };
    let mut told = Vec::new();
    for (channel, one) in &state.channels {
        let asked = one.events.iter().any(|event| wanted.contains(event)) && state.now_ms < one.until_ms;
        if !asked || !state.sees(&one.user, record) {
            continue;
        }
        let changed = operation == "update";
        let names: Vec<&String> = fields.keys().filter(|name| *name != "id" && changed).collect();
        let values =
            if one.values && changed { json!([{"record_id": id.to_string(), "values": fields}]) } else { json!([]) };
        let named = if changed { json!([{id.to_string(): names}]) } else { json!([]) };
        let body = json!({"server_time": state.now_ms, "affected_values": values, "query_params": {}, "module": module,
            "resource_uri": format!("https://www.zohoapis.eu/crm/v8/{module}"), "ids": [id.to_string()],
            "affected_fields": named, "operation": operation, "channel_id": channel.to_string(), "token": one.token});
        told.push(Notification { url: one.notify_url.clone(), body: body.to_string() });
    }
    state.outbox.extend(told);
    let surplus = state.outbox.len().saturating_sub(MOST_WAITING);
    state.outbox.drain(..surplus);
}

impl FakeZoho {
    /// Takes the notifications that wait.
    pub fn take_notifications(&self) -> Vec<Notification> {
        std::mem::take(&mut self.now().outbox)
    }

    /// The same as the requests that Zoho sends, to this machine only.
    pub fn outbox(&self) -> Vec<Request<Bytes>> {
        let told = self.take_notifications().into_iter().filter(|told| told.url.starts_with("http://127.0.0.1:"));
        let request = |told: Notification| {
            let request = Request::post(&told.url).header("content-type", "application/json");
            request.body(Bytes::from(told.body)).ok()
        };
        told.filter_map(request).collect()
    }

    /// How many channels tell.
    pub fn channels(&self) -> usize {
        let state = self.now();
        state.channels.values().filter(|channel| state.now_ms < channel.until_ms).count()
    }
}
