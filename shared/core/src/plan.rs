//! The planner: from what was observed to what shall be done. Pure; the same input gives the same plan.
use crate::contact::{COMPANY_PHONE, field};
use crate::fingerprint::{Base, FingerprintKey};
use crate::merge::merge;
use crate::policy::{Conflict, Container, Direction, Eligibility, OnDelete, OnLeave, Policy};
use crate::record::{Field, Fields, RemoteId, RowKey, Scope, Side, Version};
use serde::{Deserialize, Serialize};

/// A record as it is on one side now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its id there.
    pub id: RemoteId,
    /// Its version there.
    pub version: Version,
    /// Inside or outside that side's container.
    pub scope: Scope,
    /// Its mapped fields, under the CRM's names.
    pub fields: Fields,
    /// When a person last changed it, where known.
    pub modified_at: Option<jiff::Timestamp>,
}

/// What one side has of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replica {
    /// It never was there.
    Absent,
    /// It is there.
    Live(Live),
    /// It was there, and is proved to be deleted.
    Gone,
    /// It was there, and its side does not tell what has become of it.
    Untold,
}

/// Everything the planner may know about one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Its row.
    pub key: RowKey,
    /// What both sides last agreed on; `None` before they ever did.
    pub base: Option<Base>,
    /// The side whose copy we made.
    pub made_on: Option<Side>,
    /// Whether the right copy was in its container when both last agreed.
    pub agreed_scope: Scope,
    /// The version of the remote copy as we last left or saw it: another one means that somebody touched it, be it in a
    /// field that is not mapped. `None` = not known.
    pub our_version: Option<Version>,
    /// The CRM's copy.
    pub left: Replica,
    /// The remote copy.
    pub right: Replica,
}

/// Why a record is excluded, failing or held: a code for programs, a sentence for people. No personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `missing_fields`, `not_in_list`, `ambiguous`, ….
    pub code: String,
    /// One sentence.
    pub message: String,
}

impl Reason {
    /// A reason.
    pub fn new(code: &str, message: impl Into<String>) -> Reason {
        Reason { code: code.to_owned(), message: message.into() }
    }
}

/// Why something is written; said in the change log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// New on the other side.
    NewRecord,
    /// Recognised as the same record, and brought into step.
    Paired,
    /// Changed on the other side.
    Changed,
    /// Changed here, where this sync's direction does not take changes from.
    Overwritten,
    /// Both sides changed it.
    Merged,
    /// Deleted on the other side.
    Deleted,
    /// Deleted here, and put back.
    Restored,
    /// Left, or came back to, its list.
    ListChanged,
    /// A person undid a run.
    Undone,
}

/// A write on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make it.
    Create {
        /// With these fields.
        fields: Fields,
    },
    /// Change it, if it still has this version.
    Update {
        /// Which record.
        id: RemoteId,
        /// The version that was observed.
        expect: Version,
        /// The fields to write (CRM names).
        changed: Vec<Field>,
        /// All mapped fields afterwards.
        fields: Fields,
        /// Move it into or out of the container.
        scope: Option<Scope>,
    },
    /// Delete it, if it still has this version.
    Delete {
        /// Which record.
        id: RemoteId,
        /// The version that was observed.
        expect: Version,
    },
}

/// What becomes of the row once the acts are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides agree: note the base.
    Agree,
    /// Not (or no longer) carried across.
    Exclude(Reason),
    /// Each side goes its own way; remembered, so that it is not carried across again by itself.
    Unlink(Reason),
    /// Gone on both sides.
    Forget,
    /// Nothing to note.
    Ignore,
}

/// The decision on one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its row.
    pub key: RowKey,
    /// What to write in the CRM.
    pub left: Option<Act>,
    /// What to write at the remote.
    pub right: Option<Act>,
    /// What becomes of the row then.
    pub outcome: Outcome,
    /// Fields on which one side's change was lost.
    pub conflicts: Vec<Field>,
    /// Why.
    pub why: Why,
}

impl Step {
    fn new(key: RowKey, outcome: Outcome, why: Why) -> Step {
        Step { key, left: None, right: None, outcome, conflicts: Vec::new(), why }
    }
    fn on(mut self, side: Side, act: Act) -> Step {
        match side {
            Side::Left => self.left = Some(act),
            Side::Right => self.right = Some(act),
        }
        self
    }
    /// What to write on a side.
    pub fn act(&self, side: Side) -> Option<&Act> {
        match side {
            Side::Left => self.left.as_ref(),
            Side::Right => self.right.as_ref(),
        }
    }
    /// Whether it deletes anything.
    pub fn deletes(&self) -> bool {
        let deletes = |act: &Option<Act>| matches!(act, Some(Act::Delete { .. }));
        deletes(&self.left) || deletes(&self.right)
    }
    /// Whether it writes anything on either side.
    pub fn writes(&self) -> bool {
        self.left.is_some() || self.right.is_some()
    }
}

/// Decides on each observation by itself. The mass-delete guard looks at the whole of a run: [`crate::guard`].
pub fn plan(policy: &Policy, key: &FingerprintKey, observations: Vec<Observation>) -> Vec<Step> {
    observations.into_iter().map(|observation| Planner { policy, key }.step(observation)).collect()
}

struct Planner<'a> {
    policy: &'a Policy,
    key: &'a FingerprintKey,
}

impl Planner<'_> {
    fn step(&self, seen: Observation) -> Step {
        let Observation { key, base, made_on, agreed_scope, our_version, left, right } = seen;
        match (left, right) {
            // Its values are needed to put it back, and its absence to let the other copy go; a deletion is noted.
            (Replica::Untold, Replica::Gone) => Step::new(key, Outcome::Exclude(deleted_on(Side::Right)), Why::Deleted),
            (Replica::Gone, Replica::Untold) => Step::new(key, Outcome::Exclude(deleted_on(Side::Left)), Why::Deleted),
            (Replica::Untold, _) | (_, Replica::Untold) => Step::new(key, Outcome::Ignore, Why::Changed),
            (Replica::Absent | Replica::Gone, Replica::Absent | Replica::Gone) => {
                Step::new(key, Outcome::Forget, Why::Deleted)
            }
            (Replica::Live(live), Replica::Absent) if base.is_none() => self.new_record(key, Side::Left, live),
            (Replica::Absent, Replica::Live(live)) if base.is_none() => self.new_record(key, Side::Right, live),
            (Replica::Live(live), Replica::Absent | Replica::Gone) => {
                self.counterpart_gone(key, base, made_on == Some(Side::Left), Side::Left, live)
            }
            (Replica::Absent | Replica::Gone, Replica::Live(live)) => {
                let untouched = our_version.is_none_or(|version| version == live.version);
                self.counterpart_gone(key, base, made_on == Some(Side::Right) && untouched, Side::Right, live)
            }
            (Replica::Live(left), Replica::Live(right)) => {
                self.both_live(key, base.as_ref(), agreed_scope, left, right)
            }
        }
    }

    /// On one side only, and never linked.
    fn new_record(&self, key: RowKey, here: Side, live: Live) -> Step {
        let there = here.other();
        if live.scope == Scope::Outside {
            // Of the CRM we say why; people's private remote contacts are nobody's business.
            let outcome =
                if here == Side::Left { Outcome::Exclude(not_in_list(self.policy.container)) } else { Outcome::Ignore };
            return Step::new(key, outcome, Why::NewRecord);
        }
        if !self.policy.direction.may_write(there) {
            return Step::new(key, Outcome::Exclude(only_here(here)), Why::NewRecord);
        }
        if there == Side::Right
            && let Err(reason) = eligible(self.policy.eligibility, &live.fields)
        {
            return Step::new(key, Outcome::Exclude(reason), Why::NewRecord);
        }
        Step::new(key, Outcome::Agree, Why::NewRecord)
            .on(there, Act::Create { fields: self.flowing(there, &live.fields) })
    }

    /// Linked once; `live` is what is left of it, on side `here`.
    /// `ours`: we made this copy, and nobody has touched it since.
    fn counterpart_gone(&self, key: RowKey, base: Option<Base>, ours: bool, here: Side, live: Live) -> Step {
        let there = here.other();
        let edited = base.as_ref().is_none_or(|base| self.edited(base, here, &live.fields));
        let restorable = live.scope == Scope::Inside
            && self.policy.direction.may_write(there)
            && (there == Side::Left || eligible(self.policy.eligibility, &live.fields).is_ok());
        let put_back = |why| {
            let fields = self.flowing(there, &live.fields);
            Step::new(key.clone(), Outcome::Agree, why).on(there, Act::Create { fields })
        };
        let unlink = || Step::new(key.clone(), Outcome::Unlink(deleted_on(there)), Why::Deleted);
        match self.policy.on_delete(there) {
            OnDelete::Restore if restorable => put_back(Why::Restored),
            OnDelete::Restore | OnDelete::Unlink => unlink(),
            // An edit beats a deletion.
            OnDelete::Propagate if edited && restorable && self.policy.direction == Direction::Both => {
                put_back(Why::Restored)
            }
            OnDelete::Propagate if !self.policy.direction.may_write(here) => unlink(),
            OnDelete::Propagate => {
                if !edited && (ours || !self.policy.delete_only_own_copies) {
                    let act = Act::Delete { id: live.id, expect: live.version };
                    return Step::new(key, Outcome::Forget, Why::Deleted).on(here, act);
                }
                // Kept, since it is not ours or somebody edited it; it only leaves our container.
                match (here, live.scope, self.policy.delete_only_own_copies) {
                    (Side::Right, Scope::Inside, true) => unlink().on(here, self.detach(live)),
                    (Side::Right | Side::Left, Scope::Inside | Scope::Outside, _) => unlink(),
                }
            }
        }
    }

    fn both_live(&self, key: RowKey, base: Option<&Base>, agreed_scope: Scope, left: Live, right: Live) -> Step {
        let may_write_right = self.policy.direction.may_write(Side::Right);
        if left.scope == Scope::Outside {
            let step = Step::new(key, Outcome::Exclude(not_in_list(self.policy.container)), Why::ListChanged);
            let detach = self.policy.on_crm_leave == OnLeave::Detach && right.scope == Scope::Inside;
            return if base.is_some() && detach && may_write_right {
                step.on(Side::Right, self.detach(right))
            } else {
                step
            };
        }
        // Outside although both agreed that it was inside: somebody took it out.
        let taken_out = right.scope == Scope::Outside && agreed_scope == Scope::Inside && base.is_some();
        if taken_out && (self.policy.on_remote_leave != OnLeave::Restore || !may_write_right) {
            return Step::new(key, Outcome::Exclude(left_container(self.policy.container)), Why::ListChanged);
        }
        if self.policy.direction == Direction::CrmToRemote
            && let Err(reason) = eligible(self.policy.eligibility, &left.fields)
        {
            return Step::new(key, Outcome::Exclude(reason), Why::Changed);
        }
        self.merged(key, base.filter(|base| base.is_current()), left, right)
    }

    fn merged(&self, key: RowKey, base: Option<&Base>, left: Live, right: Live) -> Step {
        let merged = merge(self.policy, self.key, base, (&left.fields, &right.fields), self.winner(&left, &right));
        let both = !merged.left_changed.is_empty() && !merged.right_changed.is_empty();
        let why = match base {
            None => Why::Paired,
            Some(_) if merged.overwritten => Why::Overwritten,
            Some(_) if both || !merged.conflicts.is_empty() => Why::Merged,
            Some(_) => Why::Changed,
        };
        let into =
            (right.scope == Scope::Outside && self.policy.direction.may_write(Side::Right)).then_some(Scope::Inside);
        let mut step = Step { conflicts: merged.conflicts, ..Step::new(key, Outcome::Agree, why) };
        if !merged.left_changed.is_empty() {
            let (id, expect, changed) = (left.id, left.version, merged.left_changed);
            step = step.on(Side::Left, Act::Update { id, expect, changed, fields: merged.left, scope: None });
        }
        if !merged.right_changed.is_empty() || into.is_some() {
            let (id, expect, changed) = (right.id, right.version, merged.right_changed);
            step = step.on(Side::Right, Act::Update { id, expect, changed, fields: merged.right, scope: into });
        }
        step
    }

    fn detach(&self, live: Live) -> Act {
        let Live { id, version: expect, fields, .. } = live;
        Act::Update { id, expect, changed: Vec::new(), fields, scope: Some(Scope::Outside) }
    }

    fn winner(&self, left: &Live, right: &Live) -> Side {
        match self.policy.conflict {
            Conflict::Crm => Side::Left,
            Conflict::Remote => Side::Right,
            Conflict::Newest => match (left.modified_at, right.modified_at) {
                (Some(l), Some(r)) if r > l => Side::Right,
                (Some(_) | None, Some(_) | None) => Side::Left,
            },
        }
    }

    fn edited(&self, base: &Base, side: Side, now: &Fields) -> bool {
        let mut rules = self.policy.fields.iter().filter(|rule| !self.policy.passive.contains(&rule.crm));
        !base.is_current() || rules.any(|rule| base.changed(self.key, side, &rule.crm, now))
    }

    /// The fields that may flow to a side.
    fn flowing(&self, to: Side, fields: &Fields) -> Fields {
        let rules = self.policy.fields.iter().filter(|rule| rule.direction.may_write(to));
        rules.filter_map(|rule| Some((rule.crm.clone(), fields.get(&rule.crm)?.clone()))).collect()
    }
}

/// Whether a contact may be created on the remote side (S0-16), and if not, what it lacks.
pub fn eligible(rule: Eligibility, fields: &Fields) -> Result<(), Reason> {
    let reachable = !fields.items(&field::EMAILS).is_empty()
        || fields.items(&field::PHONES).iter().any(|phone| phone.label != "fax" && phone.label != COMPANY_PHONE);
    match rule {
        Eligibility::Any => Ok(()),
        Eligibility::Strict => {
            let mut lacks = Vec::new();
            for (name, word) in [(field::FIRST_NAME, "a first name"), (field::LAST_NAME, "a last name")] {
                if fields.text(&name).is_empty() {
                    lacks.push(word);
                }
            }
            if !reachable {
                lacks.push("a phone number, mobile number or e-mail address");
            }
            if lacks.is_empty() {
                return Ok(());
            }
            Err(Reason::new("missing_fields", format!("Not exported: it lacks {}.", lacks.join(" and "))))
        }
        Eligibility::Relaxed => {
            let named =
                [field::FIRST_NAME, field::LAST_NAME, field::COMPANY].iter().any(|f| !fields.text(f).is_empty());
            if named || reachable {
                return Ok(());
            }
            Err(Reason::new("missing_fields", "Not exported: it has no name, e-mail address or phone number."))
        }
    }
}

fn not_in_list(container: Container) -> Reason {
    let message = match container {
        Container::Group => "Not in the chosen CRM list or segment, or a colleague's.",
        Container::Calendars => {
            "Not of what this sync carries: a colleague's, in which the connected user does not take part, or a task that \
             is done or has no day."
        }
        Container::TaskList => "A colleague's task.",
    };
    Reason::new("not_in_list", message)
}
fn left_container(container: Container) -> Reason {
    match container {
        Container::Group => Reason::new("left_group", "Taken out of the remote group; both copies stay."),
        Container::Calendars => Reason::new(
            "left_calendar",
            "Its calendar is gone, not shared any more or no longer chosen in the settings; both copies stay.",
        ),
        Container::TaskList => Reason::new("left_list", "Moved out of the task list; both copies stay."),
    }
}
fn only_here(here: Side) -> Reason {
    match here {
        Side::Left => Reason::new("direction", "Only in the CRM; this sync does not write to the remote side."),
        Side::Right => Reason::new("direction", "Only on the remote side; this sync does not write to the CRM."),
    }
}
fn deleted_on(side: Side) -> Reason {
    match side {
        Side::Left => Reason::new("deleted_in_crm", "Deleted in the CRM; the remote copy stays."),
        Side::Right => Reason::new("deleted_at_remote", "Deleted at the remote; the CRM's copy stays."),
    }
}
