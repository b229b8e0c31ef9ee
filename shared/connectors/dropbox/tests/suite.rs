//! The connector keeps every promise of the suite, with either kind of upload session.
use std::sync::Arc;
use tandem_dropbox::fake::{FakeDropbox, Fault, Switch, UserFile};
use tandem_dropbox::{DropboxConfig, DropboxFiles, Sessions};
use tandem_ports::files::FileSide;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::files_conformance::{FilesHarness, WireFault};

const ACCOUNT: &str = "jan@example.com";

struct Harness {
    fake: Arc<FakeDropbox>,
    side: Arc<dyn FileSide>,
}

/// `open`: how the account behaves in what the reference leaves open.
fn harness(sessions: Sessions, open: Switch) -> Harness {
    let fake = FakeDropbox::new(Arc::new(ManualClock::default())).shared();
    fake.set(|settings| {
        settings.page = 3;
        settings.move_makes_rev = open;
        settings.children_first = open;
    });
    let side = DropboxFiles::new(fake.authorised(ACCOUNT), DropboxConfig::default()).with_sessions(sessions);
    Harness { fake, side: Arc::new(side) }
}

impl FilesHarness for Harness {
    fn side(&self) -> Arc<dyn FileSide> {
        Arc::clone(&self.side)
    }
    fn user_saves(&self, path: &str, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).expect("people type text");
        self.fake.user_saves(ACCOUNT, &UserFile { path: format!("/{path}"), text, ..UserFile::default() });
    }
    fn user_makes_folder(&self, path: &str) {
        self.fake.user_makes_folder(ACCOUNT, &format!("/{path}"));
    }
    fn user_moves(&self, from: &str, to: &str) {
        self.fake.user_moves(ACCOUNT, &format!("/{from}"), &format!("/{to}"));
    }
    fn user_deletes(&self, path: &str) {
        assert!(self.fake.user_deletes(ACCOUNT, &format!("/{path}")));
    }
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.fake.bytes(ACCOUNT, &format!("/{path}"))
    }
    fn count(&self, path: &str) -> usize {
        let state = self.fake.state(ACCOUNT);
        let wanted = format!("/{path}").to_lowercase();
        let entries = state["entries"].as_array().expect("a list");
        entries.iter().filter(|entry| entry["path_lower"] == wanted.as_str()).count()
    }
    fn fault(&self, after: usize, fault: WireFault) {
        let mut faults = vec![Fault::Pass; after];
        match fault {
            WireFault::LoseAnswer => faults.push(Fault::LoseAnswer),
            WireFault::ServerError => faults.push(Fault::ServerError),
            WireFault::Throttle(seconds) => faults.push(Fault::TooManyWrites { retry_after: Some(seconds) }),
            WireFault::Revoke => self.fake.revoke(ACCOUNT),
        }
        self.fake.inject_only(&faults);
    }
    fn expire_cursors(&self) {
        self.fake.expire_cursors();
    }
}

mod concurrent {
    use super::*;
    tandem_testkit::files_conformance!((|| harness(Sessions::Concurrent, Switch::No)));
}

mod sequential {
    use super::*;
    tandem_testkit::files_conformance!((|| harness(Sessions::Sequential, Switch::Yes)));
}
