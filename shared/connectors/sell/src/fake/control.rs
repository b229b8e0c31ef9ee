//! What a test or a person does behind the connector's back: under `/_sim/sell/`, and as methods of [`FakeSell`].
use super::state::{Fault, Sees, Settings, State, Who};
use super::{Answer, Asked, FakeSell, Refusal, core, documents, others, stream};
use serde_json::{Value as Json, json};

pub(super) fn answer(state: &mut State, asked: &Asked, rest: &str) -> Answer {
    let body = asked.json()?;
    match (asked.method.as_str(), rest) {
        ("POST", "reset") => *state = State { now_ms: state.now_ms, seq: state.seq + 1, ..State::default() },
        ("POST", "faults") => state.faults.extend(parsed::<Vec<Fault>>(body["faults"].clone())?),
        ("POST", "advance-clock") => {
            let seconds = body["seconds"].as_i64().ok_or_else(|| Refusal::new(400, "invalid_payload"))?;
            state.settings.clock_offset_ms += seconds * 1_000;
        }
        ("POST", "settings") => {
            let mut all = json!(state.settings);
            if let (Some(all), Some(some)) = (all.as_object_mut(), body.as_object()) {
                all.extend(some.clone());
            }
            state.settings = parsed::<Settings>(all)?;
        }
        ("GET", "calls") => return Ok((200, json!({"calls": state.calls}))),
        ("DELETE", "calls") => state.calls.clear(),
        _ => return of_account(state, asked, rest, &body),
    }
    state.next();
    Ok((200, json!({})))
}

/// Orders about one account, by the address of one of its users.
fn of_account(state: &mut State, asked: &Asked, rest: &str, body: &Json) -> Answer {
    let email = body["account"].as_str().or(asked.one("account")).unwrap_or("demo@example.com").to_owned();
    let who = state.who(&email);
    let id = body["id"].to_string();
    match (asked.method.as_str(), rest) {
        ("POST", "accounts") => return Ok((200, json!({"token": state.mint(&email), "user": who.user}))),
        ("POST", "users") => return user(state, &who, body),
        ("POST", "contacts") => return core::create(state, &who, body),
        ("PATCH", "contacts") => return core::update(state, &who, &id, body),
        ("DELETE", "contacts") => return core::delete(state, &who, &id).map(|_| (200, json!({}))),
        (method @ ("POST" | "PATCH" | "DELETE"), "appointments") => {
            let done = stream::order(state, &who, method, body)?;
            state.next();
            return Ok(done);
        }
        (method @ ("POST" | "PATCH" | "DELETE"), "documents") => {
            let done = documents::order(state, &who, method, body)?;
            state.next();
            return Ok(done);
        }
        ("PATCH" | "DELETE", "tasks") => {
            let kind = others::kind(rest).ok_or_else(Refusal::missing)?;
            let id = body["id"].as_u64().ok_or_else(|| Refusal::of_parameter("id"))?;
            return match asked.method.as_str() {
                "PATCH" => others::change(state, &who, kind, id, body),
                _ => others::delete(state, &who, kind, id).map(|_| (200, json!({}))),
            };
        }
        ("POST", "leads" | "deals" | "notes" | "tasks") => {
            let kind = others::kind(rest).ok_or_else(Refusal::missing)?;
            return others::answer(state, &who, asked, kind, None);
        }
        ("POST", "custom-fields") => state.account(&who.account).custom.push(body["field"].clone()),
        ("POST", "expire-sessions") => state.account(&who.account).sessions.clear(),
        // The events are numbered anew: no position of before is one.
        ("POST", "renumber-stream") => state.account(&who.account).forgotten += 1_000_000,
        ("POST", "revoke") => {
            state.access.retain(|_, grant| grant.email != email);
            state.refresh.retain(|_, grant| grant.email != email);
        }
        ("GET", "state") => {
            let held = state.account(&who.account);
            let others = held.others.values().map(|other| json!({"kind": other.kind, "data": other.data}));
            let appointments = held.appointments.values().map(|one| json!(one.data));
            return Ok((
                200,
                json!({"contacts": held.contacts, "others": others.collect::<Vec<_>>(),
                "appointments": appointments.collect::<Vec<_>>()}),
            ));
        }
        _ => return Err(Refusal::missing()),
    }
    state.next();
    Ok((200, json!({})))
}

/// One more user of this account, who sees `all` or their `own`.
fn user(state: &mut State, who: &Who, body: &Json) -> Answer {
    let email = body["user"].as_str().ok_or_else(|| Refusal::new(400, "invalid_payload"))?;
    let sees = parsed::<Sees>(body["sees"].clone())?;
    let added = state.add_user(&who.account, email, sees);
    Ok((200, json!({"token": state.mint(email), "user": added.user})))
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
