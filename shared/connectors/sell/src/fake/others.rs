//! Leads, deals and notes: what else fills an account, its tags and its sync queues. They are kept as they are sent, checked
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

/// The kind behind a path's first word.
pub(super) fn kind(word: &str) -> Option<&'static Kind> {
    match word {
        "leads" => Some(&LEADS),
        "deals" => Some(&DEALS),
        "notes" => Some(&NOTES),
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
            let usual = json!({"owner_id": who.user, "custom_fields": {}, "tags": [], "value": 0, "hot": false});
            let usual = usual.as_object().cloned().unwrap_or_default();
            record.extend(usual.into_iter().filter(|(name, _)| kind.attributes.contains(&name.as_str())));
            let fresh = json!({"id": id, "creator_id": who.user, "created_at": state.now()});
            record.extend(fresh.as_object().cloned().unwrap_or_default());
            put(state, who, kind, id, record, &asked.json()?)
        }
        (_, None) => Err(Refusal::new(404, "incorrect_path")),
        (method, Some(id)) => {
            let known = held.others.get(&id).filter(|other| other.kind == kind.name && who.may_see(&other.data));
            let record = known.map(|other| other.data.clone()).ok_or_else(Refusal::missing)?;
            match method {
                "GET" => Ok((200, enveloped(kind.name, &record))),
                "PUT" => put(state, who, kind, id, record, &asked.json()?),
                "DELETE" => {
                    held.others.remove(&id);
                    state.mark(&who.account, id, Mark { deleted: true, ..Mark::of(kind.name) });
                    Ok((204, Json::Null))
                }
                _ => Err(Refusal::new(404, "incorrect_path")),
            }
        }
    }
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
    record.insert("updated_at".to_owned(), state.now());
    let answer = enveloped(kind.name, &record);
    state.account(&who.account).others.insert(id, Other { kind: kind.name.to_owned(), data: record });
    state.mark(&who.account, id, Mark::of(kind.name));
    Ok((200, answer))
}
