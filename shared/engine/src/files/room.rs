//! A side without room. The first file that it has no room for stops what is to be written there; the rest of the sync goes
//! on. Later one file is tried again, at longer and longer intervals, or when a person starts a run.
use super::Files;
use crate::session::Progress;
use std::time::Duration;
use tandem_core::files::plan::{Act, Plan, Step};
use tandem_core::plan::Reason;
use tandem_core::record::Side;
use tandem_ports::error::ConnectorError;
use tandem_store::checkpoint::Full;

/// The first wait for room; each next one is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(3_600);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

impl Files<'_> {
    /// Notes that a side had no room.
    pub fn found_full(&self, side: Side, error: &ConnectorError, progress: &mut Progress<'_>) {
        let now = self.engine.clock.now();
        let full = &mut progress.checkpoint.side_mut(side).full;
        if full.as_ref().is_some_and(|full| full.until > now) {
            return;
        }
        let times = full.as_ref().map_or(0, |full| full.times) + 1;
        let wait = FIRST_WAIT.saturating_mul(1 << (times - 1).min(8)).min(LONGEST_WAIT);
        *full = Some(Full { detail: error.detail.clone(), times, until: now + wait });
    }

    /// What is known of a side without room, while nothing is sent there.
    fn full<'p>(&self, side: Side, progress: &'p Progress<'_>) -> Option<&'p Full> {
        let now = self.engine.clock.now();
        progress.checkpoint.side(side).full.as_ref().filter(|full| full.until > now)
    }

    /// Whether nothing is sent to a side now.
    pub fn waits_for_room(&self, side: Side, progress: &Progress<'_>) -> bool {
        self.full(side, progress).is_some()
    }

    /// Leaves out of a plan what there is no room for, with the reason.
    pub fn leave_for_room(&self, plan: &mut Plan, progress: &Progress<'_>) {
        for side in [Side::Left, Side::Right] {
            let Some(full) = self.full(side, progress) else { continue };
            let reason = Reason::new("storage_full", format!("There is no room for it: {}.", full.detail));
            let is_write = |step: &Step| matches!(step.act, Act::Write { to, .. } if to == side);
            let (left, rest): (Vec<Step>, Vec<Step>) = std::mem::take(&mut plan.steps).into_iter().partition(is_write);
            plan.steps = rest;
            plan.excluded.extend(left.into_iter().map(|step| (step.row, reason.clone())));
        }
    }

    /// Whether a side that had no room is to be tried again.
    pub fn is_to_be_tried(&self, progress: &Progress<'_>) -> bool {
        let now = self.engine.clock.now();
        let due = |side| progress.checkpoint.side(side).full.as_ref().is_some_and(|full| full.until <= now);
        due(Side::Left) || due(Side::Right)
    }

    /// Everything was carried out, and nothing was refused for want of room: there is some.
    pub fn has_room(&self, progress: &mut Progress<'_>) {
        let now = self.engine.clock.now();
        for side in [Side::Left, Side::Right] {
            progress.checkpoint.side_mut(side).full.take_if(|full| full.until <= now);
        }
    }
}
