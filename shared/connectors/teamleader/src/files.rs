//! The files of a Teamleader account as the CRM side of a files sync.
//!
//! Teamleader has no feed of files and no list of all of them: each record's files are read with a call of its own, in rounds
//! over the chosen records. A file never changes its id, and new bytes are a new file.
mod folders;
mod subjects;
mod uploads;

use crate::api::Api;
use crate::api::files::{FileCalls, FileSubject, Location};
use crate::config::TeamleaderConfig;
use crate::error::{self, PROVIDER};
use crate::wire::{StoredFile, stamp, time};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use tandem_core::files::entry::{Access, EntryKind, Hashes, Place};
use tandem_core::files::settings::Records;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Choice, Cursor, Outcomes};
use tandem_ports::error::Result;
use tandem_ports::files::{
    CHUNK, ChildrenPage, Entry, EntryRef, FileCapabilities, FileChange, FilePage, FileSide, FolderOrFile, FolderRef,
    Listing, Names, NewFolder, NewRoot, Relocation, Removal, SessionStatus, Stored, Upload, UploadSession,
};
use tandem_ports::infra::{Clock, HttpTransport};
use tandem_ports::pieces::Feed;

/// The id of the root: the account.
const ROOT: &str = "root";
/// The largest file of Teamleader's own integrations (S4-31); the API names no limit. An upload is one request and cannot be
/// resumed, so there must be one.
const MAX_BYTES: u64 = 50 * 1024 * 1024;
/// Files of one [`FileSide::put`]: what they share are the two lists of their record.
const PUT_BATCH: usize = 25;
/// Records of one [`FileSide::children`], and entries of the other batches.
const BATCH: usize = 20;
/// Calls under way at once.
pub(crate) const AT_ONCE: usize = 4;

/// Whose files are opened.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// `contacts`, `companies`, `projects`, `meetings`, `products`.
    pub modules: Vec<String>,
    /// Which of their records. A segment is `tag:<name>`: the API knows no segments, and tags of contacts and companies
    /// alone.
    pub records: Records,
}

/// The files of one account, as one of its users may see and change them.
pub struct TeamleaderFiles {
    api: Api,
    bare: Arc<dyn HttpTransport>,
    options: FileOptions,
    /// Where files that are being read can be had, by id, with the bytes that they have there.
    locations: Mutex<HashMap<String, (Version, u64, Location)>>,
    /// Uploads whose bytes are on their way, by address.
    open: Mutex<HashMap<String, Feed>>,
}

impl TeamleaderFiles {
    /// `transport` adds the account's access token, `bare` does not: temporary addresses get no token.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        bare: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: TeamleaderConfig,
        options: FileOptions,
    ) -> Self {
        let api = Api::new(transport, clock, config.api_url);
        Self { api, bare, options, locations: Mutex::default(), open: Mutex::default() }
    }

    fn calls(&self) -> FileCalls<'_> {
        FileCalls { api: &self.api, bare: &self.bare }
    }

    /// All that is in a record: its folders, outermost first, and its files.
    async fn within(&self, subject: &FileSubject) -> Result<Vec<Entry>> {
        let rows = self.calls().all(subject).await?;
        let mut entries = Vec::new();
        let mut met = BTreeSet::new();
        for row in rows.iter().filter(|row| !folders::is_default(&row.folder)) {
            for (folder, above, name) in folders::chain(&row.folder) {
                if met.insert(folder.clone()) {
                    entries.push(folder_entry(subject, &folder, &above, name));
                }
            }
        }
        entries.extend(rows.iter().map(|row| file_entry(row, folders::folder_id(subject, inside(row)))));
        Ok(entries)
    }

    async fn children_of(&self, folder: &FolderRef) -> Result<(Vec<Entry>, Option<(RemoteId, String)>)> {
        let Some((subject, inside)) = folders::read(&folder.id) else { return Ok((Vec::new(), None)) };
        match self.within(&subject).await {
            Ok(entries) if inside.is_empty() => Ok((entries, None)),
            Ok(mut entries) => {
                entries.retain(|entry| entry.place == Place::In { parent: folder.id.clone() });
                Ok((entries, None))
            }
            Err(failure) if error::is_forbidden(&failure) => {
                Ok((Vec::new(), Some((folder.id.clone(), failure.detail))))
            }
            Err(failure) if error::is_gone(&failure) => Ok((Vec::new(), None)),
            Err(failure) => Err(failure),
        }
    }

    async fn look(&self, entry: &EntryRef) -> Result<Option<Entry>> {
        match folders::read(&entry.id) {
            Some((subject, "")) => match self.record_entry(&subject).await {
                Err(failure) if error::is_forbidden(&failure) => {
                    Ok(Some(unseen_record(entry, &subject, failure.detail)))
                }
                other => other,
            },
            // A folder is where its files are; one without files is there for us as long as its record is.
            Some((subject, folder)) => {
                let shown = folders::chain(folder).pop();
                Ok(shown.map(|(folder, above, name)| folder_entry(&subject, &folder, &above, name)))
            }
            None => {
                let Some(row) = self.calls().info(entry.id.as_str()).await? else { return Ok(None) };
                let parent = match &row.subject {
                    Some(subject) => folders::folder_id(subject, inside(&row)),
                    None => entry.parent.id.clone(),
                };
                Ok(Some(file_entry(&row, parent)))
            }
        }
    }

    /// Where a file's bytes can be had, if they are still these.
    async fn location(&self, id: &str, content: &Version) -> Result<(u64, Location)> {
        const OPERATION: &str = "files.download";
        let known = self.locations.lock().expect("no code panics while it holds this lock").get(id).cloned();
        let good = known.filter(|(of, _, at)| of == content && at.is_good(self.api.now()));
        if let Some((_, size, at)) = good {
            return Ok((size, at));
        }
        let row = self.calls().info(id).await?.ok_or_else(|| error::gone(OPERATION))?;
        if version(&row) != *content {
            return Err(error::changed(OPERATION));
        }
        let at = self.calls().download(id).await?;
        let held = (content.clone(), row.size, at.clone());
        let mut locations = self.locations.lock().expect("no code panics while it holds this lock");
        let now = self.api.now();
        locations.retain(|_, (_, _, at)| at.is_good(now));
        locations.insert(id.to_owned(), held);
        Ok((row.size, at))
    }

    async fn read_range(&self, id: &str, content: &Version, range: Range<u64>) -> Result<Bytes> {
        let (size, at) = self.location(id, content).await?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let read = self.calls().bytes(&at, range, size).await;
        if read.is_err() {
            // The next try asks for another address.
            self.locations.lock().expect("no code panics while it holds this lock").remove(id);
        }
        read
    }

    /// A folder goes with its last file: there is nothing to remove, unless something is in it.
    async fn remove_folder(&self, id: &RemoteId) -> Result<()> {
        let Some((subject, folder)) = folders::read(id).filter(|(_, folder)| !folder.is_empty()) else { return Ok(()) };
        let rows = match self.calls().all(&subject).await {
            Err(failure) if error::is_gone(&failure) => return Ok(()),
            rows => rows?,
        };
        let is_in_it = |row: &StoredFile| folders::chain(inside(row)).iter().any(|(text, ..)| text == folder);
        if rows.iter().any(is_in_it) { Err(error::changed("files.delete")) } else { Ok(()) }
    }

    async fn remove_one(&self, removal: &Removal) -> Result<()> {
        const OPERATION: &str = "files.delete";
        if removal.folder == FolderOrFile::Folder {
            return self.remove_folder(&removal.entry.id).await;
        }
        let id = removal.entry.id.as_str();
        match self.calls().info(id).await? {
            None => Ok(()),
            Some(row) if version(&row) != removal.expect => Err(error::changed(OPERATION)),
            Some(_) => self.calls().delete(id).await,
        }
    }
}

/// The folder of a file, "" where it is at the record itself.
fn inside(row: &StoredFile) -> &str {
    if folders::is_default(&row.folder) { "" } else { &row.folder }
}

/// A file has no version but the time of its last change, in whole seconds, and its size.
fn version(row: &StoredFile) -> Version {
    Version::new(format!("{} {}", stamp(&row.updated_at), row.size))
}

fn file_entry(row: &StoredFile, parent: RemoteId) -> Entry {
    let content = version(row);
    Entry {
        id: RemoteId::new(&row.id),
        place: Place::In { parent },
        name: row.name.clone(),
        kind: EntryKind::File { size: row.size, hashes: Hashes::none(), content: content.clone() },
        version: content,
        modified_at: time(&row.updated_at),
        access: Access::Write,
        marker: None,
    }
}

fn folder_entry(subject: &FileSubject, folder: &str, above: &str, name: String) -> Entry {
    Entry {
        id: folders::folder_id(subject, folder),
        place: Place::In { parent: folders::folder_id(subject, above) },
        name,
        kind: EntryKind::Folder,
        version: Version::new("1"),
        modified_at: None,
        access: Access::Write,
        marker: None,
    }
}

/// A record that is there, and more the user may not see.
fn unseen_record(entry: &EntryRef, subject: &FileSubject, reason: String) -> Entry {
    let module = subjects::Module::of_subject(&subject.kind).map_or("", |module| module.name);
    let number = subject.id.chars().take(8).collect();
    Entry {
        id: entry.id.clone(),
        place: Place::In { parent: RemoteId::new(ROOT) },
        name: entry.name.0.clone(),
        kind: EntryKind::Record { module: module.to_owned(), number },
        version: Version::new("1"),
        modified_at: None,
        access: Access::Read { reason },
        marker: None,
    }
}

#[async_trait]
impl FileSide for TeamleaderFiles {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> FileCapabilities {
        FileCapabilities {
            writable: true,
            listing: Listing::Polled,
            // Nothing in the documentation forbids a second file of a name, and a replacement is one for a moment.
            names: Names::Repeatable,
            stable_ids: false,
            replace_keeps_id: false,
            conditional_writes: false,
            empty_folders: false,
            max_depth: None,
            keeps_markers: false,
            reserves_ids: false,
            cursors_expire: false,
            max_bytes: Some(MAX_BYTES),
            put_bytes: CHUNK,
            put_batch: PUT_BATCH,
            chunk_multiple: 1,
            concurrent_appends: 1,
            concurrent_calls: AT_ONCE,
            children_batch: BATCH,
            batch: BATCH,
        }
    }

    /// The account is the root; its user says that it is there.
    async fn ensure_root(&self, known: Option<&RemoteId>, _root: &NewRoot) -> Result<FolderRef> {
        if known.is_some_and(|known| known.as_str() != ROOT) {
            return Err(error::gone("users.me"));
        }
        let call = crate::api::Call { method: "users.me", body: serde_json::json!({}) };
        self.api.act(call).await?;
        Ok(FolderRef { id: RemoteId::new(ROOT), path: String::new() })
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage> {
        self.round(from).await
    }

    async fn children(&self, folders: &[FolderRef], _from: Option<&Cursor>) -> Result<ChildrenPage> {
        let calls: Vec<_> = folders.iter().map(|folder| self.children_of(folder)).collect();
        let mut read = futures::stream::iter(calls).buffered(AT_ONCE);
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
        let calls: Vec<_> = entries.iter().map(|entry| self.look(entry)).collect();
        let mut looks = futures::stream::iter(calls).buffered(AT_ONCE);
        let mut found = Vec::with_capacity(entries.len());
        while let Some(look) = looks.next().await {
            found.push(look?);
        }
        Ok(found)
    }

    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        self.read_range(entry.id.as_str(), content, range).await
    }

    async fn export_pdf(&self, _entry: &EntryRef) -> Result<Bytes> {
        Err(error::refused("files.download", "Teamleader has no documents without bytes"))
    }

    async fn reserve(&self, _count: usize) -> Result<Vec<RemoteId>> {
        Ok(Vec::new())
    }

    /// A folder comes up with its first file; until then it is there for us alone.
    async fn create_folders(&self, new: &[NewFolder]) -> Result<Outcomes<Entry>> {
        let make = |new: &NewFolder| {
            const OPERATION: &str = "files.upload";
            let Some((subject, above)) = folders::read(&new.parent.id) else { return Err(error::gone(OPERATION)) };
            let folder = folders::within(above, &new.name.0);
            if folder.chars().count() > folders::MOST {
                return Err(error::refused(OPERATION, "the folder's path is longer than Teamleader's one text for it"));
            }
            Ok(folder_entry(&subject, &folder, above, new.name.0.clone()))
        };
        Ok(new.iter().map(make).collect())
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

    /// The address comes to its end by itself.
    async fn abandon(&self, session: &UploadSession) -> Result<()> {
        self.drop_upload(session);
        Ok(())
    }

    async fn relocate(&self, _relocation: &Relocation) -> Result<Entry> {
        Err(error::refused("files.upload", "Teamleader can neither move nor rename a file"))
    }

    async fn remove(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        let calls: Vec<_> = removals.iter().map(|removal| self.remove_one(removal)).collect();
        Ok(futures::stream::iter(calls).buffered(AT_ONCE).collect().await)
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let module = |name: &&str| Choice { id: (*name).to_owned(), name: (*name).to_owned() };
        let modules = ["contacts", "companies", "projects", "meetings", "products"];
        let tags = subjects::tags(&self.api).await?;
        let segment = |tag: String| Choice { id: format!("tag:{tag}"), name: format!("Tag “{tag}”") };
        Ok(vec![
            ("modules", modules.iter().map(module).collect()),
            ("records", tags.into_iter().map(segment).collect()),
        ])
    }
}
