//! `contacts.*`.
use super::state::{State, Stored, Switch, shown_time};
use super::{Answer, Refusal, Reply, lists};
use serde_json::{Map, Value, json};

pub(super) fn answer(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    match action {
        "list" => list(state, account, body),
        "info" => Ok(Reply::Data(json!({"data": info(find(state, account, body)?)}))),
        "add" => {
            let id = create(state, account, body)?;
            state.wrote();
            Ok(Reply::Made("contact", id))
        }
        "update" => {
            let id = find(state, account, body)?.id.clone();
            change(state, account, &id, body)?;
            state.wrote();
            Ok(Reply::Done)
        }
        "delete" => {
            let id = find(state, account, body)?.id.clone();
            state.account(account).contacts.remove(&id);
            state.wrote();
            Ok(Reply::Done)
        }
        "tag" | "untag" => tag(state, account, action, body),
        "linkToCompany" | "unlinkFromCompany" | "updateCompanyLink" => link(state, account, action, body),
        _ => Err(Refusal::missing()),
    }
}

fn id_of(body: &Map<String, Value>) -> Result<&str, Refusal> {
    let id = body.get("id").and_then(Value::as_str).ok_or_else(|| Refusal::invalid("id is mandatory."))?;
    if id.len() == 36 { Ok(id) } else { Err(Refusal::invalid("id is not a valid UUID.")) }
}

fn find<'a>(state: &'a mut State, account: &str, body: &Map<String, Value>) -> Result<&'a mut Stored, Refusal> {
    let id = id_of(body)?;
    state.account(account).contacts.get_mut(id).ok_or_else(Refusal::missing)
}

fn list(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let includes = body.get("includes").and_then(Value::as_str).unwrap_or_default();
    let with_custom = includes.split(',').any(|one| one.trim() == "custom_fields");
    state.account(account);
    let records = state.accounts[account].contacts.values();
    let searched = |r: &Stored| {
        let parts = |list: &str, name: &str| {
            r.list(list).iter().filter_map(|e| e[name].as_str().map(str::to_owned)).collect::<Vec<_>>().join(" ")
        };
        format!(
            "{} {} {} {}",
            r.text("first_name"),
            r.text("last_name"),
            parts("emails", "email"),
            parts("telephones", "number")
        )
    };
    let name = |r: &Stored| format!("{} {}", r.text("last_name"), r.text("first_name"));
    let found = lists::chosen(state, body, records, searched, name)?;
    Ok(lists::paged(state, body, found, |record| row(record, with_custom)))
}

/// A contact as `info` shows it.
pub(super) fn info(record: &Stored) -> Value {
    let mut shown = record.data.clone();
    for (name, default) in [
        ("first_name", json!(null)),
        ("salutation", json!(null)),
        ("vat_number", json!(null)),
        ("emails", json!([])),
        ("telephones", json!([])),
        ("website", json!(null)),
        ("addresses", json!([])),
        ("gender", json!("unknown")),
        ("birthdate", json!(null)),
        ("iban", json!(null)),
        ("bic", json!(null)),
        ("companies", json!([])),
        ("national_identification_number", json!(null)),
        ("language", json!("nl")),
        ("payment_term", json!(null)),
        ("invoicing_preferences", json!({"electronic_invoicing_address": null})),
        ("remarks", json!(null)),
        ("tags", json!([])),
        ("custom_fields", json!([])),
        ("marketing_mails_consent", json!(false)),
    ] {
        shown.entry(name).or_insert(default);
    }
    shown.insert("id".to_owned(), json!(record.id));
    shown.insert("added_at".to_owned(), json!(shown_time(record.added_ms)));
    shown.insert("updated_at".to_owned(), json!(shown_time(record.updated_ms)));
    let url = format!("https://focus.teamleader.eu/contact_detail.php?id={}", record.id);
    shown.insert("web_url".to_owned(), json!(url));
    Value::Object(shown)
}

/// As a list shows it: one address, no companies, no remarks.
fn row(record: &Stored, with_custom: bool) -> Value {
    let mut shown = info(record);
    let main = record.list("addresses").iter().find(|a| a["type"] == "primary").map(|a| a["address"].clone());
    if let Some(object) = shown.as_object_mut() {
        for hidden in ["addresses", "companies", "remarks", "vat_number", "marketing_mails_consent"] {
            object.remove(hidden);
        }
        if !with_custom {
            object.remove("custom_fields");
        }
        object.insert("primary_address".to_owned(), main.unwrap_or_default());
    }
    shown
}

pub(super) fn create(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    let last = body.get("last_name").and_then(Value::as_str).unwrap_or_default();
    if last.trim().is_empty() {
        return Err(Refusal::invalid("Last name must not be empty"));
    }
    let data = checked(state, account, body, &Map::new())?;
    let (id, now) = (state.uuid(), state.now_ms);
    let mut stored = Stored { id: id.clone(), added_ms: now, updated_ms: now, data };
    stored.data.insert("status".to_owned(), json!("active"));
    state.account(account).contacts.insert(id.clone(), stored);
    Ok(id)
}

pub(super) fn change(state: &mut State, account: &str, id: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    let before = state.account(account).contacts.get(id).ok_or_else(Refusal::missing)?.data.clone();
    if body.get("last_name").is_some_and(|last| last.as_str().is_none_or(|last| last.trim().is_empty())) {
        return Err(Refusal::invalid("Last name must not be empty"));
    }
    let mut changed = checked(state, account, body, &before)?;
    let now = state.now_ms;
    let stored = state.account(account).contacts.get_mut(id).ok_or_else(Refusal::missing)?;
    stored.data.append(&mut changed);
    stored.data.retain(|_, value| !value.is_null());
    stored.updated_ms = now;
    Ok(())
}

/// The members that this body sets, as they are kept. Collections are whole.
fn checked(
    state: &mut State,
    account: &str,
    body: &Map<String, Value>,
    before: &Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    let mut data = Map::new();
    for (name, value) in body {
        let kept = match name.as_str() {
            "first_name"
            | "last_name"
            | "salutation"
            | "website"
            | "language"
            | "gender"
            | "iban"
            | "bic"
            | "national_identification_number"
            | "remarks"
            | "marketing_mails_consent" => value.clone(),
            "birthdate" => date(value)?,
            "emails" => emails(value)?,
            "telephones" => telephones(value)?,
            "addresses" => addresses(value)?,
            "tags" => texts(value)?,
            "custom_fields" => {
                let partial = body.get("custom_fields_update_strategy").is_some_and(|how| how == "partial");
                let there = if partial { before.get("custom_fields").cloned() } else { None };
                custom_fields(state, account, value, there)?
            }
            // Unknown keys are ignored in silence.
            _ => continue,
        };
        data.insert(name.clone(), kept);
    }
    Ok(data)
}

fn date(value: &Value) -> Result<Value, Refusal> {
    let fine = value.is_null() || value.as_str().is_some_and(|text| text.parse::<jiff::civil::Date>().is_ok());
    if fine { Ok(value.clone()) } else { Err(Refusal::invalid("birthdate is not a valid date.")) }
}

fn texts(value: &Value) -> Result<Value, Refusal> {
    let fine = value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    if fine { Ok(value.clone()) } else { Err(Refusal::invalid("tags is not a list of texts.")) }
}

fn entries<'a>(value: &'a Value, what: &str) -> Result<&'a [Value], Refusal> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(list) => Ok(list),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(Refusal::invalid(format!("{what} is not a list.")))
        }
    }
}

fn emails(value: &Value) -> Result<Value, Refusal> {
    let mut kept: Vec<Value> = Vec::new();
    for entry in entries(value, "emails")? {
        if entry["type"] != "primary" {
            return Err(Refusal::invalid("emails.type is not one of: primary."));
        }
        match entry["email"].as_str() {
            None if entry["email"].is_null() => {}
            Some(email) if email.contains('@') => kept.push(json!({"type": "primary", "email": email})),
            Some(_) | None => return Err(Refusal::invalid("emails.email is not a valid e-mail address.")),
        }
    }
    kept.truncate(1);
    Ok(json!(kept))
}

fn telephones(value: &Value) -> Result<Value, Refusal> {
    for entry in entries(value, "telephones")? {
        let known = entry["type"].as_str().is_some_and(|kind| ["phone", "mobile", "fax"].contains(&kind));
        if !known || entry["number"].as_str().is_none_or(str::is_empty) {
            return Err(Refusal::invalid("telephones has an entry that is none."));
        }
    }
    Ok(if value.is_null() { json!([]) } else { value.clone() })
}

fn addresses(value: &Value) -> Result<Value, Refusal> {
    let mut kept: Vec<Value> = Vec::new();
    for entry in entries(value, "addresses")? {
        let kind = entry["type"].as_str().unwrap_or_default();
        let address = &entry["address"];
        let country = address["country"].as_str().unwrap_or_default();
        if !["primary", "invoicing", "delivery", "visiting"].contains(&kind) {
            return Err(Refusal::invalid("addresses.type is none of the types."));
        }
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Refusal::invalid("addresses.address.country is not a valid country code."));
        }
        if let Some(missing) = ["line_1", "postal_code", "city"].iter().find(|name| address.get(**name).is_none()) {
            return Err(Refusal::invalid(format!("addresses.address.{missing} is mandatory.")));
        }
        if kind == "primary" && address.get("addressee").is_some() {
            return Err(Refusal::invalid("A primary address has no addressee."));
        }
        let area = address.get("area_level_two_id").map(|id| json!({"type": "area_level_two", "id": id}));
        let mut shown = json!({
            "line_1": address["line_1"], "postal_code": address["postal_code"], "city": address["city"],
            "country": country, "area_level_two": area,
        });
        if let Some(addressee) = address.get("addressee") {
            shown["addressee"] = addressee.clone();
        }
        kept.retain(|other: &Value| other["type"] != kind);
        kept.push(json!({"type": kind, "address": shown}));
    }
    Ok(json!(kept))
}

fn custom_fields(state: &mut State, account: &str, value: &Value, there: Option<Value>) -> Result<Value, Refusal> {
    let mut kept = there.and_then(|there| there.as_array().cloned()).unwrap_or_default();
    for entry in entries(value, "custom_fields")? {
        let known = state.account(account).definitions.iter().find(|definition| definition["id"] == entry["id"]);
        let kind = known.and_then(|d| d["type"].as_str()).ok_or_else(|| Refusal::invalid("No such custom field."))?;
        let said = &entry["value"];
        let fits = match kind {
            _ if said.is_null() => true,
            "integer" => said.is_i64(),
            "number" | "money" => said.is_number(),
            "boolean" => said.is_boolean(),
            "multi_select" => said.is_array(),
            "auto_increment" => false,
            "company" | "contact" | "product" | "user" => said.is_object(),
            _ => said.is_string(),
        };
        if !fits {
            return Err(Refusal::invalid(format!("A custom field of type {kind} cannot have this value.")));
        }
        kept.retain(|other| other["definition"]["id"] != entry["id"]);
        if !said.is_null() {
            kept.push(json!({"definition": {"type": "customFieldDefinition", "id": entry["id"]}, "value": said}));
        }
    }
    Ok(json!(kept))
}

fn tag(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    let named = texts(body.get("tags").unwrap_or(&Value::Null))?;
    let named = named.as_array().cloned().unwrap_or_default();
    let now = state.now_ms;
    let record = find(state, account, body)?;
    let mut tags: Vec<Value> = record.list("tags").to_vec();
    tags.retain(|tag| !named.contains(tag));
    if action == "tag" {
        tags.extend(named);
    }
    record.data.insert("tags".to_owned(), json!(tags));
    record.updated_ms = now;
    state.wrote();
    Ok(Reply::Done)
}

fn link(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    let company = body.get("company_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !state.account(account).companies.contains_key(&company) {
        return Err(Refusal::missing());
    }
    let (now, touches) = (state.now_ms, state.settings.link_touches);
    let record = find(state, account, body)?;
    let mut links: Vec<Value> = record.list("companies").to_vec();
    let at = links.iter().position(|link| link["company"]["id"] == company.as_str());
    match (action, at) {
        ("linkToCompany", None) => links.push(json!({
            "position": body.get("position").cloned().unwrap_or_default(), "secondary_position": null, "division": null,
            "decision_maker": body.get("decision_maker").cloned().unwrap_or(json!(false)),
            "company": {"type": "company", "id": company},
        })),
        ("unlinkFromCompany", Some(at)) => drop(links.remove(at)),
        ("linkToCompany" | "updateCompanyLink", Some(at)) => {
            for name in ["position", "decision_maker"] {
                if let Some(value) = body.get(name) {
                    links[at][name] = value.clone();
                }
            }
        }
        _ => return Err(Refusal::invalid("The contact is not linked to this company.")),
    }
    record.data.insert("companies".to_owned(), json!(links));
    if touches == Switch::Yes {
        record.updated_ms = now;
    }
    state.wrote();
    Ok(Reply::Done)
}
