//! The Drive connector keeps every promise of the files suite, and what Drive alone does.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use std::sync::Arc;
use tandem_core::files::entry::{Access, EntryKind, Exportable, HashKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::record::{Marker, RemoteId};
use tandem_google::fake::{FakePeople, Fault};
use tandem_google::{GoogleConfig, GoogleDrive};
use tandem_ports::error::ErrorKind;
use tandem_ports::files::{
    Attempt, CHUNK, Entry, EntryRef, FileChange, FileNext, FileSide, FolderOrFile, FolderRef, Name, NewRoot, Removal,
    SessionStatus, Target, Upload,
};
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::files_conformance::{FilesHarness, WireFault, new_root};

const ACCOUNT: &str = "jan@example.com";

struct Harness {
    fake: Arc<FakePeople>,
    side: Arc<dyn FileSide>,
}

fn harness() -> Harness {
    let fake = FakePeople::new(Arc::new(ManualClock::default())).shared();
    fake.drive_does("settings", &json!({"page": 3}));
    let side = Arc::new(GoogleDrive::new(fake.authorised(ACCOUNT), GoogleConfig::default()));
    Harness { fake, side }
}

fn below(path: &str) -> String {
    format!("Tandem/{path}")
}

impl FilesHarness for Harness {
    fn side(&self) -> Arc<dyn FileSide> {
        Arc::clone(&self.side)
    }
    fn user_saves(&self, path: &str, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).expect("people type text");
        self.fake.drive_does("files", &json!({"account": ACCOUNT, "files": [{"path": below(path), "text": text}]}));
    }
    fn user_makes_folder(&self, path: &str) {
        let kind = "application/vnd.google-apps.folder";
        self.fake.drive_does("files", &json!({"account": ACCOUNT, "files": [{"path": below(path), "mimeType": kind}]}));
    }
    fn user_moves(&self, from: &str, to: &str) {
        self.fake.drive_does("move", &json!({"account": ACCOUNT, "from": below(from), "to": below(to)}));
    }
    fn user_deletes(&self, path: &str) {
        self.fake.drive_does("trash", &json!({"account": ACCOUNT, "path": below(path)}));
    }
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.fake.drive_bytes(ACCOUNT, &below(path))
    }
    fn count(&self, path: &str) -> usize {
        self.fake.drive_count(ACCOUNT, &below(path))
    }
    fn fault(&self, after: usize, fault: WireFault) {
        let mut faults = vec![Fault::Pass; after];
        match fault {
            WireFault::LoseAnswer => faults.push(Fault::LoseAnswer),
            WireFault::ServerError => faults.push(Fault::ServerError),
            WireFault::Throttle(seconds) => faults.push(Fault::Throttle { retry_after: Some(seconds) }),
            WireFault::Revoke => self.fake.revoke(ACCOUNT),
        }
        self.fake.inject_only(&faults);
    }
    fn expire_cursors(&self) {
        self.fake.expire_cursors();
    }
}

mod suite {
    use super::*;
    tandem_testkit::files_conformance!(harness);
}

async fn root(side: &dyn FileSide) -> FolderRef {
    side.ensure_root(None, &new_root()).await.expect("the root is made")
}

async fn children(side: &dyn FileSide) -> Vec<Entry> {
    let root = root(side).await;
    side.children(&[root], None).await.expect("children").entries
}

#[tokio::test]
async fn native_documents_shortcuts_and_rights_are_told() {
    let h = harness();
    h.fake.drive_does("settings", &json!({"page": 100}));
    root(&*h.side).await;
    let kind = |kind: &str| format!("application/vnd.google-apps.{kind}");
    h.fake.drive_does(
        "files",
        &json!({"account": ACCOUNT, "files": [
            {"path": "Tandem/doc", "mimeType": kind("document")},
            {"path": "Tandem/form", "mimeType": kind("form")},
            {"path": "Tandem/big", "mimeType": kind("document"), "exportBytes": 11 * 1024 * 1024},
            {"path": "Tandem/link", "mimeType": kind("shortcut"), "target": "x"},
            {"path": "Tandem/theirs.txt", "readOnly": true, "text": "x"}]}),
    );
    let found = children(&*h.side).await;
    let of = |name: &str| found.iter().find(|entry| entry.name == name).unwrap();
    assert!(matches!(of("doc").kind, EntryKind::Native { exportable: Exportable::Pdf, .. }));
    assert!(matches!(of("form").kind, EntryKind::Native { exportable: Exportable::No, .. }));
    assert_eq!(of("link").kind, EntryKind::Shortcut);
    assert!(matches!(of("theirs.txt").access, Access::Read { .. }));
    let parent = root(&*h.side).await;
    let entry = |name: &str| EntryRef { id: of(name).id.clone(), parent: parent.clone(), name: Name(name.to_owned()) };
    assert!(h.side.export_pdf(&entry("doc")).await.unwrap().starts_with(b"%PDF"));
    for refused in ["form", "big", "theirs.txt"] {
        assert_eq!(h.side.export_pdf(&entry(refused)).await.unwrap_err().kind, ErrorKind::Permanent, "{refused}");
    }
}

#[tokio::test]
async fn who_may_only_read_a_file_gets_its_bytes_though_not_its_revisions() {
    let h = harness();
    root(&*h.side).await;
    let saves = |text: &str| {
        let file = json!({"path": "Tandem/theirs.txt", "readOnly": true, "text": text});
        h.fake.drive_does("files", &json!({"account": ACCOUNT, "files": [file]}));
    };
    saves("their words");
    let entry = children(&*h.side).await.pop().expect("it is there");
    let EntryKind::File { content, .. } = &entry.kind else { panic!("a file") };
    let parent = root(&*h.side).await;
    let there = EntryRef { id: entry.id.clone(), parent, name: Name(entry.name.clone()) };
    assert_eq!(h.side.read(&there, content, 6..11).await.expect("bytes"), "words");
    saves("other words");
    assert_eq!(h.side.read(&there, content, 6..11).await.expect_err("others").kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn a_folder_that_is_gone_for_good_has_no_children_and_the_others_have_theirs() {
    let h = harness();
    root(&*h.side).await;
    for n in 0..5 {
        h.user_saves(&format!("stays/{n}.txt"), b"1");
    }
    h.user_makes_folder("goes");
    let folders: Vec<FolderRef> = children(&*h.side)
        .await
        .iter()
        .map(|entry| FolderRef { id: entry.id.clone(), path: entry.name.clone() })
        .collect();
    assert_eq!(folders.len(), 2);
    h.fake.drive_does("delete", &json!({"account": ACCOUNT, "path": "Tandem/goes"}));
    let (mut found, mut from) = (0, None);
    loop {
        let page = h.side.children(&folders, from.as_ref()).await.expect("children");
        found += page.entries.len();
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(found, 5);
}

#[tokio::test]
async fn what_is_put_into_the_trash_is_gone_from_the_feed() {
    let h = harness();
    root(&*h.side).await;
    h.user_saves("a.txt", b"a");
    let FileNext::CaughtUp(cursor) = h.side.changes(None).await.unwrap().next else { panic!("no more") };
    assert!(h.side.changes(Some(&cursor)).await.unwrap().changes.is_empty());
    h.user_deletes("a.txt");
    let told = h.side.changes(Some(&cursor)).await.unwrap().changes;
    assert!(matches!(told.as_slice(), [FileChange::Gone { .. }]));
}

#[tokio::test]
async fn the_files_of_two_crms_in_one_drive_are_in_two_roots() {
    let h = harness();
    let first = root(&*h.side).await;
    let other = NewRoot { mark: Marker::new("crm-account-2"), ..new_root() };
    let second = h.side.ensure_root(None, &other).await.expect("the root is made");
    assert_ne!(first.id, second.id);
    assert_eq!((root(&*h.side).await, h.side.ensure_root(None, &other).await.expect("found")), (first, second));
}

#[tokio::test]
async fn a_small_file_costs_one_call_and_nothing_to_do_one() {
    let h = harness();
    let root = root(&*h.side).await;
    let ids = h.side.reserve(50).await.unwrap();
    let file = |(n, id): (usize, RemoteId)| {
        let mut upload = upload(&root, Some(id), 4096);
        let Target::New { name, .. } = &mut upload.target else { panic!("a new file") };
        *name = Name(format!("{n}.bin"));
        (upload, Bytes::from(vec![u8::try_from(n).unwrap(); 4096]))
    };
    let files: Vec<_> = ids.into_iter().enumerate().map(file).collect();
    let FileNext::CaughtUp(cursor) = h.side.changes(None).await.unwrap().next else { panic!("no more") };
    let before = h.fake.calls().len();
    assert!(h.side.changes(Some(&cursor)).await.unwrap().changes.is_empty());
    assert_eq!(h.fake.calls().len() - before, 1);
    assert!(h.side.put(&files).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(h.fake.calls().len() - before, 51);
}

fn upload(root: &FolderRef, id: Option<RemoteId>, size: u64) -> Upload {
    Upload {
        target: Target::New { id, parent: root.clone(), name: Name("large.bin".to_owned()) },
        size,
        hashes: Hashes::none(),
        content_type: "application/octet-stream".to_owned(),
        modified_at: None,
        marker: Marker::new("row"),
        attempt: Attempt::First,
    }
}

#[tokio::test]
async fn google_may_take_a_part_of_a_piece_and_a_lost_session_is_named_so() {
    let h = harness();
    let root = root(&*h.side).await;
    let id = h.side.reserve(1).await.unwrap().pop();
    let upload = upload(&root, id, 3 * CHUNK);
    let session = h.side.begin(&upload).await.unwrap();
    let piece = Bytes::from(vec![1; usize::try_from(CHUNK).unwrap()]);
    h.fake.drive_does("settings", &json!({"most_of_a_piece": 1024 * 1024}));
    let partly = h.side.append(&session, &upload, 0, piece.clone()).await.unwrap_err();
    assert_eq!(partly.kind, ErrorKind::Conflict);
    let SessionStatus::At(there) = h.side.status(&session, &upload, 0).await.unwrap() else { panic!("it lives") };
    assert_eq!(there, 1024 * 1024);
    h.fake.drive_does("lose-sessions", &json!({}));
    assert!(matches!(h.side.status(&session, &upload, 0).await.unwrap(), SessionStatus::Lost));
    let gone = h.side.append(&session, &upload, there, piece).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

/// 2 GB whose pieces repeat; the fake keeps the hash only.
#[tokio::test]
async fn two_gigabytes_go_on_at_googles_own_offset_and_only_the_last_piece_is_sent_twice() {
    const LARGE: u64 = 2 * 1024 * 1024 * 1024 + 12_345;
    let h = harness();
    h.fake.drive_does("settings", &json!({"keep_bytes": 1024 * 1024}));
    let root = root(&*h.side).await;
    let id = h.side.reserve(1).await.unwrap().pop();
    let upload = upload(&root, id, LARGE);
    let session = h.side.begin(&upload).await.unwrap();
    let pattern: Bytes = (0..CHUNK).map(|at| u8::try_from(at * 7 % 253).unwrap()).collect::<Vec<u8>>().into();
    let mut lost = vec![80 * CHUNK, 200 * CHUNK, LARGE / CHUNK * CHUNK];
    let (mut offset, mut digests, mut sent) = (0, Digests::default(), 0);
    let stored = loop {
        let bytes = pattern.slice(0..usize::try_from((LARGE - offset).min(CHUNK)).unwrap());
        if digests.len() == offset {
            digests.update(&bytes);
        }
        let last = offset + CHUNK >= LARGE;
        if let Some(at) = lost.iter().position(|at| *at == offset) {
            lost.remove(at);
            h.fake.inject_only(&[Fault::LoseAnswer]);
        }
        sent += bytes.len() as u64;
        let size = bytes.len() as u64;
        let failure = if last {
            match h.side.finish(&session, &upload, offset, bytes, &digests.hashes()).await {
                Ok(stored) => break stored,
                Err(failure) => failure,
            }
        } else {
            match h.side.append(&session, &upload, offset, bytes).await {
                Ok(()) => {
                    offset += size;
                    continue;
                }
                Err(failure) => failure,
            }
        };
        assert_eq!(failure.kind, ErrorKind::Retryable);
        match h.side.status(&session, &upload, offset).await.unwrap() {
            SessionStatus::At(at) => offset = at,
            SessionStatus::Done(stored) => break *stored,
            SessionStatus::Lost => panic!("it lives"),
        }
    };
    let EntryKind::File { size, hashes, .. } = stored.entry.kind else { panic!("a file") };
    assert_eq!((size, sent), (LARGE, LARGE));
    assert_eq!(hashes.get(HashKind::Sha256), digests.hashes().get(HashKind::Sha256));
}

#[tokio::test]
async fn a_channel_lasts_an_hour_unless_more_is_asked_for_and_tells_once() {
    use tandem_google::drive::watch;
    use tandem_ports::infra::{Clock, HttpTransport};
    let clock = Arc::new(ManualClock::default());
    let fake = FakePeople::new(Arc::clone(&clock) as Arc<_>).shared();
    let transport: Arc<dyn HttpTransport> = fake.authorised(ACCOUNT);
    let config = GoogleConfig::default();
    let now = clock.now();
    let expires = now + jiff::SignedDuration::from_secs(watch::LONGEST_SECONDS);
    let channel = watch::Channel { id: "c1", address: "https://x.example/hook", token: "secret", expires };
    let response = transport.send(watch::open(&config, "1", &channel).unwrap()).await.unwrap();
    let opened = watch::opened(&response).unwrap();
    assert_eq!(opened.expires, expires);
    let first = fake.take_drive_notifications();
    fake.drive_does("files", &json!({"account": ACCOUNT, "files": [{"path": "a.txt"}, {"path": "b.txt"}]}));
    let second = fake.take_drive_notifications();
    assert!(fake.take_drive_notifications().is_empty());
    for (sent, is_first) in [(&first, true), (&second, false)] {
        let mut headers = http::HeaderMap::new();
        for (name, value) in &sent[0].headers {
            headers.insert(*name, value.parse().unwrap());
        }
        assert!(watch::verify(&headers, "secret") && !watch::verify(&headers, "other"));
        let told = watch::notification(&headers).unwrap();
        assert_eq!((told.channel.as_str(), &told.resource, told.first), ("c1", &opened.resource, is_first));
    }
    let closed = transport.send(watch::close(&config, "c1", &opened.resource).unwrap()).await.unwrap();
    assert!(closed.status().is_success());
}

/// Before each list it gives an empty page, as the reference allows.
struct EmptyPageFirst(Arc<dyn HttpTransport>);

#[async_trait]
impl HttpTransport for EmptyPageFirst {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let (mut parts, body) = request.into_parts();
        let address = parts.uri.to_string();
        if parts.method == http::Method::GET && address.contains("/drive/v3/files?") {
            if !address.contains("pageToken=") {
                let empty = json!({"files": [], "nextPageToken": "more"}).to_string();
                return Ok(Response::new(Bytes::from(empty)));
            }
            parts.uri = address.replace("&pageToken=more", "").parse().expect("an address");
        }
        self.0.send(Request::from_parts(parts, body)).await
    }
}

#[tokio::test]
async fn an_empty_page_is_not_the_end_of_a_list() {
    let Harness { fake, side } = harness();
    let ours = root(side.as_ref()).await;
    fake.drive_does(
        "files",
        &json!({"account": ACCOUNT, "files": [{"path": below("Plans/plan.txt"), "text": "plan"}]}),
    );
    let transport = Arc::new(EmptyPageFirst(fake.authorised(ACCOUNT)));
    let sparse = GoogleDrive::new(transport, GoogleConfig::default());
    assert_eq!(sparse.ensure_root(None, &new_root()).await.unwrap().id, ours.id);
    let plans = sparse.children(std::slice::from_ref(&ours), None).await.unwrap();
    let next = plans.next.expect("there is more");
    let plans = sparse.children(std::slice::from_ref(&ours), Some(&next)).await.unwrap().entries.remove(0);
    let entry = EntryRef { id: plans.id, parent: ours, name: Name("Plans".to_owned()) };
    let removal = Removal { entry, folder: FolderOrFile::Folder, expect: plans.version };
    let removed = sparse.remove(&[removal]).await.unwrap().remove(0);
    assert_eq!(removed.unwrap_err().kind, ErrorKind::Conflict, "what is in it would go along");
    assert_eq!(fake.drive_count(ACCOUNT, &below("Plans/plan.txt")), 1);
}
