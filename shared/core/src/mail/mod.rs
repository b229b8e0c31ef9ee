//! Tracked mail: who a message is between, which way it went, where it is filed, and why it is not.
//!
//! Nothing here reads a byte of MIME: a message's head arrives as an [`Envelope`], its text as a [`Body`].
//! [`screen`](track::screen) says what must be looked up, [`decide`](track::decide) what becomes of the message.
mod address;
mod identity;
pub mod quote;
pub(crate) mod rules;
mod sender;
pub mod track;

pub use address::{Address, Mailbox, Plus};
pub use identity::{MailKey, identity};
pub use rules::{Attachments, Labels, MailRules, TrackMode, UnknownSender};
pub use sender::NewPerson;

use crate::record::RemoteId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Which way a message went, seen from the mailbox's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It came in.
    In,
    /// The owner sent it.
    Out,
}

impl Direction {
    /// `in` or `out`, as the CRM says it.
    pub fn word(self) -> &'static str {
        match self {
            Direction::In => "in",
            Direction::Out => "out",
        }
    }
}

/// Where the mailbox keeps a message. One message may be in several places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Sent by the mailbox's owner. The one proof of direction: a `From` line can say anything.
    Sent,
    /// Not sent yet.
    Draft,
    /// Taken for spam.
    Spam,
    /// Thrown away.
    Trash,
    /// A chat that only looks like mail.
    Chat,
}

/// What a person asks for by a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Track it.
    Track,
    /// Track it and make a task of it.
    Task,
    /// Track it and add whoever is not known.
    Contact,
}

/// What the receiving server found out about a `From` line (`Authentication-Results`, RFC 8601).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentic {
    /// The domain stands by it.
    Yes,
    /// The domain says it is not its own: the line is forged.
    No,
    /// Nobody checked, or the domain does not say.
    Unknown,
}

/// The head of a message, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `Message-ID` as it is written, without the angle brackets.
    pub message_id: Option<String>,
    /// Who wrote it.
    pub from: Vec<Mailbox>,
    /// To whom.
    pub to: Vec<Mailbox>,
    /// Who else.
    pub cc: Vec<Mailbox>,
    /// One line; empty when there is none.
    pub subject: String,
    /// The `Date` line, or when the mailbox got it.
    pub sent_at: Option<Timestamp>,
    /// Where the mailbox keeps it.
    pub places: BTreeSet<Place>,
    /// What the owner's labels ask for.
    pub wishes: BTreeSet<Wish>,
    /// Whether the `From` line is its domain's own.
    pub authentic: Authentic,
    /// Its size in bytes, with attachments.
    pub bytes: u64,
}

/// A message is personal data: `Debug` shows its shape.
impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("recipients", &(self.to.len() + self.cc.len()))
            .field("places", &self.places)
            .field("wishes", &self.wishes)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// A message's text, safe to show.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// Sanitised HTML; `None` where the message has none, or too much of it.
    pub html: Option<String>,
    /// The same as plain text.
    pub text: String,
    /// What was attached.
    pub attachments: Vec<Attachment>,
    /// What was left out of it.
    pub left_out: BTreeSet<LeftOut>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("attachments", &self.attachments.len())
            .field("left_out", &self.left_out)
            .finish_non_exhaustive()
    }
}

/// Something that was attached to a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, a plain file name.
    pub name: String,
    /// Its media type, such as `application/pdf`.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.media_type, self.bytes.len())
    }
}

/// Why a body is not all that the message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Earlier messages quoted below.
    Quotes,
    /// Pictures that load from elsewhere, such as tracking pixels.
    Pictures,
    /// Scripts, styles, forms, frames.
    Active,
    /// Attachments beyond as many as are kept.
    Attachments,
    /// The end of a text longer than is kept.
    TheRest,
    /// All of it: the message is too large to be read.
    Everything,
}

/// What mail can be filed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A person.
    Contact,
    /// An organisation.
    Company,
}

/// A record of the CRM that mail is filed at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: SubjectKind,
    /// Its id in the CRM.
    pub id: RemoteId,
}

/// A message as it is filed in the CRM.
#[derive(Clone, PartialEq, Eq)]
pub struct TrackedMail {
    /// Its identity: the same message in two mailboxes has the same.
    pub key: MailKey,
    /// Which way it went, for the mailbox it was found in.
    pub direction: Direction,
    /// Its head.
    pub envelope: Envelope,
    /// Its text.
    pub body: Body,
    /// Where it is filed, each once.
    pub at: Vec<Subject>,
    /// Whose mailbox it was found in.
    pub participant: Address,
    /// Where a person can open it.
    pub link: String,
}

impl fmt::Debug for TrackedMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedMail")
            .field("key", &self.key)
            .field("direction", &self.direction)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
