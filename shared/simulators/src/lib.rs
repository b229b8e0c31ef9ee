//! The providers as local servers: each connector's fake on a socket of 127.0.0.1, with its control plane under
//! `/_sim/<provider>/` and its state in a file.
mod serve;
mod tell;

pub use serve::{Simulator, router};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tandem_dropbox::fake::FakeDropbox;
use tandem_google::fake::FakeGoogle;
use tandem_ports::infra::Clock;
use tandem_sell::fake::FakeSell;
use tandem_teamleader::fake::FakeTeamleader;
use tandem_zoho::fake::FakeZoho;

/// Every provider with a fake. Another one is a line here, and its [`Provider`].
pub const PROVIDERS: &[Entry] = &[
    Entry::of::<FakeGoogle>(),
    Entry::of::<FakeDropbox>(),
    Entry::of::<FakeTeamleader>(),
    Entry::of::<FakeZoho>(),
    Entry::of::<FakeSell>(),
];

/// A provider in memory, as its connector's `fake` feature has it.
pub trait Provider: Send + Sync + Sized + 'static {
    /// As in connections, options (`--<name>-port`) and the control plane (`/_sim/<name>/`).
    const NAME: &'static str;
    /// One that holds nothing; its time comes from `clock`.
    fn empty(clock: Arc<dyn Clock>) -> Self;
    /// One that holds what [`Provider::save`] gave.
    fn load(clock: Arc<dyn Clock>, saved: &str) -> Result<Self, serde_json::Error>;
    /// Everything it holds, as JSON.
    fn save(&self) -> String;
    /// Grows with every change of what it holds.
    fn revision(&self) -> u64;
    /// How long an answer should be held back.
    fn latency(&self) -> Duration;
    /// Sets that.
    fn set_latency(&self, latency: Duration);
    /// Takes the notifications that wait, as the requests that the provider sends.
    fn outbox(&self) -> Vec<Request<Bytes>>;
    /// Answers a request; `None` means that the connection broke before an answer came.
    fn handle(&self, request: Request<Bytes>) -> Option<Response<Bytes>>;
}

/// Every fake has these methods; this gives them their common name. Those that tell nobody have no outbox.
macro_rules! provider {
    ($fake:ty, $name:literal) => {
        provider!($fake, $name, |_| Vec::new());
    };
    ($fake:ty, $name:literal, $outbox:expr) => {
        impl Provider for $fake {
            const NAME: &'static str = $name;
            fn empty(clock: Arc<dyn Clock>) -> Self {
                <$fake>::new(clock)
            }
            fn load(clock: Arc<dyn Clock>, saved: &str) -> Result<Self, serde_json::Error> {
                <$fake>::load(clock, saved)
            }
            fn save(&self) -> String {
                self.save()
            }
            fn revision(&self) -> u64 {
                self.revision()
            }
            fn latency(&self) -> Duration {
                self.latency()
            }
            fn set_latency(&self, latency: Duration) {
                let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
                self.set(|settings| settings.latency_ms = latency_ms);
            }
            fn outbox(&self) -> Vec<Request<Bytes>> {
                let outbox: fn(&$fake) -> Vec<Request<Bytes>> = $outbox;
                outbox(self)
            }
            fn handle(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
                self.handle(request)
            }
        }
    };
}

provider!(FakeGoogle, "google", FakeGoogle::outbox);
provider!(FakeDropbox, "dropbox", FakeDropbox::outbox);
provider!(FakeTeamleader, "teamleader", FakeTeamleader::outbox);
provider!(FakeZoho, "zoho", FakeZoho::outbox);
provider!(FakeSell, "sell");

/// How a simulator is run.
pub struct Order {
    /// Where the state is kept, in `<provider>.json`.
    pub dir: PathBuf,
    /// On 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// How long every answer takes; `None`: as the stored state says.
    pub latency: Option<Duration>,
    /// Ends it.
    pub stop: BoxFuture<'static, ()>,
}

/// A provider that can be served.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Serves it until it is stopped.
    pub run: fn(Order) -> BoxFuture<'static, Result<(), SimulatorError>>,
}

impl Entry {
    const fn of<P: Provider>() -> Self {
        Self { name: P::NAME, run: |order| Box::pin(run::<P>(order)) }
    }
}

async fn run<P: Provider>(order: Order) -> Result<(), SimulatorError> {
    let simulator = Simulator::<P>::open(&order.dir)?;
    if let Some(latency) = order.latency {
        simulator.fake().set_latency(latency);
    }
    simulator.serve(order.port, order.stop).await
}

/// Why a simulator does not start or stop well.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// There is no way to send notifications.
    #[error("notifications cannot be sent")]
    Client(#[source] tandem_http::TransportSetupError),
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
