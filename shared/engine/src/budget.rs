//! How long one job may go on before it must leave.
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::infra::Clock;

/// Time until a job must have checkpointed and left.
#[derive(Clone)]
pub struct Budget {
    clock: Arc<dyn Clock>,
    deadline: Timestamp,
}

impl Budget {
    /// Until `deadline`. Leave enough after it for the batch under way and the last commit.
    pub fn until(clock: Arc<dyn Clock>, deadline: Timestamp) -> Self {
        Self { clock, deadline }
    }
    /// This long from now.
    pub fn of(clock: Arc<dyn Clock>, time: Duration) -> Self {
        let deadline = clock.now() + time;
        Self { clock, deadline }
    }
    /// What is left of it.
    pub fn left(&self) -> Duration {
        Duration::try_from(self.deadline.duration_since(self.clock.now())).unwrap_or_default()
    }
    /// Whether it is used up.
    pub fn spent(&self) -> bool {
        self.left().is_zero()
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
