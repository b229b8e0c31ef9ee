//! `files.*`, the addresses that they hand out, and the records besides contacts, companies and meetings that files are at.
//!
//! An address is good for one upload, and for as many downloads as there is time. What an upload answers is documented
//! nowhere: here it is 204 without a body. Neither with a token: an address carries its own right.
use super::state::{State, Stored, shown_time};
use super::{Answer, Asked, FakeTeamleader, Refusal, Reply, lists};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What `files.list` takes (specification 1.221).
const LISTED: [&str; 10] = [
    "company",
    "contact",
    "deal",
    "invoice",
    "creditNote",
    "meeting",
    "product",
    "project",
    "nextgenProject",
    "ticket",
];
/// What `files.upload` takes.
const UPLOADED: [&str; 8] =
    ["company", "contact", "deal", "invoice", "creditNote", "nextgenProject", "ticket", "temporary"];
/// Endings and their types; the rest is bytes. All are of the documented list.
const TYPES: [(&str, &str); 12] = [
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("gif", "image/gif"),
    ("mp3", "audio/mpeg"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
];
const UPLOADS: &str = "/_files/upload/";
const DOWNLOADS: &str = "/_files/download/";

/// Bytes, base64 in a saved state.
#[derive(Clone, Default)]
pub(super) struct Raw(pub(super) Bytes);

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(|bytes| Raw(bytes.into())).map_err(serde::de::Error::custom)
    }
}

/// A file.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) subject: (String, String),
    folder: String,
    name: String,
    updated_ms: i64,
    by: String,
    bytes: Raw,
}

/// What an address is good for.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Ticket {
    account: String,
    expires_ms: i64,
    /// The file to be had; `None`: one to be made.
    file: Option<String>,
    subject: (String, String),
    folder: String,
    name: String,
}

/// A file of the user's, as people make them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UserFile {
    /// `company`, `contact`, `nextgenProject`, …
    pub kind: String,
    /// The record.
    pub record: String,
    /// "" for the account's own folder (`General`).
    pub folder: String,
    /// With its ending.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A file as it is at Teamleader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// Its id.
    pub id: String,
    /// Its record: type and id.
    pub subject: (String, String),
    /// Its folder.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

fn subject_of(of: Option<&Value>) -> Result<(String, String), Refusal> {
    let text = |name: &str| of.and_then(|of| of[name].as_str()).unwrap_or_default().to_owned();
    let subject = (text("type"), text("id"));
    if subject.0.is_empty() { Err(Refusal::invalid("subject is mandatory.")) } else { Ok(subject) }
}

pub(super) fn answer(state: &mut State, account: &str, user: &str, action: &str, asked: &Ask<'_>) -> Answer {
    let body = asked.body;
    match action {
        "list" => list(state, account, body),
        "info" => {
            let (id, file) = known(state, account, body)?;
            Ok(Reply::Data(json!({"data": shown(&id, &file)})))
        }
        "download" => {
            let (id, file) = known(state, account, body)?;
            let File { subject, folder, name, .. } = file;
            Ok(ticket(state, asked.origin, Ticket { file: Some(id), ..new_ticket(account, subject, folder, name) }))
        }
        "upload" => upload(state, account, user, asked),
        "delete" => {
            let (id, file) = known(state, account, body)?;
            may_edit(state, account, user, &file.subject)?;
            state.account(account).files.remove(&id);
            state.wrote();
            Ok(Reply::Done)
        }
        _ => Err(Refusal::missing()),
    }
}

/// A call's body, and where the addresses that it is answered begin.
pub(super) struct Ask<'a> {
    pub(super) body: &'a Map<String, Value>,
    pub(super) origin: &'a str,
}

fn known(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<(String, File), Refusal> {
    let id = body.get("id").and_then(Value::as_str).ok_or_else(|| Refusal::invalid("id is mandatory."))?;
    let file = state.account(account).files.get(id).cloned().ok_or_else(Refusal::missing)?;
    // Files go with their record.
    there(state, account, &file.subject)?;
    Ok((id.to_owned(), file))
}

fn there(state: &mut State, account: &str, subject: &(String, String)) -> Result<(), Refusal> {
    let held = state.account(account);
    let found = match subject.0.as_str() {
        "contact" => held.contacts.contains_key(&subject.1),
        "company" => held.companies.contains_key(&subject.1),
        "meeting" => held.meetings.contains_key(&subject.1),
        kind => held.others.get(kind).is_some_and(|all| all.contains_key(&subject.1)),
    };
    if found { Ok(()) } else { Err(Refusal::missing()) }
}

/// A project's own rights (help page 7000082495): its owners, also those it is assigned to, or everyone.
fn may_edit(state: &mut State, account: &str, user: &str, subject: &(String, String)) -> Result<(), Refusal> {
    let held = state.account(account);
    let project = held.others.get("nextgenProject").filter(|_| subject.0 == "nextgenProject");
    let Some(project) = project.and_then(|all| all.get(&subject.1)) else { return Ok(()) };
    let among = |name: &str| project.list(name).iter().any(|one| one["id"] == user);
    let may = match project.text("update_rights") {
        "everyone" => true,
        "owners_and_assignees" => among("owners") || among("assignees"),
        _ => among("owners"),
    };
    if may { Ok(()) } else { Err(Refusal::new(403, "You are not allowed to update this project.")) }
}

fn list(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let subject = subject_of(body.get("filter").and_then(|filter| filter.get("subject")))?;
    if !LISTED.contains(&subject.0.as_str()) {
        return Err(Refusal::invalid("filter.subject.type is not a known type."));
    }
    there(state, account, &subject)?;
    let all = &state.account(account).files;
    let mut rows: Vec<(String, File)> =
        all.iter().filter(|(_, file)| file.subject == subject).map(|(id, file)| (id.clone(), file.clone())).collect();
    let seconds = |file: &File| file.updated_ms.div_euclid(1000);
    rows.sort_by(|(a, one), (b, other)| (seconds(other), b).cmp(&(seconds(one), a)));
    Ok(lists::paged(state, body, rows, |(id, file)| shown(&id, &file)))
}

fn shown(id: &str, file: &File) -> Value {
    let ending = file.name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default();
    let known = TYPES.iter().find(|(known, _)| *known == ending);
    json!({
        "id": id,
        "subject": {"type": file.subject.0, "id": file.subject.1},
        "name": file.name,
        "mime_type": known.map_or("application/octet-stream", |(_, kind)| *kind),
        "size": file.bytes.0.len(),
        "updated_at": shown_time(file.updated_ms),
        "uploaded_by": {"type": "user", "id": file.by},
        "folder": file.folder,
    })
}

fn upload(state: &mut State, account: &str, user: &str, asked: &Ask<'_>) -> Answer {
    let body = asked.body;
    let name = body.get("name").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| Refusal::invalid("name is mandatory."))?.to_owned();
    let subject = subject_of(body.get("subject"))?;
    if !UPLOADED.contains(&subject.0.as_str()) {
        return Err(Refusal::invalid("subject.type is not a type that files can be uploaded to."));
    }
    if subject.0 != "temporary" {
        there(state, account, &subject)?;
        may_edit(state, account, user, &subject)?;
    }
    let general = state.settings.default_folder.clone();
    let folder = body.get("folder").and_then(Value::as_str).map_or(general, str::to_owned);
    Ok(ticket(state, asked.origin, new_ticket(account, subject, folder, name)))
}

fn new_ticket(account: &str, subject: (String, String), folder: String, name: String) -> Ticket {
    Ticket { account: account.to_owned(), expires_ms: 0, file: None, subject, folder, name }
}

fn ticket(state: &mut State, origin: &str, ticket: Ticket) -> Reply {
    let id = state.uuid().replace('-', "");
    let expires_ms = state.now_ms + state.settings.file_address_seconds * 1000;
    let path = if ticket.file.is_some() { DOWNLOADS } else { UPLOADS };
    state.tickets.insert(id.clone(), Ticket { expires_ms, ..ticket });
    Reply::Data(json!({"data": {"location": format!("{origin}{path}{id}"), "expires_at": shown_time(expires_ms)}}))
}

/// What the calls to temporary addresses are called in the log and by faults.
pub(super) fn address(path: &str) -> Option<&'static str> {
    let known = [(UPLOADS, "files.upload bytes"), (DOWNLOADS, "files.download bytes")];
    known.into_iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, name)| name)
}

/// A request to a temporary address.
pub(super) fn bytes(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let id = asked.path.rsplit('/').next().unwrap_or_default();
    let good = state.tickets.get(id).filter(|ticket| state.now_ms < ticket.expires_ms).cloned();
    let outcome = match good {
        _ if !asked.header("authorization").is_empty() => {
            Err(Refusal::invalid("The address carries its own right; no token must come along."))
        }
        None => Err(Refusal::missing()),
        Some(ticket) => match &ticket.file {
            Some(file) => download(state, asked, &ticket.account, file),
            None => receive(state, asked, id, &ticket),
        },
    };
    outcome.unwrap_or_else(Refusal::into_response)
}

fn receive(state: &mut State, asked: &Asked, id: &str, ticket: &Ticket) -> Result<Response<Bytes>, Refusal> {
    if asked.method != "POST" {
        return Err(Refusal::new(405, "Method not allowed."));
    }
    if asked.header("content-type").starts_with("multipart/") {
        return Err(Refusal::invalid("The file itself is expected, and no form."));
    }
    if asked.body.len() as u64 > state.settings.most_file_bytes {
        return Err(Refusal::new(413, "The file is too large."));
    }
    state.tickets.remove(id);
    let Ticket { account, subject, folder, name, .. } = ticket.clone();
    let by = state.account(&account).user_id.clone();
    if subject.0 != "temporary" {
        let updated_ms = state.now_ms;
        let file = File { subject, folder, name, updated_ms, by, bytes: Raw(asked.body.clone()) };
        let id = state.uuid();
        state.account(&account).files.insert(id, file);
        state.wrote();
    }
    Ok(Response::builder().status(204).body(Bytes::new()).expect("a fixed status is one"))
}

fn download(state: &mut State, asked: &Asked, account: &str, id: &str) -> Result<Response<Bytes>, Refusal> {
    if asked.method != "GET" {
        return Err(Refusal::new(405, "Method not allowed."));
    }
    let whole = state.account(account).files.get(id).ok_or_else(Refusal::missing)?.bytes.0.clone();
    let response = Response::builder().header("content-type", "application/octet-stream");
    let response = match range(asked.header("range"), whole.len()) {
        Some((from, to)) if state.settings.ranges == super::Switch::Yes => {
            let said = format!("bytes {from}-{to}/{}", whole.len());
            response.status(206).header("content-range", said).body(whole.slice(from..=to))
        }
        Some(_) | None => response.status(200).body(whole),
    };
    Ok(response.expect("fixed header names"))
}

/// `bytes=from-to`, both within the file.
fn range(said: &str, size: usize) -> Option<(usize, usize)> {
    let (from, to) = said.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = (from.parse::<usize>().ok()?, to.parse::<usize>().ok()?);
    (from <= to && to < size).then_some((from, to))
}

/// `products.*`, `projects.*` (the old ones), `projects-v2/projects.*`: read alone.
pub(super) fn others(state: &mut State, account: &str, kind: &str, action: &str, body: &Map<String, Value>) -> Answer {
    let has = state.settings.projects.as_str();
    if (kind == "nextgenProject" && has == "legacy") || (kind == "project" && has != "legacy") {
        return Err(Refusal::new(403, "You are not allowed to access this module."));
    }
    let all = state.account(account).others.get(kind).cloned().unwrap_or_default();
    if action == "info" {
        let id = body.get("id").and_then(Value::as_str).ok_or_else(|| Refusal::invalid("id is mandatory."))?;
        let record = all.get(id).ok_or_else(Refusal::missing)?;
        return Ok(Reply::Data(json!({"data": record_shown(record, kind)})));
    }
    if action != "list" {
        return Err(Refusal::missing());
    }
    let filter = body.get("filter").cloned().unwrap_or_default();
    let ids = filter.get("ids").and_then(Value::as_array).filter(|_| kind != "project");
    let since = filter.get("updated_since").and_then(Value::as_str).filter(|_| kind != "nextgenProject");
    let since = since.map(|text| text.parse::<jiff::Timestamp>().map(|time| time.as_second()));
    let since = since.transpose().map_err(|_| Refusal::invalid("updated_since is not a valid date time."))?;
    let passes = |record: &&Stored| {
        ids.is_none_or(|ids| ids.iter().any(|id| *id == record.id))
            && since.is_none_or(|since| record.updated_ms.div_euclid(1000) >= since)
    };
    let mut rows: Vec<Stored> = all.values().filter(passes).cloned().collect();
    rows.sort_by_key(|record| (record.added_ms, record.data.get("project_key").and_then(Value::as_u64)));
    Ok(lists::paged(state, body, rows, |record| {
        let mut row = record_shown(&record, kind);
        // `projects-v2/projects.info` alone has it.
        row.as_object_mut().expect("it is an object").remove("update_rights");
        row
    }))
}

fn record_shown(record: &Stored, kind: &str) -> Value {
    let mut shown = record.data.clone();
    shown.insert("id".to_owned(), json!(record.id));
    if kind == "product" {
        shown.insert("added_at".to_owned(), json!(shown_time(record.added_ms)));
        shown.insert("updated_at".to_owned(), json!(shown_time(record.updated_ms)));
    }
    Value::Object(shown)
}

pub(super) fn projects_status(state: &State) -> Value {
    json!({"data": {"status": state.settings.projects}})
}

/// Makes a product or project, as the user would.
pub(super) fn user_adds(state: &mut State, account: &str, kind: &str, mut record: Map<String, Value>) -> String {
    let (id, now) = (state.uuid(), state.now_ms);
    let held = state.account(account);
    let me = json!([{"type": "user", "id": held.user_id}]);
    let all = held.others.entry(kind.to_owned()).or_default();
    if kind == "nextgenProject" {
        let number = all.len() + 1;
        for (name, value) in [
            ("project_key", json!(number)),
            ("status", json!("open")),
            ("update_rights", json!("owners")),
            ("owners", me),
            ("assignees", json!([])),
        ] {
            record.entry(name).or_insert(value);
        }
    }
    all.insert(id.clone(), Stored { id: id.clone(), added_ms: now, updated_ms: now, data: record });
    state.next();
    id
}

/// Saves a file, over one of its name and folder where there is one. Its id; a file that is written over keeps it.
pub(super) fn user_saves(state: &mut State, account: &str, file: &UserFile) -> String {
    let subject = (file.kind.clone(), file.record.clone());
    let general = state.settings.default_folder.clone();
    let folder = if file.folder.is_empty() { general } else { file.folder.clone() };
    let (fresh, updated_ms) = (state.uuid(), state.now_ms);
    let held = state.account(account);
    let same = |other: &&String| {
        let other = &held.files[*other];
        other.subject == subject && other.folder == folder && other.name == file.name
    };
    let id = held.files.keys().find(same).cloned().unwrap_or(fresh);
    let bytes = Raw(Bytes::from(file.text.clone()));
    let (name, by) = (file.name.clone(), held.user_id.clone());
    held.files.insert(id.clone(), File { subject, folder, name, updated_ms, by, bytes });
    id
}

pub(super) fn user_deletes(state: &mut State, account: &str, id: &str) -> bool {
    state.next();
    state.account(account).files.remove(id).is_some()
}

/// Deletes a product or project with its files.
pub(super) fn user_drops(state: &mut State, account: &str, kind: &str, id: &str) -> bool {
    state.next();
    let held = state.account(account);
    held.files.retain(|_, file| file.subject != (kind.to_owned(), id.to_owned()));
    held.others.get_mut(kind).is_some_and(|all| all.remove(id).is_some())
}

pub(super) fn state_of(files: &std::collections::BTreeMap<String, File>) -> Vec<Value> {
    files.iter().map(|(id, file)| shown(id, file)).collect()
}

impl FakeTeamleader {
    /// The user saves a file, over one of its name and folder; its id.
    pub fn user_saves_file(&self, account: &str, file: &UserFile) -> String {
        user_saves(&mut self.now(), account, file)
    }

    /// The user deletes a file; whether it was there.
    pub fn user_deletes_file(&self, account: &str, id: &str) -> bool {
        user_deletes(&mut self.now(), account, id)
    }

    /// The user makes a `product`, a `nextgenProject` or (in an account with the old module) a `project`; its id.
    pub fn user_adds_record(&self, account: &str, kind: &str, record: &Map<String, Value>) -> String {
        user_adds(&mut self.now(), account, kind, record.clone())
    }

    /// The user changes members of such a record.
    ///
    /// # Panics
    /// Where there is none.
    pub fn user_edits_record(&self, account: &str, kind: &str, id: &str, change: Map<String, Value>) {
        let mut state = self.now();
        let now = state.now_ms;
        let all = state.account(account).others.get_mut(kind).and_then(|all| all.get_mut(id));
        let record = all.expect("a record that is there");
        record.data.extend(change);
        record.updated_ms = now;
    }

    /// The user deletes such a record, with its files; whether it was there.
    pub fn user_deletes_record(&self, account: &str, kind: &str, id: &str) -> bool {
        user_drops(&mut self.now(), account, kind, id)
    }

    /// All files of an account, by folder and name.
    pub fn files_of(&self, account: &str) -> Vec<FileView> {
        let mut state = self.now();
        let view = |(id, file): (&String, &File)| FileView {
            id: id.clone(),
            subject: file.subject.clone(),
            folder: file.folder.clone(),
            name: file.name.clone(),
            bytes: file.bytes.0.clone(),
        };
        let mut all: Vec<FileView> = state.account(account).files.iter().map(view).collect();
        all.sort_by_key(|file| (file.folder.clone(), file.name.clone()));
        all
    }

    /// This fault meets a call after so many further ones; one that still waits is replaced.
    pub fn inject_after(&self, after: usize, fault: super::Fault) {
        let mut state = self.now();
        state.faults.clear();
        state.faults.push(super::state::Waiting { fault, on: Vec::new(), after });
    }
}
