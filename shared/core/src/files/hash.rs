//! Hashes over bytes that come in pieces, and whose computation can be laid aside between jobs.
use super::entry::{HashKind, Hashes};
use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};

/// The block of [`HashKind::BlockSha256`].
const BLOCK: u64 = 4 * 1024 * 1024;

/// Every kind of hash over the bytes so far.
#[derive(Clone, Debug)]
pub struct Digests {
    /// How many bytes went in.
    len: u64,
    whole: Sha256,
    blocks: Sha256,
    block: Sha256,
}

/// A computation laid aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestState {
    /// How many bytes went in.
    pub len: u64,
    whole: String,
    blocks: String,
    block: String,
}

impl Default for Digests {
    fn default() -> Self {
        Self { len: 0, whole: Sha256::new(), blocks: Sha256::new(), block: Sha256::new() }
    }
}

impl Digests {
    /// Adds the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while !bytes.is_empty() {
            let room = BLOCK - self.len % BLOCK;
            let take = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, rest) = bytes.split_at(take);
            self.block.update(now);
            self.len += now.len() as u64;
            if self.len.is_multiple_of(BLOCK) {
                let digest = std::mem::take(&mut self.block).finalize();
                self.blocks.update(digest);
            }
            bytes = rest;
        }
    }

    /// How many bytes went in.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing went in yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hashes of all that went in.
    pub fn hashes(&self) -> Hashes {
        let mut blocks = self.blocks.clone();
        if !self.len.is_multiple_of(BLOCK) {
            blocks.update(self.block.clone().finalize());
        }
        Hashes::of(HashKind::Sha256, hex::encode(self.whole.clone().finalize()))
            .and(HashKind::BlockSha256, hex::encode(blocks.finalize()))
    }

    /// The hashes of these bytes.
    pub fn of(bytes: &[u8]) -> Hashes {
        let mut digests = Digests::default();
        digests.update(bytes);
        digests.hashes()
    }

    /// Lays the computation aside.
    pub fn state(&self) -> DigestState {
        let text = |hash: &Sha256| hex::encode(hash.serialize());
        DigestState { len: self.len, whole: text(&self.whole), blocks: text(&self.blocks), block: text(&self.block) }
    }

    /// Goes on with one that was laid aside; `None` when it cannot be read (the bytes must then be read again).
    pub fn resume(state: &DigestState) -> Option<Digests> {
        let hash = |text: &str| {
            let bytes = hex::decode(text).ok()?;
            Sha256::deserialize(bytes.as_slice().try_into().ok()?).ok()
        };
        Some(Digests {
            len: state.len,
            whole: hash(&state.whole)?,
            blocks: hash(&state.blocks)?,
            block: hash(&state.block)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_empty_file_has_the_published_hashes() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let hashes = Digests::default().hashes();
        assert_eq!(hashes.get(HashKind::Sha256), Some(empty));
        assert_eq!(hashes.get(HashKind::BlockSha256), Some(empty));
    }

    #[test]
    fn blocks_of_four_mebibytes_are_hashed_by_themselves() {
        let bytes = vec![7u8; usize::try_from(BLOCK).unwrap() + 3];
        let (first, second) = bytes.split_at(usize::try_from(BLOCK).unwrap());
        let expected = Sha256::digest([Sha256::digest(first), Sha256::digest(second)].concat());
        assert_eq!(Digests::of(&bytes).get(HashKind::BlockSha256), Some(hex::encode(expected).as_str()));
        let exact = Sha256::digest(Sha256::digest(first));
        assert_eq!(Digests::of(first).get(HashKind::BlockSha256), Some(hex::encode(exact).as_str()));
    }

    proptest! {
        #[test]
        fn pieces_and_pauses_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 0usize..2000) {
            let cut = cut.min(bytes.len());
            let mut first = Digests::default();
            first.update(&bytes[..cut]);
            let state: DigestState = serde_json::from_str(&serde_json::to_string(&first.state()).unwrap()).unwrap();
            let mut second = Digests::resume(&state).unwrap();
            second.update(&bytes[cut..]);
            prop_assert_eq!(second.hashes(), Digests::of(&bytes));
            prop_assert_eq!(second.len(), bytes.len() as u64);
        }
    }
}
