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
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder, SecurityRequirement,
};
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
        .routes(routes!(records::convert))
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
    let (router, mut described) =
        OpenApiRouter::with_openapi(description()).merge(public()).merge(guarded).split_for_parts();
    describe_refusals(&mut described);
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

/// The refusals that come before any handler: of the sign-in, of a page elsewhere, of a body or a query that cannot be
/// read, of a table that does not answer.
fn describe_refusals(described: &mut OpenApi) {
    for (path, item) in &mut described.paths.paths {
        let is_private = path.starts_with("/v1/") || path.starts_with("/crm/v1/");
        for (operation, changes) in [
            (&mut item.get, false),
            (&mut item.post, true),
            (&mut item.put, true),
            (&mut item.patch, true),
            (&mut item.delete, true),
        ] {
            let Some(operation) = operation.as_mut().filter(|_| is_private) else { continue };
            let has_query = operation.parameters.iter().flatten().any(|parameter| match parameter {
                RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
                RefOr::Ref(_) => false,
            });
            let has_body = operation.request_body.is_some();
            for (occurs, status, meaning) in [
                (has_query || has_body, "400", "the query or the body cannot be read"),
                (true, "401", "no token, or one that is unknown or has expired"),
                (changes, "403", "a change by session cookie from another site, or a right that is missing"),
                (has_body, "413", "the body is larger than 6 MB"),
                (true, "503", "not available at this moment; see `Retry-After`"),
            ] {
                if occurs {
                    let answer =
                        || ResponseBuilder::new().description(meaning).content("application/json", error_body());
                    let answers = &mut operation.responses.responses;
                    answers.entry(status.to_owned()).or_insert_with(|| RefOr::T(answer().build()));
                }
            }
        }
    }
}

fn error_body() -> Content {
    Content::new(Some(Ref::from_schema_name("ErrorBody")))
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
