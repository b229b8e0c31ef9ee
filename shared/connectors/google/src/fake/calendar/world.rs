//! Calendars and what is in them.
use super::watch::{Channel, Notification};
use super::{Answered, Mails, Refused, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most page and sync tokens kept.
const TOKENS: usize = 4_000;

/// An event, an exception, or the tombstone of either (`status` = `cancelled`).
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) uid: String,
    pub(super) seq: u64,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    /// How often its time was changed (iCalendar's `SEQUENCE`).
    pub(super) sequence: u64,
    /// E-mail address of who called it.
    pub(super) organizer: String,
    /// The series that it is an exception of.
    pub(super) series: Option<String>,
    /// As it was sent, without what Google derives.
    pub(super) data: Map<String, Value>,
}

impl Event {
    pub(super) fn text(&self, name: &str) -> &str {
        self.data.get(name).and_then(Value::as_str).unwrap_or_default()
    }
    pub(super) fn is_cancelled(&self) -> bool {
        self.text("status") == "cancelled"
    }
    pub(super) fn etag(&self) -> String {
        format!("\"{}\"", self.seq * 2)
    }
    pub(super) fn is_series(&self) -> bool {
        self.data.get("recurrence").and_then(Value::as_array).is_some_and(|lines| !lines.is_empty())
    }
    /// Whether a listing without `showDeleted` has it: cancelled occurrences of a live series are in it.
    pub(super) fn is_listed(&self, all: &BTreeMap<String, Event>) -> bool {
        let live_series =
            || self.series.as_ref().and_then(|id| all.get(id)).is_some_and(|master| !master.is_cancelled());
        !self.is_cancelled() || live_series()
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Calendar {
    pub(super) summary: String,
    pub(super) time_zone: String,
    /// Account → `owner`, `writer`, `reader`, `freeBusyReader`.
    pub(super) roles: BTreeMap<String, String>,
    pub(super) events: BTreeMap<String, Event>,
    /// Accounts that may see it and do not have it in their list.
    #[serde(default)]
    pub(super) unlisted: BTreeSet<String>,
    /// Deleted calendars stay as nothing.
    #[serde(default)]
    pub(super) primary_of: Option<String>,
}

/// A page or sync token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) number: u64,
    pub(super) calendar: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) seq: u64,
    pub(super) rest: VecDeque<String>,
    pub(super) is_page: bool,
    pub(super) is_delta: bool,
    pub(super) expired: bool,
}

/// All calendars of all accounts.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct World {
    pub(super) calendars: BTreeMap<String, Calendar>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) outbox: Vec<Notification>,
    pub(super) mails: Mails,
}

impl World {
    /// Every account has its primary calendar, whose id is its address.
    pub(super) fn ensure(&mut self, account: &str) {
        self.calendars.entry(account.to_owned()).or_insert_with(|| Calendar {
            summary: account.to_owned(),
            time_zone: "Europe/Brussels".to_owned(),
            roles: BTreeMap::from([(account.to_owned(), "owner".to_owned())]),
            events: BTreeMap::new(),
            unlisted: BTreeSet::new(),
            primary_of: Some(account.to_owned()),
        });
    }

    pub(super) fn name<'a>(account: &'a str, id: &'a str) -> &'a str {
        if id == "primary" { account } else { id }
    }

    /// A calendar that this account can see.
    pub(super) fn of(&self, account: &str, id: &str) -> Result<&Calendar, Refused> {
        let seen = self.calendars.get(Self::name(account, id)).filter(|calendar| calendar.roles.contains_key(account));
        seen.ok_or_else(Refused::missing)
    }

    pub(super) fn readable(&self, account: &str, id: &str) -> Result<&Calendar, Refused> {
        let calendar = self.of(account, id)?;
        match calendar.roles[account].as_str() {
            "freeBusyReader" => Err(forbidden()),
            _ => Ok(calendar),
        }
    }

    pub(super) fn writable(&mut self, account: &str, id: &str) -> Result<&mut Calendar, Refused> {
        let calendar = self.of(account, id)?;
        if !["owner", "writer"].contains(&calendar.roles[account].as_str()) {
            return Err(forbidden());
        }
        Ok(self.calendars.get_mut(Self::name(account, id)).expect("just seen"))
    }

    /// A page of at most 250, 100 unless said. Sync tokens of this list are not simulated: none is given.
    pub(super) fn calendar_list(&self, account: &str, request: &Request<'_>) -> Answered {
        let size = request.one("maxResults").map_or(Ok(100), str::parse::<usize>).unwrap_or(0);
        if !(1..=250).contains(&size) {
            return Err(Refused::invalid("Invalid value for maxResults."));
        }
        let start = match request.one("pageToken") {
            None => 0,
            Some(token) => {
                let place = token.strip_prefix("at-").and_then(|at| at.parse::<usize>().ok());
                place.ok_or_else(|| Refused::invalid("Invalid page token."))?
            }
        };
        let mine: Vec<Value> =
            self.calendars.keys().filter_map(|id| self.calendar_entry(account, id).ok()).skip(start).collect();
        let mut page = json!({"kind": "calendar#calendarList", "etag": "\"1\""});
        if mine.len() > size {
            page["nextPageToken"] = json!(format!("at-{}", start + size));
        }
        page["items"] = mine.into_iter().take(size).collect();
        Ok(page)
    }

    pub(super) fn calendar_entry(&self, account: &str, id: &str) -> Answered {
        let calendar = self.of(account, id)?;
        if calendar.unlisted.contains(account) {
            return Err(Refused::missing());
        }
        let mut entry = json!({
            "kind": "calendar#calendarListEntry", "etag": "\"1\"", "id": Self::name(account, id),
            "summary": calendar.summary, "timeZone": calendar.time_zone, "accessRole": calendar.roles[account],
            "defaultReminders": [{"method": "popup", "minutes": 30}],
        });
        if calendar.primary_of.as_deref() == Some(account) {
            entry["primary"] = json!(true);
        }
        Ok(entry)
    }

    /// The calendar itself, not as this account sees it.
    pub(super) fn calendar(&self, account: &str, id: &str) -> Answered {
        let calendar = self.of(account, id)?;
        Ok(json!({
            "kind": "calendar#calendar", "etag": "\"1\"", "id": Self::name(account, id),
            "summary": calendar.summary, "timeZone": calendar.time_zone,
        }))
    }

    /// The user takes it out of the own list, and may go on reading it.
    pub(super) fn unlist(&mut self, account: &str, id: &str) -> Answered {
        self.of(account, id)?;
        let calendar = self.calendars.get_mut(Self::name(account, id)).expect("just seen");
        calendar.unlisted.insert(account.to_owned());
        Ok(json!({}))
    }

    /// An empty role takes the calendar away.
    pub(super) fn share(&mut self, id: &str, with: &str, role: &str) -> Answered {
        let calendar = self.calendars.get_mut(id).ok_or_else(Refused::missing)?;
        match role {
            "" => calendar.roles.remove(with),
            role => calendar.roles.insert(with.to_owned(), role.to_owned()),
        };
        Ok(json!({}))
    }

    pub(super) fn keep(&mut self, kind: &str, mut token: Token, number: u64) -> String {
        if self.tokens.len() >= TOKENS
            && let Some(oldest) = self.tokens.iter().min_by_key(|(_, t)| t.number).map(|(name, _)| name.clone())
        {
            self.tokens.remove(&oldest);
        }
        token.number = number;
        let name = format!("{kind}-{number}");
        self.tokens.insert(name.clone(), token);
        name
    }

    pub(in super::super) fn expire_tokens(&mut self) {
        self.tokens.values_mut().for_each(|token| token.expired = true);
    }

    pub(in super::super) fn mails(&self) -> Mails {
        self.mails
    }
    pub(in super::super) fn take_notifications(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.outbox)
    }
    /// Those for this machine; a simulator sends nothing anywhere else, and the others go on waiting.
    pub(in super::super) fn take_near(&mut self) -> Vec<Notification> {
        self.outbox.extract_if(.., |told| told.address.starts_with("http://127.0.0.1:")).collect()
    }
    pub(super) fn notifications(&self) -> &[Notification] {
        &self.outbox
    }
}

pub(super) fn forbidden() -> Refused {
    Refused::new(403, "calendar", "requiredAccessLevel", "You need to have writer access to this calendar.")
}
