//! Uploads by address: what comes of bytes that arrive while others do, and while folders and files go.
use crate::common::{World, object};
use bytes::Bytes;
use serde_json::json;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tandem_builtin::files::{BegunUpload, BuiltinFiles, FileOptions};
use tandem_builtin::users::User;
use tandem_builtin::{CrmError, Files, Kind};
use tandem_core::files::settings::Records;
use tandem_ports::blobs::{BlobKey, BlobStore};
use tandem_testkit::blobs::MemoryBlobs;
use tandem_testkit::memory::MemoryTable;

pub(crate) struct Desk {
    pub world: World,
    pub blobs: Arc<MemoryBlobs>,
    pub files: Files,
    pub company: String,
}

pub(crate) async fn desk() -> Desk {
    desk_in(World::new().await).await
}

async fn desk_in(world: World) -> Desk {
    let blobs = Arc::new(MemoryBlobs::default());
    let files = Files::new(world.crm.clone(), blobs.clone());
    let company = world.crm.create(&world.admin, Kind::Company, &object(json!({"name": "Acme"}))).await.unwrap();
    Desk { company: company.id, world, blobs, files }
}

impl Desk {
    pub async fn side(&self, actor: &User, records: Records) -> BuiltinFiles {
        let modules = ["contacts", "companies", "projects"].map(str::to_owned).to_vec();
        let (table, clock) = (self.world.table.clone(), self.world.clock.clone());
        let who = (actor.account.as_str(), actor.id.as_str());
        BuiltinFiles::open(table, clock, self.blobs.clone(), who, FileOptions { modules, records }).await.unwrap()
    }

    /// Uploads by an address, as a browser does.
    pub async fn upload(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<String, CrmError> {
        self.upload_to(("company", &self.company), folder, name, bytes).await
    }

    pub async fn upload_to(
        &self,
        (kind, id): (&str, &str),
        folder: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<String, CrmError> {
        let subject = json!({"type": kind, "id": id});
        let input = object(json!({"subject": subject, "folder": folder, "name": name}));
        let begun = self.files.begin(&self.world.admin, &input).await?;
        self.arrive(&begun.address.url, bytes).await;
        Ok(begun.id)
    }

    pub async fn arrive(&self, url: &str, bytes: &[u8]) {
        let key = BlobKey(url.strip_prefix("memory://").unwrap().to_owned());
        self.blobs.put(&key, Bytes::copy_from_slice(bytes)).await.unwrap();
    }
}

impl Desk {
    async fn begin(&self, folder: &str, name: &str) -> BegunUpload {
        let subject = json!({"type": "company", "id": self.company});
        let input = object(json!({"subject": subject, "folder": folder, "name": name}));
        self.files.begin(&self.world.admin, &input).await.unwrap()
    }

    async fn make_folder(&self, path: &str) -> String {
        let subject = json!({"type": "company", "id": self.company});
        let input = object(json!({"subject": subject, "path": path}));
        let made = self.files.make_folder(&self.world.admin, &input).await.unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    /// The company's files: where they are, and their bytes.
    async fn held(&self) -> BTreeMap<String, Vec<u8>> {
        let (items, next) = self.files.list(&self.world.admin, &self.company, None).await.unwrap();
        assert_eq!(next, None);
        let mut held = BTreeMap::new();
        for file in items.iter().filter(|item| !item["sha256"].is_null()) {
            let (folder, name) = (file["folder"].as_str().unwrap(), file["name"].as_str().unwrap());
            let path = [folder, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
            let address = self.files.content(&self.world.admin, file["id"].as_str().unwrap()).await.unwrap();
            let key = BlobKey(address.url.strip_prefix("memory://").unwrap().to_owned());
            let size = file["size"].as_u64().unwrap();
            let bytes = self.blobs.get(&key, 0..size).await.unwrap();
            assert!(held.insert(path, bytes.to_vec()).is_none(), "a name occurs once: {held:?}");
        }
        assert_eq!(self.blobs.keys().len(), held.len(), "no bytes without a file: {held:?}");
        held
    }

    /// A request settles what has come; after so many of its steps it rests until the rest was done.
    async fn settle_around(&self, steps: usize, rest: impl Future<Output = ()>) {
        let mut settling = pin!(self.files.settle(&self.world.admin));
        for _ in 0..steps {
            if let Poll::Ready(settled) = futures::poll!(settling.as_mut()) {
                settled.unwrap();
                return rest.await;
            }
        }
        rest.await;
        settling.await.unwrap();
    }
}

/// More than one upload takes to be settled.
const STEPS: usize = 40;

fn files<const N: usize>(held: [(&str, &str); N]) -> BTreeMap<String, Vec<u8>> {
    held.into_iter().map(|(path, bytes)| (path.to_owned(), bytes.as_bytes().to_vec())).collect()
}

#[tokio::test]
async fn bytes_that_two_workers_find_at_once_are_kept() {
    for steps in 0..STEPS {
        let desk = desk_in(World::on(MemoryTable::default().with_turns()).await).await;
        desk.upload("Plans", "plan.txt", b"plan").await.unwrap();
        desk.settle_around(steps, async { desk.files.settle(&desk.world.admin).await.unwrap() }).await;
        assert_eq!(desk.held().await, files([("Plans/plan.txt", "plan")]), "{steps} steps");
    }
}

#[tokio::test]
async fn two_uploads_of_one_name_are_both_kept() {
    for steps in 0..STEPS {
        let desk = desk_in(World::on(MemoryTable::default().with_turns()).await).await;
        let one = desk.begin("Plans", "plan.v2.txt").await;
        desk.world.clock.advance(Duration::from_millis(1));
        let other = desk.begin("Plans", "plan.v2.txt").await;
        desk.arrive(&other.address.url, b"the other").await;
        desk.arrive(&one.address.url, b"one").await;
        desk.settle_around(steps, async { desk.files.settle(&desk.world.admin).await.unwrap() }).await;
        let expected = files([("Plans/plan.v2.txt", "one"), ("Plans/plan.v2 (2).txt", "the other")]);
        assert_eq!(desk.held().await, expected, "{steps} steps");
        let shown = desk.files.show(&desk.world.admin, &other.id).await.unwrap();
        assert_eq!(shown["name"], "plan.v2 (2).txt", "the id that was promised leads to it");
    }
}

#[tokio::test]
async fn names_that_differ_in_case_are_two_names() {
    let desk = desk().await;
    let (one, other) = (desk.begin("", "Plan.txt").await, desk.begin("", "plan.TXT").await);
    desk.arrive(&one.address.url, b"one").await;
    desk.arrive(&other.address.url, b"other").await;
    assert_eq!(desk.held().await, files([("Plan.txt", "one"), ("plan.TXT", "other")]));
}

#[tokio::test]
async fn an_upload_whose_name_became_a_folders_is_kept_beside_it() {
    let desk = desk().await;
    let begun = desk.begin("", "Plans").await;
    desk.make_folder("Plans").await;
    desk.arrive(&begun.address.url, b"a file").await;
    assert_eq!(desk.held().await, files([("Plans (2)", "a file")]));
}

#[tokio::test]
async fn an_upload_into_a_folder_that_went_is_kept_at_the_top_of_its_record() {
    let desk = desk().await;
    let folder = desk.make_folder("Plans").await;
    desk.upload("", "plan.txt", b"at the top").await.unwrap();
    let begun = desk.begin("Plans/2026", "plan.txt").await;
    desk.files.remove(&desk.world.admin, &folder, None).await.unwrap();
    desk.arrive(&begun.address.url, b"in a folder").await;
    assert_eq!(desk.held().await, files([("plan.txt", "at the top"), ("plan (2).txt", "in a folder")]));
}

#[tokio::test]
async fn an_upload_to_a_record_that_went_comes_to_nothing() {
    let desk = desk().await;
    let begun = desk.begin("", "plan.txt").await;
    desk.world.crm.delete(&desk.world.admin, Kind::Company, &desk.company, None).await.unwrap();
    desk.arrive(&begun.address.url, b"plan").await;
    desk.files.settle(&desk.world.admin).await.unwrap();
    assert!(desk.blobs.keys().is_empty());
}

#[tokio::test]
async fn new_bytes_of_a_file_that_was_deleted_meanwhile_are_kept() {
    let desk = desk().await;
    let id = desk.upload("Plans", "plan.txt", b"plan").await.unwrap();
    let new = desk.files.begin_replacement(&desk.world.admin, &id).await.unwrap();
    desk.files.remove(&desk.world.admin, &id, None).await.unwrap();
    assert_eq!(desk.held().await, files([]));
    desk.arrive(&new.address.url, b"a better plan").await;
    assert_eq!(desk.held().await, files([("Plans/plan.txt", "a better plan")]));
}

#[tokio::test]
async fn a_file_that_is_deleted_after_its_new_bytes_came_stays_deleted() {
    let desk = desk().await;
    let id = desk.upload("", "plan.txt", b"plan").await.unwrap();
    let new = desk.files.begin_replacement(&desk.world.admin, &id).await.unwrap();
    desk.arrive(&new.address.url, b"a better plan").await;
    assert!(matches!(desk.files.remove(&desk.world.admin, &id, Some(1)).await, Err(CrmError::Stale)));
    desk.files.remove(&desk.world.admin, &id, None).await.unwrap();
    assert_eq!(desk.held().await, files([]));
}

#[tokio::test]
async fn a_second_replacement_that_is_begun_takes_nothing_from_the_first() {
    let desk = desk().await;
    let id = desk.upload("", "plan.txt", b"plan").await.unwrap();
    let first = desk.files.begin_replacement(&desk.world.admin, &id).await.unwrap();
    desk.arrive(&first.address.url, b"a better plan").await;
    // Nobody has looked, and the second one's bytes never come.
    desk.files.begin_replacement(&desk.world.admin, &id).await.unwrap();
    assert_eq!(desk.held().await, files([("plan.txt", "a better plan")]));
}

#[tokio::test]
async fn a_deleted_file_does_not_come_back_by_a_worker_that_read_its_upload_before() {
    for steps in 0..STEPS {
        let desk = desk_in(World::on(MemoryTable::default().with_turns()).await).await;
        let id = desk.upload("", "plan.txt", b"plan").await.unwrap();
        let delete = async { desk.files.remove(&desk.world.admin, &id, None).await.unwrap() };
        desk.settle_around(steps, delete).await;
        assert_eq!(desk.held().await, files([]), "{steps} steps");
    }
}

#[tokio::test]
async fn uploads_that_are_given_up_hold_nobody_up() {
    let desk = desk().await;
    for n in 0..101 {
        desk.begin("Given up", &format!("{n}.txt")).await;
    }
    desk.world.clock.advance(Duration::from_secs(1));
    desk.upload("", "plan.txt", b"plan").await.unwrap();
    assert_eq!(desk.held().await, files([("plan.txt", "plan")]));
}
