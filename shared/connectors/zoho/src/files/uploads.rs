//! Files on their way to Zoho: one form in one request, then the list that shows what came of it. New bytes for a file are a
//! new attachment; the old one goes when the new one is seen, never before.
use super::{MAX_BYTES, ZohoFiles, file_entry, subjects, version};
use crate::api::attachments::{self, Form, Holder, UPLOAD};
use crate::api::{self};
use crate::client::CALLS_AT_ONCE;
use crate::error;
use crate::wire::Attachment;
use bytes::Bytes;
use futures::StreamExt as _;
use http::Response;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::MutexGuard;
use tandem_core::files::entry::Hashes;
use tandem_core::files::hash::Digests;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::Outcomes;
use tandem_ports::error::{ConnectorError, Result};
use tandem_ports::files::{
    Attempt, CHUNK, EntryRef, FolderRef, Name, SessionStatus, Stored, Target, Upload, UploadSession,
};
use tandem_ports::infra::TransportError;
use tandem_ports::pieces::Feed;

/// What is inside an upload session. Zoho knows nothing of it.
#[derive(Serialize, Deserialize)]
struct Session {
    /// Parts the form; random, so it tells the session, too.
    boundary: String,
    /// Attachments of its name and size that were there before.
    before: BTreeSet<String>,
    /// The attachment that an earlier try had made already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<String>,
}

/// Where an upload goes, in Zoho's words.
struct Place<'a> {
    holder: Holder,
    parent: &'a FolderRef,
    name: &'a str,
    size: u64,
}

impl<'a> Place<'a> {
    fn of(upload: &'a Upload) -> Result<Place<'a>> {
        let (parent, Name(name)) = match &upload.target {
            Target::New { parent, name, .. } => (parent, name),
            Target::Replace { entry, .. } => (&entry.parent, &entry.name),
        };
        let holder = subjects::holder(&parent.id).ok_or_else(|| error::gone(UPLOAD))?;
        if upload.size > MAX_BYTES {
            return Err(error::refused(UPLOAD, "the file is larger than what Zoho takes"));
        }
        if name.to_ascii_lowercase().ends_with(".exe") {
            return Err(error::refused(UPLOAD, "Zoho takes no .exe files"));
        }
        Ok(Place { holder, parent, name, size: upload.size })
    }

    fn fits(&self, row: &Attachment) -> bool {
        row.name() == self.name && row.size() == self.size && !row.is_link()
    }

    fn entry(&self, row: &Attachment) -> EntryRef {
        EntryRef { id: RemoteId::new(&row.id), parent: self.parent.clone(), name: Name(row.name().to_owned()) }
    }
}

/// The attachment that a replacement is about.
fn replaced(upload: &Upload) -> Option<(&str, &Version)> {
    match &upload.target {
        Target::Replace { entry, expect, .. } => Some((entry.id.as_str(), expect)),
        Target::New { .. } => None,
    }
}

fn other_bytes() -> ConnectorError {
    error::refused(UPLOAD, "the bytes are not the announced ones; there is no file of them")
}

/// The id of what an upload made.
fn made(answer: std::result::Result<Response<Bytes>, TransportError>) -> Result<String> {
    let answer = answer.map_err(|lost| error::from_transport(UPLOAD, lost))?;
    let treated = api::parse_treated(UPLOAD, &answer)?;
    let one = treated.first().ok_or_else(|| error::no_answer(UPLOAD))?;
    match one.details["id"].as_str() {
        Some(id) if one.code == "SUCCESS" => Ok(id.to_owned()),
        Some(_) | None => Err(error::classify_item(UPLOAD, one)),
    }
}

impl ZohoFiles {
    pub(super) async fn put_all(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        let mut outcomes: Vec<Option<Result<Stored>>> = files.iter().map(|_| None).collect();
        let mut by_record: BTreeMap<Holder, Vec<usize>> = BTreeMap::new();
        for (index, (upload, bytes)) in files.iter().enumerate() {
            match Place::of(upload) {
                Ok(_) if upload.hashes.same(&Digests::of(bytes)) == Some(false) => {
                    outcomes[index] = Some(Err(other_bytes()));
                }
                Ok(place) => by_record.entry(place.holder).or_default().push(index),
                Err(refusal) => outcomes[index] = Some(Err(refusal)),
            }
        }
        for (holder, indices) in by_record {
            let some: Vec<&(Upload, Bytes)> = indices.iter().map(|index| &files[*index]).collect();
            for (index, outcome) in indices.into_iter().zip(self.put_at(&holder, &some).await) {
                outcomes[index] = Some(outcome);
            }
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.expect("each file is refused or has a record")).collect())
    }

    /// Files of one record: they share the list that shows them.
    async fn put_at(&self, holder: &Holder, files: &[&(Upload, Bytes)]) -> Outcomes<Stored> {
        let sends: Vec<_> = files.iter().map(|(upload, bytes)| self.send_one(upload, bytes)).collect();
        let sent: Vec<Result<String>> = futures::stream::iter(sends).buffered(CALLS_AT_ONCE).collect().await;
        if sent.iter().all(Result::is_err) {
            return sent.into_iter().map(|sent| sent.and_then(|_| Err(error::no_answer(UPLOAD)))).collect();
        }
        let rows = self.all(holder).await;
        let mut outcomes = Vec::with_capacity(files.len());
        for ((upload, _), sent) in files.iter().zip(sent) {
            let outcome = match (sent, &rows) {
                (Err(failure), _) => Err(failure),
                // Whether it is there is found out by the next try.
                (Ok(_), Err(_)) => Err(error::no_answer(UPLOAD)),
                (Ok(id), Ok(rows)) => self.settle(upload, &id, rows).await,
            };
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Sends one file; the id of what it made, or of what an earlier try had made already.
    async fn send_one(&self, upload: &Upload, bytes: &Bytes) -> Result<String> {
        let place = Place::of(upload)?;
        if let Some(row) = self.made_before(&place, upload).await? {
            return Ok(row.id);
        }
        self.may_replace(&place, upload).await?;
        let form = self.form(&place, upload, &boundary())?;
        let tail = form.tail.clone();
        made(self.client.feed(form).end(bytes.clone(), tail).await)
    }

    fn form(&self, place: &Place<'_>, upload: &Upload, boundary: &str) -> Result<Form> {
        let file = (place.name, upload.content_type.as_str(), place.size);
        attachments::upload(&self.client.origin, &place.holder, file, boundary)
    }

    /// What an earlier try made, its answer lost: an attachment of this name and size that has these very bytes.
    async fn made_before(&self, place: &Place<'_>, upload: &Upload) -> Result<Option<Attachment>> {
        if upload.attempt == Attempt::First || upload.hashes.is_empty() {
            return Ok(None);
        }
        self.with_bytes(place, upload, &BTreeSet::new()).await
    }

    /// An attachment of this name and size, none of `before`, that has the upload's bytes, as far as those are known.
    async fn with_bytes(
        &self,
        place: &Place<'_>,
        upload: &Upload,
        before: &BTreeSet<String>,
    ) -> Result<Option<Attachment>> {
        let old = replaced(upload).map(|(old, _)| old);
        for row in self.all(&place.holder).await? {
            if !place.fits(&row) || Some(row.id.as_str()) == old || before.contains(&row.id) {
                continue;
            }
            if upload.hashes.is_empty() || self.has(&place.entry(&row), &row, &upload.hashes).await? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Whether an attachment's bytes are these.
    async fn has(&self, entry: &EntryRef, row: &Attachment, hashes: &Hashes) -> Result<bool> {
        let (content, mut digests) = (version(row), Digests::default());
        while digests.len() < row.size() {
            let range = digests.len()..(digests.len() + CHUNK).min(row.size());
            digests.update(&self.read_range(entry, &content, range).await?);
        }
        Ok(hashes.same(&digests.hashes()) == Some(true))
    }

    /// There is no precondition at Zoho: what is to be replaced is looked at just before.
    async fn may_replace(&self, place: &Place<'_>, upload: &Upload) -> Result<()> {
        let Some((old, expect)) = replaced(upload) else { return Ok(()) };
        match self.one(&place.holder, old).await? {
            None => Err(error::gone(UPLOAD)),
            Some(row) if version(&row) != *expect => Err(error::changed_meanwhile(UPLOAD)),
            Some(_) => Ok(()),
        }
    }

    /// The new one is seen, whole: the old one may go.
    async fn settle(&self, upload: &Upload, id: &str, rows: &[Attachment]) -> Result<Stored> {
        let place = Place::of(upload)?;
        let row = rows.iter().find(|row| row.id == id).ok_or_else(|| error::no_answer(UPLOAD))?;
        if row.size() != place.size {
            self.delete(&place.holder, id).await?;
            return Err(other_bytes());
        }
        if let Some((old, _)) = replaced(upload).filter(|(old, _)| *old != id) {
            self.delete(&place.holder, old).await?;
        }
        Ok(Stored { entry: file_entry(row, &place.parent.id) })
    }

    pub(super) async fn begin_upload(&self, upload: &Upload) -> Result<UploadSession> {
        let place = Place::of(upload)?;
        let made = self.made_before(&place, upload).await?.map(|row| row.id);
        let rows = self.all(&place.holder).await?;
        if let Some((old, expect)) = replaced(upload).filter(|_| made.is_none()) {
            let row = rows.iter().find(|row| row.id == old).ok_or_else(|| error::gone(UPLOAD))?;
            if version(row) != *expect {
                return Err(error::changed_meanwhile(UPLOAD));
            }
        }
        let before = rows.iter().filter(|row| place.fits(row)).map(|row| row.id.clone()).collect();
        let session = Session { boundary: boundary(), before, made };
        Ok(UploadSession(serde_json::to_string(&session).expect("texts are JSON")))
    }

    pub(super) fn opens(&self) -> MutexGuard<'_, HashMap<String, Feed>> {
        self.open.lock().expect("no code panics while it holds this lock")
    }

    /// The request that waits for the bytes at `offset`, taken out: whatever goes wrong ends it. The first bytes begin one.
    fn opened(&self, session: &UploadSession, upload: &Upload, offset: u64) -> Result<(Feed, Bytes)> {
        let held = session_of(session)?;
        if held.made.is_some() {
            return Err(error::changed_meanwhile(UPLOAD));
        }
        let waiting = self.opens().remove(&session.0);
        let form = self.form(&Place::of(upload)?, upload, &held.boundary)?;
        let tail = form.tail.clone();
        match waiting {
            Some(feed) if feed.digests().len() == offset && offset > 0 => Ok((feed, tail)),
            _ if offset == 0 => Ok((self.client.feed(form), tail)),
            Some(_) | None => Err(error::changed_meanwhile(UPLOAD)),
        }
    }

    /// Hands the next bytes to the request under way.
    pub(super) async fn feed(&self, session: &UploadSession, upload: &Upload, offset: u64, bytes: Bytes) -> Result<()> {
        let (mut feed, _) = self.opened(session, upload, offset)?;
        match feed.feed(bytes).await {
            Ok(()) => drop(self.opens().insert(session.0.clone(), feed)),
            // Nothing is made of a body that is not at its end.
            Err(early) => return Err(made(early).err().unwrap_or_else(|| error::short(UPLOAD))),
        }
        Ok(())
    }

    pub(super) async fn finish_upload(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        let (feed, tail) = self.opened(session, upload, offset)?;
        let mut digests = feed.digests().clone();
        digests.update(&last);
        // Before the last piece goes: a request that ends early leaves nothing.
        if digests.len() != upload.size || digests.hashes().same(whole) != Some(true) {
            return Err(other_bytes());
        }
        let id = made(feed.end(last, tail).await)?;
        let rows = self.all(&Place::of(upload)?.holder).await?;
        self.settle(upload, &id, &rows).await
    }

    /// A request cannot be taken up again: what it made is there, or it is begun anew.
    pub(super) async fn upload_status(&self, session: &UploadSession, upload: &Upload) -> Result<SessionStatus> {
        let held = session_of(session)?;
        if let Some(feed) = self.opens().get(&session.0) {
            return Ok(SessionStatus::At(feed.digests().len()));
        }
        let place = Place::of(upload)?;
        let row = match &held.made {
            Some(id) => self.one(&place.holder, id).await?,
            None => self.with_bytes(&place, upload, &held.before).await?,
        };
        match row {
            Some(row) => {
                let (id, rows) = (row.id.clone(), [row]);
                Ok(SessionStatus::Done(Box::new(self.settle(upload, &id, &rows).await?)))
            }
            None if held.made.is_some() => Ok(SessionStatus::Lost),
            None => Ok(SessionStatus::At(0)),
        }
    }
}

/// What is in no file.
fn boundary() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn session_of(session: &UploadSession) -> Result<Session> {
    serde_json::from_str(&session.0).map_err(|_| error::gone(UPLOAD))
}
