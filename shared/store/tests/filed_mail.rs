//! What was filed of a CRM account's mail is begun once, known by all mailboxes, and names nobody.
use std::sync::Arc;
use tandem_core::record::RemoteId;
use tandem_ports::mail::{Entered, Left, MailLedger};
use tandem_store::Store;
use tandem_store::filed::FiledMail;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::memory::MemoryTable;

#[tokio::test]
async fn a_message_is_begun_once_and_what_it_made_is_known_to_every_mailbox_of_the_account() {
    let (table, clock) = (Arc::new(MemoryTable::default()), Arc::new(ManualClock::default()));
    let of = |account: &str| FiledMail::of(Store::new(table.clone()), clock.clone(), "teamleader", account);
    let key = "mail:of jan@x.example:contact:1";
    assert_eq!(of("acme").begin(key).await.unwrap(), Entered::New);
    assert_eq!(of("acme").begin(key).await.unwrap(), Entered::UnderWay, "another mailbox is at it");
    of("acme").let_go(key, Left::Nothing).await.unwrap();
    assert_eq!(of("acme").begin(key).await.unwrap(), Entered::New);
    of("acme").let_go(key, Left::Unknown).await.unwrap();
    assert_eq!(of("acme").begin(key).await.unwrap(), Entered::Begun);
    // Whoever was at it has died.
    clock.advance(std::time::Duration::from_secs(299));
    assert_eq!(of("acme").begin(key).await.unwrap(), Entered::UnderWay);
    clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(of("acme").begin(key).await.unwrap(), Entered::Begun);
    assert_eq!(of("acme").begin(key).await.unwrap(), Entered::UnderWay, "one of two takes it over");
    of("acme").done(key, &RemoteId::new("contact:1:2")).await.unwrap();
    assert_eq!(of("acme").begin(key).await.unwrap(), Entered::Done(RemoteId::new("contact:1:2")));
    assert_eq!(of("other").begin(key).await.unwrap(), Entered::New);
    let stored: String = table.dump().iter().map(|item| format!("{:?}{:?}", item.key, item.attributes)).collect();
    assert!(!stored.contains("x.example") && stored.contains("expires_at"), "{stored}");
}
