//! Whose an appointment is. It is one record for all users who have it in their calendars: the owner and those whose
//! syncs found it there too. What a calendar keeps for each of them (reminder, visibility) is kept apart.
use super::{list, part};
use crate::error::PROVIDER;
use crate::record::{Body, Record, text};
use crate::schema::Kind;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_core::event::copy_name;
use tandem_core::record::Marker;

/// What each participant has for oneself; the owner's is in the body itself.
const PERSONAL: [&str; 2] = ["reminder_minutes", "visibility"];
/// Users who left, that are remembered: their syncs have long heard of it.
const REMEMBERED: usize = 50;

fn share<'a>(body: &'a Body, user: &str) -> Option<&'a Map<String, Value>> {
    body.get("shares")?.get(user)?.as_object()
}

fn shares(body: &mut Body) -> &mut Map<String, Value> {
    let all = body.entry("shares").or_insert_with(|| json!({}));
    if !all.is_object() {
        *all = json!({});
    }
    all.as_object_mut().expect("it was made one so above")
}

/// The users in whose calendars it is.
pub(crate) fn holders(body: &Body) -> BTreeSet<&str> {
    let owner = Some(text(body, "owner")).filter(|owner| !owner.is_empty());
    let shares = body.get("shares").and_then(Value::as_object).into_iter().flatten();
    owner.into_iter().chain(shares.map(|(user, _)| user.as_str())).collect()
}

/// Whether it is in this user's calendar.
pub(crate) fn holds(body: &Body, user: &str) -> bool {
    text(body, "owner") == user || share(body, user).is_some()
}

/// Whether it was in this user's calendar and no longer is.
pub(crate) fn was_left(body: &Body, user: &str) -> bool {
    list(body, "left").iter().any(|left| left.as_str() == Some(user))
}

/// The mark of this user's sync.
pub(crate) fn marker_of<'a>(body: &'a Body, user: &str) -> Option<&'a str> {
    share(body, user)?.get("marker")?.as_str()
}

/// The calendar that it is in with this user, where it came from one.
pub(crate) fn calendar_of<'a>(body: &'a Body, user: &str) -> Option<&'a str> {
    share(body, user)?.get("calendar")?.as_str()
}

pub(super) fn markers(body: &Body) -> Vec<String> {
    let shares = body.get("shares").and_then(Value::as_object).into_iter().flatten();
    shares.map(|(_, share)| part(share, "marker").to_owned()).filter(|marker| !marker.is_empty()).collect()
}

/// The name that the copies of a meeting have which a sync makes in calendars.
pub(super) fn copy_of(account: &str, record: &Record) -> Option<String> {
    // As the engine marks a copy of a record of ours: provider, account, id.
    let origin = Marker::new(format!("{PROVIDER}:{account}:{}", record.id));
    (record.kind == Kind::Meeting).then(|| copy_name(&origin))
}

/// What marks a new meeting by the name that its copies have, so that a colleague's calendar shows no stranger.
pub(crate) fn copy_mark(account: &str, record: &Record) -> Option<String> {
    copy_of(account, record).map(|name| super::names::copy_name_mark(&name))
}

/// Puts the mark of a user's sync on it.
pub(crate) fn set_marker(body: &mut Body, user: &str, marker: &str) {
    let share = shares(body).entry(user).or_insert_with(|| json!({}));
    share["marker"] = json!(marker);
}

/// The user has it in a calendar from now on: the first one is its owner.
pub(crate) fn join(body: &mut Body, user: &str, marker: &str, calendar: Option<&str>, personal: &Map<String, Value>) {
    let is_owner = ["", user].contains(&text(body, "owner"));
    if is_owner {
        body.insert("owner".to_owned(), json!(user));
    }
    let mut share = Map::from_iter([("marker".to_owned(), json!(marker))]);
    share.extend(calendar.map(|calendar| ("calendar".to_owned(), json!(calendar))));
    if !is_owner {
        let own = PERSONAL.iter().filter_map(|name| Some(((*name).to_owned(), personal.get(*name)?.clone())));
        share.extend(own.filter(|(_, value)| !value.is_null()));
    }
    shares(body).insert(user.to_owned(), Value::Object(share));
    remember(body, user, Presence::Here);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    Left,
}

fn remember(body: &mut Body, user: &str, presence: Presence) {
    let mut left: Vec<Value> = list(body, "left").iter().filter(|one| one.as_str() != Some(user)).cloned().collect();
    if presence == Presence::Left {
        left.push(json!(user));
    }
    let old = left.len().saturating_sub(REMEMBERED);
    left.drain(..old);
    if left.is_empty() {
        body.remove("left");
    } else {
        body.insert("left".to_owned(), Value::Array(left));
    }
}

/// Takes the user out of it; `false`: nobody is left in it. An owner who leaves is followed by another participant.
pub(crate) fn leave(body: &mut Body, user: &str) -> bool {
    shares(body).remove(user);
    remember(body, user, Presence::Left);
    if text(body, "owner") == user {
        let Some(next) = shares(body).keys().next().cloned() else { return false };
        let mine = for_user(body, &next);
        for name in PERSONAL {
            put(body, name, mine.get(name).cloned());
            shares(body).get_mut(&next).and_then(Value::as_object_mut).and_then(|share| share.remove(name));
        }
        body.insert("owner".to_owned(), json!(next));
    }
    !holders(body).is_empty()
}

/// Another owner was typed: it leaves the one's calendar and comes into the other's.
pub(crate) fn hand_over(body: &mut Body, before: &str) {
    let owner = text(body, "owner").to_owned();
    if before == owner {
        return;
    }
    if !before.is_empty() {
        shares(body).remove(before);
        remember(body, before, Presence::Left);
    }
    remember(body, &owner, Presence::Here);
}

fn put(body: &mut Body, name: &str, value: Option<Value>) {
    match value {
        Some(value) => body.insert(name.to_owned(), value),
        None => body.remove(name),
    };
}

/// As this user's calendar has it.
pub(crate) fn for_user(body: &Body, user: &str) -> Body {
    let mut shown = body.clone();
    put(&mut shown, "calendar", calendar_of(body, user).map(|calendar| json!(calendar)));
    if let Some(share) = share(body, user).filter(|_| text(body, "owner") != user) {
        put(&mut shown, "reminder_minutes", share.get("reminder_minutes").cloned());
        let visibility = share.get("visibility").cloned().unwrap_or_else(|| json!("default"));
        put(&mut shown, "visibility", Some(visibility));
    }
    shown
}

/// The body again, after a change to what [`for_user`] made of `before`.
pub(crate) fn from_user(before: &Body, mut shown: Body, user: &str) -> Body {
    shown.remove("calendar");
    if share(before, user).is_none() || text(before, "owner") == user {
        return shown;
    }
    for name in PERSONAL {
        let own = shown.get(name).cloned();
        put(&mut shown, name, before.get(name).cloned());
        let share = shares(&mut shown).entry(user).or_insert_with(|| json!({}));
        if let Some(share) = share.as_object_mut() {
            put(share, name, own.filter(|own| own != "default"));
        }
    }
    shown
}
