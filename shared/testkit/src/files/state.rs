//! What a side holds, and what people do to it.
use super::{FilesCharacter, SaysHashes, Tells};
use bytes::Bytes;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use tandem_core::files::entry::{Access, EntryKind, Exportable, HashKind, Hashes, Place};
use tandem_core::files::hash::Digests;
use tandem_core::files::name::twin_key;
use tandem_core::record::{Marker, RemoteId, Version};
use tandem_ports::files::{Entry, FileChange, Names};

/// What is in a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// Bytes that follow from their position; for files that do not fit in memory.
    Pattern {
        /// How many.
        size: u64,
    },
    /// Only what they hash to.
    Hashed {
        /// How many.
        size: u64,
        /// Their hashes.
        hashes: Hashes,
    },
}

impl Content {
    /// How many bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Pattern { size } | Content::Hashed { size, .. } => *size,
        }
    }
    /// Their hashes; empty for a pattern, which nobody has gone through.
    pub fn hashes(&self) -> Hashes {
        match self {
            Content::Bytes(bytes) => Digests::of(bytes),
            Content::Pattern { .. } => Hashes::none(),
            Content::Hashed { hashes, .. } => hashes.clone(),
        }
    }
    /// Some of them.
    pub fn read(&self, range: Range<u64>) -> Bytes {
        match self {
            Content::Bytes(bytes) => {
                let at = |n: u64| usize::try_from(n).expect("it is in memory");
                bytes.slice(at(range.start)..at(range.end))
            }
            Content::Pattern { .. } => patterned(range),
            Content::Hashed { .. } => panic!("only the hash was kept"),
        }
    }
}

/// Bytes of a pattern: pieces that are alike but for their number, which they begin with. They are as quick to make as to
/// copy, and none can take another one's place unnoticed.
fn patterned(range: Range<u64>) -> Bytes {
    const PIECE: usize = 64 * 1024;
    let mut piece: Vec<u8> =
        (0..PIECE as u64).map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).expect("it fits into memory"));
    let mut at = range.start;
    while at < range.end {
        let number = at / PIECE as u64;
        piece[..8].copy_from_slice(&number.to_be_bytes());
        let end = ((number + 1) * PIECE as u64).min(range.end);
        let within = |at: u64| usize::try_from(at - number * PIECE as u64).expect("within a piece");
        bytes.extend_from_slice(&piece[within(at)..within(end)]);
        at = end;
    }
    bytes.into()
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A CRM record.
    Record {
        /// Its module.
        module: String,
        /// Its number.
        number: String,
    },
    /// A folder.
    Folder,
    /// A file.
    File(Content),
    /// A native document.
    Native,
    /// A shortcut.
    Shortcut,
}

/// Something in the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its parent's id; `None`: the root.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Grows with every change.
    pub version: u64,
    /// Grows with its bytes.
    pub content: u64,
    /// Hashes of its bytes.
    pub hashes: Hashes,
    /// Our marker.
    pub marker: Option<Marker>,
    /// Whether it may be written to.
    pub access: Access,
    /// When it was changed.
    pub modified_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Changed(String),
    Gone(String),
    GoneAt(String),
    Outside(String),
}

fn hashes_of(kind: &NodeKind) -> Hashes {
    match kind {
        NodeKind::File(content) => content.hashes(),
        NodeKind::Record { .. } | NodeKind::Folder | NodeKind::Native | NodeKind::Shortcut => Hashes::none(),
    }
}

/// An upload under way.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub pieces: BTreeMap<u64, u64>,
    pub bytes: Option<BTreeMap<u64, Bytes>>,
    /// Where nothing is kept: the hash of what has come without a gap, and what waits for it to be closed.
    pub digests: Digests,
    pub early: BTreeMap<u64, Bytes>,
    pub done: Option<String>,
}

/// The side's state.
pub struct State {
    pub(super) character: FilesCharacter,
    /// Everything there is, by id.
    pub nodes: BTreeMap<String, Node>,
    pub(super) log: Vec<Event>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) next: u64,
    /// The time of what is done now.
    pub now: Timestamp,
    /// The next read of the feed says that its cursor has expired.
    pub expire: bool,
    /// The root was thrown away.
    pub root_gone: bool,
    /// Bytes that came in by uploads.
    pub received: u64,
    /// How long an append takes.
    pub append_takes: std::time::Duration,
    /// How long a read takes.
    pub read_takes: std::time::Duration,
    /// What arrives is not what was sent, as long as this is set. Where ids are reserved, the side sees it, takes back what
    /// was made and fails; the id is used up.
    pub garbles: bool,
    pub(super) used: BTreeSet<String>,
    /// How many bytes fit in; `None`: any number.
    pub room: Option<u64>,
}

impl State {
    pub(super) fn new(character: FilesCharacter) -> State {
        State {
            character,
            nodes: BTreeMap::new(),
            log: Vec::new(),
            sessions: BTreeMap::new(),
            next: 1,
            now: Timestamp::UNIX_EPOCH,
            expire: false,
            root_gone: false,
            received: 0,
            append_takes: std::time::Duration::ZERO,
            read_takes: std::time::Duration::ZERO,
            garbles: false,
            used: BTreeSet::new(),
            room: None,
        }
    }

    pub(super) fn new_id(&mut self) -> String {
        self.next += 1;
        format!("{}-{}", self.character.provider, self.next)
    }

    /// How names are compared here.
    pub fn key(&self, name: &str) -> String {
        match self.character.can.names {
            Names::Repeatable | Names::Unique => name.to_owned(),
            Names::UniqueWithoutCase => twin_key(name),
        }
    }

    /// The node of this name in a folder.
    pub fn named(&self, parent: Option<&str>, name: &str) -> Option<String> {
        let wanted = self.key(name);
        let here = |node: &Node| node.parent.as_deref() == parent && self.key(&node.name) == wanted;
        self.nodes.iter().find(|(_, node)| here(node)).map(|(id, _)| id.clone())
    }

    /// Whether a name is free in a folder, for another node than `but`.
    pub fn is_free(&self, parent: Option<&str>, name: &str, but: &str) -> bool {
        self.character.can.names == Names::Repeatable || self.named(parent, name).is_none_or(|id| id == but)
    }

    /// Whether `id` is `above`, or within it.
    pub fn is_within(&self, id: &str, above: &str) -> bool {
        let mut at = Some(id.to_owned());
        while let Some(now) = at {
            if now == above {
                return true;
            }
            at = self.nodes.get(&now).and_then(|node| node.parent.clone());
        }
        false
    }

    /// The path of a node as the side compares it.
    pub fn path_key(&self, id: &str) -> String {
        let mut names = Vec::new();
        let mut at = Some(id.to_owned());
        while let Some(node) = at.as_ref().and_then(|id| self.nodes.get(id)) {
            names.push(self.key(&node.name));
            at.clone_from(&node.parent);
        }
        names.reverse();
        names.join("/")
    }

    /// A node and all below it, from the top.
    pub fn below(&self, id: &str) -> Vec<String> {
        let mut all = vec![id.to_owned()];
        let mut next = 0;
        while let Some(parent) = all.get(next).cloned() {
            next += 1;
            let children = self.nodes.iter().filter(|(_, node)| node.parent.as_ref() == Some(&parent));
            all.extend(children.map(|(id, _)| id.clone()));
        }
        all
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        let size = |node: &Node| if let NodeKind::File(content) = &node.kind { content.size() } else { 0 };
        self.nodes.values().map(size).sum()
    }

    pub(super) fn add(&mut self, id: String, parent: Option<&str>, name: &str, kind: NodeKind) -> String {
        let node = Node {
            parent: parent.map(str::to_owned),
            name: name.to_owned(),
            hashes: hashes_of(&kind),
            kind,
            version: 1,
            content: 1,
            marker: None,
            access: Access::Write,
            modified_at: self.now,
        };
        self.nodes.insert(id.clone(), node);
        self.log.push(Event::Changed(id.clone()));
        id
    }

    /// A record in the CRM.
    pub fn record(&mut self, module: &str, number: &str, title: &str) -> String {
        let id = self.new_id();
        let kind = NodeKind::Record { module: module.to_owned(), number: number.to_owned() };
        self.add(id, None, title, kind)
    }

    /// A folder; the one that is there, where names are unique.
    pub fn folder(&mut self, parent: Option<&str>, name: &str) -> String {
        if let Some(id) = self.named(parent, name).filter(|_| !self.is_free(parent, name, "")) {
            return id;
        }
        let id = self.new_id();
        self.add(id, parent, name, NodeKind::Folder)
    }

    /// A file with these bytes, or with new bytes where one of that name is there.
    pub fn file(&mut self, parent: &str, name: &str, bytes: &[u8]) -> String {
        self.content(parent, name, Content::Bytes(Bytes::copy_from_slice(bytes)))
    }

    /// A file with this content.
    pub fn content(&mut self, parent: &str, name: &str, content: Content) -> String {
        if let Some(id) = self.named(Some(parent), name).filter(|_| !self.is_free(Some(parent), name, "")) {
            self.fill(&id, content);
            return id;
        }
        let id = self.new_id();
        self.add(id, Some(parent), name, NodeKind::File(content))
    }

    /// A document without bytes, or a shortcut.
    pub fn special(&mut self, parent: &str, name: &str, kind: NodeKind) -> String {
        let id = self.new_id();
        self.add(id, Some(parent), name, kind)
    }

    pub(super) fn fill(&mut self, id: &str, content: Content) {
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(id) {
            if let NodeKind::File(_) = node.kind {
                node.kind = NodeKind::File(content);
                node.hashes = hashes_of(&node.kind);
            }
            node.content += 1;
            node.version += 1;
            node.modified_at = now;
        }
        self.log.push(Event::Changed(id.to_owned()));
    }

    /// New bytes for a file (or a new state of a document).
    pub fn edit(&mut self, id: &str, bytes: &[u8]) {
        self.fill(id, Content::Bytes(Bytes::copy_from_slice(bytes)));
    }

    /// Somebody touches it: another version, the same bytes.
    pub fn touch(&mut self, id: &str) {
        self.nodes.get_mut(id).expect("it is there").version += 1;
        self.log.push(Event::Changed(id.to_owned()));
    }

    /// Moves and renames; false when the name is taken, or it would go into itself.
    pub fn relocate(&mut self, id: &str, parent: Option<&str>, name: &str) -> bool {
        let into_itself = parent.is_some_and(|parent| self.is_within(parent, id));
        if into_itself || !self.is_free(parent, name, id) {
            return false;
        }
        let before = self.path_key(id);
        let below = self.below(id);
        let node = self.nodes.get_mut(id).expect("it is there");
        (node.parent, node.name) = (parent.map(str::to_owned), name.to_owned());
        node.version += 1;
        match self.character.tells {
            Tells::Parents => self.log.push(Event::Changed(id.to_owned())),
            Tells::Paths => {
                self.log.push(Event::GoneAt(before));
                // Dropbox does not promise a folder before what is in it.
                self.log.extend(below.into_iter().rev().map(Event::Changed));
            }
        }
        true
    }

    /// Renames; false when the name is taken.
    pub fn rename(&mut self, id: &str, name: &str) -> bool {
        let parent = self.nodes[id].parent.clone();
        self.relocate(id, parent.as_deref(), name)
    }

    /// Deletes, with all that is in it.
    pub fn delete(&mut self, id: &str) {
        if !self.nodes.contains_key(id) {
            return;
        }
        match self.character.tells {
            Tells::Parents => self.log.push(Event::Gone(id.to_owned())),
            Tells::Paths => self.log.push(Event::GoneAt(self.path_key(id))),
        }
        for id in self.below(id) {
            self.nodes.remove(&id);
        }
    }

    /// A record leaves the selection.
    pub fn leave_selection(&mut self, id: &str) {
        self.log.push(Event::Outside(id.to_owned()));
    }

    /// Everything as people see it: path → what is in it (`/` for folders).
    pub fn paths(&self) -> BTreeMap<String, String> {
        let path = |id: &String| {
            let mut names = Vec::new();
            let mut at = Some(id.clone());
            while let Some(node) = at.as_ref().and_then(|id| self.nodes.get(id)) {
                names.push(node.name.clone());
                at.clone_from(&node.parent);
            }
            names.reverse();
            names.join("/")
        };
        let what = |node: &Node| match &node.kind {
            NodeKind::Record { .. } | NodeKind::Folder => "/".to_owned(),
            NodeKind::File(Content::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            NodeKind::File(content) => content.hashes().get(HashKind::Sha256).unwrap_or_default().to_owned(),
            NodeKind::Native => "document".to_owned(),
            NodeKind::Shortcut => "shortcut".to_owned(),
        };
        self.nodes.iter().map(|(id, node)| (path(id), what(node))).collect()
    }

    pub(super) fn entry(&self, id: &str) -> Option<Entry> {
        let node = self.nodes.get(id)?;
        let version = |n: u64| Version::new(format!("{id}@{n}"));
        let kind = match &node.kind {
            NodeKind::Record { module, number } => EntryKind::Record { module: module.clone(), number: number.clone() },
            NodeKind::Folder => EntryKind::Folder,
            NodeKind::File(content) => {
                let all = node.hashes.clone();
                let hashes = match self.character.hashes {
                    SaysHashes::Plain => all,
                    SaysHashes::Blocks => {
                        let known = all.get(HashKind::BlockSha256).map(|hex| Hashes::of(HashKind::BlockSha256, hex));
                        known.unwrap_or_default()
                    }
                    SaysHashes::No => Hashes::none(),
                };
                EntryKind::File { size: content.size(), hashes, content: version(node.content) }
            }
            NodeKind::Native => EntryKind::Native { content: version(node.content), exportable: Exportable::Pdf },
            NodeKind::Shortcut => EntryKind::Shortcut,
        };
        let place = match self.character.tells {
            Tells::Parents => Place::In { parent: RemoteId::new(node.parent.as_deref().unwrap_or("root")) },
            Tells::Paths => Place::At { key: self.path_key(id) },
        };
        Some(Entry {
            id: RemoteId::new(id),
            place,
            name: node.name.clone(),
            kind,
            version: version(node.version),
            modified_at: Some(node.modified_at),
            access: node.access.clone(),
            marker: node.marker.clone().filter(|_| self.character.can.keeps_markers),
        })
    }

    pub(super) fn change(&self, event: &Event) -> Option<FileChange> {
        match event {
            Event::Changed(id) => match (self.entry(id), self.character.tells) {
                (Some(entry), _) => Some(FileChange::Upsert(Box::new(entry))),
                // Drive tells of a change what has become of the file since: gone with the folder that it was moved into.
                (None, Tells::Parents) => Some(FileChange::Gone { id: RemoteId::new(id) }),
                (None, Tells::Paths) => None,
            },
            Event::Gone(id) => Some(FileChange::Gone { id: RemoteId::new(id) }),
            Event::GoneAt(key) => Some(FileChange::GoneAt { key: key.clone() }),
            Event::Outside(id) => Some(FileChange::Outside { id: RemoteId::new(id) }),
        }
    }
}
