//! Records, rights, lists and the change feed through the CRM's own door.

use crate::common::{World, object};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_builtin::users::{NewUser, Role};
use tandem_builtin::{CrmError, Kind, Query};
use tandem_testkit::memory::MemoryTable;

fn field_of(error: CrmError) -> String {
    let CrmError::Invalid { field, .. } = error else { panic!("{error}") };
    field
}

#[tokio::test]
async fn a_record_shows_every_field_and_counts_its_versions() {
    let world = World::new().await;
    let made = world.make(Kind::Contact, json!({"last_name": " Peeters ", "custom": {"vip": true}})).await;
    let shown = made.to_json();
    assert_eq!(shown["last_name"], "Peeters");
    assert_eq!((&shown["number"], &shown["version"]), (&json!(1), &json!(1)));
    assert_eq!((&shown["emails"], &shown["company"], &shown["tags"]), (&json!([]), &Value::Null, &json!([])));
    let patch = object(json!({"first_name": "Jan", "custom": {"vip": null, "size": 4.5}}));
    let changed = world.crm.update(&world.admin, Kind::Contact, &made.id, Some(1), &patch).await.unwrap();
    assert_eq!(changed.to_json()["custom"], json!({"size": 4.5}));
    assert_eq!(changed.version, 2);
    let same = world.crm.update(&world.admin, Kind::Contact, &made.id, None, &patch).await.unwrap();
    assert_eq!(same.version, 2, "a change that changes nothing makes no version");
    let round = object(changed.to_json());
    let same = world.crm.update(&world.admin, Kind::Contact, &made.id, None, &round).await.unwrap();
    assert_eq!(same.version, 2, "what was read may be sent back whole");
}

#[tokio::test]
async fn a_stale_version_is_refused() {
    let world = World::new().await;
    let made = world.make(Kind::Contact, json!({"last_name": "Peeters"})).await;
    let patch = object(json!({"first_name": "Jan"}));
    world.crm.update(&world.admin, Kind::Contact, &made.id, Some(1), &patch).await.unwrap();
    let patch = object(json!({"first_name": "Piet"}));
    let late = world.crm.update(&world.admin, Kind::Contact, &made.id, Some(1), &patch).await;
    assert!(matches!(late, Err(CrmError::Stale)));
    let late = world.crm.delete(&world.admin, Kind::Contact, &made.id, Some(1)).await;
    assert!(matches!(late, Err(CrmError::Stale)));
    assert_eq!(world.crm.get(&world.admin, Kind::Contact, &made.id).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_bad_value_is_refused_by_the_name_of_its_field() {
    let world = World::new().await;
    let cases = [
        (Kind::Contact, json!({"first_name": "Jan"}), "last_name"),
        (Kind::Contact, json!({"last_name": "P", "shoe_size": 44}), "shoe_size"),
        (Kind::Contact, json!({"last_name": "P", "number": 3}), "number"),
        (Kind::Contact, json!({"last_name": 3}), "last_name"),
        (Kind::Contact, json!({"last_name": "x".repeat(301)}), "last_name"),
        (Kind::Contact, json!({"last_name": "P", "emails": "jan@x.be"}), "emails"),
        (Kind::Contact, json!({"last_name": "P", "emails": [{"type": "work", "value": "jan"}]}), "emails[0].value"),
        (Kind::Contact, json!({"last_name": "P", "phones": [{"kind": "work", "value": "1"}]}), "phones[0].kind"),
        (Kind::Contact, json!({"last_name": "P", "birthday": "2023-02-30"}), "birthday"),
        (Kind::Contact, json!({"last_name": "P", "company": "acme"}), "company"),
        (Kind::Contact, json!({"last_name": "P", "company": "018f0000-0000-7000-8000-000000000000"}), "company"),
        (Kind::Contact, json!({"last_name": "P", "custom": {"a": [1]}}), "custom.a"),
        (Kind::Contact, json!({"last_name": "P", "tags": [1]}), "tags[0]"),
        (Kind::Segment, json!({"name": "S", "module": "cars"}), "module"),
        (
            Kind::Segment,
            json!({"name": "S", "module": "contacts", "filter": {"all": [{"field": "tags", "op": "like", "value": "x"}]}}),
            "filter.all[0].op",
        ),
        (
            Kind::Segment,
            json!({"name": "S", "module": "contacts", "filter": {"all": [{"field": "wings", "op": "eq", "value": 1}]}}),
            "filter.all[0].field",
        ),
        (
            Kind::Segment,
            json!({"name": "S", "module": "contacts", "filter": {"all": [{"field": "tags", "op": "in", "value": "x"}]}}),
            "filter.all[0].value",
        ),
        (Kind::User, json!({"email": "an@acme.test"}), "email"),
        (Kind::User, json!({"email": "b@acme.test", "rights": {"modules": {"cars": {}}}}), "rights.modules.cars"),
    ];
    for (kind, input, field) in cases {
        let refused = world.crm.create(&world.admin, kind, &object(input.clone())).await;
        assert_eq!(field_of(refused.expect_err(field)), field, "{input}");
    }
    let many: Vec<Value> = (0..5).map(|_| json!("x".repeat(29_000))).collect();
    let custom: BTreeMap<String, Value> =
        many.into_iter().enumerate().map(|(at, text)| (at.to_string(), text)).collect();
    let input = object(json!({"last_name": "P", "custom": custom}));
    let refused = world.crm.create(&world.admin, Kind::Contact, &input).await;
    assert!(matches!(refused, Err(CrmError::TooLarge { .. })));
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let world = World::new().await;
    let new = NewUser { account: "acme", email: "bob@acme.test", name: "Bob", role: Role::Member };
    let bob = world.users.create(new).await.unwrap();
    let refused = world.crm.create(&bob, Kind::User, &object(json!({"email": "c@acme.test"}))).await;
    assert!(matches!(refused, Err(CrmError::Forbidden { right }) if right == "admin"));
    let rights = object(json!({"rights": {"modules": {"contacts": {"create": false}}, "export": false}}));
    world.crm.update(&world.admin, Kind::User, &bob.id, None, &rights).await.unwrap();
    let bob = world.users.by_email("acme", "Bob@ACME.test").await.unwrap().unwrap();
    let refused = world.crm.create(&bob, Kind::Contact, &object(json!({"last_name": "P"}))).await;
    assert!(matches!(refused, Err(CrmError::Forbidden { right }) if right == "contacts.create"));
    assert!(bob.require_export().is_err());
    assert!(world.crm.create(&bob, Kind::Company, &object(json!({"name": "Acme"}))).await.is_ok());
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let world = World::new().await;
    let made = world.make(Kind::Contact, json!({"last_name": "P"})).await;
    let new = NewUser { account: "other", email: "an@acme.test", name: "An", role: Role::Administrator };
    let other = world.users.create(new).await.unwrap();
    assert!(matches!(world.crm.get(&other, Kind::Contact, &made.id).await, Err(CrmError::NotFound)));
    assert!(world.crm.list(&other, Kind::Contact, &Query::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_token_works_until_it_expires_or_is_revoked() {
    let world = World::new().await;
    let token = world.users.issue(&world.admin, Duration::from_secs(60)).await.unwrap();
    assert_eq!(format!("{token:?}"), "Token");
    let who = world.users.authenticate(token.expose()).await.unwrap();
    assert_eq!(who.as_ref(), Some(&world.admin));
    assert!(world.users.authenticate("tnd_guess").await.unwrap().is_none());
    let stored =
        serde_json::to_string(&world.table.dump().iter().map(|i| (&i.key.pk, &i.attributes)).collect::<Vec<_>>());
    assert!(!stored.unwrap().contains(token.expose()), "only the hash is stored");
    world.clock.advance(Duration::from_secs(60));
    assert!(world.users.authenticate(token.expose()).await.unwrap().is_none());
    let token = world.users.issue(&world.admin, Duration::from_secs(60)).await.unwrap();
    world.users.revoke(token.expose()).await.unwrap();
    assert!(world.users.authenticate(token.expose()).await.unwrap().is_none());
}

#[tokio::test]
async fn lists_page_search_and_filter() {
    let world = World::new().await;
    for number in 1..=250 {
        let tag = if number % 100 == 0 { json!(["Round"]) } else { json!([]) };
        let email = format!("p{number}@x.test");
        let input = json!({"last_name": format!("Person {number}"), "tags": tag,
            "emails": [{"type": "work", "value": email}], "custom": {"size": number}});
        world.make(Kind::Contact, input).await;
        world.clock.advance(Duration::from_secs(1));
    }
    let mut query = Query::default();
    let mut numbers = Vec::new();
    loop {
        let page = world.crm.list(&world.admin, Kind::Contact, &query).await.unwrap();
        assert!(page.items.len() <= 100);
        numbers.extend(page.items.iter().map(|record| record.number));
        query.next = page.next;
        if query.next.is_none() {
            break;
        }
    }
    assert_eq!(numbers, (1..=250).collect::<Vec<_>>());
    let test = |all: Value| json!({"name": "S", "module": "contacts", "filter": {"all": all}});
    for (all, wanted) in [
        (json!([{"field": "tags", "op": "eq", "value": "round"}]), vec![100, 200]),
        (json!([{"field": "emails", "op": "starts_with", "value": "P25"}]), vec![25, 250]),
        (json!([{"field": "custom.size", "op": "gt", "value": 248}]), vec![249, 250]),
        (json!([{"field": "custom.size", "op": "lt", "value": "3"}]), vec![1, 2]),
        (json!([{"field": "number", "op": "in", "value": [3, 7]}]), vec![3, 7]),
        (json!([{"field": "tags", "op": "exists"}, {"field": "number", "op": "ne", "value": 100}]), vec![200]),
        (
            json!([{"field": "last_name", "op": "contains", "value": "n 11"}, {"field": "number", "op": "lt", "value": 20}]),
            vec![11],
        ),
        (json!([{"field": "company", "op": "exists", "value": true}]), vec![]),
    ] {
        let segment = world.make(Kind::Segment, test(all.clone())).await;
        let query = Query { segment: Some(segment.id), ..Query::default() };
        let page = world.crm.list(&world.admin, Kind::Contact, &query).await.unwrap();
        assert_eq!(page.items.iter().map(|record| record.number).collect::<Vec<_>>(), wanted, "{all}");
    }
    let found = Query { q: Some("PERSON p77@".into()), ..Query::default() };
    assert_eq!(world.crm.list(&world.admin, Kind::Contact, &found).await.unwrap().items.len(), 1);
    let since =
        world.crm.list(&world.admin, Kind::Contact, &Query { q: Some("p250@".into()), ..Query::default() }).await;
    let since = Query { updated_since: Some(since.unwrap().items[0].updated_at), ..Query::default() };
    assert_eq!(world.crm.list(&world.admin, Kind::Contact, &since).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_deleted_company_lets_its_contacts_go() {
    let world = World::new().await;
    let company = world.make(Kind::Company, json!({"name": "Acme"})).await;
    let mut contacts = Vec::new();
    for number in 0..40 {
        contacts
            .push(world.make(Kind::Contact, json!({"last_name": format!("P{number}"), "company": company.id})).await);
    }
    world.crm.delete(&world.admin, Kind::Company, &company.id, None).await.unwrap();
    for contact in contacts {
        let now = world.crm.get(&world.admin, Kind::Contact, &contact.id).await.unwrap();
        assert_eq!((&now.to_json()["company"], now.version), (&Value::Null, 2));
    }
    let gone = world.crm.get(&world.admin, Kind::Company, &company.id).await;
    assert!(matches!(gone, Err(CrmError::NotFound)));
}

/// Reads the feed from `cursor` to its end into `known`.
async fn follow(world: &World, cursor: &mut Option<String>, known: &mut BTreeMap<String, Option<u64>>) {
    loop {
        let page = world.crm.changes(&world.admin, cursor.as_deref()).await.unwrap();
        for change in page.items {
            known.insert(change.id, change.record.map(|record| record.version));
        }
        *cursor = Some(page.cursor);
        if page.next.is_none() {
            return;
        }
    }
}

#[tokio::test]
async fn the_feed_misses_nothing_under_concurrent_writers() {
    let world = World::on(MemoryTable::default().with_latency(Duration::from_micros(200))).await;
    let company = world.make(Kind::Company, json!({"name": "Acme"})).await;
    let writer = |writer: usize| {
        let (world, company) = (&world, &company);
        async move {
            for round in 0..15 {
                let input = object(json!({"last_name": format!("W{writer} {round}"), "company": company.id}));
                // Busy is an honest answer under this much contention: nothing was done.
                let Ok(made) = world.crm.create(&world.admin, Kind::Contact, &input).await else { continue };
                let patch = object(json!({"first_name": "Jan"}));
                let _busy = world.crm.update(&world.admin, Kind::Contact, &made.id, None, &patch).await;
                if round % 3 == 0 {
                    let _busy = world.crm.delete(&world.admin, Kind::Contact, &made.id, None).await;
                }
            }
        }
    };
    let (mut cursor, mut known) = (None, BTreeMap::new());
    let reader = async {
        for _ in 0..60 {
            follow(&world, &mut cursor, &mut known).await;
        }
    };
    tokio::join!(futures::future::join_all((0..4).map(writer)), reader);
    follow(&world, &mut cursor, &mut known).await;
    let (mut fresh, mut all) = (None, BTreeMap::new());
    follow(&world, &mut fresh, &mut all).await;
    // Whoever read along knows of every record what a fresh reader does.
    assert!(all.len() > 30, "the writers wrote");
    for (id, version) in &all {
        assert_eq!(known.get(id), Some(version));
    }
    let mut listed = 0;
    let mut query = Query::default();
    loop {
        let page = world.crm.list(&world.admin, Kind::Contact, &query).await.unwrap();
        listed += page.items.len();
        query.next = page.next;
        if query.next.is_none() {
            break;
        }
    }
    // Beside the contacts the feed has the administrator and the company.
    assert_eq!(all.values().flatten().count(), listed + 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_reader_of_the_feed_ends_with_what_there_is(steps in prop::collection::vec((0_u8..4, 0_usize..8), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let (mut cursor, mut known) = (None, BTreeMap::new());
            let mut ids: Vec<String> = Vec::new();
            for (at, (what, which)) in steps.iter().enumerate() {
                let id = ids.get(which % ids.len().max(1)).cloned().unwrap_or_default();
                match what {
                    0 => ids.push(world.make(Kind::Contact, json!({"last_name": format!("P{at}")})).await.id),
                    1 => {
                        let patch = object(json!({"first_name": format!("J{at}")}));
                        let _gone = world.crm.update(&world.admin, Kind::Contact, &id, None, &patch).await;
                    }
                    2 => {
                        let _gone = world.crm.delete(&world.admin, Kind::Contact, &id, None).await;
                    }
                    _ => follow(&world, &mut cursor, &mut known).await,
                }
            }
            follow(&world, &mut cursor, &mut known).await;
            for id in &ids {
                let now = world.crm.get(&world.admin, Kind::Contact, id).await.ok().map(|record| record.version);
                // A record that came and went between two readings is a tombstone.
                assert_eq!(known[id], now);
            }
        });
    }
}

#[tokio::test]
async fn what_is_rare_among_many_is_on_the_first_page() {
    let world = World::new().await;
    for number in 0..1_250 {
        world.make(Kind::Product, json!({"name": format!("Chair {number}")})).await;
    }
    world.make(Kind::Product, json!({"name": "Table"})).await;
    let query = Query { q: Some("table".to_owned()), ..Query::default() };
    let found = world.crm.list(&world.admin, Kind::Product, &query).await.unwrap();
    assert_eq!((found.items.len(), found.next), (1, None));
}
