//! Sends the notifications of a provider to those who asked for them.
use crate::Provider;
use bytes::Bytes;
use http::Request;
use std::sync::Arc;
use std::time::Duration;
use tandem_http::ReqwestTransport;
use tandem_ports::infra::HttpTransport as _;

/// How often it is looked whether something waits.
const LOOK: Duration = Duration::from_millis(20);
/// The pauses before a notification that was not taken is sent again, as the providers do it after a 5xx; then it is lost.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Never ends by itself.
pub(crate) async fn tell<P: Provider>(fake: Arc<P>, transport: ReqwestTransport) {
    loop {
        for request in fake.outbox() {
            tokio::spawn(send(transport.clone(), request));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn send(transport: ReqwestTransport, request: Request<Bytes>) {
    for pause in PAUSES {
        // 4xx ends it, too: whoever refuses will refuse again.
        if matches!(transport.send(request.clone()).await, Ok(answer) if !answer.status().is_server_error()) {
            return;
        }
        tokio::time::sleep(pause).await;
    }
    eprintln!("a notification for {} was not taken", request.uri());
}
