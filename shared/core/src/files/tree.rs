//! The three trees of a sync (CRM, remote, base) as one set of rows, and what observations do to them.
mod paths;

use super::entry::{Access, EntryKind, Place};
use super::name;
use super::row::{Copy, DELETED_REMOTELY, FileRow, Role};
use super::settings::Language;
use crate::plan::Reason;
use crate::record::{Marker, RemoteId, RowKey, Side, Version};
use paths::UNTOLD;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An entry as it was observed; the port's own form of it leads here.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its id.
    pub id: RemoteId,
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its version.
    pub version: Version,
    /// When a person last changed it.
    pub modified_at: Option<jiff::Timestamp>,
    /// Whether we may write to it.
    pub access: Access,
    /// Our marker.
    pub marker: Option<Marker>,
}

/// Seen and read in every listing (stores keep numbers as signed ones).
const ALWAYS: u64 = i64::MAX as u64;

#[derive(Default)]
struct Index {
    ids: HashMap<RemoteId, RowKey>,
    /// What is in a folder, by its name as the side compares it, where the side tells paths.
    children: HashMap<Option<RemoteId>, BTreeSet<(Option<String>, RowKey)>>,
}

/// All rows of a sync, with what is needed to find them.
#[derive(Default)]
pub struct Tree {
    rows: BTreeMap<RowKey, FileRow>,
    left: Index,
    right: Index,
    roots: HashMap<Side, RemoteId>,
    language: Language,
    dirty: BTreeSet<RowKey>,
}

impl Tree {
    /// Of these rows, below these roots.
    pub fn new(rows: Vec<FileRow>, (left, right): (RemoteId, RemoteId), language: Language) -> Tree {
        let mut tree =
            Tree { roots: HashMap::from([(Side::Left, left), (Side::Right, right)]), language, ..Tree::default() };
        for row in rows {
            tree.enter(&row);
            tree.rows.insert(row.key.clone(), row);
        }
        tree
    }

    fn index(&mut self, side: Side) -> &mut Index {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
    fn of(&self, side: Side) -> &Index {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    fn enter(&mut self, row: &FileRow) {
        for side in [Side::Left, Side::Right] {
            let index = self.index(side);
            if let Some(id) = row.id(side) {
                index.ids.insert(id.clone(), row.key.clone());
            }
            if let Some(base) = &row.base {
                index.ids.entry(base.side(side).id.clone()).or_insert_with(|| row.key.clone());
            }
            if let Some(id) =
                row.making.as_ref().filter(|making| making.side == side).and_then(|making| making.id.clone())
            {
                index.ids.entry(id).or_insert_with(|| row.key.clone());
            }
            if let Some(copy) = row.copy(side) {
                let child = (copy.folded.clone(), row.key.clone());
                index.children.entry(copy.parent.clone()).or_default().insert(child);
            }
        }
    }

    fn leave(&mut self, row: &FileRow) {
        for side in [Side::Left, Side::Right] {
            let making = row.making.as_ref().filter(|making| making.side == side).and_then(|making| making.id.clone());
            let base = row.base.as_ref().map(|base| base.side(side).id.clone());
            let ids: Vec<RemoteId> = [row.id(side).cloned(), base, making].into_iter().flatten().collect();
            let index = self.index(side);
            for id in ids {
                if index.ids.get(&id) == Some(&row.key) {
                    index.ids.remove(&id);
                }
            }
            if let Some(copy) = row.copy(side)
                && let Some(siblings) = index.children.get_mut(&copy.parent)
            {
                siblings.remove(&(copy.folded.clone(), row.key.clone()));
            }
        }
    }

    /// Every row, by key.
    pub fn rows(&self) -> impl Iterator<Item = &FileRow> {
        self.rows.values()
    }
    /// A row.
    pub fn row(&self, key: &RowKey) -> Option<&FileRow> {
        self.rows.get(key)
    }
    /// How many rows join both sides.
    pub fn linked(&self) -> u64 {
        self.rows.values().filter(|row| row.is_linked() && row.role == Role::Item).count() as u64
    }
    /// The row of an id.
    pub fn by_id(&self, side: Side, id: &RemoteId) -> Option<&FileRow> {
        self.rows.get(self.of(side).ids.get(id)?)
    }
    /// What is in a folder on a side; `None`: in the root.
    pub fn children(&self, side: Side, folder: Option<&RemoteId>) -> impl Iterator<Item = &FileRow> {
        let keys = self.of(side).children.get(&folder.cloned());
        keys.into_iter().flatten().filter_map(|(_, key)| self.rows.get(key))
    }
    /// The row of the folder that a row's copy is in; `None` at the top.
    pub fn parent(&self, side: Side, row: &FileRow) -> Option<&FileRow> {
        self.by_id(side, row.copy(side)?.parent.as_ref()?)
    }
    /// The root's id.
    pub fn root(&self, side: Side) -> &RemoteId {
        &self.roots[&side]
    }

    /// A folder's path on a side, names joined by `/`; "" for the root. On the CRM side the made-up folders are left out.
    pub fn path(&self, side: Side, folder: Option<&RemoteId>) -> String {
        let mut names = Vec::new();
        let mut at = folder.cloned();
        // A tree that turns in a circle for a moment must not turn us with it.
        for _ in 0..self.rows.len() {
            let Some(row) = at.as_ref().and_then(|id| self.by_id(side, id)) else { break };
            let Some(copy) = row.copy(side) else { break };
            if !(side == Side::Left && row.role == Role::Module) {
                names.push(copy.name.as_str());
            }
            at.clone_from(&copy.parent);
        }
        names.reverse();
        names.join("/")
    }

    /// Whether `row` is `above` or within it, on a side.
    pub fn is_within(&self, side: Side, row: &RowKey, above: &RowKey) -> bool {
        let mut at = Some(row.clone());
        for _ in 0..=self.rows.len() {
            match at {
                Some(key) if key == *above => return true,
                Some(key) => at = self.rows.get(&key).and_then(|row| self.parent(side, row)).map(|row| row.key.clone()),
                None => return false,
            }
        }
        true
    }

    /// Changes a row (and notes that it did).
    pub fn change(&mut self, key: &RowKey, change: impl FnOnce(&mut FileRow)) {
        let Some(before) = self.rows.remove(key) else { return };
        self.leave(&before);
        let mut after = before.clone();
        change(&mut after);
        self.enter(&after);
        if after != before {
            self.dirty.insert(key.clone());
        }
        self.rows.insert(key.clone(), after);
    }

    /// Adds a row.
    pub fn add(&mut self, row: FileRow) {
        self.enter(&row);
        self.dirty.insert(row.key.clone());
        self.rows.insert(row.key.clone(), row);
    }

    /// Forgets a row.
    pub fn forget(&mut self, key: &RowKey) {
        if let Some(row) = self.rows.remove(key) {
            self.leave(&row);
            self.dirty.insert(key.clone());
        }
    }

    /// Rows that have changed since the last call: as they are now, `None` when forgotten.
    pub fn take_dirty(&mut self) -> Vec<(RowKey, Option<FileRow>)> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|key| (key.clone(), self.rows.get(&key).cloned())).collect()
    }

    /// Whether rows have changed since they were last taken.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes in an entry that is there. Answers its row, `None` when it is outside the root.
    pub fn observe(&mut self, side: Side, seen: &Seen, generation: u64) -> Option<RowKey> {
        let Some((parent, folded)) = self.place(side, seen) else {
            self.gone(side, &seen.id);
            return None;
        };
        let mut known = self.known(side, seen);
        if let Some(folded) = &folded {
            known = self.displace(side, (parent.as_ref(), folded), known, seen);
        }
        let role = if matches!(seen.kind, EntryKind::Record { .. }) { Role::Record } else { Role::Item };
        let key = known.unwrap_or_else(|| {
            let mut key = RowKey::new(format!("{}:{}", side.word(), seen.id));
            // The copies of a split row: the first one has the key of its id.
            while self.rows.contains_key(&key) {
                key = RowKey::new(format!("{key}'"));
            }
            self.add(FileRow::new(key.clone(), role));
            key
        });
        self.change(&key, |row| {
            let before = row.copy(side);
            let mut copy = Copy {
                id: seen.id.clone(),
                parent,
                name: seen.name.clone(),
                folded,
                kind: seen.kind.clone(),
                version: seen.version.clone(),
                modified_at: seen.modified_at,
                access: seen.access.clone(),
                seen: generation,
                listed: before.filter(|before| before.id == seen.id).map_or(0, |before| before.listed),
                missed: 0,
            };
            keep_hashes(&mut copy, before);
            *row.slot(side) = Some(copy);
            row.role = if row.role == Role::Item { role } else { row.role };
            if row.let_go.as_ref().is_some_and(|reason| taken_back(&reason.code, side)) {
                row.let_go = None;
            }
        });
        Some(key)
    }

    /// Takes in what a write of ours made, as the copy of this row. A row that the feed made of it meanwhile is one with it.
    pub fn adopt(&mut self, key: &RowKey, side: Side, seen: &Seen, generation: u64) {
        let fallback = self.rows.get(key).and_then(|row| row.copy(side)).and_then(|copy| copy.parent.clone());
        // What is above it may have moved meanwhile: the feed tells where to.
        let (parent, folded) = match &seen.place {
            Place::At { key } if self.parent_at(side, key).is_none() => (fallback, None),
            Place::At { .. } | Place::In { .. } => self.place(side, seen).unwrap_or((fallback, None)),
        };
        if let Some(other) = self.by_id(side, &seen.id).map(|row| row.key.clone()).filter(|other| other != key) {
            self.change(&other, |row| *row.slot(side) = None);
            if self.rows.get(&other).is_some_and(|row| row.copy(side.other()).is_none()) {
                self.forget(&other);
            }
        }
        let copy = Copy {
            id: seen.id.clone(),
            parent,
            name: seen.name.clone(),
            folded,
            kind: seen.kind.clone(),
            version: seen.version.clone(),
            modified_at: seen.modified_at,
            access: seen.access.clone(),
            seen: generation,
            listed: generation,
            missed: 0,
        };
        self.change(key, |row| *row.slot(side) = Some(copy));
    }

    /// The row of an observed entry: by its id, by the id that we reserved for it, by our marker.
    fn known(&self, side: Side, seen: &Seen) -> Option<RowKey> {
        if let Some(row) = self.by_id(side, &seen.id) {
            return Some(row.key.clone());
        }
        let marked = seen.marker.as_ref().map(|marker| RowKey::new(marker.as_str()))?;
        let row = self.rows.get(&marked)?;
        let ours = row.making.as_ref().is_some_and(|making| making.side == side) && row.copy(side).is_none();
        ours.then_some(marked)
    }

    /// The parent of an observed entry, `None` when it is outside.
    fn place(&mut self, side: Side, seen: &Seen) -> Option<(Option<RemoteId>, Option<String>)> {
        if let EntryKind::Record { module, .. } = &seen.kind {
            return Some((Some(self.module(module)), None));
        }
        match &seen.place {
            Place::In { parent } if *parent == *self.root(side) => Some((None, None)),
            Place::In { parent } => {
                let row = self.by_id(side, parent)?;
                row.copy(side).filter(|copy| copy.is_folder())?;
                Some((Some(parent.clone()), None))
            }
            Place::At { key } => {
                let mut parts: Vec<&str> = key.split('/').collect();
                let own = parts.pop().map(str::to_owned);
                let mut parent: Option<RemoteId> = None;
                for part in parts {
                    let there = self.called(side, parent.as_ref(), part).and_then(|row| row.copy(side));
                    let there = there.filter(|copy| copy.is_folder()).map(|copy| copy.id.clone());
                    parent = Some(there.unwrap_or_else(|| self.untold(side, parent, part)));
                }
                Some((parent, own))
            }
        }
    }

    /// The made-up CRM copy of a module's folder.
    fn module(&mut self, module: &str) -> RemoteId {
        let key = RowKey::new(format!("module:{module}"));
        let id = RemoteId::new(key.as_str());
        if self.rows.get(&key).is_none_or(|row| row.left.is_none()) {
            if !self.rows.contains_key(&key) {
                self.add(FileRow::new(key.clone(), Role::Module));
            }
            let reason = "Only what is within a record's folder is synchronised.".to_owned();
            let copy = Copy {
                id: id.clone(),
                parent: None,
                name: name::module_folder(module, self.language),
                folded: None,
                kind: EntryKind::Folder,
                version: Version::new("1"),
                modified_at: None,
                access: Access::Read { reason },
                seen: ALWAYS,
                listed: ALWAYS,
                missed: 0,
            };
            self.change(&key, |row| row.left = Some(copy));
        }
        id
    }

    /// An entry is gone, with all that was in it.
    pub fn gone(&mut self, side: Side, id: &RemoteId) {
        if let Some(key) = self
            .by_id(side, id)
            .filter(|row| row.copy(side).is_some_and(|copy| copy.id == *id))
            .map(|row| row.key.clone())
        {
            self.take_away(side, &key);
        }
    }

    /// The same by its path.
    pub fn gone_at(&mut self, side: Side, key: &str) {
        if let Some(key) = self.at(side, key).map(|row| row.key.clone()) {
            self.take_away(side, &key);
        }
    }

    /// A record left the selection. Both copies stay as they are.
    pub fn outside(&mut self, side: Side, id: &RemoteId) {
        let Some(key) = self.by_id(side, id).map(|row| row.key.clone()) else { return };
        let reason = Reason::new("not_selected", "It is no longer among the records that this sync is set to.");
        self.change(&key, |row| row.let_go = Some(reason));
    }

    /// What is in a record (or folder) cannot be read, and so cannot be written: nothing else follows.
    pub fn unreadable(&mut self, side: Side, id: &RemoteId, reason: &str) {
        let Some(key) = self.by_id(side, id).map(|row| row.key.clone()) else { return };
        self.bar(&key, side, reason);
    }

    /// Nothing is written into a record (or folder) until its side is seen again and says that it may be.
    pub fn bar(&mut self, key: &RowKey, side: Side, reason: &str) {
        self.change(key, |row| {
            if let Some(copy) = row.slot(side) {
                copy.access = Access::Read { reason: reason.to_owned() };
            }
        });
    }

    /// Files within a record that a reading of all of it did not show, while `shown` it did. One that is missed for the
    /// first time is only noted, unless another one of its name has come to its place; the others are answered.
    pub fn missed(&mut self, side: Side, record: &RowKey, shown: &BTreeSet<RowKey>) -> Vec<RowKey> {
        let is_file = |row: &FileRow| row.copy(side).is_some_and(|copy| !copy.is_folder());
        let absent = |key: &RowKey| !shown.contains(key) && self.rows.get(key).is_some_and(is_file);
        let absent: Vec<RowKey> = self.below(side, record).into_iter().skip(1).filter(absent).collect();
        let mut again = Vec::new();
        for key in absent {
            let row = &self.rows[&key];
            let Some(copy) = row.copy(side) else { continue };
            let namesake =
                |other: &FileRow| other.base.is_none() && other.copy(side).is_some_and(|other| other.name == copy.name);
            let replaced = self.children(side, copy.parent.as_ref()).any(|other| other.key != key && namesake(other));
            if replaced || copy.missed > 0 || row.base.is_none() {
                again.push(key);
            } else {
                self.change(&key, |row| {
                    if let Some(copy) = row.slot(side) {
                        copy.missed += 1;
                    }
                });
            }
        }
        again
    }

    /// The row of the record that a row's copy is in; its own, where it is one.
    pub fn record_of(&self, side: Side, row: &RowKey) -> Option<RowKey> {
        let mut at = self.rows.get(row)?;
        for _ in 0..64 {
            if at.role == Role::Record {
                return Some(at.key.clone());
            }
            at = self.parent(side, at)?;
        }
        None
    }

    /// A row and everything within it on a side, from the top.
    pub fn below(&self, side: Side, key: &RowKey) -> Vec<RowKey> {
        let mut all = vec![key.clone()];
        let mut met: BTreeSet<RowKey> = all.iter().cloned().collect();
        let mut next = 0;
        while let Some(key) = all.get(next).cloned() {
            next += 1;
            let Some(copy) = self.rows.get(&key).and_then(|row| row.copy(side)) else { continue };
            // What came into it by a circle is in the list already.
            let below = self.children(side, Some(&copy.id)).map(|row| row.key.clone());
            all.extend(below.filter(|key| met.insert(key.clone())));
        }
        all
    }

    fn take_away(&mut self, side: Side, key: &RowKey) {
        for key in self.below(side, key) {
            self.change(&key, |row| *row.slot(side) = None);
            let nothing =
                |row: &FileRow| row.left.is_none() && row.right.is_none() && row.base.is_none() && row.making.is_none();
            if self.rows.get(&key).is_some_and(nothing) {
                self.forget(&key);
            }
        }
    }

    /// Joins two rows, each of which has one side's copy.
    pub fn merge(&mut self, into: &RowKey, from: &RowKey) {
        let Some(other) = self.rows.get(from).cloned() else { return };
        self.forget(from);
        self.change(into, |row| {
            for side in [Side::Left, Side::Right] {
                if row.copy(side).is_none() {
                    row.slot(side).clone_from(&other.copy(side).cloned());
                }
            }
            row.base = None;
            row.making = None;
            row.let_go = None;
            row.excluded = None;
            row.failure = None;
        });
    }

    /// A new entry takes the place of one that is gone: same folder, same name. What both sides agreed on stays.
    pub fn readopt(&mut self, gone: &RowKey, fresh: &RowKey, side: Side) {
        let Some(copy) = self.rows.get(fresh).and_then(|row| row.copy(side)).cloned() else { return };
        self.forget(fresh);
        self.change(gone, |row| {
            if let Some(base) = &mut row.base {
                base.side_mut(side).id = copy.id.clone();
            }
            *row.slot(side) = Some(copy);
            row.let_go = None;
        });
    }

    /// Takes one side's copy out of a row, into a row of its own. Answers that row's key.
    pub fn split(&mut self, key: &RowKey, side: Side) -> Option<RowKey> {
        let copy = self.rows.get(key)?.copy(side)?.clone();
        self.change(key, |row| {
            *row.slot(side) = None;
            row.base = None;
            row.transfer = None;
        });
        let mut own = RowKey::new(format!("{}:{}", side.word(), copy.id));
        while self.rows.contains_key(&own) {
            own = RowKey::new(format!("{own}'"));
        }
        let mut row = FileRow::new(own.clone(), Role::Item);
        *row.slot(side) = Some(copy);
        self.add(row);
        Some(own)
    }

    /// Rows whose copy a complete listing has not shown.
    pub fn unseen(&self, side: Side, generation: u64) -> Vec<RowKey> {
        let missed = |row: &&FileRow| row.copy(side).is_some_and(|copy| copy.seen < generation);
        self.rows.values().filter(missed).map(|row| row.key.clone()).collect()
    }

    /// Folders whose content was not read in this listing.
    pub fn unlisted(&self, side: Side, generation: u64) -> Vec<RowKey> {
        let missed = |row: &&FileRow| {
            row.copy(side).is_some_and(|copy| copy.is_folder() && copy.listed < generation) && row.let_go.is_none()
        };
        self.rows.values().filter(missed).map(|row| row.key.clone()).collect()
    }
}

/// Hashes that we computed ourselves hold as long as the bytes are the same.
fn keep_hashes(copy: &mut Copy, before: Option<&Copy>) {
    if let (EntryKind::File { hashes, content, .. }, Some(before)) = (&mut copy.kind, before)
        && before.content() == Some(content)
        && let Some(known) = before.hashes()
    {
        hashes.learn(known);
    }
}

/// Whether a new sight of the entry on this side takes back why it was let go.
fn taken_back(code: &str, side: Side) -> bool {
    match side {
        Side::Left => ["not_selected", "deleted_in_crm", UNTOLD].contains(&code),
        Side::Right => [DELETED_REMOTELY, "moved_out", UNTOLD].contains(&code),
    }
}
