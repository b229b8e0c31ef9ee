//! `teamleader-google-contacts` on the built-in CRM: rows S0-… and S2-23…29 of the source documents, K… of the stories.
use scenarios::{GOOGLE, Story, contact};
use serde_json::{Value, json};
use tandem_builtin::Kind;
use tandem_store::run::RunState;

const PROFILE: &str = "teamleader-google-contacts";

async fn story() -> Story {
    Story::begins(PROFILE, json!({})).await
}

#[tokio::test]
async fn k01_s0_1_to_4_contacts_go_into_one_group_of_ours_with_their_company_and_its_phone() {
    let story = story().await;
    let company = json!({ "name": "Müller GmbH", "phones": [{ "type": "work", "value": "+4930123456" }] });
    let company = story.crm_record(Kind::Company, company).await;
    story.crm_record(Kind::Company, json!({ "name": "Only a company" })).await;
    let mut jan = contact("Jan", "Peeters", "jan@example.com");
    jan["company"] = json!(company);
    jan["position"] = json!("Buyer");
    story.crm_contact(jan).await;
    story.crm_contact(contact("Ann", "Claes", "ann@example.com")).await;
    story.crm_contact(contact("Zoë", "Öz", "zoe@example.com")).await;
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 3), "{run:?}");
    let groups = story.groups();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0]["name"], "Teamleader Focus");
    let group = groups[0]["resourceName"].as_str().unwrap().to_owned();
    assert_eq!(story.people().len(), 3, "companies are no people");
    assert!(story.people().iter().all(|person| Story::groups_of(person).contains(&group)));
    let jan = story.person("Peeters");
    assert_eq!(jan["organizations"][0]["name"], "Müller GmbH");
    assert_eq!(jan["organizations"][0]["title"], "Buyer");
    let phones = jan["phoneNumbers"].as_array().unwrap();
    assert!(phones.iter().any(|phone| phone["value"] == "+4930123456"), "{phones:?}");
    let writes = story.google_writes();
    assert_eq!(story.run().await.counts.writes(), 0);
    assert_eq!(story.google_writes(), writes, "a quiet run writes nothing");
}

#[tokio::test]
async fn k02_s0_15_to_17_an_incomplete_contact_is_excluded_with_its_reason() {
    let story = story().await;
    let id = story.crm_contact(json!({ "last_name": "Alone" })).await;
    let fax =
        json!({ "last_name": "Fax", "first_name": "Only", "phones": [{ "type": "fax", "value": "+3225550000" }] });
    story.crm_contact(fax).await;
    let run = story.run().await;
    assert_eq!((run.counts.remote.created, run.counts.crm.excluded), (0, 2), "{run:?}");
    let excluded = story.records("excluded").await;
    let alone = excluded.iter().find(|record| record.crm.as_ref().unwrap().id.as_str() == id).unwrap();
    assert_eq!(alone.crm.as_ref().unwrap().title.as_deref(), Some("Alone"));
    let reason = alone.reason.as_ref().unwrap();
    assert_eq!(reason.code, "missing_fields");
    assert!(reason.message.contains("first name") && reason.message.contains("phone"), "{reason:?}");
    let phones = json!([{ "type": "mobile", "value": "+32470123456" }]);
    story.crm_edit(Kind::Contact, &id, json!({ "first_name": "Not", "phones": phones })).await;
    assert_eq!(story.run().await.counts.remote.created, 1);
    // It becomes incomplete again: the exported copy stays as it is.
    story.crm_edit(Kind::Contact, &id, json!({ "first_name": "" })).await;
    let run = story.run().await;
    assert_eq!((run.counts.writes(), run.counts.crm.excluded), (0, 1), "{run:?}");
    assert_eq!(story.person("Alone")["names"][0]["givenName"], "Not");
}

#[tokio::test]
async fn k03_s0_5_and_6_an_edit_in_google_is_overwritten_and_what_is_not_mapped_stays() {
    let story = story().await;
    let id = story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    story.run().await;
    let jan = story.person("Peeters");
    story.google_edit(
        &jan,
        json!({
            "emailAddresses": [{ "value": "private@example.com", "type": "home" }],
            "nicknames": [{ "value": "Jeanke" }],
            "relations": [{ "person": "Marie", "type": "spouse" }],
        }),
    );
    let run = story.run().await;
    assert_eq!((run.counts.remote.updated, run.counts.crm.updated), (1, 0), "{run:?}");
    let jan = story.person("Peeters");
    let emails: Vec<&Value> = jan["emailAddresses"].as_array().unwrap().iter().map(|email| &email["value"]).collect();
    assert_eq!(emails, ["jan@example.com"]);
    assert_eq!(jan["nicknames"][0]["value"], "Jeanke");
    assert_eq!(jan["relations"][0]["person"], "Marie");
    let record = story.crm.get(&story.user, Kind::Contact, &id).await.unwrap();
    assert_eq!(record.version, 1, "nothing is ever written back");
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn an_edit_in_the_crm_or_of_its_company_travels() {
    let story = story().await;
    let company = story.crm_record(Kind::Company, json!({ "name": "Old" })).await;
    let mut jan = contact("Jan", "Peeters", "jan@example.com");
    jan["company"] = json!(company);
    let id = story.crm_contact(jan).await;
    story.crm_contact(contact("Ann", "Claes", "ann@example.com")).await;
    story.run().await;
    story.crm_edit(Kind::Company, &company, json!({ "name": "New" })).await;
    let run = story.run().await;
    assert_eq!(run.counts.remote.updated, 1, "{run:?}");
    assert_eq!(story.person("Peeters")["organizations"][0]["name"], "New");
    story
        .crm_edit(
            Kind::Contact,
            &id,
            json!({ "position": "CEO", "emails": [] , "phones": [{"type": "work", "value": "+3222222222"}]}),
        )
        .await;
    assert_eq!(story.run().await.counts.remote.updated, 1);
    let jan = story.person("Peeters");
    assert_eq!(jan["organizations"][0]["title"], "CEO");
    assert!(jan["emailAddresses"].as_array().is_none_or(Vec::is_empty), "an emptied field is a change");
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn s0_2_a_quiet_run_leaves_the_group_alone() {
    let story = story().await;
    for n in 0..5 {
        story.crm_contact(contact("P", &format!("Person{n}"), &format!("p{n}@example.com"))).await;
    }
    story.run().await;
    let before = story.groups();
    let writes = story.google_writes();
    story.run().await;
    assert_eq!(story.google_writes(), writes);
    assert_eq!(story.groups(), before);
}

#[tokio::test]
async fn s0_21_a_deleted_contact_takes_our_untouched_copy_and_leaves_an_edited_one() {
    let story = story().await;
    let gone = story.crm_contact(contact("Gone", "Away", "gone@example.com")).await;
    let edited = story.crm_contact(contact("Edited", "Copy", "edited@example.com")).await;
    for n in 0..6 {
        story.crm_contact(contact("P", &format!("Person{n}"), &format!("p{n}@example.com"))).await;
    }
    story.run().await;
    story
        .google_edit(&story.person("Copy"), json!({ "phoneNumbers": [{ "value": "+32470999999", "type": "mobile" }] }));
    story.crm_delete(Kind::Contact, &gone).await;
    story.crm_delete(Kind::Contact, &edited).await;
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.deleted), (RunState::Done, 1), "{run:?}");
    assert!(story.people().iter().all(|person| person["names"][0]["familyName"] != "Away"));
    let group = story.groups()[0]["resourceName"].as_str().unwrap().to_owned();
    assert!(!Story::groups_of(&story.person("Copy")).contains(&group), "it only leaves the group");
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn s0_21_a_copy_with_a_private_note_stays_and_stays_for_good() {
    let story = story().await;
    let noted = story.crm_contact(contact("Noted", "Copy", "noted@example.com")).await;
    for n in 0..6 {
        story.crm_contact(contact("P", &format!("Person{n}"), &format!("p{n}@example.com"))).await;
    }
    story.run().await;
    story.google_edit(&story.person("Copy"), json!({ "nicknames": [{ "value": "Nono" }] }));
    let run = story.run().await;
    assert_eq!(run.counts.writes(), 0, "a field that is not mapped is nobody's business: {run:?}");
    story.crm_delete(Kind::Contact, &noted).await;
    assert_eq!(story.run().await.counts.remote.deleted, 0);
    assert_eq!(story.person("Copy")["nicknames"][0]["value"], "Nono");
    // Other settings list everything again; what was let go stays let go.
    let rows = json!([{ "crm": "first_name", "remote": "first_name" }, { "crm": "last_name", "remote": "last_name" },
        { "crm": "emails", "remote": "emails" }]);
    story.set("field_map", rows).await;
    let run = story.run().await;
    assert_eq!(run.counts.remote.deleted, 0, "{run:?}");
    story.person("Copy");
}

#[tokio::test]
async fn s0_6_a_note_that_the_crm_never_had_stays_in_google() {
    let story = story().await;
    let id = story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    story.run().await;
    story.google_edit(&story.person("Peeters"), json!({ "biographies": [{ "value": "met in Ghent" }] }));
    assert_eq!(story.run().await.counts.writes(), 0);
    story.crm_edit(Kind::Contact, &id, json!({ "position": "CEO" })).await;
    story.run().await;
    assert_eq!(story.person("Peeters")["biographies"][0]["value"], "met in Ghent");
    story.crm_edit(Kind::Contact, &id, json!({ "remarks": "ours" })).await;
    story.run().await;
    assert_eq!(story.person("Peeters")["biographies"][0]["value"], "ours");
    story.crm_edit(Kind::Contact, &id, json!({ "remarks": null })).await;
    story.run().await;
    assert!(story.person("Peeters")["biographies"].as_array().is_none_or(Vec::is_empty), "emptied in the CRM");
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn a_group_chosen_by_its_id_is_used_and_one_that_is_gone_is_said() {
    let story = story().await;
    story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    story.run().await;
    let group = story.groups()[0]["resourceName"].as_str().unwrap().to_owned();
    story.starts_over(json!({ "remote_group": group })).await;
    let run = story.run().await;
    assert_eq!((run.counts.remote.paired, story.groups().len()), (1, 1), "{run:?}");
    story.starts_over(json!({ "remote_group": "contactGroups/gone" })).await;
    let run = story.run().await;
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    assert!(run.error.unwrap().message.contains("choose another"));
    assert_eq!(story.groups().len(), 1, "none is made of an id");
}

#[tokio::test]
async fn a_copy_deleted_in_google_is_put_back() {
    let story = story().await;
    story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    story.run().await;
    story.google_delete(&story.person("Peeters"));
    assert_eq!(story.run().await.counts.remote.created, 1);
    story.person("Peeters");
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn a_person_whom_google_gives_a_new_name_stays_the_same_link() {
    let story = story().await;
    let id = story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    story.run().await;
    story.run().await;
    let old = story.person("Peeters")["resourceName"].as_str().unwrap().to_owned();
    let new = story.google.renames(GOOGLE, &old);
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 0), "{run:?}");
    assert_eq!(story.person("Peeters")["resourceName"], new.as_str());
    story.crm_edit(Kind::Contact, &id, json!({ "position": "CEO" })).await;
    assert_eq!(story.run().await.counts.remote.updated, 1);
    assert_eq!(story.person("Peeters")["organizations"][0]["title"], "CEO");
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn k21_a_contact_that_leaves_the_segment_leaves_the_group_and_comes_back_as_the_same() {
    let story = story().await;
    let filter = json!({ "all": [{ "field": "tags", "op": "contains", "value": "vip" }] });
    let segment = json!({ "name": "VIP", "module": "contacts", "filter": filter });
    let segment = story.crm_record(Kind::Segment, segment).await;
    let mut jan = contact("Jan", "Peeters", "jan@example.com");
    jan["tags"] = json!(["vip"]);
    let id = story.crm_contact(jan).await;
    story.crm_contact(contact("Ann", "Claes", "ann@example.com")).await;
    story.set("crm_list", json!(segment)).await;
    let run = story.run().await;
    assert_eq!(run.counts.remote.created, 1, "{run:?}");
    let name = story.person("Peeters")["resourceName"].clone();
    story.crm_edit(Kind::Contact, &id, json!({ "tags": [] })).await;
    let run = story.run().await;
    assert_eq!((run.counts.remote.updated, run.counts.remote.deleted), (1, 0), "{run:?}");
    let group = story.groups()[0]["resourceName"].as_str().unwrap().to_owned();
    assert!(!Story::groups_of(&story.person("Peeters")).contains(&group));
    story.crm_edit(Kind::Contact, &id, json!({ "tags": ["vip"] })).await;
    story.run().await;
    let back = story.person("Peeters");
    assert!(Story::groups_of(&back).contains(&group));
    assert_eq!(back["resourceName"], name, "the same contact");
    // S0-20: after the first run, all contacts.
    story.set("crm_list", Value::Null).await;
    assert_eq!(story.run().await.counts.remote.created, 1);
    assert_eq!(story.run().await.counts.writes(), 0);
}

#[tokio::test]
async fn k14_and_k04_starting_over_creates_no_duplicate_with_or_without_an_address() {
    let story = story().await;
    for n in 0..10 {
        let mut person = contact("P", &format!("Person{n}"), &format!("p{n}@example.com"));
        if n % 3 == 0 {
            person["emails"] = json!([]);
            person["phones"] = json!([{ "type": "mobile", "value": format!("+3247012345{n}") }]);
        }
        story.crm_contact(person).await;
    }
    story.run().await;
    for _ in 0..3 {
        story.starts_over(json!({})).await;
        let run = story.run().await;
        assert_eq!((run.counts.remote.paired, run.counts.writes()), (10, 0), "{run:?}");
    }
    assert_eq!(story.people().len(), 10);
    assert_eq!(story.groups().len(), 1);
}

#[tokio::test]
async fn k16_two_contacts_with_one_address_stay_two() {
    let story = story().await;
    story.crm_contact(contact("Jan", "Peeters", "office@example.com")).await;
    story.crm_contact(contact("Ann", "Claes", "office@example.com")).await;
    story.run().await;
    assert_eq!(story.people().len(), 2);
    story.starts_over(json!({})).await;
    let run = story.run().await;
    assert_eq!((run.counts.remote.paired, run.counts.writes()), (2, 0), "{run:?}");
}

#[tokio::test]
async fn s0_9_without_the_export_right_nothing_leaves_the_crm_and_the_reason_is_said() {
    let story = story().await;
    story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    let user = story.user.id.clone();
    story.crm_edit(Kind::User, &user, json!({ "rights": { "export": false } })).await;
    let run = story.run().await;
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    let error = run.error.unwrap();
    assert_eq!(error.code, "missing_right");
    assert!(error.message.contains("export"), "{}", error.message);
    assert_eq!(story.people().len(), 0);
    story.crm_edit(Kind::User, &user, json!({ "rights": { "export": true } })).await;
    assert_eq!(story.run().await.counts.remote.created, 1);
}

#[tokio::test]
async fn s0_8_with_the_vendors_limits_nobody_starts_it_by_hand() {
    let story = Story::begins(PROFILE, json!({ "limits": "vendor" })).await;
    let refused = story.start().await.unwrap_err();
    assert!(refused.to_string().contains("not by hand"), "{refused}");
    let story = self::story().await;
    story.start().await.unwrap();
}

#[tokio::test]
async fn peoples_own_contacts_are_not_touched_whoever_they_are() {
    let story = story().await;
    let person = json!({ "names": [{ "givenName": "Jan", "familyName": "Private" }],
        "emailAddresses": [{ "value": "jan@example.com", "type": "work" }] });
    story.google_person(person, &["contactGroups/myContacts"]);
    let before = story.person("Private");
    story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    story.run().await;
    story.run().await;
    assert_eq!(story.person("Private"), before);
    assert_eq!(story.people().len(), 2);
}

#[tokio::test]
async fn a_sync_token_that_expired_is_followed_by_a_full_listing_without_writes() {
    let story = story().await;
    for n in 0..12 {
        story.crm_contact(contact("P", &format!("Person{n}"), &format!("p{n}@example.com"))).await;
    }
    story.run().await;
    story.run().await;
    let writes = story.google_writes();
    story.clock.advance(std::time::Duration::from_secs(8 * 86_400));
    let run = story.run().await;
    assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    assert_eq!(story.google_writes(), writes);
}

async fn look(story: &Story) -> tandem_engine::Preview {
    let budget = tandem_engine::Budget::of(story.clock.clone(), std::time::Duration::from_secs(20));
    story.engine.preview(&story.sync().await, &budget).await.expect("both sides answer")
}

#[tokio::test]
async fn the_preview_says_what_the_run_then_does_and_writes_nothing() {
    let story = story().await;
    for n in 0..7 {
        story.crm_contact(contact("P", &format!("Person{n}"), &format!("p{n}@example.com"))).await;
    }
    story.crm_contact(json!({ "last_name": "Alone" })).await;
    let preview = look(&story).await;
    assert_eq!((preview.remote.create, preview.remote.update, preview.complete), (7, 0, true), "{preview:?}");
    assert_eq!(preview.excluded[0].count, 1);
    assert_eq!((story.google_writes(), story.people().len()), (0, 0));
    assert_eq!(story.run().await.counts.remote.created, 7);
    story.starts_over(json!({})).await;
    let preview = look(&story).await;
    assert_eq!((preview.remote.pair, preview.remote.create), (7, 0), "{preview:?}");
}

#[tokio::test]
async fn every_write_is_in_the_change_log_with_before_and_after() {
    let story = story().await;
    let id = story.crm_contact(contact("Jan", "Peeters", "peeters@client.example")).await;
    let first = story.run().await;
    let (changes, _) = story.engine.changes(&story.sync().await, &first.id, None).await.unwrap();
    let log = serde_json::to_value(&changes).unwrap();
    assert!(log.as_array().unwrap().iter().any(|c| c["field"] == "last_name" && c["after"] == "Peeters"), "{log}");
    story.crm_edit(Kind::Contact, &id, json!({ "last_name": "Claes" })).await;
    let second = story.run().await;
    let (changes, _) = story.engine.changes(&story.sync().await, &second.id, None).await.unwrap();
    let log = serde_json::to_value(&changes).unwrap();
    assert_eq!(log.as_array().unwrap().len(), 1, "{log}");
    assert_eq!(
        (&log[0]["side"], &log[0]["before"], &log[0]["after"]),
        (&json!("remote"), &json!("Peeters"), &json!("Claes"))
    );
    // Values are nowhere in the table in the clear, outside the CRM's own records.
    let leaks: Vec<_> = story.table.dump().into_iter().filter(|item| !item.key.pk.starts_with("CRM#")).collect();
    let text = leaks.iter().map(|item| Value::Object(item.attributes.clone()).to_string()).collect::<String>();
    assert!(!text.contains("Peeters") && !text.contains("client.example"));
}
