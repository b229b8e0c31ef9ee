//! `meetings.*` and `users.list`.
use super::state::{Account, Colleague, State, Stored, shown_time};
use super::{Answer, FakeTeamleader, Refusal, Reply, lists, webhooks};
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil::Date};
use serde_json::{Map, Value, json};

/// The members that `meetings.list` leaves out.
const INFO_ONLY: [&str; 5] = ["location", "deal", "online_meeting_room", "custom_fields", "workOrder"];

pub(super) fn answer(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    match action {
        "list" => list(state, account, body),
        "info" => {
            let id = known(state, account, body)?;
            Ok(Reply::Data(json!({"data": info(&state.accounts[account].meetings[&id])})))
        }
        "schedule" => {
            let id = create(state, account, body)?;
            state.wrote();
            Ok(Reply::Made("meeting", id))
        }
        "update" => {
            let id = known(state, account, body)?;
            change(state, account, &id, body)?;
            state.wrote();
            Ok(Reply::Done)
        }
        "complete" => {
            let id = known(state, account, body)?;
            set(state, account, &id, "status", json!("done"));
            state.wrote();
            Ok(Reply::Done)
        }
        "delete" => {
            let id = known(state, account, body)?;
            state.account(account).meetings.remove(&id);
            state.wrote();
            Ok(Reply::Done)
        }
        _ => Err(Refusal::missing()),
    }
}

fn known(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    let id = body.get("id").and_then(Value::as_str).ok_or_else(|| Refusal::invalid("id is mandatory."))?;
    if state.account(account).meetings.contains_key(id) { Ok(id.to_owned()) } else { Err(Refusal::missing()) }
}

fn list(state: &mut State, account: &str, body: &Map<String, Value>) -> Answer {
    let filter = body.get("filter").cloned().unwrap_or_default();
    let day = |name: &str| match filter[name].as_str() {
        None => Ok(None),
        Some(text) => text.parse::<Date>().map(Some).map_err(|_| Refusal::invalid(format!("{name} is not a date."))),
    };
    let (first, last) = (day("start_date")?, day("end_date")?);
    let zone = TimeZone::get("Europe/Brussels").map_err(|_| Refusal::new(500, "no zones"))?;
    let held = state.account(account);
    let mut found: Vec<Stored> = held.meetings.values().cloned().collect();
    found.retain(|meeting| {
        let on = zone.to_datetime(starts(meeting)).date();
        let text = format!("{} {}", meeting.text("title"), meeting.text("description")).to_lowercase();
        let same = |name: &str, member: &str| {
            let wanted = filter[name].as_str();
            wanted.is_none_or(|wanted| meeting.data.get(member).is_some_and(|member| member["id"] == wanted))
        };
        let ids = filter["ids"].as_array();
        first.is_none_or(|first| on >= first)
            && last.is_none_or(|last| on <= last)
            && ids.is_none_or(|ids| ids.iter().any(|id| *id == meeting.id))
            && filter["term"].as_str().is_none_or(|term| text.contains(&term.to_lowercase()))
            && filter["employee_id"].as_str().is_none_or(|user| is_at(meeting, user))
            && same("milestone_id", "milestone")
            && same("recurrence_id", "recurrence")
    });
    found.sort_by_key(|meeting| (starts(meeting), meeting.id.clone()));
    if body.get("sort").is_some_and(|sort| sort[0]["order"] == "desc") {
        found.reverse();
    }
    Ok(lists::paged(state, body, found, |meeting| row(&meeting)))
}

fn is_at(meeting: &Stored, user: &str) -> bool {
    meeting.list("attendees").iter().any(|guest| guest["type"] == "user" && guest["id"] == user)
}

fn starts(meeting: &Stored) -> Timestamp {
    meeting.text("scheduled_at").parse().unwrap_or_default()
}

/// A meeting as `info` shows it.
pub(super) fn info(meeting: &Stored) -> Value {
    let mut shown = meeting.data.clone();
    for name in
        ["customer", "project", "milestone", "location", "deal", "online_meeting_room", "recurrence", "workOrder"]
    {
        shown.entry(name).or_insert(Value::Null);
    }
    shown.entry("description").or_insert(json!(""));
    shown.entry("custom_fields").or_insert(json!([]));
    shown.insert("id".to_owned(), json!(meeting.id));
    shown.insert("created_at".to_owned(), json!(shown_time(meeting.added_ms)));
    Value::Object(shown)
}

fn row(meeting: &Stored) -> Value {
    let mut shown = info(meeting);
    if let Some(shown) = shown.as_object_mut() {
        shown.retain(|name, _| !INFO_ONLY.contains(&name.as_str()));
    }
    shown
}

fn create(state: &mut State, account: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    for name in ["title", "starts_at", "ends_at", "attendees"] {
        if body.get(name).is_none_or(Value::is_null) {
            return Err(Refusal::invalid(format!("{name} is mandatory.")));
        }
    }
    let data = merged(state.account(account), &Map::from_iter([("status".to_owned(), json!("open"))]), body)?;
    let (id, now) = (state.uuid(), state.now_ms);
    let meeting = Stored { id: id.clone(), added_ms: now, updated_ms: now, data };
    state.account(account).meetings.insert(id.clone(), meeting);
    Ok(id)
}

fn change(state: &mut State, account: &str, id: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    let now = state.now_ms;
    let held = state.account(account);
    let before = held.meetings.get(id).ok_or_else(Refusal::missing)?.data.clone();
    let data = merged(held, &before, body)?;
    let meeting = held.meetings.get_mut(id).ok_or_else(Refusal::missing)?;
    (meeting.data, meeting.updated_ms) = (data, now);
    Ok(())
}

fn set(state: &mut State, account: &str, id: &str, name: &str, value: Value) {
    if let Some(meeting) = state.account(account).meetings.get_mut(id) {
        meeting.data.insert(name.to_owned(), value);
    }
}

/// The members after a request.
fn merged(
    held: &Account,
    before: &Map<String, Value>,
    body: &Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    let mut data = before.clone();
    if let Some(title) = body.get("title") {
        let title = title.as_str().filter(|title| !title.trim().is_empty());
        data.insert("title".to_owned(), json!(title.ok_or_else(|| Refusal::invalid("title must not be empty."))?));
    }
    if let Some(text) = body.get("description") {
        data.insert("description".to_owned(), json!(text.as_str().unwrap_or_default()));
    }
    put_times(&mut data, body)?;
    if let Some(guests) = body.get("attendees") {
        data.insert("attendees".to_owned(), attendees(held, guests)?);
    }
    if let Some(customer) = body.get("customer") {
        let there = customer.is_null()
            || match customer["type"].as_str() {
                Some("contact") => held.contacts.contains_key(customer["id"].as_str().unwrap_or_default()),
                Some("company") => held.companies.contains_key(customer["id"].as_str().unwrap_or_default()),
                Some(_) | None => false,
            };
        if !there {
            return Err(Refusal::invalid("customer is not known."));
        }
        data.insert("customer".to_owned(), customer.clone());
    }
    if let Some(location) = body.get("location") {
        data.insert("location".to_owned(), place(location)?);
    }
    for (given, member, kind) in [("deal_id", "deal", "deal"), ("milestone_id", "milestone", "milestone")] {
        if let Some(id) = body.get(given) {
            let shown = if id.is_null() { Value::Null } else { json!({"type": kind, "id": id}) };
            data.insert(member.to_owned(), shown);
        }
    }
    if let Some(fields) = body.get("custom_fields") {
        data.insert("custom_fields".to_owned(), fields.clone());
    }
    Ok(data)
}

fn put_times(data: &mut Map<String, Value>, body: &Map<String, Value>) -> Result<(), Refusal> {
    let given = |name: &str| match body.get(name) {
        None => Ok(None),
        Some(text) => {
            let time = text.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            time.map(Some).ok_or_else(|| Refusal::invalid(format!("{name} is not a valid date time.")))
        }
    };
    let (start, end) = (given("starts_at")?, given("ends_at")?);
    if start.is_none() && end.is_none() {
        return Ok(());
    }
    let was: Option<Timestamp> = data.get("scheduled_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let length = data.get("duration").and_then(|length| length["value"].as_i64()).unwrap_or_default();
    let start = start.or(was).ok_or_else(|| Refusal::invalid("starts_at is mandatory."))?;
    let end = end.unwrap_or(start + jiff::SignedDuration::from_mins(length));
    if end < start {
        return Err(Refusal::invalid("ends_at must be after starts_at."));
    }
    let minutes = end.duration_since(start).as_mins();
    data.insert("scheduled_at".to_owned(), json!(shown_time(start.as_millisecond())));
    data.insert("duration".to_owned(), json!({"unit": "min", "value": minutes}));
    Ok(())
}

fn attendees(held: &Account, guests: &Value) -> Result<Value, Refusal> {
    let guests = guests.as_array().ok_or_else(|| Refusal::invalid("attendees is not a list."))?;
    let mut users = 0;
    for guest in guests {
        let id = guest["id"].as_str().unwrap_or_default();
        let there = match guest["type"].as_str() {
            Some("user") => {
                users += 1;
                held.user_id == id || held.colleagues.iter().any(|colleague| colleague.id == id)
            }
            Some("contact") => held.contacts.contains_key(id),
            Some(_) | None => return Err(Refusal::invalid("attendees has an unknown type.")),
        };
        if !there {
            return Err(Refusal::invalid("attendees has somebody unknown."));
        }
    }
    match users {
        0 => Err(Refusal::invalid("at least one user attendee must be present.")),
        _ => Ok(json!(guests)),
    }
}

/// As answered: what is said as text has nowhere to go.
fn place(location: &Value) -> Result<Value, Refusal> {
    let kind = location["type"].as_str().unwrap_or_default();
    let whole = match kind {
        "virtual" => true,
        "contact" | "company" => location["id"].is_string() && location["address"].is_object(),
        "address" => location["address"]["country"].is_string(),
        "customLocation" | "calendarResource" => location["id"].is_string(),
        _ => false,
    };
    if whole { Ok(location.clone()) } else { Err(Refusal::invalid("location is not one of the known forms.")) }
}

pub(super) fn users(state: &mut State, account: &str, action: &str, body: &Map<String, Value>) -> Answer {
    if action != "list" {
        return Err(Refusal::missing());
    }
    let filter = body.get("filter").cloned().unwrap_or_default();
    let held = state.account(account);
    let mut all = vec![shown_user(held, &held.user_id, &held.name, &held.email)];
    all.extend(held.colleagues.iter().map(|one| shown_user(held, &one.id, &one.name, &one.email)));
    all.retain(|user| {
        let words = format!("{} {}", user["first_name"], user["email"]).to_lowercase();
        filter["ids"].as_array().is_none_or(|ids| ids.contains(&user["id"]))
            && filter["status"].as_array().is_none_or(|wanted| wanted.contains(&user["status"]))
            && filter["term"].as_str().is_none_or(|term| words.contains(&term.to_lowercase()))
    });
    all.sort_by_key(|user| user["first_name"].to_string());
    Ok(lists::paged(state, body, all, |user| user))
}

fn shown_user(held: &Account, id: &str, name: &str, email: &str) -> Value {
    json!({"id": id, "account": {"type": "account", "id": held.account_id}, "first_name": name, "last_name": "Demo",
        "email": email, "telephones": [], "language": "nl", "function": "Sales", "status": "active", "teams": []})
}

pub(super) fn user_schedules(
    state: &mut State,
    account: &str,
    meeting: &Map<String, Value>,
) -> Result<String, Refusal> {
    let mut meeting = meeting.clone();
    let me = state.account(account).user_id.clone();
    meeting.entry("attendees").or_insert_with(|| json!([{"type": "user", "id": me}]));
    let id = create(state, account, &meeting)?;
    state.next();
    webhooks::tell(state, account, "meeting.created", &id);
    Ok(id)
}

pub(super) fn user_reschedules(
    state: &mut State,
    account: &str,
    id: &str,
    meeting: &Map<String, Value>,
) -> Result<(), Refusal> {
    change(state, account, id, meeting)?;
    state.next();
    webhooks::tell(state, account, "meeting.updated", id);
    Ok(())
}

pub(super) fn user_cancels(state: &mut State, account: &str, id: &str) -> bool {
    state.next();
    let gone = state.account(account).meetings.remove(id).is_some();
    if gone {
        webhooks::tell(state, account, "meeting.deleted", id);
    }
    gone
}

pub(super) fn hire(state: &mut State, account: &str, email: &str) -> String {
    let id = state.uuid();
    let name = email.split('@').next().unwrap_or_default().to_owned();
    state.account(account).colleagues.push(Colleague { id: id.clone(), email: email.to_owned(), name });
    id
}

impl FakeTeamleader {
    /// The user schedules a meeting (members as `meetings.schedule` takes them; alone where it names no guests); its id.
    ///
    /// # Panics
    /// Where Teamleader would refuse it.
    pub fn user_schedules(&self, account: &str, meeting: &Map<String, Value>) -> String {
        user_schedules(&mut self.now(), account, meeting).map_err(|r| r.title).expect("a meeting that Teamleader takes")
    }

    /// The user changes a meeting (members as `meetings.update` takes them).
    ///
    /// # Panics
    /// Where it does not exist or Teamleader would refuse it.
    pub fn user_reschedules(&self, account: &str, id: &str, meeting: &Map<String, Value>) {
        let done = user_reschedules(&mut self.now(), account, id, meeting);
        done.map_err(|r| r.title).expect("a change that Teamleader takes");
    }

    /// The user deletes a meeting; whether it was there.
    pub fn user_cancels(&self, account: &str, id: &str) -> bool {
        user_cancels(&mut self.now(), account, id)
    }

    /// A meeting gets a time that nobody can read.
    pub fn spoil(&self, account: &str, id: &str) {
        set(&mut self.now(), account, id, "scheduled_at", json!("soon"));
    }

    /// The account has one more user; their id.
    pub fn hire(&self, account: &str, email: &str) -> String {
        hire(&mut self.now(), account, email)
    }

    /// The id of the account's user with this address.
    ///
    /// # Panics
    /// Where there is none.
    pub fn hired(&self, account: &str, email: &str) -> String {
        let mut state = self.now();
        let found = state.account(account).colleagues.iter().find(|one| one.email == email).map(|one| one.id.clone());
        found.expect("somebody was hired with that address")
    }

    /// The id of the account's first user.
    pub fn user_of(&self, account: &str) -> String {
        self.now().account(account).user_id.clone()
    }

    /// The meetings of an account as `meetings.info` shows them, the earliest first.
    pub fn meetings(&self, account: &str) -> Vec<Value> {
        let mut state = self.now();
        let mut all: Vec<&Stored> = state.account(account).meetings.values().collect();
        all.sort_by_key(|meeting| (starts(meeting), meeting.id.clone()));
        all.into_iter().map(info).collect()
    }
}
