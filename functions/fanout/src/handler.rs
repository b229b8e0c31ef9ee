//! Translates the two events of this function; decides nothing.
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent};
use serde::Deserialize;
use std::sync::Arc;
use tandem_engine::Engine;
use tandem_ports::infra::{Clock, Kind};
use tandem_runtime::{Ports, Worker, work_batch};

/// What this function is invoked with.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Event {
    /// Jobs for shards, from the fan-out queue.
    Jobs(SqsEvent),
    /// The input of an EventBridge rule, such as `{"kind":"contacts"}`.
    Rule { kind: Kind },
}

/// The handler.
pub(crate) struct Fanout {
    engine: Engine,
    worker: Arc<dyn Worker>,
    clock: Arc<dyn Clock>,
}

impl Fanout {
    pub(crate) fn new(ports: &Ports) -> Self {
        let engine = ports.engine();
        Self { worker: Arc::new(engine.clone()), engine, clock: Arc::clone(&ports.clock) }
    }

    pub(crate) async fn handle(&self, event: LambdaEvent<serde_json::Value>) -> Result<SqsBatchResponse, Error> {
        match serde_json::from_value(event.payload)? {
            Event::Jobs(batch) => work_batch(&self.worker, &*self.clock, batch, &event.context).await,
            Event::Rule { kind } => {
                self.engine.fan_out_shards(kind).await?;
                Ok(SqsBatchResponse::default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_events_are_told_apart() {
        let rule = serde_json::from_value(json!({"kind": "contacts"})).unwrap();
        assert!(matches!(rule, Event::Rule { kind: Kind::Contacts }));
        let jobs = serde_json::from_value(json!({"Records": [{"messageId": "1", "body": "x"}]})).unwrap();
        assert!(matches!(jobs, Event::Jobs(batch) if batch.records.len() == 1));
    }

    #[test]
    fn an_unknown_kind_is_an_error_and_not_ignored() {
        assert!(serde_json::from_value::<Event>(json!({"kind": "stars"})).is_err());
    }

    #[test]
    fn the_sample_events_are_understood() {
        for sample in [
            include_str!("../../../infra/events/rule-contacts.json"),
            include_str!("../../../infra/events/sqs-shard.json"),
        ] {
            serde_json::from_str::<Event>(sample).unwrap();
        }
    }
}
