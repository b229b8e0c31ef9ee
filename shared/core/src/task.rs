//! The canonical task: which fields it has, and how it becomes [`Fields`] and back.
//!
//! A task is due on a day: what remembers an hour keeps it to itself, as others have no place for one.
use crate::error::Invalid;
use crate::event::Status;
use crate::normalise;
use crate::policy::{Direction, FieldRule};
use crate::record::{Field, Fields, Item, Value};
use crate::schema::{FieldSchema, FieldType};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value as Json, json};

/// The setting that a tasks profile has besides: the remote task list.
pub(crate) const LIST: &str = "remote_list";
/// The account's own list, where none is chosen.
pub const OWN_LIST: &str = "@default";

/// Canonical field names of a task.
pub mod field {
    use crate::record::Field;
    /// What is to be done, on one line.
    pub const TITLE: Field = Field::known("title");
    /// Free text.
    pub const NOTES: Field = Field::known("notes");
    /// `2026-11-25`; absent = whenever.
    pub const DUE: Field = Field::known("due");
    /// `done`; absent = open.
    pub const STATUS: Field = Field::known("status");
    /// `2026-11-25T09:00:00Z`: when it was done. A side sets it by itself when the status changes.
    pub const COMPLETED_AT: Field = Field::known("completed_at");
    /// Items: part `value`, an address on the web that the task came from.
    pub const LINKS: Field = Field::known("links");

    /// Every field of a task.
    pub const ALL: [Field; 6] = [TITLE, NOTES, DUE, STATUS, COMPLETED_AT, LINKS];
}

/// A task as both sides can say it. Empty text means "has none".
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Task {
    /// What is to be done, on one line.
    pub title: String,
    /// Free text.
    pub notes: String,
    /// The day by which.
    pub due: Option<Date>,
    /// Whether it is dealt with.
    pub status: Status,
    /// When it was; nothing while it is open.
    pub completed_at: Option<Timestamp>,
    /// Addresses on the web that it came from.
    pub links: Vec<String>,
}

/// A task is personal data: `Debug` shows its shape only.
impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("status", &self.status).field("links", &self.links.len()).finish_non_exhaustive()
    }
}

impl Task {
    /// The canonical fields.
    pub fn to_fields(&self) -> Fields {
        let done = self.status == Status::Done;
        // To the second: some sides have no more.
        let at = self.completed_at.filter(|_| done).and_then(|at| Timestamp::from_second(at.as_second()).ok());
        let texts = [
            (field::TITLE, normalise::text(&self.title)),
            (field::NOTES, normalise::lines(&self.notes)),
            (field::DUE, self.due.map(|day| day.to_string()).unwrap_or_default()),
            (field::STATUS, if done { "done".to_owned() } else { String::new() }),
            (field::COMPLETED_AT, at.map(|at| at.to_string()).unwrap_or_default()),
        ];
        let mut fields: Fields = texts.into_iter().map(|(name, text)| (name, Value::Text(text))).collect();
        let mut links: Vec<String> = self.links.iter().map(|link| link.trim().to_owned()).collect();
        links.retain(|link| !link.is_empty());
        links.sort();
        links.dedup();
        fields.set(field::LINKS, Value::Items(links.into_iter().map(|link| Item::value("", link)).collect()));
        fields
    }

    /// The task that these fields say.
    ///
    /// # Errors
    /// The field that cannot be read, and what would be right.
    pub fn from_fields(fields: &Fields) -> Result<Task, Invalid> {
        let text = |name: &Field| Some(fields.text(name)).filter(|text| !text.is_empty());
        let day = || Invalid::new("due", "must be a date such as 2026-11-25.");
        let time = || Invalid::new("completed_at", "must be a time such as 2026-11-25T09:00:00Z.");
        Ok(Task {
            title: fields.text(&field::TITLE).to_owned(),
            notes: fields.text(&field::NOTES).to_owned(),
            due: text(&field::DUE).map(|text| text.parse().map_err(|_| day())).transpose()?,
            status: if text(&field::STATUS) == Some("done") { Status::Done } else { Status::Open },
            completed_at: text(&field::COMPLETED_AT).map(|text| text.parse().map_err(|_| time())).transpose()?,
            links: fields.items(&field::LINKS).iter().map(|item| item.as_value().to_owned()).collect(),
        })
    }
}

/// These fields as a side that sets no limits has them.
pub fn schema(fields: &[Field]) -> Vec<FieldSchema> {
    fields.iter().map(|name| describe(name.clone())).collect()
}

/// The mapped fields: each as itself. When a task was done, and what it came from, each side says by itself.
pub(crate) fn field_map(direction: Direction) -> Vec<FieldRule> {
    let rule = |name: Field| FieldRule { crm: name.clone(), remote: name, direction };
    [field::TITLE, field::NOTES, field::DUE, field::STATUS].into_iter().map(rule).collect()
}

/// JSON Schema of a tasks profile's own settings.
pub(crate) fn settings_schema() -> Map<String, Json> {
    let list = json!({ "type": ["string", "null"], "maxLength": 200, "default": null,
        "description": "The task list, from choices; null: the account's own." });
    Map::from_iter([(LIST.to_owned(), list)])
}

fn describe(name: Field) -> FieldSchema {
    let (label, holds) = match name.as_str() {
        "title" => ("Title", FieldType::Text),
        "notes" => ("Notes", FieldType::Text),
        "due" => ("Due", FieldType::Date),
        "status" => ("Status", FieldType::Picklist { values: vec!["done".to_owned()], several: false }),
        "completed_at" => ("Completed at", FieldType::DateTime),
        "links" => ("Links", FieldType::List),
        other => (other, FieldType::Text),
    };
    let label = label.to_owned();
    FieldSchema::new(name, label, holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_comes_back_from_its_fields() {
        let task = Task {
            title: "Call An".into(),
            notes: "line 1\nline 2".into(),
            due: Some("2026-11-25".parse().unwrap()),
            status: Status::Done,
            completed_at: Some("2026-11-24T10:00:00Z".parse().unwrap()),
            links: vec!["https://example.com/1".into()],
        };
        assert!(Task::from_fields(&task.to_fields()).unwrap() == task);
        assert!(Task::from_fields(&Task::default().to_fields()).unwrap() == Task::default());
    }

    #[test]
    fn an_open_task_was_never_completed() {
        let reopened = Task { completed_at: Some(Timestamp::UNIX_EPOCH), ..Task::default() };
        assert!(reopened.to_fields().is_empty());
    }

    #[test]
    fn what_is_no_day_is_refused_by_name() {
        let fields = Fields::from_iter([(field::DUE, Value::Text("tomorrow".into()))]);
        assert_eq!(Task::from_fields(&fields).unwrap_err().field, "due");
    }
}
