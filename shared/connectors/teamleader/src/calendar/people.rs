//! Who is at a meeting: Teamleader knows users and contacts, calendars know addresses.
use super::TeamleaderCalendar;
use super::{activity, map};
use crate::api::calendar::{self as requests, reference};
use crate::api::requests::Page;
use crate::contacts::{MOST_PAGES, SIDE_PAGE, SMALLEST_PAGE};
use crate::error;
use crate::wire::{Data, text};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::MutexGuard;
use tandem_core::normalise;
use tandem_core::record::Item;
use tandem_ports::error::Result;

/// Contacts of one address that are made guests: a mailbox that more of them share is nobody's in particular.
const MOST_ALIKE: usize = 10;
/// Contacts of one call.
const CONTACTS: usize = 100;

/// Whom this connector has met so far.
#[derive(Default)]
pub(super) struct Met {
    /// `user:<id>`, `contact:<id>` → address; empty where somebody has none.
    addresses: BTreeMap<String, String>,
    /// `contact:<id>`, `company:<id>` → name, of those whom calls are with.
    names: BTreeMap<String, String>,
    /// Whether the users were read: one call shows all of them.
    users_read: bool,
}

impl Met {
    /// Contacts have a first and a last name, companies one.
    fn note(&mut self, kind: &str, rows: &[Map<String, Value>]) {
        for row in rows {
            let who = key(kind, text(row.get("id")));
            let name = ["first_name", "last_name", "name"].map(|part| text(row.get(part))).join(" ");
            self.names.insert(who.clone(), normalise::text(&name));
            if kind == "contact" {
                self.addresses.insert(who, main_address(row));
            }
        }
    }
}

/// The user who is connected.
#[derive(Clone)]
pub(super) struct Me {
    pub(super) id: String,
    pub(super) zone: TimeZone,
}

/// The people of some meetings, as one user sees them.
#[derive(Clone)]
pub(super) struct People {
    me: Me,
    /// `user:<id>`, `contact:<id>` → address.
    addresses: BTreeMap<String, String>,
    /// `contact:<id>`, `company:<id>` → name.
    names: BTreeMap<String, String>,
}

/// As [`Patch::raw`](tandem_ports::connector::Patch::raw) carries them.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Known {
    #[serde(default)]
    pub(super) meeting: Map<String, Value>,
    #[serde(default)]
    addresses: BTreeMap<String, String>,
}

fn key(kind: &str, id: &str) -> String {
    format!("{kind}:{id}")
}

impl People {
    #[cfg(test)]
    pub(super) fn of(me: &str, zone: &str, addresses: &[(&str, &str)]) -> People {
        let zone = TimeZone::get(zone).expect("a zone");
        let addresses = addresses.iter().map(|(who, address)| ((*who).to_owned(), (*address).to_owned())).collect();
        People { me: Me { id: me.to_owned(), zone }, addresses, names: BTreeMap::new() }
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.me.zone
    }

    /// The name of somebody whom a call is with.
    pub(super) fn name(&self, kind: &str, id: &str) -> Option<&str> {
        self.names.get(&key(kind, id)).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The contacts at a meeting and where they are reached, in the calendar of its first user. Colleagues have the meeting
    /// in their own agendas: were they guests in Google too, it would be in their calendars twice, and so would a customer's
    /// invitation be if every colleague's calendar had the customer as a guest.
    pub(super) fn guests<'a>(&'a self, meeting: &'a Map<String, Value>) -> impl Iterator<Item = (String, &'a str)> {
        let first = map::guests(meeting).find(|(kind, _)| *kind == "user");
        let leads = first.is_some_and(|(_, id)| id == self.me.id);
        let contacts = map::guests(meeting).filter(move |(kind, _)| leads && *kind == "contact");
        let reached =
            contacts.filter_map(|(kind, id)| Some((key(kind, id), self.addresses.get(&key(kind, id))?.as_str())));
        reached.filter(|(_, address)| !address.is_empty())
    }

    /// A meeting with the addresses of the guests that are shown.
    pub(super) fn known(&self, meeting: &Map<String, Value>) -> Known {
        let addresses = self.guests(meeting).map(|(who, address)| (who, address.to_owned())).collect();
        Known { meeting: meeting.clone(), addresses }
    }
}

impl Known {
    /// Whom of the guests of before these addresses keep: also whom the calendar was not shown.
    fn stays(&self, wanted: &BTreeSet<String>) -> Vec<(String, String)> {
        let stays = |(kind, id): &(&str, &str)| {
            self.addresses.get(&key(kind, id)).is_none_or(|address| wanted.contains(address))
        };
        map::guests(&self.meeting).filter(stays).map(|(kind, id)| (kind.to_owned(), id.to_owned())).collect()
    }
}

impl TeamleaderCalendar {
    /// The contacts at these meetings, and whom calls are with: a call for each hundred not met before.
    pub(super) async fn people(&self, meetings: &[&Map<String, Value>]) -> Result<People> {
        let me = self.me().await?;
        let (mut contacts, mut companies) = (BTreeSet::new(), BTreeSet::new());
        {
            let met = self.met();
            for meeting in meetings {
                let guests = map::guests(meeting).filter(|(kind, _)| *kind == "contact").map(|(_, id)| id);
                contacts.extend(guests.filter(|id| !met.addresses.contains_key(&key("contact", id))));
                for (kind, id) in activity::participants(meeting) {
                    let strangers = if kind == "company" { &mut companies } else { &mut contacts };
                    strangers.extend((!met.names.contains_key(&key(kind, id))).then_some(id));
                }
            }
        }
        for some in Vec::from_iter(contacts).chunks(CONTACTS) {
            let rows = self.list(requests::contacts_by_id(some)).await?;
            self.met().note("contact", &rows);
        }
        for some in Vec::from_iter(companies).chunks(CONTACTS) {
            match self.list(requests::companies_by_id(some)).await {
                Ok(rows) => self.met().note("company", &rows),
                // Who may not see companies has calls with them all the same.
                Err(refusal) if error::is_forbidden(&refusal) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let met = self.met();
        Ok(People { me, addresses: met.addresses.clone(), names: met.names.clone() })
    }

    /// Notes the users of the account, once.
    async fn users(&self) -> Result<()> {
        if self.met().users_read {
            return Ok(());
        }
        let mut found = Vec::new();
        for number in 1..=MOST_PAGES {
            let rows: Vec<Map<String, Value>> = self.list(requests::users(Page { size: SIDE_PAGE, number })).await?;
            let address =
                |row: &Map<String, Value>| (key("user", text(row.get("id"))), normalise::email(text(row.get("email"))));
            found.extend(rows.iter().map(address));
            if rows.len() < SMALLEST_PAGE {
                break;
            }
        }
        let mut met = self.met();
        met.addresses.extend(found);
        met.users_read = true;
        Ok(())
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().expect("no code panics while it holds this lock")
    }

    /// The guests that a meeting shall have: those of before whose address is still wanted or was not shown, and the users
    /// and contacts of the new addresses. `None`: as it is.
    ///
    /// Of several contacts with one address each is a guest, so that the meeting is on each of their cards.
    pub(super) async fn attendees(&self, known: &Known, wanted: &[Item]) -> Result<Option<Vec<Value>>> {
        let me = self.me().await?;
        let wanted: BTreeSet<String> = wanted.iter().map(|guest| normalise::email(guest.part("email"))).collect();
        let had: BTreeSet<&String> = known.addresses.values().collect();
        let mut guests = known.stays(&wanted);
        for address in wanted.iter().filter(|address| !address.is_empty() && !had.contains(address)) {
            for guest in self.of_address(address).await? {
                if !guests.contains(&guest) {
                    guests.push(guest);
                }
            }
        }
        // At least one user is demanded, and a meeting that the user is not at is none of this calendar's. Of one that is
        // made for it the user is the first.
        let myself = ("user".to_owned(), me.id.clone());
        if !map::guests(&known.meeting).any(|(kind, id)| kind == "user" && id == me.id) {
            guests.retain(|guest| *guest != myself);
            guests.insert(0, myself);
        }
        let before: BTreeSet<(&str, &str)> = map::guests(&known.meeting).collect();
        let after: BTreeSet<(&str, &str)> = guests.iter().map(|(kind, id)| (kind.as_str(), id.as_str())).collect();
        let changed = before != after;
        Ok(changed.then(|| guests.iter().map(|(kind, id)| reference(kind, id)).collect()))
    }

    /// The users, or else the contacts, of an address.
    async fn of_address(&self, address: &str) -> Result<Vec<(String, String)>> {
        self.users().await?;
        let users: Vec<(String, String)> = {
            let met = self.met();
            let users = met.addresses.iter().filter_map(|(who, known)| Some((who.strip_prefix("user:")?, known)));
            users.filter(|(_, known)| *known == address).map(|(id, _)| ("user".to_owned(), id.to_owned())).collect()
        };
        if !users.is_empty() {
            return Ok(users);
        }
        let page = Page { size: SIDE_PAGE, number: 1 };
        let rows: Vec<Map<String, Value>> = self.list(requests::contacts_by_email(address, page)).await?;
        // A filter that Teamleader does not know is ignored in silence.
        let rows = rows.iter().filter(|row| main_address(row) == address).take(MOST_ALIKE);
        let found: Vec<String> = rows.map(|row| text(row.get("id")).to_owned()).collect();
        self.met().addresses.extend(found.iter().map(|id| (key("contact", id), address.to_owned())));
        Ok(found.into_iter().map(|id| ("contact".to_owned(), id)).collect())
    }

    async fn list(&self, call: crate::api::Call) -> Result<Vec<Map<String, Value>>> {
        Ok(self.api.read::<Data<Vec<Map<String, Value>>>>(call).await?.body.data)
    }
}

fn main_address(contact: &Map<String, Value>) -> String {
    let all = contact.get("emails").and_then(Value::as_array).into_iter().flatten();
    let mut main = all.filter(|entry| text(entry.get("type")) == "primary");
    normalise::email(main.next().map_or("", |entry| text(entry.get("email"))))
}
