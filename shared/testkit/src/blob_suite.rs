//! The promises of [`BlobStore`], held to by the store in memory and by S3.
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::blobs::{BlobAddress, BlobError, BlobKey, BlobStore};

/// S3's smallest part.
const PART: usize = 5 * 1024 * 1024;

/// Checks every promise with keys that begin so. `send` carries out a request by an address, with these bytes, and answers the
/// body of the answer; it fails on any status but 2xx.
pub async fn check_all<S, F>(store: Arc<dyn BlobStore>, prefix: &str, send: S)
where
    S: Fn(BlobAddress, Vec<u8>) -> F,
    F: Future<Output = Vec<u8>>,
{
    let key = |name: &str| BlobKey(format!("{prefix}/{name}"));
    whole_objects_read_back_in_ranges(&*store, &key("whole")).await;
    what_is_gone_is_missing_and_may_go_again(&*store, &[key("one"), key("two"), key("never")]).await;
    parts_make_an_object_at_the_end_and_none_before(&*store, &key("parts")).await;
    an_upload_that_is_given_up_leaves_nothing(&*store, &key("given-up")).await;
    an_address_takes_and_gives_the_bytes(&*store, &key("by-address"), send).await;
}

async fn whole_objects_read_back_in_ranges(store: &dyn BlobStore, key: &BlobKey) {
    assert_eq!(store.size(key).await.expect("a size"), None);
    store.put(key, Bytes::from_static(b"0123456789")).await.expect("put");
    assert_eq!(store.size(key).await.expect("a size"), Some(10));
    assert_eq!(store.get(key, 0..10).await.expect("all").as_ref(), b"0123456789");
    assert_eq!(store.get(key, 3..5).await.expect("a range").as_ref(), b"34");
    assert!(store.get(key, 4..4).await.expect("nothing").is_empty());
    let empty = BlobKey(format!("{}-empty", key.0));
    store.put(&empty, Bytes::new()).await.expect("put");
    assert_eq!(store.size(&empty).await.expect("a size"), Some(0));
    assert!(store.get(&empty, 0..0).await.expect("nothing").is_empty());
}

async fn what_is_gone_is_missing_and_may_go_again(store: &dyn BlobStore, keys: &[BlobKey; 3]) {
    store.remove(&[]).await.expect("nothing to do");
    for key in &keys[..2] {
        store.put(key, Bytes::from_static(b"x")).await.expect("put");
    }
    for _ in 0..2 {
        store.remove(keys).await.expect("removed");
    }
    for key in keys {
        assert_eq!(store.size(key).await.expect("a size"), None);
        assert!(matches!(store.get(key, 0..1).await, Err(BlobError::Missing)));
    }
}

async fn parts_make_an_object_at_the_end_and_none_before(store: &dyn BlobStore, key: &BlobKey) {
    let (first, last) = (Bytes::from(vec![1; PART]), Bytes::from_static(b"end"));
    let upload = store.begin(key).await.expect("begun");
    assert!(store.parts(&upload).await.expect("none yet").is_empty());
    let two = store.part(&upload, 2, last.clone()).await.expect("in any order");
    store.part(&upload, 1, Bytes::from(vec![9; PART])).await.expect("a part");
    let one = store.part(&upload, 1, first.clone()).await.expect("in place of the part before");
    assert_eq!(store.size(key).await.expect("a size"), None);
    let parts = store.parts(&upload).await.expect("two");
    assert_eq!(parts, [one, two]);
    store.complete(&upload, &parts).await.expect("an object");
    assert_eq!(store.size(key).await.expect("a size"), Some(PART as u64 + 3));
    let seam = store.get(key, PART as u64 - 1..PART as u64 + 3).await.expect("the seam");
    assert_eq!(seam.as_ref(), b"\x01end");
    assert!(matches!(store.parts(&upload).await, Err(BlobError::Missing)), "it is completed");
}

async fn an_upload_that_is_given_up_leaves_nothing(store: &dyn BlobStore, key: &BlobKey) {
    let upload = store.begin(key).await.expect("begun");
    store.part(&upload, 1, Bytes::from_static(b"x")).await.expect("a part");
    for _ in 0..2 {
        store.abort(&upload).await.expect("given up");
    }
    assert!(matches!(store.parts(&upload).await, Err(BlobError::Missing)));
    assert!(matches!(store.part(&upload, 2, Bytes::from_static(b"x")).await, Err(BlobError::Missing)));
    assert_eq!(store.size(key).await.expect("a size"), None);
}

async fn an_address_takes_and_gives_the_bytes<S, F>(store: &dyn BlobStore, key: &BlobKey, send: S)
where
    S: Fn(BlobAddress, Vec<u8>) -> F,
    F: Future<Output = Vec<u8>>,
{
    let hour = Duration::from_secs(3600);
    let put = store.put_address(key, "text/plain", hour).await.expect("an address");
    assert_eq!(put.method, "PUT");
    send(put, b"by a browser".to_vec()).await;
    assert_eq!(store.size(key).await.expect("a size"), Some(12));
    let get = store.get_address(key, "Zoë's “plan”.txt", hour).await.expect("an address");
    assert_eq!(get.method, "GET");
    assert_eq!(send(get, Vec::new()).await, b"by a browser");
}
