//! Which fields of a contact we read and write in this organisation, and what they hold.
use crate::wire::FieldMeta;
use serde::{Deserialize, Serialize};
use tandem_core::contact::field;
use tandem_core::record::Field;
use tandem_core::schema::{FieldSchema, FieldType};

/// Zoho takes at most this many names in `fields`.
pub(crate) const MOST_FIELDS: usize = 50;

/// What canonical contacts are made of, where the organisation has it.
pub(crate) const STANDARD: [&str; 24] = [
    "Salutation",
    "First_Name",
    "Last_Name",
    "Email",
    "Secondary_Email",
    "Phone",
    "Mobile",
    "Home_Phone",
    "Other_Phone",
    "Fax",
    "Account_Name",
    "Title",
    "Date_of_Birth",
    "Description",
    "Mailing_Street",
    "Mailing_City",
    "Mailing_State",
    "Mailing_Zip",
    "Mailing_Country",
    "Other_Street",
    "Other_City",
    "Other_State",
    "Other_Zip",
    "Other_Country",
];
const TIMES: [&str; 2] = ["Created_Time", "Modified_Time"];

/// Zoho's own book-keeping, which no person fills in.
const KEPT_BY_ZOHO: [&str; 6] =
    ["Full_Name", "Created_Time", "Modified_Time", "Last_Activity_Time", "Unsubscribed_Mode", "Unsubscribed_Time"];

/// What a free field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    Text,
    Date,
    DateTime,
    Number,
    Boolean,
    Picklist,
    Several,
}

/// A field beyond the standard ones: `custom.<api_name>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Free {
    #[serde(rename = "n")]
    pub(crate) name: String,
    #[serde(rename = "h")]
    pub(crate) holds: Holds,
}

/// The fields that we read. It travels in the cursor, so that a quiet run need not ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// Standard fields that this organisation has removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
    /// Free fields, custom ones first, as many as fit.
    #[serde(default)]
    pub(crate) free: Vec<Free>,
}

impl Layout {
    pub(crate) fn of(metas: &[FieldMeta]) -> Layout {
        let there = |name: &&&str| metas.iter().any(|meta| meta.api_name == **name);
        let without: Vec<String> = STANDARD.iter().filter(|name| !there(name)).map(|name| (*name).to_owned()).collect();
        let room = MOST_FIELDS - (STANDARD.len() - without.len()) - TIMES.len();
        let (custom, own): (Vec<&FieldMeta>, Vec<&FieldMeta>) = metas.iter().partition(|meta| meta.custom_field);
        let free = custom.into_iter().chain(own).filter_map(|meta| {
            let fits = is_free(meta);
            holds(&meta.data_type).filter(|_| fits).map(|holds| Free { name: meta.api_name.clone(), holds })
        });
        Layout { without, free: free.take(room).collect() }
    }

    /// As `fields` wants them: at most 50.
    pub(crate) fn names(&self) -> String {
        let standard = STANDARD.iter().filter(|name| self.has(name)).copied();
        let all: Vec<&str> = standard.chain(self.free.iter().map(|free| free.name.as_str())).chain(TIMES).collect();
        all.join(",")
    }

    pub(crate) fn has(&self, standard: &str) -> bool {
        !self.without.iter().any(|name| name == standard)
    }
}

fn is_free(meta: &FieldMeta) -> bool {
    let name = meta.api_name.as_str();
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain
        && meta.visible != Some(false)
        && !STANDARD.contains(&name)
        && !KEPT_BY_ZOHO.contains(&name)
        && !name.ends_with("__s")
}

fn holds(data_type: &str) -> Option<Holds> {
    Some(match data_type {
        "text" | "textarea" | "email" | "phone" | "website" => Holds::Text,
        "integer" | "bigint" | "double" | "currency" | "percent" => Holds::Number,
        "date" => Holds::Date,
        "datetime" => Holds::DateTime,
        "boolean" => Holds::Boolean,
        "picklist" => Holds::Picklist,
        "multiselectpicklist" => Holds::Several,
        _ => return None,
    })
}

/// The canonical field of each standard one.
fn canonical(standard: &str) -> Field {
    match standard {
        "Salutation" => field::SALUTATION,
        "First_Name" => field::FIRST_NAME,
        "Last_Name" => field::LAST_NAME,
        "Email" | "Secondary_Email" => field::EMAILS,
        "Account_Name" => field::COMPANY,
        "Title" => field::POSITION,
        "Date_of_Birth" => field::BIRTHDAY,
        "Description" => field::REMARKS,
        "Phone" | "Mobile" | "Home_Phone" | "Other_Phone" | "Fax" => field::PHONES,
        _ => field::ADDRESSES,
    }
}

/// What people can map, standard fields first.
pub(crate) fn schema(metas: &[FieldMeta], layout: &Layout) -> Vec<FieldSchema> {
    let mut all: Vec<FieldSchema> = Vec::new();
    for standard in STANDARD {
        let Some(meta) = metas.iter().find(|meta| meta.api_name == standard) else { continue };
        let name = canonical(standard);
        match all.iter_mut().find(|known| known.name == name) {
            Some(known) => widen(known, meta),
            None => all.push(said(name, meta, type_of(standard, meta))),
        }
    }
    for free in &layout.free {
        let Some(meta) = metas.iter().find(|meta| meta.api_name == free.name) else { continue };
        all.push(said(Field::named(format!("custom.{}", free.name)), meta, free_type(free.holds, meta)));
    }
    all
}

fn said(name: Field, meta: &FieldMeta, holds: FieldType) -> FieldSchema {
    let list = matches!(holds, FieldType::List);
    let limited = matches!(holds, FieldType::Text | FieldType::List);
    FieldSchema {
        label: label(&name, meta, list),
        name,
        max_length: meta.length.filter(|length| limited && *length > 0),
        holds,
        mandatory: meta.system_mandatory,
        read_only: meta.read_only || meta.field_read_only,
    }
}

fn label(name: &Field, meta: &FieldMeta, list: bool) -> String {
    let said = meta.display_label.clone().filter(|label| !label.is_empty()).unwrap_or(meta.field_label.clone());
    match list {
        true if *name == field::EMAILS => "E-mail addresses".to_owned(),
        true if *name == field::PHONES => "Phone numbers".to_owned(),
        true => "Addresses".to_owned(),
        false if said.is_empty() => meta.api_name.clone(),
        false => said,
    }
}

/// A list may be written where one of its fields may. E-mail addresses and phone numbers move between their fields, so the
/// shortest one limits them; the parts of an address stay where they are, so the longest one does.
fn widen(known: &mut FieldSchema, meta: &FieldMeta) {
    let other = meta.length.filter(|length| *length > 0);
    known.max_length = match (known.max_length, other) {
        (Some(a), Some(b)) if known.name == field::ADDRESSES => Some(a.max(b)),
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    known.mandatory |= meta.system_mandatory;
    known.read_only &= meta.read_only || meta.field_read_only;
}

fn type_of(standard: &str, meta: &FieldMeta) -> FieldType {
    match canonical(standard) {
        name if [field::EMAILS, field::PHONES, field::ADDRESSES].contains(&name) => FieldType::List,
        name if name == field::BIRTHDAY => FieldType::Date,
        name if name == field::SALUTATION && !meta.pick_list_values.is_empty() => picklist(meta, false),
        _ => FieldType::Text,
    }
}

fn free_type(holds: Holds, meta: &FieldMeta) -> FieldType {
    match holds {
        Holds::Text => FieldType::Text,
        Holds::Date => FieldType::Date,
        Holds::DateTime => FieldType::DateTime,
        Holds::Number => FieldType::Number,
        Holds::Boolean => FieldType::Boolean,
        Holds::Picklist => picklist(meta, false),
        Holds::Several => picklist(meta, true),
    }
}

/// `-None-` is Zoho's word for an empty choice.
fn picklist(meta: &FieldMeta, several: bool) -> FieldType {
    let used = meta.pick_list_values.iter().filter(|value| value.usage.as_deref() != Some("unused"));
    let values = used.map(|value| value.actual_value.clone().unwrap_or_else(|| value.display_value.clone()));
    FieldType::Picklist { values: values.filter(|value| value != "-None-").collect(), several }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(name: &str, data_type: &str) -> FieldMeta {
        FieldMeta { api_name: name.into(), field_label: name.into(), data_type: data_type.into(), ..Default::default() }
    }

    #[test]
    fn custom_fields_come_first_and_no_more_than_zoho_takes_are_asked_for() {
        let mut metas: Vec<FieldMeta> = STANDARD.iter().map(|name| meta(name, "text")).collect();
        metas.push(meta("Department", "text"));
        metas.push(meta("Owner", "ownerlookup"));
        metas.push(meta("Locked__s", "boolean"));
        for n in 0..40 {
            metas.push(FieldMeta { custom_field: true, ..meta(&format!("Extra_{n}"), "double") });
        }
        let layout = Layout::of(&metas);
        let names = layout.names();
        assert_eq!(names.split(',').count(), MOST_FIELDS);
        assert!(names.contains("Extra_23,Created_Time") && !names.contains("Owner") && !names.contains("Locked__s"));
        let schema = schema(&metas, &layout);
        assert!(schema.iter().any(|field| field.name.as_str() == "custom.Extra_0" && field.holds == FieldType::Number));
    }

    #[test]
    fn a_removed_standard_field_is_not_asked_for() {
        let layout = Layout::of(&[meta("Last_Name", "text"), meta("Email", "email"), meta("Department", "text")]);
        assert_eq!(layout.names(), "Last_Name,Email,Department,Created_Time,Modified_Time");
    }

    #[test]
    fn lists_are_limited_by_the_field_that_they_may_end_in() {
        let sized = |name: &str, length| FieldMeta { length: Some(length), ..meta(name, "text") };
        let metas = [sized("Phone", 50), sized("Mobile", 30), sized("Mailing_Zip", 30), sized("Mailing_Street", 250)];
        let schema = schema(&metas, &Layout::of(&metas));
        let most = |name: Field| schema.iter().find(|field| field.name == name).and_then(|field| field.max_length);
        assert_eq!((most(field::PHONES), most(field::ADDRESSES)), (Some(30), Some(250)));
    }
}
