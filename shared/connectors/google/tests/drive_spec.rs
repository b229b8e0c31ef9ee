//! Every method, parameter, field and enum that the Drive connector sends, all that it asks to be told, and all that the
//! fake answers, is in Google's own list (`facts/drive.json`); the scopes we ask for are enough for each method.
mod facts;

use bytes::Bytes;
use facts::{Exchange, Facts, Recorder};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_core::files::entry::Hashes;
use tandem_core::files::hash::Digests;
use tandem_core::record::Marker;
use tandem_google::auth::SCOPES_FOR_FILES;
use tandem_google::drive::watch;
use tandem_google::fake::FakeGoogle;
use tandem_google::{GoogleConfig, GoogleDrive};
use tandem_ports::files::{
    Attempt, CHUNK, Entry, EntryRef, FileNext, FileSide, FolderOrFile, FolderRef, Name, NewFolder, Relocation, Removal,
    Target, Upload,
};
use tandem_ports::infra::{Clock, HttpTransport};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::files_conformance::new_root;

const ACCOUNT: &str = "jan@example.com";

fn name(text: &str) -> Name {
    Name(text.to_owned())
}

fn upload(target: Target, bytes: &Bytes) -> Upload {
    Upload {
        target,
        size: bytes.len() as u64,
        hashes: Digests::of(bytes),
        content_type: "text/plain".to_owned(),
        modified_at: Some("2026-01-05T08:00:00Z".parse().expect("a time")),
        marker: Marker::new("row"),
        attempt: Attempt::First,
    }
}

async fn new(side: &GoogleDrive, parent: &FolderRef, called: &str, bytes: &Bytes) -> Upload {
    let id = side.reserve(1).await.expect("an id").pop();
    upload(Target::New { id, parent: parent.clone(), name: name(called) }, bytes)
}

fn entry_ref(entry: &Entry, parent: &FolderRef) -> EntryRef {
    EntryRef { id: entry.id.clone(), parent: parent.clone(), name: name(&entry.name) }
}

fn content(entry: &Entry) -> tandem_core::record::Version {
    let tandem_core::files::entry::EntryKind::File { content, .. } = &entry.kind else { panic!("a file") };
    content.clone()
}

/// A session of two pieces, asked how far it is on the way.
async fn large(side: &GoogleDrive, parent: &FolderRef) {
    let bytes = Bytes::from(vec![7; usize::try_from(CHUNK).expect("fits") + 5]);
    let first = bytes.slice(..usize::try_from(CHUNK).expect("fits"));
    let mut upload = new(side, parent, "large.bin", &bytes).await;
    upload.hashes = Hashes::none();
    let session = side.begin(&upload).await.expect("a session");
    side.append(&session, &upload, 0, first.clone()).await.expect("appended");
    side.status(&session, &upload, CHUNK).await.expect("a status");
    let last = bytes.slice(first.len()..);
    side.finish(&session, &upload, CHUNK, last, &Digests::of(&bytes)).await.expect("finished");
}

async fn channel(transport: &dyn HttpTransport, config: &GoogleConfig, page: &str, clock: &ManualClock) {
    let expires = clock.now() + jiff::SignedDuration::from_secs(watch::LONGEST_SECONDS);
    let channel = watch::Channel { id: "channel-1", address: "https://x.example/hook", token: "secret", expires };
    let answer = transport.send(watch::open(config, page, &channel).expect("a request")).await.expect("an answer");
    let opened = watch::opened(&answer).expect("opened");
    let close = watch::close(config, "channel-1", &opened.resource).expect("a request");
    assert!(transport.send(close).await.expect("an answer").status().is_success());
}

/// One of everything the connector can ask.
async fn everything_asked() -> Vec<Exchange> {
    let clock = Arc::new(ManualClock::default());
    let fake = FakeGoogle::new(Arc::clone(&clock) as Arc<_>).shared();
    fake.drive_does("settings", &json!({"page": 2}));
    let recorder = Recorder::of(fake.authorised(ACCOUNT));
    let config = GoogleConfig::default();
    let side = GoogleDrive::new(Arc::clone(&recorder) as Arc<_>, config.clone());
    let root = side.ensure_root(None, &new_root()).await.expect("made");
    side.ensure_root(Some(&root.id), &new_root()).await.expect("known");
    let FileNext::CaughtUp(cursor) = side.changes(None).await.expect("a page").next else { panic!("no more") };
    let folder = NewFolder {
        id: side.reserve(1).await.expect("an id").pop(),
        parent: root.clone(),
        name: name("Folder"),
        marker: Marker::new("folder"),
        attempt: Attempt::First,
    };
    let made = side.create_folders(&[folder]).await.expect("a batch").remove(0).expect("made");
    let inside = FolderRef { id: made.id.clone(), path: "Folder".to_owned() };
    let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"));
    let batch = [(new(&side, &root, "a.txt", &one).await, one.clone())];
    let stored = side.put(&batch).await.expect("a batch").remove(0).expect("stored").entry;
    let target =
        Target::Replace { entry: entry_ref(&stored, &root), expect: stored.version.clone(), content: content(&stored) };
    let batch = [(upload(target, &two), two)];
    let replaced = side.put(&batch).await.expect("a batch").remove(0).expect("stored").entry;
    side.read(&entry_ref(&replaced, &root), &content(&replaced), 0..3).await.expect("read");
    large(&side, &root).await;
    let document = json!({"path": "Tandem/doc", "mimeType": "application/vnd.google-apps.document"});
    fake.drive_does("files", &json!({"account": ACCOUNT, "files": [document]}));
    let mut from = None;
    loop {
        let page = side.children(&[root.clone(), inside.clone()], from.as_ref()).await.expect("children");
        if let Some(document) = page.entries.iter().find(|entry| entry.name == "doc") {
            side.export_pdf(&entry_ref(document, &root)).await.expect("exported");
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let entry = entry_ref(&replaced, &root);
    let relocation =
        Relocation { entry, expect: replaced.version.clone(), parent: inside.clone(), name: name("b.txt") };
    let moved = side.relocate(&relocation).await.expect("moved");
    let removal =
        Removal { entry: entry_ref(&moved, &inside), folder: FolderOrFile::File, expect: moved.version.clone() };
    side.remove(&[removal]).await.expect("a batch").remove(0).expect("removed");
    let mut next = side.changes(Some(&cursor)).await.expect("a page").next;
    while let FileNext::More(cursor) = next {
        next = side.changes(Some(&cursor)).await.expect("a page").next;
    }
    channel(&*recorder, &config, "1", &clock).await;
    recorder.take()
}

/// Bytes are sent to `/upload/…` of the same methods; of a multipart body the JSON is looked at. Answers that are bytes or
/// nothing are not.
fn as_described(mut exchange: Exchange) -> Option<Exchange> {
    // The address of a session is Google's own.
    if exchange.method == "PUT" {
        return None;
    }
    if let Some(path) = exchange.path.strip_prefix("upload/") {
        exchange.path = path.to_owned();
    }
    if exchange.answer.is_none() {
        let bytes = ("alt".to_owned(), "media".to_owned());
        let begun = ("uploadType".to_owned(), "resumable".to_owned());
        let exported = exchange.path.ends_with("/export");
        assert!(
            exchange.query.contains(&bytes) || exchange.query.contains(&begun) || exported || exchange.status == 204
        );
        exchange.status = 204;
    }
    Some(exchange)
}

/// `a,b(c,d)`, `a/b`: each name is a field of its schema.
fn check_mask(facts: &Facts, schema: &str, mask: &str) {
    let mut rest = mask;
    while !rest.is_empty() {
        let end = rest.find([',', '(', '/']).unwrap_or(rest.len());
        let (field, after) = rest.split_at(end);
        let shape = facts.0["schemas"][schema][field].as_str().unwrap_or_else(|| panic!("{schema} has no {field}"));
        let inner = shape.trim_matches(['[', ']', '{', '}']);
        rest = match after.chars().next() {
            Some('(') => {
                let mut depth = 0;
                let close = after.find(|c| {
                    depth += i32::from(c == '(') - i32::from(c == ')');
                    depth == 0
                });
                let close = close.expect("a closing bracket");
                check_mask(facts, inner, &after[1..close]);
                after[close + 1..].trim_start_matches(',')
            }
            Some('/') => {
                let end = after.find(',').unwrap_or(after.len());
                check_mask(facts, inner, &after[1..end]);
                after[end..].trim_start_matches(',')
            }
            Some(_) => &after[1..],
            None => "",
        };
    }
}

#[tokio::test]
async fn whatever_is_asked_and_answered_is_in_googles_own_list_and_in_our_scopes() {
    let facts = Facts::read(include_str!("../facts/drive.json"));
    let mut methods = BTreeSet::new();
    for exchange in everything_asked().await.into_iter().filter_map(as_described) {
        let id = facts.check(&exchange);
        let method = &facts.0["methods"][id];
        if let (Some(schema), Some((_, mask))) =
            (method["response"].as_str(), exchange.query.iter().find(|(name, _)| name == "fields"))
        {
            check_mask(&facts, schema, mask);
        }
        let scopes = method["scopes"].as_array().expect("scopes");
        let ours = SCOPES_FOR_FILES.map(|scope| scope.rsplit('/').next().expect("a name"));
        assert!(scopes.iter().any(|scope| ours.iter().any(|our| scope == our)), "{id}");
        methods.insert(id.trim_start_matches("drive.").to_owned());
    }
    let wanted = [
        "changes.getStartPageToken",
        "changes.list",
        "changes.watch",
        "channels.stop",
        "files.create",
        "files.export",
        "files.generateIds",
        "files.get",
        "files.list",
        "files.update",
        "revisions.get",
    ];
    assert!(methods.iter().eq(wanted), "{methods:?}");
}

#[test]
#[should_panic(expected = "File has no etag")]
fn a_mask_that_google_does_not_know_is_found() {
    check_mask(&Facts::read(include_str!("../facts/drive.json")), "FileList", "files(id,etag)");
}
