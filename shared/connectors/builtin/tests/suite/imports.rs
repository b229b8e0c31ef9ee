//! Contacts from files.
use crate::common::{World, object};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use tandem_builtin::import::{Report, Request};
use tandem_builtin::{CrmError, Kind, Query};

impl World {
    async fn import(&self, file: &[u8]) -> Report {
        self.crm.import(&self.admin, file, Request::default()).await.unwrap()
    }
    async fn all(&self, kind: Kind) -> Vec<Value> {
        let (mut all, mut query) = (Vec::new(), Query::default());
        loop {
            let page = self.crm.list(&self.admin, kind, &query).await.unwrap();
            all.extend(page.items.iter().map(|record| record.to_json()));
            query.next = page.next;
            if query.next.is_none() {
                return all;
            }
        }
    }
}

fn one_created() -> Report {
    Report { created: 1, ..Report::default() }
}

#[tokio::test]
async fn every_dialect_says_the_same_person() {
    let files: [(&str, &[u8]); 5] = [
        ("google-old", include_bytes!("../fixtures/google-old.csv")),
        ("google-new", include_bytes!("../fixtures/google-new.csv")),
        ("outlook", include_bytes!("../fixtures/outlook.csv")),
        ("teamleader", include_bytes!("../fixtures/teamleader-nl-1252.csv")),
        ("own", include_bytes!("../fixtures/own.csv")),
    ];
    for (name, file) in files {
        let world = World::new().await;
        assert_eq!(world.import(file).await, one_created(), "{name}");
        let contact = world.all(Kind::Contact).await.remove(0);
        assert_eq!(contact["last_name"], "Peeters", "{name}");
        assert_eq!(contact["emails"][0], json!({"type": "work", "value": "jan@example.test"}), "{name}");
        let company = world.all(Kind::Company).await.remove(0);
        assert_eq!(contact["company"], company["id"], "{name}");
        assert!(company["name"].as_str().unwrap().ends_with("Acme"), "{name}");
        if name != "own" {
            assert_eq!(contact["birthday"], "1980-02-01", "{name}");
            let address = &contact["addresses"][0];
            let said = ["street", "postal_code", "city"].map(|part| address[part].as_str().unwrap());
            assert_eq!(said, ["Kerkstraat 1", "9000", "Gent"], "{name}");
            let phones = contact["phones"].as_array().unwrap();
            assert!(phones.contains(&json!({"type": "mobile", "value": "+32 470 12 34 56"})), "{name}");
        }
    }
}

#[tokio::test]
async fn the_details_of_each_dialect_are_kept() {
    let world = World::new().await;
    world.import(include_bytes!("../fixtures/google-old.csv")).await;
    let contact = world.all(Kind::Contact).await.remove(0);
    let emails: Vec<&str> =
        contact["emails"].as_array().unwrap().iter().map(|e| e["value"].as_str().unwrap()).collect();
    assert_eq!(emails, ["jan@example.test", "jp@example.test", "jan@home.test"]);
    assert_eq!(contact["tags"], json!(["Clients"]));
    assert_eq!(contact["remarks"], "Met in Ghent,\nat the fair");
    assert_eq!(contact["phones"][1], json!({"type": "fax", "value": "02 555 00 01"}));
    let world = World::new().await;
    world.import(include_bytes!("../fixtures/teamleader-nl-1252.csv")).await;
    let contact = world.all(Kind::Contact).await.remove(0);
    assert_eq!((&contact["first_name"], &contact["salutation"]), (&json!("René"), &json!("Dhr.")));
    assert_eq!(contact["addresses"][0]["country"], "België");
    let world = World::new().await;
    world.import(include_bytes!("../fixtures/own.csv")).await;
    let contact = world.all(Kind::Contact).await.remove(0);
    assert_eq!((&contact["tags"], &contact["custom"]), (&json!(["a", "b"]), &json!({"vip": "yes"})));
}

#[tokio::test]
async fn cards_are_read_and_broken_ones_reported() {
    let world = World::new().await;
    let report = world.import(include_bytes!("../fixtures/cards.vcf")).await;
    assert_eq!((report.created, report.failed), (3, 2));
    assert_eq!(report.errors.iter().map(|bad| bad.line).collect::<Vec<_>>(), [23, 24]);
    let all = world.all(Kind::Contact).await;
    let jan = &all[0];
    assert_eq!(
        (&jan["last_name"], &jan["position"], &jan["salutation"]),
        (&json!("Peeters"), &json!("Buyer"), &json!("Mr"))
    );
    assert_eq!(
        jan["phones"],
        json!([{"type": "mobile", "value": "+32 470 12 34 56"}, {"type": "fax", "value": "02 555 00 01"}])
    );
    assert_eq!(jan["remarks"], "Met in Ghent, at the fair\nagain");
    assert_eq!(jan["tags"], json!(["Clients", "Fair"]));
    assert_eq!((&jan["birthday"], &all[1]["birthday"]), (&json!("1980-02-01"), &json!("--02-29")));
    assert_eq!(all[1]["phones"], json!([{"type": "home", "value": "+32-2-555-12-34"}]));
    assert_eq!((&all[2]["first_name"], &all[2]["last_name"]), (&json!("Piet"), &json!("Janssens")));
}

#[tokio::test]
async fn utf_16_is_read_with_and_without_its_mark() {
    let text = "Voornaam\tAchternaam\tE-mail\r\nZoë\tŁuk\tzoe@x.test\r\n";
    let units: Vec<u16> = text.encode_utf16().collect();
    let marked: Vec<u8> = [0xff, 0xfe].into_iter().chain(units.iter().flat_map(|unit| unit.to_le_bytes())).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for file in [marked, big] {
        let world = World::new().await;
        assert_eq!(world.import(&file).await, one_created());
        assert_eq!(world.all(Kind::Contact).await[0]["last_name"], "Łuk");
    }
}

#[tokio::test]
async fn a_bad_line_is_reported_and_stops_nothing() {
    let world = World::new().await;
    let file = "First name,Last name,E-mail\nA,One,a@x.test\nB,Two,not an address\n,,c@x.test\nD,Four,d@x.test,more,cells\n\nE,Five,e@x.test\n";
    let report = world.import(file.as_bytes()).await;
    assert_eq!((report.created, report.failed), (2, 3));
    assert_eq!(report.errors.iter().map(|bad| bad.line).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(report.errors[0].reason.contains("not an e-mail address"), "{}", report.errors[0].reason);
}

#[tokio::test]
async fn a_file_that_is_no_list_of_contacts_is_refused_with_advice() {
    let world = World::new().await;
    let png = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d];
    let files: [&[u8]; 4] = [b"", b" \n", &png, b"Colour;Size\nred;3\n"];
    for file in files {
        let refused = world.crm.import(&world.admin, file, Request::default()).await.unwrap_err();
        assert!(matches!(refused, CrmError::Invalid { ref field, .. } if field == "file"), "{refused}");
    }
    let large = vec![b'a'; tandem_builtin::import::MOST_BYTES + 1];
    let refused = world.crm.import(&world.admin, &large, Request::default()).await;
    assert!(matches!(refused, Err(CrmError::TooLarge { .. })));
}

fn large_file(contacts: usize) -> String {
    let mut file = String::from("First name,Last name,E-mail,Company\n");
    for at in 0..contacts {
        file.push_str(&format!("Jan,Person {at},p{at}@x.test,Company {}\n", at % 500));
    }
    file
}

#[tokio::test]
async fn ten_thousand_contacts_take_a_bounded_number_of_requests_and_no_doubles() {
    let world = World::new().await;
    let file = large_file(10_000);
    let before = world.table.requests();
    let report = world.import(file.as_bytes()).await;
    assert_eq!((report.created, report.failed, report.next), (10_000, 0, None));
    let requests = world.table.requests() - before;
    // Four operations a contact, its address in the index among them: 24 contacts a transaction, two requests each.
    assert!(requests < 1_200, "{requests} requests");
    let before = world.table.requests();
    let again = world.import(file.as_bytes()).await;
    assert_eq!((again.created, again.updated, again.skipped), (0, 0, 10_000));
    let requests = world.table.requests() - before;
    assert!(requests < 1_000, "{requests} requests");
    assert_eq!(world.all(Kind::Company).await.len(), 500);
}

#[tokio::test]
async fn an_import_that_runs_out_of_time_goes_on_where_it_stopped() {
    let world = World::new().await;
    let file = large_file(60);
    let until = Some(tandem_ports::infra::Clock::now(world.clock.as_ref()));
    let stopped = world.crm.import(&world.admin, file.as_bytes(), Request { offset: 0, until }).await.unwrap();
    assert_eq!((stopped.created, stopped.next), (0, Some(0)));
    let rest = Request { offset: 50, until: None };
    let report = world.crm.import(&world.admin, file.as_bytes(), rest).await.unwrap();
    assert_eq!(report.created, 10);
}

#[tokio::test]
async fn what_a_file_says_more_is_added_and_nothing_is_lost() {
    let world = World::new().await;
    world.import(b"First name,Last name,E-mail,Notes\nJan,P,jan@x.test,old\n").await;
    let file = b"First name,Last name,E-mail,Mobile,Notes,Company\nJAN,p,Jan@X.test,0470 1,,Acme\nJan,P,jan@x.test,0470 1,new,Acme\n";
    let report = world.import(file).await;
    assert_eq!((report.created, report.updated), (0, 2));
    let all = world.all(Kind::Contact).await;
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["remarks"], &all[0]["phones"][0]["value"]), (&json!("new"), &json!("0470 1")));
    assert_eq!(all[0]["emails"].as_array().unwrap().len(), 1);
    assert!(all[0]["company"].is_string());
}

#[tokio::test]
async fn two_imports_at_once_make_no_doubles() {
    let world =
        World::on(tandem_testkit::memory::MemoryTable::default().with_latency(Duration::from_micros(100))).await;
    let file = large_file(200);
    let (a, b) = tokio::join!(world.import(file.as_bytes()), world.import(file.as_bytes()));
    assert_eq!(a.created + b.created, 200);
    assert_eq!(world.all(Kind::Contact).await.len(), 200);
    let patch = object(json!({"first_name": "J"}));
    let first = world.all(Kind::Contact).await.remove(0);
    let id = first["id"].as_str().unwrap();
    assert!(world.crm.update(&world.admin, Kind::Contact, id, None, &patch).await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_file_breaks_the_import(bytes in prop::collection::vec(any::<u8>(), 0..300), head in prop::bool::ANY) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let mut file = if head { b"First name,Last name,E-mail\n".to_vec() } else { b"BEGIN:VCARD\n".to_vec() };
            file.extend(&bytes);
            // A report or a refusal; never a panic, and what is reported as created is there.
            if let Ok(report) = world.crm.import(&world.admin, &file, Request::default()).await {
                assert_eq!(world.all(Kind::Contact).await.len() as u64, report.created);
            }
        });
    }
}
