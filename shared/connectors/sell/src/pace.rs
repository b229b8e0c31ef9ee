//! Requests keep their distance.
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_ports::infra::Clock;

/// Sell takes ten requests a second for each token. At this distance eleven are never within a second, even where one is
/// a quarter of a second longer on its way than those behind it. Two jobs of one account do not see each other's
/// requests: where they exceed the limit together, Sell's 429 is the answer.
pub(crate) const PACE: Duration = Duration::from_millis(125);

/// One request after the other, at least [`PACE`] apart by the clock.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    last: Mutex<Option<jiff::Timestamp>>,
}

impl Pace {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// Returns when the next request may leave. Whoever wakes too early or too late asks again, so those that were held
    /// up together do not leave together.
    pub(crate) async fn turn(&self) {
        loop {
            let wait = self.claim();
            if wait.is_zero() {
                return;
            }
            self.clock.sleep(wait).await;
        }
    }

    /// Takes the turn, or says how long until it may be free.
    fn claim(&self) -> Duration {
        let mut last = self.last.lock().expect("no code panics while it holds this lock");
        let now = self.clock.now();
        let wait = match *last {
            None => Duration::ZERO,
            // The clock was set back: what it said before is no measure.
            Some(before) if now < before => {
                *last = Some(now);
                PACE
            }
            Some(before) => PACE.saturating_sub(Duration::try_from(now.duration_since(before)).unwrap_or_default()),
        };
        if wait.is_zero() {
            *last = Some(now);
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use tandem_testkit::clock::ManualClock;

    /// Wakes as a busy machine does: some a little early, some far too late.
    #[derive(Default)]
    struct Unsteady {
        clock: ManualClock,
        sleeps: Mutex<u32>,
    }

    #[async_trait::async_trait]
    impl Clock for Unsteady {
        fn now(&self) -> jiff::Timestamp {
            self.clock.now()
        }
        async fn sleep(&self, how_long: Duration) {
            let turn = {
                let mut sleeps = self.sleeps.lock().unwrap();
                *sleeps += 1;
                *sleeps % 5
            };
            let really = if turn == 0 { how_long * 9 } else { how_long.mul_f64(0.4) };
            self.clock.sleep(really).await;
        }
    }

    async fn turns(clock: Arc<dyn Clock>) -> Vec<jiff::Timestamp> {
        let pace = Pace::new(Arc::clone(&clock));
        let left = Mutex::new(Vec::new());
        join_all((0..8).map(|_| async {
            for _ in 0..10 {
                pace.turn().await;
                left.lock().unwrap().push(clock.now());
                tokio::task::yield_now().await;
            }
        }))
        .await;
        left.into_inner().unwrap()
    }

    #[tokio::test]
    async fn no_two_requests_leave_together_however_late_one_wakes() {
        for clock in [Arc::new(ManualClock::default()) as Arc<dyn Clock>, Arc::new(Unsteady::default())] {
            let left = turns(clock).await;
            assert_eq!(left.len(), 80);
            let step = jiff::SignedDuration::try_from(PACE).unwrap();
            assert!(left.windows(2).all(|pair| pair[1].duration_since(pair[0]) >= step), "{left:?}");
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_does_not_stop_the_requests() {
        let clock = Arc::new(ManualClock::default());
        let pace = Pace::new(Arc::clone(&clock) as Arc<_>);
        pace.turn().await;
        let back = clock.now() - jiff::SignedDuration::from_hours(3);
        clock.set(back);
        pace.turn().await;
        assert_eq!(clock.now().duration_since(back), jiff::SignedDuration::try_from(PACE).unwrap());
    }
}
