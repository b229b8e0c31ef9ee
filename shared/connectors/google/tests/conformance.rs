//! The connector keeps every promise of the suite, against the fake in both ways that it may refuse a batch.
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_core::contact::{Address, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Field, Fields, RemoteId};
use tandem_google::fake::{BatchRefusal, Edit, FakePeople, Fault as Wire};
use tandem_google::{GoogleConfig, GoogleContacts};
use tandem_ports::connector::Connector;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";
const LAG: Duration = Duration::from_secs(180);

struct People {
    clock: Arc<ManualClock>,
    fake: Arc<FakePeople>,
    group: ContainerId,
    connector: GoogleContacts,
}

async fn people(refusal: BatchRefusal) -> People {
    let clock = Arc::new(ManualClock::default());
    let fake = FakePeople::new(Arc::clone(&clock) as Arc<_>).shared();
    fake.refuse_batches(refusal);
    fake.set(|settings| settings.lag_ms = 180_000);
    let open = |group| {
        GoogleContacts::new(fake.authorised(ACCOUNT), GoogleConfig::default(), group, Region::of("BE"))
            .with_page_size(3)
    };
    let made = open(None).ensure_container(None, &["The group"]).await.expect("the group is made");
    let group = made.expect("contacts have a group");
    let connector = open(Some(group.clone()));
    People { clock, fake, group, connector }
}

/// The user's typing, made without the connector's own mapping.
fn typed(fields: &Fields) -> Map<String, Json> {
    let text = |name: &Field| fields.text(name).to_owned();
    let list = |name: &Field| -> Vec<Json> {
        fields.items(name).iter().map(|item| json!({"value": item.as_value(), "type": item.label})).collect()
    };
    let address = |item: &tandem_core::record::Item| {
        json!({"type": item.label, "streetAddress": item.part("street"), "city": item.part("city"),
               "postalCode": item.part("postal_code"), "country": item.part("country")})
    };
    let addresses: Vec<Json> = fields.items(&field::ADDRESSES).iter().map(address).collect();
    let person = json!({
        "names": [{"givenName": text(&field::FIRST_NAME), "familyName": text(&field::LAST_NAME)}],
        "emailAddresses": list(&field::EMAILS),
        "phoneNumbers": list(&field::PHONES),
        "addresses": addresses,
        "organizations": [{"name": text(&field::COMPANY), "title": text(&field::POSITION)}],
        "biographies": [{"value": text(&field::REMARKS)}],
        "birthdays": [{"date": {"month": 2, "day": 29}}],
        "userDefined": [{"key": "vip", "value": fields.text(&Field::named("custom.vip"))}],
    });
    person.as_object().cloned().expect("an object")
}

impl People {
    fn person(&self, id: &RemoteId) -> Json {
        let state = self.fake.state(ACCOUNT);
        let all = state["people"].as_array().expect("a list").clone();
        all.into_iter().find(|person| person["resourceName"] == id.as_str()).expect("it exists")
    }
    fn edit(&self, id: &RemoteId, fields: Json, groups: Option<Vec<String>>) {
        let fields = fields.as_object().cloned().expect("an object");
        self.fake.user_edits(ACCOUNT, id.as_str(), Edit { fields, groups });
    }
    async fn raw(&self, method: &str, path: &str, body: Json) {
        let request = http::Request::builder().method(method).uri(format!("https://people.googleapis.com{path}"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.body(body.into()).expect("a request");
        let answer = self.fake.authorised(ACCOUNT).send(request).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
    }
    fn now<F: Future>(future: F) -> F::Output {
        // The fake answers at once, so one poll is enough.
        let mut future = std::pin::pin!(future);
        let waker = std::task::Waker::noop();
        match future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
            std::task::Poll::Ready(output) => output,
            std::task::Poll::Pending => panic!("the fake waits for nothing"),
        }
    }
}

impl Harness for People {
    async fn start() -> Self {
        people(BatchRefusal::Whole).await
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        let contact = Contact {
            first_name: format!("Jan {n}"),
            last_name: format!("Peeters {n}"),
            emails: vec![Labelled { label: "work".into(), value: format!("jan{n}@example.com") }],
            phones: vec![Labelled { label: "mobile".into(), value: format!("+32470{:06}", n) }],
            addresses: vec![Address {
                label: "home".into(),
                street: format!("Kerkstraat {n}"),
                postal_code: "9000".into(),
                city: "Gent".into(),
                country: "Belgium".into(),
                ..Address::default()
            }],
            company: format!("Bakkerij {n}"),
            position: "Baker".into(),
            birthday: "--02-29".into(),
            remarks: format!("line 1\nline {n}"),
            custom: [("vip".to_owned(), format!("yes {n}"))].into(),
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
        let groups = Some(vec!["contactGroups/myContacts".to_owned(), self.group.to_string()]);
        RemoteId::new(self.fake.user_creates(ACCOUNT, Edit { fields: typed(fields), groups }))
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.edit(id, Json::Object(typed(fields)), None);
    }
    fn user_deletes(&self, id: &RemoteId) {
        assert!(self.fake.user_deletes(ACCOUNT, id.as_str()));
    }
    fn user_moves_out(&self, id: &RemoteId) -> bool {
        self.edit(id, json!({}), Some(vec!["contactGroups/myContacts".to_owned()]));
        true
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        let person = self.person(id);
        let mut name = person["names"][0].clone();
        name["middleName"] = json!("Karel");
        name["phoneticGivenName"] = json!("Yan");
        let mut company = person["organizations"][0].clone();
        company["department"] = json!("Oven 3");
        let fields = json!({
            "names": [name],
            "organizations": [company, {"name": "Second job", "title": "Driver"}],
            "urls": [{"value": "https://one.example"}, {"value": "https://two.example", "type": "blog"}],
            "nicknames": [{"value": "Jantje"}],
            "events": [{"date": {"year": 2010, "month": 5, "day": 1}, "type": "anniversary"}],
            "clientData": [{"key": "other-program", "value": "keep"}],
            "addresses": [{"poBox": "12", "type": "other"}, person["addresses"][0]],
        });
        self.edit(id, fields, None);
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let person = self.person(id);
        let boxed: Vec<Json> =
            person["addresses"].as_array().expect("a list").iter().map(|a| a["poBox"].clone()).collect();
        json!({
            "middle": person["names"][0]["middleName"], "phonetic": person["names"][0]["phoneticGivenName"],
            "department": person["organizations"][0]["department"], "second": person["organizations"][1],
            "urls": person["urls"], "nick": person["nicknames"], "events": person["events"],
            "theirs": person["clientData"], "boxes": boxed.iter().filter(|b| !b.is_null()).collect::<Vec<_>>(),
            "groups": person["memberships"],
        })
    }
    fn records(&self) -> usize {
        self.fake.state(ACCOUNT)["people"].as_array().map_or(0, Vec::len)
    }
    fn user_renames_container(&self, id: &ContainerId) -> bool {
        People::now(self.raw("PUT", &format!("/v1/{id}"), json!({"contactGroup": {"name": "My own words"}})));
        true
    }
    fn user_deletes_container(&self, id: &ContainerId) {
        People::now(self.raw("DELETE", &format!("/v1/{id}"), Json::Null));
    }
    fn inject(&self, fault: Fault) {
        match fault {
            Fault::ServerError => self.fake.inject(&[Wire::ServerError]),
            Fault::Throttle(seconds) => self.fake.inject(&[Wire::Throttle { retry_after: Some(seconds) }]),
            Fault::Forbidden => self.fake.inject(&[Wire::Forbidden]),
            Fault::LoseAnswer => self.fake.inject(&[Wire::LoseAnswer]),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => self.fake.revoke(ACCOUNT),
            Fault::ExpireCursors => self.fake.expire_cursors(),
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {
        self.clock.advance(LAG);
    }
}

tandem_testkit::connector_conformance!(People);

/// The same promises where Google refuses single items of a batch.
mod item_by_item {
    use super::*;

    struct Items(People);

    impl Harness for Items {
        async fn start() -> Self {
            Items(people(BatchRefusal::Item).await)
        }
        fn connector(&self) -> &dyn Connector {
            self.0.connector()
        }
        fn sample(&self, n: u32) -> Fields {
            self.0.sample(n)
        }
        fn text_field(&self) -> Field {
            self.0.text_field()
        }
        fn more_than_two_pages(&self) -> u32 {
            self.0.more_than_two_pages()
        }
        fn user_creates(&self, fields: &Fields) -> RemoteId {
            self.0.user_creates(fields)
        }
        fn user_edits(&self, id: &RemoteId, fields: &Fields) {
            self.0.user_edits(id, fields);
        }
        fn user_deletes(&self, id: &RemoteId) {
            self.0.user_deletes(id);
        }
        fn user_moves_out(&self, id: &RemoteId) -> bool {
            self.0.user_moves_out(id)
        }
        fn user_adds_unmapped(&self, id: &RemoteId) {
            self.0.user_adds_unmapped(id);
        }
        fn unmapped(&self, id: &RemoteId) -> Json {
            self.0.unmapped(id)
        }
        fn records(&self) -> usize {
            self.0.records()
        }
        fn user_renames_container(&self, id: &ContainerId) -> bool {
            self.0.user_renames_container(id)
        }
        fn user_deletes_container(&self, id: &ContainerId) {
            self.0.user_deletes_container(id);
        }
        fn inject(&self, fault: Fault) {
            self.0.inject(fault);
        }
        fn writes(&self) -> usize {
            self.0.writes()
        }
        fn settle(&self) {
            self.0.settle();
        }
    }

    tandem_testkit::connector_conformance!(Items);
}
