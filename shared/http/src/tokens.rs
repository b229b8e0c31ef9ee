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
    /// What it is good for.
    #[serde(default)]
    pub scope: Vec<String>,
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
        let tokens = TokenSet {
            access_token: "hush".into(),
            refresh_token: Some("hush".into()),
            expires_at: None,
            scope: vec!["contacts".into()],
        };
        assert!(!format!("{tokens:?}").contains("hush"));
    }

    #[test]
    fn a_token_counts_as_expired_a_minute_early() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let tokens =
            TokenSet { access_token: "a".into(), refresh_token: None, expires_at: Some(at(1000)), scope: vec![] };
        assert!(tokens.is_fresh(at(939)));
        assert!(!tokens.is_fresh(at(940)));
    }
}
