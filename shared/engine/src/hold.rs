//! A run that would delete too much is held whole: nothing of it is carried out until a person confirms.
use crate::prepare::Page;
use crate::session::{ReadFailure, Session, Stop, Task, next_task};
use std::collections::HashSet;
use tandem_core::guard;
use tandem_core::record::RowKey;
use tandem_store::checkpoint::Checkpoint;
use tandem_store::link::RowState;

impl Session<'_> {
    /// Holds the page, and with it the run, when all deletions together pass the limit.
    pub async fn guard(
        &self,
        checkpoint: &Checkpoint,
        page: &Page,
        number: u64,
        waiting: &HashSet<RowKey>,
    ) -> Result<(), ReadFailure> {
        let mut deletes = self.held(waiting).await?;
        for item in &page.items {
            // Held before, and perhaps to be kept after all.
            deletes.remove(&item.row.key);
            if item.step.deletes() {
                deletes.insert(item.row.key.clone());
            }
        }
        let deletes = deletes.len() as u64;
        let linked = self.linked().await?;
        match guard::judge(deletes, linked, self.policy.max_delete_percent, checkpoint.confirmed) {
            guard::Verdict::Pass => Ok(()),
            guard::Verdict::Hold { allowed, .. } => {
                let mut held = self.held(waiting).await?;
                self.hold_the_rest(checkpoint, page, number, &mut held).await?;
                Err(Stop::Held { deletes: held.len() as u64, allowed }.into())
            }
        }
    }

    /// Nothing more is carried out in a run that is held. The rest of its pages is only read, so that what a person is
    /// asked to confirm is all of it: the rows go into `held`.
    async fn hold_the_rest(
        &self,
        checkpoint: &Checkpoint,
        page: &Page,
        number: u64,
        held: &mut HashSet<RowKey>,
    ) -> Result<(), ReadFailure> {
        let mut ahead = checkpoint.clone();
        held.extend(self.note_held(page).await?);
        page.advance.apply(&mut ahead);
        while let Some(task) = next_task(&ahead, &[]).filter(|task| *task != Task::Retire) {
            if self.budget.spent() {
                break;
            }
            let page = self.read_page(&task, &ahead, number).await?;
            held.extend(self.note_held(&page).await?);
            page.advance.apply(&mut ahead);
        }
        Ok(())
    }

    async fn note_held(&self, page: &Page) -> Result<Vec<RowKey>, ReadFailure> {
        if self.dry.is_none() {
            self.mark_held(page).await?;
        }
        let deletes = page.items.iter().filter(|item| item.step.deletes());
        Ok(deletes.map(|item| item.row.key.clone()).collect())
    }

    /// Rows whose deletion waits, durable or still in flow.
    async fn held(&self, waiting: &HashSet<RowKey>) -> Result<HashSet<RowKey>, ReadFailure> {
        let mut held = waiting.clone();
        let mut after = None;
        loop {
            let (rows, next) =
                self.engine.store.rows_in_state(&self.sync.id, RowState::Held, after.as_ref(), 1000).await?;
            held.extend(rows.into_iter().map(|row| row.key));
            match next {
                Some(next) => after = Some(next),
                None => return Ok(held),
            }
        }
    }

    /// How many records are linked now. Counted only when something is to be deleted.
    async fn linked(&self) -> Result<u64, ReadFailure> {
        if let Some(count) = *self.linked.lock().expect("not poisoned") {
            return Ok(count);
        }
        let (mut count, mut after) = (0, None);
        loop {
            let (rows, more) = self.engine.store.rows(&self.sync.id, after.as_ref(), 2000).await?;
            count += rows.iter().filter(|row| row.is_linked()).count() as u64;
            after = rows.last().map(|row| row.key.clone());
            if !more {
                *self.linked.lock().expect("not poisoned") = Some(count);
                return Ok(count);
            }
        }
    }
}
