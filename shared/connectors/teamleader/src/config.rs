//! Where Teamleader Focus is. Both origins can be replaced by another one (a simulator, a proxy).

/// The origins of Teamleader's services, without a trailing slash. The public paths are appended unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamleaderConfig {
    /// Consent page and tokens; `/oauth2/authorize`, `/oauth2/access_token`.
    pub auth_url: String,
    /// The API; `/{resource}.{action}`.
    pub api_url: String,
}

impl Default for TeamleaderConfig {
    fn default() -> Self {
        Self {
            auth_url: "https://focus.teamleader.eu".to_owned(),
            api_url: "https://api.focus.teamleader.eu".to_owned(),
        }
    }
}

impl TeamleaderConfig {
    /// Both services under one origin, as a simulator has them.
    pub fn at(origin: &str) -> Self {
        let origin = origin.trim_end_matches('/').to_owned();
        Self { auth_url: origin.clone(), api_url: origin }
    }
}
