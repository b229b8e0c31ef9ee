//! The filter of a segment or list view: read once, decided by one pure function.
use crate::error::CrmError;
use crate::record::Record;
use crate::schema::{Kind, SYSTEM_FIELDS};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// The most tests in one filter.
const MOST_TESTS: usize = 50;
/// The most values of one `in`.
const MOST_VALUES: usize = 200;

/// How a test compares. Texts compare without regard to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Eq,
    Ne,
    Contains,
    StartsWith,
    Gt,
    Lt,
    In,
    Exists,
}

impl Comparison {
    const WORDS: [(&str, Comparison); 8] = [
        ("eq", Comparison::Eq),
        ("ne", Comparison::Ne),
        ("contains", Comparison::Contains),
        ("starts_with", Comparison::StartsWith),
        ("gt", Comparison::Gt),
        ("lt", Comparison::Lt),
        ("in", Comparison::In),
        ("exists", Comparison::Exists),
    ];
}

/// One test. A list (e-mail addresses, tags) passes when one of its elements does; `ne` when none is equal.
#[derive(Clone, Debug, PartialEq)]
struct Test {
    field: String,
    comparison: Comparison,
    value: Value,
}

/// The tests that must all hold; without tests everything passes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter(Vec<Test>);

impl Filter {
    /// Reads `{"all":[{"field","op","value"}]}` for records of a type; an error names the place (`filter.all[0].op`).
    pub(crate) fn read(kind: Kind, value: &Value) -> Result<Filter, CrmError> {
        let shape = || CrmError::invalid("filter", "a filter looks like {\"all\":[{\"field\",\"op\",\"value\"}]}");
        let object = value.as_object().ok_or_else(shape)?;
        if let Some(unknown) = object.keys().find(|key| *key != "all") {
            return Err(CrmError::invalid(format!("filter.{unknown}"), "a filter has only “all”"));
        }
        let Some(tests) = object.get("all") else { return Ok(Filter::default()) };
        let tests = tests.as_array().ok_or_else(shape)?;
        if tests.len() > MOST_TESTS {
            return Err(CrmError::invalid("filter.all", format!("a filter has at most {MOST_TESTS} tests")));
        }
        let read = tests.iter().enumerate().map(|(at, test)| read_test(kind, &format!("filter.all[{at}]"), test));
        read.collect::<Result<_, _>>().map(Filter)
    }

    /// Whether the record passes every test.
    pub(crate) fn passes(&self, record: &Record) -> bool {
        self.0.iter().all(|test| test.passes(record))
    }
}

fn read_test(kind: Kind, at: &str, test: &Value) -> Result<Test, CrmError> {
    let object = test.as_object().ok_or_else(|| CrmError::invalid(at, "a test has “field”, “op” and “value”"))?;
    if let Some(unknown) = object.keys().find(|key| !["field", "op", "value"].contains(&key.as_str())) {
        return Err(CrmError::invalid(format!("{at}.{unknown}"), "a test has only “field”, “op” and “value”"));
    }
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let field = text("field")
        .filter(|field| is_field(kind, field))
        .ok_or_else(|| CrmError::invalid(format!("{at}.field"), format!("{} have no such field", kind.plural())))?;
    let word = text("op").unwrap_or_default();
    let known = Comparison::WORDS.into_iter().find(|(name, _)| *name == word);
    let (_, comparison) = known.ok_or_else(|| {
        let words: Vec<&str> = Comparison::WORDS.iter().map(|(word, _)| *word).collect();
        CrmError::invalid(format!("{at}.op"), format!("“op” is one of {}", words.join(", ")))
    })?;
    let unsaid = if comparison == Comparison::Exists { json!(true) } else { Value::Null };
    let value = object.get("value").cloned().unwrap_or(unsaid);
    let wanted = match comparison {
        Comparison::Exists if !value.is_boolean() => Some("true or false"),
        Comparison::In if !is_list_of_scalars(&value) => Some("a list of texts or numbers (at most 200)"),
        Comparison::Contains | Comparison::StartsWith if !value.is_string() => Some("a text"),
        Comparison::Eq | Comparison::Ne | Comparison::Gt | Comparison::Lt if !is_scalar(&value) => {
            Some("a text, a number, true or false")
        }
        Comparison::Exists
        | Comparison::In
        | Comparison::Contains
        | Comparison::StartsWith
        | Comparison::Eq
        | Comparison::Ne
        | Comparison::Gt
        | Comparison::Lt => None,
    };
    match wanted {
        Some(wanted) => Err(CrmError::invalid(format!("{at}.value"), format!("“{word}” needs {wanted}"))),
        None => Ok(Test { field: field.to_owned(), comparison, value }),
    }
}

fn is_scalar(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

fn is_list_of_scalars(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.len() <= MOST_VALUES && list.iter().all(is_scalar))
}

/// A field of the type, one of its parts (`addresses.city`, `emails.type`), a system field, `tags` or `custom.<name>`.
fn is_field(kind: Kind, path: &str) -> bool {
    let (name, part) = path.split_once('.').map_or((path, None), |(name, part)| (name, Some(part)));
    match part {
        None => SYSTEM_FIELDS.contains(&name) || name == "tags" || kind.definition().field(name).is_some(),
        Some("") => false,
        Some(_) if name == "custom" => true,
        Some("type" | "value") => ["emails", "phones"].contains(&name) || path == "addresses.type",
        Some(part) => name == "addresses" && tandem_core::contact::ADDRESS_PARTS.contains(&part),
    }
}

/// The values that a path finds in a record; empty texts are none.
fn found(record: &Record, path: &str) -> Vec<Value> {
    let (name, part) = path.split_once('.').map_or((path, None), |(name, part)| (name, Some(part)));
    let value = match name {
        "id" => json!(record.id),
        "number" => json!(record.number),
        "version" => json!(record.version),
        "created_at" => json!(record.created_at.to_string()),
        "updated_at" => json!(record.updated_at.to_string()),
        "custom" => record.body.get("custom").and_then(|all| all.get(part?)).cloned().unwrap_or_default(),
        _ => record.body.get(name).cloned().unwrap_or_default(),
    };
    let element = |entry: Value| match (entry, part) {
        (Value::Object(parts), Some(part)) => parts.get(part).cloned().unwrap_or_default(),
        (Value::Object(parts), None) => match parts.get("value") {
            Some(value) => value.clone(),
            // A postal address as one text.
            None => json!(parts.values().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        },
        (plain, _) => plain,
    };
    let all = match value {
        Value::Array(list) => list.into_iter().map(element).collect(),
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => vec![value],
    };
    all.into_iter().filter(|value: &Value| is_scalar(value) && value.as_str() != Some("")).collect()
}

impl Test {
    fn passes(&self, record: &Record) -> bool {
        let values = found(record, &self.field);
        let any = |holds: &dyn Fn(&Value) -> bool| values.iter().any(holds);
        let one_of = |list: &Value, value: &Value| {
            list.as_array().is_some_and(|list| list.iter().any(|entry| compare(value, entry).is_eq()))
        };
        match self.comparison {
            Comparison::Eq => any(&|value| compare(value, &self.value).is_eq()),
            Comparison::Ne => !any(&|value| compare(value, &self.value).is_eq()),
            Comparison::Contains => any(&|value| folded(value).contains(&folded(&self.value))),
            Comparison::StartsWith => any(&|value| folded(value).starts_with(&folded(&self.value))),
            Comparison::Gt => any(&|value| compare(value, &self.value).is_gt()),
            Comparison::Lt => any(&|value| compare(value, &self.value).is_lt()),
            Comparison::In => any(&|value| one_of(&self.value, value)),
            Comparison::Exists => self.value.as_bool() == Some(!values.is_empty()),
        }
    }
}

/// A number with what can be read as one as numbers (texts alone stay texts: `0123` is a postal code), moments as
/// moments, everything else as text.
fn compare(a: &Value, b: &Value) -> Ordering {
    let (left, right) = (folded(a), folded(b));
    if (a.is_number() || b.is_number())
        && let (Ok(left), Ok(right)) = (left.parse::<f64>(), right.parse::<f64>())
    {
        return left.total_cmp(&right);
    }
    let moment = |text: &str| text.to_uppercase().parse::<jiff::Timestamp>();
    if let (Ok(left), Ok(right)) = (moment(&left), moment(&right)) {
        return left.cmp(&right);
    }
    left.cmp(&right)
}

fn folded(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_lowercase)
}
