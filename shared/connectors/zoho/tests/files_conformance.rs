//! The promises of every side of a files sync, kept by Zoho's attachments. The suite works at one account (company).
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::files::settings::Records;
use tandem_core::record::RemoteId;
use tandem_ports::files::FileSide;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::files_conformance::{FilesHarness, WireFault};
use tandem_testkit::within::Within;
use tandem_zoho::fake::{AttachmentView, FakeZoho, Fault};
use tandem_zoho::{FileOptions, ZohoFiles};

const ACCOUNT: &str = "jan@example.com";

struct Harness {
    clock: Arc<ManualClock>,
    fake: Arc<FakeZoho>,
    company: String,
    side: Arc<dyn FileSide>,
}

fn harness() -> Harness {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeZoho::new(clock.clone()).shared();
    let company = fake.user_creates(ACCOUNT, "Accounts", json!({"Account_Name": "Acme"}));
    let options = FileOptions { modules: vec!["companies".to_owned()], records: Records::All };
    let origin = "https://www.zohoapis.eu".to_owned();
    let side = ZohoFiles::new(fake.authorised(ACCOUNT), clock.clone(), origin, options);
    let side = Arc::new(Within { side, record: RemoteId::new(format!("Accounts:{company}")) });
    Harness { clock, fake, company, side }
}

impl Harness {
    fn at(&self, name: &str) -> Vec<AttachmentView> {
        self.fake.attachments().into_iter().filter(|one| one.name == name).collect()
    }
}

impl FilesHarness for Harness {
    fn side(&self) -> Arc<dyn FileSide> {
        Arc::clone(&self.side)
    }
    fn user_saves(&self, path: &str, bytes: &[u8]) {
        // People work slower than a second, which is all that Zoho's times tell apart.
        self.clock.advance(Duration::from_secs(1));
        match self.at(path).pop() {
            Some(one) => assert!(self.fake.user_edits_attachment(&one.id, bytes)),
            None => drop(self.fake.user_attaches(ACCOUNT, "Accounts", &self.company, path, bytes)),
        }
    }
    fn user_makes_folder(&self, _path: &str) {
        unreachable!("there are no folders at Zoho")
    }
    fn user_moves(&self, _from: &str, _to: &str) {
        unreachable!("nothing moves at Zoho")
    }
    fn user_deletes(&self, path: &str) {
        assert!(self.fake.user_detaches(&self.at(path).pop().expect("it is there").id));
    }
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.at(path).pop().map(|one| one.bytes.to_vec())
    }
    fn count(&self, path: &str) -> usize {
        self.at(path).len()
    }
    fn fault(&self, after: usize, fault: WireFault) {
        let fault = match fault {
            WireFault::LoseAnswer => Fault::LoseAnswer,
            WireFault::ServerError => Fault::ServerError,
            WireFault::Throttle(seconds) => Fault::Throttle { retry_after: Some(seconds) },
            WireFault::Revoke => return self.fake.revoke(ACCOUNT),
        };
        self.fake.inject_after(after, fault);
    }
    /// They are places of ours in lists.
    fn expire_cursors(&self) {}
}

tandem_testkit::files_conformance!(harness);
