//! Files and folders as the algorithm sees them: what an entry is, where it is, and which bytes are in it.
use crate::record::{RemoteId, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How a hash over a file's bytes is made. Written in lowercase hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashKind {
    /// SHA-256 of the bytes.
    Sha256,
    /// SHA-256 over the concatenated binary SHA-256 digests of each block of 4 MiB (the last may be shorter).
    BlockSha256,
}

/// What is known about a file's bytes: their hashes, of as many kinds as somebody has computed.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<HashKind, String>);

impl Hashes {
    /// Nothing known.
    pub fn none() -> Self {
        Self::default()
    }
    /// One hash, in lowercase hexadecimal.
    pub fn of(kind: HashKind, hex: impl Into<String>) -> Self {
        Self(BTreeMap::from([(kind, hex.into())]))
    }
    /// The same with one more.
    pub fn and(mut self, kind: HashKind, hex: impl Into<String>) -> Self {
        self.0.insert(kind, hex.into());
        self
    }
    /// The hash of this kind.
    pub fn get(&self, kind: HashKind) -> Option<&str> {
        self.0.get(&kind).map(String::as_str)
    }
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Whether both speak of the same bytes; `None` where they share no kind.
    pub fn same(&self, other: &Hashes) -> Option<bool> {
        let mut shared = self.0.iter().filter_map(|(kind, hex)| Some(hex == other.0.get(kind)?));
        let first = shared.next()?;
        Some(first && shared.all(|same| same))
    }
    /// Adds what the other knows of the same bytes.
    pub fn learn(&mut self, other: &Hashes) {
        for (kind, hex) in &other.0 {
            self.0.entry(*kind).or_insert_with(|| hex.clone());
        }
    }
}

/// A hash says which file somebody has: `Debug` shows the kinds only.
impl fmt::Debug for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntryKind {
    /// A CRM record whose files are synchronised. It looks like a folder; its folder on the other side is called
    /// `<Module>/<name> (<number>)`. Only the CRM side has these, and only at the top (`Place::In` the root).
    Record {
        /// `contacts`, `companies`, …: the module that it belongs to, as in the setting `modules`.
        module: String,
        /// The number for people: the record's small number, or the first 8 characters of its id.
        number: String,
    },
    /// A folder.
    Folder,
    /// A file with bytes.
    File {
        /// Its size in bytes.
        size: u64,
        /// What the side says about the bytes; empty where it says nothing.
        #[serde(default)]
        hashes: Hashes,
        /// Names these bytes: it changes when, and only when, they are replaced (Dropbox `rev`, Drive `headRevisionId`).
        /// Reads are pinned to it. Where a side has none it is the version.
        content: Version,
    },
    /// A document that exists only within the provider's own applications and has no bytes (Google Docs, Sheets, …).
    Native {
        /// Changes when the document does.
        content: Version,
        /// Whether it can be exported to PDF.
        exportable: Exportable,
    },
    /// A pointer to an entry elsewhere. Never followed.
    Shortcut,
}

/// Whether a native document can be exported to PDF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exportable {
    /// It can.
    Pdf,
    /// It cannot (forms, sites, maps, …).
    No,
}

/// Where an entry is.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "place", rename_all = "snake_case")]
pub enum Place {
    /// In the folder (or record, or root) with this id.
    In {
        /// The parent.
        parent: RemoteId,
    },
    /// At this path, where the side tells paths and not parents.
    At {
        /// The path below the root as the side compares it (Dropbox `path_lower`), names joined by `/`, without a leading one.
        /// Its last name belongs to the entry, the ones before it are folders, which the side reports before it or after.
        key: String,
    },
}

/// A place names people's folders: `Debug` shows its form only.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::In { parent } => f.debug_struct("In").field("parent", parent).finish(),
            Place::At { key } => write!(f, "At depth {}", key.split('/').count()),
        }
    }
}

/// Whether we may write to an entry: into a folder or record, or over a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "access", rename_all = "snake_case")]
pub enum Access {
    /// We may.
    #[default]
    Write,
    /// We may only read.
    Read {
        /// Why, in one sentence for people.
        reason: String,
    },
}
