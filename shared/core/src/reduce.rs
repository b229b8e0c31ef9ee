//! What a run has done, side by side.
use crate::record::Side;
use serde::{Deserialize, Serialize};

/// What happened on one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCounts {
    /// Records read from its feed or listing.
    pub read: u64,
    /// Records created here.
    pub created: u64,
    /// Records changed here.
    pub updated: u64,
    /// Records deleted here.
    pub deleted: u64,
    /// Records that were here already and were recognised.
    pub paired: u64,
    /// Records on which a change made here was lost to the other side's.
    pub conflicts: u64,
    /// Records of this side that are not carried across.
    pub excluded: u64,
    /// Records that this side refused.
    pub failing: u64,
}

/// What happened on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The CRM.
    pub crm: SideCounts,
    /// The remote.
    pub remote: SideCounts,
}

impl Counts {
    /// One side's counts, to add to.
    pub fn side(&mut self, side: Side) -> &mut SideCounts {
        match side {
            Side::Left => &mut self.crm,
            Side::Right => &mut self.remote,
        }
    }
    /// Writes on both sides together.
    pub fn writes(&self) -> u64 {
        [self.crm, self.remote].iter().map(|side| side.created + side.updated + side.deleted).sum()
    }
    /// Adds another's.
    pub fn add(&mut self, other: &Counts) {
        for side in [Side::Left, Side::Right] {
            let from = match side {
                Side::Left => other.crm,
                Side::Right => other.remote,
            };
            let to = self.side(side);
            to.read += from.read;
            to.created += from.created;
            to.updated += from.updated;
            to.deleted += from.deleted;
            to.paired += from.paired;
            to.conflicts += from.conflicts;
            to.excluded += from.excluded;
            to.failing += from.failing;
        }
    }
}
