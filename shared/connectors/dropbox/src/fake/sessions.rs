//! Uploads: whole, and by sessions.
use super::blob::{BLOCK, Content, Keep};
use super::state::{Session, State};
use super::tree::{MAX_BYTES, Mode, Write};
use super::{Answer, Asked, Refusal, tagged};
use serde_json::{Value, json};

/// "A single request should not upload more than 150 MiB."
const MOST_AT_ONCE: usize = 150 * 1024 * 1024;
/// Entries of a batch.
const BATCH: usize = 1000;

fn text<'a>(argument: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    argument[name].as_str().ok_or_else(|| Refusal::bad(format!("{name}: missing or no string")))
}

fn flag(argument: &Value, name: &str) -> Result<bool, Refusal> {
    match &argument[name] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(Refusal::bad(format!("{name}: expected boolean")))
        }
    }
}

/// Size and hash of the bytes of a call.
fn check_body(asked: &Asked, argument: &Value) -> Result<(), Refusal> {
    let kind = asked.header("content-type").unwrap_or_default();
    if !["application/octet-stream", "text/plain; charset=dropbox-cors-hack"].contains(&kind) {
        return Err(Refusal::bad("Bad HTTP \"Content-Type\" header"));
    }
    if asked.body.len() > MOST_AT_ONCE {
        return Err(Refusal::endpoint(&["payload_too_large"]));
    }
    match argument["content_hash"].as_str() {
        Some(hash) if hash.len() != 64 => Err(Refusal::bad("content_hash: must be 64 characters")),
        Some(hash) => {
            let mut scratch = super::blob::Blocks::default();
            let same = scratch.file(&asked.body, Keep::Hash).hash() == hash;
            if same { Ok(()) } else { Err(Refusal::endpoint(&["content_hash_mismatch"])) }
        }
        None => Ok(()),
    }
}

/// `CommitInfo`, without the content.
fn write_of<'a>(commit: &'a Value, content: Content) -> Result<Write<'a>, Refusal> {
    let path = text(commit, "path")?;
    if !path.starts_with('/') && !path.starts_with("id:") && !path.starts_with("ns:") {
        return Err(Refusal::bad(format!("path: '{path}' did not match pattern")));
    }
    let mode = &commit["mode"];
    let mode = match mode.as_str().or(mode[".tag"].as_str()) {
        None if mode.is_null() => Mode::Add,
        Some("add") => Mode::Add,
        Some("overwrite") => Mode::Overwrite,
        Some("update") => {
            let rev = text(mode, "update")?;
            if rev.len() < 9 || !rev.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Refusal::bad("rev: did not match pattern"));
            }
            Mode::Update(rev.to_owned())
        }
        _ => return Err(Refusal::bad("mode: unknown tag")),
    };
    let client_modified_ms = match commit["client_modified"].as_str() {
        None => None,
        Some(at) => {
            let at: jiff::Timestamp =
                at.parse().map_err(|_| Refusal::bad("client_modified: time data does not match format"))?;
            Some(at.as_second() * 1000)
        }
    };
    let (autorename, strict) = (flag(commit, "autorename")?, flag(commit, "strict_conflict")?);
    Ok(Write { path, mode, autorename, strict, content, client_modified_ms })
}

/// `FileMetadata`, untagged, as uploads answer.
fn written(state: &mut State, account: &str, key: &str) -> Value {
    let held = state.account(account);
    held.tree.get(key).map_or(Value::Null, |node| super::tree::describe(node, key, &held.display(key)))
}

pub(super) fn upload(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let argument = asked.argument()?;
    check_body(asked, &argument)?;
    let keep = state.keep(asked.body.len() as u64);
    let content = state.blocks.file(&asked.body, keep);
    match state.write(account, write_of(&argument, content)?) {
        Ok(key) => Ok(written(state, account, &key)),
        Err(reason) => {
            let session = start_session(state, account, false);
            Err(Refusal::Endpoint(json!({".tag": "path", "reason": reason, "upload_session_id": session})))
        }
    }
}

fn start_session(state: &mut State, account: &str, concurrent: bool) -> String {
    state.sweep();
    let id = format!("pid_upload_session:{:016x}", state.next());
    let session = Session {
        account: account.to_owned(),
        started_ms: state.now_ms,
        concurrent,
        closed: false,
        size: 0,
        blocks: Vec::new(),
        tail: Vec::new(),
        pieces: std::collections::BTreeMap::new(),
    };
    state.sessions.insert(id.clone(), session);
    id
}

fn is_concurrent(argument: &Value) -> Result<bool, Refusal> {
    let kind = &argument["session_type"];
    match kind.as_str().or(kind[".tag"].as_str()) {
        None | Some("sequential") => Ok(false),
        Some("concurrent") => Ok(true),
        Some(_) => Err(Refusal::bad("session_type: unknown tag")),
    }
}

pub(super) fn start(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let argument = asked.argument()?;
    check_body(asked, &argument)?;
    let (concurrent, close) = (is_concurrent(&argument)?, flag(&argument, "close")?);
    if concurrent && close {
        return Err(Refusal::endpoint(&["concurrent_session_close_not_allowed"]));
    }
    if concurrent && !asked.body.is_empty() {
        return Err(Refusal::endpoint(&["concurrent_session_data_not_allowed"]));
    }
    let id = start_session(state, account, concurrent);
    take(state, &id, &asked.body);
    if let Some(session) = state.sessions.get_mut(&id) {
        session.closed = close;
    }
    Ok(json!({"session_id": id}))
}

pub(super) fn start_batch(state: &mut State, account: &str, argument: &Value) -> Answer {
    let count = argument["num_sessions"].as_u64().filter(|count| (1..=BATCH as u64).contains(count));
    let count = count.ok_or_else(|| Refusal::bad("num_sessions: must be 1 to 1000"))?;
    let concurrent = is_concurrent(argument)?;
    let ids: Vec<String> = (0..count).map(|_| start_session(state, account, concurrent)).collect();
    Ok(json!({"session_ids": ids}))
}

/// Adds bytes at the end of a sequential session.
fn take(state: &mut State, id: &str, bytes: &[u8]) {
    let Some(session) = state.sessions.get_mut(id) else { return };
    let keep = if session.size + bytes.len() as u64 > state.settings.keep_bytes { Keep::Hash } else { Keep::Bytes };
    session.tail.extend_from_slice(bytes);
    session.size += bytes.len() as u64;
    let whole = session.tail.len() - session.tail.len() % usize::try_from(BLOCK).unwrap_or(usize::MAX);
    let rest = session.tail.split_off(whole);
    let full = std::mem::replace(&mut session.tail, rest);
    session.blocks.extend(state.blocks.add(&full, keep));
    state.next();
}

/// The session, where it is this account's and lives; `UploadSessionLookupError` otherwise.
fn looked_up<'a>(state: &'a mut State, account: &str, id: &str) -> Result<&'a mut Session, Value> {
    let oldest = state.now_ms - super::state::SESSION_MS;
    let session = state.sessions.get_mut(id);
    session
        .filter(|session| session.account == account && session.started_ms > oldest)
        .ok_or_else(|| tagged(&["not_found"]))
}

fn cursor(argument: &Value) -> Result<(&str, u64), Refusal> {
    let cursor = &argument["cursor"];
    let offset = cursor["offset"].as_u64().ok_or_else(|| Refusal::bad("cursor.offset: expected integer"))?;
    Ok((text(cursor, "session_id")?, offset))
}

pub(super) fn append(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let argument = asked.argument()?;
    check_body(asked, &argument)?;
    let (id, offset) = cursor(&argument)?;
    let close = flag(&argument, "close")?;
    add(state, account, (id, offset), &asked.body, close).map_err(Refusal::Endpoint)?;
    Ok(Value::Null)
}

fn add(state: &mut State, account: &str, (id, offset): (&str, u64), bytes: &[u8], close: bool) -> Result<(), Value> {
    let keep_bytes = state.settings.keep_bytes;
    let session = looked_up(state, account, id)?;
    if session.closed {
        return Err(tagged(&["closed"]));
    }
    let size = bytes.len() as u64;
    if offset + size > MAX_BYTES {
        return Err(tagged(&["too_large"]));
    }
    if session.concurrent {
        if !offset.is_multiple_of(BLOCK) {
            return Err(tagged(&["concurrent_session_invalid_offset"]));
        }
        if !close && (!size.is_multiple_of(BLOCK) || size == 0) {
            return Err(tagged(&["concurrent_session_invalid_data_size"]));
        }
        let keep = if offset + size > keep_bytes { Keep::Hash } else { Keep::Bytes };
        let blocks = state.blocks.add(bytes, keep);
        let session = looked_up(state, account, id)?;
        session.pieces.insert(offset, (size, blocks));
        session.closed = close;
        state.next();
        return Ok(());
    }
    if session.size != offset {
        return Err(json!({".tag": "incorrect_offset", "correct_offset": session.size}));
    }
    session.closed = close;
    take(state, id, bytes);
    Ok(())
}

/// The bytes of a session that is complete; `UploadSessionFinishError` otherwise.
fn content_of(state: &mut State, account: &str, id: &str, offset: u64) -> Result<Content, Value> {
    let failed = |error: Value| json!({".tag": "lookup_failed", "lookup_failed": error});
    let session = looked_up(state, account, id).map_err(failed)?.clone();
    if session.concurrent {
        if !session.closed {
            return Err(tagged(&["concurrent_session_not_closed"]));
        }
        let mut content = Content::default();
        for (at, (size, blocks)) in session.pieces {
            if at > content.size {
                return Err(tagged(&["concurrent_session_missing_data"]));
            }
            // A piece that was sent twice may overlap; blocks are on borders, so whole ones are replaced.
            content.blocks.truncate(usize::try_from(at / BLOCK).unwrap_or(usize::MAX));
            content.blocks.extend(blocks);
            content.size = at + size;
        }
        if content.size != offset {
            return Err(failed(json!({".tag": "incorrect_offset", "correct_offset": content.size})));
        }
        return Ok(content);
    }
    if session.size != offset {
        return Err(failed(json!({".tag": "incorrect_offset", "correct_offset": session.size})));
    }
    let keep = state.keep(session.size);
    let mut blocks = session.blocks;
    blocks.extend(state.blocks.add(&session.tail, keep));
    Ok(Content { size: session.size, blocks })
}

/// Commits a session; the key of the file. A session that was committed is gone, one whose commit failed stays.
fn commit(state: &mut State, account: &str, entry: &Value) -> Result<String, Refusal> {
    let (id, offset) = cursor(entry)?;
    let content = content_of(state, account, id, offset).map_err(Refusal::Endpoint)?;
    let path = |error: Value| Refusal::Endpoint(json!({".tag": "path", "path": error}));
    let key = state.write(account, write_of(&entry["commit"], content)?).map_err(path)?;
    state.sessions.remove(id);
    Ok(key)
}

pub(super) fn finish(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let argument = asked.argument()?;
    check_body(asked, &argument)?;
    let (id, offset) = cursor(&argument)?;
    let failed = |error: Value| Refusal::Endpoint(json!({".tag": "lookup_failed", "lookup_failed": error}));
    let session = looked_up(state, account, id).map_err(failed)?;
    if session.concurrent && !asked.body.is_empty() {
        return Err(Refusal::endpoint(&["concurrent_session_data_not_allowed"]));
    }
    let mut entry = argument.clone();
    if !asked.body.is_empty() {
        add(state, account, (id, offset), &asked.body, false).map_err(failed)?;
        entry["cursor"]["offset"] = json!(offset + asked.body.len() as u64);
    }
    let key = commit(state, account, &entry)?;
    Ok(written(state, account, &key))
}

pub(super) fn finish_batch(state: &mut State, account: &str, argument: &Value) -> Answer {
    let entries = argument["entries"].as_array().ok_or_else(|| Refusal::bad("entries: expected list"))?;
    if entries.len() > BATCH {
        return Err(Refusal::bad("entries: must have at most 1000 items"));
    }
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        let (id, _) = cursor(entry)?;
        let open = looked_up(state, account, id).is_ok_and(|session| !session.closed);
        let done = if open {
            Err(Refusal::Endpoint(json!({".tag": "lookup_failed", "lookup_failed": {".tag": "not_closed"}})))
        } else {
            commit(state, account, entry)
        };
        results.push(match done {
            Ok(key) => {
                let mut success = written(state, account, &key);
                success[".tag"] = json!("success");
                success
            }
            Err(Refusal::Endpoint(failure)) => json!({".tag": "failure", "failure": failure}),
            Err(other) => return Err(other),
        });
    }
    Ok(json!({"entries": results}))
}
