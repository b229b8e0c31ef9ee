//! The promises of `MailSource`, kept against the fake; and that whatever we ask is in Google's own list.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::mail::Place;
use tandem_core::record::RemoteId;
use tandem_google::fake::{FakePeople, Fault};
use tandem_google::{GoogleConfig, GoogleMail};
use tandem_ports::connector::{Cursor, Next};
use tandem_ports::error::ErrorKind;
use tandem_ports::infra::{Clock, HttpTransport, TransportError};
use tandem_ports::mail::{LabelId, Listing, MailChange, MailSource};
use tandem_testkit::clock::ManualClock;

const ME: &str = "me@example.com";
const HEADERS: [&str; 3] = ["From", "To", "Subject"];

struct Recorder {
    inner: Arc<dyn HttpTransport>,
    seen: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.seen.lock().expect("not poisoned").push(request.clone());
        self.inner.send(request).await
    }
}

/// What stands in for Google on the way, and knows no batches.
struct Batchless(Arc<dyn HttpTransport>);

#[async_trait]
impl HttpTransport for Batchless {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        if request.uri().path().starts_with("/batch") {
            return Ok(Response::builder().status(404).body(Bytes::new()).expect("an answer"));
        }
        self.0.send(request).await
    }
}

struct World {
    clock: Arc<ManualClock>,
    fake: Arc<FakePeople>,
    recorder: Arc<Recorder>,
    mail: GoogleMail,
}

fn world() -> World {
    let clock = Arc::new(ManualClock::default());
    let fake = FakePeople::new(clock.clone()).shared();
    let recorder = Arc::new(Recorder { inner: fake.authorised(ME), seen: Mutex::default() });
    let mail = GoogleMail::new(recorder.clone(), GoogleConfig::default(), ME);
    World { clock, fake, recorder, mail }
}

fn raw(subject: &str) -> Vec<u8> {
    format!("From: Jan <jan@x.example>\r\nTo: {ME}\r\nSubject: {subject}\r\n and more\r\n\r\nText.\r\n").into_bytes()
}

impl World {
    fn arrives(&self, subject: &str, labels: &[&str]) -> RemoteId {
        RemoteId::new(self.fake.mail_arrives(ME, &raw(subject), labels))
    }
    fn calls(&self) -> usize {
        self.recorder.seen.lock().expect("not poisoned").len()
    }
    /// Everything since, and the cursor after it.
    async fn since(&self, mut cursor: Cursor) -> (Vec<MailChange>, Cursor) {
        let mut all = Vec::new();
        loop {
            let page = self.mail.changes(&cursor).await.expect("a page");
            all.extend(page.records.into_iter().flat_map(|record| record.changes));
            match page.next {
                Next::More(next) => cursor = next,
                Next::CaughtUp(next) => return (all, next),
                Next::Relist => panic!("a mailbox's feed tells everything"),
            }
        }
    }
}

#[tokio::test]
async fn the_feed_tells_what_came_was_labelled_and_was_deleted_and_nothing_twice() {
    let w = world();
    let before = w.arrives("before", &["INBOX"]);
    let start = w.mail.account().await.expect("an account").now;
    let new = w.arrives("new", &["INBOX"]);
    w.fake.mail_labelled(ME, before.as_str(), &["Tandem/Track"]);
    assert!(w.fake.mail_deleted(ME, new.as_str()));
    let label = w.mail.ensure_labels(&[(None, "tandem/track")]).await.expect("known");
    let (changes, now) = w.since(start).await;
    let labels: BTreeSet<LabelId> = label.into_iter().collect();
    let expected =
        [MailChange::Appeared(new.clone(), None), MailChange::Labelled(before, labels), MailChange::Gone(new)];
    assert_eq!(changes, expected, "a deleted message has no labels to say");
    assert!(w.since(now).await.0.is_empty());
}

#[tokio::test]
async fn without_a_batch_endpoint_heads_are_read_one_by_one() {
    let w = world();
    let ids = [w.arrives("one", &["INBOX"]), w.arrives("two", &["INBOX"])];
    let batchless = Arc::new(Batchless(w.fake.authorised(ME)));
    let mail = GoogleMail::new(batchless, GoogleConfig::default(), ME);
    let heads = mail.heads(&ids, &HEADERS).await.expect("each by itself");
    let found: Vec<bool> = heads.into_iter().map(|head| head.expect("an answer").is_some()).collect();
    assert_eq!(found, [true, true]);
}

#[tokio::test]
async fn nothing_new_is_one_call() {
    let w = world();
    let start = w.mail.account().await.expect("an account").now;
    let before = w.calls();
    let (changes, _) = w.since(start).await;
    assert_eq!((changes.len(), w.calls() - before), (0, 1));
}

#[tokio::test]
async fn a_long_history_comes_in_pages_whose_start_stays_the_same_until_the_last() {
    let w = world();
    let start = w.mail.account().await.expect("an account").now;
    let ids: Vec<RemoteId> = (0..1_201).map(|n| w.arrives(&n.to_string(), &[])).collect();
    let (changes, _) = w.since(start).await;
    let seen: Vec<RemoteId> = changes
        .into_iter()
        .map(|change| match change {
            MailChange::Appeared(id, Some(_)) => id,
            other @ (MailChange::Appeared(..) | MailChange::Labelled(..) | MailChange::Gone(_)) => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_page_may_be_left_after_any_record_and_the_rest_is_told_again_and_nothing_else() {
    let w = world();
    let start = w.mail.account().await.expect("an account").now;
    let ids: Vec<RemoteId> = (0..20).map(|n| w.arrives(&n.to_string(), &["INBOX"])).collect();
    ids.iter().for_each(|id| w.fake.mail_labelled(ME, id.as_str(), &["Tandem/Track"]));
    let (all, _) = w.since(start.clone()).await;
    let records = w.mail.changes(&start).await.expect("a page").records;
    let mut told = 0;
    for record in records {
        told += record.changes.len();
        assert_eq!(w.since(record.after).await.0, all[told..]);
    }
    assert_eq!(told, 40);
}

#[tokio::test]
async fn a_history_that_google_has_forgotten_is_an_expired_cursor() {
    let w = world();
    let start = w.mail.account().await.expect("an account").now;
    w.arrives("a", &[]);
    w.clock.advance(Duration::from_secs(8 * 86_400));
    w.arrives("b", &[]);
    assert_eq!(w.mail.changes(&start).await.expect_err("too old").kind, ErrorKind::CursorExpired);
    let fresh = w.mail.account().await.expect("an account").now;
    w.fake.mail_history_forgotten(ME);
    for cursor in [fresh, Cursor("of another release".to_owned())] {
        assert_eq!(w.mail.changes(&cursor).await.expect_err("unknown").kind, ErrorKind::CursorExpired);
    }
}

#[tokio::test]
async fn fifty_heads_are_one_call_and_each_is_answered_by_itself() {
    let w = world();
    let mut ids: Vec<RemoteId> = (0..49).map(|n| w.arrives(&format!("S{n}"), &["SENT"])).collect();
    ids.insert(20, RemoteId::new("18c0ffffffffffff"));
    let before = w.calls();
    let heads = w.mail.heads(&ids, &HEADERS).await.expect("a batch");
    assert_eq!(w.calls() - before, 1);
    for (at, (id, head)) in ids.iter().zip(heads).enumerate() {
        let head = head.expect("answered");
        assert_eq!(head.is_some(), at != 20, "one is gone");
        let Some(head) = head else { continue };
        assert_eq!((&head.id, &head.places), (id, &BTreeSet::from([Place::Sent])));
        let subject = head.headers.iter().find(|(name, _)| name == "Subject").expect("asked for");
        assert!(subject.1.ends_with(" and more") && head.headers.len() == 3 && head.bytes > 50);
    }
    let too_many = vec![ids[0].clone(); 51];
    assert_eq!(w.mail.heads(&too_many, &HEADERS).await.expect_err("too many").kind, ErrorKind::Permanent);
}

#[tokio::test]
async fn a_mailbox_in_a_hurry_serves_some_of_a_batch_and_says_so_of_the_rest() {
    let w = world();
    let ids: Vec<RemoteId> = (0..10).map(|n| w.arrives(&n.to_string(), &[])).collect();
    w.fake.mail_limits(6_000, 4);
    let heads = w.mail.heads(&ids, &HEADERS).await.expect("a batch");
    let refused: Vec<bool> = heads.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, false, false, false, true, true, true, true, true, true]);
    let kinds = heads.iter().filter_map(|head| head.as_ref().err()).map(|error| error.kind);
    assert!(kinds.eq([ErrorKind::Throttled { retry_after: None }; 6]));
}

#[tokio::test]
async fn units_are_counted_and_a_minute_later_it_goes_on() {
    let w = world();
    let ids: Vec<RemoteId> = (0..50).map(|n| w.arrives(&n.to_string(), &[])).collect();
    for _ in 0..6 {
        assert!(w.mail.heads(&ids, &HEADERS).await.expect("a batch").iter().all(Result::is_ok));
    }
    let refused = w.mail.heads(&ids, &HEADERS).await.expect("a batch");
    assert!(refused.iter().all(Result::is_err), "300 messages are a minute's units");
    assert_eq!(w.mail.account().await.expect_err("used up").kind, ErrorKind::Throttled { retry_after: None });
    w.clock.advance(Duration::from_secs(61));
    assert!(w.mail.account().await.is_ok());
}

#[tokio::test]
async fn a_message_comes_byte_by_byte_or_is_gone() {
    let w = world();
    let mut bytes = raw("bytes");
    bytes.extend((0..=255).collect::<Vec<u8>>());
    let id = RemoteId::new(w.fake.mail_arrives(ME, &bytes, &[]));
    assert_eq!(w.mail.raw(&id).await.expect("read"), Some(bytes));
    w.fake.mail_deleted(ME, id.as_str());
    assert_eq!(w.mail.raw(&id).await.expect("read"), None);
    for bad in ["../labels", "a b", "", "x?format=full"] {
        assert_eq!(w.mail.raw(&RemoteId::new(bad)).await.expect_err("no id").kind, ErrorKind::Permanent, "{bad}");
    }
}

#[tokio::test]
async fn listings_are_bounded_by_label_and_age_and_leave_spam_and_bin_out() {
    let w = world();
    let old = w.arrives("old", &["Tandem/Track"]);
    w.clock.advance(Duration::from_secs(10 * 86_400));
    let (kept, _) = (w.arrives("kept", &["Tandem/Track", "INBOX"]), w.arrives("spam", &["SPAM", "Tandem/Track"]));
    for n in 0..150 {
        w.arrives(&n.to_string(), &["INBOX"]);
    }
    let label = w.mail.ensure_labels(&[(None, "Tandem/Track")]).await.expect("known").remove(0);
    let page = w.mail.list(&Listing::WithLabel(label.clone(), 7), None).await.expect("a page");
    assert_eq!((page.ids, page.next), (vec![kept.clone()], None));
    let page = w.mail.list(&Listing::WithLabel(label, 30), None).await.expect("a page");
    assert_eq!(page.ids, [kept.clone(), old], "the newest first");
    let first = w.mail.list(&Listing::All(7), None).await.expect("a page");
    assert_eq!((first.ids.len(), first.about), (100, Some(151)));
    let rest = w.mail.list(&Listing::All(7), first.next.as_ref()).await.expect("a page");
    assert_eq!((rest.ids.len(), rest.next, rest.ids.last()), (51, None, Some(&kept)));
}

#[tokio::test]
async fn labels_are_made_once_found_by_name_and_kept_by_id() {
    let w = world();
    let wanted = [(None, "Tandem/Track"), (None, "Tandem/Task")];
    let made = w.mail.ensure_labels(&wanted).await.expect("made");
    assert_eq!(w.mail.ensure_labels(&wanted).await.expect("found"), made);
    w.fake.mail_label_renamed(ME, "Tandem/Track", "Klant");
    let known = [(Some(made[0].clone()), "Tandem/Track"), (Some(made[1].clone()), "Tandem/Task")];
    assert_eq!(w.mail.ensure_labels(&known).await.expect("found by id"), made);
    assert_eq!(w.fake.mail_labels(ME), ["Klant", "Tandem/Task"]);
    assert_eq!(w.mail.ensure_labels(&[(None, "inbox")]).await.expect("Gmail's own"), [LabelId("INBOX".to_owned())]);
    assert_eq!(w.mail.ensure_labels(&[(None, "/x")]).await.expect_err("no name").kind, ErrorKind::Permanent);
}

#[tokio::test]
async fn a_watch_is_asked_for_prolonged_and_ended() {
    let w = world();
    let watch = w.mail.watch("projects/p/topics/t").await.expect("watched");
    assert_eq!(watch.expires_at, Clock::now(&*w.clock) + Duration::from_secs(7 * 86_400));
    w.clock.advance(Duration::from_secs(2));
    w.arrives("a", &[]);
    w.arrives("dropped, as a second has not passed", &[]);
    assert_eq!(w.fake.mail_notifications().len(), 1);
    w.mail.stop().await.expect("stopped");
    w.clock.advance(Duration::from_secs(2));
    w.arrives("b", &[]);
    assert_eq!(w.fake.mail_notifications().len(), 1);
    assert_eq!(w.mail.watch("my-topic").await.expect_err("no topic").kind, ErrorKind::Permanent);
}

#[tokio::test]
async fn faults_have_their_kinds() {
    let w = world();
    for (fault, kind) in [
        (Fault::ServerError, ErrorKind::Retryable),
        (Fault::Throttle { retry_after: Some(7) }, ErrorKind::Throttled { retry_after: Some(Duration::from_secs(7)) }),
        (Fault::Forbidden, ErrorKind::Forbidden),
        (Fault::LoseAnswer, ErrorKind::Retryable),
    ] {
        w.fake.inject(&[fault]);
        assert_eq!(w.mail.account().await.expect_err("refused").kind, kind);
        w.fake.inject(&[fault]);
        let id = RemoteId::new("18c0000000000001");
        assert_eq!(w.mail.heads(&[id], &HEADERS).await.expect_err("refused").kind, kind);
    }
    w.fake.revoke(ME);
    assert_eq!(w.mail.account().await.expect_err("revoked").kind, ErrorKind::AuthRevoked);
}

#[tokio::test]
async fn whatever_we_ask_is_in_googles_own_list() {
    let w = world();
    let id = w.arrives("a", &[]);
    let start = w.mail.account().await.expect("an account").now;
    w.since(start).await;
    let label = w.mail.ensure_labels(&[(None, "Tandem/Track")]).await.expect("made").remove(0);
    for listing in [Listing::All(1), Listing::WithLabel(label, 1)] {
        w.mail.list(&listing, None).await.expect("listed");
    }
    w.mail.raw(&id).await.expect("read");
    w.mail.watch("projects/p/topics/t").await.expect("watched");
    w.mail.stop().await.expect("stopped");
    w.mail.heads(&[id], &HEADERS).await.expect("read");
    let facts: Value = serde_json::from_str(include_str!("../facts/gmail.json")).expect("a committed file");
    let mut seen = BTreeSet::new();
    for request in std::mem::take(&mut *w.recorder.seen.lock().expect("not poisoned")) {
        if request.uri().path() == "/batch" {
            let body = String::from_utf8_lossy(request.body()).into_owned();
            let line = body.lines().find(|line| line.starts_with("GET ")).expect("a request in it");
            let target = line.split(' ').nth(1).expect("an address");
            seen.insert(check(&facts, "GET", target, &Bytes::new()));
            continue;
        }
        let target = request.uri().path_and_query().expect("an address").as_str();
        seen.insert(check(&facts, request.method().as_str(), target, request.body()));
    }
    let wanted = [
        "gmail.users.getProfile",
        "gmail.users.history.list",
        "gmail.users.labels.create",
        "gmail.users.labels.list",
        "gmail.users.messages.get",
        "gmail.users.messages.list",
        "gmail.users.stop",
        "gmail.users.watch",
    ];
    assert!(seen.iter().eq(wanted.iter()), "{seen:?}");
}

/// The id of the method at this address, whose parameters and body fields are all known.
fn check(facts: &Value, method: &str, target: &str, body: &Bytes) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let asked: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let fits = |known: &Value| {
        let parts: Vec<&str> = known["path"].as_str().expect("a path").split('/').collect();
        known["method"] == method
            && parts.len() == asked.len()
            && parts.iter().zip(&asked).all(|(part, word)| part == word || part.starts_with('{'))
    };
    let methods = facts["methods"].as_object().expect("methods");
    let (id, known) = methods.iter().find(|(_, known)| fits(known)).unwrap_or_else(|| panic!("no {method} {path}"));
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let shape = known["query"][&*name].as_str().unwrap_or_else(|| panic!("{id} has no parameter {name}"));
        assert!(!shape.contains('|') || shape.split('|').any(|word| word == value), "{id}: {name}={value}");
    }
    if let (Some(schema), false) = (known["request"].as_str(), body.is_empty()) {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        for name in body.as_object().expect("an object").keys() {
            assert!(facts["schemas"][schema].get(name).is_some(), "{name} is no field of {schema}");
        }
    }
    id.clone()
}
