//! Writing: as many appointments as fit, one transaction at a time.
use super::{BuiltinCalendar, version};
use crate::appointment::{self, UNTITLED};
use crate::batch::{Answers, Decision, LOOK_AHEAD, Plan, by_id, change_some, marked};
use crate::error::CrmError;
use crate::ledger::{Edit, Tries};
use crate::record::{Body, Record};
use crate::schema::Kind;
use crate::validate;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use tandem_core::event::field;
use tandem_core::record::{Field, Fields, Marker, RemoteId};
use tandem_ports::connector::{Deletion, Draft, Patch, Written};

/// What a draft comes to.
enum Made {
    /// A new meeting or block, or the appointment that the user joins.
    Edit(String, Edit),
    /// Its marker's record is there.
    Before(Written),
}

/// A meeting cannot be without a title; what a calendar leaves empty stays empty there.
fn titled(kind: Kind, input: &mut Map<String, Value>) {
    if kind == Kind::Meeting && input.get("title") == Some(&Value::Null) {
        input.insert("title".to_owned(), json!(UNTITLED));
    }
}

impl BuiltinCalendar {
    fn written(&self, record: &Record) -> Written {
        Written { id: RemoteId::new(&record.id), version: version(record), shown: Some(self.fields(record)) }
    }

    /// The records that this user's sync marked with these, by marker.
    pub(super) async fn made(&self, markers: &[&str]) -> Result<HashMap<String, Record>, CrmError> {
        let carries = |record: &Record, marker: &str| {
            self.holds(record) && appointment::marker_of(&record.body, &self.actor.id) == Some(marker)
        };
        marked(&self.ledger, markers, carries).await
    }

    /// The appointments that these drafts' iCalUIDs are the names of, by draft's place: another user's calendar showed
    /// them, or they were made here and came back by a guest's calendar.
    async fn known(&self, drafts: &[Draft]) -> Result<HashMap<usize, Record>, CrmError> {
        let mut marks: Vec<(usize, String)> = Vec::new();
        let mut ids: Vec<(usize, String)> = Vec::new();
        for (at, draft) in drafts.iter().enumerate() {
            let uid = draft.fields.text(&field::UID);
            marks.extend(appointment::marks_of_uid(uid, is_series(&draft.fields)).into_iter().map(|mark| (at, mark)));
            ids.extend(appointment::record_of_uid(uid).map(|id| (at, id)));
        }
        if !marks.is_empty() {
            let texts: Vec<&str> = marks.iter().map(|(_, mark)| mark.as_str()).collect();
            let found = self.ledger.marked(&texts).await?;
            ids.extend(marks.iter().zip(found).filter_map(|((at, _), id)| Some((*at, id?))));
        }
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let texts: Vec<&str> = ids.iter().map(|(_, id)| id.as_str()).collect();
        let records = self.ledger.records(&texts).await?;
        let mut known = HashMap::new();
        for ((at, _), record) in ids.iter().zip(records) {
            let fields = &drafts[*at].fields;
            let is_it = |record: &Record| {
                appointment::is_named(&self.ledger.account, record, fields.text(&field::UID))
                    && record.body.contains_key("recurrence") == is_series(fields)
            };
            if let Some(record) = record.filter(is_it) {
                known.entry(*at).or_insert(record);
            }
        }
        Ok(known)
    }

    /// Creates the first of these drafts, as many as fit one transaction.
    pub(super) async fn create_some(&self, drafts: &[Draft]) -> Result<Vec<Result<Written, CrmError>>, CrmError> {
        let drafts = &drafts[..drafts.len().min(LOOK_AHEAD)];
        let markers: Vec<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let (made, mut known) = (self.made(&markers).await?, self.known(drafts).await?);
            let mut plan = Plan::new();
            let mut taken: HashSet<String> = HashSet::new();
            for (at, draft) in drafts.iter().enumerate() {
                // The same marker, or the same iCalUID, twice: the second finds the first in the next transaction.
                let uid = format!("uid:{}", draft.fields.text(&field::UID));
                let is_again = uid.len() > 4 && !taken.insert(uid);
                if is_again || !taken.insert(format!("marker:{}", draft.marker)) {
                    break;
                }
                match self.plan_create(draft, made.get(draft.marker.as_str()), known.remove(&at)) {
                    Ok(Made::Before(written)) => plan.done(Ok(written)),
                    Ok(Made::Edit(id, edit)) => {
                        let edits = vec![edit];
                        if !plan.fits(&edits) {
                            break;
                        }
                        plan.write(id, edits);
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

    fn plan_create(&self, draft: &Draft, made: Option<&Record>, known: Option<Record>) -> Result<Made, CrmError> {
        if let Some(record) = made {
            return Ok(Made::Before(self.written(record)));
        }
        let (user, marker) = (self.actor.id.as_str(), draft.marker.as_str());
        let calendar = Some(draft.fields.text(&field::CALENDAR)).filter(|calendar| !calendar.is_empty());
        let mut input = appointment::to_body(&draft.fields, &field::ALL);
        appointment::only_occurring(&Body::new(), &mut input)?;
        let kind = match calendar.is_some_and(|calendar| self.meetings_of.contains(calendar)) {
            true => Kind::Meeting,
            false => Kind::Block,
        };
        titled(kind, &mut input);
        let mut body = validate::new_body(kind, &input)?;
        // A calendar may show one appointment twice (it is in two of the user's own): the other one stays by itself.
        let is_second = known.as_ref().is_some_and(|record| appointment::marker_of(&record.body, user).is_some());
        if let Some(before) = known.filter(|_| !is_second) {
            let mut joined = before.body.clone();
            appointment::join(&mut joined, user, marker, calendar, &body);
            appointment::add_uid(&mut joined, draft.fields.text(&field::UID));
            let (id, marker) = (before.id.clone(), before.marker.clone());
            return Ok(Made::Edit(id, Edit::Change { before: Box::new(before), body: joined, marker }));
        }
        appointment::join(&mut body, user, marker, calendar, &Map::new());
        if !is_second {
            appointment::add_uid(&mut body, draft.fields.text(&field::UID));
        }
        let id = self.ledger.new_id();
        Ok(Made::Edit(id.clone(), Edit::Create { id, kind, body, marker: None }))
    }

    /// Changes the first of these records, as many as fit one transaction.
    pub(super) async fn update_some(&self, patches: &[Patch]) -> Answers<Written> {
        let decide = |patch: &Patch, record: Option<Record>| {
            let before = record.filter(|record| self.holds(record)).ok_or(CrmError::NotFound)?;
            let body = self.plan_update(patch, &before)?;
            if body == before.body {
                return Ok(Decision::Is(self.written(&before)));
            }
            let marker = before.marker.clone();
            Ok(Decision::Write(Edit::Change { before: Box::new(before), body, marker }))
        };
        change_some(&self.ledger, patches, decide, |record| self.written(record)).await
    }

    fn plan_update(&self, patch: &Patch, before: &Record) -> Result<Body, CrmError> {
        if version(before) != patch.expect {
            return Err(CrmError::Stale);
        }
        let shown = Record { body: self.body(before), ..before.clone() };
        let known: Vec<Field> = patch.changed.iter().filter(|name| field::ALL.contains(name)).cloned().collect();
        let mut input = appointment::to_body(&patch.fields, &known);
        titled(before.kind, &mut input);
        let mut body = before.body.clone();
        if !input.is_empty() {
            appointment::only_occurring(&shown.body, &mut input)?;
            let changed = validate::changed_body(&shown, &input)?;
            body = appointment::from_user(&before.body, changed, &self.actor.id);
        }
        if let Some(marker) = patch.marker.as_ref().map(Marker::as_str) {
            appointment::set_marker(&mut body, &self.actor.id, marker);
        }
        if patch.changed.contains(&field::UID) {
            appointment::add_uid(&mut body, patch.fields.text(&field::UID));
        }
        Ok(body)
    }

    /// Deletes the first of these records, as many as fit one transaction: the user leaves, and the record goes with the
    /// last one.
    pub(super) async fn delete_some(&self, deletions: &[Deletion]) -> Answers<()> {
        let decide = |deletion: &Deletion, record: Option<Record>| match record.filter(|record| self.holds(record)) {
            None => Ok(Decision::Is(())),
            Some(before) if version(&before) != deletion.expect => Err(CrmError::Stale),
            Some(before) => Ok(Decision::Write(self.parting(before))),
        };
        change_some(&self.ledger, deletions, decide, |_| ()).await
    }

    fn parting(&self, before: Record) -> Edit {
        let mut body = before.body.clone();
        if appointment::leave(&mut body, &self.actor.id) {
            let marker = before.marker.clone();
            return Edit::Change { before: Box::new(before), body, marker };
        }
        Edit::Remove { before: Box::new(before) }
    }
}

fn is_series(fields: &Fields) -> bool {
    !fields.text(&field::RECURRENCE).is_empty()
}
