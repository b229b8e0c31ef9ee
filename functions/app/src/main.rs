//! The HTTP API, the OAuth connect flow, the web page and the built-in CRM's API.
mod admin;
mod answer;
mod auth;
mod connections;
mod crm;
mod described;
mod event;
mod input;
mod meta;
mod oauth;
mod page;
mod profiles;
mod providers;
mod records;
mod router;
mod runs;
mod session;
mod state;
mod syncs;
#[cfg(test)]
mod tests;

use lambda_runtime::{Error, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let app = event::App::new(state::AppState::of(&tandem_runtime::start().await?));
    run(service_fn(|event| app.handle(event))).await
}
