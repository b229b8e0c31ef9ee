//! Messages judged and filed: heads in batches, one look-up for all their people, bodies only of what is tracked.
use super::asks::Asks;
use super::{TRIES, mailbox_stop};
use crate::changelog::ChangeView;
use crate::session::{Progress, Stop, stop_for};
use crate::{Engine, MailPorts};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tandem_core::mail::track::{Decision, Filing, Look, Owner, Screened, TaskWish, block_marks, decide, screen};
use tandem_core::mail::{
    Address, Attachments, Body, Envelope, LeftOut, MailRules, Subject, TrackedMail, Wish, identity,
};
use tandem_core::plan::Reason;
use tandem_core::record::{RemoteId, Side, Version};
use tandem_mail::{HEADERS, Head};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::mail::{FiledHow, MailHead, MailTask};
use tandem_store::link::{Row, RowChange, RowState};
use tandem_store::sync::Sync;

/// What stands in the CRM instead of a text that is not kept.
const TOO_LARGE: &str = "The text of this mail is too large, or is none that can be read. It is in the mailbox:";

/// Whether a person has said yes to adding strangers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// Yes, to those who wait.
    Given,
    /// Nobody was asked.
    None,
}

/// What happens to messages that were judged by these rules already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// They are passed over, unread: a listing or a page of the feed that is begun anew shows them again.
    Skip,
    /// They are judged again: something happened to them.
    Again,
}

/// One passage over a mailbox.
pub(super) struct Round<'a, 'p> {
    pub engine: &'a Engine,
    pub sync: &'a Sync,
    pub rules: &'a MailRules,
    pub ports: MailPorts,
    pub owner: Owner,
    pub address: Address,
    pub digest: String,
    pub asks: Asks,
    pub progress: &'a mut Progress<'p>,
}

/// What was found out in one batch, to be made durable together.
#[derive(Default)]
struct Batch {
    rows: Vec<RowChange>,
    log: Vec<ChangeView>,
    stop: Option<Stop>,
}

impl Round<'_, '_> {
    /// Judges messages, batch by batch; each batch is durable before the next begins.
    pub(super) async fn judge(&mut self, looks: &[(RemoteId, Known)], consent: Consent) -> Result<(), Stop> {
        let size = self.ports.source.head_batch().max(1);
        for some in looks.chunks(size) {
            if self.progress.budget.spent() {
                return Err(Stop::OutOfBudget);
            }
            let ids: Vec<RemoteId> = some.iter().map(|(id, _)| id.clone()).collect();
            let rows = self.engine.store.rows_by_id(&self.sync.id, Side::Right, &ids).await?;
            let rows: HashMap<RemoteId, Row> =
                ids.into_iter().zip(rows).filter_map(|(id, row)| Some((id, row?))).collect();
            let judged = |id: &RemoteId| {
                let row = rows.get(id).filter(|row| row.state != RowState::Failing);
                row.and_then(|row| row.right_version.as_ref()).is_some_and(|version| version.as_str() == self.digest)
            };
            let due = |(id, known): &&(RemoteId, Known)| *known == Known::Again || !judged(id);
            let fresh: Vec<RemoteId> = some.iter().filter(due).map(|(id, _)| id.clone()).collect();
            if let Some(run) = self.progress.checkpoint.run.as_mut() {
                run.progress.done += u64::try_from(some.len() - fresh.len()).unwrap_or(0);
            }
            if !fresh.is_empty() {
                let batch = self.batch(&fresh, &rows, consent).await?;
                self.settle(batch).await?;
            }
        }
        Ok(())
    }

    async fn batch(
        &mut self,
        ids: &[RemoteId],
        rows: &HashMap<RemoteId, Row>,
        consent: Consent,
    ) -> Result<Batch, Stop> {
        let mut batch = Batch::default();
        let heads = self.ports.source.heads(ids, &HEADERS).await.map_err(|error| mailbox_stop(&error))?;
        let mut looks: Vec<(MailHead, Envelope, Look)> = Vec::new();
        for (id, head) in ids.iter().zip(heads) {
            let head = match head {
                Ok(Some(head)) => head,
                Ok(None) => {
                    self.note_gone(&mut batch, rows, id);
                    continue;
                }
                // What was served counts; the rest is asked for when the mailbox has time.
                Err(error) => {
                    batch.stop.get_or_insert_with(|| mailbox_stop(&error));
                    continue;
                }
            };
            self.count_read();
            let envelope = self.envelope(&head);
            match screen(self.rules, &self.owner, &envelope) {
                Screened::NotAsked => {}
                Screened::Exclude(reason) => self.note(&mut batch, rows, &head.id, RowState::Excluded, reason),
                Screened::Look(look) => looks.push((head, envelope, look)),
            }
        }
        self.keep_met_asks().await?;
        let addresses: BTreeSet<Address> = looks.iter().flat_map(|(_, _, look)| look.addresses(self.rules)).collect();
        let addresses: Vec<Address> = addresses.into_iter().collect();
        let mut known = BTreeMap::new();
        if !addresses.is_empty() {
            known = self.ports.desk.known(&addresses).await.map_err(|error| stop_for(Side::Left, &error))?;
        }
        let unserved = batch.stop.take();
        for (head, envelope, look) in looks {
            if self.progress.budget.spent() {
                batch.stop.get_or_insert(Stop::OutOfBudget);
            }
            if batch.stop.is_some() {
                break;
            }
            self.one(&mut batch, rows, (head, envelope, &look), &mut known, consent).await;
        }
        batch.stop = batch.stop.or(unserved);
        Ok(batch)
    }

    /// Decides on one message and carries it out.
    async fn one(
        &mut self,
        batch: &mut Batch,
        rows: &HashMap<RemoteId, Row>,
        (head, envelope, look): (MailHead, Envelope, &Look),
        known: &mut BTreeMap<Address, Vec<Subject>>,
        consent: Consent,
    ) {
        let filing = match decide(self.rules, look, known) {
            Decision::Exclude(reason) => return self.note(batch, rows, &head.id, RowState::Excluded, reason),
            Decision::Ask { reason, .. } if consent == Consent::None => {
                return self.note(batch, rows, &head.id, RowState::Held, reason);
            }
            Decision::Ask { whom, .. } => {
                let task = if envelope.wishes.contains(&Wish::Task) { TaskWish::Wanted } else { TaskWish::None };
                Filing { direction: look.direction, at: Vec::new(), add: whom, task }
            }
            Decision::File(filing) => filing,
        };
        let id = head.id.clone();
        match self.file(&envelope, &id, filing, known).await {
            Ok(Some((email, how))) => self.filed(batch, rows, &id, &envelope, (email, how)),
            // Deleted between its head and its body.
            Ok(None) => self.note_gone(batch, rows, &id),
            Err((side, error)) => self.refused(batch, rows, &id, side, &error),
        }
    }

    /// Adds who is to be added, reads the body, files. `None` when the message is gone.
    async fn file(
        &self,
        envelope: &Envelope,
        id: &RemoteId,
        filing: Filing,
        known: &mut BTreeMap<Address, Vec<Subject>>,
    ) -> Result<Option<(RemoteId, FiledHow)>, (Side, ConnectorError)> {
        let (left, right) = (|error| (Side::Left, error), |error| (Side::Right, error));
        let mut body = if envelope.bytes > tandem_mail::LARGEST {
            Body { left_out: BTreeSet::from([LeftOut::Everything]), ..Body::default() }
        } else {
            match self.ports.source.raw(id).await.map_err(right)? {
                Some(raw) => tandem_mail::read(&raw),
                None => return Ok(None),
            }
        };
        if self.rules.attachments == Attachments::LeftOut {
            body.attachments.clear();
        }
        if body.left_out.contains(&LeftOut::Everything) {
            body.text = format!("{TOO_LARGE}\n{}", self.ports.source.link(id));
        }
        let mut at = filing.at;
        for person in &filing.add {
            let subject = self.ports.desk.add_person(person).await.map_err(left)?;
            // The next message of this batch finds them.
            known.entry(person.address.under(self.rules.plus_tags)).or_default().push(subject.clone());
            if !at.contains(&subject) {
                at.push(subject);
            }
        }
        let mail = TrackedMail {
            key: identity(envelope),
            direction: filing.direction,
            envelope: envelope.clone(),
            body,
            at,
            participant: self.address.clone(),
            link: self.ports.source.link(id),
        };
        let filed = self.ports.desk.file(&mail).await.map_err(left)?;
        if filing.task == TaskWish::Wanted {
            let today = jiff::tz::Offset::UTC.to_datetime(self.engine.clock.now()).date();
            let due_on = today.saturating_add(jiff::Span::new().days(i64::from(self.rules.task_due_days)));
            let task = MailTask { title: envelope.subject.clone(), link: mail.link.clone(), due_on };
            self.ports.desk.add_task(&filed.id, &task).await.map_err(left)?;
        }
        Ok(Some((filed.id, filed.how)))
    }

    fn envelope(&mut self, head: &MailHead) -> Envelope {
        let ours = self.progress.checkpoint.mail.as_ref().map(|mail| mail.labels.clone()).unwrap_or_default();
        let named = self.rules.labels.all().into_iter().zip(&ours);
        let known = Head {
            places: head.places.clone(),
            wishes: named.filter(|(_, id)| head.labels.contains(id)).map(|((wish, _), _)| wish).collect(),
            received_at: head.received_at,
            bytes: head.bytes,
            trusted: self.ports.source.trusted_server(),
        };
        let mut envelope = tandem_mail::head(&head.headers, known);
        envelope.wishes.extend(self.asks.wishes_for(self.sync, &head.id, &envelope));
        envelope
    }

    fn filed(
        &mut self,
        batch: &mut Batch,
        rows: &HashMap<RemoteId, Row>,
        id: &RemoteId,
        envelope: &Envelope,
        (email, how): (RemoteId, FiledHow),
    ) {
        let before = rows.get(id);
        let mut row = self.row(before, id);
        let marks = block_marks(envelope);
        row.match_keys = marks.iter().map(|mark| self.sync.fingerprint_key.hash(mark)).collect();
        row.synced_at = Some(self.engine.clock.now());
        row.left = Some(email.clone());
        match how {
            FiledHow::Made => {
                self.count(|counts| counts.created += 1);
                batch.log.push(ChangeView::whole("create", &email, &envelope.subject));
            }
            FiledHow::Found => self.count(|counts| counts.paired += 1),
        }
        batch.rows.push(RowChange { before: before.cloned(), after: Some(row) });
    }

    /// A refusal: of this message alone, or of the whole account.
    fn refused(
        &mut self,
        batch: &mut Batch,
        rows: &HashMap<RemoteId, Row>,
        id: &RemoteId,
        side: Side,
        error: &ConnectorError,
    ) {
        let alone = [ErrorKind::Permanent, ErrorKind::Conflict, ErrorKind::NotFound].contains(&error.kind);
        if !alone {
            batch.stop.get_or_insert_with(|| stop_for(side, error));
            return;
        }
        let mut row = self.row(rows.get(id), id);
        row.attempts = rows.get(id).map_or(0, |row| row.attempts) + 1;
        (row.state, row.reason) = (RowState::Failing, Some(Reason::new("refused", error.detail.clone())));
        self.progress.checkpoint.retry_failing |= row.attempts < TRIES;
        self.count(|counts| counts.failing += 1);
        batch.rows.push(RowChange { before: rows.get(id).cloned(), after: Some(row) });
    }

    /// A message that waits for something, and is no longer in the mailbox, waits no more.
    fn note_gone(&mut self, batch: &mut Batch, rows: &HashMap<RemoteId, Row>, id: &RemoteId) {
        if rows.get(id).is_some_and(|row| matches!(row.state, RowState::Held | RowState::Failing)) {
            let reason = Reason::new("gone", "It was deleted from the mailbox.");
            self.note(batch, rows, id, RowState::Excluded, reason);
        }
    }

    fn note(
        &mut self,
        batch: &mut Batch,
        rows: &HashMap<RemoteId, Row>,
        id: &RemoteId,
        state: RowState,
        reason: Reason,
    ) {
        // What is in the CRM already stays there: a label taken off, or mail moved to the bin, takes nothing back.
        if rows.get(id).is_some_and(|row| row.left.is_some() && reason.code != "blocked") {
            return;
        }
        let mut row = self.row(rows.get(id), id);
        (row.state, row.reason) = (state, Some(reason));
        if let Some(run) = self.progress.checkpoint.run.as_mut() {
            run.counts.side(Side::Right).excluded += 1;
        }
        batch.rows.push(RowChange { before: rows.get(id).cloned(), after: Some(row) });
    }

    /// The row of a message that was judged now.
    fn row(&self, before: Option<&Row>, id: &RemoteId) -> Row {
        let mut row = before.cloned().unwrap_or_else(|| Row::first_seen(Side::Right, id));
        (row.state, row.reason, row.attempts) = (RowState::InSync, None, 0);
        row.right_version = Some(Version::new(self.digest.clone()));
        row
    }

    fn count(&mut self, change: impl FnOnce(&mut tandem_core::reduce::SideCounts)) {
        if let Some(run) = self.progress.checkpoint.run.as_mut() {
            change(run.counts.side(Side::Left));
        }
    }

    fn count_read(&mut self) {
        if let Some(run) = self.progress.checkpoint.run.as_mut() {
            run.counts.side(Side::Right).read += 1;
            run.progress.done += 1;
            run.progress.total = run.progress.total.max(run.progress.done);
        }
    }

    /// Makes a batch durable: rows, change log, checkpoint. Then what stopped it stops the round.
    async fn settle(&mut self, batch: Batch) -> Result<(), Stop> {
        self.engine.store.save_rows(&self.sync.id, &batch.rows).await?;
        let fence = self.progress.lease.fence;
        if let Some(run) = self.progress.checkpoint.run.as_mut() {
            self.engine.append_changes(self.sync, run, fence, &batch.log).await?;
        }
        if !batch.rows.is_empty() {
            // It goes forward: the next wait is a first one again.
            self.progress.checkpoint.attempt = 0;
        }
        self.keep().await?;
        match batch.stop {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// Takes those of these messages out of the CRM that the block list forbids now.
    pub(super) async fn take_out_blocked(&mut self, rows: Vec<Row>) -> Result<(), Stop> {
        let blocked: BTreeSet<String> =
            self.rules.block_list.iter().map(|entry| self.sync.fingerprint_key.hash(entry)).collect();
        let mut batch = Batch::default();
        for row in rows {
            let Some(email) = row.left.clone().filter(|_| row.match_keys.iter().any(|key| blocked.contains(key)))
            else {
                continue;
            };
            match self.ports.desk.remove(&email, &self.address).await {
                Ok(()) => {}
                // A CRM that cannot: the page says of which e-mail, and a person takes it out.
                Err(error) if error.kind == ErrorKind::Permanent => {
                    let reason = Some(Reason::new("stays_in_crm", error.detail.clone()));
                    let after = Row { state: RowState::Excluded, reason, ..row.clone() };
                    batch.rows.push(RowChange { before: Some(row), after: Some(after) });
                    continue;
                }
                Err(error) => {
                    batch.stop = Some(stop_for(Side::Left, &error));
                    break;
                }
            }
            self.count(|counts| counts.deleted += 1);
            batch.log.push(ChangeView::whole("delete", &email, ""));
            let reason = Reason::new("blocked", "An address in it is on the block list.");
            let after = Row {
                left: None,
                match_keys: Vec::new(),
                state: RowState::Excluded,
                reason: Some(reason),
                right_version: Some(Version::new(self.digest.clone())),
                ..row.clone()
            };
            batch.rows.push(RowChange { before: Some(row), after: Some(after) });
        }
        self.settle(batch).await
    }
}
