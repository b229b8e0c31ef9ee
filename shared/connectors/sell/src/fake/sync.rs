//! The Sync API: at least once, unordered, for each device of each user.
use super::state::{Account, Session, Settings, State, Tombstones, Who};
use super::{Answer, Asked, Refusal};
use serde_json::{Value as Json, json};

const MOST_SESSIONS: usize = 100;

/// Devices of different users are different, whatever they call themselves.
fn device(who: &Who, asked: &Asked) -> Result<String, Refusal> {
    let uuid = asked.header("x-basecrm-device-uuid").ok_or_else(|| Refusal::new(400, "invalid_header"))?;
    Ok(format!("{}/{uuid}", who.user))
}

/// A user hears of what they see. Of deletions everybody hears, also who never saw the object.
fn hears(held: &Account, who: &Who, id: u64) -> bool {
    match held.contacts.get(&id).or(held.others.get(&id).map(|other| &other.data)) {
        Some(record) => who.may_see(record),
        None => true,
    }
}

pub(super) fn start(state: &mut State, who: &Who, asked: &Asked) -> Answer {
    let device = device(who, asked)?;
    let id = format!("session-{}", state.next());
    let (page, redeliver, now) = (state.settings.queue_page.max(1), state.settings.redeliver, state.now_ms);
    let held = state.account(&who.account);
    let acked = held.devices.get(&device).cloned().unwrap_or_default();
    let heard = |(id, revision): (&u64, u64)| acked.get(id).is_some_and(|seen| *seen >= revision);
    // Newest first: no reader may count on an order.
    let marks = held.marks.iter().rev().filter(|(id, _)| hears(held, who, **id));
    let (again, mut queue): (Vec<u64>, Vec<u64>) =
        marks.fold((Vec::new(), Vec::new()), |(mut again, mut queue), (id, mark)| {
            if heard((id, mark.revision)) {
                again.push(*id)
            } else {
                queue.push(*id)
            }
            (again, queue)
        });
    if queue.is_empty() {
        return Ok((204, Json::Null));
    }
    queue.extend(again.into_iter().take(redeliver));
    let count = queue.len();
    held.sessions.insert(id.clone(), Session { device, queue, started_ms: now });
    while held.sessions.len() > MOST_SESSIONS {
        held.sessions.pop_first();
    }
    let main = json!({"data": {"name": "main", "pages": count.div_ceil(page), "total_count": count},
                      "meta": {"type": "sync_queue"}});
    Ok((201, json!({"data": {"id": id, "queues": [main]}, "meta": {"type": "sync_session"}})))
}

pub(super) fn fetch(state: &mut State, who: &Who, asked: &Asked, session: &str) -> Answer {
    let device = device(who, asked)?;
    let (settings, now) = (state.settings.clone(), state.now_ms);
    let alive = |open: &&mut Session| open.device == device && now < open.started_ms + settings.session_seconds * 1_000;
    let held = state.account(&who.account);
    let open = held.sessions.get_mut(session).filter(alive).ok_or_else(Refusal::missing)?;
    if open.queue.is_empty() {
        return Ok((204, Json::Null));
    }
    if settings.empty_pages > 0 {
        let left = open.queue.len();
        state.settings.empty_pages -= 1;
        return Ok((200, json!({"items": [], "meta": {"type": "collection", "count": 0, "count_left": left}})));
    }
    let rest = open.queue.split_off(open.queue.len().min(settings.queue_page.max(1)));
    let taken = std::mem::replace(&mut open.queue, rest);
    let left = open.queue.len();
    let acked = held.devices.get(&device).cloned().unwrap_or_default();
    let shown = taken.iter().map(|id| item(held, who, &settings, *id, acked.contains_key(id)));
    let items: Vec<Json> = shown.collect();
    Ok((200, json!({"items": items, "meta": {"type": "collection", "count": items.len(), "count_left": left}})))
}

/// `known` to the device: it acknowledged some state of it.
fn item(held: &Account, who: &Who, settings: &Settings, id: u64, known: bool) -> Json {
    let mark = &held.marks[&id];
    let event = match (mark.deleted, known) {
        (true, _) => "deleted",
        (false, true) => "updated",
        (false, false) => "created",
    };
    let record = held.contacts.get(&id).or(held.others.get(&id).map(|other| &other.data));
    let data = match (record, settings.tombstones) {
        (Some(record), _) => Json::Object(record.clone()),
        (None, _) if id == 0 => json!({"id": who.user, "email": who.email}),
        (None, Tombstones::Kind) if mark.kind == "contact" => {
            json!({"id": id, "is_organization": mark.is_organization})
        }
        (None, Tombstones::Kind | Tombstones::Bare) => json!({"id": id}),
    };
    let (first, rest) = mark.kind.split_at(1);
    let ack_key = format!("{}{rest}-{id}-{}", first.to_uppercase(), mark.revision);
    let sync = json!({"event_type": event, "ack_key": ack_key, "revision": mark.revision});
    json!({"data": data, "meta": {"type": mark.kind, "version": 2, "sync": sync}})
}

/// Keys of sessions that have ended are as good as any.
pub(super) fn ack(state: &mut State, who: &Who, asked: &Asked) -> Answer {
    let device = device(who, asked)?;
    let body = asked.json()?;
    let keys = body["data"]["ack_keys"].as_array().ok_or_else(|| Refusal::new(422, "incorrect_payload"))?;
    let acked = state.account(&who.account).devices.entry(device).or_default();
    for key in keys.iter().filter_map(Json::as_str) {
        let mut parts = key.rsplitn(3, '-');
        if let (Some(Ok(revision)), Some(Ok(id))) = (parts.next().map(str::parse), parts.next().map(str::parse)) {
            let seen = acked.entry(id).or_insert(revision);
            *seen = revision.max(*seen);
        }
    }
    Ok((202, Json::Null))
}
