//! Syncs, runs and records.
use super::*;
use tandem_core::record::{ConnectionId, Side, SyncId};
use tandem_store::channel::{Channel, ChannelRow, ChannelState, PushBook, PushState};
use tandem_store::connection::{Account, Connection, ConnectionState};

const PROFILE: &str = "teamleader-google-contacts";

#[tokio::test]
async fn a_sync_is_made_with_its_profiles_defaults_changed_and_removed() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let (crm, remote) = world.connections(&an).await;
    let body = json!({"profile": PROFILE, "crm": crm, "remote": remote, "settings": {"eligibility": "relaxed"}});
    let made = world.call(&an, "POST", "/v1/syncs", body.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let sync = &made.body;
    assert_eq!((&sync["state"], &sync["enabled"], &sync["last_run"]), (&json!("idle"), &json!(true), &Value::Null));
    assert_eq!(sync["settings"]["eligibility"], "relaxed");
    assert_eq!(sync["settings"]["direction"], "crm_to_remote");
    assert_eq!(sync["next_due_at"], "2026-01-05T08:00:00Z");
    assert_eq!(world.call(&an, "POST", "/v1/syncs", body).await.error(), (409, "already_there", ""));
    let one = format!("/v1/syncs/{}", made.text("id"));
    let patch = json!({"settings": {"eligibility": null, "frequency_minutes": 30}});
    let changed = world.call(&an, "PATCH", &one, patch).await.body;
    assert_eq!(changed["settings"]["eligibility"], "strict");
    assert_eq!(changed["settings"]["frequency_minutes"], 30);
    let off = world.call(&an, "PATCH", &one, json!({"enabled": false})).await.body;
    assert_eq!((&off["enabled"], &off["next_due_at"]), (&json!(false), &Value::Null));
    let run = world.call(&an, "POST", &format!("{one}/runs"), Value::Null).await;
    assert_eq!(run.error(), (409, "disabled", ""));
    let wrong = world.call(&an, "PATCH", &one, json!({"settings": {"frequency_minutes": 1}})).await;
    assert_eq!(wrong.error(), (422, "invalid", "settings.frequency_minutes"));
    assert_eq!(world.get(&an, &one).await.body["settings"]["frequency_minutes"], 30);
    assert_eq!(world.call(&an, "DELETE", &one, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(&an, &one).await.error(), (404, "not_found", ""));
}

#[tokio::test]
async fn the_files_of_two_crm_accounts_never_share_the_one_folder_of_a_dropbox() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let crm = world.call(&an, "POST", "/v1/connections", json!({"provider": "builtin"})).await.text("id");
    let user = world.state.store.connection(&ConnectionId::new(&crm)).await.unwrap().unwrap().user;
    for (id, provider) in [("other-crm", "teamleader"), ("folder", "dropbox")] {
        let connection = Connection {
            account: Account { id: format!("{id}-account"), ..Account::default() },
            state: ConnectionState::Connected,
            ..Connection::new(ConnectionId::new(id), user.clone(), provider, world.clock.now())
        };
        world.state.store.create_connection(&connection).await.unwrap();
    }
    let make = |crm: &str| json!({"profile": "teamleader-dropbox", "crm": crm, "remote": "folder"});
    let made = world.call(&an, "POST", "/v1/syncs", make(&crm)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(world.call(&an, "POST", "/v1/syncs", make("other-crm")).await.error(), (409, "account_taken", ""));
    world.call(&an, "DELETE", &format!("/v1/syncs/{}", made.text("id")), Value::Null).await;
    assert_eq!(world.call(&an, "POST", "/v1/syncs", make("other-crm")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn s4_4_a_dropbox_account_that_may_be_professional_works_and_the_vendors_limits_warn_of_it() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let crm = world.call(&an, "POST", "/v1/connections", json!({"provider": "builtin"})).await.text("id");
    let user = world.state.store.connection(&ConnectionId::new(&crm)).await.unwrap().unwrap().user;
    for (plan, warned) in [("pro", true), ("basic", false)] {
        let remote = Connection {
            account: Account { id: format!("dbid:{plan}"), ..Account::default() },
            state: ConnectionState::Connected,
            plan: Some(plan.to_owned()),
            ..Connection::new(ConnectionId::new(plan), user.clone(), "dropbox", world.clock.now())
        };
        world.state.store.create_connection(&remote).await.unwrap();
        let body = json!({"profile": "teamleader-dropbox", "crm": crm, "remote": plan,
            "settings": {"limits": "vendor"}});
        let made = world.call(&an, "POST", "/v1/syncs", body).await;
        assert_eq!((made.status, &made.body["enabled"]), (StatusCode::CREATED, &json!(true)), "{}", made.body);
        let one = format!("/v1/syncs/{}", made.text("id"));
        for shown in [made.body, world.get(&an, &one).await.body] {
            let said = shown["caution"].as_str().is_some_and(|said| said.contains("Dropbox Professional"));
            assert_eq!(said, warned, "{plan}: {shown}");
        }
        let without = world.call(&an, "PATCH", &one, json!({"settings": {"limits": "none"}})).await.body;
        assert_eq!(without["caution"], Value::Null, "{plan}");
    }
}

#[tokio::test]
async fn an_account_for_files_from_the_crm_alone_is_asked_for_no_more_than_our_own_files() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let make = |files: Value| json!({"provider": "google", "files": files});
    let asked = async |body| {
        let url = world.call(&an, "POST", "/v1/connections", body).await.text("authorize_url");
        let url = url::Url::parse(&url).unwrap();
        let scope = url.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
        let drive = scope.split(' ').filter_map(|scope| scope.strip_prefix("https://www.googleapis.com/auth/"));
        drive.filter(|scope| scope.starts_with("drive")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(asked(make(json!("one_way"))).await, ["drive.file"]);
    assert_eq!(asked(make(json!("both_ways"))).await, ["drive"]);
    assert_eq!(asked(json!({"provider": "google"})).await, ["drive"]);
    for body in [make(json!("some")), make(json!(7)), json!({"provider": "dropbox", "files": "one_way"})] {
        let refused = world.call(&an, "POST", "/v1/connections", body).await;
        assert_eq!(refused.error(), (422, "invalid", "files"), "{}", refused.body);
    }
}

#[tokio::test]
async fn records_that_are_not_in_the_crm_are_refused_when_they_are_chosen() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let crm = world.call(&an, "POST", "/v1/connections", json!({"provider": "builtin"})).await.text("id");
    let user = world.state.store.connection(&ConnectionId::new(&crm)).await.unwrap().unwrap().user;
    let remote = Connection {
        account: Account { id: "dbid:an".to_owned(), ..Account::default() },
        state: ConnectionState::Connected,
        ..Connection::new(ConnectionId::new("folder"), user, "dropbox", world.clock.now())
    };
    world.state.store.create_connection(&remote).await.unwrap();
    let company = world.call(&an, "POST", "/crm/v1/companies", json!({"name": "Acme"})).await.text("id");
    let filter = json!({"all": [{"field": "name", "op": "exists"}]});
    let segment = json!({"name": "All deals", "module": "deals", "filter": filter});
    let deals = world.call(&an, "POST", "/crm/v1/segments", segment).await.text("id");
    let make = |settings: Value| json!({"profile": "teamleader-dropbox", "crm": crm, "remote": "folder", "settings": settings});
    let one = |kind: &str, id: &str| json!({"type": kind, "id": id});
    let wrong = [
        (json!({"records": {"segment": "no-such-segment"}}), "settings.records"),
        (json!({"records": {"segment": deals}}), "settings.records"),
        (json!({"records": [one("company", &company), one("company", "no-such-company")]}), "settings.records"),
        (json!({"records": [one("contact", &company)]}), "settings.records"),
        (json!({"records": [one("shoe", &company)]}), "settings.records"),
        (json!({"modules": []}), "settings.modules"),
        (json!({"modules": ["shoes"]}), "settings.modules"),
        (json!({"max_file_bytes": 0}), "settings.max_file_bytes"),
    ];
    for (settings, field) in &wrong {
        let refused = world.call(&an, "POST", "/v1/syncs", make(settings.clone())).await;
        assert_eq!(refused.error(), (422, "invalid", *field), "{settings}: {}", refused.body);
    }
    let made = world.call(&an, "POST", "/v1/syncs", make(json!({"records": [one("company", &company)]}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    for (settings, field) in wrong {
        let path = format!("/v1/syncs/{}", made.text("id"));
        let refused = world.call(&an, "PATCH", &path, json!({"settings": settings})).await;
        assert_eq!(refused.error(), (422, "invalid", field), "{settings}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_sync_that_cannot_be_made_names_the_field() {
    let world = World::new();
    let (an, bo) = (world.user("an@example.test").await, world.user("bo@example.test").await);
    let (crm, remote) = world.connections(&an).await;
    let theirs = world.call(&bo, "POST", "/v1/connections", json!({"provider": "builtin"})).await.text("id");
    let pending = world.call(&an, "POST", "/v1/connections", json!({"provider": "google"})).await.text("id");
    let good = json!({"profile": PROFILE, "crm": crm, "remote": remote});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, field) in [
        (with("profile", json!("no-such")), "profile"),
        (with("profile", Value::Null), "profile"),
        (with("crm", json!(theirs)), "crm"),
        (with("crm", json!(remote)), "crm"),
        (with("crm", json!("x".repeat(5_000))), "crm"),
        (with("remote", json!("nobody")), "remote"),
        (with("remote", json!(pending)), "remote"),
        (with("settings", json!([])), "settings"),
        (with("settings", json!({"direction": "both"})), "settings.direction"),
        (with("settings", json!({"colour": "red"})), "settings.colour"),
        (with("enabled", json!("yes")), "enabled"),
        (with("colour", json!("red")), "colour"),
    ] {
        assert_eq!(world.call(&an, "POST", "/v1/syncs", body).await.error(), (422, "invalid", field));
    }
    assert_eq!(world.get(&an, "/v1/syncs").await.body["items"], json!([]));
}

#[tokio::test]
async fn a_run_carries_contacts_across_and_can_be_read_in_every_detail() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let one = format!("/v1/syncs/{}", world.sync(&an).await);
    for contact in [
        json!({"last_name": "Peeters", "first_name": "Jan", "emails": [{"type": "work", "value": "jan@acme.test"}],
            "phones": [{"type": "work", "value": "+32 2 123 45 67"}]}),
        json!({"last_name": "Nobody"}),
    ] {
        assert_eq!(world.call(&an, "POST", "/crm/v1/contacts", contact).await.status, StatusCode::CREATED);
    }
    let preview = world.call(&an, "POST", &format!("{one}/preview"), Value::Null).await;
    assert_eq!((preview.status, &preview.body["remote"]["create"]), (StatusCode::OK, &json!(1)), "{}", preview.body);
    assert!(world.google.calls().iter().all(|(_, _, writes)| *writes == 0));
    let started = world.call(&an, "POST", &format!("{one}/runs"), Value::Null).await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    let again = world.call(&an, "POST", &format!("{one}/runs"), Value::Null).await;
    assert_eq!(again.body, started.body, "a run under way is joined");
    let run = format!("/v1/runs/{}", started.text("run"));
    assert_eq!(world.get(&an, &run).await.body["state"], "queued");
    world.work().await;
    let done = world.get(&an, &run).await.body;
    assert_eq!((&done["state"], &done["trigger"]), (&json!("done"), &json!("manual")), "{done}");
    assert_eq!(done["counts"]["remote"]["created"], 1);
    assert!(done["error"].is_null() && done["ended_at"].is_string());
    assert_eq!(world.get(&an, &one).await.body["last_run"]["state"], "done");
    let runs = world.get(&an, &format!("{one}/runs")).await.body;
    assert!(runs["items"].as_array().unwrap().contains(&done), "{runs}");
    let changes = world.get(&an, &format!("{run}/changes")).await.body;
    let fields: Vec<_> = changes["items"].as_array().unwrap().iter().map(|change| &change["field"]).collect();
    assert!(fields.contains(&&json!("emails")), "{changes}");
    let excluded = world.get(&an, &format!("{one}/records?state=excluded")).await.body;
    let row = &excluded["items"][0];
    assert_eq!((&row["state"], row["crm"]["title"].as_str()), (&json!("excluded"), Some("Nobody")), "{excluded}");
    assert!(row["reason"]["message"].is_string());
    let found = world.get(&an, &format!("{one}/records?q=peeters")).await.body;
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    let choices = world.get(&an, &format!("{one}/choices")).await.body;
    assert!(choices["remote_group"].is_array(), "{choices}");
    assert_eq!(world.call(&an, "POST", &format!("{one}/confirm"), Value::Null).await.error().0, 409);
    assert_eq!(world.call(&an, "POST", &format!("{one}/retry"), Value::Null).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_grant_that_is_gone_is_shown_and_mended_by_connecting_again() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let sync = format!("/v1/syncs/{}", world.sync(&an).await);
    let remote = format!("/v1/connections/{}", world.get(&an, &sync).await.text("remote"));
    let account = world.get(&an, &remote).await.body["account"]["email"].clone();
    world.google.revoke(account.as_str().unwrap());
    world.call(&an, "POST", &format!("{sync}/runs"), Value::Null).await;
    world.work().await;
    assert_eq!(world.get(&an, &remote).await.body["state"], "reconnect_needed");
    let paused = world.get(&an, &sync).await.body;
    assert_eq!((&paused["state"], paused["reason"].is_string()), (&json!("paused"), true), "{paused}");
    let preview = world.call(&an, "POST", &format!("{sync}/preview"), Value::Null).await;
    assert_eq!(preview.error(), (409, "reconnect_needed", "remote"), "{}", preview.body);
    let begun = world.call(&an, "POST", "/v1/connections", json!({"provider": "google"})).await;
    world.browse(&world.consent(&begun.text("authorize_url"))).await;
    assert_eq!(world.get(&an, &remote).await.body["state"], "connected", "the same connection");
    let by_its_new_id = world.get(&an, &format!("/v1/connections/{}", begun.text("id"))).await.body;
    assert_eq!(
        (&by_its_new_id["state"], by_its_new_id["id"].as_str()),
        (&json!("connected"), remote.rsplit('/').next())
    );
    assert_eq!(world.get(&an, &sync).await.body["state"], "idle");
}

#[tokio::test]
async fn removing_a_connection_pauses_its_sync_with_the_reason() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let one = format!("/v1/syncs/{}", world.sync(&an).await);
    let remote = world.get(&an, &one).await.text("remote");
    world.call(&an, "DELETE", &format!("/v1/connections/{remote}"), Value::Null).await;
    let sync = world.get(&an, &one).await.body;
    assert_eq!(sync["state"], "paused");
    assert!(sync["reason"].as_str().unwrap().contains("removed"));
}

#[tokio::test]
async fn removing_either_connection_ends_what_its_syncs_are_told_over() {
    for (side, member) in [(Side::Left, "crm"), (Side::Right, "remote")] {
        let world = World::new();
        let an = world.user("an@example.test").await;
        let sync = world.sync(&an).await;
        let connection = world.get(&an, &format!("/v1/syncs/{sync}")).await.text(member);
        let (id, now) = (SyncId::new(sync), world.clock.now());
        let row = ChannelRow::opening(&id, "secret", now);
        world.state.store.save_channel("100000000000000001", &row).await.unwrap();
        let (name, target, resource) = ("100000000000000001".to_owned(), "account".to_owned(), String::new());
        let channel = Channel { id: name, target, account: None, resource, opened_at: now, until: None };
        let book = PushBook { state: PushState::On, channels: vec![channel], ..PushBook::default() };
        world.state.store.save_push_book(&id, side, &book).await.unwrap();
        world.call(&an, "DELETE", &format!("/v1/connections/{connection}"), Value::Null).await;
        let row = world.state.store.channel("100000000000000001").await.unwrap().unwrap();
        assert_eq!(row.state, ChannelState::Closed, "{member}");
    }
}

#[tokio::test]
async fn a_sync_with_the_vendors_limits_is_not_started_by_hand() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let one = format!("/v1/syncs/{}", world.sync(&an).await);
    world.call(&an, "PATCH", &one, json!({"settings": {"limits": "vendor"}})).await;
    let answer = world.call(&an, "POST", &format!("{one}/runs"), Value::Null).await;
    assert_eq!(answer.error(), (409, "manual_start_not_allowed", ""));
    assert!(world.queue.is_empty());
}

#[tokio::test]
async fn a_stranger_finds_nothing_of_mine() {
    let world = World::new();
    let (an, bo) = (world.user("an@example.test").await, world.user("bo@example.test").await);
    let sync = world.sync(&an).await;
    let remote = world.get(&an, &format!("/v1/syncs/{sync}")).await.text("remote");
    let run = world.call(&an, "POST", &format!("/v1/syncs/{sync}/runs"), Value::Null).await.text("run");
    for (method, path) in [
        ("GET", format!("/v1/connections/{remote}")),
        ("DELETE", format!("/v1/connections/{remote}")),
        ("GET", format!("/v1/syncs/{sync}")),
        ("PATCH", format!("/v1/syncs/{sync}")),
        ("DELETE", format!("/v1/syncs/{sync}")),
        ("GET", format!("/v1/syncs/{sync}/choices")),
        ("POST", format!("/v1/syncs/{sync}/preview")),
        ("POST", format!("/v1/syncs/{sync}/runs")),
        ("GET", format!("/v1/syncs/{sync}/runs")),
        ("GET", format!("/v1/syncs/{sync}/records")),
        ("POST", format!("/v1/syncs/{sync}/confirm")),
        ("POST", format!("/v1/syncs/{sync}/retry")),
        ("POST", format!("/v1/syncs/{sync}/convert")),
        ("GET", format!("/v1/runs/{run}")),
        ("GET", format!("/v1/runs/{run}/changes")),
        ("POST", format!("/v1/runs/{run}/undo")),
    ] {
        let body = match (method, path.ends_with("/convert")) {
            ("PATCH", _) => json!({"enabled": false}),
            (_, true) => json!({"record": "remote:primary/x"}),
            (_, false) => Value::Null,
        };
        assert_eq!(world.call(&bo, method, &path, body).await.error(), (404, "not_found", ""), "{method} {path}");
    }
    let convert = format!("/v1/syncs/{sync}/convert");
    let block = json!({"record": "remote:primary/x"});
    assert_eq!(world.call(&an, "POST", &convert, block).await.error(), (409, "no_block", ""));
    assert_eq!(world.call(&an, "POST", &convert, json!({})).await.error(), (422, "invalid", "record"));
    for list in ["/v1/connections", "/v1/syncs"] {
        assert_eq!(world.get(&bo, list).await.body["items"], json!([]));
    }
    assert_eq!(world.get(&an, &format!("/v1/syncs/{sync}")).await.body["enabled"], true);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new();
    let an = world.user("an@example.test").await;
    world.sync(&an).await;
    let first = world.get(&an, "/v1/connections?limit=1").await;
    let next = first.text("next");
    let second = world.get(&an, &format!("/v1/connections?limit=1&next={next}")).await.body;
    assert_ne!(first.body["items"][0]["id"], second["items"][0]["id"]);
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    for (path, expected) in [
        ("/v1/syncs?next=%F0", (422, "invalid", "next")),
        ("/v1/syncs?next=zzz", (422, "invalid", "next")),
        ("/v1/syncs?limit=0", (422, "invalid", "limit")),
        ("/v1/syncs?limit=1000", (422, "invalid", "limit")),
        ("/v1/syncs?colour=red", (400, "bad_query", "colour")),
    ] {
        assert_eq!(world.get(&an, path).await.error(), expected, "{path}");
    }
    let one = world.get(&an, "/v1/syncs").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    let records = world.get(&an, &format!("/v1/syncs/{one}/records?state=lost")).await;
    assert_eq!(records.error(), (422, "invalid", "state"));
    let records = world.get(&an, &format!("/v1/syncs/{one}/records?next=eA")).await;
    assert_eq!(records.error(), (422, "invalid", "next"));
}
