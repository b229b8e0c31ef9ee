//! Who is who: records that were never linked are recognised by our marker, then by the profile's match keys.
//!
//! A record that is on one side only becomes a *candidate*, listed under its match keys. The CRM's records are matched with
//! the remote's candidates as they are read; remote records are carried to the CRM in a walk of their own at the end of the
//! run ([`Task::Adopt`](crate::session::Task)), when everything that is in the CRM is known.
use crate::observe::Draft;
use crate::prepare::Item;
use crate::session::{Candidates, ReadFailure, Session};
use std::collections::HashSet;
use tandem_core::matching::{self, Match};
use tandem_core::plan::{Outcome, Reason};
use tandem_core::record::{RemoteId, RowKey, Scope, Side};
use tandem_ports::connector::Fetched;
use tandem_store::link::{Row, RowState};

impl Session<'_> {
    /// Looks for the other half of records of a page that were never linked.
    pub(crate) async fn pair(&self, side: Side, drafts: &mut [Draft]) -> Result<(), ReadFailure> {
        match side {
            Side::Left => self.pair_with(Side::Right, drafts).await,
            Side::Right => {
                self.follow_renames(drafts).await?;
                // They become candidates; a CRM record finds them when it comes by, or they are carried over at the end.
                for draft in drafts.iter_mut().filter(|draft| draft.row.base.is_none() && draft.row.left.is_none()) {
                    let Some(copy) = &draft.right else { continue };
                    draft.row.match_keys = self.match_keys(Side::Right, copy);
                    draft.verdict = Some(unmatched());
                }
                Ok(())
            }
        }
    }

    /// Finds the candidates of side `there` for the drafts that are on the other side only.
    pub(crate) async fn pair_with(&self, there: Side, drafts: &mut [Draft]) -> Result<(), ReadFailure> {
        let here = there.other();
        let alone =
            |draft: &Draft| draft.row.id(there).is_none() && draft.row.base.is_none() && draft.copy(here).is_some();
        if !drafts.iter().any(alone) {
            return Ok(());
        }
        self.load_candidates().await?;
        let mut paired = Vec::new();
        for (index, draft) in drafts.iter_mut().enumerate().filter(|(_, draft)| alone(draft)) {
            let Some(copy) = draft.copy(here) else { continue };
            let keys = self.match_keys(here, copy);
            if copy.scope == Scope::Inside {
                match self.candidate(there, &keys) {
                    Match::None => {}
                    Match::One(key) => {
                        // Two of the CRM's records never get the same copy.
                        if there == Side::Right {
                            self.take_candidate(&key);
                        }
                        paired.push((index, key));
                    }
                    Match::Ambiguous(many) => draft.verdict = Some(self.ambiguous(there, many)),
                }
            }
            // What stays alone in the CRM is a candidate in its turn, where the remote's records are carried there.
            draft.row.match_keys =
                if here == Side::Right || self.policy.direction.may_write(Side::Left) { keys } else { Vec::new() };
        }
        let keys: Vec<RowKey> = paired.iter().map(|(_, key)| key.clone()).collect();
        let rows = self.candidate_rows(&keys).await?;
        for ((index, key), candidate) in paired.into_iter().zip(rows) {
            let alike = keys.iter().filter(|other| **other == key).count();
            let still = |row: &Row| row.base.is_none() && row.id(here).is_none() && row.id(there).is_some();
            let Some(candidate) = candidate.filter(still) else { continue };
            let draft = &mut drafts[index];
            match candidate.reason.as_ref().filter(|reason| reason.code == AMBIGUOUS) {
                Some(reason) => draft.verdict = Some(reason.clone()),
                None if alike > 1 => draft.verdict = Some(self.ambiguous(here, alike)),
                None => {
                    self.take_candidate(&key);
                    if let Some(remembered) = &self.dry {
                        remembered.lock().expect("not poisoned").remove(&key);
                    }
                    join(draft, there, candidate);
                }
            }
        }
        Ok(())
    }

    fn ambiguous(&self, there: Side, many: usize) -> Reason {
        let which = if there == Side::Right { "remote" } else { "CRM" };
        let what = match self.profile.grant() {
            "contacts" => "contacts",
            "tasks" => "tasks",
            _ => "appointments",
        };
        Reason::new(AMBIGUOUS, format!("{many} {which} {what} look like this one; make them differ, or merge them."))
    }

    async fn candidate_rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Row>>, ReadFailure> {
        let mut rows = self.engine.store.rows_by_key(&self.sync.id, keys).await?;
        if let Some(remembered) = &self.dry {
            let remembered = remembered.lock().expect("not poisoned");
            for (row, key) in rows.iter_mut().zip(keys) {
                *row = remembered.get(key).cloned().or(row.take());
            }
        }
        Ok(rows)
    }

    /// A remote record that carries our marker under a new id, while the old id is gone, is the same record: People
    /// gives merged and moved contacts new resource names.
    async fn follow_renames(&self, drafts: &mut [Draft]) -> Result<(), ReadFailure> {
        let origin = |draft: &Draft| {
            let unknown = draft.row.base.is_none() && draft.row.left.is_none();
            let marker = draft.right.as_ref().filter(|_| unknown)?.marker.as_ref()?;
            let id = marker.as_str().strip_prefix(self.left_account.as_str())?.strip_prefix(':')?;
            Some(RemoteId::new(id))
        };
        let marked: Vec<(usize, RemoteId)> =
            drafts.iter().enumerate().filter_map(|(index, draft)| Some((index, origin(draft)?))).collect();
        let ids: Vec<RemoteId> = marked.iter().map(|(_, id)| id.clone()).collect();
        let rows = self.engine.store.rows_by_id(&self.sync.id, Side::Left, &ids).await?;
        let linked: Vec<(usize, Row, RemoteId)> = marked
            .into_iter()
            .zip(rows)
            .filter_map(|((index, _), row)| row.and_then(|row| Some((index, row.clone(), row.right?))))
            .collect();
        let old: Vec<RemoteId> = linked.iter().map(|(_, _, old)| old.clone()).collect();
        let still_there = self.fetch(Side::Right, &old).await?;
        let mut followed = HashSet::new();
        for ((index, row, _), _) in linked.into_iter().zip(still_there).filter(|(_, copy)| copy.is_none()) {
            // Of two copies with one mark, the first is the record; the other one is somebody's own by now.
            if !followed.insert(row.key.clone()) {
                continue;
            }
            let draft = &mut drafts[index];
            draft.row = Row { right: draft.row.right.take(), ..row.clone() };
            draft.before = vec![row];
        }
        Ok(())
    }

    /// The hashed keys by which a record is recognised, strongest first: our marker, then the profile's.
    fn match_keys(&self, side: Side, copy: &Fetched) -> Vec<String> {
        // The mark of the other half names this record, or the mark on this record names the other half.
        let markers = [Some(self.marker(side, &copy.id)), copy.marker.clone()];
        let marker = markers.into_iter().flatten().map(|marker| format!("marker:{marker}"));
        // A remote record outside our group is recognised by our marker alone.
        let found = match (side, copy.scope) {
            (Side::Right, Scope::Outside) => Vec::new(),
            (Side::Left, _) | (Side::Right, Scope::Inside) => {
                matching::match_keys(side, &self.mapped(side, &copy.fields), &self.policy.match_on)
            }
        };
        let mut keys: Vec<String> = marker.chain(found).map(|key| self.sync.fingerprint_key.hash(&key)).collect();
        keys.dedup();
        keys
    }

    async fn load_candidates(&self) -> Result<(), ReadFailure> {
        if self.candidates.lock().expect("not poisoned").is_some() {
            return Ok(());
        }
        let mut loaded = Candidates::new();
        let mut after = None;
        loop {
            let (some, next) = self.engine.store.candidates(&self.sync.id, after).await?;
            for (hash, key) in some {
                loaded.entry(hash).or_default().push(key);
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        *self.candidates.lock().expect("not poisoned") = Some(loaded);
        Ok(())
    }

    /// The one candidate of a side under the strongest key that has any.
    fn candidate(&self, side: Side, keys: &[String]) -> Match<RowKey> {
        let guard = self.candidates.lock().expect("not poisoned");
        let Some(candidates) = guard.as_ref() else { return Match::None };
        for key in keys {
            let rows = candidates.get(key).into_iter().flatten();
            let of_side: Vec<RowKey> = rows.filter(|row| tandem_store::keys::first_seen(row, side)).cloned().collect();
            match matching::judge(of_side) {
                Match::None => {}
                found @ (Match::One(_) | Match::Ambiguous(_)) => return found,
            }
        }
        Match::None
    }

    /// Nobody else gets this candidate.
    fn take_candidate(&self, row: &RowKey) {
        if let Some(candidates) = self.candidates.lock().expect("not poisoned").as_mut() {
            candidates.retain(|_, rows| {
                rows.retain(|other| other != row);
                !rows.is_empty()
            });
        }
    }

    /// In a dry look nothing is stored: a record that is alone is remembered for the pages that follow.
    pub fn remember_candidate(&self, item: &Item) {
        let alone = item.row.left.is_some() != item.row.right.is_some() && item.row.base.is_none();
        let kept = !item.step.writes() && item.before.is_empty();
        let Some(rows) = self.dry.as_ref().filter(|_| alone && kept) else { return };
        let state = if item.row.left.is_some() { RowState::Excluded } else { RowState::Unpaired };
        let reason = match &item.step.outcome {
            Outcome::Exclude(reason) => Some(reason.clone()),
            Outcome::Agree | Outcome::Unlink(_) | Outcome::Forget | Outcome::Ignore => None,
        };
        let row = Row { state, reason, ..item.row.clone() };
        rows.lock().expect("not poisoned").insert(row.key.clone(), row);
        let mut guard = self.candidates.lock().expect("not poisoned");
        let candidates = guard.get_or_insert_with(Candidates::new);
        for hash in &item.row.match_keys {
            candidates.entry(hash.clone()).or_default().push(item.row.key.clone());
        }
    }

    /// Takes some of the remote records that a dry look remembered.
    pub fn take_remembered(&self, most: usize) -> Vec<Row> {
        let Some(rows) = &self.dry else { return Vec::new() };
        let mut rows = rows.lock().expect("not poisoned");
        let mut keys: Vec<RowKey> =
            rows.values().filter(|row| row.state == RowState::Unpaired).map(|row| row.key.clone()).collect();
        keys.sort();
        keys.truncate(most);
        keys.iter().filter_map(|key| rows.remove(key)).collect()
    }
}

/// The draft and the candidate are one record: the CRM's row goes on, the other one is forgotten.
fn join(draft: &mut Draft, there: Side, candidate: Row) {
    if there == Side::Right {
        draft.row.right.clone_from(&candidate.right);
    } else {
        draft.row = Row { right: draft.row.right.take(), ..candidate.clone() };
    }
    draft.before.push(candidate);
}

const AMBIGUOUS: &str = "ambiguous";

fn unmatched() -> Reason {
    Reason::new("unmatched", "Not yet matched with a CRM record.")
}
