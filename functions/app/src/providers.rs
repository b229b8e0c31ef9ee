//! Where accounts can be connected.
use crate::answer::List;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tandem_http::OAuthProvider;
use utoipa::ToSchema;

/// The CRM that is part of this service.
pub(crate) const BUILTIN: &str = "builtin";

/// A provider whose accounts this installation can connect.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProviderView {
    /// For `POST /v1/connections`.
    id: String,
    /// As people call it.
    name: String,
    /// How: `direct` (nothing is needed), `oauth` (send the browser to `authorize_url`), `access_token` (a personal token).
    ways: Vec<&'static str>,
    /// The length of its personal tokens, where it takes them.
    access_token_length: Option<usize>,
}

impl From<&OAuthProvider> for ProviderView {
    fn from(provider: &OAuthProvider) -> Self {
        let oauth = provider.client.as_ref().map(|_| "oauth");
        let token = provider.personal_token_length.map(|_| "access_token");
        Self {
            id: provider.name.clone(),
            name: provider.title.clone(),
            ways: oauth.into_iter().chain(token).collect(),
            access_token_length: provider.personal_token_length,
        }
    }
}

/// Where accounts can be connected: the built-in CRM, and the providers that this installation has a client for or
/// whose personal tokens it takes.
#[utoipa::path(get, path = "/v1/providers", operation_id = "list_providers", tag = "connections",
    responses((status = 200, body = List<ProviderView>), (status = 401, body = crate::answer::ErrorBody)))]
pub(crate) async fn list(State(state): State<AppState>) -> Json<List<ProviderView>> {
    let (id, name) = (BUILTIN.to_owned(), "Built-in CRM".to_owned());
    let builtin = ProviderView { id, name, ways: vec!["direct"], access_token_length: None };
    let others = state.connect.providers().map(|provider| ProviderView::from(provider.as_ref()));
    let usable = others.filter(|provider| !provider.ways.is_empty());
    Json(List { items: std::iter::once(builtin).chain(usable).collect(), next: None })
}
