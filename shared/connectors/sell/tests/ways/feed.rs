use crate::{ACCOUNT, World, drain, ids};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tandem_core::contact::field;
use tandem_ports::connector::{Change, Connector, Next};
use tandem_ports::error::ErrorKind;

fn persons(world: &World, number: usize) -> BTreeSet<u64> {
    (0..number).map(|n| world.make(&json!({"last_name": format!("P {n}")}))).collect()
}

#[tokio::test]
async fn a_session_that_ends_mid_feed_loses_nothing() {
    let world = World::new();
    let cursor = world.caught_up().await;
    world.fake.set(|settings| settings.queue_page = 2);
    let made = persons(&world, 5);
    let first = world.sell.changes(Some(&cursor)).await.expect("a page");
    let Next::More(after) = first.next else { panic!("three are left") };
    world.end_sessions();
    let (rest, cursor) = drain(&world.sell, Some(after)).await;
    let seen: BTreeSet<u64> = ids(&first.changes).union(&ids(&rest)).copied().collect();
    assert_eq!((seen, rest.len()), (made, 3), "and what was acknowledged does not come again");
    assert!(drain(&world.sell, Some(cursor)).await.0.is_empty());
}

#[tokio::test]
async fn a_session_that_got_old_is_replaced() {
    let world = World::new();
    let cursor = world.caught_up().await;
    world.fake.set(|settings| settings.queue_page = 2);
    let made = persons(&world, 3);
    let first = world.sell.changes(Some(&cursor)).await.expect("a page");
    let Next::More(after) = first.next else { panic!("one is left") };
    world.clock.advance(Duration::from_secs(86_400));
    let rest = drain(&world.sell, Some(after)).await.0;
    assert_eq!(ids(&first.changes).union(&ids(&rest)).copied().collect::<BTreeSet<_>>(), made);
}

#[tokio::test]
async fn an_empty_page_is_asked_again_and_then_left_for_later() {
    let world = World::new();
    let cursor = world.caught_up().await;
    let made = persons(&world, 3);
    world.fake.set(|settings| settings.empty_pages = 2);
    let page = world.sell.changes(Some(&cursor)).await.expect("a page");
    assert_eq!(ids(&page.changes), made);
    world.fake.set(|settings| settings.empty_pages = 3);
    let page = world.sell.changes(Some(&cursor)).await.expect("a page");
    let Next::CaughtUp(later) = page.next else { panic!("it does not go round and round") };
    assert!(page.changes.is_empty());
    assert_eq!(ids(&drain(&world.sell, Some(later)).await.0), made);
}

#[tokio::test]
async fn empty_pages_do_not_stop_a_listing() {
    let world = World::new();
    let made = persons(&world, 3);
    world.fake.set(|settings| settings.empty_pages = 1_000);
    assert_eq!(ids(&drain(&world.sell, None).await.0), made);
}

#[tokio::test]
async fn keys_of_a_session_that_ended_are_acknowledged_all_the_same() {
    let world = World::new();
    let cursor = world.caught_up().await;
    persons(&world, 2);
    let (_, after) = drain(&world.sell, Some(cursor)).await;
    world.end_sessions();
    world.asked();
    assert!(drain(&world.sell, Some(after)).await.0.is_empty());
    assert_eq!(world.asked(), ["POST /v2/sync/ack", "POST /v2/sync/start"]);
}

#[tokio::test]
async fn a_page_with_more_keys_than_a_cursor_holds_comes_to_an_end() {
    let world = World::new();
    let cursor = world.caught_up().await;
    world.fake.set(|settings| settings.queue_page = 700);
    let made = persons(&world, 650);
    let (changes, after) = drain(&world.sell, Some(cursor)).await;
    assert_eq!(ids(&changes), made);
    // A hundred and fifty keys did not fit; those come once more, and then none.
    let (changes, after) = drain(&world.sell, Some(after)).await;
    assert_eq!(changes.len(), 150);
    assert!(drain(&world.sell, Some(after)).await.0.is_empty());
}

#[tokio::test]
async fn what_comes_twice_is_read_as_it_is_now() {
    let world = World::new();
    let made = persons(&world, 1);
    let cursor = world.caught_up().await;
    world.fake.set(|settings| settings.redeliver = 10);
    let other = persons(&world, 1);
    let (changes, _) = drain(&world.sell, Some(cursor)).await;
    assert_eq!(ids(&changes), made.union(&other).copied().collect());
}

#[tokio::test]
async fn other_kinds_are_acknowledged_and_bring_nothing() {
    let world = World::new();
    let person = world.make(&json!({"last_name": "P"}));
    let cursor = world.caught_up().await;
    let order = |path: &str, data| world.fake.order("POST", path, &json!({"account": ACCOUNT, "data": data}));
    order("leads", json!({"last_name": "Lead"}));
    order("deals", json!({"name": "Bread", "contact_id": person}));
    order("notes", json!({"content": "x", "resource_type": "contact", "resource_id": person}));
    world.asked();
    let (changes, after) = drain(&world.sell, Some(cursor)).await;
    assert!(changes.is_empty());
    assert_eq!(world.asked().len(), 2, "a start and a page; no contact is read");
    drain(&world.sell, Some(after)).await;
    assert_eq!(world.asked(), ["POST /v2/sync/ack", "POST /v2/sync/start"]);
}

#[tokio::test]
async fn a_deletion_between_pages_of_a_listing_hides_nobody() {
    let world = World::with(None, 2);
    let made = persons(&world, 5);
    let start = world.sell.changes(None).await.expect("a page");
    let Next::More(list) = start.next else { panic!("a listing follows") };
    let first = world.sell.changes(Some(&list)).await.expect("a page");
    let Next::More(after) = first.next else { panic!("more pages follow") };
    let gone = *made.first().expect("five");
    world.delete(gone);
    let (changes, _) = drain(&world.sell, Some(after)).await;
    let (tombstones, upserts): (Vec<Change>, Vec<Change>) =
        changes.into_iter().partition(|change| matches!(change, Change::Tombstone { .. }));
    assert!(!tombstones.is_empty());
    let seen: BTreeSet<u64> = ids(&first.changes).union(&ids(&upserts)).copied().collect();
    assert_eq!(seen, made);
}

#[tokio::test]
async fn an_organisation_with_too_many_persons_asks_for_a_listing_and_blocks_nothing() {
    let world = World::new();
    let company = world.make(&json!({"name": "Old", "is_organization": true}));
    for n in 0..6_001 {
        world.make(&json!({"last_name": format!("P {n}"), "contact_id": company}));
    }
    let cursor = world.caught_up().await;
    world.edit(company, &json!({"name": "New"}));
    world.asked();
    let page = world.sell.changes(Some(&cursor)).await.expect("a page");
    assert_eq!(page.next, Next::Relist);
    assert!(world.asked().len() < 70, "the work of a call is bounded");
    let (changes, cursor) = drain(&world.sell, None).await;
    let is_new =
        |change: &Change| matches!(change, Change::Upsert(person) if person.fields.text(&field::COMPANY) == "New");
    assert_eq!(changes.iter().filter(|change| is_new(change)).count(), 6_001);
    assert!(drain(&world.sell, Some(cursor)).await.0.is_empty(), "the change is acknowledged");
}

#[tokio::test]
async fn a_deleted_organisation_changes_its_persons_also_where_its_tombstone_is_bare() {
    let world = World::new();
    let company = world.make(&json!({"name": "Bakkerij", "is_organization": true}));
    let person = world.make(&json!({"last_name": "Peeters", "contact_id": company}));
    let cursor = world.caught_up().await;
    world.delete(company);
    let (changes, _) = drain(&world.sell, Some(cursor)).await;
    let found = changes.iter().find_map(|change| match change {
        Change::Upsert(fetched) => Some(fetched),
        Change::Tombstone { .. } | Change::Seen { .. } | Change::Unreadable { .. } => None,
    });
    let found = found.expect("the person changed");
    assert_eq!((found.id.as_str(), found.fields.text(&field::COMPANY)), (person.to_string().as_str(), ""));
}

#[tokio::test]
async fn a_user_syncs_what_they_see() {
    let world = World::new();
    let piet = world.user("piet@example.com");
    let hidden = world.make(&json!({"last_name": "Hidden"}));
    let own = world.make_as("piet@example.com", &json!({"last_name": "Own"}));
    let (changes, cursor) = drain(&piet, None).await;
    assert_eq!(ids(&changes), [own].into());
    world.edit(hidden, &json!({"title": "Baker"}));
    let (changes, cursor) = drain(&piet, Some(cursor)).await;
    assert!(changes.is_empty());
    // Sell also tells of the deletion of what one never saw.
    world.delete(hidden);
    let (changes, _) = drain(&piet, Some(cursor)).await;
    assert!(matches!(changes.as_slice(), [Change::Tombstone { id }] if id.as_str() == hidden.to_string()));
}

#[tokio::test]
async fn a_used_up_limit_is_a_throttle_and_the_next_hour_goes_on() {
    let world = World::new();
    let cursor = world.caught_up().await;
    world.fake.set(|settings| settings.per_hour = 1);
    let refused = world.sell.changes(Some(&cursor)).await.expect_err("the hour is used up");
    assert_eq!(refused.kind, ErrorKind::Throttled { retry_after: Some(Duration::from_secs(10)) });
    world.clock.advance(Duration::from_secs(3_600));
    world.sell.changes(Some(&cursor)).await.expect("a new hour");
}
