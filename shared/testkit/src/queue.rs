//! The queue in memory: at least once, delays, redelivery, any order.
use crate::fault::{Faults, Verdict};
use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_ports::infra::{Clock, Job, JobQueue, QueueError};

/// SQS delays a message at most 15 minutes.
const MAX_DELAY: Duration = Duration::from_secs(900);

/// A queue in memory.
pub struct MemoryQueue {
    jobs: Mutex<Vec<(Timestamp, Job)>>,
    clock: Arc<dyn Clock>,
    faults: Arc<Faults>,
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new(clock: Arc<dyn Clock>, faults: Arc<Faults>) -> Self {
        Self { jobs: Mutex::default(), clock, faults }
    }
    /// Takes the job at `pick` (any number) of those that are visible now.
    pub fn take(&self, pick: usize) -> Option<Job> {
        let now = self.clock.now();
        let mut jobs = self.jobs.lock().expect("not poisoned");
        let visible: Vec<usize> = (0..jobs.len()).filter(|i| jobs[*i].0 <= now).collect();
        let index = *visible.get(pick.checked_rem(visible.len())?)?;
        Some(jobs.remove(index).1)
    }
    /// Puts a job back as it is: a redelivery or a duplicate.
    pub fn redeliver(&self, job: Job, after: Duration) {
        let at = self.clock.now() + after;
        self.jobs.lock().expect("not poisoned").push((at, job));
    }
    /// When the next job becomes visible, if there is one.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.jobs.lock().expect("not poisoned").iter().map(|(at, _)| *at).min()
    }
    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.jobs.lock().expect("not poisoned").len()
    }
    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl JobQueue for MemoryQueue {
    async fn send(&self, jobs: &[(Job, Duration)]) -> Result<(), QueueError> {
        let verdict = self.faults.strike();
        if verdict == Verdict::Refuse {
            return Err(QueueError("the queue did not answer".into()));
        }
        for (job, delay) in jobs {
            assert!(*delay <= MAX_DELAY, "SQS refuses a delay over 15 minutes");
            self.redeliver(job.clone(), *delay);
        }
        if verdict == Verdict::Go { Ok(()) } else { Err(QueueError("the answer was lost".into())) }
    }
}
