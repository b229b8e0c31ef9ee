//! The one place that names an [`ErrorKind`] for Sell.
use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use std::time::Duration;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::infra::TransportError;

/// As in errors, logs and settings.
pub(crate) const PROVIDER: &str = "sell";
/// Sell sends no header with a 429. The limit is 10 requests a second and 36,000 an hour, so ten seconds clear the first
/// and earn a hundred requests of the second.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Default, Deserialize)]
struct Envelope {
    #[serde(default)]
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    error: Problem,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    field: Option<String>,
}

/// What a refused request means for the engine.
pub(crate) fn classify(operation: &'static str, response: &Response<Bytes>) -> ConnectorError {
    let status = response.status().as_u16();
    let envelope = serde_json::from_slice::<Envelope>(response.body()).unwrap_or_default();
    let has = |code: &str| envelope.errors.iter().any(|entry| entry.error.code == code);
    let kind = match status {
        401 => ErrorKind::AuthRevoked,
        403 => ErrorKind::Forbidden,
        404 | 410 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        429 => ErrorKind::Throttled { retry_after: Some(asked_to_wait(response).unwrap_or(WAIT)) },
        _ if has("rate_limit_exceeded") => ErrorKind::Throttled { retry_after: Some(WAIT) },
        408 | 500..=599 => ErrorKind::Retryable,
        _ => ErrorKind::Permanent,
    };
    let about = match kind {
        ErrorKind::Permanent => fields_named(&envelope),
        ErrorKind::Forbidden if has("insufficient_scope") => " (a scope is missing)".to_owned(),
        ErrorKind::Retryable
        | ErrorKind::Throttled { .. }
        | ErrorKind::AuthRevoked
        | ErrorKind::CursorExpired
        | ErrorKind::Conflict
        | ErrorKind::NotFound
        | ErrorKind::Forbidden => String::new(),
    };
    ConnectorError::new(PROVIDER, operation, kind, sentence(kind, status) + &about)
}

/// A proxy in between may say how long; Sell itself does not.
fn asked_to_wait(response: &Response<Bytes>) -> Option<Duration> {
    response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The fields that Sell points at, with its code and never with their values.
fn fields_named(envelope: &Envelope) -> String {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/_-".contains(c)) && text.len() < 80;
    let name = |entry: &Entry| {
        let field = entry.error.field.as_deref().filter(|field| plain(field))?;
        let field = field.trim_start_matches("/data").trim_matches('/');
        Some(if plain(&entry.error.code) { format!("{field} ({})", entry.error.code) } else { field.to_owned() })
    };
    let names: Vec<String> = envelope.errors.iter().filter_map(name).take(5).collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}

fn sentence(kind: ErrorKind, status: u16) -> String {
    match kind {
        ErrorKind::Retryable => format!("Sell is having trouble (status {status})"),
        ErrorKind::Throttled { .. } => "Sell asks us to slow down".to_owned(),
        ErrorKind::AuthRevoked => "Sell no longer accepts this connection".to_owned(),
        ErrorKind::CursorExpired => "the stored position in Sell cannot be used".to_owned(),
        ErrorKind::Conflict => "it was changed in Sell in the meantime".to_owned(),
        ErrorKind::NotFound => "Sell does not have it".to_owned(),
        ErrorKind::Forbidden => "the Sell connection lacks the right to do this".to_owned(),
        ErrorKind::Permanent => format!("Sell refuses this (status {status})"),
    }
}

/// What a missing answer means.
pub(crate) fn from_transport(operation: &'static str, error: TransportError) -> ConnectorError {
    let (kind, detail) = match error {
        TransportError::Lost { .. } => (ErrorKind::Retryable, "Sell did not answer"),
        TransportError::AuthRevoked { .. } => (ErrorKind::AuthRevoked, "Sell no longer accepts this connection"),
    };
    let mut failure = ConnectorError::new(PROVIDER, operation, kind, detail);
    failure.source = Some(Box::new(error));
    failure
}

/// An answer that is no JSON of the documented shape. Whether the request took effect is unknown.
pub(crate) fn unreadable(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, "Sell's answer cannot be read")
}

/// Our own refusal of a request that Sell would refuse.
pub(crate) fn refused(operation: &'static str, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Permanent, detail)
}

/// A stored cursor of another release or another device: start anew.
pub(crate) fn cursor_expired() -> ConnectorError {
    let kind = ErrorKind::CursorExpired;
    ConnectorError::new(PROVIDER, "sync.start", kind, sentence(kind, 0))
}

/// A place in the stream behind which Sell does not tell everything any more; `detail` is for people.
pub(crate) fn events_lost(detail: String) -> ConnectorError {
    ConnectorError::new(PROVIDER, "appointments.stream", ErrorKind::CursorExpired, detail)
}

/// Appointments cannot be written by any API of Sell.
pub(crate) fn read_only(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Forbidden, "Zendesk Sell lets nobody write appointments")
}

/// Changed since it was read, as a read showed.
pub(crate) fn changed(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Conflict, sentence(ErrorKind::Conflict, 409))
}

/// What cannot be done for this user or with these settings; `detail` is for people.
pub(crate) fn forbidden(operation: &'static str, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::Forbidden, detail)
}

/// An address of bytes that is no longer good, whatever its status says: the next try asks for another one.
pub(crate) fn at_address(operation: &'static str, status: http::StatusCode) -> ConnectorError {
    let status = status.as_u16();
    ConnectorError::new(PROVIDER, operation, ErrorKind::Retryable, sentence(ErrorKind::Retryable, status))
}

/// Gone, as a read showed.
pub(crate) fn gone(operation: &'static str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation, ErrorKind::NotFound, sentence(ErrorKind::NotFound, 404))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> ConnectorError {
        classify("test", &Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
    }

    #[test]
    fn each_answer_has_its_kind() {
        let throttled = ErrorKind::Throttled { retry_after: Some(WAIT) };
        let cases = [
            (400, ErrorKind::Permanent),
            (401, ErrorKind::AuthRevoked),
            (403, ErrorKind::Forbidden),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Conflict),
            (422, ErrorKind::Permanent),
            (429, throttled),
            (500, ErrorKind::Retryable),
            (503, ErrorKind::Retryable),
        ];
        for (status, kind) in cases {
            assert_eq!(answer(status, "<html>").kind, kind, "{status}");
        }
    }

    #[test]
    fn a_refused_field_is_named_and_its_value_is_not() {
        let body = r#"{"errors":[{"error":{"resource":"contact","field":"/data/email","code":"incorrect_value",
            "message":"x@ is bad","details":"x@ is bad"}}]}"#;
        let text = answer(422, body).to_string();
        assert!(text.contains("email (incorrect_value)") && !text.contains("x@"), "{text}");
    }
}
