//! A batch of a sync's writes, planned into as few transactions as it fits.
use crate::error::{CrmError, classify};
use crate::ledger::{COMMIT_WEIGHT, Edit, Ledger, Tries};
use crate::record::Record;
use crate::schema::Kind;
use futures::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use tandem_core::record::RemoteId;
use tandem_ports::connector::{Deletion, Outcomes, Patch};
use tandem_ports::error::Result;

/// Records looked at for one transaction: more never fit.
pub(crate) const LOOK_AHEAD: usize = 33;

/// What the records of one transaction came to, in their order.
pub(crate) type Answers<T> = std::result::Result<Vec<std::result::Result<T, CrmError>>, CrmError>;

/// Works through a batch by `some`, which answers the first items of what it is given: as many as fit one transaction.
pub(crate) async fn in_transactions<'a, I: Sync, T: Send>(
    operation: &'static str,
    items: &'a [I],
    some: impl Fn(&'a [I]) -> BoxFuture<'a, Answers<T>> + Send + Sync,
) -> Result<Outcomes<T>> {
    let mut outcomes = Vec::with_capacity(items.len());
    while outcomes.len() < items.len() {
        let done = some(&items[outcomes.len()..]).await;
        collect(operation, items.len(), &mut outcomes, done)?;
    }
    Ok(outcomes)
}

/// The records that carry these markers, by marker. A mark may outlive its record, or point to one that was marked anew.
pub(crate) async fn marked(
    ledger: &Ledger,
    markers: &[&str],
    carries: impl Fn(&Record, &str) -> bool + Send,
) -> std::result::Result<HashMap<String, Record>, CrmError> {
    let found = ledger.marked(markers).await?;
    let pairs: Vec<(&str, String)> =
        markers.iter().zip(found).filter_map(|(marker, id)| Some((*marker, id?))).collect();
    let ids: Vec<&str> = pairs.iter().map(|(_, id)| id.as_str()).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let records = ledger.records(&ids).await?.into_iter();
    let live = pairs.iter().zip(records).filter_map(|((marker, _), record)| {
        let record = record.filter(|record| carries(record, marker))?;
        Some(((*marker).to_owned(), record))
    });
    Ok(live.collect())
}

/// What is to be done to a record that is there.
pub(crate) trait Aimed: Sync {
    /// Which record.
    fn id(&self) -> &RemoteId;
}

impl Aimed for Patch {
    fn id(&self) -> &RemoteId {
        &self.id
    }
}

impl Aimed for Deletion {
    fn id(&self) -> &RemoteId {
        &self.id
    }
}

/// What becomes of a record.
pub(crate) enum Decision<T> {
    /// Nothing is written.
    Is(T),
    /// This is.
    Write(Edit),
}

/// A record that has files is not deleted by a sync: they would go with it, nobody at the other side knows of them, and an
/// undo could not bring them back. A person may.
pub(crate) async fn keep_files(ledger: &Ledger, record: &Record) -> std::result::Result<(), CrmError> {
    let has_files = Kind::WITH_FILES.contains(&record.kind) && !ledger.inside(&record.id, None, 1).await?.0.is_empty();
    if has_files {
        return Err(CrmError::refused("It has files in the CRM, and they would go with it: delete it there."));
    }
    Ok(())
}

/// Decides on the first of these records, as many as fit one transaction, as they are now; `of` answers for what was
/// written.
pub(crate) async fn change_some<I: Aimed, T>(
    ledger: &Ledger,
    items: &[I],
    decide: impl Fn(&I, Option<Record>) -> std::result::Result<Decision<T>, CrmError> + Send + Sync,
    of: impl Fn(&Record) -> T + Send + Sync,
) -> Answers<T> {
    let items = &items[..items.len().min(LOOK_AHEAD)];
    let ids: Vec<&str> = items.iter().map(|item| item.id().as_str()).collect();
    let mut tries = Tries::new();
    loop {
        let head = ledger.head().await?;
        let records = ledger.records(&ids).await?;
        let mut plan = Plan::new();
        let mut taken: HashSet<&str> = HashSet::new();
        for (item, record) in items.iter().zip(records) {
            let id = item.id().as_str();
            // The same record twice: the second is held against the first one's version.
            if !taken.insert(id) {
                break;
            }
            let mut decided = decide(item, record);
            if let Ok(Decision::Write(Edit::Remove { before })) = &decided
                && let Err(refused) = keep_files(ledger, before).await
            {
                decided = Err(refused);
            }
            match decided {
                Ok(Decision::Is(answer)) => plan.done(Ok(answer)),
                Ok(Decision::Write(edit)) => {
                    let edits = vec![edit];
                    if !plan.fits(&edits) {
                        break;
                    }
                    plan.write(id.to_owned(), edits);
                }
                Err(error) => plan.done(Err(error)),
            }
        }
        if let Some(records) = ledger.commit(&head, std::mem::take(&mut plan.edits)).await? {
            return Ok(plan.outcomes(&by_id(records), of));
        }
        tries.again(ledger.clock.as_ref()).await?;
    }
}

/// Adds what one transaction did to the outcomes of the batch. Before the first one a failure is the whole call's;
/// after it, the remaining records'.
fn collect<T>(
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
