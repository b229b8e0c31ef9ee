//! The only crate that speaks to AWS: the table on DynamoDB, the queues on SQS, secrets under KMS.
//!
//! Each type is thin: what it promises stands in `tandem-ports`, and the suites of `tandem-testkit` hold it to that.
mod clients;
mod convert;
mod dynamo;
mod expression;
mod kms;
mod oauth;
mod retry;
mod s3;
mod sqs;

pub use clients::AwsClients;
pub use dynamo::DynamoTable;
pub use kms::KmsSecrets;
pub use oauth::{OAuthSecretError, read_oauth_secret};
pub use s3::S3Blobs;
pub use sqs::{QueueUrls, SqsQueue};
