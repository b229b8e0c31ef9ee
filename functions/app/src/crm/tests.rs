//! The CRM's API over the table in memory.
use super::routes;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use tandem_builtin::users::{NewUser, Role, Users};
use tandem_builtin::{Crm, Files, Kind};
use tandem_ports::blobs::{BlobKey, BlobStore};
use tandem_ports::infra::Clock;
use tandem_testkit::blobs::MemoryBlobs;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::memory::MemoryTable;
use tower::ServiceExt;

async fn app() -> Router {
    let (table, clock) = (Arc::new(MemoryTable::default()), Arc::new(ManualClock::default()));
    let users = Users::new(table.clone(), clock.clone());
    let new = NewUser { account: "acme", email: "an@acme.test", name: "An", role: Role::Administrator };
    let an = users.create(new).await.unwrap();
    let (router, _) = routes::<()>().split_for_parts();
    let clock: Arc<dyn Clock> = clock;
    router.layer(Extension(Crm::new(table, clock.clone()))).layer(Extension(an)).layer(Extension(clock))
}

/// The same with a store for the bytes of files.
async fn app_with_files() -> (Router, Arc<MemoryBlobs>) {
    let (table, clock) = (Arc::new(MemoryTable::default()), Arc::new(ManualClock::default()));
    let users = Users::new(table.clone(), clock.clone());
    let new = NewUser { account: "acme", email: "an@acme.test", name: "An", role: Role::Administrator };
    let an = users.create(new).await.unwrap();
    let (crm, blobs) = (Crm::new(table, clock), Arc::new(MemoryBlobs::default()));
    let (router, _) = routes::<()>().split_for_parts();
    let files = Files::new(crm.clone(), blobs.clone());
    (router.layer(Extension(crm)).layer(Extension(files)).layer(Extension(an)), blobs)
}

#[tokio::test]
async fn a_file_lives_through_the_api() {
    let (app, blobs) = app_with_files().await;
    let (_, company) = call(&app, "POST", "/companies", None, json!({"name": "Acme"})).await;
    let (id, subject) = (company["id"].as_str().unwrap(), json!({"type": "company", "id": company["id"]}));
    let new = |name: &str| json!({"subject": subject, "folder": "Plans/2026", "name": name});
    let (status, begun) = call(&app, "POST", "/files", None, new("plan.txt")).await;
    assert_eq!((status, &begun["upload"]["method"]), (StatusCode::CREATED, &json!("PUT")));
    let one = format!("/files/{}", begun["id"].as_str().unwrap());
    assert_eq!(call(&app, "GET", &one, None, Value::Null).await.0, StatusCode::NOT_FOUND);
    let arrive = async |begun: &Value, bytes: &'static [u8]| {
        let key = begun["upload"]["url"].as_str().unwrap().trim_start_matches("memory://").to_owned();
        blobs.put(&BlobKey(key), Bytes::from_static(bytes)).await.unwrap();
    };
    arrive(&begun, b"plan").await;
    let (status, file) = call(&app, "GET", &one, None, Value::Null).await;
    assert_eq!((status, &file["folder"], &file["size"]), (StatusCode::OK, &json!("Plans/2026"), &json!(4)));
    assert_eq!((&file["subject"], &file["content_type"]), (&subject, &json!("text/plain")));
    let (status, begun) = call(&app, "PUT", &format!("{one}/content"), None, Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    arrive(&begun, b"a better plan").await;
    let place = json!({"folder": "", "name": "best.txt"});
    let (status, moved) = call(&app, "PATCH", &one, Some("\"7\""), place.clone()).await;
    assert_eq!((status, &moved["error"]["code"]), (StatusCode::PRECONDITION_FAILED, &json!("stale")));
    let (status, moved) = call(&app, "PATCH", &one, None, place).await;
    assert_eq!((status, &moved["folder"], &moved["name"]), (StatusCode::OK, &json!(""), &json!("best.txt")));
    let request = Request::builder().uri(format!("{one}/content")).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert!(response.headers()[header::LOCATION].to_str().unwrap().starts_with("memory://acme/"));
    let count = async |query: &str| {
        let (_, list) = call(&app, "GET", &format!("/files?subject={id}{query}"), None, Value::Null).await;
        list["items"].as_array().map(Vec::len)
    };
    assert_eq!(
        (count("").await, count("&folder=").await, count("&folder=Plans%2F2026").await),
        (Some(3), Some(2), Some(0))
    );
    assert_eq!(call(&app, "DELETE", &one, None, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert!(blobs.keys().is_empty());
}

#[tokio::test]
async fn an_error_of_files_names_the_field() {
    let (app, _) = app_with_files().await;
    let (_, company) = call(&app, "POST", "/companies", None, json!({"name": "Acme"})).await;
    let subject = json!({"type": "company", "id": company["id"]});
    let (status, folder) = call(&app, "POST", "/folders", None, json!({"subject": subject, "path": "A/B"})).await;
    assert_eq!((status, &folder["name"], &folder["folder"]), (StatusCode::CREATED, &json!("B"), &json!("A")));
    for (path, body, field) in [
        ("/files", json!({"name": "a.txt"}), "subject"),
        ("/files", json!({"subject": {"type": "contact", "id": company["id"]}, "name": "a.txt"}), "subject"),
        ("/files", json!({"subject": subject, "name": "a/b"}), "name"),
        ("/files", json!({"subject": subject, "name": "A"}), "name"),
        ("/files", json!({"subject": subject, "name": "a.txt", "folder": "x/.."}), "folder"),
        ("/files", json!({"subject": subject, "name": "a.txt", "colour": 1}), "colour"),
        ("/folders", json!({"subject": subject, "path": "/"}), "path"),
    ] {
        let (status, answer) = call(&app, "POST", path, None, body.clone()).await;
        assert_eq!(
            (status, answer["error"]["field"].as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, Some(field)),
            "{body}"
        );
    }
    for (query, field) in
        [("folder=A", "subject"), ("updated_since=yesterday", "updated_since"), ("subject=x&q=a", "q")]
    {
        let (status, answer) = call(&app, "GET", &format!("/files?{query}"), None, Value::Null).await;
        assert_eq!((status, &answer["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)));
    }
    assert_eq!(call(&app, "GET", "/files", None, Value::Null).await.0, StatusCode::OK);
    let folder = format!("/folders/{}", folder["id"].as_str().unwrap());
    assert_eq!(call(&app, "DELETE", &folder, None, Value::Null).await.0, StatusCode::NO_CONTENT);
    let without = self::app().await;
    assert_eq!(call(&without, "GET", "/files?subject=x", None, Value::Null).await.1["error"]["code"], "no_files");
}

async fn call(app: &Router, method: &str, path: &str, if_match: Option<&str>, body: Value) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(version) = if_match {
        request = request.header(header::IF_MATCH, version);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    send(app, request.body(body).unwrap()).await
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() })
}

#[tokio::test]
async fn a_record_lives_through_the_api() {
    let app = app().await;
    let (status, made) = call(&app, "POST", "/contacts", None, json!({"last_name": "Peeters"})).await;
    assert_eq!((status, &made["version"]), (StatusCode::CREATED, &json!(1)));
    let one = format!("/contacts/{}", made["id"].as_str().unwrap());
    let (status, _) = call(&app, "PATCH", &one, Some("\"1\""), json!({"first_name": "Jan"})).await;
    assert_eq!(status, StatusCode::OK);
    let (status, stale) = call(&app, "PATCH", &one, Some("1"), json!({"first_name": "Piet"})).await;
    assert_eq!((status, &stale["error"]["code"]), (StatusCode::PRECONDITION_FAILED, &json!("stale")));
    let (status, wrong) = call(&app, "PATCH", &one, None, json!({"shoe_size": 44})).await;
    assert_eq!((status, &wrong["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("shoe_size")));
    let (status, _) = call(&app, "POST", "/contacts", None, json!([])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, list) = call(&app, "GET", "/contacts?q=peeters", None, Value::Null).await;
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next"]), (1, &Value::Null));
    assert_eq!(call(&app, "DELETE", &one, Some("\"2\""), Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(call(&app, "GET", &one, None, Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(call(&app, "GET", "/contacts/nonsense", None, Value::Null).await.0, StatusCode::NOT_FOUND);
    let (status, wrong) = call(&app, "GET", "/contacts?colour=red", None, Value::Null).await;
    assert_eq!((status, &wrong["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("bad_query")));
    let (_, feed) = call(&app, "GET", "/changes", None, Value::Null).await;
    let last = feed["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["type"], &last["deleted"]), (&json!("contact"), &json!(true)));
}

#[tokio::test]
async fn a_meeting_lives_through_the_api_and_is_found_by_its_guests_card() {
    let app = app().await;
    let person = json!({"last_name": "Peeters", "emails": [{"value": "Jan@x.example"}]});
    let (_, contact) = call(&app, "POST", "/contacts", None, person).await;
    let link = json!({"type": "contact", "id": contact["id"]});
    let body = json!({"title": "Offer", "start": "2026-11-25T09:00:00Z", "end": "2026-11-25T10:00:00Z",
        "attendees": [{"email": "jan@X.example"}]});
    let (status, made) = call(&app, "POST", "/meetings", None, body).await;
    assert_eq!((status, &made["links"]), (StatusCode::CREATED, &json!([link])));
    let id = made["id"].as_str().unwrap();
    let card = format!("/meetings?link=contact:{}", contact["id"].as_str().unwrap());
    let (_, list) = call(&app, "GET", &card, None, Value::Null).await;
    assert_eq!((&list["items"][0]["id"], &list["next"]), (&made["id"], &Value::Null));
    let (status, wrong) = call(&app, "PATCH", &format!("/meetings/{id}"), None, json!({"end": "2026-11-25"})).await;
    assert_eq!((status, &wrong["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("end")));
    let (status, wrong) = call(&app, "GET", "/meetings?link=jan", None, Value::Null).await;
    assert_eq!((status, &wrong["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("link")));
    let (status, twice) = call(&app, "POST", &format!("/blocks/{id}/convert"), None, Value::Null).await;
    assert_eq!((status, &twice["error"]["code"]), (StatusCode::CONFLICT, &json!("conflict")));
    assert_eq!(call(&app, "GET", &format!("/blocks/{id}"), None, Value::Null).await.0, StatusCode::NOT_FOUND);
    let (status, list) = call(&app, "GET", "/blocks", None, Value::Null).await;
    assert_eq!((status, &list["items"]), (StatusCode::OK, &json!([])));
}

#[tokio::test]
async fn the_description_shows_meetings_and_that_blocks_are_read_and_converted() {
    let (_, api) = routes::<()>().split_for_parts();
    let api = serde_json::to_value(&api).unwrap();
    for kind in [Kind::Meeting, Kind::Block] {
        let name = if kind == Kind::Meeting { "Meeting" } else { "Block" };
        for field in kind.definition().fields {
            let shown = &api["components"]["schemas"][name]["properties"][field.name];
            assert!(shown.is_object(), "{name}.{}", field.name);
        }
    }
    assert!(api["paths"]["/meetings"]["post"].is_object() && api["paths"]["/meetings/{id}"]["patch"].is_object());
    assert!(api["paths"]["/blocks"]["post"].is_null() && api["paths"]["/blocks/{id}"]["patch"].is_null());
    assert!(api["paths"]["/blocks/{id}/convert"]["post"].is_object());
}

#[tokio::test]
async fn a_file_is_imported_as_a_body_and_as_a_form() {
    let app = app().await;
    let post = |kind: &str, body: &str| {
        let request = Request::builder().method("POST").uri("/import").header(header::CONTENT_TYPE, kind);
        request.body(Body::from(body.to_owned())).unwrap()
    };
    let (status, report) = send(&app, post("text/csv", "First name,Last name\nJan,P\n,\n")).await;
    assert_eq!((status, &report["created"]), (StatusCode::OK, &json!(1)));
    let form = "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xx\r\nContent-Disposition: form-data; \
                name=\"file\"; filename=\"c.csv\"\r\n\r\nFirst name,Last name\r\nPiet,Q\r\n\r\n--xx--\r\n";
    let (status, report) = send(&app, post("multipart/form-data; boundary=xx", form)).await;
    assert_eq!((status, &report["created"]), (StatusCode::OK, &json!(1)));
    let (status, refused) = send(&app, post("text/csv", "colour;size\nred;3\n")).await;
    assert_eq!((status, &refused["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("file")));
    let (status, refused) = send(&app, post("text/csv", &"a".repeat(6 * 1024 * 1024))).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("too_large")));
}

#[tokio::test]
async fn the_description_names_every_route_and_field() {
    let (_, api) = routes::<()>().split_for_parts();
    let api = serde_json::to_value(&api).unwrap();
    // Blocks are read only, and have a test of their own.
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Block) {
        let definition = kind.definition();
        assert!(api["paths"][format!("/{}", definition.plural)]["post"].is_object(), "{}", definition.plural);
        assert!(api["paths"][format!("/{}/{{id}}", definition.plural)]["patch"].is_object(), "{}", definition.plural);
    }
    for field in Kind::Contact.definition().fields {
        assert!(api["components"]["schemas"]["Contact"]["properties"][field.name].is_object(), "{}", field.name);
    }
    let names: Vec<String> = api["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .filter_map(|operation| Some(operation["operationId"].as_str()?.to_owned()))
        .collect();
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "every operation has its own name");
}

#[tokio::test]
async fn a_kind_of_phone_that_there_is_not_is_refused_by_its_place_and_one_that_came_from_elsewhere_may_stay() {
    let app = app().await;
    let phones = |word: &str| json!([{"type": "work", "value": "1"}, {"type": word, "value": "2"}]);
    let (status, said) =
        call(&app, "POST", "/contacts", None, json!({"last_name": "Peeters", "phones": phones("pager")})).await;
    assert_eq!((status, &said["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("phones[1].type")));
    let (status, made) =
        call(&app, "POST", "/contacts", None, json!({"last_name": "Peeters", "phones": phones("company")})).await;
    assert_eq!(status, StatusCode::CREATED);
    let one = format!("/contacts/{}", made["id"].as_str().unwrap());
    let (status, said) = call(&app, "PATCH", &one, None, json!({"phones": phones("car")})).await;
    assert_eq!((status, &said["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("phones[1].type")));
}

#[tokio::test]
async fn a_day_that_ends_where_it_begins_is_refused_by_its_end() {
    let app = app().await;
    let day = |end: &str| json!({"title": "Fair", "all_day": true, "start": "2026-01-15", "end": end});
    let (status, said) = call(&app, "POST", "/meetings", None, day("2026-01-15")).await;
    assert_eq!((status, &said["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("end")), "{said}");
    let (status, made) = call(&app, "POST", "/meetings", None, day("2026-01-16")).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let one = format!("/meetings/{}", made["id"].as_str().unwrap());
    let (status, said) = call(&app, "PATCH", &one, None, json!({"end": "2026-01-15"})).await;
    assert_eq!((status, &said["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("end")), "{said}");
}

#[tokio::test]
async fn a_task_of_an_email_needs_no_body() {
    let app = app().await;
    let email = json!({"message_id": "<1@x.example>", "direction": "in", "subject": "An offer, please",
        "sent_at": "2026-01-15T08:00:00Z", "from": "jan@x.example"});
    let (status, email) = call(&app, "POST", "/emails", None, email).await;
    assert_eq!(status, StatusCode::CREATED, "{email}");
    let (status, task) =
        call(&app, "POST", &format!("/emails/{}/task", email["id"].as_str().unwrap()), None, Value::Null).await;
    assert_eq!((status, &task["title"]), (StatusCode::CREATED, &json!("An offer, please")), "{task}");
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_named() {
    let app = app().await;
    for (path, name) in
        [("/contacts?q=a&colour=red", "colour"), ("/changes?since=1", "since"), ("/import?offset=many", "offset")]
    {
        let method = if path.starts_with("/import") { "POST" } else { "GET" };
        let (status, said) = call(&app, method, path, None, Value::Null).await;
        let error = &said["error"];
        assert_eq!((status, &error["code"]), (StatusCode::BAD_REQUEST, &json!("bad_query")), "{path}: {said}");
        assert_eq!(error["field"], json!(name), "{path}");
    }
}
