//! Teamleader's own list of methods, keys and shapes (`facts/api.json`), and what a connector sends held against it.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tandem_ports::infra::{HttpTransport, TransportError};

/// Notes every request on its way.
pub struct Recorder {
    pub inner: Arc<dyn HttpTransport>,
    pub seen: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.seen.lock().expect("not poisoned").push(request.clone());
        self.inner.send(request).await
    }
}

/// Checks a value against `{"key": shape}` (an object), `[shape]` (a list), `["a", "b"]` under `"enum"`, or `"any"`.
fn check(shape: &Json, value: &Json, at: &str) {
    match (shape, value) {
        (Json::Object(shape), _) if shape.contains_key("enum") => {
            let known = shape["enum"].as_array().expect("a list");
            assert!(known.contains(value), "{at} may not be {value}");
        }
        (Json::Object(shape), Json::Object(members)) => {
            for (name, member) in members {
                let at = format!("{at}.{name}");
                check(shape.get(name).unwrap_or_else(|| panic!("{at} is not in the specification")), member, &at);
            }
        }
        (Json::Array(shape), Json::Array(items)) => items.iter().for_each(|item| check(&shape[0], item, at)),
        (Json::String(_), _) | (_, Json::Null) => {}
        _ => panic!("{at} has another shape: {value}"),
    }
}

/// Checks each request; the methods that were called.
pub fn in_the_list(requests: &[Request<Bytes>]) -> BTreeSet<String> {
    let facts: Json = serde_json::from_str(include_str!("../../facts/api.json")).expect("a committed file");
    let mut methods = BTreeSet::new();
    for request in requests {
        assert_eq!(request.method(), "POST");
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let shape = facts.get(&method).unwrap_or_else(|| panic!("there is no {method}"));
        let body: Json = serde_json::from_slice(request.body()).expect("JSON");
        check(shape, &body, &method);
        methods.insert(method);
    }
    methods
}
