//! Contacts, tags, custom fields and who one is.
use super::state::State;
use super::{Answer, Asked, Refusal};
use serde_json::{Map, Value as Json, json};

const TEXTS: [&str; 15] = [
    "name",
    "first_name",
    "last_name",
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
];
const OTHERS: [&str; 10] = [
    "is_organization",
    "contact_id",
    "parent_organization_id",
    "owner_id",
    "customer_status",
    "prospect_status",
    "tags",
    "custom_fields",
    "address",
    "billing_address",
];
const FILTERS: [&str; 7] = ["email", "phone", "contact_id", "is_organization", "name", "creator_id", "owner_id"];

fn enveloped(contact: &Map<String, Json>) -> Json {
    json!({"data": contact, "meta": {"type": "contact"}})
}

fn number(asked: &Asked, name: &str, default: usize, most: usize) -> Result<usize, Refusal> {
    match asked.one(name).map(str::parse) {
        None => Ok(default),
        Some(Ok(n)) if (1..=most).contains(&n) => Ok(n),
        Some(_) => Err(Refusal::new(400, "invalid_param")),
    }
}

fn paged<T>(asked: &Asked, all: &[T], shown: impl Fn(&T) -> Json) -> Answer {
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

pub(super) fn list(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let known = |name: &str| FILTERS.contains(&name) || ["page", "per_page", "sort_by", "ids"].contains(&name);
    if asked.query.iter().any(|(name, _)| !known(name)) {
        return Err(Refusal::new(400, "invalid_param"));
    }
    let ids: Option<Vec<u64>> = asked.one("ids").map(|ids| ids.split(',').filter_map(|id| id.parse().ok()).collect());
    let fits = |contact: &Map<String, Json>| {
        let has = |name: &str, wanted: &str| match &contact.get(name) {
            Some(Json::String(text)) => text.eq_ignore_ascii_case(wanted),
            Some(Json::Bool(yes)) => yes.to_string().eq_ignore_ascii_case(wanted),
            Some(Json::Number(n)) => n.to_string() == wanted,
            _ => false,
        };
        let listed = |ids: &Vec<u64>| contact["id"].as_u64().is_some_and(|id| ids.contains(&id));
        ids.as_ref().is_none_or(listed)
            && asked.query.iter().filter(|(n, _)| FILTERS.contains(&n.as_str())).all(|(n, v)| has(n, v))
    };
    let mut found: Vec<&Map<String, Json>> = state.account(account).contacts.values().filter(|c| fits(c)).collect();
    if let Some(sort) = asked.one("sort_by") {
        let (name, order) = sort.split_once(':').unwrap_or((sort, "asc"));
        match name {
            "id" => {}
            "created_at" | "updated_at" => found.sort_by_key(|c| c[name].to_string()),
            _ => return Err(Refusal::new(400, "invalid_param")),
        }
        if order == "desc" {
            found.reverse();
        }
    }
    paged(asked, &found, |contact| enveloped(contact))
}

fn held(state: &mut State, account: &str, id: &str) -> Result<(u64, Map<String, Json>), Refusal> {
    let id: u64 = id.parse().map_err(|_| Refusal::new(400, "invalid_param"))?;
    let contact = state.account(account).contacts.get(&id).cloned().ok_or_else(Refusal::missing)?;
    Ok((id, contact))
}

pub(super) fn get(state: &mut State, account: &str, id: &str) -> Answer {
    Ok((200, enveloped(&held(state, account, id)?.1)))
}

pub(super) fn create(state: &mut State, account: &str, body: &Json) -> Answer {
    let id = 100_000 + state.next();
    let user = state.account(account).user;
    let mut contact = Map::new();
    for name in TEXTS {
        contact.insert(name.to_owned(), Json::Null);
    }
    let fresh = json!({"id": id, "creator_id": user, "owner_id": user, "is_organization": false, "contact_id": null,
        "tags": [], "custom_fields": {}, "created_at": state.now()});
    contact.extend(fresh.as_object().cloned().unwrap_or_default());
    put(state, account, id, contact, body)
}

pub(super) fn update(state: &mut State, account: &str, id: &str, body: &Json) -> Answer {
    let (id, contact) = held(state, account, id)?;
    let data = &body["data"];
    if data.get("is_organization").is_some_and(|kind| *kind != contact["is_organization"]) {
        return Err(Refusal::of_field("is_organization", "incorrect_value"));
    }
    put(state, account, id, contact, body)
}

/// Checks what is sent and stores it.
fn put(state: &mut State, account: &str, id: u64, mut contact: Map<String, Json>, body: &Json) -> Answer {
    let data = body["data"].as_object().ok_or_else(|| Refusal::new(422, "incorrect_payload"))?;
    for (name, value) in data {
        let known = TEXTS.contains(&name.as_str()) || OTHERS.contains(&name.as_str()) || name == "shipping_address";
        if !known {
            return Err(Refusal::of_field(name, "unknown"));
        }
        if TEXTS.contains(&name.as_str()) && !(value.is_string() || value.is_null()) {
            return Err(Refusal::of_field(name, "invalid_type"));
        }
        match (name.as_str(), value) {
            ("email", Json::String(text))
                if !text.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.len() > 2) =>
            {
                return Err(Refusal::of_field(name, "incorrect_value"));
            }
            ("contact_id", Json::Number(_)) => {
                let organisation = value.as_u64().and_then(|id| state.account(account).contacts.get(&id));
                if organisation.is_none_or(|found| found["is_organization"] != true) {
                    return Err(Refusal::of_field(name, "incorrect_value"));
                }
            }
            ("custom_fields", Json::Object(fields)) => custom(state, account, &mut contact, fields)?,
            _ => {}
        }
        if name != "custom_fields" {
            contact.insert(name.clone(), value.clone());
        }
    }
    let is_organization = contact["is_organization"] == true;
    let needed = if is_organization { "name" } else { "last_name" };
    if contact[needed].as_str().is_none_or(|text| text.trim().is_empty()) {
        return Err(Refusal::of_field(needed, "blank"));
    }
    if !is_organization {
        let part = |name: &str| contact[name].as_str().unwrap_or_default().to_owned();
        let name = format!("{} {}", part("first_name"), part("last_name"));
        contact.insert("name".to_owned(), json!(name.trim()));
    }
    contact.insert("updated_at".to_owned(), state.now());
    let answer = enveloped(&contact);
    state.account(account).contacts.insert(id, contact);
    state.mark(account, id, false, is_organization);
    Ok((200, answer))
}

fn custom(
    state: &mut State,
    account: &str,
    contact: &mut Map<String, Json>,
    fields: &Map<String, Json>,
) -> Result<(), Refusal> {
    let known = &state.account(account).custom;
    if let Some((name, _)) = fields.iter().find(|(name, _)| !known.iter().any(|field| field["name"] == **name)) {
        return Err(Refusal::of_field(&format!("custom_fields/{name}"), "unknown"));
    }
    let mut all = contact["custom_fields"].as_object().cloned().unwrap_or_default();
    all.extend(fields.clone());
    all.retain(|_, value| !value.is_null());
    contact.insert("custom_fields".to_owned(), Json::Object(all));
    Ok(())
}

pub(super) fn delete(state: &mut State, account: &str, id: &str) -> Answer {
    let (id, contact) = held(state, account, id)?;
    state.account(account).contacts.remove(&id);
    state.mark(account, id, true, contact["is_organization"] == true);
    Ok((204, Json::Null))
}

pub(super) fn custom_fields(state: &mut State, account: &str) -> Answer {
    let all = state.account(account).custom.iter();
    let items: Vec<Json> = all.map(|field| json!({"data": field, "meta": {"type": "custom_field"}})).collect();
    Ok((200, json!({"items": items, "meta": {"type": "collection", "count": items.len()}})))
}

pub(super) fn tags(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let contacts = state.account(account).contacts.values();
    let used = contacts.filter_map(|c| c["tags"].as_array()).flatten().filter_map(Json::as_str);
    let names: std::collections::BTreeSet<&str> = used.collect();
    let wanted = asked.one("resource_type").is_none_or(|kind| kind == "contact");
    let tag = |(n, name): (usize, &str)| json!({"data": {"id": n + 1, "name": name, "resource_type": "contact"}, "meta": {"type": "tag"}});
    let all: Vec<Json> = names.into_iter().enumerate().map(tag).filter(|_| wanted).collect();
    paged(asked, &all, Json::clone)
}

pub(super) fn user(state: &mut State, account: &str) -> Answer {
    let id = state.account(account).user;
    Ok((200, json!({"data": {"id": id, "name": account, "email": account}, "meta": {"type": "user"}})))
}

pub(super) fn account(state: &mut State, account: &str) -> Answer {
    let id = state.account(account).user + 1_000_000;
    Ok((200, json!({"data": {"id": id, "name": account, "currency": "EUR"}, "meta": {"type": "account"}})))
}
