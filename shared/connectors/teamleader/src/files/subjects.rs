//! Whose files: the records of the chosen modules, in rounds.
use super::{FileOptions, TeamleaderFiles};
use crate::api::files::FileSubject;
use crate::api::requests::{self, Page};
use crate::api::{Api, Call};
use crate::error;
use crate::wire::{Data, stamp, text, time};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::files::entry::{Access, EntryKind, Place};
use tandem_core::files::settings::Records;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::Cursor;
use tandem_ports::error::Result;
use tandem_ports::files::{Entry, FileChange, FilePage};
use tandem_ports::round::{Modules, Pace, PageAt, RecordPage, Round, Wanted};

/// Records that one call is asked for: the default size of a page, which is what every list gives.
const BY_ID: usize = 20;
/// Records of one page of a round: each is read with a call of its own before the next page is asked for.
const PAGE: u64 = 50;
/// A page with fewer rows is the last one, whatever most Teamleader gives.
const SMALLEST_PAGE: usize = 20;
/// Records that one run reads: three minutes of the quota.
const PACE: Pace = Pace { records: 600, rest: SignedDuration::from_mins(10) };
/// A round's note on an account that has the old projects still.
const LEGACY: &str = "legacy_projects";

/// A sort of records that files can be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// As in the setting `modules`.
    pub(super) name: &'static str,
    /// As in the setting `records`.
    kind: &'static str,
    /// As in a file's subject.
    subject: &'static str,
    list: &'static str,
    info: &'static str,
    /// `updated_since` is among the list's filters.
    tells_changes: bool,
    /// `ids` is among the list's filters.
    by_ids: bool,
    /// `tags` is among the list's filters.
    has_tags: bool,
    /// How the list is sorted so that what is new comes last; not all have a sort.
    sort: Option<&'static str>,
    /// Why it takes no uploads; `None`: it does.
    read_only: Option<&'static str>,
}

const COMPANIES: Module = Module {
    name: "companies",
    kind: "company",
    subject: "company",
    list: "companies.list",
    info: "companies.info",
    tells_changes: true,
    by_ids: true,
    has_tags: true,
    sort: Some("added_at"),
    read_only: None,
};
const CONTACTS: Module = Module {
    name: "contacts",
    kind: "contact",
    subject: "contact",
    list: "contacts.list",
    info: "contacts.info",
    ..COMPANIES
};
/// The projects of today; accounts that have not moved yet have [`LEGACY_PROJECTS`].
const PROJECTS: Module = Module {
    name: "projects",
    kind: "project",
    subject: "nextgenProject",
    list: "projects-v2/projects.list",
    info: "projects-v2/projects.info",
    tells_changes: false,
    by_ids: true,
    has_tags: false,
    sort: Some("project_key"),
    read_only: None,
};
const LEGACY_PROJECTS: Module = Module {
    subject: "project",
    list: "projects.list",
    info: "projects.info",
    tells_changes: true,
    by_ids: false,
    sort: Some("created_at"),
    read_only: Some("Teamleader takes no uploads to projects of the old module."),
    ..PROJECTS
};
const MEETINGS: Module = Module {
    name: "meetings",
    kind: "meeting",
    subject: "meeting",
    list: "meetings.list",
    info: "meetings.info",
    sort: Some("scheduled_at"),
    read_only: Some("Teamleader takes no uploads to meetings."),
    ..PROJECTS
};
const PRODUCTS: Module = Module {
    name: "products",
    kind: "product",
    subject: "product",
    list: "products.list",
    info: "products.info",
    tells_changes: true,
    sort: None,
    read_only: Some("Teamleader takes no uploads to products."),
    ..PROJECTS
};
const ALL: [Module; 6] = [CONTACTS, COMPANIES, PROJECTS, LEGACY_PROJECTS, MEETINGS, PRODUCTS];

/// Which projects an account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Projects {
    New,
    Legacy,
}

/// A row of a list or an info, as it came.
type Row = Map<String, Value>;

/// The id of a record on our side: subject type and id.
pub(super) fn record_id(subject: &FileSubject) -> RemoteId {
    RemoteId::new(format!("{}:{}", subject.kind, subject.id))
}

/// The segment that a setting names: `tag:<name>`.
fn tag_of(segment: &str) -> Option<&str> {
    segment.strip_prefix("tag:").filter(|tag| !tag.is_empty())
}

impl Module {
    pub(super) fn of_subject(kind: &str) -> Option<Module> {
        ALL.into_iter().find(|module| module.subject == kind)
    }

    fn title(&self, row: &Row) -> String {
        match self.name {
            "contacts" => {
                let name = format!("{} {}", text(row.get("first_name")), text(row.get("last_name")));
                name.trim().to_owned()
            }
            "companies" | "products" => text(row.get("name")).to_owned(),
            _ => text(row.get("title")).to_owned(),
        }
    }

    /// The number for people: a project has one; of the others the first 8 characters of the id.
    fn number(&self, row: &Row, id: &str) -> String {
        let own = row.get("project_key").and_then(Value::as_u64).map(|number| number.to_string());
        own.unwrap_or_else(|| id.chars().take(8).collect())
    }

    fn entry(&self, row: &Row) -> Option<Entry> {
        let id = text(row.get("id"));
        let subject = FileSubject { kind: self.subject.to_owned(), id: id.to_owned() };
        let updated = text(row.get("updated_at"));
        let access = match self.read_only {
            Some(reason) => Access::Read { reason: reason.to_owned() },
            None => Access::Write,
        };
        (!id.is_empty()).then(|| Entry {
            id: record_id(&subject),
            place: Place::In { parent: RemoteId::new(super::ROOT) },
            name: self.title(row),
            kind: EntryKind::Record { module: self.name.to_owned(), number: self.number(row, id) },
            version: Version::new(if updated.is_empty() { "1".to_owned() } else { stamp(updated) }),
            modified_at: time(updated),
            access,
            marker: None,
        })
    }

    fn call(&self, mut filter: Map<String, Value>, page: Page) -> Call {
        if self.has_tags {
            // Whether a list without it shows deactivated ones is documented nowhere.
            filter.insert("status".to_owned(), json!("active"));
        }
        let mut body = json!({"filter": filter, "page": {"size": page.size, "number": page.number}});
        if let Some(field) = self.sort {
            body["sort"] = json!([{"field": field, "order": "asc"}]);
        }
        Call { method: self.list, body }
    }
}

impl FileOptions {
    fn modules(&self, projects: Option<Projects>) -> Vec<Module> {
        let there = |module: &Module| match (module.name, projects) {
            ("projects", Some(Projects::New)) => module.subject == PROJECTS.subject,
            ("projects", Some(Projects::Legacy)) => module.subject == LEGACY_PROJECTS.subject,
            ("projects", None) => false,
            _ => true,
        };
        let chosen = |module: &Module| match &self.records {
            Records::All => true,
            Records::Segment(segment) => module.has_tags && tag_of(segment).is_some(),
            Records::Some(some) => some.iter().any(|one| one.kind == module.kind),
        };
        let wanted = |module: &Module| self.modules.iter().any(|name| name == module.name);
        ALL.into_iter().filter(|module| wanted(module) && there(module) && chosen(module)).collect()
    }

    /// The ids that a module's records are chosen by, where they are.
    fn ids(&self, module: &Module) -> Option<Vec<&str>> {
        let Records::Some(some) = &self.records else { return None };
        Some(some.iter().filter(|one| one.kind == module.kind).map(|one| one.id.as_str()).collect())
    }

    fn filter(&self) -> Map<String, Value> {
        match &self.records {
            Records::Segment(segment) => requests::one("tags", json!([tag_of(segment).unwrap_or_default()])),
            Records::All | Records::Some(_) => Map::new(),
        }
    }
}

/// Rows of one page, and whether it was the last one.
struct Rows {
    rows: Vec<Row>,
    last: bool,
    at: Timestamp,
}

/// The modules of one turn.
struct Turn<'a> {
    files: &'a TeamleaderFiles,
    modules: Vec<Module>,
}

#[async_trait]
impl Modules for Turn<'_> {
    fn count(&self) -> usize {
        self.modules.len()
    }

    async fn page(&self, module: usize, wanted: Wanted, at: &PageAt) -> Result<RecordPage> {
        let (module, files) = (&self.modules[module], self.files);
        let rows = match wanted {
            Wanted::ChangedSince(_) if !module.tells_changes => return Ok(RecordPage::default()),
            Wanted::ChangedSince(since) => files.changed_since(module, since, at.number).await?,
            Wanted::All => files.of_round(module, at.number).await?,
        };
        let records = rows.rows.iter().filter_map(|row| module.entry(row)).collect();
        Ok(RecordPage { records, next: (!rows.last).then(|| at.after()), at: Some(rows.at) })
    }
}

impl TeamleaderFiles {
    /// One page of a round: records whose files are to be read.
    pub(super) async fn round(&self, from: Option<&Cursor>) -> Result<FilePage> {
        let mut round = Round::at(from).ok_or_else(|| error::cursor_of_another_release("files.list"))?;
        if let Records::Segment(segment) = &self.options.records
            && tag_of(segment).is_none()
        {
            return Err(error::forbidden("files.list", "Teamleader's API has no such segment; choose a tag"));
        }
        let now = self.api.now();
        if let Some(resting) = round.resting(PACE, now) {
            return Ok(resting);
        }
        let wants_projects = self.options.modules.iter().any(|module| module == "projects");
        let projects = match (&round.note, wants_projects) {
            (Some(note), true) if note == LEGACY => Some(Projects::Legacy),
            (Some(_), true) => Some(Projects::New),
            (None, true) => Some(self.projects().await?),
            (_, false) => None,
        };
        round.note = projects.map(|projects| if projects == Projects::Legacy { LEGACY } else { "projects" }.to_owned());
        let modules = self.options.modules(projects);
        round.go_on(&Turn { files: self, modules }, PACE, now).await
    }

    /// Which projects the account has. Where that cannot be asked, they are those of today.
    async fn projects(&self) -> Result<Projects> {
        let call = Call { method: "accounts.projects-v2-status", body: json!({}) };
        match self.api.read::<Data<Row>>(call).await {
            Ok(answer) if text(answer.body.data.get("status")) == "legacy" => Ok(Projects::Legacy),
            Err(failure) if !error::is_forbidden(&failure) => Err(failure),
            Ok(_) | Err(_) => Ok(Projects::New),
        }
    }

    /// A page of a module's chosen records that were changed since.
    async fn changed_since(&self, module: &Module, since: Timestamp, number: u64) -> Result<Rows> {
        let mut filter = self.options.filter();
        filter.insert("updated_since".to_owned(), json!(crate::wire::sent(&since.to_string())));
        let mut rows = self.rows(module, filter, Page { size: PAGE, number }).await?;
        let chosen = self.options.ids(module);
        rows.rows.retain(|row| chosen.as_ref().is_none_or(|ids| ids.contains(&text(row.get("id")))));
        Ok(rows)
    }

    /// A page of all chosen records of a module.
    async fn of_round(&self, module: &Module, number: u64) -> Result<Rows> {
        let Some(ids) = self.options.ids(module) else {
            return self.rows(module, self.options.filter(), Page { size: PAGE, number }).await;
        };
        let skip = usize::try_from(number - 1).unwrap_or(usize::MAX).saturating_mul(BY_ID);
        let some: Vec<&str> = ids.iter().copied().skip(skip).take(BY_ID).collect();
        let last = skip.saturating_add(BY_ID) >= ids.len();
        let rows = self.by_id(module, &some).await?.into_values().collect();
        Ok(Rows { rows, last, at: self.api.now() })
    }

    /// One call. A module that the user may not see has no records for us.
    async fn rows(&self, module: &Module, filter: Map<String, Value>, page: Page) -> Result<Rows> {
        match self.api.read::<Data<Vec<Row>>>(module.call(filter, page)).await {
            Ok(answer) => {
                let last = answer.body.data.len() < SMALLEST_PAGE;
                Ok(Rows { rows: answer.body.data, last, at: answer.at })
            }
            Err(failure) if error::is_forbidden(&failure) && self.options.modules.len() > 1 => {
                Ok(Rows { rows: Vec::new(), last: true, at: self.api.now() })
            }
            Err(failure) => Err(failure),
        }
    }

    /// The active ones of these records, within the segment where there is one. At most [`BY_ID`].
    async fn by_id(&self, module: &Module, ids: &[&str]) -> Result<BTreeMap<String, Row>> {
        let mut found = BTreeMap::new();
        if module.by_ids && !ids.is_empty() {
            let mut filter = self.options.filter();
            filter.insert("ids".to_owned(), json!(ids));
            let rows = self.rows(module, filter, Page { size: BY_ID as u64, number: 1 }).await?.rows;
            let asked: BTreeSet<&str> = ids.iter().copied().collect();
            // A filter that Teamleader does not know is ignored in silence.
            let ours = rows.into_iter().filter(|row| asked.contains(text(row.get("id"))));
            found.extend(ours.map(|row| (text(row.get("id")).to_owned(), row)));
            return Ok(found);
        }
        for id in ids {
            match self.record(module, id).await {
                Ok(row) => found.extend(row.map(|row| ((*id).to_owned(), row))),
                Err(failure) if error::is_forbidden(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(found)
    }

    /// One record; `None` where there is none of this id.
    async fn record(&self, module: &Module, id: &str) -> Result<Option<Row>> {
        match self.api.read::<Data<Row>>(requests::about(module.info, id, Map::new())).await {
            Ok(answer) => Ok(Some(answer.body.data)),
            Err(failure) if error::is_gone(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// A record as an entry, wherever it is; `None` proves that it is gone.
    pub(super) async fn record_entry(&self, subject: &FileSubject) -> Result<Option<Entry>> {
        let Some(module) = Module::of_subject(&subject.kind) else { return Ok(None) };
        Ok(self.record(&module, &subject.id).await?.and_then(|row| module.entry(&row)))
    }

    /// What became of records that a round did not tell.
    pub(super) async fn became(&self, ids: &[RemoteId]) -> Result<Vec<FileChange>> {
        let wanted = self.options.modules.clone();
        let mut by_module: BTreeMap<&'static str, Vec<&RemoteId>> = BTreeMap::new();
        let mut changes = Vec::new();
        for id in ids {
            let module = super::folders::read(id).and_then(|(subject, _)| Module::of_subject(&subject.kind));
            match module.filter(|module| wanted.iter().any(|name| name == module.name)) {
                Some(module) => by_module.entry(module.subject).or_default().push(id),
                None => changes.push(FileChange::Outside { id: id.clone() }),
            }
        }
        for (subject, ids) in by_module {
            let module = Module::of_subject(subject).expect("it was found by it");
            for some in ids.chunks(BY_ID) {
                self.became_of(&module, some, &mut changes).await?;
            }
        }
        Ok(changes)
    }

    async fn became_of(&self, module: &Module, ids: &[&RemoteId], changes: &mut Vec<FileChange>) -> Result<()> {
        let own = |id: &RemoteId| super::folders::read(id).map(|(subject, _)| subject.id).unwrap_or_default();
        let plain: Vec<String> = ids.iter().map(|id| own(id)).collect();
        let asked: Vec<&str> = plain.iter().map(String::as_str).collect();
        let found = self.by_id(module, &asked).await?;
        let chosen = self.options.ids(module);
        for (id, plain) in ids.iter().zip(&plain) {
            let is_chosen = match &self.options.records {
                Records::Segment(segment) => module.has_tags && tag_of(segment).is_some(),
                Records::All | Records::Some(_) => chosen.as_ref().is_none_or(|ids| ids.contains(&plain.as_str())),
            };
            let there = found.get(plain).filter(|_| is_chosen).and_then(|row| module.entry(row));
            if let Some(entry) = there {
                changes.push(FileChange::Upsert(Box::new(entry)));
                continue;
            }
            match self.record(module, plain).await {
                Ok(Some(_)) => changes.push(FileChange::Outside { id: (*id).clone() }),
                Ok(None) => changes.push(FileChange::Gone { id: (*id).clone() }),
                // Nothing follows for a record that the user may not see.
                Err(failure) if error::is_forbidden(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

/// What `modules` and `records` can be chosen from.
pub(super) async fn tags(api: &Api) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for number in 1..=50 {
        let page = api.read::<Data<Vec<crate::wire::Tag>>>(requests::tags(Page { size: 100, number })).await?.body.data;
        let last = page.len() < SMALLEST_PAGE;
        all.extend(page.into_iter().map(|tag| tag.tag));
        if last {
            break;
        }
    }
    Ok(all)
}
