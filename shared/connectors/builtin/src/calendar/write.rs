//! Writing: as many appointments as fit, one transaction at a time.
use super::{BuiltinCalendar, version};
use crate::appointment::{self, UNTITLED, for_user, from_user, holds, join, leave, marker_of, set_marker};
use crate::batch::{LOOK_AHEAD, Plan, by_id};
use crate::error::CrmError;
use crate::ledger::{Edit, Tries};
use crate::record::{Body, Record};
use crate::schema::Kind;
use crate::validate;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use tandem_core::event::{copy_name, field};
use tandem_core::record::{Field, Fields, Marker, RemoteId};
use tandem_ports::connector::{Deletion, Draft, Patch, Written};

/// What Google appends to an event's id to make its iCalUID.
const GOOGLES: &str = "@google.com";

impl BuiltinCalendar {
    fn written(&self, record: &Record) -> Written {
        Written { id: RemoteId::new(&record.id), version: version(record), shown: Some(self.fields(record)) }
    }

    /// The records that these markers were put on by this user's sync.
    pub(super) async fn made_before(&self, markers: &[&str]) -> Result<HashMap<String, Record>, CrmError> {
        let marked = self.ledger.marked(markers).await?;
        let pairs: Vec<(&str, String)> =
            markers.iter().zip(marked).filter_map(|(marker, id)| Some((*marker, id?))).collect();
        let ids: Vec<&str> = pairs.iter().map(|(_, id)| id.as_str()).collect();
        let records = if ids.is_empty() { Vec::new() } else { self.ledger.records(&ids).await? };
        // A mark may outlive its record, or lead to one that was marked anew.
        let is_marked =
            |marker: &str, record: &Record| self.has(record) && marker_of(&record.body, &self.actor.id) == Some(marker);
        let live = pairs.iter().zip(records).filter_map(|((marker, _), record)| {
            record.filter(|record| is_marked(marker, record)).map(|record| ((*marker).to_owned(), record))
        });
        Ok(live.collect())
    }

    /// The appointments that these drafts are, by the name that they have in every calendar.
    async fn known(&self, drafts: &[Draft]) -> Result<HashMap<String, Record>, CrmError> {
        let mut leads: Vec<(String, String)> = Vec::new();
        let mut ours: Vec<(String, String)> = Vec::new();
        for draft in drafts {
            let uid = draft.fields.text(&field::UID);
            if uid.is_empty() {
                continue;
            }
            leads.push((uid.to_owned(), appointment::uid_mark(uid)));
            let copy = uid.strip_suffix(GOOGLES).map(appointment::copy_name_mark);
            leads.extend(copy.map(|mark| (uid.to_owned(), mark)));
            ours.extend(appointment::record_of_uid(uid).map(|id| (uid.to_owned(), id)));
        }
        let marks: Vec<&str> = leads.iter().map(|(_, mark)| mark.as_str()).collect();
        let mut found = Vec::new();
        for some in marks.chunks(super::BATCH) {
            found.extend(self.ledger.marked(some).await?);
        }
        ours.extend(leads.iter().zip(found).filter_map(|((uid, _), id)| Some((uid.clone(), id?))));
        let ids: Vec<&str> = ours.iter().map(|(_, id)| id.as_str()).collect();
        let records = if ids.is_empty() { Vec::new() } else { self.ledger.records(&ids).await? };
        let pairs = ours.iter().zip(records).filter_map(|((uid, _), record)| Some((uid.clone(), record?)));
        Ok(pairs.filter(|(uid, record)| self.is_called(record, uid)).collect())
    }

    /// Whether this name is that appointment's. Marks may outlive what they led to.
    fn is_called(&self, record: &Record, uid: &str) -> bool {
        let origin = Marker::new(format!("{}:{}", self.ledger.account, record.id));
        record.kind.is_appointment()
            && (appointment::has_uid(record, uid)
                || uid == appointment::own_uid(&record.id)
                || uid.strip_suffix(GOOGLES) == Some(copy_name(&origin).as_str()))
    }

    /// Creates the first of these drafts, as many as fit one transaction.
    pub(super) async fn create_some(&self, drafts: &[Draft]) -> Result<Vec<Result<Written, CrmError>>, CrmError> {
        let drafts = &drafts[..drafts.len().min(LOOK_AHEAD)];
        let markers: Vec<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let made_before = self.made_before(&markers).await?;
            let known = self.known(drafts).await?;
            let mut plan = Plan::new();
            let mut taken: HashSet<&str> = HashSet::new();
            for draft in drafts {
                let (marker, uid) = (draft.marker.as_str(), draft.fields.text(&field::UID));
                if let Some(record) = made_before.get(marker) {
                    plan.done(Ok(self.written(record)));
                    continue;
                }
                // The same marker or name twice: the second finds the first in the next transaction.
                if !taken.insert(marker) || (!uid.is_empty() && !taken.insert(uid)) {
                    break;
                }
                match self.plan_create(draft, known.get(uid)) {
                    Ok((_, edit)) if !plan.fits(std::slice::from_ref(&edit)) => break,
                    Ok((id, edit)) => plan.write(id, vec![edit]),
                    Err(error) => plan.done(Err(error)),
                }
            }
            if let Some(records) = self.ledger.commit(&head, std::mem::take(&mut plan.edits)).await? {
                return Ok(plan.outcomes(&by_id(records), |record| self.written(record)));
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }

    /// A new block, or this user's part in an appointment that a colleague has already.
    fn plan_create(&self, draft: &Draft, known: Option<&Record>) -> Result<(String, Edit), CrmError> {
        let (user, fields) = (self.actor.id.as_str(), &draft.fields);
        let (marker, calendar) = (draft.marker.as_str(), fields.text(&field::CALENDAR));
        let calendar = Some(calendar).filter(|calendar| !calendar.is_empty());
        let all: Vec<Field> = field::ALL.into_iter().filter(|name| fields.get(name).is_some()).collect();
        let input = appointment::to_body(fields, &all);
        let repeats = !fields.text(&field::RECURRENCE).is_empty();
        // A series and one of its occurrences have one name and are two appointments.
        let alike = known.filter(|record| record.body.contains_key("recurrence") == repeats);
        if let Some(before) = alike.filter(|record| !holds(&record.body, user)) {
            let mut body = before.body.clone();
            join(&mut body, user, marker, calendar, &input);
            let edit = Edit::Change { before: Box::new(before.clone()), body, marker: before.marker.clone() };
            return Ok((before.id.clone(), edit));
        }
        let mut body = validate::synced_body(Kind::Block, Body::new(), &input)?;
        join(&mut body, user, marker, calendar, &input);
        // In two calendars of one user it is there twice, and the name leads to the first.
        name(&mut body, fields, if known.is_some() { Claim::No } else { Claim::Yes });
        let id = self.ledger.new_id();
        Ok((id.clone(), Edit::Create { id, kind: Kind::Block, body, marker: None }))
    }

    /// Changes the first of these records, as many as fit one transaction.
    pub(super) async fn update_some(&self, patches: &[Patch]) -> Result<Vec<Result<Written, CrmError>>, CrmError> {
        let patches = &patches[..patches.len().min(LOOK_AHEAD)];
        let ids: Vec<&str> = patches.iter().map(|patch| patch.id.as_str()).collect();
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let records = self.ledger.records(&ids).await?;
            let mut plan = Plan::new();
            let mut taken: HashSet<&str> = HashSet::new();
            for (patch, record) in patches.iter().zip(records) {
                // The same record twice: the second is held against the first one's version.
                if !taken.insert(patch.id.as_str()) {
                    break;
                }
                let Some(before) = record.filter(|record| self.has(record)) else {
                    plan.done(Err(CrmError::NotFound));
                    continue;
                };
                match self.changed(&before, patch) {
                    Ok(body) if body == before.body => plan.done(Ok(self.written(&before))),
                    Ok(body) => {
                        let marker = before.marker.clone();
                        let edits = vec![Edit::Change { before: Box::new(before), body, marker }];
                        if !plan.fits(&edits) {
                            break;
                        }
                        plan.write(patch.id.as_str().to_owned(), edits);
                    }
                    Err(error) => plan.done(Err(error)),
                }
            }
            if let Some(records) = self.ledger.commit(&head, std::mem::take(&mut plan.edits)).await? {
                return Ok(plan.outcomes(&by_id(records), |record| self.written(record)));
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }

    /// The body after this change.
    fn changed(&self, before: &Record, patch: &Patch) -> Result<Body, CrmError> {
        if version(before) != patch.expect {
            return Err(CrmError::Stale);
        }
        let user = self.actor.id.as_str();
        let said: Vec<Field> = patch.changed.iter().filter(|name| field::ALL.contains(name)).cloned().collect();
        let mut input = appointment::to_body(&patch.fields, &said);
        if before.kind == Kind::Meeting && input.get("title").is_some_and(Value::is_null) {
            input.insert("title".to_owned(), json!(UNTITLED));
        }
        let shown = for_user(&before.body, user);
        let shown = validate::synced_body(before.kind, shown, &input)?;
        let mut body = from_user(&before.body, shown, user);
        if let Some(marker) = &patch.marker {
            set_marker(&mut body, user, marker.as_str());
        }
        if patch.changed.contains(&field::UID) {
            name(&mut body, &patch.fields, Claim::Yes);
        }
        Ok(body)
    }

    /// Takes this user out of the first of these records, as many as fit one transaction. With the last one it ends.
    pub(super) async fn delete_some(&self, deletions: &[Deletion]) -> Result<Vec<Result<(), CrmError>>, CrmError> {
        let deletions = &deletions[..deletions.len().min(LOOK_AHEAD)];
        let ids: Vec<&str> = deletions.iter().map(|deletion| deletion.id.as_str()).collect();
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let records = self.ledger.records(&ids).await?;
            let mut plan = Plan::new();
            let mut taken: HashSet<&str> = HashSet::new();
            for (deletion, record) in deletions.iter().zip(records) {
                if !taken.insert(deletion.id.as_str()) {
                    break;
                }
                let Some(before) = record.filter(|record| self.has(record)) else {
                    plan.done(Ok(()));
                    continue;
                };
                if version(&before) != deletion.expect {
                    plan.done(Err(CrmError::Stale));
                    continue;
                }
                let mut body = before.body.clone();
                let edit = if leave(&mut body, &self.actor.id) {
                    let marker = before.marker.clone();
                    Edit::Change { before: Box::new(before), body, marker }
                } else {
                    Edit::Remove { before: Box::new(before) }
                };
                if !plan.fits(std::slice::from_ref(&edit)) {
                    break;
                }
                plan.write(deletion.id.as_str().to_owned(), vec![edit]);
            }
            if let Some(records) = self.ledger.commit(&head, std::mem::take(&mut plan.edits)).await? {
                return Ok(plan.outcomes(&by_id(records), |_| ()));
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }
}

/// Whether a name leads to this appointment from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    Yes,
    No,
}

/// Notes the name that it has in every calendar.
fn name(body: &mut Map<String, Value>, fields: &Fields, claim: Claim) {
    let uid = fields.text(&field::UID);
    if uid.is_empty() {
        return;
    }
    body.entry("ical_uid").or_insert_with(|| json!(uid));
    if claim == Claim::No {
        return;
    }
    let names = body.entry("uids").or_insert_with(|| json!([]));
    if let Some(names) = names.as_array_mut().filter(|names| !names.contains(&json!(uid))) {
        names.push(json!(uid));
    }
}
