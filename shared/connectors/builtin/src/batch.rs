//! A batch of a sync's writes, planned into as few transactions as it fits.
use crate::error::{CrmError, classify};
use crate::ledger::{COMMIT_WEIGHT, Edit};
use crate::record::Record;
use std::collections::HashMap;
use tandem_ports::connector::Outcomes;
use tandem_ports::error::Result;

/// Records looked at for one transaction: more never fit.
pub(crate) const LOOK_AHEAD: usize = 33;

/// Adds what one transaction did to the outcomes of the batch. Before the first one a failure is the whole call's;
/// after it, the remaining records'.
pub(crate) fn collect<T>(
    operation: &'static str,
    wanted: usize,
    outcomes: &mut Outcomes<T>,
    done: Result<Vec<Result<T, CrmError>>, CrmError>,
) -> Result<()> {
    match done {
        Ok(done) => {
            outcomes.extend(done.into_iter().map(|one| one.map_err(|error| classify(operation, error))));
            Ok(())
        }
        Err(error) if outcomes.is_empty() => Err(classify(operation, error)),
        Err(error) => {
            let error = classify(operation, error);
            outcomes.resize_with(wanted, || Err(error.repeated()));
            Ok(())
        }
    }
}

/// What became of one record of the batch while its transaction was planned.
enum Planned<T> {
    /// Decided without a write.
    Done(Result<T, CrmError>),
    /// The record with this id comes out of the commit.
    Written(String),
}

/// A transaction as it is planned.
pub(crate) struct Plan<T> {
    pub(crate) edits: Vec<Edit>,
    weight: usize,
    planned: Vec<Planned<T>>,
}

impl<T> Plan<T> {
    pub(crate) fn new() -> Self {
        Self { edits: Vec::new(), weight: 0, planned: Vec::new() }
    }
    pub(crate) fn fits(&self, edits: &[Edit]) -> bool {
        self.weight + edits.iter().map(Edit::weight).sum::<usize>() <= COMMIT_WEIGHT
    }
    pub(crate) fn write(&mut self, id: String, edits: Vec<Edit>) {
        self.weight += edits.iter().map(Edit::weight).sum::<usize>();
        self.edits.extend(edits);
        self.planned.push(Planned::Written(id));
    }
    pub(crate) fn done(&mut self, done: Result<T, CrmError>) {
        self.planned.push(Planned::Done(done));
    }
    /// The outcomes, once the commit has answered its records.
    pub(crate) fn outcomes(
        self,
        records: &HashMap<String, Record>,
        of: impl Fn(&Record) -> T,
    ) -> Vec<Result<T, CrmError>> {
        let outcome = |planned| match planned {
            Planned::Done(done) => done,
            Planned::Written(id) => records.get(&id).map(&of).ok_or(CrmError::Corrupt),
        };
        self.planned.into_iter().map(outcome).collect()
    }
}

pub(crate) fn by_id(records: Vec<Record>) -> HashMap<String, Record> {
    records.into_iter().map(|record| (record.id.clone(), record)).collect()
}
