//! Answers and errors in the API's one form.
use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tandem_builtin::{CrmError, Record};

/// An error of the CRM on its way out.
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<String>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }
}

impl From<CrmError> for Failure {
    fn from(error: CrmError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            CrmError::Invalid { field, message } => {
                let (status, code) = (StatusCode::UNPROCESSABLE_ENTITY, "invalid");
                return Self { status, code, message: format!("{field}: {message}"), field: Some(field) };
            }
            CrmError::TooLarge { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "too_large"),
            CrmError::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            CrmError::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            CrmError::Stale => (StatusCode::PRECONDITION_FAILED, "stale"),
            CrmError::Refused { .. } | CrmError::ContainerGone => (StatusCode::CONFLICT, "conflict"),
            CrmError::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            CrmError::UnknownCursor => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            CrmError::Unavailable(cause) => {
                tracing::error!(%cause, "the CRM's table did not answer");
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            CrmError::Blobs(cause) => {
                tracing::error!(%cause, "the store of files did not answer");
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            CrmError::Corrupt => {
                tracing::error!("a stored record of the CRM cannot be read");
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        Self::new(status, code, message)
    }
}

/// A whole body; one that is too large answers in the API's form.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        Bytes::from_request(request, state).await.map(Body).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let message =
                    "the body is larger than 6 MB; send it in parts (`cargo xtask import` does that for a file)";
                Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
            }
            _ => Failure::new(StatusCode::BAD_REQUEST, "bad_body", "the body could not be read"),
        })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message, "field": self.field}});
        (self.status, Json(body)).into_response()
    }
}

/// A JSON object from a body that may be left out.
pub(super) fn object_or_nothing(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.trim_ascii().is_empty() { Ok(Map::new()) } else { object(body) }
}

/// A JSON object from a body.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | Err(_) => {
            Err(Failure::new(StatusCode::BAD_REQUEST, "bad_json", "the body is a JSON object"))
        }
    }
}

/// The version in `If-Match`: `3` or `"3"`; `*` and no header ask for none.
pub(super) fn expected(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let bare = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let message = "“If-Match” is the record's version, such as \"3\"";
    bare.parse().map(Some).map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "bad_header", message))
}

/// A record with its version as the `ETag`.
pub(super) fn record(status: StatusCode, record: &Record) -> Response {
    let tag = format!("\"{}\"", record.version);
    (status, [(header::ETAG, tag)], Json(record.to_json())).into_response()
}
