//! One client per service, sharing one HTTP connector and one set of credentials.
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
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
    /// The objects' service.
    pub s3: aws_sdk_s3::Client,
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
            s3: aws_sdk_s3::Client::from_conf(s3_config(&config)),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
        }
    }
}

/// A part of 8 MiB may take longer than a request of a table. Where an address replaces S3 (the emulator), buckets have no host
/// names of their own.
fn s3_config(config: &SdkConfig) -> aws_sdk_s3::Config {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let builder = aws_sdk_s3::config::Builder::from(config).timeout_config(timeouts);
    plain_checksums(builder.force_path_style(config.endpoint_url().is_some())).build()
}

/// Without the SDK's own CRC: the signature covers the bytes that we send, and an address for others to upload to must not be
/// bound to the checksum of no bytes.
pub(crate) fn plain_checksums(builder: aws_sdk_s3::config::Builder) -> aws_sdk_s3::config::Builder {
    builder
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
}
