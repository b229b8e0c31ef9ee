//! Meetings as people type and see them.
use crate::common::{World, object};
use serde_json::{Value, json};
use tandem_builtin::{CrmError, Kind, Query};

fn meeting(more: Value) -> Value {
    let mut all = json!({"title": "Offer", "start": "2026-11-25T10:00:00+01:00", "end": "2026-11-25T11:00:00+01:00"});
    all.as_object_mut().unwrap().extend(object(more));
    all
}

async fn titles(world: &World, link: String) -> Vec<Value> {
    let query = Query { link: Some(link), ..Query::default() };
    let page = world.crm.list(&world.admin, Kind::Meeting, &query).await.unwrap();
    page.items.iter().map(|record| record.to_json()["title"].clone()).collect()
}

#[tokio::test]
async fn a_meeting_is_kept_in_the_form_that_calendars_share() {
    let world = World::new().await;
    let weekly = json!({
        "time_zone": "Europe/Brussels", "recurrence": ["RRULE:COUNT=3;FREQ=WEEKLY", "EXDATE:20261202T090000Z"],
        "exceptions": [{"original_start": "2026-12-09T09:00:00Z", "title": "Last"}],
        "attendees": [{"email": "Jan@X.example"}], "reminder_minutes": 10,
    });
    let shown = world.make(Kind::Meeting, meeting(weekly)).await.to_json();
    assert_eq!((&shown["start"], &shown["all_day"]), (&json!("2026-11-25T09:00:00Z"), &json!(false)));
    assert_eq!(shown["recurrence"], json!(["RRULE:FREQ=WEEKLY;COUNT=3"]));
    let exceptions = json!([
        {"original_start": "2026-12-02T09:00:00Z", "cancelled": true},
        {"original_start": "2026-12-09T09:00:00Z", "title": "Last"},
    ]);
    assert_eq!(shown["exceptions"], exceptions);
    assert_eq!(shown["attendees"], json!([{"email": "jan@x.example", "status": "needs_action"}]));
    assert_eq!((&shown["visibility"], &shown["status"]), (&json!("default"), &json!("open")));
    assert_eq!((&shown["owner"], &shown["participants"]), (&json!(world.admin.id), &json!([world.admin.id])));
    let id = shown["id"].as_str().unwrap();
    assert_eq!(shown["ical_uid"], json!(format!("{id}@tandem")));
    // Another rule moves them all: what no longer occurs is no exception.
    let patch = object(json!({"recurrence": ["RRULE:FREQ=DAILY;COUNT=2"]}));
    let changed = world.crm.update(&world.admin, Kind::Meeting, id, None, &patch).await.unwrap().to_json();
    assert_eq!(changed["exceptions"], json!([]));
    // What was shown may come back, and changes nothing.
    let again = world.crm.update(&world.admin, Kind::Meeting, id, None, &object(changed.clone())).await.unwrap();
    assert_eq!(again.to_json(), changed);
}

#[tokio::test]
async fn a_wrong_field_of_a_meeting_is_named() {
    let world = World::new().await;
    let weekly = |exceptions: Value| json!({"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"], "exceptions": exceptions});
    let once = json!([{"original_start": "2026-11-26T09:00:00Z", "cancelled": true}]);
    for (more, field) in [
        (json!({"title": null}), "title"),
        (json!({"start": null}), "start"),
        (json!({"start": "2026-11-25T10:00:00"}), "start"),
        (json!({"start": "2026-11-25"}), "start"),
        (json!({"all_day": true}), "start"),
        (json!({"all_day": true, "start": "2026-11-25"}), "end"),
        (json!({"end": "2026-11-25T08:59:00Z"}), "end"),
        (json!({"time_zone": "Mars/Olympus"}), "time_zone"),
        (json!({"recurrence": ["RRULE:FREQ=SOMETIMES"]}), "recurrence"),
        (json!({"recurrence": "daily"}), "recurrence"),
        (json!({"exceptions": once}), "exceptions"),
        (weekly(once.clone()), "exceptions[0].original_start"),
        (weekly(json!([{"cancelled": true}])), "exceptions[0].original_start"),
        (weekly(json!([{"original_start": "2026-11-25T09:00:00Z", "colour": 1}])), "exceptions[0].colour"),
        (json!({"attendees": [{"name": "Jan"}]}), "attendees[0].email"),
        (json!({"attendees": [{"email": "jan"}]}), "attendees[0].email"),
        (json!({"attendees": [{"email": "j@x.example", "status": "maybe"}]}), "attendees[0].status"),
        (json!({"reminder_minutes": -1}), "reminder_minutes"),
        (json!({"visibility": "secret"}), "visibility"),
        (json!({"status": "late"}), "status"),
        (json!({"ical_uid": "mine"}), "ical_uid"),
        (json!({"links": [{"type": "contact", "id": "00000000-0000-7000-8000-000000000000"}]}), "links"),
        (json!({"calendar": "primary"}), "calendar"),
    ] {
        let made = world.crm.create(&world.admin, Kind::Meeting, &object(meeting(more.clone()))).await;
        let Err(CrmError::Invalid { field: named, .. }) = made else { panic!("{more} is taken") };
        assert_eq!(named, field, "{more}");
    }
}

#[tokio::test]
async fn an_all_day_meeting_is_days_with_an_exclusive_end() {
    let world = World::new().await;
    let days = json!({"all_day": true, "start": "2026-01-15", "end": "2026-01-16", "time_zone": "Pacific/Auckland"});
    let shown = world.make(Kind::Meeting, meeting(days)).await.to_json();
    assert_eq!((&shown["start"], &shown["end"]), (&json!("2026-01-15"), &json!("2026-01-16")));
    assert_eq!((&shown["all_day"], &shown["time_zone"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_meeting_is_on_the_card_of_everybody_who_has_a_guests_address() {
    let world = World::new().await;
    let person = |last: &str| json!({"last_name": last, "emails": [{"value": "JAN@x.example"}]});
    let contact = world.make(Kind::Contact, person("Contact")).await;
    let lead = world.make(Kind::Lead, person("Lead")).await;
    let deal = world.make(Kind::Deal, json!({"name": "Deal"})).await;
    let by_hand = json!({"type": "deal", "id": deal.id});
    let more = json!({"attendees": [{"email": "jan@X.example"}, {"email": "an@x.example"}], "links": [by_hand]});
    let made = world.make(Kind::Meeting, meeting(more)).await;
    let shown = world.crm.get(&world.admin, Kind::Meeting, &made.id).await.unwrap().to_json();
    let links = shown["links"].as_array().unwrap();
    for (word, id) in [("contact", &contact.id), ("lead", &lead.id), ("deal", &deal.id)] {
        assert!(links.contains(&json!({"type": word, "id": id})), "{links:?}");
        assert_eq!(titles(&world, format!("{word}:{id}")).await, ["Offer"]);
    }
    let matches: Vec<&Value> = shown["attendees"].as_array().unwrap().iter().map(|guest| &guest["matches"]).collect();
    assert_eq!(matches, [&Value::Null, &json!(2)]);

    // An address that goes takes the meeting off that card, without a write to the meeting; one that comes puts it on.
    let gone = object(json!({"emails": []}));
    world.crm.update(&world.admin, Kind::Contact, &contact.id, None, &gone).await.unwrap();
    assert_eq!(titles(&world, format!("contact:{}", contact.id)).await, [] as [Value; 0]);
    let late = world.make(Kind::Contact, json!({"last_name": "An", "emails": [{"value": "an@x.example"}]})).await;
    assert_eq!(titles(&world, format!("contact:{}", late.id)).await, ["Offer"]);
    // A whole record that is sent back makes no link by hand of what came from an address.
    let back = world.crm.get(&world.admin, Kind::Meeting, &made.id).await.unwrap().to_json();
    world.crm.update(&world.admin, Kind::Meeting, &made.id, None, &object(back)).await.unwrap();
    let nobody = object(json!({"attendees": []}));
    let left = world.crm.update(&world.admin, Kind::Meeting, &made.id, None, &nobody).await.unwrap().to_json();
    assert_eq!(left["links"], json!([by_hand]));
    assert_eq!(titles(&world, format!("lead:{}", lead.id)).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_card_costs_the_same_however_many_other_meetings_there_are() {
    let world = World::new().await;
    let contact = world.make(Kind::Contact, json!({"last_name": "P", "emails": [{"value": "p@x.example"}]})).await;
    world.make(Kind::Meeting, meeting(json!({"attendees": [{"email": "p@x.example"}]}))).await;
    let mut costs = Vec::new();
    for more in [0, 300] {
        for at in 0..more {
            world.make(Kind::Meeting, meeting(json!({"title": format!("Other {at}")}))).await;
        }
        let before = world.table.requests();
        assert_eq!(titles(&world, format!("contact:{}", contact.id)).await.len(), 1);
        costs.push(world.table.requests() - before);
    }
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn a_card_that_is_none_is_named() {
    let world = World::new().await;
    let contact = world.make(Kind::Contact, json!({"last_name": "P"})).await;
    for (kind, link) in [
        (Kind::Meeting, "contact".to_owned()),
        (Kind::Meeting, format!("user:{}", world.admin.id)),
        (Kind::Meeting, format!("lead:{}", contact.id)),
        (Kind::Contact, format!("contact:{}", contact.id)),
    ] {
        let query = Query { link: Some(link.clone()), ..Query::default() };
        let listed = world.crm.list(&world.admin, kind, &query).await;
        assert!(matches!(listed, Err(CrmError::Invalid { field, .. }) if field == "link"), "{link}");
    }
}

#[tokio::test]
async fn a_meeting_is_no_block_to_convert_and_a_block_is_not_made_by_hand() {
    let world = World::new().await;
    let made = world.make(Kind::Meeting, meeting(json!({}))).await;
    let twice = world.crm.convert(&world.admin, &made.id, None).await;
    assert!(matches!(twice, Err(CrmError::Refused { .. })));
    let missing = world.crm.convert(&world.admin, "00000000-0000-7000-8000-000000000000", None).await;
    assert!(matches!(missing, Err(CrmError::NotFound)));
    let typed = world.crm.create(&world.admin, Kind::Block, &object(meeting(json!({})))).await;
    assert!(matches!(typed, Err(CrmError::Refused { .. })));
}
