//! Google's own list of methods, parameters and fields (names only), by which requests are checked. Stricter than Google: Calendar lets unknown names pass.
use super::Refusal;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// `facts/people.json` or `facts/calendar.json`, made by `facts/derive.py` from the discovery documents.
#[derive(Deserialize)]
pub(super) struct Facts {
    methods: BTreeMap<String, MethodFacts>,
    schemas: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) update_mask: Vec<String>,
    #[serde(default)]
    pub(super) read_mask: Vec<String>,
}

#[derive(Deserialize)]
struct MethodFacts {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    request: Option<String>,
    /// Without what they all begin with.
    scopes: Vec<String>,
}

/// The People API's.
pub(super) fn facts() -> &'static Facts {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    FACTS.get_or_init(|| serde_json::from_str(include_str!("../../facts/people.json")).expect("a committed file"))
}

/// The Calendar API's.
pub(super) fn calendar() -> &'static Facts {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    FACTS.get_or_init(|| serde_json::from_str(include_str!("../../facts/calendar.json")).expect("a committed file"))
}

/// The Tasks API's.
pub(super) fn tasks() -> &'static Facts {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    FACTS.get_or_init(|| serde_json::from_str(include_str!("../../facts/tasks.json")).expect("a committed file"))
}

/// A method of an API.
pub(super) struct Found {
    pub(super) id: &'static str,
    method: &'static MethodFacts,
    of: &'static Facts,
}

/// The method at this address.
pub(super) fn method_of(verb: &Method, path: &str) -> Option<Found> {
    let path = path.strip_prefix('/')?;
    let matching = |m: &&MethodFacts| m.method == verb.as_str() && fits(&m.path, path);
    let all = facts().methods.iter().map(|(id, facts)| (id.as_str(), facts));
    // A fixed path (`people:batchGet`) wins over one with a place-holder.
    let mut found: Vec<(&str, &MethodFacts)> = all.filter(|(_, m)| matching(m)).collect();
    found.sort_by_key(|(_, m)| m.path.matches('{').count());
    found.first().map(|(id, method)| Found { id, method, of: facts() })
}

fn fits(pattern: &str, path: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('{') else { return pattern == path };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let middle = path.strip_prefix(before).and_then(|p| p.strip_suffix(after));
    middle.is_some_and(|id| !id.is_empty() && !id.contains(['/', ':']))
}

/// The method of Calendar at this address, whose segments after `calendar/v3` are given.
pub(super) fn calendar_method(verb: &str, path: &[String]) -> Option<Found> {
    method_at(calendar(), verb, path)
}

/// The method of an API at this address, whose segments after the API's name and version are given.
pub(super) fn method_at(of: &'static Facts, verb: &str, path: &[String]) -> Option<Found> {
    let fits = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('/').skip(2).collect();
        let same = |(part, word): (&&str, &String)| part == word || (part.starts_with('{') && !word.is_empty());
        parts.len() == path.len() && parts.iter().zip(path).all(same)
    };
    let found = of.methods.iter().find(|(_, method)| method.method == verb && fits(&method.path));
    found.map(|(id, method)| Found { id, method, of })
}

/// Parameters that every Google API accepts.
const COMMON: [&str; 5] = ["alt", "prettyPrint", "key", "fields", "quotaUser"];

impl Found {
    /// Whether one of these scopes is enough for it.
    pub(super) fn allows(&self, scopes: &[String]) -> bool {
        let short = |scope: &String| scope.rsplit('/').next().unwrap_or_default().to_owned();
        scopes.iter().any(|scope| self.method.scopes.contains(&short(scope)))
    }

    pub(super) fn check_query(&self, query: &[(String, String)]) -> Result<(), Refusal> {
        for (name, value) in query.iter().filter(|(name, _)| !COMMON.contains(&name.as_str())) {
            let unknown = || Refusal::invalid(format!("Invalid JSON payload received. Unknown name \"{name}\""));
            let shape = self.method.query.get(name).ok_or_else(unknown)?;
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
        match &self.method.request {
            Some(schema) => self.of.check(body, schema, ""),
            None if body.as_object().is_some_and(serde_json::Map::is_empty) => Ok(()),
            None => Err(Refusal::invalid("This method takes no body.")),
        }
    }
}

impl Facts {
    /// Whether a value has the documented shape; a name that Google does not know is refused with its place.
    pub(super) fn check(&self, value: &Value, shape: &str, at: &str) -> Result<(), Refusal> {
        // `null` is a field's default, as everywhere in Google's JSON.
        if value.is_null() {
            return Ok(());
        }
        let wrong = || Err(Refusal::invalid(format!("Invalid value at '{at}'")));
        if let Some(inner) = shape.strip_prefix('[') {
            let Some(items) = value.as_array() else { return wrong() };
            let inner = inner.trim_end_matches(']');
            return items.iter().enumerate().try_for_each(|(n, item)| self.check(item, inner, &format!("{at}[{n}]")));
        }
        if let Some(inner) = shape.strip_prefix('{') {
            let Some(map) = value.as_object() else { return wrong() };
            let inner = inner.trim_end_matches('}');
            return map.iter().try_for_each(|(key, item)| self.check(item, inner, &format!("{at}[{key}]")));
        }
        let good = match shape {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64() || value.as_str().is_some_and(|s| s.parse::<i64>().is_ok()),
            "any" => true,
            list if list.contains('|') => value.as_str().is_some_and(|word| list.split('|').any(|known| known == word)),
            name => {
                let Some(schema) = self.schemas.get(name) else { return wrong() };
                let Some(object) = value.as_object() else { return wrong() };
                for (key, item) in object {
                    let Some(shape) = schema.get(key) else {
                        return Err(Refusal::invalid(format!(
                            "Invalid JSON payload received. Unknown name \"{key}\" at '{at}': Cannot find field."
                        )));
                    };
                    self.check(item, shape, &format!("{at}.{key}"))?;
                }
                true
            }
        };
        if good { Ok(()) } else { wrong() }
    }
}
