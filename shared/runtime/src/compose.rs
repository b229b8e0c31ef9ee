//! Wires the ports of this process: the clock, the table, the queues, the secrets.
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::connectors::OpenConnectors;
use crate::log::init_logs;
use std::sync::Arc;
use tandem_aws::{AwsClients, DynamoTable, KmsSecrets, OAuthSecretError, SqsQueue, read_oauth_secret};
use tandem_engine::{Engine, EngineConfig};
use tandem_http::{Authority, Oidc, ReqwestTransport, TransportSetupError};
use tandem_ports::infra::{Clock, HttpTransport, JobQueue, Secrets};
use tandem_ports::table::Table;
use tandem_store::Store;

/// What everything else is built from.
#[derive(Clone)]
pub struct Ports {
    /// The configuration, with the OAuth clients.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The table (the built-in CRM builds on it directly).
    pub table: Arc<dyn Table>,
    /// The durable state.
    pub store: Store,
    /// The queues.
    pub queue: Arc<dyn JobQueue>,
    /// Envelope encryption.
    pub secrets: Arc<dyn Secrets>,
    /// The way out, and the transports that act for connections.
    pub authority: Authority,
    /// The way out, for what is nobody's: Google's public keys.
    pub transport: Arc<dyn HttpTransport>,
}

/// The function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is not as it must be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The OAuth clients cannot be read.
    #[error(transparent)]
    OAuth(#[from] OAuthSecretError),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Transport(#[from] TransportSetupError),
}

/// Starts logging, reads the configuration and connects. The one request it may make is that for the OAuth secret.
pub async fn start() -> Result<Ports, StartError> {
    let mut config = Config::from_env()?;
    init_logs(&config.log);
    let aws = AwsClients::connect().await;
    if let Some(arn) = &config.oauth_secret {
        let secret = read_oauth_secret(&aws.secrets, arn).await?;
        config.add_oauth_secret(secret);
    }
    Ok(Ports::new(config, &aws)?)
}

impl Ports {
    /// The engine on these ports.
    pub fn engine(&self) -> Engine {
        let connectors = Arc::new(OpenConnectors { ports: self.clone() });
        let config = EngineConfig { change_log_days: self.config.change_log_days, ..EngineConfig::default() };
        let (queue, clock, secrets) = (Arc::clone(&self.queue), Arc::clone(&self.clock), Arc::clone(&self.secrets));
        Engine::new(self.store.clone(), queue, clock, secrets, connectors, config)
    }

    /// Checks the ID tokens that Google signs. Make one in a process: it keeps Google's keys.
    pub fn oidc(&self) -> Oidc {
        Oidc::new(Arc::clone(&self.transport), Arc::clone(&self.clock), &self.config.google.certs_url)
    }

    fn new(config: Config, aws: &AwsClients) -> Result<Self, TransportSetupError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let table: Arc<dyn Table> = Arc::new(DynamoTable::new(aws.dynamodb.clone(), &config.table));
        let secrets: Arc<dyn Secrets> = Arc::new(KmsSecrets::new(aws.kms.clone(), &config.kms_key, Arc::clone(&clock)));
        let store = Store::new(Arc::clone(&table));
        let transport: Arc<dyn HttpTransport> = Arc::new(ReqwestTransport::new()?);
        Ok(Self {
            authority: Authority::new(Arc::clone(&transport), store.clone(), Arc::clone(&secrets), Arc::clone(&clock)),
            clock,
            store,
            table,
            queue: Arc::new(SqsQueue::new(aws.sqs.clone(), config.queues.clone())),
            secrets,
            config: Arc::new(config),
            transport,
        })
    }
}
