//! Attachments of records: files by a form with the part `file`, links by `attachmentUrl`. What Zoho does not document is
//! here the harder way: no ranges, unless they are switched on; the modules' own read right besides that of attachments.
use super::state::{State, Stored};
use super::{Answer, Asked, FakeZoho, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::FutureExt as _;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Of a file's name (`File_Name` of the attachments' schema).
const MOST_NAME: usize = 250;

/// What is at a record.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Attachment {
    module: String,
    record: u64,
    name: String,
    by: String,
    created_ms: i64,
    modified_ms: i64,
    #[serde(default)]
    link: Option<String>,
    #[serde(with = "as_base64")]
    bytes: Bytes,
}

mod as_base64 {
    use super::*;
    pub(super) fn serialize<S: serde::Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
    }
}

/// An attachment as it is at Zoho.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentView {
    /// Its id.
    pub id: String,
    /// Its record's module and id.
    pub record: (String, String),
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// An id within the address that is nobody's.
fn no_such(index: usize) -> Refusal {
    Refusal::new(400, "INVALID_DATA", "the related id given seems to be invalid")
        .with(json!({"resource_path_index": index, "related_status": "invalid"}))
}

fn holder(state: &State, user: &str, module: &str, id: &str) -> Result<u64, Refusal> {
    state.live(user, module, id).map(|(id, _)| id).ok_or_else(|| no_such(1))
}

/// Everything under `/{module}/{id}/Attachments` but downloads.
pub(super) fn answer(state: &mut State, user: &str, (module, record): (&str, &str), asked: &Asked) -> Answer {
    match asked.method.as_str() {
        "GET" => list(state, user, (module, record), asked),
        "POST" => {
            state.permit(user, "Edit", module)?;
            let record = holder(state, user, module, record)?;
            match asked.one("attachmentUrl") {
                Some(url) => {
                    let name = asked.one("title").unwrap_or(url).to_owned();
                    Ok(attached(state, user, (module, record), (name, Some(url.to_owned()), Bytes::new())))
                }
                None => {
                    let (name, bytes) = part(asked)?;
                    check(state, &name, bytes.len())?;
                    Ok(attached(state, user, (module, record), (name, None, bytes)))
                }
            }
        }
        "DELETE" => {
            let ids = asked.one("ids").map(str::to_owned);
            let ids = ids.ok_or_else(|| {
                Refusal::new(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing")
                    .with(json!({"param_name": "ids"}))
            })?;
            delete(state, user, (module, record), &ids)
        }
        _ => Err(Refusal::new(405, "INVALID_REQUEST_METHOD", "The http request method type is not a valid one")),
    }
}

/// The form's one part: its file's name, and its bytes.
fn part(asked: &Asked) -> Result<(String, Bytes), Refusal> {
    let refused = || Refusal::new(400, "INVALID_REQUEST", "unable to process your request. please verify the body");
    let boundary = multer::parse_boundary(asked.header("content-type").unwrap_or_default()).map_err(|_| refused())?;
    let body = asked.body.clone();
    let body = futures::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut form = multer::Multipart::new(body, boundary);
    let read = async {
        while let Some(field) = form.next_field().await.ok()? {
            let (named, file) = (field.name() == Some("file"), field.file_name().map(str::to_owned));
            let bytes = field.bytes().await.ok()?;
            if named {
                return Some((file?, bytes));
            }
        }
        None
    };
    // All of the body is there: nothing waits.
    let (name, bytes) = read.now_or_never().flatten().ok_or_else(refused)?;
    Ok((name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"), bytes))
}

fn check(state: &State, name: &str, size: usize) -> Result<(), Refusal> {
    if name.trim().is_empty() || name.chars().count() > MOST_NAME || name.to_ascii_lowercase().ends_with(".exe") {
        return Err(Refusal::new(400, "INVALID_DATA", "invalid data").with(json!({"api_name": "file"})));
    }
    if size as u64 > state.settings.attachment_bytes {
        let message = "Please check if the size of the file is within the allowed limit";
        return Err(Refusal::new(400, "FILE_SIZE_MORE_THAN_ALLOWED_SIZE", message));
    }
    Ok(())
}

fn attached(
    state: &mut State,
    user: &str,
    (module, record): (&str, u64),
    (name, link, bytes): (String, Option<String>, Bytes),
) -> (u16, Value) {
    let (id, now) = (state.next_id(), state.now_ms);
    let (module, by) = (module.to_owned(), user.to_owned());
    let made = Attachment { module, record, name, by, created_ms: now, modified_ms: now, link, bytes };
    let told = json!({
        "code": "SUCCESS", "message": "attachment uploaded successfully", "status": "success",
        "details": {
            "id": id.to_string(), "Created_Time": state.time(now), "Modified_Time": state.time(now),
            "Created_By": state.minified(user), "Modified_By": state.minified(user),
        },
    });
    state.attachments.insert(id, made);
    state.count_write();
    (200, json!({"data": [told]}))
}

fn list(state: &mut State, user: &str, (module, record): (&str, &str), asked: &Asked) -> Answer {
    state.permit(user, "View", module)?;
    let holder = holder(state, user, module, record)?;
    let names = super::records::named_fields(asked)?;
    let (size, page) = super::records::numbered(asked)?;
    let ids: Option<Vec<&str>> = asked.one("ids").map(|ids| ids.split(',').collect());
    let mut all: Vec<(&u64, &Attachment)> =
        state.attachments.iter().filter(|(_, one)| one.record == holder && one.module == module).collect();
    all.retain(|(id, _)| ids.as_ref().is_none_or(|ids| ids.contains(&id.to_string().as_str())));
    all.reverse();
    let data: Vec<Value> =
        all.iter().skip((page - 1) * size).take(size).map(|(id, one)| shown(state, **id, one, &names)).collect();
    if data.is_empty() {
        return Ok((204, Value::Null));
    }
    let more = all.len() > page * size;
    let info = json!({"per_page": size, "count": data.len(), "page": page, "more_records": more});
    Ok((200, json!({"data": data, "info": info})))
}

fn shown(state: &State, id: u64, one: &Attachment, names: &[String]) -> Value {
    let record = one.record.to_string();
    let title = state.records.get(&one.module).and_then(|all| all.get(&one.record));
    let title = title.map_or(Value::Null, |stored: &Stored| match one.module.as_str() {
        "Accounts" => state.value(one.record, stored, "Account_Name"),
        "Deals" => state.value(one.record, stored, "Deal_Name"),
        _ => state.value(one.record, stored, "Full_Name"),
    });
    let mut all = Map::from_iter([("id".to_owned(), json!(id.to_string()))]);
    for name in names {
        let value = match name.as_str() {
            "id" => continue,
            "File_Name" => json!(one.name),
            "Size" => json!(one.bytes.len().to_string()),
            "Created_Time" => json!(state.time(one.created_ms)),
            "Modified_Time" => json!(state.time(one.modified_ms)),
            "Owner" | "Created_By" | "Modified_By" => state.minified(&one.by),
            "Parent_Id" => json!({"id": record, "name": title}),
            "$type" => json!(if one.link.is_some() { "Link URL" } else { "Attachment" }),
            "$link_url" => json!(one.link),
            "$file_id" => json!(format!("f{id}x{}", one.modified_ms)),
            "$se_module" => json!(one.module),
            "$editable" => json!(true),
            "$state" => json!("save"),
            // Zoho passes over names that it does not know.
            _ => continue,
        };
        all.insert(name.clone(), value);
    }
    Value::Object(all)
}

/// By a list of ids, or one.
pub(super) fn delete(state: &mut State, user: &str, (module, record): (&str, &str), ids: &str) -> Answer {
    state.permit(user, "Edit", module)?;
    let record = holder(state, user, module, record)?;
    let mut results = Vec::new();
    for id in ids.split(',') {
        let known = id.parse().ok().filter(|id| {
            state.attachments.get(id).is_some_and(|one: &Attachment| one.record == record && one.module == module)
        });
        results.push(match known {
            Some(known) => {
                state.attachments.remove(&known);
                state.next();
                state.count_write();
                Ok(json!({"code": "SUCCESS", "details": {"id": id}, "message": "record deleted", "status": "success"}))
            }
            None => Err(no_such(3)),
        });
    }
    super::writes::told(results, 200)
}

/// The bytes; a link has none (204).
pub(super) fn download(
    state: &State,
    user: &str,
    (module, record): (&str, &str),
    (id, asked): (&str, &Asked),
) -> Result<Response<Bytes>, Refusal> {
    state.permit(user, "View", module)?;
    let record = holder(state, user, module, record)?;
    let one = id.parse().ok().and_then(|id: u64| state.attachments.get(&id));
    let one = one.filter(|one| one.record == record && one.module == module).ok_or_else(|| no_such(3))?;
    let mut answer = Response::builder()
        .header("content-type", "application/x-download;charset=UTF-8")
        .header("content-disposition", "attachment");
    if one.link.is_some() {
        return Ok(answer.status(204).body(Bytes::new()).expect("fixed header names"));
    }
    let whole = one.bytes.len();
    let from = asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: usize = from.filter(|from| state.settings.ranges && *from < whole).unwrap_or(0);
    if from > 0 {
        let part = format!("bytes {from}-{}/{whole}", whole - 1);
        answer = answer.status(206).header("content-range", part);
    }
    let bytes = one.bytes.slice(from..);
    Ok(answer.header("content-length", bytes.len()).body(bytes).expect("fixed header names and numbers"))
}

/// Files go with their record.
pub(super) fn bury(state: &mut State, module: &str, record: u64) {
    state.attachments.retain(|_, one| one.record != record || one.module != module);
}

/// The user attaches a file; its id.
pub(super) fn attach(
    state: &mut State,
    user: &str,
    (module, record): (&str, &str),
    (name, link, bytes): (&str, Option<&str>, Bytes),
) -> Result<String, Refusal> {
    let record = holder(state, user, module, record)?;
    let (_, told) = attached(state, user, (module, record), (name.to_owned(), link.map(str::to_owned), bytes));
    Ok(told["data"][0]["details"]["id"].as_str().unwrap_or_default().to_owned())
}

/// What is at all records.
pub(super) fn all(state: &State) -> Vec<AttachmentView> {
    let view = |(id, one): (&u64, &Attachment)| AttachmentView {
        id: id.to_string(),
        record: (one.module.clone(), one.record.to_string()),
        name: one.name.clone(),
        bytes: one.bytes.clone(),
    };
    state.attachments.iter().map(view).collect()
}

impl FakeZoho {
    /// The user attaches a file to a record; its id. One of that name is there twice then.
    ///
    /// # Panics
    /// Where the user does not see the record.
    pub fn user_attaches(&self, account: &str, module: &str, record: &str, name: &str, bytes: &[u8]) -> String {
        let file = (name, None, Bytes::copy_from_slice(bytes));
        let made = attach(&mut self.now(), account, (module, record), file);
        made.map_err(|refusal| refusal.body().to_string()).expect("a record that the user sees")
    }

    /// The user attaches a link to a record; its id.
    ///
    /// # Panics
    /// Where the user does not see the record.
    pub fn user_links(&self, account: &str, module: &str, record: &str, title: &str, url: &str) -> String {
        let made = attach(&mut self.now(), account, (module, record), (title, Some(url), Bytes::new()));
        made.map_err(|refusal| refusal.body().to_string()).expect("a record that the user sees")
    }

    /// The user edits an attached file in the browser; whether it was there.
    pub fn user_edits_attachment(&self, id: &str, bytes: &[u8]) -> bool {
        let mut state = self.now();
        let (now, id) = (state.now_ms, id.parse().unwrap_or_default());
        let Some(one) = state.attachments.get_mut(&id) else { return false };
        (one.bytes, one.modified_ms) = (Bytes::copy_from_slice(bytes), now);
        state.next();
        true
    }

    /// The user deletes an attachment; whether it was there.
    pub fn user_detaches(&self, id: &str) -> bool {
        let mut state = self.now();
        let gone = state.attachments.remove(&id.parse().unwrap_or_default()).is_some();
        state.next();
        gone
    }

    /// What is attached to all records, the oldest first.
    pub fn attachments(&self) -> Vec<AttachmentView> {
        all(&self.now())
    }
}
