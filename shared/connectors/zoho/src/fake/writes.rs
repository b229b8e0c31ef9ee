//! Writing records: each one is judged by itself; mixed results come as 207.
use super::state::{FieldDef, Gone, LockRefusal, State, Stored};
use super::{Answer, Asked, Refusal, watch};
use serde_json::{Map, Value, json};

const MOST: usize = 100;

/// What a body brings: its records.
fn data_of(asked: &Asked) -> Result<(Value, Vec<Map<String, Value>>), Refusal> {
    let body = asked.json()?;
    let missing = || {
        let details = json!({"api_name": "data", "json_path": "$.data"});
        Refusal::new(400, "MANDATORY_NOT_FOUND", "required field not found").with(details)
    };
    let all = body["data"].as_array().filter(|all| !all.is_empty()).ok_or_else(missing)?;
    if all.len() > MOST {
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "Record insertion limit has been exceeded."));
    }
    let records: Option<Vec<Map<String, Value>>> = all.iter().map(|one| one.as_object().cloned()).collect();
    let records = records.ok_or_else(|| Refusal::new(400, "INVALID_DATA", "invalid data"))?;
    Ok((body.clone(), records))
}

/// Zoho's own SDK sends ids as numbers.
fn id_of(record: &Map<String, Value>) -> Option<String> {
    match record.get("id")? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The status of a call by the results in it.
pub(super) fn told(results: Vec<Result<Value, Refusal>>, done: u16) -> Answer {
    let failed: Vec<u16> = results.iter().filter_map(|result| result.as_ref().err()).map(|e| e.status).collect();
    let status = match (failed.len(), results.len()) {
        (0, _) => done,
        (n, all) if n == all => failed[0],
        _ => 207,
    };
    let data: Vec<Value> = results.into_iter().map(|result| result.unwrap_or_else(|refusal| refusal.body())).collect();
    Ok((status, json!({"data": data})))
}

fn success(state: &State, user: &str, id: u64, message: &str) -> Value {
    let stored = state.records.values().find_map(|all| all.get(&id));
    let (created, modified) = stored.map_or((0, 0), |stored| (stored.created_ms, stored.modified_ms));
    json!({
        "code": "SUCCESS", "message": message, "status": "success",
        "details": {
            "id": id.to_string(), "Created_Time": state.time(created), "Modified_Time": state.time(modified),
            "Created_By": state.minified(user), "Modified_By": state.minified(user),
        },
    })
}

pub(super) fn insert(state: &mut State, user: &str, module: &str, asked: &Asked) -> Answer {
    state.permit(user, "Create", module)?;
    let (_, records) = data_of(asked)?;
    let mut results = Vec::new();
    for (at, record) in records.into_iter().enumerate() {
        results.push(create(state, user, module, (at, record)).map(|id| success(state, user, id, "record added")));
    }
    told(results, 201)
}

pub(super) fn create(
    state: &mut State,
    user: &str,
    module: &str,
    (at, record): (usize, Map<String, Value>),
) -> Result<u64, Refusal> {
    let notify = super::events::notifies(module, &record);
    let record = checked(state, user, module, (at, record))?;
    for field in state.fields[module].iter().filter(|field| field.mandatory) {
        if record.get(&field.api_name).is_none_or(Value::is_null) {
            return Err(named(400, "MANDATORY_NOT_FOUND", "required field not found", at, &field.api_name));
        }
    }
    unique(state, module, at, &record, None)?;
    let mut data = record;
    super::events::settle(state, module, at, &mut data, notify)?;
    for field in state.fields[module].iter().filter(|field| field.data_type == "boolean" && !field.read_only) {
        data.entry(field.api_name.clone()).or_insert(Value::Bool(false));
    }
    let id = state.next_id();
    let now = state.now_ms;
    let stored = Stored { data, owner: user.to_owned(), created_ms: now, modified_ms: now, ..Stored::default() };
    state.records.entry(module.to_owned()).or_default().insert(id, stored);
    state.count_write();
    watch::tell(state, module, id, "insert", &Map::new());
    Ok(id)
}

pub(super) fn named(status: u16, code: &'static str, message: &'static str, at: usize, field: &str) -> Refusal {
    let details = json!({"api_name": field, "json_path": format!("$.data[{at}].{field}")});
    Refusal::new(status, code, message).with(details)
}

/// The record with what Zoho takes of it: unknown and read-only names are passed over, each value is judged by its field.
fn checked(
    state: &State,
    user: &str,
    module: &str,
    (at, record): (usize, Map<String, Value>),
) -> Result<Map<String, Value>, Refusal> {
    let mut taken = Map::new();
    for (name, value) in record {
        let Some(field) = state.fields[module].iter().find(|field| field.api_name == name) else { continue };
        if field.read_only {
            continue;
        }
        let value = if value == "" { Value::Null } else { value };
        if !value.is_null() {
            fits(state, user, field, &value).map_err(|wrong| {
                let mut refusal = named(400, "INVALID_DATA", "invalid data", at, &name);
                if let (Some(details), Some(wrong)) = (refusal.details.as_object_mut(), wrong.as_object()) {
                    details.extend(wrong.clone());
                }
                refusal
            })?;
        }
        taken.insert(name, value);
    }
    Ok(taken)
}

fn fits(state: &State, user: &str, field: &FieldDef, value: &Value) -> Result<(), Value> {
    let expected = |kind: &str| Err(json!({"expected_data_type": kind}));
    let text = value.as_str();
    if text.is_some_and(|text| field.length > 0 && text.chars().count() > field.length) {
        return Err(json!({"maximum_length": field.length.to_string()}));
    }
    let listed = |text: &str| field.values.iter().any(|value| value == text);
    match (field.data_type.as_str(), value) {
        ("text" | "textarea" | "phone" | "website", Value::String(_)) => Ok(()),
        ("text" | "textarea" | "phone" | "website", _) => expected("string"),
        ("email", Value::String(text)) if is_email(text) => Ok(()),
        ("email", _) => expected("email"),
        ("picklist", Value::String(text)) if listed(text) => Ok(()),
        ("picklist", _) => expected("picklist"),
        ("multiselectpicklist", Value::Array(all)) if all.iter().all(|one| one.as_str().is_some_and(listed)) => Ok(()),
        ("multiselectpicklist", _) => expected("jsonarray"),
        ("boolean", Value::Bool(_)) => Ok(()),
        ("boolean", _) => expected("boolean"),
        ("integer" | "bigint", Value::Number(number)) if number.is_i64() => Ok(()),
        ("integer" | "bigint", _) => expected("integer"),
        ("double" | "currency" | "percent", Value::Number(_)) => Ok(()),
        ("double" | "currency" | "percent", _) => expected("double"),
        ("date", Value::String(text)) if text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok() => Ok(()),
        ("date", _) => expected("date"),
        ("datetime", Value::String(text)) if !text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok() => Ok(()),
        ("datetime", _) => expected("datetime"),
        ("participants" | "recurrence" | "reminders", value) => {
            super::events::fits(state, user, &field.data_type, value)
        }
        ("lookup", Value::Object(_)) => match value["id"].as_str().and_then(|id| state.live(user, "Accounts", id)) {
            Some(_) => Ok(()),
            None => Err(json!({"parent_api_name": field.api_name})),
        },
        ("lookup", _) => expected("jsonobject"),
        _ => Ok(()),
    }
}

pub(super) fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    !name.is_empty()
        && host.contains('.')
        && !host.starts_with('.')
        && !text.contains([' ', ','])
        && !host.contains('@')
}

fn same_text(stored: &Stored, field: &str, value: &Value) -> bool {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_lowercase();
    !text(Some(value)).is_empty() && text(stored.data.get(field)) == text(Some(value))
}

/// The field that must be unique, with its own value there already (also with a record that the user does not see).
fn unique(
    state: &State,
    module: &str,
    at: usize,
    record: &Map<String, Value>,
    but: Option<u64>,
) -> Result<(), Refusal> {
    if module != "Contacts" || !state.settings.unique_email {
        return Ok(());
    }
    let Some(value) = record.get("Email") else { return Ok(()) };
    let other = state
        .module(module)
        .find(|(id, stored)| Some(**id) != but && stored.deleted.is_none() && same_text(stored, "Email", value));
    match other {
        None => Ok(()),
        Some((id, stored)) => {
            let mut refusal = named(400, "DUPLICATE_DATA", "duplicate data", at, "Email");
            let owner = state.minified(&stored.owner);
            refusal.details["duplicate_record"] =
                json!({"id": id.to_string(), "Owner": owner, "module": {"api_name": module}});
            refusal.details["id"] = json!(id.to_string());
            Err(refusal)
        }
    }
}

pub(super) fn update(state: &mut State, user: &str, module: &str, asked: &Asked, id: Option<&str>) -> Answer {
    state.permit(user, "Edit", module)?;
    let (_, mut records) = data_of(asked)?;
    if let (Some(id), Some(record)) = (id, records.first_mut()) {
        record.insert("id".to_owned(), json!(id));
    }
    let unmodified = asked.time("if-unmodified-since")?;
    let stale = |state: &State, record: &Map<String, Value>| {
        let found = id_of(record).and_then(|id| state.live(user, module, &id));
        found.is_some_and(|(_, stored)| unmodified.is_some_and(|time| stored.modified_ms / 1000 > time / 1000))
    };
    let modified = || Refusal::new(412, "RECORD_MODIFIED", "The record has been modified");
    if state.settings.lock_refusal == LockRefusal::Call && records.iter().any(|record| stale(state, record)) {
        return Err(modified());
    }
    let mut results = Vec::new();
    for (at, record) in records.into_iter().enumerate() {
        let result = match stale(state, &record) {
            true => Err(modified()),
            false => change(state, user, module, (at, record)),
        };
        results.push(result.map(|id| success(state, user, id, "record updated")));
    }
    told(results, 200)
}

pub(super) fn change(
    state: &mut State,
    user: &str,
    module: &str,
    (at, record): (usize, Map<String, Value>),
) -> Result<u64, Refusal> {
    let Some(id) = id_of(&record) else {
        return Err(named(400, "MANDATORY_NOT_FOUND", "required field not found", at, "id"));
    };
    let Some((id, stored)) = state.live(user, module, &id) else {
        return Err(named(400, "INVALID_DATA", "the id given seems to be invalid", at, "id"));
    };
    if let Some(code) = stored.locked.as_deref() {
        return Err(match code {
            "RECORD_IN_BLUEPRINT" => Refusal::new(400, "RECORD_IN_BLUEPRINT", "The record is in blue print"),
            _ => Refusal::new(400, "RECORD_LOCKED", "The record is locked"),
        });
    }
    let notify = super::events::notifies(module, &record);
    let record = checked(state, user, module, (at, record))?;
    let told = record.clone();
    for field in state.fields[module].iter().filter(|field| field.mandatory) {
        if record.get(&field.api_name).is_some_and(Value::is_null) {
            return Err(named(400, "MANDATORY_NOT_FOUND", "required field not found", at, &field.api_name));
        }
    }
    unique(state, module, at, &record, Some(id))?;
    let now = state.now_ms;
    let mut data = state.records[module][&id].data.clone();
    data.extend(record);
    super::events::settle(state, module, at, &mut data, notify)?;
    let stored = state.records.get_mut(module).and_then(|all| all.get_mut(&id)).expect("found above");
    stored.data = data;
    stored.modified_ms = now;
    state.next();
    state.count_write();
    watch::tell(state, module, id, "update", &told);
    Ok(id)
}

/// By `duplicate_check_fields` in order, `Email` (contacts) or `Account_Name` before them.
pub(super) fn upsert(state: &mut State, user: &str, module: &str, asked: &Asked) -> Answer {
    state.permit(user, "Create", module)?;
    state.permit(user, "Edit", module)?;
    let (body, records) = data_of(asked)?;
    let system = match module {
        "Accounts" => "Account_Name",
        "Deals" => "Deal_Name",
        _ => "Email",
    };
    let asked_for = body["duplicate_check_fields"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut by: Vec<String> = asked_for.map(str::to_owned).collect();
    by.sort_by_key(|name| name != system);
    if by.is_empty() {
        by.push(system.to_owned());
    }
    let mut results = Vec::new();
    for (at, mut record) in records.into_iter().enumerate() {
        let twin = by.iter().find_map(|field| {
            let value = record.get(field)?;
            let same = |stored: &Stored| stored.deleted.is_none() && same_text(stored, field, value);
            state.module(module).find(|(_, stored)| same(stored)).map(|(id, _)| (field.clone(), *id))
        });
        let (action, field, result) = match twin {
            Some((field, id)) => {
                record.insert("id".to_owned(), json!(id.to_string()));
                ("update", json!(field), change(state, user, module, (at, record)))
            }
            None => ("insert", Value::Null, create(state, user, module, (at, record))),
        };
        results.push(result.map(|id| {
            let message = if action == "update" { "record updated" } else { "record added" };
            let mut answer = success(state, user, id, message);
            answer["action"] = json!(action);
            answer["duplicate_field"] = field;
            answer
        }));
    }
    told(results, 200)
}

/// Into the recycle bin.
pub(super) fn delete(state: &mut State, user: &str, module: &str, ids: &str) -> Answer {
    state.permit(user, "Delete", module)?;
    let ids: Vec<&str> = ids.split(',').collect();
    if ids.len() > MOST {
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "Record count exceeded").with(json!({"param_name": "ids"})));
    }
    let mut results = Vec::new();
    for id in ids {
        results.push(match state.live(user, module, id).map(|(id, _)| id) {
            Some(found) => {
                bury(state, user, module, found, "recycle");
                Ok(json!({"code": "SUCCESS", "details": {"id": id}, "message": "record deleted", "status": "success"}))
            }
            None => Err(Refusal::new(400, "INVALID_DATA", "the id given seems to be invalid").with(json!({"id": id}))),
        });
    }
    told(results, 200)
}

pub(super) fn bury(state: &mut State, user: &str, module: &str, id: u64, kind: &str) {
    let now = state.now_ms;
    if let Some(stored) = state.records.get_mut(module).and_then(|all| all.get_mut(&id)) {
        stored.deleted = Some(Gone { at_ms: now, kind: kind.to_owned(), by: user.to_owned() });
    }
    if kind == "permanent" {
        super::attachments::bury(state, module, id);
    }
    state.next();
    state.count_write();
    watch::tell(state, module, id, "delete", &Map::new());
}
