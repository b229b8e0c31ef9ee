//! The bar under a mail: the endpoints of a Google Workspace add-on.
mod access;
mod cards;
mod event;
mod handler;
#[cfg(test)]
mod tests;

use lambda_http::{Error, run};
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let ports = tandem_runtime::start().await?;
    run(handler::routes(Arc::new(access::Addon::of(&ports)))).await
}
