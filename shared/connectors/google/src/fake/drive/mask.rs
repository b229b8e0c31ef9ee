//! The `fields` parameter: what an answer shows.
use super::Refusal;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Names and what is wanted below each; empty: all of it.
#[derive(Default)]
pub(super) struct Mask(BTreeMap<String, Mask>);

/// What Drive v3 calls the fields of its answers, of files, of what is in them, and of the lists around them.
const KNOWN: &str = "kind id name mimeType description starred trashed explicitlyTrashed trashedTime parents properties \
    appProperties spaces version webContentLink webViewLink iconLink createdTime modifiedTime modifiedByMe ownedByMe owners \
    shared capabilities canEdit canAddChildren canDownload canTrash canDelete canRename canCopy canListChildren \
    canReadRevisions viewersCanCopyContent copyRequiresWriterPermission writersCanShare permissions permissionIds originalFilename \
    fullFileExtension fileExtension md5Checksum sha1Checksum sha256Checksum size quotaBytesUsed headRevisionId \
    shortcutDetails targetId targetMimeType targetResourceKey resourceKey exportLinks sharedWithMeTime viewedByMeTime \
    driveId teamDriveId files nextPageToken incompleteSearch changes newStartPageToken changeType type removed fileId file \
    time drive startPageToken ids space storageQuota limit usage usageInDrive usageInDriveTrash user displayName \
    emailAddress importFormats exportFormats thumbnailLink hasThumbnail lastModifyingUser createdDate labelInfo";

/// Reads `a,b(c,d/e)`. A name that Drive does not know is refused, `etag` among them.
pub(super) fn parse(text: &str) -> Result<Mask, Refusal> {
    let mut rest = text.trim();
    let mask = level(&mut rest)?;
    match rest.is_empty() {
        true => Ok(mask),
        false => Err(refused(rest)),
    }
}

fn refused(name: &str) -> Refusal {
    Refusal::new(400, "invalidParameter", format!("Invalid field selection {name}"))
}

fn level(rest: &mut &str) -> Result<Mask, Refusal> {
    let mut mask = Mask::default();
    loop {
        let end = rest.find([',', '(', ')', '/']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let name = name.trim();
        if name != "*" && !KNOWN.split_whitespace().any(|known| known == name) {
            return Err(refused(name));
        }
        let mut inner = Mask::default();
        *rest = after;
        if let Some(below) = rest.strip_prefix('/') {
            *rest = below;
            let end = rest.find([',', '(', ')']).unwrap_or(rest.len());
            let (path, after) = rest.split_at(end);
            inner = parse(path)?;
            *rest = after;
        }
        if let Some(below) = rest.strip_prefix('(') {
            *rest = below;
            inner = level(rest)?;
            *rest = rest.strip_prefix(')').ok_or_else(|| refused(name))?;
        }
        mask.0.entry(name.to_owned()).or_default().0.extend(inner.0);
        match rest.strip_prefix(',') {
            Some(next) => *rest = next,
            None => return Ok(mask),
        }
    }
}

impl Mask {
    /// What of a value is shown.
    pub(super) fn show(&self, value: &Value) -> Value {
        if self.0.is_empty() || self.0.contains_key("*") {
            return value.clone();
        }
        match value {
            Value::Object(all) => {
                let shown = self.0.iter().filter_map(|(name, inner)| Some((name.clone(), inner.show(all.get(name)?))));
                Value::Object(shown.collect::<Map<String, Value>>())
            }
            Value::Array(all) => Value::Array(all.iter().map(|one| self.show(one)).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
}
