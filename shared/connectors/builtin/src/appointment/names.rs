//! The names by which an appointment is known in calendars (iCalUID), and the marks in the table that lead from them to
//! its record.
use super::people::copy_mark;
use super::{list, people};
use crate::record::{Body, Record, text};
use serde_json::{Value, json};

/// The ending of the iCalUID of an appointment that was made here; before it is the record's id.
const OURS: &str = "@tandem";
/// What Google makes an iCalUID of: the event's id and this.
const GOOGLES: &str = "@google.com";
/// The most names of one appointment.
const MOST: usize = 20;

/// The iCalUID of an appointment that was made here.
pub(crate) fn own_uid(id: &str) -> String {
    format!("{id}{OURS}")
}

/// The record that an iCalUID of ours speaks of.
pub(crate) fn record_of_uid(uid: &str) -> Option<String> {
    let id = uid.strip_suffix(OURS)?;
    uuid::Uuid::try_parse(id).ok().map(|id| id.to_string())
}

/// A series and an occurrence of it that somebody was invited to alone have one iCalUID and are two appointments.
fn uid_mark(uid: &str, is_series: bool) -> String {
    format!("uid:{}:{uid}", if is_series { "series" } else { "single" })
}

/// What marks the record whose copies have this name ([`tandem_core::event::copy_name`]).
pub(super) fn copy_name_mark(name: &str) -> String {
    format!("copy:{name}")
}

/// The marks that may lead from an iCalUID to its record.
pub(crate) fn marks_of_uid(uid: &str, is_series: bool) -> Vec<String> {
    if uid.is_empty() {
        return Vec::new();
    }
    let copied = uid.strip_suffix(GOOGLES).map(copy_name_mark);
    std::iter::once(uid_mark(uid, is_series)).chain(copied).collect()
}

/// The marks of the names of an appointment that says this.
pub(super) fn marks(body: &Body) -> impl Iterator<Item = String> {
    let is_series = body.contains_key("recurrence");
    list(body, "uids").iter().filter_map(Value::as_str).map(move |uid| uid_mark(uid, is_series))
}

/// Whether this is a name of it. Marks outlive what they lead to, so that it has to say so itself.
pub(crate) fn is_named(account: &str, record: &Record, uid: &str) -> bool {
    let is_listed = list(&record.body, "uids").iter().any(|known| known.as_str() == Some(uid));
    let is_copied =
        || uid.strip_suffix(GOOGLES).is_some_and(|name| copy_mark(account, record) == Some(copy_name_mark(name)));
    record.kind.is_appointment() && (is_listed || own_uid(&record.id) == uid || is_copied())
}

/// It has this name, too, from now on. The first one is the one that is shown.
pub(crate) fn add_uid(body: &mut Body, uid: &str) {
    let known = list(body, "uids");
    if uid.is_empty() || known.len() >= MOST || known.iter().any(|known| known.as_str() == Some(uid)) {
        return;
    }
    let all: Vec<Value> = known.iter().cloned().chain([json!(uid)]).collect();
    body.insert("uids".to_owned(), Value::Array(all));
    body.entry("ical_uid").or_insert_with(|| json!(uid));
}

/// The name that calendars give it: one that came from them, else the one that the copies of a meeting will have.
pub(crate) fn uid(account: &str, record: &Record) -> Option<String> {
    let known = text(&record.body, "ical_uid");
    if !known.is_empty() {
        return Some(known.to_owned());
    }
    people::copy_of(account, record).map(|name| format!("{name}{GOOGLES}"))
}
