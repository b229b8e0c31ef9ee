//! The connector keeps every promise of the suite, over all contacts and within a list view.
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_core::contact::{Address, Carry, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Field, Fields, RemoteId};
use tandem_ports::connector::Connector;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};
use tandem_zoho::fake::{FakeZoho, Fault as Wire};
use tandem_zoho::{Options, ZohoContacts};

const ACCOUNT: &str = "jan@example.com";
/// Zoho's times are whole seconds.
const TICK: Duration = Duration::from_secs(1);

struct Zoho {
    clock: Arc<ManualClock>,
    fake: Arc<FakeZoho>,
    connector: ZohoContacts,
}

/// Everybody is in the view whose title is not "Outsider".
async fn zoho(within_a_view: impl FnOnce(&FakeZoho) -> Option<String>) -> Zoho {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeZoho::new(Arc::clone(&clock) as Arc<_>).shared();
    fake.field(json!({"api_name": "Level", "data_type": "picklist", "values": ["gold", "silver"], "custom": true}));
    let container = within_a_view(&fake).map(ContainerId::new);
    let options = Options { container, carry: Carry::NameAndPhone, region: Region::of("BE") };
    let api = "https://www.zohoapis.eu".to_owned();
    let connector = ZohoContacts::new(fake.authorised(ACCOUNT), Arc::clone(&clock) as Arc<_>, api, options);
    let connector = connector.with_page_size(3);
    // As the engine does: a side states its fields before anything is written to it.
    connector.schema().await.expect("the schema is read");
    Zoho { clock, fake, connector }
}

/// The user's typing, made without the connector's own mapping.
fn typed(fake: &FakeZoho, fields: &Fields) -> Json {
    let text = |name: &Field| Some(fields.text(name).to_owned()).filter(|text| !text.is_empty());
    let labelled = |name: &Field, label: &str| {
        fields.items(name).iter().find(|item| item.label == label).map(|item| item.as_value().to_owned())
    };
    let address = fields.items(&field::ADDRESSES).first();
    let part = |name: &str| address.map(|item| item.part(name).to_owned());
    let company = text(&field::COMPANY).map(|name| {
        let all = fake.state("Accounts");
        let known = all["records"].as_array().expect("a list").iter().find(|account| account["Account_Name"] == name);
        let id = known.and_then(|account| account["id"].as_str()).map(str::to_owned);
        let id = id.unwrap_or_else(|| fake.user_creates(ACCOUNT, "Accounts", json!({"Account_Name": name})));
        json!({"id": id})
    });
    json!({
        "First_Name": text(&field::FIRST_NAME), "Last_Name": text(&field::LAST_NAME),
        "Email": labelled(&field::EMAILS, "work"), "Mobile": labelled(&field::PHONES, "mobile"),
        "Mailing_Street": part("street"), "Mailing_Zip": part("postal_code"), "Mailing_City": part("city"),
        "Mailing_Country": part("country"), "Account_Name": company, "Title": text(&field::POSITION),
        "Date_of_Birth": text(&field::BIRTHDAY), "Description": text(&field::REMARKS),
        "Level": text(&Field::named("custom.Level")),
    })
}

impl Zoho {
    fn edit(&self, id: &RemoteId, fields: Json) {
        self.clock.advance(TICK);
        self.fake.user_edits(ACCOUNT, id.as_str(), fields);
        self.clock.advance(TICK);
    }
    fn contact(&self, id: &RemoteId) -> Json {
        let all = self.fake.state("Contacts")["records"].as_array().expect("a list").clone();
        all.into_iter().find(|record| record["id"] == id.as_str()).expect("it exists")
    }
}

impl Harness for Zoho {
    async fn start() -> Self {
        zoho(|_| None).await
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        let contact = Contact {
            first_name: format!("Jan {n}"),
            last_name: format!("O'Peeters {n}"),
            emails: vec![Labelled { label: "work".into(), value: format!("jan{n}@example.com") }],
            phones: vec![Labelled { label: "mobile".into(), value: format!("+32470{n:06}") }],
            addresses: vec![Address {
                label: "work".into(),
                street: format!("Kerkstraat {n}"),
                postal_code: "9000".into(),
                city: "Gent".into(),
                country: "Belgium".into(),
                ..Address::default()
            }],
            company: format!("Bakkerij 't Hof {n}"),
            position: "Baker".into(),
            birthday: "1980-02-29".into(),
            remarks: format!("line 1\nline {n}"),
            custom: [("Level".to_owned(), "gold".to_owned()), ("Email_Opt_Out".to_owned(), "false".to_owned())].into(),
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
        let id = self.fake.user_creates(ACCOUNT, "Contacts", typed(&self.fake, fields));
        self.clock.advance(TICK);
        RemoteId::new(id)
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.edit(id, typed(&self.fake, fields));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.clock.advance(TICK);
        assert!(self.fake.user_deletes(ACCOUNT, id.as_str()));
        self.clock.advance(TICK);
    }
    fn user_moves_out(&self, _id: &RemoteId) -> bool {
        // A list view is Zoho's to decide: nothing can be moved into one (tests/feed.rs has what leaves it).
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        self.edit(id, json!({"Skype_ID": "jantje", "Department": "Oven 3", "Mailing_State": null, "Fax": null}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let contact = self.contact(id);
        json!({"skype": contact["Skype_ID"], "department": contact["Department"], "owner": contact["Owner"], "by": contact["Created_By"], "made": contact["Created_Time"]})
    }
    fn records(&self) -> usize {
        self.fake.state("Contacts")["records"].as_array().map_or(0, Vec::len)
    }
    fn user_renames_container(&self, _id: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, id: &ContainerId) {
        self.fake.delete_view(id.as_str());
    }
    fn inject(&self, fault: Fault) {
        match fault {
            Fault::ServerError => self.fake.inject(&[Wire::ServerError]),
            Fault::Throttle(seconds) => self.fake.inject(&[Wire::Throttle { retry_after: Some(seconds) }]),
            Fault::Forbidden => self.fake.inject(&[Wire::Forbidden]),
            // Companies are looked up first; what matters is the answer to the write itself.
            Fault::LoseAnswer => self.fake.inject(&[Wire::LoseWrite]),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => self.fake.revoke(ACCOUNT),
            // Deletions are told for a while only.
            Fault::ExpireCursors => self.clock.advance(Duration::from_secs(31 * 24 * 3600)),
        }
    }
    fn writes(&self) -> usize {
        let contacts = |(_, path, _): &&(String, String, usize)| path.contains("/Contacts");
        self.fake.calls().iter().filter(contacts).map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {
        self.clock.advance(TICK);
    }
}

tandem_testkit::connector_conformance!(Zoho);

/// The same promises within a list view.
mod within_a_view {
    use super::*;

    struct View(Zoho);

    impl Harness for View {
        async fn start() -> Self {
            let criteria = json!({"comparator": "not_equal", "field": {"api_name": "Title"}, "value": "Outsider"});
            View(zoho(|fake| Some(fake.view("Everybody", criteria))).await)
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

    // All but "a cursor yields only later changes": after a change the view is listed anew, and that shows everybody
    // in it (tests/feed.rs has what a change shows).
    tandem_testkit::connector_conformance!(@each View: a_full_listing_is_complete, an_empty_listing_ends, a_cursor_can_be_replayed, nothing_falls_between_listing_and_delta, a_deletion_is_reported, an_expired_cursor_is_named, a_cursor_of_another_release_is_expired, a_read_by_id_proves_absence, a_created_record_reads_back, batches_up_to_the_limit_are_answered_in_order, a_create_with_a_lost_answer_is_found, a_create_that_never_arrived_is_not_found, an_update_changes_what_it_names, an_emptied_field_is_empty, unmapped_fields_survive_an_update, a_stale_version_is_a_conflict_for_that_record_alone, an_update_of_a_gone_record_says_so, a_replayed_update_is_a_conflict, a_marker_can_be_put_on_a_record, deleting_twice_succeeds, a_conditional_delete_spares_an_edited_record, a_record_outside_the_container_is_outside, a_container_is_made_once, a_renamed_container_stays_the_same, a_deleted_container_is_made_anew, a_container_with_a_lost_answer_is_found, faults_are_named, a_revoked_grant_is_named, an_empty_batch_asks_for_nothing, the_schema_says_what_it_takes);
}
