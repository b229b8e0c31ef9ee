//! Contacts, tags, custom fields and who one is.
use super::check::{self, OTHERS, TEXTS};
use super::state::{Mark, State, Who};
use super::{Answer, Asked, Refusal};
use serde_json::{Map, Value as Json, json};

type Record = Map<String, Json>;

/// What a list of contacts can be narrowed by, beside `custom_fields[…]`.
const FILTERS: [&str; 13] = [
    "creator_id",
    "owner_id",
    "is_organization",
    "contact_id",
    "parent_organization_id",
    "name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "mobile",
    "customer_status",
    "prospect_status",
];

pub(super) fn enveloped(kind: &str, record: &Record) -> Json {
    json!({"data": record, "meta": {"type": kind}})
}

fn number(asked: &Asked, name: &str, default: usize, most: usize) -> Result<usize, Refusal> {
    match asked.one(name).map(str::parse) {
        None => Ok(default),
        Some(Ok(n)) if (1..=most).contains(&n) => Ok(n),
        Some(_) => Err(Refusal::of_parameter(name)),
    }
}

pub(super) fn paged<T>(asked: &Asked, all: &[T], shown: impl Fn(&T) -> Json) -> Answer {
    let page = number(asked, "page", 1, usize::MAX)?;
    let size = number(asked, "per_page", 25, 100)?;
    let items: Vec<Json> = all.iter().skip((page - 1).saturating_mul(size)).take(size).map(shown).collect();
    let link = |page: usize| format!("{}{}?page={page}&per_page={size}", asked.host, asked.path);
    let mut links = json!({"self": link(page), "first_page": link(1)});
    if page > 1 {
        links["prev_page"] = json!(link(page - 1));
    }
    if all.len() > page.saturating_mul(size) {
        links["next_page"] = json!(link(page + 1));
    }
    let count = items.len();
    Ok((200, json!({"items": items, "meta": {"type": "collection", "count": count, "links": links}})))
}

/// Whether a record has this value: compared as a whole, without regard to case.
fn has(record: &Record, name: &str, wanted: &str) -> bool {
    let value = match name.strip_prefix("custom_fields[").and_then(|name| name.strip_suffix(']')) {
        Some(name) => record.get("custom_fields").and_then(|all| all.get(name)),
        None => record.get(name),
    };
    match value {
        Some(Json::String(text)) => text.eq_ignore_ascii_case(wanted),
        Some(Json::Bool(yes)) => yes.to_string().eq_ignore_ascii_case(wanted),
        Some(Json::Number(n)) => n.to_string() == wanted,
        Some(Json::Null | Json::Array(_) | Json::Object(_)) | None => false,
    }
}

/// The records that a query asks for, in its order.
pub(super) fn narrowed<'a>(
    records: impl Iterator<Item = &'a Record>,
    asked: &Asked,
    filters: &[&str],
) -> Result<Vec<&'a Record>, Refusal> {
    let filters_by = |name: &str| filters.contains(&name) || name.starts_with("custom_fields[");
    let known = |name: &str| filters_by(name) || ["page", "per_page", "sort_by", "ids"].contains(&name);
    if let Some((name, _)) = asked.query.iter().find(|(name, _)| !known(name)) {
        return Err(Refusal::of_parameter(name));
    }
    let ids = asked.one("ids").map(|ids| ids.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>()).transpose();
    let ids = ids.map_err(|_| Refusal::of_parameter("ids"))?;
    if ids.as_ref().is_some_and(|ids| ids.len() > 100) {
        return Err(Refusal::of_parameter("ids"));
    }
    let listed = |record: &Record| record["id"].as_u64().is_some_and(|id| ids.as_ref().is_none_or(|i| i.contains(&id)));
    let fits = |record: &Record| asked.query.iter().filter(|(n, _)| filters_by(n)).all(|(n, v)| has(record, n, v));
    let mut found: Vec<&Record> = records.filter(|record| listed(record) && fits(record)).collect();
    if let Some(sort) = asked.one("sort_by") {
        let (name, order) = sort.split_once(':').unwrap_or((sort, "asc"));
        match name {
            "id" => found.sort_by_key(|record| record["id"].as_u64()),
            "created_at" | "updated_at" | "name" | "first_name" | "last_name" => {
                found.sort_by_key(|record| record.get(name).map(Json::to_string));
            }
            _ => return Err(Refusal::of_parameter("sort_by")),
        }
        match order {
            "asc" => {}
            "desc" => found.reverse(),
            _ => return Err(Refusal::of_parameter("sort_by")),
        }
    }
    Ok(found)
}

pub(super) fn list(state: &mut State, who: &Who, asked: &Asked) -> Answer {
    let seen = state.account(&who.account).contacts.values().filter(|contact| who.may_see(contact));
    let found = narrowed(seen, asked, &FILTERS)?;
    paged(asked, &found, |contact| enveloped("contact", contact))
}

fn held(state: &mut State, who: &Who, id: &str) -> Result<(u64, Record), Refusal> {
    let id: u64 = id.parse().map_err(|_| Refusal::of_parameter("id"))?;
    let contact = state.account(&who.account).contacts.get(&id).filter(|contact| who.may_see(contact));
    Ok((id, contact.cloned().ok_or_else(Refusal::missing)?))
}

pub(super) fn get(state: &mut State, who: &Who, id: &str) -> Answer {
    Ok((200, enveloped("contact", &held(state, who, id)?.1)))
}

pub(super) fn create(state: &mut State, who: &Who, body: &Json) -> Answer {
    let id = 100_000 + state.next();
    let mut contact = Record::new();
    for name in TEXTS.iter().chain(&OTHERS) {
        contact.insert((*name).to_owned(), Json::Null);
    }
    let fresh = json!({"id": id, "creator_id": who.user, "owner_id": who.user, "is_organization": false,
        "customer_status": "none", "prospect_status": "none", "tags": [], "custom_fields": {},
        "created_at": state.now()});
    contact.extend(fresh.as_object().cloned().unwrap_or_default());
    put(state, who, id, contact, body)
}

pub(super) fn update(state: &mut State, who: &Who, id: &str, body: &Json) -> Answer {
    let (id, contact) = held(state, who, id)?;
    if body["data"].get("is_organization").is_some_and(|kind| *kind != contact["is_organization"]) {
        return Err(Refusal::of_field("contact", "is_organization", "incorrect_value"));
    }
    put(state, who, id, contact, body)
}

/// Creates where nothing fits the filters, updates where one contact does. Sell does not say what several do.
pub(super) fn upsert(state: &mut State, who: &Who, asked: &Asked) -> Answer {
    let filters: Vec<_> =
        asked.query.iter().filter(|(n, _)| n != "page" && n != "per_page" && n != "sort_by").collect();
    if filters.is_empty() {
        return Err(Refusal::of_parameter("filter"));
    }
    let body = asked.json()?;
    let seen = state.account(&who.account).contacts.values().filter(|contact| who.may_see(contact));
    let found: Vec<String> = narrowed(seen, asked, &FILTERS)?.iter().map(|record| record["id"].to_string()).collect();
    match found.as_slice() {
        [] => create(state, who, &body),
        [one] => update(state, who, one, &body),
        _ => Err(Refusal::new(422, "incorrect_payload")),
    }
}

/// Checks what is sent and stores it.
fn put(state: &mut State, who: &Who, id: u64, mut contact: Record, body: &Json) -> Answer {
    let data = body["data"].as_object().ok_or_else(|| Refusal::new(422, "incorrect_payload"))?;
    for (name, value) in data {
        check::attribute(state, who, name, value)?;
        match (name.as_str(), value) {
            ("custom_fields", Json::Object(fields)) => {
                let mut all = contact["custom_fields"].as_object().cloned().unwrap_or_default();
                all.extend(fields.clone());
                all.retain(|_, value| !value.is_null());
                contact.insert(name.clone(), Json::Object(all));
            }
            _ => drop(contact.insert(name.clone(), value.clone())),
        }
    }
    let is_organization = contact["is_organization"] == true;
    let needed = if is_organization { "name" } else { "last_name" };
    if contact[needed].as_str().is_none_or(|text| text.trim().is_empty()) {
        let code = if data.contains_key(needed) { "blank" } else { "missing" };
        return Err(Refusal::of_field("contact", needed, code));
    }
    if !is_organization {
        let part = |name: &str| contact[name].as_str().unwrap_or_default().to_owned();
        let name = format!("{} {}", part("first_name"), part("last_name"));
        contact.insert("name".to_owned(), json!(name.trim()));
    }
    contact.insert("updated_at".to_owned(), state.now());
    let answer = enveloped("contact", &contact);
    state.account(&who.account).contacts.insert(id, contact);
    state.mark(&who.account, id, Mark { is_organization, ..Mark::of("contact") });
    Ok((200, answer))
}

pub(super) fn delete(state: &mut State, who: &Who, id: &str) -> Answer {
    let (id, contact) = held(state, who, id)?;
    state.account(&who.account).contacts.remove(&id);
    let is_organization = contact["is_organization"] == true;
    state.mark(&who.account, id, Mark { deleted: true, is_organization, ..Mark::of("contact") });
    Ok((204, Json::Null))
}

pub(super) fn custom_fields(state: &mut State, who: &Who) -> Answer {
    let all = state.account(&who.account).custom.iter();
    let items: Vec<Json> = all.map(|field| json!({"data": field, "meta": {"type": "custom_field"}})).collect();
    Ok((200, json!({"items": items, "meta": {"type": "collection", "count": items.len()}})))
}

/// A tag is there as long as something has it. Each kind of record has tags of its own.
pub(super) fn tags(state: &mut State, who: &Who, asked: &Asked) -> Answer {
    let at = state.now();
    let held = state.account(&who.account);
    let contacts = held.contacts.values().map(|contact| ("contact", contact));
    let others = held.others.values().map(|other| (other.kind.as_str(), &other.data));
    let of = |(kind, record): (&'static str, &Record)| -> Vec<(String, &'static str)> {
        let names = record.get("tags").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        names.map(|name| (name.to_owned(), kind)).collect()
    };
    let kind_of = |kind: &str| ["lead", "deal"].into_iter().find(|known| *known == kind);
    let others = others.filter_map(|(kind, record)| Some((kind_of(kind)?, record)));
    let used: std::collections::BTreeSet<(String, &str)> = contacts.chain(others).flat_map(of).collect();
    let wanted = |kind: &str| asked.one("resource_type").is_none_or(|wanted| wanted == kind);
    let tag = |(n, (name, kind)): (usize, (String, &str))| {
        json!({"data": {"id": n + 1, "name": name, "resource_type": kind, "creator_id": who.user, "created_at": at,
                        "updated_at": at}, "meta": {"type": "tag"}})
    };
    let all: Vec<Json> = used.into_iter().enumerate().filter(|(_, (_, kind))| wanted(kind)).map(tag).collect();
    paged(asked, &all, Json::clone)
}

pub(super) fn user(state: &State, who: &Who) -> Answer {
    let data = json!({"id": who.user, "name": who.email, "email": who.email, "status": "active", "role": "user",
        "timezone": state.settings.timezone});
    Ok((200, json!({"data": data, "meta": {"type": "user"}})))
}

/// The account says nothing of the user who asks.
pub(super) fn account(state: &mut State, who: &Who) -> Answer {
    let held = state.account(&who.account);
    let id = 1_000_000 + held.marks.get(&0).map_or(0, |mark| mark.revision);
    Ok((200, json!({"data": {"id": id, "name": who.account, "currency": "EUR"}, "meta": {"type": "account"}})))
}
