//! What a test or a person does behind the connector's back: under `/_sim/sell/`, and as methods of [`FakeSell`].
use super::state::{Fault, Settings, State};
use super::{Answer, Asked, FakeSell, Refusal, core};
use serde_json::{Value as Json, json};

pub(super) fn answer(state: &mut State, asked: &Asked, rest: &str) -> Answer {
    let body = asked.json()?;
    let account = body["account"].as_str().or(asked.one("account")).unwrap_or("demo@example.com").to_owned();
    let id = body["id"].to_string();
    match (asked.method.as_str(), rest) {
        ("POST", "reset") => *state = State { now_ms: state.now_ms, seq: state.seq + 1, ..State::default() },
        ("POST", "accounts") => return Ok((200, json!({"token": state.mint(&account)}))),
        ("POST", "contacts") => return core::create(state, &account, &body),
        ("PATCH", "contacts") => return core::update(state, &account, &id, &body),
        ("DELETE", "contacts") => return core::delete(state, &account, &id).map(|_| (200, json!({}))),
        ("POST", "custom-fields") => state.account(&account).custom.push(body["field"].clone()),
        ("POST", "faults") => state.faults.extend(parsed::<Vec<Fault>>(body["faults"].clone())?),
        ("POST", "expire-sessions") => state.account(&account).sessions.clear(),
        ("POST", "revoke") => state.access.retain(|_, grant| grant.account != account),
        ("POST", "settings") => {
            let mut all = json!(state.settings);
            if let (Some(all), Some(some)) = (all.as_object_mut(), body.as_object()) {
                all.extend(some.clone());
            }
            state.settings = parsed::<Settings>(all)?;
        }
        ("GET", "state") => return Ok((200, json!({"contacts": state.account(&account).contacts}))),
        ("GET", "calls") => return Ok((200, json!({"calls": state.calls}))),
        ("DELETE", "calls") => state.calls.clear(),
        _ => return Err(Refusal::missing()),
    }
    state.next();
    Ok((200, json!({})))
}

fn parsed<T: serde::de::DeserializeOwned>(value: Json) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|_| Refusal::new(400, "invalid_payload"))
}

impl FakeSell {
    /// The user does something: an order of the control plane. Panics where it is refused.
    pub fn order(&self, method: &str, path: &str, body: &Json) -> Json {
        let request = http::Request::builder().method(method).uri(format!("/_sim/sell/{path}"));
        let request = request.body(body.to_string().into()).expect("a request");
        let response = self.handle(request).expect("the control plane answers");
        assert_eq!(response.status(), 200, "{path} is refused");
        serde_json::from_slice(response.body()).expect("the control plane answers JSON")
    }
    /// What goes wrong next.
    pub fn inject(&self, faults: &[Fault]) {
        self.locked().faults.extend(faults);
    }
    /// Changes settings.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.locked().settings);
    }
    /// Every call of the API so far: method, path, records written.
    pub fn calls(&self) -> Vec<(String, String, usize)> {
        self.locked().calls.iter().map(|call| (call.method.clone(), call.path.clone(), call.writes)).collect()
    }
}
