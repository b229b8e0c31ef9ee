//! Where the providers send the browser back to.
use crate::answer::ApiError;
use crate::auth::{hash, session_token};
use crate::input::Params;
use crate::page;
use crate::state::AppState;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tandem_http::{Finished, Returned};
use utoipa::IntoParams;

/// What the browser brings back. Providers add parameters of their own (`scope`, `authuser`, `prompt`, …).
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Back {
    /// As it was sent along.
    #[serde(default)]
    state: String,
    /// The code, where the user agreed.
    code: Option<String>,
    /// `access_denied`, …, where not.
    error: Option<String>,
    /// Zoho: the accounts server that gave the code.
    #[serde(rename = "accounts-server")]
    accounts_server: Option<String>,
    /// Zoho: the data centre of that server.
    location: Option<String>,
}

/// Ends an authorisation and leads to the page.
#[utoipa::path(get, path = "/oauth/callback/{provider}", operation_id = "oauth_callback", tag = "connections", security(()),
    params(("provider" = String, Path), Back),
    responses((status = 303, description = "to the page"), (status = 400, body = crate::answer::ErrorBody)))]
pub(crate) async fn callback(
    State(state): State<AppState>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    Params(back): Params<Back>,
) -> Response {
    let session = session_token(&headers).map(|token| hash(&token));
    let Back { state: begun, code, error, accounts_server, location } = back;
    let returned = Returned { state: begun, code, error, session, accounts_server, location };
    match state.connect.finish(&provider, returned).await {
        Ok(Finished::Connected(connection)) => to_page("connected", &connection.provider),
        Ok(Finished::Denied) => to_page("problem", "denied"),
        Ok(Finished::MissingScopes(scopes)) => {
            // The last part is what people can recognise: `…/auth/contacts`.
            let names: Vec<&str> = scopes.iter().filter_map(|scope| scope.rsplit('/').next()).collect();
            to_page("missing", &names.join(","))
        }
        Err(error) => refuse(&headers, error.into()),
    }
}

fn to_page(name: &str, value: &str) -> Response {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/?{query}"))]).into_response()
}

/// A person sees a page, a program the API's error.
fn refuse(headers: &HeaderMap, error: ApiError) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        return page::problem(error.status(), error.message());
    }
    error.into_response()
}
