//! The tokens of a connection, and how they are kept.
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use tandem_ports::infra::{Sealed, SecretError, SecretOwner, Secrets};
use tandem_store::connection::Connection;

/// A token is taken for expired this long before it is, so that it does not expire on its way.
const EARLY: Duration = Duration::from_secs(60);

/// What a provider granted. At rest only as JSON, sealed for the connection's owner.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSet {
    /// Opens the API, for a while.
    pub access_token: String,
    /// Gives a new access token; `None` where the provider gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the access token ends, where the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When a refresh gave it; `None` for the first of a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<Timestamp>,
    /// What it is good for.
    #[serde(default)]
    pub scope: Vec<String>,
    /// The accounts server that gave them (an origin), where it is not the configured one: it refreshes and revokes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts_server: Option<String>,
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("expires_at", &self.expires_at)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl TokenSet {
    /// A user's own token: it ends when the user says so, and nothing renews it.
    pub fn personal(access_token: &str) -> Self {
        Self { access_token: access_token.to_owned(), ..Self::nothing(&[]) }
    }

    /// Whether it is a [`TokenSet::personal`] one.
    pub fn is_personal(&self) -> bool {
        self.refresh_token.is_none() && self.expires_at.is_none()
    }

    /// Before anything is granted: what is asked for.
    pub(crate) fn nothing(asked: &[String]) -> Self {
        Self {
            access_token: String::new(),
            refresh_token: None,
            expires_at: None,
            renewed_at: None,
            scope: asked.to_vec(),
            accounts_server: None,
        }
    }

    /// Whether the access token is good for a request that begins now.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|ends| now + EARLY < ends)
    }

    /// Seals it for the connection's owner.
    pub async fn seal(&self, secrets: &dyn Secrets, connection: &Connection) -> Result<Sealed, SecretError> {
        let plain = serde_json::to_vec(self).expect("texts and times serialise");
        secrets.seal(&owner(connection), &plain).await
    }

    /// Opens a connection's tokens; `None` where it has none.
    pub async fn open(secrets: &dyn Secrets, connection: &Connection) -> Result<Option<TokenSet>, SecretError> {
        let Some(sealed) = &connection.tokens else { return Ok(None) };
        let plain = secrets.open(&owner(connection), sealed).await?;
        // What opened is ours and untampered; if this release cannot read it, nobody but the user can mend it.
        Ok(serde_json::from_slice(&plain).ok())
    }
}

pub(crate) fn owner(connection: &Connection) -> SecretOwner {
    SecretOwner { user: connection.user.to_string(), thing: connection.id.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_in_debug_output() {
        let tokens = TokenSet { refresh_token: Some("hush".into()), ..TokenSet::personal("hush") };
        assert!(!format!("{tokens:?}").contains("hush"));
    }

    #[test]
    fn a_token_counts_as_expired_a_minute_early() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let tokens = TokenSet { expires_at: Some(at(1000)), ..TokenSet::personal("a") };
        assert!(tokens.is_fresh(at(939)));
        assert!(!tokens.is_fresh(at(940)));
    }
}
