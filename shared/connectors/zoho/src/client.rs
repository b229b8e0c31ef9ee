//! Sending: one user's access to one organisation, a few calls at a time.
use crate::api::attachments::Form;
use crate::api::{self, Call, settings};
use crate::error::{self, Operation};
use crate::wire::Views;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_ports::connector::Choice;
use tandem_ports::error::Result;
use tandem_ports::infra::{Arriving, Clock, HttpTransport};
use tandem_ports::pieces::Feed;
use tokio::sync::Semaphore;

/// The smallest edition lets an application have five calls under way; one is left for others of the organisation.
pub(crate) const CALLS_AT_ONCE: usize = 4;
/// Pages of list views; an organisation has a few hundred at most.
const MOST_VIEW_PAGES: u32 = 20;
/// More of a refusal is not read.
const MOST_SAID: usize = 64 * 1024;

pub(crate) struct Client {
    transport: Arc<dyn HttpTransport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) origin: String,
    slots: Semaphore,
    short_of_credits: AtomicBool,
}

impl Client {
    pub(crate) fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, origin: String) -> Client {
        Client {
            transport,
            clock,
            origin,
            slots: Semaphore::new(CALLS_AT_ONCE),
            short_of_credits: AtomicBool::new(false),
        }
    }

    pub(crate) async fn send(&self, call: Call) -> Result<Response<Bytes>> {
        let Call { operation, request } = call;
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let answer = self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))?;
        if answer.headers().contains_key("x-api-credits-remaining") {
            self.short_of_credits.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// A request whose body is fed to it.
    pub(crate) fn feed(&self, form: Form) -> Feed {
        Feed::begin(Arc::clone(&self.transport), form.request, form.head)
    }

    /// A file's bytes as they arrive; refusals are read whole.
    pub(crate) async fn receive(&self, operation: Operation, request: Request<Bytes>) -> Result<Response<Arriving>> {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let lost = |lost| error::from_transport(operation, lost);
        let answer = self.transport.receive(request).await.map_err(lost)?;
        match answer.status() {
            StatusCode::NO_CONTENT => Err(error::gone(operation)),
            status if status.is_success() => Ok(answer),
            status => {
                let (head, mut body) = answer.into_parts();
                let mut said = BytesMut::new();
                while let Some(piece) = body.next().await.filter(|_| said.len() < MOST_SAID) {
                    said.extend_from_slice(&piece.map_err(lost)?);
                }
                let mut refusal = Response::new(said.freeze());
                (*refusal.status_mut(), *refusal.headers_mut()) = (status, head.headers);
                Err(error::classify(operation, &refusal))
            }
        }
    }

    /// Whether Zoho says that half of the organisation's credits of 24 hours are used; it says nothing before.
    pub(crate) fn is_short_of_credits(&self) -> bool {
        self.short_of_credits.load(Ordering::Relaxed)
    }

    /// One list view after the other that the user sees of a module.
    pub(crate) async fn views(&self, module: &str) -> Result<Vec<Choice>> {
        let mut choices = Vec::new();
        for page in 1..=MOST_VIEW_PAGES {
            let answer: Views = self.ask(settings::views(&self.origin, module, page)?).await?.unwrap_or_default();
            choices.extend(answer.custom_views.into_iter().map(|view| Choice {
                name: view.display_value.filter(|name| !name.is_empty()).unwrap_or(view.name),
                id: view.id,
            }));
            if !answer.info.more_records {
                break;
            }
        }
        Ok(choices)
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
