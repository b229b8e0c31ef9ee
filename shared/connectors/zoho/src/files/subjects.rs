//! Whose attachments: the records of the chosen modules, in rounds.
use super::{FileOptions, ROOT, ZohoFiles, file_entry};
use crate::api::attachments::{self, Holder, RecordKind};
use crate::api::records::At;
use crate::contacts::feed::{iso, second};
use crate::error::{self, Operation};
use crate::wire::{Attachment, DeletedRecords, Record, Records as RecordRows};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_core::files::entry::{Access, EntryKind, Place};
use tandem_core::files::settings::Records;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Choice, Cursor};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::files::{Entry, EntryRef, FileChange, FilePage};
use tandem_ports::round::{Modules, Pace, PageAt, RecordPage, Round, Wanted};

/// Records that one run reads, a credit each. Half-hourly that is 14,400 credits a day, of 50,000 that the smallest paid
/// edition has.
const PACE: Pace = Pace { records: 300, rest: SignedDuration::from_mins(10) };
/// The same once Zoho says that half of the day's credits are used.
const SPARING: Pace = Pace { records: 60, ..PACE };
/// Records chosen one by one that one call is asked for.
const BY_ID: usize = 100;
/// A page token is good for so long.
const TOKEN_LIVES: SignedDuration = SignedDuration::from_hours(24);
/// Pages of deleted records that are looked through for a proof.
const MOST_DELETED: u32 = 10;

/// A sort of records that attachments can be at.
struct Module {
    /// As in the setting `modules`.
    name: &'static str,
    /// As in the setting `records`.
    kind: &'static str,
    /// The field that people know it by.
    title: &'static str,
    rows: RecordKind,
}

const fn rows(module: &'static str, fields: &'static str, scope: &'static str) -> RecordKind {
    RecordKind { operation: Operation { name: "records.list", scope }, module, fields }
}

const ALL: [Module; 4] = [
    Module {
        name: "contacts",
        kind: "contact",
        title: "Full_Name",
        rows: rows("Contacts", "Full_Name,Modified_Time", "ZohoCRM.modules.contacts.READ"),
    },
    Module {
        name: "companies",
        kind: "company",
        title: "Account_Name",
        rows: rows("Accounts", "Account_Name,Modified_Time", "ZohoCRM.modules.accounts.READ"),
    },
    Module {
        name: "leads",
        kind: "lead",
        title: "Full_Name",
        rows: rows("Leads", "Full_Name,Modified_Time", "ZohoCRM.modules.leads.READ"),
    },
    Module {
        name: "deals",
        kind: "deal",
        title: "Deal_Name",
        rows: rows("Deals", "Deal_Name,Modified_Time", "ZohoCRM.modules.deals.READ"),
    },
];

/// The record of an id on our side, `<module>:<id>`; `None` where it is no record's.
pub(super) fn holder(id: &RemoteId) -> Option<Holder> {
    let (module, id) = id.as_str().split_once(':')?;
    let module = module_of(module)?;
    Some(Holder { module: module.rows.module, id: id.to_owned() })
}

fn module_of(api: &str) -> Option<&'static Module> {
    ALL.iter().find(|module| module.rows.module == api)
}

/// The number for people. Zoho's ids begin with the organisation's, which all have; the last twelve digits count.
fn number(id: &str) -> String {
    let own = id.get(id.len().saturating_sub(12)..).unwrap_or(id);
    own.trim_start_matches('0').to_owned()
}

impl Module {
    fn id(&self, id: &str) -> RemoteId {
        RemoteId::new(format!("{}:{id}", self.rows.module))
    }

    fn entry(&self, row: &Record) -> Entry {
        Entry {
            id: self.id(row.id()),
            place: Place::In { parent: RemoteId::new(ROOT) },
            name: row.text(self.title).to_owned(),
            kind: EntryKind::Record { module: self.name.to_owned(), number: number(row.id()) },
            version: Version::new(second(row.modified()).to_string()),
            modified_at: row.modified_at(),
            access: Access::Write,
            marker: None,
        }
    }

    /// A record that is there, and more the user may not see.
    fn unseen(&self, entry: &EntryRef, id: &str, reason: String) -> Entry {
        Entry {
            id: entry.id.clone(),
            place: Place::In { parent: RemoteId::new(ROOT) },
            name: entry.name.0.clone(),
            kind: EntryKind::Record { module: self.name.to_owned(), number: number(id) },
            version: Version::new("1"),
            modified_at: None,
            access: Access::Read { reason },
            marker: None,
        }
    }
}

impl FileOptions {
    fn modules(&self) -> Vec<&'static Module> {
        let chosen = |module: &Module| match &self.records {
            Records::All => true,
            Records::Segment(_) => self.view(module).is_some(),
            Records::Some(some) => some.iter().any(|one| one.kind == module.kind),
        };
        let wanted = |module: &&Module| self.modules.iter().any(|name| name == module.name) && chosen(module);
        ALL.iter().filter(wanted).collect()
    }

    /// The list view that a module's records are chosen by, where they are.
    fn view(&self, module: &Module) -> Option<&str> {
        let Records::Segment(segment) = &self.records else { return None };
        segment.strip_prefix(module.name)?.strip_prefix(':').filter(|view| !view.is_empty())
    }

    /// The ids that a module's records are chosen by, where they are.
    fn ids(&self, module: &Module) -> Option<Vec<&str>> {
        let Records::Some(some) = &self.records else { return None };
        Some(some.iter().filter(|one| one.kind == module.kind).map(|one| one.id.as_str()).collect())
    }
}

/// The modules of one turn.
struct Turn<'a> {
    files: &'a ZohoFiles,
    modules: Vec<&'static Module>,
    /// Zoho refused a page token.
    refused: AtomicBool,
}

#[async_trait]
impl Modules for Turn<'_> {
    fn count(&self) -> usize {
        self.modules.len()
    }

    async fn page(&self, module: usize, wanted: Wanted, at: &PageAt) -> Result<RecordPage> {
        let module = self.modules[module];
        let page = self.files.page(module, wanted, at).await;
        match page {
            Err(failure) if at.token.is_some() && is_refused(failure.kind) => {
                self.refused.store(true, Ordering::Relaxed);
                Err(failure)
            }
            // A module that the user may not see has no records for us.
            Err(failure) if error::is_forbidden(&failure) && self.modules.len() > 1 => Ok(RecordPage::default()),
            other => other,
        }
    }
}

impl ZohoFiles {
    /// One page of a round: records whose attachments are to be read.
    pub(super) async fn round(&self, from: Option<&Cursor>) -> Result<FilePage> {
        let operation = attachments::LIST;
        let round = Round::at(from);
        let mut round =
            round.ok_or_else(|| error::cursor_expired(operation, "the stored position is of another release"))?;
        let modules = self.options.modules();
        if modules.is_empty() && matches!(self.options.records, Records::Segment(_)) {
            return Err(error::forbidden(operation, "there is no such list view; please choose another"));
        }
        let pace = if self.client.is_short_of_credits() { SPARING } else { PACE };
        let now = self.client.clock.now();
        if let Some(resting) = round.resting(pace, now) {
            return Ok(resting);
        }
        let turn = Turn { files: self, modules, refused: AtomicBool::new(false) };
        let page = round.clone().go_on(&turn, pace, now).await;
        if !turn.refused.load(Ordering::Relaxed) || begun_anew(&round).is_some_and(|at| now < at + TOKEN_LIVES) {
            return page;
        }
        // It may have been too old: the lists begin anew. A token of theirs cannot be, so another refusal within its life is
        // about something else, and goes up.
        round.note = Some(now.to_string());
        round.begin_lists_anew();
        round.go_on(&turn, pace, now).await
    }

    async fn page(&self, module: &Module, wanted: Wanted, at: &PageAt) -> Result<RecordPage> {
        if let Some(ids) = self.options.ids(module) {
            return self.page_of_chosen(module, (wanted, &ids), at).await;
        }
        let view = self.options.view(module);
        let since = match wanted {
            Wanted::All => None,
            // Whether a list view can be asked for its changes is not documented; all of it comes by anyway.
            Wanted::ChangedSince(_) if view.is_some() => return Ok(RecordPage::default()),
            Wanted::ChangedSince(since) => Some(iso(since.as_second())),
        };
        let place = at.token.clone().map_or(At::Page(u32::try_from(at.number).unwrap_or(u32::MAX)), At::Token);
        let call = attachments::records(&self.client.origin, &module.rows, (&place, view), since.as_deref())?;
        let (answer, now) = self.client.ask_dated::<RecordRows>(call).await?;
        let answer = answer.unwrap_or_default();
        let next = attachments::records_after(&place, &answer.info)?.map(|next| match next {
            At::Page(number) => PageAt { number: u64::from(number), token: None },
            At::Token(token) => PageAt { token: Some(token), ..at.after() },
        });
        let records = answer.data.iter().map(|row| module.entry(row)).collect();
        Ok(RecordPage { records, next, at: Timestamp::from_second(now).ok() })
    }

    /// Records that were chosen one by one come by number; each round reads them all, changed or not.
    async fn page_of_chosen(
        &self,
        module: &Module,
        (wanted, ids): (Wanted, &[&str]),
        at: &PageAt,
    ) -> Result<RecordPage> {
        if matches!(wanted, Wanted::ChangedSince(_)) {
            return Ok(RecordPage::default());
        }
        let skip = usize::try_from(at.number - 1).unwrap_or(usize::MAX).saturating_mul(BY_ID);
        let some: Vec<&str> = ids.iter().copied().skip(skip).take(BY_ID).collect();
        let records = self.by_id(module, &some).await?.values().map(|row| module.entry(row)).collect();
        let more = skip.saturating_add(BY_ID) < ids.len();
        Ok(RecordPage { records, next: more.then(|| at.after()), at: Some(self.client.clock.now()) })
    }

    /// These records as the user sees them. At most [`BY_ID`].
    async fn by_id(&self, module: &Module, ids: &[&str]) -> Result<BTreeMap<String, Record>> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let call = attachments::records_by_id(&self.client.origin, &module.rows, ids)?;
        let answer: RecordRows = self.client.ask(call).await?.unwrap_or_default();
        Ok(answer.data.into_iter().map(|row| (row.id().to_owned(), row)).collect())
    }

    /// Those of these records that Zoho says were deleted. What is merely not shown to the user is not among them.
    async fn deleted(&self, module: &Module, ids: &BTreeSet<&str>) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for page in 1..=MOST_DELETED {
            if found.len() == ids.len() {
                break;
            }
            let call = attachments::deleted(&self.client.origin, &module.rows, page)?;
            let answer: DeletedRecords = self.client.ask(call).await?.unwrap_or_default();
            found.extend(answer.data.into_iter().map(|one| one.id).filter(|id| ids.contains(id.as_str())));
            if !answer.info.more_records {
                break;
            }
        }
        Ok(found)
    }

    /// What became of records that a round did not tell.
    pub(super) async fn became(&self, ids: &[RemoteId]) -> Result<Vec<FileChange>> {
        let chosen = self.options.modules();
        let mut changes = Vec::new();
        let mut by_module: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for id in ids {
            match holder(id).filter(|holder| chosen.iter().any(|module| module.rows.module == holder.module)) {
                Some(holder) => by_module.entry(holder.module).or_default().push(holder.id),
                None => changes.push(FileChange::Outside { id: id.clone() }),
            }
        }
        for (api, ids) in by_module {
            let module = module_of(api).expect("it was found by it");
            match self.became_of(module, &ids).await {
                Ok(became) => changes.extend(became),
                // Nothing follows for records that the user may not see.
                Err(failure) if error::is_forbidden(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(changes)
    }

    async fn became_of(&self, module: &Module, ids: &[String]) -> Result<Vec<FileChange>> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let there = self.by_id(module, &ids).await?;
        let missing: BTreeSet<&str> = ids.iter().copied().filter(|id| !there.contains_key(*id)).collect();
        let deleted = self.deleted(module, &missing).await?;
        let among = self.options.ids(module);
        // A list view that did not show a record does not have it.
        let is_chosen =
            |id: &str| self.options.view(module).is_none() && among.as_ref().is_none_or(|ids| ids.contains(&id));
        let became = |id: &&str| match there.get(*id).filter(|_| is_chosen(id)) {
            Some(row) => FileChange::Upsert(Box::new(module.entry(row))),
            None if deleted.contains(*id) => FileChange::Gone { id: module.id(id) },
            None => FileChange::Outside { id: module.id(id) },
        };
        Ok(ids.iter().map(became).collect())
    }

    /// Entries as they are now, one call for each record that they are at.
    pub(super) async fn look(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        let mut listed: BTreeMap<Holder, Vec<Attachment>> = BTreeMap::new();
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(record) = holder(&entry.id) {
                found.push(self.look_at_record(entry, &record).await?);
                continue;
            }
            let Some(record) = holder(&entry.parent.id) else {
                found.push(None);
                continue;
            };
            if !listed.contains_key(&record) {
                let rows = match self.all(&record).await {
                    Err(failure) if error::is_gone(&failure) => Vec::new(),
                    rows => rows?,
                };
                listed.insert(record.clone(), rows);
            }
            let row = listed[&record].iter().find(|row| row.id == entry.id.as_str());
            found.push(row.map(|row| file_entry(row, &entry.parent.id)));
        }
        Ok(found)
    }

    async fn look_at_record(&self, entry: &EntryRef, record: &Holder) -> Result<Option<Entry>> {
        let module = module_of(record.module).expect("it was found by it");
        let id = record.id.as_str();
        match self.by_id(module, &[id]).await {
            Ok(rows) => match rows.get(id) {
                Some(row) => Ok(Some(module.entry(row))),
                None if self.deleted(module, &BTreeSet::from([id])).await?.is_empty() => {
                    let reason = "Zoho does not show this record to the user any more.".to_owned();
                    Ok(Some(module.unseen(entry, id, reason)))
                }
                None => Ok(None),
            },
            Err(failure) if error::is_forbidden(&failure) => Ok(Some(module.unseen(entry, id, failure.detail))),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn file_choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let named = |module: &Module| Choice { id: module.name.to_owned(), name: module.name.to_owned() };
        let mut views = Vec::new();
        for module in &ALL {
            let of_module = match self.client.views(module.rows.module).await {
                Err(failure) if error::is_forbidden(&failure) => Vec::new(),
                views => views?,
            };
            views.extend(of_module.into_iter().map(|view| Choice {
                id: format!("{}:{}", module.name, view.id),
                name: format!("{}: {}", module.rows.module, view.name),
            }));
        }
        Ok(vec![("modules", ALL.iter().map(named).collect()), ("records", views)])
    }
}

/// When a list of this round last began anew, as its token was refused.
fn begun_anew(round: &Round) -> Option<Timestamp> {
    round.note.as_deref()?.parse().ok()
}

/// Whether Zoho refuses what was asked, and not for now.
fn is_refused(kind: ErrorKind) -> bool {
    [ErrorKind::Permanent, ErrorKind::NotFound].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_known_to_people_by_what_counts_of_its_id() {
        assert_eq!(number("4876876000000376008"), "376008");
        assert_eq!(number("554023000000000042"), "42");
        assert_eq!(number("7"), "7");
    }

    #[test]
    fn an_id_on_our_side_names_the_record_and_one_of_an_attachment_none() {
        let found = holder(&RemoteId::new("Accounts:12")).unwrap();
        assert_eq!((found.module, found.id.as_str()), ("Accounts", "12"));
        assert!(holder(&RemoteId::new("12")).is_none() && holder(&RemoteId::new("Invoices:12")).is_none());
    }
}
