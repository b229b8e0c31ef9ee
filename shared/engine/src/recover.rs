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
        let rows = self.engine.store.rows_by_key(&self.sync.id, &keys).await?;
        // Linked meanwhile: the crash was after the link.
        let unlinked: Vec<(&Marker, &RowKey, Option<Row>)> = creates
            .into_iter()
            .zip(rows)
            .filter(|(_, row)| row.as_ref().is_none_or(|row| row.id(side).is_none()))
            .map(|((marker, key), row)| (marker, key, row))
            .collect();
        if unlinked.is_empty() {
            return Ok(());
        }
        let markers: Vec<Marker> = unlinked.iter().map(|(marker, _, _)| (*marker).clone()).collect();
        let connector = self.connector(side);
        let found = self.patiently(side, async || connector.find_marked(&markers).await).await.map_err(stop_of)?;
        let mut changes = Vec::new();
        for (marker, key, before) in unlinked {
            let Some(copy) = found.iter().find(|copy| copy.marker.as_ref() == Some(marker)) else { continue };
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
