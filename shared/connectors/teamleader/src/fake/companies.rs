//! `companies.*`.
use super::state::{State, Stored, shown_time};
use super::{Answer, Refusal, Reply, lists};
use serde_json::{Map, Value, json};

pub(super) fn answer(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    match action {
        "list" => {
            state.account(account);
            let records = state.accounts[account].companies.values();
            let searched = |r: &Stored| {
                let numbers: Vec<&str> = r.list("telephones").iter().filter_map(|t| t["number"].as_str()).collect();
                format!("{} {} {}", r.text("name"), r.text("vat_number"), numbers.join(" "))
            };
            let found = lists::chosen(state, body, records, searched, |r| r.text("name").to_owned())?;
            Ok(lists::paged(state, body, found, shown))
        }
        "info" => {
            let id = id_of(state, account, body)?;
            Ok(Reply::Data(json!({"data": shown(&state.accounts[account].companies[&id])})))
        }
        "add" => {
            let id = create(state, account, body)?;
            state.wrote();
            Ok(Reply::Made("company", id))
        }
        "update" => {
            let id = id_of(state, account, body)?;
            change(state, account, &id, body)?;
            state.wrote();
            Ok(Reply::Done)
        }
        "delete" => {
            let id = id_of(state, account, body)?;
            delete(state, account, &id);
            state.wrote();
            Ok(Reply::Done)
        }
        _ => Err(Refusal::missing()),
    }
}

fn id_of(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    let id = body.get("id").and_then(Value::as_str).ok_or_else(|| Refusal::invalid("id is mandatory."))?;
    if state.account(account).companies.contains_key(id) { Ok(id.to_owned()) } else { Err(Refusal::missing()) }
}

pub(super) fn shown(record: &Stored) -> Value {
    let mut shown = record.data.clone();
    for (name, default) in [
        ("vat_number", json!(null)),
        ("emails", json!([])),
        ("telephones", json!([])),
        ("website", json!(null)),
        ("language", json!("nl")),
        ("tags", json!([])),
        ("primary_address", json!(null)),
    ] {
        shown.entry(name).or_insert(default);
    }
    shown.insert("id".to_owned(), json!(record.id));
    shown.insert("added_at".to_owned(), json!(shown_time(record.added_ms)));
    shown.insert("updated_at".to_owned(), json!(shown_time(record.updated_ms)));
    Value::Object(shown)
}

fn checked(body: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    if body.get("name").is_some_and(|name| name.as_str().is_none_or(|name| name.trim().is_empty())) {
        return Err(Refusal::invalid("Company name must not be empty"));
    }
    let phones = body.get("telephones").and_then(Value::as_array).into_iter().flatten();
    if phones.into_iter().any(|phone| phone["type"] != "phone" && phone["type"] != "fax") {
        return Err(Refusal::invalid("telephones.type is not one of: phone, fax."));
    }
    Ok(body.iter().filter(|(name, _)| name.as_str() != "id").map(|(k, v)| (k.clone(), v.clone())).collect())
}

pub(super) fn create(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    if body.get("name").is_none() {
        return Err(Refusal::invalid("Company name must not be empty"));
    }
    let mut data = checked(body)?;
    data.insert("status".to_owned(), json!("active"));
    let (id, now) = (state.uuid(), state.now_ms);
    let stored = Stored { id: id.clone(), added_ms: now, updated_ms: now, data };
    state.account(account).companies.insert(id.clone(), stored);
    Ok(id)
}

pub(super) fn change(state: &mut State, account: &str, id: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    let mut data = checked(body)?;
    let now = state.now_ms;
    let stored = state.account(account).companies.get_mut(id).ok_or_else(Refusal::missing)?;
    stored.data.append(&mut data);
    stored.updated_ms = now;
    Ok(())
}

pub(super) fn delete(state: &mut State, account: &str, id: &str) {
    let held = state.account(account);
    held.companies.remove(id);
    for contact in held.contacts.values_mut() {
        if let Some(links) = contact.data.get_mut("companies").and_then(Value::as_array_mut) {
            links.retain(|link| link["company"]["id"] != id);
        }
    }
}
