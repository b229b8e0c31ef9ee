//! Requests and their answers, without I/O: what Google's address, method and body are for each thing we ask.
pub(crate) mod batch;
pub(crate) mod calendar;
pub(crate) mod gmail;
pub(crate) mod groups;
pub(crate) mod people;

use crate::error;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_ports::error::Result;

/// A request and what errors call it.
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) request: Request<Bytes>,
}

/// A call without a body. `query` values are escaped here.
fn get(operation: &'static str, origin: &str, path: &str, query: &[(&str, &str)]) -> Result<Call> {
    finish(operation, Method::GET, address(origin, path, query), None)
}

/// A call with a JSON body.
fn post(operation: &'static str, origin: &str, path: &str, body: &Value) -> Result<Call> {
    finish(operation, Method::POST, address(origin, path, &[]), Some(body))
}

pub(crate) fn address(origin: &str, path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return format!("{origin}{path}");
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{origin}{path}?{query}")
}

pub(crate) fn finish(operation: &'static str, method: Method, uri: String, body: Option<&Value>) -> Result<Call> {
    let mut builder = Request::builder().method(method).uri(uri).header("accept", "application/json");
    let bytes = match body {
        Some(body) => {
            builder = builder.header("content-type", "application/json");
            Bytes::from(body.to_string())
        }
        None => Bytes::new(),
    };
    let request = builder.body(bytes).map_err(|_| error::refused(operation, "this is no address Google could have"))?;
    Ok(Call { operation, request })
}

/// Ids go into paths, so only what Google makes ids of is let through.
pub(crate) fn checked<'a>(operation: &'static str, resource: &'a str, kind: &str) -> Result<&'a str> {
    let id = resource.strip_prefix(kind).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    if id.is_empty() || !id.chars().all(plain) {
        return Err(error::refused(operation, "this is no id of Google's"));
    }
    Ok(resource)
}

/// The answer's body, or why there is none.
pub(crate) fn parse<T: DeserializeOwned>(operation: &'static str, response: &Response<Bytes>) -> Result<T> {
    if !response.status().is_success() {
        return Err(error::classify(operation, response));
    }
    let body: &[u8] = if response.body().is_empty() { b"{}" } else { response.body() };
    serde_json::from_slice(body).map_err(|cause| error::unreadable(operation, cause))
}
