//! The Sync API: at least once, unordered, for each device.
use super::state::{Session, State};
use super::{Answer, Asked, Refusal};
use serde_json::{Value as Json, json};

const MOST_SESSIONS: usize = 100;

fn device(asked: &Asked) -> Result<String, Refusal> {
    asked.header("x-basecrm-device-uuid").map(str::to_owned).ok_or_else(|| Refusal::new(400, "invalid_header"))
}

pub(super) fn start(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let device = device(asked)?;
    let id = format!("session-{}", state.next());
    let page = state.settings.queue_page.max(1);
    let held = state.account(account);
    let acked = held.devices.entry(device.clone()).or_default();
    let unheard = held.marks.iter().filter(|(id, mark)| acked.get(id).is_none_or(|seen| *seen < mark.revision));
    // Newest first: no reader may count on an order.
    let queue: Vec<u64> = unheard.map(|(id, _)| *id).rev().collect();
    if queue.is_empty() {
        return Ok((204, Json::Null));
    }
    let count = queue.len();
    held.sessions.insert(id.clone(), Session { device, queue });
    while held.sessions.len() > MOST_SESSIONS {
        held.sessions.pop_first();
    }
    let main = json!({"data": {"name": "main", "pages": count.div_ceil(page), "total_count": count},
                      "meta": {"type": "sync_queue"}});
    Ok((201, json!({"data": {"id": id, "queues": [main]}, "meta": {"type": "sync_session"}})))
}

pub(super) fn fetch(state: &mut State, account: &str, asked: &Asked, session: &str) -> Answer {
    let device = device(asked)?;
    let page = state.settings.queue_page.max(1);
    let held = state.account(account);
    let open = held.sessions.get_mut(session).filter(|open| open.device == device).ok_or_else(Refusal::missing)?;
    let rest = open.queue.split_off(open.queue.len().min(page));
    let taken = std::mem::replace(&mut open.queue, rest);
    let left = open.queue.len();
    if taken.is_empty() {
        return Ok((204, Json::Null));
    }
    let item = |id: &u64| {
        let mark = &held.marks[id];
        let kind = if *id == 0 { "user" } else { "contact" };
        let event = match (mark.deleted, mark.revision) {
            (true, _) => "deleted",
            (false, 1) => "created",
            (false, _) => "updated",
        };
        let data = match held.contacts.get(id) {
            Some(contact) => Json::Object(contact.clone()),
            None if *id == 0 => json!({"id": held.user}),
            None => json!({"id": id, "is_organization": mark.is_organization}),
        };
        let sync = json!({"event_type": event, "ack_key": format!("{kind}-{id}-{}", mark.revision),
                          "revision": mark.revision});
        json!({"data": data, "meta": {"type": kind, "version": 2, "sync": sync}})
    };
    let items: Vec<Json> = taken.iter().map(item).collect();
    Ok((200, json!({"items": items, "meta": {"type": "collection", "count": items.len(), "count_left": left}})))
}

pub(super) fn ack(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let device = device(asked)?;
    let body = asked.json()?;
    let keys = body["data"]["ack_keys"].as_array().ok_or_else(|| Refusal::new(422, "incorrect_payload"))?;
    let acked = state.account(account).devices.entry(device).or_default();
    for key in keys.iter().filter_map(Json::as_str) {
        let mut parts = key.rsplitn(3, '-');
        if let (Some(Ok(revision)), Some(Ok(id))) = (parts.next().map(str::parse), parts.next().map(str::parse)) {
            acked.insert(id, revision);
        }
    }
    Ok((202, Json::Null))
}
