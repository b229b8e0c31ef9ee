//! The routes of API v2.
use super::blob::Content;
use super::state::{Event, Job, State, Switch};
use super::tree::describe;
use super::{Answer, Asked, Refusal, json_response, sessions, tagged};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The scope that a route needs, from the reference's `scope` attribute; `None`: no such route.
fn scope(route: &str) -> Option<&'static str> {
    Some(match route {
        "users/get_current_account" | "users/get_space_usage" => "account_info.read",
        "auth/token/revoke" => "",
        "files/list_folder"
        | "files/list_folder/continue"
        | "files/list_folder/get_latest_cursor"
        | "files/get_metadata" => "files.metadata.read",
        "files/download" => "files.content.read",
        "files/create_folder_v2"
        | "files/create_folder_batch"
        | "files/create_folder_batch/check"
        | "files/delete_v2"
        | "files/delete_batch"
        | "files/delete_batch/check"
        | "files/move_v2"
        | "files/move_batch_v2"
        | "files/move_batch/check_v2"
        | "files/restore"
        | "files/upload"
        | "files/upload_session/start"
        | "files/upload_session/start_batch"
        | "files/upload_session/append_v2"
        | "files/upload_session/finish"
        | "files/upload_session/finish_batch_v2" => "files.content.write",
        _ => return None,
    })
}

pub(super) fn answer(state: &mut State, asked: &Asked) -> Result<Response<Bytes>, Refusal> {
    let route = asked.path.strip_prefix("/2/").unwrap_or_default();
    let scope = scope(route).ok_or(Refusal::NoRoute)?;
    if asked.method != Method::POST {
        return Err(Refusal::bad("this route takes POST only"));
    }
    let account = state.authorise(asked.bearer(), scope)?;
    if route == "files/download" {
        return download(state, &account, asked);
    }
    let account = account.as_str();
    let body = match route {
        "files/upload" => sessions::upload(state, account, asked)?,
        "files/upload_session/start" => sessions::start(state, account, asked)?,
        "files/upload_session/append_v2" => sessions::append(state, account, asked)?,
        "files/upload_session/finish" => sessions::finish(state, account, asked)?,
        _ => {
            let kind = asked.header("content-type").unwrap_or_default();
            if !asked.body.is_empty() && !kind.starts_with("application/json") {
                return Err(Refusal::bad("Bad HTTP \"Content-Type\" header"));
            }
            rpc(state, account, route, &asked.json()?, asked)?
        }
    };
    Ok(json_response(200, &body))
}

fn rpc(state: &mut State, account: &str, route: &str, argument: &Value, asked: &Asked) -> Answer {
    match route {
        "users/get_current_account" => Ok(current_account(state, account)),
        "users/get_space_usage" => {
            let used = state.account(account).used();
            let allocation = json!({".tag": "individual", "allocated": state.settings.space});
            Ok(json!({"used": used, "allocation": allocation}))
        }
        "auth/token/revoke" => {
            super::oauth::revoke_token(state, asked.bearer().unwrap_or_default());
            Ok(Value::Null)
        }
        "files/list_folder" => list(state, account, argument, Start::Listing),
        "files/list_folder/get_latest_cursor" => list(state, account, argument, Start::Latest),
        "files/list_folder/continue" => list_on(state, account, argument),
        "files/get_metadata" => get_metadata(state, account, argument),
        "files/create_folder_v2" => {
            let made = state.make_folder(account, path(argument, "path")?, argument["autorename"] == true);
            let key = made.map_err(|error| Refusal::Endpoint(json!({".tag": "path", "path": error})))?;
            Ok(json!({"metadata": untagged(state, account, &key)}))
        }
        "files/delete_v2" => {
            let gone = delete(state, account, argument)?;
            Ok(json!({"metadata": gone}))
        }
        "files/move_v2" => {
            let key = relocate(state, account, argument, argument["autorename"] == true)?;
            Ok(json!({"metadata": shown(state, account, &key)}))
        }
        "files/restore" => {
            let (at, rev) = (path(argument, "path")?, path(argument, "rev")?);
            let key = state.restore(account, at, rev).ok_or_else(|| Refusal::endpoint(&["invalid_revision"]))?;
            Ok(untagged(state, account, &key))
        }
        "files/create_folder_batch" => create_folder_batch(state, account, argument),
        "files/delete_batch" => delete_batch(state, account, argument),
        "files/move_batch_v2" => move_batch(state, account, argument),
        "files/create_folder_batch/check" | "files/delete_batch/check" | "files/move_batch/check_v2" => {
            check(state, route, argument)
        }
        "files/upload_session/start_batch" => sessions::start_batch(state, account, argument),
        "files/upload_session/finish_batch_v2" => sessions::finish_batch(state, account, argument),
        _ => Err(Refusal::NoRoute),
    }
}

fn current_account(state: &mut State, account: &str) -> Value {
    let held = state.account(account);
    json!({
        "account_id": held.id, "email": held.email, "email_verified": true, "disabled": false, "locale": "en",
        "name": {"given_name": held.name, "surname": "", "familiar_name": held.name, "display_name": held.name,
                 "abbreviated_name": held.name.chars().take(2).collect::<String>()},
        "referral_link": "https://db.tt/ZITNuhtI", "is_paired": false, "account_type": {".tag": held.kind},
        "root_info": {".tag": "user", "root_namespace_id": held.uid.to_string(),
                      "home_namespace_id": held.uid.to_string()},
    })
}

fn path<'a>(argument: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    argument[name].as_str().ok_or_else(|| Refusal::bad(format!("{name}: missing or no string")))
}

fn shown(state: &mut State, account: &str, key: &str) -> Value {
    let held = state.account(account);
    held.tree.get(key).map_or(Value::Null, |node| held.metadata(key, node))
}

fn untagged(state: &mut State, account: &str, key: &str) -> Value {
    let held = state.account(account);
    held.tree.get(key).map_or(Value::Null, |node| describe(node, key, &held.display(key)))
}

/// Where a listing is. Cursors hold it all, so none is ever forgotten, but for those of an earlier generation.
#[derive(Serialize, Deserialize)]
struct At {
    generation: u64,
    account: String,
    root: String,
    recursive: bool,
    deleted: bool,
    limit: usize,
    /// The last path of the first listing; `None`: it is done.
    after: Option<String>,
    /// Events up to here are known.
    seq: u64,
}

#[derive(PartialEq, Eq)]
enum Start {
    Listing,
    Latest,
}

fn list(state: &mut State, account: &str, argument: &Value, start: Start) -> Answer {
    let what = path(argument, "path")?;
    if what == "/" || (!what.is_empty() && !what.starts_with(['/', 'i', 'n'])) {
        return Err(Refusal::bad("path: did not match pattern: Specify the root folder as an empty string"));
    }
    let limit = match argument["limit"].as_u64() {
        None if argument["limit"].is_null() => 500,
        limit => limit.filter(|n| (1..=2000).contains(n)).ok_or_else(|| Refusal::bad("limit: 1 to 2000"))?,
    };
    let root = match what {
        "" => String::new(),
        what => {
            let held = state.account(account);
            let not = |tag: &str| Refusal::endpoint(&["path", tag]);
            let key = held.find(what).ok_or_else(|| not("not_found"))?;
            if held.tree.get(&key).is_some_and(|node| node.file.is_some()) {
                return Err(not("not_folder"));
            }
            key
        }
    };
    let at = At {
        generation: state.generation,
        account: account.to_owned(),
        root,
        recursive: argument["recursive"] == true,
        deleted: argument["include_deleted"] == true,
        limit: usize::try_from(limit).unwrap_or(2000).min(state.settings.page),
        after: (start == Start::Listing).then(String::new),
        seq: state.seq,
    };
    match start {
        Start::Listing => Ok(page(state, at)),
        Start::Latest => Ok(json!({"cursor": cursor(&at)})),
    }
}

fn cursor(at: &At) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_string(at).unwrap_or_default())
}

fn list_on(state: &mut State, account: &str, argument: &Value) -> Answer {
    let text = path(argument, "cursor")?;
    let at: Option<At> = URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let at = at.filter(|at| at.account == account).ok_or_else(|| Refusal::bad("cursor: Invalid cursor"))?;
    if at.generation != state.generation {
        return Err(Refusal::endpoint(&["reset"]));
    }
    if !at.root.is_empty() && !state.account(account).tree.contains_key(&at.root) {
        return Err(Refusal::endpoint(&["path", "not_found"]));
    }
    Ok(page(state, at))
}

fn is_seen(at: &At, path: &str) -> bool {
    let rest = path.strip_prefix(at.root.as_str()).and_then(|rest| rest.strip_prefix('/'));
    rest.is_some_and(|rest| at.recursive || !rest.contains('/'))
}

/// The rest of the first listing, then what happened since it began.
fn page(state: &mut State, mut at: At) -> Value {
    let newest = state.seq;
    let upwards = state.settings.children_first == Switch::Yes;
    let held = state.account(&at.account.clone());
    let mut entries = Vec::new();
    if let Some(after) = at.after.clone() {
        let rest = |path: &str| after.is_empty() || if upwards { path < &*after } else { path > &*after };
        let mut paths: Vec<&String> = held.tree.keys().filter(|path| is_seen(&at, path) && rest(path)).collect();
        if upwards {
            paths.reverse();
        }
        for path in paths.iter().take(at.limit) {
            entries.push(held.metadata(path, &held.tree[*path]));
        }
        let more = paths.len() > at.limit;
        at.after = more.then(|| paths.get(at.limit - 1).map(|path| (*path).clone()).unwrap_or_default());
        if !more && at.deleted {
            let gone = held.old.values().filter(|old| is_seen(&at, &old.path) && !held.tree.contains_key(&old.path));
            entries.extend(gone.map(|old| deleted(&old.path, &old.path)));
        }
        return json!({"entries": entries, "cursor": cursor(&at), "has_more": more});
    }
    let mut events: Vec<&Event> = held.events.iter().filter(|e| e.seq > at.seq && is_seen(&at, &e.path)).collect();
    let more = events.len() > at.limit;
    events.truncate(at.limit);
    at.seq = events.last().filter(|_| more).map_or(newest, |event| event.seq);
    if upwards {
        // What was removed in between keeps its place: what came to its path comes after it.
        let alike = |one: &&Event, other: &&Event| one.node.is_some() == other.node.is_some();
        let depth = |event: &&Event| std::cmp::Reverse(event.path.matches('/').count());
        events.chunk_by_mut(alike).for_each(|events| events.sort_by_key(depth));
    }
    for event in events {
        entries.push(match &event.node {
            Some(node) => {
                let mut shown = describe(node, &event.path, &event.display);
                shown[".tag"] = json!(if node.file.is_some() { "file" } else { "folder" });
                shown
            }
            None => deleted(&event.path, &event.display),
        });
    }
    json!({"entries": entries, "cursor": cursor(&at), "has_more": more})
}

fn deleted(path: &str, display: &str) -> Value {
    let name = display.rsplit_once('/').map_or(display, |(_, name)| name);
    json!({".tag": "deleted", "name": name, "path_lower": path, "path_display": display})
}

fn get_metadata(state: &mut State, account: &str, argument: &Value) -> Answer {
    let what = path(argument, "path")?;
    if what.is_empty() || what == "/" {
        return Err(Refusal::bad("path: The root folder is unsupported."));
    }
    let found = state.account(account).find(what);
    let key = found.ok_or_else(|| Refusal::endpoint(&["path", "not_found"]))?;
    Ok(shown(state, account, &key))
}

/// Removes one entry; what it was.
fn delete(state: &mut State, account: &str, argument: &Value) -> Answer {
    let held = state.account(account);
    let found = held.find(path(argument, "path")?);
    let key = found.ok_or_else(|| Refusal::endpoint(&["path_lookup", "not_found"]))?;
    let node = held.tree[&key].clone();
    let gone = held.metadata(&key, &node);
    if node.read_only {
        return Err(Refusal::endpoint(&["path_write", "no_write_permission"]));
    }
    if let Some(rev) = argument["parent_rev"].as_str() {
        match &node.file {
            None => return Err(Refusal::endpoint(&["path_write", "conflict", "folder"])),
            Some(file) if file.rev != rev => return Err(Refusal::endpoint(&["path_write", "conflict", "file"])),
            Some(_) => {}
        }
    }
    state.remove(account, &key);
    Ok(gone)
}

fn relocate(state: &mut State, account: &str, argument: &Value, autorename: bool) -> Result<String, Refusal> {
    let (from, to) = (path(argument, "from_path")?, path(argument, "to_path")?);
    let found = state.account(account).find(from);
    let key = found.ok_or_else(|| Refusal::endpoint(&["from_lookup", "not_found"]))?;
    state.relocate(account, &key, to, autorename).map_err(Refusal::Endpoint)
}

fn entries<'a>(argument: &'a Value, name: &str, most: usize) -> Result<&'a Vec<Value>, Refusal> {
    let entries = argument[name].as_array().ok_or_else(|| Refusal::bad(format!("{name}: expected list")))?;
    if entries.len() > most {
        return Err(Refusal::bad(format!("{name}: must have at most {most} items")));
    }
    Ok(entries)
}

fn item(done: Answer) -> Answer {
    match done {
        Ok(metadata) => Ok(json!({".tag": "success", "metadata": metadata})),
        Err(Refusal::Endpoint(failure)) => Ok(json!({".tag": "failure", "failure": failure})),
        Err(other) => Err(other),
    }
}

/// Small ones are answered at once, unless asked otherwise.
fn create_folder_batch(state: &mut State, account: &str, argument: &Value) -> Answer {
    let mut done = Vec::new();
    for at in entries(argument, "paths", 10_000)? {
        let at = at.as_str().ok_or_else(|| Refusal::bad("paths: expected strings"))?;
        let made = state.make_folder(account, at, argument["autorename"] == true);
        let made = made.map_err(|error| Refusal::Endpoint(json!({".tag": "path", "path": error})));
        let made = made.map(|key| untagged(state, account, &key));
        done.push(item(made)?);
    }
    if argument["force_async"] == true || done.len() > 50 {
        return Ok(launched(state, "files/create_folder_batch/check", json!(done)));
    }
    Ok(json!({".tag": "complete", "entries": done}))
}

fn delete_batch(state: &mut State, account: &str, argument: &Value) -> Answer {
    let mut done = Vec::new();
    for entry in entries(argument, "entries", 1000)? {
        let gone = delete(state, account, entry);
        done.push(item(gone)?);
    }
    Ok(launched(state, "files/delete_batch/check", json!(done)))
}

fn move_batch(state: &mut State, account: &str, argument: &Value) -> Answer {
    let mut done = Vec::new();
    for entry in entries(argument, "entries", 1000)? {
        done.push(match relocate(state, account, entry, argument["autorename"] == true) {
            Ok(key) => json!({".tag": "success", "success": shown(state, account, &key)}),
            Err(Refusal::Endpoint(error)) => {
                json!({".tag": "failure", "failure": {".tag": "relocation_error", "relocation_error": error}})
            }
            Err(other) => return Err(other),
        });
    }
    Ok(launched(state, "files/move_batch/check_v2", json!(done)))
}

fn launched(state: &mut State, route: &str, entries: Value) -> Value {
    let id = format!("34g93hh34h04y384{:010}", state.next());
    let checks = state.settings.batch_checks;
    state.jobs.insert(id.clone(), Job { route: route.to_owned(), checks, entries });
    json!({".tag": "async_job_id", "async_job_id": id})
}

fn check(state: &mut State, route: &str, argument: &Value) -> Answer {
    let id = path(argument, "async_job_id")?;
    let job = state.jobs.get_mut(id).filter(|job| job.route == route);
    let job = job.ok_or_else(|| Refusal::Endpoint(tagged(&["invalid_async_job_id"])))?;
    if job.checks > 0 {
        job.checks -= 1;
        return Ok(json!({".tag": "in_progress"}));
    }
    Ok(json!({".tag": "complete", "entries": job.entries}))
}

/// The content that `path`, `id:…` or `rev:…` stands for, and its metadata.
fn source(state: &mut State, account: &str, what: &str) -> Result<(Content, Value), Refusal> {
    let missing = || Refusal::endpoint(&["path", "not_found"]);
    let held = state.account(account);
    if let Some(rev) = what.strip_prefix("rev:") {
        let live = held.tree.iter().find(|(_, node)| node.file.as_ref().is_some_and(|file| file.rev == rev));
        if let Some((key, node)) = live {
            let content = node.file.as_ref().map(|file| file.content.clone()).ok_or_else(missing)?;
            return Ok((content, describe(node, key, &held.display(key))));
        }
        let old = held.old.get(rev).cloned().ok_or_else(missing)?;
        let name = old.path.rsplit_once('/').map_or("", |(_, name)| name).to_owned();
        let content = old.file.content.clone();
        let node = super::state::Node { id: old.id, name, file: Some(old.file), read_only: false };
        return Ok((content, describe(&node, &old.path, &old.path)));
    }
    let key = held.find(what).ok_or_else(missing)?;
    let node = &held.tree[&key];
    let file = node.file.as_ref().ok_or_else(|| Refusal::endpoint(&["path", "not_file"]))?;
    if file.native {
        return Err(Refusal::endpoint(&["unsupported_file"]));
    }
    Ok((file.content.clone(), describe(node, &key, &held.display(&key))))
}

fn download(state: &mut State, account: &str, asked: &Asked) -> Result<Response<Bytes>, Refusal> {
    if !asked.body.is_empty() {
        return Err(Refusal::bad("this route takes no body"));
    }
    let argument = asked.argument()?;
    let (content, metadata) = source(state, account, path(&argument, "path")?)?;
    let range = match asked.header("range") {
        None => None,
        Some(text) => Some(ranged(text, content.size).ok_or_else(|| Refusal::bad("Range: not satisfiable"))?),
    };
    let (status, wanted) = match range {
        None => (200, 0..content.size),
        Some(range) => (206, range),
    };
    // A file of which only the hash is kept cannot be had back: this is the fake's own limit, said loudly.
    let bytes = state.blocks.read(&content, wanted.clone()).ok_or(Refusal::Broken(500))?;
    let mut builder = Response::builder()
        .status(status)
        .header("content-type", "application/octet-stream")
        .header("accept-ranges", "bytes")
        .header("dropbox-api-result", crate::api::header_safe(&metadata));
    if status == 206 {
        let said = format!("bytes {}-{}/{}", wanted.start, wanted.end.saturating_sub(1), content.size);
        builder = builder.header("content-range", said);
    }
    builder.body(Bytes::from(bytes)).map_err(|_| Refusal::Broken(500))
}

/// `bytes=a-b`, `bytes=a-` or `bytes=-n`, cut to the file.
fn ranged(text: &str, size: u64) -> Option<std::ops::Range<u64>> {
    let (from, until) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (from, until) {
        ("", last) => size.saturating_sub(last.parse().ok()?)..size,
        (from, "") => from.parse().ok()?..size,
        (from, until) => from.parse().ok()?..until.parse::<u64>().ok()?.checked_add(1)?.min(size),
    };
    (range.start < range.end).then_some(range)
}
