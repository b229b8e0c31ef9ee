//! Calendars: takes jobs from SQS and carries each out within this invocation's time.
mod handler;

use handler::Calendar;
use lambda_runtime::{Error, run, service_fn};
use tandem_runtime::start;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let calendar = Calendar::new(&start().await?);
    run(service_fn(|event| calendar.handle(event))).await
}
