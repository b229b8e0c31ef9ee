//! The providers' notifications: verified, answered at once, turned into jobs.
mod handler;

use lambda_http::{Error, run};
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let hooks = Arc::new(tandem_runtime::start().await?.hooks());
    run(handler::routes(hooks)).await
}
