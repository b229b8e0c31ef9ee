//! The providers' notifications: verified, answered at once, turned into jobs.
mod handler;

use lambda_http::{Error, run};

#[tokio::main]
async fn main() -> Result<(), Error> {
    tandem_runtime::init_logs("");
    run(handler::routes()).await
}
