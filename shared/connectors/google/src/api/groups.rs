//! `contactGroups.*` of the People API.
use super::{Call, checked, get, post};
use crate::wire::CLIENT_DATA_KEY;
use serde_json::json;
use tandem_ports::error::Result;

/// All that `groupFields` may name.
const GROUP_FIELDS: (&str, &str) = ("groupFields", "clientData,groupType,memberCount,metadata,name");

/// `contactGroups.get`, without its members.
pub(crate) fn get_one(origin: &str, name: &str) -> Result<Call> {
    const OPERATION: &str = "people.contactGroups.get";
    let path = format!("/v1/{}", checked(OPERATION, name, "contactGroups/")?);
    get(OPERATION, origin, &path, &[GROUP_FIELDS])
}

/// A page of `contactGroups.list`.
pub(crate) fn list(origin: &str, page_token: Option<&str>) -> Result<Call> {
    let mut query = vec![("pageSize", "1000"), GROUP_FIELDS];
    query.extend(page_token.map(|token| ("pageToken", token)));
    get("people.contactGroups.list", origin, "/v1/contactGroups", &query)
}

/// `contactGroups.create`, with our mark on it.
pub(crate) fn create(origin: &str, name: &str) -> Result<Call> {
    let body = json!({
        "contactGroup": {"name": name, "clientData": [{"key": CLIENT_DATA_KEY, "value": name}]},
        "readGroupFields": "clientData,groupType,metadata,name",
    });
    post("people.contactGroups.create", origin, "/v1/contactGroups", &body)
}
