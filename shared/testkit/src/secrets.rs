//! Secrets in memory: real authenticated encryption under a fixed key, so a wrong owner is refused as in production.
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use tandem_ports::infra::{Sealed, SecretError, SecretOwner, Secrets};

/// Seals under one fixed key; the nonce follows from the text, so that a run is repeatable.
pub struct MemorySecrets;

fn cipher() -> Aes256Gcm {
    Aes256Gcm::new(&[7u8; 32].into())
}

fn context(owner: &SecretOwner) -> Vec<u8> {
    serde_json::to_vec(owner).expect("two strings serialise")
}

#[async_trait]
impl Secrets for MemorySecrets {
    async fn seal(&self, owner: &SecretOwner, plain: &[u8]) -> Result<Sealed, SecretError> {
        let nonce: [u8; 12] = Sha256::digest(plain)[..12].try_into().expect("a digest has 32 bytes");
        let aad = context(owner);
        let sealed = cipher()
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: &aad })
            .map_err(|_| SecretError::Refused)?;
        Ok(Sealed(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat())))
    }

    async fn open(&self, owner: &SecretOwner, sealed: &Sealed) -> Result<Vec<u8>, SecretError> {
        let bytes = STANDARD_NO_PAD.decode(&sealed.0).map_err(|_| SecretError::Refused)?;
        let (nonce, body) = bytes.split_at_checked(12).ok_or(SecretError::Refused)?;
        let nonce: [u8; 12] = nonce.try_into().expect("split at 12");
        let aad = context(owner);
        cipher().decrypt(&Nonce::from(nonce), Payload { msg: body, aad: &aad }).map_err(|_| SecretError::Refused)
    }
}
