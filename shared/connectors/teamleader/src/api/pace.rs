//! The quota: 200 calls a sliding minute for each pair of client and account, told in headers of every answer.
use crate::error;
use crate::wire;
use http::Response;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;
use tandem_ports::error::Result;

/// Calls a sliding minute.
const LIMIT: usize = 200;
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// A window's length and a little for clocks that differ. What frees up later is for the engine to wait for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(65);

#[derive(Default)]
pub(super) struct Pace(Mutex<Window>);

#[derive(Default)]
struct Window {
    /// When each of our own calls of the last minute was sent.
    sent: VecDeque<Timestamp>,
    /// No call passes before this, as the last answer said that none remains.
    closed_until: Option<Timestamp>,
}

impl Pace {
    /// How long to wait before asking again; `None` lets the call pass and counts it.
    pub(super) fn wait(&self, now: Timestamp, operation: &'static str) -> Result<Option<Duration>> {
        let mut window = self.0.lock().expect("no code panics while it holds this lock");
        while window.sent.front().is_some_and(|sent| now.duration_since(*sent) >= WINDOW) {
            window.sent.pop_front();
        }
        let full = window.sent.front().filter(|_| window.sent.len() >= LIMIT).map(|oldest| *oldest + WINDOW);
        let until = full.max(window.closed_until).filter(|until| *until > now);
        let Some(until) = until else {
            window.closed_until = None;
            window.sent.push_back(now);
            return Ok(None);
        };
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        if wait > LONGEST_WAIT {
            return Err(error::no_quota(operation, wait));
        }
        Ok(Some(wait))
    }

    /// Reads the quota's headers; answers how long until the next call passes, where the answer says. The time in them
    /// is the provider's, so it is counted from the provider's own `there`.
    pub(super) fn learn<T>(&self, response: &Response<T>, here: Timestamp, there: Timestamp) -> Option<Duration> {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let reset = text("x-ratelimit-reset").and_then(wire::time)?;
        let wait = Duration::try_from(reset.duration_since(there)).unwrap_or_default();
        let remaining = text("x-ratelimit-remaining").and_then(|number| number.trim().parse::<u32>().ok());
        if remaining == Some(0) || response.status() == http::StatusCode::TOO_MANY_REQUESTS {
            let until = here.checked_add(wait).unwrap_or(here);
            self.0.lock().expect("no code panics while it holds this lock").closed_until = Some(until);
        }
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_600_000 + second).unwrap()
    }

    fn answer(remaining: &str, reset: &str) -> Response<()> {
        let builder = Response::builder().header("x-ratelimit-remaining", remaining);
        builder.header("x-ratelimit-reset", reset).body(()).unwrap()
    }

    #[test]
    fn the_two_hundred_and_first_call_of_a_minute_waits_for_the_oldest_to_expire() {
        let pace = Pace::default();
        for call in 0..200 {
            assert_eq!(pace.wait(at(call / 10), "test").unwrap(), None);
        }
        assert_eq!(pace.wait(at(20), "test").unwrap(), Some(Duration::from_secs(40)));
        assert_eq!(pace.wait(at(60), "test").unwrap(), None);
    }

    #[test]
    fn when_nothing_remains_the_next_call_waits_until_the_reset() {
        let pace = Pace::default();
        // Their clock is an hour ahead of ours.
        pace.learn(&answer("0", "2026-01-05T09:00:30.000+0100"), at(-3600), at(0));
        assert_eq!(pace.wait(at(-3600), "test").unwrap(), Some(Duration::from_secs(30)));
        assert_eq!(pace.wait(at(-3570), "test").unwrap(), None);
    }

    #[test]
    fn a_reset_beyond_a_window_is_for_the_engine_to_wait_for() {
        let pace = Pace::default();
        pace.learn(&answer("0", "2026-01-05T08:05:00Z"), at(0), at(0));
        let refusal = pace.wait(at(0), "test").unwrap_err();
        let wanted = Some(Duration::from_secs(300));
        assert_eq!(refusal.kind, tandem_ports::error::ErrorKind::Throttled { retry_after: wanted });
    }
}
