//! What the provider holds.
use super::{Asked, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

const LOG: usize = 50_000;

/// What a test may set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How long an answer should be held back.
    pub latency_ms: u64,
    /// How far the provider's time is ahead.
    pub clock_offset_ms: i64,
    /// Requests a second for each token; 0 is no limit.
    pub per_second: u32,
    /// Items of one page of a sync queue.
    pub queue_page: usize,
    /// Life of an access token.
    pub token_seconds: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { latency_ms: 0, clock_offset_ms: 0, per_second: 10, queue_page: 100, token_seconds: 3_600 }
    }
}

/// Something that goes wrong with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fault {
    /// 500, nothing done.
    ServerError,
    /// 429, nothing done. Sell sends no `Retry-After`; a proxy may.
    Throttle {
        /// Seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 403 for a missing scope.
    Forbidden,
    /// The next write of a person is done and its answer lost.
    LoseAnswer,
    /// The request is lost before anything is done.
    LoseRequest,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) writes: usize,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) account: String,
    pub(super) expires_ms: Option<i64>,
}

/// A state of an object that devices have to hear of.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) revision: u64,
    pub(super) deleted: bool,
    pub(super) is_organization: bool,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) device: String,
    pub(super) queue: Vec<u64>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) user: u64,
    pub(super) contacts: BTreeMap<u64, Map<String, Json>>,
    pub(super) custom: Vec<Json>,
    pub(super) marks: BTreeMap<u64, Mark>,
    /// By device: the revision of each object that it acknowledged. Object 0 is the user.
    pub(super) devices: BTreeMap<String, BTreeMap<u64, u64>>,
    pub(super) sessions: BTreeMap<String, Session>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) seq: u64,
    #[serde(skip)]
    pub(super) now_ms: i64,
    pub(super) settings: Settings,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) access: BTreeMap<String, Grant>,
    pub(super) refresh: BTreeMap<String, String>,
    pub(super) codes: BTreeMap<String, (String, String)>,
    pub(super) faults: Vec<Fault>,
    pub(super) calls: Vec<Call>,
    pub(super) used: BTreeMap<String, (i64, u32)>,
}

impl State {
    pub(super) fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
    pub(super) fn log(&mut self, call: Call) {
        if self.calls.len() >= LOG {
            self.calls.remove(0);
        }
        self.calls.push(call);
    }
    pub(super) fn take_fault(&mut self, asked: &Asked) -> Option<Fault> {
        let fault = *self.faults.first()?;
        let person_written = asked.method != "GET"
            && asked.path.starts_with("/v2/contacts")
            && asked.json().is_ok_and(|body| body["data"]["is_organization"] != true);
        (fault != Fault::LoseAnswer || person_written).then(|| self.faults.remove(0))
    }
    pub(super) fn account(&mut self, name: &str) -> &mut Account {
        if !self.accounts.contains_key(name) {
            let user = 1_000 + self.next();
            let marks = BTreeMap::from([(0, Mark { revision: 1, deleted: false, is_organization: false })]);
            self.accounts.insert(name.to_owned(), Account { user, marks, ..Account::default() });
        }
        self.accounts.get_mut(name).expect("just made")
    }
    /// A personal token: 64 characters, for ever.
    pub(super) fn mint(&mut self, account: &str) -> String {
        self.account(account);
        let token = format!("{:064}", self.next());
        self.access.insert(token.clone(), Grant { account: account.to_owned(), expires_ms: None });
        token
    }
    pub(super) fn authorise(&mut self, asked: &Asked) -> Result<String, Refusal> {
        let bearer = asked.header("authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let now = self.now_ms;
        let grant = self.access.get(bearer).filter(|grant| grant.expires_ms.is_none_or(|until| now < until));
        let account = grant.ok_or_else(|| Refusal::new(401, "unauthorized"))?.account.clone();
        let used = self.used.entry(bearer.to_owned()).or_default();
        let second = now.div_euclid(1_000);
        *used = if used.0 == second { (second, used.1 + 1) } else { (second, 1) };
        if self.settings.per_second > 0 && used.1 > self.settings.per_second {
            return Err(Refusal::new(429, "rate_limit_exceeded"));
        }
        Ok(account)
    }
    pub(super) fn now(&self) -> Json {
        let now = jiff::Timestamp::from_second(self.now_ms.div_euclid(1_000)).expect("a time in range");
        json!(now.to_string())
    }
    /// Marks an object as changed, for every device.
    pub(super) fn mark(&mut self, account: &str, id: u64, deleted: bool, is_organization: bool) {
        let revision = self.next();
        self.account(account).marks.insert(id, Mark { revision, deleted, is_organization });
        if let Some(call) = self.calls.last_mut() {
            call.writes += 1;
        }
    }
}
