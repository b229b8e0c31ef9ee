//! What Sell takes as the value of an attribute of a contact.
use super::state::{State, Who};
use super::{Refusal, others};
use serde_json::Value as Json;

pub(super) const TEXTS: [&str; 15] = [
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
pub(super) const OTHERS: [&str; 11] = [
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
    "shipping_address",
];
const PARTS: [&str; 5] = ["line1", "city", "postal_code", "state", "country"];

fn refused<T>(name: &str, code: &'static str) -> Result<T, Refusal> {
    Err(Refusal::of_field("contact", name, code))
}

/// Whether this may be the value of this attribute.
pub(super) fn attribute(state: &mut State, who: &Who, name: &str, value: &Json) -> Result<(), Refusal> {
    let most = state.settings.most_characters;
    match name {
        "description" => text(name, value, usize::MAX),
        "email" => {
            text(name, value, most)?;
            let is_address = |text: &str| {
                text.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.len() > 2 && !text.contains(' '))
            };
            if value.as_str().is_some_and(|text| !is_address(text)) {
                return refused(name, "incorrect_value");
            }
            Ok(())
        }
        _ if TEXTS.contains(&name) => text(name, value, most),
        "is_organization" if value.is_boolean() => Ok(()),
        "customer_status" => one_of(name, value, &["none", "current", "past"]),
        "prospect_status" => one_of(name, value, &["none", "current", "lost"]),
        "tags" => match value.as_array() {
            Some(tags) => tags.iter().try_for_each(|tag| if tag.is_null() { Ok(()) } else { text(name, tag, most) }),
            None => refused(name, "invalid_type"),
        },
        "address" | "billing_address" | "shipping_address" => address(name, value, most),
        "owner_id" => match state.users.values().any(|user| user.account == who.account && *value == user.user) {
            true => Ok(()),
            false => refused(name, "incorrect_value"),
        },
        "contact_id" | "parent_organization_id" => organisation(state, who, name, value),
        "custom_fields" => match value.as_object() {
            Some(fields) => fields.iter().try_for_each(|(name, value)| custom(state, who, name, value)),
            None => refused(name, "invalid_type"),
        },
        _ if OTHERS.contains(&name) => refused(name, "invalid_type"),
        _ => refused(name, "unknown"),
    }
}

fn text(name: &str, value: &Json, most: usize) -> Result<(), Refusal> {
    match value {
        Json::Null => Ok(()),
        Json::String(text) if text.chars().count() <= most => Ok(()),
        Json::String(_) => refused(name, "incorrect_value"),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => refused(name, "invalid_type"),
    }
}

fn one_of(name: &str, value: &Json, words: &[&str]) -> Result<(), Refusal> {
    if value.as_str().is_some_and(|word| words.contains(&word)) { Ok(()) } else { refused(name, "incorrect_value") }
}

fn address(name: &str, value: &Json, most: usize) -> Result<(), Refusal> {
    let Some(parts) = value.as_object() else {
        return if value.is_null() { Ok(()) } else { refused(name, "invalid_type") };
    };
    parts.iter().try_for_each(|(part, value)| {
        let name = format!("{name}/{part}");
        if PARTS.contains(&part.as_str()) { text(&name, value, most) } else { refused(&name, "unknown") }
    })
}

fn organisation(state: &mut State, who: &Who, name: &str, value: &Json) -> Result<(), Refusal> {
    if value.is_null() {
        return Ok(());
    }
    let Some(id) = value.as_u64() else { return refused(name, "invalid_type") };
    let found = state.account(&who.account).contacts.get(&id).filter(|contact| who.may_see(contact));
    if found.is_some_and(|found| found["is_organization"] == true) { Ok(()) } else { refused(name, "incorrect_value") }
}

fn custom(state: &mut State, who: &Who, name: &str, value: &Json) -> Result<(), Refusal> {
    let most = state.settings.most_characters;
    let path = format!("custom_fields/{name}");
    let known = &state.account(&who.account).custom;
    let Some(field) = known.iter().find(|field| field["name"] == *name) else { return refused(&path, "unknown") };
    let choices: Vec<&str> = field["choices"].as_array().map_or_else(Vec::new, |all| {
        all.iter().filter_map(|choice| choice.as_str().or(choice["name"].as_str())).collect()
    });
    let is_day = |text: &str| text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10;
    let fits = match (field["type"].as_str().unwrap_or("string"), value) {
        (_, Json::Null) => true,
        ("number", Json::Number(_)) | ("bool" | "boolean", Json::Bool(_)) => true,
        ("number", Json::String(text)) => text.parse::<f64>().is_ok(),
        ("date", Json::String(text)) => is_day(text),
        ("datetime", Json::String(text)) => text.parse::<jiff::Timestamp>().is_ok(),
        ("list", Json::String(text)) => choices.contains(&text.as_str()),
        ("multiselect_list", Json::Array(items)) => {
            items.iter().all(|item| item.as_str().is_some_and(|item| choices.contains(&item)))
        }
        ("address", _) => return address(&path, value, most),
        ("number" | "bool" | "boolean" | "date" | "datetime" | "list" | "multiselect_list", _) => false,
        ("text", _) => return text(&path, value, usize::MAX),
        _ => return text(&path, value, most),
    };
    if fits { Ok(()) } else { refused(&path, others::wrong(value)) }
}
