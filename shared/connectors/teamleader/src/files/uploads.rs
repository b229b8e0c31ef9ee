//! Files on their way to Teamleader: an address, the bytes in one request, then the list that shows what came of it. New
//! bytes for a file are a new one; the old one goes when the new one is seen, never before.
use super::{AT_ONCE, MAX_BYTES, TeamleaderFiles, file_entry, folders, version};
use crate::api::files::{FileSubject, Known, Location, NewFile, is_made, known, taken};
use crate::error;
use crate::wire::StoredFile;
use bytes::Bytes;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tandem_core::files::entry::Hashes;
use tandem_core::files::hash::Digests;
use tandem_ports::connector::Outcomes;
use tandem_ports::error::Result;
use tandem_ports::files::{Attempt, CHUNK, SessionStatus, Stored, Target, Upload, UploadSession};
use tandem_ports::pieces::Feed;

const OPERATION: &str = "files.upload";

/// What is inside an upload session.
#[derive(Serialize, Deserialize)]
struct Session {
    location: Location,
    /// The files of its name that were there before.
    before: Known,
    /// The file that an earlier try had made already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<String>,
}

/// Where an upload goes, in Teamleader's words.
struct Place<'a> {
    subject: FileSubject,
    folder: &'a str,
    name: &'a str,
    size: u64,
}

impl<'a> Place<'a> {
    fn of(upload: &'a Upload) -> Result<Place<'a>> {
        let (parent, name) = match &upload.target {
            Target::New { parent, name, .. } => (parent, name),
            Target::Replace { entry, .. } => (&entry.parent, &entry.name),
        };
        let (subject, folder) = folders::read(&parent.id).ok_or_else(|| error::gone(OPERATION))?;
        if upload.size > MAX_BYTES {
            return Err(error::refused(OPERATION, "the file is larger than what Teamleader takes"));
        }
        Ok(Place { subject, folder, name: &name.0, size: upload.size })
    }

    fn file(&self) -> NewFile<'_> {
        let folder = (!self.folder.is_empty()).then_some(self.folder);
        NewFile { subject: &self.subject, folder, name: self.name, size: self.size }
    }

    fn stored(&self, row: &StoredFile) -> Stored {
        Stored { entry: file_entry(row, folders::folder_id(&self.subject, self.folder)) }
    }
}

/// The file that a replacement is about.
fn replaced(upload: &Upload) -> Option<&str> {
    match &upload.target {
        Target::Replace { entry, .. } => Some(entry.id.as_str()),
        Target::New { .. } => None,
    }
}

fn other_bytes() -> tandem_ports::error::ConnectorError {
    error::refused(OPERATION, "the bytes are not the announced ones; there is no file of them")
}

impl TeamleaderFiles {
    pub(super) async fn put_all(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        let mut outcomes: Vec<Option<Result<Stored>>> = files.iter().map(|_| None).collect();
        let mut by_subject: BTreeMap<FileSubject, Vec<usize>> = BTreeMap::new();
        for (index, (upload, bytes)) in files.iter().enumerate() {
            match Place::of(upload) {
                Ok(_) if upload.hashes.same(&Digests::of(bytes)) == Some(false) => {
                    outcomes[index] = Some(Err(other_bytes()));
                }
                Ok(place) => by_subject.entry(place.subject).or_default().push(index),
                Err(refusal) => outcomes[index] = Some(Err(refusal)),
            }
        }
        for (subject, indices) in by_subject {
            let some: Vec<&(Upload, Bytes)> = indices.iter().map(|index| &files[*index]).collect();
            match self.put_at(&subject, &some).await {
                Ok(put) => {
                    for (index, outcome) in indices.iter().zip(put) {
                        outcomes[*index] = Some(outcome);
                    }
                }
                // What is the matter with one record says nothing about the others.
                Err(failure) if error::is_about_a_record(failure.kind) => {
                    for index in indices {
                        outcomes[index] = Some(Err(error::again(&failure)));
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.expect("each file is refused or has a record")).collect())
    }

    /// Files of one record: they share the lists before and after.
    async fn put_at(&self, subject: &FileSubject, files: &[&(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        let before = self.calls().newest(subject).await?.body;
        let there = known(&before);
        let sends: Vec<_> = files.iter().map(|(upload, bytes)| self.send_one(upload, bytes, &before)).collect();
        let sent: Vec<Result<Option<StoredFile>>> = futures::stream::iter(sends).buffered(AT_ONCE).collect().await;
        let mut claimed = there;
        let mut outcomes = Vec::with_capacity(files.len());
        for ((upload, _), sent) in files.iter().zip(sent) {
            let outcome = match sent {
                Ok(Some(row)) => self.settle(upload, row).await,
                Ok(None) => self.settle_new(upload, &mut claimed).await,
                Err(failure) => Err(failure),
            };
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Sends one file; answers it where an earlier try had made it already.
    async fn send_one(&self, upload: &Upload, bytes: &Bytes, before: &[StoredFile]) -> Result<Option<StoredFile>> {
        if let Some(row) = self.made_before(upload).await? {
            return Ok(Some(row));
        }
        self.may_replace(upload, before).await?;
        let place = Place::of(upload)?;
        let location = self.calls().upload_location(&place.file()).await?;
        self.calls().send(&location, bytes.clone()).await?;
        Ok(None)
    }

    /// What an earlier try made, its answer lost: a file of this name, size and folder that has these very bytes.
    async fn made_before(&self, upload: &Upload) -> Result<Option<StoredFile>> {
        if upload.attempt == Attempt::First || upload.hashes.is_empty() {
            return Ok(None);
        }
        let place = Place::of(upload)?;
        for row in self.calls().all(&place.subject).await? {
            if row.is(&place.file())
                && Some(row.id.as_str()) != replaced(upload)
                && self.has(&row, &upload.hashes).await?
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Whether a file's bytes are these.
    async fn has(&self, row: &StoredFile, hashes: &Hashes) -> Result<bool> {
        let (content, mut digests) = (version(row), Digests::default());
        while digests.len() < row.size {
            let range = digests.len()..(digests.len() + CHUNK).min(row.size);
            digests.update(&self.read_range(&row.id, &content, range).await?);
        }
        Ok(hashes.same(&digests.hashes()) == Some(true))
    }

    /// There is no precondition at Teamleader: the file to be replaced is looked at just before.
    async fn may_replace(&self, upload: &Upload, listed: &[StoredFile]) -> Result<()> {
        let Target::Replace { entry, expect, .. } = &upload.target else { return Ok(()) };
        let row = match listed.iter().find(|row| row.id == entry.id.as_str()) {
            Some(row) => Some(row.clone()),
            None => self.calls().info(entry.id.as_str()).await?,
        };
        match row {
            None => Err(error::gone(OPERATION)),
            Some(row) if version(&row) != *expect => Err(error::changed(OPERATION)),
            Some(_) => Ok(()),
        }
    }

    /// Finds what was made, and puts it into the place of what it replaces.
    async fn settle_new(&self, upload: &Upload, before: &mut Known) -> Result<Stored> {
        let place = Place::of(upload)?;
        let row = self.calls().made(&place.file(), before).await?;
        before.insert((row.id.clone(), row.updated_at.clone()));
        self.settle(upload, row).await
    }

    /// The new one is seen: the old one may go.
    async fn settle(&self, upload: &Upload, row: StoredFile) -> Result<Stored> {
        if let Some(old) = replaced(upload).filter(|old| *old != row.id) {
            self.calls().delete(old).await?;
        }
        Ok(Place::of(upload)?.stored(&row))
    }

    pub(super) async fn begin_upload(&self, upload: &Upload) -> Result<UploadSession> {
        let place = Place::of(upload)?;
        let made = self.made_before(upload).await?.map(|row| row.id);
        let mut before = self.calls().newest(&place.subject).await?.body;
        if made.is_none() {
            self.may_replace(upload, &before).await?;
        }
        let location = self.calls().upload_location(&place.file()).await?;
        before.retain(|row| row.is(&place.file()));
        let session = Session { location, before: known(&before), made };
        Ok(UploadSession(serde_json::to_string(&session).expect("texts are JSON")))
    }

    /// Hands the next bytes to the request under way, which is begun with the first ones.
    pub(super) async fn feed(&self, session: &UploadSession, upload: &Upload, offset: u64, bytes: Bytes) -> Result<()> {
        let session = session_of(session)?;
        let mut feed = self.opened(&session, upload, offset)?;
        match feed.feed(bytes).await {
            Ok(()) => drop(self.opens().insert(session.location.url, feed)),
            // It was answered before its body was at its end.
            Err(early) => return Err(taken(early).err().unwrap_or_else(|| error::short(OPERATION))),
        }
        Ok(())
    }

    fn opens(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, Feed>> {
        self.open.lock().expect("no code panics while it holds this lock")
    }

    /// The request that waits for the bytes at `offset`, taken out: whatever goes wrong ends it.
    fn opened(&self, session: &Session, upload: &Upload, offset: u64) -> Result<Feed> {
        if session.made.is_some() {
            return Err(error::changed(OPERATION));
        }
        let waiting = self.opens().remove(&session.location.url);
        match waiting {
            Some(feed) if feed.digests().len() == offset => Ok(feed),
            _ if offset == 0 && !session.location.is_good(self.api.now()) => Err(error::gone(OPERATION)),
            _ if offset == 0 => self.calls().begin(&session.location, upload.size),
            Some(_) | None => Err(error::changed(OPERATION)),
        }
    }

    pub(super) async fn finish_upload(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        let session = session_of(session)?;
        let feed = self.opened(&session, upload, offset)?;
        let mut digests = feed.digests().clone();
        digests.update(&last);
        // Before the last piece goes: a request that ends early leaves nothing.
        if digests.len() != upload.size || digests.hashes().same(whole) != Some(true) {
            return Err(other_bytes());
        }
        taken(feed.end(last, Bytes::new()).await)?;
        let mut before = session.before;
        self.settle_new(upload, &mut before).await
    }

    /// A request cannot be taken up again: what it made is there, or it is begun anew as long as its address is good.
    pub(super) async fn upload_status(&self, session: &UploadSession, upload: &Upload) -> Result<SessionStatus> {
        let session = session_of(session)?;
        if let Some(feed) = self.opens().get(&session.location.url) {
            return Ok(SessionStatus::At(feed.digests().len()));
        }
        let place = Place::of(upload)?;
        let rows = self.calls().newest(&place.subject).await?.body;
        let is_ours = |row: &&StoredFile| match &session.made {
            Some(id) => row.id == *id,
            None => is_made(row, &place.file(), &session.before),
        };
        if let Some(row) = rows.iter().find(is_ours) {
            return Ok(SessionStatus::Done(Box::new(self.settle(upload, row.clone()).await?)));
        }
        let again = session.made.is_none() && session.location.is_good(self.api.now());
        Ok(if again { SessionStatus::At(0) } else { SessionStatus::Lost })
    }

    pub(super) fn drop_upload(&self, session: &UploadSession) {
        if let Ok(session) = session_of(session) {
            self.opens().remove(&session.location.url);
        }
    }
}

fn session_of(session: &UploadSession) -> Result<Session> {
    serde_json::from_str(&session.0).map_err(|_| error::gone(OPERATION))
}
