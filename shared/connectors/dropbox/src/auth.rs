//! What the OAuth flow at Dropbox needs, as data. The flow itself is `tandem-http`'s.
use crate::config::DropboxConfig;
use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use tandem_ports::oauth::{ClientAuth, Identity, OAuthEndpoints};

/// What a files sync asks for: names and bytes, both ways, in the app folder; and whose account it is. Folders, moves and
/// deletions are `files.content.write` at Dropbox (the `scope` attribute of each route).
pub const SCOPES: [&str; 4] = ["account_info.read", "files.metadata.read", "files.content.read", "files.content.write"];

/// Whether the user is asked to sign in anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// Whoever is signed in at Dropbox is taken.
    AsYouAre,
    /// Dropbox asks for name and password again (`force_reauthentication`): after a connection that failed, as people
    /// are often signed in with another account than they think.
    Again,
}

/// The endpoints under these origins. `token_access_type=offline` gives a refresh token; it does not rotate.
///
/// Ending a grant takes a call with its access token and no form ([`revocation`]), so `revoke_url` is `None`.
pub fn endpoints(config: &DropboxConfig, sign_in: SignIn) -> OAuthEndpoints {
    let mut parameters = vec![("token_access_type".to_owned(), "offline".to_owned())];
    if sign_in == SignIn::Again {
        parameters.push(("force_reauthentication".to_owned(), "true".to_owned()));
    }
    OAuthEndpoints {
        authorize_url: format!("{}/oauth2/authorize", config.www_url),
        token_url: format!("{}/oauth2/token", config.api_url),
        revoke_url: None,
        scopes: SCOPES.map(str::to_owned).to_vec(),
        required_scopes: SCOPES.map(str::to_owned).to_vec(),
        scope_separator: " ",
        authorize_parameters: parameters,
        pkce: true,
        client_auth: ClientAuth::Body,
        token_scheme: "Bearer",
        whoami: |endpoints, _| current_account(&endpoints.api_url),
        api_url: config.api_url.clone(),
        identity: |body| Some(account(body)?.identity),
        other_accounts_servers: Vec::new(),
    }
}

/// Asks whose account it is, without `Authorization`. A call without an argument has the body `null`.
fn current_account(api_url: &str) -> Request<Bytes> {
    argumentless(api_url, "/2/users/get_current_account")
}

/// Ends the grant of the access token that the transport adds: that token, its refresh token and all their access tokens.
pub fn revocation(config: &DropboxConfig) -> Request<Bytes> {
    argumentless(&config.api_url, "/2/auth/token/revoke")
}

fn argumentless(api_url: &str, path: &str) -> Request<Bytes> {
    Request::post(format!("{api_url}{path}"))
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"null"))
        .unwrap_or_default()
}

/// What kind of account it is. Dropbox tells no more: `Pro` is Plus as well as Professional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountType {
    /// The free one.
    Basic,
    /// A paid one of one person: Plus, Family or Professional.
    Pro,
    /// A member of a team.
    Business,
}

/// The answer of `users/get_current_account`.
#[derive(Clone, Debug)]
pub struct Account {
    /// `dbid:…`, name and address. Webhooks name accounts by that id.
    pub identity: Identity,
    /// Its kind; `None` for one that did not exist when this was written.
    pub kind: Option<AccountType>,
}

/// Reads the answer of `users/get_current_account`.
pub fn account(body: &[u8]) -> Option<Account> {
    #[derive(Deserialize)]
    struct Name {
        display_name: String,
    }
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = ".tag")]
        tag: String,
    }
    #[derive(Deserialize)]
    struct Wire {
        account_id: String,
        name: Name,
        #[serde(default)]
        email: String,
        account_type: Option<Kind>,
    }
    let wire: Wire = serde_json::from_slice(body).ok()?;
    let kind = wire.account_type.and_then(|kind| match kind.tag.as_str() {
        "basic" => Some(AccountType::Basic),
        "pro" => Some(AccountType::Pro),
        "business" => Some(AccountType::Business),
        _ => None,
    });
    let identity = Identity { id: wire.account_id, name: wire.name.display_name, email: wire.email };
    Some(Account { identity, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_asks_people_to_sign_in_anew() {
        let parameters = |sign_in| endpoints(&DropboxConfig::default(), sign_in).authorize_parameters;
        let forced = ("force_reauthentication".to_owned(), "true".to_owned());
        assert!(parameters(SignIn::Again).contains(&forced));
        assert!(!parameters(SignIn::AsYouAre).contains(&forced));
    }

    #[test]
    fn an_account_says_who_and_of_what_kind_it_is() {
        let body = br#"{"account_id":"dbid:A","name":{"display_name":"Jan"},"email":"j@example.com",
            "account_type":{".tag":"pro"}}"#;
        let account = account(body).unwrap();
        assert_eq!((account.identity.id.as_str(), account.kind), ("dbid:A", Some(AccountType::Pro)));
        assert!(super::account(b"{}").is_none());
    }
}
