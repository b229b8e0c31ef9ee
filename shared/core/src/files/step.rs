//! The steps of a plan.
use crate::plan::{Reason, Why};
use crate::record::{RowKey, Side};
use std::collections::BTreeMap;

/// What is to be done for one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The row.
    pub row: RowKey,
    /// What.
    pub act: Act,
    /// Why.
    pub why: Why,
    /// Whether everything it needs is there.
    pub ready: bool,
}

/// Where something goes: the folder's row, and the name there.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// The folder's row; `None`: the root.
    pub parent: Option<RowKey>,
    /// Its name there.
    pub name: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a name in {:?}", self.parent)
    }
}

/// One thing to do. Those without a side are done in the tree alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The entry of another row is this one's other copy.
    Merge {
        /// That row.
        with: RowKey,
    },
    /// The entry of this row has taken the place of a deleted one.
    Readopt {
        /// The deleted one's row.
        gone: RowKey,
        /// Where.
        side: Side,
    },
    /// Both copies agree as they are.
    Settle,
    /// Nobody knows whether both have the same bytes: they must be read.
    Compare,
    /// Make a folder.
    CreateFolder {
        /// Where.
        on: Side,
        /// And how it is called.
        target: Target,
    },
    /// Send the other side's bytes.
    Write {
        /// Where to.
        to: Side,
        /// A new file; `None`: over the file that is there.
        new: Option<Target>,
    },
    /// Move or rename.
    Relocate {
        /// Where.
        on: Side,
        /// To where.
        target: Target,
    },
    /// Both were edited: the loser takes another name (where it has not got it yet), and each goes its own way.
    Split {
        /// Whose copy.
        loser: Side,
        /// Its new name.
        rename: Option<String>,
    },
    /// Renamed at the remote, and the rule is to copy: the old copy stays, the remote one counts as new.
    Part,
    /// Remove.
    Remove {
        /// Where.
        on: Side,
    },
    /// No longer keep in step.
    LetGo(Reason),
    /// Gone on both sides.
    Forget,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, at most one a row.
    pub steps: Vec<Step>,
    /// What is not carried across, and why.
    pub excluded: BTreeMap<RowKey, Reason>,
}

impl Plan {
    /// How many entries it removes.
    pub fn removals(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| matches!(step.act, Act::Remove { .. }))
    }
    /// How many files it writes over.
    pub fn overwrites(&self) -> u64 {
        self.steps.iter().filter(|step| matches!(step.act, Act::Write { new: None, .. })).count() as u64
    }
}
