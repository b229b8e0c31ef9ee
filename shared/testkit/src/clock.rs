//! A clock that only moves when told.
use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::Mutex;
use std::time::Duration;
use tandem_ports::infra::Clock;

/// Starts at 2026-01-05T08:00:00Z (a Monday) and moves by [`ManualClock::advance`] and by every `sleep`.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl Default for ManualClock {
    fn default() -> Self {
        Self(Mutex::new(Timestamp::from_second(1_767_600_000).expect("a valid time")))
    }
}

impl ManualClock {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().expect("not poisoned") += by;
    }
    /// Moves the clock, also backwards.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock().expect("not poisoned") = to;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("not poisoned")
    }
    async fn sleep(&self, how_long: Duration) {
        self.advance(how_long);
        tokio::task::yield_now().await;
    }
}
