//! Tasks API v1: task lists and their tasks, deleted ones as long as the provider lives.
//!
//! No precondition is heeded, as none is documented. A list's first page is of twenty tasks unless more are asked for.
use super::state::{Call, Fault, State};
use super::{Asked, Refusal, json_response, schema};
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const PAGE: usize = 20;
const MOST: usize = 100;
/// Most characters of a title and of notes.
const LONGEST: [(&str, usize); 2] = [("title", 1_024), ("notes", 8_192)];
/// What a request may not set: the server's own.
const OURS: [&str; 10] =
    ["id", "etag", "kind", "updated", "selfLink", "webViewLink", "position", "parent", "links", "hidden"];

#[derive(Clone, Default, Serialize, Deserialize)]
struct List {
    title: String,
    tasks: BTreeMap<String, Map<String, Value>>,
}

/// Task lists by account and id; the first one of an account is its default.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::fake) struct World {
    lists: BTreeMap<String, BTreeMap<String, List>>,
    /// Page token → (account, what is skipped).
    pages: BTreeMap<String, (String, usize)>,
}

pub(super) fn is_asked(asked: &Asked) -> bool {
    asked.path.starts_with("/tasks/v1/")
}

/// `None`: the connection broke.
pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    state.log(Call { method: asked.method.to_string(), path: asked.path.clone(), writes: 0 });
    // Of an update, the reading before it goes well: what matters is the answer to the write itself.
    let waits = state.faults.first() == Some(&Fault::LoseAnswer) && asked.method == http::Method::GET;
    match if waits { None } else { state.take_fault() } {
        Some(Fault::LoseRequest) => return None,
        Some(Fault::LoseAnswer) => {
            drop(handled(state, asked));
            return None;
        }
        Some(Fault::Pass) | None => {}
        Some(Fault::Throttle { retry_after }) => {
            let refusal = Refusal::new(403, "PERMISSION_DENIED", "Rate Limit Exceeded").because("rateLimitExceeded");
            return Some(Refusal { retry_after, ..refusal }.into_response());
        }
        Some(fault) => return Some(fault.refusal().into_response()),
    }
    Some(match handled(state, asked) {
        Ok(Value::Null) => Response::builder().status(204).body(Bytes::new()).expect("a status in range"),
        Ok(body) => json_response(200, &body),
        Err(refusal) => refusal.into_response(),
    })
}

fn handled(state: &mut State, asked: &Asked) -> super::Answer {
    let grant = state.grant(asked.bearer())?.clone();
    let path: Vec<String> = asked.path.trim_start_matches("/tasks/v1/").split('/').map(str::to_owned).collect();
    let method = schema::method_at(schema::tasks(), asked.method.as_str(), &path).ok_or_else(Refusal::missing)?;
    if !method.allows(&grant.scopes) {
        return Err(Fault::Forbidden.refusal());
    }
    method.check_query(&asked.query)?;
    let body = asked.json()?;
    method.check_body(&body)?;
    let account = grant.account.as_str();
    ensure(state, account);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["users", "@me", "lists"]) => lists(state, account),
        ("GET", ["users", "@me", "lists", list]) => {
            let list = of(state, account, list)?;
            let (id, held) = (list.clone(), &state.tasks.lists[account][&list]);
            Ok(json!({"kind": "tasks#taskList", "id": id, "title": held.title, "etag": "\"list\""}))
        }
        ("GET", ["lists", list, "tasks"]) => page(state, account, list, asked),
        ("POST", ["lists", list, "tasks"]) => insert(state, account, list, &body),
        ("GET", ["lists", list, "tasks", task]) => {
            let list = of(state, account, list)?;
            state.tasks.lists[account][&list].tasks.get(*task).cloned().map(Value::Object).ok_or_else(Refusal::missing)
        }
        ("PATCH", ["lists", list, "tasks", task]) => change(state, account, (list, task), &body),
        ("DELETE", ["lists", list, "tasks", task]) => delete(state, account, list, task),
        _ => Err(Refusal::missing()),
    }
}

fn ensure(state: &mut State, account: &str) {
    if !state.tasks.lists.contains_key(account) {
        let id = format!("MTc{}", state.next());
        let first = List { title: "My Tasks".to_owned(), tasks: BTreeMap::new() };
        state.tasks.lists.insert(account.to_owned(), BTreeMap::from([(id, first)]));
    }
}

/// The id of a list; `@default` is the account's first one.
fn of(state: &State, account: &str, list: &str) -> Result<String, Refusal> {
    let held = state.tasks.lists.get(account).ok_or_else(Refusal::missing)?;
    let found = if list == "@default" { held.keys().next() } else { held.keys().find(|id| *id == list) };
    found.cloned().ok_or_else(Refusal::missing)
}

fn lists(state: &State, account: &str) -> super::Answer {
    let shown = |(id, list): (&String, &List)| json!({"kind": "tasks#taskList", "id": id, "title": list.title, "etag": "\"list\""});
    Ok(json!({"kind": "tasks#taskLists", "items": state.tasks.lists[account].iter().map(shown).collect::<Vec<_>>()}))
}

fn flag(task: &Map<String, Value>, name: &str) -> bool {
    task.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn page(state: &mut State, account: &str, list: &str, asked: &Asked) -> super::Answer {
    let list = of(state, account, list)?;
    let size = asked.one("maxResults").map_or(Ok(PAGE), str::parse).unwrap_or_default();
    if !(1..=MOST).contains(&size) {
        return Err(Refusal::invalid("Invalid value for: maxResults"));
    }
    let wrong = |_| Refusal::invalid("Invalid value for: updatedMin");
    let since = asked.one("updatedMin").map(|text| text.parse::<jiff::Timestamp>().map_err(wrong)).transpose()?;
    let skip = match asked.one("pageToken") {
        None => 0,
        Some(token) => match state.tasks.pages.get(token).filter(|(of, _)| of == account) {
            Some((_, skip)) => *skip,
            None => return Err(Refusal::invalid("Invalid page token.")),
        },
    };
    let is = |name: &str, usual: bool| asked.one(name).map_or(usual, |text| text == "true");
    let (deleted, hidden, completed) = (is("showDeleted", false), is("showHidden", false), is("showCompleted", true));
    let wanted = |task: &&Map<String, Value>| {
        let updated = super::text_of(task, "updated").parse::<jiff::Timestamp>().ok();
        since.is_none_or(|since| updated.is_some_and(|at| at >= since))
            && (deleted || !flag(task, "deleted"))
            && (hidden || !flag(task, "hidden"))
            && (completed || super::text_of(task, "status") != "completed")
    };
    let all: Vec<Map<String, Value>> =
        state.tasks.lists[account][&list].tasks.values().filter(wanted).cloned().collect();
    let mut body = json!({"kind": "tasks#tasks", "etag": "\"page\""});
    let items: Vec<&Map<String, Value>> = all.iter().skip(skip).take(size).collect();
    if !items.is_empty() {
        body["items"] = json!(items);
    }
    if all.len() > skip + size {
        let token = format!("page-{}", state.next());
        body["nextPageToken"] = json!(token);
        state.tasks.pages.insert(token, (account.to_owned(), skip + size));
    }
    Ok(body)
}

fn check(body: &Value) -> Result<(), Refusal> {
    for (name, most) in LONGEST {
        if body[name].as_str().is_some_and(|text| text.chars().count() > most) {
            return Err(Refusal::invalid(format!("Invalid value for: {name}")));
        }
    }
    let status = body.get("status").filter(|status| !status.is_null());
    if status.is_some_and(|status| *status != "completed" && *status != "needsAction") {
        return Err(Refusal::invalid("Invalid value for: status"));
    }
    Ok(())
}

fn insert(state: &mut State, account: &str, list: &str, body: &Value) -> super::Answer {
    let list = of(state, account, list)?;
    let id = format!("dGFzay{:08}", state.next());
    let fresh = json!({
        "kind": "tasks#task", "id": id, "title": "", "status": "needsAction", "position": format!("{:020}", state.seq),
        "selfLink": format!("https://www.googleapis.com/tasks/v1/lists/{list}/tasks/{id}"),
    });
    put(state, account, (&list, &id), fresh.as_object().cloned().unwrap_or_default(), body)
}

fn change(state: &mut State, account: &str, (list, task): (&str, &str), body: &Value) -> super::Answer {
    let list = of(state, account, list)?;
    let held = state.tasks.lists[account][&list].tasks.get(task).cloned().ok_or_else(Refusal::missing)?;
    if flag(&held, "deleted") {
        return Err(Refusal::missing());
    }
    put(state, account, (&list, task), held, body)
}

/// A day is kept of `due`, and the time of completion follows the status.
fn put(
    state: &mut State,
    account: &str,
    (list, id): (&str, &str),
    mut task: Map<String, Value>,
    body: &Value,
) -> super::Answer {
    check(body)?;
    let now = jiff::Timestamp::from_millisecond(state.now_ms).unwrap_or_default();
    let now = now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    for (name, value) in body.as_object().into_iter().flatten().filter(|(name, _)| !OURS.contains(&name.as_str())) {
        match (name.as_str(), value.as_str()) {
            (_, None) if value.is_null() => drop(task.remove(name)),
            ("due", Some(due)) => {
                let wrong = |_| Refusal::invalid("Invalid value for: due");
                let day = due.parse::<jiff::Timestamp>().map_err(wrong)?.strftime("%Y-%m-%dT00:00:00.000Z").to_string();
                task.insert("due".to_owned(), json!(day));
            }
            _ => drop(task.insert(name.clone(), value.clone())),
        }
    }
    if super::text_of(&task, "status") == "completed" {
        task.entry("completed").or_insert_with(|| json!(now));
    } else {
        task.remove("completed");
        task.remove("hidden");
    }
    task.insert("updated".to_owned(), json!(now));
    task.insert("etag".to_owned(), json!(format!("\"{}\"", state.next())));
    state.wrote(1);
    let shown = Value::Object(task.clone());
    let held = state.tasks.lists.get_mut(account).and_then(|all| all.get_mut(list)).ok_or_else(Refusal::missing)?;
    held.tasks.insert(id.to_owned(), task);
    Ok(shown)
}

fn delete(state: &mut State, account: &str, list: &str, task: &str) -> super::Answer {
    change(state, account, (list, task), &json!({"deleted": true}))?;
    Ok(Value::Null)
}

/// What a person does in the app, beside the API: nothing of it is checked against a scope or counted.
fn by_hand(state: &mut State, account: &str, work: impl FnOnce(&mut State, &str) -> super::Answer) -> super::Answer {
    state.account(account);
    ensure(state, account);
    let calls = std::mem::take(&mut state.calls);
    let list = of(state, account, "@default")?;
    let done = work(state, &list);
    state.calls = calls;
    done
}

impl super::FakeGoogle {
    /// The user makes a task in the default list; its id.
    ///
    /// # Panics
    /// Where Google would refuse it.
    pub fn user_makes_task(&self, account: &str, task: &Value) -> String {
        let made = by_hand(&mut self.now(), account, |state, list| insert(state, account, list, task));
        let made = made.map_err(|refusal| refusal.message).expect("a task that Google takes");
        made["id"].as_str().unwrap_or_default().to_owned()
    }

    /// The user changes a task of the default list (`null` empties). What is completed in the app is hidden.
    ///
    /// # Panics
    /// Where Google would refuse it.
    pub fn user_edits_task(&self, account: &str, id: &str, task: &Value) {
        let done = by_hand(&mut self.now(), account, |state, list| {
            change(state, account, (list, id), task)?;
            let held = state.tasks.lists.get_mut(account).and_then(|all| all.get_mut(list)?.tasks.get_mut(id));
            if let Some(held) = held.filter(|held| super::text_of(held, "status") == "completed") {
                held.insert("hidden".to_owned(), json!(true));
            }
            // What only the app and other products set.
            if let (Some(held), Some(links)) = (
                state.tasks.lists.get_mut(account).and_then(|all| all.get_mut(list)?.tasks.get_mut(id)),
                task.get("links"),
            ) {
                held.insert("links".to_owned(), links.clone());
            }
            Ok(Value::Null)
        });
        done.map_err(|refusal| refusal.message).expect("an edit that Google takes");
    }

    /// The user deletes a task of the default list.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn user_deletes_task(&self, account: &str, id: &str) {
        let done = by_hand(&mut self.now(), account, |state, list| delete(state, account, list, id));
        done.map_err(|refusal| refusal.message).expect("a task that is there");
    }

    /// The user deletes a task list: the chosen one of another sync is gone.
    pub fn user_deletes_task_list(&self, account: &str, list: &str) {
        if let Some(held) = self.now().tasks.lists.get_mut(account) {
            held.remove(list);
        }
    }

    /// The user makes a task list; its id.
    pub fn user_makes_task_list(&self, account: &str, title: &str) -> String {
        let mut state = self.now();
        ensure(&mut state, account);
        let id = format!("OTk{}", state.next());
        let list = List { title: title.to_owned(), tasks: BTreeMap::new() };
        state.tasks.lists.entry(account.to_owned()).or_default().insert(id.clone(), list);
        id
    }

    /// The living tasks of the default list, as Google holds them.
    pub fn tasks(&self, account: &str) -> Vec<Value> {
        let mut state = self.now();
        ensure(&mut state, account);
        let Ok(list) = of(&state, account, "@default") else { return Vec::new() };
        let all = state.tasks.lists[account][&list].tasks.values();
        all.filter(|task| !flag(task, "deleted")).cloned().map(Value::Object).collect()
    }
}
