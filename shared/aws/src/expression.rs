//! Conditions and updates as DynamoDB expressions. Every name is a placeholder: attribute names may be reserved words.
use crate::convert::{PK, to_native};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use std::collections::HashMap;
use tandem_ports::table::{Condition, Update};

/// Placeholders of one request, shared by its update and its condition.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    fn number(&mut self, number: i64) -> String {
        self.value(AttributeValue::N(number.to_string()))
    }

    /// All conditions joined; `None` when there are none.
    pub(crate) fn conditions(&mut self, conditions: &[Condition]) -> Option<String> {
        let parts: Vec<String> = conditions.iter().map(|condition| self.condition(condition)).collect();
        if parts.is_empty() { None } else { Some(parts.join(" AND ")) }
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Absent => format!("attribute_not_exists({})", self.name(PK)),
            Condition::Present => format!("attribute_exists({})", self.name(PK)),
            Condition::Equals(name, value) => format!("{} = {}", self.name(name), self.value(to_native(value))),
            Condition::AbsentOrAtMost(name, limit) => {
                let name = self.name(name);
                format!("(attribute_not_exists({name}) OR {name} <= {})", self.number(*limit))
            }
            Condition::GreaterThan(name, limit) => format!("{} > {}", self.name(name), self.number(*limit)),
            Condition::AttributeAbsent(name) => format!("attribute_not_exists({})", self.name(name)),
        }
    }

    /// The update expression; `None` when nothing changes (the item is then only made where it is absent).
    pub(crate) fn update(&mut self, update: &Update) -> Option<String> {
        let (mut set, mut remove, mut add) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in &update.set {
            if *value == Value::Null {
                remove.push(self.name(name));
            } else {
                set.push(format!("{} = {}", self.name(name), self.value(to_native(value))));
            }
        }
        for (name, by) in &update.add {
            add.push(format!("{} {}", self.name(name), self.number(*by)));
        }
        let clauses = [("SET", set), ("REMOVE", remove), ("ADD", add)];
        let clauses = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let text: Vec<String> = clauses.map(|(word, parts)| format!("{word} {}", parts.join(", "))).collect();
        if text.is_empty() { None } else { Some(text.join(" ")) }
    }

    /// An update that changes nothing, for requests that DynamoDB refuses without one (transactions).
    pub(crate) fn touch(&mut self) -> String {
        format!("REMOVE {}", self.name("tandem_touch"))
    }

    /// A value of a key condition.
    pub(crate) fn text(&mut self, text: impl Into<String>) -> String {
        self.value(AttributeValue::S(text.into()))
    }

    /// A name of a key condition.
    pub(crate) fn attribute(&mut self, name: &str) -> String {
        self.name(name)
    }

    /// The placeholders' names; `None` when there are none, as DynamoDB refuses an empty map.
    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        if self.names.is_empty() { None } else { Some(self.names.clone()) }
    }

    /// The placeholders' values; `None` when there are none.
    pub(crate) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        if self.values.is_empty() { None } else { Some(self.values.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_update_sets_removes_and_adds_in_one_expression() {
        let set = json!({"a": 1, "b": null}).as_object().unwrap().clone();
        let mut expression = Expression::default();
        let text = expression.update(&Update { set, add: vec![("n", 2)] }).unwrap();
        assert_eq!(text, "SET #n0 = :v0 REMOVE #n1 ADD #n2 :v1");
        assert_eq!(expression.names().unwrap()["#n1"], "b");
    }

    #[test]
    fn an_empty_update_and_no_conditions_need_no_placeholders() {
        let mut expression = Expression::default();
        assert_eq!(expression.update(&Update::default()), None);
        assert_eq!(expression.conditions(&[]), None);
        assert!(expression.names().is_none() && expression.values().is_none());
    }

    #[test]
    fn alternatives_keep_their_brackets_beside_other_conditions() {
        let mut expression = Expression::default();
        let text = expression.conditions(&[Condition::Present, Condition::AbsentOrAtMost("fence", 3)]).unwrap();
        assert_eq!(text, "attribute_exists(#n0) AND (attribute_not_exists(#n1) OR #n1 <= :v0)");
    }
}
