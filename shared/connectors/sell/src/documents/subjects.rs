//! Whose documents: the records of the chosen modules, in rounds.
use super::{FileOptions, LIST, ROOT, SellDocuments, TAKES_NONE};
use crate::api::{self, Call, PAGE};
use crate::error;
use crate::wire::{Contact, Many, One, Tag};
use async_trait::async_trait;
use jiff::SignedDuration;
use std::collections::BTreeMap;
use tandem_core::files::entry::{Access, EntryKind, Place};
use tandem_core::files::settings::Records;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Choice, Cursor};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::files::{Entry, EntryRef, FileChange, FilePage};
use tandem_ports::round::{Modules, Pace, PageAt, RecordPage, Round, Wanted};

/// Records that one run reads: some 150 calls, 20 seconds at our pace.
const PACE: Pace = Pace { records: 5_000, rest: SignedDuration::from_mins(10) };
/// Pages of tags.
const MOST_TAG_PAGES: usize = 50;

/// A sort of records that documents can be at.
pub(super) struct Module {
    /// As in the setting `modules`.
    name: &'static str,
    /// As in the setting `records`.
    kind: &'static str,
    /// As in a document's `resource_type`, and the word of our ids. An organisation is a contact.
    resource: &'static str,
    path: &'static str,
    /// Whether contacts are organisations.
    organisations: Option<&'static str>,
}

const ALL: [Module; 4] = [
    Module {
        name: "contacts",
        kind: "contact",
        resource: "contact",
        path: "/v2/contacts",
        organisations: Some("false"),
    },
    Module {
        name: "companies",
        kind: "company",
        resource: "contact",
        path: "/v2/contacts",
        organisations: Some("true"),
    },
    Module { name: "leads", kind: "lead", resource: "lead", path: "/v2/leads", organisations: None },
    Module { name: "deals", kind: "deal", resource: "deal", path: "/v2/deals", organisations: None },
];

/// The record of an id on our side, `<resource type>:<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) kind: &'static str,
    pub(super) id: u64,
}

impl Holder {
    pub(super) fn of(id: &RemoteId) -> Option<Holder> {
        let (resource, id) = id.as_str().split_once(':')?;
        let module = ALL.iter().find(|module| module.resource == resource)?;
        Some(Holder { kind: module.resource, id: id.parse().ok()? })
    }
}

/// A module of a resource that a [`Holder`] names; all of them have one path.
fn module_of(resource: &str) -> &'static Module {
    ALL.iter().find(|module| module.resource == resource).expect("it was found by it")
}

pub(super) fn id(resource: &str, id: u64) -> RemoteId {
    RemoteId::new(format!("{resource}:{id}"))
}

impl Module {
    fn title(&self, row: &Contact) -> String {
        let person = format!("{} {}", row.text("first_name"), row.text("last_name"));
        let named = [row.text("name"), person.trim(), row.text("organization_name")];
        named.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned()
    }

    fn entry(&self, row: &Contact) -> Option<Entry> {
        let number = row.id()?;
        Some(Entry {
            id: id(self.resource, number),
            place: Place::In { parent: RemoteId::new(ROOT) },
            name: self.title(row),
            kind: EntryKind::Record { module: self.name.to_owned(), number: number.to_string() },
            version: Version::new(row.text("updated_at")),
            modified_at: row.time("updated_at"),
            access: Access::Read { reason: TAKES_NONE.to_owned() },
            marker: None,
        })
    }

    fn has(&self, row: &Contact) -> bool {
        self.organisations.is_none_or(|organisations| (organisations == "true") == row.is_organization())
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        self.organisations.map(|value| ("is_organization", value.to_owned())).into_iter().collect()
    }
}

impl FileOptions {
    fn modules(&self) -> Vec<&'static Module> {
        let chosen = |module: &Module| match &self.records {
            Records::All | Records::Segment(_) => true,
            Records::Some(some) => some.iter().any(|one| one.kind == module.kind),
        };
        let wanted = |module: &&Module| self.modules.iter().any(|name| name == module.name) && chosen(module);
        ALL.iter().filter(wanted).collect()
    }

    /// The tag that records are chosen by, where they are.
    fn tag(&self) -> Option<&str> {
        let Records::Segment(segment) = &self.records else { return None };
        segment.strip_prefix("tag:").filter(|tag| !tag.is_empty())
    }

    /// The ids that a module's records are chosen by, where they are.
    fn ids(&self, module: &Module) -> Option<Vec<&str>> {
        let Records::Some(some) = &self.records else { return None };
        Some(some.iter().filter(|one| one.kind == module.kind).map(|one| one.id.as_str()).collect())
    }

    /// Whether a record that is there is among those chosen.
    fn chooses(&self, module: &Module, row: &Contact) -> bool {
        let own = row.id().map(|id| id.to_string()).unwrap_or_default();
        let listed = self.ids(module).is_none_or(|ids| ids.contains(&own.as_str()));
        let tagged = self.tag().is_none_or(|tag| row.tags().any(|own| own.eq_ignore_ascii_case(tag)));
        module.has(row) && listed && tagged
    }
}

/// The modules of one turn.
struct Turn<'a> {
    documents: &'a SellDocuments,
    modules: Vec<&'static Module>,
}

#[async_trait]
impl Modules for Turn<'_> {
    fn count(&self) -> usize {
        self.modules.len()
    }

    async fn page(&self, module: usize, wanted: Wanted, at: &PageAt) -> Result<RecordPage> {
        match wanted {
            // No list can be asked for what changed, and whether a new document changes its record is not documented.
            Wanted::ChangedSince(_) => Ok(RecordPage::default()),
            Wanted::All => self.documents.page(self.modules[module], at).await,
        }
    }
}

impl SellDocuments {
    /// One page of a round: records whose documents are to be read.
    pub(super) async fn round(&self, from: Option<&Cursor>) -> Result<FilePage> {
        let round = Round::at(from).ok_or_else(error::cursor_expired)?;
        if matches!(self.options.records, Records::Segment(_)) && self.options.tag().is_none() {
            return Err(error::forbidden(LIST, "Sell has no such segment; please choose a tag"));
        }
        let now = self.clock.now();
        if let Some(resting) = round.resting(PACE, now) {
            return Ok(resting);
        }
        round.go_on(&Turn { documents: self, modules: self.options.modules() }, PACE, now).await
    }

    async fn page(&self, module: &Module, at: &PageAt) -> Result<RecordPage> {
        let number = usize::try_from(at.number).unwrap_or(usize::MAX);
        let (rows, last) = match self.options.ids(module) {
            Some(ids) => {
                let some: Vec<&str> = ids.iter().copied().skip((number - 1).saturating_mul(PAGE)).take(PAGE).collect();
                let rows = self.by_id(module, &some).await?.into_values().collect();
                (rows, number.saturating_mul(PAGE) >= ids.len())
            }
            None => self.listed(module, number).await?,
        };
        let chosen = rows.iter().filter(|row| self.options.chooses(module, row));
        let records = chosen.filter_map(|row| module.entry(row)).collect();
        Ok(RecordPage { records, next: (!last).then(|| at.after()), at: Some(self.clock.now()) })
    }

    async fn listed(&self, module: &Module, page: usize) -> Result<(Vec<Contact>, bool)> {
        let mut query = module.query();
        query.extend([("page", page.to_string()), ("per_page", PAGE.to_string()), ("sort_by", "id".to_owned())]);
        let response = self.client.send(Call::holders(module.path, query)).await?;
        let answer: Many<Contact> = api::parse(LIST, &response)?;
        let last = api::is_last(&answer, PAGE);
        Ok((answer.items.into_iter().map(|one| one.data).collect(), last))
    }

    /// These records as the user sees them. At most [`PAGE`].
    async fn by_id(&self, module: &Module, ids: &[&str]) -> Result<BTreeMap<u64, Contact>> {
        let ids: Vec<&str> = ids.iter().copied().filter(|id| id.parse::<u64>().is_ok()).collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let query = vec![("ids", ids.join(",")), ("per_page", PAGE.to_string())];
        let response = self.client.send(Call::holders(module.path, query)).await?;
        let answer: Many<Contact> = api::parse(LIST, &response)?;
        let rows = answer.items.into_iter().map(|one| one.data);
        Ok(rows.filter_map(|row| Some((row.id()?, row))).collect())
    }

    /// What became of records that a round did not tell. One that is not there may be deleted, or not be shown to the user
    /// any more: Sell says no difference, so nothing is deleted for it.
    pub(super) async fn became(&self, ids: &[RemoteId]) -> Result<Vec<FileChange>> {
        let listed = self.listed_by_id(ids).await?;
        let mut changes = Vec::with_capacity(ids.len());
        for id in ids {
            let told = match Holder::of(id) {
                Some(holder) => match listed.get(&(holder.kind, holder.id)) {
                    Some(row) => self.chosen(&holder, row),
                    // Whether a list by ids shows all that can be read is not documented.
                    None => self.row(&holder).await?.and_then(|row| self.chosen(&holder, &row)),
                },
                None => None,
            };
            changes.push(told.unwrap_or_else(|| FileChange::Outside { id: id.clone() }));
        }
        Ok(changes)
    }

    /// Those of these records that their lists show, by resource and number.
    async fn listed_by_id(&self, ids: &[RemoteId]) -> Result<BTreeMap<(&'static str, u64), Contact>> {
        let mut by_resource: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for holder in ids.iter().filter_map(Holder::of) {
            by_resource.entry(holder.kind).or_default().push(holder.id.to_string());
        }
        let mut found = BTreeMap::new();
        for (resource, ids) in by_resource {
            let module = module_of(resource);
            for some in ids.chunks(PAGE) {
                let some: Vec<&str> = some.iter().map(String::as_str).collect();
                let rows = self.by_id(module, &some).await?;
                found.extend(rows.into_iter().map(|(id, row)| ((resource, id), row)));
            }
        }
        Ok(found)
    }

    /// A record as one of those chosen, where it is.
    fn chosen(&self, holder: &Holder, row: &Contact) -> Option<FileChange> {
        let modules = self.options.modules();
        let of_it = |one: &&Module| one.resource == holder.kind && self.options.chooses(one, row);
        Some(FileChange::Upsert(Box::new(modules.into_iter().find(of_it)?.entry(row)?)))
    }

    async fn row(&self, holder: &Holder) -> Result<Option<Contact>> {
        let module = module_of(holder.kind);
        match self.client.send(Call::holder(module.path, holder.id)).await {
            Ok(response) => Ok(Some(api::parse::<One<Contact>>(LIST, &response)?.data)),
            Err(failure) if [ErrorKind::NotFound, ErrorKind::Forbidden].contains(&failure.kind) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn look_at_record(&self, entry: &EntryRef, holder: &Holder) -> Result<Option<Entry>> {
        let row = self.row(holder).await?;
        let module =
            ALL.iter().find(|module| module.resource == holder.kind && row.as_ref().is_none_or(|row| module.has(row)));
        let module = module.expect("it was found by it");
        let unseen = || Entry {
            id: entry.id.clone(),
            place: Place::In { parent: RemoteId::new(ROOT) },
            name: entry.name.0.clone(),
            kind: EntryKind::Record { module: module.name.to_owned(), number: holder.id.to_string() },
            version: Version::new("1"),
            modified_at: None,
            access: Access::Read { reason: "Sell does not show this record to the user any more.".to_owned() },
            marker: None,
        };
        Ok(Some(row.and_then(|row| module.entry(&row)).unwrap_or_else(unseen)))
    }

    pub(super) async fn file_choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let named = |module: &Module| Choice { id: module.name.to_owned(), name: module.name.to_owned() };
        let mut tags = Vec::new();
        for page in 1..=MOST_TAG_PAGES {
            let response = self.client.send(Call::tags(page)).await?;
            let answer: Many<Tag> = api::parse(LIST, &response)?;
            let last = api::is_last(&answer, PAGE);
            tags.extend(answer.items.into_iter().map(|one| one.data.name));
            if last {
                break;
            }
        }
        let segment = |tag: String| Choice { id: format!("tag:{tag}"), name: format!("Tag “{tag}”") };
        Ok(vec![("modules", ALL.iter().map(named).collect()), ("records", tags.into_iter().map(segment).collect())])
    }
}
