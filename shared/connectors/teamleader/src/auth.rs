//! What the OAuth flow at Teamleader needs, as data. The flow itself, and keeping the single-use refresh token, is
//! `tandem-http`'s.
use crate::config::TeamleaderConfig;
use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use tandem_ports::oauth::{ClientAuth, Holders, Identity, OAuthEndpoints, Revocation};

/// The endpoints under these origins. Scopes are chosen on the integration's settings page at Teamleader, so none is
/// asked for; neither PKCE nor a revoke address is documented.
pub fn endpoints(config: &TeamleaderConfig) -> OAuthEndpoints {
    OAuthEndpoints {
        authorize_url: format!("{}/oauth2/authorize", config.auth_url),
        token_url: format!("{}/oauth2/access_token", config.auth_url),
        revocation: Revocation::ByUser,
        scopes: Vec::new(),
        required_scopes: Vec::new(),
        scope_separator: " ",
        authorize_parameters: Vec::new(),
        again_parameters: Vec::new(),
        pkce: false,
        client_auth: ClientAuth::Body,
        token_scheme: "Bearer",
        whoami,
        api_url: config.api_url.clone(),
        identity,
        other_accounts_servers: Vec::new(),
        holders: Holders::Any,
    }
}

fn whoami(endpoints: &OAuthEndpoints, _api_domain: Option<&str>) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(b"{}"));
    *request.method_mut() = http::Method::POST;
    // A configured address that is none stays the default `/`, which no transport can send.
    *request.uri_mut() = format!("{}/users.me", endpoints.api_url).parse().unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(http::header::CONTENT_TYPE, json.clone());
    request.headers_mut().insert(http::header::ACCEPT, json);
    request
}

#[derive(Deserialize)]
struct Me {
    data: User,
}

#[derive(Deserialize)]
struct User {
    id: String,
    account: Account,
    #[serde(default)]
    first_name: Option<String>,
    #[serde(default)]
    last_name: Option<String>,
    #[serde(default)]
    email: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    id: String,
}

/// `<account id>/<user id>`: what a user sees depends on that user's rights, and a person may have several accounts.
fn identity(body: &[u8]) -> Option<Identity> {
    let Me { data } = serde_json::from_slice(body).ok()?;
    if data.id.is_empty() || data.account.id.is_empty() {
        return None;
    }
    let name = format!("{} {}", data.first_name.unwrap_or_default(), data.last_name.unwrap_or_default());
    Some(Identity {
        id: format!("{}/{}", data.account.id, data.id),
        name: name.trim().to_owned(),
        email: data.email.unwrap_or_default(),
        plan: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_names_the_account_and_the_user() {
        let body = br#"{"data":{"id":"u","account":{"type":"account","id":"a"},"first_name":"Jan","last_name":"P","email":"j@x.be"}}"#;
        let who = identity(body).unwrap();
        assert_eq!((who.id.as_str(), who.name.as_str(), who.email.as_str()), ("a/u", "Jan P", "j@x.be"));
        assert!(identity(br#"{"data":{"id":"u"}}"#).is_none());
    }

    #[test]
    fn whoami_asks_the_api_and_not_the_consent_page() {
        let endpoints = endpoints(&TeamleaderConfig::default());
        let request = whoami(&endpoints, None);
        assert_eq!(request.uri(), "https://api.focus.teamleader.eu/users.me");
        assert_eq!(request.method(), "POST");
    }
}
