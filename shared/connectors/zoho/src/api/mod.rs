//! Requests and their answers, without I/O: what Zoho's address, method and body are for each thing we ask.
pub(crate) mod attachments;
pub(crate) mod events;
pub(crate) mod records;
pub(crate) mod settings;
pub(crate) mod watch;

use crate::error::{self, Operation};
use crate::wire::{Treated, TreatedAll};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_ports::error::Result;

/// A request and what errors call it.
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) request: Request<Bytes>,
}

/// A call without a body. `query` values are escaped here.
fn get(operation: Operation, origin: &str, path: &str, query: &[(&str, String)]) -> Result<Call> {
    finish(operation, Method::GET, address(origin, path, query), None)
}

/// A call with a JSON body.
fn send(operation: Operation, method: Method, origin: &str, path: &str, body: &Value) -> Result<Call> {
    finish(operation, method, address(origin, path, &[]), Some(body))
}

fn address(origin: &str, path: &str, query: &[(&str, String)]) -> String {
    let origin = origin.trim_end_matches('/');
    if query.is_empty() {
        return format!("{origin}/crm/v8/{path}");
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{origin}/crm/v8/{path}?{query}")
}

fn finish(operation: Operation, method: Method, uri: String, body: Option<&Value>) -> Result<Call> {
    let mut builder = Request::builder().method(method).uri(uri).header("accept", "application/json");
    let bytes = match body {
        Some(body) => {
            builder = builder.header("content-type", "application/json");
            Bytes::from(body.to_string())
        }
        None => Bytes::new(),
    };
    let request = builder.body(bytes).map_err(|_| error::refused(operation, "this is no address Zoho could have"))?;
    Ok(Call { operation, request })
}

/// Ids go into addresses, so only what Zoho makes ids of (digits) is let through.
pub(crate) fn checked(operation: Operation, id: &str) -> Result<&str> {
    match !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(id),
        false => Err(error::refused(operation, "this is no id of Zoho's")),
    }
}

fn joined(operation: Operation, ids: &[&str]) -> Result<String> {
    let checked: Result<Vec<&str>> = ids.iter().map(|id| checked(operation, id)).collect();
    Ok(checked?.join(","))
}

/// The answer's body, or why there is none. Nothing there (204) and nothing new (304) are both `None`.
pub(crate) fn parse<T: DeserializeOwned>(operation: Operation, response: &Response<Bytes>) -> Result<Option<T>> {
    match response.status() {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Ok(None),
        status if status.is_success() => {
            let body = serde_json::from_slice(response.body());
            body.map(Some).map_err(|cause| error::unreadable(operation, cause))
        }
        _ => Err(error::classify(operation, response)),
    }
}

/// What became of each record of a write, in order. Mixed results come as 207, and where every record failed the status
/// is one of refusal with the same list in the body: the list counts, not the status.
pub(crate) fn parse_treated(operation: Operation, response: &Response<Bytes>) -> Result<Vec<Treated>> {
    match serde_json::from_slice::<TreatedAll>(response.body()) {
        Ok(all) if !all.data.is_empty() => Ok(all.data),
        Ok(_) | Err(_) if !response.status().is_success() => Err(error::classify(operation, response)),
        Ok(_) => Err(error::no_answer(operation)),
        Err(cause) => Err(error::unreadable(operation, cause)),
    }
}
