//! Contacts from a file: CSV (Google Contacts, Outlook, Teamleader, our own field names) or vCard.
//!
//! A line that cannot be used is reported with its number and stops nothing. A contact is recognised by our `id`
//! where the file has one, else by its first e-mail address (without one, its first phone number) and its name; a
//! recognised contact takes what the file says more and loses nothing, so the same file twice makes no doubles.
mod cards;
mod decode;
mod quotes;
mod table;

use crate::companies::Companies;
use crate::crm::Crm;
use crate::error::CrmError;
use crate::ledger::{COMMIT_WEIGHT, Edit, Ledger, Tries};
use crate::record::{self, Body, Record};
use crate::schema::Kind;
use crate::users::{Action, User};
use crate::validate;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use tandem_core::contact::{Address, Contact, Labelled};

/// The largest file; larger ones are split by the sender.
pub const MOST_BYTES: usize = 5 * 1024 * 1024;
/// The most bad lines that are listed; the others are only counted.
const MOST_ERRORS: usize = 1_000;
/// Contacts looked at for one transaction; more never fit.
const LOOK_AHEAD: usize = 33;

/// What an import may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Contacts of the file to pass over: what an import before has done.
    pub offset: u64,
    /// When to stop and answer where to go on; `None`: never.
    pub until: Option<Timestamp>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// New contacts.
    pub created: u64,
    /// Contacts that learned something.
    pub updated: u64,
    /// Contacts that knew everything already.
    pub skipped: u64,
    /// Lines that could not be used.
    pub failed: u64,
    /// The first thousand of those.
    pub errors: Vec<BadLine>,
    /// Time was up: the `offset` to go on at, with the same file.
    pub next: Option<u64>,
}

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number in the file, from 1 (of a card: its first line).
    pub line: u64,
    /// Why; one sentence.
    pub reason: String,
}

/// One contact of the file.
#[derive(Clone, Debug, Default)]
struct Row {
    line: u64,
    id: Option<String>,
    contact: Contact,
    tags: Vec<String>,
}

/// The contacts of a file, one by one.
type Rows = Box<dyn Iterator<Item = Result<Row, BadLine>> + Send>;

/// A contact of the file that can be kept.
struct Ready {
    line: u64,
    id: Option<String>,
    company: String,
    input: Map<String, Value>,
    body: Body,
    same: String,
}

fn read(bytes: &[u8]) -> Result<Rows, CrmError> {
    if bytes.len() > MOST_BYTES {
        let message = "the file is larger than 5 MB; split it, or use `cargo xtask import`, which does";
        return Err(CrmError::TooLarge { message: message.to_owned() });
    }
    let text = decode::text(bytes)?;
    let card = text.trim_start().get(..11).is_some_and(|start| start.eq_ignore_ascii_case("BEGIN:VCARD"));
    if card { Ok(cards::rows(text)) } else { table::rows(text) }
}

impl Crm {
    /// Imports contacts. The table sees one transaction for some 25 contacts; what is kept in memory beside the file
    /// is one line at a time, and a hash for every contact and company there is.
    pub async fn import(&self, actor: &User, file: &[u8], request: Request) -> Result<Report, CrmError> {
        actor.require(Kind::Contact, Action::Create)?;
        let mut rows = read(file)?.skip(usize::try_from(request.offset).unwrap_or(usize::MAX));
        let ledger = self.ledger(actor);
        let mut run = Run { ledger, actor, indexes: None, report: Report::default() };
        let mut waiting: VecDeque<Ready> = VecDeque::new();
        let mut done = request.offset;
        loop {
            while waiting.len() < LOOK_AHEAD {
                let Some(row) = rows.next() else { break };
                match row.and_then(ready) {
                    Ok(row) => waiting.push_back(row),
                    Err(bad) => {
                        done += 1;
                        run.report.fail(bad);
                    }
                }
            }
            if waiting.is_empty() {
                break;
            }
            if request.until.is_some_and(|until| self.now() >= until) {
                run.report.next = Some(done);
                break;
            }
            let kept = run.commit_some(waiting.make_contiguous()).await?;
            waiting.drain(..kept);
            done += kept as u64;
        }
        run.report.errors.sort_by_key(|bad| bad.line);
        Ok(run.report)
    }
}

impl Report {
    fn fail(&mut self, bad: BadLine) {
        self.failed += 1;
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(bad);
        }
    }
}

/// What is known of the account as of one sequence number; another writer makes it old.
struct Indexes {
    seq: u64,
    contacts: HashMap<String, String>,
    companies: Companies,
}

struct Run<'a> {
    ledger: Ledger,
    actor: &'a User,
    indexes: Option<Indexes>,
    report: Report,
}

/// What becomes of one contact of the file.
enum Outcome {
    Created { same: String, id: String },
    Updated,
    Skipped,
    Failed(BadLine),
}

impl Run<'_> {
    /// Keeps the first of these contacts, as many as fit one transaction; answers how many.
    async fn commit_some(&mut self, rows: &[Ready]) -> Result<usize, CrmError> {
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let mut indexes = match self.indexes.take().filter(|indexes| indexes.seq == head.seq) {
                Some(current) => current,
                None => Indexes {
                    seq: head.seq,
                    contacts: self.ledger.known(Kind::Contact).await?,
                    companies: Companies::load(&self.ledger).await?,
                },
            };
            let targets: Vec<Option<String>> =
                rows.iter().map(|row| row.id.clone().or_else(|| indexes.contacts.get(&row.same).cloned())).collect();
            let ids: Vec<&str> = targets.iter().flatten().map(String::as_str).collect();
            let found = if ids.is_empty() { Vec::new() } else { self.ledger.records(&ids).await? };
            let found: HashMap<String, Record> =
                found.into_iter().flatten().map(|record| (record.id.clone(), record)).collect();
            let (edits, outcomes) = self.plan(rows, &targets, &found, &mut indexes);
            let moved = edits.len() as u64;
            if self.ledger.commit(&head, edits).await?.is_some() {
                let kept = outcomes.len();
                indexes.seq += moved;
                self.account_for(outcomes, &mut indexes);
                self.indexes = Some(indexes);
                return Ok(kept);
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }

    fn plan(
        &self,
        rows: &[Ready],
        targets: &[Option<String>],
        found: &HashMap<String, Record>,
        indexes: &mut Indexes,
    ) -> (Vec<Edit>, Vec<Outcome>) {
        let (mut edits, mut outcomes, mut weight) = (Vec::new(), Vec::new(), 0);
        let mut touched: HashSet<&str> = HashSet::new();
        for (row, target) in rows.iter().zip(targets) {
            let record = target.as_ref().and_then(|id| found.get(id)).filter(|record| record.kind == Kind::Contact);
            // The same contact again: it is held against what the first one leaves, in the next transaction.
            if !touched.insert(&row.same) || record.is_some_and(|record| !touched.insert(&record.id)) {
                break;
            }
            let planned = self.plan_row(row, record, &mut indexes.companies);
            let (new, outcome) = planned.unwrap_or_else(|error| {
                (Vec::new(), Outcome::Failed(BadLine { line: row.line, reason: error.to_string() }))
            });
            let more = new.iter().map(Edit::weight).sum::<usize>();
            if weight + more > COMMIT_WEIGHT {
                if let Some(Edit::Create { id, kind: Kind::Company, .. }) = new.first() {
                    indexes.companies.forget(id);
                }
                break;
            }
            weight += more;
            edits.extend(new);
            outcomes.push(outcome);
        }
        (edits, outcomes)
    }

    fn plan_row(
        &self,
        row: &Ready,
        record: Option<&Record>,
        companies: &mut Companies,
    ) -> Result<(Vec<Edit>, Outcome), CrmError> {
        if record.is_some() {
            self.actor.require(Kind::Contact, Action::Edit)?;
        }
        // A contact that has a company keeps it.
        let wants_company = !row.company.is_empty() && record.is_none_or(|record| record.company().is_none());
        let (company, made) = if wants_company {
            let (id, made) = companies.find_or_make(&self.ledger, self.actor, &row.company)?;
            (Some(json!(id)), made)
        } else {
            (None, None)
        };
        let (edit, outcome) = match record {
            None => {
                let mut body = row.body.clone();
                body.extend(company.map(|id| ("company".to_owned(), id)));
                let id = self.ledger.new_id();
                let outcome = Outcome::Created { same: row.same.clone(), id: id.clone() };
                (Edit::Create { id, kind: Kind::Contact, body, marker: None }, outcome)
            }
            Some(record) => {
                let mut input = more(record, &row.input);
                input.extend(company.map(|id| ("company".to_owned(), id)));
                let body = validate::changed_body(record, &input).inspect_err(|_| {
                    if let Some(Edit::Create { id, .. }) = &made {
                        companies.forget(id);
                    }
                })?;
                if body == record.body {
                    return Ok((Vec::new(), Outcome::Skipped));
                }
                let marker = record.marker.clone();
                (Edit::Change { before: Box::new(record.clone()), body, marker }, Outcome::Updated)
            }
        };
        Ok((made.into_iter().chain([edit]).collect(), outcome))
    }

    fn account_for(&mut self, outcomes: Vec<Outcome>, indexes: &mut Indexes) {
        for outcome in outcomes {
            match outcome {
                Outcome::Created { same, id } => {
                    indexes.contacts.entry(same).or_insert(id);
                    self.report.created += 1;
                }
                Outcome::Updated => self.report.updated += 1,
                Outcome::Skipped => self.report.skipped += 1,
                Outcome::Failed(bad) => self.report.fail(bad),
            }
        }
    }
}

fn ready(row: Row) -> Result<Ready, BadLine> {
    let line = row.line;
    let bad = |error: CrmError| BadLine { line, reason: error.to_string() };
    let Row { id, mut contact, tags, .. } = row;
    // Who has one name only is found under it.
    if contact.last_name.is_empty() {
        contact.last_name = std::mem::take(&mut contact.first_name);
    }
    if contact.last_name.trim().is_empty() {
        return Err(BadLine { line, reason: "this contact has no name".to_owned() });
    }
    let input = input(&contact, &tags);
    let body = validate::new_body(Kind::Contact, &input).map_err(bad)?;
    let same = record::same(Kind::Contact, &body);
    let id = id.filter(|id| uuid::Uuid::try_parse(id).is_ok()).map(|id| id.to_lowercase());
    Ok(Ready { line, id, company: contact.company.trim().to_owned(), input, body, same })
}

/// What the file says, as the API would be given it; without the company, which is a record of its own.
fn input(contact: &Contact, tags: &[String]) -> Map<String, Value> {
    let labelled = |list: &[Labelled]| -> Value {
        list.iter()
            .filter(|entry| !entry.value.trim().is_empty())
            .map(|entry| json!({"type": entry.label, "value": entry.value}))
            .collect()
    };
    let address = |address: &Address| {
        json!({"type": address.label, "street": address.street, "postal_code": address.postal_code,
            "city": address.city, "region": address.region, "country": address.country})
    };
    let mut input = Map::from_iter([
        ("emails".to_owned(), labelled(&contact.emails)),
        ("phones".to_owned(), labelled(&contact.phones)),
        ("addresses".to_owned(), contact.addresses.iter().map(address).collect()),
        ("tags".to_owned(), json!(tags)),
        ("custom".to_owned(), json!(contact.custom)),
    ]);
    let texts = [
        ("last_name", &contact.last_name),
        ("first_name", &contact.first_name),
        ("salutation", &contact.salutation),
        ("position", &contact.position),
        ("birthday", &contact.birthday),
        ("language", &contact.language),
        ("website", &contact.website),
        ("remarks", &contact.remarks),
    ];
    for (name, text) in texts {
        if !text.trim().is_empty() {
            input.insert(name.to_owned(), json!(text));
        }
    }
    input
}

/// What the file says more than the record: texts that differ, and elements of lists that the record lacks.
fn more(record: &Record, input: &Map<String, Value>) -> Map<String, Value> {
    let mut wanted = input.clone();
    for (name, value) in &mut wanted {
        let (Value::Array(new), Some(Value::Array(old))) = (&*value, record.body.get(name)) else { continue };
        let said = |entry: &Value| entry.get("value").unwrap_or(entry).as_str().map(str::to_lowercase);
        let known: HashSet<Option<String>> = old.iter().map(said).collect();
        // Postal addresses have no single text: those of the record stay.
        let added = new.iter().filter(|entry| said(entry).is_some() && !known.contains(&said(entry)));
        *value = old.iter().chain(added).cloned().collect();
    }
    wanted.retain(|_, value| !matches!(value, Value::Array(list) if list.is_empty()));
    wanted
}
