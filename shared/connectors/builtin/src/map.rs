//! A stored contact as the canonical [`Contact`], and canonical fields as input for a stored contact. Pure.
use crate::record::{self, Record};
use serde_json::{Map, Value, json};
use tandem_core::contact::{ADDRESS_PARTS, Address, COMPANY_PHONE, Carry, Contact, Labelled, field};
use tandem_core::normalise::{self, Region};
use tandem_core::record::{Field, Fields, Item};

/// The canonical contact of a record. A company that is gone counts as none.
pub(crate) fn contact(record: &Record, company: Option<&Record>, carry: Carry, region: Region) -> Contact {
    let text = |name: &str| record.text(name).to_owned();
    let mut phones = labelled(record, "phones");
    if let (Carry::NameAndPhone, Some(number)) = (carry, company.and_then(company_phone)) {
        let same = |own: &Labelled| normalise::phone(&own.value, region) == normalise::phone(&number, region);
        if !phones.iter().any(|own| own.label == COMPANY_PHONE || same(own)) {
            phones.push(Labelled { label: COMPANY_PHONE.to_owned(), value: number });
        }
    }
    let custom = record.body.get("custom").and_then(Value::as_object);
    Contact {
        salutation: text("salutation"),
        first_name: text("first_name"),
        last_name: text("last_name"),
        emails: labelled(record, "emails"),
        phones,
        addresses: list(record, "addresses").iter().map(address).collect(),
        company: company.map(|company| company.text("name").to_owned()).unwrap_or_default(),
        position: text("position"),
        birthday: text("birthday"),
        language: text("language"),
        website: text("website"),
        remarks: text("remarks"),
        custom: custom.into_iter().flatten().map(|(name, value)| (name.clone(), plain(value))).collect(),
    }
}

/// The fields that changed, as the API would be given them; without `company`, which is a record of its own.
/// A field whose canonical value is the same is left as people wrote it. `carried` are the phone numbers of companies,
/// which are not the contact's own.
pub(crate) fn input(
    before: Option<(&Record, &Fields)>,
    changed: &[Field],
    after: &Fields,
    carried: &[String],
    region: Region,
) -> Map<String, Value> {
    let mut input = Map::new();
    let mut custom = Map::new();
    for name in changed {
        if before.is_some_and(|(_, fields)| fields.get(name) == after.get(name)) {
            continue;
        }
        if let Some(free) = name.as_str().strip_prefix("custom.") {
            let text = after.text(name);
            custom.insert(free.to_owned(), if text.is_empty() { Value::Null } else { json!(text) });
        } else if *name == field::EMAILS || *name == field::PHONES {
            let own =
                after.items(name).iter().filter(|item| *name == field::EMAILS || !is_carried(item, carried, region));
            let list: Vec<Value> = own.map(|item| json!({"type": item.label, "value": item.as_value()})).collect();
            input.insert(name.as_str().to_owned(), json!(list));
        } else if *name == field::ADDRESSES {
            let list: Vec<Value> = after.items(name).iter().map(address_input).collect();
            input.insert(name.as_str().to_owned(), json!(list));
        } else if field::ALL.contains(name) && *name != field::COMPANY {
            input.insert(name.as_str().to_owned(), json!(after.text(name)));
        }
    }
    if !custom.is_empty() {
        input.insert("custom".to_owned(), Value::Object(custom));
    }
    input
}

/// A company's first phone number.
pub(crate) fn company_phone(company: &Record) -> Option<String> {
    record::values(&company.body, "phones").next().map(str::to_owned)
}

fn is_carried(item: &Item, carried: &[String], region: Region) -> bool {
    item.label == COMPANY_PHONE && carried.iter().any(|number| normalise::phone(number, region) == item.as_value())
}

fn address_input(item: &Item) -> Value {
    let parts = ADDRESS_PARTS.iter().filter(|name| !item.part(name).is_empty());
    let mut entry: Map<String, Value> = parts.map(|name| ((*name).to_owned(), json!(item.part(name)))).collect();
    entry.insert("type".to_owned(), json!(item.label));
    Value::Object(entry)
}

fn list<'a>(record: &'a Record, name: &str) -> &'a [Value] {
    record.body.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn part(entry: &Value, name: &str) -> String {
    entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn labelled(record: &Record, name: &str) -> Vec<Labelled> {
    list(record, name)
        .iter()
        .map(|entry| Labelled { label: part(entry, "type"), value: part(entry, "value") })
        .collect()
}

fn address(entry: &Value) -> Address {
    Address {
        label: part(entry, "type"),
        street: part(entry, "street"),
        postal_code: part(entry, "postal_code"),
        city: part(entry, "city"),
        region: part(entry, "region"),
        country: part(entry, "country"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
