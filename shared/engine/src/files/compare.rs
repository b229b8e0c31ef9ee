//! Whether two copies have the same bytes, where their sides do not say.
use super::Files;
use crate::session::{Progress, Stop};
use tandem_core::files::entry::{EntryKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::files::row::{Copy, Reading};
use tandem_core::record::{RowKey, Side, Version};
use tandem_ports::error::ConnectorError;
use tandem_ports::files::{CHUNK, EntryRef};

impl Files<'_> {
    /// Reads and hashes what nobody has hashed, and no more than is needed to tell. What one job cannot read the next one
    /// goes on with.
    pub async fn compare(&mut self, key: &RowKey, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let said = |files: &Self, side| files.copy_hashes(key, side).is_some_and(|hashes| !hashes.is_empty());
        let first = if said(self, Side::Left) && !said(self, Side::Right) { Side::Right } else { Side::Left };
        for side in [first, first.other()] {
            let (left, right) = (self.copy_hashes(key, Side::Left), self.copy_hashes(key, Side::Right));
            if left.zip(right).is_some_and(|(left, right)| left.same(&right).is_some()) {
                return Ok(());
            }
            let Some(copy) = self.tree().row(key).and_then(|row| row.copy(side)).cloned() else { return Ok(()) };
            let (Some(entry), Some(size), Some(content)) =
                (self.reference(side, key), copy.size(), copy.content().cloned())
            else {
                return Ok(());
            };
            let mut digests = self.read_before(key, side, &content);
            let read = self.read_to_end(side, (&entry, &content), size, &mut digests, progress).await;
            if digests.len() < size {
                let reading = Reading { side, content, digests: digests.state() };
                self.tree_mut().change(key, |row| row.reading = Some(reading));
                self.keep(progress).await?;
            }
            match read {
                Ok(()) if digests.len() < size => return Err(Stop::OutOfBudget),
                Ok(()) => self.learn(key, side, &digests.hashes()),
                Err(error) => return self.refused(key, side, &error, progress).await,
            }
        }
        Ok(())
    }

    fn copy_hashes(&self, key: &RowKey, side: Side) -> Option<Hashes> {
        self.tree().row(key)?.copy(side).and_then(Copy::hashes).cloned()
    }

    /// What an earlier job has read of these bytes.
    fn read_before(&self, key: &RowKey, side: Side, content: &Version) -> Digests {
        let reading = self.tree().row(key).and_then(|row| row.reading.as_ref());
        let same = reading.filter(|reading| reading.side == side && reading.content == *content);
        same.and_then(|reading| Digests::resume(&reading.digests)).unwrap_or_default()
    }

    /// Reads on until the end, or until time is up.
    async fn read_to_end(
        &self,
        side: Side,
        (entry, content): (&EntryRef, &Version),
        size: u64,
        digests: &mut Digests,
        progress: &Progress<'_>,
    ) -> Result<(), ConnectorError> {
        let port = self.side(side);
        while digests.len() < size && !progress.budget.spent() {
            let at = digests.len();
            digests.update(&port.read(entry, content, at..(at + CHUNK).min(size)).await?);
        }
        Ok(())
    }

    fn learn(&mut self, key: &RowKey, side: Side, whole: &Hashes) {
        self.tree_mut().change(key, |row| {
            row.reading = None;
            let copy = if side == Side::Left { &mut row.left } else { &mut row.right };
            if let Some(EntryKind::File { hashes, .. }) = copy.as_mut().map(|copy| &mut copy.kind) {
                hashes.learn(whole);
            }
        });
    }
}
