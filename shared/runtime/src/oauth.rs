//! The providers whose accounts are connected: their connector's addresses, this installation's client.
use crate::compose::Ports;
use crate::config::Config;
use tandem_core::profile::PROFILES;
use tandem_http::{ApiOrigins, Connect, OAuthProvider};
use tandem_ports::oauth::OAuthEndpoints;
use tandem_zoho::ZohoConfig;

/// One provider. Another one is a line in [`PROVIDERS`], and an arm in `connectors.rs`.
struct Row {
    /// As in connections and variables.
    name: &'static str,
    /// As people call it.
    title: &'static str,
    /// What its connector says of its OAuth.
    endpoints: fn(&Config) -> OAuthEndpoints,
    /// Whither its token answers may lead.
    api_origins: fn(&Config) -> ApiOrigins,
    /// The length of its personal access tokens, where it has them.
    personal_token_length: Option<usize>,
}

const fn plain(name: &'static str, title: &'static str, endpoints: fn(&Config) -> OAuthEndpoints) -> Row {
    Row { name, title, endpoints, api_origins: |_| ApiOrigins::Configured, personal_token_length: None }
}

const PROVIDERS: &[Row] = &[
    plain("dropbox", "Dropbox", |config| tandem_dropbox::auth::endpoints(&config.dropbox)),
    plain("google", "Google", |config| tandem_google::auth::endpoints(&config.google, &kinds_at("google"))),
    plain("teamleader", "Teamleader Focus", |config| tandem_teamleader::auth::endpoints(&config.teamleader)),
    Row {
        api_origins: |config| config.zoho_api_origins(),
        ..plain("zoho", "Zoho CRM", |config| {
            let all = tandem_zoho::auth::endpoints(&config.zoho);
            // A replaced Zoho has no other data centres: nothing may lead from it to the real one.
            let other_accounts_servers = match config.zoho == ZohoConfig::default() {
                true => all.other_accounts_servers,
                false => Vec::new(),
            };
            OAuthEndpoints { other_accounts_servers, ..all }
        })
    },
    Row {
        personal_token_length: Some(tandem_sell::auth::PERSONAL_TOKEN_LENGTH),
        ..plain("sell", "Zendesk Sell", |config| tandem_sell::auth::endpoints(&config.sell))
    },
];

/// The kinds of sync (and tasks) that this release has with a provider's accounts: an account is asked once for what all of them need.
fn kinds_at(provider: &str) -> Vec<&'static str> {
    let mut kinds: Vec<&str> = Vec::new();
    for profile in PROFILES.iter().filter(|profile| profile.remote.contains(&provider)) {
        if !kinds.contains(&profile.grant()) {
            kinds.push(profile.grant());
        }
    }
    kinds
}

impl Row {
    fn provider(&self, config: &Config) -> OAuthProvider {
        OAuthProvider {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            endpoints: (self.endpoints)(config),
            client: config.oauth_client(self.name),
            api_origins: (self.api_origins)(config),
            personal_token_length: self.personal_token_length,
        }
    }
}

impl Ports {
    /// Connecting accounts. Without an OAuth client a provider takes personal tokens, or nothing.
    pub fn connect(&self) -> Connect {
        let providers = PROVIDERS.iter().map(|row| row.provider(&self.config)).collect();
        Connect::new(self.authority.clone(), providers, &self.config.public_url)
    }
}

/// The provider, asked for no more of its files than a sync from the CRM alone needs; `None`: it has no narrower right.
pub fn files_one_way(provider: &OAuthProvider) -> Option<OAuthProvider> {
    (provider.name == "google").then(|| {
        let scopes = tandem_google::auth::one_way(&provider.endpoints.scopes);
        OAuthProvider { endpoints: OAuthEndpoints { scopes, ..provider.endpoints.clone() }, ..provider.clone() }
    })
}

/// OAuth at a provider, where it is known and this installation can act there.
pub(crate) fn provider(config: &Config, name: &str) -> Option<OAuthProvider> {
    let provider = PROVIDERS.iter().find(|row| row.name == name)?.provider(config);
    (provider.client.is_some() || provider.personal_token_length.is_some()).then_some(provider)
}

/// As people call a provider.
pub(crate) fn title(name: &str) -> &str {
    PROVIDERS.iter().find(|row| row.name == name).map_or(name, |row| row.title)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::policy::Direction;

    fn config(more: &[(&str, &str)]) -> Config {
        let fixed = [("TANDEM_TABLE", "t"), ("TANDEM_KMS_KEY", "k"), ("TANDEM_PUBLIC_URL", "http://127.0.0.1:1")];
        let all: std::collections::BTreeMap<&str, &str> = fixed.iter().chain(more).copied().collect();
        Config::from_source(|name| all.get(name).map(|value| (*value).to_owned())).unwrap()
    }

    #[test]
    fn every_provider_can_be_built_and_its_addresses_are_urls() {
        let config = config(&[]);
        for row in PROVIDERS {
            let provider = row.provider(&config);
            for address in [&provider.endpoints.authorize_url, &provider.endpoints.token_url] {
                let uri: http::Uri = address.parse().unwrap();
                assert_eq!(uri.scheme_str(), Some("https"), "{}: {address}", row.name);
            }
            let whoami = (provider.endpoints.whoami)(&provider.endpoints, None);
            assert!(whoami.uri().host().is_some(), "{}", row.name);
        }
    }

    #[test]
    fn google_is_asked_once_for_what_every_kind_of_sync_needs_and_a_missing_scope_is_named() {
        let asked = provider_row("google").provider(&config(&[])).endpoints.scopes;
        for kind in ["contacts", "calendar", "files", "mail", "tasks"] {
            assert_eq!(tandem_google::auth::missing_for(kind, Direction::Both, &asked), None, "{kind}");
            let lacking: Vec<String> = asked
                .iter()
                .filter(|scope| !tandem_google::auth::needed_for(kind).contains(&scope.as_str()))
                .cloned()
                .collect();
            assert!(tandem_google::auth::missing_for(kind, Direction::Both, &lacking).is_some(), "{kind}");
        }
        let mut distinct = asked.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), asked.len());
    }

    #[test]
    fn files_that_only_go_to_drive_need_no_more_than_the_files_that_we_made() {
        let narrow = files_one_way(&provider_row("google").provider(&config(&[]))).unwrap().endpoints.scopes;
        assert!(narrow.iter().any(|scope| scope.ends_with("/drive.file")), "{narrow:?}");
        assert!(!narrow.iter().any(|scope| scope.ends_with("/drive")), "{narrow:?}");
        let missing = |direction| tandem_google::auth::missing_for("files", direction, &narrow);
        assert_eq!(missing(Direction::CrmToRemote), None);
        for direction in [Direction::Both, Direction::RemoteToCrm] {
            assert!(missing(direction).is_some_and(|scope| scope.ends_with("/drive")));
        }
        assert!(files_one_way(&provider_row("dropbox").provider(&config(&[]))).is_none());
    }

    fn provider_row(name: &str) -> &'static Row {
        PROVIDERS.iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn a_provider_without_a_client_cannot_be_acted_at() {
        assert!(provider(&config(&[]), "google").is_none());
        let with = [("TANDEM_GOOGLE_CLIENT_ID", "id"), ("TANDEM_GOOGLE_CLIENT_SECRET", "secret")];
        assert_eq!(provider(&config(&with), "google").unwrap().title, "Google");
        assert!(provider(&config(&with), "fax").is_none());
    }
}
