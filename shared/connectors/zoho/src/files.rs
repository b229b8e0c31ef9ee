//! The attachments of a Zoho organisation as the CRM side of a files sync.
//!
//! Zoho has no feed of attachments and no list of all of them: each record's are read with a call of its own, in rounds over
//! the chosen records. There are no folders. New bytes for a file are a new attachment.
mod subjects;
mod uploads;

use crate::api::attachments::{self, Holder};
use crate::api::{self};
use crate::client::{CALLS_AT_ONCE, Client};
use crate::contacts::feed::second;
use crate::error::{self, PROVIDER};
use crate::wire::{Attachment, Attachments};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use tandem_core::files::entry::{Access, EntryKind, Hashes, Place};
use tandem_core::files::settings::Records;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Choice, Cursor, Outcomes};
use tandem_ports::error::{ConnectorError, Result};
use tandem_ports::files::{
    CHUNK, ChildrenPage, Entry, EntryRef, FileCapabilities, FileChange, FilePage, FileSide, FolderRef, Listing, Names,
    NewFolder, NewRoot, Relocation, Removal, SessionStatus, Stored, Upload, UploadSession,
};
use tandem_ports::infra::{Clock, HttpTransport};
use tandem_ports::pieces::{Broken, Downloads, Feed, Incoming, Opens};

/// The id of the root: the organisation.
const ROOT: &str = "root";
/// The largest file that Zoho's page on this call names (v2; that of v8 names none, others say 20 MB). What an organisation
/// does not take it refuses itself: `FILE_SIZE_MORE_THAN_ALLOWED_SIZE`.
const MAX_BYTES: u64 = 100 * 1024 * 1024;
/// Files of one [`FileSide::put`]: what they share is the list of their record.
const PUT_BATCH: usize = 25;
/// Records of one [`FileSide::children`], and entries of the other batches.
const BATCH: usize = 20;
/// Pages of one record's attachments that numbers reach.
const MOST_PAGES: u32 = 10;

/// Whose attachments are opened.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// `contacts`, `companies`, `leads`, `deals`.
    pub modules: Vec<String>,
    /// Which of their records. A segment is a list view, `<module>:<id>`.
    pub records: Records,
}

/// The attachments of one organisation, as one of its users may see and change them.
pub struct ZohoFiles {
    client: Client,
    options: FileOptions,
    downloads: Downloads,
    /// Uploads whose bytes are on their way, by session.
    open: Mutex<HashMap<String, Feed>>,
}

impl ZohoFiles {
    /// `transport` adds the account's access token; `origin` is where the account's API is (`api_domain`).
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        origin: String,
        options: FileOptions,
    ) -> ZohoFiles {
        let client = Client::new(transport, clock, origin);
        ZohoFiles { client, options, downloads: Downloads::default(), open: Mutex::default() }
    }

    /// All attachments of a record.
    async fn all(&self, holder: &Holder) -> Result<Vec<Attachment>> {
        let mut rows: Vec<Attachment> = Vec::new();
        for page in 1..=MOST_PAGES {
            let call = attachments::list(&self.client.origin, holder, page)?;
            let answer: Attachments = self.client.ask(call).await?.unwrap_or_default();
            // Pages move when somebody attaches meanwhile.
            rows.extend(answer.data.into_iter().filter(|row| !row.id.is_empty()));
            if !answer.info.more_records {
                rows.sort_by(|a, b| a.id.cmp(&b.id));
                rows.dedup_by(|a, b| a.id == b.id);
                return Ok(rows);
            }
        }
        Err(error::refused(attachments::LIST, "this record has more attachments than can be listed"))
    }

    async fn one(&self, holder: &Holder, id: &str) -> Result<Option<Attachment>> {
        match self.all(holder).await {
            Ok(rows) => Ok(rows.into_iter().find(|row| row.id == id)),
            Err(failure) if error::is_gone(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn children_of(&self, folder: &FolderRef) -> Result<(Vec<Entry>, Option<(RemoteId, String)>)> {
        let Some(holder) = subjects::holder(&folder.id) else { return Ok((Vec::new(), None)) };
        match self.all(&holder).await {
            Ok(rows) => Ok((rows.iter().map(|row| file_entry(row, &folder.id)).collect(), None)),
            Err(failure) if error::is_forbidden(&failure) => {
                Ok((Vec::new(), Some((folder.id.clone(), failure.detail))))
            }
            Err(failure) if error::is_gone(&failure) => Ok((Vec::new(), None)),
            Err(failure) => Err(failure),
        }
    }

    async fn read_range(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        let operation = attachments::DOWNLOAD;
        let holder = subjects::holder(&entry.parent.id).ok_or_else(|| error::gone(operation))?;
        let size = content.as_str().rsplit_once(' ').and_then(|(_, size)| size.parse().ok());
        let size: u64 = size.ok_or_else(|| error::changed_meanwhile(operation))?;
        let opens = Opening { files: self, holder: &holder, id: entry.id.as_str(), content, size };
        let what = format!("{} {}", entry.id.as_str(), content.as_str());
        self.downloads.read(&what, range, size, &opens).await.map_err(|broken| match broken {
            Broken::Refused(refusal) => refusal,
            Broken::Lost(lost) => error::from_transport(operation, lost),
            Broken::Short => error::short(operation),
        })
    }

    /// There is no precondition at Zoho: what is deleted is looked at just before.
    async fn remove_one(&self, removal: &Removal) -> Result<()> {
        let (operation, id) = (attachments::DELETE, removal.entry.id.as_str());
        let Some(holder) = subjects::holder(&removal.entry.parent.id) else { return Ok(()) };
        match self.one(&holder, id).await? {
            None => Ok(()),
            Some(row) if version(&row) != removal.expect => Err(error::changed_meanwhile(operation)),
            Some(_) => self.delete(&holder, id).await,
        }
    }

    /// Deletes an attachment. One that is gone is deleted.
    async fn delete(&self, holder: &Holder, id: &str) -> Result<()> {
        let operation = attachments::DELETE;
        let answer = self.client.send(attachments::delete(&self.client.origin, holder, id)?).await?;
        let treated = api::parse_treated(operation, &answer);
        let judged = treated.and_then(|treated| match treated.first() {
            Some(one) if one.code == "SUCCESS" => Ok(()),
            Some(one) => Err(error::classify_item(operation, one)),
            None => Err(error::no_answer(operation)),
        });
        match judged {
            Err(failure) if error::is_gone(&failure) => Ok(()),
            other => other,
        }
    }
}

/// A download that is about to begin.
struct Opening<'a> {
    files: &'a ZohoFiles,
    holder: &'a Holder,
    id: &'a str,
    content: &'a Version,
    size: u64,
}

#[async_trait]
impl Opens for Opening<'_> {
    async fn open(&self, from: u64) -> Result<Incoming, ConnectorError> {
        let operation = attachments::DOWNLOAD;
        let row = self.files.one(self.holder, self.id).await?.ok_or_else(|| error::gone(operation))?;
        if version(&row) != *self.content {
            return Err(error::changed_meanwhile(operation));
        }
        let client = &self.files.client;
        let request = attachments::download(&client.origin, self.holder, self.id, from)?;
        let answer = client.receive(operation, request).await?;
        let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let whole = answer.status() != http::StatusCode::PARTIAL_CONTENT;
        if whole && length.is_some_and(|length: u64| length != self.size) {
            return Err(error::changed_meanwhile(operation));
        }
        Ok(Incoming::of(answer, from))
    }
}

/// An attachment has no version but the time of its last change, in whole seconds, and its size.
fn version(row: &Attachment) -> Version {
    Version::new(format!("{} {}", second(&row.modified), row.size()))
}

fn file_entry(row: &Attachment, parent: &RemoteId) -> Entry {
    let content = version(row);
    let kind = match row.is_link() {
        true => EntryKind::Shortcut,
        false => EntryKind::File { size: row.size(), hashes: Hashes::none(), content: content.clone() },
    };
    Entry {
        id: RemoteId::new(&row.id),
        place: Place::In { parent: parent.clone() },
        name: row.name().to_owned(),
        kind,
        version: content,
        modified_at: row.modified.parse().ok(),
        access: Access::Write,
        marker: None,
    }
}

#[async_trait]
impl FileSide for ZohoFiles {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> FileCapabilities {
        FileCapabilities {
            writable: true,
            listing: Listing::Polled,
            // Nothing in the documentation forbids a second attachment of a name, and a replacement is one for a moment.
            names: Names::Repeatable,
            stable_ids: false,
            replace_keeps_id: false,
            conditional_writes: false,
            empty_folders: false,
            max_depth: Some(0),
            keeps_markers: false,
            reserves_ids: false,
            cursors_expire: false,
            max_bytes: Some(MAX_BYTES),
            put_bytes: CHUNK,
            put_batch: PUT_BATCH,
            chunk_multiple: 1,
            concurrent_appends: 1,
            concurrent_calls: CALLS_AT_ONCE,
            children_batch: BATCH,
            batch: BATCH,
        }
    }

    /// The organisation is the root; its user says that it is there.
    async fn ensure_root(&self, known: Option<&RemoteId>, _root: &NewRoot) -> Result<FolderRef> {
        if known.is_some_and(|known| known.as_str() != ROOT) {
            return Err(error::gone(api::settings::USERS));
        }
        self.client.ask::<serde_json::Value>(api::settings::current_user(&self.client.origin)?).await?;
        Ok(FolderRef { id: RemoteId::new(ROOT), path: String::new() })
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage> {
        self.round(from).await
    }

    async fn children(&self, folders: &[FolderRef], _from: Option<&Cursor>) -> Result<ChildrenPage> {
        let calls: Vec<_> = folders.iter().map(|folder| self.children_of(folder)).collect();
        let mut read = futures::stream::iter(calls).buffered(CALLS_AT_ONCE);
        let mut page = ChildrenPage { entries: Vec::new(), unreadable: Vec::new(), next: None };
        while let Some(children) = read.next().await {
            let (entries, unreadable) = children?;
            page.entries.extend(entries);
            page.unreadable.extend(unreadable);
        }
        Ok(page)
    }

    async fn records(&self, records: &[RemoteId]) -> Result<Vec<FileChange>> {
        self.became(records).await
    }

    async fn get(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        self.look(entries).await
    }

    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        self.read_range(entry, content, range).await
    }

    async fn export_pdf(&self, _entry: &EntryRef) -> Result<Bytes> {
        Err(error::refused(attachments::DOWNLOAD, "Zoho has no documents without bytes"))
    }

    async fn reserve(&self, _count: usize) -> Result<Vec<RemoteId>> {
        Ok(Vec::new())
    }

    async fn create_folders(&self, new: &[NewFolder]) -> Result<Outcomes<Entry>> {
        let refused = || Err(error::refused(attachments::UPLOAD, "Zoho has no folders at a record"));
        Ok(new.iter().map(|_| refused()).collect())
    }

    async fn put(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        self.put_all(files).await
    }

    async fn begin(&self, upload: &Upload) -> Result<UploadSession> {
        self.begin_upload(upload).await
    }

    async fn append(&self, session: &UploadSession, upload: &Upload, offset: u64, bytes: Bytes) -> Result<()> {
        self.feed(session, upload, offset, bytes).await
    }

    async fn finish(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        self.finish_upload(session, upload, offset, last, whole).await
    }

    async fn status(&self, session: &UploadSession, upload: &Upload, _acknowledged: u64) -> Result<SessionStatus> {
        self.upload_status(session, upload).await
    }

    /// A request that ends early leaves nothing.
    async fn abandon(&self, session: &UploadSession) -> Result<()> {
        self.opens().remove(&session.0);
        Ok(())
    }

    async fn relocate(&self, _relocation: &Relocation) -> Result<Entry> {
        Err(error::refused(attachments::UPLOAD, "Zoho can neither move nor rename an attachment"))
    }

    async fn remove(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        let calls: Vec<_> = removals.iter().map(|removal| self.remove_one(removal)).collect();
        Ok(futures::stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await)
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        self.file_choices().await
    }
}
