//! Appointments as people see them: whose card each is on, which of them a card has, and a block made a meeting.
use crate::appointment::{self, UNTITLED};
use crate::crm::{Crm, Listing, PAGE, check_version};
use crate::error::CrmError;
use crate::keys;
use crate::ledger::{Edit, Ledger, Tries};
use crate::record::Record;
use crate::schema::{Kind, Shape};
use crate::users::{Action, User};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Fields that are shown and may come back as they were shown.
const SHOWN: [&str; 3] = ["ical_uid", "participants", "calendar"];

/// Records by what finds them: id of the linked record, or a guest's address in its one spelling.
struct Found {
    linked: HashMap<String, Kind>,
    addressed: BTreeMap<String, Vec<(Kind, String)>>,
}

fn links(record: &Record) -> Vec<Value> {
    record.body.get("links").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn link(kind: Kind, id: &str) -> Value {
    json!({"type": kind.word(), "id": id})
}

impl Found {
    /// Looks up what these appointments speak of: one request a hundred linked records, one a hundred addresses.
    async fn read(ledger: &Ledger, appointments: &[&Record]) -> Result<Found, CrmError> {
        let ids: BTreeSet<String> = appointments
            .iter()
            .flat_map(|one| links(one))
            .filter_map(|link| link.get("id").and_then(Value::as_str).map(str::to_owned))
            .collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let live = if ids.is_empty() { Vec::new() } else { ledger.records(&ids).await? };
        let linked = live.into_iter().flatten().map(|record| (record.id, record.kind)).collect();
        let addresses: BTreeSet<String> = appointments
            .iter()
            .flat_map(|one| appointment::addresses(&one.body).into_values())
            .map(|address| address.as_str().to_owned())
            .collect();
        let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let holders = if texts.is_empty() { Vec::new() } else { ledger.addressed(&texts).await? };
        Ok(Found { linked, addressed: addresses.into_iter().zip(holders).collect() })
    }

    /// The links of an appointment: by hand where the record still is, and by its guests' addresses. Computed when it is
    /// read, so that an address that comes or goes needs no write here and no link is ever stale.
    fn links(&self, record: &Record) -> Vec<Value> {
        let lives = |link: &Value| {
            let id = link.get("id").and_then(Value::as_str).unwrap_or_default();
            self.linked.get(id).is_some_and(|kind| link.get("type") == Some(&json!(kind.word())))
        };
        let mut all: Vec<Value> = links(record).into_iter().filter(lives).collect();
        for address in appointment::addresses(&record.body).into_values() {
            for (kind, id) in self.addressed.get(address.as_str()).into_iter().flatten() {
                let found = link(*kind, id);
                if !all.contains(&found) {
                    all.push(found);
                }
            }
        }
        all
    }

    /// Says of each guest how many records have the address, where that is more than one.
    fn count(&self, body: &mut Map<String, Value>) {
        let known = appointment::addresses(body);
        for guest in body.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
            let address = guest.get("email").and_then(Value::as_str).and_then(|email| known.get(email));
            let holders = address.and_then(|address| self.addressed.get(address.as_str())).map_or(0, Vec::len);
            if holders > 1 {
                guest["matches"] = json!(holders);
            }
        }
    }

    fn show(&self, mut record: Record) -> Record {
        let all = self.links(&record);
        record.body.insert("links".to_owned(), Value::Array(all));
        self.count(&mut record.body);
        let participants: Vec<String> = appointment::holders(&record.body).into_iter().map(str::to_owned).collect();
        record.body.insert("participants".to_owned(), json!(participants));
        record.body.entry("ical_uid").or_insert_with(|| json!(appointment::own_uid(&record.id)));
        record
    }
}

/// The records as this user sees them.
pub(crate) async fn show(ledger: &Ledger, actor: &User, records: Vec<Record>) -> Result<Vec<Record>, CrmError> {
    let whole = |record: &Record| record.kind.is_appointment() && !appointment::is_hidden_from(&actor.id, record);
    let appointments: Vec<&Record> = records.iter().filter(|record| whole(record)).collect();
    let found = Found::read(ledger, &appointments).await?;
    let show = |record: Record| {
        let is_whole = whole(&record);
        let seen = appointment::seen_by(&actor.id, record);
        if is_whole { found.show(seen) } else { seen }
    };
    Ok(records.into_iter().map(show).collect())
}

/// One record as this user sees it.
pub(crate) async fn show_one(ledger: &Ledger, actor: &User, record: Record) -> Result<Record, CrmError> {
    if !record.kind.is_appointment() {
        return Ok(record);
    }
    let mut shown = show(ledger, actor, vec![record]).await?;
    Ok(shown.pop().expect("one record is shown as one"))
}

/// What somebody typed, without what was only shown: links that come from addresses must not become links by hand.
pub(crate) fn typed(before: &Record, shown: &Record, input: &Map<String, Value>) -> Map<String, Value> {
    let mut input = input.clone();
    let was_shown = shown.to_json();
    input.retain(|name, value| !SHOWN.contains(&name.as_str()) || was_shown.get(name) != Some(value));
    if let Some(Value::Array(list)) = input.get_mut("links") {
        let (by_hand, all) = (links(before), links(shown));
        list.retain(|link| by_hand.contains(link) || !all.contains(link));
    }
    input
}

impl Crm {
    /// Makes a meeting of a block. It keeps its id, so that whatever keeps it in step with a calendar goes on, from now on
    /// both ways. Only who has it in a calendar may, and administrators.
    pub async fn convert(&self, actor: &User, id: &str, expect: Option<u64>) -> Result<Record, CrmError> {
        actor.require(Kind::Meeting, Action::Create)?;
        let id = uuid::Uuid::try_parse(id).map_err(|_| CrmError::NotFound)?.to_string();
        let ledger = self.ledger(actor);
        let mut tries = Tries::new();
        loop {
            let head = ledger.head().await?;
            let found = ledger.record(&id).await?.filter(|record| record.kind.is_appointment());
            let before = found.ok_or(CrmError::NotFound)?;
            if before.kind == Kind::Meeting {
                return Err(CrmError::refused("this block is a meeting already"));
            }
            if !actor.admin && !appointment::holds(&before.body, &actor.id) {
                return Err(CrmError::Forbidden { right: "owner".to_owned() });
            }
            check_version(&before, expect)?;
            let mut body = before.body.clone();
            body.entry("title").or_insert_with(|| json!(UNTITLED));
            let edit = Edit::Become { before: Box::new(before), kind: Kind::Meeting, body };
            if let Some(mut made) = ledger.commit(&head, vec![edit]).await? {
                let made = made.pop().expect("one edit makes one record");
                return show_one(&ledger, actor, made).await;
            }
            tries.again(ledger.clock.as_ref()).await?;
        }
    }

    /// The appointments of a type that are on a record's card, the oldest first: those linked to it by hand, and those
    /// with a guest who has one of its addresses. By index: one request an address.
    pub(crate) async fn on_card(
        &self,
        actor: &User,
        kind: Kind,
        link: &str,
        next: Option<&str>,
        wanted: &(dyn Fn(&Record) -> bool + Sync),
    ) -> Result<Listing, CrmError> {
        if !kind.is_appointment() {
            return Err(CrmError::invalid("link", format!("{} are not listed by a link", kind.plural())));
        }
        let ledger = self.ledger(actor);
        let about = self.card(&ledger, actor, link).await?;
        let (ids, more) = ledger.about(&about, next, PAGE).await?;
        let next = ids.last().cloned().filter(|_| more);
        let found = ledger.records(&ids).await?.into_iter().flatten();
        // Who may see the times alone must not learn from a card whom they are with.
        let seen = |record: &Record| record.kind == kind && !appointment::is_hidden_from(&actor.id, record);
        let items = show(&ledger, actor, found.filter(seen).collect()).await?;
        Ok(Listing { items: items.into_iter().filter(wanted).collect(), next })
    }

    /// By what the appointments of `contact:ID` are found.
    async fn card(&self, ledger: &Ledger, actor: &User, link: &str) -> Result<Vec<String>, CrmError> {
        let definition = Kind::Meeting.definition().field("links").map(|field| field.shape);
        let Some(Shape::Links(kinds)) = definition else { return Err(CrmError::Corrupt) };
        let (word, id) = link.split_once(':').unwrap_or_default();
        let kind = kinds.iter().find(|kind| kind.word() == word).copied();
        let kind = kind.ok_or_else(|| CrmError::invalid("link", "this looks like contact:ID"))?;
        actor.require(kind, Action::View)?;
        let missing = || CrmError::invalid("link", format!("there is no such {word}"));
        let id = uuid::Uuid::try_parse(id).map_err(|_| missing())?.to_string();
        let record = ledger.record(&id).await?.filter(|record| record.kind == kind).ok_or_else(missing)?;
        let addresses = record.addresses().into_iter().map(|address| keys::digest(&address));
        Ok(std::iter::once(record.id.clone()).chain(addresses).collect())
    }
}

#[cfg(test)]
mod tests;
