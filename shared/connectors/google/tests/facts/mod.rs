//! What was asked and answered, and Google's own lists (`facts/*.json`) to check both by.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value as Json;
use std::sync::{Arc, Mutex};
use tandem_ports::infra::{HttpTransport, TransportError};

/// One call, alone or taken out of a batch.
pub struct Exchange {
    pub method: String,
    /// Without the first `/`.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Option<Json>,
    pub status: u16,
    pub answer: Option<Json>,
}

/// Keeps what passes through it.
pub struct Recorder {
    inner: Arc<dyn HttpTransport>,
    seen: Mutex<Vec<Exchange>>,
}

impl Recorder {
    pub fn of(inner: Arc<dyn HttpTransport>) -> Arc<Self> {
        Arc::new(Self { inner, seen: Mutex::default() })
    }
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.seen.lock().expect("not poisoned"))
    }
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let asked = request.clone();
        let answer = self.inner.send(request).await?;
        let found = match asked.uri().path().starts_with("/batch/") {
            true => inner_calls(&asked, &answer),
            false => {
                let target = asked.uri().path_and_query().expect("a path").as_str();
                let body = json_of(&asked);
                vec![exchange(asked.method().as_str(), target, &body, answer.status().as_u16(), answer.body())]
            }
        };
        self.seen.lock().expect("not poisoned").extend(found);
        Ok(answer)
    }
}

/// The body, or the JSON of one that brings bytes along (`multipart/related`).
fn json_of(asked: &Request<Bytes>) -> Bytes {
    let kind = asked.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let Some(boundary) = kind.strip_prefix("multipart/related; boundary=") else { return asked.body().clone() };
    let text = String::from_utf8_lossy(asked.body());
    let first = text.split(&format!("--{boundary}")).nth(1).and_then(|part| part.split_once("\r\n\r\n"));
    Bytes::from(first.expect("a part with a head").1.trim().to_owned())
}

fn exchange(method: &str, target: &str, body: &[u8], status: u16, answer: &[u8]) -> Exchange {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Exchange {
        method: method.to_owned(),
        path: path.trim_start_matches('/').to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        body: serde_json::from_slice(body).ok(),
        status,
        answer: serde_json::from_slice(answer).ok(),
    }
}

/// The calls of a `multipart/mixed` body with their answers, whose order is the calls' with our own fake.
fn inner_calls(asked: &Request<Bytes>, answer: &Response<Bytes>) -> Vec<Exchange> {
    let (calls, answers) = (parts(asked.headers(), asked.body()), parts(answer.headers(), answer.body()));
    assert!(!calls.is_empty() && calls.len() == answers.len());
    let pair = |(call, answer): (&(String, String), &(String, String))| {
        let words: Vec<&str> = call.0.split(' ').collect();
        let status = answer.0.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        exchange(words[0], words[1], call.1.as_bytes(), status, answer.1.as_bytes())
    };
    calls.iter().zip(&answers).map(pair).collect()
}

/// First line and body of each part.
fn parts(headers: &http::HeaderMap, body: &[u8]) -> Vec<(String, String)> {
    let kind = headers["content-type"].to_str().expect("text");
    let boundary = kind.split("boundary=").nth(1).expect("a boundary").trim_matches('"');
    let text = std::str::from_utf8(body).expect("text").replace("\r\n", "\n");
    let boundary = format!("--{boundary}");
    let all = text.split(&boundary).skip(1).filter(|part| !part.starts_with("--"));
    let taken_apart = |part: &str| {
        let (_, inner) = part.split_once("\n\n").expect("a head and a call");
        let (head, body) = inner.split_once("\n\n").unwrap_or((inner, ""));
        (head.lines().next().expect("a line").to_owned(), body.to_owned())
    };
    all.map(taken_apart).collect()
}

/// Methods, parameters, fields and enums of one API.
pub struct Facts(pub Json);

impl Facts {
    pub fn read(committed: &str) -> Self {
        Self(serde_json::from_str(committed).expect("a committed file"))
    }

    /// The id and the facts of the method at this address.
    pub fn method_of(&self, exchange: &Exchange) -> (&str, &Json) {
        let asked: Vec<&str> = exchange.path.split('/').collect();
        let fits = |method: &Json| {
            let parts: Vec<&str> = method["path"].as_str().expect("a path").split('/').collect();
            let same = |(part, word): (&&str, &&str)| part == word || (part.starts_with('{') && !word.contains(':'));
            method["method"] == exchange.method && parts.len() == asked.len() && parts.iter().zip(&asked).all(same)
        };
        let all = self.0["methods"].as_object().expect("methods");
        let found = all.iter().find(|(_, method)| fits(method));
        let (id, method) = found.unwrap_or_else(|| panic!("no method at {} {}", exchange.method, exchange.path));
        (id, method)
    }

    /// Panics with the place of what is not in the list: parameters, what was sent, and what came where it came well.
    pub fn check(&self, exchange: &Exchange) -> &str {
        let (id, method) = self.method_of(exchange);
        for (name, value) in &exchange.query {
            let shape = method["query"][name].as_str().unwrap_or_else(|| panic!("{id} has no parameter {name}"));
            assert!(!shape.contains('|') || shape.split('|').any(|known| known == value), "{id}: {name}={value}");
        }
        if let Some(schema) = method["request"].as_str() {
            self.check_body(schema, exchange.body.as_ref().expect("JSON"), schema);
        }
        if let (Some(schema), 200) = (method["response"].as_str(), exchange.status) {
            self.check_body(schema, exchange.answer.as_ref().expect("JSON"), schema);
        }
        id
    }

    fn check_body(&self, schema: &str, value: &Json, at: &str) {
        let Some(object) = value.as_object() else { panic!("{at} is an object, not {value}") };
        for (name, item) in object {
            let at = format!("{at}.{name}");
            let shape = self.0["schemas"][schema][name].as_str();
            self.check_shape(shape.unwrap_or_else(|| panic!("{at} is no field of {schema}")), item, &at);
        }
    }

    fn check_shape(&self, shape: &str, item: &Json, at: &str) {
        let inner = shape.trim_matches(['[', ']', '{', '}']);
        match (shape.chars().next(), item) {
            // A field's default.
            (_, Json::Null) => {}
            (Some('['), Json::Array(items)) => items.iter().for_each(|item| self.check_shape(inner, item, at)),
            (Some('{'), Json::Object(map)) => map.values().for_each(|item| self.check_shape(inner, item, at)),
            (Some('[' | '{'), _) => panic!("{at} may not be {item}"),
            (_, item) if shape.contains('|') => {
                assert!(shape.split('|').any(|known| item == known), "{at} may not be {item}");
            }
            (_, item) => match shape {
                "string" => assert!(item.is_string(), "{at} is text, not {item}"),
                "boolean" => assert!(item.is_boolean(), "{at} is true or false, not {item}"),
                "integer" => assert!(item.is_i64() || item.is_u64(), "{at} is a number, not {item}"),
                schema => self.check_body(schema, item, at),
            },
        }
    }
}
