//! What things cost, in calls and in bytes.
use bytes::Bytes;
use std::sync::Arc;
use tandem_core::files::entry::{EntryKind, HashKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::record::{Marker, RemoteId};
use tandem_dropbox::fake::{FakeDropbox, Fault, UserFile};
use tandem_dropbox::{DropboxConfig, DropboxFiles, Sessions};
use tandem_ports::error::ErrorKind;
use tandem_ports::files::{
    Attempt, CHUNK, EntryRef, FileChange, FileNext, FileSide, FolderRef, Name, Relocation, SessionStatus, Target,
    Upload,
};
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

/// 2 GB whose blocks repeat, so that nobody has to hold them.
const LARGE: u64 = 2 * 1024 * 1024 * 1024 + 12_345;

fn piece(offset: u64, pattern: &Bytes) -> Bytes {
    pattern.slice(0..usize::try_from((LARGE - offset).min(CHUNK)).unwrap())
}

/// Sends all of it, losing three answers on the way, that of the commit among them; the bytes that went over the wire.
async fn stream(sessions: Sessions) -> (u64, Hashes) {
    let (fake, side) = dropbox();
    fake.set(|settings| settings.keep_bytes = 1024 * 1024);
    let side = side.with_sessions(sessions);
    let pattern: Bytes = (0..CHUNK).map(|at| u8::try_from(at * 7 % 253).unwrap()).collect::<Vec<u8>>().into();
    let upload = upload("large.bin", LARGE);
    let session = side.begin(&upload).await.unwrap();
    let (mut offset, mut digests) = (0, Digests::default());
    let mut lost = vec![80 * CHUNK, 200 * CHUNK, LARGE / CHUNK * CHUNK];
    fake.forget_calls();
    loop {
        let bytes = piece(offset, &pattern);
        if digests.len() == offset {
            digests.update(&bytes);
        }
        if let Some(at) = lost.iter().position(|at| *at == offset) {
            lost.remove(at);
            fake.inject(&[Fault::LoseAnswer]);
        }
        let last = offset + CHUNK >= LARGE;
        let failed = if last {
            match side.finish(&session, &upload, offset, bytes, &digests.hashes()).await {
                Ok(stored) => {
                    let EntryKind::File { size, hashes, .. } = stored.entry.kind else { panic!("a file") };
                    assert_eq!(size, LARGE);
                    let sent = fake.calls().iter().map(|(_, bytes)| *bytes as u64).sum();
                    return (sent, hashes);
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
        match side.status(&session, &upload, offset).await.unwrap() {
            SessionStatus::At(at) => offset = at,
            SessionStatus::Done(_) | SessionStatus::Lost => panic!("it goes on"),
        }
    }
}

fn expected() -> Hashes {
    let pattern: Bytes = (0..CHUNK).map(|at| u8::try_from(at * 7 % 253).unwrap()).collect::<Vec<u8>>().into();
    let mut digests = Digests::default();
    let mut offset = 0;
    while offset < LARGE {
        let bytes = piece(offset, &pattern);
        digests.update(&bytes);
        offset += bytes.len() as u64;
    }
    digests.hashes()
}

#[tokio::test]
async fn two_gigabytes_go_on_at_dropboxs_own_offset_and_only_the_last_piece_is_sent_twice() {
    let (sent, hashes) = stream(Sessions::Sequential).await;
    assert_eq!(hashes.get(HashKind::BlockSha256), expected().get(HashKind::BlockSha256));
    let last = LARGE % CHUNK;
    let twice = sent - LARGE;
    assert!(twice <= last + 4096, "{twice} bytes were sent twice");
}

#[tokio::test]
async fn two_gigabytes_in_concurrent_pieces_send_again_what_was_not_answered_and_no_more() {
    let (sent, hashes) = stream(Sessions::Concurrent).await;
    assert_eq!(hashes.get(HashKind::BlockSha256), expected().get(HashKind::BlockSha256));
    // Dropbox does not say which pieces of a concurrent session arrived.
    let twice = sent - LARGE;
    assert!(twice <= 2 * CHUNK + LARGE % CHUNK + 4096, "{twice} bytes were sent twice");
}
