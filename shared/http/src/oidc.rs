//! ID tokens that Google signs for us (OpenID Connect, RS256): checked by its public keys, which change every few days.
//!
//! On `ring`, which the TLS stack brings already: the JWT crates want a second crypto library or a process-wide one, and
//! their own clock. Only what Google uses is understood; everything else is refused.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, header};
use jiff::{SignedDuration, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tandem_ports::infra::{Clock, HttpTransport};
use tokio::sync::Mutex;

/// Both are Google (OpenID Connect, "Validating an ID token").
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// How far our clock and Google's may lie apart.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// How long keys are kept where the answer does not say.
const DEFAULT_AGE: i64 = 3600;
/// However long the answer says: a key that Google takes back is not believed for longer.
const LONGEST_AGE: i64 = 86_400;
/// A token with an unknown key makes us ask for the keys at most this often: forged ones shall cost Google nothing.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// The same after an answer that did not come or was none.
const NO_ANSWER: SignedDuration = SignedDuration::from_secs(5);
/// A token is a few hundred bytes; what is longer is not looked at.
const MOST_BYTES: usize = 8 * 1024;

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// It is not for us, not by Google, over, or none at all. The reason names no part of the token.
    #[error("the token is refused: {0}")]
    Refused(&'static str),
    /// Google's keys could not be had, so nothing can be said.
    #[error("the keys that sign the tokens cannot be read")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The only audience (`aud`) that is ours.
    pub audience: &'a str,
    /// The account that must hold it, by its verified address; `None`: whoever Google says it is.
    pub email: Option<&'a str>,
}

/// Whom a token is for.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// Google's id of the account.
    pub subject: String,
    /// Its address, where the token says that Google has verified it.
    pub email: Option<String>,
    /// When it ends.
    pub expires: Timestamp,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claims").field("expires", &self.expires).finish_non_exhaustive()
    }
}

struct PublicKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

/// The keys as they were read.
#[derive(Default)]
struct Keys {
    by_id: HashMap<String, Arc<PublicKey>>,
    /// Not used from then on.
    until: Option<Timestamp>,
    /// Not asked for before then.
    ask_from: Option<Timestamp>,
}

/// Checks ID tokens. Keeps the keys between calls; share one in a process.
pub struct Oidc {
    transport: Arc<dyn HttpTransport>,
    clock: Arc<dyn Clock>,
    certs_url: String,
    keys: Mutex<Keys>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

/// As they are in the token: each is checked by hand, and one of another type refuses the token.
#[derive(Deserialize)]
struct Said {
    iss: String,
    aud: String,
    sub: String,
    exp: i64,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Value>,
}

impl Oidc {
    /// `certs_origin` is the origin whose `/oauth2/v3/certs` has the keys (`TANDEM_GOOGLE_CERTS_URL`).
    pub fn new(transport: Arc<dyn HttpTransport>, clock: Arc<dyn Clock>, certs_origin: &str) -> Self {
        let certs_url = format!("{certs_origin}/oauth2/v3/certs");
        Self { transport, clock, certs_url, keys: Mutex::default() }
    }

    /// Checks the value of an `Authorization` header, `Bearer <token>`.
    pub async fn verify_bearer(&self, header: &str, expected: Expected<'_>) -> Result<Claims, OidcError> {
        let token = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "));
        self.verify(token.ok_or(OidcError::Refused("there is no bearer token"))?.trim(), expected).await
    }

    /// Checks a token: form, algorithm, signature, issuer, audience, times and, where one is expected, the account. What
    /// costs nothing is checked before Google is asked for keys.
    pub async fn verify(&self, token: &str, expected: Expected<'_>) -> Result<Claims, OidcError> {
        if token.len() > MOST_BYTES {
            return Err(OidcError::Refused("it is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(OidcError::Refused("it is no token"))?;
        let (header, claims) = signed.split_once('.').ok_or(OidcError::Refused("it is no token"))?;
        let header: Header = part(header)?;
        // Never by what the token asks for: `none` and `HS256` under a public key are the classic forgeries.
        if header.alg != "RS256" {
            return Err(OidcError::Refused("it is signed by another algorithm"));
        }
        let said: Said = part(claims)?;
        let claims = judge(said, expected, self.clock.now())?;
        let signature = decoded(signature)?;
        let key = self.key(&header.kid).await?.ok_or(OidcError::Refused("Google has no such key"))?;
        RsaPublicKeyComponents { n: &key.n, e: &key.e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
            .map_err(|_| OidcError::Refused("the signature is not Google's"))?;
        Ok(claims)
    }

    /// The key of this id, asking Google where ours are too old, or do not have it.
    async fn key(&self, kid: &str) -> Result<Option<Arc<PublicKey>>, OidcError> {
        // Held while asking: those who come meanwhile wait for the one answer.
        let mut keys = self.keys.lock().await;
        let now = self.clock.now();
        let fresh = keys.until.is_some_and(|until| now < until);
        let known = keys.by_id.get(kid).filter(|_| fresh).cloned();
        let asked_lately = keys.ask_from.is_some_and(|from| now < from);
        match (known, asked_lately) {
            (Some(known), _) => return Ok(Some(known)),
            (None, true) if fresh => return Ok(None),
            // Google was asked and has not answered: a forged token must not make us ask for each.
            (None, true) => return Err(OidcError::Unavailable("Google's keys could not be read just now".into())),
            (None, false) => {}
        }
        keys.ask_from = Some(now + NO_ANSWER);
        let answer = self.fetch().await?;
        keys.by_id = read_keys(&answer)?;
        keys.until = Some(now + SignedDuration::from_secs(age(&answer)));
        keys.ask_from = Some(now + ASK_AGAIN);
        Ok(keys.by_id.get(kid).cloned())
    }

    async fn fetch(&self) -> Result<Response<Bytes>, OidcError> {
        let request = http::Request::get(&self.certs_url).body(Bytes::new());
        let request = request.map_err(|error| OidcError::Unavailable(Box::new(error)))?;
        let answer = self.transport.send(request).await.map_err(|error| OidcError::Unavailable(Box::new(error)))?;
        if answer.status() != http::StatusCode::OK {
            return Err(OidcError::Unavailable(format!("status {}", answer.status().as_u16()).into()));
        }
        Ok(answer)
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, OidcError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| OidcError::Refused("it is no token"))
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, OidcError> {
    serde_json::from_slice(&decoded(text)?).map_err(|_| OidcError::Refused("its parts are not those of an ID token"))
}

/// What the claims say, against what they must.
fn judge(said: Said, expected: Expected<'_>, now: Timestamp) -> Result<Claims, OidcError> {
    let refuse = |why| Err(OidcError::Refused(why));
    let time = |seconds| Timestamp::from_second(seconds).map_err(|_| OidcError::Refused("its times are none"));
    if !ISSUERS.contains(&said.iss.as_str()) {
        return refuse("it is not by Google");
    }
    if expected.audience.is_empty() || said.aud != expected.audience {
        return refuse("it is for somebody else");
    }
    let expires = time(said.exp)?;
    if now >= expires + SKEW {
        return refuse("it is over");
    }
    for from in [said.iat, said.nbf].into_iter().flatten() {
        if now + SKEW < time(from)? {
            return refuse("it is not valid yet");
        }
    }
    // Google says it as a boolean; some of its libraries write the word.
    let verified = matches!(&said.email_verified, Some(Value::Bool(true)))
        || said.email_verified.as_ref().and_then(Value::as_str) == Some("true");
    let email = said.email.filter(|_| verified);
    if let Some(wanted) = expected.email
        && (wanted.is_empty() || !email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(wanted)))
    {
        return refuse("it is of another account");
    }
    Ok(Claims { subject: said.sub, email, expires })
}

/// How long an answer may be kept, in seconds.
fn age(answer: &Response<Bytes>) -> i64 {
    let said = answer.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let age = said.split(',').find_map(|word| word.trim().strip_prefix("max-age=")?.parse::<i64>().ok());
    age.unwrap_or(DEFAULT_AGE).clamp(ASK_AGAIN.as_secs(), LONGEST_AGE)
}

/// The RSA keys of a JSON Web Key Set (RFC 7517, 7518 section 6.3.1).
fn read_keys(answer: &Response<Bytes>) -> Result<HashMap<String, Arc<PublicKey>>, OidcError> {
    #[derive(Deserialize)]
    struct Jwk {
        kty: String,
        kid: String,
        n: String,
        e: String,
    }
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(answer.body()).map_err(|error| OidcError::Unavailable(Box::new(error)))?;
    // A key of a kind that we do not know is passed over.
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys = keys.filter(|key| key.kty == "RSA").filter_map(|key| {
        let (n, e) = (URL_SAFE_NO_PAD.decode(key.n).ok()?, URL_SAFE_NO_PAD.decode(key.e).ok()?);
        Some((key.kid, Arc::new(PublicKey { n, e })))
    });
    Ok(keys.collect())
}
