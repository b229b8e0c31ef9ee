//! What the OAuth flow at Zoho needs, as data. The flow itself is `tandem-http`'s.
use crate::config::ZohoConfig;
use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use tandem_ports::oauth::{ClientAuth, Holders, Identity, OAuthEndpoints, Revocation};

/// What a contacts sync asks for. Accounts are read and made, never changed or deleted.
pub const SCOPES_FOR_CONTACTS: [&str; 10] = [
    "ZohoCRM.modules.contacts.ALL",
    "ZohoCRM.modules.accounts.READ",
    "ZohoCRM.modules.accounts.CREATE",
    "ZohoCRM.settings.fields.READ",
    "ZohoCRM.settings.custom_views.READ",
    "ZohoCRM.settings.modules.READ",
    "ZohoCRM.settings.profiles.READ",
    "ZohoCRM.users.READ",
    "ZohoCRM.org.READ",
    "ZohoCRM.coql.READ",
];

/// What a calendar sync asks for beside `ZohoCRM.users.READ` and `ZohoCRM.settings.profiles.READ`, which a contacts sync
/// has too.
pub const SCOPES_FOR_EVENTS: [&str; 1] = ["ZohoCRM.modules.events.ALL"];

/// What a files sync asks for beside what a contacts sync has: attachments of contacts, accounts, leads and deals.
pub const SCOPES_FOR_FILES: [&str; 3] =
    ["ZohoCRM.modules.attachments.ALL", "ZohoCRM.modules.leads.READ", "ZohoCRM.modules.deals.READ"];

/// What being told of changes asks for; without it a sync keeps to the schedule.
pub const SCOPE_FOR_NOTIFICATIONS: &str = "ZohoCRM.notifications.ALL";

/// Zoho's data centres; a user's account lives in one of them, and its accounts server alone knows its codes and tokens.
const ACCOUNTS_SERVERS: [&str; 8] = [
    "https://accounts.zoho.com",
    "https://accounts.zoho.eu",
    "https://accounts.zoho.in",
    "https://accounts.zoho.com.au",
    "https://accounts.zoho.com.cn",
    "https://accounts.zoho.jp",
    "https://accounts.zohocloud.ca",
    "https://accounts.zoho.sa",
];

/// Where the API is when the token answer names no `api_domain`.
const API_ORIGIN: &str = "https://www.zohoapis.eu";

/// The endpoints under this accounts server. `access_type=offline` gives a refresh token, `prompt=consent` one on every
/// connect (Zoho gives none on a second sign-in otherwise). Zoho's documents name no PKCE.
pub fn endpoints(config: &ZohoConfig) -> OAuthEndpoints {
    let accounts = &config.accounts_url;
    let parameter = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let servers = ACCOUNTS_SERVERS.iter().filter(|server| *server != accounts);
    // A server of our own (a simulator) is its own API origin too.
    let api_url = match ACCOUNTS_SERVERS.contains(&accounts.as_str()) {
        true => API_ORIGIN.to_owned(),
        false => accounts.clone(),
    };
    let scopes = SCOPES_FOR_CONTACTS.iter().chain(&SCOPES_FOR_EVENTS).chain(&SCOPES_FOR_FILES);
    let scopes = scopes.chain([&SCOPE_FOR_NOTIFICATIONS]);
    OAuthEndpoints {
        authorize_url: format!("{accounts}/oauth/v2/auth"),
        token_url: format!("{accounts}/oauth/v2/token"),
        // https://www.zoho.com/crm/developer/docs/api/v8/revoke-tokens.html
        revocation: Revocation::Form(format!("{accounts}/oauth/v2/token/revoke")),
        scopes: scopes.map(|scope| (*scope).to_owned()).collect(),
        required_scopes: vec![SCOPES_FOR_CONTACTS[0].to_owned()],
        scope_separator: ",",
        authorize_parameters: [("access_type", "offline"), ("prompt", "consent")].map(parameter).to_vec(),
        again_parameters: Vec::new(),
        pkce: false,
        client_auth: ClientAuth::Body,
        token_scheme: "Zoho-oauthtoken",
        whoami,
        api_url,
        identity,
        other_accounts_servers: servers.map(|server| (*server).to_owned()).collect(),
        holders: Holders::Any,
    }
}

fn whoami(endpoints: &OAuthEndpoints, api_domain: Option<&str>) -> Request<Bytes> {
    let origin = api_domain.unwrap_or(&endpoints.api_url).trim_end_matches('/');
    let request = Request::get(format!("{origin}/crm/v8/users?type=CurrentUser")).header("accept", "application/json");
    request.body(Bytes::new()).unwrap_or_default()
}

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    zuid: Option<String>,
    #[serde(default)]
    full_name: Option<String>,
    #[serde(default)]
    email: Option<String>,
}

/// `id` is the user's record in one organisation's CRM (another organisation gives the same person another one), `zuid`
/// is the person: together they are one person in one organisation.
fn identity(body: &[u8]) -> Option<Identity> {
    let user =
        serde_json::from_slice::<Users>(body).ok()?.users.into_iter().next().filter(|user| !user.id.is_empty())?;
    let id = match user.zuid.filter(|zuid| !zuid.is_empty()) {
        Some(zuid) => format!("{}/{zuid}", user.id),
        None => user.id,
    };
    Some(Identity { id, name: user.full_name.unwrap_or_default(), email: user.email.unwrap_or_default(), plan: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_names_the_person_and_the_organisation() {
        let body = br#"{"users":[{"id":"4150868000000225013","zuid":"694579958","full_name":"Jan P","email":"j@example.com"}]}"#;
        let found = identity(body).unwrap();
        assert_eq!(found.id, "4150868000000225013/694579958");
        assert_eq!((found.name.as_str(), found.email.as_str()), ("Jan P", "j@example.com"));
        assert!(identity(br#"{"users":[]}"#).is_none() && identity(b"{}").is_none());
    }

    #[test]
    fn the_token_answer_decides_where_the_api_is() {
        let all = endpoints(&ZohoConfig::default());
        let asked = (all.whoami)(&all, Some("https://www.zohoapis.in"));
        assert_eq!(asked.uri().to_string(), "https://www.zohoapis.in/crm/v8/users?type=CurrentUser");
        assert_eq!((all.whoami)(&all, None).uri().host(), Some("www.zohoapis.eu"));
        assert!(!all.other_accounts_servers.contains(&"https://accounts.zoho.eu".to_owned()));
        assert_eq!(endpoints(&ZohoConfig::at("http://127.0.0.1:9/")).api_url, "http://127.0.0.1:9");
    }
}
