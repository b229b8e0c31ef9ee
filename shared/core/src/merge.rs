//! Three-way merge, field by field: the base tells who changed what, the values are live.
use crate::fingerprint::{Base, FingerprintKey, Print};
use crate::policy::{Direction, Policy};
use crate::record::{Field, Fields, Item, Side, Value};

/// What both sides shall say after a merge, and what must be written for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The left side afterwards.
    pub left: Fields,
    /// The right side afterwards.
    pub right: Fields,
    /// Fields to write on the left.
    pub left_changed: Vec<Field>,
    /// Fields to write on the right.
    pub right_changed: Vec<Field>,
    /// Fields that both sides had changed differently; one value lost.
    pub conflicts: Vec<Field>,
    /// Whether a value that a side had changed was overwritten because the direction forbids it to flow.
    pub overwritten: bool,
}

/// Merges the mapped fields of a record that lives on both sides. `winner` takes fields that both changed.
/// Without a base (first pairing) a field that one side has and the other lacks is filled in where the direction allows,
/// and is left alone where it does not.
pub fn merge(
    policy: &Policy,
    key: &FingerprintKey,
    base: Option<&Base>,
    (left, right): (&Fields, &Fields),
    winner: Side,
) -> Merged {
    let mut merged = Merged {
        left: left.clone(),
        right: right.clone(),
        left_changed: Vec::new(),
        right_changed: Vec::new(),
        conflicts: Vec::new(),
        overwritten: false,
    };
    for rule in &policy.fields {
        let field = &rule.crm;
        let direction = narrowest(policy.direction, rule.direction);
        let Some(direction) = direction else { continue };
        let one = Both { key, base, field, left: left.get(field), right: right.get(field) };
        let (target, conflict) = one.target(direction, winner);
        if conflict {
            merged.conflicts.push(field.clone());
        }
        for (side, value) in target {
            let (now, fields, changed) = match side {
                Side::Left => (one.left, &mut merged.left, &mut merged.left_changed),
                Side::Right => (one.right, &mut merged.right, &mut merged.right_changed),
            };
            if now.map(|v| key.print(v)) != value.as_ref().map(|v| key.print(v)) {
                merged.overwritten |= direction != Direction::Both && base.is_some() && one.changed(side);
                fields.put(field.clone(), value);
                changed.push(field.clone());
            }
        }
    }
    merged
}

/// The direction that both allow; `None` where they exclude each other (the field does not flow at all).
fn narrowest(sync: Direction, field: Direction) -> Option<Direction> {
    match (sync, field) {
        (Direction::Both, other) | (other, Direction::Both) => Some(other),
        (a, b) if a == b => Some(a),
        (Direction::CrmToRemote, Direction::RemoteToCrm) | (Direction::RemoteToCrm, Direction::CrmToRemote) => None,
        (Direction::CrmToRemote | Direction::RemoteToCrm, _) => None,
    }
}

struct Both<'a> {
    key: &'a FingerprintKey,
    base: Option<&'a Base>,
    field: &'a Field,
    left: Option<&'a Value>,
    right: Option<&'a Value>,
}

type Targets = Vec<(Side, Option<Value>)>;

impl Both<'_> {
    fn value(&self, side: Side) -> Option<&Value> {
        match side {
            Side::Left => self.left,
            Side::Right => self.right,
        }
    }

    fn changed(&self, side: Side) -> bool {
        let now = self.value(side);
        let before = self.base.and_then(|base| base.print(side, self.field));
        now.map(|value| self.key.print(value)).as_ref() != before
    }

    fn target(&self, direction: Direction, winner: Side) -> (Targets, bool) {
        match direction {
            Direction::CrmToRemote => self.one_way(Side::Right, self.left),
            Direction::RemoteToCrm => self.one_way(Side::Left, self.right),
            Direction::Both => match (self.base, self.changed(Side::Left), self.changed(Side::Right)) {
                (Some(_), false, false) => (vec![], false),
                (Some(_), true, false) => self.follow(Side::Left),
                (Some(_), false, true) => self.follow(Side::Right),
                (Some(_), true, true) | (None, _, _) => self.both_changed(winner),
            },
        }
    }

    fn one_way(&self, to: Side, value: Option<&Value>) -> (Targets, bool) {
        let quiet = match self.base {
            // What the source never had is somebody's own there, and nothing of ours to empty.
            Some(base) if value.is_none() && base.print(to.other(), self.field).is_none() => true,
            Some(_) => !self.changed(Side::Left) && !self.changed(Side::Right),
            None => value.is_none(),
        };
        if quiet {
            return (vec![], false);
        }
        let here = match value {
            Some(Value::Items(here)) => Some(here.as_slice()),
            Some(Value::Text(_)) => None,
            None => Some([].as_slice()),
        };
        let target = match (here, self.value(to)) {
            (Some(here), Some(Value::Items(there))) => {
                Some(Value::Items(self.with_their_own(to, here, there))).filter(|value| !value.is_empty())
            }
            (Some(_) | None, _) => value.cloned(),
        };
        (vec![(to, target)], false)
    }

    /// The list of the leading side, with what the following side had of its own when both agreed (or has now, where they
    /// never did): we did not bring it, so it is not ours to take away.
    fn with_their_own(&self, to: Side, here: &[Item], there: &[Item]) -> Vec<Item> {
        let own = |item: &&Item| match self.base.and_then(|base| base.print(to, self.field).map(|print| (base, print)))
        {
            Some((base, Print::Many(then))) => {
                let print = item_print(self.key, item);
                let led = match base.print(to.other(), self.field) {
                    Some(Print::Many(led)) => led.clone(),
                    Some(Print::One(_)) | None => Vec::new(),
                };
                then.contains(&print) && !pair_up(&led, then).iter().any(|(_, paired)| *paired == print)
            }
            Some((_, Print::One(_))) => false,
            None => self.base.is_none(),
        };
        let mut result = here.to_vec();
        for item in there.iter().filter(own) {
            if !result.iter().any(|known| known.parts == item.parts) {
                result.push(item.clone());
            }
        }
        result
    }

    /// Only `from` changed. Where the other side holds elements of a list that this one cannot (they differed when both
    /// agreed), only what changed follows: an element removed here goes there, an element added here comes there.
    fn follow(&self, from: Side) -> (Targets, bool) {
        let (to, value) = (from.other(), self.value(from));
        let agreed =
            self.base.is_some_and(|base| base.print(Side::Left, self.field) == base.print(Side::Right, self.field));
        let (Some(Value::Items(there)), false) = (self.value(to), agreed) else {
            return (vec![(to, value.cloned())], false);
        };
        let here = match value {
            Some(Value::Items(items)) => items.as_slice(),
            Some(Value::Text(_)) | None => &[],
        };
        (vec![(to, Some(Value::Items(self.carry_over(from, here, there))))], false)
    }

    /// The list of the other side after what changed in `here` since the agreement is applied to it.
    fn carry_over(&self, from: Side, here: &[Item], there: &[Item]) -> Vec<Item> {
        let base = |side| match self.base.and_then(|base| base.print(side, self.field)) {
            Some(Print::Many(many)) => many.clone(),
            Some(Print::One(_)) | None => Vec::new(),
        };
        let (was_here, was_there) = (base(from), base(from.other()));
        let now: Vec<String> = here.iter().map(|item| item_print(self.key, item)).collect();
        // What both showed alike is one element; what one of them spells its own way is paired by its place among these.
        let pairs = pair_up(&was_here, &was_there);
        let removed: Vec<&String> =
            pairs.iter().filter(|(here, _)| !now.contains(here)).map(|(_, there)| there).collect();
        let kept = there.iter().filter(|item| !removed.contains(&&item_print(self.key, item))).cloned();
        let mut result: Vec<Item> = kept.collect();
        for (item, print) in here.iter().zip(&now) {
            if !was_here.contains(print) && !result.iter().any(|known| known.parts == item.parts) {
                result.push(item.clone());
            }
        }
        result
    }

    fn both_changed(&self, winner: Side) -> (Targets, bool) {
        let everywhere =
            |value: Option<Value>, conflict| (vec![(Side::Left, value.clone()), (Side::Right, value)], conflict);
        let (left, right) = match (self.left, self.right) {
            (None, None) => return (vec![], false),
            (Some(left), Some(right)) => (left, right),
            // No base: fill in. With a base, one side emptied the field while the other changed it.
            (Some(value), None) | (None, Some(value)) if self.base.is_none() => {
                return everywhere(Some(value.clone()), false);
            }
            (left @ Some(_), None) | (left @ None, Some(_)) => {
                let value = if winner == Side::Left { left } else { self.right };
                return everywhere(value.cloned(), true);
            }
        };
        if self.key.print(left) == self.key.print(right) {
            return (vec![], false);
        }
        match (left, right, self.paired_elements()) {
            (Value::Items(l), Value::Items(r), pairs) => {
                let (items, conflict) = merge_items(self.key, &pairs.unwrap_or_default(), (l, r), winner);
                everywhere(Some(Value::Items(items)), conflict)
            }
            (Value::Text(_), _, _) | (_, Value::Text(_), _) => {
                let value = if winner == Side::Left { left } else { right };
                everywhere(Some(value.clone()), true)
            }
        }
    }

    /// The elements that both sides had at the agreement, as pairs of left and right prints.
    fn paired_elements(&self) -> Option<Vec<(String, String)>> {
        let base = self.base?;
        let many = |side| match base.print(side, self.field) {
            Some(Print::Many(many)) => Some(many.clone()),
            Some(Print::One(_)) | None => None,
        };
        Some(pair_up(&many(Side::Left)?, &many(Side::Right)?))
    }
}

/// The elements that both sides showed when they agreed, as pairs of prints: equal ones first; the others by their order
/// where as many are left on each side. What only one side could hold is in no pair.
fn pair_up(left: &[String], right: &[String]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> =
        left.iter().filter(|print| right.contains(print)).map(|print| (print.clone(), print.clone())).collect();
    let rest = |of: &[String], other: &[String]| -> Vec<String> {
        of.iter().filter(|print| !other.contains(print)).cloned().collect()
    };
    let (l, r) = (rest(left, right), rest(right, left));
    if l.len() == r.len() {
        pairs.extend(l.into_iter().zip(r));
    }
    pairs
}

fn item_print(key: &FingerprintKey, item: &Item) -> String {
    match key.print(&Value::Items(vec![item.clone()])) {
        Print::Many(mut one) => one.pop().unwrap_or_default(),
        Print::One(one) => one,
    }
}

/// Merges two lists: what one side removed goes, what one side added stays; where both replaced the same element, the
/// winner's replacement stays.
fn merge_items(
    key: &FingerprintKey,
    pairs: &[(String, String)],
    (left, right): (&[Item], &[Item]),
    winner: Side,
) -> (Vec<Item>, bool) {
    let print = |item: &Item| item_print(key, item);
    let left_prints: Vec<String> = left.iter().map(print).collect();
    let right_prints: Vec<String> = right.iter().map(print).collect();
    let (mut kept, mut left_added, mut right_added) = (Vec::new(), Vec::new(), Vec::new());
    for (item, hash) in left.iter().zip(&left_prints) {
        match pairs.iter().find(|(l, _)| l == hash) {
            Some((_, r)) if right_prints.contains(r) => kept.push(item.clone()),
            Some(_) => {}
            None => left_added.push(item.clone()),
        }
    }
    for (item, hash) in right.iter().zip(&right_prints) {
        if !pairs.iter().any(|(_, r)| r == hash) {
            right_added.push(item.clone());
        }
    }
    let both_replaced = pairs.iter().filter(|(l, r)| !left_prints.contains(l) && !right_prints.contains(r)).count();
    let (added, conflict) = join_added(left_added, right_added, both_replaced, winner);
    kept.extend(added);
    (kept, conflict)
}

fn join_added(left: Vec<Item>, right: Vec<Item>, mut replaced: usize, winner: Side) -> (Vec<Item>, bool) {
    let mut joined = left;
    let mut conflict = false;
    for item in right {
        // The same value under another label is one element; the winner names it.
        if let Some(same) = joined.iter_mut().find(|known| known.parts == item.parts) {
            if winner == Side::Right {
                *same = item;
            }
            continue;
        }
        let rival = joined.iter_mut().find(|known| replaced > 0 && known.label == item.label);
        match rival {
            Some(rival) => {
                replaced -= 1;
                conflict = true;
                if winner == Side::Right {
                    *rival = item;
                }
            }
            None => joined.push(item),
        }
    }
    (joined, conflict)
}
