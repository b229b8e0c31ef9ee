//! What is known of one file or folder: its copy on each side, and what both last agreed on.
use super::entry::{Access, EntryKind, Hashes};
use super::hash::DigestState;
use crate::plan::Reason;
use crate::record::{RemoteId, RowKey, RunId, Side, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What part an entry plays in the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A module's folder. The CRM has no such thing; its copy there is made up.
    Module,
    /// A record and its folder.
    Record,
    /// A file or folder within a record.
    #[default]
    Item,
}

/// An entry as one side has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Its id there.
    pub id: RemoteId,
    /// The folder's id; `None`: the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RemoteId>,
    /// Its name there.
    pub name: String,
    /// Its name as the side compares it, where the side tells paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<String>,
    /// What it is there.
    #[serde(flatten)]
    pub kind: EntryKind,
    /// Its version there.
    pub version: Version,
    /// When a person last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
    /// Whether we may write to it.
    #[serde(default)]
    pub access: Access,
    /// The listing that last showed it.
    #[serde(default)]
    pub seen: u64,
    /// The listing in which what is in it was read (folders); of a side that tells records alone the round that met it
    /// (records, where the round took several jobs).
    #[serde(default)]
    pub listed: u64,
    /// Readings of its record, one after the other, that did not show it (sides without a feed of their files).
    #[serde(default, skip_serializing_if = "is_none")]
    pub missed: u32,
}

fn is_none(number: &u32) -> bool {
    *number == 0
}

/// Names are personal data: `Debug` shows ids.
impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("id", &self.id).field("parent", &self.parent).finish_non_exhaustive()
    }
}

impl Copy {
    /// Whether other entries can be in it.
    pub fn is_folder(&self) -> bool {
        matches!(self.kind, EntryKind::Folder | EntryKind::Record { .. })
    }
    /// Its hashes, where it is a file that has some.
    pub fn hashes(&self) -> Option<&Hashes> {
        match &self.kind {
            EntryKind::File { hashes, .. } => Some(hashes),
            EntryKind::Record { .. } | EntryKind::Folder | EntryKind::Native { .. } | EntryKind::Shortcut => None,
        }
    }
    /// How many bytes it has.
    pub fn size(&self) -> Option<u64> {
        match &self.kind {
            EntryKind::File { size, .. } => Some(*size),
            EntryKind::Record { .. } | EntryKind::Folder | EntryKind::Native { .. } | EntryKind::Shortcut => None,
        }
    }
    /// Names the bytes that it has now.
    pub fn content(&self) -> Option<&Version> {
        match &self.kind {
            EntryKind::File { content, .. } | EntryKind::Native { content, .. } => Some(content),
            EntryKind::Record { .. } | EntryKind::Folder | EntryKind::Shortcut => None,
        }
    }
}

/// What one side's copy was like when both last agreed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// Its id.
    pub id: RemoteId,
    /// Its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RemoteId>,
    /// Its name.
    pub name: String,
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Version>,
}

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The code of what people deleted at the remote and the CRM keeps.
pub(super) const DELETED_REMOTELY: &str = "deleted_remotely";

/// What both sides last agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBase {
    /// The CRM's copy then.
    pub left: Agreed,
    /// The remote copy then.
    pub right: Agreed,
    /// The bytes then, by every hash that was known.
    #[serde(default, skip_serializing_if = "Hashes::is_empty")]
    pub hashes: Hashes,
}

impl FileBase {
    /// One side's copy then.
    pub fn side(&self, side: Side) -> &Agreed {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
    /// One side's copy then, to change it.
    pub fn side_mut(&mut self, side: Side) -> &mut Agreed {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}

/// A refused try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// Tries of it as it is.
    pub attempts: u32,
    /// The run of the last try: a run tries a thing once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Versions of both copies at the last try: others are worth a new one.
    pub of: (Option<Version>, Option<Version>),
}

/// A creation that was sent, its answer not yet noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Making {
    /// Where.
    pub side: Side,
    /// The reserved id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RemoteId>,
}

/// A large file on its way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Where to.
    pub to: Side,
    /// The bytes that are sent: other ones mean beginning again.
    pub content: Version,
    /// The provider's upload session, sealed.
    pub session: String,
    /// The upload as it was begun, as JSON: resuming must ask for the same.
    pub upload: String,
    /// Bytes known to have arrived, without a gap.
    pub sent: u64,
    /// The hashes over the bytes read so far.
    pub digests: DigestState,
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("to", &self.to).field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// Bytes that are being read to be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Whose copy.
    pub side: Side,
    /// The bytes that are read: other ones mean beginning again.
    pub content: Version,
    /// The hashes over what was read so far.
    pub digests: DigestState,
}

/// What is known of one file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Identity of the row.
    pub key: RowKey,
    /// Its part in the layout.
    #[serde(default)]
    pub role: Role,
    /// The CRM's copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Copy>,
    /// The remote copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Copy>,
    /// What both last agreed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<FileBase>,
    /// No longer kept in step, and why. What is in it neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_go: Option<Reason>,
    /// Not carried across, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Reason>,
    /// A provider refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Its deletion waits for a person's word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// A creation that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub making: Option<Making>,
    /// A large file on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// Its bytes are being read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// When both sides last agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<Timestamp>,
}

impl FileRow {
    /// A row without copies.
    pub fn new(key: RowKey, role: Role) -> FileRow {
        FileRow {
            key,
            role,
            left: None,
            right: None,
            base: None,
            let_go: None,
            excluded: None,
            failure: None,
            held: false,
            making: None,
            transfer: None,
            reading: None,
            synced_at: None,
        }
    }
    /// One side's copy.
    pub fn copy(&self, side: Side) -> Option<&Copy> {
        match side {
            Side::Left => self.left.as_ref(),
            Side::Right => self.right.as_ref(),
        }
    }
    pub(crate) fn slot(&mut self, side: Side) -> &mut Option<Copy> {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
    /// Whether what is in it is looked at: it is in step, or people deleted it at the remote, and what comes into it in the
    /// CRM after that brings it back.
    pub fn is_looked_into(&self) -> bool {
        self.let_go.as_ref().is_none_or(|reason| reason.code == DELETED_REMOTELY)
    }
    /// Its id on a side, also of a copy that is gone.
    pub fn id(&self, side: Side) -> Option<&RemoteId> {
        self.copy(side).map(|copy| &copy.id).or_else(|| self.base.as_ref().map(|base| &base.side(side).id))
    }
    /// Versions of both copies.
    pub fn versions(&self) -> (Option<Version>, Option<Version>) {
        let version = |copy: &Option<Copy>| copy.as_ref().map(|copy| copy.version.clone());
        (version(&self.left), version(&self.right))
    }
    /// Whether both sides have it and once agreed on it.
    pub fn is_linked(&self) -> bool {
        self.left.is_some() && self.right.is_some() && self.base.is_some()
    }
}
