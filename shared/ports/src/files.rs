//! One side of a files sync: a tree of entries below one root of one account, its change feed, and the bytes.
//!
//! Bytes pass in bounded pieces ([`CHUNK`]) and never as streams, so that a side needs no more than
//! [`HttpTransport`](crate::infra::HttpTransport): complete requests, complete responses.
use crate::connector::{Choice, Cursor, Outcomes};
use crate::error::{ConnectorError, Result};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use tandem_core::files::entry::{Access, EntryKind, Hashes, Place};
use tandem_core::files::settings::Records;
use tandem_core::record::{Marker, RemoteId, Version};

/// Records of one [`FileSide::records`].
pub const ASKED: usize = 100;

/// The most bytes that one read answers and one append carries: 8 MiB, a multiple of what every provider asks for
/// (Drive 256 KiB, Dropbox 4 MiB) and above S3's smallest part (5 MiB).
pub const CHUNK: u64 = 8 * 1024 * 1024;

/// An entry as it is at the side now.
#[derive(Clone)]
pub struct Entry {
    /// The side's id. It survives a rename and a move where [`FileCapabilities::stable_ids`] says so.
    pub id: RemoteId,
    /// Where it is.
    pub place: Place,
    /// Its name as the side shows it, in the side's own spelling. The records of a CRM: their title.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Changes with everything: the precondition of moves, replacements and deletions.
    pub version: Version,
    /// When a person last changed it, where the side says.
    pub modified_at: Option<jiff::Timestamp>,
    /// Whether we may write to it. A right that is missing here stops that direction for it and what is below it.
    pub access: Access,
    /// Our marker, where one is on it.
    pub marker: Option<Marker>,
}

/// Names of files are personal data: `Debug` shows ids and shape.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("place", &self.place)
            .field("kind", &self.kind)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// One observed change.
#[derive(Clone, Debug)]
pub enum FileChange {
    /// There: new, changed, moved, or (in a listing) just there. An entry outside the root may be reported, too: whose
    /// parent nobody knows is outside. A feed that tells paths may report a folder after what is in it.
    Upsert(Box<Entry>),
    /// Proved gone, or out of our sight: deleted, in the trash, moved out of the root, the access lost.
    /// With all that was below it.
    Gone {
        /// Which entry.
        id: RemoteId,
    },
    /// The same where the side tells the path only (Dropbox). An entry that moved is reported again at its new path.
    GoneAt {
        /// As in [`Place::At`].
        key: String,
    },
    /// No longer among what the settings select (a record that left its segment). Nothing is deleted because of it.
    Outside {
        /// Which entry.
        id: RemoteId,
    },
}

/// A bounded slice of the change feed, to be applied in its order.
#[derive(Clone, Debug)]
pub struct FilePage {
    /// The changes.
    pub changes: Vec<FileChange>,
    /// Where to go on.
    pub next: FileNext,
}

/// How a page ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileNext {
    /// More pages follow.
    More(Cursor),
    /// Caught up; start here next time. Of a [`Listing::Polled`] side: a round over all records ends here.
    CaughtUp(Cursor),
    /// Enough for this run, though the round is not at its end: go on here next time.
    Paused(Cursor),
}

/// How a side shows everything there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// [`FileSide::changes`] from `None` lists the whole tree, in any order.
    Feed,
    /// [`FileSide::changes`] from `None` only answers where the delta begins (and, on a CRM side, the records); the tree
    /// is read by [`FileSide::children`], folder by folder. A folder that moves in is read the same way.
    Folders,
    /// The feed tells records alone, and nothing about what is in them. A record that it tells is read whole, by
    /// [`FileSide::children`], before the cursor moves on. Every round of the feed comes by every record again; a round may
    /// take several runs ([`FileNext::Paused`]). A file is gone that two readings of its record in a row did not show, or
    /// one, where another one has taken its place; and only when [`FileSide::get`] does not find it either.
    Polled,
}

/// How names are compared at a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Several entries of one folder may have the same name (Drive).
    Repeatable,
    /// One entry a name, and `a` is not `A`.
    Unique,
    /// One entry a name, and `a` is `A`; a rename that changes only the case does nothing (Dropbox).
    UniqueWithoutCase,
}

/// What a side can do. Every promise is held to by the conformance suite; every lack stands in the connector's README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCapabilities {
    /// Anything can be written at all. Sell's documents cannot.
    pub writable: bool,
    /// How the tree is listed.
    pub listing: Listing,
    /// How names are compared.
    pub names: Names,
    /// Moves and renames keep the id, and [`FileSide::relocate`] works. Otherwise an entry that moves is a new one.
    pub stable_ids: bool,
    /// New bytes for a file keep its id. Otherwise [`Stored::entry`] has a new one (Teamleader: upload, confirm, delete).
    pub replace_keeps_id: bool,
    /// Writes honour their `expect`; otherwise the side looks just before it writes, and a moment remains.
    pub conditional_writes: bool,
    /// Folders exist by themselves. Otherwise a folder is there as long as a file is in it (Teamleader).
    pub empty_folders: bool,
    /// How many folders may be within each other below a record (Teamleader: 1); `None`: any number.
    pub max_depth: Option<usize>,
    /// Markers are kept and shown.
    pub keeps_markers: bool,
    /// Ids of new entries can be had in advance by [`FileSide::reserve`].
    pub reserves_ids: bool,
    /// Cursors may expire and are then reported as `CursorExpired`.
    pub cursors_expire: bool,
    /// The largest file in bytes, where the provider names one.
    pub max_bytes: Option<u64>,
    /// Largest file that [`FileSide::put`] takes, in bytes. At most [`CHUNK`].
    pub put_bytes: u64,
    /// Most files that [`FileSide::put`] takes at once (Dropbox 1,000: sessions closed with their data, one commit).
    pub put_batch: usize,
    /// Every append but the last is a multiple of this many bytes. Divides [`CHUNK`].
    pub chunk_multiple: u64,
    /// Appends of one upload that may be under way at once, in any order. 1: one after the other.
    pub concurrent_appends: usize,
    /// Calls of this account that may be under way at once.
    pub concurrent_calls: usize,
    /// Most folders that [`FileSide::children`] reads at once.
    pub children_batch: usize,
    /// Most items of [`FileSide::create_folders`], [`FileSide::get`] and [`FileSide::remove`] at once.
    pub batch: usize,
}

/// A folder (or record, or the root) as the place for something. Sides that go by ids use `id`, sides that go by paths `path`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRef {
    /// Its id; the root's own for the root.
    pub id: RemoteId,
    /// Its path below the root, as the side shows it, names joined by `/`; "" for the root.
    pub path: String,
}

impl fmt::Debug for FolderRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderRef").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The root of a sync at the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRoot {
    /// How it is called when it is made.
    pub name: &'static str,
    /// Names the CRM account whose files are in it: the records of two CRMs have the same numbers, and never share a root.
    pub mark: Marker,
}

/// An existing entry as the object of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRef {
    /// Its id.
    pub id: RemoteId,
    /// The folder it is in.
    pub parent: FolderRef,
    /// Its name.
    pub name: Name,
}

/// A name of a file or folder, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(pub String);

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name of {} characters", self.0.chars().count())
    }
}

/// Whether a creation may have been tried before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// Never sent before.
    First,
    /// It may have been carried out already, its answer lost: look (by id, by marker, by path and bytes) before making it
    /// again, and answer what is there.
    Again,
}

/// A folder to make.
#[derive(Clone, Debug)]
pub struct NewFolder {
    /// Its id, where the side reserves ids.
    pub id: Option<RemoteId>,
    /// Where.
    pub parent: FolderRef,
    /// How it is called; already safe for this side.
    pub name: Name,
    /// Recognises it after a lost answer.
    pub marker: Marker,
    /// Whether it may be there already. A folder of that name that is not ours: where names are unique it is taken for
    /// ours, as there cannot be two.
    pub attempt: Attempt,
}

/// What an upload writes to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "snake_case")]
pub enum Target {
    /// A new file.
    New {
        /// Its id, where the side reserves ids.
        #[serde(default)]
        id: Option<RemoteId>,
        /// Where.
        parent: FolderRef,
        /// How it is called. Never over another file of that name: that is a `Conflict`, unless its bytes are the same
        /// and [`Attempt::Again`], or the side itself sees that nothing would change (Dropbox).
        name: Name,
    },
    /// New bytes for a file.
    Replace {
        /// Which.
        entry: EntryRef,
        /// Only if it still has this version; else `Conflict`.
        expect: Version,
        /// Only if these are still its bytes.
        content: Version,
    },
}

/// A file to write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// What it writes to.
    pub target: Target,
    /// How many bytes there will be.
    pub size: u64,
    /// What is known about them beforehand, from the side that they come from.
    pub hashes: Hashes,
    /// MIME type, by its name.
    pub content_type: String,
    /// When a person last changed it.
    pub modified_at: Option<jiff::Timestamp>,
    /// Recognises it after a lost answer.
    pub marker: Marker,
    /// Whether it may have been carried out already.
    pub attempt: Attempt,
}

/// An upload session at the provider: an opaque value that is stored between jobs (sealed: it may be a bearer capability,
/// such as Drive's session address) and handed back unchanged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadSession(pub String);

impl fmt::Debug for UploadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadSession")
    }
}

/// Where an upload session is.
#[derive(Clone, Debug)]
pub enum SessionStatus {
    /// The provider has this many bytes from the beginning and waits for the next one.
    At(u64),
    /// The upload is finished; this is the file.
    Done(Box<Stored>),
    /// The session is no longer there: begin again.
    Lost,
}

/// What a write of bytes made.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The file as the side shows it now, with the hashes that it computed itself over what arrived, where it does.
    pub entry: Entry,
}

/// A move, a rename, or both at once.
#[derive(Clone, Debug)]
pub struct Relocation {
    /// Which entry, where it is now.
    pub entry: EntryRef,
    /// Only if it still has this version; else `Conflict`.
    pub expect: Version,
    /// Where it goes.
    pub parent: FolderRef,
    /// How it is called there. Taken by another entry, where names are unique: `Conflict`.
    pub name: Name,
}

/// An entry to remove. It goes to the trash where the side has one.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Which entry.
    pub entry: EntryRef,
    /// Whether it is a folder. One that something is in stays, and that is a `Conflict`: the engine empties a folder before
    /// it removes it, so what is in it came since then, and nobody has deleted that.
    pub folder: FolderOrFile,
    /// Only if it still has this version (files); else `Conflict`.
    pub expect: Version,
}

/// What a removal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderOrFile {
    /// A folder.
    Folder,
    /// A file.
    File,
}

/// A page of the children of some folders.
#[derive(Clone, Debug)]
pub struct ChildrenPage {
    /// The children, each with its [`Place::In`] (or `At`): direct children only. Of a [`Listing::Polled`] side all that is
    /// in a record, parents before what is in them.
    pub entries: Vec<Entry>,
    /// Folders (records) that the user may not read, and why. Nothing follows for what is in them.
    pub unreadable: Vec<(RemoteId, String)>,
    /// Where to go on, with the same folders.
    pub next: Option<Cursor>,
}

/// The account has no room left: the cause of a refusal that concerns every file to be written there, and not this one.
#[derive(Debug, thiserror::Error)]
#[error("the account has no room left")]
pub struct StorageFull;

impl StorageFull {
    /// The refusal, with this as its cause.
    pub fn because(error: ConnectorError) -> ConnectorError {
        ConnectorError { source: Some(Box::new(StorageFull)), ..error }
    }

    /// Whether a refusal has this cause.
    pub fn is_cause_of(error: &ConnectorError) -> bool {
        error.source.as_deref().is_some_and(|cause| cause.is::<StorageFull>())
    }
}

/// One side of a files sync, opened for one account, bounded by one root, and on the CRM side by the selected records.
///
/// Every call is one bounded piece of work; the engine decides about repeats. A batch call fails as a whole (`Err`) when it
/// is unknown or certain that no item was treated by itself, else it answers per item.
#[async_trait]
pub trait FileSide: Send + Sync {
    /// `google`, `dropbox`, `builtin`, …
    fn provider(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> FileCapabilities;

    /// Makes sure that the root exists and can be read. With the id known: that one, and `NotFound` when it is gone (a second
    /// root is never made for one that somebody removed). Without: one that we made before (by its mark), else a new one.
    /// A side whose root is given (a Dropbox app folder, a CRM) answers that.
    async fn ensure_root(&self, known: Option<&RemoteId>, root: &NewRoot) -> Result<FolderRef>;

    /// Reads one page of changes; [`Listing`] says what `None` means. Nothing new is one request.
    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage>;

    /// Reads the direct children of folders (or records, or the root). At most [`FileCapabilities::children_batch`].
    /// A folder that is gone has none. Sides with [`Listing::Feed`] are never asked.
    async fn children(&self, folders: &[FolderRef], from: Option<&Cursor>) -> Result<ChildrenPage>;

    /// What became of records that a whole round of the feed did not tell: each one's `Upsert` (still among those chosen),
    /// `Outside` or `Gone`. At most [`ASKED`]. Only sides with [`Listing::Polled`] are asked.
    async fn records(&self, _records: &[RemoteId]) -> Result<Vec<FileChange>> {
        Ok(Vec::new())
    }

    /// Reads entries as they are now, in that order; `None` proves that one is gone from below the root (as in
    /// [`FileChange::Gone`]). At most [`FileCapabilities::batch`].
    async fn get(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>>;

    /// Reads bytes of a file, exactly this range, at most [`CHUNK`] of them. When the bytes are no longer these: `Conflict`.
    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes>;

    /// Exports a native document to PDF. `Permanent` when it cannot be, or is too large (Drive: 10 MB).
    async fn export_pdf(&self, entry: &EntryRef) -> Result<Bytes>;

    /// Ids for new entries. Empty without [`FileCapabilities::reserves_ids`].
    async fn reserve(&self, count: usize) -> Result<Vec<RemoteId>>;

    /// Makes folders; none of them is in another one of them. At most [`FileCapabilities::batch`].
    async fn create_folders(&self, folders: &[NewFolder]) -> Result<Outcomes<Entry>>;

    /// Writes small files whole, with bounded parallelism. At most [`FileCapabilities::put_batch`] of at most
    /// [`FileCapabilities::put_bytes`] each. The side checks the bytes against [`Upload::hashes`] where it can: a mismatch is
    /// `Permanent`, and there is no file. A file appears whole or not at all.
    async fn put(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>>;

    /// Begins a resumable upload.
    async fn begin(&self, upload: &Upload) -> Result<UploadSession>;

    /// Sends bytes that belong at `offset`, not the last ones. Bytes that are there already (a repeat after a lost answer)
    /// are no error. `NotFound` when the session is gone, `Conflict` when it waits for another offset: ask [`Self::status`].
    async fn append(&self, session: &UploadSession, upload: &Upload, offset: u64, bytes: Bytes) -> Result<()>;

    /// Sends the last bytes (none for an empty file), and makes the file of them, under the target's precondition. `whole`
    /// has the hashes over all bytes as we sent them: what the side can check it checks, a mismatch is `Permanent` and
    /// leaves no file. Until this succeeds there is no file and the old bytes stay.
    async fn finish(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored>;

    /// Asks the provider how far the session is. `acknowledged` is what we know to have arrived without a gap; a session
    /// whose appends come in any order knows no more and answers that.
    async fn status(&self, session: &UploadSession, upload: &Upload, acknowledged: u64) -> Result<SessionStatus>;

    /// Gives up an upload. Where the provider drops it by itself, nothing is sent.
    async fn abandon(&self, session: &UploadSession) -> Result<()>;

    /// Moves or renames an entry, with all that is in it, in one step and without its bytes. Answers it at its new place.
    async fn relocate(&self, relocation: &Relocation) -> Result<Entry>;

    /// Removes entries. One that is gone already is removed. At most [`FileCapabilities::batch`].
    async fn remove(&self, removals: &[Removal]) -> Result<Outcomes<()>>;

    /// What of these chosen records is not there, one sentence for people. `None`: all is, or that cannot be said in a few
    /// requests.
    async fn missing(&self, _chosen: &Records) -> Result<Option<String>> {
        Ok(None)
    }

    /// What settings can be chosen from, by setting: `modules`, `records`.
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>>;
}
