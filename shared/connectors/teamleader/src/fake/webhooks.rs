//! `webhooks.*`, and what is told to those who registered. There is no id, no secret and no signature; a notification
//! that nobody takes is sent again by whoever serves this fake, as Teamleader's own retries are documented nowhere.
use super::state::State;
use super::{Answer, FakeTeamleader, Refusal, Reply};
use crate::push::Webhook;
use bytes::Bytes;
use http::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Notifications that are kept when nobody takes them.
const MOST_WAITING: usize = 10_000;

/// The types that a webhook can ask for, of the specification.
static TYPES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let facts: Value = serde_json::from_str(include_str!("../../facts/api.json")).expect("a committed file is JSON");
    let named = facts["webhooks.register"]["types"][0]["enum"].as_array().into_iter().flatten();
    named.filter_map(Value::as_str).map(str::to_owned).collect()
});

/// What each call that changes something tells.
const TOLD: &[(&str, &str)] = &[
    ("contacts.add", "contact.added"),
    ("contacts.update", "contact.updated"),
    ("contacts.tag", "contact.updated"),
    ("contacts.untag", "contact.updated"),
    ("contacts.delete", "contact.deleted"),
    ("contacts.linkToCompany", "contact.linkedToCompany"),
    ("contacts.unlinkFromCompany", "contact.unlinkedFromCompany"),
    ("contacts.updateCompanyLink", "contact.updatedLinkToCompany"),
    ("companies.add", "company.added"),
    ("companies.update", "company.updated"),
    ("companies.delete", "company.deleted"),
    ("meetings.schedule", "meeting.created"),
    ("meetings.update", "meeting.updated"),
    ("meetings.complete", "meeting.completed"),
    ("meetings.delete", "meeting.deleted"),
    ("calls.add", "call.added"),
    ("calls.update", "call.updated"),
    ("calls.complete", "call.completed"),
    ("calls.delete", "call.deleted"),
    ("tasks.create", "task.created"),
    ("tasks.update", "task.updated"),
    ("tasks.complete", "task.completed"),
    ("tasks.delete", "task.deleted"),
];

/// A notification on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// Where it goes.
    pub url: String,
    /// `{"type", "subject", "account"}`.
    pub body: String,
}

pub(super) fn answer(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    match action {
        "list" => {
            let mut all = state.account(account).webhooks.clone();
            all.sort_by(|a, b| a.url.cmp(&b.url));
            Ok(Reply::Data(json!({"data": all})))
        }
        "register" => {
            let asked = asked(body)?;
            let known = &mut state.account(account).webhooks;
            match known.iter_mut().find(|webhook| webhook.url == asked.url) {
                Some(webhook) => {
                    let new = asked.types.into_iter().filter(|name| !webhook.types.contains(name));
                    webhook.types.extend(new.collect::<Vec<_>>());
                }
                None => known.push(asked),
            }
            state.next();
            Ok(Reply::Done)
        }
        "unregister" => {
            let asked = asked(body)?;
            let known = &mut state.account(account).webhooks;
            for webhook in known.iter_mut().filter(|webhook| webhook.url == asked.url) {
                webhook.types.retain(|name| !asked.types.contains(name));
            }
            known.retain(|webhook| !webhook.types.is_empty());
            state.next();
            Ok(Reply::Done)
        }
        _ => Err(Refusal::missing()),
    }
}

fn asked(body: &Map<String, Value>) -> Result<Webhook, Refusal> {
    let asked: Webhook = serde_json::from_value(Value::Object(body.clone()))
        .map_err(|_| Refusal::invalid("url and types are mandatory."))?;
    if asked.url.parse::<http::Uri>().ok().is_none_or(|url| url.scheme().is_none() || url.host().is_none()) {
        return Err(Refusal::invalid("url is not a valid URL."));
    }
    match asked.types.iter().find(|name| !TYPES.contains(*name)) {
        Some(_) => Err(Refusal::invalid("types has one that is none.")),
        None if asked.types.is_empty() => Err(Refusal::invalid("types must not be empty.")),
        None => Ok(asked),
    }
}

/// Tells of a call that was carried out; `made` is the id of what it made.
pub(super) fn tell_of(state: &mut State, account: &str, method: &str, body: &Map<String, Value>, made: Option<&str>) {
    let Some((_, event)) = TOLD.iter().find(|(known, _)| *known == method) else { return };
    let id = made.or_else(|| body.get("id").and_then(Value::as_str)).unwrap_or_default();
    tell(state, account, event, id);
}

/// Tells of one event (`contact.added`) at one record.
pub(super) fn tell(state: &mut State, account: &str, event: &str, id: &str) {
    let held = state.account(account);
    let kind = event.split('.').next().unwrap_or_default();
    let body = json!({"type": event, "subject": {"type": kind, "id": id},
        "account": {"type": "account", "id": held.account_id}});
    let listening = held.webhooks.iter().filter(|webhook| webhook.types.iter().any(|name| name == event));
    let told: Vec<Notification> =
        listening.map(|webhook| Notification { url: webhook.url.clone(), body: body.to_string() }).collect();
    state.outbox.extend(told);
    let surplus = state.outbox.len().saturating_sub(MOST_WAITING);
    state.outbox.drain(..surplus);
}

impl FakeTeamleader {
    /// Takes the notifications that wait.
    pub fn take_notifications(&self) -> Vec<Notification> {
        std::mem::take(&mut self.now().outbox)
    }

    /// The same as the requests that Teamleader sends, to this machine only.
    pub fn outbox(&self) -> Vec<Request<Bytes>> {
        let told = self.take_notifications().into_iter().filter(|told| told.url.starts_with("http://127.0.0.1:"));
        let request = |told: Notification| {
            let request = Request::post(&told.url).header("content-type", "application/json");
            request.body(Bytes::from(told.body)).ok()
        };
        told.filter_map(request).collect()
    }

    /// The webhooks that are registered, as `webhooks.list` shows them.
    pub fn webhooks(&self, account: &str) -> Value {
        json!(self.now().account(account).webhooks)
    }
}
