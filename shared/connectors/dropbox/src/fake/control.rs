//! The control plane: what a test or a person does behind the connector's back. Over HTTP under `/_sim/dropbox/`,
//! and as methods of [`FakeDropbox`](super::FakeDropbox).
use super::state::{Account, Fault, Settings, State};
use super::tree::{Mode, Write};
use super::{Answer, Asked, FakeDropbox, Refusal, json_response};
use base64::Engine as _;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

/// A file that the user puts somewhere, over what is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserFile {
    /// Where; with its leading slash.
    pub path: String,
    /// Its bytes, where they are text.
    pub text: String,
    /// Its bytes in base64, where they are not.
    pub base64: String,
    /// So many bytes, made up from `seed` instead.
    pub generate: u64,
    /// What the bytes are made up from.
    pub seed: u8,
    /// A document of Dropbox's own that has no bytes (Paper).
    pub native: bool,
    /// Shared with this account to read only.
    pub read_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default)]
    account: String,
    #[serde(default)]
    name: String,
    /// `basic`, `pro`, `business`.
    #[serde(default)]
    account_type: String,
    #[serde(default)]
    files: Vec<UserFile>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    faults: Vec<Fault>,
    #[serde(default)]
    seconds: i64,
}

pub(super) fn answer(state: &mut State, asked: &Asked, rest: &str) -> Response<Bytes> {
    act(state, asked, rest).map_or_else(Refusal::into_response, |body| json_response(200, &body))
}

fn act(state: &mut State, asked: &Asked, rest: &str) -> Answer {
    let body = asked.json()?;
    let body = if body.is_null() { json!({}) } else { body };
    let wrong = |e: serde_json::Error| Refusal::bad(format!("not understood: {e}"));
    if (asked.method.as_str(), rest) == ("POST", "settings") {
        return change_settings(state, &body);
    }
    let order: Order = serde_json::from_value(body).map_err(wrong)?;
    match (asked.method.as_str(), rest) {
        ("POST", "reset") => {
            *state = State { now_ms: state.now_ms, seq: state.seq + 1, ..State::default() };
            Ok(json!({}))
        }
        ("POST", "accounts") => Ok(open_account(state, &order)),
        ("POST", "files") => {
            for file in order.files {
                user_saves(state, &order.account, &file)?;
            }
            Ok(json!({}))
        }
        ("POST", "folders") => {
            for path in &order.paths {
                state.make_folder(&order.account, path, false).map_err(Refusal::Endpoint)?;
            }
            Ok(json!({}))
        }
        ("POST", "move") => user_moves(state, &order.account, &order.from, &order.to).map(|()| json!({})),
        ("DELETE", "files") => {
            let gone = order.paths.iter().filter(|path| user_deletes(state, &order.account, path)).count();
            Ok(json!({"deleted": gone}))
        }
        ("POST", "faults") => {
            state.faults.extend(order.faults);
            Ok(json!({"waiting": state.faults.len()}))
        }
        ("POST", "expire-cursors") => {
            state.generation = state.next();
            Ok(json!({}))
        }
        ("POST", "revoke") => {
            revoke(state, &order.account);
            Ok(json!({}))
        }
        ("POST", "advance-clock") => {
            state.settings.clock_offset_ms += order.seconds * 1000;
            state.next();
            Ok(json!({}))
        }
        ("GET", "settings") => Ok(json!(state.settings)),
        ("GET", "state") => Ok(state_of(state, asked.one("account").unwrap_or_default())),
        ("GET", "accounts") => Ok(json!({"accounts": state.accounts.keys().collect::<Vec<_>>()})),
        ("GET", "calls") => Ok(json!({"calls": state.calls})),
        ("DELETE", "calls") => {
            state.calls.clear();
            Ok(json!({}))
        }
        _ => Err(Refusal::NoRoute),
    }
}

fn open_account(state: &mut State, order: &Order) -> Value {
    let held = state.account(&order.account);
    if !order.name.is_empty() {
        held.name.clone_from(&order.name);
    }
    if !order.account_type.is_empty() {
        held.kind.clone_from(&order.account_type);
    }
    let id = held.id.clone();
    json!({"email": order.account, "account_id": id, "token": state.mint(&order.account)})
}

/// Settings that are left out stay as they are.
fn change_settings(state: &mut State, body: &Value) -> Answer {
    let mut all = json!(state.settings);
    if let (Some(all), Some(some)) = (all.as_object_mut(), body.as_object()) {
        all.extend(some.clone());
    }
    state.settings = serde_json::from_value(all).map_err(|e| Refusal::bad(format!("not understood: {e}")))?;
    state.next();
    Ok(json!(state.settings))
}

/// Every file and folder, and the hash of each file.
fn state_of(state: &State, account: &str) -> Value {
    let Some(held) = state.accounts.get(account) else { return json!({"entries": []}) };
    let shown = held.tree.iter().map(|(key, node)| held.metadata(key, node));
    json!({"entries": shown.collect::<Vec<Value>>()})
}

fn user_saves(state: &mut State, account: &str, file: &UserFile) -> Result<(), Refusal> {
    let content = if file.generate > 0 {
        state.blocks.made_up(file.generate, file.seed)
    } else if file.base64.is_empty() {
        state.blocks.file(file.text.as_bytes(), super::blob::Keep::Bytes)
    } else {
        let decoded = base64::engine::general_purpose::STANDARD.decode(&file.base64);
        let bytes = decoded.map_err(|_| Refusal::bad("base64: cannot be decoded"))?;
        state.blocks.file(&bytes, super::blob::Keep::Bytes)
    };
    state.account(account);
    let write = Write {
        path: &file.path,
        mode: Mode::Overwrite,
        autorename: false,
        strict: false,
        content,
        client_modified_ms: None,
    };
    let key = state.write(account, write).map_err(Refusal::Endpoint)?;
    if let Some(node) = state.account(account).tree.get_mut(&key) {
        node.read_only = file.read_only;
        if let Some(inner) = &mut node.file {
            inner.native = file.native;
        }
        let node = node.clone();
        if let Some(event) = state.account(account).events.last_mut() {
            event.node = Some(node);
        }
    }
    Ok(())
}

fn user_moves(state: &mut State, account: &str, from: &str, to: &str) -> Result<(), Refusal> {
    let key = state.account(account).find(from).ok_or(Refusal::NoRoute)?;
    state.relocate(account, &key, to, false).map(|_| ()).map_err(Refusal::Endpoint)
}

fn user_deletes(state: &mut State, account: &str, path: &str) -> bool {
    let found = state.account(account).find(path);
    if let Some(key) = &found {
        state.remove(account, key);
    }
    found.is_some()
}

fn revoke(state: &mut State, account: &str) {
    state.next();
    state.access.retain(|_, grant| grant.account != account);
    state.refresh.retain(|_, grant| grant.account != account);
}

/// A notification as Dropbox sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The body of the `POST`.
    pub body: String,
    /// The header `X-Dropbox-Signature`.
    pub signature: String,
}

impl Account {
    fn newest(&self) -> u64 {
        self.events.last().map_or(0, |event| event.seq)
    }
}

impl FakeDropbox {
    /// The user saves a file.
    ///
    /// # Panics
    /// Where Dropbox would not take it.
    pub fn user_saves(&self, account: &str, file: &UserFile) {
        user_saves(&mut self.now(), account, file).expect("a file that Dropbox takes");
    }

    /// The user makes a folder.
    ///
    /// # Panics
    /// Where Dropbox would not take it.
    pub fn user_makes_folder(&self, account: &str, path: &str) {
        let mut state = self.now();
        state.account(account);
        state.make_folder(account, path, false).expect("a folder that Dropbox takes");
    }

    /// The user moves or renames something.
    ///
    /// # Panics
    /// Where Dropbox would not do it.
    pub fn user_moves(&self, account: &str, from: &str, to: &str) {
        user_moves(&mut self.now(), account, from, to).expect("a move that Dropbox makes");
    }

    /// The user deletes something; whether it was there.
    pub fn user_deletes(&self, account: &str, path: &str) -> bool {
        user_deletes(&mut self.now(), account, path)
    }

    /// Dropbox's id of an account, `dbid:…`.
    pub fn account_id(&self, account: &str) -> String {
        self.now().account(account).id.clone()
    }

    /// The bytes at a path, where they are kept.
    pub fn bytes(&self, account: &str, path: &str) -> Option<Vec<u8>> {
        let mut state = self.now();
        let key = state.account(account).find(path)?;
        let content = state.account(account).tree.get(&key)?.file.clone()?.content;
        state.blocks.read(&content, 0..content.size)
    }

    /// Every file and folder, as `Metadata`.
    pub fn state(&self, account: &str) -> Value {
        state_of(&self.now(), account)
    }

    /// These faults meet the next calls, one each.
    pub fn inject(&self, faults: &[Fault]) {
        self.now().faults.extend_from_slice(faults);
    }

    /// The same in place of those that still wait.
    pub fn inject_only(&self, faults: &[Fault]) {
        self.now().faults = faults.to_vec();
    }

    /// No cursor is good any more.
    pub fn expire_cursors(&self) {
        let mut state = self.now();
        state.generation = state.next();
    }

    /// The user takes the grant back.
    pub fn revoke(&self, account: &str) {
        revoke(&mut self.now(), account);
    }

    /// Changes how the provider behaves.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.now().settings);
    }

    /// Calls so far, as (path, bytes of the body).
    pub fn calls(&self) -> Vec<(String, usize)> {
        self.now().calls.iter().map(|call| (call.path.clone(), call.bytes)).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.now().calls.clear();
    }

    /// Takes the notification that waits, as the request that Dropbox sends, where a webhook is entered (`settings`).
    pub fn outbox(&self) -> Vec<Request<Bytes>> {
        let Some(webhook) = self.now().settings.webhook.clone() else { return Vec::new() };
        let told = self.take_notification(webhook.secret.as_bytes());
        let request = |told: Notification| {
            let request = Request::post(&webhook.url).header("content-type", "application/json");
            request.header("x-dropbox-signature", told.signature).body(Bytes::from(told.body)).ok()
        };
        told.and_then(request).into_iter().collect()
    }

    /// One notification for all accounts that something happened in since the last one; `None` where nothing did.
    pub fn take_notification(&self, app_secret: &[u8]) -> Option<Notification> {
        let mut state = self.now();
        let told = state.told;
        let changed: Vec<(String, u64)> = state
            .accounts
            .values()
            .filter(|account| account.newest() > told)
            .map(|account| (account.id.clone(), account.uid))
            .collect();
        if changed.is_empty() {
            return None;
        }
        state.told = state.next();
        let (ids, users): (Vec<String>, Vec<u64>) = changed.into_iter().unzip();
        let body = json!({"list_folder": {"accounts": ids}, "delta": {"users": users}}).to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(app_secret).expect("an HMAC key may have any length");
        mac.update(body.as_bytes());
        Some(Notification { signature: hex::encode(mac.finalize().into_bytes()), body })
    }
}
