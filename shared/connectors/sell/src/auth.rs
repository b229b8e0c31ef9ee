//! What the OAuth flow at Sell needs, as data. The flow itself is `tandem-http`'s.
use crate::api::USER_AGENT;
use crate::config::SellConfig;
use bytes::Bytes;
use serde::Deserialize;
use tandem_ports::oauth::{ClientAuth, Holders, Identity, OAuthEndpoints, Revocation};

/// `sync` opens the Sync API, `profile` lets us ask whose account it is.
pub const SCOPES: [&str; 4] = ["read", "write", "profile", "sync"];

/// Characters of a personal access token.
pub const PERSONAL_TOKEN_LENGTH: usize = 64;

/// Whether this has the form of a personal access token: exactly 64 characters. Such a token never expires and needs no
/// OAuth flow (an administrator of Sell makes it in the settings).
pub fn is_personal_token(text: &str) -> bool {
    text.len() == PERSONAL_TOKEN_LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The endpoints under this origin. An access token lives for an hour; a refresh answers a new refresh token.
pub fn endpoints(config: &SellConfig) -> OAuthEndpoints {
    let scopes: Vec<String> = SCOPES.map(str::to_owned).to_vec();
    OAuthEndpoints {
        authorize_url: format!("{}/oauth2/authorize", config.api_url),
        token_url: format!("{}/oauth2/token", config.api_url),
        revocation: Revocation::Form(format!("{}/oauth2/revoke", config.api_url)),
        required_scopes: scopes.clone(),
        scopes,
        scope_separator: " ",
        authorize_parameters: Vec::new(),
        again_parameters: Vec::new(),
        pkce: false,
        client_auth: ClientAuth::Basic,
        token_scheme: "Bearer",
        whoami,
        api_url: config.api_url.clone(),
        identity,
        other_accounts_servers: Vec::new(),
        holders: Holders::Any,
    }
}

fn whoami(endpoints: &OAuthEndpoints, _: Option<&str>) -> http::Request<Bytes> {
    http::Request::builder()
        .uri(format!("{}/v2/users/self", endpoints.api_url))
        .header("accept", "application/json")
        .header("user-agent", USER_AGENT)
        .body(Bytes::new())
        .expect("the configured origin is an address")
}

/// The identity is the user's id. Sell's ids are counted over all accounts, so it needs no account beside it, and two users
/// of one account are rightly two connections: each sees records of their own. `GET /v2/accounts/self` would name the
/// account but not the user, and one request cannot ask both.
fn identity(body: &[u8]) -> Option<Identity> {
    #[derive(Deserialize)]
    struct Answer {
        data: User,
    }
    #[derive(Deserialize)]
    struct User {
        id: u64,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        email: Option<String>,
    }
    let user = serde_json::from_slice::<Answer>(body).ok()?.data;
    Some(Identity {
        id: user.id.to_string(),
        name: user.name.unwrap_or_default(),
        email: user.email.unwrap_or_default(),
        plan: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_personal_token_has_64_characters() {
        assert!(is_personal_token(&"a1".repeat(32)));
        assert!(!is_personal_token(&"a".repeat(63)) && !is_personal_token(&" ".repeat(64)));
    }

    #[test]
    fn a_grant_is_known_by_its_user() {
        let who = identity(br#"{"data":{"id":7,"name":"Jan","email":null},"meta":{"type":"user"}}"#).unwrap();
        assert_eq!((who.id.as_str(), who.name.as_str()), ("7", "Jan"));
        assert!(identity(b"{}").is_none());
    }
}
