//! What the OAuth flow at Google needs, as data. The flow itself is `tandem-http`'s.
use crate::config::GoogleConfig;

/// The addresses and parameters of an OAuth 2.0 authorisation-code flow with PKCE (S256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthEndpoints {
    /// Where the browser is sent.
    pub authorize_url: String,
    /// Where codes and refresh tokens are exchanged (`application/x-www-form-urlencoded`).
    pub token_url: String,
    /// `POST` with the form field `token` ends the whole grant. 200, or 400 where it was gone already.
    pub revoke_url: String,
    /// `GET` with a bearer token answers `sub`, `email`, `name`.
    pub userinfo_url: String,
    /// Further query parameters of the authorisation request.
    pub authorize_parameters: &'static [(&'static str, &'static str)],
}

/// See and change contacts.
pub const SCOPE_CONTACTS: &str = "https://www.googleapis.com/auth/contacts";
/// Know which account it is. The user may untick the others; the token answer's `scope` says what was granted.
pub const SCOPES_IDENTITY: [&str; 2] = ["openid", "https://www.googleapis.com/auth/userinfo.email"];

/// What a contacts sync asks for.
pub const SCOPES_FOR_CONTACTS: [&str; 3] = [SCOPES_IDENTITY[0], SCOPES_IDENTITY[1], SCOPE_CONTACTS];

/// See and change every file: what a sync in both directions needs, as it must see what people put into its folders.
pub const SCOPE_DRIVE: &str = "https://www.googleapis.com/auth/drive";
/// Only the files that we made: enough for one direction.
pub const SCOPE_DRIVE_FILE: &str = "https://www.googleapis.com/auth/drive.file";

/// `access_type=offline` with `prompt=consent` gives a refresh token on every connect;
/// `include_granted_scopes=true` keeps what the user granted before.
const AUTHORIZE_PARAMETERS: &[(&str, &str)] =
    &[("access_type", "offline"), ("prompt", "consent"), ("include_granted_scopes", "true")];

/// The endpoints under these origins.
pub fn endpoints(config: &GoogleConfig) -> OAuthEndpoints {
    OAuthEndpoints {
        authorize_url: format!("{}/o/oauth2/v2/auth", config.accounts_url),
        token_url: format!("{}/token", config.oauth_url),
        revoke_url: format!("{}/revoke", config.oauth_url),
        userinfo_url: format!("{}/oauth2/v3/userinfo", config.certs_url),
        authorize_parameters: AUTHORIZE_PARAMETERS,
    }
}
