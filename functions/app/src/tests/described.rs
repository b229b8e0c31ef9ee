//! The API's description and its real answers say the same.
use super::*;

/// Holds a value against a schema of the description: every member is described, every required one is there.
fn fits(all: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/components/schemas/");
        return fits(all, &all["components"]["schemas"][name], value, at);
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let other = either.iter().find(|one| one["type"] != "null").unwrap();
        if !value.is_null() {
            fits(all, other, value, at);
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return,
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{at} is {kind} and described as {kinds:?}");
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        fits(all, &schema["items"], item, &format!("{at}[{index}]"));
    }
    let Some(described) = schema["properties"].as_object() else { return };
    for (name, inner) in value.as_object().into_iter().flatten() {
        let rule = described.get(name).unwrap_or_else(|| panic!("{at}.{name} is not described"));
        fits(all, rule, inner, &format!("{at}.{name}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(value.get(name).is_some(), "{at}.{name} is described and not answered");
    }
}

fn answer_fits(described: &Value, method: &str, path: &str, answer: &Answer) {
    let status = answer.status.as_u16().to_string();
    let answers = &described["paths"][path][method]["responses"];
    let schema = &answers[&status]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} {status} is not described: {answers}");
    fits(described, schema, &answer.body, path);
}

#[tokio::test]
async fn every_answer_about_a_run_is_as_the_description_says() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let described = world.browse("/openapi.json").await.body;
    let sync = world.sync(&an).await;
    let one = format!("/v1/syncs/{sync}");
    for contact in [
        json!({"first_name": "Jan", "last_name": "Peeters", "emails": [{"type": "work", "value": "jan@acme.test"}],
            "phones": [{"type": "work", "value": "+32 2 123 45 67"}]}),
        json!({"last_name": "Nobody"}),
    ] {
        world.call(&an, "POST", "/crm/v1/contacts", contact).await;
    }
    let preview = world.call(&an, "POST", &format!("{one}/preview"), Value::Null).await;
    assert_eq!(preview.body["excluded"].as_array().unwrap().len(), 1, "{}", preview.body);
    answer_fits(&described, "post", "/v1/syncs/{id}/preview", &preview);
    let started = world.call(&an, "POST", &format!("{one}/runs"), Value::Null).await;
    answer_fits(&described, "post", "/v1/syncs/{id}/runs", &started);
    let run = format!("/v1/runs/{}", started.text("run"));
    world.work().await;
    for (path, of) in [
        ("/v1/syncs", "/v1/syncs".to_owned()),
        ("/v1/syncs/{id}", one.clone()),
        ("/v1/syncs/{id}/runs", format!("{one}/runs")),
        ("/v1/syncs/{id}/records", format!("{one}/records")),
        ("/v1/runs/{id}", run.clone()),
        ("/v1/runs/{id}/changes", format!("{run}/changes")),
    ] {
        let answer = world.get(&an, &of).await;
        assert!(answer.body["items"].as_array().is_none_or(|items| !items.is_empty()), "{path}: {}", answer.body);
        answer_fits(&described, "get", path, &answer);
    }
    // Somebody edits what the run made: that is not undone, and the answer says so.
    let records = world.get(&an, &format!("{one}/records?state=in_sync")).await.body;
    let crm = records["items"][0]["crm"]["id"].as_str().unwrap();
    world.call(&an, "PATCH", &format!("/crm/v1/contacts/{crm}"), json!({"last_name": "Janssens"})).await;
    world.call(&an, "POST", &format!("{one}/runs"), Value::Null).await;
    world.work().await;
    let undone = world.call(&an, "POST", &format!("{run}/undo"), Value::Null).await;
    assert_eq!(undone.body["not_undone"][0]["reason"]["code"], "edited_since", "{}", undone.body);
    answer_fits(&described, "post", "/v1/runs/{id}/undo", &undone);
    let latest = world.get(&an, &one).await.body["last_run"]["id"].as_str().unwrap().to_owned();
    let undone = world.call(&an, "POST", &format!("/v1/runs/{latest}/undo"), Value::Null).await;
    assert_eq!((&undone.body["undone"], undone.body["run"].is_string()), (&json!(1), true), "{}", undone.body);
    answer_fits(&described, "post", "/v1/runs/{id}/undo", &undone);
}

#[tokio::test]
async fn every_private_route_describes_the_refusals_that_come_before_it() {
    let world = World::new();
    let described = world.browse("/openapi.json").await.body;
    for (path, item) in described["paths"].as_object().unwrap() {
        let private = path.starts_with("/v1/") || path.starts_with("/crm/v1/");
        for (method, operation) in item.as_object().unwrap() {
            let has =
                |status: &str| operation["responses"][status]["content"]["application/json"]["schema"].is_object();
            if private {
                assert!(has("401") && has("503"), "{method} {path}");
                assert_eq!(has("413"), operation["requestBody"].is_object(), "{method} {path}");
                assert!(method == "get" || has("403"), "{method} {path}");
            }
        }
    }
    for (method, path, statuses) in [
        ("post", "/v1/syncs", &["409", "422"][..]),
        ("patch", "/v1/syncs/{id}", &["404", "409", "422"]),
        ("get", "/v1/syncs/{id}/choices", &["403", "404", "409", "429"]),
        ("post", "/v1/syncs/{id}/preview", &["403", "404", "409", "429"]),
        ("get", "/v1/syncs/{id}/records", &["404", "409", "422", "429"]),
        ("get", "/v1/runs/{id}/changes", &["404", "422"]),
        ("post", "/v1/runs/{id}/undo", &["403", "404", "409", "429"]),
    ] {
        for status in statuses {
            let answer = &described["paths"][path][method]["responses"][status];
            let schema = &answer["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/ErrorBody", "{method} {path} {status}");
        }
    }
}
