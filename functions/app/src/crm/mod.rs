//! The built-in CRM's API, to be nested under `/crm/v1`.
//!
//! Two extensions must be on every request: [`Crm`](tandem_builtin::Crm), and the authenticated
//! [`User`](tandem_builtin::users::User); where there is a bucket for files, [`Files`](tandem_builtin::Files) too. These handlers translate; the CRM decides.
mod answer;
mod files;
mod import;
mod records;
mod schemas;
#[cfg(test)]
mod tests;

use utoipa_axum::router::OpenApiRouter;

/// Every route of the CRM, relative to `/crm/v1`.
pub fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    records::routes().merge(files::routes()).merge(import::routes())
}
