//! Pages flow through three stages at once: while one batch is being written at the provider, the next page is read and
//! planned, and the batch before is committed. A page's cursor moves only when all its records are durable.
use crate::Budget;
use crate::execute::{Batch, Executed, Verb};
use crate::flow::{Finished, Flow, OpenPage};
use crate::prepare::{Advance, Item, Page};
use crate::session::{Progress, ReadFailure, Session, Stop, Task, next_task};
use crate::settle::{Done, Ending};
use std::collections::HashSet;
use tandem_core::plan::{Act, Reason};
use tandem_core::policy::OverFirst;
use tandem_core::record::{ContainerId, Scope, Side};
use tandem_core::reduce::{Counts, SideCounts};
use tandem_ports::error::ErrorKind;
use tandem_store::checkpoint::{Checkpoint, Hold, Intent, Missed, Purpose, Stage, Walk};
use tandem_store::link::{Row, RowChange};
use tandem_store::run::{Run, RunState};

/// Conflicts on one record within a page: read and planned again this often.
const REPLANS: u8 = 3;

/// How much must wait before a batch is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// Anything: no more pages come.
    Any,
    /// A full batch.
    One,
    /// Two full batches.
    Two,
}

impl Session<'_> {
    /// Works until the sync has caught up, or something stops it. Whatever was done is committed either way.
    pub async fn run(&self, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let mut flow = Flow::new(&progress.checkpoint, self.carried(&progress.checkpoint));
        loop {
            let step = self.tick(&mut flow, progress).await;
            if let Err(stop) = step {
                flow.stop.get_or_insert(stop);
            }
            if flow.winding_down && flow.is_empty() {
                flow.stop.get_or_insert(Stop::OutOfBudget);
            }
            flow.drop_what_must_not_go_on();
            if matches!(flow.stop, Some(Stop::Broken(_))) {
                break;
            }
            if flow.is_drained() && !self.begin_last_walk(&mut flow, progress).await? {
                break;
            }
        }
        if let Some(Stop::FirstLimit { .. }) = flow.stop {
            // The page with the last record stays open for good; what was done of it counts now.
            for page in flow.pages.drain(..) {
                progress.checkpoint.created_first += page.counts.remote.created;
                run_of(progress).counts.add(&Counts { crm: SideCounts::default(), ..page.counts });
            }
        }
        if let Some(Stop::Barred { side, message }) = &flow.stop {
            progress.checkpoint.side_mut(*side).barred = Some(message.clone());
            self.keep(progress, vec![]).await?;
            return Err(Stop::Again);
        }
        progress.put_off = !flow.put_off.is_empty();
        if let Stage::Following { cursor } = &progress.checkpoint.right.stage {
            progress.checkpoint.out_of_reach = self.right.out_of_reach(cursor);
        }
        if let Some(container) = flow.container.take() {
            self.take_container(Some(container), progress).await?;
        }
        if let Some((side, message)) = flow.relist.take() {
            progress.checkpoint.side_mut(side).list_again(Purpose::Read);
            if self.connector(side).tells_only_changes().is_some() {
                progress.checkpoint.missed = Some(Missed { message, lasts: true });
                // Deletions that were held for so long are not told again; the rows know of them.
                progress.checkpoint.pending_deletes = true;
            }
            self.keep(progress, vec![]).await?;
        } else if flow.stop.is_none() && !progress.checkpoint.first_done && progress.checkpoint.missed.is_none() {
            let told = [Side::Left, Side::Right].into_iter().find_map(|side| self.connector(side).tells_only_changes());
            progress.checkpoint.missed = told.map(|what| Missed { message: what.to_owned(), lasts: false });
        }
        match flow.stop {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// What a new kind of page goes by (candidates, rows of a state) must be durable before it is read.
    fn may_begin(&self, flow: &mut Flow, task: &Task) -> bool {
        if flow.reading.as_ref().is_none_or(|reading| reading == task) {
            flow.reading = Some(task.clone());
            return true;
        }
        let settled = flow.pages.is_empty() && flow.finished.is_empty() && flow.ready.is_empty();
        let settled = settled && flow.staged.is_none();
        if settled {
            flow.reading = Some(task.clone());
            *self.candidates.lock().expect("not poisoned") = None;
        }
        settled
    }

    /// Everything is read and written: now the remote records that are in the CRM under no name, and then the deletions
    /// that waited. Answers whether there is anything left to do.
    async fn begin_last_walk(&self, flow: &mut Flow, progress: &mut Progress<'_>) -> Result<bool, Stop> {
        let unread = |task: &Task| matches!(task, Task::Page(_) | Task::Sweep(_));
        if flow.stop.is_some() || flow.put_off.iter().any(unread) {
            return Ok(false);
        }
        let adopts = progress.checkpoint.candidates && self.policy.direction.may_write(Side::Left);
        let adopts = adopts && !flow.put_off.contains(&Task::Adopt);
        let retires = !adopts && progress.checkpoint.pending_deletes;
        for checkpoint in [&mut flow.ahead, &mut progress.checkpoint] {
            if adopts {
                checkpoint.candidates = false;
                checkpoint.adopting = Some(Walk::default());
            } else if retires {
                checkpoint.pending_deletes = false;
                checkpoint.retiring = Some(Walk::default());
            }
        }
        if adopts || retires {
            // Durable before the first row leaves the state that the walk goes by: a record that is refused on the way, and
            // whose refusal is not counted before a crash, is found again among the failing ones.
            progress.checkpoint.retry_failing = true;
            self.keep(progress, vec![]).await?;
        }
        Ok(adopts || retires)
    }

    /// One beat: write a batch, read a page, commit what is finished, all at once.
    async fn tick(&self, flow: &mut Flow, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let task = flow.wants_page().then(|| next_task(&flow.ahead, &flow.put_off)).flatten();
        let task = task.filter(|task| self.may_begin(flow, task));
        if task.is_some() && progress.budget.spent() {
            flow.stop.get_or_insert(Stop::OutOfBudget);
        }
        flow.winding_down |= task.is_some() && self.is_too_late_to_read(flow, progress.budget);
        let task = task.filter(|_| !flow.winding_down);
        let task = task.filter(|_| flow.stop.is_none());
        let batch = match flow.staged.take() {
            Some(staged) => Some(staged),
            None => self.first_batch(flow, task.is_none(), progress).await?,
        };
        // The batch after this one is made ready while this one is written, if it is full already.
        let upcoming = batch.as_ref().and_then(|_| self.next_batch(flow, Fill::One));
        let closing = flow.closing();
        let finished = std::mem::take(&mut flow.finished);
        let number = flow.next_page;
        let busy = flow.busy([&batch, &upcoming], &finished);
        let (executed, page, staged) = futures::join!(
            async {
                match batch {
                    Some(batch) => Some(self.execute(batch).await),
                    None => None,
                }
            },
            async {
                match &task {
                    Some(task) => Some(self.prepare(task, &flow.ahead, number, &flow.waits).await),
                    None => None,
                }
            },
            // One after the other: both write the lease's item.
            async {
                let staged = match upcoming {
                    Some(upcoming) => Some(self.with_intent(upcoming, progress).await?),
                    None => None,
                };
                self.commit(progress, finished, closing).await.map(|()| staged)
            }
        );
        flow.staged = staged?;
        if let Some(executed) = executed {
            self.take_answers(flow, executed, progress).await?;
        }
        match page.transpose() {
            Ok(Some(page)) => self.take_page(flow, page, &busy, progress),
            Ok(None) => {}
            Err(ReadFailure::CursorExpired(side, why)) => {
                // Everything in flow is finished first, then the side is listed in full.
                flow.relist = Some((side, why));
                flow.stop.get_or_insert(Stop::Again);
            }
            Err(ReadFailure::NewContainer(container)) => {
                flow.container = Some(container);
                flow.stop.get_or_insert(Stop::Again);
            }
            Err(ReadFailure::Stop(stop)) => {
                flow.stop.get_or_insert(stop);
            }
        }
        Ok(())
    }

    /// Whether time would be up while a further page waits for its provider: what is read is still written. The first page
    /// of a job begins whatever is left, so that every job gets somewhere.
    fn is_too_late_to_read(&self, flow: &Flow, budget: &Budget) -> bool {
        let pause = self.left.longest_pause().max(self.right.longest_pause());
        flow.next_page > flow.first_page && budget.left() < pause
    }

    /// Takes a planned page in, unless it means a record that is still in flow: then it is read again later.
    fn take_page(&self, flow: &mut Flow, page: Page, busy: &HashSet<String>, progress: &mut Progress<'_>) {
        let clashes = |item: &Item| item.identities().any(|identity| busy.contains(&identity));
        if page.items.iter().any(clashes) {
            // Its candidates are taken again when it is read again, and its records are read.
            *self.candidates.lock().expect("not poisoned") = None;
            self.read_lately.lock().expect("not poisoned").clear();
            flow.drain_first = true;
            return;
        }
        let now = self.engine.clock.now();
        let run = run_of(progress).id.clone();
        let before = flow.ahead.clone();
        page.advance.apply(&mut flow.ahead);
        let retiring = matches!(page.advance, Advance::Walk { task: Task::Retire, .. });
        let number = flow.next_page;
        flow.pages.push_back(OpenPage::of(number, &page));
        flow.next_page += 1;
        for mut item in page.items {
            item.step.right.take_if(|act| before.right.barred.is_some() && is_mark_only(act));
            if flow.stop.is_some() {
                // The first-run limit was reached within this page: the page stays open and is read again.
                break;
            }
            if let Some((side, reason)) = barred(&item, &before) {
                let settled = self.settle(item, Ending::Barred { side, reason }, &run, now);
                flow.finish(settled);
            } else if item.step.deletes() && !retiring {
                flow.waits.insert(item.row.key.clone());
                let settled = self.settle(item, Ending::Waits, &run, now);
                flow.finish(settled);
            } else if item.step.writes() {
                match self.admit(flow, &item, progress.checkpoint.first_done) {
                    Admission::Granted => flow.ready.push(item),
                    Admission::NextRun => flow.put_off(number, &before),
                    Admission::Refused { limit } => {
                        flow.stop.get_or_insert(Stop::FirstLimit { limit });
                    }
                }
            } else {
                let settled = self.settle(item, Ending::Done(vec![]), &run, now);
                flow.finish(settled);
            }
        }
    }

    /// What counts against the vendor's limits so far, in the CRM and at the remote: what this run has written, or, where
    /// the first limit makes a person choose less, what was exported since the first run began.
    fn carried(&self, checkpoint: &Checkpoint) -> [u64; 2] {
        if !checkpoint.first_done && self.policy.run_limits.is_some_and(|limits| limits.over == OverFirst::Pause) {
            return [0, checkpoint.created_first];
        }
        let counts = checkpoint.run.as_ref().map(|run| run.counts).unwrap_or_default();
        [counts.crm, counts.remote].map(|side| side.created + side.updated)
    }

    /// Whether the vendor's limits let this run write one more record.
    fn admit(&self, flow: &mut Flow, item: &Item, first_done: bool) -> Admission {
        let Some(limits) = self.policy.run_limits else { return Admission::Granted };
        let limit = if first_done { limits.later } else { Some(limits.first) };
        let over = !first_done && limits.over == OverFirst::Pause;
        // A limit that makes a person choose less is one on what is exported anew.
        let counts = |side: &Side| match item.step.act(*side) {
            Some(Act::Create { .. }) => true,
            Some(Act::Update { .. }) => !over,
            Some(Act::Delete { .. }) | None => false,
        };
        let sides: Vec<usize> =
            [Side::Left, Side::Right].into_iter().filter(counts).map(|side| side as usize).collect();
        if let Some(limit) = limit.filter(|limit| sides.iter().any(|side| flow.carried[*side] >= *limit)) {
            return if over { Admission::Refused { limit } } else { Admission::NextRun };
        }
        for side in sides {
            flow.carried[side] += 1;
        }
        Admission::Granted
    }

    /// The next batch, if enough waits for it.
    fn next_batch(&self, flow: &mut Flow, fill: Fill) -> Option<Batch> {
        for side in [Side::Right, Side::Left] {
            let limits = self.connector(side).capabilities();
            let kinds = [
                (Verb::Create, limits.create_batch),
                (Verb::Update, limits.update_batch),
                (Verb::Delete, limits.delete_batch),
            ];
            for (verb, limit) in kinds {
                let mine = |item: &Item| next_act(item).is_some_and(|(s, act)| s == side && Verb::of(act) == verb);
                let waiting = flow.ready.iter().filter(|item| mine(item)).count();
                let enough = match fill {
                    Fill::Any => 1,
                    Fill::One => limit.max(1),
                    Fill::Two => limit.max(1) * 2,
                };
                if waiting < enough {
                    continue;
                }
                let mut items = Vec::with_capacity(limit.min(waiting));
                let mut rest = Vec::with_capacity(flow.ready.len());
                for item in flow.ready.drain(..) {
                    if items.len() < limit.max(1) && mine(&item) { items.push(item) } else { rest.push(item) }
                }
                flow.ready = rest;
                return Some(Batch { side, verb, items, intent: None });
            }
        }
        if fill == Fill::Any {
            flow.drain_first = false;
        }
        None
    }

    /// The next batch where none was made ready: its container is looked up, its intent written.
    async fn first_batch(
        &self,
        flow: &mut Flow,
        flush: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Batch>, Stop> {
        // Writing begins when two batches are there: from then on one is always ready while the other is written.
        let fill = if flush || flow.drain_first { Fill::Any } else { Fill::Two };
        let Some(batch) = self.next_batch(flow, fill) else { return Ok(None) };
        self.check_container(&batch, progress).await?;
        self.with_intent(batch, progress).await.map(Some)
    }

    /// Before the first write into the container in this session: does it still exist?
    async fn check_container(&self, batch: &Batch, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let into = |item: &Item| match item.step.act(batch.side) {
            Some(Act::Create { .. }) => true,
            Some(Act::Update { scope, .. }) => *scope == Some(Scope::Inside),
            Some(Act::Delete { .. }) | None => false,
        };
        if batch.side != Side::Right || progress.container_checked || !batch.items.iter().any(into) {
            return Ok(());
        }
        let known = progress.checkpoint.container.clone();
        let names = self.container_names();
        let found = self
            .patiently(Side::Right, || self.right.ensure_container(known.as_ref(), &names))
            .await
            .map_err(stop_of)?;
        progress.container_checked = true;
        if found == known {
            return Ok(());
        }
        self.take_container(found, progress).await?;
        Err(Stop::Again)
    }

    /// A new container: every record is outside it. Whatever was planned for the old one is planned again.
    async fn take_container(&self, container: Option<ContainerId>, progress: &mut Progress<'_>) -> Result<(), Stop> {
        progress.checkpoint.container = container;
        progress.checkpoint.right.list_again(Purpose::Regroup);
        progress.checkpoint.left.list_again(Purpose::Read);
        self.keep(progress, vec![]).await
    }

    /// Writes the intent of a batch whose creates the provider cannot recognise when they are repeated.
    async fn with_intent(&self, batch: Batch, progress: &mut Progress<'_>) -> Result<Batch, Stop> {
        if batch.verb != Verb::Create || self.connector(batch.side).capabilities().idempotent_creates {
            return Ok(batch);
        }
        progress.intents += 1;
        let holder = u64::try_from(progress.lease.fence).unwrap_or(0) << 20;
        let create = |item: &Item| Some((self.marker_of(item, batch.side)?, item.row.key.clone()));
        let creates = batch.items.iter().filter_map(create).collect();
        let drafts = self.sealed_drafts(&batch).await?;
        let intent = Intent { number: holder + progress.intents, side: batch.side, creates, drafts };
        self.engine.store.save_intent(&progress.lease, &intent, self.engine.clock.now()).await?;
        progress.lease.open_intents += 1;
        Ok(Batch { intent: Some(intent.number), ..batch })
    }

    /// Notes a batch's answers; conflicts are read and planned again.
    async fn take_answers(&self, flow: &mut Flow, executed: Executed, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let Executed { answered, stop, side, intent } = executed;
        let now = self.engine.clock.now();
        let run = run_of(progress).id.clone();
        let complete = stop.is_none();
        if let Some(stop) = stop {
            flow.stop.get_or_insert(stop);
        }
        if let Some(intent) = intent.filter(|_| complete) {
            flow.open_intents.insert(intent, answered.len());
        }
        let mut again = Vec::new();
        for (mut item, outcome) in answered {
            item.intents.extend(intent.filter(|_| complete));
            match outcome {
                Ok(written) => {
                    let done = Done { side, written };
                    item.done.push(done);
                    if next_act(&item).is_some() {
                        flow.ready.push(item);
                        continue;
                    }
                    let done = std::mem::take(&mut item.done);
                    flow.finish(self.settle(item, Ending::Done(done), &run, now));
                }
                Err(error) if error.kind == ErrorKind::Conflict || error.kind == ErrorKind::NotFound => {
                    if item.replanned < REPLANS {
                        again.push(item);
                    } else {
                        item.row = self.as_far_as_done(flow, &mut item);
                        flow.finish(self.settle(item, Ending::Refused { side, error }, &run, now));
                    }
                }
                Err(error) => {
                    item.row = self.as_far_as_done(flow, &mut item);
                    flow.finish(self.settle(item, Ending::Refused { side, error }, &run, now));
                }
            }
        }
        if !again.is_empty() {
            self.replan(flow, again, progress).await?;
        }
        Ok(())
    }

    /// Somebody changed these after we read them: read again, plan again.
    async fn replan(&self, flow: &mut Flow, items: Vec<Item>, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let now = self.engine.clock.now();
        let run = run_of(progress).id.clone();
        let tries: Vec<_> = items
            .iter()
            .map(|item| (item.page, item.replanned + 1, item.before.clone(), item.intents.clone(), item.news))
            .collect();
        let rows = items.into_iter().map(|mut item| self.as_far_as_done(flow, &mut item)).collect();
        let fresh = self.looked_up(rows, 0).await.map_err(stop_of)?;
        for (item, (page, replanned, before, intents, news)) in fresh.into_iter().zip(tries) {
            let item = Item { page, replanned, before, intents, news, ..item };
            if let Some((side, reason)) = barred(&item, &progress.checkpoint) {
                flow.finish(self.settle(item, Ending::Barred { side, reason }, &run, now));
            } else if item.step.deletes() {
                flow.finish(self.settle(item, Ending::Waits, &run, now));
            } else if item.step.writes() {
                flow.ready.push(item);
            } else {
                flow.finish(self.settle(item, Ending::Done(vec![]), &run, now));
            }
        }
        Ok(())
    }

    /// The row of a record whose other act met a conflict or was refused: what was done of it stays done, is logged and
    /// counted.
    fn as_far_as_done(&self, flow: &mut Flow, item: &mut Item) -> Row {
        for side in [Side::Left, Side::Right] {
            let id = item.copy(side).map(|copy| copy.id.clone());
            match side {
                Side::Left => item.row.left = id.or(item.row.left.take()),
                Side::Right => item.row.right = id.or(item.row.right.take()),
            }
        }
        for Done { side, written } in std::mem::take(&mut item.done) {
            let Some(written) = written else { continue };
            flow.finished.changes.extend(self.log(item, side, Some(&written.id)));
            match item.step.act(side) {
                // Counted when the record is finished, as one that we made.
                Some(Act::Create { .. }) => item.row.made_on = Some(side),
                Some(Act::Update { .. }) => {
                    let page = flow.pages.iter_mut().find(|open| open.number == item.page);
                    page.into_iter().for_each(|page| page.counts.side(side).updated += 1);
                }
                Some(Act::Delete { .. }) | None => {}
            }
            match side {
                Side::Left => item.row.left = Some(written.id),
                Side::Right => item.row.right = Some(written.id),
            }
        }
        item.row.clone()
    }

    /// Makes finished records durable: rows, then the intents that led to them, then the log; and then moves the cursor
    /// past the pages whose records are all durable.
    async fn commit(
        &self,
        progress: &mut Progress<'_>,
        finished: Finished,
        closing: Vec<OpenPage>,
    ) -> Result<(), Stop> {
        let store = &self.engine.store;
        let rows = async {
            match finished.rows.as_slice() {
                [] => Ok(()),
                rows => store.save_rows(&self.sync.id, rows).await,
            }
        };
        let (rows, log) = {
            let fence = progress.lease.fence;
            futures::join!(rows, self.engine.append_changes(self.sync, run_of(progress), fence, &finished.changes))
        };
        rows.and(log)?;
        if closing.is_empty() && finished.intents.is_empty() {
            return Ok(());
        }
        let quiet = finished.intents.is_empty() && closing.iter().all(OpenPage::is_quiet);
        for page in &closing {
            if let Some((side, ids)) = &page.seen {
                let progress = progress.checkpoint.side_mut(*side);
                let at = (progress.generation, progress.seen_parts);
                store.save_seen(&self.sync.id, *side, at, ids, self.engine.clock.now()).await?;
                progress.seen_parts += 1;
            }
            self.note_page(page, progress);
        }
        // A page without anything to write is committed with the run's end: a run with nothing to do stays cheap.
        if quiet { Ok(()) } else { self.keep(progress, finished.intents).await }
    }

    fn note_page(&self, page: &OpenPage, progress: &mut Progress<'_>) {
        let checkpoint = &mut progress.checkpoint;
        page.advance.apply(checkpoint);
        checkpoint.pages = page.number + 1;
        // What the walk over the candidates leaves alone is no reason for another one.
        checkpoint.candidates |= page.candidate && !matches!(page.advance, Advance::Walk { .. });
        checkpoint.pending_deletes |= page.waits;
        checkpoint.retry_failing |= page.retry;
        if !checkpoint.first_done {
            checkpoint.created_first += page.counts.remote.created;
        }
        if let Some(run) = checkpoint.run.as_mut() {
            run.counts.add(&page.counts);
            run.progress.done += page.done;
            run.progress.total = run.progress.total.max(page.total.unwrap_or(0)).max(run.progress.done);
        }
    }

    /// Commits the checkpoint, removes settled intents, and prolongs the lease.
    pub async fn keep(&self, progress: &mut Progress<'_>, settled: Vec<u64>) -> Result<(), Stop> {
        let until = self.engine.clock.now() + self.engine.config.lease;
        if let Some(run) = progress.checkpoint.run.as_mut() {
            run.state = RunState::Running;
        }
        let settled_now = i64::try_from(settled.len()).unwrap_or(0);
        let (lease, hold) = (&progress.lease, Hold::Keep { until, settled });
        self.engine.store.commit(lease, self.sync, &progress.checkpoint, &hold).await?;
        progress.lease.until = until;
        progress.lease.open_intents -= settled_now;
        Ok(())
    }

    /// Deletions of a page that the guard holds: noted, so that a person sees which.
    pub async fn mark_held(&self, page: &Page) -> Result<(), ReadFailure> {
        let mark = |item: &Item| {
            let mut row = item.row.clone();
            row.state = tandem_store::link::RowState::Held;
            row.reason = Some(Reason::new("mass_delete", "Its deletion waits for your word."));
            RowChange { before: item.before.first().cloned(), after: Some(row) }
        };
        let rows: Vec<RowChange> = page.items.iter().filter(|item| item.step.deletes()).map(mark).collect();
        Ok(self.engine.store.save_rows(&self.sync.id, &rows).await?)
    }
}

/// The run under way.
pub(crate) fn run_of<'p>(progress: &'p mut Progress<'_>) -> &'p mut Run {
    progress.checkpoint.run.as_mut().expect("a session begins with a run")
}

pub(crate) fn stop_of(failure: ReadFailure) -> Stop {
    match failure {
        ReadFailure::CursorExpired(..) | ReadFailure::NewContainer(_) => Stop::Again,
        ReadFailure::Stop(stop) => stop,
    }
}

/// What the vendor's limits say to one more record.
enum Admission {
    Granted,
    NextRun,
    Refused { limit: u64 },
}

/// Whether an act only puts our marker on a record. Where nothing may be written, it is done without.
fn is_mark_only(act: &Act) -> bool {
    matches!(act, Act::Update { changed, scope: None, .. } if changed.is_empty())
}

/// The side that this record would be written to although writing there is refused, and why.
fn barred(item: &Item, checkpoint: &Checkpoint) -> Option<(Side, String)> {
    let acts = [Side::Left, Side::Right].into_iter().filter(|side| item.step.act(*side).is_some());
    acts.into_iter().find_map(|side| Some((side, checkpoint.side(side).barred.clone()?)))
}

/// The act that an item still needs: the CRM's first.
fn next_act(item: &Item) -> Option<(Side, &Act)> {
    let undone = |side: &Side| item.done.iter().all(|done| done.side != *side);
    let sides = [Side::Left, Side::Right];
    sides.into_iter().filter(undone).find_map(|side| Some((side, item.step.act(side)?)))
}
