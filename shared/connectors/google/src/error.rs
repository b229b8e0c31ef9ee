//! The one place that names an [`ErrorKind`] for Google.
use http::{HeaderMap, Response};
use serde::Deserialize;
use std::time::Duration;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::StorageFull;
use tandem_ports::infra::TransportError;

/// As in errors, logs and settings.
pub(crate) const PROVIDER: &str = "google";

/// `google.rpc.Status`, and the body of a refused request: `{"error": Status}`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Status {
    #[serde(default)]
    pub(crate) code: u16,
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
    /// Calendar v3's form: domain, reason and message.
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
struct Envelope {
    #[serde(default)]
    error: Status,
}

impl Status {
    fn has_reason(&self, wanted: &[&str]) -> bool {
        self.details.iter().chain(&self.errors).any(|detail| wanted.contains(&detail.reason.as_str()))
    }

    /// The HTTP status of a per-item `google.rpc.Status`, whose `code` is a `google.rpc.Code`.
    pub(crate) fn http_status(&self) -> u16 {
        match self.code {
            0 => 200,
            3 | 9 | 11 => 400,
            16 => 401,
            7 => 403,
            5 => 404,
            6 | 10 => 409,
            8 => 429,
            4 => 504,
            14 => 503,
            other if (400..600).contains(&other) => other,
            _ => 500,
        }
    }

    /// `FAILED_PRECONDITION` by rpc code, for per-item results that carry no status name.
    fn is_failed_precondition(&self) -> bool {
        // The legacy reason "failedPrecondition" shows up in details or in the text, by age of the server.
        self.code == 9
            || self.status == "FAILED_PRECONDITION"
            || self.has_reason(&["failedPrecondition", "FAILED_PRECONDITION"])
            || self.message.contains("failedPrecondition")
    }
}

/// What a refused request means for the engine.
pub(crate) fn classify(operation: &'static str, response: &Response<bytes::Bytes>) -> ConnectorError {
    let status = serde_json::from_slice::<Envelope>(response.body()).unwrap_or_default().error;
    let kind = kind_of(response.status().as_u16(), &status, retry_after(response.headers()));
    let detail = if status.has_reason(&ORGANIZER_ONLY) {
        "only the organiser may change this appointment".to_owned()
    } else if status.has_reason(&UNWATCHED) {
        "Google does not tell of changes in this calendar".to_owned()
    } else if status.has_reason(&STORAGE_FULL) {
        "this Google Drive is full".to_owned()
    } else if status.has_reason(&["exportSizeLimitExceeded"]) {
        "Google does not turn so large a document into a PDF".to_owned()
    } else {
        sentence(kind, response.status().as_u16())
    };
    let error = ConnectorError::new(PROVIDER, operation, kind, detail);
    if status.has_reason(&STORAGE_FULL) { StorageFull::because(error) } else { error }
}

/// The same for one item of a batch.
pub(crate) fn classify_item(operation: &'static str, http_status: u16, status: &Status) -> ConnectorError {
    let kind = kind_of(http_status, status, None);
    ConnectorError::new(PROVIDER, operation, kind, sentence(kind, http_status))
}

/// About the whole account: there is no room in it.
const STORAGE_FULL: [&str; 1] = ["storageQuotaExceeded"];

/// About this appointment and not about the account: the user is a guest of it.
const ORGANIZER_ONLY: [&str; 1] = ["forbiddenForNonOrganizer"];

/// A calendar that has no push, such as one of public holidays.
const UNWATCHED: [&str; 1] = ["pushNotSupportedForRequestedResource"];

/// Whether a refused creation means that the id is taken.
pub(crate) fn is_duplicate(response: &Response<bytes::Bytes>) -> bool {
    let status = serde_json::from_slice::<Envelope>(response.body()).unwrap_or_default().error;
    response.status() == http::StatusCode::CONFLICT && status.has_reason(&["duplicate"])
}

fn kind_of(http_status: u16, status: &Status, retry_after: Option<Duration>) -> ErrorKind {
    match http_status {
        // The status beside the reason is FAILED_PRECONDITION or INVALID_ARGUMENT, so only the reason counts.
        400 | 410 if status.has_reason(&["EXPIRED_SYNC_TOKEN"]) => ErrorKind::CursorExpired,
        410 if status.has_reason(&["fullSyncRequired", "updatedMinTooLongAgo"]) => ErrorKind::CursorExpired,
        410 => ErrorKind::NotFound,
        403 if status.has_reason(&ORGANIZER_ONLY) => ErrorKind::Permanent,
        400 if status.has_reason(&UNWATCHED) => ErrorKind::NotFound,
        400 if status.is_failed_precondition() => ErrorKind::Conflict,
        401 => ErrorKind::AuthRevoked,
        403 if status.has_reason(&DRIVE_ITEM) => ErrorKind::Permanent,
        403 if is_quota(status) => ErrorKind::Throttled { retry_after },
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::Throttled { retry_after },
        408 => ErrorKind::Retryable,
        500..=599 => ErrorKind::Retryable,
        _ => ErrorKind::Permanent,
    }
}

/// About this file of Drive and not about the account: repeating cannot help.
const DRIVE_ITEM: [&str; 7] = [
    "exportSizeLimitExceeded",
    "fileNotDownloadable",
    "fileNotExportable",
    "cannotDownloadAbusiveFile",
    "numChildrenInNonRootLimitExceeded",
    "teamDriveFileLimitExceeded",
    "fileNeverWritable",
];

fn is_quota(status: &Status) -> bool {
    const REASONS: [&str; 7] = [
        "sharingRateLimitExceeded",
        "RATE_LIMIT_EXCEEDED",
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "quotaExceeded",
        "dailyLimitExceeded",
        "RESOURCE_QUOTA_EXCEEDED",
    ];
    status.status == "RESOURCE_EXHAUSTED" || status.has_reason(&REASONS)
}

/// One sentence for people. Google's own message may quote the record, so it is not passed on.
fn sentence(kind: ErrorKind, http_status: u16) -> String {
    match kind {
        ErrorKind::Retryable => format!("Google is having trouble (status {http_status})"),
        ErrorKind::Throttled { .. } => "Google asks us to slow down".to_owned(),
        ErrorKind::AuthRevoked => "Google no longer accepts this connection".to_owned(),
        ErrorKind::CursorExpired => "Google no longer knows where we left off".to_owned(),
        ErrorKind::Conflict => "it was changed at Google in the meantime".to_owned(),
        ErrorKind::NotFound => "Google does not have it".to_owned(),
        ErrorKind::Forbidden => "the Google connection lacks the right to do this".to_owned(),
        ErrorKind::Permanent => format!("Google refuses this (status {http_status})"),
    }
}

/// `Retry-After` in seconds, or as a date (counted from the answer's own `Date`).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(text)?;
    let now = http_date(headers.get(http::header::DATE)?.to_str().ok()?)?;
    Some(Duration::from_secs(u64::try_from(until.as_second() - now.as_second()).unwrap_or(0)))
}

fn http_date(text: &str) -> Option<jiff::Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

/// What a missing answer means.
pub(crate) fn from_transport(operation: &'static str, error: TransportError) -> ConnectorError {
    let (kind, detail) = match error {
        TransportError::Lost { .. } => (ErrorKind::Retryable, "Google did not answer"),
        TransportError::AuthRevoked { .. } => (ErrorKind::AuthRevoked, "Google no longer accepts this connection"),
    };
    let mut failure = ConnectorError::new(PROVIDER, operation, kind, detail);
    failure.source = Some(Box::new(error));
    failure
}

/// An answer that is no JSON of the documented shape. Whether the request took effect is unknown.
pub(crate) fn unreadable(operation: &'static str, cause: serde_json::Error) -> ConnectorError {
    // Only the category: serde's text may quote a value.
    let detail = format!("Google's answer cannot be read ({:?} error)", cause.classify());
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, detail)
}

/// Our own refusal of a request that Google would refuse.
pub(crate) fn refused(operation: &'static str, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Permanent, detail)
}

/// Something that a person chose is not there (any more).
pub(crate) fn forbidden(operation: &'static str, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Forbidden, detail)
}

/// A stored cursor that this release cannot read (or whose parameters it no longer sends): start anew.
pub(crate) fn cursor_of_another_release(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::CursorExpired, "the stored position is of another release")
}

/// A refused page or sync token: Google says INVALID_ARGUMENT for tokens it does not know or whose parameters differ.
pub(crate) fn token_refused(error: ConnectorError) -> ConnectorError {
    if error.kind != ErrorKind::Permanent {
        return error;
    }
    ConnectorError { kind: ErrorKind::CursorExpired, ..error }
}

/// A refused history: the mailbox no longer knows the id, and says so with 404 (`users.history.list`).
pub(crate) fn history_refused(error: ConnectorError) -> ConnectorError {
    let unknown = [ErrorKind::NotFound, ErrorKind::Permanent].contains(&error.kind);
    if unknown { ConnectorError { kind: ErrorKind::CursorExpired, ..error } } else { error }
}

/// The same refusal in the words of mail.
pub(crate) fn of_mail(error: ConnectorError) -> ConnectorError {
    if error.kind != ErrorKind::Forbidden {
        return error;
    }
    let detail = "the Google connection lacks the right to read mail and keep labels".to_owned();
    ConnectorError { detail, ..error }
}

/// An item that was not tried, as its batch could not be taken apart within the allowance.
pub(crate) fn not_tried(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "left for the next attempt")
}

/// An item that the answer says nothing about.
pub(crate) fn no_answer(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "Google's answer leaves this record out")
}

/// A listing that names neither a next page nor where to go on from: Google's last page always does the latter.
pub(crate) fn no_end(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "Google's list ends without saying where to go on")
}

/// Gone, as a read showed.
pub(crate) fn gone(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::NotFound, sentence(ErrorKind::NotFound, 404))
}

/// The calendar itself: deleted, or no longer shared with this account. Nothing follows for the appointments in it.
pub(crate) fn calendar_gone(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::NotFound, "the calendar itself is no longer at Google")
}

/// Changed since it was read, as a read showed.
pub(crate) fn changed_meanwhile(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Conflict, sentence(ErrorKind::Conflict, 400))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    fn kind(status: u16, headers: &[(&str, &str)], body: &str) -> ErrorKind {
        classify("test", &answer(status, headers, body)).kind
    }

    #[test]
    fn an_expired_sync_token_is_known_by_its_reason_under_either_status() {
        for status in ["FAILED_PRECONDITION", "INVALID_ARGUMENT"] {
            let body = format!(
                r#"{{"error":{{"code":400,"status":"{status}","details":[{{"reason":"EXPIRED_SYNC_TOKEN"}}]}}}}"#
            );
            assert_eq!(kind(400, &[], &body), ErrorKind::CursorExpired);
        }
    }

    #[test]
    fn each_answer_has_its_kind() {
        let throttled = |seconds: Option<u64>| ErrorKind::Throttled { retry_after: seconds.map(Duration::from_secs) };
        let dated = [("retry-after", "Mon, 05 Jan 2026 08:00:30 GMT"), ("date", "Mon, 05 Jan 2026 08:00:00 GMT")];
        assert_eq!(kind(400, &[], r#"{"error":{"status":"FAILED_PRECONDITION"}}"#), ErrorKind::Conflict);
        assert_eq!(kind(400, &[], r#"{"error":{"status":"INVALID_ARGUMENT"}}"#), ErrorKind::Permanent);
        assert_eq!(kind(400, &[], "<html>"), ErrorKind::Permanent);
        assert_eq!(kind(401, &[], "{}"), ErrorKind::AuthRevoked);
        assert_eq!(kind(403, &[], r#"{"error":{"status":"PERMISSION_DENIED"}}"#), ErrorKind::Forbidden);
        assert_eq!(kind(403, &[], r#"{"error":{"details":[{"reason":"rateLimitExceeded"}]}}"#), throttled(None));
        let drive = |reason: &str| format!(r#"{{"error":{{"code":403,"errors":[{{"reason":"{reason}"}}]}}}}"#);
        assert_eq!(kind(403, &[], &drive("sharingRateLimitExceeded")), throttled(None));
        assert_eq!(kind(403, &[], &drive("storageQuotaExceeded")), ErrorKind::Forbidden);
        let is_full = |reason: &str| StorageFull::is_cause_of(&classify("test", &answer(403, &[], &drive(reason))));
        assert!(is_full("storageQuotaExceeded") && !is_full("insufficientFilePermissions"));
        assert_eq!(kind(403, &[], &drive("exportSizeLimitExceeded")), ErrorKind::Permanent);
        assert_eq!(kind(404, &[], "{}"), ErrorKind::NotFound);
        let reason = |reason: &str| format!(r#"{{"error":{{"errors":[{{"reason":"{reason}"}}]}}}}"#);
        assert_eq!(kind(410, &[], &reason("fullSyncRequired")), ErrorKind::CursorExpired);
        assert_eq!(kind(410, &[], &reason("updatedMinTooLongAgo")), ErrorKind::CursorExpired);
        assert_eq!(kind(410, &[], &reason("deleted")), ErrorKind::NotFound);
        assert_eq!(kind(403, &[], &reason("userRateLimitExceeded")), throttled(None));
        assert_eq!(kind(400, &[], &reason("pushNotSupportedForRequestedResource")), ErrorKind::NotFound);
        assert_eq!(kind(403, &[], &reason("forbiddenForNonOrganizer")), ErrorKind::Permanent);
        assert_eq!(kind(412, &[], &reason("conditionNotMet")), ErrorKind::Conflict);
        assert_eq!(kind(409, &[], "{}"), ErrorKind::Conflict);
        assert_eq!(kind(429, &[("retry-after", "7")], "{}"), throttled(Some(7)));
        assert_eq!(kind(429, &dated, "{}"), throttled(Some(30)));
        assert_eq!(kind(503, &[], ""), ErrorKind::Retryable);
    }

    #[test]
    fn the_detail_never_quotes_the_answer() {
        let body = r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"bad jan@example.com"}}"#;
        assert!(!classify("test", &answer(400, &[], body)).to_string().contains("example.com"));
    }
}
