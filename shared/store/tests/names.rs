//! The names of a CRM account's appointments: one for all its users, and no other account's.
use std::sync::Arc;
use tandem_core::record::RemoteId;
use tandem_ports::names::Names;
use tandem_store::Store;
use tandem_store::names::AppointmentNames;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::memory::MemoryTable;

#[tokio::test]
async fn a_name_leads_to_its_appointment_and_back_in_one_account_alone() {
    let table = Arc::new(MemoryTable::default());
    let of = |account: &str| {
        let clock = Arc::new(ManualClock::default());
        AppointmentNames::of(Store::new(table.clone()), clock, "teamleader", account)
    };
    let (first, second) = (RemoteId::new("m-1"), RemoteId::new("m-2"));
    of("acme").note(&first, "abc@google.com").await.expect("noted");
    let acme = of("acme");
    assert_eq!(acme.named("abc@google.com").await.expect("read"), Some(first.clone()));
    let names = acme.of(&[second.clone(), first.clone()]).await.expect("read");
    assert_eq!(names, [None, Some("abc@google.com".to_owned())]);
    assert_eq!(of("other").named("abc@google.com").await.expect("read"), None);
    assert_eq!(acme.named("xyz").await.expect("read"), None);
    // The appointment was made anew: the name goes with it.
    acme.note(&second, "abc@google.com").await.expect("noted");
    assert_eq!(acme.named("abc@google.com").await.expect("read"), Some(second));
}
