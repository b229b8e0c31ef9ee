//! The providers' notifications: proved to come from them, then handed to the engine.
use crate::compose::Ports;
use crate::config::GmailPush;
use crate::log::chain;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, TryStreamExt as _};
use http::HeaderMap;
use serde::Deserialize;
use tandem_dropbox::{push as dropbox, webhook};
use tandem_engine::{Engine, EngineError, Greeting, Heard, Notice};
use tandem_google::drive::watch;
use tandem_google::push::{MAILBOXES, mailbox};
use tandem_http::{Expected, Oidc, OidcError};
use tandem_teamleader::push as teamleader;
use tandem_zoho::push as zoho;

/// Accounts of one notification that are looked up at once.
const CONCURRENT: usize = 8;

/// What the sender is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken, or nothing to us: no need to send it again.
    Thanks,
    /// It is no notification.
    Malformed,
    /// It does not prove whom it is from.
    Forbidden,
    /// This installation does not take them.
    NotServed,
    /// Send it again.
    Later,
}

/// Takes notifications. Make one in a process: it keeps Google's keys.
pub struct Hooks {
    engine: Engine,
    oidc: Oidc,
    /// The secret of the Dropbox app, which signs.
    dropbox_secret: Option<String>,
    gmail: Option<GmailPush>,
}

impl Hooks {
    /// By what proves Dropbox (its app's secret) and Gmail (whose pushes are ours); `None`: not taken.
    pub fn new(engine: Engine, oidc: Oidc, dropbox_secret: Option<String>, gmail: Option<GmailPush>) -> Self {
        Self { engine, oidc, dropbox_secret, gmail }
    }

    /// Of a channel on a calendar or on a Drive. The channel's token proves it, and nothing in its headers is believed
    /// before. It has no body.
    pub async fn google_channel(&self, headers: &HeaderMap) -> Answer {
        let Some(told) = watch::notification(headers) else { return Answer::Malformed };
        let token = headers.get("x-goog-channel-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let greeting = if told.first { Greeting::Yes } else { Greeting::No };
        let notice = Notice { channel: &told.channel, token, resource: &told.resource, greeting };
        answer("google", self.engine.hear_channel(&notice).await)
    }

    /// Of Teamleader, which signs nothing: the last part of the address proves it. What it says has changed is not used.
    pub async fn teamleader(&self, secret: &str, body: &[u8]) -> Answer {
        if teamleader::event(body).is_none() {
            return Answer::Malformed;
        }
        // Not even of the form of one of ours: as any other channel that is unknown.
        let Some((channel, token)) = teamleader::channel(secret) else { return Answer::Thanks };
        let notice = Notice { channel, token, resource: "", greeting: Greeting::No };
        answer("teamleader", self.engine.hear_channel(&notice).await)
    }

    /// Of Zoho, which signs nothing: the channel's token in the body proves it.
    pub async fn zoho(&self, body: &[u8]) -> Answer {
        let Some(told) = zoho::notification(body) else { return Answer::Malformed };
        let notice = Notice { channel: &told.channel, token: &told.token, resource: "", greeting: Greeting::No };
        answer("zoho", self.engine.hear_channel(&notice).await)
    }

    /// What Dropbox wants to see when the address is entered at its console.
    pub fn dropbox_challenge(&self, query: &str) -> Option<String> {
        self.dropbox_secret.as_ref().and_then(|_| webhook::challenge(query))
    }

    /// Of Dropbox: the signature is of the body as it came.
    pub async fn dropbox(&self, signature: Option<&str>, body: &[u8]) -> Answer {
        let Some(secret) = &self.dropbox_secret else { return Answer::NotServed };
        if !signature.is_some_and(|signature| webhook::verify(secret.as_bytes(), body, signature)) {
            return Answer::Forbidden;
        }
        let accounts = webhook::accounts(body);
        let each = accounts.iter().map(|account| self.engine.hear_account(dropbox::ACCOUNTS, account));
        let heard =
            futures::stream::iter(each.collect::<Vec<_>>()).buffer_unordered(CONCURRENT).try_collect::<Vec<_>>();
        answer("dropbox", heard.await.map(|_| Heard::Ignored))
    }

    /// Of Gmail, by Pub/Sub: an ID token of the service account that pushes proves it. What the message says of the
    /// mailbox's history is not used: the delta begins where the last one ended.
    pub async fn gmail(&self, authorization: Option<&str>, body: &[u8]) -> Answer {
        let Some(ours) = &self.gmail else { return Answer::NotServed };
        let expected = Expected { audience: &ours.audience, email: Some(&ours.service_account) };
        match self.oidc.verify_bearer(authorization.unwrap_or_default(), expected).await {
            Ok(_) => {}
            Err(error @ OidcError::Refused(_)) => {
                tracing::info!(error = %error, "a push that claims to be Gmail's");
                return Answer::Forbidden;
            }
            Err(error @ OidcError::Unavailable(_)) => {
                tracing::warn!(error = chain(&error), "a push cannot be checked now");
                return Answer::Later;
            }
        }
        // Proved, so a body that we cannot read would be no better the next time.
        let Some((message, address)) = pushed(body) else {
            tracing::warn!("a push of Pub/Sub that is no notification of Gmail's");
            return Answer::Thanks;
        };
        answer("gmail", self.engine.hear_message(MAILBOXES, &mailbox(&address), &message).await)
    }
}

fn answer(provider: &'static str, heard: Result<Heard, EngineError>) -> Answer {
    match heard {
        Ok(Heard::Refused) => Answer::Forbidden,
        Ok(heard @ (Heard::Started | Heard::Joined | Heard::Ignored)) => {
            tracing::info!(provider, heard = ?heard, "a notification");
            Answer::Thanks
        }
        Err(error) => {
            tracing::warn!(provider, error = chain(&error), "a notification was not taken");
            Answer::Later
        }
    }
}

/// The id of a Pub/Sub message, and the mailbox that it is about.
fn pushed(body: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Message {
        message_id: String,
        data: String,
    }
    #[derive(Deserialize)]
    struct Push {
        message: Message,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        email_address: String,
    }
    let Push { message } = serde_json::from_slice(body).ok()?;
    let told: Told = serde_json::from_slice(&STANDARD.decode(message.data).ok()?).ok()?;
    let named = !message.message_id.is_empty() && !told.email_address.is_empty();
    named.then_some((message.message_id, told.email_address))
}

impl Ports {
    /// What takes notifications on these ports.
    pub fn hooks(&self) -> Hooks {
        let secret = self.config.oauth_client("dropbox").map(|client| client.secret);
        Hooks::new(self.engine(), self.oidc(), secret, self.config.gmail_push.clone())
    }
}
