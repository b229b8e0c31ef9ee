//! Where Zoho's accounts server is.

/// The accounts server that a sign-in begins at. Everything else follows from the answers: the user's data centre from
/// the way back (`accounts-server`), the API's origin from the token answer (`api_domain`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZohoConfig {
    /// Origin of consent, tokens and revocation.
    pub accounts_url: String,
}

impl Default for ZohoConfig {
    fn default() -> Self {
        Self { accounts_url: "https://accounts.zoho.eu".to_owned() }
    }
}

impl ZohoConfig {
    /// An accounts server at one origin, e.g. a simulator.
    pub fn at(origin: &str) -> Self {
        Self { accounts_url: origin.trim_end_matches('/').to_owned() }
    }
}
