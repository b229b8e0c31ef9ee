//! What the connector asks and what the provider in memory answers, against the published descriptions of Sell's API
//! (`facts/sell.json`, made by `facts/derive.py`).
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tandem_core::contact::{Address, Carry, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Marker, RemoteId, Scope};
use tandem_ports::connector::{Connector, Deletion, Draft, Next, Patch};
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_sell::fake::FakeSell;
use tandem_sell::{Options, SellConfig, SellContacts};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";
/// Filters and endpoints that the derived facts do not have: they are in Zendesk's own clients (`name` and `contact_id` of a
/// list, tags, users) or in its documentation of the Sync API.
const BEYOND: [(&str, &[&str]); 6] = [
    ("GET /v2/contacts", &["name", "contact_id", "sort_by"]),
    ("GET /v2/contact/custom_fields", &[]),
    ("GET /v2/tags", &["resource_type", "page", "per_page"]),
    ("GET /v2/users/self", &[]),
    ("POST /v2/sync/start", &[]),
    ("POST /v2/sync/ack", &[]),
];

fn facts() -> Json {
    serde_json::from_str(include_str!("../facts/sell.json")).expect("JSON")
}

type Exchange = (Request<Bytes>, Response<Bytes>);

struct Recorder {
    inner: Arc<dyn HttpTransport>,
    seen: Mutex<Vec<Exchange>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let answer = self.inner.send(request.clone()).await?;
        self.seen.lock().expect("not poisoned").push((request, answer.clone()));
        Ok(answer)
    }
}

fn everybody() -> Contact {
    let labelled = |label: &str, value: &str| Labelled { label: label.into(), value: value.into() };
    let address = |label: &str| Address {
        label: label.into(),
        street: "Kerkstraat 1".into(),
        postal_code: "9000".into(),
        city: "Gent".into(),
        region: "OVL".into(),
        country: "BE".into(),
    };
    Contact {
        first_name: "Jan".into(),
        last_name: "Peeters".into(),
        emails: vec![labelled("work", "jan@example.com")],
        phones: vec![
            labelled("work", "+3291234567"),
            labelled("mobile", "+32470000001"),
            labelled("fax", "+3291234568"),
        ],
        addresses: vec![address("work"), address("shipping"), address("billing")],
        company: "Bakkerij".into(),
        position: "Baker".into(),
        website: "https://example.com".into(),
        remarks: "text".into(),
        custom: [("VIP".to_owned(), "yes".to_owned())].into(),
        ..Contact::default()
    }
}

/// One of everything the connector can ask, with the answers.
async fn everything() -> Vec<Exchange> {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeSell::new(Arc::clone(&clock) as Arc<_>).shared();
    let field = json!({"id": 1, "name": "VIP", "type": "string"});
    fake.order("POST", "custom-fields", &json!({"account": ACCOUNT, "field": field}));
    let recorder = Arc::new(Recorder { inner: fake.authorised(ACCOUNT), seen: Mutex::default() });
    let options = Options {
        container: Some(ContainerId::new("tag:Tandem")),
        carry: Carry::Name,
        region: Region::none(),
        device: "6dadcec8-6e61-4691-b318-1aab27b8fecf".to_owned(),
    };
    let sell = SellContacts::new(Arc::clone(&recorder) as Arc<_>, clock, SellConfig::default(), options);
    sell.choices().await.expect("listed");
    let draft = Draft { marker: Marker::new("m"), fields: everybody().to_fields(Region::none()) };
    let made = sell.create(std::slice::from_ref(&draft)).await.expect("a batch").remove(0).expect("made");
    assert_eq!(sell.find_made(&[draft]).await.expect("a search").len(), 1);
    let nameless = Contact { last_name: "Janssens".into(), ..Contact::default() }.to_fields(Region::none());
    sell.find_made(&[Draft { marker: Marker::new("n"), fields: nameless }]).await.expect("a search");
    let mut next = sell.changes(None).await.expect("a page").next;
    while let Next::More(cursor) = next {
        next = sell.changes(Some(&cursor)).await.expect("a page").next;
    }
    let Next::CaughtUp(mut cursor) = next else { panic!("it ends caught up") };
    let read = sell.get(&[made.id, RemoteId::new("1")]).await.expect("read").remove(0).expect("there");
    let changed = read.fields.iter().map(|(name, _)| name.clone()).filter(|name| *name != field::COMPANY).collect();
    let (id, expect, raw) = (read.id, read.version, read.raw);
    let fields = everybody().to_fields(Region::none());
    let patch = Patch { id: id.clone(), expect, changed, fields, scope: Some(Scope::Outside), marker: None, raw };
    let written = sell.update(&[patch]).await.expect("a batch").remove(0).expect("written");
    let expect = written.version;
    for _ in 0..2 {
        let Next::CaughtUp(after) = sell.changes(Some(&cursor)).await.expect("a page").next else { panic!("one page") };
        cursor = after;
    }
    sell.delete(&[Deletion { id, expect }]).await.expect("a batch").remove(0).expect("deleted");
    let mut seen = recorder.seen.lock().expect("not poisoned");
    std::mem::take(&mut *seen)
}

/// `GET /v2/contacts/{id}`.
fn called(request: &Request<Bytes>) -> String {
    let path = request.uri().path();
    let path: Vec<&str> = path.split('/').map(|part| if part.parse::<u64>().is_ok() { "{id}" } else { part }).collect();
    format!("{} {}", request.method(), path.join("/"))
}

fn json_of(body: &Bytes) -> Json {
    if body.is_empty() { Json::Null } else { serde_json::from_slice(body).expect("JSON") }
}

/// Whether a value has every member of a form, in the form's types.
fn has_form(value: &Json, form: &Json) -> bool {
    match form {
        Json::Object(members) => members.iter().all(|(name, form)| has_form(&value[name], form)),
        Json::Array(items) => {
            let Some(found) = value.as_array() else { return false };
            items.first().is_none_or(|form| found.iter().all(|one| has_form(one, form)))
        }
        Json::String(kind) => match kind.as_str() {
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            _ => value.is_null(),
        },
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

#[tokio::test]
async fn every_request_is_one_that_sell_describes() {
    let facts = facts();
    let mut missing: BTreeSet<&str> = ["GET /v2/contacts", "GET /v2/contacts/{id}", "POST /v2/contacts"].into();
    missing.extend(["PUT /v2/contacts/{id}", "DELETE /v2/contacts/{id}", "POST /v2/sync/start", "POST /v2/sync/ack"]);
    missing.extend(["GET /v2/users/self", "GET /v2/tags", "GET /v2/contact/custom_fields"]);
    for (request, _) in everything().await {
        let called = called(&request);
        missing.remove(called.as_str());
        assert!(request.headers().contains_key("user-agent"), "{called}");
        if called.contains("/sync/") {
            assert!(request.headers().contains_key("x-basecrm-device-uuid"), "{called}");
        }
        if called.starts_with("GET /v2/sync/") {
            assert!(called.ends_with("/queues/main") && request.uri().query().is_none(), "{called}");
            continue;
        }
        let described = facts["methods"].get(&called);
        let beyond = BEYOND.iter().find(|(name, _)| *name == called).map(|(_, names)| *names);
        assert!(described.is_some() || beyond.is_some(), "{called}");
        let names = described.and_then(|about| about["query"].as_array()).into_iter().flatten();
        let mut known: BTreeSet<&str> = names.filter_map(Json::as_str).collect();
        known.extend(beyond.into_iter().flatten());
        let query = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        for (name, value) in query {
            assert!(known.contains(name.as_ref()), "{called}: {name}");
            assert!(name != "per_page" || value.parse::<u64>().is_ok_and(|n| n <= 100), "{called}: {value}");
        }
    }
    assert!(missing.is_empty(), "not asked: {missing:?}");
}

#[tokio::test]
async fn every_attribute_that_is_sent_is_sells_and_of_its_type() {
    let facts = facts();
    let mut sent = BTreeSet::new();
    for (request, _) in everything().await.iter().filter(|(r, _)| r.method() == "POST" || r.method() == "PUT") {
        let body = json_of(request.body());
        if called(request) == "POST /v2/sync/ack" {
            assert!(has_form(&body, &facts["sync_ack"]["request"]), "{body}");
        }
        if !request.uri().path().starts_with("/v2/contacts") {
            continue;
        }
        assert_eq!(body["meta"]["type"], "contact");
        for (name, value) in body["data"].as_object().expect("an object") {
            assert!(value.is_null() || has_form(value, &facts["contact"][name]), "{name}: {value}");
            sent.insert(name.clone());
        }
    }
    let ours =
        ["address", "billing_address", "contact_id", "custom_fields", "description", "email", "fax", "first_name"];
    let ours = ours.into_iter().chain(["is_organization", "last_name", "mobile", "name", "phone", "shipping_address"]);
    let ours: BTreeSet<String> = ours.chain(["tags", "title", "website"]).map(str::to_owned).collect();
    assert_eq!(sent, ours);
}

#[tokio::test]
async fn every_answer_has_the_form_that_sell_describes() {
    let facts = facts();
    let mut kinds = BTreeSet::new();
    for (request, answer) in everything().await {
        let (called, status, body) = (called(&request), answer.status().as_u16(), json_of(answer.body()));
        let is_contact = |one: &Json| {
            let record = one["data"].as_object().expect("an object");
            let of_type = |(name, kind): (&String, &Json)| record[name].is_null() || has_form(&record[name], kind);
            facts["contact"].as_object().expect("types").iter().all(of_type) && one["meta"]["type"] == "contact"
        };
        match (called.as_str(), status) {
            ("GET /v2/contacts/{id}", 404) => {
                assert_eq!(
                    (&body["errors"][0]["error"]["code"], &body["meta"]["type"]),
                    (&json!("not_found"), &json!("errors"))
                );
            }
            ("GET /v2/contacts", 200) => {
                assert!(body["items"].as_array().expect("a list").iter().all(is_contact), "{body}");
                assert_eq!(body["meta"]["type"], "collection");
                assert!(body["meta"]["count"].is_u64() && body["meta"]["links"]["self"].is_string());
            }
            ("POST /v2/contacts" | "PUT /v2/contacts/{id}" | "GET /v2/contacts/{id}", 200) => {
                assert!(is_contact(&body))
            }
            ("DELETE /v2/contacts/{id}", 204) | ("POST /v2/sync/start", 204) => assert!(answer.body().is_empty()),
            ("POST /v2/sync/start", 201) => assert!(has_form(&body, &facts["sync_start"]["answer"]), "{body}"),
            ("POST /v2/sync/ack", 202) => {
                assert_eq!(facts["sync_ack"]["status"], 202);
                assert!(answer.body().is_empty() && !answer.headers().contains_key("content-type"));
            }
            ("GET /v2/tags", 200) => {
                let names: Vec<&str> =
                    facts["tag"].as_array().expect("names").iter().filter_map(Json::as_str).collect();
                let items = body["items"].as_array().expect("a list").iter();
                assert!(items.map(|one| &one["data"]).all(|tag| names.iter().all(|name| !tag[name].is_null())));
            }
            ("GET /v2/users/self", 200) => assert!(body["data"]["id"].is_u64()),
            ("GET /v2/contact/custom_fields", 200) => assert_eq!(body["items"][0]["data"]["name"], "VIP"),
            _ if called.ends_with("/queues/main") && status == 200 => {
                assert!(has_form(&body, &facts["sync_fetch"]), "{body}");
            }
            _ => panic!("{called} answered {status}"),
        }
        kinds.insert((called.split("/queues").next().map(str::len), status));
    }
    assert!(kinds.len() > 8, "{kinds:?}");
}

#[test]
fn a_refusal_has_sells_envelope_and_one_of_its_codes() {
    let facts = facts();
    let fake = FakeSell::new(Arc::new(ManualClock::default())).shared();
    fake.set(|settings| settings.per_second = 0);
    let token = fake.order("POST", "accounts", &json!({"account": ACCOUNT}))["token"].as_str().expect("one").to_owned();
    let ask = |method: &str, path: &str, body: &str| {
        let request = Request::builder().method(method).uri(path).header("user-agent", "test");
        let request = request.header("authorization", format!("Bearer {token}"));
        let answer = fake.handle(request.body(Bytes::from(body.to_owned())).expect("a request")).expect("an answer");
        (answer.status().as_u16(), json_of(answer.body()))
    };
    let cases = [
        ("GET", "/v2/contacts/1", "", "not_found"),
        ("GET", "/v2/nothing/at/all", "", "incorrect_path"),
        ("GET", "/v2/contacts?per_page=101", "", "invalid_param"),
        ("POST", "/v2/sync/start", "", "invalid_header"),
        ("POST", "/v2/contacts", "{", "invalid_payload"),
        ("POST", "/v2/contacts", "{}", "incorrect_payload"),
    ];
    for (method, path, body, code) in cases {
        let (status, answer) = ask(method, path, body);
        assert_eq!((&answer["errors"][0]["error"]["code"], &facts["codes"][code]), (&json!(code), &json!(status)));
        assert!(answer["meta"]["logref"].is_string());
    }
    let datas =
        [json!({"first_name": "A"}), json!({"shoe_size": 1}), json!({"last_name": 1}), json!({"last_name": " "})];
    for data in datas.into_iter().chain([json!({"last_name": "A", "email": "x"})]) {
        let (status, answer) = ask("POST", "/v2/contacts", &json!({"data": data}).to_string());
        assert!(status == 422 && has_form(&answer, &facts["error"]), "{answer}");
        let code = &answer["errors"][0]["error"]["code"];
        assert!(facts["field_codes"].as_array().expect("codes").contains(code), "{code}");
    }
}

#[test]
fn scopes_limit_and_token_are_sells() {
    let facts = facts();
    let scopes: BTreeSet<&str> = tandem_sell::auth::SCOPES.into_iter().collect();
    let known: BTreeSet<&str> = facts["scopes"].as_array().expect("names").iter().filter_map(Json::as_str).collect();
    assert_eq!(scopes, known);
    let settings = tandem_sell::fake::Settings::default();
    assert_eq!(facts["requests_an_hour"], settings.per_hour);
    assert_eq!(settings.per_second * 3_600, settings.per_hour as usize);
}
