//! When a sync is due: its interval, at an offset that spreads all syncs evenly.
use jiff::Timestamp;
use std::time::Duration;

/// The next slot strictly after `now`. Slots lie at `offset(id) + k × interval` since 1970, so a million syncs of one
/// interval spread over it, and a sync keeps its minute however late a run was.
pub fn next_slot(now: Timestamp, interval: Duration, id: &str) -> Timestamp {
    let every = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX).max(60);
    let offset = i64::try_from(spread(id) % every.unsigned_abs()).unwrap_or(0);
    let since = now.as_second() - offset;
    let slot = (since.div_euclid(every) + 1) * every + offset;
    Timestamp::from_second(slot).unwrap_or(now)
}

/// The shard of an id, of `shards`.
pub fn shard(id: &str, shards: u16) -> u16 {
    u16::try_from(spread(id) % u64::from(shards.max(1))).unwrap_or(0)
}

/// FNV-1a with a final mix: stable over releases, which `std`'s hasher is not.
fn spread(id: &str) -> u64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

/// How long to wait before try number `attempt` (0 is the first repeat): doubling from 30 s to 1 h, less up to a
/// quarter by `jitter` (0..=255) so that a thousand waiting syncs do not come back at once.
pub fn backoff(attempt: u32, jitter: u8) -> Duration {
    let full = 30u64.saturating_mul(1 << attempt.min(7)).min(3600);
    Duration::from_secs(full - full * u64::from(jitter) / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_after_now_and_within_one_interval() {
        let now = Timestamp::from_second(1_767_600_000).unwrap();
        for n in 0..500 {
            let id = format!("sync-{n}");
            let slot = next_slot(now, Duration::from_secs(3600), &id);
            let wait = slot.as_second() - now.as_second();
            assert!((1..=3600).contains(&wait), "{wait}");
            assert_eq!(next_slot(slot, Duration::from_secs(3600), &id).as_second(), slot.as_second() + 3600);
        }
    }

    #[test]
    fn many_syncs_spread_evenly_over_slots_and_shards() {
        let now = Timestamp::from_second(1_767_600_000).unwrap();
        let (mut minutes, mut shards) = ([0u32; 60], [0u32; 16]);
        for n in 0..60_000 {
            let id = format!("0199-{n:06x}");
            let wait = next_slot(now, Duration::from_secs(3600), &id).as_second() - now.as_second() - 1;
            minutes[usize::try_from(wait / 60).unwrap()] += 1;
            shards[usize::from(shard(&id, 16))] += 1;
        }
        assert!(minutes.iter().all(|n| (700..1300).contains(n)), "{minutes:?}");
        assert!(shards.iter().all(|n| (3200..4300).contains(n)), "{shards:?}");
    }

    #[test]
    fn waiting_grows_and_never_passes_an_hour() {
        assert_eq!(backoff(0, 0).as_secs(), 30);
        assert!(backoff(3, 255) < backoff(3, 0));
        assert_eq!(backoff(30, 0).as_secs(), 3600);
    }
}
