//! Reading records: pages, page tokens, times, list views, deletions.
use super::state::{PageToken, State, Stored};
use super::{Answer, Asked, Refusal, filter};
use serde_json::{Map, Value, json};

const PAGE: usize = 200;
const MOST_FIELDS: usize = 50;
const MOST_IDS: usize = 100;
const REACH: usize = 2_000;
const TOKEN_MS: i64 = 24 * 3600 * 1000;

fn number(asked: &Asked, name: &str, default: usize) -> Result<usize, Refusal> {
    match asked.one(name) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|n| *n > 0).ok_or_else(|| Refusal::parameter(name)),
    }
}

fn per_page(asked: &Asked) -> Result<usize, Refusal> {
    match number(asked, "per_page", PAGE)? {
        size if size > PAGE => Err(Refusal::parameter("per_page")),
        size => Ok(size),
    }
}

/// The page's size and number, from 1.
pub(super) fn numbered(asked: &Asked) -> Result<(usize, usize), Refusal> {
    Ok((per_page(asked)?, number(asked, "page", 1)?))
}

/// `fields` must be given, with names at most fifty.
pub(super) fn named_fields(asked: &Asked) -> Result<Vec<String>, Refusal> {
    let Some(names) = asked.one("fields") else {
        return Err(Refusal::new(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing")
            .with(json!({"param_name": "fields"})));
    };
    let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
    if names.len() > MOST_FIELDS {
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "Max field limit exceeded").with(json!({"limit": MOST_FIELDS})));
    }
    Ok(names)
}

/// Each must be one of the module's.
fn fields_of(state: &State, module: &str, asked: &Asked) -> Result<Vec<String>, Refusal> {
    let names = named_fields(asked)?;
    let known = |name: &String| name == "id" || state.fields[module].iter().any(|field| field.api_name == *name);
    match names.iter().all(known) {
        true => Ok(names),
        false => Err(Refusal::parameter("fields")),
    }
}

fn shown(state: &State, (id, stored): (u64, &Stored), names: &[String]) -> Value {
    let mut record = Map::from_iter([("id".to_owned(), json!(id.to_string()))]);
    record.extend(names.iter().map(|name| (name.clone(), state.value(id, stored, name))));
    Value::Object(record)
}

pub(super) fn list(state: &mut State, user: &str, module: &str, asked: &Asked) -> Answer {
    state.permit(user, "View", module)?;
    let names = fields_of(state, module, asked)?;
    if let Some(ids) = asked.one("ids") {
        return by_ids(state, user, module, ids, &names);
    }
    let size = per_page(asked)?;
    let since = asked.time("if-modified-since")?;
    let view = match asked.one("cvid") {
        Some(id) => {
            let found = state.views.iter().find(|view| view.id == id && view.module == module).cloned();
            Some(found.ok_or_else(|| {
                Refusal::new(400, "INVALID_DATA", "Customview not accessible").with(json!({"param_name": "cvid"}))
            })?)
        }
        None => None,
    };
    if view.is_some() && asked.one("sort_by").is_some() {
        return Err(Refusal::new(400, "INVALID_DATA", "invalid data").with(json!({"param_name": "sort_by"})));
    }
    let (skip, page) = place(state, user, asked, size)?;
    let mut found: Vec<(u64, &Stored)> = state
        .module(module)
        .filter(|(_, stored)| stored.deleted.is_none() && state.sees(user, stored))
        .filter(|(_, stored)| since.is_none_or(|since| stored.modified_ms / 1000 > since / 1000))
        .filter(|(id, stored)| view.as_ref().is_none_or(|view| filter::matches(state, **id, stored, &view.criteria)))
        .map(|(id, stored)| (*id, stored))
        .collect();
    if found.is_empty() {
        return Ok((if since.is_some() { 304 } else { 204 }, Value::Null));
    }
    sort(&mut found, asked)?;
    let data: Vec<Value> = found.iter().skip(skip).take(size).map(|record| shown(state, *record, &names)).collect();
    let more = found.len() > skip + size;
    if data.is_empty() {
        return Ok((204, Value::Null));
    }
    let count = data.len();
    let token = more.then(|| {
        let name = format!("pt{}", state.next());
        let until_ms = state.now_ms + TOKEN_MS;
        state.tokens.insert(name.clone(), PageToken { account: user.to_owned(), offset: skip + size, until_ms });
        name
    });
    let expiry = token.as_ref().map(|_| state.time(state.now_ms + TOKEN_MS));
    let info = json!({
        "per_page": size, "count": count, "page": page, "more_records": more, "next_page_token": token,
        "previous_page_token": null, "page_token_expiry": expiry,
        "sort_by": asked.one("sort_by").unwrap_or("id"), "sort_order": asked.one("sort_order").unwrap_or("desc"),
    });
    Ok((200, json!({"data": data, "info": info})))
}

/// How many records the page leaves out before it, and its number.
fn place(state: &State, user: &str, asked: &Asked, size: usize) -> Result<(usize, usize), Refusal> {
    let Some(token) = asked.one("page_token") else {
        let page = number(asked, "page", 1)?;
        if page * size > REACH {
            return Err(
                Refusal::new(400, "LIMIT_EXCEEDED", "Record count exceeded").with(json!({"param_name": "page"}))
            );
        }
        return Ok(((page - 1) * size, page));
    };
    if asked.one("page").is_some() {
        return Err(Refusal::parameter("page"));
    }
    let held = state.tokens.get(token).filter(|held| held.account == user && state.now_ms < held.until_ms);
    match held {
        Some(held) => Ok((held.offset, held.offset / size + 1)),
        None => Err(Refusal::parameter("page_token")),
    }
}

fn sort(found: &mut [(u64, &Stored)], asked: &Asked) -> Result<(), Refusal> {
    match asked.one("sort_by").unwrap_or("id") {
        "id" => found.sort_by_key(|(id, _)| *id),
        "Created_Time" => found.sort_by_key(|(id, stored)| (stored.created_ms, *id)),
        "Modified_Time" => found.sort_by_key(|(id, stored)| (stored.modified_ms, *id)),
        _ => return Err(Refusal::parameter("sort_by")),
    }
    match asked.one("sort_order").unwrap_or("desc") {
        "asc" => {}
        "desc" => found.reverse(),
        _ => return Err(Refusal::parameter("sort_order")),
    }
    Ok(())
}

fn by_ids(state: &State, user: &str, module: &str, ids: &str, names: &[String]) -> Answer {
    let ids: Vec<&str> = ids.split(',').collect();
    if ids.len() > MOST_IDS {
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "Record count exceeded").with(json!({"param_name": "ids"})));
    }
    let found = ids.iter().filter_map(|id| state.live(user, module, id));
    let data: Vec<Value> = found.map(|record| shown(state, record, names)).collect();
    match data.is_empty() {
        true => Ok((204, Value::Null)),
        false => Ok((200, json!({"data": data, "info": {"more_records": false, "count": data.len()}}))),
    }
}

/// One record with all its fields.
pub(super) fn one(state: &State, user: &str, module: &str, id: &str) -> Answer {
    state.permit(user, "View", module)?;
    let names: Vec<String> = state.fields[module].iter().map(|field| field.api_name.clone()).collect();
    match state.live(user, module, id) {
        Some(record) => Ok((200, json!({"data": [shown(state, record, &names)]}))),
        None => Ok((204, Value::Null)),
    }
}

/// `type` is all, recycle or permanent.
pub(super) fn deleted(state: &State, user: &str, module: &str, asked: &Asked) -> Answer {
    state.permit(user, "View", module)?;
    let kind = asked.one("type").unwrap_or("all");
    if !["all", "recycle", "permanent"].contains(&kind) {
        return Err(Refusal::parameter("type"));
    }
    let (size, page) = numbered(asked)?;
    let since = asked.time("if-modified-since")?;
    let wanted = |stored: &&Stored| {
        let gone = stored.deleted.as_ref();
        gone.is_some_and(|gone| {
            (kind == "all" || gone.kind == kind) && since.is_none_or(|since| gone.at_ms / 1000 > since / 1000)
        })
    };
    let mut found: Vec<(u64, &Stored)> = state
        .module(module)
        .filter(|(_, stored)| wanted(stored) && state.sees(user, stored))
        .map(|(id, stored)| (*id, stored))
        .collect();
    found.sort_by_key(|(id, stored)| (std::cmp::Reverse(stored.deleted.as_ref().map(|gone| gone.at_ms)), *id));
    let entry = |(id, stored): &(u64, &Stored)| {
        let gone = stored.deleted.as_ref()?;
        Some(json!({
            "deleted_by": state.minified(&gone.by), "id": id.to_string(), "type": gone.kind,
            "display_name": state.value(*id, stored, "Full_Name"), "created_by": state.minified(&stored.owner),
            "deleted_time": state.time(gone.at_ms),
        }))
    };
    let data: Vec<Value> = found.iter().skip((page - 1) * size).take(size).filter_map(entry).collect();
    match (data.is_empty(), since) {
        (true, Some(_)) => Ok((304, Value::Null)),
        (true, None) => Ok((204, Value::Null)),
        (false, _) => {
            let info = json!({"per_page": size, "count": data.len(), "page": page,
                              "more_records": found.len() > page * size});
            Ok((200, json!({"data": data, "info": info})))
        }
    }
}
