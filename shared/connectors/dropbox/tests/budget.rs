//! What things cost, in calls and in bytes.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_core::files::entry::{EntryKind, HashKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::record::{Marker, RemoteId};
use tandem_dropbox::fake::{FakeDropbox, Fault, UserFile};
use tandem_dropbox::{DropboxConfig, DropboxFiles, Sessions};
use tandem_ports::error::ErrorKind;
use tandem_ports::files::{
    Attempt, CHUNK, EntryRef, FileChange, FileNext, FileSide, FolderRef, Name, NewFolder, Relocation, SessionStatus,
    Target, Upload,
};
use tandem_ports::infra::{Clock, HttpTransport, TransportError};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

fn dropbox() -> (Arc<FakeDropbox>, DropboxFiles) {
    let fake = FakeDropbox::new(Arc::new(ManualClock::default())).shared();
    let side = DropboxFiles::new(fake.authorised(ACCOUNT), DropboxConfig::default());
    (fake, side)
}

fn root() -> FolderRef {
    FolderRef { id: RemoteId::new("app-folder"), path: String::new() }
}

fn upload(name: &str, size: u64) -> Upload {
    Upload {
        target: Target::New { id: None, parent: root(), name: Name(name.to_owned()) },
        size,
        hashes: Hashes::none(),
        content_type: "application/octet-stream".to_owned(),
        modified_at: None,
        marker: Marker::new("row"),
        attempt: Attempt::First,
    }
}

/// A wire that takes its time, and knows how much was under way at once.
struct Slow {
    inner: Arc<dyn HttpTransport>,
    calls: Gauge,
    bytes: Gauge,
}

#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn add(&self, amount: usize) {
        let now = self.now.fetch_add(amount, Ordering::SeqCst) + amount;
        self.most.fetch_max(now, Ordering::SeqCst);
    }
    fn sub(&self, amount: usize) {
        self.now.fetch_sub(amount, Ordering::SeqCst);
    }
    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl HttpTransport for Slow {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let size = request.body().len();
        self.calls.add(1);
        self.bytes.add(size);
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let answer = self.inner.send(request).await;
        self.calls.sub(1);
        self.bytes.sub(size);
        answer
    }
}

#[tokio::test]
async fn small_files_are_sent_side_by_side_and_never_more_than_the_side_says() {
    let fake = FakeDropbox::new(Arc::new(ManualClock::default())).shared();
    let wire = Arc::new(Slow { inner: fake.authorised(ACCOUNT), calls: Gauge::default(), bytes: Gauge::default() });
    let side = DropboxFiles::new(Arc::clone(&wire) as Arc<_>, DropboxConfig::default());
    let bytes = Bytes::from(vec![1; 64 * 1024]);
    let files: Vec<_> = (0..200).map(|n| (upload(&format!("{n}.bin"), 64 * 1024), bytes.clone())).collect();
    assert!(side.put(&files).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(wire.calls.most(), side.capabilities().concurrent_calls);
}

/// As many appends as the side allows, whatever of the answers: what is under way fits into 64 MiB.
#[tokio::test]
async fn the_appends_that_may_be_under_way_hold_less_than_64_mib() {
    let fake = FakeDropbox::new(Arc::new(ManualClock::default())).shared();
    fake.set(|settings| settings.keep_bytes = 0);
    let wire = Arc::new(Slow { inner: fake.authorised(ACCOUNT), calls: Gauge::default(), bytes: Gauge::default() });
    let side = DropboxFiles::new(Arc::clone(&wire) as Arc<_>, DropboxConfig::default());
    let most = side.capabilities().concurrent_appends;
    let pieces = 3 * most as u64;
    let upload = upload("large.bin", pieces * CHUNK + 5);
    let session = side.begin(&upload).await.unwrap();
    let piece = Bytes::from(vec![7; usize::try_from(CHUNK).unwrap()]);
    let sends = (0..pieces).map(|n| side.append(&session, &upload, n * CHUNK, piece.clone()));
    let sent: Vec<_> =
        futures::StreamExt::collect(futures::StreamExt::buffered(futures::stream::iter(sends), most)).await;
    assert!(sent.iter().all(Result::is_ok));
    let mut digests = Digests::default();
    (0..pieces).for_each(|_| digests.update(&piece));
    digests.update(b"last!");
    side.finish(&session, &upload, pieces * CHUNK, Bytes::from_static(b"last!"), &digests.hashes()).await.unwrap();
    assert_eq!(wire.calls.most(), most);
    assert!(wire.bytes.most() <= 64 * 1024 * 1024, "{} bytes", wire.bytes.most());
}

#[tokio::test]
async fn a_thousand_small_files_cost_a_call_each_and_one_commit() {
    let (fake, side) = dropbox();
    let bytes = |n: usize| Bytes::from(vec![u8::try_from(n % 251).unwrap(); 4096]);
    let files: Vec<_> = (0..1000).map(|n| (upload(&format!("{n}.bin"), 4096), bytes(n))).collect();
    let stored = side.put(&files).await.unwrap();
    assert!(stored.iter().all(Result::is_ok));
    let calls = fake.calls();
    assert_eq!(calls.len(), 1001);
    let sent: usize = calls.iter().filter(|(path, _)| path.ends_with("/start")).map(|(_, bytes)| bytes).sum();
    assert_eq!(sent, 1000 * 4096);
    assert_eq!(fake.state(ACCOUNT)["entries"].as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn one_throttled_file_does_not_undo_the_others() {
    let (fake, side) = dropbox();
    fake.inject(&[Fault::Pass, Fault::TooManyWrites { retry_after: Some(3) }]);
    let files: Vec<_> = (0..3).map(|n| (upload(&format!("{n}.txt"), 2), Bytes::from_static(b"hi"))).collect();
    let kinds: Vec<_> = side.put(&files).await.unwrap().into_iter().map(|o| o.err().map(|e| e.kind)).collect();
    let throttled = ErrorKind::Throttled { retry_after: Some(std::time::Duration::from_secs(3)) };
    assert_eq!(kinds, [None, Some(throttled), None]);
}

#[tokio::test]
async fn nothing_to_do_is_one_call_and_a_folder_of_two_hundred_moves_in_one_and_is_told_with_its_ids() {
    let (fake, side) = dropbox();
    for n in 0..200 {
        let file = UserFile { path: format!("/Old/{n}.txt"), text: n.to_string(), ..UserFile::default() };
        fake.user_saves(ACCOUNT, &file);
    }
    let mut page = side.changes(None).await.unwrap();
    let FileNext::CaughtUp(cursor) = page.next else { panic!("one page") };
    let FileChange::Upsert(folder) = page.changes.remove(0) else { panic!("the folder comes first") };
    assert_eq!(folder.kind, EntryKind::Folder);
    fake.forget_calls();
    assert!(side.changes(Some(&cursor)).await.unwrap().changes.is_empty());
    assert_eq!(fake.calls().len(), 1);
    fake.forget_calls();
    let entry = EntryRef { id: folder.id.clone(), parent: root(), name: Name("Old".to_owned()) };
    let relocation = Relocation { entry, expect: folder.version.clone(), parent: root(), name: Name("New".to_owned()) };
    let moved = side.relocate(&relocation).await.unwrap();
    assert_eq!(moved.id, folder.id);
    let moves = fake.calls().iter().filter(|(path, _)| path.ends_with("/move_v2")).count();
    assert_eq!((moves, fake.calls().len()), (1, 2));
    let told = side.changes(Some(&cursor)).await.unwrap().changes;
    assert!(matches!(&told[0], FileChange::GoneAt { key } if key == "old"));
    assert!(matches!(&told[1], FileChange::Upsert(entry) if entry.id == folder.id));
    assert_eq!(told.len(), 202);
}

/// 2 GB whose pieces repeat, so that nobody has to hold them.
const LARGE: u64 = 2 * 1024 * 1024 * 1024 + 12_345;

fn pattern() -> Bytes {
    (0..CHUNK).map(|at| u8::try_from(at * 7 % 253).expect("below 253")).collect::<Vec<u8>>().into()
}

fn piece(offset: u64, pattern: &Bytes) -> Bytes {
    pattern.slice(0..usize::try_from((LARGE - offset).min(CHUNK)).expect("a piece"))
}

/// The content hash of it all. As its pieces are whole blocks and repeat, few bytes need be hashed for it.
fn expected(pattern: &Bytes) -> Hashes {
    use sha2::{Digest as _, Sha256};
    let block = pattern.len() / 2;
    let halves = [Sha256::digest(&pattern[..block]), Sha256::digest(&pattern[block..])].concat();
    let mut whole = Sha256::new();
    (0..LARGE / CHUNK).for_each(|_| whole.update(&halves));
    whole.update(Sha256::digest(piece(LARGE / CHUNK * CHUNK, pattern)));
    Hashes::of(HashKind::BlockSha256, hex::encode(whole.finalize()))
}

/// Sends all of it, losing three answers on the way, that of the commit among them; the bytes that went over the wire.
async fn stream(sessions: Sessions) -> u64 {
    let (fake, side) = dropbox();
    fake.set(|settings| settings.keep_bytes = 1024 * 1024);
    let side = side.with_sessions(sessions);
    let pattern = pattern();
    let whole = expected(&pattern);
    let upload = upload("large.bin", LARGE);
    let session = side.begin(&upload).await.expect("a session");
    let mut offset = 0;
    let mut lost = vec![80 * CHUNK, 200 * CHUNK, LARGE / CHUNK * CHUNK];
    fake.forget_calls();
    loop {
        let bytes = piece(offset, &pattern);
        if let Some(at) = lost.iter().position(|at| *at == offset) {
            lost.remove(at);
            fake.inject(&[Fault::LoseAnswer]);
        }
        let failed = if offset + CHUNK >= LARGE {
            match side.finish(&session, &upload, offset, bytes, &whole).await {
                Ok(stored) => {
                    let EntryKind::File { size, hashes, .. } = stored.entry.kind else { panic!("a file") };
                    assert_eq!((size, hashes.same(&whole)), (LARGE, Some(true)));
                    return fake.calls().iter().map(|(_, bytes)| *bytes as u64).sum();
                }
                Err(failure) => failure,
            }
        } else {
            match side.append(&session, &upload, offset, bytes).await {
                Ok(()) => {
                    offset += CHUNK;
                    continue;
                }
                Err(failure) => failure,
            }
        };
        assert_eq!(failed.kind, ErrorKind::Retryable);
        match side.status(&session, &upload, offset).await.expect("a status") {
            SessionStatus::At(at) => offset = at,
            SessionStatus::Done(_) | SessionStatus::Lost => panic!("it goes on"),
        }
    }
}

#[tokio::test]
async fn two_gigabytes_go_on_at_dropboxs_own_offset_and_only_the_last_piece_is_sent_twice() {
    let sent = stream(Sessions::Sequential).await;
    let last = LARGE % CHUNK;
    let twice = sent - LARGE;
    assert!(twice <= last + 4096, "{twice} bytes were sent twice");
}

#[tokio::test]
async fn two_gigabytes_in_concurrent_pieces_send_again_what_was_not_answered_and_no_more() {
    let sent = stream(Sessions::Concurrent).await;
    // Dropbox does not say which pieces of a concurrent session arrived.
    let twice = sent - LARGE;
    assert!(twice <= 2 * CHUNK + LARGE % CHUNK + 4096, "{twice} bytes were sent twice");
}

#[tokio::test]
async fn a_batch_that_dropbox_works_on_by_itself_is_asked_for_with_growing_pauses_and_not_for_ever() {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeDropbox::new(clock.clone()).shared();
    let wire = Arc::new(Slow { inner: fake.authorised(ACCOUNT), calls: Gauge::default(), bytes: Gauge::default() });
    let side = DropboxFiles::new(Arc::clone(&wire) as Arc<_>, DropboxConfig::default()).with_clock(clock.clone());
    let folders = |from: usize| -> Vec<NewFolder> {
        let folder = |n: usize| NewFolder {
            id: None,
            parent: root(),
            name: Name(format!("folder {n}")),
            marker: Marker::new("row"),
            attempt: Attempt::First,
        };
        (from..from + 51).map(folder).collect()
    };
    fake.set(|settings| settings.batch_checks = 6);
    let before = clock.now();
    assert_eq!(side.create_folders(&folders(0)).await.expect("made").len(), 51);
    assert!(clock.now().duration_since(before).as_secs() >= 5);
    fake.set(|settings| settings.batch_checks = 1_000);
    let refused = side.create_folders(&folders(100)).await.expect_err("it takes too long");
    assert_eq!(refused.kind, ErrorKind::Retryable);
    assert!(clock.now().duration_since(before).as_secs() < 60);
}
