use crate::{ACCOUNT, World};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tandem_core::contact::{Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{Marker, Value};
use tandem_ports::connector::{Connector, Draft};
use tandem_ports::error::ErrorKind;
use tandem_sell::fake::Fault;

fn draft(marker: &str, email: Option<&str>) -> Draft {
    let emails = email.map(|value| Labelled { label: "work".into(), value: value.into() });
    let contact = Contact {
        first_name: "Jan".into(),
        last_name: "Peeters".into(),
        emails: emails.into_iter().collect(),
        ..Contact::default()
    };
    Draft { marker: Marker::new(marker), fields: contact.to_fields(Region::none()) }
}

fn typed(email: Option<&str>) -> Json {
    json!({"first_name": "Jan", "last_name": "Peeters", "email": email, "tags": ["Tandem"]})
}

async fn lost(world: &World, draft: &Draft) {
    world.fake.inject(&[Fault::LoseAnswer]);
    let outcome = world.sell.create(std::slice::from_ref(draft)).await.expect("a batch").remove(0);
    assert_eq!(outcome.expect_err("no answer came").kind, ErrorKind::Retryable);
}

async fn found(world: &World, drafts: &[Draft]) -> usize {
    world.sell.find_made(drafts).await.expect("a search").len()
}

#[tokio::test]
async fn a_lost_create_is_found_with_and_without_an_address() {
    for email in [None, Some("jan@example.com")] {
        let world = World::with(Some("Tandem"), 100);
        let draft = draft("m", email);
        lost(&world, &draft).await;
        assert_eq!(found(&world, &[draft]).await, 1);
    }
}

#[tokio::test]
async fn where_a_user_typed_the_same_nobody_is_adopted() {
    for email in [None, Some("jan@example.com")] {
        let world = World::with(Some("Tandem"), 100);
        let draft = draft("m", email);
        lost(&world, &draft).await;
        world.make(&typed(email));
        assert_eq!(found(&world, &[draft]).await, 0);
    }
}

#[tokio::test]
async fn two_lost_creates_that_say_the_same_are_both_found() {
    let world = World::with(Some("Tandem"), 100);
    let drafts = [draft("a", None), draft("b", None)];
    lost(&world, &drafts[0]).await;
    lost(&world, &drafts[1]).await;
    let found = world.sell.find_made(&drafts).await.expect("a search");
    assert_eq!(found.len(), 2);
    assert!(found[0].1.id != found[1].1.id && found[0].0 != found[1].0);
}

#[tokio::test]
async fn what_another_user_made_is_not_ours() {
    let world = World::with(Some("Tandem"), 100);
    world.user("piet@example.com");
    world.make_as("piet@example.com", &typed(Some("jan@example.com")));
    assert_eq!(found(&world, &[draft("m", Some("jan@example.com"))]).await, 0);
}

#[tokio::test]
async fn what_is_older_than_an_hour_or_outside_the_list_is_not_ours() {
    let world = World::with(Some("Tandem"), 100);
    let wanted = draft("m", Some("jan@example.com"));
    let made = world.make(&typed(Some("jan@example.com")));
    world.clock.advance(Duration::from_secs(3_590));
    assert_eq!(found(&world, std::slice::from_ref(&wanted)).await, 1);
    world.edit(made, &json!({"tags": []}));
    assert_eq!(found(&world, std::slice::from_ref(&wanted)).await, 0);
    world.edit(made, &json!({"tags": ["Tandem"]}));
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(found(&world, &[wanted]).await, 0);
}

#[tokio::test]
async fn of_a_draft_that_says_nothing_nothing_was_made() {
    let world = World::new();
    world.make(&typed(None));
    let empty = Draft { marker: Marker::new("m"), fields: Contact::default().to_fields(Region::none()) };
    assert_eq!(found(&world, &[empty]).await, 0);
    assert_eq!(world.asked(), ["GET /v2/contact/custom_fields"]);
}

#[tokio::test]
async fn a_text_that_is_too_long_is_the_refusal_of_its_record_alone() {
    let world = World::new();
    let mut long = draft("long", None);
    long.fields.set(field::POSITION, Value::Text("x".repeat(256)));
    let outcomes = world.sell.create(&[draft("a", None), long, draft("b", None)]).await.expect("a batch");
    let kinds: Vec<Option<ErrorKind>> = outcomes.iter().map(|o| o.as_ref().err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Permanent), None]);
    let refusal = outcomes[1].as_ref().expect_err("too long").to_string();
    assert!(refusal.contains("title (incorrect_value)") && !refusal.contains("xx"), "{refusal}");
}

#[tokio::test]
async fn a_company_of_several_drafts_is_made_once() {
    let world = World::new();
    let of_company = |marker: &str, name: &str| {
        let mut draft = draft(marker, None);
        draft.fields.set(field::COMPANY, Value::Text(name.to_owned()));
        draft
    };
    let drafts = [of_company("a", "Bakkerij"), of_company("b", "Bakkerij"), of_company("c", "Slagerij")];
    world.sell.create(&drafts).await.expect("a batch");
    let state = world.fake.order("GET", &format!("state?account={ACCOUNT}"), &json!({}));
    let contacts = state["contacts"].as_object().expect("a map");
    assert_eq!(contacts.values().filter(|contact| contact["is_organization"] == true).count(), 2);
}
