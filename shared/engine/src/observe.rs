//! What is known of a record, both copies and the row, becomes a planned item.
use crate::blocks;
use crate::occurrences::Occurrences;
use crate::prepare::{Item, MAX_ATTEMPTS, News};
use crate::session::{ReadFailure, Session};
use std::borrow::Cow;
use tandem_core::calendar::ImportedAs;
use tandem_core::plan::{Act, Live, Observation, Outcome, Reason, Replica, Step, Why, plan};
use tandem_core::policy::{Direction, OnDelete, Policy};
use tandem_core::record::{Field, Fields, Scope, Side};
use tandem_core::schema::check;
use tandem_ports::connector::Fetched;
use tandem_store::checkpoint::Purpose;
use tandem_store::link::{Row, RowState};

/// A record of a page before it is planned.
pub(crate) struct Draft {
    pub before: Vec<Row>,
    pub row: Row,
    pub left: Option<Fetched>,
    pub right: Option<Fetched>,
    pub gone: Option<Side>,
    /// The side that tells nothing of it.
    pub untold: Option<Side>,
    /// Why it must not be created on the other side, if it must not.
    pub verdict: Option<Reason>,
}

impl Draft {
    pub fn of_row(row: Row) -> Draft {
        Draft { before: vec![row.clone()], row, left: None, right: None, gone: None, untold: None, verdict: None }
    }
    pub fn seen(row: Row, side: Side, fetched: Fetched, before: Vec<Row>) -> Draft {
        let mut draft = Draft { before, row, left: None, right: None, gone: None, untold: None, verdict: None };
        draft.set(side, fetched);
        draft
    }
    pub fn gone(row: Row, side: Side) -> Draft {
        let mut draft = Draft::of_row(row);
        draft.gone = Some(side);
        draft
    }
    pub fn copy(&self, side: Side) -> Option<&Fetched> {
        match side {
            Side::Left => self.left.as_ref(),
            Side::Right => self.right.as_ref(),
        }
    }
    pub fn set(&mut self, side: Side, copy: Fetched) {
        match side {
            Side::Left => self.left = Some(copy),
            Side::Right => self.right = Some(copy),
        }
    }
    /// A direct read proved that it is gone.
    pub fn lose(&mut self, side: Side) {
        match side {
            Side::Left => self.left = None,
            Side::Right => self.right = None,
        }
        self.gone = Some(side);
    }
}

impl Session<'_> {
    /// A changed record, unless nothing about it is news.
    pub fn changed_draft(
        &self,
        side: Side,
        fetched: Fetched,
        row: Option<Row>,
        listing: Option<Purpose>,
    ) -> Option<Draft> {
        let Some(row) = row else {
            // Somebody's private remote contacts are none of our business unless they are in our group or carry our mark.
            let ours = side == Side::Left || fetched.scope == Scope::Inside || fetched.marker.is_some();
            return ours.then(|| Draft::seen(Row::first_seen(side, &fetched.id), side, fetched, Vec::new()));
        };
        // When everything is looked at (other fields may be mapped now), a version that we know tells nothing. A CRM's may
        // be a time in whole seconds, in which an edit hides that came just after our own write.
        let looked_at = matches!(listing, Some(Purpose::Read | Purpose::Regroup));
        let echo = side == Side::Right && !looked_at && row.version(side) == Some(&fetched.version);
        let quiet = row.state == RowState::InSync && !self.is_news(side, &fetched, &row, echo);
        (!quiet).then(|| Draft::seen(row.clone(), side, fetched, vec![row]))
    }

    /// `echo`: it is in the version that we last saw or wrote, so that what it says is known (our own write comes back as a
    /// change).
    pub fn is_news(&self, side: Side, fetched: &Fetched, row: &Row, echo: bool) -> bool {
        let Some(base) = row.base.as_ref().filter(|base| base.is_current()) else { return true };
        let scope = if side == Side::Right { row.right_scope } else { Scope::Inside };
        if fetched.scope != scope {
            return true;
        }
        let fields = self.mapped(side, &fetched.fields);
        let key = &self.sync.fingerprint_key;
        !echo && self.policy.fields.iter().any(|rule| base.changed(key, side, &rule.crm, &fields))
    }

    /// A fetched record's mapped fields under the CRM's names.
    pub fn mapped(&self, side: Side, fields: &Fields) -> Fields {
        match side {
            Side::Left => self.policy.read_crm(fields),
            Side::Right => self.policy.read_remote(fields),
        }
    }

    /// What does not fit the side that it is to be written to is not sent there, and says which field does not fit.
    pub async fn judge(&self, items: &mut [Item]) -> Result<(), ReadFailure> {
        for side in [Side::Left, Side::Right] {
            let sends = |item: &Item| matches!(item.step.act(side), Some(Act::Create { .. } | Act::Update { .. }));
            if !items.iter().any(sends) {
                continue;
            }
            let schema = self.schema(side).await?;
            let mut refusals = self.refusals(side, items).await?.into_iter();
            for item in items.iter_mut() {
                let verdict = match item.step.act(side) {
                    Some(Act::Create { fields }) => match refusals.next().flatten() {
                        Some(why) => Err(Reason::new("not_taken", why)),
                        None => check(&schema, &self.policy.to_side(side, fields), None),
                    },
                    Some(Act::Update { fields, changed, .. }) => {
                        let names: Vec<Field> = changed.iter().map(|field| self.policy.name_on(side, field)).collect();
                        check(&schema, &self.policy.to_side(side, fields), Some(&names))
                    }
                    Some(Act::Delete { .. }) | None => Ok(()),
                };
                if let Err(reason) = verdict {
                    // The other side's act, of a record that is on both, is none the worse for it.
                    let creates = matches!(item.step.act(side), Some(Act::Create { .. }));
                    if side == Side::Left || creates {
                        item.step.left = None;
                    }
                    if side == Side::Right || creates {
                        item.step.right = None;
                    }
                    item.step.outcome = Outcome::Exclude(reason);
                }
            }
        }
        Ok(())
    }

    /// What a side says to the records that are to be created there, in their order.
    async fn refusals(&self, side: Side, items: &[Item]) -> Result<Vec<Option<String>>, ReadFailure> {
        let fields = |item: &Item| match item.step.act(side) {
            Some(Act::Create { fields }) => Some(self.policy.to_side(side, fields)),
            Some(Act::Update { .. } | Act::Delete { .. }) | None => None,
        };
        let fresh: Vec<Fields> = items.iter().filter_map(fields).collect();
        let connector = self.connector(side);
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        self.patiently(side, || connector.refuses(&fresh)).await
    }

    pub fn planned(&self, drafts: Vec<Draft>, number: u64) -> Vec<Item> {
        let mut items = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let observation = self.observe(&draft);
            let policy = self.policy_for(&draft);
            let rules = policy.as_deref().unwrap_or(&self.policy);
            let mut steps = plan(rules, &self.sync.fingerprint_key, vec![observation]);
            let Some(step) = steps.pop() else { continue };
            let Draft { before, row, left, right, verdict, .. } = draft;
            let mut step = self.kept_here(step, left.as_ref());
            let creates = [Side::Left, Side::Right].iter().any(|s| matches!(step.act(*s), Some(Act::Create { .. })));
            // A copy of ours is no record of its own, though the CRM has not told of its origin.
            let is_untold =
                self.left.tells_only_changes().is_some() && right.as_ref().is_some_and(|one| self.is_ours(one));
            if is_untold && matches!(step.left, Some(Act::Create { .. })) {
                let why = "It is a copy of a record that the CRM has not told of since this sync was made.";
                step =
                    Step { left: None, right: None, outcome: Outcome::Exclude(Reason::new("not_told", why)), ..step };
            }
            // A copy that we made, outside the group: a candidate all the same.
            let waits = step.outcome == Outcome::Ignore && right.as_ref().is_some_and(|copy| self.is_ours(copy));
            let verdict = verdict.or_else(|| self.not_imported(&step, &row, right.as_ref()));
            if let Some(reason) = verdict.filter(|_| creates || waits) {
                step = Step { left: None, right: None, outcome: Outcome::Exclude(reason), ..step };
            }
            if rules.direction.may_write(Side::Right) {
                self.mark_origin(&mut step, right.as_ref());
            }
            let item = Item {
                page: number,
                before,
                row,
                left,
                right,
                step,
                replanned: 0,
                done: vec![],
                intents: vec![],
                news: News::CatchUp,
            };
            // Each side went its own way, and stays so until both are there again.
            let unlinked = item.row.state == RowState::Excluded && item.row.base.is_some();
            let unlinked = unlinked && (item.row.left.is_none() || item.row.right.is_none());
            let alone = unlinked || policy.is_none() || self.is_given_up(&item);
            items.push(if alone { item.left_alone() } else { item });
        }
        items
    }

    /// Why what a calendar brings is not made a record of the CRM's. To a CRM with a window of days nothing is carried that
    /// was over before it: years of somebody's calendar are nobody's meetings. Where the CRM keeps no grey blocks, the rest
    /// stay ones here until a person makes meetings of them.
    fn not_imported(&self, step: &Step, row: &Row, right: Option<&Fetched>) -> Option<Reason> {
        let imported = matches!(step.left, Some(Act::Create { .. })) && row.base.is_none() && !row.converted;
        let calendar = self.settings.calendar.as_ref().filter(|_| imported)?;
        let is_over = |series: &Occurrences| right.is_some_and(|copy| series.is_over(&copy.fields));
        if self.series.as_deref().is_some_and(is_over) {
            let message = "It was over before the days that this sync looks back.";
            return Some(Reason::new("before_window", message));
        }
        (calendar.imported_as == ImportedAs::Block && !self.left.keeps_blocks()).then(blocks::grey)
    }

    /// What the CRM only shows is not handed on: not made at the remote, and not put back there after it was deleted.
    fn kept_here(&self, step: Step, left: Option<&Fetched>) -> Step {
        let creates = matches!(step.right, Some(Act::Create { .. }));
        let Some(copy) = left.filter(|copy| creates && self.left.only_shows(copy)) else { return step };
        let reason =
            || Reason::new("shown_only", "It came from another calendar; made a meeting, it is carried across.");
        let step = Step { right: None, ..step };
        match (step.why, self.policy.on_remote_delete) {
            (Why::Restored, OnDelete::Propagate) => {
                let act = Act::Delete { id: copy.id.clone(), expect: copy.version.clone() };
                Step { left: Some(act), outcome: Outcome::Forget, why: Why::Deleted, ..step }
            }
            (Why::Restored, OnDelete::Restore | OnDelete::Unlink) => {
                Step { outcome: Outcome::Unlink(reason()), ..step }
            }
            _ => Step { outcome: Outcome::Exclude(reason()), ..step },
        }
    }

    /// The policy for one record: what its side does not let us write, or does not give to the other, flows one way. `None`
    /// where neither may be written.
    fn policy_for(&self, draft: &Draft) -> Option<Cow<'_, Policy>> {
        let id = |side: Side| draft.copy(side).map(|copy| &copy.id).or_else(|| draft.row.id(side));
        let may_write = |side: Side| {
            self.policy.direction.may_write(side)
                && id(side).is_none_or(|id| self.connector(side).takes_writes_to(id))
                && id(side.other()).is_none_or(|id| self.connector(side.other()).gives_changes_of(id))
        };
        let direction = match (may_write(Side::Left), may_write(Side::Right)) {
            (true, true) => Direction::Both,
            (false, true) => Direction::CrmToRemote,
            (true, false) => Direction::RemoteToCrm,
            (false, false) => return None,
        };
        if direction == self.policy.direction {
            return Some(Cow::Borrowed(&self.policy));
        }
        Some(Cow::Owned(Policy { direction, ..self.policy.clone() }))
    }

    fn is_ours(&self, copy: &Fetched) -> bool {
        let account =
            |marker: &tandem_core::record::Marker| marker.as_str().starts_with(&format!("{}:", self.left_account));
        copy.marker.as_ref().is_some_and(account)
    }

    /// A record that we are about to make in a CRM that keeps no marker: the mark goes onto its remote origin, so that the
    /// two are known for a pair when this sync is forgotten, also without an e-mail address.
    fn mark_origin(&self, step: &mut Step, right: Option<&Fetched>) {
        // An occurrence keeps no mark: it would be its series'.
        let marks = |copy: &Fetched| self.series.is_none() || !Occurrences::is_one(&copy.id);
        let unmarked = right.filter(|copy| copy.marker.is_none() && step.right.is_none() && marks(copy));
        let made = matches!(step.left, Some(Act::Create { .. }));
        let (Some(copy), true) = (unmarked, made && self.policy.direction.may_write(Side::Right)) else { return };
        if !self.left.capabilities().keeps_markers {
            let (id, expect) = (copy.id.clone(), copy.version.clone());
            let fields = self.mapped(Side::Right, &copy.fields);
            step.right = Some(Act::Update { id, expect, changed: Vec::new(), fields, scope: None });
        }
    }

    /// Refused three times as it is: not tried again before it changes, or a person asks.
    fn is_given_up(&self, item: &Item) -> bool {
        let row = &item.row;
        let unchanged = row.refused.is_some() && row.refused == Some(self.digest(item));
        row.state == RowState::Failing && row.attempts >= MAX_ATTEMPTS && unchanged
    }

    /// What both copies look like now, as one hash.
    pub fn digest(&self, item: &Item) -> String {
        let mut fields = Fields::new();
        for side in [Side::Left, Side::Right] {
            let mapped = item.copy(side).map(|copy| self.mapped(side, &copy.fields)).unwrap_or_default();
            for (field, value) in mapped.iter() {
                fields.set(Field::named(format!("{}.{field}", side.word())), value.clone());
            }
        }
        let names: Vec<Field> = fields.iter().map(|(field, _)| field.clone()).collect();
        self.sync.fingerprint_key.digest(&fields, names.iter())
    }

    fn observe(&self, draft: &Draft) -> Observation {
        let replica = |side: Side| match (draft.copy(side), draft.gone == Some(side)) {
            (Some(copy), _) => Replica::Live(Live {
                id: copy.id.clone(),
                version: copy.version.clone(),
                scope: copy.scope,
                fields: self.mapped(side, &copy.fields),
                modified_at: copy.modified_at,
            }),
            (None, true) => Replica::Gone,
            (None, false) if draft.untold == Some(side) => Replica::Untold,
            (None, false) => Replica::Absent,
        };
        Observation {
            key: draft.row.key.clone(),
            base: draft.row.base.clone(),
            made_on: draft.row.made_on,
            agreed_scope: if self.regrouping { Scope::Outside } else { draft.row.right_scope },
            our_version: draft.row.right_version.clone(),
            left: replica(Side::Left),
            right: replica(Side::Right),
        }
    }
}
