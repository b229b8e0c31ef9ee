//! The API's own shape: errors, description, headers, and Lambda's events.
use super::*;
use crate::event::App;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::value::{RawValue, to_raw_value};

#[tokio::test]
async fn every_failure_has_the_one_form() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let raw = async |body: &str| {
        let request = Request::post("/v1/syncs").header("authorization", format!("Bearer {}", an.0));
        world.send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let broken = raw("{\"profile\": \n hush}").await;
    assert_eq!(broken.error(), (400, "bad_json", ""));
    let message = broken.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("line 2") && !message.contains("hush"), "{message}");
    for (body, expected) in
        [("", (400, "bad_json", "")), ("[]", (400, "bad_json", "")), ("\u{0}", (400, "bad_json", ""))]
    {
        assert_eq!(raw(body).await.error(), expected);
    }
    assert_eq!(raw(&" ".repeat(6 * 1024 * 1024 + 1)).await.error(), (413, "too_large", ""));
    assert_eq!(world.get(&an, "/v1/nonsense").await.error(), (404, "not_found", ""));
    assert_eq!(world.browse("/nonsense").await.error(), (404, "not_found", ""));
    let method = world.call(&an, "PUT", "/v1/syncs", json!({})).await;
    assert_eq!(method.error(), (405, "method_not_allowed", ""));
    assert_eq!(world.call(&an, "POST", "/healthz", Value::Null).await.error().0, 405);
    for answer in [broken, method] {
        let error = answer.body["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "field", "message"]);
    }
}

#[tokio::test]
async fn the_api_describes_every_route_of_itself() {
    let world = World::new();
    let described = world.browse("/openapi.json").await;
    assert_eq!(described.status, StatusCode::OK);
    let paths = described.body["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/healthz", &["get"][..]),
        ("/session", &["post", "delete"]),
        ("/oauth/callback/{provider}", &["get"]),
        ("/v1/profiles", &["get"]),
        ("/v1/providers", &["get"]),
        ("/v1/connections", &["get", "post"]),
        ("/v1/connections/{id}", &["get", "delete"]),
        ("/v1/syncs", &["get", "post"]),
        ("/v1/syncs/{id}", &["get", "patch", "delete"]),
        ("/v1/syncs/{id}/choices", &["get"]),
        ("/v1/syncs/{id}/preview", &["post"]),
        ("/v1/syncs/{id}/runs", &["get", "post"]),
        ("/v1/syncs/{id}/records", &["get"]),
        ("/v1/syncs/{id}/confirm", &["post"]),
        ("/v1/syncs/{id}/retry", &["post"]),
        ("/v1/syncs/{id}/convert", &["post"]),
        ("/v1/runs/{id}", &["get"]),
        ("/v1/runs/{id}/changes", &["get"]),
        ("/v1/runs/{id}/undo", &["post"]),
        ("/crm/v1/contacts", &["get", "post"]),
        ("/crm/v1/import", &["post"]),
    ] {
        for method in methods {
            assert!(paths[path][method]["responses"].is_object(), "{method} {path}");
        }
    }
    // Every reference leads somewhere.
    let text = described.body.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(described.body["components"]["schemas"][name].is_object(), "{name}");
    }
    assert!(described.body["components"]["securitySchemes"]["bearer"].is_object());
    let ids: Vec<&str> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), distinct.len(), "operation ids are unique: {ids:?}");
}

#[tokio::test]
async fn the_catalogue_has_schemas_with_defaults() {
    let world = World::new();
    let profiles = world.get(&world.user("an@example.test").await, "/v1/profiles").await.body;
    let first = &profiles["items"][0];
    assert_eq!((&first["id"], &first["kind"]), (&json!("teamleader-google-contacts"), &json!("contacts")));
    assert_eq!(first["settings"]["properties"]["direction"]["default"], "crm_to_remote");
    assert!(first["vendor_limits"].is_object() && profiles["next"].is_null());
}

#[tokio::test]
async fn the_page_brings_nothing_from_elsewhere_and_runs_in_no_frame() {
    let world = World::new();
    let scripts = ["/app.js", "/kit.js", "/form.js", "/detail.js"].map(|path| (path, "text/javascript"));
    for (path, kind) in scripts.into_iter().chain([("/", "text/html"), ("/style.css", "text/css")]) {
        let answer = world.browse(path).await;
        assert!(answer.status == StatusCode::OK && answer.header("content-type").starts_with(kind), "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"));
        let text = answer.body.as_str().unwrap();
        assert!(text.len() > 500 && !text.contains("http://") && !text.contains("https://"), "{path}");
    }
    let html = world.browse("/").await;
    let html = html.body.as_str().unwrap();
    assert!(!html.contains("style=") && !html.contains("onclick") && html.contains("lang=\"en\""));
    let api = world.browse("/healthz").await;
    assert_eq!(api.body, json!({"status": "ok"}));
    assert_eq!(api.header("x-content-type-options"), "nosniff");
    assert_eq!(api.header("referrer-policy"), "no-referrer");
    assert_eq!(api.header("cache-control"), "no-store");
}

async fn event(app: &App, event: Value) -> Value {
    let event: Box<RawValue> = to_raw_value(&event).unwrap();
    let answer = app.handle(LambdaEvent::new(event, Context::default())).await.unwrap();
    serde_json::from_str(answer.get()).unwrap()
}

fn over_http(path: &str, body: &Value, token: Option<&str>) -> Value {
    let http = json!({"method": if body.is_null() { "GET" } else { "POST" }, "path": path, "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1", "userAgent": "test"});
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"host": "tandem.test", "authorization": format!("Bearer {}", token.unwrap_or_default())},
        "requestContext": {"accountId": "1", "apiId": "a", "domainName": "tandem.test", "domainPrefix": "t", "http": http,
            "requestId": "r", "routeKey": "$default", "stage": "live", "time": "05/Jan/2026:08:00:00 +0000",
            "timeEpoch": 1_767_600_000_000i64},
        "body": if body.is_null() { Value::Null } else { json!(body.to_string()) }, "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn an_administrators_event_makes_users_and_a_request_over_http_cannot() {
    let world = World::new();
    let app = App::new(world.state.clone());
    let create = json!({"tandem_admin": {"create_user": {"email": "an@example.test", "name": "An", "admin": true}}});
    let made = event(&app, create.clone()).await;
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("tnd_") && made["email"] == "an@example.test" && made["id"].is_string());
    assert_eq!(event(&app, create.clone()).await["id"], made["id"]);
    let fresh = event(&app, json!({"tandem_admin": {"create_token": {"email": "an@example.test"}}})).await;
    assert_eq!(fresh["id"], made["id"]);
    // The stage may be in the path or not.
    for path in ["/live/v1/profiles", "/v1/profiles"] {
        let answer = event(&app, over_http(path, &Value::Null, Some(token))).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
    }
    let mut smuggled = over_http("/v1/profiles", &create, None);
    smuggled["tandem_admin"] = create["tandem_admin"].clone();
    let answer = event(&app, smuggled).await;
    assert!(answer["statusCode"] == 405 && answer.get("token").is_none(), "{answer}");
    assert_eq!(event(&app, over_http("/", &create, None)).await["statusCode"], 405);
}
