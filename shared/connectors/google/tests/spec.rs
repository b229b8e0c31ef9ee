//! Every method, parameter, field and enum that the connector sends is in Google's own list (`facts/people.json`).
mod facts;

use facts::{Exchange, Facts, Recorder};
use serde_json::Value as Json;
use std::sync::Arc;
use tandem_core::contact::Contact;
use tandem_core::normalise::Region;
use tandem_core::record::{Marker, Scope};
use tandem_google::fake::FakePeople;
use tandem_google::{GoogleConfig, GoogleContacts};
use tandem_ports::connector::{Connector, Deletion, Draft, Next, Patch};
use tandem_testkit::clock::ManualClock;

/// One of everything the connector can ask.
async fn everything_asked() -> Vec<Exchange> {
    let fake = FakePeople::new(Arc::new(ManualClock::default())).shared();
    let recorder = Recorder::of(fake.authorised("jan@example.com"));
    let open = |group| {
        GoogleContacts::new(Arc::clone(&recorder) as Arc<_>, GoogleConfig::default(), group, Region::none())
            .with_page_size(1)
    };
    let group = open(None).ensure_container(None, &["The group"]).await.expect("made");
    let google = open(group.clone());
    google.ensure_container(group.as_ref(), &["The group"]).await.expect("known");
    google.choices().await.expect("listed");
    let contact = Contact {
        first_name: "Jan".into(),
        birthday: "1980-02-01".into(),
        language: "nl".into(),
        website: "https://example.com".into(),
        remarks: "text".into(),
        company: "Bakkerij".into(),
        custom: [("vip".to_owned(), "yes".to_owned())].into(),
        ..Contact::default()
    };
    let draft = Draft { marker: Marker::new("m"), fields: contact.to_fields(Region::none()) };
    google.create(&[draft.clone(), draft.clone()]).await.expect("created");
    let first = google.changes(None).await.expect("a page");
    let mut next = first.next;
    while let Next::More(cursor) = next {
        next = google.changes(Some(&cursor)).await.expect("a page").next;
    }
    let Next::CaughtUp(cursor) = next else { panic!("the loop ends caught up") };
    google.changes(Some(&cursor)).await.expect("a delta");
    let found = google.find_made(std::slice::from_ref(&draft)).await.expect("found");
    let ids: Vec<_> = found.iter().map(|(_, fetched)| fetched.id.clone()).collect();
    let read = google.get(&ids).await.expect("read");
    let read: Vec<_> = read.into_iter().flatten().collect();
    assert_eq!(read.len(), 2);
    let patch = Patch {
        id: read[0].id.clone(),
        expect: read[0].version.clone(),
        changed: draft.fields.iter().map(|(name, _)| name.clone()).collect(),
        fields: draft.fields.clone(),
        scope: Some(Scope::Outside),
        marker: Some(Marker::new("n")),
        raw: read[0].raw.clone(),
    };
    google.update(&[patch]).await.expect("updated").remove(0).expect("updated");
    let deletion = |f: &tandem_ports::connector::Fetched| Deletion { id: f.id.clone(), expect: f.version.clone() };
    google.delete(&read.iter().map(deletion).collect::<Vec<_>>()).await.expect("deleted");
    recorder.take()
}

fn check_mask(facts: &Json, list: &str, mask: &str) {
    let valid = facts[list].as_array().expect("a list");
    assert!(!mask.is_empty() && mask.split(',').all(|path| valid.iter().any(|known| known == path)), "{mask}");
}

#[tokio::test]
async fn whatever_we_ask_is_in_googles_own_list() {
    let facts = Facts::read(include_str!("../facts/people.json"));
    let mut methods = std::collections::BTreeSet::new();
    for exchange in everything_asked().await {
        methods.insert(facts.check(&exchange).to_owned());
        for (_, value) in exchange.query.iter().filter(|(name, _)| name == "personFields") {
            check_mask(&facts.0, "read_mask", value);
        }
        for (field, list) in [("readMask", "read_mask"), ("updateMask", "update_mask")] {
            if let Some(mask) = exchange.body.as_ref().and_then(|body| body[field].as_str()) {
                check_mask(&facts.0, list, mask);
            }
        }
    }
    let wanted = [
        "people.contactGroups.create",
        "people.contactGroups.get",
        "people.contactGroups.list",
        "people.people.batchCreateContacts",
        "people.people.batchDeleteContacts",
        "people.people.batchUpdateContacts",
        "people.people.connections.list",
        "people.people.getBatchGet",
    ];
    assert!(methods.iter().eq(wanted), "{methods:?}");
}
