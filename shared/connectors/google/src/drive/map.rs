//! Drive's files as entries.
use super::api::{ChangeWire, FOLDER, MARKER_KEY, SHORTCUT, Wire};
use sha2::{Digest, Sha256};
use tandem_core::files::entry::{Access, EntryKind, Exportable, HashKind, Hashes, Place};
use tandem_core::record::{Marker, RemoteId, Version};
use tandem_ports::files::{Entry, FileChange};

/// Google's own documents have types of this family.
const NATIVE: &str = "application/vnd.google-apps.";
/// Those of them that `files.export` makes PDFs of.
const TO_PDF: [&str; 4] = ["document", "spreadsheet", "presentation", "drawing"];

/// Names the bytes: changes when they are replaced, and not with the name.
pub(super) fn content(file: &Wire) -> Version {
    match (&file.head_revision_id, &file.sha256_checksum, &file.modified_time) {
        (Some(revision), _, _) => Version::new(revision),
        (None, Some(hash), _) => Version::new(hash),
        (None, None, Some(at)) => Version::new(at.as_millisecond().to_string()),
        (None, None, None) => Version::new("0"),
    }
}

/// Drive's own `version` also counts what nobody can see (thumbnails, views): ours is made of what an entry shows.
pub(super) fn version(file: &Wire) -> Version {
    let mut spot = Sha256::new();
    for part in [file.name.as_str(), file.parents.first().map_or("", String::as_str)] {
        spot.update(part.as_bytes());
        spot.update([0]);
    }
    let content = if file.mime_type == FOLDER { Version::new("0") } else { content(file) };
    Version::new(format!("{content}.{}", hex::encode(&spot.finalize()[..8])))
}

pub(super) fn hashes(file: &Wire) -> Hashes {
    file.sha256_checksum.as_ref().map(|hash| Hashes::of(HashKind::Sha256, hash)).unwrap_or_default()
}

fn kind(file: &Wire) -> EntryKind {
    match file.mime_type.as_str() {
        FOLDER => EntryKind::Folder,
        SHORTCUT => EntryKind::Shortcut,
        native if native.starts_with(NATIVE) => {
            let pdf = TO_PDF.contains(&native.trim_start_matches(NATIVE));
            let exportable = if pdf { Exportable::Pdf } else { Exportable::No };
            EntryKind::Native { content: content(file), exportable }
        }
        _ => EntryKind::File { size: file.size.unwrap_or(0), hashes: hashes(file), content: content(file) },
    }
}

fn access(file: &Wire) -> Access {
    let right = match file.mime_type.as_str() {
        FOLDER => file.capabilities.can_add_children,
        _ => file.capabilities.can_edit,
    };
    match right {
        Some(false) => Access::Read { reason: "shared with you in Google Drive to read only".to_owned() },
        Some(true) | None => Access::Write,
    }
}

/// `None` for what is in the trash, or in no folder that we can see.
pub(super) fn entry(file: &Wire) -> Option<Entry> {
    let parent = file.parents.first().filter(|_| !file.trashed)?;
    Some(Entry {
        id: RemoteId::new(&file.id),
        place: Place::In { parent: RemoteId::new(parent) },
        name: file.name.clone(),
        kind: kind(file),
        version: version(file),
        modified_at: file.modified_time,
        access: access(file),
        marker: file.app_properties.get(MARKER_KEY).map(Marker::new),
    })
}

/// A line of the feed. `removed` is deleted or the access lost; trashing is a change of the file. Changes of shared drives
/// themselves are none of ours; a line that does not say what it is about is about a file.
pub(super) fn change(change: &ChangeWire) -> Option<FileChange> {
    if change.change_type == "drive" || change.file_id.is_empty() {
        return None;
    }
    let gone = FileChange::Gone { id: RemoteId::new(&change.file_id) };
    let file = change.file.as_ref().filter(|_| !change.removed);
    Some(file.and_then(entry).map_or(gone, |entry| FileChange::Upsert(Box::new(entry))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn file(more: Value) -> Wire {
        let mut wire = json!({
            "id": "f1", "name": "a.txt", "mimeType": "text/plain", "parents": ["p1"], "size": "3",
            "sha256Checksum": "ff", "headRevisionId": "r1", "modifiedTime": "2026-01-05T08:00:00.000Z",
        });
        wire.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(wire).unwrap()
    }

    #[test]
    fn sizes_are_strings_and_bytes_are_named_by_their_revision() {
        let EntryKind::File { size, content, hashes } = entry(&file(json!({}))).unwrap().kind else { panic!("a file") };
        assert_eq!((size, content.as_str(), hashes.get(HashKind::Sha256)), (3, "r1", Some("ff")));
    }

    #[test]
    fn a_version_changes_with_name_folder_and_bytes_and_names_nobody() {
        let versions: std::collections::BTreeSet<String> =
            [json!({}), json!({"name": "b"}), json!({"parents": ["p2"]}), json!({"headRevisionId": "r2"})]
                .map(|more| version(&file(more)).to_string())
                .into();
        assert_eq!(versions.len(), 4);
        assert_eq!(version(&file(json!({}))), version(&file(json!({"modifiedTime": "2027-01-01T00:00:00Z"}))));
    }

    #[test]
    fn documents_of_googles_own_and_shortcuts_have_no_bytes() {
        let of = |kind: &str| entry(&file(json!({"mimeType": format!("{NATIVE}{kind}")}))).unwrap().kind;
        assert!(matches!(of("document"), EntryKind::Native { exportable: Exportable::Pdf, .. }));
        assert!(matches!(of("form"), EntryKind::Native { exportable: Exportable::No, .. }));
        assert_eq!((of("shortcut"), of("folder")), (EntryKind::Shortcut, EntryKind::Folder));
    }

    #[test]
    fn what_is_in_the_trash_or_out_of_sight_is_gone() {
        let of = |value: Value| change(&serde_json::from_value(value).unwrap());
        let gone = |change: Option<FileChange>| matches!(change, Some(FileChange::Gone { id }) if id.as_str() == "f1");
        let base = json!({"changeType": "file", "fileId": "f1"});
        let with = |file: Value| {
            let mut all = base.clone();
            all["file"] = file;
            all
        };
        assert!(gone(of(json!({"changeType": "file", "fileId": "f1", "removed": true}))));
        assert!(gone(of(with(json!({"id": "f1", "parents": ["p"], "trashed": true})))));
        assert!(gone(of(with(json!({"id": "f1"})))));
        assert!(of(json!({"changeType": "drive", "driveId": "d"})).is_none());
        assert!(gone(of(json!({"fileId": "f1", "removed": true}))));
        assert!(matches!(of(with(json!({"id": "f1", "parents": ["p"]}))), Some(FileChange::Upsert(_))));
    }
}
