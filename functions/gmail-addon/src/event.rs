//! What Google sends: the parts of its event object that we read. Only the two tokens say who it is; the rest says what
//! that person looks at.
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use tandem_core::mail::{Address, Mailbox};
use tandem_core::record::RemoteId;

/// An event of an add-on (Google Workspace add-ons, "Event objects").
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Event {
    authorization_event_object: Tokens,
    common_event_object: Common,
    gmail: Gmail,
}

/// Personal data and tokens: `Debug` shows nothing of it.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event")
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tokens {
    user_id_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Common {
    parameters: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Gmail {
    message_id: String,
    to_recipients: Vec<String>,
    cc_recipients: Vec<String>,
    bcc_recipients: Vec<String>,
}

impl Event {
    /// The token that says who the person is.
    pub(crate) fn user_token(&self) -> &str {
        &self.authorization_event_object.user_id_token
    }

    /// The open message, by the id that Gmail's API knows it under. The event has the same number in another form:
    /// `msg-f:` and its decimal digits. A message that only this browser knows yet (`msg-a:…`) has none.
    pub(crate) fn message(&self) -> Option<RemoteId> {
        let id = self.gmail.message_id.as_str();
        match id.split_once(':') {
            Some(("msg-f", digits)) => Some(RemoteId::new(format!("{:x}", digits.parse::<u64>().ok()?))),
            Some(_) => None,
            None => (!id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit())).then(|| RemoteId::new(id)),
        }
    }

    /// To whom the message that is being written goes.
    pub(crate) fn recipients(&self) -> Vec<Mailbox> {
        let gmail = &self.gmail;
        let all = gmail.to_recipients.iter().chain(&gmail.cc_recipients).chain(&gmail.bcc_recipients);
        all.filter_map(|raw| mailbox(raw)).collect()
    }

    /// Whom the pressed button is about.
    pub(crate) fn whom(&self) -> Option<Address> {
        Address::read(self.common_event_object.parameters.get("whom")?)
    }
}

/// `jan@example.com` or `Jan <jan@example.com>`.
fn mailbox(raw: &str) -> Option<Mailbox> {
    let (name, address) = raw.rsplit_once('<').unwrap_or(("", raw));
    Mailbox::read(name, address.trim_end_matches('>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Option<String> {
        let event = serde_json::json!({"gmail": {"messageId": id}});
        let event: Event = serde_json::from_value(event).unwrap();
        event.message().map(|id| id.as_str().to_owned())
    }

    #[test]
    fn a_message_is_named_as_gmails_api_names_it() {
        assert_eq!(message("msg-f:1888313095599270248").as_deref(), Some("1a34a2c177e9a968"));
        assert_eq!(message("18c0f3a2b4d5e6f7").as_deref(), Some("18c0f3a2b4d5e6f7"));
        for none in ["", "msg-a:r-123", "msg-f:", "msg-f:x", "../labels", "msg-f:99999999999999999999"] {
            assert_eq!(message(none), None, "{none}");
        }
    }

    #[test]
    fn whatever_is_missing_is_empty() {
        let event: Event = serde_json::from_str("{}").unwrap();
        assert!(event.user_token().is_empty() && event.recipients().is_empty() && event.whom().is_none());
    }
}
