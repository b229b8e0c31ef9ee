//! Grey blocks of a CRM that keeps none: records of the calendar's that Tandem shows, and carries to the CRM once a person
//! makes a meeting of them. A block is a row like any other, so it holds no value; its title is read when it is shown, and
//! only to the user whose calendar it is in.
use crate::desk::conflict;
use crate::{Engine, EngineError};
use tandem_core::plan::Reason;
use tandem_core::record::{RowKey, RunId};
use tandem_ports::infra::Trigger;
use tandem_store::link::{Row, RowChange, RowState};
use tandem_store::sync::Sync;

const CODE: &str = "grey_block";

/// Why a block is not in the CRM.
pub(crate) fn grey() -> Reason {
    Reason::new(CODE, "A grey block: it is in the calendar alone until you make it a meeting.")
}

/// Also one that was converted while a run was under way and did not get further.
fn is_block(row: &Row) -> bool {
    row.base.is_none() && row.left.is_none() && row.reason.as_ref().is_some_and(|reason| reason.code == CODE)
}

impl Engine {
    /// Makes a meeting of a block: starts a run that carries it to the CRM. From then on the two are linked.
    pub async fn convert_block(&self, sync: &Sync, key: &RowKey) -> Result<RunId, EngineError> {
        self.may_start(sync, Trigger::Manual)?;
        let found = self.store.rows_by_key(&sync.id, std::slice::from_ref(key)).await?.pop().flatten();
        let Some(row) = found.filter(is_block) else {
            return Err(conflict("no_block", "This record is no grey block (any more)."));
        };
        let converted = Row { converted: true, state: RowState::Unpaired, ..row.clone() };
        self.store.save_rows(&sync.id, &[RowChange { before: Some(row), after: Some(converted) }]).await?;
        self.amend(sync, |checkpoint| checkpoint.candidates = true).await?;
        self.enqueue_run(sync, Trigger::Manual).await
    }
}
