//! `tasks.*`.
use super::mail::{mandatory, there, work_types};
use super::state::{State, shown_time};
use super::{Answer, Refusal, Reply, events, lists};
use jiff::civil::Date;
use serde_json::{Map, Value, json};

pub(super) fn answer(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    match action {
        "list" => list(state, account, body),
        "info" => Ok(Reply::Data(json!({"data": info(found(state, account, body)?)}))),
        "create" => {
            let id = create(state, account, body)?;
            state.wrote();
            Ok(Reply::Made("task", id))
        }
        "update" => {
            let before = found(state, account, body)?.clone();
            *found(state, account, body)? = merged(state, account, before, body)?;
            state.wrote();
            Ok(Reply::Done)
        }
        "complete" | "reopen" => {
            let now = shown_time(state.now_ms);
            let done = action == "complete";
            let task = found(state, account, body)?;
            task["completed"] = json!(done);
            task["completed_at"] = if done { json!(now) } else { Value::Null };
            state.wrote();
            Ok(Reply::Done)
        }
        "delete" => {
            let id = found(state, account, body)?["id"].clone();
            state.account(account).tasks.retain(|task| task["id"] != id);
            state.wrote();
            Ok(Reply::Done)
        }
        "schedule" => {
            let task = found(state, account, body)?.clone();
            let id = events::of_task(state, account, &task, body)?;
            state.wrote();
            Ok(Reply::Made("event", id))
        }
        _ => Err(Refusal::missing()),
    }
}

fn found<'a>(state: &'a mut State, account: &str, body: &Map<String, Value>) -> Result<&'a mut Value, Refusal> {
    let id = mandatory(body, "id")?;
    state.account(account).tasks.iter_mut().find(|task| task["id"] == id).ok_or_else(Refusal::missing)
}

/// A task as `info` shows it, which is without the time of its making.
fn info(task: &Value) -> Value {
    let mut shown = task.as_object().cloned().unwrap_or_default();
    shown.remove("added_at");
    for name in ["assignee", "customer", "milestone", "deal", "project", "ticket", "completed_at", "priority"] {
        shown.entry(name).or_insert(Value::Null);
    }
    shown.entry("custom_fields").or_insert(json!([]));
    Value::Object(shown)
}

fn list(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let filter = body.get("filter").cloned().unwrap_or_default();
    let term = filter["term"].as_str().map(str::to_lowercase);
    let due = |row: &Value| row["due_on"].as_str().unwrap_or_default().to_owned();
    let passes = |row: &&Value| {
        let described = row["description"].as_str().unwrap_or_default().to_lowercase();
        filter.get("customer").is_none_or(|customer| row["customer"] == *customer)
            && term.as_ref().is_none_or(|term| described.contains(term.as_str()))
            && filter["ids"].as_array().is_none_or(|ids| ids.contains(&row["id"]))
            && filter["completed"].as_bool().is_none_or(|completed| row["completed"] == completed)
            && filter["due_from"].as_str().is_none_or(|first| due(row).as_str() >= first)
            && filter["due_by"].as_str().is_none_or(|last| due(row).as_str() <= last)
            // Of the user, or of a team: everybody is in all of them here. Null asks for those that nobody has.
            && filter.get("user_id").is_none_or(|user| {
                let has = &row["assignee"];
                if user.is_null() { has.is_null() } else { has["type"] == "team" || has["id"] == *user }
            })
    };
    let mut rows: Vec<Value> = state.account(account).tasks.iter().filter(passes).cloned().collect();
    rows.sort_by_key(due);
    if body.get("sort").is_some_and(|sort| sort[0]["order"] == "desc") {
        rows.reverse();
    }
    Ok(lists::paged(state, body, rows, |row| row))
}

pub(super) fn create(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    for name in ["title", "due_on", "work_type_id"] {
        mandatory(body, name)?;
    }
    let (id, now) = (state.uuid(), shown_time(state.now_ms));
    let task = merged(state, account, json!({"id": id, "completed": false, "added_at": now}), body)?;
    state.account(account).tasks.push(task);
    Ok(id)
}

/// The members after a request.
fn merged(state: &mut State, account: &str, mut task: Value, body: &Map<String, Value>) -> Result<Value, Refusal> {
    if let Some(due) = body.get("due_on") {
        let due: Result<Date, _> = due.as_str().unwrap_or_default().parse();
        due.map_err(|_| Refusal::invalid("due_on is not a valid date."))?;
    }
    if body.contains_key("title") {
        mandatory(body, "title")?;
    }
    if let Some(kind) = body.get("work_type_id")
        && !work_types(state, account).iter().any(|known| known["id"] == *kind)
    {
        return Err(Refusal::invalid("work_type_id is not known."));
    }
    if let Some(customer) = body.get("customer") {
        let kind = customer["type"].as_str().unwrap_or_default().to_owned();
        there(state, account, &kind, customer["id"].as_str().unwrap_or_default())?;
    }
    for name in ["title", "description", "due_on", "customer", "assignee", "estimated_duration", "custom_fields"] {
        if let Some(value) = body.get(name) {
            task[name] = value.clone();
        }
    }
    for (given, member, kind) in [
        ("work_type_id", "work_type", "workType"),
        ("milestone_id", "milestone", "milestone"),
        ("project_id", "project", "project"),
        ("deal_id", "deal", "deal"),
        ("ticket_id", "ticket", "ticket"),
    ] {
        if let Some(id) = body.get(given) {
            task[member] = if id.is_null() { Value::Null } else { json!({"type": kind, "id": id}) };
        }
    }
    Ok(task)
}
