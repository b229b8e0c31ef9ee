//! Notifications about calendars (channels on their events) and about a mailbox (a watch that Pub/Sub carries).
use crate::calendar::{Channel, ChosenCalendars, GoogleCalendar, OpenChannel};
use crate::config::GoogleConfig;
use crate::gmail::GoogleMail;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::record::ContainerId;
use tandem_ports::error::Result;
use tandem_ports::infra::HttpTransport;
use tandem_ports::mail::MailSource as _;
use tandem_ports::push::{Opened, Order, Push, Route, Target};

/// As long as a channel and a watch live where nothing else is said (Calendar and Gmail, "Push notifications").
const WEEK: Duration = Duration::from_secs(604_800);
/// "We recommend calling watch once per day" (Gmail).
const DAY: Duration = Duration::from_secs(86_400);
/// Among whose accounts Gmail's notifications name one.
pub const MAILBOXES: &str = "gmail";

/// The name under which a mailbox's notifications are listened to.
pub fn mailbox(address: &str) -> String {
    address.trim().to_lowercase()
}

/// A channel on each of the calendars that a sync goes by.
pub struct CalendarPush {
    transport: Arc<dyn HttpTransport>,
    config: GoogleConfig,
    chosen: ChosenCalendars,
    address: String,
}

impl CalendarPush {
    /// `transport` adds the account's access token; notifications go to `address`, which must be https.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        config: GoogleConfig,
        chosen: ChosenCalendars,
        address: String,
    ) -> Self {
        Self { transport, config, chosen, address }
    }

    fn calendar(&self, name: &str) -> GoogleCalendar {
        GoogleCalendar::new(Arc::clone(&self.transport), self.config.clone(), ContainerId::new(name))
    }
}

#[async_trait]
impl Push for CalendarPush {
    fn title(&self) -> &'static str {
        "Google Calendar"
    }
    fn targets(&self) -> Vec<Target> {
        self.chosen.names().into_iter().map(|name| Target { name, route: Route::Channel }).collect()
    }
    fn life(&self) -> Duration {
        WEEK
    }

    async fn open(&self, target: &Target, order: &Order<'_>) -> Result<Opened> {
        let (id, token) = (order.id.to_owned(), order.token.to_owned());
        let channel = Channel { id, token, address: self.address.clone(), expires: order.until };
        let opened = self.calendar(&target.name).watch(&channel).await?;
        Ok(Opened { resource: opened.resource, until: Some(opened.expires) })
    }

    async fn close(&self, target: &str, id: &str, resource: &str) -> Result<()> {
        let expires = jiff::Timestamp::UNIX_EPOCH;
        let channel = OpenChannel { id: id.to_owned(), resource: resource.to_owned(), expires };
        self.calendar(target).stop(&channel).await
    }
}

/// The watch on a mailbox. A mailbox has one, however many ask for it.
pub struct MailPush {
    mail: GoogleMail,
    address: String,
    topic: String,
}

impl MailPush {
    /// `topic` is the Pub/Sub topic that Gmail may publish to; `address` is the mailbox's own.
    pub fn new(transport: Arc<dyn HttpTransport>, config: GoogleConfig, address: &str, topic: &str) -> Self {
        let mail = GoogleMail::new(transport, config, address);
        Self { mail, address: mailbox(address), topic: topic.to_owned() }
    }
}

#[async_trait]
impl Push for MailPush {
    fn title(&self) -> &'static str {
        "Gmail"
    }
    fn targets(&self) -> Vec<Target> {
        let route = Route::Account { provider: MAILBOXES.to_owned(), account: self.address.clone() };
        vec![Target { name: "mailbox".to_owned(), route }]
    }
    fn life(&self) -> Duration {
        WEEK
    }
    fn renew_every(&self) -> Option<Duration> {
        Some(DAY)
    }

    async fn open(&self, _target: &Target, _order: &Order<'_>) -> Result<Opened> {
        // The history id of the answer is not ours to use: where the delta begins is what the cursor says.
        let watch = self.mail.watch(&self.topic).await?;
        Ok(Opened { resource: String::new(), until: Some(watch.expires_at) })
    }

    async fn close(&self, _target: &str, _id: &str, _resource: &str) -> Result<()> {
        self.mail.stop().await
    }
}
