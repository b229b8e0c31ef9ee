//! Google in memory on a port of this machine, for the published clients to talk to: `serve_google PORT`.
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use tandem_google::fake::FakePeople;

struct Now;

#[async_trait::async_trait]
impl tandem_ports::infra::Clock for Now {
    #[expect(clippy::disallowed_methods, reason = "this is the clock itself")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
    async fn sleep(&self, how_long: std::time::Duration) {
        tokio::time::sleep(how_long).await;
    }
}

async fn answer(State(fake): State<Arc<FakePeople>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, 160 * 1024 * 1024).await else {
        return http::StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    match fake.handle(http::Request::from_parts(parts, bytes)) {
        Some(answer) => answer.map(Body::from),
        None => {
            let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            Body::from_stream(futures::stream::iter([Err::<bytes::Bytes, _>(lost)])).into_response()
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ready at http://{}", listener.local_addr()?);
    let fake = FakePeople::new(Arc::new(Now)).shared();
    axum::serve(listener, axum::Router::new().fallback(answer).with_state(fake)).await
}
