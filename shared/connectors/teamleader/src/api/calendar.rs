//! What is asked about meetings, calls, tasks, events and users. Names and shapes are those of Teamleader's specification (`tests/calendar_spec.rs`).
use super::Call;
use super::requests::Page;
use jiff::civil::Date;
use serde_json::{Value, json};
use tandem_core::calendar::Activity;

pub(crate) const LIST: &str = "meetings.list";
pub(crate) const INFO: &str = "meetings.info";
pub(crate) const SCHEDULE: &str = "meetings.schedule";
pub(crate) const UPDATE: &str = "meetings.update";
pub(crate) const DELETE: &str = "meetings.delete";

/// What a user has of an activity on these days, both inclusive. Calls are those of everybody, in an order that is
/// documented nowhere. Tasks can be sorted by `due_on`, or, by a later specification, by `name`: they come as they come.
pub(crate) fn listed(activity: Activity, user: &str, (from, to): (Date, Date), page: Page) -> Call {
    let (first, last) = (from.to_string(), to.to_string());
    let (method, filter, sort) = match activity {
        Activity::Meetings => return of_user(user, (from, to), page),
        Activity::Calls => ("calls.list", json!({"scheduled_after": first, "scheduled_before": last}), None),
        Activity::Tasks => ("tasks.list", json!({"user_id": user, "due_from": first, "due_by": last}), None),
        Activity::Events => {
            let (after, before) = (format!("{first}T00:00:00+00:00"), format!("{last}T23:59:59+00:00"));
            let filter = json!({"user_id": user, "ends_after": after, "starts_before": before});
            ("events.list", filter, Some("starts_at"))
        }
    };
    let mut body = json!({"filter": filter, "page": {"size": page.size, "number": page.number}});
    if let Some(field) = sort {
        body["sort"] = json!([{"field": field, "order": "asc"}]);
    }
    Call { method, body }
}

/// The activity type that events of a `meeting`, `call` or `task` have. Its name is in the account's language and can be
/// changed, so `activityTypes.list` does not tell.
pub(crate) fn activity_type(kind: &str) -> Call {
    Call { method: "migrate.activityType", body: json!({"type": kind}) }
}

pub(crate) fn companies_by_id(ids: &[&str]) -> Call {
    let body = json!({"filter": {"ids": ids}, "page": {"size": ids.len(), "number": 1}});
    Call { method: "companies.list", body }
}

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
