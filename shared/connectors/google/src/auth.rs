//! What the OAuth flow at Google needs, as data. The flow itself is `tandem-http`'s.
use crate::config::GoogleConfig;
use bytes::Bytes;
use serde::Deserialize;
use tandem_core::policy::Direction;
use tandem_ports::oauth::{ClientAuth, Holders, Identity, OAuthEndpoints, Revocation};

/// See and change contacts.
pub const SCOPE_CONTACTS: &str = "https://www.googleapis.com/auth/contacts";
/// See and change the appointments of all calendars.
pub const SCOPE_CALENDAR_EVENTS: &str = "https://www.googleapis.com/auth/calendar.events";
/// See which calendars there are, and what may be done with them.
pub const SCOPE_CALENDAR_LIST: &str = "https://www.googleapis.com/auth/calendar.calendarlist.readonly";
/// Know which account it is. The user may untick the others; the token answer's `scope` says what was granted.
pub const SCOPES_IDENTITY: [&str; 2] = ["openid", "https://www.googleapis.com/auth/userinfo.email"];

/// What a contacts sync asks for.
pub const SCOPES_FOR_CONTACTS: [&str; 3] = [SCOPES_IDENTITY[0], SCOPES_IDENTITY[1], SCOPE_CONTACTS];

/// What a calendar sync asks for.
pub const SCOPES_FOR_CALENDARS: [&str; 4] =
    [SCOPES_IDENTITY[0], SCOPES_IDENTITY[1], SCOPE_CALENDAR_EVENTS, SCOPE_CALENDAR_LIST];
/// Read mail. Restricted: an app that is not internal to a Workspace needs Google's verification.
pub const SCOPE_GMAIL_READ: &str = "https://www.googleapis.com/auth/gmail.readonly";
/// Make the labels by which tracking is asked for. Mail itself is never changed.
pub const SCOPE_GMAIL_LABELS: &str = "https://www.googleapis.com/auth/gmail.labels";
/// What a mail sync asks for.
pub const SCOPES_FOR_MAIL: [&str; 4] = [SCOPES_IDENTITY[0], SCOPES_IDENTITY[1], SCOPE_GMAIL_READ, SCOPE_GMAIL_LABELS];
/// See and change task lists and their tasks.
pub const SCOPE_TASKS: &str = "https://www.googleapis.com/auth/tasks";
/// What a tasks sync asks for.
pub const SCOPES_FOR_TASKS: [&str; 3] = [SCOPES_IDENTITY[0], SCOPES_IDENTITY[1], SCOPE_TASKS];
/// See and change every file: what a sync in both directions needs, as it must see what people put into its folders.
pub const SCOPE_DRIVE: &str = "https://www.googleapis.com/auth/drive";
/// Only the files that we made: enough for one direction.
pub const SCOPE_DRIVE_FILE: &str = "https://www.googleapis.com/auth/drive.file";
/// What a files sync asks for.
pub const SCOPES_FOR_FILES: [&str; 3] = [SCOPES_IDENTITY[0], SCOPES_IDENTITY[1], SCOPE_DRIVE];

/// `access_type=offline` with `prompt=consent` gives a refresh token on every connect;
/// `include_granted_scopes=true` keeps what the user granted before.
const AUTHORIZE_PARAMETERS: [(&str, &str); 3] =
    [("access_type", "offline"), ("prompt", "consent"), ("include_granted_scopes", "true")];

/// What a sync of this kind (or `tasks`) needs, besides knowing which account it is.
pub fn needed_for(kind: &str) -> &'static [&'static str] {
    match kind {
        "contacts" => &[SCOPE_CONTACTS],
        "calendar" => &[SCOPE_CALENDAR_EVENTS, SCOPE_CALENDAR_LIST],
        "files" => &[SCOPE_DRIVE],
        "mail" => &[SCOPE_GMAIL_READ, SCOPE_GMAIL_LABELS],
        "tasks" => &[SCOPE_TASKS],
        _ => &[],
    }
}

/// The first scope that a sync of this kind needs and the user did not grant. Files that only go to Drive are all our own.
pub fn missing_for(kind: &str, direction: Direction, granted: &[String]) -> Option<&'static str> {
    let has = |scope: &str| granted.iter().any(|one| one == scope);
    if kind == "files" && direction == Direction::CrmToRemote && has(SCOPE_DRIVE_FILE) {
        return None;
    }
    needed_for(kind).iter().copied().find(|scope| !has(scope))
}

/// These scopes, with no more of Drive than a sync of files from the CRM alone needs.
pub fn one_way(scopes: &[String]) -> Vec<String> {
    let narrow = |scope: &String| if scope == SCOPE_DRIVE { SCOPE_DRIVE_FILE } else { scope }.to_owned();
    scopes.iter().map(narrow).collect()
}

/// Everything that syncs of these kinds need, each scope once.
fn scopes_for(kinds: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = SCOPES_IDENTITY.map(str::to_owned).to_vec();
    for scope in kinds.iter().flat_map(|kind| needed_for(kind)) {
        if !all.iter().any(|known| known == scope) {
            all.push((*scope).to_owned());
        }
    }
    all
}

/// An authorisation-code flow with PKCE. Ending a grant answers 200, or 400 where it was gone already.
///
/// It asks once for what syncs of all these `kinds` need. The user may untick any of it: the connection is made all the
/// same, and a sync that needs what is not there says so ([`missing_for`]).
pub fn endpoints(config: &GoogleConfig, kinds: &[&str]) -> OAuthEndpoints {
    OAuthEndpoints {
        authorize_url: format!("{}/o/oauth2/v2/auth", config.accounts_url),
        token_url: format!("{}/token", config.oauth_url),
        revocation: Revocation::Form(format!("{}/revoke", config.oauth_url)),
        scopes: scopes_for(kinds),
        required_scopes: Vec::new(),
        scope_separator: " ",
        authorize_parameters: AUTHORIZE_PARAMETERS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        again_parameters: Vec::new(),
        pkce: true,
        client_auth: ClientAuth::Body,
        token_scheme: "Bearer",
        whoami,
        api_url: config.certs_url.clone(),
        identity,
        other_accounts_servers: Vec::new(),
        holders: Holders::Any,
    }
}

/// OpenID Connect's user info.
fn whoami(endpoints: &OAuthEndpoints, _api_domain: Option<&str>) -> http::Request<Bytes> {
    let address = format!("{}/oauth2/v3/userinfo", endpoints.api_url);
    http::Request::get(address).body(Bytes::new()).expect("the configuration admits nothing but origins")
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

fn identity(body: &[u8]) -> Option<Identity> {
    let info: UserInfo = serde_json::from_slice(body).ok()?;
    Some(Identity { id: info.sub, name: info.name, email: info.email, plan: None })
}
