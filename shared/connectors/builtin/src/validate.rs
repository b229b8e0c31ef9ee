//! What comes in from outside becomes a body, or an error that names the field.
use crate::appointment;
use crate::error::CrmError;
use crate::filter::Filter;
use crate::record::{Body, Record};
use crate::schema::{FieldDefinition, Kind, SYSTEM_FIELDS, Shape};
use crate::users::Rights;
use serde_json::{Map, Value, json};
use tandem_core::{contact::ADDRESS_PARTS, normalise};

/// The most a record may take, as JSON.
const MOST_BYTES: usize = 100 * 1024;
/// The most e-mail addresses, phone numbers or postal addresses of one record.
const MOST_ELEMENTS: usize = 50;
/// The most texts of one list.
const MOST_TEXTS: usize = 200;
/// The most tags, and the most free fields.
const MOST_TAGS: usize = 100;
/// The longest label, tag and name of a free field.
const LABEL: usize = 100;
/// The longest e-mail address (RFC 5321: 254) and phone number we keep.
const HANDLE: usize = 254;

/// A new record's body.
pub(crate) fn new_body(kind: Kind, input: &Map<String, Value>) -> Result<Body, CrmError> {
    if let Some(name) = input.keys().find(|name| SYSTEM_FIELDS.contains(&name.as_str())) {
        return Err(CrmError::invalid(name, "the CRM sets this field itself"));
    }
    merged(kind, Body::new(), input)
}

/// A record's body after a change: named fields are replaced (`null` empties one), free fields one by one.
/// Fields that the CRM sets itself may be sent back as they are.
pub(crate) fn changed_body(record: &Record, input: &Map<String, Value>) -> Result<Body, CrmError> {
    let shown = record.to_json();
    let (system, rest): (Vec<_>, Vec<_>) = input.iter().partition(|(name, _)| SYSTEM_FIELDS.contains(&name.as_str()));
    if let Some((name, _)) = system.into_iter().find(|(name, value)| shown.get(name.as_str()) != Some(value)) {
        return Err(CrmError::invalid(name, "the CRM sets this field itself"));
    }
    let rest: Map<String, Value> = rest.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    merged(record.kind, record.body.clone(), &rest)
}

fn merged(kind: Kind, mut body: Body, input: &Map<String, Value>) -> Result<Body, CrmError> {
    let definition = kind.definition();
    for (name, value) in input {
        let value = match name.as_str() {
            "tags" => tags(value)?,
            "custom" => custom(body.get("custom"), value)?,
            name => match definition.field(name) {
                Some(field) => read_field(field, value)?,
                None => return Err(CrmError::invalid(name, format!("{} have no such field", definition.plural))),
            },
        };
        if is_empty(&value) {
            body.remove(name);
        } else {
            body.insert(name.clone(), value);
        }
    }
    complete(kind, &body)?;
    if kind.is_appointment() {
        appointment::settle(&mut body, input)?;
    }
    Ok(body)
}

/// The types that a person may give a phone number.
const PHONE_TYPES: [&str; 5] = ["work", "mobile", "home", "fax", "company"];

/// What is refused of a person only. A sync keeps what the other side says: another type of phone number, a day without
/// length; and a person may send back what the record holds already.
pub(crate) fn typed(
    kind: Kind,
    before: Option<&Body>,
    input: &Map<String, Value>,
    body: &Body,
) -> Result<(), CrmError> {
    let list = |body: &Body| body.get("phones").and_then(Value::as_array).cloned().unwrap_or_default();
    let known: Vec<Value> = before.map(list).unwrap_or_default().iter().map(|phone| phone["type"].clone()).collect();
    for (at, phone) in list(body).iter().enumerate() {
        let usual = phone["type"].as_str().is_some_and(|word| PHONE_TYPES.contains(&word));
        if !usual && !known.contains(&phone["type"]) {
            let message = format!("this is one of {}", PHONE_TYPES.join(", "));
            return Err(CrmError::invalid(format!("phones[{at}].type"), message));
        }
    }
    let said = |name: &str| input.get(name).or_else(|| before?.get(name));
    let is_typed = ["start", "end", "all_day"].iter().any(|name| input.contains_key(*name));
    let is_day = kind == Kind::Meeting && body.get("all_day") == Some(&json!(true));
    if is_day && is_typed && said("start") == said("end") {
        return Err(CrmError::invalid("end", "the first day that is not part of it: the day after, for one of a day"));
    }
    Ok(())
}

/// Checks what concerns the body as a whole: mandatory fields, the filter's module, the size.
pub(crate) fn complete(kind: Kind, body: &Body) -> Result<(), CrmError> {
    let definition = kind.definition();
    if let Some(missing) = definition.fields.iter().find(|field| field.mandatory && !body.contains_key(field.name)) {
        return Err(CrmError::invalid(
            missing.name,
            format!("a {} needs this field", definition.word.replace('_', " ")),
        ));
    }
    if let (Some(filter), Some(module)) = (body.get("filter"), body.get("module").and_then(Value::as_str)) {
        let of = Kind::of_module(module).ok_or_else(|| module_error("module"))?;
        Filter::read(of, filter)?;
    }
    let size = serde_json::to_vec(body).map_or(usize::MAX, |bytes| bytes.len());
    if size > MOST_BYTES {
        return Err(CrmError::TooLarge { message: "a record holds at most 100 KB; shorten its texts".to_owned() });
    }
    Ok(())
}

/// Reads one field's value in its canonical form; `null` when it is empty.
pub(crate) fn read_field(field: &FieldDefinition, value: &Value) -> Result<Value, CrmError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let name = field.name;
    match field.shape {
        Shape::Line(most) => bounded(name, value, most, normalise::text),
        Shape::Lines(most) => bounded(name, value, most, normalise::lines),
        Shape::Birthday => birthday(name, value),
        Shape::Email => bounded(name, value, HANDLE, normalise::text).and_then(|read| email(name, read)),
        Shape::Reference(_) => reference(name, value),
        Shape::Module => {
            let known = value.as_str().and_then(Kind::of_module);
            known.map(|kind| json!(kind.plural())).ok_or_else(|| module_error(name))
        }
        Shape::Filter if value.is_object() => Ok(value.clone()),
        Shape::Filter => Err(CrmError::invalid(name, "a filter looks like {\"all\":[{\"field\",\"op\",\"value\"}]}")),
        Shape::Rights => Rights::read(value).map(|rights| rights.to_json()),
        Shape::Flag if value.is_boolean() => Ok(value.clone()),
        Shape::Flag => Err(CrmError::invalid(name, "this is true or false")),
        Shape::Choice(words) => {
            let word = value.as_str().filter(|word| words.contains(word));
            word.map(|word| json!(word))
                .ok_or_else(|| CrmError::invalid(name, format!("this is one of {}", words.join(", "))))
        }
        Shape::References(_) => {
            let list = value.as_array().filter(|list| list.len() <= MOST_ELEMENTS);
            let list =
                list.ok_or_else(|| CrmError::invalid(name, format!("this is a list of at most {MOST_ELEMENTS} ids")))?;
            list.iter().map(|id| reference(name, id)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        Shape::When => appointment::when(name, value),
        Shape::Zone => appointment::time_zone(name, value),
        Shape::Recurrence => texts(name, value, 2_000),
        Shape::Exceptions => appointment::exceptions(name, value),
        Shape::Attendees => appointment::attendees(name, value),
        Shape::Minutes(most) => {
            let minutes = value.as_u64().filter(|minutes| minutes <= &most);
            minutes
                .map(|minutes| json!(minutes))
                .ok_or_else(|| CrmError::invalid(name, format!("this is a whole number of minutes, 0 to {most}")))
        }
        Shape::Subject | Shape::Number | Shape::KeptText | Shape::KeptIds => {
            Err(CrmError::invalid(name, "the CRM sets this field itself"))
        }
        Shape::Emails => elements(name, value, |at, entry| labelled(at, entry, true)),
        Shape::Phones => elements(name, value, |at, entry| labelled(at, entry, false)),
        Shape::Addresses => elements(name, value, address),
        Shape::Date => day(name, value),
        Shape::Moment => moment(name, value),
        Shape::Texts(most) => texts(name, value, most),
        Shape::Links(kinds) => elements(name, value, |at, entry| link(at, entry, kinds)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn module_error(field: &str) -> CrmError {
    let known: Vec<&str> = Kind::FILTERED.into_iter().map(Kind::plural).collect();
    CrmError::invalid(field, format!("this is one of {}", known.join(", ")))
}

pub(crate) fn bounded(
    field: &str,
    value: &Value,
    most: usize,
    normal: impl Fn(&str) -> String,
) -> Result<Value, CrmError> {
    let text = normal(value.as_str().ok_or_else(|| CrmError::invalid(field, "this is a text"))?);
    if text.chars().count() > most {
        return Err(CrmError::invalid(field, format!("at most {most} characters")));
    }
    Ok(json!(text))
}

pub(crate) fn email(field: &str, value: Value) -> Result<Value, CrmError> {
    let text = value.as_str().unwrap_or_default();
    let fits = |(local, domain): (&str, &str)| !local.is_empty() && !domain.is_empty();
    if !text.is_empty() && (!text.rsplit_once('@').is_some_and(fits) || text.contains(char::is_whitespace)) {
        return Err(CrmError::invalid(field, "this is not an e-mail address"));
    }
    Ok(value)
}

fn birthday(field: &str, value: &Value) -> Result<Value, CrmError> {
    let raw = value.as_str().unwrap_or_default();
    let date = normalise::date(raw);
    let looks = |text: &str| text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
    let full = date.strip_prefix("--").map_or_else(|| date.clone(), |rest| format!("2000-{rest}"));
    if value.is_string() && (date.is_empty() || looks(&full)) {
        Ok(json!(date))
    } else {
        Err(CrmError::invalid(field, "a date looks like 1980-02-29, or --02-29 without a year"))
    }
}

fn reference(field: &str, value: &Value) -> Result<Value, CrmError> {
    match value.as_str() {
        Some("") => Ok(Value::Null),
        Some(id) if uuid::Uuid::try_parse(id).is_ok() => Ok(json!(id.to_lowercase())),
        Some(_) | None => Err(CrmError::invalid(field, "this is the id of a record")),
    }
}

fn elements(
    field: &str,
    value: &Value,
    read: impl Fn(&str, &Map<String, Value>) -> Result<Option<Value>, CrmError>,
) -> Result<Value, CrmError> {
    let list = value.as_array().ok_or_else(|| CrmError::invalid(field, "this is a list"))?;
    if list.len() > MOST_ELEMENTS {
        return Err(CrmError::invalid(field, format!("at most {MOST_ELEMENTS} of them")));
    }
    let mut kept = Vec::with_capacity(list.len());
    for (at, entry) in list.iter().enumerate() {
        let at = format!("{field}[{at}]");
        let entry = entry.as_object().ok_or_else(|| CrmError::invalid(&at, "this is an object with “type”"))?;
        kept.extend(read(&at, entry)?);
    }
    Ok(Value::Array(kept))
}

pub(crate) fn parts(at: &str, entry: &Map<String, Value>, known: &[&str]) -> Result<(), CrmError> {
    match entry.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(CrmError::invalid(format!("{at}.{unknown}"), format!("known here: {}", known.join(", ")))),
        None => Ok(()),
    }
}

pub(crate) fn part(at: &str, entry: &Map<String, Value>, name: &str, most: usize) -> Result<String, CrmError> {
    match entry.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(value) => {
            let text = bounded(&format!("{at}.{name}"), value, most, normalise::lines)?;
            Ok(text.as_str().unwrap_or_default().to_owned())
        }
    }
}

fn label(at: &str, entry: &Map<String, Value>) -> Result<String, CrmError> {
    // Other labels than the usual ones are kept as they are: a sync must not lose what the other side says.
    let label = part(at, entry, "type", LABEL)?;
    Ok(if label.is_empty() { "work".to_owned() } else { label })
}

fn labelled(at: &str, entry: &Map<String, Value>, is_email: bool) -> Result<Option<Value>, CrmError> {
    parts(at, entry, &["type", "value"])?;
    let value = part(at, entry, "value", HANDLE)?;
    if value.is_empty() {
        return Err(CrmError::invalid(format!("{at}.value"), "this is empty"));
    }
    if is_email {
        email(&format!("{at}.value"), json!(value))?;
    }
    Ok(Some(json!({"type": label(at, entry)?, "value": value})))
}

fn address(at: &str, entry: &Map<String, Value>) -> Result<Option<Value>, CrmError> {
    let known: Vec<&str> = std::iter::once("type").chain(ADDRESS_PARTS).collect();
    parts(at, entry, &known)?;
    let mut read = Map::new();
    for name in ADDRESS_PARTS {
        let text = part(at, entry, name, 500)?;
        if !text.is_empty() {
            read.insert(name.to_owned(), json!(text));
        }
    }
    if read.is_empty() {
        return Ok(None);
    }
    read.insert("type".to_owned(), json!(label(at, entry)?));
    Ok(Some(Value::Object(read)))
}

fn day(field: &str, value: &Value) -> Result<Value, CrmError> {
    match value.as_str() {
        Some("") => Ok(Value::Null),
        Some(text) if text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok() => Ok(value.clone()),
        Some(_) | None => Err(CrmError::invalid(field, "a day looks like 2026-01-31")),
    }
}

fn moment(field: &str, value: &Value) -> Result<Value, CrmError> {
    match value.as_str().map(|text| (text, text.parse::<jiff::Timestamp>())) {
        Some(("", _)) => Ok(Value::Null),
        Some((_, Ok(at))) => Ok(json!(at.to_string())),
        Some((_, Err(_))) | None => Err(CrmError::invalid(field, "a moment looks like 2026-01-31T08:00:00Z")),
    }
}

fn texts(field: &str, value: &Value, most: usize) -> Result<Value, CrmError> {
    let list = value.as_array().filter(|list| list.len() <= MOST_TEXTS);
    let list = list.ok_or_else(|| CrmError::invalid(field, format!("this is a list of at most {MOST_TEXTS} texts")))?;
    let read = |(at, text): (usize, &Value)| bounded(&format!("{field}[{at}]"), text, most, normalise::text);
    Ok(Value::Array(list.iter().enumerate().map(read).collect::<Result<_, _>>()?))
}

fn link(at: &str, entry: &Map<String, Value>, kinds: &[Kind]) -> Result<Option<Value>, CrmError> {
    parts(at, entry, &["type", "id"])?;
    let word = entry.get("type").and_then(Value::as_str).unwrap_or_default();
    if !kinds.iter().any(|kind| kind.word() == word) {
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        return Err(CrmError::invalid(format!("{at}.type"), format!("this is one of {}", words.join(", "))));
    }
    let id = reference(&format!("{at}.id"), entry.get("id").unwrap_or(&Value::Null))?;
    if id.is_null() {
        return Err(CrmError::invalid(format!("{at}.id"), "this is the id of a record"));
    }
    Ok(Some(json!({"type": word, "id": id})))
}

fn tags(value: &Value) -> Result<Value, CrmError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let list = value.as_array().filter(|list| list.len() <= MOST_TAGS);
    let list = list.ok_or_else(|| CrmError::invalid("tags", "this is a list of at most 100 texts"))?;
    let mut kept: Vec<Value> = Vec::with_capacity(list.len());
    for (at, tag) in list.iter().enumerate() {
        let tag = bounded(&format!("tags[{at}]"), tag, LABEL, normalise::text)?;
        if !is_empty(&tag) && !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    Ok(Value::Array(kept))
}

fn custom(before: Option<&Value>, value: &Value) -> Result<Value, CrmError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let input = value.as_object().ok_or_else(|| CrmError::invalid("custom", "this is an object"))?;
    let mut kept = before.and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, value) in input {
        let at = format!("custom.{name}");
        if name.trim() != name || name.is_empty() || name.chars().count() > LABEL {
            return Err(CrmError::invalid(at, "a free field's name has 1 to 100 characters"));
        }
        let value = match value {
            Value::String(_) => bounded(&at, value, 30_000, normalise::lines)?,
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
            Value::Array(_) | Value::Object(_) => {
                return Err(CrmError::invalid(at, "a free field holds a text, a number, true or false"));
            }
        };
        if is_empty(&value) {
            kept.remove(name);
        } else {
            kept.insert(name.clone(), value);
        }
    }
    if kept.len() > MOST_TAGS {
        return Err(CrmError::invalid("custom", "at most 100 free fields"));
    }
    Ok(Value::Object(kept))
}
