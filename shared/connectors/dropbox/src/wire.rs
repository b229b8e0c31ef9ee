//! Dropbox's JSON, as far as we read it.
use serde::Deserialize;
use serde_json::Value;

/// `Metadata`: a file, a folder, or what was at a path.
#[derive(Clone, Deserialize)]
#[serde(tag = ".tag", rename_all = "snake_case")]
pub(crate) enum Metadata {
    File(FileMetadata),
    Folder(FolderMetadata),
    Deleted(DeletedMetadata),
}

/// `FileMetadata`. Answers of uploads and downloads have it without a tag.
#[derive(Clone, Deserialize)]
pub(crate) struct FileMetadata {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path_lower: Option<String>,
    pub(crate) rev: String,
    pub(crate) size: u64,
    pub(crate) client_modified: Option<jiff::Timestamp>,
    pub(crate) content_hash: Option<String>,
    #[serde(default = "yes")]
    pub(crate) is_downloadable: bool,
    pub(crate) symlink_info: Option<Value>,
    pub(crate) sharing_info: Option<SharingInfo>,
}

fn yes() -> bool {
    true
}

/// `FolderMetadata`.
#[derive(Clone, Deserialize)]
pub(crate) struct FolderMetadata {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path_lower: Option<String>,
    pub(crate) sharing_info: Option<SharingInfo>,
}

/// `SharingInfo`.
#[derive(Clone, Deserialize)]
pub(crate) struct SharingInfo {
    #[serde(default)]
    pub(crate) read_only: bool,
}

/// `DeletedMetadata`.
#[derive(Clone, Deserialize)]
pub(crate) struct DeletedMetadata {
    pub(crate) path_lower: Option<String>,
}

/// `ListFolderResult`.
#[derive(Deserialize)]
pub(crate) struct Listed {
    pub(crate) entries: Vec<Metadata>,
    pub(crate) cursor: String,
    pub(crate) has_more: bool,
}

/// `{"metadata": …}`, as most writes answer.
#[derive(Deserialize)]
pub(crate) struct Made<T> {
    pub(crate) metadata: T,
}

/// `UploadSessionStartResult`.
#[derive(Deserialize)]
pub(crate) struct Started {
    pub(crate) session_id: String,
}

/// The launch of a batch, or the state of one that was launched: done, or to be asked for again.
#[derive(Deserialize)]
#[serde(tag = ".tag", rename_all = "snake_case")]
pub(crate) enum Launch<T> {
    AsyncJobId {
        async_job_id: String,
    },
    InProgress,
    Complete {
        entries: Vec<T>,
    },
    Failed(Value),
    #[serde(other)]
    Other,
}

/// One entry of a batch: the metadata where `success` nests it, else the error.
#[derive(Deserialize)]
#[serde(tag = ".tag", rename_all = "snake_case")]
pub(crate) enum Entry<T> {
    Success(T),
    Failure { failure: Value },
}

/// `UploadSessionFinishBatchResult`.
#[derive(Deserialize)]
pub(crate) struct Finished {
    pub(crate) entries: Vec<Entry<FileMetadata>>,
}

/// An endpoint's refusal: status 409.
#[derive(Default, Deserialize)]
pub(crate) struct Refused {
    #[serde(default)]
    pub(crate) error: Value,
}
