//! Dropbox's metadata as entries.
use crate::wire::{FileMetadata, FolderMetadata, Metadata, SharingInfo};
use sha2::{Digest, Sha256};
use tandem_core::files::entry::{Access, EntryKind, Exportable, HashKind, Hashes, Place};
use tandem_core::record::{RemoteId, Version};
use tandem_ports::files::{Entry, FileChange};

/// The id of the app folder, which has none at Dropbox.
pub(crate) const ROOT: &str = "app-folder";

/// `path_lower` without its leading slash.
fn key(path_lower: Option<&str>) -> Option<String> {
    let key = path_lower?.trim_start_matches('/');
    (!key.is_empty()).then(|| key.to_owned())
}

/// Where something is, without saying it: a version must change when an entry moves, and is stored in the clear.
fn spot(key: &str, name: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(key.as_bytes());
    hash.update([0]);
    hash.update(name.as_bytes());
    hex::encode(&hash.finalize()[..8])
}

/// `<rev>.<spot>`; a move need not change the rev.
fn file_version(file: &FileMetadata, key: &str) -> Version {
    Version::new(format!("{}.{}", file.rev, spot(key, &file.name)))
}

/// The rev in a file's version.
pub(crate) fn rev(version: &Version) -> &str {
    version.as_str().split('.').next().unwrap_or_default()
}

fn access(sharing: Option<&SharingInfo>) -> Access {
    match sharing {
        Some(SharingInfo { read_only: true }) => Access::Read { reason: "shared with you to read only".to_owned() },
        Some(SharingInfo { read_only: false }) | None => Access::Write,
    }
}

/// `None` for a file that is at no path we can see (unmounted).
pub(crate) fn file(file: &FileMetadata) -> Option<Entry> {
    let key = key(file.path_lower.as_deref())?;
    let content = Version::new(&file.rev);
    let hashes = file.content_hash.as_ref().map(|hash| Hashes::of(HashKind::BlockSha256, hash));
    let kind = if file.symlink_info.is_some() {
        EntryKind::Shortcut
    } else if !file.is_downloadable {
        EntryKind::Native { content, exportable: Exportable::No }
    } else {
        EntryKind::File { size: file.size, hashes: hashes.unwrap_or_default(), content }
    };
    Some(Entry {
        id: RemoteId::new(&file.id),
        version: file_version(file, &key),
        place: Place::At { key },
        name: file.name.clone(),
        kind,
        modified_at: file.client_modified,
        access: access(file.sharing_info.as_ref()),
        marker: None,
    })
}

/// A folder's version is where it is: it has no rev.
pub(crate) fn folder(folder: &FolderMetadata) -> Option<Entry> {
    let key = key(folder.path_lower.as_deref())?;
    Some(Entry {
        id: RemoteId::new(&folder.id),
        version: Version::new(format!("0.{}", spot(&key, &folder.name))),
        place: Place::At { key },
        name: folder.name.clone(),
        kind: EntryKind::Folder,
        modified_at: None,
        access: access(folder.sharing_info.as_ref()),
        marker: None,
    })
}

/// What is there; `None` for what is gone.
pub(crate) fn entry(metadata: &Metadata) -> Option<Entry> {
    match metadata {
        Metadata::File(found) => file(found),
        Metadata::Folder(found) => folder(found),
        Metadata::Deleted(_) => None,
    }
}

/// A line of the feed.
pub(crate) fn change(metadata: &Metadata) -> Option<FileChange> {
    match metadata {
        Metadata::Deleted(gone) => Some(FileChange::GoneAt { key: key(gone.path_lower.as_deref())? }),
        Metadata::File(_) | Metadata::Folder(_) => Some(FileChange::Upsert(Box::new(entry(metadata)?))),
    }
}

/// As Dropbox writes times: whole seconds in UTC.
pub(crate) fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(path: &str, more: serde_json::Value) -> Option<Entry> {
        let mut wire = json!({
            ".tag": "file", "id": "id:a", "name": "A.txt", "path_lower": path, "rev": "0123456789ab", "size": 3,
            "client_modified": "2026-01-05T08:00:00Z", "server_modified": "2026-01-05T08:00:00Z", "content_hash": "ff",
        });
        wire.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry(&serde_json::from_value(wire).unwrap())
    }

    #[test]
    fn a_file_says_its_rev_its_hash_and_its_path() {
        let file = read("/customers/a.txt", json!({})).unwrap();
        assert_eq!(file.place, Place::At { key: "customers/a.txt".to_owned() });
        assert_eq!(rev(&file.version), "0123456789ab");
        let EntryKind::File { hashes, content, size } = file.kind else { panic!("a file") };
        assert_eq!((hashes.get(HashKind::BlockSha256), content.as_str(), size), (Some("ff"), "0123456789ab", 3));
    }

    #[test]
    fn a_version_changes_with_the_path_and_names_nobody() {
        let here = read("/customers/a.txt", json!({})).unwrap().version;
        let there = read("/others/a.txt", json!({})).unwrap().version;
        assert_ne!(here, there);
        assert!(!here.as_str().contains("customers"));
    }

    #[test]
    fn paper_and_links_are_no_files() {
        let native = read("/a.paper", json!({"is_downloadable": false})).unwrap().kind;
        assert!(matches!(native, EntryKind::Native { exportable: Exportable::No, .. }));
        assert_eq!(read("/a", json!({"symlink_info": {"target": "/b"}})).unwrap().kind, EntryKind::Shortcut);
    }

    #[test]
    fn what_is_at_no_path_is_not_there() {
        let folder: FolderMetadata = serde_json::from_value(json!({"id": "id:f", "name": "F"})).unwrap();
        assert!(super::folder(&folder).is_none());
    }
}
