//! `events.*`, `activityTypes.list` and `migrate.activityType`: the older calendar, in which each meeting, each call and each
//! planned time of a task is an event too.
use super::mail::mandatory;
use super::state::{Account, State, Stored};
use super::{Answer, Refusal, Reply, lists};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The three that every account has, called in the account's language.
const TYPES: [(&str, &str); 3] = [("meeting", "Afspraak"), ("call", "Oproep"), ("task", "Taak")];

pub(super) fn answer(
    state: &mut State,
    (account, user): (&str, &str),
    action: &str,
    body: &Map<String, Value>,
) -> Answer {
    match action {
        "list" => list(state, account, body),
        "info" => {
            let id = mandatory(body, "id")?;
            let found = all(state.account(account)).into_iter().find(|event| event["id"] == id);
            Ok(Reply::Data(json!({"data": found.ok_or_else(Refusal::missing)?})))
        }
        "create" => {
            let id = create(state, account, user, body)?;
            state.wrote();
            Ok(Reply::Made("event", id))
        }
        "update" => {
            let id = known(state, account, body)?;
            change(state, account, &id, body)?;
            state.wrote();
            Ok(Reply::Done)
        }
        "cancel" => {
            let id = known(state, account, body)?;
            state.account(account).events.remove(&id);
            state.wrote();
            Ok(Reply::Done)
        }
        _ => Err(Refusal::missing()),
    }
}

fn known(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    let id = mandatory(body, "id")?.as_str().unwrap_or_default().to_owned();
    if state.account(account).events.contains_key(&id) { Ok(id) } else { Err(Refusal::missing()) }
}

/// The id of one of the three.
fn face(held: &Account, kind: &str) -> Value {
    json!(format!("at-{kind}-{}", held.account_id))
}

pub(super) fn shown(event: &Stored) -> Value {
    let mut shown = event.data.clone();
    shown.entry("task").or_insert(Value::Null);
    for name in ["description", "location"] {
        shown.entry(name).or_insert(json!(""));
    }
    for name in ["attendees", "links"] {
        shown.entry(name).or_insert(json!([]));
    }
    shown.insert("id".to_owned(), json!(event.id));
    Value::Object(shown)
}

fn instant(record: &Stored) -> Timestamp {
    record.text("scheduled_at").parse().unwrap_or_default()
}

fn written(at: Timestamp) -> String {
    super::state::shown_time(at.as_millisecond())
}

/// All events, with the faces of meetings and calls. How Teamleader names those is documented nowhere: like the record here.
fn all(held: &Account) -> Vec<Value> {
    let face = |kind: &str, record: &Stored, minutes: i64, attendees: Value| {
        let start = instant(record);
        json!({"id": record.id, "creator": {"type": "user", "id": held.user_id}, "task": null,
            "activity_type": {"type": "activityType", "id": face(held, kind)},
            "title": record.text("title"), "description": record.text("description"), "location": "",
            "starts_at": written(start), "ends_at": written(start + SignedDuration::from_mins(minutes)),
            "attendees": attendees, "links": []})
    };
    let meetings = held.meetings.values().map(|meeting| {
        let minutes = meeting.data["duration"]["value"].as_i64().unwrap_or_default();
        face("meeting", meeting, minutes, meeting.data["attendees"].clone())
    });
    let calls = held.calls.values().map(|call| face("call", call, 15, json!([call.data["assignee"]])));
    held.events.values().map(shown).chain(meetings).chain(calls).collect()
}

fn list(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let filter = body.get("filter").cloned().unwrap_or_default();
    let at = |text: &Value| text.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let mut found = all(state.account(account));
    found.retain(|event| {
        let texts = format!("{} {}", event["title"], event["description"]).to_lowercase();
        let with = |list: &str, wanted: &Value| {
            event[list]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["type"] == wanted["type"] && one["id"] == wanted["id"]))
        };
        let of =
            |user: &Value| event["creator"]["id"] == *user || with("attendees", &json!({"type": "user", "id": user}));
        filter["ids"].as_array().is_none_or(|ids| ids.contains(&event["id"]))
            && filter.get("user_id").is_none_or(of)
            && filter.get("activity_type_id").is_none_or(|kind| event["activity_type"]["id"] == *kind)
            && at(&filter["ends_after"]).is_none_or(|after| at(&event["ends_at"]) >= Some(after))
            && at(&filter["starts_before"]).is_none_or(|before| at(&event["starts_at"]) <= Some(before))
            && filter["term"].as_str().is_none_or(|term| texts.contains(&term.to_lowercase()))
            && filter.get("attendee").is_none_or(|one| with("attendees", one))
            && filter.get("link").is_none_or(|one| with("links", one))
            && filter.get("task_id").is_none_or(|id| event["task"]["id"] == *id)
    });
    found.sort_by_key(|event| (event["starts_at"].to_string(), event["id"].to_string()));
    if body.get("sort").is_some_and(|sort| sort[0]["order"] == "desc") {
        found.reverse();
    }
    Ok(lists::paged(state, body, found, |event| event))
}

pub(super) fn create(
    state: &mut State,
    account: &str,
    user: &str,
    body: &Map<String, Value>,
) -> Result<String, Refusal> {
    for name in ["title", "activity_type_id", "starts_at", "ends_at"] {
        mandatory(body, name)?;
    }
    if !types(state.account(account)).iter().any(|one| one["id"] == body["activity_type_id"]) {
        return Err(Refusal::invalid("activity_type_id is not known."));
    }
    let creator = json!({"type": "user", "id": user});
    make(state, account, Map::from_iter([("creator".to_owned(), creator)]), body)
}

/// The time that a task is planned at.
pub(super) fn of_task(
    state: &mut State,
    account: &str,
    task: &Value,
    body: &Map<String, Value>,
) -> Result<String, Refusal> {
    for name in ["starts_at", "ends_at"] {
        mandatory(body, name)?;
    }
    let held = state.account(account);
    let data = json!({"creator": {"type": "user", "id": held.user_id}, "task": {"type": "task", "id": task["id"]},
        "activity_type": {"type": "activityType", "id": face(held, "task")}, "title": task["title"],
        "attendees": [task["assignee"]]});
    let times = body.iter().filter(|(name, _)| *name != "id").map(|(name, value)| (name.clone(), value.clone()));
    make(state, account, data.as_object().cloned().unwrap_or_default(), &times.collect())
}

fn make(
    state: &mut State,
    account: &str,
    data: Map<String, Value>,
    body: &Map<String, Value>,
) -> Result<String, Refusal> {
    let (id, now) = (state.uuid(), state.now_ms);
    let data = merged(state.account(account), data, body)?;
    let event = Stored { id: id.clone(), added_ms: now, updated_ms: now, data };
    state.account(account).events.insert(id.clone(), event);
    Ok(id)
}

pub(super) fn change(state: &mut State, account: &str, id: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    let held = state.account(account);
    let mut before = held.events.get(id).ok_or_else(Refusal::missing)?.data.clone();
    // Links to deals that are not sent again are gone (version 2023-09-26).
    if !body.contains_key("links")
        && let Some(links) = before.get_mut("links").and_then(Value::as_array_mut)
    {
        links.retain(|link| link["type"] != "deal");
    }
    let data = merged(held, before, body)?;
    held.events.get_mut(id).ok_or_else(Refusal::missing)?.data = data;
    Ok(())
}

fn merged(
    held: &Account,
    mut data: Map<String, Value>,
    body: &Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    if body.contains_key("title") {
        mandatory(body, "title")?;
    }
    for name in ["title", "description", "location"] {
        if let Some(text) = body.get(name) {
            data.insert(name.to_owned(), json!(text.as_str().unwrap_or_default()));
        }
    }
    for name in ["starts_at", "ends_at"] {
        let Some(at) = body.get(name) else { continue };
        let at: Result<Timestamp, _> = at.as_str().unwrap_or_default().parse();
        let at = at.map_err(|_| Refusal::invalid(format!("{name} is not a valid date time.")))?;
        data.insert(name.to_owned(), json!(written(at)));
    }
    if data["ends_at"].as_str() < data["starts_at"].as_str() {
        return Err(Refusal::invalid("ends_at must be after starts_at."));
    }
    if let Some(kind) = body.get("activity_type_id") {
        data.insert("activity_type".to_owned(), json!({"type": "activityType", "id": kind}));
    }
    let there = |one: &Value| {
        let id = one["id"].as_str().unwrap_or_default();
        match one["type"].as_str() {
            Some("user") => held.has_user(id),
            Some("contact") => held.contacts.contains_key(id),
            Some("company") => held.companies.contains_key(id),
            // Deals are not here.
            Some("deal") => true,
            Some(_) | None => false,
        }
    };
    for (name, kinds) in [("attendees", &["user", "contact"][..]), ("links", &["contact", "company", "deal"])] {
        let Some(list) = body.get(name) else { continue };
        let list = list.as_array().ok_or_else(|| Refusal::invalid(format!("{name} is not a list.")))?;
        let fits = |one: &Value| kinds.iter().any(|kind| one["type"] == *kind) && there(one);
        if !list.iter().all(fits) {
            return Err(Refusal::invalid(format!("{name} has somebody unknown.")));
        }
        data.insert(name.to_owned(), json!(list));
    }
    Ok(data)
}

fn types(held: &Account) -> Vec<Value> {
    let own = TYPES.iter().map(|(kind, name)| json!({"id": face(held, kind), "name": name}));
    own.chain(held.activity_types.iter().cloned()).collect()
}

pub(super) fn types_list(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let ids = body.get("filter").map(|filter| filter["ids"].clone()).unwrap_or_default();
    let mut rows = types(state.account(account));
    rows.retain(|row| ids.as_array().is_none_or(|ids| ids.contains(&row["id"])));
    Ok(lists::paged(state, body, rows, |row| row))
}

/// `migrate.activityType`.
pub(super) fn migrated(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let kind = mandatory(body, "type")?;
    let kind = kind.as_str().filter(|kind| TYPES.iter().any(|(known, _)| known == kind));
    let kind = kind.ok_or_else(|| Refusal::invalid("type is not a known type."))?;
    Ok(Reply::Data(json!({"data": {"type": "activityType", "id": face(state.account(account), kind)}})))
}

/// A type of the account's own, as older accounts have them; its id.
pub(super) fn user_names(state: &mut State, account: &str, name: &str) -> String {
    let id = state.uuid();
    state.account(account).activity_types.push(json!({"id": id, "name": name}));
    id
}
