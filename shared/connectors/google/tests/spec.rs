//! Every method, parameter, field and enum that the connector sends is in Google's own list (`facts/people.json`).
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value as Json;
use std::sync::{Arc, Mutex};
use tandem_core::contact::Contact;
use tandem_core::normalise::Region;
use tandem_core::record::{Marker, Scope};
use tandem_google::fake::FakePeople;
use tandem_google::{GoogleConfig, GoogleContacts};
use tandem_ports::connector::{Connector, Deletion, Draft, Next, Patch};
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_testkit::clock::ManualClock;

struct Recorder {
    inner: Arc<dyn HttpTransport>,
    seen: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.seen.lock().expect("not poisoned").push(request.clone());
        self.inner.send(request).await
    }
}

/// One of everything the connector can ask.
async fn everything_asked() -> Vec<Request<Bytes>> {
    let fake = FakePeople::new(Arc::new(ManualClock::default())).shared();
    let inner = fake.authorised("jan@example.com");
    let recorder = Arc::new(Recorder { inner, seen: Mutex::default() });
    let open = |group| {
        GoogleContacts::new(Arc::clone(&recorder) as Arc<_>, GoogleConfig::default(), group, Region::none())
            .with_page_size(1)
    };
    let group = open(None).ensure_container(None, &["The group"]).await.expect("made");
    let google = open(group.clone());
    google.ensure_container(group.as_ref(), &["The group"]).await.expect("known");
    google.choices().await.expect("listed");
    let contact = Contact {
        first_name: "Jan".into(),
        birthday: "1980-02-01".into(),
        language: "nl".into(),
        website: "https://example.com".into(),
        remarks: "text".into(),
        company: "Bakkerij".into(),
        custom: [("vip".to_owned(), "yes".to_owned())].into(),
        ..Contact::default()
    };
    let draft = Draft { marker: Marker::new("m"), fields: contact.to_fields(Region::none()) };
    google.create(&[draft.clone(), draft.clone()]).await.expect("created");
    let first = google.changes(None).await.expect("a page");
    let mut next = first.next;
    while let Next::More(cursor) = next {
        next = google.changes(Some(&cursor)).await.expect("a page").next;
    }
    let Next::CaughtUp(cursor) = next else { panic!("the loop ends caught up") };
    google.changes(Some(&cursor)).await.expect("a delta");
    let found = google.find_made(std::slice::from_ref(&draft)).await.expect("found");
    let ids: Vec<_> = found.iter().map(|(_, fetched)| fetched.id.clone()).collect();
    let read = google.get(&ids).await.expect("read");
    let read: Vec<_> = read.into_iter().flatten().collect();
    assert_eq!(read.len(), 2);
    let patch = Patch {
        id: read[0].id.clone(),
        expect: read[0].version.clone(),
        changed: draft.fields.iter().map(|(name, _)| name.clone()).collect(),
        fields: draft.fields.clone(),
        scope: Some(Scope::Outside),
        marker: Some(Marker::new("n")),
        raw: read[0].raw.clone(),
    };
    google.update(&[patch]).await.expect("updated").remove(0).expect("updated");
    let deletion = |f: &tandem_ports::connector::Fetched| Deletion { id: f.id.clone(), expect: f.version.clone() };
    google.delete(&read.iter().map(deletion).collect::<Vec<_>>()).await.expect("deleted");
    std::mem::take(&mut *recorder.seen.lock().expect("not poisoned"))
}

fn facts() -> Json {
    serde_json::from_str(include_str!("../facts/people.json")).expect("a committed file")
}

/// The id and the facts of the method at this address.
fn method_of<'a>(facts: &'a Json, request: &Request<Bytes>) -> (&'a str, &'a Json) {
    let asked: Vec<&str> = request.uri().path().trim_start_matches('/').split('/').collect();
    let fits = |method: &Json| {
        let path = method["path"].as_str().expect("a path");
        let parts: Vec<&str> = path.split('/').collect();
        let same = |(part, word): (&&str, &&str)| part == word || (part.starts_with('{') && !word.contains(':'));
        method["method"] == request.method().as_str()
            && parts.len() == asked.len()
            && parts.iter().zip(&asked).all(same)
    };
    let all = facts["methods"].as_object().expect("methods");
    let found = all.iter().find(|(_, method)| fits(method));
    let (id, method) = found.unwrap_or_else(|| panic!("no method at {} {}", request.method(), request.uri().path()));
    (id, method)
}

fn check_body(facts: &Json, schema: &str, value: &Json, at: &str) {
    let Some(object) = value.as_object() else { panic!("{at} is an object") };
    for (name, item) in object {
        let at = format!("{at}.{name}");
        let shape = facts["schemas"][schema][name].as_str().unwrap_or_else(|| panic!("{at} is no field of {schema}"));
        let inner = shape.trim_matches(['[', ']', '{', '}']);
        if inner.contains('|') {
            let known = |word: &Json| inner.split('|').any(|known| word == known);
            let all = item.as_array().map_or(std::slice::from_ref(item), Vec::as_slice);
            assert!(all.iter().all(known), "{at} may not be {item}");
        }
        if facts["schemas"].get(inner).is_none() {
            continue;
        }
        match (shape.chars().next(), item) {
            (Some('['), Json::Array(items)) => items.iter().for_each(|item| check_body(facts, inner, item, &at)),
            (Some('{'), Json::Object(map)) => map.values().for_each(|item| check_body(facts, inner, item, &at)),
            _ => check_body(facts, inner, item, &at),
        }
    }
}

fn check_mask(facts: &Json, list: &str, mask: &str) {
    let valid = facts[list].as_array().expect("a list");
    assert!(!mask.is_empty() && mask.split(',').all(|path| valid.iter().any(|known| known == path)), "{mask}");
}

#[tokio::test]
async fn whatever_we_ask_is_in_googles_own_list() {
    let facts = facts();
    let mut methods = std::collections::BTreeSet::new();
    for request in everything_asked().await {
        let (id, method) = method_of(&facts, &request);
        methods.insert(id.to_owned());
        for (name, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            let shape = method["query"][&*name].as_str().unwrap_or_else(|| panic!("{id} has no parameter {name}"));
            assert!(!shape.contains('|') || shape.split('|').any(|known| known == value), "{id}: {name}={value}");
            if name == "personFields" {
                check_mask(&facts, "read_mask", &value);
            }
        }
        if let Some(schema) = method["request"].as_str() {
            let body: Json = serde_json::from_slice(request.body()).expect("JSON");
            check_body(&facts, schema, &body, schema);
            for (field, list) in [("readMask", "read_mask"), ("updateMask", "update_mask")] {
                if let Some(mask) = body[field].as_str() {
                    check_mask(&facts, list, mask);
                }
            }
        }
    }
    let wanted = [
        "people.contactGroups.create",
        "people.contactGroups.get",
        "people.contactGroups.list",
        "people.people.batchCreateContacts",
        "people.people.batchDeleteContacts",
        "people.people.batchUpdateContacts",
        "people.people.connections.list",
        "people.people.getBatchGet",
    ];
    assert!(methods.iter().eq(wanted), "{methods:?}");
}
