//! From a page of changes to planned items: rows, counterparts, matching, plan. Reads only.
use crate::observe::Draft;
use crate::occurrences::{Heirs, inherited};
use crate::session::{ReadFailure, Session, Stop, Task};
use crate::settle::Done;
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};
use tandem_core::fingerprint::Base;
use tandem_core::plan::{Act, Outcome, Reason, Step};
use tandem_core::record::{ContainerId, Fields, RemoteId, RowKey, Scope, Side, Version};
use tandem_core::reduce::Counts;
use tandem_ports::connector::{Change, ChangePage, Cursor, Fetched, Known, Next};
use tandem_store::checkpoint::{Checkpoint, Purpose, Stage, Walk, seen_hash};
use tandem_store::link::{Row, RowState};

/// Code of the reason of a record that cannot be read.
pub(crate) const UNREADABLE: &str = "unreadable";

/// Tries of a refused record as it is.
pub(crate) const MAX_ATTEMPTS: u32 = 3;

/// How long a person's edit is news to the guests of an appointment.
const NEWS_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Records remembered as read lately; two pages that overlap are next to each other.
const LATELY: usize = 1000;

/// Rows looked at in one step of a sweep or walk.
const ROWS_A_PAGE: usize = 200;

/// One record of a page with the decision on it.
#[derive(Debug)]
pub(crate) struct Item {
    /// Number of its page.
    pub page: u64,
    /// Rows as they were read, which this decision replaces (the record's own; a candidate it was paired with).
    pub before: Vec<Row>,
    /// The row to go on with.
    pub row: Row,
    /// The CRM's copy, as read.
    pub left: Option<Fetched>,
    /// The remote copy, as read.
    pub right: Option<Fetched>,
    /// The decision.
    pub step: Step,
    /// How often it was planned again after a conflict.
    pub replanned: u8,
    /// The acts that are done already.
    pub done: Vec<Done>,
    /// The intents that its creates were written under; each stays open until all its records are durable.
    pub intents: Vec<u64>,
    /// Who hears of it.
    pub news: News,
}

/// Whether a write tells the guests of an appointment by mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum News {
    /// A person has just changed it in the CRM: the guests hear of it.
    Fresh,
    /// It catches up (first run, full listing, repeats, what failed or waited before): nobody is told.
    #[default]
    CatchUp,
}

impl Item {
    /// A side's copy.
    pub fn copy(&self, side: Side) -> Option<&Fetched> {
        match side {
            Side::Left => self.left.as_ref(),
            Side::Right => self.right.as_ref(),
        }
    }
    /// The same record with nothing to do.
    pub fn left_alone(self) -> Item {
        let step = Step { left: None, right: None, outcome: Outcome::Ignore, ..self.step };
        Item { step, ..self }
    }
    /// Everything by which another page could mean the same record.
    pub fn identities(&self) -> impl Iterator<Item = String> + '_ {
        let ids = [Side::Left, Side::Right].into_iter().filter_map(|side| {
            let id = self.copy(side).map(|copy| &copy.id).or_else(|| self.row.id(side))?;
            Some(format!("{}:{id}", side.word()))
        });
        ids.chain(self.before.iter().map(|row| row.key.to_string()))
    }
}

/// A page, planned.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its records.
    pub items: Vec<Item>,
    /// The checkpoint's stages once every item is durable.
    pub advance: Advance,
    /// What reading it counts.
    pub counts: Counts,
    /// Ids that a full listing has shown here, to be kept for the sweep.
    pub seen: Option<(Side, Vec<RemoteId>)>,
    /// Records that progress by this page.
    pub done: u64,
    /// Records of the listing, where known.
    pub total: Option<u64>,
}

/// How the checkpoint moves on after a page.
#[derive(Clone, Debug)]
pub(crate) enum Advance {
    /// Not at all: the page is read again, in the next run.
    Nothing,
    /// A side's stage, and whether its feed is read to the end.
    Side { side: Side, stage: Stage, caught_up: bool },
    /// The feed says that it does not tell everything: the side is listed, to find what has left.
    FindLosses { side: Side },
    /// A walk over rows.
    Walk { task: Task, to: Option<Walk> },
}

impl Advance {
    /// Moves the checkpoint on.
    pub fn apply(&self, checkpoint: &mut Checkpoint) {
        match self {
            Advance::Nothing => {}
            Advance::Side { side, stage, caught_up } => {
                let progress = checkpoint.side_mut(*side);
                progress.stage = stage.clone();
                progress.caught_up = *caught_up;
            }
            Advance::FindLosses { side } => checkpoint.side_mut(*side).list_again(Purpose::FindLosses),
            Advance::Walk { task: Task::Adopt, to } => checkpoint.adopting.clone_from(to),
            Advance::Walk { task: Task::Retry, to } => checkpoint.retrying.clone_from(to),
            Advance::Walk { task: Task::Retire, to } => checkpoint.retiring.clone_from(to),
            Advance::Walk { task: Task::Page(_) | Task::Sweep(_), .. } => {}
        }
    }
}

impl Session<'_> {
    /// Reads and plans the next page of a task. `number` is the page's.
    /// `waiting` are rows whose deletion is on its way to waiting and perhaps not durable yet.
    pub async fn prepare(
        &self,
        task: &Task,
        checkpoint: &Checkpoint,
        number: u64,
        waiting: &HashSet<RowKey>,
    ) -> Result<Page, ReadFailure> {
        let page = self.read_page(task, checkpoint, number).await?;
        // Once the waiting deletions are begun, those that are done must not make the rest look like more of the whole.
        let begun = checkpoint.retiring.as_ref().is_some_and(|walk| walk.after.is_some());
        if page.items.iter().any(|item| item.step.deletes()) && !begun {
            self.guard(checkpoint, &page, number, waiting).await?;
        }
        Ok(page)
    }

    pub async fn read_page(&self, task: &Task, checkpoint: &Checkpoint, number: u64) -> Result<Page, ReadFailure> {
        Ok(match task {
            Task::Page(side) => self.feed_page(*side, checkpoint, number).await?,
            Task::Sweep(side) => self.sweep_page(*side, checkpoint, number).await?,
            Task::Adopt => self.walk_page(task, RowState::Unpaired, checkpoint.adopting.as_ref(), number).await?,
            Task::Retry => self.walk_page(task, RowState::Failing, checkpoint.retrying.as_ref(), number).await?,
            Task::Retire => self.walk_page(task, RowState::Held, checkpoint.retiring.as_ref(), number).await?,
        })
    }

    /// A page of a listing or feed.
    async fn feed_page(&self, side: Side, checkpoint: &Checkpoint, number: u64) -> Result<Page, ReadFailure> {
        let progress = checkpoint.side(side);
        let (from, listing) = match &progress.stage {
            Stage::Listing { page } => (page.clone(), true),
            Stage::Following { cursor } => (Some(cursor.clone()), false),
            Stage::Sweeping { then, .. } => (Some(then.clone()), false),
        };
        let first = listing && progress.generation == 0;
        let (page, heirs) = self.told(side, from.as_ref(), first).await?;
        let relisting = listing && progress.generation > 0;
        let at = |stage, caught_up| Advance::Side { side, stage, caught_up };
        let advance = match page.next {
            Next::More(cursor) if listing => at(Stage::Listing { page: Some(cursor) }, false),
            Next::More(cursor) => at(Stage::Following { cursor }, false),
            Next::CaughtUp(cursor) if relisting && self.connector(side).tells_only_changes().is_none() => {
                at(Stage::Sweeping { after: None, then: cursor }, false)
            }
            Next::CaughtUp(cursor) => at(Stage::Following { cursor }, true),
            Next::Relist => Advance::FindLosses { side },
        };
        // One record may occur more than once; the last state counts.
        let mut latest: HashMap<RemoteId, Change> = HashMap::with_capacity(page.changes.len());
        let mut order = Vec::with_capacity(page.changes.len());
        for change in page.changes {
            let id = match &change {
                Change::Upsert(fetched) => fetched.id.clone(),
                Change::Tombstone { id } | Change::Seen { id, .. } | Change::Unreadable { id, .. } => id.clone(),
            };
            if latest.insert(id.clone(), change).is_none() {
                order.push(id);
            }
        }
        let changes = order.iter().filter_map(|id| latest.remove(id)).collect();
        let seen = relisting.then(|| (side, order.clone()));
        let mut counts = Counts::default();
        counts.side(side).read = order.len() as u64;
        // What a first listing knows already, it has read itself.
        let purpose = if progress.generation == 0 { Purpose::FindLosses } else { progress.purpose };
        let purpose = listing.then_some(purpose);
        let container = checkpoint.container.as_ref().filter(|_| side == Side::Right && !listing);
        let mut items = self.items(side, (changes, heirs), (purpose, container), number, &mut counts).await?;
        if side == Side::Left && !listing && checkpoint.first_done && !self.left.invites_guests() {
            self.heed_news(&mut items).await?;
        }
        let done = if side == Side::Left { order.len() as u64 } else { 0 };
        let total = page.total.filter(|_| side == Side::Left && listing);
        Ok(Page { items, advance, counts, seen, done, total })
    }

    /// The next page that a side tells. Of a series, what is not in it any more is looked up, but for a first listing,
    /// before which nothing was known.
    async fn told(&self, side: Side, from: Option<&Cursor>, first: bool) -> Result<(ChangePage, Heirs), ReadFailure> {
        match self.series.as_ref().filter(|_| side == Side::Right) {
            None => {
                let connector = self.connector(side);
                Ok((self.patiently(side, || connector.changes(from)).await?, Heirs::new()))
            }
            Some(series) => {
                let told = self.patiently(side, || Box::pin(series.page(from))).await?;
                if first { Ok((told.page, Heirs::new())) } else { self.unfold(told).await }
            }
        }
    }

    /// What the CRM's feed tells after the first run was done by people just now, unless it waited too long (a sync that was
    /// paused): then it merely catches up. Of a deletion nobody says when it was: after the last look.
    /// A copy without a time is news: a side that has none tells what has changed since it was last asked, and dates what it
    /// tells after a long pause early.
    async fn heed_news(&self, items: &mut [Item]) -> Result<(), ReadFailure> {
        let looked_at = match &self.sync.last_run {
            Some(run) if items.iter().any(|item| item.left.is_none()) => {
                self.engine.store.run(run).await?.map(|run| run.started_at)
            }
            Some(_) | None => None,
        };
        let now = self.engine.clock.now();
        let is_late = |at: Timestamp| now.duration_since(at) > NEWS_FOR;
        for item in items {
            let is_late = match &item.left {
                Some(copy) => copy.modified_at.is_some_and(is_late),
                None => looked_at.is_none_or(is_late),
            };
            item.news = if is_late { News::CatchUp } else { News::Fresh };
        }
        Ok(())
    }

    /// Rows that a complete listing did not show: each is looked up, and only a proved absence counts.
    async fn sweep_page(&self, side: Side, checkpoint: &Checkpoint, number: u64) -> Result<Page, ReadFailure> {
        let progress = checkpoint.side(side);
        let Stage::Sweeping { after, then } = &progress.stage else {
            return Err(Stop::Again.into());
        };
        let seen = self.engine.store.seen(&self.sync.id, side, progress.generation).await?;
        let (rows, more) = self.engine.store.rows(&self.sync.id, after.as_ref(), ROWS_A_PAGE * 5).await?;
        let next = rows.last().map(|row| row.key.clone()).filter(|_| more);
        // An occurrence that has left the window at the back is not shown, and stays as it is.
        let behind = |id: &RemoteId| side == Side::Right && self.series.as_ref().is_some_and(|some| some.is_behind(id));
        let unseen = |row: &Row| row.id(side).is_some_and(|id| !seen.contains(&seen_hash(id)) && !behind(id));
        let missing: Vec<Row> = rows.into_iter().filter(unseen).collect();
        let items = self.looked_up(missing, number).await?;
        let stage = match next {
            Some(key) => Stage::Sweeping { after: Some(key), then: then.clone() },
            None => Stage::Following { cursor: then.clone() },
        };
        let caught_up = matches!(stage, Stage::Following { .. });
        let advance = Advance::Side { side, stage, caught_up };
        Ok(Page { items, advance, counts: Counts::default(), seen: None, done: 0, total: None })
    }

    /// Rows of one state, read live on both sides and planned anew.
    async fn walk_page(
        &self,
        task: &Task,
        state: RowState,
        walk: Option<&Walk>,
        number: u64,
    ) -> Result<Page, ReadFailure> {
        let remembered = if *task == Task::Adopt { self.take_remembered(ROWS_A_PAGE) } else { Vec::new() };
        let (rows, to) = if remembered.is_empty() {
            let after = walk.and_then(|walk| walk.after.as_ref());
            let (rows, next) = self.engine.store.rows_in_state(&self.sync.id, state, after, ROWS_A_PAGE).await?;
            (rows, next.map(|key| Walk { after: Some(key) }))
        } else {
            (remembered, walk.cloned())
        };
        let mut items = self.looked_up(rows, number).await?;
        let now = self.engine.clock.now();
        for item in items.iter_mut().filter(|item| matches!(item.step.right, Some(Act::Delete { .. }))) {
            if item.row.news_at.is_some_and(|at| now.duration_since(at) <= NEWS_FOR) {
                item.news = News::Fresh;
            }
        }
        let advance = Advance::Walk { task: task.clone(), to };
        Ok(Page { items, advance, counts: Counts::default(), seen: None, done: 0, total: None })
    }

    /// Reads rows' records live on both sides and plans them.
    pub async fn looked_up(&self, rows: Vec<Row>, number: u64) -> Result<Vec<Item>, ReadFailure> {
        let mut drafts: Vec<Draft> = rows.into_iter().map(Draft::of_row).collect();
        for side in [Side::Left, Side::Right] {
            self.read_copies(side, &mut drafts).await?;
        }
        for there in [Side::Left, Side::Right] {
            self.pair_with(there, &mut drafts).await?;
            self.read_copies(there, &mut drafts).await?;
        }
        let mut items = self.planned(drafts, number);
        self.judge(&mut items).await?;
        Ok(items)
    }

    async fn items(
        &self,
        side: Side,
        (changes, heirs): (Vec<Change>, Heirs),
        (listing, container): (Option<Purpose>, Option<&ContainerId>),
        number: u64,
        counts: &mut Counts,
    ) -> Result<Vec<Item>, ReadFailure> {
        let ids: Vec<RemoteId> = changes.iter().map(|change| change_id(change).clone()).collect();
        let rows = self.engine.store.rows_by_id(&self.sync.id, side, &ids).await?;
        let left_it = |(change, row): (&Change, &Option<Row>)| {
            let outside = matches!(change, Change::Upsert(fetched) if fetched.scope == Scope::Outside);
            outside && row.as_ref().is_some_and(|row| row.base.is_some() && row.right_scope == Scope::Inside)
        };
        if changes.iter().zip(&rows).any(left_it) {
            self.recheck_container(container).await?;
        }
        let changes = self.read_seen(side, changes, &rows, listing).await?;
        let mut drafts = Vec::new();
        let mut unreadable = Vec::new();
        for (change, row) in changes.into_iter().zip(rows) {
            match change {
                Change::Upsert(fetched) if row.is_none() && heirs.contains_key(&fetched.id) => {
                    let old = heirs[&fetched.id].clone();
                    let row = inherited(&old, &fetched.id);
                    drafts.push(Draft::seen(row, side, *fetched, vec![old]));
                }
                Change::Upsert(fetched) => {
                    self.count_effect(row.as_ref(), number, counts);
                    drafts.extend(self.changed_draft(side, *fetched, row, listing));
                }
                Change::Tombstone { .. } => drafts.extend(row.map(|row| Draft::gone(row, side))),
                Change::Seen { .. } => {}
                Change::Unreadable { id, reason } => {
                    let row = row.clone().unwrap_or_else(|| Row::first_seen(side, &id));
                    unreadable.push(self.unreadable(row, reason, number));
                }
            }
        }
        if self.connector(side).capabilities().delta_lags && listing.is_none() {
            self.refresh(side, &mut drafts).await?;
        }
        self.pair(side, &mut drafts).await?;
        self.read_copies(side.other(), &mut drafts).await?;
        let mut items = self.planned(drafts, number);
        self.judge(&mut items).await?;
        items.extend(unreadable);
        Ok(items)
    }

    /// Reads the records that were only shown to be there. Where a listing is to find losses, those in a version that we
    /// know are left alone; what a feed tells is read whatever its version, as an edit may hide in one (a time in seconds).
    async fn read_seen(
        &self,
        side: Side,
        mut changes: Vec<Change>,
        rows: &[Option<Row>],
        listing: Option<Purpose>,
    ) -> Result<Vec<Change>, ReadFailure> {
        let known = |row: &Option<Row>, version: &Version| {
            row.as_ref().is_some_and(|row| row.version(side) == Some(version) && row.state != RowState::Failing)
        };
        let mut lately = self.read_lately.lock().expect("not poisoned").clone();
        let mut unread = |(change, row): (&Change, &Option<Row>)| match change {
            Change::Seen { version, .. } if listing == Some(Purpose::FindLosses) && known(row, version) => None,
            Change::Seen { id, version } => {
                (lately.insert(id.clone(), version.clone()).as_ref() != Some(version)).then(|| id.clone())
            }
            Change::Upsert(_) | Change::Tombstone { .. } | Change::Unreadable { .. } => None,
        };
        let ids: Vec<RemoteId> = changes.iter().zip(rows).filter_map(&mut unread).collect();
        let mut read = ids.iter().cloned().zip(self.fetch(side, &ids).await?).collect::<HashMap<_, _>>();
        if lately.len() > LATELY {
            lately.clear();
        }
        *self.read_lately.lock().expect("not poisoned") = lately;
        for change in &mut changes {
            if let Some((id, fetched)) = read.remove_entry(change_id(change)) {
                *change = fetched.map_or(Change::Tombstone { id }, |fetched| Change::Upsert(Box::new(fetched)));
            }
        }
        Ok(changes)
    }

    /// The feed may show a state from before our last write: what looks edited is read live, and what is no news then is
    /// dropped.
    async fn refresh(&self, side: Side, drafts: &mut Vec<Draft>) -> Result<(), ReadFailure> {
        let known = |draft: &Draft| {
            let id = match draft.copy(side) {
                Some(copy) => Some(&copy.id),
                // A tombstone may lag, too: the record may have been put back since.
                None => draft.row.id(side).filter(|_| draft.gone == Some(side)),
            };
            id.filter(|_| !draft.before.is_empty()).cloned()
        };
        let ids: Vec<RemoteId> = drafts.iter().filter_map(known).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let fresh = self.fetch(side, &ids).await?;
        let mut fresh: HashMap<RemoteId, Option<Fetched>> = ids.into_iter().zip(fresh).collect();
        for draft in drafts.iter_mut() {
            let Some(id) = known(draft) else { continue };
            match fresh.remove(&id).flatten() {
                Some(copy) => {
                    draft.gone = None;
                    draft.set(side, copy);
                }
                None => draft.lose(side),
            }
        }
        drafts.retain(|draft| match draft.copy(side) {
            Some(copy) if draft.row.state == RowState::InSync && !draft.before.is_empty() => {
                self.is_news(side, copy, &draft.row, draft.row.version(side) == Some(&copy.version))
            }
            Some(_) | None => true,
        });
        Ok(())
    }

    /// Reads the copies of a side that the drafts know by id but do not have yet.
    async fn read_copies(&self, side: Side, drafts: &mut [Draft]) -> Result<(), ReadFailure> {
        let wanted = |draft: &Draft| {
            let missing = draft.copy(side).is_none() && draft.gone != Some(side) && draft.untold != Some(side);
            draft.row.id(side).filter(|_| missing).cloned()
        };
        let ids: Vec<RemoteId> = drafts.iter().filter_map(wanted).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut found = self.look_up(side, &ids).await?.into_iter();
        for draft in drafts.iter_mut() {
            if wanted(draft).is_none() {
                continue;
            }
            match found.next() {
                Some(Known::There(copy)) => draft.set(side, *copy),
                // Told to be gone when its deletion began to wait, and not told to be there since.
                Some(Known::Untold) if draft.row.state != RowState::Held => draft.untold = Some(side),
                Some(Known::Untold | Known::Gone) | None => draft.lose(side),
            }
        }
        Ok(())
    }

    fn unreadable(&self, row: Row, reason: String, number: u64) -> Item {
        let key = row.key.clone();
        let outcome = Outcome::Exclude(Reason::new(UNREADABLE, reason));
        let why = tandem_core::plan::Why::NewRecord;
        let step = Step { key, left: None, right: None, outcome, conflicts: Vec::new(), why };
        Item {
            page: number,
            before: vec![row.clone()],
            row,
            left: None,
            right: None,
            step,
            replanned: 0,
            done: vec![],
            intents: vec![],
            news: News::CatchUp,
        }
    }

    /// What a dead worker wrote for this record in a page that it did not live to count.
    fn count_effect(&self, row: Option<&Row>, number: u64, counts: &mut Counts) {
        let Some(effect) = row.and_then(|row| row.effect.as_ref()) else { return };
        let run = self.sync.current_run.as_ref();
        if run != Some(&effect.run) || effect.page < number {
            return;
        }
        for side in &effect.created {
            counts.side(*side).created += 1;
        }
        for side in &effect.updated {
            counts.side(*side).updated += 1;
        }
        if effect.paired {
            counts.side(Side::Right).paired += 1;
        }
    }
}

fn change_id(change: &Change) -> &RemoteId {
    match change {
        Change::Upsert(fetched) => &fetched.id,
        Change::Tombstone { id } | Change::Seen { id, .. } | Change::Unreadable { id, .. } => id,
    }
}

/// The base that two copies agree on.
pub(crate) fn base_of(session: &Session<'_>, left: &Fields, right: &Fields) -> Base {
    Base::of(&session.sync.fingerprint_key, left, right)
}
