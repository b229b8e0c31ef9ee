//! Bytes, kept by pieces of 256 KiB: equal pieces are kept once, so a file may be large.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::Md5;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;

const PIECE: usize = 256 * 1024;

/// What a file consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) md5: String,
    pub(super) sha256: String,
    pieces: Vec<String>,
}

/// A file on its way.
#[derive(Clone, Default)]
pub(super) struct Growing {
    pub(super) size: u64,
    pieces: Vec<String>,
    tail: Vec<u8>,
    md5: Md5,
    sha256: Sha256,
}

/// All pieces, by their hash.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Blobs(BTreeMap<String, Piece>);

#[derive(Clone)]
struct Piece(Bytes);

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(|bytes| Piece(bytes.into())).map_err(serde::de::Error::custom)
    }
}

impl Blobs {
    fn keep(&mut self, piece: &[u8]) -> String {
        let hash = hex::encode(Sha256::digest(piece));
        self.0.entry(hash.clone()).or_insert_with(|| Piece(Bytes::copy_from_slice(piece)));
        hash
    }

    /// Adds bytes to a file on its way. Above `most` bytes of it nothing but the hash is kept.
    pub(super) fn grow(&mut self, file: &mut Growing, bytes: &[u8], most: u64) {
        file.md5.update(bytes);
        file.sha256.update(bytes);
        file.size += bytes.len() as u64;
        if file.size > most {
            file.pieces.clear();
            file.tail.clear();
            return;
        }
        file.tail.extend_from_slice(bytes);
        let whole = file.tail.len() - file.tail.len() % PIECE;
        let rest = file.tail.split_off(whole);
        let full = std::mem::replace(&mut file.tail, rest);
        file.pieces.extend(full.chunks(PIECE).map(|piece| self.keep(piece)));
    }

    /// The file is complete.
    pub(super) fn done(&mut self, mut file: Growing) -> Content {
        if !file.tail.is_empty() {
            file.pieces.push(self.keep(&file.tail));
        }
        Content {
            size: file.size,
            md5: hex::encode(file.md5.finalize()),
            sha256: hex::encode(file.sha256.finalize()),
            pieces: file.pieces,
        }
    }

    /// A file of these bytes.
    pub(super) fn file(&mut self, bytes: &[u8]) -> Content {
        let mut file = Growing::default();
        self.grow(&mut file, bytes, u64::MAX);
        self.done(file)
    }

    /// A file of any size that costs no more room than 32 pieces: one of them follows another in an order that does not
    /// repeat, so that none can take another one's place unnoticed.
    pub(super) fn made_up(&mut self, size: u64) -> Content {
        let mut file = Growing::default();
        let mut piece = vec![0; PIECE];
        while file.size < size {
            let number = file.size / PIECE as u64;
            let variant = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 59).to_le_bytes()[0];
            let length = usize::try_from(size - file.size).unwrap_or(PIECE).min(PIECE);
            for (byte, plain) in piece.iter_mut().zip((0..=250).cycle()) {
                *byte = plain ^ variant;
            }
            self.grow(&mut file, &piece[..length], u64::MAX);
        }
        self.done(file)
    }

    /// These bytes of it; `None` where a hash is all that was kept.
    pub(super) fn read(&self, content: &Content, range: Range<u64>) -> Option<Vec<u8>> {
        let piece = PIECE as u64;
        let range = range.start.min(content.size)..range.end.min(content.size);
        let mut bytes = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let held = self.0.get(content.pieces.get(usize::try_from(at / piece).ok()?)?)?;
            let from = usize::try_from(at % piece).ok()?;
            let until = usize::try_from((range.end - at / piece * piece).min(held.0.len() as u64)).ok()?;
            bytes.extend_from_slice(held.0.get(from..until)?);
            at += (until - from) as u64;
        }
        Some(bytes)
    }
}
