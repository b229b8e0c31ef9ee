//! What every function needs around the engine: configuration, logs, metrics, the SQS adapter, the composition.
mod batch;
mod clock;
mod compose;
mod config;
mod connectors;
mod hooks;
mod log;
mod metrics;
mod oauth;

pub use batch::{Worker, work_batch};
pub use clock::SystemClock;
pub use compose::{Ports, StartError, start};
pub use config::{AddonConfig, Config, ConfigError, GmailPush, Origin};
pub use hooks::{Answer, Hooks};
pub use log::{chain, init_logs};
pub use metrics::{Metric, Unit, emit};
pub use oauth::files_one_way;
pub use tandem_http::{Claims, Expected, Oidc, OidcError};
