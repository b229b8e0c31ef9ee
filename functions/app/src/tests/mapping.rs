//! A field map is judged by what both sides can hold.
use super::*;
use tandem_core::record::ConnectionId;
use tandem_store::connection::{Account, Connection, ConnectionState};

const MAP: &str = "settings.field_map[1].";

struct Mapping {
    world: World,
    an: Token,
    crm: String,
    remote: String,
}

/// A user with Zoho and Google connected; her Zoho has a number that nobody can write, and a text.
async fn mapping() -> Mapping {
    let world = World::new();
    world.zoho.field(json!({"api_name": "Score", "data_type": "integer", "custom": true, "read_only": true}));
    world.zoho.field(json!({"api_name": "Nickname", "data_type": "text", "length": 40, "custom": true}));
    let an = world.user("an@example.test").await;
    let (_, remote) = world.connections(&an).await;
    let user = world.state.users.authenticate(&an.0).await.unwrap().unwrap();
    let id = ConnectionId::new("zoho-1");
    let account = Account { id: "1".into(), name: "Jan".into(), email: ZOHO_USER.into() };
    let fresh = Connection::new(id.clone(), crate::state::id_of(&user), "zoho", world.clock.now());
    let connection = Connection { account, state: ConnectionState::Connected, ..fresh };
    world.state.store.create_connection(&connection).await.unwrap();
    Mapping { world, an, crm: id.to_string(), remote }
}

impl Mapping {
    async fn create(&self, settings: Value) -> Answer {
        let body =
            json!({"profile": "zoho-google-contacts", "crm": self.crm, "remote": self.remote, "settings": settings});
        self.world.call(&self.an, "POST", "/v1/syncs", body).await
    }
    async fn change(&self, sync: &str, settings: Value) -> Answer {
        self.world.call(&self.an, "PATCH", &format!("/v1/syncs/{sync}"), json!({"settings": settings})).await
    }
}

fn with(crm: &str, remote: &str, direction: &str) -> Value {
    let name = json!({"crm": "last_name", "remote": "last_name", "direction": "both"});
    json!({"field_map": [name, {"crm": crm, "remote": remote, "direction": direction}]})
}

#[tokio::test]
async fn a_field_that_a_side_does_not_have_or_cannot_write_is_refused_by_its_row() {
    let at = mapping().await;
    let sync = at.create(json!({})).await.text("id");
    for (settings, part) in [
        (with("custom.Nothing", "custom.nothing", "crm_to_remote"), "crm"),
        (with("custom.Score", "custom.score", "both"), "crm"),
        (with("custom.Score", "custom.score", "remote_to_crm"), "crm"),
    ] {
        let field = format!("{MAP}{part}");
        assert_eq!(at.change(&sync, settings.clone()).await.error(), (422, "invalid", field.as_str()), "{settings}");
        let fresh = mapping().await;
        assert_eq!(fresh.create(settings.clone()).await.error(), (422, "invalid", field.as_str()), "{settings}");
    }
    // Nothing of a refused map is kept.
    let before = at.world.get(&at.an, &format!("/v1/syncs/{sync}")).await.body;
    assert!(!before["settings"].to_string().contains("custom."), "{before}");
    for settings in [
        with("custom.Score", "custom.score", "crm_to_remote"),
        with("custom.Nickname", "custom.nickname", "both"),
        with("custom.Nickname", "remarks", "both"),
    ] {
        let answer = at.change(&sync, settings.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{settings}: {}", answer.body);
        assert_eq!(answer.body["settings"]["field_map"], settings["field_map"]);
    }
}

#[tokio::test]
async fn a_direction_that_would_write_what_cannot_be_written_is_refused() {
    let at = mapping().await;
    let one_way =
        json!({"direction": "crm_to_remote", "field_map": with("custom.Score", "custom.score", "both")["field_map"]});
    let sync = at.create(one_way).await.text("id");
    let refused = at.change(&sync, json!({"direction": "both"})).await;
    assert_eq!(refused.error(), (422, "invalid", format!("{MAP}crm").as_str()), "{}", refused.body);
    // Other settings are not held up by it.
    assert_eq!(at.change(&sync, json!({"frequency_minutes": 30})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_just_now_holds_up_no_change() {
    let at = mapping().await;
    let sync = at.create(json!({})).await.text("id");
    at.world.zoho.inject(&[tandem_zoho::fake::Fault::ServerError; 8]);
    let choices = at.world.get(&at.an, &format!("/v1/syncs/{sync}/choices")).await;
    assert!(!choices.status.is_success(), "{}", choices.body);
    let answer = at.change(&sync, with("custom.Nothing", "custom.nothing", "both")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}

#[tokio::test]
async fn the_choices_say_what_each_side_holds_and_whether_fields_can_be_made() {
    let at = mapping().await;
    let sync = at.create(json!({})).await.text("id");
    let choices = at.world.get(&at.an, &format!("/v1/syncs/{sync}/choices")).await.body;
    let field = |side: &str, id: &str| {
        let fields = choices[side].as_array().unwrap();
        fields.iter().find(|field| field["id"] == id).cloned().unwrap_or_else(|| panic!("{id} in {choices}"))
    };
    let score = field("crm_fields", "custom.Score");
    assert_eq!((&score["read_only"], &score["holds"]["type"]), (&json!(true), &json!("number")));
    assert_eq!(field("crm_fields", "last_name")["mandatory"], true);
    assert_eq!(field("remote_fields", "emails")["holds"]["type"], "list");
    assert_eq!((&choices["crm_custom_fields"], &choices["remote_custom_fields"]), (&json!(false), &json!(true)));
}
