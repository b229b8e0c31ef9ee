//! The documents of a Sell account as the CRM side of a files sync, read only: no API makes, changes or deletes one.
//!
//! `GET /v2/documents` lists those of many records at once; their bytes are behind addresses that end after 90 minutes.
mod subjects;

use crate::api::{self, Call, PAGE};
use crate::client::Client;
use crate::config::SellConfig;
use crate::error::{self, PROVIDER};
use crate::wire::{Document, Many, One};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use subjects::Holder;
use tandem_core::files::entry::{Access, EntryKind, Hashes, Place};
use tandem_core::files::settings::Records;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Choice, Cursor, Outcomes};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::files::{
    CHUNK, ChildrenPage, Entry, EntryRef, FileCapabilities, FileChange, FilePage, FileSide, FolderRef, Listing, Names,
    NewFolder, NewRoot, Relocation, Removal, SessionStatus, Stored, Upload, UploadSession,
};
use tandem_ports::infra::{Clock, HttpTransport};
use tandem_ports::pieces::{Broken, Downloads, Incoming, Opens};

/// The id of the root: the account.
const ROOT: &str = "root";
/// Why nothing goes to Sell.
const TAKES_NONE: &str = "Zendesk Sell's API takes no documents: they go from Sell to the other side alone.";
const LIST: &str = "documents.list";
const GET: &str = "documents.get";
const DOWNLOAD: &str = "documents.download";
const WRITE: &str = "documents.write";
/// Records whose documents one call lists. No most is documented; as many ids fit into an address.
const RECORDS: usize = 50;
/// Entries of the other batches.
const BATCH: usize = 20;
/// Pages of one call's documents that are read.
const MOST_PAGES: usize = 100;

/// Whose documents are opened.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// `contacts`, `companies`, `leads`, `deals`.
    pub modules: Vec<String>,
    /// Which of their records. A segment is a tag, `tag:<name>`.
    pub records: Records,
}

/// The documents of one account, as one of its users sees them.
pub struct SellDocuments {
    client: Client,
    bare: Arc<dyn HttpTransport>,
    clock: Arc<dyn Clock>,
    options: FileOptions,
    downloads: Downloads,
}

impl SellDocuments {
    /// `transport` adds the account's access token, `bare` does not: addresses of bytes get no token.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        bare: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: SellConfig,
        options: FileOptions,
    ) -> Self {
        let client = Client::new(transport, Arc::clone(&clock), config);
        Self { client, bare, clock, options, downloads: Downloads::default() }
    }

    /// The documents of some records of one type.
    async fn of(&self, kind: &str, ids: &[u64]) -> Result<Vec<Document>> {
        let mut all: Vec<Document> = Vec::new();
        for page in 1..=MOST_PAGES {
            let response = self.client.send(Call::documents(kind, ids, page)).await?;
            let answer: Many<Document> = api::parse(LIST, &response)?;
            let last = api::is_last(&answer, PAGE);
            all.extend(answer.items.into_iter().map(|one| one.data));
            if last {
                return Ok(all);
            }
        }
        Err(error::refused(LIST, "these records have more documents than can be listed"))
    }

    /// The same where a record among them may not be there, or not be shown: that one is told apart.
    async fn of_each(&self, kind: &str, ids: &[u64], page: &mut ChildrenPage) -> Result<()> {
        let read = match self.of(kind, ids).await {
            Err(failure) if about_a_record(&failure) && ids.len() > 1 => {
                for id in ids {
                    Box::pin(self.of_each(kind, &[*id], page)).await?;
                }
                return Ok(());
            }
            read => read,
        };
        match read {
            Ok(documents) => {
                let ours = documents.iter().filter(|one| one.resource_type == kind && ids.contains(&one.resource_id));
                page.entries.extend(ours.map(|one| self.entry(one)));
            }
            Err(failure) if failure.kind == ErrorKind::NotFound => {}
            Err(failure) if failure.kind == ErrorKind::Forbidden => {
                let unreadable = ids.iter().map(|id| (subjects::id(kind, *id), failure.detail.clone()));
                page.unreadable.extend(unreadable);
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// One document; `None` where there is none of this id for the user.
    async fn one(&self, id: &RemoteId) -> Result<Option<Document>> {
        let Ok(id) = crate::client::number(GET, id) else { return Ok(None) };
        match self.client.send(Call::document(id)).await {
            Ok(response) => Ok(Some(api::parse::<One<Document>>(GET, &response)?.data)),
            Err(failure) if failure.kind == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn entry(&self, one: &Document) -> Entry {
        let content = version(one);
        Entry {
            id: RemoteId::new(one.id.to_string()),
            place: Place::In { parent: subjects::id(&one.resource_type, one.resource_id) },
            name: one.name.clone(),
            kind: EntryKind::File { size: one.size, hashes: Hashes::none(), content: content.clone() },
            version: content,
            modified_at: one.updated_at.parse().ok(),
            access: Access::Read { reason: TAKES_NONE.to_owned() },
            marker: None,
        }
    }

    async fn look(&self, entry: &EntryRef) -> Result<Option<Entry>> {
        match Holder::of(&entry.id) {
            Some(holder) => self.look_at_record(entry, &holder).await,
            None => Ok(self.one(&entry.id).await?.map(|one| self.entry(&one))),
        }
    }
}

/// Whether a failure is about what was asked for, and not about the account or the moment.
fn about_a_record(failure: &ConnectorError) -> bool {
    [ErrorKind::NotFound, ErrorKind::Forbidden, ErrorKind::Permanent].contains(&failure.kind)
}

/// The time of the last update (whole seconds) and the size: Sell says no more of the bytes.
fn version(one: &Document) -> Version {
    Version::new(format!("{} {}", one.updated_at, one.size))
}

fn takes_none() -> ConnectorError {
    error::refused(WRITE, TAKES_NONE)
}

/// A download that is about to begin.
struct Opening<'a> {
    documents: &'a SellDocuments,
    entry: &'a EntryRef,
    content: &'a Version,
    size: u64,
}

#[async_trait]
impl Opens for Opening<'_> {
    /// Each time by an address of its own: one ends after 90 minutes.
    async fn open(&self, from: u64) -> Result<Incoming, ConnectorError> {
        let documents = self.documents;
        let one = documents.one(&self.entry.id).await?.ok_or_else(|| error::gone(DOWNLOAD))?;
        if version(&one) != *self.content {
            return Err(error::changed(DOWNLOAD));
        }
        let mut request = Request::get(&one.download_url).header(header::USER_AGENT, api::USER_AGENT);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let request = request.body(Bytes::new());
        let request = request.map_err(|_| error::refused(DOWNLOAD, "the download address is none"))?;
        let lost = |lost| error::from_transport(DOWNLOAD, lost);
        let answer = documents.bare.receive(request).await.map_err(lost)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(error::at_address(DOWNLOAD, status));
        }
        let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if status != StatusCode::PARTIAL_CONTENT && length.is_some_and(|length: u64| length != self.size) {
            return Err(error::changed(DOWNLOAD));
        }
        Ok(Incoming::of(answer, from))
    }
}

#[async_trait]
impl FileSide for SellDocuments {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> FileCapabilities {
        FileCapabilities {
            writable: false,
            listing: Listing::Polled,
            names: Names::Repeatable,
            stable_ids: false,
            replace_keeps_id: false,
            conditional_writes: false,
            empty_folders: false,
            max_depth: Some(0),
            keeps_markers: false,
            reserves_ids: false,
            cursors_expire: false,
            max_bytes: None,
            put_bytes: CHUNK,
            put_batch: BATCH,
            chunk_multiple: 1,
            concurrent_appends: 1,
            concurrent_calls: 4,
            children_batch: RECORDS,
            batch: BATCH,
        }
    }

    /// The account is the root; its user says that it is there.
    async fn ensure_root(&self, known: Option<&RemoteId>, _root: &NewRoot) -> Result<FolderRef> {
        if known.is_some_and(|known| known.as_str() != ROOT) {
            return Err(error::gone("users.self"));
        }
        self.client.send(Call::whoami()).await?;
        Ok(FolderRef { id: RemoteId::new(ROOT), path: String::new() })
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage> {
        self.round(from).await
    }

    async fn children(&self, folders: &[FolderRef], _from: Option<&Cursor>) -> Result<ChildrenPage> {
        let mut by_kind: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
        for holder in folders.iter().filter_map(|folder| Holder::of(&folder.id)) {
            by_kind.entry(holder.kind).or_default().push(holder.id);
        }
        let mut page = ChildrenPage { entries: Vec::new(), unreadable: Vec::new(), next: None };
        for (kind, ids) in by_kind {
            self.of_each(kind, &ids, &mut page).await?;
        }
        Ok(page)
    }

    async fn records(&self, records: &[RemoteId]) -> Result<Vec<FileChange>> {
        self.became(records).await
    }

    async fn get(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            found.push(self.look(entry).await?);
        }
        Ok(found)
    }

    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        let size = content.as_str().rsplit_once(' ').and_then(|(_, size)| size.parse().ok());
        let size: u64 = size.ok_or_else(|| error::changed(DOWNLOAD))?;
        let what = format!("{} {}", entry.id.as_str(), content.as_str());
        let opens = Opening { documents: self, entry, content, size };
        self.downloads.read(&what, range, size, &opens).await.map_err(|broken| match broken {
            Broken::Refused(refusal) => refusal,
            Broken::Lost(lost) => error::from_transport(DOWNLOAD, lost),
            Broken::Short => error::unreadable(DOWNLOAD),
        })
    }

    async fn export_pdf(&self, _entry: &EntryRef) -> Result<Bytes> {
        Err(error::refused(DOWNLOAD, "Sell has no documents without bytes"))
    }

    async fn reserve(&self, _count: usize) -> Result<Vec<RemoteId>> {
        Ok(Vec::new())
    }

    async fn create_folders(&self, new: &[NewFolder]) -> Result<Outcomes<Entry>> {
        Ok(new.iter().map(|_| Err(takes_none())).collect())
    }

    async fn put(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        Ok(files.iter().map(|_| Err(takes_none())).collect())
    }

    async fn begin(&self, _upload: &Upload) -> Result<UploadSession> {
        Err(takes_none())
    }

    async fn append(&self, _session: &UploadSession, _upload: &Upload, _offset: u64, _bytes: Bytes) -> Result<()> {
        Err(takes_none())
    }

    async fn finish(
        &self,
        _session: &UploadSession,
        _upload: &Upload,
        _offset: u64,
        _last: Bytes,
        _whole: &Hashes,
    ) -> Result<Stored> {
        Err(takes_none())
    }

    async fn status(&self, _session: &UploadSession, _upload: &Upload, _acknowledged: u64) -> Result<SessionStatus> {
        Ok(SessionStatus::Lost)
    }

    async fn abandon(&self, _session: &UploadSession) -> Result<()> {
        Ok(())
    }

    async fn relocate(&self, _relocation: &Relocation) -> Result<Entry> {
        Err(takes_none())
    }

    async fn remove(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        Ok(removals.iter().map(|_| Err(takes_none())).collect())
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        self.file_choices().await
    }
}
