//! Cards hold what Google's card schema has, and the manifest names the endpoints that there are.
use super::*;
use std::collections::BTreeSet;

fn facts() -> Value {
    serde_json::from_str(include_str!("../../facts/cards.json")).unwrap()
}

/// Holds a value to a type of `facts/cards.json`: `string`, `[Button]`, `Card`, `A|B`.
fn check(facts: &Value, kind: &str, value: &Value, at: &str) -> Result<(), String> {
    let refuse = |why: String| Err(format!("{at}: {why}"));
    if let Some(inner) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
        let Some(items) = value.as_array() else { return refuse("no list".to_owned()) };
        return items.iter().enumerate().try_for_each(|(n, item)| check(facts, inner, item, &format!("{at}[{n}]")));
    }
    let fits = match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        _ if kind.contains('|') => kind.split('|').any(|one| value == one),
        _ => {
            let Some(schema) = facts["schemas"].get(kind) else { return refuse(format!("no type {kind}")) };
            let Some(fields) = value.as_object() else { return refuse(format!("no {kind}")) };
            return fields.iter().try_for_each(|(name, value)| match schema.get(name).and_then(Value::as_str) {
                Some(kind) => check(facts, kind, value, &format!("{at}.{name}")),
                None => refuse(format!("{kind} has no {name}")),
            });
        }
    };
    if fits { Ok(()) } else { refuse(format!("no {kind}: {value}")) }
}

/// An answer is one of the two forms of the add-on reference ("Responses"), around cards.
pub(super) fn holds(answer: &Value) {
    let only = |value: &Value, allowed: &[&str]| {
        let fields = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
        assert!(!fields.is_empty() && fields.keys().all(|key| allowed.contains(&key.as_str())), "{value}");
    };
    only(answer, &["action", "renderActions"]);
    let action = answer.get("action").unwrap_or_else(|| {
        only(&answer["renderActions"], &["action"]);
        &answer["renderActions"]["action"]
    });
    only(action, &["navigations", "notification"]);
    if let Some(notification) = action.get("notification") {
        only(notification, &["text"]);
        assert!(notification["text"].as_str().is_some_and(|text| !text.is_empty()));
    }
    for navigation in action["navigations"].as_array().into_iter().flatten() {
        only(navigation, &["pushCard", "updateCard"]);
        for card in navigation.as_object().unwrap().values() {
            check(&facts(), "Card", card, "card").unwrap_or_else(|why| panic!("{why}"));
            let sections = card["sections"].as_array().unwrap();
            for widget in sections.iter().flat_map(|section| section["widgets"].as_array().unwrap()) {
                assert_eq!(widget.as_object().unwrap().len(), 1, "a widget is one thing: {widget}");
            }
        }
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let good = json!({"header": {"title": "x"}, "sections": [{"widgets": [{"textParagraph": {"text": "x"}}]}]});
    assert_eq!(check(&facts(), "Card", &good, "card"), Ok(()));
    for bad in [
        json!({"heading": {}}),
        json!({"header": {"title": 3}}),
        json!({"sections": {}}),
        json!({"sections": [{"widgets": [{"paragraph": {}}]}]}),
        json!({"displayStyle": "WIDE"}),
    ] {
        assert!(check(&facts(), "Card", &bad, "card").is_err(), "{bad}");
    }
}

fn addresses(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.contains("/gmail-addon/").then(|| text.clone()).into_iter().collect(),
        Value::Array(all) => all.iter().flat_map(addresses).collect(),
        Value::Object(all) => all.values().flat_map(addresses).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[tokio::test]
async fn the_manifest_names_endpoints_that_answer_with_a_card() {
    let manifest: Value = serde_json::from_str(include_str!("../../../../infra/gmail-addon/deployment.json")).unwrap();
    let world = world().await;
    let named = addresses(&manifest);
    let ends: BTreeSet<&str> = named.iter().map(|at| at.rsplit_once("/gmail-addon/").unwrap().1).collect();
    assert_eq!(ends, BTreeSet::from(["home", "message", "compose"]));
    assert!(named.iter().all(|at| at.starts_with("https://tandem.example/gmail-addon/")), "one origin to replace");
    for endpoint in ends {
        let answer = world.jan_asks(endpoint, json!({})).await;
        holds(&answer);
        assert!(answer.get("action").is_some(), "a trigger is answered with a card: {answer}");
    }
    // Google's own token comes in `Authorization`, as `access.rs` demands.
    assert_eq!(manifest["addOns"]["httpOptions"], json!({"authorizationHeader": "SYSTEM_ID_TOKEN"}));
}
