//! How well reading, writing and committing overlap: a first run at 50 ms a provider call and 5 ms a table request,
//! against the sequential provider writes alone. With `both` as the fourth argument both ways, half of the contacts on both
//! sides. Prints one JSON object.
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
    let both = std::env::args().nth(4).is_some_and(|word| word == "both");
    let profile = if both { "zoho-google-contacts" } else { "teamleader-google-contacts" };
    let sides = (crm_at_scale(), people_at_scale());
    let world = World::with(profile, json!({}), sides, Some((provider, table))).await;
    for n in 0..contacts {
        world.crm.person_creates(person(n), None);
    }
    if both {
        let group = world.remote.person_makes_container("Zoho CRM");
        for n in contacts / 2..contacts + contacts / 2 {
            world.remote.person_creates(person(n), Some(&group));
        }
    }
    let sync = world.sync_now().await;
    world.engine.start_run(&sync, tandem_ports::infra::Trigger::Manual).await.expect("may be started");
    let begin = std::time::Instant::now();
    while world.deliver(0).await {}
    let took = begin.elapsed();
    let run = world.last_run().await;
    let calls = |records: u64, batch: u64| u32::try_from(records.div_ceil(batch)).unwrap_or(u32::MAX);
    // The CRM, which lives in the table, answers as fast as that.
    let floor = provider * calls(run.counts.remote.created, 200) + table * calls(run.counts.crm.created, 100);
    println!(
        "{}",
        json!({
            "contacts": contacts,
            "created": run.counts.remote.created,
            "created_in_the_crm": run.counts.crm.created,
            "paired": run.counts.remote.paired,
            "seconds": took.as_secs_f64(),
            "sequential_writes_seconds": floor.as_secs_f64(),
            "ratio": took.as_secs_f64() / floor.as_secs_f64(),
            "table_requests": world.table.requests(),
        })
    );
}
