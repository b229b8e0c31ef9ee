//! Requests and their answers, without I/O.
use crate::error;
use crate::wire::Many;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tandem_ports::error::Result;

/// Sell refuses a request without it (400 `invalid_user_agent`).
pub(crate) const USER_AGENT: &str = concat!("Tandem/", env!("CARGO_PKG_VERSION"));
/// Sell's maximum for `per_page`, and the most ids that we ask for at once.
pub(crate) const PAGE: usize = 100;

/// A request and what errors call it.
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Json>,
    pub(crate) device: Option<String>,
}

impl Call {
    fn new(operation: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self { operation, method, path: path.into(), query: Vec::new(), body: None, device: None }
    }

    /// Lists contacts, by these filters.
    pub(crate) fn list(query: Vec<(&'static str, String)>) -> Self {
        Self { query, ..Self::new("contacts.list", Method::GET, "/v2/contacts") }
    }
    pub(crate) fn get(id: u64) -> Self {
        Self::new("contacts.get", Method::GET, format!("/v2/contacts/{id}"))
    }
    pub(crate) fn create(data: Json) -> Self {
        let body = Some(json!({"data": data, "meta": {"type": "contact"}}));
        Self { body, ..Self::new("contacts.create", Method::POST, "/v2/contacts") }
    }
    pub(crate) fn update(id: u64, data: Json) -> Self {
        let body = Some(json!({"data": data, "meta": {"type": "contact"}}));
        Self { body, ..Self::new("contacts.update", Method::PUT, format!("/v2/contacts/{id}")) }
    }
    pub(crate) fn delete(id: u64) -> Self {
        Self::new("contacts.delete", Method::DELETE, format!("/v2/contacts/{id}"))
    }
    /// Lists tasks, by these filters.
    pub(crate) fn tasks(query: Vec<(&'static str, String)>) -> Self {
        Self { query, ..Self::new("tasks.list", Method::GET, "/v2/tasks") }
    }
    pub(crate) fn task(id: u64) -> Self {
        Self::new("tasks.get", Method::GET, format!("/v2/tasks/{id}"))
    }
    pub(crate) fn create_task(data: Json) -> Self {
        let body = Some(json!({"data": data, "meta": {"type": "task"}}));
        Self { body, ..Self::new("tasks.create", Method::POST, "/v2/tasks") }
    }
    pub(crate) fn update_task(id: u64, data: Json) -> Self {
        let body = Some(json!({"data": data, "meta": {"type": "task"}}));
        Self { body, ..Self::new("tasks.update", Method::PUT, format!("/v2/tasks/{id}")) }
    }
    pub(crate) fn delete_task(id: u64) -> Self {
        Self::new("tasks.delete", Method::DELETE, format!("/v2/tasks/{id}"))
    }
    /// A page of the stream of appointments behind `position`: `tail` is the oldest event that Sell still keeps.
    pub(crate) fn appointments(position: &str, limit: usize) -> Self {
        let query = vec![("position", position.to_owned()), ("limit", limit.to_string())];
        Self { query, ..Self::new("appointments.stream", Method::GET, "/v3/appointments/stream") }
    }
    /// Lists leads, by these filters.
    pub(crate) fn leads(query: Vec<(&'static str, String)>) -> Self {
        Self { query, ..Self::new("leads.list", Method::GET, "/v2/leads") }
    }
    /// Lists the documents of some records of one type; both lists are parted by commas.
    pub(crate) fn documents(resource_type: &str, ids: &[u64], page: usize) -> Self {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        let query = vec![
            ("resource_type", resource_type.to_owned()),
            ("resource_id", ids.join(",")),
            ("page", page.to_string()),
            ("per_page", PAGE.to_string()),
            ("sort_by", "id".to_owned()),
        ];
        Self { query, ..Self::new("documents.list", Method::GET, "/v2/documents") }
    }
    pub(crate) fn document(id: u64) -> Self {
        Self::new("documents.get", Method::GET, format!("/v2/documents/{id}"))
    }
    /// Lists records that documents are at, by these filters.
    pub(crate) fn holders(path: &str, query: Vec<(&'static str, String)>) -> Self {
        Self { query, ..Self::new("records.list", Method::GET, path) }
    }
    /// One of them.
    pub(crate) fn holder(path: &str, id: u64) -> Self {
        Self::new("records.get", Method::GET, format!("{path}/{id}"))
    }
    pub(crate) fn custom_fields() -> Self {
        Self::new("custom_fields.list", Method::GET, "/v2/contact/custom_fields")
    }
    pub(crate) fn whoami() -> Self {
        Self::new("users.self", Method::GET, "/v2/users/self")
    }
    pub(crate) fn tags(page: usize) -> Self {
        let query =
            vec![("resource_type", "contact".to_owned()), ("page", page.to_string()), ("per_page", PAGE.to_string())];
        Self { query, ..Self::new("tags.list", Method::GET, "/v2/tags") }
    }
    pub(crate) fn sync_start(device: &str) -> Self {
        Self { device: Some(device.to_owned()), ..Self::new("sync.start", Method::POST, "/v2/sync/start") }
    }
    pub(crate) fn sync_fetch(device: &str, session: &str) -> Self {
        // A session id comes from Sell by way of our own cursor; it goes into a path all the same.
        let session: String = url::form_urlencoded::byte_serialize(session.as_bytes()).collect();
        let call = Self::new("sync.fetch", Method::GET, format!("/v2/sync/{session}/queues/main"));
        Self { device: Some(device.to_owned()), ..call }
    }
    pub(crate) fn sync_ack(device: &str, keys: &[String]) -> Self {
        let body = Some(json!({"data": {"ack_keys": keys}}));
        Self { body, device: Some(device.to_owned()), ..Self::new("sync.ack", Method::POST, "/v2/sync/ack") }
    }

    pub(crate) fn request(self, origin: &str) -> Result<Request<Bytes>> {
        let mut uri = format!("{origin}{}", self.path);
        if !self.query.is_empty() {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
            uri = format!("{uri}?{query}");
        }
        let mut builder = Request::builder()
            .method(self.method)
            .uri(uri)
            .header("accept", "application/json")
            .header("user-agent", USER_AGENT);
        if let Some(device) = self.device {
            builder = builder.header("x-basecrm-device-uuid", device);
        }
        let mut bytes = Bytes::new();
        if let Some(body) = self.body {
            builder = builder.header("content-type", "application/json");
            bytes = Bytes::from(body.to_string());
        }
        builder.body(bytes).map_err(|_| error::refused(self.operation, "this is no address Sell could have"))
    }
}

/// The answer's body, or why there is none.
pub(crate) fn parse<T: DeserializeOwned>(operation: &'static str, response: &Response<Bytes>) -> Result<T> {
    serde_json::from_slice(response.body()).map_err(|_| error::unreadable(operation))
}

/// Whether no page follows this one, of `size` items.
pub(crate) fn is_last<T>(answer: &Many<T>, size: usize) -> bool {
    match &answer.meta.links {
        Some(links) => links.next_page.is_none() || answer.items.is_empty(),
        None => answer.items.len() < size,
    }
}
