//! What the fake holds.
use super::{Refusal, json_response};
use bytes::Bytes;
use http::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Calls kept in the log.
const LOG: usize = 20_000;
const WINDOW_MS: i64 = 60_000;

/// A switch with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// On.
    Yes,
    /// Off.
    No,
}

/// What becomes of filters and body keys that no method has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Ignored in silence, as at Teamleader.
    Ignore,
    /// Refused with 400, so that a test notices.
    Refuse,
}

/// What the connected user may do. The API shows nobody's rights; a call without them answers 403.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Everything.
    #[default]
    All,
    /// No lists: the right to export is missing.
    NoExport,
    /// No contacts: the module's right is missing.
    NoContacts,
    /// No companies: the module's right is missing.
    NoCompanies,
    /// No calls: the module's right is missing.
    NoCalls,
}

impl Right {
    pub(super) fn check(self, resource: &str, action: &str) -> Result<(), Refusal> {
        let refused = match self {
            Right::All => false,
            Right::NoExport => ["contacts", "companies"].contains(&resource) && action == "list",
            Right::NoContacts => resource == "contacts",
            Right::NoCompanies => resource == "companies",
            Right::NoCalls => resource == "calls",
        };
        if refused { Err(Refusal::new(403, "You are not allowed to access this resource.")) } else { Ok(()) }
    }
}

/// How the provider behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Milliseconds that each answer is held back (by whoever serves the fake).
    pub latency_ms: u64,
    /// Its clock minus the real one.
    pub clock_offset_ms: i64,
    /// How far its clock moves on with each call.
    pub call_ms: i64,
    /// Calls a sliding minute and account.
    pub calls_per_minute: usize,
    /// Whether lists say `meta.matches`. Their specification does not, and clients in use rely on it.
    pub meta: Switch,
    /// Whether lists without `status` show deactivated records. Documented nowhere.
    pub lists_deactivated: Switch,
    /// Whether linking a contact with a company changes the contact's `updated_at`. Documented nowhere.
    pub link_touches: Switch,
    /// Unknown filters and keys.
    pub strictness: Strictness,
    /// Whether the consent page approves by itself.
    pub auto_approve: Switch,
    /// Life of an access token in seconds.
    pub token_seconds: i64,
    /// Most rows of a page.
    pub most_rows: usize,
    /// Where files go that name no folder: `General` in the account's language.
    pub default_folder: String,
    /// How long an address for a file's bytes is good.
    pub file_address_seconds: i64,
    /// The largest file. The API names no limit; Teamleader's own integrations have 50 MB.
    pub most_file_bytes: u64,
    /// Whether parts of a file can be had. Documented nowhere.
    pub ranges: Switch,
    /// `projects-v2` or `legacy`.
    pub projects: String,
    /// Methods that this account's API does not have (yet, or any more).
    pub lacks: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            clock_offset_ms: 0,
            call_ms: 0,
            calls_per_minute: 200,
            meta: Switch::No,
            lists_deactivated: Switch::No,
            link_touches: Switch::No,
            strictness: Strictness::Ignore,
            auto_approve: Switch::Yes,
            token_seconds: 3_600,
            most_rows: 100,
            default_folder: "General".to_owned(),
            file_address_seconds: 900,
            most_file_bytes: 50 * 1024 * 1024,
            ranges: Switch::Yes,
            projects: "projects-v2".to_owned(),
            lacks: Vec::new(),
        }
    }
}

/// Something that goes wrong with the next calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fault {
    /// 500, nothing done.
    ServerError,
    /// 503, nothing done.
    Unavailable,
    /// 429, nothing done.
    Throttle {
        /// Seconds until `X-RateLimit-Reset`.
        #[serde(default)]
        seconds: i64,
    },
    /// 403.
    Forbidden,
    /// The work is done, the answer is lost.
    LoseAnswer,
    /// The request is lost before anything is done.
    LoseRequest,
}

impl Fault {
    pub(super) fn response(self, now_ms: i64) -> Response<Bytes> {
        let (status, title) = match self {
            Fault::ServerError => (500, "Internal server error"),
            Fault::Unavailable => (503, "Service unavailable"),
            Fault::Throttle { .. } => (429, "Too many requests"),
            Fault::Forbidden => (403, "You are not allowed to access this resource."),
            Fault::LoseAnswer | Fault::LoseRequest => (500, "The connection broke."),
        };
        let mut response = json_response(status, &json!({"errors": [{"title": title}]}));
        if let Fault::Throttle { seconds } = self {
            let headers = response.headers_mut();
            headers.insert("x-ratelimit-remaining", 0.into());
            let reset = zoned(now_ms + seconds * 1000).parse().expect("digits and signs");
            headers.insert("x-ratelimit-reset", reset);
        }
        response
    }
}

/// A fault that waits for its call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    #[serde(flatten)]
    pub(super) fault: Fault,
    /// Only these methods; empty: the next call of any.
    #[serde(default)]
    pub(super) on: Vec<String>,
    /// Calls that pass before it.
    #[serde(default)]
    pub(super) after: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) method: String,
    /// Contacts or companies that the call wrote.
    pub(super) writes: usize,
}

/// A contact or company.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) added_ms: i64,
    pub(super) updated_ms: i64,
    /// Its members as `info` shows them, without what is derived.
    pub(super) data: Map<String, Value>,
}

impl Stored {
    pub(super) fn text(&self, name: &str) -> &str {
        self.data.get(name).and_then(Value::as_str).unwrap_or_default()
    }
    pub(super) fn list(&self, name: &str) -> &[Value] {
        self.data.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    pub(super) account_id: String,
    pub(super) user_id: String,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) right: Right,
    pub(super) contacts: BTreeMap<String, Stored>,
    pub(super) companies: BTreeMap<String, Stored>,
    pub(super) definitions: Vec<Value>,
    /// Tracked e-mails and tasks, as lists show them, in the order they were made.
    pub(super) tracked: Vec<Value>,
    pub(super) tasks: Vec<Value>,
    pub(super) meetings: BTreeMap<String, Stored>,
    pub(super) calls: BTreeMap<String, Stored>,
    pub(super) events: BTreeMap<String, Stored>,
    /// Activity types besides the three that every account has.
    pub(super) activity_types: Vec<Value>,
    /// Its users besides the first one.
    pub(super) colleagues: Vec<Colleague>,
    pub(super) files: BTreeMap<String, super::files::File>,
    /// Products and projects, by the type that a file's subject calls them.
    pub(super) others: BTreeMap<String, BTreeMap<String, Stored>>,
    /// Tags that no record carries (any more).
    pub(super) tags: Vec<String>,
    pub(super) webhooks: Vec<crate::push::Webhook>,
    /// When each call of the last minute came.
    pub(super) window: Vec<i64>,
}

/// A user of an account besides the first one.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Colleague {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: String,
}

impl Account {
    pub(super) fn has_user(&self, id: &str) -> bool {
        self.user_id == id || self.colleagues.iter().any(|colleague| colleague.id == id)
    }

    /// The user that a grant is of: the first one, or this colleague.
    pub(super) fn me(&self, colleague: Option<&str>) -> Value {
        let colleague = self.colleagues.iter().find(|one| Some(one.id.as_str()) == colleague);
        let first = (&self.user_id, &self.name, &self.email);
        let (id, name, email) = colleague.map_or(first, |one| (&one.id, &one.name, &one.email));
        json!({
            "id": id, "account": {"type": "account", "id": self.account_id},
            "first_name": name, "last_name": "Demo", "email": email,
            "email_verification_status": "confirmed", "telephones": [], "language": "nl-BE", "function": "Sales",
            "time_zone": "Europe/Brussels",
            "preferences": {"invoiceable": true, "historic_time_tracking_limit": null, "whitelabeling": true},
        })
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) account: String,
    /// The user, where it is not the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) colleague: Option<String>,
    pub(super) client: String,
    pub(super) expires_ms: Option<i64>,
}

/// A code of the consent page, good for one exchange.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
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
    pub(super) refresh: BTreeMap<String, Grant>,
    pub(super) codes: BTreeMap<String, Code>,
    /// Addresses for bytes of files.
    pub(super) tickets: BTreeMap<String, super::files::Ticket>,
    /// Notifications that wait.
    #[serde(default)]
    pub(super) outbox: Vec<super::Notification>,
    pub(super) faults: Vec<Waiting>,
    pub(super) calls: Vec<Call>,
}

impl State {
    pub(super) fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// A UUID that was not given before. It does not sort by age.
    pub(super) fn uuid(&mut self) -> String {
        let n = self.next();
        let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{:08x}-{:04x}-4{:03x}-a000-{n:012x}", mixed >> 32, mixed >> 16 & 0xffff, mixed & 0xfff)
    }

    pub(super) fn log(&mut self, call: Call) {
        if self.calls.len() >= LOG {
            self.calls.remove(0);
        }
        self.calls.push(call);
    }

    /// Counts what the call under way wrote.
    pub(super) fn wrote(&mut self) {
        self.next();
        if let Some(call) = self.calls.last_mut() {
            call.writes += 1;
        }
    }

    pub(super) fn take_fault(&mut self, method: &str) -> Option<Fault> {
        let meant = |waiting: &Waiting| waiting.on.is_empty() || waiting.on.iter().any(|on| on == method);
        let at = self.faults.iter().position(meant)?;
        if self.faults[at].after > 0 {
            self.faults[at].after -= 1;
            return None;
        }
        Some(self.faults.remove(at).fault)
    }

    /// The account, made where it is new.
    pub(super) fn account(&mut self, email: &str) -> &mut Account {
        if !self.accounts.contains_key(email) {
            let (account_id, user_id) = (self.uuid(), self.uuid());
            let name = email.split('@').next().unwrap_or_default().to_owned();
            let account = Account { account_id, user_id, email: email.to_owned(), name, ..Account::default() };
            self.accounts.insert(email.to_owned(), account);
        }
        self.accounts.get_mut(email).expect("just made")
    }

    /// An access token that does not expire.
    pub(super) fn mint(&mut self, email: &str) -> String {
        self.mint_for(email, None)
    }

    /// The same for one of the account's users.
    pub(super) fn mint_for(&mut self, email: &str, colleague: Option<&str>) -> String {
        self.account(email);
        let token = format!("tl-minted-{}", self.next());
        let colleague = colleague.map(str::to_owned);
        let grant = Grant { account: email.to_owned(), colleague, client: "minted".to_owned(), expires_ms: None };
        self.access.insert(token.clone(), grant);
        token
    }

    pub(super) fn account_of(&self, bearer: Option<&str>) -> Result<String, Refusal> {
        let live = |grant: &&Grant| grant.expires_ms.is_none_or(|until| self.now_ms < until);
        let grant = bearer.and_then(|token| self.access.get(token)).filter(live);
        grant.map(|grant| grant.account.clone()).ok_or_else(|| Refusal::new(401, "Unauthorized"))
    }

    /// The user that a token is of, where it is not the account's first one.
    pub(super) fn colleague_of(&self, bearer: Option<&str>) -> Option<&str> {
        bearer.and_then(|token| self.access.get(token)).and_then(|grant| grant.colleague.as_deref())
    }

    /// Counts a call in the sliding minute, or refuses it.
    pub(super) fn count(&mut self, email: &str) -> Result<(), Refusal> {
        let (now, limit) = (self.now_ms, self.settings.calls_per_minute);
        let window = &mut self.account(email).window;
        window.retain(|at| now - at < WINDOW_MS);
        if window.len() >= limit {
            return Err(Refusal::new(429, "Too many requests"));
        }
        window.push(now);
        Ok(())
    }

    /// The limit, what remains, and when the oldest counted call expires.
    pub(super) fn quota(&mut self, email: Option<&str>) -> (usize, usize, i64) {
        let (now, limit) = (self.now_ms, self.settings.calls_per_minute);
        let window = email.map(|email| self.account(email).window.clone()).unwrap_or_default();
        let oldest = window.first().copied().unwrap_or(now);
        (limit, limit.saturating_sub(window.len()), oldest + WINDOW_MS)
    }
}

/// `2016-02-04T16:44:33+00:00`: whole seconds.
pub(super) fn shown_time(ms: i64) -> String {
    let time = Timestamp::from_second(ms.div_euclid(1000)).unwrap_or_default().to_string();
    time.replace('Z', "+00:00")
}

/// `2021-06-15T10:51:23.035+0100`: the quota's header has no colon in its zone.
pub(super) fn zoned(ms: i64) -> String {
    let there = Timestamp::from_second(ms.div_euclid(1000) + 3600).unwrap_or_default().to_string();
    format!("{}.{:03}+0100", there.trim_end_matches('Z'), ms.rem_euclid(1000))
}

pub(super) fn http_date(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or_default();
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}
