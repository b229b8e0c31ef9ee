//! `zoho-google-contacts` and `sell-google-contacts` on the built-in CRM: rows S1-… of the source documents, K… of the
//! stories.
use scenarios::{Story, contact};
use serde_json::{Value, json};
use tandem_builtin::Kind;
use tandem_store::run::RunState;
use tandem_store::sync::SyncState;

const ZOHO: &str = "zoho-google-contacts";

async fn story(settings: Value) -> Story {
    Story::begins(ZOHO, settings).await
}

fn work(value: &str) -> Value {
    json!([{ "type": "work", "value": value }])
}

fn google(first: &str, last: &str, email: &str) -> Value {
    json!({ "names": [{ "givenName": first, "familyName": last }], "emailAddresses": work(email) })
}

/// A story with one contact in step.
async fn in_step(settings: Value) -> (Story, String) {
    let story = story(settings).await;
    let mut jan = contact("Jan", "Peeters", "jan@example.com");
    jan["phones"] = json!([{ "type": "mobile", "value": "+32470000001" }]);
    let id = story.crm_contact(jan).await;
    assert_eq!(story.run().await.counts.remote.created, 1);
    (story, id)
}

async fn quiet(story: &Story) {
    let writes = story.google_writes();
    let run = story.run().await;
    assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    assert_eq!(story.google_writes(), writes, "a quiet run writes nothing");
}

#[tokio::test]
async fn s1_12_what_is_new_on_either_side_comes_to_the_other() {
    let (story, _) = in_step(json!({})).await;
    let group = story.group();
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    story.google_person(google("Nobody", "Elses", "private@example.com"), &[]);
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (1, 0), "{run:?}");
    let all = story.crm_contacts().await;
    assert_eq!(all.len(), 2, "who is not in the group is nobody's business");
    let ann = all.iter().find(|contact| contact["last_name"] == "Claes").unwrap();
    assert_eq!(ann["emails"], work("ann@example.com"));
    quiet(&story).await;
}

#[tokio::test]
async fn k07_each_side_changes_another_field_and_both_changes_survive() {
    let (story, id) = in_step(json!({})).await;
    story.crm_edit(Kind::Contact, &id, json!({ "phones": [{ "type": "mobile", "value": "+32470000002" }] })).await;
    story.google_edit(&story.person("Peeters"), json!({ "emailAddresses": work("new@example.com") }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated, run.counts.crm.conflicts), (1, 1, 0), "{run:?}");
    let (here, there) = (story.crm_get(&id).await, story.person("Peeters"));
    assert_eq!(here["emails"], work("new@example.com"));
    assert_eq!(there["phoneNumbers"][0]["value"], "+32470000002");
    quiet(&story).await;
}

#[tokio::test]
async fn k06_s1_15_of_two_changes_of_one_field_the_configured_one_wins_and_the_other_is_in_the_log() {
    for (conflict, phone, lost) in [("crm_wins", "2", "3"), ("remote_wins", "3", "2"), ("newest_wins", "3", "2")] {
        let (story, id) = in_step(json!({ "conflict": conflict })).await;
        let number = |end: &str| format!("+3247000000{end}");
        story.crm_edit(Kind::Contact, &id, json!({ "phones": [{ "type": "mobile", "value": number("2") }] })).await;
        story.clock.advance(std::time::Duration::from_secs(60));
        let there = story.person("Peeters");
        story.google_edit(&there, json!({ "phoneNumbers": [{ "type": "mobile", "value": number("3") }] }));
        let run = story.run().await;
        assert_eq!(run.counts.crm.conflicts + run.counts.remote.conflicts, 1, "{conflict}: {run:?}");
        assert_eq!(story.crm_get(&id).await["phones"][0]["value"], number(phone), "{conflict}");
        assert_eq!(story.person("Peeters")["phoneNumbers"][0]["value"], number(phone), "{conflict}");
        let log = json!(story.changes(&run).await).to_string();
        assert!(log.contains(&number(lost)), "{conflict}: the losing value is in the log: {log}");
        quiet(&story).await;
    }
}

#[tokio::test]
async fn k08_a_new_etag_without_a_change_is_no_conflict() {
    let (story, id) = in_step(json!({})).await;
    story.google_edit(&story.person("Peeters"), json!({ "nicknames": [{ "value": "Jeanke" }] }));
    story.crm_edit(Kind::Contact, &id, json!({ "position": "CEO" })).await;
    let run = story.run().await;
    assert_eq!((run.counts.remote.updated, run.counts.remote.conflicts, run.counts.crm.updated), (1, 0, 0), "{run:?}");
    let there = story.person("Peeters");
    assert_eq!(there["organizations"][0]["title"], "CEO");
    assert_eq!(there["nicknames"][0]["value"], "Jeanke");
}

#[tokio::test]
async fn an_emptied_field_is_a_change() {
    let (story, id) = in_step(json!({})).await;
    story.google_edit(&story.person("Peeters"), json!({ "phoneNumbers": [] }));
    story.run().await;
    assert_eq!(story.crm_get(&id).await["phones"], json!([]));
    quiet(&story).await;
}

#[tokio::test]
async fn k05_on_first_contact_a_pair_is_made_once_and_the_configured_side_wins() {
    for (conflict, phone) in [("crm_wins", "+32470000001"), ("remote_wins", "+32470000009")] {
        let story = story(json!({ "conflict": conflict, "remote_group": "Customers" })).await;
        let group = story.google_group("Customers").await;
        let mut there = google("Jan", "Peeters", "JAN@example.com");
        there["phoneNumbers"] = json!([{ "type": "mobile", "value": "+32470000009" }]);
        story.google_person(there, &[&group]);
        let mut jan = contact("Jan", "Peeters", "jan@example.com");
        jan["phones"] = json!([{ "type": "mobile", "value": "+32470000001" }]);
        let id = story.crm_contact(jan).await;
        let run = story.run().await;
        assert_eq!((run.counts.remote.created, run.counts.crm.created, run.counts.remote.paired), (0, 0, 1), "{run:?}");
        let phones: Vec<String> = story.crm_get(&id).await["phones"]
            .as_array()
            .unwrap()
            .iter()
            .map(|phone| phone["value"].as_str().unwrap().to_owned())
            .collect();
        assert!(phones.contains(&phone.to_owned()), "{conflict}: {phones:?}");
        quiet(&story).await;
    }
}

#[tokio::test]
async fn k10_a_deletion_travels_and_a_full_listing_does_not_bring_it_back() {
    let (story, id) = in_step(json!({})).await;
    story.crm_contact(contact("Ann", "Claes", "ann@example.com")).await;
    story.run().await;
    story.google_delete(&story.person("Peeters"));
    let run = story.run().await;
    assert_eq!(run.counts.crm.deleted, 1, "{run:?}");
    assert!(story.crm.get(&story.user, Kind::Contact, &id).await.is_err());
    story.google.expire_cursors();
    let run = story.run().await;
    assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    assert_eq!(story.people().len(), 1);
    quiet(&story).await;
}

#[tokio::test]
async fn k11_a_deletion_that_is_not_to_travel_unlinks_and_the_record_is_not_made_again() {
    let (story, id) = in_step(json!({ "on_remote_delete": "unlink" })).await;
    story.google_delete(&story.person("Peeters"));
    story.run().await;
    assert_eq!(story.crm_get(&id).await["last_name"], "Peeters");
    assert_eq!(story.people().len(), 0);
    let excluded = story.records("excluded").await;
    assert_eq!(excluded[0].reason.as_ref().unwrap().code, "deleted_at_remote");
    quiet(&story).await;
}

#[tokio::test]
async fn an_edit_beats_a_deletion() {
    let (story, id) = in_step(json!({})).await;
    story.google_delete(&story.person("Peeters"));
    story.crm_edit(Kind::Contact, &id, json!({ "position": "CEO" })).await;
    let run = story.run().await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.created), (0, 1), "{run:?}");
    assert_eq!(story.person("Peeters")["organizations"][0]["title"], "CEO");
    quiet(&story).await;
}

#[tokio::test]
async fn k12_an_emptied_side_is_held_until_confirmed() {
    let story = story(json!({})).await;
    for n in 0..20 {
        story.crm_contact(contact("First", &format!("Last{n}"), &format!("p{n}@example.com"))).await;
    }
    story.run().await;
    for person in story.people() {
        story.google_delete(&person);
    }
    let run = story.run().await;
    assert_eq!(run.state, RunState::Held, "{run:?}");
    assert_eq!(story.crm_contacts().await.len(), 20, "nothing is deleted");
    story.engine.confirm(&story.sync().await).await.unwrap();
    story.settle().await;
    assert_eq!(story.crm_contacts().await.len(), 0);
}

#[tokio::test]
async fn k14_s1_5_removing_the_sync_and_making_it_anew_makes_no_double_with_or_without_an_address() {
    let (story, _) = in_step(json!({})).await;
    let group = story.group();
    story.crm_contact(json!({ "first_name": "No", "last_name": "Address" })).await;
    story.google_person(json!({ "names": [{ "givenName": "Neither", "familyName": "Mail" }] }), &[&group]);
    story.run().await;
    assert_eq!((story.people().len(), story.crm_contacts().await.len()), (3, 3));
    for _ in 0..3 {
        story.starts_over(json!({})).await;
        let run = story.run().await;
        assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 0), "{run:?}");
        assert_eq!((story.people().len(), story.crm_contacts().await.len()), (3, 3));
        quiet(&story).await;
    }
}

#[tokio::test]
async fn k16_s1_27_two_candidates_are_reported_and_not_guessed() {
    let story = story(json!({ "remote_group": "Customers" })).await;
    let group = story.google_group("Customers").await;
    story.google_person(google("Jan", "One", "jan@example.com"), &[&group]);
    story.google_person(google("Jan", "Two", "Jan@Example.com"), &[&group]);
    // A home address is no match.
    let home = json!({ "names": [{ "givenName": "Ann", "familyName": "Home" }],
                       "emailAddresses": [{ "type": "home", "value": "ann@example.com" }] });
    story.google_person(home, &[&group]);
    story.crm_contact(contact("Jan", "Peeters", "JAN@example.com")).await;
    story.crm_contact(contact("Ann", "Claes", "ann@example.com")).await;
    let run = story.run().await;
    let excluded = story.records("excluded").await;
    let ambiguous = excluded.iter().filter(|record| record.reason.as_ref().unwrap().code == "ambiguous").count();
    assert_eq!(ambiguous, 3, "the CRM's record and both of Google's: {excluded:?} {run:?}");
    assert_eq!(run.counts.remote.created, 1, "Ann of the CRM: {run:?}");
    assert_eq!(run.counts.crm.created, 1, "Ann of Google: {run:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn k19_what_the_crm_cannot_hold_stays_in_google() {
    let (story, id) = in_step(json!({})).await;
    story.google_edit(
        &story.person("Peeters"),
        json!({ "relations": [{ "person": "Marie", "type": "spouse" }],
                "events": [{ "type": "anniversary", "date": { "year": 2001, "month": 2, "day": 3 } }],
                "organizations": [{ "name": "Acme", "title": "Buyer", "department": "Purchase" }] }),
    );
    story.run().await;
    let before = story.person("Peeters");
    story.crm_edit(Kind::Contact, &id, json!({ "phones": [{ "type": "mobile", "value": "+32470000002" }] })).await;
    story.run().await;
    let after = story.person("Peeters");
    for unmapped in ["relations", "events", "organizations", "memberships"] {
        assert_eq!(after[unmapped], before[unmapped], "{unmapped}");
    }
    assert_eq!(after["phoneNumbers"][0]["value"], "+32470000002");
}

#[tokio::test]
async fn k21_s1_22_leaving_the_list_or_the_group_ends_the_keeping_in_step_and_keeps_both_copies() {
    let story = story(json!({})).await;
    let filter = json!({ "all": [{ "field": "tags", "op": "contains", "value": "vip" }] });
    let list = json!({ "name": "VIPs", "module": "contacts", "filter": filter });
    let list = story.crm_record(Kind::ListView, list).await;
    story.set("crm_list", json!(list)).await;
    let mut jan = contact("Jan", "Peeters", "jan@example.com");
    jan["tags"] = json!(["vip"]);
    let id = story.crm_contact(jan).await;
    story.crm_contact(contact("Not", "Listed", "not@example.com")).await;
    assert_eq!(story.run().await.counts.remote.created, 1);
    let group = story.group();
    story.crm_edit(Kind::Contact, &id, json!({ "tags": [], "position": "CEO" })).await;
    let run = story.run().await;
    assert_eq!(run.counts.writes(), 0, "{run:?}");
    assert!(Story::groups_of(&story.person("Peeters")).contains(&group), "the copy stays where it is");
    story.crm_edit(Kind::Contact, &id, json!({ "tags": ["vip"] })).await;
    let run = story.run().await;
    assert_eq!((run.counts.remote.created, run.counts.remote.updated), (0, 1), "the same pair goes on: {run:?}");
    assert_eq!(story.person("Peeters")["organizations"][0]["title"], "CEO");
    story.google.user_edits(
        scenarios::GOOGLE,
        story.person("Peeters")["resourceName"].as_str().unwrap(),
        tandem_google::fake::Edit { fields: Default::default(), groups: Some(vec![]) },
    );
    story.crm_edit(Kind::Contact, &id, json!({ "position": "Owner" })).await;
    let run = story.run().await;
    assert_eq!(run.counts.writes(), 0, "{run:?}");
    assert_eq!(
        story.records("excluded").await.iter().filter(|r| r.reason.as_ref().unwrap().code == "left_group").count(),
        1
    );
}

#[tokio::test]
async fn s1_13_and_14_one_way_never_writes_the_other_side() {
    let (story, id) = in_step(json!({ "direction": "crm_to_remote" })).await;
    let group = story.group();
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    story.google_edit(&story.person("Peeters"), json!({ "emailAddresses": work("drift@example.com") }));
    story.run().await;
    assert_eq!((story.crm_contacts().await.len(), story.crm_get(&id).await["version"].clone()), (1, json!(1)));

    let story = self::story(json!({ "direction": "remote_to_crm", "remote_group": "Customers" })).await;
    let group = story.google_group("Customers").await;
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (1, 0), "{run:?}");
    let writes = story.google_writes();
    let ann = story.crm_contacts().await.into_iter().find(|contact| contact["last_name"] == "Claes").unwrap();
    story.crm_edit(Kind::Contact, ann["id"].as_str().unwrap(), json!({ "position": "drift" })).await;
    story.run().await;
    assert_eq!(story.google_writes(), writes, "Google is never written");
}

#[tokio::test]
async fn what_the_crm_demands_is_checked_before_it_is_asked() {
    let (story, _) = in_step(json!({})).await;
    let group = story.group();
    story.google_person(
        json!({ "names": [{ "givenName": "Madonna" }], "emailAddresses": work("m@example.com") }),
        &[&group],
    );
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.crm.failing), (0, 0), "{run:?}");
    let excluded = story.records("excluded").await;
    let reason = excluded[0].reason.as_ref().unwrap();
    assert_eq!(reason.code, "missing_fields");
    assert!(reason.message.contains("Last name"), "{reason:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn k23_s1_8_a_right_that_is_missing_stops_that_direction_and_the_other_goes_on() {
    let (story, id) = in_step(json!({})).await;
    let group = story.group();
    story.crm_contact(contact("Bob", "Baert", "bob@example.com")).await;
    story.crm_rights(json!({ "create": false, "edit": false, "delete": false })).await;
    story.google_person(google("Ann", "Claes", "ann@example.com"), &[&group]);
    story.google_edit(&story.person("Peeters"), json!({ "emailAddresses": work("new@example.com") }));
    let run = story.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    assert_eq!((run.counts.crm.updated, run.counts.crm.created, run.counts.remote.created), (0, 0, 1), "{run:?}");
    assert_eq!(run.error.as_ref().unwrap().code, "missing_right");
    assert!(story.sync().await.reason.is_some(), "the page says so");
    assert_eq!(story.records("failing").await.len(), 2);
    story.crm_rights(json!({ "create": true, "edit": true, "delete": true })).await;
    let run = story.run().await;
    assert_eq!((run.counts.crm.updated, run.counts.crm.created), (1, 1), "{run:?}");
    assert_eq!(story.crm_get(&id).await["emails"], work("new@example.com"));
    quiet(&story).await;
}

#[tokio::test]
async fn s1_25_and_26_with_the_vendors_limits_a_first_run_and_later_ones_carry_so_many_and_the_rest_follows() {
    let story = story(json!({ "limits": "vendor" })).await;
    for n in 0..10_050 {
        story.crm_contact(contact("First", &format!("Last{n}"), &format!("p{n}@example.com"))).await;
    }
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.created), (RunState::Done, 10_000), "{run:?}");
    assert_eq!(run.error.as_ref().unwrap().code, "limit_reached");
    let group = story.group();
    for n in 0..520 {
        story.google_person(google("Other", &format!("Other{n}"), &format!("o{n}@example.com")), &[&group]);
    }
    for n in 0..600 {
        story.crm_contact(contact("Later", &format!("Later{n}"), &format!("l{n}@example.com"))).await;
    }
    let (mut there, mut here) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let run = story.run().await;
        there.push(run.counts.remote.created);
        here.push(run.counts.crm.created);
    }
    assert!(there.iter().chain(&here).all(|some| *some <= 500), "{there:?} {here:?}");
    assert_eq!((there.iter().sum::<u64>(), here.iter().sum::<u64>()), (650, 520), "{there:?} {here:?}");
    assert_eq!(story.people().len(), 10_000 + 650 + 520);
    quiet(&story).await;
}

#[tokio::test]
async fn a_run_is_undone_where_nobody_has_edited_since() {
    let (story, id) = in_step(json!({})).await;
    let group = story.group();
    let ann = story.crm_contact(contact("Ann", "Claes", "ann@example.com")).await;
    story.run().await;
    story.crm_edit(Kind::Contact, &id, json!({ "position": "CEO" })).await;
    story.crm_edit(Kind::Contact, &ann, json!({ "position": "CFO" })).await;
    story.crm_contact(contact("Bob", "Baert", "bob@example.com")).await;
    story.google_person(google("Eva", "Maes", "eva@example.com"), &[&group]);
    let run = story.run().await;
    assert_eq!((run.counts.remote.updated, run.counts.remote.created, run.counts.crm.created), (2, 1, 1), "{run:?}");
    let edited = json!({ "organizations": [{ "title": "Edited since" }] });
    story.google_edit(&story.person("Claes"), edited);
    let undone = story.undo(&run).await;
    assert!(undone.complete);
    assert_eq!(undone.undone, 3, "{undone:?}");
    assert_eq!(undone.not_undone.len(), 1, "{undone:?}");
    assert_eq!(
        (undone.not_undone[0].title.as_str(), undone.not_undone[0].reason.code.as_str()),
        ("Ann Claes", "edited_since")
    );
    assert_eq!(story.person("Peeters").get("organizations").and_then(|o| o.get(0)).and_then(|o| o.get("title")), None);
    assert_eq!(story.people().iter().filter(|p| p["names"][0]["familyName"] == "Baert").count(), 0);
    assert_eq!(story.crm_contacts().await.iter().filter(|c| c["last_name"] == "Maes").count(), 0);
    assert!(undone.run.is_some());
    // The row says what is so: the two are linked, and not alike.
    let said = async || {
        let rows = story.records("in_sync").await;
        let title = |row: &tandem_engine::RecordView| row.crm.as_ref().and_then(|copy| copy.title.clone());
        let row = rows.into_iter().find(|row| title(row).is_some_and(|title| title.contains("Peeters"))).unwrap();
        row.reason.map(|reason| (reason.code, reason.message))
    };
    let (code, message) = said().await.expect("a reason");
    assert_eq!(code, "put_back");
    assert!(message.contains("differ") && message.contains("position"), "{message}");
    let again = story.undo(&run).await;
    assert_eq!((again.undone, again.not_undone.len()), (0, 1), "an undo twice changes nothing more: {again:?}");
    // What was put back stays so, and Ann's edit travels as any other.
    let run = story.run().await;
    assert_eq!((run.counts.remote.created, run.counts.remote.updated, run.counts.crm.created), (0, 0, 0), "{run:?}");
    assert_eq!(story.crm_get(&ann).await["position"], "Edited since");
    quiet(&story).await;
    assert!(said().await.is_some());
    // Another field's edit does not make them alike, nor does a look at all of them.
    story.crm_edit(Kind::Contact, &id, json!({ "remarks": "VIP" })).await;
    assert_eq!(story.run().await.counts.remote.updated, 1);
    story.google.expire_cursors();
    story.run().await;
    assert!(said().await.is_some());
    // An edit goes on from there.
    story.crm_edit(Kind::Contact, &id, json!({ "position": "Owner" })).await;
    assert_eq!(story.run().await.counts.remote.updated, 1);
    assert_eq!(said().await, None);
    assert_eq!(story.person("Peeters")["organizations"][0]["title"], "Owner");
}

#[tokio::test]
async fn an_account_that_must_rest_is_asked_nothing_by_its_other_syncs() {
    let (story, id) = in_step(json!({})).await;
    story.google.inject(&[tandem_google::fake::Fault::Throttle { retry_after: Some(600) }]);
    story.crm_edit(Kind::Contact, &id, json!({ "position": "CEO" })).await;
    story.clock.advance(std::time::Duration::from_secs(3_700));
    story.engine.start_run(&story.sync().await, tandem_ports::infra::Trigger::Push).await.unwrap();
    story.work_once().await;
    assert_eq!(story.sync().await.state, SyncState::Waiting);
    let asked = story.google.calls().len();
    // Another sync of the same account.
    story.second_sync(ZOHO, json!({ "remote_group": "Other" })).await;
    story.work_once().await;
    assert_eq!(story.google.calls().len(), asked, "nothing is asked while the account rests");
    story.settle().await;
    assert_eq!(story.person("Peeters")["organizations"][0]["title"], "CEO");
}

#[tokio::test]
async fn a_group_that_is_deleted_is_made_anew_if_ours_and_said_if_chosen() {
    // Our own group: made anew, and everybody is in it again.
    let (story, _) = in_step(json!({})).await;
    let group = story.group();
    story.google_deletes_group(&group).await;
    let run = story.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    let anew = story.group();
    assert_ne!(anew, group);
    assert!(Story::groups_of(&story.person("Peeters")).contains(&anew));
    quiet(&story).await;
    // A chosen group: nothing is done, and the page says what to do.
    let story = self::story(json!({})).await;
    let group = story.google_group("Customers").await;
    story.set("remote_group", json!(group)).await;
    story.crm_contact(contact("Jan", "Peeters", "jan@example.com")).await;
    assert_eq!(story.run().await.counts.remote.created, 1);
    story.google_deletes_group(&group).await;
    let run = story.run().await;
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    assert!(run.error.unwrap().message.contains("choose another"));
    assert_eq!(story.records("excluded").await.len(), 0, "nobody left it");
}
