//! Notifications about an account's Drive: one channel on its change feed.
use super::api::{StartToken, start_token};
use super::watch::{self, Channel};
use crate::config::GoogleConfig;
use crate::error;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::error::Result;
use tandem_ports::infra::HttpTransport;
use tandem_ports::push::{Opened, Order, Push, Route, Target};

const WATCH: &str = "drive.changes.watch";
const STOP: &str = "drive.channels.stop";
/// How long a channel lives whose answer does not say.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The channel on an account's changes.
pub struct DrivePush {
    transport: Arc<dyn HttpTransport>,
    config: GoogleConfig,
    address: String,
}

impl DrivePush {
    /// `transport` adds the account's access token; notifications go to `address`, which must be https.
    pub fn new(transport: Arc<dyn HttpTransport>, config: GoogleConfig, address: String) -> Self {
        Self { transport, config, address }
    }

    async fn send(&self, operation: &'static str, request: Request<Bytes>) -> Result<Response<Bytes>> {
        self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    resource_id: String,
    #[serde(default)]
    expiration: Option<String>,
}

#[async_trait]
impl Push for DrivePush {
    fn title(&self) -> &'static str {
        "Google Drive"
    }
    fn targets(&self) -> Vec<Target> {
        vec![Target { name: "changes".to_owned(), route: Route::Channel }]
    }
    fn life(&self) -> Duration {
        Duration::from_secs(watch::LONGEST_SECONDS.unsigned_abs())
    }

    async fn open(&self, _target: &Target, order: &Order<'_>) -> Result<Opened> {
        let call = start_token(&self.config.drive_url)?;
        let from: StartToken = crate::api::parse(call.operation, &self.send(call.operation, call.request).await?)?;
        let channel = Channel { id: order.id, address: &self.address, token: order.token, expires: order.until };
        let request = watch::open(&self.config, &from.start_page_token, &channel)?;
        let answer: Answer = crate::api::parse(WATCH, &self.send(WATCH, request).await?)?;
        let said = answer.expiration.and_then(|text| jiff::Timestamp::from_millisecond(text.parse().ok()?).ok());
        let until = said.unwrap_or(order.until - SignedDuration::from_secs(watch::LONGEST_SECONDS) + HOUR);
        Ok(Opened { resource: answer.resource_id, until: Some(until) })
    }

    async fn close(&self, _target: &str, id: &str, resource: &str) -> Result<()> {
        let answer = self.send(STOP, watch::close(&self.config, id, resource)?).await?;
        if answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(error::classify(STOP, &answer))
    }
}
