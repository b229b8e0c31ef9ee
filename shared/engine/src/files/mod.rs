//! A files job: read both trees' changes into rows, plan over the whole tree, carry it out in rounds, until nothing is left.
//!
//! What was observed is durable in the rows before a feed's cursor moves on, so a crash loses no change; what was written is
//! durable before it counts. The tree is held in memory, about 500 bytes an entry: 200,000 entries fit in a worker of 256 MB.
mod carry;
mod compare;
mod note;
mod observe;
mod poll;
mod room;
mod send;
mod stream;
mod view;

use crate::session::{Progress, Stop, stop_for};
use crate::{Engine, Opening};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tandem_core::files::name::NameRules;
use tandem_core::files::plan::{FilePolicy, NameMatch, Relocates, RootOf, SideRules};
use tandem_core::files::settings::FileSettings;
use tandem_core::files::tree::{Seen, Tree};
use tandem_core::profile::{Profile, Settings};
use tandem_core::record::{Marker, RemoteId, RowKey, Side, Version};
use tandem_ports::error::ConnectorError;
use tandem_ports::files::{Entry, FileCapabilities, FileSide, FolderRef, Names, NewRoot};
use tandem_store::connection::Connection;
use tandem_store::file::file_state;
use tandem_store::link::RowState;
use tandem_store::sync::Sync;

/// A worker's stay with one files sync.
pub(crate) struct Files<'a> {
    pub engine: &'a Engine,
    pub sync: &'a Sync,
    pub policy: FilePolicy,
    pub settings: &'a FileSettings,
    left: Arc<dyn FileSide>,
    right: Arc<dyn FileSide>,
    pub left_rules: SideRules,
    pub right_rules: SideRules,
    /// The tree, once something had to be done with it.
    tree: Option<Tree>,
    /// How the rows are listed in the store, where not in sync.
    listed: HashMap<RowKey, RowState>,
    /// The copies that the plan under way was made of.
    planned: HashMap<RowKey, (Option<Version>, Option<Version>)>,
    /// Records that the feed of a polled side told in this job, while the round goes on.
    told: HashSet<RemoteId>,
    /// Conflicts met by a row in this job.
    met: HashMap<RowKey, u32>,
    /// Rows whose plan does not come to rest: left alone in this job.
    unsettled: HashSet<RowKey>,
    /// The root that this sync has at the remote.
    root: NewRoot,
    /// Whether both roots were looked at in this job, before anything is removed.
    roots_checked: bool,
    /// Nothing is written anywhere (preview).
    pub dry: bool,
}

/// An entry as the pure part takes it.
pub(crate) fn seen(entry: Entry) -> Seen {
    Seen {
        id: entry.id,
        place: entry.place,
        name: entry.name,
        kind: entry.kind,
        version: entry.version,
        modified_at: entry.modified_at,
        access: entry.access,
        marker: entry.marker,
    }
}

fn side_rules(side: Side, can: &FileCapabilities) -> SideRules {
    SideRules {
        names: match can.names {
            Names::Repeatable => NameMatch::Repeatable,
            Names::Unique => NameMatch::Exact,
            Names::UniqueWithoutCase => NameMatch::Folded,
        },
        safe: if side == Side::Left { NameRules::Path } else { NameRules::Desktop },
        relocates: if can.stable_ids { Relocates::Yes } else { Relocates::No },
        max_depth: can.max_depth,
        max_bytes: can.max_bytes,
        root: if can.keeps_markers { RootOf::OneAccount } else { RootOf::Any },
    }
}

impl Engine {
    /// Works on a files sync until both sides have come to rest, or something stops it.
    pub(crate) async fn files_round(
        &self,
        sync: &Sync,
        (profile, settings): (&'static Profile, &Settings),
        (crm, remote): (&Connection, &Connection),
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        let mut files = Files::open(self, sync, (profile, settings), (crm, remote)).await?;
        if files.ensure_roots(progress).await? {
            files = Files::open(self, sync, (profile, settings), (crm, remote)).await?;
        }
        if progress.checkpoint.retrying.take().is_some() {
            progress.checkpoint.files.unfinished = true;
        }
        for side in [Side::Right, Side::Left] {
            if let Err(stop) = files.catch_up(side, progress).await {
                // What was looked at so far need not be looked at again.
                if !matches!(stop, Stop::Broken(_)) {
                    files.note_met(side, progress);
                    files.save().await?;
                }
                return Err(stop);
            }
        }
        progress.checkpoint.files.unfinished |= files.is_to_be_tried(progress);
        if progress.checkpoint.files.unfinished {
            files.carry_out(progress).await?;
        }
        Ok(())
    }
}

impl<'a> Files<'a> {
    /// Opens both sides.
    pub async fn open(
        engine: &'a Engine,
        sync: &'a Sync,
        (profile, settings): (&'static Profile, &'a Settings),
        (crm, remote): (&Connection, &Connection),
    ) -> Result<Files<'a>, Stop> {
        let (Some(rules), Some(own)) = (&profile.files, &settings.files) else {
            let message = format!("The profile `{}` carries no files.", profile.id);
            return Err(Stop::Paused { code: "unknown_profile", message, reconnect: None });
        };
        let ask = |side, connection| Opening { sync: &sync.id, connection, profile, settings, side, container: None };
        let checkpoint = engine.store.checkpoint(&sync.id).await?;
        let root = checkpoint.files.right_root.map(|id| tandem_core::record::ContainerId::new(id.as_str()));
        let right = Opening { container: root.as_ref(), ..ask(Side::Right, remote) };
        let left = engine.connectors.open_files(ask(Side::Left, crm)).await.map_err(|e| stop_for(Side::Left, &e))?;
        let right = engine.connectors.open_files(right).await.map_err(|error| stop_for(Side::Right, &error))?;
        Ok(Files {
            left_rules: side_rules(Side::Left, &left.capabilities()),
            right_rules: side_rules(Side::Right, &right.capabilities()),
            engine,
            sync,
            policy: FilePolicy {
                direction: settings.direction,
                conflict: settings.conflict,
                on_crm_delete: settings.on_crm_delete,
                on_remote_delete: settings.on_remote_delete,
                on_remote_rename: own.on_remote_rename,
                google_native: own.google_native,
                max_file_bytes: own.max_file_bytes,
                max_delete_percent: settings.max_delete_percent,
            },
            settings: own,
            left,
            right,
            tree: None,
            listed: HashMap::new(),
            planned: HashMap::new(),
            told: HashSet::new(),
            met: HashMap::new(),
            unsettled: HashSet::new(),
            root: NewRoot { name: rules.root, mark: root_mark(crm) },
            roots_checked: false,
            dry: false,
        })
    }

    /// A side.
    pub fn side(&self, side: Side) -> Arc<dyn FileSide> {
        match side {
            Side::Left => Arc::clone(&self.left),
            Side::Right => Arc::clone(&self.right),
        }
    }

    pub fn can(&self, side: Side) -> FileCapabilities {
        match side {
            Side::Left => self.left.capabilities(),
            Side::Right => self.right.capabilities(),
        }
    }

    /// The tree; it is there once something was to be done.
    pub fn tree(&self) -> &Tree {
        self.tree.as_ref().expect("it was loaded before")
    }
    pub fn tree_mut(&mut self) -> &mut Tree {
        self.tree.as_mut().expect("it was loaded before")
    }

    /// Reads all rows, once a job.
    pub async fn load(&mut self, progress: &Progress<'_>) -> Result<(), Stop> {
        if self.tree.is_some() {
            return Ok(());
        }
        let rows = self.engine.store.file_rows(&self.sync.id).await?;
        self.listed = rows.iter().map(|row| (row.key.clone(), file_state(row).0)).collect();
        self.listed.retain(|_, state| *state != RowState::InSync);
        let root = |known: &Option<RemoteId>| known.clone().unwrap_or_else(|| RemoteId::new("root"));
        let files = &progress.checkpoint.files;
        let roots = (root(&files.left_root), root(&files.right_root));
        self.tree = Some(Tree::new(rows, roots, self.settings.language));
        Ok(())
    }

    /// Makes the roots, once; later they are known by their ids. True when one was made or found: the sides are opened anew.
    async fn ensure_roots(&mut self, progress: &mut Progress<'_>) -> Result<bool, Stop> {
        let mut made = false;
        for side in [Side::Left, Side::Right] {
            let files = &progress.checkpoint.files;
            let known = if side == Side::Left { &files.left_root } else { &files.right_root };
            if known.is_some() {
                continue;
            }
            let root = self.side(side).ensure_root(None, &self.root).await;
            let root = root.map_err(|error| stop_for(side, &error))?.id;
            let files = &mut progress.checkpoint.files;
            *(if side == Side::Left { &mut files.left_root } else { &mut files.right_root }) = Some(root);
            made = true;
        }
        if made {
            self.keep(progress).await?;
        }
        Ok(made)
    }

    /// A root that is gone or cannot be read stops everything before anything is removed because of it.
    pub async fn check_roots(&mut self, progress: &Progress<'_>) -> Result<(), Stop> {
        if std::mem::replace(&mut self.roots_checked, true) {
            return Ok(());
        }
        let files = &progress.checkpoint.files;
        for (side, root) in [(Side::Left, &files.left_root), (Side::Right, &files.right_root)] {
            let found = self.side(side).ensure_root(root.as_ref(), &self.root).await;
            if let Err(error) = found {
                self.roots_checked = false;
                return Err(root_stop(side, &error));
            }
        }
        Ok(())
    }

    /// A folder as the sides take it.
    pub fn folder(&self, side: Side, id: Option<&RemoteId>) -> FolderRef {
        let tree = self.tree();
        FolderRef { id: id.unwrap_or_else(|| tree.root(side)).clone(), path: tree.path(side, id) }
    }
}

/// Tells a CRM account apart from others without saying which it is.
fn root_mark(crm: &Connection) -> Marker {
    let digest = Sha256::digest(format!("{}\n{}", crm.provider, crm.account.id));
    Marker::new(hex::encode(&digest[..16]))
}

fn root_stop(side: Side, error: &ConnectorError) -> Stop {
    if error.kind != tandem_ports::error::ErrorKind::NotFound {
        return stop_for(side, error);
    }
    let message = format!(
        "The folder that this sync is about is gone at {}. Take it out of the trash, or make the sync anew; nothing was \
         deleted because of it.",
        error.provider
    );
    Stop::Paused { code: "root_gone", message, reconnect: None }
}
