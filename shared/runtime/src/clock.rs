//! The machine's clock.
use async_trait::async_trait;
use jiff::Timestamp;
use std::time::Duration;
use tandem_ports::infra::Clock;

/// The real time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the real time enters")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}
