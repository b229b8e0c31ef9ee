//! `files.*`, and the addresses that it hands out. Those carry their own right: the access token never goes there, and
//! what is asked of them is not counted to the quota.
use super::requests::Page;
use super::{Answer, Api, Call};
use crate::error;
use crate::wire::{Data, Located, StoredFile, time};
use bytes::Bytes;
use http::{Method, Request, header};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::error::Result;
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_ports::pieces::Feed;

/// Rows a page of `files.list`: the specification names no maximum, three clients in use take 100.
pub(crate) const PAGE: u64 = 100;
/// The default size of a page: a page with fewer rows is the last one, whatever most Teamleader gives.
const SMALLEST_PAGE: usize = 20;
/// Pages of one record's files that are read.
const MOST_PAGES: u64 = 100;
/// Looks for a file that was just sent, and the pause before each but the first.
const LOOKS: u32 = 3;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// An address is not used any more so long before its end.
const MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// What a file is filed at: `{"type": "company", "id": …}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct FileSubject {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) id: String,
}

/// A file to upload. Without a folder it goes to the account's own (`General`, in its language).
#[derive(Clone, Debug)]
pub(crate) struct NewFile<'a> {
    pub(crate) subject: &'a FileSubject,
    pub(crate) folder: Option<&'a str>,
    /// With its ending: it decides the MIME type.
    pub(crate) name: &'a str,
    pub(crate) size: u64,
}

/// A temporary address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    pub(crate) url: String,
    pub(crate) expires_at: Timestamp,
}

impl Location {
    pub(crate) fn is_good(&self, now: Timestamp) -> bool {
        now.checked_add(MARGIN).is_ok_and(|then| then < self.expires_at)
    }
}

/// Rows as they were: what is not among them is new, or was changed.
pub(crate) type Known = BTreeSet<(String, String)>;

/// The rows' ids and times.
pub(crate) fn known(rows: &[StoredFile]) -> Known {
    rows.iter().map(|row| (row.id.clone(), row.updated_at.clone())).collect()
}

/// The calls about files, of one account.
#[derive(Clone, Copy)]
pub(crate) struct FileCalls<'a> {
    pub(crate) api: &'a Api,
    /// A transport that adds no token.
    pub(crate) bare: &'a Arc<dyn HttpTransport>,
}

impl FileCalls<'_> {
    /// The newest files of a record.
    pub(crate) async fn newest(&self, subject: &FileSubject) -> Result<Answer<Vec<StoredFile>>> {
        self.page(subject, Page { size: PAGE, number: 1 }).await
    }

    async fn page(&self, subject: &FileSubject, page: Page) -> Result<Answer<Vec<StoredFile>>> {
        let body = json!({
            "filter": {"subject": subject},
            "page": {"size": page.size, "number": page.number},
            "sort": [{"field": "updated_at", "order": "desc"}],
        });
        let answer = self.api.read::<Data<Vec<StoredFile>>>(Call { method: "files.list", body }).await?;
        Ok(Answer { body: answer.body.data, at: answer.at })
    }

    /// All files of a record. Pages move when somebody uploads meanwhile: a file may come twice, and then counts once.
    pub(crate) async fn all(&self, subject: &FileSubject) -> Result<Vec<StoredFile>> {
        let (mut rows, mut met) = (Vec::new(), BTreeSet::new());
        for number in 1..=MOST_PAGES {
            let page = self.page(subject, Page { size: PAGE, number }).await?.body;
            let end = page.len() < SMALLEST_PAGE;
            rows.extend(page.into_iter().filter(|row| met.insert(row.id.clone())));
            if end {
                return Ok(rows);
            }
        }
        Err(error::refused("files.list", "this record has more files than can be listed"))
    }

    /// One file; `None` where there is none of this id.
    pub(crate) async fn info(&self, id: &str) -> Result<Option<StoredFile>> {
        let call = Call { method: "files.info", body: json!({"id": id}) };
        match self.api.read::<Data<StoredFile>>(call).await {
            Ok(answer) => Ok(Some(answer.body.data)),
            Err(failure) if error::is_gone(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Deletes a file. One that is gone is deleted.
    pub(crate) async fn delete(&self, id: &str) -> Result<()> {
        match self.api.act(Call { method: "files.delete", body: json!({"id": id}) }).await {
            Err(failure) if error::is_gone(&failure) => Ok(()),
            other => other,
        }
    }

    /// Where a file's bytes can be had for a while.
    pub(crate) async fn download(&self, id: &str) -> Result<Location> {
        self.located(Call { method: "files.download", body: json!({"id": id}) }).await
    }

    /// Where a file's bytes can be sent to for a while.
    pub(crate) async fn upload_location(&self, file: &NewFile<'_>) -> Result<Location> {
        let mut body = json!({"name": file.name, "subject": file.subject});
        if let Some(folder) = file.folder {
            body["folder"] = json!(folder);
        }
        self.located(Call { method: "files.upload", body }).await
    }

    async fn located(&self, call: Call) -> Result<Location> {
        let method = call.method;
        let answer = self.api.read::<Data<Located>>(call).await?;
        let (there, here) = (answer.at, self.api.now());
        let Located { location, expires_at } = answer.body.data;
        let expires_at = time(&expires_at).ok_or_else(|| error::no_time(method))?;
        // In our own time, however their clock differs.
        let expires_at = here.checked_add(expires_at.duration_since(there)).unwrap_or(expires_at);
        Ok(Location { url: location, expires_at })
    }

    /// Bytes of a file. An address that is no longer good is `Retryable`: ask for another one.
    pub(crate) async fn bytes(&self, at: &Location, range: Range<u64>, whole: u64) -> Result<Bytes> {
        const OPERATION: &str = "files.download";
        let wanted = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let request = Request::get(&at.url).header(header::RANGE, wanted).body(Bytes::new());
        let request = request.map_err(|_| error::refused(OPERATION, "the download address is none"))?;
        let answer = self.bare.send(request).await.map_err(|lost| error::from_transport(OPERATION, lost))?;
        let (status, body) = (answer.status(), answer.body());
        if !status.is_success() {
            return Err(error::at_location(OPERATION, status));
        }
        let (from, to) = (usize::try_from(range.start), usize::try_from(range.end));
        let length = range.end - range.start;
        let part = match (status, from, to) {
            (http::StatusCode::PARTIAL_CONTENT, ..) if body.len() as u64 == length => Some(body.clone()),
            // All of it, where ranges are not known.
            (http::StatusCode::OK, Ok(from), Ok(to)) if body.len() as u64 == whole => {
                body.get(from..to).map(|_| body.slice(from..to))
            }
            _ => None,
        };
        part.ok_or_else(|| error::short(OPERATION))
    }

    /// Sends all of a file's bytes.
    pub(crate) async fn send(&self, to: &Location, bytes: Bytes) -> Result<()> {
        let request = upload(to, bytes.len() as u64, bytes)?;
        taken(self.bare.send(request).await)
    }

    /// Begins to send a file's bytes.
    pub(crate) fn begin(&self, to: &Location, size: u64) -> Result<Feed> {
        Ok(Feed::begin(Arc::clone(self.bare), upload(to, size, ())?, Bytes::new()))
    }

    /// The file that an upload made: the newest of that name, folder and size that was not there before. Neither the
    /// answer to `files.upload` nor that to the bytes says its id.
    pub(crate) async fn made(&self, file: &NewFile<'_>, before: &Known) -> Result<StoredFile> {
        for look in 1..=LOOKS {
            let rows = self.newest(file.subject).await?.body;
            if let Some(row) = rows.into_iter().find(|row| is_made(row, file, before)) {
                return Ok(row);
            }
            if look < LOOKS {
                self.api.pause(LOOK_AGAIN).await;
            }
        }
        Err(error::not_shown("files.upload"))
    }

    /// Uploads a file that fits into memory, and finds it: three calls and the bytes.
    pub(crate) async fn upload(&self, file: &NewFile<'_>, bytes: Bytes) -> Result<StoredFile> {
        let before = known(&self.newest(file.subject).await?.body);
        let location = self.upload_location(file).await?;
        self.send(&location, bytes).await?;
        self.made(file, &before).await
    }
}

/// Whether a row is what an upload made.
pub(crate) fn is_made(row: &StoredFile, file: &NewFile<'_>, before: &Known) -> bool {
    row.is(file) && !before.contains(&(row.id.clone(), row.updated_at.clone()))
}

const UPLOAD: &str = "files.upload";

/// `POST` of the raw bytes: neither a form nor a `PUT`.
fn upload<B>(to: &Location, size: u64, body: B) -> Result<Request<B>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(&to.url)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, size);
    request.body(body).map_err(|_| error::refused(UPLOAD, "the upload address is none"))
}

/// What is in the answer is documented nowhere; its status counts.
pub(crate) fn taken(answer: std::result::Result<http::Response<Bytes>, TransportError>) -> Result<()> {
    let answer = answer.map_err(|lost| error::from_transport(UPLOAD, lost))?;
    if answer.status().is_success() { Ok(()) } else { Err(error::at_location(UPLOAD, answer.status())) }
}
