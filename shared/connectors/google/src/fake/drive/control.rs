//! What people do in Drive. Over HTTP under `/_sim/google/drive/`, and as methods of the fake.
use super::super::FakePeople;
use super::super::state::State;
use super::{File, Refusal, Revision, files, uploads};
use serde::Deserialize;
use serde_json::{Value, json};

/// Something that the user puts into a Drive: over the file of that path where there is one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct DriveFile {
    /// Names joined by `/`, from the Drive's top; folders on the way are made.
    pub path: String,
    /// Its bytes, where they are text.
    pub text: String,
    /// So many bytes, made up, in place of text.
    pub generate: u64,
    /// Its type: a folder's, a native document's, a shortcut's; else a file with bytes.
    pub mime_type: String,
    /// Of a shortcut: the id it points to.
    pub target: String,
    /// Shared with this account to read only.
    pub read_only: bool,
    /// Of a native document: how large its export is, in bytes.
    pub export_bytes: usize,
}

/// The ids at a path, the oldest first.
fn at(state: &mut State, account: &str, path: &str) -> Vec<String> {
    let drive = super::opened(state, account);
    let mut found = vec![drive.root.clone()];
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let inside =
            |file: &File| file.name == name && !file.trashed && file.parent.as_ref().is_some_and(|p| found.contains(p));
        found = drive.files.iter().filter(|(_, file)| inside(file)).map(|(id, _)| id.clone()).collect();
    }
    found
}

fn folder(state: &mut State, account: &str, path: &str) -> String {
    if let Some(id) = at(state, account, path).first() {
        return id.clone();
    }
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = folder(state, account, above);
    let mut file = File::new(name, super::FOLDER, state.now_ms);
    file.parent = Some(parent);
    let id = files::new_id(state);
    state.drive.put(account, &id, file);
    id
}

fn save(state: &mut State, account: &str, order: &DriveFile) -> String {
    let now = state.now_ms;
    let there = at(state, account, &order.path).first().cloned();
    let (above, name) = order.path.rsplit_once('/').unwrap_or(("", &order.path));
    let kind = if order.mime_type.is_empty() { "text/plain" } else { order.mime_type.as_str() };
    let (id, mut file) = match there {
        Some(id) => {
            let file = state.drive.drive(account).files[&id].clone();
            (id, file)
        }
        None => {
            let parent = folder(state, account, above);
            let mut file = File::new(name, kind, now);
            file.parent = Some(parent);
            (files::new_id(state), file)
        }
    };
    file.modified_ms = now;
    file.read_only = order.read_only;
    file.export_bytes = order.export_bytes.max(100);
    file.target = Some(order.target.clone()).filter(|target| !target.is_empty());
    if !file.is_native() {
        let content = match order.generate {
            0 => state.drive.blobs.file(order.text.as_bytes()),
            size => state.drive.blobs.made_up(size),
        };
        file.revisions.push(Revision { id: format!("0B{:030}", state.next()), content });
    }
    state.next();
    state.drive.put(account, &id, file);
    id
}

fn relocate(state: &mut State, account: &str, from: &str, to: &str) -> Result<(), Refusal> {
    let id = at(state, account, from).first().cloned().ok_or_else(|| Refusal::missing(from))?;
    let (above, name) = to.rsplit_once('/').unwrap_or(("", to));
    let parent = folder(state, account, above);
    let mut file = state.drive.drive(account).files[&id].clone();
    name.clone_into(&mut file.name);
    file.parent = Some(parent);
    state.next();
    state.drive.put(account, &id, file);
    Ok(())
}

fn trash(state: &mut State, account: &str, path: &str) -> usize {
    let found = at(state, account, path);
    for id in &found {
        let mut file = state.drive.drive(account).files[id].clone();
        file.trashed = true;
        state.next();
        state.drive.put(account, id, file);
    }
    found.len()
}

/// Every file of an account, as Drive shows it.
fn listed(state: &mut State, account: &str) -> Value {
    super::opened(state, account);
    let caller = super::Caller { account: account.to_owned(), client: "minted".to_owned(), own_only: super::Own::All };
    let drive = state.drive.drive(account);
    let files: Vec<Value> = drive.files.iter().map(|(id, file)| files::shown(drive, &caller, id, file)).collect();
    json!({"files": files})
}

/// An order under `/_sim/google/drive/`; the body has `account` and what the order needs.
pub(in super::super) fn answer(state: &mut State, what: &str, body: &Value) -> Result<Value, String> {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let account = text("account");
    let number = |name: &str| body[name].as_u64();
    match what {
        "files" => {
            let orders: Vec<DriveFile> =
                serde_json::from_value(body["files"].clone()).map_err(|e| format!("not understood: {e}"))?;
            let ids: Vec<String> = orders.iter().map(|order| save(state, &account, order)).collect();
            Ok(json!({"ids": ids}))
        }
        "move" => relocate(state, &account, &text("from"), &text("to")).map(|()| json!({})).map_err(|r| r.message),
        // For good, past the trash.
        "delete" => {
            let found = at(state, &account, &text("path"));
            found.iter().for_each(|id| files::forget(state, &account, id));
            Ok(json!({"deleted": found.len()}))
        }
        "trash" => Ok(json!({"trashed": trash(state, &account, &text("path"))})),
        "state" => Ok(listed(state, &account)),
        "settings" => {
            let world = &mut state.drive;
            world.keep_bytes = number("keep_bytes").unwrap_or(world.keep_bytes);
            world.space = number("space").unwrap_or(world.space);
            world.most_of_a_piece = number("most_of_a_piece").unwrap_or(world.most_of_a_piece);
            if let Some(page) = number("page") {
                world.page = usize::try_from(page).unwrap_or(1000).clamp(1, 1000);
            }
            Ok(json!({}))
        }
        "lose-sessions" => {
            state.drive.sessions.clear();
            Ok(json!({}))
        }
        _ => Err("there is no such order".to_owned()),
    }
}

impl FakePeople {
    /// What a person does in Drive: an order of the control plane (`files`, `move`, `trash`, `delete`, `settings`, `lose-sessions`).
    ///
    /// # Panics
    /// Where it cannot be done.
    pub fn drive_does(&self, what: &str, body: &Value) -> Value {
        answer(&mut self.drive_now(), what, body).expect("something that can be done")
    }

    /// Every file of an account, as Drive shows it.
    pub fn drive_state(&self, account: &str) -> Value {
        listed(&mut self.drive_now(), account)
    }

    /// The bytes at a path, where they are kept.
    pub fn drive_bytes(&self, account: &str, path: &str) -> Option<Vec<u8>> {
        let mut state = self.drive_now();
        let id = at(&mut state, account, path).first().cloned()?;
        let content = state.drive.drive(account).files.get(&id)?.content().cloned()?;
        state.drive.blobs.read(&content, 0..content.size)
    }

    /// How many entries are at a path.
    pub fn drive_count(&self, account: &str, path: &str) -> usize {
        at(&mut self.drive_now(), account, path).len()
    }

    /// Takes the push notifications that wait to be sent.
    pub fn take_drive_notifications(&self) -> Vec<uploads::Notification> {
        uploads::notifications(&mut self.drive_now())
    }

    fn drive_now(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.locked();
        state.now_ms = self.clock.now().as_millisecond() + state.settings.clock_offset_ms;
        state
    }

    /// These faults meet the next calls, one each, in place of those that still wait.
    pub fn inject_only(&self, faults: &[super::super::Fault]) {
        self.locked().faults = faults.to_vec();
    }
}
