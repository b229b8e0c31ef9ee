//! Accounts that Tandem may act for.
use crate::answer::{ApiError, List, page};
use crate::auth::{Caller, CallerExtension};
use crate::input::{Fields, Paging, Params};
use crate::providers::BUILTIN;
use crate::state::{AppState, id_of};
use crate::syncs;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tandem_builtin::users::User;
use tandem_core::record::ConnectionId;
use tandem_http::{ConnectError, OAuthProvider};
use tandem_store::connection::{Account, Connection, ConnectionState};
use utoipa::ToSchema;

/// An account that Tandem may act for.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectionView {
    /// Id.
    id: String,
    /// `builtin`, `google`, ….
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
    /// One of `GET /v1/providers`.
    provider: String,
    /// A personal token, for providers that give them to their users.
    access_token: Option<String>,
    /// `one_way`: of the provider's files we are to see and change only those that we make, which is enough for syncs from
    /// the CRM to it (Google: `drive.file` in place of `drive`). `both_ways` without.
    files: Option<String>,
}

/// Connects an account. Built-in, or with a personal `access_token`: connected at once; else send the browser to
/// `authorize_url`.
#[utoipa::path(post, path = "/v1/connections", operation_id = "create_connection", tag = "connections", request_body = NewConnection,
    responses((status = 201, body = ConnectionView), (status = 400, body = crate::answer::ErrorBody),
        (status = 401, body = crate::answer::ErrorBody), (status = 403, body = crate::answer::ErrorBody),
        (status = 409, body = crate::answer::ErrorBody), (status = 422, body = crate::answer::ErrorBody),
        (status = 503, body = crate::answer::ErrorBody)))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Extension(caller): CallerExtension,
    fields: Fields,
) -> Result<(StatusCode, Json<ConnectionView>), ApiError> {
    fields.only(&["provider", "access_token", "files"])?;
    let (name, token) = (fields.text("provider")?, fields.optional_text("access_token")?);
    if name == BUILTIN && token.is_none() {
        return Ok((StatusCode::CREATED, Json(builtin(&state, &user).await?.into())));
    }
    let provider = state.connect.provider(name).cloned();
    if provider.is_none() && name != BUILTIN {
        let known: Vec<&str> = state.connect.providers().map(|provider| provider.name.as_str()).collect();
        let message = format!("This release connects {BUILTIN}, {}.", known.join(", "));
        return Err(ApiError::field("provider", message));
    }
    let length = provider.as_ref().and_then(|provider| provider.personal_token_length);
    let view = match (provider, token, length) {
        (Some(provider), Some(token), Some(length)) => adopt(&state, &user, &provider, (token, length)).await?.into(),
        (Some(provider), None, _) => begin(&state, &user, reaching(provider, &fields)?.as_ref(), caller).await?,
        (_, _, _) => {
            let message = "This provider takes no access token; leave the field out.";
            return Err(ApiError::field("access_token", message));
        }
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// The provider, asked for as much of its files as the caller wants us to reach.
fn reaching(provider: Arc<OAuthProvider>, fields: &Fields) -> Result<Arc<OAuthProvider>, ApiError> {
    match fields.optional_text("files")? {
        None | Some("both_ways") => Ok(provider),
        Some("one_way") => tandem_runtime::files_one_way(&provider).map(Arc::new).ok_or_else(|| {
            ApiError::field(
                "files",
                format!("{} has no narrower right for files; leave the field out.", provider.title),
            )
        }),
        Some(_) => Err(ApiError::field("files", "Must be `one_way` or `both_ways`.")),
    }
}

async fn begin(
    state: &AppState,
    user: &User,
    provider: &OAuthProvider,
    caller: Caller,
) -> Result<ConnectionView, ApiError> {
    if provider.client.is_none() {
        let title = &provider.title;
        let message = format!("This installation has no OAuth client for {title} yet; its administrator must add one.");
        return Err(ApiError::conflict("not_set_up", message));
    }
    let session = match caller {
        Caller::Bearer => None,
        Caller::Session(hash) => Some(hash),
    };
    let begun = state.connect.begin(&id_of(user), provider, session).await?;
    Ok(ConnectionView { authorize_url: Some(begun.authorize_url), ..begun.connection.into() })
}

/// A personal token is shown to the provider before it is stored. No answer or log repeats it.
async fn adopt(
    state: &AppState,
    user: &User,
    provider: &OAuthProvider,
    (token, length): (&str, usize),
) -> Result<Connection, ApiError> {
    if token.len() != length || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("A personal access token of {} has {length} letters and digits.", provider.title);
        return Err(ApiError::field("access_token", message));
    }
    match state.connect.adopt(&id_of(user), provider, token).await {
        Ok(connection) => Ok(connection),
        Err(error @ ConnectError::NoAccount(_)) => Err(ApiError::field("access_token", error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// The user's own CRM account. There is one, so asking again answers the same connection.
async fn builtin(state: &AppState, user: &User) -> Result<Connection, ApiError> {
    let all = state.store.connections_of(&id_of(user)).await?;
    if let Some(there) = all.into_iter().find(|connection| connection.provider == BUILTIN) {
        return Ok(there);
    }
    let account = Account { id: user.account.clone(), name: "Built-in CRM".to_owned(), email: user.email.clone() };
    let id = ConnectionId::new(uuid::Uuid::new_v4().to_string());
    let connection = Connection {
        account,
        state: ConnectionState::Connected,
        ..Connection::new(id, id_of(user), BUILTIN, state.clock.now())
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
    // While somebody can still speak for us there.
    for sync in state
        .store
        .syncs_of(&id_of(&user))
        .await?
        .iter()
        .filter(|sync| [&sync.crm, &sync.remote].contains(&&connection.id))
    {
        syncs::silence(&state, sync).await;
    }
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
