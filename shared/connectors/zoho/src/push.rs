//! Notifications about the records of a module: a channel of ours on `actions/watch`, whose token every notification
//! repeats. Nothing is signed.
//!
//! [Notification APIs, v8](https://www.zoho.com/crm/developer/docs/api/v8/notifications/overview.html)
use crate::api::watch;
use crate::client::Client;
use crate::contacts::feed::iso;
use crate::error;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::calendar::Activity;
use tandem_ports::error::Result;
use tandem_ports::infra::{Clock, HttpTransport};
use tandem_ports::push::{Opened, Order, Push, Route, Target};

/// A channel lives a week at most, and only an hour where more is asked for: as clocks differ, we ask for an hour less.
const LIFE: Duration = Duration::from_secs(7 * 86_400 - 3_600);
/// How long a channel lives whose answer does not say.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What changes the contacts of a sync. A change of an account is none of its contacts, and the delta does not show it.
pub const OF_CONTACTS: &[&str] = &["Contacts.all"];

/// What changes the appointments of a sync that carries these activities.
pub fn of_calendar(activities: &[Activity]) -> Vec<&'static str> {
    let tasks = activities.contains(&Activity::Tasks).then_some("Tasks.all");
    std::iter::once("Events.all").chain(tasks).collect()
}

/// The channel of one sync.
pub struct ZohoPush {
    client: Client,
    events: Vec<&'static str>,
    address: String,
}

impl ZohoPush {
    /// `transport` adds the user's access token, `api_origin` is the token answer's `api_domain`; notifications of these
    /// events go to `address`.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        api_origin: String,
        events: impl Into<Vec<&'static str>>,
        address: String,
    ) -> Self {
        Self { client: Client::new(transport, clock, api_origin), events: events.into(), address }
    }
}

/// What a notification proves itself by. What it says has changed is not used.
pub struct Told {
    /// The channel's id.
    pub channel: String,
    /// The channel's token.
    pub token: String,
}

/// Reads a notification; `None` where it is none.
pub fn notification(body: &[u8]) -> Option<Told> {
    #[derive(Deserialize)]
    struct Body {
        channel_id: Value,
        token: String,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let channel = match body.channel_id {
        Value::String(id) => id,
        Value::Number(id) => id.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(Told { channel, token: body.token })
}

#[async_trait]
impl Push for ZohoPush {
    fn title(&self) -> &'static str {
        "Zoho CRM"
    }
    fn targets(&self) -> Vec<Target> {
        vec![Target { name: self.events.join(","), route: Route::Channel }]
    }
    fn life(&self) -> Duration {
        LIFE
    }

    async fn open(&self, _target: &Target, order: &Order<'_>) -> Result<Opened> {
        let until = iso(order.until.as_second());
        let channel = watch::Channel { id: order.id, token: order.token, until: &until, address: &self.address };
        let answer = self.client.send(watch::open(&self.client.origin, &channel, &self.events)?).await?;
        let said = watch::parse(watch::OPEN, &answer)?;
        if said.code != "SUCCESS" {
            return Err(error::classify_item(watch::OPEN, &said));
        }
        let ends = said.details["events"].as_array().into_iter().flatten();
        let ends = ends.filter_map(|event| event["channel_expiry"].as_str()?.parse::<Timestamp>().ok()).min();
        let until = ends.unwrap_or(self.client.clock.now() + HOUR);
        Ok(Opened { resource: String::new(), until: Some(until) })
    }

    async fn close(&self, _target: &str, id: &str, _resource: &str) -> Result<()> {
        let answer = self.client.send(watch::close(&self.client.origin, id)?).await?;
        let said = watch::parse(watch::CLOSE, &answer)?;
        match said.code.as_str() {
            "SUCCESS" | "NOT_SUBSCRIBED" => Ok(()),
            _ => Err(error::classify_item(watch::CLOSE, &said)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_says_its_channel_and_token_or_is_none() {
        // As a customer of Zoho's has seen one, and with the id as the number that it is.
        let real = br#"{"server_time":1750102639787,"affected_values":[{"record_id":"6756839000000575405","values":{"Phone":"1"}}],
            "query_params":{},"module":"Leads","resource_uri":"https://www.zohoapis.com/crm/v2/Leads",
            "ids":["6756839000000575405"],"affected_fields":[{"6756839000000575405":["Phone"]}],"operation":"update",
            "channel_id":"1105420521999070702","token":"c3504777-db15-4332-8286-478a1b5006bc"}"#;
        let told = notification(real).unwrap();
        assert_eq!((told.channel.as_str(), &told.token[..8]), ("1105420521999070702", "c3504777"));
        let told = notification(br#"{"channel_id":1105420521999070702,"token":"t"}"#).unwrap();
        assert_eq!(told.channel, "1105420521999070702");
        for wrong in [
            "",
            "{",
            "[]",
            "{}",
            "null",
            r#"{"channel_id":"1"}"#,
            r#"{"token":"t"}"#,
            r#"{"channel_id":null,"token":"t"}"#,
            r#"{"channel_id":["1"],"token":"t"}"#,
            r#"{"channel_id":"1","token":7}"#,
        ] {
            assert!(notification(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
