//! One side of a files sync in memory: a tree with the character of a CRM, of Drive or of Dropbox, with a feed in pages, upload
//! sessions, counted calls and faults on demand. What people do at the side is [`MemoryFiles::as_person`].
mod port;
mod state;

pub use state::{Content, Node, NodeKind, State};

use crate::fault::{Faults, Verdict};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::{FileCapabilities, Listing, Names};
use tandem_ports::infra::Clock;

/// How a side behaves.
#[derive(Clone, Copy, Debug)]
pub struct FilesCharacter {
    /// The provider's name.
    pub provider: &'static str,
    /// What it can do.
    pub can: FileCapabilities,
    /// Whether its feed tells paths and path tombstones (Dropbox) or parents and ids (Drive, CRM).
    pub tells: Tells,
    /// Changes in a page of its feed.
    pub page: usize,
    /// Whether it says the hashes of what it holds.
    pub hashes: SaysHashes,
}

/// What places are told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// `Place::In` and `Gone`.
    Parents,
    /// `Place::At` and `GoneAt`.
    Paths,
}

/// Whether hashes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaysHashes {
    /// SHA-256 (and the CRM also by block).
    Plain,
    /// By block only (Dropbox).
    Blocks,
    /// None at all.
    No,
}

const BASE: FileCapabilities = FileCapabilities {
    writable: true,
    listing: Listing::Folders,
    names: Names::Unique,
    stable_ids: true,
    replace_keeps_id: true,
    conditional_writes: true,
    empty_folders: true,
    max_depth: None,
    keeps_markers: false,
    reserves_ids: true,
    cursors_expire: true,
    max_bytes: None,
    put_bytes: 1024 * 1024,
    put_batch: 20,
    chunk_multiple: 256 * 1024,
    concurrent_appends: 1,
    concurrent_calls: 8,
    children_batch: 5,
    batch: 10,
};

/// Records with files; ids are ours.
pub fn like_a_crm_with_files() -> FilesCharacter {
    FilesCharacter { provider: "crm", can: BASE, tells: Tells::Parents, page: 7, hashes: SaysHashes::Plain }
}

/// Parents by id, names that repeat, markers.
pub fn like_drive() -> FilesCharacter {
    let can = FileCapabilities { names: Names::Repeatable, keeps_markers: true, put_batch: 1, ..BASE };
    FilesCharacter { provider: "drive", can, tells: Tells::Parents, page: 7, hashes: SaysHashes::Plain }
}

/// Paths, one name whatever its case, batches of 1,000, appends in any order.
pub fn like_dropbox() -> FilesCharacter {
    let can = FileCapabilities {
        listing: Listing::Feed,
        names: Names::UniqueWithoutCase,
        reserves_ids: false,
        put_batch: 1_000,
        put_bytes: 4 * 1024 * 1024,
        chunk_multiple: 4 * 1024 * 1024,
        concurrent_appends: 3,
        ..BASE
    };
    FilesCharacter { provider: "dropbox", can, tells: Tells::Paths, page: 7, hashes: SaysHashes::Blocks }
}

/// What happens at a call to come.
enum Ahead {
    /// A person does something just before it.
    Act(Box<dyn FnOnce(&mut State) + Send>),
    /// It is refused, and has no effect.
    Refuse(ErrorKind),
}

/// A call to come: of this name or any, after so many others of it.
struct Awaited {
    call: Option<&'static str>,
    skip: u64,
    what: Ahead,
}

/// A side in memory.
pub struct MemoryFiles {
    /// How it behaves.
    pub character: FilesCharacter,
    state: Mutex<State>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    awaited: Mutex<Vec<Awaited>>,
    faults: Arc<Faults>,
    clock: Arc<dyn Clock>,
}

impl MemoryFiles {
    /// An empty side.
    pub fn new(character: FilesCharacter, clock: Arc<dyn Clock>, faults: Arc<Faults>) -> Arc<MemoryFiles> {
        let state = Mutex::new(State::new(character));
        Arc::new(MemoryFiles { character, state, calls: Mutex::default(), awaited: Mutex::default(), faults, clock })
    }

    /// A person does something just before the next call of this name.
    pub fn before(&self, call: &'static str, act: impl FnOnce(&mut State) + Send + 'static) {
        self.await_call(Some(call), 0, Ahead::Act(Box::new(act)));
    }

    /// A person does something after so many further calls, just before the next one.
    pub fn meanwhile(&self, skip: u64, act: impl FnOnce(&mut State) + Send + 'static) {
        self.await_call(None, skip, Ahead::Act(Box::new(act)));
    }

    /// After so many of its name, a call is refused and has no effect.
    pub fn refuse(&self, call: &'static str, skip: u64, kind: ErrorKind) {
        self.await_call(Some(call), skip, Ahead::Refuse(kind));
    }

    /// Nothing more is to happen.
    pub fn await_nothing(&self) {
        self.awaited.lock().expect("not poisoned").clear();
    }

    fn await_call(&self, call: Option<&'static str>, skip: u64, what: Ahead) {
        self.awaited.lock().expect("not poisoned").push(Awaited { call, skip, what });
    }

    /// What was awaited of this call comes about.
    fn meet(&self, call: &'static str) -> Result<(), ConnectorError> {
        let mut due = Vec::new();
        let mut awaited = self.awaited.lock().expect("not poisoned");
        for mut one in std::mem::take(&mut *awaited) {
            match one.call.is_none_or(|name| name == call) {
                true if one.skip == 0 => due.push(one.what),
                met => {
                    one.skip -= u64::from(met);
                    awaited.push(one);
                }
            }
        }
        drop(awaited);
        let mut refused = Ok(());
        for what in due {
            match what {
                Ahead::Act(act) => self.as_person(act),
                Ahead::Refuse(kind) => refused = Err(self.error(call, kind, "refused")),
            }
        }
        refused
    }

    /// Looks at it, or does what a person does there; not a call.
    pub fn as_person<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().expect("not poisoned");
        state.now = self.clock.now();
        act(&mut state)
    }

    /// Calls since the last time this was asked, by name.
    pub fn take_calls(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.calls.lock().expect("not poisoned"))
    }

    fn enter(&self, call: &'static str) -> Result<Verdict, ConnectorError> {
        *self.calls.lock().expect("not poisoned").entry(call).or_insert(0) += 1;
        self.meet(call)?;
        match self.faults.strike() {
            Verdict::Refuse => Err(self.error(call, ErrorKind::Retryable, "no answer")),
            verdict @ (Verdict::Go | Verdict::DoAndLose) => Ok(verdict),
        }
    }

    fn leave<T>(&self, call: &'static str, verdict: Verdict, done: T) -> Result<T, ConnectorError> {
        if verdict == Verdict::Go { Ok(done) } else { Err(self.error(call, ErrorKind::Retryable, "no answer")) }
    }

    fn error(&self, call: &'static str, kind: ErrorKind, detail: &str) -> ConnectorError {
        ConnectorError::new(self.character.provider, call, kind, detail)
    }
}
