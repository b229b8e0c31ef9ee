//! How well reading, writing and committing overlap: a first run at 50 ms a provider call and 5 ms a table request,
//! against the sequential provider writes alone. Prints one JSON object.
use serde_json::json;
use simulation::provider::{crm_at_scale, people_at_scale};
use simulation::world::{World, person};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn main() {
    let contacts: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let ms = |n: usize, default| std::env::args().nth(n).and_then(|v| v.parse().ok()).unwrap_or(default);
    let (provider, table) = (Duration::from_millis(ms(2, 50)), Duration::from_millis(ms(3, 5)));
    let sides = (crm_at_scale(), people_at_scale());
    let world = World::with("teamleader-google-contacts", json!({}), sides, Some((provider, table))).await;
    for n in 0..contacts {
        world.crm.person_creates(person(n), None);
    }
    let sync = world.sync_now().await;
    world.engine.start_run(&sync, tandem_ports::infra::Trigger::Manual).await.expect("may be started");
    let begin = std::time::Instant::now();
    while world.deliver(0).await {}
    let took = begin.elapsed();
    let run = world.last_run().await;
    let writes = contacts.div_ceil(200);
    let floor = provider * u32::try_from(writes).unwrap_or(u32::MAX);
    println!(
        "{}",
        json!({
            "contacts": contacts,
            "created": run.counts.remote.created,
            "seconds": took.as_secs_f64(),
            "sequential_writes_seconds": floor.as_secs_f64(),
            "ratio": took.as_secs_f64() / floor.as_secs_f64(),
            "table_requests": world.table.requests(),
        })
    );
}
