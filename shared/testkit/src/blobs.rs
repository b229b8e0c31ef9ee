//! The object store in memory, with S3's rules on parts.
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
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
pub struct MemoryBlobs(Mutex<State>);

impl MemoryBlobs {
    /// Keys of all objects.
    pub fn keys(&self) -> Vec<BlobKey> {
        self.0.lock().expect("not poisoned").objects.keys().cloned().collect()
    }
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), BlobError> {
        self.0.lock().expect("not poisoned").objects.insert(key.clone(), bytes);
        Ok(())
    }

    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Result<Bytes, BlobError> {
        let state = self.0.lock().expect("not poisoned");
        let at = |n: u64| usize::try_from(n).expect("it is in memory");
        let object = state.objects.get(key).ok_or(BlobError::Missing)?;
        Ok(object.slice(at(range.start)..at(range.end)))
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        Ok(self.0.lock().expect("not poisoned").objects.get(key).map(|object| object.len() as u64))
    }

    async fn remove(&self, keys: &[BlobKey]) -> Result<(), BlobError> {
        let mut state = self.0.lock().expect("not poisoned");
        for key in keys {
            state.objects.remove(key);
        }
        Ok(())
    }

    async fn begin(&self, key: &BlobKey) -> Result<BlobUpload, BlobError> {
        let mut state = self.0.lock().expect("not poisoned");
        state.next += 1;
        let id = format!("upload-{}", state.next);
        state.uploads.insert(id.clone(), BTreeMap::new());
        Ok(BlobUpload { key: key.clone(), id })
    }

    async fn part(&self, upload: &BlobUpload, number: u32, bytes: Bytes) -> Result<BlobPart, BlobError> {
        assert!((1..=10_000).contains(&number), "S3 numbers parts from 1 to 10,000");
        let mut state = self.0.lock().expect("not poisoned");
        let size = bytes.len() as u64;
        state.uploads.get_mut(&upload.id).ok_or(BlobError::Missing)?.insert(number, bytes);
        Ok(BlobPart { number, size, tag: format!("tag-{number}") })
    }

    async fn parts(&self, upload: &BlobUpload) -> Result<Vec<BlobPart>, BlobError> {
        let state = self.0.lock().expect("not poisoned");
        let parts = state.uploads.get(&upload.id).ok_or(BlobError::Missing)?;
        let part = |(number, bytes): (&u32, &Bytes)| BlobPart {
            number: *number,
            size: bytes.len() as u64,
            tag: format!("tag-{number}"),
        };
        Ok(parts.iter().map(part).collect())
    }

    async fn complete(&self, upload: &BlobUpload, parts: &[BlobPart]) -> Result<(), BlobError> {
        let mut state = self.0.lock().expect("not poisoned");
        let kept = state.uploads.remove(&upload.id).ok_or(BlobError::Missing)?;
        let mut all = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(part.number as usize, index + 1, "without a gap");
            assert!(index + 1 == parts.len() || part.size >= SMALLEST_PART, "EntityTooSmall");
            all.extend_from_slice(&kept[&part.number]);
        }
        state.objects.insert(upload.key.clone(), all.into());
        Ok(())
    }

    async fn abort(&self, upload: &BlobUpload) -> Result<(), BlobError> {
        self.0.lock().expect("not poisoned").uploads.remove(&upload.id);
        Ok(())
    }

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
