//! OAuth 2.0 (RFC 6749, 7636, 7009) for any provider that is described as data.
use crate::tokens::TokenSet;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use jiff::Timestamp;
use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicRequestTokenError, BasicTokenResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    TokenResponse as _, TokenUrl,
};
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_store::connection::Account;

/// How a provider wants to see the client's id and secret at its token address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// As form fields.
    Body,
    /// By HTTP basic authentication.
    Basic,
}

/// How OAuth is done at one provider.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuthProvider {
    /// `google`, ….
    pub name: String,
    /// As people call it.
    pub title: String,
    /// Where the browser is sent.
    pub authorize_url: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: String,
    /// Takes a form with `token` and ends the grant; `None` where the provider has no such thing.
    pub revoke_url: Option<String>,
    /// Answers, to an access token, `sub`, `email`, `name` (OpenID Connect's user info).
    pub userinfo_url: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What must be granted for anything to work; the user may untick the others.
    pub required_scopes: Vec<String>,
    /// Further parameters of the authorisation request.
    pub authorize_parameters: Vec<(String, String)>,
    /// How the client says who it is.
    pub client_auth: ClientAuth,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
}

impl fmt::Debug for OAuthProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthProvider")
            .field("name", &self.name)
            .field("authorize_url", &self.authorize_url)
            .field("token_url", &self.token_url)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Why a provider gave no token. Holds no token, code or body.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// `invalid_grant`: the code or the refresh token is not (or no longer) accepted.
    #[error("{provider} no longer accepts the grant")]
    Revoked {
        /// Which provider.
        provider: String,
    },
    /// The provider refuses us: the client's id or secret is wrong, or a setting at the provider's console.
    #[error("{provider} refuses this installation: {code}")]
    Refused {
        /// Which provider.
        provider: String,
        /// OAuth's error code.
        code: String,
    },
    /// No usable answer; it may be tried again.
    #[error("{provider} is not available at this moment")]
    Unavailable {
        /// Which provider.
        provider: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An address of the provider in the configuration is no URL.
    #[error("an address of {provider} in the configuration is no URL")]
    Misconfigured {
        /// Which provider.
        provider: String,
    },
}

/// Where the browser is sent, and what must be remembered until it comes back.
pub(crate) struct Departure {
    pub url: String,
    /// Comes back in the browser's address; kept only as a hash.
    pub state: String,
    /// PKCE's secret half.
    pub verifier: String,
}

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// An adapter's failure: no answer, or one that says nothing about the grant.
#[derive(Debug, thiserror::Error)]
enum WireError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the token address answered {0}")]
    Status(StatusCode),
}

impl OAuthProvider {
    fn client(&self) -> Result<Client, OAuthError> {
        let bad = |_| OAuthError::Misconfigured { provider: self.name.clone() };
        let auth_type = match self.client_auth {
            ClientAuth::Body => AuthType::RequestBody,
            ClientAuth::Basic => AuthType::BasicAuth,
        };
        Ok(BasicClient::new(ClientId::new(self.client_id.clone()))
            .set_client_secret(ClientSecret::new(self.client_secret.clone()))
            .set_auth_type(auth_type)
            .set_auth_uri(AuthUrl::new(self.authorize_url.clone()).map_err(bad)?)
            .set_token_uri(TokenUrl::new(self.token_url.clone()).map_err(bad)?))
    }

    fn redirect(&self, address: &str) -> Result<RedirectUrl, OAuthError> {
        let bad = |_| OAuthError::Misconfigured { provider: self.name.clone() };
        RedirectUrl::new(address.to_owned()).map_err(bad)
    }

    /// Where to send the browser, with a fresh state and PKCE (S256).
    pub(crate) fn depart(&self, redirect_uri: &str) -> Result<Departure, OAuthError> {
        let client = self.client()?.set_redirect_uri(self.redirect(redirect_uri)?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client.authorize_url(|| CsrfToken::new_random_len(32)).set_pkce_challenge(challenge);
        request = request.add_scopes(self.scopes.iter().cloned().map(Scope::new));
        for (name, value) in &self.authorize_parameters {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        let (url, state) = request.url();
        Ok(Departure { url: url.into(), state: state.into_secret(), verifier: verifier.into_secret() })
    }

    /// Exchanges the code that the browser brought back.
    pub(crate) async fn exchange(
        &self,
        transport: &Arc<dyn HttpTransport>,
        redirect_uri: &str,
        (code, verifier): (String, String),
        now: Timestamp,
    ) -> Result<TokenSet, OAuthError> {
        let client = self.client()?.set_redirect_uri(self.redirect(redirect_uri)?);
        let send = wire(Arc::clone(transport));
        let request = client.exchange_code(AuthorizationCode::new(code));
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        let answer = request.request_async(&send).await.map_err(|error| self.classify(error))?;
        Ok(self.token_set(&answer, None, now))
    }

    /// A new access token. A provider that rotates answers a new refresh token as well; else the old one stays.
    pub(crate) async fn refresh(
        &self,
        transport: &Arc<dyn HttpTransport>,
        before: &TokenSet,
        now: Timestamp,
    ) -> Result<TokenSet, OAuthError> {
        let Some(token) = before.refresh_token.clone() else {
            return Err(OAuthError::Revoked { provider: self.name.clone() });
        };
        let client = self.client()?;
        let send = wire(Arc::clone(transport));
        let token = RefreshToken::new(token);
        let answer = client.exchange_refresh_token(&token).request_async(&send).await;
        let answer = answer.map_err(|error| self.classify(error))?;
        Ok(self.token_set(&answer, Some(before), now))
    }

    /// Ends the grant. 400 says that it had ended already.
    /// (oauth2's own request insists on https, which a provider on the loopback address does not have.)
    pub(crate) async fn revoke(&self, transport: &Arc<dyn HttpTransport>, tokens: &TokenSet) -> Result<(), OAuthError> {
        let Some(address) = &self.revoke_url else { return Ok(()) };
        let token = tokens.refresh_token.as_ref().unwrap_or(&tokens.access_token);
        let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let request = Request::post(address).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(Bytes::from(form)).map_err(|_| self.misconfigured())?;
        let answer = transport.send(request).await.map_err(|error| self.unavailable(error))?;
        match answer.status() {
            StatusCode::OK | StatusCode::BAD_REQUEST => Ok(()),
            status => Err(self.unavailable(WireError::Status(status))),
        }
    }

    /// Whom the token acts for.
    pub(crate) async fn account(
        &self,
        transport: &Arc<dyn HttpTransport>,
        tokens: &TokenSet,
    ) -> Result<Account, OAuthError> {
        let request = Request::get(&self.userinfo_url)
            .header(header::AUTHORIZATION, format!("Bearer {}", tokens.access_token))
            .body(Bytes::new())
            .map_err(|_| self.misconfigured())?;
        let answer = transport.send(request).await.map_err(|error| self.unavailable(error))?;
        match answer.status() {
            StatusCode::OK => {
                let info: UserInfo = serde_json::from_slice(answer.body()).map_err(|_| self.unreadable())?;
                Ok(Account { id: info.sub, name: info.name, email: info.email })
            }
            StatusCode::UNAUTHORIZED => Err(OAuthError::Revoked { provider: self.name.clone() }),
            status => Err(self.unavailable(WireError::Status(status))),
        }
    }

    /// The required scopes that were not granted.
    pub(crate) fn missing_scopes(&self, tokens: &TokenSet) -> Vec<String> {
        self.required_scopes.iter().filter(|scope| !tokens.scope.contains(scope)).cloned().collect()
    }

    fn token_set(&self, answer: &BasicTokenResponse, before: Option<&TokenSet>, now: Timestamp) -> TokenSet {
        let granted = answer.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect());
        // RFC 6749 §5.1: an answer without `scope` grants what was asked for (§6: on refresh, what was granted before).
        let asked = || before.map_or_else(|| self.scopes.clone(), |before| before.scope.clone());
        let renewed = answer.refresh_token().map(|token| token.secret().clone());
        TokenSet {
            access_token: answer.access_token().secret().clone(),
            refresh_token: renewed.or_else(|| before.and_then(|before| before.refresh_token.clone())),
            expires_at: answer.expires_in().map(|lasts| now + lasts.min(Duration::from_secs(10 * 365 * 86_400))),
            scope: granted.unwrap_or_else(asked),
        }
    }

    fn classify(&self, error: BasicRequestTokenError<WireError>) -> OAuthError {
        match error {
            RequestTokenError::ServerResponse(answer) if *answer.error() == BasicErrorResponseType::InvalidGrant => {
                OAuthError::Revoked { provider: self.name.clone() }
            }
            RequestTokenError::ServerResponse(answer) => {
                OAuthError::Refused { provider: self.name.clone(), code: answer.error().to_string() }
            }
            RequestTokenError::Request(error) => self.unavailable(error),
            // A parser's message may quote what it read, and that is a token.
            RequestTokenError::Parse(_, _) | RequestTokenError::Other(_) => self.unreadable(),
        }
    }

    fn unavailable(&self, error: impl std::error::Error + Send + Sync + 'static) -> OAuthError {
        OAuthError::Unavailable { provider: self.name.clone(), source: Some(Box::new(error)) }
    }

    fn unreadable(&self) -> OAuthError {
        OAuthError::Unavailable {
            provider: self.name.clone(),
            source: Some("its answer is not what the protocol says".into()),
        }
    }

    fn misconfigured(&self) -> OAuthError {
        OAuthError::Misconfigured { provider: self.name.clone() }
    }
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

type Answer = futures::future::BoxFuture<'static, Result<HttpResponse, WireError>>;

/// Our transport as oauth2's client. What says nothing about the grant (5xx, 429) is kept from its parser.
fn wire(transport: Arc<dyn HttpTransport>) -> impl Fn(HttpRequest) -> Answer + Send + Sync {
    move |request| {
        let transport = Arc::clone(&transport);
        Box::pin(async move {
            let answer = transport.send(request.map(Bytes::from)).await?;
            let status = answer.status();
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(WireError::Status(status));
            }
            Ok(answer.map(Vec::from))
        })
    }
}
