//! The control plane: what a test or a person does behind the connector's back. Over HTTP under `/_sim/zoho/`, and as
//! methods of [`FakeZoho`](super::FakeZoho).
use super::state::{Fault, FieldDef, Profile, Settings, State, View};
use super::{Answer, Asked, FakeZoho, Refusal, attachments, writes};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Order {
    account: String,
    name: String,
    role: String,
    above: String,
    profile: String,
    module: String,
    id: String,
    /// `RECORD_LOCKED` or `RECORD_IN_BLUEPRINT`; empty unlocks.
    lock: String,
    kind: String,
    records: Vec<Map<String, Value>>,
    fields: Map<String, Value>,
    field: Option<FieldDef>,
    criteria: Value,
    denied: BTreeSet<String>,
    text: String,
    url: Option<String>,
    faults: Vec<Fault>,
    seconds: i64,
}

impl Order {
    fn module(&self) -> &str {
        if self.module.is_empty() { "Contacts" } else { &self.module }
    }
}

pub(super) fn answer(state: &mut State, asked: &Asked, rest: &str) -> Answer {
    let body = asked.json()?;
    if (asked.method.as_str(), rest) == ("POST", "settings") {
        return change_settings(state, &body);
    }
    let order: Order = serde_json::from_value(body).map_err(|_| Refusal::new(400, "INVALID_DATA", "not understood"))?;
    let account = order.account.clone();
    let body = match (asked.method.as_str(), rest) {
        ("POST", "reset") => {
            *state = State { now_ms: state.now_ms, seq: state.seq + 1, ..State::default() };
            json!({})
        }
        ("POST", "accounts") => make_user(state, &order),
        ("POST", "roles") => {
            state.roles.insert(order.role, order.above);
            json!({"roles": state.roles})
        }
        ("POST", "profiles") => json!({"id": make_profile(state, &order.name, order.denied)}),
        ("POST", "fields") => {
            let module = order.module().to_owned();
            let field = order.field.ok_or_else(|| Refusal::parameter("field"))?;
            make_field(state, &module, field);
            json!({})
        }
        ("POST", "views") => json!({"id": make_view(state, &order.name, &order.module, order.criteria)}),
        ("DELETE", "views") => {
            state.views.retain(|view| view.id != order.id);
            json!({})
        }
        ("POST", "records") => {
            let module = order.module().to_owned();
            let made = order.records.into_iter().map(|record| make_record(state, &account, &module, record));
            json!({"ids": made.collect::<Result<Vec<_>, _>>()?})
        }
        ("PATCH", "records") => {
            edit(state, &account, order.module(), &order.id, order.fields.clone())?;
            json!({})
        }
        ("DELETE", "records") => {
            let kind = if order.kind.is_empty() { "recycle" } else { order.kind.as_str() };
            json!({"deleted": remove(state, &account, order.module(), &order.id, kind)})
        }
        ("POST" | "DELETE", "attachments") => attach_or_detach(state, asked, &order)?,
        ("POST", "restore") => json!({"restored": restore(state, order.module(), &order.id)}),
        ("POST", "lock") => json!({"locked": lock(state, order.module(), &order.id, &order.lock)}),
        ("POST", "faults") => {
            state.faults.extend(order.faults);
            json!({"waiting": state.faults.len()})
        }
        ("POST", "revoke") => {
            revoke(state, &account);
            json!({})
        }
        ("POST", "expire-cursors") => {
            state.tokens.clear();
            json!({})
        }
        ("POST", "advance-clock") => {
            state.settings.clock_offset_ms += order.seconds * 1000;
            json!({})
        }
        ("DELETE", "calls") => {
            state.calls.clear();
            json!({})
        }
        ("GET", what) => return look(state, asked, what),
        _ => return Err(Refusal::no_such_address()),
    };
    state.next();
    Ok((200, body))
}

fn attach_or_detach(state: &mut State, asked: &Asked, order: &Order) -> Result<Value, Refusal> {
    if asked.method == "DELETE" {
        let gone = state.attachments.remove(&order.id.parse().unwrap_or_default());
        return Ok(json!({"deleted": gone.is_some()}));
    }
    let file = (order.name.as_str(), order.url.as_deref(), order.text.clone().into());
    Ok(json!({"id": attachments::attach(state, &order.account, (order.module(), &order.id), file)?}))
}

/// What changes nothing.
fn look(state: &State, asked: &Asked, what: &str) -> Answer {
    let body = match what {
        "accounts" => json!({"accounts": state.users.keys().collect::<Vec<_>>()}),
        "settings" => json!(state.settings),
        "state" => state_of(state, asked.one("module").unwrap_or("Contacts")),
        "calls" => json!({"calls": state.calls}),
        "mails" => json!({"mails": state.mails}),
        "attachments" => {
            let shown = |one: attachments::AttachmentView| {
                json!({"id": one.id, "module": one.record.0, "record": one.record.1, "name": one.name,
                       "text": String::from_utf8_lossy(&one.bytes)})
            };
            json!({"attachments": attachments::all(state).into_iter().map(shown).collect::<Vec<_>>()})
        }
        _ => return Err(Refusal::no_such_address()),
    };
    Ok((200, body))
}

/// Settings that are left out stay as they are.
fn change_settings(state: &mut State, body: &Value) -> Answer {
    let mut all = json!(state.settings);
    if let (Some(all), Some(some)) = (all.as_object_mut(), body.as_object()) {
        all.extend(some.clone());
    }
    state.settings = serde_json::from_value(all).map_err(|_| Refusal::new(400, "INVALID_DATA", "not understood"))?;
    state.next();
    Ok((200, json!(state.settings)))
}

fn make_user(state: &mut State, order: &Order) -> Value {
    let user = state.user(&order.account);
    for (part, value) in
        [(&mut user.name, &order.name), (&mut user.role, &order.role), (&mut user.profile, &order.profile)]
    {
        if !value.is_empty() {
            part.clone_from(value);
        }
    }
    let id = user.id.clone();
    json!({"email": order.account, "id": id, "token": state.mint(&order.account)})
}

fn make_profile(state: &mut State, name: &str, denied: BTreeSet<String>) -> String {
    let id = state.next_id().to_string();
    state.profiles.insert(id.clone(), Profile { name: name.to_owned(), denied });
    id
}

fn make_field(state: &mut State, module: &str, field: FieldDef) {
    let field =
        FieldDef { label: if field.label.is_empty() { field.api_name.clone() } else { field.label.clone() }, ..field };
    let fields = state.fields.entry(module.to_owned()).or_default();
    fields.retain(|known| known.api_name != field.api_name);
    fields.push(field);
}

fn make_view(state: &mut State, name: &str, module: &str, criteria: Value) -> String {
    let module = if module.is_empty() { "Contacts" } else { module };
    let id = state.next_id().to_string();
    state.views.push(View { id: id.clone(), name: name.to_owned(), module: module.to_owned(), criteria });
    id
}

fn make_record(state: &mut State, account: &str, module: &str, record: Map<String, Value>) -> Result<String, Refusal> {
    state.user(account);
    // A person's work is no call of the connector's.
    let calls = std::mem::take(&mut state.calls);
    let made = writes::create(state, account, module, (0, record));
    state.calls = calls;
    made.map(|id| id.to_string())
}

fn edit(state: &mut State, account: &str, module: &str, id: &str, fields: Map<String, Value>) -> Result<(), Refusal> {
    let mut record = fields;
    record.insert("id".to_owned(), json!(id));
    let calls = std::mem::take(&mut state.calls);
    let changed = writes::change(state, account, module, (0, record));
    state.calls = calls;
    changed.map(|_| ())
}

fn remove(state: &mut State, account: &str, module: &str, id: &str, kind: &str) -> bool {
    let found = state.live(account, module, id).map(|(id, _)| id);
    let calls = std::mem::take(&mut state.calls);
    if let Some(id) = found {
        writes::bury(state, account, module, id, kind);
    }
    state.calls = calls;
    found.is_some()
}

fn stored<'a>(state: &'a mut State, module: &str, id: &str) -> Option<&'a mut super::state::Stored> {
    state.records.get_mut(module)?.get_mut(&id.parse().ok()?)
}

/// Out of the recycle bin. Zoho counts that as a change.
fn restore(state: &mut State, module: &str, id: &str) -> bool {
    let now = state.now_ms;
    let Some(record) = stored(state, module, id) else { return false };
    if record.deleted.as_ref().is_none_or(|gone| gone.kind != "recycle") {
        return false;
    }
    (record.deleted, record.modified_ms) = (None, now);
    true
}

fn lock(state: &mut State, module: &str, id: &str, code: &str) -> bool {
    let Some(record) = stored(state, module, id) else { return false };
    record.locked = Some(code.to_owned()).filter(|code| !code.is_empty());
    true
}

fn revoke(state: &mut State, account: &str) {
    state.access.retain(|_, grant| grant.account != account);
    state.refresh.retain(|_, grant| grant.account != account);
}

fn state_of(state: &State, module: &str) -> Value {
    let shown = |(id, stored): (&u64, &super::state::Stored)| {
        let names = state.fields.get(module).into_iter().flatten().map(|field| field.api_name.clone());
        let mut record: Map<String, Value> =
            names.map(|name| (name.clone(), state.value(*id, stored, &name))).collect();
        record.insert("id".to_owned(), json!(id.to_string()));
        Value::Object(record)
    };
    let live = state.module(module).filter(|(_, stored)| stored.deleted.is_none());
    json!({"records": live.map(shown).collect::<Vec<_>>()})
}

impl FakeZoho {
    /// A user of the organisation with this role and (where given) profile.
    pub fn user(&self, account: &str, role: &str, profile: Option<&str>) {
        let mut state = self.now();
        let user = state.user(account);
        role.clone_into(&mut user.role);
        if let Some(profile) = profile {
            profile.clone_into(&mut user.profile);
        }
    }

    /// A profile that lacks these permissions, by name; its id.
    pub fn profile(&self, name: &str, denied: &[&str]) -> String {
        make_profile(&mut self.now(), name, denied.iter().map(|name| (*name).to_owned()).collect())
    }

    /// A custom field of contacts: `{"api_name", "data_type", "length", "values", "custom", "mandatory"}`.
    ///
    /// # Panics
    /// Where it is no such description.
    pub fn field(&self, field: Value) {
        let field = serde_json::from_value(field).expect("a description of a field");
        make_field(&mut self.now(), "Contacts", field);
    }

    /// A list view of contacts with Zoho's criteria; its id.
    pub fn view(&self, name: &str, criteria: Value) -> String {
        make_view(&mut self.now(), name, "Contacts", criteria)
    }

    /// Somebody deletes a list view.
    pub fn delete_view(&self, id: &str) {
        self.now().views.retain(|view| view.id != id);
    }

    /// The user makes a record; its id.
    ///
    /// # Panics
    /// Where Zoho would refuse it.
    pub fn user_creates(&self, account: &str, module: &str, record: Value) -> String {
        let record = record.as_object().cloned().unwrap_or_default();
        let made = make_record(&mut self.now(), account, module, record);
        made.map_err(|refusal| refusal.body().to_string()).expect("a record that Zoho takes")
    }

    /// The user edits a contact.
    ///
    /// # Panics
    /// Where Zoho would refuse it.
    pub fn user_edits(&self, account: &str, id: &str, fields: Value) {
        let fields = fields.as_object().cloned().unwrap_or_default();
        let done = edit(&mut self.now(), account, "Contacts", id, fields);
        done.map_err(|refusal| refusal.body().to_string()).expect("an edit that Zoho takes");
    }

    /// The user deletes a contact into the recycle bin; whether it was there.
    pub fn user_deletes(&self, account: &str, id: &str) -> bool {
        remove(&mut self.now(), account, "Contacts", id, "recycle")
    }

    /// The user edits a record of this module.
    ///
    /// # Panics
    /// Where Zoho would refuse it.
    pub fn user_edits_in(&self, account: &str, module: &str, id: &str, fields: Value) {
        let fields = fields.as_object().cloned().unwrap_or_default();
        let done = edit(&mut self.now(), account, module, id, fields);
        done.map_err(|refusal| refusal.body().to_string()).expect("an edit that Zoho takes");
    }

    /// The user deletes a record of this module into the recycle bin; whether it was there.
    pub fn user_deletes_from(&self, account: &str, module: &str, id: &str) -> bool {
        remove(&mut self.now(), account, module, id, "recycle")
    }

    /// How many mails participants of events were sent.
    pub fn mails(&self) -> usize {
        self.now().mails
    }

    /// The user takes a contact out of the recycle bin; whether it was in it.
    pub fn user_restores(&self, id: &str) -> bool {
        restore(&mut self.now(), "Contacts", id)
    }

    /// A contact is locked (`RECORD_LOCKED`, `RECORD_IN_BLUEPRINT`) or, with "", unlocked.
    pub fn lock(&self, id: &str, code: &str) -> bool {
        lock(&mut self.now(), "Contacts", id, code)
    }

    /// The records of a module, with all fields.
    pub fn state(&self, module: &str) -> Value {
        state_of(&self.now(), module)
    }

    /// These faults meet the next calls, one each.
    pub fn inject(&self, faults: &[Fault]) {
        self.now().faults.extend_from_slice(faults);
    }

    /// This fault meets the call after so many further ones, and replaces those that still wait.
    pub fn inject_after(&self, after: usize, fault: Fault) {
        let passes = std::iter::repeat_n(Fault::Pass, after);
        self.now().faults = passes.chain([fault]).collect();
    }

    /// No page token is good any more.
    pub fn expire_tokens(&self) {
        self.now().tokens.clear();
    }

    /// The user takes the grant back.
    pub fn revoke(&self, account: &str) {
        revoke(&mut self.now(), account);
    }

    /// Changes how the provider behaves.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.now().settings);
    }

    /// Calls so far are forgotten.
    pub fn forget_calls(&self) {
        self.now().calls.clear();
    }

    /// Calls so far, as (method, path, number of records written).
    pub fn calls(&self) -> Vec<(String, String, usize)> {
        self.now().calls.iter().map(|call| (call.method.clone(), call.path.clone(), call.writes)).collect()
    }
}
