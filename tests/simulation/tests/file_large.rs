//! Files larger than any memory. One test in this binary, so that the process's peak is the engine's.
use simulation::large::{KILLS, expected, memory, pass, same};
use tandem_core::record::Side;
use tandem_ports::files::CHUNK;
use tandem_testkit::files::{like_drive, like_dropbox};

/// `cargo run -p simulation --example large` has the same with 20 GB.
const SIZE: u64 = 256 * 1024 * 1024 + 17;
/// Buffers of the engine. The doubles hold what comes early, which is the very same memory.
const BUFFERS: u64 = 64 * 1024 * 1024;

#[tokio::test]
async fn a_file_larger_than_memory_passes_both_ways_with_the_worker_killed_twice_and_is_sent_once() {
    let whole = expected(SIZE);
    let before = memory("VmRSS");
    for (remote, to) in [
        (like_drive(), Side::Right),
        (like_drive(), Side::Left),
        (like_dropbox(), Side::Right),
        (like_dropbox(), Side::Left),
    ] {
        let passed = pass(remote, to, SIZE).await;
        let what = format!("{} to {}", remote.provider, to.word());
        assert!(same(&passed.arrived, &whole), "{what}");
        assert!(passed.kills == KILLS && passed.jobs > 2, "{what}: {} kills, {} jobs", passed.kills, passed.jobs);
        // Who knows what it has is sent nothing twice; the others are sent what was under way.
        let under_way = if to == Side::Right { remote.can.concurrent_appends as u64 } else { 1 } * CHUNK;
        assert!(passed.again <= KILLS * under_way, "{what}: {} bytes were sent twice", passed.again);
    }
    let peak = memory("VmHWM").saturating_sub(before);
    assert!(peak <= BUFFERS, "{peak} bytes at most");
}
