//! What the handlers work with.
use std::sync::Arc;
use std::time::Duration;
use tandem_builtin::users::{User, Users};
use tandem_builtin::{Crm, Files};
use tandem_core::record::UserId;
use tandem_engine::Engine;
use tandem_http::Connect;
use tandem_ports::infra::Clock;
use tandem_ports::table::Table;
use tandem_runtime::Ports;
use tandem_store::Store;

/// How long a bearer token that an administrator made is good.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// How long a browser session lasts.
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// How long a preview may look; API Gateway gives up after 30 s.
pub(crate) const PREVIEW_TIME: Duration = Duration::from_secs(20);

/// Everything a handler may ask.
#[derive(Clone)]
pub(crate) struct AppState {
    pub store: Store,
    pub engine: Engine,
    pub connect: Connect,
    pub users: Users,
    pub crm: Crm,
    /// The built-in CRM's files; `None` where this installation has no bucket for them.
    pub files: Option<Files>,
    pub clock: Arc<dyn Clock>,
    /// The origin that browsers reach us at, without a trailing slash.
    pub public_url: Arc<str>,
}

impl AppState {
    /// On the ports of this process.
    pub(crate) fn of(ports: &Ports) -> Self {
        let (store, table, clock) = (ports.store.clone(), Arc::clone(&ports.table), Arc::clone(&ports.clock));
        let state = Self::new(store, ports.engine(), ports.connect(), table, clock, &ports.config.public_url);
        let files = ports.blobs.clone().map(|blobs| Files::new(state.crm.clone(), blobs));
        Self { files, ..state }
    }

    pub(crate) fn new(
        store: Store,
        engine: Engine,
        connect: Connect,
        table: Arc<dyn Table>,
        clock: Arc<dyn Clock>,
        public_url: &str,
    ) -> Self {
        let users = Users::new(Arc::clone(&table), Arc::clone(&clock));
        let crm = Crm::new(table, Arc::clone(&clock));
        Self {
            store,
            engine,
            connect,
            users,
            crm,
            files: None,
            clock,
            public_url: public_url.trim_end_matches('/').into(),
        }
    }

    /// Whether browsers reach us by https only.
    pub(crate) fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// A user as the store names one.
pub(crate) fn id_of(user: &User) -> UserId {
    UserId::new(user.id.clone())
}
