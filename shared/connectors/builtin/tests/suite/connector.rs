//! The contacts as a side of a sync.

use crate::common::{World, object};
use serde_json::json;
use std::collections::BTreeMap;
use tandem_builtin::Kind;
use tandem_core::contact::{COMPANY_PHONE, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{Marker, RemoteId, Scope, Version};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Fetched, Next, Patch};
use tandem_ports::error::ErrorKind;

async fn drain(side: &impl Connector, from: Option<Cursor>) -> (Vec<Change>, Cursor) {
    let (mut from, mut all) = (from, Vec::new());
    for _ in 0..1_000 {
        let page = side.changes(from.as_ref()).await.unwrap();
        all.extend(page.changes);
        match page.next {
            Next::More(next) => from = Some(next),
            Next::CaughtUp(next) => return (all, next),
            Next::Relist => panic!("this feed tells everything"),
        }
    }
    panic!("the listing does not end");
}

fn upserts(changes: &[Change]) -> BTreeMap<String, Fetched> {
    let upsert = |change: &Change| match change {
        Change::Upsert(fetched) => Some((fetched.id.as_str().to_owned(), (**fetched).clone())),
        Change::Tombstone { .. } | Change::Seen { .. } | Change::Unreadable { .. } => None,
    };
    changes.iter().filter_map(upsert).collect()
}

fn draft(marker: &str, last_name: &str, company: &str) -> Draft {
    let contact = Contact { last_name: last_name.into(), company: company.into(), ..Contact::default() };
    Draft { marker: Marker::new(marker), fields: contact.to_fields(Region::of("BE")) }
}

#[tokio::test]
async fn an_idle_call_costs_one_request() {
    let world = World::new().await;
    world.make(Kind::Contact, json!({"last_name": "P"})).await;
    let segment = world.make(Kind::Segment, json!({"name": "All", "module": "contacts"})).await;
    for container in [None, Some(segment.id.as_str())] {
        let side = world.open(container).await;
        let (_, cursor) = drain(&side, None).await;
        let before = world.table.requests();
        let page = side.changes(Some(&cursor)).await.unwrap();
        assert!(page.changes.is_empty());
        assert_eq!(page.next, Next::CaughtUp(cursor));
        assert_eq!(world.table.requests() - before, 1);
    }
}

#[tokio::test]
async fn a_company_goes_along_with_its_contacts() {
    let world = World::new().await;
    let company = json!({"name": "Acme", "phones": [{"type": "work", "value": "02 555 12 34"}]});
    let company = world.make(Kind::Company, company).await;
    let mut ids = Vec::new();
    for number in 0..450 {
        ids.push(world.make(Kind::Contact, json!({"last_name": format!("P{number}"), "company": company.id})).await.id);
    }
    world.make(Kind::Contact, json!({"last_name": "Elsewhere"})).await;
    let side = world.open(None).await;
    let (changes, cursor) = drain(&side, None).await;
    let all = upserts(&changes);
    assert_eq!((all.len(), changes.len()), (451, 451));
    let one = &all[&ids[0]];
    assert_eq!(one.fields.text(&field::COMPANY), "Acme");
    let phone = &one.fields.items(&field::PHONES)[0];
    assert_eq!((phone.label.as_str(), phone.as_value()), (COMPANY_PHONE, "+3225551234"));
    let patch = object(json!({"name": "Acme International"}));
    world.crm.update(&world.admin, Kind::Company, &company.id, None, &patch).await.unwrap();
    let first = side.changes(Some(&cursor)).await.unwrap();
    assert!(first.changes.len() <= 200, "pages stay bounded");
    let (changes, _) = drain(&side, Some(cursor)).await;
    let again = upserts(&changes);
    assert_eq!(again.len(), 450);
    assert!(again.values().all(|fetched| fetched.fields.text(&field::COMPANY) == "Acme International"));
    assert_ne!(again[&ids[0]].version, one.version, "what it shows has changed, and so has its version");
}

#[tokio::test]
async fn a_create_repeated_makes_one_contact_and_one_company() {
    let world = World::new().await;
    let side = world.open(None).await;
    let drafts: Vec<Draft> =
        (0..100).map(|at| draft(&format!("m{}", at % 90), &format!("P{}", at % 90), "Acme")).collect();
    let made = side.create(&drafts).await.unwrap();
    let again = side.create(&drafts).await.unwrap();
    let ids = |outcomes: Vec<Result<tandem_ports::connector::Written, _>>| -> Vec<RemoteId> {
        outcomes.into_iter().map(|one: Result<_, tandem_ports::error::ConnectorError>| one.unwrap().id).collect()
    };
    let (made, again) = (ids(made), ids(again));
    assert_eq!(made, again);
    assert_eq!(made[0], made[90]);
    let (changes, _) = drain(&side, None).await;
    assert_eq!(upserts(&changes).len(), 90);
    let companies = world.crm.list(&world.admin, Kind::Company, &Default::default()).await.unwrap();
    assert_eq!(companies.items.len(), 1);
    let nobody = Draft { marker: Marker::new("nobody"), fields: drafts[3].fields.clone() };
    let found = side.find_made(&[drafts[3].clone(), nobody]).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn writes_answer_the_version_that_is_read_next_and_honour_the_expected_one() {
    let world = World::new().await;
    let side = world.open(None).await;
    let written = side.create(&[draft("m", "P", "Acme")]).await.unwrap().remove(0).unwrap();
    let read = side.get(std::slice::from_ref(&written.id)).await.unwrap().remove(0).unwrap();
    assert_eq!((&read.version, read.marker.as_ref()), (&written.version, Some(&Marker::new("m"))));
    assert_eq!(written.shown.as_ref(), Some(&read.fields));
    let wanted = Contact { last_name: "P".into(), company: "Beta".into(), ..Contact::default() };
    let patch = |expect: &Version| Patch {
        id: written.id.clone(),
        expect: expect.clone(),
        changed: vec![field::COMPANY],
        fields: wanted.to_fields(Region::none()),
        scope: None,
        marker: None,
        raw: serde_json::Value::Null,
    };
    let changed = side.update(&[patch(&written.version)]).await.unwrap().remove(0).unwrap();
    let read = side.get(std::slice::from_ref(&written.id)).await.unwrap().remove(0).unwrap();
    assert_eq!((read.fields.text(&field::COMPANY), &read.version), ("Beta", &changed.version));
    let late = side.update(&[patch(&written.version)]).await.unwrap().remove(0);
    assert_eq!(late.unwrap_err().kind, ErrorKind::Conflict);
    let deletion = |expect: &Version| Deletion { id: written.id.clone(), expect: expect.clone() };
    let late = side.delete(&[deletion(&written.version)]).await.unwrap().remove(0);
    assert_eq!(late.unwrap_err().kind, ErrorKind::Conflict);
    side.delete(&[deletion(&changed.version)]).await.unwrap().remove(0).unwrap();
    side.delete(&[deletion(&changed.version)]).await.unwrap().remove(0).unwrap();
    let gone = side.update(&[patch(&changed.version)]).await.unwrap().remove(0);
    assert_eq!(gone.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn the_companys_phone_does_not_become_the_contacts_own() {
    let world = World::new().await;
    let company = json!({"name": "Acme", "phones": [{"type": "work", "value": "02 555 12 34"}]});
    let company = world.make(Kind::Company, company).await;
    let contact = world.make(Kind::Contact, json!({"last_name": "P", "company": company.id})).await;
    let side = world.open(None).await;
    let read = side.get(&[RemoteId::new(&contact.id)]).await.unwrap().remove(0).unwrap();
    let mut wanted = Contact::from_fields(&read.fields);
    wanted.phones.push(Labelled { label: "mobile".into(), value: "0470 12 34 56".into() });
    let patch = Patch {
        id: read.id.clone(),
        expect: read.version.clone(),
        changed: vec![field::PHONES],
        fields: wanted.to_fields(Region::of("BE")),
        scope: None,
        marker: None,
        raw: read.raw.clone(),
    };
    side.update(&[patch]).await.unwrap().remove(0).unwrap();
    let stored = world.crm.get(&world.admin, Kind::Contact, &contact.id).await.unwrap().to_json();
    assert_eq!(stored["phones"], json!([{"type": "mobile", "value": "+32470123456"}]));
    let read = side.get(&[read.id]).await.unwrap().remove(0).unwrap();
    assert_eq!(read.fields.items(&field::PHONES).len(), 2);
}

#[tokio::test]
async fn a_changed_filter_reports_every_contact_again_with_its_place() {
    let world = World::new().await;
    let filter = |tag: &str| json!({"all": [{"field": "tags", "op": "eq", "value": tag}]});
    let segment = json!({"name": "VIP", "module": "contacts", "filter": filter("vip")});
    let segment = world.make(Kind::Segment, segment).await;
    let vip = world.make(Kind::Contact, json!({"last_name": "V", "tags": ["vip"]})).await;
    let other = world.make(Kind::Contact, json!({"last_name": "O", "tags": ["other"]})).await;
    let gone = world.make(Kind::Contact, json!({"last_name": "G"})).await;
    world.crm.delete(&world.admin, Kind::Contact, &gone.id, None).await.unwrap();
    let side = world.open(Some(&segment.id)).await;
    let (changes, cursor) = drain(&side, None).await;
    assert!(changes.iter().all(|change| matches!(change, Change::Upsert(_))), "a full listing has no old tombstones");
    let places = |changes: &[Change]| {
        let all = upserts(changes);
        (all[&vip.id].scope, all[&other.id].scope)
    };
    assert_eq!(places(&changes), (Scope::Inside, Scope::Outside));
    world.crm.delete(&world.admin, Kind::Contact, &vip.id, None).await.unwrap();
    let vip2 = world.make(Kind::Contact, json!({"last_name": "V", "tags": ["vip"]})).await;
    let patch = object(json!({"filter": filter("other")}));
    world.crm.update(&world.admin, Kind::Segment, &segment.id, None, &patch).await.unwrap();
    let (changes, cursor) = drain(&side, Some(cursor)).await;
    let all = upserts(&changes);
    assert_eq!((all[&vip2.id].scope, all[&other.id].scope), (Scope::Outside, Scope::Inside));
    let tombstones =
        changes.iter().filter(|change| matches!(change, Change::Tombstone { id } if id.as_str() == vip.id));
    assert_eq!(tombstones.count(), 1, "the deletion before the change of the filter is not lost");
    let (changes, cursor) = drain(&side, Some(cursor)).await;
    assert!(changes.is_empty(), "it is told once");
    world.crm.delete(&world.admin, Kind::Segment, &segment.id, None).await.unwrap();
    let refused = side.changes(Some(&cursor)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden, "without the filter nothing is taken for outside");
}

#[tokio::test]
async fn without_the_export_right_nothing_leaves() {
    let world = World::new().await;
    let patch = object(json!({"rights": {"export": false}}));
    world.crm.update(&world.admin, Kind::User, &world.admin.id, None, &patch).await.unwrap();
    let side = world.open(None).await;
    let refused = side.changes(None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert!(refused.detail.contains("export"), "{}", refused.detail);
    assert!(side.create(&[draft("m", "P", "")]).await.unwrap()[0].is_ok(), "the other direction goes on");
}

#[tokio::test]
async fn a_record_that_cannot_be_kept_stops_no_other() {
    let world = World::new().await;
    let side = world.open(None).await;
    let outcomes = side.create(&[draft("a", "", "New"), draft("b", "P", ""), draft("c", "Q", "Acme")]).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap_err().kind, ErrorKind::Permanent);
    assert!(outcomes[1].is_ok() && outcomes[2].is_ok());
    let companies = world.crm.list(&world.admin, Kind::Company, &Default::default()).await.unwrap();
    assert_eq!(companies.items.len(), 1, "no company is made for a contact that is not");
}

#[tokio::test]
async fn full_batches_are_answered_in_order() {
    let world = World::new().await;
    let side = world.open(None).await;
    let drafts: Vec<Draft> = (0..100).map(|at| draft(&format!("m{at}"), &format!("P{at}"), "Acme")).collect();
    let made: Vec<RemoteId> = side.create(&drafts).await.unwrap().into_iter().map(|one| one.unwrap().id).collect();
    let read: Vec<Fetched> = side.get(&made).await.unwrap().into_iter().flatten().collect();
    let patch = |fetched: &Fetched| {
        let mut wanted = Contact::from_fields(&fetched.fields);
        wanted.position = format!("{}'s place", wanted.last_name);
        Patch {
            id: fetched.id.clone(),
            expect: fetched.version.clone(),
            changed: vec![field::POSITION],
            fields: wanted.to_fields(Region::of("BE")),
            scope: None,
            marker: None,
            raw: fetched.raw.clone(),
        }
    };
    let patches: Vec<Patch> = read.iter().map(patch).collect();
    let changed = side.update(&patches).await.unwrap();
    let deletions: Vec<Deletion> = changed
        .into_iter()
        .zip(&made)
        .map(|(written, id)| {
            let written = written.unwrap();
            assert_eq!(&written.id, id);
            Deletion { id: written.id, expect: written.version }
        })
        .collect();
    let stale = side.delete(&[Deletion { id: made[0].clone(), expect: read[0].version.clone() }]).await.unwrap();
    assert_eq!(stale[0].as_ref().unwrap_err().kind, ErrorKind::Conflict);
    assert!(side.delete(&deletions).await.unwrap().iter().all(Result::is_ok));
    assert!(side.get(&made).await.unwrap().iter().all(Option::is_none));
}
