//! After a crash between a create and its link: what was made all the same is found by its marker and linked.
use crate::pipeline::stop_of;
use crate::session::{Session, Stop};
use tandem_core::record::{Marker, RowKey, Side};
use tandem_store::checkpoint::Intent;
use tandem_store::lease::Lease;
use tandem_store::link::{Row, RowChange, RowState};

impl Session<'_> {
    /// Settles the intents that an earlier holder left open, before anything else is done.
    pub async fn recover(&self, lease: &mut Lease) -> Result<(), Stop> {
        if lease.open_intents <= 0 {
            return Ok(());
        }
        let intents = self.engine.store.intents(&self.sync.id).await?;
        for side in [Side::Left, Side::Right] {
            self.recover_side(side, intents.iter().filter(|intent| intent.side == side)).await?;
        }
        let numbers: Vec<u64> = intents.iter().map(|intent| intent.number).collect();
        self.engine.store.clear_intents(lease, &numbers).await?;
        lease.open_intents = 0;
        Ok(())
    }

    async fn recover_side(&self, side: Side, intents: impl Iterator<Item = &Intent>) -> Result<(), Stop> {
        let mut creates: Vec<&(Marker, RowKey)> = intents.flat_map(|intent| &intent.creates).collect();
        creates.sort();
        creates.dedup();
        let keys: Vec<RowKey> = creates.iter().map(|(_, key)| key.clone()).collect();
        if creates.is_empty() {
            return Ok(());
        }
        let rows = self.engine.store.rows_by_key(&self.sync.id, &keys).await?;
        let markers: Vec<Marker> = creates.iter().map(|(marker, _)| marker.clone()).collect();
        let connector = self.connector(side);
        let found = self.patiently(side, || connector.find_marked(&markers)).await.map_err(stop_of)?;
        let mut changes = Vec::new();
        for ((marker, key), before) in creates.into_iter().zip(rows) {
            let copies: Vec<_> = found.iter().filter(|copy| copy.marker.as_ref() == Some(marker)).collect();
            let linked = before.as_ref().and_then(|row| row.id(side));
            // Linked meanwhile: the crash was after the link. A row may also lead to a copy that was deleted and is
            // being put back; then the marked copy is the new one.
            let Some(copy) = copies.first().filter(|_| copies.iter().all(|copy| Some(&copy.id) != linked)) else {
                continue;
            };
            let Some(mut row) = before.clone().or_else(|| self.row_of(side.other(), key)) else { continue };
            match side {
                Side::Left => row.left = Some(copy.id.clone()),
                Side::Right => row.right = Some(copy.id.clone()),
            }
            row.made_on = Some(side);
            row.base = None;
            row.state = RowState::InSync;
            row.reason = None;
            changes.push(RowChange { before, after: Some(row) });
        }
        self.engine.store.save_rows(&self.sync.id, &changes).await?;
        Ok(())
    }

    /// The row of a record that had none yet: its key is made of its origin's id.
    fn row_of(&self, origin: Side, key: &RowKey) -> Option<Row> {
        let id = key.as_str().strip_prefix(origin.word())?.strip_prefix(':')?;
        Some(Row::first_seen(origin, &tandem_core::record::RemoteId::new(id)))
    }
}
