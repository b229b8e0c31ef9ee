//! `events.*`, `calendarList.*` and `channels.*` of the Calendar API.
use super::batch::Part;
use http::Method;
use serde_json::{Map, Value, json};

/// Where batches go.
pub(crate) const BATCH_PATH: &str = "/batch/calendar/v3";
const BASE: &str = "/calendar/v3";
/// Google's maximum for `maxResults` of `events.list`.
pub(crate) const MOST_RESULTS: u16 = 2500;

/// Who is told of a write by mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// Nobody: copies, first runs, repairs.
    #[default]
    Nobody,
    /// The guests: a person's fresh edit.
    Guests,
}

impl Notify {
    /// The value of `sendUpdates`.
    fn word(self) -> &'static str {
        match self {
            Notify::Nobody => "none",
            Notify::Guests => "all",
        }
    }
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn target(path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return format!("{BASE}{path}");
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{BASE}{path}?{query}")
}

fn events(calendar: &str) -> String {
    format!("/calendars/{}/events", escaped(calendar))
}

fn event(calendar: &str, id: &str) -> String {
    format!("{}/{}", events(calendar), escaped(id))
}

/// A page of the listing or of its delta: masters and exceptions, never single occurrences of a series. Every page and
/// every delta must repeat the parameters of the first call.
pub(crate) fn list(calendar: &str, size: u16, page: Option<&str>, sync: Option<&str>) -> Part {
    let size = size.to_string();
    let mut query = vec![("maxResults", size.as_str()), ("singleEvents", "false")];
    query.extend(page.map(|token| ("pageToken", token)));
    query.extend(sync.map(|token| ("syncToken", token)));
    Part::get(target(&events(calendar), &query))
}

/// A page of a series with all of its exceptions, the cancelled ones too: they share one iCalUID.
pub(crate) fn series(calendar: &str, uid: &str, page: Option<&str>) -> Part {
    let size = MOST_RESULTS.to_string();
    let mut query =
        vec![("iCalUID", uid), ("maxResults", size.as_str()), ("showDeleted", "true"), ("singleEvents", "false")];
    query.extend(page.map(|token| ("pageToken", token)));
    Part::get(target(&events(calendar), &query))
}

/// One event.
pub(crate) fn get(calendar: &str, id: &str) -> Part {
    Part::get(target(&event(calendar, id), &[]))
}

/// A page of the occurrences with this original start, of which there is one at most.
pub(crate) fn instance(calendar: &str, id: &str, original: &str, page: Option<&str>) -> Part {
    let mut query = vec![("maxResults", "1"), ("originalStart", original), ("showDeleted", "true")];
    query.extend(page.map(|token| ("pageToken", token)));
    Part::get(target(&format!("{}/instances", event(calendar, id)), &query))
}

/// Creates.
pub(crate) fn insert(calendar: &str, body: Map<String, Value>, notify: Notify) -> Part {
    let target = target(&events(calendar), &[("sendUpdates", notify.word())]);
    Part { method: Method::POST, target, if_match: None, body: Some(Value::Object(body)) }
}

/// Changes what the body names.
pub(crate) fn patch(calendar: &str, id: &str, etag: Option<&str>, body: Map<String, Value>, notify: Notify) -> Part {
    let target = target(&event(calendar, id), &[("sendUpdates", notify.word())]);
    Part { method: Method::PATCH, target, if_match: etag.map(str::to_owned), body: Some(Value::Object(body)) }
}

/// Deletes; a series with all of its occurrences.
pub(crate) fn delete(calendar: &str, id: &str, etag: Option<&str>, notify: Notify) -> Part {
    let target = target(&event(calendar, id), &[("sendUpdates", notify.word())]);
    Part { method: Method::DELETE, target, if_match: etag.map(str::to_owned), body: None }
}

/// A page of the account's calendars.
pub(crate) fn calendars(page: Option<&str>) -> Part {
    let mut query = vec![("maxResults", "250")];
    query.extend(page.map(|token| ("pageToken", token)));
    Part::get(target("/users/me/calendarList", &query))
}

/// Asks for notifications about a calendar's events.
pub(crate) fn watch(calendar: &str, channel: &super::super::calendar::Channel) -> Part {
    let body = json!({
        "id": channel.id, "type": "web_hook", "address": channel.address, "token": channel.token,
        "expiration": channel.expires.as_millisecond().to_string(),
    });
    let target = target(&format!("{}/watch", events(calendar)), &[]);
    Part { method: Method::POST, target, if_match: None, body: Some(body) }
}

/// Ends a channel.
pub(crate) fn stop(channel: &str, resource: &str) -> Part {
    let body = json!({"id": channel, "resourceId": resource});
    Part { method: Method::POST, target: target("/channels/stop", &[]), if_match: None, body: Some(body) }
}
