//! Mail: takes jobs from SQS and carries each out within this invocation's time.
mod handler;

use handler::Mail;
use lambda_runtime::{Error, run, service_fn};
use tandem_runtime::start;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mail = Mail::new(&start().await?);
    run(service_fn(|event| mail.handle(event))).await
}
