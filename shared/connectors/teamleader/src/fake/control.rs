//! The control plane: what a test or a person does behind the connector's back. Over HTTP under `/_sim/teamleader/`,
//! and as methods of [`FakeTeamleader`].
use super::files::UserFile;
use super::state::{Fault, Right, Settings, State, Waiting};
use super::{Asked, FakeTeamleader, Refusal, Reply};
use super::{calls, companies, contacts, events, files, json_response, mail, meetings, tasks, webhooks};
use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// An edit by the user in Teamleader.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Edit {
    /// Members to set, as `contacts.update` takes them.
    pub fields: Map<String, Value>,
    /// Its links to companies, as `contacts.info` shows them.
    pub companies: Option<Value>,
    /// `active` or `deactivated`.
    pub status: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default)]
    account: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    right: Option<Right>,
    #[serde(default)]
    contacts: Vec<Edit>,
    #[serde(default)]
    edit: Edit,
    #[serde(default)]
    company: Map<String, Value>,
    #[serde(default)]
    definition: Map<String, Value>,
    #[serde(default)]
    file: UserFile,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    record: Map<String, Value>,
    #[serde(default)]
    meeting: Map<String, Value>,
    #[serde(default)]
    activity: Map<String, Value>,
    #[serde(default)]
    email: String,
    #[serde(default)]
    faults: Vec<Waiting>,
    #[serde(default)]
    seconds: i64,
}

pub(super) fn answer(state: &mut State, asked: &Asked, rest: &str) -> Response<Bytes> {
    match act(state, asked, rest) {
        Ok(body) => json_response(200, &body),
        Err(refusal) => refusal.into_response(),
    }
}

fn act(state: &mut State, asked: &Asked, rest: &str) -> Result<Value, Refusal> {
    let body = asked.json()?;
    if (asked.method.as_str(), rest) == ("POST", "settings") {
        return change_settings(state, body);
    }
    let wrong = |e: serde_json::Error| Refusal::invalid(format!("not understood: {e}"));
    let order: Order = serde_json::from_value(Value::Object(body)).map_err(wrong)?;
    let account = order.account.as_str();
    match (asked.method.as_str(), rest) {
        ("POST", "reset") => *state = State { now_ms: state.now_ms, seq: state.seq + 1, ..State::default() },
        ("POST", "accounts") => return Ok(make_account(state, &order)),
        ("POST", "contacts") => {
            let made = order.contacts.into_iter().map(|edit| user_creates(state, account, edit));
            return Ok(json!({"ids": made.collect::<Result<Vec<_>, _>>()?}));
        }
        ("PATCH", "contacts") => user_edits(state, account, &order.id, order.edit)?,
        ("DELETE", "contacts") => return Ok(json!({"deleted": user_deletes(state, account, &order.id)})),
        ("POST", "companies") => return Ok(json!({"id": company(state, account, &order.company)?})),
        ("PATCH", "companies") => {
            company_changes(state, account, &order.id, &order.company)?;
        }
        ("DELETE", "companies") => {
            companies::delete(state, account, &order.id);
            webhooks::tell(state, account, "company.deleted", &order.id);
            state.next();
        }
        ("POST", "meetings") => return Ok(json!({"id": meetings::user_schedules(state, account, &order.meeting)?})),
        ("PATCH", "meetings") => meetings::user_reschedules(state, account, &order.id, &order.meeting)?,
        ("DELETE", "meetings") => return Ok(json!({"deleted": meetings::user_cancels(state, account, &order.id)})),
        ("POST", "activity-types") => {
            return Ok(json!({"id": events::user_names(state, account, &order.name)}));
        }
        (method, "activities") => return user_plans(state, account, method, &order),
        ("POST", "users") => {
            let id = meetings::hire(state, account, &order.email);
            return Ok(json!({"id": id, "token": state.mint_for(account, Some(&id))}));
        }
        ("POST", "files") => return Ok(json!({"id": files::user_saves(state, account, &order.file)})),
        ("DELETE", "files") => return Ok(json!({"deleted": files::user_deletes(state, account, &order.id)})),
        ("POST", "records") => {
            return Ok(json!({"id": files::user_adds(state, account, &order.kind, order.record)}));
        }
        ("DELETE", "records") => {
            return Ok(json!({"deleted": files::user_drops(state, account, &order.kind, &order.id)}));
        }
        ("POST", "definitions") => return Ok(json!({"id": define(state, account, order.definition)})),
        ("POST", "faults") => {
            state.faults.extend(order.faults);
            return Ok(json!({"waiting": state.faults.len()}));
        }
        ("POST", "revoke") => revoke(state, account),
        ("POST", "advance-clock") => {
            state.settings.clock_offset_ms += order.seconds * 1000;
            state.next();
        }
        ("GET", "settings") => return Ok(json!(state.settings)),
        ("GET", "state") => return Ok(state_of(state, asked.one("account").unwrap_or_default())),
        ("GET", "accounts") => return Ok(json!({"accounts": state.accounts.keys().collect::<Vec<_>>()})),
        ("GET", "calls") => return Ok(json!({"calls": state.calls})),
        ("DELETE", "calls") => state.calls.clear(),
        _ => return Err(Refusal::missing()),
    }
    Ok(json!({}))
}

/// The account's first user makes, changes, completes or deletes a `call`, a `task` or an `event`.
fn user_plans(state: &mut State, account: &str, method: &str, order: &Order) -> Result<Value, Refusal> {
    let mut body = order.activity.clone();
    if method != "POST" {
        body.insert("id".to_owned(), json!(order.id));
    }
    let method = match (order.kind.as_str(), method) {
        ("call", "POST") => "calls.add",
        ("call", "PATCH") => "calls.update",
        ("call", "PUT") => "calls.complete",
        ("call", "DELETE") => "calls.delete",
        ("task", "POST") => "tasks.create",
        ("task", "PATCH") => "tasks.update",
        ("task", "PUT") => "tasks.complete",
        ("task", "DELETE") => "tasks.delete",
        ("event", "POST") => "events.create",
        ("event", "PATCH") => "events.update",
        ("event", "DELETE") => "events.cancel",
        _ => return Err(Refusal::missing()),
    };
    if method == "tasks.create" {
        let kind = mail::work_types(state, account)[0]["id"].clone();
        body.entry("work_type_id").or_insert(kind);
    }
    let user = state.account(account).user_id.clone();
    // No call wrote this.
    let counted = state.calls.last().map(|call| call.writes);
    let done = match method.split_once('.') {
        Some(("calls", action)) => calls::answer(state, account, action, &body),
        Some(("tasks", action)) => tasks::answer(state, account, action, &body),
        Some((_, action)) => events::answer(state, (account, &user), action, &body),
        None => Err(Refusal::missing()),
    };
    if let Some((call, writes)) = state.calls.last_mut().zip(counted) {
        call.writes = writes;
    }
    let id = match done? {
        Reply::Made(_, id) => Some(id),
        Reply::Data(_) | Reply::Done => None,
    };
    webhooks::tell_of(state, account, method, &body, id.as_deref());
    Ok(json!({"id": id}))
}

fn make_account(state: &mut State, order: &Order) -> Value {
    let token = state.mint(&order.account);
    let held = state.account(&order.account);
    if !order.name.is_empty() {
        held.name.clone_from(&order.name);
    }
    if let Some(right) = order.right {
        held.right = right;
    }
    json!({"email": held.email, "account_id": held.account_id, "user_id": held.user_id, "token": token})
}

/// Settings that are left out stay as they are.
fn change_settings(state: &mut State, body: Map<String, Value>) -> Result<Value, Refusal> {
    let mut all = json!(state.settings);
    if let Some(all) = all.as_object_mut() {
        all.extend(body);
    }
    state.settings = serde_json::from_value(all).map_err(|e| Refusal::invalid(format!("not understood: {e}")))?;
    state.next();
    Ok(json!(state.settings))
}

fn state_of(state: &State, account: &str) -> Value {
    let Some(held) = state.accounts.get(account) else { return json!({"contacts": [], "companies": []}) };
    let contacts: Vec<Value> = held.contacts.values().map(contacts::info).collect();
    let companies: Vec<Value> = held.companies.values().map(companies::shown).collect();
    let meetings: Vec<Value> = held.meetings.values().map(meetings::info).collect();
    let calls: Vec<Value> = held.calls.values().map(calls::info).collect();
    let events: Vec<Value> = held.events.values().map(events::shown).collect();
    json!({"contacts": contacts, "companies": companies, "meetings": meetings, "calls": calls, "events": events,
        "tasks": held.tasks, "definitions": held.definitions,
        "tags": held.tags, "files": files::state_of(&held.files)})
}

fn user_creates(state: &mut State, account: &str, edit: Edit) -> Result<String, Refusal> {
    let id = contacts::create(state, account, &edit.fields)?;
    apply(state, account, &id, Edit { fields: Map::new(), ..edit })?;
    webhooks::tell(state, account, "contact.added", &id);
    Ok(id)
}

/// An edit of the links alone is none of the contact.
fn user_edits(state: &mut State, account: &str, id: &str, edit: Edit) -> Result<(), Refusal> {
    let links_alone = edit.companies.is_some() && edit.fields.is_empty() && edit.status.is_none();
    apply(state, account, id, edit)?;
    let event = if links_alone { "contact.updatedLinkToCompany" } else { "contact.updated" };
    webhooks::tell(state, account, event, id);
    Ok(())
}

fn apply(state: &mut State, account: &str, id: &str, edit: Edit) -> Result<(), Refusal> {
    contacts::change(state, account, id, &edit.fields)?;
    state.next();
    let stored = state.account(account).contacts.get_mut(id).ok_or_else(Refusal::missing)?;
    if let Some(links) = edit.companies {
        stored.data.insert("companies".to_owned(), links);
    }
    if let Some(status) = edit.status {
        stored.data.insert("status".to_owned(), json!(status));
    }
    Ok(())
}

fn user_deletes(state: &mut State, account: &str, id: &str) -> bool {
    state.next();
    let gone = state.account(account).contacts.remove(id).is_some();
    if gone {
        webhooks::tell(state, account, "contact.deleted", id);
    }
    gone
}

fn company(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    state.account(account);
    let id = companies::create(state, account, body)?;
    webhooks::tell(state, account, "company.added", &id);
    Ok(id)
}

fn company_changes(state: &mut State, account: &str, id: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    companies::change(state, account, id, body)?;
    webhooks::tell(state, account, "company.updated", id);
    state.next();
    Ok(())
}

fn define(state: &mut State, account: &str, mut definition: Map<String, Value>) -> String {
    let id = state.uuid();
    for (name, value) in
        [("context", json!("contact")), ("group", json!("General")), ("required", json!(false)), ("id", json!(id))]
    {
        definition.entry(name).or_insert(value);
    }
    let id = definition["id"].as_str().unwrap_or_default().to_owned();
    state.account(account).definitions.push(Value::Object(definition));
    id
}

fn revoke(state: &mut State, account: &str) {
    state.next();
    state.access.retain(|_, grant| grant.account != account);
    state.refresh.retain(|_, grant| grant.account != account);
}

impl FakeTeamleader {
    /// The user makes a contact; its id.
    ///
    /// # Panics
    /// Where Teamleader would refuse it.
    pub fn user_creates(&self, account: &str, edit: Edit) -> String {
        user_creates(&mut self.now(), account, edit).map_err(|r| r.title).expect("a contact that Teamleader takes")
    }

    /// The user edits a contact.
    ///
    /// # Panics
    /// Where it does not exist or Teamleader would refuse the edit.
    pub fn user_edits(&self, account: &str, id: &str, edit: Edit) {
        user_edits(&mut self.now(), account, id, edit).map_err(|r| r.title).expect("an edit that Teamleader takes");
    }

    /// The user deletes a contact; whether it was there.
    pub fn user_deletes(&self, account: &str, id: &str) -> bool {
        user_deletes(&mut self.now(), account, id)
    }

    /// The user makes a company (members as `companies.add` takes them); its id.
    ///
    /// # Panics
    /// Where Teamleader would refuse it.
    pub fn user_creates_company(&self, account: &str, body: &Map<String, Value>) -> String {
        company(&mut self.now(), account, body).map_err(|r| r.title).expect("a company that Teamleader takes")
    }

    /// The user edits a company.
    ///
    /// # Panics
    /// Where it does not exist or Teamleader would refuse the edit.
    pub fn user_edits_company(&self, account: &str, id: &str, body: &Map<String, Value>) {
        company_changes(&mut self.now(), account, id, body).map_err(|r| r.title).expect("a company that exists");
    }

    /// The account's first user makes (`POST`), changes (`PATCH`), completes (`PUT`) or deletes (`DELETE`) a `call`, a `task`
    /// or an `event` (members as Teamleader takes them; `id` is empty for a new one); the id of a new one.
    ///
    /// # Panics
    /// Where Teamleader would refuse it.
    pub fn user_plans(
        &self,
        account: &str,
        method: &str,
        kind: &str,
        id: &str,
        activity: &Map<String, Value>,
    ) -> String {
        let order = Order { kind: kind.to_owned(), id: id.to_owned(), activity: activity.clone(), ..Order::default() };
        let done = user_plans(&mut self.now(), account, method, &order).map_err(|r| r.title);
        let id = done.expect("something that Teamleader takes")["id"].clone();
        id.as_str().unwrap_or_default().to_owned()
    }

    /// The account has one more activity type, as older accounts have; its id.
    pub fn user_names_type(&self, account: &str, name: &str) -> String {
        events::user_names(&mut self.now(), account, name)
    }

    /// The user defines a custom field (members as `customFieldDefinitions.list` shows them); its id.
    pub fn user_defines(&self, account: &str, definition: Map<String, Value>) -> String {
        define(&mut self.now(), account, definition)
    }

    /// What the connected user may do from now on.
    pub fn allow(&self, account: &str, right: Right) {
        self.now().account(account).right = right;
    }

    /// Contacts, companies, custom fields and tags of an account, in wire form.
    pub fn state(&self, account: &str) -> Value {
        state_of(&self.now(), account)
    }

    /// These faults meet the next calls, one each.
    pub fn inject(&self, faults: &[Fault]) {
        let waiting = faults.iter().map(|fault| Waiting { fault: *fault, on: Vec::new(), after: 0 });
        self.now().faults.extend(waiting);
    }

    /// This fault meets the next call of one of these methods.
    pub fn inject_on(&self, fault: Fault, methods: &[&str]) {
        let on = methods.iter().map(|method| (*method).to_owned()).collect();
        self.now().faults.push(Waiting { fault, on, after: 0 });
    }

    /// The user takes the grant back.
    pub fn revoke(&self, account: &str) {
        revoke(&mut self.now(), account);
    }

    /// Changes how the provider behaves.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.now().settings);
    }

    /// Calls so far, as (method, number of contacts or companies written).
    pub fn calls(&self) -> Vec<(String, usize)> {
        self.now().calls.iter().map(|call| (call.method.clone(), call.writes)).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.now().calls.clear();
    }
}
