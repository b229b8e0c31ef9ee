//! Uploads by address: a pending entry from the time they are begun until their bytes are there. Whoever looks next makes the
//! file of them, in one transaction with the end of the entry: of two who look at once, one does it, and a file that was
//! deleted since does not come back.
//!
//! Bytes that came are not lost: where the name was taken since, the file gets a number; where its folder is gone, it is put
//! at the top of its record; where the file whose bytes it replaces is gone, it is made anew. Only with the record itself
//! they come to nothing.
use super::{Files, access, blob_key, checked_name, file, hash, refuse_unknown, subject, text_of, write};
use crate::error::CrmError;
use crate::keys;
use crate::ledger::{Edit, Ledger, Tries};
use crate::record::Record;
use crate::schema::Kind;
use crate::users::User;
use futures::stream::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tandem_core::files::entry::Hashes;
use tandem_core::files::name;
use tandem_ports::blobs::{BlobAddress, BlobError, BlobKey, BlobStore};
use tandem_ports::table::{Index, Item, Key, Query, Write};

/// How long an upload address is good.
const UPLOAD_TIME: Duration = Duration::from_secs(24 * 3600);
/// How long its bytes are looked for: an upload that began in time may take a while.
const WAITING_TIME: Duration = Duration::from_secs(48 * 3600);
/// Largest file in bytes that is hashed when its upload is settled: that must not take longer than a request may, and these
/// are some three seconds. A larger one has no hash until a sync carries it, which hashes it on the way.
const HASHED_AT_ONCE: u64 = 256 * 1024 * 1024;
/// Pending entries of one read.
const PAGE: usize = 100;
/// Objects that are asked for at the same time.
const PARALLEL_SIZES: usize = 16;

/// An upload that was begun.
#[derive(Clone, Debug)]
pub struct BegunUpload {
    /// The file's id.
    pub id: String,
    /// Where its bytes go.
    pub address: BlobAddress,
}

/// An upload whose bytes are not there yet.
#[derive(Default, Serialize, Deserialize)]
struct Pending {
    /// The file's id. Entries of earlier releases have it as their key.
    #[serde(default)]
    file: String,
    /// The record that the file belongs to.
    #[serde(default)]
    subject: String,
    /// Who may write there was checked when it was begun.
    parent: String,
    name: String,
    content_type: String,
    blob: String,
    /// Replaces the bytes of the file.
    #[serde(default)]
    replaces: bool,
    expires_at: i64,
}

impl Files {
    /// Begins a new file: `subject` `{"type","id"}`, `folder` (a path, made where it is missing), `name`, `content_type`.
    pub async fn begin(&self, actor: &User, input: &Map<String, Value>) -> Result<BegunUpload, CrmError> {
        let known = ["subject", "folder", "name", "content_type"];
        refuse_unknown(input, &known)?;
        self.settle(actor).await?;
        let ledger = self.crm.ledger(actor);
        let subject = subject(&ledger, input).await?;
        access::require_edit(actor, &subject)?;
        let name = checked_name("name", text_of(input, "name")?)?;
        let parent = self.folder_at(actor, &subject.id, text_of(input, "folder")?).await?;
        if ledger.named(&parent, &name).await?.is_some() {
            return Err(CrmError::invalid("name", write::NAME_TAKEN));
        }
        let given = text_of(input, "content_type")?;
        let content_type = if given.is_empty() { name::content_type(&name) } else { given }.to_owned();
        let (file, subject) = (ledger.new_id(), subject.id);
        self.pend(&ledger, Pending { file, subject, parent, name, content_type, ..Pending::default() }).await
    }

    /// Begins new bytes for a file.
    pub async fn begin_replacement(&self, actor: &User, id: &str) -> Result<BegunUpload, CrmError> {
        self.settle(actor).await?;
        let ledger = self.crm.ledger(actor);
        let file = file(&ledger, id).await?;
        let subject = access::subject_of(&ledger, &file).await?;
        access::require_edit(actor, &subject)?;
        let pending = Pending {
            subject: subject.id,
            parent: file.inside().unwrap_or_default().to_owned(),
            name: file.text("name").to_owned(),
            content_type: file.text("content_type").to_owned(),
            file: file.id,
            replaces: true,
            ..Pending::default()
        };
        self.pend(&ledger, pending).await
    }

    async fn pend(&self, ledger: &Ledger, pending: Pending) -> Result<BegunUpload, CrmError> {
        let id = pending.file.clone();
        let blob = blob_key(ledger, &id);
        let address = self.blobs.put_address(&blob, &pending.content_type, UPLOAD_TIME).await?;
        let expires_at = ledger.clock.now().as_second() + i64::try_from(WAITING_TIME.as_secs()).unwrap_or(0);
        let Value::Object(attributes) = json!(Pending { blob: blob.0, expires_at, ..pending }) else {
            return Err(CrmError::Corrupt);
        };
        // A key of its own: two replacements of one file do not know of each other.
        let key = keys::upload(&ledger.account, &ledger.new_id());
        ledger.table.write(&[Write::Put(Item { key, attributes })]).await?;
        Ok(BegunUpload { id, address })
    }

    /// Makes files of the uploads whose bytes have come. Without any it is one request.
    pub async fn settle(&self, actor: &User) -> Result<(), CrmError> {
        let ledger = self.crm.ledger(actor);
        settle(&ledger, self.blobs.as_ref()).await
    }
}

impl Pending {
    fn read(item: Item) -> Result<(Key, Self), CrmError> {
        let mut pending: Self =
            serde_json::from_value(Value::Object(item.attributes)).map_err(|_| CrmError::Corrupt)?;
        if pending.file.is_empty() {
            pending.file.clone_from(&item.key.sk);
        }
        Ok((item.key, pending))
    }
}

/// See [`Files::settle`].
pub(crate) async fn settle(ledger: &Ledger, blobs: &dyn BlobStore) -> Result<(), CrmError> {
    let mut query = Query {
        pk: keys::uploads_partition(&ledger.account),
        index: Index::Main,
        prefix: String::new(),
        after: None,
        up_to: None,
        descending: false,
        limit: PAGE,
    };
    loop {
        let page = ledger.table.query(&query).await?;
        query.after = page.items.last().map(|item| item.key.sk.clone());
        let waiting: Vec<(Key, Pending)> = page.items.into_iter().map(Pending::read).collect::<Result<_, _>>()?;
        let sized = futures::stream::iter(waiting).map(|(key, pending)| sized(blobs, key, pending));
        let sized: Vec<(Key, Pending, Option<u64>)> = sized.buffered(PARALLEL_SIZES).try_collect().await?;
        for (key, pending, size) in sized {
            match size {
                Some(size) => arrived(ledger, blobs, &key, &pending, size).await?,
                None if pending.expires_at <= ledger.clock.now().as_second() => {
                    ledger.table.write(&[Write::Delete(key)]).await?;
                }
                None => {}
            }
        }
        if !page.more {
            return Ok(());
        }
    }
}

async fn sized(blobs: &dyn BlobStore, key: Key, pending: Pending) -> Result<(Key, Pending, Option<u64>), CrmError> {
    let size = blobs.size(&BlobKey(pending.blob.clone())).await?;
    Ok((key, pending, size))
}

async fn arrived(
    ledger: &Ledger,
    blobs: &dyn BlobStore,
    key: &Key,
    pending: &Pending,
    size: u64,
) -> Result<(), CrmError> {
    let blob = BlobKey(pending.blob.clone());
    let hashes = match size {
        0..=HASHED_AT_ONCE => match hash(blobs, &blob, size).await {
            // Somebody else has settled it, and the file is gone again or has other bytes by now.
            Err(CrmError::Blobs(BlobError::Missing)) => return Ok(()),
            hashes => hashes?,
        },
        _ => Hashes::none(),
    };
    let content = write::Content { size, hashes, content_type: pending.content_type.clone(), blob: blob.clone() };
    let mut tries = Tries::new();
    loop {
        let head = ledger.head().await?;
        if ledger.table.get(std::slice::from_ref(key)).await?.pop().flatten().is_none() {
            return Ok(());
        }
        let there = ledger.record(&pending.file).await?.filter(|record| record.kind == Kind::File);
        let (edit, needless) = match there {
            // An earlier release made the file before it took the entry away.
            Some(file) if file.text("blob") == blob.0 => (None, None),
            Some(file) => {
                let old = BlobKey(file.text("blob").to_owned());
                (Some(content.clone().into_file(file)), Some(old))
            }
            None => match made_anew(ledger, pending, &content).await? {
                Some(edit) => (Some(edit), None),
                // Its record is gone, and a record's files go with it.
                None => (None, Some(blob.clone())),
            },
        };
        if ledger.commit_ending(&head, edit.into_iter().collect(), Some(key)).await?.is_some() {
            return Ok(blobs.remove(&needless.into_iter().collect::<Vec<_>>()).await?);
        }
        tries.again(ledger.clock.as_ref()).await?;
    }
}

/// The file as it is made: where it was to be, or as near to that as there is room. `None` where its record is gone.
async fn made_anew(ledger: &Ledger, pending: &Pending, content: &write::Content) -> Result<Option<Edit>, CrmError> {
    let Some(parent) = holder(ledger, [&pending.parent, &pending.subject]).await? else { return Ok(None) };
    // An id occurs once: a file that was deleted stays deleted, and its new bytes are another file.
    let id = if pending.replaces { ledger.new_id() } else { pending.file.clone() };
    for name in name::numbered(&pending.name) {
        if ledger.named(&parent, &name).await?.is_none() {
            return Ok(Some(content.clone().new_file(id, (&parent, &name), None)));
        }
    }
    Err(CrmError::refused(write::NAME_TAKEN))
}

/// The first of these that is there and can hold files.
async fn holder(ledger: &Ledger, ids: [&str; 2]) -> Result<Option<String>, CrmError> {
    let found = ledger.records(&ids).await?;
    Ok(found.into_iter().flatten().find(write::holds_files).map(|record: Record| record.id))
}
