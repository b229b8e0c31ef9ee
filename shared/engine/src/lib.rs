//! The imperative shell: lease → checkpoint → observe → plan → execute → commit → continue.
//!
//! It knows records as fields, providers as [`Connector`]s and the durable state as [`Store`]; no provider, no AWS.
//! [`Engine::work`] runs one job within one budget; [`Engine::fan_out`] enqueues what is due; the rest of [`Engine`]
//! is what people ask of it through the API.
mod blocks;
pub mod budget;
mod changelog;
mod desk;
mod execute;
mod fanout;
mod files;
mod flow;
mod hold;
mod job;
mod mail;
mod observe;
mod occurrences;
mod pairing;
mod pipeline;
mod prepare;
mod preview;
mod push;
mod push_keep;
mod records;
mod recover;
mod session;
mod settle;
mod undo;

pub use budget::Budget;
pub use changelog::ChangeView;
pub use mail::{BarAsk, BarMessage, BarPerson};
pub use preview::{ExcludedCount, Preview, SidePreview};
pub use push::{Greeting, Heard, Notice, PushView};
pub use records::{CopyView, RecordQuery, RecordView, state_of};
pub use undo::{NotUndone, Undone};

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::policy::Direction;
use tandem_core::profile::{Profile, Settings};
use tandem_core::record::{ContainerId, Side, SyncId};
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::FileSide;
use tandem_ports::infra::{Clock, JobQueue, Secrets};
use tandem_ports::mail::{MailDesk, MailSource};
use tandem_ports::push::Push;
use tandem_store::connection::Connection;
use tandem_store::{Store, StoreError};

/// Opens connectors. The composition (runtime) implements it; the engine never names a provider.
#[async_trait]
pub trait Connectors: Send + Sync {
    /// The connector of one side of a sync.
    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError>;

    /// What the account's user did not grant and a sync of this profile in this direction needs, in the provider's words;
    /// `None`: nothing, or the provider grants all or nothing.
    fn missing_scope(
        &self,
        connection: &Connection,
        profile: &'static Profile,
        direction: Direction,
    ) -> Option<String> {
        let _ = (connection, profile, direction);
        None
    }

    /// One side of a files sync; for the remote side [`Opening::container`] is its root, once there is one.
    async fn open_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        let detail = format!("This release has no files of `{}`.", ask.connection.provider);
        Err(ConnectorError::new("tandem", "open", ErrorKind::Forbidden, detail))
    }

    /// The CRM that mail is filed in (the left side), and the mailbox (the right one).
    async fn open_mail(&self, crm: Opening<'_>, remote: Opening<'_>) -> Result<MailPorts, ConnectorError> {
        let detail = format!("This release files no mail of `{}`.", remote.connection.provider);
        let _ = crm;
        Err(ConnectorError::new("tandem", "open_mail", ErrorKind::Forbidden, detail))
    }

    /// How a side tells of changes by itself; `None` where it never does.
    async fn open_push(&self, ask: Opening<'_>) -> Result<Option<Arc<dyn Push>>, ConnectorError> {
        let _ = ask;
        Ok(None)
    }
}

/// Both sides of a mail sync.
#[derive(Clone)]
pub struct MailPorts {
    /// The CRM.
    pub desk: Arc<dyn MailDesk>,
    /// The mailbox.
    pub source: Arc<dyn MailSource>,
}

/// What a connector is opened for.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The sync that it is opened for.
    pub sync: &'a SyncId,
    /// The account.
    pub connection: &'a Connection,
    /// The profile's rules.
    pub profile: &'static Profile,
    /// The user's settings.
    pub settings: &'a Settings,
    /// Which side of the sync it is.
    pub side: Side,
    /// The container that bounds it, once it exists.
    pub container: Option<&'a ContainerId>,
}

/// Times and sizes. The defaults are what `template.yaml` deploys.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// How long a lease lasts unless renewed; longer than any single provider call with its repeats.
    pub lease: Duration,
    /// When the schedule looks again at a sync whose job may have got lost.
    pub watchdog: Duration,
    /// How long change logs are kept, in days; 0 keeps none.
    pub change_log_days: u32,
    /// How often a files plan is made anew before what it would still do without a call is given up and said.
    pub quiet_rounds: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(120),
            watchdog: Duration::from_secs(300),
            change_log_days: 30,
            // A round settles what the one before it uncovered: a few are enough.
            quiet_rounds: 64,
        }
    }
}

/// The sync engine.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    queue: Arc<dyn JobQueue>,
    clock: Arc<dyn Clock>,
    secrets: Arc<dyn Secrets>,
    connectors: Arc<dyn Connectors>,
    config: EngineConfig,
}

impl Engine {
    /// An engine on these ports.
    pub fn new(
        store: Store,
        queue: Arc<dyn JobQueue>,
        clock: Arc<dyn Clock>,
        secrets: Arc<dyn Secrets>,
        connectors: Arc<dyn Connectors>,
        config: EngineConfig,
    ) -> Self {
        Self { store, queue, clock, secrets, connectors, config }
    }

    /// Why a sync of this profile in this direction cannot work with this account as it was connected; `None`: it can.
    pub fn lacks(&self, connection: &Connection, profile: &'static Profile, direction: Direction) -> Option<String> {
        let scope = self.connectors.missing_scope(connection, profile, direction)?;
        Some(format!("The {} account did not grant `{scope}`; connect it again and allow it.", connection.provider))
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It cannot be done in the state that things are in.
    #[error("{message}")]
    Conflict {
        /// For programs.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// A provider asks us to wait.
    #[error("{message}")]
    Throttled {
        /// How long.
        retry_after: Duration,
        /// For people.
        message: String,
    },
    /// The user must connect again.
    #[error("{message}")]
    Reconnect {
        /// Which side.
        side: Side,
        /// For people.
        message: String,
    },
    /// A right or a scope is missing.
    #[error("{message}")]
    Forbidden {
        /// For people.
        message: String,
    },
    /// Something did not answer; it may be tried again.
    #[error("the service is unavailable for a moment")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        EngineError::Unavailable(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves_between_threads<T: Send>(_: &T) {}

    #[test]
    fn a_job_and_a_look_may_move_between_threads() {
        // Never called: that it compiles is the proof.
        let _proof = |engine: Engine, job: tandem_ports::infra::Job, sync: tandem_store::sync::Sync, budget: Budget| {
            moves_between_threads(&engine.work(&job, &budget));
            moves_between_threads(&engine.preview(&sync, &budget));
        };
    }
}
