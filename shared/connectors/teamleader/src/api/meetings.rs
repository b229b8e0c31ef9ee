//! What is asked about meetings and users. Names and shapes are those of Teamleader's specification (`tests/meetings_spec.rs`).
use super::Call;
use super::requests::Page;
use jiff::civil::Date;
use serde_json::{Value, json};

pub(crate) const LIST: &str = "meetings.list";
pub(crate) const INFO: &str = "meetings.info";
pub(crate) const SCHEDULE: &str = "meetings.schedule";
pub(crate) const UPDATE: &str = "meetings.update";
pub(crate) const DELETE: &str = "meetings.delete";

/// The meetings of one user on these days, both inclusive, the earliest first.
pub(crate) fn of_user(user: &str, (from, to): (Date, Date), page: Page) -> Call {
    let body = json!({
        "filter": {"employee_id": user, "start_date": from.to_string(), "end_date": to.to_string()},
        "page": {"size": page.size, "number": page.number},
        "sort": [{"field": "scheduled_at", "order": "asc"}],
    });
    Call { method: LIST, body }
}

pub(crate) fn me() -> Call {
    Call { method: "users.me", body: json!({}) }
}

/// All users, also those that are deactivated: they are still at meetings.
pub(crate) fn users(page: Page) -> Call {
    let body = json!({
        "filter": {"status": ["active", "deactivated"]},
        "page": {"size": page.size, "number": page.number},
        "sort": [{"field": "email", "order": "asc"}],
    });
    Call { method: "users.list", body }
}

/// Without `status`, as a meeting may be with somebody who is deactivated. Who is not in the answer keeps the place that
/// it has at the meeting.
pub(crate) fn contacts_by_id(ids: &[&str]) -> Call {
    let body = json!({"filter": {"ids": ids}, "page": {"size": ids.len(), "number": 1}});
    Call { method: "contacts.list", body }
}

pub(crate) fn contacts_by_email(email: &str, page: Page) -> Call {
    let body = json!({
        "filter": {"email": {"type": "primary", "email": email}, "status": "active"},
        "page": {"size": page.size, "number": page.number},
        "sort": [{"field": "added_at", "order": "asc"}],
    });
    Call { method: "contacts.list", body }
}

/// `{"type": …, "id": …}`.
pub(crate) fn reference(kind: &str, id: &str) -> Value {
    json!({"type": kind, "id": id})
}
