//! The OAuth clients' ids and secrets, kept together as one JSON secret.
use std::collections::BTreeMap;

/// The secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OAuthSecretError {
    /// Secrets Manager did not hand it out.
    #[error("the secret with the OAuth clients cannot be read")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is no JSON object of strings. The text itself is not shown.
    #[error(
        "the secret with the OAuth clients must be a JSON object of strings, such as {{\"TANDEM_GOOGLE_CLIENT_ID\": \"…\"}}"
    )]
    Malformed,
}

/// Reads the secret: a JSON object whose names are those of the variables (`TANDEM_GOOGLE_CLIENT_ID`, …).
pub async fn read_oauth_secret(
    client: &aws_sdk_secretsmanager::Client,
    arn: &str,
) -> Result<BTreeMap<String, String>, OAuthSecretError> {
    let answer = client.get_secret_value().secret_id(arn).send().await;
    let answer = answer.map_err(|error| OAuthSecretError::Unavailable(Box::new(error)))?;
    parse(answer.secret_string().unwrap_or_default())
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, OAuthSecretError> {
    serde_json::from_str(text).map_err(|_| OAuthSecretError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_an_object_of_strings() {
        assert_eq!(parse(r#"{"TANDEM_GOOGLE_CLIENT_ID":"a"}"#).unwrap()["TANDEM_GOOGLE_CLIENT_ID"], "a");
    }

    #[test]
    fn a_malformed_secret_is_refused_without_showing_it() {
        let error = parse(r#"{"TANDEM_GOOGLE_CLIENT_SECRET": hunter2}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
