//! The promises of every side of a files sync, kept by Teamleader's files. The suite works in one company.
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::files::settings::Records;
use tandem_core::record::RemoteId;
use tandem_ports::files::FileSide;
use tandem_teamleader::fake::{FakeTeamleader, Fault, Strictness, UserFile};
use tandem_teamleader::{FileOptions, TeamleaderConfig, TeamleaderFiles};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::files_conformance::{FilesHarness, WireFault};
use tandem_testkit::within::Within;

const ACCOUNT: &str = "jan@example.com";

struct Harness {
    clock: Arc<ManualClock>,
    fake: Arc<FakeTeamleader>,
    company: String,
    side: Arc<dyn FileSide>,
}

fn harness() -> Harness {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeTeamleader::new(clock.clone()).shared();
    fake.set(|settings| settings.strictness = Strictness::Refuse);
    let body = json!({"name": "Acme"}).as_object().cloned().expect("an object");
    let company = fake.user_creates_company(ACCOUNT, &body);
    let options = FileOptions { modules: vec!["companies".to_owned()], records: Records::All };
    let side = TeamleaderFiles::new(
        fake.authorised(ACCOUNT),
        fake.clone(),
        clock.clone(),
        TeamleaderConfig::default(),
        options,
    );
    let side = Arc::new(Within { side, record: RemoteId::new(format!("company:{company}")) });
    Harness { clock, fake, company, side }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Harness {
    fn at(&self, path: &str) -> Vec<(String, Bytes)> {
        let (folder, name) = split(path);
        let folder = if folder.is_empty() { "General" } else { folder };
        let files = self.fake.files_of(ACCOUNT).into_iter();
        files.filter(|file| file.folder == folder && file.name == name).map(|file| (file.id, file.bytes)).collect()
    }
}

impl FilesHarness for Harness {
    fn side(&self) -> Arc<dyn FileSide> {
        Arc::clone(&self.side)
    }
    fn user_saves(&self, path: &str, bytes: &[u8]) {
        // People work slower than a second, which is all that Teamleader's times tell apart.
        self.clock.advance(Duration::from_secs(1));
        let (folder, name) = split(path);
        let text = String::from_utf8(bytes.to_vec()).expect("people type text");
        let (kind, record) = ("company".to_owned(), self.company.clone());
        let file = UserFile { kind, record, folder: folder.to_owned(), name: name.to_owned(), text };
        self.fake.user_saves_file(ACCOUNT, &file);
    }
    /// A folder is there as long as a file is in it.
    fn user_makes_folder(&self, _path: &str) {}
    fn user_moves(&self, _from: &str, _to: &str) {
        unreachable!("nothing moves at Teamleader")
    }
    fn user_deletes(&self, path: &str) {
        let (id, _) = self.at(path).pop().expect("it is there");
        assert!(self.fake.user_deletes_file(ACCOUNT, &id));
    }
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.at(path).pop().map(|(_, bytes)| bytes.to_vec())
    }
    fn count(&self, path: &str) -> usize {
        self.at(path).len()
    }
    fn fault(&self, after: usize, fault: WireFault) {
        let fault = match fault {
            WireFault::LoseAnswer => Fault::LoseAnswer,
            WireFault::ServerError => Fault::ServerError,
            WireFault::Throttle(seconds) => Fault::Throttle { seconds: i64::try_from(seconds).expect("a few") },
            WireFault::Revoke => return self.fake.revoke(ACCOUNT),
        };
        self.fake.inject_after(after, fault);
    }
    /// They are places of ours in lists.
    fn expire_cursors(&self) {}
}

tandem_testkit::files_conformance!(harness);
