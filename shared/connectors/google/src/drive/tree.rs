//! Folders, moves, removals, and the reading of bytes.
use super::api::{self, FOLDER, FileList, Ids, MARKER_KEY, ROOT_KEY, Wire};
use super::{FORM, GoogleDrive, PARALLEL, Position, map};
use crate::error;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use std::ops::Range;
use tandem_core::record::{RemoteId, Version};
use tandem_ports::connector::{Cursor, Outcomes};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::files::{
    Attempt, CHUNK, ChildrenPage, Entry, EntryRef, FolderOrFile, FolderRef, NewFolder, NewRoot, Relocation, Removal,
};

/// Pages after which a list that finds nothing is given up.
const MOST_PAGES: usize = 100;

impl GoogleDrive {
    pub(super) async fn find_or_make_root(&self, known: Option<&RemoteId>, new: &NewRoot) -> Result<FolderRef> {
        const OPERATION: &str = "drive.files.create";
        let root = |id: &str| FolderRef { id: RemoteId::new(id), path: String::new() };
        if let Some(id) = known {
            let found = self.look(id).await?.filter(|file| file.mime_type == FOLDER);
            return found.map(|file| root(&file.id)).ok_or_else(|| error::gone(OPERATION));
        }
        // The oldest, should two have been made at once: both sides of such a race come to the same one.
        let query = api::with_property(ROOT_KEY, new.mark.as_str());
        if let Some(file) = self.first(&query, |file| file.mime_type == FOLDER).await? {
            return Ok(root(&file.id));
        }
        let metadata = json!({"name": new.name, "mimeType": FOLDER, "appProperties": {ROOT_KEY: new.mark.as_str()}});
        let made: Wire = self.call(api::create(self.origin(), &metadata)?).await?;
        Ok(root(&made.id))
    }

    /// Drive refuses a question about a folder that is gone for good, and all others that are asked about with it.
    pub(super) async fn list_children(&self, folders: &[FolderRef], from: Option<&Cursor>) -> Result<ChildrenPage> {
        const OPERATION: &str = "drive.files.list";
        let position = from.map(|cursor| Position::read(OPERATION, cursor)).transpose()?;
        let (mut without, mut page) = position.map_or((Vec::new(), None), |at| (at.without, Some(at.page)));
        let mut looked = false;
        loop {
            let there = |id: &&str| !without.iter().any(|gone| gone == id);
            let ids: Vec<&str> = folders.iter().map(|folder| folder.id.as_str()).filter(there).collect();
            if ids.is_empty() {
                return Ok(ChildrenPage { entries: Vec::new(), unreadable: Vec::new(), next: None });
            }
            let list: Result<FileList> = self.call(api::children(self.origin(), &ids, page.as_deref())?).await;
            match list {
                Ok(list) => {
                    let entries = list.files.iter().filter_map(map::entry).collect();
                    let next = list.next_page_token.map(|page| Position { form: FORM, page, without }.into_cursor());
                    return Ok(ChildrenPage { entries, unreadable: Vec::new(), next });
                }
                // Without them, from the beginning: a page token is of one question.
                Err(failure) if failure.kind == ErrorKind::NotFound && !looked => {
                    looked = true;
                    without = self.gone_of(folders).await?;
                    page = None;
                }
                Err(failure) if failure.kind == ErrorKind::NotFound => return Err(error::no_answer(OPERATION)),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Those folders that are gone.
    async fn gone_of(&self, folders: &[FolderRef]) -> Result<Vec<String>> {
        let looks: Vec<_> = folders.iter().map(|folder| self.look(&folder.id)).collect();
        let found: Vec<Option<Wire>> = stream::iter(looks).buffered(PARALLEL).try_collect().await?;
        let gone = folders.iter().zip(found).filter(|(_, file)| file.is_none());
        Ok(gone.map(|(folder, _)| folder.id.as_str().to_owned()).collect())
    }

    pub(super) async fn get_all(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        let looks: Vec<_> = entries.iter().map(|entry| self.look(&entry.id)).collect();
        let found: Vec<Option<Wire>> = stream::iter(looks).buffered(PARALLEL).try_collect().await?;
        Ok(found.iter().map(|file| file.as_ref().and_then(map::entry)).collect())
    }

    /// The revision's own bytes are read, so that pieces of two revisions never mix. Where there is none, or Google does not
    /// show it (who may only read a file does not see its revisions), the file's own bytes are, which are the same ones
    /// before and after.
    pub(super) async fn read_range(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        const OPERATION: &str = "drive.revisions.get";
        if range.end.saturating_sub(range.start) > CHUNK {
            return Err(error::refused(OPERATION, "too much to read at once"));
        }
        let now = self.look(&entry.id).await?.ok_or_else(|| error::gone(OPERATION))?;
        if map::content(&now) != *content {
            return Err(error::changed_meanwhile(OPERATION));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if now.head_revision_id.is_some() && now.capabilities.can_read_revisions != Some(false) {
            match self.revision(&entry.id, content, &range).await {
                Err(failure) if matches!(failure.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {}
                read => return read,
            }
        }
        let bytes = self.bytes(api::media(self.origin(), entry.id.as_str(), &range)?, &range).await?;
        let after = self.look(&entry.id).await?.ok_or_else(|| error::gone(OPERATION))?;
        if map::content(&after) != *content {
            return Err(error::changed_meanwhile(OPERATION));
        }
        Ok(bytes)
    }

    pub(super) async fn revision(&self, id: &RemoteId, content: &Version, range: &Range<u64>) -> Result<Bytes> {
        self.bytes(api::download(self.origin(), id.as_str(), content.as_str(), range)?, range).await
    }

    async fn bytes(&self, call: crate::api::Call, range: &Range<u64>) -> Result<Bytes> {
        let (operation, response) = self.send(call).await?;
        if !response.status().is_success() {
            return Err(error::classify(operation, &response));
        }
        match response.body().len() as u64 == range.end - range.start {
            true => Ok(response.into_body()),
            false => Err(error::no_answer(operation)),
        }
    }

    pub(super) async fn reserve_ids(&self, count: usize) -> Result<Vec<RemoteId>> {
        const OPERATION: &str = "drive.files.generateIds";
        if count == 0 {
            return Ok(Vec::new());
        }
        if count > 1000 {
            return Err(error::refused(OPERATION, "too many ids at once"));
        }
        let answer: Ids = self.call(api::generate_ids(self.origin(), count)?).await?;
        match answer.ids.len() == count {
            true => Ok(answer.ids.iter().map(RemoteId::new).collect()),
            false => Err(error::no_answer(OPERATION)),
        }
    }

    pub(super) async fn make_folders(&self, folders: &[NewFolder]) -> Result<Outcomes<Entry>> {
        let makes: Vec<_> = folders.iter().map(|folder| self.make_folder(folder)).collect();
        Ok(stream::iter(makes).buffered(PARALLEL).collect().await)
    }

    async fn make_folder(&self, folder: &NewFolder) -> Result<Entry> {
        const OPERATION: &str = "drive.files.create";
        if let (Attempt::Again, None) = (folder.attempt, &folder.id)
            && let Some(found) = self.marked(folder.marker.as_str(), &folder.parent.id).await?
        {
            return Ok(found);
        }
        let mut metadata = json!({
            "name": folder.name.0, "mimeType": FOLDER, "parents": [folder.parent.id.as_str()],
            "appProperties": {MARKER_KEY: folder.marker.as_str()},
        });
        if let Some(id) = &folder.id {
            metadata["id"] = json!(id.as_str());
        }
        let made: Result<Wire> = self.call(api::create(self.origin(), &metadata)?).await;
        let file = match (made, &folder.id) {
            (Ok(file), _) => file,
            // The id is ours alone: whoever has it was made by an attempt of ours.
            (Err(failure), Some(id)) if failure.kind == ErrorKind::Conflict => self.look(id).await?.ok_or(failure)?,
            (Err(failure), _) => return Err(failure),
        };
        map::entry(&file).ok_or_else(|| error::no_answer(OPERATION))
    }

    async fn marked(&self, marker: &str, parent: &RemoteId) -> Result<Option<Entry>> {
        let query = api::with_property(MARKER_KEY, marker);
        let here = |file: &Wire| file.parents.iter().any(|id| id == parent.as_str());
        Ok(self.first(&query, here).await?.as_ref().and_then(map::entry))
    }

    /// The oldest file that a query finds and that fits. A page may show fewer than there are, or none: a list ends where no
    /// token is given.
    async fn first(&self, query: &str, fits: impl Fn(&Wire) -> bool + Send + Sync) -> Result<Option<Wire>> {
        let mut page = None;
        for _ in 0..MOST_PAGES {
            let list = api::list(self.origin(), query, "createdTime", page.as_deref())?;
            let list: FileList = self.call(list).await?;
            if let Some(file) = list.files.into_iter().find(|file| fits(file)) {
                return Ok(Some(file));
            }
            page = list.next_page_token;
            if page.is_none() {
                return Ok(None);
            }
        }
        Err(error::no_end("drive.files.list"))
    }

    pub(super) async fn relocate_entry(&self, relocation: &Relocation) -> Result<Entry> {
        const OPERATION: &str = "drive.files.update";
        let id = &relocation.entry.id;
        let now = self.look(id).await?.ok_or_else(|| error::gone(OPERATION))?;
        let (left, joined) = (now.parents.join(","), relocation.parent.id.as_str());
        let stays = left == joined;
        if stays && now.name == relocation.name.0 {
            return map::entry(&now).ok_or_else(|| error::no_answer(OPERATION));
        }
        if map::version(&now) != relocation.expect {
            return Err(error::changed_meanwhile(OPERATION));
        }
        let parents = (!stays).then_some((joined, left.as_str()));
        let metadata = json!({"name": relocation.name.0});
        let moved: Wire = self.call(api::update(self.origin(), id.as_str(), &metadata, parents)?).await?;
        map::entry(&moved).ok_or_else(|| error::no_answer(OPERATION))
    }

    pub(super) async fn remove_all(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        let removes: Vec<_> = removals.iter().map(|removal| self.remove_one(removal)).collect();
        Ok(stream::iter(removes).buffered(PARALLEL).collect().await)
    }

    /// Into the trash, from where people can take it back.
    async fn remove_one(&self, removal: &Removal) -> Result<()> {
        const OPERATION: &str = "drive.files.update";
        let id = &removal.entry.id;
        let Some(now) = self.look(id).await? else { return Ok(()) };
        if removal.folder == FolderOrFile::File && map::version(&now) != removal.expect {
            return Err(error::changed_meanwhile(OPERATION));
        }
        if removal.folder == FolderOrFile::Folder {
            // Trashing a folder trashes what is in it.
            if self.first(&api::within(&[id.as_str()])?, |_| true).await?.is_some() {
                return Err(error::changed_meanwhile(OPERATION));
            }
        }
        let trashed = json!({"trashed": true});
        let done: Result<Value> = self.call(api::update(self.origin(), id.as_str(), &trashed, None)?).await;
        match done {
            Ok(_) => Ok(()),
            Err(failure) if failure.kind == ErrorKind::NotFound => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}
