//! Zoho's contact ↔ the canonical one. Pure.
use crate::layout::{Free, Holds, Layout};
use crate::wire::Record;
use serde_json::{Map, Value, json};
use tandem_core::contact::{Address, COMPANY_PHONE, Carry, Contact, Labelled, field};
use tandem_core::normalise::{self, Region};
use tandem_core::record::{Field, Fields, Item};

/// How this sync reads and writes.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) region: Region,
    pub(crate) carry: Carry,
}

/// The account that a contact is to belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) phone: String,
}

/// Zoho field and the label it stands for, the first one being what Zoho shows as the main one.
type Slots<const N: usize> = [(&'static str, &'static str); N];
const EMAILS: Slots<2> = [("Email", "work"), ("Secondary_Email", "other")];
const PHONES: Slots<5> =
    [("Phone", "work"), ("Mobile", "mobile"), ("Home_Phone", "home"), ("Other_Phone", "other"), ("Fax", "fax")];
const ADDRESSES: Slots<2> = [("Mailing", "work"), ("Other", "other")];
/// The parts of an address, as Zoho ends their names.
const PARTS: [(&str, &str); 5] =
    [("street", "Street"), ("city", "City"), ("region", "State"), ("postal_code", "Zip"), ("country", "Country")];
const TEXTS: [(Field, &str); 6] = [
    (field::SALUTATION, "Salutation"),
    (field::FIRST_NAME, "First_Name"),
    (field::LAST_NAME, "Last_Name"),
    (field::POSITION, "Title"),
    (field::BIRTHDAY, "Date_of_Birth"),
    (field::REMARKS, "Description"),
];

/// What the record says.
pub(crate) fn fields(record: &Record, rules: Rules<'_>) -> Fields {
    let text = |name: &str| record.text(name).to_owned();
    let labelled = |slots: &[(&str, &str)]| -> Vec<Labelled> {
        slots.iter().map(|(name, label)| Labelled { label: (*label).to_owned(), value: text(name) }).collect()
    };
    let mut phones = labelled(&PHONES);
    let company_phone = record.company_phone();
    let same =
        |own: &Labelled| normalise::phone(&own.value, rules.region) == normalise::phone(company_phone, rules.region);
    if rules.carry == Carry::NameAndPhone && !phones.iter().any(same) {
        phones.push(Labelled { label: COMPANY_PHONE.to_owned(), value: company_phone.to_owned() });
    }
    let custom =
        rules.layout.free.iter().map(|free| (free.name.clone(), free_text(record.0.get(&free.name), free.holds)));
    let contact = Contact {
        salutation: text("Salutation"),
        first_name: text("First_Name"),
        last_name: text("Last_Name"),
        emails: labelled(&EMAILS),
        phones,
        addresses: ADDRESSES.iter().map(|(prefix, label)| address(record, prefix, label)).collect(),
        company: record.account("name").to_owned(),
        position: text("Title"),
        birthday: text("Date_of_Birth"),
        remarks: text("Description"),
        custom: custom.collect(),
        ..Contact::default()
    };
    contact.to_fields(rules.region)
}

fn address(record: &Record, prefix: &str, label: &str) -> Address {
    let part = |name: &str| record.text(&format!("{prefix}_{name}")).to_owned();
    Address {
        label: label.to_owned(),
        street: part("Street"),
        postal_code: part("Zip"),
        city: part("City"),
        region: part("State"),
        country: part("Country"),
    }
}

/// A free field's value as canonical text.
fn free_text(value: Option<&Value>, holds: Holds) -> String {
    match value {
        None | Some(Value::Null | Value::Object(_)) => String::new(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Number(number)) => plain(number),
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";"),
        Some(Value::String(text)) if holds == Holds::DateTime => match text.parse::<jiff::Timestamp>() {
            Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Err(_) => text.clone(),
        },
        Some(Value::String(text)) => text.clone(),
    }
}

/// `12`, never `12.0`.
fn plain(number: &serde_json::Number) -> String {
    let text = number.to_string();
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// What is to be sent so that the record says `fields`, of which `changed` are new. `raw` is the record as it is (empty for
/// a new one): a value that is there already is not sent again, so its spelling stays. `account` is the one that
/// `company` names, where it changes.
pub(crate) fn body(
    (changed, fields): (&[Field], &Fields),
    raw: &Record,
    rules: Rules<'_>,
    account: Option<&Account>,
) -> Map<String, Value> {
    let now = self::fields(raw, rules);
    let mut body = Map::new();
    for (name, wire) in TEXTS.iter().filter(|(name, wire)| changed.contains(name) && rules.layout.has(wire)) {
        let wanted = match *name == field::BIRTHDAY {
            true => birthday(fields.text(name), now.text(name)),
            false => fields.text(name),
        };
        if wanted != now.text(name) {
            body.insert((*wire).to_owned(), or_null(wanted));
        }
    }
    if changed.contains(&field::EMAILS) {
        let placed = emails(fields.items(&field::EMAILS), now.items(&field::EMAILS));
        single(&mut body, &EMAILS, &placed, now.items(&field::EMAILS), rules.layout);
    }
    if changed.contains(&field::PHONES) {
        let own = |item: &&Item| rules.carry == Carry::Name || item.label != COMPANY_PHONE;
        let wanted: Vec<Item> = fields.items(&field::PHONES).iter().filter(own).cloned().collect();
        let placed = phones(&wanted, now.items(&field::PHONES), rules.layout);
        single(&mut body, &PHONES, &placed, now.items(&field::PHONES), rules.layout);
    }
    if changed.contains(&field::ADDRESSES) {
        addresses(&mut body, fields, &now, rules.layout);
    }
    if changed.contains(&field::COMPANY) && rules.layout.has("Account_Name") {
        company(&mut body, fields.text(&field::COMPANY), raw, account);
    }
    for free in &rules.layout.free {
        let name = Field::named(format!("custom.{}", free.name));
        let (wanted, held) = (fields.text(&name), now.text(&name));
        // A check box is never empty: emptied is off, and off already needs no write.
        let off = free.holds == Holds::Boolean && wanted.is_empty() && held != "true";
        if changed.contains(&name) && wanted != held && !off {
            body.insert(free.name.clone(), free_value(wanted, free.holds));
        }
    }
    body
}

fn or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

/// Zoho's dates have a year. A birthday without one leaves Zoho's date alone where day and month agree; else none is kept.
fn birthday<'a>(wanted: &'a str, now: &'a str) -> &'a str {
    match wanted.strip_prefix("--") {
        None => wanted,
        Some(day) if now.ends_with(&format!("-{day}")) => now,
        Some(_) => "",
    }
}

fn company(body: &mut Map<String, Value>, wanted: &str, raw: &Record, account: Option<&Account>) {
    match account.filter(|_| !wanted.is_empty()) {
        _ if wanted == normalise::text(raw.account("name")) => {}
        Some(account) => {
            body.insert("Account_Name".to_owned(), json!({"id": account.id, "name": account.name}));
        }
        None => {
            body.insert("Account_Name".to_owned(), Value::Null);
        }
    }
}

/// Free field: text → what Zoho wants. Text that is none of it goes as it is, for Zoho to refuse by name.
fn free_value(text: &str, holds: Holds) -> Value {
    match holds {
        Holds::Boolean => Value::Bool(text == "true"),
        _ if text.is_empty() => Value::Null,
        Holds::Number => text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| text.parse::<f64>().map(Value::from))
            .unwrap_or(Value::from(text)),
        Holds::Several => text.split(';').map(str::trim).filter(|one| !one.is_empty()).collect(),
        Holds::DateTime => match text.parse::<jiff::Timestamp>() {
            Ok(time) => Value::from(time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()),
            Err(_) => Value::from(text),
        },
        Holds::Text | Holds::Date | Holds::Picklist => Value::from(text),
    }
}

/// Which item goes where. What is there stays; then each goes to the field of its own label; then the rest, in order,
/// into what is free by `spare`; what finds no place is dropped. The second value says which places are as they were.
fn place(
    labels: &[&str],
    items: &[Item],
    now: &[Item],
    spare: impl Fn(&Item) -> &'static [usize],
) -> (Vec<Option<Item>>, Vec<bool>) {
    let mut placed: Vec<Option<Item>> = vec![None; labels.len()];
    let mut stays = vec![false; labels.len()];
    let mut rest: Vec<&Item> = Vec::new();
    for item in items {
        match labels.iter().position(|label| *label == item.label) {
            Some(at) if placed[at].is_none() && now.contains(item) => {
                placed[at] = Some(item.clone());
                stays[at] = true;
            }
            Some(_) | None => rest.push(item),
        }
    }
    let mut last: Vec<&Item> = Vec::new();
    for item in rest {
        match labels.iter().position(|label| *label == item.label) {
            Some(at) if placed[at].is_none() => placed[at] = Some(item.clone()),
            Some(_) | None => last.push(item),
        }
    }
    for item in last {
        if let Some(at) = spare(item).iter().find(|at| placed[**at].is_none()) {
            placed[*at] = Some(item.clone());
        }
    }
    (placed, stays)
}

/// A new address goes to `Email` while that is empty, whatever its label: Zoho and matching look there.
fn emails(items: &[Item], now: &[Item]) -> Vec<Option<Item>> {
    let (mut placed, stays) = place(&EMAILS.map(|slot| slot.1), items, now, |_| &[0, 1]);
    if placed[0].is_none() && !stays[1] {
        placed.swap(0, 1);
    }
    placed
}

fn phones(items: &[Item], now: &[Item], layout: &Layout) -> Vec<Option<Item>> {
    // A fax is no phone, and a phone no fax.
    let spare = |item: &Item| -> &'static [usize] {
        match item.label.as_str() {
            "fax" => &[],
            "" | "work" | "main" => &[0, 3, 1, 2],
            _ => &[3, 0, 2, 1],
        }
    };
    let mut there: Vec<Item> = now.to_vec();
    // A field that the organisation has removed is no place: it counts as taken and is never sent.
    there.retain(|item| PHONES.iter().any(|slot| slot.1 == item.label && layout.has(slot.0)));
    place(&PHONES.map(|slot| slot.1), items, &there, spare).0
}

/// One Zoho field per place.
fn single(
    body: &mut Map<String, Value>,
    slots: &[(&str, &str)],
    placed: &[Option<Item>],
    now: &[Item],
    layout: &Layout,
) {
    for ((name, label), item) in slots.iter().zip(placed).filter(|(slot, _)| layout.has(slot.0)) {
        let before = now.iter().find(|item| item.label == *label).map_or("", Item::as_value);
        let wanted = item.as_ref().map_or("", Item::as_value);
        if wanted != before {
            body.insert((*name).to_owned(), or_null(wanted));
        }
    }
}

fn addresses(body: &mut Map<String, Value>, fields: &Fields, now: &Fields, layout: &Layout) {
    let before = now.items(&field::ADDRESSES);
    let labels = ADDRESSES.map(|slot| slot.1);
    let (placed, _) = place(&labels, fields.items(&field::ADDRESSES), before, |_| &[0, 1]);
    for ((prefix, label), item) in ADDRESSES.iter().zip(&placed) {
        let held = before.iter().find(|item| item.label == *label);
        for (part, suffix) in PARTS {
            let wire = format!("{prefix}_{suffix}");
            let wanted = item.as_ref().map_or("", |item| item.part(part));
            if wanted != held.map_or("", |item| item.part(part)) && layout.has(&wire) {
                body.insert(wire, or_null(wanted));
            }
        }
    }
}

/// The record after `body` was written to it. A new record has Zoho's own start values: check boxes are off.
pub(crate) fn written(raw: &Record, body: &Map<String, Value>, free: &[Free], account: Option<&Account>) -> Record {
    let mut record = raw.clone();
    record.0.extend(body.clone());
    for free in free.iter().filter(|free| free.holds == Holds::Boolean) {
        let flag = record.0.entry(free.name.clone()).or_insert(Value::Bool(false));
        if flag.is_null() {
            *flag = Value::Bool(false);
        }
    }
    match (body.get("Account_Name"), account) {
        (Some(Value::Object(_)), Some(account)) => record.set_company_phone(&account.phone),
        (Some(_), _) => record.set_company_phone(""),
        (None, _) => {}
    }
    record
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
