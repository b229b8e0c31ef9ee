//! Where Google is. Each origin can be replaced, as a whole, by another one (a simulator, a proxy).

/// The origins of Google's services, without a trailing slash. The public paths are appended unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoogleConfig {
    /// People API; `/v1/…`.
    pub people_url: String,
    /// Calendar API; `/calendar/v3/…` and `/batch/calendar/v3`.
    pub calendar_url: String,
    /// Drive API; `/drive/v3/…` and `/upload/drive/v3/…`.
    pub drive_url: String,
    /// Consent page; `/o/oauth2/v2/auth`.
    pub accounts_url: String,
    /// Tokens; `/token`, `/revoke`.
    pub oauth_url: String,
    /// Keys and user info; `/oauth2/v3/certs`, `/oauth2/v3/userinfo`.
    pub certs_url: String,
    /// Gmail API; `/gmail/v1/…` and `/batch`.
    pub gmail_url: String,
    /// Tasks API; `/tasks/v1/…`.
    pub tasks_url: String,
}

impl Default for GoogleConfig {
    fn default() -> Self {
        Self {
            people_url: "https://people.googleapis.com".to_owned(),
            calendar_url: "https://www.googleapis.com".to_owned(),
            drive_url: "https://www.googleapis.com".to_owned(),
            accounts_url: "https://accounts.google.com".to_owned(),
            oauth_url: "https://oauth2.googleapis.com".to_owned(),
            certs_url: "https://www.googleapis.com".to_owned(),
            gmail_url: "https://gmail.googleapis.com".to_owned(),
            tasks_url: "https://tasks.googleapis.com".to_owned(),
        }
    }
}

impl GoogleConfig {
    /// Every service under one origin, as a simulator has it.
    pub fn at(origin: &str) -> Self {
        let origin = origin.trim_end_matches('/').to_owned();
        Self {
            people_url: origin.clone(),
            calendar_url: origin.clone(),
            gmail_url: origin.clone(),
            tasks_url: origin.clone(),
            drive_url: origin.clone(),
            accounts_url: origin.clone(),
            oauth_url: origin.clone(),
            certs_url: origin,
        }
    }
}
