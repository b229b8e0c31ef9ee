//! The connector keeps every promise of the suite, and its calls stay within their budget.
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_core::contact::{Address, Carry, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Field, Fields, RemoteId};
use tandem_ports::connector::Connector;
use tandem_teamleader::fake::{Edit, FakeTeamleader, Fault as Wire, Strictness};
use tandem_teamleader::{Options, TeamleaderConfig, TeamleaderContacts};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";
const TAG: &str = "klant";
const VIP: &str = "11111111-0000-4000-a000-000000000001";

struct Focus {
    clock: Arc<ManualClock>,
    fake: Arc<FakeTeamleader>,
    connector: TeamleaderContacts,
}

fn object(value: Json) -> Map<String, Json> {
    value.as_object().cloned().expect("an object")
}

/// The user's typing, made without the connector's own mapping.
fn typed(fields: &Fields) -> Map<String, Json> {
    let text = |name: &Field| fields.text(name).to_owned();
    let phone = |item: &tandem_core::record::Item| json!({"type": item.label, "number": item.as_value()});
    let address = |item: &tandem_core::record::Item| {
        json!({"type": "primary", "address": {"line_1": item.part("street"), "city": item.part("city"),
               "postal_code": item.part("postal_code"), "country": item.part("country")}})
    };
    object(json!({
        "first_name": text(&field::FIRST_NAME),
        "last_name": text(&field::LAST_NAME),
        "salutation": text(&field::SALUTATION),
        "emails": [{"type": "primary", "email": fields.items(&field::EMAILS)[0].as_value()}],
        "telephones": fields.items(&field::PHONES).iter().map(phone).collect::<Vec<_>>(),
        "addresses": fields.items(&field::ADDRESSES).iter().map(address).collect::<Vec<_>>(),
        "birthdate": text(&field::BIRTHDAY),
        "language": text(&field::LANGUAGE),
        "website": text(&field::WEBSITE),
        "remarks": text(&field::REMARKS),
        "custom_fields": [{"id": VIP, "value": fields.text(&Field::named(format!("custom.{VIP}")))}],
    }))
}

impl Focus {
    fn contact(&self, id: &RemoteId) -> Json {
        let state = self.fake.state(ACCOUNT);
        let all = state["contacts"].as_array().expect("a list").clone();
        all.into_iter().find(|contact| contact["id"] == id.as_str()).expect("it exists")
    }
    /// The link to the company of this name, which is made where there is none.
    fn links(&self, fields: &Fields) -> Json {
        let name = fields.text(&field::COMPANY);
        let known = self.fake.state(ACCOUNT)["companies"].as_array().expect("a list").clone();
        let id = known.iter().find(|company| company["name"] == name).map(|company| company["id"].clone());
        let id = id.unwrap_or_else(|| json!(self.fake.user_creates_company(ACCOUNT, &object(json!({"name": name})))));
        json!([{"position": fields.text(&field::POSITION), "company": {"type": "company", "id": id}, "division": "Oven 3"}])
    }
    fn edit(&self, id: &RemoteId, fields: Json) {
        let edit = Edit { fields: object(fields), ..Edit::default() };
        self.fake.user_edits(ACCOUNT, id.as_str(), edit);
    }
}

impl Harness for Focus {
    async fn start() -> Self {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeTeamleader::new(Arc::clone(&clock) as Arc<_>).shared();
        fake.set(|settings| {
            settings.call_ms = 1_000;
            settings.strictness = Strictness::Refuse;
        });
        let vip = json!({"id": VIP, "type": "single_line", "label": "VIP"});
        fake.user_defines(ACCOUNT, object(vip));
        let options = Options {
            container: Some(ContainerId::new(format!("tag:{TAG}"))),
            carry: Carry::Name,
            region: Region::of("BE"),
        };
        let clocked = Arc::clone(&clock) as Arc<_>;
        let connector =
            TeamleaderContacts::new(fake.authorised(ACCOUNT), clocked, TeamleaderConfig::default(), options)
                .with_page_size(3);
        Focus { clock, fake, connector }
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        let one = |label: &str, value: String| Labelled { label: label.to_owned(), value };
        let contact = Contact {
            salutation: "Mr".into(),
            first_name: format!("Jan {n}"),
            last_name: format!("Peeters {n}"),
            emails: vec![one("work", format!("jan{n}@example.com"))],
            phones: vec![one("mobile", format!("+32470{n:06}"))],
            addresses: vec![Address {
                label: "work".into(),
                street: format!("Kerkstraat {n}"),
                postal_code: "9000".into(),
                city: "Gent".into(),
                country: "BE".into(),
                ..Address::default()
            }],
            company: format!("Bakkerij {n}"),
            position: "Baker".into(),
            birthday: "1980-02-29".into(),
            language: "nl".into(),
            website: format!("https://{n}.example.com"),
            remarks: format!("line 1\nline {n}"),
            custom: [(VIP.to_owned(), format!("yes {n}"))].into(),
        };
        contact.to_fields(Region::of("BE"))
    }
    fn text_field(&self) -> Field {
        field::SALUTATION
    }
    fn more_than_two_pages(&self) -> u32 {
        9
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        let mut fresh = typed(fields);
        fresh.insert("tags".to_owned(), json!([TAG]));
        let edit = Edit { fields: fresh, companies: Some(self.links(fields)), status: None };
        RemoteId::new(self.fake.user_creates(ACCOUNT, edit))
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        // People type slower than a second.
        self.fake.set(|settings| settings.clock_offset_ms += 1_000);
        let edit = Edit { fields: typed(fields), companies: Some(self.links(fields)), status: None };
        self.fake.user_edits(ACCOUNT, id.as_str(), edit);
    }
    fn user_deletes(&self, id: &RemoteId) {
        assert!(self.fake.user_deletes(ACCOUNT, id.as_str()));
    }
    fn user_moves_out(&self, id: &RemoteId) -> bool {
        self.fake.set(|settings| settings.clock_offset_ms += 1_000);
        self.edit(id, json!({"tags": ["other"]}));
        true
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        let contact = self.contact(id);
        let main = &contact["addresses"][0]["address"];
        let rate = json!({"id": "22222222-0000-4000-a000-000000000002", "type": "integer", "label": "Rate"});
        self.fake.user_defines(ACCOUNT, object(rate));
        self.edit(
            id,
            json!({
                "gender": "female", "iban": "BE12123412341234", "tags": [TAG, "expo"], "marketing_mails_consent": true,
                "custom_fields_update_strategy": "partial",
                "custom_fields": [{"id": "22222222-0000-4000-a000-000000000002", "value": 7}],
                "addresses": [{"type": "primary", "address": {
                    "line_1": main["line_1"], "postal_code": main["postal_code"], "city": main["city"],
                    "country": "BE", "area_level_two_id": "33333333-0000-4000-a000-000000000003",
                }}],
            }),
        );
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let contact = self.contact(id);
        let custom: Vec<&Json> =
            contact["custom_fields"].as_array().expect("a list").iter().filter(|c| c["value"] == 7).collect();
        json!({
            "gender": contact["gender"], "iban": contact["iban"], "tags": contact["tags"], "rate": custom,
            "mails": contact["marketing_mails_consent"], "area": contact["addresses"][0]["address"]["area_level_two"],
        })
    }
    fn records(&self) -> usize {
        self.fake.state(ACCOUNT)["contacts"].as_array().map_or(0, Vec::len)
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        match fault {
            Fault::ServerError => self.fake.inject(&[Wire::ServerError]),
            Fault::Throttle(seconds) => self.fake.inject(&[Wire::Throttle { seconds: seconds as i64 }]),
            Fault::Forbidden => self.fake.inject(&[Wire::Forbidden]),
            // The last write of a create or an update: its answer is the one that says that all is done.
            Fault::LoseAnswer => self.fake.inject_on(Wire::LoseAnswer, &["contacts.linkToCompany", "contacts.update"]),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => self.fake.revoke(ACCOUNT),
            Fault::ExpireCursors => {}
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, writes)| writes).sum()
    }
    fn settle(&self) {
        self.clock.advance(Duration::from_secs(10));
    }
}

tandem_testkit::connector_conformance!(Focus);
