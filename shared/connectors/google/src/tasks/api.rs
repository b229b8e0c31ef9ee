//! Requests of the Tasks API v1.
use crate::api::{Call, address, checked, finish};
use crate::error;
use http::{HeaderValue, Method, header};
use serde_json::{Map, Value};
use tandem_ports::error::Result;

/// Google's maximum for `maxResults` of tasks.
pub(super) const MOST_RESULTS: u16 = 100;

pub(super) const LIST: &str = "tasks.list";
pub(super) const GET: &str = "tasks.get";
pub(super) const INSERT: &str = "tasks.insert";
pub(super) const PATCH: &str = "tasks.patch";
pub(super) const DELETE: &str = "tasks.delete";

/// Origin and list.
type At<'a> = (&'a str, &'a str);

fn path(operation: &'static str, list: &str, task: Option<&str>) -> Result<String> {
    let list = if list == "@default" { list } else { checked(operation, list, "")? };
    match task {
        Some(task) => Ok(format!("/tasks/v1/lists/{list}/tasks/{}", checked(operation, task, "")?)),
        None => Ok(format!("/tasks/v1/lists/{list}/tasks")),
    }
}

/// A page of everything in the list; with `since` (Unix seconds) of what was updated from then on, deleted tasks too.
/// Tasks that were completed in Google's own apps are "hidden".
pub(super) fn list((origin, list): At<'_>, size: u16, since: Option<i64>, page: Option<&str>) -> Result<Call> {
    let (size, mut query) = (size.to_string(), vec![("showCompleted", "true"), ("showHidden", "true")]);
    let since = since.and_then(|second| jiff::Timestamp::from_second(second).ok()).map(|time| time.to_string());
    query.push(("maxResults", &size));
    if let Some(since) = &since {
        query.extend([("updatedMin", since.as_str()), ("showDeleted", "true")]);
    }
    query.extend(page.map(|token| ("pageToken", token)));
    finish(LIST, Method::GET, address(origin, &path(LIST, list, None)?, &query), None)
}

pub(super) fn get((origin, list): At<'_>, task: &str) -> Result<Call> {
    finish(GET, Method::GET, address(origin, &path(GET, list, Some(task))?, &[]), None)
}

pub(super) fn insert((origin, list): At<'_>, body: &Map<String, Value>) -> Result<Call> {
    let body = Value::Object(body.clone());
    finish(INSERT, Method::POST, address(origin, &path(INSERT, list, None)?, &[]), Some(&body))
}

/// The etag goes along, as with Google's other services of that age; the reference does not say that it is heeded.
pub(super) fn patch((origin, list): At<'_>, (task, etag): (&str, &str), body: &Map<String, Value>) -> Result<Call> {
    let body = Value::Object(body.clone());
    let mut call = finish(PATCH, Method::PATCH, address(origin, &path(PATCH, list, Some(task))?, &[]), Some(&body))?;
    let etag = HeaderValue::from_str(etag).map_err(|_| error::refused(PATCH, "this is no etag of Google's"))?;
    call.request.headers_mut().insert(header::IF_MATCH, etag);
    Ok(call)
}

pub(super) fn delete((origin, list): At<'_>, task: &str) -> Result<Call> {
    finish(DELETE, Method::DELETE, address(origin, &path(DELETE, list, Some(task))?, &[]), None)
}

/// The task list itself.
pub(super) fn list_of_tasks((origin, list): At<'_>) -> Result<Call> {
    const OPERATION: &str = "tasklists.get";
    let list = if list == "@default" { list } else { checked(OPERATION, list, "")? };
    finish(OPERATION, Method::GET, address(origin, &format!("/tasks/v1/users/@me/lists/{list}"), &[]), None)
}

/// A page of the account's task lists.
pub(super) fn lists(origin: &str, page: Option<&str>) -> Result<Call> {
    let mut query = vec![("maxResults", "100")];
    query.extend(page.map(|token| ("pageToken", token)));
    finish("tasklists.list", Method::GET, address(origin, "/tasks/v1/users/@me/lists", &query), None)
}
