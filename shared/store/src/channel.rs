//! Watch channels: what a provider's notification is known by, and each sync's book of the channels it has.
//!
//! A channel's token is never stored, only its hash. Rows outlive their channels for a while, as notifications come late.
use crate::convert::{item, read, with};
use crate::{Store, StoreError, keys};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tandem_core::record::{Side, SyncId};
use tandem_ports::table::{Condition, Item, Key, Op, TableError, Update, Write};

/// How long a row is kept after its channel has ended, in seconds.
const KEPT: i64 = 7 * 86_400;
/// How long a row is kept whose channel has no end, in seconds; another one takes its place long before.
const ENDLESS: i64 = 90 * 86_400;
/// How long a row is kept whose channel never came to be, in seconds.
const UNOPENED: i64 = 86_400;
/// How long the id of a message is remembered, in seconds; Pub/Sub redelivers for a week at most.
const MESSAGE: i64 = 8 * 86_400;
/// A channel's id has at most this many characters, as Google says.
const LONGEST_ID: usize = 64;

/// How a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// The provider was asked, and may tell already.
    Opening,
    /// It tells.
    Open,
    /// It was ended by us.
    Closed,
    /// It was ended by us and told all the same.
    Haunting,
}

/// What a notification's channel leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRow {
    /// Whose changes it tells of.
    pub sync: SyncId,
    /// SHA-256 of the token, in hexadecimal.
    pub token_hash: String,
    /// The provider's id of what is watched; empty until it has answered.
    #[serde(default)]
    pub resource: String,
    /// How it is.
    pub state: ChannelState,
    /// The table may drop it after this (seconds since 1970).
    pub expires_at: i64,
}

impl ChannelRow {
    /// A channel that is about to be opened.
    pub fn opening(sync: &SyncId, token: &str, now: Timestamp) -> Self {
        Self {
            sync: sync.clone(),
            token_hash: hashed(token),
            resource: String::new(),
            state: ChannelState::Opening,
            expires_at: now.as_second() + UNOPENED,
        }
    }

    /// Whether this is the channel's token. Takes the same time for every wrong one.
    pub fn proves(&self, token: &str) -> bool {
        let (said, known) = (hashed(token), self.token_hash.as_bytes());
        let differs = said.bytes().zip(known).fold(0, |differs, (a, b)| differs | (a ^ b));
        !token.is_empty() && said.len() == known.len() && differs == 0
    }
}

fn hashed(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Whether a sync hears of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushState {
    /// It hears of every change.
    On,
    /// It should, and does not: the schedule looks.
    Lapsed,
    /// It shall not.
    #[default]
    Off,
}

/// A channel in a sync's book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Ours.
    pub id: String,
    /// What it watches.
    pub target: String,
    /// Where notifications name only the account: whose it is, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<(String, String)>,
    /// The provider's id of what it watches.
    #[serde(default)]
    pub resource: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ends; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Channel {
    /// Whether it has not ended by itself.
    pub fn lives(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Something that its provider does not tell of, whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// What was to be watched.
    pub target: String,
    /// When it is asked for again.
    pub until: Timestamp,
}

/// A sync's channels on one side, and what people are shown of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushBook {
    /// Whether it hears of changes.
    pub state: PushState,
    /// Why not: one sentence for people, free of personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Those that tell.
    #[serde(default)]
    pub channels: Vec<Channel>,
    /// Those that were ended by us before their time.
    #[serde(default)]
    pub closed: Vec<Channel>,
    /// Tries to open one that failed since the last that did not.
    #[serde(default)]
    pub failures: u32,
    /// Not tried again before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// What cannot be watched; the others are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mute: Vec<Mute>,
    /// Grows with every change: who writes must have read the one before.
    #[serde(default)]
    pub version: i64,
}

/// A sync's books; `None` where that side has never been asked to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushBooks {
    /// Of the CRM.
    pub left: Option<PushBook>,
    /// Of the remote side.
    pub right: Option<PushBook>,
}

impl PushBook {
    /// When the first of its channels ends.
    pub fn until(&self) -> Option<Timestamp> {
        self.channels.iter().filter_map(|channel| channel.until).min()
    }

    /// Whether this was found not to be watchable, lately.
    pub fn is_mute(&self, target: &str, now: Timestamp) -> bool {
        self.mute.iter().any(|one| one.target == target && now < one.until)
    }
}

impl Store {
    /// What a notification's channel leads to.
    pub async fn channel(&self, id: &str) -> Result<Option<ChannelRow>, StoreError> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return Ok(None);
        }
        let found = self.table.get(&[keys::channel(id)]).await?.pop().flatten();
        found.map(|item| read("channel", item)).transpose()
    }

    /// The same for several, in their order, in one request.
    pub async fn channels(&self, ids: &[&str]) -> Result<Vec<Option<ChannelRow>>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| keys::channel(id)).collect();
        let found = self.get(&keys).await?.into_iter();
        found.map(|item| item.map(|item| read("channel", item)).transpose()).collect()
    }

    /// Saves a channel before its provider hears of it.
    pub async fn save_channel(&self, id: &str, row: &ChannelRow) -> Result<(), StoreError> {
        Ok(self.transact(&[Op::Put(item(keys::channel(id), row), vec![Condition::Absent])]).await?)
    }

    /// Notes that the provider has opened it.
    pub async fn note_opened(&self, channel: &Channel) -> Result<(), StoreError> {
        let kept = channel.until.map(|until| until.as_second() + KEPT);
        let ends = kept.unwrap_or(channel.opened_at.as_second() + ENDLESS);
        let set = Map::from_iter([
            ("resource".to_owned(), json!(channel.resource)),
            ("state".to_owned(), json!(ChannelState::Open)),
            ("expires_at".to_owned(), json!(ends)),
        ]);
        self.change_channel(&channel.id, set, &[Condition::Present]).await.map(drop)
    }

    /// Notes that it was ended by us.
    pub async fn note_closed(&self, id: &str) -> Result<(), StoreError> {
        let set = Map::from_iter([("state".to_owned(), json!(ChannelState::Closed))]);
        self.change_channel(id, set, &[Condition::Present]).await.map(drop)
    }

    /// Notes that it told all the same.
    pub async fn note_haunting(&self, id: &str) -> Result<(), StoreError> {
        let set = Map::from_iter([("state".to_owned(), json!(ChannelState::Haunting))]);
        let closed = [Condition::Equals("state", json!(ChannelState::Closed))];
        self.change_channel(id, set, &closed).await.map(drop)
    }

    async fn change_channel(
        &self,
        id: &str,
        set: Map<String, Value>,
        conditions: &[Condition],
    ) -> Result<bool, StoreError> {
        match self.update(&keys::channel(id), &Update { set, add: vec![] }, conditions).await {
            Ok(_) => Ok(true),
            Err(TableError::Condition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A sync's book of one side.
    pub async fn push_book(&self, sync: &SyncId, side: Side) -> Result<Option<PushBook>, StoreError> {
        let found = self.table.get(&[keys::push_book(sync, side)]).await?.pop().flatten();
        found.map(|item| read("push book", item)).transpose()
    }

    /// The books of several syncs, in their order, in one request.
    pub async fn push_books(&self, syncs: &[SyncId]) -> Result<Vec<PushBooks>, StoreError> {
        let both = |sync| [Side::Left, Side::Right].map(|side| keys::push_book(sync, side));
        let keys: Vec<Key> = syncs.iter().flat_map(both).collect();
        let found = self.get(&keys).await?.into_iter();
        let mut books = found.map(|item| item.map(|item| read("push book", item)).transpose());
        let mut next = || books.next().transpose().map(Option::flatten);
        syncs.iter().map(|_| Ok(PushBooks { left: next()?, right: next()? })).collect()
    }

    /// Replaces a sync's book of one side, if it is still as it was read and the sync is still there. Answers the new version.
    pub async fn save_push_book(&self, sync: &SyncId, side: Side, book: &PushBook) -> Result<PushBook, StoreError> {
        let next = PushBook { version: book.version + 1, ..book.clone() };
        let unchanged = match book.version {
            0 => Condition::Absent,
            version => Condition::Equals("version", version.into()),
        };
        let there = Op::Check(keys::sync(sync), vec![Condition::Present]);
        self.transact(&[there, Op::Put(item(keys::push_book(sync, side), &next), vec![unchanged])]).await?;
        Ok(next)
    }

    /// From now on this sync hears of this account.
    pub async fn listen(&self, provider: &str, account: &str, sync: &SyncId) -> Result<(), StoreError> {
        let pointer = item(keys::listener(provider, account, sync), &json!({}));
        Ok(self.table.write(&[Write::Put(pointer)]).await?)
    }

    /// From now on it does not.
    pub async fn turn_away(&self, provider: &str, account: &str, sync: &SyncId) -> Result<(), StoreError> {
        Ok(self.table.write(&[Write::Delete(keys::listener(provider, account, sync))]).await?)
    }

    /// The syncs that hear of this account.
    pub async fn listeners(&self, provider: &str, account: &str) -> Result<Vec<SyncId>, StoreError> {
        let ids = self.pointers(keys::listeners_pk(provider, account), "sync:").await?;
        Ok(ids.into_iter().map(SyncId::new).collect())
    }

    /// Tells whoever works on this sync, now or next, that there is more to read.
    pub async fn note_heard(&self, sync: &SyncId) -> Result<(), StoreError> {
        let set = Map::from_iter([("dirty".to_owned(), json!(true))]);
        self.update(&keys::lease(sync), &Update { set, add: vec![("heard", 1)] }, &[]).await?;
        Ok(())
    }

    /// Whether this message was worked on already.
    pub async fn knows_message(&self, provider: &str, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let found = self.table.get(&[keys::message(provider, &hashed(id))]).await?.pop().flatten();
        let until = |item: Item| item.attributes.get("expires_at").and_then(Value::as_i64);
        Ok(found.and_then(until).is_some_and(|until| until > now.as_second()))
    }

    /// Remembers it.
    pub async fn remember_message(&self, provider: &str, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let mark = item(keys::message(provider, &hashed(id)), &json!({}));
        Ok(self.table.write(&[Write::Put(with(mark, "expires_at", now.as_second() + MESSAGE))]).await?)
    }
}

/// How often a sync was told that there is more, from its lease's item.
pub(crate) fn heard(lease: Option<&Item>) -> i64 {
    lease.and_then(|item| item.attributes.get("heard")?.as_i64()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_channels_own_token_proves_it() {
        let row = ChannelRow::opening(&SyncId::new("s"), "a secret", Timestamp::UNIX_EPOCH);
        assert!(row.proves("a secret"));
        for wrong in ["", "a secreT", "a secret ", &row.token_hash] {
            assert!(!row.proves(wrong), "{wrong}");
        }
        let broken = ChannelRow { token_hash: String::new(), ..row };
        assert!(!broken.proves("") && !broken.proves("a secret"));
    }
}
