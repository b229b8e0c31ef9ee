//! Notifications about an account: webhooks that are registered by the API, one for each sync. They have no id, no secret
//! and no signature, so the address itself is the secret, and what comes to it says only that there is something to read.
use crate::api::Api;
use crate::api::requests;
use crate::config::TeamleaderConfig;
use crate::wire::Data;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tandem_core::calendar::Activity;
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::infra::{Clock, HttpTransport};
use tandem_ports::push::{Opened, Order, Push, Route, Target};

/// A webhook has no end, but one that is lost (the integration was removed and connected again) is told by nothing: every
/// day another one takes its place.
const DAY: Duration = Duration::from_secs(86_400);

/// What changes the contacts of a sync. Whether a link with a company is a change of the contact is documented nowhere.
pub const OF_CONTACTS: &[&str] = &[
    "contact.added",
    "contact.updated",
    "contact.deleted",
    "contact.linkedToCompany",
    "contact.unlinkedFromCompany",
    "contact.updatedLinkToCompany",
    "company.updated",
];
/// What changes a sync's calendar that carries these. Of events of the older calendar nothing is told. Calls are told of
/// account-wide, and can only be listed for everybody: each call of a colleague would list them all for every sync, so the
/// schedule finds them.
pub fn of_calendar(activities: &[Activity]) -> Vec<&'static str> {
    let of = |activity: &Activity| match activity {
        Activity::Meetings => &["meeting.created", "meeting.updated", "meeting.completed", "meeting.deleted"][..],
        Activity::Tasks => &["task.created", "task.updated", "task.completed", "task.deleted"],
        Activity::Calls | Activity::Events => &[],
    };
    activities.iter().flat_map(of).copied().collect()
}

/// A webhook, as `webhooks.register` and `webhooks.unregister` take it and `webhooks.list` shows it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    pub(crate) types: Vec<String>,
}

/// The webhook of one sync.
pub struct TeamleaderPush {
    api: Api,
    types: Vec<&'static str>,
    address: String,
}

impl TeamleaderPush {
    /// `transport` adds the account's access token; notifications of these types go below `address`.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: TeamleaderConfig,
        types: Vec<&'static str>,
        address: String,
    ) -> Self {
        Self { api: Api::new(transport, clock, config.api_url), types, address }
    }

    /// How the address of this channel begins; its token follows.
    fn prefix(&self, id: &str) -> String {
        format!("{}/{id}-", self.address)
    }
}

/// The channel and its token that the last part of a webhook's address says.
pub fn channel(secret: &str) -> Option<(&str, &str)> {
    secret.split_once('-').filter(|(id, token)| !id.is_empty() && !token.is_empty())
}

/// The type of event that a notification tells of, `contact.added`; `None` where it is no notification. Its shape beyond
/// `type` and `subject` is documented nowhere, and nothing else of it is used.
pub fn event(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Told {
        r#type: String,
    }
    serde_json::from_slice::<Told>(body).ok().map(|told| told.r#type).filter(|event| !event.is_empty())
}

#[async_trait]
impl Push for TeamleaderPush {
    fn title(&self) -> &'static str {
        "Teamleader"
    }
    fn targets(&self) -> Vec<Target> {
        // By their types: a sync that carries other activities from now on needs another webhook.
        vec![Target { name: self.types.join(","), route: Route::Channel }]
    }
    fn life(&self) -> Duration {
        Duration::MAX
    }
    fn renew_every(&self) -> Option<Duration> {
        Some(DAY)
    }

    async fn open(&self, _target: &Target, order: &Order<'_>) -> Result<Opened> {
        let url = format!("{}{}", self.prefix(order.id), order.token);
        let types = self.types.iter().map(|name| (*name).to_owned()).collect();
        let registered = self.api.act(requests::register(&Webhook { url, types })).await;
        if registered.as_ref().is_err_and(|failure| failure.kind == ErrorKind::Retryable) {
            // It may be registered, and nobody would know it: should this fail as well, the next day's look finds it.
            drop(self.close("", order.id, "").await);
        }
        registered.map(|()| Opened { resource: String::new(), until: None })
    }

    async fn channels(&self) -> Result<Vec<String>> {
        let all = self.api.read::<Data<Vec<Webhook>>>(requests::webhooks()).await?.body.data;
        let ours = |url: &str| {
            let (id, token) = channel(url.strip_prefix(&self.address)?.strip_prefix('/')?)?;
            let is_ours = id.len() == 18 && id.bytes().all(|digit| digit.is_ascii_digit()) && token.len() == 48;
            is_ours.then(|| id.to_owned())
        };
        Ok(all.iter().filter_map(|webhook| ours(&webhook.url)).collect())
    }

    /// The token is kept nowhere: the list says the whole address, of which ours is known by how it begins. What others
    /// have registered is left alone.
    async fn close(&self, _target: &str, id: &str, _resource: &str) -> Result<()> {
        let prefix = self.prefix(id);
        let all = self.api.read::<Data<Vec<Webhook>>>(requests::webhooks()).await?.body.data;
        for ours in all.iter().filter(|webhook| webhook.url.starts_with(&prefix)) {
            self.api.act(requests::unregister(ours)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_its_channel_and_token_or_is_none() {
        assert_eq!(channel("123-abc"), Some(("123", "abc")));
        for wrong in ["", "123", "-abc", "123-", "-"] {
            assert_eq!(channel(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_notification_has_a_type() {
        let told =
            br#"{"type":"contact.added","subject":{"type":"contact","id":"x"},"account":{"type":"account","id":"y"}}"#;
        assert_eq!(event(told).as_deref(), Some("contact.added"));
        for wrong in ["", "{", "[]", "{}", "null", r#"{"type":7}"#, r#"{"type":""}"#, r#"{"subject":{}}"#] {
            assert_eq!(event(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
