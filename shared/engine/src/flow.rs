//! What is between reading and the last commit: open pages, records that wait to be written, and what is finished.
use crate::changelog::Change;
use crate::execute::Batch;
use crate::prepare::{Advance, Item, Page};
use crate::session::{Stop, Task, next_task};
use crate::settle::Settled;
use std::collections::{HashMap, HashSet, VecDeque};
use tandem_core::record::{ContainerId, RemoteId, RowKey, Side};
use tandem_core::reduce::Counts;
use tandem_store::checkpoint::{Checkpoint, Stage};
use tandem_store::link::RowChange;

/// Records waiting to be written beyond which no further page is read: bounds the memory of a session.
const READ_AHEAD: usize = 800;

/// A page whose records are not all durable yet.
pub(crate) struct OpenPage {
    pub number: u64,
    pub records: usize,
    pub open: usize,
    pub advance: Advance,
    pub counts: Counts,
    pub done: u64,
    pub total: Option<u64>,
    pub seen: Option<(Side, Vec<RemoteId>)>,
    pub waits: bool,
    pub candidate: bool,
    pub retry: bool,
}

/// Finished records that are not committed yet.
#[derive(Default)]
pub(crate) struct Finished {
    pub rows: Vec<RowChange>,
    pub changes: Vec<Change>,
    pub intents: Vec<u64>,
    pub identities: Vec<String>,
}

/// What is between reading and the last commit.
pub(crate) struct Flow {
    pub pages: VecDeque<OpenPage>,
    pub ready: Vec<Item>,
    pub finished: Finished,
    /// Where reading goes on: the checkpoint as it will be when everything in flow is durable.
    pub ahead: Checkpoint,
    pub next_page: u64,
    /// Where this session began.
    pub first_page: u64,
    /// No further page is read: there is time only for what is in flow.
    pub winding_down: bool,
    /// Records written on the CRM and on the remote side in this run, with those in flow: for the vendor's limits.
    pub carried: [u64; 2],
    /// What the vendor's limits leave for the next run.
    pub put_off: Vec<Task>,
    pub stop: Option<Stop>,
    /// The next batch, its intent written.
    pub staged: Option<Batch>,
    /// Records of each open intent that are not finished yet.
    pub open_intents: HashMap<u64, usize>,
    /// Rows whose deletion was put off in this session.
    pub waits: HashSet<RowKey>,
    /// What is being read.
    pub reading: Option<Task>,
    /// A side whose cursor is dead.
    pub relist: Option<(Side, String)>,
    /// A container that takes the place of one that is gone.
    pub container: Option<ContainerId>,
    /// A page clashed with what is in flow: empty it before reading on.
    pub drain_first: bool,
}

impl OpenPage {
    pub fn of(number: u64, page: &Page) -> OpenPage {
        OpenPage {
            number,
            records: page.items.len(),
            open: page.items.len(),
            advance: page.advance.clone(),
            counts: page.counts,
            done: page.done,
            total: page.total,
            seen: page.seen.clone(),
            waits: false,
            candidate: false,
            retry: false,
        }
    }

    pub fn is_quiet(&self) -> bool {
        self.records == 0
            && self.seen.is_none()
            && !matches!(self.advance, Advance::Side { stage: Stage::Listing { .. }, .. })
    }
}

impl Flow {
    pub fn new(checkpoint: &Checkpoint, carried: [u64; 2]) -> Flow {
        Flow {
            pages: VecDeque::new(),
            ready: Vec::new(),
            finished: Finished::default(),
            ahead: checkpoint.clone(),
            next_page: checkpoint.pages,
            first_page: checkpoint.pages,
            winding_down: false,
            carried,
            put_off: Vec::new(),
            stop: None,
            staged: None,
            open_intents: HashMap::new(),
            waits: HashSet::new(),
            reading: None,
            relist: None,
            container: None,
            drain_first: false,
        }
    }

    /// Whether another page may be read: enough is in flow, or the flow must empty first, or it is to end.
    pub fn wants_page(&self) -> bool {
        let waiting = self.ready.len() + self.staged.as_ref().map_or(0, |batch| batch.items.len());
        self.stop.is_none() && !self.drain_first && !self.winding_down && waiting < READ_AHEAD
    }

    /// After most stops no further write may happen; what was planned is planned again when its page is replayed.
    pub fn drop_what_must_not_go_on(&mut self) {
        match self.stop {
            None | Some(Stop::FirstLimit { .. } | Stop::Held { .. }) => {}
            // The batch that is ready still goes out; the rest would run into the function's time-out.
            Some(Stop::OutOfBudget) => self.ready.clear(),
            Some(Stop::Again) if self.relist.is_some() => {}
            Some(
                Stop::Again
                | Stop::Barred { .. }
                | Stop::Wait { .. }
                | Stop::Paused { .. }
                | Stop::NothingToCarry { .. }
                | Stop::Broken(_),
            ) => {
                self.ready.clear();
                // Its intent stays open, and is settled by the next session.
                self.staged = None;
            }
        }
    }

    /// Takes out the pages whose records are all finished, in order.
    pub fn closing(&mut self) -> Vec<OpenPage> {
        let closable = self.pages.iter().take_while(|page| page.open == 0).count();
        self.pages.drain(..closable).collect()
    }

    /// Nothing waits to be written or committed.
    pub fn is_empty(&self) -> bool {
        let closable = self.pages.front().is_some_and(|page| page.open == 0);
        self.ready.is_empty() && self.staged.is_none() && self.finished.is_empty() && !closable
    }

    pub fn is_drained(&self) -> bool {
        let empty = self.is_empty();
        match &self.stop {
            // Pages that cannot be finished stay open; they are read again.
            Some(_) => empty,
            None => empty && self.pages.is_empty() && next_task(&self.ahead, &self.put_off).is_none(),
        }
    }

    /// The rest of this page is for the next run: its cursor stays where it is, and its task is not taken up again.
    pub fn put_off(&mut self, number: u64, before: &Checkpoint) {
        let Some(page) = self.pages.iter_mut().find(|open| open.number == number) else { return };
        page.open -= 1;
        if !matches!(page.advance, Advance::Nothing) {
            page.advance = Advance::Nothing;
            page.done = 0;
            self.ahead.clone_from(before);
            self.put_off.extend(self.reading.clone());
        }
    }

    /// Everything by which a page could mean a record that is not durable yet while that page is read.
    pub fn busy(&self, batches: [&Option<Batch>; 2], finished: &Finished) -> HashSet<String> {
        let writing = batches.into_iter().flatten().flat_map(|batch| &batch.items);
        let items = writing.chain(&self.ready).flat_map(Item::identities);
        items.chain(finished.identities.iter().cloned()).collect()
    }

    pub fn finish(&mut self, settled: Settled) {
        let Settled { identities, intents, page, rows, counts, changes, waits, candidate, retry } = settled;
        for intent in intents {
            if let Some(open) = self.open_intents.get_mut(&intent) {
                *open -= 1;
                if *open == 0 {
                    self.open_intents.remove(&intent);
                    self.finished.intents.push(intent);
                }
            }
        }
        self.finished.identities.extend(identities);
        self.finished.rows.extend(rows);
        self.finished.changes.extend(changes);
        if let Some(page) = self.pages.iter_mut().find(|open| open.number == page) {
            page.open -= 1;
            page.counts.add(&counts);
            page.waits |= waits;
            page.candidate |= candidate;
            page.retry |= retry;
        }
    }
}

impl Finished {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.changes.is_empty() && self.intents.is_empty()
    }
}
