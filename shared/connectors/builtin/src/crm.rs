//! What a user can do in the CRM.
use crate::appointment;
use crate::error::CrmError;
use crate::filter::Filter;
use crate::ledger::{COMMIT_WEIGHT, Edit, Ledger, Tries};
use crate::meetings::{show, show_one, typed};
use crate::record::{self, Body, Record};
use crate::schema::{Kind, Shape};
use crate::users::{Action, User};
use crate::validate;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tandem_ports::infra::Clock;
use tandem_ports::table::Table;

/// Records in one page of a list.
pub(crate) const PAGE: usize = 100;
/// Records that one page of a filtered list looks at; a page may be short, or empty, and still have a `next`.
const LOOK_AT: usize = 1_000;
/// And while it has found nothing.
const LOOK_AT_FOR_ONE: usize = 20_000;
/// Rows read at once.
const ROWS: usize = 200;
/// Rounds in which a deleted company lets go of its contacts, each [`COMMIT_WEIGHT`] operations.
const DETACH_ROUNDS: usize = 1_000;

/// The CRM. Cheap to clone; every call says who acts, and acts in that user's account.
#[derive(Clone)]
pub struct Crm {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
}

/// Which records a list shows.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Every word must occur in the record.
    pub q: Option<String>,
    /// Changed at or after this moment.
    pub updated_since: Option<Timestamp>,
    /// Id of a segment of this module.
    pub segment: Option<String>,
    /// Id of a list view of this module.
    pub list_view: Option<String>,
    /// `{type}:{id}`: only appointments on this record's card.
    pub link: Option<String>,
    /// Where the page before ended.
    pub next: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The records, by number.
    pub items: Vec<Record>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}

/// A page of the change feed. Each record occurs once, at its latest change.
#[derive(Clone, Debug)]
pub struct ChangeList {
    /// The changes, the oldest first.
    pub items: Vec<ChangeItem>,
    /// Where to go on now, if there is more now.
    pub next: Option<String>,
    /// Where to go on later.
    pub cursor: String,
}

/// One change.
#[derive(Clone, Debug)]
pub struct ChangeItem {
    /// The record's type.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// The record as it is now; `None` when it is deleted.
    pub record: Option<Record>,
}

impl Crm {
    /// The CRM in this table.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>) -> Self {
        Self { table, clock }
    }

    pub(crate) fn ledger(&self, actor: &User) -> Ledger {
        Ledger { table: self.table.clone(), clock: self.clock.clone(), account: actor.account.clone() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Creates a record.
    pub async fn create(&self, actor: &User, kind: Kind, input: &Map<String, Value>) -> Result<Record, CrmError> {
        by_hand(kind)?;
        actor.require(kind, Action::Create)?;
        let mut body = validate::new_body(kind, input)?;
        validate::typed(kind, None, input, &body)?;
        // Whoever makes one must be able to go on with it: a project's files are its owners' to change.
        if matches!(kind, Kind::Meeting | Kind::Project) {
            body.entry("owner").or_insert_with(|| json!(actor.id));
        }
        let ledger = self.ledger(actor);
        let mut tries = Tries::new();
        loop {
            let head = ledger.head().await?;
            check_context(&ledger, kind, None, &body).await?;
            let edit = Edit::Create { id: ledger.new_id(), kind, body: body.clone(), marker: None };
            if let Some(mut made) = ledger.commit(&head, vec![edit]).await? {
                return show_one(&ledger, actor, made.pop().expect("one edit makes one record")).await;
            }
            tries.again(self.clock.as_ref()).await?;
        }
    }

    /// Reads a record.
    pub async fn get(&self, actor: &User, kind: Kind, id: &str) -> Result<Record, CrmError> {
        actor.require(kind, Action::View)?;
        let ledger = self.ledger(actor);
        show_one(&ledger, actor, of_kind(&ledger, kind, id).await?).await
    }

    /// Changes a record: the fields named are replaced, `null` empties one. With `expect`, only if the record still has
    /// that version. A change that changes nothing leaves the version alone.
    pub async fn update(
        &self,
        actor: &User,
        kind: Kind,
        id: &str,
        expect: Option<u64>,
        input: &Map<String, Value>,
    ) -> Result<Record, CrmError> {
        by_hand(kind)?;
        actor.require(kind, Action::Edit)?;
        let ledger = self.ledger(actor);
        let mut tries = Tries::new();
        loop {
            let head = ledger.head().await?;
            let before = of_kind(&ledger, kind, id).await?;
            check_version(&before, expect)?;
            let merged =
                if kind == Kind::User { Some(crate::users::with_all_rights(&before.body, input)?) } else { None };
            let body = if kind == Kind::Meeting {
                changed_meeting(&ledger, actor, &before, input).await?
            } else {
                validate::changed_body(&before, merged.as_ref().unwrap_or(input))?
            };
            validate::typed(kind, Some(&before.body), input, &body)?;
            if body == before.body {
                return show_one(&ledger, actor, before).await;
            }
            if kind == Kind::User && id == actor.id && body.get("admin") != Some(&json!(true)) {
                return Err(CrmError::refused("you cannot take the administrator's role from yourself"));
            }
            check_context(&ledger, kind, Some(&before), &body).await?;
            let marker = before.marker.clone();
            let edit = Edit::Change { before: Box::new(before), body, marker };
            if let Some(mut changed) = ledger.commit(&head, vec![edit]).await? {
                return show_one(&ledger, actor, changed.pop().expect("one edit changes one record")).await;
            }
            tries.again(self.clock.as_ref()).await?;
        }
    }

    /// Deletes a record. The contacts of a deleted company stay, without a company.
    pub async fn delete(&self, actor: &User, kind: Kind, id: &str, expect: Option<u64>) -> Result<(), CrmError> {
        by_hand(kind)?;
        actor.require(kind, Action::Delete)?;
        if kind == Kind::User && id == actor.id {
            return Err(CrmError::refused("you cannot delete yourself"));
        }
        let ledger = self.ledger(actor);
        let (mut tries, mut rounds) = (Tries::new(), 0);
        loop {
            let head = ledger.head().await?;
            let before = of_kind(&ledger, kind, id).await?;
            check_version(&before, expect)?;
            let mut detached = if kind == Kind::Company { detach(&ledger, id).await? } else { Vec::new() };
            if detached.is_empty() && Kind::WITH_FILES.contains(&kind) {
                detached = crate::files::removals_inside(&ledger, id).await?;
            }
            let last = detached.is_empty();
            let edits = if last { vec![Edit::Remove { before: Box::new(before) }] } else { detached };
            match ledger.commit(&head, edits).await? {
                Some(_) if last => return Ok(()),
                Some(_) if rounds == DETACH_ROUNDS => return Err(CrmError::Busy),
                Some(_) => rounds += 1,
                None => tries.again(self.clock.as_ref()).await?,
            }
        }
    }

    /// One page of the records of a type, by number.
    pub async fn list(&self, actor: &User, kind: Kind, query: &Query) -> Result<Listing, CrmError> {
        actor.require(kind, Action::View)?;
        let ledger = self.ledger(actor);
        let mut filters = Vec::new();
        for (field, of, id) in
            [("segment", Kind::Segment, &query.segment), ("list_view", Kind::ListView, &query.list_view)]
        {
            if let Some(id) = id {
                filters.push(filter_of(&ledger, kind, field, of, id).await?);
            }
        }
        let words: Vec<String> = query.q.iter().flat_map(|q| q.split_whitespace()).map(str::to_lowercase).collect();
        let wanted = |record: &Record| {
            query.updated_since.is_none_or(|since| record.updated_at >= since)
                && filters.iter().all(|filter| filter.passes(record))
                && mentions(record, &words)
        };
        if let Some(link) = &query.link {
            return self.on_card(actor, kind, link, query.next.as_deref(), &wanted).await;
        }
        let parsed = query.next.as_ref().map(|next| next.parse::<u64>());
        let mut after =
            parsed.transpose().map_err(|_| CrmError::invalid("next", "this is no mark of ours"))?.unwrap_or(0);
        let (mut items, mut looked_at) = (Vec::new(), 0);
        loop {
            let (rows, more) = ledger.rows(kind, after, ROWS).await?;
            let ids: Vec<&str> = rows.iter().map(|(_, id, _)| id.as_str()).collect();
            let records = ledger.records(&ids).await?;
            let seen = |record: Option<Record>| record.map(|record| appointment::seen_by(&actor.id, record));
            let records: Vec<Option<Record>> = records.into_iter().map(seen).collect();
            for ((number, _, _), record) in rows.iter().zip(records) {
                if items.len() == PAGE {
                    let items = show(&ledger, actor, items).await?;
                    return Ok(Listing { items, next: Some(after.to_string()) });
                }
                items.extend(record.filter(|record| wanted(record)));
                after = *number;
            }
            looked_at += rows.len();
            // A page with nothing in it helps nobody: it goes on for what is rare.
            if !more || looked_at >= if items.is_empty() { LOOK_AT_FOR_ONE } else { LOOK_AT } {
                let items = show(&ledger, actor, items).await?;
                return Ok(Listing { items, next: more.then(|| after.to_string()) });
            }
        }
    }

    /// One page of the change feed; without a cursor from the beginning, which is every record there is (and every
    /// tombstone). Changes of modules that the user may not view are left out.
    pub async fn changes(&self, actor: &User, cursor: Option<&str>) -> Result<ChangeList, CrmError> {
        let parsed = cursor.map(str::parse::<u64>).transpose();
        let after = parsed.map_err(|_| CrmError::invalid("cursor", "this is no mark of ours"))?.unwrap_or(0);
        let ledger = self.ledger(actor);
        let (entries, more) = ledger.feed(after, PAGE).await?;
        let cursor = entries.last().map_or(after, |entry| entry.seq).to_string();
        let visible: Vec<_> =
            entries.into_iter().filter(|entry| actor.require(entry.kind, Action::View).is_ok()).collect();
        let live: Vec<&str> = visible.iter().filter(|entry| !entry.deleted).map(|entry| entry.id.as_str()).collect();
        let live = ledger.records(&live).await?.into_iter().flatten();
        let shown = show(&ledger, actor, live.collect()).await?;
        let mut records: HashMap<String, Record> = shown.into_iter().map(|one| (one.id.clone(), one)).collect();
        let mut items = Vec::with_capacity(visible.len());
        for entry in &visible {
            // A block that became a meeting since the entry was read: what it was is gone.
            let of_its_type = |record: &Record| record.kind == entry.kind;
            let record = if entry.deleted { None } else { records.remove(&entry.id).filter(of_its_type) };
            items.push(ChangeItem { kind: entry.kind, id: entry.id.clone(), record });
        }
        Ok(ChangeList { items, next: more.then(|| cursor.clone()), cursor })
    }
}

/// A meeting after a change, made to what this user sees of it.
async fn changed_meeting(
    ledger: &Ledger,
    actor: &User,
    before: &Record,
    input: &Map<String, Value>,
) -> Result<Body, CrmError> {
    let shown = show_one(ledger, actor, before.clone()).await?;
    let input = typed(before, &shown, input);
    let own = Record { body: appointment::for_user(&before.body, &actor.id), ..before.clone() };
    let changed = validate::changed_body(&own, &input)?;
    let mut body = appointment::from_user(&before.body, changed, &actor.id);
    body.entry("owner").or_insert_with(|| json!(actor.id));
    appointment::hand_over(&mut body, before.text("owner"));
    Ok(body)
}

/// Files and folders have their own ways (see [`Files`](crate::Files)), and blocks come from calendars.
fn by_hand(kind: Kind) -> Result<(), CrmError> {
    match kind {
        Kind::File | Kind::Folder => {
            Err(CrmError::refused("files and folders are made, moved and removed by their own addresses"))
        }
        Kind::Block => Err(CrmError::refused(
            "a block comes from a calendar and is changed there; convert it into a meeting first",
        )),
        Kind::Contact
        | Kind::Company
        | Kind::Lead
        | Kind::Deal
        | Kind::Project
        | Kind::Product
        | Kind::Task
        | Kind::Email
        | Kind::Meeting
        | Kind::Segment
        | Kind::ListView
        | Kind::User => Ok(()),
    }
}

async fn of_kind(ledger: &Ledger, kind: Kind, id: &str) -> Result<Record, CrmError> {
    let id = uuid::Uuid::try_parse(id).map_err(|_| CrmError::NotFound)?.to_string();
    ledger.record(&id).await?.filter(|record| record.kind == kind).ok_or(CrmError::NotFound)
}

pub(crate) fn check_version(record: &Record, expect: Option<u64>) -> Result<(), CrmError> {
    if expect.is_none_or(|version| version == record.version) { Ok(()) } else { Err(CrmError::Stale) }
}

/// What a body says of other records must be true: references exist, a user's e-mail address is nobody else's.
pub(crate) async fn check_context(
    ledger: &Ledger,
    kind: Kind,
    before: Option<&Record>,
    body: &Body,
) -> Result<(), CrmError> {
    check_links(ledger, kind, before, body).await?;
    for field in kind.definition().fields {
        let (Shape::Reference(to) | Shape::References(to)) = field.shape else { continue };
        let Some(value) = body.get(field.name) else { continue };
        if before.is_some_and(|before| before.body.get(field.name) == Some(value)) {
            continue;
        }
        let one = value.as_str().into_iter();
        let ids: Vec<&str> = one.chain(value.as_array().into_iter().flatten().filter_map(Value::as_str)).collect();
        if ledger.records(&ids).await?.iter().any(|record| record.as_ref().is_none_or(|record| record.kind != to)) {
            return Err(CrmError::invalid(field.name, format!("there is no such {}", to.word())));
        }
    }
    if kind == Kind::User {
        let holder = ledger.known(Kind::User).await?.remove(&record::same(Kind::User, body));
        if holder.is_some_and(|holder| before.is_none_or(|before| before.id != holder)) {
            return Err(CrmError::invalid("email", "there is already a user with this e-mail address"));
        }
    }
    Ok(())
}

/// Records that a body newly links to exist. One request a hundred of them.
async fn check_links(ledger: &Ledger, kind: Kind, before: Option<&Record>, body: &Body) -> Result<(), CrmError> {
    for field in kind.definition().fields.iter().filter(|field| matches!(field.shape, Shape::Links(_))) {
        let links = |body: &Body| body.get(field.name).and_then(Value::as_array).cloned().unwrap_or_default();
        let known = before.map(|before| links(&before.body)).unwrap_or_default();
        let fresh: Vec<Value> = links(body).into_iter().filter(|link| !known.contains(link)).collect();
        let text = |link: &Value, name: &str| link.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let ids: Vec<String> = fresh.iter().map(|link| text(link, "id")).collect();
        for (link, found) in fresh.iter().zip(ledger.records(&ids).await?) {
            if found.is_none_or(|record| record.kind.word() != text(link, "type")) {
                return Err(CrmError::invalid(field.name, format!("there is no such {}", text(link, "type"))));
            }
        }
    }
    Ok(())
}

/// As many edits as fit a commit that take contacts out of a company; none when it has none left.
async fn detach(ledger: &Ledger, company: &str) -> Result<Vec<Edit>, CrmError> {
    let (staff, _) = ledger.staff(company, None, COMMIT_WEIGHT / 7).await?;
    let contacts = ledger.records(&staff).await?.into_iter().flatten();
    Ok(contacts
        .map(|contact| {
            let mut body = contact.body.clone();
            body.remove("company");
            let marker = contact.marker.clone();
            Edit::Change { before: Box::new(contact), body, marker }
        })
        .collect())
}

async fn filter_of(ledger: &Ledger, module: Kind, field: &str, of: Kind, id: &str) -> Result<Filter, CrmError> {
    let missing = || CrmError::invalid(field, format!("there is no such {}", of.word().replace('_', " ")));
    let found = match of_kind(ledger, of, id).await {
        Err(CrmError::NotFound) => return Err(missing()),
        other => other?,
    };
    read_filter(&found)?.for_module(module).ok_or_else(|| {
        CrmError::invalid(field, format!("this {} does not pick {}", of.word().replace('_', " "), module.plural()))
    })
}

/// A stored filter and the module it picks from.
pub(crate) struct StoredFilter {
    module: Kind,
    filter: Filter,
}

impl StoredFilter {
    pub(crate) fn for_module(self, module: Kind) -> Option<Filter> {
        (self.module == module).then_some(self.filter)
    }
}

pub(crate) fn read_filter(record: &Record) -> Result<StoredFilter, CrmError> {
    let module = Kind::of_module(record.text("module")).ok_or(CrmError::Corrupt)?;
    let filter = record.body.get("filter").map(|filter| Filter::read(module, filter)).transpose()?;
    Ok(StoredFilter { module, filter: filter.unwrap_or_default() })
}

/// Whether every word occurs somewhere in the fields that are searched.
fn mentions(record: &Record, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let mut text = String::new();
    for field in record.kind.definition().searched {
        for said in record::values(&record.body, field).chain(std::iter::once(record.text(field))) {
            text.push_str(&said.to_lowercase());
            text.push('\n');
        }
    }
    words.iter().all(|word| text.contains(word))
}
