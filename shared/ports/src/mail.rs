//! Mail: a mailbox that is read, and a CRM that messages are filed in. No two-sided sync of records: a message never
//! changes, and nothing is written into the mailbox but the labels by which its owner asks for tracking.
use crate::connector::{Cursor, Outcomes};
use crate::error::Result;
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tandem_core::mail::{Address, NewPerson, Place, Subject, TrackedMail};
use tandem_core::record::RemoteId;

/// A mailbox's own id of a label. Survives renaming.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelId(pub String);

/// Whose mailbox it is, and where its feed is now.
#[derive(Clone, Debug)]
pub struct MailAccount {
    /// The owner's address.
    pub address: Address,
    /// Where the feed is now: what comes after it is new.
    pub now: Cursor,
}

/// What happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailChange {
    /// It came, or was sent. Its labels, where the feed says them.
    Appeared(RemoteId, Option<BTreeSet<LabelId>>),
    /// It was given these labels.
    Labelled(RemoteId, BTreeSet<LabelId>),
    /// It was deleted for good. What was filed of it stays filed.
    Gone(RemoteId),
}

/// What happened to a mailbox at once.
#[derive(Clone, Debug)]
pub struct MailRecord {
    /// To which messages, and what.
    pub changes: Vec<MailChange>,
    /// Where to go on after it: a long page may be left in the middle.
    pub after: Cursor,
}

/// A slice of the mailbox's feed.
#[derive(Clone, Debug)]
pub struct MailPage {
    /// What happened, in the mailbox's order.
    pub records: Vec<MailRecord>,
    /// Where to go on.
    pub next: crate::connector::Next,
}

/// Which messages to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Those with this label, of the last so many days.
    WithLabel(LabelId, u32),
    /// All of the last so many days, without spam and bin.
    All(u32),
}

/// A page of a listing, the newest messages first.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The messages.
    pub ids: Vec<RemoteId>,
    /// The next page.
    pub next: Option<Cursor>,
    /// How many there are in all, as the mailbox guesses.
    pub about: Option<u64>,
}

/// The head of a message.
#[derive(Clone)]
pub struct MailHead {
    /// Which.
    pub id: RemoteId,
    /// Name and value of the headers that were asked for.
    pub headers: Vec<(String, String)>,
    /// Its labels.
    pub labels: BTreeSet<LabelId>,
    /// Where it is.
    pub places: BTreeSet<Place>,
    /// When the mailbox got it.
    pub received_at: Option<Timestamp>,
    /// Its size in bytes, about.
    pub bytes: u64,
}

/// Personal data: `Debug` shows ids and shape.
impl fmt::Debug for MailHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailHead")
            .field("id", &self.id)
            .field("labels", &self.labels)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// A mailbox's promise to notify us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailWatch {
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A mailbox.
#[async_trait]
pub trait MailSource: Send + Sync {
    /// As in errors and settings.
    fn provider(&self) -> &'static str;
    /// The `authserv-id` under which this mailbox's own server writes `Authentication-Results`.
    fn trusted_server(&self) -> &'static str;
    /// Most messages of one [`MailSource::heads`].
    fn head_batch(&self) -> usize;
    /// Where a person can open a message.
    fn link(&self, id: &RemoteId) -> String;

    /// Whose it is. One cheap call.
    async fn account(&self) -> Result<MailAccount>;
    /// What happened since the cursor. Nothing new: one call. `CursorExpired` when the mailbox no longer knows.
    async fn changes(&self, from: &Cursor) -> Result<MailPage>;
    /// A page of messages.
    async fn list(&self, listing: &Listing, page: Option<&Cursor>) -> Result<ListPage>;
    /// The heads of messages, in one call; `None` where a message is gone. Each may be refused by itself: a mailbox in
    /// a hurry serves some of a batch.
    async fn heads(&self, ids: &[RemoteId], headers: &[&str]) -> Result<Outcomes<Option<MailHead>>>;
    /// A message, byte by byte; `None` when it is gone.
    async fn raw(&self, id: &RemoteId) -> Result<Option<Vec<u8>>>;
    /// The labels with these ids or, where there is none, names; made where there is neither. In that order.
    async fn ensure_labels(&self, wanted: &[(Option<LabelId>, &str)]) -> Result<Vec<LabelId>>;
    /// Asks to be notified on this topic; asking again prolongs it.
    async fn watch(&self, topic: &str) -> Result<MailWatch>;
    /// Asks not to be notified any more.
    async fn stop(&self) -> Result<()>;
}

/// What became of filing a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed {
    /// The e-mail in the CRM.
    pub id: RemoteId,
    /// Whether this call made it.
    pub how: FiledHow,
}

/// Whether filing made an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiledHow {
    /// It is new.
    Made,
    /// It was there, filed from another mailbox or by an earlier try; what was missing of it was added.
    Found,
}

/// A task to be made of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct MailTask {
    /// What it is called.
    pub title: String,
    /// Where the message can be opened.
    pub link: String,
    /// When it is due.
    pub due_on: jiff::civil::Date,
}

impl fmt::Debug for MailTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailTask").field("due_on", &self.due_on).finish_non_exhaustive()
    }
}

/// The CRM side of mail. Every write may be repeated: it finds what an earlier one has made.
#[async_trait]
pub trait MailDesk: Send + Sync {
    /// As in errors and settings.
    fn provider(&self) -> &'static str;
    /// Who has these addresses, by an index: no scan, and no call an address. Addresses of nobody are left out.
    async fn known(&self, addresses: &[Address]) -> Result<BTreeMap<Address, Vec<Subject>>>;
    /// Adds a person, or answers the one who has the address by now.
    async fn add_person(&self, person: &NewPerson) -> Result<Subject>;
    /// What people call these contacts and companies, in that order; `None` where one is gone.
    async fn names(&self, subjects: &[Subject]) -> Result<Vec<Option<String>>>;
    /// Files a message once, whoever files it: a second mailbox adds its owner and its people to the same e-mail. What
    /// is attached becomes files of the first record that it is filed at, each once.
    async fn file(&self, mail: &TrackedMail) -> Result<Filed>;
    /// Makes the task of an e-mail, once.
    async fn add_task(&self, email: &RemoteId, task: &MailTask) -> Result<RemoteId>;
    /// Takes a mailbox's owner out of an e-mail, and the e-mail out of the CRM when nobody is left in it. What is gone
    /// already is done.
    async fn remove(&self, email: &RemoteId, participant: &Address) -> Result<()>;
    /// What people call these e-mails, in that order; `None` where one is gone.
    async fn titles(&self, emails: &[RemoteId]) -> Result<Vec<Option<String>>>;
}

/// What a ledger knew of a write before it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// Nothing: it is noted as begun now.
    New,
    /// It was begun before and what became of it is unknown; it is noted as begun anew.
    Begun,
    /// Another mailbox is at it at this moment: its outcome must be waited for.
    UnderWay,
    /// It is done, and this is what it made.
    Done(RemoteId),
}

/// What a write left behind that is let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing that would be made twice.
    Nothing,
    /// There was no answer: it may have been made.
    Unknown,
}

/// Which messages were filed where, for a CRM that keeps no identity of a message. Durable, and one for all mailboxes of
/// a CRM account: of all that begin one write at the same time, one is told to go on.
#[async_trait]
pub trait MailLedger: Send + Sync {
    /// Notes that a write is begun, unless it is done or somebody else is at it. Who goes on says what became of it, by
    /// [`MailLedger::done`] or [`MailLedger::let_go`]; of one who never does, the write counts as begun after five
    /// minutes.
    async fn begin(&self, key: &str) -> Result<Entered>;
    /// Notes what it made.
    async fn done(&self, key: &str, made: &RemoteId) -> Result<()>;
    /// Lets go of a write that is not done.
    async fn let_go(&self, key: &str, left: Left) -> Result<()>;
}

/// Who has which address, kept for a CRM that is asked for one address a call: also that nobody has it. Durable, and one
/// for all mailboxes of a CRM account. Addresses are kept as keyed hashes. What the CRM tells as changed is to be
/// forgotten here; whatever it does not tell is out after a day.
#[async_trait]
pub trait AddressBook: Send + Sync {
    /// Up to when changes were taken in; `None` where nothing is kept.
    async fn since(&self) -> Result<Option<Timestamp>>;
    /// Forgets all, and counts changes from `at`.
    async fn start(&self, at: Timestamp) -> Result<()>;
    /// Forgets what is kept of these, and counts changes from `at`.
    async fn caught_up(&self, at: Timestamp, addresses: &[Address], subjects: &[Subject]) -> Result<()>;
    /// Forgets where these are kept.
    async fn forget(&self, subjects: &[Subject]) -> Result<()>;
    /// What is kept of these addresses, in that order; `None` where they must be asked for. One request a hundred.
    async fn known(&self, addresses: &[Address]) -> Result<Vec<Option<Vec<Subject>>>>;
    /// Keeps who has an address.
    async fn keep(&self, address: &Address, holders: &[Subject]) -> Result<()>;
}
