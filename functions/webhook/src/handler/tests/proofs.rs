//! Who is believed: nobody without proof, and a forged notification causes no work.
use super::world::{AUDIENCE, Letter, PUSHER, SECRET, World};
use super::{changed, drive};
use axum::body::Body;
use axum::http::{Request, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tandem_core::record::SyncId;
use tandem_google::fake::FakePeople;

const TOKEN: &str = "x-goog-channel-token";

#[tokio::test]
async fn a_wrong_token_or_resource_is_refused_and_causes_no_work() {
    let world = drive().await;
    let letter = changed(&world, "offer.txt").await;
    let mut almost = letter.header(TOKEN).to_owned();
    almost.replace_range(47.., if almost.ends_with('0') { "1" } else { "0" });
    let before = world.table.requests();
    for forged in [
        letter.with(TOKEN, Some("guess")),
        letter.with(TOKEN, Some("")),
        letter.with(TOKEN, None),
        letter.with(TOKEN, Some(&almost)),
        letter.with("x-goog-resource-id", Some("another")),
    ] {
        assert_eq!(world.send(&forged).await, 403);
    }
    assert_eq!(world.table.requests() - before, 5, "one look each, and nothing else");
    assert!(world.queue.is_empty() && world.sync().await.current_run.is_none());
    assert_eq!(world.send(&letter).await, 200);
}

#[tokio::test]
async fn an_unknown_channel_is_acknowledged_and_ignored_and_what_is_no_notification_is_said() {
    let world = drive().await;
    let letter = changed(&world, "offer.txt").await;
    let long = "x".repeat(4_000);
    for unknown in ["of nobody", "", &long] {
        assert_eq!(world.send(&letter.with("x-goog-channel-id", Some(unknown))).await, 200, "{unknown}");
    }
    for name in ["x-goog-channel-id", "x-goog-resource-id", "x-goog-resource-state"] {
        assert_eq!(world.send(&letter.with(name, None)).await, 400, "{name}");
    }
    assert!(world.queue.is_empty());
}

#[tokio::test]
async fn the_greeting_that_comes_before_the_watch_is_answered_is_taken_by_its_token_alone() {
    let world = World::begins("teamleader-google-drive", json!({})).await;
    let row =
        tandem_store::channel::ChannelRow::opening(&SyncId::new("sync-1"), "secret", world.sync().await.created_at);
    world.store.save_channel("early", &row).await.unwrap();
    let headers = [
        ("x-goog-channel-id", "early"),
        ("x-goog-resource-id", "not known yet"),
        ("x-goog-resource-state", "sync"),
        (TOKEN, "secret"),
    ];
    let greeting = Letter::new("/webhooks/google/drive", &headers, "");
    assert_eq!((world.send(&greeting).await, world.queue.len()), (200, 0));
    assert_eq!(world.send(&greeting.with(TOKEN, Some("guess"))).await, 403);
    let change = greeting.with("x-goog-resource-state", Some("change"));
    assert_eq!((world.send(&change).await, world.queue.len()), (200, 1));
}

#[tokio::test]
async fn every_state_but_the_greeting_is_a_change() {
    for state in ["exists", "not_exists", "change", "changed", "update", "trash"] {
        let world = drive().await;
        let letter = changed(&world, "offer.txt").await;
        assert_eq!(world.send(&letter.with("x-goog-resource-state", Some(state))).await, 200);
        assert_eq!(world.queue.len(), 1, "{state}");
    }
}

#[tokio::test]
async fn no_token_of_a_channel_is_in_the_table() {
    let world = drive().await;
    let letter = changed(&world, "offer.txt").await;
    let stored: Vec<String> = world.table.dump().iter().map(|item| format!("{item:?}")).collect();
    assert!(stored.iter().any(|item| item.contains(letter.header("x-goog-channel-id"))));
    assert!(stored.iter().all(|item| !item.contains(letter.header(TOKEN))));
}

#[tokio::test]
async fn dropboxs_challenge_is_echoed_as_plain_text_that_no_browser_runs() {
    let world = World::begins("teamleader-dropbox", json!({})).await;
    let ask = |uri: &str| Request::get(uri).body(Body::empty()).unwrap();
    let (status, headers, body) =
        world.ask(ask("/webhooks/dropbox?challenge=%3Cscript%3Ealert(1)%3C%2Fscript%3E")).await;
    assert_eq!((status, body.as_str()), (200, "<script>alert(1)</script>"));
    assert_eq!(headers[header::CONTENT_TYPE], "text/plain");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(world.ask(ask("/webhooks/dropbox")).await.0, 404);
}

fn signed(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn dropbox_is_believed_by_the_signature_of_the_body_as_it_came_and_by_nothing_else() {
    let world = World::begins("teamleader-dropbox", json!({})).await;
    world.run().await;
    let account = world.dropbox.account_id(super::ACCOUNT);
    let body = &format!(r#"{{"list_folder": {{"accounts": ["{account}"]}}, "delta": {{"users": [1]}}}}"#);
    let letter = |secret: &str, signed_body: &str| {
        Letter::new("/webhooks/dropbox", &[("x-dropbox-signature", &signed(secret, signed_body))], body)
    };
    for forged in [
        letter("another secret", body),
        letter("", body),
        letter(SECRET, "{}"),
        // The same JSON in other bytes.
        letter(SECRET, &body.replace(": ", ":")),
        letter(SECRET, body).with("x-dropbox-signature", None),
        letter(SECRET, body).with("x-dropbox-signature", Some("")),
    ] {
        assert_eq!(world.send(&forged).await, 403);
    }
    assert!(world.queue.is_empty());
    assert_eq!((world.send(&letter(SECRET, body)).await, world.queue.len()), (200, 1));
}

#[tokio::test]
async fn one_call_of_dropbox_may_name_several_accounts_and_each_of_their_syncs_begins_once() {
    let world = World::begins("teamleader-dropbox", json!({})).await;
    world.run().await;
    for (account, sync) in [("dbid:two", "sync-2"), ("dbid:two", "sync-3"), ("dbid:four", "sync-4")] {
        world.adds_sync(sync, "teamleader-dropbox", json!({})).await;
        world.store.listen("dropbox", account, &SyncId::new(sync)).await.unwrap();
    }
    let account = world.dropbox.account_id(super::ACCOUNT);
    let body = &format!(r#"{{"list_folder":{{"accounts":["dbid:two","{account}","dbid:unknown","dbid:two"]}}}}"#);
    let letter = Letter::new("/webhooks/dropbox", &[("x-dropbox-signature", &signed(SECRET, body))], body);
    for _ in 0..3 {
        assert_eq!(world.send(&letter).await, 200);
    }
    assert_eq!(world.queue.len(), 3, "one for each sync of the two accounts, and none for the third account's");
}

#[tokio::test]
async fn a_mail_push_is_believed_by_its_id_token_and_by_nothing_in_its_body() {
    let world = World::begins("teamleader-gmail", json!({})).await;
    world.run().await;
    world.google.mail_arrives("jan@example.com", b"From: a@b.example\r\n\r\nx\r\n", &["INBOX"]);
    let letter = world.mail_letter("1");
    let bearer = |token: String| letter.with("authorization", Some(&format!("Bearer {token}")));
    let with = |other: serde_json::Value| bearer(world.google.id_token_with(AUDIENCE, PUSHER, &other));
    let stranger = FakePeople::new(world.clock.clone());
    stranger.rotate_keys();
    for forged in [
        letter.with("authorization", None),
        bearer("garbage".to_owned()),
        with(json!({"aud": "https://tandem.example"})),
        with(json!({"email": "push@other.iam.gserviceaccount.com"})),
        with(json!({"email_verified": false})),
        with(json!({"iss": "https://tandem.example"})),
        with(json!({"exp": 1_767_600_000 - 3_600})),
        bearer(stranger.id_token(AUDIENCE, PUSHER)),
    ] {
        assert_eq!(world.send(&forged).await, 403);
    }
    assert!(world.queue.is_empty());
    assert_eq!((world.send(&letter).await, world.queue.len()), (200, 1));
}

#[tokio::test]
async fn a_mail_push_is_believed_across_a_change_of_googles_keys() {
    let world = World::begins("teamleader-gmail", json!({})).await;
    world.run().await;
    world.google.mail_arrives("jan@example.com", b"From: a@b.example\r\n\r\nx\r\n", &["INBOX"]);
    let letter = world.mail_letter("1");
    for _ in 0..3 {
        let bearer = format!("Bearer {}", world.google.id_token(AUDIENCE, PUSHER));
        assert_eq!(world.send(&letter.with("authorization", Some(&bearer))).await, 200);
        world.google.rotate_keys();
        world.clock.advance(std::time::Duration::from_secs(120));
    }
}

#[tokio::test]
async fn a_proved_mail_push_that_is_about_nothing_of_ours_is_acknowledged() {
    let world = World::begins("teamleader-gmail", json!({})).await;
    world.run().await;
    let bearer = format!("Bearer {}", world.google.id_token(AUDIENCE, PUSHER));
    let of_nobody = "eyJlbWFpbEFkZHJlc3MiOiJub2JvZHlAZXhhbXBsZS5jb20iLCJoaXN0b3J5SWQiOjF9";
    for body in [
        "",
        "[]",
        r#"{"message":{"messageId":"1","data":"!"}}"#,
        &format!(r#"{{"message":{{"messageId":"2","data":"{of_nobody}"}}}}"#),
    ] {
        let letter = Letter::new("/webhooks/google/gmail", &[("authorization", &bearer)], body);
        assert_eq!(world.send(&letter).await, 200, "{body}");
    }
    assert!(world.queue.is_empty());
}

#[tokio::test]
async fn what_this_release_does_not_take_answers_404_in_the_words_of_the_api() {
    let world = World::begins("teamleader-gmail", json!({})).await;
    for (method, path) in [
        ("DELETE", "/webhooks/zoho"),
        ("GET", "/webhooks/zoho"),
        ("GET", "/webhooks/google/drive"),
        ("GET", "/webhooks/teamleader/guess"),
        ("POST", "/webhooks/teamleader"),
        ("GET", "/webhooks/unheard-of"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
        let (status, _, body) = world.ask(request).await;
        assert_eq!(status, 404, "{method} {path}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["code"], "not_found");
        assert!(body["error"]["field"].is_null());
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let world = World::begins("teamleader-dropbox", json!({})).await;
    let body = "x".repeat(300_000);
    let letter = Letter::new("/webhooks/dropbox", &[("x-dropbox-signature", &signed(SECRET, &body))], &body);
    assert_eq!(world.send(&letter).await, 413);
}
