//! What the organisation holds.
use super::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The day over which credits are counted.
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Ids begin like this in this organisation.
const FIRST_ID: u64 = 554_023_000_000_000_000;

/// Who sees whose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// One's own, and those of roles below (Zoho's default).
    Private,
    /// Everybody's.
    Public,
}

/// What a record that was changed later than `If-Unmodified-Since` does to its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockRefusal {
    /// The whole call is refused (412).
    Call,
    /// That record is, and the others are written.
    Record,
}

/// How the provider behaves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long every answer takes.
    pub latency_ms: u64,
    /// How far its time is ahead of the clock's.
    pub clock_offset_ms: i64,
    /// How long an access token lasts.
    pub token_seconds: i64,
    /// Consent without asking.
    pub auto_approve: bool,
    /// `api_domain` of token answers; `None` is the origin that was asked.
    pub api_domain: Option<String>,
    /// `accounts-server` of the way back; `None` is the origin that was asked.
    pub accounts_server: Option<String>,
    /// The data centre, as the way back names it.
    pub location: String,
    /// The users' time zone, in minutes east.
    pub offset_minutes: i64,
    /// Credits of 24 hours.
    pub credits: u64,
    /// `Email` of contacts is unique.
    pub unique_email: bool,
    /// What a stale record does to its call.
    pub lock_refusal: LockRefusal,
    /// Who sees whose records.
    pub sharing: Sharing,
    /// The largest attachment that is taken.
    pub attachment_bytes: u64,
    /// Downloads begin where they are asked to.
    pub ranges: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            clock_offset_ms: 0,
            token_seconds: 3600,
            auto_approve: true,
            api_domain: None,
            accounts_server: None,
            location: "eu".to_owned(),
            offset_minutes: 60,
            credits: 50_000,
            unique_email: false,
            lock_refusal: LockRefusal::Call,
            sharing: Sharing::Private,
            attachment_bytes: 100 * 1024 * 1024,
            ranges: false,
        }
    }
}

/// What goes wrong with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// 500 INTERNAL_ERROR.
    ServerError,
    /// 429 TOO_MANY_REQUESTS. Zoho says no time; a gateway before it may.
    Throttle {
        /// Seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 403 NO_PERMISSION.
    Forbidden,
    /// 401 OAUTH_SCOPE_MISMATCH.
    ScopeMismatch,
    /// Done, and the answer is lost.
    LoseAnswer,
    /// The next write of contacts or events is done, and its answer is lost; whatever is asked before it goes on.
    LoseWrite,
    /// The request is lost.
    LoseRequest,
    /// Nothing: this call goes well, and the next one meets the next fault.
    Pass,
}

impl Fault {
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Fault::ServerError | Fault::LoseAnswer | Fault::LoseWrite | Fault::LoseRequest | Fault::Pass => {
                Refusal::new(500, "INTERNAL_ERROR", "Internal server error occurred.")
            }
            Fault::Throttle { retry_after } => Refusal {
                retry_after,
                ..Refusal::new(429, "TOO_MANY_REQUESTS", "Too many requests fired in concurrence")
            },
            Fault::Forbidden => Refusal::no_permission("Crm_Implied_View_Contacts"),
            Fault::ScopeMismatch => Refusal::new(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL"),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) data: Map<String, Value>,
    pub(super) owner: String,
    pub(super) created_ms: i64,
    pub(super) modified_ms: i64,
    #[serde(default)]
    pub(super) deleted: Option<Gone>,
    #[serde(default)]
    pub(super) locked: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Gone {
    pub(super) at_ms: i64,
    /// `recycle` or `permanent`.
    pub(super) kind: String,
    pub(super) by: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) zuid: String,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) profile: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) denied: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FieldDef {
    pub(super) api_name: String,
    pub(super) label: String,
    pub(super) data_type: String,
    pub(super) length: usize,
    pub(super) mandatory: bool,
    pub(super) read_only: bool,
    pub(super) custom: bool,
    pub(super) values: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct View {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) module: String,
    #[serde(default)]
    pub(super) criteria: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) account: String,
    pub(super) client: String,
    pub(super) scopes: Vec<String>,
    pub(super) until_ms: i64,
    /// The refresh token that an access token came of; the redirect address of a code.
    pub(super) of: String,
    pub(super) offline: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PageToken {
    pub(super) account: String,
    pub(super) offset: usize,
    pub(super) until_ms: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Logged {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) writes: usize,
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    pub(super) now_ms: i64,
    pub(super) seq: u64,
    pub(super) settings: Settings,
    pub(super) users: BTreeMap<String, User>,
    /// Role → the role above it.
    pub(super) roles: BTreeMap<String, String>,
    pub(super) profiles: BTreeMap<String, Profile>,
    pub(super) fields: BTreeMap<String, Vec<FieldDef>>,
    pub(super) records: BTreeMap<String, BTreeMap<u64, Stored>>,
    pub(super) views: Vec<View>,
    pub(super) codes: BTreeMap<String, Grant>,
    pub(super) refresh: BTreeMap<String, Grant>,
    pub(super) access: BTreeMap<String, Grant>,
    /// Refresh token → when it made access tokens.
    pub(super) refreshed: BTreeMap<String, Vec<i64>>,
    pub(super) tokens: BTreeMap<String, PageToken>,
    /// (when, how many).
    pub(super) spent: Vec<(i64, u64)>,
    pub(super) faults: Vec<Fault>,
    pub(super) calls: Vec<Logged>,
    /// Those who are told of changes, and what waits to be told.
    #[serde(default)]
    pub(super) channels: BTreeMap<u64, super::watch::Channel>,
    #[serde(default)]
    pub(super) outbox: Vec<super::Notification>,
    /// Invitations and notices sent to participants of events.
    #[serde(default)]
    pub(super) mails: usize,
    #[serde(default)]
    pub(super) attachments: BTreeMap<u64, super::attachments::Attachment>,
}

impl Default for State {
    fn default() -> Self {
        let fields =
            super::settings::MODULES.map(|module| (module.to_owned(), super::settings::default_fields(module)));
        Self {
            now_ms: 0,
            seq: 0,
            settings: Settings::default(),
            users: BTreeMap::new(),
            roles: [("Manager".to_owned(), "CEO".to_owned())].into(),
            profiles: [(
                "554023000000026011".to_owned(),
                Profile { name: "Administrator".into(), ..Default::default() },
            )]
            .into(),
            fields: fields.into(),
            records: BTreeMap::new(),
            views: Vec::new(),
            codes: BTreeMap::new(),
            refresh: BTreeMap::new(),
            access: BTreeMap::new(),
            refreshed: BTreeMap::new(),
            tokens: BTreeMap::new(),
            spent: Vec::new(),
            faults: Vec::new(),
            calls: Vec::new(),
            channels: BTreeMap::new(),
            outbox: Vec::new(),
            mails: 0,
            attachments: BTreeMap::new(),
        }
    }
}

impl State {
    pub(super) fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn next_id(&mut self) -> u64 {
        FIRST_ID + self.next()
    }

    pub(super) fn log(&mut self, method: &str, path: &str) {
        self.calls.push(Logged { method: method.to_owned(), path: path.to_owned(), writes: 0 });
    }

    pub(super) fn count_write(&mut self) {
        if let Some(call) = self.calls.last_mut() {
            call.writes += 1;
        }
    }

    /// The fault that meets this request.
    pub(super) fn take_fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let of_people = path.starts_with("/crm/v8/Contacts") || path.starts_with("/crm/v8/Events");
        let writes_contacts = method != "GET" && of_people;
        match self.faults.first() {
            Some(Fault::LoseWrite) if !writes_contacts => None,
            Some(_) => Some(self.faults.remove(0)),
            None => None,
        }
    }

    /// The user of this address, made where there is none.
    pub(super) fn user(&mut self, account: &str) -> &mut User {
        if !self.users.contains_key(account) {
            let id = self.next_id().to_string();
            let profile = self.profiles.keys().next().cloned().unwrap_or_default();
            let zuid = (694_000_000 + self.seq).to_string();
            let name = account.split('@').next().unwrap_or_default().to_owned();
            self.users.insert(account.to_owned(), User { id, zuid, name, role: "CEO".into(), profile });
        }
        self.users.get_mut(account).expect("just made")
    }

    /// An access token with every scope, beside the accounts server.
    pub(super) fn mint(&mut self, account: &str) -> String {
        self.user(account);
        let name = format!("1000.m{}", self.next());
        let grant = Grant {
            account: account.to_owned(),
            client: String::new(),
            scopes: vec!["ZohoCRM.*".to_owned()],
            until_ms: i64::MAX,
            of: String::new(),
            offline: false,
        };
        self.access.insert(name.clone(), grant);
        name
    }

    pub(super) fn authorise(&self, token: Option<&str>) -> Result<Grant, Refusal> {
        let refused = || Refusal::new(401, "INVALID_TOKEN", "invalid oauth token");
        let Some(token) = token else {
            return Err(Refusal::new(401, "AUTHENTICATION_FAILURE", "Authentication failed"));
        };
        self.access.get(token).filter(|grant| self.now_ms < grant.until_ms).cloned().ok_or_else(refused)
    }

    pub(super) fn credits_left(&self) -> u64 {
        let used: u64 = self.spent.iter().filter(|(at, _)| at + DAY_MS > self.now_ms).map(|(_, n)| n).sum();
        self.settings.credits.saturating_sub(used)
    }

    pub(super) fn spend(&mut self, credits: u64) -> Result<(), Refusal> {
        let now = self.now_ms;
        self.spent.retain(|(at, _)| at + DAY_MS > now);
        if self.credits_left() < credits {
            return Err(Refusal::new(429, "LIMIT_EXCEEDED", "You have crossed your api credit limit"));
        }
        match self.spent.last_mut() {
            Some((at, spent)) if *at / 60_000 == now / 60_000 => *spent += credits,
            Some(_) | None => self.spent.push((now, credits)),
        }
        Ok(())
    }

    /// Whether the user's profile permits it.
    pub(super) fn permit(&self, account: &str, what: &str, module: &str) -> Result<(), Refusal> {
        let name = format!("Crm_Implied_{what}_{module}");
        let user = &self.users[account];
        match self.profiles.get(&user.profile).is_some_and(|profile| profile.denied.contains(&name)) {
            true => Err(Refusal::no_permission(&name)),
            false => Ok(()),
        }
    }

    /// Own records, those of roles below, or everybody's where the organisation shares them.
    pub(super) fn sees(&self, account: &str, record: &Stored) -> bool {
        if record.owner == account || self.settings.sharing == Sharing::Public {
            return true;
        }
        let role = |account: &str| self.users.get(account).map(|user| user.role.clone()).unwrap_or_default();
        let (mine, mut theirs) = (role(account), role(&record.owner));
        while let Some(above) = self.roles.get(&theirs) {
            if *above == mine {
                return true;
            }
            theirs = above.clone();
        }
        false
    }

    pub(super) fn module(&self, module: &str) -> impl Iterator<Item = (&u64, &Stored)> {
        self.records.get(module).into_iter().flatten()
    }

    pub(super) fn live(&self, account: &str, module: &str, id: &str) -> Option<(u64, &Stored)> {
        let id: u64 = id.parse().ok()?;
        let stored = self.records.get(module)?.get(&id)?;
        (stored.deleted.is_none() && self.sees(account, stored)).then_some((id, stored))
    }

    /// Zoho's spelling of a time: whole seconds, in the user's zone.
    pub(super) fn time(&self, ms: i64) -> String {
        let minutes = self.settings.offset_minutes;
        let local = jiff::Timestamp::from_millisecond(ms + minutes * 60_000).unwrap_or_default();
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{}{sign}{:02}:{:02}", local.strftime("%Y-%m-%dT%H:%M:%S"), minutes.abs() / 60, minutes.abs() % 60)
    }

    pub(super) fn minified(&self, account: &str) -> Value {
        match self.users.get(account) {
            Some(user) => json!({"name": user.name, "id": user.id, "email": account}),
            None => Value::Null,
        }
    }

    /// The value that a read shows.
    pub(super) fn value(&self, id: u64, stored: &Stored, name: &str) -> Value {
        match name {
            "id" => json!(id.to_string()),
            "Created_Time" => json!(self.time(stored.created_ms)),
            "Modified_Time" => json!(self.time(stored.modified_ms)),
            "Owner" | "Created_By" | "Modified_By" => self.minified(&stored.owner),
            "Account_Name" if stored.data.get(name).is_some_and(Value::is_object) => {
                let id: u64 = stored.data[name]["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
                let account = self.records.get("Accounts").and_then(|all| all.get(&id));
                match account.filter(|account| account.deleted.is_none()) {
                    Some(account) => json!({"name": account.data["Account_Name"], "id": id.to_string()}),
                    None => Value::Null,
                }
            }
            "Start_DateTime" | "End_DateTime" => super::events::shown_time(stored.data.get(name)),
            "Full_Name" if stored.data.contains_key("Event_Title") => stored.data["Event_Title"].clone(),
            "Full_Name" => {
                let part = |name: &str| stored.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                json!(format!("{} {}", part("First_Name"), part("Last_Name")).trim())
            }
            _ => stored.data.get(name).cloned().unwrap_or(Value::Null),
        }
    }
}

/// `READ` is granted by itself, by `ALL` of its group, and by `ALL` of a group above.
pub(super) fn check_scope(granted: &[String], wanted: &str) -> Result<(), Refusal> {
    let parts: Vec<&str> = wanted.split('.').collect();
    let covers = |scope: &String| {
        let scope = scope.to_lowercase();
        let above = (1..parts.len()).map(|n| format!("{}.all", parts[..n].join(".")).to_lowercase());
        scope == "zohocrm.*" || scope == wanted.to_lowercase() || above.into_iter().any(|all| all == scope)
    };
    match granted.iter().any(covers) {
        true => Ok(()),
        false => Err(Fault::ScopeMismatch.refusal()),
    }
}
