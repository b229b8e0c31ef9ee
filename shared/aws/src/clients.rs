//! One client per service, sharing one HTTP connector and one set of credentials.
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;

/// The clients. Region, credentials and `AWS_ENDPOINT_URL` come from the environment, as the SDK reads it.
#[derive(Clone, Debug)]
pub struct AwsClients {
    /// The table's service.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The queues' service.
    pub sqs: aws_sdk_sqs::Client,
    /// The keys' service.
    pub kms: aws_sdk_kms::Client,
    /// Where the OAuth client secrets are kept.
    pub secrets: aws_sdk_secretsmanager::Client,
}

impl AwsClients {
    /// Reads the environment; makes no request yet.
    pub async fn connect() -> Self {
        Self::load(aws_config::defaults(BehaviorVersion::latest())).await
    }

    /// From what `loader` says, and the environment for the rest (tests lead it to the emulator).
    pub async fn load(loader: ConfigLoader) -> Self {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        // The SDK waits without limit by default; a lost answer must not eat a function's whole time.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(Duration::from_secs(10))
            .build();
        let config = loader.http_client(http).timeout_config(timeouts).load().await;
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            kms: aws_sdk_kms::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
        }
    }
}
