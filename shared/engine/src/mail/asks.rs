//! What people asked for from inside their mailbox: this message, or the next one sent to somebody. It counts as the
//! label would; nothing is written into the mailbox for it.
use super::judge::{Consent, Known, Round};
use super::looks;
use crate::Engine;
use crate::session::Stop;
use std::collections::BTreeSet;
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
    /// Those for the next message sent to somebody that has come by, each with the ask for that message which takes its
    /// place. Not durable yet.
    met: Vec<(MailAsk, MailAsk)>,
}

/// What stands for an address in an ask.
pub(super) fn hash_of(sync: &Sync, address: &Address) -> String {
    sync.fingerprint_key.hash(address.as_str())
}

impl Asks {
    /// Reads them: one request.
    pub(super) async fn read(engine: &Engine, sync: &Sync) -> Result<Asks, Stop> {
        let all = engine.store.mail_asks(&sync.id, engine.clock.now()).await?;
        Ok(Asks { all, met: Vec::new() })
    }

    /// Whether a message is waited for that has no label.
    pub(super) fn await_a_sent_one(&self) -> bool {
        self.all.iter().any(|ask| matches!(ask.what, Asked::Sent { .. }))
    }

    /// What is asked of this message. Where it is the next one sent to somebody, that is asked of it and of no further one
    /// from here on.
    pub(super) fn wishes_for(&mut self, sync: &Sync, id: &RemoteId, envelope: &Envelope) -> BTreeSet<Wish> {
        if envelope.places.contains(&Place::Sent) {
            self.meet(sync, id, envelope);
        }
        let wish = |ask: &MailAsk| match &ask.what {
            Asked::Message { id: asked, wish } if asked == id => Some(*wish),
            Asked::Message { .. } | Asked::Sent { .. } => None,
        };
        self.all.iter().filter_map(wish).collect()
    }

    fn meet(&mut self, sync: &Sync, id: &RemoteId, sent: &Envelope) {
        let to: BTreeSet<String> =
            sent.to.iter().chain(&sent.cc).map(|mailbox| hash_of(sync, &mailbox.address)).collect();
        let late_enough =
            |ask: &MailAsk| sent.sent_at.is_none_or(|at| at.as_second() + CLOCKS_DIFFER >= ask.at.as_second());
        let is_met = |ask: &mut MailAsk| match &ask.what {
            Asked::Sent { to: whom } => to.contains(whom) && late_enough(ask),
            Asked::Message { .. } => false,
        };
        let met: Vec<MailAsk> = self.all.extract_if(.., is_met).collect();
        for ask in met {
            let message = MailAsk::new(Asked::Message { id: id.clone(), wish: Wish::Track }, ask.at);
            if self.all.iter().all(|known| known.what != message.what) {
                self.all.push(message.clone());
            }
            self.met.push((ask, message));
        }
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
        let ids: BTreeSet<RemoteId> =
            self.asks.messages().filter(|(ask, _)| !ask.taken_up).map(|(_, id)| id.clone()).collect();
        self.judge(&looks(ids, Known::Again), Consent::None).await
    }

    /// Makes durable which message an ask was for, before anything of that message is written: a run that is cut off here
    /// takes no second message for the next one.
    pub(super) async fn keep_met_asks(&mut self) -> Result<(), Stop> {
        while let Some((ask, message)) = self.asks.met.last() {
            self.engine.store.meet_mail_ask(&self.sync.id, ask, message).await?;
            self.asks.met.pop();
        }
        Ok(())
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
        Ok(self.engine.store.drop_mail_asks(&self.sync.id, &done).await?)
    }
}
