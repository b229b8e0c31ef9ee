//! Where Dropbox is. Each origin can be replaced, as a whole, by another one (a simulator, a proxy).

/// The origins of Dropbox's services, without a trailing slash. The public paths are appended unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropboxConfig {
    /// Consent page; `/oauth2/authorize`.
    pub www_url: String,
    /// Calls with JSON answers, and tokens; `/2/…`, `/oauth2/token`.
    pub api_url: String,
    /// Uploads and downloads; `/2/files/upload…`, `/2/files/download`.
    pub content_url: String,
}

impl Default for DropboxConfig {
    fn default() -> Self {
        Self {
            www_url: "https://www.dropbox.com".to_owned(),
            api_url: "https://api.dropboxapi.com".to_owned(),
            content_url: "https://content.dropboxapi.com".to_owned(),
        }
    }
}

impl DropboxConfig {
    /// Every service under one origin, as a simulator has it.
    pub fn at(origin: &str) -> Self {
        let origin = origin.trim_end_matches('/').to_owned();
        Self { www_url: origin.clone(), api_url: origin.clone(), content_url: origin }
    }
}
