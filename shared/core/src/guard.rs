//! The mass-delete guard: a run that would delete too much deletes nothing until a person confirms.

/// What the guard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Hold everything.
    Hold {
        /// How many the run would delete.
        deletes: u64,
        /// How many it may.
        allowed: u64,
    },
}

/// Judges all deletions of a run against the records that were linked when it began.
/// One deletion always passes: nobody loses a list by it, and a list of one could otherwise never be emptied.
pub fn judge(deletes: u64, linked: u64, max_percent: u8, confirmed: Option<u64>) -> Verdict {
    let share = linked.saturating_mul(u64::from(max_percent)) / 100;
    let allowed = share.max(1).max(confirmed.unwrap_or(0));
    if deletes <= allowed { Verdict::Pass } else { Verdict::Hold { deletes, allowed } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_share_is_held_until_confirmed() {
        assert_eq!(judge(50, 100, 50, None), Verdict::Pass);
        assert_eq!(judge(51, 100, 50, None), Verdict::Hold { deletes: 51, allowed: 50 });
        assert_eq!(judge(51, 100, 50, Some(51)), Verdict::Pass);
        assert_eq!(judge(60, 100, 50, Some(51)), Verdict::Hold { deletes: 60, allowed: 51 });
        assert_eq!(judge(1, 1, 50, None), Verdict::Pass);
        assert_eq!(judge(2, 2, 50, None), Verdict::Hold { deletes: 2, allowed: 1 });
        assert_eq!(judge(500, 500, 100, None), Verdict::Pass);
        assert_eq!(judge(2, 100, 0, None), Verdict::Hold { deletes: 2, allowed: 1 });
    }
}
