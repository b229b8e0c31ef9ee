//! JSON attributes ↔ native DynamoDB values, so that the console, filters and TTL see numbers as numbers.
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};
use std::collections::HashMap;
use tandem_ports::table::{Item, Key};

/// The table's key attributes.
pub(crate) const PK: &str = "PK";
/// See [`PK`].
pub(crate) const SK: &str = "SK";

/// An item as DynamoDB carries it.
pub(crate) type Native = HashMap<String, AttributeValue>;

/// The stored form of a value.
pub(crate) fn to_native(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(truth) => AttributeValue::Bool(*truth),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(list) => AttributeValue::L(list.iter().map(to_native).collect()),
        Value::Object(map) => AttributeValue::M(map.iter().map(|(name, v)| (name.clone(), to_native(v))).collect()),
    }
}

/// A stored value as JSON. Types that this service never writes (sets, binary) are an error with their name.
pub(crate) fn from_native(value: AttributeValue) -> Result<Value, UnexpectedType> {
    if let AttributeValue::S(text) = value {
        return Ok(Value::String(text));
    }
    if let AttributeValue::N(digits) = value {
        return digits.parse::<Number>().map(Value::Number).map_err(|_| UnexpectedType("N"));
    }
    if let AttributeValue::L(list) = value {
        return list.into_iter().map(from_native).collect::<Result<_, _>>().map(Value::Array);
    }
    if let AttributeValue::M(map) = value {
        return attributes(map).map(Value::Object);
    }
    match (value.as_bool(), value.as_null()) {
        (Ok(truth), _) => Ok(Value::Bool(*truth)),
        (_, Ok(_)) => Ok(Value::Null),
        (Err(_), Err(_)) => Err(UnexpectedType("a set or binary")),
    }
}

/// A value of a type that this service does not write.
#[derive(Debug, thiserror::Error)]
#[error("the table holds a value of an unexpected type: {0}")]
pub(crate) struct UnexpectedType(&'static str);

fn attributes(native: Native) -> Result<Map<String, Value>, UnexpectedType> {
    native.into_iter().map(|(name, value)| Ok((name, from_native(value)?))).collect()
}

/// The key as DynamoDB carries it.
pub(crate) fn native_key(key: &Key) -> Native {
    HashMap::from([
        (PK.to_owned(), AttributeValue::S(key.pk.clone())),
        (SK.to_owned(), AttributeValue::S(key.sk.clone())),
    ])
}

/// The whole item as DynamoDB carries it. An attribute that is `null` is not stored.
pub(crate) fn native_item(item: &Item) -> Native {
    let mut native = native_key(&item.key);
    let stored = item.attributes.iter().filter(|(_, value)| !value.is_null());
    native.extend(stored.map(|(name, value)| (name.clone(), to_native(value))));
    native
}

/// An item that DynamoDB answered.
pub(crate) fn item(mut native: Native) -> Result<Item, UnexpectedType> {
    let mut part = |name: &'static str| match native.remove(name).and_then(|value| value.as_s().ok().cloned()) {
        Some(text) => Ok(text),
        None => Err(UnexpectedType("a key that is no string")),
    };
    let key = Key { pk: part(PK)?, sk: part(SK)? };
    Ok(Item { key, attributes: attributes(native)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_item_comes_back_as_it_was_written() {
        let attributes = json!({
            "text": "Äß", "empty": "", "number": -12, "large": 9_007_199_254_740_993_i64, "yes": true,
            "list": [1, "a", null, [false]], "map": {"inner": {"x": null}},
        });
        let attributes = attributes.as_object().unwrap().clone();
        let before = Item { key: Key::new("P", "S"), attributes };
        assert_eq!(item(native_item(&before)).unwrap(), before);
    }

    #[test]
    fn numbers_are_stored_as_numbers_so_that_the_time_to_live_works() {
        assert_eq!(to_native(&json!(1_800_000_000)), AttributeValue::N("1800000000".to_owned()));
    }

    #[test]
    fn a_null_attribute_is_not_stored() {
        let attributes = json!({"gone": null, "kept": 1}).as_object().unwrap().clone();
        let native = native_item(&Item { key: Key::new("P", "S"), attributes });
        assert!(!native.contains_key("gone") && native.contains_key("kept"));
    }

    #[test]
    fn a_binary_value_is_reported_and_not_guessed() {
        assert!(from_native(AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([1u8]))).is_err());
    }
}
