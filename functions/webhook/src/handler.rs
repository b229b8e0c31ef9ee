//! The routes of the notifications: translates requests and answers, decides nothing. A route whose provider's
//! notifications are not taken answers 404, as any address that does not exist.
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;
use tandem_runtime::{Answer, Hooks};

/// The largest notification: each provider's stay far below.
const MOST_BYTES: usize = 256 * 1024;

/// Every notification address of the API.
pub(crate) fn routes(hooks: Arc<Hooks>) -> Router {
    Router::new()
        .route("/webhooks/google/calendar", post(google_channel))
        .route("/webhooks/google/drive", post(google_channel))
        .route("/webhooks/google/gmail", post(gmail))
        .route("/webhooks/dropbox", get(dropbox_challenge).post(dropbox))
        .route("/webhooks/teamleader/{secret}", post(teamleader))
        .route("/webhooks/zoho", post(zoho))
        .fallback(not_served)
        .method_not_allowed_fallback(not_served)
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(hooks)
}

async fn google_channel(State(hooks): State<Arc<Hooks>>, headers: HeaderMap) -> Response {
    respond(hooks.google_channel(&headers).await)
}

async fn gmail(State(hooks): State<Arc<Hooks>>, headers: HeaderMap, body: Bytes) -> Response {
    respond(hooks.gmail(text(&headers, "authorization"), &body).await)
}

async fn teamleader(State(hooks): State<Arc<Hooks>>, Path(secret): Path<String>, body: Bytes) -> Response {
    respond(hooks.teamleader(&secret, &body).await)
}

async fn zoho(State(hooks): State<Arc<Hooks>>, body: Bytes) -> Response {
    respond(hooks.zoho(&body).await)
}

async fn dropbox(State(hooks): State<Arc<Hooks>>, headers: HeaderMap, body: Bytes) -> Response {
    respond(hooks.dropbox(text(&headers, "x-dropbox-signature"), &body).await)
}

/// Plain text that no browser takes for anything else: what is echoed is whatever the caller sent.
async fn dropbox_challenge(State(hooks): State<Arc<Hooks>>, RawQuery(query): RawQuery) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    match hooks.dropbox_challenge(query.as_deref().unwrap_or_default()) {
        Some(echo) => (StatusCode::OK, headers, echo).into_response(),
        None => respond(Answer::NotServed),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The body is not even read: nothing of an unverified sender is looked at.
async fn not_served() -> Response {
    respond(Answer::NotServed)
}

fn respond(answer: Answer) -> Response {
    let (status, code, message) = match answer {
        Answer::Thanks => return StatusCode::OK.into_response(),
        Answer::Malformed => (StatusCode::BAD_REQUEST, "bad_request", "This is no notification."),
        Answer::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This does not prove whom it is from."),
        Answer::NotServed => {
            let message = "There is no such address here, or its provider's notifications are not switched on.";
            (StatusCode::NOT_FOUND, "not_found", message)
        }
        // One of the few statuses that Google sends again after.
        Answer::Later => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Please send this again in a moment."),
    };
    let body = json!({"error": {"code": code, "message": message, "field": null}}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests;
