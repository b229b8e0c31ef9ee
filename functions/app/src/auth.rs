//! Who is calling: by bearer token, or by the session cookie of the web page.
use crate::answer::ApiError;
use crate::state::AppState;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tandem_ports::infra::Clock;

/// The cookie with the session's token.
pub(crate) const COOKIE: &str = "tandem_session";

/// How the caller proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// By a bearer token.
    Bearer,
    /// By the cookie of a browser session, known by its hash.
    Session(String),
}

/// Lets only known users pass, and says to the handlers who it is.
pub(crate) async fn authenticate(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (token, caller) = match (bearer(request.headers())?, session_token(request.headers())) {
        (Some(token), _) => (token, Caller::Bearer),
        (None, Some(token)) => {
            same_origin(&state, request.method(), request.headers())?;
            let caller = Caller::Session(hash(&token));
            (token, caller)
        }
        (None, None) => return Err(unauthorised("Sign in, or send “Authorization: Bearer <token>”.")),
    };
    let user = state.users.authenticate(&token).await?;
    let user = user.ok_or_else(|| unauthorised("This token is unknown or has expired."))?;
    let clock: Arc<dyn Clock> = Arc::clone(&state.clock);
    let extensions = request.extensions_mut();
    extensions.insert(user);
    extensions.insert(caller);
    extensions.insert(state.crm.clone());
    if let Some(files) = &state.files {
        extensions.insert(files.clone());
    }
    extensions.insert(clock);
    Ok(next.run(request).await)
}

/// Who is calling, for handlers.
pub(crate) type CallerExtension = Extension<Caller>;

pub(crate) fn unauthorised(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

fn bearer(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    token.map(|token| Some(token.to_owned())).ok_or_else(|| unauthorised("“Authorization” must be “Bearer <token>”."))
}

/// The session's token from the cookies.
pub(crate) fn session_token(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned()).find(|value| !value.is_empty())
}

/// The session's hash, as the store knows it.
pub(crate) fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// A browser sends the cookie along with what any page makes it send. What changes something must come from our own
/// page: browsers say so in `Sec-Fetch-Site`, older ones in `Origin`, and a request that says neither is none of ours.
pub(crate) fn same_origin(state: &AppState, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ours = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.eq_ignore_ascii_case(&state.public_url),
        (None, None) => false,
    };
    if ours {
        return Ok(());
    }
    let message = "A change by session cookie must come from Tandem's own page; programs use a bearer token.";
    Err(ApiError::new(StatusCode::FORBIDDEN, "cross_origin", message))
}
