//! A contact of Sell ↔ the canonical contact. Sell has one e-mail address, one number a kind and three addresses.
use crate::wire::{Contact as Wire, CustomField};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use tandem_core::contact::{Address, COMPANY_PHONE, Carry, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{Field, Fields, Version};
use tandem_core::schema::{FieldSchema, FieldType};

const PHONES: [(&str, &str); 3] = [("phone", "work"), ("mobile", "mobile"), ("fax", "fax")];
const ADDRESSES: [(&str, &str); 3] =
    [("address", "work"), ("shipping_address", "shipping"), ("billing_address", "billing")];
/// Sell's parts of an address beside ours.
const PARTS: [&str; 5] = ["line1", "postal_code", "city", "state", "country"];
const TEXTS: [(&str, Field); 6] = [
    ("first_name", field::FIRST_NAME),
    ("last_name", field::LAST_NAME),
    ("title", field::POSITION),
    ("website", field::WEBSITE),
    ("description", field::REMARKS),
    ("email", field::EMAILS),
];

/// What a person carries of the organisation.
#[derive(Clone, Default)]
pub(crate) struct Organisation {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) phone: String,
}

impl Organisation {
    pub(crate) fn of(wire: &Wire) -> Option<Self> {
        Some(Self { id: wire.id()?, name: wire.text("name").to_owned(), phone: wire.text("phone").to_owned() })
    }
}

/// How canonical fields are made.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) carry: Carry,
    pub(crate) region: Region,
}

/// The canonical fields of a person.
pub(crate) fn fields(person: &Wire, organisation: Option<&Organisation>, rules: Rules) -> Fields {
    let labelled = |name: &str, label: &str| Labelled { label: label.to_owned(), value: person.text(name).to_owned() };
    let mut contact = Contact {
        first_name: person.text("first_name").to_owned(),
        last_name: person.text("last_name").to_owned(),
        position: person.text("title").to_owned(),
        website: person.text("website").to_owned(),
        remarks: person.text("description").to_owned(),
        emails: vec![labelled("email", "work")],
        phones: PHONES.iter().map(|(name, label)| labelled(name, label)).collect(),
        addresses: ADDRESSES.iter().filter_map(|(name, label)| address(person, name, label)).collect(),
        custom: customs(person),
        ..Contact::default()
    };
    if let Some(organisation) = organisation {
        contact.company.clone_from(&organisation.name);
        if rules.carry == Carry::NameAndPhone {
            let own: Vec<String> = contact.phones.iter().map(|p| normal_phone(&p.value, rules)).collect();
            if !own.contains(&normal_phone(&organisation.phone, rules)) {
                let value = organisation.phone.clone();
                contact.phones.push(Labelled { label: COMPANY_PHONE.to_owned(), value });
            }
        }
    }
    contact.to_fields(rules.region)
}

fn normal_phone(raw: &str, rules: Rules) -> String {
    tandem_core::normalise::phone(raw, rules.region)
}

fn address(person: &Wire, name: &str, label: &str) -> Option<Address> {
    let parts = person.0.get(name)?.as_object()?;
    let [street, postal_code, city, region, country] =
        PARTS.map(|part| parts.get(part).and_then(Json::as_str).unwrap_or_default().to_owned());
    Some(Address { label: label.to_owned(), street, postal_code, city, region, country })
}

fn customs(person: &Wire) -> BTreeMap<String, String> {
    let all = person.0.get("custom_fields").and_then(Json::as_object);
    all.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), custom_text(value)?))).collect()
}

/// `None` where there is nothing, or nothing that is a text (an address).
fn custom_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(yes) => Some(yes.to_string()),
        Json::Array(items) => Some(items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(";")),
        Json::Null | Json::Object(_) => None,
    }
}

/// `updated_at` has whole seconds, and a change of the organisation does not touch it: a digest of what is shown follows.
pub(crate) fn version(person: &Wire, fields: &Fields, inside: &str) -> Version {
    let shown = serde_json::to_string(fields).expect("names and texts are JSON");
    // FNV-1a: the same in every release, and nobody has a reason to forge a collision.
    let digest = shown
        .bytes()
        .chain(inside.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    Version::new(format!("{}.{digest:016x}", person.text("updated_at")))
}

/// Sell's attributes for these changed fields. The organisation and the tags are the caller's.
pub(crate) fn attributes(fields: &Fields, changed: &[Field], custom: &[CustomField]) -> Map<String, Json> {
    let mut wire = Map::new();
    let contact = Contact::from_fields(fields);
    for (name, field) in TEXTS.iter().filter(|(_, field)| changed.contains(field)) {
        let text = if *name == "email" { email(&contact) } else { fields.text(field) };
        wire.insert((*name).to_owned(), text_or_null(text));
    }
    if changed.contains(&field::PHONES) {
        for (name, label) in PHONES {
            wire.insert(name.to_owned(), text_or_null(phone(&contact, label)));
        }
    }
    if changed.contains(&field::ADDRESSES) {
        for (name, label) in ADDRESSES {
            let found = contact.addresses.iter().find(|address| address.label == label);
            let found = found.or_else(|| contact.addresses.iter().find(|a| label == "work" && unnamed(&a.label)));
            let parts = |a: &Address| [&a.street, &a.postal_code, &a.city, &a.region, &a.country].map(String::clone);
            let values = found.map(parts).unwrap_or_default();
            let parts = PARTS.iter().zip(&values).map(|(part, value)| ((*part).to_owned(), text_or_null(value)));
            wire.insert(name.to_owned(), Json::Object(parts.collect()));
        }
    }
    let value = |definition: &CustomField| {
        let name = Field::named(format!("custom.{}", definition.name));
        let writable = changed.contains(&name) && holds(definition).is_some();
        writable.then(|| (definition.name.clone(), custom_value(definition, fields.text(&name))))
    };
    let customs: Map<String, Json> = custom.iter().filter_map(value).collect();
    if !customs.is_empty() {
        wire.insert("custom_fields".to_owned(), Json::Object(customs));
    }
    wire
}

/// What the record shows once these fields are written: Sell keeps less than the canonical form says.
pub(crate) fn shown(draft: &Fields, custom: &[CustomField], rules: Rules) -> Fields {
    let names: Vec<Field> = draft.iter().map(|(name, _)| name.clone()).collect();
    let wire = Wire(attributes(draft, &names, custom));
    let company = Organisation { name: draft.text(&field::COMPANY).to_owned(), ..Organisation::default() };
    fields(&wire, Some(&company), rules)
}

fn text_or_null(text: &str) -> Json {
    if text.is_empty() { Json::Null } else { json!(text) }
}

/// The address labelled `work`, else the first one: a person is found by it, so a private one is better than none.
fn email(contact: &Contact) -> &str {
    let work = contact.emails.iter().find(|email| email.label == "work");
    work.or(contact.emails.first()).map_or("", |email| &email.value)
}

fn phone<'a>(contact: &'a Contact, label: &str) -> &'a str {
    let named = contact.phones.iter().find(|phone| phone.label == label);
    let free = || contact.phones.iter().find(|phone| label == "work" && unnamed(&phone.label));
    named.or_else(free).map_or("", |phone| &phone.value)
}

/// An entry that says of no place; it may stand where the work's would.
fn unnamed(label: &str) -> bool {
    matches!(label, "" | "main" | "other")
}

fn custom_value(definition: &CustomField, text: &str) -> Json {
    match holds(definition) {
        _ if text.is_empty() => Json::Null,
        Some(FieldType::Number) => serde_json::from_str::<serde_json::Number>(text).map_or(json!(text), Json::Number),
        Some(FieldType::Boolean) => json!(text == "true"),
        Some(FieldType::Picklist { several: true, .. }) => json!(text.split(';').map(str::trim).collect::<Vec<_>>()),
        Some(
            FieldType::Picklist { several: false, .. }
            | FieldType::Text
            | FieldType::Date
            | FieldType::DateTime
            | FieldType::List,
        )
        | None => json!(text),
    }
}

/// What a custom field holds; `None` where a text cannot say it (an address).
fn holds(definition: &CustomField) -> Option<FieldType> {
    let values = || {
        let name = |choice: &Json| choice.as_str().or_else(|| choice.get("name")?.as_str()).map(str::to_owned);
        definition.choices.iter().flatten().filter_map(name).collect()
    };
    Some(match definition.kind.as_str() {
        "address" => return None,
        "number" => FieldType::Number,
        "bool" | "boolean" => FieldType::Boolean,
        "date" => FieldType::Date,
        "datetime" => FieldType::DateTime,
        "list" => FieldType::Picklist { values: values(), several: false },
        "multiselect_list" => FieldType::Picklist { values: values(), several: true },
        _ => FieldType::Text,
    })
}

/// What Sell holds of a person.
pub(crate) fn schema(custom: &[CustomField]) -> Vec<FieldSchema> {
    const HELD: [Field; 9] = [
        field::FIRST_NAME,
        field::LAST_NAME,
        field::EMAILS,
        field::PHONES,
        field::ADDRESSES,
        field::COMPANY,
        field::POSITION,
        field::WEBSITE,
        field::REMARKS,
    ];
    let standard = tandem_core::contact::schema(&HELD).into_iter();
    let standard = standard.map(|known| if known.name == field::LAST_NAME { known.required() } else { known });
    let named = |definition: &CustomField| {
        let name = Field::named(format!("custom.{}", definition.name));
        Some(FieldSchema::new(name, definition.name.clone(), holds(definition)?))
    };
    standard.chain(custom.iter().filter_map(named)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { carry: Carry::Name, region: Region::none() };

    fn vip() -> Vec<CustomField> {
        vec![CustomField { name: "VIP".into(), kind: "string".into(), choices: None }]
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_twice_is_shown_the_same(
            names in ["[A-Za-z ]{0,8}", "[A-Z][a-z]{0,8}", ".{0,12}", ".{0,12}"],
            emails in proptest::collection::vec(("work|home|", "[a-z]{1,5}@[a-z]{1,5}\\.be"), 0..3),
            phones in proptest::collection::vec(("work|home|mobile|fax|", "\\+324701[0-9]{5}"), 0..4),
            streets in proptest::collection::vec(("work|home|billing|shipping|", "[A-Za-z 0-9]{0,9}"), 0..4),
        ) {
            let list = |items: Vec<(String, String)>| -> Vec<Labelled> {
                items.into_iter().map(|(label, value)| Labelled { label, value }).collect()
            };
            let [first_name, last_name, position, vip_text] = names;
            let addresses = streets.into_iter();
            let contact = Contact {
                first_name, last_name, position,
                emails: list(emails),
                phones: list(phones),
                addresses: addresses.map(|(label, street)| Address { label, street, ..Address::default() }).collect(),
                custom: [("VIP".to_owned(), vip_text)].into(),
                birthday: "1980-02-01".into(),
                ..Contact::default()
            };
            let once = shown(&contact.to_fields(Region::none()), &vip(), RULES);
            proptest::prop_assert!(once == shown(&once, &vip(), RULES));
            proptest::prop_assert!(once.get(&field::BIRTHDAY).is_none());
            proptest::prop_assert!(once.items(&field::EMAILS).len() <= 1);
        }
    }

    #[test]
    fn a_home_number_is_no_work_number() {
        let phones = vec![Labelled { label: "home".into(), value: "1".into() }];
        let draft = Contact { phones, ..Contact::default() }.to_fields(Region::none());
        assert!(shown(&draft, &[], RULES).is_empty());
    }

    #[test]
    fn the_companys_number_comes_along_where_the_person_has_another() {
        let person = Wire(json!({"phone": "+32470123456"}).as_object().unwrap().clone());
        let rules = Rules { carry: Carry::NameAndPhone, region: Region::none() };
        let company = |phone: &str| Organisation { id: 1, name: "B".into(), phone: phone.into() };
        assert_eq!(fields(&person, Some(&company("+3291234567")), rules).items(&field::PHONES).len(), 2);
        assert_eq!(fields(&person, Some(&company("+32470123456")), rules).items(&field::PHONES).len(), 1);
    }

    #[test]
    fn a_change_of_the_organisation_changes_the_version() {
        let person = Wire(json!({"updated_at": "2026-01-05T08:00:00Z"}).as_object().unwrap().clone());
        let seen = |name: &str| {
            let company = Organisation { id: 1, name: name.into(), phone: String::new() };
            version(&person, &fields(&person, Some(&company), RULES), "")
        };
        assert_ne!(seen("A"), seen("B"));
    }
}
