//! After a crash between a create and its link: what was made all the same is found again and linked.
use crate::pipeline::stop_of;
use crate::session::{Session, Stop};
use std::collections::HashSet;
use tandem_core::record::{Fields, Marker, RemoteId, RowKey, Side};
use tandem_ports::connector::{Draft, Fetched};
use tandem_store::StoreError;
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
            let mut drafts = Vec::new();
            for intent in intents.iter().filter(|intent| intent.side == side) {
                drafts.extend(self.drafts_of(intent).await?);
            }
            self.recover_side(side, drafts).await?;
        }
        let numbers: Vec<u64> = intents.iter().map(|intent| intent.number).collect();
        self.engine.store.clear_intents(lease, &numbers).await?;
        lease.open_intents = 0;
        Ok(())
    }

    /// What an intent was about to create, with the row of each. What the records say is known only where it is needed.
    async fn drafts_of(&self, intent: &Intent) -> Result<Vec<(Draft, RowKey)>, Stop> {
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| Stop::Broken(StoreError::Unavailable(error));
        let mut fields: Vec<Fields> = match &intent.drafts {
            Some(sealed) => {
                let plain = self.engine.secrets.open(&self.owner(), sealed).await.map_err(|e| broken(Box::new(e)))?;
                serde_json::from_slice(&plain).map_err(|error| broken(Box::new(error)))?
            }
            None => Vec::new(),
        };
        fields.resize_with(intent.creates.len(), Fields::new);
        let draft = |((marker, key), fields): (&(Marker, RowKey), Fields)| {
            (Draft { marker: marker.clone(), fields }, key.clone())
        };
        Ok(intent.creates.iter().zip(fields).map(draft).collect())
    }

    async fn recover_side(&self, side: Side, mut creates: Vec<(Draft, RowKey)>) -> Result<(), Stop> {
        creates.sort_by(|(a, k), (b, l)| (&a.marker, k).cmp(&(&b.marker, l)));
        creates.dedup_by(|(a, k), (b, l)| (&a.marker, &*k) == (&b.marker, &*l));
        if creates.is_empty() {
            return Ok(());
        }
        let keys: Vec<RowKey> = creates.iter().map(|(_, key)| key.clone()).collect();
        let rows = self.engine.store.rows_by_key(&self.sync.id, &keys).await?;
        let drafts: Vec<Draft> = creates.iter().map(|(draft, _)| draft.clone()).collect();
        let connector = self.connector(side);
        let found = self.patiently(side, || connector.find_made(&drafts)).await.map_err(stop_of)?;
        // A record that another row leads to was not made of this draft, however alike the two are.
        let ids: Vec<RemoteId> = found.iter().map(|(_, copy)| copy.id.clone()).collect();
        let known = self.engine.store.rows_by_id(&self.sync.id, side, &ids).await?;
        let mut taken: HashSet<RemoteId> = HashSet::new();
        let mut changes = Vec::new();
        for ((draft, key), before) in creates.into_iter().zip(rows) {
            let of_draft = found.iter().zip(&known).filter(|((of, _), _)| *of == draft.marker);
            let copies: Vec<(&Fetched, bool)> =
                of_draft.map(|((_, copy), row)| (copy, row.as_ref().is_some_and(|row| row.key != key))).collect();
            let linked = before.as_ref().and_then(|row| row.id(side));
            // Linked meanwhile: the crash was after the link. A row may also lead to a copy that was deleted and is
            // being put back; then the marked copy is the new one.
            if copies.iter().any(|(copy, _)| Some(&copy.id) == linked) {
                continue;
            }
            let free = copies.iter().find(|(copy, others)| !others && !taken.contains(&copy.id));
            let Some((copy, _)) = free else { continue };
            let Some(mut row) = before.clone().or_else(|| self.row_of(side.other(), &key)) else { continue };
            taken.insert(copy.id.clone());
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
        Some(Row::first_seen(origin, &RemoteId::new(id)))
    }
}
