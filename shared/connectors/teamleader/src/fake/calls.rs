//! `calls.*`.
use super::mail::mandatory;
use super::state::{Account, State, Stored, shown_time};
use super::{Answer, Refusal, Reply, lists};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(super) fn answer(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    match action {
        "list" => list(state, account, body),
        "info" => {
            let id = known(state, account, body)?;
            Ok(Reply::Data(json!({"data": info(&state.accounts[account].calls[&id])})))
        }
        "add" => {
            let id = create(state, account, body)?;
            state.wrote();
            Ok(Reply::Made("call", id))
        }
        "update" => {
            let id = known(state, account, body)?;
            let before = state.account(account).calls[&id].data.clone();
            put(state, account, &id, before, body)?;
            state.wrote();
            Ok(Reply::Done)
        }
        "complete" => {
            let id = known(state, account, body)?;
            let now = shown_time(state.now_ms);
            if let Some(call) = state.account(account).calls.get_mut(&id) {
                call.data.insert("status".to_owned(), json!("completed"));
                call.data.insert("completed_at".to_owned(), json!(now));
                let outcome = body.get("call_outcome_id").map(|id| json!({"type": "callOutcome", "id": id}));
                call.data.insert("outcome".to_owned(), outcome.unwrap_or_default());
                let summary = body.get("outcome_summary").cloned().unwrap_or_default();
                call.data.insert("outcome_summary".to_owned(), summary);
            }
            state.wrote();
            Ok(Reply::Done)
        }
        "delete" => {
            let id = known(state, account, body)?;
            state.account(account).calls.remove(&id);
            state.wrote();
            Ok(Reply::Done)
        }
        _ => Err(Refusal::missing()),
    }
}

fn known(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    let id = mandatory(body, "id")?.as_str().unwrap_or_default().to_owned();
    if state.account(account).calls.contains_key(&id) { Ok(id) } else { Err(Refusal::missing()) }
}

/// Those of everybody, in no order: by id here, which says nothing of their age.
fn list(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let filter = body.get("filter").cloned().unwrap_or_default();
    let passes = |call: &&Stored| {
        let day = call.text("scheduled_at").get(..10).unwrap_or_default();
        let with = call.data.get("participant").map_or(&Value::Null, |with| &with["customer"]);
        filter["scheduled_after"].as_str().is_none_or(|first| day >= first)
            && filter["scheduled_before"].as_str().is_none_or(|last| day <= last)
            && filter.get("relates_to").is_none_or(|company| with == company)
            && filter.get("call_outcome_id").is_none_or(|id| call.data["outcome"]["id"] == *id)
    };
    let found: Vec<Stored> = state.account(account).calls.values().filter(passes).cloned().collect();
    Ok(lists::paged(state, body, found, |call| row(&call)))
}

/// A call as `info` shows it.
pub(super) fn info(call: &Stored) -> Value {
    let mut shown = call.data.clone();
    for name in ["description", "completed_at", "outcome", "outcome_summary", "deal"] {
        shown.entry(name).or_insert(Value::Null);
    }
    shown.entry("custom_fields").or_insert(json!([]));
    shown.insert("id".to_owned(), json!(call.id));
    shown.insert("added_at".to_owned(), json!(shown_time(call.added_ms)));
    Value::Object(shown)
}

fn row(call: &Stored) -> Value {
    let mut shown = info(call);
    if let Some(shown) = shown.as_object_mut() {
        shown.retain(|name, _| !["completed_at", "custom_fields"].contains(&name.as_str()));
    }
    shown
}

pub(super) fn create(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    for name in ["participant", "due_at", "assignee"] {
        if body.get(name).is_none_or(Value::is_null) {
            return Err(Refusal::invalid(format!("{name} is mandatory.")));
        }
    }
    let id = state.uuid();
    put(state, account, &id, Map::from_iter([("status".to_owned(), json!("open"))]), body)?;
    Ok(id)
}

fn put(
    state: &mut State,
    account: &str,
    id: &str,
    mut data: Map<String, Value>,
    body: &Map<String, Value>,
) -> Result<(), Refusal> {
    let now = state.now_ms;
    let held = state.account(account);
    if let Some(due) = body.get("due_at") {
        let due: Result<Timestamp, _> = due.as_str().unwrap_or_default().parse();
        let due = due.map_err(|_| Refusal::invalid("due_at is not a valid date time."))?;
        data.insert("scheduled_at".to_owned(), json!(shown_time(due.as_millisecond())));
    }
    if let Some(text) = body.get("description") {
        let text = text.as_str().ok_or_else(|| Refusal::invalid("description is not a text."))?;
        data.insert("description".to_owned(), json!(text));
    }
    if let Some(with) = body.get("participant") {
        data.insert("participant".to_owned(), participant(held, &with["customer"])?);
    }
    if let Some(user) = body.get("assignee") {
        let id = user["id"].as_str().unwrap_or_default();
        if user["type"] != "user" || !held.has_user(id) {
            return Err(Refusal::invalid("assignee is not a known user."));
        }
        data.insert("assignee".to_owned(), json!({"type": "user", "id": id}));
    }
    if let Some(deal) = body.get("deal_id") {
        let shown = if deal.is_null() { Value::Null } else { json!({"type": "deal", "id": deal}) };
        data.insert("deal".to_owned(), shown);
    }
    if let Some(fields) = body.get("custom_fields") {
        data.insert("custom_fields".to_owned(), fields.clone());
    }
    let added_ms = held.calls.get(id).map_or(now, |call| call.added_ms);
    held.calls.insert(id.to_owned(), Stored { id: id.to_owned(), added_ms, updated_ms: now, data });
    Ok(())
}

/// A call with a contact shows it twice.
fn participant(held: &Account, customer: &Value) -> Result<Value, Refusal> {
    let id = customer["id"].as_str().unwrap_or_default();
    match customer["type"].as_str() {
        Some("contact") if held.contacts.contains_key(id) => Ok(json!({"customer": customer, "contact": customer})),
        Some("company") if held.companies.contains_key(id) => Ok(json!({"customer": customer, "contact": null})),
        Some(_) | None => Err(Refusal::invalid("participant.customer is not known.")),
    }
}
