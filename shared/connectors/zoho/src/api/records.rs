//! `/Contacts`, `/Accounts` and COQL.
use super::{Call, checked, get, joined, send};
use crate::error::Operation;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};
use tandem_ports::error::Result;

/// Most records of a page.
pub(crate) const PAGE: u16 = 200;
/// Most records of a write, and most ids of a read.
pub(crate) const BATCH: usize = 100;
/// `page` reaches this many records; beyond it Zoho wants `page_token`.
pub(crate) const REACH: u32 = 2_000;

pub(super) const fn of(name: &'static str, scope: &'static str) -> Operation {
    Operation { name, scope }
}
pub(crate) const LIST: Operation = of("contacts.list", "ZohoCRM.modules.contacts.READ");
pub(crate) const READ: Operation = of("contacts.get", "ZohoCRM.modules.contacts.READ");
pub(crate) const DELETED: Operation = of("contacts.deleted", "ZohoCRM.modules.contacts.READ");
pub(crate) const INSERT: Operation = of("contacts.insert", "ZohoCRM.modules.contacts.CREATE");
pub(crate) const UPDATE: Operation = of("contacts.update", "ZohoCRM.modules.contacts.UPDATE");
pub(crate) const DELETE: Operation = of("contacts.delete", "ZohoCRM.modules.contacts.DELETE");
pub(crate) const ACCOUNTS: Operation = of("accounts.get", "ZohoCRM.modules.accounts.READ");
pub(crate) const FIND_ACCOUNTS: Operation = of("accounts.find", "ZohoCRM.coql.READ");
pub(crate) const INSERT_ACCOUNTS: Operation = of("accounts.insert", "ZohoCRM.modules.accounts.CREATE");

/// Which page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// By number, from 1.
    Page(u32),
    /// By token (24 hours, this user's).
    Token(String),
}

/// Where a listing goes on: by number as far as that reaches, then by token.
pub(crate) fn page_after(page_size: u16, page: &At, info: &crate::wire::Info) -> Result<Option<At>> {
    if !info.more_records {
        return Ok(None);
    }
    match page {
        At::Page(number) if (number + 1) * u32::from(page_size) <= REACH => Ok(Some(At::Page(number + 1))),
        At::Page(_) | At::Token(_) => match &info.next_page_token {
            Some(token) => Ok(Some(At::Token(token.clone()))),
            None => Err(crate::error::no_answer(LIST)),
        },
    }
}

/// What a listing is narrowed to and ordered by. A list view has its own order.
#[derive(Clone, Copy)]
pub(crate) enum Of<'a> {
    /// Everything, by id.
    All,
    /// Everything, the latest made first.
    Latest,
    /// What this list view shows.
    View(&'a str),
}

/// One page of contacts with these fields; with `since`, only what was made or changed later (else 304).
pub(crate) fn list(
    origin: &str,
    (of, fields): (Of<'_>, &str),
    (at, per_page): (&At, u16),
    since: Option<&str>,
) -> Result<Call> {
    let mut query = vec![("fields", fields.to_owned()), ("per_page", per_page.to_string())];
    match at {
        At::Page(page) => query.push(("page", page.to_string())),
        At::Token(token) => query.push(("page_token", token.clone())),
    }
    let sorted = |by: &str, order: &str| [("sort_by", by.to_owned()), ("sort_order", order.to_owned())];
    match of {
        Of::All => query.extend(sorted("id", "asc")),
        Of::Latest => query.extend(sorted("Created_Time", "desc")),
        Of::View(view) => query.push(("cvid", checked(LIST, view)?.to_owned())),
    }
    Ok(with_time(get(LIST, origin, "Contacts", &query)?, header::IF_MODIFIED_SINCE, since))
}

/// These contacts; what is not there is left out (none at all: 204).
pub(crate) fn by_ids(origin: &str, ids: &[&str], fields: &str) -> Result<Call> {
    get(READ, origin, "Contacts", &[("ids", joined(READ, ids)?), ("fields", fields.to_owned())])
}

/// What was deleted later than `since`, for good or into the recycle bin.
pub(crate) fn deleted(origin: &str, page: u32, since: &str) -> Result<Call> {
    let query = [("type", "all".to_owned()), ("page", page.to_string()), ("per_page", PAGE.to_string())];
    Ok(with_time(get(DELETED, origin, "Contacts/deleted", &query)?, header::IF_MODIFIED_SINCE, Some(since)))
}

pub(super) fn with_time(mut call: Call, name: HeaderName, time: Option<&str>) -> Call {
    if let Some(value) = time.and_then(|time| HeaderValue::from_str(time).ok()) {
        call.request.headers_mut().insert(name, value);
    }
    call
}

/// An empty `trigger` runs no workflow, approval or blueprint of the customer's: without it our write may set off
/// another, and so on for ever.
pub(super) fn body(data: Vec<Value>) -> Value {
    json!({"data": data, "trigger": []})
}

/// New contacts.
pub(crate) fn insert(origin: &str, records: Vec<Value>) -> Result<Call> {
    send(INSERT, Method::POST, origin, "Contacts", &body(records))
}

/// Changed contacts, each with its `id`. Refused (412) where one of them was changed later than `unmodified_since`.
pub(crate) fn update(origin: &str, records: Vec<Value>, unmodified_since: &str) -> Result<Call> {
    let call = send(UPDATE, Method::PUT, origin, "Contacts", &body(records))?;
    Ok(with_time(call, header::IF_UNMODIFIED_SINCE, Some(unmodified_since)))
}

/// Into the recycle bin, without workflows.
pub(crate) fn delete(origin: &str, ids: &[&str]) -> Result<Call> {
    let query = [("ids", joined(DELETE, ids)?), ("wf_trigger", "false".to_owned())];
    let mut call = get(DELETE, origin, "Contacts", &query)?;
    *call.request.method_mut() = Method::DELETE;
    Ok(call)
}

/// The phone numbers of these accounts.
pub(crate) fn account_phones(origin: &str, ids: &[&str]) -> Result<Call> {
    get(ACCOUNTS, origin, "Accounts", &[("ids", joined(ACCOUNTS, ids)?), ("fields", "Phone".to_owned())])
}

/// Accounts of these very names, the oldest first. At most [`PAGE`] rows: one credit.
pub(crate) fn accounts_named(origin: &str, names: &[&str]) -> Result<Call> {
    let list: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let query = format!(
        "select id, Account_Name, Phone from Accounts where Account_Name in ({}) order by id asc limit {PAGE}",
        list.join(", ")
    );
    send(FIND_ACCOUNTS, Method::POST, origin, "coql", &json!({"select_query": query}))
}

/// A COQL text: a quote is doubled, a backslash too (it escapes).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// New accounts of these names.
pub(crate) fn insert_accounts(origin: &str, names: &[&str]) -> Result<Call> {
    let records = names.iter().map(|name| json!({"Account_Name": name})).collect();
    send(INSERT_ACCOUNTS, Method::POST, origin, "Accounts", &body(records))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_quotes() {
        let call = accounts_named("https://api.example", &["O'Neill') or (id is not null", "a\\"]).unwrap();
        let body: Value = serde_json::from_slice(call.request.body()).unwrap();
        let query = body["select_query"].as_str().unwrap();
        assert!(query.contains("('O''Neill'') or (id is not null', 'a\\\\')"), "{query}");
    }

    #[test]
    fn only_digits_are_ids() {
        assert!(by_ids("https://api.example", &["1&fields=x"], "id").is_err());
        assert!(delete("https://api.example", &["12", ""]).is_err());
    }
}
