//! Which message it is, whatever mailbox it was found in.
use super::Envelope;
use crate::normalise;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A message's identity: 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailKey(String);

impl MailKey {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message's identity: its `Message-ID` together with its sender, so that nobody can hide a message behind the id of
/// another's (RFC 5322 §3.6.4 makes the id unique only among honest hosts). Without an id: sender, date, subject and
/// recipients, which are the same in every copy.
pub fn identity(envelope: &Envelope) -> MailKey {
    let from = envelope.from.first().map_or("", |from| from.address.as_str());
    let id = envelope.message_id.as_deref().map(bare).filter(|id| !id.is_empty());
    let said = match id {
        Some(id) => format!("id\n{id}\n{from}"),
        None => {
            let at = envelope.sent_at.map(|at| at.as_second().to_string()).unwrap_or_default();
            let recipients = envelope.to.iter().chain(&envelope.cc).map(|to| to.address.as_str());
            let recipients: Vec<&str> = recipients.collect();
            format!("no id\n{from}\n{at}\n{}\n{}", envelope.subject, recipients.join(","))
        }
    };
    MailKey(hex::encode(Sha256::digest(said.as_bytes())))
}

/// The id without brackets and without what folding left in it.
fn bare(raw: &str) -> String {
    normalise::text(raw).trim_matches(['<', '>', ' ']).to_owned()
}
