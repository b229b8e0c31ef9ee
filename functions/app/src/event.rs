//! What Lambda hands over: an HTTP request from API Gateway, or a word from an administrator's terminal.
//!
//! API Gateway makes its events itself: whatever a caller sends ends up inside `body`, `headers` or `rawPath`, never as
//! a name of the event. So an event with `tandem_admin` comes from somebody who may invoke the function directly.
use crate::admin::{self, AdminRequest};
use crate::router::router;
use crate::state::AppState;
use axum::Router;
use axum::http::Uri;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, Request, RequestExt as _, Service as _};
use lambda_runtime::{Error, LambdaEvent};
use serde::Deserialize;
use serde_json::value::RawValue;
use tower::ServiceExt as _;

/// The function.
#[derive(Clone)]
pub(crate) struct App {
    state: AppState,
    router: Router,
}

#[derive(Deserialize)]
struct Shape {
    tandem_admin: Option<AdminRequest>,
    #[serde(rename = "requestContext")]
    request_context: Option<serde::de::IgnoredAny>,
}

impl App {
    pub(crate) fn new(state: AppState) -> Self {
        Self { router: router(state.clone()), state }
    }

    /// Answers one event.
    pub(crate) async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Box<RawValue>, Error> {
        let LambdaEvent { payload, context, .. } = event;
        if let Ok(Shape { tandem_admin: Some(request), request_context: None }) = serde_json::from_str(payload.get()) {
            return Ok(serde_json::value::to_raw_value(&admin::answer(&self.state, request).await?)?);
        }
        let request: LambdaRequest = serde_json::from_str(payload.get())?;
        let mut service = Adapter::from(self.router.clone().map_request(strip_stage));
        let answer = service.call(LambdaEvent::new(request, context)).await?;
        Ok(serde_json::value::to_raw_value(&answer)?)
    }
}

/// Takes the stage off the path: API Gateway (and an emulator) put it in front where the stage is a named one. It must
/// happen before the router looks at the path, so it is no layer of the router.
fn strip_stage(mut request: Request) -> Request {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        _ => None,
    };
    if let Some(uri) = stage.and_then(|stage| without_stage(request.uri(), &stage)) {
        *request.uri_mut() = uri;
    }
    request
}

fn without_stage(uri: &Uri, stage: &str) -> Option<Uri> {
    let path = uri.path();
    // An emulator without host names: /_aws/execute-api/<api>/<stage>/<path>.
    let local = path.strip_prefix("/_aws/execute-api/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
    let rest = match local {
        Some(rest) => rest.strip_prefix(stage)?,
        None => path.strip_prefix('/')?.strip_prefix(stage)?,
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{query}", if rest.is_empty() { "/" } else { rest }).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_taken_off_and_nothing_else() {
        let without = |path: &str, stage: &str| without_stage(&path.parse().unwrap(), stage).map(|uri| uri.to_string());
        assert_eq!(without("/live/v1/syncs?q=a%2Fb", "live").as_deref(), Some("/v1/syncs?q=a%2Fb"));
        assert_eq!(without("http://host/live", "live").as_deref(), Some("/"));
        assert_eq!(without("/_aws/execute-api/abc/$default/v1/x", "$default").as_deref(), Some("/v1/x"));
        assert_eq!(without("/_aws/execute-api/abc/live/v1/x", "live").as_deref(), Some("/v1/x"));
        assert_eq!(without("/lively", "live"), None);
        assert_eq!(without("/v1/syncs", "$default"), None);
    }
}
