//! Bytes on their way to Dropbox.
//!
//! What is the same bytes already is no conflict and is not written again ("nothing gets written; no conflict",
//! `WriteMode`): a creation can be repeated. A replacement is strict, as else a file that was deleted would come back;
//! when it conflicts, a look tells whether it was done before.
use super::tree::is_of_item;
use super::{BLOCK, DropboxFiles, FORM, PARALLEL, Sessions, path};
use crate::api::content::{self, Close};
use crate::error;
use crate::map;
use crate::wire::{Entry as Item, FileMetadata, Finished, Started};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_core::files::entry::{EntryKind, HashKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_ports::connector::Outcomes;
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::files::{CHUNK, SessionStatus, Stored, Target, Upload, UploadSession};

const FINISH: &str = "files/upload_session/finish";
const APPEND: &str = "files/upload_session/append_v2";

/// What an [`UploadSession`] says.
#[derive(Serialize, Deserialize)]
struct Session {
    form: u8,
    id: String,
    kind: Sessions,
}

impl Session {
    fn read(session: &UploadSession) -> Option<Session> {
        serde_json::from_str::<Session>(&session.0).ok().filter(|session| session.form == FORM)
    }
}

fn path_of(upload: &Upload) -> String {
    match &upload.target {
        Target::New { parent, name, .. } => path(parent, name),
        Target::Replace { entry, .. } => path(&entry.parent, &entry.name),
    }
}

/// `CommitInfo`.
fn commit_info(upload: &Upload) -> Value {
    let mut info = match &upload.target {
        Target::New { .. } => json!({"mode": "add"}),
        Target::Replace { expect, .. } => {
            json!({"mode": {".tag": "update", "update": map::rev(expect)}, "strict_conflict": true})
        }
    };
    info["path"] = json!(path_of(upload));
    info["autorename"] = json!(false);
    info["mute"] = json!(true);
    if let Some(at) = upload.modified_at {
        info["client_modified"] = json!(map::time(at));
    }
    info
}

fn damaged(operation: &'static str) -> ConnectorError {
    error::refused(operation, "the bytes are not those that were announced")
}

impl DropboxFiles {
    /// One session a file, closed with its bytes; one commit for all.
    pub(super) async fn put_all(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        const OPERATION: &str = "files/upload_session/finish_batch_v2";
        let starts: Vec<_> = files.iter().map(|(upload, bytes)| self.start_whole(upload, bytes)).collect();
        let started: Vec<Result<String>> = stream::iter(starts).buffered(PARALLEL).collect().await;
        let commit = |((upload, bytes), session): (&(Upload, Bytes), &Result<String>)| {
            let session = session.as_ref().ok()?;
            Some(content::commit(session, bytes.len() as u64, &commit_info(upload)))
        };
        let commits: Vec<Value> = files.iter().zip(&started).filter_map(commit).collect();
        let mut committed = if commits.is_empty() {
            Vec::new()
        } else {
            let call = content::finish_all(&self.config.api_url, &commits)?;
            self.call::<Finished>(call).await?.entries
        }
        .into_iter();
        let mut outcomes = Vec::with_capacity(files.len());
        for ((upload, bytes), session) in files.iter().zip(started) {
            outcomes.push(match session {
                Err(failure) => Err(failure),
                Ok(_) => match committed.next() {
                    None => return Err(error::unreadable(OPERATION)),
                    Some(Item::Success(file)) => stored(&file, &Digests::of(bytes)),
                    Some(Item::Failure { failure }) => {
                        self.or_done(upload, &Digests::of(bytes), error::classify_item(OPERATION, &failure)).await
                    }
                },
            });
        }
        Ok(outcomes)
    }

    async fn start_whole(&self, upload: &Upload, bytes: &Bytes) -> Result<String> {
        const OPERATION: &str = "files/upload_session/start";
        if bytes.len() as u64 > CHUNK {
            return Err(error::refused(OPERATION, "too large to be sent at once"));
        }
        if bytes.len() as u64 != upload.size || Digests::of(bytes).same(&upload.hashes) == Some(false) {
            return Err(damaged(OPERATION));
        }
        let call = content::start_whole(&self.config.content_url, bytes.clone())?;
        Ok(self.call::<Started>(call).await?.session_id)
    }

    /// A refused write may have been done before: then the very bytes are there already.
    async fn or_done(&self, upload: &Upload, whole: &Hashes, failure: ConnectorError) -> Result<Stored> {
        let done = match failure.kind {
            ErrorKind::Conflict | ErrorKind::NotFound => self.done_before(upload, whole).await?,
            ErrorKind::Retryable
            | ErrorKind::Throttled { .. }
            | ErrorKind::AuthRevoked
            | ErrorKind::CursorExpired
            | ErrorKind::Forbidden
            | ErrorKind::Permanent => None,
        };
        done.ok_or(failure)
    }

    async fn done_before(&self, upload: &Upload, whole: &Hashes) -> Result<Option<Stored>> {
        let Some(entry) = self.look(&path_of(upload)).await? else { return Ok(None) };
        let ours = match &upload.target {
            Target::New { .. } => true,
            Target::Replace { entry: replaced, .. } => replaced.id == entry.id,
        };
        let same = match &entry.kind {
            EntryKind::File { hashes, size, .. } => *size == upload.size && hashes.same(whole) == Some(true),
            EntryKind::Record { .. } | EntryKind::Folder | EntryKind::Native { .. } | EntryKind::Shortcut => false,
        };
        Ok((ours && same).then_some(Stored { entry }))
    }

    /// What fits into one append needs no concurrency, and an empty file has no append to close a session with.
    pub(super) async fn begin_session(&self, upload: &Upload) -> Result<UploadSession> {
        let kind = if upload.size <= CHUNK { Sessions::Sequential } else { self.sessions };
        let call = content::start(&self.config.content_url, kind.word())?;
        let id = self.call::<Started>(call).await?.session_id;
        let session = Session { form: FORM, id, kind };
        Ok(UploadSession(serde_json::to_string(&session).expect("strings are JSON")))
    }

    pub(super) async fn append_to(&self, session: &UploadSession, offset: u64, bytes: Bytes) -> Result<()> {
        let session = Session::read(session).ok_or_else(|| error::gone(APPEND))?;
        let size = bytes.len() as u64;
        if size > CHUNK || !size.is_multiple_of(BLOCK) || size == 0 {
            return Err(error::refused(APPEND, "not a piece that Dropbox takes"));
        }
        let call = content::append(&self.config.content_url, &session.id, offset, bytes, Close::Later)?;
        let (operation, response) = self.send(call).await?;
        let there = error::correct_offset(&response).is_some_and(|there| there >= offset + size);
        if response.status().is_success() || there {
            return Ok(());
        }
        Err(error::classify(operation, &response))
    }

    pub(super) async fn finish_session(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        let session = Session::read(session).ok_or_else(|| error::gone(FINISH))?;
        if offset + last.len() as u64 != upload.size || whole.same(&upload.hashes) == Some(false) {
            return Err(damaged(FINISH));
        }
        let finished = match session.kind {
            Sessions::Sequential => self.finish_sequential(&session, upload, offset, last).await,
            Sessions::Concurrent => self.finish_concurrent(&session, upload, offset, last).await,
        };
        match finished {
            Ok(file) => self.verified(upload, &file, whole).await,
            Err(failure) => self.or_done(upload, whole, failure).await,
        }
    }

    async fn finish_sequential(
        &self,
        session: &Session,
        upload: &Upload,
        offset: u64,
        last: Bytes,
    ) -> Result<FileMetadata> {
        let origin = &self.config.content_url;
        let commit = |at| content::commit(&session.id, at, &commit_info(upload));
        let (operation, response) = self.send(content::finish(origin, commit(offset), last)?).await?;
        // "Data has already been appended to the upload session. Please retry with empty data body and updated offset."
        if error::correct_offset(&response) == Some(upload.size) && offset != upload.size {
            return self.call(content::finish(origin, commit(upload.size), Bytes::new())?).await;
        }
        crate::api::parse(operation, &response)
    }

    /// A concurrent session is closed by its last append and finished without bytes.
    async fn finish_concurrent(
        &self,
        session: &Session,
        upload: &Upload,
        offset: u64,
        last: Bytes,
    ) -> Result<FileMetadata> {
        let origin = &self.config.content_url;
        let (operation, response) = self.send(content::append(origin, &session.id, offset, last, Close::Now)?).await?;
        // Closed by an append whose answer was lost.
        let closed = error::tags_of(&response).iter().any(|tag| tag == "closed");
        if !response.status().is_success() && !closed {
            return Err(error::classify(operation, &response));
        }
        let commit = content::commit(&session.id, upload.size, &commit_info(upload));
        self.call(content::finish(origin, commit, Bytes::new())?).await
    }

    /// Each piece was checked as it came; were they put together wrongly, what was made is taken back.
    async fn verified(&self, upload: &Upload, file: &FileMetadata, whole: &Hashes) -> Result<Stored> {
        let stored = stored(file, whole);
        if stored.as_ref().is_ok_and(|_| file.size == upload.size) {
            return stored;
        }
        let (path, origin) = (path_of(upload), &self.config.api_url);
        match &upload.target {
            Target::New { .. } => {
                let removal = crate::api::tree::removal(&path, Some(&file.rev));
                let _: Value = self.call(crate::api::tree::delete(origin, &removal)?).await?;
            }
            Target::Replace { content, .. } => {
                let _: Value = self.call(crate::api::tree::restore(origin, &path, content.as_str())?).await?;
            }
        }
        Err(damaged(FINISH))
    }

    /// Nothing asks for a session's state, but an empty append at a wrong offset is answered with the right one.
    pub(super) async fn session_status(
        &self,
        session: &UploadSession,
        upload: &Upload,
        acknowledged: u64,
    ) -> Result<SessionStatus> {
        let Some(session) = Session::read(session) else { return Ok(SessionStatus::Lost) };
        if session.kind == Sessions::Concurrent {
            return Ok(SessionStatus::At(acknowledged));
        }
        let origin = &self.config.content_url;
        let call = content::append(origin, &session.id, acknowledged, Bytes::new(), Close::Later)?;
        let (operation, response) = self.send(call).await?;
        if response.status().is_success() {
            return Ok(SessionStatus::At(acknowledged));
        }
        if let Some(offset) = error::correct_offset(&response) {
            return Ok(SessionStatus::At(offset));
        }
        let failure = error::classify(operation, &response);
        if !is_of_item(failure.kind) {
            return Err(failure);
        }
        // Finished, and the answer lost; or gone.
        if let Some(stored) = self.done_before(upload, &upload.hashes).await? {
            return Ok(SessionStatus::Done(Box::new(stored)));
        }
        // Without a hash the size must do: whether it is the file, `finish` sees when it knows the bytes' hash.
        match self.look(&path_of(upload)).await?.map(|entry| entry.kind) {
            Some(EntryKind::File { size, .. }) if size == upload.size && upload.hashes.is_empty() => {
                Ok(SessionStatus::At(acknowledged))
            }
            Some(_) | None => Ok(SessionStatus::Lost),
        }
    }
}

/// The file, when it has the hash that was sent.
fn stored(file: &FileMetadata, whole: &Hashes) -> Result<Stored> {
    let entry = map::file(file).ok_or_else(|| error::unreadable(FINISH))?;
    let theirs = file.content_hash.as_ref().map(|hash| Hashes::of(HashKind::BlockSha256, hash));
    match theirs.unwrap_or_default().same(whole) {
        Some(false) => Err(damaged(FINISH)),
        Some(true) | None => Ok(Stored { entry }),
    }
}
