//! A `Person` as canonical fields, and canonical fields laid over a `Person`. Pure.
//!
//! Google replaces every field of the update mask as a whole, so a change is laid over what was read: entries that
//! stay keep every sub-field (department, formatted type, …), and only what differs is written anew.
use crate::wire::{CLIENT_DATA_KEY, MY_CONTACTS, Person, membership, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tandem_core::contact::{Address, Contact, Labelled, field};
use tandem_core::normalise::{self, Region};
use tandem_core::record::{Field, Fields, Item, Marker, Scope};

/// What we read and what answers to writes show. Everything in the update mask is in it.
pub(crate) const PERSON_FIELDS: &str = "addresses,biographies,birthdays,clientData,emailAddresses,locales,memberships,\
                                        metadata,names,organizations,phoneNumbers,urls,userDefined";

/// A top-level field of a person that we write: a path of the update mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Addresses,
    Biographies,
    Birthdays,
    ClientData,
    EmailAddresses,
    Locales,
    Memberships,
    Names,
    Organizations,
    PhoneNumbers,
    Urls,
    UserDefined,
}

impl Part {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Part::Addresses => "addresses",
            Part::Biographies => "biographies",
            Part::Birthdays => "birthdays",
            Part::ClientData => "clientData",
            Part::EmailAddresses => "emailAddresses",
            Part::Locales => "locales",
            Part::Memberships => "memberships",
            Part::Names => "names",
            Part::Organizations => "organizations",
            Part::PhoneNumbers => "phoneNumbers",
            Part::Urls => "urls",
            Part::UserDefined => "userDefined",
        }
    }

    /// Where a canonical field lives; `None` for one that Google cannot say.
    pub(crate) fn of(name: &Field) -> Option<Part> {
        Some(match name.as_str() {
            "salutation" | "first_name" | "last_name" => Part::Names,
            "emails" => Part::EmailAddresses,
            "phones" => Part::PhoneNumbers,
            "addresses" => Part::Addresses,
            "company" | "position" => Part::Organizations,
            "birthday" => Part::Birthdays,
            "language" => Part::Locales,
            "website" => Part::Urls,
            "remarks" => Part::Biographies,
            custom if custom.starts_with("custom.") => Part::UserDefined,
            _ => return None,
        })
    }

    /// The parts that hold canonical fields.
    const OF_FIELDS: [Part; 10] = [
        Part::Addresses,
        Part::Biographies,
        Part::Birthdays,
        Part::EmailAddresses,
        Part::Locales,
        Part::Names,
        Part::Organizations,
        Part::PhoneNumbers,
        Part::Urls,
        Part::UserDefined,
    ];
}

/// What the person says, in canonical form.
pub(crate) fn fields(person: &Person, region: Region) -> Fields {
    contact(person).to_fields(region)
}

fn contact(person: &Person) -> Contact {
    let first =
        |list: &str, name: &str| person.entries(list).next().map(|e| text(e, name).to_owned()).unwrap_or_default();
    let mut custom = BTreeMap::new();
    for entry in person.entries("userDefined") {
        custom.entry(text(entry, "key").to_owned()).or_insert_with(|| text(entry, "value").to_owned());
    }
    Contact {
        salutation: first("names", "honorificPrefix"),
        first_name: first("names", "givenName"),
        last_name: first("names", "familyName"),
        emails: person.entries("emailAddresses").map(|e| labelled(e, text(e, "type"))).collect(),
        phones: person.entries("phoneNumbers").map(|e| labelled(e, phone_label(text(e, "type")))).collect(),
        addresses: person.entries("addresses").map(address).collect(),
        company: first("organizations", "name"),
        position: first("organizations", "title"),
        birthday: person.entries("birthdays").next().map(birthday).unwrap_or_default(),
        language: first("locales", "value"),
        website: first("urls", "value"),
        remarks: first("biographies", "value"),
        custom,
    }
}

fn labelled(entry: &Value, label: &str) -> Labelled {
    Labelled { label: label.to_owned(), value: text(entry, "value").to_owned() }
}

/// Google's phone types are finer than ours; a type we have no word for stays as it is.
fn phone_label(wire: &str) -> &str {
    match wire {
        "workFax" | "homeFax" | "otherFax" => "fax",
        "workMobile" => "mobile",
        other => other,
    }
}

fn phone_type(label: &str) -> &str {
    if label == "fax" { "workFax" } else { label }
}

fn address(entry: &Value) -> Address {
    let part = |name: &str| text(entry, name).to_owned();
    let country = if text(entry, "country").is_empty() { part("countryCode") } else { part("country") };
    Address {
        label: part("type"),
        street: part("streetAddress"),
        postal_code: part("postalCode"),
        city: part("city"),
        region: part("region"),
        country,
    }
}

fn birthday(entry: &Value) -> String {
    let number = |name: &str| entry.get("date").and_then(|d| d.get(name)).and_then(Value::as_i64).unwrap_or(0);
    match (number("year"), number("month"), number("day")) {
        (0, month @ 1.., day @ 1..) => format!("--{month:02}-{day:02}"),
        (year @ 1.., month @ 1.., day @ 1..) => format!("{year:04}-{month:02}-{day:02}"),
        // Half a date, or none: Google keeps what the user typed as free text.
        _ => text(entry, "text").to_owned(),
    }
}

/// The live value of a part as it was read, to be sent back unchanged where another contact of the batch changes it.
pub(crate) fn unchanged(part: Part, raw: &Person) -> Vec<Value> {
    match part {
        Part::Memberships => raw.groups().map(membership).collect(),
        Part::Addresses
        | Part::Biographies
        | Part::Birthdays
        | Part::ClientData
        | Part::EmailAddresses
        | Part::Locales
        | Part::Names
        | Part::Organizations
        | Part::PhoneNumbers
        | Part::Urls
        | Part::UserDefined => raw.entries(part.path()).cloned().collect(),
    }
}

/// The value of a part once `fields` is laid over what was read.
pub(crate) fn changed(part: Part, fields: &Fields, raw: &Person, region: Region) -> Vec<Value> {
    let live: Vec<&Value> = raw.entries(part.path()).collect();
    match part {
        Part::Names => single(&live, |entry| write_name(entry, fields)),
        Part::Organizations => first_of(&live, |entry| write_organization(entry, fields)),
        Part::Locales => first_of(&live, |entry| put(entry, "value", fields.text(&field::LANGUAGE), normalise::text)),
        Part::Urls => first_of(&live, |entry| write_url(entry, fields)),
        Part::Biographies => single(&live, |entry| write_biography(entry, fields)),
        Part::Birthdays => single(&live, |entry| write_birthday(entry, fields)),
        Part::EmailAddresses => merge(
            &live,
            fields.items(&field::EMAILS),
            |e| item(e, &field::EMAILS, region),
            |e, i| {
                write_labelled(e, i, i.label.as_str(), normalise::email);
            },
        ),
        Part::PhoneNumbers => merge(
            &live,
            fields.items(&field::PHONES),
            |e| item(e, &field::PHONES, region),
            |e, i| {
                // Only a label that changed takes another type: `homeFax` and `workFax` are both our `fax`.
                let wire = e.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
                let wire = if phone_label(&wire) == i.label { wire.as_str() } else { phone_type(&i.label) };
                write_labelled(e, i, wire, |number| normalise::phone(number, region));
            },
        ),
        Part::Addresses => {
            merge(&live, fields.items(&field::ADDRESSES), |e| item(e, &field::ADDRESSES, region), write_address)
        }
        Part::UserDefined => user_defined(&live, fields),
        Part::ClientData | Part::Memberships => unchanged(part, raw),
    }
}

/// `clientData` with our marker; other programs' entries stay.
pub(crate) fn with_marker(raw: &Person, marker: &Marker) -> Vec<Value> {
    let others = raw.entries("clientData").filter(|e| text(e, "key") != CLIENT_DATA_KEY).cloned();
    others.chain([json!({"key": CLIENT_DATA_KEY, "value": marker.as_str()})]).collect()
}

/// `memberships` with or without the group. At least one must remain (else Google answers 400): "Contacts" then.
pub(crate) fn with_scope(raw: &Person, group: &str, scope: Scope) -> Vec<Value> {
    let mut groups: Vec<&str> = raw.groups().filter(|name| *name != group).collect();
    match scope {
        Scope::Inside => groups.push(group),
        Scope::Outside if groups.is_empty() => groups.push(MY_CONTACTS),
        Scope::Outside => {}
    }
    groups.into_iter().map(membership).collect()
}

/// A new person.
pub(crate) fn new_person(fields: &Fields, marker: &Marker, group: Option<&str>, region: Region) -> Map<String, Value> {
    let empty = Person::default();
    let mut person = Map::new();
    for part in Part::OF_FIELDS {
        let entries = changed(part, fields, &empty, region);
        if !entries.is_empty() {
            person.insert(part.path().to_owned(), Value::Array(entries));
        }
    }
    let groups = group.into_iter().filter(|group| *group != MY_CONTACTS).chain([MY_CONTACTS]);
    person.insert(Part::Memberships.path().to_owned(), groups.map(membership).collect());
    person.insert(Part::ClientData.path().to_owned(), Value::Array(with_marker(&empty, marker)));
    person
}

/// The canonical form of one entry of a list.
fn item(entry: &Value, list: &Field, region: Region) -> Option<Item> {
    let label = text(entry, "type");
    let mut one = Contact::default();
    if *list == field::EMAILS {
        one.emails.push(labelled(entry, label));
    } else if *list == field::PHONES {
        one.phones.push(labelled(entry, phone_label(label)));
    } else {
        one.addresses.push(address(entry));
    }
    one.to_fields(region).items(list).first().cloned()
}

type Entry = Map<String, Value>;
/// Whether two entries of a list are the same one, one of them edited.
type Alike = fn(&Item, &Item) -> bool;

/// Lays the wanted items over the live entries. An entry that says the same stays as it is; else one with the same
/// value (its label changed), else one with the same label (its value changed) is written over; else it is new.
fn merge(
    live: &[&Value],
    wanted: &[Item],
    canonical: impl Fn(&Value) -> Option<Item>,
    write: impl Fn(&mut Entry, &Item),
) -> Vec<Value> {
    let mut pool: Vec<(Option<Item>, &Value)> = live.iter().map(|entry| (canonical(entry), *entry)).collect();
    let mut take = |fits: &dyn Fn(&Item) -> bool| {
        let at = pool.iter().position(|(item, _)| item.as_ref().is_some_and(fits))?;
        Some(pool.remove(at).1)
    };
    let mut placed: Vec<Option<Value>> = wanted.iter().map(|w| take(&|item| item == w).cloned()).collect();
    let rules: [Alike; 2] = [|a, b| a.parts == b.parts, |a, b| a.label == b.label];
    for same in rules {
        for (slot, wish) in placed.iter_mut().zip(wanted) {
            if slot.is_none() {
                *slot = take(&|item| same(item, wish))
                    .and_then(Value::as_object)
                    .map(|old| written(old.clone(), wish, &write));
            }
        }
    }
    let filled = placed.into_iter().zip(wanted);
    let mut entries: Vec<Value> =
        filled.map(|(slot, wish)| slot.unwrap_or_else(|| written(Entry::new(), wish, &write))).collect();
    // What we cannot say at all (a post-office box alone) is not ours to drop.
    entries.extend(pool.into_iter().filter(|(item, _)| item.is_none()).map(|(_, entry)| entry.clone()));
    entries
}

fn written(mut entry: Entry, wish: &Item, write: &impl Fn(&mut Entry, &Item)) -> Value {
    write(&mut entry, wish);
    Value::Object(entry)
}

fn write_labelled(entry: &mut Entry, item: &Item, wire_type: &str, normal: impl Fn(&str) -> String) {
    put(entry, "value", item.as_value(), normal);
    entry.remove("canonicalForm");
    put_type(entry, wire_type);
}

fn write_address(entry: &mut Entry, item: &Item) {
    // Google shows this one as it was formatted; it makes it anew from the parts.
    entry.remove("formattedValue");
    let had_country = address(&Value::Object(entry.clone())).country;
    if normalise::lines(&had_country) != item.part("country") {
        entry.remove("countryCode");
        put(entry, "country", item.part("country"), normalise::lines);
    }
    for (wire, part) in
        [("streetAddress", "street"), ("postalCode", "postal_code"), ("city", "city"), ("region", "region")]
    {
        put(entry, wire, item.part(part), normalise::lines);
    }
    put_type(entry, &item.label);
}

fn put_type(entry: &mut Entry, wire_type: &str) {
    if entry.get("type").and_then(Value::as_str).unwrap_or_default().trim() != wire_type {
        entry.remove("formattedType");
        put(entry, "type", wire_type, str::to_owned);
    }
}

/// Sets a text unless the entry says the same already in another spelling; an empty one is removed.
fn put(entry: &mut Entry, name: &str, wanted: &str, normal: impl Fn(&str) -> String) {
    if wanted.is_empty() {
        entry.remove(name);
    } else if entry.get(name).and_then(Value::as_str).map(normal).as_deref() != Some(wanted) {
        entry.insert(name.to_owned(), Value::String(wanted.to_owned()));
    }
}

/// A field of which a contact has one at most.
fn single(live: &[&Value], write: impl Fn(&mut Entry)) -> Vec<Value> {
    first_of(&live[..live.len().min(1)], write)
}

/// Writes over the first entry and keeps the others; an entry that says nothing any more is dropped.
fn first_of(live: &[&Value], write: impl Fn(&mut Entry)) -> Vec<Value> {
    let mut entry = live.first().and_then(|e| e.as_object()).cloned().unwrap_or_default();
    write(&mut entry);
    const SAYS_NOTHING: [&str; 6] = ["metadata", "type", "formattedType", "current", "contentType", "canonicalForm"];
    let says = entry.keys().any(|key| !SAYS_NOTHING.contains(&key.as_str()));
    let first = says.then_some(Value::Object(entry));
    first.into_iter().chain(live.iter().skip(1).map(|e| (*e).clone())).collect()
}

fn write_name(entry: &mut Entry, fields: &Fields) {
    // Google makes these of the parts; sent back, they would contradict the new ones.
    for derived in ["displayName", "displayNameLastFirst", "unstructuredName"] {
        entry.remove(derived);
    }
    put(entry, "honorificPrefix", fields.text(&field::SALUTATION), normalise::text);
    put(entry, "givenName", fields.text(&field::FIRST_NAME), normalise::text);
    put(entry, "familyName", fields.text(&field::LAST_NAME), normalise::text);
}

fn write_organization(entry: &mut Entry, fields: &Fields) {
    put(entry, "name", fields.text(&field::COMPANY), normalise::text);
    put(entry, "title", fields.text(&field::POSITION), normalise::text);
}

fn write_url(entry: &mut Entry, fields: &Fields) {
    let is_new = entry.is_empty();
    put(entry, "value", fields.text(&field::WEBSITE), normalise::text);
    if is_new && entry.contains_key("value") {
        put_type(entry, "homePage");
    }
}

fn write_biography(entry: &mut Entry, fields: &Fields) {
    put(entry, "value", fields.text(&field::REMARKS), normalise::lines);
    if entry.contains_key("value") && !entry.contains_key("contentType") {
        entry.insert("contentType".to_owned(), json!("TEXT_PLAIN"));
    }
}

fn write_birthday(entry: &mut Entry, fields: &Fields) {
    let wanted = fields.text(&field::BIRTHDAY);
    if normalise::date(&birthday(&Value::Object(entry.clone()))) == wanted {
        return;
    }
    entry.remove("text");
    entry.remove("date");
    if wanted.is_empty() {
        return;
    }
    match date_parts(wanted) {
        Some(date) => entry.insert("date".to_owned(), date),
        None => entry.insert("text".to_owned(), json!(wanted)),
    };
}

fn date_parts(wanted: &str) -> Option<Value> {
    if let Some(rest) = wanted.strip_prefix("--") {
        let (month, day) = rest.split_once('-')?;
        return Some(json!({"month": month.parse::<u8>().ok()?, "day": day.parse::<u8>().ok()?}));
    }
    let date: jiff::civil::Date = wanted.parse().ok()?;
    // Google has no year 0: it means "none".
    (date.year() > 0).then(|| json!({"year": date.year(), "month": date.month(), "day": date.day()}))
}

/// The first entry of a key is the field; further ones of the same key are the user's and stay with it.
fn user_defined(live: &[&Value], fields: &Fields) -> Vec<Value> {
    let contact = Contact::from_fields(fields);
    let mut left: BTreeMap<&str, &str> = contact.custom.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let mut entries = Vec::new();
    for entry in live {
        let key = text(entry, "key");
        let Some(object) = entry.as_object() else { continue };
        let Some(wanted) = contact.custom.get(key) else { continue };
        let mut object = object.clone();
        if left.remove(key).is_some() {
            put(&mut object, "value", wanted, normalise::lines);
        }
        entries.push(Value::Object(object));
    }
    entries.extend(left.into_iter().map(|(key, value)| json!({"key": key, "value": value})));
    entries
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
