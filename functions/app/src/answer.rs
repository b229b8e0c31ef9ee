//! Errors and lists in the API's one form.
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tandem_builtin::CrmError;
use tandem_core::error::Invalid;
use tandem_engine::EngineError;
use tandem_http::ConnectError;
use tandem_store::StoreError;
use utoipa::ToSchema;

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
    field: Option<String>,
    retry_after: Option<u64>,
}

/// `{"error":{…}}`
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// For programs, in snake case.
    code: String,
    /// One sentence for people.
    message: String,
    /// The field it is about, such as `settings.direction`.
    field: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), field: None, retry_after: None }
    }

    /// A value that is not acceptable: 422 with its field.
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message) }
    }

    /// The same about a field.
    pub(crate) fn about(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// There is none, or it is somebody else's: the answer is the same.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("There is no such {what}."))
    }

    pub(crate) fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = tandem_runtime::chain(error), "a request could not be answered");
        let message = "The service is not available at this moment; try again in a few seconds.";
        Self { retry_after: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message) }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = ErrorDetail { code: self.code, message: self.message, field: self.field };
        let mut response = (self.status, Json(ErrorBody { error })).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tandem\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::field(invalid.field, invalid.message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => {
                Self::conflict("changed_meanwhile", "Somebody else changed this at the same time; try again.")
            }
            StoreError::Unavailable(_) | StoreError::Unreadable { .. } => Self::unavailable(&error),
        }
    }
}

impl From<CrmError> for ApiError {
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::Busy => Self {
                retry_after: Some(2),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "Many changes are being made; try again shortly.")
            },
            CrmError::Forbidden { right } => {
                Self::new(StatusCode::FORBIDDEN, "missing_right", format!("You lack the right “{right}”."))
            }
            CrmError::Invalid { field, message } => Self::field(field, message),
            // None of these is for a user to mend where users are looked up and made.
            CrmError::NotFound
            | CrmError::Stale
            | CrmError::TooLarge { .. }
            | CrmError::Refused { .. }
            | CrmError::Unavailable(_)
            | CrmError::Blobs(_)
            | CrmError::ContainerGone
            | CrmError::UnknownCursor
            | CrmError::Corrupt => Self::unavailable(&error),
        }
    }
}

impl From<ConnectError> for ApiError {
    fn from(error: ConnectError) -> Self {
        let message = error.to_string();
        match error {
            ConnectError::UnknownState => Self::new(StatusCode::BAD_REQUEST, "unknown_state", message),
            ConnectError::CodeRefused => Self::new(StatusCode::BAD_REQUEST, "code_refused", message),
            ConnectError::NotSetUp(_) => Self::conflict("not_set_up", message),
            ConnectError::TokenRefused(_) => Self::field("access_token", message),
            ConnectError::NoAccount(_) => Self::new(StatusCode::FORBIDDEN, "no_account", message),
            ConnectError::AccountTaken(_) => Self::conflict("account_taken", message),
            ConnectError::ForeignServer(_) => Self::new(StatusCode::BAD_REQUEST, "foreign_server", message),
            ConnectError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Conflict { code: "bad_cursor", message } => Self::field("next", message),
            EngineError::Conflict { code: "unknown_state", message } => Self::field("state", message),
            EngineError::Conflict { code, message } => Self::conflict(code, message),
            EngineError::Throttled { retry_after, message } => Self {
                retry_after: Some(retry_after.as_secs().max(1)),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", message)
            },
            EngineError::Reconnect { side, message } => {
                Self { field: Some(side.word().to_owned()), ..Self::conflict("reconnect_needed", message) }
            }
            EngineError::Forbidden { message } => Self::new(StatusCode::FORBIDDEN, "missing_right", message),
            EngineError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Goes into the query parameter `next` of the following page; `null` at the end.
    pub next: Option<String>,
}

/// An opaque cursor around whatever the list below goes on from.
pub(crate) fn cursor(inside: &str) -> String {
    URL_SAFE_NO_PAD.encode(inside)
}

/// What is inside a cursor that we gave.
pub(crate) fn inside(cursor: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(cursor) = cursor.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| text.len() <= 2_000);
    text.map(Some).ok_or_else(|| ApiError::field("next", "`next` must be a value that the page before answered."))
}

/// A page of what is small enough to be read whole (one user's connections or syncs): `limit` items after the one that
/// the cursor names.
pub(crate) fn page<T>(
    all: Vec<T>,
    id: impl Fn(&T) -> &str,
    next: Option<&str>,
    limit: usize,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let from = match inside(next)? {
        None => 0,
        Some(after) => {
            let position = all.iter().position(|item| id(item) == after);
            let gone = || ApiError::field("next", "`next` is no longer valid; begin again without it.");
            position.ok_or_else(gone)? + 1
        }
    };
    let more = all.len() > from + limit;
    let items: Vec<T> = all.into_iter().skip(from).take(limit).collect();
    let next = items.last().filter(|_| more).map(|item| cursor(id(item)));
    Ok((items, next))
}
