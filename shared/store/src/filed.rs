//! What mail syncs of one CRM account share: which messages were filed, and who has which address.
use crate::convert::{item, read, with};
use crate::{Store, StoreError, keys};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::mail::{Address, Subject};
use tandem_core::record::RemoteId;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::infra::Clock;
use tandem_ports::mail::{AddressBook, Entered, Left, MailLedger};
use tandem_ports::table::{Condition, Key, Op, TableError, Write};

/// What was filed is known for longer than the longest look back into a mailbox.
const FILED_SECONDS: i64 = 400 * 86_400;
/// Whoever began a write has it for so long: longer than the write's calls and the waits for a quota between them take.
const CLAIM_MS: i64 = 300_000;
/// An address that nobody was told about is asked for again after a day.
const ADDRESS_SECONDS: i64 = 86_400;

/// A CRM account whose mailboxes share something.
#[derive(Clone)]
struct Account {
    store: Store,
    clock: Arc<dyn Clock>,
    provider: &'static str,
    account: String,
}

impl Account {
    fn lost(&self, source: impl Into<StoreError>) -> ConnectorError {
        let detail = "what was kept of this account's mail cannot be read or noted now";
        let mut error = ConnectorError::new(self.provider, "mail.ledger", ErrorKind::Retryable, detail);
        error.source = Some(Box::new(source.into()));
        error
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }
}

/// What was filed of a CRM account's mail, by all mailboxes that are tracked to it. Keys are hashed: they hold no
/// address and no subject.
pub struct FiledMail(Account);

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// What was made; none while it is begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<RemoteId>,
    /// Until when whoever began it is at it, in milliseconds.
    #[serde(default)]
    until: i64,
}

impl FiledMail {
    /// The ledger of this account of this provider.
    pub fn of(store: Store, clock: Arc<dyn Clock>, provider: &'static str, account: &str) -> FiledMail {
        FiledMail(Account { store, clock, provider, account: account.to_owned() })
    }

    fn key(&self, key: &str) -> Key {
        keys::mail_entry(self.0.provider, &self.0.account, &hex::encode(&Sha256::digest(key)[..16]))
    }

    async fn put(&self, key: &str, entry: &Entry, conditions: Vec<Condition>) -> Result<(), TableError> {
        let kept = with(item(self.key(key), entry), "expires_at", self.0.now() + FILED_SECONDS);
        self.0.store.transact(&[Op::Put(kept, conditions)]).await
    }

    /// Notes that it is begun, where `condition` holds; whether it did.
    async fn claim(&self, key: &str, condition: Condition) -> Result<bool, ConnectorError> {
        let entry = Entry { made: None, until: self.0.clock.now().as_millisecond() + CLAIM_MS };
        match self.put(key, &entry, vec![condition]).await {
            Ok(()) => Ok(true),
            Err(TableError::Condition(_)) => Ok(false),
            Err(other) => Err(self.0.lost(other)),
        }
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let found = self.0.store.table.get(&[self.key(key)]).await?.pop().flatten();
        found.map(|item| read("mail entry", item)).transpose()
    }
}

#[async_trait]
impl MailLedger for FiledMail {
    async fn begin(&self, key: &str) -> Result<Entered, ConnectorError> {
        if self.claim(key, Condition::Absent).await? {
            return Ok(Entered::New);
        }
        let entry = self.entry(key).await.map_err(|error| self.0.lost(error))?;
        // It went meanwhile: the next try is a first one.
        let Some(entry) = entry else { return Ok(Entered::UnderWay) };
        if let Some(made) = entry.made {
            return Ok(Entered::Done(made));
        }
        let lapsed = entry.until <= self.0.clock.now().as_millisecond();
        // Of two that find it lapsed, one takes it over.
        if lapsed && self.claim(key, Condition::Equals("until", json!(entry.until))).await? {
            return Ok(Entered::Begun);
        }
        Ok(Entered::UnderWay)
    }

    async fn done(&self, key: &str, made: &RemoteId) -> Result<(), ConnectorError> {
        let entry = Entry { made: Some(made.clone()), until: 0 };
        self.put(key, &entry, Vec::new()).await.map_err(|error| self.0.lost(error))
    }

    async fn let_go(&self, key: &str, left: Left) -> Result<(), ConnectorError> {
        let noted = match left {
            Left::Nothing => self.0.store.table.write(&[Write::Delete(self.key(key))]).await,
            Left::Unknown => self.put(key, &Entry { made: None, until: 0 }, Vec::new()).await,
        };
        noted.map_err(|error| self.0.lost(error))
    }
}

/// Who has which address in a CRM account. Addresses are hashed with a key that is replaced whenever all is forgotten.
pub struct KnownAddresses {
    account: Account,
    /// As it was read or begun by this stay.
    book: Mutex<Option<Book>>,
}

/// As it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct Book {
    key: FingerprintKey,
    since: Timestamp,
}

/// Who has an address.
#[derive(Serialize, Deserialize)]
struct Holders {
    at: Vec<Subject>,
    expires_at: i64,
}

/// The address under which a subject is kept.
#[derive(Serialize, Deserialize)]
struct Listed {
    hash: String,
    expires_at: i64,
}

impl KnownAddresses {
    /// The book of this account of this provider.
    pub fn of(store: Store, clock: Arc<dyn Clock>, provider: &'static str, account: &str) -> KnownAddresses {
        let account = Account { store, clock, provider, account: account.to_owned() };
        KnownAddresses { account, book: Mutex::default() }
    }

    fn kept(&self) -> Option<Book> {
        self.book.lock().expect("no code panics while it holds this lock").clone()
    }

    async fn write_book(&self, book: Book) -> Result<(), ConnectorError> {
        let key = keys::address_book(self.account.provider, &self.account.account);
        let kept = with(item(key, &book), "expires_at", book.since.as_second() + ADDRESS_SECONDS);
        self.account.store.table.write(&[Write::Put(kept)]).await.map_err(|error| self.account.lost(error))?;
        *self.book.lock().expect("no code panics while it holds this lock") = Some(book);
        Ok(())
    }

    async fn read_book(&self) -> Result<Option<Book>, StoreError> {
        let key = keys::address_book(self.account.provider, &self.account.account);
        let found = self.account.store.table.get(&[key]).await?.pop().flatten();
        let book: Option<Book> = found.map(|item| read("address book", item)).transpose()?;
        Ok(book.filter(|book| book.since.as_second() + ADDRESS_SECONDS > self.account.now()))
    }

    fn address(&self, hash: &str) -> Key {
        keys::known_address(self.account.provider, &self.account.account, hash)
    }

    fn subject(&self, book: &Book, subject: &Subject) -> Key {
        let hash = book.key.hash(&serde_json::to_string(subject).expect("our own types serialise"));
        keys::known_subject(self.account.provider, &self.account.account, &hash)
    }

    async fn forget_all(&self, book: &Book, addresses: &[Address], subjects: &[Subject]) -> Result<(), StoreError> {
        let listed: BTreeSet<Key> = subjects.iter().map(|subject| self.subject(book, subject)).collect();
        let listed: Vec<Key> = listed.into_iter().collect();
        let mut gone: BTreeSet<Key> =
            addresses.iter().map(|address| self.address(&book.key.hash(address.as_str()))).collect();
        for found in self.account.store.table.get(&listed).await?.into_iter().flatten() {
            gone.insert(self.address(&read::<Listed>("known subject", found)?.hash));
        }
        let writes: Vec<Write> = gone.into_iter().chain(listed).map(Write::Delete).collect();
        if !writes.is_empty() {
            self.account.store.table.write(&writes).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl AddressBook for KnownAddresses {
    async fn since(&self) -> Result<Option<Timestamp>, ConnectorError> {
        let book = self.read_book().await.map_err(|error| self.account.lost(error))?;
        self.book.lock().expect("no code panics while it holds this lock").clone_from(&book);
        Ok(book.map(|book| book.since))
    }

    async fn start(&self, at: Timestamp) -> Result<(), ConnectorError> {
        let key = FingerprintKey::new(hex::encode(rand::random::<[u8; 32]>()));
        self.write_book(Book { key, since: at }).await
    }

    async fn caught_up(
        &self,
        at: Timestamp,
        addresses: &[Address],
        subjects: &[Subject],
    ) -> Result<(), ConnectorError> {
        let Some(book) = self.kept() else { return Ok(()) };
        self.forget_all(&book, addresses, subjects).await.map_err(|error| self.account.lost(error))?;
        self.write_book(Book { since: at, ..book }).await
    }

    async fn forget(&self, subjects: &[Subject]) -> Result<(), ConnectorError> {
        let Some(book) = self.kept() else { return Ok(()) };
        self.forget_all(&book, &[], subjects).await.map_err(|error| self.account.lost(error))
    }

    async fn known(&self, addresses: &[Address]) -> Result<Vec<Option<Vec<Subject>>>, ConnectorError> {
        let Some(book) = self.kept() else { return Ok(vec![None; addresses.len()]) };
        let keys: Vec<Key> = addresses.iter().map(|address| self.address(&book.key.hash(address.as_str()))).collect();
        let found = self.account.store.table.get(&keys).await.map_err(|error| self.account.lost(error))?;
        let now = self.account.now();
        let holders = |found: Option<_>| match found.map(|item| read::<Holders>("known address", item)).transpose() {
            Ok(holders) => Ok(holders.filter(|holders| holders.expires_at > now).map(|holders| holders.at)),
            Err(error) => Err(self.account.lost(error)),
        };
        found.into_iter().map(holders).collect()
    }

    async fn keep(&self, address: &Address, holders: &[Subject]) -> Result<(), ConnectorError> {
        let Some(book) = self.kept() else { return Ok(()) };
        let (hash, expires_at) = (book.key.hash(address.as_str()), self.account.now() + ADDRESS_SECONDS);
        let mut writes = vec![Write::Put(item(self.address(&hash), &Holders { at: holders.to_vec(), expires_at }))];
        for subject in holders {
            let listed = Listed { hash: hash.clone(), expires_at };
            writes.push(Write::Put(item(self.subject(&book, subject), &listed)));
        }
        self.account.store.table.write(&writes).await.map_err(|error| self.account.lost(error))
    }
}
