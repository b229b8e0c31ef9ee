//! SQS → engine: each message by itself, so that a bad, failing or panicking one costs nothing but itself.
use crate::log::chain;
use crate::metrics::{Metric, Unit, emit};
use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use jiff::Timestamp;
use lambda_runtime::{Context, Error};
use std::sync::Arc;
use std::time::Duration;
use tandem_engine::{Budget, Engine, EngineError};
use tandem_ports::infra::{Clock, Job};
use tracing::Instrument as _;

/// Kept free before the function's time-out for the last commit, the answer and the runtime itself.
const RESERVE: Duration = Duration::from_secs(40);

/// Carries out jobs. The engine is the one that does; tests script others.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// Carries out a job until `deadline` at the latest. `Err`: deliver it again.
    async fn work(&self, job: &Job, deadline: Timestamp) -> Result<(), EngineError>;
}

#[async_trait]
impl Worker for Engine {
    async fn work(&self, job: &Job, deadline: Timestamp) -> Result<(), EngineError> {
        let budget = Budget::until(Arc::clone(self.clock()), deadline);
        Engine::work(self, job, &budget).await
    }
}

/// Carries out a batch and answers which messages must be delivered again (`ReportBatchItemFailures`).
pub async fn work_batch(
    worker: &Arc<dyn Worker>,
    clock: &dyn Clock,
    batch: SqsEvent,
    context: &Context,
) -> Result<SqsBatchResponse, Error> {
    let deadline = Timestamp::try_from(context.deadline())? - RESERVE;
    let mut tasks = Vec::new();
    for message in batch.records {
        // Without an id we could only answer with an empty one, which Lambda reads as "the whole batch failed"; failing
        // the invocation says the same honestly.
        let id = message.message_id.ok_or("an SQS message without an id")?;
        let span = tracing::info_span!("job", message = %id);
        let body = message.body.unwrap_or_default();
        let worker = Arc::clone(worker);
        // A task of its own, so that a panic costs one message and not the batch.
        tasks.push((id, tokio::spawn(async move { settle(&*worker, &body, deadline).await }.instrument(span))));
    }
    let (mut answer, mut done, mut failed) = (SqsBatchResponse::default(), 0, 0);
    for (id, task) in tasks {
        let settled = task.await.unwrap_or_else(|panicked| {
            tracing::error!(message = %id, panicked = panicked.is_panic(), "the job broke off");
            false
        });
        if settled {
            done += 1;
        } else {
            failed += 1;
            answer.add_failure(id);
        }
    }
    let counts = [("JobsDone", done), ("JobsFailed", failed)];
    emit(clock, &[], &counts.map(|(name, value)| Metric { name, unit: Unit::Count, value }));
    Ok(answer)
}

async fn settle(worker: &dyn Worker, body: &str, deadline: Timestamp) -> bool {
    // Parsed here, one by one: a typed batch with one malformed body would fail as a whole.
    let job: Job = match serde_json::from_str(body) {
        Ok(job) => job,
        Err(error) => {
            // Category and place only: the message of a parser may quote what it read.
            tracing::error!(category = ?error.classify(), column = error.column(), "malformed job; left for the DLQ");
            return false;
        }
    };
    match worker.work(&job, deadline).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(error = chain(&error), job = ?job, "the job failed and will be delivered again");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;
    use serde_json::json;
    use tandem_core::record::SyncId;
    use tandem_ports::infra::{Kind, Trigger};

    struct Scripted;
    #[async_trait]
    impl Worker for Scripted {
        async fn work(&self, job: &Job, deadline: Timestamp) -> Result<(), EngineError> {
            let Job::Sync { sync, .. } = job else { return Ok(()) };
            match sync.as_str() {
                "panic" => panic!("boom"),
                "fail" => Err(EngineError::Unavailable("later".into())),
                "deadline" if deadline.as_second() != 20 => Err(EngineError::Unavailable("no reserve".into())),
                _ => Ok(()),
            }
        }
    }

    fn body(sync: &str) -> String {
        let sync = SyncId::new(sync);
        let job = Job::Sync { sync, kind: Kind::Contacts, trigger: Trigger::Schedule, run: None, continuation: 0 };
        serde_json::to_string(&job).unwrap()
    }

    async fn failures(messages: serde_json::Value) -> Result<Vec<String>, Error> {
        let event = serde_json::from_value(json!({"Records": messages})).unwrap();
        let mut context = Context::default();
        context.deadline = 60_000;
        let worker: Arc<dyn Worker> = Arc::new(Scripted);
        let answer = work_batch(&worker, &SystemClock, event, &context).await?;
        Ok(answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect())
    }

    #[tokio::test]
    async fn only_failed_malformed_and_panicking_messages_are_delivered_again() {
        let message = |id: &str| json!({"messageId": id, "body": body(id)});
        let mut messages: Vec<_> = ["ok", "fail", "panic", "deadline"].iter().map(|id| message(id)).collect();
        messages.push(json!({"messageId": "malformed", "body": "{"}));
        messages.push(json!({"messageId": "unknown", "body": r#"{"job":"of another release"}"#}));
        let again = failures(json!(messages)).await.unwrap();
        assert_eq!(again, ["fail", "panic", "malformed", "unknown"]);
    }

    #[tokio::test]
    async fn a_message_without_an_id_fails_the_invocation_and_not_silently_the_batch() {
        assert!(failures(json!([{"body": body("ok")}])).await.is_err());
    }
}
