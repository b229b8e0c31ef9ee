//! The connector keeps every promise of the suite, and its budget.
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tandem_core::contact::{Address, Carry, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Field, Fields, RemoteId};
use tandem_ports::connector::{Change, Connector, Cursor, Next};
use tandem_sell::fake::{FakeSell, Fault as Wire};
use tandem_sell::{Options, SellConfig, SellContacts};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";

struct Sell {
    fake: Arc<FakeSell>,
    connector: SellContacts,
}

fn sell(tag: Option<&str>, page: usize) -> Sell {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeSell::new(Arc::clone(&clock) as Arc<_>).shared();
    let options = Options {
        container: tag.map(|tag| ContainerId::new(format!("tag:{tag}"))),
        carry: Carry::Name,
        region: Region::of("BE"),
        device: "6dadcec8-6e61-4691-b318-1aab27b8fecf".to_owned(),
    };
    let transport = fake.authorised(ACCOUNT);
    let connector = SellContacts::new(transport, clock, SellConfig::default(), options).with_page_size(page);
    fake.order(
        "POST",
        "custom-fields",
        &json!({"account": ACCOUNT, "field": {"id": 1, "name": "VIP", "type": "string"}}),
    );
    Sell { fake, connector }
}

impl Sell {
    fn order(&self, method: &str, id: &RemoteId, data: Json) -> Json {
        let id: u64 = id.as_str().parse().expect("a number");
        self.fake.order(method, "contacts", &json!({"account": ACCOUNT, "id": id, "data": data}))
    }
    fn make(&self, data: Json) -> u64 {
        let made = self.fake.order("POST", "contacts", &json!({"account": ACCOUNT, "data": data}));
        made["data"]["id"].as_u64().expect("an id")
    }
    fn all(&self) -> Vec<Json> {
        let state = self.fake.order("GET", &format!("state?account={ACCOUNT}"), &json!({}));
        state["contacts"].as_object().expect("a map").values().cloned().collect()
    }
    /// The user's typing, made without the connector's own mapping.
    fn typed(&self, fields: &Fields) -> Json {
        let text = |name: &Field| fields.text(name).to_owned();
        let company = text(&field::COMPANY);
        let known = self.all().into_iter().find(|c| c["is_organization"] == true && c["name"] == company);
        let company = known.map_or_else(
            || self.make(json!({"name": company, "is_organization": true})),
            |known| known["id"].as_u64().expect("an id"),
        );
        let address = &fields.items(&field::ADDRESSES)[0];
        json!({"first_name": text(&field::FIRST_NAME), "last_name": text(&field::LAST_NAME), "contact_id": company,
            "email": fields.items(&field::EMAILS)[0].as_value(), "mobile": fields.items(&field::PHONES)[0].as_value(),
            "title": text(&field::POSITION), "description": text(&field::REMARKS),
            "address": {"line1": address.part("street"), "city": address.part("city")},
            "custom_fields": {"VIP": fields.text(&Field::named("custom.VIP"))}})
    }
}

impl Harness for Sell {
    async fn start() -> Self {
        sell(Some("Tandem"), 3)
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        let contact = Contact {
            first_name: format!("Jan {n}"),
            last_name: format!("Peeters {n}"),
            emails: vec![Labelled { label: "work".into(), value: format!("jan{n}@example.com") }],
            phones: vec![Labelled { label: "mobile".into(), value: format!("+32470{n:06}") }],
            addresses: vec![Address {
                label: "work".into(),
                street: format!("Kerkstraat {n}"),
                city: "Gent".into(),
                ..Address::default()
            }],
            company: format!("Bakkerij {}", n % 4),
            position: "Baker".into(),
            remarks: format!("line 1\nline {n}"),
            custom: [("VIP".to_owned(), format!("yes {n}"))].into(),
            ..Contact::default()
        };
        contact.to_fields(Region::of("BE"))
    }
    fn text_field(&self) -> Field {
        field::POSITION
    }
    fn more_than_two_pages(&self) -> u32 {
        8
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        let mut data = self.typed(fields);
        data["tags"] = json!(["Tandem"]);
        RemoteId::new(self.make(data).to_string())
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.order("PATCH", id, self.typed(fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.order("DELETE", id, json!({}));
    }
    fn user_moves_out(&self, id: &RemoteId) -> bool {
        self.order("PATCH", id, json!({"tags": ["other"]}));
        true
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        self.order("PATCH", id, json!({"skype": "jan", "tags": ["Tandem", "vip"], "customer_status": "current"}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let all = self.all();
        let contact = all.iter().find(|c| c["id"].as_u64() == id.as_str().parse().ok()).expect("it exists");
        json!([contact["skype"], contact["tags"], contact["customer_status"]])
    }
    fn records(&self) -> usize {
        self.all().iter().filter(|contact| contact["is_organization"] != true).count()
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        match fault {
            Fault::ServerError => self.fake.inject(&[Wire::ServerError]),
            Fault::Throttle(seconds) => self.fake.inject(&[Wire::Throttle { retry_after: Some(seconds) }]),
            Fault::Forbidden => self.fake.inject(&[Wire::Forbidden]),
            Fault::LoseAnswer => self.fake.inject(&[Wire::LoseAnswer]),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => drop(self.fake.order("POST", "revoke", &json!({"account": ACCOUNT}))),
            Fault::ExpireCursors => drop(self.fake.order("POST", "expire-sessions", &json!({"account": ACCOUNT}))),
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {}
}

async fn drain(sell: &Sell, from: Option<Cursor>) -> (Vec<Change>, Cursor) {
    let (mut at, mut changes) = (from, Vec::new());
    loop {
        let page = sell.connector.changes(at.as_ref()).await.expect("a page");
        changes.extend(page.changes);
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            Next::CaughtUp(cursor) => return (changes, cursor),
            Next::Relist => panic!("this feed tells everything"),
        }
    }
}

fn asked(sell: &Sell) -> Vec<String> {
    let calls = sell.fake.calls().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    sell.fake.order("DELETE", "calls", &json!({}));
    calls
}

#[tokio::test]
async fn ten_thousand_contacts_take_a_hundred_lists_and_quiet_takes_one_call() {
    let sell = sell(None, 100);
    let company = sell.make(json!({"name": "Bakkerij", "is_organization": true}));
    let ids: Vec<u64> =
        (1..10_000).map(|n| sell.make(json!({"last_name": format!("P {n}"), "contact_id": company}))).collect();
    let (changes, cursor) = drain(&sell, None).await;
    assert_eq!(changes.len(), ids.len());
    assert_eq!(asked(&sell).iter().filter(|call| *call == "GET /v2/contacts").count(), 100);
    let (changes, cursor) = drain(&sell, Some(cursor)).await;
    assert!(changes.is_empty());
    assert_eq!(asked(&sell), ["POST /v2/sync/start"]);
    for id in &ids[..50] {
        sell.order("PATCH", &RemoteId::new(id.to_string()), json!({"title": "Baker"}));
    }
    asked(&sell);
    let (changes, _) = drain(&sell, Some(cursor)).await;
    assert_eq!(changes.len(), 50);
    assert_eq!(asked(&sell).len(), 4, "start, queue, the records, their organisation");
}

#[tokio::test]
async fn a_renamed_organisation_changes_its_persons() {
    let sell = sell(None, 100);
    let company = sell.make(json!({"name": "Old", "is_organization": true}));
    sell.make(json!({"last_name": "Peeters", "contact_id": company}));
    let (_, cursor) = drain(&sell, None).await;
    sell.order("PATCH", &RemoteId::new(company.to_string()), json!({"name": "New"}));
    let (changes, _) = drain(&sell, Some(cursor)).await;
    let [Change::Upsert(person)] = changes.as_slice() else { panic!("one person: {changes:?}") };
    assert_eq!(person.fields.text(&field::COMPANY), "New");
}

#[tokio::test]
async fn a_page_is_acknowledged_when_its_cursor_is_used_and_not_before() {
    let sell = sell(None, 100);
    let (_, cursor) = drain(&sell, None).await;
    sell.make(json!({"last_name": "Peeters"}));
    asked(&sell);
    let (_, after) = drain(&sell, Some(cursor)).await;
    assert!(!asked(&sell).iter().any(|call| call.ends_with("/ack")));
    assert!(drain(&sell, Some(after)).await.0.is_empty());
    assert_eq!(asked(&sell), ["POST /v2/sync/ack", "POST /v2/sync/start"]);
}

tandem_testkit::connector_conformance!(Sell);
