//! What Google tells those who watch, as the requests that it sends.
use super::keys;
use super::state::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

impl super::FakeGoogle {
    /// Takes the notifications that wait: those of channels on calendars and on Drive, and Gmail's where a subscription
    /// pushes them (`gmail/settings`).
    pub fn outbox(&self) -> Vec<Request<Bytes>> {
        let near = self.now().calendars.take_near();
        let calendars = near.into_iter().map(|told| post(&told.address, told.headers, Bytes::new()));
        let drives = self.take_drive_notifications().into_iter();
        let drives = drives.filter(|told| told.address.starts_with("http://127.0.0.1:")).map(|told| {
            let headers = told.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
            post(&told.address, headers, Bytes::new())
        });
        let all: Vec<Option<Request<Bytes>>> = calendars.chain(drives).chain(mails(&mut self.now())).collect();
        all.into_iter().flatten().collect()
    }
}

/// `None` where the address is none.
fn post(address: &str, headers: impl IntoIterator<Item = (String, String)>, body: Bytes) -> Option<Request<Bytes>> {
    let request =
        headers.into_iter().fold(Request::post(address), |request, (name, value)| request.header(name, value));
    request.body(body).ok()
}

/// Pub/Sub's pushes: the notification in base64 in an envelope, with an ID token of the subscription's service account.
fn mails(state: &mut State) -> Vec<Option<Request<Bytes>>> {
    let Some((endpoint, audience, account)) = state.mail.pushes_to() else { return Vec::new() };
    let waiting = state.mail.take();
    let token = keys::sign(state.settings.key_rotation, &keys::claims(state, &audience, &account));
    let each = waiting.into_iter().map(|told| {
        let id = state.next().to_string();
        let data = json!({"emailAddress": told["emailAddress"], "historyId": told["historyId"]});
        let message: Value = json!({"data": STANDARD.encode(data.to_string()), "messageId": id, "message_id": id});
        let body = json!({"message": message, "subscription": "projects/simulated/subscriptions/gmail"}).to_string();
        let headers = [("authorization", format!("Bearer {token}")), ("content-type", "application/json".to_owned())];
        post(&endpoint, headers.map(|(name, value)| (name.to_owned(), value)), Bytes::from(body))
    });
    each.collect()
}
