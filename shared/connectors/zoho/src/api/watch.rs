//! Channels for notifications. Mixed and failed results come as 202, with the same list in the body.
use super::{Call, checked, get, send};
use crate::error::{self, Operation};
use crate::wire::Treated;
use bytes::Bytes;
use http::{Method, Response};
use serde::Deserialize;
use serde_json::{Number, json};
use tandem_ports::error::Result;

pub(crate) const OPEN: Operation = Operation { name: "actions.watch", scope: "ZohoCRM.notifications.CREATE" };
pub(crate) const CLOSE: Operation = Operation { name: "actions.unwatch", scope: "ZohoCRM.notifications.DELETE" };

/// A channel to open.
pub(crate) struct Channel<'a> {
    /// A number.
    pub(crate) id: &'a str,
    /// At most 50 characters.
    pub(crate) token: &'a str,
    /// A time with its offset.
    pub(crate) until: &'a str,
    pub(crate) address: &'a str,
}

/// `events` are `<module>.<create|edit|delete|all>`. What happens to records beside these (`notify_on_related_action`) is
/// not wanted, and no values are.
pub(crate) fn open(origin: &str, channel: &Channel<'_>, events: &[&str]) -> Result<Call> {
    let id: Number = checked(OPEN, channel.id)?.parse().map_err(|_| error::refused(OPEN, "this is no number"))?;
    let watch = json!({
        "channel_id": id, "events": events, "channel_expiry": channel.until, "token": channel.token,
        "notify_url": channel.address, "notify_on_related_action": false, "return_affected_field_values": false,
    });
    send(OPEN, Method::POST, origin, "actions/watch", &json!({"watch": [watch]}))
}

pub(crate) fn close(origin: &str, id: &str) -> Result<Call> {
    let call = get(CLOSE, origin, "actions/watch", &[("channel_ids", checked(CLOSE, id)?.to_owned())])?;
    let Call { operation, mut request } = call;
    *request.method_mut() = Method::DELETE;
    Ok(Call { operation, request })
}

/// What became of the one channel of a call.
pub(crate) fn parse(operation: Operation, response: &Response<Bytes>) -> Result<Treated> {
    #[derive(Deserialize)]
    struct All {
        watch: Vec<Treated>,
    }
    match serde_json::from_slice::<All>(response.body()).map(|mut all| all.watch.pop()) {
        Ok(Some(said)) => Ok(said),
        Ok(None) | Err(_) if !response.status().is_success() => Err(error::classify(operation, response)),
        Ok(None) => Err(error::no_answer(operation)),
        Err(cause) => Err(error::unreadable(operation, cause)),
    }
}
