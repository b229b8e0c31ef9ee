//! Carrying out: plan, do what is ready, note what came of it, plan again.
use super::note::Deed;
use super::{Files, seen};
use crate::session::{Progress, Stop, stop_for};
use std::collections::BTreeMap;
use tandem_core::files::plan::{Act, Plan, Step, Target, World, base_of, plan};
use tandem_core::files::row::Making;
use tandem_core::guard;
use tandem_core::plan::{Reason, Why};
use tandem_core::record::{Marker, RemoteId, RowKey, Side, Version};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::{
    Attempt, EntryRef, FolderOrFile, FolderRef, Name, NewFolder, Relocation, Removal, StorageFull,
};

/// Times that a row may meet with a conflict in one job before it is left for the next run.
const CONFLICTS: u32 = 3;
/// Linked files from which on "all of them changed at once" is asked about before it is carried across.
const MANY: u64 = 20;

impl Files<'_> {
    /// Works until nothing is left that can be done now.
    pub async fn carry_out(&mut self, progress: &mut Progress<'_>) -> Result<(), Stop> {
        self.load(progress).await?;
        loop {
            let mut plan = self.plan_quietly(progress);
            self.leave_for_room(&mut plan, progress);
            if progress.checkpoint.files.asking {
                plan.steps.retain(|step| !matches!(step.act, Act::Remove { .. }));
            }
            self.note_excluded(&plan, progress);
            self.guard(&plan, progress).await?;
            let ready: Vec<Step> = plan.steps.into_iter().filter(|step| step.ready).collect();
            if ready.is_empty() {
                break;
            }
            if let Some(run) = progress.checkpoint.run.as_mut() {
                run.progress.total = run.progress.total.max(run.progress.done + ready.len() as u64);
            }
            self.keep(progress).await?;
            self.planned = ready
                .iter()
                .filter_map(|step| Some((step.row.clone(), self.tree().row(&step.row)?.versions())))
                .collect();
            let done = self.carry(&ready, progress).await;
            if let Err(stop) = done {
                self.save().await?;
                return Err(stop);
            }
            self.keep(progress).await?;
        }
        progress.checkpoint.files.unfinished = progress.checkpoint.files.asking;
        self.has_room(progress);
        self.keep(progress).await
    }

    /// Plans, and does at once what needs no call, until only calls are left.
    pub fn plan_quietly(&mut self, progress: &mut Progress<'_>) -> Plan {
        for round in 0.. {
            let run = progress.checkpoint.run.as_ref().map(|run| run.id.clone());
            let today = jiff::tz::Offset::UTC.to_datetime(self.engine.clock.now()).date();
            let world = World {
                tree: self.tree(),
                policy: &self.policy,
                left: &self.left_rules,
                right: &self.right_rules,
                today,
                run: run.as_ref(),
            };
            let mut plan = plan(&world);
            plan.steps.retain(|step| !self.unsettled.contains(&step.row));
            let quiet: Vec<Step> = plan.steps.iter().filter(|step| is_quiet(&step.act)).cloned().collect();
            if quiet.is_empty() {
                return plan;
            }
            if round < self.engine.config.quiet_rounds {
                quiet.into_iter().for_each(|step| self.do_quietly(step, progress));
            } else {
                self.leave_unsettled(quiet, progress);
            }
        }
        unreachable!("the rounds end above")
    }

    /// None may keep a worker for ever: these rows are left as they are, each with the reason, and the others go on.
    fn leave_unsettled(&mut self, steps: Vec<Step>, progress: &mut Progress<'_>) {
        tracing::error!(sync = %self.sync.id, rows = steps.len(), "a plan that does not come to rest");
        for step in steps {
            let reason = "What to do about it changes again and again, so it was left as it is on both sides. Rename or \
                          move it on one side; if that does not help, this is a mistake in Tandem: please report it.";
            self.fail_for(&step.row, Side::Left, Reason::new("unsettled", reason), progress);
            self.unsettled.insert(step.row);
        }
    }

    fn do_quietly(&mut self, step: Step, progress: &mut Progress<'_>) {
        let now = self.engine.clock.now();
        let key = step.row;
        match step.act {
            Act::Merge { with } => self.tree_mut().merge(&key, &with),
            Act::Readopt { gone, side } => self.tree_mut().readopt(&gone, &key, side),
            Act::Settle => {
                if let Some(run) = progress.checkpoint.run.as_mut().filter(|_| step.why == Why::Paired) {
                    run.counts.side(Side::Right).paired += 1;
                }
                self.tree_mut().change(&key, |row| {
                    row.base = base_of(row);
                    (row.making, row.transfer, row.failure) = (None, None, None);
                    row.synced_at = Some(now);
                });
            }
            Act::Part => {
                let reason = "It was renamed or moved at the remote; the old copy stays in the CRM.";
                let left = self.tree().row(&key).and_then(|row| row.left.clone());
                let all = left.map(|_| self.tree().below(Side::Right, &key)).unwrap_or_default();
                for below in all {
                    self.tree_mut().split(&below, Side::Right);
                }
                self.tree_mut().change(&key, |row| row.let_go = Some(Reason::new("renamed_remotely", reason)));
            }
            Act::Split { loser, .. } => {
                self.tree_mut().split(&key, loser);
                if let Some(run) = progress.checkpoint.run.as_mut() {
                    run.counts.side(loser).conflicts += 1;
                }
            }
            Act::LetGo(reason) => self.tree_mut().change(&key, |row| row.let_go = Some(reason)),
            Act::Forget => self.tree_mut().forget(&key),
            Act::Compare | Act::CreateFolder { .. } | Act::Write { .. } | Act::Relocate { .. } | Act::Remove { .. } => {
            }
        }
    }

    fn note_excluded(&mut self, plan: &Plan, progress: &mut Progress<'_>) {
        let was: Vec<(RowKey, Option<Reason>)> =
            self.tree().rows().map(|row| (row.key.clone(), row.excluded.clone())).collect();
        for (key, before) in was {
            let now = plan.excluded.get(&key).cloned();
            if now == before {
                continue;
            }
            let side = self
                .tree()
                .row(&key)
                .map_or(Side::Left, |row| if row.left.is_some() { Side::Left } else { Side::Right });
            if let Some(run) = progress.checkpoint.run.as_mut().filter(|_| now.is_some() && before.is_none()) {
                run.counts.side(side).excluded += 1;
            }
            self.tree_mut().change(&key, |row| row.excluded = now);
        }
    }

    /// A plan that removes too much is held whole. So is one that writes over every file at once, which no person does.
    async fn guard(&mut self, plan: &Plan, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let doomed: Vec<RowKey> = plan.removals().map(|step| step.row.clone()).collect();
        let gone = progress.checkpoint.run.as_ref().map_or(0, |run| run.counts.crm.deleted + run.counts.remote.deleted);
        let linked = self.tree().linked() + doomed.len() as u64 + gone;
        let confirmed = progress.checkpoint.confirmed;
        let overwrites = plan.overwrites();
        let all = overwrites >= MANY && overwrites >= self.tree().linked();
        let (deletes, held) =
            match guard::judge(doomed.len() as u64 + gone, linked, self.policy.max_delete_percent, confirmed) {
                guard::Verdict::Hold { deletes, allowed } => ((deletes, allowed), doomed.clone()),
                guard::Verdict::Pass if all && confirmed.is_none_or(|confirmed| confirmed < overwrites) => {
                    let over = plan.steps.iter().filter(|step| matches!(step.act, Act::Write { new: None, .. }));
                    ((overwrites, MANY), over.map(|step| step.row.clone()).collect())
                }
                guard::Verdict::Pass => ((0, 0), Vec::new()),
            };
        let before: Vec<RowKey> = self.tree().rows().filter(|row| row.held).map(|row| row.key.clone()).collect();
        for key in before.iter().filter(|key| !held.contains(key)) {
            self.tree_mut().change(key, |row| row.held = false);
        }
        if held.is_empty() {
            return Ok(());
        }
        for key in &held {
            self.tree_mut().change(key, |row| row.held = true);
        }
        self.save().await?;
        Err(Stop::Held { deletes: deletes.0, allowed: deletes.1 })
    }

    /// Whether a side's copy of a row is still the one that the plan was made of. Feeds are also read while a plan is carried
    /// out: what a step finds by then may be what it must not touch, and the next plan says what to do about it.
    pub fn as_planned(&self, key: &RowKey, side: Side) -> bool {
        let of = |versions: &(Option<Version>, Option<Version>)| match side {
            Side::Left => versions.0.clone(),
            Side::Right => versions.1.clone(),
        };
        let now = self.tree().row(key).map(|row| of(&row.versions()));
        now.is_some() && now == self.planned.get(key).map(of)
    }

    /// What is ready, sort by sort: places first, then bytes, removals last.
    async fn carry(&mut self, ready: &[Step], progress: &mut Progress<'_>) -> Result<(), Stop> {
        for step in ready {
            if let Act::Relocate { on, target } = &step.act {
                self.relocate(step, *on, target, progress).await?;
            } else if let Act::Split { loser, rename: Some(name) } = &step.act {
                self.rename_loser(step, *loser, name, progress).await?;
            }
        }
        for side in [Side::Right, Side::Left] {
            let folders: Vec<(&Step, &Target)> = ready
                .iter()
                .filter_map(|step| {
                    let Act::CreateFolder { on, target } = &step.act else { return None };
                    (*on == side).then_some((step, target))
                })
                .collect();
            for some in folders.chunks(self.can(side).batch.max(1)) {
                self.create_folders(side, some, progress).await?;
            }
        }
        for step in ready.iter().filter(|step| step.act == Act::Compare) {
            self.compare(&step.row, progress).await?;
        }
        for side in [Side::Right, Side::Left] {
            self.send_all(side, ready, progress).await?;
        }
        for side in [Side::Right, Side::Left] {
            let doomed = ready.iter().filter(|step| step.act == Act::Remove { on: side });
            let doomed: Vec<&Step> = doomed.collect();
            for some in doomed.chunks(self.can(side).batch.max(1)) {
                self.remove(side, some, progress).await?;
            }
        }
        Ok(())
    }

    /// A target's folder as the side takes it; `None` when it is not there (any more).
    pub fn target_folder(&self, side: Side, target: &Target) -> Option<FolderRef> {
        match &target.parent {
            None => Some(self.folder(side, None)),
            Some(key) => {
                let id = self.tree().row(key)?.copy(side)?.id.clone();
                Some(self.folder(side, Some(&id)))
            }
        }
    }

    pub fn marker(&self, key: &RowKey) -> Marker {
        Marker::new(key.as_str())
    }

    async fn relocate(
        &mut self,
        step: &Step,
        on: Side,
        target: &Target,
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        self.in_time(progress).await?;
        let before = self.tree().row(&step.row).and_then(|row| row.copy(on)).map(|copy| copy.name.clone());
        let (Some(entry), Some(parent)) = (self.reference(on, &step.row), self.target_folder(on, target)) else {
            return Ok(());
        };
        let moved = self.move_to(step, on, entry, parent, &target.name, progress).await?;
        if moved {
            // Where we put it is nobody's wish: a number that it got because its name was taken must not go to the other
            // side, and the name is tried for again until both agree.
            self.tree_mut().change(&step.row, |row| {
                let copy = row.copy(on).cloned();
                let Some((base, copy)) = row.base.as_mut().zip(copy) else { return };
                let agreed = if on == Side::Left { &mut base.left } else { &mut base.right };
                (agreed.name, agreed.parent) = (copy.name, copy.parent);
            });
            let deed = Deed { side: on, action: "update", before, after: Some(target.name.clone()), why: step.why };
            self.log(vec![(step.row.clone(), deed)], progress).await?;
        }
        Ok(())
    }

    /// One call; true when it is there now. What both agree on follows by the next plan.
    async fn move_to(
        &mut self,
        step: &Step,
        on: Side,
        entry: EntryRef,
        parent: FolderRef,
        name: &str,
        progress: &mut Progress<'_>,
    ) -> Result<bool, Stop> {
        let Some(expect) = self.tree().row(&step.row).and_then(|row| row.copy(on)).map(|copy| copy.version.clone())
        else {
            return Ok(false);
        };
        if !self.as_planned(&step.row, Side::Left) || !self.as_planned(&step.row, Side::Right) {
            return Ok(false);
        }
        let relocation = Relocation { entry, expect, parent, name: Name(name.to_owned()) };
        match self.side(on).relocate(&relocation).await {
            Ok(entry) => {
                let generation = progress.checkpoint.side(on).generation;
                let listed = self.tree().row(&step.row).and_then(|row| row.copy(on)).map_or(0, |copy| copy.listed);
                self.tree_mut().adopt(&step.row, on, &seen(entry), generation);
                self.tree_mut().change(&step.row, |row| {
                    let copy = if on == Side::Left { &mut row.left } else { &mut row.right };
                    if let Some(copy) = copy {
                        copy.listed = listed;
                    }
                });
                Ok(true)
            }
            Err(error) => {
                self.refused(&step.row, on, &error, progress).await?;
                Ok(false)
            }
        }
    }

    async fn rename_loser(
        &mut self,
        step: &Step,
        loser: Side,
        name: &str,
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        self.in_time(progress).await?;
        let Some(entry) = self.reference(loser, &step.row) else { return Ok(()) };
        let (before, parent) = (entry.name.0.clone(), entry.parent.clone());
        if self.move_to(step, loser, entry, parent, name, progress).await? {
            let deed = Deed {
                side: loser,
                action: "update",
                before: Some(before),
                after: Some(name.to_owned()),
                why: step.why,
            };
            self.log(vec![(step.row.clone(), deed)], progress).await?;
            self.do_quietly(Step { act: Act::Split { loser, rename: None }, ..step.clone() }, progress);
            self.keep(progress).await?;
        }
        Ok(())
    }

    /// Notes which creations are about to be sent, with ids where the side reserves them. Durable before the first is sent.
    pub async fn intend(
        &mut self,
        side: Side,
        keys: &[RowKey],
    ) -> Result<BTreeMap<RowKey, (Option<RemoteId>, Attempt)>, Stop> {
        let before = |files: &Self, key: &RowKey| {
            files.tree().row(key).and_then(|row| row.making.clone()).filter(|making| making.side == side)
        };
        let fresh: Vec<RowKey> = keys.iter().filter(|key| before(self, key).is_none()).cloned().collect();
        let mut ids = Vec::new();
        if self.can(side).reserves_ids && !fresh.is_empty() {
            ids = self.side(side).reserve(fresh.len()).await.map_err(|error| stop_for(side, &error))?;
        }
        let mut ids = ids.into_iter();
        let mut all = BTreeMap::new();
        for key in keys {
            if let Some(making) = before(self, key) {
                all.insert(key.clone(), (making.id, Attempt::Again));
                continue;
            }
            let id = ids.next();
            all.insert(key.clone(), (id.clone(), Attempt::First));
            self.tree_mut().change(key, |row| row.making = Some(Making { side, id }));
        }
        self.save().await?;
        Ok(all)
    }

    async fn create_folders(
        &mut self,
        side: Side,
        some: &[(&Step, &Target)],
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        self.in_time(progress).await?;
        let keys: Vec<RowKey> = some.iter().map(|(step, _)| step.row.clone()).collect();
        let intents = self.intend(side, &keys).await?;
        let mut folders = Vec::new();
        let mut steps = Vec::new();
        for (step, target) in some {
            let Some(parent) = self.target_folder(side, target) else { continue };
            let (id, attempt) = intents[&step.row].clone();
            let (name, marker) = (Name(target.name.clone()), self.marker(&step.row));
            folders.push(NewFolder { id, parent, name, marker, attempt });
            steps.push((*step, *target));
        }
        let outcomes = self.side(side).create_folders(&folders).await.map_err(|error| stop_for(side, &error))?;
        let generation = progress.checkpoint.side(side).generation;
        let now = self.engine.clock.now();
        let (mut deeds, mut refusals) = (Vec::new(), Vec::new());
        for ((step, target), outcome) in steps.into_iter().zip(outcomes) {
            match outcome {
                Ok(entry) => {
                    self.tree_mut().adopt(&step.row, side, &seen(entry), generation);
                    self.tree_mut().change(&step.row, |row| {
                        row.base = base_of(row);
                        (row.making, row.failure, row.let_go) = (None, None, None);
                        row.synced_at = Some(now);
                    });
                    let after = Some(target.name.clone());
                    deeds.push((step.row.clone(), Deed { side, action: "create", before: None, after, why: step.why }));
                }
                Err(error) => refusals.push((step.row.clone(), error)),
            }
        }
        self.log(deeds, progress).await?;
        self.refused_all(side, refusals, progress).await?;
        self.keep(progress).await
    }

    /// The refusals of a batch, once everything that was done is noted: one that stops the session must not hide that.
    pub async fn refused_all(
        &mut self,
        side: Side,
        refusals: Vec<(RowKey, ConnectorError)>,
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        for (key, error) in refusals {
            self.refused(&key, side, &error, progress).await?;
        }
        Ok(())
    }

    /// What a refusal of one item means: a conflict is read again and planned again, the rest is the row's own trouble, or
    /// the whole session's.
    pub async fn refused(
        &mut self,
        key: &RowKey,
        side: Side,
        error: &ConnectorError,
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        match error.kind {
            ErrorKind::Conflict | ErrorKind::NotFound => {
                let met = self.met.entry(key.clone()).or_insert(0);
                *met += 1;
                if *met > CONFLICTS {
                    self.fail(key, side, error, progress);
                    return Ok(());
                }
                if error.kind == ErrorKind::Conflict {
                    self.drop_used_id(key, side).await?;
                }
                for side in [Side::Left, Side::Right] {
                    let generation = progress.checkpoint.side(side).generation;
                    if self.tree().row(key).is_some_and(|row| row.copy(side).is_some()) {
                        self.look_again(side, std::slice::from_ref(key), generation).await?;
                    }
                }
                // What stands in its way may be something that the side has not told yet.
                if self.is_polled(side) {
                    let record = self.tree().record_of(side, key);
                    return self.read_records(side, record.as_slice(), progress).await;
                }
                progress.checkpoint.side_mut(side).caught_up = false;
                self.catch_up(side, progress).await
            }
            ErrorKind::Forbidden if StorageFull::is_cause_of(error) => {
                self.found_full(side, error, progress);
                Ok(())
            }
            // A side that tells no rights says here that one is missing, for all of the record.
            ErrorKind::Forbidden if self.is_polled(side) => {
                let record = self.tree().record_of(side, key).or_else(|| self.tree().record_of(side.other(), key));
                match record.filter(|record| record != key) {
                    Some(record) => self.tree_mut().bar(&record, side, &error.detail),
                    None => self.fail(key, side, error, progress),
                }
                Ok(())
            }
            ErrorKind::Permanent | ErrorKind::Forbidden => {
                self.fail(key, side, error, progress);
                Ok(())
            }
            ErrorKind::Retryable | ErrorKind::Throttled { .. } | ErrorKind::AuthRevoked | ErrorKind::CursorExpired => {
                Err(stop_for(side, error))
            }
        }
    }

    /// An id that was reserved, is taken and leads to nothing is used up: what was made under it is gone, and no side gives
    /// an id out twice. The next try reserves another.
    async fn drop_used_id(&mut self, key: &RowKey, side: Side) -> Result<(), Stop> {
        let row = self.tree().row(key).filter(|row| row.copy(side).is_none());
        let making = row.and_then(|row| row.making.as_ref()).filter(|making| making.side == side);
        let Some(id) = making.and_then(|making| making.id.clone()) else { return Ok(()) };
        let entries = [EntryRef { id, parent: self.folder(side, None), name: Name(String::new()) }];
        let port = self.side(side);
        let found = self.patiently(|| port.get(&entries)).await.map_err(|error| stop_for(side, &error))?;
        if found.iter().all(Option::is_none) {
            self.tree_mut().change(key, |row| (row.making, row.transfer) = (None, None));
        }
        Ok(())
    }

    /// Removes what the other side has lost, after making sure of it.
    async fn remove(&mut self, side: Side, some: &[&Step], progress: &mut Progress<'_>) -> Result<(), Stop> {
        self.in_time(progress).await?;
        self.check_roots(progress).await?;
        let other = side.other();
        let generation = progress.checkpoint.side(other).generation;
        let keys: Vec<RowKey> = some.iter().map(|step| step.row.clone()).collect();
        for keys in keys.chunks(self.can(other).batch.max(1)) {
            self.look_again(other, keys, generation).await?;
        }
        let mut removals = Vec::new();
        let mut steps = Vec::new();
        for step in some {
            let Some(row) = self.tree().row(&step.row).filter(|row| row.copy(other).is_none()) else { continue };
            if !self.as_planned(&step.row, side) {
                continue;
            }
            let Some(copy) = row.copy(side) else { continue };
            let (expect, folder) = (copy.version.clone(), copy.is_folder());
            let before = copy.name.clone();
            let Some(entry) = self.reference(side, &step.row) else { continue };
            let folder = if folder { FolderOrFile::Folder } else { FolderOrFile::File };
            removals.push(Removal { entry, folder, expect });
            steps.push((*step, before));
        }
        if removals.is_empty() {
            return Ok(());
        }
        let outcomes = self.side(side).remove(&removals).await.map_err(|error| stop_for(side, &error))?;
        let (mut deeds, mut refusals) = (Vec::new(), Vec::new());
        for ((step, before), outcome) in steps.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => {
                    deeds.push((
                        step.row.clone(),
                        Deed { side, action: "delete", before: Some(before), after: None, why: step.why },
                    ));
                }
                Err(error) => refusals.push((step.row.clone(), error)),
            }
        }
        let gone: Vec<RowKey> = deeds.iter().map(|(key, _)| key.clone()).collect();
        self.log(deeds, progress).await?;
        for key in gone {
            self.tree_mut().forget(&key);
        }
        self.refused_all(side, refusals, progress).await?;
        self.keep(progress).await
    }

    /// Leaves in time: what was done is noted, a continuation goes on.
    pub async fn in_time(&mut self, progress: &mut Progress<'_>) -> Result<(), Stop> {
        if progress.budget.spent() {
            self.save().await?;
            return Err(Stop::OutOfBudget);
        }
        Ok(())
    }
}

fn is_quiet(act: &Act) -> bool {
    match act {
        Act::Merge { .. }
        | Act::Readopt { .. }
        | Act::Settle
        | Act::Part
        | Act::LetGo(_)
        | Act::Forget
        | Act::Split { rename: None, .. } => true,
        Act::Split { rename: Some(_), .. }
        | Act::Compare
        | Act::CreateFolder { .. }
        | Act::Write { .. }
        | Act::Relocate { .. }
        | Act::Remove { .. } => false,
    }
}
