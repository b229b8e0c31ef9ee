//! What the provider holds.
use super::Refusal;
use crate::auth::{SCOPE_CONTACTS, SCOPES_FOR_CALENDARS, SCOPES_FOR_CONTACTS, SCOPES_FOR_FILES, SCOPES_FOR_TASKS};
use crate::wire::MY_CONTACTS;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most calls kept in the log.
const LOG: usize = 10_000;
/// Most page and sync tokens kept; older ones are unknown.
const TOKENS: usize = 4_000;
/// Sync tokens live for 7 days from the full sync on.
pub(super) const SYNC_TOKEN_MS: i64 = 7 * 24 * 3_600_000;

/// How the provider behaves. Part of the control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Deltas show the state of this many milliseconds ago.
    pub lag_ms: i64,
    /// Answers take this many milliseconds.
    pub latency_ms: u64,
    /// Added to the clock, in milliseconds.
    pub clock_offset_ms: i64,
    /// How often the keys that sign ID tokens were replaced.
    pub key_rotation: usize,
    /// Calls a minute and account of any People method; 0 is no limit.
    pub critical_reads_per_minute: u32,
    /// Mutating calls a minute and account; 0 is no limit.
    pub writes_per_minute: u32,
    /// First pages of full syncs a minute and account; 0 is no limit.
    pub full_syncs_per_minute: u32,
    /// The status beside the reason `EXPIRED_SYNC_TOKEN`: `FAILED_PRECONDITION`, or else `INVALID_ARGUMENT`.
    pub expired_as_failed_precondition: Approval,
    /// What one bad contact does to its batch.
    pub batch_refusal: BatchRefusal,
    /// Whether the consent page approves by itself.
    pub auto_approve: Approval,
    /// How much Calendar's listings show.
    pub event_lists: EventLists,
    /// What becomes of exceptions that a changed rule does not give any more.
    pub fallen: Fallen,
    /// Life of an access token in seconds.
    pub token_seconds: i64,
}

/// What becomes of exceptions that a changed rule does not give any more. The reference leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallen {
    /// They are cancelled, as is widely seen.
    Cancelled,
    /// They stay.
    Kept,
}

/// How much Calendar's listings of events and occurrences show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventLists {
    /// As much as is asked for.
    Full,
    /// As little as the reference allows: "may be less than this value, or none at all, even if there are more". The first
    /// page is empty and each other one holds one event; a search by iCalUID leaves out the cancelled exceptions, of which
    /// only id, series and original start are promised.
    Sparse,
}

/// A switch with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// On.
    Yes,
    /// Off.
    No,
}

/// What a stale, gone or invalid contact does to its batch. The reference leaves both open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchRefusal {
    /// The whole call is refused and nothing is done.
    Whole,
    /// That contact's result says so and the others are done.
    Item,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lag_ms: 0,
            latency_ms: 0,
            clock_offset_ms: 0,
            key_rotation: 0,
            critical_reads_per_minute: 0,
            writes_per_minute: 0,
            full_syncs_per_minute: 0,
            expired_as_failed_precondition: Approval::Yes,
            batch_refusal: BatchRefusal::Whole,
            auto_approve: Approval::Yes,
            event_lists: EventLists::Full,
            fallen: Fallen::Cancelled,
            token_seconds: 3_599,
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
    /// 429, nothing done.
    Throttle {
        /// Seconds in `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 403 for a missing scope.
    Forbidden,
    /// The work is done, the answer is lost.
    LoseAnswer,
    /// The request is lost before anything is done.
    LoseRequest,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    /// Contacts or groups that the call wrote.
    pub(super) writes: usize,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) updated_ms: i64,
    #[serde(default)]
    pub(super) previous: Vec<String>,
    /// The contact's fields as they were sent, without what Google derives.
    pub(super) data: Map<String, Value>,
    pub(super) groups: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) at_ms: i64,
    pub(super) name: String,
    /// `None`: deleted.
    pub(super) person: Option<Stored>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredGroup {
    pub(super) name: String,
    pub(super) system: bool,
    pub(super) version: u64,
    pub(super) updated_ms: i64,
    #[serde(default)]
    pub(super) client_data: Vec<Value>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) sub: String,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) people: BTreeMap<String, Stored>,
    pub(super) groups: BTreeMap<String, StoredGroup>,
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) account: String,
    pub(super) client: String,
    pub(super) scopes: Vec<String>,
    pub(super) expires_ms: Option<i64>,
}

/// A code of the consent page, good for one exchange.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    pub(super) offline: bool,
}

/// A page or sync token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ListToken {
    pub(super) number: u64,
    pub(super) account: String,
    /// The parameters of the first call.
    pub(super) parameters: String,
    pub(super) full_at_ms: i64,
    pub(super) expired: bool,
    /// Changes up to here are known to the holder.
    pub(super) seq: u64,
    /// What is still to be listed; empty for sync tokens.
    pub(super) rest: Vec<Listed>,
    pub(super) total: usize,
    pub(super) is_page: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Listed {
    Person(String),
    Event(u64),
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
    pub(super) lists: BTreeMap<String, ListToken>,
    pub(super) faults: Vec<Fault>,
    pub(super) calls: Vec<Call>,
    pub(super) quota: BTreeMap<String, u32>,
    pub(super) quota_minute: i64,
    pub(super) calendars: super::calendar::World,
    pub(super) mail: super::gmail::World,
    pub(super) drive: super::drive::World,
    pub(super) tasks: super::tasks::World,
}

pub(super) fn over_quota(metric: &str) -> Refusal {
    let message = format!(
        "Quota exceeded for quota metric '{metric}' and limit '{metric} per minute per user' of service \
         'people.googleapis.com' for consumer 'project_number:1'."
    );
    Refusal::new(429, "RESOURCE_EXHAUSTED", message).because("RATE_LIMIT_EXCEEDED")
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

    /// Counts the contacts or groups that the call under way wrote.
    pub(super) fn wrote(&mut self, count: usize) {
        if let Some(call) = self.calls.last_mut() {
            call.writes += count;
        }
    }

    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        (!self.faults.is_empty()).then(|| self.faults.remove(0))
    }

    /// The account, made with its system groups where it is new.
    pub(super) fn account(&mut self, email: &str) -> &mut Account {
        if !self.accounts.contains_key(email) {
            let sub = format!("1{:020}", self.next());
            let system = |name: &str| StoredGroup {
                name: name.to_owned(),
                system: true,
                version: 1,
                updated_ms: 0,
                client_data: Vec::new(),
            };
            let groups = ["myContacts", "starred", "friends", "family", "coworkers", "blocked"];
            let groups = groups.map(|name| (format!("contactGroups/{name}"), system(name)));
            let account = Account {
                sub,
                email: email.to_owned(),
                name: email.split('@').next().unwrap_or_default().to_owned(),
                groups: BTreeMap::from(groups),
                ..Account::default()
            };
            self.accounts.insert(email.to_owned(), account);
        }
        self.accounts.get_mut(email).expect("just made")
    }

    /// An access token that does not expire. Without scopes it has all that Tandem asks for.
    pub(super) fn mint(&mut self, email: &str, mut scopes: Vec<String>) -> String {
        self.account(email);
        let token = format!("ya29.minted-{}", self.next());
        if scopes.is_empty() {
            let all = SCOPES_FOR_CONTACTS.iter().chain(&SCOPES_FOR_CALENDARS).chain(&SCOPES_FOR_FILES);
            scopes = all.chain(&SCOPES_FOR_TASKS).map(|scope| (*scope).to_owned()).collect();
        }
        let grant = Grant { account: email.to_owned(), client: "minted".to_owned(), scopes, expires_ms: None };
        self.access.insert(token.clone(), grant);
        token
    }

    pub(super) fn grant(&self, bearer: Option<&str>) -> Result<&Grant, Refusal> {
        let now = self.now_ms;
        let live = |grant: &&Grant| grant.expires_ms.is_none_or(|until| now < until);
        bearer.and_then(|token| self.access.get(token)).filter(live).ok_or_else(|| {
            Refusal::new(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
                .because("ACCESS_TOKEN_EXPIRED")
        })
    }

    pub(super) fn authorise(&self, bearer: Option<&str>) -> Result<String, Refusal> {
        let grant = self.grant(bearer)?;
        if grant.scopes.iter().any(|scope| scope == SCOPE_CONTACTS) {
            return Ok(grant.account.clone());
        }
        Err(Fault::Forbidden.refusal())
    }

    pub(super) fn count_quota(&mut self, account: &str, method: &str) -> Result<(), Refusal> {
        const READS: [&str; 5] = ["list", "get", "getBatchGet", "batchGet", "updateContact"];
        let minute = self.now_ms.div_euclid(60_000);
        if minute != self.quota_minute {
            self.quota.clear();
            self.quota_minute = minute;
        }
        let last = method.rsplit('.').next().unwrap_or_default();
        if READS.contains(&last) {
            let limit = self.settings.critical_reads_per_minute;
            self.count(account, "Critical read requests (Contact and Profile Reads)", limit)?;
        }
        if !["list", "get", "getBatchGet", "batchGet"].contains(&last) {
            let limit = self.settings.writes_per_minute;
            self.count(account, "Critical write requests (Contact and Profile Writes)", limit)?;
        }
        Ok(())
    }

    pub(super) fn count(&mut self, account: &str, metric: &str, limit: u32) -> Result<(), Refusal> {
        if limit == 0 {
            return Ok(());
        }
        let used = self.quota.entry(format!("{account} {metric}")).or_default();
        if *used >= limit {
            return Err(over_quota(metric));
        }
        *used += 1;
        Ok(())
    }

    /// Puts a person and records the change.
    pub(super) fn put(&mut self, account: &str, mut person: Stored) -> Stored {
        person.version = self.next();
        person.updated_ms = self.now_ms;
        let event =
            Event { seq: person.version, at_ms: self.now_ms, name: person.name.clone(), person: Some(person.clone()) };
        let account = self.account(account);
        account.events.push(event);
        account.people.insert(person.name.clone(), person.clone());
        person
    }

    pub(super) fn remove(&mut self, account: &str, name: &str) -> bool {
        let (seq, at_ms) = (self.next(), self.now_ms);
        let account = self.account(account);
        if account.people.remove(name).is_none() {
            return false;
        }
        account.events.push(Event { seq, at_ms, name: name.to_owned(), person: None });
        true
    }

    pub(super) fn new_person(&mut self, data: Map<String, Value>, groups: Vec<String>) -> Stored {
        let name = format!("people/c{}", 1_000_000 + self.next());
        let groups = if groups.is_empty() { vec![MY_CONTACTS.to_owned()] } else { groups };
        Stored { name, version: 0, updated_ms: 0, previous: Vec::new(), data, groups }
    }

    pub(super) fn keep_list(&mut self, kind: &str, mut token: ListToken) -> String {
        if self.lists.len() >= TOKENS
            && let Some(oldest) = self.lists.iter().min_by_key(|(_, t)| t.number).map(|(name, _)| name.clone())
        {
            self.lists.remove(&oldest);
        }
        token.number = self.next();
        let name = format!("{kind}-{}", token.number);
        self.lists.insert(name.clone(), token);
        name
    }
}

/// A person as Google shows it: with metadata, and with what it derives.
pub(super) fn shown(person: &Stored, mask: &[String]) -> Value {
    let id = person.name.trim_start_matches("people/c");
    let mut out = Map::from_iter([
        ("resourceName".to_owned(), json!(person.name)),
        ("etag".to_owned(), json!(format!("%E{}.{}", person.version, mask.len()))),
    ]);
    if mask.iter().any(|path| path == "metadata") {
        let updated = jiff::Timestamp::from_millisecond(person.updated_ms).unwrap_or_default();
        let source = json!({
            "type": "CONTACT", "id": id, "etag": format!("#v{}", person.version), "updateTime": updated.to_string(),
        });
        out.insert("metadata".to_owned(), json!({"sources": [source], "objectType": "PERSON"}));
        if !person.previous.is_empty() {
            out["metadata"]["previousResourceNames"] = json!(person.previous);
        }
    }
    let group = |name: &String| {
        let id = name.trim_start_matches("contactGroups/");
        json!({"contactGroupMembership": {"contactGroupId": id, "contactGroupResourceName": name}})
    };
    for path in mask.iter().filter(|path| *path != "metadata") {
        let entries: Vec<Value> = match path.as_str() {
            "memberships" => person.groups.iter().map(group).collect(),
            _ => person.data.get(path).and_then(Value::as_array).cloned().unwrap_or_default(),
        };
        if entries.is_empty() {
            continue;
        }
        let dressed = entries.into_iter().enumerate().map(|(at, entry)| dress(path, entry, at == 0, id)).collect();
        out.insert(path.clone(), Value::Array(dressed));
    }
    Value::Object(out)
}

fn dress(path: &str, mut entry: Value, first: bool, id: &str) -> Value {
    let mut metadata = json!({"source": {"type": "CONTACT", "id": id}});
    if first {
        metadata["primary"] = json!(true);
    }
    entry["metadata"] = metadata;
    let part = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if path == "names" {
        let words = ["honorificPrefix", "givenName", "middleName", "familyName", "honorificSuffix"];
        let words: Vec<String> = words.iter().map(|w| part(&entry, w)).filter(|w| !w.is_empty()).collect();
        entry["displayName"] = json!(words.join(" "));
        entry["displayNameLastFirst"] = json!(format!("{}, {}", part(&entry, "familyName"), part(&entry, "givenName")));
    }
    let kind = part(&entry, "type");
    if !kind.is_empty() {
        let mut letters = kind.chars();
        let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        entry["formattedType"] = json!(capital);
    }
    if path == "phoneNumbers" {
        let digits: String = part(&entry, "value").chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        if digits.starts_with('+') {
            entry["canonicalForm"] = json!(digits);
        }
    }
    entry
}

/// An entry as it was typed, without what Google derives.
pub(super) fn undress(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(object) = entry.as_object_mut() {
        for derived in ["metadata", "formattedType", "canonicalForm", "displayNameLastFirst"] {
            object.remove(derived);
        }
        // Names only: an e-mail address has a display name of its own.
        if object.contains_key("givenName") || object.contains_key("familyName") {
            object.remove("displayName");
        }
    }
    entry
}
