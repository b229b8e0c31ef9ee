//! Creating, changing and deleting contacts in batches, one result an item.
use super::{GoogleContacts, is_about_an_item};
use crate::api::people;
use crate::error;
use crate::map::{self, Part};
use crate::wire::{BatchCreated, BatchUpdated, Person, PersonResponse};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use tandem_core::record::Scope;
use tandem_ports::connector::{Deletion, Draft, Outcomes, Patch, Written};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};

/// Most further calls that one refused batch may cost. A batch of 200 with one bad contact takes 16.
const EXTRA_CALLS: usize = 48;

const CREATE: &str = "people.batchCreateContacts";
const UPDATE: &str = "people.batchUpdateContacts";
const DELETE: &str = "people.batchDeleteContacts";

impl GoogleContacts {
    /// Google takes no id from us, so a refused batch is taken apart (nothing of it was created), but a lost answer
    /// is left to the engine, which looks for the markers first.
    pub(super) async fn create_all(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        if drafts.len() > people::BATCH {
            return Err(error::refused(CREATE, "too many contacts at once"));
        }
        let mut outcomes: Vec<Option<Result<Written>>> = drafts.iter().map(|_| None).collect();
        let whole = 0..drafts.len();
        let mut todo = Vec::from([whole]);
        let mut calls = 0;
        while let Some(range) = todo.pop().filter(|range| !range.is_empty()) {
            if calls > EXTRA_CALLS {
                break;
            }
            calls += 1;
            let first = range.start;
            match self.create_batch(&drafts[range.clone()]).await {
                Ok(results) => results.into_iter().enumerate().for_each(|(at, r)| outcomes[first + at] = Some(r)),
                Err(refusal) if !is_about_an_item(refusal.kind) => return partial(outcomes, refusal),
                Err(refusal) if range.len() == 1 => outcomes[first] = Some(Err(refusal)),
                Err(_) => {
                    let middle = first + range.len() / 2;
                    todo.push(middle..range.end);
                    todo.push(first..middle);
                }
            }
        }
        Ok(complete(CREATE, outcomes))
    }

    async fn create_batch(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        let group = self.group.as_ref().map(|group| group.as_str());
        let person = |d: &Draft| map::new_person(&d.fields, &d.marker, group, self.region);
        let call = people::batch_create(self.origin(), drafts.iter().map(person).collect())?;
        let answer: BatchCreated = self.call(call).await?;
        let mut results: Outcomes<Written> = Vec::with_capacity(drafts.len());
        let mut answers = answer.created_people.into_iter();
        results.resize_with(drafts.len(), || match answers.next() {
            Some(response) => self.written(CREATE, response, None),
            None => Err(error::no_answer(CREATE)),
        });
        Ok(results)
    }

    pub(super) async fn update_all(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        if patches.len() > people::BATCH {
            return Err(error::refused(UPDATE, "too many contacts at once"));
        }
        let mut outcomes: Vec<Option<Result<Written>>> = patches.iter().map(|_| None).collect();
        let mut named = HashSet::new();
        let mut indices = Vec::new();
        for (at, patch) in patches.iter().enumerate() {
            // The body is a map by name: a second patch of one contact waits for its first.
            if parts_of(patch, self.group.is_some()).is_empty() {
                outcomes[at] = Some(Ok(Written { id: patch.id.clone(), version: patch.expect.clone(), shown: None }));
            } else if named.insert(patch.id.clone()) {
                indices.push(at);
            } else {
                outcomes[at] = Some(Err(error::not_tried(UPDATE)));
            }
        }
        match self.update_apart(patches, indices, &mut outcomes).await {
            Ok(()) => Ok(complete(UPDATE, outcomes)),
            Err(refusal) => partial(outcomes, refusal),
        }
    }

    /// Google may refuse the whole batch for one stale, gone or bad contact. Then one read says which are stale or
    /// gone; should the rest be refused again, it is halved until the culprits stand alone.
    async fn update_apart(
        &self,
        patches: &[Patch],
        indices: Vec<usize>,
        outcomes: &mut [Option<Result<Written>>],
    ) -> Result<()> {
        let mut todo = vec![indices];
        let mut calls = 0;
        let mut sifted = false;
        while let Some(batch) = todo.pop() {
            if batch.is_empty() {
                continue;
            }
            if calls > EXTRA_CALLS {
                break;
            }
            calls += 1;
            match self.update_batch(patches, &batch).await {
                Ok(results) => results.into_iter().zip(&batch).for_each(|(r, at)| outcomes[*at] = Some(r)),
                Err(refusal) if !is_about_an_item(refusal.kind) => return Err(refusal),
                Err(refusal) if batch.len() == 1 => outcomes[batch[0]] = Some(Err(refusal)),
                Err(_) if !sifted => {
                    sifted = true;
                    calls += 1;
                    todo.push(self.sift(patches, batch, outcomes).await?);
                }
                Err(_) => {
                    let (left, right) = batch.split_at(batch.len() / 2);
                    todo.push(right.to_vec());
                    todo.push(left.to_vec());
                }
            }
        }
        Ok(())
    }

    /// Settles what is gone or was changed since it was read; answers the others.
    async fn sift(
        &self,
        patches: &[Patch],
        batch: Vec<usize>,
        outcomes: &mut [Option<Result<Written>>],
    ) -> Result<Vec<usize>> {
        let names: Vec<&str> = batch.iter().map(|at| patches[*at].id.as_str()).collect();
        let live = self.read(&names).await?;
        let mut good = Vec::new();
        for (at, person) in batch.into_iter().zip(live) {
            match person.as_ref().and_then(Person::contact_etag) {
                None => outcomes[at] = Some(Err(error::gone(UPDATE))),
                Some(etag) if etag != patches[at].expect.as_str() => {
                    outcomes[at] = Some(Err(error::changed_meanwhile(UPDATE)));
                }
                Some(_) => good.push(at),
            }
        }
        Ok(good)
    }

    /// One call. The mask is the union over the batch, so each contact carries its live values for what it keeps.
    async fn update_batch(&self, patches: &[Patch], batch: &[usize]) -> Result<Outcomes<Written>> {
        let bounded = self.group.is_some();
        let mask: BTreeSet<Part> = batch.iter().flat_map(|at| parts_of(&patches[*at], bounded)).collect();
        let mut body = Map::new();
        for at in batch {
            let patch = &patches[*at];
            body.insert(patch.id.as_str().to_owned(), Value::Object(self.person_of(patch, &mask)));
        }
        let paths: Vec<&str> = mask.iter().map(|part| part.path()).collect();
        let call = people::batch_update(self.origin(), body, &paths.join(","))?;
        let mut answer: BatchUpdated = self.call(call).await?;
        let result = |at: &usize| {
            let patch = &patches[*at];
            match answer.update_result.remove(patch.id.as_str()) {
                Some(response) => self.written(UPDATE, response, Some(patch)),
                // With an empty read mask the answer may be `{}`: done, and the new version is not known. The old one
                // is safe: the next reading shows another version with the values we wrote.
                None => Ok(Written { id: patch.id.clone(), version: patch.expect.clone(), shown: None }),
            }
        };
        Ok(batch.iter().map(result).collect())
    }

    fn person_of(&self, patch: &Patch, mask: &BTreeSet<Part>) -> Map<String, Value> {
        let raw = Person(patch.raw.as_object().cloned().unwrap_or_default());
        let mine = parts_of(patch, self.group.is_some());
        // The precondition is `expect`, whatever else the reading says of the source.
        let mut source = raw.contact_source().cloned().unwrap_or_else(|| json!({"type": "CONTACT"}));
        source["etag"] = json!(patch.expect.as_str());
        if let Some(source) = source.as_object_mut() {
            source.retain(|key, _| ["type", "id", "etag"].contains(&key.as_str()));
        }
        let mut person = Map::from_iter([
            ("resourceName".to_owned(), json!(patch.id.as_str())),
            ("metadata".to_owned(), json!({"sources": [source]})),
        ]);
        for part in mask {
            let value = match (part, &patch.marker, patch.scope, &self.group) {
                _ if !mine.contains(part) => map::unchanged(*part, &raw),
                (Part::ClientData, Some(marker), _, _) => map::with_marker(&raw, marker),
                (Part::Memberships, _, Some(scope), Some(group)) => map::with_scope(&raw, group.as_str(), scope),
                _ => map::changed(*part, &patch.fields, &raw, self.region),
            };
            let value = if *part == Part::Memberships && value.is_empty() {
                // A mask with memberships and none given is refused; a contact of no group joins "Contacts".
                map::with_scope(&raw, "", Scope::Outside)
            } else {
                value
            };
            person.insert(part.path().to_owned(), Value::Array(value));
        }
        person
    }

    fn written(&self, operation: &'static str, response: PersonResponse, patch: Option<&Patch>) -> Result<Written> {
        let status = response.http_status();
        if !(200..300).contains(&status) {
            return Err(error::classify_item(operation, status, &response.status.unwrap_or_default()));
        }
        let seen = response.person.and_then(|person| self.fetched(person));
        match (seen, patch) {
            (Some(seen), _) => Ok(Written { id: seen.id, version: seen.version, shown: Some(seen.fields) }),
            (None, Some(patch)) => Ok(Written { id: patch.id.clone(), version: patch.expect.clone(), shown: None }),
            (None, None) => Err(error::no_answer(operation)),
        }
    }

    /// Google checks no version on deletes: the caller reads the contact directly before.
    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        let names: Vec<&str> = deletions.iter().map(|d| d.id.as_str()).collect();
        let mut seen = HashSet::new();
        let unique: Vec<&str> = names.iter().copied().filter(|name| seen.insert(*name)).collect();
        let mut failed: HashMap<&str, ConnectorError> = HashMap::new();
        let mut todo = vec![unique];
        let mut calls = 0;
        let mut sifted = false;
        while let Some(batch) = todo.pop() {
            if batch.is_empty() {
                continue;
            }
            calls += 1;
            if calls > EXTRA_CALLS {
                failed.extend(batch.into_iter().map(|name| (name, error::not_tried(DELETE))));
                continue;
            }
            match self.call::<Value>(people::batch_delete(self.origin(), &batch)?).await {
                Ok(_) => {}
                // Deleting twice is the same for both, so even an `Err` after a part is safely repeated.
                Err(refusal) if !is_about_an_item(refusal.kind) => return Err(refusal),
                Err(refusal) if batch.len() == 1 => {
                    if !is_gone(&refusal) {
                        failed.insert(batch[0], refusal);
                    }
                }
                Err(_) if !sifted => {
                    sifted = true;
                    todo.push(self.still_there(batch).await?);
                }
                Err(_) => {
                    let (left, right) = batch.split_at(batch.len() / 2);
                    todo.push(right.to_vec());
                    todo.push(left.to_vec());
                }
            }
        }
        Ok(names.iter().map(|name| failed.get(name).map_or(Ok(()), |e| Err(e.repeated()))).collect())
    }

    async fn still_there<'a>(&self, names: Vec<&'a str>) -> Result<Vec<&'a str>> {
        let mut there = Vec::new();
        for chunk in names.chunks(people::BATCH) {
            let live = self.read(chunk).await?;
            there.extend(chunk.iter().zip(live).filter(|(_, person)| person.is_some()).map(|(name, _)| *name));
        }
        Ok(there)
    }
}

fn is_gone(refusal: &ConnectorError) -> bool {
    refusal.kind == ErrorKind::NotFound
}

/// The wire fields that this patch changes.
fn parts_of(patch: &Patch, bounded: bool) -> BTreeSet<Part> {
    let mut parts: BTreeSet<Part> = patch.changed.iter().filter_map(Part::of).collect();
    if patch.marker.is_some() {
        parts.insert(Part::ClientData);
    }
    if bounded && patch.scope.is_some() {
        parts.insert(Part::Memberships);
    }
    parts
}

/// Every item has its result; those never reached are left for the next attempt.
fn complete<T>(operation: &'static str, outcomes: Vec<Option<Result<T>>>) -> Outcomes<T> {
    outcomes.into_iter().map(|o| o.unwrap_or_else(|| Err(error::not_tried(operation)))).collect()
}

/// A failure in the middle: what was done must not be lost, so it is told item by item once there is any.
fn partial(outcomes: Vec<Option<Result<Written>>>, refusal: ConnectorError) -> Result<Outcomes<Written>> {
    if !outcomes.iter().flatten().any(Result::is_ok) {
        return Err(refusal);
    }
    let fill = |o: Option<Result<Written>>| o.unwrap_or_else(|| Err(refusal.repeated()));
    Ok(outcomes.into_iter().map(fill).collect())
}
