//! `people.*` of the People API.
use super::{Call, checked, get, post};
use crate::error;
use crate::map::PERSON_FIELDS;
use serde_json::{Map, Value, json};
use tandem_ports::error::Result;

/// Only what the user keeps as a contact, never the person's public profile.
const SOURCES: (&str, &str) = ("sources", "READ_SOURCE_TYPE_CONTACT");
/// Most people in one `batchGet`, `batchCreateContacts` and `batchUpdateContacts`.
pub(crate) const BATCH: usize = 200;
/// Most people in one `batchDeleteContacts`.
pub(crate) const DELETE_BATCH: usize = 500;

/// A page of `people.connections.list`. Every page and every delta must repeat the parameters of the first call.
pub(crate) fn list(
    origin: &str,
    page_size: u16,
    page_token: Option<&str>,
    sync_token: Option<&str>,
    want_sync_token: bool,
) -> Result<Call> {
    let size = page_size.to_string();
    let mut query = vec![("personFields", PERSON_FIELDS), ("pageSize", size.as_str()), SOURCES];
    if want_sync_token {
        query.push(("requestSyncToken", "true"));
    }
    query.extend(page_token.map(|token| ("pageToken", token)));
    query.extend(sync_token.map(|token| ("syncToken", token)));
    get("people.connections.list", origin, "/v1/people/me/connections", &query)
}

/// `people.getBatchGet`: live state of up to [`BATCH`] people.
pub(crate) fn batch_get(origin: &str, names: &[&str]) -> Result<Call> {
    const OPERATION: &str = "people.getBatchGet";
    let mut query = vec![("personFields", PERSON_FIELDS), SOURCES];
    for name in names {
        query.push(("resourceNames", checked(OPERATION, name, "people/")?));
    }
    get(OPERATION, origin, "/v1/people:batchGet", &query)
}

/// `people.batchCreateContacts`.
pub(crate) fn batch_create(origin: &str, people: Vec<Map<String, Value>>) -> Result<Call> {
    let contacts: Vec<Value> = people.into_iter().map(|person| json!({"contactPerson": person})).collect();
    let body = json!({"contacts": contacts, "readMask": PERSON_FIELDS, "sources": [SOURCES.1]});
    post("people.batchCreateContacts", origin, "/v1/people:batchCreateContacts", &body)
}

/// `people.batchUpdateContacts`: one mask for all of them.
pub(crate) fn batch_update(origin: &str, people: Map<String, Value>, mask: &str) -> Result<Call> {
    const OPERATION: &str = "people.batchUpdateContacts";
    for name in people.keys() {
        checked(OPERATION, name, "people/")?;
    }
    let body = json!({"contacts": people, "updateMask": mask, "readMask": PERSON_FIELDS, "sources": [SOURCES.1]});
    post(OPERATION, origin, "/v1/people:batchUpdateContacts", &body)
}

/// `people.batchDeleteContacts`.
pub(crate) fn batch_delete(origin: &str, names: &[&str]) -> Result<Call> {
    const OPERATION: &str = "people.batchDeleteContacts";
    if names.len() > DELETE_BATCH {
        return Err(error::refused(OPERATION, "too many contacts at once"));
    }
    let names = names.iter().map(|name| checked(OPERATION, name, "people/")).collect::<Result<Vec<&str>>>()?;
    post(OPERATION, origin, "/v1/people:batchDeleteContacts", &json!({"resourceNames": names}))
}
