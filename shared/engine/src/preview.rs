//! What a run would do, with nothing written anywhere.
use crate::desk::{conflict, container_by_name, of_stop, rules};
use crate::session::{ReadFailure, Session, Stop, Task, next_task};
use crate::{Budget, Engine, EngineError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use tandem_core::plan::{Act, Outcome, Why};
use tandem_core::record::{ContainerId, Side};
use tandem_ports::infra::Kind;
use tandem_store::checkpoint::{Stage, Walk};
use tandem_store::link::RowState;
use tandem_store::sync::Sync;

/// What would happen on one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidePreview {
    /// Records that are there already and would be recognised.
    pub pair: u64,
    /// Records that would be created.
    pub create: u64,
    /// Records that would be changed.
    pub update: u64,
    /// Records that would be deleted.
    pub delete: u64,
}

/// Records that would not be carried across, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExcludedCount {
    /// `missing_fields`, …
    pub code: String,
    /// For people.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// What a run would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// On the CRM side.
    pub crm: SidePreview,
    /// On the remote side.
    pub remote: SidePreview,
    /// Records that both sides changed differently.
    pub conflicts: u64,
    /// Records that would not be carried across, by reason.
    pub excluded: Vec<ExcludedCount>,
    /// Why nothing can be carried as the sync is set, and what to choose; `null` where something can.
    pub note: Option<String>,
    /// Whether the guard would hold it for its deletions.
    pub would_be_held: bool,
    /// False when there is more than one look can take in; the counts are then those of the beginning.
    pub complete: bool,
}

impl Engine {
    /// Looks at both sides as a run would, and counts.
    pub async fn preview(&self, sync: &Sync, budget: &Budget) -> Result<Preview, EngineError> {
        if sync.kind == Kind::Files {
            return self.file_preview(sync, budget).await;
        }
        let (profile, settings) = rules(sync)?;
        if settings.mail.is_some() {
            return Err(conflict("no_preview", "A mail sync has no preview; it only adds what it is asked to track."));
        }
        let (crm, remote) = self.connections(sync).await?;
        let mut ahead = self.store.checkpoint(&sync.id).await?;
        let open = |container| Session::open(self, sync, (profile, &settings), (&crm, &remote), container, budget);
        let mut session = match open(ahead.container.as_ref()).await {
            Ok(session) => session,
            Err(Stop::NothingToCarry { message }) => {
                return Ok(Preview { note: Some(message), complete: true, ..Preview::default() });
            }
            Err(stop) => return Err(of_stop(stop, Side::Right)),
        };
        if ahead.container.is_none() {
            let choices = session.right.choices().await.map_err(|error| crate::desk::refused(Side::Right, &error))?;
            // One that does not exist yet has nobody in it: whoever is there already is outside.
            let container = container_by_name(&choices, &session.container_names())
                .unwrap_or_else(|| ContainerId::new("not-made-yet"));
            let bounded = session.policy.direction.may_write(Side::Right) || settings.remote_group.is_some();
            let container = Some(container).filter(|_| bounded);
            session = open(container.as_ref()).await.map_err(|stop| of_stop(stop, Side::Right))?;
        }
        session.dry = Some(Mutex::default());
        for side in [Side::Left, Side::Right] {
            let progress = ahead.side_mut(side);
            progress.caught_up = false;
            let bounds = settings.bounds(side);
            if !progress.bounds.is_empty() && progress.bounds != bounds {
                progress.stage = Stage::Listing { page: None };
            }
        }
        ahead.retrying = Some(Walk::default());
        self.look(&session, ahead, budget).await
    }

    async fn look(
        &self,
        session: &Session<'_>,
        mut ahead: tandem_store::checkpoint::Checkpoint,
        budget: &Budget,
    ) -> Result<Preview, EngineError> {
        let mut preview = Preview { complete: true, ..Preview::default() };
        let mut waiting = HashSet::new();
        let mut reasons: BTreeMap<String, ExcludedCount> = BTreeMap::new();
        // As a run does: at its end, what is on the remote side alone.
        let mut adopts = session.policy.direction.may_write(Side::Left);
        loop {
            let Some(task) = next_task(&ahead, &[]) else {
                if !std::mem::take(&mut adopts) {
                    break;
                }
                ahead.adopting = Some(Walk::default());
                continue;
            };
            if budget.spent() {
                preview.complete = false;
                break;
            }
            if let Task::Sweep(side) = task {
                // What a listing did not show needs the listing's own record of what it showed, which a look does not keep.
                if let Stage::Sweeping { then, .. } = ahead.side(side).stage.clone() {
                    ahead.side_mut(side).stage = Stage::Following { cursor: then };
                    ahead.side_mut(side).caught_up = true;
                    preview.complete = false;
                }
                continue;
            }
            let page = match session.prepare(&task, &ahead, ahead.pages, &waiting).await {
                Ok(page) => page,
                Err(ReadFailure::CursorExpired(side, _)) => {
                    ahead.side_mut(side).list_again(tandem_store::checkpoint::Purpose::Read);
                    continue;
                }
                Err(ReadFailure::NewContainer(_)) => {
                    // A look makes none; what it would hold is not known.
                    preview.complete = false;
                    break;
                }
                Err(ReadFailure::Stop(Stop::Held { deletes, .. })) => {
                    preview.would_be_held = true;
                    preview.remote.delete = preview.remote.delete.max(deletes.saturating_sub(preview.crm.delete));
                    preview.complete = false;
                    break;
                }
                Err(ReadFailure::Stop(stop)) => return Err(of_stop(stop, Side::Right)),
            };
            page.advance.apply(&mut ahead);
            waiting.extend(page.items.iter().filter(|item| item.step.deletes()).map(|item| item.row.key.clone()));
            for item in &page.items {
                preview.count(item, &mut reasons);
                session.remember_candidate(item);
            }
        }
        preview.excluded = reasons.into_values().collect();
        Ok(preview)
    }
}

impl Preview {
    fn count(&mut self, item: &crate::prepare::Item, reasons: &mut BTreeMap<String, ExcludedCount>) {
        let step = &item.step;
        for side in [Side::Left, Side::Right] {
            let counts = if side == Side::Left { &mut self.crm } else { &mut self.remote };
            match step.act(side) {
                Some(Act::Create { .. }) => counts.create += 1,
                Some(Act::Update { .. }) => counts.update += 1,
                Some(Act::Delete { .. }) => counts.delete += 1,
                None => {}
            }
        }
        self.remote.pair += u64::from(step.why == Why::Paired && step.outcome == Outcome::Agree);
        self.conflicts += u64::from(!step.conflicts.is_empty());
        let unpaired = item.row.left.is_none() && item.row.base.is_none();
        let excluded = match &step.outcome {
            Outcome::Exclude(reason) | Outcome::Unlink(reason) => Some(reason),
            Outcome::Agree | Outcome::Forget | Outcome::Ignore => None,
        };
        let left_alone = item.row.state == RowState::Excluded && item.row.reason.as_ref() == excluded;
        if let Some(reason) = excluded.filter(|_| !unpaired && !left_alone || item.left.is_some()) {
            let entry = reasons.entry(reason.message.clone()).or_insert_with(|| ExcludedCount {
                code: reason.code.clone(),
                reason: reason.message.clone(),
                count: 0,
            });
            entry.count += 1;
        }
    }
}
