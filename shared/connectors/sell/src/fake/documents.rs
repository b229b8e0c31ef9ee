//! Documents of leads, contacts and deals. The API lists and reads them; only people make, change and delete them. Their
//! bytes are behind addresses that end after a while and want no token.
use super::core::{enveloped, narrowed, paged};
use super::state::{State, Who};
use super::{Answer, Asked, FakeSell, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// Where bytes are had.
const ADDRESSES: &str = "/_documents/";

/// A document: what the API says of it, but for its address, and its bytes in base64.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Document {
    data: Map<String, Json>,
    bytes: String,
}

/// Whether the user sees the record that a document is at.
fn seen(state: &mut State, who: &Who, kind: &str, id: u64) -> bool {
    let held = state.account(&who.account);
    match kind {
        "contact" => held.contacts.get(&id).is_some_and(|record| who.may_see(record)),
        kind => held.others.get(&id).is_some_and(|other| other.kind == kind && who.may_see(&other.data)),
    }
}

/// A list in one parameter, parted by commas; it must be there.
fn several<'a>(asked: &'a Asked, name: &str) -> Result<Vec<&'a str>, Refusal> {
    let given = asked.one(name).filter(|text| !text.is_empty()).ok_or_else(|| Refusal::of_parameter(name))?;
    Ok(given.split(',').collect())
}

pub(super) fn list(state: &mut State, who: &Who, asked: &Asked) -> Answer {
    let kinds = several(asked, "resource_type")?;
    if kinds.iter().any(|kind| !["lead", "contact", "sales_account", "deal"].contains(kind)) {
        return Err(Refusal::of_parameter("resource_type"));
    }
    let ids: Result<Vec<u64>, _> = several(asked, "resource_id")?.into_iter().map(str::parse).collect();
    let ids = ids.map_err(|_| Refusal::of_parameter("resource_id"))?;
    for kind in &kinds {
        for id in &ids {
            // Which answer a record gets that the user does not see is not documented.
            if !seen(state, who, kind, *id) {
                return Err(Refusal::missing());
            }
        }
    }
    let of = |one: &Document| {
        kinds.iter().any(|kind| one.data["resource_type"] == *kind)
            && ids.iter().any(|id| one.data["resource_id"] == *id)
    };
    let all: Vec<Map<String, Json>> =
        state.account(&who.account).documents.values().filter(|one| of(one)).map(|one| one.data.clone()).collect();
    let narrow = Asked {
        query: asked.query.iter().filter(|(name, _)| !name.starts_with("resource_")).cloned().collect(),
        ..asked.clone()
    };
    let found: Vec<Map<String, Json>> =
        narrowed(all.iter(), &narrow, &["creator_id", "name", "content_type"])?.into_iter().cloned().collect();
    let shown: Vec<Json> = found.into_iter().map(|data| shown(state, who, asked, data)).collect();
    paged(asked, &shown, Json::clone)
}

pub(super) fn get(state: &mut State, who: &Who, asked: &Asked, id: &str) -> Answer {
    let id: u64 = id.parse().map_err(|_| Refusal::of_parameter("id"))?;
    let data = state.account(&who.account).documents.get(&id).map(|one| one.data.clone());
    let data = data.ok_or_else(Refusal::missing)?;
    let (kind, record) = (data["resource_type"].as_str().unwrap_or_default().to_owned(), data["resource_id"].as_u64());
    if !record.is_some_and(|record| seen(state, who, &kind, record)) {
        return Err(Refusal::missing());
    }
    Ok((200, shown(state, who, asked, data)))
}

/// With an address that is good for a while.
fn shown(state: &mut State, who: &Who, asked: &Asked, mut data: Map<String, Json>) -> Json {
    let id = data["id"].as_u64().unwrap_or_default();
    let name = format!("{id}-{:x}", state.next());
    let until = state.now_ms + state.settings.address_seconds * 1_000;
    state.addresses.insert(name.clone(), (who.account.clone(), id, until));
    data.insert("download_url".to_owned(), json!(format!("{}{ADDRESSES}{name}", asked.host)));
    enveloped("document", &data)
}

/// The bytes behind an address; `None`: it is another path.
pub(super) fn bytes(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    let name = asked.path.strip_prefix(ADDRESSES)?;
    let status = |code: u16| Response::builder().status(code);
    let address = state.addresses.get(name).filter(|(_, _, until)| state.now_ms < *until).cloned();
    let document = address.and_then(|(account, id, _)| state.account(&account).documents.get(&id).cloned());
    // It carries its own right; one that has ended is refused as stores of bytes do it.
    let Some(document) = document.filter(|_| asked.header("authorization").is_none()) else {
        return Some(status(403).body(Bytes::new()).expect("a status in range"));
    };
    let whole = Bytes::from(STANDARD.decode(&document.bytes).unwrap_or_default());
    let from = asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: usize = from.filter(|from| state.settings.ranges && *from < whole.len()).unwrap_or(0);
    let mut answer = status(if from > 0 { 206 } else { 200 });
    if from > 0 {
        answer = answer.header("content-range", format!("bytes {from}-{}/{}", whole.len() - 1, whole.len()));
    }
    let part = whole.slice(from..);
    let kind = document.data["content_type"].as_str().unwrap_or("application/octet-stream").to_owned();
    let answer = answer.header("content-type", kind).header("content-length", part.len());
    Some(answer.body(part).expect("plain headers"))
}

/// What a person does with documents: `{resource_type, resource_id, name, text}`, `{id, text}`, `{id}`.
pub(super) fn order(state: &mut State, who: &Who, method: &str, body: &Json) -> Answer {
    let text = body["text"].as_str().unwrap_or_default().as_bytes();
    match method {
        "POST" => {
            let (kind, record) = (body["resource_type"].as_str().unwrap_or_default(), body["resource_id"].as_u64());
            let record = record.filter(|record| seen(state, who, kind, *record)).ok_or_else(Refusal::missing)?;
            Ok((200, json!({"id": upload(state, who, (kind, record), &body["name"], text)})))
        }
        "PATCH" => {
            let now = state.now();
            let id = body["id"].as_u64().unwrap_or_default();
            let document = state.account(&who.account).documents.get_mut(&id).ok_or_else(Refusal::missing)?;
            document.bytes = STANDARD.encode(text);
            document.data.insert("size".to_owned(), json!(text.len()));
            document.data.insert("updated_at".to_owned(), now);
            Ok((200, json!({})))
        }
        _ => {
            let gone = state.account(&who.account).documents.remove(&body["id"].as_u64().unwrap_or_default());
            gone.map(|_| (200, json!({}))).ok_or_else(Refusal::missing)
        }
    }
}

fn upload(state: &mut State, who: &Who, (kind, record): (&str, u64), name: &Json, bytes: &[u8]) -> u64 {
    let (id, now) = (1_380_000 + state.next(), state.now());
    let ending = name.as_str().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    let content_type = match ending {
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    };
    let data = json!({"id": id, "resource_type": kind, "resource_id": record, "creator_id": who.user, "name": name,
        "content_type": content_type, "size": bytes.len(), "created_at": now, "updated_at": now});
    let data = data.as_object().cloned().unwrap_or_default();
    state.account(&who.account).documents.insert(id, Document { data, bytes: STANDARD.encode(bytes) });
    id
}

impl FakeSell {
    /// The user uploads a document to a record (`contact`, `lead`, `deal`); its id.
    pub fn user_uploads(&self, email: &str, (kind, record): (&str, u64), name: &str, bytes: &[u8]) -> u64 {
        let mut state = self.locked();
        let who = state.who(email);
        upload(&mut state, &who, (kind, record), &json!(name), bytes)
    }
    /// What is at all records of the account: id, name and bytes.
    pub fn documents(&self, email: &str) -> Vec<(u64, String, Vec<u8>)> {
        let mut state = self.locked();
        let who = state.who(email);
        let view = |(id, one): (&u64, &Document)| {
            let name = one.data["name"].as_str().unwrap_or_default().to_owned();
            (*id, name, STANDARD.decode(&one.bytes).unwrap_or_default())
        };
        state.account(&who.account).documents.iter().map(view).collect()
    }
    /// This fault meets the call after so many further ones, and replaces those that still wait.
    pub fn inject_after(&self, after: usize, fault: super::Fault) {
        let passes = std::iter::repeat_n(super::Fault::Pass, after);
        self.locked().faults = passes.chain([fault]).collect();
    }
    /// Calls so far are forgotten.
    pub fn forget_calls(&self) {
        self.locked().calls.clear();
    }
}
