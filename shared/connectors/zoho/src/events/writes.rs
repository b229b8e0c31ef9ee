//! Creating, changing and deleting events, a hundred a call, and finding what a lost answer made.
use super::kind::Kind;
use super::{ZohoEvents, bars, check_size, fetched, map};
use crate::api::events::{self, Order};
use crate::api::records::{self, At};
use crate::api::{self};
use crate::contacts::writes::{complete, is_about_a_record};
use crate::error::{self, Operation};
use crate::rights::{Right, Standing};
use crate::wire::{Record, Records, Treated};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use tandem_core::event::field;
use tandem_core::record::{Field, Fields, Marker, RemoteId, Scope, Version};
use tandem_ports::connector::{Deletion, Draft, Fetched, Outcomes, Patch, Written};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};

/// How long ago a lost create may have been: a job that waits for credits waits a day at most. In seconds.
const LOOK_BACK: i64 = 25 * 3600;
/// 10,000 events made within the look-back.
const MOST_PAGES: usize = 50;
/// What tells appointments apart.
const TELLING: [Field; 6] =
    [field::TITLE, field::START, field::END, field::LOCATION, field::RECURRENCE, field::DESCRIPTION];

/// An event that goes out, and what it will say afterwards.
struct Outgoing {
    /// Its place in the batch.
    at: usize,
    kind: Kind,
    body: Map<String, Value>,
    after: Fields,
}

impl Outgoing {
    fn new(
        (at, kind): (usize, Kind),
        wanted: (&[Field], &Fields),
        raw: &Record,
        standing: &Standing,
        operation: Operation,
    ) -> Result<Outgoing> {
        let refused = |invalid: tandem_core::error::Invalid| error::refused(operation, &invalid.to_string());
        let body = kind.body(wanted, raw, &standing.time_zone).map_err(refused)?;
        let after = kind.fields(&map::after(raw, &body), &standing.time_zone).map_err(refused)?;
        Ok(Outgoing { at, kind, body, after })
    }

    /// `id`: Zoho's.
    fn sent(&self, id: Option<&str>) -> Value {
        let mut body = self.body.clone();
        body.extend(id.map(|id| ("id".to_owned(), json!(id))));
        if self.kind == Kind::Event {
            // No mail to anybody: not of a first run's two hundred meetings, and not of an echo.
            body.insert("$send_notification".to_owned(), json!(false));
        }
        Value::Object(body)
    }

    fn written(self, operation: Operation, said: Treated) -> Result<Written> {
        if said.code != "SUCCESS" {
            return Err(error::classify_item(operation, &said));
        }
        let detail = |name: &str| said.details[name].as_str().filter(|text| !text.is_empty());
        let (Some(id), Some(version)) = (detail("id"), detail("Modified_Time")) else {
            return Err(error::no_answer(operation));
        };
        Ok(Written { id: self.kind.id(id), version: Version::new(version), shown: Some(self.after) })
    }
}

/// Gives each record of a call its result. The answers are in the order of the records.
fn settle(operation: Operation, all: Vec<Outgoing>, answers: Vec<Treated>, outcomes: &mut [Option<Result<Written>>]) {
    let mut answers = answers.into_iter();
    for one in all {
        let at = one.at;
        outcomes[at] = Some(match answers.next() {
            Some(said) => one.written(operation, said),
            None => Err(error::no_answer(operation)),
        });
    }
}

/// The places of each kind's records in a batch, of those that there are.
fn by_kind<'a>(ids: impl Iterator<Item = &'a RemoteId>) -> Vec<(Kind, Vec<usize>)> {
    let kinds: Vec<Kind> = ids.map(|id| Kind::of(id).map_or(Kind::Event, |(kind, _)| kind)).collect();
    let places = |kind| (0..kinds.len()).filter(|at| kinds[*at] == kind).collect::<Vec<_>>();
    Kind::ALL.map(|kind| (kind, places(kind))).into_iter().filter(|(_, places)| !places.is_empty()).collect()
}

/// Zoho's id.
fn theirs(id: &RemoteId) -> &str {
    Kind::of(id).map_or(id.as_str(), |(_, theirs)| theirs)
}

/// A refusal of a kind's whole call is one of each of its records where others are settled already, or where it is about
/// tasks alone.
fn spread<T>(kind: Kind, done: Result<()>, places: &[usize], outcomes: &mut [Option<Result<T>>]) -> Result<()> {
    let Err(refusal) = done else { return Ok(()) };
    let others_are_settled = (0..outcomes.len()).any(|at| outcomes[at].is_some() && !places.contains(&at));
    if !others_are_settled && !bars(kind, &refusal) {
        return Err(refusal);
    }
    for at in places {
        outcomes[*at].get_or_insert_with(|| Err(refusal.repeated()));
    }
    Ok(())
}

fn names(fields: &Fields) -> Vec<Field> {
    let mut names: Vec<Field> = fields.iter().map(|(name, _)| name.clone()).collect();
    // An event without a title has one at Zoho.
    names.push(field::TITLE);
    names
}

impl ZohoEvents {
    pub(super) async fn create_all(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        check_size(events::INSERT, drafts.len())?;
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open().await?;
        opened.rights.allow(Right::Create, events::INSERT)?;
        let mut outcomes: Vec<Option<Result<Written>>> = drafts.iter().map(|_| None).collect();
        let mut outgoing = Vec::new();
        for (at, draft) in drafts.iter().enumerate() {
            let changed = names(&draft.fields);
            let (place, wanted) = ((at, Kind::Event), (&changed[..], &draft.fields));
            match Outgoing::new(place, wanted, &Record::default(), &opened, events::INSERT) {
                Ok(one) => outgoing.push(one),
                Err(refusal) => outcomes[at] = Some(Err(refusal)),
            }
        }
        if !outgoing.is_empty() {
            let bodies = outgoing.iter().map(|one| one.sent(None)).collect();
            let answer = self.client.send(events::insert(&self.client.origin, bodies)?).await?;
            settle(events::INSERT, outgoing, api::parse_treated(events::INSERT, &answer)?, &mut outcomes);
        }
        Ok(complete(events::INSERT, outcomes))
    }

    pub(super) async fn update_all(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        let operation = events::EVENTS.update;
        check_size(operation, patches.len())?;
        if patches.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open().await?;
        let mut outcomes: Vec<Option<Result<Written>>> = patches.iter().map(|_| None).collect();
        for (kind, places) in by_kind(patches.iter().map(|patch| &patch.id)) {
            let done = self.update_some(kind, (patches, &places), &opened, &mut outcomes).await;
            spread(kind, done, &places, &mut outcomes)?;
        }
        Ok(complete(operation, outcomes))
    }

    /// `If-Unmodified-Since` is one for the call, so several are read first, as the contacts are: who is stale or gone is
    /// told so, and the rest goes with the latest of the versions.
    async fn update_some(
        &self,
        kind: Kind,
        (patches, places): (&[Patch], &[usize]),
        opened: &Standing,
        outcomes: &mut [Option<Result<Written>>],
    ) -> Result<()> {
        let operation = kind.module().update;
        kind.rights(opened).allow(Right::Edit, operation)?;
        let (mut outgoing, mut named) = (Vec::new(), HashSet::new());
        for at in places.iter().copied() {
            let patch = &patches[at];
            let raw = Record(patch.raw.as_object().cloned().unwrap_or_default());
            match Outgoing::new((at, kind), (&patch.changed, &patch.fields), &raw, opened, operation) {
                Err(refusal) => outcomes[at] = Some(Err(refusal)),
                // Nothing that Zoho has a place for: no write.
                Ok(one) if one.body.is_empty() => {
                    let (id, version) = (patch.id.clone(), patch.expect.clone());
                    outcomes[at] = Some(Ok(Written { id, version, shown: Some(one.after) }));
                }
                Ok(one) if named.insert(&patch.id) => outgoing.push(one),
                // A second change of one record waits for the first.
                Ok(_) => outcomes[at] = Some(Err(error::not_tried(operation))),
            }
        }
        if outgoing.len() > 1 {
            outgoing = self.sift(kind, patches, outgoing, outcomes).await?;
        }
        if outgoing.is_empty() {
            return Ok(());
        }
        self.put(kind, patches, outgoing, outcomes).await
    }

    async fn put(
        &self,
        kind: Kind,
        patches: &[Patch],
        all: Vec<Outgoing>,
        outcomes: &mut [Option<Result<Written>>],
    ) -> Result<()> {
        let operation = kind.module().update;
        let time = |version: &&str| version.parse::<jiff::Timestamp>().ok();
        let latest = all.iter().map(|one| patches[one.at].expect.as_str()).max_by_key(|version| time(version));
        let bodies = all.iter().map(|one| one.sent(Some(theirs(&patches[one.at].id)))).collect();
        let call = events::update(&self.client.origin, kind.module(), bodies, latest.unwrap_or_default())?;
        let answer = self.client.send(call).await?;
        match api::parse_treated(operation, &answer) {
            Ok(treated) => settle(operation, all, treated, outcomes),
            Err(refusal) if is_about_a_record(&refusal) => {
                all.iter().for_each(|one| outcomes[one.at] = Some(Err(refusal.repeated())));
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    /// Settles what is gone or was changed since it was read; answers the others.
    async fn sift(
        &self,
        kind: Kind,
        patches: &[Patch],
        outgoing: Vec<Outgoing>,
        outcomes: &mut [Option<Result<Written>>],
    ) -> Result<Vec<Outgoing>> {
        let operation = kind.module().update;
        let ids: Vec<&str> = outgoing.iter().map(|one| theirs(&patches[one.at].id)).collect();
        let live = self.read(kind, &ids, "Modified_Time").await?;
        let mut good = Vec::new();
        for one in outgoing {
            let patch = &patches[one.at];
            match live.get(theirs(&patch.id)) {
                None => outcomes[one.at] = Some(Err(error::gone(operation))),
                Some(record) if record.modified() != patch.expect.as_str() => {
                    outcomes[one.at] = Some(Err(error::changed_meanwhile(operation)));
                }
                Some(_) => good.push(one),
            }
        }
        Ok(good)
    }

    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        let operation = events::EVENTS.delete;
        check_size(operation, deletions.len())?;
        if deletions.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open().await?;
        let mut outcomes: Vec<Option<Result<()>>> = deletions.iter().map(|_| None).collect();
        for (kind, places) in by_kind(deletions.iter().map(|deletion| &deletion.id)) {
            let done = self.delete_some(kind, (deletions, &places), &opened, &mut outcomes).await;
            spread(kind, done, &places, &mut outcomes)?;
        }
        Ok(complete(operation, outcomes))
    }

    /// Into the recycle bin. Zoho checks no version on deletes: the caller reads the record directly before.
    async fn delete_some(
        &self,
        kind: Kind,
        (deletions, places): (&[Deletion], &[usize]),
        opened: &Standing,
        outcomes: &mut [Option<Result<()>>],
    ) -> Result<()> {
        let operation = kind.module().delete;
        kind.rights(opened).allow(Right::Delete, operation)?;
        let mut seen = HashSet::new();
        let all = places.iter().map(|at| theirs(&deletions[*at].id));
        let ids: Vec<&str> = all.filter(|id| seen.insert(*id)).collect();
        let answer = self.client.send(events::delete(&self.client.origin, kind.module(), &ids)?).await?;
        let treated = match api::parse_treated(operation, &answer) {
            Ok(treated) => treated,
            // Said of the only one.
            Err(refusal) if ids.len() == 1 && refusal.kind == ErrorKind::NotFound => {
                places.iter().for_each(|at| outcomes[*at] = Some(Ok(())));
                return Ok(());
            }
            Err(refusal) => return Err(refusal),
        };
        let mut treated = treated.into_iter();
        let mut failed: HashMap<&str, ConnectorError> = HashMap::new();
        for id in ids {
            let refusal = match treated.next() {
                Some(said) if said.code == "SUCCESS" => continue,
                Some(said) => error::classify_item(operation, &said),
                None => error::no_answer(operation),
            };
            // Already gone is what was wanted.
            if refusal.kind != ErrorKind::NotFound {
                failed.insert(id, refusal);
            }
        }
        for at in places {
            let refusal = failed.get(theirs(&deletions[*at].id));
            outcomes[*at] = Some(refusal.map_or(Ok(()), |refusal| Err(refusal.repeated())));
        }
        Ok(())
    }

    /// Reads the events made lately, the latest first. Zoho keeps no marker, so one that says the same is taken for ours.
    pub(super) async fn find_all_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open().await?;
        let shown = |draft: &Draft| {
            let changed = names(&draft.fields);
            let (place, wanted) = ((0, Kind::Event), (&changed[..], &draft.fields));
            Outgoing::new(place, wanted, &Record::default(), &opened, events::INSERT).ok()
        };
        let mut waiting: Vec<(&Draft, Fields)> =
            drafts.iter().filter_map(|draft| Some((draft, telling(&shown(draft)?.after)))).collect();
        let mut found = Vec::new();
        let mut at = Some(At::Page(1));
        for _ in 0..MOST_PAGES {
            let Some(page) = at.take().filter(|_| !waiting.is_empty()) else { break };
            let latest = (&events::EVENTS, Order::Latest);
            let call = events::list(&self.client.origin, latest, (&page, self.page_size), None)?;
            let (answer, now) = self.client.ask_dated::<Records>(call).await?;
            let answer = answer.unwrap_or_default();
            let recent =
                |record: &Record| record.created_at().is_none_or(|created| now - created.as_second() <= LOOK_BACK);
            let all_recent = answer.data.iter().all(recent);
            for record in answer.data.into_iter().filter(recent) {
                // One that cannot be read is none of ours, nor is a colleague's.
                let Ok(read) = fetched(Kind::Event, record, &opened) else { continue };
                if read.scope == Scope::Outside {
                    continue;
                }
                let said = telling(&read.fields);
                // Each draft takes one record, each record one draft.
                let Some(which) = waiting.iter().position(|(_, wanted)| *wanted == said) else { continue };
                let (draft, _) = waiting.remove(which);
                found.push((draft.marker.clone(), Fetched { marker: Some(draft.marker.clone()), ..read }));
            }
            at = records::page_after(self.page_size, &page, &answer.info)?.filter(|_| all_recent);
        }
        Ok(found)
    }
}

fn telling(fields: &Fields) -> Fields {
    let kept = fields.iter().filter(|(name, _)| TELLING.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
