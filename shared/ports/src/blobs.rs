//! Bytes at rest: an object store as S3 is, and no more.
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Names an object. An object is never written over: new bytes have a new key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobKey(pub String);

/// A multipart upload under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobUpload {
    /// What it will be.
    pub key: BlobKey,
    /// The store's own id of it.
    pub id: String,
}

/// A part that has arrived. Every part but the last has at least 5 MiB (S3), and they are numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobPart {
    /// Its number: 1 to 10,000.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// What the store answered for it; completing names it.
    pub tag: String,
}

/// Where somebody without our credentials may put or get an object, for a while. It is a bearer capability.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobAddress {
    /// `PUT` or `GET`.
    pub method: &'static str,
    /// The address.
    pub url: String,
    /// Headers that must go with it.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for BlobAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobAddress").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The object store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such object or upload.
    #[error("there is no such object")]
    Missing,
    /// No answer; whether it was done is unknown.
    #[error("the object store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An object store. Every method is one request, save `remove` and `parts`, which split what is more than one carries (1,000).
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Writes a whole object.
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), BlobError>;
    /// Reads a range of one; the range lies within it.
    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Result<Bytes, BlobError>;
    /// How many bytes it has; `None` when there is none.
    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError>;
    /// Removes objects. One that is gone is removed.
    async fn remove(&self, keys: &[BlobKey]) -> Result<(), BlobError>;
    /// Begins a multipart upload.
    async fn begin(&self, key: &BlobKey) -> Result<BlobUpload, BlobError>;
    /// Sends a part. The same part sent again replaces it.
    async fn part(&self, upload: &BlobUpload, number: u32, bytes: Bytes) -> Result<BlobPart, BlobError>;
    /// The parts that have arrived, by number. `Missing` when the upload is completed or given up.
    async fn parts(&self, upload: &BlobUpload) -> Result<Vec<BlobPart>, BlobError>;
    /// Makes the object of its parts. Until then there is none.
    async fn complete(&self, upload: &BlobUpload, parts: &[BlobPart]) -> Result<(), BlobError>;
    /// Gives up an upload. One that is gone is given up.
    async fn abort(&self, upload: &BlobUpload) -> Result<(), BlobError>;
    /// Where an object may be put by `PUT`, for this long.
    async fn put_address(
        &self,
        key: &BlobKey,
        content_type: &str,
        good_for: Duration,
    ) -> Result<BlobAddress, BlobError>;
    /// Where an object may be had by `GET`, for this long, to be saved under this name.
    async fn get_address(&self, key: &BlobKey, name: &str, good_for: Duration) -> Result<BlobAddress, BlobError>;
}
