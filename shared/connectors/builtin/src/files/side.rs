//! The files of the built-in CRM as one side of a sync.
use super::access;
use super::hashes_of;
use super::pending::settle;
use super::uploads::{Flow, flow, part_number};
use super::write::{self, NAME_TAKEN, Within};
use crate::crm::read_filter;
use crate::error::{CrmError, PROVIDER, classify};
use crate::filter::Filter;
use crate::ledger::Ledger;
use crate::record::Record;
use crate::schema::Kind;
use crate::users::{Action, User};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tandem_core::files::entry::{Access, EntryKind, Hashes, Place};
use tandem_core::files::settings::Records;
use tandem_core::record::{Marker, RemoteId, Version};
use tandem_ports::blobs::{BlobKey, BlobStore};
use tandem_ports::connector::{Choice, Cursor, Outcomes};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::files::{
    CHUNK, ChildrenPage, Entry, EntryRef, FileCapabilities, FileChange, FileNext, FilePage, FileSide, FolderRef,
    Listing, Names, NewFolder, NewRoot, Relocation, Removal, SessionStatus, Stored, Target, Upload, UploadSession,
};
use tandem_ports::infra::Clock;
use tandem_ports::table::Table;

/// Feed entries of one page.
const PAGE: usize = 200;
/// Files of one [`FileSide::put`]: as many creations as fit a commit.
const BATCH: usize = 12;

/// Whose files are opened.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// `contacts`, `companies`, ….
    pub modules: Vec<String>,
    /// Which of their records.
    pub records: Records,
}

/// The files of one account, as one of its users may see and change them.
pub struct BuiltinFiles {
    pub(super) ledger: Ledger,
    pub(super) blobs: Arc<dyn BlobStore>,
    actor: User,
    options: FileOptions,
    /// The segment's filter, where one bounds the sync.
    filter: Option<(Kind, Filter)>,
}

/// What is inside our cursors.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Position {
    /// Every entry up to here is done.
    seq: u64,
    /// Up to here this is a listing of records: what is in them is read folder by folder.
    skip: u64,
}

impl BuiltinFiles {
    /// Opens the files of an account for a user of it. A user who is gone is `AuthRevoked`; a segment that is gone is
    /// `Forbidden` and says so.
    pub async fn open(
        table: Arc<dyn Table>,
        clock: Arc<dyn Clock>,
        blobs: Arc<dyn BlobStore>,
        (account, user): (&str, &str),
        options: FileOptions,
    ) -> Result<BuiltinFiles> {
        const OPERATION: &str = "files.open";
        let ledger = Ledger { table, clock, account: account.to_owned() };
        let segment = match &options.records {
            Records::Segment(id) => Some(id.clone()),
            Records::All | Records::Some(_) => None,
        };
        let ids: Vec<&str> = std::iter::once(user).chain(segment.as_deref()).collect();
        let mut found = ledger.records(&ids).await.map_err(|error| classify(OPERATION, error))?.into_iter();
        let Some(record) = found.next().flatten().filter(|record| record.kind == Kind::User) else {
            let detail = "this user of the built-in CRM is gone";
            return Err(ConnectorError::new(PROVIDER, OPERATION, ErrorKind::AuthRevoked, detail));
        };
        let actor = User::of(account, &record).map_err(|error| classify(OPERATION, error))?;
        actor.require_export().map_err(|error| classify(OPERATION, error))?;
        let filter = match segment {
            None => None,
            Some(_) => Some(segment_filter(found.next().flatten()).map_err(|error| classify(OPERATION, error))?),
        };
        Ok(BuiltinFiles { ledger, blobs, actor, options, filter })
    }

    /// Whether a record is among those chosen.
    fn selects(&self, record: &Record) -> bool {
        if !self.options.modules.iter().any(|module| module == record.kind.plural()) {
            return false;
        }
        match (&self.options.records, &self.filter) {
            (_, Some((kind, filter))) => *kind == record.kind && filter.passes(record),
            (Records::Some(some), None) => some.iter().any(|one| one.id == record.id && one.kind == record.kind.word()),
            (Records::All | Records::Segment(_), None) => true,
        }
    }

    pub(super) fn entry(&self, record: &Record) -> Entry {
        let (kind, place) = if record.kind == Kind::File {
            let content = Version::new(record.text("blob"));
            let size = record.body.get("size").and_then(serde_json::Value::as_u64).unwrap_or(0);
            (EntryKind::File { size, hashes: hashes_of(&record.body), content }, record.inside().unwrap_or_default())
        } else if record.kind == Kind::Folder {
            (EntryKind::Folder, record.inside().unwrap_or_default())
        } else {
            let (module, number) = (record.kind.plural().to_owned(), record.number.to_string());
            (EntryKind::Record { module, number }, ROOT)
        };
        let access = match (&kind, access::missing_right(&self.actor, record)) {
            (EntryKind::Record { .. }, Some(right)) => {
                Access::Read { reason: format!("The right “{right}” is missing in the CRM.") }
            }
            (_, _) => Access::Write,
        };
        Entry {
            id: RemoteId::new(&record.id),
            place: Place::In { parent: RemoteId::new(place) },
            name: record.title(),
            kind,
            version: Version::new(record.version.to_string()),
            modified_at: Some(record.updated_at),
            access,
            marker: record.marker.clone().map(Marker::new),
        }
    }

    async fn page(&self, from: Option<&Cursor>) -> Result<FilePage, CrmError> {
        settle(&self.ledger, self.blobs.as_ref()).await?;
        let at: Position = match from {
            Some(cursor) => serde_json::from_str(&cursor.0).map_err(|_| CrmError::UnknownCursor)?,
            None => Position { seq: 0, skip: self.ledger.head().await?.seq },
        };
        let (entries, more) = self.ledger.feed(at.seq, PAGE).await?;
        let seq = entries.last().map_or(at.seq, |entry| entry.seq);
        let live: Vec<&str> = entries.iter().filter(|entry| !entry.deleted).map(|entry| entry.id.as_str()).collect();
        let found = if live.is_empty() { Vec::new() } else { self.ledger.records(&live).await? };
        let records: HashMap<&str, Record> =
            live.iter().zip(found).filter_map(|(id, record)| Some((*id, record?))).collect();
        let mut changes = Vec::new();
        for entry in &entries {
            let news = entry.seq > at.skip;
            let inner = matches!(entry.kind, Kind::File | Kind::Folder);
            if !inner && !Kind::WITH_FILES.contains(&entry.kind) {
                if let (Records::Segment(id), true) = (&self.options.records, news)
                    && *id == entry.id
                {
                    // Another filter: any record may have come in or gone out.
                    return Err(CrmError::UnknownCursor);
                }
                continue;
            }
            let id = RemoteId::new(&entry.id);
            match records.get(entry.id.as_str()) {
                None if news => changes.push(FileChange::Gone { id }),
                None => {}
                Some(record) if inner && news => changes.push(FileChange::Upsert(Box::new(self.entry(record)))),
                Some(_) if inner => {}
                Some(record) if self.may_see(record) && self.selects(record) => {
                    changes.push(FileChange::Upsert(Box::new(self.entry(record))));
                }
                Some(_) if news => changes.push(FileChange::Outside { id }),
                Some(_) => {}
            }
        }
        let cursor = Cursor(serde_json::to_string(&Position { seq, ..at }).expect("numbers serialise"));
        Ok(FilePage { changes, next: if more { FileNext::More(cursor) } else { FileNext::CaughtUp(cursor) } })
    }

    fn may_see(&self, record: &Record) -> bool {
        self.actor.require(record.kind, Action::View).is_ok()
    }

    async fn children_of(&self, folders: &[FolderRef], from: Option<&Cursor>) -> Result<ChildrenPage, CrmError> {
        let (index, after) = match from {
            None => (0, None),
            Some(cursor) => {
                let (index, name) = cursor.0.split_once(' ').ok_or(CrmError::UnknownCursor)?;
                (index.parse::<usize>().map_err(|_| CrmError::UnknownCursor)?, Some(name))
            }
        };
        let Some(folder) = folders.get(index) else {
            return Ok(ChildrenPage { entries: Vec::new(), unreadable: Vec::new(), next: None });
        };
        let (names, more) = self.ledger.inside(folder.id.as_str(), after.filter(|name| !name.is_empty()), PAGE).await?;
        let ids: Vec<&str> = names.iter().map(|(_, id)| id.as_str()).collect();
        let records = if ids.is_empty() { Vec::new() } else { self.ledger.records(&ids).await? };
        let entries = records.iter().flatten().map(|record| self.entry(record)).collect();
        let next = match names.last() {
            Some((name, _)) if more => Some(format!("{index} {name}")),
            Some(_) | None => (index + 1 < folders.len()).then(|| format!("{} ", index + 1)),
        };
        Ok(ChildrenPage { entries, unreadable: Vec::new(), next: next.map(Cursor) })
    }

    /// Checks the right to write into a folder or record, or to a file.
    pub(super) async fn may_write(&self, id: &str) -> Result<(), CrmError> {
        let record = self.ledger.record(id).await?.ok_or(CrmError::NotFound)?;
        let subject = if record.inside().is_some() { access::subject_of(&self.ledger, &record).await? } else { record };
        access::require_edit(&self.actor, &subject)
    }
}

/// The root's id; records are in it.
const ROOT: &str = "crm";

fn segment_filter(record: Option<Record>) -> Result<(Kind, Filter), CrmError> {
    let record = record.filter(|record| record.kind == Kind::Segment).ok_or(CrmError::ContainerGone)?;
    let module = Kind::of_module(record.text("module")).ok_or(CrmError::Corrupt)?;
    let filter = read_filter(&record)?.for_module(module).ok_or(CrmError::ContainerGone)?;
    Ok((module, filter))
}

pub(super) fn number(version: &Version) -> Result<u64, CrmError> {
    version.as_str().parse().map_err(|_| CrmError::Stale)
}

/// A name that is taken is a conflict for a sync: it looks again.
fn judge(operation: &'static str, error: CrmError) -> ConnectorError {
    if let CrmError::Refused { message } = &error
        && message == NAME_TAKEN
    {
        return ConnectorError::new(PROVIDER, operation, ErrorKind::Conflict, message);
    }
    classify(operation, error)
}

#[async_trait]
impl FileSide for BuiltinFiles {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> FileCapabilities {
        FileCapabilities {
            writable: true,
            listing: Listing::Folders,
            names: Names::Unique,
            stable_ids: true,
            replace_keeps_id: true,
            conditional_writes: true,
            empty_folders: true,
            max_depth: Some(super::DEPTH),
            keeps_markers: true,
            reserves_ids: true,
            cursors_expire: true,
            max_bytes: Some(10_000 * CHUNK),
            put_bytes: CHUNK,
            put_batch: BATCH,
            chunk_multiple: CHUNK,
            concurrent_appends: 3,
            concurrent_calls: 16,
            children_batch: 10,
            batch: 100,
        }
    }

    async fn ensure_root(&self, known: Option<&RemoteId>, _root: &NewRoot) -> Result<FolderRef> {
        if known.is_some_and(|known| known.as_str() != ROOT) {
            return Err(classify("files.root", CrmError::NotFound));
        }
        Ok(FolderRef { id: RemoteId::new(ROOT), path: String::new() })
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage> {
        self.page(from).await.map_err(|error| classify("files.changes", error))
    }

    async fn children(&self, folders: &[FolderRef], from: Option<&Cursor>) -> Result<ChildrenPage> {
        self.children_of(folders, from).await.map_err(|error| classify("files.children", error))
    }

    async fn get(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        let found = self.ledger.records(&ids).await.map_err(|error| classify("files.get", error))?;
        Ok(found.iter().map(|record| record.as_ref().map(|record| self.entry(record))).collect())
    }

    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        let fail = |error| classify("files.read", error);
        // Objects are never written over: where the key is still there, it has the bytes that were asked for.
        match self.blobs.get(&BlobKey(content.as_str().to_owned()), range).await {
            Ok(bytes) => Ok(bytes),
            Err(tandem_ports::blobs::BlobError::Missing) => {
                let there = self.ledger.record(entry.id.as_str()).await.map_err(fail)?.is_some();
                Err(fail(if there { CrmError::Stale } else { CrmError::NotFound }))
            }
            Err(error) => Err(fail(error.into())),
        }
    }

    async fn export_pdf(&self, _entry: &EntryRef) -> Result<Bytes> {
        Err(classify("files.export", CrmError::refused("the CRM has no documents without bytes")))
    }

    async fn reserve(&self, count: usize) -> Result<Vec<RemoteId>> {
        Ok((0..count).map(|_| RemoteId::new(self.ledger.new_id())).collect())
    }

    async fn create_folders(&self, folders: &[NewFolder]) -> Result<Outcomes<Entry>> {
        let mut outcomes = Vec::with_capacity(folders.len());
        for new in folders {
            let made = async {
                self.may_write(new.parent.id.as_str()).await?;
                let name = crate::files::checked_name("name", &new.name.0)?;
                let id = new.id.as_ref().map_or_else(|| self.ledger.new_id(), |id| id.as_str().to_owned());
                if let Some(there) = self.ledger.record(&id).await? {
                    return Ok(there);
                }
                let own = Some((id, new.marker.as_str().to_owned()));
                write::ensure_folder(&self.ledger, new.parent.id.as_str(), &name, own).await
            };
            outcomes.push(
                made.await.map(|record| self.entry(&record)).map_err(|error| judge("files.create_folder", error)),
            );
        }
        Ok(outcomes)
    }

    async fn put(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        let puts: Vec<_> = files.iter().map(|(upload, bytes)| self.put_one(upload, bytes)).collect();
        let stored = futures::future::join_all(puts).await;
        Ok(stored.into_iter().map(|one| one.map_err(|error| judge("files.put", error))).collect())
    }

    async fn begin(&self, upload: &Upload) -> Result<UploadSession> {
        let fail = |error| judge("files.begin", error);
        let target = match &upload.target {
            Target::New { parent, .. } => parent.id.as_str(),
            Target::Replace { entry, .. } => entry.id.as_str(),
        };
        self.may_write(target).await.map_err(fail)?;
        let begun = self.blobs.begin(&self.new_blob(upload)).await.map_err(|error| fail(error.into()))?;
        Ok(UploadSession(serde_json::to_string(&Flow { upload: begun }).expect("texts serialise")))
    }

    async fn append(&self, session: &UploadSession, _upload: &Upload, offset: u64, bytes: Bytes) -> Result<()> {
        let fail = |error| judge("files.append", error);
        let flow = flow(session).map_err(fail)?;
        self.blobs.part(&flow.upload, part_number(offset), bytes).await.map_err(|error| fail(error.into()))?;
        Ok(())
    }

    async fn finish(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        let fail = |error| judge("files.finish", error);
        let flow = flow(session).map_err(fail)?;
        self.complete(&flow, upload, offset, last, whole).await.map_err(fail)
    }

    async fn status(&self, session: &UploadSession, upload: &Upload, _acknowledged: u64) -> Result<SessionStatus> {
        let fail = |error| judge("files.status", error);
        let flow = flow(session).map_err(fail)?;
        self.state(&flow, upload).await.map_err(fail)
    }

    async fn abandon(&self, session: &UploadSession) -> Result<()> {
        let fail = |error| judge("files.abandon", error);
        let flow = flow(session).map_err(fail)?;
        self.blobs.abort(&flow.upload).await.map_err(|error| fail(error.into()))
    }

    async fn relocate(&self, relocation: &Relocation) -> Result<Entry> {
        let fail = |error| judge("files.relocate", error);
        let id = relocation.entry.id.as_str();
        self.may_write(id).await.map_err(fail)?;
        self.may_write(relocation.parent.id.as_str()).await.map_err(fail)?;
        let name = crate::files::checked_name("name", &relocation.name.0).map_err(fail)?;
        let expect = Some(number(&relocation.expect).map_err(fail)?);
        let moved = write::relocate(&self.ledger, id, expect, relocation.parent.id.as_str(), &name).await;
        Ok(self.entry(&moved.map_err(fail)?))
    }

    async fn remove(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        let mut outcomes = Vec::with_capacity(removals.len());
        for removal in removals {
            let removed = async {
                match self.may_write(removal.entry.id.as_str()).await {
                    Err(CrmError::NotFound) => return Ok(()),
                    other => other?,
                }
                let expect = Some(number(&removal.expect)?);
                let gone = write::remove(&self.ledger, removal.entry.id.as_str(), expect, Within::Stays).await?;
                Ok(self.blobs.remove(&gone).await?)
            };
            outcomes.push(removed.await.map_err(|error| judge("files.remove", error)));
        }
        Ok(outcomes)
    }

    async fn missing(&self, chosen: &Records) -> Result<Option<String>> {
        let ids: Vec<&str> = match chosen {
            Records::All => return Ok(None),
            Records::Segment(id) => vec![id],
            Records::Some(some) => some.iter().map(|one| one.id.as_str()).collect(),
        };
        let found = self.ledger.records(&ids).await.map_err(|error| classify("files.missing", error))?;
        let Records::Some(some) = chosen else {
            let of = segment_filter(found.into_iter().next().flatten()).ok().map(|(kind, _)| kind.plural());
            return Ok(match of {
                None => Some("There is no such segment in the CRM.".to_owned()),
                Some(module) if self.options.modules.iter().any(|chosen| chosen == module) => None,
                Some(module) => Some(format!("This segment picks {module}, which are not among the modules.")),
            });
        };
        let there = |record: &Option<Record>, kind: &str| {
            record.as_ref().is_some_and(|record| record.kind.word() == kind && self.may_see(record))
        };
        let gone = some.iter().zip(&found).position(|(one, record)| !there(record, &one.kind));
        Ok(gone.map(|at| format!("No. {} of the list is no {} of the CRM.", at + 1, some[at].kind)))
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let fail = |error| classify("files.choices", error);
        let module = |kind: Kind| Choice { id: kind.plural().to_owned(), name: kind.plural().to_owned() };
        let modules = Kind::WITH_FILES.into_iter().filter(|kind| self.actor.require(*kind, Action::View).is_ok());
        let (rows, _) = self.ledger.rows(Kind::Segment, 0, PAGE).await.map_err(fail)?;
        let ids: Vec<&str> = rows.iter().map(|(_, id, _)| id.as_str()).collect();
        let segments = if ids.is_empty() { Vec::new() } else { self.ledger.records(&ids).await.map_err(fail)? };
        let segment = |record: &Record| Choice { id: record.id.clone(), name: record.title() };
        Ok(vec![
            ("modules", modules.map(module).collect()),
            ("records", segments.iter().flatten().map(segment).collect()),
        ])
    }
}
