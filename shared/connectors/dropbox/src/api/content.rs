//! Uploads and downloads. Each call with bytes names their hash, so that Dropbox notices when they are damaged on the way.
use super::{Call, content, rpc};
use crate::error;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::ops::Range;
use tandem_ports::error::Result;

/// The block of the content hash.
const BLOCK: usize = 4 * 1024 * 1024;

/// The content hash of these bytes by themselves: SHA-256 over the digests of their blocks. No other kind of hash is
/// wanted here, and every byte that is sent passes.
fn hash_of(bytes: &[u8]) -> String {
    let mut whole = Sha256::new();
    for block in bytes.chunks(BLOCK) {
        whole.update(Sha256::digest(block));
    }
    hex::encode(whole.finalize())
}

fn upload(operation: &'static str, origin: &str, route: &str, mut argument: Value, bytes: Bytes) -> Result<Call> {
    if !bytes.is_empty() {
        argument["content_hash"] = json!(hash_of(&bytes));
    }
    let builder = content(operation, origin, route, &argument, Some(bytes.clone()))?;
    let request =
        builder.body(bytes).map_err(|_| error::refused(operation, "this is no request Dropbox could take"))?;
    Ok(Call { operation, request })
}

/// A session that all the bytes are sent with, ready to be committed.
pub(crate) fn start_whole(origin: &str, bytes: Bytes) -> Result<Call> {
    upload("files/upload_session/start", origin, "upload_session/start", json!({"close": true}), bytes)
}

/// An open session. `kind` is `sequential` or `concurrent`; the latter must not be started with bytes.
pub(crate) fn start(origin: &str, kind: &str) -> Result<Call> {
    let argument = json!({"close": false, "session_type": kind});
    upload("files/upload_session/start", origin, "upload_session/start", argument, Bytes::new())
}

/// `close` says that these are the last bytes of a session.
pub(crate) fn append(origin: &str, session: &str, offset: u64, bytes: Bytes, close: Close) -> Result<Call> {
    let argument = json!({"cursor": {"session_id": session, "offset": offset}, "close": close == Close::Now});
    upload("files/upload_session/append_v2", origin, "upload_session/append_v2", argument, bytes)
}

/// Whether a session takes more bytes after this.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    Later,
    Now,
}

/// `{cursor, commit}`: a session and what is to become of it.
pub(crate) fn commit(session: &str, offset: u64, commit: &Value) -> Value {
    json!({"cursor": {"session_id": session, "offset": offset}, "commit": commit})
}

pub(crate) fn finish(origin: &str, commit: Value, bytes: Bytes) -> Result<Call> {
    upload("files/upload_session/finish", origin, "upload_session/finish", commit, bytes)
}

/// At most 1,000 at once.
pub(crate) fn finish_all(origin: &str, commits: &[Value]) -> Result<Call> {
    let argument = json!({"entries": commits});
    rpc("files/upload_session/finish_batch_v2", origin, "upload_session/finish_batch_v2", &argument)
}

/// A range of a file, which must not be empty.
pub(crate) fn download(origin: &str, what: &str, range: &Range<u64>) -> Result<Call> {
    const OPERATION: &str = "files/download";
    let builder = content(OPERATION, origin, "download", &json!({"path": what}), None)?
        .header("range", format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
    let request =
        builder.body(Bytes::new()).map_err(|_| error::refused(OPERATION, "this is no request Dropbox could take"))?;
    Ok(Call { operation: OPERATION, request })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::files::entry::HashKind;
    use tandem_core::files::hash::Digests;

    #[test]
    fn the_hash_of_a_piece_is_that_of_a_file_with_its_bytes() {
        for size in [0, 1, BLOCK, BLOCK + 1, 2 * BLOCK] {
            let bytes = vec![9; size];
            assert_eq!(Some(hash_of(&bytes).as_str()), Digests::of(&bytes).get(HashKind::BlockSha256), "{size}");
        }
    }
}
