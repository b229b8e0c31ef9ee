//! Filters, sorting and number paging, and which keys each method has.
use super::state::{State, Stored, Strictness, Switch};
use super::{Answer, Refusal, Reply};
use serde_json::{Map, Value, json};

/// Each method's keys: of the body, of `filter`, and the fields it sorts by.
type Keys = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const LIST: &[&str] = &["filter", "page", "sort", "includes"];
const CONTACT: &[&str] = &[
    "id",
    "first_name",
    "last_name",
    "salutation",
    "emails",
    "telephones",
    "website",
    "addresses",
    "language",
    "gender",
    "birthdate",
    "iban",
    "bic",
    "national_identification_number",
    "remarks",
    "tags",
    "custom_fields",
    "custom_fields_update_strategy",
    "marketing_mails_consent",
];
const COMPANY: &[&str] = &[
    "id",
    "name",
    "business_type_id",
    "vat_number",
    "national_identification_number",
    "emails",
    "telephones",
    "website",
    "addresses",
    "iban",
    "bic",
    "language",
    "responsible_user_id",
    "remarks",
    "tags",
    "custom_fields",
    "custom_fields_update_strategy",
    "marketing_mails_consent",
    "preferred_currency",
];
const LINK: &[&str] = &["id", "company_id", "position", "decision_maker"];

const MEETING: &[&str] = &[
    "title",
    "starts_at",
    "ends_at",
    "description",
    "attendees",
    "customer",
    "location",
    "milestone_id",
    "deal_id",
    "custom_fields",
];

const TASK: &[&str] = &[
    "title",
    "description",
    "due_on",
    "work_type_id",
    "milestone_id",
    "project_id",
    "deal_id",
    "ticket_id",
    "estimated_duration",
    "assignee",
    "customer",
    "custom_fields",
];
const CALL: &[&str] = &["description", "participant", "due_at", "assignee", "deal_id", "custom_fields"];
const EVENT: &[&str] =
    &["title", "description", "starts_at", "ends_at", "location", "work_type_id", "attendees", "links"];

const METHODS: &[Keys] = &[
    (
        "meetings.list",
        LIST,
        &["ids", "employee_id", "start_date", "end_date", "milestone_id", "term", "recurrence_id"],
        &["scheduled_at"],
    ),
    ("meetings.info", &["id", "includes"], &[], &[]),
    ("meetings.schedule", MEETING, &[], &[]),
    ("meetings.update", MEETING, &[], &[]),
    ("meetings.complete", &["id"], &[], &[]),
    ("meetings.delete", &["id"], &[], &[]),
    (
        "users.list",
        &["filter", "page", "sort"],
        &["ids", "term", "status"],
        &["first_name", "last_name", "email", "function"],
    ),
    (
        "contacts.list",
        LIST,
        &["email", "ids", "company_id", "term", "updated_since", "tags", "status", "marketing_mails_consent"],
        &["added_at", "name", "updated_at"],
    ),
    ("contacts.info", &["id"], &[], &[]),
    ("contacts.add", CONTACT, &[], &[]),
    ("contacts.update", CONTACT, &[], &[]),
    ("contacts.delete", &["id"], &[], &[]),
    ("contacts.tag", &["id", "tags"], &[], &[]),
    ("contacts.untag", &["id", "tags"], &[], &[]),
    ("contacts.linkToCompany", LINK, &[], &[]),
    ("contacts.updateCompanyLink", LINK, &[], &[]),
    ("contacts.unlinkFromCompany", &["id", "company_id"], &[], &[]),
    (
        "companies.list",
        LIST,
        &["email", "ids", "term", "updated_since", "tags", "vat_number", "status", "marketing_mails_consent"],
        &["name", "added_at", "updated_at"],
    ),
    ("companies.info", &["id", "includes"], &[], &[]),
    ("companies.add", COMPANY, &[], &[]),
    ("companies.update", COMPANY, &[], &[]),
    ("companies.delete", &["id"], &[], &[]),
    ("tags.list", &["page", "sort"], &[], &["tag"]),
    ("customFieldDefinitions.list", &["filter", "page", "sort"], &["ids", "context"], &["label", "context"]),
    ("emailTracking.list", &["filter", "page"], &["subject"], &[]),
    ("emailTracking.create", &["subject", "title", "content", "attachments"], &[], &[]),
    (
        "tasks.list",
        &["filter", "page", "sort"],
        &["ids", "user_id", "milestone_id", "completed", "scheduled", "due_by", "due_from", "term", "customer"],
        &["due_on"],
    ),
    ("tasks.create", TASK, &[], &[]),
    ("tasks.info", &["id"], &[], &[]),
    ("tasks.update", TASK, &[], &[]),
    ("tasks.complete", &["id"], &[], &[]),
    ("tasks.reopen", &["id"], &[], &[]),
    ("tasks.delete", &["id"], &[], &[]),
    ("tasks.schedule", &["id", "starts_at", "ends_at"], &[], &[]),
    (
        "calls.list",
        &["filter", "page", "includes"],
        &["scheduled_after", "scheduled_before", "relates_to", "call_outcome_id"],
        &[],
    ),
    ("calls.info", &["id"], &[], &[]),
    ("calls.add", CALL, &[], &[]),
    ("calls.update", CALL, &[], &[]),
    ("calls.complete", &["id", "call_outcome_id", "outcome_summary"], &[], &[]),
    ("calls.delete", &["id"], &[], &[]),
    (
        "events.list",
        &["filter", "page", "sort"],
        &[
            "ids",
            "user_id",
            "activity_type_id",
            "ends_after",
            "starts_before",
            "term",
            "attendee",
            "link",
            "task_id",
            "done",
        ],
        &["starts_at"],
    ),
    ("events.info", &["id"], &[], &[]),
    ("events.create", EVENT, &[], &[]),
    ("events.update", EVENT, &[], &[]),
    ("events.cancel", &["id"], &[], &[]),
    ("activityTypes.list", &["filter", "page"], &["ids"], &[]),
    ("migrate.activityType", &["type"], &[], &[]),
    ("workTypes.list", &["filter", "page", "sort"], &["ids", "term"], &["name"]),
    ("users.me", &[], &[], &[]),
    ("files.list", &["filter", "page", "sort"], &["subject"], &["updated_at"]),
    ("files.info", &["id"], &[], &[]),
    ("files.download", &["id"], &[], &[]),
    ("files.upload", &["name", "subject", "folder"], &[], &[]),
    ("files.delete", &["id"], &[], &[]),
    ("accounts.projects-v2-status", &[], &[], &[]),
    ("products.list", &["filter", "page"], &["ids", "term", "updated_since"], &[]),
    ("products.info", &["id"], &[], &[]),
    (
        "projects.list",
        &["filter", "page", "sort"],
        &["customer", "status", "participant_id", "term", "updated_since"],
        &["due_on", "title", "created_at"],
    ),
    ("projects.info", &["id"], &[], &[]),
    (
        "projects-v2/projects.list",
        LIST,
        &["ids", "status", "quotation_ids", "deal_ids", "term", "customers"],
        &["customer", "end_date", "project_key", "start_date", "status", "title"],
    ),
    ("webhooks.list", &[], &[], &[]),
    ("webhooks.register", &["url", "types"], &[], &[]),
    ("webhooks.unregister", &["url", "types"], &[], &[]),
    ("projects-v2/projects.info", &["id", "includes"], &[], &[]),
];

/// Refuses what no method has, where the settings say so; Teamleader ignores it in silence.
pub(super) fn check_keys(state: &State, method: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    let (_, keys, filters, sorts) = METHODS.iter().find(|(name, ..)| *name == method).ok_or_else(Refusal::missing)?;
    if state.settings.strictness == Strictness::Ignore {
        return Ok(());
    }
    // What making and changing do not share.
    let own = |key: &str| match method {
        "meetings.update" | "tasks.update" | "calls.update" | "events.update" => key == "id",
        "meetings.schedule" => key == "work_order_id",
        "events.create" => key == "activity_type_id",
        _ => false,
    };
    let unknown = body.keys().find(|key| !keys.contains(&key.as_str()) && !own(key));
    let filter = body.get("filter").and_then(Value::as_object);
    let unknown = unknown.or_else(|| filter.and_then(|f| f.keys().find(|key| !filters.contains(&key.as_str()))));
    if let Some(unknown) = unknown {
        return Err(Refusal::invalid(format!("{method} has no `{unknown}`.")));
    }
    let sorted = body.get("sort").and_then(Value::as_array).into_iter().flatten();
    for field in sorted.filter_map(|sort| sort.get("field")?.as_str()) {
        if !sorts.contains(&field) {
            return Err(Refusal::invalid(format!("{method} does not sort by `{field}`.")));
        }
    }
    Ok(())
}

/// One window of the rows, with `meta` where the settings give it.
pub(super) fn paged<T>(state: &State, body: &Map<String, Value>, rows: Vec<T>, show: impl Fn(T) -> Value) -> Reply {
    let number = |name: &str, default: u64| {
        let given = body.get("page").and_then(|page| page.get(name)).and_then(Value::as_u64);
        usize::try_from(given.unwrap_or(default).max(1)).unwrap_or(1)
    };
    let (size, at) = (number("size", 20).min(state.settings.most_rows), number("number", 1));
    let matches = rows.len();
    let window: Vec<Value> = rows.into_iter().skip(size.saturating_mul(at - 1)).take(size).map(show).collect();
    let mut answer = json!({"data": window});
    if state.settings.meta == Switch::Yes {
        answer["meta"] = json!({"page": {"size": size, "number": at}, "matches": matches});
    }
    Reply::Data(answer)
}

/// The records that pass the filter, sorted.
pub(super) fn chosen<'a>(
    state: &State,
    body: &Map<String, Value>,
    records: impl Iterator<Item = &'a Stored>,
    searched: fn(&Stored) -> String,
    name: fn(&Stored) -> String,
) -> Result<Vec<&'a Stored>, Refusal> {
    let filter = body.get("filter").and_then(Value::as_object).cloned().unwrap_or_default();
    let since = match filter.get("updated_since").and_then(Value::as_str) {
        Some(text) => {
            let time: jiff::Timestamp =
                text.parse().map_err(|_| Refusal::invalid("updated_since is not a valid date time."))?;
            Some(time.as_second())
        }
        None => None,
    };
    let status = filter.get("status").and_then(Value::as_str);
    let has_status = |record: &Stored| match (status, state.settings.lists_deactivated) {
        (Some(wanted), _) => record.text("status") == wanted,
        (None, Switch::Yes) => true,
        (None, Switch::No) => record.text("status") != "deactivated",
    };
    let passes = |record: &&Stored| {
        has_status(record)
            && since.is_none_or(|since| record.updated_ms.div_euclid(1000) >= since)
            && matches(record, &filter, searched)
    };
    let mut found: Vec<&Stored> = records.filter(passes).collect();
    let sort = body.get("sort").and_then(Value::as_array).and_then(|sorts| sorts.first()).cloned().unwrap_or_default();
    let seconds = |ms: i64| ms.div_euclid(1000);
    match sort.get("field").and_then(Value::as_str).unwrap_or("name") {
        "added_at" => found.sort_by(|a, b| (seconds(a.added_ms), &a.id).cmp(&(seconds(b.added_ms), &b.id))),
        "updated_at" => found.sort_by(|a, b| (seconds(a.updated_ms), &a.id).cmp(&(seconds(b.updated_ms), &b.id))),
        _ => found.sort_by_cached_key(|r| (name(r), r.id.clone())),
    }
    if sort.get("order").and_then(Value::as_str) == Some("desc") {
        found.reverse();
    }
    Ok(found)
}

fn matches(record: &Stored, filter: &Map<String, Value>, searched: fn(&Stored) -> String) -> bool {
    let words = |name: &str| filter.get(name).and_then(Value::as_array);
    let email = filter.get("email").and_then(|email| email.get("email")).and_then(Value::as_str);
    let company = filter.get("company_id").and_then(Value::as_str);
    let term = filter.get("term").and_then(Value::as_str).map(str::to_lowercase);
    words("ids").is_none_or(|ids| ids.iter().any(|id| *id == record.id))
        && words("tags").is_none_or(|tags| tags.iter().all(|tag| record.list("tags").contains(tag)))
        && email.is_none_or(|email| {
            record
                .list("emails")
                .iter()
                .any(|e| e["type"] == "primary" && e["email"].as_str().is_some_and(|e| e.eq_ignore_ascii_case(email)))
        })
        && company.is_none_or(|id| record.list("companies").iter().any(|link| link["company"]["id"] == id))
        && term.is_none_or(|term| searched(record).to_lowercase().contains(&term))
}

pub(super) fn tags(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let held = state.account(account);
    let records = held.contacts.values().chain(held.companies.values());
    let carried = records.flat_map(|record| record.list("tags")).filter_map(Value::as_str).map(str::to_owned);
    let mut all: Vec<String> = carried.chain(held.tags.iter().cloned()).collect();
    all.sort();
    all.dedup();
    Ok(paged(state, body, all, |tag| json!({"tag": tag})))
}

pub(super) fn definitions(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let filter = body.get("filter").cloned().unwrap_or_default();
    let passes = |definition: &&Value| {
        let named = filter.get("ids").and_then(Value::as_array);
        filter.get("context").is_none_or(|context| *context == definition["context"])
            && named.is_none_or(|ids| ids.contains(&definition["id"]))
    };
    let mut rows: Vec<Value> = state.account(account).definitions.iter().filter(passes).cloned().collect();
    rows.sort_by_key(|definition| definition["label"].as_str().unwrap_or_default().to_owned());
    Ok(paged(state, body, rows, |definition| definition))
}
