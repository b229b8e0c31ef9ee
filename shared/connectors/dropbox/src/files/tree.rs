//! Entries without their bytes, and the reading of bytes.
use super::{DropboxFiles, PARALLEL, path};
use crate::api::{self, tree};
use crate::error;
use crate::map;
use crate::wire::{FileMetadata, FolderMetadata, Launch, Listed, Made, Metadata};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ops::Range;
use std::time::Duration;
use tandem_core::files::entry::{EntryKind, Place};
use tandem_core::record::Version;
use tandem_ports::connector::Outcomes;
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::files::{CHUNK, Entry, EntryRef, FolderOrFile, NewFolder, Relocation, Removal};

/// How often a launched batch is asked for: about half a minute. The engine comes back for one that takes longer.
const CHECKS: usize = 18;
/// The pause before the first question; each next one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

type Item<T> = crate::wire::Entry<Made<T>>;

impl DropboxFiles {
    pub(super) async fn get_all(&self, entries: &[EntryRef]) -> Result<Vec<Option<Entry>>> {
        let looks: Vec<_> = entries.iter().map(|entry| self.look(entry.id.as_str())).collect();
        stream::iter(looks).buffered(PARALLEL).try_collect().await
    }

    /// `Dropbox-API-Result` says which revision the bytes are of.
    pub(super) async fn read_range(&self, entry: &EntryRef, content: &Version, range: Range<u64>) -> Result<Bytes> {
        const OPERATION: &str = "files/download";
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end - range.start > CHUNK {
            return Err(error::refused(OPERATION, "too much to read at once"));
        }
        let call = api::content::download(&self.config.content_url, entry.id.as_str(), &range)?;
        let (_, response) = self.send(call).await?;
        if !response.status().is_success() {
            return Err(error::classify(OPERATION, &response));
        }
        let said = said_of(response.headers()).ok_or_else(|| error::unreadable(OPERATION))?;
        if said.rev != content.as_str() {
            return Err(error::changed_meanwhile(OPERATION));
        }
        match response.body().len() as u64 == range.end - range.start {
            true => Ok(response.into_body()),
            false => Err(error::unreadable(OPERATION)),
        }
    }

    pub(super) async fn make_folders(&self, folders: &[NewFolder]) -> Result<Outcomes<Entry>> {
        const OPERATION: &str = "files/create_folder_batch";
        let paths: Vec<String> = folders.iter().map(|folder| path(&folder.parent, &folder.name)).collect();
        let origin = &self.config.api_url;
        let made = match paths.as_slice() {
            [] => return Ok(Vec::new()),
            [one] => {
                let made: Result<Made<FolderMetadata>> = self.call(tree::create_folder(origin, one)?).await;
                match made {
                    Err(failure) if !is_of_item(failure.kind) => return Err(failure),
                    made => vec![made.map(|made| made.metadata)],
                }
            }
            several => {
                let launch = self.call(tree::create_folders(origin, several)?).await?;
                let items: Vec<Item<FolderMetadata>> = self.completed(OPERATION, "create_folder_batch", launch).await?;
                items.into_iter().map(|item| outcome(OPERATION, item)).collect()
            }
        };
        if made.len() != folders.len() {
            return Err(error::unreadable(OPERATION));
        }
        let mut outcomes = Vec::with_capacity(made.len());
        for (made, path) in made.into_iter().zip(&paths) {
            outcomes.push(match made {
                Ok(folder) => map::folder(&folder).ok_or_else(|| error::unreadable(OPERATION)),
                // There can be only one of a name, so a folder that is there is the one that is wanted.
                Err(failure) if failure.kind == ErrorKind::Conflict => self.folder_at(path, failure).await,
                Err(failure) => Err(failure),
            });
        }
        Ok(outcomes)
    }

    async fn folder_at(&self, path: &str, failure: ConnectorError) -> Result<Entry> {
        match self.look(path).await? {
            Some(entry) if entry.kind == EntryKind::Folder => Ok(entry),
            Some(_) | None => Err(failure),
        }
    }

    /// Waits for a launched batch.
    async fn completed<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        route: &str,
        launch: Launch<T>,
    ) -> Result<Vec<T>> {
        let mut job = None;
        let mut state = launch;
        let mut pause = FIRST_PAUSE;
        for _ in 0..CHECKS {
            match state {
                Launch::Complete { entries } => return Ok(entries),
                Launch::Failed(failure) => {
                    return Err(error::classify_item(operation, failure.get("failed").unwrap_or(&Value::Null)));
                }
                Launch::AsyncJobId { async_job_id } => job = Some(async_job_id),
                Launch::InProgress => {}
                Launch::Other => return Err(error::unreadable(operation)),
            }
            let job = job.as_ref().ok_or_else(|| error::unreadable(operation))?;
            if let Some(clock) = &self.clock {
                clock.sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            state = self.call(tree::check(operation, &self.config.api_url, route, job)?).await?;
        }
        Err(error::still_working(operation))
    }

    /// Dropbox moves without a precondition: it is looked at directly before.
    pub(super) async fn relocate_entry(&self, relocation: &Relocation) -> Result<Entry> {
        const OPERATION: &str = "files/move_v2";
        let (id, to) = (relocation.entry.id.as_str(), path(&relocation.parent, &relocation.name));
        let now = self.look(id).await?.ok_or_else(|| error::gone(OPERATION))?;
        if is_at(&now, &to) {
            // There already: an answer was lost, or only the case of its name would change, which Dropbox does not do.
            return Ok(now);
        }
        if now.version != relocation.expect {
            return Err(error::changed_meanwhile(OPERATION));
        }
        let moved: Made<Metadata> = self.call(tree::relocate(&self.config.api_url, id, &to)?).await?;
        map::entry(&moved.metadata).ok_or_else(|| error::unreadable(OPERATION))
    }

    /// A folder goes when nothing is in it; Dropbox itself would take along what is, so that is looked at directly before.
    pub(super) async fn remove_all(&self, removals: &[Removal]) -> Result<Outcomes<()>> {
        const OPERATION: &str = "files/delete_batch";
        let looks = removals.iter().map(|removal| async move {
            match removal.folder {
                FolderOrFile::Folder => self.is_empty(removal.entry.id.as_str()).await,
                FolderOrFile::File => Ok(true),
            }
        });
        let free: Vec<bool> = stream::iter(looks.collect::<Vec<_>>()).buffered(PARALLEL).try_collect().await?;
        let may: Vec<&Removal> = removals.iter().zip(&free).filter(|(_, free)| **free).map(|(one, _)| one).collect();
        let mut gone = self.delete(&may).await?.into_iter();
        let mut outcomes = Vec::with_capacity(removals.len());
        for (removal, free) in removals.iter().zip(free) {
            if !free {
                outcomes.push(Err(error::changed_meanwhile(OPERATION)));
                continue;
            }
            outcomes.push(match gone.next().ok_or_else(|| error::unreadable(OPERATION))? {
                Err(failure) if failure.kind == ErrorKind::NotFound => self.gone_or_elsewhere(removal).await,
                gone => gone,
            });
        }
        Ok(outcomes)
    }

    /// Whether nothing is in a folder; nor is in one that is gone.
    async fn is_empty(&self, id: &str) -> Result<bool> {
        let listed: Result<Listed> = self.call(tree::first_child(&self.config.api_url, id)?).await;
        match listed {
            // An empty page that is not the last one says nothing.
            Ok(listed) => Ok(listed.entries.is_empty() && !listed.has_more),
            Err(failure) if failure.kind == ErrorKind::NotFound => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// A file goes by its path and its rev, so that one that was moved or edited stays. A folder has no rev: it goes by its
    /// id, so that another one that took its place stays.
    async fn delete(&self, removals: &[&Removal]) -> Result<Outcomes<()>> {
        const OPERATION: &str = "files/delete_batch";
        let argument = |removal: &&Removal| match removal.folder {
            FolderOrFile::Folder => tree::removal(removal.entry.id.as_str(), None),
            FolderOrFile::File => {
                let path = path(&removal.entry.parent, &removal.entry.name);
                tree::removal(&path, Some(map::rev(&removal.expect)))
            }
        };
        let arguments: Vec<Value> = removals.iter().map(argument).collect();
        let origin = &self.config.api_url;
        let gone: Outcomes<()> = match arguments.as_slice() {
            [] => return Ok(Vec::new()),
            [one] => {
                let gone: Result<Made<Metadata>> = self.call(tree::delete(origin, one)?).await;
                match gone {
                    Err(failure) if !is_of_item(failure.kind) => return Err(failure),
                    gone => vec![gone.map(|_| ())],
                }
            }
            several => {
                let launch = self.call(tree::delete_all(origin, several)?).await?;
                let items: Vec<Item<Metadata>> = self.completed(OPERATION, "delete_batch", launch).await?;
                items.into_iter().map(|item| outcome(OPERATION, item).map(|_| ())).collect()
            }
        };
        if gone.len() != removals.len() {
            return Err(error::unreadable(OPERATION));
        }
        Ok(gone)
    }

    /// Nothing is at its path: removed, or moved by somebody.
    async fn gone_or_elsewhere(&self, removal: &Removal) -> Result<()> {
        match self.look(removal.entry.id.as_str()).await? {
            None => Ok(()),
            Some(_) => Err(error::changed_meanwhile("files/delete_batch")),
        }
    }
}

/// What a download is of: JSON in a header, whose names may be any UTF-8.
fn said_of(headers: &http::HeaderMap) -> Option<FileMetadata> {
    serde_json::from_slice(headers.get("dropbox-api-result")?.as_bytes()).ok()
}

/// Whether a refusal of a call about one entry is about that entry and not about the account.
pub(super) fn is_of_item(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Permanent | ErrorKind::Forbidden => true,
        ErrorKind::Retryable | ErrorKind::Throttled { .. } | ErrorKind::AuthRevoked | ErrorKind::CursorExpired => false,
    }
}

fn outcome<T: for<'a> Deserialize<'a>>(operation: &'static str, item: Item<T>) -> Result<T> {
    match item {
        crate::wire::Entry::Success(made) => Ok(made.metadata),
        crate::wire::Entry::Failure { failure } => Err(error::classify_item(operation, &failure)),
    }
}

fn is_at(entry: &Entry, path: &str) -> bool {
    match &entry.place {
        Place::At { key } => *key == path.trim_start_matches('/').to_lowercase(),
        Place::In { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_of_a_file_with_any_name_says_what_it_is_of() {
        let json = r#"{"name":"café.txt","id":"id:a","rev":"016","size":3,"client_modified":"2026-01-05T08:00:00Z",
            "server_modified":"2026-01-05T08:00:00Z","path_lower":"/café.txt","path_display":"/café.txt"}"#;
        let value = http::HeaderValue::from_bytes(json.replace('\n', " ").as_bytes()).expect("any bytes but controls");
        let headers = http::HeaderMap::from_iter([(http::HeaderName::from_static("dropbox-api-result"), value)]);
        assert_eq!(said_of(&headers).expect("it is JSON").rev, "016");
    }
}
