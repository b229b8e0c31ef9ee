//! Push channels on the change feed: requests to open and close one, and the check of what comes over it.
//!
//! A notification has no body and no signature: the channel's token is what proves it. Channels end by themselves and are
//! replaced by a new one with a new id before that.
use crate::config::GoogleConfig;
use crate::error;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tandem_ports::error::Result;

/// The longest that `changes.watch` gives, in seconds. Without an expiration a channel lasts one hour only.
pub const LONGEST_SECONDS: i64 = 604_800;

/// A channel to open.
#[derive(Clone, Copy, Debug)]
pub struct Channel<'a> {
    /// Ours, new for every channel; at most 64 characters.
    pub id: &'a str,
    /// Where notifications go: HTTPS with a valid certificate.
    pub address: &'a str,
    /// Comes back with every notification; at most 256 characters, and a secret.
    pub token: &'a str,
    /// When it shall end; Google may end it earlier and says so.
    pub expires: jiff::Timestamp,
}

/// A channel that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Google's id of what is watched; closing needs it.
    pub resource: String,
    /// When it ends.
    pub expires: jiff::Timestamp,
}

fn post(config: &GoogleConfig, path: &str, body: &serde_json::Value) -> Result<Request<Bytes>> {
    let headers = [("content-type", "application/json".to_owned())];
    let address = format!("{}{path}", config.drive_url);
    let call = super::api::call("drive.channels", Method::POST, address, &headers, Bytes::from(body.to_string()))?;
    Ok(call.request)
}

/// `changes.watch` from this page token on. The expiration is always said.
pub fn open(config: &GoogleConfig, page_token: &str, channel: &Channel<'_>) -> Result<Request<Bytes>> {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("pageToken", page_token), ("spaces", "drive"), ("supportsAllDrives", "true")])
        .finish();
    let body = json!({
        "id": channel.id, "type": "web_hook", "address": channel.address, "token": channel.token,
        "expiration": channel.expires.as_millisecond().to_string(),
    });
    post(config, &format!("/drive/v3/changes/watch?{query}"), &body)
}

/// Reads the answer to [`open`].
pub fn opened(response: &http::Response<Bytes>) -> Result<Opened> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        resource_id: String,
        expiration: Option<String>,
    }
    const OPERATION: &str = "drive.changes.watch";
    let answer: Answer = crate::api::parse(OPERATION, response)?;
    let expires = answer.expiration.and_then(|text| jiff::Timestamp::from_millisecond(text.parse().ok()?).ok());
    let expires = expires.ok_or_else(|| error::no_answer(OPERATION))?;
    Ok(Opened { resource: answer.resource_id, expires })
}

/// `channels.stop`; 404 means that it ended by itself.
pub fn close(config: &GoogleConfig, id: &str, resource: &str) -> Result<Request<Bytes>> {
    post(config, "/drive/v3/channels/stop", &json!({"id": id, "resourceId": resource}))
}

/// A notification, as its headers tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The channel that it came over.
    pub channel: String,
    /// What is watched.
    pub resource: String,
    /// The first message of a channel, which tells of no change.
    pub first: bool,
}

/// Reads a notification; `None` where it is none. Every state but `sync` means a change: Google's page says `change` in its
/// table and `changed` in its example.
pub fn notification(headers: &HeaderMap) -> Option<Notification> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    Some(Notification {
        channel: text("x-goog-channel-id")?,
        resource: text("x-goog-resource-id")?,
        first: text("x-goog-resource-state")? == "sync",
    })
}

/// Whether the notification carries this channel's token. Takes the same time for every wrong one.
pub fn verify(headers: &HeaderMap, token: &str) -> bool {
    let said = headers.get("x-goog-channel-token").map_or(&[][..], http::HeaderValue::as_bytes);
    let (said, known) = (Sha256::digest(said), Sha256::digest(token.as_bytes()));
    !token.is_empty() && said.iter().zip(known).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiration_is_always_said() {
        let expires = jiff::Timestamp::from_second(1_767_600_000).unwrap();
        let channel = Channel { id: "c", address: "https://x.example/h", token: "t", expires };
        let request = open(&GoogleConfig::default(), "12", &channel).unwrap();
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body["expiration"], "1767600000000");
        assert!(request.uri().query().unwrap().contains("pageToken=12"));
    }

    #[test]
    fn only_the_channels_own_token_is_believed() {
        let mut headers = HeaderMap::new();
        assert!(!verify(&headers, "secret") && !verify(&headers, ""));
        headers.insert("x-goog-channel-token", "secret".parse().unwrap());
        assert!(verify(&headers, "secret") && !verify(&headers, "secreT"));
    }

    #[test]
    fn every_state_but_the_first_is_a_change() {
        let mut headers = HeaderMap::new();
        headers.insert("x-goog-channel-id", "c".parse().unwrap());
        headers.insert("x-goog-resource-id", "r".parse().unwrap());
        for (state, first) in [("sync", true), ("change", false), ("changed", false)] {
            headers.insert("x-goog-resource-state", state.parse().unwrap());
            assert_eq!(notification(&headers).unwrap().first, first);
        }
        assert!(notification(&HeaderMap::new()).is_none());
    }
}
