//! Drive v3 in memory: files by id, the change feed, revisions, uploads in one call and by sessions, trash, rights, native
//! documents, shortcuts, push channels.
mod blobs;
pub(super) mod control;
mod files;
mod mask;
mod query;
mod uploads;

pub use control::DriveFile;
pub use uploads::Notification as DriveNotification;

use super::state::{Call, Fault, State};
use super::{Asked, json_response};
use crate::auth::{SCOPE_DRIVE, SCOPE_DRIVE_FILE};
use blobs::{Blobs, Content};
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const FOLDER: &str = "application/vnd.google-apps.folder";
const SHORTCUT: &str = "application/vnd.google-apps.shortcut";
const NATIVE: &str = "application/vnd.google-apps.";

/// A refusal in Drive v3's form.
pub(super) struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    retry_after: Option<u64>,
}

type Answer = Result<Value, Refusal>;

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), retry_after: None }
    }
    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid", message)
    }
    fn missing(id: &str) -> Self {
        Self::new(404, "notFound", format!("File not found: {id}."))
    }
    fn into_response(self) -> Response<Bytes> {
        let domain = if self.code == 403 && self.reason.contains("ateLimit") { "usageLimits" } else { "global" };
        let one = json!({"domain": domain, "reason": self.reason, "message": self.message});
        let body = json!({"error": {"code": self.code, "message": self.message, "errors": [one]}});
        let mut response = json_response(self.code, &body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        response
    }
}

/// Bytes that a file had or has.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Revision {
    id: String,
    content: Content,
}

/// A file, folder, shortcut or document of Google's own.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct File {
    name: String,
    mime: String,
    /// `None`: in no folder that this account sees.
    parent: Option<String>,
    trashed: bool,
    created_ms: i64,
    modified_ms: i64,
    version: u64,
    properties: BTreeMap<String, String>,
    /// By OAuth client: each sees its own only.
    app_properties: BTreeMap<String, BTreeMap<String, String>>,
    /// The client that made it: all that `drive.file` sees.
    made_by: String,
    revisions: Vec<Revision>,
    /// What a shortcut points to.
    target: Option<String>,
    /// Whether this account may only read it.
    read_only: bool,
    /// How large an export of a native document is.
    export_bytes: usize,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Drive {
    root: String,
    files: BTreeMap<String, File>,
    /// Which file changed, in order; the place in it is the page token.
    changes: Vec<String>,
}

/// A push channel.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Channel {
    id: String,
    resource: String,
    account: String,
    address: String,
    token: String,
    expires_ms: i64,
    /// Changes up to here were told.
    told: usize,
    messages: u64,
}

/// All of Drive.
#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(super) struct World {
    accounts: BTreeMap<String, Drive>,
    blobs: Blobs,
    reserved: BTreeSet<String>,
    channels: Vec<Channel>,
    /// Of files above this size only the hashes are kept; they cannot be downloaded.
    keep_bytes: u64,
    /// How much fits into an account, in bytes.
    space: u64,
    /// Items of a page are never more than this.
    page: usize,
    /// A session takes no more than this of a piece, in bytes, as Google need not take all of it.
    most_of_a_piece: u64,
    /// Upload sessions do not outlive the process: as after a week, 404.
    #[serde(skip)]
    sessions: BTreeMap<String, uploads::Session>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            accounts: BTreeMap::new(),
            blobs: Blobs::default(),
            reserved: BTreeSet::new(),
            channels: Vec::new(),
            keep_bytes: 64 * 1024 * 1024 * 1024,
            space: 1 << 50,
            page: 1000,
            most_of_a_piece: u64::MAX,
            sessions: BTreeMap::new(),
        }
    }
}

/// Who asks, and what that one may see.
pub(super) struct Caller {
    account: String,
    client: String,
    /// With `drive.file` only what this client made.
    own_only: Own,
}

#[derive(PartialEq, Eq)]
enum Own {
    Only,
    All,
}

impl Caller {
    fn sees(&self, file: &File) -> bool {
        self.own_only == Own::All || file.made_by == self.client
    }
}

pub(super) fn is_asked(asked: &Asked) -> bool {
    asked.path.starts_with("/drive/v3/") || asked.path.starts_with("/upload/drive/v3/")
}

/// Answers a request; `None` means that the connection broke before an answer came.
pub(super) fn handle(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    state.log(Call { method: asked.method.to_string(), path: asked.path.clone(), writes: asked.body.len() });
    let refused = |code, reason, message: &str| Some(Refusal::new(code, reason, message).into_response());
    match state.take_fault() {
        Some(Fault::LoseRequest) => None,
        Some(Fault::LoseAnswer) => {
            drop(answer(state, asked));
            None
        }
        Some(Fault::ServerError) => refused(500, "internalError", "Internal Error"),
        Some(Fault::Unavailable) => refused(503, "backendError", "Transient failure"),
        Some(Fault::Forbidden) => refused(403, "insufficientPermissions", "Insufficient Permission"),
        Some(Fault::Throttle { retry_after }) => {
            let message = "User Rate Limit Exceeded. Rate of requests for user exceed configured project quota.";
            let refusal = Refusal::new(403, "userRateLimitExceeded", message);
            Some(Refusal { retry_after, ..refusal }.into_response())
        }
        Some(Fault::Pass) | None => Some(answer(state, asked).unwrap_or_else(Refusal::into_response)),
    }
}

fn caller(state: &mut State, asked: &Asked) -> Result<Caller, Refusal> {
    let unauthorised = || Refusal::new(401, "authError", "Invalid Credentials");
    let grant = state.grant(asked.bearer()).map_err(|_| unauthorised())?.clone();
    let has = |scope: &str| grant.scopes.iter().any(|granted| granted == scope);
    let own_only = match (has(SCOPE_DRIVE), has(SCOPE_DRIVE_FILE)) {
        (true, _) => Own::All,
        (false, true) => Own::Only,
        (false, false) => {
            return Err(Refusal::new(
                403,
                "insufficientPermissions",
                "Request had insufficient authentication scopes.",
            ));
        }
    };
    let (account, client) = (grant.account, grant.client);
    opened(state, &account);
    Ok(Caller { account, client, own_only })
}

/// The account's Drive, with its top folder.
fn opened<'a>(state: &'a mut State, account: &str) -> &'a mut Drive {
    if !state.drive.accounts.contains_key(account) {
        let (root, now) = (format!("0A{:017}", state.next()), state.now_ms);
        let files = BTreeMap::from([(root.clone(), File::new("My Drive", FOLDER, now))]);
        state.drive.accounts.insert(account.to_owned(), Drive { root, files, changes: Vec::new() });
    }
    state.drive.drive(account)
}

impl File {
    fn new(name: &str, mime: &str, now: i64) -> Self {
        Self {
            name: name.to_owned(),
            mime: mime.to_owned(),
            parent: None,
            trashed: false,
            created_ms: now,
            modified_ms: now,
            version: 1,
            properties: BTreeMap::new(),
            app_properties: BTreeMap::new(),
            made_by: String::new(),
            revisions: Vec::new(),
            target: None,
            read_only: false,
            export_bytes: 1000,
        }
    }
    fn is_native(&self) -> bool {
        self.mime.starts_with(NATIVE)
    }
    fn content(&self) -> Option<&Content> {
        self.revisions.last().map(|revision| &revision.content)
    }
}

impl World {
    fn drive(&mut self, account: &str) -> &mut Drive {
        self.accounts.entry(account.to_owned()).or_default()
    }

    /// Puts a file and tells of it.
    fn put(&mut self, account: &str, id: &str, mut file: File) {
        file.version += 1;
        let drive = self.drive(account);
        drive.files.insert(id.to_owned(), file);
        drive.changes.push(id.to_owned());
    }
}

impl Drive {
    /// Whether it or a folder above it is in the trash.
    fn is_trashed(&self, id: &str) -> bool {
        let mut at = Some(id);
        // As many steps as there are files: a cycle cannot be made, but must not hang either.
        for _ in 0..=self.files.len() {
            let Some(file) = at.and_then(|id| self.files.get(id)) else { return false };
            if file.trashed {
                return true;
            }
            at = file.parent.as_deref();
        }
        false
    }

    fn below(&self, id: &str) -> Vec<String> {
        let mut found = vec![id.to_owned()];
        let mut next = 0;
        while next < found.len() {
            let parent = found[next].clone();
            let children = self.files.iter().filter(|(_, file)| file.parent.as_ref() == Some(&parent));
            found.extend(children.map(|(id, _)| id.clone()));
            next += 1;
        }
        found
    }

    fn used(&self) -> u64 {
        self.files.values().flat_map(|file| &file.revisions).map(|revision| revision.content.size).sum()
    }
}

fn answer(state: &mut State, asked: &Asked) -> Result<Response<Bytes>, Refusal> {
    // A session's address is all the proof it needs.
    if asked.path == "/upload/drive/v3/files" || asked.path.starts_with("/upload/drive/v3/files/") {
        // PUT by the documentation; rclone has always sent POST, and Google takes that, too.
        let sends = [http::Method::PUT, http::Method::POST].contains(&asked.method);
        if sends && asked.one("upload_id").is_some() {
            return uploads::piece(state, asked);
        }
        let caller = caller(state, asked)?;
        return uploads::upload(state, &caller, asked);
    }
    let caller = caller(state, asked)?;
    let path = asked.path.trim_start_matches("/drive/v3/").to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let body = match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["about"]) => files::about(state, &caller, asked)?,
        ("GET", ["changes", "startPageToken"]) => {
            let token = state.drive.drive(&caller.account).changes.len() + 1;
            json!({"kind": "drive#startPageToken", "startPageToken": token.to_string()})
        }
        ("GET", ["changes"]) => files::changes(state, &caller, asked)?,
        ("POST", ["changes", "watch"]) => uploads::watch(state, &caller, asked)?,
        ("POST", ["channels", "stop"]) => {
            uploads::stop(state, &caller, asked)?;
            return Ok(empty());
        }
        ("GET", ["files"]) => files::list(state, &caller, asked)?,
        ("POST", ["files"]) => files::create(state, &caller, asked)?,
        ("GET", ["files", "generateIds"]) => files::generate_ids(state, asked)?,
        ("GET", ["files", id, "export"]) => return files::export(state, &caller, asked, id),
        ("GET", ["files", id, "revisions", revision]) => {
            return files::revision(state, &caller, asked, id, revision);
        }
        ("GET", ["files", id]) if asked.one("alt") == Some("media") => {
            return files::download(state, &caller, asked, id);
        }
        ("GET", ["files", id]) => files::get(state, &caller, asked, id)?,
        ("PATCH", ["files", id]) => files::update(state, &caller, asked, id)?,
        ("DELETE", ["files", id]) => {
            files::delete(state, &caller, id)?;
            return Ok(empty());
        }
        _ => return Err(Refusal::new(404, "notFound", "Not Found")),
    };
    Ok(json_response(200, &body))
}

fn empty() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    response
}
