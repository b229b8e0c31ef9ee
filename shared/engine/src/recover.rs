//! After a crash between a create and its link: what was made all the same is found by its marker and linked.
use crate::pipeline::stop_of;
use crate::session::{Session, Stop};
use std::collections::HashMap;
use tandem_core::record::{Marker, RemoteId, RowKey, Side};
use tandem_ports::connector::{Draft, Fetched};
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
        let drafts = self.drafts_again(side, &creates, &rows).await?;
        let connector = self.connector(side);
        let found = self.patiently(side, || connector.find_made(&drafts)).await.map_err(stop_of)?;
        let mut changes = Vec::new();
        for ((marker, key), before) in creates.into_iter().zip(rows) {
            let copies: Vec<&Fetched> = found.iter().filter(|(of, _)| of == marker).map(|(_, copy)| copy).collect();
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

    /// What was about to be created: the records that the drafts were made of, as they are now.
    async fn drafts_again(
        &self,
        side: Side,
        creates: &[&(Marker, RowKey)],
        rows: &[Option<Row>],
    ) -> Result<Vec<Draft>, Stop> {
        let origin = side.other();
        let id = |(create, row): (&&(Marker, RowKey), &Option<Row>)| {
            let row = row.clone().or_else(|| self.row_of(origin, &create.1))?;
            row.id(origin).cloned()
        };
        let ids: Vec<Option<RemoteId>> = creates.iter().zip(rows).map(id).collect();
        // Where our marker is kept, what the record says is not needed to find it again.
        let known: Vec<RemoteId> = match self.connector(side).capabilities().keeps_markers {
            true => Vec::new(),
            false => ids.iter().flatten().cloned().collect(),
        };
        let read = self.fetch(origin, &known).await.map_err(stop_of)?;
        let read: HashMap<RemoteId, Option<Fetched>> = known.into_iter().zip(read).collect();
        let draft = |(create, id): (&&(Marker, RowKey), &Option<RemoteId>)| {
            let copy = id.as_ref().and_then(|id| read.get(id)).and_then(Option::as_ref);
            let fields = copy.map(|copy| self.policy.to_side(side, &self.mapped(origin, &copy.fields)));
            Draft { marker: create.0.clone(), fields: fields.unwrap_or_default() }
        };
        Ok(creates.iter().zip(&ids).map(draft).collect())
    }

    /// The row of a record that had none yet: its key is made of its origin's id.
    fn row_of(&self, origin: Side, key: &RowKey) -> Option<Row> {
        let id = key.as_str().strip_prefix(origin.word())?.strip_prefix(':')?;
        Some(Row::first_seen(origin, &tandem_core::record::RemoteId::new(id)))
    }
}
