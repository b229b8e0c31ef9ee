use crate::{ACCOUNT, World, drain, ids};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tandem_core::contact::field;
use tandem_ports::connector::{Change, Connector, Next};
use tandem_ports::error::ErrorKind;
use tandem_sell::fake::Fault;

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
async fn a_stored_session_that_is_refused_does_not_stop_the_feed_and_a_fresh_one_is_an_error() {
    let world = World::new();
    let cursor = world.caught_up().await;
    world.fake.set(|settings| settings.queue_page = 2);
    let made = persons(&world, 3);
    let first = world.sell.changes(Some(&cursor)).await.expect("a page");
    let Next::More(after) = first.next else { panic!("one is left") };
    // Neither the keys nor the session are taken: everything comes again.
    world.fake.inject(&[Fault::BadRequest, Fault::BadRequest]);
    assert_eq!(ids(&drain(&world.sell, Some(after)).await.0), made);
    // One that was kept from the emptying before a listing.
    let made: BTreeSet<u64> = persons(&world, 4).union(&made).copied().collect();
    let Next::More(emptying) = world.sell.changes(None).await.expect("a page").next else {
        panic!("a listing follows")
    };
    world.fake.inject(&[Fault::BadRequest]);
    assert_eq!(ids(&drain(&world.sell, Some(emptying)).await.0), made);
    persons(&world, 1);
    world.fake.inject(&[Fault::BadRequest, Fault::BadRequest]);
    let refused = world.sell.changes(Some(&cursor)).await.expect_err("the start is refused");
    assert_eq!(refused.kind, ErrorKind::Permanent);
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

fn companies(world: &World, number: usize, persons: usize) -> Vec<u64> {
    let company = |n: usize| {
        let company = world.make(&json!({"name": format!("Old {n}"), "is_organization": true}));
        for n in 0..persons {
            world.make(&json!({"last_name": format!("P {n}"), "contact_id": company}));
        }
        company
    };
    (0..number).map(company).collect()
}

fn of_the_new_name(changes: &[Change]) -> usize {
    let is_new =
        |change: &&Change| matches!(change, Change::Upsert(person) if person.fields.text(&field::COMPANY) == "New");
    changes.iter().filter(is_new).count()
}

#[tokio::test]
async fn a_renamed_organisation_changes_all_its_pages_of_persons() {
    let world = World::new();
    let company = companies(&world, 1, 250)[0];
    let cursor = world.caught_up().await;
    world.edit(company, &json!({"name": "New"}));
    assert_eq!(of_the_new_name(&drain(&world.sell, Some(cursor)).await.0), 250);
}

#[tokio::test]
async fn more_persons_than_a_call_can_read_ask_for_a_listing_and_block_nothing() {
    let world = World::new();
    let companies = companies(&world, 130, 1);
    let cursor = world.caught_up().await;
    world.fake.set(|settings| settings.queue_page = 200);
    companies.iter().for_each(|company| world.edit(*company, &json!({"name": "New"})));
    world.asked();
    let page = world.sell.changes(Some(&cursor)).await.expect("a page");
    assert_eq!((page.next, of_the_new_name(&page.changes)), (Next::Relist, 120));
    assert!(world.asked().len() < 130, "the work of a call is bounded");
    let (changes, cursor) = drain(&world.sell, None).await;
    assert_eq!(of_the_new_name(&changes), 130);
    assert!(drain(&world.sell, Some(cursor)).await.0.is_empty(), "the changes are acknowledged");
}

#[tokio::test]
async fn a_page_of_deletions_and_of_changed_organisations_is_told_without_a_listing() {
    let world = World::new();
    let made: Vec<u64> = persons(&world, 60).into_iter().collect();
    let companies: Vec<u64> =
        (0..39).map(|n| world.make(&json!({"name": format!("C {n}"), "is_organization": true}))).collect();
    let person = world.make(&json!({"last_name": "Peeters", "contact_id": companies[38]}));
    let cursor = world.caught_up().await;
    made.iter().for_each(|id| world.delete(*id));
    companies.iter().for_each(|id| world.edit(*id, &json!({"phone": "+3291234567"})));
    let (changes, _) = drain(&world.sell, Some(cursor)).await;
    let (tombstones, upserts): (Vec<Change>, Vec<Change>) =
        changes.into_iter().partition(|change| matches!(change, Change::Tombstone { .. }));
    assert_eq!((tombstones.len(), ids(&upserts)), (60, [person].into()));
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
