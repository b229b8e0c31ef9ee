//! Bodies and query parameters, judged field by field so that an error can name the field and never repeats a value.
use crate::answer::ApiError;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::{Map, Value};
use utoipa::IntoParams;

/// The largest body: what one Lambda invocation takes.
pub(crate) const MOST_BYTES: usize = 6 * 1024 * 1024;
/// Items of a page where the caller does not say.
const PAGE: usize = 50;
/// The most items of a page.
const MOST_ITEMS: usize = 100;

/// The fields of a JSON object in a body.
pub(crate) struct Fields(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await.map_err(too_large)?;
        let bad = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "bad_json", message);
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(bad("The body must be a JSON object.".to_owned())),
            Err(error) => {
                let what = match error.classify() {
                    Category::Eof => "ends too early",
                    Category::Syntax | Category::Data | Category::Io => "is not valid JSON",
                };
                Err(bad(format!("The body {what} (line {}, column {}).", error.line(), error.column())))
            }
        }
    }
}

fn too_large(rejection: BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "The body is larger than 6 MB; send it in parts.";
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        }
        _ => ApiError::new(StatusCode::BAD_REQUEST, "bad_body", "The body could not be read."),
    }
}

impl Fields {
    /// Refuses every field but these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                // The name is the caller's own; it is shown as it came, but not without end.
                let name: String = name.chars().take(100).collect();
                let message = format!("There is no field `{name}` here; there are {}.", known.join(", "));
                Err(ApiError::field(name, message))
            }
            None => Ok(()),
        }
    }

    /// A text that must be there.
    pub(crate) fn text(&self, name: &str) -> Result<&str, ApiError> {
        let missing = || ApiError::field(name, format!("`{name}` is missing."));
        self.optional_text(name)?.filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    /// A text that may be absent or `null`.
    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::field(name, format!("`{name}` must be a text."))),
        }
    }

    /// `true` or `false`; `None` where absent or `null`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(ApiError::field(name, format!("`{name}` must be true or false."))),
        }
    }

    /// An object; empty where absent or `null`.
    pub(crate) fn object(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(_) => Err(ApiError::field(name, format!("`{name}` must be an object."))),
        }
    }
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// `next` of the page before.
    pub next: Option<String>,
    /// How many items, 1 to 100; 50 without.
    pub limit: Option<usize>,
}

impl Paging {
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        limit(self.limit)
    }
}

/// A page's size within its bounds.
pub(crate) fn limit(given: Option<usize>) -> Result<usize, ApiError> {
    match given {
        None => Ok(PAGE),
        Some(limit) if (1..=MOST_ITEMS).contains(&limit) => Ok(limit),
        Some(_) => Err(ApiError::field("limit", format!("`limit` must be from 1 to {MOST_ITEMS}."))),
    }
}

/// Query parameters; unknown ones and unreadable values are refused.
pub(crate) struct Params<T>(pub T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(inside)| Self(inside)).map_err(|_: QueryRejection| match culprit::<T>(&parts.uri) {
            Some(name) => {
                let message = format!("The parameter `{name}` is not known here, or its value cannot be read.");
                ApiError::new(StatusCode::BAD_REQUEST, "bad_query", message).about(name)
            }
            None => {
                let message = "The address has a parameter twice, or a value that cannot be read.";
                ApiError::new(StatusCode::BAD_REQUEST, "bad_query", message)
            }
        })
    }
}

/// The name of the first parameter that cannot be read by itself; as it came, but not without end.
fn culprit<T: serde::de::DeserializeOwned>(uri: &Uri) -> Option<String> {
    let alone = |pair: &&str| {
        let read = |pair: &str| Query::<T>::try_from_uri(&format!("/?{pair}").parse().ok()?).ok();
        read("").is_some() && read(pair).is_none()
    };
    let pair = uri.query()?.split('&').find(alone)?;
    let name = pair.split('=').next().unwrap_or(pair);
    Some(name.chars().take(100).collect())
}
