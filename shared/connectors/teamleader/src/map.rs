//! A contact of Teamleader's as canonical fields, and canonical fields as what `contacts.add` and `contacts.update` take.
//! Pure. Collections are replaced whole at Teamleader, so what the canonical form cannot say is taken over from what was
//! read.
mod country;
mod custom;

pub(crate) use custom::schema_of;

use crate::wire::{Company, Definition, Held, text};
use serde_json::{Map, Value, json};
use tandem_core::contact::{Address, COMPANY_PHONE, Carry, Contact, Labelled, field};
use tandem_core::normalise::{self, Region};
use tandem_core::record::{Field, Fields, Item};

/// What canonical fields a contact here has, given what it takes along from its company.
pub(crate) fn fields(held: &Held, carry: Carry, region: Region) -> Fields {
    let labelled = |label: &str, value: &str| Labelled { label: label.to_owned(), value: value.to_owned() };
    let mut phones: Vec<Labelled> = held
        .list("telephones")
        .map(|entry| labelled(phone_label(text(entry.get("type"))), text(entry.get("number"))))
        .collect();
    let number = held.company.as_ref().and_then(|company| company.telephones.iter().find(|t| t.kind == "phone"));
    if let (Carry::NameAndPhone, Some(number)) = (carry, number) {
        phones.push(labelled(COMPANY_PHONE, &number.number));
    }
    let contact = Contact {
        salutation: held.text("salutation").to_owned(),
        first_name: held.text("first_name").to_owned(),
        last_name: held.text("last_name").to_owned(),
        emails: held.list("emails").map(|entry| labelled("work", text(entry.get("email")))).collect(),
        phones,
        addresses: held.list("addresses").map(address).collect(),
        company: held.company.as_ref().map(|company| company.name.clone()).unwrap_or_default(),
        position: held.link().map(|link| text(link.get("position")).to_owned()).unwrap_or_default(),
        birthday: held.text("birthdate").to_owned(),
        language: language_tag(held.text("language")).to_owned(),
        website: held.text("website").to_owned(),
        remarks: held.text("remarks").to_owned(),
        custom: held.list("custom_fields").filter_map(custom::shown).collect(),
    };
    contact.to_fields(region)
}

/// `contacts.add`'s body.
pub(crate) fn draft(fields: &Fields, definitions: &[Definition], region: Region) -> Map<String, Value> {
    let all: Vec<Field> = fields.iter().map(|(name, _)| name.clone()).collect();
    let mut body = changes(&all, fields, &Held::default(), definitions, region);
    // There is nothing to replace on a new contact.
    body.remove("custom_fields_update_strategy");
    body
}

/// `contacts.update`'s body without the id: empty where nothing of Teamleader's own contact changes.
pub(crate) fn changes(
    changed: &[Field],
    fields: &Fields,
    held: &Held,
    definitions: &[Definition],
    region: Region,
) -> Map<String, Value> {
    let mut body = Map::new();
    let mut custom_fields = Vec::new();
    for name in changed {
        let value = || plain(fields.text(name));
        let entry = match name.as_str() {
            "salutation" | "first_name" | "website" | "remarks" => Some((name.as_str(), value())),
            // Mandatory: it cannot be emptied.
            "last_name" => (!fields.text(name).is_empty()).then(|| ("last_name", value())),
            "emails" => Some(("emails", emails(fields, held))),
            "phones" => Some(("telephones", telephones(fields, held, region))),
            "addresses" => Some(("addresses", addresses(fields, held, region))),
            // A birthday without a year cannot be said here: what is there stays.
            "birthday" => birthdate(fields).map(|date| ("birthdate", date)),
            "language" => language(fields, held).map(|code| ("language", code)),
            custom => {
                custom_fields.extend(custom::written(custom, fields.text(name), definitions));
                None
            }
        };
        if let Some((wire, value)) = entry {
            body.insert(wire.to_owned(), value);
        }
    }
    if !custom_fields.is_empty() {
        body.insert("custom_fields".to_owned(), Value::Array(custom_fields));
        // Else the custom fields that are left out would be emptied.
        body.insert("custom_fields_update_strategy".to_owned(), json!("partial"));
    }
    body
}

fn plain(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

fn phone_label(wire: &str) -> &str {
    if wire == "phone" { "work" } else { wire }
}

fn phone_type(label: &str) -> &str {
    match label {
        "mobile" | "fax" => label,
        _ => "phone",
    }
}

/// A contact has one e-mail address; `null` empties it.
fn emails(fields: &Fields, held: &Held) -> Value {
    let wanted = fields.items(&field::EMAILS).first().map(Item::as_value).unwrap_or_default();
    let there = held.list("emails").map(|entry| text(entry.get("email"))).next().unwrap_or_default();
    let email = if normalise::email(there) == wanted { there } else { wanted };
    json!([{"type": "primary", "email": plain(email)}])
}

/// A number that stays keeps its spelling. The company's own number is the company's, not the contact's.
fn telephones(fields: &Fields, held: &Held, region: Region) -> Value {
    let spelled = |item: &Item| {
        let there = held.list("telephones").map(|entry| text(entry.get("number")));
        let same = |number: &&str| normalise::phone(number, region) == item.as_value();
        there.into_iter().find(same).unwrap_or(item.as_value()).to_owned()
    };
    let own = fields.items(&field::PHONES).iter().filter(|item| item.label != COMPANY_PHONE);
    own.map(|item| json!({"type": phone_type(&item.label), "number": spelled(item)})).collect()
}

fn address(entry: &Value) -> Address {
    let kind = text(entry.get("type"));
    let part = |name: &str| text(entry.get("address").and_then(|address| address.get(name))).to_owned();
    Address {
        label: if kind == "primary" { "work" } else { kind }.to_owned(),
        street: part("line_1"),
        postal_code: part("postal_code"),
        city: part("city"),
        region: String::new(),
        country: part("country"),
    }
}

/// One address of each type. A label that Teamleader has no type for takes the main place, if that is free.
fn addresses(fields: &Fields, held: &Held, region: Region) -> Value {
    const OTHERS: [&str; 3] = ["invoicing", "delivery", "visiting"];
    let wanted = fields.items(&field::ADDRESSES);
    let typed = |label: &str| wanted.iter().find(|item| item.label == label);
    let main = typed("work").or_else(|| wanted.iter().find(|item| !OTHERS.contains(&item.label.as_str())));
    let places = [("primary", main)].into_iter().chain(OTHERS.map(|kind| (kind, typed(kind))));
    let entry = |(kind, item): (&str, Option<&Item>)| {
        let there = held.list("addresses").find(|entry| text(entry.get("type")) == kind);
        address_entry(kind, item?, there.and_then(|entry| entry.get("address")), region)
    };
    places.filter_map(entry).collect()
}

/// The country is mandatory and an ISO code; the sync's region where none is said. Without either it cannot be sent.
fn address_entry(kind: &str, item: &Item, there: Option<&Value>, region: Region) -> Option<Value> {
    let before = text(there.and_then(|address| address.get("country")));
    let said = item.part("country");
    let country = if said == before { said } else { country::code(said).or(region.code())? };
    let country = if country.is_empty() { region.code()? } else { country };
    let mut address = json!({
        "line_1": plain(item.part("street")), "postal_code": plain(item.part("postal_code")),
        "city": plain(item.part("city")), "country": country,
    });
    // What the canonical form cannot say stays, as long as it is the same country.
    if let Some(area) = there.and_then(|a| a.get("area_level_two")?.get("id")).filter(|_| before == country) {
        address["area_level_two_id"] = area.clone();
    }
    if let Some(addressee) = there.and_then(|a| a.get("addressee")).filter(|_| kind != "primary") {
        address["addressee"] = addressee.clone();
    }
    Some(json!({"type": kind, "address": address}))
}

fn birthdate(fields: &Fields) -> Option<Value> {
    let date = fields.text(&field::BIRTHDAY);
    let whole = date.is_empty() || date.parse::<jiff::civil::Date>().is_ok();
    whole.then(|| plain(date))
}

/// Teamleader's codes are languages, some of them spelled like countries.
const ODD_LANGUAGES: [(&str, &str); 3] = [("jp", "ja"), ("gr", "el"), ("br", "pt-BR")];

fn language_tag(code: &str) -> &str {
    ODD_LANGUAGES.iter().find(|(odd, _)| *odd == code).map_or(code, |(_, tag)| tag)
}

/// `language` is not nullable in an update, so an emptied one stays.
fn language(fields: &Fields, held: &Held) -> Option<Value> {
    let tag = fields.text(&field::LANGUAGE);
    let odd = ODD_LANGUAGES.iter().find(|(_, known)| known.eq_ignore_ascii_case(tag)).map(|(odd, _)| *odd);
    let code = odd.map_or_else(|| tag.split('-').next().unwrap_or_default().to_lowercase(), str::to_owned);
    let there = held.text("language");
    if code.is_empty() || code == there || language_tag(there) == tag {
        return None;
    }
    let subtag = code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase());
    let odd_word = ODD_LANGUAGES.iter().find(|(_, known)| *known == code).map(|(odd, _)| (*odd).to_owned());
    subtag.then(|| json!(odd_word.unwrap_or(code)))
}

/// The company that the contact should be linked to, compared as text.
pub(crate) fn same_company(company: &Company, name: &str) -> bool {
    normalise::text(&company.name) == normalise::text(name)
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
