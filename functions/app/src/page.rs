//! The web page: a few files, served from the binary. It uses the same API as everybody.
use crate::state::AppState;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Nothing from elsewhere, nothing inline, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = include_str!("../page/index.html");
/// Each beside its address.
const SCRIPTS: [(&str, &str); 5] = [
    ("/app.js", include_str!("../page/app.js")),
    ("/kit.js", include_str!("../page/kit.js")),
    ("/form.js", include_str!("../page/form.js")),
    ("/words.js", include_str!("../page/words.js")),
    ("/detail.js", include_str!("../page/detail.js")),
];
const STYLE: &str = include_str!("../page/style.css");

pub(crate) fn routes() -> Router<AppState> {
    let page = Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", HTML) }))
        .route("/style.css", get(|| async { file("text/css; charset=utf-8", STYLE) }));
    SCRIPTS.into_iter().fold(page, |page, (path, text)| {
        page.route(path, get(move || async move { file("text/javascript; charset=utf-8", text) }))
    })
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-cache")];
    (headers, text).into_response()
}

/// What a person sees where a sign-in at a provider came to nothing. `message` is one of our own sentences.
pub(crate) fn problem(status: StatusCode, message: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tandem</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"><main><h1>That did not work</h1><p>{}</p>\
         <p><a href=\"/\">Back to Tandem</a></p></main></html>",
        message.replace('&', "&amp;").replace('<', "&lt;")
    );
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (status, headers, html).into_response()
}
