//! Reading: what has changed on a side, durable before the cursor moves on.
use super::{Files, seen};
use crate::session::{Progress, Stop, stop_for};
use futures::future::BoxFuture;
use std::time::Duration;
use tandem_core::files::entry::EntryKind;
use tandem_core::files::row::Role;
use tandem_core::record::{RowKey, Side};
use tandem_ports::connector::Cursor;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::{EntryRef, FileChange, FileNext, FolderRef, Listing, Name};
use tandem_store::checkpoint::{Purpose, Stage};

/// Two quick repeats of a read that did not answer.
const QUICK_TRIES: u32 = 3;

impl Files<'_> {
    /// A read with two quick repeats.
    pub async fn patiently<'c, T>(
        &self,
        call: impl Fn() -> BoxFuture<'c, Result<T, ConnectorError>>,
    ) -> Result<T, ConnectorError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match call().await {
                Err(error) if error.kind == ErrorKind::Retryable && tries < QUICK_TRIES => {
                    tracing::warn!(error = %error, "read again");
                    self.engine.clock.sleep(Duration::from_millis(200 << tries)).await;
                }
                other => return other,
            }
        }
    }

    /// Reads a side until it has nothing more to tell.
    pub async fn catch_up(&mut self, side: Side, progress: &mut Progress<'_>) -> Result<(), Stop> {
        while !progress.checkpoint.side(side).caught_up {
            if progress.budget.spent() {
                return Err(Stop::OutOfBudget);
            }
            match progress.checkpoint.side(side).stage.clone() {
                Stage::Listing { page } => self.read_page(side, page.as_ref(), progress).await?,
                Stage::Sweeping { then, .. } => self.sweep(side, then, progress).await?,
                Stage::Following { cursor } => self.read_page(side, Some(&cursor), progress).await?,
            }
        }
        Ok(())
    }

    async fn read_page(&mut self, side: Side, from: Option<&Cursor>, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let port = self.side(side);
        let page = match self.patiently(|| port.changes(from)).await {
            Ok(page) => page,
            Err(error) if error.kind == ErrorKind::CursorExpired => {
                progress.checkpoint.side_mut(side).list_again(Purpose::Read);
                return self.keep(progress).await;
            }
            Err(error) => return Err(stop_for(side, &error)),
        };
        let told = !page.changes.is_empty();
        let listing = matches!(progress.checkpoint.side(side).stage, Stage::Listing { .. });
        if listing && from.is_none() {
            let generation = &mut progress.checkpoint.side_mut(side).generation;
            *generation = (*generation).max(1);
        }
        let polled = self.is_polled(side);
        if told || polled {
            self.load(progress).await?;
            self.take_in(side, &page.changes, progress).await?;
        }
        if polled && !self.poll(side, &page, progress).await? {
            return self.leave_round(side, progress).await;
        }
        let by_folders = port.capabilities().listing == Listing::Folders;
        let unlisted = (told || progress.checkpoint.files.unfinished) && by_folders;
        let mine = progress.checkpoint.side_mut(side);
        let (moved, rest) = match page.next {
            FileNext::CaughtUp(cursor) if polled => (Stage::Following { cursor }, true),
            FileNext::Paused(cursor) => (Stage::Following { cursor }, true),
            FileNext::More(cursor) if polled => (Stage::Following { cursor }, false),
            FileNext::More(cursor) if listing => (Stage::Listing { page: Some(cursor) }, false),
            FileNext::More(cursor) => (Stage::Following { cursor }, false),
            FileNext::CaughtUp(then) if listing => (Stage::Sweeping { after: None, then }, false),
            FileNext::CaughtUp(cursor) => (Stage::Following { cursor }, true),
        };
        let same = mine.stage == moved;
        mine.stage = moved;
        if rest && unlisted {
            // Folders that came by the feed are read before anything is concluded. That may stop half-way, and the cursor
            // has moved on: what the page told is durable first.
            self.load(progress).await?;
            if told {
                progress.checkpoint.files.unfinished = true;
                self.keep(progress).await?;
            }
            self.list_folders(side, progress).await?;
        }
        progress.checkpoint.side_mut(side).caught_up = rest;
        if told || !same {
            progress.checkpoint.files.unfinished |= told || listing;
            self.keep(progress).await?;
        }
        Ok(())
    }

    /// The end of a round takes longer than this job: the feed's cursor stays where it is, and what is known already is
    /// carried out in this run.
    async fn leave_round(&mut self, side: Side, progress: &mut Progress<'_>) -> Result<(), Stop> {
        if self.dry {
            return Err(Stop::OutOfBudget);
        }
        progress.checkpoint.side_mut(side).caught_up = true;
        (progress.checkpoint.files.asking, progress.checkpoint.files.unfinished) = (true, true);
        self.keep(progress).await
    }

    pub(super) async fn take_in(
        &mut self,
        side: Side,
        changes: &[FileChange],
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        let generation = progress.checkpoint.side(side).generation;
        if let Some(run) = progress.checkpoint.run.as_mut() {
            let count = changes.len() as u64;
            run.counts.side(side).read += count;
            run.progress.done += count;
            run.progress.total = run.progress.total.max(run.progress.done);
        }
        let root = self.tree().root(side).clone();
        for change in changes {
            match change {
                FileChange::Upsert(entry) if entry.id == root => {}
                FileChange::Upsert(entry) => {
                    self.tree_mut().observe(side, &seen((**entry).clone()), generation);
                }
                // What was in a root that is gone is not deleted: nothing is removed or made anew because of it.
                FileChange::Gone { id } => {
                    self.check_roots(progress).await?;
                    if *id != root {
                        self.tree_mut().gone(side, id);
                    }
                }
                FileChange::GoneAt { key } => {
                    self.check_roots(progress).await?;
                    self.tree_mut().gone_at(side, key);
                }
                FileChange::Outside { id } => self.tree_mut().outside(side, id),
            }
        }
        Ok(())
    }

    /// Reads what is in folders that were not read in this listing, some at a time.
    async fn list_folders(&mut self, side: Side, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let generation = progress.checkpoint.side(side).generation;
        let port = self.side(side);
        let batch = port.capabilities().children_batch.max(1);
        loop {
            let mut keys = self.tree().unlisted(side, generation);
            keys.truncate(batch);
            if keys.is_empty() {
                return Ok(());
            }
            if progress.budget.spent() {
                return Err(Stop::OutOfBudget);
            }
            let ids: Vec<_> =
                keys.iter().filter_map(|key| self.tree().row(key)?.copy(side).map(|copy| copy.id.clone())).collect();
            let folders: Vec<FolderRef> = ids.iter().map(|id| self.folder(side, Some(id))).collect();
            self.read_children(side, &folders, progress).await?;
            for key in &keys {
                self.tree_mut().change(key, |row| set_listed(row, side, generation));
            }
            progress.checkpoint.files.unfinished = true;
            self.keep(progress).await?;
        }
    }

    async fn read_children(
        &mut self,
        side: Side,
        folders: &[FolderRef],
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        let generation = progress.checkpoint.side(side).generation;
        let port = self.side(side);
        let mut next: Option<Cursor> = None;
        loop {
            let page = self.patiently(|| port.children(folders, next.as_ref())).await;
            let page = page.map_err(|error| stop_for(side, &error))?;
            if let Some(run) = progress.checkpoint.run.as_mut() {
                run.counts.side(side).read += page.entries.len() as u64;
            }
            for entry in page.entries {
                self.tree_mut().observe(side, &seen(entry), generation);
            }
            match page.next {
                Some(cursor) => next = Some(cursor),
                None => return Ok(()),
            }
        }
    }

    /// The end of a listing: folders are read where the feed did not, and what was not shown is looked up.
    async fn sweep(&mut self, side: Side, then: Cursor, progress: &mut Progress<'_>) -> Result<(), Stop> {
        self.load(progress).await?;
        let listing = self.can(side).listing;
        if listing != Listing::Feed {
            if side == Side::Right {
                let root = self.folder(side, None);
                self.read_children(side, &[root], progress).await?;
            }
            self.list_folders(side, progress).await?;
        }
        let generation = progress.checkpoint.side(side).generation;
        let missed: Vec<RowKey> = self.tree().unseen(side, generation);
        for some in missed.chunks(self.can(side).batch.max(1)) {
            if progress.budget.spent() {
                return Err(Stop::OutOfBudget);
            }
            self.look_again(side, some, generation).await?;
            self.leave_out(side, some);
        }
        let mine = progress.checkpoint.side_mut(side);
        mine.stage = Stage::Following { cursor: then };
        mine.caught_up = true;
        self.keep(progress).await
    }

    /// Reads entries directly: one that is there is taken in, one that is not is gone.
    pub async fn look_again(&mut self, side: Side, keys: &[RowKey], generation: u64) -> Result<(), Stop> {
        let keys: Vec<RowKey> = keys.iter().filter(|key| self.reference(side, key).is_some()).cloned().collect();
        let refs: Vec<EntryRef> = keys.iter().filter_map(|key| self.reference(side, key)).collect();
        if refs.is_empty() {
            return Ok(());
        }
        let port = self.side(side);
        let found = self.patiently(|| port.get(&refs)).await.map_err(|error| stop_for(side, &error))?;
        for (entry, reference) in found.into_iter().zip(&refs) {
            match entry {
                None => self.tree_mut().gone(side, &reference.id),
                Some(entry) => drop(self.tree_mut().observe(side, &seen(entry), generation)),
            }
        }
        Ok(())
    }

    /// Records that a complete listing did not show and that are there all the same: not among those chosen.
    fn leave_out(&mut self, side: Side, missed: &[RowKey]) {
        for key in missed {
            let row = self.tree().row(key).filter(|row| row.role == Role::Record && side == Side::Left);
            let Some(copy) = row.and_then(|row| row.copy(side)) else { continue };
            if matches!(copy.kind, EntryKind::Record { .. }) {
                let id = copy.id.clone();
                self.tree_mut().outside(side, &id);
            }
        }
    }

    /// An entry as the object of a call; also one that we think is gone, where both once agreed on it.
    pub fn reference(&self, side: Side, key: &RowKey) -> Option<EntryRef> {
        let row = self.tree().row(key)?;
        let (id, parent, name) = match (row.copy(side), &row.base) {
            (Some(copy), _) => (copy.id.clone(), copy.parent.clone(), copy.name.clone()),
            (None, Some(base)) => {
                let agreed = base.side(side);
                (agreed.id.clone(), agreed.parent.clone(), agreed.name.clone())
            }
            (None, None) => return None,
        };
        if row.role == Role::Module && side == Side::Left {
            return None;
        }
        Some(EntryRef { id, parent: self.folder(side, parent.as_ref()), name: Name(name) })
    }
}

pub(super) fn set_listed(row: &mut tandem_core::files::row::FileRow, side: Side, generation: u64) {
    let copy = if side == Side::Left { &mut row.left } else { &mut row.right };
    if let Some(copy) = copy {
        copy.listed = generation;
    }
}
