//! Google's JSON. A person is kept as the whole object that came, so that what we do not know survives.
use crate::error::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Key of our entry in `clientData`, of persons (the marker) and of groups (the name we made it under).
pub(crate) const CLIENT_DATA_KEY: &str = "tandem";
/// The group that the contacts app shows as "Contacts". A contact must be in some group; we keep it in this one.
pub(crate) const MY_CONTACTS: &str = "contactGroups/myContacts";

/// A `Person`, untyped on purpose: see the module.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Person(pub(crate) Map<String, Value>);

impl Person {
    pub(crate) fn resource_name(&self) -> &str {
        self.0.get("resourceName").and_then(Value::as_str).unwrap_or_default()
    }

    /// Deleted since the last sync (only in answers to a sync token).
    pub(crate) fn is_deleted(&self) -> bool {
        self.0.get("metadata").and_then(|m| m.get("deleted")).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The source that holds what the user typed. Its etag guards updates.
    pub(crate) fn contact_source(&self) -> Option<&Value> {
        let sources = self.0.get("metadata")?.get("sources")?.as_array()?;
        sources.iter().find(|source| text(source, "type") == "CONTACT")
    }

    pub(crate) fn contact_etag(&self) -> Option<&str> {
        self.contact_source()?.get("etag")?.as_str().filter(|etag| !etag.is_empty())
    }

    /// When the contact was last changed.
    pub(crate) fn updated_at(&self) -> Option<jiff::Timestamp> {
        text(self.contact_source()?, "updateTime").parse().ok()
    }

    /// The entries of a repeated field that belong to the contact (not to the person's public profile).
    pub(crate) fn entries(&self, field: &str) -> impl Iterator<Item = &Value> {
        self.0.get(field).and_then(Value::as_array).into_iter().flatten().filter(|entry| is_of_contact(entry))
    }

    /// Our marker.
    pub(crate) fn marker(&self) -> Option<&str> {
        self.entries("clientData").find(|e| text(e, "key") == CLIENT_DATA_KEY).map(|e| text(e, "value"))
    }

    /// Resource names of the groups it is in.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.entries("memberships")
            .filter_map(|e| e.get("contactGroupMembership"))
            .map(|m| text(m, "contactGroupResourceName"))
            .filter(|name| !name.is_empty())
    }
}

fn is_of_contact(entry: &Value) -> bool {
    let source = entry.get("metadata").and_then(|m| m.get("source"));
    source.is_none_or(|source| text(source, "type") == "CONTACT")
}

/// A text member of an object, or "".
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// One entry of `memberships`.
pub(crate) fn membership(group: &str) -> Value {
    json!({"contactGroupMembership": {"contactGroupResourceName": group}})
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Connections {
    pub(crate) connections: Vec<Person>,
    pub(crate) next_page_token: Option<String>,
    pub(crate) next_sync_token: Option<String>,
    pub(crate) total_items: Option<u64>,
}

/// One result of a batch.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PersonResponse {
    pub(crate) person: Option<Person>,
    pub(crate) requested_resource_name: String,
    http_status_code: Option<u16>,
    pub(crate) status: Option<Status>,
}

impl PersonResponse {
    /// The item's HTTP status: `status` rules, `httpStatusCode` is its deprecated forerunner.
    pub(crate) fn http_status(&self) -> u16 {
        match (&self.status, self.http_status_code) {
            (Some(status), Some(code)) if status.http_status() == 200 => code,
            (Some(status), _) => status.http_status(),
            (None, Some(code)) => code,
            (None, None) => 200,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct GetPeople {
    pub(crate) responses: Vec<PersonResponse>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BatchCreated {
    pub(crate) created_people: Vec<PersonResponse>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BatchUpdated {
    pub(crate) update_result: BTreeMap<String, PersonResponse>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Group {
    pub(crate) resource_name: String,
    pub(crate) name: String,
    formatted_name: String,
    group_type: String,
    pub(crate) member_count: u64,
    metadata: GroupMetadata,
    client_data: Vec<GroupClientData>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupMetadata {
    deleted: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupClientData {
    key: String,
    value: String,
}

impl Group {
    pub(crate) fn is_deleted(&self) -> bool {
        self.metadata.deleted
    }
    pub(crate) fn is_made_by_user(&self) -> bool {
        self.group_type == "USER_CONTACT_GROUP"
    }
    /// The name we made it under, where it is ours. A user may have renamed it since.
    pub(crate) fn mark(&self) -> Option<&str> {
        self.client_data.iter().find(|data| data.key == CLIENT_DATA_KEY).map(|data| data.value.as_str())
    }
    /// As the contacts app shows it.
    pub(crate) fn shown_name(&self) -> &str {
        if self.formatted_name.is_empty() { &self.name } else { &self.formatted_name }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Groups {
    pub(crate) contact_groups: Vec<Group>,
    pub(crate) next_page_token: Option<String>,
}
