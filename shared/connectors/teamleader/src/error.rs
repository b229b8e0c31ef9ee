//! The one place that names an [`ErrorKind`] for Teamleader.
use bytes::Bytes;
use http::Response;
use std::time::Duration;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::infra::TransportError;

/// As in errors, logs and settings.
pub(crate) const PROVIDER: &str = "teamleader";

/// What a refused request means for the engine. `reset` is how long until the quota lets the next request pass.
/// The `errors[].title` of the body may quote the record (and its wording may change), so only the status counts.
pub(crate) fn classify(operation: &'static str, response: &Response<Bytes>, reset: Option<Duration>) -> ConnectorError {
    let status = response.status().as_u16();
    let kind = match status {
        401 => ErrorKind::AuthRevoked,
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        408 | 500..=599 => ErrorKind::Retryable,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::Throttled { retry_after: reset },
        _ => ErrorKind::Permanent,
    };
    let detail = match kind {
        ErrorKind::Retryable => format!("Teamleader is having trouble (status {status})"),
        ErrorKind::Throttled { .. } => "Teamleader asks us to slow down".to_owned(),
        ErrorKind::AuthRevoked => "Teamleader no longer accepts this connection".to_owned(),
        ErrorKind::NotFound => "Teamleader does not have it".to_owned(),
        ErrorKind::Forbidden => missing_right(operation),
        ErrorKind::Conflict | ErrorKind::CursorExpired | ErrorKind::Permanent => {
            format!("Teamleader refuses this (status {status})")
        }
    };
    ConnectorError::new(PROVIDER, operation, kind, detail)
}

/// The API shows nobody's rights, so the sentence names those that may be missing.
fn missing_right(operation: &str) -> String {
    if operation.starts_with("files.") {
        return "the Teamleader user may lack the right to this record or its files (of a project: to edit it), or the \
                integration a scope"
            .to_owned();
    }
    let module = match operation.split('.').next() {
        Some("companies") => "companies",
        Some("emailTracking") => "e-mail tracking",
        Some("tasks" | "workTypes") => "tasks",
        Some("meetings") => "meetings",
        Some("calls") => "calls",
        Some("events" | "migrate") => "events",
        Some("products") => "products",
        Some("projects" | "projects-v2/projects") => "projects",
        Some("users") => "users",
        Some(_) | None => "contacts",
    };
    format!(
        "the Teamleader user may lack the right to {module} or the right to export, or the integration the scope `{module}`"
    )
}

/// What a missing answer means.
pub(crate) fn from_transport(operation: &'static str, error: TransportError) -> ConnectorError {
    let (kind, detail) = match error {
        TransportError::Lost { .. } => (ErrorKind::Retryable, "Teamleader did not answer"),
        TransportError::AuthRevoked { .. } => (ErrorKind::AuthRevoked, "Teamleader no longer accepts this connection"),
    };
    let mut failure = ConnectorError::new(PROVIDER, operation, kind, detail);
    failure.source = Some(Box::new(error));
    failure
}

/// An answer that is no JSON of the documented shape. Whether the request took effect is unknown.
pub(crate) fn unreadable(operation: &'static str, cause: &serde_json::Error) -> ConnectorError {
    // Only the category: serde's text may quote a value.
    let detail = format!("Teamleader's answer cannot be read ({:?} error)", cause.classify());
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, detail)
}

/// What a temporary address refused. One that is no longer known has come to its end: another one may be asked for.
pub(crate) fn at_location(operation: &'static str, status: http::StatusCode) -> ConnectorError {
    let (kind, detail) = match status.as_u16() {
        403 | 404 | 408 | 410 | 429 | 500..=599 => {
            (ErrorKind::Retryable, "Teamleader's file store does not answer as it should")
        }
        413 => (ErrorKind::Permanent, "the file is too large for Teamleader"),
        416 => (ErrorKind::Conflict, "the file has other bytes by now"),
        _ => (ErrorKind::Permanent, "Teamleader's file store refuses this"),
    };
    ConnectorError::new(PROVIDER, operation, kind, format!("{detail} (status {})", status.as_u16()))
}

/// Other bytes came than those that were asked for.
pub(crate) fn short(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "Teamleader sent other bytes than it was asked for")
}

/// A time in an answer that is none. Whether the request took effect does not matter: nothing was made.
pub(crate) fn no_time(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "Teamleader's answer has no time where one must be")
}

/// It is another one by now than when it was read.
pub(crate) fn changed(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Conflict, "it was changed in Teamleader meanwhile")
}

/// There is no such thing (any more).
pub(crate) fn gone(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::NotFound, "Teamleader does not have it")
}

/// The same failure, for another item.
pub(crate) fn again(error: &ConnectorError) -> ConnectorError {
    ConnectorError::new(error.provider, error.operation, error.kind, error.detail.clone())
}

/// Whether this failure is about one record and its files; those of the next one may be had.
pub(crate) fn is_about_a_record(kind: ErrorKind) -> bool {
    kind == ErrorKind::Forbidden || is_about_an_item(kind)
}

/// Whether a right is missing.
pub(crate) fn is_forbidden(error: &ConnectorError) -> bool {
    error.kind == ErrorKind::Forbidden
}

/// Whether this is missing to the user: no right to it, or no such thing in this account.
pub(crate) fn is_missing(error: &ConnectorError) -> bool {
    is_forbidden(error) || is_gone(error)
}

/// Our own refusal of a request that Teamleader would refuse.
pub(crate) fn refused(operation: &'static str, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Permanent, detail)
}

/// Something that a person chose is not there (any more).
pub(crate) fn forbidden(operation: &'static str, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Forbidden, detail)
}

/// A stored cursor that this release cannot read, or that was made for another list: start anew.
pub(crate) fn cursor_of_another_release(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::CursorExpired, "the stored position is of another release")
}

/// The quota is used up and frees up later than a job may wait.
pub(crate) fn no_quota(operation: &'static str, wait: Duration) -> ConnectorError {
    let kind = ErrorKind::Throttled { retry_after: Some(wait) };
    ConnectorError::new(PROVIDER, operation, kind, "Teamleader asks us to slow down")
}

/// The record was written but cannot be shown, so its version is unknown.
pub(crate) fn not_shown(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "Teamleader does not show what was just made")
}

/// Whether this failure is about one record; the next one may succeed.
pub(crate) fn is_about_an_item(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Permanent => true,
        ErrorKind::Retryable
        | ErrorKind::Throttled { .. }
        | ErrorKind::AuthRevoked
        | ErrorKind::CursorExpired
        | ErrorKind::Forbidden => false,
    }
}

/// Whether the provider says that there is no such thing.
pub(crate) fn is_gone(error: &ConnectorError) -> bool {
    error.kind == ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_kind_and_none_is_quoted() {
        let wait = Some(Duration::from_secs(9));
        let cases = [
            (400, ErrorKind::Permanent),
            (401, ErrorKind::AuthRevoked),
            (403, ErrorKind::Forbidden),
            (404, ErrorKind::NotFound),
            (429, ErrorKind::Throttled { retry_after: wait }),
            (500, ErrorKind::Retryable),
            (503, ErrorKind::Retryable),
        ];
        for (status, kind) in cases {
            let body = Bytes::from_static(br#"{"errors":[{"title":"jan@example.com is taken"}]}"#);
            let answer = Response::builder().status(status).body(body).unwrap();
            let error = classify("contacts.list", &answer, wait);
            assert_eq!(error.kind, kind, "{status}");
            assert!(!error.detail.contains("jan"), "{}", error.detail);
        }
    }

    #[test]
    fn a_missing_right_is_named_by_its_module() {
        let answer = || Response::builder().status(403).body(Bytes::new()).unwrap();
        assert!(classify("companies.list", &answer(), None).detail.contains("companies"));
        assert!(classify("contacts.info", &answer(), None).detail.contains("export"));
    }
}
