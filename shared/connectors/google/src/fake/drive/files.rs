//! Files without their bytes, the feed, and downloads.
use super::super::Asked;
use super::super::state::State;
use super::{Answer, Caller, Drive, FOLDER, File, NATIVE, Refusal, SHORTCUT, mask, query};
use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};

/// "Exported content is limited to 10 MB" (`files.export`).
const EXPORT: usize = 10 * 1024 * 1024;

fn time(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Everything that Drive shows of a file to this caller.
pub(super) fn shown(drive: &Drive, caller: &Caller, id: &str, file: &File) -> Value {
    let write = !file.read_only;
    let mut out = json!({
        "kind": "drive#file", "id": id, "name": file.name, "mimeType": file.mime, "starred": false,
        "trashed": drive.is_trashed(id), "explicitlyTrashed": file.trashed, "spaces": ["drive"],
        "version": file.version.to_string(), "createdTime": time(file.created_ms),
        "modifiedTime": time(file.modified_ms), "ownedByMe": write, "shared": !write,
        "capabilities": {"canEdit": write, "canAddChildren": write && file.mime == FOLDER, "canDownload": true, "canReadRevisions": write,
                         "canTrash": write, "canRename": write},
    });
    if let Some(parent) = &file.parent {
        out["parents"] = json!([parent]);
    }
    if !file.properties.is_empty() {
        out["properties"] = json!(file.properties);
    }
    if let Some(own) = file.app_properties.get(&caller.client).filter(|own| !own.is_empty()) {
        out["appProperties"] = json!(own);
    }
    if let Some(target) = &file.target {
        let kind = drive.files.get(target).map_or("application/octet-stream", |file| file.mime.as_str());
        out["shortcutDetails"] = json!({"targetId": target, "targetMimeType": kind});
    }
    if let Some(revision) = file.revisions.last().filter(|_| !file.is_native()) {
        let content = &revision.content;
        out["size"] = json!(content.size.to_string());
        out["quotaBytesUsed"] = json!(content.size.to_string());
        out["md5Checksum"] = json!(content.md5);
        out["sha256Checksum"] = json!(content.sha256);
        out["headRevisionId"] = json!(revision.id);
        out["originalFilename"] = json!(file.name);
    }
    out
}

/// Through the `fields` parameter; without it, what Drive tells by itself.
pub(super) fn masked(asked: &Asked, default: &str, value: &Value) -> Answer {
    Ok(mask::parse(asked.one("fields").unwrap_or(default))?.show(value))
}

const FILE: &str = "kind,id,name,mimeType";

pub(super) fn answer_file(state: &mut State, caller: &Caller, asked: &Asked, id: &str) -> Answer {
    let drive = state.drive.drive(&caller.account);
    let file = drive.files.get(id).ok_or_else(|| Refusal::missing(id))?;
    masked(asked, FILE, &shown(drive, caller, id, file))
}

/// The file of this id (`root` is one), where the caller sees it.
pub(super) fn find(state: &mut State, caller: &Caller, id: &str) -> Result<(String, File), Refusal> {
    let drive = state.drive.drive(&caller.account);
    let id = if id == "root" { drive.root.clone() } else { id.to_owned() };
    let file = drive.files.get(&id).filter(|file| caller.sees(file) || id == drive.root);
    let file = file.cloned().ok_or_else(|| Refusal::missing(&id))?;
    Ok((id, file))
}

pub(super) fn about(state: &mut State, caller: &Caller, asked: &Asked) -> Answer {
    if asked.one("fields").is_none() {
        return Err(Refusal::new(400, "required", "The 'fields' parameter is required for this method."));
    }
    let (used, limit) = (state.drive.drive(&caller.account).used(), state.drive.space);
    let quota = json!({"limit": limit.to_string(), "usage": used.to_string(), "usageInDrive": used.to_string(),
                       "usageInDriveTrash": "0"});
    let user = json!({"displayName": caller.account, "emailAddress": caller.account});
    masked(
        asked,
        "kind",
        &json!({"kind": "drive#about", "user": user, "storageQuota": quota,
                                  "importFormats": {}, "exportFormats": {}}),
    )
}

fn page_size(asked: &Asked, default: usize, most: usize) -> Result<usize, Refusal> {
    match asked.one("pageSize").map(str::parse::<usize>) {
        None => Ok(default.min(most)),
        Some(Ok(size)) if size >= 1 => Ok(size.min(most)),
        Some(_) => Err(Refusal::new(400, "invalidParameter", "Invalid value for pageSize")),
    }
}

pub(super) fn get(state: &mut State, caller: &Caller, asked: &Asked, id: &str) -> Answer {
    let (id, _) = find(state, caller, id)?;
    answer_file(state, caller, asked, &id)
}

pub(super) fn list(state: &mut State, caller: &Caller, asked: &Asked) -> Answer {
    let size = page_size(asked, 100, state.drive.page)?;
    let wanted = asked.one("q").map(query::parse).transpose()?;
    let order = asked.one("orderBy").unwrap_or_default().to_owned();
    let drive = state.drive.drive(&caller.account);
    let parents = wanted.as_ref().map(query::Query::parents).unwrap_or_default();
    if parents.iter().any(|id| *id != "root" && !drive.files.contains_key(*id)) {
        return Err(Refusal::missing(""));
    }
    let holds = |(id, file): &(&String, &File)| {
        caller.sees(file) && wanted.as_ref().is_none_or(|query| query.holds(drive, caller, id, file))
    };
    let mut found: Vec<(&String, &File)> = drive.files.iter().filter(holds).collect();
    if order.contains("createdTime") {
        found.sort_by_key(|(id, file)| (file.created_ms, (*id).clone()));
    }
    let from = match asked.one("pageToken") {
        None => 0,
        Some(token) => {
            let token = token.strip_prefix("~!!~").and_then(|rest| rest.parse::<usize>().ok());
            token.ok_or_else(|| Refusal::new(400, "invalid", "Invalid Value"))?
        }
    };
    let files: Vec<Value> =
        found.iter().skip(from).take(size).map(|(id, file)| shown(drive, caller, id, file)).collect();
    let mut body = json!({"kind": "drive#fileList", "incompleteSearch": false, "files": files});
    if found.len() > from + size {
        body["nextPageToken"] = json!(format!("~!!~{}", from + size));
    }
    masked(asked, "kind,nextPageToken,incompleteSearch,files(kind,id,name,mimeType)", &body)
}

/// Page tokens are places in the feed; they never expire. A file that changed several times is told once.
pub(super) fn changes(state: &mut State, caller: &Caller, asked: &Asked) -> Answer {
    let size = page_size(asked, 100, state.drive.page)?;
    let now = state.now_ms;
    let drive = state.drive.drive(&caller.account);
    let token = asked.one("pageToken").ok_or_else(|| Refusal::new(400, "required", "Required parameter: pageToken"))?;
    let from = token.parse::<usize>().ok().filter(|from| (1..=drive.changes.len() + 1).contains(from));
    let from = from.ok_or_else(|| Refusal::new(400, "invalid", "Invalid Value"))? - 1;
    let until = (from + size).min(drive.changes.len());
    let mut told = Vec::new();
    for (at, id) in drive.changes.iter().enumerate().take(until).skip(from) {
        if drive.changes[at + 1..until].contains(id) {
            continue;
        }
        let file = drive.files.get(id).filter(|file| caller.sees(file));
        let mut change = json!({"kind": "drive#change", "type": "file", "changeType": "file", "fileId": id,
                                "removed": file.is_none(), "time": time(now)});
        if let Some(file) = file {
            change["file"] = shown(drive, caller, id, file);
        }
        told.push(change);
    }
    if asked.one("includeRemoved") == Some("false") {
        told.retain(|change| change["removed"] == false);
    }
    let mut body = json!({"kind": "drive#changeList", "changes": told});
    let next = if until < drive.changes.len() { "nextPageToken" } else { "newStartPageToken" };
    body[next] = json!((until + 1).to_string());
    let default = "kind,nextPageToken,newStartPageToken,changes(kind,type,changeType,time,removed,fileId,\
                   file(kind,id,name,mimeType))";
    masked(asked, default, &body)
}

pub(super) fn generate_ids(state: &mut State, asked: &Asked) -> Answer {
    let count = asked.one("count").map_or(Ok(10), str::parse::<usize>);
    let count = count.ok().filter(|count| (1..=1000).contains(count));
    let count = count.ok_or_else(|| Refusal::new(400, "invalidParameter", "Invalid value for count: 1 to 1000"))?;
    let ids: Vec<String> = (0..count).map(|_| new_id(state)).collect();
    state.drive.reserved.extend(ids.clone());
    Ok(json!({"kind": "drive#generatedIds", "space": "drive", "ids": ids}))
}

pub(super) fn new_id(state: &mut State) -> String {
    format!("1sim{:029}", state.next())
}

/// Metadata of a request laid over a file.
pub(super) fn apply(state: &State, caller: &Caller, file: &mut File, body: &Value) -> Result<(), Refusal> {
    if let Some(name) = body["name"].as_str() {
        name.clone_into(&mut file.name);
    }
    if let Some(mime) = body["mimeType"].as_str() {
        if mime.starts_with(NATIVE) != file.mime.starts_with(NATIVE) && !file.revisions.is_empty() {
            return Err(Refusal::invalid("The mimeType cannot be changed to this"));
        }
        mime.clone_into(&mut file.mime);
    }
    if let Some(trashed) = body["trashed"].as_bool() {
        file.trashed = trashed;
    }
    if let Some(at) = body["modifiedTime"].as_str() {
        let at: jiff::Timestamp = at.parse().map_err(|_| Refusal::invalid("Invalid value for modifiedTime"))?;
        file.modified_ms = at.as_millisecond();
    } else if body.as_object().is_some_and(|body| !body.is_empty()) {
        file.modified_ms = state.now_ms;
    }
    if let Some(target) = body["shortcutDetails"]["targetId"].as_str() {
        file.target = Some(target.to_owned());
    }
    notes(&mut file.properties, body["properties"].as_object())?;
    notes(file.app_properties.entry(caller.client.clone()).or_default(), body["appProperties"].as_object())
}

/// `null` clears; key and value together have at most 124 bytes; at most 30 of a kind.
fn notes(
    all: &mut std::collections::BTreeMap<String, String>,
    new: Option<&Map<String, Value>>,
) -> Result<(), Refusal> {
    for (key, value) in new.into_iter().flatten() {
        match value.as_str() {
            Some(value) if key.len() + value.len() > 124 => {
                return Err(Refusal::invalid("Property key and value exceed 124 bytes"));
            }
            Some(value) => drop(all.insert(key.clone(), value.to_owned())),
            None => drop(all.remove(key)),
        }
    }
    if all.len() > 30 { Err(Refusal::invalid("Too many properties")) } else { Ok(()) }
}

fn json_of(asked: &Asked) -> Answer {
    if asked.body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&asked.body).map_err(|_| Refusal::new(400, "parseError", "Parse Error"))
}

/// A file that does not exist yet, by its metadata; its id.
pub(super) fn make(state: &mut State, caller: &Caller, body: &Value) -> Result<(String, File), Refusal> {
    let mime = body["mimeType"].as_str().unwrap_or("application/octet-stream");
    let id = match body["id"].as_str() {
        None => new_id(state),
        Some(id) => {
            if state.drive.drive(&caller.account).files.contains_key(id) {
                return Err(Refusal::new(409, "fileIdInUse", "A file already exists with the provided ID."));
            }
            if !state.drive.reserved.contains(id) {
                return Err(Refusal::invalid("The provided file ID is not usable."));
            }
            // "Pre-generated IDs are not supported for native Google Documents"; folders and shortcuts are none.
            if mime.starts_with(NATIVE) && mime != FOLDER && mime != SHORTCUT {
                return Err(Refusal::invalid("Generated IDs are not supported for Docs Editors formats."));
            }
            id.to_owned()
        }
    };
    let mut file = File::new("Untitled", mime, state.now_ms);
    file.made_by.clone_from(&caller.client);
    let parents: Vec<&str> = body["parents"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let parent = match parents.as_slice() {
        [] => state.drive.drive(&caller.account).root.clone(),
        [one] => folder(state, caller, one)?,
        _ => return Err(Refusal::new(403, "multiParentNotAllowed", "A file must have exactly one parent.")),
    };
    file.parent = Some(parent);
    apply(state, caller, &mut file, body)?;
    Ok((id, file))
}

/// The id of a folder that may be written to.
fn folder(state: &mut State, caller: &Caller, id: &str) -> Result<String, Refusal> {
    let (id, file) = find(state, caller, id)?;
    if file.mime != FOLDER {
        return Err(Refusal::new(403, "parentNotAFolder", "The specified parent is not a folder."));
    }
    if file.read_only {
        return Err(forbidden());
    }
    Ok(id)
}

fn forbidden() -> Refusal {
    Refusal::new(403, "insufficientFilePermissions", "The user does not have sufficient permissions for this file.")
}

pub(super) fn create(state: &mut State, caller: &Caller, asked: &Asked) -> Answer {
    let (id, mut file) = make(state, caller, &json_of(asked)?)?;
    if !file.is_native() {
        let content = state.drive.blobs.file(&[]);
        file.revisions.push(super::Revision { id: format!("0B{}", state.next()), content });
    }
    state.next();
    state.drive.put(&caller.account, &id, file);
    answer_file(state, caller, asked, &id)
}

/// What a change may be made to.
pub(super) fn writable(state: &mut State, caller: &Caller, id: &str) -> Result<(String, File), Refusal> {
    let (id, file) = find(state, caller, id)?;
    if file.read_only { Err(forbidden()) } else { Ok((id, file)) }
}

pub(super) fn update(state: &mut State, caller: &Caller, asked: &Asked, id: &str) -> Answer {
    let (id, mut file) = writable(state, caller, id)?;
    let body = json_of(asked)?;
    if body.get("parents").is_some() {
        let message =
            "The parents field is not directly writable in update requests. Use addParents and removeParents.";
        return Err(Refusal::new(403, "fieldNotWritable", message));
    }
    move_to(state, caller, asked, &id, &mut file)?;
    apply(state, caller, &mut file, &body)?;
    state.next();
    state.drive.put(&caller.account, &id, file);
    answer_file(state, caller, asked, &id)
}

/// `addParents` and `removeParents`; a file has one parent.
pub(super) fn move_to(
    state: &mut State,
    caller: &Caller,
    asked: &Asked,
    id: &str,
    file: &mut File,
) -> Result<(), Refusal> {
    let Some(joined) = asked.one("addParents") else { return Ok(()) };
    let joined = folder(state, caller, joined)?;
    let removed = asked.one("removeParents").unwrap_or_default();
    let leaves = file.parent.as_deref().is_none_or(|parent| removed.split(',').any(|id| id == parent));
    if !leaves && file.parent.as_ref() != Some(&joined) {
        let message = "Increasing the number of parents is not allowed.";
        return Err(Refusal::new(403, "cannotAddParent", message));
    }
    if state.drive.drive(&caller.account).below(id).contains(&joined) {
        return Err(Refusal::new(403, "cyclicHierarchy", "A folder cannot be moved into itself."));
    }
    file.parent = Some(joined);
    Ok(())
}

/// For good, with all that is below.
pub(super) fn delete(state: &mut State, caller: &Caller, id: &str) -> Result<(), Refusal> {
    let (id, _) = writable(state, caller, id)?;
    forget(state, &caller.account, &id);
    Ok(())
}

/// Deletes for good, with all that is within.
pub(super) fn forget(state: &mut State, account: &str, id: &str) {
    state.next();
    let drive = state.drive.drive(account);
    for gone in drive.below(id) {
        drive.files.remove(&gone);
        drive.changes.push(gone);
    }
}

fn media(state: &State, asked: &Asked, content: &super::Content, kind: &str) -> Result<Response<Bytes>, Refusal> {
    let range = asked.headers.get("range").and_then(|value| value.to_str().ok());
    let wanted = match range {
        None => 0..content.size,
        Some(text) => ranged(text, content.size)
            .ok_or_else(|| Refusal::new(416, "requestedRangeNotSatisfiable", "Request range not satisfiable"))?,
    };
    let lost = || Refusal::new(500, "internalError", "the simulator kept only the hash of this file");
    let bytes = state.drive.blobs.read(content, wanted.clone()).ok_or_else(lost)?;
    let mut builder = Response::builder().header("content-type", kind);
    if range.is_some() {
        let said = format!("bytes {}-{}/{}", wanted.start, wanted.end - 1, content.size);
        builder = builder.status(206).header("content-range", said);
    }
    builder.body(bytes.into()).map_err(|_| lost())
}

fn ranged(text: &str, size: u64) -> Option<std::ops::Range<u64>> {
    let (from, until) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from: u64 = from.parse().ok()?;
    let until = if until.is_empty() { size } else { until.parse::<u64>().ok()?.checked_add(1)?.min(size) };
    (from < until).then_some(from..until)
}

pub(super) fn download(
    state: &mut State,
    caller: &Caller,
    asked: &Asked,
    id: &str,
) -> Result<Response<Bytes>, Refusal> {
    let (_, file) = find(state, caller, id)?;
    match file.content() {
        Some(content) if !file.is_native() => media(state, asked, content, &file.mime),
        Some(_) | None => {
            let message = "Only files with binary content can be downloaded. Use Export with Docs Editors files.";
            Err(Refusal::new(403, "fileNotDownloadable", message))
        }
    }
}

pub(super) fn revision(
    state: &mut State,
    caller: &Caller,
    asked: &Asked,
    id: &str,
    revision: &str,
) -> Result<Response<Bytes>, Refusal> {
    let (_, file) = find(state, caller, id)?;
    if file.read_only {
        let message = "The user does not have sufficient permissions for this file.";
        return Err(Refusal::new(403, "insufficientFilePermissions", message));
    }
    let found = file.revisions.iter().find(|held| held.id == revision);
    let found = found.ok_or_else(|| Refusal::new(404, "notFound", "Revision not found"))?;
    if asked.one("alt") == Some("media") {
        return media(state, asked, &found.content, &file.mime);
    }
    let body = json!({"kind": "drive#revision", "id": found.id, "mimeType": file.mime,
                      "size": found.content.size.to_string(), "md5Checksum": found.content.md5});
    Ok(super::json_response(200, &masked(asked, "kind,id,mimeType", &body)?))
}

/// A PDF of a document of Google's own.
pub(super) fn export(state: &mut State, caller: &Caller, asked: &Asked, id: &str) -> Result<Response<Bytes>, Refusal> {
    let (_, file) = find(state, caller, id)?;
    let kind = asked.one("mimeType").ok_or_else(|| Refusal::new(400, "required", "Required parameter: mimeType"))?;
    let exportable = ["document", "spreadsheet", "presentation", "drawing"];
    if !file.is_native() || !exportable.contains(&file.mime.trim_start_matches(NATIVE)) {
        return Err(Refusal::new(403, "fileNotExportable", "Export only supports Docs Editors files."));
    }
    if kind != "application/pdf" {
        return Err(Refusal::new(400, "badRequest", "The requested conversion is not supported."));
    }
    if file.export_bytes > EXPORT {
        return Err(Refusal::new(403, "exportSizeLimitExceeded", "This file is too large to be exported."));
    }
    let mut bytes = format!("%PDF-1.4\n% {} revision {}\n", file.name, file.version).into_bytes();
    bytes.resize(bytes.len().max(file.export_bytes), b'\n');
    let response = Response::builder().header("content-type", kind).body(Bytes::from(bytes));
    response.map_err(|_| Refusal::new(500, "internalError", "Internal Error"))
}
