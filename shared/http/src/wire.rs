//! What a token address answers, told apart before it is parsed as tokens.
use bytes::Bytes;
use http::StatusCode;
use oauth2::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use tandem_ports::infra::{HttpTransport, TransportError};

/// Longest error code that is passed on. RFC 6749 knows none that is longer.
const MOST_CODE: usize = 64;

/// No token came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the address answered {0}")]
    Status(StatusCode),
    #[error("the token address asks to be asked less often")]
    Throttled,
    #[error("the token address refuses: {}", .0.code)]
    Refused(Refusal),
}

/// An answer with an OAuth `error` in it.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// OAuth's error code.
    pub code: String,
    /// What the provider says besides, in lower case; only to be judged, never shown.
    text: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    error: Value,
    error_description: Value,
    message: Value,
    hint: Value,
}

impl Refusal {
    fn of(body: &[u8]) -> Option<Self> {
        let said: Said = serde_json::from_slice(body).ok()?;
        let code = said.error.as_str()?;
        let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        let code = code.to_lowercase().chars().filter(is_plain).take(MOST_CODE).collect();
        let texts = [&said.error_description, &said.message, &said.hint];
        let texts: Vec<&str> = texts.into_iter().filter_map(Value::as_str).collect();
        Some(Self { code, text: texts.join(" ").to_lowercase() })
    }

    /// Zoho throttles with HTTP 200 and `access_denied`, "You have made too many requests continuously". (At a token
    /// address RFC 6749 §5.2 has no `access_denied`: a user who declines says so in the browser.)
    pub(crate) fn is_throttling(&self) -> bool {
        self.code == "access_denied" || self.text.contains("too many requests")
    }

    /// RFC 6749's `invalid_grant`; Zoho's `invalid_code`, for codes and refresh tokens; and Teamleader's
    /// `invalid_request` with the hint "Token has been revoked".
    pub(crate) fn is_about_the_grant(&self) -> bool {
        let says = |words: &[&str]| words.iter().any(|word| self.text.contains(word));
        match self.code.as_str() {
            "invalid_grant" | "invalid_code" => true,
            "invalid_request" => says(&["has been revoked", "has expired", "token is invalid"]),
            _ => false,
        }
    }
}

type Answer = futures::future::BoxFuture<'static, Result<HttpResponse, WireError>>;

/// Our transport as oauth2's client. Only an answer that may hold tokens gets to its parser: a 5xx or 429 says nothing
/// about the grant, and a refusal is one whatever its status (Zoho refuses with 200).
pub(crate) fn wire(transport: Arc<dyn HttpTransport>) -> impl Fn(HttpRequest) -> Answer + Send + Sync {
    move |request| {
        let transport = Arc::clone(&transport);
        Box::pin(async move {
            let answer = transport.send(request.map(Bytes::from)).await?;
            let status = answer.status();
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(WireError::Status(status));
            }
            if let Some(refusal) = Refusal::of(answer.body()) {
                return Err(WireError::Refused(refusal));
            }
            if status != StatusCode::OK {
                return Err(WireError::Status(status));
            }
            Ok(answer.map(Vec::from))
        })
    }
}
