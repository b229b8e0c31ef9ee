//! Requests of Drive v3 and their answers, without I/O.
use crate::api::Call;
use crate::error;
use bytes::Bytes;
use http::{Method, Request};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use tandem_ports::error::Result;

/// The key of our note on a root folder and on what we made, among the `appProperties`, which only we see.
pub(super) const ROOT_KEY: &str = "tandem_root";
pub(super) const MARKER_KEY: &str = "tandem";
pub(super) const FOLDER: &str = "application/vnd.google-apps.folder";
pub(super) const SHORTCUT: &str = "application/vnd.google-apps.shortcut";
/// What is asked for of a file. Without a mask Google tells id, name and type alone.
pub(super) const FIELDS: &str = "id,name,mimeType,parents,trashed,size,sha256Checksum,headRevisionId,modifiedTime,\
    appProperties,capabilities(canEdit,canAddChildren,canReadRevisions)";
/// Items of a page; larger ones are not given.
const PAGE: &str = "1000";

/// A file, as far as we read it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Wire {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) mime_type: String,
    pub(super) parents: Vec<String>,
    pub(super) trashed: bool,
    /// Integers of 64 bits are strings.
    #[serde(deserialize_with = "int64")]
    pub(super) size: Option<u64>,
    pub(super) sha256_checksum: Option<String>,
    pub(super) head_revision_id: Option<String>,
    pub(super) modified_time: Option<jiff::Timestamp>,
    pub(super) app_properties: BTreeMap<String, String>,
    pub(super) capabilities: Rights,
}

/// What this account may do.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rights {
    pub(super) can_edit: Option<bool>,
    pub(super) can_add_children: Option<bool>,
    pub(super) can_read_revisions: Option<bool>,
}

fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartToken {
    pub(super) start_page_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeList {
    #[serde(default)]
    pub(super) changes: Vec<ChangeWire>,
    pub(super) next_page_token: Option<String>,
    pub(super) new_start_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeWire {
    #[serde(default)]
    pub(super) change_type: String,
    #[serde(default)]
    pub(super) removed: bool,
    #[serde(default)]
    pub(super) file_id: String,
    pub(super) file: Option<Wire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileList {
    #[serde(default)]
    pub(super) files: Vec<Wire>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Ids {
    #[serde(default)]
    pub(super) ids: Vec<String>,
}

/// A request with any body.
pub(super) fn call(
    operation: &'static str,
    method: Method,
    address: String,
    headers: &[(&str, String)],
    body: Bytes,
) -> Result<Call> {
    let mut builder = Request::builder().method(method).uri(address);
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    let request = builder.body(body).map_err(|_| error::refused(operation, "this is no request Google could take"))?;
    Ok(Call { operation, request })
}

fn address(origin: &str, path: &str, query: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{origin}{path}?{query}")
}

fn get_call(operation: &'static str, origin: &str, path: &str, query: &[(&str, &str)]) -> Result<Call> {
    call(operation, Method::GET, address(origin, path, query), &[], Bytes::new())
}

/// Ids go into paths and queries, so only what Google makes ids of is let through.
pub(super) fn checked<'a>(operation: &'static str, id: &'a str) -> Result<&'a str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !id.is_empty() && id.chars().all(plain) {
        true => Ok(id),
        false => Err(error::gone(operation)),
    }
}

pub(super) fn start_token(origin: &str) -> Result<Call> {
    let query = [("supportsAllDrives", "true")];
    get_call("drive.changes.getStartPageToken", origin, "/drive/v3/changes/startPageToken", &query)
}

pub(super) fn changes(origin: &str, page: &str) -> Result<Call> {
    let fields = format!("nextPageToken,newStartPageToken,changes(changeType,removed,fileId,file({FIELDS}))");
    let query = [
        ("pageToken", page),
        ("pageSize", PAGE),
        ("includeRemoved", "true"),
        ("spaces", "drive"),
        ("supportsAllDrives", "true"),
        ("includeItemsFromAllDrives", "true"),
        ("fields", &fields),
    ];
    get_call("drive.changes.list", origin, "/drive/v3/changes", &query)
}

/// Files by a query of Drive's.
pub(super) fn list(origin: &str, q: &str, order: &str, page: Option<&str>) -> Result<Call> {
    let fields = format!("nextPageToken,files({FIELDS})");
    let mut query = vec![
        ("q", q),
        ("pageSize", PAGE),
        ("spaces", "drive"),
        ("supportsAllDrives", "true"),
        ("includeItemsFromAllDrives", "true"),
        ("fields", &fields),
    ];
    if !order.is_empty() {
        query.push(("orderBy", order));
    }
    if let Some(page) = page {
        query.push(("pageToken", page));
    }
    get_call("drive.files.list", origin, "/drive/v3/files", &query)
}

pub(super) fn children(origin: &str, folders: &[&str], page: Option<&str>) -> Result<Call> {
    list(origin, &within(folders)?, "", page)
}

/// What is directly in these folders.
pub(super) fn within(folders: &[&str]) -> Result<String> {
    let parents: Result<Vec<String>> =
        folders.iter().map(|id| Ok(format!("'{}' in parents", checked("drive.files.list", id)?))).collect();
    Ok(format!("({}) and trashed = false", parents?.join(" or ")))
}

/// Quotes a value for a query: `\` and `'` are escaped.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

pub(super) fn with_property(key: &str, value: &str) -> String {
    format!("appProperties has {{ key={} and value={} }} and trashed = false", quoted(key), quoted(value))
}

pub(super) fn get(origin: &str, id: &str) -> Result<Call> {
    const OPERATION: &str = "drive.files.get";
    let path = format!("/drive/v3/files/{}", checked(OPERATION, id)?);
    get_call(OPERATION, origin, &path, &[("fields", FIELDS), ("supportsAllDrives", "true")])
}

/// Bytes of a revision, which stay the same while the file is edited.
pub(super) fn download(origin: &str, id: &str, revision: &str, range: &Range<u64>) -> Result<Call> {
    const OPERATION: &str = "drive.revisions.get";
    let (id, revision) = (checked(OPERATION, id)?, checked(OPERATION, revision)?);
    let path = address(origin, &format!("/drive/v3/files/{id}/revisions/{revision}"), &[("alt", "media")]);
    call(OPERATION, Method::GET, path, &[("range", bytes_of(range))], Bytes::new())
}

fn bytes_of(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

/// Bytes of a file as it is now.
pub(super) fn media(origin: &str, id: &str, range: &Range<u64>) -> Result<Call> {
    const OPERATION: &str = "drive.files.get";
    let path = format!("/drive/v3/files/{}", checked(OPERATION, id)?);
    let path = address(origin, &path, &[("alt", "media"), ("supportsAllDrives", "true")]);
    call(OPERATION, Method::GET, path, &[("range", bytes_of(range))], Bytes::new())
}

/// What a revision is, without its bytes.
pub(super) fn revision(origin: &str, id: &str, revision: &str) -> Result<Call> {
    const OPERATION: &str = "drive.revisions.get";
    let (id, revision) = (checked(OPERATION, id)?, checked(OPERATION, revision)?);
    get_call(OPERATION, origin, &format!("/drive/v3/files/{id}/revisions/{revision}"), &[("fields", "id,size")])
}

pub(super) fn export(origin: &str, id: &str) -> Result<Call> {
    const OPERATION: &str = "drive.files.export";
    let path = format!("/drive/v3/files/{}/export", checked(OPERATION, id)?);
    get_call(OPERATION, origin, &path, &[("mimeType", "application/pdf")])
}

pub(super) fn generate_ids(origin: &str, count: usize) -> Result<Call> {
    let count = count.to_string();
    let query = [("count", count.as_str()), ("space", "drive"), ("type", "files")];
    get_call("drive.files.generateIds", origin, "/drive/v3/files/generateIds", &query)
}

fn json_call(operation: &'static str, method: Method, address: String, body: &Value) -> Result<Call> {
    let headers = [("content-type", "application/json".to_owned())];
    call(operation, method, address, &headers, Bytes::from(body.to_string()))
}

pub(super) fn create(origin: &str, metadata: &Value) -> Result<Call> {
    let query = [("fields", FIELDS), ("supportsAllDrives", "true")];
    json_call("drive.files.create", Method::POST, address(origin, "/drive/v3/files", &query), metadata)
}

/// `parents`: those to join and to leave.
pub(super) fn update(origin: &str, id: &str, metadata: &Value, parents: Option<(&str, &str)>) -> Result<Call> {
    const OPERATION: &str = "drive.files.update";
    let mut query = vec![("fields", FIELDS), ("supportsAllDrives", "true")];
    if let Some((joined, left)) = parents {
        query.push(("addParents", checked(OPERATION, joined)?));
        query.push(("removeParents", left));
    }
    let path = format!("/drive/v3/files/{}", checked(OPERATION, id)?);
    json_call(OPERATION, Method::PATCH, address(origin, &path, &query), metadata)
}

/// Deletes for good.
pub(super) fn delete(origin: &str, id: &str) -> Result<Call> {
    const OPERATION: &str = "drive.files.delete";
    let path = format!("/drive/v3/files/{}", checked(OPERATION, id)?);
    call(OPERATION, Method::DELETE, address(origin, &path, &[("supportsAllDrives", "true")]), &[], Bytes::new())
}

/// What bytes are sent to: a new file, or an existing one.
#[derive(Clone, Copy)]
pub(super) enum Into<'a> {
    New,
    File(&'a str),
}

fn upload_address(operation: &'static str, origin: &str, into: Into<'_>, kind: &str) -> Result<(Method, String)> {
    let query = [("uploadType", kind), ("fields", FIELDS), ("supportsAllDrives", "true")];
    Ok(match into {
        Into::New => (Method::POST, address(origin, "/upload/drive/v3/files", &query)),
        Into::File(id) => {
            let path = format!("/upload/drive/v3/files/{}", checked(operation, id)?);
            (Method::PATCH, address(origin, &path, &query))
        }
    })
}

/// Metadata and bytes in one call. The boundary is a hash over both, so that it does not occur in them.
pub(super) fn multipart(origin: &str, into: Into<'_>, metadata: &Value, kind: &str, bytes: &Bytes) -> Result<Call> {
    const OPERATION: &str = "drive.files.multipart";
    let (method, address) = upload_address(OPERATION, origin, into, "multipart")?;
    let hash = tandem_core::files::hash::Digests::of(bytes);
    let boundary = hash.get(tandem_core::files::entry::HashKind::Sha256).unwrap_or("tandem").to_owned();
    let head = format!(
        "--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n--{boundary}\r\n\
         content-type: {kind}\r\n\r\n"
    );
    let mut body = Vec::with_capacity(head.len() + bytes.len() + boundary.len() + 8);
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let headers = [("content-type", format!("multipart/related; boundary={boundary}"))];
    call(OPERATION, method, address, &headers, body.into())
}

pub(super) fn begin(origin: &str, into: Into<'_>, metadata: &Value, kind: &str, size: u64) -> Result<Call> {
    const OPERATION: &str = "drive.files.resumable";
    let (method, address) = upload_address(OPERATION, origin, into, "resumable")?;
    let headers = [
        ("content-type", "application/json; charset=UTF-8".to_owned()),
        ("x-upload-content-type", kind.to_owned()),
        ("x-upload-content-length", size.to_string()),
    ];
    call(OPERATION, method, address, &headers, Bytes::from(metadata.to_string()))
}

/// Bytes of a session; none asks how far it is.
pub(super) fn piece(session: &str, offset: u64, bytes: Bytes, total: u64) -> Result<Call> {
    let range = match bytes.len() as u64 {
        0 => format!("bytes */{total}"),
        size => format!("bytes {offset}-{}/{total}", offset + size - 1),
    };
    call("drive.files.resume", Method::PUT, session.to_owned(), &[("content-range", range)], bytes)
}
