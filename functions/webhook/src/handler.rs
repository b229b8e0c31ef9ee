//! The routes of the notifications. Who may enter by one is for its provider's verification to say; a route whose
//! provider has none in this release answers 404, as any address that does not exist.
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

/// The largest notification: Gmail's Pub/Sub pushes and Dropbox's lists of accounts stay far below.
const MOST_BYTES: usize = 256 * 1024;

/// Every notification address of the API.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/webhooks/google/calendar", post(not_served))
        .route("/webhooks/google/drive", post(not_served))
        .route("/webhooks/google/gmail", post(not_served))
        .route("/webhooks/dropbox", get(not_served).post(not_served))
        .route("/webhooks/teamleader/{secret}", post(not_served))
        .route("/webhooks/zoho", post(not_served))
        .fallback(not_served)
        .method_not_allowed_fallback(not_served)
        .layer(DefaultBodyLimit::max(MOST_BYTES))
}

/// The body is not even read: nothing of an unverified sender is looked at.
async fn not_served() -> Response {
    let message = "There is no such address here, or its provider's notifications are not switched on.";
    let body = json!({"error": {"code": "not_found", "message": message, "field": null}}).to_string();
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use lambda_http::tower::ServiceExt as _;

    #[tokio::test]
    async fn a_notification_that_nobody_verifies_is_refused_in_the_words_of_the_api() {
        for (method, path) in [
            ("POST", "/webhooks/google/calendar"),
            ("POST", "/webhooks/google/drive"),
            ("POST", "/webhooks/google/gmail"),
            ("GET", "/webhooks/dropbox"),
            ("POST", "/webhooks/dropbox"),
            ("POST", "/webhooks/teamleader/guess"),
            ("POST", "/webhooks/zoho"),
            ("DELETE", "/webhooks/zoho"),
            ("GET", "/webhooks/unheard-of"),
        ] {
            let request = Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
            let answer = routes().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
            let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["code"], "not_found");
            assert!(body["error"]["field"].is_null());
        }
    }
}
