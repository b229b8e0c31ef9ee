//! [`JobQueue`] on SQS: one queue per kind for sync jobs, one for the fan-out.
use crate::retry::{ATTEMPTS, back_off};
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_ports::infra::{Job, JobQueue, Kind, QueueError};

/// SQS takes at most this many messages in one request.
const BATCH: usize = 10;
/// SQS delays a message at most 15 minutes.
const MAX_DELAY_SECONDS: u64 = 900;

/// Where the queues are.
#[derive(Clone, Debug, Default)]
pub struct QueueUrls {
    /// For [`Job::Shard`].
    pub fanout: Option<String>,
    /// For [`Job::Sync`], by kind. A kind that nothing serves has none, and a job for it is refused.
    pub kinds: BTreeMap<Kind, String>,
}

impl QueueUrls {
    fn of(&self, job: &Job) -> Result<&str, QueueError> {
        match job {
            Job::Sync { kind, .. } => {
                self.kinds.get(kind).map(String::as_str).ok_or_else(|| QueueError(no_queue(kind.word())))
            }
            Job::Shard { .. } => self.fanout.as_deref().ok_or_else(|| QueueError(no_queue("fanout"))),
        }
    }
}

fn no_queue(name: &str) -> Box<dyn std::error::Error + Send + Sync> {
    format!("no queue serves {name}").into()
}

/// The queues.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    urls: QueueUrls,
}

impl SqsQueue {
    /// Queues at these addresses.
    pub fn new(client: Client, urls: QueueUrls) -> Self {
        Self { client, urls }
    }

    async fn send_batch(&self, url: &str, jobs: &[&(Job, Duration)]) -> Result<(), QueueError> {
        let mut left = entries(jobs)?;
        for attempt in 0..ATTEMPTS {
            let request = self.client.send_message_batch().queue_url(url).set_entries(Some(left.clone()));
            let answer = request.send().await.map_err(|error| QueueError(Box::new(error)))?;
            if let Some(refused) = answer.failed().iter().find(|failed| failed.sender_fault()) {
                return Err(QueueError(format!("SQS refuses a job: {}", refused.code()).into()));
            }
            left.retain(|entry| answer.failed().iter().any(|failed| failed.id() == entry.id()));
            if left.is_empty() {
                return Ok(());
            }
            back_off(attempt).await;
        }
        Err(QueueError("SQS did not take some jobs".into()))
    }
}

fn entries(jobs: &[&(Job, Duration)]) -> Result<Vec<SendMessageBatchRequestEntry>, QueueError> {
    let entry = |(number, (job, delay)): (usize, &&(Job, Duration))| {
        let body = serde_json::to_string(job).map_err(|error| QueueError(Box::new(error)))?;
        let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body);
        entry.delay_seconds(delay_seconds(*delay)).build().map_err(|error| QueueError(Box::new(error)))
    };
    jobs.iter().enumerate().map(entry).collect()
}

/// Whole seconds, rounded up so that a job is never early, and at most what SQS allows: the engine looks at the time
/// itself and waits again.
fn delay_seconds(delay: Duration) -> i32 {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    i32::try_from(seconds.min(MAX_DELAY_SECONDS)).expect("at most 900")
}

#[async_trait]
impl JobQueue for SqsQueue {
    async fn send(&self, jobs: &[(Job, Duration)]) -> Result<(), QueueError> {
        let mut by_queue: BTreeMap<&str, Vec<&(Job, Duration)>> = BTreeMap::new();
        for job in jobs {
            by_queue.entry(self.urls.of(&job.0)?).or_default().push(job);
        }
        for (url, jobs) in by_queue {
            for batch in jobs.chunks(BATCH) {
                self.send_batch(url, batch).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::record::SyncId;
    use tandem_ports::infra::Trigger;

    #[test]
    fn a_delay_is_never_early_and_never_over_15_minutes() {
        assert_eq!(delay_seconds(Duration::ZERO), 0);
        assert_eq!(delay_seconds(Duration::from_millis(1)), 1);
        assert_eq!(delay_seconds(Duration::from_secs(59)), 59);
        assert_eq!(delay_seconds(Duration::from_hours(4)), 900);
    }

    #[test]
    fn a_kind_that_nothing_serves_is_refused_by_name() {
        let sync = SyncId::new("s");
        let job = Job::Sync { sync, kind: Kind::Mail, trigger: Trigger::Manual, run: None, continuation: 0 };
        let error = QueueUrls::default().of(&job).unwrap_err();
        assert_eq!(error.0.to_string(), "no queue serves mail");
    }
}
