//! What tests of attachments share.
use bytes::Bytes;
use tandem_core::files::hash::Digests;
use tandem_core::record::Marker;
use tandem_ports::files::{Attempt, FileChange, FileNext, FileSide, FolderRef, Name, Target, Upload};

/// What a whole round tells.
pub async fn round(side: &dyn FileSide) -> Vec<FileChange> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = side.changes(from.as_ref()).await.expect("a page");
        all.extend(page.changes);
        match page.next {
            FileNext::More(cursor) => from = Some(cursor),
            FileNext::CaughtUp(_) | FileNext::Paused(_) => return all,
        }
    }
}

/// A new file at a record.
pub fn upload(parent: &FolderRef, called: &str, bytes: &Bytes) -> Upload {
    Upload {
        target: Target::New { id: None, parent: parent.clone(), name: Name(called.to_owned()) },
        size: bytes.len() as u64,
        hashes: Digests::of(bytes),
        content_type: "text/plain".to_owned(),
        modified_at: None,
        marker: Marker::new("row-1"),
        attempt: Attempt::First,
    }
}
