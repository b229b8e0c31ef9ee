//! Teamleader's wire form: contacts stay the JSON that came, as a write must give back what the canonical form cannot say.
use crate::api::files::{FileSubject, NewFile};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `{"data": …}`; lists may also say how many records match, but the specification of `contacts.list` does not promise it.
#[derive(Deserialize)]
pub(crate) struct Data<T> {
    pub(crate) data: T,
    #[serde(default)]
    pub(crate) meta: Option<Meta>,
}

#[derive(Deserialize)]
pub(crate) struct Meta {
    #[serde(default)]
    pub(crate) matches: Option<u64>,
}

/// The answer to a create.
#[derive(Deserialize)]
pub(crate) struct Made {
    pub(crate) id: String,
}

/// A contact as a list shows it: less than the record.
#[derive(Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) added_at: String,
    #[serde(default)]
    pub(crate) updated_at: String,
}

/// A company as a list shows it.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Company {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) telephones: Vec<Telephone>,
}

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Telephone {
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) number: String,
}

#[derive(Deserialize)]
pub(crate) struct Tag {
    pub(crate) tag: String,
}

/// A custom field as the account defines it.
#[derive(Clone, Deserialize)]
pub(crate) struct Definition {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) context: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) label: String,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) configuration: Option<Configuration>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Configuration {
    #[serde(default)]
    pub(crate) options: Vec<Choosable>,
    #[serde(default)]
    pub(crate) extra_option_allowed: bool,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Choosable {
    #[serde(default)]
    pub(crate) value: String,
}

/// A contact as `contacts.info` shows it, with the company that it takes along: what `Patch.raw` carries.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct Held {
    #[serde(default)]
    pub(crate) contact: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) company: Option<Company>,
}

impl Held {
    pub(crate) fn text(&self, name: &str) -> &str {
        text(self.contact.get(name))
    }
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.contact.get(name).and_then(Value::as_array).into_iter().flatten()
    }
    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        self.list("tags").filter_map(Value::as_str)
    }
    /// The first link to a company. Teamleader marks none as the main one.
    pub(crate) fn link(&self) -> Option<&Value> {
        self.list("companies").next()
    }
    pub(crate) fn company_id(&self) -> Option<&str> {
        let id = text(self.link()?.get("company")?.get("id"));
        (!id.is_empty()).then_some(id)
    }
}

/// A temporary address.
#[derive(Deserialize)]
pub(crate) struct Located {
    pub(crate) location: String,
    pub(crate) expires_at: String,
}

/// A file as `files.list` and `files.info` show it.
#[derive(Clone, Deserialize)]
pub(crate) struct StoredFile {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) subject: Option<FileSubject>,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) updated_at: String,
    #[serde(default)]
    pub(crate) folder: String,
}

impl StoredFile {
    /// Whether it has the name, size and folder of an upload.
    pub(crate) fn is(&self, file: &NewFile<'_>) -> bool {
        let inside = file.folder.is_none_or(|folder| self.folder == folder);
        self.name == file.name && self.size == file.size && inside
    }
}

/// The text of a value; nothing where it is none.
pub(crate) fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// A time, with or without the colon in its zone (`+01:00`, and `+0100` in the quota's headers).
pub(crate) fn time(raw: &str) -> Option<Timestamp> {
    let raw = raw.trim();
    if let Ok(time) = raw.parse() {
        return Some(time);
    }
    let at = raw.len().checked_sub(5)?;
    let zone = raw.get(at..).filter(|zone| zone.starts_with(['+', '-']))?;
    format!("{}{}:{}", raw.get(..at)?, &zone[..3], &zone[3..]).parse().ok()
}

/// One spelling of a time for comparing, in seconds UTC, as lists and records must give the same version.
pub(crate) fn stamp(raw: &str) -> String {
    time(raw).map_or_else(|| raw.to_owned(), |time| time.to_string())
}

/// A time without its fraction of a second, as Teamleader counts.
pub(crate) fn whole_second(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// A time of ours as Teamleader writes it.
pub(crate) fn sent(at: &str) -> String {
    at.strip_suffix('Z').map_or_else(|| at.to_owned(), |plain| format!("{plain}+00:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_may_lack_its_colon() {
        assert_eq!(stamp("2021-06-15T10:51:23.035+0100"), "2021-06-15T09:51:23.035Z");
        assert_eq!(stamp("2016-02-04T16:44:33+00:00"), "2016-02-04T16:44:33Z");
        assert_eq!(time("soon"), None);
        assert_eq!(time("+é100"), None);
    }
}
