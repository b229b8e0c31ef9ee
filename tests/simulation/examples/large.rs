//! A generated file through doubles that keep only its hash, to Drive and Dropbox and back, the worker killed twice on each
//! way: `cargo run -p simulation --example large -- BYTES` (20 GB without). Prints one JSON object.
use serde_json::{Map, json};
use simulation::large::{expected, memory, pass, same};
use std::time::Instant;
use tandem_core::record::Side;
use tandem_testkit::files::{like_drive, like_dropbox};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn main() {
    let size: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000_000_000);
    let whole = expected(size);
    let before = memory("VmRSS");
    let mut ways = Map::new();
    for (remote, to) in [
        (like_drive(), Side::Right),
        (like_drive(), Side::Left),
        (like_dropbox(), Side::Right),
        (like_dropbox(), Side::Left),
    ] {
        let begin = Instant::now();
        let passed = pass(remote, to, size).await;
        assert!(same(&passed.arrived, &whole), "other bytes arrived");
        let way = if to == Side::Right { "to" } else { "from" };
        let took = begin.elapsed().as_secs_f64();
        let figures =
            json!({ "seconds": took, "sent_twice": passed.again, "jobs": passed.jobs, "kills": passed.kills });
        ways.insert(format!("{way} {}", remote.provider), figures);
    }
    println!("{}", json!({ "bytes": size, "buffers": memory("VmHWM").saturating_sub(before), "ways": ways }));
}
