//! What becomes of a record's row once its writes are done, and what is counted and logged for it. Pure.
use crate::changelog::Change;
use crate::prepare::{Item, News, UNREADABLE, base_of};
use crate::session::Session;
use jiff::Timestamp;
use tandem_core::plan::{Act, Outcome, Reason, Why};
use tandem_core::record::{Field, Fields, RunId, Scope, Side, Version};
use tandem_core::reduce::Counts;
use tandem_ports::connector::Written;
use tandem_ports::error::ConnectorError;
use tandem_store::link::{Effect, Row, RowChange, RowState};

/// A write that was done: what the provider answered (nothing for a deletion).
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub side: Side,
    pub written: Option<Written>,
}

/// A record that is finished for this page.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Everything by which a page could mean this record.
    pub identities: Vec<String>,
    /// The intents that its creates were written under.
    pub intents: Vec<u64>,
    pub page: u64,
    pub rows: Vec<RowChange>,
    pub counts: Counts,
    pub changes: Vec<Change>,
    /// Whether its deletion waits for the end of the run.
    pub waits: bool,
    /// Whether it is an unpaired remote record.
    pub candidate: bool,
    /// Whether it failed with tries left.
    pub retry: bool,
}

/// How a record ended.
pub(crate) enum Ending {
    /// Every act was done.
    Done(Vec<Done>),
    /// A provider refused it.
    Refused { side: Side, error: ConnectorError },
    /// Nothing may be written on that side: it is tried again in the next run.
    Barred { side: Side, reason: String },
    /// Its deletion waits.
    Waits,
}

impl Session<'_> {
    /// Notes how a record ended.
    pub fn settle(&self, item: Item, ending: Ending, run: &RunId, now: Timestamp) -> Settled {
        let mut settled = Settled {
            identities: item.identities().collect(),
            intents: item.intents.clone(),
            page: item.page,
            rows: Vec::new(),
            counts: Counts::default(),
            changes: Vec::new(),
            waits: false,
            candidate: false,
            retry: false,
        };
        let mut row = item.row.clone();
        for side in [Side::Left, Side::Right] {
            if let Some(copy) = item.copy(side) {
                self.note_copy(&mut row, side, copy.version.clone());
            }
        }
        row.news_at = None;
        let after = match ending {
            Ending::Done(done) => self.finished(&item, row, &done, (run, now), &mut settled),
            Ending::Refused { side, error } => Some(self.refused(&item, row, side, &error, &mut settled)),
            Ending::Barred { side, reason } => {
                settled.counts.side(side).failing += 1;
                settled.retry = true;
                row.state = RowState::Failing;
                row.reason = Some(Reason::new("missing_right", reason));
                Some(row)
            }
            Ending::Waits => {
                settled.waits = true;
                row.state = RowState::Held;
                row.news_at = (item.news == News::Fresh).then_some(now);
                row.reason = Some(Reason::new("deletion_waits", "Its deletion waits for the end of the run."));
                Some(row)
            }
        };
        settled.candidate = after.as_ref().is_some_and(|row| row.state == RowState::Unpaired);
        settled.rows = row_changes(&item.before, after);
        settled
    }

    fn note_copy(&self, row: &mut Row, side: Side, version: Version) {
        match side {
            Side::Left => row.left_version = Some(version),
            Side::Right => row.right_version = Some(version),
        }
    }

    fn finished(
        &self,
        item: &Item,
        mut row: Row,
        done: &[Done],
        (run, now): (&RunId, Timestamp),
        settled: &mut Settled,
    ) -> Option<Row> {
        let mut effect = Effect { run: run.clone(), page: item.page, created: vec![], updated: vec![], paired: false };
        for Done { side, written } in done {
            settled.changes.extend(self.log(item, *side, written.as_ref().map(|written| &written.id)));
            match item.step.act(*side) {
                Some(Act::Create { .. }) => {
                    effect.created.push(*side);
                    row.made_on = Some(*side);
                }
                Some(Act::Update { .. }) => effect.updated.push(*side),
                Some(Act::Delete { .. }) => settled.counts.side(*side).deleted += 1,
                None => {}
            }
            if let Some(written) = written {
                self.note_copy(&mut row, *side, written.version.clone());
                match side {
                    Side::Left => row.left = Some(written.id.clone()),
                    Side::Right => row.right = Some(written.id.clone()),
                }
            }
        }
        for side in [Side::Left, Side::Right] {
            let lost = !item.step.conflicts.is_empty() && item.step.act(side).is_some();
            settled.counts.side(side).conflicts += u64::from(lost);
        }
        self.outcome(item, row, done, effect, now, settled)
    }

    fn outcome(
        &self,
        item: &Item,
        mut row: Row,
        done: &[Done],
        mut effect: Effect,
        now: Timestamp,
        settled: &mut Settled,
    ) -> Option<Row> {
        match &item.step.outcome {
            Outcome::Agree => self.agree(item, &mut row, done, &mut effect, now),
            Outcome::Exclude(reason) => {
                let counted = if row.left.is_some() { Side::Left } else { Side::Right };
                // What cannot be read is no candidate: there is nothing to carry over before it changes.
                if row.left.is_none() && row.base.is_none() && reason.code != UNREADABLE {
                    row.state = RowState::Unpaired;
                    row.reason = Some(reason.clone());
                } else {
                    settled.counts.side(counted).excluded += 1;
                    row.state = RowState::Excluded;
                    row.reason = Some(reason.clone());
                }
                // Outside by agreement only where we took it out; a person's taking out is to be seen again.
                if let Some(Act::Update { scope: Some(scope), .. }) = &item.step.right {
                    row.right_scope = *scope;
                }
            }
            Outcome::Unlink(reason) => {
                row.state = RowState::Excluded;
                row.reason = Some(reason.clone());
                if item.left.is_none() {
                    row.left = None;
                }
                if item.right.is_none() {
                    row.right = None;
                }
            }
            Outcome::Forget => return None,
            Outcome::Ignore => return item.before.first().cloned(),
        }
        for side in &effect.created {
            settled.counts.side(*side).created += 1;
        }
        for side in &effect.updated {
            settled.counts.side(*side).updated += 1;
        }
        settled.counts.side(Side::Right).paired += u64::from(effect.paired);
        if !effect.created.is_empty() || !effect.updated.is_empty() || effect.paired {
            row.effect = Some(effect);
        }
        Some(row)
    }

    /// Both sides say the same now.
    fn agree(&self, item: &Item, row: &mut Row, done: &[Done], effect: &mut Effect, now: Timestamp) {
        let first = row.base.is_none() && item.step.why == Why::Paired;
        // A copy that we made before its answer was lost is a copy that we made, not one that was there.
        match row.made_on.filter(|_| first) {
            Some(side) if !effect.created.contains(&side) => effect.created.push(side),
            Some(_) | None => effect.paired = first,
        }
        let (left, right) = (self.after(item, Side::Left, done), self.after(item, Side::Right, done));
        let (before, base) = (row.base.take(), base_of(self, &left, &right));
        let as_before =
            |side, field: &Field| before.as_ref().is_some_and(|was| was.print(side, field) == base.print(side, field));
        row.put_back.retain(|field| as_before(Side::Left, field) && as_before(Side::Right, field));
        row.base = Some(base);
        row.state = RowState::InSync;
        row.reason = None;
        row.attempts = 0;
        row.refused = None;
        row.match_keys.clear();
        row.right_scope = Scope::Inside;
        row.synced_at = Some(now);
    }

    /// What a side shows after the writes, under the CRM's names.
    fn after(&self, item: &Item, side: Side, done: &[Done]) -> Fields {
        let written = done.iter().find(|done| done.side == side).and_then(|done| done.written.as_ref());
        if let Some(shown) = written.and_then(|written| written.shown.as_ref()) {
            return self.mapped(side, shown);
        }
        match (item.step.act(side), item.copy(side)) {
            (Some(Act::Create { fields } | Act::Update { fields, .. }), _) => fields.clone(),
            (Some(Act::Delete { .. }) | None, Some(copy)) => self.mapped(side, &copy.fields),
            (Some(Act::Delete { .. }) | None, None) => Fields::new(),
        }
    }

    fn refused(&self, item: &Item, mut row: Row, side: Side, error: &ConnectorError, settled: &mut Settled) -> Row {
        let digest = self.digest(item);
        // Another record than the one refused before has its tries anew.
        if row.refused.as_ref() != Some(&digest) {
            row.attempts = 0;
        }
        row.attempts += 1;
        row.refused = Some(digest);
        row.state = RowState::Failing;
        row.reason = Some(Reason::new("refused", format!("{} refused it: {}", error.provider, error.detail)));
        settled.counts.side(side).failing += 1;
        settled.retry = row.attempts < crate::prepare::MAX_ATTEMPTS;
        row
    }
}

fn row_changes(before: &[Row], after: Option<Row>) -> Vec<RowChange> {
    let own = after.as_ref().map(|row| &row.key);
    let mut changes: Vec<RowChange> = Vec::new();
    for old in before {
        if Some(&old.key) == own {
            continue;
        }
        changes.push(RowChange { before: Some(old.clone()), after: None });
    }
    let same = before.iter().find(|old| Some(&old.key) == own);
    if let Some(row) = after
        && same != Some(&row)
    {
        changes.push(RowChange { before: same.cloned(), after: Some(row) });
    }
    changes
}
