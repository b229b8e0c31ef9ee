//! The settings of calendars, judged by what the connected account has.
use super::*;

const PROFILE: &str = "teamleader-google-calendar";
const NOWHERE: &str = "nowhere@group.calendar.google.com";

struct Calendars {
    world: World,
    an: Token,
    crm: String,
    remote: String,
    team: String,
}

/// A user whose Google account has a second calendar.
async fn calendars() -> Calendars {
    let world = World::new();
    let an = world.user("an@example.test").await;
    let (crm, remote) = world.connections(&an).await;
    let shown = world.get(&an, &format!("/v1/connections/{remote}")).await.body;
    let account = shown["account"]["email"].as_str().unwrap();
    let team = world.google.user_does(account, "calendar", &json!({"calendar": {"summary": "Team"}}));
    let team = team["id"].as_str().unwrap().to_owned();
    Calendars { world, an, crm, remote, team }
}

impl Calendars {
    async fn create(&self, profile: &str, settings: Value) -> Answer {
        let body = json!({"profile": profile, "crm": self.crm, "remote": self.remote, "settings": settings});
        self.world.call(&self.an, "POST", "/v1/syncs", body).await
    }
    async fn change(&self, sync: &str, settings: Value) -> Answer {
        self.world.call(&self.an, "PATCH", &format!("/v1/syncs/{sync}"), json!({"settings": settings})).await
    }
}

#[tokio::test]
async fn a_calendar_that_the_account_does_not_have_is_refused_by_its_setting() {
    let at = calendars().await;
    for (name, settings) in [
        ("source_calendars", json!({"source_calendars": ["primary", NOWHERE]})),
        ("read_only_calendars", json!({"read_only_calendars": [NOWHERE]})),
        ("target_calendar", json!({"target_calendar": NOWHERE})),
        ("default_calendar", json!({"default_calendar": NOWHERE})),
        ("source_calendars", json!({"source_calendars": []})),
    ] {
        let field = format!("settings.{name}");
        assert_eq!(at.create(PROFILE, settings.clone()).await.error(), (422, "invalid", field.as_str()), "{settings}");
    }
    let good = json!({"source_calendars": ["primary", at.team], "default_calendar": at.team});
    let sync = at.create(PROFILE, good).await.text("id");
    let wrong = at.change(&sync, json!({"read_only_calendars": [NOWHERE]})).await;
    assert_eq!(wrong.error(), (422, "invalid", "settings.read_only_calendars"));
    assert!(wrong.body["error"]["message"].as_str().unwrap().contains(NOWHERE), "{}", wrong.body);
    let fresh = at.change(&sync, json!({"frequency_minutes": 60})).await;
    assert_eq!(fresh.status, StatusCode::OK, "what was chosen before is not judged again: {}", fresh.body);
}

#[tokio::test]
async fn the_calendar_to_write_to_is_changed_by_either_of_its_names() {
    let at = calendars().await;
    let sync = at.create(PROFILE, json!({"default_calendar": "primary"})).await.text("id");
    for (settings, target, default) in [
        (json!({"target_calendar": at.team}), &at.team, &at.team),
        (json!({"default_calendar": "primary"}), &"primary".to_owned(), &"primary".to_owned()),
    ] {
        let changed = at.change(&sync, settings.clone()).await;
        assert_eq!(changed.status, StatusCode::OK, "{settings}: {}", changed.body);
        let shown = &changed.body["settings"];
        assert_eq!((&shown["target_calendar"], &shown["default_calendar"]), (&json!(target), &json!(default)));
    }
    let both = at.change(&sync, json!({"target_calendar": at.team, "default_calendar": "primary"})).await;
    assert_eq!(both.error(), (422, "invalid", "settings.default_calendar"));
    // That nothing goes out then is said at once.
    let caution = at.change(&sync, json!({"default_calendar": "crm"})).await.body["caution"].clone();
    assert!(caution.as_str().unwrap().contains("Nothing is written"), "{caution}");
    assert_eq!(at.change(&sync, json!({"default_calendar": "primary"})).await.body["caution"], Value::Null);
}

#[tokio::test]
async fn every_calendar_profile_works_with_its_defaults() {
    for profile in ["teamleader-google-calendar", "zoho-google-calendar", "sell-google-calendar"] {
        let at = calendars().await;
        let made = at.create(profile, json!({})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{profile}: {}", made.body);
        let one = format!("/v1/syncs/{}", made.text("id"));
        let preview = at.world.call(&at.an, "POST", &format!("{one}/preview"), Value::Null).await;
        assert_eq!((preview.status, &preview.body["note"]), (StatusCode::OK, &Value::Null), "{profile}");
        at.world.call(&at.an, "POST", &format!("{one}/runs"), Value::Null).await;
        at.world.work().await;
        let shown = at.world.get(&at.an, &one).await.body;
        assert_eq!((&shown["state"], &shown["last_run"]["state"]), (&json!("idle"), &json!("done")), "{shown}");
        assert_eq!((&shown["reason"], &shown["last_run"]["error"]), (&Value::Null, &Value::Null), "{shown}");
    }
}

#[tokio::test]
async fn a_sync_whose_connection_was_removed_is_not_started() {
    let at = calendars().await;
    let one = format!("/v1/syncs/{}", at.create(PROFILE, json!({})).await.text("id"));
    let gone = at.world.call(&at.an, "DELETE", &format!("/v1/connections/{}", at.remote), Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    for path in ["runs", "retry", "confirm", "preview"] {
        let refused = at.world.call(&at.an, "POST", &format!("{one}/{path}"), Value::Null).await;
        assert_eq!(refused.error(), (409, "connection_removed", ""), "{path}: {}", refused.body);
        assert!(refused.body["error"]["message"].as_str().unwrap().contains("remote account was removed"));
    }
}
