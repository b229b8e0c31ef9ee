//! Sending: one user's access to one organisation, a few calls at a time.
use crate::api::{self, Call};
use crate::error;
use bytes::Bytes;
use http::Response;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tandem_ports::error::Result;
use tandem_ports::infra::{Clock, HttpTransport};
use tokio::sync::Semaphore;

/// The smallest edition lets an application have five calls under way; one is left for others of the organisation.
const CALLS_AT_ONCE: usize = 4;

pub(crate) struct Client {
    transport: Arc<dyn HttpTransport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) origin: String,
    slots: Semaphore,
}

impl Client {
    pub(crate) fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, origin: String) -> Client {
        Client { transport, clock, origin, slots: Semaphore::new(CALLS_AT_ONCE) }
    }

    pub(crate) async fn send(&self, call: Call) -> Result<Response<Bytes>> {
        let Call { operation, request } = call;
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))
    }

    /// `None` where there is nothing (204), or nothing new (304).
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<Option<T>> {
        let operation = call.operation;
        api::parse(operation, &self.send(call).await?)
    }

    /// The same, with Zoho's own time: ours may differ, and `If-Modified-Since` is judged by theirs.
    pub(crate) async fn ask_dated<T: DeserializeOwned>(&self, call: Call) -> Result<(Option<T>, i64)> {
        let operation = call.operation;
        let response = self.send(call).await?;
        let date = response.headers().get(http::header::DATE).and_then(|value| value.to_str().ok());
        let theirs = date.and_then(|text| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok());
        let now = theirs.unwrap_or_else(|| self.clock.now()).as_second();
        Ok((api::parse(operation, &response)?, now))
    }
}
