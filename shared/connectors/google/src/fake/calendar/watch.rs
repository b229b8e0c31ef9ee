//! Push channels. Notifications wait in an outbox; whoever serves this fake sends them.
use super::world::World;
use super::{Answered, Refused, Request};
use crate::fake::state::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Google's default life of a channel, in seconds.
const DEFAULT_SECONDS: i64 = 604_800;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Channel {
    pub(super) calendar: String,
    pub(super) account: String,
    pub(super) resource: String,
    pub(super) address: String,
    pub(super) token: Option<String>,
    pub(super) expires_ms: i64,
    pub(super) messages: u64,
}

/// A notification: a `POST` without a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Where it goes.
    pub address: String,
    /// `X-Goog-…` headers, by name in lower case.
    pub headers: Vec<(String, String)>,
}

pub(super) fn open(state: &mut State, account: &str, calendar: &str, request: &Request<'_>) -> Answered {
    state.calendars.readable(account, calendar)?;
    let text = |name: &str| request.body[name].as_str().unwrap_or_default().to_owned();
    let id = text("id");
    if id.is_empty() || id.len() > 64 || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_+/=".contains(c)) {
        return Err(Refused::new(400, "global", "channelIdInvalid", "Channel id must match the pattern."));
    }
    if text("type") != "web_hook" {
        return Err(Refused::new(400, "global", "channelUnknown", "Unknown channel type."));
    }
    // Google takes nothing but https; an address of this machine, where no certificate can be, is our one exception.
    let address = text("address");
    if !address.starts_with("https://") && !address.starts_with("http://127.0.0.1:") {
        return Err(Refused::new(400, "push", "webhookUrlNotHttps", "WebHook callback must be HTTPS."));
    }
    if text("token").len() > 256 {
        return Err(Refused::invalid("The channel token is too long."));
    }
    if state.calendars.channels.contains_key(&id) {
        return Err(Refused::new(400, "global", "channelIdNotUnique", "Channel id not unique."));
    }
    let wanted = text("expiration").parse().ok();
    let seconds = request.body["params"]["ttl"].as_str().and_then(|ttl| ttl.parse::<i64>().ok());
    let most = state.now_ms + DEFAULT_SECONDS * 1000;
    let expires_ms = wanted.or_else(|| seconds.map(|s| state.now_ms + s * 1000)).unwrap_or(most).min(most);
    let calendar = World::name(account, calendar).to_owned();
    let resource = format!("resource-{}", calendar.replace(['@', '.'], "-"));
    let channel = Channel {
        calendar: calendar.clone(),
        account: account.to_owned(),
        resource: resource.clone(),
        address: text("address"),
        token: Some(text("token")).filter(|token| !token.is_empty()),
        expires_ms,
        messages: 0,
    };
    state.calendars.channels.insert(id.clone(), channel);
    state.next();
    state.calendars.notify_channel(&id, "sync");
    Ok(json!({
        "kind": "api#channel", "id": id, "resourceId": resource,
        "resourceUri": format!("https://www.googleapis.com/calendar/v3/calendars/{calendar}/events?alt=json"),
        "token": text("token"), "expiration": expires_ms.to_string(),
    }))
}

pub(super) fn stop(state: &mut State, account: &str, request: &Request<'_>) -> Answered {
    let id = request.body["id"].as_str().unwrap_or_default();
    let known = state.calendars.channels.get(id);
    let known = known.filter(|c| c.account == account && request.body["resourceId"] == c.resource.as_str());
    if known.is_none() {
        let message = format!("Channel '{id}' not found for project");
        return Err(Refused::new(404, "global", "notFound", message));
    }
    state.calendars.channels.remove(id);
    state.next();
    Ok(Value::Null)
}

impl World {
    /// Something in this calendar changed.
    pub(super) fn notify(&mut self, calendar: &str, now_ms: i64) {
        self.channels.retain(|_, channel| channel.expires_ms > now_ms);
        let watching = self.channels.iter().filter(|(_, channel)| channel.calendar == calendar);
        let watching: Vec<String> = watching.map(|(id, _)| id.clone()).collect();
        for id in watching {
            self.notify_channel(&id, "exists");
        }
    }

    fn notify_channel(&mut self, id: &str, what: &str) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        // Increasing, not sequential; the first one is 1.
        channel.messages = if channel.messages == 0 { 1 } else { channel.messages + 3 };
        let until = jiff::Timestamp::from_millisecond(channel.expires_ms).unwrap_or_default();
        let uri = format!("https://www.googleapis.com/calendar/v3/calendars/{}/events?alt=json", channel.calendar);
        let mut headers = vec![
            ("x-goog-channel-id", id.to_owned()),
            ("x-goog-channel-expiration", until.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            ("x-goog-resource-id", channel.resource.clone()),
            ("x-goog-resource-uri", uri),
            ("x-goog-resource-state", what.to_owned()),
            ("x-goog-message-number", channel.messages.to_string()),
        ];
        headers.extend(channel.token.clone().map(|token| ("x-goog-channel-token", token)));
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.outbox.push(Notification { address: channel.address.clone(), headers });
    }
}
