//! What is asked, as data. Names and shapes are those of Teamleader's specification (`tests/spec.rs`).
use super::Call;
use crate::push::Webhook;
use serde_json::{Map, Value, json};

/// How a list is sorted. Ascending throughout: what is new comes last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Added,
    Updated,
    /// The latest change first.
    LatestUpdate,
}

/// A window of a list: `number` counts from 1 in windows of `size`.
#[derive(Clone, Copy)]
pub(crate) struct Page {
    pub(crate) size: u64,
    pub(crate) number: u64,
}

/// Lists contacts. Only active ones: whether a list without `status` shows deactivated ones is documented nowhere, so
/// it is always said; `contacts.info` still shows that a deactivated one exists.
pub(crate) fn contacts(mut filter: Map<String, Value>, sort: Sort, page: Page) -> Call {
    filter.insert("status".to_owned(), json!("active"));
    let (field, order) = match sort {
        Sort::Added => ("added_at", "asc"),
        Sort::Updated => ("updated_at", "asc"),
        Sort::LatestUpdate => ("updated_at", "desc"),
    };
    let body = json!({
        "filter": filter,
        "page": {"size": page.size, "number": page.number},
        "sort": [{"field": field, "order": order}],
    });
    Call { method: "contacts.list", body }
}

pub(crate) fn companies_by_id(ids: &[&str]) -> Call {
    let body = json!({"filter": {"ids": ids}, "page": {"size": ids.len(), "number": 1}});
    Call { method: "companies.list", body }
}

/// `term` also looks into VAT numbers, e-mails and telephones: the caller compares names.
pub(crate) fn companies_by_term(term: &str, page: Page) -> Call {
    let body = json!({
        "filter": {"term": term, "status": "active"},
        "page": {"size": page.size, "number": page.number},
        "sort": [{"field": "added_at", "order": "asc"}],
    });
    Call { method: "companies.list", body }
}

pub(crate) fn companies_since(since: &str, page: Page) -> Call {
    let body = json!({
        "filter": {"updated_since": since},
        "page": {"size": page.size, "number": page.number},
        "sort": [{"field": "updated_at", "order": "asc"}],
    });
    Call { method: "companies.list", body }
}

pub(crate) fn tags(page: Page) -> Call {
    Call { method: "tags.list", body: json!({"page": {"size": page.size, "number": page.number}}) }
}

pub(crate) fn definitions(page: Page) -> Call {
    let body = json!({"filter": {"context": "contact"}, "page": {"size": page.size, "number": page.number}});
    Call { method: "customFieldDefinitions.list", body }
}

/// A call about one record: `id` and what else its body says.
pub(crate) fn about(method: &'static str, id: &str, mut body: Map<String, Value>) -> Call {
    body.insert("id".to_owned(), json!(id));
    Call { method, body: Value::Object(body) }
}

/// `{"name": value}`.
pub(crate) fn one(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

pub(crate) fn companies_by_email(email: &Value, page: Page) -> Call {
    let body = json!({
        "filter": {"email": email, "status": "active"},
        "page": {"size": page.size, "number": page.number},
        "sort": [{"field": "added_at", "order": "asc"}],
    });
    Call { method: "companies.list", body }
}

/// Tracked e-mails are listed by what they are filed at alone, in an order that is documented nowhere.
pub(crate) fn tracked(subject: &Value, page: Page) -> Call {
    let body = json!({"filter": {"subject": subject}, "page": {"size": page.size, "number": page.number}});
    Call { method: "emailTracking.list", body }
}

/// `term` looks into the description.
pub(crate) fn tasks_of(customer: &Value, term: &str, page: Page) -> Call {
    let filter = json!({"customer": customer, "term": term});
    let body = json!({"filter": filter, "page": {"size": page.size, "number": page.number}});
    Call { method: "tasks.list", body }
}

pub(crate) fn register(webhook: &Webhook) -> Call {
    Call { method: "webhooks.register", body: json!(webhook) }
}

/// It is not paged: its specification has no `page`.
pub(crate) fn webhooks() -> Call {
    Call { method: "webhooks.list", body: json!({}) }
}

pub(crate) fn unregister(webhook: &Webhook) -> Call {
    Call { method: "webhooks.unregister", body: json!(webhook) }
}
