//! Who gets in, and how accounts are connected.
use super::*;
use crate::auth::COOKIE;

#[tokio::test]
async fn no_token_a_forged_one_and_an_expired_one_are_turned_away() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    for path in ["/v1/connections", "/v1/syncs", "/v1/profiles", "/crm/v1/contacts"] {
        let answer = world.browse(path).await;
        assert_eq!(answer.error(), (401, "unauthorized", ""), "{path}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert_eq!(world.get(&an, path).await.status, StatusCode::OK, "{path}");
    }
    let forged = Token(format!("{}0", an.0));
    assert_eq!(world.get(&forged, "/v1/syncs").await.error().0, 401);
    assert_eq!(world.get(&Token("tnd_".into()), "/v1/syncs").await.error().0, 401);
    let basic = Request::get("/v1/syncs").header("authorization", "Basic YTpi").body(Body::empty()).unwrap();
    assert_eq!(world.send(basic).await.error().0, 401);
    world.clock.advance(Duration::from_secs(366 * 86_400));
    assert_eq!(world.get(&an, "/v1/syncs").await.error().0, 401);
}

#[tokio::test]
async fn an_existing_user_gets_a_fresh_token_and_keeps_the_old_one() {
    let world = World::new();
    let (first, second) = (world.user("an@example.test").await, world.user("an@example.test").await);
    assert_ne!(first.0, second.0);
    let id = world.call(&first, "POST", "/v1/connections", json!({"provider": "builtin"})).await.text("id");
    assert_eq!(world.get(&second, &format!("/v1/connections/{id}")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_account_is_connected_and_disconnected() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let begun = world.call(&an, "POST", "/v1/connections", json!({"provider": "google"})).await;
    assert_eq!((begun.status, begun.body["state"].as_str()), (StatusCode::CREATED, Some("pending")));
    let one = format!("/v1/connections/{}", begun.text("id"));
    let back = world.consent(&begun.text("authorize_url"));
    assert_eq!(world.browse(&back).await.header("location"), "/?connected=google");
    let connection = world.get(&an, &one).await.body;
    assert_eq!((&connection["state"], &connection["provider"]), (&json!("connected"), &json!("google")));
    assert!(connection["account"]["email"].as_str().is_some_and(|email| email.contains('@')), "{connection}");
    assert!(connection["scopes"].as_array().unwrap().contains(&json!(SCOPE_CONTACTS)));
    assert!(connection.get("authorize_url").is_none() && connection.get("tokens").is_none());
    // A second use of the same address finds nothing to end.
    assert_eq!(world.browse(&back).await.error(), (400, "unknown_state", ""));
    let list = world.get(&an, "/v1/connections").await.body;
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next"]), (1, &Value::Null));
    assert_eq!(world.call(&an, "DELETE", &one, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(&an, &one).await.error(), (404, "not_found", ""));
}

#[tokio::test]
async fn a_callback_with_a_wrong_state_changes_nothing() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let begun = world.call(&an, "POST", "/v1/connections", json!({"provider": "google"})).await;
    let one = format!("/v1/connections/{}", begun.text("id"));
    for path in ["/oauth/callback/google?code=a&state=guess", "/oauth/callback/google", "/oauth/callback/sell?state=x"]
    {
        assert_eq!(world.browse(path).await.error(), (400, "unknown_state", ""), "{path}");
        assert_eq!(world.get(&an, &one).await.body["state"], "pending");
    }
    let other = world.consent(&begun.text("authorize_url")).replace("/google?", "/dropbox?");
    assert_eq!(world.browse(&other).await.error(), (400, "unknown_state", ""));
    let html =
        Request::get("/oauth/callback/google?state=x").header("accept", "text/html").body(Body::empty()).unwrap();
    let html = world.send(html).await;
    assert!(html.status == StatusCode::BAD_REQUEST && html.body.as_str().unwrap().contains("begin again"));
}

#[tokio::test]
async fn a_user_who_declines_comes_back_to_the_page_without_a_connection() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let begun = world.call(&an, "POST", "/v1/connections", json!({"provider": "google"})).await;
    let back = world.consent(&format!("{}&sim_deny=1", begun.text("authorize_url")));
    assert_eq!(world.browse(&back).await.header("location"), "/?problem=denied");
    assert_eq!(world.get(&an, "/v1/connections").await.body["items"], json!([]));
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_says_why() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    for (body, field) in [
        (json!({"provider": "fax"}), "provider"),
        (json!({"provider": "builtin", "access_token": "x"}), "access_token"),
        (json!({"provider": 7}), "provider"),
        (json!({}), "provider"),
        (json!({"provider": "google", "access_token": "x"}), "access_token"),
        (json!({"provider": "google", "colour": "red"}), "colour"),
    ] {
        let answer = world.call(&an, "POST", "/v1/connections", body.clone()).await;
        assert_eq!(answer.error(), (422, "invalid", field), "{body}");
    }
    assert_eq!(world.get(&an, "/v1/connections").await.body["items"], json!([]));
}

#[tokio::test]
async fn a_personal_token_is_connected_once_the_provider_knows_it_and_is_never_shown() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let with = |token: String| json!({"provider": "sell", "access_token": token});
    for bad in ["x".to_owned(), "b".repeat(64), "a".repeat(65), format!("{} ", "a".repeat(63)), "é".repeat(32)] {
        let answer = world.call(&an, "POST", "/v1/connections", with(bad.clone())).await;
        assert_eq!(answer.error(), (422, "invalid", "access_token"), "{bad}");
        assert!(!answer.body.to_string().contains(&bad), "{}", answer.body);
    }
    assert_eq!(world.get(&an, "/v1/connections").await.body["items"], json!([]));
    let made = world.call(&an, "POST", "/v1/connections", with("a".repeat(64))).await;
    assert_eq!((made.status, made.body["state"].as_str()), (StatusCode::CREATED, Some("connected")));
    assert_eq!(made.body["account"]["id"], "seller-1");
    assert!(made.body.get("authorize_url").is_none() && !made.body.to_string().contains("aaaa"), "{}", made.body);
    // The same account again is the same connection.
    let again = world.call(&an, "POST", "/v1/connections", with("a".repeat(64))).await;
    assert_eq!(again.text("id"), made.text("id"));
    let oauth = world.call(&an, "POST", "/v1/connections", json!({"provider": "sell"})).await;
    assert_eq!(oauth.error(), (409, "not_set_up", ""));
}

#[tokio::test]
async fn providers_are_listed_with_the_ways_that_this_installation_has() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let list = world.get(&an, "/v1/providers").await.body;
    let ways = |n: usize| (list["items"][n]["id"].as_str().unwrap(), &list["items"][n]["ways"]);
    assert_eq!(ways(0), ("builtin", &json!(["direct"])));
    assert_eq!(ways(1), ("google", &json!(["oauth"])));
    assert_eq!(ways(2), ("sell", &json!(["access_token"])));
}

fn by_cookie(method: &str, path: &str, cookie: &str, more: &[(&str, &str)], body: Value) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header(header::COOKIE, cookie);
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    request.body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) }).unwrap()
}

async fn sign_in(world: &World, token: &Token) -> String {
    let request = by_cookie("POST", "/session", "", &[("origin", PUBLIC_URL)], json!({"token": token.0}));
    let answer = world.send(request).await;
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.starts_with(COOKIE) && cookie.contains("HttpOnly; SameSite=Lax; Path=/"), "{cookie}");
    assert!(cookie.ends_with("; Secure") && !cookie.contains(&token.0), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_reads_and_changes_only_from_our_own_page_and_ends() {
    let world = World::new();
    let cookie = sign_in(&world, &world.user("an@example.test").await).await;
    let post =
        |more: &[(&str, &str)]| by_cookie("POST", "/v1/connections", &cookie, more, json!({"provider": "builtin"}));
    assert_eq!(world.send(post(&[])).await.error(), (403, "cross_origin", ""));
    assert_eq!(world.send(post(&[("origin", "https://evil.test")])).await.error().0, 403);
    let forged = [("origin", PUBLIC_URL), ("sec-fetch-site", "cross-site")];
    assert_eq!(world.send(post(&forged)).await.error().0, 403);
    assert_eq!(world.send(post(&[("sec-fetch-site", "same-origin")])).await.status, StatusCode::CREATED);
    assert_eq!(world.send(post(&[("origin", PUBLIC_URL)])).await.status, StatusCode::CREATED);
    let read = || by_cookie("GET", "/v1/connections", &cookie, &[], Value::Null);
    assert_eq!(world.send(read()).await.body["items"].as_array().unwrap().len(), 1);
    let out = by_cookie("DELETE", "/session", &cookie, &[("origin", PUBLIC_URL)], Value::Null);
    assert!(world.send(out).await.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(world.send(read()).await.error().0, 401);
}

#[tokio::test]
async fn a_sign_in_needs_a_good_token_and_our_own_page() {
    let world = World::new();
    let token = json!({"token": world.user("an@example.test").await.0});
    let elsewhere = by_cookie("POST", "/session", "", &[("origin", "https://evil.test")], token);
    assert_eq!(world.send(elsewhere).await.error().0, 403);
    let wrong = by_cookie("POST", "/session", "", &[("origin", PUBLIC_URL)], json!({"token": "tnd_guess"}));
    assert_eq!(world.send(wrong).await.error().0, 401);
}

#[tokio::test]
async fn what_a_browser_session_began_only_that_session_can_end() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let (mine, other) = (sign_in(&world, &an).await, sign_in(&world, &an).await);
    let begin =
        || by_cookie("POST", "/v1/connections", &mine, &[("origin", PUBLIC_URL)], json!({"provider": "google"}));
    for stranger in ["", other.as_str()] {
        let back = world.consent(&world.send(begin()).await.text("authorize_url"));
        let answer = world.send(by_cookie("GET", &back, stranger, &[], Value::Null)).await;
        assert_eq!(answer.error(), (400, "unknown_state", ""));
    }
    let back = world.consent(&world.send(begin()).await.text("authorize_url"));
    let answer = world.send(by_cookie("GET", &back, &mine, &[], Value::Null)).await;
    assert_eq!(answer.header("location"), "/?connected=google");
}
