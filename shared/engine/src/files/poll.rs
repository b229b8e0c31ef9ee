//! Reading a side whose feed tells records alone: what is in them is read record by record.
use super::observe::set_listed;
use super::{Files, seen};
use crate::session::{Progress, Stop, stop_for};
use std::collections::BTreeSet;
use tandem_core::files::entry::EntryKind;
use tandem_core::files::row::Role;
use tandem_core::record::{RemoteId, RowKey, Side};
use tandem_ports::connector::Cursor;
use tandem_ports::files::{ASKED, FileChange, FileNext, FilePage, FolderRef, Listing};

impl Files<'_> {
    pub(super) fn is_polled(&self, side: Side) -> bool {
        self.can(side).listing == Listing::Polled
    }

    /// After a page of the feed: the records that it told are read whole; at the end of a round those that it did not tell
    /// are asked about. Whether there was time for all of them.
    pub(super) async fn poll(
        &mut self,
        side: Side,
        page: &FilePage,
        progress: &mut Progress<'_>,
    ) -> Result<bool, Stop> {
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
            FileNext::CaughtUp(_) => self.end_round(side, progress).await,
            FileNext::More(_) => Ok(true),
            FileNext::Paused(_) => {
                self.note_met(side, progress);
                Ok(true)
            }
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

    /// Notes the records that this job met in the round under way, for the jobs that go on with it. A round within one job
    /// needs no such note, and a quiet one then writes no row.
    pub(super) fn note_met(&mut self, side: Side, progress: &Progress<'_>) {
        if !self.is_polled(side) {
            return;
        }
        let met: Vec<RemoteId> = self.told.drain().collect();
        self.note_round(side, &met, progress);
    }

    fn note_round(&mut self, side: Side, records: &[RemoteId], progress: &Progress<'_>) {
        let round = round_of(side, progress);
        for id in records {
            if let Some(key) = self.tree().by_id(side, id).map(|row| row.key.clone()) {
                self.tree_mut().change(&key, |row| set_listed(row, side, round));
            }
        }
    }

    /// The end of a round: records that it did not tell are deleted, or no longer among those chosen. They are asked about
    /// as far as there is time, and each answer is kept: the next run goes on where this one ends.
    async fn end_round(&mut self, side: Side, progress: &mut Progress<'_>) -> Result<bool, Stop> {
        let round = round_of(side, progress);
        let rest: Vec<RemoteId> = self
            .tree()
            .rows()
            .filter(|row| row.role == Role::Record && row.is_looked_into())
            .filter_map(|row| row.copy(side).filter(|copy| copy.listed < round))
            .map(|copy| copy.id.clone())
            .filter(|id| !self.told.contains(id))
            .collect();
        let port = self.side(side);
        for ids in rest.chunks(ASKED) {
            if progress.budget.spent() {
                self.note_met(side, progress);
                return Ok(false);
            }
            let changes = self.patiently(|| port.records(ids)).await.map_err(|error| stop_for(side, &error))?;
            self.take_in(side, &changes, progress).await?;
            self.note_round(side, ids, progress);
            self.save().await?;
        }
        self.told.clear();
        progress.checkpoint.side_mut(side).rounds += 1;
        // What its losses lead to has waited until all of them are known.
        progress.checkpoint.files.unfinished |= std::mem::take(&mut progress.checkpoint.files.asking);
        Ok(true)
    }
}

/// The number of the round under way.
fn round_of(side: Side, progress: &Progress<'_>) -> u64 {
    progress.checkpoint.side(side).rounds + 1
}
