//! `sell-google-contacts` on Zendesk Sell itself: the sister page that seed 003 names, K… of the stories.
use scenarios::{Story, VENDOR};
use serde_json::{Value, json};
use tandem_store::run::RunState;

async fn story(settings: Value) -> Story {
    Story::begins_on("sell", "sell-google-contacts", settings).await
}

fn order(story: &Story, method: &str, id: Option<i64>, data: Value) -> Value {
    story.sell.order(method, "contacts", &json!({ "account": VENDOR, "id": id, "data": data }))
}

fn made(story: &Story, data: Value) -> i64 {
    order(story, "POST", None, data)["data"]["id"].as_i64().expect("it is made")
}

fn persons(story: &Story) -> Vec<Value> {
    let state = story.sell.order("GET", &format!("state?account={VENDOR}"), &json!({}));
    let held = state["contacts"].as_object().expect("contacts by id");
    let all: Vec<Value> = held.values().cloned().collect();
    let data = |contact: Value| if contact["data"].is_object() { contact["data"].clone() } else { contact };
    all.into_iter().map(data).filter(|contact| contact["is_organization"] != json!(true)).collect()
}

fn named(story: &Story, last: &str) -> Value {
    let found: Vec<Value> = persons(story).into_iter().filter(|contact| contact["last_name"] == last).collect();
    assert_eq!(found.len(), 1, "{last} is in Sell {} times", found.len());
    found[0].clone()
}

fn work(value: &str) -> Value {
    json!([{ "type": "work", "value": value }])
}

fn google(first: &str, last: &str, email: &str) -> Value {
    json!({ "names": [{ "givenName": first, "familyName": last }], "emailAddresses": work(email) })
}

async fn in_step(settings: Value) -> (Story, i64) {
    let story = story(settings).await;
    let acme = made(&story, json!({ "is_organization": true, "name": "Acme" }));
    let jan = json!({ "first_name": "Jan", "last_name": "Peeters", "email": "jan@example.com", "mobile": "+32470000001", "contact_id": acme });
    let id = made(&story, jan);
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 1), "{run:?}");
    (story, id)
}

async fn quiet(story: &Story) {
    let writes = |story: &Story| story.sell.calls().iter().map(|(_, _, writes)| writes).sum::<usize>();
    let before = (story.google_writes(), writes(story));
    let run = story.run().await;
    assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    assert_eq!((story.google_writes(), writes(story)), before, "a quiet run writes nothing");
}

#[tokio::test]
async fn contacts_go_into_base_crm_and_each_change_travels_both_ways() {
    let (story, id) = in_step(json!({})).await;
    assert_eq!(story.groups()[0]["name"], "Base CRM");
    assert_eq!(story.person("Peeters")["organizations"][0]["name"], "Acme");
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&story.group()]);
    order(&story, "PATCH", Some(id), json!({ "mobile": "+32470000002" }));
    story.google_edit(&story.person("Peeters"), json!({ "emailAddresses": work("new@example.com") }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.crm.updated, run.counts.remote.updated), (1, 1, 2), "{run:?}");
    assert_eq!(named(&story, "Claes")["email"], "ann@example.com");
    assert_eq!(named(&story, "Peeters")["email"], "new@example.com");
    assert_eq!(story.person("Peeters")["phoneNumbers"][0]["value"], "+32470000002");
    quiet(&story).await;
}

#[tokio::test]
async fn k14_k04_made_anew_there_is_no_double_with_or_without_an_address() {
    let (story, _) = in_step(json!({})).await;
    made(&story, json!({ "first_name": "No", "last_name": "Address" }));
    story.google_person(json!({ "names": [{ "givenName": "Neither", "familyName": "Mail" }] }), &[&story.group()]);
    story.run().await;
    assert_eq!((story.people().len(), persons(&story).len()), (3, 3));
    story.starts_over(json!({})).await;
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 0), "{run:?}");
    assert_eq!((story.people().len(), persons(&story).len()), (3, 3));
    quiet(&story).await;
}

#[tokio::test]
async fn k10_deletions_travel_both_ways_and_an_edit_beats_one() {
    let (story, id) = in_step(json!({ "max_delete_percent": 100 })).await;
    made(&story, json!({ "first_name": "Ann", "last_name": "Claes", "email": "ann@example.com" }));
    let eva = made(&story, json!({ "first_name": "Eva", "last_name": "Maes", "email": "eva@example.com" }));
    story.run().await;
    order(&story, "DELETE", Some(id), json!({}));
    story.google_delete(&story.person("Claes"));
    story.google_delete(&story.person("Maes"));
    order(&story, "PATCH", Some(eva), json!({ "title": "CEO" }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.deleted, run.counts.remote.created), (1, 1, 1), "{run:?}");
    assert_eq!((story.people().len(), persons(&story).len()), (1, 1));
    quiet(&story).await;
}

#[tokio::test]
async fn what_sell_cannot_hold_stays_in_google() {
    let (story, id) = in_step(json!({})).await;
    let emails =
        json!([{ "type": "work", "value": "jan@example.com" }, { "type": "home", "value": "home@example.com" }]);
    story.google_edit(
        &story.person("Peeters"),
        json!({ "emailAddresses": emails, "birthdays": [{ "date": { "year": 1980, "month": 2, "day": 1 } }] }),
    );
    story.run().await;
    quiet(&story).await;
    order(&story, "PATCH", Some(id), json!({ "email": "jan.new@example.com" }));
    story.run().await;
    let there = story.person("Peeters");
    let addresses: Vec<&str> =
        there["emailAddresses"].as_array().unwrap().iter().map(|email| email["value"].as_str().unwrap()).collect();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    assert!(addresses.contains(&"home@example.com") && addresses.contains(&"jan.new@example.com"), "{addresses:?}");
    assert_eq!(there["birthdays"][0]["date"]["year"], 1980);
    quiet(&story).await;
}

#[tokio::test]
async fn a_google_group_is_chosen_and_on_the_built_in_crm_the_group_is_base_crm_too() {
    let story = self::story(json!({})).await;
    let group = story.google_group("Customers").await;
    story.set("remote_group", json!(group)).await;
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    story.google_person(google("Not", "Chosen", "not@example.com"), &[]);
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, story.groups().len()), (1, 1), "{run:?}");
    assert_eq!(persons(&story).len(), 1);

    let story = Story::begins("sell-google-contacts", json!({})).await;
    story.crm_contact(scenarios::contact("Jan", "Peeters", "jan@example.com")).await;
    let run = story.run().await;
    assert_eq!((run.counts.remote.created, &story.groups()[0]["name"]), (1, &json!("Base CRM")), "{run:?}");
}
