//! What the provider holds.
use super::blob::{Blocks, Content, Keep};
use super::{Refusal, tagged};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most calls kept in the log.
const LOG: usize = 20_000;
/// Upload sessions live for seven days.
pub(super) const SESSION_MS: i64 = 7 * 24 * 3_600_000;

/// How the provider behaves. Part of the control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Answers take this many milliseconds.
    pub latency_ms: u64,
    /// Added to the clock, in milliseconds.
    pub clock_offset_ms: i64,
    /// Entries of a page are never more than this.
    pub page: usize,
    /// Of files above this size only the hashes of the blocks are kept; they cannot be downloaded.
    pub keep_bytes: u64,
    /// How much fits into an account, in bytes.
    pub space: u64,
    /// How often a batch that was launched says `in_progress` before it is done.
    pub batch_checks: u32,
    /// Whether moves give files a new rev. The reference leaves it open.
    pub move_makes_rev: Switch,
    /// Whether folders are told after what is in them. The reference does not promise that they come before it.
    pub children_first: Switch,
    /// Whether the consent page approves by itself.
    pub auto_approve: Switch,
    /// Life of an access token in seconds.
    pub token_seconds: i64,
    /// Where the app wants to be told of changes.
    pub webhook: Option<Webhook>,
}

/// What is entered at the app's console.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// Where notifications go.
    pub url: String,
    /// The app's secret, which signs them.
    pub secret: String,
}

/// A switch with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// On.
    Yes,
    /// Off.
    No,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            clock_offset_ms: 0,
            page: 2000,
            keep_bytes: 64 * 1024 * 1024 * 1024,
            space: 1 << 50,
            batch_checks: 1,
            move_makes_rev: Switch::No,
            children_first: Switch::No,
            auto_approve: Switch::Yes,
            token_seconds: 14_400,
            webhook: None,
        }
    }
}

/// Something that goes wrong with the next calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fault {
    /// This call goes well.
    Pass,
    /// 500, nothing done.
    ServerError,
    /// 503, nothing done.
    Unavailable,
    /// 429 for too many requests, nothing done.
    Throttle {
        /// Seconds in `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 429 for too many writes at once, nothing done.
    TooManyWrites {
        /// Seconds in `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 401: the access token has expired.
    Expired,
    /// 401: the user did not grant a scope.
    MissingScope,
    /// The work is done, the answer is lost.
    LoseAnswer,
    /// The request is lost before anything is done.
    LoseRequest,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) path: String,
    /// Bytes of the request's body.
    pub(super) bytes: usize,
}

/// A file or folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) name: String,
    /// `None`: a folder.
    #[serde(default)]
    pub(super) file: Option<File>,
    /// Whether this account may only read it.
    #[serde(default)]
    pub(super) read_only: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) rev: String,
    pub(super) content: Content,
    pub(super) client_modified_ms: i64,
    pub(super) server_modified_ms: i64,
    /// Whether it has no bytes of its own (Paper).
    #[serde(default)]
    pub(super) native: bool,
}

/// What happened at a path; `None`: deleted.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) path: String,
    pub(super) display: String,
    pub(super) node: Option<Node>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Old {
    pub(super) path: String,
    pub(super) id: String,
    pub(super) file: File,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) account: String,
    pub(super) started_ms: i64,
    pub(super) concurrent: bool,
    pub(super) closed: bool,
    /// Where the next bytes of a sequential session go.
    pub(super) size: u64,
    pub(super) blocks: Vec<String>,
    /// The bytes after the last whole block.
    #[serde(default, with = "tail")]
    pub(super) tail: Vec<u8>,
    /// The pieces of a concurrent session: offset, size, blocks.
    #[serde(default)]
    pub(super) pieces: BTreeMap<u64, (u64, Vec<String>)>,
}

mod tail {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A batch that was launched.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) route: String,
    pub(super) checks: u32,
    pub(super) entries: Value,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) uid: u64,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) kind: String,
    /// By `path_lower`, with its leading slash.
    pub(super) tree: BTreeMap<String, Node>,
    pub(super) events: Vec<Event>,
    /// Superseded and deleted revisions, by rev.
    pub(super) old: BTreeMap<String, Old>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) account: String,
    pub(super) client: String,
    pub(super) scopes: Vec<String>,
    pub(super) expires_ms: Option<i64>,
    /// The refresh token that it came of.
    #[serde(default)]
    pub(super) refresh: Option<String>,
}

/// A code of the consent page, good for one exchange.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    pub(super) offline: bool,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) seq: u64,
    #[serde(skip)]
    pub(super) now_ms: i64,
    pub(super) settings: Settings,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) blocks: Blocks,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) jobs: BTreeMap<String, Job>,
    /// Cursors of older generations are answered with `reset`.
    pub(super) generation: u64,
    /// Events up to here have been notified of.
    pub(super) told: u64,
    pub(super) access: BTreeMap<String, Grant>,
    pub(super) refresh: BTreeMap<String, Grant>,
    pub(super) codes: BTreeMap<String, Code>,
    pub(super) faults: Vec<Fault>,
    #[serde(skip)]
    pub(super) calls: Vec<Call>,
}

impl State {
    pub(super) fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn log(&mut self, call: Call) {
        if self.calls.len() < LOG {
            self.calls.push(call);
        }
    }

    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        (!self.faults.is_empty()).then(|| {
            self.seq += 1;
            self.faults.remove(0)
        })
    }

    /// The account of this name, made when it is new.
    pub(super) fn account(&mut self, name: &str) -> &mut Account {
        if !self.accounts.contains_key(name) {
            let number = self.next();
            let account = Account {
                // 40 characters, as `AccountId` demands.
                id: format!("dbid:AA{number:033}"),
                uid: 1000 + number,
                email: name.to_owned(),
                name: name.split('@').next().unwrap_or(name).to_owned(),
                kind: "basic".to_owned(),
                ..Account::default()
            };
            self.accounts.insert(name.to_owned(), account);
        }
        self.accounts.get_mut(name).expect("it was made above if it was not there")
    }

    /// A working access token with every scope, as after a connection.
    pub(super) fn mint(&mut self, account: &str) -> String {
        self.account(account);
        let name = format!("sl.u.{}", self.next());
        let scopes = crate::auth::SCOPES.map(str::to_owned).to_vec();
        let grant =
            Grant { account: account.to_owned(), client: "sim".to_owned(), scopes, expires_ms: None, refresh: None };
        self.access.insert(name.clone(), grant);
        name
    }

    /// Whose token it is, and whether it may do this.
    pub(super) fn authorise(&self, bearer: Option<&str>, scope: &str) -> Result<String, Refusal> {
        let Some(token) = bearer else { return Err(Refusal::bad("Missing Authorization header")) };
        let Some(grant) = self.access.get(token) else {
            return Err(Refusal::Auth(tagged(&["invalid_access_token"])));
        };
        if grant.expires_ms.is_some_and(|until| until <= self.now_ms) {
            return Err(Refusal::Auth(tagged(&["expired_access_token"])));
        }
        if !scope.is_empty() && !grant.scopes.iter().any(|granted| granted == scope) {
            return Err(Refusal::Auth(json!({".tag": "missing_scope", "required_scope": scope})));
        }
        Ok(grant.account.clone())
    }

    pub(super) fn keep(&self, size: u64) -> Keep {
        if size > self.settings.keep_bytes { Keep::Hash } else { Keep::Bytes }
    }

    /// Drops the blocks of sessions that nobody goes on with.
    pub(super) fn sweep(&mut self) {
        let oldest = self.now_ms - SESSION_MS;
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.started_ms > oldest);
        if before == self.sessions.len() {
            return;
        }
        let nodes = self.accounts.values().flat_map(|account| {
            let live = account.tree.values().filter_map(|node| node.file.as_ref());
            live.chain(account.old.values().map(|old| &old.file))
        });
        let open = self
            .sessions
            .values()
            .flat_map(|session| session.blocks.iter().chain(session.pieces.values().flat_map(|(_, blocks)| blocks)));
        let used = nodes.flat_map(|file| &file.content.blocks).chain(open).collect();
        self.blocks.retain(&used);
    }
}
