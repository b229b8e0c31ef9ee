//! From three trees to the next steps. Pure; the same trees give the same plan.
//!
//! The whole plan is made each time; what cannot be done yet (its folder is not there) is not [`ready`](Step::ready). The
//! engine carries out what is ready, notes what came of it in the tree, and plans again until nothing is left.
use super::entry::{Access, EntryKind, Exportable, Hashes};
use super::name::{self, NameRules};
use super::place::Placing;
use super::row::{Agreed, Copy, DELETED_REMOTELY, FileBase, FileRow, Role};
use super::settings::{NativeDocuments, OnRename};
pub use super::step::{Act, Plan, Step, Target};
use super::tree::Tree;
use crate::plan::{Reason, Why};
use crate::policy::{Conflict, Direction, OnDelete};
use crate::record::{RemoteId, RowKey, RunId, Side};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// The rules of a files sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePolicy {
    /// Which way files flow.
    pub direction: Direction,
    /// Which copy keeps its name when both were edited.
    pub conflict: Conflict,
    /// A deletion in the CRM.
    pub on_crm_delete: OnDelete,
    /// A deletion at the remote.
    pub on_remote_delete: OnDelete,
    /// A rename or move at the remote.
    pub on_remote_rename: OnRename,
    /// Google Docs and their like.
    pub google_native: NativeDocuments,
    /// Larger files are left out.
    pub max_file_bytes: Option<u64>,
    /// The share of linked entries that a run may delete, in percent.
    pub max_delete_percent: u8,
}

/// How a side compares names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameMatch {
    /// A name may occur more than once.
    Repeatable,
    /// Once, exactly.
    Exact,
    /// Once, whatever the case and composition of its letters.
    Folded,
}

/// What the plan must know of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideRules {
    /// How names are compared.
    pub names: NameMatch,
    /// Which names it refuses.
    pub safe: NameRules,
    /// Whether entries can be moved and renamed.
    pub relocates: Relocates,
    /// How many folders may be within each other below a record.
    pub max_depth: Option<usize>,
    /// The largest file.
    pub max_bytes: Option<u64>,
    /// Whose records the folders at the remote may be of.
    pub root: RootOf,
}

/// Whose records have their folders in a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootOf {
    /// One CRM account's: it is marked so. A number says which record a folder is of.
    OneAccount,
    /// Those of any CRM account that the remote account was used with: the same numbers may be other customers'.
    Any,
}

/// Whether entries can be moved and renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relocates {
    /// They can, and keep their id.
    Yes,
    /// They cannot.
    No,
}

/// Everything the plan follows from.
pub struct World<'a> {
    /// What was observed and agreed on.
    pub tree: &'a Tree,
    /// The rules.
    pub policy: &'a FilePolicy,
    /// The CRM side.
    pub left: &'a SideRules,
    /// The remote side.
    pub right: &'a SideRules,
    /// The date that conflict copies bear.
    pub today: jiff::civil::Date,
    /// The run under way: it tries a thing that fails once.
    pub run: Option<&'a RunId>,
}

/// Tries of a thing that a provider refuses.
pub const MAX_ATTEMPTS: u32 = 3;

/// What is to be done next.
pub fn plan(world: &World<'_>) -> Plan {
    let placing = Placing::of(world);
    let mut planner = Planner {
        world,
        placing,
        plan: Plan::default(),
        merged: HashSet::new(),
        named: HashSet::new(),
        held: HashMap::new(),
        revived: HashSet::new(),
    };
    planner.revived = planner.revived();
    for row in world.tree.rows() {
        planner.row(row);
    }
    planner.plan
}

/// What both copies agree on as they are.
pub fn base_of(row: &FileRow) -> Option<FileBase> {
    let agreed = |copy: &Copy| Agreed {
        id: copy.id.clone(),
        parent: copy.parent.clone(),
        name: copy.name.clone(),
        content: copy.content().cloned(),
    };
    let (left, right) = (row.left.as_ref()?, row.right.as_ref()?);
    let mut hashes = left.hashes().cloned().unwrap_or_default();
    if let Some(other) = right.hashes() {
        hashes.learn(other);
    }
    Some(FileBase { left: agreed(left), right: agreed(right), hashes })
}

/// Whether a copy's bytes are other ones than those agreed on.
pub fn edited(copy: &Copy, base: &FileBase, side: Side) -> bool {
    let other_version = copy.content() != base.side(side).content.as_ref();
    match (&copy.kind, copy.hashes().and_then(|hashes| hashes.same(&base.hashes))) {
        (EntryKind::File { .. }, Some(same)) => !same,
        (EntryKind::File { .. } | EntryKind::Native { .. }, _) => other_version,
        (EntryKind::Record { .. } | EntryKind::Folder | EntryKind::Shortcut, _) => false,
    }
}

/// A name as both sides understand it.
pub(super) fn canonical(copy: &Copy) -> String {
    match &copy.kind {
        EntryKind::Record { number, .. } => name::decode(&name::record_folder(&copy.name, number)),
        EntryKind::Native { .. } => format!("{}.pdf", name::decode(&copy.name)),
        EntryKind::Folder | EntryKind::File { .. } | EntryKind::Shortcut => name::decode(&copy.name),
    }
}

pub(super) struct Planner<'a> {
    pub world: &'a World<'a>,
    pub placing: Placing,
    pub plan: Plan,
    /// Rows that this plan merges into others.
    pub merged: HashSet<RowKey>,
    /// Names given away by this plan: side, folder, name as the side compares it.
    named: HashSet<(Side, Option<RowKey>, String)>,
    /// What folders hold, looked at once a plan: a folder of a thousand files must not be gone through a thousand times.
    held: HashMap<(Side, Option<RemoteId>), Rc<Held>>,
    /// See [`Planner::revived`].
    pub revived: HashSet<RowKey>,
}

/// What a folder holds on a side.
#[derive(Default)]
pub(super) struct Held {
    /// Names as the side compares them, and how often.
    names: HashMap<String, u32>,
    /// Entries that were never joined with one of the other side, by [`name::twin_key`] of their name.
    pub unpaired: HashMap<String, Vec<RowKey>>,
    /// Entries whose other copy is gone, by the name that it had.
    pub bereft: HashMap<String, RowKey>,
    /// Names of files that are being replaced where new bytes are a new file: what has come up beside one may be that file.
    pub replaced: HashSet<String>,
}

impl<'a> Planner<'a> {
    pub(super) fn rules(&self, side: Side) -> &SideRules {
        match side {
            Side::Left => self.world.left,
            Side::Right => self.world.right,
        }
    }

    pub(super) fn step(&mut self, row: &FileRow, act: Act, why: Why, ready: bool) {
        self.plan.steps.push(Step { row: row.key.clone(), act, why, ready });
    }

    pub(super) fn exclude(&mut self, row: &FileRow, code: &str, message: impl Into<String>) {
        self.plan.excluded.insert(row.key.clone(), Reason::new(code, message));
    }

    fn row(&mut self, row: &'a FileRow) {
        if let Some(reason) = self.let_go(row) {
            let inside =
                self.world.tree.parent(Side::Left, row).is_some_and(|folder| self.revived.contains(&folder.key));
            if self.needs_place(row) || self.revived.contains(&row.key) {
                self.put_back(row);
            } else if inside && row.let_go.is_none() && row.left.is_some() && row.right.is_none() && row.base.is_some()
            {
                // Its folder comes back and it does not: from now on it is let go by itself.
                self.step(row, Act::LetGo(reason.clone()), Why::Deleted, true);
            } else if row.left.is_none() && row.right.is_none() {
                self.step(row, Act::Forget, Why::Deleted, true);
            } else if row.let_go.is_none() && row.base.is_none() {
                // It came into a folder that was let go, and is on one side alone: that must not look like being in step.
                let message = format!("Its folder is no longer kept in step: {}", reason.message);
                self.exclude(row, &reason.code, message);
            }
            return;
        }
        match (&row.left, &row.right, &row.base) {
            (None, None, _) if row.making.is_some() => {}
            (None, None, _) => self.step(row, Act::Forget, Why::Deleted, true),
            (Some(_), None, None) => self.fresh(row, Side::Left),
            (None, Some(_), None) => self.fresh(row, Side::Right),
            (Some(left), Some(right), None) => self.unify(row, left, right),
            (Some(left), Some(right), Some(base)) => self.reconcile(row, (left, right), base),
            (Some(left), None, Some(base)) => self.deleted(row, Side::Right, left, base),
            (None, Some(right), Some(base)) => self.deleted(row, Side::Left, right, base),
        }
    }

    /// Folders that people deleted at the remote, and into which something came in the CRM since: they are made anew there,
    /// for that alone.
    fn revived(&self) -> HashSet<RowKey> {
        let mut all = HashSet::new();
        let tree = self.world.tree;
        for row in tree.rows().filter(|row| self.let_go(row).is_some() && self.needs_place(row)) {
            let mut at = tree.parent(Side::Left, row);
            while let Some(folder) = at.filter(|folder| folder.right.is_none() && !all.contains(&folder.key)) {
                all.insert(folder.key.clone());
                at = tree.parent(Side::Left, folder);
            }
        }
        all
    }

    /// Whether the CRM has it new, edited or moved since its place at the remote was deleted there.
    fn needs_place(&self, row: &'a FileRow) -> bool {
        let Some(left) = row.left.as_ref().filter(|_| row.role == Role::Item) else { return false };
        if !self.world.policy.direction.may_write(Side::Right) || !self.deleted_by_people(row) {
            return false;
        }
        match (&row.right, &row.base) {
            (None, None) => row.let_go.is_none(),
            (None, Some(base)) => edited(left, base, Side::Left),
            (Some(_), Some(base)) => row.let_go.is_none() && left.parent != base.left.parent,
            (Some(_), None) => false,
        }
    }

    /// Whether it or folders that it is in were let go for their deletion at the remote, and for nothing else.
    fn deleted_by_people(&self, row: &'a FileRow) -> bool {
        let above = std::iter::successors(Some(row), |row| self.world.tree.parent(Side::Left, row)).take(64);
        let mut reasons = above.filter_map(|row| row.let_go.as_ref()).peekable();
        reasons.peek().is_some() && reasons.all(|reason| reason.code == DELETED_REMOTELY)
    }

    /// Puts what people deleted at the remote there again, because the CRM needs it.
    fn put_back(&mut self, row: &'a FileRow) {
        if row.right.is_some() {
            // It is moved once its new folder is there.
            return;
        }
        let tree = self.world.tree;
        let inside = row.left.as_ref().filter(|left| left.is_folder()).map(|left| &left.id);
        let undecided = |child: &'a FileRow| {
            let stays_away = child.let_go.is_none() && child.right.is_none() && child.base.is_some();
            stays_away && !self.revived.contains(&child.key) && !self.needs_place(child)
        };
        // Whoever of the folder's old content does not come back says so first: else it would count as deleted anew.
        if inside.is_none_or(|id| !tree.children(Side::Left, Some(id)).any(undecided)) {
            self.fresh(row, Side::Left);
        }
    }

    /// Why the row, or a folder that it is in, is no longer kept in step.
    fn let_go(&self, row: &'a FileRow) -> Option<&'a Reason> {
        let above = |side| {
            let mut at = Some(row);
            for _ in 0..64 {
                match at? {
                    FileRow { let_go: Some(reason), .. } => return Some(reason),
                    row => at = self.world.tree.parent(side, row),
                }
            }
            None
        };
        above(Side::Left).or_else(|| above(Side::Right))
    }

    /// Whether a provider has refused it as it is too often, or in this run.
    pub(super) fn is_refused(&self, row: &FileRow) -> bool {
        row.failure.as_ref().is_some_and(|failure| {
            let again = failure.of != row.versions();
            let tried = failure.run.as_ref() == self.world.run && self.world.run.is_some();
            !again && (failure.attempts >= MAX_ATTEMPTS || tried)
        })
    }

    /// Why nothing can be written into a folder on a side.
    pub(super) fn barred(&self, side: Side, folder: Option<&FileRow>) -> Option<Reason> {
        let mut at = folder;
        for _ in 0..64 {
            let row = at?;
            let Some(copy) = row.copy(side) else { return self.barred_above(side, row) };
            if let Access::Read { reason } = &copy.access {
                return Some(Reason::new("missing_right", reason.clone()));
            }
            if row.role == Role::Record {
                return None;
            }
            at = self.world.tree.parent(side, row);
        }
        None
    }

    /// The folder is not there yet: the folder that it will be in counts.
    fn barred_above(&self, side: Side, row: &FileRow) -> Option<Reason> {
        let above = self.world.tree.parent(side.other(), row)?;
        self.barred(side, Some(above))
    }

    /// The row of the record that a copy is in, with the number of folders between.
    pub(super) fn record_of(&self, side: Side, row: &FileRow) -> Option<(&FileRow, usize)> {
        let mut at = self.world.tree.parent(side, row)?;
        for depth in 0..64 {
            if at.role == Role::Record {
                return Some((at, depth));
            }
            at = self.world.tree.parent(side, at)?;
        }
        None
    }

    fn key(&self, side: Side, name: &str) -> String {
        match self.rules(side).names {
            NameMatch::Repeatable | NameMatch::Exact => name.to_owned(),
            NameMatch::Folded => name::twin_key(name),
        }
    }

    /// What a folder holds on a side; `None`: the root.
    pub(super) fn held(&mut self, side: Side, folder: Option<&RemoteId>) -> Rc<Held> {
        let at = (side, folder.cloned());
        if let Some(known) = self.held.get(&at) {
            return Rc::clone(known);
        }
        let mut held = Held::default();
        for row in self.world.tree.children(side, folder) {
            let Some(copy) = row.copy(side) else { continue };
            *held.names.entry(self.key(side, &copy.name)).or_insert(0) += 1;
            if row.making.as_ref().is_some_and(|making| making.side == side) {
                held.replaced.insert(copy.name.clone());
            }
            if row.copy(side.other()).is_some() {
                continue;
            }
            match &row.base {
                None if row.let_go.is_none() => {
                    held.unpaired.entry(name::twin_key(&canonical(copy))).or_default().push(row.key.clone());
                    if let Some(number) = number_mark(copy) {
                        held.unpaired.entry(number).or_default().push(row.key.clone());
                    }
                }
                Some(base) if copy.content().is_some() => {
                    held.bereft.insert(base.side(side.other()).name.clone(), row.key.clone());
                }
                None | Some(_) => {}
            }
        }
        let held = Rc::new(held);
        self.held.insert(at, Rc::clone(&held));
        held
    }

    /// A name that is free in a folder on a side: what is there, and what this plan puts there.
    pub(super) fn free_name(&mut self, side: Side, parent: Option<&FileRow>, row: &FileRow, wanted: &str) -> String {
        if self.rules(side).names == NameMatch::Repeatable {
            return wanted.to_owned();
        }
        let folder = parent.map(|parent| parent.key.clone());
        let inside = parent.and_then(|parent| parent.copy(side)).map(|copy| copy.id.clone());
        let there = if parent.is_some() && inside.is_none() {
            Rc::new(Held::default())
        } else {
            self.held(side, inside.as_ref())
        };
        let own = row.copy(side).filter(|copy| copy.parent == inside).map(|copy| self.key(side, &copy.name));
        let taken = |name: &str| {
            let key = self.key(side, name);
            let others = there.names.get(&key).copied().unwrap_or(0) - u32::from(own.as_ref() == Some(&key));
            others > 0 || self.named.contains(&(side, folder.clone(), key))
        };
        let free = name::free(wanted, taken);
        let key = self.key(side, &free);
        self.named.insert((side, folder, key));
        free
    }

    /// Whether the name is held by an entry that this sync moves away from it: then the name is waited for, and no number
    /// is taken. Entries that wait for each other in a ring wait for nobody.
    pub(super) fn awaits(&mut self, side: Side, parent: Option<&FileRow>, row: &FileRow, wanted: &str) -> bool {
        if self.rules(side).names == NameMatch::Repeatable {
            return false;
        }
        let (mut folder, mut name) = (parent.map(|parent| parent.key.clone()), wanted.to_owned());
        let mut met = HashSet::from([row.key.clone()]);
        loop {
            let tree = self.world.tree;
            let inside = folder.as_ref().and_then(|key| tree.row(key)?.copy(side)).map(|copy| &copy.id);
            let key = self.key(side, &name);
            let gone = folder.is_some() && inside.is_none();
            if gone || !self.held(side, inside).names.contains_key(&key) {
                return met.len() > 1;
            }
            let named = |other: &&FileRow| other.copy(side).is_some_and(|copy| self.key(side, &copy.name) == key);
            let Some(holder) = tree.children(side, inside).find(named) else {
                return met.len() > 1;
            };
            let Some((to, next)) = self.leaves(holder, side) else { return false };
            if !met.insert(holder.key.clone()) {
                return false;
            }
            (folder, name) = (to, next);
        }
    }

    /// Both are there and were never compared.
    fn unify(&mut self, row: &FileRow, left: &Copy, right: &Copy) {
        let (EntryKind::File { size: one, hashes: here, .. }, EntryKind::File { size: other, hashes: there, .. }) =
            (&left.kind, &right.kind)
        else {
            return self.step(row, Act::Settle, Why::Paired, true);
        };
        match here.same(there) {
            Some(true) => self.step(row, Act::Settle, Why::Paired, true),
            None if one == other && self.is_refused(row) => {}
            None if one == other => self.step(row, Act::Compare, Why::Paired, true),
            Some(false) | None => self.conflict(row, left, right, None),
        }
    }

    /// Both have other bytes: both are kept, under two names.
    pub(super) fn conflict(&mut self, row: &FileRow, left: &Copy, right: &Copy, base: Option<&FileBase>) {
        if self.is_refused(row) {
            return;
        }
        let policy = match self.world.policy.conflict {
            Conflict::Crm => Side::Right,
            Conflict::Remote => Side::Left,
            Conflict::Newest if right.modified_at > left.modified_at => Side::Left,
            Conflict::Newest => Side::Right,
        };
        let may = |side: Side| {
            self.world.policy.direction.may_write(side)
                && self.rules(side).relocates == Relocates::Yes
                && self.barred(side, self.world.tree.parent(side, row)).is_none()
        };
        let Some(loser) = [policy, policy.other()].into_iter().find(|side| may(*side)) else {
            let reason = "It was edited on both sides, and neither copy can be renamed.";
            return self.exclude(row, "conflict", reason);
        };
        let (copy, other) = if loser == Side::Left { (left, right) } else { (right, left) };
        let before = base.map_or(other.name.as_str(), |base| base.side(loser).name.as_str());
        let done = name::is_conflict_of(&copy.name, before, loser);
        let rename = (!done).then(|| {
            let wanted = name::conflict(&copy.name, loser, self.world.today);
            self.free_name(loser, self.world.tree.parent(loser, row), row, &wanted)
        });
        self.step(row, Act::Split { loser, rename }, Why::Merged, true);
    }

    fn reconcile(&mut self, row: &FileRow, (left, right): (&Copy, &Copy), base: &FileBase) {
        if row.role == Role::Item && self.left_its_record(row, right) {
            let reason = "It was moved out of the record's folder; the copy in the CRM stays.";
            return self.step(row, Act::LetGo(Reason::new("moved_out", reason)), Why::Deleted, true);
        }
        let (here, there) = (edited(left, base, Side::Left), edited(right, base, Side::Right));
        let same = || left.hashes().zip(right.hashes()).and_then(|(one, other)| one.same(other));
        let alike = left.size().is_some() && left.size() == right.size();
        match (here, there) {
            (true, true) if same().is_none() && alike => {
                if !self.is_refused(row) {
                    self.step(row, Act::Compare, Why::Changed, true);
                }
                return;
            }
            (true, true) if same() != Some(true) => return self.conflict(row, left, right, Some(base)),
            (true, false) if self.write_over(row, Side::Right, left) => return,
            (false, true) if self.write_over(row, Side::Left, right) => return,
            (true | false, true | false) => {}
        }
        if self.reposition(row, (left, right), base) {
            return;
        }
        let excluded = self.plan.excluded.contains_key(&row.key);
        let one_sided = here != there;
        let differs = || row.making.is_some() || base_of(row).is_some_and(|now| settled_differs(&now, base));
        if !excluded && !one_sided && differs() {
            self.step(row, Act::Settle, Why::Changed, true);
        }
    }

    /// Moved at the remote to where no record is.
    fn left_its_record(&self, row: &FileRow, right: &Copy) -> bool {
        let moved = row.base.as_ref().is_some_and(|base| base.right.parent != right.parent);
        moved && self.record_of(Side::Right, row).is_none()
    }

    /// New bytes for the other copy; true when that is what is to be done (or cannot be).
    fn write_over(&mut self, row: &FileRow, to: Side, from: &Copy) -> bool {
        let native = |side: Side| row.copy(side).is_some_and(|copy| matches!(copy.kind, EntryKind::Native { .. }));
        if !self.world.policy.direction.may_write(to) {
            return false;
        }
        if native(to) {
            self.exclude(
                row,
                "native_document",
                "The PDF was edited in the CRM; the document that it comes from cannot be.",
            );
            return true;
        }
        if let Some((code, message)) = self.too_large(to, from) {
            self.exclude(row, code, message);
            return true;
        }
        let access = row.copy(to).map(|copy| copy.access.clone()).unwrap_or_default();
        let own = match access {
            Access::Read { reason } => Some(Reason::new("missing_right", reason)),
            Access::Write => self.barred(to, self.world.tree.parent(to, row)),
        };
        if let Some(reason) = own {
            self.exclude(row, &reason.code, reason.message);
            return true;
        }
        if !self.is_refused(row) {
            self.step(row, Act::Write { to, new: None }, Why::Changed, true);
        }
        true
    }

    /// Why a file cannot go to a side for its size.
    pub(super) fn too_large(&self, to: Side, copy: &Copy) -> Option<(&'static str, String)> {
        let size = copy.size()?;
        let own = self.world.policy.max_file_bytes;
        let limit = [own, self.rules(to).max_bytes].into_iter().flatten().min()?;
        (size > limit).then(|| ("too_large", format!("It has {size} bytes; at most {limit} are synchronised.")))
    }

    /// Whether a native document is carried, and why not.
    pub(super) fn native(&self, copy: &Copy) -> Result<(), (&'static str, &'static str)> {
        match (&copy.kind, self.world.policy.google_native) {
            (EntryKind::Shortcut, _) => Err(("shortcut", "It is a shortcut; what it points to is somewhere else.")),
            (EntryKind::Native { exportable: Exportable::No, .. }, _) => {
                Err(("native_document", "It is a document without a file that cannot be exported to PDF."))
            }
            (EntryKind::Native { .. }, NativeDocuments::Skip) => Err((
                "native_document",
                "It is a Google document and no file. Set `google_native` to `pdf` to have it as PDF.",
            )),
            (EntryKind::Native { .. } | EntryKind::File { .. } | EntryKind::Folder | EntryKind::Record { .. }, _) => {
                Ok(())
            }
        }
    }
}

/// The number at the end of a record's folder's name, as a key of [`Held::unpaired`].
pub(super) fn number_mark(copy: &Copy) -> Option<String> {
    match &copy.kind {
        EntryKind::Record { number, .. } => Some(format!("/({number})")),
        EntryKind::Folder => {
            let (_, number) = copy.name.strip_suffix(')')?.rsplit_once(" (")?;
            Some(format!("/({number})"))
        }
        EntryKind::File { .. } | EntryKind::Native { .. } | EntryKind::Shortcut => None,
    }
}

/// Whether what both agree on now is another thing than before. Hashes of more kinds are none.
fn settled_differs(now: &FileBase, base: &FileBase) -> bool {
    now.left != base.left
        || now.right != base.right
        || now.hashes.same(&base.hashes) == Some(false)
        || base.hashes == Hashes::none() && now.hashes != Hashes::none()
}
