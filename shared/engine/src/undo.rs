//! Undoing a run: what it wrote is put back from its change log, where nobody has edited since.
//!
//! What is put back is noted as what that side shows by agreement, so that the next run does not do it all over again; an
//! edit on either side goes on from there.
use crate::changelog::Change;
use crate::desk::{conflict, of_stop, rules};
use crate::execute::Verb;
use crate::pipeline::stop_of;
use crate::session::Session;
use crate::{Budget, Engine, EngineError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_core::fingerprint::Base;
use tandem_core::plan::Reason;
use tandem_core::record::{Field, Fields, Marker, RemoteId, RunId, Scope, Side, Value};
use tandem_ports::connector::{Deletion, Draft, Fetched, Patch, Written};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::infra::{Kind, Trigger};
use tandem_store::lease::{Acquired, Lease};
use tandem_store::link::{Row, RowChange, RowState};
use tandem_store::run::{Run, RunState};
use tandem_store::sync::Sync;

/// Records put back in one step: reads, writes and rows are batched by it.
const RECORDS_A_STEP: usize = 200;

/// What an undo has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// The run in which what was put back is recorded; `None` where nothing was.
    pub run: Option<RunId>,
    /// Records that are as they were before the run.
    pub undone: u64,
    /// What could not be put back, and why.
    pub not_undone: Vec<NotUndone>,
    /// False when time was up: call again with `next`, and it goes on.
    pub complete: bool,
    /// Where to go on.
    pub next: Option<String>,
}

/// Something that could not be put back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotUndone {
    /// Where.
    pub side: Side,
    /// Id of the record there.
    pub record: String,
    /// What people call it.
    pub title: String,
    /// Which field; `None` for the whole record.
    pub field: Option<Field>,
    /// `edited_since`, `gone`, `refused`.
    pub reason: Reason,
}

/// What a run did to one record on one side, taken together.
struct Target {
    side: Side,
    record: String,
    title: String,
    verb: Verb,
    fields: BTreeMap<Field, (Option<Value>, Option<Value>)>,
    /// Membership before and after, where the run changed it.
    scope: Option<(Scope, Scope)>,
}

impl Engine {
    /// Puts back what a run wrote. The run must be over, and no other be under way.
    /// `next` is where an earlier call ended.
    pub async fn undo(
        &self,
        sync: &Sync,
        run: &Run,
        next: Option<&str>,
        budget: &Budget,
    ) -> Result<Undone, EngineError> {
        if !run.state.is_over() {
            return Err(conflict("run_under_way", "This run is still under way; undo it when it has ended."));
        }
        if sync.kind == Kind::Files {
            let message = "Files are not undone run by run: what was removed or written over is in the trash and among the \
                           earlier versions that Google Drive and Dropbox keep.";
            return Err(conflict("no_undo", message));
        }
        if sync.kind == Kind::Mail {
            let message = "Tracked mail is not undone run by run; delete an e-mail in the CRM, or block its sender.";
            return Err(conflict("no_undo", message));
        }
        let mut targets = self.targets(sync, run).await?;
        if targets.is_empty() && run.counts.writes() > 0 {
            let message = "There is no change log of this run any more, so nothing can be put back.";
            return Err(conflict("no_change_log", message));
        }
        targets.retain(|target| next.is_none_or(|next| target.key().as_str() > next));
        let under_way = self.store.checkpoint(&sync.id).await?.run.is_some_and(|run| !run.state.is_over());
        if under_way {
            return Err(conflict("run_under_way", "A run is under way; try again when it has ended."));
        }
        let now = self.clock.now();
        let mut lease = match self.store.acquire_lease(&sync.id, now, now + self.config.lease).await? {
            Acquired::Lease(lease) => lease,
            Acquired::Busy => {
                return Err(conflict("run_under_way", "A run is under way; try again when it has ended."));
            }
        };
        let done = self.put_back(sync, run, targets, &mut lease, budget).await;
        self.store.release(&lease).await?;
        done
    }

    /// The run's change log, a record at a time: the first `before` and the last `after` of each field.
    async fn targets(&self, sync: &Sync, run: &Run) -> Result<Vec<Target>, EngineError> {
        let mut all: BTreeMap<(Side, String), Target> = BTreeMap::new();
        let mut next = None;
        loop {
            let (changes, more) = self.changes(sync, &run.id, next.as_deref()).await?;
            for change in changes {
                let key = (change.side, change.record.clone());
                all.entry(key).or_insert_with(|| Target::of(&change)).add(change);
            }
            next = more;
            if next.is_none() {
                let mut targets: Vec<Target> = all.into_values().collect();
                targets.sort_by_key(Target::key);
                return Ok(targets);
            }
        }
    }

    async fn put_back(
        &self,
        sync: &Sync,
        undone: &Run,
        targets: Vec<Target>,
        lease: &mut Lease,
        budget: &Budget,
    ) -> Result<Undone, EngineError> {
        let (profile, settings) = rules(sync)?;
        let (crm, remote) = self.connections(sync).await?;
        let container = self.store.checkpoint(&sync.id).await?.container;
        let opened = Session::open(self, sync, (profile, &settings), (&crm, &remote), container.as_ref(), budget).await;
        let session = opened.map_err(|stop| of_stop(stop, Side::Right))?;
        session.recover(lease).await.map_err(|stop| of_stop(stop, Side::Right))?;
        let now = self.clock.now();
        let unique = format!("{:013x}-{:x}-undo", now.as_millisecond(), lease.fence);
        let mut run = Run::begin(&sync.id, Trigger::Manual, RunState::Done, now, &unique);
        run.ended_at = Some(now);
        let mut answer = Undone { run: None, undone: 0, not_undone: Vec::new(), complete: true, next: None };
        let mut targets = targets.into_iter().peekable();
        while targets.peek().is_some() {
            if budget.left() < Duration::from_secs(5) {
                answer.complete = false;
                break;
            }
            let some: Vec<Target> = targets.by_ref().take(RECORDS_A_STEP).collect();
            for side in [Side::Left, Side::Right] {
                let of_side: Vec<&Target> = some.iter().filter(|target| target.side == side).collect();
                let mut step = StepDone::default();
                let ended = session.undo_step(side, &of_side, &undone.id, &mut answer, &mut step).await;
                // What was done is kept, also where the provider then asks us to wait.
                self.store.save_rows(&sync.id, &step.rows).await?;
                run.counts.add(&step.counts);
                self.append_changes(sync, &mut run, lease.fence, &step.changes).await?;
                if run.counts.writes() > 0 {
                    run.ended_at = Some(self.clock.now());
                    self.store.save_run(&run).await?;
                    answer.run = Some(run.id.clone());
                }
                ended?;
            }
            answer.next = some.last().map(Target::key);
        }
        answer.next.take_if(|_| answer.complete);
        Ok(answer)
    }
}

impl Target {
    fn of(change: &Change) -> Target {
        let verb = match change.action.as_str() {
            "create" => Verb::Create,
            "delete" => Verb::Delete,
            _ => Verb::Update,
        };
        let (side, record, title) = (change.side, change.record.clone(), change.title.clone());
        Target { side, record, title, verb, fields: BTreeMap::new(), scope: None }
    }

    /// Orders the records of a run.
    fn key(&self) -> String {
        format!("{}:{}", self.side.word(), self.record)
    }

    fn add(&mut self, change: Change) {
        // What was made in the run was not there before it, whatever else became of it.
        match change.action.as_str() {
            "create" => self.verb = Verb::Create,
            "delete" if self.verb != Verb::Create => self.verb = Verb::Delete,
            _ => {}
        }
        let Change { field, before, after, .. } = change;
        let Some(field) = field else { return };
        if field.as_str() == "group" {
            let scope = |value: &Option<Value>| match value {
                Some(Value::Text(word)) if word == "in" => Scope::Inside,
                Some(Value::Text(_) | Value::Items(_)) | None => Scope::Outside,
            };
            let was = self.scope.map_or_else(|| scope(&before), |(was, _)| was);
            self.scope = Some((was, scope(&after)));
            return;
        }
        let entry = self.fields.entry(field).or_insert((before, None));
        entry.1 = after;
    }

    fn id(&self) -> RemoteId {
        RemoteId::new(self.record.clone())
    }

    fn failed(&self, field: Option<&Field>, reason: Reason) -> NotUndone {
        let (side, record, title) = (self.side, self.record.clone(), self.title.clone());
        NotUndone { side, record, title, field: field.cloned(), reason }
    }
}

/// The change that puts a record back, the record as it was read, and the fields that change (CRM names).
type PutBack = (Patch, Fetched, Vec<Field>);

/// What one step of an undo leaves behind.
#[derive(Default)]
struct StepDone {
    rows: Vec<RowChange>,
    changes: Vec<Change>,
    counts: tandem_core::reduce::Counts,
}

fn edited_since() -> Reason {
    Reason::new("edited_since", "Somebody has edited it since; it stays as it is.")
}
fn gone() -> Reason {
    Reason::new("gone", "It was deleted since.")
}
fn refused(error: &ConnectorError) -> Reason {
    Reason::new("refused", format!("{} refused it: {}", error.provider, error.detail))
}
fn undone() -> Reason {
    Reason::new("undone", "Put back by an undo; each side stays as it is.")
}

impl Session<'_> {
    async fn undo_step(
        &self,
        side: Side,
        targets: &[&Target],
        run: &RunId,
        answer: &mut Undone,
        done: &mut StepDone,
    ) -> Result<(), EngineError> {
        if targets.is_empty() {
            return Ok(());
        }
        let ids: Vec<RemoteId> = targets.iter().map(|target| target.id()).collect();
        let copies = self.fetch(side, &ids).await.map_err(|failure| of_stop(stop_of(failure), side))?;
        let rows = self.engine.store.rows_by_id(&self.sync.id, side, &ids).await?;
        let (mut patches, mut deletions, mut drafts) = (Vec::new(), Vec::new(), Vec::new());
        for ((target, copy), row) in targets.iter().zip(copies).zip(rows) {
            match (target.verb, copy) {
                (Verb::Create, Some(copy)) => match self.unedited(target, &copy, row.as_ref()) {
                    true => deletions.push((*target, copy, row)),
                    false => answer.not_undone.push(target.failed(None, edited_since())),
                },
                // It is as it was: not there.
                (Verb::Create, None) => {}
                (Verb::Update, Some(copy)) => {
                    patches.extend(self.patch_back(target, copy, answer).map(|p| (*target, p, row)))
                }
                (Verb::Update, None) => answer.not_undone.push(target.failed(None, gone())),
                (Verb::Delete, None) => drafts.push((*target, self.draft_back(target, run))),
                (Verb::Delete, Some(_)) => {}
            }
        }
        self.update_back(side, patches, answer, done).await?;
        self.delete_made(side, deletions, answer, done).await?;
        self.create_again(side, drafts, answer, done).await
    }

    /// Whether nobody has touched a record that a run made: it is in the version that we left it in, and says what it was
    /// made to say. One that no row leads to any more is not ours to judge.
    fn unedited(&self, target: &Target, copy: &Fetched, row: Option<&Row>) -> bool {
        let now = self.mapped(target.side, &copy.fields);
        row.is_some_and(|row| row.version(target.side) == Some(&copy.version))
            && target.fields.iter().all(|(field, (_, after))| self.same(now.get(field), after.as_ref()))
    }

    fn same(&self, one: Option<&Value>, other: Option<&Value>) -> bool {
        let print = |value: Option<&Value>| value.map(|value| self.sync.fingerprint_key.print(value));
        print(one) == print(other)
    }

    /// The change that puts a record's fields back, but for those that were edited since.
    fn patch_back(&self, target: &Target, copy: Fetched, answer: &mut Undone) -> Option<PutBack> {
        let now = self.mapped(target.side, &copy.fields);
        let (mut fields, mut changed) = (now.clone(), Vec::new());
        for (field, (before, after)) in &target.fields {
            if self.same(now.get(field), before.as_ref()) {
                continue;
            }
            if !self.same(now.get(field), after.as_ref()) {
                answer.not_undone.push(target.failed(Some(field), edited_since()));
                continue;
            }
            fields.put(field.clone(), before.clone());
            changed.push(field.clone());
        }
        let scope = target.scope.filter(|(was, is)| was != is && copy.scope == *is).map(|(was, _)| was);
        if changed.is_empty() && scope.is_none() {
            return None;
        }
        let patch = Patch {
            id: copy.id.clone(),
            expect: copy.version.clone(),
            changed: changed.iter().map(|field| self.policy.name_on(target.side, field)).collect(),
            fields: self.policy.to_side(target.side, &fields),
            scope,
            marker: None,
            raw: copy.raw.clone(),
        };
        Some((patch, copy, changed))
    }

    /// A deleted record as it was. Its marker names this undo, so that a second call finds what the first one made.
    fn draft_back(&self, target: &Target, run: &RunId) -> Draft {
        let fields: Fields =
            target.fields.iter().filter_map(|(field, (before, _))| Some((field.clone(), before.clone()?))).collect();
        let marker = Marker::new(format!("undo:{run}:{}", target.record));
        Draft { marker, fields: self.policy.to_side(target.side, &fields) }
    }

    async fn update_back(
        &self,
        side: Side,
        patches: Vec<(&Target, PutBack, Option<Row>)>,
        answer: &mut Undone,
        done: &mut StepDone,
    ) -> Result<(), EngineError> {
        let limit = self.connector(side).capabilities().update_batch.max(1);
        for some in patches.chunks(limit) {
            let batch: Vec<Patch> = some.iter().map(|(_, (patch, _, _), _)| patch.clone()).collect();
            let outcomes = whole(side, self.connector(side).update(&batch).await, batch.len())?;
            for ((target, (patch, copy, changed), row), outcome) in some.iter().zip(outcomes) {
                match outcome {
                    Ok(written) => {
                        answer.undone += 1;
                        done.counts.side(side).updated += 1;
                        let after = self.after_undo(side, copy, patch, &written);
                        let before = self.mapped(side, &copy.fields);
                        done.changes.extend(changed.iter().map(|field| {
                            Change::undo(
                                target.side,
                                (&target.record, &target.title),
                                ("update", field),
                                (&before, &after),
                            )
                        }));
                        done.rows.extend(row.as_ref().map(|row| self.row_after(side, row, changed, &after, &written)));
                    }
                    Err(error) => answer.not_undone.push(target.failed(None, refused(&error))),
                }
            }
        }
        Ok(())
    }

    fn after_undo(&self, side: Side, copy: &Fetched, patch: &Patch, written: &Written) -> Fields {
        match &written.shown {
            Some(shown) => self.mapped(side, shown),
            None => {
                let mut fields = copy.fields.clone();
                for name in &patch.changed {
                    fields.put(name.clone(), patch.fields.get(name).cloned());
                }
                self.mapped(side, &fields)
            }
        }
    }

    /// The row of a record that was put back: that side shows these values by agreement.
    fn row_after(&self, side: Side, row: &Row, changed: &[Field], after: &Fields, written: &Written) -> RowChange {
        let mut next = row.clone();
        let key = &self.sync.fingerprint_key;
        next.base = row
            .base
            .clone()
            .map(|base| changed.iter().fold(base, |base, field| base.showing(key, side, field, after.get(field))));
        let differs = |field: &Field| {
            next.base.as_ref().is_some_and(|base| base.print(Side::Left, field) != base.print(Side::Right, field))
        };
        let put_back: BTreeSet<&Field> = row.put_back.iter().chain(changed).filter(|field| differs(field)).collect();
        next.put_back = put_back.into_iter().cloned().collect();
        match side {
            Side::Left => next.left_version = Some(written.version.clone()),
            Side::Right => next.right_version = Some(written.version.clone()),
        }
        RowChange { before: Some(row.clone()), after: Some(next) }
    }

    async fn delete_made(
        &self,
        side: Side,
        deletions: Vec<(&Target, Fetched, Option<Row>)>,
        answer: &mut Undone,
        done: &mut StepDone,
    ) -> Result<(), EngineError> {
        let limit = self.connector(side).capabilities().delete_batch.max(1);
        for some in deletions.chunks(limit) {
            let batch: Vec<Deletion> = some
                .iter()
                .map(|(_, copy, _)| Deletion { id: copy.id.clone(), expect: copy.version.clone() })
                .collect();
            let outcomes = whole(side, self.connector(side).delete(&batch).await, batch.len())?;
            for ((target, copy, row), outcome) in some.iter().zip(outcomes) {
                match outcome {
                    Ok(()) => {
                        answer.undone += 1;
                        done.counts.side(side).deleted += 1;
                        let (before, after) = (self.mapped(side, &copy.fields), Fields::new());
                        done.changes.extend(target.fields.keys().map(|field| {
                            Change::undo(
                                target.side,
                                (&target.record, &target.title),
                                ("delete", field),
                                (&before, &after),
                            )
                        }));
                        done.rows.extend(row.as_ref().map(|row| let_go(row, side)));
                    }
                    Err(error) => answer.not_undone.push(target.failed(None, refused(&error))),
                }
            }
        }
        Ok(())
    }

    async fn create_again(
        &self,
        side: Side,
        mut drafts: Vec<(&Target, Draft)>,
        answer: &mut Undone,
        done: &mut StepDone,
    ) -> Result<(), EngineError> {
        if drafts.is_empty() {
            return Ok(());
        }
        let connector = self.connector(side);
        let all: Vec<Draft> = drafts.iter().map(|(_, draft)| draft.clone()).collect();
        let found = self.patiently(side, || connector.find_made(&all)).await;
        let made = found.map_err(|failure| of_stop(stop_of(failure), side))?;
        // Made by an earlier call whose answer was lost: only its row is missing.
        for (_, copy) in &made {
            let shown = self.mapped(side, &copy.fields);
            done.rows.push(RowChange { before: None, after: Some(self.put_back_row(side, &copy.id, &shown)) });
        }
        drafts.retain(|(_, draft)| !made.iter().any(|(marker, _)| *marker == draft.marker));
        for some in drafts.chunks(connector.capabilities().create_batch.max(1)) {
            let batch: Vec<Draft> = some.iter().map(|(_, draft)| draft.clone()).collect();
            let outcomes = whole(side, connector.create(&batch).await, batch.len())?;
            for ((target, draft), outcome) in some.iter().zip(outcomes) {
                match outcome {
                    Ok(written) => {
                        answer.undone += 1;
                        done.counts.side(side).created += 1;
                        let (before, after) = (Fields::new(), self.mapped(side, &draft.fields));
                        let record = written.id.to_string();
                        done.changes.extend(target.fields.keys().map(|field| {
                            Change::undo(target.side, (&record, &target.title), ("create", field), (&before, &after))
                        }));
                        let row = self.put_back_row(side, &written.id, &after);
                        done.rows.push(RowChange { before: None, after: Some(row) });
                    }
                    Err(error) => answer.not_undone.push(target.failed(None, refused(&error))),
                }
            }
        }
        Ok(())
    }
}

impl Session<'_> {
    /// The row of a record that is back: on its own, and not carried across by itself.
    fn put_back_row(&self, side: Side, id: &RemoteId, shown: &Fields) -> Row {
        let base = Base::of(&self.sync.fingerprint_key, shown, shown);
        let first = Row::first_seen(side, id);
        Row { state: RowState::Excluded, reason: Some(undone()), base: Some(base), ..first }
    }
}

/// The copy that the run had made is gone again, and is not made once more by itself.
fn let_go(row: &Row, side: Side) -> RowChange {
    let mut next = row.clone();
    match side {
        Side::Left => next.left = None,
        Side::Right => next.right = None,
    }
    next.state = RowState::Excluded;
    next.reason = Some(undone());
    next.made_on = None;
    RowChange { before: Some(row.clone()), after: Some(next) }
}

/// One outcome an item. Where the call failed as a whole, and not for what one record says, the undo stops there.
fn whole<T>(
    side: Side,
    answered: Result<Vec<Result<T, ConnectorError>>, ConnectorError>,
    items: usize,
) -> Result<Vec<Result<T, ConnectorError>>, EngineError> {
    match answered {
        Ok(outcomes) => Ok(outcomes),
        Err(error) => match error.kind {
            ErrorKind::Permanent | ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::CursorExpired => {
                Ok((0..items).map(|_| Err(error.repeated())).collect())
            }
            ErrorKind::Retryable | ErrorKind::Throttled { .. } | ErrorKind::AuthRevoked | ErrorKind::Forbidden => {
                Err(crate::desk::refused(side, &error))
            }
        },
    }
}
