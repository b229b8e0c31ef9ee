//! What is made durable, and when.
use super::Files;
use crate::changelog::Change;
use crate::session::{Progress, Stop};
use tandem_core::files::row::{Failure, FileRow};
use tandem_core::plan::{Reason, Why};
use tandem_core::record::{RowKey, Side};
use tandem_ports::error::ConnectorError;
use tandem_store::checkpoint::Hold;
use tandem_store::file::{FileRowChange, file_state};
use tandem_store::link::RowState;
use tandem_store::run::RunState;

/// What was done for a row, for the log.
pub(crate) struct Deed {
    pub side: Side,
    pub action: &'static str,
    pub before: Option<String>,
    pub after: Option<String>,
    pub why: Why,
}

impl Files<'_> {
    /// Writes the rows that have changed.
    pub async fn save(&mut self) -> Result<(), Stop> {
        let Some(tree) = self.tree.as_mut().filter(|tree| tree.is_dirty() && !self.dry) else { return Ok(()) };
        let mut changes = Vec::new();
        for (key, after) in tree.take_dirty() {
            let before = self.listed.get(&key).copied().unwrap_or(RowState::InSync);
            match after.as_ref().map(|row| file_state(row).0) {
                Some(state) if state != RowState::InSync => self.listed.insert(key.clone(), state),
                Some(_) | None => self.listed.remove(&key),
            };
            changes.push(FileRowChange { key, before, after });
        }
        Ok(self.engine.store.save_files(&self.sync.id, &changes).await?)
    }

    /// Writes the rows, then the checkpoint under the fence; the lease lasts longer.
    pub async fn keep(&mut self, progress: &mut Progress<'_>) -> Result<(), Stop> {
        if self.dry {
            return Ok(());
        }
        self.save().await?;
        let until = self.engine.clock.now() + self.engine.config.lease;
        if let Some(run) = progress.checkpoint.run.as_mut() {
            run.state = RunState::Running;
        }
        let hold = Hold::Keep { until, settled: Vec::new() };
        self.engine.store.commit(&progress.lease, self.sync, &progress.checkpoint, &hold).await?;
        progress.lease.until = until;
        Ok(())
    }

    /// Counts and logs what was done.
    pub async fn log(&self, deeds: Vec<(RowKey, Deed)>, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let fence = progress.lease.fence;
        let Some(run) = progress.checkpoint.run.as_mut() else { return Ok(()) };
        let mut entries = Vec::new();
        for (key, deed) in deeds {
            let counts = run.counts.side(deed.side);
            match deed.action {
                "create" => counts.created += 1,
                "delete" => counts.deleted += 1,
                _ => counts.updated += 1,
            }
            let row = self.tree().row(&key);
            let id = row.and_then(|row| row.id(deed.side)).map(ToString::to_string).unwrap_or_default();
            let title = row.map(title).unwrap_or_default();
            let title = if title.is_empty() { deed.before.clone().unwrap_or_default() } else { title };
            entries.push(Change::file(deed.side, (id, title), deed.action, (deed.before, deed.after), deed.why));
        }
        Ok(self.engine.append_changes(self.sync, run, fence, &entries).await?)
    }

    /// A refusal that concerns this row alone.
    pub fn fail(&mut self, key: &RowKey, side: Side, error: &ConnectorError, progress: &mut Progress<'_>) {
        let is_forbidden = error.kind == tandem_ports::error::ErrorKind::Forbidden;
        let code = if is_forbidden { "missing_right" } else { "refused" };
        self.fail_for(key, side, Reason::new(code, format!("{}: {}", error.provider, error.detail)), progress);
    }

    /// A failure that concerns this row alone.
    pub fn fail_for(&mut self, key: &RowKey, side: Side, reason: Reason, progress: &mut Progress<'_>) {
        let run = progress.checkpoint.run.as_mut();
        let id = run.as_ref().map(|run| run.id.clone());
        if let Some(run) = run {
            run.counts.side(side).failing += 1;
        }
        let mut attempts = 0;
        self.tree_mut().change(key, |row| {
            let of = row.versions();
            attempts =
                row.failure.as_ref().filter(|failure| failure.of == of).map_or(0, |failure| failure.attempts) + 1;
            row.failure = Some(Failure { reason, attempts, run: id, of });
        });
        if attempts < tandem_core::files::plan::MAX_ATTEMPTS {
            progress.checkpoint.retry_failing = true;
        }
    }
}

/// What people call an entry.
pub(crate) fn title(row: &FileRow) -> String {
    row.left.as_ref().or(row.right.as_ref()).map(|copy| copy.name.clone()).unwrap_or_default()
}
