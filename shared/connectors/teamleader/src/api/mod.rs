//! Requests and their answers: every call is a POST of JSON to `/{resource}.{action}`. Here too: the quota.
pub(crate) mod calendar;
pub(crate) mod files;
pub(crate) mod pace;
pub(crate) mod requests;

use crate::error;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use jiff::Timestamp;
use pace::Pace;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use tandem_ports::error::Result;
use tandem_ports::infra::{Clock, HttpTransport};

/// A call: what errors and Teamleader both call it, and its body.
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) body: Value,
}

/// A read answer with the provider's own time, which versions and quotas are counted in.
pub(crate) struct Answer<T> {
    pub(crate) body: T,
    pub(crate) at: Timestamp,
}

/// The API as one account sees it.
pub(crate) struct Api {
    transport: Arc<dyn HttpTransport>,
    clock: Arc<dyn Clock>,
    origin: String,
    pace: Pace,
}

impl Api {
    pub(crate) fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, origin: String) -> Self {
        Self { transport, clock, origin, pace: Pace::default() }
    }

    /// Sends the call when the quota allows it and reads its answer.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<Answer<T>> {
        let method = call.method;
        let response = self.send(call).await?;
        let at = self.server_time(&response);
        let body = serde_json::from_slice(response.body()).map_err(|cause| error::unreadable(method, &cause))?;
        Ok(Answer { body, at })
    }

    /// For calls that answer 204 without a body.
    pub(crate) async fn act(&self, call: Call) -> Result<()> {
        self.send(call).await.map(drop)
    }

    async fn send(&self, call: Call) -> Result<Response<Bytes>> {
        let method = call.method;
        while let Some(wait) = self.pace.wait(self.clock.now(), method)? {
            self.clock.sleep(wait).await;
        }
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/{method}", self.origin))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(call.body.to_string()))
            .map_err(|_| error::refused(method, "the configured address is none"))?;
        let response = self.transport.send(request).await.map_err(|lost| error::from_transport(method, lost))?;
        let reset = self.pace.learn(&response, self.clock.now(), self.server_time(&response));
        if response.status().is_success() { Ok(response) } else { Err(error::classify(method, &response, reset)) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn pause(&self, how_long: std::time::Duration) {
        self.clock.sleep(how_long).await;
    }

    /// `Date` of the answer; our clock where there is none.
    fn server_time(&self, response: &Response<Bytes>) -> Timestamp {
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let parser = jiff::fmt::rfc2822::DateTimeParser::new();
        date.and_then(|date| parser.parse_timestamp(date).ok()).unwrap_or_else(|| self.clock.now())
    }
}
