//! Whose files these are, and who may write them.
use super::DEPTH;
use crate::error::CrmError;
use crate::ledger::Ledger;
use crate::record::Record;
use crate::schema::Kind;
use crate::users::{Action, User};
use serde_json::Value;

/// The record that a file or folder belongs to, and the path of the folder that it is in.
pub(crate) async fn place(ledger: &Ledger, record: &Record) -> Result<(Record, String), CrmError> {
    let mut names = Vec::new();
    let mut at = record.inside().ok_or(CrmError::Corrupt)?.to_owned();
    for _ in 0..=DEPTH {
        let above = ledger.record(&at).await?.ok_or(CrmError::NotFound)?;
        match above.inside() {
            Some(parent) => {
                names.push(above.text("name").to_owned());
                at = parent.to_owned();
            }
            None => {
                names.reverse();
                return Ok((above, names.join("/")));
            }
        }
    }
    Err(CrmError::Corrupt)
}

/// The record that a file or folder belongs to.
pub(crate) async fn subject_of(ledger: &Ledger, record: &Record) -> Result<Record, CrmError> {
    Ok(place(ledger, record).await?.0)
}

/// Which right is missing for writing a record's files; `None` when none is.
pub(crate) fn missing_right(actor: &User, subject: &Record) -> Option<String> {
    if actor.require(subject.kind, Action::Edit).is_err() {
        return Some(format!("{}.edit", subject.kind.plural()));
    }
    if subject.kind != Kind::Project {
        return None;
    }
    let owns = subject.text("owner") == actor.id;
    let assigned = || {
        let assignees = subject.body.get("assignees").and_then(Value::as_array);
        assignees.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(&actor.id)))
    };
    let may = match subject.text("edit_rights") {
        "everyone" => true,
        "owners_and_assignees" => owns || assigned(),
        _ => owns,
    };
    (!may).then(|| "edit this project".to_owned())
}

/// Checks the right to write a record's files.
pub(crate) fn require_edit(actor: &User, subject: &Record) -> Result<(), CrmError> {
    match missing_right(actor, subject) {
        Some(right) => Err(CrmError::Forbidden { right }),
        None => Ok(()),
    }
}
