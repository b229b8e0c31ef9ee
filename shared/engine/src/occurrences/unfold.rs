//! What was told of a series completely, held against what is linked.
use super::{Span, Told, view};
use crate::session::{ReadFailure, Session};
use std::collections::{BTreeMap, HashMap, HashSet};
use tandem_core::record::{RemoteId, Scope, Side};
use tandem_ports::connector::{Change, ChangePage};
use tandem_store::keys;
use tandem_store::link::Row;

/// Rows that go on under another id of the remote side: the record that the rule now puts elsewhere.
pub(crate) type Heirs = HashMap<RemoteId, Row>;

impl Session<'_> {
    /// Linked records of a series that were not told are looked up. Those that are gone give their place, in order, to
    /// occurrences that are new, so that a rule change moves the CRM's records; the rest are tombstones.
    pub(crate) async fn unfold(&self, told: Told) -> Result<(ChangePage, Heirs), ReadFailure> {
        let Told { mut page, spans } = told;
        let gone = self.gone(&spans, &mut page.changes).await?;
        if gone.is_empty() {
            return Ok((page, Heirs::new()));
        }
        let mut fresh = self.unknown(&page.changes).await?;
        let mut heirs = Heirs::new();
        for (series, row) in gone {
            let Some(old) = row.right.clone() else { continue };
            let heir = fresh.get_mut(&series).filter(|_| row.is_linked()).and_then(Vec::pop);
            match heir {
                Some(new) => {
                    heirs.insert(new, row);
                }
                None => page.changes.push(Change::Tombstone { id: old }),
            }
        }
        Ok((page, heirs))
    }

    /// Rows of these spans whose record is proved to be gone, in the order of their ids. What is there after all is told.
    async fn gone(&self, spans: &[Span], changes: &mut Vec<Change>) -> Result<Vec<(RemoteId, Row)>, ReadFailure> {
        let shown: HashSet<RemoteId> = changes.iter().filter_map(told_id).cloned().collect();
        let store = &self.engine.store;
        let mut series: Vec<RemoteId> = spans.iter().map(|span| span.series.clone()).collect();
        series.dedup();
        let own = store.rows_by_id(&self.sync.id, Side::Right, &series).await?;
        let own: HashMap<&RemoteId, Option<Row>> = series.iter().zip(own).collect();
        let mut lost: Vec<(RemoteId, Row)> = Vec::new();
        for span in spans {
            let own = own.get(&span.series).and_then(Option::as_ref);
            lost.extend(own.filter(|_| !shown.contains(&span.series)).map(|row| (span.series.clone(), row.clone())));
            // What is known as a single appointment has no occurrences.
            if own.is_none_or(|row| row.base.is_none()) {
                let prefix = view::prefix(&span.series);
                let within = (&span.after, &span.up_to);
                let rows = store.rows_between(&self.sync.id, Side::Right, &prefix, within).await?;
                let unseen = rows.into_iter().filter(|row| row.right.as_ref().is_some_and(|id| !shown.contains(id)));
                lost.extend(unseen.map(|row| (span.series.clone(), row)));
            }
        }
        let ids: Vec<RemoteId> = lost.iter().filter_map(|(_, row)| row.right.clone()).collect();
        let copies = self.fetch(Side::Right, &ids).await?;
        let mut gone = Vec::new();
        for (lost, copy) in lost.into_iter().zip(copies) {
            match copy {
                None => gone.push(lost),
                Some(copy) if copy.scope == Scope::Inside => changes.push(Change::Upsert(Box::new(copy))),
                // It has left the window at the back, or the calendar is out of reach: it stays as it is.
                Some(_) => {}
            }
        }
        Ok(gone)
    }

    /// Told records that no row is known of, by series, the first one last.
    async fn unknown(&self, changes: &[Change]) -> Result<BTreeMap<RemoteId, Vec<RemoteId>>, ReadFailure> {
        let ids: Vec<RemoteId> = changes.iter().filter_map(told_id).cloned().collect();
        let rows = self.engine.store.rows_by_id(&self.sync.id, Side::Right, &ids).await?;
        let mut fresh: BTreeMap<RemoteId, Vec<RemoteId>> = BTreeMap::new();
        for (id, _) in ids.into_iter().zip(rows).filter(|(_, row)| row.is_none()).rev() {
            let series = view::split(&id).map_or_else(|| id.clone(), |(series, _)| series);
            fresh.entry(series).or_default().push(id);
        }
        Ok(fresh)
    }
}

/// The row of a record that is now at another id.
pub(crate) fn inherited(old: &Row, id: &RemoteId) -> Row {
    // A key that names the old id would be in the way of the record that comes to be there again.
    let key = match keys::first_seen(&old.key, Side::Right) {
        true => keys::row_key(Side::Right, id),
        false => old.key.clone(),
    };
    Row { key, right: Some(id.clone()), ..old.clone() }
}

fn told_id(change: &Change) -> Option<&RemoteId> {
    match change {
        Change::Upsert(fetched) => Some(&fetched.id),
        Change::Tombstone { .. } | Change::Seen { .. } | Change::Unreadable { .. } => None,
    }
}
