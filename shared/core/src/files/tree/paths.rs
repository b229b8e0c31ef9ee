//! What paths mean where a side tells them instead of parents (Dropbox): what is at one, what takes its place, and what is in
//! folders that were not told yet.
use super::{ALWAYS, Tree};
use crate::files::entry::{Access, EntryKind};
use crate::files::row::{Copy, FileRow, Role};
use crate::files::tree::Seen;
use crate::plan::Reason;
use crate::record::{RemoteId, RowKey, Side, Version};
use sha2::{Digest as _, Sha256};

/// Why a folder waits that the side has only named in a path.
pub(super) const UNTOLD: &str = "untold";

impl Tree {
    /// What has this name in a folder, as the side compares names; for sides that tell paths.
    pub(super) fn called(&self, side: Side, folder: Option<&RemoteId>, folded: &str) -> Option<&FileRow> {
        let siblings = self.of(side).children.get(&folder.cloned())?;
        let (found, key) = siblings.range((Some(folded.to_owned()), RowKey::new(""))..).next()?;
        if found.as_deref() == Some(folded) { self.rows.get(key) } else { None }
    }

    /// The row at a path, as the side compares paths.
    pub(super) fn at(&self, side: Side, key: &str) -> Option<&FileRow> {
        let mut found: Option<&FileRow> = None;
        for part in key.split('/') {
            let folder = found.and_then(|row| row.copy(side)).map(|copy| &copy.id);
            found = Some(self.called(side, folder, part)?);
        }
        found
    }

    /// The folder that a path below the root is in, where all of its folders are known; `Some(None)`: the root.
    pub(super) fn parent_at(&self, side: Side, key: &str) -> Option<Option<RemoteId>> {
        match key.rsplit_once('/') {
            Some((folder, _)) => Some(Some(self.at(side, folder)?.copy(side)?.id.clone())),
            None => Some(None),
        }
    }

    /// A folder that the side has named in a path and has not told yet: until it does, it is only the place of what is in it.
    /// (Dropbox: "If the new entry includes parent folders that don't yet exist in your local state, create those parent
    /// folders"; the order of its entries is not promised.)
    pub(super) fn untold(&mut self, side: Side, parent: Option<RemoteId>, folded: &str) -> RemoteId {
        if let Some(file) = self.called(side, parent.as_ref(), folded).map(|row| row.key.clone()) {
            self.take_away(side, &file);
        }
        let mut place = Sha256::new();
        place.update(parent.as_ref().map_or("", RemoteId::as_str));
        place.update([0]);
        place.update(folded);
        let id = RemoteId::new(format!("untold:{}", hex::encode(&place.finalize()[..16])));
        let mut key = RowKey::new(format!("{}:{id}", side.word()));
        // The folder that was told here before may have gone elsewhere, with its row.
        while self.rows.contains_key(&key) {
            key = RowKey::new(format!("{key}'"));
        }
        let mut row = FileRow::new(key, Role::Item);
        *row.slot(side) = Some(Copy {
            id: id.clone(),
            parent,
            name: folded.to_owned(),
            folded: Some(folded.to_owned()),
            kind: EntryKind::Folder,
            version: Version::new("0"),
            modified_at: None,
            access: Access::Write,
            seen: ALWAYS,
            listed: ALWAYS,
            missed: 0,
        });
        row.let_go = Some(Reason::new(UNTOLD, "The folder has not been told by its side yet."));
        self.add(row);
        id
    }

    /// Where a path is taken by another entry, that one is not there any more, with all that is in it. A folder is only
    /// replaced by a folder, and what is in it stays. (Dropbox: "If there's already something else at the given path, replace
    /// it but leave the children unmodified".) Answers the row of the entry.
    pub(super) fn displace(
        &mut self,
        side: Side,
        (parent, folded): (Option<&RemoteId>, &str),
        by: Option<RowKey>,
        seen: &Seen,
    ) -> Option<RowKey> {
        let Some(other) = self.called(side, parent, folded).filter(|other| by.as_ref() != Some(&other.key)) else {
            return by;
        };
        let (key, folder) = (other.key.clone(), other.copy(side).is_some_and(Copy::is_folder));
        if folder && seen.kind == EntryKind::Folder {
            self.hand_over(side, &key, &seen.id);
            if by.is_none() {
                self.renew(side, &key, &seen.id);
                return Some(key);
            }
        }
        self.take_away(side, &key);
        by
    }

    /// What is in a folder is in the one with this id from now on, also in what both sides agreed on.
    fn hand_over(&mut self, side: Side, key: &RowKey, id: &RemoteId) {
        let Some(row) = self.rows.get(key) else { return };
        let Some(before) = row.copy(side).map(|copy| copy.id.clone()) else { return };
        let is_before = |parent: Option<&RemoteId>| parent == Some(&before);
        let mut within: Vec<RowKey> = self.children(side, Some(&before)).map(|row| row.key.clone()).collect();
        if row.base.is_some() {
            let agreed =
                |row: &&FileRow| row.base.as_ref().is_some_and(|base| is_before(base.side(side).parent.as_ref()));
            within.extend(self.rows.values().filter(agreed).map(|row| row.key.clone()));
        }
        for key in within {
            self.change(&key, |row| {
                if let Some(copy) = row.slot(side).as_mut().filter(|copy| is_before(copy.parent.as_ref())) {
                    copy.parent = Some(id.clone());
                }
                if let Some(base) = row.base.as_mut().filter(|base| is_before(base.side(side).parent.as_ref())) {
                    base.side_mut(side).parent = Some(id.clone());
                }
            });
        }
    }

    /// An entry goes by another id from now on.
    fn renew(&mut self, side: Side, key: &RowKey, id: &RemoteId) {
        self.change(key, |row| {
            let Some(copy) = row.slot(side) else { return };
            let before = std::mem::replace(&mut copy.id, id.clone());
            if let Some(base) = row.base.as_mut().filter(|base| base.side(side).id == before) {
                base.side_mut(side).id = id.clone();
            }
        });
    }
}
