//! `serve PORT`: the fake on a socket of this machine, for trying clients against it.
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tandem_ports::infra::Clock;
use tandem_zoho::fake::FakeZoho;

struct Wall;

#[async_trait::async_trait]
impl Clock for Wall {
    #[expect(clippy::disallowed_methods, reason = "this is the clock itself")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
    async fn sleep(&self, how_long: std::time::Duration) {
        tokio::time::sleep(how_long).await;
    }
}

async fn answer(State(fake): State<Arc<FakeZoho>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, 16 * 1024 * 1024).await else {
        return http::StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    match fake.handle(http::Request::from_parts(parts, bytes)) {
        Some(answer) => answer.map(Body::from),
        None => {
            let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            Body::from_stream(futures::stream::iter([Err::<bytes::Bytes, _>(cut)])).into_response()
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    let fake = FakeZoho::new(Arc::new(Wall)).shared();
    axum::serve(listener, axum::Router::new().fallback(answer).with_state(fake)).await
}
