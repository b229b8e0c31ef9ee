//! The providers as local servers: each connector's fake on a socket of 127.0.0.1, with its control plane under
//! `/_sim/<provider>/` and its state in a file.
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tandem_google::fake::FakePeople;
use tandem_ports::infra::Clock;

/// Largest request body taken, in bytes. A batch of 200 contacts stays far below.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How long a change may wait before it is on disk.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// Why a simulator does not start or stop well.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The state file is there but cannot be read as one.
    #[error("the state file {path} cannot be read")]
    State {
        /// Which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The port is taken, or the server stopped.
    #[error("port {port} cannot be served")]
    Port {
        /// Which port.
        port: u16,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// The machine's clock.
pub struct SystemClock;

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

/// Google as a server.
pub struct GoogleSimulator {
    fake: Arc<FakePeople>,
    file: PathBuf,
}

impl GoogleSimulator {
    /// Opens the state in `dir/google.json`, or starts empty.
    pub fn open(dir: &Path) -> Result<Self, SimulatorError> {
        let file = dir.join("google.json");
        let broken = |source: std::io::Error| SimulatorError::State { path: file.clone(), source };
        std::fs::create_dir_all(dir).map_err(broken)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let fake = match std::fs::read_to_string(&file) {
            Ok(saved) => FakePeople::load(clock, &saved).map_err(|e| broken(std::io::Error::other(e)))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => FakePeople::new(clock),
            Err(error) => return Err(broken(error)),
        };
        Ok(Self { fake: fake.shared(), file })
    }

    /// The provider itself.
    pub fn fake(&self) -> &Arc<FakePeople> {
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
        println!("google simulator ready at http://{address}");
        let server = axum::serve(listener, router(Arc::clone(&self.fake))).with_graceful_shutdown(stop);
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
        self.save()?;
        ended
    }
}

/// All of Google's paths under one origin.
pub fn router(fake: Arc<FakePeople>) -> Router {
    let health = get(|| async { axum::Json(serde_json::json!({"status": "ok"})) });
    Router::new().route("/_sim/healthz", health).fallback(google).with_state(fake)
}

async fn google(State(fake): State<Arc<FakePeople>>, request: axum::extract::Request) -> Response {
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
