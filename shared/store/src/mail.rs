//! What people ask of a mail sync from inside their mailbox, until the worker has taken it up.
use crate::convert::{item, read, with};
use crate::{Store, StoreError, keys};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tandem_core::mail::Wish;
use tandem_core::record::{RemoteId, SyncId};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::infra::Clock;
use tandem_ports::mail::{Entered, MailLedger};
use tandem_ports::table::{Condition, Index, Key, Op, Query, TableError, Write};

/// A message that waits for a person's word is remembered this long.
const MESSAGE_SECONDS: i64 = 90 * 86_400;
/// A message that is being written is sent within a day, or it is another one.
const SENT_SECONDS: i64 = 86_400;

/// What was filed is known for longer than the longest look back into a mailbox.
const FILED_SECONDS: i64 = 400 * 86_400;

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

    /// Forgets what has been done.
    pub async fn drop_mail_asks(&self, sync: &SyncId, asks: &[MailAsk]) -> Result<(), StoreError> {
        if asks.is_empty() {
            return Ok(());
        }
        let gone: Vec<Write> = asks.iter().map(|ask| Write::Delete(ask.key(sync))).collect();
        Ok(self.table.write(&gone).await?)
    }
}

/// What was filed of a CRM account's mail, by all mailboxes that are tracked to it. Keys are hashed: they hold no
/// address and no subject.
pub struct FiledMail {
    store: Store,
    clock: Arc<dyn Clock>,
    provider: &'static str,
    account: String,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// What was made; none while it is begun.
    #[serde(default)]
    made: Option<RemoteId>,
}

impl FiledMail {
    /// The ledger of this account of this provider.
    pub fn of(store: Store, clock: Arc<dyn Clock>, provider: &'static str, account: &str) -> FiledMail {
        FiledMail { store, clock, provider, account: account.to_owned() }
    }

    fn key(&self, key: &str) -> Key {
        keys::mail_entry(self.provider, &self.account, &hex::encode(&Sha256::digest(key)[..16]))
    }

    fn put(&self, key: &str, made: Option<&RemoteId>, conditions: Vec<Condition>) -> Op {
        let until = self.clock.now().as_second() + FILED_SECONDS;
        Op::Put(with(item(self.key(key), &Entry { made: made.cloned() }), "expires_at", until), conditions)
    }

    fn lost(&self, source: StoreError) -> ConnectorError {
        let detail = "what was filed of this mail cannot be read or noted now";
        let mut error = ConnectorError::new(self.provider, "mail.ledger", ErrorKind::Retryable, detail);
        error.source = Some(Box::new(source));
        error
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let found = self.store.table.get(&[self.key(key)]).await?.pop().flatten();
        found.map(|item| read("mail entry", item)).transpose()
    }
}

#[async_trait]
impl MailLedger for FiledMail {
    async fn begin(&self, key: &str) -> Result<Entered, ConnectorError> {
        match self.store.transact(&[self.put(key, None, vec![Condition::Absent])]).await {
            Ok(()) => return Ok(Entered::New),
            Err(TableError::Condition(_)) => {}
            Err(other) => return Err(self.lost(other.into())),
        }
        let entry = self.entry(key).await.map_err(|error| self.lost(error))?;
        Ok(entry.and_then(|entry| entry.made).map_or(Entered::Begun, Entered::Done))
    }

    async fn done(&self, key: &str, made: &RemoteId) -> Result<(), ConnectorError> {
        let noted = self.store.transact(&[self.put(key, Some(made), Vec::new())]).await;
        noted.map_err(|error| self.lost(error.into()))
    }
}
