//! A transport that acts for one connection: adds its access token, and refreshes it once for all workers.
use crate::oauth::{Earlier, OAuthError, OAuthProvider};
use crate::tokens::TokenSet;
use crate::transport::host_of;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tandem_core::record::ConnectionId;
use tandem_ports::infra::{Arriving, Clock, HttpTransport, Pieces, SecretError, Secrets, TransportError};
use tandem_store::connection::{Connection, ConnectionState};
use tandem_store::{Store, StoreError};

/// The right to refresh lasts longer than a refresh can take (the transport gives up after 30 s), so that two workers
/// never spend one refresh token at the same time.
const RIGHT: Duration = Duration::from_secs(60);
/// How often those who wait for somebody else's refresh look.
const LOOK: Duration = Duration::from_millis(250);
/// How long they wait in all before they say that no answer came.
const PATIENCE: Duration = Duration::from_secs(90);
/// A token that a refresh gave no longer ago than this has not ended: a 401 is about what was asked. Longer than the
/// first waits before bytes are sent again; Zoho takes ten refreshes in so long.
const NEW: Duration = Duration::from_secs(600);
/// Transports kept ready in one process; beyond that they are made anew.
const READY: usize = 500;

/// What an authorised transport is built from. One a process; cheap to clone.
#[derive(Clone)]
pub struct Authority {
    /// The way out.
    pub transport: Arc<dyn HttpTransport>,
    /// Where connections are kept.
    pub store: Store,
    /// What seals their tokens.
    pub secrets: Arc<dyn Secrets>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    ready: Arc<Mutex<HashMap<ConnectionId, Arc<Authorised>>>>,
}

impl Authority {
    /// On these ports.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        store: Store,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { transport, store, secrets, clock, ready: Arc::default() }
    }

    /// The transport that acts for this connection; the same one for every caller in this process.
    pub fn acting_for(&self, provider: &Arc<OAuthProvider>, connection: &ConnectionId) -> Arc<Authorised> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= READY && !ready.contains_key(connection) {
            ready.clear();
        }
        let make = || {
            let (provider, connection) = (Arc::clone(provider), connection.clone());
            let bare = Authority { ready: Arc::default(), ..self.clone() };
            Arc::new(Authorised { authority: bare, provider, connection, held: tokio::sync::Mutex::default() })
        };
        Arc::clone(ready.entry(connection.clone()).or_insert_with(make))
    }
}

/// Adds one connection's access token to every request.
///
/// It refreshes before the token expires, and once after a 401. However many workers do so at the same time, the
/// provider sees one refresh: the store gives the right to one, and the others wait and use what it saved. A new
/// refresh token is durable before it is used. A grant that is gone marks the connection `reconnect_needed`.
pub struct Authorised {
    authority: Authority,
    provider: Arc<OAuthProvider>,
    connection: ConnectionId,
    held: tokio::sync::Mutex<Option<Held>>,
}

impl std::fmt::Debug for Authorised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorised").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Tokens, and the version of the connection that they were read from.
#[derive(Clone)]
struct Held {
    tokens: TokenSet,
    version: i64,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum NoToken {
    #[error("the connection has no usable grant")]
    Revoked,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    OAuth(OAuthError),
    #[error("another worker's refresh takes too long")]
    Waited,
}

#[async_trait]
impl HttpTransport for Authorised {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let held = self.current(None).await.map_err(|error| lost(&request, error))?;
        let answer = self.authority.transport.send(self.with_token(&request, &held)).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // The provider may have ended the token early. A second 401 is the connector's to judge.
        let renewed = self.current(Some(held.version)).await.map_err(|error| lost(&request, error))?;
        self.authority.transport.send(self.with_token(&request, &renewed)).await
    }

    async fn send_pieces(&self, request: Request<Pieces>) -> Result<Response<Bytes>, TransportError> {
        let held = self.current(None).await.map_err(|error| lost(&request, error))?;
        let (mut head, body) = request.into_parts();
        self.add_token(&mut head.headers, &held);
        let host = head.uri.host().unwrap_or_default().to_owned();
        let answer = self.authority.transport.send_pieces(Request::from_parts(head, body)).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || self.is_new(&held) {
            return Ok(answer);
        }
        // The body is gone with the request: whoever has it sends it again, with the token that is fresh by then.
        self.current(Some(held.version)).await.map_err(|error| no_answer(host.clone(), error))?;
        Err(TransportError::Lost { host, source: None })
    }

    async fn receive(&self, request: Request<Bytes>) -> Result<Response<Arriving>, TransportError> {
        let held = self.current(None).await.map_err(|error| lost(&request, error))?;
        let answer = self.authority.transport.receive(self.with_token(&request, &held)).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let renewed = self.current(Some(held.version)).await.map_err(|error| lost(&request, error))?;
        self.authority.transport.receive(self.with_token(&request, &renewed)).await
    }
}

fn lost<T>(request: &Request<T>, error: NoToken) -> TransportError {
    no_answer(host_of(request), error)
}

fn no_answer(host: String, error: NoToken) -> TransportError {
    match error {
        NoToken::Revoked => TransportError::AuthRevoked { host },
        NoToken::Store(_) | NoToken::Secret(_) | NoToken::OAuth(_) | NoToken::Waited => {
            TransportError::Lost { host, source: Some(Box::new(error)) }
        }
    }
}

impl Authorised {
    fn with_token(&self, request: &Request<Bytes>, held: &Held) -> Request<Bytes> {
        let mut request = request.clone();
        self.add_token(request.headers_mut(), held);
        request
    }

    /// A token that is no header value cannot be right; without it the provider answers 401.
    fn add_token(&self, headers: &mut http::HeaderMap, held: &Held) {
        if let Some(value) = self.provider.authorization(&held.tokens.access_token) {
            headers.insert(header::AUTHORIZATION, value);
        }
    }

    /// Tokens that are fresh, and newer than version `spent` where one was refused.
    async fn current(&self, spent: Option<i64>) -> Result<Held, NoToken> {
        // Held over the refresh on purpose: the others of this process wait here and need not ask the store.
        let mut cached = self.held.lock().await;
        if let Some(held) = cached.as_ref().filter(|held| self.usable(held, spent)) {
            return Ok(held.clone());
        }
        let begun = self.authority.clock.now();
        loop {
            let (connection, tokens) = self.read().await?;
            let held = Held { tokens, version: connection.tokens_version };
            if self.usable(&held, spent) {
                return Ok(cached.insert(held).clone());
            }
            if let Some(held) = self.try_refresh(spent).await? {
                return Ok(cached.insert(held).clone());
            }
            if begun + PATIENCE < self.authority.clock.now() {
                return Err(NoToken::Waited);
            }
            self.authority.clock.sleep(LOOK).await;
        }
    }

    fn usable(&self, held: &Held, spent: Option<i64>) -> bool {
        spent.is_none_or(|spent| held.version > spent) && held.tokens.is_fresh(self.authority.clock.now())
    }

    /// Whether a refresh gave this token just now. What is sent by pieces cannot be repeated here, so only this tells its
    /// second 401 from its first.
    fn is_new(&self, held: &Held) -> bool {
        held.tokens.renewed_at.is_some_and(|at| self.authority.clock.now() < at + NEW)
    }

    async fn read(&self) -> Result<(Connection, TokenSet), NoToken> {
        let connection = self.authority.store.connection(&self.connection).await?.ok_or(NoToken::Revoked)?;
        if connection.state != ConnectionState::Connected {
            return Err(NoToken::Revoked);
        }
        let tokens = TokenSet::open(self.authority.secrets.as_ref(), &connection).await?;
        Ok((connection, tokens.ok_or(NoToken::Revoked)?))
    }

    /// Refreshes if nobody else does; `None`: look again.
    async fn try_refresh(&self, spent: Option<i64>) -> Result<Option<Held>, NoToken> {
        let store = &self.authority.store;
        let now = self.authority.clock.now();
        if !store.begin_refresh(&self.connection, now, now + RIGHT).await? {
            return Ok(None);
        }
        let done = self.refresh(spent).await;
        // Should this fail, the right ends by itself.
        if let Err(error) = store.end_refresh(&self.connection).await {
            tracing::warn!(connection = %self.connection, %error, "the right to refresh was not given back");
        }
        done
    }

    async fn refresh(&self, spent: Option<i64>) -> Result<Option<Held>, NoToken> {
        // Read again under the right: whoever had it before may just have refreshed.
        let (mut connection, tokens) = self.read().await?;
        let held = Held { tokens, version: connection.tokens_version };
        if self.usable(&held, spent) {
            return Ok(Some(held));
        }
        let Authority { transport, store, secrets, clock, .. } = &self.authority;
        // Noted before the request leaves: a process that dies on the way, or an answer that is lost, leaves a refresh
        // token that may be spent. The next try shows which: it either works, or its refusal ends the grant.
        let earlier = if connection.refresh_in_doubt { Earlier::InDoubt } else { Earlier::Answered };
        match store.mark_refresh_in_doubt(&connection).await {
            Ok(()) => {}
            Err(StoreError::Stale) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let saved = match self.provider.refresh(transport, &held.tokens, earlier, clock.now()).await {
            Ok(renewed) => {
                let tokens = TokenSet { renewed_at: Some(clock.now()), ..renewed.tokens };
                connection.tokens = Some(tokens.seal(secrets.as_ref(), &connection).await?);
                connection.api_origin = renewed.api_origin.or(connection.api_origin);
                connection.refresh_in_doubt = false;
                let saved = store.save_connection(&mut connection).await;
                saved.map(|()| Some(Held { tokens, version: connection.tokens_version }))
            }
            Err(OAuthError::Revoked { .. }) => {
                // Conditioned on the version that was read: a user who has just connected again is not sent back.
                connection.state = ConnectionState::ReconnectNeeded;
                match store.save_connection(&mut connection).await {
                    Ok(()) => return Err(NoToken::Revoked),
                    Err(error) => Err(error),
                }
            }
            Err(error) => return Err(NoToken::OAuth(error)),
        };
        match saved {
            Ok(held) => Ok(held),
            // The user connected again meanwhile: those tokens count.
            Err(StoreError::Stale) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
