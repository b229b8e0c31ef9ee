//! Every address, parameter, header and body key that the connector sends is in Zoho's own OpenAPI files
//! (`facts/crm.json`), and every refusal of the fake has a code that is.
mod files;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tandem_core::contact::{Carry, Contact, Labelled};
use tandem_core::files::settings::{RecordRef, Records};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Marker, RemoteId};
use tandem_ports::connector::{Connector, Deletion, Draft, Fetched, Next, Patch};
use tandem_ports::files::{EntryRef, FileSide, FolderOrFile, FolderRef, Name, Removal};
use tandem_ports::infra::{Clock, HttpTransport, TransportError};
use tandem_ports::push::{Order, Push};
use tandem_testkit::clock::ManualClock;
use tandem_zoho::fake::FakeZoho;
use tandem_zoho::push::OF_CONTACTS;
use tandem_zoho::{FileOptions, Options, ZohoContacts, ZohoFiles, ZohoPush};

/// Documented on "Update Records" of v2.1 to v8, and missing in the OpenAPI files.
const BESIDE_THE_SPEC: [&str; 1] = ["if-unmodified-since"];

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

fn draft(n: u32) -> Draft {
    let contact = Contact {
        last_name: format!("Peeters {n}"),
        company: "Bakkerij".into(),
        emails: vec![Labelled { label: "work".into(), value: format!("p{n}@example.com") }],
        ..Contact::default()
    };
    Draft { marker: Marker::new(format!("m{n}")), fields: contact.to_fields(Region::none()) }
}

async fn read_all(zoho: &ZohoContacts) {
    let mut next = zoho.changes(None).await.expect("a page").next;
    while let Next::More(cursor) = next {
        next = zoho.changes(Some(&cursor)).await.expect("a page").next;
    }
    let Next::CaughtUp(cursor) = next else { panic!("a listing ends caught up") };
    next = Next::More(cursor);
    while let Next::More(cursor) = next {
        next = zoho.changes(Some(&cursor)).await.expect("a delta").next;
    }
}

/// One of everything the connector can ask.
async fn everything_asked() -> Vec<Request<Bytes>> {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeZoho::new(Arc::clone(&clock) as Arc<_>).shared();
    let view = fake.view("All", json!({}));
    let recorder = Arc::new(Recorder { inner: fake.authorised("jan@example.com"), seen: Mutex::default() });
    let open = |container: Option<&str>| {
        let container = container.map(ContainerId::new);
        let options = Options { container, carry: Carry::NameAndPhone, region: Region::none() };
        let transport = Arc::clone(&recorder) as Arc<_>;
        let api = "https://www.zohoapis.eu".to_owned();
        ZohoContacts::new(transport, Arc::clone(&clock) as Arc<_>, api, options).with_page_size(1)
    };
    let zoho = open(None);
    let drafts = [draft(1), draft(2)];
    zoho.create(&drafts).await.expect("made").into_iter().for_each(|one| drop(one.expect("made")));
    let found = zoho.find_made(&drafts).await.expect("found");
    let ids: Vec<_> = found.iter().map(|(_, fetched)| fetched.id.clone()).collect();
    let read: Vec<Fetched> = zoho.get(&ids).await.expect("read").into_iter().flatten().collect();
    assert_eq!(read.len(), 2);
    let patch = |read: &Fetched| Patch {
        id: read.id.clone(),
        expect: read.version.clone(),
        changed: draft(3).fields.iter().map(|(name, _)| name.clone()).collect(),
        fields: draft(3).fields,
        scope: None,
        marker: None,
        raw: read.raw.clone(),
    };
    for outcome in zoho.update(&[patch(&read[0]), patch(&read[1])]).await.expect("updated") {
        outcome.expect("updated");
    }
    read_all(&zoho).await;
    let bounded = open(Some(&view));
    bounded.ensure_container(Some(&ContainerId::new(&view)), &[]).await.expect("there");
    bounded.choices().await.expect("listed");
    read_all(&bounded).await;
    bounded.get(&ids).await.expect("read");
    let deletion = |read: &Fetched| Deletion { id: read.id.clone(), expect: read.version.clone() };
    zoho.delete(&read.iter().map(deletion).collect::<Vec<_>>()).await.expect("deleted");
    let (transport, api) = (Arc::clone(&recorder) as Arc<_>, "https://www.zohoapis.eu".to_owned());
    let push = ZohoPush::new(transport, Arc::clone(&clock) as Arc<_>, api, OF_CONTACTS, "https://a.example".to_owned());
    let until = clock.now() + push.life();
    let order = Order { id: "123456789012345678", token: "0123456789abcdef", until };
    let opened = push.open(&push.targets()[0], &order).await.expect("opened");
    assert_eq!(opened.until, Some(until), "no longer than Zoho lets it live");
    for _ in 0..2 {
        push.close(&push.targets()[0].name, order.id, "").await.expect("closed, or closed before");
    }
    std::mem::take(&mut *recorder.seen.lock().expect("not poisoned"))
}

/// The same of attachments.
async fn everything_asked_of_files() -> Vec<Request<Bytes>> {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeZoho::new(Arc::clone(&clock) as Arc<_>).shared();
    let recorder = Arc::new(Recorder { inner: fake.authorised("jan@example.com"), seen: Mutex::default() });
    let view = fake.view("All", json!({}));
    let company = fake.user_creates("jan@example.com", "Accounts", json!({"Account_Name": "Acme"}));
    fake.user_creates("jan@example.com", "Contacts", json!({"Last_Name": "Peeters"}));
    let open = |records| {
        let modules = ["contacts", "companies", "leads", "deals"].map(str::to_owned).to_vec();
        let transport = Arc::clone(&recorder) as Arc<_>;
        let options = FileOptions { modules, records };
        ZohoFiles::new(transport, Arc::clone(&clock) as Arc<_>, "https://www.zohoapis.eu".to_owned(), options)
    };
    let some = vec![RecordRef { kind: "company".to_owned(), id: company.clone() }];
    for (records, told) in
        [(Records::All, 2), (Records::Segment(format!("contacts:{view}")), 1), (Records::Some(some), 1)]
    {
        assert_eq!(files::round(&open(records)).await.len(), told);
    }
    let side = open(Records::All);
    side.ensure_root(None, &tandem_testkit::files_conformance::new_root()).await.expect("there");
    side.choices().await.expect("listed");
    let record = FolderRef { id: RemoteId::new(format!("Accounts:{company}")), path: "Acme".to_owned() };
    side.records(&[record.id.clone(), RemoteId::new("Deals:1")]).await.expect("asked");
    let bytes = Bytes::from_static(b"new");
    let stored = side.put(&[(files::upload(&record, "new.txt", &bytes), bytes)]).await.expect("sent");
    let entry = stored.into_iter().next().expect("one").expect("stored").entry;
    let reference = EntryRef { id: entry.id.clone(), parent: record, name: Name(entry.name.clone()) };
    let read = side.read(&reference, &entry.version, 1..3).await.expect("read");
    assert_eq!(read.as_ref(), b"ew");
    let removal = Removal { entry: reference, folder: FolderOrFile::File, expect: entry.version };
    side.remove(&[removal]).await.expect("asked").remove(0).expect("removed");
    std::mem::take(&mut *recorder.seen.lock().expect("not poisoned"))
}

fn facts() -> Json {
    serde_json::from_str(include_str!("../facts/crm.json")).expect("a committed file")
}

/// The facts of the method at this address: the one with the fewest placeholders that fits.
fn method_of<'a>(facts: &'a Json, request: &Request<Bytes>) -> (&'a String, &'a Json) {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let asked: Vec<&str> = asked.split('/').collect();
    let fits = |name: &&String| {
        let parts: Vec<&str> = name.split('/').collect();
        parts.len() == asked.len() && parts.iter().zip(&asked).all(|(part, word)| part == word || part.starts_with('{'))
    };
    let methods = facts["methods"].as_object().expect("methods");
    let name = methods.keys().filter(fits).min_by_key(|name| name.matches('{').count());
    let name = name.unwrap_or_else(|| panic!("no method at {} {}", request.method(), request.uri().path()));
    (name, &methods[name])
}

fn names(list: &Json) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_lowercase).collect()
}

#[tokio::test]
async fn whatever_we_ask_is_in_zohos_own_list() {
    let facts = facts();
    let mut asked = BTreeSet::new();
    for request in everything_asked().await.into_iter().chain(everything_asked_of_files().await) {
        let (name, method) = method_of(&facts, &request);
        asked.insert(name.clone());
        for (key, _) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            assert!(names(&method["query"]).contains(&key.to_lowercase()), "{name} has no parameter {key}");
        }
        for header in request.headers().keys().map(http::HeaderName::as_str).filter(|header| header.starts_with("if-"))
        {
            let known = names(&method["header"]).contains(&header.to_owned()) || BESIDE_THE_SPEC.contains(&header);
            assert!(known, "{name} has no header {header}");
        }
        let form = request.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"multipart"));
        if form {
            let text = String::from_utf8_lossy(request.body());
            assert!(text.contains("form-data; name=\"file\"; filename=\"new.txt\""), "{text}");
        } else if !request.body().is_empty() {
            let body: Json = serde_json::from_slice(request.body()).expect("JSON");
            if name.contains("watch") {
                for key in body["watch"][0].as_object().expect("a channel").keys() {
                    assert!(names(&facts["bodies"]["notifications"]).contains(key), "a channel has no {key}");
                }
                continue;
            }
            let kind = if name.contains("coql") { "coql" } else { "record" };
            for key in body.as_object().expect("an object").keys() {
                assert!(names(&facts["bodies"][kind]).contains(key), "{name} takes no {key}");
            }
        }
    }
    let wanted = [
        "DELETE /crm/v8/actions/watch",
        "DELETE /crm/v8/{module_api_name}",
        "DELETE /crm/v8/{module}/{record_id}/Attachments/{id}",
        "GET /crm/v8/settings/custom_views",
        "GET /crm/v8/settings/custom_views/{id}",
        "GET /crm/v8/settings/fields",
        "GET /crm/v8/settings/profiles/{id}",
        "GET /crm/v8/users",
        "GET /crm/v8/{module_api_name}",
        "GET /crm/v8/{module_api_name}/deleted",
        "GET /crm/v8/{module}/{record_id}/Attachments",
        "GET /crm/v8/{module}/{record_id}/Attachments/{id}",
        "POST /crm/v8/actions/watch",
        "POST /crm/v8/coql",
        "POST /crm/v8/{module_api_name}",
        "POST /crm/v8/{module}/{record_id}/Attachments",
        "PUT /crm/v8/{module_api_name}",
    ];
    assert!(asked.iter().eq(wanted), "{asked:?}");
}

#[tokio::test]
async fn our_writes_set_no_workflow_off() {
    let of_records = |request: &Request<Bytes>| !request.uri().path().ends_with("/actions/watch");
    for request in everything_asked().await.into_iter().filter(of_records) {
        match request.method().as_str() {
            "POST" | "PUT" if !request.uri().path().ends_with("/coql") => {
                let body: Json = serde_json::from_slice(request.body()).expect("JSON");
                assert_eq!(body["trigger"], json!([]), "{}", request.uri().path());
            }
            "DELETE" => assert!(request.uri().query().is_some_and(|query| query.contains("wf_trigger=false"))),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_fake_refuses_in_zohos_words() {
    // COQL and the whole service have codes of their own (coql.json; "Status codes" of the API's documents).
    const OTHERS: [&str; 4] = ["SYNTAX_ERROR", "INVALID_QUERY", "TOO_MANY_REQUESTS", "RECORD_MODIFIED"];
    let fake = FakeZoho::new(Arc::new(ManualClock::default())).shared();
    let zoho = fake.authorised("jan@example.com");
    let known = names(&facts()["codes"]);
    let many = vec![json!({"Last_Name": "x"}); 101];
    let fields: Vec<String> = (0..51).map(|n| format!("F{n}")).collect();
    let asked = [
        ("GET", "/crm/v8/Contacts".to_owned(), json!(null), 400, "REQUIRED_PARAM_MISSING"),
        ("GET", format!("/crm/v8/Contacts?fields={}", fields.join(",")), json!(null), 400, "LIMIT_EXCEEDED"),
        ("GET", "/crm/v8/Contacts?fields=Email&per_page=201".to_owned(), json!(null), 400, "INVALID_DATA"),
        ("GET", "/crm/v8/Contacts?fields=Email&page=11".to_owned(), json!(null), 400, "LIMIT_EXCEEDED"),
        ("GET", "/crm/v8/Contacts?fields=Email&page=1&page_token=x".to_owned(), json!(null), 400, "INVALID_DATA"),
        ("GET", "/crm/v8/Contacts?fields=Email&cvid=1".to_owned(), json!(null), 400, "INVALID_DATA"),
        ("GET", "/crm/v8/Nothing?fields=Email".to_owned(), json!(null), 400, "INVALID_MODULE"),
        ("GET", "/crm/v8/settings/nothing".to_owned(), json!(null), 404, "INVALID_URL_PATTERN"),
        ("POST", "/crm/v8/Contacts".to_owned(), json!({"data": many}), 400, "LIMIT_EXCEEDED"),
        ("POST", "/crm/v8/Contacts".to_owned(), json!({}), 400, "MANDATORY_NOT_FOUND"),
        ("POST", "/crm/v8/coql".to_owned(), json!({"select_query": "select id"}), 400, "SYNTAX_ERROR"),
    ];
    for (method, path, body, status, code) in asked {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let uri = format!("https://www.zohoapis.eu{path}");
        let request = Request::builder().method(method).uri(uri).body(body.into()).expect("a request");
        let answer = zoho.send(request).await.expect("an answer");
        let told: Json = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!((answer.status().as_u16(), told["code"].as_str()), (status, Some(code)), "{path}");
        assert!(known.contains(&code.to_lowercase()) || OTHERS.contains(&code), "{code}");
    }
}
