//! What the provider holds.
use super::{Asked, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

const LOG: usize = 50_000;
const HOUR_MS: i64 = 3_600_000;
/// Every scope there is.
pub(super) const SCOPES: [&str; 4] = ["read", "write", "profile", "sync"];

/// What a test may set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How long an answer should be held back.
    pub latency_ms: u64,
    /// How far the provider's time is ahead.
    pub clock_offset_ms: i64,
    /// Requests within any second for each token; 0 is no limit.
    pub per_second: usize,
    /// Requests within an hour for each token; 0 is no limit.
    pub per_hour: u32,
    /// Items of one page of a sync queue.
    pub queue_page: usize,
    /// How many pages of a sync queue come empty, with 200, before the next one that does not.
    pub empty_pages: u32,
    /// How many acknowledged objects each session brings once more (delivery is at least once).
    pub redeliver: usize,
    /// Life of a sync session. Sell does not say how long it is.
    pub session_seconds: i64,
    /// Life of an access token.
    pub token_seconds: i64,
    /// Longest text of one line, in characters. Sell does not say how long it is.
    pub most_characters: usize,
    /// Whether a tombstone says of what kind the contact was. Sell does not say.
    pub tombstones: Tombstones,
    /// Where the users are, as Sell writes it.
    pub timezone: String,
    /// How many pages of a stream come empty, with more behind them, before the next one that does not.
    pub empty_stream_pages: u32,
    /// How many events that were told before a stream tells once more, with those that are new.
    pub stream_repeats: usize,
    /// What becomes of a position behind which events are forgotten. Sell does not say.
    pub forgotten: Forgotten,
    /// Whether the event of a deletion still shows what the record was. Sell does not say.
    pub deleted_shown: Shown,
    /// Life of an address of a document's bytes.
    pub address_seconds: i64,
    /// Whether such an address serves parts. Sell does not say.
    pub ranges: bool,
    /// The one registered client; without it any client is one.
    pub client: Option<Client>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            clock_offset_ms: 0,
            per_second: 10,
            per_hour: 36_000,
            queue_page: 100,
            empty_pages: 0,
            redeliver: 0,
            session_seconds: 3_600,
            token_seconds: 3_600,
            most_characters: 255,
            tombstones: Tombstones::Bare,
            timezone: "UTC+01:00".to_owned(),
            empty_stream_pages: 0,
            stream_repeats: 0,
            forgotten: Forgotten::Refused,
            deleted_shown: Shown::Id,
            address_seconds: 90 * 60,
            ranges: false,
            client: None,
        }
    }
}

/// What is left of a deleted contact in a sync queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tombstones {
    /// Its id.
    Bare,
    /// Its id and whether it was an organisation.
    Kind,
}

/// What a stream does with a position that it does not know any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgotten {
    /// 400.
    Refused,
    /// It goes on with the oldest event that it still has, as if nothing were missing.
    Skipped,
}

/// What the event of a deletion shows of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// Its id.
    Id,
    /// All that it said.
    All,
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
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
    /// 400, nothing done.
    BadRequest,
    /// The next write of a person or a task is done and its answer lost.
    LoseAnswer,
    /// The request is lost before anything is done.
    LoseRequest,
    /// Nothing: this call goes well, and the next one meets the next fault.
    Pass,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) writes: usize,
}

/// What a person allowed a client: behind a code, an access token or a refresh token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) email: String,
    pub(super) client: String,
    pub(super) scopes: Vec<String>,
    pub(super) expires_ms: Option<i64>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
}

/// Which records a user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sees {
    All,
    Own,
}

/// A user, and the account whose records those are.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Who {
    pub(super) account: String,
    pub(super) email: String,
    pub(super) user: u64,
    pub(super) sees: Sees,
}

impl Who {
    /// An owner sees what is theirs; who made a note, that note.
    pub(super) fn may_see(&self, record: &Map<String, Json>) -> bool {
        let owner = record.get("owner_id").or(record.get("creator_id"));
        self.sees == Sees::All || owner.and_then(Json::as_u64) == Some(self.user)
    }
}

/// A state of an object that devices have to hear of.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) kind: String,
    pub(super) revision: u64,
    pub(super) deleted: bool,
    pub(super) is_organization: bool,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) device: String,
    pub(super) queue: Vec<u64>,
    pub(super) started_ms: i64,
}

/// A lead, a deal, a note or a task.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Other {
    pub(super) kind: String,
    pub(super) data: Map<String, Json>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    pub(super) contacts: BTreeMap<u64, Map<String, Json>>,
    pub(super) others: BTreeMap<u64, Other>,
    pub(super) custom: Vec<Json>,
    pub(super) marks: BTreeMap<u64, Mark>,
    /// By user and device: the revision of each object that it acknowledged. Object 0 is the user.
    pub(super) devices: BTreeMap<String, BTreeMap<u64, u64>>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) appointments: BTreeMap<u64, Appointment>,
    /// What happened to them, oldest first.
    pub(super) stream: Vec<Event>,
    pub(super) documents: BTreeMap<u64, super::documents::Document>,
    /// How many events were forgotten: the place of the first one that is left.
    pub(super) forgotten: u64,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Appointment {
    pub(super) data: Map<String, Json>,
    pub(super) sequence: u64,
}

/// An event of a stream, as it is told.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) at_ms: i64,
    pub(super) item: Json,
}

/// What a token has used of its limits.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Used {
    /// When, within the last second.
    recent: Vec<i64>,
    hour_from: i64,
    in_hour: u32,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) seq: u64,
    pub(super) answered: u64,
    #[serde(skip)]
    pub(super) now_ms: i64,
    pub(super) settings: Settings,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) users: BTreeMap<String, Who>,
    pub(super) access: BTreeMap<String, Grant>,
    pub(super) refresh: BTreeMap<String, Grant>,
    pub(super) codes: BTreeMap<String, Code>,
    pub(super) faults: Vec<Fault>,
    pub(super) calls: Vec<Call>,
    pub(super) used: BTreeMap<String, Used>,
    /// Addresses of bytes: whose document, and until when.
    pub(super) addresses: BTreeMap<String, (String, u64, i64)>,
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
            && (asked.path.starts_with("/v2/contacts") || asked.path.starts_with("/v2/tasks"))
            && asked.json().is_ok_and(|body| body["data"]["is_organization"] != true);
        (fault != Fault::LoseAnswer || person_written).then(|| self.faults.remove(0))
    }
    pub(super) fn account(&mut self, name: &str) -> &mut Account {
        if !self.accounts.contains_key(name) {
            let revision = self.next();
            let user = Mark { kind: "user".to_owned(), revision, deleted: false, is_organization: false };
            self.accounts.insert(name.to_owned(), Account { marks: BTreeMap::from([(0, user)]), ..Account::default() });
        }
        self.accounts.get_mut(name).expect("just made")
    }
    /// The user with this address; whoever is not known yet has an account of their own.
    pub(super) fn who(&mut self, email: &str) -> Who {
        match self.users.get(email) {
            Some(known) => known.clone(),
            None => self.add_user(email, email, Sees::All),
        }
    }
    pub(super) fn add_user(&mut self, account: &str, email: &str, sees: Sees) -> Who {
        self.account(account);
        let user = 1_000 + self.next();
        let who = Who { account: account.to_owned(), email: email.to_owned(), user, sees };
        self.users.insert(email.to_owned(), who.clone());
        who
    }
    /// A personal token: 64 characters, for ever, with every right.
    pub(super) fn mint(&mut self, email: &str) -> String {
        self.who(email);
        let token = format!("{:064}", self.next());
        let scopes = SCOPES.map(str::to_owned).to_vec();
        let grant = Grant { email: email.to_owned(), client: String::new(), scopes, expires_ms: None };
        self.access.insert(token.clone(), grant);
        token
    }
    /// The living grant of a request's bearer token.
    pub(super) fn grant(&self, asked: &Asked) -> Result<(String, Grant), Refusal> {
        let bearer = asked.header("authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let grant = self.access.get(bearer).filter(|grant| grant.expires_ms.is_none_or(|until| self.now_ms < until));
        grant.map(|grant| (bearer.to_owned(), grant.clone())).ok_or_else(|| Refusal::new(401, "unauthorized"))
    }
    /// Who asks, if the token has this scope and something left of its limits.
    pub(super) fn authorise(&mut self, asked: &Asked, scope: &str) -> Result<Who, Refusal> {
        let (token, grant) = self.grant(asked)?;
        if !self.within_limits(token) {
            return Err(Refusal::new(429, "rate_limit_exceeded"));
        }
        if !grant.scopes.iter().any(|has| has == scope) {
            return Err(Refusal::new(403, "insufficient_scope"));
        }
        Ok(self.who(&grant.email))
    }
    /// Every request counts, also a refused one.
    fn within_limits(&mut self, token: String) -> bool {
        let (now, settings) = (self.now_ms, self.settings.clone());
        let used = self.used.entry(token).or_default();
        used.recent.retain(|at| (now - 1_000 < *at) && *at <= now);
        used.recent.push(now);
        if !(used.hour_from..used.hour_from + HOUR_MS).contains(&now) {
            (used.hour_from, used.in_hour) = (now, 0);
        }
        used.in_hour += 1;
        let in_second = settings.per_second == 0 || used.recent.len() <= settings.per_second;
        in_second && (settings.per_hour == 0 || used.in_hour <= settings.per_hour)
    }
    pub(super) fn now(&self) -> Json {
        let now = jiff::Timestamp::from_second(self.now_ms.div_euclid(1_000)).expect("a time in range");
        json!(now.to_string())
    }
    /// Marks an object as changed, for every device.
    pub(super) fn mark(&mut self, account: &str, id: u64, mark: Mark) {
        let revision = self.next();
        self.account(account).marks.insert(id, Mark { revision, ..mark });
        if let Some(call) = self.calls.last_mut() {
            call.writes += 1;
        }
    }
}

impl Mark {
    pub(super) fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), revision: 0, deleted: false, is_organization: false }
    }
}
