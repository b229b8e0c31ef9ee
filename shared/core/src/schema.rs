//! What a side can hold: its fields with their types and limits, and whether a record fits before it is sent.
use crate::error::Invalid;
use crate::plan::Reason;
use crate::policy::{Direction, FieldRule};
use crate::record::{Field, Fields, Side, Value};
use serde::{Deserialize, Serialize};

/// What kind of value a field holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FieldType {
    /// Text.
    Text,
    /// `YYYY-MM-DD` (or `--MM-DD` where the side knows no year).
    Date,
    /// `YYYY-MM-DDThh:mm:ssZ`.
    DateTime,
    /// A number in plain decimal.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these values; a few sides take several, separated by `;`.
    Picklist {
        /// The values that the side takes.
        values: Vec<String>,
        /// Several at once, separated by `;`.
        #[serde(default)]
        several: bool,
    },
    /// A list of labelled values: e-mail addresses, phone numbers, postal addresses.
    List,
}

/// One field of a side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSchema {
    /// Canonical name: a standard one, or `custom.<name>`. What a field map names.
    #[serde(rename = "id")]
    pub name: Field,
    /// What people call it.
    #[serde(rename = "name")]
    pub label: String,
    /// What it holds.
    pub holds: FieldType,
    /// Most characters of a text (of one element of a list).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// A record without it is refused.
    #[serde(default)]
    pub mandatory: bool,
    /// The side takes no value for it.
    #[serde(default)]
    pub read_only: bool,
}

impl FieldSchema {
    /// A writable, optional field without a length limit.
    pub fn new(name: Field, label: impl Into<String>, holds: FieldType) -> FieldSchema {
        FieldSchema { name, label: label.into(), holds, max_length: None, mandatory: false, read_only: false }
    }
    /// With a length limit in characters.
    pub fn at_most(self, characters: usize) -> FieldSchema {
        FieldSchema { max_length: Some(characters), ..self }
    }
    /// As a field that every record must have.
    pub fn required(self) -> FieldSchema {
        FieldSchema { mandatory: true, ..self }
    }
    /// As a field that cannot be written.
    pub fn locked(self) -> FieldSchema {
        FieldSchema { read_only: true, ..self }
    }
}

/// What a side can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFields {
    /// The fields that it names.
    pub fields: Vec<FieldSchema>,
    /// Whether any other `custom.<name>` comes into being by being written.
    pub makes_custom: bool,
}

impl SideFields {
    /// Its field of this name; `None` for a custom one that is yet to be made.
    fn field(&self, name: &Field) -> Result<Option<&FieldSchema>, String> {
        match self.fields.iter().find(|field| field.name == *name) {
            Some(field) => Ok(Some(field)),
            None if self.makes_custom && name.as_str().starts_with("custom.") => Ok(None),
            None => Err(format!("There is no field `{name}` on this side.")),
        }
    }
}

/// Whether every mapped pair of fields is there on its side, can be written where the directions write it, and holds what
/// the other can. `rules` are those of the setting `field_map`, in its order: the error names the row by it.
pub fn judge_map(
    rules: &[FieldRule],
    direction: Direction,
    crm: &SideFields,
    remote: &SideFields,
) -> Result<(), Invalid> {
    for (index, rule) in rules.iter().enumerate() {
        let refused =
            |part: &str, message: String| Invalid::new(format!("settings.field_map[{index}].{part}"), message);
        let left = crm.field(&rule.crm).map_err(|message| refused("crm", message))?;
        let right = remote.field(&rule.remote).map_err(|message| refused("remote", message))?;
        for (side, field, part) in [(Side::Left, left, "crm"), (Side::Right, right, "remote")] {
            let written = direction.may_write(side) && rule.direction.may_write(side);
            if let Some(field) = field.filter(|field| written && field.read_only) {
                let message = format!("`{}` cannot be written on this side; map it the other way only.", field.label);
                return Err(refused(part, message));
            }
        }
        // A field that is yet to be made holds text.
        let is_list = |field: Option<&FieldSchema>| field.is_some_and(|field| field.holds == FieldType::List);
        if is_list(left) != is_list(right) {
            let message = format!("`{}` and `{}` do not fit: only one of them is a list.", rule.crm, rule.remote);
            return Err(refused("remote", message));
        }
    }
    Ok(())
}

/// Whether a record fits the side that it is to be written to. `written` are the fields that an update writes; `None`
/// for a new record. The reason names the field and what would be right, and no value.
pub fn check(schema: &[FieldSchema], fields: &Fields, written: Option<&[Field]>) -> Result<(), Reason> {
    for field in schema.iter().filter(|field| written.is_none_or(|written| written.contains(&field.name))) {
        let value = fields.get(&field.name);
        if field.mandatory && value.is_none() {
            return Err(Reason::new("missing_fields", format!("`{}` is mandatory there and empty here.", field.label)));
        }
        let Some(value) = value else { continue };
        if let Err(what) = fits(field, value) {
            return Err(Reason::new("unfit_field", format!("`{}` {what}", field.label)));
        }
    }
    Ok(())
}

fn fits(field: &FieldSchema, value: &Value) -> Result<(), String> {
    let longest = match value {
        Value::Text(text) => text.chars().count(),
        Value::Items(items) => {
            items.iter().flat_map(|item| item.parts.values()).map(|part| part.chars().count()).max().unwrap_or(0)
        }
    };
    if let Some(most) = field.max_length.filter(|most| longest > *most) {
        return Err(format!("is too long: {longest} characters, and at most {most} fit."));
    }
    let Value::Text(text) = value else { return Ok(()) };
    match &field.holds {
        FieldType::Text | FieldType::List => Ok(()),
        FieldType::Date if crate::normalise::is_date(text) => Ok(()),
        FieldType::Date => Err("must be a date such as 2026-11-25.".to_owned()),
        FieldType::DateTime if text.parse::<jiff::Timestamp>().is_ok() => Ok(()),
        FieldType::DateTime => Err("must be a time such as 2026-11-25T09:00:00Z.".to_owned()),
        FieldType::Number if text.parse::<f64>().is_ok_and(f64::is_finite) => Ok(()),
        FieldType::Number => Err("must be a number.".to_owned()),
        FieldType::Boolean if ["true", "false"].contains(&text.as_str()) => Ok(()),
        FieldType::Boolean => Err("must be `true` or `false`.".to_owned()),
        FieldType::Picklist { values, several } => {
            let mut chosen: Box<dyn Iterator<Item = &str>> = if *several {
                Box::new(text.split(';').map(str::trim))
            } else {
                Box::new(std::iter::once(text.as_str()))
            };
            match chosen.all(|one| values.iter().any(|value| value == one)) {
                true => Ok(()),
                false => Err("is none of the values that the list there has.".to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::field;

    fn text(name: &Field, value: &str) -> Fields {
        Fields::from_iter([(name.clone(), Value::Text(value.to_owned()))])
    }

    #[test]
    fn a_record_that_does_not_fit_is_named_by_field_before_it_is_sent() {
        let vip = Field::named("custom.vip");
        let gold = FieldType::Picklist { values: vec!["gold".into(), "silver".into()], several: false };
        let colours = FieldType::Picklist { values: vec!["red".into(), "blue".into()], several: true };
        let cases = [
            (FieldSchema::new(field::LAST_NAME, "Last name", FieldType::Text).required(), text(&vip, "x"), false),
            (
                FieldSchema::new(field::LAST_NAME, "Last name", FieldType::Text).at_most(3),
                text(&field::LAST_NAME, "Jané"),
                false,
            ),
            (
                FieldSchema::new(field::LAST_NAME, "Last name", FieldType::Text).at_most(4),
                text(&field::LAST_NAME, "Jané"),
                true,
            ),
            (FieldSchema::new(vip.clone(), "VIP", gold.clone()), text(&vip, "bronze"), false),
            (FieldSchema::new(vip.clone(), "VIP", gold), text(&vip, "gold"), true),
            (FieldSchema::new(vip.clone(), "VIP", colours), text(&vip, "red; blue"), true),
            (FieldSchema::new(vip.clone(), "VIP", FieldType::Number), text(&vip, "twelve"), false),
            (FieldSchema::new(vip.clone(), "VIP", FieldType::Boolean), text(&vip, "yes"), false),
            (FieldSchema::new(vip.clone(), "VIP", FieldType::Date), text(&vip, "2026-02-30"), false),
            (FieldSchema::new(vip.clone(), "VIP", FieldType::Date), text(&vip, "--02-29"), true),
        ];
        for (schema, fields, fit) in cases {
            let judged = check(std::slice::from_ref(&schema), &fields, None);
            assert_eq!(judged.is_ok(), fit, "{schema:?}");
            if let Err(reason) = judged {
                assert!(reason.message.contains(&schema.label), "{reason:?}");
            }
        }
    }

    #[test]
    fn only_what_is_written_is_judged() {
        let long = FieldSchema::new(field::REMARKS, "Remarks", FieldType::Text).at_most(1);
        let remarks = text(&field::REMARKS, "old and long");
        check(std::slice::from_ref(&long), &remarks, Some(&[field::LAST_NAME])).unwrap();
        check(&[long], &remarks, Some(&[field::REMARKS])).unwrap_err();
        let name = FieldSchema::new(field::LAST_NAME, "Last name", FieldType::Text).required();
        check(std::slice::from_ref(&name), &remarks, Some(&[field::REMARKS])).unwrap();
        check(&[name], &remarks, Some(&[field::LAST_NAME])).unwrap_err();
    }

    #[test]
    fn a_mapping_that_a_side_cannot_hold_is_named_by_its_row() {
        let (score, tags) = (Field::named("custom.score"), Field::named("custom.tags"));
        let crm = SideFields {
            fields: vec![
                FieldSchema::new(field::LAST_NAME, "Last name", FieldType::Text),
                FieldSchema::new(score.clone(), "Score", FieldType::Number).locked(),
                FieldSchema::new(tags.clone(), "Tags", FieldType::List),
            ],
            makes_custom: false,
        };
        let remote = SideFields {
            fields: vec![FieldSchema::new(field::LAST_NAME, "Last name", FieldType::Text)],
            makes_custom: true,
        };
        let made = Field::named("custom.made");
        let rule =
            |crm: &Field, remote: &Field, direction| FieldRule { crm: crm.clone(), remote: remote.clone(), direction };
        let good = rule(&field::LAST_NAME, &field::LAST_NAME, Direction::Both);
        for (second, direction, expected) in [
            (rule(&score, &made, Direction::CrmToRemote), Direction::Both, None),
            (rule(&score, &made, Direction::Both), Direction::CrmToRemote, None),
            (rule(&score, &made, Direction::Both), Direction::Both, Some("crm")),
            (rule(&made, &made, Direction::CrmToRemote), Direction::Both, Some("crm")),
            (rule(&score, &field::BIRTHDAY, Direction::CrmToRemote), Direction::Both, Some("remote")),
            (rule(&tags, &made, Direction::CrmToRemote), Direction::Both, Some("remote")),
        ] {
            let judged = judge_map(&[good.clone(), second.clone()], direction, &crm, &remote);
            let named = judged.err().map(|invalid| invalid.field);
            assert_eq!(named, expected.map(|part| format!("settings.field_map[1].{part}")), "{second:?} {direction:?}");
        }
    }
}
