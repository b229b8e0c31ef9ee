//! `users.*` of the Gmail API.
use super::batch::Part;
use super::{Call, finish, get, post};
use crate::error;
use http::Method;
use serde_json::{Value, json};
use tandem_ports::error::Result;

/// Messages in one batch: Google takes 100 and advises 50 (each counts against the quota by itself).
pub(crate) const BATCH: usize = 50;
/// Records of history in one page: the maximum.
const HISTORY: &str = "500";
/// Messages in one page of a listing: two batches, so that a page is soon durable.
const LISTED: &str = "100";

/// Ids go into paths: Gmail's are hexadecimal, labels have words and underscores.
fn checked<'a>(operation: &'static str, id: &'a str) -> Result<&'a str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.is_empty() || id.len() > 100 || !id.chars().all(plain) {
        return Err(error::refused(operation, "this is no id of Gmail's"));
    }
    Ok(id)
}

/// `users.getProfile`: 1 unit.
pub(crate) fn profile(origin: &str) -> Result<Call> {
    get("users.getProfile", origin, "/gmail/v1/users/me/profile", &[])
}

/// `users.history.list`: 2 units. Only what can make a message worth a look.
pub(crate) fn history(origin: &str, start: &str, page: Option<&str>) -> Result<Call> {
    let mut query = vec![
        ("startHistoryId", start),
        ("maxResults", HISTORY),
        ("historyTypes", "messageAdded"),
        ("historyTypes", "messageDeleted"),
        ("historyTypes", "labelAdded"),
    ];
    query.extend(page.map(|page| ("pageToken", page)));
    get("users.history.list", origin, "/gmail/v1/users/me/history", &query)
}

/// `users.messages.list`: 5 units.
pub(crate) fn list(origin: &str, label: Option<&str>, q: &str, page: Option<&str>) -> Result<Call> {
    let mut query = vec![("maxResults", LISTED), ("q", q)];
    query.extend(label.map(|label| ("labelIds", label)));
    query.extend(page.map(|page| ("pageToken", page)));
    get("users.messages.list", origin, "/gmail/v1/users/me/messages", &query)
}

/// `users.messages.get` with `format=raw`: 20 units.
pub(crate) fn raw(origin: &str, id: &str) -> Result<Call> {
    const OPERATION: &str = "users.messages.get";
    let path = format!("/gmail/v1/users/me/messages/{}", checked(OPERATION, id)?);
    get(OPERATION, origin, &path, &[("format", "raw")])
}

/// What [`heads`] is called.
pub(crate) const HEADS: &str = "users.messages.get (batch)";
/// Google's discovery document names it.
pub(crate) const BATCH_PATH: &str = "/batch";

/// `users.messages.get` with `format=metadata` of up to [`BATCH`] messages, as parts of one request.
pub(crate) fn heads(ids: &[&str], headers: &[&str]) -> Result<Vec<Part>> {
    const OPERATION: &str = HEADS;
    if ids.len() > BATCH {
        return Err(error::refused(OPERATION, "too many messages at once"));
    }
    let part = |id: &&str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("format", "metadata");
        query.extend_pairs(headers.iter().map(|name| ("metadataHeaders", name)));
        let (id, query) = (checked(OPERATION, id)?, query.finish());
        Ok(Part::get(format!("/gmail/v1/users/me/messages/{id}?{query}")))
    };
    ids.iter().map(part).collect()
}

/// `users.labels.list`: 1 unit.
pub(crate) fn labels(origin: &str) -> Result<Call> {
    get("users.labels.list", origin, "/gmail/v1/users/me/labels", &[])
}

/// `users.labels.create`: 5 units.
pub(crate) fn create_label(origin: &str, name: &str) -> Result<Call> {
    let body = json!({"name": name, "labelListVisibility": "labelShow", "messageListVisibility": "show"});
    post("users.labels.create", origin, "/gmail/v1/users/me/labels", &body)
}

/// `users.watch`: 100 units.
pub(crate) fn watch(origin: &str, topic: &str) -> Result<Call> {
    post("users.watch", origin, "/gmail/v1/users/me/watch", &json!({"topicName": topic}))
}

/// `users.stop`: 50 units.
pub(crate) fn stop(origin: &str) -> Result<Call> {
    finish("users.stop", Method::POST, format!("{origin}/gmail/v1/users/me/stop"), None)
}

/// Where a person opens a message.
pub(crate) fn link(address: &str, id: &str) -> String {
    let account = url::form_urlencoded::byte_serialize(address.as_bytes()).collect::<String>();
    format!("https://mail.google.com/mail/?authuser={account}#all/{id}")
}

/// A text of an answer's object.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
