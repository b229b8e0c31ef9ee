//! One empty world for all: what the service promises on (an emulated) AWS.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use aws_sdk_sqs::types::QueueAttributeName;
use e2e::{Setup, World};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tandem_aws::{DynamoTable, KmsSecrets, QueueUrls, S3Blobs, SqsQueue};
use tandem_core::record::SyncId;
use tandem_ports::blobs::BlobAddress;
use tandem_ports::infra::{Job, JobQueue as _, Kind, Sealed, SecretError, SecretOwner, Secrets, Trigger};
use tandem_runtime::SystemClock;
use tandem_testkit::{blob_suite, table_suite};

/// The world of all tests of this file; it ends with this process.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| Setup::named("stack").start(&["--seed", "empty"]))
}

#[test]
fn the_api_answers_at_a_plain_origin() {
    let world = world();
    assert_eq!(world.get("/healthz", None), (200, serde_json::json!({"status": "ok"})));
    assert_eq!(world.get("/openapi.json", None).0, 200);
}

#[test]
fn two_users_can_sign_in_and_a_stranger_cannot() {
    let world = world();
    assert_eq!(world.get("/v1/connections", Some(world.token(0))).0, 200);
    assert_eq!(world.get("/v1/connections", Some(world.token(1))).0, 200);
    let (status, answer) = world.get("/v1/connections", Some("tnd_guess"));
    assert_eq!((status, answer["error"]["code"].is_string()), (401, true));
    assert_eq!(world.get("/v1/connections", None).0, 401);
}

#[test]
fn a_notification_reaches_its_function_and_an_unverified_one_is_refused() {
    assert_eq!(world().get("/webhooks/dropbox?challenge=x", None).0, 200);
    let forged = r#"{"list_folder":{"accounts":["dbid:x"]}}"#.to_owned();
    assert_eq!(world().send("POST", "/webhooks/dropbox", "application/json", forged).0, 403);
    assert_eq!(world().send("POST", "/webhooks/google/drive", "application/json", String::new()).0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_keeps_every_promise() {
    let world = tokio::task::spawn_blocking(world).await.unwrap();
    let table = DynamoTable::new(world.aws().await.dynamodb, world.output("TableName"));
    table_suite::check_all(Arc::new(table), &format!("{}", std::process::id())).await;
}

/// Carries out a request by an address that was given to a browser.
async fn by_address(address: BlobAddress, bytes: Vec<u8>) -> Vec<u8> {
    let send = move || {
        let mut request = ureq::http::Request::builder().method(address.method).uri(&address.url);
        for (name, value) in &address.headers {
            request = request.header(name, value);
        }
        let mut answer = ureq::run(request.body(bytes).unwrap()).unwrap();
        answer.body_mut().read_to_vec().unwrap()
    };
    tokio::task::spawn_blocking(send).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_files_keep_every_promise() {
    let world = tokio::task::spawn_blocking(world).await.unwrap();
    let blobs = S3Blobs::new(world.aws().await.s3, &world.output("FilesBucketName"));
    blob_suite::check_all(Arc::new(blobs), &format!("suite-{}", std::process::id()), by_address).await;
}

fn owner(user: &str, thing: &str) -> SecretOwner {
    SecretOwner { user: user.to_owned(), thing: thing.to_owned() }
}

async fn secrets(world: &World) -> KmsSecrets {
    KmsSecrets::new(world.aws().await.kms, world.output("KeyArn"), Arc::new(SystemClock))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_opens_for_its_owner_only_also_in_another_process() {
    let world = tokio::task::spawn_blocking(world).await.unwrap();
    let (here, there) = (secrets(world).await, secrets(world).await);
    let mine = owner("ada", "connection");
    let sealed = here.seal(&mine, b"token").await.unwrap();
    assert!(!sealed.0.contains("token"));
    for secrets in [&here, &there] {
        assert_eq!(secrets.open(&mine, &sealed).await.unwrap(), b"token");
        for other in [owner("ben", "connection"), owner("ada", "other"), owner("connection", "ada")] {
            assert!(matches!(secrets.open(&other, &sealed).await, Err(SecretError::Refused)), "{other:?}");
        }
    }
    let again = here.seal(&mine, b"token").await.unwrap();
    assert_ne!(sealed.0, again.0, "the same text is sealed anew each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_changed_anywhere_is_refused() {
    let world = tokio::task::spawn_blocking(world).await.unwrap();
    let mine = owner("ada", "connection");
    let sealed = secrets(world).await.seal(&mine, b"token").await.unwrap();
    let parts: Vec<&str> = sealed.0.split('.').collect();
    assert_eq!(parts.len(), 3);
    // In the wrapped key, in the nonce and in the ciphertext; each time with nothing in memory.
    for (part, at) in [(1, 60), (2, 3), (2, parts[2].len() - 3)] {
        let mut changed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let letter = if changed[part].as_bytes()[at] == b'A' { "B" } else { "A" };
        changed[part].replace_range(at..=at, letter);
        let answer = secrets(world).await.open(&mine, &Sealed(changed.join("."))).await;
        assert!(matches!(answer, Err(SecretError::Refused)), "part {part} at {at}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_come_out_of_the_queue_as_they_went_in() {
    let world = tokio::task::spawn_blocking(world).await.unwrap();
    let sqs = world.aws().await.sqs;
    let made = sqs.create_queue().queue_name("round-trip").send().await.unwrap();
    let url = made.queue_url().unwrap().to_owned();
    let kinds = BTreeMap::from([(Kind::Contacts, url.clone())]);
    let queue = SqsQueue::new(sqs.clone(), QueueUrls { fanout: None, kinds });
    let job = |number: u32| {
        let sync = SyncId::new(format!("s{number:02}"));
        Job::Sync { sync, kind: Kind::Contacts, trigger: Trigger::Push, run: None, continuation: number }
    };
    // More than one request carries.
    let jobs: Vec<(Job, Duration)> = (0..23).map(|number| (job(number), Duration::ZERO)).collect();
    queue.send(&jobs).await.unwrap();
    queue.send(&[(job(99), Duration::from_secs(900))]).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..50 {
        let answer = sqs.receive_message().queue_url(&url).max_number_of_messages(10).send().await.unwrap();
        for message in answer.messages() {
            seen.push(serde_json::from_str::<Job>(message.body().unwrap()).unwrap());
            let handle = message.receipt_handle().unwrap();
            sqs.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
        }
        if seen.len() >= jobs.len() {
            break;
        }
    }
    seen.sort_by_key(|job| format!("{job:?}"));
    assert_eq!(seen, jobs.into_iter().map(|(job, _)| job).collect::<Vec<_>>());
    let delayed = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
    let left = sqs.get_queue_attributes().queue_url(&url).attribute_names(delayed.clone()).send().await.unwrap();
    assert_eq!(left.attributes().and_then(|all| all.get(&delayed)).map(String::as_str), Some("1"));
}
