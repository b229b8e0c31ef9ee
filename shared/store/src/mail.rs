//! What people ask of a mail sync from inside their mailbox, until the worker has taken it up.
use crate::convert::{item, read, with};
use crate::{Store, StoreError, keys};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tandem_core::mail::Wish;
use tandem_core::record::{RemoteId, SyncId};
use tandem_ports::table::{Index, Key, Op, Query, Write};

/// A message that waits for a person's word is remembered this long.
const MESSAGE_SECONDS: i64 = 90 * 86_400;
/// A message that is being written is sent within a day, or it is another one.
const SENT_SECONDS: i64 = 86_400;

/// Something asked of a mail sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailAsk {
    /// What.
    pub what: Asked,
    /// When.
    pub at: Timestamp,
    /// Whether the worker has looked at the message; it waits for a person's word, or for the provider, since.
    #[serde(default)]
    pub taken_up: bool,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asked {
    /// This message, as if it had the label.
    Message {
        /// Which.
        id: RemoteId,
        /// What is wished for.
        wish: Wish,
    },
    /// The next message that is sent to somebody. Who that is stands there as a hash with the sync's own key.
    Sent {
        /// The hash of the address.
        to: String,
    },
}

impl MailAsk {
    /// Asked now.
    pub fn new(what: Asked, at: Timestamp) -> Self {
        Self { what, at, taken_up: false }
    }

    /// Until when it is of use.
    pub fn ends_at(&self) -> i64 {
        let good_for = match self.what {
            Asked::Message { .. } => MESSAGE_SECONDS,
            Asked::Sent { .. } => SENT_SECONDS,
        };
        self.at.as_second() + good_for
    }

    /// Asking twice is asking once.
    fn key(&self, sync: &SyncId) -> Key {
        let what = serde_json::to_vec(&self.what).expect("our own types serialise");
        keys::mail_ask(sync, &hex::encode(&Sha256::digest(what)[..16]))
    }
}

impl Store {
    /// Keeps something that was asked. Also notes that it was taken up.
    pub async fn save_mail_ask(&self, sync: &SyncId, ask: &MailAsk) -> Result<(), StoreError> {
        let kept = with(item(ask.key(sync), ask), "expires_at", ask.ends_at());
        Ok(self.table.write(&[Write::Put(kept)]).await?)
    }

    /// All that is asked of a sync and not out of date, at most a thousand. One request.
    pub async fn mail_asks(&self, sync: &SyncId, now: Timestamp) -> Result<Vec<MailAsk>, StoreError> {
        let query = Query {
            pk: keys::sync_pk(sync),
            index: Index::Main,
            prefix: "ask:".to_owned(),
            after: None,
            up_to: None,
            descending: false,
            limit: 1000,
        };
        let page = self.table.query(&query).await?;
        let all = page.items.into_iter().map(|item| read::<MailAsk>("mail ask", item));
        let all: Vec<MailAsk> = all.collect::<Result<_, _>>()?;
        Ok(all.into_iter().filter(|ask| ask.ends_at() > now.as_second()).collect())
    }

    /// Puts the ask for a message in the place of the one for the next message sent to somebody. All or nothing.
    pub async fn meet_mail_ask(&self, sync: &SyncId, sent: &MailAsk, message: &MailAsk) -> Result<(), StoreError> {
        let kept = with(item(message.key(sync), message), "expires_at", message.ends_at());
        let both = [Op::Put(kept, Vec::new()), Op::Delete(sent.key(sync), Vec::new())];
        Ok(self.transact(&both).await?)
    }

    /// Forgets what has been done.
    pub async fn drop_mail_asks(&self, sync: &SyncId, asks: &[MailAsk]) -> Result<(), StoreError> {
        if asks.is_empty() {
            return Ok(());
        }
        let gone: Vec<Write> = asks.iter().map(|ask| Write::Delete(ask.key(sync))).collect();
        Ok(self.table.write(&gone).await?)
    }
}
