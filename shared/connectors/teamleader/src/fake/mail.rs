//! `emailTracking.*`, `workTypes.list`.
use super::state::{State, shown_time};
use super::{Answer, FakeTeamleader, Refusal, Reply, lists};
use serde_json::{Map, Value, json};

/// What an e-mail can be tracked at.
const SUBJECTS: [&str; 9] =
    ["contact", "company", "deal", "invoice", "creditNote", "subscription", "product", "quotation", "nextgenProject"];

pub(super) fn tracking(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    match action {
        "list" => {
            let subject = body.get("filter").and_then(|filter| filter.get("subject"));
            let subject = subject.ok_or_else(|| Refusal::invalid("filter.subject is mandatory."))?.clone();
            let all = &state.account(account).tracked;
            let rows: Vec<Value> = all.iter().filter(|row| row["subject"] == subject).cloned().collect();
            Ok(lists::paged(state, body, rows, |row| row))
        }
        "create" => {
            let subject = body.get("subject").cloned().unwrap_or_default();
            let kind = subject["type"].as_str().unwrap_or_default();
            if !SUBJECTS.contains(&kind) {
                return Err(Refusal::invalid("subject.type is not a known type."));
            }
            there(state, account, kind, subject["id"].as_str().unwrap_or_default())?;
            let content = mandatory(body, "content")?;
            let attached = attached(state, account, &subject, body)?;
            let (id, now) = (state.uuid(), shown_time(state.now_ms));
            let title = body.get("title").cloned().unwrap_or_default();
            let row = json!({"id": id, "title": title, "content": content, "subject": subject, "added_at": now,
                             "attachments": attached});
            state.account(account).tracked.push(row);
            state.wrote();
            Ok(Reply::Made("emailTracking", id))
        }
        // There is no change and no deletion.
        _ => Err(Refusal::missing()),
    }
}

/// The files of an e-mail, as lists show them: each must be of the same record.
fn attached(
    state: &mut State,
    account: &str,
    subject: &Value,
    body: &Map<String, Value>,
) -> Result<Vec<Value>, Refusal> {
    let wanted = body.get("attachments").and_then(Value::as_array).cloned().unwrap_or_default();
    let files = &state.account(account).files;
    for id in &wanted {
        let file = files.get(id.as_str().unwrap_or_default());
        let here = |(kind, id): &(String, String)| subject["type"] == *kind && subject["id"] == *id;
        if file.is_none_or(|file| !here(&file.subject)) {
            return Err(Refusal::invalid("attachments: all files must have the subject of the e-mail tracking."));
        }
    }
    Ok(wanted.into_iter().map(|id| json!({"type": "file", "id": id})).collect())
}

/// Every account has some; `workTypes.list` shows id and name, by name.
pub(super) fn work_types(state: &mut State, account: &str) -> Vec<Value> {
    let id = state.account(account).account_id.clone();
    vec![json!({"id": format!("wt-{id}"), "name": "Administration"})]
}

pub(super) fn types(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let rows = work_types(state, account);
    Ok(lists::paged(state, body, rows, |row| row))
}

pub(super) fn mandatory(body: &Map<String, Value>, name: &str) -> Result<Value, Refusal> {
    let given = body.get(name).filter(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    given.cloned().ok_or_else(|| Refusal::invalid(format!("{name} is mandatory.")))
}

pub(super) fn there(state: &mut State, account: &str, kind: &str, id: &str) -> Result<(), Refusal> {
    let held = state.account(account);
    let found = match kind {
        "contact" => held.contacts.contains_key(id),
        "company" => held.companies.contains_key(id),
        // The rest of Teamleader is not here.
        _ => false,
    };
    if found { Ok(()) } else { Err(Refusal::missing()) }
}

impl FakeTeamleader {
    /// The tracked e-mails and the tasks of an account, as lists show them.
    pub fn mail_of(&self, account: &str) -> (Vec<Value>, Vec<Value>) {
        let mut state = self.now();
        let held = state.account(account);
        (held.tracked.clone(), held.tasks.clone())
    }
}
