//! The promises of every side of a files sync, kept by Sell's documents, which nobody can write. The suite works at one
//! organisation.
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::files::settings::Records;
use tandem_core::record::RemoteId;
use tandem_ports::files::FileSide;
use tandem_sell::fake::{FakeSell, Fault};
use tandem_sell::{FileOptions, SellConfig, SellDocuments};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::files_conformance::{FilesHarness, WireFault};
use tandem_testkit::within::Within;

const ACCOUNT: &str = "jan@example.com";

struct Harness {
    clock: Arc<ManualClock>,
    fake: Arc<FakeSell>,
    company: u64,
    side: Arc<dyn FileSide>,
}

fn harness() -> Harness {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeSell::new(clock.clone()).shared();
    let made =
        fake.order("POST", "contacts", &json!({"account": ACCOUNT, "data": {"name": "Acme", "is_organization": true}}));
    let company = made["data"]["id"].as_u64().expect("an id");
    let options = FileOptions { modules: vec!["companies".to_owned()], records: Records::All };
    let (transport, bare) = (fake.authorised(ACCOUNT), fake.clone());
    let side = SellDocuments::new(transport, bare, clock.clone(), SellConfig::default(), options);
    let side = Arc::new(Within { side, record: RemoteId::new(format!("contact:{company}")) });
    Harness { clock, fake, company, side }
}

impl Harness {
    fn at(&self, name: &str) -> Vec<(u64, Vec<u8>)> {
        let all = self.fake.documents(ACCOUNT).into_iter();
        all.filter(|(_, own, _)| own == name).map(|(id, _, bytes)| (id, bytes)).collect()
    }
}

impl FilesHarness for Harness {
    fn side(&self) -> Arc<dyn FileSide> {
        Arc::clone(&self.side)
    }
    fn user_saves(&self, path: &str, bytes: &[u8]) {
        // People work slower than a second, which is all that Sell's times tell apart.
        self.clock.advance(Duration::from_secs(1));
        let Some((id, _)) = self.at(path).pop() else {
            self.fake.user_uploads(ACCOUNT, ("contact", self.company), path, bytes);
            return;
        };
        let text = std::str::from_utf8(bytes).expect("people type text");
        self.fake.order("PATCH", "documents", &json!({"account": ACCOUNT, "id": id, "text": text}));
    }
    fn user_makes_folder(&self, _path: &str) {
        unreachable!("there are no folders at Sell")
    }
    fn user_moves(&self, _from: &str, _to: &str) {
        unreachable!("nothing moves at Sell")
    }
    fn user_deletes(&self, path: &str) {
        let (id, _) = self.at(path).pop().expect("it is there");
        self.fake.order("DELETE", "documents", &json!({"account": ACCOUNT, "id": id}));
    }
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.at(path).pop().map(|(_, bytes)| bytes)
    }
    fn count(&self, path: &str) -> usize {
        self.at(path).len()
    }
    fn fault(&self, after: usize, fault: WireFault) {
        let fault = match fault {
            // Nothing is done by a read: a lost answer is a lost request.
            WireFault::LoseAnswer => Fault::LoseRequest,
            WireFault::ServerError => Fault::ServerError,
            WireFault::Throttle(seconds) => Fault::Throttle { retry_after: Some(seconds) },
            WireFault::Revoke => return drop(self.fake.order("POST", "revoke", &json!({"account": ACCOUNT}))),
        };
        self.fake.inject_after(after, fault);
    }
    /// They are places of ours in lists.
    fn expire_cursors(&self) {}
}

tandem_testkit::files_conformance!(harness);
