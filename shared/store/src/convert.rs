//! Typed items ↔ table items, through serde.
use crate::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tandem_ports::table::{Item, Key};

/// The attributes of a value that serialises to a JSON object.
pub fn attributes<T: Serialize>(value: &T) -> Map<String, Value> {
    let json = serde_json::to_value(value).expect("our own types serialise");
    if let Value::Object(map) = json { map } else { Map::from_iter([("value".to_owned(), json)]) }
}

/// The item of a value.
pub fn item<T: Serialize>(key: Key, value: &T) -> Item {
    Item { key, attributes: attributes(value) }
}

/// The value of an item.
pub fn read<T: DeserializeOwned>(what: &'static str, item: Item) -> Result<T, StoreError> {
    serde_json::from_value(Value::Object(item.attributes)).map_err(|source| StoreError::Unreadable { what, source })
}

/// Keeps one more attribute of an item.
pub fn with(mut item: Item, name: &str, value: impl Into<Value>) -> Item {
    item.attributes.insert(name.to_owned(), value.into());
    item
}
