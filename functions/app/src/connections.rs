//! Accounts that Tandem may act for.
use crate::answer::{ApiError, List, page};
use crate::auth::{Caller, CallerExtension};
use crate::input::{Fields, Paging, Params};
use crate::state::{AppState, id_of};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tandem_builtin::users::User;
use tandem_core::record::ConnectionId;
use tandem_store::connection::{Account, Connection, ConnectionState};
use utoipa::ToSchema;

/// Providers that this release can connect.
const PROVIDERS: [&str; 2] = ["builtin", "google"];

/// An account that Tandem may act for.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectionView {
    /// Id.
    id: String,
    /// `builtin` or `google`.
    provider: String,
    /// Whom Tandem acts for; empty while pending.
    account: AccountView,
    /// `pending`, `connected` or `reconnect_needed`.
    #[schema(value_type = String)]
    state: ConnectionState,
    /// What the provider granted.
    scopes: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: jiff::Timestamp,
    /// Where to send the browser; only in the answer that makes a pending connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorize_url: Option<String>,
}

/// An account at a provider.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// The provider's id.
    id: String,
    /// Its name.
    name: String,
    /// Its address.
    email: String,
}

impl From<Connection> for ConnectionView {
    fn from(connection: Connection) -> Self {
        let Account { id, name, email } = connection.account;
        Self {
            id: connection.id.to_string(),
            provider: connection.provider,
            account: AccountView { id, name, email },
            state: connection.state,
            scopes: connection.scopes,
            created_at: connection.created_at,
            authorize_url: None,
        }
    }
}

/// What to connect.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body in the API's description; it is read field by field")]
pub(crate) struct NewConnection {
    /// `builtin` or `google`.
    provider: String,
    /// Only for providers with personal tokens; none of this release has them.
    access_token: Option<String>,
}

/// Connects an account. Google: send the browser to `authorize_url`; built-in: connected at once.
#[utoipa::path(post, path = "/v1/connections", operation_id = "create_connection", tag = "connections", request_body = NewConnection,
    responses((status = 201, body = ConnectionView), (status = 422, body = crate::answer::ErrorBody)))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Extension(caller): CallerExtension,
    fields: Fields,
) -> Result<(StatusCode, Json<ConnectionView>), ApiError> {
    fields.only(&["provider", "access_token"])?;
    let provider = fields.text("provider")?;
    if !PROVIDERS.contains(&provider) {
        let message = format!("This release connects {}.", PROVIDERS.join(" and "));
        return Err(ApiError::field("provider", message));
    }
    if fields.optional_text("access_token")?.is_some() {
        let message = "This provider takes no access token; leave the field out.";
        return Err(ApiError::field("access_token", message));
    }
    if provider == "builtin" {
        return Ok((StatusCode::CREATED, Json(builtin(&state, &user).await?.into())));
    }
    let Some(provider) = state.connect.provider(provider).cloned() else {
        let message = "This installation has no OAuth client for Google yet; its administrator must add one.";
        return Err(ApiError::conflict("not_set_up", message));
    };
    let session = match caller {
        Caller::Bearer => None,
        Caller::Session(hash) => Some(hash),
    };
    let begun = state.connect.begin(&id_of(&user), &provider, session).await?;
    let view = ConnectionView { authorize_url: Some(begun.authorize_url), ..begun.connection.into() };
    Ok((StatusCode::CREATED, Json(view)))
}

/// The user's own CRM account. There is one, so asking again answers the same connection.
async fn builtin(state: &AppState, user: &User) -> Result<Connection, ApiError> {
    let all = state.store.connections_of(&id_of(user)).await?;
    if let Some(there) = all.into_iter().find(|connection| connection.provider == "builtin") {
        return Ok(there);
    }
    let account = Account { id: user.account.clone(), name: "Built-in CRM".to_owned(), email: user.email.clone() };
    let connection = Connection {
        id: ConnectionId::new(uuid::Uuid::new_v4().to_string()),
        user: id_of(user),
        provider: "builtin".to_owned(),
        account,
        state: ConnectionState::Connected,
        scopes: Vec::new(),
        tokens: None,
        tokens_version: 0,
        rests_until: None,
        created_at: state.clock.now(),
    };
    state.store.create_connection(&connection).await?;
    Ok(connection)
}

/// The user's connections, the oldest first.
#[utoipa::path(get, path = "/v1/connections", operation_id = "list_connections", tag = "connections", params(Paging),
    responses((status = 200, body = List<ConnectionView>)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<ConnectionView>>, ApiError> {
    let all = state.store.connections_of(&id_of(&user)).await?;
    let (items, next) = page(all, |connection| connection.id.as_str(), paging.next.as_deref(), paging.limit()?)?;
    Ok(Json(List { items: items.into_iter().map(ConnectionView::from).collect(), next }))
}

/// A connection.
#[utoipa::path(get, path = "/v1/connections/{id}", operation_id = "get_connection", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = ConnectionView), (status = 404, body = crate::answer::ErrorBody)))]
pub(crate) async fn get(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<Json<ConnectionView>, ApiError> {
    Ok(Json(own(&state, &user, &id).await?.into()))
}

/// Revokes at the provider, forgets the tokens and pauses its syncs. Records stay where they are.
#[utoipa::path(delete, path = "/v1/connections/{id}", operation_id = "delete_connection", tag = "connections", params(("id" = String, Path)),
    responses((status = 204, description = "removed"), (status = 404, body = crate::answer::ErrorBody)))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let connection = own(&state, &user, &id).await?;
    state.connect.disconnect(&connection).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The user's connection with this id; anybody else's is none.
async fn own(state: &AppState, user: &User, id: &str) -> Result<Connection, ApiError> {
    find(state, user, id).await?.ok_or_else(|| ApiError::not_found("connection"))
}

pub(crate) async fn find(state: &AppState, user: &User, id: &str) -> Result<Option<Connection>, ApiError> {
    // An id is a UUID: anything else is no key of ours, and DynamoDB refuses keys that are too long.
    if id.len() > 64 {
        return Ok(None);
    }
    let found = state.store.connection(&ConnectionId::new(id)).await?;
    Ok(found.filter(|connection| connection.user == id_of(user)))
}
