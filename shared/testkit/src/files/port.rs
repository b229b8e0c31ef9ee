//! The side as the engine sees it.
use super::state::{Content, NodeKind, Session, State};
use super::{MemoryFiles, Tells};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use tandem_core::files::entry::{Access, Hashes};
use tandem_core::files::hash::Digests;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Choice, Cursor, Outcomes};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::files::{
    Attempt, CHUNK, ChildrenPage, Entry, EntryRef, FileCapabilities, FileNext, FilePage, FileSide, FolderRef, Listing,
    Names, NewFolder, NewRoot, Relocation, Removal, SessionStatus, StorageFull, Stored, Target, Upload, UploadSession,
};

/// Files above this are kept as their hashes only.
const KEPT: u64 = 64 * 1024 * 1024;

fn parent_of(folder: &FolderRef) -> Option<&str> {
    Some(folder.id.as_str()).filter(|id| *id != "root")
}

impl MemoryFiles {
    fn conflict(&self, call: &'static str) -> ConnectorError {
        self.error(call, ErrorKind::Conflict, "it has changed")
    }

    fn may_write(&self, state: &State, folder: &FolderRef) -> Result<()> {
        let Some(id) = parent_of(folder) else { return Ok(()) };
        let node = state.nodes.get(id).ok_or_else(|| self.error("write", ErrorKind::NotFound, "no such folder"))?;
        match &node.access {
            Access::Write => Ok(()),
            Access::Read { reason } => Err(self.error("write", ErrorKind::Forbidden, reason)),
        }
    }

    /// Puts a whole file in its place.
    fn store(&self, state: &mut State, upload: &Upload, content: Content) -> Result<Stored> {
        let content = match (&content, state.garbles) {
            (Content::Bytes(bytes), true) => Content::Bytes([&bytes[..], b"!"].concat().into()),
            _ => content,
        };
        if state.room.is_some_and(|room| state.used() + content.size() > room) {
            return Err(StorageFull::because(self.error("put", ErrorKind::Forbidden, "this account is full")));
        }
        let id = match &upload.target {
            Target::Replace { entry, expect, .. } => {
                let id = entry.id.as_str().to_owned();
                let found = state.entry(&id).ok_or_else(|| self.error("put", ErrorKind::NotFound, "gone"))?;
                if found.version != *expect {
                    return Err(self.conflict("put"));
                }
                state.fill(&id, content);
                id
            }
            Target::New { id, parent, name } => {
                self.may_write(state, parent)?;
                if let Some(id) = id {
                    if state.used.contains(id.as_str()) {
                        return Err(self.conflict("put"));
                    }
                    if state.garbles {
                        state.used.insert(id.as_str().to_owned());
                        return Err(self.error("put", ErrorKind::Permanent, "the bytes arrived damaged"));
                    }
                }
                let folder = parent_of(parent).map(str::to_owned);
                let taken = match id {
                    Some(id) if state.nodes.contains_key(id.as_str()) => Some(id.as_str().to_owned()),
                    Some(_) | None => state
                        .named(folder.as_deref(), &name.0)
                        .filter(|_| !state.is_free(folder.as_deref(), &name.0, "")),
                };
                if let Some(taken) = taken {
                    let same = state.nodes[&taken].hashes.same(&content.hashes()) == Some(true);
                    let again =
                        upload.attempt == Attempt::Again || self.character.can.names == Names::UniqueWithoutCase;
                    if !(same && again) {
                        return Err(self.conflict("put"));
                    }
                    return Ok(Stored { entry: state.entry(&taken).expect("it was found") });
                }
                let id = id.as_ref().map_or_else(|| state.new_id(), |id| id.as_str().to_owned());
                state.add(id.clone(), folder.as_deref(), &name.0, NodeKind::File(content));
                state.nodes.get_mut(&id).expect("just made").marker = Some(upload.marker.clone());
                id
            }
        };
        Ok(Stored { entry: state.entry(&id).expect("just stored") })
    }

    fn make_folder(&self, state: &mut State, new: &NewFolder) -> Result<Entry> {
        self.may_write(state, &new.parent)?;
        let folder = parent_of(&new.parent).map(str::to_owned);
        if let Some(id) = new.id.as_ref().filter(|id| state.nodes.contains_key(id.as_str())) {
            return Ok(state.entry(id.as_str()).expect("it was found"));
        }
        let marked =
            state.nodes.iter().find(|(_, node)| node.marker.as_ref() == Some(&new.marker)).map(|(id, _)| id.clone());
        if let Some(id) = marked.filter(|_| self.character.can.keeps_markers && new.attempt == Attempt::Again) {
            return Ok(state.entry(&id).expect("it was found"));
        }
        if let Some(id) =
            state.named(folder.as_deref(), &new.name.0).filter(|_| !state.is_free(folder.as_deref(), &new.name.0, ""))
        {
            if matches!(state.nodes[&id].kind, NodeKind::Folder) {
                return Ok(state.entry(&id).expect("it was found"));
            }
            return Err(self.conflict("create_folders"));
        }
        let id = new.id.as_ref().map_or_else(|| state.new_id(), |id| id.as_str().to_owned());
        state.add(id.clone(), folder.as_deref(), &new.name.0, NodeKind::Folder);
        state.nodes.get_mut(&id).expect("just made").marker = Some(new.marker.clone());
        Ok(state.entry(&id).expect("just made"))
    }
}

#[async_trait]
impl FileSide for MemoryFiles {
    fn provider(&self) -> &'static str {
        self.character.provider
    }

    fn capabilities(&self) -> FileCapabilities {
        self.character.can
    }

    async fn ensure_root(&self, known: Option<&RemoteId>, _root: &NewRoot) -> Result<FolderRef> {
        let verdict = self.enter("ensure_root")?;
        if known.is_some() && self.as_person(|state| state.root_gone) {
            return Err(self.error("ensure_root", ErrorKind::NotFound, "the root is gone"));
        }
        self.leave("ensure_root", verdict, FolderRef { id: RemoteId::new("root"), path: String::new() })
    }

    async fn changes(&self, from: Option<&Cursor>) -> Result<FilePage> {
        let verdict = self.enter("changes")?;
        let size = self.character.page;
        let page = self.as_person(|state| {
            if from.is_some() && std::mem::take(&mut state.expire) {
                return Err(self.error("changes", ErrorKind::CursorExpired, "start again"));
            }
            let mark = from.map_or_else(|| format!("list:0:{}", state.log.len()), |cursor| cursor.0.clone());
            let mut parts = mark.split(':');
            if parts.next() == Some("list") {
                let number =
                    |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok()).expect("our own mark");
                let (skip, then) = (number(parts.next()), number(parts.next()));
                let all = listed(state);
                let some: Vec<_> = all.iter().skip(skip).take(size).filter_map(|id| state.entry(id)).collect();
                let next = if skip + size < all.len() {
                    FileNext::More(Cursor(format!("list:{}:{then}", skip + size)))
                } else {
                    FileNext::CaughtUp(Cursor(format!("feed:{then}")))
                };
                let changes = some.into_iter().map(|entry| tandem_ports::files::FileChange::Upsert(Box::new(entry)));
                return Ok(FilePage { changes: changes.collect(), next });
            }
            let at = parts.next().and_then(|text| text.parse::<usize>().ok()).expect("our own mark");
            let changes = state.log.iter().skip(at).take(size).filter_map(|event| state.change(event)).collect();
            let end = (at + size).min(state.log.len());
            let cursor = Cursor(format!("feed:{end}"));
            let next = if end < state.log.len() { FileNext::More(cursor) } else { FileNext::CaughtUp(cursor) };
            Ok(FilePage { changes, next })
        })?;
        self.leave("changes", verdict, page)
    }

    async fn children(&self, folders: &[FolderRef], from: Option<&Cursor>) -> Result<ChildrenPage> {
        let verdict = self.enter("children")?;
        assert!(folders.len() <= self.character.can.children_batch, "too many folders at once");
        let skip = from.and_then(|cursor| cursor.0.parse::<usize>().ok()).unwrap_or(0);
        let page = self.as_person(|state| {
            let within = |parent: &Option<String>| folders.iter().any(|folder| parent_of(folder) == parent.as_deref());
            let all: Vec<Entry> = state
                .nodes
                .iter()
                .filter(|(_, node)| within(&node.parent))
                .filter_map(|(id, _)| state.entry(id))
                .collect();
            let more = all.len() > skip + self.character.page;
            let next = more.then(|| Cursor((skip + self.character.page).to_string()));
            let entries = all.into_iter().skip(skip).take(self.character.page).collect();
            ChildrenPage { entries, unreadable: Vec::new(), next }
        });
        self.leave("children", verdict, page)
    }

    async fn get(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        let verdict = self.enter("get")?;
        assert!(entries.len() <= self.character.can.batch, "too many at once");
        let found = self.as_person(|state| entries.iter().map(|entry| state.entry(entry.id.as_str())).collect());
        self.leave("get", verdict, found)
    }

    async fn read(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        let takes = self.as_person(|state| state.read_takes);
        if !takes.is_zero() {
            self.clock.sleep(takes).await;
        }
        let verdict = self.enter("read")?;
        assert!(range.end - range.start <= CHUNK, "too much at once");
        let bytes = self.as_person(|state| {
            let found =
                state.entry(entry.id.as_str()).ok_or_else(|| self.error("read", ErrorKind::NotFound, "gone"))?;
            match (&state.nodes[entry.id.as_str()].kind, &found.kind) {
                (NodeKind::File(there), tandem_core::files::entry::EntryKind::File { content: now, .. })
                    if now == content =>
                {
                    Ok(there.read(range.clone()))
                }
                _ => Err(self.conflict("read")),
            }
        })?;
        self.leave("read", verdict, bytes)
    }

    async fn export_pdf(&self, entry: &EntryRef) -> Result<Bytes> {
        let verdict = self.enter("export_pdf")?;
        let content = self.as_person(|state| state.nodes.get(entry.id.as_str()).map(|node| node.content));
        let content = content.ok_or_else(|| self.error("export_pdf", ErrorKind::NotFound, "gone"))?;
        self.leave("export_pdf", verdict, format!("pdf of state {content}").into())
    }

    async fn reserve(&self, count: usize) -> Result<Vec<RemoteId>> {
        let verdict = self.enter("reserve")?;
        let count = if self.character.can.reserves_ids { count } else { 0 };
        let ids = self.as_person(|state| (0..count).map(|_| RemoteId::new(state.new_id())).collect());
        self.leave("reserve", verdict, ids)
    }

    async fn create_folders(&self, folders: &[NewFolder]) -> Result<Outcomes<Entry>> {
        let verdict = self.enter("create_folders")?;
        assert!(folders.len() <= self.character.can.batch, "too many at once");
        let made = self.as_person(|state| folders.iter().map(|new| self.make_folder(state, new)).collect());
        self.leave("create_folders", verdict, made)
    }

    async fn put(&self, files: &[(Upload, Bytes)]) -> Result<Outcomes<Stored>> {
        let verdict = self.enter("put")?;
        assert!(files.len() <= self.character.can.put_batch, "too many at once");
        let stored = self.as_person(|state| {
            let put = |(upload, bytes): &(Upload, Bytes)| {
                assert_eq!(upload.size, bytes.len() as u64, "all of it");
                assert!(upload.size <= self.character.can.put_bytes, "too large for this way");
                state.received += upload.size;
                self.store(state, upload, Content::Bytes(bytes.clone()))
            };
            files.iter().map(put).collect()
        });
        self.leave("put", verdict, stored)
    }

    async fn begin(&self, upload: &Upload) -> Result<UploadSession> {
        let verdict = self.enter("begin")?;
        let id = self.as_person(|state| {
            let id = format!("session-{}", state.new_id());
            let bytes = (upload.size <= KEPT).then(BTreeMap::new);
            let digests = Digests::default();
            let session = Session { pieces: BTreeMap::new(), bytes, digests, early: BTreeMap::new(), done: None };
            state.sessions.insert(id.clone(), session);
            id
        });
        self.leave("begin", verdict, UploadSession(id))
    }

    async fn append(&self, session: &UploadSession, _upload: &Upload, offset: u64, bytes: Bytes) -> Result<()> {
        let takes = self.as_person(|state| state.append_takes);
        if !takes.is_zero() {
            self.clock.sleep(takes).await;
        }
        let verdict = self.enter("append")?;
        let can = self.character.can;
        assert!((bytes.len() as u64).is_multiple_of(can.chunk_multiple), "not a multiple");
        self.as_person(|state| {
            state.received += bytes.len() as u64;
            let found = state.sessions.get_mut(&session.0);
            let found = found.ok_or_else(|| self.error("append", ErrorKind::NotFound, "no such session"))?;
            let have: u64 = found.pieces.values().sum();
            if found.pieces.contains_key(&offset) {
                return Ok(());
            }
            if can.concurrent_appends == 1 && offset != have {
                return Err(self.conflict("append"));
            }
            found.pieces.insert(offset, bytes.len() as u64);
            match &mut found.bytes {
                Some(kept) => {
                    kept.insert(offset, bytes.clone());
                }
                None => {
                    found.early.insert(offset, bytes.clone());
                    while let Some(next) = found.early.remove(&found.digests.len()) {
                        found.digests.update(&next);
                    }
                }
            }
            Ok(())
        })?;
        self.leave("append", verdict, ())
    }

    async fn finish(
        &self,
        session: &UploadSession,
        upload: &Upload,
        offset: u64,
        last: Bytes,
        whole: &Hashes,
    ) -> Result<Stored> {
        let verdict = self.enter("finish")?;
        let stored = self.as_person(|state| {
            state.received += last.len() as u64;
            let found = state.sessions.get_mut(&session.0);
            let found = found.ok_or_else(|| self.error("finish", ErrorKind::NotFound, "no such session"))?;
            let have: u64 = found.pieces.values().sum();
            if have != offset {
                return Err(self.conflict("finish"));
            }
            let content = match &found.bytes {
                Some(kept) => {
                    let all: Vec<u8> =
                        kept.values().flat_map(|piece| piece.iter().copied()).chain(last.iter().copied()).collect();
                    Content::Bytes(all.into())
                }
                None => {
                    let mut digests = found.digests.clone();
                    digests.update(&last);
                    Content::Hashed { size: digests.len(), hashes: digests.hashes() }
                }
            };
            if content.hashes().same(whole) != Some(true) {
                return Err(self.error("finish", ErrorKind::Permanent, "other bytes arrived"));
            }
            let stored = self.store(state, upload, content)?;
            state.sessions.get_mut(&session.0).expect("it was found").done = Some(stored.entry.id.as_str().to_owned());
            Ok(stored)
        })?;
        self.leave("finish", verdict, stored)
    }

    async fn status(&self, session: &UploadSession, _upload: &Upload, acknowledged: u64) -> Result<SessionStatus> {
        let verdict = self.enter("status")?;
        let status = self.as_person(|state| match state.sessions.get(&session.0) {
            None => SessionStatus::Lost,
            Some(Session { done: Some(id), .. }) => match state.entry(id) {
                Some(entry) => SessionStatus::Done(Box::new(Stored { entry })),
                None => SessionStatus::Lost,
            },
            Some(_) if self.character.can.concurrent_appends > 1 => SessionStatus::At(acknowledged),
            Some(found) => SessionStatus::At(found.pieces.values().sum()),
        });
        self.leave("status", verdict, status)
    }

    async fn abandon(&self, session: &UploadSession) -> Result<()> {
        let verdict = self.enter("abandon")?;
        self.as_person(|state| state.sessions.remove(&session.0));
        self.leave("abandon", verdict, ())
    }

    async fn relocate(&self, relocation: &Relocation) -> Result<Entry> {
        let verdict = self.enter("relocate")?;
        let entry = self.as_person(|state| {
            let id = relocation.entry.id.as_str().to_owned();
            let found = state.entry(&id).ok_or_else(|| self.error("relocate", ErrorKind::NotFound, "gone"))?;
            self.may_write(state, &relocation.parent)?;
            if found.version != relocation.expect
                || !state.relocate(&id, parent_of(&relocation.parent), &relocation.name.0)
            {
                return Err(self.conflict("relocate"));
            }
            Ok(state.entry(&id).expect("it was moved"))
        })?;
        self.leave("relocate", verdict, entry)
    }

    async fn remove(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        let verdict = self.enter("remove")?;
        assert!(removals.len() <= self.character.can.batch, "too many at once");
        let removed = self.as_person(|state| {
            let remove = |removal: &Removal| {
                let id = removal.entry.id.as_str();
                let Some(found) = state.entry(id) else { return Ok(()) };
                let folder = matches!(state.nodes[id].kind, NodeKind::Folder | NodeKind::Record { .. });
                let holds = state.nodes.values().any(|node| node.parent.as_deref() == Some(id));
                if (folder && holds) || (!folder && found.version != removal.expect) {
                    return Err(self.conflict("remove"));
                }
                state.delete(id);
                Ok(())
            };
            removals.iter().map(remove).collect()
        });
        self.leave("remove", verdict, removed)
    }

    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>> {
        let verdict = self.enter("choices")?;
        self.leave("choices", verdict, Vec::new())
    }
}

/// What a listing by the feed shows: all, folders after what is in them, or the records alone.
fn listed(state: &State) -> Vec<String> {
    if state.character.can.listing != Listing::Feed || state.character.tells == Tells::Parents {
        let record = |kind: &NodeKind| matches!(kind, NodeKind::Record { .. });
        return state.nodes.iter().filter(|(_, node)| record(&node.kind)).map(|(id, _)| id.clone()).collect();
    }
    let tops = state.nodes.iter().filter(|(_, node)| node.parent.is_none()).map(|(id, _)| id.clone());
    tops.collect::<Vec<_>>().iter().flat_map(|id| state.below(id).into_iter().rev()).collect()
}
