//! The one place that names an [`ErrorKind`] for Dropbox.
use crate::wire::Refused;
use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::StorageFull;
use tandem_ports::infra::TransportError;

/// As in errors, logs and settings.
pub(crate) const PROVIDER: &str = "dropbox";

/// The tags of a refusal from the outermost to the innermost: `path`, `conflict`, `file`.
pub(crate) fn tags(error: &Value) -> Vec<String> {
    let mut tags = Vec::new();
    let mut at = error;
    while let Some(tag) = at.get(".tag").and_then(Value::as_str).or(at.as_str()) {
        tags.push(tag.to_owned());
        // A union's struct is beside its tag or below its name.
        let below = at.get(tag).or(at.get("reason")).filter(|below| below.is_object() || below.is_string());
        let Some(below) = below else { break };
        at = below;
    }
    tags
}

/// The tags of a refused request.
pub(crate) fn tags_of(response: &Response<Bytes>) -> Vec<String> {
    if response.status() != http::StatusCode::CONFLICT {
        return Vec::new();
    }
    tags(&serde_json::from_slice::<Refused>(response.body()).unwrap_or_default().error)
}

/// `correct_offset` of a refused append or finish.
pub(crate) fn correct_offset(response: &Response<Bytes>) -> Option<u64> {
    let error = serde_json::from_slice::<Refused>(response.body()).ok()?.error;
    let lookup = error.get("lookup_failed").unwrap_or(&error);
    (lookup.get(".tag")? == "incorrect_offset").then(|| lookup.get("correct_offset")?.as_u64())?
}

/// What a refused request means for the engine.
pub(crate) fn classify(operation: &'static str, response: &Response<Bytes>) -> ConnectorError {
    let status = response.status().as_u16();
    let (kind, detail) = match status {
        409 => return refused_for(operation, &tags_of(response), retry_after(response)),
        401 if body_says(response, "missing_scope") => {
            (ErrorKind::Forbidden, "the Dropbox connection lacks a right that it was not given")
        }
        401 => (ErrorKind::AuthRevoked, "Dropbox no longer accepts this connection"),
        403 => (ErrorKind::Forbidden, "this Dropbox account may not do this"),
        429 => (ErrorKind::Throttled { retry_after: retry_after(response) }, "Dropbox asks us to slow down"),
        408 | 500..=599 => (ErrorKind::Retryable, "Dropbox is having trouble"),
        _ => return ConnectorError::new(PROVIDER, operation, ErrorKind::Permanent, refusal(status)),
    };
    ConnectorError::new(PROVIDER, operation, kind, detail)
}

/// The same for one entry of a batch.
pub(crate) fn classify_item(operation: &'static str, failure: &Value) -> ConnectorError {
    refused_for(operation, &tags(failure), None)
}

fn refused_for(operation: &'static str, tags: &[String], retry_after: Option<Duration>) -> ConnectorError {
    let (kind, detail) = of_tags(tags, retry_after);
    let error = ConnectorError::new(PROVIDER, operation, kind, detail);
    if detail == FULL { StorageFull::because(error) } else { error }
}

/// Said of the whole account.
const FULL: &str = "this Dropbox is full";

fn refusal(status: u16) -> String {
    format!("Dropbox refuses this (status {status})")
}

/// One sentence for people. Dropbox's own message may quote a path, so it is not passed on.
fn of_tags(tags: &[String], retry_after: Option<Duration>) -> (ErrorKind, &'static str) {
    let has = |names: &[&str]| tags.iter().any(|tag| names.contains(&tag.as_str()));
    if has(&["too_many_write_operations", "too_many_requests"]) {
        return (ErrorKind::Throttled { retry_after }, "Dropbox asks us to slow down");
    }
    if has(&["reset"]) {
        return (ErrorKind::CursorExpired, "Dropbox no longer knows where we left off");
    }
    if has(&["conflict", "incorrect_offset", "closed", "not_closed"]) {
        return (ErrorKind::Conflict, "it was changed at Dropbox in the meantime");
    }
    if has(&["not_found", "not_file", "not_folder"]) {
        return (ErrorKind::NotFound, "Dropbox does not have it");
    }
    // The hash is made of the very bytes that were sent: they were damaged on the way.
    if has(&["internal_error", "content_hash_mismatch", "concurrent_session_missing_data"]) {
        return (ErrorKind::Retryable, "it did not arrive at Dropbox as it was sent");
    }
    if has(&["insufficient_space", "insufficient_quota"]) {
        return (ErrorKind::Forbidden, FULL);
    }
    if has(&["no_write_permission", "access_restricted", "team_folder"]) {
        return (ErrorKind::Forbidden, "there is no right to write there in this Dropbox");
    }
    let detail = if has(&["malformed_path", "disallowed_name"]) {
        "Dropbox does not allow this name"
    } else if has(&["too_large", "payload_too_large"]) {
        "this is too large for Dropbox"
    } else if has(&["restricted_content"]) {
        "Dropbox has blocked this file"
    } else if has(&["locked"]) {
        "this file is locked at Dropbox"
    } else if has(&["too_many_files"]) {
        "Dropbox cannot do this with so many files at once"
    } else {
        "Dropbox refuses this"
    };
    (ErrorKind::Permanent, detail)
}

fn body_says(response: &Response<Bytes>, tag: &str) -> bool {
    let refused = serde_json::from_slice::<Refused>(response.body()).unwrap_or_default();
    tags(&refused.error).iter().any(|found| found == tag)
}

/// Seconds: the header, or `RateLimitError.retry_after` in the body.
fn retry_after(response: &Response<Bytes>) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Limit {
        retry_after: u64,
    }
    #[derive(Deserialize)]
    struct Body {
        error: Limit,
    }
    let header = response.headers().get(http::header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    let body = || Some(serde_json::from_slice::<Body>(response.body()).ok()?.error.retry_after);
    header.or_else(body).map(Duration::from_secs)
}

/// What a missing answer means.
pub(crate) fn from_transport(operation: &'static str, error: TransportError) -> ConnectorError {
    let (kind, detail) = match error {
        TransportError::Lost { .. } => (ErrorKind::Retryable, "Dropbox did not answer"),
        TransportError::AuthRevoked { .. } => (ErrorKind::AuthRevoked, "Dropbox no longer accepts this connection"),
    };
    let mut failure = ConnectorError::new(PROVIDER, operation, kind, detail);
    failure.source = Some(Box::new(error));
    failure
}

/// An answer that is not of the documented shape. Whether the request took effect is unknown.
pub(crate) fn unreadable(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "Dropbox's answer cannot be read")
}

/// A launched batch that is not done yet.
pub(crate) fn still_working(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "Dropbox is still working on it")
}

/// Our own refusal of a request that Dropbox would refuse or must not carry out.
pub(crate) fn refused(operation: &'static str, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Permanent, detail)
}

/// A stored cursor or session that this release cannot read: start anew.
pub(crate) fn of_another_release(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::CursorExpired, "the stored position is of another release")
}

/// Changed since it was read, as a read showed.
pub(crate) fn changed_meanwhile(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Conflict, "it was changed at Dropbox in the meantime")
}

/// Gone, as a read showed.
pub(crate) fn gone(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::NotFound, "Dropbox does not have it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    fn kind(status: u16, headers: &[(&str, &str)], error: &str) -> ErrorKind {
        classify("test", &answer(status, headers, &format!(r#"{{"error_summary":"x/..","error":{error}}}"#))).kind
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let throttled = |seconds: Option<u64>| ErrorKind::Throttled { retry_after: seconds.map(Duration::from_secs) };
        let path = |inner: &str| format!(r#"{{".tag":"path","path":{inner}}}"#);
        assert_eq!(kind(409, &[], r#"{".tag":"reset"}"#), ErrorKind::CursorExpired);
        assert_eq!(kind(409, &[], &path(r#"{".tag":"not_found"}"#)), ErrorKind::NotFound);
        let conflict = r#"{".tag":"conflict","conflict":{".tag":"file"}}"#;
        assert_eq!(kind(409, &[], &path(conflict)), ErrorKind::Conflict);
        let upload = format!(r#"{{".tag":"path","reason":{conflict},"upload_session_id":"s"}}"#);
        assert_eq!(kind(409, &[], &upload), ErrorKind::Conflict);
        assert_eq!(kind(409, &[], r#"{".tag":"too_many_write_operations"}"#), throttled(None));
        assert_eq!(kind(409, &[], &path(r#"{".tag":"too_many_write_operations"}"#)), throttled(None));
        assert_eq!(kind(409, &[], &path(r#"{".tag":"disallowed_name"}"#)), ErrorKind::Permanent);
        assert_eq!(kind(409, &[], &path(r#"{".tag":"insufficient_space"}"#)), ErrorKind::Forbidden);
        let full = serde_json::json!({".tag": "path", "path": {".tag": "insufficient_space"}});
        assert!(StorageFull::is_cause_of(&classify_item("test", &full)));
        let other = serde_json::json!({".tag": "path", "path": {".tag": "no_write_permission"}});
        assert!(!StorageFull::is_cause_of(&classify_item("test", &other)));
        assert_eq!(kind(409, &[], r#"{".tag":"something_new"}"#), ErrorKind::Permanent);
        let limit = r#"{"reason":{".tag":"too_many_requests"},"retry_after":30}"#;
        assert_eq!(kind(429, &[], limit), throttled(Some(30)));
        assert_eq!(kind(429, &[("retry-after", "7")], limit), throttled(Some(7)));
        assert_eq!(kind(401, &[], r#"{".tag":"expired_access_token"}"#), ErrorKind::AuthRevoked);
        let scope = r#"{".tag":"missing_scope","required_scope":"files.content.write"}"#;
        assert_eq!(kind(401, &[], scope), ErrorKind::Forbidden);
        assert_eq!(kind(403, &[], "{}"), ErrorKind::Forbidden);
        assert_eq!(kind(503, &[], "{}"), ErrorKind::Retryable);
        assert_eq!(classify("test", &answer(429, &[], "slow down")).kind, throttled(None));
        assert_eq!(classify("test", &answer(400, &[], "Error in call")).kind, ErrorKind::Permanent);
    }

    #[test]
    fn the_offset_is_found_in_appends_and_in_finishes() {
        let offset = r#"{".tag":"incorrect_offset","correct_offset":42}"#;
        let append = answer(409, &[], &format!(r#"{{"error":{offset}}}"#));
        let finish = answer(409, &[], &format!(r#"{{"error":{{".tag":"lookup_failed","lookup_failed":{offset}}}}}"#));
        assert_eq!((correct_offset(&append), correct_offset(&finish)), (Some(42), Some(42)));
        assert_eq!(correct_offset(&answer(409, &[], r#"{"error":{".tag":"closed"}}"#)), None);
    }

    #[test]
    fn the_detail_never_quotes_the_answer() {
        let error = r#"{"error_summary":"/customers/jan.txt","error":{".tag":"other"}}"#;
        assert!(!classify("test", &answer(409, &[], error)).to_string().contains("jan"));
    }
}
