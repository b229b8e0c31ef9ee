//! Dropbox's notifications: a request is checked and read; what follows from it is somebody else's.
//!
//! Dropbox wants an answer within ten seconds and repeats what fails for about ten minutes. One notification may name
//! several accounts, and the same one may come several times at once.
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// The header with the signature.
pub const SIGNATURE: &str = "x-dropbox-signature";
/// What the answer to a challenge must carry besides status 200, so that no browser runs the echo.
pub const CHALLENGE_HEADERS: [(&str, &str); 2] =
    [("content-type", "text/plain"), ("x-content-type-options", "nosniff")];

/// The body of the answer to `GET …?challenge=…`, with [`CHALLENGE_HEADERS`]; `None` where nothing is challenged.
pub fn challenge(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "challenge")
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

/// Whether the signature is the HMAC-SHA256 of the raw body under the app's secret, in hexadecimal.
/// Takes the same time for every wrong signature.
pub fn verify(secret: &[u8], body: &[u8], signature: &str) -> bool {
    let Ok(signature) = hex::decode(signature.trim()) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

/// The accounts (`dbid:…`) whose files changed, each once. Empty where the body says nothing of files.
pub fn accounts(body: &[u8]) -> Vec<String> {
    #[derive(Default, Deserialize)]
    struct Accounts {
        #[serde(default)]
        accounts: Vec<String>,
    }
    #[derive(Default, Deserialize)]
    struct Notification {
        #[serde(default)]
        list_folder: Accounts,
    }
    let notification: Notification = serde_json::from_slice(body).unwrap_or_default();
    let mut accounts = notification.list_folder.accounts;
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test case 2.
    const KEY: &[u8] = b"Jefe";
    const DATA: &[u8] = b"what do ya want for nothing?";
    const HMAC: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn a_right_signature_is_accepted_and_every_other_is_not() {
        assert!(verify(KEY, DATA, HMAC));
        assert!(verify(KEY, DATA, &HMAC.to_uppercase()));
        assert!(!verify(KEY, b"what do ya want for something?", HMAC));
        assert!(!verify(b"Jeff", DATA, HMAC));
        for forged in ["", "5b", "zz", &HMAC[..62], &format!("{HMAC}00")] {
            assert!(!verify(KEY, DATA, forged), "{forged}");
        }
    }

    #[test]
    fn a_challenge_is_echoed() {
        assert_eq!(challenge("challenge=a%2Bb%20c"), Some("a+b c".to_owned()));
        assert_eq!(challenge("challenge="), None);
        assert_eq!(challenge(""), None);
    }

    #[test]
    fn a_notification_names_each_account_once() {
        let body = br#"{"list_folder":{"accounts":["dbid:B","dbid:A","dbid:B"]},"delta":{"users":[1,2]}}"#;
        assert_eq!(accounts(body), ["dbid:A", "dbid:B"]);
        assert!(accounts(br#"{"delta":{"users":[1]}}"#).is_empty());
        assert!(accounts(b"garbage").is_empty());
    }
}
