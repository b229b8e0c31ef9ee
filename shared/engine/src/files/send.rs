//! Bytes on their way: small files in batches here, large ones in `stream`.
use super::note::Deed;
use super::{Files, seen};
use crate::session::{Progress, Stop, stop_for};
use bytes::Bytes;
use futures::StreamExt as _;
use tandem_core::files::entry::{EntryKind, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::files::name;
use tandem_core::files::plan::{Act, Step, Target as Place, base_of};
use tandem_core::files::row::Copy;
use tandem_core::plan::Reason;
use tandem_core::record::{RowKey, Side, Version};
use tandem_ports::error::ConnectorError;
use tandem_ports::files::{Attempt, CHUNK, FolderOrFile, Name, Removal, Stored, Target, Upload};

/// Bytes of small files that are in memory at once.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;
/// Reads of small files under way at once.
const READS: usize = 16;

/// A file to be sent, with what it is sent from.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub step: Step,
    pub to: Side,
    pub new: Option<Place>,
    pub size: u64,
    pub content: Version,
    pub native: bool,
}

impl Sending {
    pub fn from(&self) -> Side {
        self.to.other()
    }
    fn key(&self) -> &RowKey {
        &self.step.row
    }
}

/// Bytes that were read, and what they hash to.
pub(crate) struct Loaded {
    pub bytes: Bytes,
    pub whole: Hashes,
}

impl Files<'_> {
    /// Sends every file that is to go to a side: small ones in batches, then large ones one by one.
    pub async fn send_all(&mut self, to: Side, ready: &[Step], progress: &mut Progress<'_>) -> Result<(), Stop> {
        let all: Vec<Sending> = ready.iter().filter_map(|step| self.sending(step, to)).collect();
        let can = self.can(to);
        let fits = can.put_bytes.min(CHUNK);
        let (small, large): (Vec<Sending>, Vec<Sending>) =
            all.into_iter().partition(|one| !one.native && one.size <= fits);
        let mut batch: Vec<Sending> = Vec::new();
        let mut bytes = 0;
        for one in small {
            if batch.len() >= can.put_batch.max(1) || (bytes + one.size > BATCH_BYTES && !batch.is_empty()) {
                self.send_small(to, std::mem::take(&mut batch), progress).await?;
                bytes = 0;
            }
            bytes += one.size;
            batch.push(one);
        }
        if !batch.is_empty() {
            self.send_small(to, batch, progress).await?;
        }
        for one in large {
            if self.waits_for_room(to, progress) {
                break;
            }
            self.in_time(progress).await?;
            if one.native { self.send_native(&one, progress).await? } else { self.send_large(&one, progress).await? }
        }
        Ok(())
    }

    fn sending(&self, step: &Step, side: Side) -> Option<Sending> {
        let Act::Write { to, new } = &step.act else { return None };
        let copy = self.tree().row(&step.row)?.copy(to.other())?;
        (*to == side).then(|| Sending {
            step: step.clone(),
            to: *to,
            new: new.clone(),
            size: copy.size().unwrap_or(0),
            content: copy.content().cloned().unwrap_or_else(|| copy.version.clone()),
            native: matches!(copy.kind, EntryKind::Native { .. }),
        })
    }

    /// Whether a new entry comes of it, which a lost answer must not make twice: new files, and new bytes where those are a
    /// new file.
    pub fn makes(&self, one: &Sending) -> bool {
        one.new.is_some() || !self.can(one.to).replace_keeps_id
    }

    fn source(&self, one: &Sending) -> Option<&Copy> {
        self.tree().row(one.key())?.copy(one.from())
    }

    /// The upload of a file; `None` when its place is not there any more, or a copy is not the one that was planned with.
    pub fn upload(
        &self,
        one: &Sending,
        (id, attempt): (Option<tandem_core::record::RemoteId>, Attempt),
        (size, hashes): (u64, Hashes),
    ) -> Option<Upload> {
        if !self.as_planned(one.key(), one.from()) || !self.as_planned(one.key(), one.to) {
            return None;
        }
        let row = self.tree().row(one.key())?;
        let source = row.copy(one.from())?;
        let (target, name) = match &one.new {
            Some(place) => {
                let (parent, name) = (self.target_folder(one.to, place)?, Name(place.name.clone()));
                (Target::New { id, parent, name }, place.name.clone())
            }
            None => {
                let own = row.copy(one.to)?;
                let (expect, content) = (own.version.clone(), own.content().cloned()?);
                (Target::Replace { entry: self.reference(one.to, one.key())?, expect, content }, own.name.clone())
            }
        };
        Some(Upload {
            target,
            size,
            hashes,
            content_type: name::content_type(&name).to_owned(),
            modified_at: source.modified_at,
            marker: self.marker(one.key()),
            attempt,
        })
    }

    async fn send_small(&mut self, to: Side, batch: Vec<Sending>, progress: &mut Progress<'_>) -> Result<(), Stop> {
        if self.waits_for_room(to, progress) {
            return Ok(());
        }
        self.in_time(progress).await?;
        let making: Vec<RowKey> = batch.iter().filter(|one| self.makes(one)).map(|one| one.key().clone()).collect();
        let intents = self.intend(to, &making).await?;
        let loaded = self.read_small(to.other(), &batch).await;
        let (mut files, mut sent) = (Vec::new(), Vec::new());
        for (one, loaded) in batch.into_iter().zip(loaded) {
            let loaded = match loaded {
                Ok(loaded) => loaded,
                Err(error) => {
                    self.refused(one.key(), to.other(), &error, progress).await?;
                    continue;
                }
            };
            if self.source(&one).and_then(Copy::hashes).and_then(|hashes| hashes.same(&loaded.whole)) == Some(false) {
                self.fail_for(
                    one.key(),
                    to.other(),
                    broken("What was read is not what the other side says is there."),
                    progress,
                );
                continue;
            }
            let intent = intents.get(one.key()).cloned().unwrap_or((None, Attempt::First));
            let Some(upload) = self.upload(&one, intent, (one.size, loaded.whole.clone())) else { continue };
            files.push((upload, loaded.bytes));
            sent.push((one, loaded.whole));
        }
        if files.is_empty() {
            return Ok(());
        }
        let outcomes = self.side(to).put(&files).await.map_err(|error| stop_for(to, &error))?;
        drop(files);
        let mut refusals = Vec::new();
        for ((one, whole), outcome) in sent.into_iter().zip(outcomes) {
            match outcome {
                Ok(stored) => self.stored(&one, stored, &whole, progress).await?,
                Err(error) => refusals.push((one.key().clone(), error)),
            }
        }
        self.refused_all(to, refusals, progress).await?;
        self.keep(progress).await
    }

    async fn read_small(&self, from: Side, batch: &[Sending]) -> Vec<Result<Loaded, ConnectorError>> {
        let port = self.side(from);
        let gone = || ConnectorError::new("tandem", "read", tandem_ports::error::ErrorKind::NotFound, "It is gone.");
        let reads: Vec<_> = batch
            .iter()
            .map(|one| {
                let (port, entry) = (port.clone(), self.reference(from, one.key()));
                let (content, size) = (one.content.clone(), one.size);
                async move {
                    let entry = entry.ok_or_else(gone)?;
                    let bytes = if size == 0 { Bytes::new() } else { port.read(&entry, &content, 0..size).await? };
                    let whole = Digests::of(&bytes);
                    Ok(Loaded { bytes, whole })
                }
            })
            .collect();
        let most = port.capabilities().concurrent_calls.clamp(1, READS);
        futures::stream::iter(reads).buffered(most).collect().await
    }

    /// A document without bytes of its own, as PDF.
    async fn send_native(&mut self, one: &Sending, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let Some(entry) = self.reference(one.from(), one.key()) else { return Ok(()) };
        let exported = self.side(one.from()).export_pdf(&entry).await;
        let bytes = match exported {
            Ok(bytes) => bytes,
            Err(error) => return self.refused(one.key(), one.from(), &error, progress).await,
        };
        let whole = Digests::of(&bytes);
        let intent = match self.makes(one) {
            true => self.intend(one.to, std::slice::from_ref(one.key())).await?.remove(one.key()),
            false => None,
        };
        let size = bytes.len() as u64;
        let Some(upload) = self.upload(one, intent.unwrap_or((None, Attempt::First)), (size, whole.clone())) else {
            return Ok(());
        };
        match self.send_bytes(one.to, upload, bytes, &whole).await {
            Ok(stored) => self.stored(one, stored, &whole, progress).await?,
            Err(error) => self.refused(one.key(), one.to, &error, progress).await?,
        }
        self.keep(progress).await
    }

    async fn send_bytes(
        &self,
        to: Side,
        upload: Upload,
        bytes: Bytes,
        whole: &Hashes,
    ) -> Result<Stored, ConnectorError> {
        let port = self.side(to);
        if upload.size <= port.capabilities().put_bytes.min(CHUNK) {
            let mut outcomes = port.put(&[(upload, bytes)]).await?;
            return outcomes.pop().expect("one file has one outcome");
        }
        let session = port.begin(&upload).await?;
        let chunk = usize::try_from(CHUNK).unwrap_or(usize::MAX);
        let mut at = 0;
        while bytes.len() - at > chunk {
            port.append(&session, &upload, at as u64, bytes.slice(at..at + chunk)).await?;
            at += chunk;
        }
        port.finish(&session, &upload, at as u64, bytes.slice(at..), whole).await
    }

    /// What a write of bytes made: checked against what was sent, and noted.
    pub async fn stored(
        &mut self,
        one: &Sending,
        stored: Stored,
        whole: &Hashes,
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        let generation = progress.checkpoint.side(one.to).generation;
        let entry = seen(stored.entry);
        let arrived = match &entry.kind {
            EntryKind::File { hashes, .. } => hashes.same(whole),
            EntryKind::Record { .. } | EntryKind::Folder | EntryKind::Native { .. } | EntryKind::Shortcut => {
                Some(false)
            }
        };
        let (id, name) = (entry.id.clone(), entry.name.clone());
        let expect = entry.version.clone();
        if arrived == Some(false) && one.new.is_some() {
            // Never a file with other bytes than those that were sent.
            let parent = one.new.as_ref().and_then(|place| self.target_folder(one.to, place));
            if let Some(parent) = parent {
                let entry = tandem_ports::files::EntryRef { id, parent, name: Name(name.clone()) };
                let removal = Removal { entry, folder: FolderOrFile::File, expect };
                self.side(one.to).remove(&[removal]).await.map_err(|error| stop_for(one.to, &error))?;
            }
        }
        if arrived == Some(false) {
            self.tree_mut().change(one.key(), |row| (row.making, row.transfer) = (None, None));
            self.fail_for(one.key(), one.to, broken("What arrived is not what was sent."), progress);
            return Ok(());
        }
        let now = self.engine.clock.now();
        self.tree_mut().adopt(one.key(), one.to, &entry, generation);
        let (from, content, whole) = (one.from(), one.content.clone(), whole.clone());
        self.tree_mut().change(one.key(), |row| {
            row.base = base_of(row);
            if let Some(base) = &mut row.base {
                base.hashes = whole.clone();
                base.side_mut(from).content = Some(content);
            }
            for copy in [&mut row.left, &mut row.right].into_iter().flatten() {
                if let EntryKind::File { hashes, .. } = &mut copy.kind
                    && hashes.same(&whole) != Some(false)
                {
                    hashes.learn(&whole);
                }
            }
            (row.making, row.transfer, row.failure, row.let_go) = (None, None, None, None);
            row.synced_at = Some(now);
        });
        let action = if one.new.is_some() { "create" } else { "update" };
        let deed = Deed { side: one.to, action, before: None, after: Some(name), why: one.step.why };
        if let Some(run) = progress.checkpoint.run.as_mut() {
            run.progress.done = (run.progress.done + 1).min(run.progress.total);
        }
        self.log(vec![(one.key().clone(), deed)], progress).await
    }
}

pub(crate) fn broken(message: &str) -> Reason {
    Reason::new("broken_transfer", message)
}
