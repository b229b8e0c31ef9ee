//! How often and how long to wait before AWS is asked again for what it left undone.
use std::time::Duration;

/// Attempts in all before the caller hears that the service is unavailable: about 6 s of waiting.
pub(crate) const ATTEMPTS: u32 = 8;

/// Waits before attempt `attempt + 1` (the first is 0): exponential with full jitter, at most 2 s. AWS asks for this
/// where a batch comes back partly unprocessed (DynamoDB developer guide, "Error retries and exponential backoff").
pub(crate) async fn back_off(attempt: u32) {
    tokio::time::sleep(delay(attempt, rand::random())).await;
}

fn delay(attempt: u32, jitter: u16) -> Duration {
    let ceiling = 50u64.saturating_mul(1 << attempt.min(10)).min(2_000);
    Duration::from_millis(ceiling / 2 + ceiling * u64::from(jitter) / u64::from(u16::MAX) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_25_milliseconds_and_end_at_2_seconds() {
        assert_eq!(delay(0, 0), Duration::from_millis(25));
        assert_eq!(delay(0, u16::MAX), Duration::from_millis(50));
        assert!(delay(3, 0) > delay(2, 0));
        assert_eq!(delay(40, u16::MAX), Duration::from_secs(2));
    }
}
