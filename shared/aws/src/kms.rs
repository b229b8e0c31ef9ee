//! [`Secrets`] as envelope encryption: a KMS data key per owner, AES-256-GCM under it.
//!
//! `v1.<encrypted data key>.<nonce and ciphertext>`, both base64 (URL-safe, no padding). The owner is KMS's encryption
//! context *and* the associated data of the AEAD, so either of them alone refuses a secret that was moved or changed.
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tandem_ports::infra::{Clock, Sealed, SecretError, SecretOwner, Secrets};

/// The version of the format, part of the associated data.
const VERSION: &str = "v1";
/// How long a data key stays in memory: a batch of one sync pays for one KMS call, a leaked process for minutes.
const KEPT: SignedDuration = SignedDuration::from_secs(300);
/// Keys in memory at most; beyond it all are dropped, which costs KMS calls and nothing else.
const MOST_KEYS: usize = 512;
const NONCE_BYTES: usize = 12;

/// Secrets under one KMS key.
pub struct KmsSecrets {
    client: Client,
    key_id: String,
    clock: Arc<dyn Clock>,
    cache: Mutex<Cache>,
}

impl fmt::Debug for KmsSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsSecrets").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A data key, usable (`cipher`) and as stored (`wrapped`).
#[derive(Clone)]
struct DataKey {
    wrapped: Vec<u8>,
    cipher: Arc<Aes256Gcm>,
    until: Timestamp,
}

#[derive(Default)]
struct Cache {
    /// By associated data (the owner): the key that new secrets are sealed with.
    sealing: HashMap<Vec<u8>, DataKey>,
    /// By associated data and wrapped key: keys that opened something.
    opening: HashMap<(Vec<u8>, Vec<u8>), DataKey>,
}

impl KmsSecrets {
    /// Under this key (id, ARN or alias).
    pub fn new(client: Client, key_id: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { client, key_id: key_id.into(), clock, cache: Mutex::default() }
    }

    fn cached(&self, find: impl FnOnce(&Cache) -> Option<&DataKey>) -> Option<DataKey> {
        // A panic elsewhere leaves the map whole: it is a cache of complete entries.
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        find(&cache).filter(|key| key.until > self.clock.now()).cloned()
    }

    fn remember(&self, aad: &[u8], key: &DataKey, seals: Purpose) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.opening.len() >= MOST_KEYS {
            *cache = Cache::default();
        }
        cache.opening.insert((aad.to_vec(), key.wrapped.clone()), key.clone());
        if seals == Purpose::Seal {
            cache.sealing.insert(aad.to_vec(), key.clone());
        }
    }

    fn data_key(&self, wrapped: Vec<u8>, plain: &[u8]) -> Result<DataKey, SecretError> {
        let cipher = Aes256Gcm::new_from_slice(plain).map_err(|_| SecretError::Refused)?;
        Ok(DataKey { wrapped, cipher: Arc::new(cipher), until: self.clock.now() + KEPT })
    }

    async fn sealing_key(&self, owner: &SecretOwner, aad: &[u8]) -> Result<DataKey, SecretError> {
        if let Some(key) = self.cached(|cache| cache.sealing.get(aad)) {
            return Ok(key);
        }
        let request = self.client.generate_data_key().key_id(&self.key_id).key_spec(DataKeySpec::Aes256);
        let answer = request.set_encryption_context(Some(context(owner))).send().await.map_err(unavailable)?;
        let (Some(wrapped), Some(plain)) = (answer.ciphertext_blob, answer.plaintext) else {
            return Err(SecretError::Unavailable("KMS answered without a key".into()));
        };
        let key = self.data_key(wrapped.into_inner(), plain.as_ref())?;
        self.remember(aad, &key, Purpose::Seal);
        Ok(key)
    }

    async fn opening_key(&self, owner: &SecretOwner, aad: &[u8], wrapped: &[u8]) -> Result<DataKey, SecretError> {
        let name = (aad.to_vec(), wrapped.to_vec());
        if let Some(key) = self.cached(|cache| cache.opening.get(&name)) {
            return Ok(key);
        }
        let request = self.client.decrypt().key_id(&self.key_id).ciphertext_blob(Blob::new(wrapped));
        let answer =
            request.set_encryption_context(Some(context(owner))).send().await.map_err(|error| match error.code() {
                Some("InvalidCiphertextException" | "IncorrectKeyException") => SecretError::Refused,
                Some(_) | None => unavailable(error),
            })?;
        let plain = answer.plaintext.ok_or(SecretError::Refused)?;
        let key = self.data_key(wrapped.to_vec(), plain.as_ref())?;
        self.remember(aad, &key, Purpose::Open);
        Ok(key)
    }
}

/// What a data key in memory may be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Seal,
    Open,
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> SecretError {
    SecretError::Unavailable(Box::new(error))
}

fn context(owner: &SecretOwner) -> HashMap<String, String> {
    HashMap::from([("user".to_owned(), owner.user.clone()), ("thing".to_owned(), owner.thing.clone())])
}

/// Version and owner, unambiguous as JSON is: no two owners share it.
fn associated_data(owner: &SecretOwner) -> Vec<u8> {
    serde_json::to_vec(&(VERSION, &owner.user, &owner.thing)).expect("three strings serialise")
}

fn parse(sealed: &Sealed) -> Option<(Vec<u8>, [u8; NONCE_BYTES], Vec<u8>)> {
    let rest = sealed.0.strip_prefix(VERSION)?.strip_prefix('.')?;
    let (wrapped, body) = rest.split_once('.')?;
    let (wrapped, body) = (URL_SAFE_NO_PAD.decode(wrapped).ok()?, URL_SAFE_NO_PAD.decode(body).ok()?);
    let (nonce, ciphertext) = body.split_first_chunk::<NONCE_BYTES>()?;
    Some((wrapped, *nonce, ciphertext.to_vec()))
}

#[async_trait]
impl Secrets for KmsSecrets {
    async fn seal(&self, owner: &SecretOwner, plain: &[u8]) -> Result<Sealed, SecretError> {
        let aad = associated_data(owner);
        let key = self.sealing_key(owner, &aad).await?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain, aad: &aad };
        let ciphertext = key.cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| SecretError::Refused)?;
        let body = [nonce.as_slice(), &ciphertext].concat();
        Ok(Sealed(format!("{VERSION}.{}.{}", URL_SAFE_NO_PAD.encode(&key.wrapped), URL_SAFE_NO_PAD.encode(body))))
    }

    async fn open(&self, owner: &SecretOwner, sealed: &Sealed) -> Result<Vec<u8>, SecretError> {
        let (wrapped, nonce, ciphertext) = parse(sealed).ok_or(SecretError::Refused)?;
        let aad = associated_data(owner);
        let key = self.opening_key(owner, &aad, &wrapped).await?;
        let payload = Payload { msg: &ciphertext, aad: &aad };
        key.cipher.decrypt(&Nonce::from(nonce), payload).map_err(|_| SecretError::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(user: &str, thing: &str) -> SecretOwner {
        SecretOwner { user: user.to_owned(), thing: thing.to_owned() }
    }

    #[test]
    fn no_two_owners_share_their_associated_data() {
        assert_ne!(associated_data(&owner("a", "b")), associated_data(&owner("a\",\"b", "")));
        assert_ne!(associated_data(&owner("a", "b")), associated_data(&owner("b", "a")));
    }

    #[test]
    fn text_that_is_no_secret_of_ours_is_refused() {
        for text in
            ["", "v1", "v1.", "v1.AA", "v1.AA.AA", "v2.AA.AAAAAAAAAAAAAAAAAAAAAAAA", "v1.*.AAAAAAAAAAAAAAAAAAAA"]
        {
            assert!(parse(&Sealed(text.to_owned())).is_none(), "{text}");
        }
        assert!(parse(&Sealed("v1.AA.AAAAAAAAAAAAAAAAAAAAAAAA".to_owned())).is_some());
    }
}
