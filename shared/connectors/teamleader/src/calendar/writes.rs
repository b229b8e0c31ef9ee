//! Scheduling, changing and deleting meetings, one at a time; each write is followed by one reading.
use super::people::Known;
use super::{Look, TeamleaderCalendar, activity, is_at, map};
use crate::api::calendar::{DELETE, INFO, SCHEDULE, UPDATE, of_user, reference};
use crate::api::requests::{Page, about, one};
use crate::api::{Answer, Call};
use crate::contacts::{MOST_PAGES, SIDE_PAGE, SMALLEST_PAGE, writes::one_by_one};
use crate::error;
use crate::wire::{Data, Made, text, time};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_core::calendar::Activity;
use tandem_core::event::{Event, field};
use tandem_core::record::{Field, Fields, Marker, RemoteId};
use tandem_ports::connector::{Deletion, Draft, Fetched, Outcomes, Patch, Written};
use tandem_ports::error::Result;

/// How far back a meeting counts as made lately: longer than any job and its repeats take to come back to it.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(2);

impl TeamleaderCalendar {
    pub(super) async fn create_all(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        one_by_one(SCHEDULE, drafts, |draft| self.create_one(draft)).await
    }

    pub(super) async fn update_all(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        one_by_one(UPDATE, patches, |patch| self.update_one(patch)).await
    }

    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        one_by_one(DELETE, deletions, |deletion| self.delete_one(deletion)).await
    }

    /// A meeting that a colleague's calendar has brought already is joined.
    async fn create_one(&self, draft: &Draft) -> Result<Written> {
        let name = draft.fields.text(&field::UID);
        if let Some(joined) = self.join(name).await? {
            return Ok(joined);
        }
        let me = self.me().await?;
        let refused = |invalid: tandem_core::error::Invalid| error::refused(SCHEDULE, &invalid.to_string());
        let wanted = Event::from_fields(&draft.fields).map_err(refused)?;
        let mut body = map::body(&super::FIELDS, &wanted, &me.zone).map_err(refused)?;
        body.retain(|_, value| !value.is_null());
        let guests = self.attendees(&Known::default(), draft.fields.items(&field::ATTENDEES)).await?;
        let guests = guests.unwrap_or_else(|| vec![reference("user", &me.id)]);
        body.extend(customer(&guests).map(|customer| ("customer".to_owned(), customer)));
        body.insert("attendees".to_owned(), Value::Array(guests));
        let call = Call { method: SCHEDULE, body: Value::Object(body) };
        let id = self.api.read::<Data<Made>>(call).await?.body.data.id;
        if !name.is_empty() {
            self.options.names.note(&RemoteId::new(&id), name).await?;
        }
        self.shown(&id).await?.ok_or_else(|| error::not_shown(INFO))
    }

    /// The meeting of this name, with the user at it; `None` where there is none (any more).
    async fn join(&self, name: &str) -> Result<Option<Written>> {
        if name.is_empty() {
            return Ok(None);
        }
        let Some(id) = self.options.names.named(name).await? else { return Ok(None) };
        let me = self.me().await?;
        let read = self.api.read::<Data<Map<String, Value>>>(about(INFO, id.as_str(), Map::new())).await;
        let meeting = match read {
            Ok(answer) => answer.body.data,
            Err(refusal) if error::is_gone(&refusal) => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        if !is_at(&meeting, &me) {
            let mut guests = attendees_of(&meeting);
            guests.push(reference("user", &me.id));
            self.api.act(about(UPDATE, id.as_str(), one("attendees", Value::Array(guests)))).await?;
        }
        self.shown(id.as_str()).await
    }

    async fn shown(&self, id: &str) -> Result<Option<Written>> {
        let read = self.read(&[id]).await?.into_iter().flatten().next();
        Ok(read.map(|read| Written { id: read.id, version: read.version, shown: Some(read.fields) }))
    }

    async fn update_one(&self, patch: &Patch) -> Result<Written> {
        let known: Known = serde_json::from_value(patch.raw.clone()).unwrap_or_default();
        let me = self.me().await?;
        let (activity, id) = activity::taken_apart(patch.id.as_str());
        let row = activity::row(activity);
        let refused = |invalid: tandem_core::error::Invalid| error::refused(row.update, &invalid.to_string());
        let mut body = match activity {
            Activity::Calls | Activity::Tasks => {
                let wanted = (&patch.changed[..], &patch.fields);
                map::plain_body(activity, wanted, &known.meeting, &me.zone).map_err(refused)?
            }
            Activity::Meetings | Activity::Events => {
                let wanted = Event::from_fields(&patch.fields).map_err(refused)?;
                let mut body = map::body(&patch.changed, &wanted, &me.zone).map_err(refused)?;
                if patch.changed.contains(&field::ATTENDEES) {
                    let guests = self.attendees(&known, patch.fields.items(&field::ATTENDEES)).await?;
                    body.extend(guests.map(|guests| ("attendees".to_owned(), Value::Array(guests))));
                }
                body
            }
        };
        let completes = row.complete.filter(|_| completes(&patch.changed, &patch.fields, &known));
        let unchanged = Written { id: patch.id.clone(), version: patch.expect.clone(), shown: None };
        if patch.changed.is_empty() {
            return Ok(unchanged);
        }
        if !body.is_empty() {
            if activity == Activity::Events {
                body.insert("links".to_owned(), Value::Array(activity::links(&known.meeting)));
            }
            self.api.act(about(row.update, id, body)).await?;
        }
        if let Some(complete) = completes {
            self.api.act(about(complete, id, Map::new())).await?;
        }
        // What cannot be said here must be seen as not taken. The write is done, whatever the reading says; with the old
        // version the next reading looks changed, and says what we wrote.
        match self.shown(patch.id.as_str()).await {
            Ok(written) => Ok(written.unwrap_or(unchanged)),
            Err(_) => Ok(unchanged),
        }
    }

    /// The user leaves a meeting or an event that colleagues are at; nobody else's agenda loses it.
    async fn delete_one(&self, deletion: &Deletion) -> Result<()> {
        let me = self.me().await?;
        let (activity, id) = activity::taken_apart(deletion.id.as_str());
        let row = activity::row(activity);
        let seen = match self.look(deletion.id.as_str(), &me).await? {
            Look::There(seen) => seen,
            Look::Gone => return Ok(()),
            Look::OutOfReach => return Err(error::refused(row.delete, "it cannot be read for now")),
        };
        let is_me = |guest: &Value| text(guest.get("type")) == "user" && text(guest.get("id")) == me.id;
        let left: Vec<Value> = attendees_of(&seen).into_iter().filter(|guest| !is_me(guest)).collect();
        let call = match left.iter().any(|guest| text(guest.get("type")) == "user") {
            true => {
                let mut body = one("attendees", Value::Array(left));
                if activity == Activity::Events {
                    body.insert("links".to_owned(), Value::Array(activity::links(&seen)));
                }
                about(row.update, id, body)
            }
            false => about(row.delete, id, Map::new()),
        };
        match self.api.act(call).await {
            // Where the account's API has no such deletion, it is still there.
            Err(refusal) if error::is_gone(&refusal) => match self.look(deletion.id.as_str(), &me).await? {
                Look::There(_) | Look::OutOfReach => Err(error::refused(row.delete, "Teamleader does not delete it")),
                Look::Gone => Ok(()),
            },
            answer => answer,
        }
    }

    /// Among the user's meetings on those days that were made lately: by title and time. Teamleader keeps no mark.
    pub(super) async fn find_all(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let mut found: Vec<(Marker, Fetched)> = Vec::new();
        for draft in drafts {
            let Ok(wanted) = Event::from_fields(&draft.fields) else { continue };
            let lately = self.made_lately(&wanted).await?;
            let taken = |id: &String| found.iter().any(|(_, fetched)| fetched.id.as_str() == id);
            // The oldest: two drafts that say the same take one each, in order.
            let Some(first) = lately.into_iter().find(|id| !taken(id)) else { continue };
            let name = draft.fields.text(&field::UID);
            if !name.is_empty() {
                self.options.names.note(&RemoteId::new(&first), name).await?;
            }
            if let Some(fetched) = self.read(&[&first]).await?.into_iter().flatten().next() {
                found.push((draft.marker.clone(), fetched));
            }
        }
        Ok(found)
    }

    async fn made_lately(&self, wanted: &Event) -> Result<Vec<String>> {
        let me = self.me().await?;
        let day = |at: Timestamp| me.zone.to_datetime(at).date();
        let (start, _) = wanted.span.instants();
        let days = (day(start).saturating_sub(1.day()), day(start).saturating_add(1.day()));
        let mut lately: BTreeSet<(Timestamp, String)> = BTreeSet::new();
        for number in 1..=MOST_PAGES {
            let page = Page { size: SIDE_PAGE, number };
            let answer: Answer<Data<Vec<Map<String, Value>>>> = self.api.read(of_user(&me.id, days, page)).await?;
            let since = answer.at - LOOK_BACK;
            let rows = answer.body.data;
            for row in rows.iter().filter(|row| is_at(row, &me) && map::says(row, wanted, &me.zone)) {
                let made = time(text(row.get("created_at"))).filter(|made| *made >= since);
                lately.extend(made.map(|made| (made, text(row.get("id")).to_owned())));
            }
            if rows.len() < SMALLEST_PAGE {
                break;
            }
        }
        Ok(lately.into_iter().map(|(_, id)| id).collect())
    }
}

fn attendees_of(meeting: &Map<String, Value>) -> Vec<Value> {
    map::guests(meeting).map(|(kind, id)| reference(kind, id)).collect()
}

/// A meeting with one contact is that customer's.
fn customer(guests: &[Value]) -> Option<Value> {
    let mut contacts = guests.iter().filter(|guest| text(guest.get("type")) == "contact");
    let first = contacts.next()?;
    contacts.next().is_none().then(|| json!({"type": "contact", "id": first["id"]}))
}

/// Teamleader completes a meeting, a call and a task; it is not opened again from here.
fn completes(changed: &[Field], wanted: &Fields, known: &Known) -> bool {
    let is_open = text(known.meeting.get("status")) != "done";
    changed.contains(&field::STATUS) && wanted.text(&field::STATUS) == "done" && is_open
}
