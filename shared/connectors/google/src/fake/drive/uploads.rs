//! Bytes that come in one call or by a session, and push channels.
use super::super::Asked;
use super::super::state::State;
use super::blobs::Growing;
use super::{Answer, Caller, Channel, File, Refusal, Revision, files, json_response};
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

/// A session lives for a week.
const SESSION_MS: i64 = 7 * 24 * 3_600_000;
/// Pieces but the last are multiples of it.
const MULTIPLE: u64 = 256 * 1024;
/// "Maximum file size: 5,120GB".
const MOST: u64 = 5_120 * 1024 * 1024 * 1024;

/// An upload by pieces.
pub(super) struct Session {
    account: String,
    client: String,
    all: bool,
    /// The file to replace the bytes of; else one is made.
    file: Option<String>,
    metadata: Value,
    kind: String,
    total: Option<u64>,
    started_ms: i64,
    held: Growing,
    fields: Option<String>,
    /// The answer, once it is finished.
    done: Option<Value>,
}

fn header<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.headers.get(name)?.to_str().ok()
}

pub(super) fn upload(state: &mut State, caller: &Caller, asked: &Asked) -> Result<Response<Bytes>, Refusal> {
    let id = asked.path.strip_prefix("/upload/drive/v3/files/").map(str::to_owned);
    match (asked.method.as_str(), &id) {
        ("POST", None) | ("PATCH", Some(_)) => {}
        _ => return Err(Refusal::new(404, "notFound", "Not Found")),
    }
    match asked.one("uploadType") {
        Some("media") => {
            let kind = header(asked, "content-type").unwrap_or("application/octet-stream").to_owned();
            let mut held = Growing::default();
            let keep = state.drive.keep_bytes;
            state.drive.blobs.grow(&mut held, &asked.body, keep);
            finish(state, caller, asked, id, &json!({}), &kind, held).map(|body| json_response(200, &body))
        }
        Some("multipart") => {
            let (metadata, kind, bytes) = parts(asked)?;
            let mut held = Growing::default();
            let keep = state.drive.keep_bytes;
            state.drive.blobs.grow(&mut held, &bytes, keep);
            finish(state, caller, asked, id, &metadata, &kind, held).map(|body| json_response(200, &body))
        }
        Some("resumable") => begin(state, caller, asked, id),
        Some(_) | None => Err(Refusal::new(400, "badRequest", "Invalid uploadType")),
    }
}

/// The two parts of `multipart/related`. Lines end in CRLF, or in LF as Google's own Python client writes them.
fn parts(asked: &Asked) -> Result<(Value, String, Bytes), Refusal> {
    let bad = || Refusal::new(400, "badContent", "Malformed multipart body.");
    let kind = header(asked, "content-type").ok_or_else(bad)?;
    let boundary = kind.split("boundary=").nth(1).ok_or_else(bad)?.trim_matches('"').split(';').next();
    let mark = format!("--{}", boundary.ok_or_else(bad)?.trim_matches('"'));
    let body = &asked.body[..];
    let at = |from: usize, wanted: &[u8]| {
        body.get(from..)?.windows(wanted.len()).position(|found| found == wanted).map(|at| from + at)
    };
    let first = at(0, mark.as_bytes()).ok_or_else(bad)? + mark.len();
    let second = at(first, mark.as_bytes()).ok_or_else(bad)?;
    // The bytes may hold anything but the boundary: the last one ends them.
    let end = body.windows(mark.len()).rposition(|found| found == mark.as_bytes()).filter(|end| *end > second);
    let end = end.ok_or_else(bad)?;
    let (_, metadata) = part(&body[first..second]).ok_or_else(bad)?;
    let (kind, bytes) = part(&body[second + mark.len()..end]).ok_or_else(bad)?;
    let metadata = serde_json::from_slice(metadata).map_err(|_| Refusal::new(400, "parseError", "Parse Error"))?;
    Ok((metadata, kind, Bytes::copy_from_slice(bytes)))
}

/// A part's content type and body.
fn part(text: &[u8]) -> Option<(String, &[u8])> {
    let find = |wanted: &[u8]| text.windows(wanted.len()).position(|found| found == wanted).map(|at| at + wanted.len());
    let start = match (find(b"\r\n\r\n"), find(b"\n\n")) {
        (Some(crlf), Some(lf)) => crlf.min(lf),
        (one, other) => one.or(other)?,
    };
    let head = String::from_utf8_lossy(&text[..start]).to_lowercase();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type:"));
    let body = &text[start..];
    let body = body.strip_suffix(b"\r\n").or(body.strip_suffix(b"\n")).unwrap_or(body);
    Some((kind.unwrap_or("application/octet-stream").trim().to_owned(), body))
}

fn begin(state: &mut State, caller: &Caller, asked: &Asked, id: Option<String>) -> Result<Response<Bytes>, Refusal> {
    let metadata: Value = match asked.body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(&asked.body).map_err(|_| Refusal::new(400, "parseError", "Parse Error"))?,
    };
    match &id {
        None => drop(files::make(state, caller, &metadata)?),
        Some(id) => drop(files::writable(state, caller, id)?),
    }
    let total = header(asked, "x-upload-content-length").and_then(|text| text.parse().ok());
    if total.is_some_and(|total| total > MOST) {
        return Err(Refusal::new(413, "uploadTooLarge", "The file is too large."));
    }
    let session = Session {
        account: caller.account.clone(),
        client: caller.client.clone(),
        all: caller.own_only == super::Own::All,
        file: id,
        metadata,
        kind: header(asked, "x-upload-content-type").unwrap_or("application/octet-stream").to_owned(),
        total,
        started_ms: state.now_ms,
        held: Growing::default(),
        fields: asked.one("fields").map(str::to_owned),
        done: None,
    };
    let name = format!("AHmUCI{:020}", state.next());
    state.drive.sessions.insert(name.clone(), session);
    let scheme = header(asked, "x-forwarded-proto").unwrap_or("http");
    let origin = match header(asked, "host") {
        Some(host) => format!("{scheme}://{host}"),
        None => "https://www.googleapis.com".to_owned(),
    };
    Response::builder()
        .status(200)
        .header("location", format!("{origin}{}?uploadType=resumable&upload_id={name}", asked.path))
        .header("x-guploader-uploadid", &name)
        .body(Bytes::new())
        .map_err(|_| Refusal::new(500, "internalError", "Internal Error"))
}

/// Which bytes come, and of how many; `None` for a `*`.
type ContentRange = (Option<(u64, u64)>, Option<u64>);

/// `bytes a-b/total`, `bytes */total`; the total may be `*`.
fn range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    if range == "*" {
        return Some((None, total));
    }
    let (from, last) = range.split_once('-')?;
    Some((Some((from.parse().ok()?, last.parse().ok()?)), total))
}

/// 308: what is there.
fn incomplete(held: u64) -> Response<Bytes> {
    let mut builder = Response::builder().status(308);
    if held > 0 {
        builder = builder.header("range", format!("bytes=0-{}", held - 1));
    }
    builder.body(Bytes::new()).expect("fixed header names and a status in range")
}

pub(super) fn piece(state: &mut State, asked: &Asked) -> Result<Response<Bytes>, Refusal> {
    let lost = || Refusal::new(404, "notFound", "Not Found");
    let name = asked.one("upload_id").ok_or_else(lost)?.to_owned();
    let oldest = state.now_ms - SESSION_MS;
    let most = state.drive.most_of_a_piece;
    let mut session = state.drive.sessions.remove(&name).filter(|s| s.started_ms > oldest).ok_or_else(lost)?;
    let outcome = take(state, &mut session, asked, most);
    // "any 4xx during a session" means to begin again; after a 5xx it goes on.
    let over = outcome.as_ref().is_err_and(|refusal| refusal.code < 500);
    if !over {
        state.drive.sessions.insert(name, session);
    }
    outcome
}

fn take(state: &mut State, session: &mut Session, asked: &Asked, most: u64) -> Result<Response<Bytes>, Refusal> {
    if let Some(done) = &session.done {
        return Ok(json_response(200, done));
    }
    let bad = |what: &str| Refusal::new(400, "badRequest", what);
    let size = asked.body.len() as u64;
    let (bytes, total) = match header(asked, "content-range") {
        Some(text) => range(text).ok_or_else(|| bad("Failed to parse Content-Range header."))?,
        // Without it the whole file comes at once.
        None if size > 0 => (Some((0, size - 1)), Some(size)),
        None => (None, Some(0)),
    };
    let total = total.or(session.total);
    session.total = total;
    if let Some((from, last)) = bytes {
        if last + 1 - from != size {
            return Err(bad("Content-Range and the body differ in length."));
        }
        let is_last = total == Some(last + 1);
        if !is_last && !size.is_multiple_of(MULTIPLE) {
            return Err(bad("Pieces must be multiples of 256 KiB."));
        }
        if from > session.held.size {
            return Err(Refusal::new(503, "backendError", "Invalid request. There is a gap before these bytes."));
        }
        // What is there already is passed over.
        let known = (session.held.size - from).min(size);
        let fresh = size - known;
        let taken = if fresh > most { most / MULTIPLE * MULTIPLE } else { fresh };
        let (start, end) = (usize::try_from(known).unwrap_or(0), usize::try_from(known + taken).unwrap_or(0));
        let keep = state.drive.keep_bytes;
        state.drive.blobs.grow(&mut session.held, &asked.body[start..end], keep);
    }
    if total != Some(session.held.size) {
        return Ok(incomplete(session.held.size));
    }
    let own_only = if session.all { super::Own::All } else { super::Own::Only };
    let caller = Caller { account: session.account.clone(), client: session.client.clone(), own_only };
    let held = std::mem::take(&mut session.held);
    let mut plain = Asked { query: Vec::new(), ..asked.copied() };
    if let Some(fields) = &session.fields {
        plain.query.push(("fields".to_owned(), fields.clone()));
    }
    let done = finish(state, &caller, &plain, session.file.clone(), &session.metadata, &session.kind, held)?;
    session.done = Some(done.clone());
    Ok(json_response(200, &done))
}

/// The bytes are there: the file is made, or has a new revision.
fn finish(
    state: &mut State,
    caller: &Caller,
    asked: &Asked,
    id: Option<String>,
    metadata: &Value,
    kind: &str,
    held: Growing,
) -> Answer {
    let space = state.drive.space;
    if state.drive.drive(&caller.account).used() + held.size > space {
        return Err(Refusal::new(403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded."));
    }
    let (id, mut file): (String, File) = match id {
        None => {
            let mut body = metadata.clone();
            if body["mimeType"].is_null() {
                body["mimeType"] = json!(kind);
            }
            files::make(state, caller, &body)?
        }
        Some(id) => {
            let (id, mut file) = files::writable(state, caller, &id)?;
            if file.is_native() {
                return Err(Refusal::new(403, "fileNotDownloadable", "This file has no binary content."));
            }
            files::move_to(state, caller, asked, &id, &mut file)?;
            file.modified_ms = state.now_ms;
            files::apply(state, caller, &mut file, metadata)?;
            (id, file)
        }
    };
    if file.is_native() {
        return Err(Refusal::new(400, "badRequest", "Bad Request"));
    }
    let content = state.drive.blobs.done(held);
    let revision = format!("0B{:030}", state.next());
    file.revisions.push(Revision { id: revision, content });
    state.drive.put(&caller.account, &id, file);
    files::answer_file(state, caller, asked, &id)
}

/// `changes.watch`. Without an expiration one hour, with one at most a week.
pub(super) fn watch(state: &mut State, caller: &Caller, asked: &Asked) -> Answer {
    let body: Value =
        serde_json::from_slice(&asked.body).map_err(|_| Refusal::new(400, "parseError", "Parse Error"))?;
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (id, address, token) = (text("id"), text("address"), text("token"));
    let required = |what: &str| Refusal::new(400, "required", format!("Required parameter: {what}"));
    if asked.one("pageToken").is_none() {
        return Err(required("pageToken"));
    }
    if id.is_empty() || id.len() > 64 || token.len() > 256 {
        return Err(Refusal::new(400, "invalidParameter", "id has 1 to 64 characters, token at most 256"));
    }
    if text("type") != "web_hook" {
        return Err(Refusal::new(400, "invalidParameter", "Unknown channel type"));
    }
    if !address.starts_with("https://") && !address.starts_with("http://127.0.0.1") {
        return Err(Refusal::new(400, "push.webhookUrlNotHttps", format!("WebHook callback must be HTTPS: {address}")));
    }
    if state.drive.channels.iter().any(|channel| channel.id == id) {
        return Err(Refusal::new(400, "channelIdNotUnique", format!("Channel id {id} not unique")));
    }
    let asked_ms =
        body["expiration"].as_str().and_then(|text| text.parse::<i64>().ok()).or(body["expiration"].as_i64());
    let now = state.now_ms;
    let expires_ms = asked_ms.map_or(now + 3_600_000, |until| until.min(now + 604_800_000));
    let resource = format!("res{:020}", state.next());
    let told = state.drive.drive(&caller.account).changes.len();
    let channel = Channel {
        id: id.clone(),
        resource: resource.clone(),
        account: caller.account.clone(),
        address,
        token: token.clone(),
        expires_ms,
        told,
        messages: 0,
    };
    state.drive.channels.push(channel);
    Ok(json!({"kind": "api#channel", "id": id, "resourceId": resource, "token": token,
              "resourceUri": "https://www.googleapis.com/drive/v3/changes?alt=json",
              "expiration": expires_ms.to_string()}))
}

pub(super) fn stop(state: &mut State, caller: &Caller, asked: &Asked) -> Result<(), Refusal> {
    let body: Value =
        serde_json::from_slice(&asked.body).map_err(|_| Refusal::new(400, "parseError", "Parse Error"))?;
    let before = state.drive.channels.len();
    state.drive.channels.retain(|channel| {
        body["id"] != channel.id.as_str()
            || body["resourceId"] != channel.resource.as_str()
            || channel.account != caller.account
    });
    state.next();
    if state.drive.channels.len() == before {
        return Err(Refusal::new(404, "notFound", "Channel not found"));
    }
    Ok(())
}

/// A notification as Google sends it: headers, no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Where it goes.
    pub address: String,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
}

/// What each live channel has to tell: `sync` first, then one `change` for all that happened since.
pub(super) fn notifications(state: &mut State) -> Vec<Notification> {
    let now = state.now_ms;
    let mut told = Vec::new();
    let mut channels = std::mem::take(&mut state.drive.channels);
    channels.retain(|channel| channel.expires_ms > now);
    for channel in &mut channels {
        let newest = state.drive.drive(&channel.account).changes.len();
        let word = match (channel.messages, newest > channel.told) {
            (0, _) => "sync",
            (_, true) => "change",
            (_, false) => continue,
        };
        if word == "change" {
            channel.told = newest;
        }
        channel.messages += 1;
        let until = jiff::Timestamp::from_millisecond(channel.expires_ms).unwrap_or_default();
        told.push(Notification {
            address: channel.address.clone(),
            headers: vec![
                ("x-goog-channel-id", channel.id.clone()),
                ("x-goog-channel-token", channel.token.clone()),
                ("x-goog-channel-expiration", until.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
                ("x-goog-resource-id", channel.resource.clone()),
                ("x-goog-resource-state", word.to_owned()),
                ("x-goog-message-number", channel.messages.to_string()),
            ],
        });
    }
    state.drive.channels = channels;
    if !told.is_empty() {
        state.next();
    }
    told
}
