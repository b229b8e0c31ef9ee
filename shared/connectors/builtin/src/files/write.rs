//! Changes to files and folders in the ledger. Names are unique in a folder; the writes of an account are serial, so what was
//! looked up after the head still holds when the commit succeeds.
use super::{DEPTH, below, hashes_of};
use crate::error::CrmError;
use crate::ledger::{COMMIT_WEIGHT, Edit, Ledger, Tries};
use crate::record::{Body, Record};
use crate::schema::Kind;
use serde_json::json;
use std::collections::BTreeSet;
use tandem_core::files::entry::{HashKind, Hashes};
use tandem_ports::blobs::BlobKey;

/// What a name is refused with that something else in the folder has. For a sync it is a conflict: it looks again.
pub(crate) const NAME_TAKEN: &str = "there is already a file or folder of this name";

/// Bytes that are in the store.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub size: u64,
    pub hashes: Hashes,
    pub content_type: String,
    pub blob: BlobKey,
}

/// A file to make.
pub(crate) struct NewFile<'a> {
    pub id: String,
    /// Folder or record, and name.
    pub place: (&'a str, &'a str),
    pub content: Content,
    pub marker: Option<String>,
}

impl Content {
    /// The edit that makes a file of it: its id, its folder or record and name, and its mark.
    pub(super) fn new_file(self, id: String, (parent, name): (&str, &str), marker: Option<String>) -> Edit {
        let mut body = placed(parent, name);
        self.write(&mut body);
        Edit::Create { id, kind: Kind::File, body, marker }
    }

    /// The edit that makes it the content of a file.
    pub(super) fn into_file(self, before: Record) -> Edit {
        let (mut body, marker) = (before.body.clone(), before.marker.clone());
        self.write(&mut body);
        Edit::Change { before: Box::new(before), body, marker }
    }

    fn write(self, body: &mut Body) {
        body.insert("size".into(), json!(self.size));
        body.insert("content_type".into(), json!(self.content_type));
        body.insert("blob".into(), json!(self.blob.0));
        for (kind, name) in [(HashKind::Sha256, "sha256"), (HashKind::BlockSha256, "block_sha256")] {
            match self.hashes.get(kind) {
                Some(hex) => body.insert(name.into(), json!(hex)),
                None => body.remove(name),
            };
        }
    }
}

fn placed(parent: &str, name: &str) -> Body {
    Body::from_iter([("parent".to_owned(), json!(parent)), ("name".to_owned(), json!(name))])
}

/// Whether files can be in it.
pub(crate) fn holds_files(record: &Record) -> bool {
    record.kind == Kind::Folder || Kind::WITH_FILES.contains(&record.kind)
}

async fn can_hold(ledger: &Ledger, parent: &str) -> Result<(), CrmError> {
    let found = ledger.record(parent).await?;
    if found.as_ref().is_some_and(holds_files) { Ok(()) } else { Err(CrmError::NotFound) }
}

fn taken() -> CrmError {
    CrmError::refused(NAME_TAKEN)
}

/// Makes files, all or none. One that is there already with its id is answered as it is.
pub(crate) async fn create(ledger: &Ledger, files: Vec<NewFile<'_>>) -> Result<Vec<Record>, CrmError> {
    let mut tries = Tries::new();
    'again: loop {
        let head = ledger.head().await?;
        let ids: Vec<&str> = files.iter().map(|file| file.id.as_str()).collect();
        let there = ledger.records(&ids).await?;
        let mut edits = Vec::new();
        for (file, there) in files.iter().zip(&there) {
            if there.is_some() {
                continue;
            }
            let (parent, name) = file.place;
            can_hold(ledger, parent).await?;
            match ledger.named(parent, name).await? {
                // Somebody made it since it was looked for above.
                Some(other) if other == file.id => {
                    tries.again(ledger.clock.as_ref()).await?;
                    continue 'again;
                }
                Some(_) => return Err(taken()),
                None => {}
            }
            edits.push(file.content.clone().new_file(file.id.clone(), (parent, name), file.marker.clone()));
        }
        if let Some(made) = ledger.commit(&head, edits).await? {
            let mut made = made.into_iter();
            return Ok(there.into_iter().filter_map(|there| there.or_else(|| made.next())).collect());
        }
        tries.again(ledger.clock.as_ref()).await?;
    }
}

/// New bytes for a file; answers it, and the key of the bytes that it had.
pub(crate) async fn replace(
    ledger: &Ledger,
    id: &str,
    expect: Option<u64>,
    content: Content,
) -> Result<(Record, Option<BlobKey>), CrmError> {
    let mut tries = Tries::new();
    loop {
        let head = ledger.head().await?;
        let before = super::file(ledger, id).await?;
        if before.text("blob") == content.blob.0 {
            return Ok((before, None));
        }
        if expect.is_some_and(|expect| expect != before.version) {
            return Err(CrmError::Stale);
        }
        let old = BlobKey(before.text("blob").to_owned());
        let edit = content.clone().into_file(before);
        if let Some(mut changed) = ledger.commit(&head, vec![edit]).await? {
            return Ok((changed.pop().expect("one edit changes one record"), Some(old)));
        }
        tries.again(ledger.clock.as_ref()).await?;
    }
}

/// The folder of this name; made where it is missing. A file of this name is in the way.
pub(crate) async fn ensure_folder(
    ledger: &Ledger,
    parent: &str,
    name: &str,
    new: Option<(String, String)>,
) -> Result<Record, CrmError> {
    let mut tries = Tries::new();
    loop {
        let head = ledger.head().await?;
        can_hold(ledger, parent).await?;
        if let Some(id) = ledger.named(parent, name).await? {
            let found = ledger.record(&id).await?.ok_or(CrmError::Corrupt)?;
            return if found.kind == Kind::Folder { Ok(found) } else { Err(taken()) };
        }
        let (id, marker) = match &new {
            Some((id, marker)) => (id.clone(), Some(marker.clone())),
            None => (ledger.new_id(), None),
        };
        let edit = Edit::Create { id, kind: Kind::Folder, body: placed(parent, name), marker };
        if let Some(mut made) = ledger.commit(&head, vec![edit]).await? {
            return Ok(made.pop().expect("one edit makes one record"));
        }
        tries.again(ledger.clock.as_ref()).await?;
    }
}

/// Moves and renames.
pub(crate) async fn relocate(
    ledger: &Ledger,
    id: &str,
    expect: Option<u64>,
    parent: &str,
    name: &str,
) -> Result<Record, CrmError> {
    let mut tries = Tries::new();
    loop {
        let head = ledger.head().await?;
        let before = super::file_or_folder(ledger, id).await?;
        if before.inside() == Some(parent) && before.text("name") == name {
            return Ok(before);
        }
        if expect.is_some_and(|expect| expect != before.version) {
            return Err(CrmError::Stale);
        }
        can_hold(ledger, parent).await?;
        if ledger.named(parent, name).await?.is_some_and(|other| other != id) {
            return Err(taken());
        }
        let mut at = parent.to_owned();
        for _ in 0..=DEPTH {
            if at == id {
                return Err(CrmError::refused("a folder cannot be moved into itself"));
            }
            match ledger.record(&at).await?.as_ref().and_then(Record::inside) {
                Some(above) => at = above.to_owned(),
                None => break,
            }
        }
        let (mut body, marker) = (before.body.clone(), before.marker.clone());
        body.extend(placed(parent, name));
        let edit = Edit::Change { before: Box::new(before), body, marker };
        if let Some(mut changed) = ledger.commit(&head, vec![edit]).await? {
            return Ok(changed.pop().expect("one edit changes one record"));
        }
        tries.again(ledger.clock.as_ref()).await?;
    }
}

/// What becomes of what is in a folder that is removed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// It goes, too: a person sees what is in it.
    Goes,
    /// It stays, and so does the folder: a sync has emptied it before, and this came since then.
    Stays,
}

/// Removes a file, or a folder with all that is in it, the innermost first; answers the keys of their bytes.
pub(crate) async fn remove(
    ledger: &Ledger,
    id: &str,
    expect: Option<u64>,
    within: Within,
) -> Result<Vec<BlobKey>, CrmError> {
    let mut tries = Tries::new();
    let mut gone = BTreeSet::new();
    loop {
        let head = ledger.head().await?;
        let Some(before) = ledger.record(id).await? else { return Ok(gone.into_iter().collect()) };
        if before.kind == Kind::File && expect.is_some_and(|expect| expect != before.version) {
            return Err(CrmError::Stale);
        }
        let mut all = vec![before];
        all.extend(below(ledger, id).await?);
        if within == Within::Stays && all.len() > 1 {
            return Err(CrmError::Stale);
        }
        all.reverse();
        all.truncate(COMMIT_WEIGHT / 5);
        let blobs = all.iter().map(|record| record.text("blob").to_owned()).filter(|blob| !blob.is_empty());
        let blobs: Vec<BlobKey> = blobs.map(BlobKey).collect();
        let last = all.iter().any(|record| record.id == id);
        let edits = all.into_iter().map(|before| Edit::Remove { before: Box::new(before) }).collect();
        match ledger.commit(&head, edits).await? {
            Some(_) => {
                gone.extend(blobs);
                if last {
                    return Ok(gone.into_iter().collect());
                }
            }
            None => tries.again(ledger.clock.as_ref()).await?,
        }
    }
}

/// Whether a record's bytes are these.
pub(crate) fn has_bytes(record: &Record, hashes: &Hashes) -> bool {
    hashes_of(&record.body).same(hashes) == Some(true)
}
