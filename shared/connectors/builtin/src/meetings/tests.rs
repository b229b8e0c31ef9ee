//! Blocks: whose they are, and what becomes of them. They are made here as a sync would make them.
use crate::appointment;
use crate::crm::{Crm, Query};
use crate::error::CrmError;
use crate::ledger::Edit;
use crate::record::Record;
use crate::schema::Kind;
use crate::users::{NewUser, Role, User, Users};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::memory::MemoryTable;

struct World {
    crm: Crm,
    owner: User,
    colleague: User,
    admin: User,
}

async fn world() -> World {
    let (table, clock) = (Arc::new(MemoryTable::default()), Arc::new(ManualClock::default()));
    let users = Users::new(table.clone(), clock.clone());
    let mut made = Vec::new();
    for (email, role) in [("a@x.test", Role::Administrator), ("o@x.test", Role::Member), ("c@x.test", Role::Member)] {
        made.push(users.create(NewUser { account: "acme", email, name: "", role }).await.unwrap());
    }
    let [admin, owner, colleague] = made.try_into().unwrap();
    World { crm: Crm::new(table, clock), owner, colleague, admin }
}

impl World {
    async fn block(&self, body: Value) -> Record {
        let ledger = self.crm.ledger(&self.owner);
        let mut body = crate::validate::new_body(Kind::Block, body.as_object().unwrap()).unwrap();
        appointment::join(&mut body, &self.owner.id, "google:1", Some("work"), &Map::new());
        let head = ledger.head().await.unwrap();
        let edit = Edit::Create { id: ledger.new_id(), kind: Kind::Block, body, marker: None };
        ledger.commit(&head, vec![edit]).await.unwrap().unwrap().pop().unwrap()
    }
    async fn listed(&self, user: &User, query: Query) -> Vec<Value> {
        let page = self.crm.list(user, Kind::Block, &query).await.unwrap();
        page.items.iter().map(Record::to_json).collect()
    }
}

fn secret() -> Value {
    json!({
        "title": "Secret", "start": "2026-11-25T09:00:00Z", "end": "2026-11-25T10:00:00Z", "location": "Secret",
        "description": "Secret", "attendees": [{"email": "p@x.example", "name": "Secret"}],
        "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"],
        "exceptions": [{"original_start": "2026-12-02T09:00:00Z", "title": "Secret"},
            {"original_start": "2026-12-09T09:00:00Z", "start": "2026-12-10T09:00:00Z", "location": "Secret"}],
    })
}

#[tokio::test]
async fn colleagues_see_the_times_of_a_block_and_nothing_else() {
    let world = world().await;
    let card = json!({"last_name": "P", "emails": [{"value": "p@x.example"}]});
    let contact = world.crm.create(&world.admin, Kind::Contact, card.as_object().unwrap()).await.unwrap();
    let block = world.block(secret()).await;
    let search = || Query { q: Some("secret".to_owned()), ..Query::default() };
    let card = || Query { link: Some(format!("contact:{}", contact.id)), ..Query::default() };
    let own = world.crm.get(&world.owner, Kind::Block, &block.id).await.unwrap().to_json();
    assert_eq!((&own["title"], &own["calendar"]), (&json!("Secret"), &json!("work")));
    assert_eq!(
        (world.listed(&world.owner, search()).await.len(), world.listed(&world.owner, card()).await.len()),
        (1, 1)
    );
    for other in [&world.colleague, &world.admin] {
        let seen = world.crm.get(other, Kind::Block, &block.id).await.unwrap().to_json();
        let feed = world.crm.changes(other, None).await.unwrap();
        let told = feed.items.iter().find(|item| item.id == block.id).unwrap().record.as_ref().unwrap().to_json();
        for shown in [&seen, &told, &world.listed(other, Query::default()).await[0]] {
            let text = shown.to_string();
            assert!(!text.contains("Secret") && !text.contains("p@x") && !text.contains(&contact.id), "{text}");
            assert!(!text.contains("work") && !text.contains("google"), "{text}");
            assert_eq!((&shown["start"], &shown["end"]), (&own["start"], &own["end"]));
            let moved = &shown["exceptions"][0];
            assert_eq!(moved["start"], json!("2026-12-10T09:00:00Z"));
        }
        assert!(world.listed(other, search()).await.is_empty());
        assert!(world.listed(other, card()).await.is_empty());
    }
}

#[tokio::test]
async fn a_block_becomes_a_meeting_once_with_its_id_and_both_feeds_say_so() {
    let world = world().await;
    let untitled = json!({"start": "2026-11-25T09:00:00Z", "end": "2026-11-25T10:00:00Z"});
    let block = world.block(untitled).await;
    let cursor = world.crm.changes(&world.owner, None).await.unwrap().cursor;
    let refused = world.crm.convert(&world.colleague, &block.id, None).await;
    assert!(matches!(refused, Err(CrmError::Forbidden { .. })));
    let stale = world.crm.convert(&world.owner, &block.id, Some(7)).await;
    assert!(matches!(stale, Err(CrmError::Stale)));
    let meeting = world.crm.convert(&world.owner, &block.id, Some(1)).await.unwrap();
    assert_eq!((meeting.kind, &meeting.id, meeting.number, meeting.version), (Kind::Meeting, &block.id, 1, 2));
    assert_eq!(meeting.to_json()["title"], json!("(no title)"));
    assert_eq!(appointment::marker_of(&meeting.body, &world.owner.id), Some("google:1"), "its sync knows it");
    let twice = world.crm.convert(&world.owner, &block.id, None).await;
    assert!(matches!(twice, Err(CrmError::Refused { .. })));
    assert!(matches!(world.crm.get(&world.owner, Kind::Block, &block.id).await, Err(CrmError::NotFound)));
    assert!(world.listed(&world.owner, Query::default()).await.is_empty());
    let feed = world.crm.changes(&world.owner, Some(&cursor)).await.unwrap();
    let told: Vec<_> = feed.items.iter().map(|item| (item.kind, item.record.is_some())).collect();
    assert_eq!(told, [(Kind::Block, false), (Kind::Meeting, true)]);
    // It is a meeting like any other now, whoever edits it; the feed keeps one entry of it.
    let patch = json!({"title": "Offer"});
    world.crm.update(&world.colleague, Kind::Meeting, &block.id, Some(2), patch.as_object().unwrap()).await.unwrap();
    let feed = world.crm.changes(&world.owner, Some(&cursor)).await.unwrap();
    assert_eq!(feed.items.len(), 2);
    world.crm.delete(&world.owner, Kind::Meeting, &block.id, None).await.unwrap();
    let second = world.block(secret()).await;
    let by_admin = world.crm.convert(&world.admin, &second.id, None).await.unwrap();
    assert_eq!((by_admin.number, by_admin.to_json()["owner"].clone()), (2, json!(world.owner.id)));
}

#[tokio::test]
async fn a_participants_reminder_is_ones_own_and_who_leaves_takes_only_oneself_out() {
    let world = world().await;
    let (own, other) = (&world.owner.id, &world.colleague.id);
    let mut body = secret().as_object().cloned().unwrap();
    body.insert("reminder_minutes".to_owned(), json!(5));
    appointment::join(&mut body, own, "google:1", None, &Map::new());
    let personal = Map::from_iter([("reminder_minutes".to_owned(), json!(30))]);
    appointment::join(&mut body, other, "google:2", None, &personal);
    let reminder =
        |body: &crate::record::Body, user: &str| appointment::for_user(body, user)["reminder_minutes"].clone();
    assert_eq!((reminder(&body, own), reminder(&body, other)), (json!(5), json!(30)));
    let mut edited = appointment::for_user(&body, other);
    edited.insert("reminder_minutes".to_owned(), json!(60));
    let body = appointment::from_user(&body, edited, other);
    assert_eq!((reminder(&body, own), reminder(&body, other)), (json!(5), json!(60)));
    let mut left = body.clone();
    appointment::set_marker(&mut left, other, "google:3");
    assert_eq!(
        (appointment::marker_of(&left, own), appointment::marker_of(&left, other)),
        (Some("google:1"), Some("google:3"))
    );
    assert!(appointment::leave(&mut left, own), "the other one still has it");
    assert_eq!((left["owner"].as_str(), &left["reminder_minutes"]), (Some(other.as_str()), &json!(60)));
    assert!(appointment::was_left(&left, own) && !appointment::holds(&left, own));
    assert!(!appointment::leave(&mut left, other), "nobody has it");
}
