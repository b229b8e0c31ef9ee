//! `teamleader-google-contacts` on Teamleader Focus itself: rows S0-… and S2-23…29 of the source documents.
use scenarios::{Story, VENDOR, object};
use serde_json::{Value, json};
use tandem_store::run::RunState;
use tandem_teamleader::fake::{Edit, Right};

async fn story(settings: Value) -> Story {
    Story::begins_on("teamleader", "teamleader-google-contacts", settings).await
}

fn person(first: &str, last: &str, email: &str) -> Edit {
    let fields = json!({ "first_name": first, "last_name": last, "emails": [{ "type": "primary", "email": email }] });
    Edit { fields: object(fields), ..Edit::default() }
}

fn edit(story: &Story, id: &str, fields: Value) {
    story.teamleader.user_edits(VENDOR, id, Edit { fields: object(fields), ..Edit::default() });
}

fn teamleader_writes(story: &Story) -> usize {
    story.teamleader.calls().iter().map(|(_, writes)| writes).sum()
}

fn calls(story: &Story, method: &str) -> usize {
    story.teamleader.calls().iter().filter(|(called, _)| called == method).count()
}

async fn quiet(story: &Story) {
    let writes = story.google_writes();
    let run = story.run().await;
    assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    assert_eq!(story.google_writes(), writes, "a quiet run writes nothing");
}

#[tokio::test]
async fn s0_1_to_4_s2_23_to_26_contacts_go_into_our_group_with_company_and_phone_and_teamleader_is_never_written() {
    let story = story(json!({})).await;
    let company = json!({ "name": "Müller GmbH", "telephones": [{ "type": "phone", "number": "+4930123456" }] });
    let company = story.teamleader.user_creates_company(VENDOR, &object(company));
    let id = story.teamleader.user_creates(VENDOR, person("Jan", "Peeters", "jan@example.com"));
    let link = json!([{ "position": "Buyer", "company": { "type": "company", "id": company } }]);
    story.teamleader.user_edits(VENDOR, &id, Edit { companies: Some(link), ..Edit::default() });
    story.teamleader.user_creates(VENDOR, person("Ann", "Claes", "ann@example.com"));
    let alone = Edit { fields: object(json!({ "last_name": "Alone" })), ..Edit::default() };
    story.teamleader.user_creates(VENDOR, alone);
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.created, run.counts.crm.excluded), (RunState::Done, 2, 1), "{run:?}");
    assert_eq!(story.groups()[0]["name"], "Teamleader Focus");
    let jan = story.person("Peeters");
    assert!(Story::groups_of(&jan).contains(&story.group()));
    assert_eq!(
        (&jan["organizations"][0]["name"], &jan["organizations"][0]["title"]),
        (&json!("Müller GmbH"), &json!("Buyer"))
    );
    assert!(jan["phoneNumbers"].as_array().unwrap().iter().any(|phone| phone["value"] == "+4930123456"));
    // S0-5: what is edited in Google never comes here; S0-6: it is overwritten.
    story.google_edit(&jan, json!({ "emailAddresses": [{ "type": "work", "value": "drift@example.com" }] }));
    let run = story.run().await;
    assert_eq!(run.counts.remote.updated, 1, "{run:?}");
    assert_eq!(story.person("Peeters")["emailAddresses"][0]["value"], "jan@example.com");
    // S0-17: it becomes complete.
    let alone = story.records("excluded").await[0].crm.as_ref().unwrap().id.to_string();
    edit(
        &story,
        &alone,
        json!({ "first_name": "Not", "telephones": [{ "type": "mobile", "number": "+32470123456" }] }),
    );
    assert_eq!(story.run().await.counts.remote.created, 1);
    quiet(&story).await;
    assert_eq!(teamleader_writes(&story), 0, "Teamleader is never written");
}

#[tokio::test]
async fn an_edit_costs_one_info_and_a_quiet_run_none() {
    let story = story(json!({})).await;
    let ids: Vec<String> = (0..130)
        .map(|n| {
            story.clock.advance(std::time::Duration::from_secs(1));
            story.teamleader.user_creates(VENDOR, person("First", &format!("Last{n}"), &format!("p{n}@example.com")))
        })
        .collect();
    story.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(story.run().await.counts.remote.created, 130);
    assert_eq!(calls(&story, "contacts.info"), 130, "one a contact and not one more");
    story.teamleader.forget_calls();
    quiet(&story).await;
    assert_eq!(calls(&story, "contacts.info"), 0);
    assert!(story.teamleader.calls().len() <= 3, "{:?}", story.teamleader.calls());
    for id in &ids[..50] {
        edit(&story, id, json!({ "website": "https://example.com" }));
    }
    story.teamleader.forget_calls();
    let run = story.run().await;
    assert_eq!(run.counts.remote.updated, 50, "{run:?}");
    assert_eq!(calls(&story, "contacts.info"), 50);
}

#[tokio::test]
async fn s0_21_a_deletion_is_found_although_nobody_tells_it_and_takes_our_unedited_copy() {
    let story = story(json!({})).await;
    let ids: Vec<String> = ["Peeters", "Claes", "Maes", "Baert"]
        .iter()
        .map(|last| story.teamleader.user_creates(VENDOR, person("A", last, &format!("{last}@example.com"))))
        .collect();
    story.clock.advance(std::time::Duration::from_secs(60));
    story.run().await;
    assert!(story.teamleader.user_deletes(VENDOR, &ids[0]));
    let run = story.run().await;
    assert_eq!((run.state, run.counts.remote.deleted), (RunState::Done, 1), "{run:?}");
    assert_eq!(story.people().len(), 3);
    // Deactivated is not deleted: the copy leaves the group.
    story.teamleader.user_edits(VENDOR, &ids[1], Edit { status: Some("deactivated".into()), ..Edit::default() });
    let run = story.run().await;
    assert_eq!(run.counts.remote.deleted, 0, "{run:?}");
    assert_eq!(story.people().len(), 3);
    assert!(!Story::groups_of(&story.person("Claes")).contains(&story.group()));
    quiet(&story).await;
}

#[tokio::test]
async fn s0_9_without_the_export_right_nothing_leaves_and_the_reason_is_said() {
    let story = story(json!({})).await;
    story.teamleader.user_creates(VENDOR, person("Jan", "Peeters", "jan@example.com"));
    story.teamleader.allow(VENDOR, Right::NoExport);
    let run = story.run().await;
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    let error = run.error.unwrap();
    assert_eq!(error.code, "missing_right");
    assert!(error.message.contains("export"), "{}", error.message);
    story.teamleader.allow(VENDOR, Right::All);
    assert_eq!(story.run().await.counts.remote.created, 1);
}

#[tokio::test]
async fn s0_19_and_20_a_tag_stands_for_a_segment_and_all_follow_later() {
    let story = story(json!({ "crm_list": "tag:vip" })).await;
    let mut vip = person("Jan", "Peeters", "jan@example.com");
    vip.fields.insert("tags".into(), json!(["vip"]));
    story.teamleader.user_creates(VENDOR, vip);
    story.teamleader.user_creates(VENDOR, person("Ann", "Claes", "ann@example.com"));
    story.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(story.run().await.counts.remote.created, 1);
    story.set("crm_list", Value::Null).await;
    let run = story.run().await;
    assert_eq!((run.counts.remote.created, story.people().len()), (1, 2), "{run:?}");
    quiet(&story).await;
}

#[tokio::test]
async fn s0_18_with_the_vendors_limits_ten_thousand_are_exported_at_first_and_each_is_read_once() {
    let story = story(json!({ "limits": "vendor" })).await;
    for n in 0..10_003 {
        story.teamleader.user_creates(VENDOR, person("First", &format!("Last{n}"), &format!("p{n}@example.com")));
    }
    story.clock.advance(std::time::Duration::from_secs(60));
    let run = story.run().await;
    assert_eq!((run.state, story.people().len()), (RunState::Done, 10_000), "{run:?}");
    let error = run.error.unwrap();
    assert_eq!(error.code, "initial_limit_reached");
    assert!(error.message.contains("segment"), "{}", error.message);
    let infos = calls(&story, "contacts.info");
    assert!((10_000..=10_060).contains(&infos), "one info a contact, the page with the last one aside: {infos}");
}
