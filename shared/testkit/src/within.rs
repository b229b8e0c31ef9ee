//! One record of a CRM side as the root: what the suite of sides works in, since nobody puts files into a CRM itself.
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use tandem_core::files::entry::Hashes;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Choice, Cursor, Outcomes};
use tandem_ports::error::Result;
use tandem_ports::files::{
    ChildrenPage, Entry, EntryRef, FileCapabilities, FileChange, FilePage, FileSide, FolderRef, NewFolder, NewRoot,
    Relocation, Removal, SessionStatus, Stored, Upload, UploadSession,
};

/// A side whose root is one of its records.
pub struct Within<S> {
    /// The side.
    pub side: S,
    /// The record.
    pub record: RemoteId,
}

#[async_trait]
impl<S: FileSide> FileSide for Within<S> {
    fn provider(&self) -> &'static str {
        self.side.provider()
    }
    fn capabilities(&self) -> FileCapabilities {
        self.side.capabilities()
    }
    async fn ensure_root(&self, known: Option<&RemoteId>, root: &NewRoot) -> Result<FolderRef> {
        self.side.ensure_root(known.filter(|known| **known != self.record), root).await?;
        Ok(FolderRef { id: self.record.clone(), path: String::new() })
    }
    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage> {
        self.side.changes(from).await
    }
    async fn children(&self, folders: &[FolderRef], from: Option<&Cursor>) -> Result<ChildrenPage> {
        self.side.children(folders, from).await
    }
    async fn records(&self, records: &[RemoteId]) -> Result<Vec<FileChange>> {
        self.side.records(records).await
    }
    async fn get(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        self.side.get(entries).await
    }
    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        self.side.read(entry, content, range).await
    }
    async fn export_pdf(&self, entry: &EntryRef) -> Result<Bytes> {
        self.side.export_pdf(entry).await
    }
    async fn reserve(&self, count: usize) -> Result<Vec<RemoteId>> {
        self.side.reserve(count).await
    }
    async fn create_folders(&self, folders: &[NewFolder]) -> Result<Outcomes<Entry>> {
        self.side.create_folders(folders).await
    }
    async fn put(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        self.side.put(files).await
    }
    async fn begin(&self, upload: &Upload) -> Result<UploadSession> {
        self.side.begin(upload).await
    }
    async fn append(&self, session: &UploadSession, upload: &Upload, offset: u64, bytes: Bytes) -> Result<()> {
        self.side.append(session, upload, offset, bytes).await
    }
    async fn finish(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        self.side.finish(session, upload, offset, last, whole).await
    }
    async fn status(&self, session: &UploadSession, upload: &Upload, acknowledged: u64) -> Result<SessionStatus> {
        self.side.status(session, upload, acknowledged).await
    }
    async fn abandon(&self, session: &UploadSession) -> Result<()> {
        self.side.abandon(session).await
    }
    async fn relocate(&self, relocation: &Relocation) -> Result<Entry> {
        self.side.relocate(relocation).await
    }
    async fn remove(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        self.side.remove(removals).await
    }
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        self.side.choices().await
    }
}
