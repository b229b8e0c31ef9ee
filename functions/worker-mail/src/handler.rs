//! Hands a batch of messages to the engine; decides nothing.
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent};
use std::sync::Arc;
use tandem_ports::infra::Clock;
use tandem_runtime::{Ports, Worker, work_batch};

/// The handler.
pub(crate) struct Mail {
    worker: Arc<dyn Worker>,
    clock: Arc<dyn Clock>,
}

impl Mail {
    pub(crate) fn new(ports: &Ports) -> Self {
        Self { worker: Arc::new(ports.engine()), clock: Arc::clone(&ports.clock) }
    }

    pub(crate) async fn handle(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
        work_batch(&self.worker, &*self.clock, event.payload, &event.context).await
    }
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::event::sqs::SqsEvent;
    use tandem_ports::infra::Job;

    #[test]
    fn the_sample_event_holds_a_job_that_parses() {
        let sample: SqsEvent = serde_json::from_str(include_str!("../../../infra/events/sqs-sync.json")).unwrap();
        let body = sample.records[0].body.as_deref().unwrap();
        assert!(matches!(serde_json::from_str(body).unwrap(), Job::Sync { .. }));
    }
}
