//! Files and folders of records. What they are called and where they are is in the ledger; the bytes are objects, each with
//! a key of its own, so that a reader of the old bytes is never given new ones.
//!
//! A file appears once its bytes are there: an upload by address is a pending entry until then (`pending.rs`).
mod access;
mod pending;
mod side;
mod uploads;
pub(crate) mod write;

pub use pending::BegunUpload;
pub use side::{BuiltinFiles, FileOptions};

use crate::crm::{Crm, Query};
use crate::error::CrmError;
use crate::ledger::{COMMIT_WEIGHT, Edit, Ledger};
use crate::record::{Body, Record};
use crate::schema::Kind;
use crate::users::{Action, User};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_core::files::entry::{HashKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_ports::blobs::{BlobAddress, BlobKey, BlobStore};
use tandem_ports::files::CHUNK;

/// How long a download address is good.
const DOWNLOAD_TIME: Duration = Duration::from_secs(600);
/// The longest name: what Linux, Windows and Dropbox all take.
const MOST_BYTES: usize = 255;
/// Most folders within each other.
const DEPTH: usize = 50;

/// The files of the CRM. Cheap to clone; every call says who acts.
#[derive(Clone)]
pub struct Files {
    crm: Crm,
    blobs: Arc<dyn BlobStore>,
}

impl Files {
    /// The files of this CRM, with their bytes in this store.
    pub fn new(crm: Crm, blobs: Arc<dyn BlobStore>) -> Self {
        Self { crm, blobs }
    }

    /// A file or folder as the API shows it.
    pub async fn show(&self, actor: &User, id: &str) -> Result<Value, CrmError> {
        self.settle(actor).await?;
        let ledger = self.crm.ledger(actor);
        let record = file_or_folder(&ledger, id).await?;
        self.view(actor, &ledger, &record).await
    }

    async fn view(&self, actor: &User, ledger: &Ledger, record: &Record) -> Result<Value, CrmError> {
        let (subject, path) = access::place(ledger, record).await?;
        actor.require(subject.kind, Action::View)?;
        let mut shown = record.to_json();
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("subject".into(), json!({ "type": subject.kind.word(), "id": subject.id }));
            shown.insert("folder".into(), json!(path));
        }
        Ok(shown)
    }

    /// A record whose files the user may see, with all that has come.
    async fn opened(&self, actor: &User, subject: &str) -> Result<(Ledger, Record), CrmError> {
        self.settle(actor).await?;
        let ledger = self.crm.ledger(actor);
        let record = ledger.record(subject).await?.ok_or(CrmError::NotFound)?;
        actor.require(record.kind, Action::View)?;
        Ok((ledger, record))
    }

    /// What is in a record, with its folders, and where to go on.
    pub async fn list(
        &self,
        actor: &User,
        subject: &str,
        next: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>), CrmError> {
        let (ledger, record) = self.opened(actor, subject).await?;
        let all = below(&ledger, &record.id).await?;
        let skip: usize =
            next.map_or(Ok(0), str::parse).map_err(|_| CrmError::invalid("next", "this is no mark of ours"))?;
        let mut items = Vec::new();
        for record in all.iter().skip(skip).take(100) {
            items.push(self.view(actor, &ledger, record).await?);
        }
        Ok((items, (all.len() > skip + 100).then(|| (skip + 100).to_string())))
    }

    /// The files of all records that the user may view, by number, and where to go on.
    pub async fn list_all(&self, actor: &User, query: &Query) -> Result<(Vec<Value>, Option<String>), CrmError> {
        self.settle(actor).await?;
        let page = self.crm.list(actor, Kind::File, query).await?;
        let ledger = self.crm.ledger(actor);
        let mut items = Vec::new();
        for record in &page.items {
            match self.view(actor, &ledger, record).await {
                Ok(shown) => items.push(shown),
                // Of a record that the user may not view, or that went with its files meanwhile.
                Err(CrmError::Forbidden { .. } | CrmError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((items, page.next))
    }

    /// What is directly in a folder of a record, by its path ("" for the record itself), and where to go on.
    pub async fn list_folder(
        &self,
        actor: &User,
        subject: &str,
        path: &str,
        next: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>), CrmError> {
        let (ledger, record) = self.opened(actor, subject).await?;
        let mut at = record.id;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let found = ledger.named(&at, name).await?;
            at = found.ok_or_else(|| CrmError::invalid("folder", "there is no such folder"))?;
        }
        let (names, more) = ledger.inside(&at, next, 100).await?;
        let ids: Vec<&str> = names.iter().map(|(_, id)| id.as_str()).collect();
        let records = if ids.is_empty() { Vec::new() } else { ledger.records(&ids).await? };
        let mut items = Vec::new();
        for record in records.iter().flatten() {
            items.push(self.view(actor, &ledger, record).await?);
        }
        Ok((items, names.last().filter(|_| more).map(|(name, _)| name.clone())))
    }

    /// Where a file's bytes can be had.
    pub async fn content(&self, actor: &User, id: &str) -> Result<BlobAddress, CrmError> {
        self.settle(actor).await?;
        let ledger = self.crm.ledger(actor);
        let file = file(&ledger, id).await?;
        actor.require(access::subject_of(&ledger, &file).await?.kind, Action::View)?;
        Ok(self.blobs.get_address(&BlobKey(file.text("blob").to_owned()), file.text("name"), DOWNLOAD_TIME).await?)
    }

    /// Makes a folder (and those above it): `subject`, `path`. One that is there is answered as it is.
    pub async fn make_folder(&self, actor: &User, input: &Map<String, Value>) -> Result<Value, CrmError> {
        refuse_unknown(input, &["subject", "path"])?;
        let ledger = self.crm.ledger(actor);
        let subject = subject(&ledger, input).await?;
        access::require_edit(actor, &subject)?;
        let path = text_of(input, "path")?;
        if path.trim_matches('/').is_empty() {
            return Err(CrmError::invalid("path", "a folder has a name"));
        }
        let id = self.folder_at(actor, &subject.id, path).await?;
        let record = file_or_folder(&ledger, &id).await?;
        self.view(actor, &ledger, &record).await
    }

    /// Renames and moves within the record: `name`, `folder` (a path).
    pub async fn change(
        &self,
        actor: &User,
        id: &str,
        expect: Option<u64>,
        input: &Map<String, Value>,
    ) -> Result<Value, CrmError> {
        refuse_unknown(input, &["name", "folder"])?;
        self.settle(actor).await?;
        let ledger = self.crm.ledger(actor);
        let record = file_or_folder(&ledger, id).await?;
        let (subject, _) = access::place(&ledger, &record).await?;
        access::require_edit(actor, &subject)?;
        let name = match input.get("name") {
            Some(_) => checked_name("name", text_of(input, "name")?)?,
            None => record.text("name").to_owned(),
        };
        let parent = match input.get("folder") {
            Some(_) => self.folder_at(actor, &subject.id, text_of(input, "folder")?).await?,
            None => record.inside().unwrap_or_default().to_owned(),
        };
        let moved = write::relocate(&ledger, id, expect, &parent, &name).await?;
        self.view(actor, &ledger, &moved).await
    }

    /// Removes a file, or a folder with all that is in it. What has come before belongs to it; what is still on its way is
    /// kept when it comes.
    pub async fn remove(&self, actor: &User, id: &str, expect: Option<u64>) -> Result<(), CrmError> {
        self.settle(actor).await?;
        let ledger = self.crm.ledger(actor);
        let record = file_or_folder(&ledger, id).await?;
        access::require_edit(actor, &access::subject_of(&ledger, &record).await?)?;
        let gone = write::remove(&ledger, id, expect, write::Within::Goes).await?;
        Ok(self.blobs.remove(&gone).await?)
    }

    /// The id of the folder at a path below a record, made where it is missing; the record's own for "".
    async fn folder_at(&self, actor: &User, subject: &str, path: &str) -> Result<String, CrmError> {
        let ledger = self.crm.ledger(actor);
        let mut at = subject.to_owned();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.len() > DEPTH {
            return Err(CrmError::invalid("folder", format!("at most {DEPTH} folders within each other")));
        }
        for part in parts {
            let name = checked_name("folder", part)?;
            at = write::ensure_folder(&ledger, &at, &name, None).await?.id;
        }
        Ok(at)
    }
}

async fn hash(blobs: &dyn BlobStore, blob: &BlobKey, size: u64) -> Result<Hashes, CrmError> {
    let mut digests = Digests::default();
    while digests.len() < size {
        let at = digests.len();
        let bytes: Bytes = blobs.get(blob, at..(at + CHUNK).min(size)).await?;
        digests.update(&bytes);
    }
    Ok(digests.hashes())
}

/// Edits that take out as much as fits a commit of what is in a record or folder, the innermost first.
pub(crate) async fn removals_inside(ledger: &Ledger, id: &str) -> Result<Vec<Edit>, CrmError> {
    let mut all = below(ledger, id).await?;
    all.reverse();
    let edits = all.into_iter().map(|before| Edit::Remove { before: Box::new(before) });
    Ok(edits.take(COMMIT_WEIGHT / 5).collect())
}

/// All files and folders below a record or folder, from the top.
async fn below(ledger: &Ledger, id: &str) -> Result<Vec<Record>, CrmError> {
    let (mut all, mut folders) = (Vec::new(), vec![id.to_owned()]);
    while let Some(folder) = folders.pop() {
        let mut after: Option<String> = None;
        loop {
            let (entries, more) = ledger.inside(&folder, after.as_deref(), 500).await?;
            after = entries.last().map(|(name, _)| name.clone());
            let ids: Vec<&str> = entries.iter().map(|(_, id)| id.as_str()).collect();
            for record in ledger.records(&ids).await?.into_iter().flatten() {
                if record.kind == Kind::Folder {
                    folders.push(record.id.clone());
                }
                all.push(record);
            }
            if !more {
                break;
            }
        }
    }
    Ok(all)
}

async fn file_or_folder(ledger: &Ledger, id: &str) -> Result<Record, CrmError> {
    let found = ledger.record(id).await?;
    found.filter(|record| matches!(record.kind, Kind::File | Kind::Folder)).ok_or(CrmError::NotFound)
}

async fn file(ledger: &Ledger, id: &str) -> Result<Record, CrmError> {
    let found = ledger.record(id).await?;
    found.filter(|record| record.kind == Kind::File).ok_or(CrmError::NotFound)
}

async fn subject(ledger: &Ledger, input: &Map<String, Value>) -> Result<Record, CrmError> {
    let missing = || CrmError::invalid("subject", "this is {\"type\",\"id\"} of a record that is there");
    let subject = input.get("subject").and_then(Value::as_object).ok_or_else(missing)?;
    let text = |name: &str| subject.get(name).and_then(Value::as_str).ok_or_else(missing);
    let (kind, id) = (text("type")?, text("id")?);
    let found = ledger.record(id).await?;
    let fits = |record: &Record| record.kind.word() == kind && Kind::WITH_FILES.contains(&record.kind);
    found.filter(fits).ok_or_else(missing)
}

fn refuse_unknown(input: &Map<String, Value>, known: &[&str]) -> Result<(), CrmError> {
    match input.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(CrmError::invalid(name, format!("known here: {}", known.join(", ")))),
        None => Ok(()),
    }
}

fn text_of<'a>(input: &'a Map<String, Value>, name: &str) -> Result<&'a str, CrmError> {
    match input.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(value) => value.as_str().ok_or_else(|| CrmError::invalid(name, "this is a text")),
    }
}

/// A name that can be part of a path. What is wrong with another one is said.
pub(crate) fn checked_name(field: &str, name: &str) -> Result<String, CrmError> {
    let wrong = if name.is_empty() {
        "a name is missing"
    } else if matches!(name, "." | "..") {
        "`.` and `..` are no names"
    } else if name.contains('/') {
        "a name has no slash: folders have a field of their own"
    } else if name.contains(|c: char| c.is_ascii_control()) {
        "a name has no control characters, such as tabs and line ends"
    } else if name.len() > MOST_BYTES {
        return Err(CrmError::invalid(
            field,
            format!("a name has at most {MOST_BYTES} bytes in UTF-8; this one has {}", name.len()),
        ));
    } else {
        return Ok(name.to_owned());
    };
    Err(CrmError::invalid(field, wrong))
}

/// A key for new bytes of a file.
pub(crate) fn blob_key(ledger: &Ledger, id: &str) -> BlobKey {
    BlobKey(format!("{}/{id}/{}", ledger.account, ledger.new_id()))
}

/// The id of the file that a key was made for.
pub(crate) fn file_of(blob: &BlobKey) -> String {
    blob.0.rsplit('/').nth(1).unwrap_or_default().to_owned()
}

pub(crate) fn hashes_of(body: &Body) -> Hashes {
    let pairs = [(HashKind::Sha256, "sha256"), (HashKind::BlockSha256, "block_sha256")];
    let known = pairs.into_iter().filter_map(|(kind, name)| Some((kind, body.get(name)?.as_str()?)));
    known.fold(Hashes::none(), |hashes, (kind, hex)| hashes.and(kind, hex))
}
