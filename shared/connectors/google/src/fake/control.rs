//! The control plane: what a test or a person does behind the connector's back. Over HTTP under `/_sim/google/`,
//! and as methods of [`FakeGoogle`](super::FakeGoogle).
use super::state::{BatchRefusal, Fault, Settings, State};
use super::{Asked, FakeGoogle, Refusal, json_response, schema};
use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// An edit by the user in the contacts app: fields to replace, by wire name. `memberships` are resource names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Edit {
    /// Wire fields to replace; an empty list removes the field.
    pub fields: Map<String, Value>,
    /// The groups it is in from now on.
    pub groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default)]
    account: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "resourceName")]
    resource_name: String,
    #[serde(default)]
    people: Vec<Edit>,
    #[serde(default)]
    edit: Edit,
    #[serde(default)]
    faults: Vec<Fault>,
    #[serde(default)]
    seconds: i64,
    /// What an account's token allows; where none is named, all that Tandem asks for.
    #[serde(default)]
    scopes: Vec<String>,
    /// Of the calendars' own orders.
    #[serde(default)]
    body: Value,
}

pub(super) fn answer(state: &mut State, asked: &Asked, rest: &str) -> Response<Bytes> {
    match act(state, asked, rest) {
        Ok(body) => json_response(200, &body),
        Err(refusal) => refusal.into_response(),
    }
}

fn act(state: &mut State, asked: &Asked, rest: &str) -> super::Answer {
    if let Some(rest) = rest.strip_prefix("gmail/") {
        return super::gmail::act(state, asked, rest);
    }
    let body = asked.json()?;
    if (asked.method.as_str(), rest) == ("POST", "settings") {
        return change_settings(state, &body);
    }
    if let Some(what) = rest.strip_prefix("drive/") {
        return super::drive::control::answer(state, what, &body).map_err(Refusal::invalid);
    }
    let wrong = |e: serde_json::Error| Refusal::invalid(format!("not understood: {e}"));
    let order: Order = serde_json::from_value(body).map_err(wrong)?;
    match (asked.method.as_str(), rest) {
        ("POST", "reset") => {
            *state = State { now_ms: state.now_ms, seq: state.seq + 1, ..State::default() };
            Ok(json!({}))
        }
        ("POST", "accounts") => {
            let account = state.account(&order.account);
            if !order.name.is_empty() {
                account.name.clone_from(&order.name);
            }
            let sub = account.sub.clone();
            Ok(json!({"email": order.account, "sub": sub, "token": state.mint(&order.account, order.scopes)}))
        }
        ("POST", "people") => {
            let names = order.people.into_iter().map(|edit| user_creates(state, &order.account, edit));
            Ok(json!({"resourceNames": names.collect::<Result<Vec<_>, _>>()?}))
        }
        ("PATCH", "people") => {
            user_edits(state, &order.account, &order.resource_name, order.edit)?;
            Ok(json!({}))
        }
        ("DELETE", "people") => Ok(json!({"deleted": state.remove(&order.account, &order.resource_name)})),
        ("POST", "rename") => Ok(json!({"resourceName": rename(state, &order.account, &order.resource_name)?})),
        ("POST", "faults") => {
            state.faults.extend(order.faults);
            Ok(json!({"waiting": state.faults.len()}))
        }
        ("POST", "expire-cursors") => {
            expire_cursors(state);
            Ok(json!({}))
        }
        ("POST", "revoke") => {
            revoke(state, &order.account);
            Ok(json!({}))
        }
        ("POST", "advance-clock") => {
            state.settings.clock_offset_ms += order.seconds * 1000;
            state.next();
            Ok(json!({}))
        }
        ("POST", rest) if rest.starts_with("calendar/") => {
            super::calendar::control(state, &order.account, &rest["calendar/".len()..], &order.body)
        }
        ("GET", "settings") => Ok(json!(state.settings)),
        ("GET", "state") => Ok(state_of(state, asked.one("account").unwrap_or_default())),
        ("GET", "accounts") => Ok(json!({"accounts": state.accounts.keys().collect::<Vec<_>>()})),
        ("GET", "calls") => Ok(json!({"calls": state.calls})),
        ("DELETE", "calls") => {
            state.calls.clear();
            Ok(json!({}))
        }
        _ => Err(Refusal::missing()),
    }
}

/// Settings that are left out stay as they are.
fn change_settings(state: &mut State, body: &Value) -> super::Answer {
    let mut all = json!(state.settings);
    if let (Some(all), Some(some)) = (all.as_object_mut(), body.as_object()) {
        all.extend(some.clone());
    }
    state.settings = serde_json::from_value(all).map_err(|e| Refusal::invalid(format!("not understood: {e}")))?;
    state.next();
    Ok(json!(state.settings))
}

fn state_of(state: &State, account: &str) -> Value {
    let Some(held) = state.accounts.get(account) else { return json!({"people": [], "groups": []}) };
    let mask = &schema::facts().read_mask;
    let people: Vec<Value> = held.people.values().map(|person| super::state::shown(person, mask)).collect();
    let group = |(name, group): (&String, &super::state::StoredGroup)| json!({"resourceName": name, "name": group.name, "clientData": group.client_data, "system": group.system});
    json!({"people": people, "groups": held.groups.iter().map(group).collect::<Vec<_>>()})
}

fn user_creates(state: &mut State, account: &str, edit: Edit) -> Result<String, Refusal> {
    schema::facts().check(&json!(edit.fields), "Person", "")?;
    state.account(account);
    let person = state.new_person(edit.fields, edit.groups.unwrap_or_default());
    Ok(state.put(account, person).name)
}

fn user_edits(state: &mut State, account: &str, name: &str, edit: Edit) -> Result<(), Refusal> {
    schema::facts().check(&json!(edit.fields), "Person", "")?;
    let mut person = state.account(account).people.get(name).cloned().ok_or_else(Refusal::missing)?;
    for (path, value) in edit.fields {
        if value.as_array().is_some_and(|entries| entries.is_empty()) {
            person.data.remove(&path);
        } else {
            person.data.insert(path, value);
        }
    }
    if let Some(groups) = edit.groups {
        person.groups = groups;
    }
    state.put(account, person);
    Ok(())
}

/// As when the user links a contact with a profile: the same contact under another resource name.
fn rename(state: &mut State, account: &str, name: &str) -> Result<String, Refusal> {
    let held = state.account(account);
    let mut person = held.people.remove(name).ok_or_else(Refusal::missing)?;
    // The old name is not reported as deleted: the contact lives on.
    held.events.retain(|event| event.name != name);
    person.name = format!("people/c{}", 1_000_000 + state.next());
    person.previous = vec![name.to_owned()];
    Ok(state.put(account, person).name)
}

fn expire_cursors(state: &mut State) {
    state.next();
    state.lists.values_mut().for_each(|token| token.expired = true);
    state.calendars.expire_tokens();
}

fn revoke(state: &mut State, account: &str) {
    state.next();
    state.access.retain(|_, grant| grant.account != account);
    state.refresh.retain(|_, grant| grant.account != account);
}

impl FakeGoogle {
    /// The user makes a contact.
    ///
    /// # Panics
    /// Where the fields are none of Google's.
    pub fn user_creates(&self, account: &str, edit: Edit) -> String {
        let mut state = self.now();
        user_creates(&mut state, account, edit).map_err(|r| r.message).expect("fields that Google knows")
    }

    /// The user edits a contact.
    ///
    /// # Panics
    /// Where the contact does not exist or the fields are none of Google's.
    pub fn user_edits(&self, account: &str, name: &str, edit: Edit) {
        let mut state = self.now();
        user_edits(&mut state, account, name, edit).map_err(|r| r.message).expect("a contact that exists");
    }

    /// The user deletes a contact; whether it was there.
    pub fn user_deletes(&self, account: &str, name: &str) -> bool {
        self.now().remove(account, name)
    }

    /// Google gives a contact another resource name; which.
    ///
    /// # Panics
    /// Where the contact does not exist.
    pub fn renames(&self, account: &str, name: &str) -> String {
        rename(&mut self.now(), account, name).map_err(|r| r.message).expect("a contact that exists")
    }

    /// People and groups of an account, in wire form with all fields.
    pub fn state(&self, account: &str) -> Value {
        state_of(&self.now(), account)
    }

    /// These faults meet the next calls, one each.
    pub fn inject(&self, faults: &[Fault]) {
        self.now().faults.extend_from_slice(faults);
    }

    /// No page or sync token is good any more.
    pub fn expire_cursors(&self) {
        expire_cursors(&mut self.now());
    }

    /// The user takes the grant back.
    pub fn revoke(&self, account: &str) {
        revoke(&mut self.now(), account);
    }

    /// Changes how the provider behaves.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.now().settings);
    }

    /// What one bad contact does to its batch.
    pub fn refuse_batches(&self, how: BatchRefusal) {
        self.set(|settings| settings.batch_refusal = how);
    }

    /// What the user does in the calendar app: an order of the control plane under `calendar/` (`insert`, `patch`,
    /// `delete`, `invite`, `calendar`, `share`, `unshare`, `unlist`).
    ///
    /// # Panics
    /// Where Google's own app could not do it.
    pub fn user_does(&self, account: &str, what: &str, body: &Value) -> Value {
        let done = super::calendar::control(&mut self.now(), account, what, body);
        done.map_err(|r| r.message).expect("something that the app can do")
    }

    /// The events of a calendar as Google holds them, tombstones left out.
    pub fn events(&self, account: &str, calendar: &str) -> Vec<Value> {
        super::calendar::held(&mut self.now(), account, calendar)
    }

    /// Invitation mails so far.
    pub fn mails(&self) -> super::Mails {
        self.now().calendars.mails()
    }

    /// Takes the push notifications that wait to be sent, in order.
    pub fn take_notifications(&self) -> Vec<super::Notification> {
        self.now().calendars.take_notifications()
    }

    /// Calls so far, as (method, path, number of contacts or groups written).
    pub fn calls(&self) -> Vec<(String, String, usize)> {
        self.now().calls.iter().map(|call| (call.method.clone(), call.path.clone(), call.writes)).collect()
    }

    /// Starts the list of calls anew.
    pub fn forget_calls(&self) {
        self.now().calls.clear();
    }

    pub(super) fn now(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.locked();
        state.now_ms = self.clock.now().as_millisecond() + state.settings.clock_offset_ms;
        state
    }

    /// Shares the fake with whoever opens accounts on it.
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}
