//! Every method, body key, filter and sort field that the connector sends is in Teamleader's own list (`facts/api.json`).
mod facts;

use bytes::Bytes;
use facts::Recorder;
use http::Request;
use serde_json::{Map, Value as Json, json};
use std::sync::{Arc, Mutex};
use tandem_core::contact::{Address, Carry, Contact, Labelled, field};
use tandem_core::normalise::Region;
use tandem_core::record::{ContainerId, Marker, Scope};
use tandem_ports::connector::{Connector, Deletion, Draft, Fetched, Next, Patch};
use tandem_teamleader::fake::{Edit, FakeTeamleader};
use tandem_teamleader::{Options, TeamleaderConfig, TeamleaderContacts};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

fn object(value: Json) -> Map<String, Json> {
    value.as_object().cloned().expect("an object")
}

fn full(company: &str, vip: &str) -> Contact {
    let one = |label: &str, value: &str| Labelled { label: label.to_owned(), value: value.to_owned() };
    Contact {
        salutation: "Mr".into(),
        first_name: "Jan".into(),
        last_name: "Peeters".into(),
        emails: vec![one("work", "jan@example.com")],
        phones: vec![one("work", "+3292980615"), one("mobile", "+32470123456")],
        addresses: vec![Address {
            label: "work".into(),
            city: "Gent".into(),
            country: "BE".into(),
            ..Address::default()
        }],
        company: company.to_owned(),
        position: "Baker".into(),
        birthday: "1980-02-01".into(),
        language: "nl".into(),
        website: "https://example.com".into(),
        remarks: "text".into(),
        custom: [(vip.to_owned(), "yes".to_owned())].into(),
    }
}

/// One of everything the connector can ask.
async fn everything_asked() -> Vec<Request<Bytes>> {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeTeamleader::new(Arc::clone(&clock) as Arc<_>).shared();
    let vip = fake.user_defines(ACCOUNT, object(json!({"type": "single_line", "label": "VIP"})));
    let tagged = object(json!({"last_name": "X", "tags": ["klant"]}));
    fake.user_creates(ACCOUNT, Edit { fields: tagged, ..Edit::default() });
    let recorder = Arc::new(Recorder { inner: fake.authorised(ACCOUNT), seen: Mutex::default() });
    let container = Some(ContainerId::new("tag:klant"));
    let options = Options { container: container.clone(), carry: Carry::Name, region: Region::none() };
    let (transport, time) = (Arc::clone(&recorder) as Arc<_>, Arc::clone(&clock) as Arc<_>);
    let focus = TeamleaderContacts::new(transport, time, TeamleaderConfig::default(), options);
    focus.ensure_container(container.as_ref(), &[]).await.expect("known");
    focus.choices().await.expect("listed");
    focus.schema().await.expect("read");
    let draft =
        |company: &str| Draft { marker: Marker::new("m"), fields: full(company, &vip).to_fields(Region::none()) };
    focus.create(&[draft("One")]).await.expect("created").remove(0).expect("created");
    let Next::CaughtUp(cursor) = focus.changes(None).await.expect("listed").next else { panic!("one page is all") };
    clock.advance(std::time::Duration::from_secs(900));
    let mut next = focus.changes(Some(&cursor)).await.expect("a delta").next;
    while let Next::More(cursor) = next {
        next = focus.changes(Some(&cursor)).await.expect("a delta").next;
    }
    let nameless = Draft {
        marker: Marker::new("n"),
        fields: Contact { last_name: "Q".into(), ..Contact::default() }.to_fields(Region::none()),
    };
    let found = focus.find_made(&[draft("One"), nameless]).await.expect("found");
    let patch = |read: &Fetched, contact: Contact| Patch {
        id: read.id.clone(),
        expect: read.version.clone(),
        changed: field::ALL.into_iter().chain([tandem_core::record::Field::named(format!("custom.{vip}"))]).collect(),
        fields: contact.to_fields(Region::none()),
        scope: Some(Scope::Outside),
        marker: None,
        raw: read.raw.clone(),
    };
    let mut read = found[0].1.clone();
    let retitled = Contact { position: "Boss".into(), ..full("One", &vip) };
    let alone = Contact { last_name: "P".into(), ..Contact::default() };
    for contact in [retitled, full("Two", &vip), alone] {
        focus.update(&[patch(&read, contact)]).await.expect("updated").remove(0).expect("updated");
        read = focus.get(std::slice::from_ref(&read.id)).await.expect("read").remove(0).expect("there");
    }
    let inside = Patch { scope: Some(Scope::Inside), changed: Vec::new(), ..patch(&read, Contact::default()) };
    focus.update(&[inside]).await.expect("updated").remove(0).expect("moved in");
    let deletion = Deletion { id: read.id.clone(), expect: read.version.clone() };
    focus.delete(&[deletion]).await.expect("deleted").remove(0).expect("deleted");
    std::mem::take(&mut *recorder.seen.lock().expect("not poisoned"))
}

#[tokio::test]
async fn whatever_we_ask_is_in_teamleaders_own_list() {
    let methods = facts::in_the_list(&everything_asked().await);
    let wanted = [
        "companies.add",
        "companies.list",
        "contacts.add",
        "contacts.delete",
        "contacts.info",
        "contacts.linkToCompany",
        "contacts.list",
        "contacts.tag",
        "contacts.unlinkFromCompany",
        "contacts.untag",
        "contacts.update",
        "contacts.updateCompanyLink",
        "customFieldDefinitions.list",
        "tags.list",
    ];
    assert!(methods.iter().eq(wanted), "{methods:?}");
}
