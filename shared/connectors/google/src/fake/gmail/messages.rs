//! Messages: listed, read, inserted, labelled.
use super::super::state::State;
use super::super::{Asked, Refusal, text};
use super::{EventKind, Mailbox, SYSTEM_LABELS, Stored, mailbox, note};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `messages.insert` takes at most 150 MiB.
const LARGEST: usize = 150 * 1024 * 1024;

/// What a search asks for. Only what the connector and the client tests need; anything else is refused, loudly.
struct Search {
    after_ms: i64,
    id: Option<String>,
    everywhere: bool,
}

fn search(q: &str, now_ms: i64) -> Result<Search, Refusal> {
    let mut search = Search { after_ms: i64::MIN, id: None, everywhere: false };
    for term in q.split_whitespace() {
        match term.split_once(':') {
            Some(("newer_than", age)) if age.ends_with('d') => {
                let days: i64 = age.trim_end_matches('d').parse().map_err(|_| Refusal::invalid("newer_than"))?;
                search.after_ms = now_ms - days * 86_400_000;
            }
            Some(("rfc822msgid", id)) => search.id = Some(id.trim_matches(['<', '>']).to_owned()),
            Some(("in", "anywhere")) => search.everywhere = true,
            _ => return Err(Refusal::invalid(format!("the simulator does not know the search term {term}"))),
        }
    }
    Ok(search)
}

pub(super) fn list(state: &mut State, account: &str, asked: &Asked) -> super::super::Answer {
    let search = search(asked.one("q").unwrap_or_default(), state.now_ms)?;
    let hidden = search.everywhere || asked.one("includeSpamTrash") == Some("true");
    let labels = asked.all("labelIds");
    let most: usize =
        asked.one("maxResults").map_or(Ok(100), str::parse).map_err(|_| Refusal::invalid("maxResults"))?;
    let most = most.clamp(1, 500);
    let page: usize =
        asked.one("pageToken").map_or(Ok(0), str::parse).map_err(|_| Refusal::invalid("Invalid pageToken"))?;
    let held = mailbox(state, account);
    let shown = |message: &&Stored| {
        let away = |label: &str| message.labels.contains(label) && !labels.iter().any(|asked| asked == label);
        message.received_ms >= search.after_ms
            && labels.iter().all(|label| message.labels.contains(label))
            && (hidden || !(away("SPAM") || away("TRASH")))
            && search.id.as_ref().is_none_or(|id| header(&message.raw, "message-id").trim_matches(['<', '>']) == id)
    };
    let mut all: Vec<&Stored> = held.messages.values().filter(shown).collect();
    all.sort_by_key(|message| std::cmp::Reverse((message.received_ms, message.history)));
    let ids: Vec<Value> = all.iter().skip(page).take(most).map(|m| json!({"id": m.id, "threadId": m.id})).collect();
    let mut answer = json!({"resultSizeEstimate": all.len()});
    if !ids.is_empty() {
        answer["messages"] = json!(ids);
    }
    if all.len() > page + most {
        answer["nextPageToken"] = json!((page + most).to_string());
    }
    Ok(answer)
}

pub(super) fn get(held: &mut Mailbox, id: &str, asked: &Asked, only_metadata: bool) -> super::super::Answer {
    let message = held.messages.get(id).ok_or_else(Refusal::missing)?;
    let format = asked.one("format").unwrap_or("full");
    if only_metadata && ["full", "raw"].contains(&format) {
        return Err(super::Fault::Forbidden.refusal());
    }
    let wanted: Vec<String> = asked.all("metadataHeaders").iter().map(|name| name.to_lowercase()).collect();
    let mut answer = json!({
        "id": message.id, "threadId": message.id, "labelIds": message.labels, "snippet": "",
        "historyId": message.history.to_string(), "internalDate": message.received_ms.to_string(),
        "sizeEstimate": bytes_of(message).len(),
    });
    match format {
        "minimal" => {}
        "raw" => answer["raw"] = json!(URL_SAFE.encode(bytes_of(message))),
        "metadata" => {
            let all = headers(&message.raw);
            let some = all.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(&name.to_lowercase()));
            let some: Vec<Value> = some.map(|(name, value)| json!({"name": name, "value": value})).collect();
            answer["payload"] = json!({"mimeType": "text/plain", "headers": some});
        }
        _ => return Err(Refusal::invalid("the simulator knows the formats minimal, metadata and raw")),
    }
    Ok(answer)
}

/// The stored form is base64, so that a state file holds any bytes.
fn bytes_of(message: &Stored) -> Vec<u8> {
    STANDARD.decode(&message.raw).unwrap_or_default()
}

/// Name and unfolded value of each header.
fn headers(raw: &str) -> Vec<(String, String)> {
    let bytes = STANDARD.decode(raw).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    let head = text.split("\n\n").next().unwrap_or_default().replace("\n ", " ").replace("\n\t", " ");
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    head.lines().filter_map(pair).collect()
}

fn header(raw: &str, wanted: &str) -> String {
    let all = headers(raw);
    all.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value).unwrap_or_default()
}

pub(super) fn insert(state: &mut State, account: &str, asked: &Asked, body: &Value) -> super::super::Answer {
    let raw = if asked.path.starts_with("/upload/") {
        asked.body.to_vec()
    } else {
        let text = text(body, "raw").trim_end_matches('=');
        URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::invalid("'raw' RFC822 payload message string is required"))?
    };
    if raw.is_empty() || raw.len() > LARGEST {
        return Err(Refusal::invalid("'raw' RFC822 payload message string or uploading message is required"));
    }
    let labels: BTreeSet<String> = strings(body, "labelIds").collect();
    check_labels(mailbox(state, account), &labels)?;
    let id = put(state, account, &raw, labels.clone());
    state.wrote(1);
    Ok(json!({"id": id, "threadId": id, "labelIds": labels}))
}

/// Puts a message into the mailbox.
pub(super) fn put(state: &mut State, account: &str, raw: &[u8], labels: BTreeSet<String>) -> String {
    let id = format!("{:016x}", 0x18c0_0000_0000_0000_u64 + state.next());
    let history = note(state, account, EventKind::Added, &id, labels.clone());
    let (received_ms, raw) = (state.now_ms, STANDARD.encode(raw));
    let message = Stored { id: id.clone(), raw, labels, received_ms, history };
    mailbox(state, account).messages.insert(id.clone(), message);
    id
}

pub(super) fn modify(state: &mut State, account: &str, id: &str, body: &Value) -> super::super::Answer {
    let (add, remove): (BTreeSet<_>, BTreeSet<_>) =
        (strings(body, "addLabelIds").collect(), strings(body, "removeLabelIds").collect());
    let held = mailbox(state, account);
    check_labels(held, &add)?;
    check_labels(held, &remove)?;
    let before = held.messages.get(id).ok_or_else(Refusal::missing)?.labels.clone();
    let fresh: BTreeSet<String> = add.difference(&before).cloned().collect();
    let gone: BTreeSet<String> = remove.intersection(&before).cloned().collect();
    let message = held.messages.get_mut(id).ok_or_else(Refusal::missing)?;
    message.labels.extend(fresh.clone());
    message.labels.retain(|label| !gone.contains(label));
    let labels = message.labels.clone();
    for (kind, changed) in [(EventKind::LabelAdded, fresh), (EventKind::LabelRemoved, gone)] {
        if !changed.is_empty() {
            note(state, account, kind, id, changed);
        }
    }
    state.wrote(1);
    Ok(json!({"id": id, "threadId": id, "labelIds": labels}))
}

fn check_labels(held: &Mailbox, labels: &BTreeSet<String>) -> Result<(), Refusal> {
    let known = |label: &String| SYSTEM_LABELS.contains(&label.as_str()) || held.labels.contains_key(label);
    match labels.iter().find(|label| !known(label)) {
        Some(label) => Err(Refusal::invalid(format!("Invalid label: {label}"))),
        None => Ok(()),
    }
}

fn strings<'v>(body: &'v Value, name: &str) -> impl Iterator<Item = String> + 'v {
    body.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}
