//! Carries out one batch on one side: quick repeats where a repeat is safe, isolation of a poisoned record.
use crate::prepare::{Item, News};
use crate::session::{Session, Stop, cause, stop_for};
use std::time::Duration;
use tandem_core::plan::Act;
use tandem_core::policy::Direction;
use tandem_core::record::{Field, Side};
use tandem_ports::connector::{Deletion, Draft, Patch, Written};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::{Sealed, SecretOwner};
use tandem_store::StoreError;

/// What a batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Update,
    Delete,
}

impl Verb {
    /// What an act needs.
    pub fn of(act: &Act) -> Verb {
        match act {
            Act::Create { .. } => Verb::Create,
            Act::Update { .. } => Verb::Update,
            Act::Delete { .. } => Verb::Delete,
        }
    }
}

/// Records to be written in one call.
#[derive(Debug)]
pub(crate) struct Batch {
    pub side: Side,
    pub verb: Verb,
    pub items: Vec<Item>,
    /// The intent written for it, if it needs one.
    pub intent: Option<u64>,
}

/// A record of a batch with its answer.
pub(crate) type Answered = (Item, Result<Option<Written>>);

/// What became of a batch. What was answered before it had to stop is not lost.
pub(crate) struct Executed {
    pub answered: Vec<Answered>,
    pub stop: Option<Stop>,
    pub side: Side,
    pub intent: Option<u64>,
}

/// Quick repeats of a write that did not answer, within one job.
const TRIES: u32 = 3;

impl Session<'_> {
    /// Carries out a batch.
    pub async fn execute(&self, batch: Batch) -> Executed {
        let Batch { side, verb, items, intent } = batch;
        let mut executed = Executed { answered: Vec::with_capacity(items.len()), stop: None, side, intent };
        // What the guests hear of goes apart. Halves of a batch that was refused as a whole wait here, too.
        let (fresh, quiet): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| self.tells(side, item));
        let mut waiting: Vec<Vec<Item>> = [quiet, fresh].into_iter().filter(|some| !some.is_empty()).collect();
        while let Some(items) = waiting.pop() {
            match self.attempt(side, verb, items).await {
                Attempt::Answered(answered) => executed.answered.extend(answered),
                Attempt::Split(first, second) => waiting.extend([second, first]),
                Attempt::Stop(stop, answered) => {
                    executed.answered.extend(answered);
                    executed.stop = Some(stop);
                    return executed;
                }
            }
        }
        executed
    }

    async fn attempt(&self, side: Side, verb: Verb, mut items: Vec<Item>) -> Attempt {
        for attempt in 1..=TRIES {
            let error = match self.call(side, verb, &items).await {
                Ok(outcomes) => return Attempt::answered(side, items.into_iter().zip(outcomes).collect()),
                Err(error) => error,
            };
            tracing::warn!(error = %error, cause = %cause(&error), batch = items.len(), attempt, "write failed");
            match error.kind {
                ErrorKind::Retryable => {
                    // A create that the provider cannot recognise when repeated may still land after its answer was lost:
                    // the intent stays open, and after the backoff what was made is found by its marker.
                    let unsafe_twice = verb == Verb::Create && !self.connector(side).capabilities().idempotent_creates;
                    if unsafe_twice || attempt == TRIES || self.budget.spent() {
                        return Attempt::Stop(stop_for(side, &error), Vec::new());
                    }
                    self.engine.clock.sleep(Duration::from_millis(250 << attempt)).await;
                }
                // A side that may not be written leaves the other direction as it is.
                ErrorKind::Forbidden if self.policy.direction == Direction::Both => {
                    let stop = Stop::Barred { side, message: error.detail.clone() };
                    return Attempt::Stop(stop, Vec::new());
                }
                ErrorKind::Throttled { .. } | ErrorKind::AuthRevoked | ErrorKind::Forbidden => {
                    return Attempt::Stop(stop_for(side, &error), Vec::new());
                }
                ErrorKind::Permanent | ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::CursorExpired => {
                    if items.len() > 1 {
                        let second = items.split_off(items.len() / 2);
                        return Attempt::Split(items, second);
                    }
                    return Attempt::Answered(items.into_iter().map(|item| (item, Err(error.repeated()))).collect());
                }
            }
        }
        Attempt::Answered(Vec::new())
    }

    /// The marker of the copy that this item makes on `side`: it names the record on the other side.
    pub fn marker_of(&self, item: &Item, side: Side) -> Option<tandem_core::record::Marker> {
        let origin = side.other();
        let made = item.done.iter().find(|done| done.side == origin).and_then(|done| done.written.as_ref());
        let made = made.map(|written| &written.id);
        let id = item.copy(origin).map(|copy| &copy.id).or_else(|| item.row.id(origin)).or(made)?;
        Some(self.marker(origin, id))
    }

    /// Whether the guests hear of this write: a person's edit in the CRM goes out to them, once. What came from the remote
    /// side they know already.
    fn tells(&self, side: Side, item: &Item) -> bool {
        side == Side::Right && item.news == News::Fresh && self.right.notifying().is_some()
    }

    async fn call(&self, side: Side, verb: Verb, items: &[Item]) -> Result<Vec<Result<Option<Written>>>> {
        let connector = self.connector(side);
        // The items of a call are all of one sort.
        let telling = items.first().is_some_and(|item| self.tells(side, item));
        let connector = connector.notifying().filter(|_| telling).unwrap_or(connector);
        let some = |outcomes: Vec<Result<Written>>| outcomes.into_iter().map(|outcome| outcome.map(Some)).collect();
        match verb {
            Verb::Create => {
                let drafts: Vec<Draft> = items.iter().filter_map(|item| self.draft(item, side)).collect();
                connector.create(&drafts).await.map(some)
            }
            Verb::Update => {
                let patches: Vec<Patch> = items.iter().filter_map(|item| self.patch(item, side)).collect();
                connector.update(&patches).await.map(some)
            }
            Verb::Delete => {
                let deletions: Vec<Deletion> = items.iter().filter_map(|item| deletion(item, side)).collect();
                let outcomes = connector.delete(&deletions).await?;
                Ok(outcomes.into_iter().map(|outcome| outcome.map(|()| None)).collect())
            }
        }
    }

    /// What a batch is about to create, for an intent, where the provider keeps no marker.
    pub async fn sealed_drafts(&self, batch: &Batch) -> std::result::Result<Option<Sealed>, Stop> {
        if self.connector(batch.side).capabilities().keeps_markers {
            return Ok(None);
        }
        let fields: Vec<_> =
            batch.items.iter().filter_map(|item| self.draft(item, batch.side)).map(|d| d.fields).collect();
        let plain = serde_json::to_vec(&fields).expect("fields serialise");
        let sealed = self.engine.secrets.seal(&self.owner(), &plain).await;
        Ok(Some(sealed.map_err(|error| Stop::Broken(StoreError::Unavailable(Box::new(error))))?))
    }

    /// Whom the sync's secrets belong to.
    pub fn owner(&self) -> SecretOwner {
        crate::changelog::owner(&self.sync.user, self.sync)
    }

    fn draft(&self, item: &Item, side: Side) -> Option<Draft> {
        let Some(Act::Create { fields }) = item.step.act(side) else { return None };
        Some(Draft { marker: self.marker_of(item, side)?, fields: self.policy.to_side(side, fields) })
    }

    fn patch(&self, item: &Item, side: Side) -> Option<Patch> {
        let Some(Act::Update { id, expect, changed, fields, scope }) = item.step.act(side) else { return None };
        let copy = item.copy(side)?;
        let names: Vec<Field> = changed.iter().map(|field| self.policy.name_on(side, field)).collect();
        // What pairing recognises by e-mail today must be recognised without it tomorrow.
        let unmarked = copy.marker.is_none() && side == Side::Right;
        Some(Patch {
            id: id.clone(),
            expect: expect.clone(),
            changed: names,
            fields: self.policy.to_side(side, fields),
            scope: *scope,
            marker: self.marker_of(item, side).filter(|_| unmarked),
            raw: copy.raw.clone(),
        })
    }
}

fn deletion(item: &Item, side: Side) -> Option<Deletion> {
    let Some(Act::Delete { id, expect }) = item.step.act(side) else { return None };
    Some(Deletion { id: id.clone(), expect: expect.clone() })
}

enum Attempt {
    Answered(Vec<Answered>),
    Split(Vec<Item>, Vec<Item>),
    Stop(Stop, Vec<Answered>),
}

impl Attempt {
    /// What is the account's matter stops the batch; what is one record's (also a right on it) is that record's answer.
    fn answered(side: Side, answered: Vec<Answered>) -> Attempt {
        let stops = |error: &ConnectorError| {
            matches!(error.kind, ErrorKind::Throttled { .. } | ErrorKind::AuthRevoked | ErrorKind::Retryable)
        };
        let first = answered.iter().find_map(|(_, outcome)| outcome.as_ref().err().filter(|error| stops(error)));
        let Some(stop) = first.map(|error| stop_for(side, error)) else { return Attempt::Answered(answered) };
        let settled = answered.into_iter().filter(|(_, outcome)| !outcome.as_ref().is_err_and(&stops)).collect();
        Attempt::Stop(stop, settled)
    }
}
