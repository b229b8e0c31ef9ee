//! Where Sell is. The origin can be replaced, as a whole, by another one (a simulator, a proxy).

/// The origin of Sell's API and its OAuth server, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SellConfig {
    /// `/v2/…` and `/oauth2/…`.
    pub api_url: String,
}

impl Default for SellConfig {
    fn default() -> Self {
        Self::at("https://api.getbase.com")
    }
}

impl SellConfig {
    /// Everything under this origin.
    pub fn at(origin: &str) -> Self {
        Self { api_url: origin.trim_end_matches('/').to_owned() }
    }
}
