//! `/Events`.
use super::records::{At, PAGE, body, of, with_time};
use super::{Call, get, joined, send};
use crate::error::Operation;
use http::{Method, header};
use serde_json::Value;
use tandem_ports::error::Result;

pub(crate) const LIST: Operation = of("events.list", "ZohoCRM.modules.events.READ");
pub(crate) const READ: Operation = of("events.get", "ZohoCRM.modules.events.READ");
pub(crate) const DELETED: Operation = of("events.deleted", "ZohoCRM.modules.events.READ");
pub(crate) const INSERT: Operation = of("events.insert", "ZohoCRM.modules.events.CREATE");
pub(crate) const UPDATE: Operation = of("events.update", "ZohoCRM.modules.events.UPDATE");
pub(crate) const DELETE: Operation = of("events.delete", "ZohoCRM.modules.events.DELETE");

/// What an appointment is made of at Zoho.
pub(crate) const FIELDS: &str = "Event_Title,Start_DateTime,End_DateTime,All_day,Venue,Description,Participants,\
                                 Recurring_Activity,Remind_At,Owner,Created_Time,Modified_Time";

/// In which order a listing comes.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// The first made first: later pages stay where they are while events are added.
    Oldest,
    /// The last made first.
    Latest,
}

/// One page of events; with `since`, only what was made or changed later (else 304).
pub(crate) fn list(origin: &str, order: Order, (at, per_page): (&At, u16), since: Option<&str>) -> Result<Call> {
    let mut query = vec![("fields", FIELDS.to_owned()), ("per_page", per_page.to_string())];
    match at {
        At::Page(page) => query.push(("page", page.to_string())),
        At::Token(token) => query.push(("page_token", token.clone())),
    }
    let (by, order) = match order {
        Order::Oldest => ("id", "asc"),
        Order::Latest => ("Created_Time", "desc"),
    };
    query.extend([("sort_by", by.to_owned()), ("sort_order", order.to_owned())]);
    Ok(with_time(get(LIST, origin, "Events", &query)?, header::IF_MODIFIED_SINCE, since))
}

/// These events; what is not there is left out (none at all: 204).
pub(crate) fn by_ids(origin: &str, ids: &[&str], fields: &str) -> Result<Call> {
    get(READ, origin, "Events", &[("ids", joined(READ, ids)?), ("fields", fields.to_owned())])
}

/// What was deleted later than `since`, for good or into the recycle bin.
pub(crate) fn deleted(origin: &str, page: u32, since: &str) -> Result<Call> {
    let query = [("type", "all".to_owned()), ("page", page.to_string()), ("per_page", PAGE.to_string())];
    Ok(with_time(get(DELETED, origin, "Events/deleted", &query)?, header::IF_MODIFIED_SINCE, Some(since)))
}

/// New events.
pub(crate) fn insert(origin: &str, records: Vec<Value>) -> Result<Call> {
    send(INSERT, Method::POST, origin, "Events", &body(records))
}

/// Changed events, each with its `id`. Refused (412) where one of them was changed later than `unmodified_since`.
pub(crate) fn update(origin: &str, records: Vec<Value>, unmodified_since: &str) -> Result<Call> {
    let call = send(UPDATE, Method::PUT, origin, "Events", &body(records))?;
    Ok(with_time(call, header::IF_UNMODIFIED_SINCE, Some(unmodified_since)))
}

/// Into the recycle bin, without workflows. (Telling the guests is another call, `actions/cancel`, which we never make.)
pub(crate) fn delete(origin: &str, ids: &[&str]) -> Result<Call> {
    let query = [("ids", joined(DELETE, ids)?), ("wf_trigger", "false".to_owned())];
    let mut call = get(DELETE, origin, "Events", &query)?;
    *call.request.method_mut() = Method::DELETE;
    Ok(call)
}
