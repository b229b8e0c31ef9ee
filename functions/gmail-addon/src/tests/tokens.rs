//! Who calls is proved before anything else is looked at.
use super::*;

async fn refused(world: &World, endpoint: &str, system: &str) {
    let before = world.table.requests();
    let (status, answer) = world.asks(endpoint, system, JAN_ID, json!({})).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")));
    assert_eq!(world.table.requests(), before, "nothing was read for it");
}

#[tokio::test]
async fn only_google_calling_this_endpoint_as_our_service_account_is_answered() {
    let world = world().await;
    let audience = format!("{PUBLIC}/gmail-addon/home");
    let now = world.clock.now().as_second();
    let claims = |other: Value| world.google.id_token_with(&audience, ROBOT, &other);
    for (what, token) in [
        ("no token", String::new()),
        ("no token at all", "a.b.c".to_owned()),
        ("another service account", world.google.id_token(&audience, "push@project.iam.gserviceaccount.com")),
        ("an address that Google has not verified", claims(json!({"email_verified": false}))),
        ("no address", claims(json!({"email": null}))),
        ("another endpoint", world.system_token("track")),
        ("another installation", world.google.id_token("https://else.example/gmail-addon/home", ROBOT)),
        ("another issuer", claims(json!({"iss": "https://accounts.example"}))),
        ("yesterday", claims(json!({"iat": now - 7200, "exp": now - 3600}))),
        ("a person's token", world.user_token(JAN_ID)),
    ] {
        eprintln!("{what}");
        refused(&world, "home", &token).await;
    }
    let good = world.system_token("home");
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, other) = world.system_token("message").rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    refused(&world, "home", &format!("{signed}.{other}")).await;
    assert_eq!(world.asks("home", &good, JAN_ID, json!({})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_good_until_it_ends_and_keys_may_rotate() {
    let world = world().await;
    let old = world.system_token("home");
    world.google.rotate_keys();
    world.clock.advance(Duration::from_secs(120));
    assert_eq!(world.asks("home", &old, JAN_ID, json!({})).await.0, StatusCode::OK, "the key before is still Google's");
    world.clock.advance(Duration::from_secs(3_700));
    refused(&world, "home", &old).await;
}

#[tokio::test]
async fn the_person_is_proved_as_well() {
    let world = world().await;
    let now = world.clock.now().as_second();
    let system = world.system_token("home");
    let person = |audience: &str, other: Value| world.google.id_token_with(audience, JAN, &other);
    for token in [
        json!(""),
        json!(person("another.apps.googleusercontent.com", json!({"sub": JAN_ID}))),
        json!(person(CLIENT, json!({"sub": JAN_ID, "exp": now - 3600}))),
        json!(person(CLIENT, json!({"sub": JAN_ID, "iss": "https://evil.example"}))),
        json!(person(CLIENT, json!({"sub": null}))),
        json!(system),
    ] {
        let body = json!({"authorizationEventObject": {"userIdToken": token}}).to_string();
        let (status, answer) = world.sends("home", &system, body).await;
        assert_eq!((status, &answer["error"]["message"]), (StatusCode::UNAUTHORIZED, &json!("Not answered.")));
    }
    for body in ["", "null", "[]", "{", "{\"authorizationEventObject\": 3}", "{\"gmail\": {\"toRecipients\": \"x\"}}"] {
        let (status, _) = world.sends("home", &system, body.to_owned()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    }
}

#[tokio::test]
async fn whose_mailbox_it_is_follows_from_the_token_and_from_nothing_in_the_body() {
    let world = world().await;
    world.contact(&world.jan, "Peeters", "piet@x.example").await;
    let mut event = world.mail("Piet <piet@x.example>", JAN, "Offer", &["INBOX"]);
    // An says she is Jan, in every way but by her token.
    for name in ["user", "email", "userId", "account"] {
        event[name] = json!(JAN);
        event["gmail"][name] = json!(JAN);
    }
    event["commonEventObject"] = json!({"parameters": {"user": JAN, "sync": "jan", "whom": "piet@x.example"}});
    event["authorizationEventObject"] = json!({"systemIdToken": world.user_token(JAN_ID)});
    for endpoint in ["message", "track", "task", "add"] {
        let (status, answer) = world.asks(endpoint, &world.system_token(endpoint), AN_ID, event.clone()).await;
        assert_eq!(status, StatusCode::OK);
        for secret in ["Offer", "Piet", "Peeters"] {
            assert!(!answer.to_string().contains(secret), "{endpoint}: {answer}");
        }
    }
    world.settle().await;
    assert!(
        world.all(&world.jan, CrmKind::Email).await.is_empty()
            && world.all(&world.an, CrmKind::Contact).await.is_empty()
    );
}

#[tokio::test]
async fn a_stranger_or_one_who_switched_it_off_is_shown_how_to_connect_and_nothing_is_done() {
    let world = world().await;
    let event = world.mail("piet@x.example", JAN, "Offer", &["INBOX"]);
    let mut sync = world.store.sync(&SyncId::new("jan")).await.unwrap().unwrap();
    sync.enabled = false;
    world.store.configure_sync(&sync, None).await.unwrap();
    for subject in ["999999999999999999999", JAN_ID] {
        for endpoint in ["home", "message", "track", "task", "add", "compose", "compose-track", "compose-add"] {
            let (status, answer) = world.asks(endpoint, &world.system_token(endpoint), subject, event.clone()).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(card_of(&answer)["header"]["subtitle"], "Not connected", "{endpoint}");
        }
    }
    assert!(world.all(&world.jan, CrmKind::Contact).await.is_empty());
}

#[tokio::test]
async fn without_an_add_on_or_at_another_address_there_is_nothing() {
    let world = world_with(None).await;
    assert_eq!(world.asks("home", &world.system_token("home"), JAN_ID, json!({})).await.0, StatusCode::NOT_FOUND);
    let world = super::world().await;
    for endpoint in ["", "homes", "home/x", "delete"] {
        let (status, _) = world.asks(endpoint, &world.system_token(endpoint), JAN_ID, json!({})).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{endpoint}");
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_is_not_read() {
    let world = world().await;
    let event = json!({"gmail": {"toRecipients": vec!["x@example.com"; 30_000]}}).to_string();
    let (status, _) = world.sends("compose", &world.system_token("compose"), event).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
