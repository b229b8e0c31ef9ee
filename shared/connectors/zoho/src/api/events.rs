//! `/Events` and `/Tasks`: modules of one form.
use super::records::{At, PAGE, body, of, with_time};
use super::{Call, get, joined, send};
use crate::error::Operation;
use http::{Method, header};
use serde_json::Value;
use tandem_ports::error::Result;

/// A module of activities.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its api name.
    name: &'static str,
    /// What of its records is read.
    pub(crate) fields: &'static str,
    pub(crate) list: Operation,
    pub(crate) read: Operation,
    deleted: Operation,
    pub(crate) update: Operation,
    pub(crate) delete: Operation,
}

/// What an appointment is made of at Zoho.
pub(crate) static EVENTS: Module = Module {
    name: "Events",
    fields: "Event_Title,Start_DateTime,End_DateTime,All_day,Venue,Description,Participants,Recurring_Activity,Remind_At,\
             Owner,Created_Time,Modified_Time",
    list: of("events.list", "ZohoCRM.modules.events.READ"),
    read: of("events.get", "ZohoCRM.modules.events.READ"),
    deleted: of("events.deleted", "ZohoCRM.modules.events.READ"),
    update: of("events.update", "ZohoCRM.modules.events.UPDATE"),
    delete: of("events.delete", "ZohoCRM.modules.events.DELETE"),
};

/// What of a task is an appointment on the day that it is due. Its reminder is a time of its own, and what repeats is made
/// anew by Zoho once it is done.
pub(crate) static TASKS: Module = Module {
    name: "Tasks",
    fields: "Subject,Due_Date,Description,Status,Closed_Time,Owner,Created_Time,Modified_Time",
    list: of("tasks.list", "ZohoCRM.modules.tasks.READ"),
    read: of("tasks.get", "ZohoCRM.modules.tasks.READ"),
    deleted: of("tasks.deleted", "ZohoCRM.modules.tasks.READ"),
    update: of("tasks.update", "ZohoCRM.modules.tasks.UPDATE"),
    delete: of("tasks.delete", "ZohoCRM.modules.tasks.DELETE"),
};

pub(crate) const INSERT: Operation = of("events.insert", "ZohoCRM.modules.events.CREATE");

/// In which order a listing comes.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// The first made first: later pages stay where they are while events are added.
    Oldest,
    /// The last made first.
    Latest,
}

/// One page of a module; with `since`, only what was made or changed later (else 304).
pub(crate) fn list(
    origin: &str,
    (module, order): (&Module, Order),
    (at, per_page): (&At, u16),
    since: Option<&str>,
) -> Result<Call> {
    let mut query = vec![("fields", module.fields.to_owned()), ("per_page", per_page.to_string())];
    match at {
        At::Page(page) => query.push(("page", page.to_string())),
        At::Token(token) => query.push(("page_token", token.clone())),
    }
    let (by, order) = match order {
        Order::Oldest => ("id", "asc"),
        Order::Latest => ("Created_Time", "desc"),
    };
    query.extend([("sort_by", by.to_owned()), ("sort_order", order.to_owned())]);
    Ok(with_time(get(module.list, origin, module.name, &query)?, header::IF_MODIFIED_SINCE, since))
}

/// These records; what is not there is left out (none at all: 204).
pub(crate) fn by_ids(origin: &str, module: &Module, ids: &[&str], fields: &str) -> Result<Call> {
    get(module.read, origin, module.name, &[("ids", joined(module.read, ids)?), ("fields", fields.to_owned())])
}

/// What was deleted later than `since`, for good or into the recycle bin.
pub(crate) fn deleted(origin: &str, module: &Module, page: u32, since: &str) -> Result<Call> {
    let query = [("type", "all".to_owned()), ("page", page.to_string()), ("per_page", PAGE.to_string())];
    Ok(with_time(
        get(module.deleted, origin, &format!("{}/deleted", module.name), &query)?,
        header::IF_MODIFIED_SINCE,
        Some(since),
    ))
}

/// New events.
pub(crate) fn insert(origin: &str, records: Vec<Value>) -> Result<Call> {
    send(INSERT, Method::POST, origin, EVENTS.name, &body(records))
}

/// Changed records, each with its `id`. Refused (412) where one of them was changed later than `unmodified_since`.
pub(crate) fn update(origin: &str, module: &Module, records: Vec<Value>, unmodified_since: &str) -> Result<Call> {
    let call = send(module.update, Method::PUT, origin, module.name, &body(records))?;
    Ok(with_time(call, header::IF_UNMODIFIED_SINCE, Some(unmodified_since)))
}

/// Into the recycle bin, without workflows. (Telling an event's guests is another call, `actions/cancel`, which we never make.)
pub(crate) fn delete(origin: &str, module: &Module, ids: &[&str]) -> Result<Call> {
    let query = [("ids", joined(module.delete, ids)?), ("wf_trigger", "false".to_owned())];
    let mut call = get(module.delete, origin, module.name, &query)?;
    *call.request.method_mut() = Method::DELETE;
    Ok(call)
}
