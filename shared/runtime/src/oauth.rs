//! The OAuth of each provider: its connector's addresses and scopes, this installation's client.
use crate::compose::Ports;
use crate::config::Config;
use tandem_google::auth::{SCOPE_CONTACTS, SCOPES_FOR_CONTACTS, endpoints};
use tandem_http::{ClientAuth, Connect, OAuthProvider};

impl Ports {
    /// Connecting accounts, for the providers that this installation has an OAuth client for.
    pub fn connect(&self) -> Connect {
        let providers = google(&self.config).into_iter().collect();
        Connect::new(self.authority.clone(), providers, &self.config.public_url)
    }
}

/// OAuth at Google, where this installation has a client there.
pub(crate) fn google(config: &Config) -> Option<OAuthProvider> {
    let client = config.oauth_client("google")?;
    let at = endpoints(&config.google);
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Some(OAuthProvider {
        name: "google".to_owned(),
        title: "Google".to_owned(),
        authorize_url: at.authorize_url,
        token_url: at.token_url,
        revoke_url: Some(at.revoke_url),
        userinfo_url: at.userinfo_url,
        scopes: SCOPES_FOR_CONTACTS.map(str::to_owned).to_vec(),
        required_scopes: vec![SCOPE_CONTACTS.to_owned()],
        authorize_parameters: at.authorize_parameters.iter().map(pair).collect(),
        client_auth: ClientAuth::Body,
        client_id: client.id,
        client_secret: client.secret,
    })
}
