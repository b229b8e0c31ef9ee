//! How a provider tells of changes by itself, so that nobody waits for the schedule.
use crate::error::Result;
use async_trait::async_trait;
use jiff::Timestamp;
use std::time::Duration;

/// By what a notification says what it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// By a channel of ours, which its token proves.
    Channel,
    /// By the provider's account alone; the sender is proved by other means.
    Account {
        /// Among whose accounts: `dropbox`, `gmail`.
        provider: String,
        /// The account, as notifications name it.
        account: String,
    },
}

/// Something to be told about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// What is watched, in the provider's words: a calendar's id, `changes`, an address.
    pub name: String,
    /// By what its notifications are known.
    pub route: Route,
}

/// A channel to open.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Ours, new for every channel: a number of 18 digits (Zoho takes nothing else).
    pub id: &'a str,
    /// The secret that every notification repeats: 48 hexadecimal digits (Zoho takes 50 characters at most).
    pub token: &'a str,
    /// When it shall end; the provider may end it earlier and says so.
    pub until: Timestamp,
}

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("id", &self.id).field("until", &self.until).finish_non_exhaustive()
    }
}

/// A channel that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The provider's id of what is watched: closing needs it, and notifications repeat it. Empty where there is none.
    pub resource: String,
    /// When it ends; `None`: never.
    pub until: Option<Timestamp>,
}

/// The notifications about one side of one sync.
#[async_trait]
pub trait Push: Send + Sync {
    /// `google`, `dropbox`, as people call it.
    fn title(&self) -> &'static str;
    /// What must be watched for this sync to hear of every change.
    fn targets(&self) -> Vec<Target>;
    /// The longest life that may be asked for.
    fn life(&self) -> Duration;
    /// The provider's advice to renew more often than at 80 % of the life; where channels have no end, how often to open
    /// another one all the same.
    fn renew_every(&self) -> Option<Duration> {
        None
    }
    /// Opens a channel, or prolongs what there is where a target has only one. The first notification may come before
    /// this answers.
    async fn open(&self, target: &Target, order: &Order<'_>) -> Result<Opened>;
    /// The ids of all channels below our address that the account has, whichever sync they are of; none where the provider
    /// lists none. Asked where channels have no end of their own, so that none is left behind for good.
    async fn channels(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    /// Ends it; one that is gone has ended.
    async fn close(&self, target: &str, id: &str, resource: &str) -> Result<()>;
}
