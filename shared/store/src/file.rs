//! Rows of files and folders. A sync's tree is read and kept whole by its worker; here are only its pieces.
use crate::convert::{item, read};
use crate::link::{RowState, range};
use crate::{Store, StoreError, keys};
use serde_json::json;
use tandem_core::files::row::FileRow;
use tandem_core::plan::Reason;
use tandem_core::record::{RowKey, SyncId};
use tandem_ports::table::Write;

/// How a file's row is, and why.
pub fn file_state(row: &FileRow) -> (RowState, Option<&Reason>) {
    if row.held {
        return (RowState::Held, None);
    }
    if let Some(failure) = &row.failure {
        return (RowState::Failing, Some(&failure.reason));
    }
    match row.excluded.as_ref().or(row.let_go.as_ref()) {
        Some(reason) => (RowState::Excluded, Some(reason)),
        None => (RowState::InSync, None),
    }
}

/// A row as it shall be, and how it was listed.
#[derive(Clone, Debug)]
pub struct FileRowChange {
    /// Which row.
    pub key: RowKey,
    /// The state that it is listed under now.
    pub before: RowState,
    /// As it shall be; `None` forgets it.
    pub after: Option<FileRow>,
}

impl Store {
    /// All rows of a files sync: about 3,000 a request.
    pub async fn file_rows(&self, sync: &SyncId) -> Result<Vec<FileRow>, StoreError> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = self.table.query(&range(sync, "file:".into(), after, 10_000)).await?;
            after = page.items.last().map(|item| item.key.sk.clone());
            for found in page.items {
                rows.push(read("file row", found)?);
            }
            if !page.more {
                return Ok(rows);
            }
        }
    }

    /// A page of the rows of files, in the order of their keys; those in one state where one is named.
    pub async fn file_page(
        &self,
        sync: &SyncId,
        state: Option<RowState>,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<(Vec<FileRow>, Option<RowKey>), StoreError> {
        let Some(state) = state.filter(|state| *state != RowState::InSync) else {
            let after = after.map(|key| keys::file(sync, key).sk);
            let page = self.table.query(&range(sync, "file:".into(), after, limit)).await?;
            let more = page.more;
            let rows: Vec<FileRow> =
                page.items.into_iter().map(|found| read("file row", found)).collect::<Result<_, _>>()?;
            let next = rows.last().map(|row| row.key.clone()).filter(|_| more);
            return Ok((
                rows.into_iter().filter(|row| state.is_none_or(|state| file_state(row).0 == state)).collect(),
                next,
            ));
        };
        let prefix = format!("state:{}:", state.word());
        let after = after.map(|key| keys::state(sync, state.word(), key).sk);
        let page = self.table.query(&range(sync, prefix.clone(), after, limit)).await?;
        let listed: Vec<RowKey> =
            page.items.iter().filter_map(|item| item.key.sk.strip_prefix(&prefix).map(RowKey::new)).collect();
        let wanted: Vec<_> = listed.iter().map(|key| keys::file(sync, key)).collect();
        let found = self.get(&wanted).await?.into_iter().flatten();
        let rows = found.map(|found| read("file row", found)).collect::<Result<_, _>>()?;
        Ok((rows, listed.last().cloned().filter(|_| page.more)))
    }

    /// Writes rows of files, and what lists them by state. Replaying it changes nothing.
    pub async fn save_files(&self, sync: &SyncId, changes: &[FileRowChange]) -> Result<(), StoreError> {
        let (mut puts, mut rows, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            let state = change.after.as_ref().map_or(RowState::InSync, |row| file_state(row).0);
            if state != RowState::InSync {
                puts.push(Write::Put(item(keys::state(sync, state.word(), &change.key), &json!({}))));
            }
            if change.before != RowState::InSync && change.before != state {
                deletes.push(Write::Delete(keys::state(sync, change.before.word(), &change.key)));
            }
            rows.push(match &change.after {
                Some(row) => Write::Put(item(keys::file(sync, &change.key), row)),
                None => Write::Delete(keys::file(sync, &change.key)),
            });
        }
        // What leads to a row is there before the row, and goes after it.
        for wave in [puts, rows, deletes] {
            self.write_wave(wave).await?;
        }
        Ok(())
    }
}
