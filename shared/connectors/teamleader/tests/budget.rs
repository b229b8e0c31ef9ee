//! What the connector costs in calls, and what it notices of silent losses, rights and companies.
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::contact::{COMPANY_PHONE, Carry, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Marker, RemoteId, Scope};
use tandem_ports::connector::{Change, Connector, Cursor, Draft, Next};
use tandem_ports::error::ErrorKind;
use tandem_ports::infra::Clock;
use tandem_teamleader::fake::{Edit, FakeTeamleader, Fault, Right, Strictness};
use tandem_teamleader::{Options, TeamleaderConfig, TeamleaderContacts};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

struct World {
    clock: Arc<ManualClock>,
    fake: Arc<FakeTeamleader>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeTeamleader::new(Arc::clone(&clock) as Arc<_>).shared();
        fake.set(|settings| settings.strictness = Strictness::Refuse);
        World { clock, fake }
    }
    fn open(&self, container: Option<&str>) -> TeamleaderContacts {
        let container = container.map(ContainerId::new);
        let options = Options { container, carry: Carry::NameAndPhone, region: Region::of("BE") };
        let clock = Arc::clone(&self.clock) as Arc<_>;
        TeamleaderContacts::new(self.fake.authorised(ACCOUNT), clock, TeamleaderConfig::default(), options)
    }
    fn contacts(&self, many: usize) -> Vec<String> {
        let one = |n: usize| {
            // Thirty a second, as an import makes them.
            if n.is_multiple_of(30) {
                self.clock.advance(Duration::from_secs(1));
            }
            let name = json!({"last_name": format!("P{n}")});
            self.fake.user_creates(ACCOUNT, Edit { fields: object(name), ..Edit::default() })
        };
        let ids = (0..many).map(one).collect();
        self.clock.advance(Duration::from_secs(10));
        ids
    }
    fn rename(&self, id: &str, to: &str) {
        let edit = Edit { fields: object(json!({"first_name": to})), ..Edit::default() };
        self.fake.user_edits(ACCOUNT, id, edit);
    }
    fn calls(&self, method: &str) -> usize {
        self.fake.calls().iter().filter(|(called, _)| called == method).count()
    }
}

fn object(value: Json) -> Map<String, Json> {
    value.as_object().cloned().expect("an object")
}

/// Reads until the feed is caught up, or asks for a listing.
async fn drain(connector: &TeamleaderContacts, from: Option<&Cursor>) -> (Vec<RemoteId>, Next) {
    let mut at = from.cloned();
    let mut seen = Vec::new();
    for _ in 0..1_000 {
        let page = connector.changes(at.as_ref()).await.expect("a page");
        seen.extend(page.changes.into_iter().map(|change| match change {
            Change::Seen { id, .. } => id,
            // What a company's change means for its contacts is told whole: their own version is the one known before.
            Change::Upsert(fetched) => fetched.id,
            Change::Tombstone { .. } | Change::Unreadable { .. } => panic!("nothing is gone or unreadable"),
        }));
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            end @ (Next::CaughtUp(_) | Next::Relist) => return (seen, end),
        }
    }
    panic!("the feed has no end")
}

async fn caught_up(connector: &TeamleaderContacts, from: Option<&Cursor>) -> (Vec<RemoteId>, Cursor) {
    match drain(connector, from).await {
        (seen, Next::CaughtUp(cursor)) => (seen, cursor),
        (_, next) => panic!("{next:?}"),
    }
}

#[tokio::test]
async fn ten_thousand_contacts_are_listed_in_two_hundred_calls_and_no_reading() {
    let world = World::new();
    let ids = world.contacts(10_000);
    let (seen, _) = caught_up(&world.open(None), None).await;
    let seen: BTreeSet<&str> = seen.iter().map(RemoteId::as_str).collect();
    assert_eq!(seen.len(), ids.len());
    let calls = world.calls("contacts.list");
    assert!(calls <= 200, "{calls} calls");
    assert_eq!(world.calls("contacts.info"), 0);
}

#[tokio::test]
async fn a_quiet_delta_costs_three_calls() {
    let world = World::new();
    world.contacts(130);
    let connector = world.open(None);
    let (_, cursor) = caught_up(&connector, None).await;
    world.fake.forget_calls();
    assert!(caught_up(&connector, Some(&cursor)).await.0.is_empty());
    assert_eq!(world.fake.calls().len(), 3);
}

#[tokio::test]
async fn changed_contacts_cost_one_reading_each_and_their_companies_one_call_a_batch() {
    let world = World::new();
    let ids = world.contacts(130);
    let company = world.fake.user_creates_company(ACCOUNT, &object(json!({"name": "Bakkerij"})));
    world.clock.advance(Duration::from_secs(10));
    let connector = world.open(None);
    let (_, cursor) = caught_up(&connector, None).await;
    for id in &ids[40..60] {
        let link = json!([{"position": "Baker", "company": {"type": "company", "id": company}}]);
        let edit = Edit { companies: Some(link), ..Edit::default() };
        world.fake.user_edits(ACCOUNT, id, edit);
    }
    let (seen, _) = caught_up(&connector, Some(&cursor)).await;
    assert_eq!(seen.len(), 20);
    world.fake.forget_calls();
    let read = connector.get(&seen).await.expect("read");
    assert!(read.iter().all(|one| one.as_ref().is_some_and(|c| c.fields.text(&field::COMPANY) == "Bakkerij")));
    assert_eq!(world.calls("contacts.info"), 20);
    assert_eq!(world.calls("companies.list"), 1);
}

#[tokio::test]
async fn a_deletion_while_listing_hides_nobody() {
    let world = World::new();
    let ids = world.contacts(300);
    let connector = world.open(None);
    let mut seen = BTreeSet::new();
    let mut at = None;
    for page_number in 0_usize.. {
        let page = connector.changes(at.as_ref()).await.expect("a page");
        for change in page.changes {
            if let Change::Seen { id, .. } = change {
                seen.insert(id.as_str().to_owned());
            }
        }
        // Every page is followed by deletions of what it showed: later rows move forward.
        for gone in ids.iter().skip(page_number * 40).take(3) {
            world.fake.user_deletes(ACCOUNT, gone);
        }
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            Next::CaughtUp(_) | Next::Relist => break,
        }
    }
    let left = world.fake.state(ACCOUNT);
    let left = left["contacts"].as_array().expect("a list");
    assert!(left.len() < 300);
    for contact in left {
        assert!(seen.contains(contact["id"].as_str().expect("an id")), "a contact that moved forward is listed");
    }
}

#[tokio::test]
async fn a_silent_loss_asks_for_a_listing_also_beside_new_contacts() {
    let world = World::new();
    let ids = world.contacts(130);
    let connector = world.open(None);
    let (_, cursor) = caught_up(&connector, None).await;
    // One more: counted on.
    world.contacts(1);
    let (seen, cursor) = caught_up(&connector, Some(&cursor)).await;
    assert_eq!(seen.len(), 1);
    // One gone and one new: the count alone is as before.
    world.fake.user_deletes(ACCOUNT, &ids[3]);
    world.contacts(1);
    assert_eq!(drain(&connector, Some(&cursor)).await.1, Next::Relist);
}

#[tokio::test]
async fn a_deactivated_contact_is_outside_and_not_gone() {
    let world = World::new();
    let ids = world.contacts(5);
    let connector = world.open(None);
    let (_, cursor) = caught_up(&connector, None).await;
    let edit = Edit { status: Some("deactivated".to_owned()), ..Edit::default() };
    world.fake.user_edits(ACCOUNT, &ids[2], edit);
    assert_eq!(drain(&connector, Some(&cursor)).await.1, Next::Relist);
    let (seen, _) = caught_up(&connector, None).await;
    let id = RemoteId::new(ids[2].clone());
    assert!(!seen.contains(&id));
    let read = connector.get(&[id]).await.expect("read").remove(0).expect("it exists");
    assert_eq!(read.scope, Scope::Outside);
}

#[tokio::test]
async fn a_companys_change_is_told_of_its_contacts() {
    let world = World::new();
    let ids = world.contacts(5);
    let company = world.fake.user_creates_company(ACCOUNT, &object(json!({"name": "Old"})));
    let link = json!([{"position": "Baker", "company": {"type": "company", "id": company}}]);
    world.fake.user_edits(ACCOUNT, &ids[1], Edit { companies: Some(link), ..Edit::default() });
    world.clock.advance(Duration::from_secs(10));
    let connector = world.open(None);
    let (_, cursor) = caught_up(&connector, None).await;
    world.clock.advance(Duration::from_secs(3));
    let renamed = json!({"name": "New", "telephones": [{"type": "phone", "number": "09 298 06 15"}]});
    world.fake.user_edits_company(ACCOUNT, &company, &object(renamed));
    let (seen, _) = caught_up(&connector, Some(&cursor)).await;
    assert_eq!(seen, [RemoteId::new(ids[1].clone())]);
    let read = connector.get(&seen).await.expect("read").remove(0).expect("it exists");
    assert_eq!(read.fields.text(&field::COMPANY), "New");
    let phone = &read.fields.items(&field::PHONES)[0];
    assert_eq!((phone.label.as_str(), phone.as_value()), (COMPANY_PHONE, "+3292980615"));
}

#[tokio::test]
async fn two_edits_in_one_second_are_both_told() {
    let world = World::new();
    let ids = world.contacts(5);
    let connector = world.open(None);
    let (_, cursor) = caught_up(&connector, None).await;
    world.rename(&ids[1], "first");
    let (_, cursor) = caught_up(&connector, Some(&cursor)).await;
    world.rename(&ids[1], "second");
    let (seen, _) = caught_up(&connector, Some(&cursor)).await;
    assert_eq!(seen, [RemoteId::new(ids[1].clone())]);
}

#[tokio::test]
async fn the_quota_is_kept_by_waiting_for_it() {
    let world = World::new();
    world.contacts(10);
    let connector = world.open(None);
    let before = world.clock.now();
    for _ in 0..150 {
        connector.changes(None).await.expect("never throttled");
    }
    assert!(world.clock.now().duration_since(before) >= jiff::SignedDuration::from_secs(60));
    // Somebody else's calls count too: a refusal says how long, and then it goes on.
    let other = world.open(None);
    let mut refused = 0;
    for call in 0..600 {
        let either = if call % 2 == 0 { &other } else { &connector };
        let Err(refusal) = either.changes(None).await else { continue };
        let ErrorKind::Throttled { retry_after: Some(wait) } = refusal.kind else { panic!("{refusal}") };
        assert!(wait <= Duration::from_secs(60), "{wait:?}");
        world.clock.advance(wait);
        refused += 1;
    }
    assert!(refused < 10, "{refused} refusals");
}

#[tokio::test]
async fn a_missing_right_is_forbidden_and_named() {
    let world = World::new();
    let ids = world.contacts(1);
    let connector = world.open(None);
    world.fake.allow(ACCOUNT, Right::NoExport);
    let refused = connector.changes(None).await.expect_err("no lists");
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert!(refused.detail.contains("export"), "{}", refused.detail);
    world.fake.allow(ACCOUNT, Right::NoContacts);
    let refused = connector.get(&[RemoteId::new(ids[0].clone())]).await.expect_err("no contacts");
    assert!(refused.detail.contains("contacts"), "{}", refused.detail);
}

#[tokio::test]
async fn a_company_is_found_by_its_exact_name_and_made_once() {
    let world = World::new();
    world.fake.user_creates_company(ACCOUNT, &object(json!({"name": "Bakkerij Jan & Co"})));
    let connector = world.open(None);
    let draft = |n: u32| {
        let contact = Contact { last_name: format!("P{n}"), company: "Bakkerij Jan".into(), ..Contact::default() };
        Draft { marker: Marker::new(format!("m{n}")), fields: contact.to_fields(Region::none()) }
    };
    for outcome in connector.create(&[draft(1), draft(2)]).await.expect("created") {
        let shown = outcome.expect("created").shown.expect("shown");
        assert_eq!(shown.text(&field::COMPANY), "Bakkerij Jan");
    }
    assert_eq!(world.calls("companies.add"), 1);
}

#[tokio::test]
async fn what_a_lost_create_left_is_found_though_it_has_no_company_yet() {
    let world = World::new();
    world.contacts(3);
    let connector = world.open(None);
    let contact = Contact {
        last_name: "Peeters".into(),
        emails: vec![Labelled { label: "work".into(), value: "p@example.com".into() }],
        company: "Bakkerij".into(),
        ..Contact::default()
    };
    let draft = Draft { marker: Marker::new("m"), fields: contact.to_fields(Region::none()) };
    world.fake.inject_on(Fault::LoseAnswer, &["contacts.add"]);
    let lost = connector.create(std::slice::from_ref(&draft)).await.expect("answered").remove(0);
    assert_eq!(lost.expect_err("lost").kind, ErrorKind::Retryable);
    let found = connector.find_made(std::slice::from_ref(&draft)).await.expect("searched");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.fields.text(&field::COMPANY), "");
    // A namesake from long ago is not what was made.
    world.clock.advance(Duration::from_secs(86_400));
    assert!(connector.find_made(&[draft]).await.expect("searched").is_empty());
}
