//! The promises of every side of a files sync, kept over the table and the object store in memory.
//!
//! The suite works in one company, since nobody puts files into the CRM itself. Left out: `each_trouble_has_its_kind`. The
//! table neither throttles with a time nor revokes; what it does has a test of its own below.
use crate::common::{World, object};
use bytes::Bytes;
use futures::FutureExt;
use serde_json::{Value, json};
use std::sync::Arc;
use tandem_builtin::files::{BuiltinFiles, FileOptions};
use tandem_builtin::{Files, Kind};
use tandem_core::files::settings::Records;
use tandem_core::record::RemoteId;
use tandem_ports::blobs::{BlobKey, BlobStore};
use tandem_ports::error::ErrorKind;
use tandem_ports::files::{EntryRef, FileSide};
use tandem_testkit::blobs::MemoryBlobs;
use tandem_testkit::fault::{Fault, Faults};
use tandem_testkit::files_conformance::{FilesHarness, WireFault, new_root};
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::within::Within;

/// A CRM with one company, whose files an administrator works with through the API's ways.
struct Harness {
    world: World,
    files: Files,
    blobs: Arc<MemoryBlobs>,
    faults: Arc<Faults>,
    company: String,
    segment: String,
    side: Arc<dyn FileSide>,
}

/// Nothing in memory ever waits.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().unwrap()
}

fn harness() -> Harness {
    let faults = Arc::new(Faults::default());
    let world = at_once(World::on(MemoryTable::with_faults(faults.clone())));
    let blobs = Arc::new(MemoryBlobs::with_faults(faults.clone()));
    let company = at_once(world.make(Kind::Company, json!({"name": "Acme"}))).id;
    let filter = json!({"name": "All", "module": "companies", "filter": named("Acme")});
    let segment = at_once(world.make(Kind::Segment, filter)).id;
    let options = FileOptions { modules: vec!["companies".to_owned()], records: Records::Segment(segment.clone()) };
    let who = (world.admin.account.as_str(), world.admin.id.as_str());
    let side =
        at_once(BuiltinFiles::open(world.table.clone(), world.clock.clone(), blobs.clone(), who, options)).unwrap();
    let side = Arc::new(Within { side, record: RemoteId::new(&company) });
    let files = Files::new(world.crm.clone(), blobs.clone());
    Harness { world, files, blobs, faults, company, segment, side }
}

fn named(name: &str) -> Value {
    json!({"all": [{"field": "name", "op": "eq", "value": name}]})
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Harness {
    /// What is in the company: path and the entry as the API shows it.
    fn entries(&self) -> Vec<(String, Value)> {
        self.faults.clear();
        let (items, _) = at_once(self.files.list(&self.world.admin, &self.company, None)).unwrap();
        let path = |item: &Value| {
            let (folder, name) = (item["folder"].as_str().unwrap(), item["name"].as_str().unwrap());
            if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
        };
        items.into_iter().map(|item| (path(&item), item)).collect()
    }
    fn at(&self, path: &str) -> Option<String> {
        let found = self.entries().into_iter().find(|(at, _)| at == path);
        found.map(|(_, item)| item["id"].as_str().unwrap().to_owned())
    }
    fn subject(&self) -> Value {
        json!({"type": "company", "id": self.company})
    }
}

impl FilesHarness for Harness {
    fn side(&self) -> Arc<dyn FileSide> {
        Arc::clone(&self.side)
    }
    fn user_saves(&self, path: &str, bytes: &[u8]) {
        let begun = match self.at(path) {
            Some(id) => at_once(self.files.begin_replacement(&self.world.admin, &id)).unwrap(),
            None => {
                let (folder, name) = split(path);
                let input = json!({"subject": self.subject(), "folder": folder, "name": name});
                at_once(self.files.begin(&self.world.admin, &object(input))).unwrap()
            }
        };
        let key = BlobKey(begun.address.url.strip_prefix("memory://").unwrap().to_owned());
        at_once(self.blobs.put(&key, Bytes::copy_from_slice(bytes))).unwrap();
        at_once(self.files.settle(&self.world.admin)).unwrap();
    }
    fn user_makes_folder(&self, path: &str) {
        self.faults.clear();
        let input = json!({"subject": self.subject(), "path": path});
        at_once(self.files.make_folder(&self.world.admin, &object(input))).unwrap();
    }
    fn user_moves(&self, from: &str, to: &str) {
        let id = self.at(from).unwrap();
        let (folder, name) = split(to);
        let input = object(json!({"folder": folder, "name": name}));
        at_once(self.files.change(&self.world.admin, &id, None, &input)).unwrap();
    }
    fn user_deletes(&self, path: &str) {
        let id = self.at(path).unwrap();
        at_once(self.files.remove(&self.world.admin, &id, None)).unwrap();
    }
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let id = self.at(path)?;
        let address = at_once(self.files.content(&self.world.admin, &id)).unwrap();
        let key = BlobKey(address.url.strip_prefix("memory://").unwrap().to_owned());
        let size = at_once(self.blobs.size(&key)).unwrap().unwrap();
        Some(at_once(self.blobs.get(&key, 0..size)).unwrap().to_vec())
    }
    fn count(&self, path: &str) -> usize {
        self.entries().iter().filter(|(at, _)| at == path).count()
    }
    fn fault(&self, after: usize, fault: WireFault) {
        self.faults.clear();
        let fault = match fault {
            WireFault::LoseAnswer => Fault::LoseAnswer,
            WireFault::ServerError => Fault::Fail,
            WireFault::Throttle(_) | WireFault::Revoke => panic!("the table does neither"),
        };
        self.faults.ahead(after as u64 + 1, fault);
    }
    fn expire_cursors(&self) {
        // Another filter: which records there are is no longer what was told.
        self.faults.clear();
        let input = object(json!({"filter": named("Other")}));
        at_once(self.world.crm.update(&self.world.admin, Kind::Segment, &self.segment, None, &input)).unwrap();
    }
}

tandem_testkit::files_conformance!(@each harness;
    the_root_is_made_once_and_never_in_place_of_one_that_was_removed,
    small_files_arrive_whole_and_read_back,
    bytes_that_are_not_the_announced_ones_make_no_file,
    a_creation_is_repeated_after_any_lost_answer_and_there_is_one_file,
    another_file_of_that_name_is_never_written_over,
    a_replacement_needs_the_version_that_was_read,
    a_file_that_was_deleted_is_not_brought_back_by_a_replacement,
    a_read_of_bytes_that_were_replaced_is_a_conflict,
    a_large_file_goes_on_after_any_lost_answer,
    a_large_file_whose_hash_is_wrong_leaves_no_file,
    folders_are_made_once,
    a_folder_moves_in_one_step_with_all_that_is_in_it,
    a_move_never_takes_the_place_of_another,
    an_edited_file_is_not_removed_and_a_gone_one_is_removed_already,
    the_feed_tells_what_people_did_and_then_is_quiet,
    an_expired_cursor_is_named_so,
);

#[tokio::test]
async fn a_table_or_store_that_does_not_answer_is_asked_again() {
    let h = harness();
    for fault in [WireFault::ServerError, WireFault::LoseAnswer] {
        h.fault(0, fault);
        assert_eq!(h.side.changes(None).await.unwrap_err().kind, ErrorKind::Retryable, "{fault:?}");
    }
    h.user_saves("a.txt", b"a");
    let id = RemoteId::new(h.at("a.txt").unwrap());
    let parent = h.side.ensure_root(None, &new_root()).await.unwrap();
    let entry = EntryRef { id, parent, name: tandem_ports::files::Name("a.txt".into()) };
    let there = h.side.get(std::slice::from_ref(&entry)).await.unwrap().remove(0).unwrap();
    let tandem_core::files::entry::EntryKind::File { content, .. } = there.kind else { panic!("a file") };
    h.fault(0, WireFault::ServerError);
    assert_eq!(h.side.read(&entry, &content, 0..1).await.unwrap_err().kind, ErrorKind::Retryable);
    assert_eq!(h.side.read(&entry, &content, 0..1).await.unwrap().as_ref(), b"a");
}
