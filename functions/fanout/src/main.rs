//! The schedule: a rule's event becomes one job a shard; each shard's job becomes one job a due sync.
mod handler;

use handler::Fanout;
use lambda_runtime::{Error, run, service_fn};
use tandem_runtime::start;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let fanout = Fanout::new(&start().await?);
    run(service_fn(|event| fanout.handle(event))).await
}
