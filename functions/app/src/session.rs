//! Signing in and out on the web page.
use crate::answer::ApiError;
use crate::auth::{COOKIE, same_origin, session_token, unauthorised};
use crate::input::Fields;
use crate::state::{AppState, SESSION_LIFETIME};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedIn {
    /// The user's id.
    id: String,
    /// The user's address.
    email: String,
    /// The user's name.
    name: String,
}

/// A bearer token, to sign in with.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body in the API's description; it is read field by field")]
pub(crate) struct SignIn {
    /// `tnd_…`
    token: String,
}

/// Signs in on the page: sets a session cookie of its own, good for seven days.
#[utoipa::path(post, path = "/session", tag = "page", security(()), request_body = SignIn,
    responses((status = 200, body = SignedIn), (status = 401, body = crate::answer::ErrorBody)))]
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    // Without this another site could sign its visitors in as somebody else.
    same_origin(&state, &Method::POST, &headers)?;
    fields.only(&["token"])?;
    let user = state.users.authenticate(fields.text("token")?.trim()).await?;
    let user = user.ok_or_else(|| unauthorised("This token is unknown or has expired."))?;
    let session = state.users.issue(&user, SESSION_LIFETIME).await?;
    let cookie = cookie(&state, session.expose(), SESSION_LIFETIME.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Json(SignedIn { id: user.id, email: user.email, name: user.name }))
        .into_response())
}

/// Signs out: ends the session and takes its cookie away.
#[utoipa::path(delete, path = "/session", tag = "page", security(("session" = [])),
    responses((status = 204, description = "signed out")))]
pub(crate) async fn sign_out(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, ApiError> {
    same_origin(&state, &Method::DELETE, &headers)?;
    if let Some(token) = session_token(&headers) {
        state.users.revoke(&token).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&state, "", 0))]).into_response())
}

fn cookie(state: &AppState, value: &str, seconds: u64) -> String {
    let secure = if state.is_https() { "; Secure" } else { "" };
    format!("{COOKIE}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={seconds}{secure}")
}
