//! How requests leave: one after the other at Sell's pace, refusals named.
use crate::api::Call;
use crate::config::SellConfig;
use crate::error;
use crate::pace::Pace;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use http::Response;
use std::sync::Arc;
use tandem_core::record::RemoteId;
use tandem_ports::connector::Outcomes;
use tandem_ports::error::Result;
use tandem_ports::infra::{Clock, HttpTransport};

/// Requests of one batch that are under way at once.
const AT_ONCE: usize = 4;

/// One account's way to Sell.
pub(crate) struct Client {
    transport: Arc<dyn HttpTransport>,
    config: SellConfig,
    pace: Pace,
}

impl Client {
    pub(crate) fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, config: SellConfig) -> Self {
        Self { transport, config, pace: Pace::new(clock) }
    }

    /// Sends when it is our turn; a refusal is an error.
    pub(crate) async fn send(&self, call: Call) -> Result<Response<Bytes>> {
        let operation = call.operation;
        let request = call.request(&self.config.api_url)?;
        self.pace.turn().await;
        let response = self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))?;
        if response.status().is_success() { Ok(response) } else { Err(error::classify(operation, &response)) }
    }
}

/// In the items' order.
pub(crate) async fn few_at_once<T>(work: Vec<BoxFuture<'_, Result<T>>>) -> Outcomes<T> {
    stream::iter(work).buffered(AT_ONCE).collect().await
}

/// Ids go into paths, so only numbers are let through.
pub(crate) fn number(operation: &'static str, id: &RemoteId) -> Result<u64> {
    id.as_str().parse().map_err(|_| error::refused(operation, "this is no id of Sell's"))
}
