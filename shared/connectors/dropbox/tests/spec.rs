//! Every route, field and tag that the connector sends, and all that the fake answers, is in Dropbox's own specification
//! (`facts/dropbox.json`); the scopes we ask for are enough for each route, and an app with an app folder may call it.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tandem_core::files::entry::{EntryKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::record::{Marker, RemoteId};
use tandem_dropbox::auth::{self, SCOPES};
use tandem_dropbox::fake::{FakeDropbox, UserFile};
use tandem_dropbox::{DropboxConfig, DropboxFiles, Sessions};
use tandem_ports::files::{
    Attempt, CHUNK, Entry, EntryRef, FileChange, FileNext, FileSide, FolderOrFile, FolderRef, Name, NewFolder,
    Relocation, Removal, Target, Upload,
};
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_ports::oauth::Revocation;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::files_conformance::new_root;

const ACCOUNT: &str = "jan@example.com";

/// What was asked and answered.
struct Exchange {
    host: String,
    /// Without `/2/`.
    route: String,
    argument: Value,
    status: u16,
    result: Value,
}

struct Recorder {
    inner: Arc<dyn HttpTransport>,
    seen: Mutex<Vec<Exchange>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let header = |headers: &http::HeaderMap, name: &str| {
            let text = headers.get(name)?.to_str().expect("ASCII").to_owned();
            Some(serde_json::from_str::<Value>(&text).expect("JSON"))
        };
        let in_header = header(request.headers(), "dropbox-api-arg");
        let argument = in_header.unwrap_or_else(|| serde_json::from_slice(request.body()).expect("JSON"));
        let host = request.uri().host().expect("a host").to_owned();
        let route = request.uri().path().trim_start_matches("/2/").to_owned();
        let answer = self.inner.send(request).await?;
        let in_header = header(answer.headers(), "dropbox-api-result");
        let result = in_header.unwrap_or_else(|| serde_json::from_slice(answer.body()).expect("JSON"));
        let exchange = Exchange { host, route, argument, status: answer.status().as_u16(), result };
        self.seen.lock().expect("not poisoned").push(exchange);
        Ok(answer)
    }
}

/// Checks values by Stone's rules for JSON.
struct Facts(Value);

impl Facts {
    fn read() -> Self {
        Self(serde_json::from_str(include_str!("../facts/dropbox.json")).expect("a committed file"))
    }

    fn check(&self, shape: &str, value: &Value, at: &str) {
        let (shape, optional) = shape.strip_prefix('?').map_or((shape, false), |shape| (shape, true));
        if optional && value.is_null() {
            return;
        }
        if let Some(inner) = shape.strip_prefix('[').and_then(|shape| shape.strip_suffix(']')) {
            let items = value.as_array().unwrap_or_else(|| panic!("{at} is a list, not {value}"));
            items.iter().for_each(|item| self.check(inner, item, at));
            return;
        }
        let fits = match shape {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "uint" => value.is_u64(),
            "int" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "null" => value.is_null(),
            "map" => value.is_object(),
            named => return self.check_type(named, value, at),
        };
        assert!(fits, "{at} is {shape}, not {value}");
    }

    fn check_type(&self, name: &str, value: &Value, at: &str) {
        let described = &self.0["types"][name];
        if described["union"].is_object() {
            return self.check_union(name, value, at);
        }
        match value[".tag"].as_str() {
            Some(tag) if described["subtypes"][tag].is_string() => {
                let subtype = described["subtypes"][tag].as_str().expect("a name");
                self.check_struct(subtype, value, &format!("{at}({tag})"));
            }
            Some(tag) => panic!("{at} has no subtype {tag}"),
            None => {
                assert!(described["subtypes"].is_null(), "{at} says which subtype it is");
                self.check_struct(name, value, at);
            }
        }
    }

    /// Those of its fields that are not optional are there, and no others than its fields; `.tag` is the holder's.
    fn check_struct(&self, name: &str, value: &Value, at: &str) {
        let fields = self.0["types"][name]["struct"].as_object().unwrap_or_else(|| panic!("{name} is no struct"));
        let held = value.as_object().unwrap_or_else(|| panic!("{at} is an object, not {value}"));
        for (field, item) in held.iter().filter(|(field, _)| *field != ".tag") {
            let shape = fields.get(field).unwrap_or_else(|| panic!("{name} has no {field} ({at})"));
            self.check(shape.as_str().expect("a word"), item, &format!("{at}.{field}"));
        }
        for (field, shape) in fields {
            let optional = shape.as_str().expect("a word").starts_with('?');
            assert!(optional || held.contains_key(field), "{at}.{field} is wanted");
        }
    }

    /// A tag alone may be a string; what is a struct stands beside its tag; all else under the tag's name.
    fn check_union(&self, name: &str, value: &Value, at: &str) {
        let tag = value.as_str().or(value[".tag"].as_str()).unwrap_or_else(|| panic!("{at} has no tag: {value}"));
        let shape = self.0["types"][name]["union"][tag].as_str();
        let shape = shape.unwrap_or_else(|| panic!("{name} has no tag {tag} ({at})"));
        let at = format!("{at}.{tag}");
        let inner = shape.trim_start_matches('?');
        let described = &self.0["types"][inner];
        if inner == "null" || (shape.starts_with('?') && value[tag].is_null() && value.as_object().is_none()) {
            let alone = value.as_object().is_none_or(|held| held.len() == 1);
            assert!(alone, "{at} holds nothing");
        } else if described["struct"].is_object() && described["subtypes"].is_null() {
            self.check_struct(inner, value, &at);
        } else {
            self.check(inner, &value[tag], &at);
        }
    }
}

fn name(text: &str) -> Name {
    Name(text.to_owned())
}

fn root() -> FolderRef {
    FolderRef { id: RemoteId::new("app-folder"), path: String::new() }
}

fn upload(target: Target, size: u64) -> Upload {
    Upload {
        target,
        size,
        hashes: Hashes::none(),
        content_type: "text/plain".to_owned(),
        modified_at: Some("2026-01-05T08:00:00Z".parse().expect("a time")),
        marker: Marker::new("row"),
        attempt: Attempt::First,
    }
}

fn new(called: &str, size: u64) -> Upload {
    upload(Target::New { id: None, parent: root(), name: name(called) }, size)
}

fn replacing(entry: &Entry, size: u64) -> Upload {
    let EntryKind::File { content, .. } = &entry.kind else { panic!("a file") };
    upload(Target::Replace { entry: entry_ref(entry), expect: entry.version.clone(), content: content.clone() }, size)
}

fn entry_ref(entry: &Entry) -> EntryRef {
    EntryRef { id: entry.id.clone(), parent: root(), name: name(&entry.name) }
}

fn removal(entry: &Entry, folder: FolderOrFile) -> Removal {
    Removal { entry: entry_ref(entry), folder, expect: entry.version.clone() }
}

/// A session of two pieces, which is asked how far it is; `whole` is what is said of all bytes.
async fn large(side: &DropboxFiles, upload: &Upload, whole: &[u8]) {
    let bytes = Bytes::from(vec![7; usize::try_from(CHUNK).expect("fits") + 5]);
    let first = bytes.slice(..usize::try_from(CHUNK).expect("fits"));
    let session = side.begin(upload).await.expect("a session");
    side.append(&session, upload, 0, first.clone()).await.expect("appended");
    side.status(&session, upload, 0).await.expect("a status");
    let last = bytes.slice(first.len()..);
    let finished = side.finish(&session, upload, CHUNK, last, &Digests::of(whole)).await;
    assert_eq!(finished.is_ok(), bytes == whole);
}

async fn folders(side: &DropboxFiles) {
    let folder = |called: &str| NewFolder {
        id: None,
        parent: root(),
        name: name(called),
        marker: Marker::new("folder"),
        attempt: Attempt::First,
    };
    side.create_folders(&[folder("One")]).await.expect("a call").remove(0).expect("made");
    // The first is there already: a refusal, and a look.
    let made = side.create_folders(&[folder("One"), folder("Two")]).await.expect("a batch");
    let made: Vec<Entry> = made.into_iter().map(|made| made.expect("there")).collect();
    let entry = entry_ref(&made[1]);
    let relocation = Relocation { entry, expect: made[1].version.clone(), parent: root(), name: name("Three") };
    let moved = side.relocate(&relocation).await.expect("moved");
    // So many that Dropbox makes a job of it.
    let many: Vec<NewFolder> = (0..60).map(|n| folder(&n.to_string())).collect();
    assert!(side.create_folders(&many).await.expect("a batch").iter().all(Result::is_ok));
    let removals = [removal(&made[0], FolderOrFile::Folder), removal(&moved, FolderOrFile::Folder)];
    for removed in side.remove(&removals).await.expect("a batch") {
        removed.expect("removed");
    }
}

async fn files(fake: &FakeDropbox, side: &DropboxFiles) {
    let batch = [(new("a.txt", 3), Bytes::from_static(b"one")), (new("b.txt", 3), Bytes::from_static(b"two"))];
    let stored = side.put(&batch).await.expect("a batch");
    let stored: Vec<Entry> = stored.into_iter().map(|stored| stored.expect("stored").entry).collect();
    let EntryKind::File { content, .. } = &stored[0].kind else { panic!("a file") };
    side.read(&entry_ref(&stored[0]), content, 0..3).await.expect("read");
    fake.user_saves(ACCOUNT, &UserFile { path: "/a.txt".into(), text: "theirs".into(), ..UserFile::default() });
    let stale = [(replacing(&stored[0], 4), Bytes::from_static(b"ours"))];
    side.put(&stale).await.expect("a batch").remove(0).expect_err("it was edited");
    let removals = [removal(&stored[0], FolderOrFile::File), removal(&stored[1], FolderOrFile::File)];
    let removed = side.remove(&removals).await.expect("a batch");
    assert!(removed[0].is_err() && removed[1].is_ok());
}

async fn sessions(fake: &Arc<FakeDropbox>, recorder: &Arc<Recorder>) {
    let bytes = vec![7; usize::try_from(CHUNK).expect("fits") + 5];
    for kind in [Sessions::Sequential, Sessions::Concurrent] {
        let side = DropboxFiles::new(Arc::clone(recorder) as Arc<_>, DropboxConfig::default()).with_sessions(kind);
        let size = bytes.len() as u64;
        large(&side, &new(&format!("{kind:?}.bin"), size), &bytes).await;
        // What was made of the wrong bytes is taken back: a new file removed, an old revision restored.
        large(&side, &new("wrong.bin", size), b"wrong").await;
        let path = format!("/{kind:?}.txt");
        fake.user_saves(ACCOUNT, &UserFile { path: path.clone(), text: "before".into(), ..UserFile::default() });
        let listed = side.changes(None).await.expect("a page").changes;
        let wanted = path.trim_start_matches('/');
        let before = listed.iter().find_map(|change| match change {
            FileChange::Upsert(entry) if entry.name == wanted => Some(entry),
            FileChange::Upsert(_)
            | FileChange::Gone { .. }
            | FileChange::GoneAt { .. }
            | FileChange::Outside { .. } => None,
        });
        large(&side, &replacing(before.expect("listed"), size), b"wrong").await;
    }
}

/// One of everything the connector can ask, and refusals of it.
async fn everything_asked() -> Vec<Exchange> {
    let fake = FakeDropbox::new(Arc::new(ManualClock::default())).shared();
    let recorder = Arc::new(Recorder { inner: fake.authorised(ACCOUNT), seen: Mutex::default() });
    let config = DropboxConfig::default();
    let side = DropboxFiles::new(Arc::clone(&recorder) as Arc<_>, config.clone());
    side.ensure_root(None, &new_root()).await.expect("there");
    let FileNext::CaughtUp(cursor) = side.changes(None).await.expect("a page").next else { panic!("nothing there") };
    folders(&side).await;
    files(&fake, &side).await;
    sessions(&fake, &recorder).await;
    side.changes(Some(&cursor)).await.expect("a page");
    fake.expire_cursors();
    side.changes(Some(&cursor)).await.expect_err("expired");
    let endpoints = auth::endpoints(&config);
    recorder.send((endpoints.whoami)(&endpoints, None)).await.expect("an answer");
    let Revocation::Call(revoke) = endpoints.revocation else { panic!("{:?}", endpoints.revocation) };
    recorder.send(revoke(&endpoints)).await.expect("an answer");
    std::mem::take(&mut *recorder.seen.lock().expect("not poisoned"))
}

#[tokio::test]
async fn whatever_is_asked_and_answered_is_in_dropboxs_own_specification_and_in_our_scopes() {
    let facts = Facts::read();
    let (mut routes, mut refused, mut used) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for exchange in everything_asked().await {
        let Exchange { host, route, argument, status, result } = exchange;
        let described = &facts.0["routes"][&route];
        let word = |name: &str| described[name].as_str().unwrap_or_else(|| panic!("{route} has no {name}"));
        assert_eq!(host.split('.').next(), Some(word("host")), "{route}");
        assert_eq!(described["app_folder"], true, "{route}");
        facts.check(word("argument"), &argument, &format!("{route} argument"));
        match status {
            200 | 206 => facts.check(word("result"), &result, &format!("{route} result")),
            409 => {
                facts.check(word("error"), &result["error"], &format!("{route} error"));
                refused.insert(route.clone());
            }
            status => panic!("{route} answered {status}"),
        }
        used.extend(described["scope"].as_str());
        routes.insert(route);
    }
    assert_eq!(used, BTreeSet::from(SCOPES), "each is needed, and no other");
    let known = facts.0["routes"].as_object().expect("routes").keys();
    assert!(routes.iter().eq(known), "{routes:?}");
    for route in ["files/list_folder/continue", "files/upload_session/append_v2"] {
        assert!(refused.contains(route), "{route} was never refused");
    }
}

#[test]
#[should_panic(expected = "files.CommitInfo has no mdoe")]
fn a_field_that_dropbox_does_not_know_is_found() {
    let commit = json!({"path": "/a", "mdoe": "add"});
    Facts::read().check("files.CommitInfo", &commit, "commit");
}

#[test]
#[should_panic(expected = "files.WriteMode has no tag replace")]
fn a_tag_that_dropbox_does_not_know_is_found() {
    Facts::read().check("files.CommitInfo", &json!({"path": "/a", "mode": "replace"}), "commit");
}
