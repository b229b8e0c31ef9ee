//! Sell on a socket of 127.0.0.1, for published clients: `serve 8080` (0 picks a free port).
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::infra::Clock;
use tandem_sell::fake::FakeSell;

const MOST_BYTES: usize = 16 * 1024 * 1024;

struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock itself")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}

async fn answer(State(fake): State<Arc<FakeSell>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MOST_BYTES).await else {
        return http::StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    match fake.handle(http::Request::from_parts(parts, bytes)) {
        Some(answer) => answer.map(Body::from),
        // The connection is cut, and the client cannot know what happened.
        None => {
            let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            Body::from_stream(futures::stream::iter([Err::<bytes::Bytes, _>(lost)])).into_response()
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let fake = FakeSell::new(Arc::new(SystemClock)).shared();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("sell simulator ready at http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().fallback(answer).with_state(fake)).await
}
