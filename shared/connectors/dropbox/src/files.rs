//! The app folder of a Dropbox account as a [`FileSide`].
mod tree;
mod uploads;

use crate::api::{self, Call};
use crate::config::DropboxConfig;
use crate::error::{self, PROVIDER};
use crate::map::{self, ROOT};
use crate::wire::{Listed, Metadata};
use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;
use tandem_core::files::entry::Hashes;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Choice, Cursor, Outcomes};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::files::{
    CHUNK, ChildrenPage, Entry, EntryRef, FileCapabilities, FileNext, FilePage, FileSide, FolderRef, Listing, Name,
    Names, NewFolder, NewRoot, Relocation, Removal, SessionStatus, Stored, Upload, UploadSession,
};
use tandem_ports::infra::{Clock, HttpTransport};

/// "2^41 - 2^22 or 2,199,019,061,248 bytes" (`UploadSessionLookupError.too_large`).
const MAX_BYTES: u64 = (1 << 41) - (1 << 22);
/// Offsets and sizes of concurrent appends are multiples of it.
const BLOCK: u64 = 4 * 1024 * 1024;
/// Entries of one `finish_batch_v2`.
const COMMITS: usize = 1000;
/// Calls at once. Dropbox publishes no number; writes contend for one lock an account, sending of bytes does not.
const PARALLEL: usize = 8;
/// Appends of one upload at once: 4 × [`CHUNK`] is half of what a worker may buffer.
const APPENDS: usize = 4;
/// Entries of one call of ours that Dropbox has a batch for.
const BATCH: usize = 100;
/// Part of every cursor and session: raised when older ones are no longer understood.
const FORM: u8 = 1;

/// How large files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sessions {
    /// Several appends at once, in any order.
    Concurrent,
    /// One append after the other; Dropbox says where it is.
    Sequential,
}

impl Sessions {
    fn word(self) -> &'static str {
        match self {
            Sessions::Concurrent => "concurrent",
            Sessions::Sequential => "sequential",
        }
    }
}

/// The app folder of one Dropbox account.
pub struct DropboxFiles {
    transport: Arc<dyn HttpTransport>,
    config: DropboxConfig,
    sessions: Sessions,
    clock: Option<Arc<dyn Clock>>,
}

/// Our cursor.
#[derive(Serialize, Deserialize)]
struct Position {
    form: u8,
    cursor: String,
}

impl DropboxFiles {
    /// `transport` adds the account's access token, which must be one of an app with an app folder.
    pub fn new(transport: Arc<dyn HttpTransport>, config: DropboxConfig) -> Self {
        Self { transport, config, sessions: Sessions::Concurrent, clock: None }
    }

    /// Waits between the questions about a batch that Dropbox works on by itself. Without a clock it asks at once again.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sends large files in this way.
    pub fn with_sessions(mut self, sessions: Sessions) -> Self {
        self.sessions = sessions;
        self
    }

    async fn send(&self, call: Call) -> Result<(&'static str, Response<Bytes>)> {
        let Call { operation, request } = call;
        let response = self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))?;
        Ok((operation, response))
    }

    async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let (operation, response) = self.send(call).await?;
        api::parse(operation, &response)
    }

    /// What is there now, by id or by path; `None` where there is nothing.
    async fn look(&self, what: &str) -> Result<Option<Entry>> {
        let found: Result<Metadata> = self.call(api::tree::metadata(&self.config.api_url, what)?).await;
        match found {
            Ok(metadata) => Ok(map::entry(&metadata)),
            Err(failure) if failure.kind == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// The path of a name in a folder. The app folder's own path is the empty one.
fn path(parent: &FolderRef, name: &Name) -> String {
    match parent.path.as_str() {
        "" => format!("/{}", name.0),
        above => format!("/{above}/{}", name.0),
    }
}

#[async_trait]
impl FileSide for DropboxFiles {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> FileCapabilities {
        FileCapabilities {
            writable: true,
            listing: Listing::Feed,
            names: Names::UniqueWithoutCase,
            stable_ids: true,
            replace_keeps_id: true,
            // Of replacements and deletions of files; moves and deletions of folders have none at Dropbox.
            conditional_writes: true,
            empty_folders: true,
            max_depth: None,
            keeps_markers: false,
            reserves_ids: false,
            cursors_expire: true,
            max_bytes: Some(MAX_BYTES),
            put_bytes: CHUNK,
            put_batch: COMMITS,
            chunk_multiple: BLOCK,
            concurrent_appends: match self.sessions {
                Sessions::Concurrent => APPENDS,
                Sessions::Sequential => 1,
            },
            concurrent_calls: PARALLEL,
            children_batch: 1,
            batch: BATCH,
        }
    }

    /// The app folder is given; Dropbox makes it with the connection.
    async fn ensure_root(&self, known: Option<&RemoteId>, _root: &NewRoot) -> Result<FolderRef> {
        if known.is_some_and(|known| known.as_str() != ROOT) {
            return Err(error::gone("files/list_folder"));
        }
        let _: Listed = self.call(api::tree::probe(&self.config.api_url)?).await?;
        Ok(FolderRef { id: RemoteId::new(ROOT), path: String::new() })
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage> {
        let call = match from {
            None => api::tree::list(&self.config.api_url)?,
            Some(cursor) => {
                let position = serde_json::from_str::<Position>(&cursor.0).ok().filter(|known| known.form == FORM);
                let position = position.ok_or_else(|| error::of_another_release("files/list_folder/continue"))?;
                api::tree::list_on(&self.config.api_url, &position.cursor)?
            }
        };
        let listed: Listed = self.call(call).await?;
        let changes = listed.entries.iter().filter_map(map::change).collect();
        let position = Position { form: FORM, cursor: listed.cursor };
        let cursor = Cursor(serde_json::to_string(&position).expect("numbers and strings are JSON"));
        let next = if listed.has_more { FileNext::More(cursor) } else { FileNext::CaughtUp(cursor) };
        Ok(FilePage { changes, next })
    }

    async fn children(&self, _folders: &[FolderRef], _from: Option<&Cursor>) -> Result<ChildrenPage> {
        Err(error::refused("files/list_folder", "the feed lists everything"))
    }

    async fn get(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        self.get_all(entries).await
    }

    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        self.read_range(entry, content, range).await
    }

    /// Paper and Google documents in Dropbox export to Markdown, HTML or Office formats, never to PDF (`ExportInfo`).
    async fn export_pdf(&self, _entry: &EntryRef) -> Result<Bytes> {
        Err(error::refused("files/export", "Dropbox cannot turn this document into a PDF"))
    }

    async fn reserve(&self, _count: usize) -> Result<Vec<RemoteId>> {
        Ok(Vec::new())
    }

    async fn create_folders(&self, folders: &[NewFolder]) -> Result<Outcomes<Entry>> {
        self.make_folders(folders).await
    }

    async fn put(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        self.put_all(files).await
    }

    async fn begin(&self, upload: &Upload) -> Result<UploadSession> {
        self.begin_session(upload).await
    }

    async fn append(&self, session: &UploadSession, _upload: &Upload, offset: u64, bytes: Bytes) -> Result<()> {
        self.append_to(session, offset, bytes).await
    }

    async fn finish(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        self.finish_session(session, upload, offset, last, whole).await
    }

    async fn status(&self, session: &UploadSession, upload: &Upload, acknowledged: u64) -> Result<SessionStatus> {
        self.session_status(session, upload, acknowledged).await
    }

    /// Dropbox drops a session after seven days.
    async fn abandon(&self, _session: &UploadSession) -> Result<()> {
        Ok(())
    }

    async fn relocate(&self, relocation: &Relocation) -> Result<Entry> {
        self.relocate_entry(relocation).await
    }

    async fn remove(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        self.remove_all(removals).await
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        Ok(Vec::new())
    }
}
