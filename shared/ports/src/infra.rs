//! Time, secrets, jobs and the way out to the network.
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::time::Duration;
use tandem_core::record::{RunId, SyncId};

/// The time. The only place where it comes from.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> jiff::Timestamp;
    /// Waits. In tests this moves the clock.
    async fn sleep(&self, how_long: Duration);
}

/// A kind of record that a sync carries; each has its own queue and worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// People and companies.
    Contacts,
    /// Appointments and tasks.
    Calendar,
    /// Files and folders.
    Files,
    /// Tracked mail.
    Mail,
}

impl Kind {
    /// As in queue names, rules and the API.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Contacts => "contacts",
            Kind::Calendar => "calendar",
            Kind::Files => "files",
            Kind::Mail => "mail",
        }
    }
}

/// Why a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Its slot in the schedule came.
    Schedule,
    /// A person asked.
    Manual,
    /// A provider's notification.
    Push,
}

/// A unit of work: the body of an SQS message. Additive changes only: jobs of the previous release must parse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// Work on one sync within one budget.
    Sync {
        /// Which sync.
        sync: SyncId,
        /// Which worker's queue.
        kind: Kind,
        /// Why.
        trigger: Trigger,
        /// The run a person was promised, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// How many jobs this run already took; for the log.
        #[serde(default)]
        continuation: u32,
    },
    /// Enqueue the due syncs of one shard of one kind.
    Shard {
        /// Which kind.
        kind: Kind,
        /// Which shard of the due index.
        shard: u16,
    },
}

/// The queues.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Enqueues jobs, each after its delay (SQS: at most 15 minutes), in as few requests as the queue allows.
    async fn send(&self, jobs: &[(Job, Duration)]) -> Result<(), QueueError>;
}

/// The queue did not take a job.
#[derive(Debug, thiserror::Error)]
#[error("the job queue is unavailable")]
pub struct QueueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Who a secret belongs to. It is the encryption context: a secret opens for nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretOwner {
    /// The user.
    pub user: String,
    /// The connection, or another thing of that user's (`sync:<id>`).
    pub thing: String,
}

/// A secret at rest: opaque text, safe to store.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}

/// Envelope encryption.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Encrypts for this owner.
    async fn seal(&self, owner: &SecretOwner, plain: &[u8]) -> Result<Sealed, SecretError>;
    /// Decrypts what was sealed for this owner; anything else fails.
    async fn open(&self, owner: &SecretOwner, sealed: &Sealed) -> Result<Vec<u8>, SecretError>;
}

/// A secret could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Tampered with, or sealed for somebody else.
    #[error("the secret does not open for this owner")]
    Refused,
    /// The key service did not answer.
    #[error("the key service is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A request's body that comes piece by piece.
pub type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send + Sync>>;

/// A response's body that comes piece by piece; what breaks it ends it.
pub type Arriving = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// The one way out: sends a request, answers a complete response. No redirects, no retries.
#[async_trait]
pub trait HttpTransport: Send + Sync {
    /// Sends a complete request. Any status is an `Ok`.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError>;

    /// Sends a request whose body comes piece by piece, for an upload that a provider takes in one request only. Its
    /// headers say the `Content-Length`; a body that ends before is no request. Here the body is gathered first: a transport
    /// to the network sends it as it comes.
    async fn send_pieces(&self, request: http::Request<Pieces>) -> Result<http::Response<Bytes>, TransportError> {
        let (parts, mut pieces) = request.into_parts();
        let mut body = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece);
        }
        self.send(http::Request::from_parts(parts, body.freeze())).await
    }

    /// Sends a complete request and hands its answer's body on as it arrives, for a file that a provider gives whole only.
    /// Here the body comes as one piece: a transport to the network hands on what is there.
    async fn receive(&self, request: http::Request<Bytes>) -> Result<http::Response<Arriving>, TransportError> {
        let answer = self.send(request).await?;
        Ok(answer.map(|body| -> Arriving { Box::pin(futures::stream::iter([Ok(body)])) }))
    }
}

/// No response came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Nothing was sent, or the answer is lost: whether it took effect is unknown.
    #[error("no answer from {host}")]
    Lost {
        /// Host of the request.
        host: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The connection has no usable grant any more.
    #[error("the grant for {host} is gone")]
    AuthRevoked {
        /// Host of the request.
        host: String,
    },
}
