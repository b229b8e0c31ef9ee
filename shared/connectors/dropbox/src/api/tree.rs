//! Listing, reading, moving, making and removing: calls without bytes.
use super::{Call, rpc};
use serde_json::{Value, json};
use tandem_ports::error::Result;

/// The maximum for `limit`.
const PAGE: u16 = 2000;

/// The whole app folder. Deleted entries are left out: a first listing is about what is there, and the feed that begins
/// with its cursor tells of deletions whether or not they were asked for here.
pub(crate) fn list(origin: &str) -> Result<Call> {
    let argument = json!({"path": "", "recursive": true, "include_deleted": false, "limit": PAGE});
    rpc("files/list_folder", origin, "list_folder", &argument)
}

/// Whether the app folder can be read; its first entry at most.
pub(crate) fn probe(origin: &str) -> Result<Call> {
    rpc("files/list_folder", origin, "list_folder", &json!({"path": "", "limit": 1}))
}

/// The first of what is in a folder, if anything is. `what`: `id:…` or a path.
pub(crate) fn first_child(origin: &str, what: &str) -> Result<Call> {
    rpc("files/list_folder", origin, "list_folder", &json!({"path": what, "limit": 1}))
}

pub(crate) fn list_on(origin: &str, cursor: &str) -> Result<Call> {
    rpc("files/list_folder/continue", origin, "list_folder/continue", &json!({"cursor": cursor}))
}

/// `what`: `id:…` or a path.
pub(crate) fn metadata(origin: &str, what: &str) -> Result<Call> {
    rpc("files/get_metadata", origin, "get_metadata", &json!({"path": what}))
}

pub(crate) fn create_folder(origin: &str, path: &str) -> Result<Call> {
    rpc("files/create_folder_v2", origin, "create_folder_v2", &json!({"path": path, "autorename": false}))
}

pub(crate) fn create_folders(origin: &str, paths: &[String]) -> Result<Call> {
    let argument = json!({"paths": paths, "autorename": false, "force_async": false});
    rpc("files/create_folder_batch", origin, "create_folder_batch", &argument)
}

pub(crate) fn relocate(origin: &str, from: &str, to: &str) -> Result<Call> {
    rpc("files/move_v2", origin, "move_v2", &json!({"from_path": from, "to_path": to, "autorename": false}))
}

/// `parent_rev` is for files only.
pub(crate) fn removal(what: &str, parent_rev: Option<&str>) -> Value {
    match parent_rev {
        Some(rev) => json!({"path": what, "parent_rev": rev}),
        None => json!({"path": what}),
    }
}

pub(crate) fn delete(origin: &str, removal: &Value) -> Result<Call> {
    rpc("files/delete_v2", origin, "delete_v2", removal)
}

pub(crate) fn delete_all(origin: &str, removals: &[Value]) -> Result<Call> {
    rpc("files/delete_batch", origin, "delete_batch", &json!({"entries": removals}))
}

/// How a launched batch is doing. `route` is the one that launched it.
pub(crate) fn check(operation: &'static str, origin: &str, route: &str, job: &str) -> Result<Call> {
    rpc(operation, origin, &format!("{route}/check"), &json!({"async_job_id": job}))
}

/// Brings back an old revision of a file.
pub(crate) fn restore(origin: &str, path: &str, rev: &str) -> Result<Call> {
    rpc("files/restore", origin, "restore", &json!({"path": path, "rev": rev}))
}
