//! Leads, deals, notes and tasks: what else fills an account, its tags and its sync queues. They are kept as they are sent, checked
//! for the attributes that they must have and may have.
use super::core::{enveloped, narrowed, paged};
use super::state::{Mark, Other, State, Who};
use super::{Answer, Asked, Refusal};
use serde_json::{Map, Value as Json, json};

/// A kind of record.
pub(super) struct Kind {
    pub(super) name: &'static str,
    attributes: &'static [&'static str],
    /// At least one of them is there.
    needed: &'static [&'static str],
    filters: &'static [&'static str],
}

const LEADS: Kind = Kind {
    name: "lead",
    attributes: &[
        "first_name",
        "last_name",
        "organization_name",
        "owner_id",
        "source_id",
        "unqualified_reason_id",
        "status",
        "title",
        "description",
        "industry",
        "website",
        "email",
        "phone",
        "mobile",
        "fax",
        "twitter",
        "facebook",
        "linkedin",
        "skype",
        "address",
        "tags",
        "custom_fields",
    ],
    needed: &["last_name", "organization_name"],
    filters: &[
        "creator_id",
        "owner_id",
        "source_id",
        "first_name",
        "last_name",
        "organization_name",
        "status",
        "email",
    ],
};
const DEALS: Kind = Kind {
    name: "deal",
    attributes: &[
        "name",
        "contact_id",
        "value",
        "currency",
        "owner_id",
        "hot",
        "stage_id",
        "source_id",
        "loss_reason_id",
        "last_stage_change_at",
        "estimated_close_date",
        "customized_win_likelihood",
        "tags",
        "custom_fields",
    ],
    needed: &["name"],
    filters: &["creator_id", "owner_id", "contact_id", "stage_id", "name"],
};
const NOTES: Kind = Kind {
    name: "note",
    attributes: &["content", "resource_type", "resource_id", "is_important", "tags", "type"],
    needed: &["content"],
    filters: &["creator_id", "resource_type", "resource_id"],
};

const TASKS: Kind = Kind {
    name: "task",
    attributes: &["content", "due_date", "owner_id", "remind_at", "resource_type", "resource_id", "completed"],
    needed: &["content"],
    filters: &["creator_id", "owner_id", "resource_type", "resource_id", "completed", "overdue"],
};

/// The kind behind a path's first word.
pub(super) fn kind(word: &str) -> Option<&'static Kind> {
    match word {
        "leads" => Some(&LEADS),
        "deals" => Some(&DEALS),
        "notes" => Some(&NOTES),
        "tasks" => Some(&TASKS),
        _ => None,
    }
}

/// The code for a value that does not fit its attribute.
pub(super) fn wrong(value: &Json) -> &'static str {
    if value.is_string() || value.is_array() { "incorrect_value" } else { "invalid_type" }
}

/// What the rest of a path asks for.
pub(super) fn answer(state: &mut State, who: &Who, asked: &Asked, kind: &Kind, id: Option<&str>) -> Answer {
    let id = id.map(|id| id.parse::<u64>().map_err(|_| Refusal::of_parameter("id"))).transpose()?;
    let held = state.account(&who.account);
    match (asked.method.as_str(), id) {
        ("GET", None) => {
            let seen = held.others.values().filter(|other| other.kind == kind.name && who.may_see(&other.data));
            let found = narrowed(seen.map(|other| &other.data), asked, kind.filters)?;
            paged(asked, &found, |record| enveloped(kind.name, record))
        }
        ("POST", None) => {
            let id = 500_000 + state.next();
            let mut record: Map<String, Json> =
                kind.attributes.iter().map(|name| ((*name).to_owned(), Json::Null)).collect();
            // A deal has a value, also where nobody gave one; nothing is `hot` by itself.
            let usual = json!({"owner_id": who.user, "custom_fields": {}, "tags": [], "value": 0, "hot": false,
                "completed": false});
            let usual = usual.as_object().cloned().unwrap_or_default();
            record.extend(usual.into_iter().filter(|(name, _)| kind.attributes.contains(&name.as_str())));
            let fresh = json!({"id": id, "creator_id": who.user, "created_at": state.now()});
            record.extend(fresh.as_object().cloned().unwrap_or_default());
            put(state, who, kind, id, record, &asked.json()?)
        }
        (_, None) => Err(Refusal::new(404, "incorrect_path")),
        ("GET", Some(id)) => Ok((200, enveloped(kind.name, &held_one(state, who, kind, id)?))),
        ("PUT", Some(id)) => change(state, who, kind, id, &asked.json()?),
        ("DELETE", Some(id)) => delete(state, who, kind, id),
        (_, Some(_)) => Err(Refusal::new(404, "incorrect_path")),
    }
}

fn held_one(state: &mut State, who: &Who, kind: &Kind, id: u64) -> Result<Map<String, Json>, Refusal> {
    let known = state.account(&who.account).others.get(&id);
    let known = known.filter(|other| other.kind == kind.name && who.may_see(&other.data));
    known.map(|other| other.data.clone()).ok_or_else(Refusal::missing)
}

pub(super) fn change(state: &mut State, who: &Who, kind: &Kind, id: u64, body: &Json) -> Answer {
    let record = held_one(state, who, kind, id)?;
    put(state, who, kind, id, record, body)
}

pub(super) fn delete(state: &mut State, who: &Who, kind: &Kind, id: u64) -> Answer {
    held_one(state, who, kind, id)?;
    state.account(&who.account).others.remove(&id);
    state.mark(&who.account, id, Mark { deleted: true, ..Mark::of(kind.name) });
    Ok((204, Json::Null))
}

/// What is a task's own: moments, what it hangs on, and what Sell fills in by itself.
fn judge_task(state: &mut State, who: &Who, record: &mut Map<String, Json>) -> Result<(), Refusal> {
    let wrong = |name: &str, value: &Json| Err(Refusal::of_field("task", name, wrong(value)));
    for name in ["due_date", "remind_at"] {
        let value = record[name].clone();
        let good = value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
        if !value.is_null() && !good {
            return wrong(name, &value);
        }
    }
    if !record["content"].is_string() || !record["completed"].is_boolean() {
        let name = if record["content"].is_string() { "completed" } else { "content" };
        return Err(Refusal::of_field("task", name, "invalid_type"));
    }
    let held = state.account(&who.account);
    let on = record["resource_id"].as_u64();
    let there = match record["resource_type"].as_str() {
        Some("contact") => on.is_some_and(|id| held.contacts.contains_key(&id)),
        Some(kind @ ("lead" | "deal")) => on.is_some_and(|id| held.others.get(&id).is_some_and(|o| o.kind == kind)),
        Some(_) => return wrong("resource_type", &record["resource_type"]),
        None => on.is_none(),
    };
    if !there {
        return wrong("resource_id", &record["resource_id"]);
    }
    let done = record["completed"] == true;
    if !done {
        record.insert("completed_at".to_owned(), Json::Null);
    } else if record.get("completed_at").is_none_or(Json::is_null) {
        record.insert("completed_at".to_owned(), state.now());
    }
    let due = record["due_date"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let late = due.is_some_and(|at| at.as_millisecond() < state.now_ms);
    record.insert("overdue".to_owned(), json!(late && !done));
    Ok(())
}

fn put(state: &mut State, who: &Who, kind: &Kind, id: u64, mut record: Map<String, Json>, body: &Json) -> Answer {
    let data = body["data"].as_object().ok_or_else(|| Refusal::new(422, "incorrect_payload"))?;
    if let Some(name) = data.keys().find(|name| !kind.attributes.contains(&name.as_str())) {
        return Err(Refusal::of_field(kind.name, name, "unknown"));
    }
    record.extend(data.clone());
    let filled = |name: &&str| record.get(*name).and_then(Json::as_str).is_some_and(|text| !text.trim().is_empty());
    if !kind.needed.iter().any(filled) {
        return Err(Refusal::of_field(kind.name, kind.needed[0], "missing"));
    }
    if kind.name == "deal" {
        let contact = record.get("contact_id").and_then(Json::as_u64);
        if contact.is_none_or(|id| !state.account(&who.account).contacts.contains_key(&id)) {
            return Err(Refusal::of_field(kind.name, "contact_id", "incorrect_value"));
        }
    }
    if kind.name == "task" {
        judge_task(state, who, &mut record)?;
    }
    record.insert("updated_at".to_owned(), state.now());
    let answer = enveloped(kind.name, &record);
    state.account(&who.account).others.insert(id, Other { kind: kind.name.to_owned(), data: record });
    state.mark(&who.account, id, Mark::of(kind.name));
    Ok((200, answer))
}
