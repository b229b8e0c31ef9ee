//! The promises of [`FileSide`], held to by every connector of files against its fake. What a side cannot do is gated by its
//! [`FileCapabilities`](tandem_ports::files::FileCapabilities).
//!
//! Say `files_conformance!(make)` in the connector's tests, where `make` is a function without arguments that gives a
//! [`FilesHarness`].
pub mod cases;

use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_core::files::entry::{Access, EntryKind, Hashes, Place};
use tandem_core::files::hash::Digests;
use tandem_core::record::{Marker, RemoteId, Version};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::files::{
    Attempt, CHUNK, Entry, EntryRef, FileChange, FileNext, FileSide, FolderOrFile, FolderRef, Listing, Name, Names,
    NewFolder, NewRoot, Relocation, Removal, SessionStatus, Stored, Target, Upload,
};

/// What goes wrong at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFault {
    /// The call is carried out, its answer lost.
    LoseAnswer,
    /// 500, nothing done.
    ServerError,
    /// Too many calls; seconds to wait.
    Throttle(u64),
    /// The grant is gone.
    Revoke,
}

/// A side, and a person who works at the provider with the files that are below the root. Paths are below the root,
/// without a leading slash.
pub trait FilesHarness: Send + Sync {
    /// The side under test, of a provider that is empty at first.
    fn side(&self) -> Arc<dyn FileSide>;
    /// A person saves a file, over what is there.
    fn user_saves(&self, path: &str, bytes: &[u8]);
    /// A person makes a folder.
    fn user_makes_folder(&self, path: &str);
    /// A person moves or renames.
    fn user_moves(&self, from: &str, to: &str);
    /// A person deletes.
    fn user_deletes(&self, path: &str);
    /// What the provider holds at a path.
    fn bytes(&self, path: &str) -> Option<Vec<u8>>;
    /// How many entries are at a path (two, where names may repeat).
    fn count(&self, path: &str) -> usize;
    /// Meets the call after so many further ones, and replaces a fault that still waits.
    fn fault(&self, after: usize, fault: WireFault);
    /// No cursor is good any more.
    fn expire_cursors(&self);
}

/// The root of one CRM account.
pub fn new_root() -> NewRoot {
    NewRoot { name: "Tandem", mark: Marker::new("crm-account-1") }
}

async fn root(side: &dyn FileSide) -> FolderRef {
    side.ensure_root(None, &new_root()).await.expect("the root is made")
}

fn name(text: &str) -> Name {
    Name(text.to_owned())
}

/// Everything below the root as the side tells it: path to entry.
async fn tree(side: &dyn FileSide) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    if side.capabilities().listing == Listing::Feed {
        let mut from = None;
        loop {
            let page = side.changes(from.as_ref()).await.expect("a page");
            for change in page.changes {
                if let FileChange::Upsert(entry) = change
                    && let Place::At { key } = &entry.place
                {
                    found.insert(key.clone(), *entry);
                }
            }
            match page.next {
                FileNext::More(cursor) => from = Some(cursor),
                FileNext::CaughtUp(_) | FileNext::Paused(_) => return found,
            }
        }
    }
    if side.capabilities().listing == Listing::Polled {
        return whole(side).await;
    }
    let mut open = vec![root(side).await];
    while let Some(folder) = open.pop() {
        let mut from = None;
        loop {
            let page = side.children(std::slice::from_ref(&folder), from.as_ref()).await.expect("children");
            for entry in page.entries {
                let path = below(&folder, &entry.name);
                if entry.kind == EntryKind::Folder {
                    open.push(FolderRef { id: entry.id.clone(), path: path.clone() });
                }
                found.insert(path, entry);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    found
}

/// The same of a side that answers all that is in its root at once, parents first.
async fn whole(side: &dyn FileSide) -> BTreeMap<String, Entry> {
    let root = root(side).await;
    let mut paths = BTreeMap::from([(root.id.clone(), String::new())]);
    let mut found = BTreeMap::new();
    for entry in side.children(&[root], None).await.expect("children").entries {
        let Place::In { parent } = &entry.place else { panic!("a polled side tells parents") };
        let above = FolderRef { id: parent.clone(), path: paths.get(parent).expect("parents come first").clone() };
        let path = below(&above, &entry.name);
        paths.insert(entry.id.clone(), path.clone());
        found.insert(path, entry);
    }
    found
}

fn below(folder: &FolderRef, name: &str) -> String {
    if folder.path.is_empty() { name.to_owned() } else { format!("{}/{name}", folder.path) }
}

/// Finds an entry, whatever the case its side keys it by.
async fn at(side: &dyn FileSide, path: &str) -> Option<Entry> {
    let wanted = path.to_lowercase();
    tree(side).await.into_iter().find(|(key, _)| key.to_lowercase() == wanted).map(|(_, entry)| entry)
}

async fn there(side: &dyn FileSide, path: &str) -> Entry {
    at(side, path).await.unwrap_or_else(|| panic!("{path} is there"))
}

fn entry_ref(entry: &Entry, parent: &FolderRef) -> EntryRef {
    EntryRef { id: entry.id.clone(), parent: parent.clone(), name: name(&entry.name) }
}

fn content(entry: &Entry) -> Version {
    let EntryKind::File { content, .. } = &entry.kind else { panic!("a file") };
    content.clone()
}

async fn new_file(side: &dyn FileSide, parent: &FolderRef, called: &str, bytes: &[u8]) -> Upload {
    let id = match side.capabilities().reserves_ids {
        true => side.reserve(1).await.expect("an id").pop(),
        false => None,
    };
    Upload {
        target: Target::New { id, parent: parent.clone(), name: name(called) },
        size: bytes.len() as u64,
        hashes: Digests::of(bytes),
        content_type: "application/octet-stream".to_owned(),
        modified_at: Some(jiff::Timestamp::from_second(1_700_000_000).expect("a valid time")),
        marker: Marker::new("row-1"),
        attempt: Attempt::First,
    }
}

fn replacement(entry: &Entry, parent: &FolderRef, bytes: &[u8]) -> Upload {
    let target =
        Target::Replace { entry: entry_ref(entry, parent), expect: entry.version.clone(), content: content(entry) };
    Upload {
        target,
        size: bytes.len() as u64,
        hashes: Digests::of(bytes),
        content_type: "application/octet-stream".to_owned(),
        modified_at: None,
        marker: Marker::new("row-1"),
        attempt: Attempt::First,
    }
}

async fn put(side: &dyn FileSide, upload: &Upload, bytes: &[u8]) -> Result<Stored> {
    let files = [(upload.clone(), bytes::Bytes::copy_from_slice(bytes))];
    side.put(&files).await?.pop().expect("one outcome")
}

async fn saved(side: &dyn FileSide, parent: &FolderRef, called: &str, bytes: &[u8]) -> Entry {
    let upload = new_file(side, parent, called, bytes).await;
    put(side, &upload, bytes).await.expect("it is stored").entry
}

/// Repeats a failure that is worth repeating, as the engine does.
fn may_repeat<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(error) if error.kind == ErrorKind::Retryable)
}

/// Whether a side takes nothing, after it has been held to that: everything is refused, for good, and nothing comes of it.
async fn takes_nothing(h: &dyn FilesHarness) -> bool {
    let side = h.side();
    if side.capabilities().writable {
        return false;
    }
    let root = root(&*side).await;
    h.user_saves("theirs.txt", b"theirs");
    let theirs = there(&*side, "theirs.txt").await;
    assert!(matches!(theirs.access, Access::Read { .. }), "it says so before anybody tries");
    let refused = |failure: tandem_ports::error::ConnectorError| assert_eq!(failure.kind, ErrorKind::Permanent);
    for upload in [new_file(&*side, &root, "ours.txt", b"ours").await, replacement(&theirs, &root, b"ours")] {
        refused(put(&*side, &upload, b"ours").await.expect_err("it takes none"));
        refused(side.begin(&upload).await.expect_err("it takes none"));
    }
    let (entry, expect) = (entry_ref(&theirs, &root), theirs.version.clone());
    let removal = Removal { entry: entry.clone(), folder: FolderOrFile::File, expect: expect.clone() };
    refused(side.remove(&[removal]).await.expect("asked").remove(0).expect_err("it stays"));
    let relocation = Relocation { entry, expect, parent: root, name: name("b.txt") };
    refused(side.relocate(&relocation).await.expect_err("it stays"));
    assert_eq!((h.bytes("theirs.txt").as_deref(), h.count("ours.txt")), (Some(&b"theirs"[..]), 0));
    true
}

/// The suite as tests of the crate that says this. Its argument is a function that gives a [`FilesHarness`].
#[macro_export]
macro_rules! files_conformance {
    ($make:expr) => {
        $crate::files_conformance!(@each $make;
            the_root_is_made_once_and_never_in_place_of_one_that_was_removed,
            small_files_arrive_whole_and_read_back,
            what_people_save_is_read_back_in_any_range,
            bytes_that_are_not_the_announced_ones_make_no_file,
            a_creation_is_repeated_after_any_lost_answer_and_there_is_one_file,
            another_file_of_that_name_is_never_written_over,
            a_replacement_needs_the_version_that_was_read,
            a_file_that_was_deleted_is_not_brought_back_by_a_replacement,
            a_read_of_bytes_that_were_replaced_is_a_conflict,
            a_large_file_goes_on_after_any_lost_answer,
            a_large_file_whose_hash_is_wrong_leaves_no_file,
            folders_are_made_once,
            a_folder_moves_in_one_step_with_all_that_is_in_it,
            a_move_never_takes_the_place_of_another,
            an_edited_file_is_not_removed_and_a_gone_one_is_removed_already,
            a_folder_that_something_has_come_into_is_not_removed,
            the_feed_tells_what_people_did_and_then_is_quiet,
            an_expired_cursor_is_named_so,
            each_trouble_has_its_kind,
        );
    };
    (@each $make:expr; $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::files_conformance::cases::$case(&$make()).await;
            }
        )*
    };
}
