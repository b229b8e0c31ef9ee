//! How long a thousand files of 4 KiB take to a Dropbox that answers each call after 50 ms, against the calls one after the
//! other: `cargo run -p tandem-dropbox --example small_files -- FILES MS`. Prints one JSON object.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_core::files::entry::Hashes;
use tandem_core::record::{Marker, RemoteId};
use tandem_dropbox::fake::FakeDropbox;
use tandem_dropbox::{DropboxConfig, DropboxFiles};
use tandem_ports::files::{Attempt, FileSide as _, FolderRef, Name, Target, Upload};
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_testkit::clock::ManualClock;

/// A Dropbox that is far away.
struct Far {
    dropbox: Arc<dyn HttpTransport>,
    latency: Duration,
}

#[async_trait]
impl HttpTransport for Far {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        tokio::time::sleep(self.latency).await;
        self.dropbox.send(request).await
    }
}

fn upload(number: usize, size: u64) -> Upload {
    let parent = FolderRef { id: RemoteId::new("root"), path: String::new() };
    Upload {
        target: Target::New { id: None, parent, name: Name(format!("{number}.bin")) },
        size,
        hashes: Hashes::none(),
        content_type: "application/octet-stream".to_owned(),
        modified_at: None,
        marker: Marker::new("a marker"),
        attempt: Attempt::First,
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn main() {
    let number = |n: usize, usual| std::env::args().nth(n).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (count, latency) = (number(1, 1_000), Duration::from_millis(number(2, 50) as u64));
    let fake = FakeDropbox::new(Arc::new(ManualClock::default())).shared();
    let far = Far { dropbox: fake.authorised("jan@example.com"), latency };
    let side = DropboxFiles::new(Arc::new(far), DropboxConfig::default());
    let bytes = Bytes::from_static(&[7; 4096]);
    let files: Vec<(Upload, Bytes)> = (0..count).map(|n| (upload(n, 4096), bytes.clone())).collect();
    let begin = Instant::now();
    for some in files.chunks(side.capabilities().put_batch) {
        let stored = side.put(some).await.expect("Dropbox takes them");
        assert!(stored.iter().all(Result::is_ok));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let calls = fake.calls().len();
    let sequential = latency.as_secs_f64() * f64::from(u32::try_from(calls).unwrap_or(u32::MAX));
    println!(
        "{}",
        json!({ "files": count, "calls": calls, "seconds": seconds, "sequential_seconds": sequential,
            "ratio": seconds / sequential })
    );
}
