//! Bytes, kept by blocks of 4 MiB as Dropbox does it: equal blocks are kept once, so a file may be large.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;

/// The block of the content hash.
pub(super) const BLOCK: u64 = 4 * 1024 * 1024;

/// What a file consists of: the hashes of its blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) blocks: Vec<String>,
}

impl Content {
    /// SHA-256 over the binary digests of the blocks.
    pub(super) fn hash(&self) -> String {
        let mut whole = Sha256::new();
        for block in &self.blocks {
            whole.update(hex::decode(block).unwrap_or_default());
        }
        hex::encode(whole.finalize())
    }
}

/// All blocks, by their hash.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Blocks(BTreeMap<String, Block>);

#[derive(Clone)]
struct Block(Bytes);

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(|bytes| Block(bytes.into())).map_err(serde::de::Error::custom)
    }
}

/// Whether the bytes themselves are kept, or their hash alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Bytes,
    Hash,
}

impl Blocks {
    /// Keeps these bytes, which begin at a block's border.
    pub(super) fn add(&mut self, bytes: &[u8], keep: Keep) -> Vec<String> {
        let blocks = bytes.chunks(usize::try_from(BLOCK).unwrap_or(usize::MAX));
        blocks
            .map(|block| {
                let hash = hex::encode(Sha256::digest(block));
                if keep == Keep::Bytes {
                    self.0.entry(hash.clone()).or_insert_with(|| Block(Bytes::copy_from_slice(block)));
                }
                hash
            })
            .collect()
    }

    /// A file of these bytes.
    pub(super) fn file(&mut self, bytes: &[u8], keep: Keep) -> Content {
        Content { size: bytes.len() as u64, blocks: self.add(bytes, keep) }
    }

    /// A file of any size that costs no more room than eight blocks: one of them follows another in an order that does not
    /// repeat, so that none can take another one's place unnoticed.
    pub(super) fn made_up(&mut self, size: u64, seed: u8) -> Content {
        let mut whole: BTreeMap<u8, String> = BTreeMap::new();
        let mut content = Content::default();
        while content.size < size {
            let number = content.size / BLOCK;
            let variant = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61).to_le_bytes()[0];
            let length = BLOCK.min(size - content.size);
            let hash = match whole.get(&variant) {
                Some(hash) if length == BLOCK => hash.clone(),
                Some(_) | None => {
                    let byte = |at: u64| (at.wrapping_mul(31) % 251).to_le_bytes()[0] ^ seed ^ variant;
                    let bytes: Vec<u8> = (0..length).map(byte).collect();
                    self.add(&bytes, Keep::Bytes).pop().unwrap_or_default()
                }
            };
            if length == BLOCK {
                whole.insert(variant, hash.clone());
            }
            content.blocks.push(hash);
            content.size += length;
        }
        content
    }

    /// These bytes of it; `None` where a hash is all that was kept.
    pub(super) fn read(&self, content: &Content, range: Range<u64>) -> Option<Vec<u8>> {
        let range = range.start.min(content.size)..range.end.min(content.size);
        let mut bytes = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let block = self.0.get(content.blocks.get(usize::try_from(at / BLOCK).ok()?)?)?;
            let from = usize::try_from(at % BLOCK).ok()?;
            let until = usize::try_from((range.end - at / BLOCK * BLOCK).min(block.0.len() as u64)).ok()?;
            bytes.extend_from_slice(block.0.get(from..until)?);
            at += (until - from) as u64;
        }
        Some(bytes)
    }

    /// Forgets every block but these.
    pub(super) fn retain(&mut self, used: &std::collections::BTreeSet<&String>) {
        self.0.retain(|hash, _| used.contains(hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_file_of_any_size_costs_eight_blocks_and_its_end() {
        let mut blocks = Blocks::default();
        let content = blocks.made_up(100 * BLOCK + 5, 7);
        assert_eq!((content.size, content.blocks.len(), blocks.0.len()), (100 * BLOCK + 5, 101, 9));
        assert_eq!(blocks.read(&content, 100 * BLOCK..u64::MAX).map(|end| end.len()), Some(5));
        assert_ne!(content.blocks[..8], content.blocks[8..16], "the order does not repeat");
    }

    #[test]
    fn bytes_come_back_across_blocks_and_equal_blocks_are_kept_once() {
        let block = usize::try_from(BLOCK).unwrap();
        let bytes: Vec<u8> = (0..2 * block + 5).map(|at| u8::try_from(at % block % 251).unwrap()).collect();
        let mut blocks = Blocks::default();
        let content = blocks.file(&bytes, Keep::Bytes);
        assert_eq!(blocks.0.len(), 2);
        let range = BLOCK - 3..2 * BLOCK + 2;
        let expected = &bytes[block - 3..2 * block + 2];
        assert_eq!(blocks.read(&content, range).unwrap(), expected);
        assert_eq!(blocks.read(&content, 0..u64::MAX).unwrap(), bytes);
    }
}
