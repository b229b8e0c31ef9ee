//! What the OAuth 2.0 flow at a provider needs, as data that its connector states. The flow itself is `tandem-http`'s.
use bytes::Bytes;

/// How a provider wants to see the client's id and secret at its token address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// As form fields.
    Body,
    /// By HTTP basic authentication.
    Basic,
}

/// Whom a grant acts for, as the provider says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The provider's id of the account (of the user in it, where an account has several).
    pub id: String,
    /// Display name.
    pub name: String,
    /// Address, where the provider has one.
    pub email: String,
    /// The provider's word for the kind of account, where it says one (Dropbox: `basic`, `pro`, `business`).
    pub plan: Option<String>,
}

/// How a grant is ended at the provider.
#[derive(Clone, Debug)]
pub enum Revocation {
    /// It cannot be, but by its user.
    ByUser,
    /// By `POST` of the form field `token` to this address (RFC 7009).
    Form(String),
    /// By a call of the API with the access token, which is added to this request.
    Call(fn(&OAuthEndpoints) -> http::Request<Bytes>),
}

/// By how many of our users one account at the provider may be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holders {
    /// By as many as can sign in to it.
    Any,
    /// By one: what we keep there is one user's own (Dropbox's app folder).
    One,
}

/// The addresses and parameters of an authorisation-code flow.
#[derive(Clone, Debug)]
pub struct OAuthEndpoints {
    /// Where the browser is sent.
    pub authorize_url: String,
    /// Where codes and refresh tokens are exchanged (`application/x-www-form-urlencoded`).
    pub token_url: String,
    /// How a grant is ended.
    pub revocation: Revocation,
    /// What is asked for; empty where scopes are chosen at the provider.
    pub scopes: Vec<String>,
    /// What must be granted for anything to work.
    pub required_scopes: Vec<String>,
    /// Between scopes in the authorisation request: `" "`, or `","` (Zoho).
    pub scope_separator: &'static str,
    /// Further query parameters of the authorisation request.
    pub authorize_parameters: Vec<(String, String)>,
    /// Further ones after a sign-in that came to nothing, or for an account that must be connected again: they make the
    /// provider ask anew who the user is.
    pub again_parameters: Vec<(String, String)>,
    /// Whether the provider takes a PKCE challenge (RFC 7636, S256).
    pub pkce: bool,
    /// How the client says who it is.
    pub client_auth: ClientAuth,
    /// The scheme of the `Authorization` header: `Bearer`, or `Zoho-oauthtoken`.
    pub token_scheme: &'static str,
    /// The request that tells whose grant it is, without its `Authorization`. Its argument is the token answer's
    /// `api_domain`, where there is one.
    pub whoami: fn(&OAuthEndpoints, Option<&str>) -> http::Request<Bytes>,
    /// The origin that `whoami` asks, where it is not the token answer's.
    pub api_url: String,
    /// Reads the answer to `whoami`.
    pub identity: fn(&[u8]) -> Option<Identity>,
    /// Accounts servers of other data centres that an authorisation may come back from (Zoho): each an origin that
    /// replaces `token_url`'s own and that of a form's `revocation`.
    pub other_accounts_servers: Vec<String>,
    /// By how many of our users an account may be connected.
    pub holders: Holders,
}
