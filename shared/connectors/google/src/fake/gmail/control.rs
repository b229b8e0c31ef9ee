//! What a person does in Gmail, and what a test does to it. Over HTTP under `/_sim/google/gmail/`.
use super::super::state::{Grant, State};
use super::super::{Answer, Asked, FakePeople, Refusal};
use super::{EventKind, mailbox, messages, note};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    account: String,
    id: String,
    /// A message, byte by byte in base64.
    raw: String,
    /// Names of labels.
    labels: Vec<String>,
    scopes: Vec<String>,
    units_per_minute: Option<u32>,
    concurrent: Option<usize>,
    subscription: Option<super::Subscription>,
}

/// Carries out an order of the control plane.
pub(crate) fn act(state: &mut State, asked: &Asked, rest: &str) -> Answer {
    let wrong = |e: serde_json::Error| Refusal::invalid(format!("not understood: {e}"));
    let order: Order = serde_json::from_value(asked.json()?).map_err(wrong)?;
    match (asked.method.as_str(), rest) {
        ("POST", "messages") => {
            let raw = STANDARD.decode(&order.raw).map_err(|_| Refusal::invalid("`raw` is base64"))?;
            let labels = order.labels.iter().map(|name| label_id(state, &order.account, name)).collect();
            Ok(json!({"id": messages::put(state, &order.account, &raw, labels)}))
        }
        ("POST", "labels") => {
            label(state, &order.account, &order.id, &order.labels)?;
            Ok(json!({}))
        }
        ("POST", "token") => {
            let email = state.account(&order.account).email.clone();
            let token = format!("ya29.scoped-{}", state.next());
            let grant = Grant { account: email, client: "scoped".to_owned(), scopes: order.scopes, expires_ms: None };
            state.access.insert(token.clone(), grant);
            Ok(json!({"token": token}))
        }
        ("POST", "forget-history") => {
            forget(state, &order.account);
            Ok(json!({}))
        }
        ("POST", "settings") => {
            state.mail.units_per_minute = order.units_per_minute.unwrap_or(state.mail.units_per_minute);
            state.mail.concurrent = order.concurrent.unwrap_or(state.mail.concurrent);
            if order.subscription.is_some() {
                state.mail.subscription = order.subscription;
                state.next();
            }
            Ok(json!({"units_per_minute": state.mail.units_per_minute, "concurrent": state.mail.concurrent,
                "subscription": state.mail.subscription}))
        }
        ("GET", "notifications") => Ok(json!({"notifications": state.mail.notifications})),
        ("DELETE", "notifications") => {
            state.mail.notifications.clear();
            Ok(json!({}))
        }
        _ => Err(Refusal::missing()),
    }
}

/// The id of a label by its name; a name of one's own is made where it is new.
fn label_id(state: &mut State, account: &str, name: &str) -> String {
    if super::SYSTEM_LABELS.contains(&name) {
        return name.to_owned();
    }
    let fresh = format!("Label_{}", state.next());
    let held = mailbox(state, account);
    let known = held.labels.iter().find(|(_, known)| known.to_lowercase() == name.to_lowercase());
    if let Some((id, _)) = known {
        return id.clone();
    }
    held.labels.insert(fresh.clone(), name.to_owned());
    fresh
}

fn label(state: &mut State, account: &str, id: &str, names: &[String]) -> Result<(), Refusal> {
    let ids: BTreeSet<String> = names.iter().map(|name| label_id(state, account, name)).collect();
    let message = mailbox(state, account).messages.get_mut(id).ok_or_else(Refusal::missing)?;
    message.labels.extend(ids.clone());
    note(state, account, EventKind::LabelAdded, id, ids);
    Ok(())
}

fn forget(state: &mut State, account: &str) {
    state.next();
    let held = mailbox(state, account);
    held.history.clear();
    held.floor = held.now + 1;
    held.now = held.floor;
    state.seq = state.seq.max(state.mail.boxes[account].now);
}

impl FakePeople {
    fn mail_state(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.locked();
        state.now_ms = self.clock.now().as_millisecond() + state.settings.clock_offset_ms;
        state
    }

    /// A message comes into a mailbox, or (with the label `SENT`) is sent from it. Labels by name. Answers its id.
    pub fn mail_arrives(&self, account: &str, raw: &[u8], labels: &[&str]) -> String {
        let mut state = self.mail_state();
        state.account(account);
        let labels = labels.iter().map(|name| label_id(&mut state, account, name)).collect();
        messages::put(&mut state, account, raw, labels)
    }

    /// The user gives a message labels, by name.
    ///
    /// # Panics
    /// Where there is no such message.
    pub fn mail_labelled(&self, account: &str, id: &str, labels: &[&str]) {
        let names: Vec<String> = labels.iter().map(|name| (*name).to_owned()).collect();
        label(&mut self.mail_state(), account, id, &names).map_err(|r| r.message).expect("a message that is there");
    }

    /// The user deletes a message for good; whether it was there.
    pub fn mail_deleted(&self, account: &str, id: &str) -> bool {
        let mut state = self.mail_state();
        let gone = mailbox(&mut state, account).messages.remove(id);
        if gone.is_some() {
            note(&mut state, account, EventKind::Deleted, id, BTreeSet::new());
        }
        gone.is_some()
    }

    /// Google forgets what happened in a mailbox up to now.
    pub fn mail_history_forgotten(&self, account: &str) {
        forget(&mut self.mail_state(), account);
    }

    /// The names of the labels that a user's mailbox has beside Gmail's own.
    pub fn mail_labels(&self, account: &str) -> Vec<String> {
        mailbox(&mut self.mail_state(), account).labels.values().cloned().collect()
    }

    /// Renames a label.
    pub fn mail_label_renamed(&self, account: &str, from: &str, to: &str) {
        let mut state = self.mail_state();
        mailbox(&mut state, account)
            .labels
            .values_mut()
            .filter(|name| *name == from)
            .for_each(|name| *name = to.to_owned());
    }

    /// Quota units a minute and user (0: no limit), and how many parts of a batch are served at once.
    pub fn mail_limits(&self, units_per_minute: u32, concurrent: usize) {
        let mut state = self.mail_state();
        state.mail.units_per_minute = units_per_minute;
        state.mail.concurrent = concurrent;
    }

    /// What watchers were told so far, as Pub/Sub carries it, with its topic.
    pub fn mail_notifications(&self) -> Vec<Value> {
        self.mail_state().mail.notifications.clone()
    }
}
