//! Creating, changing and deleting, fifty calls a request, one result a record.
use super::assemble::{fetched, item_of};
use super::wire::{Item, Record, etag_of, is_series};
use super::{GoogleCalendar, Notify, WRITE_BATCH, map};
use crate::api::batch::Part;
use crate::api::{self, calendar};
use crate::error;
use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};
use tandem_core::event::{Deviation, Event, Moment, field};
use tandem_core::record::{Field, RemoteId, Version};
use tandem_core::recurrence;
use tandem_ports::connector::{Deletion, Draft, Outcomes, Patch, Written};
use tandem_ports::error::{ErrorKind, Result};

const INSERT: &str = "events.insert";
const PATCH: &str = "events.patch";
const DELETE: &str = "events.delete";
const INSTANCES: &str = "events.instances";
/// The longest time of a reminder (`reminders.overrides[].minutes`: "between 0 and 40320").
const MOST_MINUTES: u32 = 40_320;

/// A record on its way: what it shall say, and what Google shows of it so far.
struct Work {
    event: Event,
    record: Record,
    /// Exceptions that are still to be written.
    todo: Vec<Moment>,
    /// Whom they tell.
    notify: Notify,
}

/// `Ok`: goes on. `Err`: that is its result.
type Slot = Result<Work>;

impl GoogleCalendar {
    /// An id of ours makes the creation repeatable: what is there already is brought to what the draft says, a deleted
    /// one too (its id stays taken, so it is confirmed again). Each with its iCalUID.
    pub(super) async fn create_all(&self, drafts: &[Draft]) -> Result<Outcomes<(Written, String)>> {
        if drafts.len() > WRITE_BATCH {
            return Err(error::refused(INSERT, "too many appointments at once"));
        }
        let new = |draft: &Draft| work(INSERT, &draft.fields, Record::default(), self.notify);
        let mut slots: Vec<Slot> = drafts.iter().map(new).collect();
        let insert = |(slot, draft): (&Slot, &Draft)| {
            let body = map::new_body(&slot.as_ref().ok()?.event, &draft.marker);
            Some(calendar::insert(self.calendar.as_str(), body, self.notify))
        };
        let answers = self.step(INSERT, slots.iter().zip(drafts).map(insert)).await;
        let mut taken = Vec::new();
        for (at, answer) in answers {
            match answer {
                Ok(answer) if error::is_duplicate(&answer) => taken.push(at),
                answer => settle(&mut slots[at], answer.and_then(|answer| api::parse(INSERT, &answer))),
            }
        }
        self.adopt(&mut slots, drafts, &taken).await;
        for work in slots.iter_mut().flatten() {
            work.todo = changed_exceptions(&work.event);
        }
        self.write_exceptions(&mut slots).await;
        finish(slots)
    }

    async fn adopt(&self, slots: &mut [Slot], drafts: &[Draft], taken: &[usize]) {
        let ids: Vec<String> = taken.iter().map(|at| map::id_of(&drafts[*at].marker)).collect();
        let reads: Vec<Part> = ids.iter().map(|id| calendar::get(self.calendar.as_str(), id)).collect();
        let mut parts = Vec::new();
        for ((at, id), answer) in taken.iter().zip(&ids).zip(self.send_all(INSERT, &reads).await) {
            let there = answer
                .and_then(|answer| item_of(INSERT, &answer))
                .and_then(|item| item.ok_or_else(|| error::changed_meanwhile(INSERT)));
            let (Ok(work), Ok(item)) = (&mut slots[*at], there.as_ref()) else {
                slots[*at] = Err(there.err().unwrap_or_else(|| error::not_tried(INSERT)));
                continue;
            };
            // What is there was made by a create whose answer was lost, and its guests were told then.
            if !item.is_cancelled() {
                work.notify = Notify::Nobody;
            }
            if says(item, &work.event) && item.marker() == Some(drafts[*at].marker.as_str()) {
                work.record.master = item.clone();
                continue;
            }
            let body = map::whole_body(&work.event, &drafts[*at].marker, item);
            parts.push((*at, calendar::patch(self.calendar.as_str(), id, item.etag(), body, work.notify)));
        }
        let (places, parts): (Vec<usize>, Vec<Part>) = parts.into_iter().unzip();
        for (at, answer) in places.into_iter().zip(self.send_all(PATCH, &parts).await) {
            settle(&mut slots[at], answer.and_then(|answer| api::parse(PATCH, &answer)));
        }
    }

    pub(super) async fn update_all(&self, patches: &[Patch]) -> Result<Outcomes<(Written, String)>> {
        if patches.len() > WRITE_BATCH {
            return Err(error::refused(PATCH, "too many appointments at once"));
        }
        let mut slots: Vec<Slot> = patches.iter().map(|patch| start(patch, self.notify)).collect();
        let bodies: Vec<Option<Map<String, Value>>> = slots.iter().zip(patches).map(body_of).collect();
        let part = |(body, patch): (&Option<Map<String, Value>>, &Patch)| {
            let etag = etag_of(patch.expect.as_str());
            Some(calendar::patch(self.calendar.as_str(), patch.id.as_str(), etag, body.clone()?, self.notify))
        };
        let answers = self.step(PATCH, bodies.iter().zip(patches).map(part)).await;
        for (at, answer) in answers {
            settle(&mut slots[at], answer.and_then(|answer| api::parse(PATCH, &answer)));
        }
        for work in slots.iter_mut().flatten() {
            let behind = left_behind(work);
            work.todo.extend(behind);
        }
        self.write_exceptions(&mut slots).await;
        self.tell_gone_from_changed(&mut slots, patches).await;
        finish(slots)
    }

    /// Google answers 412 for an etag of before the deletion too.
    async fn tell_gone_from_changed(&self, slots: &mut [Slot], patches: &[Patch]) {
        let refused = |slot: &Slot| slot.as_ref().is_err_and(|e| e.kind == ErrorKind::Conflict);
        let places: Vec<usize> = (0..slots.len()).filter(|at| refused(&slots[*at])).collect();
        let reads: Vec<Part> =
            places.iter().map(|at| calendar::get(self.calendar.as_str(), patches[*at].id.as_str())).collect();
        for (at, answer) in places.into_iter().zip(self.send_all(PATCH, &reads).await) {
            if let Ok(item) = answer.and_then(|answer| item_of(PATCH, &answer))
                && item.is_none_or(|item| item.is_cancelled())
            {
                slots[at] = Err(error::gone(PATCH));
            }
        }
    }

    /// A series is deleted only if its exceptions, too, are as they were read: Google checks the master alone, and nothing
    /// where it shows no etag.
    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        if deletions.len() > WRITE_BATCH {
            return Err(error::refused(DELETE, "too many appointments at once"));
        }
        let unproved = |version: &str| is_series(version) || etag_of(version).is_none();
        let series: Vec<&Deletion> = deletions.iter().filter(|d| unproved(d.expect.as_str())).collect();
        let mut edited: Vec<&RemoteId> = Vec::new();
        for chunk in series.chunks(crate::api::batch::MOST) {
            let ids: Vec<RemoteId> = chunk.iter().map(|deletion| deletion.id.clone()).collect();
            let read = self.read(&ids).await?;
            let differs = chunk.iter().zip(read).filter(|(d, f)| f.as_ref().is_some_and(|f| f.version != d.expect));
            edited.extend(differs.map(|(deletion, _)| &deletion.id));
        }
        let part = |deletion: &Deletion| {
            let etag = etag_of(deletion.expect.as_str());
            let part = || calendar::delete(self.calendar.as_str(), deletion.id.as_str(), etag, self.notify);
            (!edited.contains(&&deletion.id)).then(part)
        };
        let mut outcomes: Outcomes<()> = deletions.iter().map(|_| Err(error::changed_meanwhile(DELETE))).collect();
        for (at, answer) in self.step(DELETE, deletions.iter().map(part)).await {
            outcomes[at] = answer.and_then(|answer| match answer.status().as_u16() {
                // 410 "deleted", 404: it is gone, which is what was wanted.
                200..=299 | 404 | 410 => Ok(()),
                _ => Err(error::classify(DELETE, &answer)),
            });
        }
        whole(outcomes)
    }

    /// Sends the parts that there are; each answer with its place.
    async fn step(
        &self,
        operation: &'static str,
        parts: impl Iterator<Item = Option<Part>>,
    ) -> Vec<(usize, Result<Response<Bytes>>)> {
        let present: Vec<(usize, Part)> = parts.enumerate().filter_map(|(at, part)| Some((at, part?))).collect();
        let (places, parts): (Vec<usize>, Vec<Part>) = present.into_iter().unzip();
        places.into_iter().zip(self.send_all(operation, &parts).await).collect()
    }

    /// Writes the exceptions of all records together: first the ids of occurrences that are no exceptions yet are
    /// looked up (Google does not promise their form), then each is written.
    async fn write_exceptions(&self, slots: &mut [Slot]) {
        let mut wanted: Vec<(usize, Moment, Option<Item>)> = Vec::new();
        for (at, slot) in slots.iter().enumerate() {
            let Ok(work) = slot else { continue };
            wanted.extend(work.todo.iter().map(|original| (at, *original, held(&work.record, original).cloned())));
        }
        let unknown: Vec<usize> = (0..wanted.len()).filter(|n| wanted[*n].2.is_none()).collect();
        let whose = |n: &usize| {
            let (at, original, _) = &wanted[*n];
            let series = slots[*at].as_ref().map(|work| work.record.master.id()).unwrap_or_default();
            (series.to_owned(), *original)
        };
        let sought: Vec<(String, Moment)> = unknown.iter().map(whose).collect();
        let lookup = |n: usize, page: Option<&str>| {
            let (series, original) = &sought[n];
            calendar::instance(self.calendar.as_str(), series, &original.to_string(), page)
        };
        let answers = self.listed(INSTANCES, sought.len(), lookup).await;
        for ((n, answer), (_, original)) in unknown.into_iter().zip(answers).zip(&sought) {
            let is_it = |item: &Item| map::original(item).is_ok_and(|at| at == *original);
            match answer.map(|items| items.unwrap_or_default().into_iter().find(is_it)) {
                Ok(Some(instance)) => wanted[n].2 = Some(instance),
                Ok(None) => slots[wanted[n].0] = Err(error::refused(INSTANCES, "the series has no such occurrence")),
                Err(failed) => slots[wanted[n].0] = Err(failed),
            }
        }
        let mut parts = Vec::new();
        for (at, original, item) in wanted {
            let (Ok(work), Some(item)) = (&slots[at], item) else { continue };
            let known = held(&work.record, &original);
            let is_given = recurrence::among(&work.event, &[original]).is_ok_and(|given| !given.is_empty());
            let (body, etag) = match work.event.occurrence(&original).filter(|_| is_given) {
                Some(one) => {
                    let body = map::exception(&in_series(one, &work.event), &original, known, &work.record);
                    (body, known.and_then(Item::etag))
                }
                None => {
                    let body = Map::from_iter([("status".to_owned(), json!("cancelled"))]);
                    // Google may have cancelled what fell out of the rule when that was written just now.
                    (body, known.and_then(Item::etag).filter(|_| is_given))
                }
            };
            parts.push((at, calendar::patch(self.calendar.as_str(), item.id(), etag, body, work.notify)));
        }
        let (places, parts): (Vec<usize>, Vec<Part>) = parts.into_iter().unzip();
        for (at, answer) in places.into_iter().zip(self.send_all(PATCH, &parts).await) {
            let written: Result<Item> = answer.and_then(|answer| api::parse(PATCH, &answer));
            match (written, &mut slots[at]) {
                (Ok(item), Ok(work)) => work.record.put_exception(item),
                (Err(failed), slot @ Ok(_)) => *slot = Err(failed),
                (_, Err(_)) => {}
            }
        }
    }
}

/// An occurrence keeps the zone that its series repeats in.
fn in_series(mut one: Event, series: &Event) -> Event {
    if one.time_zone.is_empty() && !one.span.is_all_day() {
        one.time_zone = if series.time_zone.is_empty() { "UTC".to_owned() } else { series.time_zone.clone() };
    }
    one
}

fn work(operation: &'static str, fields: &tandem_core::record::Fields, record: Record, notify: Notify) -> Slot {
    let event = Event::from_fields(fields).map_err(|wrong| error::refused(operation, &wrong.to_string()))?;
    if event.reminder_minutes.is_some_and(|minutes| minutes > MOST_MINUTES) {
        return Err(error::refused(operation, "reminder_minutes is more than Google's four weeks (40,320)"));
    }
    if !event.attendees.iter().all(|guest| has_address(&guest.email)) {
        return Err(error::refused(operation, "attendees has a guest whose address is none"));
    }
    Ok(Work { event, record, todo: Vec::new(), notify })
}

fn has_address(email: &str) -> bool {
    let local_and_domain = email.trim().split_once('@');
    local_and_domain.is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') && !domain.contains('@'))
}

/// Whether it says so already, but for occurrences that are changed by themselves.
fn says(item: &Item, event: &Event) -> bool {
    let mut wanted = event.clone();
    wanted.exceptions.retain(|_, deviation| *deviation == Deviation::Cancelled);
    let record = Record { master: item.clone(), exceptions: Vec::new() };
    !item.is_cancelled() && map::event(&record).is_ok_and(|there| there.to_fields() == wanted.to_fields())
}

fn start(patch: &Patch, notify: Notify) -> Slot {
    let record: Record = serde_json::from_value(patch.raw.clone())
        .map_err(|_| error::refused(PATCH, "this reading of the appointment is of another release"))?;
    if record.master.lacks_guests() && patch.changed.contains(&field::ATTENDEES) {
        return Err(error::refused(PATCH, "it has more guests than Google shows, so they cannot be changed"));
    }
    let before = map::event(&record).map_err(|wrong| error::refused(PATCH, &wrong.to_string()))?;
    let mut work = work(PATCH, &patch.fields, record, notify)?;
    if patch.changed.contains(&field::EXCEPTIONS) {
        work.todo = differing_exceptions(&before, &work.event, &work.record);
    }
    Ok(work)
}

/// `None`: nothing of the master is to be written.
fn body_of((slot, patch): (&Slot, &Patch)) -> Option<Map<String, Value>> {
    let work = slot.as_ref().ok()?;
    let changed: Vec<Field> = patch.changed.iter().filter(|name| **name != field::EXCEPTIONS).cloned().collect();
    let mut body = map::changes(&work.event, &changed, &work.record);
    if patch.changed.contains(&field::EXCEPTIONS) {
        let mut dates = map::changes(&work.event, &[field::EXCEPTIONS], &work.record);
        // Only where an EXDATE comes or goes.
        let same = dates.get("recurrence").map(sorted) == work.record.master.0.get("recurrence").map(sorted);
        if !same {
            body.append(&mut dates);
        }
    }
    if let Some(marker) = &patch.marker {
        map::mark(&mut body, marker, &work.record.master);
    }
    (!body.is_empty()).then_some(body)
}

fn sorted(lines: &Value) -> Vec<String> {
    let lines = lines.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

fn changed_exceptions(event: &Event) -> Vec<Moment> {
    let changed = event.exceptions.iter().filter(|(_, deviation)| **deviation != Deviation::Cancelled);
    changed.filter(|_| event.is_series()).map(|(original, _)| *original).collect()
}

/// Occurrences that must be written one by one: changed ones, and all that Google holds as exceptions of their own and
/// that shall now be cancelled, restored or as the series says. Other cancellations are dates of the series.
fn differing_exceptions(before: &Event, after: &Event, record: &Record) -> Vec<Moment> {
    let mut all: Vec<Moment> = before.exceptions.keys().chain(after.exceptions.keys()).copied().collect();
    all.sort();
    all.dedup();
    // What the rule gives no occurrence any more must not be written as one; where it stays, it is left behind.
    let given = recurrence::among(after, &all).unwrap_or_default();
    all.retain(|original| {
        let (was, is) = (before.exceptions.get(original), after.exceptions.get(original));
        let of_its_own = matches!(is, Some(Deviation::Changed(_))) || held(record, original).is_some();
        was != is && of_its_own && given.contains(original)
    });
    all
}

/// Exceptions that Google holds and that would say something else than they should now that their series is changed: an
/// item of its own keeps what the series said when it was made.
fn left_behind(work: &Work) -> Vec<Moment> {
    let live = work.record.exceptions.iter().filter(|item| !item.is_cancelled());
    let known: Vec<(Moment, &Item)> = live.filter_map(|item| Some((map::original(item).ok()?, item))).collect();
    let originals: Vec<Moment> = known.iter().map(|(original, _)| *original).collect();
    let Ok(given) = recurrence::among(&work.event, &originals) else { return Vec::new() };
    let differs = |(original, item): &&(Moment, &Item)| {
        let wanted = work.event.exceptions.get(original);
        let said = map::alone(item).ok().and_then(|one| work.event.deviation(original, &one));
        // One that the rule does not give any more must not stay behind.
        (!given.contains(original) || said.as_ref() != wanted) && !work.todo.contains(original)
    };
    known.iter().filter(differs).map(|(original, _)| *original).collect()
}

fn held<'a>(record: &'a Record, original: &Moment) -> Option<&'a Item> {
    record.exceptions.iter().find(|item| map::original(item).is_ok_and(|at| at == *original))
}

fn settle(slot: &mut Slot, written: Result<Item>) {
    match written {
        Ok(item) => {
            if let Ok(work) = slot {
                work.record.master = item;
            }
        }
        Err(failed) => *slot = Err(failed),
    }
}

/// What was written, each with its iCalUID.
fn finish(slots: Vec<Slot>) -> Result<Outcomes<(Written, String)>> {
    let written = |work: Work| {
        let version = Version::new(work.record.version());
        let id = RemoteId::new(work.record.master.id());
        let uid = work.record.master.text("iCalUID").to_owned();
        let shown = fetched(work.record).ok().map(|fetched| fetched.fields);
        (Written { id, version, shown }, uid)
    };
    whole(slots.into_iter().map(|slot| slot.map(written)).collect())
}

/// A batch whose every item failed for a reason of the account's failed as a whole.
fn whole<T>(mut outcomes: Outcomes<T>) -> Result<Outcomes<T>> {
    let of_the_account = |kind: ErrorKind| match kind {
        // What is refused for one appointment's sake (the user is its guest) is permanent.
        ErrorKind::AuthRevoked | ErrorKind::Throttled { .. } | ErrorKind::Forbidden => true,
        ErrorKind::Retryable
        | ErrorKind::CursorExpired
        | ErrorKind::Conflict
        | ErrorKind::NotFound
        | ErrorKind::Permanent => false,
    };
    let all_fail = outcomes.iter().all(|one| one.as_ref().is_err_and(|e| of_the_account(e.kind)));
    match outcomes.pop() {
        Some(Err(failed)) if all_fail => Err(failed),
        Some(last) => {
            outcomes.push(last);
            Ok(outcomes)
        }
        None => Ok(outcomes),
    }
}
