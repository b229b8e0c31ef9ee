//! Google's own list of methods, parameters and fields (names only), by which requests are checked.
use super::Refusal;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// `facts/people.json`, made by `facts/derive.py` from the discovery document.
#[derive(Deserialize)]
pub(super) struct Facts {
    methods: BTreeMap<String, MethodFacts>,
    schemas: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) update_mask: Vec<String>,
    pub(super) read_mask: Vec<String>,
}

#[derive(Deserialize)]
struct MethodFacts {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    request: Option<String>,
}

pub(super) fn facts() -> &'static Facts {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    FACTS.get_or_init(|| serde_json::from_str(include_str!("../../facts/people.json")).expect("a committed file"))
}

/// A method of the API.
pub(super) struct Found {
    pub(super) id: &'static str,
    facts: &'static MethodFacts,
}

/// The method at this address.
pub(super) fn method_of(verb: &Method, path: &str) -> Option<Found> {
    let path = path.strip_prefix('/')?;
    let matching = |m: &&MethodFacts| m.method == verb.as_str() && fits(&m.path, path);
    let all = facts().methods.iter().map(|(id, facts)| (id.as_str(), facts));
    // A fixed path (`people:batchGet`) wins over one with a place-holder.
    let mut found: Vec<(&str, &MethodFacts)> = all.filter(|(_, m)| matching(m)).collect();
    found.sort_by_key(|(_, m)| m.path.matches('{').count());
    found.first().map(|(id, facts)| Found { id, facts })
}

fn fits(pattern: &str, path: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('{') else { return pattern == path };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let middle = path.strip_prefix(before).and_then(|p| p.strip_suffix(after));
    middle.is_some_and(|id| !id.is_empty() && !id.contains(['/', ':']))
}

/// Parameters that every Google API accepts.
const COMMON: [&str; 5] = ["alt", "prettyPrint", "key", "fields", "quotaUser"];

impl Found {
    pub(super) fn check_query(&self, query: &[(String, String)]) -> Result<(), Refusal> {
        for (name, value) in query.iter().filter(|(name, _)| !COMMON.contains(&name.as_str())) {
            let unknown = || Refusal::invalid(format!("Invalid JSON payload received. Unknown name \"{name}\""));
            let shape = self.facts.query.get(name).ok_or_else(unknown)?;
            let good = match shape.as_str() {
                "integer" => value.parse::<i64>().is_ok(),
                "boolean" => value == "true" || value == "false",
                list if list.contains('|') => list.split('|').any(|word| word == value),
                _ => true,
            };
            if !good {
                return Err(Refusal::invalid(format!("Invalid value at '{name}'")));
            }
        }
        Ok(())
    }

    pub(super) fn check_body(&self, body: &Value) -> Result<(), Refusal> {
        match &self.facts.request {
            Some(schema) => check(body, schema, ""),
            None if body.as_object().is_some_and(serde_json::Map::is_empty) => Ok(()),
            None => Err(Refusal::invalid("This method takes no body.")),
        }
    }
}

/// Whether a value has the documented shape; a name that Google does not know is refused with its place.
pub(super) fn check(value: &Value, shape: &str, at: &str) -> Result<(), Refusal> {
    let wrong = || Err(Refusal::invalid(format!("Invalid value at '{at}'")));
    if let Some(inner) = shape.strip_prefix('[') {
        let Some(items) = value.as_array() else { return wrong() };
        let inner = inner.trim_end_matches(']');
        return items.iter().enumerate().try_for_each(|(n, item)| check(item, inner, &format!("{at}[{n}]")));
    }
    if let Some(inner) = shape.strip_prefix('{') {
        let Some(map) = value.as_object() else { return wrong() };
        let inner = inner.trim_end_matches('}');
        return map.iter().try_for_each(|(key, item)| check(item, inner, &format!("{at}[{key}]")));
    }
    let good = match shape {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64() || value.as_str().is_some_and(|s| s.parse::<i64>().is_ok()),
        "any" => true,
        list if list.contains('|') => value.as_str().is_some_and(|word| list.split('|').any(|known| known == word)),
        name => {
            let Some(schema) = facts().schemas.get(name) else { return wrong() };
            let Some(object) = value.as_object() else { return wrong() };
            for (key, item) in object {
                let Some(shape) = schema.get(key) else {
                    return Err(Refusal::invalid(format!(
                        "Invalid JSON payload received. Unknown name \"{key}\" at '{at}': Cannot find field."
                    )));
                };
                check(item, shape, &format!("{at}.{key}"))?;
            }
            true
        }
    };
    if good { Ok(()) } else { wrong() }
}
