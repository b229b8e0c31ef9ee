//! The tree of an account: paths compare without case, ids and revs are made here, and every change is an event.
use super::blob::Content;
use super::state::{Account, Event, File, Node, Old, State, Switch};
use super::tagged;
use serde_json::{Value, json};

/// The largest file, by `UploadSessionLookupError.too_large`.
pub(super) const MAX_BYTES: u64 = (1 << 41) - (1 << 22);

/// Names that Dropbox does not take whatever the case. (Its help lists them; the reference names the error only.)
const DISALLOWED: [&str; 6] = ["desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"];

/// What a write does where something is already.
#[derive(Clone)]
pub(super) enum Mode {
    Add,
    Overwrite,
    Update(String),
}

/// A file to be written.
pub(super) struct Write<'a> {
    pub(super) path: &'a str,
    pub(super) mode: Mode,
    pub(super) autorename: bool,
    pub(super) strict: bool,
    pub(super) content: Content,
    pub(super) client_modified_ms: Option<i64>,
}

/// `WriteError`, `LookupError`, …: a union's value.
pub(super) type Tags = Value;

pub(super) fn key(path: &str) -> String {
    path.to_lowercase()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// A path that something may be written to.
fn check(path: &str) -> Result<(), Tags> {
    let names = path.strip_prefix('/').ok_or_else(|| tagged(&["malformed_path"]))?.split('/');
    for name in names {
        if name.is_empty() || name == "." || name == ".." || name.chars().count() > 255 || name.contains(['\\', '\0']) {
            return Err(tagged(&["malformed_path"]));
        }
        if DISALLOWED.contains(&name.to_lowercase().as_str()) {
            return Err(tagged(&["disallowed_name"]));
        }
    }
    Ok(())
}

fn rfc3339(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Account {
    /// The path as people see it: each folder in its own case.
    pub(super) fn display(&self, key: &str) -> String {
        let mut shown = String::new();
        let mut at = String::new();
        for part in key.split('/').skip(1) {
            at = format!("{at}/{part}");
            shown.push('/');
            shown.push_str(self.tree.get(&at).map_or(part, |node| node.name.as_str()));
        }
        shown
    }

    /// The key of `id:…` or a path, where something is.
    pub(super) fn find(&self, what: &str) -> Option<String> {
        if what.starts_with("id:") {
            return self.tree.iter().find(|(_, node)| node.id == what).map(|(key, _)| key.clone());
        }
        let key = key(what.trim_end_matches('/'));
        self.tree.contains_key(&key).then_some(key)
    }

    /// What is below a folder, parents first.
    pub(super) fn below(&self, key: &str) -> Vec<String> {
        let prefix = format!("{key}/");
        let range = self.tree.range(prefix.clone()..);
        range.take_while(|(path, _)| path.starts_with(&prefix)).map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn used(&self) -> u64 {
        self.tree.values().filter_map(|node| node.file.as_ref()).map(|file| file.content.size).sum()
    }

    /// `Metadata` with its tag.
    pub(super) fn metadata(&self, key: &str, node: &Node) -> Value {
        let mut shown = describe(node, key, &self.display(key));
        shown[".tag"] = json!(if node.file.is_some() { "file" } else { "folder" });
        shown
    }
}

/// `FileMetadata` or `FolderMetadata`.
pub(super) fn describe(node: &Node, key: &str, display: &str) -> Value {
    let mut shown = json!({"name": node.name, "path_lower": key, "path_display": display, "id": node.id});
    if node.read_only {
        shown["sharing_info"] = json!({"read_only": true, "parent_shared_folder_id": "84528192421"});
    }
    if let Some(file) = &node.file {
        shown["client_modified"] = json!(rfc3339(file.client_modified_ms));
        shown["server_modified"] = json!(rfc3339(file.server_modified_ms));
        shown["rev"] = json!(file.rev);
        shown["size"] = json!(file.content.size);
        shown["is_downloadable"] = json!(!file.native);
        match file.native {
            true => shown["export_info"] = json!({"export_as": "html", "export_options": ["html", "markdown"]}),
            false => shown["content_hash"] = json!(file.content.hash()),
        }
    }
    shown
}

impl State {
    fn held(&mut self, account: &str) -> &mut Account {
        self.account(account)
    }

    fn rev(&mut self) -> String {
        format!("016{:013x}", self.next())
    }

    fn id(&mut self) -> String {
        format!("id:a4ayc_80_OEAAAAA{:06}", self.next())
    }

    /// Puts a node and tells of it.
    fn place(&mut self, account: &str, key: &str, node: Node) {
        let seq = self.next();
        let held = self.held(account);
        held.tree.insert(key.to_owned(), node.clone());
        let display = held.display(key);
        held.events.push(Event { seq, path: key.to_owned(), display, node: Some(node) });
    }

    /// The folders above a path are made with it.
    fn parents(&mut self, account: &str, path: &str) -> Result<(), Tags> {
        let above = parent(path);
        if above.is_empty() {
            return Ok(());
        }
        match self.held(account).tree.get(&key(above)) {
            Some(node) if node.file.is_some() => Err(tagged(&["conflict", "file_ancestor"])),
            Some(node) if node.read_only => Err(tagged(&["no_write_permission"])),
            Some(_) => Ok(()),
            None => {
                self.parents(account, above)?;
                let folder = Node { id: self.id(), name: last(above).to_owned(), file: None, read_only: false };
                self.place(account, &key(above), folder);
                Ok(())
            }
        }
    }

    /// `name (1).ext`, the first that is free.
    fn free_name(&mut self, account: &str, path: &str) -> String {
        let (stem, ending) = match last(path).rfind('.') {
            Some(at) if at > 0 => path.split_at(path.len() - (last(path).len() - at)),
            Some(_) | None => (path, ""),
        };
        let held = self.held(account);
        let mut number = 1;
        loop {
            let name = format!("{stem} ({number}){ending}");
            if !held.tree.contains_key(&key(&name)) {
                return name;
            }
            number += 1;
        }
    }

    /// Writes a file by the rules of `WriteMode`; its key.
    pub(super) fn write(&mut self, account: &str, write: Write<'_>) -> Result<String, Tags> {
        let by_id = write.path.starts_with("id:").then(|| self.held(account).find(write.path));
        let path = match by_id {
            Some(Some(key)) => self.held(account).display(&key),
            Some(None) => return Err(tagged(&["malformed_path"])),
            None => write.path.to_owned(),
        };
        check(&path)?;
        if write.content.size > MAX_BYTES {
            return Err(tagged(&["insufficient_space"]));
        }
        let there = self.held(account).tree.get(&key(&path)).cloned();
        let conflict = match (&there, &write.mode) {
            (Some(node), _) if node.read_only => return Err(tagged(&["no_write_permission"])),
            (Some(Node { file: None, .. }), _) => Some("folder"),
            (Some(Node { file: Some(file), .. }), mode) => {
                let same = file.content == write.content && !file.native;
                let allowed = match mode {
                    Mode::Overwrite => true,
                    Mode::Add => false,
                    Mode::Update(rev) => *rev == file.rev,
                };
                if same && !write.strict {
                    // "nothing gets written; no conflict"
                    return Ok(key(&path));
                }
                (!allowed).then_some("file")
            }
            (None, Mode::Update(_)) if write.strict => Some("file"),
            (None, _) => None,
        };
        let path = match conflict {
            Some(_) if write.autorename => self.free_name(account, &path),
            Some(what) => return Err(tagged(&["conflict", what])),
            None => path,
        };
        let space = self.settings.space;
        if self.held(account).used() + write.content.size > space {
            return Err(tagged(&["insufficient_space"]));
        }
        self.parents(account, &path)?;
        Ok(self.put_file(account, &path, write.content, write.client_modified_ms))
    }

    fn put_file(&mut self, account: &str, path: &str, content: Content, client_modified_ms: Option<i64>) -> String {
        let key = key(path);
        let replaced = self.held(account).tree.get(&key).cloned();
        let now = self.now_ms;
        let file = File {
            rev: self.rev(),
            content,
            client_modified_ms: client_modified_ms.unwrap_or(now),
            server_modified_ms: now,
            native: false,
        };
        let node = match replaced {
            Some(node) => {
                self.keep_old(account, &key, &node);
                Node { file: Some(file), ..node }
            }
            None => Node { id: self.id(), name: last(path).to_owned(), file: Some(file), read_only: false },
        };
        self.place(account, &key, node);
        key
    }

    fn keep_old(&mut self, account: &str, key: &str, node: &Node) {
        if let Some(file) = node.file.clone() {
            let old = Old { path: key.to_owned(), id: node.id.clone(), file };
            self.held(account).old.insert(old.file.rev.clone(), old);
        }
    }

    /// Makes a folder; its key.
    pub(super) fn make_folder(&mut self, account: &str, path: &str, autorename: bool) -> Result<String, Tags> {
        check(path)?;
        let there = self.held(account).tree.get(&key(path)).map(|node| node.file.is_some());
        let path = match there {
            Some(_) if autorename => self.free_name(account, path),
            Some(true) => return Err(tagged(&["conflict", "file"])),
            Some(false) => return Err(tagged(&["conflict", "folder"])),
            None => path.to_owned(),
        };
        self.parents(account, &path)?;
        let folder = Node { id: self.id(), name: last(&path).to_owned(), file: None, read_only: false };
        self.place(account, &key(&path), folder);
        Ok(key(&path))
    }

    /// Removes what is at a key, with all below it; one event for it all.
    pub(super) fn remove(&mut self, account: &str, key: &str) {
        let display = self.held(account).display(key);
        let mut gone = self.held(account).below(key);
        gone.push(key.to_owned());
        for path in gone {
            if let Some(node) = self.held(account).tree.remove(&path) {
                self.keep_old(account, &path, &node);
            }
        }
        let seq = self.next();
        self.held(account).events.push(Event { seq, path: key.to_owned(), display, node: None });
    }

    /// Moves what is at a key, with all below it; its new key.
    pub(super) fn relocate(&mut self, account: &str, from: &str, to: &str, autorename: bool) -> Result<String, Tags> {
        let to_error = |error: Tags| json!({".tag": "to", "to": error});
        check(to).map_err(to_error)?;
        let to_key = key(to);
        if to_key == from {
            // Case-only renames are not supported.
            return Err(to_error(tagged(&["conflict", "file"])));
        }
        if to_key.starts_with(&format!("{from}/")) {
            return Err(tagged(&["cant_move_folder_into_itself"]));
        }
        let taken = self.held(account).tree.get(&to_key).map(|node| node.file.is_some());
        let to = match taken {
            Some(_) if autorename => self.free_name(account, to),
            Some(true) => return Err(to_error(tagged(&["conflict", "file"]))),
            Some(false) => return Err(to_error(tagged(&["conflict", "folder"]))),
            None => to.to_owned(),
        };
        if self.held(account).tree.get(from).is_some_and(|node| node.read_only) {
            return Err(json!({".tag": "from_write", "from_write": tagged(&["no_write_permission"])}));
        }
        self.parents(account, &to).map_err(to_error)?;
        let mut moved = vec![from.to_owned()];
        moved.extend(self.held(account).below(from));
        let display = self.held(account).display(from);
        let nodes: Vec<(String, Option<Node>)> =
            moved.into_iter().map(|path| (path.clone(), self.held(account).tree.remove(&path))).collect();
        let seq = self.next();
        self.held(account).events.push(Event { seq, path: from.to_owned(), display, node: None });
        for (path, node) in nodes {
            let Some(mut node) = node else { continue };
            if path == from {
                last(&to).clone_into(&mut node.name);
            }
            if self.settings.move_makes_rev == Switch::Yes
                && let Some(file) = &mut node.file
            {
                file.rev = format!("016{:013x}", self.seq + 1);
            }
            let at = format!("{}{}", key(&to), &path[from.len()..]);
            self.place(account, &at, node);
        }
        Ok(key(&to))
    }

    /// Brings back an old revision at a path; its key.
    pub(super) fn restore(&mut self, account: &str, path: &str, rev: &str) -> Option<String> {
        let old = self.held(account).old.get(rev).cloned();
        let live = self.held(account).tree.get(&key(path)).and_then(|node| node.file.clone());
        let file = old.map(|old| old.file).or(live.filter(|file| file.rev == rev))?;
        self.parents(account, path).ok()?;
        Some(self.put_file(account, path, file.content, Some(file.client_modified_ms)))
    }
}
