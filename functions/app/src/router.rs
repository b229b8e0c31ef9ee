//! Every route, and the description of the API that is generated from them.
use crate::auth::authenticate;
use crate::input::MOST_BYTES;
use crate::state::AppState;
use crate::{connections, crm, meta, oauth, page, profiles, providers, records, runs, session, syncs};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use std::sync::Arc;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes behind authentication.
fn private() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(profiles::list))
        .routes(routes!(providers::list))
        .routes(routes!(connections::list, connections::create))
        .routes(routes!(connections::get, connections::remove))
        .routes(routes!(syncs::list, syncs::create))
        .routes(routes!(syncs::get, syncs::change, syncs::remove))
        .routes(routes!(syncs::choices))
        .routes(routes!(syncs::preview))
        .routes(routes!(runs::list, runs::start))
        .routes(routes!(runs::get))
        .routes(routes!(runs::changes))
        .routes(routes!(runs::undo))
        .routes(routes!(records::list))
        .routes(routes!(records::confirm))
        .routes(routes!(records::retry))
        .nest("/crm/v1", crm::routes())
}

/// The routes that need no user.
fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(meta::health))
        .routes(routes!(oauth::callback))
        .routes(routes!(session::sign_in, session::sign_out))
}

/// The whole service.
pub(crate) fn router(state: AppState) -> Router {
    let guarded = private().layer(from_fn_with_state(state.clone(), authenticate));
    let (router, described) =
        OpenApiRouter::with_openapi(description()).merge(public()).merge(guarded).split_for_parts();
    let described = Arc::new(described);
    let serve = move || async move { Json(described.as_ref().clone()) };
    router
        .route("/openapi.json", get(serve))
        .merge(page::routes())
        .fallback(meta::not_found)
        .method_not_allowed_fallback(meta::wrong_method)
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .layer(from_fn_with_state(state.clone(), harden))
        .with_state(state)
}

fn description() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tandem")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Keeps a CRM and Google in step. Times are RFC 3339 UTC; lists are {items, next}; errors are \
             {error: {code, message, field}}.",
        ))
        .build();
    let mut components = Components::new();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::auth::COOKIE));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let none: [&str; 0] = [];
    let either = [SecurityRequirement::new("bearer", none), SecurityRequirement::new("session", none)];
    OpenApiBuilder::new().info(info).components(Some(components)).security(Some(either)).build()
}

/// What every answer says to browsers. The page brings its own, wider content policy.
async fn harden(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if state.is_https() {
        let strict = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, strict);
    }
    response
}
