//! What the feed costs, what it notices, and whose contacts it shows.
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::contact::{Carry, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Fields, Marker, RemoteId, Scope, Value};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_testkit::clock::ManualClock;
use tandem_zoho::fake::{FakeZoho, Fault, LockRefusal};
use tandem_zoho::{Options, ZohoContacts};

const ACCOUNT: &str = "jan@example.com";
const HOUR: u64 = 3600;

struct World {
    clock: Arc<ManualClock>,
    fake: Arc<FakeZoho>,
}

impl World {
    fn new() -> World {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeZoho::new(Arc::clone(&clock) as Arc<_>).shared();
        World { clock, fake }
    }
    fn open(&self, account: &str, view: Option<&str>) -> ZohoContacts {
        let container = view.map(ContainerId::new);
        let options = Options { container, carry: Carry::Name, region: Region::of("BE") };
        let clock = Arc::clone(&self.clock) as Arc<_>;
        ZohoContacts::new(self.fake.authorised(account), clock, "https://www.zohoapis.eu".to_owned(), options)
    }
    fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
    fn person(&self, n: u32) -> String {
        let record = json!({"Last_Name": format!("Peeters {n}"), "Email": format!("p{n}@example.com")});
        self.fake.user_creates(ACCOUNT, "Contacts", record)
    }
    /// How often each method and path was called since `from`.
    fn calls(&self, from: usize) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for (method, path, _) in self.fake.calls().into_iter().skip(from) {
            *counted.entry(format!("{method} {}", path.trim_start_matches("/crm/v8/"))).or_default() += 1;
        }
        counted
    }
    fn mark(&self) -> usize {
        self.fake.calls().len()
    }
}

fn counted(all: &[(&str, usize)]) -> BTreeMap<String, usize> {
    all.iter().map(|(call, n)| ((*call).to_owned(), *n)).collect()
}

/// Reads until caught up or told to list again.
async fn read(zoho: &ZohoContacts, from: Option<&Cursor>) -> (Vec<Change>, Next) {
    let (mut seen, mut at) = (Vec::new(), from.cloned());
    loop {
        let page = zoho.changes(at.as_ref()).await.expect("the feed is read");
        seen.extend(page.changes);
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            next @ (Next::CaughtUp(_) | Next::Relist) => return (seen, next),
        }
    }
}

async fn listed(zoho: &ZohoContacts) -> (Vec<Change>, Cursor) {
    match read(zoho, None).await {
        (seen, Next::CaughtUp(cursor)) => (seen, cursor),
        (_, next) => panic!("a listing ends caught up, not with {next:?}"),
    }
}

fn draft(n: u32) -> Draft {
    let contact = Contact {
        last_name: format!("Peeters {n}"),
        emails: vec![Labelled { label: "work".into(), value: format!("p{n}@example.com") }],
        ..Contact::default()
    };
    Draft { marker: Marker::new(format!("m{n}")), fields: contact.to_fields(Region::none()) }
}

#[tokio::test]
async fn ten_thousand_contacts_are_listed_in_fifty_calls_and_a_quiet_run_takes_two() {
    let world = World::new();
    let zoho = world.open(ACCOUNT, None);
    for n in 0..10_000 {
        world.person(n);
    }
    world.wait(HOUR);
    zoho.schema().await.expect("the schema is read");
    let mark = world.mark();
    let (seen, cursor) = listed(&zoho).await;
    assert_eq!(seen.len(), 10_000);
    assert_eq!(world.calls(mark), counted(&[("GET Contacts", 50)]));
    assert!(cursor.0.len() < 4_000, "a cursor of {} bytes", cursor.0.len());

    // A new session knows from the cursor what to ask for.
    world.wait(HOUR);
    let zoho = world.open(ACCOUNT, None);
    let mark = world.mark();
    assert!(matches!(read(&zoho, Some(&cursor)).await, (seen, Next::CaughtUp(_)) if seen.is_empty()));
    assert_eq!(world.calls(mark), counted(&[("GET Contacts", 1), ("GET Contacts/deleted", 1)]));
}

#[tokio::test]
async fn fifty_changes_cost_one_delta_and_one_look_at_the_deleted() {
    let world = World::new();
    let zoho = world.open(ACCOUNT, None);
    let ids: Vec<String> = (0..60).map(|n| world.person(n)).collect();
    world.wait(HOUR);
    let (_, cursor) = listed(&zoho).await;
    world.wait(HOUR);
    ids.iter().take(50).for_each(|id| world.fake.user_edits(ACCOUNT, id, json!({"Title": "Baker"})));
    world.wait(60);
    let mark = world.mark();
    let (seen, next) = read(&zoho, Some(&cursor)).await;
    assert_eq!(seen.len(), 50);
    assert!(matches!(next, Next::CaughtUp(_)));
    assert_eq!(world.calls(mark), counted(&[("GET Contacts", 1), ("GET Contacts/deleted", 1)]));
}

#[tokio::test]
async fn ten_thousand_contacts_are_made_in_a_hundred_calls() {
    let world = World::new();
    let zoho = world.open(ACCOUNT, None);
    zoho.schema().await.expect("the schema is read");
    let mark = world.mark();
    for hundred in 0..100 {
        let drafts: Vec<Draft> = (0..100).map(|n| draft(hundred * 100 + n)).collect();
        for outcome in zoho.create(&drafts).await.expect("the batch is answered") {
            outcome.expect("made");
        }
    }
    assert_eq!(world.calls(mark), counted(&[("POST Contacts", 100)]));
}

#[tokio::test]
async fn a_batch_of_new_companies_costs_two_calls_and_each_is_made_once() {
    let world = World::new();
    let zoho = world.open(ACCOUNT, None);
    world.fake.user_creates(ACCOUNT, "Accounts", json!({"Account_Name": "O'Neill \\ Sons", "Phone": "02 555 12 12"}));
    zoho.schema().await.expect("the schema is read");
    let mark = world.mark();
    let with = |n: u32, company: &str| {
        let mut draft = draft(n);
        draft.fields.set(field::COMPANY, Value::Text(company.to_owned()));
        draft
    };
    let drafts = [with(1, "O'Neill \\ Sons"), with(2, "New & Co"), with(3, "New & Co"), draft(4)];
    for outcome in zoho.create(&drafts).await.expect("the batch is answered") {
        outcome.expect("made");
    }
    assert_eq!(world.calls(mark), counted(&[("POST coql", 1), ("POST Accounts", 1), ("POST Contacts", 1)]));
    assert_eq!(world.fake.state("Accounts")["records"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn pages_beyond_two_thousand_go_by_token_and_an_expired_token_starts_anew() {
    let world = World::new();
    let zoho = world.open(ACCOUNT, None);
    for n in 0..2_500 {
        world.person(n);
    }
    let mut at: Option<Cursor> = None;
    for _ in 0..11 {
        match zoho.changes(at.as_ref()).await.expect("a page").next {
            Next::More(cursor) => at = Some(cursor),
            next @ (Next::CaughtUp(_) | Next::Relist) => panic!("more follows, not {next:?}"),
        }
    }
    world.fake.expire_tokens();
    assert_eq!(zoho.changes(at.as_ref()).await.expect_err("expired").kind, ErrorKind::CursorExpired);
    assert_eq!(listed(&zoho).await.0.len(), 2_500);
}

#[tokio::test]
async fn a_restored_contact_comes_back_as_a_change() {
    let world = World::new();
    let zoho = world.open(ACCOUNT, None);
    let id = world.person(1);
    world.wait(HOUR);
    let (_, cursor) = listed(&zoho).await;
    world.wait(HOUR);
    assert!(world.fake.user_deletes(ACCOUNT, &id));
    world.wait(60);
    let (seen, next) = read(&zoho, Some(&cursor)).await;
    assert!(matches!(seen.as_slice(), [Change::Tombstone { .. }]), "{seen:?}");
    let Next::CaughtUp(cursor) = next else { panic!("caught up") };
    world.wait(5);
    assert!(world.fake.user_restores(&id));
    world.wait(5);
    let (seen, _) = read(&zoho, Some(&cursor)).await;
    assert!(matches!(seen.as_slice(), [Change::Upsert(_)]), "{seen:?}");
}

#[tokio::test]
async fn a_field_that_is_new_since_the_cursor_is_read_with_the_first_change() {
    let world = World::new();
    let id = world.person(1);
    world.wait(HOUR);
    let (_, cursor) = listed(&world.open(ACCOUNT, None)).await;
    world.wait(HOUR);
    world.fake.field(json!({"api_name": "Nickname", "data_type": "text", "length": 20, "custom": true}));
    world.fake.user_edits(ACCOUNT, &id, json!({"Nickname": "Jantje"}));
    world.wait(60);
    let (seen, _) = read(&world.open(ACCOUNT, None), Some(&cursor)).await;
    let [Change::Upsert(fetched)] = seen.as_slice() else { panic!("one change, not {seen:?}") };
    assert_eq!(fetched.fields.text(&tandem_core::record::Field::named("custom.Nickname")), "Jantje");
}

#[tokio::test]
async fn a_deletion_while_pages_turn_leads_to_another_listing() {
    let world = World::new();
    let zoho = world.open(ACCOUNT, None).with_page_size(3);
    let ids: Vec<String> = (0..9).map(|n| world.person(n)).collect();
    world.wait(HOUR);
    let Next::More(second) = zoho.changes(None).await.expect("a page").next else { panic!("more follows") };
    // The records behind it move up by one: the fourth is on no page that is still to be read.
    assert!(world.fake.user_deletes(ACCOUNT, &ids[0]));
    world.wait(1);
    let (seen, next) = read(&zoho, Some(&second)).await;
    assert!(!seen.iter().any(|change| matches!(change, Change::Upsert(f) if f.id.as_str() == ids[3])));
    let Next::CaughtUp(cursor) = next else { panic!("caught up") };
    world.wait(HOUR);
    assert_eq!(read(&zoho, Some(&cursor)).await.1, Next::Relist);
    let (seen, cursor) = listed(&zoho).await;
    assert_eq!(seen.len(), 8);
    world.wait(HOUR);
    assert!(matches!(read(&zoho, Some(&cursor)).await.1, Next::CaughtUp(_)));
}

fn bakers() -> Json {
    json!({"comparator": "equal", "field": {"api_name": "Title"}, "value": "Baker"})
}

#[tokio::test]
async fn who_enters_or_leaves_a_list_view_is_noticed() {
    let world = World::new();
    let view = world.fake.view("Bakers", bakers());
    let zoho = world.open(ACCOUNT, Some(&view));
    let (stays, leaves, enters) = (world.person(1), world.person(2), world.person(3));
    for id in [&stays, &leaves] {
        world.fake.user_edits(ACCOUNT, id, json!({"Title": "Baker"}));
    }
    world.wait(HOUR);
    let (seen, cursor) = listed(&zoho).await;
    assert_eq!(seen.len(), 2);
    let Next::CaughtUp(cursor) = read(&zoho, Some(&cursor)).await.1 else { panic!("quiet") };
    world.wait(HOUR);
    let mark = world.mark();
    let Next::CaughtUp(cursor) = read(&zoho, Some(&cursor)).await.1 else { panic!("quiet") };
    assert_eq!(world.calls(mark).values().sum::<usize>(), 2, "a quiet run does not list the view");
    world.fake.user_edits(ACCOUNT, &leaves, json!({"Title": "Butcher"}));
    world.fake.user_edits(ACCOUNT, &enters, json!({"Title": "Baker"}));
    world.wait(60);
    let (seen, next) = read(&zoho, Some(&cursor)).await;
    assert_eq!(next, Next::Relist);
    let scope_of = |id: &str| {
        seen.iter().find_map(|change| match change {
            Change::Upsert(fetched) if fetched.id.as_str() == id => Some(fetched.scope),
            Change::Upsert(_) | Change::Seen { .. } | Change::Tombstone { .. } | Change::Unreadable { .. } => None,
        })
    };
    assert_eq!((scope_of(&leaves), scope_of(&enters)), (Some(Scope::Outside), Some(Scope::Inside)));
    let (seen, cursor) = listed(&zoho).await;
    assert_eq!(seen.len(), 2);
    let got = zoho.get(&[RemoteId::new(&stays), RemoteId::new(&leaves)]).await.expect("read");
    let scopes: Vec<Option<Scope>> = got.iter().map(|one| one.as_ref().map(|fetched| fetched.scope)).collect();
    assert_eq!(scopes, [Some(Scope::Inside), Some(Scope::Outside)]);
    // Once listed, the same changes ask for no second listing; a day later the view is listed anyway.
    world.wait(60);
    let Next::CaughtUp(cursor) = read(&zoho, Some(&cursor)).await.1 else { panic!("caught up") };
    world.wait(25 * HOUR);
    assert_eq!(read(&zoho, Some(&cursor)).await.1, Next::Relist);
}

#[tokio::test]
async fn a_view_that_is_gone_is_forbidden_with_a_clear_word() {
    let world = World::new();
    let view = world.fake.view("Bakers", bakers());
    let zoho = world.open(ACCOUNT, Some(&view));
    let id = ContainerId::new(&view);
    assert_eq!(zoho.ensure_container(Some(&id), &[]).await.expect("there"), Some(id.clone()));
    assert_eq!(zoho.choices().await.expect("listed")[0].1[0].name, "Bakers");
    world.fake.delete_view(&view);
    for refusal in
        [zoho.changes(None).await.expect_err("gone"), zoho.ensure_container(Some(&id), &[]).await.expect_err("gone")]
    {
        assert_eq!(refusal.kind, ErrorKind::Forbidden);
        assert!(refusal.detail.contains("list view"), "{}", refusal.detail);
    }
}

#[tokio::test]
async fn a_user_sees_only_what_roles_allow() {
    let world = World::new();
    world.fake.user(ACCOUNT, "Manager", None);
    world.fake.user("boss@example.com", "CEO", None);
    world.fake.user("peer@example.com", "Manager", None);
    let id = world.person(1);
    for (who, sees) in [(ACCOUNT, 1), ("boss@example.com", 1), ("peer@example.com", 0)] {
        let zoho = world.open(who, None);
        assert_eq!(listed(&zoho).await.0.len(), sees, "{who}");
        let got = zoho.get(&[RemoteId::new(&id)]).await.expect("read");
        assert_eq!(got[0].is_some(), sees == 1, "{who}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_before_anything_is_tried() {
    let world = World::new();
    let can_look = world.fake.profile("Readers", &["Crm_Implied_Edit_Contacts", "Crm_Implied_Delete_Contacts"]);
    world.fake.user(ACCOUNT, "CEO", Some(&can_look));
    let zoho = world.open(ACCOUNT, None);
    let id = world.fake.user_creates(ACCOUNT, "Contacts", json!({"Last_Name": "Peeters"}));
    listed(&zoho).await;
    let read = zoho.get(&[RemoteId::new(&id)]).await.expect("read").remove(0).expect("there");
    let mark = world.mark();
    let patch = Patch {
        id: read.id.clone(),
        expect: read.version.clone(),
        changed: vec![field::POSITION],
        fields: Fields::from_iter([(field::POSITION, Value::Text("Baker".into()))]),
        scope: None,
        marker: None,
        raw: read.raw.clone(),
    };
    let refusal = zoho.update(&[patch]).await.expect_err("not permitted");
    assert_eq!((refusal.kind, refusal.detail.contains("\"Edit\"")), (ErrorKind::Forbidden, true));
    let deletion = Deletion { id: read.id, expect: read.version };
    assert_eq!(zoho.delete(&[deletion]).await.expect_err("not permitted").kind, ErrorKind::Forbidden);
    assert!(world.calls(mark).is_empty());

    let unreadable = world.fake.profile("Plain", &["Crm_Implied_Manage_Users", "Crm_Implied_View_Contacts"]);
    world.fake.user("eva@example.com", "CEO", Some(&unreadable));
    let refusal = world.open("eva@example.com", None).changes(None).await.expect_err("not permitted");
    assert!(refusal.detail.contains("Crm_Implied_View_Contacts"), "Zoho's own word: {}", refusal.detail);

    let no_google = world.fake.profile("No Google", &["Crm_Implied_Sync_Google_Contacts"]);
    world.fake.user("ben@example.com", "CEO", Some(&no_google));
    let refusal = world.open("ben@example.com", None).changes(None).await.expect_err("not permitted");
    assert!(refusal.detail.contains("Sync with Google Contacts"), "{}", refusal.detail);
}

#[tokio::test]
async fn a_refused_record_leaves_the_others_of_its_batch_alone() {
    let world = World::new();
    world.fake.set(|settings| settings.unique_email = true);
    let zoho = world.open(ACCOUNT, None);
    world.person(1);
    let mut nameless = draft(2);
    nameless.fields.put(field::LAST_NAME, None);
    let mut greeted = draft(3);
    greeted.fields.set(field::SALUTATION, Value::Text("Herr".into()));
    let outcomes = zoho.create(&[draft(1), nameless, greeted, draft(4)]).await.expect("answered one by one");
    let kinds: Vec<Option<ErrorKind>> = outcomes.iter().map(|one| one.as_ref().err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::Conflict), Some(ErrorKind::Permanent), Some(ErrorKind::Permanent), None]);
    let told: Vec<String> = outcomes.iter().filter_map(|one| one.as_ref().err().map(|e| e.detail.clone())).collect();
    assert!(
        told[0].contains("(Email)") && told[1].contains("(Last_Name)") && told[2].contains("(Salutation)"),
        "{told:?}"
    );
}

#[tokio::test]
async fn an_edit_between_the_look_and_the_write_is_never_lost() {
    for refusal in [LockRefusal::Call, LockRefusal::Record] {
        let world = World::new();
        world.fake.set(|settings| settings.lock_refusal = refusal);
        let zoho = world.open(ACCOUNT, None);
        let id = world.person(1);
        let read = zoho.get(&[RemoteId::new(&id)]).await.expect("read").remove(0).expect("there");
        world.wait(1);
        world.fake.user_edits(ACCOUNT, &id, json!({"Title": "Theirs"}));
        let patch = Patch {
            id: read.id.clone(),
            expect: read.version.clone(),
            changed: vec![field::POSITION],
            fields: Fields::from_iter([(field::POSITION, Value::Text("Ours".into()))]),
            scope: None,
            marker: None,
            raw: read.raw.clone(),
        };
        let mark = world.mark();
        let outcome = zoho.update(&[patch]).await.expect("answered").remove(0);
        assert_eq!(outcome.expect_err("stale").kind, ErrorKind::Conflict);
        assert_eq!(world.fake.state("Contacts")["records"][0]["Title"], "Theirs");
        assert_eq!(world.calls(mark).get("PUT Contacts"), Some(&1), "a single record needs no look before");
    }
}

#[tokio::test]
async fn used_up_credits_and_a_missing_scope_are_told_apart() {
    let world = World::new();
    let zoho = world.open(ACCOUNT, None);
    zoho.schema().await.expect("the schema is read");
    world.fake.inject(&[Fault::ScopeMismatch]);
    let refusal = zoho.changes(None).await.expect_err("refused");
    assert_eq!(refusal.kind, ErrorKind::Forbidden);
    assert!(refusal.detail.contains("ZohoCRM.modules.contacts.READ"), "{}", refusal.detail);
    world.fake.inject(&[Fault::Throttle { retry_after: None }]);
    let wait = |seconds| ErrorKind::Throttled { retry_after: Some(Duration::from_secs(seconds)) };
    assert_eq!(zoho.changes(None).await.expect_err("refused").kind, wait(60));
    world.fake.set(|settings| settings.credits = 0);
    assert_eq!(zoho.changes(None).await.expect_err("refused").kind, wait(HOUR));
}
