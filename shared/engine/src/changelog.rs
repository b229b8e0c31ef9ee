//! The change log: every write of a run with its before and after, sealed for the sync's owner.
use crate::prepare::Item;
use crate::session::Session;
use crate::{Engine, EngineError};
use serde::{Deserialize, Serialize};
use tandem_core::plan::{Act, Why};
use tandem_core::record::{Field, Fields, RemoteId, RunId, Scope, Side, UserId, Value};
use tandem_core::{contact, event};
use tandem_ports::infra::SecretOwner;
use tandem_store::StoreError;
use tandem_store::run::Run;
use tandem_store::sync::Sync;

/// A part stays well below DynamoDB's 400 KB an item, also sealed and in base64.
const PART_BYTES: usize = 200 * 1024;
/// A page of a change log has at least so many, where there are.
const CHANGES_A_PAGE: usize = 100;

/// One written field (or one whole record, where `field` is `null`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub(crate) side: Side,
    pub(crate) record: String,
    pub(crate) title: String,
    pub(crate) action: String,
    pub(crate) field: Option<Field>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    why: Why,
}

impl Change {
    /// What an undo wrote to one field.
    pub(crate) fn undo(
        side: Side,
        (record, title): (&str, &str),
        (action, field): (&str, &Field),
        (before, after): (&Fields, &Fields),
    ) -> Change {
        Change {
            side,
            record: record.to_owned(),
            title: title.to_owned(),
            action: action.to_owned(),
            field: Some(field.clone()),
            before: before.get(field).cloned(),
            after: after.get(field).cloned(),
            why: Why::Undone,
        }
    }

    /// A file or folder that was made, moved, replaced or removed: its id and title, what was done, its name before and after.
    pub(crate) fn file(
        side: Side,
        (record, title): (String, String),
        action: &str,
        (before, after): (Option<String>, Option<String>),
        why: Why,
    ) -> Change {
        let field = Some(Field::known("name")).filter(|_| before.is_some() || after.is_some());
        let value = |name: Option<String>| name.map(Value::Text);
        Change {
            side,
            record,
            title,
            action: action.to_owned(),
            field,
            before: value(before),
            after: value(after),
            why,
        }
    }
}

impl Change {
    /// A whole record that was made or taken out of the CRM, such as an e-mail. Its text is in the CRM and not here.
    pub(crate) fn whole(action: &str, record: &RemoteId, title: &str) -> Change {
        let why = if action == "create" { Why::NewRecord } else { Why::ListChanged };
        let (record, title, action) = (record.to_string(), title.to_owned(), action.to_owned());
        Change { side: Side::Left, record, title, action, field: None, before: None, after: None, why }
    }
}

/// A change as the API shows it.
pub type ChangeView = Change;

impl Session<'_> {
    /// The log entries of one side's act.
    pub(crate) fn log(&self, item: &Item, side: Side, written: Option<&RemoteId>) -> Vec<Change> {
        let before = item.copy(side).map(|copy| self.mapped(side, &copy.fields)).unwrap_or_default();
        let mut named = [side, side.other()].into_iter().filter_map(|side| item.copy(side));
        // A copy that shows no fields (a task made of an appointment) has its name from the other one.
        let named = named.find(|copy| !copy.fields.is_empty());
        let title = named
            .map(|copy| event::title(&copy.fields).unwrap_or_else(|| contact::title(&copy.fields)))
            .unwrap_or_default();
        let record = written.or_else(|| item.row.id(side)).map(ToString::to_string).unwrap_or_default();
        let change = |action: &str, field: Option<Field>, before: Option<&Value>, after: Option<&Value>| Change {
            side,
            record: record.clone(),
            title: title.clone(),
            action: action.to_owned(),
            field,
            before: before.cloned(),
            after: after.cloned(),
            why: item.step.why,
        };
        let each = |action: &str, names: Vec<Field>, after: &Fields| -> Vec<Change> {
            let one = |field: Field| change(action, Some(field.clone()), before.get(&field), after.get(&field));
            names.into_iter().map(one).collect()
        };
        match item.step.act(side) {
            None => Vec::new(),
            Some(Act::Create { fields }) => {
                each("create", fields.iter().map(|(field, _)| field.clone()).collect(), fields)
            }
            Some(Act::Delete { .. }) => {
                let mut all = each("delete", before.iter().map(|(field, _)| field.clone()).collect(), &Fields::new());
                if all.is_empty() {
                    all.push(change("delete", None, None, None));
                }
                all
            }
            Some(Act::Update { changed, fields, scope, .. }) => {
                let mut all = each("update", changed.clone(), fields);
                let word = |scope: Scope| Value::Text(if scope == Scope::Inside { "in" } else { "out" }.to_owned());
                if let Some(scope) = scope {
                    let was = item.copy(side).map(|copy| word(copy.scope));
                    all.push(change("update", Some(Field::known("group")), was.as_ref(), Some(&word(*scope))));
                }
                all
            }
        }
    }
}

pub(crate) fn owner(user: &UserId, sync: &Sync) -> SecretOwner {
    SecretOwner { user: user.to_string(), thing: format!("sync:{}", sync.id) }
}

impl Engine {
    /// Seals and stores entries as further parts of a run's log.
    pub(crate) async fn append_changes(
        &self,
        sync: &Sync,
        run: &mut Run,
        fence: i64,
        entries: &[Change],
    ) -> Result<(), StoreError> {
        if self.config.change_log_days == 0 || entries.is_empty() {
            return Ok(());
        }
        let mut part: Vec<String> = Vec::new();
        let mut bytes = 0;
        for (index, entry) in entries.iter().enumerate() {
            let line = serde_json::to_string(entry).expect("our own types serialise");
            bytes += line.len();
            part.push(line);
            if bytes < PART_BYTES && index + 1 < entries.len() {
                continue;
            }
            let plain = format!("[{}]", part.join(","));
            let sealed = self.secrets.seal(&owner(&sync.user, sync), plain.as_bytes()).await;
            let sealed = sealed.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            // Numbered by holder, too: who takes over after a crash must not write over parts that were not yet counted.
            let number = (u64::try_from(fence).unwrap_or(0) << 20) | run.change_parts;
            self.store.save_changes(run, number, sealed, self.config.change_log_days).await?;
            run.change_parts += 1;
            (part, bytes) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// A page of a run's change log, and where to go on.
    pub async fn changes(
        &self,
        sync: &Sync,
        run: &RunId,
        next: Option<&str>,
    ) -> Result<(Vec<ChangeView>, Option<String>), EngineError> {
        let mut after = match next {
            None => None,
            Some(text) => Some(text.parse::<u64>().map_err(|_| bad_cursor())?),
        };
        let mut page: Vec<ChangeView> = Vec::new();
        // What was written together is kept together, be it one change or fifty.
        while page.len() < CHANGES_A_PAGE {
            let Some((number, sealed)) = self.store.changes_after(run, after, self.clock.now()).await? else {
                return Ok((page, None));
            };
            let plain = self.secrets.open(&owner(&sync.user, sync), &sealed).await;
            let plain = plain.map_err(|error| EngineError::Unavailable(Box::new(error)))?;
            let changes: Vec<ChangeView> =
                serde_json::from_slice(&plain).map_err(|error| EngineError::Unavailable(Box::new(error)))?;
            page.extend(changes);
            after = Some(number);
        }
        Ok((page, after.map(|number| number.to_string())))
    }
}

/// A `next` that we did not answer.
pub(crate) fn bad_cursor() -> EngineError {
    EngineError::Conflict {
        code: "bad_cursor",
        message: "`next` must be a value that the page before answered.".into(),
    }
}
