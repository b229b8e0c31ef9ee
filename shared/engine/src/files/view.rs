//! What people see of a files sync: its records, a preview, what it can be set to.
use super::Files;
use super::note::title;
use crate::desk::{of_stop, rules};
use crate::preview::{ExcludedCount, Preview};
use crate::records::{CopyView, RecordQuery, RecordView};
use crate::session::{Progress, Stop};
use crate::{Budget, Engine, EngineError, Opening};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use tandem_core::files::plan::{Act, Plan};
use tandem_core::files::row::{FileRow, Role};
use tandem_core::files::settings::Records;
use tandem_core::guard;
use tandem_core::record::{RowKey, Side};
use tandem_store::checkpoint::Stage;
use tandem_store::connection::Connection;
use tandem_store::file::{FileRowChange, file_state};
use tandem_store::lease::Lease;
use tandem_store::link::RowState;
use tandem_store::sync::Sync;

/// Rows looked through for a search in one request.
const SEARCHED: usize = 5_000;

impl Engine {
    /// A page of the files and folders of a sync.
    pub(crate) async fn file_records(
        &self,
        sync: &Sync,
        query: &RecordQuery,
    ) -> Result<(Vec<RecordView>, Option<String>), EngineError> {
        let limit = query.limit.clamp(1, 100);
        let wanted = query.q.as_deref().map(str::to_lowercase).filter(|text| !text.is_empty());
        let mut after = query.next.clone().map(RowKey::new);
        let (mut views, mut searched) = (Vec::new(), 0);
        loop {
            let (rows, next) = self.store.file_page(&sync.id, query.state, after.as_ref(), limit).await?;
            searched += limit;
            let matches = |row: &FileRow| wanted.as_ref().is_none_or(|text| title(row).to_lowercase().contains(text));
            views.extend(rows.into_iter().filter(|row| row.role != Role::Module && matches(row)).map(view));
            after = next;
            if after.is_none() || views.len() >= limit || searched >= SEARCHED {
                return Ok((views, after.map(|key| key.to_string())));
            }
        }
    }

    /// Gives failing files their tries back.
    pub(crate) async fn refresh_failing_files(&self, sync: &Sync) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            let (rows, next) = self.store.file_page(&sync.id, Some(RowState::Failing), after.as_ref(), 500).await?;
            let fresh = |mut row: FileRow| {
                let before = file_state(&row).0;
                if let Some(failure) = &mut row.failure {
                    (failure.attempts, failure.run) = (0, None);
                }
                FileRowChange { key: row.key.clone(), before, after: Some(row) }
            };
            self.store.save_files(&sync.id, &rows.into_iter().map(fresh).collect::<Vec<_>>()).await?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// What the settings of a files sync can be chosen from.
    pub(crate) async fn file_choices(&self, sync: &Sync) -> Result<BTreeMap<String, Json>, EngineError> {
        let (profile, settings) = rules(sync)?;
        let (crm, remote) = self.connections(sync).await?;
        let mut all = BTreeMap::new();
        for (side, connection) in [(Side::Left, &crm), (Side::Right, &remote)] {
            let ask = Opening { sync: &sync.id, connection, profile, settings: &settings, side, container: None };
            let port = self.connectors.open_files(ask).await.map_err(|error| crate::desk::refused(side, &error))?;
            let choices = port.choices().await.map_err(|error| crate::desk::refused(side, &error))?;
            let permitted = profile.files.map(|rules| rules.modules).unwrap_or_default();
            for (setting, mut some) in choices {
                // A CRM may keep files at more than the product does.
                some.retain(|choice| setting != "modules" || permitted.contains(&choice.id.as_str()));
                all.insert(setting.to_owned(), json!(some));
            }
        }
        Ok(all)
    }

    /// What of the records that a files sync is set to is not in the CRM, one sentence for people. The sync need not be
    /// stored yet.
    pub async fn missing_records(&self, sync: &Sync, crm: &Connection) -> Result<Option<String>, EngineError> {
        let (profile, mut settings) = rules(sync)?;
        let Some(files) = settings.files.as_mut() else { return Ok(None) };
        let chosen = std::mem::take(&mut files.records);
        if chosen == Records::All {
            return Ok(None);
        }
        let (side, settings) = (Side::Left, &settings);
        let ask = Opening { sync: &sync.id, connection: crm, profile, settings, side, container: None };
        let refused = |error| crate::desk::refused(side, &error);
        let port = self.connectors.open_files(ask).await.map_err(refused)?;
        port.missing(&chosen).await.map_err(refused)
    }

    /// Looks at both trees as a run would, and counts.
    pub(crate) async fn file_preview(&self, sync: &Sync, budget: &Budget) -> Result<Preview, EngineError> {
        let (profile, settings) = rules(sync)?;
        let (crm, remote) = self.connections(sync).await?;
        let opened = Files::open(self, sync, (profile, &settings), (&crm, &remote)).await;
        let mut files = opened.map_err(|stop| of_stop(stop, Side::Right))?;
        files.dry = true;
        let mut checkpoint = self.store.checkpoint(&sync.id).await?;
        for side in [Side::Left, Side::Right] {
            let mine = checkpoint.side_mut(side);
            mine.caught_up = false;
            if !mine.bounds.is_empty() && mine.bounds != settings.bounds(side) {
                mine.stage = Stage::Listing { page: None };
            }
        }
        // A root that does not exist yet has nothing in it, and a look does not make it.
        checkpoint.right.caught_up = checkpoint.files.right_root.is_none();
        let lease = Lease { sync: sync.id.clone(), fence: 0, until: self.clock.now(), open_intents: 0 };
        let mut progress = Progress { checkpoint, lease, budget, intents: 0, container_checked: false, put_off: false };
        let mut preview = Preview { complete: true, ..Preview::default() };
        for side in [Side::Right, Side::Left] {
            match files.catch_up(side, &mut progress).await {
                Ok(()) => {}
                Err(Stop::OutOfBudget) => preview.complete = false,
                Err(stop) => return Err(of_stop(stop, side)),
            }
        }
        files.load(&progress).await.map_err(|stop| of_stop(stop, Side::Left))?;
        let paired = |files: &Files<'_>| files.tree().linked();
        let before = paired(&files);
        let plan = files.plan_quietly(&mut progress);
        preview.remote.pair = paired(&files).saturating_sub(before);
        preview.count_files(&plan);
        let deletes = plan.removals().count() as u64;
        let judged = guard::judge(deletes, files.tree().linked() + deletes, files.policy.max_delete_percent, None);
        preview.would_be_held = judged != guard::Verdict::Pass;
        Ok(preview)
    }
}

impl Preview {
    fn count_files(&mut self, plan: &Plan) {
        for step in &plan.steps {
            match &step.act {
                Act::CreateFolder { on, .. } | Act::Write { to: on, new: Some(_) } => self.of(*on).create += 1,
                Act::Relocate { on, .. } | Act::Write { to: on, new: None } => self.of(*on).update += 1,
                Act::Remove { on } => self.of(*on).delete += 1,
                Act::Split { .. } => self.conflicts += 1,
                Act::Merge { .. }
                | Act::Readopt { .. }
                | Act::Settle
                | Act::Compare
                | Act::Part
                | Act::LetGo(_)
                | Act::Forget => {}
            }
        }
        let mut reasons: BTreeMap<&str, ExcludedCount> = BTreeMap::new();
        for reason in plan.excluded.values() {
            let entry = reasons.entry(reason.code.as_str()).or_insert_with(|| ExcludedCount {
                code: reason.code.clone(),
                reason: reason.message.clone(),
                count: 0,
            });
            entry.count += 1;
        }
        self.excluded = reasons.into_values().collect();
    }

    fn of(&mut self, side: Side) -> &mut crate::preview::SidePreview {
        match side {
            Side::Left => &mut self.crm,
            Side::Right => &mut self.remote,
        }
    }
}

fn view(row: FileRow) -> RecordView {
    let copy = |side: Side| row.copy(side).map(|copy| CopyView { id: copy.id.clone(), title: Some(copy.name.clone()) });
    let (state, reason) = file_state(&row);
    RecordView {
        crm: copy(Side::Left),
        remote: copy(Side::Right),
        state,
        reason: reason.cloned(),
        last_synced_at: row.synced_at,
        attempts: row.failure.as_ref().map_or(0, |failure| failure.attempts),
        id: row.key,
    }
}
