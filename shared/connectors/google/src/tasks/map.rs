//! Wire ↔ canonical, pure.
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tandem_core::event::Status;
use tandem_core::normalise;
use tandem_core::record::{Field, RemoteId, Scope, Version};
use tandem_core::task::Task;
use tandem_ports::connector::{Change, Fetched};

/// A page of tasks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    #[serde(default)]
    pub(super) items: Vec<Item>,
    pub(super) next_page_token: Option<String>,
}

/// A page of task lists.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lists {
    #[serde(default)]
    pub(super) items: Vec<List>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct List {
    pub(super) id: String,
    #[serde(default)]
    pub(super) title: String,
}

/// A task resource, all of it.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Item(Map<String, Value>);

impl Item {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }
    pub(super) fn id(&self) -> &str {
        self.text("id")
    }
    pub(super) fn etag(&self) -> &str {
        self.text("etag")
    }
    pub(super) fn is_deleted(&self) -> bool {
        self.0.get("deleted").and_then(Value::as_bool).unwrap_or_default()
    }
    pub(super) fn updated_at(&self) -> Option<jiff::Timestamp> {
        self.text("updated").parse().ok()
    }
}

fn task(item: &Item) -> Task {
    let links = item.0.get("links").and_then(Value::as_array).into_iter().flatten();
    Task {
        title: item.text("title").to_owned(),
        notes: item.text("notes").to_owned(),
        // A day, written as midnight UTC; an hour is never kept.
        due: item.text("due").get(..10).and_then(|day| day.parse().ok()),
        status: if item.text("status") == "completed" { Status::Done } else { Status::Open },
        completed_at: item.text("completed").parse().ok(),
        links: links.filter_map(|link| Some(link.get("link")?.as_str()?.to_owned())).collect(),
    }
}

/// A task as read, or why it is none.
pub(super) fn fetched(item: Item) -> Result<Fetched, String> {
    if item.id().is_empty() || item.etag().is_empty() {
        return Err("Google shows no version of this task".to_owned());
    }
    Ok(Fetched {
        id: RemoteId::new(item.id()),
        version: Version::new(item.etag()),
        scope: Scope::Inside,
        marker: None,
        fields: task(&item).to_fields(),
        modified_at: item.updated_at(),
        raw: Value::Object(item.0),
    })
}

/// As it was listed.
pub(super) fn change(item: Item) -> Change {
    if item.is_deleted() {
        return Change::Tombstone { id: RemoteId::new(item.id()) };
    }
    let id = RemoteId::new(item.id());
    fetched(item).map_or_else(|reason| Change::Unreadable { id, reason }, |read| Change::Upsert(Box::new(read)))
}

/// The body of a change of these fields, by patch semantics: what it does not name stays, `null` empties.
pub(super) fn body(wanted: &Task, changed: &[Field]) -> Map<String, Value> {
    let mut body = Map::new();
    let text = |text: String| if text.is_empty() { Value::Null } else { Value::String(text) };
    for name in changed {
        let (key, value) = match name.as_str() {
            "title" => ("title", json!(normalise::text(&wanted.title))),
            "notes" => ("notes", text(normalise::lines(&wanted.notes))),
            "due" => ("due", wanted.due.map_or(Value::Null, |day| json!(format!("{day}T00:00:00.000Z")))),
            "status" => ("status", json!(if wanted.status == Status::Done { "completed" } else { "needsAction" })),
            // Google's to say.
            _ => continue,
        };
        body.insert(key.to_owned(), value);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::task::field;

    #[test]
    fn a_day_is_read_and_written_as_midnight_utc() {
        let item: Item =
            serde_json::from_value(json!({"id": "a", "etag": "\"1\"", "due": "2026-11-25T00:00:00.000Z"})).unwrap();
        let read = task(&item);
        assert_eq!(read.due.unwrap().to_string(), "2026-11-25");
        assert_eq!(body(&read, &field::ALL)["due"], "2026-11-25T00:00:00.000Z");
        assert!(!body(&read, &field::ALL).contains_key("links"));
    }
}
