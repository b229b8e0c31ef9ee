//! The object store in memory, with S3's rules on parts.
use crate::fault::{Faults, Verdict};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_ports::blobs::{BlobAddress, BlobError, BlobKey, BlobPart, BlobStore, BlobUpload};

/// S3's smallest part, but for the last one.
const SMALLEST_PART: u64 = 5 * 1024 * 1024;

#[derive(Default)]
struct State {
    objects: BTreeMap<BlobKey, Bytes>,
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    next: u64,
}

/// Objects in memory.
#[derive(Default)]
pub struct MemoryBlobs {
    state: Mutex<State>,
    faults: Arc<Faults>,
}

fn unavailable() -> BlobError {
    BlobError::Unavailable("the object store did not answer".into())
}

impl MemoryBlobs {
    /// No objects, in a store whose calls the faults may strike.
    pub fn with_faults(faults: Arc<Faults>) -> Self {
        Self { faults, ..Self::default() }
    }

    /// One call, with what may befall it.
    fn call<T>(&self, work: impl FnOnce(&mut State) -> Result<T, BlobError>) -> Result<T, BlobError> {
        let verdict = self.faults.strike();
        if verdict == Verdict::Refuse {
            return Err(unavailable());
        }
        let done = work(&mut self.state.lock().expect("not poisoned"))?;
        if verdict == Verdict::Go { Ok(done) } else { Err(unavailable()) }
    }

    /// Keys of all objects.
    pub fn keys(&self) -> Vec<BlobKey> {
        self.state.lock().expect("not poisoned").objects.keys().cloned().collect()
    }
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), BlobError> {
        self.call(|state| {
            state.objects.insert(key.clone(), bytes);
            Ok(())
        })
    }

    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Result<Bytes, BlobError> {
        let at = |n: u64| usize::try_from(n).expect("it is in memory");
        self.call(|state| {
            let object = state.objects.get(key).ok_or(BlobError::Missing)?;
            Ok(object.slice(at(range.start)..at(range.end)))
        })
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        self.call(|state| Ok(state.objects.get(key).map(|object| object.len() as u64)))
    }

    async fn remove(&self, keys: &[BlobKey]) -> Result<(), BlobError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.call(|state| {
            for key in keys {
                state.objects.remove(key);
            }
            Ok(())
        })
    }

    async fn begin(&self, key: &BlobKey) -> Result<BlobUpload, BlobError> {
        self.call(|state| {
            state.next += 1;
            let id = format!("upload-{}", state.next);
            state.uploads.insert(id.clone(), BTreeMap::new());
            Ok(BlobUpload { key: key.clone(), id })
        })
    }

    async fn part(&self, upload: &BlobUpload, number: u32, bytes: Bytes) -> Result<BlobPart, BlobError> {
        assert!((1..=10_000).contains(&number), "S3 numbers parts from 1 to 10,000");
        let size = bytes.len() as u64;
        self.call(|state| {
            state.uploads.get_mut(&upload.id).ok_or(BlobError::Missing)?.insert(number, bytes);
            Ok(BlobPart { number, size, tag: format!("tag-{number}") })
        })
    }

    async fn parts(&self, upload: &BlobUpload) -> Result<Vec<BlobPart>, BlobError> {
        self.call(|state| {
            let parts = state.uploads.get(&upload.id).ok_or(BlobError::Missing)?;
            let part = |(number, bytes): (&u32, &Bytes)| BlobPart {
                number: *number,
                size: bytes.len() as u64,
                tag: format!("tag-{number}"),
            };
            Ok(parts.iter().map(part).collect())
        })
    }

    async fn complete(&self, upload: &BlobUpload, parts: &[BlobPart]) -> Result<(), BlobError> {
        self.call(|state| {
            let kept = state.uploads.remove(&upload.id).ok_or(BlobError::Missing)?;
            let mut all = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                assert!(index == 0 || parts[index - 1].number < part.number, "InvalidPartOrder");
                assert!(index + 1 == parts.len() || part.size >= SMALLEST_PART, "EntityTooSmall");
                all.extend_from_slice(&kept[&part.number]);
            }
            state.objects.insert(upload.key.clone(), all.into());
            Ok(())
        })
    }

    async fn abort(&self, upload: &BlobUpload) -> Result<(), BlobError> {
        self.call(|state| {
            state.uploads.remove(&upload.id);
            Ok(())
        })
    }

    // An address is made without a request.
    async fn put_address(
        &self,
        key: &BlobKey,
        content_type: &str,
        _good_for: Duration,
    ) -> Result<BlobAddress, BlobError> {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Ok(BlobAddress { method: "PUT", url: format!("memory://{}", key.0), headers })
    }

    async fn get_address(&self, key: &BlobKey, _name: &str, _good_for: Duration) -> Result<BlobAddress, BlobError> {
        Ok(BlobAddress { method: "GET", url: format!("memory://{}", key.0), headers: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_store_in_memory_keeps_every_promise() {
        let store = Arc::new(MemoryBlobs::default());
        let browser = |address: BlobAddress, bytes: Vec<u8>| {
            let store = Arc::clone(&store);
            async move {
                let key = BlobKey(address.url.trim_start_matches("memory://").to_owned());
                if address.method == "PUT" {
                    store.put(&key, bytes.into()).await.unwrap();
                    return Vec::new();
                }
                let size = store.size(&key).await.unwrap().unwrap();
                store.get(&key, 0..size).await.unwrap().to_vec()
            }
        };
        crate::blob_suite::check_all(Arc::clone(&store) as Arc<dyn BlobStore>, "here", browser).await;
    }
}
