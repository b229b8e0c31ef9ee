//! Large files: in chunks through memory, never whole, and on from the provider's own offset after whatever came between.
use super::Files;
use super::send::{Sending, broken};
use crate::session::{Progress, Stop, stop_for};
use bytes::Bytes;
use futures::future::try_join_all;
use tandem_core::files::hash::Digests;
use tandem_core::files::row::Transfer;
use tandem_core::record::{RowKey, Side, Version};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::{Attempt, CHUNK, EntryRef, SessionStatus, Stored, Upload, UploadSession};
use tandem_ports::infra::{Sealed, SecretOwner};
use tandem_store::StoreError;

/// Chunks sent at once; as many are read meanwhile: 2 × 3 × 8 MiB are 48 MiB of buffers.
const WINDOW: usize = 3;
/// Bytes after which how far we are is made durable, where the provider itself can say how far it is. Where pieces may come
/// in any order it cannot (Dropbox): there every window is noted, and after a crash no more than one is sent again.
const NOTED_EVERY: u64 = 4 * CHUNK;
/// Times that an upload may be found at another offset than ours in one job.
const MISSED: u32 = 3;

/// A file on its way.
struct Flow {
    session: UploadSession,
    upload: Upload,
    entry: EntryRef,
    content: Version,
    from: Side,
    to: Side,
    size: u64,
    digests: Digests,
    offset: u64,
}

/// How sending came to an end.
enum End {
    Stored(Box<Stored>),
    /// The row's own trouble at a side.
    Refused(Side, ConnectorError),
    /// Time is up.
    Later,
}

impl Files<'_> {
    pub async fn send_large(&mut self, one: &Sending, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let key = &one.step.row;
        let Some((mut flow, done)) = self.open_flow(one, progress).await? else { return Ok(()) };
        let end = match done {
            Some(stored) => self
                .read_rest(&mut flow)
                .await
                .map_or_else(|error| End::Refused(flow.from, error), |()| End::Stored(stored)),
            None => self.flow(key, &mut flow, progress).await?,
        };
        match end {
            End::Later => {
                self.note_flow(key, &flow).await?;
                self.keep(progress).await?;
                Err(Stop::OutOfBudget)
            }
            End::Stored(stored) => {
                let whole = flow.digests.hashes();
                self.stored(one, *stored, &whole, progress).await?;
                self.keep(progress).await
            }
            End::Refused(side, error)
                if matches!(
                    error.kind,
                    ErrorKind::Retryable | ErrorKind::Throttled { .. } | ErrorKind::AuthRevoked
                ) =>
            {
                // The session lives on; the next job asks it how far it is.
                self.note_flow(key, &flow).await?;
                Err(stop_for(side, &error))
            }
            End::Refused(side, error) => {
                self.give_up(key, &flow.session, flow.to).await;
                self.refused(key, side, &error, progress).await
            }
        }
    }

    /// Begins an upload, or goes on with the one that was begun; with what it made where it was finished unseen.
    async fn open_flow(
        &mut self,
        one: &Sending,
        progress: &mut Progress<'_>,
    ) -> Result<Option<(Flow, Option<Box<Stored>>)>, Stop> {
        let key = &one.step.row;
        let Some(entry) = self.reference(one.from(), key) else { return Ok(None) };
        let (from, to, size, content) = (one.from(), one.to, one.size, one.content.clone());
        if let Some(transfer) = self.tree().row(key).and_then(|row| row.transfer.clone()) {
            let session = UploadSession(self.unseal(&transfer.session).await?);
            let upload: Option<Upload> = serde_json::from_str(&transfer.upload).ok();
            let digests = Digests::resume(&transfer.digests);
            if let (Some(upload), Some(digests), true) =
                (upload, digests, transfer.to == to && transfer.content == content)
            {
                let mut flow = Flow { session, upload, entry, content, from, to, size, digests, offset: transfer.sent };
                match self.side(to).status(&flow.session, &flow.upload, transfer.sent).await {
                    Ok(SessionStatus::At(offset)) => {
                        flow.offset = offset;
                        return Ok(Some((flow, None)));
                    }
                    Ok(SessionStatus::Done(stored)) => return Ok(Some((flow, Some(stored)))),
                    Ok(SessionStatus::Lost) => self.forget_flow(key),
                    Err(error) => return Err(stop_for(to, &error)),
                }
                return Box::pin(self.begin_flow(one, flow.entry, progress)).await;
            }
            self.give_up(key, &session, transfer.to).await;
        }
        Box::pin(self.begin_flow(one, entry, progress)).await
    }

    async fn begin_flow(
        &mut self,
        one: &Sending,
        entry: EntryRef,
        progress: &mut Progress<'_>,
    ) -> Result<Option<(Flow, Option<Box<Stored>>)>, Stop> {
        let key = &one.step.row;
        let intent = match self.makes(one) {
            true => self.intend(one.to, std::slice::from_ref(key)).await?.remove(key),
            false => None,
        };
        let hashes = self.tree().row(key).and_then(|row| row.copy(one.from())?.hashes().cloned()).unwrap_or_default();
        let intent = intent.unwrap_or((None, Attempt::First));
        let Some(upload) = self.upload(one, intent, (one.size, hashes)) else { return Ok(None) };
        match self.side(one.to).begin(&upload).await {
            Ok(session) => {
                let (from, to, size, content) = (one.from(), one.to, one.size, one.content.clone());
                let flow =
                    Flow { session, upload, entry, content, from, to, size, digests: Digests::default(), offset: 0 };
                self.note_flow(key, &flow).await?;
                Ok(Some((flow, None)))
            }
            Err(error) => {
                self.refused(key, one.to, &error, progress).await?;
                Ok(None)
            }
        }
    }

    /// Chunk by chunk: while some are sent the next ones are read.
    async fn flow(&mut self, key: &RowKey, flow: &mut Flow, progress: &mut Progress<'_>) -> Result<End, Stop> {
        let to = self.side(flow.to);
        let window = to.capabilities().concurrent_appends.clamp(1, WINDOW);
        if let Err(error) = self.read_up_to_offset(flow).await {
            return Ok(End::Refused(flow.from, error));
        }
        let (mut noted, mut missed) = (flow.offset, 0);
        let mut chunks = match self.read_window(flow, flow.offset, window).await {
            Ok(chunks) => chunks,
            Err(error) => return Ok(End::Refused(flow.from, error)),
        };
        while flow.offset + CHUNK < flow.size {
            if progress.budget.spent() {
                return Ok(End::Later);
            }
            for (offset, bytes) in &chunks {
                hash(&mut flow.digests, *offset, bytes);
            }
            let after = flow.offset + chunks.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
            let sends = chunks.drain(..).map(|(at, bytes)| to.append(&flow.session, &flow.upload, at, bytes));
            let (sent, read) =
                futures::join!(try_join_all(sends.collect::<Vec<_>>()), self.read_window(flow, after, window));
            match sent {
                Ok(_) => flow.offset = after,
                Err(error) if error.kind == ErrorKind::Conflict && missed < MISSED => {
                    missed += 1;
                    match to.status(&flow.session, &flow.upload, flow.offset).await {
                        Ok(SessionStatus::At(offset)) => flow.offset = offset,
                        Ok(SessionStatus::Done(stored)) => return Ok(End::Stored(stored)),
                        Ok(SessionStatus::Lost) => return Ok(End::Refused(flow.to, error)),
                        Err(error) => return Ok(End::Refused(flow.to, error)),
                    }
                }
                Err(error) => return Ok(End::Refused(flow.to, error)),
            }
            chunks = match read {
                Ok(chunks) if flow.offset == after => chunks,
                Ok(_) => match self.read_window(flow, flow.offset, window).await {
                    Ok(chunks) => chunks,
                    Err(error) => return Ok(End::Refused(flow.from, error)),
                },
                Err(error) => return Ok(End::Refused(flow.from, error)),
            };
            if window > 1 || flow.offset >= noted + NOTED_EVERY {
                noted = flow.offset;
                self.note_flow(key, flow).await?;
                self.keep(progress).await?;
            }
        }
        Ok(self.finish(flow, chunks).await)
    }

    async fn finish(&self, flow: &mut Flow, chunks: Vec<(u64, Bytes)>) -> End {
        let last = chunks.into_iter().next();
        let (offset, bytes) = last.unwrap_or((flow.offset, Bytes::new()));
        hash(&mut flow.digests, offset, &bytes);
        let whole = flow.digests.hashes();
        // The source's own word on its bytes comes before anything is made of them.
        if flow.digests.len() != flow.size || flow.upload.hashes.same(&whole) == Some(false) {
            let detail = broken("What was read is not what the other side says is there.").message;
            return End::Refused(flow.from, ConnectorError::new("tandem", "read", ErrorKind::Permanent, detail));
        }
        match self.side(flow.to).finish(&flow.session, &flow.upload, offset, bytes, &whole).await {
            Ok(stored) => End::Stored(Box::new(stored)),
            Err(error) => End::Refused(flow.to, error),
        }
    }

    /// The next chunks to be sent: some before the last one, or the last one alone.
    async fn read_window(&self, flow: &Flow, from: u64, window: usize) -> Result<Vec<(u64, Bytes)>, ConnectorError> {
        let port = self.side(flow.from);
        let last = flow.size.saturating_sub(1) / CHUNK * CHUNK;
        let mut starts: Vec<u64> = Vec::new();
        let mut at = from;
        while at < flow.size && starts.len() < window && (at < last || starts.is_empty()) {
            starts.push(at);
            at += CHUNK;
        }
        let reads = starts.into_iter().map(|at| {
            let port = port.clone();
            async move {
                let end = (at + CHUNK).min(flow.size);
                let mut tries = 0;
                loop {
                    tries += 1;
                    match port.read(&flow.entry, &flow.content, at..end).await {
                        Err(error) if error.kind == ErrorKind::Retryable && tries < MISSED => {}
                        Err(error) => return Err(error),
                        Ok(bytes) => return Ok((at, bytes)),
                    }
                }
            }
        });
        try_join_all(reads.collect::<Vec<_>>()).await
    }

    /// The hashes must have seen what the provider has already: it is read again, and not sent again.
    async fn read_up_to_offset(&self, flow: &mut Flow) -> Result<(), ConnectorError> {
        let upto = flow.offset;
        self.hash_up_to(flow, upto).await
    }

    async fn read_rest(&self, flow: &mut Flow) -> Result<(), ConnectorError> {
        let upto = flow.size;
        self.hash_up_to(flow, upto).await
    }

    async fn hash_up_to(&self, flow: &mut Flow, upto: u64) -> Result<(), ConnectorError> {
        let port = self.side(flow.from);
        while flow.digests.len() < upto {
            let at = flow.digests.len();
            let bytes = port.read(&flow.entry, &flow.content, at..(at + CHUNK).min(upto)).await?;
            flow.digests.update(&bytes);
        }
        Ok(())
    }

    async fn note_flow(&mut self, key: &RowKey, flow: &Flow) -> Result<(), Stop> {
        let sealed = self.engine.secrets.seal(&self.owner(), flow.session.0.as_bytes()).await;
        let sealed = sealed.map_err(|error| Stop::Broken(StoreError::Unavailable(Box::new(error))))?;
        let transfer = Transfer {
            to: flow.to,
            content: flow.content.clone(),
            session: sealed.0,
            upload: serde_json::to_string(&flow.upload).expect("our own types serialise"),
            sent: flow.offset.min(flow.digests.len()),
            digests: flow.digests.state(),
        };
        self.tree_mut().change(key, |row| row.transfer = Some(transfer));
        self.save().await
    }

    fn owner(&self) -> SecretOwner {
        SecretOwner { user: self.sync.user.to_string(), thing: format!("sync:{}", self.sync.id) }
    }

    async fn unseal(&self, session: &str) -> Result<String, Stop> {
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| Stop::Broken(StoreError::Unavailable(error));
        let plain = self.engine.secrets.open(&self.owner(), &Sealed(session.to_owned())).await;
        String::from_utf8(plain.map_err(|error| broken(Box::new(error)))?).map_err(|error| broken(Box::new(error)))
    }

    fn forget_flow(&mut self, key: &RowKey) {
        self.tree_mut().change(key, |row| row.transfer = None);
    }

    async fn give_up(&mut self, key: &RowKey, session: &UploadSession, to: Side) {
        self.forget_flow(key);
        if let Err(error) = self.side(to).abandon(session).await {
            tracing::warn!(error = %error, "an upload was not given up; it ends by itself");
        }
    }
}

/// Hashes what of a chunk was not hashed before.
fn hash(digests: &mut Digests, offset: u64, bytes: &Bytes) {
    let known = usize::try_from(digests.len().saturating_sub(offset)).unwrap_or(usize::MAX);
    if known < bytes.len() {
        digests.update(&bytes[known..]);
    }
}
