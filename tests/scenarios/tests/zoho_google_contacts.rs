//! `zoho-google-contacts` on Zoho CRM itself: rows S1-… of the source documents, K… of the stories.
use scenarios::{Story, VENDOR};
use serde_json::{Value, json};
use tandem_store::run::RunState;

async fn story(settings: Value) -> Story {
    Story::begins_on("zoho", "zoho-google-contacts", settings).await
}

fn work(value: &str) -> Value {
    json!([{ "type": "work", "value": value }])
}

fn google(first: &str, last: &str, email: &str) -> Value {
    json!({ "names": [{ "givenName": first, "familyName": last }], "emailAddresses": work(email) })
}

fn contacts(story: &Story) -> Vec<Value> {
    story.zoho.state("Contacts")["records"].as_array().cloned().unwrap_or_default()
}

fn named(story: &Story, last: &str) -> Value {
    let found: Vec<Value> = contacts(story).into_iter().filter(|record| record["Last_Name"] == last).collect();
    assert_eq!(found.len(), 1, "{last} is in Zoho {} times", found.len());
    found[0].clone()
}

fn jan(story: &Story) -> String {
    let record =
        json!({ "First_Name": "Jan", "Last_Name": "Peeters", "Email": "jan@example.com", "Mobile": "+32470000001" });
    story.zoho.user_creates(VENDOR, "Contacts", record)
}

async fn in_step(settings: Value) -> (Story, String) {
    let story = story(settings).await;
    let id = jan(&story);
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 1), "{run:?}");
    (story, id)
}

async fn quiet(story: &Story) {
    let (writes, calls) = (story.google_writes(), zoho_writes(story));
    let run = story.run().await;
    assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    assert_eq!((story.google_writes(), zoho_writes(story)), (writes, calls), "a quiet run writes nothing");
}

fn zoho_writes(story: &Story) -> usize {
    story.zoho.calls().iter().map(|(_, _, writes)| writes).sum()
}

#[tokio::test]
async fn s1_1_and_12_both_sides_carry_over_and_each_change_travels() {
    let (story, id) = in_step(json!({})).await;
    let group = story.group();
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (1, 0), "{run:?}");
    assert_eq!(named(&story, "Claes")["Email"], "ann@example.com");
    quiet(&story).await;
    // K07: each side another field.
    story.zoho.user_edits(VENDOR, &id, json!({ "Mobile": "+32470000002" }));
    story.google_edit(&story.person("Peeters"), json!({ "organizations": [{ "title": "CEO" }] }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated, run.counts.crm.conflicts), (1, 1, 0), "{run:?}");
    assert_eq!(named(&story, "Peeters")["Title"], "CEO");
    assert_eq!(story.person("Peeters")["phoneNumbers"][0]["value"], "+32470000002");
    quiet(&story).await;
}

#[tokio::test]
async fn s1_15_k06_of_two_changes_the_configured_side_wins() {
    for (conflict, title) in [("crm_wins", "Zoho"), ("remote_wins", "Google")] {
        let (story, id) = in_step(json!({ "conflict": conflict })).await;
        story.zoho.user_edits(VENDOR, &id, json!({ "Title": "Zoho" }));
        story.google_edit(&story.person("Peeters"), json!({ "organizations": [{ "title": "Google" }] }));
        let run = story.run().await;
        assert_eq!(run.counts.crm.conflicts + run.counts.remote.conflicts, 1, "{conflict}: {run:?}");
        assert_eq!(named(&story, "Peeters")["Title"], title);
        assert_eq!(story.person("Peeters")["organizations"][0]["title"], title);
        quiet(&story).await;
    }
}

#[tokio::test]
async fn s1_5_k14_k04_made_anew_there_is_no_double_with_or_without_an_address() {
    let (story, _) = in_step(json!({})).await;
    let group = story.group();
    story.zoho.user_creates(VENDOR, "Contacts", json!({ "First_Name": "No", "Last_Name": "Address" }));
    story.google_person(json!({ "names": [{ "givenName": "Neither", "familyName": "Mail" }] }), &[&group]);
    story.run().await;
    assert_eq!((story.people().len(), contacts(&story).len()), (3, 3));
    for _ in 0..2 {
        story.starts_over(json!({})).await;
        let run = story.run().await;
        assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 0), "{run:?}");
        assert_eq!((story.people().len(), contacts(&story).len()), (3, 3));
        quiet(&story).await;
    }
}

#[tokio::test]
async fn k10_deletions_travel_both_ways_and_an_edit_beats_one() {
    let (story, id) = in_step(json!({ "max_delete_percent": 100 })).await;
    for (last, email) in [("Claes", "ann@example.com"), ("Maes", "eva@example.com")] {
        story.zoho.user_creates(VENDOR, "Contacts", json!({ "First_Name": "A", "Last_Name": last, "Email": email }));
    }
    story.run().await;
    story.google_delete(&story.person("Claes"));
    assert!(story.zoho.user_deletes(VENDOR, &id));
    let run = story.run().await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.deleted), (1, 1), "{run:?}");
    assert_eq!((story.people().len(), contacts(&story).len()), (1, 1));
    story.google_delete(&story.person("Maes"));
    let eva = named(&story, "Maes")["id"].as_str().unwrap().to_owned();
    story.zoho.user_edits(VENDOR, &eva, json!({ "Title": "CEO" }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.created), (0, 1), "{run:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn s1_11_and_22_only_the_chosen_list_view_and_who_leaves_it_stays_on_both_sides() {
    let story = story(json!({})).await;
    let criteria = json!({ "field": { "api_name": "Department" }, "comparator": "equal", "value": "Sales" });
    let view = story.zoho.view("Adverts", criteria);
    story.set("crm_list", json!(view)).await;
    let record =
        json!({ "First_Name": "Jan", "Last_Name": "Peeters", "Email": "jan@example.com", "Department": "Sales" });
    let id = story.zoho.user_creates(VENDOR, "Contacts", record);
    story.zoho.user_creates(VENDOR, "Contacts", json!({ "First_Name": "Not", "Last_Name": "Listed" }));
    assert_eq!(story.run().await.counts.remote.created, 1);
    story.zoho.user_edits(VENDOR, &id, json!({ "Department": null, "Title": "CEO" }));
    let run = story.run().await;
    assert_eq!(run.counts.writes(), 0, "{run:?}");
    assert_eq!((story.people().len(), contacts(&story).len()), (1, 2), "nothing is deleted");
    story.zoho.user_edits(VENDOR, &id, json!({ "Department": "Sales" }));
    let run = story.run().await;
    assert_eq!((run.counts.remote.created, run.counts.remote.updated), (0, 1), "the same pair goes on: {run:?}");
    story.zoho.delete_view(&view);
    story.zoho.user_edits(VENDOR, &id, json!({ "Title": "Owner" }));
    let run = story.run().await;
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    assert!(run.error.unwrap().message.contains("list view"), "the page says what to do");
}

#[tokio::test]
async fn s1_24_the_users_own_token_sees_what_the_user_may_see() {
    let story = story(json!({})).await;
    story.zoho.user(VENDOR, "sales", None);
    story.zoho.user("boss@acme.example", "CEO", None);
    story.zoho.user_creates("boss@acme.example", "Contacts", json!({ "First_Name": "The", "Last_Name": "Secret" }));
    jan(&story);
    let run = story.run().await;
    assert_eq!(run.counts.remote.created, 1, "{run:?}");
    assert_eq!(story.people().len(), 1);
}

#[tokio::test]
async fn s1_8_a_missing_permission_stops_that_direction_and_says_which() {
    let story = story(json!({})).await;
    let profile = story.zoho.profile("Readers", &["Crm_Implied_Edit_Contacts", "Crm_Implied_Create_Contacts"]);
    story.zoho.user(VENDOR, "sales", Some(&profile));
    story.zoho.user_creates(
        VENDOR,
        "Contacts",
        json!({ "First_Name": "Jan", "Last_Name": "Peeters", "Email": "jan@example.com" }),
    );
    story.run().await;
    let group = story.group();
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    story.zoho.user_creates(
        VENDOR,
        "Contacts",
        json!({ "First_Name": "Bob", "Last_Name": "Baert", "Email": "bob@example.com" }),
    );
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.created, run.counts.crm.created), (RunState::Done, 1, 0), "{run:?}");
    let error = run.error.unwrap();
    assert_eq!(error.code, "missing_right");
    assert!(error.message.contains("Create"), "{}", error.message);
}

#[tokio::test]
async fn s1_4_and_34_what_zohos_fields_do_not_take_is_said_with_the_fields_name() {
    let (story, _) = in_step(json!({})).await;
    let group = story.group();
    let mut long = google("Ann", "Claes", "ann@example.com");
    long["organizations"] = json!([{ "title": "x".repeat(300) }]);
    story.google_person(long, &[&group]);
    story.google_person(
        json!({ "names": [{ "givenName": "Madonna" }], "emailAddresses": work("m@example.com") }),
        &[&group],
    );
    story.google_person(google("Fine", "Person", "fine@example.com"), &[&group]);
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.crm.failing), (1, 0), "{run:?}");
    let said: Vec<String> =
        story.records("excluded").await.iter().map(|record| record.reason.as_ref().unwrap().message.clone()).collect();
    assert!(said.iter().any(|text| text.contains("Title") && text.contains("300")), "{said:?}");
    assert!(said.iter().any(|text| text.contains("Last Name")), "{said:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn s1_35_a_custom_field_is_mapped_and_travels_both_ways() {
    let map = json!([
        { "crm": "last_name", "remote": "last_name", "direction": "both" },
        { "crm": "first_name", "remote": "first_name", "direction": "both" },
        { "crm": "emails", "remote": "emails", "direction": "both" },
        { "crm": "custom.Shoe_Size", "remote": "custom.shoe", "direction": "both" },
    ]);
    let story = story(json!({ "field_map": map })).await;
    story.zoho.field(json!({ "api_name": "Shoe_Size", "data_type": "integer", "length": 9, "custom": true }));
    let record = json!({ "First_Name": "Jan", "Last_Name": "Peeters", "Email": "jan@example.com", "Shoe_Size": 44, "Title": "CEO" });
    story.zoho.user_creates(VENDOR, "Contacts", record);
    story.run().await;
    let there = story.person("Peeters");
    assert_eq!((&there["userDefined"][0]["key"], &there["userDefined"][0]["value"]), (&json!("shoe"), &json!("44")));
    assert!(there.get("organizations").is_none(), "an unmapped field stays where it is");
    story.google_edit(&there, json!({ "userDefined": [{ "key": "shoe", "value": "45" }] }));
    story.run().await;
    assert_eq!(named(&story, "Peeters")["Shoe_Size"], 45);
    story.google_edit(&story.person("Peeters"), json!({ "userDefined": [{ "key": "shoe", "value": "large" }] }));
    let run = story.run().await;
    assert_eq!(run.counts.writes(), 0, "{run:?}");
    let excluded = story.records("excluded").await;
    assert!(excluded[0].reason.as_ref().unwrap().message.contains("number"), "{excluded:?}");
}

#[tokio::test]
async fn fifty_edits_on_each_side_of_a_thousand_cost_one_delta_and_one_batch_each_way() {
    let story = story(json!({})).await;
    let ids: Vec<String> = (0..1_000)
        .map(|n| {
            let record =
                json!({ "First_Name": "First", "Last_Name": format!("Last{n}"), "Email": format!("p{n}@example.com") });
            story.zoho.user_creates(VENDOR, "Contacts", record)
        })
        .collect();
    assert_eq!(story.run().await.counts.remote.created, 1_000);
    quiet(&story).await;
    for id in &ids[..50] {
        story.zoho.user_edits(VENDOR, id, json!({ "Title": "CEO" }));
    }
    for n in 500..550 {
        story.google_edit(&story.person(&format!("Last{n}")), json!({ "organizations": [{ "title": "CFO" }] }));
    }
    let (google_before, zoho_before) = (story.google.calls().len(), story.zoho.calls().len());
    let run = story.run().await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (50, 50), "{run:?}");
    let google: Vec<_> = story.google.calls().split_off(google_before);
    let zoho: Vec<_> = story.zoho.calls().split_off(zoho_before);
    let wrote = |calls: &[(String, String, usize)]| calls.iter().filter(|(_, _, writes)| *writes > 0).count();
    assert_eq!((wrote(&google), wrote(&zoho)), (1, 1), "one batch each way: {google:?} {zoho:?}");
    let deltas = google.iter().filter(|(_, path, _)| path.contains("connections")).count();
    assert_eq!(deltas, 1, "{google:?}");
    assert!(google.len() <= 5 && zoho.len() <= 9, "{} and {}: {google:?} {zoho:?}", google.len(), zoho.len());
    quiet(&story).await;
}

#[tokio::test]
async fn s1_13_and_14_one_way_never_writes_the_other_side() {
    let (story, id) = in_step(json!({ "direction": "crm_to_remote" })).await;
    let group = story.group();
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    story.google_edit(&story.person("Peeters"), json!({ "organizations": [{ "title": "drift" }] }));
    story.zoho.user_edits(VENDOR, &id, json!({ "Mobile": "+32470000002" }));
    let before = zoho_writes(&story);
    let run = story.run().await;
    assert_eq!((run.counts.remote.updated, zoho_writes(&story)), (1, before), "Zoho is never written: {run:?}");
    assert_eq!(story.person("Peeters")["phoneNumbers"][0]["value"], "+32470000002");

    let story = self::story(json!({ "direction": "remote_to_crm" })).await;
    let group = story.google_group("Customers").await;
    story.set("remote_group", json!(group)).await;
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    story.google_person(google("Not", "Chosen", "not@example.com"), &[]);
    jan(&story);
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (1, 0), "{run:?}");
    let writes = story.google_writes();
    let ann = named(&story, "Claes")["id"].as_str().unwrap().to_owned();
    story.zoho.user_edits(VENDOR, &ann, json!({ "Title": "drift" }));
    story.run().await;
    assert_eq!(story.google_writes(), writes, "Google is never written");
}

#[tokio::test]
async fn s1_27_k16_two_hits_are_reported_and_a_home_address_is_none() {
    let story = story(json!({})).await;
    let group = story.google_group("Customers").await;
    story.set("remote_group", json!(group)).await;
    story.google_person(google("Jan", "One", "jan@example.com"), &[&group]);
    story.google_person(google("Jan", "Two", "JAN@example.com"), &[&group]);
    let home = json!({ "names": [{ "givenName": "Ann", "familyName": "Home" }],
                       "emailAddresses": [{ "type": "home", "value": "ann@example.com" }] });
    story.google_person(home, &[&group]);
    jan(&story);
    let ann = json!({ "First_Name": "Ann", "Last_Name": "Claes", "Email": "ann@example.com" });
    story.zoho.user_creates(VENDOR, "Contacts", ann);
    let run = story.run().await;
    let excluded = story.records("excluded").await;
    let ambiguous = excluded.iter().filter(|record| record.reason.as_ref().unwrap().code == "ambiguous").count();
    assert_eq!(ambiguous, 3, "Zoho's and both of Google's: {excluded:?} {run:?}");
    assert_eq!((run.counts.remote.created, run.counts.crm.created), (1, 1), "both Anns: {run:?}");
    quiet(&story).await;
}
