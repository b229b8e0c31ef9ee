//! Reading a side whose feed tells records alone: what is in them is read record by record.
use super::{Files, seen};
use crate::session::{Progress, Stop, stop_for};
use std::collections::BTreeSet;
use tandem_core::files::entry::EntryKind;
use tandem_core::files::row::Role;
use tandem_core::record::{RemoteId, RowKey, Side};
use tandem_ports::connector::Cursor;
use tandem_ports::files::{FileChange, FileNext, FilePage, FolderRef, Listing};

impl Files<'_> {
    pub(super) fn is_polled(&self, side: Side) -> bool {
        self.can(side).listing == Listing::Polled
    }

    /// After a page of the feed: the records that it told are read whole; at the end of a round those that it did not tell
    /// are asked about.
    pub(super) async fn poll(&mut self, side: Side, page: &FilePage, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let record = |change: &FileChange| match change {
            FileChange::Upsert(entry) if matches!(entry.kind, EntryKind::Record { .. }) => Some(entry.id.clone()),
            FileChange::Upsert(_)
            | FileChange::Gone { .. }
            | FileChange::GoneAt { .. }
            | FileChange::Outside { .. } => None,
        };
        let told: Vec<RemoteId> = page.changes.iter().filter_map(record).collect();
        let unread: Vec<RowKey> =
            told.iter().filter_map(|id| self.tree().by_id(side, id).map(|row| row.key.clone())).collect();
        self.told.extend(told);
        self.read_records(side, &unread, progress).await?;
        match page.next {
            FileNext::CaughtUp(_) => self.ask_about_the_rest(side, progress).await,
            FileNext::More(_) | FileNext::Paused(_) => Ok(()),
        }
    }

    /// Reads all that is in some records. What was there and is no longer shown is looked up.
    pub(super) async fn read_records(
        &mut self,
        side: Side,
        records: &[RowKey],
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        for some in records.chunks(self.can(side).children_batch.max(1)) {
            if progress.budget.spent() {
                return Err(Stop::OutOfBudget);
            }
            let some: Vec<(RowKey, FolderRef)> = some
                .iter()
                .filter_map(|key| {
                    let row = self.tree().row(key).filter(|row| row.is_looked_into())?;
                    Some((key.clone(), self.folder(side, Some(&row.copy(side)?.id))))
                })
                .collect();
            if !some.is_empty() {
                self.read_some(side, &some, progress).await?;
            }
        }
        Ok(())
    }

    async fn read_some(
        &mut self,
        side: Side,
        some: &[(RowKey, FolderRef)],
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        let generation = progress.checkpoint.side(side).generation;
        let folders: Vec<FolderRef> = some.iter().map(|(_, folder)| folder.clone()).collect();
        let (mut shown, mut unreadable) = (BTreeSet::new(), BTreeSet::new());
        let mut next: Option<Cursor> = None;
        loop {
            let port = self.side(side);
            let page = self.patiently(|| port.children(&folders, next.as_ref())).await;
            let page = page.map_err(|error| stop_for(side, &error))?;
            if let Some(run) = progress.checkpoint.run.as_mut() {
                run.counts.side(side).read += page.entries.len() as u64;
            }
            for entry in page.entries {
                shown.extend(self.tree_mut().observe(side, &seen(entry), generation));
            }
            for (id, reason) in page.unreadable {
                self.tree_mut().unreadable(side, &id, &reason);
                unreadable.insert(id);
            }
            match page.next {
                Some(cursor) => next = Some(cursor),
                None => break,
            }
        }
        let mut missed = Vec::new();
        for (record, _) in some.iter().filter(|(_, folder)| !unreadable.contains(&folder.id)) {
            missed.extend(self.tree_mut().missed(side, record, &shown));
        }
        for keys in missed.chunks(self.can(side).batch.max(1)) {
            self.look_again(side, keys, generation).await?;
        }
        Ok(())
    }

    /// Records that a whole round did not tell: deleted, or no longer among those chosen. Only those that this job has not
    /// met are asked about; for a round that took several jobs that is more than it needs.
    async fn ask_about_the_rest(&mut self, side: Side, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let rest: Vec<RemoteId> = self
            .tree()
            .rows()
            .filter(|row| row.role == Role::Record && row.is_looked_into())
            .filter_map(|row| row.copy(side).map(|copy| copy.id.clone()))
            .filter(|id| !self.told.contains(id))
            .collect();
        let port = self.side(side);
        for ids in rest.chunks(port.capabilities().batch.max(1)) {
            if progress.budget.spent() {
                return Err(Stop::OutOfBudget);
            }
            let changes = self.patiently(|| port.records(ids)).await.map_err(|error| stop_for(side, &error))?;
            self.take_in(side, &changes, progress).await?;
        }
        Ok(())
    }
}
