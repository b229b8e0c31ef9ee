//! Sell's envelopes, and a contact as it comes.
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// `{"data": …, "meta": …}`.
#[derive(Deserialize)]
pub(crate) struct One<T> {
    pub(crate) data: T,
    #[serde(default)]
    pub(crate) meta: Meta,
}

/// `{"items": […], "meta": …}`.
#[derive(Deserialize)]
pub(crate) struct Many<T> {
    pub(crate) items: Vec<One<T>>,
    #[serde(default)]
    pub(crate) meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Meta {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) links: Option<Links>,
    /// What a sync queue still holds behind this page.
    pub(crate) count_left: Option<u64>,
    pub(crate) sync: Option<SyncMeta>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Links {
    pub(crate) next_page: Option<String>,
}

/// Both are empty where Sell leaves them out: such an item is of no kind that we know.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SyncMeta {
    pub(crate) event_type: String,
    pub(crate) ack_key: String,
}

#[derive(Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct CustomField {
    pub(crate) name: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) choices: Option<Vec<Json>>,
}

#[derive(Deserialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    /// `UTC+01:00`.
    #[serde(default)]
    pub(crate) timezone: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Tag {
    pub(crate) name: String,
}

/// A document at a record.
#[derive(Deserialize)]
pub(crate) struct Document {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) resource_type: String,
    pub(crate) resource_id: u64,
    /// In bytes.
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) updated_at: String,
    /// Good for 90 minutes.
    #[serde(default)]
    pub(crate) download_url: String,
}

/// A person, an organisation or a task, as Sell shows it. In a queue it may also be of another kind, or nothing: what is no object
/// is taken as an empty one, so that no item stops those beside it.
#[derive(Clone, Deserialize)]
#[serde(from = "Json")]
pub(crate) struct Contact(pub(crate) Map<String, Json>);

impl From<Json> for Contact {
    fn from(value: Json) -> Self {
        if let Json::Object(object) = value { Self(object) } else { Self(Map::new()) }
    }
}

impl Contact {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Json::as_str).unwrap_or_default()
    }
    pub(crate) fn id(&self) -> Option<u64> {
        self.0.get("id").and_then(Json::as_u64)
    }
    pub(crate) fn is_organization(&self) -> bool {
        self.0.get("is_organization").and_then(Json::as_bool).unwrap_or(false)
    }
    /// Whether it says that it is no organisation.
    pub(crate) fn is_surely_person(&self) -> bool {
        self.0.get("is_organization").and_then(Json::as_bool) == Some(false)
    }
    /// The user who made it.
    pub(crate) fn creator(&self) -> Option<u64> {
        self.0.get("creator_id").and_then(Json::as_u64)
    }
    /// The organisation that a person works for.
    pub(crate) fn organisation(&self) -> Option<u64> {
        self.0.get("contact_id").and_then(Json::as_u64)
    }
    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        self.0.get("tags").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
    }
    pub(crate) fn time(&self, name: &str) -> Option<jiff::Timestamp> {
        self.text(name).parse().ok()
    }
}
