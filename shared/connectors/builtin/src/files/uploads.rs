//! Bytes on their way into the built-in CRM: objects first, then the files that speak of them.
use super::side::{BuiltinFiles, number};
use super::write::{self, Content, NewFile};
use super::{blob_key, file_of, hash};
use crate::error::CrmError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tandem_core::files::entry::Hashes;
use tandem_ports::blobs::{BlobKey, BlobPart, BlobUpload};
use tandem_ports::files::{Attempt, CHUNK, SessionStatus, Stored, Target, Upload, UploadSession};

/// Objects up to this many bytes are read back when their parts are put together.
const READ_BACK: u64 = 8 * CHUNK;

/// What is inside an upload session: the object, and where a later worker goes on.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) upload: BlobUpload,
}

impl BuiltinFiles {
    /// Makes the file of bytes that are in the store.
    async fn commit(&self, upload: &Upload, blob: BlobKey, hashes: Hashes) -> Result<Stored, CrmError> {
        let content = Content { size: upload.size, hashes, content_type: upload.content_type.clone(), blob };
        let record = match &upload.target {
            Target::Replace { entry, expect, .. } => {
                self.may_write(entry.id.as_str()).await?;
                let (record, old) =
                    write::replace(&self.ledger, entry.id.as_str(), Some(number(expect)?), content).await?;
                self.blobs.remove(&old.into_iter().collect::<Vec<_>>()).await?;
                record
            }
            Target::New { id, parent, name } => {
                self.may_write(parent.id.as_str()).await?;
                // The same file again when this is repeated: the key was made with its id.
                let id = id.as_ref().map_or_else(|| file_of(&content.blob), |id| id.as_str().to_owned());
                let name = crate::files::checked_name("name", &name.0)?;
                let blob = content.blob.clone();
                let sent = content.hashes.clone();
                let marker = Some(upload.marker.as_str().to_owned());
                let file = NewFile { id, place: (parent.id.as_str(), &name), content, marker };
                let mut made = write::create(&self.ledger, vec![file]).await?;
                let record = made.pop().ok_or(CrmError::Corrupt)?;
                if record.text("blob") != blob.0 {
                    // There already, by an earlier try: these bytes are not needed.
                    self.blobs.remove(&[blob]).await?;
                    if upload.attempt == Attempt::First || !write::has_bytes(&record, &sent) {
                        return Err(CrmError::Stale);
                    }
                }
                record
            }
        };
        Ok(Stored { entry: self.entry(&record) })
    }

    pub(super) async fn put_one(&self, upload: &Upload, bytes: &Bytes) -> Result<Stored, CrmError> {
        let sent = tandem_core::files::hash::Digests::of(bytes);
        if upload.hashes.same(&sent) == Some(false) {
            return Err(other_bytes());
        }
        let blob = self.new_blob(upload);
        self.blobs.put(&blob, bytes.clone()).await?;
        let made = self.commit(upload, blob.clone(), sent).await;
        self.clear_away(&made, blob).await?;
        made
    }

    pub(super) fn new_blob(&self, upload: &Upload) -> BlobKey {
        let id = match &upload.target {
            Target::New { id: Some(id), .. } => id.as_str().to_owned(),
            Target::Replace { entry, .. } => entry.id.as_str().to_owned(),
            Target::New { id: None, .. } => self.ledger.new_id(),
        };
        blob_key(&self.ledger, &id)
    }

    pub(super) async fn complete(
        &self,
        flow: &Flow,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored, CrmError> {
        let number = part_number(offset);
        match self.blobs.parts(&flow.upload).await {
            Ok(mut parts) => {
                parts.retain(|part| part.number < number);
                parts.push(self.blobs.part(&flow.upload, number, last).await?);
                let size: u64 = parts.iter().map(|part| part.size).sum();
                if size != upload.size {
                    return Err(CrmError::Stale);
                }
                self.blobs.complete(&flow.upload, &parts).await?;
            }
            // Completed by an earlier try: the bytes are there.
            Err(tandem_ports::blobs::BlobError::Missing)
                if self.blobs.size(&flow.upload.key).await? == Some(upload.size) => {}
            Err(error) => return Err(error.into()),
        }
        let key = flow.upload.key.clone();
        let made = match self.check(&key, upload.size, whole).await {
            Ok(()) => self.commit(upload, key.clone(), whole.clone()).await,
            Err(error) => Err(error),
        };
        self.clear_away(&made, key).await?;
        made
    }

    /// Reads the bytes back and compares them, where that is a few requests. Of a larger object each part was checked when it
    /// came: its SHA-256 is in the request's signature.
    async fn check(&self, blob: &BlobKey, size: u64, whole: &Hashes) -> Result<(), CrmError> {
        if size > READ_BACK || hash(self.blobs.as_ref(), blob, size).await?.same(whole) != Some(false) {
            return Ok(());
        }
        Err(other_bytes())
    }

    /// Removes bytes that no file will ever speak of.
    async fn clear_away(&self, made: &Result<Stored, CrmError>, blob: BlobKey) -> Result<(), CrmError> {
        match made {
            Err(
                CrmError::Stale
                | CrmError::Refused { .. }
                | CrmError::NotFound
                | CrmError::Forbidden { .. }
                | CrmError::Invalid { .. },
            ) => Ok(self.blobs.remove(&[blob]).await?),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    pub(super) async fn state(&self, flow: &Flow, upload: &Upload) -> Result<SessionStatus, CrmError> {
        let id = match &upload.target {
            Target::New { id, .. } => id.clone(),
            Target::Replace { entry, .. } => Some(entry.id.clone()),
        };
        if let Some(id) = id {
            let record = self.ledger.record(id.as_str()).await?;
            if let Some(record) = record.filter(|record| record.text("blob") == flow.upload.key.0) {
                return Ok(SessionStatus::Done(Box::new(Stored { entry: self.entry(&record) })));
            }
        }
        match self.blobs.parts(&flow.upload).await {
            Ok(parts) => Ok(SessionStatus::At(contiguous(&parts))),
            Err(tandem_ports::blobs::BlobError::Missing) => {
                // All bytes are there, and the file is not: `finish` makes it.
                let last = upload.size.saturating_sub(1) / CHUNK * CHUNK;
                let whole = self.blobs.size(&flow.upload.key).await? == Some(upload.size);
                Ok(if whole { SessionStatus::At(last) } else { SessionStatus::Lost })
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn other_bytes() -> CrmError {
    CrmError::refused("other bytes arrived than were announced")
}

pub(super) fn part_number(offset: u64) -> u32 {
    u32::try_from(offset / CHUNK + 1).unwrap_or(u32::MAX)
}

/// Bytes that have arrived without a gap.
fn contiguous(parts: &[BlobPart]) -> u64 {
    let full = parts.iter().zip(1..).take_while(|(part, number)| part.number == *number && part.size == CHUNK);
    full.map(|(part, _)| part.size).sum()
}

pub(super) fn flow(session: &UploadSession) -> Result<Flow, CrmError> {
    serde_json::from_str(&session.0).map_err(|_| CrmError::Corrupt)
}
