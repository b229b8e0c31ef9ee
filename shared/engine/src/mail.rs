//! Tracked mail: the mailbox's feed → heads → people looked up → bodies of what is tracked → filed, each message once.
//!
//! A message never changes and nothing is written into the mailbox, so there is no two-sided plan here: the core
//! decides on each message ([`tandem_core::mail::track`]), and this carries it out in bounded, resumable pieces under
//! the same lease, checkpoint, rows, runs and change log as every other sync.
mod asks;
mod bar;
mod judge;
mod views;

pub use bar::{BarAsk, BarMessage, BarPerson};

use crate::session::{Progress, Stop, stop_for};
use crate::{Engine, MailPorts, Opening};
use asks::Asks;
use judge::{Consent, Known, Round};
use tandem_core::mail::track::Owner;
use tandem_core::mail::{Address, MailRules, TrackMode};
use tandem_core::profile::{Profile, Settings};
use tandem_core::record::{RemoteId, Side};
use tandem_ports::connector::{Cursor, Next};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::mail::{Listing, MailChange, MailRecord};
use tandem_store::checkpoint::{Hold, MailProgress, Walk};
use tandem_store::connection::Connection;
use tandem_store::link::{Row, RowState};
use tandem_store::run::RunState;
use tandem_store::sync::Sync;

/// Rows of a walk that are taken at once.
const WALK: usize = 100;
/// Refused messages are tried this often as they are.
const TRIES: u32 = 3;

/// A failed call to the mailbox.
pub(super) fn mailbox_stop(error: &ConnectorError) -> Stop {
    stop_for(Side::Right, error)
}

impl Engine {
    /// Works on a mailbox until it has caught up, or something stops it.
    pub(crate) async fn mail_round(
        &self,
        sync: &Sync,
        (profile, settings, rules): (&'static Profile, &Settings, &MailRules),
        (crm, remote): (&Connection, &Connection),
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        let ask = |side, connection| Opening { sync: &sync.id, connection, profile, settings, side, container: None };
        let opened = self.connectors.open_mail(ask(Side::Left, crm), ask(Side::Right, remote)).await;
        let ports = opened.map_err(|error| stop_for(side_of(&error, crm), &error))?;
        let address = self.owner_of(remote, &ports).await?;
        let owner = Owner::new(&address, rules);
        let asks = Asks::read(self, sync).await?;
        let mut round =
            Round { engine: self, sync, rules, ports, owner, address, digest: digest(sync, rules), asks, progress };
        round.prepare().await?;
        round.take_up_asks().await?;
        round.list().await?;
        round.follow().await?;
        round.sweep().await?;
        round.walk_states().await?;
        round.settle_asks().await
    }

    /// The address of the mailbox's owner: the connection's, or else asked for.
    async fn owner_of(&self, remote: &Connection, ports: &MailPorts) -> Result<Address, Stop> {
        let known = Address::read(&remote.account.email).or_else(|| Address::read(&remote.account.id));
        match known {
            Some(address) => Ok(address),
            None => Ok(ports.source.account().await.map_err(|error| mailbox_stop(&error))?.address),
        }
    }
}

/// These messages, all in one way.
fn looks(ids: impl IntoIterator<Item = RemoteId>, known: Known) -> Vec<(RemoteId, Known)> {
    ids.into_iter().map(|id| (id, known)).collect()
}

fn side_of(error: &ConnectorError, crm: &Connection) -> Side {
    if error.provider == crm.provider { Side::Left } else { Side::Right }
}

/// What tells whether a message was judged by these rules.
fn digest(sync: &Sync, rules: &MailRules) -> String {
    sync.fingerprint_key.hash(&serde_json::to_string(rules).expect("our own types serialise"))
}

impl Round<'_, '_> {
    fn mail(&mut self) -> &mut MailProgress {
        self.progress.checkpoint.mail.get_or_insert_default()
    }

    /// Labels, and a fresh listing where the rules are other ones than before.
    async fn prepare(&mut self) -> Result<(), Stop> {
        let digest = self.digest.clone();
        let others = self.mail().rules != digest;
        if others || self.mail().labels.len() != 3 {
            let known = self.mail().labels.clone();
            let wanted: Vec<_> = self
                .rules
                .labels
                .all()
                .iter()
                .enumerate()
                .map(|(at, (_, name))| (known.get(at).cloned(), *name))
                .collect();
            let labels = self.ports.source.ensure_labels(&wanted).await.map_err(|error| mailbox_stop(&error))?;
            self.mail().labels = labels;
        }
        if self.mail().cursor.is_none() {
            // Before the listing: what comes while it is read is in the feed.
            let account = self.ports.source.account().await.map_err(|error| mailbox_stop(&error))?;
            self.mail().cursor = Some(account.now);
        }
        if others {
            let blocks = !self.rules.block_list.is_empty();
            let mail = self.mail();
            (mail.rules, mail.listing) = (digest, Some((0, None)));
            mail.sweep = blocks.then(Walk::default);
            self.keep().await?;
        }
        if self.progress.checkpoint.confirmed.take().is_some() {
            self.mail().confirming = Some(Walk::default());
        }
        Ok(())
    }

    /// The listings that a first look, other rules or a forgotten history need: bounded by the window.
    async fn list(&mut self) -> Result<(), Stop> {
        while let Some((at, page)) = self.mail().listing.clone() {
            self.in_time()?;
            let days = self.rules.window_past_days;
            let listing = match (self.rules.track, at) {
                _ if days == 0 => None,
                (TrackMode::AllKnown, 0) => Some(Listing::All(days)),
                (TrackMode::AllKnown, _) => None,
                (TrackMode::Labelled, at) => self.mail().labels.get(at).cloned().map(|id| Listing::WithLabel(id, days)),
            };
            let Some(listing) = listing else {
                self.mail().listing = None;
                self.keep().await?;
                return Ok(());
            };
            let listed = self.ports.source.list(&listing, page.as_ref()).await;
            let listed = match listed {
                // A page's mark does not outlive its listing: from its beginning then, past what is done already.
                Err(error) if error.kind == ErrorKind::CursorExpired && page.is_some() => {
                    self.mail().listing = Some((at, None));
                    continue;
                }
                other => other.map_err(|error| mailbox_stop(&error))?,
            };
            if let (Some(run), Some(about), None) = (self.progress.checkpoint.run.as_mut(), listed.about, &page) {
                run.progress.total = run.progress.total.max(run.progress.done + about);
            }
            self.judge(&looks(listed.ids, Known::Skip), Consent::None).await?;
            self.mail().listing = Some(listed.next.map_or((at + 1, None), |next| (at, Some(next))));
            self.keep().await?;
        }
        Ok(())
    }

    /// The feed, to its end. Nothing new is one call.
    async fn follow(&mut self) -> Result<(), Stop> {
        while let Some(cursor) = self.mail().cursor.clone() {
            self.in_time()?;
            let page = match self.ports.source.changes(&cursor).await {
                Ok(page) => page,
                Err(error) if error.kind == ErrorKind::CursorExpired => return self.recover().await,
                Err(error) => return Err(mailbox_stop(&error)),
            };
            self.take_in(page.records).await?;
            let (next, done) = match page.next {
                Next::More(next) => (Some(next), false),
                Next::CaughtUp(next) => (Some(next), true),
                Next::Relist => return self.recover().await,
            };
            self.advance(next).await?;
            if done {
                break;
            }
        }
        Ok(())
    }

    /// The records of a page of the feed. The cursor follows batch by batch: a page may hold more than the mailbox serves
    /// in one go, and what is done is not read again.
    async fn take_in(&mut self, records: Vec<MailRecord>) -> Result<(), Stop> {
        let size = self.ports.source.head_batch().max(1);
        let mut looks: Vec<(RemoteId, Known)> = Vec::new();
        for record in records {
            self.worth_a_look(record.changes, &mut looks);
            if looks.len() >= size {
                self.judge(&looks, Consent::None).await?;
                looks.clear();
                self.advance(Some(record.after)).await?;
            }
        }
        self.judge(&looks, Consent::None).await
    }

    /// Moves the cursor, when that is any news.
    async fn advance(&mut self, next: Option<Cursor>) -> Result<(), Stop> {
        if self.mail().cursor == next {
            return Ok(());
        }
        self.mail().cursor = next;
        self.keep().await
    }

    /// The mailbox has forgotten where we were: the window is listed once more, past what is known, and the feed goes on
    /// from now. Replaced once; the continuation does the work.
    async fn recover(&mut self) -> Result<(), Stop> {
        let account = self.ports.source.account().await.map_err(|error| mailbox_stop(&error))?;
        let mail = self.mail();
        (mail.cursor, mail.listing) = (Some(account.now), Some((0, None)));
        self.keep().await?;
        Err(Stop::Again)
    }

    /// Adds those messages of a record of the feed that may be tracked, each once.
    fn worth_a_look(&mut self, changes: Vec<MailChange>, looks: &mut Vec<(RemoteId, Known)>) {
        let ours = self.mail().labels.clone();
        // A message that was asked for while it was written carries no label.
        let all = self.rules.track == TrackMode::AllKnown || self.asks.await_a_sent_one();
        for change in changes {
            let look = match change {
                MailChange::Appeared(id, labels) => {
                    let asked = labels.is_none_or(|labels| ours.iter().any(|ours| labels.contains(ours)));
                    (all || asked).then_some((id, Known::Skip))
                }
                MailChange::Labelled(id, labels) => {
                    ours.iter().any(|ours| labels.contains(ours)).then_some((id, Known::Again))
                }
                // What was filed of it stays filed.
                MailChange::Gone(_) => None,
            };
            let Some((id, known)) = look else { continue };
            match looks.iter_mut().find(|(look, _)| *look == id) {
                Some((_, before)) if known == Known::Again => *before = known,
                Some(_) => {}
                None => looks.push((id, known)),
            }
        }
    }

    /// Takes out what a block list has come to forbid.
    async fn sweep(&mut self) -> Result<(), Stop> {
        while let Some(walk) = self.mail().sweep.clone() {
            self.in_time()?;
            let (rows, more) = self.engine.store.rows(&self.sync.id, walk.after.as_ref(), WALK).await?;
            let last = rows.last().map(|row| row.key.clone());
            self.take_out_blocked(rows).await?;
            self.mail().sweep = more.then_some(Walk { after: last });
            self.keep().await?;
        }
        Ok(())
    }

    /// What waits for a person's word, once it was given; and what was refused, while tries are left.
    async fn walk_states(&mut self) -> Result<(), Stop> {
        while let Some(walk) = self.mail().confirming.clone() {
            let next = self.walk(RowState::Held, &walk, Consent::Given).await?;
            self.mail().confirming = next;
            self.keep().await?;
        }
        while let Some(walk) = self.progress.checkpoint.retrying.clone() {
            self.progress.checkpoint.retrying = self.walk(RowState::Failing, &walk, Consent::None).await?;
            self.keep().await?;
        }
        Ok(())
    }

    async fn walk(&mut self, state: RowState, walk: &Walk, consent: Consent) -> Result<Option<Walk>, Stop> {
        self.in_time()?;
        let (rows, next) = self.engine.store.rows_in_state(&self.sync.id, state, walk.after.as_ref(), WALK).await?;
        let due = |row: &Row| state != RowState::Failing || row.attempts < TRIES;
        let ids = rows.into_iter().filter(due).filter_map(|row| row.right);
        self.judge(&looks(ids, Known::Again), consent).await?;
        Ok(next.map(|after| Walk { after: Some(after) }))
    }

    fn in_time(&self) -> Result<(), Stop> {
        if self.progress.budget.spent() { Err(Stop::OutOfBudget) } else { Ok(()) }
    }

    /// Commits how far it is, and prolongs the lease.
    async fn keep(&mut self) -> Result<(), Stop> {
        let until = self.engine.clock.now() + self.engine.config.lease;
        if let Some(run) = self.progress.checkpoint.run.as_mut() {
            run.state = RunState::Running;
        }
        let hold = Hold::Keep { until, settled: Vec::new() };
        self.engine.store.commit(&self.progress.lease, self.sync, &self.progress.checkpoint, &hold).await?;
        self.progress.lease.until = until;
        Ok(())
    }
}
