//! What people asked for from inside their mailbox: this message, or the next one sent to somebody. It counts as the
//! label would; nothing is written into the mailbox for it.
use super::judge::{Consent, Known, Round};
use crate::Engine;
use crate::session::Stop;
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::mail::{Address, Envelope, Place, Wish};
use tandem_core::record::{RemoteId, Side};
use tandem_store::link::RowState;
use tandem_store::mail::{Asked, MailAsk};
use tandem_store::sync::Sync;

/// Mail servers' clocks differ: a message counts as sent after the asking when its date is not further before it.
const CLOCKS_DIFFER: i64 = 300;

/// All that was asked and is not done.
pub(super) struct Asks {
    all: Vec<MailAsk>,
    /// Those for a sent message that has come by, and which one it was: the next one, and no further one.
    met: BTreeMap<String, RemoteId>,
}

/// What stands for an address in an ask.
pub(super) fn hash_of(sync: &Sync, address: &Address) -> String {
    sync.fingerprint_key.hash(address.as_str())
}

impl Asks {
    /// Reads them: one request.
    pub(super) async fn read(engine: &Engine, sync: &Sync) -> Result<Asks, Stop> {
        let all = engine.store.mail_asks(&sync.id, engine.clock.now()).await?;
        Ok(Asks { all, met: BTreeMap::new() })
    }

    /// Whether a message is waited for that has no label.
    pub(super) fn await_a_sent_one(&self) -> bool {
        self.all.iter().any(|ask| matches!(&ask.what, Asked::Sent { to } if !self.met.contains_key(to)))
    }

    /// What is asked of this message.
    pub(super) fn wishes_for(&mut self, sync: &Sync, id: &RemoteId, envelope: &Envelope) -> BTreeSet<Wish> {
        let mut wishes = BTreeSet::new();
        let recipients = || envelope.to.iter().chain(&envelope.cc).map(|to| hash_of(sync, &to.address));
        let sent: BTreeSet<String> =
            if envelope.places.contains(&Place::Sent) { recipients().collect() } else { BTreeSet::new() };
        for ask in &self.all {
            let late_enough = envelope.sent_at.is_none_or(|at| at.as_second() + CLOCKS_DIFFER >= ask.at.as_second());
            match &ask.what {
                Asked::Message { id: asked, wish } if asked == id => {
                    wishes.insert(*wish);
                }
                Asked::Sent { to } if late_enough && sent.contains(to) => {
                    let met = self.met.entry(to.clone()).or_insert_with(|| id.clone());
                    if met == id {
                        wishes.insert(Wish::Track);
                    }
                }
                Asked::Message { .. } | Asked::Sent { .. } => {}
            }
        }
        wishes
    }

    fn messages(&self) -> impl Iterator<Item = (&MailAsk, &RemoteId)> {
        self.all.iter().filter_map(|ask| match &ask.what {
            Asked::Message { id, .. } => Some((ask, id)),
            Asked::Sent { .. } => None,
        })
    }
}

impl Round<'_, '_> {
    /// Judges the messages that were asked for since the last time.
    pub(super) async fn take_up_asks(&mut self) -> Result<(), Stop> {
        let mut ids: Vec<RemoteId> =
            self.asks.messages().filter(|(ask, _)| !ask.taken_up).map(|(_, id)| id.clone()).collect();
        ids.dedup();
        self.judge(&ids, Consent::None, Known::Again).await
    }

    /// Forgets what is done. What waits for a person's word, or failed, is kept: it is judged again, and has no label.
    pub(super) async fn settle_asks(&mut self) -> Result<(), Stop> {
        let (asked, ids): (Vec<MailAsk>, Vec<RemoteId>) =
            self.asks.messages().map(|(ask, id)| (ask.clone(), id.clone())).unzip();
        let mut done: Vec<MailAsk> = Vec::new();
        let mut rows = Vec::with_capacity(ids.len());
        // The store takes a batch's worth of ids at once.
        for some in ids.chunks(50) {
            rows.extend(self.engine.store.rows_by_id(&self.sync.id, Side::Right, some).await?);
        }
        for (ask, row) in asked.into_iter().zip(rows) {
            if row.is_none_or(|row| ![RowState::Held, RowState::Failing].contains(&row.state)) {
                done.push(ask);
            } else if !ask.taken_up {
                self.engine.store.save_mail_ask(&self.sync.id, &MailAsk { taken_up: true, ..ask }).await?;
            }
        }
        let met = |ask: &&MailAsk| matches!(&ask.what, Asked::Sent { to } if self.asks.met.contains_key(to));
        done.extend(self.asks.all.iter().filter(met).cloned());
        Ok(self.engine.store.drop_mail_asks(&self.sync.id, &done).await?)
    }
}
