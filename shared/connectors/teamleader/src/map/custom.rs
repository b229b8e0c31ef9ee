//! Custom fields: `custom.<id of the definition>`, as labels change and may occur twice.
use crate::wire::{Definition, text};
use serde_json::{Value, json};
use tandem_core::record::Field;
use tandem_core::schema::{FieldSchema, FieldType};

/// What one custom field of a contact says. References to other records are shown by nobody's name, so they are left out.
pub(super) fn shown(entry: &Value) -> Option<(String, String)> {
    let id = text(entry.get("definition")?.get("id"));
    let said = match entry.get("value")? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";"),
        Value::Null | Value::Object(_) => return None,
    };
    (!id.is_empty()).then(|| (id.to_owned(), said))
}

/// The entry of `custom_fields` that makes this field say `said`; nothing for fields that cannot be written.
pub(super) fn written(name: &str, said: &str, definitions: &[Definition]) -> Option<Value> {
    let id = name.strip_prefix("custom.")?;
    let definition = definitions.iter().find(|definition| definition.id == id)?;
    Some(json!({"id": id, "value": wire_value(definition, said)?}))
}

/// The value in the type of the definition; `None` where that type cannot be written or does not fit.
fn wire_value(definition: &Definition, said: &str) -> Option<Value> {
    let holds = type_of(definition)?;
    if said.is_empty() {
        return Some(Value::Null);
    }
    match holds {
        FieldType::Boolean => said.parse::<bool>().ok().map(Value::Bool),
        FieldType::Number => serde_json::from_str::<serde_json::Number>(said).ok().map(Value::Number),
        FieldType::Picklist { several: true, .. } => {
            Some(said.split(';').map(str::trim).filter(|one| !one.is_empty()).map(|one| json!(one)).collect())
        }
        FieldType::Picklist { several: false, .. }
        | FieldType::Text
        | FieldType::Date
        | FieldType::DateTime
        | FieldType::List => Some(json!(said)),
    }
}

/// `None`: Teamleader counts it itself, or it refers to another record.
fn type_of(definition: &Definition) -> Option<FieldType> {
    let options = || {
        let configuration = definition.configuration.as_ref();
        let options = configuration.filter(|c| !c.extra_option_allowed).map(|c| &c.options);
        options.map(|options| options.iter().map(|option| option.value.clone()).collect::<Vec<_>>())
    };
    Some(match definition.kind.as_str() {
        "single_line" | "multi_line" | "email" | "telephone" | "url" => FieldType::Text,
        "date" => FieldType::Date,
        "money" | "integer" | "number" => FieldType::Number,
        "boolean" => FieldType::Boolean,
        "single_select" => options().map_or(FieldType::Text, |values| FieldType::Picklist { values, several: false }),
        "multi_select" => {
            // A list that takes further options still takes several; no value of it can be judged here.
            options().map_or(FieldType::Picklist { values: Vec::new(), several: true }, |values| FieldType::Picklist {
                values,
                several: true,
            })
        }
        _ => return None,
    })
}

/// The field as the settings offer it.
pub(crate) fn schema_of(definition: &Definition) -> FieldSchema {
    let name = Field::named(format!("custom.{}", definition.id));
    let label = if definition.label.is_empty() { definition.id.clone() } else { definition.label.clone() };
    let open_list = definition.kind == "multi_select"
        && definition.configuration.as_ref().is_none_or(|configuration| configuration.extra_option_allowed);
    let Some(holds) = type_of(definition) else {
        return FieldSchema::new(name, label, FieldType::Text).locked();
    };
    let holds = if open_list { FieldType::Text } else { holds };
    let field = FieldSchema::new(name, label, holds);
    if definition.required { field.required() } else { field }
}
