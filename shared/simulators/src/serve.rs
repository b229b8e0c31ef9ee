//! One provider on a socket, and its state on disk.
use crate::tell::tell;
use crate::{Provider, SimulatorError, SystemClock};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tandem_http::ReqwestTransport;
use tandem_ports::infra::Clock;

/// Largest request body taken, in bytes: Dropbox takes 150 MB in one call.
const MOST_BYTES: usize = 160 * 1024 * 1024;
/// How long a change may wait before it is on disk.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// A provider as a server.
pub struct Simulator<P> {
    fake: Arc<P>,
    file: PathBuf,
}

impl<P: Provider> Simulator<P> {
    /// Opens the state in `dir/<name>.json`, or starts empty.
    pub fn open(dir: &Path) -> Result<Self, SimulatorError> {
        let file = dir.join(format!("{}.json", P::NAME));
        let broken = |source: std::io::Error| SimulatorError::State { path: file.clone(), source };
        std::fs::create_dir_all(dir).map_err(broken)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let fake = match std::fs::read_to_string(&file) {
            Ok(saved) => P::load(clock, &saved).map_err(|e| broken(std::io::Error::other(e)))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => P::empty(clock),
            Err(error) => return Err(broken(error)),
        };
        Ok(Self { fake: Arc::new(fake), file })
    }

    /// The provider itself.
    pub fn fake(&self) -> &Arc<P> {
        &self.fake
    }

    /// Writes the state beside the file and then over it, so that a crash leaves the old one or the new one.
    pub fn save(&self) -> Result<(), SimulatorError> {
        let broken = |source: std::io::Error| SimulatorError::State { path: self.file.clone(), source };
        let fresh = self.file.with_extension("json.new");
        std::fs::write(&fresh, self.fake.save()).map_err(broken)?;
        std::fs::rename(&fresh, &self.file).map_err(broken)
    }

    /// Serves until `stop` is done, saving within a second of every change and once more at the end.
    pub async fn serve(self, port: u16, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), SimulatorError> {
        let broken = |source: std::io::Error| SimulatorError::Port { port, source };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(broken)?;
        let address = listener.local_addr().map_err(broken)?;
        println!("{} simulator ready at http://{address}", P::NAME);
        let server = axum::serve(listener, router(Arc::clone(&self.fake))).with_graceful_shutdown(stop);
        let telling =
            tokio::spawn(tell(Arc::clone(&self.fake), ReqwestTransport::new().map_err(SimulatorError::Client)?));
        let serving = async { server.await.map_err(broken) };
        tokio::pin!(serving);
        let mut saved = self.fake.revision();
        let ended = loop {
            tokio::select! {
                ended = &mut serving => break ended,
                () = tokio::time::sleep(SAVE_EVERY) => {
                    let now = self.fake.revision();
                    if now != saved {
                        self.save()?;
                        saved = now;
                    }
                }
            }
        };
        telling.abort();
        self.save()?;
        ended
    }
}

/// All of a provider's paths under one origin.
pub fn router<P: Provider>(fake: Arc<P>) -> Router {
    let health = get(|| async { axum::Json(serde_json::json!({"status": "ok"})) });
    Router::new().route("/_sim/healthz", health).fallback(answer::<P>).with_state(fake)
}

async fn answer<P: Provider>(State(fake): State<Arc<P>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MOST_BYTES).await else {
        return http::StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let is_control = parts.uri.path().starts_with("/_sim/");
    let latency = fake.latency();
    if !latency.is_zero() && !is_control {
        tokio::time::sleep(latency).await;
    }
    match fake.handle(http::Request::from_parts(parts, bytes)) {
        Some(answer) => answer.map(Body::from),
        None => broken_connection(),
    }
}

/// An answer whose body never comes: the connection is cut, and the client cannot know what happened.
fn broken_connection() -> Response {
    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(futures::stream::iter([Err::<bytes::Bytes, _>(lost)])).into_response()
}
