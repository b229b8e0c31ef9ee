//! Bytes on their way to Drive.
use super::api::{self, Into, MARKER_KEY, Wire};
use super::{CHUNK_MULTIPLE, FORM, GoogleDrive, PARALLEL, PUT_BYTES, map};
use crate::error;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_core::files::entry::Hashes;
use tandem_core::files::hash::Digests;
use tandem_core::record::RemoteId;
use tandem_ports::connector::Outcomes;
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::files::{CHUNK, SessionStatus, Stored, Target, Upload, UploadSession};

const RESUME: &str = "drive.files.resume";

/// What an [`UploadSession`] says. Google's session address is a bearer capability.
#[derive(Serialize, Deserialize)]
struct Session {
    form: u8,
    /// Empty where the file was there when the session should have begun.
    address: String,
}

impl Session {
    fn read(session: &UploadSession) -> Option<Session> {
        serde_json::from_str::<Session>(&session.0).ok().filter(|session| session.form == FORM)
    }
}

fn damaged(operation: &'static str) -> ConnectorError {
    error::refused(operation, "the bytes are not those that were announced")
}

fn metadata_of(upload: &Upload) -> Value {
    let mut metadata = match &upload.target {
        Target::New { id, parent, name } => {
            let mut metadata = json!({
                "name": name.0, "parents": [parent.id.as_str()], "mimeType": upload.content_type,
                "appProperties": {MARKER_KEY: upload.marker.as_str()},
            });
            if let Some(id) = id {
                metadata["id"] = json!(id.as_str());
            }
            metadata
        }
        Target::Replace { .. } => json!({}),
    };
    if let Some(at) = upload.modified_at {
        metadata["modifiedTime"] = json!(at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
    }
    metadata
}

fn into_of(upload: &Upload) -> Into<'_> {
    match &upload.target {
        Target::New { .. } => Into::New,
        Target::Replace { entry, .. } => Into::File(entry.id.as_str()),
    }
}

fn id_of(upload: &Upload) -> Option<&RemoteId> {
    match &upload.target {
        Target::New { id, .. } => id.as_ref(),
        Target::Replace { entry, .. } => Some(&entry.id),
    }
}

impl GoogleDrive {
    pub(super) async fn put_all(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        let puts: Vec<_> = files.iter().map(|(upload, bytes)| self.put_one(upload, bytes)).collect();
        Ok(stream::iter(puts).buffered(PARALLEL).collect().await)
    }

    async fn put_one(&self, upload: &Upload, bytes: &Bytes) -> Result<Stored> {
        const OPERATION: &str = "drive.files.multipart";
        let whole = Digests::of(bytes);
        if bytes.len() as u64 > PUT_BYTES {
            return Err(error::refused(OPERATION, "too large to be sent at once"));
        }
        if bytes.len() as u64 != upload.size || whole.same(&upload.hashes) == Some(false) {
            return Err(damaged(OPERATION));
        }
        if let Some(done) = self.precondition(OPERATION, upload, &whole).await? {
            return Ok(done);
        }
        let (into, metadata) = (into_of(upload), metadata_of(upload));
        let call = api::multipart(self.origin(), into, &metadata, &upload.content_type, bytes)?;
        let made: Result<Wire> = self.call(call).await;
        match made {
            Ok(file) => self.verified(upload, &file, &whole).await,
            Err(failure) => self.or_done(upload, &whole, failure).await,
        }
    }

    /// Drive knows no precondition, so the file is looked at. What it holds already is not sent again.
    async fn precondition(&self, operation: &'static str, upload: &Upload, whole: &Hashes) -> Result<Option<Stored>> {
        let Target::Replace { entry, expect, content } = &upload.target else { return Ok(None) };
        let now = self.look(&entry.id).await?.ok_or_else(|| error::gone(operation))?;
        if map::version(&now) == *expect && map::content(&now) == *content {
            return Ok(None);
        }
        match stored_as(&now, upload, whole) {
            Some(stored) => Ok(Some(stored)),
            None => Err(error::changed_meanwhile(operation)),
        }
    }

    /// A new file's id is ours alone: when it is taken, an attempt of ours has been there.
    async fn or_done(&self, upload: &Upload, whole: &Hashes, failure: ConnectorError) -> Result<Stored> {
        let (ErrorKind::Conflict, Some(id)) = (failure.kind, id_of(upload)) else { return Err(failure) };
        let now = self.look(id).await?;
        now.and_then(|file| stored_as(&file, upload, whole)).ok_or(failure)
    }

    /// Drive computes the hash when the file is made: were it wrong, what was made is taken back.
    async fn verified(&self, upload: &Upload, file: &Wire, whole: &Hashes) -> Result<Stored> {
        if map::hashes(file).same(whole) != Some(false) && file.size == Some(upload.size) {
            let entry = map::entry(file).ok_or_else(|| error::no_answer(RESUME))?;
            return Ok(Stored { entry });
        }
        match &upload.target {
            Target::New { .. } => {
                let (operation, response) = self.send(api::delete(self.origin(), &file.id)?).await?;
                if !response.status().is_success() && response.status() != StatusCode::NOT_FOUND {
                    return Err(error::classify(operation, &response));
                }
            }
            Target::Replace { .. } => match self.roll_back(upload).await {
                // The bytes before cannot be read: what is wrong is that others arrived, not that the file is gone.
                Err(failure) if matches!(failure.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {}
                done => done?,
            },
        }
        Err(damaged(RESUME))
    }

    /// Puts the bytes of the revision before back in place, piece by piece.
    async fn roll_back(&self, upload: &Upload) -> Result<()> {
        const OPERATION: &str = "drive.revisions.list";
        let Target::Replace { entry, content, .. } = &upload.target else { return Ok(()) };
        let size = self.revision_size(&entry.id, content).await?;
        let call = api::begin(self.origin(), into_of(upload), &json!({}), &upload.content_type, size)?;
        let address = self.session_address(call).await?;
        let mut offset = 0;
        loop {
            let range = offset..(offset + CHUNK).min(size);
            let bytes = match range.is_empty() {
                true => Bytes::new(),
                false => self.revision(&entry.id, content, &range).await?,
            };
            let (operation, response) = self.send(api::piece(&address, offset, bytes, size)?).await?;
            if response.status().is_success() {
                return Ok(());
            }
            let there = stored_until(&response).filter(|there| *there > offset);
            offset = there.ok_or_else(|| error::classify(operation, &response))?;
            if offset >= size {
                return Err(error::no_answer(OPERATION));
            }
        }
    }

    async fn revision_size(&self, id: &RemoteId, content: &tandem_core::record::Version) -> Result<u64> {
        let revision: Wire = self.call(api::revision(self.origin(), id.as_str(), content.as_str())?).await?;
        Ok(revision.size.unwrap_or(0))
    }

    pub(super) async fn begin_session(&self, upload: &Upload) -> Result<UploadSession> {
        const OPERATION: &str = "drive.files.resumable";
        let session = |address: String| {
            UploadSession(serde_json::to_string(&Session { form: FORM, address }).expect("strings are JSON"))
        };
        if self.precondition(OPERATION, upload, &upload.hashes).await?.is_some() {
            return Ok(session(String::new()));
        }
        let (into, metadata) = (into_of(upload), metadata_of(upload));
        let call = api::begin(self.origin(), into, &metadata, &upload.content_type, upload.size)?;
        match self.session_address(call).await {
            Ok(address) => Ok(session(address)),
            // Made by an attempt whose answer was lost: `finish` and `status` look at it.
            Err(failure) if failure.kind == ErrorKind::Conflict && id_of(upload).is_some() => {
                Ok(session(String::new()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// The address must be where the token may go; it may be a relative one.
    async fn session_address(&self, call: crate::api::Call) -> Result<String> {
        let (operation, response) = self.send(call).await?;
        if !response.status().is_success() {
            return Err(error::classify(operation, &response));
        }
        let location = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| error::no_answer(operation))?;
        upload_address(operation, self.origin(), location)
    }

    pub(super) async fn append_to(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        bytes: Bytes,
    ) -> Result<()> {
        let session = Session::read(session).ok_or_else(|| error::gone(RESUME))?;
        let size = bytes.len() as u64;
        if size == 0 || size > CHUNK || !size.is_multiple_of(CHUNK_MULTIPLE) {
            return Err(error::refused(RESUME, "not a piece that Google takes"));
        }
        if session.address.is_empty() {
            return Ok(());
        }
        let (_, response) = self.send(api::piece(&session.address, offset, bytes, upload.size)?).await?;
        match stored_until(&response) {
            Some(there) if there >= offset + size => Ok(()),
            // "never assume all bytes arrived"
            Some(_) => Err(error::changed_meanwhile(RESUME)),
            None => Err(session_error(&response)),
        }
    }

    pub(super) async fn finish_session(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        let session = Session::read(session).ok_or_else(|| error::gone(RESUME))?;
        if offset + last.len() as u64 != upload.size || whole.same(&upload.hashes) == Some(false) {
            return Err(damaged(RESUME));
        }
        if session.address.is_empty() {
            return self.or_done(upload, whole, error::changed_meanwhile(RESUME)).await;
        }
        // Between the begin and now somebody may have edited the file.
        if let Some(done) = self.precondition(RESUME, upload, whole).await? {
            return Ok(done);
        }
        let (operation, response) = self.send(api::piece(&session.address, offset, last, upload.size)?).await?;
        if response.status().is_success() {
            let file: Wire = crate::api::parse(operation, &response)?;
            return self.verified(upload, &file, whole).await;
        }
        match stored_until(&response) {
            Some(_) => Err(error::changed_meanwhile(RESUME)),
            None => self.or_done(upload, whole, session_error(&response)).await,
        }
    }

    pub(super) async fn session_status(
        &self,
        session: &UploadSession,
        upload: &Upload,
        acknowledged: u64,
    ) -> Result<SessionStatus> {
        let Some(session) = Session::read(session) else { return Ok(SessionStatus::Lost) };
        if session.address.is_empty() {
            return Ok(SessionStatus::At(acknowledged));
        }
        let (operation, response) = self.send(api::piece(&session.address, 0, Bytes::new(), upload.size)?).await?;
        if let Some(there) = stored_until(&response) {
            return Ok(SessionStatus::At(there));
        }
        if response.status().is_success() {
            let file: Wire = crate::api::parse(operation, &response)?;
            let entry = map::entry(&file).ok_or_else(|| error::no_answer(operation))?;
            return Ok(SessionStatus::Done(Box::new(Stored { entry })));
        }
        let failure = session_error(&response);
        match failure.kind {
            ErrorKind::NotFound => Ok(SessionStatus::Lost),
            ErrorKind::Retryable
            | ErrorKind::Throttled { .. }
            | ErrorKind::AuthRevoked
            | ErrorKind::CursorExpired
            | ErrorKind::Conflict
            | ErrorKind::Forbidden
            | ErrorKind::Permanent => Err(failure),
        }
    }
}

/// The whole address of an upload session. Our token goes with it, so it is always at the origin that we were given, whatever
/// name the server has for itself: what stands in for Google or is on the way to it may know another one.
fn upload_address(operation: &'static str, origin: &str, location: &str) -> Result<String> {
    let own = url::Url::parse(origin).map_err(|_| error::refused(operation, "the address of Drive is none"))?;
    let named = own.join(location).map_err(|_| error::no_answer(operation))?;
    let mut address = own;
    address.set_path(named.path());
    address.set_query(named.query());
    Ok(address.into())
}

/// Whether the file holds what should be written to it.
fn stored_as(file: &Wire, upload: &Upload, whole: &Hashes) -> Option<Stored> {
    let same = file.size == Some(upload.size) && map::hashes(file).same(whole) == Some(true);
    same.then(|| map::entry(file)).flatten().map(|entry| Stored { entry })
}

/// 308: how many bytes from the beginning are there. `Range: bytes=0-N`, or nothing for nothing.
fn stored_until(response: &Response<Bytes>) -> Option<u64> {
    if response.status() != StatusCode::PERMANENT_REDIRECT {
        return None;
    }
    let Some(range) = response.headers().get(http::header::RANGE).and_then(|value| value.to_str().ok()) else {
        return Some(0);
    };
    Some(range.strip_prefix("bytes=0-")?.parse::<u64>().ok()? + 1)
}

/// "404 = session expired, restart; any 4xx during a session = restart from a new session", but for those that are about the
/// account and not the session.
fn session_error(response: &Response<Bytes>) -> ConnectorError {
    let failure = error::classify(RESUME, response);
    match failure.kind {
        ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Permanent => error::gone(RESUME),
        ErrorKind::Retryable
        | ErrorKind::Throttled { .. }
        | ErrorKind::AuthRevoked
        | ErrorKind::CursorExpired
        | ErrorKind::Forbidden => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_goes_to_the_origin_that_we_were_given_and_nowhere_else() {
        let own = "https://www.googleapis.com";
        let whole = format!("{own}/upload/drive/v3/files?upload_id=x");
        for named in ["", own, "https://example.com", "//example.com", "http://localhost:8080"] {
            assert_eq!(
                upload_address("op", own, &format!("{named}/upload/drive/v3/files?upload_id=x")).unwrap(),
                whole
            );
        }
    }
}
