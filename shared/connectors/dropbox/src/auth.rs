//! What the OAuth flow at Dropbox needs, as data. The flow itself is `tandem-http`'s.
use crate::config::DropboxConfig;
use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use tandem_ports::oauth::{ClientAuth, Holders, Identity, OAuthEndpoints, Revocation};

/// What a files sync asks for: names and bytes, both ways, in the app folder; and whose account it is. Folders, moves and
/// deletions are `files.content.write` at Dropbox (the `scope` attribute of each route).
pub const SCOPES: [&str; 4] = ["account_info.read", "files.metadata.read", "files.content.read", "files.content.write"];

/// The endpoints under these origins. `token_access_type=offline` gives a refresh token; it does not rotate.
/// Ending the grant of an access token ends its refresh token and all their access tokens.
pub fn endpoints(config: &DropboxConfig) -> OAuthEndpoints {
    OAuthEndpoints {
        authorize_url: format!("{}/oauth2/authorize", config.www_url),
        token_url: format!("{}/oauth2/token", config.api_url),
        revocation: Revocation::Call(|endpoints| argumentless(&endpoints.api_url, "/2/auth/token/revoke")),
        scopes: SCOPES.map(str::to_owned).to_vec(),
        required_scopes: SCOPES.map(str::to_owned).to_vec(),
        scope_separator: " ",
        authorize_parameters: vec![("token_access_type".to_owned(), "offline".to_owned())],
        // People are often signed in at Dropbox with another account than they think.
        again_parameters: vec![("force_reauthentication".to_owned(), "true".to_owned())],
        pkce: true,
        client_auth: ClientAuth::Body,
        token_scheme: "Bearer",
        whoami: |endpoints, _| current_account(&endpoints.api_url),
        api_url: config.api_url.clone(),
        identity: account,
        other_accounts_servers: Vec::new(),
        // The app folder is one for an account: two users' syncs would write into each other's.
        holders: Holders::One,
    }
}

/// Asks whose account it is, without `Authorization`. A call without an argument has the body `null`.
fn current_account(api_url: &str) -> Request<Bytes> {
    argumentless(api_url, "/2/users/get_current_account")
}

fn argumentless(api_url: &str, path: &str) -> Request<Bytes> {
    Request::post(format!("{api_url}{path}"))
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"null"))
        .unwrap_or_default()
}

/// Reads the answer of `users/get_current_account`. Webhooks name accounts by that id, `dbid:…`. Its plan is `basic`, `pro`
/// or `business`: Dropbox tells no more, `pro` is Plus and Family as well as Professional.
fn account(body: &[u8]) -> Option<Identity> {
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
    let plan = wire.account_type.map(|kind| kind.tag);
    Some(Identity { id: wire.account_id, name: wire.name.display_name, email: wire.email, plan })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_says_who_and_of_what_kind_it_is() {
        let body = br#"{"account_id":"dbid:A","name":{"display_name":"Jan"},"email":"j@example.com",
            "account_type":{".tag":"pro"}}"#;
        let account = account(body).unwrap();
        assert_eq!((account.id.as_str(), account.plan.as_deref()), ("dbid:A", Some("pro")));
        assert!(super::account(b"{}").is_none());
    }
}
