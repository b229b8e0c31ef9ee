//! `events.list` with pages and sync tokens, and `events.instances`.
use super::world::{Calendar, Event, Token, World};
use super::{Answered, Refused, Request, events, shape};
use crate::fake::state::{EventLists, State};
use jiff::Timestamp;
use serde_json::{Value, json};
use tandem_core::event::Moment;
use tandem_core::recurrence::{self, Window};

/// With a sync token these are refused.
const NOT_WITH_SYNC: [&str; 8] = [
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
];
/// What may differ between the calls of one listing.
const FREE: [&str; 6] = ["pageToken", "syncToken", "alt", "prettyPrint", "key", "fields"];
/// Google's answers to a series without end stop somewhere.
const MOST_OCCURRENCES: usize = 2_500;

fn parameters(request: &Request<'_>) -> Vec<(String, String)> {
    let kept = request.query.iter().filter(|(name, _)| !FREE.contains(&name.as_str()));
    let mut kept: Vec<(String, String)> = kept.cloned().collect();
    kept.sort();
    kept
}

pub(super) fn list(state: &mut State, account: &str, calendar: &str, request: &Request<'_>) -> Answered {
    state.calendars.readable(account, calendar)?;
    let name = World::name(account, calendar).to_owned();
    let size = request.one("maxResults").map_or(Ok(250), str::parse::<usize>).unwrap_or(0);
    if !(1..=2500).contains(&size) {
        return Err(Refused::invalid("Invalid value for maxResults."));
    }
    if request.is("singleEvents") {
        return expanded(state, account, calendar, request, size);
    }
    let token = match (request.one("pageToken"), request.one("syncToken")) {
        (Some(page), _) => known(state, &name, request, page)?,
        (None, Some(sync)) => {
            if NOT_WITH_SYNC.iter().any(|name| request.one(name).is_some())
                || request.one("showDeleted") == Some("false")
            {
                return Err(Refused::invalid("Sync token cannot be used with the given parameters."));
            }
            delta(state, &name, &known(state, &name, request, sync)?)
        }
        (None, None) => full(state, &name, request)?,
    };
    let size = room(state, request, size);
    page(state, account, calendar, token, size)
}

/// How much of what is there a page shows.
fn room(state: &State, request: &Request<'_>, size: usize) -> usize {
    match (state.settings.event_lists, request.one("pageToken")) {
        (EventLists::Full, _) => size,
        (EventLists::Sparse, None) => 0,
        (EventLists::Sparse, Some(_)) => 1,
    }
}

fn page(state: &mut State, account: &str, calendar: &str, mut token: Token, size: usize) -> Answered {
    let held = state.calendars.of(account, calendar)?;
    let mut items = Vec::new();
    while items.len() < size {
        let Some(id) = token.rest.pop_front() else { break };
        // Gone since the first page: the delta tells of it.
        items.extend(
            held.events
                .get(&id)
                .filter(|e| token.is_delta || e.is_listed(&held.events))
                .map(|e| shape::shown(e, account, &held.time_zone)),
        );
    }
    let mut answer = json!({
        "kind": "calendar#events", "etag": "\"p\"", "summary": held.summary, "timeZone": held.time_zone,
        "accessRole": held.roles[account], "defaultReminders": [], "items": items,
    });
    let number = state.next();
    if token.rest.is_empty() {
        let unsynced = token.parameters.iter().any(|(name, _)| NOT_WITH_SYNC.contains(&name.as_str()));
        if !unsynced {
            let sync = Token { is_page: false, ..token };
            answer["nextSyncToken"] = json!(state.calendars.keep("sync", sync, number));
        }
    } else {
        let page = Token { is_page: true, ..token };
        answer["nextPageToken"] = json!(state.calendars.keep("page", page, number));
    }
    Ok(answer)
}

fn known(state: &State, calendar: &str, request: &Request<'_>, name: &str) -> Result<Token, Refused> {
    let token = state.calendars.tokens.get(name).filter(|token| token.calendar == calendar);
    let is_page = request.one("pageToken").is_some();
    let token = token.filter(|token| token.is_page == is_page);
    let token = token.ok_or_else(|| Refused::invalid("Invalid token value."))?;
    if token.expired {
        let text = "Sync token is no longer valid, a full sync is required.";
        return Err(Refused::new(410, "calendar", "fullSyncRequired", text).at("parameter", "syncToken"));
    }
    if token.parameters != parameters(request) {
        return Err(Refused::invalid("The parameters must match those of the first request."));
    }
    Ok(token.clone())
}

fn delta(state: &State, calendar: &str, since: &Token) -> Token {
    let held = &state.calendars.calendars[calendar];
    let mut changed: Vec<&Event> = held.events.values().filter(|event| event.seq > since.seq).collect();
    changed.sort_by_key(|event| event.seq);
    let rest = changed.into_iter().map(|event| event.id.clone()).collect();
    Token { rest, seq: state.seq, is_delta: true, ..since.clone() }
}

fn full(state: &State, calendar: &str, request: &Request<'_>) -> Result<Token, Refused> {
    let held = &state.calendars.calendars[calendar];
    let deleted = request.is("showDeleted");
    let sparse = state.settings.event_lists == EventLists::Sparse && request.one("iCalUID").is_some();
    let left_out = |event: &Event| sparse && event.is_cancelled() && event.series.is_some();
    let mut listed = Vec::new();
    for event in held.events.values().filter(|event| !left_out(event)) {
        if (deleted || event.is_listed(&held.events)) && fits(event, held, request)? {
            listed.push(event);
        }
    }
    // "An unspecified, stable order": exceptions are before their masters as often as not.
    listed.sort_by_key(|event| (event.seq % 7, event.seq));
    Ok(Token {
        number: 0,
        calendar: calendar.to_owned(),
        parameters: parameters(request),
        seq: state.seq,
        rest: listed.into_iter().map(|event| event.id.clone()).collect(),
        is_page: true,
        is_delta: deleted,
        expired: false,
    })
}

fn fits(event: &Event, calendar: &Calendar, request: &Request<'_>) -> Result<bool, Refused> {
    if request.one("iCalUID").is_some_and(|uid| event.uid != uid) {
        return Ok(false);
    }
    if let Some(words) = request.one("q") {
        let text = format!("{} {} {}", event.text("summary"), event.text("description"), event.text("location"));
        if !text.to_lowercase().contains(&words.to_lowercase()) {
            return Ok(false);
        }
    }
    let types: Vec<&String> = request.query.iter().filter(|(name, _)| name == "eventTypes").map(|(_, v)| v).collect();
    let kind = Some(event.text("eventType")).filter(|kind| !kind.is_empty()).unwrap_or("default");
    if !types.is_empty() && !types.iter().any(|wanted| *wanted == kind) {
        return Ok(false);
    }
    for (_, pair) in request.query.iter().filter(|(name, _)| name == "privateExtendedProperty") {
        let (key, value) = pair.split_once('=').ok_or_else(|| Refused::invalid("Invalid property filter."))?;
        let held = event.data.get("extendedProperties").and_then(|all| all.get("private")).and_then(|all| all.get(key));
        if held.is_none_or(|held| held != value) {
            return Ok(false);
        }
    }
    let window = window(request)?;
    if event.is_series() || window == (Window { from: Timestamp::MIN, until: Timestamp::MAX }) || event.is_cancelled() {
        return Ok(true);
    }
    touches(event, calendar, window)
}

fn window(request: &Request<'_>) -> Result<Window, Refused> {
    let time = |name: &str, otherwise: Timestamp| match request.one(name) {
        None => Ok(otherwise),
        Some(text) => text.parse::<Timestamp>().map_err(|_| Refused::invalid(format!("Invalid value for {name}."))),
    };
    let window = Window { from: time("timeMin", Timestamp::MIN)?, until: time("timeMax", Timestamp::MAX)? };
    if window.from >= window.until {
        return Err(Refused::new(400, "calendar", "timeRangeEmpty", "The specified time range is empty."));
    }
    Ok(window)
}

/// Occurrences as items, without their series.
fn expanded(state: &mut State, account: &str, calendar: &str, request: &Request<'_>, size: usize) -> Answered {
    let held = state.calendars.of(account, calendar)?;
    let window = window(request)?;
    let mut found: Vec<Event> = Vec::new();
    for event in held.events.values() {
        if event.is_series() && !event.is_cancelled() && fits(event, held, request)? {
            found.extend(occurrences(held, event, window, request.is("showDeleted"))?);
        } else if event.series.is_none()
            && !event.is_series()
            && (!event.is_cancelled() || request.is("showDeleted"))
            && fits(event, held, request)?
        {
            found.push(event.clone());
        }
    }
    if request.one("orderBy") == Some("startTime") {
        found.sort_by_key(|event| {
            shape::moment(event.data.get("start"), &shape::zone_of(&event.data, &held.time_zone))
                .map(|at| at.to_string())
        });
    }
    let start: usize = request.one("pageToken").and_then(|page| page.strip_prefix("at-")?.parse().ok()).unwrap_or(0);
    let shown = found.iter().skip(start).take(size).map(|event| shape::shown(event, account, &held.time_zone));
    let mut answer = json!({
        "kind": "calendar#events", "summary": held.summary, "timeZone": held.time_zone,
        "accessRole": held.roles[account], "defaultReminders": [], "items": shown.collect::<Vec<Value>>(),
    });
    if start + size < found.len() {
        answer["nextPageToken"] = json!(format!("at-{}", start + size));
    }
    Ok(answer)
}

fn occurrences(held: &Calendar, master: &Event, window: Window, deleted: bool) -> Result<Vec<Event>, Refused> {
    let series = shape::series(&master.data, &held.time_zone)?;
    // Without an end Google stops a good while ahead.
    let until = window.until.min("2100-01-01T00:00:00Z".parse().expect("a time"));
    let from = window.from.max("1970-01-01T00:00:00Z".parse().expect("a time"));
    let found = recurrence::expand(&series, Window { from, until }, usize::MAX);
    let found = found.map_err(|_| Refused::invalid("Invalid recurrence rule."))?;
    let mut all: Vec<Event> = found
        .into_iter()
        .take(MOST_OCCURRENCES)
        .map(|one| events::occurrence(master, &series, &one.original))
        .filter(|one| !held.events.contains_key(&one.id))
        .collect();
    // An exception is where it was moved to.
    for event in held.events.values().filter(|event| event.series.as_ref() == Some(&master.id)) {
        if (deleted || !event.is_cancelled()) && touches(event, held, window)? {
            all.push(event.clone());
        }
    }
    let original = |event: &Event| {
        shape::moment(event.data.get("originalStartTime"), &shape::zone_of(&event.data, &held.time_zone))
    };
    all.sort_by_key(original);
    Ok(all)
}

fn touches(event: &Event, calendar: &Calendar, window: Window) -> Result<bool, Refused> {
    let single = tandem_core::event::Event::at(shape::span(&event.data, &calendar.time_zone)?);
    Ok(recurrence::expand(&single, window, 1).is_ok_and(|found| !found.is_empty()))
}

pub(super) fn instances(state: &mut State, account: &str, calendar: &str, id: &str, request: &Request<'_>) -> Answered {
    let held = state.calendars.readable(account, calendar)?;
    let master = held.events.get(id).filter(|event| !event.is_cancelled()).ok_or_else(Refused::missing)?;
    let size = request.one("maxResults").and_then(|n| n.parse().ok()).unwrap_or(250_usize).clamp(1, 2500);
    let size = room(state, request, size);
    let start: usize = request.one("pageToken").and_then(|page| page.strip_prefix("at-")?.parse().ok()).unwrap_or(0);
    let window = window(request)?;
    let zone = shape::zone_of(&master.data, &held.time_zone);
    let original = match request.one("originalStart") {
        None => None,
        Some(text) => Some(Moment::parse(text, &zone).ok_or_else(|| Refused::invalid("Invalid originalStart."))?),
    };
    let found = match original {
        None => occurrences(held, master, window, request.is("showDeleted"))?,
        Some(original) => {
            let one = events::find(&held.events, &format!("{id}_{}", recurrence::basic(&original)), &held.time_zone);
            one.into_iter().filter(|event| request.is("showDeleted") || !event.is_cancelled()).collect()
        }
    };
    let shown = found.iter().skip(start).take(size).map(|event| shape::shown(event, account, &held.time_zone));
    let mut answer = json!({
        "kind": "calendar#events", "summary": held.summary, "timeZone": held.time_zone,
        "accessRole": held.roles[account], "items": shown.collect::<Vec<Value>>(),
    });
    if start + size < found.len() {
        answer["nextPageToken"] = json!(format!("at-{}", start + size));
    }
    Ok(answer)
}
