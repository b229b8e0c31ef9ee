//! Where entries belong: new ones, moved and renamed ones, deleted ones.
use super::entry::EntryKind;
use super::name;
use super::plan::{Act, NameMatch, Planner, Relocates, RootOf, Target, World, canonical, edited, number_mark};
use super::row::{Copy, DELETED_REMOTELY, FileBase, FileRow, Role};
use super::settings::OnRename;
use crate::plan::{Reason, Why};
use crate::policy::{Conflict, OnDelete};
use crate::record::{RowKey, Side};
use std::collections::{HashMap, HashSet};

/// The folder's row that each linked entry belongs in, on both sides.
#[derive(Default)]
pub(super) struct Placing {
    wanted: HashMap<RowKey, Option<RowKey>>,
}

/// Which side an entry's folder is taken from.
fn leading(world: &World<'_>, left: &Copy, right: &Copy, base: &FileBase) -> Side {
    let (here, there) = (left.parent != base.left.parent, right.parent != base.right.parent);
    match (here, there) {
        (false, true) => Side::Right,
        (true, true) => winner(world, left, right),
        // Neither moved, and yet they are apart: their folders went different ways. The CRM's is the one.
        (true, false) | (false, false) => Side::Left,
    }
}

fn winner(world: &World<'_>, left: &Copy, right: &Copy) -> Side {
    match world.policy.conflict {
        Conflict::Crm => Side::Left,
        Conflict::Remote => Side::Right,
        Conflict::Newest if right.modified_at > left.modified_at => Side::Right,
        Conflict::Newest => Side::Left,
    }
}

impl Placing {
    /// Merges both sides' moves. Moves that together would make a circle (one side moved A into B, the other B into A) are
    /// taken from the CRM alone, whose own tree has none.
    pub fn of(world: &World<'_>) -> Placing {
        let tree = world.tree;
        let folder = |side, row| tree.parent(side, row).map(|parent| parent.key.clone());
        let mut wanted: HashMap<RowKey, Option<RowKey>> = HashMap::new();
        let mut foreign: HashSet<RowKey> = HashSet::new();
        for row in tree.rows() {
            let place = match (&row.left, &row.right, &row.base) {
                (Some(left), Some(right), Some(base)) => match leading(world, left, right, base) {
                    Side::Right => {
                        foreign.insert(row.key.clone());
                        folder(Side::Right, row)
                    }
                    Side::Left => folder(Side::Left, row),
                },
                (Some(_), _, _) => folder(Side::Left, row),
                (None, Some(_), _) => folder(Side::Right, row),
                (None, None, _) => None,
            };
            wanted.insert(row.key.clone(), place);
        }
        for key in foreign {
            if in_circle(&wanted, &key) {
                let row = tree.row(&key).expect("it was met above");
                wanted.insert(key, folder(Side::Left, row));
            }
        }
        Placing { wanted }
    }

    fn of_row(&self, row: &FileRow) -> Option<RowKey> {
        self.wanted.get(&row.key).cloned().flatten()
    }
}

fn in_circle(wanted: &HashMap<RowKey, Option<RowKey>>, key: &RowKey) -> bool {
    let mut met = HashSet::new();
    let mut at = Some(key.clone());
    while let Some(now) = at {
        if !met.insert(now.clone()) {
            return true;
        }
        at = wanted.get(&now).cloned().flatten();
    }
    false
}

impl Planner<'_> {
    /// There on one side only, and never on the other (or to be put back there).
    pub(super) fn fresh(&mut self, row: &FileRow, side: Side) {
        let to = side.other();
        let Some(copy) = row.copy(side) else { return };
        if row.base.is_none() && self.held(side, copy.parent.as_ref()).replaced.contains(&copy.name) {
            // It may be what an interrupted replacement made: that one goes first, and takes it.
            return;
        }
        if let Some(gone) = self.taken_place(row, side, copy) {
            return self.step(row, Act::Readopt { gone, side }, Why::Paired, true);
        }
        if self.twin(row, side, copy) {
            return;
        }
        if let Some((code, message)) = self.unfit(row, to, copy) {
            return self.exclude(row, code, message);
        }
        if self.is_refused(row) {
            return;
        }
        let parent = self.world.tree.parent(side, row);
        if let Some(reason) = self.barred(to, parent).filter(|_| row.role == Role::Item) {
            return self.exclude(row, &reason.code, reason.message);
        }
        let wanted = self.name_on(to, copy);
        let awaited = self.awaits(to, parent, row, &wanted);
        let there = parent.is_none_or(|parent| parent.copy(to).is_some()) && !awaited;
        let name = if awaited { wanted } else { self.free_name(to, parent, row, &wanted) };
        let target = Target { parent: parent.map(|parent| parent.key.clone()), name };
        let why = if row.base.is_some() { Why::Restored } else { Why::NewRecord };
        if copy.is_folder() {
            self.step(row, Act::CreateFolder { on: to, target }, why, there);
        } else {
            self.step(row, Act::Write { to, new: Some(target) }, why, there);
        }
    }

    /// How an entry is called on a side.
    fn name_on(&self, to: Side, copy: &Copy) -> String {
        match &copy.kind {
            EntryKind::Record { number, .. } => name::record_folder(&copy.name, number),
            EntryKind::Folder | EntryKind::File { .. } | EntryKind::Native { .. } | EntryKind::Shortcut => {
                name::encode(&canonical(copy), self.rules(to).safe)
            }
        }
    }

    /// Why an entry of one side is not carried to the other.
    fn unfit(&self, row: &FileRow, to: Side, copy: &Copy) -> Option<(&'static str, String)> {
        if let Err((code, message)) = self.native(copy) {
            return Some((code, message.to_owned()));
        }
        if row.role == Role::Item {
            let Some((_, depth)) = self.record_of(to.other(), row) else {
                return Some(("outside_records", "Only what is within a record's folder is synchronised.".to_owned()));
            };
            // Neither a folder too many nor what is in one.
            let deep = self.rules(to).max_depth.is_some_and(|most| depth + usize::from(copy.is_folder()) > most);
            if deep {
                return Some(("too_deep", "The other side has no folders as deep as this one.".to_owned()));
            }
        }
        if !self.world.policy.direction.may_write(to) {
            return Some(("direction", "This sync does not carry files that way.".to_owned()));
        }
        self.too_large(to, copy)
    }

    /// The row of an entry that was deleted on this side and whose place (folder and name) the new one has taken: programs
    /// that save by deleting and writing anew mean the same file.
    fn taken_place(&mut self, row: &FileRow, side: Side, copy: &Copy) -> Option<RowKey> {
        if row.base.is_some() || row.role != Role::Item || copy.content().is_none() {
            return None;
        }
        let parent = self.world.tree.parent(side, row)?;
        let inside = parent.copy(side.other()).map(|copy| copy.id.clone())?;
        let gone = self.held(side.other(), Some(&inside)).bereft.get(&copy.name).cloned()?;
        let agreed = self.world.tree.row(&gone)?.base.as_ref()?.side(side);
        (agreed.parent == copy.parent && self.merged.insert(gone.clone())).then_some(gone)
    }

    /// Something of the same name is there already in the same folder, as new as this: they are one. The CRM's row plans it.
    fn twin(&mut self, row: &FileRow, side: Side, copy: &Copy) -> bool {
        if row.base.is_some() {
            return false;
        }
        let parent = self.world.tree.parent(side, row);
        let inside = match parent.map(|parent| parent.copy(side.other())) {
            Some(Some(folder)) => Some(folder.id.clone()),
            Some(None) => return false,
            None => None,
        };
        let there = self.held(side.other(), inside.as_ref());
        let own = canonical(copy);
        let mut keys: Vec<RowKey> = if row.role == Role::Module {
            there.unpaired.values().flatten().cloned().collect()
        } else {
            let numbered = number_mark(copy).and_then(|mark| there.unpaired.get(&mark));
            let named = there.unpaired.get(&name::twin_key(&own));
            numbered.into_iter().chain(named).flatten().cloned().collect()
        };
        keys.retain(|key| !self.merged.contains(key));
        let tree = self.world.tree;
        let others: Vec<&FileRow> = keys.iter().filter_map(|key| tree.row(key)).collect();
        let others = others
            .into_iter()
            .filter(|other| other.copy(side.other()).is_some_and(|other| self.fits(copy, other, row)));
        let others: Vec<&FileRow> = others.collect();
        let name = |other: &FileRow| other.copy(side.other()).map(canonical).unwrap_or_default();
        let exact = others.iter().find(|other| name(other) == own);
        // One that is spelt exactly like another one here belongs to that one.
        let here = self.held(side, copy.parent.as_ref());
        let spelt = |other: &&&FileRow| {
            let wanted = name(other);
            let alike = here.unpaired.get(&name::twin_key(&wanted)).into_iter().flatten();
            let mut alike = alike.filter(|key| **key != row.key).filter_map(|key| tree.row(key)?.copy(side));
            !alike.any(|copy| canonical(copy) == wanted)
        };
        let Some(other) = exact.or_else(|| others.iter().find(spelt)) else { return false };
        if side == Side::Left {
            let with = other.key.clone();
            self.merged.insert(with.clone());
            self.step(row, Act::Merge { with }, Why::Paired, true);
        }
        true
    }

    /// Whether two copies may be one entry: same sort, same name.
    fn fits(&self, copy: &Copy, other: &Copy, row: &FileRow) -> bool {
        let same_sort = match (copy.is_folder(), other.is_folder()) {
            (true, true) => true,
            (false, false) => copy.size().is_some() && other.size().is_some(),
            (true, false) | (false, true) => false,
        };
        if !same_sort {
            return false;
        }
        if row.role == Role::Module {
            let module = row.key.as_str().strip_prefix("module:").unwrap_or_default();
            return name::is_module_folder(&other.name, module);
        }
        let root = self.rules(Side::Right).root;
        let numbered = |record: &Copy, folder: &Copy| match &record.kind {
            EntryKind::Record { number, .. } if root == RootOf::OneAccount => {
                folder.name.ends_with(&format!(" ({number})"))
            }
            EntryKind::Record { number, .. } => {
                name::twin_key(&folder.name) == name::twin_key(&name::record_folder(&record.name, number))
            }
            EntryKind::Folder | EntryKind::File { .. } | EntryKind::Native { .. } | EntryKind::Shortcut => false,
        };
        numbered(copy, other)
            || numbered(other, copy)
            || name::twin_key(&canonical(copy)) == name::twin_key(&canonical(other))
    }

    /// A move or a new name for one of two linked copies; true when there is something to do about it.
    pub(super) fn reposition(&mut self, row: &FileRow, (left, right): (&Copy, &Copy), base: &FileBase) -> bool {
        match row.role {
            Role::Module => false,
            Role::Record => self.rename_record(row, left, right, base),
            Role::Item => self.relocate(row, (left, right), base),
        }
    }

    /// A record's folder follows its name; what people call it at the remote stays until then.
    fn rename_record(&mut self, row: &FileRow, left: &Copy, right: &Copy, base: &FileBase) -> bool {
        let wanted = self.name_on(Side::Right, left);
        if left.name == base.left.name || right.name == wanted || self.rules(Side::Right).relocates == Relocates::No {
            return false;
        }
        if !self.world.policy.direction.may_write(Side::Right) {
            return false;
        }
        if !self.is_refused(row) {
            let parent = self.world.tree.parent(Side::Right, row);
            let name = self.free_name(Side::Right, parent, row, &wanted);
            if name == right.name {
                return false;
            }
            let target = Target { parent: parent.map(|parent| parent.key.clone()), name };
            self.step(row, Act::Relocate { on: Side::Right, target }, Why::Changed, true);
        }
        true
    }

    fn relocate(&mut self, row: &FileRow, (left, right): (&Copy, &Copy), base: &FileBase) -> bool {
        let lead = self.name_leads(left, right, base);
        let folder = self.placing.of_row(row);
        for side in [Side::Left, Side::Right] {
            let own = if side == Side::Left { left } else { right };
            let parent = self.world.tree.parent(side, row).map(|parent| parent.key.clone());
            let name = match lead {
                Some(lead) if lead != side => self.name_on(side, if lead == Side::Left { left } else { right }),
                Some(_) | None => own.name.clone(),
            };
            if parent == folder && name == own.name {
                continue;
            }
            if !self.world.policy.direction.may_write(side) || matches!(own.kind, EntryKind::Native { .. }) {
                continue;
            }
            let copied = side == Side::Left && self.world.policy.on_remote_rename == OnRename::Copy;
            if copied || self.rules(side).relocates == Relocates::No {
                if side == Side::Left {
                    self.step(row, Act::Part, Why::Changed, true);
                    return true;
                }
                continue;
            }
            return self.relocate_to(row, side, Target { parent: folder, name });
        }
        false
    }

    fn relocate_to(&mut self, row: &FileRow, side: Side, target: Target) -> bool {
        let tree = self.world.tree;
        let parent = target.parent.as_ref().and_then(|key| tree.row(key));
        let source = tree.parent(side, row);
        if let Some(reason) = self.barred(side, parent).or_else(|| self.barred(side, source)) {
            self.exclude(row, &reason.code, reason.message);
            return true;
        }
        if self.is_refused(row) {
            return true;
        }
        let there = parent.is_some_and(|parent| parent.copy(side).is_some());
        // Not into itself: what stands in the way moves first.
        let open = parent.is_none_or(|parent| !tree.is_within(side, &parent.key, &row.key));
        let awaited = self.awaits(side, parent, row, &target.name);
        let name = if awaited { target.name } else { self.free_name(side, parent, row, &target.name) };
        let unchanged = row.copy(side).is_some_and(|own| own.name == name)
            && source.map(|source| &source.key) == parent.map(|parent| &parent.key);
        if unchanged {
            return false;
        }
        let target = Target { parent: target.parent, name };
        self.step(row, Act::Relocate { on: side, target }, Why::Changed, there && open && !awaited);
        true
    }

    /// Where an entry goes on a side, folder and name, because the other side has it elsewhere; `None` where it stays.
    pub(super) fn leaves(&self, row: &FileRow, side: Side) -> Option<(Option<RowKey>, String)> {
        let (left, right, base) = (row.left.as_ref()?, row.right.as_ref()?, row.base.as_ref()?);
        let own = if side == Side::Left { left } else { right };
        let copied = side == Side::Left && self.world.policy.on_remote_rename == OnRename::Copy;
        let stays = row.role != Role::Item
            || row.let_go.is_some()
            || copied
            || self.rules(side).relocates == Relocates::No
            || !self.world.policy.direction.may_write(side)
            || matches!(own.kind, EntryKind::Native { .. })
            || self.is_refused(row);
        if stays {
            return None;
        }
        let name = match self.name_leads(left, right, base) {
            Some(lead) if lead != side => self.name_on(side, if lead == Side::Left { left } else { right }),
            Some(_) | None => own.name.clone(),
        };
        let (folder, parent) = (self.placing.of_row(row), self.world.tree.parent(side, row));
        let moves = name != own.name || folder.as_ref() != parent.map(|parent| &parent.key);
        // Nor where it is going nothing can be put.
        let target = folder.as_ref().and_then(|key| self.world.tree.row(key));
        let open = || [parent, target].into_iter().all(|folder| self.barred(side, folder).is_none());
        (moves && open()).then_some((folder, name))
    }

    /// The side whose name is the one; `None` when no name has to change.
    fn name_leads(&self, left: &Copy, right: &Copy, base: &FileBase) -> Option<Side> {
        let (here, there) = (left.name != base.left.name, right.name != base.right.name);
        let same = canonical(left) == canonical(right);
        let lead = match (here, there) {
            (false, false) => return None,
            _ if same => return None,
            (true, false) => Side::Left,
            (false, true) => Side::Right,
            (true, true) => winner(self.world, left, right),
        };
        // Where case does not count, a change of case alone is no change (Dropbox).
        let folded = self.rules(lead.other()).names == NameMatch::Folded;
        let case_only = name::twin_key(&canonical(left)) == name::twin_key(&canonical(right));
        (!(folded && case_only)).then_some(lead)
    }

    /// Gone on one side, still there on the other.
    pub(super) fn deleted(&mut self, row: &FileRow, gone: Side, copy: &Copy, base: &FileBase) {
        let there = gone.other();
        if row.role == Role::Module {
            let inside = row.left.as_ref().map(|left| &left.id);
            let needed = |record: &FileRow| record.let_go.is_none() || self.revived.contains(&record.key);
            let needed = self.world.tree.children(Side::Left, inside).any(needed);
            if needed {
                self.fresh(row, Side::Left);
            }
            return;
        }
        if edited(copy, base, there) {
            return self.fresh(row, there);
        }
        let rule = match gone {
            Side::Left => self.world.policy.on_crm_delete,
            Side::Right => self.world.policy.on_remote_delete,
        };
        let let_go = || match gone {
            Side::Left => Reason::new("deleted_in_crm", "It was deleted in the CRM; the copy here stays."),
            Side::Right => Reason::new(DELETED_REMOTELY, "It was deleted at the remote; it stays in the CRM."),
        };
        let may = self.world.policy.direction.may_write(there);
        match rule {
            OnDelete::Restore if row.role == Role::Item || gone == Side::Right => self.fresh(row, there),
            // A record itself is never deleted for its folder.
            OnDelete::Propagate if may && (row.role == Role::Item || gone == Side::Left) => {
                self.remove(row, there, copy, let_go());
            }
            OnDelete::Restore | OnDelete::Propagate | OnDelete::Unlink => {
                self.step(row, Act::LetGo(let_go()), Why::Deleted, true);
            }
        }
    }

    fn remove(&mut self, row: &FileRow, on: Side, copy: &Copy, let_go: Reason) {
        if self.is_refused(row) {
            return;
        }
        if let Some(reason) = self.barred(on, self.world.tree.parent(on, row)).filter(|_| row.role == Role::Item) {
            return self.exclude(row, &reason.code, reason.message);
        }
        if !copy.is_folder() {
            return self.step(row, Act::Remove { on }, Why::Deleted, true);
        }
        if self.all_goes(on, row) {
            let empty = self.world.tree.children(on, Some(&copy.id)).next().is_none();
            return self.step(row, Act::Remove { on }, Why::Deleted, empty);
        }
        let carried = self.world.tree.below(on, &row.key).into_iter().skip(1).any(|key| {
            let stays = |row: &FileRow| {
                row.let_go.is_none()
                    && !self.goes(on, row)
                    && row
                        .copy(on)
                        .is_some_and(|copy| (row.base.is_none() || !copy.is_folder()) && self.native(copy).is_ok())
            };
            self.world.tree.row(&key).is_some_and(stays)
        });
        if carried && row.role == Role::Item {
            self.fresh(row, on);
        } else {
            self.step(row, Act::LetGo(let_go), Why::Deleted, true);
        }
    }

    /// Whether a file on this side is to be removed, as the other copy is gone and nobody has edited this one.
    fn goes(&self, on: Side, row: &FileRow) -> bool {
        let unedited = |base: &FileBase| row.copy(on).is_some_and(|copy| !edited(copy, base, on));
        row.let_go.is_none()
            && row.copy(on.other()).is_none()
            && row.base.as_ref().is_some_and(unedited)
            && !self.is_refused(row)
    }

    /// Whether everything within a folder is to be removed.
    fn all_goes(&self, on: Side, row: &FileRow) -> bool {
        let below = self.world.tree.below(on, &row.key);
        below.iter().skip(1).all(|key| self.world.tree.row(key).is_some_and(|row| self.goes(on, row)))
    }
}
