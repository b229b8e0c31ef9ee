//! A folder of a Google Drive as a [`FileSide`].
mod api;
mod map;
mod push;
mod tree;
mod uploads;
pub mod watch;

pub use push::DrivePush;

use crate::config::GoogleConfig;
use crate::error::{self, PROVIDER};
use api::{ChangeList, StartToken, Wire};
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
    ChildrenPage, Entry, EntryRef, FileCapabilities, FileNext, FilePage, FileSide, FolderRef, Listing, Names,
    NewFolder, NewRoot, Relocation, Removal, SessionStatus, Stored, Upload, UploadSession,
};
use tandem_ports::infra::HttpTransport;

/// "Maximum file size: 5,120GB" (`files.create`).
const MAX_BYTES: u64 = 5_120 * 1024 * 1024 * 1024;
/// Multipart uploads are for "5 MB or less" (manage-uploads).
const PUT_BYTES: u64 = 5 * 1024 * 1024;
/// Chunks of a resumable upload but the last are multiples of 256 KiB.
const CHUNK_MULTIPLE: u64 = 256 * 1024;
/// Calls at once.
const PARALLEL: usize = 8;
/// Items of one call of ours.
const BATCH: usize = 50;
/// Folders in one query, whose length is bounded.
const FOLDERS: usize = 20;
/// Part of every cursor and session: raised when older ones are no longer understood.
const FORM: u8 = 1;

/// One folder of one account's Drive.
pub struct GoogleDrive {
    transport: Arc<dyn HttpTransport>,
    config: GoogleConfig,
}

/// Our cursor.
#[derive(Serialize, Deserialize)]
struct Position {
    form: u8,
    page: String,
    /// Folders that were gone when the listing began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
}

impl Position {
    fn cursor(page: String) -> Cursor {
        Position { form: FORM, page, without: Vec::new() }.into_cursor()
    }
    fn into_cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("numbers and strings are JSON"))
    }
    fn read(operation: &'static str, cursor: &Cursor) -> Result<Position> {
        let position = serde_json::from_str::<Position>(&cursor.0).ok().filter(|position| position.form == FORM);
        position.ok_or_else(|| error::cursor_of_another_release(operation))
    }
}

impl GoogleDrive {
    /// `transport` adds the account's access token.
    pub fn new(transport: Arc<dyn HttpTransport>, config: GoogleConfig) -> Self {
        Self { transport, config }
    }

    fn origin(&self) -> &str {
        &self.config.drive_url
    }

    async fn send(&self, call: crate::api::Call) -> Result<(&'static str, Response<Bytes>)> {
        let crate::api::Call { operation, request } = call;
        let response = self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))?;
        Ok((operation, response))
    }

    async fn call<T: DeserializeOwned>(&self, call: crate::api::Call) -> Result<T> {
        let (operation, response) = self.send(call).await?;
        crate::api::parse(operation, &response)
    }

    /// The file as it is now; `None` where it is gone or in the trash.
    async fn look(&self, id: &RemoteId) -> Result<Option<Wire>> {
        let found: Result<Wire> = self.call(api::get(self.origin(), id.as_str())?).await;
        match found {
            Ok(file) => Ok((!file.trashed).then_some(file)),
            Err(failure) if failure.kind == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

#[async_trait]
impl FileSide for GoogleDrive {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn capabilities(&self) -> FileCapabilities {
        FileCapabilities {
            writable: true,
            listing: Listing::Folders,
            names: Names::Repeatable,
            stable_ids: true,
            replace_keeps_id: true,
            // Drive v3 has no If-Match: it is looked at directly before each write.
            conditional_writes: false,
            empty_folders: true,
            max_depth: None,
            keeps_markers: true,
            reserves_ids: true,
            // "The page token doesn't expire" (changes.getStartPageToken).
            cursors_expire: false,
            max_bytes: Some(MAX_BYTES),
            put_bytes: PUT_BYTES,
            put_batch: BATCH,
            chunk_multiple: CHUNK_MULTIPLE,
            concurrent_appends: 1,
            concurrent_calls: PARALLEL,
            children_batch: FOLDERS,
            batch: BATCH,
        }
    }

    async fn ensure_root(&self, known: Option<&RemoteId>, root: &NewRoot) -> Result<FolderRef> {
        self.find_or_make_root(known, root).await
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage> {
        const OPERATION: &str = "drive.changes.list";
        let Some(cursor) = from else {
            let start: StartToken = self.call(api::start_token(self.origin())?).await?;
            let next = FileNext::CaughtUp(Position::cursor(start.start_page_token));
            return Ok(FilePage { changes: Vec::new(), next });
        };
        let page = Position::read(OPERATION, cursor)?.page;
        let list: Result<ChangeList> = self.call(api::changes(self.origin(), &page)?).await;
        let list = list.map_err(error::token_refused)?;
        let changes = list.changes.iter().filter_map(map::change).collect();
        let next = match (list.next_page_token, list.new_start_page_token) {
            (Some(page), _) => FileNext::More(Position::cursor(page)),
            (None, Some(page)) => FileNext::CaughtUp(Position::cursor(page)),
            (None, None) => return Err(error::no_end(OPERATION)),
        };
        Ok(FilePage { changes, next })
    }

    async fn children(&self, folders: &[FolderRef], from: Option<&Cursor>) -> Result<ChildrenPage> {
        self.list_children(folders, from).await
    }

    async fn get(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        self.get_all(entries).await
    }

    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        self.read_range(entry, content, range).await
    }

    async fn export_pdf(&self, entry: &EntryRef) -> Result<Bytes> {
        let (operation, response) = self.send(api::export(self.origin(), entry.id.as_str())?).await?;
        match response.status().is_success() {
            true => Ok(response.into_body()),
            false => Err(error::classify(operation, &response)),
        }
    }

    async fn reserve(&self, count: usize) -> Result<Vec<RemoteId>> {
        self.reserve_ids(count).await
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

    async fn append(&self, session: &UploadSession, upload: &Upload, offset: u64, bytes: Bytes) -> Result<()> {
        self.append_to(session, upload, offset, bytes).await
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

    /// Google drops a session after a week.
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
