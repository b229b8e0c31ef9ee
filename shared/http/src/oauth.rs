//! OAuth 2.0 (RFC 6749, 7636, 7009) for any provider that is described as data.
use crate::tokens::TokenSet;
use crate::wire::{Refusal, WireError, wire};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use jiff::Timestamp;
use oauth2::basic::{
    BasicErrorResponse, BasicRequestTokenError, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::infra::HttpTransport;
use tandem_ports::oauth::{ClientAuth, Identity, OAuthEndpoints, Revocation};
use url::Url;

/// An OAuth client's id and secret.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuthClient {
    /// Its id; no secret.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClient").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Which origin of an API a token answer may send us, and our tokens, to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiOrigins {
    /// None: the API is where the configuration says.
    Configured,
    /// One of these.
    Among(Vec<String>),
    /// Any: the provider itself has been replaced (a simulator, a proxy).
    Any,
}

/// How OAuth is done at one provider, by this installation.
#[derive(Clone, Debug)]
pub struct OAuthProvider {
    /// `google`, ….
    pub name: String,
    /// As people call it.
    pub title: String,
    /// Its addresses and parameters.
    pub endpoints: OAuthEndpoints,
    /// This installation's client; without one only personal tokens can be connected.
    pub client: Option<OAuthClient>,
    /// Whither a token answer's `api_domain` may lead.
    pub api_origins: ApiOrigins,
    /// The length in characters of a personal access token, where the provider gives them to its users.
    pub personal_token_length: Option<usize>,
}

/// Why a provider gave no token. Holds no token, code or body.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// `invalid_grant`: the code or the token is not (or no longer) accepted.
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
    /// The grant is good, but does not tell whose it is.
    #[error("{provider} does not say whose the grant is: {status}")]
    NoAccount {
        /// Which provider.
        provider: String,
        /// What it answered.
        status: StatusCode,
    },
    /// The answer leads to a server that is none of the provider's.
    #[error("{provider} leads to a server that is not known as its own")]
    ForeignServer {
        /// Which provider.
        provider: String,
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
    /// The configuration has no client, or an address that is no URL.
    #[error("the configuration for {provider} lacks a client, or has an address that is no URL")]
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
    /// PKCE's secret half; empty where the provider takes none.
    pub verifier: String,
}

/// Whether a sign-in at the provider came to nothing before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignIn {
    First,
    Again,
}

/// What the browser brought back to be exchanged.
pub(crate) struct Code {
    pub code: String,
    /// PKCE's secret half, or empty.
    pub verifier: String,
    /// The accounts server that gave it, where it is not the configured one.
    pub accounts_server: Option<String>,
}

/// What a token answer holds.
pub(crate) struct Granted {
    pub tokens: TokenSet,
    pub api_origin: Option<String>,
}

/// Whether an earlier refresh with the same token may have taken effect without our hearing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    Answered,
    InDoubt,
}

/// Zoho's addition to the token answer.
#[derive(Debug, Serialize, Deserialize)]
struct Domain {
    #[serde(default)]
    api_domain: Option<String>,
}

impl ExtraTokenFields for Domain {}

type TokenAnswer = StandardTokenResponse<Domain, BasicTokenType>;
type Client = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl OAuthProvider {
    fn client(&self, accounts_server: Option<&str>) -> Result<Client, OAuthError> {
        let client = self.client.clone().ok_or_else(|| self.misconfigured())?;
        let auth_type = match self.endpoints.client_auth {
            ClientAuth::Body => AuthType::RequestBody,
            ClientAuth::Basic => AuthType::BasicAuth,
        };
        let token_url = self.at(&self.endpoints.token_url, accounts_server)?;
        Ok(oauth2::Client::new(ClientId::new(client.id))
            .set_client_secret(ClientSecret::new(client.secret))
            .set_auth_type(auth_type)
            .set_auth_uri(AuthUrl::new(self.endpoints.authorize_url.clone()).map_err(|_| self.misconfigured())?)
            .set_token_uri(TokenUrl::from_url(token_url)))
    }

    /// An address, at another accounts server where there is one.
    fn at(&self, address: &str, accounts_server: Option<&str>) -> Result<Url, OAuthError> {
        let url = Url::parse(address).map_err(|_| self.misconfigured())?;
        let Some(server) = accounts_server else { return Ok(url) };
        let base = Url::parse(server).map_err(|_| self.misconfigured())?;
        base.join(&url[url::Position::BeforePath..]).map_err(|_| self.misconfigured())
    }

    fn redirect(&self, address: &str) -> Result<RedirectUrl, OAuthError> {
        RedirectUrl::new(address.to_owned()).map_err(|_| self.misconfigured())
    }

    /// Where to send the browser, with a fresh state, and PKCE (S256) where it is taken.
    pub(crate) fn depart(&self, redirect_uri: &str, sign_in: SignIn) -> Result<Departure, OAuthError> {
        let client = self.client(None)?.set_redirect_uri(self.redirect(redirect_uri)?);
        let mut request = client.authorize_url(|| CsrfToken::new_random_len(32));
        let mut secret = String::new();
        if self.endpoints.pkce {
            let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
            request = request.set_pkce_challenge(challenge);
            secret = verifier.into_secret();
        }
        if !self.endpoints.scopes.is_empty() {
            // As one scope: oauth2 would put a space between several.
            request = request.add_scope(Scope::new(self.endpoints.scopes.join(self.endpoints.scope_separator)));
        }
        let again = match sign_in {
            SignIn::First => &[][..],
            SignIn::Again => &self.endpoints.again_parameters,
        };
        for (name, value) in self.endpoints.authorize_parameters.iter().chain(again) {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        let (url, state) = request.url();
        Ok(Departure { url: url.into(), state: state.into_secret(), verifier: secret })
    }

    /// The accounts server that the browser came back from, where it is not the configured one. A provider that has only
    /// one may say what it likes. `said` is an origin, `location` a data centre (`eu`, `us`, …).
    pub(crate) fn accounts_server(
        &self,
        said: Option<&str>,
        location: Option<&str>,
    ) -> Result<Option<String>, OAuthError> {
        let others = &self.endpoints.other_accounts_servers;
        if others.is_empty() {
            return Ok(None);
        }
        let own = Url::parse(&self.endpoints.token_url).map_err(|_| self.misconfigured())?;
        let own = own.origin().ascii_serialization();
        match (said.map(|said| said.trim_end_matches('/')), location) {
            (Some(said), _) if said == own => Ok(None),
            // The client's secret goes to that server: it must be one that we know.
            (Some(said), _) => match others.iter().find(|other| *other == said) {
                Some(known) => Ok(Some(known.clone())),
                None => Err(OAuthError::ForeignServer { provider: self.title.clone() }),
            },
            (None, Some(location)) if serves(&own, location) => Ok(None),
            (None, Some(location)) => Ok(others.iter().find(|other| serves(other, location)).cloned()),
            (None, None) => Ok(None),
        }
    }

    /// Exchanges the code that the browser brought back.
    pub(crate) async fn exchange(
        &self,
        transport: &Arc<dyn HttpTransport>,
        redirect_uri: &str,
        code: Code,
        now: Timestamp,
    ) -> Result<Granted, OAuthError> {
        let client = self.client(code.accounts_server.as_deref())?.set_redirect_uri(self.redirect(redirect_uri)?);
        let send = wire(Arc::clone(transport));
        let mut request = client.exchange_code(AuthorizationCode::new(code.code));
        if !code.verifier.is_empty() {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(code.verifier));
        }
        let answer = request.request_async(&send).await.map_err(|error| self.classify(error, Earlier::Answered))?;
        let before = TokenSet { accounts_server: code.accounts_server, ..TokenSet::nothing(&self.endpoints.scopes) };
        self.granted(&answer, &before, now)
    }

    /// A new access token. A provider that rotates answers a new refresh token as well; else the old one stays.
    pub(crate) async fn refresh(
        &self,
        transport: &Arc<dyn HttpTransport>,
        before: &TokenSet,
        earlier: Earlier,
        now: Timestamp,
    ) -> Result<Granted, OAuthError> {
        let Some(token) = before.refresh_token.clone() else { return Err(self.revoked()) };
        let client = self.client(before.accounts_server.as_deref())?;
        let send = wire(Arc::clone(transport));
        let token = RefreshToken::new(token);
        let answer = client.exchange_refresh_token(&token).request_async(&send).await;
        let answer = answer.map_err(|error| self.classify(error, earlier))?;
        self.granted(&answer, before, now)
    }

    /// Ends the grant, unless it had ended already. A personal token is the user's own, and may serve others.
    pub(crate) async fn revoke(
        &self,
        transport: &Arc<dyn HttpTransport>,
        tokens: &TokenSet,
        now: Timestamp,
    ) -> Result<(), OAuthError> {
        if tokens.is_personal() {
            return Ok(());
        }
        match &self.endpoints.revocation {
            Revocation::ByUser => Ok(()),
            Revocation::Form(address) => self.revoke_by_form(transport, address, tokens).await,
            Revocation::Call(request) => self.revoke_by_call(transport, *request, tokens, now).await,
        }
    }

    /// 400 says that it had ended already.
    /// (oauth2's own request insists on https, which a provider on the loopback address does not have.)
    async fn revoke_by_form(
        &self,
        transport: &Arc<dyn HttpTransport>,
        address: &str,
        tokens: &TokenSet,
    ) -> Result<(), OAuthError> {
        let address = self.at(address, tokens.accounts_server.as_deref())?;
        let token = tokens.refresh_token.as_ref().unwrap_or(&tokens.access_token);
        let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let mut request =
            Request::post(address.as_str()).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let (ClientAuth::Basic, Some(client)) = (self.endpoints.client_auth, &self.client) {
            request = request.header(header::AUTHORIZATION, basic(client));
        }
        let request = request.body(Bytes::from(form)).map_err(|_| self.misconfigured())?;
        let answer = transport.send(request).await.map_err(|error| self.unavailable(error))?;
        match answer.status() {
            StatusCode::BAD_REQUEST => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(self.unavailable(WireError::Status(status))),
        }
    }

    /// An access token that has expired is refreshed, to end the grant that it was of.
    async fn revoke_by_call(
        &self,
        transport: &Arc<dyn HttpTransport>,
        request: fn(&OAuthEndpoints) -> Request<Bytes>,
        tokens: &TokenSet,
        now: Timestamp,
    ) -> Result<(), OAuthError> {
        let send = async |access_token: &str| {
            let mut request = request(&self.endpoints);
            let value = self.authorization(access_token).ok_or_else(|| self.revoked())?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
            Ok(transport.send(request).await.map_err(|error| self.unavailable(error))?.status())
        };
        let mut status = send(&tokens.access_token).await?;
        if status == StatusCode::UNAUTHORIZED {
            match self.refresh(transport, tokens, Earlier::Answered, now).await {
                Ok(fresh) => status = send(&fresh.tokens.access_token).await?,
                Err(OAuthError::Revoked { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if status.is_success() { Ok(()) } else { Err(self.unavailable(WireError::Status(status))) }
    }

    /// Whom the token acts for.
    pub(crate) async fn account(
        &self,
        transport: &Arc<dyn HttpTransport>,
        tokens: &TokenSet,
        api_origin: Option<&str>,
    ) -> Result<Identity, OAuthError> {
        let mut request = (self.endpoints.whoami)(&self.endpoints, api_origin);
        let value = self.authorization(&tokens.access_token).ok_or_else(|| self.revoked())?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
        let answer = transport.send(request).await.map_err(|error| self.unavailable(error))?;
        match answer.status() {
            StatusCode::OK => (self.endpoints.identity)(answer.body()).ok_or_else(|| self.unreadable()),
            StatusCode::UNAUTHORIZED => Err(self.revoked()),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                Err(OAuthError::NoAccount { provider: self.title.clone(), status })
            }
            status => Err(self.unavailable(WireError::Status(status))),
        }
    }

    /// The header that carries an access token; `None` where it cannot be one.
    pub(crate) fn authorization(&self, access_token: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("{} {access_token}", self.endpoints.token_scheme)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The required scopes that were not granted.
    pub(crate) fn missing_scopes(&self, tokens: &TokenSet) -> Vec<String> {
        self.endpoints.required_scopes.iter().filter(|scope| !tokens.scope.contains(scope)).cloned().collect()
    }

    fn granted(&self, answer: &TokenAnswer, before: &TokenSet, now: Timestamp) -> Result<Granted, OAuthError> {
        let separator = self.endpoints.scope_separator;
        let split = |scope: &Scope| scope.split(separator).map(str::to_owned).collect::<Vec<_>>();
        let granted = answer.scopes().map(|scopes| scopes.iter().flat_map(split).collect());
        let renewed = answer.refresh_token().map(|token| token.secret().clone());
        let tokens = TokenSet {
            access_token: answer.access_token().secret().clone(),
            refresh_token: renewed.or_else(|| before.refresh_token.clone()),
            expires_at: answer.expires_in().map(|lasts| now + lasts.min(Duration::from_secs(10 * 365 * 86_400))),
            renewed_at: None,
            // RFC 6749 §5.1: an answer without `scope` grants what was asked for (§6: on refresh, what was granted before).
            scope: granted.unwrap_or_else(|| before.scope.clone()),
            accounts_server: before.accounts_server.clone(),
        };
        Ok(Granted { tokens, api_origin: self.api_origin(answer.extra_fields().api_domain.as_deref())? })
    }

    fn api_origin(&self, said: Option<&str>) -> Result<Option<String>, OAuthError> {
        let foreign = || OAuthError::ForeignServer { provider: self.title.clone() };
        let Some(said) = said else { return Ok(None) };
        let url = Url::parse(said).map_err(|_| foreign())?;
        let origin = url.origin().ascii_serialization();
        let is_bare = matches!(url.scheme(), "https" | "http") && said.trim_end_matches('/') == origin;
        match &self.api_origins {
            ApiOrigins::Configured => Ok(None),
            ApiOrigins::Among(known) if is_bare && known.contains(&origin) => Ok(Some(origin)),
            ApiOrigins::Any if is_bare => Ok(Some(origin)),
            ApiOrigins::Among(_) | ApiOrigins::Any => Err(foreign()),
        }
    }

    fn classify(&self, error: BasicRequestTokenError<WireError>, earlier: Earlier) -> OAuthError {
        match error {
            RequestTokenError::Request(WireError::Refused(refusal)) => self.judge(&refusal, earlier),
            // Before, a refusal without a reason proves nothing; now it is the second with a token that may be spent.
            RequestTokenError::Request(WireError::Status(StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED))
                if earlier == Earlier::InDoubt =>
            {
                self.revoked()
            }
            RequestTokenError::Request(error) => self.unavailable(error),
            // A parser's message may quote what it read, and that is a token.
            RequestTokenError::ServerResponse(_) | RequestTokenError::Parse(_, _) | RequestTokenError::Other(_) => {
                self.unreadable()
            }
        }
    }

    fn judge(&self, refusal: &Refusal, earlier: Earlier) -> OAuthError {
        if refusal.is_throttling() {
            return self.unavailable(WireError::Throttled);
        }
        // What we ask is well-formed: the second time, "invalid request" can only mean the token.
        if refusal.is_about_the_grant() || (earlier == Earlier::InDoubt && refusal.code == "invalid_request") {
            return self.revoked();
        }
        OAuthError::Refused { provider: self.title.clone(), code: refusal.code.clone() }
    }

    fn revoked(&self) -> OAuthError {
        OAuthError::Revoked { provider: self.title.clone() }
    }

    fn unavailable(&self, error: impl std::error::Error + Send + Sync + 'static) -> OAuthError {
        OAuthError::Unavailable { provider: self.title.clone(), source: Some(Box::new(error)) }
    }

    fn unreadable(&self) -> OAuthError {
        OAuthError::Unavailable {
            provider: self.title.clone(),
            source: Some("its answer is not what the protocol says".into()),
        }
    }

    fn misconfigured(&self) -> OAuthError {
        OAuthError::Misconfigured { provider: self.title.clone() }
    }
}

/// Whether an accounts server is that of a data centre: they are told apart by the end of the host
/// (`accounts.zoho.eu`, `accounts.zoho.com.au`), and the one in the United States ends in `.com`.
fn serves(server: &str, location: &str) -> bool {
    let end = if location == "us" { "com" } else { location };
    server.rsplit('.').next().is_some_and(|last| last == end)
}

/// RFC 6749 §2.3.1: id and secret are form-encoded first.
fn basic(client: &OAuthClient) -> String {
    use base64::Engine as _;
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(&client.id), encoded(&client.secret));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}
