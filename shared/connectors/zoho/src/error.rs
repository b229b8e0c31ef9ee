//! The one place that names an [`ErrorKind`] for Zoho.
use crate::wire::Treated;
use http::Response;
use serde_json::Value;
use std::time::Duration;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::StorageFull;
use tandem_ports::infra::TransportError;

/// As in errors, logs and settings.
pub(crate) const PROVIDER: &str = "zoho";

/// Zoho's 429 says no time. Calls under way end within seconds; a minute is more than their longest.
const CONCURRENCY_WAIT: Duration = Duration::from_secs(60);
/// Credits come back over a rolling window of 24 hours, so some are there after an hour.
const CREDITS_WAIT: Duration = Duration::from_secs(3600);

/// What we asked for, as errors say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// As in logs.
    pub(crate) name: &'static str,
    /// The OAuth scope that Zoho wants for it.
    pub(crate) scope: &'static str,
}

/// What a refused request means for the engine.
pub(crate) fn classify(operation: Operation, response: &Response<bytes::Bytes>) -> ConnectorError {
    let status = response.status().as_u16();
    let said: Treated = serde_json::from_slice(response.body()).unwrap_or_default();
    let asked = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    judge(operation, status, &said, asked.map(Duration::from_secs))
}

/// The same for one record of a write.
pub(crate) fn classify_item(operation: Operation, said: &Treated) -> ConnectorError {
    judge(operation, 400, said, None)
}

/// Said of the whole organisation, and not of one file.
const NO_ROOM: &str = "STORAGE_SPACE_EXCEEDED";

fn judge(operation: Operation, status: u16, said: &Treated, asked: Option<Duration>) -> ConnectorError {
    let kind = kind_of(status, said, asked);
    let error = ConnectorError::new(PROVIDER, operation.name, kind, sentence(kind, operation, status, said));
    if said.code == NO_ROOM { StorageFull::because(error) } else { error }
}

fn kind_of(status: u16, said: &Treated, asked: Option<Duration>) -> ErrorKind {
    let throttled = |wait| ErrorKind::Throttled { retry_after: Some(asked.unwrap_or(wait)) };
    match said.code.as_str() {
        "INVALID_TOKEN" | "AUTHENTICATION_FAILURE" => ErrorKind::AuthRevoked,
        "OAUTH_SCOPE_MISMATCH" | "NO_PERMISSION" | "API_NOT_SUPPORTED" | "INVALID_MODULE" | NO_ROOM => {
            ErrorKind::Forbidden
        }
        "TOO_MANY_REQUESTS" => throttled(CONCURRENCY_WAIT),
        "LIMIT_EXCEEDED" | "API_LIMIT_EXCEEDED" if status == 429 || status == 403 => throttled(CREDITS_WAIT),
        "RECORD_MODIFIED" | "ALREADY_MODIFIED" | "DUPLICATE_DATA" | "RECORD_LOCKED" => ErrorKind::Conflict,
        "INVALID_DATA" | "RECORD_NOT_FOUND" | "NOT_FOUND" if is_about_the_id(said) => ErrorKind::NotFound,
        // An id within the address.
        "INVALID_DATA" if !said.details["resource_path_index"].is_null() => ErrorKind::NotFound,
        "INVALID_DATA" if is_about_the_view(said) => ErrorKind::Forbidden,
        "INTERNAL_ERROR" => ErrorKind::Retryable,
        // An address of ours that Zoho has not is a fault of ours and says nothing about a record.
        "INVALID_URL_PATTERN" | "INVALID_REQUEST_METHOD" => ErrorKind::Permanent,
        _ => match status {
            401 => ErrorKind::AuthRevoked,
            403 => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            412 => ErrorKind::Conflict,
            429 => throttled(CONCURRENCY_WAIT),
            408 | 500..=599 => ErrorKind::Retryable,
            _ => ErrorKind::Permanent,
        },
    }
}

/// "the id given seems to be invalid", about the record itself and not about one it points at.
fn is_about_the_id(said: &Treated) -> bool {
    let named = said.details["api_name"].as_str();
    let speaks_of_it = said.message.contains("id given seems to be invalid") || said.code != "INVALID_DATA";
    named == Some("id") || (named.is_none() && said.details["param_name"].is_null() && speaks_of_it)
}

fn is_about_the_view(said: &Treated) -> bool {
    said.details["param_name"] == "cvid"
        || said.details["param"] == "cvid"
        || said.message.eq_ignore_ascii_case("customview not accessible")
}

/// The field that Zoho names: an api name, which is no personal datum. Anything else is not passed on.
fn field(details: &Value) -> Option<&str> {
    let named = ["api_name", "param_name", "param"].iter().find_map(|key| details[*key].as_str())?;
    named.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$').then_some(named)
}

/// One sentence for people. Zoho's own message may quote the record, so it is not passed on.
fn sentence(kind: ErrorKind, operation: Operation, status: u16, said: &Treated) -> String {
    let about = field(&said.details).map(|name| format!(" ({name})")).unwrap_or_default();
    match (kind, said.code.as_str()) {
        (ErrorKind::Retryable, _) => format!("Zoho is having trouble (status {status})"),
        (ErrorKind::Throttled { .. }, "LIMIT_EXCEEDED" | "API_LIMIT_EXCEEDED") => {
            "the Zoho organisation has used up its API credits of the last 24 hours".to_owned()
        }
        (ErrorKind::Throttled { .. }, _) => "Zoho asks us to slow down".to_owned(),
        (ErrorKind::AuthRevoked, _) => "Zoho no longer accepts this connection".to_owned(),
        (ErrorKind::CursorExpired, _) => "Zoho no longer knows where we left off".to_owned(),
        (ErrorKind::Conflict, "DUPLICATE_DATA") => {
            format!("Zoho has another record with the same value in a field that must be unique{about}")
        }
        (ErrorKind::Conflict, "RECORD_LOCKED") => "the record is locked at Zoho".to_owned(),
        (ErrorKind::Conflict, _) => "the record was changed at Zoho in the meantime".to_owned(),
        (ErrorKind::NotFound, _) => "Zoho does not have it".to_owned(),
        (ErrorKind::Forbidden, "OAUTH_SCOPE_MISMATCH") => {
            format!("the Zoho connection lacks the scope {}; connect it again", operation.scope)
        }
        (ErrorKind::Forbidden, "NO_PERMISSION") => {
            format!("the Zoho user lacks a permission: {}", permissions(&said.details))
        }
        (ErrorKind::Forbidden, "API_NOT_SUPPORTED") => "this edition of Zoho CRM has no API".to_owned(),
        (ErrorKind::Forbidden, "INVALID_MODULE") => "the Zoho user does not see the module".to_owned(),
        (ErrorKind::Forbidden, "INVALID_DATA") => VIEW_GONE.to_owned(),
        (ErrorKind::Forbidden, NO_ROOM) => "the Zoho organisation has no room for more files".to_owned(),
        (ErrorKind::Forbidden, _) => "the Zoho user may not do this".to_owned(),
        (ErrorKind::Permanent, "MANDATORY_NOT_FOUND") => {
            format!("Zoho demands a value in a field that has none{about}")
        }
        (ErrorKind::Permanent, "FILE_SIZE_MORE_THAN_ALLOWED_SIZE") => {
            "the file is larger than this Zoho organisation takes".to_owned()
        }
        (ErrorKind::Permanent, "RECORD_IN_BLUEPRINT") => "a blueprint at Zoho keeps the record from changes".to_owned(),
        (ErrorKind::Permanent, "INVALID_DATA") => format!("Zoho does not take the value of a field{about}"),
        (ErrorKind::Permanent, _) => format!("Zoho refuses this (status {status}){about}"),
    }
}

/// What people read when the chosen list view cannot be read.
pub(crate) const VIEW_GONE: &str =
    "the chosen list view is gone, or not one of Contacts, or not shared with this Zoho user; please choose another";

fn permissions(details: &Value) -> String {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_ -".contains(c));
    let names: Vec<&str> = details["permissions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match names.is_empty() || !names.iter().all(|name| plain(name)) {
        true => "Zoho does not say which".to_owned(),
        false => names.join(", "),
    }
}

/// What a missing answer means.
pub(crate) fn from_transport(operation: Operation, error: TransportError) -> ConnectorError {
    let (kind, detail) = match error {
        TransportError::Lost { .. } => (ErrorKind::Retryable, "Zoho did not answer"),
        TransportError::AuthRevoked { .. } => (ErrorKind::AuthRevoked, "Zoho no longer accepts this connection"),
    };
    let mut failure = ConnectorError::new(PROVIDER, operation.name, kind, detail);
    failure.source = Some(Box::new(error));
    failure
}

/// An answer that is no JSON of the documented shape. Whether the request took effect is unknown.
pub(crate) fn unreadable(operation: Operation, cause: serde_json::Error) -> ConnectorError {
    // Only the category: serde's text may quote a value.
    let detail = format!("Zoho's answer cannot be read ({:?} error)", cause.classify());
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::Retryable, detail)
}

/// Our own refusal of a request that Zoho would refuse.
pub(crate) fn refused(operation: Operation, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::Permanent, detail)
}

/// A right that is missing, as the user's profile shows.
pub(crate) fn forbidden(operation: Operation, detail: impl Into<String>) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::Forbidden, detail)
}

/// A stored cursor that cannot be gone on with: of another release, or too old for Zoho to tell all deletions since.
pub(crate) fn cursor_expired(operation: Operation, detail: &str) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::CursorExpired, detail)
}

/// A page token that is refused has expired (24 hours) or is another user's.
pub(crate) fn token_refused(error: ConnectorError) -> ConnectorError {
    match error.kind {
        ErrorKind::Permanent | ErrorKind::NotFound => ConnectorError { kind: ErrorKind::CursorExpired, ..error },
        ErrorKind::Retryable
        | ErrorKind::Throttled { .. }
        | ErrorKind::AuthRevoked
        | ErrorKind::CursorExpired
        | ErrorKind::Conflict
        | ErrorKind::Forbidden => error,
    }
}

/// A record that was not tried in this call.
pub(crate) fn not_tried(operation: Operation) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::Retryable, "left for the next attempt")
}

/// A record that the answer says nothing about.
pub(crate) fn no_answer(operation: Operation) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::Retryable, "Zoho's answer leaves something out")
}

/// Gone, as a read showed.
pub(crate) fn gone(operation: Operation) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::NotFound, "Zoho does not have it")
}

/// A body that ended before its end.
pub(crate) fn short(operation: Operation) -> ConnectorError {
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::Retryable, "the connection to Zoho broke on the way")
}

/// Whether a failure says that what it is about is gone.
pub(crate) fn is_gone(failure: &ConnectorError) -> bool {
    failure.kind == ErrorKind::NotFound
}

/// Whether a failure says that the user may not.
pub(crate) fn is_forbidden(failure: &ConnectorError) -> bool {
    failure.kind == ErrorKind::Forbidden
}

/// Changed since it was read, as a read showed.
pub(crate) fn changed_meanwhile(operation: Operation) -> ConnectorError {
    let detail = "the record was changed at Zoho in the meantime";
    ConnectorError::new(PROVIDER, operation.name, ErrorKind::Conflict, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    const READ: Operation = Operation { name: "test", scope: "ZohoCRM.modules.contacts.READ" };

    fn failure(status: u16, body: &Value) -> ConnectorError {
        let answer = Response::builder().status(status).body(Bytes::from(body.to_string())).unwrap();
        classify(READ, &answer)
    }
    fn kind(status: u16, code: &str, details: Value) -> ErrorKind {
        failure(status, &json!({"code": code, "details": details, "message": "", "status": "error"})).kind
    }

    #[test]
    fn each_code_has_its_kind() {
        let wait = |seconds| ErrorKind::Throttled { retry_after: Some(Duration::from_secs(seconds)) };
        let cases = [
            (401, "INVALID_TOKEN", json!({}), ErrorKind::AuthRevoked),
            (401, "AUTHENTICATION_FAILURE", json!({}), ErrorKind::AuthRevoked),
            (401, "OAUTH_SCOPE_MISMATCH", json!({}), ErrorKind::Forbidden),
            (403, "OAUTH_SCOPE_MISMATCH", json!({}), ErrorKind::Forbidden),
            (403, "NO_PERMISSION", json!({"permissions": ["Crm_Implied_View_Contacts"]}), ErrorKind::Forbidden),
            (400, "INVALID_MODULE", json!({}), ErrorKind::Forbidden),
            (404, "INVALID_URL_PATTERN", json!({}), ErrorKind::Permanent),
            (400, "INVALID_DATA", json!({"api_name": "Email"}), ErrorKind::Permanent),
            (400, "INVALID_DATA", json!({"api_name": "id"}), ErrorKind::NotFound),
            (400, "INVALID_DATA", json!({"api_name": "Account_Name"}), ErrorKind::Permanent),
            (400, "INVALID_DATA", json!({"param_name": "cvid"}), ErrorKind::Forbidden),
            (400, "MANDATORY_NOT_FOUND", json!({"api_name": "Last_Name"}), ErrorKind::Permanent),
            (400, "INVALID_DATA", json!({"resource_path_index": 1, "related_status": "invalid"}), ErrorKind::NotFound),
            (400, "FILE_SIZE_MORE_THAN_ALLOWED_SIZE", json!({}), ErrorKind::Permanent),
            (400, "DUPLICATE_DATA", json!({"api_name": "Email"}), ErrorKind::Conflict),
            (400, "RECORD_LOCKED", json!({}), ErrorKind::Conflict),
            (400, "RECORD_IN_BLUEPRINT", json!({}), ErrorKind::Permanent),
            (400, "REQUIRED_PARAM_MISSING", json!({"param_name": "fields"}), ErrorKind::Permanent),
            (400, "NOT_APPROVED", json!({}), ErrorKind::Permanent),
            (412, "RECORD_MODIFIED", json!({}), ErrorKind::Conflict),
            (412, "", json!({}), ErrorKind::Conflict),
            (400, "LIMIT_EXCEEDED", json!({}), ErrorKind::Permanent),
            (429, "LIMIT_EXCEEDED", json!({}), wait(3600)),
            (429, "TOO_MANY_REQUESTS", json!({}), wait(60)),
            (500, "INTERNAL_ERROR", json!({}), ErrorKind::Retryable),
            (503, "", json!({}), ErrorKind::Retryable),
        ];
        for (status, code, details, wanted) in cases {
            assert_eq!(kind(status, code, details.clone()), wanted, "{status} {code} {details}");
        }
    }

    #[test]
    fn an_organisation_without_room_is_said_of_the_whole_account() {
        let said = |code: &str| json!({"code": code, "details": {}, "message": "", "status": "error"});
        for status in [400, 403] {
            let full = failure(status, &said("STORAGE_SPACE_EXCEEDED"));
            assert_eq!(full.kind, ErrorKind::Forbidden, "{status}");
            assert!(StorageFull::is_cause_of(&full) && full.detail.contains("no room"), "{status} {full}");
        }
        let item = classify_item(READ, &serde_json::from_value(said("STORAGE_SPACE_EXCEEDED")).unwrap());
        assert!(StorageFull::is_cause_of(&item));
        assert!(!StorageFull::is_cause_of(&failure(400, &said("FILE_SIZE_MORE_THAN_ALLOWED_SIZE"))));
    }

    #[test]
    fn what_is_missing_is_named() {
        let told = |code: &str, details: Value| failure(403, &json!({"code": code, "details": details})).detail;
        assert!(told("OAUTH_SCOPE_MISMATCH", json!({})).contains("ZohoCRM.modules.contacts.READ"));
        let right = json!({"permissions": ["Crm_Implied_Delete_Contacts"]});
        assert!(told("NO_PERMISSION", right).contains("Crm_Implied_Delete_Contacts"));
        let field = failure(400, &json!({"code": "MANDATORY_NOT_FOUND", "details": {"api_name": "Last_Name"}}));
        assert!(field.detail.contains("Last_Name"));
    }

    #[test]
    fn the_detail_never_quotes_the_answer() {
        let body = json!({"code": "INVALID_DATA", "message": "bad jan@example.com",
                          "details": {"api_name": "jan@example.com", "permissions": ["jan@example.com"]}});
        for status in [400, 403, 412, 500] {
            assert!(!failure(status, &body).to_string().contains("example.com"));
        }
    }
}
